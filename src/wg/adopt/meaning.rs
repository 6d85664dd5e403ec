//! What a tunnel means, whatever it looks like.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cidr, InterfaceAddr};
use crate::wg::config::effective_allowed_ips;
use crate::wg::{Tunnel, TunnelPeer};

/// Returns each peer's AllowedIPs as the kernel has them: sorted, and of peers that share a prefix only the last one has
/// it.
pub(super) fn effective(tunnel: &Tunnel) -> Vec<Vec<Cidr>> {
    let mut lists = effective_allowed_ips(&tunnel.peers);
    lists.iter_mut().for_each(|list| list.sort_unstable());
    lists
}

/// Returns which peer, by its place, gets the packets to each prefix.
fn owners(tunnel: &Tunnel) -> BTreeMap<Cidr, usize> {
    let peers = tunnel.peers.iter().enumerate();
    peers.flat_map(|(at, peer)| peer.allowed_ips.iter().map(move |prefix| (*prefix, at))).collect()
}

/// Returns the prefixes that stand at several peers: prefix, a peer without effect, the peer that gets the packets.
pub(super) fn shared(tunnel: &Tunnel) -> Vec<(Cidr, usize, usize)> {
    let owners = owners(tunnel);
    let peers = tunnel.peers.iter().enumerate();
    let all: BTreeSet<(Cidr, usize, usize)> = peers
        .flat_map(|(at, peer)| peer.allowed_ips.iter().map(move |prefix| (*prefix, at)))
        .map(|(prefix, at)| (prefix, at, owners[&prefix]))
        .filter(|(_, at, owner)| at != owner)
        .collect();
    all.into_iter().collect()
}

/// Returns addresses without their order.
pub(super) fn addresses(addresses: &[InterfaceAddr]) -> BTreeSet<InterfaceAddr> {
    addresses.iter().copied().collect()
}

/// Whether two tunnels with the same key mean the same.
pub(super) fn same(a: &Tunnel, b: &Tunnel) -> bool {
    let peers = |tunnel: &Tunnel| -> BTreeMap<_, _> {
        let allowed = effective(tunnel);
        tunnel.peers.iter().zip(allowed).map(|(peer, allowed)| (peer.public_key, allowed)).collect()
    };
    let others = |tunnel: &Tunnel| -> BTreeMap<_, _> {
        tunnel.peers.iter().map(|peer| (peer.public_key, (peer.endpoint.clone(), peer.keepalive))).collect()
    };
    let shared = |a: &TunnelPeer| b.peers.iter().any(|b| b.public_key == a.public_key && b.preshared == a.preshared);
    a.private_key.is_some() == b.private_key.is_some()
        && addresses(&a.addresses) == addresses(&b.addresses)
        && (a.listen_port, a.fwmark, a.mtu, &a.dns, &a.table) == (b.listen_port, b.fwmark, b.mtu, &b.dns, &b.table)
        && (a.save_config, &a.hooks, &a.unknown) == (b.save_config, &b.hooks, &b.unknown)
        && peers(a) == peers(b)
        && others(a) == others(b)
        && a.peers.len() == b.peers.len()
        && a.peers.iter().all(shared)
}

/// Whether a prefix is so wide that what is sent there is the internet: a default route or a part of one.
pub(super) fn is_internet(prefix: &Cidr) -> bool {
    prefix.net().prefix_len() <= 3
}

/// Whether some prefixes send the internet to a peer.
pub(super) fn internet(prefixes: &[Cidr]) -> bool {
    prefixes.iter().any(is_internet)
}

/// Whether all of some prefixes are single addresses, and there is one at least.
pub(super) fn only_hosts(prefixes: &[Cidr]) -> bool {
    !prefixes.is_empty() && prefixes.iter().all(Cidr::is_host)
}
