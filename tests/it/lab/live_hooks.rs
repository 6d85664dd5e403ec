//! Hooks that change while their interface runs: the rules come and go, and nobody's packets are lost.

use wg_friend_lab::{Lab, Result, Spec};

use super::family::{addressed, lab_or_skip};
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host hub internet:11 init=systemd\n\
     host alice internet:21\n"
        .parse()
        .unwrap()
}

const UP: &str = "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -o eth0 -j MASQUERADE";
const DOWN: &str = "iptables -t nat -D POSTROUTING -s 192.0.2.0/24 -o eth0 -j MASQUERADE";

/// A server and a client that has shaken hands with it.
fn network(lab: &Lab) -> Result<Admin<'_>> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--address", "10.66.0.1", "--ssh", "hub"]);
    admin.ok(&["add", "remote", "alice"]);
    admin.deploy();
    admin.hand_out("alice", str::to_owned)?;
    lab.host("alice").sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    Ok(admin)
}

fn rules(lab: &Lab, text: &str) -> Result<usize> {
    Ok(lab.host("hub").sh("iptables-save; ip6tables-save")?.lines().filter(|line| line.contains(text)).count())
}

/// What no hook has to do with: when the interface was made, and who its peers are.
fn unmoved(lab: &Lab) -> Result<String> {
    lab.host("hub")
        .sh("cat /sys/class/net/wg0/ifindex; wg show wg0 endpoints; wg show wg0 latest-handshakes | cut -f 1")
}

#[test]
fn a_masquerade_pair_comes_and_goes_live_under_ping() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = network(&lab)?;
    let before = unmoved(&lab)?;
    let stream = lab.ping_stream("alice", &addressed("10.66.0.1"), 100)?;

    admin.ok(&["interface", "set", "hub", "wg0", &format!("post-up+={UP}"), &format!("post-down+={DOWN}")]);
    let plan = admin.json(&["plan"]);
    let changes = plan["hosts"][0]["changes"].as_array().unwrap().clone();
    let kinds: Vec<&str> = changes.iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["hook", "hook", "file"], "{plan:#}");
    assert!(changes.iter().all(|change| change["disruption"] == "live" && change["cause"] == "pending"), "{plan:#}");
    admin.deploy();
    assert_eq!(rules(&lab, "192.0.2.0/24")?, 1);
    admin.ok(&["plan", "--exit-code"]);

    // The same in other words: the file changes, and no command is run for it.
    admin.ok(&["interface", "set", "hub", "wg0", &format!("post-up={}", UP.replace("-s ", "--source  "))]);
    let outcome = admin.json(&["deploy", "--yes"]);
    assert_eq!(outcome["hosts"][0]["steps"], serde_json::json!([]), "{outcome:#}");
    assert_eq!(rules(&lab, "192.0.2.0/24")?, 1);

    // Gone again, the rule with it.
    admin.ok(&["interface", "set", "hub", "wg0", "post-up=none", "post-down=none"]);
    admin.deploy();
    assert_eq!(rules(&lab, "192.0.2.0/24")?, 0);
    admin.ok(&["plan", "--exit-code"]);

    let report = stream.stop()?;
    assert!(report.sent > 50 && report.lost == 0, "{report:?}");
    assert_eq!(unmoved(&lab)?, before);
    Ok(())
}

#[test]
fn routes_marks_tables_and_addresses_of_a_made_interface_change_live() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = network(&lab)?;
    let before = unmoved(&lab)?;
    let stream = lab.ping_stream("alice", &addressed("10.66.0.1"), 100)?;
    let hub = lab.host("hub");
    admin.ok(&[
        "interface",
        "set",
        "hub",
        "wg0",
        "address+=192.168.77.1/24",
        "fwmark=0x2a",
        "post-up+=ip route add 10.9.0.0/24 dev %i",
        "post-up+=ip rule add from 10.9.9.9 table 9",
        "post-down+=ip rule del from 10.9.9.9 table 9",
        "post-up+=sysctl -q -w net.ipv4.conf.wg0.log_martians=1",
    ]);
    admin.deploy();
    assert!(hub.sh(&addressed("ip route show dev wg0"))?.contains(&addressed("10.9.0.0/24")));
    assert!(hub.sh(&addressed("ip rule"))?.contains(&addressed("10.9.9.9 lookup 9")));
    assert!(hub.sh("ip address show dev wg0")?.contains(&addressed("192.168.77.1/24")));
    assert_eq!(hub.sh("wg show wg0 fwmark; cat /proc/sys/net/ipv4/conf/wg0/log_martians")?.trim(), "0x2a\n1");
    admin.ok(&["plan", "--exit-code"]);
    assert_eq!(unmoved(&lab)?, before);

    // As if it had come up so: a restart makes the same.
    let seen = &addressed(
        "ip -o route show dev wg0 | sort; ip rule; ip -o address show dev wg0 scope global | grep -o 'inet6* [^ ]*'; wg show wg0 fwmark",
    );
    let live = hub.sh(seen)?;
    let report = stream.stop()?;
    assert!(report.sent > 50 && report.lost == 0, "{report:?}");
    hub.sh("systemctl restart wg-quick@wg0")?;
    assert_eq!(hub.sh(seen)?, live);

    let gone = ["address=none", "fwmark=none", "post-up=none", "post-down=none"];
    admin.ok(&[&["interface", "set", "hub", "wg0"], &gone[..]].concat());
    admin.deploy();
    let now = hub.sh(seen)?;
    assert!(
        !now.contains(&addressed("10.9.9.9")) && !now.contains(&addressed("192.168.77.1")) && now.contains("off"),
        "{now}"
    );
    admin.ok(&["plan", "--exit-code"]);
    Ok(())
}

#[test]
fn a_script_needs_leave_and_a_restart_and_a_hook_that_fails_leaves_everything_as_it_was() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = network(&lab)?;
    let hub = lab.host("hub");
    hub.write("/usr/local/bin/mark", "#!/bin/sh\necho \"$1\" >> /run/marks\n")?;
    hub.sh("chmod 755 /usr/local/bin/mark")?;
    let refused = admin.run(&["interface", "set", "hub", "wg0", "post-up+=curl https://example.com/x | sh"]);
    assert!(refused.status == 2 && refused.stderr.contains("`|`"), "{}", refused.stderr);
    admin.ok(&["host", "set", "hub", "allow-unsafe=on", "--reason", "marks that it is up"]);
    admin.ok(&[
        "interface",
        "set",
        "hub",
        "wg0",
        "post-up+=/usr/local/bin/mark up",
        "post-down+=/usr/local/bin/mark down",
    ]);
    let log = admin.json(&["audit", "log"]);
    assert!(log.to_string().contains("marks that it is up"), "{log:#}");
    let plan = admin.json(&["plan"]);
    let changes = plan["hosts"][0]["changes"].as_array().unwrap();
    let restart = changes.iter().find(|change| change["kind"] == "restart").unwrap();
    assert!(restart["subject"].as_str().unwrap().contains("/usr/local/bin/mark up"), "{plan:#}");
    assert!(plan.to_string().contains("(unsafe: "), "{plan:#}");
    // The deploy asks alice to show that she still gets through: she has to have something to say.
    let stream = lab.ping_stream("alice", &addressed("10.66.0.1"), 5)?;
    admin.deploy();
    stream.stop()?;
    assert_eq!(hub.sh("cat /run/marks")?, "up");
    admin.ok(&["plan", "--exit-code"]);

    // Unchanged, it is in nobody's way.
    let index = hub.sh("cat /sys/class/net/wg0/ifindex")?;
    admin.ok(&["interface", "set", "hub", "wg0", &format!("post-up+={UP}"), &format!("post-down+={DOWN}")]);
    admin.deploy();
    assert_eq!((rules(&lab, "192.0.2.0/24")?, hub.sh("cat /sys/class/net/wg0/ifindex")?), (1, index.clone()));

    // The second one fails: what the first did is taken back.
    let saved = hub.sh("iptables-save | grep '^-A'")?;
    let file = hub.read("/etc/wireguard/wg0.conf")?;
    admin.ok(&["interface", "set", "hub", "wg0", "post-up+=iptables -A INPUT -s 192.0.2.9 -j ACCEPT"]);
    admin.ok(&["interface", "set", "hub", "wg0", "post-up+=iptables -A NOWHERE -s 192.0.2.9 -j ACCEPT"]);
    let failed = admin.run(&["deploy", "--yes"]);
    assert_ne!(failed.status, 0);
    assert!(format!("{}{}", failed.stdout, failed.stderr).contains("NOWHERE"), "{}{}", failed.stdout, failed.stderr);
    assert_eq!(hub.sh("iptables-save | grep '^-A'")?, saved);
    assert_eq!(hub.read("/etc/wireguard/wg0.conf")?, file);
    assert_eq!(hub.sh("cat /sys/class/net/wg0/ifindex; cat /run/marks")?, format!("{index}\nup"));
    Ok(())
}

#[test]
fn a_hook_changed_by_hand_is_called_a_hook_and_mended() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = network(&lab)?;
    let hub = lab.host("hub");
    hub.sh(
        "sed -i 's/^PostDown/PostUp = iptables -A INPUT -s 192.0.2.66 -j ACCEPT\\nPostDown/;' /etc/wireguard/wg0.conf
         iptables -A INPUT -s 192.0.2.66 -j ACCEPT",
    )?;
    let drift = admin.run(&["drift", "check", "hub", "--json"]);
    assert_eq!(drift.status, 3, "{}", drift.stdout);
    let document: serde_json::Value = serde_json::from_str(&drift.stdout).unwrap();
    let text = document.to_string();
    assert!(
        text.contains("hooks_changed") && text.contains("192.0.2.66") && !text.contains("file_changed"),
        "{document:#}"
    );
    admin.deploy();
    assert_eq!(rules(&lab, "192.0.2.66")?, 0);
    admin.ok(&["plan", "--exit-code"]);
    Ok(())
}
