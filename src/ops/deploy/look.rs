//! Asking hosts for their state, many at once, and comparing it with the model.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::db::{Deployment, Store};
use crate::fleet::{self, Fingerprint, Fleet, Observed};
use crate::model::{Actor, Host, InterfaceName, Name, Secrets, Topology};
use crate::ops::clock::Clock;
use crate::ops::error::{Error, similar};
use crate::ops::network::find;
use crate::ops::parallel::each;
use crate::ops::rotation::settle::settle;
use crate::ops::rotation::{overlap, ready};
use crate::ops::{revision, traffic};
use crate::wg::{InterfaceConfig, NodeConfig};

use super::desired::{Deployed, Desired, question};
use super::diff::diff;
use super::error::HostError;
use super::journal::Journal;
use super::pending::note_agreement;
use super::plan::{HostPlan, Plan, Seen};
use super::progress::{Phase, Progress};
use super::reconcile::{ON_ITS_WAY, may_still_arrive, reconcile};
use super::running;
use super::shared;

/// Observes `only` these hosts (all when empty), at most `parallel` at once, and compares them with the model.
///
/// # Errors
/// When the model contradicts itself or a name isn't a host's. A host that can't be reached is an entry in the plan.
pub fn plan(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let topology = store.topology()?;
    let compiled = ready::compile(store, &topology)?;
    let secrets = store.secrets()?;
    for name in only {
        if topology.host(name).is_none() {
            let similar = similar(name.as_str(), topology.hosts.iter().map(|h| &h.name));
            return Err(Error::UnknownHost { name: name.to_string(), similar });
        }
    }
    let mut jobs = Vec::new();
    for host in topology.hosts.iter().filter(|h| only.is_empty() || only.contains(&h.name)) {
        jobs.extend(job(store, (&topology, &compiled, &secrets), host, None)?);
    }
    // What hosts say of large networks takes as much memory again.
    drop((topology, compiled));
    let plan = look(store, fleet, clock, actor, jobs, secrets, parallel, progress)?;
    let plan = after_rotations(store, clock, actor, plan, progress)?;
    // What isn't noted now, as on a disk that is full, the next look notes: it keeps nobody from looking.
    let _ = note_agreement(store, clock.now(), actor, &plan.hosts);
    let plan = Plan { follow: ready::soon(store, &plan.hosts)?, ..plan };
    Ok(Plan { devices: revision::needed(store)?, ..plan })
}

/// Goes by the next keys that hosts show to be in use, and compares the hosts with the model that has them.
fn after_rotations(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    plan: Plan,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let rotated = settle(store, clock, actor, &plan.hosts, progress)?;
    let ended = overlap::end(store, clock, actor, &plan.hosts)?;
    if rotated.is_empty() && !ended {
        return Ok(plan);
    }
    let topology = store.topology()?;
    let compiled = ready::compile(store, &topology)?;
    let secrets = store.secrets()?;
    let mut hosts = plan.hosts;
    for host in &mut hosts {
        let Some(job) = job(store, (&topology, &compiled, &secrets), &host.host, None)? else { continue };
        (host.desired, host.deployed) = (job.desired, job.deployed);
        if let Ok(seen) = &mut host.seen {
            seen.changes = diff(&host.desired, &secrets, host.deployed.as_ref(), &seen.observed);
        }
    }
    Ok(Plan { hosts, rotated, secrets, ..plan })
}

/// Observes one host and compares it with `topology`, which may be one that isn't saved yet; `only` some of its
/// interfaces when they are given, whatever has become of the others.
///
/// # Errors
/// When that topology contradicts itself. A host that can't be reached is an entry in the plan.
#[expect(clippy::too_many_arguments, reason = "what it touches, what it looks for, and how")]
pub fn plan_for(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    topology: &Topology,
    host: &Name,
    only: Option<&BTreeSet<InterfaceName>>,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let compiled = ready::compile(store, topology)?;
    let secrets = store.secrets()?;
    let host = find::host(topology, host.as_str())?;
    let job = job(store, (topology, &compiled, &secrets), host, only)?;
    look(store, fleet, clock, actor, job.into_iter().collect(), secrets, 1, progress)
}

/// Says what a host is to be compared with; `None` when nothing of ours is there and nothing is to come.
pub(super) fn job(
    store: &Store,
    (topology, compiled, secrets): (&Topology, &[NodeConfig], &Secrets),
    host: &Host,
    only: Option<&BTreeSet<InterfaceName>>,
) -> Result<Option<Job>, Error> {
    let mut desired = Desired::of(&host.name, topology, compiled, secrets);
    let deployed = super::journal::deployed(store, &host.name)?;
    let own = shared::own(store, &desired, deployed.as_ref())?;
    let nothing = match &own {
        Some(own) => own.is_empty(),
        None => desired.interfaces.is_empty() && deployed.as_ref().is_none_or(|d| d.version.interfaces.is_empty()),
    };
    if nothing {
        return Ok(None);
    }
    let only = only.or(own.as_ref());
    // An adopted interface may get its key from a hook: then its own file says so.
    let keyless = |i: &&InterfaceConfig| {
        let has_key = secrets.private_of(i.id, i.public_key).is_some() || secrets.documents.contains_key(&i.id);
        let has_key = has_key || i.key_file.is_some();
        !has_key && only.is_none_or(|only| only.contains(&i.name))
    };
    let keyless = desired.interfaces.iter().find(keyless);
    let keyless = keyless.and_then(|i| topology.nodes.iter().find(|n| n.interfaces.iter().any(|own| own.id == i.id)));
    let keyless = keyless.map(|node| node.name.clone());
    if let Some(only) = only {
        desired = desired.restricted_to(only.clone(), deployed.as_ref());
    }
    Ok(Some(Job { host: host.clone(), desired, deployed, keyless, before: None }))
}

/// A host to look at.
pub(super) struct Job {
    pub(super) host: Host,
    /// What it is compared with.
    pub(super) desired: Desired,
    pub(super) deployed: Option<Deployed>,
    /// A node on it whose key isn't here.
    pub(super) keyless: Option<Name>,
    /// An earlier state that this one is to be compared with.
    pub(super) before: Option<Fingerprint>,
}

/// Observes hosts and compares each with what is desired there.
#[expect(clippy::too_many_arguments, reason = "what it touches, what it looks for, and how")]
pub(super) fn look(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    jobs: Vec<Job>,
    secrets: Secrets,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let database = store.path().to_owned();
    // What somebody does who is at work is not ours to judge.
    let open = running::nobody(&database).map(|_| store.open_deployments()).transpose()?.unwrap_or_default();
    let journal = Journal::new(store, clock, actor);
    progress.expects(&jobs.iter().map(|job| job.host.name.clone()).collect::<Vec<_>>());
    let mut hosts = each(jobs, parallel, |Job { host, desired, deployed, keyless, before }| {
        progress.reached(&host.name, Phase::Observing);
        let seen = match keyless {
            Some(node) => Err(HostError::KeyElsewhere { node }),
            None => {
                let newest = open.iter().rfind(|deployment| deployment.host == host.name);
                observe(fleet, &journal, &host, (&desired, &secrets, deployed.as_ref()), before.as_ref(), newest)
            }
        };
        progress.reached(&host.name, Phase::Observed);
        HostPlan { host, desired, deployed, seen, interrupted: Vec::new() }
    });
    if let Some(_nobody_deploys) = running::nobody(&database) {
        for host in &mut hosts {
            host.interrupted = reconcile(&journal, host, &secrets)?;
        }
    }
    let now = clock.now();
    let observed = || hosts.iter().filter_map(|host| host.seen.as_ref().ok()).map(|seen| (&seen.observed, now));
    // What isn't noted now, as on a disk that is full, the next look notes: it keeps nobody from looking.
    let _ = revision::seen::note(store, &secrets, observed());
    let _ = traffic::note(store, observed());
    Ok(Plan { hosts, devices: Vec::new(), rotated: Vec::new(), follow: Vec::new(), secrets })
}

fn observe(
    fleet: &dyn Fleet,
    journal: &Journal<'_>,
    host: &Host,
    (desired, secrets, deployed): (&Desired, &Secrets, Option<&Deployed>),
    before: Option<&Fingerprint>,
    open: Option<&Deployment>,
) -> Result<Seen, HostError> {
    let question = question(desired, deployed);
    let mut connection = fleet.connect(host)?;
    let script = match before {
        None => fleet::observe(&question, &[]),
        Some(before) => fleet::observe_again(&question, before),
    };
    let mut ask = || -> Result<Observed, fleet::Error> {
        let answer = journal.run(&host.name, None, connection.as_mut(), &script)?;
        fleet::read_observation(&answer, &question)
            .map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })
    };
    let mut observed = ask()?;
    if open.is_some_and(|open| may_still_arrive(open, &observed, journal.now())) {
        std::thread::sleep(ON_ITS_WAY);
        observed = ask()?;
    }
    let mut missing = observed.system.missing();
    // Without it nobody sees the tables that are there either.
    if !question.tables.is_empty() && !observed.system.tools.contains("nft") {
        missing.push(("nft", "nftables"));
    }
    // Without it `wg-quick up` fails at the very end and takes the interface away again.
    if desired.interfaces.iter().any(|i| !i.dns.is_empty()) && !observed.system.tools.contains("resolvconf") {
        return Err(HostError::NoResolver { host: host.name.clone() });
    }
    if !missing.is_empty() {
        return Err(HostError::Tools { host: host.name.clone(), missing });
    }
    if let Some(interface) = somebody_elses(desired, deployed, secrets, &observed) {
        return Err(HostError::Taken { host: host.name.clone(), interface });
    }
    let changes = diff(desired, secrets, deployed, &observed);
    Ok(Seen { observed, question, changes, connection, asked: Instant::now() })
}

/// Returns an interface that the host has already and that isn't ours: nothing of that name was ever deployed there, and
/// what runs or lies there holds another key.
fn somebody_elses(
    desired: &Desired,
    deployed: Option<&Deployed>,
    secrets: &Secrets,
    observed: &Observed,
) -> Option<InterfaceName> {
    let new = desired.interfaces.iter().filter(|i| deployed.is_none_or(|d| d.interface(&i.name).is_none()));
    let foreign = new.filter(|interface| {
        let keys: Vec<_> = interface
            .keys()
            .filter_map(|public| Some(secrets.private_of(interface.id, public)?.expose_base64()))
            .collect();
        let in_file = |content: &[u8]| keys.iter().any(|k| content.windows(k.len()).any(|w| w == k.as_bytes()));
        let runs = observed.interfaces.get(&interface.name);
        let lies = observed.files.get(&format!("{}.conf", interface.name));
        runs.is_some_and(|seen| seen.live.public_key.is_some_and(|k| interface.keys().all(|own| own != k)))
            || lies.is_some_and(|file| !in_file(&file.content))
    });
    foreign.map(|interface| interface.name.clone()).next()
}
