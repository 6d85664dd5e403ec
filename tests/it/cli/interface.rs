//! `interface`, `sync` and their words, as far as no host has to answer.

use std::process::Output;

use insta::assert_snapshot;

use crate::env::{TestEnv, filters};

/// A server and a router on hosts that nobody answers for.
fn env() -> TestEnv {
    let env = TestEnv::with_nodes();
    env.ok(&["host", "add", "shed", "root@127.0.0.1:1"]);
    env.ok(&["set", "hub", "host=shed"]);
    env
}

fn run(env: &TestEnv, arguments: &[&str]) -> Output {
    env.command(arguments).output().unwrap()
}

/// The server's main interface, as it is listed.
fn wg0(env: &TestEnv) -> serde_json::Value {
    let listed = env.json(&["interface", "show"]);
    let mut rows = listed["interfaces"].as_array().unwrap().iter();
    rows.find(|row| row["host"] == "shed" && row["interface"] == "wg0").unwrap().clone()
}

#[test]
fn an_interface_is_found_by_its_host_or_its_node_and_a_mistyped_name_suggests_the_nearest() {
    let _filters = filters();
    let env = env();
    assert_snapshot!(env.refused(&["interface", "key", "shde"]), @"
    --- stderr ---
    error: there is no host named `shde`
     hint: did you mean `shed`?
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["interface", "key", "shed", "wg1"]), @"
    --- stderr ---
    error: `shed` has no interface named `wg1`
     hint: did you mean `wg0`?
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["interface", "sync", "alice-phone"]), @"
    --- stderr ---
    error: `alice-phone` lives on no host
     hint: `wg-friend set alice-phone host=HOST` says where; `wg-friend show alice-phone` shows its file
    [exit 1]
    ");
    let by_node = env.json(&["interface", "key", "hub", "wg0"]);
    assert_eq!(by_node, env.json(&["interface", "key", "shed", "wg0"]));
    assert_eq!(by_node["custody"], "held");
    assert_eq!(wg0(&env)["node"], "hub");
}

#[test]
fn a_host_that_gives_no_answer_keeps_what_it_has_and_so_does_the_model() {
    let env = env();
    for turn in ["disable", "delete"] {
        let output = run(&env, &["interface", turn, "shed", "wg0", "--yes", "--json"]);
        assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&answer["run"], &answer["saved"]), (&"boot".into(), &false.into()), "{answer:#}");
        assert_eq!(answer["outcome"]["outcome"], "failed");
        assert_eq!(answer["before"]["up"], serde_json::Value::Null);
    }
    assert_eq!(wg0(&env)["run"], "boot");
    let output = run(&env, &["interface", "show", "shed", "--json"]);
    assert_eq!(output.status.code(), Some(4));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let view = &answer["interfaces"][0];
    assert!(view["not_observed"].as_str().unwrap().contains("can't be reached"), "{view:#}");
    assert!(view["settings"].as_array().unwrap().iter().all(|row| row["observed"].is_null() && row["drift"] == false));
}

#[test]
fn a_private_key_is_shown_only_to_who_says_so_and_the_log_knows() {
    let _filters = filters();
    let env = env();
    assert_snapshot!(env.refused(&["interface", "key", "shed", "wg0", "--reveal"]), @"
    --- stderr ---
    error: the word that a private key may go where this isn't a terminal is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    let generated = String::from_utf8(env.ok(&["generate", "hub"]).stdout).unwrap();
    let key = String::from_utf8(env.ok(&["interface", "key", "shed", "wg0", "--reveal", "--yes"]).stdout).unwrap();
    assert!(generated.contains(&format!("PrivateKey = {}\n", key.trim())));
    let log = env.json(&["audit", "log", "--action", "secret_revealed"]);
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
    assert_eq!(log["entries"][0]["severity"], "warning");
    assert!(!log.to_string().contains(key.trim()));
    assert!(!env.json(&["interface", "key", "shed", "wg0"]).to_string().contains(key.trim()));
    assert_eq!(env.json(&["interface", "key", "shed", "wg0", "--reveal", "--yes"])["private_key"], key.trim());
}

#[test]
fn what_was_changed_for_a_host_that_follows_is_kept_when_the_host_does_not_answer() {
    let env = env();
    env.ok(&["host", "set", "shed", "auto-sync=on_change"]);
    let output = run(&env, &["set", "hub", "port=51999"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("taking the change to shed") && said.contains("left as it is"), "{said}");
    assert_eq!(wg0(&env)["listen_port"], 51999);
    // What doesn't concern it leaves it in peace.
    env.ok(&["set", "alice-phone", "notes=hers"]);
    env.ok(&["set", "hub", "port=51820", "--dry-run"]);
}

#[test]
fn the_timer_names_the_program_and_the_database() {
    let env = env();
    let text = String::from_utf8(env.ok(&["sync", "--print-timer"]).stdout).unwrap();
    assert!(text.contains(&format!("--db {} --yes sync", env.database().display())), "{text}");
    assert!(text.contains("OnCalendar=") && text.contains("LoadCredential=wg-friend-passphrase:"), "{text}");
    assert!(!text.contains('{'), "{text}");
    let nothing = env.json(&["sync"]);
    assert_eq!(nothing["hosts"].as_array().unwrap().len(), 0);
    let refused = run(&env, &["sync", "shed"]);
    assert_eq!(refused.status.code(), Some(1));
}
