//! Making things of the other copy fit: without what isn't here, and with the keys that go on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Custody, Destination, ExitGroup, ExitGroupId, Grant, Group, GroupId, Interface, InterfaceId, InterfaceKind, Node,
    NodeId, Port, PublicKey, Topology,
};

/// What there is after merging.
#[derive(Debug)]
pub(super) struct Exists {
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) groups: BTreeSet<GroupId>,
    pub(super) exit_groups: BTreeSet<ExitGroupId>,
}

impl Exists {
    /// Returns what there is in a network.
    pub(super) fn of(topology: &Topology) -> Self {
        Self {
            nodes: topology.nodes.iter().map(|node| node.id).collect(),
            groups: topology.groups.iter().map(|group| group.id).collect(),
            exit_groups: topology.exit_groups.iter().map(|group| group.id).collect(),
        }
    }
}

fn leads_somewhere(grant: &Grant, exists: &Exists) -> bool {
    match grant.destination {
        Destination::Prefix(_) => true,
        Destination::Node(id) => exists.nodes.contains(&id),
        Destination::Group(id) => exists.groups.contains(&id),
    }
}

/// Returns a node without grants and uplinks that lead to what isn't there.
pub(super) fn fit_node(node: &Node, exists: &Exists) -> Node {
    let mut node = node.clone();
    node.grants.retain(|grant| leads_somewhere(grant, exists));
    let leads = |interface: &Interface| match interface.kind {
        InterfaceKind::Main => true,
        InterfaceKind::Uplink(exit) => exists.nodes.contains(&exit),
    };
    node.interfaces.retain(leads);
    sort(&mut node);
    node
}

/// Returns a group without members and grants that aren't there.
pub(super) fn fit_group(group: &Group, exists: &Exists) -> Group {
    let mut group = group.clone();
    group.members.retain(|member| exists.nodes.contains(member));
    group.grants.retain(|grant| leads_somewhere(grant, exists));
    group
}

/// Returns a group of exits without members that aren't there.
pub(super) fn fit_exit_group(group: &ExitGroup, exists: &Exists) -> ExitGroup {
    let mut group = group.clone();
    group.members.retain(|member| exists.nodes.contains(&member.exit));
    group.active = group.active.filter(|active| exists.nodes.contains(&active.exit));
    group
}

/// Puts interfaces in the order in which they are read.
fn sort(node: &mut Node) {
    node.interfaces.sort_by_key(|interface| (interface.kind != InterfaceKind::Main, interface.id));
}

/// What keys are decided by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys<'a> {
    /// Those that were retired here, and there.
    pub(super) retired: [&'a BTreeSet<PublicKey>; 2],
    /// Keys whose private half was kept when both parted or at some time since, here and there.
    pub(super) held: [&'a BTreeSet<PublicKey>; 2],
    /// The node as it was when both parted, if it was there.
    pub(super) forked: Option<&'a Node>,
    /// Whether the node was changed there last.
    pub(super) theirs_newer: bool,
    /// Whether the node keeps its keys whatever the other copy has.
    pub(super) kept: bool,
}

/// By which key an interface goes that both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    /// By the one that both have.
    Same,
    /// By the present one.
    Mine,
    /// By the other copy's.
    Other,
    /// By the present one, since a next one is under way on a side.
    UnderWay,
}

impl Keys<'_> {
    /// Decides between keys. One that was retired on either side stays retired.
    fn decide(&self, mine: &Interface, other: &Interface) -> Goes {
        let key = |interface: &Interface| (interface.public_key, interface.staged_key, interface.overlap);
        if key(mine) == key(other) {
            return Goes::Same;
        }
        if self.kept {
            return Goes::Mine;
        }
        let is_under_way = |interface: &Interface| interface.staged_key.is_some() || interface.overlap.is_some();
        if is_under_way(mine) || is_under_way(other) {
            return Goes::UnderWay;
        }
        let [here, there] = self.retired;
        match (here.contains(&other.public_key), there.contains(&mine.public_key)) {
            (true, _) => Goes::Mine,
            (false, true) => Goes::Other,
            (false, false) if self.theirs_newer => Goes::Other,
            (false, false) => Goes::Mine,
        }
    }

    /// Whether the custody that a node has in the other copy counts, its key being the same in both. A private key is forgotten
    /// only if somebody who had it forgot it, and comes back only if nobody forgot it here: not because something else of
    /// the node was changed.
    fn hands_over(&self, mine: &Node, other: &Node) -> bool {
        let [here, there] = self.held.map(|held| held.contains(&mine.main().public_key));
        match (mine.custody == Custody::Held, other.custody == Custody::Held) {
            (true, false) => there,
            (false, true) => !here,
            (true, true) | (false, false) => true,
        }
    }

    /// Which port counts of an interface that goes by one side's key and has the other side's values. A key keeps the port at
    /// which it is dialled, unless only the other side changed the port; `None` if both did.
    fn port(
        &self,
        holder: Option<Port>,
        values: Option<Port>,
        forked: impl Fn(&Node) -> Option<Port>,
    ) -> Option<Option<Port>> {
        let forked = self.forked.map(forked);
        if holder == values || forked == Some(values) {
            Some(holder)
        } else if forked == Some(holder) {
            Some(values)
        } else {
            None
        }
    }
}

/// A node that both have, merged.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    pub(super) node: Node,
    /// Interfaces that go by the other copy's key.
    pub(super) keys: Vec<InterfaceId>,
    /// Those for which a next key is under way.
    pub(super) under_way: Vec<InterfaceId>,
    /// Whether its custody isn't the one of the side that its values are of.
    pub(super) custody_stays: bool,
    /// Whether its port isn't.
    pub(super) port_stays: bool,
}

/// Merges a node: its values are those of one side, its keys are decided by themselves. Interfaces that it has here stay; of
/// those that it has there alone come those that lead to an exit that comes back, or all if its values are those of there,
/// as far as their names and ports are free: for the others new ones are made.
pub(super) fn join(mine: &Node, other: &Node, other_wins: bool, keys: &Keys<'_>, back: &BTreeSet<NodeId>) -> Joined {
    let mut node = if other_wins { other.clone() } else { mine.clone() };
    (node.id, node.guid, node.created) = (mine.id, mine.guid, mine.created);
    let theirs: BTreeMap<InterfaceId, &Interface> = other.interfaces.iter().map(|own| (own.id, own)).collect();
    let (mut taken, mut under_way) = (Vec::new(), Vec::new());
    let (mut custody_stays, mut port_stays) = (false, false);
    let mut interfaces = Vec::new();
    for own in &mine.interfaces {
        let Some(same) = theirs.get(&own.id) else {
            interfaces.push(own.clone());
            continue;
        };
        let goes = keys.decide(own, same);
        let (values, key) = match (other_wins, goes == Goes::Other) {
            (true, true) => (*same, *same),
            (true, false) => (*same, own),
            (false, true) => (own, *same),
            (false, false) => (own, own),
        };
        let mut interface = values.clone();
        (interface.public_key, interface.staged_key, interface.overlap) = (key.public_key, key.staged_key, key.overlap);
        if let Some(kept) = &mut interface.kept {
            kept.key_unknown = key.kept.as_ref().is_some_and(|kept| kept.key_unknown);
        }
        let is_main = own.kind == InterfaceKind::Main;
        if goes == Goes::Same && is_main && mine.custody != other.custody && !keys.hands_over(mine, other) {
            (node.custody, node.provisional, custody_stays) = (mine.custody, mine.provisional, true);
            if mine.custody != Custody::Held && mine.host.is_none() {
                node.host = None; // a host's files need the private key
            }
        }
        if goes != Goes::Same && is_main {
            let holder = if goes == Goes::Other { other } else { mine };
            (node.custody, node.provisional) = (holder.custody, holder.provisional);
            port_stays |= keep_port(&mut node, &mut interface, holder, keys, goes == Goes::UnderWay);
        }
        if goes == Goes::UnderWay {
            under_way.push(own.id);
        }
        if goes == Goes::Other {
            taken.push(own.id);
        }
        interfaces.push(interface);
    }
    let is_free = |new: &Interface, interfaces: &[Interface]| {
        interfaces
            .iter()
            .all(|own| own.name != new.name && (own.listen_port.is_none() || own.listen_port != new.listen_port))
    };
    for new in other.interfaces.iter().filter(|new| mine.interfaces.iter().all(|own| own.id != new.id)) {
        let comes = other_wins || matches!(new.kind, InterfaceKind::Uplink(exit) if back.contains(&exit));
        if comes && is_free(new, &interfaces) {
            interfaces.push(new.clone());
        }
    }
    node.interfaces = interfaces;
    sort(&mut node);
    Joined { node, keys: taken, under_way, custody_stays, port_stays }
}

/// Has a key keep the port at which it is dialled, as far as nobody else changed that. Whether both sides did, so that the
/// other side's is lost.
fn keep_port(node: &mut Node, interface: &mut Interface, holder: &Node, keys: &Keys<'_>, is_under_way: bool) -> bool {
    let held = holder.main().listen_port;
    let own = keys.port(held, interface.listen_port, |forked| forked.main().listen_port).filter(|_| !is_under_way);
    interface.listen_port = own.unwrap_or(held);
    let mut is_lost = own.is_none();
    if let (Some(endpoint), Some(held)) = (&mut node.endpoint, &holder.endpoint) {
        let forked = |forked: &Node| forked.endpoint.as_ref().map(|endpoint| endpoint.port);
        let port = keys.port(Some(held.port), Some(endpoint.port), forked).filter(|_| !is_under_way);
        is_lost |= port.is_none();
        endpoint.port = port.flatten().unwrap_or(held.port);
    }
    is_lost && !is_under_way
}
