use std::net::IpAddr;

use proptest::prelude::*;

use super::super::fixture::Fixture;
use super::super::{check, compile};
use crate::model::{
    Access, ActiveExit, Cidr, Egress, ExitGroup, ExitGroupId, ExitMember, ExitRule, Group, GroupId, NodeId, Port,
    Protocol, RuleAction, SwitchReason,
};
use crate::wg::NodeConfig;
use crate::wg::firewall::{Duty, RulePath, ServerRules};

/// Reads `DESTINATIONS [PROTOCOL [PORTS]]`.
fn rule(text: &str, action: RuleAction) -> ExitRule {
    let mut words = text.split(' ');
    let destinations = words.next().unwrap().split(',').map(|prefix| prefix.parse().unwrap()).collect();
    let protocol = words.next().map_or(Protocol::Any, |word| word.parse().unwrap());
    let ports = words.next().map_or(Vec::new(), |list| list.split(',').map(|range| range.parse().unwrap()).collect());
    ExitRule { destinations, protocol, ports, action }
}

fn members(members: &[NodeId], exit_rules: Vec<ExitRule>) -> Group {
    Group {
        id: GroupId(1),
        name: "travellers".parse().unwrap(),
        note: String::new(),
        members: members.iter().copied().collect(),
        grants: Vec::new(),
        exit_rules,
    }
}

fn policy(nodes: &[NodeConfig]) -> &ServerRules {
    let hub = nodes.iter().find(|node| node.name.as_str() == "hub").unwrap();
    match &hub.interfaces[0].firewall.as_ref().unwrap().duty {
        Duty::Server(rules) => rules,
        other => panic!("{other:?}"),
    }
}

fn asked(nodes: &[NodeConfig], remote: &str) -> String {
    let node = nodes.iter().find(|node| node.name.as_str() == remote).unwrap();
    node.interfaces[0].peers[0].allowed_ips.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" ")
}

/// Writes each list of a server: its sources, then its rules.
fn told(rules: &ServerRules) -> String {
    let joined = |prefixes: &[Cidr]| prefixes.iter().map(Cidr::to_string).collect::<Vec<_>>().join(" ");
    let mut text = String::new();
    for list in &rules.by_destination {
        text.push_str(&format!("{}\n", joined(&list.sources)));
        for rule in &list.rules {
            let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
            let path = match &rule.path {
                RulePath::Exit(path) => path.uplinks.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" or "),
                RulePath::Server => "server".into(),
                RulePath::Block => "nothing".into(),
            };
            text.push_str(&format!(
                "  {} {} {} → {path}\n",
                joined(&rule.destinations),
                rule.protocol,
                ports.join(",")
            ));
        }
    }
    text
}

#[test]
fn a_remote_has_its_own_rules_then_its_groups_then_the_networks() {
    let mut fixture = Fixture::everything();
    let (berlin, tokyo) = (fixture.node("berlin").id, fixture.node("tokyo").id);
    let (alice, bob) = (fixture.node("alice").id, fixture.node("bob").id);
    fixture.node("alice").exit_rules = vec![
        rule("203.0.113.0/24 tcp 443,80,440-450", RuleAction::Exit(berlin)),
        rule("203.0.113.0/24", RuleAction::Block),
    ];
    fixture.topology.groups =
        vec![members(&[alice, bob], vec![rule("198.51.100.0/24,2001:db8::/32", RuleAction::Direct)])];
    fixture.topology.network.exit_rules = vec![
        rule("192.0.2.0/25", RuleAction::Exit(tokyo)),
        rule("192.0.2.128/25,192.0.2.200/32", RuleAction::Exit(tokyo)), // its neighbour differs in the destination alone
    ];
    let nodes = compile(&fixture.topology).unwrap();
    // The devices carry what the rules name, and one that sends everything needs nothing more. An exit-only one has no rules.
    insta::assert_snapshot!(told(policy(&nodes)), @"
    10.66.0.8/32 10.66.0.9/32 10.66.0.11/32 fd00:66::8/128 fd00:66::9/128 fd00:66::b/128
      192.0.2.0/25 192.0.2.128/25 any  → wgx2
    10.66.0.7/32 fd00:66::7/128
      198.51.100.0/24 2001:db8::/32 any  → server
      192.0.2.0/25 192.0.2.128/25 any  → wgx2
    10.66.0.6/32 fd00:66::6/128
      203.0.113.0/24 tcp 80,440-450 → wgx1
      203.0.113.0/24 any  → nothing
      198.51.100.0/24 2001:db8::/32 any  → server
      192.0.2.0/25 192.0.2.128/25 any  → wgx2
    ");
    insta::assert_snapshot!(asked(&nodes, "bob"), @"10.66.0.0/24 192.0.2.0/25 192.0.2.128/25 198.51.100.0/24 2001:db8::/32 fd00:66::/64");
    assert_eq!((asked(&nodes, "frank"), asked(&nodes, "erin")), ("0.0.0.0/0 ::/0".into(), "0.0.0.0/0 ::/0".into()));
}

#[test]
fn without_rules_nothing_is_said_of_them() {
    let nodes = compile(&Fixture::everything().topology).unwrap();
    assert!(policy(&nodes).by_destination.is_empty());
    assert!(!serde_json::to_string(policy(&nodes)).unwrap().contains("by_destination"));
}

#[test]
fn a_rule_whose_exit_cannot_be_used_lets_nothing_pass() {
    let mut fixture = Fixture::everything();
    let tokyo = fixture.node("tokyo").id;
    fixture.node("alice").exit_rules = vec![rule("203.0.113.0/24", RuleAction::Exit(tokyo))];
    fixture.node("tokyo").enabled = false;
    let nodes = compile(&fixture.topology).unwrap();
    insta::assert_snapshot!(told(policy(&nodes)), @"
    10.66.0.6/32 fd00:66::6/128
      203.0.113.0/24 any  → nothing
    ");
    // A split tunnel doesn't carry it then, unless the kill switch has it end there.
    assert!(!asked(&nodes, "alice").contains("203.0.113.0/24"));
    fixture.node("alice").kill_switch = Some(true);
    assert!(asked(&compile(&fixture.topology).unwrap(), "alice").contains("203.0.113.0/24"));
}

#[test]
fn a_rule_by_a_group_leaves_by_any_of_its_exits() {
    let mut fixture = Fixture::everything();
    let exits = [fixture.node("berlin").id, fixture.node("tokyo").id];
    let mut europe = ExitGroup { id: ExitGroupId(1), ..ExitGroup::new("europe".parse().unwrap()) };
    exits.iter().for_each(|exit| europe.put(ExitMember { exit: *exit, priority: 1, enabled: true }));
    let since = chrono::DateTime::UNIX_EPOCH;
    europe.active = Some(ActiveExit { exit: exits[0], since, reason: SwitchReason::Manual });
    fixture.topology.exit_groups = vec![europe];
    fixture.node("alice").exit_rules = vec![rule("0.0.0.0/0 udp 53", RuleAction::Group(ExitGroupId(1)))];
    let before = compile(&fixture.topology).unwrap();
    insta::assert_snapshot!(told(policy(&before)), @"
    10.66.0.6/32 fd00:66::6/128
      0.0.0.0/0 udp 53 → wgx1 or wgx2
    ");
    // A switch of the group is none of the rules' concern.
    fixture.topology.exit_groups[0].active.as_mut().unwrap().exit = exits[1];
    assert_eq!(policy(&compile(&fixture.topology).unwrap()), policy(&before));
}

#[test]
fn what_a_rule_cannot_be_is_refused_with_both_sides() {
    let mut fixture = Fixture::everything();
    let (berlin, depot) = (fixture.node("berlin").id, fixture.node("depot").id);
    let bob = fixture.node("bob").id;
    fixture.node("alice").exit_rules = vec![
        rule("10.66.0.7/32", RuleAction::Direct),
        rule("192.168.20.0/25", RuleAction::Exit(berlin)),
        rule("172.16.0.0/12", RuleAction::Block),
        rule("203.0.113.0/24 tcp 80", RuleAction::Exit(NodeId(99))),
        rule("203.0.113.0/24 tcp 80", RuleAction::Group(ExitGroupId(9))),
    ];
    fixture.topology.groups = vec![members(&[bob], vec![rule("203.0.113.0/24", RuleAction::Exit(depot))])];
    fixture.topology.network.exit_rules =
        vec![rule("fd00:66::/64", RuleAction::Block), rule("0.0.0.0/0", RuleAction::Block)];
    fixture.node("erin").exit_rules = vec![rule("203.0.113.0/24", RuleAction::Block)];
    let found: Vec<String> = check(&fixture.topology).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"), @"
    `alice` has a rule for 10.66.0.7/32, which lies in the network's own 10.66.0.0/24: rules are for internet traffic, and grants say who may reach what inside
    `alice` has a rule for 192.168.20.0/25, which lies in the LAN 192.168.20.0/24 of `depot`: rules are for internet traffic, and grants say who may reach what inside
    `alice` has a rule for 172.16.0.0/12, which is no part of the internet: neither an exit nor the server lets anything out to there
    rule 4 of `alice` leads to an exit that isn't in the network: remove the rule
    rule 5 of `alice` leads to an exit that isn't in the network: remove the rule
    `alice` has the rule 203.0.113.0/24 tcp 80 twice, and rule 4 decides: remove rule 5
    `erin` has access exit-only and no server on its way, so that nobody could go by its rules: `wg-friend exit rule remove erin --all`, or give it another access level
    rule 1 of the group `travellers` leads to `depot`, which is a router: name an exit, a group of exits, or `direct`
    the network has a rule for fd00:66::/64, which lies in the network's own fd00:66::/64: rules are for internet traffic, and grants say who may reach what inside
    ");
}

/// Destinations that lie in each other, and packets to them.
const PREFIXES: [&str; 6] =
    ["0.0.0.0/0", "203.0.112.0/20", "203.0.113.0/24", "203.0.113.128/25", "203.0.113.200/32", "2001:db8::/32"];
const PACKETS: [&str; 5] = ["203.0.113.200", "203.0.113.7", "203.0.113.130", "192.0.2.1", "2001:db8::7"];

/// A rule by numbers.
fn any_rule() -> impl Strategy<Value = ExitRule> {
    let prefixes = proptest::collection::vec(0..PREFIXES.len(), 1..3);
    let flows = prop_oneof![
        Just((Protocol::Any, "")),
        Just((Protocol::Icmp, "")),
        Just((Protocol::Udp, "")),
        Just((Protocol::Tcp, "443")),
        Just((Protocol::Tcp, "400-500,80")),
    ];
    (prefixes, flows, 0_i64..4).prop_map(|(prefixes, (protocol, ports), action)| ExitRule {
        destinations: prefixes.into_iter().map(|at| PREFIXES[at].parse().unwrap()).collect(),
        protocol,
        ports: ports.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect(),
        // The fixture's two exits have the numbers 4 and 5.
        action: [RuleAction::Direct, RuleAction::Block, RuleAction::Exit(NodeId(4)), RuleAction::Exit(NodeId(5))]
            [usize::try_from(action).unwrap()],
    })
}

proptest! {
    #[test]
    fn the_first_rule_that_fits_decides_and_a_split_tunnel_carries_just_what_rules_name(
        lists in proptest::array::uniform3(proptest::collection::vec(any_rule(), 0..5)),
        everything in any::<bool>(),
    ) {
        let mut fixture = Fixture::everything();
        let id = fixture.node("alice").id;
        let alice = fixture.node("alice");
        (alice.access, alice.exit) = (Access::VpnOnly, everything.then_some(Egress::Node(NodeId(4))));
        let [mut own, mut group, mut network] = lists;
        for list in [&mut own, &mut group, &mut network] {
            let mut seen: Vec<ExitRule> = Vec::new();
            list.retain(|rule| { let new = seen.iter().all(|other| !other.fits_same(rule)); seen.push(rule.clone()); new });
        }
        alice.exit_rules = own;
        fixture.topology.groups = vec![members(&[id], group)];
        fixture.topology.network.exit_rules = network;
        let nodes = compile(&fixture.topology).unwrap();
        let alice = fixture.topology.node(id).unwrap();
        let all: Vec<&ExitRule> = fixture.topology.exit_rules_of(alice).map(|(_, _, rule)| rule).collect();
        let source: Cidr = "10.66.0.6/32".parse().unwrap();
        let lists: Vec<_> = policy(&nodes).by_destination.iter().filter(|list| list.sources.contains(&source)).collect();
        prop_assert_eq!(lists.len(), usize::from(!all.is_empty()));
        let file = &nodes.iter().find(|node| node.node == id).unwrap().interfaces[0].peers[0].allowed_ips;
        for to in PACKETS {
            let to: IpAddr = to.parse().unwrap();
            for (protocol, port) in [(Protocol::Tcp, 443), (Protocol::Tcp, 80), (Protocol::Udp, 443), (Protocol::Icmp, 0), (Protocol::Any, 0)] {
                let port = Port::new(port);
                let wanted = all.iter().find(|rule| rule.fits(to, protocol, port)).map(|rule| rule.action);
                let found = lists.first().and_then(|list| list.rule_for(to, protocol, port)).map(|rule| match &rule.path {
                    RulePath::Server => RuleAction::Direct,
                    RulePath::Block => RuleAction::Block,
                    RulePath::Exit(path) => RuleAction::Exit(NodeId(if path.uplinks[0].as_str() == "wgx1" { 4 } else { 5 })),
                });
                prop_assert_eq!(found, wanted);
            }
            let named = all.iter().any(|rule| rule.is_carried() && rule.destinations.iter().any(|prefix| prefix.contains(to)));
            prop_assert_eq!(file.iter().any(|prefix| prefix.contains(to)), everything || named);
        }
    }
}
