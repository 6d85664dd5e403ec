//! Who may reach what, and who has which key.

use super::super::access::Access;
use super::super::keys::Keys;
use super::{counts, day, figures, listed, minute, optional, or_never, word, words, yes};
use crate::model::Role;
use crate::ops::revision::DeviceState;
use crate::render::report::{Block, Section, Table};

/// Returns the section on access.
pub(super) fn access(access: &Access) -> Section {
    let unenforced = access.enforcement.iter().filter(|server| !server.enforced).count();
    let enforced = if unenforced == 0 {
        "Levels and grants are rules of the servers' firewalls, put there by deployments: a device can't give itself more by editing its own file. The table on enforcement says when each server was deployed to.".to_owned()
    } else {
        format!(
            "{unenforced} of {} servers have rules of their own, with which they were adopted: what is said here about levels and grants is not enforced there.",
            access.enforcement.len()
        )
    };
    let nodes = access.nodes.iter().map(|node| {
        let lans = if node.lans.is_empty() { String::new() } else { format!(": {}", listed(&node.lans)) };
        let level = match node.role {
            Role::Remote | Role::Router => format!("{}{lans}", word(node.level.as_str())),
            Role::Server | Role::Exit => "–".to_owned(),
        };
        let judged = match (&node.judged_by, node.enforced) {
            (Some(judge), Some(true)) => judge.to_string(),
            (Some(judge), _) => format!("not enforced by {judge}"),
            (None, _) if node.role == Role::Server => "judges others".to_owned(),
            (None, _) => "–".to_owned(),
        };
        [
            node.name.to_string(),
            node.role.to_string(),
            yes(node.enabled),
            level,
            listed(&node.groups),
            node.grants.to_string(),
            optional(node.exit.as_ref()),
            judged,
            day(node.created),
            node.notes.clone(),
        ]
    });
    let grants = access.grants.iter().map(|held| {
        [
            if held.is_group { format!("group {}", held.holder) } else { held.holder.to_string() },
            held.grant.destination.clone(),
            held.grant.flow(),
            held.grant.until.map_or_else(|| "for good".to_owned(), minute),
            yes(held.over),
            held.grant.note.clone(),
        ]
    });
    let groups = access
        .groups
        .iter()
        .map(|group| [group.name.to_string(), listed(&group.members), group.grants.to_string(), group.note.clone()]);
    let exits = access.exit_groups.iter().map(|group| {
        let members: Vec<&crate::model::Name> = group.members.iter().map(|member| &member.exit).collect();
        [group.name.to_string(), listed(&members), optional(group.active.as_ref()), group.remotes.len().to_string()]
    });
    let servers = access.enforcement.iter().map(|server| {
        let deployed = or_never(server.deployed);
        [server.server.to_string(), yes(server.enforced), deployed, server.nodes.to_string()]
    });
    let changes = access.changes.iter().map(|change| {
        [
            minute(change.time),
            change.operator.clone(),
            words(&change.action),
            change.subject.clone(),
            change.entry.to_string(),
        ]
    });
    let node_head =
        ["member", "role", "enabled", "level", "groups", "grants", "internet by", "judged by", "since", "notes"];
    Section {
        title: "Access".to_owned(),
        text: vec![enforced],
        blocks: vec![
            Block::Chart(figures::levels(&access.levels)),
            Block::Table(Table::new("Members and their levels", &node_head, "none").with(nodes)),
            Block::Table(
                Table::new(
                    "Grants",
                    &["holder", "destination", "opens", "until", "over", "for"],
                    "Nothing is granted beyond levels.",
                )
                .with(grants),
            ),
            Block::Table(Table::new("Groups", &["group", "members", "grants", "for"], "There are none.").with(groups)),
            Block::Table(
                Table::new("Groups of exits", &["group", "exits", "in use", "remotes"], "There are none.").with(exits),
            ),
            Block::Table(
                Table::new(
                    "Enforcement",
                    &["server", "its rules are wg-friend's", "deployed to it last", "members it judges"],
                    "There is no server.",
                )
                .with(servers),
            ),
            Block::Table(
                Table::new(
                    "Changes of access in the period",
                    &["when", "by", "what", "of", "entry of the audit log"],
                    "There were none.",
                )
                .with(changes),
            ),
        ],
    }
}

/// Returns the section on keys. From `limit` seconds on, a key is too old.
pub(super) fn keys(keys: &Keys, limit: i64) -> Section {
    let rows = keys.active.iter().map(|key| {
        [
            key.node.to_string(),
            key.role.to_string(),
            key.interface.to_string(),
            format!("{}…", key.public_key.short()),
            day(key.created),
            key.days.to_string(),
            word(key.custody.as_str()),
            yes(key.held),
        ]
    });
    let links = keys.links.iter().map(|link| {
        let days = link.days.map_or_else(|| "none".to_owned(), |days| days.to_string());
        [link.nodes[0].to_string(), link.nodes[1].to_string(), link.created.map_or_else(String::new, day), days]
    });
    let policies = keys.policies.iter().map(|policy| {
        [
            policy.name.to_string(),
            policy.kind.to_owned(),
            policy.scope.join(", "),
            policy.nodes.to_string(),
            policy.overdue.to_string(),
            policy.due_soon.to_string(),
            yes(policy.enabled),
        ]
    });
    let due = keys.due.iter().map(|node| {
        [
            node.node.to_string(),
            node.role.to_string(),
            node.policy.to_string(),
            node.why.to_string(),
            node.next.map_or_else(String::new, day),
            day(node.last),
        ]
    });
    let rotations = keys.rotations.iter().map(|rotation| {
        [
            minute(rotation.time),
            rotation.node.clone(),
            rotation.reason.clone(),
            rotation.operator.clone(),
            rotation.entry.to_string(),
        ]
    });
    let devices = keys.devices.iter().map(|device| {
        let state = match device.state {
            DeviceState::Outdated => "an older one",
            DeviceState::NeverHandedOut => "none yet",
            DeviceState::UpToDate => "up to date",
        };
        [device.node.to_string(), state.to_owned(), or_never(device.handed_out), yes(device.seen_in_use)]
    });
    let no_devices = match &keys.devices_unknown {
        None => "There are none: every member runs on a machine that is deployed to.".to_owned(),
        Some(reason) => format!("What they have can't be said, since the network can't be compiled: {reason}"),
    };
    let policy = match keys.preshared_policy {
        crate::model::PskPolicy::Unique => "The network wants a preshared key of its own on every link.",
        crate::model::PskPolicy::Required => {
            "The network wants a preshared key on every link; several may have the same."
        }
        crate::model::PskPolicy::Optional => {
            "The network gives new links a preshared key where both ends can carry it, and accepts links without one."
        }
        crate::model::PskPolicy::None => "The network gives new links no preshared key.",
    };
    let key_head = ["member", "role", "interface", "public key", "since", "days", "custody", "private half here"];
    Section {
        title: "Keys".to_owned(),
        text: vec![format!(
            "Each member proves who it is by a key pair of its own. In this report a key counts as too old after {} days. {policy}",
            limit / 86_400
        )],
        blocks: vec![
            Block::Chart(figures::ages(keys, limit)),
            Block::Table(Table::new("Keys in use, the oldest first", &key_head, "none").with(rows)),
            Block::Table(
                Table::new("Who has the private keys", &["custody", "members"], "none").with(counts(&keys.custody)),
            ),
            Block::Table(
                Table::new("Preshared keys of links", &["member", "member", "since", "days"], "There are no links.")
                    .with(links),
            ),
            Block::Table(
                Table::new(
                    "Rotation policies",
                    &["policy", "type", "whom", "members", "due", "within 7 days", "counts"],
                    "There are none: nothing says when keys are to be replaced.",
                )
                .with(policies),
            ),
            Block::Table(
                Table::new(
                    "Keys that are due by policy",
                    &["member", "role", "policy", "why", "since", "in use since"],
                    "There are none.",
                )
                .with(due),
            ),
            Block::Table(
                Table::new(
                    "Replacements in the period",
                    &["when", "member", "why", "by", "entry of the audit log"],
                    "There were none.",
                )
                .with(rotations),
            ),
            Block::Table(
                Table::new(
                    "Files that people carry to devices",
                    &["device", "its file is", "handed out", "seen in use"],
                    &no_devices,
                )
                .with(devices),
            ),
        ],
    }
}
