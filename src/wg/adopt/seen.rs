//! Whose each view is: the public key is a node's name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::{PublicKey, Role};

use super::duties::{self, Duties};
use super::finding::{Conflict, Finding};
use super::{View, meaning};

/// A view whose key is known. Several views that say the same are one.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// Its place among the views given.
    pub(super) place: usize,
    /// The places of views that say the same.
    pub(super) also: Vec<usize>,
    pub(super) view: &'a View,
    pub(super) key: PublicKey,
    /// The operator's word.
    pub(super) role: Option<Role>,
    pub(super) duties: Duties,
}

/// Settles whose each view is. The result is ordered by key, and no key stands twice.
pub(super) fn settle<'a>(views: &'a [View], findings: &mut Vec<Finding>) -> Result<Vec<Seen<'a>>, Vec<Conflict>> {
    let mut conflicts = Vec::new();
    let mut groups: BTreeMap<PublicKey, Vec<(usize, &View)>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (place, view) in views.iter().enumerate() {
        match stated_key(view) {
            Ok(Some(key)) => groups.entry(key).or_default().push((place, view)),
            Ok(None) => unknown.push((place, view)),
            Err(conflict) => conflicts.push(conflict),
        }
    }
    if !unknown.is_empty() {
        let owners = owners_of_addresses(views);
        let taken: BTreeSet<PublicKey> = groups.keys().copied().collect();
        for (place, view) in unknown {
            match key_by_address(view, &owners, &taken) {
                Ok(key) => groups.entry(key).or_default().push((place, view)),
                Err(conflict) => conflicts.push(conflict),
            }
        }
    }
    let seen: Vec<Seen<'a>> =
        groups.into_iter().filter_map(|(key, group)| one(key, group, findings, &mut conflicts)).collect();
    if conflicts.is_empty() { Ok(seen) } else { Err(conflicts) }
}

/// Returns the key that a view says itself.
fn stated_key(view: &View) -> Result<Option<PublicKey>, Conflict> {
    let private = view.tunnel.private_key.as_ref().map(|key| key.public());
    match (private, view.public_key) {
        (Some(private), Some(public)) if private != public => {
            Err(Conflict::KeyMismatch { view: view.source.clone(), private, public })
        }
        (private, public) => Ok(private.or(public)),
    }
}

type Owners = BTreeMap<IpAddr, BTreeSet<PublicKey>>;

/// Returns which peers have each address as a prefix of its own.
fn owners_of_addresses(views: &[View]) -> Owners {
    let mut owners = Owners::new();
    for peer in views.iter().flat_map(|view| &view.tunnel.peers) {
        for prefix in peer.allowed_ips.iter().filter(|prefix| prefix.is_host()) {
            owners.entry(prefix.net().addr()).or_default().insert(peer.public_key);
        }
    }
    owners
}

/// Finds a view's key at the peers of other views: theirs is the peer that has the view's address.
fn key_by_address(view: &View, owners: &Owners, taken: &BTreeSet<PublicKey>) -> Result<PublicKey, Conflict> {
    let own: BTreeSet<PublicKey> = view.tunnel.peers.iter().map(|peer| peer.public_key).collect();
    let addresses = view.tunnel.addresses.iter().filter_map(|address| owners.get(&address.address()));
    let found: BTreeSet<PublicKey> =
        addresses.flatten().copied().filter(|key| !taken.contains(key) && !own.contains(key)).collect();
    let mut found = found.into_iter();
    let view = view.source.clone();
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (Some(first), Some(second)) => Err(Conflict::AmbiguousKey { view, first, second }),
        _ => Err(Conflict::NoKey { view }),
    }
}

/// Makes one of all the views of an interface.
fn one<'a>(
    key: PublicKey,
    mut group: Vec<(usize, &'a View)>,
    findings: &mut Vec<Finding>,
    conflicts: &mut Vec<Conflict>,
) -> Option<Seen<'a>> {
    // What a host has counts before a copy of it, and a text before a mere meaning.
    group.sort_by(|(_, a), (_, b)| rank(a).cmp(&rank(b)));
    let (place, view) = group[0];
    let mut role = view.role.map(|role| (role, view));
    for (_, other) in &group[1..] {
        if !meaning::same(&view.tunnel, &other.tunnel) {
            conflicts.push(Conflict::Versions { first: view.source.clone(), second: other.source.clone(), key });
            return None;
        }
        findings.push(Finding::SameTwice { used: view.source.clone(), other: other.source.clone() });
        match (role, other.role) {
            (Some((role, first)), Some(second)) if role != second => {
                let (first, other_source) = (first.source.clone(), other.source.clone());
                conflicts.push(Conflict::Roles { first, second: other_source, role, other: second });
                return None;
            }
            (None, Some(second)) => role = Some((second, other)),
            _ => {}
        }
    }
    if view.tunnel.peers.iter().any(|peer| peer.public_key == key) {
        conflicts.push(Conflict::OwnPeer { view: view.source.clone(), key });
        return None;
    }
    for (prefix, without, with) in meaning::shared(&view.tunnel) {
        let peer = |at: usize| view.tunnel.peers[at].public_key;
        let (without, with) = (peer(without), peer(with));
        findings.push(Finding::SharedPrefix { view: view.source.clone(), prefix, without, with });
    }
    let also = group[1..].iter().map(|(place, _)| *place).collect();
    let role = role.map(|(role, _)| role);
    Some(Seen { place, also, view, key, role, duties: duties::of(view) })
}

fn rank(view: &View) -> (bool, bool, &str, Option<&str>) {
    (view.host.is_none(), view.text.is_none(), &view.source, view.text.as_ref().map(|text| text.as_str()))
}
