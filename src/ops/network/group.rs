//! Groups of nodes: making them, who is in them, and what they stand for.

use std::collections::BTreeSet;

use serde::Serialize;

use super::change::{Done, Mode, Outcome, carry_out, with_changes};
use super::difference::{Difference, Values, compare};
use super::find;
use super::grant::{GrantView, Holder, in_words};
use super::setting::note as note_text;
use crate::db::{Database, Store};
use crate::model::{Access, Action, Actor, Destination, Event, Grant, Group, GroupId, Name, Node, Role, Topology};
use crate::ops::clock::Clock;
use crate::ops::error::similar;
use crate::ops::{Error, exit};

/// Finds who is meant by a name: a node or a group.
pub(super) fn holder<'a>(topology: &'a Topology, wanted: &str) -> Result<Holder<'a>, Error> {
    if let Some(group) = by_name(topology, wanted) {
        return Ok(Holder::Group(group));
    }
    find::node(topology, wanted).map(Holder::Node).map_err(|error| {
        let names = topology.nodes.iter().map(|node| &node.name).chain(topology.groups.iter().map(|group| &group.name));
        find::unknown(
            error,
            "node or group",
            "`wg-friend list` shows all nodes, `wg-friend group list` all groups",
            names,
        )
    })
}

fn by_name<'a>(topology: &'a Topology, wanted: &str) -> Option<&'a Group> {
    topology.groups.iter().find(|group| group.name.as_str().eq_ignore_ascii_case(wanted))
}

fn known<'a>(topology: &'a Topology, wanted: &str) -> Result<&'a Group, Error> {
    by_name(topology, wanted).ok_or_else(|| Error::UnknownGroup {
        name: wanted.to_owned(),
        similar: similar(wanted, topology.groups.iter().map(|group| &group.name)),
    })
}

/// Puts nodes into a group, which is made if there is none of the name. `note` replaces what it is said to be for.
///
/// # Errors
/// For a name that something else has, for nodes that there aren't, and when nothing would change.
pub fn add(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    name: &Name,
    members: &[String],
    note: Option<&str>,
    mode: Mode,
) -> Result<Outcome, Error> {
    let action = if by_name(&store.topology()?, name.as_str()).is_some() { "changed" } else { "added" };
    carry_out(store, clock, actor, action, mode, |scope| {
        let topology = scope.before;
        let found = by_name(topology, name.as_str());
        if found.is_none() {
            find::check_name(topology, name, None)?;
        }
        let new = || Group {
            id: GroupId(0),
            name: name.clone(),
            note: String::new(),
            members: BTreeSet::new(),
            grants: Vec::new(),
            exit_rules: Vec::new(),
        };
        let mut group = found.cloned().unwrap_or_else(new);
        let mut done = Done::default();
        for member in members {
            let node = find::node(topology, member)?;
            group.members.insert(node.id);
            done.remarks.extend(without_effect(node, &group));
        }
        if let Some(note) = note {
            group.note = note_text("--note", note)?;
        }
        let action = match found {
            None => {
                group.id = scope.tx.insert_group(&group)?;
                Action::GroupAdded
            }
            Some(before) if *before == group => {
                return Err(Error::Refused(format!("`{}` is like that already; nothing was changed", group.name)));
            }
            Some(_) => {
                scope.tx.update_group(&group)?;
                Action::GroupUpdated
            }
        };
        let after = Topology { groups: vec![group.clone()], ..topology.clone() };
        let changes = difference(found.map(|before| (before, topology)), Some((&group, &after)));
        done.events.push(with_changes(Event::group(action, &group), &changes));
        done.subjects.push(format!("group {}", group.name));
        Ok(done)
    })
}

/// Takes nodes out of a group; without any, the group goes, and with it what was granted to it or towards it.
///
/// # Errors
/// For a group or member that there isn't.
pub fn remove(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    members: &[String],
    mode: Mode,
) -> Result<Outcome, Error> {
    let action = if members.is_empty() { "removed" } else { "changed" };
    carry_out(store, clock, actor, action, mode, |scope| {
        let before = known(scope.before, wanted)?;
        let mut done = Done { subjects: vec![format!("group {}", before.name)], ..Done::default() };
        if members.is_empty() {
            scope.tx.delete_group(before.id)?;
            let changes = difference(Some((before, scope.before)), None);
            done.events.push(with_changes(Event::group(Action::GroupRemoved, before), &changes));
            done.remarks.extend(towards(scope.before, before));
            return Ok(done);
        }
        let mut group = before.clone();
        for member in members {
            let node = find::node(scope.before, member)?;
            if !group.members.remove(&node.id) {
                return Err(Error::Refused(format!("`{}` is not in the group `{}`", node.name, group.name)));
            }
        }
        scope.tx.update_group(&group)?;
        let changes = difference(Some((before, scope.before)), Some((&group, scope.before)));
        done.events.push(with_changes(Event::group(Action::GroupUpdated, &group), &changes));
        Ok(done)
    })
}

/// Gives a group another name.
///
/// # Errors
/// For a name that something else has.
pub fn rename(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    name: &Name,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "renamed", mode, |scope| {
        let before = known(scope.before, wanted)?;
        if before.name == *name {
            return Err(Error::Refused(format!("it is called `{name}` already; nothing was changed")));
        }
        if by_name(scope.before, name.as_str()).is_none_or(|other| other.id != before.id) {
            find::check_name(scope.before, name, None)?;
        }
        let group = Group { name: name.clone(), ..before.clone() };
        scope.tx.update_group(&group)?;
        let changes = difference(Some((before, scope.before)), Some((&group, scope.before)));
        let event = with_changes(Event::group(Action::GroupUpdated, &group), &changes);
        Ok(Done { events: vec![event], subjects: vec![format!("group {}", group.name)], ..Done::default() })
    })
}

/// Says when membership opens nothing for a node.
fn without_effect(node: &Node, group: &Group) -> Option<String> {
    let why = match (node.role, node.access) {
        (Role::Server | Role::Exit, _) => format!("the {} `{}` isn't judged by grants", node.role, node.name),
        (_, Access::ExitOnly) => format!("`{}` has access exit-only, so no server lets it in", node.name),
        _ => return None,
    };
    Some(format!("{why}: what `{}` is granted does nothing for it; others reach it by grants to the group", group.name))
}

/// Says what else goes with a group.
fn towards(topology: &Topology, group: &Group) -> Option<String> {
    let leads = |grants: &[Grant]| grants.iter().any(|grant| grant.destination == Destination::Group(group.id));
    let nodes = topology.nodes.iter().filter(|node| leads(&node.grants)).map(|node| node.name.as_str());
    let others = topology.groups.iter().filter(|other| other.id != group.id && leads(&other.grants));
    let holders: Vec<&str> = nodes.chain(others.map(|other| other.name.as_str())).collect();
    (!holders.is_empty()).then(|| format!("what was granted towards it goes too: {}", holders.join(", ")))
}

/// Returns what is set on a group, as text by key.
pub(super) fn values(group: &Group, topology: &Topology) -> Values {
    let list = |items: Vec<String>| items.join(", ");
    let [(_, members), (_, grants)] = lists(group, topology);
    vec![
        ("name", group.name.to_string()),
        ("members", list(members)),
        ("grant", list(grants)),
        ("exit-rules", exit::rules::in_words(topology, &group.exit_rules)),
        ("notes", group.note.clone()),
    ]
}

/// Returns the items of those values that are lists.
fn lists(group: &Group, topology: &Topology) -> [(&'static str, Vec<String>); 2] {
    [
        ("members", names(group, topology).iter().map(Name::to_string).collect()),
        ("grant", group.grants.iter().map(|grant| in_words(topology, grant)).collect()),
    ]
}

/// Returns the names of a group's members, in order.
fn names(group: &Group, topology: &Topology) -> Vec<Name> {
    let mut names: Vec<Name> =
        group.members.iter().filter_map(|id| topology.node(*id)).map(|node| node.name.clone()).collect();
    names.sort();
    names
}

/// Returns what differs between two states of a group, each with the network around it; of one that is new or gone, what it
/// has or had.
pub(in crate::ops) fn difference(
    before: Option<(&Group, &Topology)>,
    after: Option<(&Group, &Topology)>,
) -> Vec<Difference> {
    let Some((newest, _)) = after.or(before) else { return Vec::new() };
    let state = |(group, topology): (&Group, &Topology)| (values(group, topology), lists(group, topology).to_vec());
    let mut found = compare(&format!("group {}", newest.name), before.map(state), after.map(state));
    if let (Some((before, _)), Some((after, _))) = (before, after) {
        found.retain(|difference| !is_renamed(difference.field, before, after));
    }
    found
}

/// Whether a value of a group reads otherwise only because something that it refers to has another name.
pub(super) fn is_renamed(field: &str, before: &Group, after: &Group) -> bool {
    match field {
        "members" => before.members == after.members,
        "grant" => before.grants == after.grants,
        "exit-rules" => before.exit_rules == after.exit_rules,
        _ => false,
    }
}

/// Returns what differs between the groups of two networks.
pub(super) fn differences(before: &Topology, after: &Topology) -> Vec<Difference> {
    let ids: BTreeSet<GroupId> = before.groups.iter().chain(&after.groups).map(|group| group.id).collect();
    let state = |topology: &'_ Topology, id: GroupId| topology.group(id).cloned();
    let pair = |id: GroupId| {
        let (was, is) = (state(before, id), state(after, id));
        difference(was.as_ref().map(|group| (group, before)), is.as_ref().map(|group| (group, after)))
    };
    ids.into_iter().flat_map(pair).collect()
}

/// A group as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub note: String,
    /// Its members, by name.
    pub members: Vec<Name>,
    /// What its members may reach beside their own.
    pub grants: Vec<GrantView>,
    /// The nodes and groups that are granted something towards it.
    pub reached_by: Vec<Name>,
}

impl GroupView {
    /// The view of a group in its network.
    pub fn of(group: &Group, topology: &Topology) -> Self {
        let leads = |grants: &[Grant]| grants.iter().any(|grant| grant.destination == Destination::Group(group.id));
        let nodes = topology.nodes.iter().filter(|node| leads(&node.grants)).map(|node| node.name.clone());
        let groups = topology.groups.iter().filter(|other| leads(&other.grants)).map(|other| other.name.clone());
        let mut reached_by: Vec<Name> = nodes.chain(groups).collect();
        reached_by.sort();
        Self {
            name: group.name.clone(),
            note: group.note.clone(),
            members: names(group, topology),
            grants: group.grants.iter().map(|grant| GrantView::of(grant, topology)).collect(),
            reached_by,
        }
    }
}

/// Groups as they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// By name.
    pub groups: Vec<GroupView>,
}

/// Lists all groups.
pub fn list(database: &Database) -> Result<List, Error> {
    let topology = database.topology()?;
    let mut groups: Vec<GroupView> = topology.groups.iter().map(|group| GroupView::of(group, &topology)).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(List { groups })
}

/// Shows one group.
///
/// # Errors
/// For a group that there isn't.
pub fn show(database: &Database, wanted: &str) -> Result<GroupView, Error> {
    let topology = database.topology()?;
    Ok(GroupView::of(known(&topology, wanted)?, &topology))
}
