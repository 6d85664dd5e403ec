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
        europe  exits  - exit-nl=20
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
fn the_last_exit_of_a_group_is_not_removed_while_somebody_leaves_by_it_or_not_at_all() {
    let env = TestEnv::with_nodes();
    env.ok(&["exit", "group", "add", "europe", "exit-de"]);
    env.ok(&["set", "network", "exit=europe", "kill-switch=yes"]);
    assert_snapshot!(env.refused(&["remove", "exit-de", "--yes"]), @"
    --- stderr ---
    error: the internet traffic of `alice-phone` leaves by the exit group `europe` or not at all, and `exit-de` is the last exit that the group can use
     hint: give the group another exit first: `wg-friend exit group set europe exits+=EXIT`; or the device another way: `wg-friend exit assign alice-phone EXIT`, or `none`
    [exit 1]
    ");
    // With another exit, or without the kill switch, it goes; and it is said what that means.
    env.ok(&["set", "network", "kill-switch=no"]);
    let said = env.run(&["remove", "exit-de", "--dry-run"]);
    assert_snapshot!(said.lines().find(|line| line.contains("note:")).unwrap(), @"  note: the exit group `europe` has no exit left that can be used; internet traffic now by the device's own connection: alice-phone, alice-laptop");
    env.ok(&["set", "network", "kill-switch=yes"]);
    env.ok(&["add", "exit", "exit-nl", "--endpoint", "203.0.113.10"]);
    env.ok(&["exit", "group", "set", "europe", "exits+=exit-nl"]);
    env.ok(&["remove", "exit-de", "--yes"]);
}

#[test]
fn a_group_that_can_go_by_no_exit_any_more_is_told_with_those_who_leave_by_it() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "alice-laptop", "europe"]);
    env.ok(&["set", "alice-laptop", "kill-switch=yes"]);
    assert_snapshot!(env.run(&["disable", "exit-de"]), @"
    --- stderr ---
    - disabled exit exit-de  10.66.0.100  fd00:66::64  (disabled)
      needs a new file: hub
    ");
    assert_snapshot!(env.run(&["exit", "group", "set", "europe", "disable=exit-nl"]), @"
    --- stderr ---
    ~ changed exit group europe
        europe  exits  - exit-nl=20
        europe  exits  + exit-nl=20 (disabled)
      note: the exit group `europe` has no exit left that can be used; internet traffic now by the device's own connection: alice-phone; by none, because of the kill switch: alice-laptop
      needs a new file: hub, alice-phone
    ");
}

#[test]
fn each_time_that_a_group_goes_by_another_exit_is_history_with_its_reason() {
    let env = network();
    env.ok(&["exit", "group", "set", "europe", "disable=exit-de"]);
    env.ok(&["exit", "group", "set", "europe", "enable=exit-de"]);
    env.ok(&["disable", "exit-de"]);
    env.ok(&["disable", "exit-nl"]);
    env.ok(&["enable", "exit-nl"]);
    env.ok(&["remove", "exit-de", "--yes"]);
    let history = env.json(&["exit", "history", "europe"]);
    let line = |switch: &serde_json::Value| {
        let word = |key: &str| switch[key].as_str().unwrap_or("-").to_owned();
        format!("{} -> {}: {}", word("from"), word("to"), word("reason"))
    };
    let lines: Vec<String> = history["switches"].as_array().unwrap().iter().rev().map(line).collect();
    assert_snapshot!(lines.join("\n"), @"
    - -> exit-de: initial_assignment
    exit-de -> exit-nl: unusable
    exit-nl -> exit-de: usable_again
    exit-de -> exit-nl: unusable
    exit-nl -> -: unusable
    - -> exit-nl: usable_again
    ");
}

#[test]
fn another_name_for_an_exit_or_a_group_is_no_other_way() {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "europe"]);
    env.ok(&["set", "network", "exit=europe"]);
    env.ok(&["exit", "assign", "alice-laptop", "exit-nl"]);
    assert_snapshot!(env.run(&["exit", "group", "set", "europe", "name=eu"]), @"
    --- stderr ---
    ~ changed exit group europe
        eu  name  europe → eu
    ");
    assert_snapshot!(env.run(&["rename", "exit-nl", "exit-ams"]), @"
    --- stderr ---
    ~ renamed exit exit-ams  10.66.0.101  fd00:66::65
        name  exit-nl → exit-ams
    ");
    assert_snapshot!(env.run(&["exit", "group", "add", "empty"]), @"
    --- stderr ---
    + added exit group empty
    ");
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

/// The usual network with two exits and a group of both; alice's phone sends everything into the tunnel, her laptop doesn't.
fn with_rules() -> TestEnv {
    let env = network();
    env.ok(&["exit", "assign", "alice-phone", "exit-de"]);
    env.ok(&["exit", "rule", "add", "alice-phone", "198.51.100.0/24,2001:db8:51::/48", "europe"]);
    let more = ["--protocol", "tcp", "--port", "443,80", "--position", "1"];
    env.ok(&[&["exit", "rule", "add", "alice-phone", "203.0.113.0/24", "direct"], more.as_slice()].concat());
    env.ok(&["group", "add", "travellers", "alice-phone"]);
    env.ok(&["exit", "rule", "add", "travellers", "192.0.2.0/24", "block"]);
    env
}

#[test]
fn rules_are_added_listed_moved_and_removed() {
    let env = with_rules();
    assert_snapshot!(env.run(&["exit", "rule", "add", "alice-laptop", "192.0.2.7", "exit-nl", "--protocol", "tcp", "--port", "443"]), @"
    --- stderr ---
    ~ changed remote alice-laptop  10.66.0.31  fd00:66::1f
        exit-rules  none → 192.0.2.7/32 tcp 443 by exit-nl
      note: the tunnel of alice-laptop carries everything to 192.0.2.7/32 now, and what no rule fits ends at the server: `wg-friend exit rule add alice-laptop 192.0.2.7/32 direct` lets the rest out there
      needs a new file: hub, alice-laptop
    ");
    // Blocking some ports everywhere is no reason to carry everything.
    assert_snapshot!(env.run(&["exit", "rule", "add", "network", "internet", "block", "--protocol", "tcp", "--port", "25,465"]), @"
    --- stderr ---
    ~ changed the network
        exit-rules  none → internet tcp 25,465 block
      note: the tunnel of alice-laptop carries the network alone: what the device sends by its own connection isn't blocked
      needs a new file: hub
    ");
    assert_snapshot!(env.run(&["exit", "rule", "list"]), @"
    FOR           #  TO                                 PROTOCOL    LEAVES BY
    alice-laptop  1  192.0.2.7/32                       tcp 443     exit-nl
    alice-phone   1  203.0.113.0/24                     tcp 80,443  its server
    alice-phone   2  198.51.100.0/24, 2001:db8:51::/48  any         europe, now exit-de
    travellers    1  192.0.2.0/24                       any         nothing: it is blocked
    network       1  internet                           tcp 25,465  nothing: it is blocked
    ");
    let of_phone = env.json(&["exit", "rule", "list", "alice-phone"]);
    let places: Vec<String> =
        of_phone["rules"].as_array().unwrap().iter().map(|r| format!("{} {}", r["holder"], r["place"])).collect();
    assert_eq!(places, [r#""alice-phone" 1"#, r#""alice-phone" 2"#, r#""travellers" 1"#, r#""network" 1"#]);
    assert_eq!((&of_phone["rules"][1]["by"], &of_phone["rules"][1]["now"]), (&"europe".into(), &"exit-de".into()));
    assert_eq!(env.json(&["exit", "status"])["rules"].as_array().unwrap().len(), 5);

    env.ok(&["exit", "rule", "move", "alice-phone", "2", "1"]);
    assert_eq!(env.json(&["exit", "rule", "list", "alice-phone"])["rules"][0]["action"], "group");
    assert_snapshot!(env.run(&["exit", "rule", "add", "alice-phone", "198.51.100.7", "block"]), @"
    --- stderr ---
    ~ changed remote alice-phone  10.66.0.30  fd00:66::1e
        exit-rules  198.51.100.0/24,2001:db8:51::/48 by europe; 203.0.113.0/24 tcp 80,443 direct → 198.51.100.0/24,2001:db8:51::/48 by europe; 203.0.113.0/24 tcp 80,443 direct; 198.51.100.7/32 block
      note: rule 1 comes first and fits all of it, so this one never decides
      needs a new file: hub
    ");
    let before = env.json(&["history", "--limit", "1"])["states"][0]["number"].as_i64().unwrap();
    env.ok(&["exit", "rule", "remove", "alice-phone", "1", "3"]);
    env.ok(&["exit", "rule", "remove", "network", "--all"]);
    assert_eq!(env.json(&["exit", "rule", "list", "alice-phone"])["rules"].as_array().unwrap().len(), 2);
    // A return of the model brings rules back, in their order.
    env.ok(&["rollback", "--model", &before.to_string(), "--yes"]);
    let back = env.json(&["exit", "rule", "list", "alice-phone"]);
    let actions: Vec<&str> =
        back["rules"].as_array().unwrap().iter().filter_map(|rule| rule["action"].as_str()).collect();
    assert_eq!(actions, ["group", "direct", "block", "block", "block"]);
}

#[test]
fn who_asks_is_told_which_rule_decides() {
    let env = with_rules();
    let because = |to: &str| {
        let said = env.run(&["can", "alice-phone", to]);
        said.lines().find_map(|line| line.trim().strip_prefix("because  ").map(str::to_owned)).unwrap_or(said)
    };
    let answers = ["198.51.100.9", "203.0.113.7:443", "203.0.113.7:22", "192.0.2.9"].map(because);
    assert_snapshot!(answers.join("\n"), @"
    hub's firewall: by rule 2 of alice-phone (198.51.100.0/24,2001:db8:51::/48), the traffic of alice-phone leaves by exit-de (wgx1)
    hub's firewall: by rule 1 of alice-phone (203.0.113.0/24 tcp 80,443), the traffic of alice-phone leaves at the server itself
    hub's firewall: the internet traffic of alice-phone leaves by exit-de (wgx1)
    hub's firewall: by rule 1 of the group travellers (192.0.2.0/24), the traffic of alice-phone ends here: it is blocked, or its exit can't be used
    ");
}

#[test]
fn what_a_rule_cannot_be_is_refused_with_a_remedy() {
    let env = with_rules();
    let add = |words: &[&'static str]| [&["exit", "rule", "add"], words].concat();
    let tries: Vec<Vec<&str>> = vec![
        add(&["alice-phone", "10.66.0.9", "block"]),
        add(&["network", "192.168.10.0/25", "exit-de"]),
        add(&["network", "172.16.0.0/12", "exit-de"]),
        add(&["alice-phone", "192.0.2.0/24", "exit-d"]),
        add(&["alice-phone", "192.0.2.0/24", "hub"]),
        add(&["branch", "192.0.2.0/24", "direct"]),
        add(&["traveller", "192.0.2.0/24", "direct"]),
        add(&["alice-phone", "192.0.2.0/24", "direct", "--port", "80"]),
        add(&["alice-phone", "192.0.2.5/24", "direct"]),
        add(&["alice-phone", "192.0.2.0/24", "direct", "--position", "9"]),
        add(&["alice-phone", "2001:db8:51::/48,198.51.100.0/24", "block"]),
        vec!["exit", "rule", "remove", "alice-phone", "9"],
        vec!["exit", "rule", "remove", "alice-laptop", "--all"],
        vec!["exit", "rule", "move", "alice-phone", "1", "1"],
        vec!["exit", "group", "remove", "europe", "--yes"],
        vec!["set", "alice-phone", "access=exit-only"],
    ];
    let said: Vec<String> =
        tries.iter().map(|words| env.refused(words).trim_end().replace("--- stderr ---\n", "")).collect();
    assert_snapshot!(said.join("\n"), @"
    error: `alice-phone` has a rule for 10.66.0.9/32, which lies in the network's own 10.66.0.0/24: rules are for internet traffic, and grants say who may reach what inside
    [exit 1]
    error: the network has a rule for 192.168.10.0/25, which lies in the LAN 192.168.10.0/24 of `branch`: rules are for internet traffic, and grants say who may reach what inside
    [exit 1]
    error: the network has a rule for 172.16.0.0/12, which is no part of the internet: neither an exit nor the server lets anything out to there
    [exit 1]
    error: there is no node named `exit-d`
     hint: did you mean `exit-de` or `exit-nl`?
    [exit 1]
    error: `hub` is a server, not an exit, an exit group, `direct` (out at the server) or `block`
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    error: `branch` is a router, not a remote, a group of nodes or `network`
     hint: `wg-friend list` shows the role of each node
    [exit 1]
    error: there is no node named `traveller`
     hint: did you mean `travellers`?
    [exit 1]
    error: --port: needs `--protocol tcp` or `udp`, not any
    [exit 2]
    error: DESTINATION: `192.0.2.5/24` has host bits set: did you mean the network 192.0.2.0/24?
    [exit 2]
    error: --position: 9 is no place: `alice-phone` has places 1 to 3
    [exit 2]
    error: rule 2 of `alice-phone` fits just that already: 198.51.100.0/24,2001:db8:51::/48
     hint: remove that one first: `wg-friend exit rule remove alice-phone 2`
    [exit 1]
    error: `alice-phone` has no rule 9
     hint: `wg-friend exit rule list alice-phone` shows their places
    [exit 1]
    error: `alice-laptop` has no rules of its own; nothing was changed
    [exit 1]
    error: rule 1 of `alice-phone` stands there already; nothing was changed
    [exit 1]
    error: rule 2 of `alice-phone` goes by europe: 198.51.100.0/24,2001:db8:51::/48
     hint: remove the rule first: `wg-friend exit rule remove alice-phone 2`
    [exit 1]
    error: `alice-phone` has access exit-only and no server on its way, so that nobody could go by its rules: `wg-friend exit rule remove alice-phone --all`, or give it another access level
    [exit 1]
    ");
    env.ok(&["exit", "rule", "add", "alice-laptop", "192.0.2.7", "exit-nl"]);
    assert_snapshot!(env.run(&["remove", "exit-nl", "--yes"]), @"
    --- stderr ---
    error: rule 1 of `alice-laptop` goes by exit-nl: 192.0.2.7/32
     hint: remove the rule first: `wg-friend exit rule remove alice-laptop 1`
    [exit 1]
    ");
    env.ok(&["remove", "alice-laptop", "--yes"]);
    env.ok(&["remove", "exit-nl", "--yes"]);
}

#[test]
fn a_split_tunnel_carries_what_rules_name_and_the_file_follows() {
    let env = with_rules();
    let carried = || {
        let file = String::from_utf8(env.ok(&["generate", "alice-laptop"]).stdout).unwrap();
        file.lines().find_map(|line| line.strip_prefix("AllowedIPs = ").map(str::to_owned)).unwrap()
    };
    let alone = carried();
    let added = env.json(&["exit", "rule", "add", "alice-laptop", "192.0.2.7,2001:db8:7::/48", "exit-nl"]);
    assert_eq!(added["new_files"], serde_json::json!(["hub", "alice-laptop"]));
    assert_eq!(carried(), "10.66.0.0/24, 192.0.2.7/32, 192.168.10.0/24, 2001:db8:7::/48, fd00:66::/64");
    // One that sends everything needs no new file.
    let added = env.json(&["exit", "rule", "add", "alice-phone", "192.0.2.7", "exit-nl"]);
    assert_eq!(added["new_files"], serde_json::json!(["hub"]));
    env.ok(&["disable", "exit-nl"]);
    assert_eq!(carried(), alone);
    env.ok(&["set", "alice-laptop", "kill-switch=yes"]);
    assert!(carried().contains("192.0.2.7/32"));
    assert_eq!(env.json(&["exit", "rule", "list", "alice-laptop"])["rules"][0]["now"], serde_json::Value::Null);
}

#[test]
fn ports_of_a_rule_are_put_in_order_and_none_stands_twice() {
    let env = TestEnv::with_network();
    env.ok(&["add", "remote", "phone"]);
    env.ok(&["exit", "rule", "add", "phone", "internet", "block", "--protocol", "tcp", "--port", "443,22,20-30"]);
    let rules = env.run(&["exit", "rule", "list", "phone"]);
    assert!(rules.contains("20-30,443"), "{rules}");
}

#[test]
fn prefixes_routed_to_an_exit_may_hold_each_other_and_have_to_lie_within_the_network() {
    let env = TestEnv::with_network();
    env.ok(&["add", "exit", "exit-de", "--endpoint", "192.0.2.20"]);
    env.ok(&["set", "exit-de", "routed+=10.66.0.0/25", "routed+=10.66.0.0/26"]);
    let out = env.path().join("out");
    env.ok(&["generate", "exit-de", "--dir", &out.display().to_string()]);
    let rules = std::fs::read_to_string(out.join("exit-de/wgf-wg0.nft"))
        .or_else(|_| std::fs::read_to_string(out.join("wgf-wg0.nft")))
        .unwrap();
    assert!(rules.contains("10.66.0.0/25") && !rules.contains("10.66.0.0/26"), "{rules}");
    let wide = env.run(&["set", "exit-de", "routed=0.0.0.0/0"]);
    assert!(wide.contains("lies neither in the network nor in an advertised LAN"), "{wide}");
}
