//! Networks that no compiler made: whatever views say, they are joined as they are, or refused for a reason that names
//! what is wrong with them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::{Conflict, View, join};
use super::order::told;
use super::properties::{meaning, of_tunnel};
use super::{defaults, private, public};
use crate::model::{Cidr, InterfaceAddr, Table};
use crate::wg::{Hook, Phase, Tunnel, TunnelPeer};

const NAMES: [&str; 6] = ["ant", "bee", "cat", "dog", "eel", "fox"];

/// What one node says about one other.
#[derive(Clone, Debug)]
struct Says {
    known: bool,
    allowed: Vec<&'static str>,
    own: bool,
    endpoint: Option<&'static str>,
    keepalive: Option<u16>,
    name: Option<&'static str>,
}

/// What one node's file says.
#[derive(Clone, Debug)]
struct Wild {
    addresses: Vec<&'static str>,
    numbered: bool,
    port: Option<u16>,
    mtu: Option<u16>,
    dns: Vec<&'static str>,
    table: usize,
    mark: Option<u32>,
    hook: Option<&'static str>,
    missing: bool,
    about: Vec<Says>,
}

fn says() -> impl Strategy<Value = Says> {
    let pool = vec![
        "10.1.0.0/24",
        "10.1.0.0/16",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "fd01::/64",
        "192.168.1.0/24",
        "192.168.2.0/24",
        "192.168.2.128/25",
        "192.168.0.0/16",
        "203.0.113.0/24",
        "10.1.0.2/32",
        "10.1.0.77/32",
        "172.16.0.9/32",
        "fd01::3/128",
        "fd02::/64",
        "224.0.0.5/32",
    ];
    let endpoint =
        select(vec!["a.example:51820", "b.example:1", "192.0.2.1:51820", "10.1.0.3:51820", "[2001:db8::1]:9"]);
    let name = select(vec!["ant", "Bee's phone", "server", "wg0", "…", "x"]);
    (
        prop::bool::weighted(0.6),
        subsequence(pool, 0..4),
        prop::bool::weighted(0.8),
        prop::option::of(endpoint),
        prop::option::of(select(vec![0, 15, 25])),
        prop::option::of(name),
    )
        .prop_map(|(known, allowed, own, endpoint, keepalive, name)| Says {
            known,
            allowed,
            own,
            endpoint,
            keepalive,
            name,
        })
}

fn wild() -> impl Strategy<Value = Wild> {
    let addresses = subsequence(
        vec![
            "10.1.0.200/32",
            "fd01::5/64",
            "fe80::1/64",
            "192.168.1.1/24",
            "172.16.0.9/32",
            "10.1.0.1/24",
            "10.1.0.0/16",
        ],
        0..3,
    );
    let dns = subsequence(vec!["1.1.1.1", "10.1.0.1", "home.lan", "not a name", "fd01::53"], 0..3);
    let hook = select(vec![
        "iptables -A FORWARD -i %i -j ACCEPT",
        "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
        "sysctl -w net.ipv4.ip_forward=1",
        "wg set %i private-key /etc/wireguard/key",
    ]);
    (
        (addresses, prop::bool::weighted(0.8), prop::option::of(select(vec![51820, 443, 7])), dns),
        prop::option::of(select(vec![1280, 1420, 9000])),
        0..4usize,
        prop::option::of(0..3u32),
        prop::option::of(hook),
        prop::bool::weighted(0.3),
        vec(says(), NAMES.len()),
    )
        .prop_map(|((addresses, numbered, port, dns), mtu, table, mark, hook, missing, about)| Wild {
            addresses,
            numbered,
            port,
            mtu,
            dns,
            table,
            mark,
            hook,
            missing,
            about,
        })
}

fn tunnel(at: usize, wild: &Wild) -> Tunnel {
    let mut addresses: Vec<InterfaceAddr> = wild.addresses.iter().map(|text| text.parse().unwrap()).collect();
    if wild.numbered {
        addresses.insert(0, format!("10.1.0.{}/{}", at + 2, if at == 0 { 24 } else { 32 }).parse().unwrap());
    }
    let peer = |(other, says): (usize, &Says)| {
        let mut peer = TunnelPeer::new(public(NAMES[other]));
        let own: Option<Cidr> = says.own.then(|| format!("10.1.0.{}/32", other + 2).parse().unwrap());
        peer.allowed_ips = own.into_iter().chain(says.allowed.iter().map(|text| text.parse().unwrap())).collect();
        peer.endpoint = says.endpoint.map(|text| text.parse().unwrap());
        peer.keepalive = says.keepalive.filter(|seconds| *seconds > 0);
        peer.name = says.name.map(str::to_owned);
        // The two ends agree.
        let shared = format!("{} {}", at.min(other), at.max(other));
        peer.preshared = (at + other).is_multiple_of(3).then(|| private(&shared).expose_base64().parse().unwrap());
        peer
    };
    let known = wild.about.iter().enumerate().filter(|(other, says)| *other != at && says.known);
    Tunnel {
        private_key: Some(private(NAMES[at])),
        addresses,
        listen_port: wild.port.map(|port| port.try_into().unwrap()),
        fwmark: wild.mark,
        mtu: wild.mtu,
        dns: wild.dns.iter().map(|text| (*text).to_owned()).collect(),
        table: [Table::Auto, Table::Auto, Table::Off, Table::Number(7)][wild.table].clone(),
        save_config: wild.mark == Some(1),
        hooks: wild.hook.iter().map(|line| Hook { phase: Phase::PostUp, command: (*line).to_owned() }).collect(),
        peers: known.map(peer).collect(),
        ..Tunnel::default()
    }
}

fn views(wild: &[Wild]) -> Vec<View> {
    let present = wild.iter().enumerate().filter(|(_, wild)| !wild.missing);
    present.map(|(at, wild)| View::new(format!("{}.conf", NAMES[at]), tunnel(at, wild))).collect()
}

proptest! {
    #[test]
    fn whatever_views_say_is_kept(wild in vec(wild(), 1..=NAMES.len())) {
        let mut views = views(&wild);
        match join(&views, &defaults()) {
            Ok(joined) => {
                let compiled = meaning(&joined.topology, &joined.secrets);
                for view in &views {
                    let key = view.tunnel.private_key.as_ref().unwrap().public();
                    prop_assert_eq!(&compiled[&key], &of_tunnel(&view.tunnel), "{}", view.source);
                }
                let before = told(&joined, &views);
                views.reverse();
                prop_assert_eq!(before, told(&join(&views, &defaults()).unwrap(), &views));
            }
            Err(conflicts) => {
                for conflict in conflicts {
                    let named = matches!(conflict, Conflict::Nothing | Conflict::Apart { .. } | Conflict::TwoServers { .. });
                    prop_assert!(named, "{conflict}");
                }
            }
        }
    }
}
