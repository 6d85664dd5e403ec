//! Internet traffic by where it leads: two destinations of one device see two public addresses. And a group of exits in a
//! network of two servers, both of which follow a switch.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wg_friend_lab::process::wait_until;
use wg_friend_lab::{Lab, Result, Spec};

use super::family::{lab_or_skip, of_inside};
use super::office::Admin;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     network web 203.0.113.0/24 2001:db8:113::/64 routed\n\
     host ctl internet:2 controller\n\
     host hub internet:10\n\
     host south internet:11\n\
     host exit-a internet:21\n\
     host exit-b internet:22\n\
     host alice internet:101\n\
     host bob internet:102\n\
     host www web:80 web ssh=no\n\
     host shop web:81 web ssh=no\n"
        .parse()
        .unwrap()
}

fn make(admin: &Admin<'_>, servers: &[&str]) {
    admin.init("small");
    for server in servers {
        let endpoint = admin.lab.host(server).address().to_string();
        admin.ok(&["add", "server", server, "--endpoint", &endpoint, "--ssh", server]);
    }
    for exit in ["exit-a", "exit-b"] {
        let endpoint = admin.lab.host(exit).address().to_string();
        admin.ok(&["add", "exit", exit, "--endpoint", &endpoint, "--ssh", exit]);
    }
    admin.ok(&["add", "remote", "alice", "bob"]);
}

/// Returns a host's addresses in the families of the run, with commas.
fn addresses(lab: &Lab, host: &str) -> String {
    of_inside(lab.host(host).addresses()).iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// Returns the addresses by which a web host sees a remote, over each family of the run.
fn seen(lab: &Lab, remote: &str, web: &str) -> Result<Vec<IpAddr>> {
    let mut seen = Vec::new();
    for address in of_inside(lab.host(web).addresses()) {
        let to = SocketAddr::new(address, 80);
        let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socat -t 2 - TCP:{to},connect-timeout=2");
        let output = lab.host(remote).run(&ask)?;
        let last = output.stdout.lines().last().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        seen.extend(last.parse::<IpAddr>());
    }
    Ok(seen)
}

/// Waits until a web host sees a remote come from this host, or not at all.
fn arrives_from(lab: &Lab, remote: &str, web: &str, from: Option<&str>) -> Result {
    let wanted = from.map_or_else(Vec::new, |from| of_inside(lab.host(from).addresses()));
    let mut last = Ok(Vec::new());
    let there = wait_until(Duration::from_secs(60), || {
        last = seen(lab, remote, web);
        last.as_ref().map_or(true, |seen| *seen == wanted)
    });
    let seen = last?;
    assert!(there, "{web} sees {remote} as {seen:?}, not as {wanted:?}");
    Ok(())
}

#[test]
fn two_destinations_see_two_public_addresses_of_one_device() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin, &["hub"]);
    let (www, shop) = (addresses(&lab, "www"), addresses(&lab, "shop"));
    admin.ok(&["exit", "assign", "alice", "exit-a"]);
    for remote in ["alice", "bob"] {
        admin.ok(&["exit", "rule", "add", remote, &shop, "exit-b"]);
    }
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b"])?;
    admin.hand_out("alice", str::to_owned)?;
    admin.hand_out("bob", str::to_owned)?;
    arrives_from(&lab, "alice", "www", Some("exit-a"))?;
    arrives_from(&lab, "alice", "shop", Some("exit-b"))?;
    // Bob's tunnel carries what the rule names and nothing else of the internet.
    arrives_from(&lab, "bob", "www", Some("bob"))?;
    arrives_from(&lab, "bob", "shop", Some("exit-b"))?;

    // One destination leaves at the server, and of the other one port is blocked: a change of the server alone.
    let file = lab.host("alice").read("/etc/wireguard/wg0.conf")?;
    let changed = admin.json(&["exit", "rule", "add", "alice", &www, "direct"]);
    assert_eq!((&changed["deploy"], &changed["new_files"]), (&serde_json::json!(["hub"]), &serde_json::json!([])));
    let port = ["--protocol", "tcp", "--port", "80", "--position", "1"];
    admin.ok(&[&["exit", "rule", "add", "alice", &shop, "block"], port.as_slice()].concat());
    admin.ok(&["deploy", "hub", "--yes"]);
    arrives_from(&lab, "alice", "www", Some("hub"))?;
    arrives_from(&lab, "alice", "shop", None)?;
    arrives_from(&lab, "bob", "shop", Some("exit-b"))?;
    let first = shop.split(',').next().unwrap();
    // Another port of the blocked one still leaves by its exit.
    let answer = admin.json(&["can", "alice", &SocketAddr::new(first.parse().unwrap(), 443).to_string()]);
    let because = answer["answers"][0]["decided_by"]["text"].as_str().unwrap_or_default().to_owned();
    assert!(because.contains("rule 2 of alice") && because.contains("exit-b"), "{answer:#}");
    assert_eq!(lab.host("alice").read("/etc/wireguard/wg0.conf")?, file, "no change on the device");
    assert_eq!(admin.json(&["plan"])["changes"], 0, "nothing is left to do");

    // A rule whose exit can't be used lets nothing pass, and nothing out by another way.
    admin.ok(&["disable", "exit-b"]);
    admin.ok(&["deploy", "hub", "--yes"]);
    arrives_from(&lab, "bob", "shop", None)?;
    arrives_from(&lab, "alice", "www", Some("hub"))
}

#[test]
fn a_group_of_exits_switches_on_both_servers_of_a_network() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    make(&admin, &["hub", "south"]);
    admin.ok(&["set", "bob", "server=south"]);
    admin.ok(&["exit", "group", "add", "europe", "exit-a=10", "exit-b=20"]);
    admin.ok(&["exit", "assign", "network", "europe"]);
    admin.deploy();
    admin.wait_for(&["exit-a", "exit-b", "south"])?;
    for remote in ["alice", "bob"] {
        admin.hand_out(remote, str::to_owned)?;
        arrives_from(&lab, remote, "www", Some("exit-a"))?;
    }
    let files = || -> Result<Vec<String>> {
        ["alice", "bob"].iter().map(|host| lab.host(host).read("/etc/wireguard/wg0.conf")).collect()
    };
    let before = files()?;
    let switched = admin.json(&["exit", "failover", "europe", "--yes"]);
    assert_eq!((&switched["from"], &switched["to"]), (&"exit-a".into(), &"exit-b".into()), "{switched:#}");
    assert_eq!(switched["hosts"].as_array().map(Vec::len), Some(2), "{switched:#}");
    for remote in ["alice", "bob"] {
        arrives_from(&lab, remote, "www", Some("exit-b"))?;
    }
    assert_eq!((files()?, &admin.json(&["plan"])["changes"]), (before, &0.into()), "only routes moved");

    // An exit that can't be used any more: the next deploy takes both servers to the other one.
    admin.ok(&["disable", "exit-b"]);
    admin.ok(&["deploy", "--yes"]);
    for remote in ["alice", "bob"] {
        arrives_from(&lab, remote, "www", Some("exit-a"))?;
    }
    Ok(())
}
