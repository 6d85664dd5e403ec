use proptest::prelude::*;

use super::super::fixture::Fixture;
use super::super::{check, compile};
use crate::model::{
    Access, ActiveExit, Cidr, Egress, ExitGroup, ExitGroupId, ExitMember, NodeId, Role, SwitchReason, Topology,
};
use crate::wg::firewall::{Duty, ServerRules};
use crate::wg::{NodeConfig, UplinkRoute};

/// A group of exits: which, and whether it may go by each. It was told to go by the one with number `active`.
fn group(members: &[(NodeId, bool)], active: Option<NodeId>) -> ExitGroup {
    let mut group = ExitGroup { id: ExitGroupId(1), ..ExitGroup::new("europe".parse().unwrap()) };
    for (exit, enabled) in members {
        group.put(ExitMember { exit: *exit, priority: ExitMember::PRIORITY, enabled: *enabled });
    }
    let since = chrono::DateTime::UNIX_EPOCH;
    group.active = active.map(|exit| ActiveExit { exit, since, reason: SwitchReason::Manual });
    group
}

/// The usual network with a group of its two exits, by which alice leaves.
fn with_group() -> (Fixture, NodeId, NodeId) {
    let mut fixture = Fixture::everything();
    let (berlin, tokyo) = (fixture.node("berlin").id, fixture.node("tokyo").id);
    fixture.topology.exit_groups.push(group(&[(berlin, true), (tokyo, true)], Some(berlin)));
    fixture.node("alice").exit = Some(Egress::Group(ExitGroupId(1)));
    (fixture, berlin, tokyo)
}

fn hub(nodes: &[NodeConfig]) -> &NodeConfig {
    nodes.iter().find(|node| node.name.as_str() == "hub").unwrap()
}

fn rules(nodes: &[NodeConfig]) -> &ServerRules {
    match &hub(nodes).interfaces[0].firewall.as_ref().unwrap().duty {
        Duty::Server(rules) => rules,
        other => panic!("{other:?}"),
    }
}

/// The uplinks into which the default routes of the group's table lead, IPv4 and IPv6.
fn carriers(nodes: &[NodeConfig]) -> Vec<String> {
    let table = Some(UplinkRoute::of_group(ExitGroupId(1)).table);
    let interfaces = hub(nodes).interfaces.iter();
    let into =
        interfaces.flat_map(|i| i.routes.iter().filter(|r| r.table == table).map(|r| format!("{} {}", i.name, r.to)));
    into.collect()
}

fn asked(nodes: &[NodeConfig], remote: &str) -> Vec<Cidr> {
    let node = nodes.iter().find(|node| node.name.as_str() == remote).unwrap();
    node.interfaces[0].peers[0].allowed_ips.clone()
}

#[test]
fn a_switch_moves_two_default_routes_and_nothing_else() {
    let (mut fixture, _, tokyo) = with_group();
    let mut before = compile(&fixture.topology).unwrap();
    fixture.topology.exit_groups[0].active.as_mut().unwrap().exit = tokyo;
    let mut after = compile(&fixture.topology).unwrap();
    assert_eq!(carriers(&before), ["wgx1 0.0.0.0/0", "wgx1 ::/0"]);
    assert_eq!(carriers(&after), ["wgx2 0.0.0.0/0", "wgx2 ::/0"]);
    for nodes in [&mut before, &mut after] {
        for interface in nodes.iter_mut().flat_map(|node| &mut node.interfaces) {
            interface.routes.retain(|route| route.table != Some(UplinkRoute::of_group(ExitGroupId(1)).table));
        }
    }
    assert_eq!(before, after);
}

#[test]
fn a_group_has_a_mark_a_table_and_rules_of_its_own_and_all_its_uplinks() {
    let (fixture, ..) = with_group();
    let nodes = compile(&fixture.topology).unwrap();
    let lines: Vec<String> = hub(&nodes).interfaces[0].rules.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    IPv4 mark 0x77668001 table 7790001 priority 27767
    IPv6 mark 0x77668001 table 7790001 priority 27767
    ");
    let path = &rules(&nodes).exits[&"10.66.0.6/32".parse().unwrap()];
    let uplinks: Vec<&str> = path.uplinks.iter().map(|name| name.as_str()).collect();
    assert_eq!((path.mark, uplinks), (0x7766_8001, vec!["wgx1", "wgx2"]));
    assert_eq!(asked(&nodes, "alice"), [Cidr::ALL4, Cidr::ALL6]);
}

#[test]
fn while_the_exit_it_was_told_cannot_be_used_a_group_goes_by_the_preferred_one() {
    let (mut fixture, berlin, tokyo) = with_group();
    fixture.topology.exit_groups[0] = group(&[(berlin, false), (tokyo, true)], Some(berlin));
    let nodes = compile(&fixture.topology).unwrap();
    assert_eq!(carriers(&nodes), ["wgx2 0.0.0.0/0", "wgx2 ::/0"]);
    assert_eq!(rules(&nodes).exits[&"10.66.0.6/32".parse().unwrap()].uplinks.len(), 1);
}

#[test]
fn without_an_exit_the_tunnel_is_a_split_one_or_with_the_kill_switch_carries_nothing_out() {
    let (mut fixture, berlin, tokyo) = with_group();
    fixture.topology.exit_groups[0] = group(&[(berlin, false), (tokyo, false)], Some(berlin));
    let source = "10.66.0.6/32".parse().unwrap();
    for kill_switch in [false, true] {
        fixture.topology.network.kill_switch = kill_switch;
        let nodes = compile(&fixture.topology).unwrap();
        assert_eq!(asked(&nodes, "alice").contains(&Cidr::ALL4), kill_switch);
        assert!(!rules(&nodes).exits.contains_key(&source) && !rules(&nodes).leaving.contains(&source));
        assert_eq!(carriers(&nodes), [""; 0]);
    }
    fixture.node("alice").kill_switch = Some(false);
    let nodes = compile(&fixture.topology).unwrap();
    assert!(!asked(&nodes, "alice").contains(&Cidr::ALL4), "its own word counts more than the network's");
}

#[test]
fn remotes_that_are_not_told_follow_the_network_and_none_is_really_none() {
    let (mut fixture, ..) = with_group();
    fixture.topology.network.exit = Egress::Group(ExitGroupId(1));
    fixture.node("bob").exit = Some(Egress::None);
    let nodes = compile(&fixture.topology).unwrap();
    for (remote, everything) in [("alice", true), ("bob", false), ("carol", true), ("frank", true)] {
        assert_eq!(asked(&nodes, remote).contains(&Cidr::ALL4), everything, "{remote}");
    }
    let marks = |number: u8| rules(&nodes).exits.get(&format!("10.66.0.{number}/32").parse().unwrap()).map(|p| p.mark);
    assert_eq!((marks(6), marks(7), marks(8)), (Some(0x7766_8001), None, Some(0x7766_8001)));
    assert_ne!(marks(11), marks(6), "frank has an exit of its own");
    // Neither routers nor exits follow: they carry what others send.
    let office = nodes.iter().find(|node| node.name.as_str() == "office").unwrap();
    assert!(!office.interfaces[0].peers[0].allowed_ips.contains(&Cidr::ALL4));
}

#[test]
fn what_a_group_cannot_be_is_refused_with_both_sides() {
    let (mut fixture, ..) = with_group();
    let depot = fixture.node("depot").id;
    fixture.node("erin").exit = Some(Egress::Group(ExitGroupId(1)));
    fixture.node("bob").exit = Some(Egress::Group(ExitGroupId(7)));
    let mut other = ExitGroup { id: ExitGroupId(4_001), ..group(&[(depot, true)], None) };
    other.name = "asia".parse().unwrap();
    fixture.topology.exit_groups.push(other);
    fixture.node("berlin").routed.insert("2001:db8:66::/64".parse().unwrap());
    let found: Vec<String> = check(&fixture.topology).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"), @"
    `bob` has an exit that isn't in the network: assign another or none
    `erin` has access exit-only and dials its exit itself, so that the group `europe` can't move it: assign one exit, such as `wg-friend exit assign erin EXIT`, or give it another access level
    the internet routes 2001:db8:66::/64 to `berlin`, which lies neither in the network nor in an advertised LAN: correct the prefix
    the exit group `asia` has `depot` as a member, which is a router: take it out of the group
    the exit groups `europe` and `asia` would share a routing table: remove `asia` and add it again, which gives it another number
    ");
}

/// A network of three exits, one group and one remote that leaves by it.
fn any_group() -> impl Strategy<Value = Topology> {
    let member = (any::<bool>(), any::<bool>(), any::<bool>(), 0_u16..3);
    (proptest::array::uniform3(member), proptest::option::of(0_usize..3), any::<bool>()).prop_map(
        |(members, active, kill_switch)| {
            let mut fixture = Fixture::new();
            fixture.add("hub", Role::Server);
            let exits = ["berlin", "tokyo", "lima"].map(|name| fixture.add_exit(name));
            let mut group = group(&[], active.map(|at| exits[at]));
            for (exit, (inside, enabled, running, priority)) in exits.iter().zip(members) {
                let node = fixture.topology.nodes.iter_mut().find(|node| node.id == *exit).unwrap();
                node.enabled = running;
                if inside {
                    group.put(ExitMember { exit: *exit, priority, enabled });
                }
            }
            fixture.topology.exit_groups.push(group);
            let alice = fixture.add("alice", Role::Remote);
            (alice.exit, alice.access, alice.kill_switch) =
                (Some(Egress::Group(ExitGroupId(1))), Access::VpnOnly, Some(kill_switch));
            fixture.topology
        },
    )
}

proptest! {
    #[test]
    fn a_group_has_one_carrier_that_can_be_used_or_none(topology in any_group()) {
        let nodes = compile(&topology).unwrap();
        let group = &topology.exit_groups[0];
        let usable: Vec<NodeId> = group.usable(&topology).map(|node| node.id).collect();
        let carriers = carriers(&nodes);
        prop_assert_eq!(carriers.len(), if usable.is_empty() { 0 } else { 2 });
        let source: Cidr = topology.nodes.last().unwrap().addresses().next().unwrap();
        let path = rules(&nodes).exits.get(&source);
        prop_assert_eq!(path.map_or(0, |path| path.uplinks.len()), usable.len());
        let everything = asked(&nodes, "alice").contains(&Cidr::ALL4);
        prop_assert_eq!(everything, !usable.is_empty() || topology.kill_switch(topology.nodes.last().unwrap()));
        if let Some(active) = group.active.filter(|active| usable.contains(&active.exit)) {
            prop_assert_eq!(group.carrier(&topology).unwrap().id, active.exit);
        } else if let Some(carrier) = group.carrier(&topology) {
            let best = group.members.iter().filter(|m| usable.contains(&m.exit)).map(|m| m.priority).min();
            prop_assert_eq!(group.member(carrier.id).map(|member| member.priority), best);
        }
    }
}
