//! Moving all of a group's traffic to another exit: a change of the model that each server carries out live, by its default
//! routes and nothing else.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::groups::{compared, member};
use crate::db::Store;
use crate::fleet::Fleet;
use crate::model::{
    Action, ActiveExit, Actor, Event, ExitGroup, InterfaceName, Name, Node, Role, SwitchReason, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, Plan, Progress};
use crate::ops::network::change::{Done, Mode, Outcome, carry_out, with_changes};
use crate::ops::network::find;

/// A group that was told to go by another exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// Which group.
    pub group: Name,
    /// The exit that carried its traffic; `None` when there was none that could.
    pub from: Option<Name>,
    /// The one that does now.
    pub to: Name,
    /// Since when, in the model.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: SwitchReason,
    /// The remotes whose traffic that is.
    pub remotes: Vec<Name>,
}

/// Tells a group to go by another exit: by the one that is named or, without a name, by the preferred one among those that
/// can be used and aren't in use.
///
/// # Errors
/// When the exit isn't in the group or can't be used, when there is no other, and when the group goes by it already.
pub fn switch(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    to: Option<&str>,
    mode: Mode,
) -> Result<(Switched, Outcome), Error> {
    let mut switched = None;
    let outcome = carry_out(store, clock, actor, "switched", mode, |scope| {
        let before = find::exit_group(scope.before, wanted)?;
        let next = target(before, to, scope.before)?;
        let from = before.carrier(scope.before);
        let active = ActiveExit { exit: next.id, since: scope.now, reason: SwitchReason::Manual };
        let group = ExitGroup { active: Some(active), ..before.clone() };
        scope.tx.update_exit_group(&group)?;
        let changes = compared(Some(before), Some(&group), scope.before);
        switched = Some(Switched {
            group: group.name.clone(),
            from: from.map(|node| node.name.clone()),
            to: next.name.clone(),
            since: scope.now,
            reason: active.reason,
            remotes: super::view::users(&group, scope.before).map(|node| node.name.clone()).collect(),
        });
        let event = with_changes(Event::exit_group(Action::ExitSwitched, &group.name), &changes);
        let event = event.with("reason", active.reason.as_str());
        Ok(Done { events: vec![event], differences: changes, ..Done::default() })
    })?;
    let switched = switched.ok_or_else(|| Error::Refused("the switch left no trace; nothing was changed".into()))?;
    Ok((switched, outcome))
}

/// Returns the exit that a group is to go by.
fn target<'a>(group: &ExitGroup, to: Option<&str>, topology: &'a Topology) -> Result<&'a Node, Error> {
    let now = group.carrier(topology);
    let Some(name) = to else {
        return group.next(topology).ok_or_else(|| Error::RefusedWithRemedy {
            message: match now {
                Some(now) => {
                    format!("the exit group `{}` has no other exit that can be used than `{}`", group.name, now.name)
                }
                None => format!("the exit group `{}` has no exit that can be used", group.name),
            },
            hint: format!(
                "`wg-friend exit group show {0}` says why; `wg-friend exit group set {0} exits+=EXIT` adds one",
                group.name
            ),
        });
    };
    let member = member(group, name, topology)?;
    let node = find::node(topology, name)?;
    if !member.enabled {
        return Err(Error::RefusedWithRemedy {
            message: format!("the exit group `{}` may not go by `{}`", group.name, node.name),
            hint: format!("`wg-friend exit group set {} enable={}` lets it", group.name, node.name),
        });
    }
    if !node.enabled {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{}` is disabled, and carries nothing", node.name),
            hint: format!("`wg-friend enable {}` puts it back into every config", node.name),
        });
    }
    if group.active.is_some_and(|active| active.exit == node.id) && now.is_some_and(|now| now.id == node.id) {
        return Err(Error::RefusedWithRemedy {
            message: format!("the exit group `{}` goes by `{}` already; nothing was changed", group.name, node.name),
            hint: "`wg-friend deploy` takes it to servers that don't have it yet".into(),
        });
    }
    Ok(node)
}

/// Returns the network as it is once a group was switched.
///
/// # Errors
/// When the group or the exit isn't there any more.
pub fn switched(topology: &Topology, switched: &Switched) -> Result<Topology, Error> {
    let mut after = topology.clone();
    let exit = find::node(topology, switched.to.as_str())?.id;
    let group = find::exit_group(topology, switched.group.as_str())?.id;
    let active = ActiveExit { exit, since: switched.since, reason: switched.reason };
    for group in after.exit_groups.iter_mut().filter(|other| other.id == group) {
        group.active = Some(active);
    }
    Ok(after)
}

/// Looks at the servers of a network and says what of a group's switch is left to do there: at the uplinks to its exits, and nowhere
/// else. What else the model wants of a host waits for its own deploy.
///
/// # Errors
/// When the model contradicts itself.
pub fn plan(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    topology: &Topology,
    group: &Name,
    progress: &dyn Progress,
) -> Result<Option<Plan>, Error> {
    let group = find::exit_group(topology, group.as_str())?;
    let mut whole: Option<Plan> = None;
    for server in topology.with_role(Role::Server) {
        let uplinks: BTreeSet<InterfaceName> = group
            .members
            .iter()
            .filter_map(|member| server.uplink_to(member.exit))
            .map(|uplink| uplink.name.clone())
            .collect();
        let Some(host) = server.host.as_ref().filter(|_| !uplinks.is_empty()) else { continue };
        let plan = deploy::plan_for(store, fleet, clock, actor, topology, host, Some(&uplinks), progress)?;
        match &mut whole {
            None => whole = Some(plan),
            Some(whole) => whole.hosts.extend(plan.hosts),
        }
    }
    Ok(whole)
}
