//! Tests of what a device needs after each change, and of what a handshake proves.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::device::devices;
use super::meaning::{Meaning, compare};
use super::{DeviceReport, DeviceState};
use crate::db::Revision;
use crate::model::{Access, LinkId, Mtu, NodeId, Port, PrivateKey, Role, Secrets, Topology};
use crate::wg::compile::fixture::{Fixture, lans};
use crate::wg::compile::{compile, links};
use crate::wg::config::{Document, Mode, files};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// A network, and since when each of its links has its preshared key.
struct World {
    fixture: Fixture,
    preshared: BTreeMap<LinkId, DateTime<Utc>>,
}

impl World {
    fn new() -> Self {
        let mut fixture = Fixture::everything();
        for name in ["hub", "office", "depot", "berlin", "tokyo"] {
            fixture.node(name).host = Some(name.parse().unwrap());
        }
        let preshared = links(&fixture.topology).into_iter().map(|link| (link, at(0))).collect();
        Self { fixture, preshared }
    }

    fn meaning(&self, node: NodeId) -> Meaning {
        let compiled = compile(&self.fixture.topology).unwrap();
        Meaning::of(compiled.iter().find(|config| config.node == node).unwrap(), &self.preshared)
    }

    /// What everybody would have been given now.
    fn handed_out(&self) -> BTreeMap<NodeId, Vec<Revision>> {
        let nodes = self.fixture.topology.nodes.iter().filter(|node| node.host.is_none() && node.enabled);
        nodes.map(|node| (node.id, vec![revision(node.id, 1, &self.meaning(node.id))])).collect()
    }

    fn devices(&self, revisions: &BTreeMap<NodeId, Vec<Revision>>) -> Vec<DeviceReport> {
        devices(&self.fixture.topology, &compile(&self.fixture.topology).unwrap(), &self.preshared, revisions)
    }

    /// Hands out, changes, and says who needs a new file, a line each.
    fn after(change: impl FnOnce(&mut Self)) -> String {
        let mut world = Self::new();
        let revisions = world.handed_out();
        change(&mut world);
        let needed = world.devices(&revisions).into_iter().filter(|device| device.state == DeviceState::Outdated);
        needed.map(|device| format!("{}  {}\n", device.node, device.why())).collect()
    }
}

fn revision(node: NodeId, number: i64, meaning: &Meaning) -> Revision {
    Revision {
        node,
        number,
        meaning: meaning.to_json(),
        methods: vec!["qr".to_owned()],
        handed_out: at(number),
        last_handed_out: at(number),
        first_used: None,
        last_used: None,
    }
}

#[test]
fn nobody_needs_anything_while_nothing_changes_and_names_are_no_change() {
    assert_eq!(World::after(|_| {}), "");
    assert_eq!(
        World::after(|world| {
            world.fixture.node("hub").name = "centre".parse().unwrap();
            world.fixture.node("alice").notes = "on holiday".to_owned();
        }),
        ""
    );
}

#[test]
fn a_new_port_of_the_server_cuts_off_everyone_who_dials_it() {
    insta::assert_snapshot!(World::after(|world| {
        let hub = world.fixture.node("hub");
        hub.interfaces[0].listen_port = Port::new(51821);
        hub.endpoint = Some("hub.example.com:51821".parse().unwrap());
    }), @"
    alice  must: endpoint port 51820 -> 51821
    bob  must: endpoint port 51820 -> 51821
    carol  must: endpoint port 51820 -> 51821
    dave  must: endpoint port 51820 -> 51821
    frank  must: endpoint port 51820 -> 51821
    ");
}

#[test]
fn keys_and_addresses_must_and_comforts_may() {
    insta::assert_snapshot!(World::after(|world| {
        let alice = world.fixture.node("alice");
        alice.interfaces[0].public_key = PrivateKey::from_random([9; 32]).public();
        alice.address4 = Some([10, 66, 0, 77].into());
        let bob = world.fixture.node("bob");
        (bob.mtu, bob.keepalive, bob.dns) = (Mtu::try_from(1380).ok(), Some(15), Some(vec!["9.9.9.9".to_owned()]));
        world.fixture.node("office").lans = lans(&["192.168.10.0/24", "fd00:10::/64", "172.16.5.0/24"]);
        world.fixture.node("erin").access = Access::VpnOnly;
        let carol = world.fixture.node("carol").interfaces[0].id;
        let link = *world.preshared.keys().find(|link| link.ends().0 == carol || link.ends().1 == carol).unwrap();
        world.preshared.insert(link, at(60));
    }), @"
    alice  must: its own key is another, address 10.66.0.6/32, fd00:66::6/128 -> 10.66.0.77/32, fd00:66::6/128; may: AllowedIPs +172.16.5.0/24
    bob  may: keepalive 25 s -> 15 s, DNS 10.66.0.1 -> 9.9.9.9, MTU 1420 -> 1380
    carol  must: preshared key: it is another
    erin  must: berlin is no longer its peer; may: hub is its peer now, DNS none -> 10.66.0.1
    ");
}

#[test]
fn whoever_was_given_nothing_is_told_apart() {
    let world = World::new();
    let found = world.devices(&BTreeMap::new());
    assert!(found.iter().all(|device| device.state == DeviceState::NeverHandedOut && device.why().is_empty()));
    let names: Vec<&str> = found.iter().map(|device| device.node.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "carol", "dave", "erin", "frank"], "the others live on hosts");
}

#[test]
fn what_was_given_and_is_in_use_reads_as_one_line() {
    let world = World::new();
    let alice = world.fixture.topology.nodes.iter().find(|node| node.name.as_str() == "alice").unwrap().id;
    let line = |revisions: Vec<Revision>| {
        let all = BTreeMap::from([(alice, revisions)]);
        world.devices(&all).into_iter().find(|device| device.node.as_str() == "alice").unwrap().history()
    };
    let used = |mut revision: Revision, first: i64, last: i64| {
        (revision.first_used, revision.last_used) = (Some(at(first)), Some(at(last)));
        revision
    };
    let now = world.meaning(alice);
    let mut other = World::new();
    other.fixture.node("hub").endpoint = Some("hub.example.com:4711".parse().unwrap());
    let mut comfort = World::new();
    comfort.fixture.node("alice").mtu = Mtu::try_from(1300).ok();
    let (other, comfort) = (other.meaning(alice), comfort.meaning(alice));
    let lines = [
        line(vec![revision(alice, 1, &now)]),
        line(vec![used(revision(alice, 1, &now), 90, 200)]),
        line(vec![revision(alice, 2, &now), used(revision(alice, 1, &other), 90, 200)]),
        line(vec![revision(alice, 2, &now), used(revision(alice, 1, &comfort), 90, 200)]),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    revision 1 handed out 2023-11-14 by qr, not seen in use yet
    revision 1 handed out 2023-11-14 by qr, in use since 2023-11-14 22:14 UTC
    revision 2 handed out 2023-11-14 by qr, revision 1 was in use 2023-11-14 22:16 UTC
    revision 2 handed out 2023-11-14 by qr, this or revision 1 in use since 2023-11-14 22:14 UTC
    ");
}

/// A change of the model that compiles.
#[derive(Clone, Debug)]
enum Edit {
    Port(u16),
    Endpoint(u8),
    Mtu(usize, u16),
    Keepalive(usize, u16),
    Dns(usize, u8),
    Key(usize, u8),
    Address(usize, u8),
    Lan(u8),
    Access(usize, usize),
    Exit(usize, bool),
    Preshared(usize, i64),
    Notes(usize),
    Rename(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let who = 0..6_usize;
    prop_oneof![
        (51820..51823_u16).prop_map(Edit::Port),
        (0..2_u8).prop_map(Edit::Endpoint),
        (who.clone(), 1380..1383_u16).prop_map(|(who, mtu)| Edit::Mtu(who, mtu)),
        (who.clone(), 24..27_u16).prop_map(|(who, seconds)| Edit::Keepalive(who, seconds)),
        (who.clone(), 1..3_u8).prop_map(|(who, last)| Edit::Dns(who, last)),
        (who.clone(), 1..3_u8).prop_map(|(who, byte)| Edit::Key(who, byte)),
        (who.clone(), 1..3_u8).prop_map(|(who, last)| Edit::Address(who, last)),
        (0..3_u8).prop_map(Edit::Lan),
        (who.clone(), 0..3_usize).prop_map(|(who, access)| Edit::Access(who, access)),
        (who.clone(), any::<bool>()).prop_map(|(who, tokyo)| Edit::Exit(who, tokyo)),
        (0..6_usize, 0..2_i64).prop_map(|(link, since)| Edit::Preshared(link, since)),
        who.clone().prop_map(Edit::Notes),
        who.prop_map(Edit::Rename),
    ]
}

impl World {
    /// Makes a change, of the secrets as well.
    fn make(&mut self, secrets: &mut Secrets, edit: &Edit) {
        let ids: Vec<NodeId> =
            self.fixture.topology.nodes.iter().filter(|node| node.role == Role::Remote).map(|node| node.id).collect();
        let tokyo = |topology: &Topology| topology.nodes.iter().find(|n| n.name.as_str() == "tokyo").unwrap().id;
        let exit = tokyo(&self.fixture.topology);
        let node = |topology: &mut Topology, who: usize| -> usize {
            topology.nodes.iter().position(|node| node.id == ids[who]).unwrap()
        };
        let topology = &mut self.fixture.topology;
        let hub = topology.nodes.iter().position(|node| node.name.as_str() == "hub").unwrap();
        match *edit {
            Edit::Port(port) => {
                topology.nodes[hub].interfaces[0].listen_port = Port::new(port);
                topology.nodes[hub].endpoint.as_mut().unwrap().port = Port::new(port).unwrap();
            }
            Edit::Endpoint(n) => {
                let port = topology.nodes[hub].endpoint.as_ref().unwrap().port;
                topology.nodes[hub].endpoint = Some(format!("hub{n}.example.com:{port}").parse().unwrap());
            }
            Edit::Mtu(who, mtu) => {
                let at = node(topology, who);
                topology.nodes[at].mtu = Mtu::try_from(mtu).ok();
            }
            Edit::Keepalive(who, seconds) => {
                let at = node(topology, who);
                topology.nodes[at].keepalive = Some(seconds);
            }
            Edit::Dns(who, last) => {
                let at = node(topology, who);
                topology.nodes[at].dns = Some(vec![format!("9.9.9.{last}")]);
            }
            Edit::Key(who, byte) => {
                let at = node(topology, who);
                let key = PrivateKey::from_random([byte.wrapping_mul(16) + u8::try_from(who).unwrap(); 32]);
                topology.nodes[at].interfaces[0].public_key = key.public();
                secrets.private.insert(topology.nodes[at].interfaces[0].id, key);
            }
            Edit::Address(who, last) => {
                let at = node(topology, who);
                topology.nodes[at].address4 = Some([10, 66, 0, 100 + 10 * u8::try_from(who).unwrap() + last].into());
            }
            Edit::Lan(n) => {
                let office = topology.nodes.iter().position(|node| node.name.as_str() == "office").unwrap();
                topology.nodes[office].lans = match n {
                    0 => lans(&["192.168.10.0/24", "fd00:10::/64"]),
                    1 => lans(&["192.168.10.0/24", "fd00:10::/64", "172.16.1.0/24"]),
                    _ => lans(&["192.168.10.0/24", "fd00:10::/64", "172.16.2.0/24"]),
                };
            }
            Edit::Access(who, access) => {
                let at = node(topology, who);
                if topology.nodes[at].access != Access::ExitOnly {
                    topology.nodes[at].access = [Access::Full, Access::VpnOnly, Access::LanOnly][access];
                }
            }
            Edit::Exit(who, through) => {
                let at = node(topology, who);
                if topology.nodes[at].access != Access::ExitOnly {
                    topology.nodes[at].exit = through.then_some(exit.into());
                }
            }
            Edit::Preshared(at, since) => {
                let link = *self.preshared.keys().nth(at).unwrap();
                self.preshared.insert(link, super::tests::at(since));
                let byte = u8::try_from(since).unwrap() + 100;
                secrets.preshared.insert(link, crate::model::PresharedKey::from_random([byte; 32]));
            }
            Edit::Notes(who) => {
                let at = node(topology, who);
                topology.nodes[at].notes.push('x');
            }
            Edit::Rename(who) => {
                let at = node(topology, who);
                let name = format!("{}x", topology.nodes[at].name);
                if name.len() < 20 {
                    topology.nodes[at].name = name.parse().unwrap();
                }
            }
        }
    }

    /// What a node's wg-quick file says to wg-quick(8), whatever its comments.
    fn file(&self, node: NodeId, secrets: &Secrets) -> String {
        let compiled = compile(&self.fixture.topology).unwrap();
        let config = compiled.iter().find(|config| config.node == node).unwrap();
        let text = &files(config, secrets)[0].content;
        let mut tunnel = Document::parse(text).read(Mode::Strict).unwrap().tunnel;
        tunnel.peers.iter_mut().for_each(|peer| peer.name = None);
        let key = tunnel.private_key.as_ref().map(|key| key.public().to_string());
        let shared: Vec<_> =
            tunnel.peers.iter().map(|p| p.preshared.as_ref().map(|k| k.expose_base64().to_string())).collect();
        format!("{key:?} {shared:?} {tunnel:?}")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_device_is_up_to_date_exactly_when_its_file_would_say_the_same(edits in proptest::collection::vec(edit(), 1..6)) {
        let mut world = World::new();
        let mut secrets = world.fixture.secrets();
        for link in world.preshared.keys().copied().collect::<Vec<_>>() {
            secrets.preshared.insert(link, crate::model::PresharedKey::from_random([100; 32]));
        }
        let revisions = world.handed_out();
        let before: BTreeMap<NodeId, String> =
            revisions.keys().map(|node| (*node, world.file(*node, &secrets))).collect();
        for edit in &edits {
            world.make(&mut secrets, edit);
        }
        let names: BTreeMap<String, NodeId> =
            world.fixture.topology.nodes.iter().map(|node| (node.name.to_string(), node.id)).collect();
        for device in world.devices(&revisions) {
            let node = names[device.node.as_str()];
            let same = before[&node] == world.file(node, &secrets);
            prop_assert_eq!(device.state == DeviceState::UpToDate, same, "{}: {}", device.node, device.why());
            prop_assert_eq!(device.why().is_empty(), same);
            let had = Meaning::from_json(&revisions[&node][0].meaning).unwrap();
            prop_assert_eq!(compare(&had, &world.meaning(node), &BTreeMap::new()).is_empty(), same);
        }
    }
}

#[test]
fn a_handshake_proves_the_first_of_the_revisions_that_look_the_same() {
    use super::seen::{Handshake, proof};
    let alice = |world: &World| world.fixture.topology.nodes.iter().find(|n| n.name.as_str() == "alice").unwrap().id;
    let mut world = World::new();
    let node = alice(&world);
    let old = world.meaning(node);
    let hub = world.fixture.node("hub");
    hub.interfaces[0].listen_port = Port::new(51821);
    hub.endpoint = Some("hub.example.com:51821".parse().unwrap());
    let own = hub.interfaces[0].public_key;
    let moved = world.meaning(node);
    world.fixture.node("alice").mtu = Mtu::try_from(1300).ok();
    let smaller = world.meaning(node);
    let revisions = [revision(node, 3, &smaller), revision(node, 2, &moved), revision(node, 1, &old)];
    let key = world.fixture.node("alice").interfaces[0].public_key;
    let proven = |port: u16, time: i64| {
        let handshake = Handshake { own, port: Port::new(port), preshared: None, time: at(time) };
        let all = BTreeMap::from([(key, vec![handshake])]);
        let fits = |_: &Revision, shown: &super::meaning::Shown, seen: &Handshake<'_>| {
            Ok(shown.far == seen.own && shown.port == seen.port)
        };
        proof(node, &revisions, &all, fits).unwrap().map(|found| found.number)
    };
    assert_eq!(proven(51820, 60), Some(1), "it still uses the first");
    assert_eq!(proven(51821, 60), Some(2), "the third looks the same: the second at least");
    assert_eq!(proven(4711, 60), None);
    assert_eq!(proven(51821, 0), None, "before it was handed out");
}
