//! The time in which a node is dialled by two keys: who goes by which of them, and how it ends.

use serde::Serialize;

use crate::db::{self, Store};
use crate::fleet::Fleet;
use crate::model::{Action, Actor, Event, Interface, Name, Node, Overlap, Topology};
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, HostPlan, Progress};
use crate::ops::error::Error;
use crate::ops::network::change::{Done, Mode, Outcome, carry_out};
use crate::ops::network::find;
use crate::wg::overlap::{self, DEAD};

/// A peer of a node that is dialled by two keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mover {
    /// Whose.
    pub node: Name,
    /// Whether it shook hands by the next key last.
    pub moved: bool,
}

/// Returns which peers of an interface go by its next key, as its host shows it; `None` when that doesn't run it by both.
pub(super) fn movers(own: &Interface, host: &HostPlan) -> Option<Vec<Mover>> {
    let observed = &host.seen.as_ref().ok()?.observed;
    let beside = host.desired.interface(&overlap::name(&own.name))?;
    let knowing = &beside.beside.as_ref()?.knowing;
    let first = &observed.interfaces.get(&own.name)?.live.peers;
    let second = &observed.interfaces.get(&beside.name)?.live.peers;
    let movers = overlap::peers(beside).map(|(peer, keys)| {
        let newest = |of: &std::collections::BTreeMap<_, crate::wg::dump::LivePeer>| {
            keys.iter().filter_map(|key| of.get(key)?.latest_handshake).max()
        };
        let (next, clock) = (newest(second), observed.system.clock);
        let answers = knowing.contains(&peer.public_key) && next.is_some_and(|time| clock - time < DEAD);
        Mover { node: peer.name.clone(), moved: next.is_some() && (answers || next >= newest(first)) }
    });
    Some(movers.collect())
}

/// Ends what is over: nobody goes by the present key any more, or its time is up. With the next deploy the staged one takes its
/// place. Whether there was any.
///
/// # Errors
/// When the store can't be read or written.
pub(in crate::ops) fn end(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    hosts: &[HostPlan],
) -> Result<bool, db::Error> {
    let (topology, now) = (store.topology()?, clock.now());
    let mut over: Vec<(&Node, &Interface, Overlap)> = Vec::new();
    for (node, own, overlap) in all(&topology) {
        let host = node.host.as_ref().and_then(|name| hosts.iter().find(|host| host.host.name == *name));
        let Some(movers) = host.and_then(|host| movers(own, host)) else { continue };
        if movers.iter().all(|mover| mover.moved) || overlap.until.is_some_and(|until| until <= now) {
            over.push((node, own, overlap));
        }
    }
    if over.is_empty() {
        return Ok(false);
    }
    store.write_all(now, actor, |tx| {
        let mut events = Vec::new();
        for (node, own, overlap) in over {
            tx.set_overlap(own.id, &Overlap { over: true, ..overlap })?;
            let ended = own.staged_key.map_or_else(String::new, |key| key.to_string());
            events.push(Event::node(Action::KeyRotation, node).with("present_key_ends_for", ended));
        }
        Ok::<_, db::Error>(((), events))
    })?;
    Ok(true)
}

/// The interfaces that are dialled by two keys until further notice.
fn all(topology: &Topology) -> impl Iterator<Item = (&Node, &Interface, Overlap)> {
    let interfaces = topology.enabled().flat_map(|node| node.interfaces.iter().map(move |own| (node, own)));
    interfaces
        .filter_map(|(node, own)| Some((node, own, own.overlap?)))
        .filter(|(_, own, overlap)| !overlap.over && own.staged_key.is_some())
}

/// Ends the time in which a node is dialled by two keys now, whoever goes by the present one still.
///
/// # Errors
/// When there is no such node, it isn't dialled by two keys, or its host, which knows who has moved, gives no answer.
#[expect(clippy::too_many_arguments, reason = "what it touches, whose keys, and how")]
pub fn finish(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    name: &str,
    mode: Mode,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let node = find::node(&topology, name)?.clone();
    if !all(&topology).any(|(other, ..)| other.id == node.id) {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{}` isn't dialled by two keys: there is nothing to finish", node.name),
            hint: format!("`wg-friend rotate {} --status` says how far a rotation is", node.name),
        });
    }
    let hosts: Vec<Name> = node.host.iter().cloned().collect();
    let plan = deploy::plan(store, fleet, clock, actor, &hosts, parallel, progress)?;
    let own = plan.hosts.first().filter(|host| host.seen.is_ok()).ok_or_else(|| Error::RefusedWithRemedy {
        message: format!("the host of `{}` gives no answer: nobody knows who goes by its next key", node.name),
        hint: "try again when it answers".to_owned(),
    })?;
    let movers: Vec<Mover> = node.interfaces.iter().filter_map(|interface| movers(interface, own)).flatten().collect();
    if movers.is_empty() {
        return Err(Error::RefusedWithRemedy {
            message: format!("the host of `{}` doesn't go by its next key yet", node.name),
            hint: "`wg-friend deploy` tells it".to_owned(),
        });
    }
    carry_out(store, clock, actor, "rotated", mode, |scope| {
        let node = find::node(scope.before, name)?.clone();
        let mut event = Event::node(Action::KeyRotation, &node);
        let mut done = Done { nodes: vec![node.id], ..Done::default() };
        for own in &node.interfaces {
            if let Some(overlap) = own.overlap.filter(|overlap| !overlap.over) {
                scope.tx.set_overlap(own.id, &Overlap { over: true, ..overlap })?;
                event = event.with(own.name.as_str(), format!("{} ends", own.public_key));
            }
        }
        let left: Vec<String> =
            movers.iter().filter(|mover| !mover.moved).map(|mover| format!("`{}`", mover.node)).collect();
        if !left.is_empty() {
            done.remarks.push(format!(
                "with the next deploy these are cut off from `{}` until they have their new files: {}",
                node.name,
                left.join(", ")
            ));
        }
        done.events.push(event);
        Ok(done)
    })
}
