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

/// Puts a program of this name and these lines of shell before all others of the machine.
fn with_program(env: &TestEnv, name: &str, lines: &str, arguments: &[&str]) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = env.path().join("bin");
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join(name);
    std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    env.transcript(env.command(arguments).env("PATH", path))
}

#[test]
fn a_host_whose_key_is_not_known_or_another_is_never_talked_to() {
    let env = TestEnv::with_network();
    env.ok(&["host", "add", "far", "root@192.0.2.1"]);
    let before = env.model();
    // What ssh writes, into the file that -E names, in the place of a connection.
    let ssh = |said: &str| {
        let lines = format!(
            "while [ $# -gt 0 ]; do [ \"$1\" != -E ] || log=$2; shift; done\necho '{said}' >\"$log\"\nexit 255"
        );
        with_program(&env, "ssh", &lines, &["host", "check"])
    };
    assert_snapshot!(ssh("No ED25519 host key is known for 192.0.2.1 and you have requested strict checking."), @"
    ✗ far
        ✗ ssh         host `far` is unknown to ssh: its key is not in known_hosts
                      hint: connect once with `ssh root@192.0.2.1`, compare the fingerprint it shows with the host's own, and accept it
    [exit 4]
    ");
    assert_snapshot!(ssh("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @"), @"
    ✗ far
        ✗ ssh         host `far` has another key than the one in known_hosts: somebody may be in between, or it was set up anew
                      hint: find out why before anything else; if the host was set up anew, remove the old key with `ssh-keygen -R HOST`
    [exit 4]
    ");
    assert_snapshot!(ssh("root@192.0.2.1: Permission denied (publickey)."), @"
    ✗ far
        ✗ ssh         host `far` refuses the login: root@192.0.2.1: Permission denied (publickey).
                      hint: passwords are never asked for: install your public key there with `ssh-copy-id`, or name another key or user with `wg-friend host set far ...`
    [exit 4]
    ");
    assert_eq!(env.model(), before);
}

#[test]
fn a_sudo_that_asks_for_a_password_is_named_with_the_remedy() {
    let env = TestEnv::with_network();
    env.ok(&["host", "add", "here", "local", "--become", "sudo"]);
    let sudo = "echo 'sudo: a password is required' >&2\nexit 1";
    assert_snapshot!(with_program(&env, "sudo", sudo, &["host", "check"]), @"
    ✗ here
        ✗ root        on host `here` the login can't become root: sudo: a password is required
                      hint: log in as root, or allow it without a password: `echo 'USER ALL=(root) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/wg-friend`
    [exit 4]
    ");
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
