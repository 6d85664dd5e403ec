//! What policies there are, whose keys are due by them, and the sums of it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::due::{Facts, Standing, State, standings};
use super::scope::{self, Members};
use crate::db::{Database, Execution};
use crate::model::{Name, RotationEvent, RotationPolicy, Topology, Trigger};
use crate::ops::Error;
use crate::ops::error::similar;
use crate::ops::network::find;

/// "Soon" in sums: so many days.
pub const SOON_DAYS: i64 = 7;

/// A policy, in words and with names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// What the operator calls it.
    pub name: Name,
    /// `time`, `usage` or `event`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How old a key may get, in days.
    pub every_days: Option<u32>,
    /// How many bytes may go under a key.
    pub usage_bytes: Option<u64>,
    /// What has to happen.
    pub on: Vec<RotationEvent>,
    /// Whose keys: `all`, roles, groups, nodes.
    pub scope: Vec<String>,
    /// Whether it counts.
    pub enabled: bool,
    /// Whether the hosts concerned are deployed afterwards.
    pub auto_deploy: bool,
    /// How many days before it is told that a key will be due.
    pub notice_days: u32,
    /// Since when there is this policy.
    pub created: DateTime<Utc>,
    /// How many enabled nodes it covers.
    pub nodes: usize,
    /// How many of them are due by it. A node that several policies cover is counted with the one by which it is due first.
    pub overdue: usize,
    /// How many will be within seven days by it.
    pub due_soon: usize,
}

impl PolicyView {
    /// Shows a policy by itself: nobody is counted as due.
    pub fn of(policy: &RotationPolicy, topology: &Topology) -> Self {
        let members = Members::of(&policy.scope, topology);
        let (mut every_days, mut usage_bytes, mut on) = (None, None, Vec::new());
        match &policy.trigger {
            Trigger::Days(days) => every_days = Some(*days),
            Trigger::Bytes(bytes) => usage_bytes = Some(*bytes),
            Trigger::Events(events) => on = events.iter().copied().collect(),
        }
        Self {
            name: policy.name.clone(),
            kind: policy.trigger.kind(),
            every_days,
            usage_bytes,
            on,
            scope: scope::words(&policy.scope, topology),
            enabled: policy.enabled,
            auto_deploy: policy.auto_deploy,
            notice_days: policy.notice_days,
            created: policy.created,
            nodes: topology.nodes.iter().filter(|node| node.enabled && members.has(node)).count(),
            overdue: 0,
            due_soon: 0,
        }
    }
}

/// How the network stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Enabled nodes that an enabled policy covers.
    pub scheduled: usize,
    /// Of them, those that are due.
    pub overdue: usize,
    /// Of the others, those that will be within seven days.
    pub due_soon: usize,
    /// Of them, those that aren't due, in percent; `None` when no policy covers anybody.
    pub in_order_percent: Option<usize>,
    /// Enabled nodes that no enabled policy covers.
    pub uncovered: usize,
}

/// The policies, and the sums of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// By name.
    pub policies: Vec<PolicyView>,
    /// Every node counted once.
    pub summary: Summary,
}

/// One policy, and the nodes that are due by it first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The policy.
    #[serde(flatten)]
    pub policy: PolicyView,
    /// The nodes that it covers and that are due by it before any other, by name.
    pub standings: Vec<Standing>,
}

/// Whose keys are due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    /// Those that are due or will be within the notice, the most pressing first.
    pub nodes: Vec<Standing>,
    /// The sums.
    pub summary: Summary,
}

/// What policies had done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// The newest first.
    pub executions: Vec<Execution>,
}

/// Reads what says whose keys are due: one query for each table. The history of the model is read only if a policy asks.
///
/// # Errors
/// When the database can't be read.
pub fn facts(database: &Database) -> Result<Facts, Error> {
    let policies = database.rotation_policies()?;
    let asks = |policy: &RotationPolicy| match &policy.trigger {
        Trigger::Events(events) => policy.enabled && events.contains(&RotationEvent::GrantChanged),
        Trigger::Days(_) | Trigger::Bytes(_) => false,
    };
    let rights = if policies.iter().any(asks) { database.rights_changes()? } else { Vec::new() };
    Ok(Facts {
        topology: database.topology()?,
        keys: database.present_keys()?,
        events: database.rotation_events()?,
        traffic: database.traffic()?,
        rights,
        policies,
    })
}

/// Sums up.
pub fn summary(facts: &Facts, standings: &[Standing], now: DateTime<Utc>) -> Summary {
    let overdue = standings.iter().filter(|node| node.state == State::Due).count();
    let scheduled = standings.len();
    let keys = facts.topology.nodes.iter().filter(|node| node.enabled).count();
    Summary {
        scheduled,
        overdue,
        due_soon: standings.iter().filter(|node| is_soon(node, now)).count(),
        in_order_percent: (100 * (scheduled - overdue)).checked_div(scheduled),
        uncovered: keys.saturating_sub(scheduled),
    }
}

fn is_soon(node: &Standing, now: DateTime<Utc>) -> bool {
    node.state != State::Due && node.is_due_within(now, TimeDelta::days(SOON_DAYS))
}

/// Lists the policies with what is due by them.
///
/// # Errors
/// When the database can't be read.
pub fn list(database: &Database, now: DateTime<Utc>) -> Result<List, Error> {
    let facts = facts(database)?;
    Ok(list_of(&facts, &standings(&facts, now, None), now))
}

/// Lists the policies of facts that were read.
pub fn list_of(facts: &Facts, standings: &[Standing], now: DateTime<Utc>) -> List {
    let mut policies: Vec<PolicyView> =
        facts.policies.iter().map(|policy| PolicyView::of(policy, &facts.topology)).collect();
    for node in standings {
        let Some(policy) = policies.iter_mut().find(|policy| policy.name == node.policy) else { continue };
        policy.overdue += usize::from(node.state == State::Due);
        policy.due_soon += usize::from(is_soon(node, now));
    }
    List { policies, summary: summary(facts, standings, now) }
}

/// Shows one policy.
///
/// # Errors
/// When there is none of this name.
pub fn show(database: &Database, name: &str, now: DateTime<Utc>) -> Result<Shown, Error> {
    let facts = facts(database)?;
    let wanted = policy(&facts.policies, name)?.name.clone();
    let mut standings = standings(&facts, now, None);
    let list = list_of(&facts, &standings, now);
    standings.retain(|node| node.policy == wanted);
    let policy = list.policies.into_iter().find(|policy| policy.name == wanted);
    let policy = policy.ok_or_else(|| unknown(name, &facts.policies))?;
    Ok(Shown { policy, standings })
}

/// Returns the policy with a name, upper and lower case being the same.
pub(super) fn policy<'a>(policies: &'a [RotationPolicy], name: &str) -> Result<&'a RotationPolicy, Error> {
    let found = policies.iter().find(|policy| policy.name.as_str().eq_ignore_ascii_case(name));
    found.ok_or_else(|| unknown(name, policies))
}

fn unknown(name: &str, policies: &[RotationPolicy]) -> Error {
    Error::UnknownName {
        what: "rotation policy",
        name: name.to_owned(),
        similar: similar(name, policies.iter().map(|policy| &policy.name)),
        hint: "`wg-friend rotation policy list` names them",
    }
}

/// Lists whose keys are due, or will be: within a time from now, or else within the notice of each policy.
///
/// # Errors
/// When the database can't be read.
pub fn due(database: &Database, now: DateTime<Utc>, within: Option<TimeDelta>) -> Result<Due, Error> {
    let facts = facts(database)?;
    let mut standings = standings(&facts, now, within);
    let summary = summary(&facts, &standings, now);
    standings.retain(|node| node.state != State::InOrder);
    press(&mut standings);
    Ok(Due { nodes: standings, summary })
}

/// Brings the most pressing first.
pub fn press(standings: &mut [Standing]) {
    standings.sort_by(|a, b| (a.state, !a.urgent, a.next, &a.node).cmp(&(b.state, !b.urgent, b.next, &b.node)));
}

/// Lists what policies had done, of one node when it is named.
///
/// # Errors
/// When there is no such node.
pub fn log(database: &Database, node: Option<&str>, limit: u32) -> Result<Log, Error> {
    let topology = database.topology()?;
    let node = node.map(|name| find::node(&topology, name)).transpose()?;
    Ok(Log { executions: database.rotation_executions(node.map(|node| node.id), limit)? })
}
