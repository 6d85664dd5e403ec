//! The network's prefixes, its nodes' addresses and their LANs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::{Cidr, Name, Role};

use super::finding::Finding;
use super::graph::Graph;
use super::meaning;
use super::names::Named;

/// A prefix of the network, and why.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) prefix: Cidr,
    pub(super) reason: String,
}

/// Finds the network's prefix of one family: the server's own, else what most clients send to it, else one around the
/// addresses that are there.
pub(super) fn choose(graph: &Graph<'_>, server: usize, ipv4: bool) -> Option<Chosen> {
    let hosts = hosts(graph, server, ipv4);
    let family = |prefix: &Cidr| prefix.is_ipv4() == ipv4;
    let wide =
        |prefix: &Cidr| !prefix.is_host() && !meaning::is_internet(prefix) && !is_link_local(prefix.net().addr());
    let own = graph.view(server).into_iter().flat_map(|seen| &seen.view.tunnel.addresses).map(|a| a.network());
    let own: Vec<Cidr> = own.filter(|prefix| family(prefix) && wide(prefix)).collect();
    if let Some(prefix) = holding_most(&own, &hosts) {
        return Some(Chosen { prefix, reason: "the server's own address has it".to_owned() });
    }

    let main = graph.main(server);
    let mut votes: BTreeMap<Cidr, usize> = BTreeMap::new();
    for (near, entry) in graph.said_of(main) {
        let own = graph.seen[near].iter().flat_map(|seen| &seen.view.tunnel.addresses).map(|a| a.address());
        let inner: Vec<IpAddr> = own.chain(addresses_of_view(graph, server)).collect();
        let holds = |prefix: &&Cidr| inner.iter().any(|address| prefix.contains(*address));
        for prefix in entry.allowed.iter().filter(|prefix| family(prefix) && wide(prefix)).filter(holds) {
            *votes.entry(*prefix).or_default() += 1;
        }
    }
    if let Some(prefix) = most(&votes) {
        return Some(Chosen { prefix, reason: "the server's peers send it there".to_owned() });
    }

    let mut votes: BTreeMap<Cidr, usize> = BTreeMap::new();
    for node in 0..graph.nodes.len() {
        let addresses = graph.view(node).into_iter().flat_map(|seen| &seen.view.tunnel.addresses);
        for prefix in addresses.map(|a| a.network()).filter(|prefix| family(prefix) && wide(prefix)) {
            *votes.entry(prefix).or_default() += 1;
        }
    }
    if let Some(prefix) = most(&votes) {
        return Some(Chosen { prefix, reason: "its members' addresses have it".to_owned() });
    }
    around(&hosts, ipv4)
        .map(|prefix| Chosen { prefix, reason: "it is around the addresses that its members have".to_owned() })
}

fn addresses_of_view<'b>(graph: &'b Graph<'_>, node: usize) -> impl Iterator<Item = IpAddr> + 'b {
    graph.view(node).into_iter().flat_map(|seen| &seen.view.tunnel.addresses).map(|address| address.address())
}

/// Returns the addresses of one family that members of the network have, the server's first.
fn hosts(graph: &Graph<'_>, server: usize, ipv4: bool) -> Vec<IpAddr> {
    let entries = graph.entries(graph.main(server)).iter().flat_map(|entry| &entry.allowed);
    let of_peers = entries.filter(|prefix| prefix.is_host()).map(|prefix| prefix.net().addr());
    let of_views = (0..graph.nodes.len()).flat_map(|node| addresses_of_view(graph, node));
    let all = addresses_of_view(graph, server).chain(of_views).chain(of_peers);
    all.filter(|address| address.is_ipv4() == ipv4 && !is_link_local(*address)).collect()
}

fn holding_most(prefixes: &[Cidr], hosts: &[IpAddr]) -> Option<Cidr> {
    let count = |prefix: &Cidr| hosts.iter().filter(|host| prefix.contains(**host)).count();
    let counted = prefixes.iter().enumerate().map(|(at, prefix)| (count(prefix), std::cmp::Reverse(at), *prefix));
    counted.max().map(|(.., prefix)| prefix)
}

/// Returns the prefix with the most votes; of several the longest, of those the first.
fn most(votes: &BTreeMap<Cidr, usize>) -> Option<Cidr> {
    let key = |(prefix, count): &(&Cidr, &usize)| (**count, prefix.net().prefix_len(), std::cmp::Reverse(**prefix));
    votes.iter().max_by_key(key).map(|(prefix, _)| *prefix)
}

/// Returns a prefix of a usual length around some addresses; one around the first when they are too far apart.
fn around(hosts: &[IpAddr], ipv4: bool) -> Option<Cidr> {
    let inside: Vec<IpAddr> = hosts.iter().copied().filter(|host| is_private(*host)).collect();
    let hosts = if inside.is_empty() { hosts } else { &inside };
    let (usual, shortest) = if ipv4 { (24, 16) } else { (64, 48) };
    let at = |length: u8| IpNet::new(*hosts.first()?, length).ok().map(Cidr::containing);
    let holds_all = |prefix: &Cidr| hosts.iter().all(|host| prefix.contains(*host));
    (shortest..=usual).rev().filter_map(at).find(holds_all).or_else(|| at(usual))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether an address is for use inside of networks: RFC 1918, RFC 6598, RFC 4193.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_private() || (a.octets()[0] == 100 && a.octets()[1] & 0xc0 == 64),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// The network's prefixes, as the model has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) four: Option<Ipv4Net>,
    pub(super) six: Option<Ipv6Net>,
}

impl Plan {
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Cidr> + '_ {
        let four = self.four.map(|net| Cidr::containing(net.into()));
        four.into_iter().chain(self.six.map(|net| Cidr::containing(net.into())))
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.prefixes().any(|prefix| prefix.contains(address))
    }

    fn overlaps(&self, prefix: &Cidr) -> bool {
        self.prefixes().any(|own| own.overlaps(prefix))
    }
}

/// A node's addresses in the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) four: Option<std::net::Ipv4Addr>,
    pub(super) six: Option<std::net::Ipv6Addr>,
}

impl Addresses {
    fn has_family(&self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.four.is_some() } else { self.six.is_some() }
    }

    fn set(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.four = Some(address),
            IpAddr::V6(address) => self.six = Some(address),
        }
    }

    pub(super) fn prefixes(&self) -> impl Iterator<Item = Cidr> {
        let four = self.four.map(|address| Cidr::host(address.into()));
        four.into_iter().chain(self.six.map(|address| Cidr::host(address.into())))
    }
}

/// Gives each node its addresses: those of its own view, else those that the server accepts from it, else those that
/// anyone else does. An address has one owner; what the server accepts counts more than the view of somebody whom the
/// server doesn't know.
pub(super) fn addresses(
    graph: &Graph<'_>,
    server: usize,
    plan: &Plan,
    named: &[Named],
    findings: &mut Vec<Finding>,
) -> Vec<Addresses> {
    let mut claims: Vec<(usize, usize, IpAddr, &str)> = Vec::new();
    for node in 0..graph.nodes.len() {
        if let Some(seen) = graph.view(node) {
            let main = graph.main(node);
            let stranger =
                node != server && graph.view(server).is_some() && graph.entry(graph.main(server), main).is_none();
            let mut own = Addresses::default();
            for address in seen.view.tunnel.addresses.iter().map(|address| address.address()) {
                if plan.contains(address) && !own.has_family(address) {
                    own.set(address);
                    claims.push((if stranger { 2 } else { 0 }, node, address, &seen.view.source));
                }
            }
            continue;
        }
        for (near, entry) in graph.said_of(graph.main(node)) {
            let strength = match node == server {
                true => 4, // what else is behind it has its own owner
                false if near == graph.main(server) => 1,
                false => 3,
            };
            let source = graph.seen[near].as_ref().map_or("", |seen| seen.view.source.as_str());
            let hosts = entry.allowed.iter().filter(|prefix| prefix.is_host()).map(|prefix| prefix.net().addr());
            claims.extend(hosts.filter(|host| plan.contains(*host)).map(|host| (strength, node, host, source)));
        }
    }
    claims.sort_unstable();
    let mut owners: BTreeMap<IpAddr, usize> = BTreeMap::new();
    let mut assigned = vec![Addresses::default(); graph.nodes.len()];
    for (strength, node, address, source) in claims {
        match owners.get(&address) {
            Some(&owner) if owner == node => {}
            Some(&owner) if strength < 3 => {
                let (owner, other) = (named[owner].name.clone(), named[node].name.clone());
                findings.push(Finding::AddressTaken { address, owner, other, view: source.to_owned() });
            }
            Some(_) => {}
            None if assigned[node].has_family(address) => {}
            None => {
                owners.insert(address, node);
                assigned[node].set(address);
            }
        }
    }
    assigned
}

/// Returns each node's LANs. A router's are what the server, or another peer when it isn't the server's, sends to it; the
/// server's own are what its peers send to it and nobody else has.
pub(super) fn lans(
    graph: &Graph<'_>,
    server: usize,
    roles: &[Role],
    plan: &Plan,
    named: &[Named],
    findings: &mut Vec<Finding>,
) -> Vec<Vec<Cidr>> {
    let mut claims: BTreeSet<(std::cmp::Reverse<u8>, Cidr, usize)> = BTreeSet::new();
    let wide = |prefix: &&Cidr| !prefix.is_host() && !meaning::is_internet(prefix);
    for node in (0..graph.nodes.len()).filter(|&node| roles[node] == Role::Router) {
        for prefix in behind(graph, server, node).filter(wide) {
            claims.insert((std::cmp::Reverse(prefix.net().prefix_len()), *prefix, node));
        }
    }
    let mut lans = vec![Vec::new(); graph.nodes.len()];
    let mut taken: Taken = Taken::default();
    let families: BTreeSet<bool> = plan.prefixes().map(|prefix| prefix.is_ipv4()).collect();
    for (_, prefix, node) in claims {
        let because = if plan.overlaps(&prefix) {
            plan.prefixes().find(|own| own.overlaps(&prefix)).map(|own| format!("it overlaps the network's {own}"))
        } else if !families.contains(&prefix.is_ipv4()) {
            Some("the network has no prefix of that family".to_owned())
        } else {
            taken.overlapping(&prefix).map(|(lan, name)| format!("it overlaps {lan} behind `{name}`"))
        };
        match because {
            // The whole network is what routers send to each other; nobody takes it for a LAN.
            Some(_) if plan.prefixes().any(|own| prefix.covers(&own)) => {}
            Some(because) => findings.push(Finding::NotALan { node: named[node].name.clone(), prefix, because }),
            None => {
                taken.insert(prefix, &named[node].name);
                lans[node].push(prefix);
            }
        }
    }
    let of_server = graph.nodes[server].iter().flat_map(|&interface| graph.said_of(interface));
    let of_server: BTreeSet<Cidr> = of_server.flat_map(|(_, entry)| entry.allowed.iter().copied()).collect();
    for prefix in of_server.iter().filter(wide).filter(|prefix| is_private(prefix.net().addr())) {
        if !plan.overlaps(prefix) && families.contains(&prefix.is_ipv4()) && taken.overlapping(prefix).is_none() {
            taken.insert(*prefix, &named[server].name);
            lans[server].push(*prefix);
        }
    }
    lans.iter_mut().for_each(|lans| lans.sort_unstable());
    lans
}

/// Returns what the server sends to a node, or what its other peers do when it isn't the server's.
pub(super) fn behind<'b>(graph: &'b Graph<'_>, server: usize, node: usize) -> impl Iterator<Item = &'b Cidr> + 'b {
    let (main, hub) = (graph.main(node), graph.main(server));
    let by_server = graph.entry(hub, main);
    let by_others = graph.said_of(main).map(|(_, entry)| entry).filter(move |_| by_server.is_none());
    by_server.into_iter().chain(by_others).flat_map(|entry| &entry.allowed)
}

/// Prefixes that are somebody's and don't overlap.
#[derive(Debug, Default)]
struct Taken(BTreeMap<Cidr, Name>);

impl Taken {
    fn insert(&mut self, prefix: Cidr, owner: &Name) {
        self.0.insert(prefix, owner.clone());
    }

    /// A prefix comes before all that it holds, and those in here are disjoint: what overlaps is next to it.
    fn overlapping(&self, prefix: &Cidr) -> Option<(&Cidr, &Name)> {
        let before = self.0.range(..=*prefix).next_back().filter(|(other, _)| other.overlaps(prefix));
        before.or_else(|| self.0.range(*prefix..).next().filter(|(other, _)| other.overlaps(prefix)))
    }
}
