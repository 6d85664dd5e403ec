//! What of the other copy can't be together with what is here, with both sides named. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::decide::{Barred, Merged};
use crate::db::Thing;
use crate::model::{
    Egress, ExitGroup, ExitRule, Group, Interface, InterfaceId, InterfaceKind, InterfaceName, Name, Node, NodeId, Port,
    PublicKey, Role, RuleAction, Topology,
};
use crate::wg::compile::{Refusal, taken_by, uplinks};

/// So many characters of a guid tell it from others.
const GUID: usize = 8;

/// Finds what was taken over and clashes. `contradictions` says why the network can't be compiled.
///
/// # Errors
/// Those reasons, if nothing that was taken over is named in them.
pub(super) fn clashes(
    merged: &Merged,
    unplaced: &BTreeMap<NodeId, Name>,
    contradictions: impl FnOnce() -> Vec<Refusal>,
) -> Result<Barred, Vec<Refusal>> {
    let mut found = names(merged);
    found.extend(dangling(merged, unplaced));
    if !found.is_empty() {
        return Ok(found); // what is compiled has to have a name and lead somewhere
    }
    let refusals = contradictions();
    if refusals.is_empty() {
        return Ok(found);
    }
    let by_name = by_name(merged);
    for refusal in &refusals {
        for thing in culprits(refusal, &by_name) {
            found.entry(thing).or_insert_with(|| format!("{refusal}; then merge again"));
        }
    }
    if found.is_empty() { Err(refusals) } else { Ok(found) }
}

fn taken_nodes(merged: &Merged) -> impl Iterator<Item = &Node> {
    let keys: BTreeSet<NodeId> = merged.keys.values().copied().collect();
    let is_taken = move |node: &&Node| merged.taken.contains(&Thing::Node(node.id)) || keys.contains(&node.id);
    merged.model.topology.nodes.iter().filter(is_taken)
}

/// Something that has a name, in words, and the command that gives it another one.
struct Named {
    thing: Thing,
    words: String,
    rename: String,
}

/// Names are those of nodes, groups and groups of exits alike.
fn names(merged: &Merged) -> Barred {
    let topology = &merged.model.topology;
    let mut all: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    let mut add = |name: &Name, thing, words: String, rename: String| {
        all.entry(name.as_str().to_ascii_lowercase()).or_default().push(Named { thing, words, rename });
    };
    let guid = |guid: PublicKey| guid.to_string().get(..GUID).unwrap_or_default().to_owned();
    for Node { id, name, role, guid: own, .. } in &topology.nodes {
        let words = format!("the {role} `{name}` (guid {}…)", guid(*own));
        add(name, Thing::Node(*id), words, format!("wg-friend rename {name} OTHER"));
    }
    for Group { id, name, .. } in &topology.groups {
        add(name, Thing::Group(*id), format!("the group `{name}`"), format!("wg-friend group rename {name} OTHER"));
    }
    for ExitGroup { id, name, .. } in &topology.exit_groups {
        let rename = format!("wg-friend exit group set {name} name=OTHER");
        add(name, Thing::ExitGroup(*id), format!("the exit group `{name}`"), rename);
    }
    let mut found = Barred::new();
    for same in all.values().filter(|same| same.len() > 1) {
        for Named { thing, words, .. } in same.iter().filter(|named| merged.taken.contains(&named.thing)) {
            let Some(other) = same.iter().find(|other| other.thing != *thing) else { continue };
            let Named { words: others, rename, .. } = other;
            let why = format!("{words} of the backup is called the same as {others} here: `{rename}`, and merge again");
            found.insert(*thing, why);
        }
    }
    found
}

/// Finds what was taken over and refers to something that isn't here.
fn dangling(merged: &Merged, unplaced: &BTreeMap<NodeId, Name>) -> Barred {
    let topology = &merged.model.topology;
    let mut found = Barred::new();
    for node in taken_nodes(merged) {
        let (thing, name) = (Thing::Node(node.id), &node.name);
        let mut bar = |what: &str| {
            let why = format!(
                "`{name}` of the backup needs {what}, which isn't here: add it, or take what was removed with \
                 `--prefer backup`, and merge again"
            );
            found.entry(thing).or_insert(why);
        };
        if node.server.is_some_and(|server| topology.node(server).is_none()) {
            bar("the server that it belongs to");
        }
        if node.exit.is_some_and(|way| !is_way(way, topology)) || !are_rules(&node.exit_rules, topology) {
            bar("an exit that it leaves by");
        }
        if let Some(host) = unplaced.get(&node.id).filter(|_| merged.taken.contains(&thing)) {
            bar(&format!("its host `{host}`"));
        }
    }
    for group in topology.groups.iter().filter(|group| merged.taken.contains(&Thing::Group(group.id))) {
        if !are_rules(&group.exit_rules, topology) {
            let why = format!("the group `{}` of the backup has a rule for an exit that isn't here", group.name);
            found.insert(Thing::Group(group.id), why);
        }
    }
    let network = &topology.network;
    for thing in merged.taken.iter().filter(|thing| matches!(thing, Thing::Network(_))) {
        if !is_way(network.exit, topology) || !are_rules(&network.exit_rules, topology) {
            let why = "the network's own values in the backup name an exit that isn't here".to_owned();
            found.insert(*thing, why);
        }
    }
    found
}

fn is_way(way: Egress, topology: &Topology) -> bool {
    let is_group = way.group().is_none_or(|id| topology.exit_group(id).is_some());
    is_group && way.nodes().into_iter().all(|id| topology.node(id).is_some())
}

fn are_rules(rules: &[ExitRule], topology: &Topology) -> bool {
    rules.iter().all(|rule| match rule.action {
        RuleAction::Exit(id) => topology.node(id).is_some(),
        RuleAction::Group(id) => topology.exit_group(id).is_some(),
        RuleAction::Direct | RuleAction::Block => true,
    })
}

/// Returns what was taken over, by its name.
fn by_name(merged: &Merged) -> BTreeMap<&str, Thing> {
    let topology = &merged.model.topology;
    let nodes = topology.nodes.iter().map(|node| (node.name.as_str(), Thing::Node(node.id)));
    let groups = topology.groups.iter().map(|group| (group.name.as_str(), Thing::Group(group.id)));
    let exits = topology.exit_groups.iter().map(|group| (group.name.as_str(), Thing::ExitGroup(group.id)));
    nodes.chain(groups).chain(exits).filter(|(_, thing)| merged.taken.contains(thing)).collect()
}

/// Returns what was taken over and is named in the reason why a network can't be compiled: nodes if there are any, else
/// groups. Links and the network's own values aren't named in any, and a node that gave only its key is named whatever the
/// reason is: whether it is because of those has to be tried.
fn culprits(refusal: &Refusal, by_name: &BTreeMap<&str, Thing>) -> BTreeSet<Thing> {
    let text = refusal.to_string();
    let named = text.split('`').skip(1).step_by(2); // whatever is named stands in backquotes
    let all: BTreeSet<Thing> = named.filter_map(|name| by_name.get(name).copied()).collect();
    let is_node = |thing: &Thing| matches!(thing, Thing::Node(_));
    if all.iter().any(is_node) { all.into_iter().filter(is_node).collect() } else { all }
}

/// Returns those of some reasons that remain, as far as what there is now lets see: what is found in a network that was
/// compiled is hidden by what keeps it from being compiled.
pub(super) fn remaining(refusals: &[Refusal], now: &[Refusal]) -> Vec<Refusal> {
    let is_late = |refusal: &Refusal| {
        use Refusal::{EndpointInTunnel, MoveNeedsKeepalive, MtuTooSmallOnTheWay};
        matches!(refusal, EndpointInTunnel { .. } | MtuTooSmallOnTheWay { .. } | MoveNeedsKeepalive { .. })
    };
    let hides = now.iter().any(|refusal| !is_late(refusal));
    let remains = |refusal: &&Refusal| now.contains(refusal) || hides && is_late(refusal);
    refusals.iter().filter(remains).cloned().collect()
}

/// Returns the merged network with the uplinks that are made when it is carried out: what their lack would be a reason against
/// hides what else there is.
pub(super) fn with_uplinks(merged: &Merged) -> Cow<'_, Topology> {
    let topology = &merged.model.topology;
    let is_back = |id: NodeId| merged.back.contains(&id);
    let mut wanted = uplinks(topology);
    let is_exit = |id: NodeId| topology.node(id).is_some_and(|node| node.role == Role::Exit);
    wanted.retain(|(from, to)| is_exit(*from) && is_exit(*to));
    for server in topology.with_role(Role::Server) {
        let exits = topology.with_role(Role::Exit).filter(|exit| is_back(exit.id) || is_back(server.id));
        wanted.extend(exits.map(|exit| (server.id, exit.id)));
    }
    wanted.retain(|(from, to)| topology.node(*from).is_some_and(|node| node.uplink_to(*to).is_none()));
    if wanted.is_empty() {
        return Cow::Borrowed(topology);
    }
    let mut topology = topology.clone();
    let interfaces = || topology.nodes.iter().flat_map(|node| &node.interfaces);
    let mut id = interfaces().map(|interface| interface.id.0).max().unwrap_or(0);
    let names: BTreeSet<InterfaceName> = interfaces().map(|interface| interface.name.clone()).collect();
    let ports: BTreeSet<Port> = topology.nodes.iter().flat_map(taken_ports).collect();
    let lowest = topology.network.port.get();
    let free = (1..=u16::MAX - lowest).filter_map(|n| {
        let (name, port) = (format!("wgx{n}").parse().ok()?, Port::new(lowest + n)?);
        (!names.contains(&name) && !ports.contains(&port)).then_some((name, port))
    });
    for ((from, to), (name, port)) in wanted.into_iter().zip(free.collect::<Vec<_>>()) {
        let Some(node) = topology.nodes.iter_mut().find(|node| node.id == from) else { continue };
        id += 1;
        let mut key = [u8::MAX; 32]; // nobody's
        key[..8].copy_from_slice(&id.to_le_bytes());
        node.interfaces.push(Interface {
            id: InterfaceId(id),
            name,
            kind: InterfaceKind::Uplink(to),
            listen_port: Some(port),
            public_key: PublicKey::from_bytes(key),
            staged_key: None,
            overlap: None,
            kept: None,
        });
    }
    Cow::Owned(topology)
}

fn taken_ports(node: &Node) -> impl Iterator<Item = Port> {
    node.interfaces.iter().flat_map(|interface| taken_by(node, interface)).filter_map(|(_, port)| port)
}

/// Gives a network, its nodes and its groups the names that they have in another one: reasons are the same if they name
/// the same.
pub(super) fn called_as(mut topology: Topology, other: &Topology) -> Topology {
    topology.network.name.clone_from(&other.network.name);
    for node in &mut topology.nodes {
        node.name = other.node(node.id).map_or_else(|| node.name.clone(), |other| other.name.clone());
    }
    for group in &mut topology.groups {
        group.name = other.group(group.id).map_or_else(|| group.name.clone(), |other| other.name.clone());
    }
    for group in &mut topology.exit_groups {
        group.name = other.exit_group(group.id).map_or_else(|| group.name.clone(), |other| other.name.clone());
    }
    topology
}
