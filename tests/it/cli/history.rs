//! The history of the model, and the way back to an earlier state.

use crate::env::{TestEnv, filters};

/// A network in which a few things have happened. State 1 is the network, 2 its server.
fn changed() -> TestEnv {
    let env = TestEnv::with_network();
    env.ok(&["add", "router", "branch", "--lan", "192.168.10.0/24=branch LAN", "--ssh", "root@192.0.2.4"]);
    env.ok(&["add", "remote", "alice-phone", "alice-laptop"]);
    env.ok(&["set", "alice-phone", "access=vpn-only", "notes=hers"]);
    env.ok(&["rename", "alice-laptop", "bob-laptop"]);
    env.ok(&["rotate", "alice-phone", "--reason", "phone lost"]);
    env.ok(&["remove", "bob-laptop", "--yes"]);
    env
}

#[test]
fn what_is_gone_has_its_name_in_the_history_of_others() {
    let env = TestEnv::with_network();
    env.ok(&["add", "server", "hub-us", "--endpoint", "us.example.com"]);
    env.ok(&["add", "remote", "bob", "nas"]);
    env.ok(&["group", "add", "printers", "nas"]);
    env.ok(&["grant", "bob", "nas", "tcp", "445"]);
    env.ok(&["grant", "bob", "printers", "tcp", "631"]);
    env.ok(&["set", "bob", "server=hub-us"]);
    env.ok(&["set", "bob", "server=none"]);
    env.ok(&["remove", "nas", "hub-us", "--yes"]);
    env.ok(&["group", "remove", "printers", "--yes"]);
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["history", "bob"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    11     [TIME]  tester    grant printers tcp 631 → none
    10     [TIME]  tester    grant nas tcp 445, printers tcp 631 → printers tcp 631
    9      [TIME]  tester    server hub-us → none
    8      [TIME]  tester    server none → hub-us
    7      [TIME]  tester    grant nas tcp 445 → nas tcp 445, printers tcp 631
    6      [TIME]  tester    grant none → nas tcp 445
    4      [TIME]  tester    added remote bob, nas
    ");
}

#[test]
fn every_change_is_a_state_with_its_time_and_operator() {
    let env = changed();
    env.ok(&["generate", "--dir", &env.path().join("out").display().to_string()]); // makes no state
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["history"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    8      [TIME]  tester    removed remote bob-laptop
    7      [TIME]  tester    new key for alice-phone (phone lost)
    6      [TIME]  tester    renamed alice-laptop to bob-laptop
    5      [TIME]  tester    alice-phone: access full → vpn-only, notes none → hers
    4      [TIME]  tester    added remote alice-phone, alice-laptop
    3      [TIME]  tester    added router branch
    2      [TIME]  tester    added server hub
    1      [TIME]  tester    made the network office
    ");
    insta::assert_snapshot!(env.run(&["history", "--limit", "1"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    8      [TIME]  tester    removed remote bob-laptop
    ");
    assert_eq!(env.run(&["history", "--since", "2999-01-01"]), "nothing was changed since then\n");
    assert!(env.run(&["history", "--since", "soon"]).contains("--since: `soon` is no time"));
}

#[test]
fn a_node_has_a_history_of_its_own_whatever_it_was_called() {
    let env = changed();
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["history", "alice-phone"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    7      [TIME]  tester    key [KEY] → [KEY]
    5      [TIME]  tester    access full → vpn-only, notes none → hers
    4      [TIME]  tester    added remote alice-phone, alice-laptop
    ");
    insta::assert_snapshot!(env.run(&["history", "bob-laptop"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    8      [TIME]  tester    removed remote bob-laptop
    6      [TIME]  tester    name alice-laptop → bob-laptop
    4      [TIME]  tester    added remote alice-phone, alice-laptop
    ");
    assert_eq!(env.run(&["history", "alice-laptop"]), env.run(&["history", "bob-laptop"]));
    insta::assert_snapshot!(env.run(&["history", "alice-fone"]), @"
    --- stderr ---
    error: there is no node named `alice-fone`
     hint: did you mean `alice-phone`?
    [exit 1]
    ");
}

#[test]
fn an_exit_added_tells_its_servers_of_an_uplink_and_of_nothing_else() {
    let env = TestEnv::with_network();
    env.ok(&["add", "exit", "exit-de", "--endpoint", "192.0.2.9"]);
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["history", "hub", "--limit", "1"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    3      [TIME]  tester    uplink to exit-de none → wgx1 port 51821 key [KEY]
    ");
}

#[test]
fn a_state_can_be_shown_and_compared_with_another() {
    let env = changed();
    let _guard = filters();
    insta::assert_snapshot!(env.run(&["history", "show", "4"]), @"
    state 4
      when: [TIME]
      who:  tester
      what: added remote alice-phone, alice-laptop
      log:  audit entry 5

    + alice-phone
        role       remote
        address    10.66.0.30, fd00:66::1e
        interface  wg0
        key        [KEY]
    + alice-laptop
        role       remote
        address    10.66.0.31, fd00:66::1f
        interface  wg0
        key        [KEY]
    ");
    insta::assert_snapshot!(env.run(&["history", "diff", "3", "8"]), @"
    + alice-phone
        role       remote
        address    10.66.0.30, fd00:66::1e
        interface  wg0
        key        [KEY]
        access     vpn-only
        notes      hers
    ");
    insta::assert_snapshot!(env.run(&["history", "diff", "5"]), @"
    ~ alice-phone
        key  [KEY] → [KEY]
    - alice-laptop
        role       remote
        address    10.66.0.31, fd00:66::1f
        interface  wg0
        key        [KEY]
    ");
    assert_eq!(env.run(&["history", "diff", "8", "8"]), "state 8 is like state 8\n");
    insta::assert_snapshot!(env.run(&["history", "diff", "3", "99"]), @"
    --- stderr ---
    error: there is no state 99: the newest is 8
     hint: `wg-friend history` lists them
    [exit 1]
    ");
    insta::assert_snapshot!(env.run(&["history", "show", "0"]), @"
    --- stderr ---
    error: there is no state 0: the newest is 8
     hint: `wg-friend history` lists them
    [exit 1]
    ");
}

#[test]
fn the_history_needs_no_passphrase_and_holds_no_secret() {
    let env = changed();
    let secret = |line: &&str| line.starts_with("PrivateKey") || line.starts_with("PresharedKey");
    let files = String::from_utf8(env.ok(&["generate", "hub", "alice-phone"]).stdout).unwrap();
    let secrets: Vec<&str> = files.lines().filter(secret).filter_map(|line| line.split(" = ").nth(1)).collect();
    assert!(secrets.len() > 3, "{files}");
    let all: [&[&str]; 6] = [
        &["history"],
        &["history", "alice-phone"],
        &["history", "show", "4"],
        &["history", "diff", "1", "8"],
        &["history", "diff", "8", "1"],
        &["history", "bob-laptop"],
    ];
    for arguments in all {
        for arguments in [arguments.to_vec(), [arguments, &["--json"]].concat()] {
            let output = env.command(&arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
            assert!(output.status.success(), "{arguments:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(!text.is_empty() && secrets.iter().all(|secret| !text.contains(secret)), "{arguments:?}");
        }
    }
}

#[test]
fn the_documents_of_the_history_hold_what_the_tables_show() {
    let env = changed();
    let log = env.json(&["history"]);
    assert_eq!(log["states"].as_array().unwrap().len(), 8);
    assert_eq!(log["states"][0]["number"], 8);
    assert_eq!(log["states"][0]["operator"], "tester");
    assert_eq!(log["states"][0]["source"], "cli");
    let entry = log["states"][2]["audit_entry"].as_i64().unwrap();
    let audit = env.json(&["audit", "log", "--limit", "1000"]);
    let told = audit["entries"].as_array().unwrap().iter().find(|e| e["id"] == entry).unwrap();
    assert_eq!(told["details"]["name"], "bob-laptop");
    let about = env.json(&["history", "alice-phone"]);
    assert_eq!(about["states"][0]["changes"][0]["fields"][0]["field"], "key");
    assert_eq!(about["versions"], serde_json::json!([]));
    let diff = env.json(&["history", "diff", "4", "5"]);
    assert_eq!((&diff["from"], &diff["to"]), (&4.into(), &5.into()));
    assert_eq!(diff["changes"][0]["what"], "node");
    assert_eq!(diff["changes"][0]["how"], "changed");
    assert_eq!(
        diff["changes"][0]["fields"][0],
        serde_json::json!({ "field": "access", "before": "full", "after": "vpn-only" })
    );
}

#[test]
fn the_model_comes_back_and_the_keys_stay() {
    let env = changed();
    let before = env.json(&["topology"]);
    let key = env.json(&["show", "alice-phone"])["public_key"].clone();
    let _guard = filters();
    insta::assert_snapshot!(env.refused(&["rollback", "--model", "4"]), @"
    --- stderr ---
    ~ alice-phone
        access  vpn-only → full
        notes   hers → none
    + alice-laptop
        role       remote
        address    10.66.0.31, fd00:66::1f
        interface  wg0
        key        [KEY]
      note: the key that it had at state 4 was retired since and isn't brought back, the present one stays: `alice-phone`
      note: back with the key it had when it was removed: `alice-laptop`; if the device was lost, give it another: `wg-friend rotate NAME --now`
      needs a new file: hub, alice-phone, alice-laptop
    error: a confirmation is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    insta::assert_snapshot!(env.run(&["rollback", "--model", "4", "--dry-run"]), @"
    ~ alice-phone
        access  vpn-only → full
        notes   hers → none
    + alice-laptop
        role       remote
        address    10.66.0.31, fd00:66::1f
        interface  wg0
        key        [KEY]
    --- stderr ---
      note: the key that it had at state 4 was retired since and isn't brought back, the present one stays: `alice-phone`
      note: back with the key it had when it was removed: `alice-laptop`; if the device was lost, give it another: `wg-friend rotate NAME --now`
      needs a new file: hub, alice-phone, alice-laptop
    dry run: nothing was changed
    ");
    assert_eq!(env.json(&["topology"]), before, "a dry run changes nothing");
    insta::assert_snapshot!(env.run(&["rollback", "--model", "4", "--yes"]), @"
    --- stderr ---
    ~ alice-phone
        access  vpn-only → full
        notes   hers → none
    + alice-laptop
        role       remote
        address    10.66.0.31, fd00:66::1f
        interface  wg0
        key        [KEY]
      note: the key that it had at state 4 was retired since and isn't brought back, the present one stays: `alice-phone`
      note: back with the key it had when it was removed: `alice-laptop`; if the device was lost, give it another: `wg-friend rotate NAME --now`
      needs a new file: hub, alice-phone, alice-laptop
    the model is as at state 4 again; that is state 9
    ");
    let phone = env.json(&["show", "alice-phone"]);
    assert_eq!((&phone["access"], &phone["public_key"]), (&"full".into(), &key), "the key that was lost is not back");
    let laptop = String::from_utf8(env.ok(&["generate", "alice-laptop"]).stdout).unwrap();
    assert!(laptop.contains("PrivateKey = ") && laptop.contains("PresharedKey = "), "{laptop}");
    insta::assert_snapshot!(env.run(&["history", "--limit", "1"]), @"
    STATE  TIME                 OPERATOR  CHANGE
    9      [TIME]  tester    back to state 4
    ");
    insta::assert_snapshot!(env.run(&["audit", "log", "--action", "model_rolled_back"]), @"
    #   TIME                 OPERATOR  ACTION             ABOUT   DETAILS
    11  [TIME]  tester    model_rolled_back  office  changes=3, state=4
    ");
    assert!(env.run(&["audit", "verify"]).contains("in order"));
    insta::assert_snapshot!(env.refused(&["rollback", "--model", "4", "--yes"]), @"
    --- stderr ---
    error: the model is like at state 4 already, but for keys replaced since, which stay so; nothing was changed
    [exit 1]
    ");
    insta::assert_snapshot!(env.refused(&["rollback", "--model", "40", "--yes"]), @"
    --- stderr ---
    error: there is no state 40: the newest is 9
     hint: `wg-friend history` lists them
    [exit 1]
    ");

    // And forth again: whatever was, is.
    let rolled = env.json(&["rollback", "--model", "8", "--yes"]);
    assert_eq!((&rolled["to"], &rolled["state"], &rolled["saved"]), (&8.into(), &10.into(), &true.into()));
    assert_eq!(env.json(&["topology"]), before);
}

#[test]
fn a_laptop_that_comes_back_has_the_file_it_had() {
    let env = TestEnv::with_nodes();
    let file = env.ok(&["generate", "alice-laptop"]).stdout;
    let state = env.json(&["history"])["states"][0]["number"].to_string();
    env.ok(&["remove", "alice-laptop", "--yes"]);
    env.ok(&["vault", "rekey", "--yes"]);
    env.ok(&["rollback", "--model", &state, "--yes"]);
    assert_eq!(env.ok(&["generate", "alice-laptop"]).stdout, file);
}

#[test]
fn every_state_can_be_returned_to_also_the_one_without_a_server() {
    let env = changed();
    env.ok(&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"]);
    env.ok(&["set", "alice-phone", "exit=exit-de"]);
    env.ok(&["host", "set", "branch", "name=branch2", "jump=hub.example"]);
    env.ok(&["set", "network", "cidr=10.77.0.0/24"]);
    env.ok(&["remove", "hub", "--yes"]);
    let newest = env.json(&["history"])["states"][0]["number"].as_i64().unwrap();
    assert_eq!(newest, 13);
    let last = env.json(&["topology"]);
    for state in (1..newest).rev() {
        if state == 6 {
            let refused = env.refused(&["rollback", "--model", "6", "--yes"]); // from 7, which replaced a key
            assert!(refused.contains("like at state 6 already, but for keys replaced since"), "{refused}");
            continue;
        }
        env.ok(&["rollback", "--model", &state.to_string(), "--yes"]);
        let back = env.json(&["history"])["states"][0]["number"].to_string();
        let diff = env.json(&["history", "diff", &state.to_string(), &back]);
        let is_key = |change: &serde_json::Value| {
            let fields = change["fields"].as_array().unwrap();
            fields.iter().all(|f| f["field"] == "key" || f["field"].as_str().unwrap().starts_with("uplink"))
        };
        assert!(diff["changes"].as_array().unwrap().iter().all(is_key), "{state}: {diff}");
    }
    env.ok(&["rollback", "--model", "13", "--yes"]);
    assert_eq!(env.json(&["topology"]), last);
}

#[test]
fn an_adopted_network_comes_back_with_its_own_file() {
    let env = TestEnv::new();
    let conf = env.path().join("wg0.conf");
    let text = "# our tunnel\n[Interface]\nPrivateKey = YAnz5TF+lXXJte14tji3zlMNftqL6kmVT1eESPfOTXo=\nAddress = 10.9.0.1/24\nListenPort = 51820\n\n# phone\n[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nAllowedIPs = 10.9.0.2/32\n\n# laptop\n[Peer]\nPublicKey = TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=\nAllowedIPs = 10.9.0.3/32\n\n# tablet\n[Peer]\nPublicKey = gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=\nAllowedIPs = 10.9.0.4/32\n";
    std::fs::write(&conf, text).unwrap();
    env.ok(&["import", &conf.display().to_string(), "--yes"]);
    let nodes = env.json(&["topology"])["nodes"].clone();
    let server = nodes.as_array().unwrap().iter().find(|n| n["role"] == "server").unwrap()["name"].clone();
    let server = server.as_str().unwrap();
    let state = env.json(&["history"])["states"][0]["number"].to_string();
    let whole = env.ok(&["generate", server]).stdout;
    assert_eq!(String::from_utf8(whole.clone()).unwrap(), text);
    let names: Vec<&str> = nodes.as_array().unwrap().iter().filter_map(|n| n["name"].as_str()).collect();
    env.ok(&[["remove"].as_slice(), &names, &["--yes"]].concat());
    assert_eq!(env.json(&["topology"])["nodes"], serde_json::json!([]));
    env.ok(&["rollback", "--model", &state, "--yes"]);
    assert_eq!(String::from_utf8(env.ok(&["generate", server]).stdout).unwrap(), text);
    assert_eq!(env.json(&["topology"])["nodes"], nodes);
    assert!(env.run(&["show", server]).contains("wg0.conf"), "where it is known from is known again");
}
