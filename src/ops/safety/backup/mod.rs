//! Backups: made of one moment while others write, proven before they count, restored whole or not at all.

mod base;
mod copies;
mod create;
mod increment;
mod look;
pub mod merge;
mod prove;
mod prune;
mod restore;
mod restore_keys;
mod snapshot;
#[cfg(test)]
mod tests;
mod unpack;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use copies::{Kept, Listed, Target, list, push};
pub use create::{Made, Pages, Request as CreateRequest, create};
pub use look::{Seen, look};
pub use prove::{Request as VerifyRequest, Verdict, verify};
pub use prune::{Needed, Pruned, Retention, prune};
pub use restore::{Mode, Replaced, Request as RestoreRequest, Restored, restore};
pub use restore_keys::KeysRestored;

use crate::db::archive::{self, Header, Lock, Opened};
use crate::db::{self, BackupRecord, Database, Passphrase, keyring};
use crate::ops::Error;
use crate::ops::safety::unlock::Sources;
use base::{Bases, Source};
use unpack::Unlocked;
use wg_friend_crypt::DataKey;

/// What the names of backups end with.
pub const EXTENSION: &str = "wgfb";

/// What the database is called inside of a backup and where one is unpacked.
const DATABASE: &str = "wg-friend.db";

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Unreadable { path, source }
}

/// Opens a file that may be a backup, and reads its header.
fn open(path: &Path) -> Result<Opened, Error> {
    let file = File::open(path).map_err(unreadable(path))?;
    Ok(archive::open(BufReader::new(file))?)
}

/// Returns the length of a file and its SHA-256 in hexadecimal.
fn digest(path: &Path) -> Result<(u64, String), Error> {
    digest_of(File::open(path).map_err(unreadable(path))?, path)
}

/// Returns the length of what is read, of the file at `path`, and its SHA-256 in hexadecimal.
fn digest_of(mut content: impl Read, path: &Path) -> Result<(u64, String), Error> {
    let (mut hash, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = content.read(&mut buffer).map_err(unreadable(path))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
    Ok((length, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// What may open a backup: keys that are at hand, and where a passphrase may come from.
#[derive(Debug)]
pub struct Keys<'a> {
    /// Where the passphrase of the database may come from.
    pub sources: &'a Sources<'a>,
    /// Where the passphrase of a backup that has its own may come from.
    pub own: &'a Sources<'a>,
}

/// How often somebody may mistype.
const ATTEMPTS: usize = 3;

impl Keys<'_> {
    /// Opens the contents of a backup.
    ///
    /// # Errors
    /// As [`Keys::base`]; one that is damaged.
    fn unlock(&self, opened: Opened, source: &Source<'_>) -> Result<Unlocked, Error> {
        let files = match &opened.header().base {
            Some(wanted) => Some(source.bases(wanted)?),
            None if source.base.is_some() => {
                return Err(Error::value("--base", "this backup is no incremental one, and builds on no other"));
            }
            None => None,
        };
        let (key, own) = self.base(&opened, source.file)?;
        let bases = files.map(|files| Bases { files, key: key.duplicate(), own });
        Unlocked::new(opened, key, bases)
    }

    /// Finds the base key of a backup: in the kernel's keyring, else with a passphrase, which is returned too if it is the
    /// backup's own.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::BackupLocked`] when there is none; a wrong passphrase, after some attempts if there is somebody to ask.
    fn base(&self, opened: &Opened, path: &Path) -> Result<(DataKey, Option<Passphrase>), Error> {
        let header = opened.header();
        let sources = match header.lock {
            Lock::Own => self.own,
            Lock::Vault => {
                if let Some(key) = keyring::recall(&header.database)
                    && opens(path, &key)?
                {
                    return Ok((key, None));
                }
                self.sources
            }
        };
        let try_one = |given: Passphrase| {
            let key = header.key(&given)?.ok_or(db::Error::WrongPassphrase)?;
            Ok((key, Some(given).filter(|_| header.lock == Lock::Own)))
        };
        if let Some(given) = sources.at_hand()? {
            return try_one(given).map_err(db::Error::into);
        }
        let none = || if header.lock == Lock::Own { Error::BackupLocked } else { Error::Locked };
        let ask = sources.ask.ok_or_else(none)?;
        let mut attempt = 0;
        loop {
            match try_one(Passphrase::new(ask(attempt)?)) {
                Err(db::Error::WrongPassphrase) if attempt + 1 < ATTEMPTS => attempt += 1,
                outcome => return outcome.map_err(db::Error::into),
            }
        }
    }
}

/// Whether a key opens a backup. The database may have been rekeyed since.
fn opens(path: &Path, key: &DataKey) -> Result<bool, Error> {
    match open(path)?.content(key) {
        Ok(_) => Ok(true),
        Err(db::Error::BackupDamaged { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Finds the file of a backup by its path, or of one that was made by its id or the beginning of it.
///
/// # Errors
/// When there is neither, or several ids begin like that.
pub fn find(database: Option<&Database>, name: &str) -> Result<PathBuf, Error> {
    if Path::new(name).exists() || name.contains('/') {
        return Ok(name.into());
    }
    let record = record(&known(database)?, name)?.clone();
    let here = record.copies.iter().filter(|copy| copy.host.is_none());
    let mut here: Vec<&PathBuf> = here.map(|copy| &copy.path).collect();
    // The first that is what was written; else one that is there at least, to say what is wrong with it.
    here.sort_by_cached_key(|path| {
        let is_whole = digest(path).is_ok_and(|(_, sha256)| sha256 == record.sha256);
        (!is_whole, !path.exists())
    });
    here.first().map(|path| (*path).clone()).ok_or_else(|| Error::RefusedWithRemedy {
        message: format!("no copy of the backup {} is on this machine", &record.id[..8]),
        hint: "`wg-friend backup list` says on which hosts there are copies: fetch one, and name its file".into(),
    })
}

fn known(database: Option<&Database>) -> Result<Vec<BackupRecord>, Error> {
    Ok(database.map(Database::backups).transpose()?.unwrap_or_default())
}

/// Returns what is known of a backup that was named by its id, and not by its file.
///
/// # Errors
/// As [`find`].
pub fn by_id(database: Option<&Database>, name: &str) -> Result<Option<BackupRecord>, Error> {
    if Path::new(name).exists() || name.contains('/') {
        return Ok(None);
    }
    record(&known(database)?, name).cloned().map(Some)
}

/// Finds a backup that was made by the beginning of its id.
fn record<'a>(known: &'a [BackupRecord], id: &str) -> Result<&'a BackupRecord, Error> {
    let hint = "`wg-friend backup list` shows those that were made";
    let mut found = known.iter().filter(|record| id.len() >= 4 && record.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(Error::RefusedWithRemedy {
            message: format!("the ids of several backups begin with `{id}`"),
            hint: "give more characters".into(),
        }),
        (None, _) => Err(Error::UnknownName { what: "backup or file", name: id.into(), similar: Vec::new(), hint }),
    }
}

/// What the header of a backup says, for reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its random name.
    pub id: String,
    /// The moment that it shows.
    pub created: chrono::DateTime<chrono::Utc>,
    /// What it has of the database.
    pub kind: archive::Kind,
    /// The version of wg-friend that made it.
    pub version: String,
    /// The random name of its database.
    pub database: String,
    /// What opens it.
    pub lock: Lock,
    /// The random name of the full one that it builds on, if it does.
    pub base: Option<String>,
}

impl From<&Header> for About {
    fn from(header: &Header) -> Self {
        Self {
            id: header.id.clone(),
            created: header.created,
            kind: header.kind,
            version: header.version.clone(),
            database: header.database.clone(),
            lock: header.lock,
            base: header.base.as_ref().map(|base| base.id.clone()),
        }
    }
}
