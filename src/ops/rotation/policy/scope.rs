//! Whom a policy covers: read from words, matched with nodes, told in words.

use std::collections::BTreeSet;

use crate::model::{Node, NodeId, Role, Selector, Topology};
use crate::ops::Error;
use crate::ops::network::find;

/// Reads the words of a scope: `all`, `remotes`, `routers`, `servers`, `exits`, groups and nodes. A word may be a list with
/// commas.
///
/// # Errors
/// When a word is none of these.
pub fn read(topology: &Topology, words: &[String]) -> Result<BTreeSet<Selector>, Error> {
    let words = words.iter().flat_map(|word| word.split(',')).map(str::trim).filter(|word| !word.is_empty());
    let scope = words.map(|word| selector(topology, word)).collect::<Result<BTreeSet<_>, _>>()?;
    if scope.is_empty() {
        return Err(Error::value("--scope", "is empty: name roles, groups or nodes, or `all`"));
    }
    Ok(scope)
}

fn selector(topology: &Topology, word: &str) -> Result<Selector, Error> {
    let lower = word.to_ascii_lowercase();
    if lower == "all" {
        return Ok(Selector::All);
    }
    if let Some(role) = lower.strip_suffix('s').and_then(|role| role.parse::<Role>().ok()) {
        return Ok(Selector::Role(role));
    }
    if let Some(group) = topology.groups.iter().find(|group| group.name.as_str().eq_ignore_ascii_case(word)) {
        return Ok(Selector::Group(group.id));
    }
    let names = topology.nodes.iter().map(|node| &node.name).chain(topology.groups.iter().map(|group| &group.name));
    let unknown = |error| {
        let hint = "`wg-friend list` and `wg-friend group list` name them; roles are remotes, routers, servers, exits";
        find::unknown(error, "role, group or node", hint, names)
    };
    find::node(topology, word).map(|node| Selector::Node(node.id)).map_err(unknown)
}

/// Tells a scope in the words that [`read`] takes. What is gone is told by its number.
pub fn words(scope: &BTreeSet<Selector>, topology: &Topology) -> Vec<String> {
    let word = |selector: &Selector| match selector {
        Selector::All => "all".to_owned(),
        Selector::Role(role) => format!("{role}s"),
        Selector::Group(id) => {
            let group = topology.groups.iter().find(|group| group.id == *id);
            group.map_or_else(|| format!("group {} (gone)", id.0), |group| group.name.to_string())
        }
        Selector::Node(id) => {
            topology.node(*id).map_or_else(|| format!("node {} (gone)", id.0), |node| node.name.to_string())
        }
    };
    scope.iter().map(word).collect()
}

/// The nodes of a scope, to be asked about each node in turn.
pub struct Members<'s> {
    scope: &'s BTreeSet<Selector>,
    grouped: BTreeSet<NodeId>,
}

impl<'s> Members<'s> {
    /// Gathers them.
    pub fn of(scope: &'s BTreeSet<Selector>, topology: &Topology) -> Self {
        let groups = topology.groups.iter().filter(|group| scope.contains(&Selector::Group(group.id)));
        Self { scope, grouped: groups.flat_map(|group| group.members.iter().copied()).collect() }
    }

    /// Whether a node is one of them.
    pub fn has(&self, node: &Node) -> bool {
        self.scope.contains(&Selector::All)
            || self.scope.contains(&Selector::Role(node.role))
            || self.scope.contains(&Selector::Node(node.id))
            || self.grouped.contains(&node.id)
    }
}
