//! Internet traffic by several exits one after another: the web sees the last one, each exit sees the one before, and no
//! device is told.

use std::net::IpAddr;
use std::time::Duration;

use wg_friend_lab::{Lab, Result, Spec};

use super::family::{lab_or_skip, leaves_within, of_inside};
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     network web 203.0.113.0/24 2001:db8:113::/64 routed\n\
     host ctl internet:2 controller\n\
     host hub internet:10\n\
     host exit-a internet:21\n\
     host exit-b internet:22\n\
     host exit-c internet:23\n\
     host alice internet:101\n\
     host bob internet:102\n\
     host www web:80 web ssh=no\n"
        .parse()
        .unwrap()
}

fn make(admin: &Admin<'_>) {
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--address", "10.66.0.1", "--ssh", "hub"]);
    for exit in ["exit-a", "exit-b", "exit-c"] {
        let endpoint = admin.lab.host(exit).address().to_string();
        admin.ok(&["add", "exit", exit, "--endpoint", &endpoint, "--ssh", exit]);
    }
    admin.ok(&["add", "remote", "alice", "bob", "--exit", "exit-a"]);
}

/// Waits until the web host sees a remote come from this host, or not at all. After a reboot the exit before notices after a
/// quarter of a minute that nothing comes back, and shakes hands anew.
fn leaves_by(lab: &Lab, remote: &str, exit: Option<&str>) -> Result {
    leaves_within(Duration::from_secs(90), lab, remote, exit)
}

#[test]
fn traffic_passes_several_exits_and_each_knows_only_the_one_before() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b", "exit-c"])?;
    for remote in ["alice", "bob"] {
        admin.hand_out(remote, str::to_owned)?;
        leaves_by(&lab, remote, Some("exit-a"))?;
    }
    let file = lab.host("alice").read("/etc/wireguard/wg0.conf")?;

    let bob = lab.ping_stream("bob", &of_inside(lab.host("www").addresses())[0].to_string(), 50)?;
    let changed = admin.json(&["exit", "assign", "alice", "--via", "exit-a,exit-b,exit-c"]);
    assert_eq!(changed["new_files"], serde_json::json!([]), "no change on the device: {changed:#}");
    assert_eq!(changed["deploy"], serde_json::json!(["exit-a", "exit-b", "exit-c"]));
    admin.deploy();
    leaves_by(&lab, "alice", Some("exit-c"))?;
    leaves_by(&lab, "bob", Some("exit-a"))?;
    assert_eq!(lab.host("alice").read("/etc/wireguard/wg0.conf")?, file);
    let report = bob.stop()?;
    assert_eq!(report.lost, 0, "whoever leaves at the first exit loses nothing: {report:?}");
    assert_eq!(admin.json(&["plan"])["changes"], 0, "nothing is left to do");

    // The second exit has packets of the first alone, and none with the address of a device.
    let (exits, devices) = (counted("exit-a", &admin, &lab)?, counted("alice", &admin, &lab)?);
    leaves_by(&lab, "alice", Some("exit-c"))?;
    let counts = lab.host("exit-b").sh("nft list table inet eye")?;
    let packets = |address: &IpAddr| {
        let line = counts.lines().find(|line| line.contains(&format!("saddr {address} "))).unwrap_or_default();
        !line.contains("packets 0")
    };
    assert!(exits.iter().all(packets) && !devices.iter().any(packets), "{counts}");

    // The way is told hop by hop.
    let to = of_inside(lab.host("www").addresses())[0].to_string();
    let answer = admin.json(&["can", "alice", &to]);
    let hops: Vec<&str> =
        answer["answers"][0]["out"].as_array().unwrap().iter().filter_map(|hop| hop["node"].as_str()).collect();
    assert_eq!(hops, ["alice", "hub", "exit-a", "exit-b", "exit-c"], "{answer:#}");

    // After a reboot of the exit in the middle all is as it was; with it disabled nothing passes, by no shorter way either.
    lab.host("exit-b").reboot()?;
    leaves_by(&lab, "alice", Some("exit-c"))?;
    admin.ok(&["set", "alice", "kill-switch=yes"]);
    admin.ok(&["disable", "exit-b"]);
    admin.ok(&["deploy", "hub", "exit-a", "exit-c", "--yes"]);
    leaves_by(&lab, "alice", None)?;
    leaves_by(&lab, "bob", Some("exit-a"))?;
    admin.ok(&["exit", "assign", "alice", "--via", "exit-c,exit-a"]);
    admin.ok(&["deploy", "hub", "exit-a", "exit-c", "--yes"]);
    leaves_by(&lab, "alice", Some("exit-a"))?;
    leaves_by(&lab, "bob", Some("exit-a"))
}

/// Has the web count what comes to it from hosts and fits an expression, in a table of its own, from now on.
fn watch(lab: &Lab, hosts: &[&str], what: [&str; 2]) -> Result {
    lab.host("www").sh("nft 'add table inet eye; delete table inet eye; add table inet eye; \
              add chain inet eye in { type filter hook input priority -300; }; \
              add chain inet eye out { type filter hook output priority mangle; }'")?;
    for address in hosts.iter().flat_map(|host| lab.host(host).addresses().collect::<Vec<_>>()) {
        let (family, what) = if address.is_ipv4() { ("ip", what[0]) } else { ("ip6", what[1]) };
        lab.host("www").sh(&format!("nft add rule inet eye in {family} saddr {address} {what} counter"))?;
    }
    Ok(())
}

/// Returns what the web has counted.
fn seen(lab: &Lab) -> Result<String> {
    let counts = lab.host("www").sh("nft list chain inet eye in")?;
    Ok(counts.lines().filter(|line| line.contains("counter") && !line.contains("packets 0 ")).collect())
}

#[test]
fn nothing_leaves_on_the_way_while_hosts_are_changed_one_after_another() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    admin.ok(&["exit", "assign", "alice", "exit-c"]);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b", "exit-c"])?;
    admin.hand_out("alice", str::to_owned)?;
    leaves_by(&lab, "alice", Some("exit-c"))?;

    // What alice sends without end comes from the exit that she has, then from the last of those that she gets.
    let www = of_inside(lab.host("www").addresses())[0];
    let to = std::net::SocketAddr::new(www, 9001);
    watch(&lab, &["exit-a", "exit-b", "hub", "alice"], ["udp dport 9001", "udp dport 9001"])?;
    let stream = lab.host("alice").spawn(&format!("while sleep 0.02; do echo x; done | socat -u - UDP-SENDTO:{to}"))?;
    admin.ok(&["exit", "assign", "alice", "--via", "exit-a,exit-b,exit-c"]);
    let alone = admin.run(&["deploy", "hub", "--yes"]);
    assert!(alone.status != 0 && alone.stderr.contains("`exit-a` has to"), "{}{}", alone.stdout, alone.stderr);
    leaves_by(&lab, "alice", Some("exit-c"))?;
    admin.ok(&["deploy", "--yes", "--canary", "1"]);
    leaves_by(&lab, "alice", Some("exit-c"))?;
    assert_eq!(admin.json(&["plan"])["changes"], 0);
    // And back again: each exit forgets only when nobody sends any more.
    admin.ok(&["exit", "assign", "alice", "exit-c"]);
    let alone = admin.run(&["deploy", "exit-a", "--yes"]);
    assert!(alone.status != 0 && alone.stderr.contains("`hub` has to"), "{}{}", alone.stdout, alone.stderr);
    admin.ok(&["deploy", "--yes"]);
    leaves_by(&lab, "alice", Some("exit-c"))?;
    drop(stream);
    assert_eq!(seen(&lab)?, "", "nothing came from anywhere else");
    Ok(())
}

#[test]
fn errors_about_a_flow_are_told_to_nobody_by_another_way() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    admin.ok(&["exit", "assign", "alice", "--via", "exit-a,exit-b,exit-c"]);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b", "exit-c"])?;
    admin.hand_out("alice", str::to_owned)?;
    leaves_by(&lab, "alice", Some("exit-c"))?;
    let www = lab.host("www");
    www.sh("setsid socat UDP6-LISTEN:9000,ipv6only=0,fork,reuseaddr EXEC:cat </dev/null >/dev/null 2>&1 & \
         until ss -Hlun 'sport = :9000' | grep -q .; do kill -0 $! || exit 1; sleep 0.01; done")?;
    let expired = ["icmp type time-exceeded", "icmpv6 type time-exceeded"];
    watch(&lab, &["hub", "exit-a", "exit-b", "exit-c"], expired)?;
    // Answers that live for so many steps end at one after another of the hosts on their way, each of which says so.
    for steps in 2..=6 {
        www.sh(&format!(
            "nft 'flush chain inet eye out; add rule inet eye out udp sport 9000 ip ttl set {steps}; \
                  add rule inet eye out udp sport 9000 ip6 hoplimit set {steps}'"
        ))?;
        for address in of_inside(www.addresses()) {
            let to = std::net::SocketAddr::new(address, 9000);
            lab.host("alice").run(&format!("echo x | socat -t 1 - UDP:{to}"))?;
        }
    }
    let counts = seen(&lab)?;
    let of = |host: &str| lab.host(host).addresses().any(|own| counts.contains(&format!("saddr {own} ")));
    assert!(of("exit-c"), "what the last exit says, or is told by those before it, the web hears: {counts}");
    assert!(!of("hub") && !of("exit-a") && !of("exit-b"), "{counts}");
    Ok(())
}

/// Has the second exit count what comes to it through its tunnel with a node's addresses, which are returned.
fn counted(node: &str, admin: &Admin<'_>, lab: &Lab) -> Result<Vec<IpAddr>> {
    let addresses = admin.addresses(node);
    let eye = "nft 'add table inet eye; add chain inet eye in { type filter hook prerouting priority -300; }'";
    lab.host("exit-b").sh(eye)?;
    for address in &addresses {
        let family = if address.is_ipv4() { "ip" } else { "ip6" };
        lab.host("exit-b").sh(&format!("nft add rule inet eye in iifname wg0 {family} saddr {address} counter"))?;
    }
    Ok(addresses)
}
