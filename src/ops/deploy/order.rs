//! Which host goes before which. Pure.
//!
//! A host that gets another key, another preshared key or a new interface waits for the hosts that have to learn of it:
//! whoever switched first would be a stranger to its peers, and couldn't show that it still reaches them. Where hosts
//! wait for each other, as in a network's first deploy, the one that more peers depend on goes first: a server before
//! its routers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Name, PublicKey};
use crate::wg::{InterfaceConfig, PeerConfig};

use super::change::{Change, Kind};
use super::plan::HostPlan;

/// What is to be known of a host to find its place.
pub(super) struct Member<'a> {
    /// Which host.
    pub(super) name: &'a Name,
    /// What it should run.
    pub(super) desired: &'a [InterfaceConfig],
    /// What it ran when a deploy was last confirmed.
    pub(super) deployed: &'a [InterfaceConfig],
    /// What differs; `None` when it gave no answer.
    pub(super) changes: Option<&'a [Change]>,
}

impl<'a> From<&'a HostPlan> for Member<'a> {
    fn from(plan: &'a HostPlan) -> Self {
        Self {
            name: &plan.host.name,
            desired: &plan.desired.interfaces,
            deployed: plan.deployed.as_ref().map_or(&[], |d| &d.version.interfaces),
            changes: plan.seen.as_ref().ok().map(|seen| seen.changes.as_slice()),
        }
    }
}

/// A host's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Its place in what was given.
    pub(super) member: usize,
    /// The turns that it waits for, all of them earlier ones.
    pub(super) after: BTreeSet<usize>,
    /// How many peers it has.
    peers: usize,
}

/// Puts hosts in an order in which each comes after those that it waits for.
pub(super) fn order(members: &[Member<'_>]) -> Vec<Turn> {
    let ranks: Vec<Rank<'_>> = members.iter().map(rank).collect();
    let mut waits = learners(members);
    let cycles = components(&waits);
    for (member, after) in waits.iter_mut().enumerate() {
        after.retain(|other| cycles[member] != cycles[*other] || ranks[*other] < ranks[member]);
    }
    in_order(&waits, &ranks)
}

/// Returns the turn because of which this one is held back, when some of those that it waited for are not `good`.
///
/// A host whose hub doesn't know it any more is cut off, so it keeps what it has. Otherwise the majority decides: those
/// that have learned have also forgotten, and only reach it once it follows.
pub(super) fn holds_back(turns: &[Turn], at: usize, good: impl Fn(usize) -> bool) -> Option<usize> {
    let (learned, failed): (Vec<usize>, Vec<usize>) = turns[at].after.iter().partition(|other| good(**other));
    let hub = failed.iter().copied().max_by_key(|other| (turns[*other].peers, Reverse(*other)))?;
    (turns[hub].peers > turns[at].peers || failed.len() >= learned.len()).then_some(hub)
}

/// The hosts with more peers first; among equals those that more peers dial, then by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a>(Reverse<usize>, Reverse<usize>, &'a Name);

fn rank<'a>(member: &Member<'a>) -> Rank<'a> {
    let peers = || member.desired.iter().flat_map(|interface| &interface.peers);
    Rank(Reverse(peers().count()), Reverse(peers().filter(|peer| peer.endpoint.is_none()).count()), member.name)
}

/// Returns for each host those that have to learn of what it switches.
fn learners(members: &[Member<'_>]) -> Vec<BTreeSet<usize>> {
    let mut owners: BTreeMap<PublicKey, (usize, &InterfaceConfig)> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        owners.extend(member.desired.iter().map(|interface| (interface.public_key, (at, interface))));
    }
    let mut waits = vec![BTreeSet::new(); members.len()];
    for (at, member) in members.iter().enumerate() {
        for interface in member.desired {
            for peer in &interface.peers {
                let Some(&(owner, far)) = owners.get(&peer.public_key).filter(|(owner, _)| *owner != at) else {
                    continue;
                };
                let switch = switches(&members[owner], far, interface);
                if switch.is_some_and(|switch| learns(member, interface, peer, switch)) {
                    waits[owner].insert(at);
                }
            }
        }
    }
    waits
}

/// What makes a host a stranger to a peer that hasn't learned of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    /// It gets its interface or its key only now.
    Key,
    /// It gets another preshared key for that peer.
    Preshared,
}

/// Returns what a host switches on its interface that the peer `at` the other end has to know of.
fn switches(owner: &Member<'_>, own: &InterfaceConfig, at: &InterfaceConfig) -> Option<Switch> {
    let changes = || owner.changes.unwrap_or_default().iter().filter(|c| c.interface.as_ref() == Some(&own.name));
    if changes().any(|c| matches!(c.kind, Kind::InterfaceMissing | Kind::Restart | Kind::PrivateKey)) {
        return Some(Switch::Key);
    }
    let peer = own.peers.iter().find(|peer| peer.public_key == at.public_key)?;
    let rekeyed = changes().any(|c| c.kind == Kind::PresharedKey && c.subject == peer.name.as_str());
    rekeyed.then_some(Switch::Preshared)
}

/// Whether a host has to be told of what a peer of its interface switches.
fn learns(member: &Member<'_>, interface: &InterfaceConfig, peer: &PeerConfig, switch: Switch) -> bool {
    let Some(changes) = member.changes else {
        // Whoever gives no answer is as it was left. Which preshared keys it has isn't looked up for that.
        let known = member.deployed.iter().flat_map(|i| &i.peers).any(|known| known.public_key == peer.public_key);
        return !known || switch == Switch::Preshared;
    };
    changes.iter().filter(|change| change.interface.as_ref() == Some(&interface.name)).any(|change| match change.kind {
        Kind::InterfaceMissing | Kind::Restart => true,
        Kind::PeerMissing | Kind::AllowedIps | Kind::PresharedKey => change.subject == peer.name.as_str(),
        _ => false,
    })
}

/// Numbers the strongly connected components of a graph (Kosaraju): two hosts have the same number when each waits for
/// the other, be it by way of others.
fn components(waits: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut reversed = vec![BTreeSet::new(); waits.len()];
    for (from, to) in waits.iter().enumerate().flat_map(|(from, to)| to.iter().map(move |to| (from, *to))) {
        reversed[to].insert(from);
    }
    let mut seen = vec![false; waits.len()];
    let mut finished = Vec::with_capacity(waits.len());
    for start in 0..waits.len() {
        walk(start, waits, &mut seen, &mut finished);
    }
    let mut seen = vec![false; waits.len()];
    let mut numbers = vec![0; waits.len()];
    for (number, start) in finished.into_iter().rev().enumerate() {
        let mut members = Vec::new();
        walk(start, &reversed, &mut seen, &mut members);
        members.into_iter().for_each(|member| numbers[member] = number);
    }
    numbers
}

/// Appends what can be reached from `start` and wasn't seen, each after all that is reached from it.
fn walk(start: usize, edges: &[BTreeSet<usize>], seen: &mut [bool], finished: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, edges[start].iter())];
    while let Some((at, left)) = path.last_mut() {
        match left.next() {
            Some(&next) if !std::mem::replace(&mut seen[next], true) => path.push((next, edges[next].iter())),
            Some(_) => {}
            None => {
                finished.push(*at);
                path.pop();
            }
        }
    }
}

/// Sorts by rank, each after those that it waits for. There are no cycles left.
fn in_order(waits: &[BTreeSet<usize>], ranks: &[Rank<'_>]) -> Vec<Turn> {
    let mut left: Vec<usize> = waits.iter().map(BTreeSet::len).collect();
    let mut held = vec![Vec::new(); waits.len()];
    for (member, after) in waits.iter().enumerate() {
        after.iter().for_each(|other| held[*other].push(member));
    }
    let mut ready: BTreeSet<(&Rank<'_>, usize)> =
        (0..waits.len()).filter(|at| left[*at] == 0).map(|at| (&ranks[at], at)).collect();
    let mut places = vec![0; waits.len()];
    let mut turns = Vec::with_capacity(waits.len());
    while let Some((rank, member)) = ready.pop_first() {
        places[member] = turns.len();
        let after = waits[member].iter().map(|other| places[*other]).collect();
        turns.push(Turn { member, after, peers: rank.0.0 });
        for next in &held[member] {
            left[*next] -= 1;
            if left[*next] == 0 {
                ready.insert((&ranks[*next], *next));
            }
        }
    }
    turns
}
