//! What hosts observe proves which revision a device uses.
//!
//! A handshake shows the key that the device has, the key that it dials, the preshared key of both, and the port: that is
//! all. So it proves a revision when it fits that one and came after it was handed out; and of several in a row that look
//! the same from here, only the first. Of the port it proves the less: a device that was connected while its server moved
//! to another port follows it there until it is restarted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{self, Revision, Store, Use};
use crate::fleet::Observed;
use crate::model::{InterfaceId, LinkId, NodeId, Port, PresharedKey, PublicKey, Secrets, Topology};

use super::meaning::{Meaning, Shown};

/// A handshake as a host saw it.
pub(super) struct Handshake<'a> {
    /// The host's own key.
    pub(super) own: PublicKey,
    pub(super) port: Option<Port>,
    pub(super) preshared: Option<&'a PresharedKey>,
    /// By our clock.
    pub(super) time: DateTime<Utc>,
}

/// Notes which revisions the handshakes that hosts report prove. Each observation comes with its time, by our clock.
///
/// # Errors
/// When the store can't be read or written.
pub(crate) fn note<'a>(
    store: &mut Store,
    secrets: &Secrets,
    observed: impl Iterator<Item = (&'a Observed, DateTime<Utc>)>,
) -> db::Result<()> {
    let revisions = store.all_revisions()?;
    if revisions.is_empty() {
        return Ok(());
    }
    let handshakes = handshakes(observed);
    let preshared = store.preshared_since()?;
    let elsewhere = port_elsewhere(&store.topology()?);
    let mut uses = Vec::new();
    for (node, revisions) in &revisions {
        let fits = |revision: &Revision, shown: &Shown, handshake: &Handshake<'_>| {
            let current = preshared.get(&shown.link).copied() == shown.preshared;
            Ok(shown.far == handshake.own
                && (shown.port.is_none() || shown.port == handshake.port || elsewhere.contains(&shown.link))
                && same_preshared(store, *node, revision.number, shown, handshake.preshared, current, secrets)?)
        };
        uses.extend(proof(*node, revisions, &handshakes, fits)?);
    }
    store.record_uses(&uses)
}

/// Gathers the newest handshakes of each peer, by the peer's key.
fn handshakes<'a>(
    observed: impl Iterator<Item = (&'a Observed, DateTime<Utc>)>,
) -> BTreeMap<PublicKey, Vec<Handshake<'a>>> {
    let mut found: BTreeMap<PublicKey, Vec<Handshake<'_>>> = BTreeMap::new();
    for (host, now) in observed {
        for live in host.interfaces.values().map(|interface| &interface.live) {
            let Some(own) = live.public_key else { continue };
            for (key, peer) in &live.peers {
                let Some(handshake) = peer.latest_handshake else { continue };
                let ago = TimeDelta::seconds((host.system.clock - handshake).max(0));
                let (port, preshared) = (live.listen_port, peer.preshared.as_ref());
                found.entry(*key).or_default().push(Handshake { own, port, preshared, time: now - ago });
            }
        }
    }
    found
}

/// Returns the links whose ends are dialled at another port than the one they listen on, since something before them
/// forwards it.
fn port_elsewhere(topology: &Topology) -> BTreeSet<LinkId> {
    let dialled = topology.nodes.iter().filter_map(|node| Some((node, node.endpoint.as_ref()?.port)));
    let forwarded: BTreeSet<InterfaceId> =
        dialled.filter(|(node, port)| node.main().listen_port != Some(*port)).map(|(node, _)| node.main().id).collect();
    let links = crate::wg::compile::links(topology).into_iter();
    links.filter(|link| forwarded.contains(&link.ends().0) || forwarded.contains(&link.ends().1)).collect()
}

/// Whether the preshared key of a handshake is the one of a revision: the link's present one, or else the one that stands
/// in the file that was handed out.
fn same_preshared(
    store: &Store,
    node: NodeId,
    number: i64,
    shown: &Shown,
    seen: Option<&PresharedKey>,
    current: bool,
    secrets: &Secrets,
) -> db::Result<bool> {
    let Some(seen) = seen else { return Ok(shown.preshared.is_none()) };
    if shown.preshared.is_none() {
        return Ok(false);
    }
    if current {
        return Ok(secrets.preshared.get(&shown.link) == Some(seen));
    }
    let content = store.revision_content(node, number)?;
    let key = seen.expose_base64();
    Ok(content.is_some_and(|text| text.windows(key.len()).any(|part| part == key.as_bytes())))
}

/// Returns what the handshakes prove of one node. `revisions`: the newest first; `fits` tells whether a handshake can come
/// from a file that shows this.
pub(super) fn proof(
    node: NodeId,
    revisions: &[Revision],
    handshakes: &BTreeMap<PublicKey, Vec<Handshake<'_>>>,
    fits: impl Fn(&Revision, &Shown, &Handshake<'_>) -> db::Result<bool>,
) -> db::Result<Option<Use>> {
    for (at, revision) in revisions.iter().enumerate() {
        let Some(meaning) = Meaning::from_json(&revision.meaning) else { continue };
        let mut newest: Option<DateTime<Utc>> = None;
        for shown in meaning.shown() {
            for handshake in handshakes.get(&shown.own).into_iter().flatten() {
                if handshake.time > revision.handed_out
                    && newest.is_none_or(|time| handshake.time > time)
                    && fits(revision, &shown, handshake)?
                {
                    newest = Some(handshake.time);
                }
            }
        }
        if let Some(time) = newest {
            // Those before it that look the same from here explain the handshake as well.
            let alike = |other: &&Revision| {
                Meaning::from_json(&other.meaning).is_some_and(|other| other.shown() == meaning.shown())
            };
            let first = revisions[at..].iter().take_while(alike).last().unwrap_or(revision);
            return Ok(Some(Use { node, number: first.number, time }));
        }
    }
    Ok(None)
}
