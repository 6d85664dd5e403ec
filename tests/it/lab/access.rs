//! Rights that change while devices keep their files, rights that end by themselves, and a network that moves to other
//! addresses.

use std::net::IpAddr;

use serde_json::Value;
use wg_friend_lab::{Host, Lab, Protocol, Result, Spec};

use super::family::{Family, addressed, inside, lab_or_skip};
use super::office::{Admin, of_this_run};

/// The PCs behind the two routers, for [`addressed`].
const PC_A: &str = "192.168.11.50";
const PC_B: &str = "192.168.12.50";
const PORT: u16 = 8080;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     network lan-a 192.168.11.0/24 fd0a:11::/64\n\
     network lan-b 192.168.12.0/24 fd0a:12::/64\n\
     host ctl internet:2 controller\n\
     host hub internet:10\n\
     host router-a internet:11 lan-a:1\n\
     host router-b internet:12 lan-b:1\n\
     host pc-a lan-a:50 gateway=router-a ssh=no\n\
     host pc-b lan-b:50 gateway=router-b ssh=no\n\
     host phone internet:21\n\
     host tablet internet:22\n"
        .parse()
        .unwrap()
}

/// A server, a router with a LAN, a phone that may reach everything and a tablet that may reach the network.
fn office(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("office");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--address", "10.66.0.1", "--ssh", "hub"]);
    admin.add_router("router-a", ["192.168.11.0/24", "fd0a:11::/64"]);
    admin.ok(&["add", "remote", "phone"]);
    admin.ok(&["add", "remote", "tablet", "--access", "vpn-only"]);
    admin
}

fn address(text: &str) -> IpAddr {
    addressed(text).parse().unwrap()
}

#[test]
fn a_lan_is_added_and_rights_change_while_stable_clients_keep_their_files() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    admin.ok(&["set", "network", "stable-clients=yes"]);
    admin.deploy();
    for device in ["phone", "tablet"] {
        admin.hand_out(device, str::to_owned)?;
    }
    admin.wait_for(&["router-a", "phone", "tablet"])?;
    let ping = |from: &str, to: &str| lab.reaches(from, address(to), Protocol::Icmp);
    assert_eq!([ping("phone", PC_A)?, ping("tablet", PC_A)?], [true, false], "the same file, other rights");

    // A second LAN, with a router of its own: nobody needs a new file, and the server lets in who may.
    let added = admin.add_router("router-b", ["192.168.12.0/24", "fd0a:12::/64"]);
    assert_eq!(added["new_files"], serde_json::json!([]), "{added:#}");
    let plan = admin.json(&["plan"]);
    assert_eq!(plan["blast"]["devices"], serde_json::json!([]), "{plan:#}");
    admin.deploy();
    admin.wait_for(&["router-b"])?;
    assert_eq!([ping("phone", PC_B)?, ping("tablet", PC_B)?], [true, false]);
    if inside() == Family::Dual {
        assert_eq!([ping("phone", "fd0a:12::32")?, ping("tablet", "fd0a:12::32")?], [true, false]);
    }

    // Levels change places, and still nobody needs a new file.
    admin.ok(&["set", "tablet", "access=full"]);
    let changed = admin.json(&["set", "phone", "access=lan-only", "allow-lan=192.168.12.0/24"]);
    assert_eq!(changed["new_files"], serde_json::json!([]), "{changed:#}");
    admin.deploy();
    assert_eq!([ping("phone", PC_A)?, ping("tablet", PC_A)?], [false, true]);
    assert_eq!([ping("phone", PC_B)?, ping("tablet", PC_B)?], [true, true]);
    let no = admin.run(&["can", "phone", PC_A]);
    assert_eq!(no.status, 3, "{}", no.stdout);
    assert!(no.stdout.contains("access lan-only of phone doesn't include"), "{}", no.stdout);
    assert_eq!(admin.json(&["handouts", "phone"])["device"]["state"], "up_to_date");
    Ok(())
}

/// Keeps a TCP connection from a device to a port open, which says the time five times a second; what arrives is in `/run/heard`.
fn talk(from: &Host<'_>, to: &Host<'_>) -> Result {
    to.sh(&format!(
        "rm -f /run/heard; setsid socat -u TCP6-LISTEN:{PORT},ipv6only=0,reuseaddr CREATE:/run/heard </dev/null >/dev/null 2>&1 & \
         until ss -Hltn 'sport = :{PORT}' | grep -q .; do sleep 0.05; done"
    ))?;
    let pc = addressed(&format!("{PC_A}:{PORT}"));
    from.sh(&format!(
        "setsid sh -c 'while date +%s; do sleep 0.2; done | socat -u - TCP:{pc},connect-timeout=20' \
         </dev/null >/dev/null 2>&1 &"
    ))?;
    to.sh("for i in $(seq 300); do [ -s /run/heard ] && exit 0; sleep 0.1; done; exit 1").map(drop)
}

/// Returns the last second of which something was heard.
fn last_heard(pc: &Host<'_>) -> Result<i64> {
    Ok(pc.sh("tail -n 1 /run/heard")?.trim().parse().expect("it says seconds"))
}

/// Nothing more of a connection is heard from now on.
fn has_ended(from: &Host<'_>, to: &Host<'_>) -> Result {
    let at = from.sh("date +%s")?.trim().parse::<i64>().unwrap();
    from.sh(&format!("until [ $(date +%s) -gt {} ]; do sleep 0.2; done", at + 4))?;
    assert!(last_heard(to)? <= at, "a connection outlived the right it stood on");
    from.run("pkill -x socat").map(drop)
}

#[test]
fn a_grant_ends_on_the_server_by_itself_and_takes_the_connections_that_stand_on_it_along() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    admin.deploy();
    admin.ok(&["group", "add", "contractors", "tablet"]);
    admin.ok(&["grant", "contractors", PC_A, "tcp", "8080", "--for", "100s", "--note", "the test"]);
    admin.deploy();
    admin.hand_out("tablet", str::to_owned)?;
    admin.wait_for(&["router-a", "tablet"])?;
    let (tablet, pc) = (lab.host("tablet"), lab.host("pc-a"));
    assert!(!lab.reaches("tablet", address(PC_A), Protocol::Icmp)?, "only what is granted");
    talk(&tablet, &pc)?;
    let grants = admin.json(&["grants", "tablet"]);
    let until = grants["grants"][0]["until"].as_str().unwrap();
    let until = until.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp();
    assert!(last_heard(&pc)? < until, "the lab was too slow for this test");

    // Nobody does anything. It goes on until then and not beyond.
    tablet.sh(&format!("until [ $(date +%s) -gt {} ]; do sleep 0.2; done", until + 4))?;
    let heard = last_heard(&pc)?;
    assert!((until - 3..=until).contains(&heard), "heard until {heard}, granted until {until}");
    assert_eq!(admin.json(&["grants"])["grants"][0]["over"], true);
    let plan = admin.json(&["plan"]);
    let changes = |plan: &Value| -> usize {
        plan["hosts"].as_array().unwrap().iter().map(|host| host["changes"].as_array().unwrap().len()).sum()
    };
    assert_eq!(changes(&plan), 0, "what ends by itself is no difference: {plan:#}");
    admin.ok(&["drift", "check"]);
    let no = admin.run(&["can", "tablet", "192.168.11.50:8080"]);
    assert!(no.status == 3 && no.stdout.contains("has ended"), "{}", no.stdout);

    // Given for good, then taken away by hand: the connection ends with the deploy.
    tablet.run("pkill -x socat")?;
    admin.ok(&["grant", "contractors", PC_A, "tcp", "8080"]);
    admin.deploy();
    talk(&tablet, &pc)?;
    admin.ok(&["revoke", "contractors", PC_A]);
    admin.deploy();
    has_ended(&tablet, &pc)?;

    // So it does when a LAN is no longer among those of its level.
    let lans = |lans: &[&str]| {
        let lans = lans.iter().filter(|lan| of_this_run(lan)).zip(["=", "+=", "+=", "+="]);
        let lans: Vec<String> = lans.map(|(lan, how)| format!("allow-lan{how}{lan}")).collect();
        let words = ["set", "tablet", "access=lan-only"].into_iter().chain(lans.iter().map(String::as_str));
        admin.ok(&words.collect::<Vec<_>>());
    };
    admin.add_router("router-b", ["192.168.12.0/24", "fd0a:12::/64"]);
    lans(&["192.168.11.0/24", "fd0a:11::/64", "192.168.12.0/24", "fd0a:12::/64"]);
    admin.deploy();
    admin.hand_out("tablet", str::to_owned)?;
    admin.wait_for(&["tablet"])?;
    talk(&tablet, &pc)?;
    lans(&["192.168.12.0/24", "fd0a:12::/64"]);
    admin.deploy();
    has_ended(&tablet, &pc)?;
    Ok(())
}

#[test]
fn a_network_moves_to_other_prefixes_and_does_without_ipv4() -> Result {
    if inside() != Family::Dual {
        eprintln!("skipped: it takes a network of both families, and is about taking one of them away");
        return Ok(());
    }
    let lab = lab_or_skip!(spec());
    let admin = office(&lab);
    admin.ok(&["set", "network", "dns=10.66.0.1"]);
    admin.ok(&["grant", "tablet", "router-a", "icmp"]);
    admin.deploy();
    admin.hand_out("phone", str::to_owned)?;
    admin.wait_for(&["router-a", "phone"])?;

    let moved = admin.json(&["network", "set", "cidr=10.77.0.0/23", "cidr6=fd77::/64"]);
    assert_eq!(moved["new_files"], serde_json::json!(["phone", "tablet"]), "{moved:#}");
    assert_eq!(moved["deploy"], serde_json::json!(["hub", "router-a"]), "{moved:#}");
    assert_eq!(admin.json(&["network", "show"])["dns"], serde_json::json!(["10.77.0.1"]));
    let plan = admin.json(&["plan"]);
    assert_eq!(plan["blast"]["devices"][0]["node"], "phone", "{plan:#}");
    admin.ok(&["deploy", "--yes", "--no-handshake-check"]);
    admin.hand_out("phone", str::to_owned)?;
    admin.wait_for(&["router-a", "phone"])?;
    for to in ["10.77.0.1", "10.77.0.20", "fd77::1", "fd77::14", PC_A, "fd0a:11::32"] {
        assert!(lab.reaches("phone", address(to), Protocol::Icmp)?, "{to}");
    }
    assert!(!lab.host("hub").sh("ip address show wg0; ip route; ip -6 route")?.contains("10.66."), "nothing is left");

    // Without IPv4, and with it again.
    let refused = admin.run(&["network", "set", "cidr=none"]);
    assert!(refused.status == 1 && refused.stderr.contains("192.168.11.0/24"), "{}", refused.stderr);
    admin.ok(&["set", "router-a", "lan-=192.168.11.0/24"]);
    admin.ok(&["network", "set", "cidr=none"]);
    admin.ok(&["deploy", "--yes", "--no-handshake-check"]);
    admin.hand_out("phone", str::to_owned)?;
    lab.host("hub").sh("ping -n -c 1 -w 30 fd77::1e")?;
    for to in ["fd77::1", "fd77::14", "fd0a:11::32"] {
        assert!(lab.reaches("phone", address(to), Protocol::Icmp)?, "{to}");
    }
    assert!(!lab.host("hub").sh("ip -4 address show wg0")?.contains("10.77."), "no IPv4 is left");
    admin.ok(&["network", "set", "cidr=10.77.0.0/23"]);
    admin.ok(&["deploy", "--yes", "--no-handshake-check"]);
    admin.hand_out("phone", str::to_owned)?;
    admin.wait_for(&["router-a", "phone"])?;
    assert!(lab.reaches("phone", address("10.77.0.20"), Protocol::Icmp)?);
    Ok(())
}
