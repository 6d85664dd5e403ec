//! What became of deploys that were interrupted: killed with wg-friend, cut off with the network, ended by a reboot.
//! The store knows that they began; the host knows how they ended.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::db::{self, Deployment};
use crate::fleet::Observed;
use crate::model::{DeploymentState, Secrets};

use super::diff::diff;
use super::journal::{Journal, deployed};
use super::plan::{HostPlan, Interrupted, InterruptedOutcome};

/// How long a script may be on its way to a host after the program that sent it was killed.
pub(super) const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// How many seconds after its begin a deploy counts as begun just now.
const JUST_NOW: i64 = 30;

/// Whether a host knows nothing of a deploy that was begun just now: then what was sent may not have begun there.
pub(super) fn may_still_arrive(deployment: &Deployment, observed: &Observed, now: DateTime<Utc>) -> bool {
    let known = observed.pending.as_ref().is_some_and(|pending| pending.token == deployment.token)
        || observed.last.as_ref().is_some_and(|last| last.token == deployment.token)
        || observed.deployed_token.as_deref() == Some(deployment.token.as_str());
    !known && (now - deployment.started).num_seconds() < JUST_NOW
}

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

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::db::DeploymentId;
    use crate::fleet::{Answer, Question, read_observation};

    #[test]
    fn what_was_sent_just_now_may_still_arrive_at_a_host_that_knows_nothing_of_it() {
        let started = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let deployment = Deployment {
            id: DeploymentId(1),
            host: "hub".parse().unwrap(),
            version: 1,
            token: "mine".to_owned(),
            state: DeploymentState::Started,
            operator: "anna".to_owned(),
            started,
            finished: None,
            note: None,
            sha256: String::new(),
        };
        let arrives = |section: &str, seconds: i64| {
            let answer =
                format!("\n@x system\nuptime 1\nclock 1\n{section}\n@x fingerprint {}\n\n@x end\n", "0".repeat(64));
            let answer = Answer::parse(answer.as_bytes(), "x").unwrap();
            let observed = read_observation(&answer, &Question::default()).unwrap();
            may_still_arrive(&deployment, &observed, started + TimeDelta::seconds(seconds))
        };
        assert!(arrives("", 0) && arrives("", JUST_NOW - 1));
        assert!(!arrives("", JUST_NOW), "it would have arrived");
        assert!(arrives("\n@x pending theirs 60 -\n", 1), "that is another one");
        for known in ["pending mine 60 -", "last\nmine undone yes 1 -", "record\ntoken mine"] {
            assert!(!arrives(&format!("\n@x {known}\n"), 1), "{known}");
        }
    }
}
