//! Who is on which key.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::Store;
use crate::fleet::Fleet;
use crate::model::{Actor, InterfaceId, InterfaceName, KeyState, Name, Node, Port, PublicKey};
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, Plan, Progress};
use crate::ops::error::Error;
use crate::ops::revision;
use crate::wg::compile::Neighbours;

use super::overlap::{Mover, movers};
use super::settle::Settled;

/// The rotations under way.
#[derive(Debug, Serialize)]
pub struct Status {
    /// One entry an interface with a next key, in the order of the nodes' names.
    pub rotations: Vec<Rotating>,
    /// Those that were found in use now, and are complete but for the removal of the keys before.
    pub settled: Vec<Settled>,
}

/// A rotation under way.
#[derive(Debug, Serialize)]
pub struct Rotating {
    /// Whose key.
    pub node: Name,
    /// Of which interface.
    pub interface: InterfaceName,
    /// The key in use.
    pub present: PublicKey,
    /// The key that follows.
    pub next: PublicKey,
    /// Since when it is staged.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
    /// What has to happen next.
    pub waits_for: Waiting,
    /// The hosts that the node is a peer of.
    pub peers: Vec<AtPeer>,
    /// How far its peers are, if it is dialled by both keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<InOverlap>,
}

/// The time in which a node is dialled by two keys.
#[derive(Debug, Serialize)]
pub struct InOverlap {
    /// UDP port of the present key.
    pub from_port: Option<Port>,
    /// UDP port of the next one.
    pub to_port: Port,
    /// When the present key ends; `None` when all have moved.
    pub until: Option<DateTime<Utc>>,
    /// Whether that is so.
    pub over: bool,
    /// Who goes by which key; `None` when the host gave no answer, or doesn't know the next key yet.
    pub peers: Option<Vec<Mover>>,
}

/// What a rotation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// A deploy, which tells hosts of the next key, or brings it to the node's own.
    Deploy,
    /// Somebody who takes the new file to the device.
    NewFile,
    /// The device, which has been given its new file.
    Device,
    /// The devices that dial it, which need their new files.
    Devices,
}

/// How far a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AtPeer {
    /// Which host.
    pub host: Name,
    /// What it knows; `None` when it gave no answer.
    pub knows: Option<Knows>,
}

/// Which keys of a peer a host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Knows {
    /// The present one only.
    Present,
    /// Both; the present one is in use.
    Both,
    /// The next one is in use.
    Next,
}

/// Asks the hosts concerned how far rotations are: `only` of these nodes, or of all that have a next key.
///
/// # Errors
/// When the model contradicts itself. A host that gives no answer is part of the result.
pub fn status(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Status, Error> {
    let topology = store.topology()?;
    let wanted = |node: &&Node| only.is_empty() || only.contains(&node.name);
    let rotating = |node: &&Node| node.interfaces.iter().any(|own| own.staged_key.is_some());
    let neighbours = Neighbours::of(&topology);
    let hosts: BTreeSet<Name> =
        topology.nodes.iter().filter(wanted).filter(rotating).flat_map(|node| near(&neighbours, node)).collect();
    let hosts: Vec<Name> = hosts.into_iter().collect();
    let plan = match hosts.is_empty() {
        true => None,
        false => Some(deploy::plan(store, fleet, clock, actor, &hosts, parallel, progress)?),
    };
    let topology = store.topology()?;
    let neighbours = Neighbours::of(&topology);
    let given: BTreeSet<Name> = revision::needed(store)?.into_iter().map(|device| device.node).collect();
    let mut rotations = Vec::new();
    for node in topology.nodes.iter().filter(wanted).filter(rotating) {
        let history = store.key_history(node.id)?;
        for own in &node.interfaces {
            let Some(next) = own.staged_key else { continue };
            let Some(record) = history.iter().find(|key| key.public_key == next && key.state == KeyState::Staged)
            else {
                continue;
            };
            let peers = peers(&neighbours, own.id, (own.public_key, next), plan.as_ref());
            let all_know = peers.iter().all(|peer| peer.knows.is_some_and(|knows| knows != Knows::Present));
            let host = plan
                .as_ref()
                .and_then(|plan| plan.hosts.iter().find(|host| Some(&host.host.name) == node.host.as_ref()));
            let overlap = own.overlap.map(|overlap| InOverlap {
                from_port: own.listen_port.or(node.endpoint.as_ref().map(|endpoint| endpoint.port)),
                to_port: overlap.port,
                until: overlap.until,
                over: overlap.over,
                peers: host.and_then(|host| movers(own, host)),
            });
            let moving = overlap.as_ref().is_some_and(|overlap| !overlap.over && overlap.peers.is_some());
            let waits_for = match (node.host.is_some(), all_know, given.contains(&node.name)) {
                (true, true, _) if moving => Waiting::Devices,
                (true, ..) | (_, false, _) => Waiting::Deploy,
                (false, true, true) => Waiting::NewFile,
                (false, true, false) => Waiting::Device,
            };
            rotations.push(Rotating {
                node: node.name.clone(),
                interface: own.name.clone(),
                present: own.public_key,
                next,
                since: record.created,
                reason: record.reason.clone(),
                waits_for,
                peers,
                overlap,
            });
        }
    }
    rotations.sort_by(|a, b| (&a.node, &a.interface).cmp(&(&b.node, &b.interface)));
    Ok(Status { rotations, settled: plan.map(|plan| plan.rotated).unwrap_or_default() })
}

/// Returns the hosts that can tell of a node's keys: its own, and those of its peers.
pub(super) fn near(neighbours: &Neighbours<'_>, node: &Node) -> Vec<Name> {
    let far = node.interfaces.iter().flat_map(|own| neighbours.beyond(own.id));
    let mut hosts: BTreeSet<Name> = far.filter_map(|(far, _)| far.host.clone()).collect();
    hosts.extend(node.host.clone());
    hosts.into_iter().collect()
}

fn peers(
    neighbours: &Neighbours<'_>,
    own: InterfaceId,
    (present, next): (PublicKey, PublicKey),
    plan: Option<&Plan>,
) -> Vec<AtPeer> {
    let hosts: BTreeSet<&Name> = neighbours.beyond(own).iter().filter_map(|(far, _)| far.host.as_ref()).collect();
    let knows = |host: &Name| {
        let seen = plan?.hosts.iter().find(|plan| plan.host.name == *host)?.seen.as_ref().ok()?;
        let lives = |key| seen.observed.interfaces.values().find_map(|near| near.live.peers.get(key));
        Some(match (lives(&present), lives(&next)) {
            (_, Some(next)) if !next.allowed_ips.is_empty() => Knows::Next,
            (_, Some(_)) => Knows::Both,
            _ => Knows::Present,
        })
    };
    hosts.into_iter().map(|host| AtPeer { host: host.clone(), knows: knows(host) }).collect()
}
