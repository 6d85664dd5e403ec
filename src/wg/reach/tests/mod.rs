//! Who reaches whom in made-up networks.

mod properties;

use std::fmt::Write as _;

use super::{Answer, Flow, Party, Way, World};
use crate::model::{Access, Kept, Port, Protocol, Role, Run, Table};
use crate::wg::compile::compile;
use crate::wg::compile::fixture::{Fixture, lans};

/// Asks as a person would: a node's name, or `ADDRESS@NODE` for a host behind it.
pub(super) fn ask(fixture: &Fixture, from: &str, to: &str, flow: Flow) -> Answer {
    let nodes = compile(&fixture.topology).unwrap();
    let world = World::of(&fixture.topology, &nodes);
    let (address, name) = from.split_once('@').map_or((None, from), |(address, name)| (Some(address), name));
    let node = fixture.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap().id;
    let party = Party { node, address: address.map(|address| address.parse().unwrap()) };
    world.reach(&party, to.parse().unwrap(), flow)
}

pub(super) fn tcp(port: u16) -> Flow {
    Flow::tcp(Port::new(port).unwrap())
}

/// Writes an answer on a few lines.
fn told(answer: &Answer) -> String {
    let hops = |hops: &[super::Hop]| {
        let mut text = String::new();
        for hop in hops {
            let more = match (&hop.peer, hop.lan) {
                (Some(peer), _) => {
                    format!("{peer} ({} · {})", hop.allowed_ip.unwrap(), hop.accepted_by.unwrap())
                }
                (None, Some(lan)) => lan.to_string(),
                (None, None) => format!("{:?}", hop.way),
            };
            let nat = if hop.translated { " NAT" } else { "" };
            let by = hop.interface.as_ref().map_or("", |name| name.as_str());
            write!(text, "; {} {by} → {more}{nat}", hop.node).unwrap();
        }
        text
    };
    let mut text = format!("{}{}", if answer.reaches { "yes" } else { "no" }, hops(&answer.out));
    if !answer.back.is_empty() {
        write!(text, "\nback{}", hops(&answer.back)).unwrap();
    }
    write!(text, "\n{:?}: {}", answer.decided_by.code, answer.decided_by.text).unwrap();
    for remedy in &answer.remedies {
        write!(text, "\n→ {remedy}").unwrap();
    }
    for provided in &answer.provided {
        write!(text, "\nprovided: {provided}").unwrap();
    }
    text
}

fn asked(from: &str, to: &str, flow: Flow) -> String {
    told(&ask(&Fixture::everything(), from, to, flow))
}

#[test]
fn a_yes_names_every_hop_both_ways_and_the_rule_that_permits_it() {
    insta::assert_snapshot!(asked("alice", "192.168.10.5", tcp(445)), @"
    yes; alice wg0 → hub (192.168.10.0/24 · 10.66.0.6/32); hub wg0 → office (192.168.10.0/24 · 10.66.0.0/24); office eth0 → 192.168.10.0/24
    back; office eth0 → 192.168.10.0/24; office wg0 → hub (10.66.0.0/24 · 192.168.10.0/24); hub wg0 → alice (10.66.0.6/32 · 192.168.10.0/24)
    Open: hub's firewall: access full of alice includes LAN 192.168.10.0/24 of office
    provided: office is the default gateway of LAN 192.168.10.0/24, or the LAN's own router has a route for 10.66.0.0/24 by way of office's address there (or `wg-friend set office nat=yes`, for what the tunnel asks)
    ");
    insta::assert_snapshot!(asked("alice", "192.168.20.7", tcp(445)), @"
    yes; alice wg0 → hub (192.168.20.0/24 · 10.66.0.6/32); hub wg0 → depot (192.168.20.0/24 · 10.66.0.0/24); depot eth0 → 192.168.20.0/24 NAT
    back; depot eth0 → 192.168.20.0/24; depot wg0 → hub (10.66.0.0/24 · 192.168.20.0/24); hub wg0 → alice (10.66.0.6/32 · 192.168.20.0/24)
    Open: hub's firewall: access full of alice includes LAN 192.168.20.0/24 of depot
    ");
    insta::assert_snapshot!(asked("frank", "198.51.100.7", tcp(443)), @"
    yes; frank wg0 → hub (0.0.0.0/0 · 10.66.0.11/32); hub wgx2 → tokyo (0.0.0.0/0 · 10.66.0.0/24); tokyo eth0 → Internet NAT
    back; tokyo eth0 → Internet; tokyo wg0 → hub (10.66.0.0/24 · 0.0.0.0/0); hub wg0 → frank (10.66.0.11/32 · 0.0.0.0/0)
    Open: hub's firewall: the internet traffic of frank leaves by tokyo (wgx2)
    ");
    insta::assert_snapshot!(asked("192.168.10.5@office", "192.168.20.7", Flow::PING), @"
    yes; office eth0 → 192.168.10.0/24; office wg0 → hub (192.168.20.0/24 · 192.168.10.0/24); hub wg0 → depot (192.168.20.0/24 · 192.168.10.0/24); depot eth0 → 192.168.20.0/24 NAT
    back; depot eth0 → 192.168.20.0/24; depot wg0 → hub (192.168.10.0/24 · 192.168.20.0/24); hub wg0 → office (192.168.10.0/24 · 192.168.20.0/24); office eth0 → 192.168.10.0/24
    Open: hub's firewall: access full of office (LAN 192.168.10.0/24) includes LAN 192.168.20.0/24 of depot
    provided: office is the default gateway of LAN 192.168.10.0/24, or the LAN's own router has a route for 10.66.0.0/24 by way of office's address there (or `wg-friend set office nat=yes`, for what the tunnel asks)
    ");
}

#[test]
fn a_no_names_what_decides_and_the_remedy() {
    insta::assert_snapshot!(asked("bob", "192.168.10.5", tcp(445)), @"
    no; bob  → OwnConnection
    Firewall: hub's firewall: access vpn-only of bob doesn't include LAN 192.168.10.0/24 of office; bob's own file doesn't ask for it either
    → `wg-friend set bob access=lan-only allow-lan=192.168.10.0/24`
    → `wg-friend set bob access=full`
    ");
    insta::assert_snapshot!(asked("carol", "192.168.20.7", Flow::PING), @"
    no; carol  → OwnConnection
    Firewall: hub's firewall: access lan-only of carol doesn't include LAN 192.168.20.0/24 of depot; carol's own file doesn't ask for it either
    → `wg-friend set carol allow-lan+=192.168.20.0/24`
    → `wg-friend set carol access=full`
    ");
    insta::assert_snapshot!(asked("dave", "192.168.20.7", tcp(80)), @"
    no; dave wg0 → hub (192.168.20.0/24 · 10.66.0.9/32)
    Firewall: hub's firewall: the grants of dave don't include tcp 80 to 192.168.20.7 behind depot
    → `wg-friend set dave grant+='192.168.20.7 tcp 80'`
    → `wg-friend set dave access=full`
    ");
    insta::assert_snapshot!(asked("berlin", "10.66.0.6", Flow::PING), @"
    no; berlin wg0 → hub (10.66.0.0/24 · 0.0.0.0/0)
    Firewall: hub's firewall: what doesn't come out of the tunnel or its own LANs may only answer
    ");
    insta::assert_snapshot!(asked("erin", "10.66.0.6", Flow::PING), @"
    no; erin wg0 → berlin (0.0.0.0/0 · 10.66.0.10/32)
    Firewall: berlin's firewall: an exit carries packets to the internet only, not to the network 10.66.0.0/24
    → `wg-friend set erin access=full`
    ");
    insta::assert_snapshot!(asked("alice", "10.66.0.99", Flow::PING), @"
    no; alice wg0 → hub (10.66.0.0/24 · 10.66.0.6/32)
    NoAllowedIp: hub has no peer on wg0 whose AllowedIPs hold 10.66.0.99
    ");
    insta::assert_snapshot!(asked("192.168.10.5@office", "10.66.0.7", Flow::PING), @"
    no; office eth0 → 192.168.10.0/24; office wg0 → hub (10.66.0.0/24 · 192.168.10.0/24)
    NotAccepted: bob doesn't accept 192.168.10.5 from hub: its AllowedIPs are 10.66.0.0/24, fd00:66::/64
    → `wg-friend set bob access=full`, then give bob its new file
    provided: office is the default gateway of LAN 192.168.10.0/24, or the LAN's own router has a route for 10.66.0.0/24 by way of office's address there (or `wg-friend set office nat=yes`, for what the tunnel asks)
    ");
}

#[test]
fn without_an_exit_the_internet_is_ones_own_matter() {
    insta::assert_snapshot!(asked("alice", "198.51.100.7", tcp(443)), @"
    yes; alice  → OwnConnection
    OwnConnection: alice goes there by its own connection: no AllowedIP holds it
    ");
    insta::assert_snapshot!(asked("hub", "198.51.100.7", tcp(443)), @"
    yes; hub  → OwnConnection
    OwnConnection: hub goes there by its own connection: no AllowedIP holds it
    ");
    insta::assert_snapshot!(asked("alice", "192.168.99.7", tcp(443)), @"
    no; alice  → OwnConnection
    Nobody: alice sends 192.168.99.7 out of its own connection: no node has it and no LAN holds it
    ");
}

#[test]
fn disabled_nodes_and_missing_families_are_told() {
    let mut fixture = Fixture::everything();
    fixture.node("bob").enabled = false;
    fixture.node("carol").address6 = None;
    insta::assert_snapshot!(told(&ask(&fixture, "bob", "10.66.0.1", Flow::PING)), @"
    no
    Disabled: bob is disabled: it is in no configuration
    → `wg-friend enable bob`
    ");
    insta::assert_snapshot!(told(&ask(&fixture, "alice", "10.66.0.7", Flow::PING)), @"
    no; alice wg0 → hub (10.66.0.0/24 · 10.66.0.6/32)
    Disabled: hub has no peer on wg0 whose AllowedIPs hold 10.66.0.7; bob is disabled
    → `wg-friend enable bob`
    ");
    insta::assert_snapshot!(told(&ask(&fixture, "carol", "fd00:66::1", Flow::PING)), @"
    no
    NoAddress: carol has no IPv6 address in the network
    → `wg-friend set carol address=auto` gives it addresses in every family of the network
    ");
    fixture.node("office").enabled = false;
    insta::assert_snapshot!(told(&ask(&fixture, "alice", "192.168.10.5", Flow::PING)), @"
    no; alice  → OwnConnection
    Disabled: alice sends 192.168.10.5 out of its own connection: no node has it and no LAN holds it; office is disabled
    → `wg-friend enable office`
    ");
}

/// What somebody built by hand, adopted as it was: nothing differs.
fn kept() -> Kept {
    Kept {
        made: false,
        run: Run::Boot,
        length4: Some(24),
        length6: Some(64),
        addresses: Vec::new(),
        port_auto: false,
        mtu_auto: false,
        fwmark: None,
        table: Some(Table::Auto),
        mtu: None,
        hooks: Vec::new(),
        save_config: false,
        by_hooks: Default::default(),
        key_by_hook: false,
        key_on_host: false,
        key_unknown: false,
        firewall: false,
        peers: Default::default(),
    }
}

#[test]
fn on_an_adopted_host_its_own_rules_are_taken_to_permit_it_and_named() {
    let mut fixture = Fixture::everything();
    fixture.node("hub").interfaces[0].kept = Some(kept());
    insta::assert_snapshot!(told(&ask(&fixture, "alice", "192.168.20.7", Flow::PING)), @"
    yes; alice wg0 → hub (192.168.20.0/24 · 10.66.0.6/32); hub wg0 → depot (192.168.20.0/24 · 10.66.0.0/24); depot eth0 → 192.168.20.0/24 NAT
    back; depot eth0 → 192.168.20.0/24; depot wg0 → hub (10.66.0.0/24 · 192.168.20.0/24); hub wg0 → alice (10.66.0.6/32 · 192.168.20.0/24)
    Open: depot's firewall: the tunnel reaches the router's own LANs
    provided: hub forwards it: its own rules and settings decide, not wg-friend's
    ");
    fixture.node("office").interfaces[0].kept = Some(Kept { run: Run::Off, ..kept() });
    insta::assert_snapshot!(told(&ask(&fixture, "alice", "192.168.10.5", Flow::PING)), @"
    no; alice wg0 → hub (192.168.10.0/24 · 10.66.0.6/32)
    NotRunning: office doesn't run wg0: it is switched off there
    → `wg-friend set office kept=none`: its links follow the model, and not what was found in its file
    provided: hub forwards it: its own rules and settings decide, not wg-friend's
    ");
    fixture.node("alice").interfaces[0].kept = Some(Kept { table: Some(Table::Off), ..kept() });
    insta::assert_snapshot!(told(&ask(&fixture, "alice", "10.66.0.1", Flow::PING)), @"
    yes; alice wg0 → hub (10.66.0.0/24 · 10.66.0.6/32)
    back; hub wg0 → alice (10.66.0.6/32 · 10.66.0.0/24)
    Open: alice sends 10.66.0.0/24 to hub, and no firewall stands between
    provided: hub lets it in: its own rules decide, not wg-friend's
    provided: alice lets it in: its own rules decide, not wg-friend's
    ");
}

#[test]
fn what_a_file_asks_for_beyond_its_rights_the_server_drops() {
    let mut fixture = Fixture::everything();
    let hub = fixture.node("hub").interfaces[0].id;
    let peer = crate::model::KeptPeer { added: vec!["192.168.0.0/16".parse().unwrap()], ..Default::default() };
    // Its file has a shorter prefix for more than it may reach: the question goes out, and hub drops it.
    fixture.node("bob").interfaces[0].kept = Some(Kept { peers: [(hub, peer)].into(), ..kept() });
    insta::assert_snapshot!(told(&ask(&fixture, "bob", "192.168.10.5", Flow::PING)), @"
    no; bob wg0 → hub (192.168.0.0/16 · 10.66.0.7/32)
    Firewall: hub's firewall: access vpn-only of bob doesn't include LAN 192.168.10.0/24 of office
    → `wg-friend set bob access=lan-only allow-lan=192.168.10.0/24`
    → `wg-friend set bob access=full`
    ");
}

#[test]
fn what_is_enforced_is_seen_by_asking_for_everything() {
    let fixture = Fixture::everything();
    let nodes = compile(&fixture.topology).unwrap();
    let world = World::of(&fixture.topology, &nodes).with_edited_remotes(true);
    let bob = fixture.topology.nodes.iter().find(|node| node.name.as_str() == "bob").unwrap().id;
    let answer = world.reach(&Party::node(bob), "192.168.10.5".parse().unwrap(), Flow::PING);
    insta::assert_snapshot!(told(&answer), @"
    no; bob wg0 → hub (0.0.0.0/0 · 10.66.0.7/32)
    Firewall: hub's firewall: access vpn-only of bob doesn't include LAN 192.168.10.0/24 of office
    → `wg-friend set bob access=lan-only allow-lan=192.168.10.0/24`
    → `wg-friend set bob access=full`
    ");
    let answer = world.reach(&Party::node(bob), "198.51.100.7".parse().unwrap(), Flow::PING);
    insta::assert_snapshot!(told(&answer), @"
    no; bob wg0 → hub (0.0.0.0/0 · 10.66.0.7/32)
    Firewall: hub's firewall: bob has no way to the internet there, and 198.51.100.7 is not in the network
    → `wg-friend set bob exit=berlin`
    ");
}

#[test]
fn the_longest_allowed_ip_gets_an_address() {
    let mut fixture = Fixture::everything();
    fixture.add("guest", Role::Router).lans = lans(&["192.168.10.128/25"]);
    let refused = compile(&fixture.topology);
    assert!(refused.is_err(), "overlapping LANs are refused, so nobody has to be asked who wins");
    let fixture = Fixture::everything();
    let nodes = compile(&fixture.topology).unwrap();
    let world = World::of(&fixture.topology, &nodes);
    let who = |address: &str| {
        let who = world.who(address.parse().unwrap());
        let mut text = format!("{:?}", who.owner);
        for node in who.nodes.iter().filter(|node| ["hub", "office", "alice", "frank"].contains(&node.node.as_str())) {
            let way = node.elsewhere.map_or_else(
                || {
                    format!(
                        "{} {} {}",
                        node.interface.as_ref().unwrap(),
                        node.peer.as_ref().map_or("nobody", |p| p.as_str()),
                        node.allowed_ip.map(|p| p.to_string()).unwrap_or_default()
                    )
                },
                str::to_owned,
            );
            write!(text, "\n{}: {way}", node.node).unwrap();
        }
        text
    };
    insta::assert_snapshot!(who("10.66.0.7"), @r#"
    Node { node: Name("bob"), enabled: true }
    hub: wg0 bob 10.66.0.7/32
    office: wg0 hub 10.66.0.0/24
    alice: wg0 hub 10.66.0.0/24
    frank: wg0 hub 0.0.0.0/0
    "#);
    insta::assert_snapshot!(who("192.168.10.7"), @r#"
    Lan { node: Name("office"), lan: Cidr(192.168.10.0/24), enabled: true }
    hub: wg0 office 192.168.10.0/24
    office: lan
    alice: wg0 hub 192.168.10.0/24
    frank: wg0 hub 0.0.0.0/0
    "#);
    insta::assert_snapshot!(who("10.66.0.200"), @"
    Free { prefix: Cidr(10.66.0.0/24) }
    hub: wg0 nobody 
    office: wg0 hub 10.66.0.0/24
    alice: wg0 hub 10.66.0.0/24
    frank: wg0 hub 0.0.0.0/0
    ");
    insta::assert_snapshot!(who("203.0.113.7"), @"
    Internet
    hub: own_connection
    office: own_connection
    alice: own_connection
    frank: wg0 hub 0.0.0.0/0
    ");
}

#[test]
fn a_question_has_a_way_a_protocol_and_words() {
    assert_eq!(tcp(445).to_string(), "tcp 445");
    assert_eq!(Flow::PING.to_string(), "icmp");
    assert_eq!(Flow { protocol: Protocol::Udp, port: Port::new(53) }.to_string(), "udp 53");
    let answer = ask(&Fixture::everything(), "alice", "10.66.0.1", Flow::PING);
    assert_eq!(answer.out[0].way, Way::Tunnel);
    assert!(answer.through_tunnel && answer.reaches);
    let mut fixture = Fixture::everything();
    fixture.node("alice").access = Access::Custom;
    assert!(!ask(&fixture, "alice", "10.66.0.2", tcp(22)).reaches);
    assert!(ask(&fixture, "alice", "10.66.0.1", tcp(53)).reaches, "the network's DNS server answers everyone");
}

#[test]
fn what_leaves_by_a_chain_passes_every_exit_and_comes_back_by_each() {
    let mut fixture = Fixture::everything();
    let exits = [fixture.node("berlin").id, fixture.node("tokyo").id];
    let way = fixture.chain(&exits);
    fixture.node("frank").exit = Some(way);
    insta::assert_snapshot!(told(&ask(&fixture, "frank", "198.51.100.7", tcp(443))), @"
    yes; frank wg0 → hub (0.0.0.0/0 · 10.66.0.11/32); hub wgx1 → berlin (0.0.0.0/0 · 10.66.0.0/24); berlin wgx1 → tokyo (0.0.0.0/0 · 10.66.0.4/32) NAT; tokyo eth0 → Internet NAT
    back; tokyo eth0 → Internet; tokyo wg0 → berlin (10.66.0.4/32 · 0.0.0.0/0); berlin wg0 → hub (10.66.0.0/24 · 0.0.0.0/0); hub wg0 → frank (10.66.0.11/32 · 0.0.0.0/0)
    Open: hub's firewall: the internet traffic of frank leaves by berlin (wgx1)
    ");
    insta::assert_snapshot!(told(&ask(&fixture, "erin", "198.51.100.7", tcp(443))), @"
    yes; erin wg0 → berlin (0.0.0.0/0 · 10.66.0.10/32); berlin eth0 → Internet NAT
    back; berlin eth0 → Internet; berlin wg0 → erin (10.66.0.10/32 · 0.0.0.0/0)
    Open: berlin's firewall: the tunnel reaches the internet
    ");
    insta::assert_snapshot!(told(&ask(&fixture, "berlin", "10.66.0.5", Flow::PING)), @"
    no; berlin wg0 → hub (10.66.0.0/24 · 0.0.0.0/0)
    Firewall: hub's firewall: what doesn't come out of the tunnel or its own LANs may only answer
    ");
    // Who dials the first exit goes on from there as well.
    fixture.node("erin").exit = Some(way);
    insta::assert_snapshot!(told(&ask(&fixture, "erin", "2001:db8::1", Flow::PING)), @"
    yes; erin wg0 → berlin (::/0 · fd00:66::a/128); berlin wgx1 → tokyo (::/0 · fd00:66::4/128) NAT; tokyo eth0 → Internet NAT
    back; tokyo eth0 → Internet; tokyo wg0 → berlin (fd00:66::4/128 · ::/0); berlin wg0 → erin (fd00:66::a/128 · ::/0)
    Open: tokyo's firewall: the tunnel reaches the internet
    ");
}
