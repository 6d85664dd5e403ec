//! Two copies of a database with several networks become one again.

use insta::assert_snapshot;
use serde_json::Value;

use super::backup_merge::{arguments, backup, fates, hidden, merge, twin};
use crate::env::TestEnv;

#[test]
fn every_network_is_merged_with_its_own() {
    let env = TestEnv::with_nodes();
    env.ok(&["network", "add", "annex"]);
    let twin = twin(&env);
    let in_network = |name: &'static str| move |arguments: &[&'static str]| [arguments, &["--network", name]].concat();
    let (office, annex, depot) = (in_network("office"), in_network("annex"), in_network("depot"));
    twin.ok(&annex(&["add", "server", "annex-hub", "--endpoint", "198.51.100.20"]));
    twin.ok(&office(&["add", "remote", "bob-phone"]));
    twin.ok(&["network", "add", "depot"]);
    twin.ok(&depot(&["add", "server", "depot-hub", "--endpoint", "198.51.100.21"]));
    twin.ok(&depot(&["add", "remote", "depot-phone"]));
    env.ok(&office(&["set", "alice-phone", "keepalive=30"]));
    let file = backup(&twin);
    let report = env.json(&arguments(&file));
    assert_eq!(fates(&report), [("alice-phone".into(), "changed_here".into())]);
    for (of, name) in [(annex, "annex-hub"), (office, "bob-phone"), (depot, "depot-hub"), (depot, "depot-phone")] {
        let file = |env: &TestEnv| env.ok(&of(&["generate", name])).stdout;
        assert_eq!(file(&env), file(&twin), "{name}");
    }
    let merged = env.json(&["network", "list"]);
    assert_eq!(merged["networks"].as_array().unwrap().len(), 3);
    let again = env.json(&arguments(&file));
    assert_eq!((&again["saved"], again["changes"].as_array().unwrap().len()), (&Value::from(false), 0));

    env.ok(&["network", "remove", "depot", "--force", "--yes"]);
    let again = env.json(&arguments(&file));
    assert_eq!(again["saved"], true, "{again}"); // it was never in what both have in common
}

/// Two networks, each with a server on the same host.
fn on_one_host() -> TestEnv {
    let env = TestEnv::with_network();
    env.ok(&["network", "add", "lab", "--cidr6", "fd00:67::/64"]);
    env.ok(&["host", "add", "shared", "root@192.0.2.4"]);
    env.ok(&["--network", "office", "set", "hub", "host=shared"]);
    let hub = ["--network", "lab", "add", "server", "hub", "--endpoint", "vpn.example.com", "--host", "shared"];
    env.ok(&hub);
    env
}

#[test]
fn what_clashes_between_networks_on_a_shared_host_stays_and_the_rest_comes() {
    let env = TestEnv::with_network();
    env.ok(&["network", "add", "lab", "--cidr6", "fd00:67::/64"]);
    env.ok(&["host", "add", "shared", "root@192.0.2.4"]);
    env.ok(&["--network", "office", "set", "hub", "host=shared"]);
    env.ok(&["--network", "lab", "add", "server", "hub", "--endpoint", "vpn.example.com"]);
    let twin = twin(&env);
    env.ok(&["--network", "office", "add", "router", "one", "--lan", "192.168.1.0/24"]);
    twin.ok(&["--network", "lab", "add", "router", "two", "--lan", "192.168.1.0/24"]);
    twin.ok(&["--network", "lab", "set", "hub", "host=shared"]);
    twin.ok(&["--network", "office", "add", "remote", "kettle", "--address", "10.66.0.60"]);
    let file = backup(&twin);
    let _filters = hidden();
    let said = merge(&env, &file);
    assert!(said.contains("+ kettle") && said.contains("+ two") && said.ends_with("[exit 1]\n"), "{said}");
    let conflicts = said.split_once("CONFLICT").unwrap().1;
    assert_snapshot!(conflicts.split_once("\n\n").unwrap().0, @"
      WHY, AND WHAT TO DO
    hub       on the host `shared`, `hub` of the network `office` has 192.168.1.0/24 and `hub` of the network `lab` has 192.168.1.0/24, which overlap: packets would go by one of the two alone. Give one of the networks or LANs another prefix, or one of the nodes another host; then merge again
    ");
    env.ok(&["--network", "office", "remove", "one", "--yes"]);
    assert_eq!(fates(&env.json(&arguments(&file))), []);
    assert_eq!(env.json(&["--network", "lab", "show", "hub"])["host"], "shared");
}

#[test]
fn a_lan_that_clashes_on_a_host_of_another_node_stays_and_not_the_network_with_it() {
    let env = on_one_host();
    let twin = twin(&env);
    env.ok(&["--network", "office", "add", "router", "one", "--lan", "192.168.1.0/24"]);
    twin.ok(&["--network", "lab", "add", "router", "two", "--lan", "192.168.1.0/24"]);
    twin.ok(&["--network", "lab", "network", "set", "mtu=1380"]);
    twin.ok(&["--network", "office", "network", "set", "mtu=1380"]);
    let _filters = hidden();
    let said = merge(&env, &backup(&twin));
    let conflicts = said.split_once("CONFLICT").unwrap().1;
    assert_snapshot!(conflicts.split_once("\n\n").unwrap().0, @"
      WHY, AND WHAT TO DO
    two       on the host `shared`, `hub` of the network `office` has 192.168.1.0/24 and `hub` of the network `lab` has 192.168.1.0/24, which overlap: packets would go by one of the two alone. Give one of the networks or LANs another prefix, or one of the nodes another host; then merge again
    ");
    for network in ["office", "lab"] {
        assert_eq!(env.json(&["--network", network, "topology"])["network"]["mtu"], 1380, "{network}");
    }
}

#[test]
fn what_is_in_another_network_here_is_told() {
    let env = TestEnv::with_network();
    env.ok(&["network", "add", "annex"]);
    let twin = twin(&env);
    let key = "6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=";
    env.ok(&["--network", "office", "add", "remote", "pot", "--public-key", key]);
    twin.ok(&["--network", "annex", "add", "remote", "pan", "--public-key", key]);
    env.ok(&["network", "add", "depot"]);
    twin.ok(&["--network", "annex", "network", "set", "name=depot"]);
    twin.ok(&["--network", "office", "add", "remote", "kettle", "--address", "10.66.0.60"]);
    let file = backup(&twin);
    let _filters = hidden();
    let said = merge(&env, &file);
    assert!(said.contains("+ kettle") && said.ends_with("[exit 1]\n"), "{said}");
    let conflicts = said.split_once("CONFLICT").unwrap().1;
    assert_snapshot!(conflicts.split_once("\n\n").unwrap().0, @"
           WHY, AND WHAT TO DO
    pan            `pan` of the backup is `pot` of the network `office` here: `wg-friend --network office remove pot` if it is to be in this one, and merge again
    network depot  it is called `depot` in the backup, as another network is here: `wg-friend --network depot network set name=OTHER`, and merge again
    ");
    assert_eq!(env.json(&["--network", "office", "show", "kettle"])["name"], "kettle");
}

#[test]
fn hosts_that_are_here_are_not_said_to_come_with_a_network() {
    let env = TestEnv::with_network();
    env.ok(&["host", "add", "shared", "root@192.0.2.4"]);
    let twin = twin(&env);
    twin.ok(&["network", "add", "depot"]);
    twin.ok(&["host", "add", "web", "root@192.0.2.5"]);
    let report = env.json(&arguments(&backup(&twin)));
    let names: Vec<&str> =
        report["changes"].as_array().unwrap().iter().map(|change| change["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"web") && !names.contains(&"shared"), "{names:?}");
}

#[test]
fn what_was_removed_there_is_listed_whatever_it_is() {
    let env = TestEnv::with_nodes();
    env.ok(&["network", "add", "annex"]);
    env.ok(&["--network", "office", "psk", "policy", "--node", "branch", "required"]);
    let twin = twin(&env);
    twin.ok(&["network", "remove", "annex", "--force", "--yes"]);
    twin.ok(&["psk", "policy", "--node", "branch", "--inherit"]);
    let report = env.json(&arguments(&backup(&twin)));
    let told: Vec<String> = report["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|left| format!("{} {} {}", left["what"], left["name"], left["fate"]).replace('"', ""))
        .collect();
    assert_snapshot!(told.join("\n"), @"
    network annex removed_there
    psk_rules node branch removed_there
    ");
}

#[test]
fn a_key_that_clashes_on_a_host_with_its_port_stays_away_and_the_rest_comes() {
    let env = on_one_host();
    let twin = twin(&env);
    twin.ok(&["--network", "office", "rotate", "hub", "--now", "--yes"]);
    twin.ok(&["--network", "office", "set", "hub", "port=7777"]);
    twin.ok(&["--network", "office", "add", "remote", "kettle"]);
    env.ok(&["--network", "lab", "set", "hub", "port=7777"]);
    env.ok(&["--network", "office", "set", "hub", "notes=here"]);
    let key = |env: &TestEnv| env.json(&["--network", "office", "show", "hub"])["public_key"].clone();
    let before = key(&env);
    let _filters = hidden();
    let said = merge(&env, &backup(&twin));
    assert!(said.contains("+ kettle") && said.ends_with("[exit 1]\n"), "{said}");
    let conflicts = said.split_once("CONFLICT").unwrap().1;
    assert_snapshot!(conflicts.split_once("\n\n").unwrap().0, @"
      WHY, AND WHAT TO DO
    hub       on the host `shared`, `hub` of the network `office` and `hub` of the network `lab` both listen on port 7777: give one of them another with `wg-friend set NODE port=PORT`; then merge again
    ");
    assert_eq!(key(&env), before);
}

#[test]
fn a_host_that_is_renamed_there_is_the_same_for_networks_that_are_only_here() {
    let env = TestEnv::with_network();
    env.ok(&["host", "add", "shared", "root@192.0.2.4"]);
    env.ok(&["--network", "office", "set", "hub", "host=shared"]);
    let twin = twin(&env);
    env.ok(&["network", "add", "lab", "--cidr6", "fd00:67::/64"]);
    env.ok(&["--network", "lab", "add", "server", "hub", "--endpoint", "vpn.example.com", "--host", "shared"]);
    env.ok(&["--network", "lab", "add", "router", "two", "--lan", "192.168.1.0/24"]);
    twin.ok(&["host", "set", "shared", "name=rack"]);
    twin.ok(&["add", "router", "one", "--lan", "192.168.1.0/24"]);
    twin.ok(&["add", "remote", "kettle", "--address", "10.66.0.60"]);
    let _filters = hidden();
    let said = merge(&env, &backup(&twin));
    assert!(said.contains("+ kettle") && said.ends_with("[exit 1]\n"), "{said}");
    let conflicts = said.split_once("CONFLICT").unwrap().1;
    assert_snapshot!(conflicts.split_once("\n\n").unwrap().0, @"
      WHY, AND WHAT TO DO
    one       on the host `rack`, `hub` of the network `office` has 192.168.1.0/24 and `hub` of the network `lab` has 192.168.1.0/24, which overlap: packets would go by one of the two alone. Give one of the networks or LANs another prefix, or one of the nodes another host; then merge again
    ");
}
