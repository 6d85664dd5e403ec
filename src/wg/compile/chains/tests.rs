use super::super::fixture::Fixture;
use super::super::{check, compile};
use crate::model::{Access, Cidr, Egress, ExitRule, NodeId, Protocol, Role, RuleAction};
use crate::wg::firewall::Duty;
use crate::wg::{InterfaceConfig, NodeConfig};

/// The usual network with a third exit, and alice by berlin, tokyo and lima.
fn with_chain() -> (Fixture, [NodeId; 3]) {
    let mut fixture = Fixture::everything();
    let lima = fixture.add_exit("lima");
    let exits = [fixture.node("berlin").id, fixture.node("tokyo").id, lima];
    let way = fixture.chain(&exits);
    fixture.node("alice").exit = Some(way);
    (fixture, exits)
}

fn of<'a>(nodes: &'a [NodeConfig], name: &str) -> &'a NodeConfig {
    nodes.iter().find(|node| node.name.as_str() == name).unwrap()
}

fn written(interface: &InterfaceConfig) -> String {
    let list = |prefixes: &[Cidr]| prefixes.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" ");
    let peers = interface.peers.iter().map(|peer| format!("  {} {}\n", peer.name, list(&peer.allowed_ips)));
    let routes = interface.routes.iter().map(|route| format!("  route {route}\n"));
    let rules = interface.rules.iter().map(|rule| format!("  rule {rule}\n"));
    format!("{}\n{}", interface.name, peers.chain(routes).chain(rules).collect::<String>())
}

fn onward(node: &NodeConfig) -> String {
    let Duty::Exit { onward, .. } = &node.interfaces[0].firewall.as_ref().unwrap().duty else { panic!("no exit") };
    let line = |(source, path): (&Cidr, &crate::wg::firewall::ExitPath)| format!("{source} by {}\n", path.uplinks[0]);
    onward.iter().map(line).collect()
}

fn kept(node: &NodeConfig) -> Vec<Cidr> {
    let Duty::Exit { held, .. } = &node.interfaces[0].firewall.as_ref().unwrap().duty else { panic!("no exit") };
    held.clone()
}

#[test]
fn each_exit_is_one_peer_of_the_next_and_sends_on_what_is_not_to_leave_there() {
    let (fixture, _) = with_chain();
    let nodes = compile(&fixture.topology).unwrap();
    let exits = ["berlin", "tokyo", "lima"].map(|name| {
        let node = of(&nodes, name);
        let interfaces: String = node.interfaces.iter().map(written).collect();
        format!("{name}: {interfaces}onward: {}", onward(node))
    });
    insta::assert_snapshot!(exits.join("\n"), @"
    berlin: wg0
      erin 10.66.0.10/32 fd00:66::a/128
      hub 10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24 fd00:10::/64 fd00:66::/64
    wgx1
      tokyo 0.0.0.0/0 ::/0
      route 0.0.0.0/0 table 7766401
      route ::/0 table 7766401
      rule IPv4 mark 0x77660191 table 7766401 priority 8167
      rule IPv6 mark 0x77660191 table 7766401 priority 8167
    onward: 10.66.0.6/32 by wgx1
    fd00:66::6/128 by wgx1

    tokyo: wg0
      berlin 10.66.0.4/32 fd00:66::4/128
      hub 10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24 fd00:10::/64 fd00:66::/64
    wgx1
      lima 0.0.0.0/0 ::/0
      route 0.0.0.0/0 table 7766501
      route ::/0 table 7766501
      rule IPv4 mark 0x776601f5 table 7766501 priority 8267
      rule IPv6 mark 0x776601f5 table 7766501 priority 8267
    onward: 10.66.0.4/32 by wgx1
    fd00:66::4/128 by wgx1

    lima: wg0
      hub 10.66.0.0/24 192.168.1.0/24 192.168.10.0/24 192.168.20.0/24 fd00:10::/64 fd00:66::/64
      tokyo 10.66.0.5/32 fd00:66::5/128
    onward:
    ");
    // On the server it is an uplink like any other.
    let hub = of(&nodes, "hub");
    let Duty::Server(rules) = &hub.interfaces[0].firewall.as_ref().unwrap().duty else { panic!("no server") };
    let alice = fixture.topology.nodes.iter().find(|node| node.name.as_str() == "alice").unwrap();
    let uplinks = alice.addresses().map(|address| rules.exits[&address].uplinks[0].to_string());
    assert_eq!(uplinks.collect::<Vec<_>>(), ["wgx1", "wgx1"]);
}

#[test]
fn without_a_chain_exits_have_nothing_to_do_with_each_other() {
    let (mut fixture, exits) = with_chain();
    fixture.node("alice").exit = Some(exits[0].into());
    let nodes = compile(&fixture.topology).unwrap();
    for name in ["berlin", "tokyo", "lima"] {
        assert_eq!(of(&nodes, name).interfaces.len(), 1);
        assert_eq!((onward(of(&nodes, name)), kept(of(&nodes, name))), (String::new(), Vec::new()));
    }
}

#[test]
fn with_an_exit_of_it_disabled_nothing_goes_by_the_chain_and_no_shorter_way() {
    for (kill_switch, everything) in [(false, false), (true, true)] {
        let (mut fixture, _) = with_chain();
        fixture.node("tokyo").enabled = false;
        fixture.node("alice").kill_switch = Some(kill_switch);
        let nodes = compile(&fixture.topology).unwrap();
        assert_eq!(of(&nodes, "alice").interfaces[0].peers[0].allowed_ips.contains(&Cidr::ALL4), everything);
        assert_eq!(onward(of(&nodes, "berlin")), "");
        assert_eq!(kept(of(&nodes, "berlin")), fixture.node("alice").addresses().collect::<Vec<_>>(), "nor out there");
        let Duty::Server(rules) = &of(&nodes, "hub").interfaces[0].firewall.as_ref().unwrap().duty else { panic!() };
        let alice = fixture.node("alice").addresses().next().unwrap();
        assert!(!rules.exits.contains_key(&alice));
    }
}

#[test]
fn an_exit_only_device_dials_the_first_exit() {
    let (mut fixture, _) = with_chain();
    let alice = fixture.node("alice");
    alice.access = Access::ExitOnly;
    let own = alice.addresses().next().unwrap();
    let nodes = compile(&fixture.topology).unwrap();
    assert_eq!(of(&nodes, "alice").interfaces[0].peers[0].name.as_str(), "berlin");
    assert!(onward(of(&nodes, "berlin")).contains(&own.to_string()));
}

fn told(fixture: &Fixture) -> String {
    check(&fixture.topology).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_comes_from_one_exit_to_another_has_one_way_on() {
    let (mut fixture, exits) = with_chain();
    let way = fixture.chain(&exits[..2]);
    fixture.node("frank").exit = Some(way);
    insta::assert_snapshot!(told(&fixture), @"the internet traffic of `frank` and of `alice` comes from `berlin` to `tokyo` and parts there: what one exit sends to another has one way on, so give one of the two other exits");
    // From another exit, or by another way to the first, it may part.
    let way = fixture.chain(&exits[1..]);
    fixture.node("frank").exit = Some(way);
    assert_eq!(told(&fixture), "");
    let way = fixture.chain(&[exits[1], exits[0]]);
    fixture.node("frank").exit = Some(way);
    assert_eq!(told(&fixture), "");
}

#[test]
fn a_rule_leads_out_at_no_exit_from_which_the_rest_goes_on() {
    let (mut fixture, exits) = with_chain();
    let to = |exit: NodeId| ExitRule {
        destinations: vec!["203.0.113.0/24".parse().unwrap()],
        protocol: Protocol::Any,
        ports: Vec::new(),
        action: RuleAction::Exit(exit),
    };
    fixture.node("alice").exit_rules = vec![to(exits[1])];
    assert_eq!(told(&fixture), "");
    fixture.topology.network.exit_rules = vec![to(exits[0])];
    insta::assert_snapshot!(told(&fixture), @"the internet traffic of `alice` goes on from `berlin` to another exit, and rule 1 of the network leads out at `berlin`: an exit sends all of a device's traffic the same way");
}

#[test]
fn a_chain_is_made_of_exits_that_can_be_told_to_send_on() {
    let (mut fixture, exits) = with_chain();
    let hub = fixture.node("hub").id;
    fixture.node("alice").exit = Some(fixture_way(&[exits[0], hub]));
    insta::assert_snapshot!(told(&fixture), @"`alice` has `hub` as its exit, which is a server: assign an exit node, or the server itself");
    fixture.node("alice").exit = Some(fixture_way(&[exits[0], NodeId(99)]));
    insta::assert_snapshot!(told(&fixture), @"`alice` has an exit that isn't in the network: assign another or none");
    fixture.node("alice").exit = Some(fixture_way(&[exits[2], exits[0]]));
    insta::assert_snapshot!(told(&fixture), @"`lima` has no uplink to `berlin`: `wg-friend exit assign` the chain again");
    let way = fixture.chain(&[exits[2], exits[0]]);
    let lima = fixture.node("lima");
    lima.interfaces[0].kept = Some(crate::model::Kept { firewall: false, ..crate::model::Kept::made() });
    fixture.node("alice").exit = Some(way);
    assert_eq!(told(&fixture).lines().count(), 1);
    fixture.node("berlin").provisional = true;
    insta::assert_snapshot!(told(&fixture), @"
    of `berlin` only the public key is known, so it can be told neither to send anything on nor to take it: import its file, or give it a key with `wg-friend rotate berlin`
    `lima` keeps the firewall rules that it was adopted with, so it can't be told to send anything on to `berlin`: put it last, or let it follow the model: `wg-friend hooks adopt lima`
    ");
}

/// A way without the uplinks that it needs.
fn fixture_way(exits: &[NodeId]) -> Egress {
    Egress::Via(crate::model::Via::new(exits).unwrap())
}

#[test]
fn the_whole_network_may_leave_by_a_chain() {
    let (mut fixture, _) = with_chain();
    fixture.topology.network.exit = fixture.node("alice").exit.take().unwrap();
    let nodes = compile(&fixture.topology).unwrap();
    let remotes = fixture.topology.with_role(Role::Remote).filter(|node| node.exit.is_none());
    let mut sources: Vec<Cidr> = remotes.flat_map(|node| node.addresses()).collect();
    let Duty::Exit { onward, .. } = &of(&nodes, "berlin").interfaces[0].firewall.as_ref().unwrap().duty else {
        panic!()
    };
    sources.sort_unstable();
    assert_eq!(onward.keys().copied().collect::<Vec<_>>(), sources);
}
