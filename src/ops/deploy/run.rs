//! Carrying a plan out. Each host arms its watchdog before anything changes; we confirm over a new connection, once the
//! host shows what was intended; whatever keeps us from confirming ends in the old state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::db::{DeploymentId, Store};
use crate::fleet::{self, Answer, Connection, Fingerprint, Fleet, Observed, Question, Staging, read_observation};
use crate::model::{Actor, DeploymentState, Host, InterfaceName, Name, Secrets};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::parallel::each;
use crate::wg::dump;

use super::change::Change;
use super::desired::{Deployed, Desired};
use super::diff::diff;
use super::error::HostError;
use super::journal::Journal;
use super::logged;
use super::plan::{HostPlan, Plan, Seen};
use super::progress::{Phase, Progress};
use super::proof::{
    After, Alive, counts_before_confirming, must_prove, names_of_peers, not_confirmed, nudge, proven, silence,
};
use super::running;
use super::steps::{Steps, steps};

/// How a deploy is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seconds until a host takes back what nobody confirmed.
    pub confirm_within: u64,
    /// Hosts at once.
    pub parallel: usize,
    /// So many of the hosts that differ go first, and the others only if all of those went well; 0 lets all go at once.
    pub canary: usize,
    /// Whether a peer that was alive has to prove that it still is, when the interface's key or port changes or it is
    /// restarted.
    pub check_handshakes: bool,
    /// Who deploys, for somebody who comes at the same time.
    pub owner: String,
    /// How many confirmed versions of each host are kept.
    pub keep_versions: NonZeroU32,
}

/// How it went on one host.
#[derive(Clone, Debug, Serialize)]
pub struct HostOutcome {
    /// Which host.
    pub host: Name,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How many differences there were.
    pub changes: usize,
    /// What was done there, step by step.
    pub steps: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How a deploy ended on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// There was nothing to do, and nothing was run.
    Unchanged,
    /// It runs, and it lasts.
    Confirmed,
    /// It was tried and taken back.
    Reverted {
        /// Why.
        reason: String,
        /// Whether the host found itself as it was before.
        clean: bool,
    },
    /// Nothing was tried there.
    Failed {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Nothing was tried there, because a host that went first didn't go well.
    HeldBack {
        /// The host that went first.
        because_of: Name,
    },
    /// We can't see the host; it takes everything back by itself.
    OutOfSight {
        /// Why.
        reason: String,
    },
}

/// Carries a plan out on all its hosts, some at once. The outcomes are ordered by the hosts' names, as the plan is.
///
/// # Errors
/// When the store can't be written; what goes wrong with one host is its outcome and holds up no other.
pub fn deploy(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    plan: Plan,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<HostOutcome>, Error> {
    let Plan { hosts, secrets } = plan;
    let _running = running::begin(store.path())?;
    let journal = Journal::new(store, clock, actor).keeping(options.keep_versions);
    let run = Run { fleet, journal: &journal, secrets: &secrets, options, progress };
    let all = |hosts: Vec<HostPlan>| -> Result<Vec<HostOutcome>, Error> {
        let outcomes = each(hosts, options.parallel, |host| {
            let name = host.host.name.clone();
            let outcome = run.host(host);
            progress.reached(&name, Phase::Done);
            outcome
        });
        outcomes.into_iter().collect()
    };
    let (first, others) = canaries(hosts, options.canary);
    let mut outcomes = all(first)?;
    match outcomes.iter().find(|outcome| !outcome.outcome.is_good()).map(|outcome| outcome.host.clone()) {
        None => outcomes.extend(all(others)?),
        Some(because_of) => outcomes.extend(others.iter().map(|host| held_back(host, &because_of))),
    }
    outcomes.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(outcomes)
}

/// Takes out of some hosts the first few that differ.
fn canaries(hosts: Vec<HostPlan>, wanted: usize) -> (Vec<HostPlan>, Vec<HostPlan>) {
    let mut found = 0;
    hosts.into_iter().partition(|host| {
        let differs = !host.changes().is_empty() && found < wanted;
        found += usize::from(differs);
        differs
    })
}

fn held_back(host: &HostPlan, because_of: &Name) -> HostOutcome {
    let changes = host.changes().len();
    let because_of = because_of.clone();
    let outcome = if changes == 0 && host.seen.is_ok() { Outcome::Unchanged } else { Outcome::HeldBack { because_of } };
    HostOutcome { host: host.host.name.clone(), outcome, changes, steps: Vec::new(), seconds: 0.0 }
}

impl Outcome {
    /// Whether the host is as the model says now.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Unchanged | Self::Confirmed)
    }
}

struct Run<'a> {
    fleet: &'a dyn Fleet,
    journal: &'a Journal<'a>,
    secrets: &'a Secrets,
    options: &'a Options,
    progress: &'a dyn Progress,
}

/// One deploy on one host.
struct Attempt<'a> {
    host: &'a Host,
    desired: &'a Desired,
    deployed: Option<&'a Deployed>,
    observed: &'a Observed,
    question: &'a Question,
    changes: &'a [Change],
    work: &'a Steps,
    token: String,
    id: DeploymentId,
    begun: Instant,
    /// Peers that were alive and have to prove that they still are: by interface, with their last handshake.
    alive: Alive,
}

impl Run<'_> {
    fn host(&self, plan: HostPlan) -> Result<HostOutcome, Error> {
        let begun = Instant::now();
        let HostPlan { host, desired, deployed, seen, .. } = plan;
        let name = host.name.clone();
        let found = seen.as_ref().map_or(0, |seen| seen.changes.len());
        let done = |outcome, steps| HostOutcome {
            host: name.clone(),
            outcome,
            changes: found,
            steps,
            seconds: begun.elapsed().as_secs_f64(),
        };
        let failed = |error: &HostError| Outcome::Failed { reason: error.to_string(), hint: error.hint() };
        let Seen { observed, question, changes, mut connection } = match seen {
            Ok(seen) if seen.changes.is_empty() => return Ok(done(Outcome::Unchanged, Vec::new())),
            Ok(seen) => seen,
            Err(error) => return Ok(done(failed(&error), Vec::new())),
        };
        if let Some(interface) = desired.interfaces.iter().find(|interface| interface.save_config) {
            let error = HostError::SaveConfig { host: name.clone(), interface: interface.name.clone() };
            return Ok(done(failed(&error), Vec::new()));
        }
        let deployed = deployed.as_ref();
        let work = steps(&changes, &desired, self.secrets, deployed, &observed);
        let did: Vec<String> = work.steps.iter().map(|step| step.what.clone()).collect();

        self.progress.reached(&name, Phase::Applying);
        let token = token()?;
        let id = self.journal.begin(&name, &token, &desired.version_json(), changes.len())?;
        let alive = if self.options.check_handshakes { must_prove(&changes, &observed) } else { BTreeMap::new() };
        let attempt = Attempt {
            host: &host,
            desired: &desired,
            deployed,
            observed: &observed,
            question: &question,
            changes: &changes,
            work: &work,
            token,
            id,
            begun: Instant::now(),
            alive,
        };
        let outcome = match self.apply(&attempt, connection.as_mut()) {
            Applied::Not(error) => {
                self.journal.finish(&name, id, DeploymentState::Failed, Some(&error.to_string()), None)?;
                failed(&error)
            }
            Applied::TakenBack { reason, clean } => self.reverted(&attempt, reason, clean)?,
            Applied::Yes(after) => {
                drop(connection);
                self.confirm(&attempt, &after)?
            }
            Applied::Perhaps(error) => {
                // How far it got can't be seen from here, so it isn't confirmed, and the watchdog takes it back.
                drop(connection);
                self.wait_for_the_watchdog(&attempt, not_confirmed(&error.to_string()))?
            }
        };
        Ok(done(outcome, did))
    }

    fn reverted(&self, attempt: &Attempt<'_>, reason: String, clean: bool) -> Result<Outcome, Error> {
        let name = &attempt.host.name;
        self.journal.finish(name, attempt.id, DeploymentState::Reverted, Some(&reason), None)?;
        Ok(Outcome::Reverted { reason, clean })
    }

    fn apply(&self, attempt: &Attempt<'_>, connection: &mut dyn Connection) -> Applied {
        let (host, work) = (&attempt.host.name, attempt.work);
        let commands: Vec<(String, String)> = work.steps.iter().map(|s| (s.run.clone(), s.undo.clone())).collect();
        let script = fleet::apply(&Staging {
            token: &attempt.token,
            owner: &self.options.owner,
            before: &attempt.observed.fingerprint,
            question: attempt.question,
            confirm_within: self.options.confirm_within,
            files: &work.files,
            checks: &work.checks,
            steps: &commands,
            keep: &work.keep,
            remove: &work.remove,
            enable: &work.enable,
            disable: &work.disable,
        });
        let did: Vec<&str> = work.steps.iter().map(|step| step.what.as_str()).collect();
        let parameters = format!("deploy {}, to be confirmed within {} s", attempt.token, self.options.confirm_within);
        let (id, list) = (Some(attempt.id), logged::of_apply(work));
        let answer = match self.journal.run_steps(host, id, connection, &script, &parameters, &list) {
            Ok(answer) => answer,
            Err(error @ fleet::Error::NotRoot { .. }) => return Applied::Not(error.into()),
            Err(error) => return Applied::Perhaps(error),
        };
        self.read_apply(attempt, connection, &answer, &did)
    }

    fn read_apply(
        &self,
        attempt: &Attempt<'_>,
        connection: &mut dyn Connection,
        answer: &Answer,
        steps: &[&str],
    ) -> Applied {
        let host = attempt.host.name.clone();
        if let Some((words, body)) = answer.all("busy").next() {
            let seconds = words.first().and_then(|w| w.parse().ok()).unwrap_or(0);
            let owner = String::from_utf8_lossy(body).trim().to_owned();
            return Applied::Not(HostError::Busy { host, owner, seconds });
        }
        if answer.bytes("changed").is_some() {
            let changes = self.what_changed(attempt, connection);
            return Applied::Not(HostError::Changed { host, changes });
        }
        if let Some((words, body)) = answer.all("failed").next() {
            let said = complaint(&String::from_utf8_lossy(body));
            if words.first().is_some_and(|w| w == "step") {
                let number: usize = words.get(1).and_then(|w| w.parse().ok()).unwrap_or(0);
                let what = number.checked_sub(1).and_then(|at| steps.get(at)).copied().unwrap_or("a step");
                let clean = words.get(2).is_some_and(|w| w == "yes");
                return Applied::TakenBack { reason: format!("could not {what}: {said}"), clean };
            }
            return Applied::Not(HostError::Rejected { host, reason: said });
        }
        match answer.text("dump").map(|text| dump::parse(&zeroize::Zeroizing::new(text))) {
            Some(Ok(after)) => Applied::Yes(after),
            _ => Applied::Perhaps(fleet::Error::Broken { host, reason: "its answer can't be understood".to_owned() }),
        }
    }

    /// Says what a host has now that the plan didn't know.
    fn what_changed(&self, attempt: &Attempt<'_>, connection: &mut dyn Connection) -> Vec<Change> {
        let known: BTreeSet<String> = attempt.changes.iter().map(ToString::to_string).collect();
        let now = self.look(attempt, connection, &[]).map(|observed| self.differences(attempt, &observed));
        now.unwrap_or_default().into_iter().filter(|c| !known.contains(&c.to_string())).collect()
    }

    fn look(
        &self,
        attempt: &Attempt<'_>,
        connection: &mut dyn Connection,
        nudge: &[(InterfaceName, IpAddr)],
    ) -> Result<Observed, fleet::Error> {
        let host = &attempt.host.name;
        let script = fleet::observe(attempt.question, nudge);
        let answer = self.journal.run(host, Some(attempt.id), connection, &script)?;
        read_observation(&answer, attempt.question)
            .map_err(|source| fleet::Error::Answer { host: host.clone(), source })
    }

    fn differences(&self, attempt: &Attempt<'_>, observed: &Observed) -> Vec<Change> {
        diff(attempt.desired, self.secrets, attempt.deployed, observed)
    }

    /// Looks at the host over a new connection until it shows what was intended, then confirms.
    fn confirm(&self, attempt: &Attempt<'_>, after: &After) -> Result<Outcome, Error> {
        self.progress.reached(&attempt.host.name, Phase::Confirming);
        let give_up =
            Duration::from_secs(self.options.confirm_within.saturating_sub(self.options.confirm_within / 5).max(3));
        let passed = attempt.begun.elapsed();
        // The host counts whole seconds from when it armed its watchdog, so its time may be over before ours is.
        let late = (passed.as_secs() >= self.options.confirm_within / 2).then_some(passed);
        let mut doubt: Option<String> = None;
        loop {
            let asked = Instant::now();
            let mut connected = None;
            match self.fleet.connect(attempt.host) {
                Ok(mut connection) => {
                    let waited = asked.elapsed();
                    match self.judge(attempt, connection.as_mut(), after) {
                        Ok(Judgement::Good(fingerprint)) => {
                            return self.commit(attempt, connection.as_mut(), &fingerprint);
                        }
                        Ok(Judgement::Gone(seen)) => {
                            let why = doubt.unwrap_or_else(|| silence(waited, late));
                            return self.settle(attempt, &seen, not_confirmed(&why));
                        }
                        Ok(Judgement::Not(reason)) => doubt = Some(reason),
                        Err(error) => doubt = Some(error.to_string()),
                    }
                    connected = Some(connection);
                }
                Err(error) => doubt = Some(error.to_string()),
            }
            if attempt.begun.elapsed() >= give_up {
                let reason = not_confirmed(doubt.as_deref().unwrap_or("the time was over"));
                return match connected {
                    Some(mut connection) => self.take_back(attempt, connection.as_mut(), reason),
                    None => self.wait_for_the_watchdog(attempt, reason),
                };
            }
            std::thread::sleep(Duration::from_millis(300)); // ask again, without a busy loop
        }
    }

    /// Decides whether the host shows what was intended.
    fn judge(
        &self,
        attempt: &Attempt<'_>,
        connection: &mut dyn Connection,
        after: &After,
    ) -> Result<Judgement, fleet::Error> {
        let nudge = nudge(&attempt.desired.interfaces, &attempt.alive);
        let observed = self.look(attempt, connection, &nudge)?;
        if observed.pending.as_ref().is_none_or(|p| p.token != attempt.token || p.deciding) {
            return Ok(Judgement::Gone(Box::new(observed)));
        }
        let left: Vec<String> = self
            .differences(attempt, &observed)
            .iter()
            .filter(|change| counts_before_confirming(change, attempt.changes))
            .map(Change::with_place)
            .collect();
        if !left.is_empty() {
            return Ok(Judgement::Not(format!("the host does not show what was intended: {}", left.join("; "))));
        }
        if let Some((name, peers)) = attempt.alive.iter().find(|(name, peers)| !proven(name, peers, &observed, after)) {
            let names = names_of_peers(attempt.desired.interface(name), peers);
            return Ok(Judgement::Not(format!(
                "no handshake on {name} since, with none of those that were alive before: {names}"
            )));
        }
        Ok(Judgement::Good(observed.fingerprint))
    }

    fn commit(
        &self,
        attempt: &Attempt<'_>,
        connection: &mut dyn Connection,
        fingerprint: &Fingerprint,
    ) -> Result<Outcome, Error> {
        let host = &attempt.host.name;
        let script = fleet::commit(&attempt.token, fingerprint, attempt.question);
        let (id, list) = (Some(attempt.id), logged::of_commit(attempt.work));
        let parameters = format!("deploy {}", attempt.token);
        let answer = match self.journal.run_steps(host, id, connection, &script, &parameters, &list) {
            Ok(answer) => answer,
            Err(error) => {
                return self
                    .wait_for_the_watchdog(attempt, format!("its answer to the confirmation was lost: {error}"));
            }
        };
        if answer.bytes("confirmed").is_some() {
            let mut tables = fleet::tables_of(&answer);
            if attempt.question.tables.iter().any(|table| !tables.contains_key(table)) {
                // A listing that failed once; without it the next plan would take the rules for changed by hand.
                tables.extend(self.look(attempt, connection, &[]).map(|seen| seen.tables).unwrap_or_default());
            }
            self.journal.finish(host, attempt.id, DeploymentState::Confirmed, None, Some(&tables))?;
            return Ok(Outcome::Confirmed);
        }
        if let Some((words, body)) = answer.all("failed").next() {
            let clean = words.get(1).is_some_and(|w| w == "yes");
            let said = String::from_utf8_lossy(body).trim().to_owned();
            return self.reverted(attempt, format!("the new files could not be written: {said}"), clean);
        }
        self.wait_for_the_watchdog(attempt, "the host decided before we did".to_owned())
    }

    /// Takes the deploy back at once: there is a connection, so there is no need to wait for the watchdog.
    fn take_back(
        &self,
        attempt: &Attempt<'_>,
        connection: &mut dyn Connection,
        reason: String,
    ) -> Result<Outcome, Error> {
        let host = &attempt.host.name;
        self.progress.reached(host, Phase::Reverting);
        let script = fleet::discard(&attempt.token, "the controller was not satisfied", attempt.question);
        let parameters = format!("deploy {}", attempt.token);
        match self.journal.run_steps(host, Some(attempt.id), connection, &script, &parameters, &[]) {
            Ok(answer) => match answer.all("undone").next() {
                Some((words, _)) => self.reverted(attempt, reason, words.first().is_some_and(|w| w == "yes")),
                None => self.wait_for_the_watchdog(attempt, reason),
            },
            Err(_) => self.wait_for_the_watchdog(attempt, reason),
        }
    }

    /// Waits until the host must have decided by itself, and asks what came out.
    fn wait_for_the_watchdog(&self, attempt: &Attempt<'_>, reason: String) -> Result<Outcome, Error> {
        self.progress.reached(&attempt.host.name, Phase::Reverting);
        let give_up = Duration::from_secs(self.options.confirm_within + 30);
        loop {
            if let Ok(mut connection) = self.fleet.connect(attempt.host)
                && let Ok(observed) = self.look(attempt, connection.as_mut(), &[])
                && observed.pending.as_ref().is_none_or(|p| p.token != attempt.token)
            {
                return self.settle_for(attempt, &observed, reason);
            }
            if attempt.begun.elapsed() >= give_up {
                // The deployment stays open in the store: the next run that sees the host finds out how it ended.
                return Ok(Outcome::OutOfSight { reason });
            }
            std::thread::sleep(Duration::from_millis(500)); // ask again, without a busy loop
        }
    }

    fn settle(&self, attempt: &Attempt<'_>, observed: &Observed, why: String) -> Result<Outcome, Error> {
        if observed.pending.as_ref().is_some_and(|p| p.token == attempt.token) {
            return self.wait_for_the_watchdog(attempt, why); // somebody decides right now
        }
        self.settle_for(attempt, observed, why)
    }

    /// Reads from a host that is done with the deploy how it ended.
    fn settle_for(&self, attempt: &Attempt<'_>, observed: &Observed, reason: String) -> Result<Outcome, Error> {
        if observed.deployed_token.as_deref() == Some(attempt.token.as_str()) {
            let (name, tables) = (&attempt.host.name, &observed.tables);
            self.journal.finish(name, attempt.id, DeploymentState::Confirmed, None, Some(tables))?;
            return Ok(Outcome::Confirmed);
        }
        let last = observed.last.as_ref().filter(|l| l.token == attempt.token);
        let ended = match last {
            Some(last) => format!("the host took it back: {}", last.reason),
            None if observed.system.uptime < attempt.begun.elapsed().as_secs() => "the host was restarted".to_owned(),
            None => "the host knows of no deploy any more".to_owned(),
        };
        self.reverted(attempt, format!("{reason}\n{ended}"), last.is_none_or(|l| l.clean))
    }
}

/// What came of sending the steps.
enum Applied {
    /// All steps were done.
    Yes(After),
    /// Nothing was changed.
    Not(HostError),
    /// A step failed and the host took everything back.
    TakenBack { reason: String, clean: bool },
    /// The connection broke.
    Perhaps(fleet::Error),
}

enum Judgement {
    Good(Fingerprint),
    Not(String),
    Gone(Box<Observed>),
}

/// What a failed command complained about; wg-quick also prints each command it runs, marked `[#]`.
fn complaint(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("[#]")).collect();
    if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("; ") }
}

pub(super) fn token() -> Result<String, Error> {
    let mut bytes = [0u8; 12];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
