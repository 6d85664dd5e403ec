//! By which exit each group went, and why: read out of the history of the model, so that it can't say anything else.
//!
//! A group goes by the exit that it was told to go by or, while that one can't be used, by another. Either may change: what
//! it was told, and which of its exits can be used.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, State};
use crate::model::{ExitGroup, ExitGroupId, Name, Node, NodeId, Role, SwitchReason};
use crate::ops::Error;
use crate::ops::error::similar;

/// Why a group's traffic went by another exit from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was the first exit of its group.
    InitialAssignment,
    /// Somebody chose it.
    Manual,
    /// The exit before it was taken out of the group, or removed.
    MemberRemoved,
    /// The model was brought back to an earlier state.
    RolledBack,
    /// The exit before it can't be used any more.
    Unusable,
    /// The exit that the group was told to go by can be used again.
    UsableAgain,
    /// Of those that stand in for the one that it was told, it is the preferred one now.
    Preferred,
}

impl Reason {
    /// Returns it in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::InitialAssignment => SwitchReason::InitialAssignment.in_words(),
            Self::Manual => SwitchReason::Manual.in_words(),
            Self::MemberRemoved => SwitchReason::MemberRemoved.in_words(),
            Self::RolledBack => SwitchReason::RolledBack.in_words(),
            Self::Unusable => "unusable",
            Self::UsableAgain => "usable again",
            Self::Preferred => "preferred",
        }
    }
}

impl From<SwitchReason> for Reason {
    fn from(reason: SwitchReason) -> Self {
        match reason {
            SwitchReason::InitialAssignment => Self::InitialAssignment,
            SwitchReason::Manual => Self::Manual,
            SwitchReason::MemberRemoved => Self::MemberRemoved,
            SwitchReason::RolledBack => Self::RolledBack,
        }
    }
}

/// One switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// When the model said so.
    pub time: DateTime<Utc>,
    /// Which group, as it was called then.
    pub group: Name,
    /// The exit before; `None` when it went by none.
    pub from: Option<Name>,
    /// The exit from then on; `None` when it goes by none any more.
    pub to: Option<Name>,
    /// Why; `None` when the group was emptied or removed.
    pub reason: Option<Reason>,
    /// Who did it.
    pub operator: Option<String>,
    /// The state of the model that it made.
    pub state: i64,
}

/// Lists switches, the newest first: of one group, present or past, or of all.
///
/// # Errors
/// When there never was a group of that name.
pub fn history(database: &Database, group: Option<&str>, limit: usize) -> Result<Vec<Switch>, Error> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    for id in database.exit_groups_ever()? {
        let steps = database.exit_group_steps(id)?;
        let own: Vec<Name> = steps.iter().filter_map(|(_, group)| Some(group.as_ref()?.name.clone())).collect();
        let is_wanted = group.is_none_or(|group| own.iter().any(|name| name.as_str().eq_ignore_ascii_case(group)));
        names.extend(own);
        if is_wanted {
            found.extend(switches(database, id, steps)?);
        }
    }
    if let Some(group) = group.filter(|group| names.iter().all(|name| !name.as_str().eq_ignore_ascii_case(group))) {
        return Err(Error::UnknownExitGroup { name: group.to_owned(), similar: similar(group, names.iter()) });
    }
    found.sort_by_key(|switch| (std::cmp::Reverse(switch.state), switch.group.clone()));
    found.truncate(limit);
    Ok(found)
}

/// What a group was at one state, with its exits.
struct Moment {
    group: Option<ExitGroup>,
    exits: BTreeMap<NodeId, Node>,
}

impl Moment {
    /// Returns the exit that carries the group's traffic.
    fn carrier(&self) -> Option<&Node> {
        self.group.as_ref()?.carrier_among(|id| self.exits.get(&id))
    }

    /// Returns the exit that the group was told to go by.
    fn told(&self) -> Option<NodeId> {
        self.group.as_ref()?.active.map(|active| active.exit)
    }

    /// Whether the group can go by an exit.
    fn can_use(&self, exit: NodeId) -> bool {
        let member = self.group.as_ref().and_then(|group| group.member(exit));
        member.is_some_and(|member| member.enabled)
            && self.exits.get(&exit).is_some_and(|node| node.enabled && node.role == Role::Exit)
    }
}

/// Goes through the states that changed a group or one of its exits.
fn switches(database: &Database, id: ExitGroupId, steps: Vec<(i64, Option<ExitGroup>)>) -> Result<Vec<Switch>, Error> {
    let exits: BTreeSet<NodeId> =
        steps.iter().filter_map(|(_, group)| group.as_ref()).flat_map(|g| g.members.iter().map(|m| m.exit)).collect();
    let mut numbers: BTreeSet<i64> = steps.iter().map(|(number, _)| *number).collect();
    let mut groups: BTreeMap<i64, Option<ExitGroup>> = steps.into_iter().collect();
    let mut nodes: BTreeMap<i64, Vec<(NodeId, Option<Node>)>> = BTreeMap::new();
    for exit in exits {
        for (number, node) in database.node_steps(exit)? {
            numbers.insert(number);
            nodes.entry(number).or_default().push((exit, node));
        }
    }
    let mut found = Vec::new();
    let mut now = Moment { group: None, exits: BTreeMap::new() };
    for number in numbers {
        let mut next = Moment { group: now.group.clone(), exits: now.exits.clone() };
        if let Some(group) = groups.remove(&number) {
            next.group = group;
        }
        for (exit, node) in nodes.remove(&number).unwrap_or_default() {
            match node {
                Some(node) => next.exits.insert(exit, node),
                None => next.exits.remove(&exit),
            };
        }
        if now.carrier().map(|exit| exit.id) != next.carrier().map(|exit| exit.id) {
            let state: State = database.state(number)?;
            let group = next.group.as_ref().or(now.group.as_ref()).map(|group| group.name.clone());
            found.push(Switch {
                time: state.time,
                group: group.unwrap_or_else(|| unnamed(id)),
                from: now.carrier().map(|exit| exit.name.clone()),
                to: next.carrier().map(|exit| exit.name.clone()),
                reason: reason(&now, &next, state.time),
                operator: state.operator,
                state: number,
            });
        }
        now = next;
    }
    Ok(found)
}

/// Says why a group goes by another exit.
fn reason(before: &Moment, after: &Moment, time: DateTime<Utc>) -> Option<Reason> {
    let active = after.group.as_ref()?.active?;
    if before.told() != Some(active.exit) {
        // What was said at another time was brought back by a return to what was then.
        return Some(if active.since == time { active.reason.into() } else { Reason::RolledBack });
    }
    let to = after.carrier().map(|exit| exit.id);
    Some(match before.carrier() {
        _ if to == Some(active.exit) => Reason::UsableAgain,
        Some(from) if after.can_use(from.id) => Reason::Preferred,
        None => Reason::UsableAgain,
        Some(_) => Reason::Unusable,
    })
}

fn unnamed(id: ExitGroupId) -> Name {
    format!("group-{}", id.0).parse().expect("letters, a hyphen and digits are a name")
}
