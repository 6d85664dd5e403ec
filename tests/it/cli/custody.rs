//! Who keeps a node's private key, and changing that.

use std::io::Write as _;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::env::{TestEnv, filters};

/// The private key in a node's file.
fn private_key(env: &TestEnv, node: &str) -> String {
    let file = String::from_utf8(env.ok(&["generate", node]).stdout).unwrap();
    file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("the file has its key").to_owned()
}

fn set_with_key(env: &TestEnv, node: &str, key: &str) -> String {
    let mut command = env.command(&["set", node, "custody=held", "--private-key-file", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it was built");
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains(key.trim()) || key.trim().is_empty(), "a key is never repeated: {text}");
    format!("{text}[exit {}]", output.status.code().unwrap())
}

/// Whether a text stands in one of the database's files.
fn is_in_database(env: &TestEnv, text: &str) -> bool {
    let files = std::fs::read_dir(env.database().parent().unwrap()).unwrap();
    let mut contents = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    contents.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[test]
fn a_key_that_is_held_can_be_forgotten_and_given_back() {
    let _filters = filters();
    let env = TestEnv::with_nodes();
    let key = private_key(&env, "alice-phone");
    assert_snapshot!(env.refused(&["set", "alice-phone", "custody=never-seen"]), @"
    --- stderr ---
        custody  held → never-seen
      note: the private key of `alice-phone` is wiped: no code and no whole file can be made for it any more; a lost device means `wg-friend rotate alice-phone --now`
    error: a confirmation is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    assert_snapshot!(env.run(&["set", "alice-phone", "custody=never-seen", "--yes"]), @"
    --- stderr ---
    ~ changed remote alice-phone  10.66.0.30  fd00:66::1e
        custody  held → never-seen
      note: the private key of `alice-phone` is wiped: no code and no whole file can be made for it any more; a lost device means `wg-friend rotate alice-phone --now`
    ");
    let log = env.json(&["audit", "log", "--limit", "2"]);
    let actions: Vec<&str> = log["entries"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"private_key_forgotten"), "{log:#}");
    let without = String::from_utf8(env.ok(&["generate", "alice-phone"]).stdout).unwrap();
    assert!(without.contains("# PrivateKey = ") && !without.contains(&key), "{without}");
    assert!(env.refused(&["qr", "alice-phone"]).contains("keeps its private key to itself"));

    assert_snapshot!(set_with_key(&env, "alice-phone", &format!("{key}\n")), @"
    ~ changed remote alice-phone  10.66.0.30  fd00:66::1e
        custody  never-seen → held
    [exit 0]
    ");
    assert_eq!(private_key(&env, "alice-phone"), key);
    assert!(!is_in_database(&env, &key));
}

#[test]
fn a_key_that_is_to_be_shown_once_is_shown_then() {
    let env = TestEnv::with_nodes();
    let key = private_key(&env, "alice-phone");
    let output = env.ok(&["set", "alice-phone", "custody=shown-once", "--yes"]);
    let (shown, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(shown.contains(&format!("PrivateKey = {key}")) && shown.contains("shown this once"), "{shown}");
    assert!(!said.contains("needs a new file"), "it is on the screen: {said}");
    assert!(env.refused(&["set", "alice-phone", "custody=held"]).contains("--private-key-file FILE"));
    let with_key = env.path().join("key");
    std::fs::write(&with_key, &key).unwrap();
    env.ok(&["set", "alice-phone", "custody=held", "--private-key-file", with_key.to_str().unwrap()]);
    assert_eq!(private_key(&env, "alice-phone"), key);
}

#[test]
fn a_key_is_refused_that_is_another_or_none_or_is_not_asked_for() {
    let env = TestEnv::with_nodes();
    let other = private_key(&env, "alice-laptop");
    env.ok(&["set", "alice-phone", "custody=never-seen", "--yes"]);
    let before = env.model();
    assert_snapshot!(set_with_key(&env, "alice-phone", "garbage, perhaps a passphrase"), @"
    error: --private-key-file: its first line is not a private key
     hint: a key is 44 characters long and ends with `=`, as `wg genkey` prints it
    [exit 2]
    ");
    let text = set_with_key(&env, "alice-phone", &other);
    assert!(text.contains("the private key is not the one of `alice-phone`") && text.ends_with("[exit 1]"), "{text}");
    assert!(set_with_key(&env, "alice-phone", "").contains("is not a private key"));
    let file = env.path().join("key");
    std::fs::write(&file, &other).unwrap();
    let file = file.to_str().unwrap();
    let unasked = env.refused(&["set", "alice-laptop", "notes=x", "--private-key-file", file]);
    assert!(unasked.contains("goes with custody=held"), "{unasked}");
    assert!(env.refused(&["set", "alice-phone", "custody=shown-once"]).contains("was never here"));
    assert_eq!(env.model(), before);
}

#[test]
fn a_key_that_a_host_needs_is_not_forgotten() {
    let env = TestEnv::with_nodes();
    let text = env.refused(&["set", "branch", "custody=never-seen", "--yes"]);
    assert!(text.contains("runs on the host `branch`") && text.contains("`wg-friend set branch host=none`"), "{text}");
    env.ok(&["set", "branch", "host=none", "custody=never-seen", "--yes"]);
    assert_eq!(env.json(&["show", "branch"])["custody"], "never_seen");
}
