//! How a deploy is to be done, and how it ended on each host.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::model::Name;

/// How a deploy is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seconds until a host takes back what nobody confirmed.
    pub confirm_within: u64,
    /// Hosts at once.
    pub parallel: usize,
    /// So many of the hosts that differ go first, and the others only if all of those went well; 0 lets all go at once.
    pub canary: usize,
    /// Whether no further host is begun once one hasn't gone well.
    pub stop_on_failure: bool,
    /// Whether a peer that was alive has to prove that it still is, when the interface's key or port changes or it is
    /// restarted.
    pub check_handshakes: bool,
    /// How long a host may be silent when its own time to decide is over, before it is given up.
    pub host_timeout: Duration,
    /// Who deploys, for somebody who comes at the same time.
    pub owner: String,
    /// How many confirmed versions of each host are kept.
    pub keep_versions: NonZeroU32,
    /// Ends the deploy early, in order.
    pub stop: Stop,
}

impl Options {
    /// The defaults, for a deploy by `owner`.
    pub fn new(owner: String) -> Self {
        Self {
            confirm_within: 60,
            parallel: 32,
            canary: 0,
            stop_on_failure: false,
            check_handshakes: true,
            host_timeout: Duration::from_secs(30),
            owner,
            keep_versions: const { NonZeroU32::new(50).unwrap() },
            stop: Stop::default(),
        }
    }
}

/// Asks a deploy to come to an end: no further host is begun, what is as intended is confirmed, what isn't is taken back.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for it; from any thread.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How it went on one host.
#[derive(Clone, Debug, Serialize)]
pub struct HostOutcome {
    /// Which host.
    pub host: Name,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How many differences there were.
    pub changes: usize,
    /// What was done there, step by step.
    pub steps: Vec<String>,
    /// What is to be known beside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How a deploy ended on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// There was nothing to do, and nothing was run.
    Unchanged,
    /// It runs, and it lasts.
    Confirmed,
    /// It was tried and taken back.
    Reverted {
        /// Why.
        reason: String,
        /// Whether the host found itself as it was before.
        clean: bool,
    },
    /// Nothing was tried there.
    Failed {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Nothing was tried there, because another host didn't go well.
    HeldBack {
        /// The other host.
        because_of: Name,
        /// What it has to do with it.
        why: HeldBack,
    },
    /// Nothing was tried there, because the deploy was ended before its turn came.
    NotBegun,
    /// We can't see the host; it takes everything back by itself.
    OutOfSight {
        /// Why.
        reason: String,
    },
}

/// Why a host is held back by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBack {
    /// The other went first to try the change out.
    Canary,
    /// The other would have had to learn of this one's new key, preshared key or interface.
    HasToLearn,
    /// The other doesn't know yet, or knows still, that traffic of this one doesn't leave there.
    LetsOut,
    /// Nothing was to be begun after a failure.
    StopOnFailure,
}

impl Outcome {
    /// Whether the host is as the model says now.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Confirmed)
    }
}
