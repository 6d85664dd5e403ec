//! Exits one after another: which goes on to which, for whom, and what stands against it.
//!
//! Each exit of a chain but the last has an uplink to the next, as servers have to exits. It gives what it sends there its
//! own address as the source, so that the next exit has one peer with one address for it, however many devices there are,
//! and can't tell them apart. That is why what comes from one exit to another has one way on from there.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cidr, Egress, Name, Node, NodeId, RuleAction, Topology, Via};
use crate::wg::UplinkRoute;
use crate::wg::firewall::ExitPath;

use super::Refusal;
use super::access::is_exit_only;
use super::egress;
use super::layout::Layout;
use super::links::Members;

/// What no chain of exits can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// What comes from an exit to the next would have to go two ways.
    #[error(
        "the internet traffic of `{first}` and of `{second}` comes from `{before}` to `{exit}` and parts there: what one exit \
         sends to another has one way on, so give one of the two other exits"
    )]
    Parts {
        /// Whose.
        first: Name,
        /// And whose.
        second: Name,
        /// The exit before.
        before: Name,
        /// Where it would part.
        exit: Name,
    },
    /// A rule leads out at an exit from which the rest goes on.
    #[error(
        "the internet traffic of `{node}` goes on from `{exit}` to another exit, and rule {place} of {holder} leads out at \
         `{exit}`: an exit sends all of a device's traffic the same way"
    )]
    RuleEndsOnTheWay {
        /// Whose.
        node: Name,
        /// The first exit of the chain.
        exit: Name,
        /// Whose rule, in words.
        holder: String,
        /// Its place.
        place: usize,
    },
    /// An exit that goes by rules of its own would let out what is to go on.
    #[error(
        "`{exit}` keeps the firewall rules that it was adopted with, so it can't be told to send anything on to `{next}`: put it \
         last, or let it follow the model: `wg-friend hooks adopt {exit}`"
    )]
    OwnRules {
        /// Which exit.
        exit: Name,
        /// The exit after it.
        next: Name,
    },
    /// Nobody knows what an exit does of which only a public key is known.
    #[error(
        "of `{exit}` only the public key is known, so it can be told neither to send anything on nor to take it: import its file, \
         or give it a key with `wg-friend rotate {exit}`"
    )]
    Unknown {
        /// Which exit.
        exit: Name,
    },
    /// There is no interface from one exit to the next.
    #[error("`{exit}` has no uplink to `{next}`: `wg-friend exit assign` the chain again")]
    NoUplink {
        /// Which exit.
        exit: Name,
        /// The exit after it.
        next: Name,
    },
    /// Two uplinks of an exit would share a routing table.
    #[error(
        "the uplinks {first} and {second} of `{exit}` would share a routing table: remove one of the exits they lead to, and add it again"
    )]
    UplinksCollide {
        /// Whose.
        exit: Name,
        /// One uplink.
        first: String,
        /// The other.
        second: String,
    },
}

/// Whether a chain can be used: each of its exits is there and enabled.
pub(super) fn is_usable(members: &Members<'_>, via: Via) -> bool {
    via.exits().iter().all(|id| members.exit(*id).is_some())
}

/// Returns the chains that remotes are told to leave by, each with those.
pub(super) fn told<'a>(topology: &Topology, remotes: &[&'a Node]) -> BTreeMap<Via, Vec<&'a Node>> {
    let mut told: BTreeMap<Via, Vec<&Node>> = BTreeMap::new();
    for remote in remotes {
        if let Egress::Via(via) = topology.egress(remote) {
            told.entry(via).or_default().push(remote);
        }
    }
    told
}

/// Returns those of the chains that can be used.
fn usable<'m, 'a>(members: &'m Members<'a>) -> impl Iterator<Item = (Via, &'m [&'a Node])> {
    let all = members.chains.iter().map(|(via, remotes)| (*via, remotes.as_slice()));
    all.filter(|(via, _)| is_usable(members, *via))
}

/// Returns each exit with the one that something goes on to from there.
pub(super) fn steps(members: &Members<'_>) -> BTreeSet<(NodeId, NodeId)> {
    usable(members).flat_map(|(via, _)| via.steps().collect::<Vec<_>>()).collect()
}

/// Returns every exit with the one after it in a chain that somebody is told to leave by, whether it can be used or not:
/// between them there has to be an uplink.
pub fn uplinks(topology: &Topology) -> BTreeSet<(NodeId, NodeId)> {
    let told = topology.nodes.iter().filter_map(|node| node.exit).chain([topology.network.exit]);
    told.filter_map(Egress::via).flat_map(|via| via.steps().collect::<Vec<_>>()).collect()
}

/// Returns what goes on from an exit to another one, by its source: the remotes whose chain begins there, and the exits from
/// which something comes that goes on.
pub(super) fn onward(layout: &Layout<'_>, exit: &Node) -> BTreeMap<Cidr, ExitPath> {
    let members = layout.members;
    let next = |via: Via| via.steps().find(|(from, _)| *from == exit.id).and_then(|(_, to)| members.exit(to));
    let mut onward = BTreeMap::new();
    let mut add = |source: &Node, next: &Node| {
        if let Some(path) = egress::path_to(exit, next) {
            onward.extend(source.addresses().map(|address| (address, path.clone())));
        }
    };
    for (via, remotes) in usable(members) {
        let Some(next) = next(via) else { continue };
        if via.first() == exit.id {
            remotes.iter().for_each(|remote| add(remote, next));
        }
        if let Some(before) = before(via, exit).and_then(|id| members.exit(id)) {
            add(before, next);
        }
    }
    onward
}

/// Returns what is told to leave by an exit after this one, by its source, whether that exit can be used or not: the remotes
/// whose chain begins here, and the exits from which such traffic comes.
pub(super) fn held(members: &Members<'_>, exit: &Node) -> Vec<Cidr> {
    let mut held = BTreeSet::new();
    for (via, remotes) in &members.chains {
        if via.first() == exit.id {
            held.extend(remotes.iter().flat_map(|remote| remote.addresses()));
        }
        let before = before(*via, exit).filter(|_| via.last() != exit.id);
        if let Some(before) = before.and_then(|id| members.exit(id)) {
            held.extend(before.addresses());
        }
    }
    held.into_iter().collect()
}

/// Returns the exit from which a chain comes to an exit.
fn before(via: Via, exit: &Node) -> Option<NodeId> {
    via.steps().find(|(_, to)| *to == exit.id).map(|(from, _)| from)
}

/// Finds chains that can't be.
pub(super) fn check(members: &Members<'_>, found: &mut Vec<Refusal>) {
    if members.chains.is_empty() {
        return;
    }
    one_way_on(members, found);
    rules(members, found);
    let exits: BTreeSet<NodeId> = members.chains.keys().flat_map(|via| via.exits().to_vec()).collect();
    for exit in exits.into_iter().filter_map(|id| members.exit(id)).filter(|exit| exit.provisional) {
        found.push(Broken::Unknown { exit: exit.name.clone() }.into());
    }
    let mut tables = BTreeMap::new();
    for (from, to) in steps(members) {
        let (Some(exit), Some(next)) = (members.exit(from), members.exit(to)) else { continue };
        let name = || exit.name.clone();
        if exit.has_own_rules() && !exit.provisional {
            found.push(Broken::OwnRules { exit: name(), next: next.name.clone() }.into());
        }
        let Some(uplink) = exit.uplink_to(to) else {
            found.push(Broken::NoUplink { exit: name(), next: next.name.clone() }.into());
            continue;
        };
        if let Some(first) = tables.insert((from, UplinkRoute::of(uplink.id).table), &uplink.name) {
            let (first, second) = (first.to_string(), uplink.name.to_string());
            found.push(Broken::UplinksCollide { exit: name(), first, second }.into());
        }
    }
}

/// What one exit sends to another has its own source, whosever it was: it can't part there. Chains that can't be used now count:
/// their exits may come back.
fn one_way_on(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let mut ways: BTreeMap<(NodeId, NodeId), (Option<NodeId>, &Node)> = BTreeMap::new();
    for (via, remotes) in &members.chains {
        let remote = remotes[0];
        for (at, (before, exit)) in via.steps().enumerate() {
            let next = via.exits().get(at + 2).copied();
            let (known, first) = *ways.entry((before, exit)).or_insert((next, remote));
            let exits = (members.topology.node(before), members.topology.node(exit));
            let (Some(before), Some(exit)) = exits else { continue };
            if known != next {
                let (first, second) = (first.name.clone(), remote.name.clone());
                let (before, exit) = (before.name.clone(), exit.name.clone());
                found.push(Broken::Parts { first, second, before, exit }.into());
            }
        }
    }
}

/// An exit knows a device by its address alone, and not which of its flows are to leave there.
fn rules(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let topology = members.topology;
    let leads_to = |action: RuleAction, exit: NodeId| match action {
        RuleAction::Exit(id) => id == exit,
        RuleAction::Group(id) => topology.exit_group(id).is_some_and(|group| group.member(exit).is_some()),
        RuleAction::Direct | RuleAction::Block => false,
    };
    let mut told = BTreeSet::new();
    for (via, remotes) in usable(members) {
        let Some(exit) = members.exit(via.first()) else { continue };
        let remotes = remotes.iter().filter(|node| !is_exit_only(node));
        let rules = remotes.flat_map(|remote| topology.exit_rules_of(remote).map(move |rule| (remote, rule)));
        for (remote, (holder, place, rule)) in rules {
            let holder = holder.to_string();
            if leads_to(rule.action, exit.id) && told.insert((holder.clone(), place, exit.id)) {
                let (node, exit) = (remote.name.clone(), exit.name.clone());
                found.push(Broken::RuleEndsOnTheWay { node, exit, holder, place }.into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
