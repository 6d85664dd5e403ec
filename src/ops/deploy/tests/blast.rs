//! Whom a plan concerns: who loses packets and why, whose way to a host is touched, which devices are named.

use super::super::blast::{Blast, predict};
use super::super::desired::Desired;
use super::super::plan::{HostPlan, Plan, Seen};
use super::super::report::PlanReport;
use super::super::{HostError, diff};
use super::Scene;
use crate::fleet::{Answer, Connection, Error, Script};
use crate::model::{Access, Become, Host, LinkId, PresharedKey, PublicKey, Role, Secrets};
use crate::ops::revision::{DeviceReport, DeviceState};
use crate::wg::Table;

/// A connection that nobody asks anything over.
struct Unused;

impl Connection for Unused {
    fn run(&mut self, script: &Script) -> Result<Answer, Error> {
        panic!("a prediction asks no host: {script:?}")
    }
}

fn host() -> Host {
    Host::new("hub".parse().unwrap(), "root@hub.example.net".parse().unwrap(), Become::Root)
}

/// What is planned for a host that answers this, when `after` is to follow what `before` left there.
fn plan(before: &Scene, after: &Scene, answer: &str) -> HostPlan {
    plan_of(before, after, after.desired(), answer)
}

fn plan_of(before: &Scene, after: &Scene, desired: Desired, answer: &str) -> HostPlan {
    let deployed = before.deployed();
    let question = super::super::desired::question(&desired, Some(&deployed));
    let observed = super::observed(answer, &question);
    let changes = diff(&desired, &after.secrets, Some(&deployed), &observed);
    let asked = std::time::Instant::now();
    let seen = Ok(Seen { observed, question, changes, connection: Box::new(Unused), asked });
    HostPlan { host: host(), desired, deployed: Some(deployed), seen, interrupted: Vec::new() }
}

/// Who loses packets, a line for each interface and reason.
fn losses(blast: &Blast) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for loss in &blast.loses {
        let place = format!("{} {:?}", loss.interface, loss.because);
        match lines.last_mut().filter(|(known, _)| *known == place) {
            Some((_, peers)) => peers.push(&loss.peer),
            None => lines.push((place, vec![&loss.peer])),
        }
    }
    lines.into_iter().map(|(place, peers)| format!("{place}: {}", peers.join(" "))).collect()
}

/// A plan that gives the server another routing table, for which its interface goes down and up.
fn restart(scene: &Scene) -> HostPlan {
    let mut desired = scene.desired();
    desired.interfaces[0].table = Table::Named("vpn".to_owned());
    plan_of(scene, scene, desired, &scene.answer())
}

/// Who loses packets by a change of the model. All peers have shaken hands lately.
fn loses(change: impl FnOnce(&mut Scene)) -> Vec<String> {
    let (before, mut after) = (Scene::new(), Scene::new());
    change(&mut after);
    let plan = plan(&before, &after, &before.answer());
    assert!(!plan.changes().is_empty(), "nothing was changed");
    losses(&predict(&[plan], &[]))
}

/// Whether each change of a plan touches the way of somebody who comes `from` an address `through` an interface.
fn touched(from: &str, through: &str, answer: impl FnOnce(&str) -> String, change: impl FnOnce(&mut Scene)) -> String {
    let (before, mut after) = (Scene::new(), Scene::new());
    change(&mut after);
    let way = format!("\n@x way {from} 10.66.0.1 {through}\n\n@x fingerprint");
    let answer = answer(&before.answer()).replace("\n@x fingerprint", &way);
    let blast = predict(&[plan(&before, &after, &answer)], &[]);
    blast.ways.first().map_or_else(|| "no".to_owned(), |way| way.changes.join("; "))
}

fn other_key(scene: &mut Scene, name: &str) {
    let node = scene.topology.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap();
    node.interfaces[0].public_key = PublicKey::from_bytes([9; 32]);
}

fn other_psk(scene: &mut Scene, name: &str) {
    let main = |name: &str| {
        let node = scene.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
        node.interfaces[0].id
    };
    let link = LinkId::between(main("hub"), main(name));
    scene.secrets.preshared.insert(link, PresharedKey::from_random([77; 32]));
}

#[test]
fn whoever_is_not_concerned_loses_nothing() {
    assert!(loses(|scene| scene.topology.network.mtu = "1400".parse().unwrap()).is_empty());
    assert!(loses(|scene| scene.node("bob").access = Access::Full).is_empty());
    assert!(loses(|scene| scene.node("dave").grants.clear()).is_empty());
}

#[test]
fn a_new_key_or_a_restart_concerns_every_peer_and_a_port_those_that_the_host_does_not_dial() {
    let lines = [
        loses(|scene| other_key(scene, "hub")),
        losses(&predict(&[restart(&Scene::new())], &[])),
        loses(|scene| scene.node("hub").interfaces[0].listen_port = Some("51999".parse().unwrap())),
    ];
    insta::assert_snapshot!(lines.concat().join("\n"), @"
    wg0 Rekey: alice bob carol dave depot frank office
    wg0 Restart: alice bob carol dave depot frank office
    wg0 Port: alice bob carol dave frank
    ");
}

#[test]
fn a_change_of_one_peer_concerns_that_peer() {
    let lines = [
        loses(|scene| scene.node("bob").enabled = false),
        loses(|scene| other_key(scene, "alice")),
        loses(|scene| other_psk(scene, "carol")),
        loses(|scene| {
            other_key(scene, "dave");
            scene.node("dave").name = "dora".parse().unwrap();
        }),
    ];
    insta::assert_snapshot!(lines.concat().join("\n"), @"
    wg0 PeerGone: bob
    wg0 PeerGone: alice
    wg0 PresharedKey: carol
    wg0 PeerGone: dave
    ");
}

#[test]
fn who_has_not_shaken_hands_lately_has_nothing_to_lose_and_a_stranger_is_known_by_his_key() {
    let (before, mut after) = (Scene::new(), Scene::new());
    other_key(&mut after, "hub");
    let stale = before.answer().replace("\t1700000000\t", "\t1699999919\t");
    assert!(losses(&predict(&[plan(&before, &after, &stale)], &[])).is_empty(), "181 s ago");
    let stranger =
        "wg0\thSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\t(none)\t203.0.113.9:1\t10.9.9.9/32\t1700000000\t1\t1\toff";
    let port = before.answer().lines().find(|line| line.starts_with("wgx1\t(none)")).unwrap().to_owned();
    let answer = before.answer().replace(&port, &format!("{stranger}\n{port}"));
    assert_eq!(losses(&predict(&[plan(&before, &before, &answer)], &[])), ["wg0 PeerGone: hSDwCYkw"]);
}

#[test]
fn the_way_through_a_tunnel_is_touched_by_the_link_itself_and_by_what_its_own_peer_has() {
    let same = |answer: &str| answer.to_owned();
    let lines = [
        touched("10.66.0.6", "wg0", same, |scene| scene.topology.network.mtu = "1400".parse().unwrap()),
        touched("10.66.0.6", "wg0", same, |scene| other_key(scene, "alice")),
        touched("10.66.0.6", "wg0", same, |scene| other_key(scene, "bob")),
        touched("10.66.0.6", "wg0", same, |scene| other_psk(scene, "alice")),
        touched("10.66.0.6", "wg0", same, |scene| other_psk(scene, "bob")),
        touched("192.168.20.9", "wg0", same, |scene| scene.node("depot").enabled = false),
        touched("192.168.10.9", "wg0", same, |scene| scene.node("depot").enabled = false),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    wg0 ~ mtu 1420 -> 1400
    wg0 ~ peer-key alice 31XbTBzx -> CQkJCQkJ
    no
    wg0 ~ preshared-key alice another -> the model's
    no
    wg0 - route 192.168.20.0/24; wg0 - peer depot 10.66.0.3/32, 192.168.20.0/24, fd00:66::3/128; wg0 ~ firewall table wgf_wg0 other rules -> the model's rules
    wg0 ~ firewall table wgf_wg0 other rules -> the model's rules
    ");
}

#[test]
fn the_way_past_a_tunnel_is_touched_by_what_draws_its_packets_in() {
    let no_route = |answer: &str| answer.replace("192.168.20.0/24 scope link\n", "");
    let way = |from| touched(from, "eth0", no_route, |_| {});
    assert_eq!(way("192.168.20.9"), "wg0 + route 192.168.20.0/24");
    assert_eq!(way("198.51.100.9"), "no");
    let same = |answer: &str| answer.to_owned();
    assert_eq!(touched("198.51.100.9", "eth0", same, |scene| other_key(scene, "hub")), "no");
}

#[test]
fn devices_are_named_whatever_the_hosts_say_and_the_report_counts_what_goes_down() {
    let scene = Scene::new();
    let device = DeviceReport {
        node: "alice".parse().unwrap(),
        role: Role::Remote,
        state: DeviceState::Outdated,
        must: vec!["the key of hub is another".to_owned()],
        may: Vec::new(),
        given: None,
    };
    let answered = restart(&scene);
    let silent = HostPlan { seen: Err(HostError::NoResolver { host: "hub".parse().unwrap() }), ..restart(&scene) };
    for (host, restarts, failed, hint) in [(answered, 1, 0, false), (silent, 0, 1, true)] {
        let plan = Plan {
            hosts: vec![host],
            devices: vec![device.clone()],
            rotated: Vec::new(),
            follow: Vec::new(),
            secrets: Secrets::default(),
        };
        let report = PlanReport::from(&plan);
        assert_eq!((report.restarts, report.failed, report.hosts[0].hint.is_some()), (restarts, failed, hint));
        assert_eq!(report.blast.devices, std::slice::from_ref(&device));
    }
}
