//! Naming drift and summing it up, on made-up differences.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::history::{History, Trend, summary};
use super::item::{Found, InFile, named};
use crate::db::{Scan, SeenItem};
use crate::model::{DriftKind, ScanOutcome, Severity};
use crate::ops::deploy::{Cause, Change, Kind};

fn change(kind: Kind, subject: &str, before: Option<&str>, after: Option<&str>) -> Change {
    Change {
        interface: Some("wg0".parse().unwrap()),
        kind,
        subject: subject.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        severity: kind.severity(),
        disruption: kind.disruption(),
        cause: Cause::Drift,
        acknowledged: None,
    }
}

fn found(changes: &[Change]) -> Vec<Found> {
    named(&"hub".parse().unwrap(), changes, &|_| None, &|_| InFile::Other)
}

#[test]
fn every_kind_has_its_name_and_its_weight() {
    let lines: Vec<String> = [
        change(Kind::PeerExtra, "AAAA…", Some("10.9.0.0/24"), None),
        change(Kind::PeerMissing, "alice", None, Some("10.66.0.30/32")),
        change(Kind::AllowedIps, "bob", Some("10.66.0.31/32, 10.9.0.0/24"), Some("10.66.0.31/32")),
        change(Kind::Endpoint, "office", Some("none"), Some("198.51.100.11:51820")),
        change(Kind::Keepalive, "office", Some("off"), Some("25 s")),
        change(Kind::PresharedKey, "carol", Some("another"), Some("the model's")),
        change(Kind::PrivateKey, "", Some("BBBB…"), Some("CCCC…")),
        change(Kind::ListenPort, "", Some("51821"), Some("51820")),
        change(Kind::Mtu, "", Some("1412"), Some("1420")),
        change(Kind::RouteMissing, "", None, Some("192.168.1.0/24")),
        change(Kind::Firewall, "table wg", Some("missing"), Some("the model's rules")),
        change(Kind::File, "wg0.conf", None, Some("12 lines")),
        change(Kind::Boot, "", None, Some("at boot")),
    ]
    .iter()
    .map(|change| {
        let item = &found(std::slice::from_ref(change))[0].item;
        format!("{} {} {}", item.kind, item.severity, item.subject).trim_end().to_owned()
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    peer_added critical AAAA…
    peer_removed warning alice
    allowed_ips_changed warning bob
    endpoint_changed info office
    keepalive_changed info office
    psk_changed critical carol
    server_key_changed critical
    port_changed warning
    mtu_changed warning
    route_removed warning
    firewall_removed critical table wg
    file_removed warning wg0.conf
    boot_changed info
    ");
}

#[test]
fn what_went_with_a_link_is_no_drift_of_its_own() {
    let elsewhere =
        Change { interface: Some("wgx1".parse().unwrap()), ..change(Kind::RouteMissing, "", None, Some("::/0")) };
    let changes = [
        change(Kind::LinkDown, "", Some("down"), Some("up")),
        change(Kind::AddressMissing, "", None, Some("fd66::1/64")),
        change(Kind::RouteMissing, "", None, Some("192.168.1.0/24")),
        change(Kind::RouteExtra, "", Some("10.9.0.0/24"), None),
        elsewhere,
    ];
    let found = found(&changes);
    let kinds: Vec<DriftKind> = found.iter().map(|found| found.item.kind).collect();
    assert_eq!(kinds, [DriftKind::LinkDown, DriftKind::RouteAdded, DriftKind::RouteRemoved]);
    assert_eq!(found[0].changes, [0, 1, 2]);
}

#[test]
fn what_the_model_changed_is_no_drift() {
    let pending = Change { cause: Cause::Pending, ..change(Kind::Mtu, "", Some("1420"), Some("1412")) };
    assert_eq!(found(&[pending]), []);
}

#[test]
fn a_key_in_the_place_of_another_is_one_change_and_critical() {
    let changes = [
        change(Kind::PeerExtra, "AAAA…", Some("10.66.0.30/32"), None),
        change(Kind::Mtu, "", Some("1412"), Some("1420")),
        change(Kind::PeerMissing, "alice", None, Some("10.66.0.30/32")),
    ];
    let found = found(&changes);
    let kinds: Vec<_> = found.iter().map(|found| (found.item.kind, found.changes.clone())).collect();
    assert_eq!(kinds, [(DriftKind::PeerModified, vec![0, 2]), (DriftKind::MtuChanged, vec![1])]);
    assert_eq!((found[0].item.subject.as_str(), found[0].item.severity), ("alice", Severity::Critical));
}

#[test]
fn an_id_lasts_as_long_as_the_same_is_found() {
    let mtu = |value| found(&[change(Kind::Mtu, "", Some(value), Some("1420"))])[0].item.id.clone();
    assert_eq!(mtu("1412"), mtu("1412"));
    assert_ne!(mtu("1412"), mtu("1400"));
    assert_eq!(mtu("1412").len(), 8);
    let file = |text: &'static [u8]| {
        let changes = [change(Kind::File, "wg0.conf", Some("other text"), Some("the model's"))];
        let substance = |_: &Change| Some(text.to_vec());
        named(&"hub".parse().unwrap(), &changes, &substance, &|_| InFile::Other)[0].item.id.clone()
    };
    assert_ne!(file(b"one"), file(b"another"));
    let hooks = named(
        &"hub".parse().unwrap(),
        &[change(Kind::File, "wg0.conf", Some("other text"), Some("the model's"))],
        &|_| None,
        &|_| InFile::HooksAndOther,
    );
    assert_eq!(hooks[0].item.kind, DriftKind::HooksChanged);
}

#[test]
fn a_summary_counts_by_kind_host_and_day() {
    let to: DateTime<Utc> = "2026-03-31T12:00:00Z".parse().unwrap();
    let from = to - TimeDelta::days(30);
    let scan = |host: &str, days: i64, outcome| Scan {
        host: host.parse().unwrap(),
        time: to - TimeDelta::days(days),
        duration: Duration::from_millis(80),
        outcome,
        items: usize::from(outcome == ScanOutcome::Drift),
        acknowledged: 0,
        note: None,
    };
    let item = |host: &str, value: &str, first: i64, last: i64, present| SeenItem {
        host: host.parse().unwrap(),
        item: found(&[change(Kind::Mtu, "", Some(value), Some("1420"))])[0].item.clone(),
        first_seen: to - TimeDelta::days(first),
        last_seen: to - TimeDelta::days(last),
        scans: 1,
        present,
    };
    let history = History {
        scans: vec![
            scan("hub", 1, ScanOutcome::Drift),
            scan("office", 1, ScanOutcome::Unknown),
            scan("hub", 2, ScanOutcome::Clean),
        ],
        items: vec![item("hub", "1400", 1, 1, true), item("hub", "1300", 3, 3, false)],
    };
    let sum = summary(from, to, &history);
    assert_eq!((sum.scans, sum.unknown, sum.trend), (3, 1, Trend::Rising));
    assert_eq!((sum.kinds[0].items, sum.kinds[0].present), (2, 1));
    assert_eq!((sum.kinds[0].first_seen, sum.kinds[0].last_seen), (to - TimeDelta::days(3), to - TimeDelta::days(1)));
    let hosts: Vec<_> = sum.hosts.iter().map(|of| (of.host.as_str(), of.scans, of.drifted, of.unknown)).collect();
    assert_eq!(hosts, [("hub", 2, 1, 0), ("office", 1, 0, 1)]);
    let days: Vec<_> = sum.days.iter().map(|of| (of.day.to_string(), of.scans, of.new, of.hosts)).collect();
    assert_eq!(days, [("2026-03-29".to_owned(), 1, 0, 0), ("2026-03-30".to_owned(), 2, 1, 1)]);
    assert_eq!(summary(from, to, &History { scans: Vec::new(), items: Vec::new() }).trend, Trend::Steady);
}
