//! An exit: the servers' uplinks and the exit-only remotes are its peers, and it carries their packets to the internet.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cidr, Node, NodeId, Role};
use crate::wg::firewall::Duty;
use crate::wg::{NodeConfig, PeerConfig};

use super::access::is_exit_only;
use super::layout::{Layout, aggregated, config};
use super::links::{End, Link};
use super::ways::prefixes;

pub(super) fn compile(layout: &Layout<'_>, exit: &Node) -> NodeConfig {
    let mut behind = behind_servers(layout, exit);
    let uplinks = layout.links_of(exit).iter().filter(|(_, _, far)| far.node.role == Role::Server);
    let uplink = |(link, _, far): &(Link<'_>, End<'_>, End<'_>)| {
        layout.peer(link, exit, *far, behind.remove(&far.node.id).unwrap_or_default())
    };
    let mut peers: Vec<PeerConfig> = uplinks.map(uplink).collect();
    let direct = layout.direct.get(&exit.id).map_or(&[][..], Vec::as_slice);
    for remote in direct {
        let link = Link::to_exit(exit, remote);
        peers.push(layout.peer(&link, exit, link.outer, remote.addresses().collect()));
    }
    let mut sources: Vec<Cidr> = direct.iter().flat_map(|remote| remote.addresses()).collect();
    sources.sort_unstable();
    let mut interface = layout.interface(exit, exit.main(), peers);
    interface.sysctls = layout.forwarding();
    interface.firewall = layout
        .firewall(exit, Duty::Exit { direct: sources, routed: aggregated(exit.routed.iter().copied().collect()) });
    config(exit, vec![interface])
}

/// Returns what comes to an exit by each server: the nodes that belong to it, with their LANs. By its own server comes all
/// that comes by no other one.
fn behind_servers(layout: &Layout<'_>, exit: &Node) -> BTreeMap<NodeId, Vec<Cidr>> {
    let members = layout.members;
    let Some(home) = members.home(exit) else { return BTreeMap::new() };
    let mut behind: BTreeMap<NodeId, Vec<Cidr>> = BTreeMap::new();
    let remotes = members.remotes.iter().filter(|node| !is_exit_only(node));
    for node in members.servers.iter().chain(&members.routers).chain(remotes) {
        if let Some(server) = members.home(node).filter(|server| server.id != home.id) {
            behind.entry(server.id).or_default().extend(prefixes(node));
        }
    }
    let elsewhere: BTreeSet<Cidr> = behind.values().flatten().copied().collect();
    behind.insert(home.id, layout.inside().filter(|prefix| !elsewhere.contains(prefix)).collect());
    behind
}
