//! Who may reach what, and where that is enforced.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Source;
use crate::db::Entry;
use crate::model::{Access as Level, Name, Node, Role, Topology};
use crate::ops::Error;
use crate::ops::exit::view::{self, GroupView};
use crate::ops::network::grant::{self, Held};

/// Who may reach what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access {
    /// How many remotes and routers have each level, those that nobody has among them.
    pub levels: BTreeMap<&'static str, usize>,
    /// Every node, by role and name.
    pub nodes: Vec<NodeAccess>,
    /// Every grant, those that are over among them.
    pub grants: Vec<Held>,
    /// The groups of nodes, by name.
    pub groups: Vec<GroupAccess>,
    /// The groups of exits.
    pub exit_groups: Vec<GroupView>,
    /// The servers, and whether they enforce access.
    pub enforcement: Vec<Enforcement>,
    /// What was changed in the period, the newest first.
    pub changes: Vec<AccessChange>,
}

/// What a node may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeAccess {
    /// Its name.
    pub name: Name,
    /// What it does.
    pub role: Role,
    /// Whether it is in any configuration.
    pub enabled: bool,
    /// Its level.
    pub level: Level,
    /// The LANs of level `lan_only`.
    pub lans: Vec<String>,
    /// The groups it is in.
    pub groups: Vec<Name>,
    /// How many grants it has that aren't over, those of its groups among them.
    pub grants: usize,
    /// By which way its internet traffic leaves; `None` for none.
    pub exit: Option<Name>,
    /// The server or exit that judges its traffic; `None` for nodes that none judges.
    pub judged_by: Option<Name>,
    /// Whether that one enforces access; `None` where `judged_by` is.
    pub enforced: Option<bool>,
    /// Since when it is in the model.
    pub created: DateTime<Utc>,
    /// The operator's notes.
    pub notes: String,
}

/// A group of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupAccess {
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub note: String,
    /// Its members, by name.
    pub members: Vec<Name>,
    /// How many grants it has, those that are over among them.
    pub grants: usize,
}

/// A server, and whether it enforces access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enforcement {
    /// The server.
    pub server: Name,
    /// Whether wg-friend's rules are in force there; otherwise those decide with which it was adopted.
    pub enforced: bool,
    /// When its machine last confirmed a deployment, which puts the rules there; `None` for never.
    pub deployed: Option<DateTime<Utc>>,
    /// How many enabled remotes and routers it judges.
    pub nodes: usize,
}

/// A change of who may reach what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessChange {
    /// The number of its entry in the audit log.
    pub entry: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// By whom.
    pub operator: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
}

/// Returns what an entry of the audit log is about, by its name then.
pub(super) fn subject(entry: &Entry) -> String {
    let named = entry.details.get("name").and_then(|name| name.as_str());
    named.map(str::to_owned).or_else(|| entry.entity_guid.clone()).unwrap_or_else(|| entry.entity_type.clone())
}

/// Gathers it.
pub(super) fn gather(source: &Source<'_>) -> Result<Access, Error> {
    let (topology, now) = (&source.topology, source.period.to);
    let judged = |node: &&Node| matches!(node.role, Role::Remote | Role::Router);
    let mut levels: BTreeMap<&'static str, usize> = Level::ALL.iter().map(|level| (level.as_str(), 0)).collect();
    for node in topology.nodes.iter().filter(judged) {
        *levels.entry(node.access.as_str()).or_default() += 1;
    }
    let mut nodes: Vec<NodeAccess> = topology.nodes.iter().map(|node| of_node(node, topology, now)).collect();
    nodes.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    let mut groups: Vec<GroupAccess> = topology
        .groups
        .iter()
        .map(|group| {
            let mut members: Vec<Name> =
                group.members.iter().filter_map(|id| topology.node(*id)).map(|node| node.name.clone()).collect();
            members.sort();
            GroupAccess { name: group.name.clone(), note: group.note.clone(), members, grants: group.grants.len() }
        })
        .collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let mut enforcement: Vec<Enforcement> = Vec::new();
    for server in topology.with_role(Role::Server) {
        let judged = nodes.iter().filter(|node| node.enabled && node.judged_by.as_ref() == Some(&server.name));
        let deployed = match &server.host {
            Some(host) => super::inventory::confirmed(source.database, host)?.map(|(_, time)| time),
            None => None,
        };
        let enforced = !server.has_own_rules();
        enforcement.push(Enforcement { server: server.name.clone(), enforced, deployed, nodes: judged.count() });
    }
    enforcement.sort_by(|a, b| a.server.cmp(&b.server));
    let of_access = source.entries.iter().filter(|entry| entry.category == "access");
    let changes = of_access.map(|entry| AccessChange {
        entry: entry.id,
        time: entry.time,
        operator: entry.operator.clone(),
        action: entry.action.clone(),
        subject: subject(entry),
    });
    Ok(Access {
        levels,
        nodes,
        grants: grant::list(source.database, None, now)?.grants,
        groups,
        exit_groups: view::status(topology).groups,
        enforcement,
        changes: changes.collect(),
    })
}

fn of_node(node: &Node, topology: &Topology, now: DateTime<Utc>) -> NodeAccess {
    let judge = match (node.role, node.access) {
        (Role::Server | Role::Exit, _) => None,
        (_, Level::ExitOnly) => topology.egress(node).node().and_then(|exit| topology.node(exit)),
        _ => topology.home(node),
    };
    let groups = topology.groups.iter().filter(|group| group.members.contains(&node.id));
    NodeAccess {
        name: node.name.clone(),
        role: node.role,
        enabled: node.enabled,
        level: node.access,
        lans: node.lan_selection.iter().map(ToString::to_string).collect(),
        groups: groups.map(|group| group.name.clone()).collect(),
        grants: topology.grants_of(node).filter(|grant| !grant.is_over(now)).count(),
        exit: topology.egress_name(topology.egress(node)).cloned(),
        judged_by: judge.map(|judge| judge.name.clone()),
        enforced: judge.map(|judge| !judge.has_own_rules()),
        created: node.created,
        notes: node.notes.clone(),
    }
}
