//! What a new incremental backup builds on, and how it differs from that.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use wg_friend_crypt::DataKey;

use super::base::{Bases, called};
use super::copies::whole_copies;
use super::unpack::damaged;
use super::{DATABASE, digest, open};
use crate::db::archive::{Base, BaseName, Comparison, Delta, Kind, Lock, What};
use crate::db::{self, BackupRecord, Passphrase, Scratch, Store};
use crate::ops::Error;

/// How much earlier than wanted a full one is due: a timer that begins a little earlier than the last time isn't to wait for
/// another day.
const EARLIER: TimeDelta = TimeDelta::hours(12);

/// A full backup that a new one can build on.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Its name.
    pub(super) name: BaseName,
    file: PathBuf,
    key: DataKey,
}

/// Finds the newest full backup that a new one in a directory can build on, or says why it can build on none. Both open with
/// the same, and lie together: what takes two passphrases to be restored, or two disks, is lost with either. One that the clock
/// of another day has dated in the future is no newest one: it would stay that for ever.
pub(super) fn choose(
    store: &Store,
    own: Option<&Passphrase>,
    directory: &Path,
    full_every: Option<u32>,
    now: DateTime<Utc>,
) -> Result<Result<Chosen, String>, Error> {
    let known = store.backups()?;
    let mut why = None;
    for record in known.iter().filter(|record| record.kind == Kind::Full && record.created <= now) {
        let name = BaseName { id: record.id.clone(), created: record.created };
        match usable(store, record, own, directory)? {
            Ok((file, key)) => {
                let is_due = |days: &u32| now - name.created >= TimeDelta::days((*days).into()) - EARLIER;
                return Ok(match full_every.filter(is_due) {
                    Some(days) => {
                        Err(format!("a full one is due every {days} days, and the newest is {}", called(&name)))
                    }
                    None => Ok(Chosen { name, file, key }),
                });
            }
            Err(reason) => _ = why.get_or_insert_with(|| format!("the newest full one, {}, {reason}", called(&name))),
        }
    }
    Ok(Err(why.unwrap_or_else(|| "there is no full one yet".into())))
}

/// Whether something can build on a backup: its file and its key, or what keeps it from that.
fn usable(
    store: &Store,
    record: &BackupRecord,
    own: Option<&Passphrase>,
    directory: &Path,
) -> Result<Result<(PathBuf, DataKey), &'static str>, Error> {
    let whole: Vec<PathBuf> = whole_copies(record).collect();
    let Some(file) = whole.iter().find(|file| file.parent() == Some(directory)).cloned() else {
        return Ok(Err(if whole.is_empty() { "has no whole copy on this machine" } else { "lies elsewhere" }));
    };
    let opened = open(&file)?;
    let header = opened.header().clone();
    if header.id != record.id || header.database != store.id() {
        return Ok(Err("is of another database"));
    }
    let key = match (header.lock, own) {
        (Lock::Vault, None) => store.data_key().duplicate(),
        (Lock::Own, Some(own)) => match header.key(own)? {
            Some(key) => key,
            None => return Ok(Err("has another passphrase")),
        },
        (Lock::Own, None) => return Ok(Err("has a passphrase of its own, and this one hasn't")),
        (Lock::Vault, Some(_)) => return Ok(Err("has no passphrase of its own, and this one has")),
    };
    match opened.content(&key) {
        Ok(_) => Ok(Ok((file, key))),
        Err(db::Error::BackupDamaged { .. }) => Ok(Err("is from before the database was rekeyed")),
        Err(other) => Err(other.into()),
    }
}

impl Chosen {
    /// Compares the copy of the database in a scratch directory with what this backup holds.
    pub(super) fn compare(&self, scratch: &Scratch) -> Result<(Delta, Base), Error> {
        let mut content = open(&self.file)?.content(&self.key)?;
        // The database is the first part of a full one.
        let compared = content.next(|_| Comparison::of(scratch.edit(DATABASE)?))?;
        let (part, comparison) = compared
            .filter(|(part, _)| part.what == What::Database)
            .ok_or_else(|| damaged("it doesn't begin with the database"))?;
        let delta = comparison.finish();
        let base = Base {
            id: self.name.id.clone(),
            sha256: part.sha256,
            page_size: delta.page_size(),
            pages: delta.pages(),
            result: digest(&scratch.file(DATABASE))?.1,
        };
        Ok((delta, base))
    }

    /// Returns it as what is read together with a backup that builds on it.
    pub(super) fn as_bases(&self) -> Bases {
        Bases { files: vec![self.file.clone()], key: self.key.duplicate(), own: None }
    }

    /// Sees that nobody has removed it meanwhile.
    pub(super) fn is_still_there(&self, store: &Store) -> Result<(), Error> {
        let is_known = store.backups()?.iter().any(|record| record.id == self.name.id);
        if is_known && self.file.is_file() {
            return Ok(());
        }
        Err(Error::RefusedWithRemedy {
            message: format!("the backup {}, on which this one builds, was removed meanwhile", called(&self.name)),
            hint: "try again".into(),
        })
    }
}
