//! Groups of exits, who leaves by which, and the switch, as a person works with them.

use insta::assert_snapshot;

use crate::env::TestEnv;

/// The usual network with a second exit and a group of both.
fn network() -> TestEnv {
    let env = TestEnv::with_nodes();
    env.ok(&["add", "exit", "exit-nl", "--endpoint", "203.0.113.10"]);
    env.ok(&["exit", "group", "add", "europe", "exit-de=10", "exit-nl=20"]);
    env
}

#[test]
fn a_group_is_made_shown_changed_and_removed() {
    let env = network();
    assert_snapshot!(env.run(&["exit", "group", "set", "europe", "exits-=exit-nl"]), @"
    --- stderr ---
    ~ changed exit group europe
        europe  exits  exit-de=10, exit-nl=20 → exit-de=10
    ");
    env.ok(&["exit", "group", "set", "europe", "exits+=exit-nl", "name=eu"]);
    let group = env.json(&["exit", "group", "show", "eu"]);
    assert_eq!((&group["active"], &group["reason"]), (&"exit-de".into(), &"initial_assignment".into()));
    let members = group["members"].as_array().unwrap();
    assert_eq!((&members[1]["exit"], &members[1]["priority"]), (&"exit-nl".into(), &100.into()));
    assert_eq!(env.json(&["exit", "group", "list"])["groups"][0], group);
    env.ok(&["exit", "assign", "alice-phone", "eu"]);
    assert_snapshot!(env.run(&["exit", "group", "remove", "eu", "--yes"]), @"
    --- stderr ---
    error: by the exit group `eu` leaves the internet traffic of alice-phone
     hint: give them another way first: `wg-friend exit assign alice-phone EXIT`, or `none`
    [exit 1]
    ");
    env.ok(&["exit", "assign", "alice-phone", "none"]);
    env.ok(&["exit", "group", "remove", "eu", "--yes"]);
    assert_eq!(env.json(&["exit", "group", "list"])["groups"].as_array().unwrap().len(), 0);
}

#[test]
fn what_a_group_cannot_be_is_refused_with_a_remedy() {
    let env = network();
    let tries: &[&[&str]] = &[
        &["exit", "group", "add", "exit-de", "exit-nl"],
        &["exit", "group", "add", "asia", "branch"],
        &["exit", "group", "add", "asia", "exit-nl=first"],
        &["exit", "group", "show", "erope"],
        &["exit", "group", "set", "europe", "exits-=branch"],
        &["exit", "failover", "europe", "exit-de", "--no-deploy"],
        &["add", "remote", "europe"],
        &["exit", "assign", "branch", "europe"],
        &["exit", "assign", "network", "network"],
        &["set", "network", "exit=branch"],
    ];
    let said: Vec<String> = tries.iter().map(|words| env.refused(words).trim_end().to_owned()).collect();
    assert_snapshot!(said.join("\n"), @"
    --- stderr ---
    error: the name `exit-de` is taken by the exit `exit-de`
     hint: choose another name
    [exit 1]
    --- stderr ---
    error: `branch` is a router, not an exit
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    --- stderr ---
    error: EXIT: `first` is no priority: a number up to 65535
    [exit 2]
    --- stderr ---
    error: there is no exit group named `erope`
     hint: did you mean `europe`?
    [exit 1]
    --- stderr ---
    error: `branch` is not in the exit group `europe`
     hint: `wg-friend exit group show europe` lists what is
    [exit 1]
    --- stderr ---
    error: the exit group `europe` goes by `exit-de` already; nothing was changed
     hint: `wg-friend deploy` takes it to servers that don't have it yet
    [exit 1]
    --- stderr ---
    error: the name `europe` is taken by the exit group `europe`
     hint: choose another name
    [exit 1]
    --- stderr ---
    error: exit: is for remotes, and `branch` is of role router
    [exit 2]
    --- stderr ---
    error: EXIT: the network has nobody to follow: give it an exit, a group or `none`
    [exit 2]
    --- stderr ---
    error: `branch` is a router, not an exit, an exit group or the server
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    ");
}

#[test]
fn a_failover_is_a_change_of_the_model_that_no_device_has_to_be_told() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "alice-laptop", "europe"]);
    let file = env.ok(&["generate", "alice-phone"]).stdout;
    let switched = env.json(&["exit", "failover", "europe", "--no-deploy"]);
    assert_eq!((&switched["from"], &switched["to"]), (&"exit-de".into(), &"exit-nl".into()));
    assert_eq!(switched["remotes"], serde_json::json!(["alice-phone", "alice-laptop"]));
    assert_eq!(env.ok(&["generate", "alice-phone"]).stdout, file);
    // Only the server's file changes: without a host, somebody has to take it there.
    assert_eq!(switched["change"]["new_files"], serde_json::json!(["hub"]));
    assert_snapshot!(env.run(&["can", "alice-phone", "internet"]).lines().take(3).collect::<Vec<_>>().join("\n"), @"
    yes  alice-phone (10.66.0.30) → 192.0.2.1, icmp
      there    alice-phone · wg0 → hub  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.30/32
               hub · wgx2 → exit-nl  AllowedIPs 0.0.0.0/0, accepted by 10.66.0.0/24
    ");
    let history = env.json(&["exit", "history"]);
    let reasons: Vec<&str> =
        history["switches"].as_array().unwrap().iter().filter_map(|s| s["reason"].as_str()).collect();
    assert_eq!(reasons, ["manual", "initial_assignment"]);
    // Back by a return of the model: that is history, too.
    env.ok(&["rollback", "--model", &(history["switches"][0]["state"].as_i64().unwrap() - 1).to_string(), "--yes"]);
    let back = &env.json(&["exit", "history", "europe", "--limit", "1"])["switches"][0];
    assert_eq!((&back["to"], &back["reason"]), (&"exit-de".into(), &"rolled_back".into()));
}

#[test]
fn the_network_has_an_exit_for_those_who_have_none_of_their_own() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "none"]);
    env.ok(&["set", "network", "exit=europe", "kill-switch=yes"]);
    let status = env.json(&["exit", "status"]);
    assert_eq!((&status["network"], &status["kill_switch"]), (&"europe".into(), &true.into()));
    let remotes: Vec<&str> = status["remotes"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(remotes, ["alice-laptop"]);
    for exit in ["exit-de", "exit-nl"] {
        env.ok(&["disable", exit]);
    }
    let blocked = &env.json(&["exit", "status"])["remotes"][0];
    assert_eq!((&blocked["leaves"], &blocked["by"]), (&"blocked".into(), &serde_json::Value::Null));
    let file = String::from_utf8(env.ok(&["generate", "alice-laptop"]).stdout).unwrap();
    assert!(file.contains("AllowedIPs = 0.0.0.0/0, ::/0"), "{file}");
    env.ok(&["set", "alice-laptop", "kill-switch=no"]);
    let file = String::from_utf8(env.ok(&["generate", "alice-laptop"]).stdout).unwrap();
    assert!(!file.contains("0.0.0.0/0"), "{file}");
    env.ok(&["set", "alice-laptop", "kill-switch=network", "exit=exit-de"]);
    assert_snapshot!(env.run(&["remove", "exit-de", "--yes"]), @"
    --- stderr ---
    error: the internet traffic of `alice-laptop` leaves by `exit-de` or, with its kill switch, not at all
     hint: give it another way first: `wg-friend exit assign alice-laptop EXIT`, or `none`
    [exit 1]
    ");
}

#[test]
fn an_exit_that_is_removed_leaves_its_group_which_goes_by_the_next() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "europe"]);
    env.ok(&["remove", "exit-de", "--yes"]);
    let group = env.json(&["exit", "group", "show", "europe"]);
    assert_eq!((&group["active"], &group["reason"]), (&"exit-nl".into(), &"member_removed".into()));
    let first = &env.json(&["exit", "history"])["switches"][0];
    assert_eq!((&first["from"], &first["to"]), (&"exit-de".into(), &"exit-nl".into()));
}

#[test]
fn a_server_that_does_not_answer_keeps_its_way_and_the_model_says_what_is_left_to_do() {
    let env = network();
    env.ok(&["host", "add", "hub", "root@127.0.0.1:1"]);
    env.ok(&["set", "hub", "host=hub"]);
    let text = env.run(&["exit", "failover", "europe", "--yes"]);
    assert!(text.ends_with("the model has the switch; `wg-friend deploy hub` takes it there\n[exit 4]\n"), "{text}");
    assert_eq!(env.json(&["exit", "group", "show", "europe"])["active"], "exit-nl");
    // Nobody to ask: nothing is changed.
    let text = env.refused(&["exit", "failover", "europe"]);
    assert!(text.contains("give it with --yes"), "{text}");
    assert_eq!(env.json(&["exit", "group", "show", "europe"])["active"], "exit-nl");
}

#[test]
fn what_the_internet_routes_to_an_exit_is_not_masqueraded() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "exit-de"]);
    env.ok(&["set", "exit-de", "routed=fd00:66::/64"]);
    assert_eq!(env.json(&["show", "exit-de"])["routed"], serde_json::json!(["fd00:66::/64"]));
    let said = env.run(&["can", "alice-phone", "internet"]);
    assert!(said.contains("if       the internet routes fd00:66::/64 to exit-de"), "{said}");
    assert_eq!(
        said.matches("as the node's own address (NAT)").count(),
        1,
        "of two families one is masqueraded: {said}"
    );
    let text = env.refused(&["set", "exit-de", "routed+=2001:db8::/64"]);
    assert!(text.contains("lies neither in the network nor in an advertised LAN"), "{text}");
    let text = env.refused(&["set", "branch", "routed=fd00:66::/64"]);
    assert!(text.contains("is for exits, and `branch` is of role router"), "{text}");
    env.ok(&["set", "exit-de", "routed-=fd00:66::/64"]);
    assert!(env.json(&["show", "exit-de"]).get("routed").is_none());
}
