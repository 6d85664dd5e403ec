//! What no configuration could make right, found before any is made.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{
    Access, Cidr, Egress, EndpointHost, Grant, InterfaceId, InterfaceKind, Name, Node, Role, Topology, WhenDown,
};
use crate::wg::{NodeConfig, UplinkRoute};

use super::Refusal;
use super::access::is_exit_only;
use super::egress;
use super::layout::{aggregated, holding, taken_by};
use super::links::Members;

/// Returns every reason why a topology can't be compiled; none means that it can.
///
/// Addresses, keys and names are compared among all nodes, disabled ones too, so that enabling a node never brings a
/// clash; the rest concerns the enabled nodes.
pub fn check(topology: &Topology) -> Vec<Refusal> {
    super::compile(topology).err().unwrap_or_default()
}

/// Returns what can be told without compiling.
pub(super) fn check_members(members: &Members<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    servers(members, &mut found);
    identities(members.topology, &mut found);
    addresses(members.topology, &mut found);
    lans(members, &mut found);
    roles(members.topology, &mut found);
    exits(members, &mut found);
    rights(members.topology, &mut found);
    dns(members.topology, &mut found);
    mtus(members.topology, &mut found);
    own_links(members, &mut found);
    dialling(members, &mut found);
    machines(members, &mut found);
    found
}

fn servers(members: &Members<'_>, found: &mut Vec<Refusal>) {
    if members.topology.network.prefixes().next().is_none() {
        found.push(Refusal::NoPrefix);
    }
    if members.servers.is_empty() {
        found.push(Refusal::NoServer);
        return;
    }
    for node in members.topology.enabled() {
        let Some(server) = node.server.and_then(|id| members.topology.node(id)) else { continue };
        let (name, other) = (node.name.clone(), server.name.clone());
        if node.role == Role::Server {
            found.push(Refusal::ServerOfServer { node: name });
        } else if server.role != Role::Server {
            found.push(Refusal::NotAServer { node: name, other, role: server.role });
        } else if !server.enabled {
            found.push(Refusal::ServerDisabled { node: name, server: other });
        }
    }
}

/// Links that the operator made.
fn own_links(members: &Members<'_>, found: &mut Vec<Refusal>) {
    if members.topology.links.is_empty() {
        return;
    }
    let mains: BTreeMap<InterfaceId, &Node> = members.topology.enabled().map(|node| (node.main().id, node)).collect();
    for link in members.topology.links.iter().filter(|link| link.weight.is_some()) {
        let (low, high) = link.id.ends();
        let (Some(a), Some(b)) = (mains.get(&low), mains.get(&high)) else { continue };
        let (first, second) = (a.name.clone(), b.name.clone());
        if a.role == Role::Exit || b.role == Role::Exit {
            found.push(Refusal::LinkToExit { first, second });
            continue;
        }
        if link.when_down == WhenDown::Move {
            giving_way((a, b), found);
        }
        for (node, other) in [(a, b), (b, a)] {
            let (name, far) = (node.name.clone(), other.name.clone());
            let access = node.access;
            let both_remotes = node.role == Role::Remote && other.role == Role::Remote;
            let judged_at_home = members.home(node).is_some_and(|home| !home.has_own_rules());
            match access {
                Access::ExitOnly => found.push(Refusal::LinkOfExitOnly { node: name, other: far }),
                Access::Custom if both_remotes => found.push(Refusal::LinkUnjudged { node: name, other: far, access }),
                Access::VpnOnly | Access::LanOnly | Access::Custom if judged_at_home && other.has_own_rules() => {
                    found.push(Refusal::LinkPastRules { node: name, other: far });
                }
                _ => {}
            }
        }
    }
}

/// A link whose traffic moves when it is down: hosts at both ends do that, to a way of their own.
fn giving_way((a, b): (&Node, &Node), found: &mut Vec<Refusal>) {
    if a.role == Role::Server || b.role == Role::Server {
        found.push(Refusal::MoveOverServer { first: a.name.clone(), second: b.name.clone() });
        return;
    }
    for (end, far) in [(a, b), (b, a)] {
        let (node, other) = (end.name.clone(), far.name.clone());
        if end.host.is_none() {
            found.push(Refusal::MoveNeedsHost { node, other });
        } else if end.main().kept.as_ref().is_some_and(|kept| !kept.made && !kept.firewall) {
            found.push(Refusal::MoveNeedsHooks { node, other });
        }
    }
}

/// Names and keys.
fn identities(topology: &Topology, found: &mut Vec<Refusal>) {
    let mut names = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for node in &topology.nodes {
        if names.insert(&node.name, ()).is_some() {
            found.push(Refusal::DuplicateName { name: node.name.clone() });
        }
        for interface in &node.interfaces {
            if let Some(first) = keys.insert(interface.public_key, node) {
                let (first, second) = (first.name.clone(), node.name.clone());
                found.push(Refusal::DuplicateKey { key: interface.public_key, first, second });
            }
        }
    }
}

fn addresses(topology: &Topology, found: &mut Vec<Refusal>) {
    let network = &topology.network;
    let prefixes: Vec<Cidr> = network.prefixes().collect();
    let mut owners: BTreeMap<IpAddr, &Node> = BTreeMap::new();
    for node in &topology.nodes {
        let own = node.addresses().map(|cidr| cidr.net().addr());
        let mut count = 0;
        for address in own {
            count += 1;
            if let Some(first) = owners.insert(address, node) {
                let (first, second) = (first.name.clone(), node.name.clone());
                found.push(Refusal::DuplicateAddress { address, first, second });
            }
            let adopted = was_there_before(node);
            let node = node.name.clone();
            match prefixes.iter().find(|prefix| prefix.contains(address)) {
                None => found.push(Refusal::OutsideNetwork { node, address }),
                Some(&network) if stands_for_all(network, address) && !adopted => {
                    found.push(Refusal::ReservedAddress { node, address, network });
                }
                Some(_) => {}
            }
        }
        if count == 0 && !prefixes.is_empty() && !was_there_before(node) {
            found.push(Refusal::NoAddress { node: node.name.clone() });
        }
    }
}

/// Whether a node is part of a network that somebody else built: what works there isn't ours to refuse.
fn was_there_before(node: &Node) -> bool {
    node.provisional || node.main().kept.is_some()
}

/// Whether an address is the first or last of an IPv4 prefix, or the first of an IPv6 one (RFC 4291, section 2.6.1).
fn stands_for_all(network: Cidr, address: IpAddr) -> bool {
    let net = network.net();
    let wide = net.prefix_len() + 1 < net.max_prefix_len();
    wide && (address == net.network() || (address.is_ipv4() && address == net.broadcast()))
}

fn lans(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let network: Vec<Cidr> = members.topology.network.prefixes().collect();
    let mut all: Vec<(Cidr, &Name)> = Vec::new();
    for node in members.topology.enabled() {
        for lan in node.lans.iter().map(|lan| lan.cidr) {
            let name = || node.name.clone();
            if !matches!(node.role, Role::Server | Role::Router) {
                found.push(Refusal::LanForRole { node: name(), role: node.role, lan });
            } else if lan.is_default() {
                found.push(Refusal::LanIsDefault { node: name(), lan });
            } else if let Some(&network) = network.iter().find(|prefix| prefix.overlaps(&lan)) {
                found.push(Refusal::LanInNetwork { node: name(), lan, network });
            } else if !network.iter().any(|prefix| prefix.is_ipv4() == lan.is_ipv4()) {
                found.push(Refusal::LanFamily { node: name(), lan });
            } else {
                all.push((lan, &node.name));
            }
        }
    }
    all.sort_unstable(); // a prefix comes before all that it holds
    let mut widest: Option<(Cidr, &Name)> = None;
    for (other, second) in all {
        match widest {
            Some((lan, first)) if lan.covers(&other) => {
                let (first, second) = (first.clone(), second.clone());
                found.push(Refusal::OverlappingLans { first, lan, second, other });
            }
            _ => widest = Some((other, second)),
        }
    }
}

/// What only a remote can have.
fn roles(topology: &Topology, found: &mut Vec<Refusal>) {
    for node in topology.enabled().filter(|node| node.role != Role::Remote) {
        let (name, role) = (node.name.clone(), node.role);
        if node.exit.is_some_and(|way| way != Egress::None) {
            found.push(Refusal::ExitForRole { node: name.clone(), role });
        }
        if is_exit_only(node) {
            found.push(Refusal::ExitOnlyForRole { node: name, role });
        }
    }
}

fn exits(members: &Members<'_>, found: &mut Vec<Refusal>) {
    egress::check(members, found);
    for server in &members.servers {
        let mut tables = BTreeMap::new();
        for exit in &members.exits {
            let Some(uplink) = server.uplink_to(exit.id) else {
                if !members.has_own_link(server, exit) {
                    found.push(Refusal::NoUplink { server: server.name.clone(), exit: exit.name.clone() });
                }
                continue;
            };
            if let Some(first) = tables.insert(UplinkRoute::of(uplink.id).table, &uplink.name) {
                let (server, first, second) = (server.name.clone(), first.clone(), uplink.name.clone());
                found.push(Refusal::UplinksCollide { server, first, second });
            }
        }
    }
}

/// Selections and grants. The LANs of disabled routers count: they may come back.
fn rights(topology: &Topology, found: &mut Vec<Refusal>) {
    let lans: Vec<Cidr> = topology.nodes.iter().flat_map(|node| node.lans.iter().map(|lan| lan.cidr)).collect();
    let network: Vec<Cidr> = topology.network.prefixes().collect();
    for node in topology.enabled() {
        for &lan in node.lan_selection.iter().filter(|wanted| !lans.iter().any(|lan| lan.covers(wanted))) {
            found.push(Refusal::UnknownLan { node: node.name.clone(), lan });
        }
    }
    let leads_somewhere = |destination: &Cidr| network.iter().chain(&lans).any(|prefix| prefix.overlaps(destination));
    let nowhere = |grant: &&Grant| grant.destination.prefix().is_some_and(|prefix| !leads_somewhere(&prefix));
    let holders = topology.enabled().map(|node| (&node.name, &node.grants));
    for (name, grants) in holders.chain(topology.groups.iter().map(|group| (&group.name, &group.grants))) {
        for grant in grants.iter().filter(nowhere) {
            found.push(Refusal::GrantLeadsNowhere { node: name.clone(), grant: grant.clone() });
        }
    }
}

/// The smallest MTU with which the kernel lets an interface have an IPv6 address.
pub(super) const SMALLEST6: u16 = 1280;

fn mtus(topology: &Topology, found: &mut Vec<Refusal>) {
    for node in topology.enabled().filter(|node| node.address6.is_some() && !was_there_before(node)) {
        let mtu = node.mtu.unwrap_or(topology.network.mtu);
        if mtu.get() < SMALLEST6 {
            found.push(Refusal::MtuTooSmall { node: node.name.clone(), mtu });
        }
    }
}

fn dns(topology: &Topology, found: &mut Vec<Refusal>) {
    let mut entries = |of: String, entries: &[String]| {
        for entry in entries.iter().filter(|entry| !is_dns_entry(entry)) {
            found.push(Refusal::Dns { of: of.clone(), entry: entry.clone() });
        }
    };
    entries(format!("the network `{}`", topology.network.name), &topology.network.dns);
    for node in topology.enabled().filter(|node| !was_there_before(node)) {
        entries(format!("`{}`", node.name), node.dns.as_deref().unwrap_or_default());
    }
}

/// Whether wg-quick takes it as an address or as a search domain, and no shell as anything else.
pub(in crate::wg) fn is_dns_entry(entry: &str) -> bool {
    let label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(fits) && !label.starts_with('-')
    };
    let domain = entry.strip_suffix('.').unwrap_or(entry);
    let named =
        || domain.len() <= 253 && domain.bytes().any(|b| b.is_ascii_alphabetic()) && domain.split('.').all(label);
    entry.parse::<IpAddr>().is_ok() || named()
}

/// At least one end of each link has to find the other.
fn dialling(members: &Members<'_>, found: &mut Vec<Refusal>) {
    for link in members.links() {
        let adopted = was_there_before(link.inner.node) && was_there_before(link.outer.node);
        let dialled = link.inner.can_be_dialled() || link.outer.can_be_dialled();
        if !dialled && !adopted && !is_exit_only(link.outer.node) {
            let (first, second) = (link.inner.node.name.clone(), link.outer.node.name.clone());
            found.push(Refusal::NobodyCanDial { first, second });
        }
    }
}

/// Nodes that share a machine: one interface name and one port each. An uplink to a disabled exit isn't there.
fn machines(members: &Members<'_>, found: &mut Vec<Refusal>) {
    let mut names = BTreeMap::new();
    let mut ports = BTreeMap::new();
    for node in members.topology.enabled() {
        // Without a host, a node is a machine of its own.
        let machine = node.host.as_ref().ok_or(node.id);
        let present = node.interfaces.iter().filter(|interface| match interface.kind {
            InterfaceKind::Main => true,
            InterfaceKind::Uplink(exit) => members.exit(exit).is_some(),
        });
        for interface in present {
            for (interface, port) in taken_by(node, interface) {
                if let Some(first) = names.insert((machine, interface.clone()), node) {
                    let (first, second) = (first.name.clone(), node.name.clone());
                    found.push(Refusal::SameInterface { first, second, interface });
                }
                let Some(port) = port else { continue };
                if let Some(first) = ports.insert((machine, port), node) {
                    let (first, second) = (first.name.clone(), node.name.clone());
                    found.push(Refusal::SamePort { first, second, port });
                }
            }
        }
    }
}

/// Finds endpoints that a node would reach by the very tunnel that they are to carry. A default route is no such thing:
/// wg-quick keeps the tunnel's own packets out of it.
pub(super) fn endpoints_in_tunnels(topology: &Topology, nodes: &[NodeConfig]) -> Vec<Refusal> {
    let mut found = Vec::new();
    for node in nodes.iter().filter(|node| !topology.node(node.node).is_some_and(was_there_before)) {
        let peers = || node.interfaces.iter().flat_map(|interface| &interface.peers);
        let dialled = peers().filter_map(|peer| match &peer.endpoint.as_ref()?.host {
            EndpointHost::Address(address) => Some((peer, *address)),
            EndpointHost::Name(_) => None,
        });
        let mut dialled = dialled.peekable();
        if dialled.peek().is_none() {
            continue;
        }
        let prefixes = peers().flat_map(|peer| &peer.allowed_ips).filter(|prefix| !prefix.is_default());
        let routed = aggregated(prefixes.copied().collect());
        for (peer, address) in dialled {
            if let (Some(through), Some(endpoint)) = (holding(&routed, address), peer.endpoint.clone()) {
                let (node, peer) = (node.name.clone(), peer.name.clone());
                found.push(Refusal::EndpointInTunnel { node, peer, endpoint, through });
            }
        }
    }
    found
}
