//! What the counters come to for a node. Pure.
//!
//! Where both ends of a link are seen, both count the same packets. So of each direction the end that has counted more
//! counts: what one end missed, because it was restarted between two looks, the other one has mostly seen.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::Traffic;
use crate::model::{InterfaceId, PublicKey};

/// Bytes of an interface or a node, in both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Since its present key is in use, or waits for it.
    pub under_key: u64,
    /// Since it has been counted, under all keys.
    pub total: u64,
    /// When it was last seen to have grown.
    pub seen: Option<DateTime<Utc>>,
}

impl Usage {
    /// Adds that of another interface of the same node.
    pub fn and(self, other: Self) -> Self {
        Self {
            under_key: self.under_key.saturating_add(other.under_key),
            total: self.total.saturating_add(other.total),
            seen: self.seen.max(other.seen),
        }
    }
}

/// Bytes of one end of a link, as either end has counted them.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    /// As it counted itself: what it sent, what it received.
    own: [u64; 2],
    /// As the other one counted: what came from it, what went to it.
    other: [u64; 2],
}

impl Ends {
    fn bytes(self) -> u64 {
        let [sent, received] = [0, 1].map(|way| self.own[way].max(self.other[way]));
        sent.saturating_add(received)
    }
}

fn add(sums: &mut [u64; 2], sent: u64, received: u64) {
    *sums = [sums[0].saturating_add(sent), sums[1].saturating_add(received)];
}

/// Sums up the traffic of every interface. `keys`: the present key of each, the newest where one waits beside the other.
pub fn of_interfaces(traffic: &[Traffic], keys: &BTreeMap<InterfaceId, PublicKey>) -> BTreeMap<InterfaceId, Usage> {
    let mut under: BTreeMap<(InterfaceId, InterfaceId), Ends> = BTreeMap::new();
    let mut total: BTreeMap<(InterfaceId, InterfaceId), Ends> = BTreeMap::new();
    let mut usage: BTreeMap<InterfaceId, Usage> = BTreeMap::new();
    let is_present =
        |interface: InterfaceId, key: Option<PublicKey>| key.is_some() && keys.get(&interface) == key.as_ref();
    for row in traffic {
        let (near, far) = ((row.near, row.far), (row.far, row.near));
        add(&mut total.entry(near).or_default().own, row.tx, row.rx);
        add(&mut total.entry(far).or_default().other, row.rx, row.tx);
        if is_present(row.near, row.near_key) {
            add(&mut under.entry(near).or_default().own, row.tx, row.rx);
        }
        if is_present(row.far, row.far_key) {
            add(&mut under.entry(far).or_default().other, row.rx, row.tx);
        }
        for end in [row.near, row.far] {
            let usage = usage.entry(end).or_default();
            usage.seen = usage.seen.max(Some(row.last));
        }
    }
    for ((end, _), ends) in under {
        let usage = usage.entry(end).or_default();
        usage.under_key = usage.under_key.saturating_add(ends.bytes());
    }
    for ((end, _), ends) in total {
        let usage = usage.entry(end).or_default();
        usage.total = usage.total.saturating_add(ends.bytes());
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: InterfaceId = InterfaceId(1);
    const OFFICE: InterfaceId = InterfaceId(2);
    const PHONE: InterfaceId = InterfaceId(3);

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn keys() -> BTreeMap<InterfaceId, PublicKey> {
        [(HUB, key(1)), (OFFICE, key(2)), (PHONE, key(3))].into()
    }

    fn row(near: InterfaceId, near_key: u8, far: InterfaceId, far_key: Option<u8>, rx: u64, tx: u64) -> Traffic {
        let time = DateTime::UNIX_EPOCH;
        Traffic { near, near_key: Some(key(near_key)), far, far_key: far_key.map(key), rx, tx, first: time, last: time }
    }

    #[test]
    fn a_packet_that_both_ends_have_counted_counts_once() {
        let rows = [row(HUB, 1, OFFICE, Some(2), 100, 30), row(OFFICE, 2, HUB, Some(1), 30, 100)];
        let usage = of_interfaces(&rows, &keys());
        assert_eq!((usage[&OFFICE].total, usage[&OFFICE].under_key), (130, 130));
        assert_eq!((usage[&HUB].total, usage[&HUB].under_key), (130, 130));
    }

    #[test]
    fn what_one_end_has_missed_the_other_one_tells() {
        // The hub was restarted between two looks; of what it sent, some was lost on the way.
        let rows = [row(HUB, 1, OFFICE, Some(2), 60, 35), row(OFFICE, 2, HUB, Some(1), 30, 100)];
        assert_eq!(of_interfaces(&rows, &keys())[&OFFICE].total, 135);
    }

    #[test]
    fn another_key_keeps_the_total_and_begins_to_count_anew() {
        let rows = [row(HUB, 1, PHONE, None, 700, 300), row(HUB, 1, PHONE, Some(3), 20, 10)];
        let usage = of_interfaces(&rows, &keys());
        assert_eq!((usage[&PHONE].total, usage[&PHONE].under_key), (1030, 30));
        assert_eq!(usage[&HUB].under_key, 1030, "whose key is the same all along");
    }
}
