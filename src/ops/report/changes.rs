//! What was changed in the model and deployed to hosts, by whom.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};
use serde::Serialize;

use super::Source;
use crate::db::StateFilter;
use crate::model::{DeploymentState, Name};
use crate::ops::Error;
use crate::ops::deploy::adopted::AS_FOUND;

/// Changes and deployments in the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Changes of the model, the newest first.
    pub model: Vec<ModelChange>,
    /// How many of them each week had, weeks without any among them; the oldest first.
    pub weeks: Vec<Week>,
    /// How many of them each operator made.
    pub operators: BTreeMap<String, usize>,
    /// Deployments that began in the period, the newest first.
    pub deployments: Vec<Deployed>,
    /// How many of them ended in which way.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// Deployments of the period that are known by the audit log alone, since only so many are kept of each host.
    pub no_longer_kept: usize,
    /// Returns of the model and of hosts to what they were before, the newest first.
    pub rollbacks: Vec<Rollback>,
}

/// A change of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelChange {
    /// The number of the state that it made.
    pub state: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// By whom; `None` for what was there when the history began.
    pub operator: Option<String>,
    /// What was changed, in a line.
    pub description: String,
    /// The first entry of the audit log about it.
    pub audit_entry: Option<i64>,
}

/// A week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Week {
    /// Its Monday (UTC).
    pub monday: NaiveDate,
    /// How many changes of the model it had.
    pub changes: usize,
    /// How many deployments.
    pub deployments: usize,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// To which host.
    pub host: Name,
    /// Its version there.
    pub version: i64,
    /// How it ended.
    pub outcome: DeploymentState,
    /// By whom.
    pub operator: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// What is worth saying about its end.
    pub note: Option<String>,
}

/// A return to what was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rollback {
    /// The number of its entry in the audit log.
    pub entry: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// Of what: `model`, or the name of a host.
    pub of: String,
    /// By whom.
    pub operator: String,
}

/// Gathers it.
pub(super) fn gather(source: &Source<'_>) -> Result<Changes, Error> {
    let (database, period) = (source.database, source.period);
    let states = database.states(&StateFilter { since: Some(period.from), limit: None, about: None })?;
    let model: Vec<ModelChange> = states
        .into_iter()
        .filter(|state| state.time <= period.to)
        .map(|state| ModelChange {
            state: state.number,
            time: state.time,
            operator: state.operator,
            description: state.description,
            audit_entry: state.audit_entry,
        })
        .collect();
    let mut operators = BTreeMap::new();
    for change in &model {
        *operators.entry(change.operator.clone().unwrap_or_default()).or_default() += 1;
    }
    let deployments = deployments(source)?;
    let mut outcomes: BTreeMap<&'static str, usize> = DeploymentState::ALL
        .iter()
        .filter(|state| **state != DeploymentState::Found)
        .map(|s| (s.as_str(), 0))
        .collect();
    for deployment in &deployments {
        *outcomes.entry(deployment.outcome.as_str()).or_default() += 1;
    }
    let begun = source.entries.iter().filter(|entry| entry.action == "deploy_started").count();
    Ok(Changes {
        weeks: weeks(source, &model, &deployments),
        model,
        operators,
        no_longer_kept: begun.saturating_sub(deployments.len()),
        deployments,
        outcomes,
        rollbacks: rollbacks(source),
    })
}

/// Reads the deployments to hosts that there are, and to those that were removed in the period.
fn deployments(source: &Source<'_>) -> Result<Vec<Deployed>, Error> {
    let gone = source.entries.iter().filter(|entry| entry.entity_type == "host");
    let gone = gone.filter_map(|entry| entry.entity_guid.as_deref().and_then(|name| name.parse::<Name>().ok()));
    let hosts: BTreeSet<Name> = source.topology.hosts.iter().map(|host| host.name.clone()).chain(gone).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for host in &hosts {
        found.extend(source.database.deployments(host, u32::MAX)?.into_iter().filter(|deployment| {
            let in_period = deployment.started >= source.period.from && deployment.started <= source.period.to;
            let brought = deployment.state != DeploymentState::Found && deployment.note.as_deref() != Some(AS_FOUND);
            in_period && brought && seen.insert(deployment.id.0)
        }));
    }
    found.sort_by_key(|deployment| std::cmp::Reverse(deployment.id.0));
    Ok(found
        .into_iter()
        .map(|deployment| Deployed {
            host: deployment.host,
            version: deployment.version,
            outcome: deployment.state,
            operator: deployment.operator,
            started: deployment.started,
            finished: deployment.finished,
            note: deployment.note,
        })
        .collect())
}

fn rollbacks(source: &Source<'_>) -> Vec<Rollback> {
    let is_one = |action: &str| matches!(action, "model_rolled_back" | "config_rolled_back");
    let entries = source.entries.iter().filter(|entry| is_one(&entry.action));
    let rollback = |entry: &crate::db::Entry| Rollback {
        entry: entry.id,
        time: entry.time,
        of: if entry.action == "model_rolled_back" { "model".to_owned() } else { super::access::subject(entry) },
        operator: entry.operator.clone(),
    };
    entries.map(rollback).collect()
}

/// At most so many weeks are told one by one: a year and a bit.
const MOST_WEEKS: usize = 54;

/// Counts by week. Of a longer period, the last weeks.
fn weeks(source: &Source<'_>, model: &[ModelChange], deployments: &[Deployed]) -> Vec<Week> {
    let monday = |time: DateTime<Utc>| {
        let day = time.date_naive();
        day - Days::new(u64::from(day.weekday().num_days_from_monday()))
    };
    let (first, last) = (monday(source.period.from), monday(source.period.to));
    let mut weeks: Vec<Week> = Vec::new();
    let mut at = last;
    while at >= first && weeks.len() < MOST_WEEKS {
        weeks.push(Week {
            monday: at,
            changes: model.iter().filter(|change| monday(change.time) == at).count(),
            deployments: deployments.iter().filter(|deployment| monday(deployment.started) == at).count(),
        });
        match at.checked_sub_days(Days::new(7)) {
            Some(before) => at = before,
            None => break,
        }
    }
    weeks.reverse();
    weeks
}
