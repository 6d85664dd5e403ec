//! Every change leaves its entry, and no entry can be changed.

use crate::env::{TestEnv, filters};
use insta::assert_snapshot;

/// Runs a command and returns the entries it added, but for unlocking.
fn added(env: &TestEnv, arguments: &[&str]) -> Vec<String> {
    let before = env.model().1.len();
    env.ok(arguments);
    let after = env.model().1;
    let newest = after.iter().take(after.len() - before);
    newest.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_change_adds_exactly_its_entry() {
    let env = TestEnv::new();
    let passphrase = env.path().join("passphrase");
    std::fs::write(&passphrase, crate::env::PASSPHRASE).unwrap();
    let passphrase = passphrase.display().to_string();
    env.ok(&["init", "--name", "office"]);
    assert_eq!(env.model().1.len(), 1);
    let walk: &[(&[&str], &[&str])] = &[
        (&["add", "server", "hub", "--endpoint", "vpn.example.com"], &["peer_added"]),
        (&["add", "router", "branch", "--lan", "192.168.10.0/24"], &["peer_added"]),
        (&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"], &["peer_added"]),
        (&["add", "remote", "alice", "bob"], &["peer_added", "peer_added"]),
        (&["add", "remote", "carol", "--dry-run"], &[]),
        (&["set", "alice", "notes=x"], &["peer_updated"]),
        (&["set", "alice", "access=vpn-only"], &["access_changed"]),
        (&["set", "alice", "exit=exit-de"], &["node_assigned"]),
        (&["set", "alice", "exit=none", "access=full"], &["peer_updated"]),
        (&["set", "network", "dns=10.66.0.1"], &["network_updated"]),
        (&["network", "set", "mtu=1400"], &["network_updated"]),
        (&["rename", "alice", "alicia"], &["peer_updated"]),
        (&["disable", "alicia", "bob"], &["peer_updated", "peer_updated"]),
        (&["enable", "alicia"], &["peer_updated"]),
        (&["rotate", "alicia", "--reason", "lost"], &["key_rotation"]),
        (&["host", "add", "box", "root@192.0.2.4"], &["host_added"]),
        (&["host", "set", "box", "port=2222"], &["host_updated"]),
        (&["host", "remove", "box", "--yes"], &["host_removed"]),
        (&["remove", "exit-de", "bob", "--yes"], &["peer_removed", "peer_removed"]),
        (&["vault", "recovery", "--yes"], &["recovery_key_changed"]),
        (&["vault", "passphrase", "--new-passphrase-file", &passphrase], &["passphrase_changed"]),
        (&["vault", "rekey", "--yes"], &["rekeyed"]),
        // What only looks leaves nothing.
        (&["list"], &[]),
        (&["show", "hub"], &[]),
        (&["topology"], &[]),
        (&["network", "show"], &[]),
        (&["host", "list"], &[]),
        (&["vault", "status"], &[]),
        (&["audit", "log"], &[]),
        (&["audit", "verify"], &[]),
        (&["lock"], &[]),
    ];
    for (arguments, expected) in walk {
        assert_eq!(added(&env, arguments), *expected, "{arguments:?}");
    }
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
}

#[test]
fn entries_say_who_what_before_and_after() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    let mut command = env.command(&["set", "alice-phone", "notes=new"]);
    command.env("SSH_CONNECTION", "198.51.100.7 50000 192.0.2.1 22");
    assert!(command.output().unwrap().status.success());
    let log = env.json(&["audit", "log", "--limit", "1"]);
    let entry = &log["entries"][0];
    assert_eq!(
        (&entry["operator"], &entry["address"], &entry["source"], &entry["details"]),
        (
            &"tester".into(),
            &"198.51.100.7".into(),
            &"cli".into(),
            &serde_json::json!({ "name": "alice-phone", "before": { "notes": "" }, "after": { "notes": "new" } })
        )
    );
    assert_eq!(log["more"], true);
    assert_snapshot!(env.run(&["audit", "log", "--category", "configuration"]), @r#"
    #  TIME                 OPERATOR  ACTION        ABOUT         DETAILS
    9  [TIME]  tester    peer_updated  alice-phone   notes: none → new
    7  [TIME]  tester    peer_added    alice-laptop  addresses=["10.66.0.31","fd00:66::1f"], custody=held, public_key=[KEY], role=remote
    6  [TIME]  tester    peer_added    alice-phone   addresses=["10.66.0.30","fd00:66::1e"], custody=held, public_key=[KEY], role=remote
    5  [TIME]  tester    peer_added    exit-de       addresses=["10.66.0.100","fd00:66::64"], custody=held, public_key=[KEY], role=exit
    4  [TIME]  tester    peer_added    branch        addresses=["10.66.0.20","fd00:66::14"], custody=held, public_key=[KEY], role=router
    2  [TIME]  tester    peer_added    hub           addresses=["10.66.0.1","fd00:66::1"], custody=held, public_key=[KEY], role=server
    "#);
}

#[test]
fn the_log_can_be_filtered() {
    let env = TestEnv::with_nodes();
    env.ok(&["set", "alice-phone", "access=vpn-only"]);
    let count = |filter: &[&str]| {
        let arguments = [&["audit", "log"], filter].concat();
        env.json(&arguments)["entries"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--entity", "alice-phone"]), 2);
    assert_eq!(count(&["--entity", "wg0:alice-phone"]), 2);
    assert_eq!(count(&["--action", "access_changed"]), 1);
    env.ok(&["set", "alice-laptop", "notes=x"]);
    env.ok(&["remove", "alice-laptop", "--yes"]);
    assert_eq!(count(&["--entity", "alice-laptop"]), 3, "a name that nothing has any more");
    assert_eq!(count(&["--category", "access"]), 1);
    assert_eq!(count(&["--action", "peer_added"]), 5);
    assert_eq!(count(&["--action", "peer_added", "--limit", "2"]), 2);
    assert_eq!(count(&["--action", "peer_added", "--offset", "4"]), 1);
    assert_eq!(count(&["--operator", "nobody"]), 0);
    assert_eq!(count(&["--to", "1h"]), 0);
    assert!(count(&["--from", "1h", "--severity", "info"]) > 5);
    assert!(env.refused(&["audit", "log", "--from", "yesterday"]).contains("`yesterday` is no time"));
}

#[test]
fn a_trigger_that_swallows_entries_is_named_before_anything_is_written() {
    let env = TestEnv::with_nodes();
    let database = rusqlite::Connection::open(env.database()).unwrap();
    let triggers = "CREATE TRIGGER z1 BEFORE INSERT ON audit BEGIN SELECT RAISE (IGNORE); END;
                    CREATE TRIGGER z2 BEFORE UPDATE OF sealed_audit_tail ON vault BEGIN SELECT RAISE (IGNORE); END";
    database.execute_batch(triggers).unwrap();
    let said = "may have been kept out: trigger `z1` has been added to the database file";
    let refused = env.run(&["set", "alice-phone", "notes=secretly"]);
    assert!(refused.contains(said) && refused.ends_with("[exit 6]\n"), "{refused}");
    let verified = env.run(&["audit", "verify"]);
    assert!(verified.contains(said) && verified.ends_with("[exit 6]\n"), "{verified}");
    database.execute_batch("DROP TRIGGER z1; DROP TRIGGER z2").unwrap();
    env.ok(&["set", "alice-phone", "notes=openly"]);
    env.ok(&["audit", "verify"]);
}

#[test]
fn an_edited_entry_is_found_and_ends_with_6() {
    let env = TestEnv::with_nodes();
    assert!(env.run(&["audit", "verify"]).starts_with("in order: "));
    let database = rusqlite::Connection::open(env.database()).unwrap();
    database.execute_batch("DROP TRIGGER audit_no_update").unwrap();
    database.execute("UPDATE audit SET operator = 'somebody else' WHERE id = 3", []).unwrap();
    drop(database);
    let text = env.run(&["audit", "verify"]);
    assert!(text.starts_with("tampered: entry 3 has been edited\n") && text.ends_with("[exit 6]\n"), "{text}");
    assert!(env.run(&["audit", "verify", "--chain-only"]).ends_with("[exit 6]\n"));
    let output = env.command(&["audit", "verify", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["bad"], serde_json::json!({ "entry": 3, "problem": "edited" }));
}
