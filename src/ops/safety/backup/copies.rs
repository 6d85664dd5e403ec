//! The backups that were made: where each copy is, and putting further ones elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::look::{NOT_THERE, look_at};
use super::{digest, open, record, unreadable};
use crate::db::archive;
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
    /// Whether what it builds on is gone: nothing is known of it any more, or no copy is where it was put.
    pub lacks_base: bool,
}

/// Lists the backups that were made, newest first. Needs no passphrase.
///
/// # Errors
/// When the database can't be read.
pub fn list(database: &Database) -> Result<Vec<Listed>, Error> {
    let known = database.backups()?;
    let is_missing = |copy: &&BackupCopy| copy.host.is_none() && !copy.path.exists();
    let listed = |record: &BackupRecord| Listed {
        missing: record.copies.iter().filter(is_missing).map(|copy| copy.path.clone()).collect(),
        lacks_base: record.base.as_ref().is_some_and(|base| {
            let base = known.iter().find(|known| known.id == *base);
            base.is_none_or(|base| base.copies.iter().all(|copy| is_missing(&copy)))
        }),
        record: record.clone(),
    };
    Ok(known.iter().map(listed).collect())
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
    /// What it builds on, if that had to come along.
    pub base: Option<Box<Self>>,
}

/// Puts a copy of a backup elsewhere, and reads it back there before it counts. What it builds on comes along, and first,
/// unless it is there.
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
    let place = Place::of(store, target)?;
    let mut base = None;
    if let Some(id) = &record.base {
        let needed = known.iter().find(|known| known.id == *id).ok_or_else(|| Error::RefusedWithRemedy {
            message: format!(
                "the backup {} builds on {}, of which nothing is known here any more",
                &record.id[..8],
                &id[..8]
            ),
            hint: "make a new one with `wg-friend backup create`".into(),
        })?;
        if !place.has(needed, store, fleet)? {
            base = Some(Box::new(push_alone(store, fleet, clock, actor, (needed, &place), preview)?));
        }
    }
    let kept = push_alone(store, fleet, clock, actor, (record, &place), preview)?;
    Ok(Kept { base, ..kept })
}

/// Where a further copy goes, found.
enum Place {
    Here(PathBuf),
    There(Box<Host>, PathBuf),
}

impl Place {
    fn of(database: &Database, target: &Target) -> Result<Self, Error> {
        Ok(match target {
            // Under the name by which it is found again, whichever way somebody comes to it.
            Target::Directory(directory) => Self::Here(directory.canonicalize().unwrap_or_else(|_| directory.clone())),
            Target::Host { host, directory } => {
                let hosts = database.hosts()?;
                let host = find::host_among(&hosts, host)?.clone();
                Self::There(Box::new(host), PathBuf::from(format!("{}/", directory.trim_end_matches('/'))))
            }
        })
    }

    fn host(&self) -> Option<&Host> {
        match self {
            Self::Here(_) => None,
            Self::There(host, _) => Some(host),
        }
    }

    fn directory(&self) -> &Path {
        match self {
            Self::Here(directory) | Self::There(_, directory) => directory,
        }
    }

    /// Whether a copy of a backup is there already, and is what was written; on this machine also one that somebody has put there.
    /// What was once brought to a host may be gone since.
    fn has(&self, record: &BackupRecord, database: &Database, fleet: &dyn Fleet) -> Result<bool, Error> {
        let Some(host) = self.host() else {
            let is_it = |name: &std::ffi::OsStr| {
                digest(&self.directory().join(name)).is_ok_and(|(_, sha256)| sha256 == record.sha256)
            };
            return Ok(record.copies.iter().filter_map(|copy| copy.path.file_name()).any(is_it));
        };
        let is_here = |copy: &&BackupCopy| {
            copy.host.as_deref() == Some(host.name.as_str()) && copy.path.parent() == Some(self.directory())
        };
        let Some(copy) = record.copies.iter().find(is_here) else { return Ok(false) };
        let seen = look_at(record, copy, &database.hosts()?, fleet);
        match seen.fault {
            None => Ok(true),
            Some(fault) if seen.reached && fault == NOT_THERE => Ok(false),
            Some(fault) => Err(Error::RefusedWithRemedy {
                message: format!("what it builds on, {} on {}: {fault}", copy.path.display(), host.name),
                hint: format!("once that is settled, `wg-friend backup push {}` brings both there", &record.id[..8]),
            }),
        }
    }
}

/// Puts a copy of one backup elsewhere.
fn push_alone(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &dyn Clock,
    actor: &Actor,
    (record, place): (&BackupRecord, &Place),
    preview: bool,
) -> Result<Kept, Error> {
    let source = whole_copy(record)?;
    let (host, path) = (place.host(), place.directory().join(source.file_name().unwrap_or_default()));
    let host_name = host.map(|host| host.name.to_string());
    let mut kept =
        Kept { id: record.id.clone(), host: host_name.clone(), path: path.clone(), saved: false, base: None };
    if preview {
        return Ok(kept);
    }
    match host {
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
    whole_copies(record).next().ok_or_else(|| Error::RefusedWithRemedy {
        message: format!("no whole copy of the backup {} is on this machine", &record.id[..8]),
        hint: "make a new one with `wg-friend backup create`".into(),
    })
}

/// Returns the copies on this machine that are what was written. One that can't be read is none.
pub(super) fn whole_copies(record: &BackupRecord) -> impl Iterator<Item = PathBuf> {
    let here = record.copies.iter().filter(|copy| copy.host.is_none() && copy.path.exists());
    let is_whole = |path: &PathBuf| digest(path).is_ok_and(|(_, sha256)| sha256 == record.sha256);
    here.map(|copy| copy.path.clone()).filter(is_whole)
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
