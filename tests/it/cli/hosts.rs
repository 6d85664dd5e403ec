//! The machines that nodes live on.

use crate::env::{TestEnv, filters};
use insta::assert_snapshot;

#[test]
fn hosts_are_added_changed_listed_and_removed() {
    let _filters = filters();
    let env = TestEnv::with_network();
    assert_snapshot!(env.run(&["host", "list"]), @"
    --- stderr ---
    no hosts yet; add one with `wg-friend host add NAME [USER@]HOST[:PORT]`
    ");
    assert_snapshot!(env.run(&["host", "add", "hub", "root@vpn.example.com"]), @"
    --- stderr ---
    + added host hub  root@vpn.example.com
      next: `wg-friend host check hub`, `wg-friend set NODE host=hub`
    ");
    env.ok(&[
        "host",
        "add",
        "office",
        "me@192.0.2.4:2222",
        "--jump",
        "bastion,other:23",
        "--identity",
        "~/.ssh/office",
        "--become",
        "sudo",
    ]);
    env.ok(&["host", "add", "here", "local"]);
    env.ok(&["set", "hub", "host=hub"]);
    assert_snapshot!(env.run(&["host", "list"]), @"
    NAME    ADDRESS               BECOME  JUMP              IDENTITY       NODES
    here    local                 auto
    hub     root@vpn.example.com  auto                                     hub
    office  me@192.0.2.4:2222     sudo    bastion,other:23  ~/.ssh/office
    ");
    assert_snapshot!(env.run(&["host", "set", "office", "port=none", "user=root", "jump=none", "name=branch"]), @"
    --- stderr ---
    ~ changed host branch  root@192.0.2.4
        name     office → branch
        address  me@192.0.2.4:2222 → root@192.0.2.4
        jump     bastion,other:23 → none
    ");
    assert_snapshot!(env.refused(&["host", "remove", "hub", "--yes"]), @"
    --- stderr ---
    error: the host `hub` is still used by hub
     hint: first `wg-friend set hub host=none`, or `wg-friend remove hub`
    [exit 1]
    ");
    assert_snapshot!(env.run(&["host", "remove", "branch", "--yes"]), @"
    --- stderr ---
    - removed host branch  root@192.0.2.4
    ");
}

#[test]
fn renaming_a_host_takes_its_nodes_along() {
    let env = TestEnv::with_nodes();
    env.ok(&["host", "set", "branch", "name=branch-office"]);
    assert_eq!(env.json(&["show", "branch"])["host"], "branch-office");
    assert_eq!(env.json(&["host", "list"])["hosts"][0]["nodes"], serde_json::json!(["branch"]));
}

#[test]
fn a_host_that_cannot_be_reached_is_reported_and_ends_with_4() {
    let env = TestEnv::with_network();
    // Nobody listens on port 1; nothing leaves this machine.
    env.ok(&["host", "add", "gone", "root@127.0.0.1:1"]);
    let text = env.run(&["host", "check"]);
    assert!(text.contains("✗ gone") && text.contains("can't be reached") && text.ends_with("[exit 4]\n"), "{text}");
}

#[test]
fn wrong_hosts_are_refused() {
    let env = TestEnv::with_nodes();
    for arguments in [
        &["host", "add", "x", "-oProxyCommand=x"][..],
        &["host", "add", "x", "root@"],
        &["host", "add", "x", "h:0"],
        &["host", "add", "x", "h", "--jump", "a b"],
        &["host", "add", "x", "h", "--identity=-x"],
        &["host", "add", "x", "local", "--jump", "h"],
        &["host", "add", "x", "h", "--become", "doas"],
        &["host", "set", "branch", "prot=22"],
        &["host", "set", "branch", "port=x"],
        &["host", "set", "branch", "user=-x"],
        &["host", "set", "branch", "nothing"],
    ] {
        let text = env.refused(arguments);
        assert!(text.ends_with("[exit 2]\n"), "{arguments:?}: {text}");
    }
    assert_snapshot!(env.refused(&["host", "add", "Branch", "h"]), @"
    --- stderr ---
    error: the name `Branch` is taken by the host at root@192.0.2.4
     hint: choose another name
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["host", "set", "brnch", "port=22"]), @"
    --- stderr ---
    error: there is no host named `brnch`
     hint: did you mean `branch`?
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["host", "set", "branch", "prot=22"]), @"
    --- stderr ---
    error: `prot`: a host has no such key
     hint: did you mean `port`?
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["set", "hub", "host=brnch"]), @"
    --- stderr ---
    error: there is no host named `brnch`
     hint: did you mean `branch`?
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["add", "router", "branch", "--ssh", "h"]), @"
    --- stderr ---
    error: the name `branch` is taken by the router `branch`
     hint: choose another name
    [exit 1]
    ");
}
