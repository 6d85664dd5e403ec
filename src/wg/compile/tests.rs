use std::fmt::Write as _;

use super::fixture::{Fixture, lans};
use super::{Refusal, check, compile};
use crate::model::{Access, Cidr, Grant, Group, GroupId, Kept, Lan, Mtu, NodeId, Role, STABLE_CLIENTS};
use crate::wg::firewall::Duty;
use crate::wg::{InterfaceConfig, NodeConfig, Table};

fn compiled(fixture: &Fixture) -> Vec<NodeConfig> {
    compile(&fixture.topology).unwrap()
}

fn node<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a NodeConfig {
    nodes.iter().find(|node| node.name.as_str() == name).unwrap()
}

fn main<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a InterfaceConfig {
    &node(nodes, name).interfaces[0]
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

/// Each peer on a line: name, AllowedIPs, endpoint, keepalive.
fn peers(interface: &InterfaceConfig) -> String {
    let line = |peer: &crate::wg::PeerConfig| {
        let endpoint = peer.endpoint.as_ref().map_or("-".to_owned(), ToString::to_string);
        let keepalive = peer.keepalive.map_or("-".to_owned(), |seconds| seconds.to_string());
        format!("{} [{}] {endpoint} {keepalive}", peer.name, listed(&peer.allowed_ips))
    };
    interface.peers.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn refusals(fixture: &Fixture) -> String {
    check(&fixture.topology).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_server_has_every_router_and_remote_as_a_peer_and_no_exit() {
    let nodes = compiled(&Fixture::everything());
    let hub = main(&nodes, "hub");
    insta::assert_snapshot!(listed(&hub.addresses), @"10.66.0.1/24 fd00:66::1/64");
    insta::assert_snapshot!(peers(hub), @"
    alice [10.66.0.6/32 fd00:66::6/128] - -
    bob [10.66.0.7/32 fd00:66::7/128] - -
    carol [10.66.0.8/32 fd00:66::8/128] - -
    dave [10.66.0.9/32 fd00:66::9/128] - -
    depot [10.66.0.3/32 192.168.20.0/24 fd00:66::3/128] depot.example.com:51820 -
    frank [10.66.0.11/32 fd00:66::b/128] - -
    office [10.66.0.2/32 192.168.10.0/24 fd00:10::/64 fd00:66::2/128] office.example.com:51820 -
    ");
}

#[test]
fn each_exit_has_an_uplink_with_a_table_of_its_own() {
    let nodes = compiled(&Fixture::everything());
    let hub = node(&nodes, "hub");
    let names: Vec<&str> = hub.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["wg0", "wgx1", "wgx2"]);
    let uplink = &hub.interfaces[1];
    assert_eq!(uplink.table, Table::Off);
    assert_eq!(uplink.listen_port.unwrap().get(), 51901);
    insta::assert_snapshot!(listed(&uplink.addresses), @"10.66.0.1/32 fd00:66::1/128");
    insta::assert_snapshot!(peers(uplink), @"berlin [0.0.0.0/0 ::/0] berlin.example.com:51820 -");
    insta::assert_snapshot!(listed(&uplink.routes), @"10.66.0.4/32 fd00:66::4/128 0.0.0.0/0 table 7766101 ::/0 table 7766101");
    let rules: Vec<String> = uplink
        .rules
        .iter()
        .map(|rule| format!("{} {:#x} {} {}", rule.ipv4, rule.mark, rule.table, rule.priority))
        .collect();
    insta::assert_snapshot!(rules.join("\n"), @"
    true 0x77660065 7766101 7867
    false 0x77660065 7766101 7867
    ");
    assert_eq!(uplink.sysctls[0].key, "net.ipv4.conf.wgx1.rp_filter");
}

#[test]
fn routers_and_exits_reach_everything_but_themselves() {
    let nodes = compiled(&Fixture::everything());
    insta::assert_snapshot!(peers(main(&nodes, "office")), @"hub [10.66.0.0/24 192.168.1.0/24 192.168.20.0/24 fd00:66::/64] hub.example.com:51820 -");
    insta::assert_snapshot!(peers(main(&nodes, "berlin")), @"
    erin [10.66.0.10/32 fd00:66::a/128] - -
    hub [10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24 fd00:10::/64 fd00:66::/64] hub.example.com:51901 -
    ");
    insta::assert_snapshot!(peers(main(&nodes, "tokyo")), @"hub [10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24 fd00:10::/64 fd00:66::/64] hub.example.com:51902 -");
}

#[test]
fn a_remote_asks_for_what_its_access_permits() {
    let nodes = compiled(&Fixture::everything());
    let all = ["alice", "bob", "carol", "dave", "erin", "frank"].map(|name| peers(main(&nodes, name)));
    insta::assert_snapshot!(all.join("\n"), @"
    hub [10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24 fd00:10::/64 fd00:66::/64] hub.example.com:51820 25
    hub [10.66.0.0/24 fd00:66::/64] hub.example.com:51820 25
    hub [10.66.0.0/24 192.168.10.0/24 fd00:66::/64] hub.example.com:51820 25
    hub [10.66.0.1/32 10.66.0.2/32 192.168.20.0/24 fd00:10::/64] hub.example.com:51820 25
    berlin [0.0.0.0/0 ::/0] berlin.example.com:51820 25
    hub [0.0.0.0/0 ::/0] hub.example.com:51820 25
    ");
}

#[test]
fn a_remote_may_ask_the_dns_server_that_it_is_told_to_ask() {
    let mut fixture = Fixture::everything();
    fixture.topology.network.dns = vec!["192.168.10.53".to_owned(), "home.lan".to_owned()];
    fixture.node("carol").dns = Some(vec!["192.168.20.53".to_owned()]);
    let nodes = compiled(&fixture);
    let all = ["bob", "carol", "dave"].map(|name| peers(main(&nodes, name)));
    insta::assert_snapshot!(all.join("\n"), @"
    hub [10.66.0.0/24 192.168.10.53/32 fd00:66::/64] hub.example.com:51820 25
    hub [10.66.0.0/24 192.168.10.0/24 192.168.20.53/32 fd00:66::/64] hub.example.com:51820 25
    hub [10.66.0.2/32 192.168.10.53/32 192.168.20.0/24 fd00:10::/64] hub.example.com:51820 25
    ");
}

#[test]
fn an_exit_only_remote_is_not_sent_to_a_dns_server_that_it_cannot_reach() {
    let mut fixture = Fixture::everything();
    fixture.topology.network.dns = vec!["10.66.0.1".to_owned(), "9.9.9.9".to_owned()];
    let nodes = compiled(&fixture);
    assert_eq!(main(&nodes, "erin").dns, ["9.9.9.9"]);
    assert_eq!(main(&nodes, "frank").dns, ["10.66.0.1", "9.9.9.9"]);
}

#[test]
fn disabled_nodes_and_their_lans_disappear() {
    let mut fixture = Fixture::everything();
    fixture.node("office").enabled = false;
    fixture.node("tokyo").enabled = false;
    fixture.node("bob").enabled = false;
    let nodes = compiled(&fixture);
    let text = serde_json::to_string(&nodes).unwrap();
    for gone in ["office", "tokyo", "bob", "192.168.10.0/24", "wgx2"] {
        assert!(!text.contains(gone), "{gone} is still there");
    }
    insta::assert_snapshot!(peers(main(&nodes, "frank")), @"hub [10.66.0.0/24 192.168.1.0/24 192.168.20.0/24 fd00:66::/64] hub.example.com:51820 25");
}

#[test]
fn keepalives_are_for_those_whom_nobody_can_dial() {
    let mut fixture = Fixture::everything();
    fixture.node("alice").keepalive = Some(0);
    fixture.node("bob").keepalive = Some(5);
    fixture.node("office").endpoint = None;
    fixture.node("hub").keepalive = Some(60);
    let nodes = compiled(&fixture);
    let sent = |name: &str| main(&nodes, name).peers[0].keepalive;
    assert_eq!([sent("alice"), sent("bob"), sent("carol")], [None, Some(5), Some(25)]);
    assert_eq!([sent("office"), sent("depot"), sent("hub")], [Some(25), None, Some(60)]);
}

#[test]
fn an_ipv4_network_has_no_trace_of_ipv6() {
    let mut fixture = Fixture::everything();
    fixture.topology.network.cidr6 = None;
    fixture.node("office").lans.pop();
    fixture.node("dave").grants.retain(|grant| grant.destination.prefix().is_some_and(|prefix| prefix.is_ipv4()));
    fixture.topology.nodes.iter_mut().for_each(|node| node.address6 = None);
    let text = serde_json::to_string(&compiled(&fixture)).unwrap();
    assert!(!text.contains("::") && !text.contains("ipv6"), "{text}");
}

#[test]
fn what_cannot_work_is_refused_with_both_sides_and_a_remedy() {
    let mut clash = Fixture::everything();
    clash.node("depot").lans = lans(&["192.168.10.128/25", "10.66.0.64/26", "0.0.0.0/0"]);
    clash.node("bob").address4 = clash.node("alice").address4;
    clash.node("carol").address4 = Some([10, 66, 0, 255].into());
    clash.node("dave").address4 = Some([10, 99, 0, 1].into());
    clash.node("erin").lans = lans(&["172.16.0.0/24"]);
    clash.node("frank").interfaces[0].public_key = clash.node("alice").main().public_key;
    insta::assert_snapshot!(refusals(&clash), @"
    `alice` and `frank` both have the key 31XbTBzxhOkCsshXxhzHD+gvHeZnIeNQCKQfz0yb/18=: give one of them a new key
    `alice` and `bob` both have the address 10.66.0.6: change one of them
    `carol` has the address 10.66.0.255, which stands for the whole network 10.66.0.0/24: pick another
    `dave` has the address 10.99.0.1, which lies outside the network's prefixes: pick a free one inside
    the LAN 10.66.0.64/26 of `depot` overlaps the network's own 10.66.0.0/24: renumber the LAN or the network
    `depot` advertises 0.0.0.0/0, which is the whole internet: that is what an exit is for
    `erin` is a remote and can't advertise the LAN 172.16.0.0/24: only servers and routers do
    the LAN 192.168.10.0/24 of `office` overlaps the LAN 192.168.10.128/25 of `depot`: packets could go to one of them only, so renumber one or advertise a smaller part of it
    ");

    let mut exits = Fixture::everything();
    let (depot, berlin) = (exits.node("depot").id, exits.node("berlin").id);
    exits.node("alice").exit = Some(depot.into());
    exits.node("erin").exit = None;
    exits.node("office").exit = Some(berlin.into());
    exits.node("depot").access = Access::ExitOnly;
    exits.node("hub").interfaces.pop();
    exits.node("frank").exit = Some(crate::model::NodeId(99).into());
    insta::assert_snapshot!(refusals(&exits), @"
    `office` is a router and can't leave by an exit: only remotes do
    `depot` is a router and can't have access exit-only: only remotes do
    `alice` has `depot` as its exit, which is a router: assign an exit node, or the server itself
    `erin` has access exit-only and no exit: assign one or give it another access level
    `frank` has an exit that isn't in the network: assign another or none
    `hub` has no uplink interface towards the exit `tokyo`: remove the exit and add it again, which makes one
    ");

    let mut dialling = Fixture::everything();
    dialling.node("hub").endpoint = None;
    dialling.node("berlin").endpoint = None;
    insta::assert_snapshot!(refusals(&dialling), @"
    `erin` has access exit-only and dials its exit `berlin` directly, which has no endpoint: set `berlin`'s endpoint or assign another exit
    neither `hub` nor `berlin` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    neither `hub` nor `alice` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    neither `hub` nor `bob` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    neither `hub` nor `carol` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    neither `hub` nor `dave` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    neither `hub` nor `frank` can dial the other, for neither has an endpoint: set one, such as `wg-friend set hub endpoint=vpn.example.com`
    ");

    let mut rights = Fixture::everything();
    rights.node("carol").lan_selection = ["172.16.0.0/24".parse().unwrap()].into();
    rights.node("dave").grants = vec!["172.16.0.1 tcp 22".parse().unwrap()];
    rights.node("bob").dns = Some(vec!["1.1.1.1\nPostUp = reboot".to_owned()]);
    rights.topology.network.dns = vec!["9.9.9".to_owned(), "home.lan".to_owned(), "fd00::1".to_owned()];
    insta::assert_snapshot!(refusals(&rights), @r#"
    `carol` may reach the LAN 172.16.0.0/24, which no node advertises: select one that exists
    `dave` is granted `172.16.0.1/32 tcp 22`, which lies neither in the network nor in an advertised LAN: correct the destination
    the network `home` has the DNS entry "9.9.9": expected an address, such as 10.66.0.1, or a search domain
    `bob` has the DNS entry "1.1.1.1\nPostUp = reboot": expected an address, such as 10.66.0.1, or a search domain
    "#);

    let mut machine = Fixture::everything();
    for name in ["hub", "office"] {
        machine.node(name).host = Some("box".parse().unwrap());
    }
    machine.node("depot").endpoint = Some("192.168.10.7:51820".parse().unwrap());
    insta::assert_snapshot!(refusals(&machine), @"
    `hub` and `office` would both use the interface wg0 on the same machine: rename one
    `hub` and `office` would both listen on UDP port 51820 of the same machine: change one
    ");
}

#[test]
fn a_port_that_the_kernel_chooses_is_nobody_elses() {
    let mut machine = Fixture::everything();
    for name in ["hub", "office"] {
        machine.node(name).host = Some("box".parse().unwrap());
    }
    // It is dialled by way of a port that a router in front of it passes on.
    let office = machine.node("office");
    office.endpoint = Some("192.0.2.7:51820".parse().unwrap());
    office.interfaces[0].name = "wg1".parse().unwrap();
    office.interfaces[0].listen_port = None;
    assert_eq!(
        refusals(&machine),
        "`hub` and `office` would both listen on UDP port 51820 of the same machine: change one"
    );
    let office = machine.node("office");
    office.interfaces[0].kept = Some(Kept { port_auto: true, ..Kept::made() });
    let nodes = compile(&machine.topology).unwrap();
    let office = nodes.iter().find(|node| node.name.as_str() == "office").unwrap();
    assert_eq!(office.interfaces[0].listen_port, None);
}

#[test]
fn an_endpoint_behind_its_own_tunnel_is_refused() {
    let mut fixture = Fixture::everything();
    fixture.node("hub").endpoint = Some("192.168.1.2:51820".parse().unwrap());
    // Those who route the server's LAN through the tunnel lose it; those who don't, or send everything, can dial it.
    insta::assert_snapshot!(refusals(&fixture), @"
    `office` would reach 192.168.1.2:51820, where it dials `hub`, through the tunnel itself, for it routes 192.168.1.0/24 there: give `hub` an endpoint outside of it
    `depot` would reach 192.168.1.2:51820, where it dials `hub`, through the tunnel itself, for it routes 192.168.1.0/24 there: give `hub` an endpoint outside of it
    `berlin` would reach 192.168.1.2:51901, where it dials `hub`, through the tunnel itself, for it routes 192.168.1.0/24 there: give `hub` an endpoint outside of it
    `tokyo` would reach 192.168.1.2:51902, where it dials `hub`, through the tunnel itself, for it routes 192.168.1.0/24 there: give `hub` an endpoint outside of it
    `alice` would reach 192.168.1.2:51820, where it dials `hub`, through the tunnel itself, for it routes 192.168.1.0/24 there: give `hub` an endpoint outside of it
    ");
}

#[test]
fn a_network_has_a_server_and_each_node_one_that_is_there() {
    let mut fixture = Fixture::new();
    assert_eq!(check(&fixture.topology), [Refusal::NoServer]);
    fixture.add("hub", Role::Server);
    assert_eq!(check(&fixture.topology), []);
    let spare = fixture.add("spare", Role::Server).id;
    let office = fixture.add("office", Role::Router);
    office.server = Some(spare);
    let office = office.id;
    fixture.node("hub").enabled = false;
    assert_eq!(check(&fixture.topology), []);
    fixture.node("hub").enabled = true;
    fixture.node("spare").enabled = false;
    fixture.add("alice", Role::Remote).server = Some(office);
    insta::assert_snapshot!(refusals(&fixture), @"
    `office` belongs to the server `spare`, which is disabled: `wg-friend set office server=NAME` another, or enable it
    `alice` belongs to `office`, a router: nodes belong to a server, so `wg-friend set alice server=NAME` another
    ");
}

#[test]
fn an_exit_only_remote_needs_an_exit_that_can_be_dialled() {
    let mut fixture = Fixture::everything();
    fixture.node("berlin").endpoint = None;
    insta::assert_snapshot!(refusals(&fixture), @"`erin` has access exit-only and dials its exit `berlin` directly, which has no endpoint: set `berlin`'s endpoint or assign another exit");
    fixture.node("berlin").enabled = false;
    insta::assert_snapshot!(refusals(&fixture), @"`erin` has access exit-only and its exit `berlin` is disabled: assign another exit, or disable `erin` too");
}

#[test]
fn a_group_is_granted_as_each_of_its_members_and_reached_by_their_addresses() {
    let mut fixture = Fixture::everything();
    let (bob, dave) = (fixture.node("bob").id, fixture.node("dave").id);
    let (alice, office) = (fixture.node("alice").id, fixture.node("office").id);
    let group = |id, name: &str, members: &[NodeId], grants: Vec<Grant>| Group {
        id: GroupId(id),
        name: name.parse().unwrap(),
        note: String::new(),
        members: members.iter().copied().collect(),
        grants,
        exit_rules: Vec::new(),
    };
    let grants = vec!["group:2 tcp 631".parse().unwrap(), "192.168.20.0/24 icmp".parse().unwrap()];
    fixture.node("dave").grants.clear();
    fixture.topology.groups =
        vec![group(1, "contractors", &[bob, dave], grants), group(2, "printers", &[alice, office], Vec::new())];
    let nodes = compiled(&fixture);
    // Members' own addresses, not the LANs behind them; bob has the network by his level.
    assert_eq!(
        listed(&main(&nodes, "dave").peers[0].allowed_ips),
        "10.66.0.1/32 10.66.0.2/32 10.66.0.6/32 192.168.20.0/24 fd00:66::2/128 fd00:66::6/128"
    );
    assert_eq!(listed(&main(&nodes, "bob").peers[0].allowed_ips), "10.66.0.0/24 192.168.20.0/24 fd00:66::/64");
    let Some(Duty::Server(rules)) = main(&nodes, "hub").firewall.as_ref().map(|firewall| &firewall.duty) else {
        panic!("the server has rules");
    };
    let lines = rules.granted.iter().map(|g| format!("{} → {} {}", g.source, g.destination, g.protocol));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    10.66.0.7/32 → 10.66.0.2/32 tcp
    10.66.0.7/32 → 10.66.0.6/32 tcp
    10.66.0.7/32 → 192.168.20.0/24 icmp
    10.66.0.9/32 → 10.66.0.2/32 tcp
    10.66.0.9/32 → 10.66.0.6/32 tcp
    10.66.0.9/32 → 192.168.20.0/24 icmp
    fd00:66::7/128 → fd00:66::2/128 tcp
    fd00:66::7/128 → fd00:66::6/128 tcp
    fd00:66::9/128 → fd00:66::2/128 tcp
    fd00:66::9/128 → fd00:66::6/128 tcp
    ");
    // A disabled member is nobody, and whoever has access full needs no entry.
    fixture.node("alice").enabled = false;
    fixture.node("dave").access = Access::Full;
    let nodes = compiled(&fixture);
    let Some(Duty::Server(rules)) = main(&nodes, "hub").firewall.as_ref().map(|firewall| &firewall.duty) else {
        panic!("the server has rules");
    };
    assert!(rules.granted.iter().all(|grant| grant.source != "10.66.0.9/32".parse().unwrap()));
    assert!(rules.granted.iter().all(|grant| grant.destination != "10.66.0.6/32".parse().unwrap()));
}

#[test]
fn stable_clients_carry_the_same_whatever_their_rights() {
    let mut fixture = Fixture::everything();
    fixture.topology.network.stable_clients = STABLE_CLIENTS.map(|prefix| prefix.parse().unwrap()).into();
    let nodes = compiled(&fixture);
    let file = |nodes: &[NodeConfig], name: &str| listed(&main(nodes, name).peers[0].allowed_ips);
    let broad = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7";
    for name in ["alice", "bob", "carol", "dave"] {
        assert_eq!(file(&nodes, name), broad, "{name}");
    }
    // An exit carries everything anyway, and an exit-only device has nothing else.
    assert_eq!([file(&nodes, "frank"), file(&nodes, "erin")], ["0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0"]);
    let rights = |nodes: &[NodeConfig]| main(nodes, "hub").firewall.clone();
    let plain = compiled(&Fixture::everything());
    assert_eq!(rights(&nodes), rights(&plain), "what is enforced doesn't depend on it");

    // A LAN inside of it is in every file already; one outside is named in each.
    for (lan, expected) in
        [("192.168.30.0/24", broad.to_owned()), ("203.0.113.0/24", broad.replace(" fc00", " 203.0.113.0/24 fc00"))]
    {
        let mut more = fixture.topology.clone();
        let office = more.nodes.iter_mut().find(|node| node.name.as_str() == "office").unwrap();
        office.lans.push(Lan { cidr: lan.parse().unwrap(), description: String::new() });
        let nodes = compile(&more).unwrap();
        for name in ["alice", "bob", "carol", "dave"] {
            assert_eq!(file(&nodes, name), expected, "{name} {lan}");
        }
    }
    fixture.node("bob").address6 = None;
    assert_eq!(file(&compiled(&fixture), "bob"), "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16");
}

#[test]
fn grants_are_cut_down_to_the_network_and_its_lans() {
    let mut fixture = Fixture::everything();
    fixture.node("dave").grants = vec!["0.0.0.0/0 tcp 443".parse().unwrap()];
    let nodes = compiled(&fixture);
    let allowed = &main(&nodes, "dave").peers[0].allowed_ips;
    assert_eq!(listed(allowed), "10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24");
    assert!(!allowed.contains(&Cidr::ALL4));
}

#[test]
fn ipv6_needs_packets_of_1280_bytes() {
    let mut small = Fixture::everything();
    small.node("alice").mtu = Some("1200".parse().unwrap());
    insta::assert_snapshot!(refusals(&small), @"`alice` has an IPv6 address and an MTU of 1200: IPv6 needs at least 1280");
    small.node("alice").address6 = None;
    assert_eq!(refusals(&small), "");
}

/// A network of two servers: each with a router and a remote, and an exit that belongs to the second.
fn two_servers() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.add("hub", Role::Server);
    let spare = fixture.add("spare", Role::Server).id;
    fixture.node("spare").lans = lans(&["192.168.2.0/24"]);
    fixture.add("office", Role::Router).lans = lans(&["192.168.10.0/24"]);
    let depot = fixture.add("depot", Role::Router);
    (depot.server, depot.lans) = (Some(spare), lans(&["192.168.20.0/24"]));
    fixture.add("alice", Role::Remote);
    fixture.add("bob", Role::Remote).server = Some(spare);
    let berlin = fixture.add_exit("berlin");
    fixture.node("berlin").server = Some(spare);
    fixture.node("alice").exit = Some(berlin.into());
    fixture
}

/// Lists each node's peers with what they carry, IPv4 alone.
fn carried(fixture: &Fixture) -> String {
    let mut text = String::new();
    for node in compiled(fixture) {
        for interface in &node.interfaces {
            for peer in &interface.peers {
                let four: Vec<Cidr> = peer.allowed_ips.iter().copied().filter(Cidr::is_ipv4).collect();
                writeln!(text, "{} {} → {}: {}", node.name, interface.name, peer.name, listed(&four)).unwrap();
            }
        }
    }
    text
}

#[test]
fn servers_carry_for_each_other_what_belongs_to_them() {
    insta::assert_snapshot!(carried(&two_servers()), @"
    hub wg0 → alice: 10.66.0.5/32
    hub wg0 → office: 10.66.0.3/32 192.168.10.0/24
    hub wg0 → spare: 10.66.0.2/32 10.66.0.4/32 10.66.0.6/32 192.168.2.0/24 192.168.20.0/24
    hub wgx1 → berlin: 0.0.0.0/0
    spare wg0 → bob: 10.66.0.6/32
    spare wg0 → depot: 10.66.0.4/32 192.168.20.0/24
    spare wg0 → hub: 10.66.0.1/32 10.66.0.3/32 10.66.0.5/32 192.168.10.0/24
    spare wgx1 → berlin: 0.0.0.0/0
    office wg0 → hub: 10.66.0.0/24 192.168.2.0/24 192.168.20.0/24
    depot wg0 → spare: 10.66.0.0/24 192.168.2.0/24 192.168.10.0/24
    alice wg0 → hub: 0.0.0.0/0
    bob wg0 → spare: 10.66.0.0/24 192.168.2.0/24 192.168.10.0/24 192.168.20.0/24
    berlin wg0 → hub: 10.66.0.1/32 10.66.0.3/32 10.66.0.5/32 192.168.10.0/24
    berlin wg0 → spare: 10.66.0.0/24 192.168.2.0/24 192.168.20.0/24
    ");
}

#[test]
fn a_direct_link_carries_what_is_behind_it_unless_it_is_a_detour() {
    let mut fixture = two_servers();
    fixture.link("office", "depot", 1);
    let of = |fixture: &Fixture, name: &str| -> String {
        carried(fixture).lines().filter(|line| line.starts_with(name)).map(|line| format!("{line}\n")).collect()
    };
    insta::assert_snapshot!(of(&fixture, "office"), @"
    office wg0 → depot: 10.66.0.4/32 192.168.20.0/24
    office wg0 → hub: 10.66.0.0/24 192.168.2.0/24
    ");
    insta::assert_snapshot!(of(&fixture, "hub"), @"
    hub wg0 → alice: 10.66.0.5/32
    hub wg0 → office: 10.66.0.3/32 192.168.10.0/24
    hub wg0 → spare: 10.66.0.2/32 10.66.0.4/32 10.66.0.6/32 192.168.2.0/24 192.168.20.0/24
    hub wgx1 → berlin: 0.0.0.0/0
    ");
    fixture.link("office", "depot", 9);
    insta::assert_snapshot!(of(&fixture, "office"), @"
    office wg0 → depot: 
    office wg0 → hub: 10.66.0.0/24 192.168.2.0/24 192.168.20.0/24
    ");
}

#[test]
fn a_link_does_not_lead_past_the_rules_that_enforce_an_access_level() {
    let mut fixture = two_servers();
    fixture.node("bob").access = Access::VpnOnly;
    fixture.link("bob", "office", 1);
    assert_eq!(refusals(&fixture), "");
    let own_rules = || Some(Kept { firewall: false, ..Kept::made() });
    fixture.node("office").interfaces[0].kept = own_rules();
    insta::assert_snapshot!(refusals(&fixture), @"`bob` is linked to `office`, which has the rules with which it was adopted and none of ours: nobody there would enforce the access level of `bob`. `wg-friend hooks adopt office`, unlink them, or give `bob` full access");
    fixture.node("bob").access = Access::Full;
    assert_eq!(refusals(&fixture), "");
    // Where nothing is enforced at all, a link opens nothing.
    fixture.node("bob").access = Access::VpnOnly;
    for server in ["hub", "spare"] {
        fixture.node(server).interfaces[0].kept = own_rules();
    }
    assert_eq!(refusals(&fixture), "");
}

#[test]
fn links_that_cannot_be_are_refused() {
    let mut fixture = two_servers();
    fixture.node("bob").access = Access::Custom;
    fixture.link("alice", "bob", 1);
    fixture.link("alice", "berlin", 1);
    fixture.node("office").endpoint = None;
    fixture.node("depot").endpoint = None;
    fixture.link("office", "depot", 1);
    fixture.node("bob").exit = Some(fixture.topology.nodes[0].id.into());
    insta::assert_snapshot!(refusals(&fixture), @"
    the internet traffic of `bob` is to leave at `hub`, but it belongs to `spare`: `wg-friend set bob server=hub`, or give it another exit
    `bob` and `alice` are both remotes: nobody between them could enforce access custom of `bob`. Give it full, vpn-only or lan-only; without a link of their own, their server is between them
    `alice` and `berlin` can't be linked: an exit only carries internet traffic. Use `wg-friend set NODE exit=NAME`, with access exit-only for a direct link
    neither `office` nor `depot` can dial the other, for neither has an endpoint: set one, such as `wg-friend set office endpoint=vpn.example.com`
    neither `alice` nor `bob` can dial the other, for neither has an endpoint: set one, such as `wg-friend set alice endpoint=vpn.example.com`
    ");
}

#[test]
fn what_is_wrong_is_told_in_the_same_order_whatever_part_it_is_in() {
    let mut fixture = Fixture::everything();
    fixture.node("office").host = Some("branch".parse().unwrap());
    for node in &mut fixture.topology.nodes {
        node.mtu = Some(Mtu::try_from(1000).unwrap());
    }
    let whole = compile(&fixture.topology).unwrap_err();
    assert!(whole.len() > 3);
    assert_eq!(super::in_parts(&fixture.topology, 1, &mut drop), Err(whole));
}
