//! How far hosts are, for whoever shows it.

use std::time::Duration;

use serde::Serialize;

use crate::model::Name;

use super::outcome::HostOutcome;

/// How far a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asked for its state.
    Observing,
    /// Its state is known, or it gave none.
    Observed,
    /// Staging, validating and changing.
    Applying,
    /// Being looked at over a new connection.
    Confirming,
    /// Waiting for it to take everything back.
    Reverting,
    /// Finished.
    Done,
}

/// Hears how far each host is.
pub trait Progress: Sync {
    /// These hosts are going to be worked on.
    fn expects(&self, _hosts: &[Name]) {}

    /// A host has come to a phase.
    fn reached(&self, host: &Name, phase: Phase);

    /// A host takes everything back after that time, counted from now, unless the deploy is confirmed.
    fn armed(&self, _host: &Name, _within: Duration) {}

    /// A host's deploy is over.
    fn ended(&self, outcome: &HostOutcome) {
        self.reached(&outcome.host, Phase::Done);
    }

    /// Something went wrong that keeps nobody from going on, and that somebody ought to know.
    fn warns(&self, text: &str);
}

/// Hears and says nothing.
pub struct Silent;

impl Progress for Silent {
    fn reached(&self, _: &Name, _: Phase) {}

    fn warns(&self, _: &str) {}
}
