//! One interface of a host carried out at once: brought to what the model says, switched on or off, taken away.
//!
//! The model follows the host: what is wanted is planned and deployed as if the model said it already, and only when the
//! host has confirmed it does the model say so. What fails leaves both as they were.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::db::Store;
use crate::fleet::Fleet;
use crate::model::{Actor, InterfaceId, InterfaceName, Kept, Name, Port, Run, Topology};
use crate::ops::clock::Clock;
use crate::ops::deploy::found::{self, Copy};
use crate::ops::deploy::{self, HostPlan, Outcome, Plan, Progress};
use crate::ops::error::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::interface::{Assignment, Leave, set};
use crate::wg::compile::compile;

use super::find;

/// What to do with an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Bring it to what the model says.
    Sync,
    /// Let it run, now and at boot.
    Enable,
    /// Take it down, also at boot. Its file stays.
    Disable,
    /// Take it away from the host. The model keeps it.
    Delete,
}

impl Turn {
    /// Whether it is meant to run then; `None` is as the model says.
    fn run(self) -> Option<Run> {
        match self {
            Self::Sync => None,
            Self::Enable => Some(Run::Boot),
            Self::Disable => Some(Run::Off),
            Self::Delete => Some(Run::Gone),
        }
    }

    /// Whether it goes down by that.
    fn takes_down(self) -> bool {
        matches!(self, Self::Disable | Self::Delete)
    }
}

/// What an interface was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Before {
    /// Whether it was meant to run.
    pub run: Run,
    /// Whether it ran; `None` when the host gave no answer.
    pub up: Option<bool>,
    /// Whether it started at boot.
    pub at_boot: Option<bool>,
    /// The port it had, while it ran.
    pub listen_port: Option<Port>,
    /// The peers it had, while it ran.
    pub peers: Option<usize>,
    /// How many differences the host had from what was deployed, that somebody made there.
    pub drift: usize,
}

/// What is done, and to which interface.
#[derive(Clone, Debug)]
pub struct Task {
    /// Where.
    pub host: Name,
    /// Which.
    pub interface: InterfaceName,
    /// Whose.
    pub node: Name,
    /// What it was.
    pub before: Before,
    turn: Turn,
}

/// An interface about to be changed on its host.
pub struct Prepared {
    /// What is done.
    pub task: Task,
    /// What would change.
    pub plan: Plan,
    /// What the host has, when that is to be taken away.
    pub copy: Option<Copy>,
}

/// Looks at a host and says what would change there.
///
/// # Errors
/// When there is no such interface, or the model would contradict itself.
#[expect(clippy::too_many_arguments, reason = "what it touches, which interface, and what is done with it")]
pub fn prepare(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    wanted: &str,
    name: Option<&str>,
    turn: Turn,
    progress: &dyn Progress,
) -> Result<Prepared, Error> {
    let topology = store.topology()?;
    let target = find::one(&topology, wanted, name)?;
    let (host, interface, node) = (&target.host.name, &target.interface.name, &target.node.name);
    let id = target.interface.id;
    let run = target.interface.kept.as_ref().map_or_else(Run::default, |kept| kept.run);
    if !target.node.enabled && turn != Turn::Delete {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{node}` is disabled, so that none of its interfaces runs"),
            hint: format!("`wg-friend enable {node}` puts it back into every config"),
        });
    }
    let changed = turn.run().map_or_else(|| topology.clone(), |run| with_run(&topology, id, run));
    let only = BTreeSet::from([interface.clone()]);
    let plan = deploy::plan_for(store, fleet, clock, actor, &changed, host, Some(&only), progress)?;
    let seen = plan.hosts.first();
    let before = before(run, interface, seen);
    let copy = match seen.filter(|_| turn == Turn::Delete) {
        Some(seen) => copy_of(store, &topology, seen, node, id)?,
        None => None,
    };
    let (host, interface, node) = (host.clone(), interface.clone(), node.clone());
    Ok(Prepared { task: Task { host, interface, node, before, turn }, plan, copy })
}

/// Returns the topology with another word on whether an interface runs.
fn with_run(topology: &Topology, id: InterfaceId, run: Run) -> Topology {
    let mut changed = topology.clone();
    let interfaces = changed.nodes.iter_mut().flat_map(|node| &mut node.interfaces);
    for interface in interfaces.filter(|interface| interface.id == id) {
        interface.kept.get_or_insert_with(Kept::made).run = run;
    }
    changed
}

fn before(run: Run, interface: &InterfaceName, plan: Option<&HostPlan>) -> Before {
    let seen = plan.and_then(|plan| plan.seen.as_ref().ok()).map(|seen| &seen.observed);
    let live = seen.and_then(|seen| seen.interfaces.get(interface));
    let changes = plan.map_or(&[][..], HostPlan::changes);
    Before {
        run,
        up: seen.map(|_| live.is_some()),
        at_boot: seen.map(|seen| seen.boot.contains(interface)),
        listen_port: live.and_then(|seen| seen.live.listen_port),
        peers: live.map(|seen| seen.live.peers.len()),
        drift: changes.iter().filter(|change| change.cause == deploy::Cause::Drift).count(),
    }
}

fn copy_of(
    store: &Store,
    topology: &Topology,
    plan: &HostPlan,
    node: &Name,
    id: InterfaceId,
) -> Result<Option<Copy>, Error> {
    let Ok(seen) = &plan.seen else { return Ok(None) };
    let deployed = plan.deployed.as_ref();
    let last = deployed.and_then(|deployed| deployed.version.interfaces.iter().find(|i| i.id == id)).cloned();
    let known = match last {
        Some(known) => Some(known),
        None => {
            let compiled = compile(topology).map_err(Error::Model)?;
            compiled.into_iter().flat_map(|node| node.interfaces).find(|interface| interface.id == id)
        }
    };
    let Some(known) = known else { return Ok(None) };
    Ok(found::copy(node, &known, deployed, &seen.observed, &store.secrets()?))
}

impl Prepared {
    /// Refuses to cut the way by which wg-friend is on the host, which would only be taken back.
    ///
    /// # Errors
    /// When that way goes through the interface and it would go down.
    pub fn refuse_the_way(&self) -> Result<(), Error> {
        let seen = self.plan.hosts.first().and_then(|host| host.seen.as_ref().ok());
        let way = seen.and_then(|seen| seen.observed.way.as_ref());
        if !self.task.turn.takes_down() || way.is_none_or(|way| way.interface.as_ref() != Some(&self.task.interface)) {
            return Ok(());
        }
        let Task { host, interface, .. } = &self.task;
        Err(Error::RefusedWithRemedy {
            message: format!("the way to `{host}` goes through {interface}"),
            hint: format!(
                "let wg-friend reach it another way with `wg-friend host set {host} address=ADDRESS`; with --yes it is tried \
                 all the same, and the host brings {interface} up again when nobody can confirm"
            ),
        })
    }
}

/// Stores the copy of what a host has, before that is taken away.
///
/// # Errors
/// When the store can't be written: then nothing must be taken away.
pub fn store_copy(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    host: &Name,
    copy: &Copy,
) -> Result<Stored, Error> {
    let version = found::store_copy(store, clock.now(), actor, host, copy)?;
    Ok(Stored { version, lacks: copy.not_kept.clone() })
}

/// A copy of what a host had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The version of the host that has it.
    pub version: i64,
    /// What of it couldn't be kept, in words.
    pub lacks: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Switched {
    /// Where.
    pub host: Name,
    /// Which.
    pub interface: InterfaceName,
    /// Whose.
    pub node: Name,
    /// What it was.
    pub before: Before,
    /// What the model says now of whether it runs.
    pub run: Run,
    /// Whether the model was changed.
    pub saved: bool,
    /// The copy of what the host had, when it was to be taken away.
    pub copy: Option<Stored>,
    /// How it went on the host; `None` when nothing had to be done there.
    pub outcome: Option<Outcome>,
}

/// Lets the model say what the host has confirmed. `outcome`: how it went there, `None` when there was nothing to do.
///
/// # Errors
/// When the store can't be written.
pub fn settle(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    task: &Task,
    copy: Option<Stored>,
    outcome: Option<Outcome>,
) -> Result<Switched, Error> {
    let good = outcome.as_ref().is_none_or(Outcome::is_good);
    let wanted = task.turn.run().filter(|run| good && *run != task.before.run);
    if let Some(run) = wanted {
        let name = Some(task.interface.as_str());
        set(store, clock, actor, task.host.as_str(), name, &[Assignment::Run(run)], Leave::default(), Mode::Save)?;
    }
    Ok(Switched {
        host: task.host.clone(),
        interface: task.interface.clone(),
        node: task.node.clone(),
        before: task.before.clone(),
        run: wanted.unwrap_or(task.before.run),
        saved: wanted.is_some(),
        copy,
        outcome,
    })
}
