//! What rights mean: prefixes for a remote's own file, and sources, selections and grants for the server's firewall.
//!
//! Both come from here, so that a device asks for exactly what the server lets through.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::{Access, Cidr, Destination, Grant, Node, Port, PortRange, Protocol};
use crate::wg::firewall::{Granted, RouterRules, ServerRules};

use super::layout::{Layout, aggregated};
use super::ways::prefixes;
use super::{egress, rules};

pub(super) fn is_exit_only(node: &Node) -> bool {
    node.access == Access::ExitOnly
}

/// Returns what a remote sends to its peer. A family in which it has no address is left out: it couldn't be answered.
pub(super) fn reachable(layout: &Layout<'_>, node: &Node) -> Vec<Cidr> {
    let members = layout.members;
    let mut prefixes: Vec<Cidr> = if members.sends_everything(node) {
        layout.defaults().collect()
    } else {
        let stable = &members.topology.network.stable_clients;
        let granted = || grants(layout, node).into_iter().map(|wanted| wanted.destination);
        match node.access {
            Access::ExitOnly => Vec::new(),
            // All that anybody may ever reach: what it may reach, the server says.
            _ if !stable.is_empty() => layout.inside().chain(stable.iter().copied()).collect(),
            Access::Full => layout.inside().collect(),
            Access::VpnOnly => layout.network.iter().copied().chain(granted()).collect(),
            Access::LanOnly => layout.network.iter().copied().chain(selection(layout, node)).chain(granted()).collect(),
            Access::Custom => granted().collect(),
        }
    };
    if !is_exit_only(node) {
        prefixes.extend(own_dns(layout, node));
        prefixes.extend(rules::carried(members, node));
    }
    prefixes.retain(|prefix| if prefix.is_ipv4() { node.address4.is_some() } else { node.address6.is_some() });
    aggregated(prefixes)
}

/// Returns the parts of a node's selected LANs that are advertised now: a disabled router takes its LANs with it.
fn selection(layout: &Layout<'_>, node: &Node) -> Vec<Cidr> {
    let lans = node.lan_selection.iter().flat_map(|wanted| common(*wanted, layout.lans.iter().map(|(lan, _)| *lan)));
    aggregated(lans.collect())
}

/// Something a node is granted: a destination in the network or a LAN, how, and until when.
struct Wanted {
    destination: Cidr,
    protocol: Protocol,
    ports: Vec<PortRange>,
    until: Option<DateTime<Utc>>,
}

/// Returns what a node is granted, by itself and as a member of groups, cut down to the network and the LANs: a grant of
/// 10.0.0.0/8 is no way out to anywhere else. One that has ended is among it: time is not for the compiler to tell.
fn grants(layout: &Layout<'_>, node: &Node) -> Vec<Wanted> {
    let topology = layout.members.topology;
    let mut found = Vec::new();
    for Grant { destination, protocol, ports, until, .. } in topology.grants_of(node) {
        let parts = match destination {
            Destination::Prefix(prefix) => common(*prefix, layout.inside()).collect(),
            other => topology.prefixes_of(*other),
        };
        found.extend(parts.into_iter().map(|destination| Wanted {
            destination,
            protocol: *protocol,
            ports: ports.clone(),
            until: until.filter(|until| *until <= Grant::latest_end()), // past that, a firewall's clock would wrap
        }));
    }
    found
}

/// Returns what a prefix has in common with each of some others.
pub(super) fn common(wanted: Cidr, with: impl Iterator<Item = Cidr>) -> impl Iterator<Item = Cidr> {
    with.filter_map(move |other| match (wanted.covers(&other), other.covers(&wanted)) {
        (true, _) => Some(other),
        (_, true) => Some(wanted),
        _ => None,
    })
}

/// Returns the DNS servers inside the network that a node is told to ask.
fn own_dns(layout: &Layout<'_>, node: &Node) -> Vec<Cidr> {
    node.dns.as_ref().map_or_else(|| layout.inner_dns.clone(), |dns| layout.inner(dns))
}

/// Returns the rights that the server enforces.
pub(super) fn of_server(layout: &Layout<'_>, server: &Node) -> ServerRules {
    let members = layout.members;
    let remotes = members.remotes.iter().filter(|node| !is_exit_only(node));
    let servers = members.servers.iter().filter(|other| other.id != server.id);
    let others = servers.chain(&members.routers).chain(remotes).copied();
    let (sources, selected, granted) = rights(layout, server, others);
    let mut uplinks: Vec<_> =
        members.exits.iter().filter_map(|exit| server.uplink_to(exit.id)).map(|i| i.name.clone()).collect();
    uplinks.sort_unstable();
    let mut own: Vec<Cidr> = server.lans.iter().map(|lan| lan.cidr).collect();
    own.sort_unstable();
    let (exits, leaving) = (egress::paths(layout, server), egress::leaving(layout, server));
    let dns = layout.inner_dns.clone();
    let by_destination = rules::lists(layout, server);
    ServerRules { uplinks, own, nat: server.nat, sources, selected, granted, exits, leaving, by_destination, dns }
}

/// Returns the rights that a router enforces: of those with whom it has links of its own, whose packets come by no
/// server. `None` when there are none.
pub(super) fn rules_of_router(layout: &Layout<'_>, router: &Node) -> Option<RouterRules> {
    let neighbours: Vec<&Node> =
        layout.ways.neighbours(router).filter_map(|id| layout.members.topology.node(id)).collect();
    if neighbours.is_empty() {
        return None;
    }
    let mut direct: Vec<Cidr> = neighbours.iter().flat_map(|node| prefixes(node)).collect();
    direct.sort_unstable();
    let (sources, selected, granted) = rights(layout, router, neighbours.into_iter());
    Some(RouterRules { direct, sources, selected, granted })
}

/// Levels by source, LANs that sources may reach, and what they may reach beyond.
type Rights = (BTreeMap<Cidr, Access>, Vec<(Cidr, Cidr)>, Vec<Granted>);

/// Returns the rights of others, and of the LANs of the node that enforces them: its own packets pass no chain that
/// judges.
fn rights<'a>(layout: &Layout<'a>, own: &'a Node, others: impl Iterator<Item = &'a Node>) -> Rights {
    let mut levels = BTreeMap::new();
    let mut selected = Vec::new();
    let mut granted = Vec::new();
    for node in others.chain([own]) {
        let speaks_for: Vec<Cidr> =
            if node.id == own.id { own.lans.iter().map(|lan| lan.cidr).collect() } else { prefixes(node).collect() };
        levels.extend(speaks_for.iter().map(|source| (*source, node.access)));
        if node.access == Access::LanOnly {
            selected.extend(pairs(&speaks_for, &selection(layout, node)));
        }
        granted.extend(granted_to(layout, node, &speaks_for));
    }
    selected.sort_unstable();
    granted.sort_unstable();
    (levels, selected, granted)
}

/// Returns each source with each destination of its family.
fn pairs<'a>(sources: &'a [Cidr], destinations: &'a [Cidr]) -> impl Iterator<Item = (Cidr, Cidr)> + 'a {
    let same_family = |(a, b): &(Cidr, Cidr)| a.is_ipv4() == b.is_ipv4();
    sources.iter().flat_map(|source| destinations.iter().map(|to| (*source, *to))).filter(same_family)
}

/// Returns what a node may reach beyond its level: its grants, and the DNS servers that it alone is told to ask.
fn granted_to(layout: &Layout<'_>, node: &Node, own: &[Cidr]) -> Vec<Granted> {
    if node.access == Access::Full {
        return Vec::new(); // all of it is in the level
    }
    let mut wanted = grants(layout, node);
    if let Some(dns) = &node.dns {
        let port = Port::new(53).and_then(|port| PortRange::new(port, port)).expect("53 is a port");
        for destination in layout.inner(dns) {
            let ask = |protocol| Wanted { destination, protocol, ports: vec![port], until: None };
            wanted.extend([Protocol::Tcp, Protocol::Udp].map(ask));
        }
    }
    // What ends at another time stands in another set.
    wanted.sort_by_key(|wanted| (wanted.until, wanted.protocol, wanted.destination));
    let mut granted = Vec::new();
    for of_one_time in wanted.chunk_by(|a, b| a.until == b.until) {
        let until = of_one_time[0].until;
        for (destination, protocol, ports) in disjoint(of_one_time) {
            granted.extend(pairs(own, &[destination]).map(|(source, destination)| Granted {
                source,
                destination,
                protocol,
                ports,
                until,
            }));
        }
    }
    granted
}

type Part = (Cidr, Protocol, Option<PortRange>);

/// Ports from first to last, both included.
type Range = (u16, u16);

/// Rewrites grants of one source, ordered by protocol and destination, so that no two of the same protocol overlap, since
/// an nftables set refuses entries that do: what a wider destination is granted already is taken away from the narrower
/// one.
fn disjoint(wanted: &[Wanted]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    // Per protocol, the destinations around the current one, widest first, with all the ports that they have.
    let mut around: Vec<(Cidr, Protocol, Vec<Range>)> = Vec::new();
    for group in wanted.chunk_by(|a, b| (a.protocol, a.destination) == (b.protocol, b.destination)) {
        let (destination, protocol) = (group[0].destination, group[0].protocol);
        around.retain(|(wider, of, _)| *of == protocol && wider.covers(&destination));
        let ports = merged(group.iter().flat_map(|wanted| numbers(&wanted.ports)).collect());
        let mut rest = ports.clone();
        for (_, _, taken) in &around {
            rest = taken.iter().fold(rest, |rest, hole| without(&rest, *hole));
        }
        parts.extend(rest.into_iter().map(|range| (destination, protocol, as_ports(range))));
        around.push((destination, protocol, ports));
    }
    parts
}

/// What a grant without ports permits.
const ALL: Range = (1, u16::MAX);

/// Returns ports in order, each once; none, which stands for all, stay none.
pub(super) fn merged_ports(ports: &[PortRange]) -> Vec<PortRange> {
    merged(numbers(ports)).into_iter().filter_map(as_ports).collect()
}

fn numbers(ports: &[PortRange]) -> Vec<Range> {
    if ports.is_empty() {
        return vec![ALL];
    }
    ports.iter().map(|range| (range.first().get(), range.last().get())).collect()
}

fn as_ports((first, last): Range) -> Option<PortRange> {
    let range = || PortRange::new(Port::new(first)?, Port::new(last)?);
    if (first, last) == ALL { None } else { Some(range().expect("it is a part of 1 to 65535")) }
}

/// Sorts ranges and joins those that overlap or touch.
fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(open) if first <= open.1.saturating_add(1) => open.1 = open.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// Returns what is left of some ranges without another.
fn without(ranges: &[Range], (from, to): Range) -> Vec<Range> {
    let mut left = Vec::new();
    for &(first, last) in ranges {
        if to < first || last < from {
            left.push((first, last));
            continue;
        }
        if first < from {
            left.push((first, from - 1));
        }
        if to < last {
            left.push((to + 1, last));
        }
    }
    left
}
