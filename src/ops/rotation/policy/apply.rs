//! Replacing the keys that are due.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use chrono::TimeDelta;
use serde::Serialize;

use super::due::{Facts, Standing, standings};
use super::view::{facts, press};
use crate::db::{self, ExecutionEnd, ExecutionId, NewExecution, Store, Undeployed};
use crate::fleet::Fleet;
use crate::model::{Actor, InterfaceId, Name, Node, NodeId, PublicKey, Topology};
use crate::ops::clock::Clock;
use crate::ops::deploy::{Options, Outcome as Deployed, Progress};
use crate::ops::interface::key;
use crate::ops::network::change::{Mode, Outcome};
use crate::ops::network::rotate::{self, Rotation};
use crate::ops::sync::{self, Left, Synced};
use crate::ops::{Error, Kind};
use crate::wg::compile::links;

/// What is to be replaced.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Also what will be due within this time.
    pub within: TimeDelta,
    /// At most so many nodes.
    pub limit: Option<usize>,
    /// Whether it is done, or only told.
    pub mode: Mode,
}

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It has another key, or one that waits for its peers.
    Rotated,
    /// It would get another key: nothing was done.
    WouldRotate,
    /// Only a person can replace its key.
    ByHand,
    /// It has a next key already, which nobody has seen in use yet.
    Waiting,
    /// It couldn't be done; the old key is as it was.
    Failed,
    /// It has to wait for its turn.
    OverLimit,
}

/// A node that was due.
#[derive(Clone, Debug, Serialize)]
pub struct Rotated {
    /// How it stood.
    #[serde(flatten)]
    pub standing: Standing,
    /// What became of it.
    pub end: End,
    /// The key that its main interface had.
    pub old_key: PublicKey,
    /// The one that it got.
    pub new_key: Option<PublicKey>,
    /// Whether the old one stays good until the new one is seen in use.
    pub staged: bool,
    /// Why it got none.
    pub error: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
    /// Whether the hosts concerned were deployed; `None` when that wasn't asked for.
    pub deployed: Option<bool>,
    /// Why not, if they should have been.
    pub deploy_note: Option<String>,
    /// The nodes whose hosts have to be deployed for the new key to be used.
    pub deploy: Vec<Name>,
    /// The nodes that have to be given a new file.
    pub new_files: Vec<Name>,
}

/// A node whose key was replaced before, and whose hosts were to be deployed then and weren't.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOver {
    /// Its name then.
    pub node: String,
    /// The policy, by its name then.
    pub policy: String,
    /// The hosts that have to be deployed.
    pub hosts: BTreeSet<Name>,
    /// Whether they are now; `None` in a preview.
    pub deployed: Option<bool>,
    /// Why not.
    pub deploy_note: Option<String>,
    #[serde(skip)]
    executions: Vec<ExecutionId>,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Applied {
    /// Whether anything was done, or only told.
    pub saved: bool,
    /// The nodes that were due, the most pressing first.
    pub nodes: Vec<Rotated>,
    /// The nodes of runs before whose hosts were still to be deployed.
    pub left_over: Vec<LeftOver>,
    /// What became of the hosts that were deployed.
    pub hosts: Vec<Synced>,
}

impl Applied {
    /// Counts the nodes that ended in some way.
    pub fn count(&self, end: End) -> usize {
        self.nodes.iter().filter(|node| node.end == end).count()
    }

    /// Whether a host that was to be deployed is not as the model says.
    pub fn is_deploy_missing(&self) -> bool {
        self.nodes.iter().any(|node| node.deployed == Some(false))
            || self.left_over.iter().any(|one| one.deployed == Some(false))
    }
}

/// Replaces the keys that are due, and deploys the hosts concerned where a policy wants that: those first.
///
/// Whatever goes wrong with one node holds up no other; the end of each is written down. Who comes a second time finds
/// nothing due, and deploys what the first one couldn't or didn't get to.
///
/// # Errors
/// When the store can't be read or written, or somebody else is at it.
pub fn apply(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    request: Request,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Applied, Error> {
    let saving = request.mode == Mode::Save;
    let _lock = saving.then(|| lock(store.path())).transpose()?;
    let facts = facts(store)?;
    let now = clock.now();
    let mut due = standings(&facts, now, Some(request.within));
    due.retain(|node| node.is_due_within(now, request.within));
    press(&mut due);
    let mut nodes: Vec<Rotated> = due.into_iter().filter_map(|standing| listed(&facts, standing)).collect();
    let able = nodes.iter_mut().filter(|node| node.end == End::WouldRotate);
    able.skip(request.limit.unwrap_or(usize::MAX)).for_each(|node| node.end = End::OverLimit);
    let left_over = left_over(&facts.topology, store.undeployed_rotations()?);
    let mut applied = Applied { saved: saving, nodes, left_over, hosts: Vec::new() };
    if !saving {
        return Ok(applied);
    }
    let run = Run { topology: &facts.topology, fleet, clock, actor, options, progress };
    let deploying = |node: &&Rotated| node.end == End::WouldRotate && node.standing.auto_deploy;
    let deploying = applied.nodes.iter().filter(deploying).map(|node| node.standing.id);
    let concerned = concerned(&facts.topology, deploying);
    let out_of_reach = run.out_of_reach(store, &concerned)?;
    for auto in [true, false] {
        let mut executions = Vec::new();
        for (at, node) in applied.nodes.iter_mut().enumerate() {
            if node.end == End::WouldRotate && node.standing.auto_deploy == auto {
                let left = concerned.get(&node.standing.id).into_iter().flatten();
                let left = left.filter_map(|host| Some((host, out_of_reach.get(host)?))).next();
                executions.push((at, run.rotate(store, node, left)?));
            }
        }
        if auto {
            applied.hosts = run.deploy(store, &mut applied, &executions)?;
        }
    }
    Ok(applied)
}

/// Returns the hosts that have to learn of a node's new key, its own among them, by node.
fn concerned(topology: &Topology, nodes: impl Iterator<Item = NodeId>) -> BTreeMap<NodeId, BTreeSet<Name>> {
    let mut concerned: BTreeMap<NodeId, BTreeSet<Name>> = nodes.map(|id| (id, BTreeSet::new())).collect();
    if concerned.is_empty() {
        return concerned;
    }
    let owners: BTreeMap<InterfaceId, &Node> = topology
        .nodes
        .iter()
        .flat_map(|node| node.interfaces.iter().map(move |interface| (interface.id, node)))
        .collect();
    for (id, hosts) in &mut concerned {
        hosts.extend(topology.node(*id).and_then(|node| node.host.clone()));
    }
    for link in links(topology) {
        let (a, b) = link.ends();
        let (Some(a), Some(b)) = (owners.get(&a), owners.get(&b)) else { continue };
        for (node, other) in [(a, b), (b, a)] {
            if let Some(hosts) = concerned.get_mut(&node.id) {
                hosts.extend(other.host.clone());
            }
        }
    }
    concerned
}

/// Gathers, node by node, what runs before were to deploy and didn't. Of a node that is gone no host is known.
fn left_over(topology: &Topology, undeployed: Vec<Undeployed>) -> Vec<LeftOver> {
    let hosts = concerned(topology, undeployed.iter().map(|one| one.node));
    let mut found: BTreeMap<NodeId, LeftOver> = BTreeMap::new();
    for Undeployed { id, node, name, policy } in undeployed {
        let new = || LeftOver {
            node: name,
            policy,
            hosts: hosts.get(&node).cloned().unwrap_or_default(),
            deployed: None,
            deploy_note: None,
            executions: Vec::new(),
        };
        found.entry(node).or_insert_with(new).executions.push(id);
    }
    found.into_values().collect()
}

/// Says that this process replaces keys; the kernel takes that back however it ends.
fn lock(database: &Path) -> Result<File, Error> {
    let mut name = database.as_os_str().to_owned();
    name.push(".rotating");
    let io = |source| Error::from(db::Error::Io { action: "lock", path: name.clone().into(), source });
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::RefusedWithRemedy {
            message: "somebody else is replacing keys of this database right now".into(),
            hint: "wait for that to end; `wg-friend rotation log` tells of it".into(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Puts a node on the list; `None` for one that isn't in the model any more.
fn listed(facts: &Facts, standing: Standing) -> Option<Rotated> {
    let node = facts.topology.node(standing.id)?;
    // One that is urgent replaces both keys at once.
    let waits = !standing.urgent && node.interfaces.iter().any(|own| own.staged_key.is_some());
    let name = &standing.node;
    let (end, hint) = match &standing.by_hand {
        Some(how) => (End::ByHand, Some(how.clone())),
        None if waits => (
            End::Waiting,
            Some(format!(
                "it has a next key already, which nobody has seen in use yet: take it to the device, or withdraw it with \
                 `wg-friend rotate {name} --abort`"
            )),
        ),
        None => (End::WouldRotate, None),
    };
    Some(Rotated {
        end,
        old_key: node.main().public_key,
        hint,
        standing,
        new_key: None,
        staged: false,
        error: None,
        deployed: None,
        deploy_note: None,
        deploy: Vec::new(),
        new_files: Vec::new(),
    })
}

/// What replacing keys takes.
struct Run<'a> {
    topology: &'a Topology,
    fleet: &'a dyn Fleet,
    clock: &'a (dyn Clock + Sync),
    actor: &'a Actor,
    options: &'a Options,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    /// Looks which hosts couldn't be deployed now. Where a policy deploys, no key is replaced that one of them has to learn:
    /// the two ends of a link would no longer understand each other.
    fn out_of_reach(
        &self,
        store: &mut Store,
        concerned: &BTreeMap<NodeId, BTreeSet<Name>>,
    ) -> Result<BTreeMap<Name, Left>, Error> {
        let hosts: BTreeSet<Name> = concerned.values().flatten().cloned().collect();
        let hosts: Vec<Name> = hosts.into_iter().collect();
        sync::left(store, self.fleet, self.clock, self.actor, &hosts, self.options, self.progress)
    }

    /// Replaces the key of a node, unless a host is left as it is that has to learn of it, and writes down how that went.
    fn rotate(
        &self,
        store: &mut Store,
        node: &mut Rotated,
        left: Option<(&Name, &Left)>,
    ) -> Result<ExecutionId, Error> {
        let why = node.standing.why.to_string();
        let id = store.begin_rotation(&NewExecution {
            node: node.standing.id,
            name: &node.standing.node,
            policy: &node.standing.policy,
            why: &why,
            operator: &self.actor.operator,
            started: self.clock.now(),
            old_key: node.old_key,
            deploy: node.standing.auto_deploy,
        })?;
        let reason = format!("policy {}: {why}", node.standing.policy);
        let done = match left {
            None => self.one(store, &node.standing, reason),
            Some((host, left)) => Err(Error::RefusedWithRemedy {
                message: format!("`{host}` has to learn of the new key and can't be deployed now: {}", left.reason),
                hint: left.hint.clone().unwrap_or_else(|| "the key stays as it is until it can be".into()),
            }),
        };
        let end = match done {
            Ok(outcome) => {
                let (key, staged) = store.newest_key(self.own(&node.standing)?.main().id)?;
                node.end = End::Rotated;
                node.new_key = Some(key);
                node.staged = staged;
                node.deploy = outcome.deploy;
                node.new_files = outcome.new_files;
                ExecutionEnd::Rotated(key)
            }
            Err(error) if error.kind() == Kind::Tampered => return Err(error),
            Err(error) => {
                node.end = End::Failed;
                node.hint = error.hint();
                node.error = Some(error.to_string());
                ExecutionEnd::Failed(error.to_string())
            }
        };
        store.finish_rotation(id, &end, self.clock.now())?;
        Ok(id)
    }

    /// The one place by which a policy replaces keys. Of a node that is urgent the old key goes at once.
    fn one(&self, store: &mut Store, standing: &Standing, reason: String) -> Result<Outcome, Error> {
        let request = Rotation { node: standing.node.to_string(), reason, now: standing.urgent, ..Rotation::default() };
        match key::has_key_on_host(self.own(standing)?) {
            true => key::rotate(store, self.fleet, self.clock, self.actor, &request, Mode::Save),
            false => rotate::rotate(store, self.clock, self.actor, &request, Mode::Save),
        }
    }

    /// Returns a node as it was when the run began.
    fn own(&self, standing: &Standing) -> Result<&Node, Error> {
        let gone = || db::Error::NotFound { what: "node", name: standing.node.to_string() };
        Ok(self.topology.node(standing.id).ok_or_else(gone)?)
    }

    /// Deploys the hosts that the new keys concern, and those that runs before have left, like any job: a host that somebody changed by hand is left as it is.
    fn deploy(
        &self,
        store: &mut Store,
        applied: &mut Applied,
        executions: &[(usize, ExecutionId)],
    ) -> Result<Vec<Synced>, Error> {
        let host_of: BTreeMap<&Name, &Name> =
            self.topology.nodes.iter().filter_map(|node| Some((&node.name, node.host.as_ref()?))).collect();
        let hosts_of = |node: &Rotated| -> Vec<Name> {
            node.deploy.iter().filter_map(|name| host_of.get(name).map(|host| (*host).clone())).collect()
        };
        let Applied { nodes, left_over, .. } = applied;
        let done: Vec<(usize, ExecutionId)> =
            executions.iter().copied().filter(|(at, _)| nodes[*at].end == End::Rotated).collect();
        let hosts: BTreeSet<Name> = done.iter().flat_map(|(at, _)| hosts_of(&nodes[*at])).collect();
        let hosts: Vec<Name> = left_over
            .iter()
            .flat_map(|one| &one.hosts)
            .cloned()
            .chain(hosts)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let (synced, failure) =
            match sync::sync(store, self.fleet, self.clock, self.actor, &hosts, self.options, self.progress) {
                Ok(report) => (report.hosts, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
        let missing = |hosts: &mut dyn Iterator<Item = &Name>| {
            let missing: Vec<String> = hosts.filter_map(|host| why_not(host, &synced)).collect();
            failure.clone().or_else(|| (!missing.is_empty()).then(|| missing.join("; ")))
        };
        for one in left_over {
            let note = missing(&mut one.hosts.iter());
            for id in &one.executions {
                match one.hosts.is_empty() {
                    true => store.forget_rotation_deploy(*id)?, // the node is gone, or nothing of it on any host
                    false => store.note_rotation_deployed(*id, note.as_deref())?,
                }
            }
            one.deployed = Some(note.is_none());
            one.deploy_note = note;
        }
        for (at, id) in done {
            let node = &mut nodes[at];
            let note = missing(&mut hosts_of(node).iter());
            store.note_rotation_deployed(id, note.as_deref())?;
            node.deployed = Some(note.is_none());
            node.deploy_note = note;
        }
        Ok(synced)
    }
}

/// Says why a host isn't as the model says; `None` when it is, or when nothing of the network is there.
fn why_not(host: &Name, synced: &[Synced]) -> Option<String> {
    let found = synced.iter().find(|synced| synced.host == *host)?;
    let reason = match (&found.outcome, &found.left) {
        (Some(outcome), _) if outcome.is_good() => return None,
        (Some(Deployed::Reverted { reason, .. } | Deployed::Failed { reason, .. }), _) => reason.clone(),
        (Some(Deployed::OutOfSight { reason }), _) => format!("out of sight, it takes everything back: {reason}"),
        (Some(Deployed::HeldBack { because_of, .. }), _) => format!("held back because of {because_of}"),
        (_, Some(left)) => left.reason.clone(),
        _ => "its turn didn't come".to_owned(),
    };
    Some(format!("{host}: {reason}"))
}
