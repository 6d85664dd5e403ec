//! The audit log: reading and verifying it, and proving to others what is in it.

mod anchors;
mod export;
mod prove;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Checkpoint, Database, Entry, Filter, Finding, SignedHead, Store, Verification, VerifierKey};
use crate::ops::Error;
use crate::ops::network::find;

pub use anchors::{Anchor, Asked, ask as ask_hosts, read as read_anchors};
pub use export::{Export, Format, export, export_to};
pub use prove::{consistency, head_at, head_now, inclusion};

/// Entries, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// The entries that were asked for.
    pub entries: Vec<Entry>,
    /// Whether there are older ones that the filter lets through.
    pub more: bool,
}

/// Lists entries of the log. Needs no passphrase.
///
/// What the filter wants may be the name that something has or had, a node's also as `interface:node`, or the beginning of
/// its guid.
pub fn log(database: &Database, mut filter: Filter) -> Result<Log, Error> {
    find_guids(database, &mut filter)?;
    let limit = filter.limit;
    filter.limit = limit.saturating_add(1);
    let mut entries = database.audit_log(&filter)?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    Ok(Log { entries, more })
}

/// Adds to what a filter names the guids of the nodes that go by that, in every network. What something else has the name of
/// stays: a host, or a node that is gone.
fn find_guids(database: &Database, filter: &mut Filter) -> Result<(), Error> {
    if filter.about.is_empty() {
        return Ok(());
    }
    let mut more = Vec::new();
    for (network, _) in database.networks()? {
        let topology = database.topology_of(network)?;
        for word in &filter.about {
            let name = word.rsplit_once(':').map_or(word.as_str(), |(_, node)| node);
            more.extend(find::node(&topology, name).map(|node| node.guid.to_string()));
            more.extend((name != word).then(|| name.to_owned()));
        }
    }
    filter.about.append(&mut more);
    Ok(())
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether all is in order, save for heads from before a restore that was followed up.
    pub intact: bool,
    /// How many entries are in order, from the first on.
    pub entries: i64,
    /// Whether the authentication codes and the end of the log were checked, which needs the passphrase.
    pub authenticated: bool,
    /// How many checkpoints the database keeps.
    pub checkpoints: usize,
    /// The public key that they are signed with; none in a database that no version with checkpoints has written to.
    pub key: Option<VerifierKey>,
    /// The first entry that isn't in order.
    pub bad: Option<Finding>,
    /// The signed heads from elsewhere that the log was compared with.
    pub anchors: Vec<Anchor>,
    /// The hosts that were asked for some.
    pub hosts: Vec<Asked>,
}

/// Verifies the chain, every authentication code and checkpoint, that nothing was cut off, and that it is the log of these
/// anchors.
pub fn verify(store: &Store, anchors: Vec<Anchor>) -> Result<Report, Error> {
    report(store, store.verify_audit(Some(store.data_key()))?, anchors)
}

/// Verifies the chain and the checkpoints alone: shows accidents, but not an edit by someone who rebuilt both after it, with
/// a key of his own.
pub fn verify_locked(database: &Database, anchors: Vec<Anchor>) -> Result<Report, Error> {
    report(database, database.verify_audit(None)?, anchors)
}

fn report(database: &Database, found: Verification, anchors: Vec<Anchor>) -> Result<Report, Error> {
    let Verification { good, authenticated, checkpoints, bad } = found;
    let anchors = anchors::compare(database, anchors)?;
    let intact = bad.is_none() && anchors.iter().all(|anchor| anchor.intact || anchor.settled);
    Ok(Report {
        intact,
        entries: good,
        authenticated,
        checkpoints,
        key: database.verifier_key()?,
        bad,
        anchors,
        hosts: Vec::new(),
    })
}

/// A checkpoint, and the key that it is checked with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// Its number, from 1.
    pub number: i64,
    /// How many entries the log had.
    pub size: u64,
    /// When it was signed.
    pub time: DateTime<Utc>,
    /// The text to keep elsewhere.
    pub head: SignedHead,
}

impl From<Checkpoint> for Kept {
    fn from(Checkpoint { number, head }: Checkpoint) -> Self {
        Self { number, size: head.size(), time: head.time(), head }
    }
}

/// Signs the log as it is now and keeps that as a checkpoint. The newest one again, if nothing was written since.
pub fn checkpoint(store: &mut Store, now: DateTime<Utc>) -> Result<Kept, Error> {
    Ok(store.checkpoint(now)?.into())
}

/// Checkpoints, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkpoints {
    /// The public key that they are signed with.
    pub key: Option<VerifierKey>,
    /// All that the database keeps.
    pub checkpoints: Vec<Kept>,
}

/// Lists the checkpoints. Needs no passphrase.
pub fn checkpoints(database: &Database) -> Result<Checkpoints, Error> {
    let checkpoints = database.checkpoints()?.into_iter().map(Kept::from).collect();
    Ok(Checkpoints { key: database.verifier_key()?, checkpoints })
}
