//! The server: a peer for every router and remote, an uplink for every exit, and the firewall that decides.

use crate::model::{Cidr, InterfaceAddr, InterfaceName, Network, Node};
use crate::wg::firewall::Duty;
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, Route, Rule, Sysctl, Table, UplinkRoute};

use super::access;
use super::egress;
use super::layout::{Layout, config};
use super::links::{End, Link};

pub(super) fn compile(layout: &Layout<'_>, server: &Node) -> NodeConfig {
    let mut interfaces = vec![main_interface(layout, server)];
    let uplinks = layout.links_of(server).iter().filter(|(link, ..)| !link.is_way());
    interfaces.extend(uplinks.map(|(link, near, far)| uplink(layout, link, [*near, *far])));
    interfaces[1..].sort_by(|a, b| a.name.cmp(&b.name));
    config(server, interfaces)
}

fn main_interface(layout: &Layout<'_>, server: &Node) -> InterfaceConfig {
    let mut carried = layout.ways.carried_for_server(server);
    let links = layout.links_of(server);
    let peer = |(link, _, far): &(Link<'_>, End<'_>, End<'_>)| -> PeerConfig {
        layout.peer(link, server, *far, carried.remove(&far.node.id).unwrap_or_default())
    };
    let mut peers = Vec::with_capacity(links.len());
    peers.extend(links.iter().filter(|(link, ..)| link.is_way()).map(peer));
    let mut interface = layout.interface(server, server.main(), peers);
    interface.addresses = network_addresses(&layout.members.topology.network, server);
    interface.sysctls = layout.forwarding();
    if server.address4.is_some() && !layout.members.exits.is_empty() {
        interface.sysctls.push(loose_source_check(&interface.name));
    }
    interface.rules = egress::policy(layout, server);
    interface.firewall = layout.firewall(server, Duty::Server(access::of_server(layout, server)));
    interface
}

/// Returns the server's addresses with the network's prefix lengths: the whole network is reached by its interface.
fn network_addresses(network: &Network, server: &Node) -> Vec<InterfaceAddr> {
    let four = server.address4.zip(network.cidr4).map(|(address, net)| (address.into(), net.prefix_len()));
    let six = server.address6.zip(network.cidr6).map(|(address, net)| (address.into(), net.prefix_len()));
    four.into_iter().chain(six).filter_map(|(address, length)| InterfaceAddr::new(address, length)).collect()
}

/// The tunnel to one exit. Its peer has the default routes, so they go into a table of their own, which only packets
/// with the exit's mark look into. It has the server's own addresses again, so that packets which the server sends
/// through it have the right source, whatever came up first.
fn uplink(layout: &Layout<'_>, link: &Link<'_>, [near, far]: [End<'_>; 2]) -> InterfaceConfig {
    let mut interface = to_exit(layout, link, [near, far]);
    let numbers = UplinkRoute::of(near.interface.id);
    let to_exit = far.node.addresses().map(|to| Route { to, table: None });
    interface.routes = to_exit.chain(egress::routes(layout, numbers, far.node.id)).collect();
    interface
}

/// The tunnel from a server, or from an exit, to an exit, with the rules that lead into the table of its own; which routes
/// lie in there is for the caller to say.
pub(super) fn to_exit(layout: &Layout<'_>, link: &Link<'_>, [near, far]: [End<'_>; 2]) -> InterfaceConfig {
    let numbers = UplinkRoute::of(near.interface.id);
    let defaults: Vec<Cidr> = layout.defaults().collect();
    let peer = layout.peer(link, near.node, far, defaults.clone());
    let mut interface = layout.interface(near.node, near.interface, vec![peer]);
    interface.table = Table::Off;
    let rule =
        |to: &Cidr| Rule { ipv4: to.is_ipv4(), priority: numbers.priority, mark: numbers.mark, table: numbers.table };
    interface.rules = defaults.iter().map(rule).collect();
    if defaults.contains(&Cidr::ALL4) {
        interface.sysctls = vec![loose_source_check(&interface.name)];
    }
    interface
}

/// Answers from the internet come in by an uplink although the main table sends packets to their sources elsewhere, and
/// marked packets come in by the main interface although their table knows the uplink only (which counts where
/// `src_valid_mark` is set): the check of sources (RFC 3704) has to be the loose one. WireGuard checks them itself.
/// A dot in an interface's name is a slash in a setting's, see sysctl(8).
pub(super) fn loose_source_check(interface: &InterfaceName) -> Sysctl {
    let key = format!("net.ipv4.conf.{}.rp_filter", interface.as_str().replace('.', "/"));
    Sysctl { key, value: "2".to_owned() }
}
