//! What the roles' compilers share: the network's prefixes and LANs, and how peers and interfaces are put together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::{
    ByHooks, Cidr, Endpoint, Interface, InterfaceAddr, InterfaceName, Mtu, Name, Node, NodeId, Port, Run, WhenDown,
};
use crate::wg::firewall::{Duty, Firewall};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, Sysctl, Table, overlap};

use super::access::common;
use super::links::{End, Link, Members};
use super::ways::Ways;

/// A topology with what every node's config needs of it worked out once.
pub(super) struct Layout<'a> {
    pub(super) members: &'a Members<'a>,
    /// The network's prefixes, IPv4 first.
    pub(super) network: Vec<Cidr>,
    /// Every advertised LAN with its owner, sorted by LAN.
    pub(super) lans: Vec<(Cidr, NodeId)>,
    /// The network's DNS servers that lie in the network or in a LAN.
    pub(super) inner_dns: Vec<Cidr>,
    /// Which peer carries what.
    pub(super) ways: Ways<'a>,
    /// Each node's links: its own end, then the other.
    links: BTreeMap<NodeId, Vec<(Link<'a>, End<'a>, End<'a>)>>,
    /// The exit-only remotes of each exit.
    pub(super) direct: BTreeMap<NodeId, Vec<&'a Node>>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(members: &'a Members<'a>) -> Self {
        let topology = members.topology;
        let owners = members.servers.iter().chain(&members.routers);
        let mut lans: Vec<_> = owners.flat_map(|node| node.lans.iter().map(|lan| (lan.cidr, node.id))).collect();
        lans.sort_unstable();
        let mut direct: BTreeMap<NodeId, Vec<&Node>> = BTreeMap::new();
        for node in members.remotes.iter().filter(|node| super::access::is_exit_only(node)) {
            if let Some(exit) = members.exit_of(node) {
                direct.entry(exit.id).or_default().push(node);
            }
        }
        let all = members.links();
        let mut links: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        for link in &all {
            for (near, far) in [(link.inner, link.outer), (link.outer, link.inner)] {
                // Most nodes have one link, for which a vector would make room for four.
                links.entry(near.node.id).or_insert_with(|| Vec::with_capacity(1)).push((*link, near, far));
            }
        }
        let ways = Ways::of(members, &all);
        let network = topology.network.prefixes().collect();
        let mut layout = Self { members, network, lans, inner_dns: Vec::new(), ways, links, direct };
        layout.inner_dns = layout.inner(&topology.network.dns);
        layout
    }

    /// Returns the entries that are addresses in the network or in a LAN.
    pub(super) fn inner(&self, dns: &[String]) -> Vec<Cidr> {
        let addresses = dns.iter().filter_map(|entry| entry.parse::<IpAddr>().ok());
        let mut inner: Vec<Cidr> = addresses.filter(|address| self.is_inside(*address)).map(Cidr::host).collect();
        inner.sort_unstable();
        inner.dedup();
        inner
    }

    /// Whether an address lies in the network or in a LAN.
    pub(super) fn is_inside(&self, address: IpAddr) -> bool {
        let at = self.lans.partition_point(|(lan, _)| *lan <= Cidr::host(address));
        let in_lan = self.lans[..at].last().is_some_and(|(lan, _)| lan.contains(address));
        in_lan || self.network.iter().any(|prefix| prefix.contains(address))
    }

    /// Returns the LANs of every node but this one.
    pub(super) fn lans_except(&self, node: &Node) -> impl Iterator<Item = Cidr> + '_ {
        let own = node.id;
        self.lans.iter().filter(move |(_, owner)| *owner != own).map(|(lan, _)| *lan)
    }

    /// Returns the network's prefixes and every LAN.
    pub(super) fn inside(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.network.iter().copied().chain(self.lans.iter().map(|(lan, _)| *lan))
    }

    /// Returns a node's links: each with its own end and the other one.
    pub(super) fn links_of(&self, node: &Node) -> &[(Link<'a>, End<'a>, End<'a>)] {
        self.links.get(&node.id).map_or(&[], Vec::as_slice)
    }

    /// Returns the peers of a router or remote: its server, which carries `all` that no other peer does, and those to
    /// which a cheaper way leads.
    pub(super) fn peers_of_leaf(&self, node: &Node, all: Vec<Cidr>) -> Vec<PeerConfig> {
        let Some(home) = self.members.home(node) else { return Vec::new() };
        let mut carried = self.ways.carried_beside_home(node, home.id);
        let elsewhere: BTreeSet<Cidr> = carried.values().flatten().copied().collect();
        let parts = |prefixes: Vec<Cidr>| prefixes.into_iter().flat_map(|prefix| common(prefix, all.iter().copied()));
        let mut carried: BTreeMap<NodeId, Vec<Cidr>> =
            carried.iter_mut().map(|(peer, prefixes)| (*peer, parts(std::mem::take(prefixes)).collect())).collect();
        let rest = all.iter().filter(|prefix| !elsewhere.iter().any(|other| other.covers(prefix))).copied();
        carried.insert(home.id, rest.collect());
        let ways = self.links_of(node).iter().filter(|(link, ..)| link.is_way());
        let mut peers = Vec::with_capacity(1); // most have no more
        peers.extend(
            ways.map(|(link, _, far)| self.peer(link, node, *far, carried.remove(&far.node.id).unwrap_or_default())),
        );
        peers
    }

    pub(super) fn mtu(&self, node: &Node) -> Mtu {
        node.mtu.unwrap_or(self.members.topology.network.mtu)
    }

    /// Returns the peer that `near` sees at the other end of a link.
    pub(super) fn peer(&self, link: &Link<'_>, near: &Node, far: End<'_>, allowed_ips: Vec<Cidr>) -> PeerConfig {
        let endpoint = far.endpoint();
        // An uplink's key never was its node's permanent name, and a stand-in never was a key.
        let (is_main, guid) = (far.interface.id == far.node.main().id, far.node.guid);
        let rotated = is_main && far.interface.public_key != guid && !guid.is_stand_in();
        PeerConfig {
            name: far.node.name.clone(),
            guid: rotated.then_some(guid),
            public_key: far.interface.public_key,
            succeeds: None,
            by_both: false,
            link: link.id(),
            next_preshared: false,
            allowed_ips: aggregated(allowed_ips),
            keepalive: self.keepalive(near, endpoint.as_ref(), link.when_down),
            endpoint,
        }
    }

    /// A node that nobody can dial keeps its way in open, towards the peers that it dials itself. So does whoever dials over
    /// a link whose traffic moves when it is down: silence has to mean that it is.
    fn keepalive(&self, near: &Node, far: Option<&Endpoint>, when_down: WhenDown) -> Option<u16> {
        let needed = (near.endpoint.is_none() || when_down == WhenDown::Move) && far.is_some();
        let seconds = near.keepalive.or_else(|| needed.then_some(self.members.topology.network.keepalive));
        seconds.filter(|&seconds| seconds != 0)
    }

    /// Returns an interface with nothing around it yet.
    pub(super) fn interface(&self, node: &Node, interface: &Interface, mut peers: Vec<PeerConfig>) -> InterfaceConfig {
        peers.sort_unstable_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key))); // no key is there twice
        InterfaceConfig {
            id: interface.id,
            name: interface.name.clone(),
            public_key: interface.public_key,
            replaces: None,
            addresses: single_addresses(node),
            listen_port: listen_port(node, interface),
            fwmark: None,
            mtu: Some(self.mtu(node)),
            dns: Vec::new(),
            table: Table::Auto,
            peers,
            sysctls: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            firewall: None,
            run: Run::Boot,
            save_config: false,
            by_hooks: ByHooks::default(),
            follows_names: false,
            fallbacks: Vec::new(),
            key_file: None,
            beside: None,
            followed_by: None,
            hooks: Vec::new(),
        }
    }

    /// Returns the settings without which a host forwards nothing, for the families that the network has.
    pub(super) fn forwarding(&self) -> Vec<Sysctl> {
        let setting = |prefix: &Cidr| {
            let key = if prefix.is_ipv4() { "net.ipv4.ip_forward" } else { "net.ipv6.conf.all.forwarding" };
            Sysctl { key: key.to_owned(), value: "1".to_owned() }
        };
        self.network.iter().map(setting).collect()
    }

    pub(super) fn firewall(&self, node: &Node, duty: Duty) -> Option<Firewall> {
        Some(Firewall {
            interface: node.main().name.clone(),
            beside: None,
            outer: outer_interface(node),
            network: self.network.clone(),
            lans: self.lans.iter().map(|(lan, _)| *lan).collect(),
            duty,
        })
    }

    /// Returns the default routes of the families that the network has.
    pub(super) fn defaults(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.network.iter().map(|prefix| if prefix.is_ipv4() { Cidr::ALL4 } else { Cidr::ALL6 })
    }
}

pub(super) fn config(node: &Node, interfaces: Vec<InterfaceConfig>) -> NodeConfig {
    let name: Name = node.name.clone();
    NodeConfig { node: node.id, name, interfaces }
}

/// The port that an interface listens on: a node that has an endpoint and no port of its own listens on the endpoint's,
/// since a port that the kernel chooses couldn't be dialled. Not so an adopted one that did without it.
pub(super) fn listen_port(node: &Node, interface: &Interface) -> Option<Port> {
    if interface.kept.as_ref().is_some_and(|kept| kept.port_auto) {
        return None;
    }
    let is_main = interface.id == node.main().id;
    let dialled = node.endpoint.as_ref().filter(|_| is_main).map(|endpoint| endpoint.port);
    interface.listen_port.or(dialled)
}

/// Returns the names and ports that an interface takes of its machine: its own, and while it goes by two keys those of the second
/// interface, which has the next one.
pub fn taken_by(node: &Node, interface: &Interface) -> impl Iterator<Item = (InterfaceName, Option<Port>)> {
    let next = interface.overlap.map(|next| (overlap::name(&interface.name), Some(next.port)));
    std::iter::once((interface.name.clone(), listen_port(node, interface))).chain(next)
}

pub(super) fn outer_interface(node: &Node) -> InterfaceName {
    node.outer_interface().parse().expect("it is the name of an interface, or eth0")
}

/// Returns a node's addresses as /32 and /128: all but the server's main interface have them so.
pub(super) fn single_addresses(node: &Node) -> Vec<InterfaceAddr> {
    node.addresses().map(|cidr| single(cidr.net().addr())).collect()
}

/// An address with nothing around it.
pub(super) fn single(address: IpAddr) -> InterfaceAddr {
    let length = if address.is_ipv4() { 32 } else { 128 };
    InterfaceAddr::new(address, length).expect("the length is its family's own")
}

/// Sorts prefixes and leaves out those which another one holds.
pub(super) fn aggregated(mut prefixes: Vec<Cidr>) -> Vec<Cidr> {
    prefixes.sort_unstable(); // a prefix comes before all that it holds
    let mut kept: Vec<Cidr> = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        if !kept.last().is_some_and(|last| last.covers(&prefix)) {
            kept.push(prefix);
        }
    }
    kept
}

/// Returns which of some prefixes holds an address. They are sorted and disjoint, as [`aggregated`] makes them.
pub(super) fn holding(prefixes: &[Cidr], address: IpAddr) -> Option<Cidr> {
    let at = prefixes.partition_point(|prefix| *prefix <= Cidr::host(address));
    prefixes[..at].last().copied().filter(|prefix| prefix.contains(address))
}
