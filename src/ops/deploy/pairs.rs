//! Preshared keys of links between two hosts: both ends get another one in the same deploy, or neither does.
//!
//! A session outlives the key that it was agreed with by three minutes at the most, so a link of which just one end has
//! another key goes on for a while and is then silent. So where the other end isn't part of a deploy, or gives no answer,
//! this one keeps the key that it has; all else is done. And where the other end fails after this one was changed, that is
//! said while there is time to mend it.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::db::Store;
use crate::model::{InterfaceId, InterfaceName, Name, PresharedKey, PublicKey, Secrets, Topology};
use crate::ops::error::Error;
use crate::wg::{InterfaceConfig, PeerConfig};

use super::change::{Change, Kind};
use super::desired::{Deployed, preshared};
use super::diff::{SESSION_SECONDS, diff};
use super::journal::deployed;
use super::outcome::HostOutcome;
use super::plan::{HostPlan, Seen};

/// What a deploy makes of links whose preshared key differs.
#[derive(Default)]
pub(super) struct Pairs {
    /// What is to be said of each host beside how it ended.
    notes: BTreeMap<Name, Vec<String>>,
    /// The hosts of which both get another key for a link of theirs.
    both: BTreeSet<(Name, Name)>,
}

impl Pairs {
    /// Lets hosts keep the keys of links whose other end would not get the new one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) fn settle(store: &Store, hosts: &mut [HostPlan], secrets: &mut Secrets) -> Result<Self, Error> {
        let mut pairs = Self::default();
        let differs = |host: &HostPlan| host.changes().iter().any(|change| change.kind == Kind::PresharedKey);
        if !hosts.iter().any(differs) {
            return Ok(pairs);
        }
        let far_hosts = hosts_of_interfaces(&store.topology()?);
        let places: BTreeMap<Name, usize> = hosts.iter().map(|host| host.host.name.clone()).zip(0..).collect();
        let mut elsewhere = Elsewhere { store, left: BTreeMap::new() };
        // What can't be deployed to is like a host that gives no answer.
        let ready = |host: &&HostPlan| host.seen.is_ok() && host.obstacle().is_none();
        let answered: BTreeSet<Name> = hosts.iter().filter(ready).map(|host| host.host.name.clone()).collect();
        for at in 0..hosts.len() {
            let own = hosts[at].host.name.clone();
            if !answered.contains(&own) {
                continue;
            }
            let mut left = Vec::new();
            for (interface, id, peer) in changing(&hosts[at]) {
                let Some(far) = far_host(&far_hosts, id, &peer).filter(|far| **far != own) else { continue };
                if answered.contains(far) {
                    pairs.both.insert((own.clone().min(far.clone()), own.clone().max(far.clone())));
                    continue;
                }
                let Some(key) = preshared(secrets, &peer) else { continue };
                let there = match places.get(far) {
                    Some(place) => hosts[*place].deployed.as_ref(),
                    None => elsewhere.left(far)?,
                };
                if there.and_then(|there| there.carries(peer.link, key)) != Some(false) {
                    continue;
                }
                let why =
                    if places.contains_key(far) { "can't be deployed to now" } else { "isn't part of this deploy" };
                pairs.notes.entry(own.clone()).or_default().push(format!(
                    "the preshared key for `{}` stays as it is: `{far}` has the same one and {why}; deploy both at once",
                    peer.title()
                ));
                left.push((interface, peer));
            }
            if !left.is_empty() {
                keep(&mut hosts[at], secrets, &left);
            }
        }
        Ok(pairs)
    }

    /// Adds to how hosts ended what is to be said of their links.
    pub(super) fn tell(self, outcomes: &mut [HostOutcome]) {
        let Self { mut notes, both } = self;
        let good: BTreeSet<Name> =
            outcomes.iter().filter(|end| end.outcome.is_good()).map(|end| end.host.clone()).collect();
        for (one, other) in both {
            let (done, failed) = match (good.contains(&one), good.contains(&other)) {
                (true, false) => (one, other),
                (false, true) => (other, one),
                _ => continue,
            };
            notes.entry(done).or_default().push(format!(
                "it has another preshared key than `{failed}` now: their link holds for {SESSION_SECONDS} s at the most, \
                 until both are deployed"
            ));
        }
        for outcome in outcomes {
            outcome.notes.extend(notes.remove(&outcome.host).unwrap_or_default());
        }
    }
}

/// Returns on which host each interface is.
fn hosts_of_interfaces(topology: &Topology) -> BTreeMap<InterfaceId, Name> {
    let of = |node: &crate::model::Node| node.host.clone();
    let nodes = topology.enabled().filter_map(|node| Some((node, of(node)?)));
    nodes.flat_map(|(node, host)| node.interfaces.iter().map(move |own| (own.id, host.clone()))).collect()
}

/// What hosts were left with that a deploy isn't about, each read once.
struct Elsewhere<'a> {
    store: &'a Store,
    left: BTreeMap<Name, Option<Deployed>>,
}

impl Elsewhere<'_> {
    fn left(&mut self, host: &Name) -> Result<Option<&Deployed>, Error> {
        if !self.left.contains_key(host) {
            self.left.insert(host.clone(), deployed(self.store, host)?);
        }
        Ok(self.left.get(host).and_then(Option::as_ref))
    }
}

fn far_host<'a>(hosts: &'a BTreeMap<InterfaceId, Name>, own: InterfaceId, peer: &PeerConfig) -> Option<&'a Name> {
    let (low, high) = peer.link.ends();
    hosts.get(if low == own { &high } else { &low })
}

/// Returns the peers of a host that get another preshared key, each with its interface. A peer and the same one by its next
/// key are two.
fn changing(host: &HostPlan) -> Vec<(InterfaceName, InterfaceId, PeerConfig)> {
    let mut subjects: BTreeMap<&InterfaceName, BTreeSet<&str>> = BTreeMap::new();
    for change in host.changes().iter().filter(|change| change.kind == Kind::PresharedKey) {
        if let Some(interface) = &change.interface {
            subjects.entry(interface).or_default().insert(&change.subject);
        }
    }
    let interfaces =
        subjects.into_iter().filter_map(|(name, subjects)| Some((host.desired.interface(name)?, subjects)));
    let peers = |(interface, subjects): (&InterfaceConfig, BTreeSet<&str>)| {
        let named = interface.peers.iter().filter(|peer| subjects.contains(&*peer.title()));
        named.map(|peer| (interface.name.clone(), interface.id, peer.clone())).collect::<Vec<_>>()
    };
    interfaces.flat_map(peers).collect()
}

/// Lets a host keep the preshared keys that it has for peers. Nobody else's wish is touched: the other ends have no part in
/// the deploy.
fn keep(host: &mut HostPlan, secrets: &mut Secrets, peers: &[(InterfaceName, PeerConfig)]) {
    let Ok(Seen { observed, changes, .. }) = &mut host.seen else { return };
    let mut by_file: BTreeMap<String, BTreeMap<PublicKey, Option<PresharedKey>>> = BTreeMap::new();
    for (interface, peer) in peers {
        let live = observed.interfaces.get(interface).and_then(|seen| seen.live.peers.get(&peer.public_key));
        let live = live.and_then(|live| live.preshared.as_ref());
        by_file.entry(format!("{interface}.conf")).or_default().insert(peer.public_key, live.map(again));
        // A next key that comes with no preshared key of its own goes by the present one.
        let next = peer.next_preshared && secrets.next_preshared.contains_key(&peer.link);
        let keys = if next { &mut secrets.next_preshared } else { &mut secrets.preshared };
        match live {
            Some(live) => _ = keys.insert(peer.link, again(live)),
            None => _ = keys.remove(&peer.link),
        }
    }
    for (name, keys) in &by_file {
        if let Some(file) = host.desired.files.get_mut(name) {
            *file = with_keys(file, keys);
        }
    }
    let mut now = diff(&host.desired, secrets, host.deployed.as_ref(), observed);
    let about = |change: &Change| (change.kind, change.interface.clone(), change.subject.clone());
    let acknowledged: BTreeMap<_, &String> =
        changes.iter().filter_map(|was| Some((about(was), was.acknowledged.as_ref()?))).collect();
    for change in &mut now {
        change.acknowledged = acknowledged.get(&about(change)).map(|why| (*why).clone());
    }
    *changes = now;
}

/// Returns the same key once more.
fn again(key: &PresharedKey) -> PresharedKey {
    key.expose_base64().parse().expect("a key is written as keys are read")
}

/// Returns a configuration of wg-quick(8) with other preshared keys for some of its peers; `None` is none. All else stays as
/// it is.
fn with_keys(text: &str, keys: &BTreeMap<PublicKey, Option<PresharedKey>>) -> Zeroizing<String> {
    let mut result = Zeroizing::new(String::with_capacity(text.len()));
    let mut section: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            put(&mut result, &section, keys);
            section.clear();
        }
        section.push(line);
    }
    put(&mut result, &section, keys);
    result
}

/// Writes the lines of a section.
fn put(result: &mut String, section: &[&str], keys: &BTreeMap<PublicKey, Option<PresharedKey>>) {
    let value = |line: &str| value_of(line, "PublicKey").and_then(|value| value.parse::<PublicKey>().ok());
    let wanted = section.iter().rev().find_map(|line| value(line)).and_then(|peer| keys.get(&peer));
    for line in section {
        match (wanted, value_of(line, "PresharedKey")) {
            (Some(Some(key)), Some(value)) if !value.is_empty() => {
                result.push_str(&line.replace(value, key.expose_base64().as_str()));
            }
            (Some(None), Some(_)) => {}
            _ => result.push_str(line),
        }
    }
}

/// Returns what a line of a configuration says of a field; `None` for other lines.
fn value_of<'a>(line: &'a str, field: &str) -> Option<&'a str> {
    let line = line.split('#').next().unwrap_or_default();
    let (name, value) = line.split_once('=')?;
    name.trim().eq_ignore_ascii_case(field).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PrivateKey;

    fn public(number: u8) -> PublicKey {
        PrivateKey::from_random([number; 32]).public()
    }

    fn shared(number: u8) -> PresharedKey {
        PresharedKey::from_random([number; 32])
    }

    /// A configuration in which all peers have the same preshared key.
    fn file(key: &PresharedKey) -> String {
        let key = key.expose_base64();
        format!(
            "[Interface]\nListenPort = 51820\n\n# office\n[Peer]\nPublicKey = {}\nPresharedKey = {}\n\n[Peer]\n\
             presharedkey={} # as agreed\nPublicKey={}\n\n[Peer]\nPublicKey = {}\nPresharedKey = {}\n",
            public(1),
            key.as_str(),
            key.as_str(),
            public(2),
            public(3),
            key.as_str(),
        )
    }

    #[test]
    fn a_peer_keeps_its_key_in_the_file_and_others_with_the_same_key_get_theirs() {
        let before = file(&shared(7));
        let kept = with_keys(&before, &BTreeMap::from([(public(2), Some(shared(9)))]));
        let (was, is) = (shared(7).expose_base64(), shared(9).expose_base64());
        assert_eq!(
            *kept,
            before.replace(&format!("presharedkey={} #", was.as_str()), &format!("presharedkey={} #", is.as_str()))
        );
        let without = with_keys(&before, &BTreeMap::from([(public(1), None)]));
        assert_eq!(*without, before.replacen(&format!("PresharedKey = {}\n", was.as_str()), "", 1));
        assert_eq!(*with_keys(&before, &BTreeMap::new()), before);
    }
}
