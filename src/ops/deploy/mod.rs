//! From the model to the hosts: what would change on each, changing it without locking anyone out, and what is there.
//!
//! [`plan()`] asks every host for its state and compares it with what the model compiles to ([`diff()`]). [`deploy()`] turns
//! the differences into commands ([`steps`]), has each host arm a watchdog before anything changes, carries them out,
//! and confirms over a new connection. What isn't confirmed undoes itself there. Comparing and deciding are pure; only
//! `look` and `run` talk to hosts.

pub mod adopted;
pub mod blast;
pub mod change;
mod confirm;
pub mod desired;
mod diff;
mod error;
pub mod found;
mod gate;
mod hooks;
mod intention;
pub(in crate::ops) mod journal;
mod key_file;
pub(in crate::ops) mod logged;
mod look;
mod only;
mod order;
mod outcome;
mod pairs;
mod passing;
pub mod pending;
pub mod plan;
mod progress;
mod proof;
mod reconcile;
pub mod report;
pub mod resume;
pub mod rollback;
mod route_moves;
pub(in crate::ops) mod run;
mod running;
pub mod saved;
pub(in crate::ops) mod shared;
pub mod status;
pub mod steps;
#[cfg(test)]
mod tests;
mod turns;

pub use change::{Cause, Change, Disruption, Kind};
pub(in crate::ops) use diff::as_it_should_run;
pub use diff::{SESSION_SECONDS, diff};
pub use error::HostError;
pub use logged::TAKEN_BACK;
pub use look::{plan, plan_for};
pub use only::is_file_of;
pub use outcome::{HeldBack, HostOutcome, Options, Outcome, Stop};
pub use plan::{HostPlan, Interrupted, InterruptedOutcome, Plan};
pub use progress::{Phase, Progress, Silent};
pub use run::deploy;
