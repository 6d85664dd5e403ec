//! What a deploy goes on to do once hosts know next keys: the keys are brought into use, and the ones before removed.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::Store;
use crate::fleet::Fleet;
use crate::model::{Actor, InterfaceName, Name};
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, Cause, HostOutcome, HostPlan, Kind, Options, Outcome, Plan, Progress};
use crate::ops::error::Error;
use crate::wg::compile::Neighbours;

/// The interfaces of each host that a deploy is about; `None` is all of them.
pub(in crate::ops) type Scope = BTreeMap<Name, Option<BTreeSet<InterfaceName>>>;

/// Returns what each host's part of a plan is about.
pub(in crate::ops) fn scope(plan: &Plan) -> Scope {
    plan.hosts.iter().map(|host| (host.host.name.clone(), host.desired.only.clone())).collect()
}

/// Returns what is left to do of the rotations on the hosts that a deploy was about and that are as they should be. `None`
/// when that is nothing.
///
/// Nothing but rotations: a host of which anything else differs by now waits for the next deploy, to which somebody agrees.
///
/// # Errors
/// When the store can't be read or written.
#[expect(clippy::too_many_arguments, reason = "what it touches, what was done there, and how")]
pub(in crate::ops) fn rest(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    scope: &Scope,
    outcomes: &[HostOutcome],
    options: &Options,
    progress: &dyn Progress,
) -> Result<Option<Plan>, Error> {
    let confirmed = outcomes.iter().any(|end| end.outcome == Outcome::Confirmed);
    if !confirmed || options.stop.is_asked() {
        return Ok(None);
    }
    let topology = store.topology()?;
    let good: BTreeSet<&Name> = outcomes.iter().filter(|end| end.outcome.is_good()).map(|end| &end.host).collect();
    let rotating = topology.nodes.iter().filter(|node| {
        node.host.as_ref().is_some_and(|host| good.contains(host))
            && node.interfaces.iter().any(|own| own.staged_key.is_some())
    });
    let neighbours = Neighbours::of(&topology);
    let hosts: BTreeSet<Name> = rotating.flat_map(|node| super::status::near(&neighbours, node)).collect();
    let hosts: Vec<Name> = hosts.into_iter().filter(|host| good.contains(host)).collect();
    if hosts.is_empty() {
        return Ok(None);
    }
    let mut plan = deploy::plan(store, fleet, clock, actor, &hosts, options.parallel, progress)?;
    plan.hosts.retain(|host| {
        let same_scope = scope.get(&host.host.name) == Some(&host.desired.only);
        same_scope && !host.changes().is_empty() && host.changes().iter().all(|change| is_of_rotation(host, change))
    });
    Ok(Some(plan).filter(|plan| !plan.hosts.is_empty()))
}

/// Whether a difference comes of a key that is followed by another.
fn is_of_rotation(host: &HostPlan, change: &deploy::Change) -> bool {
    let next_key = || change.interface.as_ref().and_then(|name| host.desired.interface(name)?.replaces).is_some();
    change.cause == Cause::Pending
        && match change.kind {
            Kind::PrivateKey => next_key(),
            Kind::PeerMissing
            | Kind::PeerExtra
            | Kind::PeerKey
            | Kind::AllowedIps
            | Kind::PresharedKey
            | Kind::Handover
            | Kind::Moving
            | Kind::Fallback
            | Kind::KeyFile
            | Kind::File
            | Kind::FileExtra => true,
            _ => false,
        }
}

/// Puts the outcomes of a deploy and of what it left to do together: a host's is the one that says more.
pub(in crate::ops) fn together(first: Vec<HostOutcome>, rest: Vec<HostOutcome>) -> Vec<HostOutcome> {
    let mut rest: BTreeMap<Name, HostOutcome> = rest.into_iter().map(|end| (end.host.clone(), end)).collect();
    let join = |end: HostOutcome| match rest.remove(&end.host) {
        None | Some(HostOutcome { outcome: Outcome::Unchanged, .. }) => end,
        Some(then) => HostOutcome {
            changes: end.changes + then.changes,
            steps: end.steps.into_iter().chain(then.steps).collect(),
            seconds: end.seconds + then.seconds,
            ..then
        },
    };
    first.into_iter().map(join).collect()
}
