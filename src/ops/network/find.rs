//! Finding nodes and hosts by what the operator calls them.

use crate::model::{ExitGroup, Host, Name, Node, Topology};
use crate::ops::Error;
use crate::ops::error::similar;

/// The shortest beginning of a guid that is taken for one.
const SHORTEST_PREFIX: usize = 4;

/// Words that commands use for something else.
const RESERVED: [&str; 3] = ["all", "network", "none"];

/// Returns the node with a name, upper and lower case being the same, or the only one whose guid begins with `wanted`.
pub fn node<'a>(topology: &'a Topology, wanted: &str) -> Result<&'a Node, Error> {
    if let Some(node) = topology.nodes.iter().find(|n| same(&n.name, wanted)) {
        return Ok(node);
    }
    let by_guid = |n: &&Node| wanted.len() >= SHORTEST_PREFIX && n.guid.to_string().starts_with(wanted);
    let found: Vec<&Node> = topology.nodes.iter().filter(by_guid).collect();
    match found.as_slice() {
        [node] => Ok(node),
        [] => Err(Error::UnknownNode {
            name: wanted.to_owned(),
            similar: similar(wanted, topology.nodes.iter().map(|n| &n.name)),
        }),
        several => Err(Error::AmbiguousGuid {
            prefix: wanted.to_owned(),
            matches: several.iter().map(|n| n.name.clone()).collect(),
        }),
    }
}

/// Returns the error for a name that nothing of several kinds has: where a node was looked for, and more was possible.
pub(in crate::ops) fn unknown<'a>(
    error: Error,
    what: &'static str,
    hint: &'static str,
    names: impl Iterator<Item = &'a Name>,
) -> Error {
    match error {
        Error::UnknownNode { name, .. } => Error::UnknownName { similar: similar(&name, names), what, name, hint },
        other => other,
    }
}

/// Returns the host with a name, upper and lower case being the same.
pub fn host<'a>(topology: &'a Topology, wanted: &str) -> Result<&'a Host, Error> {
    host_among(&topology.hosts, wanted)
}

/// Returns the one of these hosts with a name, upper and lower case being the same.
pub fn host_among<'a>(hosts: &'a [Host], wanted: &str) -> Result<&'a Host, Error> {
    hosts.iter().find(|h| same(&h.name, wanted)).ok_or_else(|| Error::UnknownHost {
        name: wanted.to_owned(),
        similar: similar(wanted, hosts.iter().map(|h| &h.name)),
    })
}

/// Returns the group of exits with a name, upper and lower case being the same.
pub fn exit_group<'a>(topology: &'a Topology, wanted: &str) -> Result<&'a ExitGroup, Error> {
    topology.exit_groups.iter().find(|group| same(&group.name, wanted)).ok_or_else(|| Error::UnknownExitGroup {
        name: wanted.to_owned(),
        similar: similar(wanted, topology.exit_groups.iter().map(|group| &group.name)),
    })
}

/// Refuses a name that a node can't have, because it is taken or means something else. `except` is the node that has it
/// already and may keep it.
pub fn check_name(topology: &Topology, name: &Name, except: Option<&Node>) -> Result<(), Error> {
    if RESERVED.contains(&name.as_str().to_ascii_lowercase().as_str()) {
        return Err(Error::ReservedName(name.clone()));
    }
    if let Some(group) = topology.groups.iter().find(|group| same(&group.name, name.as_str())) {
        return Err(Error::NameTaken { name: name.clone(), by: format!("the group `{}`", group.name) });
    }
    let other = topology.nodes.iter().find(|n| same(&n.name, name.as_str()) && except.is_none_or(|e| e.id != n.id));
    if let Some(other) = other {
        return Err(Error::NameTaken { name: name.clone(), by: format!("the {} `{}`", other.role, other.name) });
    }
    match topology.exit_groups.iter().find(|group| same(&group.name, name.as_str())) {
        Some(group) => Err(Error::NameTaken { name: name.clone(), by: format!("the exit group `{}`", group.name) }),
        None => Ok(()),
    }
}

fn same(name: &Name, wanted: &str) -> bool {
    name.as_str().eq_ignore_ascii_case(wanted)
}
