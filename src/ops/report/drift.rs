//! What was found changed on hosts behind the model's back.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Source;
use crate::db::{Acknowledgement, SeenItem};
use crate::model::{Name, ScanOutcome};
use crate::ops::Error;

/// What was found changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The hosts of the network, by name, and how they were looked at in the period.
    pub hosts: Vec<Watched>,
    /// Differences seen in the period, those seen last first.
    pub items: Vec<Difference>,
    /// What is acknowledged, also what has expired.
    pub acknowledged: Vec<Acknowledgement>,
}

/// A host, and how it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watched {
    /// Which.
    pub host: Name,
    /// How many times it was looked at.
    pub scans: usize,
    /// When it was looked at last.
    pub latest: Option<DateTime<Utc>>,
    /// How that ended.
    pub outcome: Option<ScanOutcome>,
    /// How many differences are there now that nobody has acknowledged.
    pub open: usize,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was seen.
    #[serde(flatten)]
    pub seen: SeenItem,
    /// Where it stands: `open`, `acknowledged`, `gone`.
    pub state: Standing,
}

/// Where a difference stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is there, and nobody has acknowledged it.
    Open,
    /// It is there, and somebody has said why it may be.
    Acknowledged,
    /// The latest look no longer found it.
    Gone,
}

impl Standing {
    /// Returns it as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Gone => "gone",
        }
    }
}

/// Gathers it. What is open now is told however long ago it was seen.
pub(super) fn gather(source: &Source<'_>) -> Result<Drift, Error> {
    let (database, period) = (source.database, source.period);
    let acknowledged = database.drift_acks(None)?;
    let counts = |seen: &SeenItem| {
        acknowledged.iter().any(|ack| ack.host == seen.host && ack.item.id == seen.item.id && ack.counts_at(period.to))
    };
    let items: Vec<Difference> = database
        .drift_items(None, DateTime::UNIX_EPOCH)?
        .into_iter()
        .map(|seen| {
            let state = match (seen.present, counts(&seen)) {
                (false, _) => Standing::Gone,
                (true, true) => Standing::Acknowledged,
                (true, false) => Standing::Open,
            };
            Difference { seen, state }
        })
        .filter(|item| item.state != Standing::Gone || item.seen.last_seen >= period.from)
        .collect();
    let scans = database.drift_scans(None, period.from)?;
    let hosts = source
        .topology
        .hosts
        .iter()
        .filter(|host| source.topology.nodes.iter().any(|node| node.host.as_ref() == Some(&host.name)));
    let hosts = hosts.map(|host| {
        let latest = scans.iter().find(|scan| scan.host == host.name);
        Watched {
            host: host.name.clone(),
            scans: scans.iter().filter(|scan| scan.host == host.name).count(),
            latest: latest.map(|scan| scan.time),
            outcome: latest.map(|scan| scan.outcome),
            open: items.iter().filter(|item| item.seen.host == host.name && item.state == Standing::Open).count(),
        }
    });
    Ok(Drift { hosts: hosts.collect(), items, acknowledged })
}
