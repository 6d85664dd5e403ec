//! Nobody's packets are lost while somebody else's peers, addresses, routes and rules change.

use std::collections::BTreeMap;

use wg_friend_lab::{Lab, Result, Spec, lab_or_skip};

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
        lab.ping_stream("remote3", "10.66.0.1", 100)?,
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
    admin.ok(&["set", "hub", "address=10.66.0.1,fd66::1234"]);
    let rules = lab.host("hub").sh("nft list ruleset")?;
    admin.deploy();
    assert_ne!(lab.host("hub").sh("nft list ruleset")?, rules);
    assert!(lab.host("hub").sh("ip route get 192.168.99.7")?.contains("dev wg0"));
    assert!(lab.host("hub").sh("ip -6 addr show dev wg0")?.contains("fd66::1234"));

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
