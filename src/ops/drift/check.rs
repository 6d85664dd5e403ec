//! Looking for drift: a plan, of which only what was made on the hosts counts. Every look is written down.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Acknowledgement, Database, DriftItem, Scan, Store};
use crate::fleet::Fleet;
use crate::model::{Actor, Name, ScanOutcome, Severity};
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, HostPlan, Phase, Plan, Progress};
use crate::ops::error::Error;

use super::item::items;
use super::kept_since;

/// What a look at hosts found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When it began.
    pub time: DateTime<Utc>,
    /// One entry a host, ordered by name.
    pub hosts: Vec<HostDrift>,
    /// Differences that somebody made on a host and nobody has acknowledged.
    pub items: usize,
    /// How many of them are critical.
    pub critical: usize,
    /// Differences that are acknowledged.
    pub acknowledged: usize,
    /// Hosts of which nobody knows.
    pub unknown: usize,
}

/// What was found on one host.
#[derive(Clone, Debug, Serialize)]
pub struct HostDrift {
    /// Which host.
    pub host: Name,
    /// What became of it.
    pub outcome: ScanOutcome,
    /// Whether anything was ever deployed there; until then nothing can drift.
    pub deployed: bool,
    /// How long it took to answer.
    pub milliseconds: u64,
    /// What somebody changed there, the most serious first.
    pub items: Vec<ItemView>,
    /// Why nothing is known.
    pub error: Option<String>,
    /// What to do about that, or before what was found can be mended.
    pub hint: Option<String>,
}

/// A piece of drift as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ItemView {
    /// What it is.
    #[serde(flatten)]
    pub item: DriftItem,
    /// Whether it doesn't count, and why.
    pub acknowledged: Option<Acknowledged>,
}

/// That somebody has acknowledged it.
#[derive(Clone, Debug, Serialize)]
pub struct Acknowledged {
    /// Why.
    pub reason: String,
    /// Who.
    pub operator: String,
    /// Until when; `None` is for good.
    pub until: Option<DateTime<Utc>>,
}

/// Looks at `only` these hosts (all when empty), at most `parallel` at once, and writes down what it finds.
///
/// # Errors
/// When the model contradicts itself, a name isn't a host's, or the store can't be written. A host that gives no answer is
/// an entry, and never counts as not drifted.
pub fn check(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let begun = clock.now();
    let watch = Stopwatch { clock, progress, times: Mutex::default() };
    let plan = deploy::plan(store, fleet, clock, actor, only, parallel, &watch)?;
    let times = watch.times.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let acks = counting(store, begun)?;
    let hosts: Vec<HostDrift> = plan.hosts.iter().map(|host| host_drift(host, &acks, &times)).collect();
    let scans: Vec<(Scan, Vec<DriftItem>)> = hosts.iter().map(|host| record(host, begun)).collect();
    store.record_drift(&scans, kept_since(begun))?;
    let items = || hosts.iter().flat_map(|host| &host.items);
    let counted = |item: &&ItemView| item.acknowledged.is_none();
    Ok(Report {
        time: begun,
        items: items().filter(counted).count(),
        critical: items().filter(counted).filter(|view| view.item.severity == Severity::Critical).count(),
        acknowledged: items().filter(|view| view.acknowledged.is_some()).count(),
        unknown: hosts.iter().filter(|host| host.outcome == ScanOutcome::Unknown).count(),
        hosts,
    })
}

/// Marks in a plan what somebody has acknowledged.
///
/// # Errors
/// When the store can't be read.
pub fn mark(database: &Database, plan: &mut Plan, now: DateTime<Utc>) -> Result<(), Error> {
    let acks = counting(database, now)?;
    for host in &mut plan.hosts {
        for found in items(host) {
            let Some(ack) = acks.get(&(host.host.name.clone(), found.item.id)) else { continue };
            let Ok(seen) = &mut host.seen else { continue };
            for place in found.changes {
                seen.changes[place].acknowledged = Some(ack.reason.clone());
            }
        }
    }
    Ok(())
}

type Acks = BTreeMap<(Name, String), Acknowledgement>;

/// Returns the acknowledgements that count.
fn counting(database: &Database, now: DateTime<Utc>) -> Result<Acks, Error> {
    let acks = database.drift_acks(None)?.into_iter().filter(|ack| ack.counts_at(now));
    Ok(acks.map(|ack| ((ack.host.clone(), ack.item.id.clone()), ack)).collect())
}

fn host_drift(plan: &HostPlan, acks: &Acks, times: &Times) -> HostDrift {
    let host = plan.host.name.clone();
    let view = |item: DriftItem| {
        let ack = acks.get(&(host.clone(), item.id.clone()));
        let acknowledged = ack.map(|ack| Acknowledged {
            reason: ack.reason.clone(),
            operator: ack.operator.clone(),
            until: ack.until,
        });
        ItemView { item, acknowledged }
    };
    let mut views: Vec<ItemView> = items(plan).into_iter().map(|found| view(found.item)).collect();
    views.sort_by_key(|view| (view.acknowledged.is_some(), std::cmp::Reverse(view.item.severity)));
    let error = plan.seen.as_ref().err();
    let obstacle = plan.obstacle();
    let outcome = match error {
        Some(_) => ScanOutcome::Unknown,
        None if views.iter().any(|view| view.acknowledged.is_none()) => ScanOutcome::Drift,
        None => ScanOutcome::Clean,
    };
    let took = times.get(&host).and_then(|(begun, ended)| (*ended - *begun).to_std().ok()).unwrap_or_default();
    HostDrift {
        outcome,
        deployed: plan.deployed.is_some(),
        milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        items: views,
        error: error.map(ToString::to_string),
        hint: error.or(obstacle.as_ref()).and_then(deploy::HostError::hint),
        host,
    }
}

fn record(host: &HostDrift, time: DateTime<Utc>) -> (Scan, Vec<DriftItem>) {
    let acknowledged = host.items.iter().filter(|view| view.acknowledged.is_some()).count();
    let scan = Scan {
        host: host.host.clone(),
        time,
        duration: Duration::from_millis(host.milliseconds),
        outcome: host.outcome,
        items: host.items.len() - acknowledged,
        acknowledged,
        note: host.error.clone(),
    };
    (scan, host.items.iter().map(|view| view.item.clone()).collect())
}

/// When each host was asked and when it had answered.
type Times = BTreeMap<Name, (DateTime<Utc>, DateTime<Utc>)>;

/// Takes the time of each host, and passes on what it hears.
struct Stopwatch<'a> {
    clock: &'a (dyn Clock + Sync),
    progress: &'a dyn Progress,
    times: Mutex<Times>,
}

impl Progress for Stopwatch<'_> {
    fn reached(&self, host: &Name, phase: Phase) {
        let now = self.clock.now();
        let mut times = self.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        times.entry(host.clone()).or_insert((now, now)).1 = now;
        drop(times);
        self.progress.reached(host, phase);
    }

    fn warns(&self, text: &str) {
        self.progress.warns(text);
    }
}
