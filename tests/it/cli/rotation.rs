//! Rotation policies through the program: whose keys are due, why, and what becomes of it.

use serde_json::Value;

use crate::env::{TestEnv, filters};

/// Makes the keys of nodes look so many days older.
fn age(env: &TestEnv, days: i64) {
    let micros = days * 86_400_000_000;
    let conn = rusqlite::Connection::open(env.database()).unwrap();
    let changed = conn.execute("UPDATE keys SET created = created - ?1", [micros]).unwrap();
    assert!(changed > 0);
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|node| node["node"].as_str().unwrap()).collect()
}

fn count(env: &TestEnv, action: &str) -> usize {
    env.json(&["audit", "log", "--action", action])["entries"].as_array().unwrap().len()
}

#[test]
fn a_policy_is_made_changed_shown_and_removed_and_each_change_has_its_entry() {
    let env = TestEnv::with_nodes();
    let _filters = filters();
    insta::assert_snapshot!(env.run(&["rotation", "policy", "list"]), @"
    --- stderr ---
    no policies yet; make one with `wg-friend rotation policy add --preset 90d`
    ");
    insta::assert_snapshot!(env.run(&["rotation", "policy", "add", "--preset", "90d"]), @"
    --- stderr ---
    + added rotation policy every-90-days: every 90 days, all (5 nodes)
      next: `wg-friend rotation due` says whose keys are due, or will be soon
    ");
    env.ok(&["rotation", "policy", "add", "heavy", "--usage", "50GB", "--scope", "remotes,branch", "--auto-deploy"]);
    env.ok(&["rotation", "policy", "add", "incidents", "--on", "device-lost,compromise", "--notice", "3d"]);
    env.ok(&["rotation", "policy", "disable", "heavy"]);
    insta::assert_snapshot!(env.run(&["rotation", "policy", "list"]), @"
    POLICY         WHEN                        WHOM             NODES  DUE  SOON  DEPLOYS  STATE
    every-90-days  every 90 days               all              5      0    0     no       enabled
    heavy          after 50 GB                 remotes, branch  3      0    0     yes      disabled
    incidents      on device-lost, compromise  all              5      0    0     no       enabled
    --- stderr ---
    5 nodes covered: 0 due, 0 within 7 days, 100 % in order
    ");
    env.ok(&["rotation", "policy", "set", "heavy", "--usage", "1.5TB", "--auto-deploy", "false", "--rename", "busy"]);
    let shown = env.json(&["rotation", "policy", "show", "BUSY"]);
    assert_eq!((&shown["usage_bytes"], &shown["auto_deploy"]), (&1_500_000_000_000_u64.into(), &false.into()));
    assert_eq!(shown["scope"], serde_json::json!(["remotes", "branch"]));
    env.ok(&["rotation", "policy", "set", "busy", "--every", "30d"]);
    let shown = env.json(&["rotation", "policy", "show", "busy"]);
    assert_eq!((&shown["type"], &shown["usage_bytes"]), (&"time".into(), &Value::Null));
    insta::assert_snapshot!(env.run(&["rotation", "policy", "remove", "busy", "--dry-run"]), @"
    --- stderr ---
    - removed rotation policy busy: every 30 days, remotes, branch (3 nodes), disabled
    dry run: nothing was changed
    ");
    env.ok(&["rotation", "policy", "remove", "busy", "--yes"]);
    assert_eq!(count(&env, "policy_changed"), 3 + 1 + 2 + 1);
    let log = env.json(&["audit", "log", "--action", "policy_changed"]);
    let disabled = &log["entries"][3]["details"];
    assert_eq!(
        (&disabled["before"]["enabled"], &disabled["after"]["enabled"]),
        (&true.into(), &false.into()),
        "{log:#}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let env = TestEnv::with_nodes();
    env.ok(&["rotation", "policy", "add", "quarterly", "--every", "90d"]);
    let _filters = filters();
    insta::assert_snapshot!(env.refused(&["rotation", "policy", "add", "x"]), @"
    --- stderr ---
    error: rotation policy add: says nothing of when a key is due
     hint: give --every 90d, --usage 50GB or --on device-lost,compromise
    [exit 2]
    ");
    insta::assert_snapshot!(env.refused(&["rotation", "policy", "add", "Quarterly", "--every", "30d"]), @"
    --- stderr ---
    error: there is a rotation policy `quarterly` already
     hint: `wg-friend rotation policy set quarterly` changes it
    [exit 1]
    ");
    insta::assert_snapshot!(env.refused(&["rotation", "policy", "add", "x", "--every", "30d", "--scope", "remotes,alise-phone"]), @"
    --- stderr ---
    error: there is no role, group or node named `alise-phone`
     hint: did you mean `alice-phone`?
    [exit 1]
    ");
    insta::assert_snapshot!(env.refused(&["rotation", "policy", "show", "quartely"]), @"
    --- stderr ---
    error: there is no rotation policy named `quartely`
     hint: did you mean `quarterly`?
    [exit 1]
    ");
    insta::assert_snapshot!(env.refused(&["rotation", "policy", "set", "quarterly", "--every", "90d"]), @"
    --- stderr ---
    error: the rotation policy `quarterly` is like that already; nothing was changed
    [exit 1]
    ");
    insta::assert_snapshot!(env.refused(&["rotation", "event", "grant-changed", "alice-phone"]), @"
    --- stderr ---
    error: `grant_changed` needs nobody to tell of it: the history of the model does
     hint: a policy with `--on grant-changed` has keys replaced after each change of what a node may reach
    [exit 1]
    ");
    for arguments in [
        ["--every", "12h"].as_slice(),
        &["--every", "0d"],
        &["--usage", "50"],
        &["--on", "rain"],
        &["--every", "30d", "--usage", "5GB"],
        &["--every", "30d", "--scope", ","],
    ] {
        let text = env.refused(&[&["rotation", "policy", "add", "x"], arguments].concat());
        assert!(text.contains("[exit 2]"), "{arguments:?}: {text}");
    }
}

#[test]
fn what_is_due_is_replaced_once_and_what_a_person_must_do_is_told() {
    let env = TestEnv::with_nodes();
    env.ok(&["set", "alice-laptop", "custody=shown-once", "--yes"]);
    env.ok(&["rotation", "policy", "add", "quarterly", "--every", "90d", "--scope", "remotes,routers"]);
    age(&env, 85);
    let due = env.json(&["rotation", "due"]);
    assert_eq!(names(&due["nodes"]), ["branch", "alice-laptop", "alice-phone"], "the oldest first");
    assert_eq!(due["nodes"][0]["state"], "soon");
    assert_eq!(names(&env.json(&["rotation", "due", "--within", "0d"])["nodes"]), [""; 0]);
    age(&env, 10);
    let _filters = filters();
    insta::assert_snapshot!(env.run(&["rotation", "due", "--exit-code"]), @"
    NODE          ROLE    DUE        WHY                      POLICY     LAST
    branch        router  since 5 d  95 days old, 90 allowed  quarterly  [DAY]
    alice-laptop  remote  since 5 d  95 days old, 90 allowed  quarterly  [DAY]
    alice-phone   remote  since 5 d  95 days old, 90 allowed  quarterly  [DAY]

    by hand:
    alice-laptop: its new private key is shown once and kept nowhere: run `wg-friend rotate alice-laptop` where you can take it down
    --- stderr ---
    3 nodes covered: 3 due, 0 within 7 days, 0 % in order; 2 covered by no policy
    [exit 3]
    ");
    // The table of policies says the same, and so does the report.
    let list = env.json(&["rotation", "policy", "list"]);
    assert_eq!((&list["policies"][0]["overdue"], &list["summary"]["overdue"]), (&3.into(), &3.into()));

    let due = env.json(&["rotation", "due", "--within", "0d"]);
    let report = env.json(&["report", "key-rotation"]);
    assert_eq!(names(&report["keys"]["due"]), names(&due["nodes"]));
    assert_eq!((&report["keys"]["policies"], &report["keys"]["policy_summary"]), (&list["policies"], &list["summary"]));
    let warning = report["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == "rotation_due");
    assert_eq!(warning.map(|warning| warning["concerns"].as_array().unwrap().len()), Some(3), "{report:#}");

    let before = env.json(&["list"]);
    let tried = env.json(&["rotation", "apply", "--dry-run"]);
    assert_eq!((&tried["saved"], &tried["nodes"][0]["end"]), (&false.into(), &"would_rotate".into()), "{tried:#}");
    assert_eq!(env.json(&["list"]), before);
    insta::assert_snapshot!(env.run(&["rotation", "apply", "--yes", "--limit", "1"]), @"
    NODE          WHY                      POLICY     OUTCOME
    branch        95 days old, 90 allowed  quarterly  new key
    alice-laptop  95 days old, 90 allowed  quarterly  by hand
    alice-phone   95 days old, 90 allowed  quarterly  over the limit
    alice-laptop: its new private key is shown once and kept nowhere: run `wg-friend rotate alice-laptop` where you can take it down
    --- stderr ---
      next: `wg-friend deploy` takes the new keys to the hosts
      next: hand new files to hub: `wg-friend qr NODE` or `wg-friend generate NODE`
    [exit 1]
    ");
    let text = env.run(&["rotation", "apply", "--yes"]);
    assert!(text.contains("alice-phone") && !text.contains("branch"), "{text}");
    let text = env.run(&["rotation", "apply", "--yes"]);
    assert!(!text.contains("new key") && text.contains("by hand") && text.contains("[exit 1]"), "{text}");
    assert_eq!(count(&env, "key_rotation"), 2, "once each");

    let log = env.json(&["rotation", "log"]);
    assert_eq!(names(&log["executions"]), ["alice-phone", "branch"]);
    let phone = &log["executions"][0];
    let show = env.json(&["show", "alice-phone"]);
    assert_eq!((&phone["old_key"], &phone["error"]), (&show["guid"], &Value::Null), "{show:#}");
    assert_ne!(phone["new_key"], phone["old_key"]);
    assert_eq!((&phone["policy"], &phone["why"]), (&"quarterly".into(), &"95 days old, 90 allowed".into()));
    assert_eq!(phone["deployed"], Value::Null, "nobody asked for it");
    assert_eq!(names(&env.json(&["rotation", "log", "branch"])["executions"]), ["branch"]);

    // Who does by hand what only a person can do is out of the list.
    env.ok(&["rotate", "alice-laptop"]);
    insta::assert_snapshot!(env.run(&["rotation", "apply"]), @"nothing is due");
}

#[test]
fn an_event_makes_keys_due_by_the_policies_that_wait_for_it() {
    let env = TestEnv::with_nodes();
    let _filters = filters();
    insta::assert_snapshot!(env.run(&["rotation", "event", "device-lost", "alice-phone", "--note", "left in a taxi"]), @"
    --- stderr ---
    ! device lost: alice-phone
      urgent: whoever has the key gets in with it until the hosts no longer know it; `wg-friend rotate NODE --now` and `wg-friend deploy` shut it out at once
      no enabled policy replaces the keys of alice-phone because of that: `wg-friend rotate NODE` does, or `wg-friend rotation policy add` with `--on device-lost` from now on
    ");
    env.ok(&["rotation", "policy", "add", "incidents", "--on", "device-lost,operator-removed"]);
    let due = env.json(&["rotation", "due"]);
    assert_eq!(names(&due["nodes"]), ["alice-phone"], "also what was told of before the policy");
    let phone = &due["nodes"][0];
    assert_eq!((&phone["because"], &phone["event"]), (&"event".into(), &"device_lost".into()));
    assert_eq!((&phone["operator"], &phone["note"]), (&"tester".into(), &"left in a taxi".into()));
    assert_eq!((&phone["urgent"], &phone["next"]), (&true.into(), &phone["time"]));
    let report = env.json(&["report", "key-rotation"]);
    let codes = report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap());
    assert_eq!(codes.clone().filter(|code| code.starts_with("rotation_")).collect::<Vec<_>>(), ["rotation_urgent"]);
    env.ok(&["group", "add", "contractors", "alice-laptop"]);
    env.ok(&["rotation", "event", "operator-removed", "contractors", "exits", "--note", "Bob left"]);
    assert_eq!(names(&env.json(&["rotation", "due"])["nodes"]), ["alice-phone", "alice-laptop", "exit-de"]);
    let applied = env.json(&["rotation", "apply", "--yes"]);
    let staged: Vec<_> = applied["nodes"].as_array().unwrap().iter().map(|node| node["staged"].as_bool()).collect();
    assert_eq!(staged[0], Some(false), "the key of a lost phone stays good for nobody");
    assert_eq!(names(&env.json(&["rotation", "due"])["nodes"]), [""; 0]);
    assert_eq!(count(&env, "rotation_called_for"), 3);
    let log = env.json(&["audit", "log", "--action", "rotation_called_for"]);
    let severities: Vec<&str> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["severity"].as_str().unwrap()).collect();
    assert_eq!(severities, ["warning", "warning", "critical"]);
}

#[test]
fn what_was_said_by_mistake_is_taken_back_until_there_is_another_key() {
    let env = TestEnv::with_nodes();
    env.ok(&["rotation", "policy", "add", "incidents", "--on", "device-lost"]);
    env.ok(&["rotation", "event", "device-lost", "alice-phone", "alice-laptop"]);
    let _filters = filters();
    insta::assert_snapshot!(env.run(&["rotation", "event", "device-lost", "alice-phone", "--withdraw"]), @"
    --- stderr ---
    - taken back, device lost: alice-phone
    ");
    assert_eq!(names(&env.json(&["rotation", "due"])["nodes"]), ["alice-laptop"]);
    insta::assert_snapshot!(env.refused(&["rotation", "event", "device-lost", "alice-phone", "--withdraw"]), @"
    --- stderr ---
    error: nobody has said `device lost` of `alice-phone`
    [exit 1]
    ");
    env.ok(&["rotation", "apply", "--yes"]);
    insta::assert_snapshot!(env.refused(&["rotation", "event", "device-lost", "alice-laptop", "--withdraw"]), @"
    --- stderr ---
    error: `alice-laptop` has another key since `device lost` was said of it: there is nothing to take back
    [exit 1]
    ");
    let log = env.json(&["audit", "log", "--action", "rotation_called_for"]);
    assert_eq!(log["entries"][0]["details"]["withdrawn"], true, "{log:#}");
    assert_eq!(count(&env, "rotation_called_for"), 3);
}

#[test]
fn a_next_key_that_nobody_has_used_waits_and_is_no_failure() {
    let env = TestEnv::with_nodes();
    env.ok(&["host", "add", "hubhost", "root@192.0.2.7"]);
    env.ok(&["set", "hub", "host=hubhost"]);
    env.ok(&["rotation", "policy", "add", "quarterly", "--every", "90d", "--scope", "alice-phone"]);
    age(&env, 95);
    let applied = env.json(&["rotation", "apply", "--yes"]);
    assert_eq!(applied["nodes"][0]["staged"], true, "{applied:#}");
    age(&env, 95);
    let text = env.run(&["rotation", "apply", "--yes"]);
    assert!(text.contains("waits for its device") && text.contains("rotate alice-phone --abort"), "{text}");
    assert!(text.contains("[exit 1]"), "{text}");
    assert_eq!(env.json(&["rotation", "log"])["executions"].as_array().unwrap().len(), 1, "it is no execution");
}

#[test]
fn a_deploy_that_was_wanted_and_not_done_is_told_of_and_made_good() {
    let env = TestEnv::with_nodes();
    env.ok(&["rotation", "policy", "add", "quarterly", "--every", "90d", "--scope", "alice-phone"]);
    age(&env, 95);
    env.ok(&["rotation", "apply", "--yes"]);
    let conn = rusqlite::Connection::open(env.database()).unwrap();
    assert_eq!(conn.execute("UPDATE rotation_executions SET deployed = 0", []).unwrap(), 1);
    assert!(env.run(&["rotation", "log"]).contains("not deployed yet"));
    let planned = env.json(&["rotation", "apply", "--dry-run"]);
    assert_eq!(planned["left_over"][0]["deployed"], Value::Null, "{planned:#}");
    // Nothing of the hub is on a host that is known here: there is nothing to deploy, and then nothing left over.
    let applied = env.json(&["rotation", "apply", "--yes"]);
    assert_eq!(applied["left_over"][0]["deployed"], true, "{applied:#}");
    assert_eq!(env.json(&["rotation", "apply", "--yes"])["left_over"], serde_json::json!([]));
}

#[test]
fn a_changed_grant_makes_the_key_due_by_itself() {
    let env = TestEnv::with_nodes();
    env.ok(&["rotation", "policy", "add", "rights", "--on", "grant-changed", "--scope", "remotes"]);
    assert_eq!(names(&env.json(&["rotation", "due"])["nodes"]), [""; 0]);
    env.ok(&["set", "alice-phone", "notes=hers"]);
    assert_eq!(names(&env.json(&["rotation", "due"])["nodes"]), [""; 0]);
    env.ok(&["set", "alice-phone", "access=vpn-only"]);
    env.ok(&["group", "add", "contractors", "alice-laptop"]);
    env.ok(&["grant", "contractors", "192.168.10.7", "tcp", "443"]);
    let due = env.json(&["rotation", "due"]);
    assert_eq!(names(&due["nodes"]), ["alice-phone", "alice-laptop"]);
    assert_eq!((&due["nodes"][0]["event"], &due["nodes"][0]["operator"]), (&"grant_changed".into(), &Value::Null));
    env.ok(&["rotation", "apply", "--yes"]);
    assert_eq!(names(&env.json(&["rotation", "due"])["nodes"]), [""; 0]);
}

#[test]
fn an_earlier_state_of_the_model_brings_no_earlier_policy() {
    let env = TestEnv::with_nodes();
    let state = env.json(&["history"])["states"][0]["number"].to_string();
    env.ok(&["rotation", "policy", "add", "quarterly", "--every", "90d", "--scope", "alice-phone"]);
    assert_eq!(env.json(&["history"])["states"][0]["number"].to_string(), state, "a policy is no state of the model");
    env.ok(&["remove", "alice-phone", "--yes"]);
    assert_eq!(env.json(&["rotation", "policy", "list"])["policies"][0]["nodes"], 0);
    env.ok(&["rollback", "--model", &state, "--yes"]);
    let policy = &env.json(&["rotation", "policy", "list"])["policies"][0];
    assert_eq!((&policy["name"], &policy["nodes"]), (&"quarterly".into(), &1.into()), "it is covered again");
    assert_eq!(policy["scope"], serde_json::json!(["alice-phone"]));
}

#[test]
fn the_timer_runs_what_it_says() {
    let env = TestEnv::with_nodes();
    let text = String::from_utf8(env.ok(&["rotation", "schedule", "--limit", "5", "--within", "1d"]).stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    assert_eq!(words[2..], ["--yes", "rotation", "apply", "--within", "86400s", "--limit", "5"]);
    insta::assert_snapshot!(env.run(&words), @"nothing is due");
}

#[test]
fn two_networks_have_policies_of_their_own() {
    let env = TestEnv::with_nodes();
    env.ok(&["network", "add", "lab", "--cidr", "10.77.0.0/24", "--yes"]);
    let own = env.json(&["network", "list"])["networks"].as_array().unwrap().clone();
    let other = own.iter().map(|network| network["name"].as_str().unwrap()).find(|name| *name != "lab").unwrap();
    env.ok(&["--network", other, "rotation", "policy", "add", "quarterly", "--every", "90d"]);
    env.ok(&["--network", "lab", "rotation", "policy", "add", "quarterly", "--every", "30d"]);
    let days = |network: &str| env.json(&["--network", network, "rotation", "policy", "list"])["policies"][0].clone();
    assert_eq!((&days(other)["every_days"], &days("lab")["every_days"]), (&90.into(), &30.into()));
    env.ok(&["--network", "lab", "network", "remove", "lab", "--yes"]);
    assert_eq!(env.json(&["rotation", "policy", "list"])["policies"][0]["every_days"], 90);
}
