//! Scans and what they found, one after the other.

use std::time::Duration;

use super::{at, host, lab, name};
use crate::db::{Acknowledgement, DriftItem, Scan, Store};
use crate::model::{DriftKind, ScanOutcome, Severity};

fn item(id: &str) -> DriftItem {
    DriftItem {
        id: id.to_owned(),
        interface: Some("wg0".parse().unwrap()),
        kind: DriftKind::MtuChanged,
        subject: String::new(),
        found: Some("1400".to_owned()),
        wanted: Some("1420".to_owned()),
        severity: Severity::Warning,
    }
}

/// Records a scan of `hub` at a time; without items to tell of, the host gave no answer.
fn scan(store: &mut Store, time: i64, found: Option<&[&str]>, keep_since: i64) {
    let outcome = match found {
        None => ScanOutcome::Unknown,
        Some([]) => ScanOutcome::Clean,
        Some(_) => ScanOutcome::Drift,
    };
    let items: Vec<DriftItem> = found.unwrap_or_default().iter().map(|id| item(id)).collect();
    let scan = Scan {
        host: name("hub"),
        time: at(time),
        duration: Duration::from_millis(80),
        outcome,
        items: items.len(),
        acknowledged: 0,
        note: None,
    };
    store.record_drift(&[(scan, items)], at(keep_since)).unwrap();
}

/// Returns what is known of the items: id, first and last time, number of scans, whether it is still there.
fn seen(store: &Store) -> Vec<(String, i64, i64, usize, bool)> {
    let seconds = |time: chrono::DateTime<chrono::Utc>| (time - at(0)).num_seconds();
    let items = store.drift_items(None, at(0)).unwrap().into_iter();
    items.map(|i| (i.item.id, seconds(i.first_seen), seconds(i.last_seen), i.scans, i.present)).collect()
}

#[test]
fn an_item_lasts_from_scan_to_scan_and_one_without_an_answer_ends_nothing() {
    let mut lab = lab();
    lab.write(|tx| tx.insert_host(&host("hub"))).unwrap();
    assert_eq!(lab.store.latest_drift(&name("hub")).unwrap(), None);
    scan(&mut lab.store, 10, Some(&["aa", "bb"]), 0);
    scan(&mut lab.store, 20, None, 0);
    scan(&mut lab.store, 30, Some(&["aa"]), 0);
    assert_eq!(seen(&lab.store), [("aa".into(), 10, 30, 2, true), ("bb".into(), 10, 10, 1, false)]);
    // What comes back is another one.
    scan(&mut lab.store, 40, Some(&["aa", "bb"]), 0);
    let latest = lab.store.latest_drift(&name("hub")).unwrap().unwrap();
    assert_eq!(latest.iter().map(|i| (i.item.id.as_str(), i.scans)).collect::<Vec<_>>(), [("aa", 3), ("bb", 1)]);
    // What is too old is forgotten.
    scan(&mut lab.store, 50, Some(&[]), 35);
    assert_eq!(seen(&lab.store), [("aa".into(), 10, 40, 3, false), ("bb".into(), 40, 40, 1, false)]);
    assert_eq!(lab.store.drift_scans(Some(&name("hub")), at(0)).unwrap().len(), 2);
}

#[test]
fn an_acknowledgement_ends_with_what_it_is_about() {
    let mut lab = lab();
    lab.write(|tx| tx.insert_host(&host("hub"))).unwrap();
    scan(&mut lab.store, 10, Some(&["aa", "bb"]), 0);
    let ack = |id: &str| Acknowledgement {
        host: name("hub"),
        item: item(id),
        reason: "a test".to_owned(),
        operator: "kim".to_owned(),
        time: at(11),
        until: Some(at(100)),
    };
    lab.write(|tx| tx.acknowledge_drift(&ack("aa")).and_then(|()| tx.acknowledge_drift(&ack("bb")))).unwrap();
    scan(&mut lab.store, 20, None, 0);
    assert_eq!(lab.store.drift_acks(None).unwrap(), [ack("aa"), ack("bb")]);
    scan(&mut lab.store, 30, Some(&["bb"]), 0);
    assert_eq!(lab.store.drift_acks(Some(&name("hub"))).unwrap(), [ack("bb")]);
    assert!(ack("bb").counts_at(at(99)) && !ack("bb").counts_at(at(100)));
    lab.write(|tx| tx.remove_drift_ack(&name("hub"), "bb")).unwrap();
    assert!(lab.write(|tx| tx.remove_drift_ack(&name("hub"), "bb")).is_err());
}
