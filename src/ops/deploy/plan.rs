//! A plan: what would change on each host.

use std::time::Instant;

use serde::Serialize;

use crate::fleet::{Connection, Observed, Question};
use crate::model::{Host, InterfaceName, Name, Secrets};
use crate::ops::revision::DeviceReport;
use crate::ops::rotation::settle::Settled;

use super::change::{Change, Kind};
use super::desired::{Deployed, Desired};
use super::error::HostError;

/// What would change on each host.
pub struct Plan {
    /// One entry a host, ordered by name.
    pub hosts: Vec<HostPlan>,
    /// Devices whose files people carry and that need a new one, as the model is now.
    pub devices: Vec<DeviceReport>,
    /// Nodes that were found with their next key, which is their present one since.
    pub rotated: Vec<Settled>,
    /// Nodes that come to use their next key in the same deploy, once their peers' hosts have learned it.
    pub follow: Vec<Name>,
    /// The secrets that the desired files were made with.
    pub(super) secrets: Secrets,
}

/// What would change on one host.
pub struct HostPlan {
    /// Which host.
    pub host: Host,
    /// What it should have.
    pub desired: Desired,
    /// What the last confirmed deploy left there.
    pub deployed: Option<Deployed>,
    /// What it has, or why nobody knows.
    pub seen: Result<Seen, HostError>,
    /// Deploys that had been interrupted, and what became of them.
    pub interrupted: Vec<Interrupted>,
}

/// A host that answered.
pub struct Seen {
    /// Its state.
    pub observed: Observed,
    /// What was asked.
    pub question: Question,
    /// What differs.
    pub changes: Vec<Change>,
    /// The connection, kept for the deploy that may follow.
    pub(super) connection: Box<dyn Connection>,
    /// When the answer came.
    pub(super) asked: Instant,
}

impl HostPlan {
    /// Returns what differs; nothing when the host didn't answer.
    pub fn changes(&self) -> &[Change] {
        self.seen.as_ref().map_or(&[], |seen| &seen.changes)
    }

    /// Returns what has to be settled before the differences can be mended; `None` where there are none.
    pub fn obstacle(&self) -> Option<HostError> {
        let host = self.host.name.clone();
        let changes = self.changes();
        // An interface that isn't to run needs no key yet, and holds nothing up.
        let runs = |name: &InterfaceName| self.desired.interface(name).is_some_and(|interface| interface.run.is_up());
        let lost = changes.iter().filter(|change| change.kind == Kind::KeyLost);
        let lost =
            lost.filter_map(|change| Some((change, change.interface.as_ref().filter(|name| runs(name))?))).next();
        if let Some((change, interface)) = lost {
            return Some(HostError::KeyLost { host, interface: interface.clone(), file: change.subject.clone() });
        }
        let mut about = self.desired.interfaces.iter().filter(|interface| self.desired.is_about(&interface.name));
        let saves = about.find(|interface| interface.save_config).filter(|_| !changes.is_empty())?;
        Some(HostError::SaveConfig { host, interface: saves.name.clone() })
    }
}

impl Plan {
    /// The same plan with other secrets, for whoever has changed what it wants.
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Whether every host answered and none differs.
    pub fn is_empty(&self) -> bool {
        self.hosts.iter().all(|h| h.seen.as_ref().is_ok_and(|s| s.changes.is_empty()))
    }

    /// How many hosts gave no answer that can be used.
    pub fn failed(&self) -> usize {
        self.hosts.iter().filter(|h| h.seen.is_err()).count()
    }
}

/// A deploy that nobody saw the end of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interrupted {
    /// Which host.
    pub host: Name,
    /// The deploy's name.
    pub token: String,
    /// How it ended there.
    #[serde(flatten)]
    pub outcome: InterruptedOutcome,
}

/// How an interrupted deploy ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum InterruptedOutcome {
    /// It was confirmed, only the news got lost.
    Confirmed,
    /// The host took it back.
    Reverted {
        /// Whether the host found itself as it was before.
        clean: bool,
        /// Why it was taken back.
        reason: String,
    },
    /// The host still waits for a confirmation, and will take it back when none comes.
    Waiting {
        /// Seconds until then.
        seconds: i64,
    },
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "host `{}`: a deploy was interrupted; ", self.host)?;
        match &self.outcome {
            InterruptedOutcome::Confirmed => f.write_str("the host had confirmed it, and keeps it"),
            InterruptedOutcome::Reverted { clean: true, reason } => {
                write!(f, "the host is as it was before ({reason})")
            }
            InterruptedOutcome::Reverted { clean: false, reason } => {
                write!(
                    f,
                    "the host took it back but is not quite as it was before ({reason}): the plan shows what differs"
                )
            }
            InterruptedOutcome::Waiting { seconds } => {
                let seconds = (*seconds).max(0);
                write!(f, "the host takes it back in {seconds} s unless `wg-friend deploy --resume` confirms it")
            }
        }
    }
}
