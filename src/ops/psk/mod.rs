//! Preshared keys of links: what is wanted of them ([`policy`]), what each link has and who has it ([`status`]), and new ones
//! ([`rotate`]).
//!
//! The rules stand at the network, at groups and at nodes; [`crate::model::PskWanted`] works out what follows for a link.
//! Keys are made when a link comes about and when somebody rotates them, never behind anyone's back: a rule that becomes
//! stricter changes no key, it makes links due.

pub mod carry;
pub(in crate::ops) mod history;
pub(in crate::ops) mod links;
pub mod policy;
pub mod rotate;
pub mod status;
