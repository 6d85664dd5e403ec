//! From the moment that a host has changed until it is known how it ended: looking over a new connection, confirming,
//! taking back, or waiting until the host has done so.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::db::DeploymentId;
use crate::fleet::{self, Connection, Fingerprint, Fleet, Observed, Question, read_observation};
use crate::model::{DeploymentState, Host, InterfaceName, Secrets};
use crate::ops::error::Error;
use crate::ops::{revision, traffic};

use super::change::Change;
use super::desired::{Deployed, Desired};
use super::diff::diff;
use super::intention::Intention;
use super::journal::Journal;
use super::logged;
use super::outcome::{Options, Outcome};
use super::progress::{Phase, Progress};
use super::proof::{After, counts_before_confirming, names_of_peers, not_confirmed, nudge, proven, silence};

use std::net::IpAddr;

/// What hosts are worked on with.
pub(super) struct Run<'a> {
    pub(super) fleet: &'a dyn Fleet,
    pub(super) journal: &'a Journal<'a>,
    pub(super) secrets: &'a Secrets,
    pub(super) options: &'a Options,
    pub(super) progress: &'a dyn Progress,
    /// What hosts showed when they were confirmed, and when.
    pub(super) shown: Shown,
}

/// Observations from all threads: the handshakes in them prove which files devices use.
#[derive(Default)]
pub(super) struct Shown(Mutex<Vec<(Observed, DateTime<Utc>)>>);

impl Shown {
    fn keep(&self, observed: Observed, now: DateTime<Utc>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((observed, now));
    }
}

/// One deploy on one host.
pub(super) struct Attempt<'a> {
    pub(super) host: &'a Host,
    pub(super) desired: &'a Desired,
    pub(super) deployed: Option<&'a Deployed>,
    pub(super) question: &'a Question,
    pub(super) intention: Intention,
    pub(super) token: String,
    pub(super) id: DeploymentId,
    pub(super) begun: Instant,
    /// How long after it was begun the host decides by itself.
    pub(super) lasts: Duration,
    /// How long after it was begun it has to show what was intended.
    pub(super) patience: Duration,
}

enum Judgement {
    Good(Fingerprint),
    Not(String),
    Gone(Box<Observed>),
}

impl Run<'_> {
    /// Notes which files devices have proved to use, and what counters show. What isn't noted now, the next look notes.
    pub(super) fn note_uses(&self, secrets: &Secrets) {
        let shown = std::mem::take(&mut *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner));
        let shown = || shown.iter().map(|(observed, time)| (observed, *time));
        let _ = self.journal.with(|store| revision::seen::note(store, secrets, shown()));
        let _ = self.journal.with(|store| traffic::note(store, shown()));
    }

    /// Looks at the host over a new connection until it shows what was intended, then confirms.
    pub(super) fn confirm(&self, attempt: &Attempt<'_>, after: &After) -> Result<Outcome, Error> {
        self.progress.reached(&attempt.host.name, Phase::Confirming);
        let passed = attempt.begun.elapsed();
        // The host counts whole seconds from when it armed its watchdog, so its time may be over before ours is.
        let late = (passed >= attempt.lasts / 2).then_some(passed);
        let mut doubt: Option<String> = None;
        loop {
            let asked = Instant::now();
            let stopping = self.options.stop.is_asked();
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
            if stopping || attempt.begun.elapsed() >= attempt.patience {
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
        let nudge = nudge(&attempt.desired.interfaces, &attempt.intention.alive);
        let observed = self.look(attempt, connection, &nudge)?;
        if observed.pending.as_ref().is_none_or(|p| p.token != attempt.token || p.deciding) {
            return Ok(Judgement::Gone(Box::new(observed)));
        }
        let left: Vec<String> = self
            .differences(attempt, &observed)
            .iter()
            .filter(|change| counts_before_confirming(change, &attempt.intention.endpoints))
            .map(Change::with_place)
            .collect();
        if !left.is_empty() {
            return Ok(Judgement::Not(format!("the host does not show what was intended: {}", left.join("; "))));
        }
        let Intention { alive, by_handshake, .. } = &attempt.intention;
        let is_proven = |(name, peers)| proven((name, peers), by_handshake.contains(name), &observed, after);
        if let Some((name, peers)) = alive.iter().find(|of_one| !is_proven(*of_one)) {
            let names = names_of_peers(attempt.desired.interface(name), peers);
            return Ok(Judgement::Not(format!(
                "no handshake on {name} since, with none of those that were alive before: {names}"
            )));
        }
        let fingerprint = observed.fingerprint.clone();
        self.shown.keep(observed, self.journal.now());
        Ok(Judgement::Good(fingerprint))
    }

    fn commit(
        &self,
        attempt: &Attempt<'_>,
        connection: &mut dyn Connection,
        fingerprint: &Fingerprint,
    ) -> Result<Outcome, Error> {
        let host = &attempt.host.name;
        // A log that can't be signed doesn't keep a deploy from being confirmed: verifying it says why.
        let head = self.journal.with(|store| store.signed_head(self.journal.now())).ok();
        let text = head.as_ref().map(ToString::to_string).unwrap_or_default();
        let head = fleet::Head { log: head.as_ref().map_or("", |head| head.database()), text: &text };
        let script = fleet::commit(&attempt.token, fingerprint, attempt.question, head);
        let (id, list) = (Some(attempt.id), logged::of_commit(&attempt.intention));
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
    pub(super) fn wait_for_the_watchdog(&self, attempt: &Attempt<'_>, reason: String) -> Result<Outcome, Error> {
        self.progress.reached(&attempt.host.name, Phase::Reverting);
        let give_up = attempt.lasts + self.options.host_timeout;
        loop {
            if let Ok(mut connection) = self.fleet.connect(attempt.host)
                && let Ok(observed) = self.look(attempt, connection.as_mut(), &[])
                && observed.pending.as_ref().is_none_or(|p| p.token != attempt.token)
            {
                return self.settle_for(attempt, &observed, reason);
            }
            if self.options.stop.is_asked() || attempt.begun.elapsed() >= give_up {
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

    pub(super) fn reverted(&self, attempt: &Attempt<'_>, reason: String, clean: bool) -> Result<Outcome, Error> {
        let name = &attempt.host.name;
        self.journal.finish(name, attempt.id, DeploymentState::Reverted, Some(&reason), None)?;
        Ok(Outcome::Reverted { reason, clean })
    }

    pub(super) fn look(
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

    pub(super) fn differences(&self, attempt: &Attempt<'_>, observed: &Observed) -> Vec<Change> {
        diff(attempt.desired, self.secrets, attempt.deployed, observed)
    }
}
