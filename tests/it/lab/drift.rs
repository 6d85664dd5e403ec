//! What somebody changes on a host by hand is found, named, and comes back when it changes again.

use serde_json::Value;
use wg_friend::db::{Database, Passphrase};
use wg_friend::model::{Actor, Source};
use wg_friend::ops::clock::{Clock as _, System};
use wg_friend::ops::deploy::pending::pending;
use wg_friend_lab::{Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// Looks for drift; the exit code has to be this one. Returns what is printed for programs.
#[track_caller]
fn check(admin: &Admin<'_>, code: i32) -> Value {
    let output = admin.run(&["drift", "check", "--json"]);
    assert_eq!(output.status, code, "{}{}", output.stdout, output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Returns what a check found on a host and nobody has acknowledged: kind, severity and id.
fn found(report: &Value, host: &str) -> Vec<(String, String, String)> {
    let hosts = report["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|entry| entry["host"] == host).unwrap();
    let items = host["items"].as_array().unwrap().iter().filter(|item| item["acknowledged"].is_null());
    let word = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    items.map(|item| (word(item, "kind"), word(item, "severity"), word(item, "id"))).collect()
}

fn names(found: &[(String, String, String)]) -> Vec<(&str, &str)> {
    found.iter().map(|(kind, severity, _)| (kind.as_str(), severity.as_str())).collect()
}

/// A server `a`, a router `b`, two devices, deployed.
fn small(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.12.0/24", "--ssh", "b"]);
    admin.ok(&["add", "remote", "alice", "bob"]);
    admin.deploy();
    admin
}

#[test]
fn what_is_changed_by_hand_is_found_acknowledged_and_mended() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    let a = lab.host("a");

    // A healthy fleet: nothing is invented, and nothing is said.
    let report = check(&admin, 0);
    assert_eq!((&report["items"], &report["unknown"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(admin.ok(&["drift", "check"]), "");

    // What only the model has is no drift.
    admin.ok(&["set", "a", "mtu=1400"]);
    check(&admin, 0);
    admin.ok(&["set", "a", "mtu=network"]);

    // A stranger's peer.
    let stranger = lab.host("ctl").sh("wg genkey | wg pubkey")?.trim().to_owned();
    a.sh(&addressed(&format!("wg set wg0 peer {stranger} allowed-ips 10.66.0.99/32")))?;
    let report = check(&admin, 3);
    let items = found(&report, "a");
    assert_eq!(names(&items), [("peer_added", "critical")], "{report:#}");
    assert_eq!((&report["critical"], found(&report, "b").len()), (&1.into(), 0));

    // Acknowledged, it doesn't count; the plan still has it, marked.
    admin.ok(&["drift", "ack", "a", &items[0].2, "--reason", "Tom's old phone", "--until", "30d"]);
    assert_eq!(check(&admin, 0)["acknowledged"], 1);
    assert_eq!(admin.ok(&["drift", "check"]), "");
    let plan = admin.json(&["plan", "a"]);
    assert_eq!(plan["hosts"][0]["changes"][0]["acknowledged"], "Tom's old phone", "{plan:#}");
    assert!(admin.ok(&["drift", "ack", "--list"]).contains("Tom's old phone"));

    // Changed again, it is back.
    a.sh(&addressed(&format!("wg set wg0 peer {stranger} allowed-ips 10.66.0.99/32,10.66.0.98/32")))?;
    let again = found(&check(&admin, 3), "a");
    assert_eq!(names(&again), [("peer_added", "critical")]);
    assert_ne!(again[0].2, items[0].2);

    // Many things at once, each named once.
    a.sh(&addressed(
        "ip link set wg0 mtu 1300
         ip route del 192.168.12.0/24 dev wg0
         ip address add 10.66.0.77/32 dev wg0
         sysctl -q -w net.ipv4.ip_forward=0
         sed -i 's/^\\[Interface\\]/[Interface]\\nPostUp = true/' /etc/wireguard/wg0.conf
         nft flush table inet wgf_wg0",
    ))?;
    let mut kinds: Vec<String> = found(&check(&admin, 3), "a").into_iter().map(|(kind, ..)| kind).collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "address_added",
            "firewall_changed",
            "hooks_changed",
            "mtu_changed",
            "peer_added",
            "route_removed",
            "sysctl_changed"
        ]
    );

    // A baseline takes all of it; mended, nothing is left of either.
    admin.ok(&["drift", "baseline", "a", "--reason", "as it was found"]);
    assert_eq!(check(&admin, 0)["acknowledged"], 7);
    admin.deploy();
    assert_eq!(check(&admin, 0)["acknowledged"], 0);
    assert_eq!(admin.json(&["drift", "ack", "--list"])["acknowledged"], serde_json::json!([]));
    a.sh("ip link set wg0 mtu 1300")?; // acknowledged once, but it had gone since
    assert_eq!(names(&found(&check(&admin, 3), "a")), [("mtu_changed", "warning")]);

    // Who doesn't answer is unknown, never clean, and hides no other.
    lab.host("b").sh("ip link set lo down; ip route flush table main; ip address flush dev eth0")?;
    let report = check(&admin, 4);
    assert_eq!(report["hosts"][1]["outcome"], "unknown", "{report:#}");
    assert_eq!(names(&found(&report, "a")), [("mtu_changed", "warning")]);

    let report = admin.json(&["drift", "report", "--days", "30"]);
    assert_eq!(report["unknown"], 1, "{report:#}");
    let history = admin.json(&["drift", "history", "a"]);
    let seen = history["items"].as_array().unwrap().iter().filter(|item| item["present"] == true).count();
    assert_eq!(seen, 1, "{history:#}");
    Ok(())
}

#[test]
fn what_is_changed_by_hand_is_taken_into_the_model_and_then_the_plan_is_empty() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    let a = lab.host("a");
    let key = |node: &str| admin.json(&["show", node])["public_key"].as_str().unwrap().to_owned();
    let (alice, bob) = (key("alice"), key("bob"));
    let bobs: Vec<String> = admin.addresses("bob").iter().map(ToString::to_string).collect();
    let bobs = bobs.join(",");
    let stranger = lab.host("ctl").sh("wg genkey | wg pubkey")?.trim().to_owned();
    a.sh(&addressed(&format!(
        "wg set wg0 peer {stranger} allowed-ips 10.66.0.99/32,10.8.0.0/24 persistent-keepalive 21
         wg set wg0 peer {bob} persistent-keepalive 17 allowed-ips {bobs},10.9.0.0/24
         wg genpsk >/tmp/psk; wg set wg0 peer {alice} preshared-key /tmp/psk; rm /tmp/psk
         wg set wg0 listen-port 51900
         ip link set wg0 mtu 1380"
    )))?;
    let mut kinds: Vec<String> = found(&check(&admin, 3), "a").into_iter().map(|(kind, ..)| kind).collect();
    kinds.sort();
    let all = ["allowed_ips_changed", "keepalive_changed", "mtu_changed", "peer_added", "port_changed", "psk_changed"];
    assert_eq!(kinds, all);

    let preview = admin.json(&["drift", "adopt", "a", "--dry-run"]);
    assert_eq!((&preview["saved"], preview["adopted"].as_array().unwrap().len()), (&false.into(), 6), "{preview:#}");
    assert_eq!(found(&check(&admin, 3), "a").len(), 6);

    let adopted = admin.json(&["drift", "adopt", "a", "--yes"]);
    assert_eq!(adopted["left"], serde_json::json!([]), "{adopted:#}");
    assert_eq!(adopted["deployed"]["outcome"], "confirmed", "{adopted:#}");
    let plan = admin.json(&["plan", "a"]);
    assert_eq!(plan["changes"], 0, "{plan:#}");
    check(&admin, 0);
    let name = adopted["added"][0].as_str().unwrap();
    let node = admin.json(&["show", name]);
    assert_eq!(node["provisional"], true, "{node:#}");
    assert_eq!(admin.addresses(name)[0].to_string(), addressed("10.66.0.99"));

    // What has no place in the model is named, and stays what it was.
    a.sh(&addressed("sysctl -q -w net.ipv4.ip_forward=0"))?;
    let refused = admin.run(&["drift", "adopt", "a", "--yes"]);
    assert!(refused.status == 1 && refused.stderr.contains("sysctl_changed"), "{}", refused.stderr);
    assert_eq!(names(&found(&check(&admin, 3), "a")), [("sysctl_changed", "warning")]);
    Ok(())
}

/// Whether a host is said to lack later changes, without being asked; and its version.
fn lacks(admin: &Admin<'_>, host: &str) -> (bool, i64) {
    let database = Database::open(&admin.database()).unwrap();
    let version = database.deployments(&host.parse().unwrap(), 1).unwrap()[0].version;
    let passphrase = Passphrase::new("correct horse battery staple".to_owned());
    let actor = Actor { operator: "test".to_owned(), address: None, source: Source::Cli };
    let store = database.unlock(&passphrase, &actor, System.now()).unwrap();
    (pending(&store).unwrap()[&host.parse().unwrap()], version)
}

#[test]
fn what_the_model_comes_to_say_as_the_host_has_it_waits_for_no_deploy_whatever_else_was_changed_there() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = small(&lab);
    let a = lab.host("a");
    let by_hand = |mtu: &str| {
        a.sh(&format!("ip link set wg0 mtu {mtu} && sed -i 's/^MTU = .*/MTU = {mtu}/' /etc/wireguard/wg0.conf"))
    };
    let (none, first) = lacks(&admin, "a");
    assert!(!none);
    by_hand("1380")?;
    admin.ok(&["set", "a", "mtu=1380"]);
    assert_eq!(lacks(&admin, "a"), (true, first));
    assert_eq!(admin.json(&["plan", "a"])["changes"], 0);
    assert_eq!(lacks(&admin, "a"), (false, first + 1), "it is noted as it was found");
    assert_eq!(admin.json(&["plan", "a"])["changes"], 0);
    assert_eq!(lacks(&admin, "a"), (false, first + 1), "once");

    // Beside something that may stay.
    a.sh("nft add chain inet wgf_wg0 mine")?;
    assert_eq!(names(&found(&check(&admin, 3), "a")), [("firewall_changed", "critical")]);
    admin.ok(&["drift", "baseline", "a", "--reason", "it may stay", "--yes"]);
    by_hand("1370")?;
    admin.ok(&["set", "a", "mtu=1370"]);
    assert_eq!(lacks(&admin, "a"), (true, first + 1));
    admin.json(&["plan", "a"]);
    assert_eq!(lacks(&admin, "a"), (false, first + 2));
    let report = check(&admin, 0);
    let host = report["hosts"].as_array().unwrap().iter().find(|host| host["host"] == "a").unwrap();
    assert_eq!(host["items"][0]["kind"], "firewall_changed", "it is still known for what it is: {host:#}");

    // Nobody has deployed it.
    let report = admin.json(&["report", "configuration-changes"]);
    let listed = report.to_string();
    assert!(!listed.contains("as it was found"), "{report:#}");
    Ok(())
}
