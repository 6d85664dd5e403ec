//! What became of deploys that were interrupted: killed with wg-friend, cut off with the network, ended by a reboot.
//! The store knows that they began; the host knows how they ended.

use crate::db::{self, Deployment};
use crate::fleet::Observed;
use crate::model::{DeploymentState, Secrets};

use super::diff::diff;
use super::journal::{Journal, deployed};
use super::plan::{HostPlan, Interrupted, InterruptedOutcome};

/// Reads from a host's observation how its open deploys ended, and writes it down.
pub(super) fn reconcile(
    journal: &Journal<'_>,
    plan: &mut HostPlan,
    secrets: &Secrets,
) -> Result<Vec<Interrupted>, db::Error> {
    let host = plan.host.name.clone();
    let Ok(seen) = &mut plan.seen else { return Ok(Vec::new()) };
    let open = journal.with(|s| s.open_deployments())?;
    let open: Vec<Deployment> = open.into_iter().filter(|deployment| deployment.host == host).collect();
    let found = write_down(journal, &open, &seen.observed)?;
    if found.iter().any(|interrupted| interrupted.outcome == InterruptedOutcome::Confirmed) {
        plan.deployed = journal.with(|s| deployed(s, &host))?;
        seen.changes = diff(&plan.desired, secrets, plan.deployed.as_ref(), &seen.observed);
    }
    Ok(found)
}

/// Reads from an observation of their host how these deploys ended, and writes it down. What still waits stays open.
pub(super) fn write_down(
    journal: &Journal<'_>,
    open: &[Deployment],
    observed: &Observed,
) -> Result<Vec<Interrupted>, db::Error> {
    let mut found = Vec::new();
    for Deployment { id, host, token, .. } in open {
        let outcome = outcome_of(token, observed);
        let (state, note) = match &outcome {
            InterruptedOutcome::Confirmed => (Some(DeploymentState::Confirmed), None),
            InterruptedOutcome::Reverted { reason, .. } => (Some(DeploymentState::Reverted), Some(reason.as_str())),
            InterruptedOutcome::Waiting { .. } => (None, None),
        };
        if let Some(state) = state {
            let tables = (state == DeploymentState::Confirmed).then_some(&observed.tables);
            journal.finish(host, *id, state, note, tables)?;
            journal.with(|s| s.mark_pending_unknown(host))?;
        }
        found.push(Interrupted { host: host.clone(), token: token.clone(), outcome });
    }
    Ok(found)
}

/// Reads from an observation of its host how a deploy ended.
pub(super) fn outcome_of(token: &str, observed: &Observed) -> InterruptedOutcome {
    if let Some(pending) = observed.pending.as_ref().filter(|p| p.token == token) {
        return InterruptedOutcome::Waiting { seconds: pending.seconds_left };
    }
    if observed.deployed_token.as_deref() == Some(token) {
        return InterruptedOutcome::Confirmed;
    }
    match observed.last.as_ref().filter(|l| l.token == token) {
        Some(last) if last.confirmed => InterruptedOutcome::Confirmed,
        Some(last) => InterruptedOutcome::Reverted { clean: last.clean, reason: last.reason.clone() },
        // Nothing on its disk changes before the confirmation: whether it rebooted or never began, it is as before.
        None => InterruptedOutcome::Reverted { clean: true, reason: "it rebooted, or nothing had begun".to_owned() },
    }
}
