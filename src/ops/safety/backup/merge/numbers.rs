//! The other copy in the numbers of this one: both gave out numbers by themselves since they parted.
//!
//! A node is the same by its guid. An interface is the same if it is the same one of the same node: the main one, or the one
//! towards the same exit. Hosts, groups and networks have nothing but a number and a name: those that were there when both
//! parted are the same by their number, whatever they are called by now, and those that came since by their name. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{Last, LastNumbers, Model, Thing};
use crate::model::{
    Destination, Egress, ExitGroup, ExitGroupId, ExitRule, Grant, Group, GroupId, Interface, InterfaceId,
    InterfaceKind, Kept, Link, LinkId, Name, Network, NetworkId, Node, NodeId, PskScope, PublicKey, RuleAction,
    Topology, Via,
};

/// What this copy has, for finding in it what the other one has.
#[derive(Debug)]
pub(super) struct Here<'a> {
    /// Its networks.
    pub(super) models: &'a [(NetworkId, Model)],
    /// Every node that is or was in them, as it was last.
    pub(super) ever: &'a BTreeMap<PublicKey, Node>,
    /// What was there when both parted.
    pub(super) shared: &'a BTreeSet<Thing>,
}

/// A number that nothing has.
const NOBODY: i64 = 0;

/// For each number of the other copy, the one of this.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    networks: BTreeMap<NetworkId, NetworkId>,
    nodes: BTreeMap<NodeId, NodeId>,
    interfaces: BTreeMap<InterfaceId, InterfaceId>,
    hosts: BTreeMap<i64, i64>,
    groups: BTreeMap<GroupId, GroupId>,
    exit_groups: BTreeMap<ExitGroupId, ExitGroupId>,
    last_interface: i64,
}

/// Returns the next number.
fn next(last: &mut i64) -> i64 {
    *last += 1;
    *last
}

/// Whether two names are the same to people.
pub(super) fn same(one: &Name, other: &Name) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

impl Numbers {
    /// Finds the number of everything that the other copy has; what has none here gets a new one.
    pub(super) fn of(there: &[(NetworkId, Model)], here: &Here<'_>, mut last: LastNumbers) -> Self {
        let mut numbers = Self::default();
        for (id, model) in there {
            let name = &model.topology.network.name;
            let is_shared = |id: &NetworkId| here.shared.contains(&Thing::Network(*id));
            let is_it = |own: &NetworkId, network: &Network| match is_shared(id) {
                true => own == id,
                false => !is_shared(own) && same(&network.name, name),
            };
            let own = here.models.iter().find(|(own, model)| is_it(own, &model.topology.network));
            numbers.networks.extend(own.map(|(own, _)| (*id, *own)));
        }
        if let Some((_, model)) = there.first() {
            numbers.find_hosts(model, here, &mut last);
        }
        there.iter().for_each(|(_, model)| numbers.find_nodes(model, here, &mut last));
        there.iter().for_each(|(_, model)| numbers.find_interfaces(model, here, &mut last));
        for (id, model) in there {
            let own = numbers.networks.get(id).and_then(|own| here.models.iter().find(|(other, _)| other == own));
            numbers.find_groups(model, own.map(|(_, model)| model), here, &mut last);
        }
        numbers.last_interface = last.interface;
        numbers
    }

    fn find_hosts(&mut self, there: &Model, here: &Here<'_>, last: &mut LastNumbers) {
        let own = here.models.first().map(|(_, model)| &model.hosts);
        for (row, host) in &there.hosts {
            let by_name = || {
                let mut own = own.into_iter().flatten();
                own.find(|(own, other)| !here.shared.contains(&Thing::Host(**own)) && same(&other.name, &host.name))
            };
            let found = match here.shared.contains(&Thing::Host(*row)) {
                true => *row,
                false => by_name().map_or_else(|| next(&mut last.host), |(own, _)| *own),
            };
            self.hosts.insert(*row, found);
        }
    }

    fn find_nodes(&mut self, there: &Model, here: &Here<'_>, last: &mut LastNumbers) {
        for node in &there.topology.nodes {
            let found = here.ever.get(&node.guid).map_or_else(|| NodeId(next(&mut last.node)), |own| own.id);
            self.nodes.insert(node.id, found);
        }
    }

    /// Finds interfaces, once all nodes are found.
    fn find_interfaces(&mut self, there: &Model, here: &Here<'_>, last: &mut LastNumbers) {
        for node in &there.topology.nodes {
            let own = here.ever.get(&node.guid);
            for interface in &node.interfaces {
                let kind = self.kind(interface.kind);
                let found = own.and_then(|own| own.interfaces.iter().find(|other| other.kind == kind));
                let found = found.map_or_else(|| InterfaceId(next(&mut last.interface)), |own| own.id);
                self.interfaces.insert(interface.id, found);
            }
        }
    }

    fn find_groups(&mut self, there: &Model, own: Option<&Model>, here: &Here<'_>, last: &mut LastNumbers) {
        for group in &there.topology.groups {
            let is_new = |id| !here.shared.contains(&Thing::Group(id));
            let mut own = own.into_iter().flat_map(|own| &own.topology.groups);
            let found = match is_new(group.id) {
                false => Some(group.id),
                true => own.find(|own| is_new(own.id) && same(&own.name, &group.name)).map(|own| own.id),
            };
            self.groups.insert(group.id, found.unwrap_or_else(|| GroupId(next(&mut last.group))));
        }
        for group in &there.topology.exit_groups {
            let is_new = |id| !here.shared.contains(&Thing::ExitGroup(id));
            let mut own = own.into_iter().flat_map(|own| &own.topology.exit_groups);
            let found = match is_new(group.id) {
                false => Some(group.id),
                true => own.find(|own| is_new(own.id) && same(&own.name, &group.name)).map(|own| own.id),
            };
            self.exit_groups.insert(group.id, found.unwrap_or_else(|| ExitGroupId(next(&mut last.exit_group))));
        }
    }

    /// Returns the network here that is the same as one of the other copy.
    pub(super) fn network(&self, id: NetworkId) -> Option<NetworkId> {
        self.networks.get(&id).copied()
    }

    /// Says which network here a network of the other copy is from now on.
    pub(super) fn put_network(&mut self, id: NetworkId, own: NetworkId) {
        self.networks.insert(id, own);
    }

    /// Returns the number of a node.
    pub(super) fn node(&self, id: NodeId) -> NodeId {
        self.nodes.get(&id).copied().unwrap_or(NodeId(NOBODY))
    }

    /// Returns the highest number that was found for an interface or given before: none up to it is free.
    pub(super) fn last_interface(&self) -> i64 {
        self.last_interface
    }

    /// Returns the number of a host.
    pub(super) fn host(&self, row: i64) -> Option<i64> {
        self.hosts.get(&row).copied()
    }

    /// Returns the number of an interface.
    pub(super) fn interface(&self, id: InterfaceId) -> Option<InterfaceId> {
        self.interfaces.get(&id).copied()
    }

    /// Returns the numbers of a link's ends.
    pub(super) fn link(&self, id: LinkId) -> Option<LinkId> {
        let (low, high) = id.ends();
        Some(LinkId::between(self.interface(low)?, self.interface(high)?))
    }

    fn thing(&self, thing: Thing) -> Option<Thing> {
        Some(match thing {
            Thing::Network(id) => Thing::Network(self.network(id)?),
            Thing::NetworkPskRules(id) => Thing::NetworkPskRules(self.network(id)?),
            Thing::Host(row) => Thing::Host(*self.hosts.get(&row)?),
            Thing::Node(id) => Thing::Node(*self.nodes.get(&id)?),
            Thing::NodePskRules(id) => Thing::NodePskRules(*self.nodes.get(&id)?),
            Thing::Group(id) => Thing::Group(*self.groups.get(&id)?),
            Thing::GroupPskRules(id) => Thing::GroupPskRules(*self.groups.get(&id)?),
            Thing::ExitGroup(id) => Thing::ExitGroup(*self.exit_groups.get(&id)?),
            Thing::Link(id) => Thing::Link(self.link(id)?),
            Thing::PresharedKey(id) => Thing::PresharedKey(self.link(id)?),
            Thing::Document(id) => Thing::Document(self.interface(id)?),
        })
    }

    /// Returns the last changes of the other copy by the numbers of this one. What is gone there is known only if it was
    /// there when both parted.
    pub(super) fn last_changes(
        &self,
        there: &BTreeMap<Thing, Last>,
        shared: &BTreeSet<Thing>,
    ) -> BTreeMap<Thing, Last> {
        let known = |thing: Thing, last: &Last| match last.there {
            true => self.thing(thing),
            false => shared.contains(&thing).then_some(thing),
        };
        there.iter().filter_map(|(thing, last)| Some((known(*thing, last)?, *last))).collect()
    }

    fn kind(&self, kind: InterfaceKind) -> InterfaceKind {
        match kind {
            InterfaceKind::Main => InterfaceKind::Main,
            InterfaceKind::Uplink(exit) => InterfaceKind::Uplink(self.node(exit)),
        }
    }

    fn way(&self, way: Egress) -> Egress {
        match way {
            Egress::None => Egress::None,
            Egress::Node(id) => Egress::Node(self.node(id)),
            Egress::Group(id) => Egress::Group(self.exit_group(id)),
            Egress::Via(via) => {
                let exits: Vec<NodeId> = via.exits().iter().map(|id| self.node(*id)).collect();
                Via::new(&exits).map_or(Egress::Node(NodeId(NOBODY)), Egress::Via)
            }
        }
    }

    fn exit_group(&self, id: ExitGroupId) -> ExitGroupId {
        self.exit_groups.get(&id).copied().unwrap_or(ExitGroupId(NOBODY))
    }

    fn rules(&self, rules: &[ExitRule]) -> Vec<ExitRule> {
        let action = |action| match action {
            RuleAction::Exit(id) => RuleAction::Exit(self.node(id)),
            RuleAction::Group(id) => RuleAction::Group(self.exit_group(id)),
            RuleAction::Direct | RuleAction::Block => action,
        };
        rules.iter().map(|rule| ExitRule { action: action(rule.action), ..rule.clone() }).collect()
    }

    fn grants(&self, grants: &[Grant]) -> Vec<Grant> {
        let destination = |to: Destination| match to {
            Destination::Prefix(prefix) => Destination::Prefix(prefix),
            Destination::Node(id) => Destination::Node(self.node(id)),
            Destination::Group(id) => Destination::Group(self.groups.get(&id).copied().unwrap_or(GroupId(NOBODY))),
        };
        grants.iter().map(|grant| Grant { destination: destination(grant.destination), ..grant.clone() }).collect()
    }

    fn its_interface(&self, interface: &Interface) -> Interface {
        let kept = interface.kept.clone().map(|kept| {
            let peers = kept.peers.into_iter().filter_map(|(id, peer)| Some((self.interface(id)?, peer))).collect();
            Kept { peers, ..kept }
        });
        let id = self.interface(interface.id).unwrap_or(interface.id);
        Interface { id, kind: self.kind(interface.kind), kept, ..interface.clone() }
    }

    fn its_node(&self, node: &Node) -> Node {
        Node {
            id: self.node(node.id),
            interfaces: node.interfaces.iter().map(|interface| self.its_interface(interface)).collect(),
            grants: self.grants(&node.grants),
            server: node.server.map(|id| self.node(id)),
            exit: node.exit.map(|way| self.way(way)),
            exit_rules: self.rules(&node.exit_rules),
            ..node.clone()
        }
    }

    fn its_group(&self, group: &Group) -> Group {
        Group {
            id: self.groups.get(&group.id).copied().unwrap_or(group.id),
            members: group.members.iter().map(|id| self.node(*id)).collect(),
            grants: self.grants(&group.grants),
            exit_rules: self.rules(&group.exit_rules),
            ..group.clone()
        }
    }

    fn its_exit_group(&self, group: &ExitGroup) -> ExitGroup {
        let mut own = ExitGroup { id: self.exit_group(group.id), members: Vec::new(), ..group.clone() };
        for member in &group.members {
            own.put(crate::model::ExitMember { exit: self.node(member.exit), ..*member });
        }
        if let Some(active) = &mut own.active {
            active.exit = self.node(active.exit);
        }
        own
    }

    /// Returns a network of the other copy with the numbers of this one. Nodes name the hosts on which they live as the
    /// other copy does.
    pub(super) fn model(&self, there: &Model) -> Model {
        let topology = &there.topology;
        let network = Network {
            exit: self.way(topology.network.exit),
            exit_rules: self.rules(&topology.network.exit_rules),
            ..topology.network.clone()
        };
        let mut nodes: Vec<Node> = topology.nodes.iter().map(|node| self.its_node(node)).collect();
        nodes.sort_by_key(|node| node.id);
        let mut groups: Vec<Group> = topology.groups.iter().map(|group| self.its_group(group)).collect();
        groups.sort_by_key(|group| group.id);
        let mut exit_groups: Vec<ExitGroup> = topology.exit_groups.iter().map(|own| self.its_exit_group(own)).collect();
        exit_groups.sort_by_key(|group| group.id);
        let mut links: Vec<Link> =
            topology.links.iter().filter_map(|link| Some(Link { id: self.link(link.id)?, ..*link })).collect();
        links.sort_by_key(|link| link.id);
        let scope = |scope: PskScope| match scope {
            PskScope::Network => Some(scope),
            PskScope::Node(id) => self.nodes.get(&id).copied().map(PskScope::Node),
            PskScope::Group(id) => self.groups.get(&id).copied().map(PskScope::Group),
        };
        Model {
            topology: Topology { network, nodes, hosts: topology.hosts.clone(), links, groups, exit_groups },
            hosts: there.hosts.iter().filter_map(|(row, host)| Some((*self.hosts.get(row)?, host.clone()))).collect(),
            preshared: there.preshared.iter().filter_map(|(id, since)| Some((self.link(*id)?, *since))).collect(),
            adopted: there.adopted.iter().filter_map(|(id, since)| Some((self.interface(*id)?, *since))).collect(),
            psk_rules: there.psk_rules.iter().filter_map(|(of, rules)| Some((scope(*of)?, rules.clone()))).collect(),
        }
    }
}
