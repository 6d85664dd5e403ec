//! A key that a host made and keeps: what becomes of its file is found, named, put back while that can be, and replaced when
//! it is lost.

use serde_json::Value;
use wg_friend_lab::{Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::{Admin, DOWN};

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n\
     host b internet:12\n"
        .parse()
        .unwrap()
}

/// A server on `a` whose host made its key, and a router on `b`. Returns the path of the key's file, too.
fn small(lab: &Lab) -> (Admin<'_>, String) {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "router", "branch", "--lan", "192.168.11.0/24", "--ssh", "b"]);
    admin.deploy();
    admin.ok(&["interface", "key", "hub", "wg0", "--make-on-host"]);
    admin.deploy();
    let view = admin.json(&["interface", "key", "hub", "wg0"]);
    let path = format!("/etc/wireguard/{}", view["file_on_host"].as_str().unwrap());
    (admin, path)
}

/// What `drift check` says of the hub: kind and severity of each item; and all of it.
fn found(admin: &Admin<'_>) -> (Vec<(String, String)>, Value) {
    let output = admin.run(&["drift", "check", "hub", "--json"]);
    assert_eq!(output.status, 3, "{}{}", output.stdout, output.stderr);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let items = report["hosts"][0]["items"].as_array().unwrap().iter();
    let word = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    (items.map(|item| (word(item, "kind"), word(item, "severity"))).collect(), report)
}

#[test]
fn the_file_of_a_key_that_the_host_made_is_put_back_while_the_interface_runs_with_it() -> Result {
    let lab = lab_or_skip!(spec());
    let (admin, path) = small(&lab);
    let own = |what: &str| lab.host("a").sh(what);
    let key = own(&format!("cat {path}"))?;
    let state = format!("stat -L -c '%a %u:%g %F' {path}; sha256sum {path}");
    let good = own(&state)?;
    let deeds = [
        (format!("chmod 644 {path}"), "key_file_changed", "mode 644 -> mode 600"),
        (format!("chown 1000:1000 {path}"), "key_file_changed", "owner 1000:1000 -> owner 0:0"),
        (format!("wg genkey > {path}"), "key_file_changed", "-> the key that wg0 runs with"),
        (format!(": > {path}"), "key_file_changed", "no key -> the key that wg0 runs with"),
        (format!("rm {path}"), "key_file_removed", "missing -> the key that wg0 runs with"),
    ];
    for (deed, kind, shown) in &deeds {
        own(deed)?;
        let (items, report) = found(&admin);
        assert_eq!(items, [((*kind).to_owned(), "critical".to_owned())], "{deed}: {report:#}");
        let plan = admin.ok(&["plan", "hub"]);
        assert!(plan.contains(shown), "{deed}: {plan}");
        let there = own(&format!("cat {path} 2>/dev/null || :"))?;
        for text in [&plan, &report.to_string()] {
            assert!(!text.contains(key.trim()), "the key left the host");
            assert!(there.trim().is_empty() || !text.contains(there.trim()), "what is there left the host");
        }
        let adopted = admin.run(&["drift", "adopt", "hub", "--dry-run"]);
        assert!(format!("{}{}", adopted.stdout, adopted.stderr).contains("puts it back"), "{}", adopted.stdout);
        admin.ok(&["deploy", "hub", "--yes"]);
        assert_eq!(own(&state)?, good, "{deed}");
        admin.ok(&["plan", "--exit-code"]);
    }

    // With something else that fails, it is all taken back: the file is as it was found.
    own(&format!("chmod 640 {path}; wg genkey > {path}.new && mv {path}.new {path}"))?;
    let before = own(&state)?;
    let hooks = ["post-up=ip route add 10.99.0.0/24 dev nowhere", "post-down=ip route del 10.99.0.0/24 dev nowhere"];
    admin.ok(&["interface", "set", "hub", "wg0", hooks[0], hooks[1]]);
    let output = admin.run(&["deploy", "hub", "--yes", "--confirm-timeout", "12"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    assert_eq!(own(&state)?, before, "{}{}", output.stdout, output.stderr);
    assert_eq!(own("wg show wg0 private-key")?, key);
    admin.ok(&["interface", "set", "hub", "wg0", "post-up=none", "post-down=none"]);
    admin.ok(&["deploy", "hub", "--yes"]);
    assert_eq!(own(&state)?, good);
    own(&format!("{DOWN} && wg-quick up wg0"))?;
    admin.ok(&["plan", "--exit-code"]);
    Ok(())
}

#[test]
fn a_key_that_is_lost_with_its_interface_is_said_to_be_and_the_host_makes_another() -> Result {
    let lab = lab_or_skip!(spec());
    let (admin, path) = small(&lab);
    let own = |what: &str| lab.host("a").sh(what);
    own(&format!("rm {path}; {DOWN}; ! wg-quick up wg0"))?;
    let (items, report) = found(&admin);
    assert!(items.contains(&("key_file_removed".to_owned(), "critical".to_owned())), "{report:#}");
    let remedy = "wg-friend interface key hub wg0 --make-on-host";
    assert!(report["hosts"][0]["hint"].as_str().unwrap().contains(remedy), "{report:#}");
    let plan = admin.ok(&["plan", "hub"]);
    assert!(plan.contains("missing -> lost: only the host had it") && plan.contains(remedy), "{plan}");
    let output = admin.run(&["deploy", "hub", "--yes"]);
    assert_eq!(output.status, 4, "{}{}", output.stdout, output.stderr);
    assert!(format!("{}{}", output.stdout, output.stderr).contains(remedy), "{}{}", output.stdout, output.stderr);

    admin.ok(&["interface", "key", "hub", "wg0", "--make-on-host"]);
    admin.deploy();
    admin.ok(&["plan", "--exit-code"]);
    lab.host("b").sh(&addressed("ping -n -c 1 -w 20 10.66.0.1"))?;
    Ok(())
}
