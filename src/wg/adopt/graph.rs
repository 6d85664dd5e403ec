//! Who knows whom: the interfaces, what each view says about its peers, and which interfaces make one node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::{Cidr, PublicKey};
use crate::wg::{Table, TunnelPeer};

use super::finding::Conflict;
use super::meaning;
use super::seen::Seen;

/// What a view says about a peer.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The interface at the other end.
    pub(super) far: usize,
    pub(super) peer: &'a TunnelPeer,
    /// Its AllowedIPs as the kernel has them, sorted.
    pub(super) allowed: Vec<Cidr>,
}

/// All interfaces and nodes that are spoken of, by their places: interfaces in the order of their keys, nodes in the order
/// of their main interfaces'.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    /// The interfaces' keys.
    pub(super) keys: Vec<PublicKey>,
    /// What is known of each interface by itself.
    pub(super) seen: Vec<Option<Seen<'a>>>,
    /// What each interface says of its peers, ordered by peer.
    says: Vec<Vec<Entry<'a>>>,
    /// The interfaces that have each one as a peer, in order.
    said: Vec<Vec<usize>>,
    /// The interfaces of each node, the main one first; the others are uplinks.
    pub(super) nodes: Vec<Vec<usize>>,
    /// The node of each interface.
    pub(super) node_of: Vec<usize>,
    /// The nodes to which each node is linked.
    pub(super) neighbours: Vec<BTreeSet<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(settled: Vec<Seen<'a>>) -> Self {
        let of_view =
            |seen: &Seen<'a>| std::iter::once(seen.key).chain(seen.view.tunnel.peers.iter().map(|p| p.public_key));
        let keys: BTreeSet<PublicKey> = settled.iter().flat_map(of_view).collect();
        let keys: Vec<PublicKey> = keys.into_iter().collect();
        let at = |key: &PublicKey| keys.binary_search(key).expect("every key is listed");
        let mut says: Vec<Vec<Entry<'a>>> = keys.iter().map(|_| Vec::new()).collect();
        let mut said: Vec<Vec<usize>> = vec![Vec::new(); keys.len()];
        let mut seen: Vec<Option<Seen<'a>>> = keys.iter().map(|_| None).collect();
        for one in settled {
            let near = at(&one.key);
            let tunnel = &one.view.tunnel;
            let entry =
                |(peer, allowed): (&'a TunnelPeer, Vec<Cidr>)| Entry { far: at(&peer.public_key), peer, allowed };
            says[near] = tunnel.peers.iter().zip(meaning::effective(tunnel)).map(entry).collect();
            says[near].sort_by_key(|entry| entry.far);
            for entry in &says[near] {
                said[entry.far].push(near);
            }
            seen[near] = Some(one);
        }
        let (nodes, node_of) = nodes(&seen, &says);
        let mut neighbours = vec![BTreeSet::new(); nodes.len()];
        for (near, entries) in says.iter().enumerate() {
            for entry in entries {
                let (a, b) = (node_of[near], node_of[entry.far]);
                neighbours[a].insert(b);
                neighbours[b].insert(a);
            }
        }
        Self { keys, seen, says, said, nodes, node_of, neighbours }
    }

    /// Returns a node's main interface.
    pub(super) fn main(&self, node: usize) -> usize {
        self.nodes[node][0]
    }

    /// Returns what is known of a node by itself.
    pub(super) fn view(&self, node: usize) -> Option<&Seen<'a>> {
        self.seen[self.main(node)].as_ref()
    }

    /// Returns what an interface says of all its peers.
    pub(super) fn entries(&self, near: usize) -> &[Entry<'a>] {
        &self.says[near]
    }

    /// Returns what an interface says of a peer.
    pub(super) fn entry(&self, near: usize, far: usize) -> Option<&Entry<'a>> {
        let entries = &self.says[near];
        entries.binary_search_by_key(&far, |entry| entry.far).ok().map(|at| &entries[at])
    }

    /// Returns what others say of an interface, with who says it.
    pub(super) fn said_of(&self, far: usize) -> impl Iterator<Item = (usize, &Entry<'a>)> + '_ {
        self.said[far].iter().filter_map(move |&near| Some((near, self.entry(near, far)?)))
    }

    /// Returns what all interfaces of a node say of their peers.
    pub(super) fn said_by(&self, node: usize) -> impl Iterator<Item = &Entry<'a>> + '_ {
        self.nodes[node].iter().flat_map(|&near| &self.says[near])
    }

    /// Returns each two interfaces of which at least one has the other as a peer, once, the lower first.
    pub(super) fn pairs(&self) -> BTreeSet<(usize, usize)> {
        let pair = |near: usize, entry: &Entry<'a>| (near.min(entry.far), near.max(entry.far));
        self.says.iter().enumerate().flat_map(|(near, entries)| entries.iter().map(move |e| pair(near, e))).collect()
    }

    /// Returns the exit behind an uplink of a node.
    pub(super) fn exit_behind(&self, uplink: usize) -> Option<usize> {
        self.says[uplink].first().map(|entry| self.node_of[entry.far])
    }

    /// What a node is called before it has a name: its source, or the key.
    pub(super) fn label(&self, node: usize) -> String {
        self.view(node).map_or_else(|| self.keys[self.main(node)].to_string(), |seen| seen.view.source.clone())
    }

    /// Whether one interface dials another: evidence for the other being a place that is dialled. A server that saved its
    /// running state has endpoints for clients that it never dials.
    pub(super) fn dials(&self, near: usize, far: usize) -> bool {
        let deliberate = |near: usize, far: usize| {
            let (seen, entry) = (self.seen[near].as_ref()?, self.entry(near, far)?);
            let listens = seen.view.tunnel.listen_port.is_some();
            let mere = listens && entry.peer.keepalive.is_none() && meaning::only_hosts(&entry.allowed);
            Some(entry.peer.endpoint.is_some() && !mere)
        };
        match (deliberate(near, far), deliberate(far, near)) {
            (Some(dials), _) if dials => true,
            (_, Some(dials_back)) => !dials_back,
            _ => false,
        }
    }

    /// Tells the parts that no key connects.
    pub(super) fn check_connected(&self) -> Result<(), Conflict> {
        let mut part_of: Vec<Option<usize>> = vec![None; self.nodes.len()];
        let mut parts: Vec<Vec<String>> = Vec::new();
        for start in 0..self.nodes.len() {
            if part_of[start].is_some() {
                continue;
            }
            let mut sources = Vec::new();
            let mut open = vec![start];
            part_of[start] = Some(parts.len());
            while let Some(node) = open.pop() {
                let seen = self.nodes[node].iter().filter_map(|&interface| self.seen[interface].as_ref());
                sources.extend(seen.map(|seen| seen.view.source.clone()));
                for &next in &self.neighbours[node] {
                    if part_of[next].is_none() {
                        part_of[next] = Some(parts.len());
                        open.push(next);
                    }
                }
            }
            sources.sort_unstable();
            parts.push(sources);
        }
        if parts.len() > 1 {
            parts.sort_unstable();
            return Err(Conflict::Apart { parts });
        }
        Ok(())
    }
}

/// Sorts interfaces into nodes. An interface with the addresses of another one of the same machine, which sends the
/// internet to its only peer and makes no routes of its own, is that one's uplink.
fn nodes(seen: &[Option<Seen<'_>>], says: &[Vec<Entry<'_>>]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut mains: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, one) in seen.iter().enumerate() {
        if let Some(one) = one.as_ref().filter(|one| !may_be_uplink(one, &says[at])) {
            mains.entry(machine(one)).or_default().push(at);
        }
    }
    let main_of = |at: usize| {
        let one = seen[at].as_ref().filter(|one| may_be_uplink(one, &says[at]))?;
        match mains.get(&machine(one))?[..] {
            [main] => seen[main].as_ref().filter(|other| alike(other, one)).map(|_| main),
            _ => None,
        }
    };
    let main_of: Vec<Option<usize>> = (0..seen.len()).map(main_of).collect();
    let mut nodes: Vec<Vec<usize>> = Vec::new();
    let mut node_of = vec![0; seen.len()];
    for at in (0..seen.len()).filter(|&at| main_of[at].is_none()) {
        node_of[at] = nodes.len();
        nodes.push(vec![at]);
    }
    for (at, main) in main_of.iter().enumerate().filter_map(|(at, main)| Some((at, (*main)?))) {
        node_of[at] = node_of[main];
        nodes[node_of[main]].push(at);
    }
    (nodes, node_of)
}

fn may_be_uplink(seen: &Seen<'_>, entries: &[Entry<'_>]) -> bool {
    let single = |address: &crate::model::InterfaceAddr| address.network().is_host();
    let tunnel = &seen.view.tunnel;
    tunnel.table == Table::Off
        && !tunnel.addresses.is_empty()
        && tunnel.addresses.iter().all(single)
        && matches!(entries, [only] if meaning::internet(&only.allowed))
}

/// What two interfaces of one node have in common.
fn machine<'b>(seen: &Seen<'b>) -> (Option<&'b crate::model::Name>, BTreeSet<IpAddr>) {
    (seen.view.host.as_ref(), seen.view.tunnel.addresses.iter().map(|address| address.address()).collect())
}

/// Whether two interfaces share what the model has once for a node.
fn alike(a: &Seen<'_>, b: &Seen<'_>) -> bool {
    (a.view.tunnel.mtu, &a.view.tunnel.dns) == (b.view.tunnel.mtu, &b.view.tunnel.dns)
}
