//! Installing timers: units of systemd, each put in place whole, and begun.
//!
//! What was installed is known again by its first line: nothing else is written over or removed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::Error;
use crate::render::timer::{MARK, Scope, Timer, Unit};

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There was none.
    New,
    /// There was another of ours.
    Changed,
    /// It was like that already.
    Unchanged,
    /// It goes.
    Removed,
}

/// A unit, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Its file.
    pub path: PathBuf,
    /// What becomes of it.
    pub state: State,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `installed` or `removed`.
    pub action: &'static str,
    /// False for a preview.
    pub saved: bool,
    /// Whose timer it is.
    pub scope: Scope,
    /// The units.
    pub units: Vec<Installed>,
    /// Why systemd couldn't be told of it; `None` when it was.
    pub fault: Option<String>,
    /// The commands that are left to be given by hand, since systemd couldn't be told.
    pub by_hand: Vec<String>,
    /// The file with the passphrase, when the timer needs one and it isn't there yet.
    pub missing_passphrase_file: Option<String>,
}

/// Gives systemd a command: `systemctl` with these arguments. Says why that went wrong.
pub type Systemctl<'a> = &'a dyn Fn(&[&str]) -> Result<(), String>;

/// Runs `systemctl`.
///
/// # Errors
/// When there is none, or it refuses: says why.
pub fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("systemctl");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.stderr(Stdio::piped()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no systemctl on this machine".to_owned(),
        _ => format!("systemctl can't be run: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Err(if said.is_empty() { format!("systemctl {}: {}", arguments.join(" "), output.status) } else { said })
}

/// Says what would become of the units of a timer in a directory.
///
/// # Errors
/// When one of that name is there that isn't ours, or can't be read.
pub fn look(timer: &Timer, scope: Scope, directory: &Path) -> Result<Report, Error> {
    let units = [&timer.service, &timer.timer].map(|unit| -> Result<Installed, Error> {
        let path = directory.join(&unit.name);
        let state = match ours(&path)? {
            None => State::New,
            Some(text) if text == unit.text => State::Unchanged,
            Some(_) => State::Changed,
        };
        Ok(Installed { path, state })
    });
    let units = units.into_iter().collect::<Result<_, Error>>()?;
    let missing_passphrase_file = timer.passphrase_file.clone().filter(|file| fs::symlink_metadata(file).is_err());
    let (fault, by_hand) = Default::default();
    Ok(Report { action: "installed", saved: false, scope, units, fault, by_hand, missing_passphrase_file })
}

/// Writes the units of a timer and begins it.
///
/// # Errors
/// As [`look`], and when they can't be written. That systemd couldn't be told is part of the report.
pub fn install(timer: &Timer, scope: Scope, directory: &Path, systemctl: Systemctl<'_>) -> Result<Report, Error> {
    let report = look(timer, scope, directory)?;
    for unit in [&timer.service, &timer.timer] {
        write(directory, unit)?;
    }
    let name = timer.timer.name.as_str();
    // One that runs already goes on by what it was told when it began.
    let (fault, by_hand) = tell(scope, &[&["daemon-reload"], &["enable", name], &["restart", name]], systemctl);
    Ok(Report { saved: true, fault, by_hand, ..report })
}

/// Says which units of a timer would be removed from a directory.
///
/// # Errors
/// When there is none, or one of that name isn't ours.
pub fn look_removed(timer: &Timer, scope: Scope, directory: &Path) -> Result<Report, Error> {
    let mut units = Vec::new();
    for unit in [&timer.timer, &timer.service] {
        let path = directory.join(&unit.name);
        if ours(&path)?.is_some() {
            units.push(Installed { path, state: State::Removed });
        }
    }
    if units.is_empty() {
        return Err(Error::Refused(format!(
            "no such timer is installed: there is no {} in {}",
            timer.timer.name,
            directory.display()
        )));
    }
    let (fault, by_hand, missing_passphrase_file) = Default::default();
    Ok(Report { action: "removed", saved: false, scope, units, fault, by_hand, missing_passphrase_file })
}

/// Ends a timer and removes its units.
///
/// # Errors
/// As [`look_removed`], and when one can't be removed. That systemd couldn't be told is part of the report.
pub fn remove(timer: &Timer, scope: Scope, directory: &Path, systemctl: Systemctl<'_>) -> Result<Report, Error> {
    let report = look_removed(timer, scope, directory)?;
    let name = timer.timer.name.as_str();
    // Only while its files are there does systemd know what enabling it has made.
    let (ended, left) = tell(scope, &[&["disable", "--now", name]], systemctl);
    let mut by_hand = Vec::new();
    if !left.is_empty() {
        remove_file(&directory.join("timers.target.wants").join(name))?; // what enabling it has made
        by_hand.push(command(scope, &["stop", name]));
    }
    for unit in &report.units {
        remove_file(&unit.path)?;
    }
    let (reloaded, left) = tell(scope, &[&["daemon-reload"]], systemctl);
    by_hand.extend(left);
    Ok(Report { saved: true, fault: ended.or(reloaded), by_hand, ..report })
}

/// Removes a file that may be gone already.
fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| Error::Unwritable { path: path.to_owned(), source }),
    }
}

/// The options by which systemctl finds the systemd whose timer it is.
fn options(scope: Scope) -> &'static [&'static str] {
    if scope == Scope::User { &["--user"] } else { &[] }
}

/// Writes a command as it is given by hand.
fn command(scope: Scope, arguments: &[&str]) -> String {
    format!("systemctl {}", [options(scope), arguments].concat().join(" "))
}

/// Gives systemd commands, up to the first that goes wrong. Returns why, and those that are left.
fn tell(scope: Scope, commands: &[&[&str]], systemctl: Systemctl<'_>) -> (Option<String>, Vec<String>) {
    for (at, arguments) in commands.iter().enumerate() {
        if let Err(fault) = systemctl(&[options(scope), arguments].concat()) {
            return (Some(fault), commands[at..].iter().map(|left| command(scope, left)).collect());
        }
    }
    (None, Vec::new())
}

/// Reads a unit of ours; `None` when there is none of that name.
fn ours(path: &Path) -> Result<Option<String>, Error> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Unreadable { path: path.to_owned(), source }),
    };
    if text.starts_with(MARK) {
        return Ok(Some(text));
    }
    Err(Error::RefusedWithRemedy {
        message: format!("{} was there before and isn't from wg-friend, so it stays as it is", path.display()),
        hint: "move it away first, if it isn't needed any more".to_owned(),
    })
}

/// Writes a unit over one that may be there, readable by all as units are: nothing in it is secret.
fn write(directory: &Path, unit: &Unit) -> Result<(), Error> {
    let path = directory.join(&unit.name);
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut file = tempfile::Builder::new().prefix(".wg-friend-").tempfile_in(directory)?;
        file.write_all(unit.text.as_bytes())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| Error::Unwritable { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn timer(text: &str) -> Timer {
        let unit = |name: &str| Unit { name: format!("wg-friend-sync.{name}"), text: format!("{MARK}x\n{text}\n") };
        Timer {
            service: unit("service"),
            timer: unit("timer"),
            crontab: String::new(),
            passphrase_file: Some("/nowhere/passphrase".to_owned()),
        }
    }

    fn states(report: &Report) -> Vec<State> {
        report.units.iter().map(|unit| unit.state).collect()
    }

    #[test]
    fn a_timer_is_installed_changed_and_removed_and_systemd_is_told_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("systemd/user");
        let told = RefCell::new(Vec::new());
        let systemctl = |arguments: &[&str]| {
            told.borrow_mut().push(arguments.join(" "));
            Ok(())
        };
        let first = install(&timer("one"), Scope::User, &place, &systemctl).unwrap();
        assert_eq!((states(&first), first.fault.as_deref()), (vec![State::New, State::New], None));
        assert_eq!(first.missing_passphrase_file.as_deref(), Some("/nowhere/passphrase"));
        assert_eq!(
            told.take(),
            ["--user daemon-reload", "--user enable wg-friend-sync.timer", "--user restart wg-friend-sync.timer"]
        );
        assert_eq!(fs::read_to_string(place.join("wg-friend-sync.timer")).unwrap(), timer("one").timer.text);
        assert_eq!(fs::metadata(place.join("wg-friend-sync.service")).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(states(&look(&timer("one"), Scope::User, &place).unwrap()), [State::Unchanged; 2]);
        assert_eq!(states(&install(&timer("two"), Scope::User, &place, &systemctl).unwrap()), [State::Changed; 2]);
        told.take();
        let gone = remove(&timer("whatever"), Scope::User, &place, &systemctl).unwrap();
        assert_eq!((states(&gone), gone.action), (vec![State::Removed; 2], "removed"));
        assert_eq!(told.take(), ["--user disable --now wg-friend-sync.timer", "--user daemon-reload"]);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        let error = remove(&timer("one"), Scope::User, &place, &systemctl).unwrap_err();
        assert!(error.to_string().starts_with("no such timer is installed"), "{error}");
    }

    #[test]
    fn what_systemd_could_not_be_told_is_left_to_do_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let systemctl = |arguments: &[&str]| match arguments {
            ["daemon-reload"] => Ok(()),
            _ => Err("there is no bus".to_owned()),
        };
        let report = install(&timer("one"), Scope::System, dir.path(), &systemctl).unwrap();
        assert_eq!(report.fault.as_deref(), Some("there is no bus"));
        assert_eq!(report.by_hand, ["systemctl enable wg-friend-sync.timer", "systemctl restart wg-friend-sync.timer"]);
        assert!(dir.path().join("wg-friend-sync.timer").exists());
    }

    #[test]
    fn a_timer_that_systemd_could_not_be_told_to_end_is_not_begun_again_by_it() {
        let dir = tempfile::tempdir().unwrap();
        install(&timer("one"), Scope::User, dir.path(), &|_: &[&str]| Ok(())).unwrap();
        let wants = dir.path().join("timers.target.wants");
        fs::create_dir(&wants).unwrap();
        std::os::unix::fs::symlink("../wg-friend-sync.timer", wants.join("wg-friend-sync.timer")).unwrap();
        let silent = |_: &[&str]| Err("there is no bus".to_owned());
        let report = remove(&timer("one"), Scope::User, dir.path(), &silent).unwrap();
        assert_eq!(report.by_hand, ["systemctl --user stop wg-friend-sync.timer", "systemctl --user daemon-reload"]);
        assert_eq!(fs::read_dir(&wants).unwrap().count() + fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_ours_is_neither_written_over_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wg-friend-sync.timer");
        fs::write(&path, "[Timer]\n").unwrap();
        let never = |_: &[&str]| -> Result<(), String> { panic!("nothing is to be told") };
        assert!(install(&timer("one"), Scope::User, dir.path(), &never).is_err());
        assert!(remove(&timer("one"), Scope::User, dir.path(), &never).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[Timer]\n");
        assert!(!dir.path().join("wg-friend-sync.service").exists());
    }
}
