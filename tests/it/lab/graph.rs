//! Several servers and direct links, with real packets.

use wg_friend_lab::{HostSpec, Lab, Result, Spec};

use super::can::{Survey, change_everything, first_of_run};
use super::edits::Dice;
use super::family::{addressed, lab_or_skip};
use super::office::{Admin, REMOTES};

/// The nodes of the office that aren't devices, with a second server.
const STATIONS: [&str; 6] = ["hub", "hub2", "router-a", "router-b", "exit-a", "exit-b"];

/// The office with a host for a second server.
fn spec() -> Spec {
    Spec::office().host(HostSpec::new("hub2").on("internet", 13))
}

/// Makes the office with a second server, to which a router, an exit and some remotes belong.
fn make(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.make_office();
    admin.ok(&["add", "server", "hub2", "--endpoint", "198.51.100.13", "--address", "10.66.0.2", "--ssh", "hub2"]);
    for node in ["router-b", "exit-b", "remote2", "remote3", "remote6"] {
        admin.ok(&["set", node, "server=hub2"]);
    }
    admin.ok(&["set", "router-b", &format!("endpoint={}", lab.host("router-b").address())]);
    admin
}

/// Gives nodes other servers and links.
fn rearrange(admin: &Admin<'_>, dice: &mut Dice) {
    let all = || STATIONS.into_iter().chain(REMOTES.iter().map(|(name, _)| *name));
    for node in all().filter(|node| !node.starts_with("hub")) {
        admin.run(&["set", node, &format!("server={}", dice.pick(&["hub", "hub2"]))]);
    }
    let names: Vec<&str> = all().collect();
    for (at, a) in names.iter().enumerate() {
        names[at + 1..].iter().for_each(|b| drop(admin.run(&["unlink", a, b])));
    }
    for _ in 0..6 {
        let (a, b) = (dice.pick(&names), dice.pick(&names));
        // What can't be linked is refused.
        admin.run(&["link", a, b, "--weight", dice.pick(&["1", "1", "2", "3"])]);
    }
}

#[test]
fn over_several_servers_and_direct_links_packets_go_where_the_model_says() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab);
    let mut survey = Survey::begin(&admin, &STATIONS)?;
    survey.compare(0)?;
    let networks = if std::env::var_os("WGF_LONG").is_some_and(|value| value == "1") { 50 } else { 2 };
    for seed in first_of_run().max(1)..networks {
        let mut dice = Dice(seed);
        change_everything(&admin, &mut dice);
        rearrange(&admin, &mut dice);
        survey.compare(seed)?;
    }
    survey.end(networks)
}

#[test]
fn a_direct_link_that_fails_stays_down_until_it_is_taken_away() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab);
    admin.deploy();
    let pc_b = lab.host("pc-b").address();
    let reaches = |seconds: u32| lab.host("pc-a").run(&format!("ping -n -c 1 -w {seconds} {pc_b}"));
    assert_eq!(reaches(30)?.status, 0, "by way of both servers");
    let through = |router: &str, peer: &str| -> Result<bool> {
        // What the router sends to one address in the other LAN goes to this peer.
        let peer = admin.json(&["show", peer])["interfaces"][0]["public_key"].as_str().unwrap().to_owned();
        let allowed = lab.host(router).sh("wg show wg0 allowed-ips")?;
        Ok(allowed.lines().any(|line| line.starts_with(&peer) && line.contains(&addressed("192.168.12.0/24"))))
    };
    assert!(through("router-a", "hub")?);

    let linked = admin.json(&["link", "router-a", "router-b"]);
    assert_eq!(linked["deploy"], serde_json::json!(["router-a", "router-b"]), "nobody else is concerned: {linked:#}");
    admin.deploy();
    assert!(through("router-a", "router-b")?);
    assert_eq!(reaches(30)?.status, 0, "by the direct link");

    // Something between the two lets no packet through any more: nothing goes another way by itself.
    let wall = "nft add table inet wall; nft add chain inet wall in '{ type filter hook input priority -300; }'; \
                nft add rule inet wall in";
    let [a, b] = ["router-a", "router-b"].map(|name| lab.host(name));
    let behind = |host: &str| {
        let address = lab.host(host).address();
        format!("{} saddr {address}", if address.is_ipv4() { "ip" } else { "ip6" })
    };
    a.sh(&format!("{wall} {} udp dport 1-65535 drop", behind("router-b")))?;
    b.sh(&format!("{wall} {} udp dport 1-65535 drop", behind("router-a")))?;
    assert_ne!(reaches(3)?.status, 0, "a link that is down stays down");

    // Without the link it is the servers' way again, with one live change on each.
    admin.ok(&["unlink", "router-a", "router-b"]);
    admin.deploy();
    assert!(through("router-a", "hub")?);
    assert_eq!(reaches(30)?.status, 0, "by way of both servers again");
    Ok(())
}
