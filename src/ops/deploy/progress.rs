//! How far hosts are, for whoever shows it.

use serde::Serialize;

use crate::model::Name;

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
    /// A host has come to a phase.
    fn reached(&self, host: &Name, phase: Phase);
}

/// Hears and says nothing.
pub struct Silent;

impl Progress for Silent {
    fn reached(&self, _: &Name, _: Phase) {}
}
