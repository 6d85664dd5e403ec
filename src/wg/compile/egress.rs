//! How internet traffic leaves: by an exit, by whichever exit a group goes by, out at the server, or not at all.
//!
//! Everything here is per server, for each has an uplink of its own to each exit. A group has a mark, a table and a rule of
//! its own; the default routes in its table lead into the uplink of the exit that carries it. All uplinks that it could go
//! by are open to its mark, so that a switch is those routes and nothing else.

use std::collections::BTreeMap;

use crate::model::{Cidr, Egress, ExitGroup, InterfaceName, Name, Node, NodeId, Role, Topology, Via};
use crate::wg::firewall::ExitPath;
use crate::wg::{Route, Rule, UplinkRoute};

use super::access::is_exit_only;
use super::layout::Layout;
use super::links::Members;
use super::{Refusal, chains, rules};

/// By which way a remote's internet traffic leaves.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// Not through the tunnel, which carries the network alone.
    Split,
    /// Not at all: its device sends everything into the tunnel, and it ends there.
    Blocked,
    /// Out at its server.
    Server,
    /// By this exit.
    Exit(&'a Node),
    /// By one of this group's exits; at least one can be used.
    Group(&'a ExitGroup),
    /// By these exits one after another, all of which can be used.
    Chain(Via),
}

impl<'a> Members<'a> {
    /// Returns by which way a node's internet traffic leaves. An exit that is disabled carries nothing: without it the node
    /// has a split tunnel or, with the kill switch, nothing; never does anything leave by the server instead.
    pub(super) fn way(&self, node: &Node) -> Way<'a> {
        let found = match self.topology.egress(node) {
            Egress::None => return Way::Split,
            Egress::Node(id) if self.home(node).is_some_and(|server| server.id == id) && !is_exit_only(node) => {
                return Way::Server;
            }
            Egress::Node(id) => self.exit(id).map(Way::Exit),
            Egress::Group(id) => {
                let group = self.topology.exit_group(id);
                group.filter(|group| group.carrier(self.topology).is_some()).map(Way::Group)
            }
            Egress::Via(via) => chains::is_usable(self, via).then_some(Way::Chain(via)),
        };
        let without = if self.topology.kill_switch(node) && !is_exit_only(node) { Way::Blocked } else { Way::Split };
        found.unwrap_or(without)
    }

    /// Returns the one exit to which a node's internet traffic goes first.
    pub(super) fn exit_of(&self, node: &Node) -> Option<&'a Node> {
        match self.way(node) {
            Way::Exit(exit) => Some(exit),
            Way::Chain(via) => self.exit(via.first()),
            Way::Split | Way::Blocked | Way::Server | Way::Group(_) => None,
        }
    }

    /// Whether a node's internet traffic leaves at the server itself.
    pub(super) fn leaves_at_server(&self, node: &Node) -> bool {
        matches!(self.way(node), Way::Server)
    }

    /// Whether a remote's device sends everything into the tunnel.
    pub(super) fn sends_everything(&self, node: &Node) -> bool {
        !matches!(self.way(node), Way::Split)
    }
}

/// Returns the remotes that belong to a server: their internet traffic leaves there and nowhere else.
pub(super) fn of_server<'a>(layout: &Layout<'a>, server: &Node) -> impl Iterator<Item = &'a Node> {
    let (members, server) = (layout.members, server.id);
    members.remotes.iter().copied().filter(move |node| members.home(node).is_some_and(|home| home.id == server))
}

/// Returns the uplinks by which each source may leave a server, and the mark that leads there.
pub(super) fn paths(layout: &Layout<'_>, server: &Node) -> BTreeMap<Cidr, ExitPath> {
    let mut of_groups = BTreeMap::new();
    let mut paths = BTreeMap::new();
    for node in of_server(layout, server).filter(|node| !is_exit_only(node)) {
        let path = match layout.members.way(node) {
            Way::Exit(exit) => path_to(server, exit),
            Way::Chain(via) => layout.members.exit(via.first()).and_then(|exit| path_to(server, exit)),
            Way::Group(group) => of_groups.entry(group.id).or_insert_with(|| path_of(layout, server, group)).clone(),
            Way::Split | Way::Blocked | Way::Server => None,
        };
        let Some(path) = path else { continue };
        paths.extend(node.addresses().map(|source| (source, path.clone())));
    }
    paths
}

/// Returns the way from a server, or an exit, to an exit.
pub(super) fn path_to(from: &Node, exit: &Node) -> Option<ExitPath> {
    let uplink = from.uplink_to(exit.id)?;
    Some(ExitPath { uplinks: vec![uplink.name.clone()], mark: UplinkRoute::of(uplink.id).mark })
}

/// Returns the way from a server to whichever exit a group goes by; `None` when it can go by none.
pub(super) fn path_of(layout: &Layout<'_>, server: &Node, group: &ExitGroup) -> Option<ExitPath> {
    let usable = group.usable(layout.members.topology);
    let mut uplinks: Vec<InterfaceName> =
        usable.filter_map(|exit| server.uplink_to(exit.id)).map(|uplink| uplink.name.clone()).collect();
    uplinks.sort_unstable();
    (!uplinks.is_empty()).then_some(ExitPath { uplinks, mark: UplinkRoute::of_group(group.id).mark })
}

/// Returns the addresses whose internet traffic leaves at a server itself, sorted.
pub(super) fn leaving(layout: &Layout<'_>, server: &Node) -> Vec<Cidr> {
    let remotes = of_server(layout, server).filter(|node| layout.members.leaves_at_server(node));
    let mut leaving: Vec<Cidr> = remotes.flat_map(|node| node.addresses()).collect();
    leaving.sort_unstable();
    leaving
}

/// Returns the groups that an exit carries at a server.
fn carried<'a>(layout: &Layout<'a>, exit: NodeId) -> impl Iterator<Item = &'a ExitGroup> {
    let topology = layout.members.topology;
    let carries = move |group: &&ExitGroup| group.carrier(topology).is_some_and(|carrier| carrier.id == exit);
    topology.exit_groups.iter().filter(carries)
}

/// Returns the default routes into a server's uplink to an exit: in the exit's own table, and in the tables of the groups
/// that it carries.
pub(super) fn routes(layout: &Layout<'_>, own: UplinkRoute, exit: NodeId) -> Vec<Route> {
    let groups = carried(layout, exit).map(|group| UplinkRoute::of_group(group.id).table);
    let tables: Vec<u32> = [own.table].into_iter().chain(groups).collect();
    let into = |table: &u32| layout.defaults().map(move |to| Route { to, table: Some(*table) }).collect::<Vec<_>>();
    tables.iter().flat_map(into).collect()
}

/// Returns the rules by which a server looks into the tables of groups. They stand at its main interface: they are the same
/// whichever uplink a group goes by.
pub(super) fn policy(layout: &Layout<'_>, server: &Node) -> Vec<Rule> {
    let topology = layout.members.topology;
    let has_way = |group: &&ExitGroup| group.carrier(topology).is_some_and(|exit| server.uplink_to(exit.id).is_some());
    let of_group = |group: &ExitGroup| {
        let UplinkRoute { mark, table, priority } = UplinkRoute::of_group(group.id);
        let rule = move |to: Cidr| Rule { ipv4: to.is_ipv4(), priority, mark, table };
        layout.defaults().map(rule).collect::<Vec<_>>()
    };
    topology.exit_groups.iter().filter(has_way).flat_map(of_group).collect()
}

/// Finds what is wrong with ways to the internet.
pub(super) fn check(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let topology = members.topology;
    for remote in &members.remotes {
        let node = || remote.name.clone();
        match topology.egress(remote) {
            Egress::None if is_exit_only(remote) => found.push(Refusal::ExitOnlyWithoutExit { node: node() }),
            Egress::None => {}
            Egress::Group(id) => match topology.exit_group(id) {
                None => found.push(Refusal::UnknownExit { node: node() }),
                Some(group) if is_exit_only(remote) => {
                    found.push(Refusal::ExitOnlyWithGroup { node: node(), group: group.name.clone() });
                }
                Some(_) => {}
            },
            Egress::Node(id) => match topology.node(id) {
                None => found.push(Refusal::UnknownExit { node: node() }),
                Some(_) if members.leaves_at_server(remote) => {}
                Some(other) if other.role == Role::Server && other.enabled && !is_exit_only(remote) => {
                    if let Some(server) = members.home(remote) {
                        let (other, server) = (other.name.clone(), server.name.clone());
                        found.push(Refusal::ExitAtOtherServer { node: node(), other, server });
                    }
                }
                Some(other) if other.role != Role::Exit => {
                    found.push(Refusal::NotAnExit { node: node(), other: other.name.clone(), role: other.role });
                }
                Some(exit) if is_exit_only(remote) => sole_way(remote, exit, found),
                Some(_) => {}
            },
            Egress::Via(via) => chain(members, remote, via, found),
        }
    }
    routed(members, found);
    groups(members, found);
    rules::check(members, found);
    chains::check(members, found);
}

/// An exit-only device has nothing but its exit, which it dials.
fn sole_way(remote: &Node, exit: &Node, found: &mut Vec<Refusal>) {
    let (node, name) = (remote.name.clone(), exit.name.clone());
    if !exit.enabled {
        found.push(Refusal::ExitDisabled { node, exit: name });
    } else if exit.endpoint.is_none() {
        found.push(Refusal::ExitNotDialable { node, exit: name });
    }
}

/// A chain is made of exits.
fn chain(members: &Members<'_>, remote: &Node, via: Via, found: &mut Vec<Refusal>) {
    for id in via.exits() {
        let node = remote.name.clone();
        match members.topology.node(*id) {
            None => found.push(Refusal::UnknownExit { node }),
            Some(other) if other.role != Role::Exit => {
                found.push(Refusal::NotAnExit { node, other: other.name.clone(), role: other.role });
            }
            Some(exit) if is_exit_only(remote) && (!exit.enabled || *id == via.first()) => {
                sole_way(remote, exit, found);
            }
            Some(_) => {}
        }
    }
}

/// What is routed to an exit has to be somebody's. The LANs of disabled routers count: they may come back.
fn routed(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let lans = || members.topology.nodes.iter().flat_map(|node| node.lans.iter().map(|lan| lan.cidr));
    let is_inside = |prefix: &Cidr| members.topology.network.prefixes().chain(lans()).any(|own| own.covers(prefix));
    for exit in &members.exits {
        for prefix in exit.routed.iter().filter(|prefix| !is_inside(prefix)) {
            found.push(Refusal::RoutedElsewhere { exit: exit.name.clone(), prefix: *prefix });
        }
    }
}

fn groups(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let topology = members.topology;
    let mut tables: BTreeMap<u32, &Name> = BTreeMap::new();
    for group in &topology.exit_groups {
        for member in group.members.iter().filter_map(|member| topology.node(member.exit)) {
            if member.role != Role::Exit {
                let (group, other) = (group.name.clone(), member.name.clone());
                found.push(Refusal::GroupMemberNoExit { group, other, role: member.role });
            }
        }
        if let Some(first) = tables.insert(UplinkRoute::of_group(group.id).table, &group.name) {
            found.push(Refusal::GroupsCollide { first: first.clone(), second: group.name.clone() });
        }
    }
}

/// Returns the enabled remotes and by which way each one's internet traffic leaves, ordered by id.
pub fn ways(topology: &Topology) -> Vec<(&Node, Way<'_>)> {
    let members = Members::of(topology);
    members.remotes.iter().map(|node| (*node, members.way(node))).collect()
}

#[cfg(test)]
mod tests;
