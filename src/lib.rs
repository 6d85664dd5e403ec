//! wg-friend runs WireGuard networks: an encrypted model of the topology, compiled into configuration, shown as a plan,
//! deployed over SSH without locking anyone out.
//!
//! The folders are the architecture, and imports run one way: the faces ([`cli`], [`tui`]) call [`ops`]; `ops` uses the store
//! ([`db`]), the hosts ([`fleet`]), the WireGuard language ([`wg`]) and the templates ([`render`]); all of them speak in
//! the nouns of [`model`]. `tests/it/architecture.rs` fails on an arrow in another direction.

// A panic is nothing that a user should meet: what can't fail says why, with `expect`.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod cli;
pub mod db;
pub mod fleet;
pub mod model;
pub mod ops;
pub mod render;
pub mod settings;
pub mod tui;
pub mod wg;
