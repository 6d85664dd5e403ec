//! Watching the hosts: who answers, which links carry traffic, how much, and every change of that.
//!
//! What to make of answers and of silence is pure ([`schedule`], [`state`], [`picture`]); [`watch`] asks, each host in a
//! thread of its own, so that one that doesn't answer delays none.

pub mod picture;
mod poll;
mod run;
pub mod schedule;
pub mod state;

pub use picture::{Event, HostLine, LinkLine, Picture, Subject};
pub use poll::idle;
pub use run::{Options, Show, watch};
pub use state::HostState;
