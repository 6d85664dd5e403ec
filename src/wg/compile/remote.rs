//! A remote: its server is its peer or, for an exit-only remote, its exit; and what it has a link of its own to.

use std::net::IpAddr;

use crate::model::Node;
use crate::wg::NodeConfig;

use super::access::{is_exit_only, reachable};
use super::layout::{Layout, config};
use super::links::Link;

pub(super) fn compile(layout: &Layout<'_>, remote: &Node) -> NodeConfig {
    let exit = layout.members.exit_of(remote).filter(|_| is_exit_only(remote));
    let reachable = reachable(layout, remote);
    let peers = match exit.map(|exit| Link::to_exit(exit, remote)) {
        Some(link) => vec![layout.peer(&link, remote, link.inner, reachable)],
        None => layout.peers_of_leaf(remote, reachable),
    };
    let mut interface = layout.interface(remote, remote.main(), peers);
    interface.dns = dns(layout, remote);
    config(remote, vec![interface])
}

/// Returns the DNS entries for a remote's file. A server inside the network is no use to an exit-only remote, which
/// doesn't get there.
fn dns(layout: &Layout<'_>, remote: &Node) -> Vec<String> {
    let entries = remote.dns.as_ref().unwrap_or(&layout.members.topology.network.dns);
    let out_of_reach =
        |entry: &String| is_exit_only(remote) && entry.parse::<IpAddr>().is_ok_and(|address| layout.is_inside(address));
    entries.iter().filter(|entry| !out_of_reach(entry)).cloned().collect()
}
