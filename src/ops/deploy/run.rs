//! Carrying a plan out. Each host arms its watchdog before anything changes; we confirm over a new connection, once the
//! host shows what was intended; whatever keeps us from confirming ends in the old state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::db::Store;
use crate::fleet::{self, Answer, Connection, Fleet, Observed, Staging};
use crate::model::{Actor, DeploymentState, Host, Node, PublicKey, Role};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::rotation::{complete, ready};
use crate::wg::{NodeConfig, dump};

use super::change::Change;
use super::confirm::{Attempt, Run, Shown};
use super::error::HostError;
use super::gate::{Absent, Turns};
use super::intention::Intention;
use super::journal::{Journal, deployed};
use super::logged;
use super::outcome::{HostOutcome, Options, Outcome};
use super::pairs::Pairs;
use super::plan::{HostPlan, Plan, Seen};
use super::progress::{Phase, Progress};
use super::proof::{After, Alive, Signs, must_prove, not_confirmed};
use super::running;
use super::steps::{Steps, steps};
use super::turns::in_turns;

/// How often a deploy goes on with rotations: keys come into use and the ones before go, at both ends of a link in turn.
const ROUNDS: usize = 6;

/// How long a connection may lie idle before it isn't trusted any more to be there.
const STALE: Duration = Duration::from_secs(10);

/// Carries a plan out on all its hosts, some at once, each after those that have to learn of it. The outcomes are ordered
/// by the hosts' names, as the plan is. Next keys that all their peers await by
/// then come into use, and the ones before them go.
///
/// # Errors
/// When the store can't be written; what goes wrong with one host is its outcome, and holds up only those that depend
/// on it.
pub fn deploy(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    plan: Plan,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<HostOutcome>, Error> {
    let scope = complete::scope(&plan);
    let mut outcomes = carry_out(store, fleet, clock, actor, plan, options, progress)?;
    for _ in 0..ROUNDS {
        let rest = complete::rest(store, fleet, clock, actor, &scope, &outcomes, options, progress);
        let then = rest.and_then(|rest| match rest {
            Some(rest) => carry_out(store, fleet, clock, actor, rest, options, progress).map(Some),
            None => Ok(None),
        });
        let then = match then {
            Ok(Some(then)) => then,
            Ok(None) => break,
            Err(error) => {
                // What was done so far is done.
                progress.warns(&format!("rotations were not gone on with: {error}; the next deploy goes on"));
                break;
            }
        };
        let went_well = then.iter().all(|end| end.outcome.is_good());
        outcomes = complete::together(outcomes, then);
        if !went_well {
            break;
        }
    }
    Ok(outcomes)
}

fn carry_out(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    plan: Plan,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<HostOutcome>, Error> {
    let Plan { mut hosts, mut secrets, .. } = plan;
    let pairs = Pairs::settle(store, &mut hosts, &mut secrets)?;
    let absent = absent(store, &hosts)?;
    let _running = running::begin(store.path())?;
    let journal = Journal::new(store, clock, actor).keeping(options.keep_versions);
    let run = Run { fleet, journal: &journal, secrets: &secrets, options, progress, shown: Shown::default() };
    progress.expects(&hosts.iter().map(|host| host.host.name.clone()).collect::<Vec<_>>());
    let turns = Turns::of(&hosts, absent, options.canary);
    let gate = |at: usize, host: &HostPlan, ended: &[Option<Result<HostOutcome, Error>>]| {
        let good = |other: usize| Some(ended[other].as_ref()?.as_ref().is_ok_and(|end| end.outcome.is_good()));
        let outcome = turns.instead(at, options, good)?;
        let (host, changes) = (host.host.name.clone(), host.changes().len());
        let outcome = HostOutcome { host, outcome, changes, steps: Vec::new(), notes: Vec::new(), seconds: 0.0 };
        progress.ended(&outcome);
        Some(Ok(outcome))
    };
    let work = |host: HostPlan| {
        let outcome = run.host(host)?;
        progress.ended(&outcome);
        Ok(outcome)
    };
    let outcomes = in_turns(turns.jobs(hosts), options.parallel, gate, work);
    run.note_uses(&secrets);
    let mut outcomes = outcomes.into_iter().collect::<Result<Vec<HostOutcome>, Error>>()?;
    outcomes.sort_by(|a, b| a.host.cmp(&b.host));
    pairs.tell(&mut outcomes);
    Ok(outcomes)
}

/// Returns the hosts of servers and exits that a plan isn't about, as they are to be and as they were left. None while the model
/// contradicts itself: then nobody says what is to be.
fn absent(store: &Store, hosts: &[HostPlan]) -> Result<Vec<Absent>, Error> {
    let topology = store.topology()?;
    let passes = |host: &&Host| {
        let is = |node: &Node| node.host.as_ref() == Some(&host.name) && matches!(node.role, Role::Server | Role::Exit);
        topology.nodes.iter().any(is) && hosts.iter().all(|plan| plan.host.name != host.name)
    };
    let mut others = topology.hosts.iter().filter(passes).peekable();
    if others.peek().is_none() {
        return Ok(Vec::new());
    }
    let Ok(compiled) = ready::compile(store, &topology) else { return Ok(Vec::new()) };
    let mut absent = Vec::new();
    for host in others {
        let of = |config: &&NodeConfig| {
            topology.node(config.node).is_some_and(|node| node.host.as_ref() == Some(&host.name))
        };
        let desired = compiled.iter().filter(of).flat_map(|config| config.interfaces.clone()).collect();
        let deployed = deployed(store, &host.name)?.map_or_else(Vec::new, |deployed| deployed.version.interfaces);
        absent.push(Absent { name: host.name.clone(), desired, deployed });
    }
    Ok(absent)
}

impl Run<'_> {
    fn host(&self, plan: HostPlan) -> Result<HostOutcome, Error> {
        let begun = Instant::now();
        let obstacle = plan.obstacle();
        let HostPlan { host, desired, deployed, seen, .. } = plan;
        let name = host.name.clone();
        let found = seen.as_ref().map_or(0, |seen| seen.changes.len());
        let done = |outcome, steps| HostOutcome {
            host: name.clone(),
            outcome,
            changes: found,
            steps,
            notes: Vec::new(),
            seconds: begun.elapsed().as_secs_f64(),
        };
        let failed = |error: &HostError| Outcome::Failed { reason: error.to_string(), hint: error.hint() };
        let Seen { observed, question, changes, mut connection, asked } = match seen {
            Ok(seen) if seen.changes.is_empty() => return Ok(done(Outcome::Unchanged, Vec::new())),
            Ok(seen) => seen,
            Err(error) => return Ok(done(failed(&error), Vec::new())),
        };
        if let Some(error) = obstacle {
            return Ok(done(failed(&error), Vec::new()));
        }
        let deployed = deployed.as_ref();
        let work = steps(&changes, &desired, self.secrets, deployed, &observed);
        let did: Vec<String> = work.steps.iter().map(|step| step.what.clone()).collect();

        self.progress.reached(&name, Phase::Applying);
        if asked.elapsed() > STALE {
            drop(connection);
            connection = match self.fleet.connect(&host) {
                Ok(connection) => connection,
                Err(error) => return Ok(done(failed(&error.into()), Vec::new())),
            };
        }
        let signs = if self.options.check_handshakes { must_prove(&changes, &observed) } else { Signs::default() };
        let intention = Intention::of(&changes, &work, signs);
        let token = token()?;
        let id = self.journal.begin(&name, &token, &desired.version_json(), &intention, changes.len())?;
        let lasts = self.options.confirm_within;
        let attempt = Attempt {
            host: &host,
            desired: &desired,
            deployed,
            question: &question,
            intention,
            token,
            id,
            begun: Instant::now(),
            lasts: Duration::from_secs(lasts),
            patience: Duration::from_secs(lasts.saturating_sub(lasts / 5).max(3)),
        };
        self.progress.armed(&name, attempt.lasts);
        let sent = Sent { observed: &observed, changes: &changes, work: &work };
        let outcome = match self.apply(&attempt, &sent, connection.as_mut()) {
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

    fn apply(&self, attempt: &Attempt<'_>, sent: &Sent<'_>, connection: &mut dyn Connection) -> Applied {
        let (host, work) = (&attempt.host.name, sent.work);
        let commands: Vec<(String, String)> = work.steps.iter().map(|s| (s.run.clone(), s.undo.clone())).collect();
        let script = fleet::apply(&Staging {
            token: &attempt.token,
            owner: &self.options.owner,
            before: &sent.observed.fingerprint,
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
        let parameters = format!("deploy {}, to be confirmed within {} s", attempt.token, self.options.confirm_within);
        let (id, list) = (Some(attempt.id), logged::of_apply(work));
        let answer = match self.journal.run_steps(host, id, connection, &script, &parameters, &list) {
            Ok(answer) => answer,
            Err(error @ fleet::Error::NotRoot { .. }) => return Applied::Not(error.into()),
            Err(error) => return Applied::Perhaps(error),
        };
        self.read_apply(attempt, sent, connection, &answer)
    }

    fn read_apply(
        &self,
        attempt: &Attempt<'_>,
        sent: &Sent<'_>,
        connection: &mut dyn Connection,
        answer: &Answer,
    ) -> Applied {
        let host = attempt.host.name.clone();
        if let Some((words, body)) = answer.all("busy").next() {
            let seconds = words.first().and_then(|w| w.parse().ok()).unwrap_or(0);
            let owner = String::from_utf8_lossy(body).trim().to_owned();
            return Applied::Not(HostError::Busy { host, owner, seconds });
        }
        if answer.bytes("changed").is_some() {
            let changes = self.what_changed(attempt, sent.changes, connection);
            return Applied::Not(HostError::Changed { host, changes });
        }
        if let Some((words, body)) = answer.all("failed").next() {
            let said = complaint(&String::from_utf8_lossy(body));
            if words.first().is_some_and(|w| w == "step") {
                let number: usize = words.get(1).and_then(|w| w.parse().ok()).unwrap_or(0);
                let step = number.checked_sub(1).and_then(|at| sent.work.steps.get(at));
                let what = step.map_or("a step", |step| step.what.as_str());
                let clean = words.get(2).is_some_and(|w| w == "yes");
                return Applied::TakenBack { reason: format!("could not {what}: {said}"), clean };
            }
            return Applied::Not(HostError::Rejected { host, reason: said });
        }
        match answer.text("dump").map(|text| dump::parse(&zeroize::Zeroizing::new(text))) {
            Some(Ok(live)) => Applied::Yes(After { live, shook: shook(answer) }),
            _ => Applied::Perhaps(fleet::Error::Broken { host, reason: "its answer can't be understood".to_owned() }),
        }
    }

    /// Says what a host has now that the plan didn't know.
    fn what_changed(&self, attempt: &Attempt<'_>, planned: &[Change], connection: &mut dyn Connection) -> Vec<Change> {
        let known: BTreeSet<String> = planned.iter().map(ToString::to_string).collect();
        let now = self.look(attempt, connection, &[]).map(|observed| self.differences(attempt, &observed));
        now.unwrap_or_default().into_iter().filter(|c| !known.contains(&c.to_string())).collect()
    }
}

/// What is sent to a host, and what it was made for.
struct Sent<'a> {
    observed: &'a Observed,
    changes: &'a [Change],
    work: &'a Steps,
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

/// Reads the last handshakes that a host noted before it gave interfaces another key.
fn shook(answer: &Answer) -> Alive {
    let peers = |body: &[u8]| -> BTreeMap<PublicKey, i64> {
        let text = String::from_utf8_lossy(body);
        let line = |line: &str| {
            let (key, time) = line.split_once('\t')?;
            Some((key.parse().ok()?, time.trim().parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    };
    answer.all("shook").filter_map(|(words, body)| Some((words.first()?.parse().ok()?, peers(body)))).collect()
}

/// What a failed command complained about; wg-quick also prints each command it runs, marked `[#]`.
fn complaint(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("[#]")).collect();
    if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("; ") }
}

pub(in crate::ops) fn token() -> Result<String, Error> {
    let mut bytes = [0u8; 12];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
