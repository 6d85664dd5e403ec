//! All of a group's traffic by another exit, with real packets: the internet sees another address, no device is told, and
//! nobody else loses a packet.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::Value;
use wg_friend_lab::{Lab, Result, Spec};

use super::family::{Family, addressed, inside, lab_or_skip, lacks_ipv6, leaves_within, of_inside, seen_as};
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     network web 203.0.113.0/24 2001:db8:113::/64 routed\n\
     host ctl internet:2 controller\n\
     host hub internet:10\n\
     host exit-a internet:21\n\
     host exit-b internet:22\n\
     host alice internet:101\n\
     host bob internet:102\n\
     host carol internet:103\n\
     host www web:80 web ssh=no\n"
        .parse()
        .unwrap()
}

fn make(admin: &Admin<'_>) {
    admin.init("small");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--address", "10.66.0.1", "--ssh", "hub"]);
    for exit in ["exit-a", "exit-b"] {
        let endpoint = admin.lab.host(exit).address().to_string();
        admin.ok(&["add", "exit", exit, "--endpoint", &endpoint, "--ssh", exit]);
    }
    admin.ok(&["exit", "group", "add", "europe", "exit-a=10", "exit-b=20"]);
    admin.ok(&["add", "remote", "alice"]);
    admin.ok(&["add", "remote", "bob", "--exit", "exit-a"]);
    admin.ok(&["add", "remote", "carol"]);
    admin.ok(&["exit", "assign", "alice", "europe"]);
    admin.ok(&["exit", "assign", "carol", "none"]);
}

/// Waits until the web host sees a remote come from this host, over both families.
fn leaves_by(lab: &Lab, remote: &str, exit: &str) -> Result {
    leaves_within(Duration::from_secs(60), lab, remote, Some(exit))
}

/// Returns how long the two commands of a switch take on the server, there and back again.
fn switching_takes(lab: &Lab) -> Result<Vec<Duration>> {
    let swap = |to: &str| {
        format!(
            "b=$(date +%s%N); ip -4 route replace default dev {to} table 7790001 && \
             ip -6 route replace default dev {to} table 7790001; e=$(date +%s%N); echo $((e - b))"
        )
    };
    let mut taken = Vec::new();
    for to in ["wgx1", "wgx2"].repeat(5) {
        let nanoseconds = lab.host("hub").sh(&swap(to))?;
        taken.push(Duration::from_nanos(nanoseconds.trim().parse().unwrap()));
    }
    Ok(taken)
}

#[test]
fn a_group_goes_by_another_exit_and_nobody_else_loses_a_packet() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b"])?;
    for remote in ["alice", "bob", "carol"] {
        admin.hand_out(remote, str::to_owned)?;
    }
    leaves_by(&lab, "alice", "exit-a")?;
    leaves_by(&lab, "bob", "exit-a")?;
    let file = lab.host("alice").read("/etc/wireguard/wg0.conf")?;
    let rules = lab.host("hub").sh("nft list ruleset; ip rule; ip -6 rule")?;

    let www = of_inside(lab.host("www").addresses())[0];
    let to_bob = admin.addresses("bob")[0].to_string();
    let others = [
        lab.ping_stream("bob", &www.to_string(), 50)?,
        lab.ping_stream("carol", &to_bob, 50)?,
        lab.ping_stream("alice", &addressed("10.66.0.1"), 50)?,
    ];
    // A download of alice's own, of a few megabits a second: what fills every queue loses packets whatever happens. It ends
    // with the address that it came from, and begins anew from the other one.
    let page = "while head -c 20000 /dev/zero; do sleep 0.05; done";
    lab.host("www").write("/root/page.sh", page)?;
    lab.host("www").sh(
        "setsid socat TCP6-LISTEN:8080,ipv6only=0,fork,reuseaddr EXEC:'sh /root/page.sh' </dev/null >/dev/null 2>&1 & \
         until ss -Hltn 'sport = :8080' | grep -q .; do kill -0 $! || exit 1; sleep 0.01; done",
    )?;
    let mut download =
        lab.host("alice").spawn(&format!("socat -u TCP:{} OPEN:/dev/null", SocketAddr::new(www, 8080)))?;
    let received = || {
        lab.host("alice")
            .sh("wg show wg0 transfer")
            .map(|t| t.split('\t').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0))
    };
    let (begin, until) = (received()?, Instant::now() + Duration::from_secs(30));
    while received()? < begin + 500_000 {
        assert!(Instant::now() < until, "the download doesn't begin");
    }

    let plan = admin.json(&["exit", "failover", "europe", "--dry-run"]);
    let all = plan["plan"]["hosts"][0]["changes"].as_array().cloned().unwrap_or_default();
    assert!(!all.is_empty() && all.iter().all(|change| change["disruption"] == "live"), "{plan:#}");
    let switched = admin.json(&["exit", "failover", "europe", "--yes"]);
    assert_eq!((&switched["from"], &switched["to"]), (&"exit-a".into(), &"exit-b".into()), "{switched:#}");
    assert_eq!(switched["hosts"].as_array().map(Vec::len), Some(1), "{switched:#}");
    leaves_by(&lab, "alice", "exit-b")?;
    leaves_by(&lab, "bob", "exit-a")?;
    download.signal(rustix::process::Signal::TERM);
    let _ended = download.child().wait();

    for (who, stream) in ["bob", "carol", "alice"].into_iter().zip(others) {
        let report = stream.stop()?;
        assert!(report.sent > 50, "{who}: {report:?}");
        assert_eq!(report.lost, 0, "{who}: {report:?}");
    }
    assert_eq!(lab.host("alice").read("/etc/wireguard/wg0.conf")?, file, "no change on the remote");
    assert_eq!(lab.host("hub").sh("nft list ruleset; ip rule; ip -6 rule")?, rules, "only routes moved");
    assert_eq!(admin.json(&["plan"])["changes"], 0, "nothing is left to do");
    let taken = switching_takes(&lab)?;
    println!("the two commands of a switch took {taken:?} on the server");
    assert!(taken.iter().min().is_some_and(|best| *best < Duration::from_millis(100)), "{taken:?}");
    let history = admin.json(&["exit", "history"]);
    let reasons: Vec<&str> =
        history["switches"].as_array().unwrap().iter().filter_map(|s: &Value| s["reason"].as_str()).collect();
    assert_eq!(reasons, ["manual", "initial_assignment"]);
    Ok(())
}

#[test]
fn with_the_kill_switch_nothing_leaves_while_no_exit_can_be_used() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    admin.ok(&["set", "alice", "kill-switch=yes"]);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b"])?;
    admin.hand_out("alice", str::to_owned)?;
    leaves_by(&lab, "alice", "exit-a")?;
    admin.ok(&["disable", "exit-a"]);
    admin.ok(&["deploy", "hub", "--yes"]);
    leaves_by(&lab, "alice", "exit-b")?;
    admin.ok(&["disable", "exit-b"]);
    admin.ok(&["deploy", "hub", "--yes"]);
    assert!(seen_as(&lab, "alice")?.is_empty());
    // Not even with a file made anew: it still sends everything into the tunnel.
    admin.hand_out("alice", str::to_owned)?;
    assert!(seen_as(&lab, "alice")?.is_empty());
    lab.host("alice").sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    // Without the kill switch, its own connection carries what the tunnel doesn't.
    admin.ok(&["set", "alice", "kill-switch=no"]);
    admin.hand_out("alice", str::to_owned)?;
    leaves_by(&lab, "alice", "alice")
}

#[test]
fn what_the_internet_routes_to_an_exit_is_seen_with_its_own_address() -> Result {
    if lacks_ipv6("the prefix that is routed to the exit is one of IPv6") {
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin);
    admin.ok(&["set", "exit-a", "routed=fd66::/64"]);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b"])?;
    admin.hand_out("alice", str::to_owned)?;
    let own = admin.addresses("alice").into_iter().find(IpAddr::is_ipv6).unwrap();
    // Whether the answers find their way back is for the provider to see to: here counts what leaves.
    let count = "nft add table inet seen; nft 'add chain inet seen out { type filter hook postrouting priority 300; }'; \
                 nft \"add rule inet seen out oifname eth0 ip6 saddr SOURCE counter\"";
    lab.host("exit-a").sh(&count.replace("SOURCE", &own.to_string()))?;
    let (www, until) = (lab.host("www").address6().unwrap(), Instant::now() + Duration::from_secs(30));
    let seen = || lab.host("exit-a").sh("nft list table inet seen").map(|text| !text.contains("counter packets 0 "));
    while !seen()? {
        assert!(Instant::now() < until, "nothing leaves with the device's own address");
        let _unanswered = lab.host("alice").run(&format!("ping -6 -n -c 1 -W 1 {www}"))?;
    }
    // What isn't routed there is masqueraded as before.
    if inside() == Family::Dual {
        assert_eq!(lab.seen_address("alice")?, Some(lab.host("exit-a").address()));
    }
    Ok(())
}
