//! What interfaces keep: the differences between what somebody built by hand, or set, and what the model would make.
//!
//! Differences add to what is compiled, so that a later change of the model still has its effect.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Cidr, Interface, InterfaceAddr, InterfaceId, Kept, KeptEndpoint, KeptPeer, LinkId, Node, PublicKey, Topology,
    Weight, WhenDown,
};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, key_file};

use super::layout::Layout;
use super::links::{End, Link};

/// Adds the peers of links that don't follow from roles. What they carry is what their interfaces keep.
pub(super) fn add_links(layout: &Layout<'_>, nodes: &mut [NodeConfig]) {
    let topology = layout.members.topology;
    if topology.links.is_empty() {
        return;
    }
    let ends: BTreeMap<InterfaceId, End<'_>> = topology
        .enabled()
        .flat_map(|node| node.interfaces.iter().map(move |interface| (interface.id, End { node, interface })))
        .collect();
    for link in topology.links.iter().filter(|link| link.weight.is_none()) {
        let (low, high) = link.id.ends();
        let (Some(inner), Some(outer)) = (ends.get(&low), ends.get(&high)) else { continue };
        let link = Link { inner: *inner, outer: *outer, weight: Weight::ONE, when_down: WhenDown::Stay };
        for (near, far) in [(inner, outer), (outer, inner)] {
            let peer = layout.peer(&link, near.node, *far, Vec::new());
            if let Some(config) = interface_of(nodes, near.node, near.interface) {
                config.peers.push(peer);
                config.peers.sort_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key)));
            }
        }
    }
}

fn interface_of<'a>(
    nodes: &'a mut [NodeConfig],
    node: &Node,
    interface: &Interface,
) -> Option<&'a mut InterfaceConfig> {
    let at = nodes.binary_search_by_key(&node.id, |config| config.node).ok()?;
    nodes[at].interfaces.iter_mut().find(|config| config.id == interface.id)
}

/// Brings interfaces to what they keep.
pub(super) fn keep(topology: &Topology, nodes: &mut [NodeConfig]) {
    leave_out_unknown_keys(topology, nodes);
    for node in topology.enabled() {
        for interface in &node.interfaces {
            if let Some(kept) = &interface.kept
                && let Some(config) = interface_of(nodes, node, interface)
            {
                keep_interface(node, interface, kept, config);
            }
        }
    }
}

/// Takes the peers away of which nobody knows the key.
fn leave_out_unknown_keys(topology: &Topology, nodes: &mut [NodeConfig]) {
    let unknown = |interface: &&Interface| interface.kept.as_ref().is_some_and(|kept| kept.key_unknown);
    let unknown: BTreeSet<PublicKey> =
        topology.enabled().flat_map(|n| &n.interfaces).filter(unknown).map(|i| i.public_key).collect();
    if !unknown.is_empty() {
        for config in nodes.iter_mut().flat_map(|node| &mut node.interfaces) {
            config.peers.retain(|peer| !unknown.contains(&peer.public_key));
        }
    }
}

fn keep_interface(node: &Node, interface: &Interface, kept: &Kept, config: &mut InterfaceConfig) {
    match (kept.made, interface.id == node.main().id) {
        (true, _) => config.addresses.extend(&kept.addresses),
        (false, true) => config.addresses = addresses(node, kept),
        (false, false) => {}
    }
    if kept.mtu_auto && node.mtu.is_none() {
        config.mtu = None;
    }
    config.mtu = kept.mtu.or(config.mtu);
    if !kept.made {
        config.dns = node.dns.clone().unwrap_or_else(|| std::mem::take(&mut config.dns));
    }
    config.fwmark = kept.fwmark;
    config.table = kept.table.clone().unwrap_or_else(|| config.table.clone());
    config.hooks = kept.hooks.clone();
    config.run = kept.run;
    let on_host = kept.key_on_host && node.host.is_some();
    config.key_file = on_host.then(|| key_file::name(config.public_key));
    config.save_config = kept.save_config;
    config.by_hooks = kept.by_hooks.clone();
    if !kept.firewall {
        config.firewall = None;
        config.sysctls.clear();
        config.routes.clear();
        config.rules.clear();
    }
    if kept.peers.is_empty() {
        return;
    }
    let kept_of = |peer: &PeerConfig| kept.peers.get(&far_end(interface.id, peer.link));
    config.peers.retain(|peer| !kept_of(peer).is_some_and(|kept| kept.absent));
    for peer in &mut config.peers {
        if let Some(kept) = kept_of(peer) {
            keep_peer(kept, peer);
        }
    }
}

fn far_end(near: InterfaceId, link: LinkId) -> InterfaceId {
    let (low, high) = link.ends();
    debug_assert!(near == low || near == high);
    if low == near { high } else { low }
}

/// Returns an adopted interface's addresses: those in the network with the lengths that they were written with, then its
/// further ones.
fn addresses(node: &Node, kept: &Kept) -> Vec<InterfaceAddr> {
    let four = node.address4.and_then(|a| InterfaceAddr::new(a.into(), kept.length4.unwrap_or(32)));
    let six = node.address6.and_then(|a| InterfaceAddr::new(a.into(), kept.length6.unwrap_or(128)));
    four.into_iter().chain(six).chain(kept.addresses.iter().copied()).collect()
}

fn keep_peer(kept: &KeptPeer, peer: &mut PeerConfig) {
    let mut allowed: Vec<Cidr> = std::mem::take(&mut peer.allowed_ips);
    allowed.retain(|prefix| !kept.left_out.contains(prefix));
    allowed.extend(&kept.added);
    allowed.sort_unstable();
    allowed.dedup();
    peer.allowed_ips = allowed;
    if let Some(seconds) = kept.keepalive {
        peer.keepalive = Some(seconds).filter(|seconds| *seconds != 0);
    }
    match &kept.endpoint {
        None => {}
        Some(KeptEndpoint::None) => peer.endpoint = None,
        Some(KeptEndpoint::At(endpoint)) => peer.endpoint = Some(endpoint.clone()),
    }
}
