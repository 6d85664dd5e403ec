//! What a deploy is judged by before it is confirmed, as it is stored before anything is sent: so that another run of the
//! program can go on where this one was killed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::InterfaceName;

use super::change::{Change, Kind};
use super::proof::{Alive, Signs};
use super::steps::Steps;

/// What is to be shown on a host, and what follows there once it is confirmed. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intention {
    /// Peers whose endpoint was to change, by name.
    #[serde(default)]
    pub(super) endpoints: BTreeSet<String>,
    /// Peers that have to prove that they live.
    #[serde(default)]
    pub(super) alive: Alive,
    /// Interfaces on which only a handshake proves it.
    #[serde(default)]
    pub(super) by_handshake: BTreeSet<InterfaceName>,
    /// Files in /etc/wireguard to keep.
    #[serde(default)]
    pub(super) keep: Vec<String>,
    /// Files in /etc/wireguard to remove.
    #[serde(default)]
    pub(super) remove: Vec<String>,
    /// Interfaces to start at boot.
    #[serde(default)]
    pub(super) enable: Vec<String>,
    /// Interfaces no longer to start at boot.
    #[serde(default)]
    pub(super) disable: Vec<String>,
}

impl Intention {
    /// What carrying out these changes is judged by.
    pub(super) fn of(changes: &[Change], work: &Steps, signs: Signs) -> Self {
        let endpoints = changes.iter().filter(|change| change.kind == Kind::Endpoint);
        Self {
            endpoints: endpoints.map(|change| change.subject.clone()).collect(),
            alive: signs.alive,
            by_handshake: signs.by_handshake,
            keep: work.keep.clone(),
            remove: work.remove.clone(),
            enable: work.enable.clone(),
            disable: work.disable.clone(),
        }
    }
}
