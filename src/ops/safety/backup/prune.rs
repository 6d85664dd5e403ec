//! Removing old backups, and never what another one needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{EXTENSION, open};
use crate::db::archive::{self, Kind};
use crate::db::{BackupCopy, BackupRecord, Store};
use crate::fleet::{self, Fleet};
use crate::model::{Action, Actor, Event, Host};
use crate::ops::Error;
use crate::ops::clock::Clock;

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
    /// newest one of each kind that is whole and there, with what it builds on, stays in any case. Those that build on others
    /// come first.
    fn goes<'r>(
        self,
        records: &'r [BackupRecord],
        now: DateTime<Utc>,
        is_there: &dyn Fn(&BackupRecord, &BackupCopy) -> bool,
    ) -> Vec<&'r BackupRecord> {
        let oldest = now - TimeDelta::days(self.keep_days.into());
        let is_whole_itself = |record: &BackupRecord| {
            let mut found = record.copies.iter().filter(|copy| copy.verified.is_some() && copy.fault.is_none());
            found.any(|copy| is_there(record, copy))
        };
        let is_whole = |record: &BackupRecord| {
            let base = record.base.as_ref().map(|base| records.iter().find(|record| record.id == *base));
            is_whole_itself(record) && base.is_none_or(|base| base.is_some_and(is_whole_itself))
        };
        let mut goes = Vec::new();
        for kind in Kind::ALL {
            let of_kind: Vec<&BackupRecord> = records.iter().filter(|record| record.kind == kind).collect();
            let newest_whole = of_kind.iter().position(|record| is_whole(record));
            let old = of_kind.into_iter().enumerate().skip(self.keep_last);
            goes.extend(old.filter(|(at, record)| record.created < oldest && Some(*at) != newest_whole));
        }
        goes.sort_by_key(|(_, record)| (record.base.is_none(), std::cmp::Reverse(record.created)));
        goes.into_iter().map(|(_, record)| record).collect()
    }
}

/// Returns the random names of the backups that build on one and aren't gone.
fn needed_by(record: &BackupRecord, records: &[BackupRecord], gone: &BTreeSet<String>) -> Vec<String> {
    let builds_on_it = |other: &&BackupRecord| other.base.as_ref() == Some(&record.id) && !gone.contains(&other.id);
    records.iter().filter(builds_on_it).map(|other| other.id.clone()).collect()
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
    /// Old full ones that stay, since incremental ones build on them.
    pub needed: Vec<Needed>,
    /// How many backups stay.
    pub kept: usize,
}

/// An old backup that stays for others that build on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// Its random name.
    pub id: String,
    /// The moment that it shows.
    pub created: DateTime<Utc>,
    /// The random names of those that build on it.
    pub by: Vec<String>,
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

/// Removes old backups, wherever their copies are. What isn't the file that was put there stays, and so does what another
/// one builds on that stays.
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
    let (mut removed, mut needed, mut gone) = (Vec::new(), Vec::new(), BTreeSet::new());
    for record in goes {
        // Asked each time: another one may have been made meanwhile.
        let by = needed_by(record, &store.backups()?, &gone);
        if !by.is_empty() {
            needed.push(Needed { id: record.id.clone(), created: record.created, by });
            continue;
        }
        let remove = |copy: &BackupCopy| match builder_beside(record, copy, &gone) {
            Some(file) => Gone::not(record, copy, format!("{} builds on it", file.display())),
            None => remove(record, copy, &hosts, fleet, retention, preview),
        };
        let copies: Vec<Gone> = record.copies.iter().map(remove).collect();
        if copies.iter().all(|copy| copy.fault.is_none()) {
            gone.insert(record.id.clone());
        }
        removed.extend(copies);
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
    let kept = records.iter().filter(|record| !gone.contains(&record.id)).count();
    Ok(Pruned { saved: !preview, kept, removed, needed })
}

impl Gone {
    /// A copy that stays, and why.
    fn not(record: &BackupRecord, copy: &BackupCopy, fault: String) -> Self {
        let (id, created, host, path) = (record.id.clone(), record.created, copy.host.clone(), copy.path.clone());
        Self { id, created, host, path, forgotten: None, fault: Some(fault) }
    }
}

/// Returns a file beside a full backup that builds on it: another copy of the database may have made it, of which nothing is known
/// here.
fn builder_beside(record: &BackupRecord, copy: &BackupCopy, gone: &BTreeSet<String>) -> Option<PathBuf> {
    let directory = copy.path.parent().filter(|_| copy.host.is_none() && record.kind == Kind::Full)?;
    let files = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let mut files = files.filter(|path| path.is_file() && path.extension().is_some_and(|name| name == EXTENSION));
    files.find(|path| {
        let header = open(path).map(|opened| opened.header().clone());
        header.is_ok_and(|header| header.base.is_some_and(|base| base.id == record.id) && !gone.contains(&header.id))
    })
}

/// Removes a copy, if it can be done.
fn remove(
    record: &BackupRecord,
    copy: &BackupCopy,
    hosts: &[Host],
    fleet: &dyn Fleet,
    retention: Retention,
    preview: bool,
) -> Gone {
    let (forgotten, fault) = match way(copy, hosts, retention) {
        Way::Forget(reason) => (Some(reason), None),
        Way::Nothing(reason) => (None, Some(reason)),
        Way::Here | Way::There(_) if preview => (None, None),
        Way::Here => (None, remove_here(record, copy).err().map(|fault| fault.to_string())),
        Way::There(host) => (None, remove_there(record, copy, host, fleet).err().map(|fault| fault.to_string())),
    };
    Gone {
        id: record.id.clone(),
        created: record.created,
        host: copy.host.clone(),
        path: copy.path.clone(),
        forgotten,
        fault,
    }
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
            base: None,
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

    /// One that builds on another.
    fn on(base: &BackupRecord, days_ago: i64, whole: bool) -> BackupRecord {
        BackupRecord { kind: Kind::Incremental, base: Some(base.id.clone()), ..made(days_ago, whole) }
    }

    #[test]
    fn what_builds_on_others_goes_first_and_is_whole_only_with_what_it_builds_on() {
        let [gone, old] = [made(70, true), made(60, true)];
        let records = [made(1, true), on(&old, 40, true), on(&gone, 50, true), on(&old, 55, true), old];
        assert_eq!(days(keep(0, 30), &records, &[]), [50, 55, 60]);
        assert_eq!(days(keep(0, 30), &records[2..], &[]), [50], "the base of the newest that is whole isn't there");
        assert_eq!(days(keep(0, 30), &records, &[60]), [40, 50, 55, 60], "none is whole any more");
    }

    #[test]
    fn a_full_one_is_needed_as_long_as_one_that_builds_on_it_is_there() {
        let full = made(60, true);
        let records = [on(&full, 40, true), on(&full, 50, false), full.clone()];
        let gone = |ago: &[usize]| ago.iter().map(|at| records[*at].id.clone()).collect();
        assert_eq!(needed_by(&full, &records, &gone(&[])), [records[0].id.clone(), records[1].id.clone()]);
        assert_eq!(needed_by(&full, &records, &gone(&[0])), [records[1].id.clone()]);
        assert_eq!(needed_by(&full, &records, &gone(&[0, 1])), [""; 0]);
    }
}
