//! Keys that take the place of others: while a staged key has not been seen in use, both it and the present one are good.
//!
//! An interface with a staged key runs with that one. The hosts at the other ends of its links know it by both: as the peer
//! that it was, with all that it carries, and as a second one that carries nothing yet. [`handover`](crate::wg::handover)
//! tells how the second takes the place of the first. Where somebody at the other end has a file that only he can change,
//! a second interface runs with the next key for as long as that takes: [`overlap`](crate::wg::overlap).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    ByHooks, Cidr, Hook, Interface, InterfaceId, Kept, LinkId, Name, Node, NodeId, Overlap, PublicKey, Table, Topology,
};
use crate::wg::hooks::second;
use crate::wg::{Beside, InterfaceConfig, NodeConfig, PeerConfig, config, key_file, overlap};

use super::Neighbours;
use super::layout::{listen_port, single};
use super::server::loose_source_check;

/// A staged key.
struct Next<'a> {
    key: PublicKey,
    node: &'a Node,
    overlap: Option<Overlap>,
}

/// Has interfaces with a staged key run with it, and the hosts at the other ends of their links await it. Who can't be told
/// has it in his next file, if there is a time in which both are good.
pub(super) fn add(topology: &Topology, nodes: &mut [NodeConfig]) {
    let mut staged: BTreeMap<PublicKey, Next<'_>> = BTreeMap::new();
    for node in topology.enabled() {
        let next = |own: &Interface| Some(Next { key: own.staged_key?, node, overlap: own.overlap });
        staged.extend(node.interfaces.iter().filter_map(|own| Some((own.public_key, next(own)?))));
    }
    if staged.is_empty() {
        return;
    }
    let waiting: BTreeSet<InterfaceId> = waiting(topology).map(|own| own.id).collect();
    let keepalive = topology.network.keepalive;
    for interface in nodes.iter_mut().flat_map(|node| &mut node.interfaces) {
        let next = |peer: &PeerConfig| Some(followed(peer, staged.get(&peer.public_key)?));
        if waiting.contains(&interface.id) {
            let awaited = |peer: &PeerConfig| {
                let by_both = staged.get(&peer.public_key)?.overlap.is_some();
                let next = next(peer)?;
                Some(PeerConfig {
                    succeeds: Some(peer.public_key),
                    by_both,
                    allowed_ips: Vec::new(),
                    // Nobody else begins to use the other port.
                    keepalive: next.keepalive.or((by_both && next.endpoint.is_some()).then_some(keepalive.max(1))),
                    ..next
                })
            };
            let next: Vec<PeerConfig> = interface.peers.iter().filter_map(awaited).collect();
            if !next.is_empty() {
                interface.peers.extend(next);
                interface.peers.sort_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key)));
            }
        } else {
            for peer in &mut interface.peers {
                if staged.get(&peer.public_key).is_some_and(|next| next.overlap.is_some())
                    && let Some(next) = next(peer)
                {
                    *peer = next;
                }
            }
        }
        if let Some(next) = staged.get(&interface.public_key) {
            interface.replaces = Some(std::mem::replace(&mut interface.public_key, next.key));
            interface.key_file = interface.key_file.take().map(|_| key_file::name(next.key));
            interface.peers.iter_mut().for_each(|peer| peer.next_preshared = true);
            if let Some(overlap) = next.overlap {
                interface.listen_port = Some(overlap.port);
            }
        }
    }
}

/// A peer as it is known by its next key.
fn followed(peer: &PeerConfig, next: &Next<'_>) -> PeerConfig {
    let mut followed = PeerConfig {
        guid: (next.node.guid != next.key && !next.node.guid.is_stand_in()).then_some(next.node.guid),
        public_key: next.key,
        next_preshared: true,
        ..peer.clone()
    };
    if let (Some(endpoint), Some(overlap)) = (&mut followed.endpoint, next.overlap) {
        endpoint.port = overlap.port;
    }
    followed
}

/// Has interfaces go on with their present key, which isn't to end yet: their peers don't all await the staged one, or don't
/// go by it. In a time in which both are good, another interface runs beside, with the staged one.
pub fn hold_back(topology: &Topology, nodes: &mut [NodeConfig], interfaces: &BTreeSet<InterfaceId>) {
    if interfaces.is_empty() {
        return;
    }
    let waiting: BTreeSet<PublicKey> = waiting(topology).map(|own| own.public_key).collect();
    let all = nodes.iter().flat_map(|node| &node.interfaces).flat_map(|interface| &interface.peers);
    let called = all.filter(|peer| peer.by_both && peer.endpoint.is_some()).map(|peer| peer.link).collect();
    for node in nodes {
        let mut beside = Vec::new();
        for interface in node.interfaces.iter_mut().filter(|own| interfaces.contains(&own.id)) {
            let Some(present) = interface.replaces else { continue };
            let model = topology.node(node.node);
            let own = model.and_then(|node| Some((node, node.interfaces.iter().find(|own| own.id == interface.id)?)));
            if let Some((node, own)) = own.filter(|(_, own)| own.overlap.is_some()) {
                beside.push(with_next_key(interface, &waiting, &called));
                interface.listen_port = listen_port(node, own);
                interface.followed_by = beside.last().map(|beside| beside.name.clone());
                // Which of the two interfaces a peer is on is for what moves them to say.
                interface.fallbacks.clear();
                loosen(interface);
                if let Some(firewall) = &mut interface.firewall {
                    firewall.beside.clone_from(&interface.followed_by);
                }
            }
            interface.replaces = None;
            interface.public_key = present;
            interface.key_file = interface.key_file.take().map(|_| key_file::name(present));
            // A peer's own next key brings a next preshared key still.
            interface.peers.iter_mut().for_each(|peer| peer.next_preshared = peer.succeeds.is_some());
        }
        node.interfaces.extend(beside);
    }
}

/// The interface that runs with the next key beside another one. It has the same peers and carries the same; which of the two
/// a packet goes by is for the host's routes to say. It has the other's addresses again, so that what the host sends through it
/// has the right source. It calls nobody who calls it, over one of the links `called`: as soon as it is up they would shake hands,
/// and go by it before the host can lead them there.
fn with_next_key(
    interface: &InterfaceConfig,
    waiting: &BTreeSet<PublicKey>,
    called: &BTreeSet<LinkId>,
) -> InterfaceConfig {
    let networks = interface.addresses.iter().map(|own| own.network()).filter(|net| !net.is_host()).collect();
    let peers = interface.peers.iter().map(|peer| peer.public_key);
    let knowing = peers.filter(|key| waiting.contains(key)).collect();
    let name = overlap::name(&interface.name);
    let mut beside = InterfaceConfig {
        name: name.clone(),
        replaces: None,
        addresses: interface.addresses.iter().map(|own| single(own.address())).collect(),
        dns: Vec::new(),
        table: Table::Off,
        sysctls: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        firewall: None,
        by_hooks: ByHooks::default(),
        save_config: false,
        // Those of a file that somebody made come from there.
        hooks: second::repeated(&interface.hooks, &interface.name, &name).hooks,
        fallbacks: Vec::new(),
        beside: Some(Beside { name: interface.name.clone(), networks, knowing }),
        ..interface.clone()
    };
    beside.peers.iter_mut().filter(|peer| called.contains(&peer.link)).for_each(|peer| peer.endpoint = None);
    loosen(&mut beside);
    beside
}

/// A peer's packets may come in by one interface while the routes to it still lead by the other.
fn loosen(interface: &mut InterfaceConfig) {
    let loose = loose_source_check(&interface.name);
    if interface.addresses.iter().any(|own| own.address().is_ipv4()) && !interface.sysctls.contains(&loose) {
        interface.sysctls.push(loose);
    }
}

/// Why an interface can't be dialled by two keys at once; `None` when it can: wg-friend runs another one beside it, which needs
/// the same of its hooks. `hooks` are those that somebody wrote, in the model or in its own file.
pub fn hinders_overlap(node: &Node, interface: &Interface, config: &InterfaceConfig, hooks: &[Hook]) -> Option<String> {
    let to_default = |prefix: &Cidr| prefix.is_default();
    let kept = |is: fn(&Kept) -> bool| interface.kept.as_ref().is_some_and(is);
    let unclear = || second::repeated(hooks, &interface.name, &overlap::name(&interface.name)).unclear;
    let why = if node.host.is_none() {
        "wg-friend doesn't deploy to it"
    } else if node.endpoint.is_none() || interface.id != node.main().id {
        "nobody dials it"
    } else if kept(|kept| !kept.run.is_up()) {
        "its interface doesn't run"
    } else if kept(|kept| kept.key_by_hook) {
        "one of its hooks loads its key"
    } else if config.table != Table::Auto || config.peers.iter().flat_map(|peer| &peer.allowed_ips).any(to_default) {
        "its routes aren't in the main table"
    } else if kept(|kept| !kept.by_hooks.routes.is_empty()) {
        "its hooks make routes"
    } else if !kept(|kept| !kept.firewall) {
        // What passes is for wg-friend's own rules to say, which know both.
        return None;
    } else {
        let unclear = unclear()?;
        let shown = config::masked_line(&unclear);
        return Some(format!(
            "what its hook `{shown}` does has to be done for a second interface, too, and nobody can tell what it is"
        ));
    };
    Some(why.to_owned())
}

/// The interfaces whose hosts look after two keys of a peer by themselves.
fn waiting(topology: &Topology) -> impl Iterator<Item = &Interface> {
    topology.enabled().flat_map(|node| node.interfaces.iter().filter(|own| can_await(node, own.id)))
}

/// Whether the host of a node looks after two keys of a peer by itself: it has one, and the interface runs there.
fn can_await(node: &Node, interface: InterfaceId) -> bool {
    let own = node.interfaces.iter().find(|own| own.id == interface);
    node.host.is_some() && own.is_some_and(|own| own.kept.as_ref().is_none_or(|kept| kept.run.is_up()))
}

/// Whether a node doesn't have an interface among its peers although the model links the two: it was found like that.
pub fn is_absent(node: &Node, own: InterfaceId, peer: InterfaceId) -> bool {
    let own = node.interfaces.iter().find(|one| one.id == own);
    own.and_then(|own| own.kept.as_ref()?.peers.get(&peer)).is_some_and(|kept| kept.absent)
}

/// Returns the nodes that would be cut off if this interface just used another key, since nobody tells their machines of
/// it: they need a new file first.
pub fn cut_off_by_rotation(neighbours: &Neighbours<'_>, interface: InterfaceId) -> Vec<Name> {
    let mut names: BTreeMap<NodeId, Name> = BTreeMap::new();
    for (node, far) in neighbours.beyond(interface) {
        if !can_await(node, *far) && !is_absent(node, *far, interface) {
            names.insert(node.id, node.name.clone());
        }
    }
    names.into_values().collect()
}
