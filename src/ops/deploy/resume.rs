//! Deploys that nobody saw the end of, because the program was killed or the machine lost its power: which there are, and
//! how they are brought to an end. What a host decided by itself is written down; where it still waits for us, it is
//! judged as the run that was killed would have done it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, Deployment, Store};
use crate::fleet::{Fleet, Observed};
use crate::model::{Actor, Host, Name, Secrets};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::parallel::each;

use super::confirm::{Attempt, Run, Shown};
use super::desired::{Deployed, Desired, question};
use super::intention::Intention;
use super::journal::{self, Journal};
use super::outcome::{Options, Outcome};
use super::plan::{Interrupted, InterruptedOutcome};
use super::progress::{Phase, Progress};
use super::reconcile::{ON_ITS_WAY, may_still_arrive, outcome_of, write_down};
use super::rollback::{desired_of, version_of};
use super::running;

/// How long a host is given to show what was intended. Where it was killed in the middle there is nothing to wait for,
/// but a peer may need a while for its handshake.
const PATIENCE: Duration = Duration::from_secs(15);

/// A deploy that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenDeploy {
    /// To which host.
    pub host: Name,
    /// Its version, counted up per host.
    pub version: i64,
    /// Names it on the host.
    pub token: String,
    /// Who deployed.
    pub operator: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// Whether somebody deploys from this database right now, so that it may be his.
    pub under_way: bool,
    /// How it ended according to the host, if it was asked. `deploy --resume` and `plan` write that down.
    pub found: Option<InterruptedOutcome>,
}

impl OpenDeploy {
    /// Notes what an observation of its host says.
    pub(super) fn on(&mut self, observed: &Observed) {
        self.found = Some(outcome_of(&self.token, observed));
    }
}

/// Lists the deploys that have begun and not ended. Needs no secret.
///
/// # Errors
/// When the store can't be read.
pub fn open(database: &Database) -> Result<Vec<OpenDeploy>, Error> {
    let open = database.open_deployments()?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let under_way = running::nobody(database.path()).is_none();
    let entry = |Deployment { host, version, token, operator, started, .. }| OpenDeploy {
        host,
        version,
        token,
        operator,
        started,
        under_way,
        found: None,
    };
    Ok(open.into_iter().map(entry).collect())
}

/// What became of a deploy that was open.
#[derive(Clone, Debug, Serialize)]
pub struct Resumed {
    /// To which host.
    pub host: Name,
    /// Its version, counted up per host.
    pub version: i64,
    /// Names it on the host.
    pub token: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Whether the host had decided before it was asked.
    pub decided_before: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Brings open deploys to an end on `only` these hosts (all when empty), some at once: confirms what shows what was
/// intended, takes the rest back at once, and writes down what the hosts have decided themselves.
///
/// # Errors
/// When somebody deploys from this database right now, or the store can't be read or written. A host that can't be
/// reached is an entry.
pub fn resume(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<Resumed>, Error> {
    let Some(_nobody_deploys) = running::nobody(store.path()) else {
        return Err(Error::RefusedWithRemedy {
            message: "somebody deploys from this database right now".to_owned(),
            hint: "`wg-friend status` shows where; a deploy that lives finishes by itself".to_owned(),
        });
    };
    let jobs = jobs(store, only)?;
    progress.expects(&jobs.iter().map(|job| job.host.name.clone()).collect::<Vec<_>>());
    let journal = Journal::new(store, clock, actor).keeping(options.keep_versions);
    let ended = each(jobs.iter().collect(), options.parallel, |job: &Job| {
        let run = Run { fleet, journal: &journal, secrets: &job.secrets, options, progress, shown: Shown::default() };
        let ended = run.resume(job);
        run.note_uses(&job.secrets);
        progress.reached(&job.host.name, Phase::Done);
        ended
    });
    Ok(ended.into_iter().collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

/// A host with open deploys.
struct Job {
    host: Host,
    /// The oldest first; only the newest can still be waiting.
    open: Vec<Deployment>,
    desired: Desired,
    secrets: Secrets,
    deployed: Option<Deployed>,
    intention: Intention,
}

fn jobs(store: &Store, only: &[Name]) -> Result<Vec<Job>, Error> {
    let topology = store.topology()?;
    let open = store.open_deployments()?;
    let mut jobs = Vec::new();
    for host in topology.hosts.iter().filter(|host| only.is_empty() || only.contains(&host.name)) {
        let open: Vec<Deployment> = open.iter().filter(|deployment| deployment.host == host.name).cloned().collect();
        let Some(newest) = open.last() else { continue };
        let (desired, secrets) = desired_of(&host.name, version_of(store, newest)?)?;
        let deployed = journal::deployed(store, &host.name)?;
        let intention = journal::intention(store, newest.id)?;
        jobs.push(Job { host: host.clone(), open, desired, secrets, deployed, intention });
    }
    Ok(jobs)
}

impl Run<'_> {
    fn resume(&self, job: &Job) -> Result<Vec<Resumed>, Error> {
        let begun = Instant::now();
        let Some(newest) = job.open.last() else { return Ok(Vec::new()) };
        let resumed = |deployment: &Deployment, outcome, decided_before| Resumed {
            host: deployment.host.clone(),
            version: deployment.version,
            token: deployment.token.clone(),
            outcome,
            decided_before,
            seconds: begun.elapsed().as_secs_f64(),
        };
        self.progress.reached(&job.host.name, Phase::Observing);
        let question = question(&job.desired, job.deployed.as_ref());
        let mut attempt = Attempt {
            host: &job.host,
            desired: &job.desired,
            deployed: job.deployed.as_ref(),
            question: &question,
            intention: job.intention.clone(),
            token: newest.token.clone(),
            id: newest.id,
            begun,
            lasts: Duration::ZERO,
            patience: Duration::ZERO,
        };
        let looked = self.fleet.connect(&job.host).and_then(|mut connection| {
            let observed = self.look(&attempt, connection.as_mut(), &[])?;
            if !may_still_arrive(newest, &observed, self.journal.now()) {
                return Ok(observed);
            }
            std::thread::sleep(ON_ITS_WAY);
            self.look(&attempt, connection.as_mut(), &[])
        });
        let observed = match looked {
            Ok(observed) => observed,
            Err(error) => {
                let outcome = Outcome::OutOfSight { reason: error.to_string() };
                return Ok(vec![resumed(newest, outcome, false)]);
            }
        };
        let found = write_down(self.journal, &job.open, &observed)?;
        let mut observed = Some(observed);
        let mut all = Vec::new();
        for (deployment, Interrupted { outcome, .. }) in job.open.iter().zip(found) {
            let (outcome, before) = match outcome {
                InterruptedOutcome::Confirmed => (Outcome::Confirmed, true),
                InterruptedOutcome::Reverted { clean, reason } => (Outcome::Reverted { reason, clean }, true),
                InterruptedOutcome::Waiting { seconds } => {
                    let Some(observed) = observed.take() else { continue }; // a host waits for one at most
                    attempt.lasts = begun.elapsed() + Duration::from_secs(seconds.max(0).unsigned_abs());
                    attempt.patience = PATIENCE.min(attempt.lasts * 4 / 5);
                    self.progress.armed(&job.host.name, attempt.lasts);
                    (self.decide(&attempt, observed)?, false)
                }
            };
            all.push(resumed(deployment, outcome, before));
        }
        Ok(all)
    }

    /// Brings a deploy that waits on its host to an end.
    fn decide(&self, attempt: &Attempt<'_>, observed: Observed) -> Result<Outcome, Error> {
        self.journal.with(|store| store.mark_pending_unknown(&attempt.host.name))?;
        if observed.pending.as_ref().is_some_and(|pending| pending.deciding) {
            return self.wait_for_the_watchdog(attempt, "the host decided before it was asked".to_owned());
        }
        // Nobody saw what the peers had sent when the steps were done: from here on it counts.
        let live = observed.interfaces.into_iter().map(|(name, seen)| (name, seen.live)).collect();
        let after = super::proof::After { live, ..Default::default() };
        self.confirm(attempt, &after)
    }
}
