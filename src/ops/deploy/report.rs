//! A plan as it is shown and as it is printed for programs.

use serde::Serialize;

use crate::model::Name;
use crate::ops::rotation::settle::Settled;

use super::blast::{self, Blast, Whom};
use super::change::{Cause, Change, Disruption};
use super::plan::{HostPlan, Interrupted, Plan};

/// What a plan comes to.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// One entry a host, ordered by name.
    pub hosts: Vec<HostReport>,
    /// Differences on all hosts.
    pub changes: usize,
    /// How many of them were made on a host and not by us.
    pub drift: usize,
    /// How many interfaces would go down and up.
    pub restarts: usize,
    /// How many interfaces' peers would have to shake hands anew.
    pub rekeys: usize,
    /// Hosts that gave no answer that can be used.
    pub failed: usize,
    /// What it does to others.
    pub blast: Blast,
    /// Nodes that were found with their next key, which is their present one since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rotated: Vec<Settled>,
    /// Nodes that come to use their next key in the same deploy, once their peers' hosts have learned it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow: Vec<Name>,
}

/// What a plan comes to on one host.
#[derive(Clone, Debug, Serialize)]
pub struct HostReport {
    /// Which host.
    pub host: Name,
    /// Where it is.
    pub address: String,
    /// Its operating system and kernel, once it has answered.
    pub system: Option<String>,
    /// What differs.
    pub changes: Vec<PlannedChange>,
    /// Why there is no plan for it.
    pub error: Option<String>,
    /// What to do about that, or before the differences can be mended.
    pub hint: Option<String>,
    /// Deploys that had been interrupted, and what became of them.
    pub interrupted: Vec<Interrupted>,
}

/// A difference, with what carrying it out means to others.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedChange {
    /// The difference.
    #[serde(flatten)]
    pub change: Change,
    /// Who may lose packets meanwhile.
    pub affects: Whom,
    /// Whether it touches the way by which wg-friend reaches the host.
    pub touches_way: bool,
}

impl From<&Plan> for PlanReport {
    fn from(plan: &Plan) -> Self {
        let hosts: Vec<HostReport> = plan.hosts.iter().map(HostReport::from).collect();
        let changes = || hosts.iter().flat_map(|h| &h.changes).map(|planned| &planned.change);
        let count = |test: &dyn Fn(&Change) -> bool| changes().filter(|change| test(change)).count();
        Self {
            changes: count(&|_| true),
            drift: count(&|c| c.cause == Cause::Drift),
            restarts: count(&|c| c.disruption == Disruption::Restart),
            rekeys: count(&|c| c.disruption == Disruption::Rekey),
            failed: plan.failed(),
            blast: blast::predict(&plan.hosts, &plan.devices),
            rotated: plan.rotated.clone(),
            follow: plan.follow.clone(),
            hosts,
        }
    }
}

impl From<&HostPlan> for HostReport {
    fn from(plan: &HostPlan) -> Self {
        let error = plan.seen.as_ref().err();
        let obstacle = plan.obstacle();
        let planned = plan.changes().iter().zip(blast::touching(plan));
        let planned = planned.map(|(change, touches_way)| PlannedChange {
            affects: Whom::of(change.kind),
            change: change.clone(),
            touches_way,
        });
        Self {
            host: plan.host.name.clone(),
            address: plan.host.address.to_string(),
            system: plan.seen.as_ref().ok().map(|s| format!("{}, {}", s.observed.system.os, s.observed.system.kernel)),
            changes: planned.collect(),
            error: error.map(ToString::to_string),
            hint: error.or(obstacle.as_ref()).and_then(super::HostError::hint),
            interrupted: plan.interrupted.clone(),
        }
    }
}
