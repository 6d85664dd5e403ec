//! Asking hosts for their state, many at once, and comparing it with the model.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::db::Store;
use crate::fleet::{self, Connection, Fleet, Observed, Question};
use crate::model::{Actor, Host, Name, Secrets};
use crate::ops::clock::Clock;
use crate::ops::error::{Error, similar};
use crate::wg::compile;

use super::change::Change;
use super::desired::{Deployed, Desired, question};
use super::diff::diff;
use super::error::HostError;
use super::journal::Journal;
use super::reconcile::{Interrupted, reconcile};
use super::run::Phase;

/// Hears how far each host is.
pub trait Progress: Sync {
    /// A host has come to a phase.
    fn reached(&self, host: &Name, phase: Phase);
}

/// Hears and says nothing.
pub struct Silent;

impl Progress for Silent {
    fn reached(&self, _: &Name, _: Phase) {}
}

/// What would change on each host.
pub struct Plan {
    /// One entry a host, ordered by name.
    pub hosts: Vec<HostPlan>,
    /// The secrets that the desired files were made with.
    pub(super) secrets: Secrets,
}

/// What would change on one host.
pub struct HostPlan {
    /// Which host.
    pub host: Host,
    /// What it should have.
    pub desired: Desired,
    /// What the last confirmed deploy left there.
    pub deployed: Option<Deployed>,
    /// What it has, or why nobody knows.
    pub seen: Result<Seen, HostError>,
    /// Deploys that had been interrupted, and what became of them.
    pub interrupted: Vec<Interrupted>,
}

/// A host that answered.
pub struct Seen {
    /// Its state.
    pub observed: Observed,
    /// What was asked.
    pub question: Question,
    /// What differs.
    pub changes: Vec<Change>,
    /// The connection, kept for the deploy that may follow.
    pub(super) connection: Box<dyn Connection>,
}

impl HostPlan {
    /// Returns what differs; nothing when the host didn't answer.
    pub fn changes(&self) -> &[Change] {
        self.seen.as_ref().map_or(&[], |seen| &seen.changes)
    }
}

impl Plan {
    /// The same plan with other secrets, for whoever has changed what it wants.
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Whether every host answered and none differs.
    pub fn is_empty(&self) -> bool {
        self.hosts.iter().all(|h| h.seen.as_ref().is_ok_and(|s| s.changes.is_empty()))
    }

    /// How many hosts gave no answer that can be used.
    pub fn failed(&self) -> usize {
        self.hosts.iter().filter(|h| h.seen.is_err()).count()
    }
}

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
    let compiled = compile::compile(&topology).map_err(Error::Model)?;
    let secrets = store.secrets()?;
    for name in only {
        if topology.host(name).is_none() {
            let similar = similar(name.as_str(), topology.hosts.iter().map(|h| &h.name));
            return Err(Error::UnknownHost { name: name.to_string(), similar });
        }
    }
    let mut jobs = Vec::new();
    for host in topology.hosts.iter().filter(|h| only.is_empty() || only.contains(&h.name)) {
        let desired = Desired::of(&host.name, &topology, &compiled, &secrets);
        let deployed = super::journal::deployed(store, &host.name)?;
        if desired.interfaces.is_empty() && deployed.as_ref().is_none_or(|d| d.version.interfaces.is_empty()) {
            continue; // nothing of ours is there, and nothing is to come
        }
        let keyless = desired.interfaces.iter().find(|i| !secrets.private.contains_key(&i.id));
        let keyless =
            keyless.and_then(|i| topology.nodes.iter().find(|n| n.interfaces.iter().any(|own| own.id == i.id)));
        jobs.push((host.clone(), desired, deployed, keyless.map(|n| n.name.clone())));
    }
    let journal = Journal::new(store, clock, actor);
    let done: Vec<Mutex<Option<HostPlan>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let queue = Mutex::new(jobs.into_iter().map(Some).collect::<Vec<_>>());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, done.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(slot) = done.get(at) else { break };
                    let job = queue.lock().expect("no thread panics with the queue").get_mut(at).and_then(Option::take);
                    let Some((host, desired, deployed, keyless)) = job else { break };
                    progress.reached(&host.name, Phase::Observing);
                    let seen = match keyless {
                        Some(node) => Err(HostError::KeyElsewhere { node }),
                        None => observe(fleet, &journal, &host, &desired, &secrets, deployed.as_ref()),
                    };
                    progress.reached(&host.name, Phase::Observed);
                    let interrupted = Vec::new();
                    let plan = HostPlan { host, desired, deployed, seen, interrupted };
                    *slot.lock().expect("no thread panics with a slot") = Some(plan);
                }
            });
        }
    });
    let mut hosts: Vec<HostPlan> =
        done.into_iter().filter_map(|slot| slot.into_inner().expect("no thread panics with a slot")).collect();
    for host in &mut hosts {
        host.interrupted = reconcile(&journal, host, &secrets)?;
    }
    Ok(Plan { hosts, secrets })
}

fn observe(
    fleet: &dyn Fleet,
    journal: &Journal<'_>,
    host: &Host,
    desired: &Desired,
    secrets: &Secrets,
    deployed: Option<&Deployed>,
) -> Result<Seen, HostError> {
    let question = question(desired, deployed);
    let mut connection = fleet.connect(host)?;
    let script = fleet::observe(&question, &[]);
    let answer = journal.run(&host.name, None, connection.as_mut(), &script, "")?;
    let observed = fleet::read_observation(&answer, &question)
        .map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })?;
    let mut missing = observed.system.missing();
    if desired.interfaces.iter().any(|i| i.firewall.is_some()) && !observed.system.tools.contains("nft") {
        missing.push(("nft", "nftables"));
    }
    // Without it `wg-quick up` fails at the very end and takes the interface away again.
    if desired.interfaces.iter().any(|i| !i.dns.is_empty()) && !observed.system.tools.contains("resolvconf") {
        return Err(HostError::NoResolver { host: host.name.clone() });
    }
    if !missing.is_empty() {
        return Err(HostError::Tools { host: host.name.clone(), missing });
    }
    let changes = diff(desired, secrets, deployed, &observed);
    Ok(Seen { observed, question, changes, connection })
}
