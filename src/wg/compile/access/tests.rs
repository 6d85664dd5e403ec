//! What holds for rights in any network.

use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::{Access, Destination, Grant, Group, GroupId, Node, NodeId, Role, STABLE_CLIENTS, Topology};
use crate::wg::NodeConfig;
use crate::wg::compile::compile;
use crate::wg::compile::properties::topology;
use crate::wg::reach::{Flow, Party, World};

fn remotes(topology: &Topology) -> Vec<&Node> {
    topology.with_role(Role::Remote).filter(|node| node.access != Access::ExitOnly).collect()
}

fn config(nodes: &[NodeConfig], id: NodeId) -> &NodeConfig {
    nodes.iter().find(|config| config.node == id).unwrap()
}

proptest! {
    #[test]
    fn stable_clients_ask_for_more_and_everything_else_is_as_it_was(fixture in topology()) {
        let plain = compile(&fixture.topology).unwrap();
        let mut topology = fixture.topology.clone();
        topology.network.stable_clients = STABLE_CLIENTS.map(|prefix| prefix.parse().unwrap()).into();
        let stable = compile(&topology).unwrap();
        for node in topology.enabled() {
            let (was, is) = (config(&plain, node.id), config(&stable, node.id));
            if node.role != Role::Remote {
                prop_assert_eq!(was, is);
                continue;
            }
            for (was, is) in was.interfaces[0].peers.iter().zip(&is.interfaces[0].peers) {
                let covered = |prefix| is.allowed_ips.iter().any(|wide| wide.covers(prefix));
                prop_assert!(was.allowed_ips.iter().all(covered), "{:?} {:?}", was.allowed_ips, is.allowed_ips);
            }
        }
        // Another level for everybody is nothing that a device would have to be told.
        for level in [Access::Full, Access::VpnOnly, Access::LanOnly, Access::Custom] {
            let mut other = topology.clone();
            for node in other.nodes.iter_mut().filter(|node| node.role == Role::Remote && node.access != Access::ExitOnly) {
                node.access = level;
            }
            let nodes = compile(&other).unwrap();
            for node in remotes(&other) {
                prop_assert_eq!(config(&stable, node.id), config(&nodes, node.id));
            }
        }
    }

    #[test]
    fn a_member_of_a_group_reaches_what_the_group_is_granted_until_it_ends(
        fixture in topology(), members in prop::collection::vec(any::<Index>(), 1..4),
        targets in prop::collection::vec(any::<Index>(), 1..4), end in 1_000_i64..2_000,
    ) {
        let nodes: Vec<NodeId> = fixture.topology.enabled().map(|node| node.id).collect();
        let pick = |of: &[Index]| of.iter().map(|index| nodes[index.index(nodes.len())]).collect();
        let time = |seconds| DateTime::from_timestamp(seconds, 0);
        let mut grant: Grant = "group:2 tcp 7".parse().unwrap();
        grant.until = time(end);
        let group = |id, members, grants| Group {
            id: GroupId(id), name: format!("group-{id}").parse().unwrap(), note: String::new(), members, grants,
            exit_rules: Vec::new(),
        };
        let mut topology = fixture.topology.clone();
        topology.groups = vec![group(1, pick(&members), vec![grant]), group(2, pick(&targets), Vec::new())];
        let before = compile(&fixture.topology).unwrap();
        let before = World::of(&fixture.topology, &before).with_edited_remotes(true);
        let compiled = compile(&topology).unwrap();
        let reaches = |world: &World<'_>, from: NodeId, to| {
            world.reach(&Party { node: from, address: None }, to, Flow::tcp("7".parse().unwrap())).reaches
        };
        let destinations = topology.prefixes_of(Destination::Group(GroupId(2)));
        for member in topology.groups[0].members.iter().filter_map(|id| topology.node(*id)) {
            if !matches!(member.role, Role::Remote | Role::Router) || member.access == Access::ExitOnly {
                continue;
            }
            for to in destinations.iter().map(|to| to.net().addr()) {
                let family = member.addresses().any(|own| own.is_ipv4() == to.is_ipv4());
                let target = topology.enabled().find(|node| node.addresses().any(|own| own.net().addr() == to)).unwrap();
                if !family || target.id == member.id || target.access == Access::ExitOnly || target.role == Role::Exit {
                    continue; // nothing leads there, whoever may
                }
                let world = World::of(&topology, &compiled).with_edited_remotes(true);
                prop_assert!(reaches(&world, member.id, to), "{} → {to}", member.name);
                prop_assert!(reaches(&world.clone().at(time(end - 1)), member.id, to));
                // Then it is as if nothing had been granted.
                prop_assert_eq!(reaches(&world.at(time(end)), member.id, to), reaches(&before, member.id, to));
            }
        }
    }
}
