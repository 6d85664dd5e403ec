//! Rotation policies: when keys are to be replaced, whose are due and why, and having it done.
//!
//! [`due`] decides, from facts alone; [`view`] reads the facts and shows what follows from them; [`edit`] changes policies,
//! [`event`] takes down what happened to nodes, and [`apply`] replaces what is due.

pub mod apply;
pub mod due;
pub mod edit;
pub mod event;
pub mod scope;
#[cfg(test)]
mod tests;
pub mod view;
