//! An exit: the servers' uplinks, those of exits before it and the exit-only remotes are its peers, and it carries their
//! packets to the internet, or on to the next exit by an uplink of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cidr, Node, NodeId, Role};
use crate::wg::firewall::Duty;
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, Route, UplinkRoute};

use super::access::is_exit_only;
use super::layout::{Layout, aggregated, config};
use super::links::{End, Link};
use super::ways::prefixes;
use super::{chains, server};

pub(super) fn compile(layout: &Layout<'_>, exit: &Node) -> NodeConfig {
    let mut behind = behind_servers(layout, exit);
    let direct = layout.direct.get(&exit.id).map_or(&[][..], Vec::as_slice);
    let mut sources: Vec<Cidr> = direct.iter().flat_map(|remote| remote.addresses()).collect();
    let mut peers: Vec<PeerConfig> = Vec::with_capacity(direct.len() + 1);
    let mut uplinks: Vec<InterfaceConfig> = Vec::new();
    for (link, near, far) in layout.links_of(exit) {
        let is_main = near.interface.id == exit.main().id;
        match far.node.role {
            Role::Server => {
                peers.push(layout.peer(link, exit, *far, behind.remove(&far.node.id).unwrap_or_default()));
            }
            Role::Exit if is_main => {
                sources.extend(far.node.addresses());
                peers.push(layout.peer(link, exit, *far, far.node.addresses().collect()));
            }
            Role::Exit => uplinks.push(uplink(layout, link, [*near, *far])),
            Role::Router | Role::Remote => {}
        }
    }
    for remote in direct {
        let link = Link::to_exit(exit, remote);
        peers.push(layout.peer(&link, exit, link.outer, remote.addresses().collect()));
    }
    sources.sort_unstable();
    let routed = aggregated(exit.routed.iter().copied().collect());
    let (onward, held) = (chains::onward(layout, exit), chains::held(layout.members, exit));
    let mut interface = layout.interface(exit, exit.main(), peers);
    interface.sysctls = layout.forwarding();
    if !uplinks.is_empty() && layout.defaults().any(|prefix| prefix == Cidr::ALL4) {
        interface.sysctls.push(server::loose_source_check(&interface.name));
    }
    interface.firewall = layout.firewall(exit, Duty::Exit { direct: sources, routed, onward, held });
    uplinks.sort_by(|a, b| a.name.cmp(&b.name));
    uplinks.insert(0, interface);
    config(exit, uplinks)
}

/// The tunnel to the exit after this one. Nothing but what the firewall marks goes by it: the exits need nothing of each
/// other.
fn uplink(layout: &Layout<'_>, link: &Link<'_>, ends: [End<'_>; 2]) -> InterfaceConfig {
    let mut interface = server::to_exit(layout, link, ends);
    let table = Some(UplinkRoute::of(interface.id).table);
    interface.routes = layout.defaults().map(|to| Route { to, table }).collect();
    interface
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
