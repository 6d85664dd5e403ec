//! Traffic of real packets, counted through restarts, makes keys due.

use std::time::Duration;

use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

const MB: u64 = 1_000_000;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// A network with `a` as its server and `b` as a router.
fn admin_of(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--address", "10.66.0.1", "--ssh", "a"]);
    admin.ok(&["add", "router", "b", "--lan", "192.168.12.0/24", "--address", "10.66.0.2", "--ssh", "b"]);
    admin
}

/// Has `b` take what comes.
fn listen(lab: &Lab) -> Result {
    let line = "setsid socat -u TCP6-LISTEN:9000,ipv6only=0,fork,reuseaddr OPEN:/dev/null </dev/null >/dev/null 2>&1 &";
    lab.host("b").sh(line).map(|_| ())
}

/// Sends so many bytes from `a` to `b` through the tunnel, and waits until `b` has them all.
fn send(lab: &Lab, bytes: u64) -> Result {
    let is_up = || lab.host("a").sh(&addressed("ping -n -c 1 -W 1 10.66.0.2")).is_ok();
    assert!(wait_until(Duration::from_secs(30), is_up), "the tunnel carries packets");
    let to = addressed("10.66.0.2:9000");
    lab.host("a").sh(&format!("head -c {bytes} /dev/zero | socat -u - TCP:{to},connect-timeout=20"))?;
    let open = "ss -Htn state connected exclude time-wait '( dport = :9000 )'";
    let is_over = || lab.host("a").sh(open).is_ok_and(|left| left.is_empty());
    assert!(wait_until(Duration::from_secs(60), is_over), "all of it arrives");
    Ok(())
}

/// What the kernels of both ends show of their link: of each direction, what the end shows that has counted more.
fn shown(lab: &Lab) -> Result<u64> {
    let mut ends = Vec::new();
    for host in ["a", "b"] {
        let line = lab.host(host).sh("wg show wg0 transfer")?;
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert_eq!(numbers.len(), 2, "one peer: {line}");
        ends.push((numbers[0], numbers[1]));
    }
    Ok(ends[0].0.max(ends[1].1) + ends[0].1.max(ends[1].0))
}

/// Whether two amounts are the same but for some keepalives and handshakes.
fn near(one: u64, other: u64) -> bool {
    one.abs_diff(other) < 20_000
}

fn standing(admin: &Admin<'_>, name: &str) -> Value {
    let due = admin.json(&["rotation", "policy", "show", "heavy"]);
    let nodes = due["standings"].as_array().unwrap();
    nodes.iter().find(|node| node["node"] == name).cloned().unwrap_or_else(|| panic!("{due:#}"))
}

fn under_key(admin: &Admin<'_>) -> u64 {
    standing(admin, "b")["traffic"]["under_key"].as_u64().expect("a number of bytes")
}

#[test]
fn what_goes_through_counts_across_restarts_until_the_key_is_due_and_another_key_keeps_the_total() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab);
    admin.ok(&["rotation", "policy", "add", "heavy", "--usage", "26MB", "--scope", "b", "--auto-deploy"]);
    admin.deploy();
    listen(&lab)?;

    send(&lab, 10 * MB)?;
    admin.ok(&["status", "--live"]);
    let (first, used) = (shown(&lab)?, under_key(&admin));
    assert!(first >= 10 * MB && near(used, first), "{used} counted, {first} shown");
    assert_ne!(standing(&admin, "b")["state"], "due");

    // Both ends begin to count at nought.
    for host in ["a", "b"] {
        lab.host(host).sh("wg-quick down wg0 && wg-quick up wg0")?;
    }
    send(&lab, 5 * MB)?;
    admin.ok(&["plan"]);
    let (second, used) = (shown(&lab)?, under_key(&admin));
    assert!(second >= 5 * MB && near(used, first + second), "{used} counted, {first} and {second} shown");

    // And once more; this time they carry more than they showed at the last look.
    for host in ["a", "b"] {
        lab.host(host).sh("wg-quick down wg0 && wg-quick up wg0")?;
    }
    send(&lab, 12 * MB)?;
    admin.ok(&["drift", "check"]);
    let (third, used) = (shown(&lab)?, under_key(&admin));
    assert!(third > second && near(used, first + second + third), "{used} counted, {third} shown at last");
    for _ in 0..3 {
        admin.ok(&["status", "--live"]);
    }
    assert!(near(under_key(&admin), used), "looking counts nothing twice");
    let now = standing(&admin, "b");
    assert_eq!((&now["state"], &now["because"]), (&"due".into(), &"usage".into()), "{now:#}");

    // The policy's job gives it another key, on the host too; what went under it begins anew and the total goes on.
    let applied = admin.json(&["rotation", "apply", "--yes"]);
    assert_eq!(
        (&applied["nodes"][0]["end"], &applied["nodes"][0]["deployed"]),
        (&"rotated".into(), &true.into()),
        "{applied:#}"
    );
    assert_eq!(admin.json(&["rotation", "apply", "--yes"])["nodes"].as_array().map(Vec::len), Some(0));
    send(&lab, 2 * MB)?;
    admin.ok(&["status", "--live"]);
    let after = standing(&admin, "b");
    let (under, total) = (after["traffic"]["under_key"].as_u64().unwrap(), after["traffic"]["total"].as_u64().unwrap());
    assert!((2 * MB..3 * MB).contains(&under), "{after:#}");
    assert!(near(total, used + under), "{used} before, {after:#}");
    assert_eq!(admin.json(&["rotation", "log"])["executions"][0]["deployed"], true);
    Ok(())
}

#[test]
fn a_host_that_can_not_be_deployed_keeps_its_key_and_so_does_the_other_end() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab);
    admin.deploy();
    let key = || lab.host("b").sh("wg show wg0 public-key");
    let before = key()?;
    admin.ok(&["rotation", "policy", "add", "incidents", "--on", "operator-removed", "--auto-deploy"]);
    admin.ok(&["rotation", "event", "operator-removed", "b"]);
    lab.drop_packets("b", "")?;
    let applied = admin.run(&["rotation", "apply", "--yes", "--json", "--host-timeout", "5"]);
    assert_eq!(applied.status, 1, "{}{}", applied.stdout, applied.stderr);
    let applied: Value = serde_json::from_str(&applied.stdout).unwrap();
    let node = &applied["nodes"][0];
    assert_eq!((&node["end"], &node["new_key"], &node["deployed"]), (&"failed".into(), &Value::Null, &Value::Null));
    assert!(
        node["error"].as_str().is_some_and(|error| error.starts_with("`b` has to learn of the new key")),
        "{node:#}"
    );
    lab.heal("b")?;
    assert_eq!(key()?, before, "the host has the key that it had");
    let is_up = || lab.host("a").sh(&addressed("ping -n -c 1 -W 1 10.66.0.2")).is_ok();
    assert!(wait_until(Duration::from_secs(30), is_up), "and the other end knows it by that");
    assert!(admin.json(&["rotation", "log"])["executions"][0]["error"].is_string());

    // The next run finds it due still.
    let applied = admin.json(&["rotation", "apply", "--yes"]);
    assert_eq!((&applied["nodes"][0]["end"], &applied["nodes"][0]["deployed"]), (&"rotated".into(), &true.into()));
    assert_ne!(key()?, before);
    assert!(wait_until(Duration::from_secs(30), is_up));
    Ok(())
}

#[test]
fn a_run_that_ended_between_replacing_and_deploying_is_made_good_by_the_next_one() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = admin_of(&lab);
    admin.deploy();
    let key = || lab.host("b").sh("wg show wg0 public-key");
    let before = key()?;
    admin.ok(&["rotation", "policy", "add", "incidents", "--on", "compromise"]);
    admin.ok(&["rotation", "event", "compromise", "b"]);
    admin.ok(&["rotation", "apply", "--yes"]);
    assert_eq!(key()?, before, "nobody has deployed");
    // What a run leaves that is killed there.
    let database = rusqlite::Connection::open(admin.database()).unwrap();
    assert_eq!(database.execute("UPDATE rotation_executions SET deployed = 0", []).unwrap(), 1);
    let log = admin.run(&["rotation", "log"]);
    assert!(log.stdout.contains("not deployed yet"), "{}", log.stdout);

    // A host that gives no answer is tried again and again.
    lab.drop_packets("b", "")?;
    let applied = admin.run(&["rotation", "apply", "--yes", "--json", "--host-timeout", "5"]);
    assert_eq!(applied.status, 4, "{}{}", applied.stdout, applied.stderr);
    lab.heal("b")?;
    let applied = admin.json(&["rotation", "apply", "--yes"]);
    let left = &applied["left_over"][0];
    assert_eq!((&left["node"], &left["deployed"]), (&"b".into(), &true.into()), "{applied:#}");
    assert_ne!(key()?, before);
    assert_eq!(admin.json(&["rotation", "log"])["executions"][0]["deployed"], true);
    assert_eq!(admin.json(&["rotation", "apply", "--yes"])["left_over"], serde_json::json!([]));
    Ok(())
}
