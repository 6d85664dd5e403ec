//! Nobody's packets are lost while somebody else's peers, addresses, routes and rules change.

use std::collections::BTreeMap;

use wg_friend_lab::{Lab, Result, Spec};

use super::family::{Family, addressed, inside, lab_or_skip};
use super::office::Admin;

/// What `wg show` says of each peer of the hub: its endpoint, and the bytes it sent and received.
fn peers(lab: &Lab) -> Result<BTreeMap<String, (String, u64, u64)>> {
    let dump = lab.host("hub").sh("wg show wg0 dump")?;
    let peer = |line: &str| {
        let field: Vec<&str> = line.split('\t').collect();
        (field[0].to_owned(), (field[2].to_owned(), field[5].parse().unwrap(), field[6].parse().unwrap()))
    };
    Ok(dump.lines().skip(1).map(peer).collect())
}

#[test]
fn a_hundred_pings_a_second_lose_none_while_twenty_peers_a_route_an_address_and_the_firewall_change() -> Result {
    let lab = lab_or_skip!(Spec::office());
    let admin = Admin::new(&lab);
    admin.make_office();
    admin.deploy();
    admin.wait_for(&["router-a", "router-b", "exit-a", "exit-b"])?;
    for remote in ["remote1", "remote3"] {
        admin.hand_out(remote, str::to_owned)?;
    }
    let key = lab.host("remote3").sh("wg show wg0 public-key")?;
    let to_lan = lab.host("pc-a").address().to_string();
    let to_peer = admin.addresses("remote1")[0].to_string();
    let streams = [
        lab.ping_stream("remote3", &to_lan, 100)?,
        lab.ping_stream("remote3", &to_peer, 100)?,
        lab.ping_stream("remote3", &addressed("10.66.0.1"), 100)?,
    ];
    let before = peers(&lab)?;

    let names: Vec<String> = (1..=20).map(|n| format!("guest{n}")).collect();
    let guests: Vec<&str> = names.iter().map(String::as_str).collect();
    admin.ok(&[&["add", "remote"], &guests[..]].concat());
    admin.deploy();
    assert_eq!(peers(&lab)?.len(), before.len() + 20);

    for guest in &guests {
        admin.ok(&["set", guest, "access=vpn-only", "keepalive=15"]);
    }
    admin.ok(&["set", "router-b", "lan+=192.168.99.0/24=annex"]);
    // Another address of the server, while it is asked by its first.
    let (other, setting) = match inside() {
        Family::Dual => ("fd66::1234".to_owned(), ["set", "hub", "address=10.66.0.1,fd66::1234"].as_slice()),
        _ => (addressed("10.66.0.222"), ["interface", "set", "hub", "wg0", "address+=10.66.0.222/32"].as_slice()),
    };
    admin.ok(setting);
    let rules = lab.host("hub").sh("nft list ruleset")?;
    admin.deploy();
    assert_ne!(lab.host("hub").sh("nft list ruleset")?, rules);
    assert!(lab.host("hub").sh(&addressed("ip route get 192.168.99.7"))?.contains("dev wg0"));
    assert!(lab.host("hub").sh("ip addr show dev wg0")?.contains(&other));

    admin.ok(&[&["remove", "--yes"], &guests[..]].concat());
    admin.deploy();

    let after = peers(&lab)?;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (peer, (endpoint, sent, received)) in &before {
        let now = &after[peer];
        assert_eq!(&now.0, endpoint, "the endpoint of {peer}");
        assert!(now.1 >= *sent && now.2 >= *received, "the counters of {peer} went back");
    }
    assert!(after[&key].1 > before[&key].1 && after[&key].2 > before[&key].2);
    for stream in streams {
        let report = stream.stop()?;
        assert!(report.sent > 500, "{report:?}");
        assert_eq!(report.lost, 0, "{report:?}");
    }
    Ok(())
}

/// How the host's script exchanges a table, without the rest of it.
fn exchange() -> &'static str {
    let script = include_str!("../../../templates/host/deploy.sh");
    let begin = script.find("# The sets, maps and chains of a table").expect("it has a heading");
    let end = script.find("# Lets the interfaces that listened").expect("so has what comes next");
    &script[begin..end]
}

#[test]
fn a_firewall_whose_sets_and_chains_come_and_go_loses_no_packet_either() -> Result {
    let lab = lab_or_skip!(Spec::pair());
    let admin = Admin::new(&lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "remote", "b"]);
    admin.ok(&["add", "remote", "ctl"]);
    admin.deploy();
    for remote in ["b", "ctl"] {
        admin.hand_out(remote, str::to_owned)?;
    }
    let host = lab.host("a");
    let one = host.sh("nft list table inet wgf_wg0")?;
    // Another version of the rules: sets that the rules look into have other names, and there is a chain more.
    let chain = "\tchain further {\n\t\ttype filter hook forward priority 7; policy accept;\n\t}\n}";
    let two = one.replace("network4", "members4").replace("network6", "members6");
    let two = format!("{}\n{chain}\n", two.trim_end().strip_suffix('}').expect("a table ends"));
    assert!(two.contains("@members4"), "the rules look into the set:\n{two}");
    host.write("/root/one.nft", format!("{}\n", one.trim_end()))?;
    host.write("/root/two.nft", two)?;
    host.write("/root/exchange.sh", exchange())?;

    let to_peer = admin.addresses("ctl")[0].to_string();
    let stream = lab.ping_stream("b", &to_peer, 500)?;
    host.sh("set -e; . /root/exchange.sh\n\
             for n in $(seq 60); do w_load_table /root/two.nft wgf_wg0; w_load_table /root/one.nft wgf_wg0; done")?;
    let report = stream.stop()?;
    assert!(report.sent > 500, "{report:?}");
    assert_eq!(report.lost, 0, "{report:?}");
    let lines = |text: &str| -> std::collections::BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    assert_eq!(lines(&host.sh("nft list table inet wgf_wg0")?), lines(&one), "nothing is left over");
    Ok(())
}
