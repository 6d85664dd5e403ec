//! What holds in every network.

use std::net::IpAddr;

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Flow, tcp};
use crate::model::{Access, ExitRule, Link, Node, NodeId, PortRange, Protocol, PublicKey, Role, RuleAction, Topology};
use crate::wg::compile::fixture::Fixture;
use crate::wg::compile::properties::{graph, large_graph, topology};
use crate::wg::compile::{check, compile};
use crate::wg::reach::{Party, World};

/// An address of each enabled node, and one in each LAN, with the node that has it or is before it.
fn places(topology: &Topology) -> Vec<(&Node, IpAddr)> {
    let own = topology.enabled().flat_map(|node| node.addresses().map(move |cidr| (node, cidr.net().addr())));
    let lans = topology.enabled().flat_map(|node| node.lans.iter().map(move |lan| (node, lan)));
    own.chain(lans.map(|(node, lan)| (node, lan.cidr.net().hosts().nth(4).unwrap()))).collect()
}

/// Who may open a connection to whom, said from the descriptions alone: what a person reads in the documentation.
fn may(topology: &Topology, (from, source): (&Node, IpAddr), (to, target): (&Node, IpAddr), flow: Flow) -> bool {
    let lan = |node: &Node, address: IpAddr| node.lans.iter().map(|lan| lan.cidr).find(|lan| lan.contains(address));
    let linked = |node: &Node| node.access != Access::ExitOnly || node.role != Role::Remote;
    if from.id == to.id {
        return true;
    }
    match (from.role, linked(to), linked(from)) {
        // An exit only answers, but its direct peers hear it.
        (Role::Exit, false, _) => return to.exit.is_some_and(|way| way.nodes().first() == Some(&from.id)),
        (Role::Exit, ..) | (_, false, _) | (_, _, false) => return false,
        (Role::Server, ..) if lan(from, source).is_none() => return true,
        _ => {}
    }
    if flow.port.is_some_and(|port| port.get() == 53) && topology.network.dns.contains(&target.to_string()) {
        return true;
    }
    let in_network = topology.network.prefixes().any(|prefix| prefix.contains(target));
    let granted = || {
        from.grants.iter().any(|grant| {
            let protocol = grant.protocol == Protocol::Any || grant.protocol == flow.protocol;
            let fits = |range: &PortRange| flow.port.is_some_and(|port| (range.first()..=range.last()).contains(&port));
            let there = grant.destination.prefix().is_some_and(|to| to.contains(target));
            there && protocol && (grant.ports.is_empty() || grant.ports.iter().any(fits))
        })
    };
    let selected = || lan(to, target).is_some_and(|lan| from.lan_selection.contains(&lan));
    match from.access {
        Access::Full => true,
        Access::VpnOnly => in_network || granted(),
        Access::LanOnly => in_network || selected() || granted(),
        Access::Custom => granted(),
        Access::ExitOnly => false,
    }
}

/// Addresses on the internet, inside and outside of what rules are about.
const PLACES: [&str; 5] = ["192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"];

/// A network with rules by destination: some remotes' own, and everybody's.
fn with_rules() -> impl Strategy<Value = Fixture> {
    let rule = (0..6usize, 0..4usize, any::<bool>(), 0..4usize);
    let rules = proptest::collection::vec((any::<Index>(), rule), 0..8);
    (topology(), rules).prop_map(|(mut fixture, rules)| {
        let exits: Vec<NodeId> = fixture.topology.with_role(Role::Exit).map(|node| node.id).collect();
        for (whose, (to, protocol, some_ports, action)) in rules {
            let protocol = Protocol::ALL[protocol];
            let has_ports = some_ports && matches!(protocol, Protocol::Tcp | Protocol::Udp);
            let destinations = match to {
                0 => vec!["192.0.2.0/24"],
                1 => vec!["192.0.2.128/25", "2001:db8::/48"],
                2 => vec!["2001:db8::/32"],
                3 => vec!["192.0.2.0/25", "198.51.100.0/24"],
                _ => vec!["0.0.0.0/0", "::/0"],
            };
            let rule = ExitRule {
                destinations: destinations.into_iter().map(|prefix| prefix.parse().unwrap()).collect(),
                protocol,
                ports: if has_ports { vec!["1-100".parse().unwrap()] } else { Vec::new() },
                action: match action {
                    0 => RuleAction::Direct,
                    1 => RuleAction::Block,
                    at => exits.get(at - 2).map_or(RuleAction::Direct, |exit| RuleAction::Exit(*exit)),
                },
            };
            // What can't be isn't asked about.
            let before = fixture.topology.clone();
            let remotes = fixture.topology.nodes.iter_mut().filter(|node| node.role == Role::Remote);
            match remotes.collect::<Vec<_>>().as_mut_slice() {
                [] => fixture.topology.network.exit_rules.push(rule),
                remotes => match whose.index(remotes.len() + 1) {
                    at if at < remotes.len() => remotes[at].exit_rules.push(rule),
                    _ => fixture.topology.network.exit_rules.push(rule),
                },
            }
            if !check(&fixture.topology).is_empty() {
                fixture.topology = before;
            }
        }
        fixture
    })
}

/// Where a remote's packets to the internet leave, said from its description alone; `None`: nowhere.
fn leaves_at(topology: &Topology, node: &Node, to: IpAddr, flow: Flow) -> Option<NodeId> {
    let rules: Vec<&ExitRule> = node.exit_rules.iter().chain(&topology.network.exit_rules).collect();
    let way = topology.egress(node).nodes().last().copied();
    let named = |rule: &&&ExitRule| rule.is_carried() && rule.destinations.iter().any(|prefix| prefix.contains(to));
    if way.is_none() && !rules.iter().any(|rule| named(&rule)) {
        return Some(node.id); // by its own connection
    }
    match rules.iter().find(|rule| rule.fits(to, flow.protocol, flow.port)).map(|rule| rule.action) {
        Some(RuleAction::Exit(exit)) => Some(exit),
        Some(RuleAction::Direct) => topology.home(node).map(|server| server.id),
        Some(RuleAction::Block | RuleAction::Group(_)) => None,
        None => way,
    }
}

proptest! {
    #[test]
    fn what_is_enforced_is_what_the_descriptions_say(fixture in topology(), port in 1..220u16) {
        let nodes = compile(&fixture.topology).unwrap();
        let world = World::of(&fixture.topology, &nodes).with_edited_remotes(true);
        let places = places(&fixture.topology);
        for &(from, source) in &places {
            for &(to, target) in places.iter().filter(|(_, to)| to.is_ipv4() == source.is_ipv4() && *to != source) {
                for flow in [Flow::PING, tcp(port)] {
                    let answer = world.reach(&Party { node: from.id, address: Some(source) }, target, flow);
                    let expected = may(&fixture.topology, (from, source), (to, target), flow);
                    prop_assert_eq!(answer.reaches, expected, "{} -> {} {}: {:#?}", source, target, flow, answer);
                }
            }
        }
    }

    #[test]
    fn several_servers_and_direct_links_enforce_what_the_descriptions_say(fixture in graph(), port in 1..220u16) {
        judged_as_described(&fixture.topology, port, 1)?;
    }

    #[test]
    fn next_keys_change_nothing_of_it(mut fixture in graph(), port in 1..220u16, staged in any::<u64>()) {
        for node in fixture.topology.nodes.iter_mut().filter(|node| node.role != Role::Remote) {
            node.host = Some(node.name.clone());
        }
        let interfaces = fixture.topology.nodes.iter_mut().flat_map(|node| &mut node.interfaces);
        for (at, interface) in interfaces.enumerate().filter(|(at, _)| staged >> (at % 64) & 1 == 1) {
            let number = u8::try_from(at % 256).unwrap();
            interface.staged_key = Some(PublicKey::from_bytes([number; 32]));
        }
        judged_as_described(&fixture.topology, port, 3)?;
    }

    #[test]
    fn an_own_file_takes_rights_away_and_never_adds_one(fixture in topology(), port in 1..220u16) {
        let nodes = compile(&fixture.topology).unwrap();
        let handed_out = World::of(&fixture.topology, &nodes);
        let edited = World::of(&fixture.topology, &nodes).with_edited_remotes(true);
        for &(from, source) in &places(&fixture.topology) {
            for &(_, target) in places(&fixture.topology).iter().filter(|(_, to)| to.is_ipv4() == source.is_ipv4()) {
                let party = Party { node: from.id, address: Some(source) };
                let [asked, enforced] = [&handed_out, &edited].map(|world| world.reach(&party, target, tcp(port)));
                prop_assert!(!asked.reaches || enforced.reaches, "{asked:#?}\n{enforced:#?}");
            }
        }
    }

    #[test]
    fn every_answer_says_what_decides_and_a_yes_has_its_way_back(fixture in topology()) {
        let nodes = compile(&fixture.topology).unwrap();
        let world = World::of(&fixture.topology, &nodes);
        let places = places(&fixture.topology);
        for &(from, _) in &places {
            for to in places.iter().map(|(_, to)| *to).chain(["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]) {
                let answer = world.reach(&Party::node(from.id), to, Flow::PING);
                prop_assert!(answer.decided_by.text.starts_with(answer.decided_by.node.as_str()), "{answer:#?}");
                let crossed = |hops: &[crate::wg::reach::Hop]| hops.iter().filter(|hop| hop.peer.is_some()).count();
                if answer.reaches && answer.through_tunnel {
                    prop_assert_eq!(crossed(&answer.out), crossed(&answer.back), "{:#?}", answer);
                }
            }
        }
    }

    #[test]
    fn internet_goes_by_the_first_rule_that_fits_and_else_as_assigned(fixture in with_rules(), port in 1..220u16) {
        let topology = &fixture.topology;
        let nodes = compile(topology).unwrap();
        let world = World::of(topology, &nodes);
        for node in topology.with_role(Role::Remote).filter(|node| node.access != Access::ExitOnly) {
            for to in PLACES.map(|to| to.parse::<IpAddr>().unwrap()) {
                if !node.addresses().any(|own| own.is_ipv4() == to.is_ipv4()) {
                    continue; // it goes there by its own connection
                }
                for flow in [Flow::PING, tcp(port)] {
                    let answer = world.reach(&Party::node(node.id), to, flow);
                    let leaves = answer.out.last().map(|hop| hop.node.clone()).filter(|_| answer.reaches);
                    let expected = leaves_at(topology, node, to, flow).map(|id| topology.node(id).unwrap().name.clone());
                    prop_assert_eq!(leaves, expected, "{} {}: {:#?}", to, flow, answer);
                }
            }
        }
    }

    #[test]
    fn internet_is_reached_by_the_exit_that_is_assigned(fixture in topology()) {
        let nodes = compile(&fixture.topology).unwrap();
        let world = World::of(&fixture.topology, &nodes);
        for node in fixture.topology.with_role(Role::Remote) {
            for to in ["192.0.2.1", "2001:db8::1"].map(|to| to.parse::<IpAddr>().unwrap()) {
                let answer = world.reach(&Party::node(node.id), to, Flow::PING);
                let has_family = node.addresses().any(|own| own.is_ipv4() == to.is_ipv4());
                let exit = node.exit.filter(|_| has_family).and_then(|way| fixture.topology.node(*way.nodes().last()?));
                prop_assert!(answer.reaches, "{answer:#?}");
                prop_assert_eq!(answer.through_tunnel, exit.is_some());
                prop_assert!(exit.is_none_or(|exit| answer.out.last().is_some_and(|hop| hop.node == exit.name && hop.translated)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn so_do_large_networks(fixture in large_graph(), port in 1..220u16) {
        judged_as_described(&fixture.topology, port, 97)?;
    }
}

/// Asks from every place to every so many others, and compares the answers with what the descriptions say.
fn judged_as_described(topology: &Topology, port: u16, every: usize) -> Result<(), TestCaseError> {
    let nodes = compile(topology).unwrap();
    let world = World::of(topology, &nodes).with_edited_remotes(true);
    let places = places(topology);
    // Which of several peers its owner tells a remote to send everything to decides what it takes from the others.
    let chooses = |node: &Node| {
        let own = |link: &Link| [link.id.ends().0, link.id.ends().1].contains(&node.main().id);
        node.role == Role::Remote && topology.links.iter().any(own)
    };
    for (at, &(from, source)) in places.iter().enumerate() {
        let others = places.iter().skip(at % every).step_by(every);
        for &(to, target) in others.filter(|(_, to)| to.is_ipv4() == source.is_ipv4() && *to != source) {
            for flow in [Flow::PING, tcp(port)] {
                let answer = world.reach(&Party { node: from.id, address: Some(source) }, target, flow);
                let expected = may(topology, (from, source), (to, target), flow);
                let as_said = answer.reaches == expected || (expected && (chooses(from) || chooses(to)));
                prop_assert!(as_said, "{source} -> {target} {flow}: {answer:#?}");
            }
        }
    }
    Ok(())
}
