//! What is written down while hosts are worked on: every script and its steps before it is sent, every deployment before
//! it begins.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::db::{self, DeploymentId, NewStep, Store};
use crate::fleet::{self, Answer, Connection, Script};
use crate::model::{Action, Actor, DeploymentState, Event, Name};
use crate::ops::clock::Clock;

use super::desired::{Deployed, Version};
use super::intention::Intention;
use super::logged::{self, LoggedStep};
use super::only;

/// One store for the threads that each work on a host.
pub(in crate::ops) struct Journal<'a> {
    store: Mutex<&'a mut Store>,
    clock: &'a (dyn Clock + Sync),
    actor: &'a Actor,
    keep: Option<NonZeroU32>,
}

/// What the host looked like when a deploy was confirmed, beside what the deploy brought.
#[derive(Default, Serialize, Deserialize)]
struct Confirmation {
    #[serde(default)]
    tables: BTreeMap<String, String>,
    /// Stands there until the deploy is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intention: Option<Intention>,
}

impl<'a> Journal<'a> {
    pub(in crate::ops) fn new(store: &'a mut Store, clock: &'a (dyn Clock + Sync), actor: &'a Actor) -> Self {
        Self { store: Mutex::new(store), clock, actor, keep: None }
    }

    /// Keeps that many confirmed versions of each host when a deployment ends, and drops older ones.
    pub(super) fn keeping(self, versions: NonZeroU32) -> Self {
        Self { keep: Some(versions), ..self }
    }

    /// What time it is.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Does something with the store while no other thread does.
    pub(in crate::ops) fn with<T>(&self, work: impl FnOnce(&mut Store) -> db::Result<T>) -> db::Result<T> {
        let mut store = self.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&mut store)
    }

    /// Sends a script, and writes down that it will be sent, then how it ended.
    pub(in crate::ops) fn run(
        &self,
        host: &Name,
        deployment: Option<DeploymentId>,
        connection: &mut dyn Connection,
        script: &Script,
    ) -> Result<Answer, fleet::Error> {
        self.run_steps(host, deployment, connection, script, "", &[])
    }

    /// Sends a script that does something step by step, and writes down that and how each ended. `parameters`: what is
    /// the script's own; holds no secret.
    pub(in crate::ops) fn run_steps(
        &self,
        host: &Name,
        deployment: Option<DeploymentId>,
        connection: &mut dyn Connection,
        script: &Script,
        parameters: &str,
        steps: &[LoggedStep],
    ) -> Result<Answer, fleet::Error> {
        // A log that can't be written (disk full, read-only) doesn't keep anyone from looking at a host; the
        // deployment itself is recorded by `begin`, which does have to succeed.
        let now = self.clock.now();
        let new: Vec<NewStep> = steps.iter().map(|step| step.new.clone()).collect();
        let ids = self.with(|s| s.command_begin(host, deployment, script.kind(), parameters, &new, now)).ok();
        let begun = Instant::now();
        let answer = connection.run(script);
        let (good, output, ends) = match &answer {
            Ok(answer) => (answer.bytes("failed").is_none(), summary(answer), logged::ends(steps, answer, now)),
            Err(error) => (false, error.to_string(), logged::unknown_ends(steps, now)),
        };
        if let Some((id, step_ids)) = ids {
            let ends: Vec<_> = step_ids.into_iter().zip(ends).collect();
            let _ = self.with(|s| s.command_end(id, good, &output, begun.elapsed(), &ends));
        }
        answer
    }

    /// Writes down that a deployment begins, with all that is needed to go on with it. Nothing is sent before this is
    /// saved.
    pub(super) fn begin(
        &self,
        host: &Name,
        token: &str,
        version: &[u8],
        intention: &Intention,
        changes: usize,
    ) -> db::Result<DeploymentId> {
        let event = Event::host(Action::DeployStarted, host).with("token", token).with("changes", changes);
        let (now, operator) = (self.clock.now(), self.actor.operator.as_str());
        let noted = Confirmation { intention: Some(intention.clone()), ..Confirmation::default() };
        let noted = serde_json::to_string(&noted).expect("text is representable");
        self.with(|s| {
            s.write(now, self.actor, |tx| {
                let id = tx.begin_deployment(host, token, operator, now, version)?;
                tx.save_observed(id, &noted)?;
                Ok((id, event))
            })
        })
    }

    /// Writes down how a deployment ended. `tables`: how the host lists its nftables tables.
    pub(super) fn finish(
        &self,
        host: &Name,
        id: DeploymentId,
        state: DeploymentState,
        note: Option<&str>,
        tables: Option<&BTreeMap<String, String>>,
    ) -> db::Result<()> {
        let action = if state == DeploymentState::Confirmed { Action::ConfigDeployed } else { Action::DeployFailed };
        let mut event = Event::host(action, host).with("state", state.as_str());
        if let Some(note) = note {
            event = event.with("note", note);
        }
        let tables = tables.map(|listed| self.with(|s| tables_of(s, host, id, listed))).transpose()?;
        let confirmation = tables.map(|tables| Confirmation { tables, intention: None });
        let observed = confirmation.map(|c| serde_json::to_string(&c).expect("text is representable"));
        let now = self.clock.now();
        self.with(|s| {
            s.write(now, self.actor, |tx| {
                tx.finish_deployment(id, state, now, note, self.keep)?;
                if let Some(observed) = &observed {
                    tx.save_observed(id, observed)?;
                }
                Ok(((), event))
            })
        })
    }
}

/// Says in a line or two what an answer came to; observations are only named.
fn summary(answer: &Answer) -> String {
    for outcome in ["failed", "busy", "changed", "gone", "undone", "confirmed", "applied"] {
        if let Some((words, body)) = answer.all(outcome).next() {
            let body = String::from_utf8_lossy(body);
            return format!("{outcome} {} {}", words.join(" "), body.trim()).trim().to_owned();
        }
    }
    "answered".to_owned()
}

/// Returns what is noted of a host whose tables are listed so.
pub(in crate::ops) fn noting(tables: &BTreeMap<String, String>) -> String {
    let confirmation = Confirmation { tables: tables.clone(), intention: None };
    serde_json::to_string(&confirmation).expect("text is representable")
}

/// Returns how a host lists its tables once a deploy is confirmed.
fn tables_of(
    store: &Store,
    host: &Name,
    id: DeploymentId,
    listed: &BTreeMap<String, String>,
) -> db::Result<BTreeMap<String, String>> {
    let version: Version = read_version(&store.deployed_content(id)?)?;
    let before = deployed(store, host)?.unwrap_or_default();
    Ok(only::tables(version.only.as_ref(), listed, before.tables))
}

/// Reads what a deploy brought: the [`Version`], or a part of it.
pub(super) fn read_version<T: DeserializeOwned>(content: &[u8]) -> db::Result<T> {
    let unreadable = |_| db::Error::Value { table: "deployments", column: "sealed_content".to_owned() };
    serde_json::from_slice(content).map_err(unreadable)
}

fn noted(store: &Store, id: DeploymentId) -> db::Result<Confirmation> {
    let unreadable = |_| db::Error::Value { table: "deployments", column: "sealed_observed".to_owned() };
    let Some(text) = store.observed(id)? else { return Ok(Confirmation::default()) };
    serde_json::from_str(&text).map_err(unreadable)
}

/// Reads what a deploy that was begun is judged by.
pub(super) fn intention(store: &Store, id: DeploymentId) -> db::Result<Intention> {
    Ok(noted(store, id)?.intention.unwrap_or_default())
}

/// Returns what the last confirmed deploy left on a host.
pub(in crate::ops) fn deployed(store: &Store, host: &Name) -> db::Result<Option<Deployed>> {
    let Some((id, content)) = store.deployed(host)? else { return Ok(None) };
    let version = read_version(&content)?;
    let mut confirmation = noted(store, id)?;
    confirmation.tables.values_mut().for_each(|table| *table = fleet::in_order(table)); // as those of a host are read
    Ok(Some(Deployed { version, tables: confirmation.tables }))
}
