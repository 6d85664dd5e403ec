//! The model: what is written is read back, whatever it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::db::Kind;
use crate::model::{Become, Cidr, Device, Grant, KeyState, Lan, LinkId, PresharedKey, Topology};

fn released(lab: &Lab, since: i64) -> Vec<String> {
    lab.store.released_since(at(since)).unwrap().iter().map(IpAddr::to_string).collect()
}

/// A node with something in every field.
fn full(private: &PrivateKey) -> Node {
    let lan = |cidr: &str, description: &str| Lan { cidr: cidr.parse().unwrap(), description: description.into() };
    let mut node = node_with("full", 20, private.public());
    node.role = Role::Router;
    node.device = Some(Device::Server);
    node.enabled = false;
    node.custody = Custody::ShownOnce;
    node.provisional = true;
    node.interfaces[0].listen_port = Port::new(51999);
    node.endpoint = Some("[2001:db8::7]:51999".parse().unwrap());
    node.keepalive = Some(15);
    node.mtu = Some(1300.try_into().unwrap());
    node.dns = Some(vec!["1.1.1.1".into(), "it's \"quoted\", fine".into()]);
    node.lans = vec![lan("192.168.9.0/24", "zweite Etage"), lan("192.168.1.0/24", "")];
    node.outer_interface = Some("enp1s0".parse().unwrap());
    node.nat = true;
    node.access = Access::Custom;
    node.lan_selection = ["10.1.0.0/16", "fd00:9::/64"].map(|c| c.parse::<Cidr>().unwrap()).into();
    node.grants = ["192.168.1.50/32 tcp 443,22,8000-8999", "fd00::/64 any"].map(|g| g.parse().unwrap()).into();
    node.host = Some(name("hub"));
    node.notes = "first line\nsecond line\n".into();
    node.origin = Origin::Wizard;
    node
}

#[test]
fn a_node_reads_back_with_every_field() {
    let mut lab = lab();
    let private = random_key();
    let node = lab
        .write(|tx| {
            tx.insert_host(&host("hub"))?;
            tx.insert_node(full(&private), Some(&private))
        })
        .unwrap();
    let topology = lab.reopen().topology().unwrap();
    assert_eq!(topology.nodes, std::slice::from_ref(&node));
    assert_eq!(topology.network, network());
    assert_eq!(topology.hosts, [host("hub")]);
    assert_eq!((node.id, node.main().id), (NodeId(1), InterfaceId(1)));
    let secrets = lab.store.secrets().unwrap();
    assert_eq!(*secrets.private[&node.main().id].expose_base64(), *private.expose_base64());
}

#[test]
fn an_update_replaces_every_field_but_the_key() {
    let mut lab = lab();
    let old = lab.add("plain", 20);
    let private = random_key();
    let mut new = full(&private);
    new.id = old.id;
    new.guid = old.guid;
    new.interfaces[0].id = old.main().id;
    new.interfaces[0].public_key = old.main().public_key;
    new.interfaces[0].name = "wg7".parse().unwrap();
    lab.write(|tx| {
        tx.insert_host(&host("hub"))?;
        tx.update_node(&new, at(2))
    })
    .unwrap();
    assert_eq!(lab.store.topology().unwrap().nodes, [new.clone()]);
    new.id = NodeId(77);
    assert_eq!(lab.write(|tx| tx.update_node(&new, at(2))).unwrap_err().kind(), Kind::Missing);
}

#[test]
fn the_network_reads_back_after_an_update() {
    let mut lab = lab();
    let mut changed = network();
    changed.name = name("renamed");
    changed.cidr6 = None;
    changed.cidr4 = Some("10.0.0.0/16".parse().unwrap());
    changed.dns.clear();
    changed.psk = PskPolicy::None;
    changed.port = Port::new(443).unwrap();
    lab.write(|tx| tx.update_network(&changed)).unwrap();
    assert_eq!(lab.store.network().unwrap(), changed);
}

#[test]
fn what_is_taken_is_refused_by_name() {
    let mut lab = lab();
    let taken = lab.add("phone", 9);
    let attempt = |lab: &mut Lab, change: fn(&mut Node, &Node)| {
        let (mut node, _) = node("other", 10);
        change(&mut node, &taken);
        let error = lab.write(|tx| tx.insert_node(node, None)).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        error.to_string()
    };
    assert_eq!(attempt(&mut lab, |n, t| n.name = t.name.clone()), "there is already a node of this name");
    assert_eq!(attempt(&mut lab, |n, t| n.address4 = t.address4), "there is already a node with this address");
    assert_eq!(attempt(&mut lab, |n, t| n.address6 = t.address6), "there is already a node with this address");
    assert_eq!(attempt(&mut lab, |n, t| n.guid = t.guid), "there is already a node with this guid");
    assert_eq!(
        attempt(&mut lab, |n, t| n.interfaces[0].public_key = t.main().public_key),
        "there is already an interface that has or had this key"
    );
    assert_eq!(lab.store.topology().unwrap().nodes.len(), 1);
    let (mut homeless, key) = node("homeless", 11);
    homeless.host = Some(name("nowhere"));
    let error = lab.write(|tx| tx.insert_node(homeless, Some(&key))).unwrap_err();
    assert_eq!(error.to_string(), "there is no host `nowhere`");
}

#[test]
fn a_private_key_must_belong_to_its_public_key() {
    let mut lab = lab();
    let (node, _) = node("phone", 9);
    let error = lab.write(|tx| tx.insert_node(node, Some(&random_key()))).unwrap_err();
    assert!(matches!(error, Error::KeyMismatch { .. }));
}

#[test]
fn addresses_given_up_stay_away_for_a_while() {
    let mut lab = lab();
    let mut phone = lab.add("phone", 9);
    let laptop = lab.add("laptop", 10);
    lab.write(|tx| tx.delete_node(laptop.id, at(100))).unwrap();
    phone.address4 = Some([10, 66, 0, 11].into());
    lab.write(|tx| tx.update_node(&phone, at(200))).unwrap();
    assert_eq!(released(&lab, 100), ["10.66.0.10", "10.66.0.9", "fd12:3456:789a::a"]);
    assert_eq!(released(&lab, 101), ["10.66.0.9"]);
    assert_eq!(released(&lab, 201), [""; 0]);
    lab.add("again", 10);
    assert_eq!(released(&lab, 0), ["10.66.0.9"], "asked for and given, it is free no longer");
}

#[test]
fn numbers_are_never_used_twice() {
    let mut lab = lab();
    let first = lab.add("first", 9);
    lab.write(|tx| tx.delete_node(first.id, at(1))).unwrap();
    let second = lab.add("second", 10);
    assert!(second.id > first.id && second.main().id > first.main().id);
}

#[test]
fn an_uplink_follows_the_main_interface_and_keeps_its_exit() {
    let mut lab = lab();
    let (server, exit) = (lab.add("server", 1), lab.add("exit", 100));
    let key = random_key();
    let uplink = lab
        .write(|tx| {
            let port = Port::new(51900);
            let wgx = "wgx1".parse().unwrap();
            tx.insert_uplink(server.id, exit.id, &wgx, port, key.public(), Some(&key), at(1))
        })
        .unwrap();
    let mut read = lab.store.topology().unwrap().nodes[0].clone();
    assert_eq!(read.main(), server.main());
    assert_eq!(read.uplink_to(exit.id).unwrap().id, uplink);
    assert_eq!(read.uplink_to(exit.id).unwrap().listen_port, Port::new(51900));

    read.interfaces[1].name = "wgx9".parse().unwrap();
    read.interfaces[1].listen_port = None;
    lab.write(|tx| tx.update_node(&read, at(2))).unwrap();
    assert_eq!(lab.store.topology().unwrap().nodes[0], read);

    let in_use = lab.write(|tx| tx.delete_node(exit.id, at(2))).unwrap_err();
    assert!(matches!(in_use, Error::InUse));
    let main = lab.write(|tx| tx.delete_interface(server.main().id)).unwrap_err();
    assert_eq!(main.kind(), Kind::Missing, "a main interface goes with its node");
    lab.write(|tx| {
        tx.delete_interface(uplink)?;
        tx.delete_node(exit.id, at(2))
    })
    .unwrap();
    assert_eq!(lab.store.topology().unwrap().nodes, [server]);
}

#[test]
fn a_node_whose_exit_is_removed_must_be_told_first() {
    let mut lab = lab();
    let exit = lab.add("exit", 100);
    let mut phone = lab.add("phone", 9);
    phone.exit = Some(exit.id.into());
    lab.write(|tx| tx.update_node(&phone, at(1))).unwrap();
    assert!(matches!(lab.write(|tx| tx.delete_node(exit.id, at(2))).unwrap_err(), Error::InUse));
    phone.exit = None;
    lab.write(|tx| {
        tx.update_node(&phone, at(2))?;
        tx.delete_node(exit.id, at(2))
    })
    .unwrap();
    assert_eq!(lab.store.topology().unwrap().nodes, [phone]);
}

#[test]
fn the_guid_stays_while_keys_come_and_go() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let interface = phone.main().id;
    let keys = [random_key(), random_key(), random_key()];
    for (n, key) in (1..).zip(&keys) {
        lab.write(|tx| tx.replace_key(interface, key.public(), Some(key), &format!("reason {n}"), at(10 * n))).unwrap();
    }
    let read = lab.store.topology().unwrap().nodes[0].clone();
    assert_eq!((read.guid, read.main().public_key), (phone.guid, keys[2].public()));
    let history = lab.store.key_history(phone.id).unwrap();
    let states: Vec<_> = history.iter().map(|k| (k.public_key, k.state, k.retired_at, k.reason.as_deref())).collect();
    let retired = |n: i64| Some(at(10 * n));
    assert_eq!(
        states,
        [
            (keys[2].public(), KeyState::Active, None, None),
            (keys[1].public(), KeyState::Retired, retired(3), Some("reason 3")),
            (keys[0].public(), KeyState::Retired, retired(2), Some("reason 2")),
            (phone.guid, KeyState::Retired, retired(1), Some("reason 1")),
        ]
    );
    assert!(history.iter().all(|k| k.held));
    assert_eq!(lab.store.secrets().unwrap().private.len(), 1);

    let back = lab.write(|tx| tx.replace_key(interface, phone.guid, None, "back", at(99))).unwrap_err();
    assert_eq!(back.kind(), Kind::Conflict, "a key is used once");
    let nowhere = lab.write(|tx| tx.replace_key(InterfaceId(99), random_key().public(), None, "x", at(99)));
    assert_eq!(nowhere.unwrap_err().kind(), Kind::Missing);
}

#[test]
fn a_key_that_the_device_keeps_is_known_by_its_public_half() {
    let mut lab = lab();
    let (node, _) = node("phone", 9);
    let node = lab.write(|tx| tx.insert_node(node, None)).unwrap();
    assert!(lab.store.secrets().unwrap().private.is_empty());
    assert!(!lab.store.key_history(node.id).unwrap()[0].held);
    let found = lab.write(|tx| tx.interface_with_key(node.guid)).unwrap();
    assert_eq!(found, Some(node.main().id));
}

#[test]
fn preshared_keys_belong_to_a_link_from_either_end() {
    let mut lab = lab();
    let (a, b) = (lab.add("a", 1).main().id, lab.add("b", 2).main().id);
    let key = |byte| PresharedKey::from_random([byte; 32]);
    lab.write(|tx| tx.set_psk(LinkId::between(b, a), &key(1), at(1))).unwrap();
    lab.write(|tx| tx.set_psk(LinkId::between(a, b), &key(2), at(2))).unwrap();
    let secrets = lab.store.secrets().unwrap();
    assert_eq!(secrets.preshared.keys().collect::<Vec<_>>(), [&LinkId::between(a, b)]);
    assert_eq!(secrets.preshared[&LinkId::between(a, b)], key(2));
    assert_eq!(lab.reopen().preshared_links().unwrap(), [LinkId::between(a, b)]);
    assert!(lab.write(|tx| tx.remove_psk(LinkId::between(b, a))).unwrap());
    assert!(!lab.write(|tx| tx.remove_psk(LinkId::between(b, a))).unwrap());
    assert!(lab.write(|tx| tx.set_psk(LinkId::between(a, a), &key(1), at(1))).is_err());
    lab.write(|tx| tx.set_psk(LinkId::between(a, b), &key(1), at(3))).unwrap();
    let node = lab.store.topology().unwrap().nodes[1].id;
    lab.write(|tx| tx.delete_node(node, at(4))).unwrap();
    assert!(lab.store.secrets().unwrap().preshared.is_empty(), "a link goes with either of its ends");
}

#[test]
fn hosts_read_back_and_keep_their_nodes_when_renamed() {
    let mut lab = lab();
    let mut hub = host("hub");
    if let HostAddress::Ssh { jump, identity, .. } = &mut hub.address {
        *jump = Some("bastion".into());
        *identity = Some("~/.ssh/id_hub".into());
    }
    let (mut node, key) = node("server", 1);
    node.host = Some(name("hub"));
    lab.write(|tx| {
        tx.insert_host(&hub)?;
        tx.insert_host(&local())?;
        tx.insert_node(node, Some(&key))
    })
    .unwrap();
    assert_eq!(lab.reopen().hosts().unwrap(), [local(), hub.clone()]);
    let error = lab.write(|tx| tx.insert_host(&hub)).unwrap_err();
    assert_eq!(error.to_string(), "there is already a host of this name");

    let moved = Host::new(name("hub2"), HostAddress::Local, Become::Sudo);
    lab.write(|tx| tx.update_host(&name("hub"), &moved)).unwrap();
    let topology = lab.store.topology().unwrap();
    assert_eq!(topology.hosts, [local(), moved]);
    assert_eq!(topology.nodes[0].host, Some(name("hub2")));
    assert!(matches!(lab.write(|tx| tx.delete_host(&name("hub2"))).unwrap_err(), Error::InUse));
    lab.write(|tx| tx.delete_host(&name("here"))).unwrap();
    assert_eq!(lab.write(|tx| tx.delete_host(&name("here"))).unwrap_err().to_string(), "there is no host `here`");
    assert_eq!(lab.write(|tx| tx.update_host(&name("x"), &local())).unwrap_err().kind(), Kind::Missing);
}

fn any_cidr() -> impl Strategy<Value = Cidr> {
    let four = (any::<u32>(), 8..=32_u8).prop_map(|(a, len)| (IpAddr::V4(a.into()), len));
    let six = (any::<u128>(), 8..=128_u8).prop_map(|(a, len)| (IpAddr::V6(a.into()), len));
    prop_oneof![four, six].prop_map(|(address, len)| Cidr::containing(ipnet::IpNet::new(address, len).unwrap()))
}

fn any_word<T: Copy + std::fmt::Debug>(words: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(words)
}

prop_compose! {
    fn any_lists()(
        lans in prop::collection::vec((any_cidr(), ".{0,12}"), 0..4),
        lan_selection in prop::collection::btree_set(any_cidr(), 0..4),
        grants in prop::collection::vec(
            (any_cidr(), any_word(&["any", "icmp", "tcp", "udp 53", "tcp 22,80-90", "udp 1-65535"])), 0..4),
    ) -> (Vec<Lan>, BTreeSet<Cidr>, Vec<Grant>) {
        let lans = lans.into_iter().map(|(cidr, description)| Lan { cidr, description }).collect();
        let grants = grants.into_iter().map(|(cidr, rest)| format!("{cidr} {rest}").parse().unwrap()).collect();
        (lans, lan_selection, grants)
    }
}

prop_compose! {
    /// A node whose name, addresses and key are set by whoever gathers several of them.
    fn any_node()(
        role in any_word(Role::ALL), device in prop::option::of(any_word(Device::ALL)),
        custody in any_word(Custody::ALL), access in any_word(Access::ALL), origin in any_word(Origin::ALL),
        flags in any::<[bool; 5]>(), port in any::<u16>(), keepalive in any::<Option<u16>>(),
        mtu in prop::option::of(1280..=u16::MAX), dns in prop::option::of(prop::collection::vec(".{0,9}", 0..3)),
        endpoint in prop::option::of("[a-z]{1,9}\\.example:[1-9][0-9]{0,3}"), notes in ".{0,40}",
        outer in prop::option::of("[a-z][a-z0-9]{0,14}"), (lans, lan_selection, grants) in any_lists(),
        created in 0..4_000_000_000_000_000_i64,
    ) -> Node {
        let mut node = node_with("n", 1, PublicKey::from_bytes([0; 32]));
        (node.role, node.device, node.custody, node.access, node.origin) = (role, device, custody, access, origin);
        (node.enabled, node.provisional, node.nat) = (flags[0], flags[1], flags[2]);
        node.interfaces[0].listen_port = Port::new(port);
        (node.keepalive, node.mtu, node.dns) = (keepalive, mtu.map(|m| m.try_into().unwrap()), dns);
        node.endpoint = endpoint.map(|e| e.parse().unwrap());
        node.outer_interface = outer.map(|o| o.parse().unwrap());
        (node.notes, node.lans, node.lan_selection, node.grants) = (notes, lans, lan_selection, grants);
        node.created = DateTime::from_timestamp_micros(created).unwrap();
        if !flags[3] { node.address4 = None; }
        if !flags[4] { node.address6 = None; }
        node
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_topology_reads_back(mut nodes in prop::collection::vec(any_node(), 0..8), edits in prop::collection::vec(any_node(), 0..8)) {
        let mut lab = lab();
        let settle = |node: &mut Node, n: u8| {
            node.name = name(&format!("n{n}"));
            node.address4 = node.address4.map(|_| [10, 66, 0, n].into());
            node.address6 = node.address6.map(|_| [0xfd12, 0, 0, 0, 0, 0, 0, n.into()].into());
        };
        let mut stored = Vec::new();
        for (n, node) in (1..).zip(&mut nodes) {
            settle(node, n);
            node.guid = PublicKey::from_bytes([n; 32]);
            node.interfaces[0].public_key = node.guid;
            stored.push(lab.write(|tx| tx.insert_node(node.clone(), None)).unwrap());
        }
        let topology = |lab: &Lab| lab.reopen().topology().unwrap();
        let expected = |nodes: &[Node]| Topology { network: network(), nodes: nodes.to_vec(), hosts: vec![], links: vec![], groups: vec![], exit_groups: vec![] };
        prop_assert_eq!(topology(&lab), expected(&stored));

        for (n, (old, mut new)) in (1..).zip(stored.iter_mut().zip(edits)) {
            settle(&mut new, n);
            (new.id, new.guid, new.created) = (old.id, old.guid, old.created);
            (new.interfaces[0].id, new.interfaces[0].public_key) = (old.interfaces[0].id, old.interfaces[0].public_key);
            lab.write(|tx| tx.update_node(&new, at(1))).unwrap();
            *old = new;
        }
        prop_assert_eq!(topology(&lab), expected(&stored));
        prop_assert_eq!(lab.store.verify_audit(Some(lab.store.data_key())).unwrap().bad, None);
    }
}
