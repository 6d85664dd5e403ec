//! Looking for drift where no host answers, and what is refused.

use crate::env::{TestEnv, filters};

#[test]
fn a_host_that_gives_no_answer_is_unknown_and_never_clean() {
    let env = TestEnv::with_network();
    env.ok(&["host", "add", "machine", "root@127.0.0.1:1"]);
    env.ok(&["set", "hub", "host=machine"]);
    let output = env.command(&["drift", "check", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["hosts"][0]["outcome"], "unknown");
    assert_eq!((&report["unknown"], &report["items"]), (&1.into(), &0.into()));

    let history = env.json(&["drift", "history", "machine"]);
    assert_eq!(history["scans"][0]["outcome"], "unknown");
    assert!(history["scans"][0]["note"].is_string());
    assert_eq!(env.json(&["drift", "report"])["hosts"][0]["unknown"], 1);

    // Nothing was seen, so nothing can be acknowledged.
    let refused = env.refused(&["drift", "ack", "machine", "all", "--reason", "because"]);
    assert!(refused.contains("`machine` has never been looked at"), "{refused}");
    let refused = env.refused(&["drift", "baseline", "machine", "--reason", "because"]);
    assert!(refused.contains("nobody knows what is on `machine` now"), "{refused}");
}

#[test]
fn without_hosts_and_without_looks_there_is_little_to_say() {
    let _filters = filters();
    let env = TestEnv::with_network();
    insta::assert_snapshot!(env.run(&["drift", "check", "-v"]), @"nothing is deployed to any host yet");
    insta::assert_snapshot!(env.run(&["drift", "history"]), @"nobody has looked yet: `wg-friend drift check`");
    insta::assert_snapshot!(env.run(&["drift", "ack", "--list"]), @"nothing is acknowledged");
    assert_eq!(env.run(&["drift", "check"]), "");
}

#[test]
fn an_acknowledgement_needs_a_reason_and_a_time_to_come() {
    let env = TestEnv::with_network();
    env.ok(&["host", "add", "machine", "root@127.0.0.1:1"]);
    for (arguments, words) in [
        (&["drift", "ack", "machine", "all"][..], "--reason"),
        (&["drift", "ack", "nowhere", "all", "--reason", "x"], "there is no host named `nowhere`"),
        (&["drift", "ack", "machine", "all", "--reason", " "], "--reason: is empty"),
        (&["drift", "ack", "machine", "all", "--reason", "x", "--until", "2001-01-01"], "--until: is over already"),
        (&["drift", "ack", "machine", "all", "--reason", "x", "--until", "soon"], "`soon` is no time"),
        (&["drift", "ack", "machine", "all", "--remove"], "nothing is acknowledged on `machine`"),
    ] {
        let refused = env.refused(arguments);
        assert!(refused.contains(words), "{arguments:?}: {refused}");
    }
}
