//! What holds for every topology.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::fixture::{Fixture, lans};
use super::{compile, compile_for_hosts, in_parts, links};
use crate::model::{
    Access, Cidr, Egress, Grant, InterfaceId, LinkId, Node, NodeId, Overlap, Port, Protocol, PublicKey, Role, Topology,
    WhenDown,
};
use crate::wg::firewall::{Duty, Granted, ServerRules};
use crate::wg::{InterfaceConfig, NodeConfig};

/// What is chosen at random for a remote.
#[derive(Clone, Debug)]
struct Choice {
    access: usize,
    exit: Option<Index>,
    /// LANs by index, for selections and grants.
    picks: Vec<(Index, u8, u16, u16)>,
    families: u8,
    enabled: bool,
}

fn choice() -> impl Strategy<Value = Choice> {
    let picks = vec((any::<Index>(), 0..5u8, 1..100u16, 0..100u16), 0..5);
    (0..5usize, any::<Option<Index>>(), picks, 0..3u8, prop::bool::weighted(0.9))
        .prop_map(|(access, exit, picks, families, enabled)| Choice { access, exit, picks, families, enabled })
}

/// A network with some routers, exits and remotes, all of which can be compiled.
pub(crate) fn topology() -> impl Strategy<Value = Fixture> {
    sized(4, 8)
}

/// The same with fewer routers and remotes than these.
fn sized(routers: usize, remotes: usize) -> impl Strategy<Value = Fixture> {
    (vec((0..3usize, any::<bool>()), 0..routers), 0..4usize, vec(choice(), 0..remotes), any::<bool>()).prop_map(
        |(routers, exits, remotes, home)| {
            let mut fixture = Fixture::new();
            if home {
                fixture.add("hub", Role::Server).lans = lans(&["192.168.0.0/24"]);
            } else {
                fixture.add("hub", Role::Server);
            }
            for (number, (count, dialled)) in routers.into_iter().enumerate() {
                let router = fixture.add(&format!("router-{number}"), Role::Router);
                let nets = (0..count).map(|at| match at {
                    0 => format!("192.168.{}.0/24", 10 + number),
                    _ => format!("fd00:{}::/64", 10 + number),
                });
                router.lans = lans(&nets.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
                router.endpoint = router.endpoint.take().filter(|_| dialled);
            }
            let exits: Vec<NodeId> = (0..exits).map(|number| fixture.add_exit(&format!("exit-{number}"))).collect();
            for (number, choice) in remotes.into_iter().enumerate() {
                add_remote(&mut fixture, &format!("remote-{number}"), &exits, choice);
            }
            fixture
        },
    )
}

/// The same with further servers, each node at one of them, and links of its own between some.
pub(crate) fn graph() -> impl Strategy<Value = Fixture> {
    sized_graph(topology(), 8)
}

/// The same with up to 200 nodes.
pub(crate) fn large_graph() -> impl Strategy<Value = Fixture> {
    sized_graph(sized(40, 153), 80)
}

fn sized_graph(topology: impl Strategy<Value = Fixture>, links: usize) -> impl Strategy<Value = Fixture> {
    let links = vec((any::<Index>(), any::<Index>(), 1..4u16), 0..links);
    (topology, 0..4usize, vec(any::<Index>(), 20), links).prop_map(|(mut fixture, more, homes, links)| {
        for number in 0..more {
            let server = fixture.add(&format!("server-{number}"), Role::Server);
            if number % 2 == 0 {
                server.lans = lans(&[&format!("192.168.{}.0/24", 100 + number)]);
            }
        }
        fixture.add_missing_uplinks();
        connect(&mut fixture, &homes, &links);
        fixture
    })
}

/// Gives each node one of the servers, and links those that may be linked.
pub(crate) fn connect(fixture: &mut Fixture, homes: &[Index], links: &[(Index, Index, u16)]) {
    let servers: Vec<NodeId> = fixture.topology.with_role(Role::Server).map(|node| node.id).collect();
    let others = fixture.topology.nodes.iter_mut().filter(|node| node.role != Role::Server);
    for (node, home) in others.zip(homes.iter().cycle()) {
        node.server = Some(*home.get(&servers)).filter(|home| *home != servers[0]);
    }
    let may = |node: &&Node| node.role != Role::Exit && node.access != Access::ExitOnly;
    let linked: Vec<Node> = fixture.topology.nodes.iter().filter(may).cloned().collect();
    for (a, b, weight) in links {
        let (a, b) = (a.get(&linked), b.get(&linked));
        let unjudged = [a, b].iter().all(|node| node.role == Role::Remote)
            && [a, b].iter().any(|node| node.access == Access::Custom);
        let neither_dials = a.endpoint.is_none() && b.endpoint.is_none();
        if a.id != b.id && !unjudged && !neither_dials {
            fixture.link(a.name.as_str(), b.name.as_str(), *weight);
        }
    }
}

fn add_remote(fixture: &mut Fixture, name: &str, exits: &[NodeId], choice: Choice) {
    let every: Vec<Cidr> = fixture.topology.nodes.iter().flat_map(|n| n.lans.iter().map(|lan| lan.cidr)).collect();
    // By one exit, or from there on by all after it.
    let way = choice.exit.filter(|_| !exits.is_empty()).map(|at| match at.index(2 * exits.len()) {
        alone if alone < exits.len() => Egress::Node(exits[alone]),
        first if first + 1 < 2 * exits.len() => fixture.chain(&exits[first - exits.len()..]),
        _ => Egress::Node(exits[0]),
    });
    let remote = fixture.add(name, Role::Remote);
    remote.enabled = choice.enabled;
    remote.exit = way;
    remote.access = Access::ALL[choice.access];
    if remote.access == Access::ExitOnly && remote.exit.is_none() {
        remote.access = Access::Full;
    }
    match choice.families {
        0 => remote.address6 = None,
        1 => remote.address4 = None,
        _ => {}
    }
    for (at, protocol, first, more) in choice.picks {
        let ports = format!("{first}-{}", first + more);
        if every.is_empty() {
            break;
        }
        let lan = at.get(&every);
        remote.lan_selection.insert(*lan);
        let grant = match protocol {
            0 => lan.to_string(),
            1 => format!("{lan} tcp {ports}"),
            2 => format!("{} tcp {ports}", lan.net().network()),
            3 => format!("{lan} icmp"),
            _ => "10.66.0.0/28 udp".to_owned(),
        };
        remote.grants.push(grant.parse().unwrap());
    }
}

/// Each interface by its id, with the name of its node.
fn interfaces(nodes: &[NodeConfig]) -> BTreeMap<InterfaceId, &InterfaceConfig> {
    nodes.iter().flat_map(|node| &node.interfaces).map(|interface| (interface.id, interface)).collect()
}

fn rules(nodes: &[NodeConfig]) -> &ServerRules {
    let mut duties = nodes.iter().filter_map(|node| node.interfaces[0].firewall.as_ref()).map(|wall| &wall.duty);
    let server = duties.find_map(|duty| if let Duty::Server(rules) = duty { Some(rules) } else { None });
    server.expect("there is a server")
}

/// Whether the server's firewall lets a source open a flow to a destination in the network or in a LAN: an independent
/// reading of the same sets that the ruleset has.
fn lets_through(rules: &ServerRules, network: &[Cidr], lans: &[Cidr], source: IpAddr, to: IpAddr) -> bool {
    let source = Cidr::host(source);
    let within = |prefixes: &[Cidr]| prefixes.iter().any(|prefix| prefix.contains(to));
    let Some((key, access)) = rules.sources.iter().find(|(prefix, _)| prefix.covers(&source)) else { return false };
    let granted = || rules.granted.iter().any(|grant| grant.source.covers(key) && grant.destination.contains(to));
    let selected = || rules.selected.iter().any(|(of, lan)| of.covers(key) && lan.contains(to));
    match access {
        Access::Full => within(network) || within(lans),
        Access::VpnOnly => within(network) || granted(),
        Access::LanOnly => within(network) || selected() || granted(),
        Access::Custom => granted(),
        Access::ExitOnly => false,
    }
}

/// What a remote may reach, said from its description alone.
fn may_reach(topology: &Topology, node: &Node, to: IpAddr) -> bool {
    let mut lans = topology.enabled().flat_map(|other| other.lans.iter().map(|lan| lan.cidr));
    let lan = lans.find(|lan| lan.contains(to));
    let vpn = topology.network.prefixes().any(|prefix| prefix.contains(to));
    let granted = || {
        let holds = |grant: &Grant| grant.destination.prefix().is_some_and(|prefix| prefix.contains(to));
        (vpn || lan.is_some()) && node.grants.iter().any(holds)
    };
    match node.access {
        Access::Full => vpn || lan.is_some(),
        Access::VpnOnly => vpn || granted(),
        Access::LanOnly => vpn || lan.is_some_and(|lan| node.lan_selection.contains(&lan)) || granted(),
        Access::Custom => granted(),
        Access::ExitOnly => false,
    }
}

/// An address of each node and in each LAN.
fn places(topology: &Topology) -> Vec<IpAddr> {
    let lans = topology.enabled().flat_map(|node| node.lans.iter().map(|lan| lan.cidr.net().hosts().nth(4).unwrap()));
    topology.enabled().flat_map(|node| node.addresses().map(|cidr| cidr.net().addr())).chain(lans).collect()
}

fn overlap(a: &Granted, b: &Granted) -> bool {
    let ports = |grant: &Granted| grant.ports.map_or((0, u16::MAX), |range| (range.first().get(), range.last().get()));
    let ((a_first, a_last), (b_first, b_last)) = (ports(a), ports(b));
    (a.source, a.protocol) == (b.source, b.protocol)
        && a.destination.overlaps(&b.destination)
        && a_first <= b_last
        && b_first <= a_last
}

proptest! {
    #[test]
    fn the_two_files_of_a_link_agree(fixture in topology()) {
        let nodes = compile(&fixture.topology).unwrap();
        let interfaces = interfaces(&nodes);
        let mut seen: BTreeMap<LinkId, usize> = BTreeMap::new();
        for (id, interface) in &interfaces {
            for peer in &interface.peers {
                let (low, high) = peer.link.ends();
                prop_assert!(*id == low || *id == high);
                let other = interfaces[&if *id == low { high } else { low }];
                prop_assert_eq!(other.public_key, peer.public_key);
                prop_assert!(other.peers.iter().any(|back| back.public_key == interface.public_key));
                // What we accept from the other end are its own addresses, or a default route, at the least.
                for address in other.addresses.iter().map(|address| Cidr::host(address.address())) {
                    let role = fixture.topology.nodes.iter().find(|n| n.interfaces.iter().any(|i| i.id == *id)).unwrap();
                    let custom = role.access == Access::Custom && role.exit.is_none();
                    let same_family = interface.addresses.iter().any(|a| a.address().is_ipv4() == address.is_ipv4());
                    let covered = peer.allowed_ips.iter().any(|prefix| prefix.covers(&address));
                    prop_assert!(covered || custom || !same_family, "{address}");
                }
                prop_assert!(peer.endpoint.is_some() || other.peers.iter().any(|back| back.endpoint.is_some()));
                *seen.entry(peer.link).or_default() += 1;
            }
        }
        prop_assert!(seen.values().all(|&ends| ends == 2));
        prop_assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), links(&fixture.topology).into_iter().collect());
    }

    #[test]
    fn no_prefix_belongs_to_two_peers_of_an_interface(fixture in graph()) {
        for interface in compile(&fixture.topology).unwrap().iter().flat_map(|node| &node.interfaces) {
            let mut prefixes: Vec<Cidr> = interface.peers.iter().flat_map(|peer| peer.allowed_ips.clone()).collect();
            let all = prefixes.len();
            prefixes.sort_unstable();
            prefixes.dedup();
            prop_assert_eq!(prefixes.len(), all);
        }
    }

    #[test]
    fn the_firewall_lets_through_what_the_description_says_and_files_carry_it(fixture in topology()) {
        let nodes = compile(&fixture.topology).unwrap();
        let rules = rules(&nodes);
        let server = &nodes.iter().find(|node| node.name.as_str() == "hub").unwrap().interfaces;
        let network: Vec<Cidr> = fixture.topology.network.prefixes().collect();
        let lans: Vec<Cidr> = fixture.topology.enabled().flat_map(|n| n.lans.iter().map(|lan| lan.cidr)).collect();
        for remote in fixture.topology.with_role(Role::Remote) {
            let config = nodes.iter().find(|node| node.node == remote.id).unwrap();
            let allowed = &config.interfaces[0].peers[0].allowed_ips;
            for from in remote.addresses().map(|cidr| cidr.net().addr()) {
                for &to in places(&fixture.topology).iter().filter(|to| to.is_ipv4() == from.is_ipv4() && **to != from) {
                    // The network's DNS server, at the server's own address, answers everyone.
                    let permitted = may_reach(&fixture.topology, remote, to);
                    prop_assert_eq!(lets_through(rules, &network, &lans, from, to), permitted, "{} {}", remote.name, to);
                    let asks = allowed.iter().any(|prefix| prefix.contains(to));
                    prop_assert!(asks || !permitted, "{} may reach {to} and doesn't ask for it", remote.name);
                    if permitted && from != to {
                        let carried = |address| {
                            let peers = server.iter().flat_map(|interface| &interface.peers);
                            peers.flat_map(|peer| &peer.allowed_ips).any(|prefix| prefix.contains(address))
                        };
                        let own = server[0].addresses.iter().any(|address| address.address() == to);
                        let at_home = fixture.topology.nodes[0].lans.iter().any(|lan| lan.cidr.contains(to));
                        prop_assert!(carried(from) && (own || at_home || carried(to)), "{to}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_nodes_and_links_does_not_matter(fixture in graph(), seed in any::<Index>()) {
        let mut turned = fixture.topology.clone();
        let middle = seed.index(turned.nodes.len());
        turned.nodes.rotate_left(middle);
        turned.links.reverse();
        prop_assert_eq!(compile(&turned).unwrap(), compile(&fixture.topology).unwrap());
    }

    #[test]
    fn parts_are_what_the_whole_is(
        fixture in graph(), hosted in vec(any::<bool>(), 20), staged in vec(any::<Option<bool>>(), 20), giving_way in any::<Index>(), smallest in 1..4usize,
    ) {
        let mut topology = fixture.topology;
        let numbered = topology.nodes.iter_mut().zip(0u8..);
        for ((node, number), (hosted, staged)) in numbered.zip(hosted.iter().zip(&staged).cycle()) {
            node.host = hosted.then(|| "machine".parse().unwrap());
            let own = &mut node.interfaces[0];
            own.staged_key = staged.map(|_| PublicKey::from_bytes([number ^ 0x55; 32]));
            own.overlap = staged.and_then(|both| both.then_some(Overlap { port: Port::WIREGUARD, until: None, over: false }));
        }
        let mut moving = topology.clone();
        if !moving.links.is_empty() {
            let at = giving_way.index(moving.links.len());
            moving.links[at].when_down = WhenDown::Move;
        }
        for topology in [topology, moving] {
            let mut parts = Vec::new();
            let told = in_parts(&topology, smallest, &mut |part| parts.extend(part));
            parts.sort_by_key(|config| config.node);
            match compile(&topology) {
                Ok(whole) => {
                    prop_assert_eq!((told, parts), (Ok(()), whole.clone()));
                    let on_host = |config: &NodeConfig| topology.node(config.node).unwrap().host.is_some();
                    let on_hosts: Vec<NodeConfig> = whole.into_iter().filter(on_host).collect();
                    prop_assert_eq!(compile_for_hosts(&topology), Ok(on_hosts));
                }
                refused => prop_assert_eq!(told, refused.map(drop)),
            }
        }
    }

    #[test]
    fn granted_entries_never_overlap(fixture in topology()) {
        let nodes = compile(&fixture.topology).unwrap();
        let granted = &rules(&nodes).granted;
        for (at, first) in granted.iter().enumerate() {
            for second in &granted[at + 1..] {
                prop_assert!(!overlap(first, second), "{first:?} {second:?}");
            }
            prop_assert!(first.ports.is_none() || matches!(first.protocol, Protocol::Tcp | Protocol::Udp));
        }
    }

    #[test]
    fn grants_are_kept_when_they_are_rewritten(fixture in topology(), port in 1..220u16) {
        let nodes = compile(&fixture.topology).unwrap();
        let granted = &rules(&nodes).granted;
        let custom = |node: &&Node| node.access == Access::Custom;
        for node in fixture.topology.with_role(Role::Remote).filter(custom) {
            for from in node.addresses() {
                for to in places(&fixture.topology).into_iter().filter(|to| to.is_ipv4() == from.is_ipv4()) {
                    let fits = |first: u16, last: u16| (first..=last).contains(&port);
                    let wanted = node.grants.iter().any(|grant| {
                        let open = grant.ports.is_empty()
                            || grant.ports.iter().any(|range| fits(range.first().get(), range.last().get()));
                        grant.protocol == Protocol::Tcp && grant.destination.prefix().is_some_and(|prefix| prefix.contains(to)) && open
                    });
                    let given = granted.iter().any(|grant| {
                        let open = grant.ports.is_none_or(|range| fits(range.first().get(), range.last().get()));
                        grant.protocol == Protocol::Tcp && grant.source == from && grant.destination.contains(to) && open
                    });
                    prop_assert_eq!(wanted, given, "{} {} {}", node.name, to, port);
                }
            }
        }
    }
}
