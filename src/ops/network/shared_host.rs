//! Hosts on which several networks have nodes: what would clash there between two networks, found when it is edited.
//!
//! Networks that share no host may have the same addresses, interfaces and ports. On one host, its one routing table decides
//! by the destination alone, and an interface's name and a port are there once. Pure but for what reads the database.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::Tx;
use crate::model::{Cidr, InterfaceName, Name, NodeId, Port, Run, Topology};
use crate::ops::Error;
use crate::wg::compile::{compile, taken_by};
use crate::wg::{NodeConfig, runtime};

/// Which node of which network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The network.
    pub network: Name,
    /// The node.
    pub node: Name,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` of the network `{}`", self.node, self.network)
    }
}

/// Something that two networks can't both have on one host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// An interface's name.
    #[error(
        "on the host `{host}`, {first} and {second} both have the interface {interface}: give one of the networks another with `wg-friend network set interface=NAME`, or one of the nodes another host"
    )]
    SameInterface {
        /// Where.
        host: Name,
        /// One side.
        first: Side,
        /// The other.
        second: Side,
        /// The interface.
        interface: InterfaceName,
    },
    /// A UDP port.
    #[error(
        "on the host `{host}`, {first} and {second} both listen on port {port}: give one of them another with `wg-friend set NODE port=PORT`"
    )]
    SamePort {
        /// Where.
        host: Name,
        /// One side.
        first: Side,
        /// The other.
        second: Side,
        /// The port.
        port: Port,
    },
    /// Packets to an address would have two ways.
    #[error(
        "on the host `{host}`, {first} has {prefix} and {second} has {other}, which overlap: packets would go by one of the two alone. Give one of the networks or LANs another prefix, or one of the nodes another host"
    )]
    Overlap {
        /// Where.
        host: Name,
        /// One side.
        first: Side,
        /// What it reaches.
        prefix: Cidr,
        /// The other side.
        second: Side,
        /// What that reaches.
        other: Cidr,
    },
}

impl Conflict {
    /// Returns whom it is between.
    pub fn sides(&self) -> [&Side; 2] {
        match self {
            Self::SameInterface { first, second, .. }
            | Self::SamePort { first, second, .. }
            | Self::Overlap { first, second, .. } => [first, second],
        }
    }
}

/// What a node has on its host.
struct Claim {
    side: Side,
    interfaces: BTreeSet<InterfaceName>,
    ports: BTreeSet<Port>,
    /// Where its interfaces lead.
    routes: Vec<Cidr>,
    /// The LANs that the host is in.
    lans: Vec<Cidr>,
}

/// Refuses what would clash on a shared host, unless it did before: an old problem doesn't stand in the way of other work.
///
/// # Errors
/// [`Error::SharedHost`] with all that is new.
pub(in crate::ops) fn refuse_new(tx: &Tx<'_>, before: &Topology, after: &Topology) -> Result<(), Error> {
    let others = tx.neighbours()?;
    if others.is_empty() {
        return Ok(());
    }
    let mut found = conflicts(after, &others);
    if !found.is_empty() {
        let known = conflicts(before, &others);
        found.retain(|conflict| !known.contains(conflict));
    }
    if found.is_empty() { Ok(()) } else { Err(Error::SharedHost(found)) }
}

/// Returns what a network and others can't both have on hosts that they share.
pub fn conflicts(topology: &Topology, others: &[Topology]) -> Vec<Conflict> {
    let hosts_of =
        |topology: &Topology| -> BTreeSet<Name> { topology.enabled().filter_map(|node| node.host.clone()).collect() };
    let own_hosts = hosts_of(topology);
    let theirs: BTreeSet<Name> = others.iter().flat_map(hosts_of).collect();
    let shared: BTreeSet<Name> = own_hosts.intersection(&theirs).cloned().collect();
    if shared.is_empty() {
        return Vec::new();
    }
    let own = claims(topology, &shared);
    let mut found = Vec::new();
    for other in others {
        for (host, theirs) in claims(other, &shared) {
            for ours in own.get(&host).into_iter().flatten() {
                theirs.iter().for_each(|theirs| compare(&host, ours, theirs, &mut found));
            }
        }
    }
    found
}

/// Returns what the nodes of a network have on hosts.
fn claims(topology: &Topology, hosts: &BTreeSet<Name>) -> BTreeMap<Name, Vec<Claim>> {
    // A network that contradicts itself still has its prefixes, names and ports.
    let compiled: BTreeMap<NodeId, NodeConfig> =
        compile(topology).unwrap_or_default().into_iter().map(|config| (config.node, config)).collect();
    let mut claims: BTreeMap<Name, Vec<Claim>> = BTreeMap::new();
    for node in topology.enabled() {
        let Some(host) = node.host.as_ref().filter(|host| hosts.contains(*host)) else { continue };
        let mut claim = Claim {
            side: Side { network: topology.network.name.clone(), node: node.name.clone() },
            interfaces: BTreeSet::new(),
            ports: BTreeSet::new(),
            routes: Vec::new(),
            lans: node.lans.iter().map(|lan| lan.cidr).collect(),
        };
        // It is compiled as it is when its present keys have ended: until then both are there.
        for interface in node.interfaces.iter().filter(|interface| interface.overlap.is_some()) {
            for (name, port) in taken_by(node, interface) {
                claim.interfaces.insert(name);
                claim.ports.extend(port);
            }
        }
        match compiled.get(&node.id) {
            Some(config) => {
                for interface in config.interfaces.iter().filter(|interface| interface.run != Run::Gone) {
                    claim.interfaces.insert(interface.name.clone());
                    claim.ports.extend(interface.listen_port);
                    claim.routes.extend(interface.addresses.iter().map(|address| address.network()));
                    let routes = runtime::routes(interface).into_iter().filter(|route| route.table.is_none());
                    claim.routes.extend(routes.map(|route| route.to));
                    if runtime::takes_default_route(interface) {
                        let peers = interface.peers.iter().flat_map(|peer| &peer.allowed_ips);
                        claim.routes.extend(peers.filter(|to| to.is_default()).copied());
                    }
                }
            }
            None => {
                claim.interfaces.extend(node.interfaces.iter().map(|interface| interface.name.clone()));
                claim.ports.extend(node.interfaces.iter().filter_map(|interface| interface.listen_port));
                claim.routes.extend(topology.network.prefixes());
            }
        }
        claims.entry(host.clone()).or_default().push(claim);
    }
    claims
}

fn compare(host: &Name, ours: &Claim, theirs: &Claim, found: &mut Vec<Conflict>) {
    let sides = || (host.clone(), ours.side.clone(), theirs.side.clone());
    for interface in ours.interfaces.intersection(&theirs.interfaces) {
        let (host, first, second) = sides();
        found.push(Conflict::SameInterface { host, first, second, interface: interface.clone() });
    }
    for port in ours.ports.intersection(&theirs.ports) {
        let (host, first, second) = sides();
        found.push(Conflict::SamePort { host, first, second, port: *port });
    }
    // Both may serve a LAN that the host is in.
    let pairs = [(&ours.routes, &theirs.routes), (&ours.lans, &theirs.routes), (&ours.routes, &theirs.lans)];
    if let Some((prefix, other)) = pairs.into_iter().find_map(|(ours, theirs)| overlap(ours, theirs)) {
        let (host, first, second) = sides();
        found.push(Conflict::Overlap { host, first, prefix, second, other });
    }
}

/// Finds a prefix of each side that overlap. A default route gives way to everything but another one. Costs what sorting
/// costs.
fn overlap(ours: &[Cidr], theirs: &[Cidr]) -> Option<(Cidr, Cidr)> {
    let default = |side: &[Cidr], ipv4: bool| side.iter().any(|to| to.is_default() && to.is_ipv4() == ipv4);
    for (ipv4, all) in [(true, Cidr::ALL4), (false, Cidr::ALL6)] {
        if default(ours, ipv4) && default(theirs, ipv4) {
            return Some((all, all));
        }
    }
    let side = |prefixes: &[Cidr], is_ours: bool| -> Vec<(Cidr, bool)> {
        prefixes.iter().filter(|prefix| !prefix.is_default()).map(|prefix| (*prefix, is_ours)).collect()
    };
    let mut all = side(ours, true);
    all.extend(side(theirs, false));
    all.sort_unstable(); // a prefix comes before all that it holds
    let (mut widest_ours, mut widest_theirs): (Option<Cidr>, Option<Cidr>) = (None, None);
    for (prefix, is_ours) in all {
        let (own, far) = if is_ours { (&mut widest_ours, widest_theirs) } else { (&mut widest_theirs, widest_ours) };
        if let Some(far) = far.filter(|far| far.covers(&prefix)) {
            return Some(if is_ours { (prefix, far) } else { (far, prefix) });
        }
        if !own.is_some_and(|own| own.covers(&prefix)) {
            *own = Some(prefix);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Become, Host, Overlap, PublicKey};
    use crate::wg::compile::fixture::Fixture;

    fn cidrs(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_default_route_gives_way_to_everything_but_another_one() {
        let all = cidrs(&["0.0.0.0/0", "::/0"]);
        assert_eq!(overlap(&all, &cidrs(&["10.0.0.0/8", "fd00::/8"])), None);
        assert_eq!(overlap(&all, &cidrs(&["0.0.0.0/0"])), Some((Cidr::ALL4, Cidr::ALL4)));
        assert_eq!(overlap(&cidrs(&["10.1.0.0/16"]), &cidrs(&["10.0.0.0/8"])), {
            let [narrow, wide] = ["10.1.0.0/16", "10.0.0.0/8"].map(|text| text.parse().unwrap());
            Some((narrow, wide))
        });
    }

    proptest! {
        #[test]
        fn an_overlap_is_found_exactly_where_there_is_one(
            ours in proptest::collection::vec((0_u32..64, 24_u8..=32), 0..8),
            theirs in proptest::collection::vec((0_u32..64, 24_u8..=32), 0..8),
        ) {
            let read = |side: Vec<(u32, u8)>| -> Vec<Cidr> {
                let net = |(number, length): (u32, u8)| {
                    let address = std::net::Ipv4Addr::from(0x0a00_0000 + (number << 6));
                    Cidr::containing(ipnet::Ipv4Net::new(address, length).unwrap().into())
                };
                side.into_iter().map(net).collect()
            };
            let (ours, theirs) = (read(ours), read(theirs));
            let any = ours.iter().any(|a| theirs.iter().any(|b| a.overlaps(b)));
            let found = overlap(&ours, &theirs);
            prop_assert_eq!(found.is_some(), any);
            if let Some((a, b)) = found {
                prop_assert!(a.overlaps(&b) && ours.contains(&a) && theirs.contains(&b));
            }
        }
    }

    /// A network of a server with a LAN behind a router, the server on the host `shared`.
    fn network(name: &str) -> Topology {
        let mut fixture = Fixture::everything();
        let host: Name = "shared".parse().unwrap();
        fixture.node("hub").host = Some(host.clone());
        fixture.topology.hosts.push(Host::new(host, "root@192.0.2.1".parse().unwrap(), Become::Root));
        fixture.topology.network.name = name.parse().unwrap();
        fixture.topology
    }

    fn lines(conflicts: &[Conflict]) -> String {
        conflicts.iter().map(|conflict| format!("{conflict}\n")).collect()
    }

    #[test]
    fn while_a_server_goes_by_two_keys_both_its_ports_are_taken() {
        let (mut one, mut other) = (network("one"), network("other"));
        other.network.port = Port::new(51900).unwrap();
        for (topology, port) in [(&mut one, 51820), (&mut other, 51900)] {
            let hub = topology.nodes.iter_mut().find(|node| node.name.as_str() == "hub").unwrap();
            hub.interfaces[0].listen_port = Port::new(port);
        }
        let both_listen = |one: &Topology, port: u16| {
            lines(&conflicts(one, std::slice::from_ref(&other))).contains(&format!("both listen on port {port}"))
        };
        assert!(!both_listen(&one, 51900));
        let hub = one.nodes.iter_mut().find(|node| node.name.as_str() == "hub").unwrap();
        hub.interfaces[0].staged_key = Some(PublicKey::from_bytes([9; 32]));
        hub.interfaces[0].overlap = Some(Overlap { port: Port::new(51900).unwrap(), until: None, over: false });
        assert!(both_listen(&one, 51900));
        let hub = one.nodes.iter_mut().find(|node| node.name.as_str() == "hub").unwrap();
        hub.interfaces[0].listen_port = Port::new(51900);
        hub.interfaces[0].overlap = Some(Overlap { port: Port::new(51821).unwrap(), until: None, over: false });
        assert!(both_listen(&one, 51900), "the present key's port, too");
    }

    #[test]
    fn what_two_networks_have_twice_on_a_host_is_named_with_both_sides() {
        let (one, other) = (network("one"), network("other"));
        let found = lines(&conflicts(&one, std::slice::from_ref(&other)));
        for part in [
            "on the host `shared`, `hub` of the network `one` and `hub` of the network `other` both have the interface wg0",
            "both listen on port 51820",
            "which overlap: packets would go by one of the two alone",
        ] {
            assert!(found.contains(part), "{found}");
        }
        let mut elsewhere = other;
        for node in &mut elsewhere.nodes {
            node.host = None;
        }
        assert_eq!(lines(&conflicts(&one, &[elsewhere])), "");
    }
}
