//! Taking down what counters show, from whatever look at a host.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};

use super::counter::{Step, step};
use crate::db::{self, Counter, CounterSeen, Database, Grown, Store};
use crate::fleet::Observed;
use crate::model::{InterfaceId, InterfaceName, PublicKey};

/// The counters of a host at one moment, to be taken down later.
#[derive(Debug)]
pub(in crate::ops) struct Counters {
    /// When they were seen, by our clock.
    time: DateTime<Utc>,
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct Interface {
    name: InterfaceName,
    near_key: PublicKey,
    peers: Vec<(PublicKey, Counter)>,
}

impl Counters {
    /// Picks them out of what a look at a host has found.
    pub(in crate::ops) fn of(host: &Observed, time: DateTime<Utc>) -> Self {
        let (boot, uptime) = (
            host.system.clock.saturating_sub_unsigned(host.system.uptime),
            i64::try_from(host.system.uptime).unwrap_or(i64::MAX),
        );
        let interfaces = host.interfaces.iter().filter_map(|(name, interface)| {
            let born = host.numbers.get(name).copied();
            let peers = interface.live.peers.iter();
            let counter = |rx, tx| Counter { born, rx, tx, boot, uptime };
            let peers = peers.map(|(key, peer)| (*key, counter(peer.rx, peer.tx))).collect();
            Some(Interface { name: name.clone(), near_key: interface.live.public_key?, peers })
        });
        Self { time, interfaces: interfaces.collect() }
    }
}

/// Adds what counters have grown by since they were seen last. Each observation comes with its time, by our clock. Interfaces
/// and peers are known by their keys, also those that they no longer have.
///
/// # Errors
/// When the store can't be read or written.
pub(in crate::ops) fn note<'a>(
    store: &mut Store,
    observed: impl Iterator<Item = (&'a Observed, DateTime<Utc>)>,
) -> db::Result<()> {
    note_all(store, &observed.map(|(host, time)| Counters::of(host, time)).collect::<Vec<_>>())
}

/// The same, of what was picked out before; of one host in the order in which it was seen.
///
/// # Errors
/// As [`note`].
pub(in crate::ops) fn note_all(store: &mut Store, seen: &[Counters]) -> db::Result<()> {
    let seen: Vec<&Counters> = seen.iter().filter(|host| !host.interfaces.is_empty()).collect();
    let Some(now) = seen.iter().map(|host| host.time).max() else { return Ok(()) };
    store.note_traffic(now, |database| grown(database, &seen))
}

/// Whose keys are, of those that were seen: a look at one host needs no others.
struct Owners<'a> {
    database: &'a Database,
    known: BTreeMap<PublicKey, Option<InterfaceId>>,
}

impl Owners<'_> {
    fn of(&mut self, key: PublicKey) -> db::Result<Option<InterfaceId>> {
        if let Some(owner) = self.known.get(&key) {
            return Ok(*owner);
        }
        let owner = self.database.key_owner(key)?;
        self.known.insert(key, owner);
        Ok(owner)
    }
}

/// What a look at an interface has to show.
type Shown = (Vec<Grown>, Vec<(InterfaceId, InterfaceName)>);

fn grown(database: &Database, seen: &[&Counters]) -> db::Result<Shown> {
    let mut owners = Owners { database, known: BTreeMap::new() };
    let (mut grown, mut whole) = (Vec::new(), Vec::new());
    // While an interface goes by two keys there are two of them in the kernel, and each counts for itself.
    let mut known: BTreeMap<(InterfaceId, &InterfaceName), BTreeMap<PublicKey, CounterSeen>> = BTreeMap::new();
    for Counters { time, interfaces } in seen {
        for Interface { name, near_key, peers } in interfaces {
            let Some(near) = owners.of(*near_key)? else { continue };
            let counters = match known.entry((near, name)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(database.traffic_counters(near, name)?),
            };
            let mut stale = false;
            for (far_key, counter) in peers {
                let Some(far) = owners.of(*far_key)?.filter(|far| *far != near) else { continue };
                match step(counters.get(far_key), counter, *time) {
                    Step::Stale => stale = true,
                    Step::Grown { rx, tx } => {
                        counters.insert(*far_key, CounterSeen { counter: *counter, seen: *time });
                        let (name, near_key, far_key) = (name.clone(), *near_key, *far_key);
                        grown.push(Grown { near, name, near_key, far, far_key, now: *counter, rx, tx });
                    }
                }
            }
            if !stale {
                whole.push((near, name.clone()));
            }
        }
    }
    Ok((grown, whole))
}
