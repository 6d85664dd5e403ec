//! The audit log: reading and verifying it.

use serde::Serialize;

use crate::db::{Database, Entry, Filter, Finding, Store, Verification};
use crate::ops::Error;
use crate::ops::network::find;

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
/// The filter's entity may be the name of a node, also one written as `interface:node`, the beginning of its guid, or
/// what an entry itself holds.
pub fn log(database: &Database, mut filter: Filter) -> Result<Log, Error> {
    if let Some(entity) = filter.entity.take() {
        let topology = database.topology()?;
        let name = entity.rsplit_once(':').map_or(entity.as_str(), |(_, node)| node);
        filter.entity = Some(find::node(&topology, name).map_or_else(|_| entity.clone(), |node| node.guid.to_string()));
    }
    let limit = filter.limit;
    filter.limit = limit.saturating_add(1);
    let mut entries = database.audit_log(&filter)?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    Ok(Log { entries, more })
}

/// What verifying found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether all is in order.
    pub intact: bool,
    /// How many entries are in order, from the first on.
    pub entries: i64,
    /// Whether the authentication codes and the end of the log were checked, which needs the passphrase.
    pub authenticated: bool,
    /// The first entry that isn't in order.
    pub bad: Option<Finding>,
}

/// Verifies the chain, every authentication code, and that nothing was cut off.
pub fn verify(store: &Store) -> Result<Report, Error> {
    Ok(Report::of(store.verify_audit(Some(store.data_key()))?))
}

/// Verifies the chain alone: shows accidents, but not an edit by someone who rebuilt the chain after it.
pub fn verify_locked(database: &Database) -> Result<Report, Error> {
    Ok(Report::of(database.verify_audit(None)?))
}

impl Report {
    fn of(found: Verification) -> Self {
        let Verification { good, authenticated, bad } = found;
        Self { intact: bad.is_none(), entries: good, authenticated, bad }
    }
}
