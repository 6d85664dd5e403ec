//! By which exit each group went, and why: read out of the history of the model, so that it can't say anything else.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, State};
use crate::model::{ExitGroup, ExitGroupId, Name, NodeId, SwitchReason, Topology};
use crate::ops::Error;
use crate::ops::error::similar;

/// One switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// When the model said so.
    pub time: DateTime<Utc>,
    /// Which group, as it was called then.
    pub group: Name,
    /// The exit before; `None` when it had none.
    pub from: Option<Name>,
    /// The exit from then on; `None` when it had none any more.
    pub to: Option<Name>,
    /// Why; `None` when the group was emptied or removed.
    pub reason: Option<SwitchReason>,
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
    let topology = database.topology()?;
    let mut found = Vec::new();
    let mut names = Vec::new();
    for id in database.exit_groups_ever()? {
        let steps = database.exit_group_steps(id)?;
        let own: Vec<Name> = steps.iter().filter_map(|(_, group)| Some(group.as_ref()?.name.clone())).collect();
        let is_wanted = group.is_none_or(|group| own.iter().any(|name| name.as_str().eq_ignore_ascii_case(group)));
        names.extend(own);
        if is_wanted {
            found.extend(switches(database, &topology, id, &steps)?);
        }
    }
    if let Some(group) = group.filter(|group| names.iter().all(|name| !name.as_str().eq_ignore_ascii_case(group))) {
        return Err(Error::UnknownExitGroup { name: group.to_owned(), similar: similar(group, names.iter()) });
    }
    found.sort_by_key(|switch| (std::cmp::Reverse(switch.state), switch.group.clone()));
    found.truncate(limit);
    Ok(found)
}

fn switches(
    database: &Database,
    topology: &Topology,
    id: ExitGroupId,
    steps: &[(i64, Option<ExitGroup>)],
) -> Result<Vec<Switch>, Error> {
    let mut found = Vec::new();
    let mut before: Option<&ExitGroup> = None;
    for (number, after) in steps {
        let active = |group: Option<&ExitGroup>| group.and_then(|group| group.active);
        let (was, is) = (active(before), active(after.as_ref()));
        if was.map(|active| active.exit) != is.map(|active| active.exit) {
            let state: State = database.state(*number)?;
            let name = |exit: NodeId| -> Result<Option<Name>, Error> {
                match topology.node(exit) {
                    Some(node) => Ok(Some(node.name.clone())),
                    None => Ok(database.last_known(exit)?.map(|node| node.name)),
                }
            };
            // What was said at another time was brought back by a return to what was then.
            let reason =
                is.map(|active| if active.since == state.time { active.reason } else { SwitchReason::RolledBack });
            let group = after.as_ref().or(before).map(|group| group.name.clone());
            found.push(Switch {
                time: state.time,
                group: group.unwrap_or_else(|| unnamed(id)),
                from: was.map(|active| name(active.exit)).transpose()?.flatten(),
                to: is.map(|active| name(active.exit)).transpose()?.flatten(),
                reason,
                operator: state.operator,
                state: *number,
            });
        }
        before = after.as_ref();
    }
    Ok(found)
}

fn unnamed(id: ExitGroupId) -> Name {
    format!("group-{}", id.0).parse().expect("letters, a hyphen and digits are a name")
}
