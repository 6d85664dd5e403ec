//! Opening the database and unlocking it, from whatever gives the passphrase.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::db::{self, DataKey, Database, Passphrase, Store, keyring};
use crate::model::Actor;
use crate::ops::Error;
use crate::ops::clock::Clock;

/// How often somebody may mistype before the command ends.
const ATTEMPTS: usize = 3;

/// Asks somebody for the passphrase; the argument says which attempt it is, from 0.
pub type Ask<'a> = &'a dyn Fn(usize) -> Result<Zeroizing<String>, Error>;

/// Where a passphrase may come from, in this order. The kernel's keyring comes before all of them.
#[derive(Default)]
pub struct Sources<'a> {
    /// The key of the unlocked database, from the screens. It comes before everything else.
    pub held: Option<DataKey>,
    /// A file that was named on the command line; its first line counts.
    pub file: Option<PathBuf>,
    /// The value of `WG_FRIEND_PASSPHRASE`.
    pub environment: Option<Zeroizing<String>>,
    /// The directory of systemd's credentials (systemd.exec(5)), in which `wg-friend-passphrase` may be.
    pub credentials: Option<PathBuf>,
    /// Somebody at a terminal.
    pub ask: Option<Ask<'a>>,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl Sources<'_> {
    /// Returns the passphrase that needs nobody to type it, if there is one.
    pub fn at_hand(&self) -> Result<Option<Passphrase>, Error> {
        if let Some(path) = &self.file {
            return first_line(path).map(|line| Some(Passphrase::new(line)));
        }
        if let Some(text) = &self.environment {
            return Ok(Some(Passphrase::new(text.clone())));
        }
        let credential = self.credentials.as_ref().map(|dir| dir.join("wg-friend-passphrase"));
        match credential.filter(|path| path.exists()) {
            Some(path) => first_line(&path).map(|line| Some(Passphrase::new(line))),
            None => Ok(None),
        }
    }
}

/// Reads the first line of a file that holds a passphrase.
pub fn first_line(path: &Path) -> Result<Zeroizing<String>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Opens the database, locked: enough for everything that isn't secret.
pub fn open(path: &Path) -> Result<Database, Error> {
    Ok(Database::open(path)?)
}

/// Opens and unlocks the database: with the key in the kernel's keyring, else with a passphrase from `sources`. One that
/// isn't encrypted needs neither.
///
/// # Errors
/// [`Error::Locked`] when there is none; a wrong passphrase, after some attempts if there is somebody to ask.
pub fn unlock(path: &Path, sources: &Sources<'_>, actor: &Actor, clock: &dyn Clock) -> Result<Store, Error> {
    let database = open(path)?;
    if let Some(key) = database.plain_key()? {
        return Ok(database.unlock_with(key)?);
    }
    let held = sources.held.as_ref().map(DataKey::duplicate);
    if let Some(key) = held.or_else(|| keyring::recall(database.id())) {
        match database.unlock_with(key) {
            Err(db::Error::Locked) => {} // the database has been rekeyed since
            outcome => return Ok(outcome?),
        }
    }
    with_passphrase(path, sources, actor, clock).map(|(store, _)| store)
}

/// Unlocks a database that needs no passphrase now: its key lies in it, or in the kernel's keyring. `None` for any other.
///
/// # Errors
/// When the database is damaged.
pub fn already(database: Database) -> Result<Option<Store>, Error> {
    if let Some(key) = database.plain_key()? {
        return Ok(Some(database.unlock_with(key)?));
    }
    match database.unlock_from_keyring() {
        Ok(store) => Ok(Some(store)),
        Err(db::Error::Locked) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Opens and unlocks the database with a passphrase, whatever the keyring holds. Returns the passphrase too.
pub fn with_passphrase(
    path: &Path,
    sources: &Sources<'_>,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<(Store, Passphrase), Error> {
    let now = clock.now();
    open_with(path, sources, &|database, passphrase| database.unlock(passphrase, actor, now))
}

/// How a database is unlocked with a passphrase.
type Unlock<'a> = &'a dyn Fn(Database, &Passphrase) -> db::Result<Store>;

fn open_with(path: &Path, sources: &Sources<'_>, unlock: Unlock<'_>) -> Result<(Store, Passphrase), Error> {
    if !open(path)?.is_encrypted()? {
        return Err(db::Error::Unencrypted.into()); // before anybody is asked for what doesn't exist
    }
    if let Some(passphrase) = sources.at_hand()? {
        let store = unlock(open(path)?, &passphrase)?;
        return Ok((store, passphrase));
    }
    let ask = sources.ask.ok_or(Error::Locked)?;
    let mut attempt = 0;
    loop {
        let passphrase = Passphrase::new(ask(attempt)?);
        match unlock(open(path)?, &passphrase) {
            Ok(store) => return Ok((store, passphrase)),
            Err(db::Error::WrongPassphrase) if attempt + 1 < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// What `unlock` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remembered {
    /// The database.
    pub database: PathBuf,
    /// When the kernel forgets the key; `None` for a database that isn't encrypted, which leaves nothing to unlock.
    pub until: Option<DateTime<Utc>>,
}

/// Unlocks the database and leaves its key in the kernel's keyring for a while.
pub fn remember(
    path: &Path,
    sources: &Sources<'_>,
    duration: Duration,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<Remembered, Error> {
    let seconds = chrono::TimeDelta::from_std(duration).map_err(|_| Error::value("--for", "is too long"))?;
    if !open(path)?.is_encrypted()? {
        return Ok(Remembered { database: path.to_owned(), until: None });
    }
    let now = clock.now();
    open_with(path, sources, &|database, passphrase| database.unlock_for(passphrase, duration, actor, now))?;
    Ok(Remembered { database: path.to_owned(), until: Some(now + seconds) })
}

/// What `lock` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Whether the kernel's keyring held the key.
    pub was_unlocked: bool,
    /// Whether the database is encrypted: one that isn't can't be locked.
    pub encrypted: bool,
}

/// Takes the key out of the kernel's keyring.
pub fn forget(path: &Path) -> Result<Forgotten, Error> {
    let database = open(path)?;
    Ok(Forgotten { was_unlocked: database.forget(), encrypted: database.is_encrypted()? })
}
