//! Next keys: what `rotate` says and keeps, without hosts that answer. With ones that do, see the lab's tests.

use insta::assert_snapshot;

use crate::env::{TestEnv, filters};

/// A network whose server and branch office are on hosts that refuse every connection at once.
fn hosted() -> TestEnv {
    let env = TestEnv::with_nodes();
    for node in ["hub", "branch"] {
        env.ok(&["host", "add", &format!("{node}-host"), "root@127.0.0.1:1"]);
        env.ok(&["set", node, &format!("host={node}-host")]);
    }
    env
}

fn keys(env: &TestEnv, node: &str) -> Vec<(String, String, String)> {
    let shown = env.json(&["show", node]);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let keys = shown["keys"].as_array().unwrap_or_else(|| panic!("{shown:#}"));
    keys.iter().map(|key| (text(&key["state"]), text(&key["public_key"]), text(&key["reason"]))).collect()
}

#[test]
fn a_node_among_hosts_gets_a_next_key_and_keeps_the_present_one() {
    let _filters = filters();
    let env = hosted();
    env.ok(&["generate", "alice-phone"]);
    let before = keys(&env, "alice-phone");
    assert_snapshot!(env.run(&["rotate", "alice-phone", "branch", "--reason", "yearly"]), @"
    --- stderr ---
    ~ rotated remote alice-phone  10.66.0.30  fd00:66::1e
        next-key  none → [KEY]
      note: the present key of `alice-phone` stays good until the next one is seen in use: see `wg-friend rotate alice-phone --status`
      to deploy: hub
      needs a new file: alice-phone
      next: `wg-friend deploy`, then `wg-friend qr alice-phone`
    ~ rotated router branch  10.66.0.20  fd00:66::14
        next-key  none → [KEY]
      note: the present key of `branch` stays good until the next one is seen in use: see `wg-friend rotate branch --status`
      to deploy: hub, branch
      next: `wg-friend plan`
    ");
    let after = keys(&env, "alice-phone");
    assert_eq!(after.len(), 2);
    assert_eq!((after[0].0.as_str(), after[0].2.as_str()), ("staged", "yearly"));
    assert_eq!(after[1], before[0]);
    let device = &env.json(&["handouts", "alice-phone"])["device"];
    assert_eq!([&device["must"], &device["may"]], [&serde_json::json!([]), &serde_json::json!(["its next key"])]);
    assert_snapshot!(env.run(&["rotate", "alice-phone"]), @"
    --- stderr ---
    error: `alice-phone` has a next key already, which nobody has seen in use yet
     hint: take it to the device, or withdraw it with `wg-friend rotate alice-phone --abort`; --now replaces both at once
    [exit 1]
    ");
    let mut said = env.run(&["rotate", "--status"]);
    for (name, keys) in [("alice-phone", after.clone()), ("branch", keys(&env, "branch"))] {
        said = said.replace(&keys[1].1[..8], &format!("[{name}]")).replace(&keys[0].1[..8], &format!("[{name}, next]"));
    }
    let said = said.replace(|c: char| c.is_ascii_digit(), "0");
    assert_snapshot!(said, @"
    alice-phone  [alice-phone] → [alice-phone, next]  staged 0 s ago
                 ! hub-host gave no answer
                 waits for `wg-friend deploy`
    branch       [branch] → [branch, next]  staged 0 s ago
                 ! hub-host gave no answer
                 waits for `wg-friend deploy`
    [exit 0]
    ");
    let output = env.command(&["rotate", "alice-phone", "--status", "--json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["rotations"][0]["waits_for"], "deploy");
    assert_eq!(status["rotations"][0]["next"], after[0].1.as_str());
    assert!(status["rotations"][0]["peers"][0]["knows"].is_null(), "{status:#}");
}

#[test]
fn a_next_key_is_withdrawn_once_and_never_comes_back() {
    let _filters = filters();
    let env = hosted();
    let before = keys(&env, "alice-phone");
    let file = env.run(&["generate", "alice-phone", "--diff"]);
    env.ok(&["rotate", "alice-phone"]);
    let next = keys(&env, "alice-phone")[0].1.clone();
    assert_snapshot!(env.run(&["rotate", "alice-phone", "--abort"]), @"
    --- stderr ---
    ~ withdrawn remote alice-phone  10.66.0.30  fd00:66::1e
        next-key  [KEY] → none
      to deploy: hub
      needs a new file: alice-phone
      next: `wg-friend plan`
    ");
    let after = keys(&env, "alice-phone");
    assert_eq!((after[0].0.as_str(), after[0].1.as_str()), ("retired", next.as_str()));
    assert_eq!(after[1..], before[..]);
    assert_eq!(env.run(&["generate", "alice-phone", "--diff"]), file);
    assert_snapshot!(env.run(&["rotate", "alice-phone", "--abort"]), @"
    --- stderr ---
    error: `alice-phone` has no next key: nothing to withdraw
    [exit 1]
    ");
    assert_snapshot!(env.run(&["rotate", "--status"]), @"every node is on its present key: no rotation is under way");
    assert!(env.refused(&["rotate", "alice-laptop", "--public-key", &next]).contains("is or was in use already"));
}

#[test]
fn a_lost_device_and_what_nobody_awaits_get_another_key_at_once() {
    let _filters = filters();
    let env = hosted();
    env.ok(&["rotate", "alice-phone"]);
    let (next, first) = (keys(&env, "alice-phone")[0].1.clone(), keys(&env, "alice-phone")[1].1.clone());
    assert_snapshot!(env.run(&["rotate", "alice-phone", "--now", "--reason", "phone lost"]), @"
    --- stderr ---
    ~ rotated remote alice-phone  10.66.0.30  fd00:66::1e
        key       [KEY] → [KEY]
        next-key  [KEY] → none
      to deploy: hub
      needs a new file: alice-phone
      next: `wg-friend qr alice-phone`
    ");
    let after = keys(&env, "alice-phone");
    assert_eq!(after[0].0, "active");
    assert!(after.iter().any(|(state, key, reason)| state == "retired" && *key == first && reason == "phone lost"));
    assert!(after.iter().any(|(state, key, _)| state == "retired" && *key == next), "{after:?}");
    assert_snapshot!(env.run(&["rotate", "hub", "--now"]), @"
    --- stderr ---
    ~ rotated server hub  10.66.0.1  fd00:66::1
        key  [KEY] → [KEY]
      to deploy: hub, branch
      needs a new file: exit-de, alice-phone, alice-laptop
      next: `wg-friend plan`
    ");
    assert_eq!(keys(&env, "hub").iter().filter(|key| key.0 == "staged").count(), 0);
}

#[test]
fn a_server_that_devices_dial_is_dialled_by_two_keys_at_two_ports_for_a_while() {
    let _filters = filters();
    let env = hosted();
    let before = env.run(&["generate", "alice-phone"]);
    assert_snapshot!(env.run(&["rotate", "hub", "--port", "51820"]), @"
    --- stderr ---
    error: --port: 51820 is in use on `hub` already: choose another
    [exit 2]
    ");
    assert_snapshot!(env.run(&["rotate", "hub", "--until", "soon"]), @"
    --- stderr ---
    error: --until: `soon` is no time: write [DAY], '[TIME]', [TIME] or 30d
    [exit 2]
    ");
    assert_snapshot!(env.run(&["rotate", "hub", "--finish"]), @"
    --- stderr ---
    error: `hub` isn't dialled by two keys: there is nothing to finish
     hint: `wg-friend rotate hub --status` says how far a rotation is
    [exit 1]
    ");
    assert_snapshot!(env.run(&["rotate", "hub", "--port", "443", "--until", "2099-12-31"]), @"
    --- stderr ---
    ~ rotated server hub  10.66.0.1  fd00:66::1
        next-key  none → [KEY]
      note: `hub` is dialled by its next key at UDP port 443: open it, or forward it to the host
      note: its present key stays good until all have moved: see `wg-friend rotate hub --status`
      note: `hub` and `exit-de` don't reach each other until both have their new files
      to deploy: hub, branch
      needs a new file: exit-de, alice-phone, alice-laptop
      next: `wg-friend plan`
    ");
    let (_, next, _) = keys(&env, "hub").into_iter().find(|key| key.0 == "staged").unwrap();
    let endpoint = |file: &str| file.lines().find(|line| line.starts_with("Endpoint")).unwrap().to_owned();
    let file = env.run(&["generate", "alice-phone"]);
    assert!(file.contains(&next) && !before.contains(&next), "{file}");
    assert_eq!(endpoint(&file), "Endpoint = vpn.example.com:443");
    assert_snapshot!(env.run(&["rotate", "hub"]), @"
    --- stderr ---
    error: `hub` is dialled by two keys already
     hint: `wg-friend rotate hub --status` says who has moved; --finish ends the present key, --abort withdraws the next one, and --now replaces both at once
    [exit 1]
    ");
    // Both ports are taken until then.
    let refused = env.refused(&["set", "hub", "port=443"]);
    assert!(refused.contains("would both listen on UDP port 443 of the same machine"), "{refused}");
    env.ok(&["rotate", "hub", "--abort", "--yes"]);
    assert_eq!(env.run(&["generate", "alice-phone"]), before);
}

#[test]
fn who_hands_out_a_next_key_that_hosts_have_not_been_told_of_is_told_so() {
    let env = hosted();
    let quiet = env.run(&["generate", "alice-phone"]) + &env.run(&["qr", "alice-phone"]);
    assert!(!quiet.contains("warning"), "{quiet}");
    env.ok(&["rotate", "alice-phone"]);
    let said = "warning: the file of `alice-phone` doesn't work yet: the host `hub-host` doesn't know the keys in it. \
                `wg-friend deploy hub-host` brings them; until then the one before stays good\n";
    let out = env.path().join("out").display().to_string();
    let code = env.path().join("code.png").display().to_string();
    for arguments in [
        &["generate", "alice-phone"][..],
        &["generate", "--dir", &out],
        &["generate", "alice-phone", "--guide", "android"],
        &["qr", "alice-phone"],
        &["qr", "alice-phone", "--png", &code],
        &["export", "alice-phone", "--format", "android"],
    ] {
        let output = env.command(arguments).arg("--quiet").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && text.contains(said), "{arguments:?}: {text}");
    }
    let document = env.json(&["qr", "alice-phone", "--png", &code]);
    let untold = serde_json::json!([{ "node": "alice-phone", "hosts": ["hub-host"], "next_key": true }]);
    assert_eq!(document["untold"], untold, "{document:#}");
    assert_eq!(env.json(&["generate", "--dir", &out])["untold"], untold);
    env.ok(&["rotate", "alice-phone", "--abort", "--yes"]);
    assert_eq!(env.json(&["generate", "--dir", &out])["untold"], serde_json::json!([]));
}

#[test]
fn who_withdraws_a_next_key_of_which_somebody_has_the_file_is_asked_first() {
    let _filters = filters();
    let env = hosted();
    env.ok(&["rotate", "alice-phone"]);
    env.ok(&["qr", "alice-phone"]);
    env.ok(&["generate", "alice-phone"]);
    assert_snapshot!(env.refused(&["rotate", "alice-phone", "--abort"]), @"
    --- stderr ---
        next-key  [KEY] → none
      note: the owner of `alice-phone` was given a file with the next key (revision 1, on [DAY] by qr, file): it will never work, take it back; the file before stays good
      to deploy: hub
      needs a new file: alice-phone
    error: a confirmation is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    let outcome = env.json(&["rotate", "alice-phone", "--abort", "--yes"]);
    let remark = outcome["remarks"][0].as_str().unwrap_or_else(|| panic!("{outcome:#}"));
    assert!(remark.contains("was given a file with the next key"), "{remark}");
    // A file with the present key was handed out long ago: that is no reason to ask.
    env.ok(&["rotate", "alice-phone"]);
    env.ok(&["rotate", "alice-phone", "--abort"]);
}
