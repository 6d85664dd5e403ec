//! Nodes get other keys while packets flow: the hosts at the other ends know the next key before it is used, and go by the
//! present one until then.

use std::time::Duration;

use serde_json::Value;
use wg_friend_lab::process::wait_until;
use wg_friend_lab::{HostSpec, Lab, PingReport, PingStream, Result, Spec};

use super::family::{addressed, lab_or_skip, leaves_within, of_inside};
use super::office::{Admin, DOWN};

/// Where the loop of the server is.
const SCRIPT: &str = "/etc/wireguard/wgf-handover-wg0.sh";

/// A server, a router with a LAN, an exit and two people's devices.
pub(super) fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     network web 203.0.113.0/24 2001:db8:113::/64 routed\n\
     network lan-a 192.168.11.0/24 fd0a:11::/64\n\
     host ctl internet:2 controller\n\
     host hub internet:10\n\
     host router-a internet:11 lan-a:1\n\
     host pc-a lan-a:50 gateway=router-a ssh=no\n\
     host exit-a internet:21\n\
     host bob internet:101\n\
     host carol internet:102\n\
     host www web:80 web ssh=no\n"
        .parse()
        .unwrap()
}

/// The network of these hosts, in force; bob's packets to the internet leave by the exit.
pub(super) fn make(lab: &Lab) -> Result<Admin<'_>> {
    let admin = Admin::new(lab);
    admin.init("office");
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.10", "--address", "10.66.0.1", "--ssh", "hub"]);
    admin.add_router("router-a", ["192.168.11.0/24", "fd0a:11::/64"]);
    let endpoint = lab.host("exit-a").address().to_string();
    admin.ok(&["add", "exit", "exit-a", "--endpoint", &endpoint, "--ssh", "exit-a"]);
    admin.ok(&["add", "remote", "bob", "--exit", "exit-a"]);
    admin.ok(&["add", "remote", "carol"]);
    admin.deploy();
    admin.wait_for(&["router-a", "exit-a"])?;
    for remote in ["bob", "carol"] {
        admin.hand_out(remote, str::to_owned)?;
        lab.host(remote).sh(&addressed("ping -n -c 1 -w 30 10.66.0.1"))?;
    }
    Ok(admin)
}

/// Whether this run takes its time, and holds every rotation to the bound.
pub(super) fn long() -> bool {
    std::env::var_os("WGF_LONG").is_some_and(|value| value == "1")
}

/// A link with packets on it, fifty a second, there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// From the server into the LAN behind the router.
    Router,
    /// From a device into the internet, by the exit.
    Exit,
    /// From a device to the server.
    Device(&'static str),
}

/// So many packets may be lost by a rotation where other tests keep the machine busy: its shells wait for their turn.
const BUSY: u64 = 10;

pub(super) const BOB: Flow = Flow::Device("bob");
pub(super) const CAROL: Flow = Flow::Device("carol");

/// Packets on some links, until they are counted.
pub(super) struct Flows(Vec<(Flow, PingStream)>);

impl Flows {
    pub(super) fn start(lab: &Lab, flows: &[Flow]) -> Result<Self> {
        let www = || of_inside(lab.host("www").addresses())[0].to_string();
        let stream = |flow: Flow| match flow {
            Flow::Router => lab.ping_stream("hub", &lab.host("pc-a").address().to_string(), 50),
            Flow::Exit => lab.ping_stream("bob", &www(), 50),
            Flow::Device(name) => lab.ping_stream(name, &addressed("10.66.0.1"), 50),
        };
        flows.iter().map(|flow| Ok((*flow, stream(*flow)?))).collect::<Result<_>>().map(Self)
    }

    /// Waits until packets have gone on for a second.
    #[track_caller]
    pub(super) fn go_on(&self) {
        for (flow, stream) in &self.0 {
            assert!(stream.goes_on(50, Duration::from_secs(60)), "{flow:?} goes on");
        }
    }

    /// Ends them. What is not on the link of one of `rotated` has lost nothing. Returns what came of those that are.
    #[track_caller]
    fn stop_each(self, rotated: &[Flow]) -> Vec<PingReport> {
        let mut found = Vec::new();
        for (flow, stream) in self.0 {
            let report = stream.stop().unwrap();
            assert!(report.sent > 25, "{flow:?}: {report:?}");
            if rotated.contains(&flow) {
                eprintln!("{flow:?}: {report:?}");
                found.push(report);
            } else {
                assert_eq!(report.lost, 0, "{flow:?}, while {rotated:?} get other keys: {report:?}");
            }
        }
        assert_eq!(found.len(), rotated.len(), "there are packets on the links that are watched");
        found
    }

    /// Ends them. What is not on the link of `rotated` has lost nothing. Returns what came of that.
    #[track_caller]
    pub(super) fn stop(self, rotated: Flow) -> PingReport {
        self.stop_each(&[rotated]).remove(0)
    }

    /// Ends them; all of them have lost nothing.
    #[track_caller]
    pub(super) fn lost_nothing(self) {
        self.stop_each(&[]);
    }

    /// Ends them after a rotation: on its link one packet may be lost, and on a machine that is busy with other tests those of
    /// a fifth of a second. Without what follows peers to their next keys it is a whole second's, or all.
    #[track_caller]
    pub(super) fn lost_at_most_one(self, rotated: Flow) {
        self.lost_at_most_one_each(&[rotated]);
    }

    /// Ends them after several, likewise.
    #[track_caller]
    pub(super) fn lost_at_most_one_each(self, rotated: &[Flow]) {
        self.lost_at_most(if long() { 1 } else { BUSY }, rotated);
    }

    /// Ends them after something that had them lose so many.
    #[track_caller]
    pub(super) fn lost_at_most(self, most: u64, rotated: &[Flow]) {
        for report in self.stop_each(rotated) {
            assert!(report.lost <= most, "{rotated:?}: {report:?}");
        }
    }
}

/// The keys that a host's interface knows peers by.
pub(super) fn peers(lab: &Lab, host: &str, interface: &str) -> Result<Vec<String>> {
    Ok(lab.host(host).sh(&format!("wg show {interface} peers | sort"))?.lines().map(str::to_owned).collect())
}

/// The key that a host runs with.
pub(super) fn runs_with(lab: &Lab, host: &str) -> Result<String> {
    lab.host(host).sh("wg show wg0 public-key")
}

/// Returns the keys of a node's main interface, in the state that is asked for, each with its reason.
pub(super) fn keys(admin: &Admin<'_>, node: &str, state: &str) -> Vec<(String, String)> {
    let shown = admin.json(&["show", node]);
    let text = |key: &Value, field: &str| key[field].as_str().unwrap_or_default().to_owned();
    let of_wg0 = shown["keys"].as_array().unwrap().iter().filter(|key| key["interface"] == "wg0");
    of_wg0.filter(|key| key["state"] == state).map(|key| (text(key, "public_key"), text(key, "reason"))).collect()
}

/// The only key of a node in this state.
#[track_caller]
pub(super) fn key(admin: &Admin<'_>, node: &str, state: &str) -> String {
    let [(key, _)] = &keys(admin, node, state)[..] else { panic!("{:#}", admin.json(&["show", node])) };
    key.clone()
}

/// The rotation of a node that is under way, as `rotate --status` tells it; null when there is none.
pub(super) fn under_way(admin: &Admin<'_>, node: &str) -> Value {
    admin.json(&["rotate", node, "--status"])["rotations"][0].clone()
}

/// Nothing is left on the server of what follows peers to their next keys, and there is nothing to do anywhere.
#[track_caller]
pub(super) fn nothing_is_left(admin: &Admin<'_>) {
    admin.ok(&["plan", "--exit-code"]);
    let status = admin.json(&["rotate", "--status"]);
    assert_eq!(status["rotations"], serde_json::json!([]), "{status:#}");
    let hub = admin.lab.host("hub");
    let left = "ls -d /etc/wireguard/wgf-handover* /run/wg-friend/handover* 2>/dev/null; \
                nft list tables | grep handover; pgrep -af 'wgf-handover|nft monitor' | grep -v pgrep";
    assert_eq!(hub.run(left).unwrap().stdout, "");
}

/// What hosts show of their interfaces, for who reads why a test failed.
fn shown(lab: &Lab, hosts: &[&str]) -> Vec<String> {
    let ask = "date +%s.%N; for what in public-key latest-handshakes allowed-ips transfer; do wg show all $what; done";
    hosts.iter().map(|host| format!("{host}: {}", lab.host(host).sh(ask).unwrap())).collect()
}

/// The next key of a node is in use, the one before is in its history with the reason, and no host knows that any more.
#[track_caller]
pub(super) fn is_complete(admin: &Admin<'_>, node: &str, before: &str, next: &str, reason: &str) {
    assert_eq!(key(admin, node, "active"), next, "{node}: {:#?}", shown(admin.lab, &["hub", node]));
    let retired = keys(admin, node, "retired");
    assert!(retired.contains(&(before.to_owned(), reason.to_owned())), "{retired:?}");
    let interfaces = admin.lab.host("hub").sh("wg show interfaces").unwrap();
    let known: Vec<String> =
        interfaces.split_whitespace().flat_map(|interface| peers(admin.lab, "hub", interface).unwrap()).collect();
    assert!(known.iter().any(|key| key == next) && known.iter().all(|key| key != before), "{known:?}");
    nothing_is_left(admin);
}

/// Puts a device's new file into the place of the one that it has, as its owner would, in one step.
pub(super) fn take_new_file(admin: &Admin<'_>, device: &str) -> Result {
    let file = admin.ok(&["generate", device]);
    let file: String = file.lines().filter(|line| !line.starts_with("DNS")).map(|line| format!("{line}\n")).collect();
    let host = admin.lab.host(device);
    host.write("/etc/wireguard/wg0.conf", file)?;
    host.sh("wg-quick strip wg0 > /root/next && wg syncconf wg0 /root/next && rm /root/next").map(drop)
}

/// Waits until the server goes by a device's next key: something came from it by that.
#[track_caller]
pub(super) fn is_handed_over(lab: &Lab, key: &str) {
    let carries = || {
        let allowed = lab.host("hub").sh("wg show wg0 allowed-ips").unwrap();
        allowed.lines().any(|line| line.starts_with(key) && !line.ends_with("(none)"))
    };
    assert!(wait_until(Duration::from_secs(20), carries), "{:?}", lab.host("hub").run("wg show wg0"));
}

#[test]
fn a_router_gets_another_key_and_at_most_one_packet_is_lost_on_its_link_and_none_on_others() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let before = runs_with(&lab, "router-a")?;
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, BOB, CAROL])?;
    admin.ok(&["rotate", "router-a", "--reason", "yearly"]);
    assert_eq!(under_way(&admin, "router-a")["waits_for"], "deploy");
    let next = key(&admin, "router-a", "staged");
    admin.deploy();
    flows.lost_at_most_one(Flow::Router);
    assert_eq!(runs_with(&lab, "router-a")?, next);
    is_complete(&admin, "router-a", &before, &next, "yearly");
    Ok(())
}

#[test]
fn a_key_that_comes_with_another_preshared_key_loses_no_more_packets_than_one_that_comes_alone() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let preshared = || lab.host("router-a").sh("wg show wg0 preshared-keys");
    let (before, shared) = (runs_with(&lab, "router-a")?, preshared()?);
    admin.ok(&["psk", "policy", "--on", "key_rotation"]);
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, BOB, CAROL])?;
    admin.ok(&["rotate", "router-a", "--reason", "yearly"]);
    let next = key(&admin, "router-a", "staged");
    admin.deploy();
    flows.lost_at_most_one(Flow::Router);
    assert_ne!(preshared()?, shared);
    is_complete(&admin, "router-a", &before, &next, "yearly");
    Ok(())
}

#[test]
fn an_exit_gets_another_key_under_the_traffic_of_a_device_and_its_uplink_on_the_server_follows() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    leaves_within(Duration::from_secs(30), &lab, "bob", Some("exit-a"))?;
    let before = runs_with(&lab, "exit-a")?;
    let interfaces = lab.host("hub").sh("wg show interfaces")?;
    let flows = Flows::start(&lab, &[Flow::Exit, Flow::Router, BOB, CAROL])?;
    admin.ok(&["rotate", "exit-a", "--reason", "the provider was sold"]);
    let next = key(&admin, "exit-a", "staged");
    admin.deploy();
    flows.lost_at_most_one(Flow::Exit);
    assert_eq!(lab.host("hub").sh("wg show interfaces")?, interfaces);
    let uplinks = interfaces.split_whitespace().filter(|name| *name != "wg0");
    let mut leads = uplinks.map(|uplink| peers(&lab, "hub", uplink));
    assert!(leads.any(|peers| peers.is_ok_and(|peers| peers.contains(&next))));
    is_complete(&admin, "exit-a", &before, &next, "the provider was sold");
    leaves_within(Duration::from_secs(30), &lab, "bob", Some("exit-a"))
}

#[test]
fn a_device_works_on_with_its_present_key_until_its_new_file_is_there_whenever_that_is() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let (hub, before) = (lab.host("hub"), runs_with(&lab, "bob")?);
    let flows = Flows::start(&lab, &[BOB, CAROL, Flow::Router])?;
    admin.ok(&["rotate", "bob", "--reason", "yearly"]);
    let next = key(&admin, "bob", "staged");
    assert_eq!(under_way(&admin, "bob")["waits_for"], "deploy");
    admin.deploy();
    let status = under_way(&admin, "bob");
    assert_eq!(
        (&status["waits_for"], &status["peers"][0]["knows"]),
        (&"new_file".into(), &"both".into()),
        "{status:#}"
    );
    hub.sh(&format!("sh {SCRIPT} start"))?;
    admin.ok(&["deploy", "--yes"]);
    flows.lost_nothing();

    // Whoever restarts the server's interface cuts everybody off for a while, but takes no key from anybody.
    hub.sh(&format!("{DOWN}; wg-quick up wg0"))?;
    let pings = ["bob", "carol"].map(|name| lab.host(name).spawn(&addressed("ping -n -c 1 -w 60 10.66.0.1")));
    for ping in pings {
        let ping = ping?.finish()?;
        assert!(ping.success(), "{ping:?}");
    }
    let known = peers(&lab, "hub", "wg0")?;
    assert!(known.contains(&before) && known.contains(&next), "{known:?}");
    assert_eq!(under_way(&admin, "bob")["peers"][0]["knows"], "both");
    admin.ok(&["plan", "--exit-code"]);

    let flows = Flows::start(&lab, &[BOB, CAROL])?;
    take_new_file(&admin, "bob")?;
    is_handed_over(&lab, &next);
    let status = admin.json(&["rotate", "--status"]);
    let settled = &status["settled"][0];
    assert_eq!((&settled["node"], &settled["to"]), (&"bob".into(), &next.as_str().into()), "{status:#}");
    assert_eq!(settled["seen_by"], "hub", "{status:#}");
    admin.deploy();
    flows.lost_at_most_one(BOB);
    is_complete(&admin, "bob", &before, &next, "yearly");
    Ok(())
}

#[test]
fn a_next_key_is_withdrawn_without_a_trace_as_long_as_nobody_has_used_it() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let before = runs_with(&lab, "bob")?;
    let known = peers(&lab, "hub", "wg0")?;
    let flows = Flows::start(&lab, &[BOB, CAROL])?;
    admin.ok(&["rotate", "bob"]);
    admin.deploy();
    let next = key(&admin, "bob", "staged");
    assert!(peers(&lab, "hub", "wg0")?.contains(&next));
    admin.ok(&["rotate", "bob", "--abort"]);
    admin.deploy();
    flows.lost_nothing();
    assert_eq!(key(&admin, "bob", "active"), before);
    assert_eq!(peers(&lab, "hub", "wg0")?, known);
    nothing_is_left(&admin);
    let output = admin.run(&["rotate", "bob", "--abort"]);
    assert!(output.status != 0 && output.stderr.contains("`bob` has no next key"), "{output:?}");

    // Once it is in use there is no way back.
    let flows = Flows::start(&lab, &[BOB, CAROL])?;
    admin.ok(&["rotate", "bob"]);
    admin.deploy();
    let next = key(&admin, "bob", "staged");
    take_new_file(&admin, "bob")?;
    is_handed_over(&lab, &next);
    let output = admin.run(&["rotate", "bob", "--abort"]);
    assert!(output.status != 0 && output.stderr.contains("`bob` uses its next key already"), "{output:?}");
    admin.deploy();
    flows.lost_at_most_one(BOB);
    assert_eq!(key(&admin, "bob", "active"), next);
    nothing_is_left(&admin);
    Ok(())
}

#[test]
fn a_lost_device_gets_no_packet_through_with_any_key_that_it_had() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    let (hub, bob) = (lab.host("hub"), lab.host("bob"));
    let before = runs_with(&lab, "bob")?;
    let old_file = bob.read("/etc/wireguard/wg0.conf")?;
    // It is lost while its next key is on its way.
    admin.ok(&["rotate", "bob"]);
    admin.deploy();
    let staged = key(&admin, "bob", "staged");
    let next_file = admin.ok(&["generate", "bob"]);
    let flows = Flows::start(&lab, &[CAROL, Flow::Router])?;
    admin.ok(&["rotate", "bob", "--now", "--reason", "phone lost"]);
    admin.deploy();
    let known = peers(&lab, "hub", "wg0")?;
    assert!(!known.contains(&before) && !known.contains(&staged), "{known:?}");
    let reasons: Vec<String> = keys(&admin, "bob", "retired").into_iter().map(|(_, reason)| reason).collect();
    assert!(reasons.contains(&"phone lost".to_owned()), "{reasons:?}");

    let address = admin.addresses("bob")[0];
    let family = if address.is_ipv6() { "ip6" } else { "ip" };
    hub.sh(&format!(
        "nft add table inet seen; nft 'add chain inet seen arrives {{ type filter hook prerouting priority -300; }}'; \
         nft 'add rule inet seen arrives iifname wg0 {family} saddr {address} counter'"
    ))?;
    let try_it = addressed("ping -n -c 10 -i 0.2 -W 1 10.66.0.1");
    assert!(!bob.run(&try_it)?.success(), "by the session that it had");
    for file in [old_file, next_file] {
        let file: String = file.lines().filter(|line| !line.starts_with("DNS")).map(|l| format!("{l}\n")).collect();
        bob.run(DOWN)?;
        bob.write("/etc/wireguard/wg0.conf", file)?;
        bob.sh("wg-quick up wg0")?;
        assert!(!bob.run(&try_it)?.success(), "with a file that it had");
    }
    let seen = hub.sh("nft list table inet seen")?;
    assert!(seen.contains("counter packets 0 "), "{seen}");
    flows.lost_nothing();
    nothing_is_left(&admin);

    // The device that comes in its place.
    admin.hand_out("bob", str::to_owned)?;
    bob.sh(&addressed("ping -n -c 1 -w 30 10.66.0.1")).map(drop)
}

#[test]
fn rotations_of_all_kinds_one_after_another_lose_a_packet_each_at_most() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = make(&lab)?;
    leaves_within(Duration::from_secs(30), &lab, "bob", Some("exit-a"))?;
    let kinds = [("router-a", Flow::Router), ("bob", BOB), ("exit-a", Flow::Exit), ("carol", CAROL)];
    let count = if long() { 50 } else { 4 };
    let mut lost = Vec::new();
    for (node, link) in kinds.into_iter().cycle().take(count) {
        // What bob sends by the exit goes over his own link first.
        let flows =
            [Flow::Router, Flow::Exit, BOB, CAROL].into_iter().filter(|flow| node != "bob" || *flow != Flow::Exit);
        let flows = Flows::start(&lab, &flows.collect::<Vec<_>>())?;
        let before = key(&admin, node, "active");
        admin.ok(&["rotate", node, "--reason", "one of many"]);
        let next = key(&admin, node, "staged");
        admin.deploy();
        if matches!(link, Flow::Device(_)) {
            take_new_file(&admin, node)?;
            is_handed_over(&lab, &next);
            admin.deploy();
        }
        lost.push(flows.stop(link).lost);
        is_complete(&admin, node, &before, &next, "one of many");
    }
    eprintln!("packets lost in each of {count} rotations: {lost:?}");
    let most = if long() { 1 } else { BUSY };
    assert!(lost.iter().all(|lost| *lost <= most), "{lost:?}");
    Ok(())
}

#[test]
fn a_router_an_exit_and_a_device_get_other_keys_in_one_deploy_and_the_device_takes_its_own_later() -> Result {
    let lab = lab_or_skip!(spec().with("hub", HostSpec::systemd));
    let admin = make(&lab)?;
    let nodes = ["router-a", "exit-a", "carol"];
    let before = nodes.map(|node| key(&admin, node, "active"));
    let flows = Flows::start(&lab, &[Flow::Router, Flow::Exit, CAROL, BOB])?;
    admin.ok(&[&["rotate"], &nodes[..], &["--reason", "yearly"]].concat());
    let next = nodes.map(|node| key(&admin, node, "staged"));
    admin.deploy();
    let status = admin.json(&["rotate", "--status"]);
    let waiting: Vec<&Value> =
        status["rotations"].as_array().unwrap().iter().map(|rotation| &rotation["node"]).collect();
    assert_eq!(waiting, ["carol"], "{status:#}");
    take_new_file(&admin, "carol")?;
    is_handed_over(&lab, &next[2]);
    admin.deploy();
    flows.lost_at_most_one_each(&[Flow::Router, Flow::Exit, CAROL]);
    for ((node, before), next) in nodes.iter().zip(&before).zip(&next) {
        is_complete(&admin, node, before, next, "yearly");
    }
    Ok(())
}
