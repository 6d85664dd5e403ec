//! The cheapest ways between nodes, and what each peer carries because of them.
//!
//! Only servers pass packets on from one tunnel to another, so a way is either a link between its two ends, or leads from
//! a node to a server that it is linked to, over servers, to the other end. A way back is the same way: WireGuard drops
//! what comes from a peer whose AllowedIPs don't hold the source. Of ways that cost the same, the keys of the nodes
//! decide, so that neither the order in which links were made nor numbers of the database do.

use std::collections::BTreeMap;

use crate::model::{Cidr, Node, NodeId, Weight};

use super::links::{Link, Members};

/// What a way costs: weights first, then what tells ways of the same weight apart.
type Cost = u128;

/// What a link costs. The lower half stands for the two nodes by their permanent names: the sums of two different ways
/// are the same as rarely as two random numbers of 48 bits are.
fn cost(weight: Weight, a: &Node, b: &Node) -> Cost {
    let (low, high) = if a.guid <= b.guid { (a, b) } else { (b, a) };
    let bytes = low.guid.as_bytes().iter().chain(high.guid.as_bytes());
    // FNV-1a, as in draft-eastlake-fnv-17.
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    (Cost::from(weight.get()) << 64) | Cost::from(hash >> 16)
}

/// A way from a server: what it costs, and the node that comes first on it.
#[derive(Clone, Copy)]
struct Way {
    cost: Cost,
    first: NodeId,
}

/// Keeps the cheaper one.
fn improve(known: &mut Option<Way>, way: Way) {
    if known.is_none_or(|known| way.cost < known.cost) {
        *known = Some(way);
    }
}

/// The cheapest ways in a network.
pub(super) struct Ways<'a> {
    members: &'a Members<'a>,
    /// From each server (by place) to each other.
    between: Vec<Vec<Option<Way>>>,
    /// The servers that each router or remote is linked to, with what that costs.
    servers_of: BTreeMap<NodeId, Vec<(usize, Cost)>>,
    /// The links between nodes that are no servers, from both ends.
    direct: BTreeMap<NodeId, BTreeMap<NodeId, Cost>>,
}

impl<'a> Ways<'a> {
    /// Finds the ways over links between main interfaces.
    pub(super) fn of(members: &'a Members<'a>, links: &[Link<'a>]) -> Self {
        let place = |node: &Node| members.servers.binary_search_by_key(&node.id, |server| server.id).ok();
        let count = members.servers.len();
        let mut ways = Self {
            members,
            between: vec![vec![None; count]; count],
            servers_of: BTreeMap::new(),
            direct: BTreeMap::new(),
        };
        let one = || Vec::with_capacity(1); // most nodes are linked to no other
        for link in links.iter().filter(|link| link.is_way()) {
            let (a, b) = (link.inner.node, link.outer.node);
            let cost = cost(link.weight, a, b);
            match (place(a), place(b)) {
                (Some(one), Some(other)) => {
                    improve(&mut ways.between[one][other], Way { cost, first: b.id });
                    improve(&mut ways.between[other][one], Way { cost, first: a.id });
                }
                (Some(server), None) => ways.servers_of.entry(b.id).or_insert_with(one).push((server, cost)),
                (None, Some(server)) => ways.servers_of.entry(a.id).or_insert_with(one).push((server, cost)),
                (None, None) => {
                    ways.direct.entry(a.id).or_default().insert(b.id, cost);
                    ways.direct.entry(b.id).or_default().insert(a.id, cost);
                }
            }
        }
        ways.join_servers();
        ways
    }

    /// Floyd and Warshall's algorithm: there are few servers.
    fn join_servers(&mut self) {
        let count = self.between.len();
        for over in 0..count {
            for from in 0..count {
                let Some(near) = self.between[from][over] else { continue };
                for to in (0..count).filter(|to| *to != from) {
                    if let Some(far) = self.between[over][to] {
                        let way = Way { cost: near.cost + far.cost, first: near.first };
                        improve(&mut self.between[from][to], way);
                    }
                }
            }
        }
    }

    /// Returns the way from a server to a node that is none.
    fn way_from_server(&self, server: usize, to: NodeId) -> Option<Way> {
        let mut best = None;
        for &(last, step) in self.servers_of.get(&to).into_iter().flatten() {
            if last == server {
                improve(&mut best, Way { cost: step, first: to });
            } else if let Some(way) = self.between[server][last] {
                improve(&mut best, Way { cost: way.cost + step, first: way.first });
            }
        }
        best
    }

    /// Returns what each peer of a server's main interface carries: the prefixes of everyone to whom the way begins there.
    pub(super) fn carried_for_server(&self, server: &Node) -> BTreeMap<NodeId, Vec<Cidr>> {
        let mut carried: BTreeMap<NodeId, Vec<Cidr>> = BTreeMap::new();
        let Some(own) = self.members.servers.iter().position(|other| other.id == server.id) else { return carried };
        for (other, node) in self.members.servers.iter().enumerate() {
            if let Some(way) = self.between[own][other] {
                carried.entry(way.first).or_default().extend(prefixes(node));
            }
        }
        for node in self.members.routers.iter().chain(&self.members.remotes) {
            if let Some(way) = self.way_from_server(own, node.id) {
                carried.entry(way.first).or_default().extend(prefixes(node));
            }
        }
        carried
    }

    /// Whether a router or remote is linked to more than its server, so that its packets take different ways.
    pub(super) fn has_choice(&self, node: &Node) -> bool {
        self.direct.contains_key(&node.id) || self.servers_of.get(&node.id).is_some_and(|servers| servers.len() > 1)
    }

    /// Returns what each peer of a router or remote carries, beside the one that is its server: that one carries all
    /// else.
    pub(super) fn carried_beside_home(&self, node: &Node, home: NodeId) -> BTreeMap<NodeId, Vec<Cidr>> {
        let mut carried: BTreeMap<NodeId, Vec<Cidr>> = BTreeMap::new();
        if !self.has_choice(node) {
            return carried;
        }
        let servers = self.servers_of.get(&node.id).map_or(&[][..], Vec::as_slice);
        let direct = self.direct.get(&node.id);
        let members = self.members;
        let others = members.servers.iter().chain(&members.routers).chain(&members.remotes);
        for other in others.filter(|other| other.id != node.id) {
            let mut best = direct.and_then(|direct| direct.get(&other.id)).map(|&cost| Way { cost, first: other.id });
            if let Some(way) = self.over_servers(servers, other.id) {
                improve(&mut best, way);
            }
            if let Some(way) = best.filter(|way| way.first != home) {
                carried.entry(way.first).or_default().extend(prefixes(other));
            }
        }
        carried
    }

    /// Returns the cheapest way to a node that begins at one of these servers, each with what it costs to get there.
    fn over_servers(&self, servers: &[(usize, Cost)], to: NodeId) -> Option<Way> {
        let members = self.members;
        let place = members.servers.binary_search_by_key(&to, |server| server.id).ok();
        let mut best = None;
        for &(server, step) in servers {
            let first = members.servers[server].id;
            let rest = match place {
                Some(place) if place == server => Some(0),
                Some(place) => self.between[server][place].map(|way| way.cost),
                None => self.way_from_server(server, to).map(|way| way.cost),
            };
            if let Some(rest) = rest {
                improve(&mut best, Way { cost: step + rest, first });
            }
        }
        best
    }

    /// Returns the server that comes first on the way from a router or remote to another if the two have no link of their
    /// own, or it is down. Servers carry everyone's prefixes on their ways to each other and to him, whatever links those
    /// have who are no servers, and what such a link carries begins and ends at its ends: so one end's other way is
    /// the other end's, and none depends on whether another link is up.
    pub(super) fn first_without_link(&self, node: NodeId, to: NodeId) -> Option<NodeId> {
        self.over_servers(self.servers_of.get(&node)?, to).map(|way| way.first)
    }

    /// Returns the nodes that are no servers and to which another one, no server either, is linked.
    pub(super) fn neighbours(&self, node: &Node) -> impl Iterator<Item = NodeId> + '_ {
        self.direct.get(&node.id).into_iter().flat_map(|direct| direct.keys().copied())
    }
}

/// Returns what a node is sent: its addresses and LANs.
pub(super) fn prefixes(node: &Node) -> impl Iterator<Item = Cidr> + '_ {
    node.addresses().chain(node.lans.iter().map(|lan| lan.cidr))
}
