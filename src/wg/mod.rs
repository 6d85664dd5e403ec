//! The WireGuard language: what a topology compiles into, how that is written for wg-quick(8), and how the answers of
//! wg(8) are read. Pure: no I/O, no clock, no randomness.

pub mod adopt;
pub mod beside;
pub mod compile;
pub mod config;
pub mod dump;
pub mod fallback;
pub mod firewall;
pub mod formats;
pub mod handover;
pub mod hooks;
mod interface;
pub mod key_file;
#[cfg(test)]
mod namespace;
pub mod overlap;
pub mod reach;
pub mod resolve;
pub mod runtime;
#[cfg(test)]
mod stage;
mod tunnel;

pub use interface::{Beside, Fallback, InterfaceConfig, NodeConfig, PeerConfig, Rule, Sysctl, UplinkRoute};
pub use tunnel::{Tunnel, TunnelPeer};

pub use crate::model::{Hook, Phase, Route, Table};
