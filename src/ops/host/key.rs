//! Letting the operator's SSH key in on a machine that is made known, step by step.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Outcome;
use super::check::{self, Checked};
use crate::db::Store;
use crate::fleet::{self, Fleet, LetIn, sshkey};
use crate::model::{Actor, Host, HostAddress};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::journal::Journal;
use crate::ops::network::change::Mode;

/// How the key is found, and who can be asked.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// The operator's home directory, where his usual key is.
    pub home: Option<PathBuf>,
    /// What a new key is called.
    pub name: String,
    /// Whether somebody sits at the terminal whom ssh and ssh-keygen can ask.
    pub ask: bool,
    /// Whether a key may be made that has no passphrase.
    pub without_passphrase: bool,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is a key.
    Key {
        /// Where its private half is.
        file: PathBuf,
        /// As ssh shows it.
        fingerprint: String,
        /// Whether it was made just now.
        made: bool,
    },
    /// ssh is about to log in by whatever works, and may ask.
    LoggingIn,
    /// The key is let in.
    LetIn(LetIn),
    /// The login works with it.
    Works,
}

/// The key that may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// Where its private half is.
    pub file: PathBuf,
    /// As ssh shows it.
    pub fingerprint: String,
    /// Whether it was made just now.
    pub made: bool,
    /// Whether it was added there; false when it was there already.
    pub added: bool,
    /// The file of authorized keys there.
    pub authorized_keys: String,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct AddedWithKey {
    /// The machine that was added.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The key that may log in.
    pub key: KeyReport,
    /// What the machine has and lacks.
    pub check: Checked,
}

/// Finds or makes a key, lets it in on a machine, tries it, adds the machine, and says what it lacks.
///
/// # Errors
/// When there is no key and none can be made, the login fails, or the name is taken. The machine is added only once the
/// key works.
pub fn add_with_key(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    host: Host,
    request: &KeyRequest,
    told: &mut dyn FnMut(&Step),
) -> Result<AddedWithKey, Error> {
    let HostAddress::Ssh { identity, .. } = &host.address else {
        return Err(Error::value("--install-key", "is for hosts over SSH"));
    };
    let topology = store.topology()?;
    super::refuse_taken(&topology.hosts, &host.name, None)?;
    let (file, made) = find_or_make(identity.as_deref().map(Path::new), request)?;
    let public = sshkey::public_path(&file);
    let key = read(&public)?;
    let fingerprint = sshkey::fingerprint(&public)?;
    told(&Step::Key { file: file.clone(), fingerprint: fingerprint.clone(), made });
    told(&Step::LoggingIn);
    let place = fleet::let_in(&host, &key, request.ask)?;
    told(&Step::LetIn(place.clone()));
    fleet.connect(&host)?;
    told(&Step::Works);
    let outcome = super::add(store, clock, actor, host.clone(), Mode::Save)?;
    let check = check::one(&host, &topology, fleet, clock);
    if place.added && check.system.is_some() {
        let journal = Journal::new(store, clock, actor);
        let mut connection = fleet.connect(&host)?;
        let script = fleet::remember_key(&key, &place);
        journal.run(&host.name, None, connection.as_mut(), &script)?;
    }
    let LetIn { added, file: authorized_keys, .. } = place;
    Ok(AddedWithKey { outcome, key: KeyReport { file, fingerprint, made, added, authorized_keys }, check })
}

fn read(public: &Path) -> Result<sshkey::SshKey, Error> {
    let wrong = |reason: String| Error::value("--identity", format!("{}: {reason}", public.display()));
    let text = std::fs::read_to_string(public).map_err(|e| wrong(e.to_string()))?;
    sshkey::read_public(&text).map_err(|reason| wrong(reason.to_owned()))
}

/// Returns the file of the private key, and whether it was made just now.
fn find_or_make(identity: Option<&Path>, request: &KeyRequest) -> Result<(PathBuf, bool), Error> {
    let usual = |home: &PathBuf| home.join(".ssh").join("id_ed25519");
    let file = identity.map(Path::to_owned).or_else(|| request.home.as_ref().map(usual));
    let file = file.ok_or(Error::MissingAnswer { what: "the file of an SSH key", flag: "--identity FILE" })?;
    if sshkey::public_path(&file).exists() {
        return Ok((file, false));
    }
    if file.exists() {
        let public = sshkey::public_path(&file).display().to_string();
        return Err(Error::Value {
            what: "--identity".into(),
            reason: format!("the private key {} has no public half beside it", file.display()),
            hint: Some(format!("`ssh-keygen -y -f {} > {public}`", file.display())),
        });
    }
    if !request.ask && !request.without_passphrase {
        return Err(Error::RefusedWithRemedy {
            message: format!(
                "there is no SSH key at {}, and no terminal on which to choose its passphrase",
                file.display()
            ),
            hint: "name a key with --identity FILE, or let one be made without a passphrase with --yes".into(),
        });
    }
    if let Some(directory) = file.parent() {
        make_directory(directory).map_err(|source| Error::Unwritable { path: directory.to_owned(), source })?;
    }
    sshkey::make(&file, &request.name, request.ask && !request.without_passphrase)?;
    Ok((file, true))
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(home: &Path, without_passphrase: bool) -> KeyRequest {
        KeyRequest { home: Some(home.to_owned()), name: "tester@wg-friend".into(), ask: false, without_passphrase }
    }

    #[test]
    fn a_key_that_is_there_is_used_and_none_is_made_behind_anybodys_back() {
        let home = tempfile::tempdir().unwrap();
        let missing = find_or_make(None, &request(home.path(), false)).unwrap_err();
        assert!(missing.hint().unwrap().contains("--yes"));
        assert!(!home.path().join(".ssh").exists());
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh/id_ed25519.pub"), "ssh-ed25519 AAAA").unwrap();
        let (file, made) = find_or_make(None, &request(home.path(), false)).unwrap();
        assert_eq!((file, made), (home.path().join(".ssh/id_ed25519"), false));
    }

    #[test]
    fn a_private_key_without_its_public_half_is_not_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("key");
        std::fs::write(&file, "private").unwrap();
        let error = find_or_make(Some(&file), &request(home.path(), true)).unwrap_err();
        assert!(error.hint().unwrap().contains("ssh-keygen -y"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "private");
    }
}
