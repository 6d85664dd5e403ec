//! Looking at every copy of a backup: on this machine, on its other disks, on hosts.

use std::path::PathBuf;

use serde::Serialize;

use super::digest;
use crate::db::archive;
use crate::db::{BackupCopy, BackupRecord, Database};
use crate::fleet::{self, Fleet};
use crate::model::Host;
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What is said of a copy that is gone; hosts say it in the same words.
pub(super) const NOT_THERE: &str = "it is not there";

/// A copy that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// On which host; `None` on this machine.
    pub host: Option<String>,
    /// Where there.
    pub path: PathBuf,
    /// Whether it could be looked at: a host may be out of reach.
    pub reached: bool,
    /// Whether it is what was written.
    pub whole: bool,
    /// What is wrong with it, or why it couldn't be looked at.
    pub fault: Option<String>,
}

/// Looks at every copy of a backup, and notes in the database what came of each that was reached.
///
/// # Errors
/// When the database can't be read or written. What is wrong with a copy is no error.
pub fn look(
    database: &Database,
    fleet: &dyn Fleet,
    clock: &dyn Clock,
    record: &BackupRecord,
) -> Result<Vec<Seen>, Error> {
    let hosts = database.hosts()?;
    let mut seen = Vec::new();
    for copy in &record.copies {
        let one = look_at(record, copy, &hosts, fleet);
        if one.reached {
            let place = (one.host.as_deref(), one.path.as_path());
            database.note_verified(Some(&record.id), place, clock.now(), one.fault.as_deref())?;
        }
        seen.push(one);
    }
    Ok(seen)
}

/// Looks at one copy.
pub(super) fn look_at(record: &BackupRecord, copy: &BackupCopy, hosts: &[Host], fleet: &dyn Fleet) -> Seen {
    let of = |reached, fault: Option<String>| Seen {
        host: copy.host.clone(),
        path: copy.path.clone(),
        reached,
        whole: reached && fault.is_none(),
        fault,
    };
    let Some(name) = &copy.host else { return of(true, fault_here(record, copy)) };
    let Some(host) = hosts.iter().find(|host| host.name.as_str() == name) else {
        return of(false, Some("there is no such host any more".into()));
    };
    let script = fleet::look_at_backup(&copy.path, &archive::first_line(&record.id), &record.sha256);
    let answer = fleet.connect(host).and_then(|mut connection| connection.run(&script));
    match answer.and_then(|answer| fleet::read_seen_backup(host, &answer)) {
        Ok(fault) => of(true, fault),
        Err(error) => of(false, Some(error.to_string())),
    }
}

/// Says what is wrong with a copy on this machine.
fn fault_here(record: &BackupRecord, copy: &BackupCopy) -> Option<String> {
    if !copy.path.exists() {
        return Some(NOT_THERE.into());
    }
    match digest(&copy.path) {
        Ok((_, sha256)) if sha256 == record.sha256 => None,
        Ok((length, _)) if i64::try_from(length) != Ok(record.size) => {
            Some(format!("it is not what was written: it has {length} bytes instead of {}", record.size))
        }
        Ok(_) => Some("it is not what was written".into()),
        Err(error) => Some(error.to_string()),
    }
}
