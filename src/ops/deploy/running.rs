//! Who is deploying from this database right now: a lock beside it, which the kernel takes back however a process ends.
//!
//! A deployment that was begun and not ended was interrupted, unless whoever began it is still at work.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::db;

/// Held for as long as it lives.
pub(super) struct Running {
    _lock: File,
}

fn path_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".deploying");
    PathBuf::from(name)
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Says that this process deploys. Others may at the same time; only somebody who finds out what became of interrupted
/// deploys is waited for.
pub(super) fn begin(database: &Path) -> Result<Running, db::Error> {
    let path = path_of(database);
    let lock = open(&path).and_then(|file| file.lock_shared().map(|()| file));
    let failed = |source| db::Error::Io { action: "lock", path, source };
    lock.map(|lock| Running { _lock: lock }).map_err(failed)
}

/// Makes sure that nobody deploys while the result lives; `None` when somebody does, or when that can't be told.
pub(super) fn nobody(database: &Path) -> Option<Running> {
    let file = open(&path_of(database)).ok()?;
    file.try_lock().ok()?;
    Some(Running { _lock: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_deploys_is_seen_until_he_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("a.db");
        assert!(nobody(&database).is_some());
        let (one, two) = (begin(&database).unwrap(), begin(&database).unwrap());
        assert!(nobody(&database).is_none());
        drop(one);
        assert!(nobody(&database).is_none());
        drop(two);
        assert!(nobody(&database).is_some());
    }
}
