//! What is wanted of preshared keys: rules of a network, its groups and its nodes, and what follows for a link.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{GroupId, Node, NodeId, PskPolicy, Topology};

words! {
    /// What makes a preshared key due, or replaces it.
    PskTrigger, "trigger" {
        /// Somebody asks for it. Always possible.
        Manual = "manual",
        /// The key has become as old as the rules permit.
        TimeBased = "time_based",
        /// A node at one of the link's ends gets a new key.
        KeyRotation = "key_rotation",
        /// Something happened after which keys are no longer trusted.
        SecurityEvent = "security_event",
    }
}

/// What rules are about. Nearer is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PskScope {
    /// Every link of the network.
    Network,
    /// The links of a group's members.
    Group(GroupId),
    /// The links of a node.
    Node(NodeId),
}

/// What somebody said of preshared keys for a scope; what isn't said is inherited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PskRules {
    /// Which links carry one. Of a network, [`super::Network::psk`] says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<PskPolicy>,
    /// After how many days a key is due for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_days: Option<u16>,
    /// So many days before that it is told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice_days: Option<u16>,
    /// What makes it due or replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<BTreeSet<PskTrigger>>,
}

impl PskRules {
    /// Whether they say nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// All rules of a network, by scope.
pub type AllPskRules = BTreeMap<PskScope, PskRules>;

/// After how many days a key is due where nothing is said.
pub const PSK_EVERY_DAYS: u16 = 90;

/// How many days before that it is told of where nothing is said.
pub const PSK_NOTICE_DAYS: u16 = 7;

/// What is wanted of one link, with where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PskWanted {
    /// Whether it carries a preshared key.
    pub mode: PskPolicy,
    /// The scopes that decided it: one, or several that are equally near and equally strict.
    pub mode_of: BTreeSet<PskScope>,
    /// After how many days a key is due.
    pub every_days: u16,
    /// So many days before that it is told of.
    pub notice_days: u16,
    /// What makes it due or replaces it.
    pub on: BTreeSet<PskTrigger>,
}

impl PskWanted {
    /// Works out what is wanted of the link between two nodes. Each setting is looked for on its own: what is said of one
    /// of the nodes counts before what is said of a group of either, and that before what is said of the network. Of
    /// several that are equally near the strictest counts: the strictest mode, the shortest time, the longest notice, and
    /// every trigger.
    pub fn of(topology: &Topology, rules: &AllPskRules, ends: [&Node; 2]) -> Self {
        let nodes: BTreeSet<PskScope> = ends.iter().map(|node| PskScope::Node(node.id)).collect();
        let is_in = |group: &&super::Group| ends.iter().any(|node| group.members.contains(&node.id));
        let groups = topology.groups.iter().filter(is_in).map(|group| PskScope::Group(group.id)).collect();
        let levels: [BTreeSet<PskScope>; 3] = [nodes, groups, BTreeSet::from([PskScope::Network])];
        let mode = nearest(&levels, |scope| match scope {
            PskScope::Network => Some(topology.network.psk),
            _ => rules.get(&scope)?.mode,
        });
        let strictest = mode.iter().map(|(_, mode)| *mode).max_by_key(|mode| mode.strictness());
        let strictest = strictest.unwrap_or(topology.network.psk);
        let every = nearest(&levels, |scope| rules.get(&scope)?.every_days);
        let notice = nearest(&levels, |scope| rules.get(&scope)?.notice_days);
        let on = nearest(&levels, |scope| rules.get(&scope)?.on.clone());
        Self {
            mode: strictest,
            mode_of: mode.into_iter().filter(|(_, mode)| *mode == strictest).map(|(scope, _)| scope).collect(),
            every_days: every.into_iter().map(|(_, days)| days).min().unwrap_or(PSK_EVERY_DAYS),
            notice_days: notice.into_iter().map(|(_, days)| days).max().unwrap_or(PSK_NOTICE_DAYS),
            on: on.into_iter().flat_map(|(_, on)| on).chain([PskTrigger::Manual]).collect(),
        }
    }

    /// When a key that was made at a time is due for another; `None` when age alone doesn't make it so.
    pub fn due(&self, created: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.on.contains(&PskTrigger::TimeBased).then(|| created + TimeDelta::days(self.every_days.into()))
    }
}

/// Returns what is said at the nearest level at which anything is.
fn nearest<T>(levels: &[BTreeSet<PskScope>], said: impl Fn(PskScope) -> Option<T>) -> Vec<(PskScope, T)> {
    let at = |level: &BTreeSet<PskScope>| -> Vec<(PskScope, T)> {
        level.iter().filter_map(|scope| Some((*scope, said(*scope)?))).collect()
    };
    levels.iter().map(at).find(|said| !said.is_empty()).unwrap_or_default()
}
