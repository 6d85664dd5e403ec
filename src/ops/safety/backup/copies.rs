//! The backups that were made: where each copy is, putting further ones elsewhere, removing old ones.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{digest, open, record, unreadable};
use crate::db::archive::{self, Kind};
use crate::db::{BackupCopy, BackupRecord, Database, PartFile, Store};
use crate::fleet::{self, Fleet};
use crate::model::{Action, Actor, Event, Host};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::find;
use crate::ops::network::generate::sha256 as sha256_of;

/// A backup that was made, and whether it is still where it was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The backup.
    #[serde(flatten)]
    pub record: BackupRecord,
    /// The copies on this machine that aren't there any more.
    pub missing: Vec<PathBuf>,
}

/// Lists the backups that were made, newest first. Needs no passphrase.
///
/// # Errors
/// When the database can't be read.
pub fn list(database: &Database) -> Result<Vec<Listed>, Error> {
    let listed = |record: BackupRecord| {
        let here = record.copies.iter().filter(|copy| copy.host.is_none());
        let missing = here.filter(|copy| !copy.path.exists()).map(|copy| copy.path.clone()).collect();
        Listed { record, missing }
    };
    Ok(database.backups()?.into_iter().map(listed).collect())
}

/// Where a further copy goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// A directory of this machine, such as a mounted disk.
    Directory(PathBuf),
    /// A directory of a host.
    Host {
        /// Which host.
        host: String,
        /// Where there; an absolute path.
        directory: String,
    },
}

/// A further copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The backup's random name.
    pub id: String,
    /// On which host; `None` on this machine.
    pub host: Option<String>,
    /// Where there.
    pub path: PathBuf,
    /// Whether it was put there; false for a preview.
    pub saved: bool,
}

/// Puts a copy of a backup elsewhere, and reads it back there before it counts.
///
/// # Errors
/// When there is no such backup, no copy of it here is whole, or it can't be written there.
pub fn push(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &dyn Clock,
    actor: &Actor,
    (id, target): (&str, &Target),
    preview: bool,
) -> Result<Kept, Error> {
    let known = store.backups()?;
    let record = record(&known, id)?;
    let source = whole_copy(record)?;
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (host, path) = match target {
        // Under the name by which it is found again, whichever way somebody comes to it.
        Target::Directory(directory) => {
            let directory = directory.canonicalize().unwrap_or_else(|_| directory.clone());
            (None, directory.join(&name))
        }
        Target::Host { host, directory } => {
            let hosts = store.hosts()?;
            let host = find::host_among(&hosts, host)?.clone();
            (Some(host), PathBuf::from(format!("{}/{name}", directory.trim_end_matches('/'))))
        }
    };
    let host_name = host.as_ref().map(|host| host.name.to_string());
    let mut kept = Kept { id: record.id.clone(), host: host_name.clone(), path: path.clone(), saved: false };
    if preview {
        return Ok(kept);
    }
    match &host {
        None => copy_here(&source, &path, &record.sha256)?,
        Some(host) => copy_there(fleet, host, &source, &path, &record.sha256)?,
    }
    let now = clock.now();
    let copy = BackupCopy { host: host_name, path: path.clone(), made: now, verified: Some(now), fault: None };
    let updated = BackupRecord { copies: vec![copy], ..record.clone() };
    store.write(now, actor, |tx| -> Result<_, Error> {
        tx.save_backup(&updated)?;
        let mut event = Event::database(Action::BackupCreated)
            .with("backup", updated.id.as_str())
            .with("to", path.display().to_string())
            .with("sha256", updated.sha256.as_str());
        if let Some(host) = &kept.host {
            event = event.with("host", host.as_str());
        }
        Ok(((), event))
    })?;
    kept.saved = true;
    Ok(kept)
}

/// Returns a copy on this machine that is what was written.
fn whole_copy(record: &BackupRecord) -> Result<PathBuf, Error> {
    let here = record.copies.iter().filter(|copy| copy.host.is_none());
    for copy in here {
        if copy.path.exists() && digest(&copy.path)?.1 == record.sha256 {
            return Ok(copy.path.clone());
        }
    }
    Err(Error::RefusedWithRemedy {
        message: format!("no whole copy of the backup {} is on this machine", &record.id[..8]),
        hint: "make a new one with `wg-friend backup create`".into(),
    })
}

fn copy_here(source: &Path, path: &Path, sha256: &str) -> Result<(), Error> {
    let part = PartFile::begin(path)?;
    let mut from = fs::File::open(source).map_err(unreadable(source))?;
    std::io::copy(&mut from, &mut part.as_file())
        .map_err(|source| Error::Unwritable { path: path.to_owned(), source })?;
    part.sync()?;
    if digest(part.path())?.1 != sha256 {
        return Err(Error::Refused(format!("what was written to {} reads back otherwise", path.display())));
    }
    Ok(part.put_in_place()?)
}

/// The longest backup that goes to a host, in bytes: it travels within a script.
const LONGEST: u64 = 256 << 20;

fn copy_there(fleet: &dyn Fleet, host: &Host, source: &Path, path: &Path, sha256: &str) -> Result<(), Error> {
    if fs::metadata(source).map_err(unreadable(source))?.len() > LONGEST {
        return Err(Error::Refused(format!("{} is too large to be brought to a host", source.display())));
    }
    let bytes = fs::read(source).map_err(unreadable(source))?;
    if sha256_of(&bytes) != sha256 {
        return Err(Error::Refused(format!("{} changed while it was read", source.display())));
    }
    let text = archive::armour(&open(source)?.header().id, &bytes);
    let script = fleet::keep_backup(path, &text, &sha256_of(text.as_bytes()));
    let answer = fleet.connect(host)?.run(&script)?;
    fleet::read_kept_backup(host, &answer).map_err(Error::from)
}

/// Which backups stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many of each kind stay, whatever their age.
    pub keep_last: usize,
    /// Those that are younger than so many days stay, however many there are.
    pub keep_days: u32,
    /// Whether copies of old ones that aren't there any more are forgotten, instead of told: their disk may only be away.
    pub forget_missing: bool,
}

impl Retention {
    /// Chooses those that go, of backups in order, newest first: those too old that aren't among the newest of their kind. The
    /// newest one of each kind that is whole and there stays in any case.
    fn goes<'r>(
        self,
        records: &'r [BackupRecord],
        now: DateTime<Utc>,
        is_there: &dyn Fn(&BackupRecord, &BackupCopy) -> bool,
    ) -> Vec<&'r BackupRecord> {
        let oldest = now - TimeDelta::days(self.keep_days.into());
        let is_whole = |record: &BackupRecord| {
            let mut found = record.copies.iter().filter(|copy| copy.verified.is_some() && copy.fault.is_none());
            found.any(|copy| is_there(record, copy))
        };
        let mut goes = Vec::new();
        for kind in [Kind::Full, Kind::ConfigOnly, Kind::KeysOnly] {
            let of_kind: Vec<&BackupRecord> = records.iter().filter(|record| record.kind == kind).collect();
            let newest_whole = of_kind.iter().position(|record| is_whole(record));
            let old = of_kind.into_iter().enumerate().skip(self.keep_last);
            goes.extend(old.filter(|(at, record)| record.created < oldest && Some(*at) != newest_whole));
        }
        goes.sort_by_key(|(_, record)| std::cmp::Reverse(record.created));
        goes.into_iter().map(|(_, record)| record).collect()
    }
}

/// Whether a copy is where it was put, as far as can be told without reading it.
fn is_there(record: &BackupRecord, copy: &BackupCopy, hosts: &[Host]) -> bool {
    match &copy.host {
        Some(name) => hosts.iter().any(|host| host.name.as_str() == name),
        None => fs::metadata(&copy.path)
            .is_ok_and(|found| found.is_file() && i64::try_from(found.len()).is_ok_and(|length| length == record.size)),
    }
}

/// A copy that was removed, or couldn't be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// The backup's random name.
    pub id: String,
    /// The moment that it shows.
    pub created: DateTime<Utc>,
    /// On which host; `None` on this machine.
    pub host: Option<String>,
    /// Where there.
    pub path: PathBuf,
    /// Why it is only forgotten, and nothing was removed: it is out of reach for good.
    pub forgotten: Option<String>,
    /// Why it is still there, if it is.
    pub fault: Option<String>,
}

/// What removing old backups came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Whether it was done; false for a preview.
    pub saved: bool,
    /// The copies that went.
    pub removed: Vec<Gone>,
    /// How many backups stay.
    pub kept: usize,
}

/// What can be done about a copy.
enum Way<'h> {
    /// Its file on this machine is removed.
    Here,
    /// Its file on a host is removed.
    There(&'h Host),
    /// It is forgotten, and this is why.
    Forget(String),
    /// Nothing, and this is why.
    Nothing(String),
}

fn way<'h>(copy: &BackupCopy, hosts: &'h [Host], retention: Retention) -> Way<'h> {
    match &copy.host {
        Some(name) => match hosts.iter().find(|host| host.name.as_str() == name) {
            Some(host) => Way::There(host),
            None => Way::Forget(format!("there is no host named {name} any more")),
        },
        None if copy.path.symlink_metadata().is_ok() => Way::Here,
        None if retention.forget_missing => Way::Forget("it is not there".into()),
        None => Way::Nothing("it is not there: its disk may be away; --forget-missing if it is gone for good".into()),
    }
}

/// Removes old backups, wherever their copies are. What isn't the file that was put there stays.
///
/// # Errors
/// When the database can't be read or written. A copy that can't be removed is said in the report.
pub fn prune(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &dyn Clock,
    actor: &Actor,
    retention: Retention,
    preview: bool,
) -> Result<Pruned, Error> {
    let now = clock.now();
    let records = store.backups()?;
    let hosts = store.hosts()?;
    let goes = retention.goes(&records, now, &|record, copy| is_there(record, copy, &hosts));
    let mut removed = Vec::new();
    for record in &goes {
        for copy in &record.copies {
            let (forgotten, fault) = match way(copy, &hosts, retention) {
                Way::Forget(reason) => (Some(reason), None),
                Way::Nothing(reason) => (None, Some(reason)),
                Way::Here | Way::There(_) if preview => (None, None),
                Way::Here => (None, remove_here(record, copy).err().map(|fault| fault.to_string())),
                Way::There(host) => {
                    (None, remove_there(record, copy, host, fleet).err().map(|fault| fault.to_string()))
                }
            };
            removed.push(Gone {
                id: record.id.clone(),
                created: record.created,
                host: copy.host.clone(),
                path: copy.path.clone(),
                forgotten,
                fault,
            });
        }
    }
    let done: Vec<&Gone> = removed.iter().filter(|gone| gone.fault.is_none()).collect();
    if !preview && !done.is_empty() {
        store.write_all(now, actor, |tx| -> Result<_, Error> {
            let mut events = Vec::new();
            for gone in &done {
                tx.forget_copy(&gone.id, gone.host.as_deref(), &gone.path)?;
                events.push(event(gone));
            }
            Ok(((), events))
        })?;
    }
    let stays = |record: &&BackupRecord| {
        !goes.iter().any(|gone| gone.id == record.id)
            || removed.iter().any(|gone| gone.id == record.id && gone.fault.is_some())
    };
    let kept = records.iter().filter(stays).count();
    Ok(Pruned { saved: !preview, kept, removed })
}

fn event(gone: &Gone) -> Event {
    let mut event = Event::database(Action::BackupRemoved)
        .with("backup", gone.id.as_str())
        .with("from", gone.path.display().to_string());
    if let Some(host) = &gone.host {
        event = event.with("host", host.as_str());
    }
    match &gone.forgotten {
        Some(reason) => event.with("forgotten", reason.as_str()),
        None => event,
    }
}

fn remove_here(record: &BackupRecord, copy: &BackupCopy) -> Result<(), Error> {
    // What its owner has put in its place since isn't ours.
    if open(&copy.path)?.header().id != record.id {
        return Err(Error::Refused(format!("{} is another file by now", copy.path.display())));
    }
    fs::remove_file(&copy.path).map_err(|source| Error::Unwritable { path: copy.path.clone(), source })
}

fn remove_there(record: &BackupRecord, copy: &BackupCopy, host: &Host, fleet: &dyn Fleet) -> Result<(), Error> {
    let answer = fleet.connect(host)?.run(&fleet::drop_backup(&copy.path, &archive::first_line(&record.id)))?;
    fleet::read_kept_backup(host, &answer).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn made(days_ago: i64, whole: bool) -> BackupRecord {
        let created = now() - TimeDelta::days(days_ago);
        let fault = (!whole).then(|| "it ends within its header".to_owned());
        let copy = BackupCopy { host: None, path: "/b".into(), made: created, verified: Some(created), fault };
        BackupRecord {
            id: format!("{days_ago:032}"),
            created,
            kind: Kind::Full,
            size: 1,
            sha256: String::new(),
            audit_entry: None,
            copies: vec![copy],
        }
    }

    fn keep(keep_last: usize, keep_days: u32) -> Retention {
        Retention { keep_last, keep_days, forget_missing: false }
    }

    /// The ages of those that go, when of some the file is missing.
    fn days(retention: Retention, records: &[BackupRecord], missing: &[i64]) -> Vec<i64> {
        let age = |record: &BackupRecord| (now() - record.created).num_days();
        let goes = retention.goes(records, now(), &|record, _| !missing.contains(&age(record)));
        goes.into_iter().map(age).collect()
    }

    #[test]
    fn old_backups_go_except_the_newest_few_and_the_last_that_is_whole() {
        let whole: Vec<_> = [0, 1, 5, 29, 31, 60].map(|ago| made(ago, true)).into();
        assert_eq!(days(keep(3, 30), &whole, &[]), [31, 60]);
        assert_eq!(days(keep(5, 30), &whole, &[]), [60]);
        assert_eq!(days(keep(1, 0), &whole, &[]), [1, 5, 29, 31, 60]);
        assert_eq!(days(keep(0, 0), &whole, &[]), [1, 5, 29, 31, 60], "the newest stays");
        let damaged: Vec<_> = [(1, false), (40, true), (50, true)].map(|(ago, whole)| made(ago, whole)).into();
        assert_eq!(days(keep(1, 30), &damaged, &[]), [50], "the newest that is whole stays");
    }

    #[test]
    fn one_whose_file_is_gone_is_not_the_last_that_is_whole() {
        let whole: Vec<_> = [0, 40, 50].map(|ago| made(ago, true)).into();
        assert_eq!(days(keep(1, 30), &whole, &[0]), [50]);
        assert_eq!(days(keep(0, 0), &whole, &[0, 40]), [40]);
    }

    #[test]
    fn newer_ones_of_another_kind_take_nobodys_place() {
        let of = |ago, kind| BackupRecord { kind, ..made(ago, true) };
        let mixed = [
            of(1, Kind::KeysOnly),
            of(2, Kind::ConfigOnly),
            of(40, Kind::Full),
            of(41, Kind::KeysOnly),
            of(50, Kind::Full),
        ];
        assert_eq!(days(keep(1, 30), &mixed, &[]), [41, 50]);
    }
}
