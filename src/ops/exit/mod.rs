//! Exits: groups of them, who leaves by which, and moving all of a group's traffic to another exit.

pub mod assign;
pub mod groups;
pub mod history;
pub mod rules;
pub(in crate::ops) mod stranded;
pub mod switch;
pub mod view;
