//! How much goes between nodes: counters of the kernel made into totals that only grow.
//!
//! Every look at a host feeds them, whatever it was for. [`counter`] tells what a counter has grown by, `note` takes it
//! down, [`usage`] says what it comes to for a node.

pub mod counter;
mod note;
#[cfg(test)]
mod tests;
pub mod usage;

pub(in crate::ops) use note::{Counters, note, note_all};
