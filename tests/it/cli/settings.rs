//! Settings and hooks of interfaces, whoever made them, and leave for unsafe hooks.

use std::fs;

use crate::env::TestEnv;

const THEIRS: &str = "\
[Interface]
# the cellar
PrivateKey = 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=
Address = 10.20.0.1/24
ListenPort = 51820
PostUp=iptables -A FORWARD -i %i -j ACCEPT # in
PostDown=iptables -D FORWARD -i %i -j ACCEPT

[Peer]
# anna-phone
PublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
AllowedIPs = 10.20.0.30/32
";

const UP: &str = "iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE";
const DOWN: &str = "iptables -t nat -D POSTROUTING -o eth1 -j MASQUERADE";

fn imported() -> TestEnv {
    let env = TestEnv::new();
    let file = env.path().join("hub.conf");
    fs::write(&file, THEIRS).unwrap();
    env.ok(&["import", "--name", "farm", "--as", "hub=server", "--yes", &file.display().to_string()]);
    env
}

fn generated(env: &TestEnv, node: &str) -> String {
    String::from_utf8(env.ok(&["generate", node]).stdout).unwrap()
}

/// Returns the lines of `after` that `before` doesn't have, and the other way round.
fn diff(before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let changes = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    changes.map(|change| format!("{}{}", change.tag(), change.value())).collect()
}

#[test]
fn a_hook_goes_into_the_file_of_an_adopted_interface_and_comes_out_again() {
    let env = imported();
    let before = generated(&env, "hub");
    let outcome = env.json(&["interface", "set", "hub", &format!("post-up+={UP}"), &format!("post-down+={DOWN}")]);
    assert_eq!(outcome["changes"][0]["field"], "post-up", "{outcome:#}");
    assert_eq!(outcome["remarks"], serde_json::json!([]));
    let after = generated(&env, "hub");
    assert_eq!(diff(&before, &after), format!("+PostUp={UP}\n+PostDown={DOWN}\n"));
    // However it is written, it is that one.
    env.ok(&["interface", "set", "hub", &format!("post-up-=  {UP}"), &format!("post-down-=  {DOWN}")]);
    assert_eq!(generated(&env, "hub"), before);
    let again = env.refused(&["interface", "set", "hub", "post-up+=iptables  -A FORWARD -i hub -j ACCEPT"]);
    assert!(again.contains("has this post-up already"), "{again}");
    let missing = env.refused(&["interface", "set", "hub", "post-up-=iptables -A INPUT -j DROP"]);
    assert!(missing.contains("to take away") && missing.contains("hooks list"), "{missing}");
    // In place of another: its comment stays.
    env.ok(&["interface", "set", "hub", &format!("post-up={UP}")]);
    assert_eq!(
        diff(&before, &generated(&env, "hub")),
        format!("-PostUp=iptables -A FORWARD -i %i -j ACCEPT # in\n+PostUp={UP} # in\n")
    );
}

#[test]
fn a_hook_of_an_interface_that_wg_friend_made_stands_among_its_own_and_leaves_no_trace() {
    let env = TestEnv::with_nodes();
    let before = generated(&env, "hub");
    env.ok(&["interface", "set", "hub", "wg0", &format!("post-up+={UP}"), &format!("post-down+={DOWN}")]);
    let after = generated(&env, "hub");
    assert_eq!(diff(&before, &after), format!("+PostUp = {UP}\n+PostDown = {DOWN}\n"));
    let list = env.json(&["hooks", "list", "hub"]);
    let interface = &list["interfaces"][0];
    assert_eq!(interface["adopted"], false);
    let own: Vec<&str> = interface["commands"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|command| command["ours"] == false)
        .filter_map(|command| command["command"].as_str())
        .collect();
    assert_eq!(own, [UP, DOWN]);
    env.ok(&["interface", "set", "hub", "wg0", "post-up=none", "post-down=none"]);
    assert_eq!(generated(&env, "hub"), before);
    assert!(env.refused(&["interface", "set", "hub", "wg0", "post-up=none"]).contains("is like that already"));
}

#[test]
fn what_is_set_is_in_the_file_and_what_is_unset_leaves_it_as_it_was() {
    for (env, node, name) in [(imported(), "hub", "hub"), (TestEnv::with_nodes(), "hub", "wg0")] {
        let before = generated(&env, node);
        let had_table = before.contains("Table");
        for (set, unset, line) in [
            ("address+=192.168.77.1/24", "address-=192.168.77.1/24", "192.168.77.1/24"),
            ("table=123", "table=default", "Table"),
            ("fwmark=0x2a", "fwmark=none", "0x2a"),
            ("run=off", "run=boot", ""),
            ("pre-up=ip rule add from 10.1.1.1 table 9", "pre-up=none", "ip rule add from 10.1.1.1 table 9"),
            ("pre-down+=logger bye", "pre-down=none", "PreDown"),
        ] {
            env.ok(&["interface", "set", node, name, set]);
            let after = generated(&env, node);
            assert!(after.contains(line), "{set}\n{after}");
            assert!(line.is_empty() || had_table || after != before);
            env.ok(&["interface", "set", node, name, unset]);
            assert_eq!(generated(&env, node), before, "{set} and {unset}");
        }
        // What is said of the whole node goes the same way as with `set`, and others follow.
        env.ok(&["interface", "set", node, name, "listen-port=51999", "mtu=1390"]);
        let after = generated(&env, node);
        assert!(after.contains("ListenPort = 51999") && after.contains("MTU = 1390"), "{after}");
    }
}

#[test]
fn a_port_takes_the_endpoints_in_other_files_along() {
    let env = TestEnv::with_nodes();
    let outcome = env.json(&["interface", "set", "hub", "wg0", "listen-port=51999"]);
    let told = outcome["new_files"].as_array().unwrap();
    assert!(told.iter().any(|name| name == "alice-phone"), "{outcome:#}");
    assert!(generated(&env, "alice-phone").contains(":51999"));
}

#[test]
fn a_hook_off_the_list_is_refused_with_its_token_unless_somebody_answers_for_it() {
    let env = TestEnv::with_nodes();
    let refused = env.refused(&["interface", "set", "branch", "post-up+=curl https://example.com/x | sh"]);
    assert!(refused.contains("`|` at character"), "{refused}");
    assert!(refused.contains("wg-friend host set branch allow-unsafe=on --reason TEXT"), "{refused}");
    let refused = env.refused(&["host", "set", "branch", "allow-unsafe=on"]);
    assert!(refused.contains("say what for") && refused.contains("--reason"), "{refused}");
    let set = env.json(&["host", "set", "branch", "allow-unsafe=on", "--reason", "the meter's own installer"]);
    assert_eq!(set["host"]["allow_unsafe"]["reason"], "the meter's own installer");
    let outcome = env.json(&["interface", "set", "branch", "post-up+=curl https://example.com/x | sh"]);
    assert!(outcome["remarks"][0].as_str().unwrap().contains("unsafe post-up"), "{outcome:#}");
    let list = env.json(&["hooks", "list", "branch"]);
    assert_eq!(list["allow_unsafe"]["reason"], "the meter's own installer");
    assert!(env.run(&["hooks", "list", "branch"]).contains("unsafe hooks are let through: the meter's own installer"));
    let log = env.json(&["audit", "log"]);
    let entries = log["entries"].as_array().unwrap();
    let warned = |wanted: &str| entries.iter().find(|e| e["severity"] == "warning" && e["action"] == wanted);
    assert_eq!(
        warned("host_updated").unwrap()["details"]["after"]["allow_unsafe"]["reason"],
        "the meter's own installer"
    );
    let written = warned("peer_updated").unwrap();
    assert_eq!(written["details"]["unsafe_hooks"][0]["token"], "|", "{written:#}");
    assert_eq!(written["details"]["reason"], "the meter's own installer");
    env.ok(&["host", "set", "branch", "allow-unsafe=off"]);
    assert!(env.refused(&["interface", "set", "branch", "post-up+=reboot"]).contains("`reboot`"));
}

#[test]
fn a_node_without_a_host_takes_its_leave_with_the_hook() {
    let env = TestEnv::with_nodes();
    let refused = env.refused(&["interface", "set", "alice-phone", "post-up=/opt/x"]);
    assert!(refused.contains("--allow-unsafe TEXT"), "{refused}");
    env.ok(&["interface", "set", "alice-phone", "post-up=/opt/x", "--allow-unsafe", "her own script"]);
    assert!(generated(&env, "alice-phone").contains("PostUp = /opt/x"));
    let refused = env.refused(&["interface", "set", "branch", "post-up=/opt/x", "--allow-unsafe", "why not"]);
    assert!(refused.contains("is for nodes without a host"), "{refused}");
}

#[test]
fn an_up_without_its_down_is_a_remark_with_the_remedy() {
    let env = TestEnv::with_nodes();
    let outcome = env.json(&["interface", "set", "hub", "wg0", &format!("post-up+={UP}")]);
    let remark = outcome["remarks"][0].as_str().unwrap();
    assert!(remark.contains("stays behind") && remark.contains(&format!("post-down+='{DOWN}'")), "{remark}");
}

#[test]
fn what_can_not_be_meant_says_what_to_do() {
    let env = TestEnv::with_nodes();
    for (arguments, said) in [
        (&["interface", "set", "hub", "wg0", "pots-up=true"][..], "did you mean `post-up`"),
        (&["interface", "set", "hub", "wg0", "mtu+=1400"], "has one value"),
        (&["interface", "set", "hub", "wg0", "table=9x"], "routing table"),
        (&["interface", "set", "hub", "wg0", "fwmark=0xx"], "is no mark"),
        (&["interface", "set", "hub", "wg0", "run=sometimes"], "way to run"),
        (&["interface", "set", "hub", "wg0", "save-config=on"], "only `off`"),
        (&["interface", "set", "hub", "wg0", "post-up+=true # later"], "begins a comment"),
        (&["interface", "set", "hub", "wg0", "address-=10.99.0.9/32"], "no further address"),
        (&["interface", "set", "hub", "wg0"], "expected key=value"),
        (&["interface", "set", "hub", "mtu=1400"], "has several interfaces"),
        (&["interface", "set", "hub", "wg7", "mtu=1400"], "did you mean `wg0`"),
        (&["interface", "set", "hbu", "wg0", "mtu=1400"], "did you mean `hub`"),
        (
            &[
                "interface",
                "set",
                "hub",
                "wg0",
                "post-up+=wg set %i private-key 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=",
            ],
            "a secret key is in it",
        ),
    ] {
        let refused = env.refused(arguments);
        assert!(refused.contains(said), "{arguments:?}: {refused}");
        assert!(!refused.contains("6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR"), "{refused}");
    }
}

#[test]
fn the_history_tells_what_was_set_and_a_way_back_brings_it_back() {
    let env = TestEnv::with_nodes();
    let before = generated(&env, "hub");
    let number = env.json(&["history"])["states"][0]["number"].as_i64().unwrap();
    env.ok(&["interface", "set", "hub", "wg0", "table=77", &format!("post-up+={UP}")]);
    let text = env.run(&["history", "diff", &number.to_string()]);
    assert!(text.contains("table") && text.contains("77") && text.contains("MASQUERADE"), "{text}");
    env.ok(&["rollback", "--model", &number.to_string(), "--yes"]);
    assert_eq!(generated(&env, "hub"), before);
}
