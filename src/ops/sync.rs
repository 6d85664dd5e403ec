//! Taking changes of the model to hosts without somebody who looks at the plan: after each change, or by a job.
//!
//! Only what is pending is carried out. Where somebody changed something on a host by hand and nobody has acknowledged it,
//! the host is left as it is until a person has looked. Everything else is a deploy as any: checked there first, under
//! the watchdog, taken back when it isn't confirmed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::db::{Database, Store};
use crate::fleet::Fleet;
use crate::model::{Actor, AutoSync, Name, Secrets, Topology};
use crate::ops::clock::Clock;
use crate::ops::deploy::desired::Desired;
use crate::ops::deploy::{self, Cause, Change, HostOutcome, HostPlan, Options, Outcome, Progress};
use crate::ops::drift;
use crate::ops::error::Error;
use crate::wg::compile::compile;
use crate::wg::{InterfaceConfig, PeerConfig};

/// What became of hosts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One entry a host, ordered by name.
    pub hosts: Vec<Synced>,
}

/// What became of a host.
#[derive(Clone, Debug, Serialize)]
pub struct Synced {
    /// Which host.
    pub host: Name,
    /// How the deploy ended; `None` when it was left as it is.
    pub outcome: Option<Outcome>,
    /// How many differences there were.
    pub changes: usize,
    /// Why it was left as it is.
    pub left: Option<Left>,
}

/// Why a host was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Report {
    /// Whether every host is as the model says now.
    pub fn is_good(&self) -> bool {
        self.hosts.iter().all(|host| host.outcome.as_ref().is_some_and(Outcome::is_good))
    }
}

/// Lists the hosts that are synced in a way.
pub fn hosts(topology: &Topology, how: AutoSync) -> Vec<Name> {
    topology.hosts.iter().filter(|host| host.auto_sync == how).map(|host| host.name.clone()).collect()
}

/// What the hosts that follow each change are to have, to compare with later.
#[derive(Debug, Default)]
pub struct Mark {
    state: Option<i64>,
    hosts: BTreeMap<Name, Vec<InterfaceConfig>>,
}

/// Takes note of what the hosts that follow each change are to have now; `None` when there are none.
///
/// # Errors
/// When the database can't be read.
pub fn mark(database: &Database) -> Result<Option<Mark>, Error> {
    let topology = database.topology()?;
    let following = hosts(&topology, AutoSync::OnChange);
    if following.is_empty() {
        return Ok(None);
    }
    let wanted = wanted(&topology);
    let of = |host: Name| (host.clone(), wanted.get(&host).cloned().unwrap_or_default());
    Ok(Some(Mark { state: database.newest_state()?, hosts: following.into_iter().map(of).collect() }))
}

/// Returns what each host is to have; nothing while the model can't be compiled. Names of peers make no difference.
fn wanted(topology: &Topology) -> BTreeMap<Name, Vec<InterfaceConfig>> {
    let mut hosts: BTreeMap<Name, Vec<InterfaceConfig>> = BTreeMap::new();
    for config in compile(topology).unwrap_or_default() {
        if let Some(host) = topology.node(config.node).and_then(|node| node.host.clone()) {
            hosts.entry(host).or_default().extend(config.interfaces.into_iter().map(in_order));
        }
    }
    hosts
}

fn in_order(mut interface: InterfaceConfig) -> InterfaceConfig {
    let nobody: Name = "x".parse().expect("a letter is a name");
    let nameless = |peer: PeerConfig| PeerConfig { name: nobody.clone(), ..peer };
    interface.peers = interface.peers.into_iter().map(nameless).collect();
    interface.peers.sort_by_key(|peer| peer.public_key);
    interface
}

/// Lists the hosts that follow each change and are to have something else than at a mark.
///
/// # Errors
/// When the database can't be read.
pub fn touched(database: &Database, mark: &Mark) -> Result<Vec<Name>, Error> {
    if database.newest_state()? == mark.state {
        return Ok(Vec::new());
    }
    let topology = database.topology()?;
    let now = wanted(&topology);
    let following = hosts(&topology, AutoSync::OnChange).into_iter();
    Ok(following.filter(|host| mark.hosts.get(host) != Some(now.get(host).unwrap_or(&Vec::new()))).collect())
}

/// Takes what is pending to hosts.
///
/// # Errors
/// When the model contradicts itself or the store can't be written. What goes wrong with one host is told of it, and holds
/// up no other.
pub fn sync(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    if only.is_empty() {
        return Ok(Report { hosts: Vec::new() });
    }
    let mut plan = deploy::plan(store, fleet, clock, actor, only, options.parallel, progress)?;
    drift::mark(store, &mut plan, clock.now())?;
    let mut synced = Vec::new();
    let secrets = store.secrets()?;
    let why_not = |host: &HostPlan| why_not(host, &secrets);
    let (left, going): (Vec<HostPlan>, Vec<HostPlan>) =
        std::mem::take(&mut plan.hosts).into_iter().partition(|host| why_not(host).is_some());
    for host in &left {
        let changes = host.changes().len();
        synced.push(Synced { host: host.host.name.clone(), outcome: None, changes, left: why_not(host) });
    }
    plan.hosts = going;
    for HostOutcome { host, outcome, changes, .. } in
        deploy::deploy(store, fleet, clock, actor, plan, options, progress)?
    {
        synced.push(Synced { host, outcome: Some(outcome), changes, left: None });
    }
    synced.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(Report { hosts: synced })
}

/// Says why a host is left as it is.
fn why_not(host: &HostPlan, secrets: &Secrets) -> Option<Left> {
    let name = &host.host.name;
    if let Err(error) = &host.seen {
        return Some(Left { reason: error.to_string(), hint: error.hint() });
    }
    let by_hand = |change: &&Change| change.cause == Cause::Drift && change.acknowledged.is_none();
    let mut changes: Vec<String> = host.changes().iter().filter(by_hand).map(ToString::to_string).collect();
    changes.extend(overtaken(host, secrets).iter().map(ToString::to_string));
    (!changes.is_empty()).then(|| Left {
        reason: format!("somebody changed it by hand: {}", changes.join("; ")),
        hint: Some(format!(
            "`wg-friend deploy {name}` puts it back, `wg-friend drift adopt {name}` takes it over, `wg-friend drift baseline \
             {name} --reason TEXT` lets it be"
        )),
    })
}

/// Returns what somebody changed on a host where the model wants yet something else by now: the plan only says that the
/// host is to change.
fn overtaken(host: &HostPlan, secrets: &Secrets) -> Vec<Change> {
    let (Ok(seen), Some(deployed)) = (&host.seen, &host.deployed) else { return Vec::new() };
    let before = Desired {
        host: host.host.name.clone(),
        interfaces: deployed.version.interfaces.clone(),
        files: deployed.version.files.clone(),
        keys_elsewhere: BTreeSet::new(),
        only: None,
    };
    let place = |change: &Change| (change.interface.clone(), change.kind, change.subject.clone());
    let told: BTreeSet<_> = host.changes().iter().filter(|change| change.cause == Cause::Drift).map(place).collect();
    let mut changes = deploy::diff(&before, secrets, Some(deployed), &seen.observed);
    changes.retain(|change| change.cause == Cause::Drift && !told.contains(&place(change)));
    changes
}
