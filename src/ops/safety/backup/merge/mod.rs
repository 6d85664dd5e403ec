//! Merging a backup: two copies of one database went on by themselves, and become one again. What is decided, and why, stands
//! in `decide`; here the backup is opened, and the outcome carried out as one change.

mod bring;
mod carry;
mod clash;
mod decide;
mod ends;
mod hosts;
mod join;
mod numbers;
mod settle;
#[cfg(test)]
mod tests;
mod together;
mod tries;

use std::path::{Path, PathBuf};

use chrono::SecondsFormat;
use serde::Serialize;

pub use decide::{Fate, Left, Prefer};

use super::base::Source;
use super::prove::{check_part, examine};
use super::restore::{copy_before, unlock_inside};
use super::{About, Keys, open};
use crate::db::archive::Header;
use crate::db::{self, Database, MADE, Scratch, Store};
use crate::model::{Action, Actor, Event, Name};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::history::Changed;
use crate::ops::safety::unlock;

/// Which backup to merge, and into what.
#[derive(Debug)]
pub struct Request<'a> {
    /// The file of the backup.
    pub file: &'a Path,
    /// The full backup that it builds on, if somebody named it.
    pub base: Option<&'a Path>,
    /// The database.
    pub database: &'a Path,
    /// What may open the backup, and both vaults.
    pub keys: Keys<'a>,
    /// Which side counts where both have something and it differs.
    pub prefer: Prefer,
    /// Whether only to say what would be done.
    pub preview: bool,
}

/// Something that differs from before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Brought {
    /// In which network; a host is in none.
    pub network: Option<Name>,
    /// What.
    #[serde(flatten)]
    pub change: Changed,
}

/// What merging came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Merge {
    /// What the backup's header says.
    #[serde(flatten)]
    pub about: About,
    /// What was done: `merge`.
    pub mode: &'static str,
    /// Which side counted.
    pub prefer: Prefer,
    /// Whether anything was changed; false for a preview, and when there was nothing to change.
    pub saved: bool,
    /// The database.
    pub path: PathBuf,
    /// Where it is copied to first; `None` when there is nothing to change.
    pub copy: Option<PathBuf>,
    /// The number of the new state of the model; `None` when nothing was changed.
    pub state: Option<i64>,
    /// What differs from before.
    pub changes: Vec<Brought>,
    /// What the backup has otherwise and stays as it is here.
    pub left: Vec<Left>,
    /// Nodes whose host has to be deployed.
    pub deploy: Vec<Name>,
    /// Nodes without a host, whose file changes.
    pub new_files: Vec<Name>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

impl Merge {
    /// Whether something couldn't be taken over because it clashes with what is here.
    pub fn has_conflicts(&self) -> bool {
        self.left.iter().any(|left| left.fate == Fate::Conflict)
    }
}

/// Merges a backup of the same database into the present one, in one transaction. `agree` is asked once it is known what is
/// going to be done, and not if that is nothing.
///
/// # Errors
/// A backup of another database, one without a database, a damaged one, one that nothing opens; a network that couldn't be
/// compiled. Nothing is changed then.
pub fn merge(
    request: &Request<'_>,
    clock: &dyn Clock,
    actor: &Actor,
    agree: &dyn Fn(&Merge) -> Result<(), Error>,
) -> Result<Merge, Error> {
    let opened = open(request.file)?;
    let about = About::from(opened.header());
    if !about.kind.has_database() {
        return Err(Error::RefusedWithRemedy {
            message: format!("a backup of kind {} has no database", about.kind),
            hint: "merge a full one".into(),
        });
    }
    refuse_others(request.database, opened.header())?;
    let scratch = Scratch::anywhere(request.database)?;
    let theirs = unpacked(request, opened, &scratch, clock, actor)?;
    let mut store = unlock::unlock(request.database, request.keys.sources, actor, clock)?;
    let now = clock.now();
    let planned = store.try_out(|tx| carry::carry_out(tx, &theirs, request.prefer, now))?;
    let copy = planned.is_something.then(|| copy_before("merge", request.database, now));
    let mut report = report(about, request, planned, copy);
    let Some(copy) = report.copy.clone() else { return Ok(report) };
    agree(&report)?;
    if request.preview {
        return Ok(report);
    }
    store.copy_to(&copy)?;
    let done = store.write(now, actor, |tx| -> Result<_, Error> {
        let done = carry::carry_out(tx, &theirs, request.prefer, now)?;
        let event = event(&report.about, &done, &copy);
        Ok((done, event))
    });
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            let _ = std::fs::remove_file(&copy); // the database is as it was: a copy says nothing
            return Err(error);
        }
    };
    report = self::report(report.about, request, done, Some(copy));
    report.saved = true;
    report.state = store.newest_state()?;
    Ok(report)
}

/// Refuses to merge what isn't a copy of the present database.
fn refuse_others(path: &Path, header: &Header) -> Result<(), Error> {
    let remedy = |message: String, hint: &str| Error::RefusedWithRemedy { message, hint: hint.into() };
    match Database::open(path) {
        Ok(present) if present.id() == header.database => Ok(()),
        Ok(_) => Err(remedy(
            "that is a backup of another database: its networks, keys and history have nothing in common with this one"
                .into(),
            "`wg-friend backup restore FILE --mode config-only --to DIR` lays out its configurations, and `wg-friend import DIR` \
             takes them over",
        )),
        Err(db::Error::Missing { .. }) => Err(remedy(
            format!("there is no database {} to merge into", path.display()),
            "without --mode the backup becomes the database",
        )),
        Err(other) => Err(other.into()),
    }
}

/// Opens and checks the database in a backup.
fn unpacked(
    request: &Request<'_>,
    opened: db::archive::Opened,
    scratch: &Scratch,
    clock: &dyn Clock,
    actor: &Actor,
) -> Result<Store, Error> {
    let source = Source { file: request.file, base: request.base, database: request.database };
    let unpacked = request.keys.unlock(opened, &source)?.unpack(scratch, &mut check_part)?;
    match unpacked.database(scratch, None)? {
        Ok(store) => {
            examine(&store, &unpacked.manifest)?;
            Ok(store)
        }
        Err(_) => unlock_inside(scratch, &request.keys, &unpacked.manifest, actor, clock),
    }
}

fn report(about: About, request: &Request<'_>, carried: carry::Carried, copy: Option<PathBuf>) -> Merge {
    Merge {
        about,
        mode: "merge",
        prefer: request.prefer,
        saved: false,
        path: request.database.to_owned(),
        copy,
        state: None,
        changes: carried.changes,
        left: carried.left,
        deploy: carried.deploy,
        new_files: carried.new_files,
        remarks: carried.remarks,
    }
}

fn event(about: &About, carried: &carry::Carried, copy: &Path) -> Event {
    let count = |fate: Fate| carried.left.iter().filter(|left| left.fate == fate).count();
    Event::database(Action::BackupRestored)
        .with("backup", about.id.as_str())
        .with("mode", "merge")
        .with(MADE, about.created.to_rfc3339_opts(SecondsFormat::Micros, true))
        .with("changes", carried.changes.len())
        .with("stays", carried.left.len() - count(Fate::Conflict))
        .with("conflicts", count(Fate::Conflict))
        .with("copy", copy.display().to_string())
}
