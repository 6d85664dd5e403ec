//! Joining is the inverse of compiling.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::View;
use super::order::told;
use super::{defaults, joined};
use crate::model::{Cidr, Endpoint, InterfaceAddr, InterfaceId, PublicKey, Role, Secrets, Topology};
use crate::wg::compile::fixture::Fixture;
use crate::wg::compile::{compile, properties};
use crate::wg::config::{self, Document, Mode};
use crate::wg::{InterfaceConfig, Tunnel, TunnelPeer};

/// What an interface means, keys included and numbers left out.
pub(super) fn meaning(topology: &Topology, secrets: &Secrets) -> BTreeMap<PublicKey, String> {
    let nodes = compile(topology).unwrap();
    nodes.iter().flat_map(|node| &node.interfaces).map(|i| (i.public_key, of_interface(i, secrets))).collect()
}

/// The words for what an interface means. Two that mean the same have the same words.
fn words(
    mut addresses: Vec<InterfaceAddr>,
    rest: impl std::fmt::Debug,
    peers: impl Iterator<Item = (PublicKey, Vec<Cidr>, Option<Endpoint>, Option<u16>, Option<String>)>,
) -> String {
    addresses.sort_unstable();
    let mut peers: Vec<String> = peers.map(|peer| format!("{peer:?}")).collect();
    peers.sort_unstable();
    format!("{addresses:?} {rest:?} {peers:#?}")
}

pub(super) fn of_interface(config: &InterfaceConfig, secrets: &Secrets) -> String {
    let InterfaceConfig { listen_port, mtu, dns, table, fwmark, save_config, .. } = config;
    let rest = (listen_port, mtu.map(|mtu| mtu.get()), dns, table, fwmark, save_config);
    let peers = config.peers.iter().map(|peer| {
        let shared = secrets.preshared.get(&peer.link).map(|key| key.expose_base64().to_string());
        (peer.public_key, peer.allowed_ips.clone(), peer.endpoint.clone(), peer.keepalive, shared)
    });
    words(config.addresses.clone(), rest, peers)
}

/// The same of what a file says. Of peers with the same prefix the last one has it.
pub(super) fn of_tunnel(tunnel: &Tunnel) -> String {
    let Tunnel { listen_port, mtu, dns, table, fwmark, save_config, .. } = tunnel;
    let peers = tunnel.peers.iter().enumerate().map(|(at, peer)| {
        let later = |prefix: &Cidr| tunnel.peers[at + 1..].iter().any(|other| other.allowed_ips.contains(prefix));
        let mut allowed = peer.allowed_ips.clone();
        allowed.retain(|prefix| !later(prefix));
        allowed.sort_unstable();
        allowed.dedup();
        let shared = peer.preshared.as_ref().map(|key| key.expose_base64().to_string());
        (peer.public_key, allowed, peer.endpoint.clone(), peer.keepalive, shared)
    });
    words(tunnel.addresses.clone(), (listen_port, *mtu, dns, table, fwmark, save_config), peers)
}

/// Returns the files of every node, the server's first.
pub(super) fn views(fixture: &Fixture) -> Vec<(bool, View)> {
    let secrets = fixture.secrets();
    let mut views = Vec::new();
    for node in compile(&fixture.topology).unwrap() {
        for file in config::files(&node, &secrets).into_iter().filter(|file| file.path.ends_with(".conf")) {
            let tunnel = Document::parse(&file.content).read(Mode::Strict).unwrap().tunnel;
            let mut view = View::new(format!("{}/{}", node.name, file.path), tunnel);
            view.interface = Some(file.path.trim_end_matches(".conf").parse().unwrap());
            view.text = Some(file.content);
            views.push((node.name.as_str() == "hub", view));
        }
    }
    views
}

proptest! {
    #[test]
    fn the_files_of_a_compiled_network_join_to_one_that_compiles_to_the_same(
        fixture in properties::topology(),
        missing in proptest::collection::vec(any::<bool>(), 30),
        turn in any::<Index>(),
    ) {
        // From which exit what goes on is nowhere in the files: such networks aren't adopted.
        let fixture = fixture.without_chains();
        let original = meaning(&fixture.topology, &fixture.secrets());
        let kept = views(&fixture).into_iter().zip(missing).filter(|((server, _), missing)| *server || !missing);
        let mut views: Vec<View> = kept.map(|((_, view), _)| view).collect();
        let first = joined(&views);
        let compiled = meaning(&first.topology, &first.secrets);
        for view in &views {
            let key = view.tunnel.private_key.as_ref().unwrap().public();
            prop_assert_eq!(&compiled[&key], &original[&key], "{}", view.source);
        }
        let before = told(&first, &views);
        let turn = turn.index(views.len());
        views.rotate_left(turn);
        prop_assert_eq!(before, told(&joined(&views), &views));
    }
}

#[test]
fn all_files_of_a_network_give_back_its_model() {
    let fixture = Fixture::everything();
    let views: Vec<View> = views(&fixture).into_iter().map(|(_, view)| view).collect();
    insta::assert_snapshot!(super::shown(&joined(&views)), @"
    network 10.66.0.0/24 fd00:66::/64 port 51820 mtu 1420 dns 10.66.0.1
    server hub [10.66.0.1/32 fd00:66::1/128] lans 192.168.1.0/24 at hub.example.com:51820
    router depot [10.66.0.3/32 fd00:66::3/128] lans 192.168.20.0/24 at depot.example.com:51820
    router office [10.66.0.2/32 fd00:66::2/128] lans 192.168.10.0/24 fd00:10::/64 at office.example.com:51820
    exit berlin [10.66.0.4/32 fd00:66::4/128] at berlin.example.com:51820
    exit tokyo [10.66.0.5/32 fd00:66::5/128] at tokyo.example.com:51820
    remote alice [10.66.0.6/32 fd00:66::6/128] full
    remote bob [10.66.0.7/32 fd00:66::7/128] vpn_only
    remote carol [10.66.0.8/32 fd00:66::8/128] lan_only of 192.168.10.0/24
    remote dave [10.66.0.9/32 fd00:66::9/128] custom granted 10.66.0.1/32 any 10.66.0.2/32 any 192.168.20.0/24 any fd00:10::/64 any
    remote erin [10.66.0.10/32 fd00:66::a/128] exit_only by berlin
    remote frank [10.66.0.11/32 fd00:66::b/128] full by berlin
    info: which exit `frank` uses is in no source: `berlin` is assumed
    ");
    assert!(views.len() > 10 && defaults().network.port.get() == 51820);
}

#[test]
fn every_interface_with_a_view_has_its_document_and_keeps_its_firewall() {
    let fixture = Fixture::everything();
    let views: Vec<View> = views(&fixture).into_iter().map(|(_, view)| view).collect();
    let joined = joined(&views);
    let interfaces = || joined.topology.nodes.iter().flat_map(|node| &node.interfaces);
    let kept: Vec<InterfaceId> = interfaces().filter(|i| i.kept.is_some()).map(|i| i.id).collect();
    let mut documents: Vec<InterfaceId> = joined.documents.keys().copied().collect();
    documents.sort_unstable();
    let mut sorted = kept.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, documents);
    assert_eq!(documents.len(), views.len());
    assert!(interfaces().all(|interface| interface.kept.as_ref().is_some_and(|kept| !kept.firewall)));
}

#[test]
fn ten_thousand_peers_of_a_lone_server_are_joined() {
    let mut tunnel = Tunnel {
        private_key: Some(super::private("hub")),
        addresses: vec!["10.66.0.1/16".parse().unwrap()],
        listen_port: Some("51820".parse().unwrap()),
        ..Tunnel::default()
    };
    for number in 2..10_002_u32 {
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let mut peer = TunnelPeer::new(PublicKey::from_bytes(bytes));
        peer.allowed_ips = vec![format!("10.66.{}.{}/32", number / 256, number % 256).parse().unwrap()];
        tunnel.peers.push(peer);
    }
    let joined = joined(&[View::new("wg0.conf", tunnel)]);
    let remotes: Vec<_> = joined.topology.with_role(Role::Remote).collect();
    assert_eq!(remotes.len(), 10_000);
    assert!(remotes.iter().all(|node| node.provisional && node.address4.is_some()));
    assert!(joined.topology.nodes.iter().all(|node| node.main().kept.as_ref().is_none_or(|k| k.peers.is_empty())));
}
