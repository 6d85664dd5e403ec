//! Who has which file, and who needs a new one.

use crate::env::{TestEnv, filters};

/// Returns the exit code of a command.
fn code(env: &TestEnv, arguments: &[&str]) -> i32 {
    env.command(arguments).output().unwrap().status.code().unwrap()
}

#[test]
fn a_device_needs_nothing_until_something_changes_that_is_in_its_file() {
    let env = TestEnv::with_nodes();
    insta::assert_snapshot!(env.run(&["handouts"]), @"
    DEVICE        STATE             HAS
    alice-laptop  never handed out  –
    alice-phone   never handed out  –
    exit-de       never handed out  –
    hub           never handed out  –
    ");
    env.ok(&["generate", "--dir", &env.path().join("out").display().to_string()]);
    assert_eq!(env.run(&["handouts"]), "every device has what it would get now\n");

    env.ok(&["set", "alice-laptop", "notes=hers"]);
    env.ok(&["rename", "hub", "centre"]);
    assert_eq!(env.run(&["handouts"]), "every device has what it would get now\n", "comments need no new file");

    env.ok(&["set", "centre", "endpoint=vpn.example.com:51830", "port=51830"]);
    env.ok(&["set", "alice-phone", "mtu=1380"]);
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["handouts"]), @"
    DEVICE        STATE                HAS         WHY
    alice-laptop  must get a new file  revision 1  must: endpoint port 51820 -> 51830
    alice-phone   must get a new file  revision 1  must: endpoint port 51820 -> 51830; may: MTU 1420 -> 1380
    centre        must get a new file  revision 1  must: wg0: listen port 51820 -> 51830

    1 device has what it would get now
    ");
    insta::assert_snapshot!(env.run(&["handouts", "alice-phone"]), @"
    alice-phone  must get a new file
      must  endpoint port 51820 -> 51830
      may   MTU 1420 -> 1380

    REVISION  FIRST             LAST              BY
    1         [TIME]  [TIME]  file
    ");
    let show = env.run(&["show", "alice-phone"]);
    let file: Vec<&str> = show.lines().skip_while(|line| !line.starts_with("file")).take(2).collect();
    insta::assert_snapshot!(file.join("\n"), @"
    file         revision 1 handed out [DAY] by file, not seen in use yet
                 outdated; must: endpoint port 51820 -> 51830; may: MTU 1420 -> 1380
    ");

    env.ok(&["qr", "alice-phone"]);
    env.ok(&["generate", "alice-laptop", "exit-de", "centre"]);
    assert_eq!(env.run(&["handouts"]), "every device has what it would get now\n");
    insta::assert_snapshot!(env.run(&["handouts", "alice-phone"]), @"
    alice-phone  up to date

    REVISION  FIRST             LAST              BY
    2         [TIME]  [TIME]  qr
    1         [TIME]  [TIME]  file
    ");
}

#[test]
fn handing_out_the_same_again_is_the_same_revision_by_another_way() {
    let env = TestEnv::with_nodes();
    env.ok(&["generate", "alice-phone"]);
    env.ok(&["qr", "alice-phone"]);
    let document = env.json(&["handouts", "alice-phone"]);
    assert_eq!(document["device"]["state"], "up_to_date");
    assert_eq!(document["revisions"].as_array().unwrap().len(), 1);
    assert_eq!(document["revisions"][0]["methods"], serde_json::json!(["file", "qr"]));
    assert_eq!(code(&env, &["handouts", "--exit-code"]), 0);
    env.ok(&["rotate", "alice-phone", "--reason", "lost"]);
    assert_eq!(code(&env, &["handouts", "--exit-code"]), 3);
    let document = env.json(&["handouts"]);
    assert_eq!(document["devices"][0]["must"], serde_json::json!(["its own key is another"]));
}

#[test]
fn a_key_that_is_shown_once_counts_as_handed_out_and_no_copy_is_kept() {
    let env = TestEnv::with_network();
    env.ok(&["add", "remote", "carol", "--custody", "shown-once"]);
    let document = env.json(&["handouts", "carol"]);
    assert_eq!(document["device"]["state"], "up_to_date", "{document:#}");
    assert_eq!(document["revisions"][0]["methods"], serde_json::json!(["shown_once"]));
}

#[test]
fn a_removed_device_that_comes_back_still_has_its_file() {
    let env = TestEnv::with_nodes();
    env.ok(&["generate", "alice-phone"]);
    env.ok(&["remove", "alice-phone", "--yes"]);
    env.ok(&["rollback", "--model", "5", "--yes"]);
    assert_eq!(env.json(&["handouts", "alice-phone"])["device"]["state"], "up_to_date");
}

#[test]
fn what_was_imported_is_what_its_device_has() {
    let env = TestEnv::with_nodes();
    let out = env.path().join("out");
    env.ok(&["generate", "hub", "alice-phone", "--dir", &out.display().to_string()]);
    let other = TestEnv::new();
    let files = ["hub/wg0.conf", "alice-phone.conf"].map(|file| out.join(file).display().to_string());
    other.ok(&["import", &files[0], &files[1], "--yes"]);
    let document = other.json(&["handouts", "--all"]);
    let phone = document["devices"].as_array().unwrap().iter().find(|device| device["node"] == "alice-phone");
    assert_eq!(phone.map(|device| &device["given"]["methods"]), Some(&serde_json::json!(["found"])), "{document:#}");
}

#[test]
fn a_plan_file_that_is_none_is_refused() {
    let env = TestEnv::with_nodes();
    let path = env.path().join("x.plan").display().to_string();
    assert_eq!(code(&env, &["deploy", &path, "--yes"]), 1);
    std::fs::write(&path, "{}").unwrap();
    assert!(env.run(&["deploy", &path, "--yes"]).contains("is no plan of wg-friend"));
    assert_eq!(code(&env, &["deploy", &path, "branch"]), 2);
}
