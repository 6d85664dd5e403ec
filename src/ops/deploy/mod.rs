//! From the model to the hosts: what would change on each, changing it without locking anyone out, and what is there.
//!
//! [`plan`] asks every host for its state and compares it with what the model compiles to ([`diff()`]). [`deploy`] turns
//! the differences into commands ([`steps`]), has each host arm a watchdog before anything changes, carries them out,
//! and confirms over a new connection. What isn't confirmed undoes itself there. Comparing and deciding are pure; only
//! `plan` and `run` talk to hosts.

pub mod change;
pub mod desired;
mod diff;
mod error;
mod journal;
pub mod plan;
mod reconcile;
pub mod report;
mod run;
pub mod status;
pub mod steps;
#[cfg(test)]
mod tests;

pub use change::{Cause, Change, Disruption, Kind};
pub use diff::{SESSION_SECONDS, diff};
pub use error::HostError;
pub use plan::{HostPlan, Plan, Progress, Silent, plan};
pub use reconcile::{Interrupted, InterruptedOutcome};
pub use run::{HostOutcome, Options, Outcome, Phase, deploy};
