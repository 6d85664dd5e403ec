//! Two networks on the same hosts: real packets in each, none across, and work on one leaves the other alone.

use std::time::Duration;

use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Host, Lab, Result, Spec};

use super::family::{Family, lab_or_skip, wanted};
use super::office::Admin;

/// A server and a machine that carry both networks, and for each network a router with a LAN.
fn spec() -> Spec {
    let text = "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
                network lan-a 192.168.11.0/24 fd0a:11::/64\n\
                network lan-b 192.168.12.0/24 fd0a:12::/64\n\
                host ctl internet:2 controller\n\
                host hub internet:10\n\
                host box internet:13\n\
                host router-a internet:11 lan-a:1\n\
                host router-b internet:12 lan-b:1\n\
                host pc-a lan-a:50 gateway=router-a ssh=no\n\
                host pc-b lan-b:50 gateway=router-b ssh=no\n";
    text.parse().unwrap()
}

/// Makes both networks, `office` on wg0 and `lab` on wg1; the nodes on the two shared hosts are called alike.
fn make(admin: &Admin<'_>) {
    admin.init("office");
    let other: &[&str] = match wanted() {
        None | Some(Family::Dual) => &[],
        Some(Family::Four) => &["--no-ipv6"],
        Some(Family::Six) => &["--cidr", "none"],
    };
    admin.ok(&[&["network", "add", "lab"], other].concat());
    admin.ok(&["--network", "office", "add", "server", "hub", "--endpoint", "198.51.100.10", "--ssh", "hub"]);
    admin.ok(&["--network", "lab", "add", "server", "hub", "--endpoint", "198.51.100.10", "--host", "hub"]);
    admin.ok(&["--network", "office", "add", "remote", "box", "--ssh", "box"]);
    admin.ok(&["--network", "lab", "add", "remote", "box", "--host", "box"]);
    for (network, router, lans) in [
        ("office", "router-a", ["192.168.11.0/24", "fd0a:11::/64"]),
        ("lab", "router-b", ["192.168.12.0/24", "fd0a:12::/64"]),
    ] {
        let ssh = format!("deploy@{router}");
        let words = ["--network", network, "add", "router", router, "--lan-interface", "eth1", "--ssh", &ssh];
        let lans = lans.into_iter().filter(|lan| inside(lan)).flat_map(|lan| ["--lan", lan]);
        admin.ok(&words.into_iter().chain(lans).collect::<Vec<_>>());
    }
}

fn inside(prefix: &str) -> bool {
    match wanted() {
        None | Some(Family::Dual) => true,
        Some(Family::Four) => !prefix.contains(':'),
        Some(Family::Six) => prefix.contains(':'),
    }
}

/// Returns how many differences a plan for a network shows.
fn changes(admin: &Admin<'_>, network: &str) -> Value {
    let plan = admin.json(&["--network", network, "plan"]);
    assert_eq!(plan["failed"], 0, "{plan:#}");
    plan["changes"].clone()
}

/// The address of a host in its LAN, of the run's family.
fn in_lan(lab: &Lab, pc: &str) -> String {
    let host = lab.host(pc);
    let addresses: Vec<String> = host.addresses().map(|address| address.to_string()).collect();
    addresses.into_iter().find(|address| inside(address)).unwrap()
}

#[track_caller]
fn reaches(from: &Host<'_>, to: &str) {
    let output = from.run(&format!("ping -n -c 1 -w 120 {to}")).unwrap();
    assert_eq!(output.status, 0, "{} -> {to}: {}", from.name(), output.stdout);
}

/// What would differ if somebody had touched an interface: its number, its firewall's, when its peers shook hands.
fn marks(host: &Host<'_>, interface: &str) -> Result<String> {
    host.sh(&format!(
        "cat /sys/class/net/{interface}/ifindex; nft -a list table inet wgf_{interface} | grep -m1 handle; \
         wg show {interface} latest-handshakes | sort; wg show {interface} listen-port"
    ))
}

/// How many bytes came in and went out through an interface.
fn counted(host: &Host<'_>, interface: &str) -> Result<(u64, u64)> {
    let text = host.sh(&format!("wg show {interface} transfer"))?;
    let numbers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1).map(|word| word.parse::<u64>().unwrap());
        Some((words.next()?, words.next()?))
    });
    Ok(numbers.fold((0, 0), |sum, (rx, tx)| (sum.0 + rx, sum.1 + tx)))
}

#[test]
fn two_networks_on_one_server_carry_their_own_packets_and_each_is_worked_on_alone() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    let (hub, machine) = (lab.host("hub"), lab.host("box"));
    let (pc_a, pc_b) = (in_lan(&lab, "pc-a"), in_lan(&lab, "pc-b"));

    admin.ok(&["--network", "office", "deploy", "--yes"]);
    reaches(&machine, &pc_a);
    let (before, bytes) = (marks(&hub, "wg0")?, counted(&hub, "wg0")?);
    admin.ok(&["--network", "lab", "deploy", "--yes"]);
    assert_eq!(marks(&hub, "wg0")?, before, "deploying the other network touched this one");
    let after = counted(&hub, "wg0")?;
    assert!(after.0 >= bytes.0 && after.1 >= bytes.1, "{bytes:?} -> {after:?}");
    reaches(&machine, &pc_a);
    reaches(&machine, &pc_b);
    assert_eq!((changes(&admin, "office"), changes(&admin, "lab")), (0.into(), 0.into()));

    // Somebody who edits his own machine gets no further: the server lets nothing of one network into the other.
    let router = lab.host("router-a");
    let key = router.sh("wg show wg0 peers")?;
    let family = if pc_b.contains(':') { "-6" } else { "-4" };
    let everything = format!("wg set wg0 peer {} allowed-ips 0.0.0.0/0,::/0", key.trim());
    router.sh(&format!("{everything} && ip {family} route add {pc_b} dev wg0"))?;
    let sent = || hub.sh("cat /sys/class/net/wg1/statistics/tx_packets");
    let dropped = || hub.sh("cat /sys/class/net/wg0/statistics/rx_packets");
    let (into_lab, from_office) = (sent()?, dropped()?);
    assert_ne!(router.run(&format!("ping -n -c 3 -i 0.2 -w 3 {pc_b}"))?.status, 0, "it came through");
    assert_ne!(dropped()?, from_office, "the packets came as far as the server");
    // IPv6 itself says a word there now and then; of the pings there would be three.
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    assert!(number(&sent()?) < number(&into_lab) + 3, "and no further");
    router.sh(&format!("ip {family} route del {pc_b} dev wg0"))?;
    admin.ok(&["--network", "office", "deploy", "--yes"]);

    // What somebody does to an interface is drift of its own network.
    hub.sh("ip link set wg1 mtu 1300")?;
    assert_eq!(admin.run(&["--network", "office", "drift", "check", "hub"]).status, 0);
    assert_eq!(admin.run(&["--network", "lab", "drift", "check", "hub"]).status, 3);
    assert_eq!(changes(&admin, "office"), 0);
    let before = marks(&hub, "wg0")?;
    admin.ok(&["--network", "lab", "deploy", "--yes"]);
    assert_eq!(admin.run(&["--network", "lab", "drift", "check", "hub"]).status, 0);

    // A host goes back to an earlier version of one network; the other's later change stays.
    let peers =
        |interface: &str| -> Result<usize> { Ok(hub.sh(&format!("wg show {interface} peers"))?.lines().count()) };
    admin.ok(&["--network", "lab", "add", "remote", "phone"]);
    admin.ok(&["--network", "lab", "deploy", "--yes", "hub"]);
    assert_eq!((peers("wg0")?, peers("wg1")?), (2, 3));
    assert_eq!(marks(&hub, "wg0")?, before);
    admin.ok(&["--network", "office", "add", "remote", "tablet"]);
    admin.ok(&["--network", "office", "deploy", "--yes", "hub"]);
    assert_eq!((peers("wg0")?, peers("wg1")?), (3, 3));
    admin.ok(&["--network", "lab", "rollback", "hub", "--yes"]);
    assert_eq!((peers("wg0")?, peers("wg1")?), (3, 2));
    admin.ok(&["--network", "lab", "remove", "phone", "--yes"]);
    assert_eq!((changes(&admin, "office"), changes(&admin, "lab")), (0.into(), 0.into()));

    hub.reboot()?;
    let both_are_up = || hub.run("wg show wg0 && wg show wg1").is_ok_and(|output| output.status == 0);
    assert!(wait_until(Duration::from_secs(60), both_are_up));
    // Who waits for an answer finds out soon that the server has forgotten their session; others minutes later.
    for (network, router) in [("office", "router-a"), ("lab", "router-b")] {
        let own = admin.json(&["--network", network, "show", "hub"]);
        let address = ["address4", "address6"].into_iter().find_map(|family| own[family].as_str()).unwrap();
        reaches(&lab.host(router), address);
    }
    reaches(&machine, &pc_a);
    reaches(&machine, &pc_b);

    // One network leaves; what the other needs stays.
    let before = hub.sh("cat /sys/class/net/wg0/ifindex; sysctl -n net.ipv4.ip_forward")?;
    let gone = admin.json(&["--network", "lab", "host", "uninstall", "hub", "--yes"]);
    assert_eq!(gone["complete"], true, "{gone:#}");
    assert_eq!(hub.sh("cat /sys/class/net/wg0/ifindex; sysctl -n net.ipv4.ip_forward")?, before);
    assert_eq!(hub.sh("wg show interfaces")?.trim(), "wg0");
    assert_eq!(hub.sh("ls /etc/wireguard; nft list tables | grep wgf")?.matches("wg1").count(), 0);
    assert_eq!(changes(&admin, "office"), 0);
    reaches(&machine, &pc_a);
    assert_eq!(admin.json(&["--network", "lab", "show", "hub"])["host"], Value::Null);
    assert_eq!(admin.json(&["--network", "office", "show", "hub"])["host"], "hub");
    let gone = admin.json(&["--network", "office", "host", "uninstall", "hub", "--yes"]);
    assert_eq!(gone["complete"], true, "{gone:#}");
    assert_ne!(hub.run("test -e /var/lib/wg-friend || wg show wg0 || ls /etc/wireguard/*.conf")?.status, 0);
    Ok(())
}
