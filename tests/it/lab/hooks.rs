//! Hooks of a network made by hand, handed to wg-friend's firewall and given back: traffic is the same all the while.

use wg_friend_lab::{Lab, Result};

use super::adopt::{NAMES, by_hand, spec};
use super::family::{lab_or_skip, lacks_ipv4};
use super::office::Admin;

/// An address on the internet that alice reaches by the tunnel only, and that answers to nobody but the hub's own address.
const BEYOND: &str = "203.0.113.80";

/// Makes it.
fn beyond(lab: &Lab) -> Result {
    lab.host("web").sh(&format!("ip addr replace {BEYOND}/32 dev lo"))?;
    lab.host("hub").sh(&format!("ip route replace {BEYOND}/32 via 198.51.100.80"))?;
    Ok(())
}

/// Waits until everyone has shaken hands with the hub.
fn settle(lab: &Lab) -> Result {
    beyond(lab)?;
    for from in ["bob", "carol", "office", "depot", "alice"] {
        lab.host(from).sh("ping -n -c 1 -w 60 10.44.0.1")?;
    }
    Ok(())
}

/// Who reaches what.
fn traffic(lab: &Lab) -> Result<Vec<String>> {
    let mut seen = Vec::new();
    let pairs = [
        ("alice", BEYOND),
        ("alice", "10.44.0.1"),
        ("alice", "10.44.0.31"),
        ("bob", "192.168.11.50"),
        ("bob", "10.44.0.1"),
        ("carol", "10.44.0.31"),
        ("printer", "10.44.0.31"),
        ("shelf", "192.168.11.50"),
        ("bob", "192.168.12.50"),
    ];
    for (from, to) in pairs {
        let reached =
            lab.host(from).sh(&format!("ping -n -c 1 -W 2 {to} >/dev/null 2>&1 || ping -n -c 1 -W 4 {to}")).is_ok();
        seen.push(format!("{from} {to} {reached}"));
    }
    Ok(seen)
}

#[test]
fn hooks_are_handed_over_and_given_back_and_traffic_stays_the_same() -> Result {
    if lacks_ipv4("the hooks of this network are iptables' own, with NAT") {
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    by_hand(&lab)?;
    settle(&lab)?;
    assert!(lab.host("alice").sh(&format!("ip route get {BEYOND}"))?.contains("dev wg0"));
    let before = traffic(&lab)?;
    assert!(before.iter().filter(|line| line.ends_with("true")).count() >= 7, "{before:#?}");
    let admin = Admin::new(&lab);
    let hosts: Vec<String> = NAMES.iter().map(|name| format!("root@{name}")).collect();
    let mut arguments = vec!["import", "--name", "byhand", "--yes"];
    hosts.iter().for_each(|host| arguments.extend(["--host", host]));
    admin.ok(&arguments);
    let files: Vec<String> =
        ["hub", "office"].iter().map(|name| lab.host(name).read("/etc/wireguard/wg0.conf")).collect::<Result<_>>()?;

    let streams = [
        lab.ping_stream("alice", BEYOND, 50)?,
        lab.ping_stream("bob", "192.168.11.50", 50)?,
        lab.ping_stream("bob", "10.44.0.1", 50)?,
    ];
    admin.ok(&["hooks", "adopt", "hub", "--all", "--yes"]);
    admin.ok(&["hooks", "adopt", "office", "--yes"]);
    admin.ok(&["deploy", "--yes"]);
    assert_eq!(admin.run(&["plan", "--exit-code"]).status, 0);
    for stream in streams {
        let report = stream.stop()?;
        assert!(report.sent > 50, "{report:?}");
        assert_eq!(report.lost, 0, "{report:?}");
    }
    let now = lab.host("hub").read("/etc/wireguard/wg0.conf")?;
    assert!(!now.contains("iptables") && now.contains("# NAT for the road warriors"), "{now}");
    assert_eq!(traffic(&lab)?, before);

    // After a boot nothing is left of what the old hooks made, and it is the table alone that does it.
    lab.host("hub").reboot()?;
    settle(&lab)?;
    assert!(!lab.host("hub").sh("iptables-save")?.contains("MASQUERADE"));
    assert_eq!(traffic(&lab)?, before);

    for name in ["hub", "office"] {
        admin.ok(&["hooks", "keep", name, "--yes"]);
    }
    admin.ok(&["deploy", "--yes"]);
    for (name, file) in ["hub", "office"].iter().zip(&files) {
        assert_eq!(&lab.host(name).read("/etc/wireguard/wg0.conf")?, file);
    }
    lab.host("hub").reboot()?;
    settle(&lab)?;
    assert_eq!(traffic(&lab)?, before);
    Ok(())
}
