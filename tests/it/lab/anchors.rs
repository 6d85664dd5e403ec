//! Signed heads that deploys leave on hosts: an older copy of the database, or another one, shows against them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use wg_friend_lab::{Result, Spec};

use super::family::lab_or_skip;
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// Copies a database as a file.
fn copy(from: &Path, to: &Path) {
    rusqlite::Connection::open(from).unwrap().execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
}

#[test]
fn heads_on_hosts_tell_an_older_copy_of_the_database() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "exit", "b", "--endpoint", "198.51.100.12", "--ssh", "b"]);
    admin.ok(&["add", "remote", "alice"]);
    let none = admin.run(&["audit", "verify", "--anchors"]);
    assert_eq!(none.status, 4, "nothing was compared: {}", none.stderr);
    assert!(none.stdout.contains("nothing: a: no deploy has left a head there"), "{}", none.stdout);

    // Each deploy leaves one, and no plan and no drift sees it.
    admin.deploy();
    let report = admin.json(&["audit", "verify", "--anchors"]);
    assert_eq!((&report["intact"], report["anchors"].as_array().map(Vec::len)), (&true.into(), Some(2)), "{report:#}");
    assert!(
        admin.json(&["plan"])["hosts"].as_array().unwrap().iter().all(|host| host["changes"] == serde_json::json!([]))
    );
    admin.ok(&["drift", "check"]);
    let files =
        lab.host("a").sh("ls /var/lib/wg-friend /etc/wireguard; stat -c %a /var/lib/wg-friend/deployed-heads-*")?;
    assert!(files.contains("600") && !files.contains(".new"), "{files}");

    let old = admin.database().with_file_name("old.db");
    copy(&admin.database(), &old);
    admin.ok(&["set", "alice", "access=vpn-only"]);
    admin.deploy();
    let report = admin.json(&["audit", "verify", "--anchors"]);
    assert_eq!((&report["intact"], &report["hosts"][0]["heads"]), (&true.into(), &2.into()), "{report:#}");

    // Somebody puts back what was there before the change. By itself that is in order; the hosts know better.
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", admin.database().display()));
    }
    fs::copy(&old, admin.database())?;
    fs::set_permissions(admin.database(), PermissionsExt::from_mode(0o600))?;
    admin.ok(&["audit", "verify"]);
    let verify = || admin.run(&["audit", "verify", "--anchors"]);
    let found = verify();
    assert_eq!(found.status, 6, "{}{}", found.stdout, found.stderr);
    assert!(found.stdout.contains("in a, signed ") && found.stdout.contains("older copy"), "{}", found.stdout);

    // Working on doesn't hide it: what earlier deploys left is still there.
    admin.ok(&["set", "alice", "notes=nothing happened"]);
    admin.ok(&["set", "alice", "access=full", "mtu=1380"]);
    admin.deploy();
    let found = verify();
    assert_eq!(found.status, 6, "{}{}", found.stdout, found.stderr);
    assert!(found.stdout.contains("goes on from an older copy"), "{}", found.stdout);

    // A restore is in the log, and so `verify` names it until the next deploy, and takes it as meant from then on.
    let made =
        admin.json(&["backup", "create", "--to", admin.database().with_file_name("kept.wgfb").to_str().unwrap()]);
    admin.ok(&["set", "alice", "access=vpn-only"]);
    admin.deploy();
    let before = verify().stdout.matches("goes on from an older copy").count();
    admin.ok(&["backup", "restore", made["file"].as_str().unwrap(), "--yes"]);
    let found = verify();
    assert_eq!(found.status, 6, "{}{}", found.stdout, found.stderr);
    assert!(
        found.stdout.contains("restored: the head of ") && found.stdout.contains("`wg-friend deploy`"),
        "{}",
        found.stdout
    );
    admin.ok(&["set", "alice", "mtu=1360"]);
    admin.deploy();
    let found = verify();
    assert!(found.stdout.contains("Newer heads are there by now"), "{}", found.stdout);
    assert_eq!(
        found.stdout.matches("goes on from an older copy").count(),
        before,
        "it explains nothing else: {}",
        found.stdout
    );

    // A host that can't be asked is said to be so.
    lab.host("b").sh("ip link set eth0 down")?;
    let found = admin.run(&["audit", "verify", "--anchors", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert!(report["hosts"][1]["error"].is_string(), "{report:#}");
    Ok(())
}
