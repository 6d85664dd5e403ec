//! Reports on a network that was deployed: what they count is what was done, and what was found on the hosts.

use std::collections::BTreeSet;

use serde_json::Value;
use wg_friend_lab::{Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

const TYPES: [&str; 6] = [
    "access-control",
    "key-rotation",
    "configuration-changes",
    "network-inventory",
    "executive-summary",
    "full-compliance",
];

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// Returns the report and the codes of its warnings.
fn report(admin: &Admin<'_>) -> (Value, BTreeSet<String>) {
    let report = admin.json(&["report", "full-compliance"]);
    let codes = report["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap().to_owned());
    let codes = codes.collect();
    (report, codes)
}

fn len(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[test]
fn what_reports_count_is_what_was_done_and_found_on_hosts() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.12.0/24", "--ssh", "b"]);
    admin.ok(&["add", "remote", "alice", "bob"]);
    let (_, codes) = report(&admin);
    assert!(codes.contains("not_deployed") && !codes.contains("no_ssh_host"), "{codes:?}");

    // Deployments, as the history of each host has them.
    admin.deploy();
    let (_, codes) = report(&admin);
    assert!(codes.contains("drift_not_checked") && !codes.contains("not_deployed"), "{codes:?}");
    admin.ok(&["set", "alice", "access=vpn-only"]);
    admin.deploy();
    let (made, _) = report(&admin);
    let versions = |host: &str| len(&admin.json(&["history", host])["versions"]);
    assert_eq!(len(&made["changes"]["deployments"]), versions("a") + versions("b"));
    assert_eq!(made["changes"]["outcomes"]["confirmed"], versions("a") + versions("b"), "{:#}", made["changes"]);
    assert_eq!(made["changes"]["no_longer_kept"], 0);
    assert!(
        made["access"]["enforcement"][0]["deployed"].is_string()
            && made["access"]["enforcement"][0]["enforced"] == true
    );

    // What somebody did on a host, until somebody says why.
    admin.ok(&["drift", "check"]);
    assert!(!report(&admin).1.contains("drift_not_checked"));
    let stranger = lab.host("ctl").sh("wg genkey | wg pubkey")?.trim().to_owned();
    lab.host("a").sh(&addressed(&format!("wg set wg0 peer {stranger} allowed-ips 10.66.0.99/32")))?;
    let found = admin.run(&["drift", "check", "--json"]);
    assert_eq!(found.status, 3, "{}{}", found.stdout, found.stderr);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    let (made, codes) = report(&admin);
    assert!(codes.contains("drift_open"), "{codes:?}");
    let open = &made["drift"]["items"][0];
    assert_eq!((&open["state"], &open["id"]), (&"open".into(), &found["hosts"][0]["items"][0]["id"]), "{found:#}");
    admin.ok(&["drift", "ack", "a", "all", "--reason", "Tom's old phone", "--until", "30d"]);
    let (made, codes) = report(&admin);
    assert_eq!((&made["drift"]["items"][0]["state"], codes.contains("drift_open")), (&"acknowledged".into(), false));
    assert_eq!(made["drift"]["acknowledged"][0]["reason"], "Tom's old phone");
    let history = admin.json(&["drift", "history"]);
    let scans: u64 =
        made["drift"]["hosts"].as_array().unwrap().iter().map(|host| host["scans"].as_u64().unwrap()).sum();
    assert_eq!(scans as usize, len(&history["scans"]));

    // Each of the six against the hosts and the tables themselves.
    let database = rusqlite::Connection::open(admin.database()).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize
    };
    lab.host("a").sh(&format!("wg set wg0 peer {stranger} remove"))?;
    let on_a = lab.host("a").sh("wg show wg0 peers; wg show wg0 public-key")?;
    let on_hosts: BTreeSet<&str> = on_a.lines().collect();
    assert!(on_hosts.contains(lab.host("b").sh("wg show wg0 public-key")?.trim()));
    let whole = made;
    let mut seen = BTreeSet::new();
    for kind in TYPES {
        let made = admin.json(&["report", kind]);
        assert_eq!(made["report"], kind.replace('-', "_"));
        for part in ["access", "keys", "changes", "inventory", "drift", "safeguards"] {
            if made[part].is_null() {
                continue;
            }
            seen.insert(part);
            assert_eq!(made[part], whole[part], "{kind}: {part} is the same in every report");
        }
        if !made["keys"].is_null() {
            let keys = made["keys"]["active"].as_array().unwrap().iter();
            assert_eq!(keys.map(|key| key["public_key"].as_str().unwrap()).collect::<BTreeSet<_>>(), on_hosts);
            let preshared = lab.host("a").sh("wg show wg0 preshared-keys")?;
            let with = made["keys"]["links"].as_array().unwrap().iter().filter(|link| !link["created"].is_null());
            assert_eq!(with.count(), preshared.lines().filter(|line| !line.ends_with("(none)")).count());
        }
        if !made["access"].is_null() {
            let levels = made["access"]["levels"].as_object().unwrap().values().map(|n| n.as_u64().unwrap());
            assert_eq!(levels.sum::<u64>() as usize, count("nodes WHERE role IN ('remote', 'router')"));
            assert_eq!(len(&made["access"]["grants"]), count("grants"));
        }
        if !made["changes"].is_null() {
            assert_eq!(len(&made["changes"]["model"]), count("states"));
            assert_eq!(len(&made["changes"]["deployments"]), count("deployments"));
        }
        if !made["inventory"].is_null() {
            assert_eq!(len(&made["inventory"]["nodes"]), count("nodes"));
            assert_eq!(len(&made["inventory"]["lans"]), count("lans"));
        }
        if !made["safeguards"].is_null() {
            assert_eq!(made["safeguards"]["audit"]["entries"], count("audit"));
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    Ok(())
}
