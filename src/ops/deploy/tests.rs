//! The difference between a model and a host, on answers as hosts give them.

use std::fmt::Write as _;

use proptest::prelude::*;

mod blast;
mod exits;
mod fallback;
mod proof;

use super::change::{Cause, Kind};
use super::desired::{Deployed, Desired, Version, addresses_of_peers};
use super::diff;
use super::steps::{Steps, steps};
use crate::fleet::{Answer, Observed, Question, read_observation};
use crate::model::{Kept, Node, PublicKey, Run, Secrets, Topology};
use crate::wg::beside::Loop;
use crate::wg::compile::fixture::Fixture;
use crate::wg::{compile, runtime};

/// A network whose server lives on the host `hub`.
struct Scene {
    topology: Topology,
    secrets: Secrets,
}

impl Scene {
    fn new() -> Self {
        let mut fixture = Fixture::everything();
        fixture.node("hub").host = Some("hub".parse().unwrap());
        Self { secrets: fixture.secrets(), topology: fixture.topology }
    }

    fn node(&mut self, name: &str) -> &mut Node {
        self.topology.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap()
    }

    fn desired(&self) -> Desired {
        let compiled = compile::compile(&self.topology).unwrap();
        Desired::of(&"hub".parse().unwrap(), &self.topology, &compiled, &self.secrets)
    }

    /// What a deploy of this very network left behind.
    fn deployed(&self) -> Deployed {
        let desired = self.desired();
        let tables = desired.interfaces.iter().filter_map(|i| i.firewall.as_ref());
        let tables = tables.map(|f| (f.table(), format!("table inet {} {{ }}", f.table()))).collect();
        Deployed { version: Version { interfaces: desired.interfaces, files: desired.files, only: None }, tables }
    }

    /// What the host answers when everything is as this network wants it.
    fn answer(&self) -> String {
        let desired = self.desired();
        let mut text =
            String::from("\n@x system\nhostname hub\nuptime 1000\nclock 1700000100\ninit systemd\n\n@x dump\n");
        for interface in &desired.interfaces {
            let port = interface.listen_port.map_or(0, |p| p.get());
            writeln!(text, "{}\t(none)\t{}\t{port}\toff", interface.name, interface.public_key).unwrap();
            for peer in &interface.peers {
                let key = &self.secrets.preshared[&peer.link];
                let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
                let keepalive = peer.keepalive.map_or("off".to_owned(), |s| s.to_string());
                let fields = [
                    interface.name.to_string(),
                    peer.public_key.to_string(),
                    key.expose_base64().to_string(),
                    "203.0.113.9:4711".to_owned(),
                    allowed.join(","),
                    "1700000000".to_owned(),
                    "100".to_owned(),
                    "100".to_owned(),
                    keepalive,
                ];
                writeln!(text, "{}", fields.join("\t")).unwrap();
            }
        }
        for interface in &desired.interfaces {
            let name = &interface.name;
            writeln!(text, "\n@x link {name} {} 1", interface.mtu.unwrap()).unwrap();
            writeln!(text, "\n@x address {name}").unwrap();
            for address in &interface.addresses {
                let family = if address.address().is_ipv4() { "inet" } else { "inet6" };
                writeln!(text, "5: {name}    {family} {address} scope global {name}").unwrap();
            }
            for (section, ipv4) in [("route4", true), ("route6", false)] {
                writeln!(text, "\n@x {section} {name}").unwrap();
                for route in runtime::routes(interface).iter().filter(|r| r.to.is_ipv4() == ipv4) {
                    writeln!(text, "{route} scope link").unwrap();
                }
            }
            for sysctl in &interface.sysctls {
                writeln!(text, "\n@x sysctl {} {}", crate::fleet::sysctl_path(&sysctl.key), sysctl.value).unwrap();
            }
            for one in Loop::ALL {
                if let Some(version) = one.version(interface) {
                    writeln!(text, "\n@x {} {name} {version}", one.section()).unwrap();
                }
            }
            writeln!(text, "\n@x boot {name}").unwrap();
        }
        for (section, ipv4) in [("rule4", true), ("rule6", false)] {
            writeln!(text, "\n@x {section}").unwrap();
            for rule in desired.interfaces.iter().flat_map(|i| &i.rules).filter(|r| r.ipv4 == ipv4) {
                writeln!(text, "{}:\tfrom all fwmark {:#x} lookup {}", rule.priority, rule.mark, rule.table).unwrap();
            }
        }
        for table in self.deployed().tables.keys() {
            writeln!(text, "\n@x table {table}\ntable inet {table} {{ }}").unwrap();
        }
        for (path, content) in &desired.files {
            write!(text, "\n@x file {path} 600 0:0\n{}", content.as_str()).unwrap();
        }
        write!(text, "\n@x fingerprint {}\n\n@x end\n", "0".repeat(64)).unwrap();
        text
    }

    fn observed(&self, answer: &str) -> Observed {
        let question = super::desired::question(&self.desired(), None);
        observed(answer, &question)
    }
}

fn observed(answer: &str, question: &Question) -> Observed {
    read_observation(&Answer::parse(answer.as_bytes(), "x").unwrap(), question).unwrap()
}

/// The changes that a host needs, one a line, each with its cause.
fn changes(model: &Scene, deployed: Option<&Deployed>, seen: &Observed) -> Vec<String> {
    let found = diff(&model.desired(), &model.secrets, deployed, seen);
    let cause = |cause| if cause == Cause::Drift { "drift" } else { "pending" };
    let line =
        |c: &super::Change| format!("{} {} {c}", cause(c.cause), c.interface.as_ref().map_or("-", |i| i.as_str()));
    found.iter().map(line).collect()
}

fn work(model: &Scene, deployed: Option<&Deployed>, seen: &Observed) -> Steps {
    let found = diff(&model.desired(), &model.secrets, deployed, seen);
    steps(&found, &model.desired(), &model.secrets, deployed, seen)
}

#[test]
fn a_host_that_is_as_deployed_has_no_differences_and_nothing_to_do() {
    let scene = Scene::new();
    let seen = scene.observed(&scene.answer());
    assert_eq!(changes(&scene, Some(&scene.deployed()), &seen), Vec::<String>::new());
    assert!(work(&scene, Some(&scene.deployed()), &seen).steps.is_empty());
}

#[test]
fn each_change_by_hand_is_found_once_and_called_drift() {
    let scene = Scene::new();
    let good = scene.answer();
    let alice = scene.topology.nodes.iter().find(|n| n.name.as_str() == "alice").unwrap();
    let key = alice.main().public_key.to_string();
    let line = good.lines().find(|l| l.contains(&key) && l.starts_with("wg0\t")).unwrap();
    let stranger = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    let psk = line.split('\t').nth(2).unwrap();
    let cases = [
        (good.replace(&format!("{line}\n"), ""), "drift wg0 + peer alice 10.66.0.6/32, fd00:66::6/128"),
        (
            good.replace(
                line,
                &format!(
                    "{line}\n{}",
                    line.replace(&key, stranger).replace("10.66.0.6/32,fd00:66::6/128", "10.9.9.9/32")
                ),
            ),
            "drift wg0 - peer hSDwCYkw 10.9.9.9/32",
        ),
        (
            good.replace("10.66.0.6/32,fd00:66::6/128", "10.66.0.6/32"),
            "drift wg0 ~ allowed-ips alice 10.66.0.6/32 -> 10.66.0.6/32, fd00:66::6/128",
        ),
        (good.replace(line, &line.replace(psk, "(none)")), "drift wg0 ~ preshared-key alice none -> the model's"),
        (good.replace(line, &line.replace("\toff", "\t5")), "drift wg0 ~ keepalive alice 5 s -> off"),
        (good.replace("@x link wg0 1420 1", "@x link wg0 1280 1"), "drift wg0 ~ mtu 1280 -> 1420"),
        (good.replace("@x link wg0 1420 1", "@x link wg0 1420 0"), "drift wg0 ~ link down -> up"),
        (good.replace("5: wg0    inet 10.66.0.1/24 scope global wg0\n", ""), "drift wg0 + address 10.66.0.1/24"),
        (
            good.replace(
                "inet 10.66.0.1/24 scope global wg0\n",
                "inet 10.66.0.1/24 scope global wg0\n5: wg0    inet 10.1.1.1/32 scope global wg0\n",
            ),
            "drift wg0 - address 10.1.1.1/32",
        ),
        (good.replace("192.168.20.0/24 scope link\n", ""), "drift wg0 + route 192.168.20.0/24"),
        (
            good.replace("192.168.20.0/24 scope link\n", "192.168.20.0/24 scope link\n172.16.0.0/12 scope link\n"),
            "drift wg0 - route 172.16.0.0/12",
        ),
        (
            good.replace("net/ipv4/ip_forward 1", "net/ipv4/ip_forward 0"),
            "drift wg0 ~ sysctl net.ipv4.ip_forward 0 -> 1",
        ),
        (
            good.replace("table inet wgf_wg0 { }", "table inet wgf_wg0 { chain x { } }"),
            "drift wg0 ~ firewall table wgf_wg0 other rules -> the model's rules",
        ),
        (good.replace("@x boot wg0", "@x nothing"), "drift wg0 + start at boot"),
        (good.replace("@x file wg0.conf 600", "@x file wg0.conf 644"), "drift - ~ file wg0.conf mode 644 -> mode 600"),
        (
            good.replace("MTU = 1420\nPreUp", "MTU = 1420\n# mine\nPreUp"),
            "drift - ~ file wg0.conf other text -> the model's",
        ),
    ];
    for (answer, expected) in cases {
        assert_ne!(answer, good, "{expected}: nothing was changed");
        let seen = scene.observed(&answer);
        assert_eq!(changes(&scene, Some(&scene.deployed()), &seen), [expected]);
    }
}

#[test]
fn what_changed_in_the_model_is_pending_and_carried_out_live() {
    let before = Scene::new();
    let seen = before.observed(&before.answer());
    let mut after = Scene::new();
    let network = &mut after.topology.network;
    network.mtu = "1400".parse().unwrap();
    after.topology.nodes.iter_mut().find(|n| n.name.as_str() == "bob").unwrap().enabled = false;
    let found = changes(&after, Some(&before.deployed()), &seen);
    let expected = [
        "pending wg0 ~ mtu 1420 -> 1400",
        "pending wg0 - peer bob 10.66.0.7/32, fd00:66::7/128",
        "pending wg0 ~ firewall table wgf_wg0 other rules -> the model's rules",
        "pending wgx1 ~ mtu 1420 -> 1400",
        "pending wgx2 ~ mtu 1420 -> 1400",
        "pending - ~ file wg0.conf other text -> the model's",
        "pending - ~ file wgf-wg0.nft other text -> the model's",
        "pending - ~ file wgx1.conf other text -> the model's",
        "pending - ~ file wgx2.conf other text -> the model's",
    ];
    assert_eq!(found, expected);
    let work = work(&after, Some(&before.deployed()), &seen);
    let done: Vec<&str> = work.steps.iter().map(|s| s.what.as_str()).collect();
    let expected = [
        "replace firewall table wgf_wg0",
        "set the MTU of wg0 to 1400",
        "change 0 and remove 1 peers of wg0",
        "set the MTU of wgx1 to 1400",
        "set the MTU of wgx2 to 1400",
    ];
    assert_eq!(done, expected);
    assert_eq!(work.steps[1].undo, "ip link set dev wg0 mtu 1420");
}

#[test]
fn a_peer_that_roams_is_no_difference_until_it_is_lost() {
    let mut scene = Scene::new();
    let office = scene.topology.nodes.iter_mut().find(|n| n.name.as_str() == "office").unwrap();
    office.endpoint = Some("198.51.100.77:51820".parse().unwrap());
    let good = scene.answer();
    assert_eq!(changes(&scene, Some(&scene.deployed()), &scene.observed(&good)), Vec::<String>::new());
    let stale = good.replace("\t1700000000\t", "\t1690000000\t");
    assert_eq!(
        changes(&scene, Some(&scene.deployed()), &scene.observed(&stale)),
        ["drift wg0 ~ endpoint office 203.0.113.9:4711 -> 198.51.100.77:51820"]
    );
}

#[test]
fn a_peer_that_is_where_the_model_has_moved_it_is_no_difference() {
    let mut scene = Scene::new();
    let before = scene.deployed();
    let good = scene.answer();
    let office = |scene: &mut Scene, endpoint: &str| {
        let node = scene.topology.nodes.iter_mut().find(|n| n.name.as_str() == "office").unwrap();
        node.endpoint = Some(endpoint.parse().unwrap());
    };
    office(&mut scene, "198.51.100.77:51820");
    let endpoints = |scene: &Scene| {
        let all = changes(scene, Some(&before), &scene.observed(&good));
        all.into_iter().filter(|c| c.contains("endpoint")).collect::<Vec<_>>()
    };
    assert_eq!(endpoints(&scene), ["pending wg0 ~ endpoint office 203.0.113.9:4711 -> 198.51.100.77:51820"]);
    office(&mut scene, "203.0.113.9:4711");
    assert_eq!(endpoints(&scene), Vec::<String>::new());
}

#[test]
fn every_peer_can_be_pinged_through_its_own_interface() {
    let desired = Scene::new().desired();
    for interface in desired.interfaces.iter().filter(|i| !i.peers.is_empty()) {
        let peers = interface.peers.iter().map(|p| p.public_key).collect();
        let addresses = addresses_of_peers(interface, &peers);
        assert_eq!(addresses.len(), peers.len(), "{}", interface.name);
        let ours = |address| interface.addresses.iter().any(|a| a.address() == address);
        assert!(!addresses.into_iter().any(ours), "{}", interface.name);
    }
}

#[test]
fn an_interface_that_left_the_model_is_taken_down_with_its_files_and_rules() {
    let before = Scene::new();
    let seen = before.observed(&before.answer());
    let mut after = Scene::new();
    let tokyo = after.topology.nodes.iter().find(|n| n.name.as_str() == "tokyo").unwrap().id;
    for node in &mut after.topology.nodes {
        node.interfaces.retain(|i| i.kind != crate::model::InterfaceKind::Uplink(tokyo));
        if node.exit == Some(tokyo.into()) {
            node.exit = None;
        }
    }
    after.topology.nodes.retain(|n| n.id != tokyo);
    let found = changes(&after, Some(&before.deployed()), &seen);
    for expected in [
        "pending wgx2 - interface 10.66.0.1/32, fd00:66::1/128 with 1 peer",
        "pending wgx2 - start at boot",
        "pending - - file wgx2.conf kept",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected} is missing in {found:#?}");
    }
    let work = work(&after, Some(&before.deployed()), &seen);
    assert_eq!(work.steps[0].run, "w_down wgx2 && w_no_table wgf_wgx2");
    let files = ["wgf-resolve-wgx2.sh", "wgx2.conf"].map(str::to_owned).to_vec();
    assert_eq!((work.remove, work.disable), (files, vec!["wgx2".to_owned()]));
}

#[test]
fn an_interface_that_is_to_run_again_was_not_taken_down_by_hand() {
    let scene = Scene::new();
    let nothing =
        format!("\n@x system\nhostname hub\nuptime 1\nclock 1\n\n@x fingerprint {}\n\n@x end\n", "0".repeat(64));
    let mut off = scene.deployed();
    for (run, cause) in [(Run::Off, "pending"), (Run::Boot, "drift")] {
        off.version.interfaces.iter_mut().for_each(|interface| interface.run = run);
        let found = changes(&scene, Some(&off), &scene.observed(&nothing));
        for line in ["wg0 + interface ", "wg0 + start at boot"] {
            let expected = format!("{cause} {line}");
            assert!(found.iter().any(|found| found.starts_with(&expected)), "no {expected} in {found:#?}");
        }
    }
}

#[test]
fn no_command_on_a_host_holds_a_secret() {
    let scene = Scene::new();
    let empty =
        format!("\n@x system\nhostname hub\nuptime 1\nclock 1\n\n@x fingerprint {}\n\n@x end\n", "0".repeat(64));
    let mut changed = Scene::new();
    changed.secrets.preshared.clear();
    let hosts =
        [(&scene, scene.observed(&empty), None), (&changed, scene.observed(&scene.answer()), Some(scene.deployed()))];
    for (model, seen, deployed) in hosts {
        let work = work(model, deployed.as_ref(), &seen);
        assert!(!work.steps.is_empty());
        let commands = work.steps.iter().flat_map(|s| [&s.what, &s.run, &s.undo]).chain(&work.checks);
        let commands: Vec<&str> = commands.map(String::as_str).collect();
        let private = scene.secrets.private.values().map(|k| k.expose_base64());
        let shared = scene.secrets.preshared.values().map(|k| k.expose_base64());
        for secret in private.chain(shared) {
            assert!(!commands.iter().any(|c| c.contains(secret.as_str())), "a secret in a command line");
        }
    }
}

proptest! {
    /// Whatever is missing on a host, a change names it, and only the kinds of changes that mend it come out.
    #[test]
    fn lines_that_a_host_lost_are_found_and_nothing_is_invented(lost in proptest::collection::vec(0usize..200, 0..6)) {
        let scene = Scene::new();
        let good = scene.answer();
        let candidates: Vec<&str> = good
            .lines()
            .filter(|l| l.contains("scope link") || l.contains("from all fwmark") || l.starts_with("wg0\t") && l.ends_with("off") && l.matches('\t').count() == 8)
            .collect();
        let gone: std::collections::BTreeSet<&str> = lost.iter().filter_map(|i| candidates.get(*i).copied()).collect();
        let answer: String = good.lines().filter(|l| !gone.contains(l)).map(|l| format!("{l}\n")).collect();
        let missing = good.lines().filter(|l| gone.contains(l)).count();
        let seen = scene.observed(&answer);
        let found = diff(&scene.desired(), &scene.secrets, Some(&scene.deployed()), &seen);
        prop_assert_eq!(found.len(), missing, "{:?}", found);
        for change in &found {
            prop_assert!(matches!(change.kind, Kind::RouteMissing | Kind::RuleMissing | Kind::PeerMissing));
            prop_assert_eq!(change.cause, Cause::Drift);
        }
    }
}

#[test]
fn a_loop_that_follows_names_is_begun_where_it_does_not_run_and_replaced_where_another_does() {
    let model = Scene::new();
    let deployed = model.deployed();
    let version = Loop::Resolve.version(&model.desired().interfaces[0]).unwrap();
    let none: String = model
        .answer()
        .lines()
        .filter(|line| !line.starts_with("@x resolver"))
        .fold(String::new(), |text, line| text + line + "\n");
    let seen = model.observed(&none);
    assert_eq!(
        changes(&model, Some(&deployed), &seen),
        [
            "drift wg0 + resolver follows depot.example.com, office.example.com",
            "drift wgx1 + resolver follows berlin.example.com",
            "drift wgx2 + resolver follows tokyo.example.com",
        ]
    );
    let steps = work(&model, Some(&deployed), &seen).steps;
    let begun = &steps[0];
    assert_eq!(
        (begun.run.as_str(), begun.undo.as_str()),
        ("sh \"$D\"/new/wgf-resolve-wg0.sh start", "w_end_loop resolve wg0")
    );

    let other = model.answer().replace(&format!("@x resolver wg0 {version}"), "@x resolver wg0 0123456789abcdef");
    let seen = model.observed(&other);
    let found = changes(&model, Some(&deployed), &seen);
    assert_eq!(found, ["drift wg0 ~ resolver another one -> follows depot.example.com, office.example.com"]);
    let steps = work(&model, Some(&deployed), &seen).steps;
    assert_eq!(steps[0].undo, "sh /etc/wireguard/wgf-resolve-wg0.sh start");
}

#[test]
fn another_key_of_a_peer_is_one_line_and_the_old_one_goes_as_the_new_one_comes() {
    let before = Scene::new();
    let seen = before.observed(&before.answer());
    let mut after = Scene::new();
    after.node("alice").interfaces[0].public_key = PublicKey::from_bytes([9; 32]);
    let found = changes(&after, Some(&before.deployed()), &seen);
    let old = before.topology.nodes.iter().find(|node| node.name.as_str() == "alice").unwrap().main().public_key;
    let new = PublicKey::from_bytes([9; 32]);
    assert_eq!(found[0], format!("pending wg0 ~ peer-key alice {} -> {}", old.short(), new.short()));
    assert!(found[1..].iter().all(|line| line.starts_with("pending - ~ file")), "{found:#?}");
    let work = work(&after, Some(&before.deployed()), &seen);
    assert_eq!(work.steps.len(), 1);
    assert_eq!(work.steps[0].run, format!("wg set wg0 peer '{old}' remove && wg addconf wg0 \"$D\"/peers/wg0.new"));
    assert_eq!(work.steps[0].undo, format!("wg set wg0 peer '{new}' remove; wg addconf wg0 \"$D\"/peers/wg0.old"));

    // What else is another one is said beside it.
    let narrower = before.answer().replace("10.66.0.6/32,fd00:66::6/128", "10.66.0.6/32");
    let found = changes(&after, Some(&before.deployed()), &before.observed(&narrower));
    assert_eq!(found[1], "drift wg0 ~ allowed-ips alice 10.66.0.6/32 -> 10.66.0.6/32, fd00:66::6/128");
}

#[test]
fn the_file_of_a_key_that_a_host_made_is_mended_before_anything_else_and_a_lost_one_is_not() {
    let mut scene = Scene::new();
    scene.node("hub").interfaces[0].kept = Some(Kept { key_on_host: true, ..Kept::made() });
    let interface = scene.desired().interfaces[0].clone();
    let (file, key) = (interface.key_file.unwrap(), interface.public_key);
    let with = |line: &str| scene.answer().replace("\n@x fingerprint", &format!("\n{line}\n\n@x fingerprint"));
    let good = scene.observed(&with(&format!("@x key {file} 600 0:0 {key}")));
    assert_eq!(changes(&scene, Some(&scene.deployed()), &good), Vec::<String>::new());

    // It is gone, and the interface has to go down and up for something else: it comes first.
    let mut after = Scene::new();
    after.node("hub").interfaces[0].kept = Some(Kept { key_on_host: true, ..Kept::made() });
    let mut desired = after.desired();
    desired.interfaces[0].table = crate::wg::Table::Named("vpn".to_owned());
    let gone = scene.observed(&scene.answer());
    assert_eq!(
        changes(&after, Some(&scene.deployed()), &gone)[0],
        format!("drift wg0 ~ key-file {file} missing -> the key that wg0 runs with")
    );
    let found = diff(&desired, &after.secrets, Some(&scene.deployed()), &gone);
    let work_there = steps(&found, &desired, &after.secrets, Some(&scene.deployed()), &gone);
    let [first, second, ..] = work_there.steps.as_slice() else { panic!("two steps") };
    assert_eq!(first.run, format!("w_put_key {file} '{key}' wg0"));
    assert_eq!(first.undo, format!("w_return_key {file}"));
    assert!(second.run.starts_with("w_down wg0"), "{second:?}");
    assert!(work_there.checks.contains(&format!("w_save_key_file {file}")));

    // Nothing runs with it: nobody can put it back.
    let line = scene.answer().lines().find(|line| line.starts_with("wg0\t(none)")).unwrap().to_owned();
    let other = line.replace(&key.to_string(), &PublicKey::from_bytes([9; 32]).to_string());
    let lost = scene.observed(&scene.answer().replace(&line, &other));
    assert_eq!(
        changes(&scene, Some(&scene.deployed()), &lost)[0],
        format!("drift wg0 ~ key-file {file} missing -> lost: only the host had it")
    );
    assert!(work(&scene, Some(&scene.deployed()), &lost).steps.iter().all(|step| step.kind != Kind::KeyFile));
}

#[test]
fn other_dns_servers_are_told_to_the_resolver_while_the_interface_runs() {
    let scene = Scene::new();
    let seen = scene.observed(&scene.answer());
    let told = |before: &[&str], after: &[&str]| {
        let words = |dns: &[&str]| dns.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let (mut desired, mut deployed) = (scene.desired(), scene.deployed());
        (desired.interfaces[0].dns, deployed.version.interfaces[0].dns) = (words(after), words(before));
        let found = diff(&desired, &scene.secrets, Some(&deployed), &seen);
        let work = steps(&found, &desired, &scene.secrets, Some(&deployed), &seen);
        let steps = work.steps.iter().map(|step| format!("{} // {}", step.run, step.undo));
        found.iter().map(ToString::to_string).chain(steps).collect::<Vec<_>>().join("\n")
    };
    let lines = [
        told(&[], &["10.66.0.53", "fd00:66::53", "home.example", "example"]),
        told(&["10.66.0.53"], &[]),
        told(&["10.66.0.53"], &["10.66.0.54"]),
        told(&["10.66.0.53"], &["home.example"]),
        told(&["10.66.0.53"], &["10.66.0.53"]),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    + dns 10.66.0.53, fd00:66::53, home.example, example
    w_dns wg0 'nameserver 10.66.0.53' 'nameserver fd00:66::53' 'search home.example example' // w_dns wg0
    - dns 10.66.0.53
    w_dns wg0 // w_dns wg0 'nameserver 10.66.0.53'
    ~ dns 10.66.0.53 -> 10.66.0.54
    w_dns wg0 'nameserver 10.66.0.54' // w_dns wg0 'nameserver 10.66.0.53'
    ~ dns 10.66.0.53 -> home.example
    w_dns wg0 // w_dns wg0 'nameserver 10.66.0.53'
    ");
}
