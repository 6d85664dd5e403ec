//! Rules for internet traffic by destination: what they come to at a server, in remotes' files, and when they can't be.

use std::collections::BTreeMap;

use crate::model::{Cidr, ExitRule, GroupId, Node, NodeId, Role, RuleAction, RuleHolder, Topology};
use crate::wg::firewall::{PRIVATE4, PRIVATE6, PathRule, RuleList, RulePath};

use super::Refusal;
use super::access::{self, is_exit_only};
use super::egress;
use super::layout::{Layout, aggregated};
use super::links::Members;

/// Returns the rules that a server goes by, for the remotes that belong to it: each list once, with all to whom it applies.
pub(super) fn lists(layout: &Layout<'_>, server: &Node) -> Vec<RuleList> {
    let topology = layout.members.topology;
    // Most remotes have their rules of the same holders: what these come to is worked out once.
    let mut alike: BTreeMap<Holders, Vec<&Node>> = BTreeMap::new();
    for node in egress::of_server(layout, server).filter(|node| !is_exit_only(node)) {
        alike.entry(holders(topology, node)).or_default().push(node);
    }
    let mut sources: BTreeMap<Vec<PathRule>, Vec<Cidr>> = BTreeMap::new();
    for nodes in alike.into_values() {
        let rules = joined(topology.exit_rules_of(nodes[0]).map(|(_, _, rule)| PathRule {
            destinations: rule.destinations.clone(),
            protocol: rule.protocol,
            ports: access::merged_ports(&rule.ports),
            path: path(layout, server, rule.action),
        }));
        if !rules.is_empty() {
            sources.entry(rules).or_default().extend(nodes.iter().flat_map(|node| node.addresses()));
        }
    }
    let list = |(rules, mut sources): (Vec<PathRule>, Vec<Cidr>)| {
        sources.sort_unstable();
        RuleList { sources, rules }
    };
    sources.into_iter().map(list).collect()
}

/// Who has rules that hold for a remote, beside the network: itself, if it has any, and groups.
type Holders = (Option<NodeId>, Vec<GroupId>);

fn holders(topology: &Topology, node: &Node) -> Holders {
    let own = (!node.exit_rules.is_empty()).then_some(node.id);
    let with_rules = topology.groups.iter().filter(|group| !group.exit_rules.is_empty());
    (own, with_rules.filter(|group| group.members.contains(&node.id)).map(|group| group.id).collect())
}

/// Makes one rule of neighbours that differ in their destinations alone: whichever of them fits first, it comes to the same.
fn joined(rules: impl Iterator<Item = PathRule>) -> Vec<PathRule> {
    let mut joined: Vec<PathRule> = Vec::new();
    for rule in rules {
        match joined.last_mut() {
            Some(last) if (last.protocol, &last.ports, &last.path) == (rule.protocol, &rule.ports, &rule.path) => {
                last.destinations.extend(rule.destinations);
            }
            _ => joined.push(rule),
        }
    }
    for rule in &mut joined {
        rule.destinations = aggregated(std::mem::take(&mut rule.destinations));
    }
    joined
}

/// Returns where an action leads at a server. What can't be used lets nothing pass, rather than by another way.
fn path(layout: &Layout<'_>, server: &Node, action: RuleAction) -> RulePath {
    let found = match action {
        RuleAction::Exit(id) => {
            let exit = layout.members.exit(id);
            exit.and_then(|exit| egress::path_to(server, exit)).map(RulePath::Exit)
        }
        RuleAction::Group(id) => {
            let group = layout.members.topology.exit_group(id);
            group.and_then(|group| egress::path_of(layout, server, group)).map(RulePath::Exit)
        }
        RuleAction::Direct => Some(RulePath::Server),
        RuleAction::Block => None,
    };
    found.unwrap_or(RulePath::Block)
}

/// Returns the destinations that a remote's file carries because of rules, when its tunnel doesn't carry everything anyway.
/// One whose exit can't be used isn't among them, unless the kill switch has it end in the tunnel; and one that is blocked by
/// protocol isn't, for then the rest of it, which nothing is said about, would end there too.
pub(super) fn carried(members: &Members<'_>, node: &Node) -> Vec<Cidr> {
    let topology = members.topology;
    let kill_switch = topology.kill_switch(node);
    let usable = |action: RuleAction| match action {
        RuleAction::Exit(id) => members.exit(id).is_some(),
        RuleAction::Group(id) => topology.exit_group(id).is_some_and(|group| group.carrier(topology).is_some()),
        RuleAction::Direct | RuleAction::Block => true,
    };
    let rules = topology.exit_rules_of(node).map(|(_, _, rule)| rule);
    let carried = rules.filter(|rule| rule.is_carried() && (kill_switch || usable(rule.action)));
    carried.flat_map(|rule| rule.destinations.iter().copied()).collect()
}

/// Finds rules that can't be.
pub(super) fn check(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let topology = members.topology;
    for holder in topology.rule_holders() {
        let rules = holder.rules(topology);
        if let RuleHolder::Node(node) = holder
            && (rules.is_empty() || !node.enabled)
        {
            continue;
        }
        if let RuleHolder::Node(node) = holder
            && is_exit_only(node)
        {
            found.push(Refusal::RulesOfExitOnly { node: node.name.clone() });
        }
        for (at, rule) in rules.iter().enumerate() {
            leads(members, holder, (at + 1, rule), found);
            inside(members, holder, rule, found);
            if let Some(first) = rules[..at].iter().position(|other| other.fits_same(rule)) {
                let (holder, rule) = (holder.to_string(), rule.to_string());
                found.push(Refusal::RuleTwice { holder, rule, first: first + 1, second: at + 1 });
            }
        }
    }
}

/// A rule leads to an exit or a group that there is.
fn leads(members: &Members<'_>, holder: RuleHolder<'_>, (place, rule): (usize, &ExitRule), found: &mut Vec<Refusal>) {
    let topology = members.topology;
    let unknown = || Refusal::RuleWithoutExit { holder: holder.to_string(), place };
    match rule.action {
        RuleAction::Direct | RuleAction::Block => {}
        RuleAction::Group(id) if topology.exit_group(id).is_some() => {}
        RuleAction::Group(_) => found.push(unknown()),
        RuleAction::Exit(id) => match topology.node(id) {
            None => found.push(unknown()),
            Some(other) if other.role != Role::Exit => {
                let (holder, other, role) = (holder.to_string(), other.name.clone(), other.role);
                found.push(Refusal::RuleToNoExit { holder, place, other, role });
            }
            Some(_) => {}
        },
    }
}

/// What lies in the network or a LAN is no internet traffic, and neither is what no exit lets out. The LANs of disabled
/// routers count: they may come back.
fn inside(members: &Members<'_>, holder: RuleHolder<'_>, rule: &ExitRule, found: &mut Vec<Refusal>) {
    let topology = members.topology;
    for &destination in &rule.destinations {
        let holder = || holder.to_string();
        let lans = topology.nodes.iter().flat_map(|node| node.lans.iter().map(move |lan| (node, lan.cidr)));
        if let Some(network) = topology.network.prefixes().find(|prefix| prefix.covers(&destination)) {
            found.push(Refusal::RuleInNetwork { holder: holder(), destination, network });
        } else if let Some((node, lan)) = lans.into_iter().find(|(_, lan)| lan.covers(&destination)) {
            found.push(Refusal::RuleInLan { holder: holder(), destination, node: node.name.clone(), lan });
        } else if is_private(destination) {
            found.push(Refusal::RuleNotInternet { holder: holder(), destination });
        }
    }
}

/// Whether all of a prefix is something other than the internet.
fn is_private(destination: Cidr) -> bool {
    let private = if destination.is_ipv4() { &PRIVATE4[..] } else { &PRIVATE6[..] };
    private.iter().any(|prefix| prefix.parse::<Cidr>().is_ok_and(|prefix| prefix.covers(&destination)))
}

#[cfg(test)]
mod tests;
