//! Preshared keys: what is wanted of links, what they have, and new ones.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::env::{TestEnv, filters};

/// A link as `psk status` tells of it.
fn link(env: &TestEnv, name: &str) -> Value {
    let status = env.json(&["psk", "status", name]);
    assert_eq!(status["links"].as_array().map(Vec::len), Some(1), "{status:#}");
    status["links"][0].clone()
}

#[test]
fn what_is_said_of_a_node_counts_before_its_groups_and_that_before_the_network() {
    let env = TestEnv::with_nodes();
    env.ok(&["group", "add", "staff", "alice-phone", "alice-laptop"]);
    assert_snapshot!(env.run(&["psk", "policy", "required", "--every", "90d"]), @"
    --- stderr ---
    ~ changed preshared-key policy of network office
                        psk    unique → required
        network office  every  inherited → 90 d
        network office  on     inherited → time_based
      note: age makes keys due from now on: `time_based` is among the triggers
    ");
    env.ok(&["psk", "policy", "--group", "staff", "--every", "30d", "--notice", "3d", "unique"]);
    env.ok(&["psk", "policy", "--node", "alice-phone", "optional", "--on", "security_event,key_rotation"]);
    assert_snapshot!(env.run(&["psk", "policy"]), @"
    FOR               MODE      EVERY      NOTICE     ON                            LINKS
    network office    required  90 d       7 d        manual, time_based            2
    group staff       unique    30 d       3 d        time_based                    1
    node alice-phone  optional  inherited  inherited  key_rotation, security_event  1
    ");
    let (phone, laptop, branch) = (link(&env, "alice-phone"), link(&env, "alice-laptop"), link(&env, "branch"));
    assert_eq!([&phone["policy"], &laptop["policy"], &branch["policy"]], ["optional", "unique", "required"]);
    assert_eq!(laptop["policy_of"], json!(["group staff"]));
    assert_eq!([phone["next"].is_null(), laptop["next"].is_null(), branch["next"].is_null()], [true, false, false]);
    assert_snapshot!(env.run(&["psk", "policy", "--node", "alice-phone", "--inherit"]), @"
    --- stderr ---
    ~ changed preshared-key policy of node alice-phone
        node alice-phone  mode  optional → inherited
        node alice-phone  on    key_rotation, security_event → inherited
    ");
    assert_eq!(link(&env, "alice-phone")["policy"], "unique");
}

#[test]
fn new_links_get_what_is_wanted_of_them_and_old_ones_keep_what_they_have() {
    let env = TestEnv::with_nodes();
    env.ok(&["psk", "policy", "none"]);
    env.ok(&["add", "remote", "tablet"]);
    assert!(link(&env, "tablet")["created"].is_null() && link(&env, "tablet")["due"].is_null());
    assert!(!link(&env, "alice-phone")["created"].is_null());
    let text = env.run(&["psk", "policy", "required"]);
    assert!(text.contains("1 link has no preshared key yet"), "{text}");
    let due = env.run(&["psk", "status", "--due"]);
    assert!(due.contains("hub – tablet") && due.contains("[exit 3]") && !due.contains("alice-phone"), "{due}");
    env.ok(&["psk", "rotate", "--due"]);
    assert!(!link(&env, "tablet")["created"].is_null());
    assert_snapshot!(env.run(&["psk", "status", "--due"]), @"no preshared key is due");
    // A timer runs that every day: that there is nothing to do is no failure.
    let before = env.model();
    assert_snapshot!(env.run(&["psk", "rotate", "--due"]), @"
    --- stderr ---
    no preshared key is due
    ");
    let brought = env.json(&["psk", "rotate", "--due", "--deploy", "--yes"]);
    assert_eq!((&brought["rotation"]["action"], &brought["done"]), (&json!("kept"), &json!([])), "{brought:#}");
    assert_eq!(env.model(), before);
}

#[test]
fn a_device_that_has_its_file_keeps_its_key_unless_it_may_be_cut_off() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    env.ok(&["generate", "alice-phone"]);
    env.ok(&["qr", "alice-laptop"]);
    let (phone, laptop) = (link(&env, "alice-phone"), link(&env, "alice-laptop"));
    let end = |link: &Value, node: &str| {
        let ends = link["ends"].as_array().unwrap();
        ends.iter().find(|end| end["node"] == node).unwrap().clone()
    };
    assert_eq!([&end(&phone, "alice-phone")["has"], &end(&phone, "alice-phone")["by"]], ["present", "manual"]);
    assert_eq!([&end(&laptop, "alice-laptop")["has"], &end(&laptop, "alice-laptop")["by"]], ["present", "qr"]);
    assert_eq!(end(&phone, "hub")["has"], "nothing");
    assert_eq!(phone["distributed"], false);
    assert_snapshot!(env.refused(&["psk", "rotate", "hub", "alice-phone"]), @"
    --- stderr ---
    error: `alice-phone` would be cut off from `hub` until both have new files: `hub` can't know a device by two keys
     hint: `wg-friend psk rotate alice-phone --cut-off` replaces the preshared key all the same
    [exit 1]
    ");
    assert_snapshot!(env.run(&["psk", "rotate", "alice-phone", "--cut-off", "--reason", "lost and found"]), @"
    --- stderr ---
    ~ rotated preshared key of alice-phone – hub
      needs a new file: alice-phone, hub
    ");
    let phone = link(&env, "alice-phone");
    assert_eq!(end(&phone, "alice-phone")["has"], "another");
    let handouts = env.run(&["handouts", "alice-phone"]);
    assert!(handouts.contains("preshared key: it is another"), "{handouts}");
    let log = env.json(&["audit", "log", "--limit", "3"]);
    let entry = log["entries"].as_array().unwrap().iter().find(|entry| entry["action"] == "preshared_key_changed");
    let details = &entry.unwrap_or_else(|| panic!("{log:#}"))["details"];
    assert_eq!([&details["reason"], &details["peer"]], ["lost and found", "hub"]);
}

#[test]
fn the_file_that_a_device_has_stays_good_until_the_next_one_is_used() {
    let env = TestEnv::with_nodes();
    env.ok(&["host", "add", "hub", "root@192.0.2.1"]);
    env.ok(&["set", "hub", "host=hub"]);
    let key = |file: &str| file.lines().find_map(|line| line.strip_prefix("PresharedKey = ")).unwrap().to_owned();
    let before = env.run(&["generate", "alice-phone"]);
    let since = link(&env, "alice-phone")["created"].clone();
    let text = env.run(&["psk", "rotate", "hub", "alice-phone"]);
    assert!(text.contains("stays good until the next one is seen in use"), "{text}");
    assert!(text.contains("the link alice-phone – hub gets a new preshared key, too"), "{text}");
    assert_eq!(link(&env, "alice-phone")["created"], since, "the one in force is the one before");
    let after = env.run(&["generate", "alice-phone"]);
    assert_ne!(key(&before), key(&after));
    let hub = env.run(&["generate", "hub"]);
    assert!(hub.contains(&key(&before)) && hub.contains(&key(&after)), "the server knows both");
    assert!(!env.run(&["psk", "status", "-v"]).contains(&key(&after)));
}

#[test]
fn a_device_whose_host_gives_no_answer_gets_no_next_key_to_be_deployed() {
    let env = TestEnv::with_nodes();
    env.ok(&["host", "add", "hub", "root@127.0.0.1:1"]);
    env.ok(&["set", "hub", "host=hub"]);
    env.ok(&["generate", "alice-phone"]);
    let text = env.refused(&["psk", "rotate", "alice-phone", "--deploy", "--yes"]);
    assert!(text.contains("`alice-phone` gets no next key now: "), "{text}");
    assert!(text.contains("without `--deploy`, `wg-friend psk rotate alice-phone` makes the key"), "{text}");
    let preview = env.run(&["psk", "rotate", "alice-phone", "--deploy", "--dry-run"]);
    assert!(preview.contains("next-key") && !preview.contains("[exit"), "{preview}");
    env.ok(&["psk", "rotate", "alice-phone"]);
}

#[test]
fn policies_come_back_with_an_earlier_state_and_go_with_their_node() {
    let env = TestEnv::with_nodes();
    env.ok(&["psk", "policy", "--node", "alice-phone", "optional", "--every", "30d"]);
    let policies = |env: &TestEnv| env.json(&["psk", "policy"])["policies"].clone();
    let before = policies(&env);
    let states = env.json(&["history"]);
    let number = states["states"][0]["number"].to_string();
    assert!(states["states"][0]["description"].as_str().unwrap().contains("alice-phone"), "{states:#}");
    let shown = env.run(&["history", "show", &number]);
    assert!(shown.contains("preshared-key policy of node alice-phone"), "{shown}");
    env.ok(&["psk", "policy", "--node", "alice-phone", "--inherit"]);
    env.ok(&["remove", "alice-phone", "--yes"]);
    assert_eq!(policies(&env).as_array().unwrap().len(), 1);
    env.ok(&["rollback", "--model", &number, "--yes"]);
    assert_eq!(policies(&env), before);
    assert_eq!(link(&env, "alice-phone")["policy"], "optional");
}

#[test]
fn a_new_key_of_a_node_brings_new_preshared_keys_where_that_is_wanted() {
    let env = TestEnv::with_nodes();
    let since = |node: &str| link(&env, node)["created"].clone();
    let before = [since("alice-phone"), since("alice-laptop")];
    env.ok(&["rotate", "alice-phone"]);
    assert_eq!(since("alice-phone"), before[0], "nobody said so");
    env.ok(&["psk", "policy", "--on", "key_rotation"]);
    let text = env.run(&["rotate", "alice-phone"]);
    assert!(text.contains("the link alice-phone – hub gets a new preshared key, too"), "{text}");
    assert_ne!(since("alice-phone"), before[0]);
    assert_eq!(since("alice-laptop"), before[1]);
}

#[test]
fn an_event_brings_new_preshared_keys_where_that_is_wanted() {
    let env = TestEnv::with_nodes();
    let since = |node: &str| link(&env, node)["created"].clone();
    let before = since("branch");
    env.ok(&["rotation", "event", "operator-removed", "branch"]);
    assert_eq!(since("branch"), before, "nobody said so");
    env.ok(&["psk", "policy", "--node", "branch", "--on", "security_event"]);
    let told = env.json(&["rotation", "event", "operator-removed", "branch"]);
    assert_eq!(told["preshared"]["links"], json!(["branch – hub"]), "{told:#}");
    assert_ne!(since("branch"), before);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_way_out() {
    let env = TestEnv::with_nodes();
    for (arguments, said) in [
        (&["psk", "policy", "sometimes"][..], "none"),
        (&["psk", "policy", "--every", "36h"], "whole days"),
        (&["psk", "policy", "--on", "moon"], "time-based"),
        (&["psk", "policy", "--node", "nobody", "none"], "there is no node named `nobody`"),
        (&["psk", "policy", "--group", "nobody", "none"], "there is no group named `nobody`"),
        (&["psk", "policy", "unique"], "like that already"),
        (&["psk", "policy", "--node", "hub"], "say what is wanted"),
        (&["psk", "rotate", "alice-phone", "branch"], "there is no link between them"),
        (&["psk", "rotate", "nobody"], "there is no node named `nobody`"),
        (&["psk", "rotate"], "required"),
        (&["psk", "status", "nobody"], "there is no node named `nobody`"),
    ] {
        let text = env.refused(arguments);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}
