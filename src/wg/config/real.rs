//! The files, taken by the real wg-quick(8).

use std::collections::BTreeSet;

use super::{File, files};
use crate::model::{Cidr, EndpointHost};
use crate::wg::compile::compile;
use crate::wg::compile::fixture::Fixture;
use crate::wg::namespace::{printed, run};
use crate::wg::{InterfaceConfig, NodeConfig, dump};

/// A topology without names to resolve: there is no resolver in a namespace.
fn numbered() -> Fixture {
    let mut fixture = Fixture::everything();
    fixture.topology.network.dns.clear();
    for node in &mut fixture.topology.nodes {
        let number = u8::try_from(node.id.0).unwrap();
        if let Some(endpoint) = &mut node.endpoint {
            endpoint.host = EndpointHost::Address([203, 0, 113, number].into());
        }
    }
    fixture
}

fn contents(files: &[File]) -> Vec<(&str, &str)> {
    files.iter().map(|file| (file.path.as_str(), file.content.as_str())).collect()
}

/// Fails unless the kernel has of an interface exactly what it is meant to have.
fn assert_same(wanted: &InterfaceConfig, live: &dump::LiveInterface) {
    assert_eq!(live.public_key, Some(wanted.public_key));
    assert!(wanted.listen_port.is_none() || live.listen_port == wanted.listen_port);
    assert_eq!(live.peers.len(), wanted.peers.len());
    for peer in &wanted.peers {
        let found = &live.peers[&peer.public_key];
        assert_eq!(found.allowed_ips, peer.allowed_ips, "{}", peer.name);
        assert_eq!(found.keepalive, peer.keepalive, "{}", peer.name);
        assert_eq!(found.endpoint.map(|e| e.to_string()), peer.endpoint.as_ref().map(ToString::to_string));
        assert!(found.preshared.is_some());
    }
}

fn up_and_down(node: &NodeConfig, files: &[File]) -> Option<String> {
    let names: Vec<&str> = node.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    let names = names.join(" ");
    // The second round begins on what an unclean end leaves behind: interfaces gone, rules and tables still there.
    let script = format!(
        "each() {{ for name in {names}; do wg-quick \"$1\" $name >&2; done; }}
         ip link set lo up; ip link add eth0 type veth peer name eth1; ip link set eth1 up; ip addr add 198.51.100.7/24 dev eth0; ip link set eth0 up
         ip route add default via 198.51.100.1
         each up
         for name in {names}; do ip link del $name; while [ -e /run/wireguard/$name.sock ]; do :; done; done
         each up
         wg show all dump
         echo ----; ip rule list; ip -6 rule list
         echo ----; nft list tables
         each down
         echo ----; ip rule list; ip -6 rule list
         echo ----; nft list tables"
    );
    let output = run(&script, &["wg-quick", "wireguard-go", "nft", "ip", "sysctl"], &contents(files))?;
    Some(printed(&output))
}

#[test]
fn a_person_can_bring_every_node_up_and_down_by_hand() {
    let fixture = numbered();
    let (nodes, secrets) = (compile(&fixture.topology).unwrap(), fixture.secrets());
    for node in &nodes {
        let files = files(node, &secrets);
        let Some(printed) = up_and_down(node, &files) else { return };
        let parts: Vec<&str> = printed.split("----\n").collect();
        let [dumped, rules, tables, rules_after, tables_after] = parts[..] else { panic!("{printed}") };
        let live = dump::parse(dumped).unwrap();
        for interface in &node.interfaces {
            assert_same(interface, &live[&interface.name]);
            for rule in &interface.rules {
                let line = format!("fwmark {:#x} lookup {}", rule.mark, rule.table);
                assert_eq!(rules.matches(&line).count(), 2, "{rules}");
            }
        }
        let firewalls = node.interfaces.iter().filter_map(|interface| interface.firewall.as_ref());
        let expected: BTreeSet<String> = firewalls.map(|firewall| format!("table inet {}", firewall.table())).collect();
        let found: BTreeSet<String> = tables.lines().filter(|l| l.contains("wgf_")).map(str::to_owned).collect();
        assert_eq!(found, expected, "{}", node.name);
        assert!(!rules_after.contains("fwmark") && !tables_after.contains("wgf_"), "{rules_after}{tables_after}");
    }
}

#[test]
fn wg_takes_every_file_that_wg_quick_strips() {
    let fixture = numbered();
    let (nodes, secrets) = (compile(&fixture.topology).unwrap(), fixture.secrets());
    for node in &nodes {
        let files = files(node, &secrets);
        let script = "wg-quick strip wg0 >/run/stripped; wireguard-go wg0 >&2; wg setconf wg0 /run/stripped
            wg syncconf wg0 /run/stripped; wg show all dump";
        let Some(output) = run(script, &["wg-quick", "wireguard-go"], &contents(&files)) else { return };
        assert_same(&node.interfaces[0], &dump::parse(&printed(&output)).unwrap()[&node.interfaces[0].name]);
    }
}

#[test]
fn a_code_says_the_same_as_the_file() {
    let mut fixture = numbered();
    fixture.node("office").lans.push(crate::wg::compile::fixture::lans(&["192.168.11.0/24"]).remove(0));
    let (nodes, secrets) = (compile(&fixture.topology).unwrap(), fixture.secrets());
    let alice = nodes.iter().find(|node| node.name.as_str() == "alice").unwrap();
    let code = super::minimal(&alice.interfaces[0], &secrets);
    let script = "wg-quick strip wg0 >/run/stripped; wireguard-go wg0 >&2; wg setconf wg0 /run/stripped
        wg show all dump";
    let Some(output) = run(script, &["wg-quick", "wireguard-go"], &[("wg0.conf", &code)]) else { return };
    let mut live = dump::parse(&printed(&output)).unwrap();
    let peer = live.values_mut().next().unwrap().peers.values_mut().next().unwrap();
    let joined: Cidr = "192.168.10.0/23".parse().unwrap();
    assert!(peer.allowed_ips.contains(&joined));
    peer.allowed_ips.clone_from(&alice.interfaces[0].peers[0].allowed_ips);
    assert_same(&alice.interfaces[0], &live[&alice.interfaces[0].name]);
}
