//! A host goes back to what it ran before, files and running state.

use wg_friend_lab::{Lab, Result, Spec};

use super::family::lab_or_skip;
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n"
        .parse()
        .unwrap()
}

/// What counts on the host: its files, and what runs, in whatever order.
fn seen(lab: &Lab) -> Result<(String, String)> {
    let a = lab.host("a");
    Ok((
        a.sh("cat /etc/wireguard/*")?,
        a.sh(
            "wg show wg0 dump | cut -f 1,2,4,8 | sort; ip -o address show wg0; ip link show wg0 | grep -o 'mtu [0-9]*'",
        )?,
    ))
}

#[test]
fn a_host_goes_back_to_any_version_and_forth_again() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "remote", "alice"]);
    admin.deploy();
    let mut versions = vec![seen(&lab)?];
    for change in [
        ["set", "a", "mtu=1380", "--yes"].as_slice(),
        &["add", "remote", "bob", "carol"],
        &["set", "alice", "access=vpn-only"],
        &["remove", "bob", "--yes"],
    ] {
        admin.ok(change);
        admin.deploy();
        versions.push(seen(&lab)?);
    }

    // To the version before, two back, forth, and to the first.
    admin.ok(&["rollback", "a", "--yes"]);
    assert!(seen(&lab)? == versions[3]);
    let report = admin.json(&["rollback", "a", "2", "--yes"]);
    assert_eq!((&report["version"], &report["hosts"][0]["outcome"]), (&2.into(), &"confirmed".into()), "{report:#}");
    assert!(seen(&lab)? == versions[1]);
    admin.ok(&["rollback", "a", "5", "--yes"]);
    assert!(seen(&lab)? == versions[4]);
    let before = seen(&lab)?;
    let plan = admin.json(&["rollback", "a", "1", "--dry-run"]);
    assert!(plan["hosts"][0]["changes"].as_array().is_some_and(|changes| !changes.is_empty()), "{plan:#}");
    assert!(seen(&lab)? == before);
    admin.ok(&["rollback", "a", "1", "--yes"]);
    assert!(seen(&lab)? == versions[0]);
    let log = admin.json(&["history", "a"]);
    let hashes: Vec<&str> = log["versions"].as_array().unwrap().iter().filter_map(|v| v["sha256"].as_str()).collect();
    assert_eq!(hashes.len(), 9);
    assert_eq!(hashes[0], hashes[8], "the same content again");
    assert_eq!(admin.json(&["audit", "log", "--action", "config_rolled_back"])["entries"].as_array().unwrap().len(), 4);

    // The model goes its own way: what it says now, the host gets again.
    admin.ok(&["deploy", "--yes"]);
    assert!(seen(&lab)? == versions[4]);

    // A key that was retired stays away, unless it is wanted all the same.
    admin.ok(&["rotate", "alice", "--now", "--reason", "phone lost"]);
    admin.deploy();
    let refused = admin.run(&["rollback", "a", "5", "--yes"]);
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("has keys that were retired since: alice (phone lost)"), "{}", refused.stderr);
    assert!(refused.stderr.contains("rollback --model"), "{}", refused.stderr);
    admin.ok(&["rollback", "a", "5", "--with-retired-keys", "--yes"]);
    assert!(seen(&lab)? == versions[4]);
    for (arguments, message) in [
        (["rollback", "a", "99"].as_slice(), "has no version 99"),
        (&["rollback", "b"], "there is no host named `b`"),
        (&["rollback", "a", "--model", "3"], "cannot be used with"),
    ] {
        let refused = admin.run(arguments);
        assert!(refused.status != 0 && refused.stderr.contains(message), "{arguments:?}: {}", refused.stderr);
    }
    Ok(())
}
