//! What of the other copy can't be together with what is here, with both sides named. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{Barred, Merged};
use crate::db::{Model, Thing};
use crate::model::{Egress, ExitGroup, ExitRule, Group, Name, Node, NodeId, PublicKey, RuleAction, Topology};
use crate::ops::network::change::new_contradictions;
use crate::wg::compile::Refusal;

/// So many characters of a guid tell it from others.
const GUID: usize = 8;

/// Finds what was taken over and clashes.
///
/// # Errors
/// Why the network couldn't be compiled, if that has to do with nothing that was taken over.
pub(super) fn clashes(
    ours: &Model,
    merged: &Merged,
    unplaced: &BTreeMap<NodeId, Name>,
) -> Result<Barred, Vec<Refusal>> {
    let mut found = names(merged);
    found.extend(dangling(merged, unplaced));
    if !found.is_empty() {
        return Ok(found); // what is compiled has to have a name and lead somewhere
    }
    let mut refusals = new_contradictions(&ours.topology, &merged.model.topology);
    refusals.retain(|refusal| !matches!(refusal, Refusal::NoUplink { .. })); // those are made once both ends are here
    for refusal in &refusals {
        for thing in culprits(refusal, merged) {
            found.entry(thing).or_insert_with(|| format!("{refusal}; then merge again"));
        }
    }
    if found.is_empty() && !refusals.is_empty() { Err(refusals) } else { Ok(found) }
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

/// Returns what was taken over and is named in the reason why a network can't be compiled: nodes if there are any, else
/// groups. Links and the network's own values aren't named in any, and a node that gave only its key is named whatever the
/// reason is: whether it is because of those has to be tried.
fn culprits(refusal: &Refusal, merged: &Merged) -> Vec<Thing> {
    let topology = &merged.model.topology;
    let is_taken = |thing: &Thing| merged.taken.contains(thing);
    let nodes = topology.nodes.iter().filter(|node| refusal.names(&node.name)).map(|node| Thing::Node(node.id));
    let nodes: Vec<Thing> = nodes.filter(is_taken).collect();
    if !nodes.is_empty() {
        return nodes;
    }
    let groups = topology.groups.iter().filter(|group| refusal.names(&group.name)).map(|group| Thing::Group(group.id));
    let exits = topology.exit_groups.iter().filter(|group| refusal.names(&group.name));
    groups.chain(exits.map(|group| Thing::ExitGroup(group.id))).filter(is_taken).collect()
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
