//! Several networks in one database.

use insta::assert_snapshot;

use crate::env::TestEnv;

/// The networks `office` and `lab`, each with a server `hub`; the office's lives on the host `shared`.
fn env() -> TestEnv {
    let env = TestEnv::with_network();
    env.ok(&["network", "add", "lab", "--cidr6", "fd00:67::/64"]);
    env.ok(&["host", "add", "shared", "root@192.0.2.4"]);
    env.ok(&["--network", "office", "set", "hub", "host=shared"]);
    env.ok(&["--network", "lab", "add", "server", "hub", "--endpoint", "vpn.example.com"]);
    env
}

#[test]
fn a_network_beside_another_gets_what_that_one_has_not() {
    let env = TestEnv::with_nodes();
    assert_snapshot!(env.run(&["network", "add", "lab", "--no-ipv6", "--dry-run"]), @"
    --- stderr ---
    + added network lab  10.67.0.0/24  wg1 port 51822
    dry run: nothing was changed
    ");
    assert_snapshot!(env.run(&["network", "add", "lab", "--no-ipv6"]), @"
    --- stderr ---
    + added network lab  10.67.0.0/24  wg1 port 51822
    next: `wg-friend --network lab add server NAME --endpoint HOST`
    ");
    assert_snapshot!(env.run(&["network", "add", "copy", "--cidr", "10.66.0.0/16", "--cidr6", "none", "--port", "51820"]), @"
    --- stderr ---
    + added network copy  10.66.0.0/16  wg2 port 51820
      no host can carry nodes of this network and of `office`: 10.66.0.0/16 overlaps 10.66.0.0/24, both have the port 51820
    next: `wg-friend --network copy add server NAME --endpoint HOST`
    ");
    assert_snapshot!(env.run(&["network", "list"]), @"
    NAME    PREFIXES                   INTERFACE  PORT   NODES  HOSTS
    office  10.66.0.0/24 fd00:66::/64  wg0        51820  5      branch
    lab     10.67.0.0/24               wg1        51822  0
    copy    10.66.0.0/16               wg2        51820  0
    ");
    // What one gives its uplinks, the other doesn't take.
    env.ok(&["--network", "lab", "add", "server", "hub", "--endpoint", "vpn.example.com"]);
    env.ok(&["--network", "lab", "add", "exit", "exit-us", "--endpoint", "203.0.113.10"]);
    let hub = env.json(&["--network", "lab", "show", "hub"]);
    let uplink = &hub["interfaces"][1];
    assert_eq!((uplink["name"].as_str(), uplink["listen_port"].as_u64()), (Some("wgx2"), Some(51824)), "{hub:#}");
    for wrong in [&["network", "add", "LAB"][..], &["network", "add", "x", "--cidr", "none", "--no-ipv6"]] {
        env.run(&[wrong, &["--network", "office"]].concat());
    }
    assert_eq!(env.json(&["network", "list"])["networks"].as_array().unwrap().len(), 3);
}

#[test]
fn with_several_networks_the_one_that_is_meant_is_named() {
    let env = env();
    let hint = "hint: say which with `--network NAME`, or once for all commands with WG_FRIEND_NETWORK";
    for command in
        [&["list"][..], &["add", "remote", "x"], &["plan"], &["status"], &["drift", "history"], &["history", "x"]]
    {
        let said = env.run(command);
        assert!(said.contains("several networks, and none is named: `office`, `lab`\n"), "{command:?}: {said}");
        assert!(said.contains(hint) && said.ends_with("[exit 2]\n"), "{command:?}: {said}");
    }
    // What isn't about one of them needs none.
    for command in
        [&["network", "list"][..], &["host", "list"], &["history"], &["audit", "verify"], &["vault", "status"]]
    {
        env.ok(command);
    }
    assert_snapshot!(env.run(&["list", "--network", "shop"]), @"
    --- stderr ---
    error: there is no network `shop`: the database has `office`, `lab`
     hint: `wg-friend network list` tells more of them, `wg-friend network add NAME` makes another one
    [exit 2]
    ");
    let mut command = env.command(&["network", "show"]);
    let said = env.transcript(command.env("WG_FRIEND_NETWORK", "lab"));
    assert!(said.contains("name") && said.contains("lab"), "{said}");
    assert_snapshot!(env.run(&["host", "list"]), @"
    NAME    ADDRESS         BECOME  NODES
    shared  root@192.0.2.4  auto    office/hub
    ");
    // A name is taken in its own network alone.
    env.ok(&["--network", "lab", "add", "remote", "phone"]);
    env.ok(&["--network", "office", "add", "remote", "phone"]);
    assert_eq!(env.json(&["--network", "lab", "show", "phone"])["address4"], "10.67.0.30");
    assert_eq!(env.json(&["--network", "office", "show", "phone"])["address4"], "10.66.0.30");
    let file = env.run(&["--network", "lab", "generate", "phone"]);
    assert!(file.contains("10.67.0.0/24") && !file.contains("10.66."), "{file}");
    env.ok(&["--network", "lab", "network", "set", "name=labor"]);
    env.ok(&["--network", "labor", "list"]);
}

#[test]
fn two_networks_with_the_same_lan_share_no_host() {
    let env = env();
    let lan = ["--lan", "192.168.1.0/24"];
    env.ok(&[&["--network", "office", "add", "router", "one"][..], &lan].concat());
    env.ok(&[&["--network", "lab", "add", "router", "one"][..], &lan].concat());
    assert_snapshot!(env.run(&["--network", "lab", "set", "hub", "host=shared"]), @"
    --- stderr ---
    error: on the host `shared`, `hub` of the network `lab` has 192.168.1.0/24 and `hub` of the network `office` has 192.168.1.0/24, which overlap: packets would go by one of the two alone. Give one of the networks or LANs another prefix, or one of the nodes another host
    [exit 1]
    ");
    assert_eq!(env.json(&["--network", "lab", "show", "hub"])["host"], serde_json::Value::Null);
    env.ok(&["--network", "lab", "set", "one", "lan-=192.168.1.0/24", "lan+=192.168.2.0/24"]);
    env.ok(&["--network", "lab", "set", "hub", "host=shared"]);
    let refused = |arguments: &[&str], why: &str| {
        let said = env.run(arguments);
        assert!(said.contains(why) && said.contains("`office`") && said.contains("`lab`"), "{arguments:?}: {said}");
    };
    refused(&["--network", "lab", "set", "one", "lan+=192.168.1.128/25"], "192.168.1.128/25");
    refused(&["--network", "lab", "network", "set", "interface=wg0"], "both have the interface wg0");
    refused(&["--network", "lab", "network", "set", "cidr=10.66.0.0/16"], "10.66.0.0/16");
    refused(&["--network", "lab", "set", "hub", "port=51820"], "both listen on port 51820");
    refused(&["--network", "office", "add", "router", "two", "--lan", "192.168.2.0/25"], "192.168.2.0/25");
    // Two networks may serve a LAN that the host itself is in.
    env.ok(&["--network", "office", "set", "hub", "lan+=192.168.9.0/24"]);
    env.ok(&["--network", "lab", "set", "hub", "lan+=192.168.9.0/24"]);
    refused(&["--network", "office", "set", "hub", "lan+=192.168.2.128/25"], "192.168.2.128/25");
    // The host can't go while either of them lives there.
    assert_snapshot!(env.run(&["--network", "lab", "host", "remove", "shared", "--yes"]), @"
    --- stderr ---
    error: the host `shared` is still used by other networks: `hub` of `office`
     hint: `wg-friend list --network=office` shows the nodes of one
    [exit 1]
    ");
}

#[test]
fn the_history_is_one_and_each_network_goes_back_by_itself() {
    let env = env();
    env.ok(&["--network", "lab", "add", "remote", "phone"]);
    env.ok(&["--network", "office", "add", "remote", "tablet"]);
    let states = env.json(&["history"]);
    let lines: Vec<&str> =
        states["states"].as_array().unwrap().iter().map(|state| state["description"].as_str().unwrap()).collect();
    assert_snapshot!(lines.join("\n"), @"
    office: added remote tablet
    lab: added remote phone
    lab: added server hub
    office: hub: host none → shared
    added host shared
    added network lab
    added server hub
    made the network office
    ");
    let shown =
        |network: &str, state: &str| env.json(&["--network", network, "history", "show", state])["changes"].clone();
    assert_eq!(shown("lab", "7")[0]["name"], "phone");
    assert_eq!(shown("office", "7"), serde_json::json!([]), "that was the other one");
    assert_eq!(shown("lab", "3")[0]["what"], "network");
    assert!(
        env.run(&["--network", "lab", "history", "show", "2"]).contains("the network `lab` wasn't there at state 2")
    );
    env.ok(&["--network", "lab", "rollback", "--model=6", "--yes"]);
    assert_eq!(env.json(&["--network", "lab", "list"])["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(env.json(&["--network", "office", "list"])["nodes"].as_array().unwrap().len(), 2);
    env.ok(&["audit", "verify"]);
}

#[test]
fn a_network_is_removed_with_its_nodes_when_that_is_said() {
    let env = env();
    assert_snapshot!(env.run(&["network", "remove", "lab", "--yes"]), @"
    --- stderr ---
    error: the network `lab` has nodes: hub
     hint: `wg-friend network remove lab --force` removes them with it; nothing brings them back
    [exit 1]
    ");
    assert!(env.run(&["network", "remove", "lab", "--force"]).contains("give it with --yes"));
    assert_snapshot!(env.run(&["network", "remove", "lab", "--force", "--dry-run"]), @"
    --- stderr ---
    - removed network lab  10.67.0.0/24  fd00:67::/64  wg1 port 51821
    - removed hub
    dry run: nothing was changed
    ");
    env.ok(&["network", "remove", "lab", "--force", "--yes"]);
    env.ok(&["list"]);
    assert_snapshot!(env.run(&["network", "remove", "office", "--force", "--yes"]), @"
    --- stderr ---
    error: `office` is the only network of this database
     hint: remove the database file if nothing of it is needed any more
    [exit 1]
    ");
}

#[test]
fn no_two_networks_have_names_that_are_the_same_to_people() {
    let env = env();
    assert_snapshot!(env.run(&["--network", "office", "network", "set", "name=LAB"]), @"
    --- stderr ---
    error: there is already another network called `LAB`
    [exit 1]
    ");
    env.ok(&["--network", "office", "network", "set", "name=OFFICE"]);
    env.ok(&["--network", "office", "add", "remote", "phone"]);
    // Where another one has taken the name meanwhile, what goes back to before a renaming keeps its present one.
    let before = env.json(&["--network", "lab", "history", "--limit", "1"])["states"][0]["number"].to_string();
    env.ok(&["--network", "lab", "network", "set", "name=laboratory"]);
    env.ok(&["--network", "laboratory", "add", "remote", "tablet"]);
    env.ok(&["network", "add", "Lab"]);
    env.ok(&["--network", "laboratory", "rollback", "--model", &before, "--yes"]);
    let list = env.json(&["network", "list"]);
    let of = |at: usize| (list["networks"][at]["name"].clone(), list["networks"][at]["nodes"].clone());
    assert_eq!(
        [of(0), of(1), of(2)],
        [("OFFICE".into(), 2.into()), ("laboratory".into(), 1.into()), ("Lab".into(), 0.into())]
    );
}

#[test]
fn what_follows_each_change_does_not_lose_its_network() {
    let env = env();
    env.ok(&["--network", "office", "host", "set", "shared", "auto-sync=on-change"]);
    env.ok(&["--network", "office", "network", "set", "name=home"]);
    env.ok(&["--network", "home", "network", "add", "third"]);
    env.ok(&["--network", "third", "network", "remove", "third", "--yes"]);
}

#[test]
fn a_network_that_is_not_there_is_told_of_once_it_is_needed() {
    let env = env();
    env.ok(&["--network", "shop", "network", "list"]);
    env.ok(&["--network", "shop", "network", "add", "shop"]);
    assert_snapshot!(env.run(&["--network", "shops", "list"]), @"
    --- stderr ---
    error: there is no network `shops`: the database has `office`, `lab`, `shop`
     hint: `wg-friend network list` tells more of them, `wg-friend network add NAME` makes another one
    [exit 2]
    ");
}

#[test]
fn the_switches_of_exits_are_those_of_one_network() {
    let env = env();
    for network in ["office", "lab"] {
        env.ok(&["--network", network, "add", "exit", "exit-de", "--endpoint", "192.0.2.20"]);
        env.ok(&["--network", network, "exit", "group", "add", "europe", "exit-de"]);
    }
    let history = env.json(&["--network", "lab", "exit", "history"]);
    assert_eq!(history["switches"].as_array().unwrap().len(), 1, "{history:#}");
    env.ok(&["--network", "lab", "exit", "group", "remove", "europe", "--yes"]);
    let history = env.json(&["--network", "office", "exit", "history"]);
    assert_eq!(history["switches"].as_array().unwrap().len(), 1, "{history:#}");
}
