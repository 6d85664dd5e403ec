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

    /// Adds it to what was seen before and isn't taken down yet. Between two looks after which counters have only gone on there is
    /// nothing that a third would tell: of a large host that is asked each second, most are as good as forgotten. The first one
    /// stays, since nobody knows here what was taken down before it.
    pub(in crate::ops) fn follow(self, seen: &mut Vec<Self>) {
        let mut same = seen.iter_mut().rev().filter(|before| before.is_of_host(&self));
        match (same.next(), same.next()) {
            (Some(last), Some(first)) if first.goes_on_as(last) && last.goes_on_as(&self) => *last = self,
            _ => seen.push(self),
        }
    }

    fn is_of_host(&self, other: &Self) -> bool {
        let keys = |one: &Self| one.interfaces.iter().map(|interface| interface.near_key).collect::<Vec<_>>();
        keys(self) == keys(other)
    }

    /// Whether nothing began anew and nobody came or went until `later`.
    fn goes_on_as(&self, later: &Self) -> bool {
        let counter = |((key, was), (later_key, is)): (&(PublicKey, Counter), &(PublicKey, Counter))| {
            let before = CounterSeen { counter: *was, seen: self.time };
            let grown = was.rx <= is.rx && was.tx <= is.tx && was.born == is.born;
            let by = Step::Grown { rx: is.rx.wrapping_sub(was.rx), tx: is.tx.wrapping_sub(was.tx) };
            key == later_key && grown && step(Some(&before), is, later.time) == by
        };
        let interface = |(before, after): (&Interface, &Interface)| {
            let same = before.name == after.name && before.peers.len() == after.peers.len();
            same && before.peers.iter().zip(&after.peers).all(counter)
        };
        self.interfaces.iter().zip(&later.interfaces).all(interface)
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
    let peers = seen.iter().flat_map(|host| &host.interfaces).map(|interface| interface.peers.len()).sum();
    let (mut grown, mut whole) = (Vec::with_capacity(peers), Vec::new());
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What counters come to that are taken down one after the other, by interface key and far key.
    fn sums(before: Counter, seen: &[Counters]) -> BTreeMap<(PublicKey, PublicKey), (u64, u64)> {
        let mut known: BTreeMap<(PublicKey, PublicKey), CounterSeen> = BTreeMap::new();
        let mut sums: BTreeMap<(PublicKey, PublicKey), (u64, u64)> = BTreeMap::new();
        for Counters { time, interfaces } in seen {
            for Interface { near_key, peers, .. } in interfaces {
                for (far, counter) in peers {
                    let first = CounterSeen { counter: before, seen: DateTime::UNIX_EPOCH };
                    let known = known.entry((*near_key, *far)).or_insert(first);
                    if let Step::Grown { rx, tx } = step(Some(known), counter, *time) {
                        *known = CounterSeen { counter: *counter, seen: *time };
                        let sum = sums.entry((*near_key, *far)).or_default();
                        *sum = (sum.0 + rx, sum.1 + tx);
                    }
                }
            }
        }
        sums
    }

    /// A look at one of two hosts: the number of its interface, what its peers have carried, and how many peers there are.
    fn look(host: u8, second: i64, born: u32, carried: u64, peers: u8) -> Counters {
        let key = |number: u8| PublicKey::from_bytes([number; 32]);
        let counter = Counter { born: Some(born), rx: carried, tx: carried / 2, boot: 1_000, uptime: 10_000 + second };
        let peers = (0..peers).map(|peer| (key(100 + peer), counter)).collect();
        let interface = Interface { name: "wg0".parse().unwrap(), near_key: key(host), peers };
        let time = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(20_000 + second);
        Counters { time, interfaces: vec![interface] }
    }

    proptest! {
        #[test]
        fn what_is_forgotten_changes_no_sum(
            taken_down in 0..300_u64,
            looks in proptest::collection::vec((0..2_u8, 0..2_u32, 0..400_u64, 1..3_u8), 0..20),
        ) {
            let before = Counter { born: Some(0), rx: taken_down, tx: taken_down / 2, boot: 1_000, uptime: 9_000 };
            let look = |(second, (host, born, carried, peers)): (i64, &(u8, u32, u64, u8))| {
                look(*host, second, *born, *carried, *peers)
            };
            let all: Vec<Counters> = (0..).zip(&looks).map(look).collect();
            let mut kept = Vec::new();
            (0..).zip(&looks).map(look).for_each(|counters| counters.follow(&mut kept));
            prop_assert_eq!(sums(before, &kept), sums(before, &all));
        }
    }

    #[test]
    fn of_a_host_that_only_goes_on_two_looks_are_kept() {
        let mut kept = Vec::new();
        (0..50).for_each(|second| look(1, second, 3, 100 * u64::try_from(second).unwrap(), 2).follow(&mut kept));
        assert_eq!(kept.len(), 2);
    }
}
