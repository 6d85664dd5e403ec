//! Several servers, and direct links.

use insta::assert_snapshot;

use crate::env::TestEnv;

/// The nodes of most tests, and a second server with a router of its own.
fn env() -> TestEnv {
    let env = TestEnv::with_nodes();
    env.run(&["add", "server", "hub-us", "--endpoint", "us.example.com"]);
    env.run(&[
        "add",
        "router",
        "denver",
        "--server",
        "hub-us",
        "--lan",
        "192.168.30.0/24",
        "--endpoint",
        "denver.example.com",
    ]);
    env
}

#[test]
fn a_node_belongs_to_its_server_and_a_direct_link_is_drawn() {
    let env = env();
    assert_snapshot!(env.run(&["link", "branch", "denver"]), @"
    --- stderr ---
    + linked branch – denver
        branch – denver    link  none → weight 1
      to deploy: branch
      needs a new file: denver
      next: `wg-friend plan`
    ");
    assert_snapshot!(env.run(&["topology"]), @"
    office  10.66.0.0/24 · fd00:66::/64 · wg0
    ├─ ● hub  server · 10.66.0.1, fd00:66::1 · at vpn.example.com:51820
    │  ├─ ● branch  router · 10.66.0.20, fd00:66::14 · host branch · LAN 192.168.10.0/24 (branch LAN)
    │  ├─ ● exit-de  exit · 10.66.0.100, fd00:66::64 · at 203.0.113.9:51820
    │  ├─ ● alice-laptop  remote · 10.66.0.31, fd00:66::1f · full
    │  └─ ● alice-phone  remote · 10.66.0.30, fd00:66::1e · full
    └─ ● hub-us  server · 10.66.0.2, fd00:66::2 · at us.example.com:51820
       └─ ● denver  router · 10.66.0.21, fd00:66::15 · at denver.example.com:51820 · LAN 192.168.30.0/24
    branch ⇄ denver  direct link, weight 1
    ");
    assert_eq!(env.json(&["show", "branch"])["server"], "hub");
    let links = env.json(&["show", "denver"])["links"].clone();
    let told: Vec<(&str, Option<u64>)> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| (link["peer"].as_str().unwrap(), link["weight"].as_u64()))
        .collect();
    assert_eq!(told, [("branch", Some(1)), ("hub-us", None)]);
    let file = env.run(&["generate", "branch"]);
    assert!(file.contains("# denver") && file.contains("192.168.30.0/24"), "{file}");
    assert_snapshot!(env.run(&["unlink", "branch", "denver"]), @"
    --- stderr ---
    - unlinked branch – denver
        branch – denver    link  weight 1 → none
      to deploy: branch
      needs a new file: denver
      next: `wg-friend plan`
    ");
    assert_eq!(env.json(&["topology"])["links"], serde_json::json!([]));
}

#[test]
fn links_between_servers_have_a_weight_and_stay() {
    let env = env();
    assert_snapshot!(env.refused(&["unlink", "hub", "hub-us"]), @"
    --- stderr ---
    error: `hub` and `hub-us` are servers of one network, which are always linked
     hint: `wg-friend link hub hub-us --weight 100` makes other ways cheaper
    [exit 1]
    ");
    assert_snapshot!(env.run(&["link", "hub", "hub-us", "--weight", "5"]), @"
    --- stderr ---
    ~ changed hub – hub-us
        hub – hub-us    link  weight 1 → weight 5
    ");
    assert_snapshot!(env.run(&["unlink", "hub", "hub-us"]), @"
    --- stderr ---
    ~ changed hub – hub-us
        hub – hub-us    link  weight 5 → weight 1
      note: `hub` and `hub-us` stay linked, as all servers are, with weight 1
    ");
}

#[test]
fn what_cannot_be_linked_is_refused() {
    let env = env();
    assert_snapshot!(env.refused(&["link", "branch", "hub"]), @"
    --- stderr ---
    error: `branch` and `hub` are linked already: one belongs to the other
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["unlink", "branch", "hub"]), @"
    --- stderr ---
    error: `branch` belongs to `hub`
     hint: `wg-friend set branch server=NAME` gives it another one, `wg-friend disable branch` takes it out
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["link", "branch", "branch"]), @"
    --- stderr ---
    error: `branch` is named twice, and nothing is linked to itself
     hint: name each node once: `wg-friend link A B`
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["link", "branch", "exit-de"]), @"
    --- stderr ---
    error: `branch` and `exit-de` can't be linked: an exit only carries internet traffic. Use `wg-friend set NODE exit=NAME`, with access exit-only for a direct link
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["link", "branch", "denver", "--weight", "0"]), @"
    --- stderr ---
    error: invalid value '0' for '--weight <NUMBER>': `0` is no weight of a link: expected 1 (preferred) to 1000

    For more information, try '--help'.
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["unlink", "branch", "denver"]), @"
    --- stderr ---
    error: `branch` and `denver` have no link of their own
     hint: `wg-friend topology` shows the links that somebody made
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["remove", "hub-us", "--yes"]), @"
    --- stderr ---
    error: `denver` belongs to the server `hub-us`
     hint: give it another one first: `wg-friend set denver server=NAME`, or `none` for the first
    [exit 1]
    ");
    assert_snapshot!(env.refused(&["disable", "hub-us"]), @"
    --- stderr ---
    error: `denver` belongs to the server `hub-us`, which is disabled: `wg-friend set denver server=NAME` another, or enable it
    [exit 1]
    ");
}

#[test]
fn a_link_comes_back_with_the_state_that_had_it() {
    let env = env();
    env.run(&["link", "branch", "denver", "--weight", "2"]);
    let state = env.json(&["history"])["states"][0]["number"].as_i64().unwrap().to_string();
    env.run(&["link", "branch", "denver", "--weight", "7"]);
    env.run(&["unlink", "branch", "denver"]);
    env.run(&["rollback", "--model", &state, "--yes"]);
    assert_eq!(
        env.json(&["topology"])["links"],
        serde_json::json!([{ "nodes": ["branch", "denver"], "weight": 2, "when_down": "stay" }])
    );
}

/// The command that links the two routers.
fn link_both<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["link", "branch", "denver"], options].concat()
}

#[test]
fn a_link_gives_way_where_hosts_at_both_ends_can_watch_it() {
    let env = env();
    assert_snapshot!(env.refused(&link_both(&["--when-down", "move"])), @"
    --- stderr ---
    error: the link between `denver` and `branch` is to give way when it is down, but `denver` is on no host that could watch it: `wg-friend set denver host=HOST`, or `wg-friend link denver branch --when-down stay`
    [exit 1]
    ");
    env.run(&["host", "add", "denver", "root@denver.example.com"]);
    env.run(&["set", "denver", "host=denver"]);
    assert_snapshot!(env.run(&link_both(&["--when-down", "move", "--weight", "2"])), @"
    --- stderr ---
    + linked branch – denver
        branch – denver    link  none → weight 2, moves when down
      to deploy: branch, denver
      next: `wg-friend plan`
    ");
    assert_snapshot!(env.refused(&link_both(&["--when-down", "move"])), @"
    --- stderr ---
    error: `branch` and `denver` are linked with weight 2 and give way when the link is down already
    [exit 1]
    ");
    let topology = env.run(&["topology"]);
    assert!(topology.contains("branch ⇄ denver  direct link, weight 2, moves to the servers when down"), "{topology}");
    let shown = env.run(&["show", "branch"]);
    assert!(shown.contains("made, weight 2, moves when down"), "{shown}");
    let state = env.json(&["history"])["states"][0]["number"].as_i64().unwrap().to_string();
    assert_snapshot!(env.run(&link_both(&["--when-down", "stay"])), @"
    --- stderr ---
    ~ changed branch – denver
        branch – denver    link  weight 2, moves when down → weight 2
      to deploy: branch, denver
      next: `wg-friend plan`
    ");
    env.run(&["rollback", "--model", &state, "--yes"]);
    let links = env.json(&["topology"])["links"].clone();
    assert_eq!(links, serde_json::json!([{ "nodes": ["branch", "denver"], "weight": 2, "when_down": "move" }]));
    assert_snapshot!(env.refused(&link_both(&["--when-down", "perhaps"])), @"
    --- stderr ---
    error: invalid value 'perhaps' for '--when-down <WHAT>': `perhaps` is no choice for a link that is down: expected one of stay, move

    For more information, try '--help'.
    [exit 2]
    ");
    assert_snapshot!(env.refused(&["link", "hub", "hub-us", "--when-down", "move"]), @"
    --- stderr ---
    error: the link between `hub` and `hub-us` is to give way when it is down, but it carries others' traffic too, since a server is one of its ends: `wg-friend link hub hub-us --when-down stay`
    [exit 1]
    ");
}

#[test]
fn a_server_goes_together_with_the_nodes_that_belong_to_it() {
    let env = TestEnv::with_network();
    env.ok(&["add", "server", "second", "--endpoint", "192.0.2.30"]);
    env.ok(&["add", "exit", "exit-de", "--endpoint", "192.0.2.20"]);
    env.ok(&["add", "remote", "carol", "--exit", "exit-de", "--server", "second"]);
    env.ok(&["remove", "second", "exit-de", "carol", "--yes"]);
    assert_eq!(env.json(&["list"])["nodes"].as_array().unwrap().len(), 1);
}
