//! Several exits one after another, as a person works with them.

use insta::assert_snapshot;

use crate::env::TestEnv;

/// The usual network with two more exits.
fn network() -> TestEnv {
    let env = TestEnv::with_nodes();
    env.ok(&["add", "exit", "exit-nl", "--endpoint", "203.0.113.10"]);
    env.ok(&["add", "exit", "exit-fr", "--endpoint", "203.0.113.11"]);
    env
}

#[test]
fn a_chain_is_assigned_shown_and_taken_back() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "exit-de"]);
    assert_snapshot!(env.run(&["exit", "assign", "alice-phone", "--via", "exit-de,exit-nl,exit-fr"]), @"
    --- stderr ---
    ~ changed remote alice-phone  10.66.0.30  fd00:66::1e
        exit  exit-de → exit-de,exit-nl,exit-fr
      needs a new file: exit-de, exit-nl, exit-fr
    ");
    assert_snapshot!(env.run(&["exit", "status"]), @"
    the network's exit  none

    EXIT     STATE    ENDPOINT            REMOTES
    exit-de  enabled  203.0.113.9:51820   0, 1 on the way
    exit-fr  enabled  203.0.113.11:51820  1
    exit-nl  enabled  203.0.113.10:51820  0, 1 on the way

    REMOTE       ASSIGNED                     LEAVES BY
    alice-phone  exit-de → exit-nl → exit-fr  exit-fr
    ");
    let chained = env.json(&["history"])["states"][0]["number"].to_string();
    let shown = env.json(&["show", "alice-phone"]);
    assert_eq!(
        (&shown["exit"], &shown["via"]),
        (&"exit-fr".into(), &serde_json::json!(["exit-de", "exit-nl", "exit-fr"]))
    );
    let uplinks = |exit: &str| -> Vec<String> {
        let shown = env.json(&["show", exit]);
        let interfaces = shown["interfaces"].as_array().unwrap().iter();
        interfaces.map(|interface| interface["purpose"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uplinks("exit-de"), ["main", "uplink to exit-nl"]);
    assert_eq!(uplinks("exit-fr"), ["main"]);
    let tree = String::from_utf8(env.ok(&["topology"]).stdout).unwrap();
    assert!(tree.contains("internet by exit-de → exit-nl → exit-fr"), "{tree}");

    // The network's, another one's and a shorter one are what they say; what no chain needs any more is gone.
    env.ok(&["set", "network", "exit=exit-nl,exit-fr"]);
    env.ok(&["set", "alice-phone", "exit=exit-de"]);
    assert_eq!((uplinks("exit-de"), uplinks("exit-nl").len()), (vec!["main".to_owned()], 2));
    assert_eq!(env.json(&["network", "show"])["via"], serde_json::json!(["exit-nl", "exit-fr"]));
    let told = env.json(&["history", "--limit", "1"])["states"][0].to_string();
    assert!(told.contains("exit-de,exit-nl,exit-fr"), "{told}");
    env.ok(&["rollback", "--model", &chained, "--yes"]);
    assert_eq!(env.json(&["show", "alice-phone"])["via"].as_array().unwrap().len(), 3);
    assert_eq!(uplinks("exit-de"), ["main", "uplink to exit-nl"]);

    // An exit of a chain that goes takes the chain with it, and says so; with the kill switch it stays.
    env.ok(&["set", "alice-phone", "kill-switch=yes"]);
    assert_snapshot!(env.refused(&["remove", "exit-nl", "--yes"]), @"
    --- stderr ---
    error: the internet traffic of `alice-phone` leaves by `exit-nl` or, with its kill switch, not at all
     hint: give it another way first: `wg-friend exit assign alice-phone EXIT`, or `none`
    [exit 1]
    ");
    env.ok(&["set", "alice-phone", "kill-switch=no"]);
    assert_snapshot!(env.run(&["disable", "exit-fr"]), @"
    --- stderr ---
    - disabled exit exit-fr  10.66.0.102  fd00:66::66  (disabled)
      note: the internet of alice-phone leaves by none of our exits now
      needs a new file: hub, exit-de, alice-phone, exit-nl
    ");
    assert_snapshot!(env.run(&["remove", "exit-nl", "--yes"]), @"
    --- stderr ---
    - removed exit exit-nl  10.66.0.101  fd00:66::65
        alice-phone  exit  exit-de,exit-nl,exit-fr → network
      note: the internet of `alice-phone` no longer leaves by `exit-nl`
      needs a new file: hub, exit-de
    ");
    assert_eq!(uplinks("exit-de"), ["main"]);
}

#[test]
fn what_no_chain_can_be_is_refused_with_both_sides_named() {
    let env = network();
    env.ok(&["exit", "group", "add", "europe", "exit-de=10", "exit-nl=20"]);
    env.ok(&["exit", "assign", "alice-phone", "--via", "exit-de,exit-nl"]);
    env.ok(&["add", "remote", "tablet"]);
    let tries: &[&[&str]] = &[
        &["exit", "assign", "tablet", "--via", "exit-de,exit-nl,exit-de"],
        &["exit", "assign", "tablet", "--via", "exit-de"],
        &["exit", "assign", "tablet", "--via", "exit-de,branch"],
        &["exit", "assign", "tablet", "--via", "exit-de,exit-es"],
        &["exit", "assign", "tablet", "--via", "exit-de,exit-nl,exit-fr"],
        &["exit", "rule", "add", "alice-phone", "203.0.113.128/25", "exit-de"],
        &["exit", "rule", "add", "network", "203.0.113.128/25", "europe"],
        &["exit", "assign", "tablet"],
        &["exit", "assign", "branch", "--via", "exit-de,exit-nl"],
    ];
    let said: Vec<String> = tries.iter().map(|words| env.refused(words).trim_end().to_owned()).collect();
    assert_snapshot!(said.join("\n"), @"
    --- stderr ---
    error: exit-de,exit-nl,exit-de leads in a circle: it comes to `exit-de` twice; name each exit once, in the order in which packets go
    [exit 1]
    --- stderr ---
    error: a chain has 2 to 4 exits, not 1
    [exit 1]
    --- stderr ---
    error: `branch` is a router, not an exit
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    --- stderr ---
    error: there is no node named `exit-es`
     hint: did you mean `exit-de` or `exit-fr` or `exit-nl`?
    [exit 1]
    --- stderr ---
    error: the internet traffic of `alice-phone` and of `tablet` comes from `exit-de` to `exit-nl` and parts there: what one exit sends to another has one way on, so give one of the two other exits
    [exit 1]
    --- stderr ---
    error: the internet traffic of `alice-phone` goes on from `exit-de` to another exit, and rule 1 of `alice-phone` leads out at `exit-de`: an exit sends all of a device's traffic the same way
    [exit 1]
    --- stderr ---
    error: the internet traffic of `alice-phone` goes on from `exit-de` to another exit, and rule 1 of the network leads out at `exit-de`: an exit sends all of a device's traffic the same way
    [exit 1]
    --- stderr ---
    error: EXIT: is missing: name an exit after the devices, or several with --via
    [exit 2]
    --- stderr ---
    error: exit: is for remotes, and `branch` is of role router
    [exit 2]
    ");
}
