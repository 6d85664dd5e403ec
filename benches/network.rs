//! Networks of any size, all alike: a server with a LAN, a router for every hundred nodes, two exits, and remotes of
//! every access level.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::DateTime;
use wg_friend::model::{
    Access, Actor, Cidr, Custody, Egress, Grant, Interface, InterfaceId, InterfaceKind, InterfaceName, Lan, LinkId,
    Mtu, Name, Network, Node, NodeId, Origin, Port, PresharedKey, PrivateKey, PskPolicy, PublicKey, Role, Secrets,
    Source, Topology,
};
use wg_friend::wg::compile::links;

/// Ids of uplinks lie above those of nodes.
const UPLINKS: i64 = 1_000_000;

/// A network of `size` nodes.
pub(crate) fn topology(size: usize) -> Topology {
    let network = Network {
        name: parsed("bench"),
        interface: parsed("wg0"),
        cidr4: Some("10.64.0.0/16".parse().expect("a prefix")),
        cidr6: Some("fd00:64::/64".parse().expect("a prefix")),
        port: Port::WIREGUARD,
        dns: vec!["10.64.0.1".to_owned()],
        mtu: Mtu::DEFAULT,
        keepalive: 25,
        psk: PskPolicy::Unique,
        stable_clients: Vec::new(),
        exit: Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    };
    let nodes = (1..=size).map(|number| node(number, size)).collect();
    Topology { network, nodes, hosts: Vec::new(), links: Vec::new(), groups: Vec::new(), exit_groups: Vec::new() }
}

/// The same network with three servers, to each of which a third of the others belong.
pub(crate) fn three_servers(size: usize) -> Topology {
    let mut topology = topology(size);
    let servers = [NodeId(1), NodeId(5), NodeId(6)];
    for node in &mut topology.nodes {
        if servers[1..].contains(&node.id) {
            (node.role, node.access, node.exit) = (Role::Server, Access::Full, None);
            node.endpoint = Some(format!("server-{}.example.com:51820", node.id.0).parse().expect("an endpoint"));
            for exit in [2, 3] {
                let (id, name) = (UPLINKS + node.id.0 * 10 + exit, format!("wgx{exit}"));
                let port = u16::try_from(51_820 + exit).ok().and_then(Port::new);
                node.interfaces.push(interface(id, &name, InterfaceKind::Uplink(NodeId(exit)), port));
            }
        } else if !servers.contains(&node.id) {
            let at = usize::try_from(node.id.0 % 3).expect("less than three");
            node.server = Some(servers[at]).filter(|server| *server != servers[0]);
        }
    }
    topology
}

/// A private key for every interface and a preshared key for every link.
pub(crate) fn secrets(topology: &Topology) -> Secrets {
    let ids = topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(|interface| interface.id));
    let shared = |link: LinkId| (link, PresharedKey::from_random(filled(link.ends().1.0)));
    Secrets {
        private: ids.map(|id| (id, PrivateKey::from_random(filled(id.0)))).collect(),
        preshared: links(topology).into_iter().map(shared).collect(),
        ..Secrets::default()
    }
}

/// Who is at work.
pub(crate) fn actor() -> Actor {
    Actor { operator: "bench".to_owned(), address: None, source: Source::Cli }
}

fn role(number: usize) -> Role {
    match number {
        1 => Role::Server,
        2 | 3 => Role::Exit,
        _ if number % 100 == 4 => Role::Router,
        _ => Role::Remote,
    }
}

fn node(number: usize, size: usize) -> Node {
    let role = role(number);
    let id = i64::try_from(number).expect("a small number");
    let [high, low] = u16::try_from(number).expect("at most 10,000 nodes").to_be_bytes();
    let public = role != Role::Remote;
    let mut interfaces = vec![interface(id, "wg0", InterfaceKind::Main, public.then_some(Port::WIREGUARD))];
    if role == Role::Server {
        for exit in [2, 3].into_iter().filter(|exit| usize::try_from(*exit).is_ok_and(|exit| exit <= size)) {
            let port = u16::try_from(51_820 + exit).ok().and_then(Port::new);
            interfaces.push(interface(
                UPLINKS + exit,
                &format!("wgx{exit}"),
                InterfaceKind::Uplink(NodeId(exit)),
                port,
            ));
        }
    }
    let office = lan(number);
    Node {
        id: NodeId(id),
        guid: interfaces[0].public_key,
        name: parsed(&format!("{role}-{number}")),
        role,
        device: None,
        enabled: true,
        custody: Custody::Held,
        provisional: false,
        interfaces,
        address4: Some(Ipv4Addr::new(10, 64, high, low)),
        address6: Some(Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, u16::from_be_bytes([high, low]))),
        endpoint: public.then(|| format!("{role}-{number}.example.com:51820").parse().expect("an endpoint")),
        keepalive: None,
        mtu: None,
        dns: None,
        lans: if matches!(role, Role::Server | Role::Router) { vec![office] } else { Vec::new() },
        outer_interface: None,
        nat: false,
        access: access(role, number),
        lan_selection: [lan(1).cidr].into(),
        grants: if role == Role::Remote { vec![grant()] } else { Vec::new() },
        server: None,
        exit: (role == Role::Remote && number % 10 == 9).then_some(Egress::Node(NodeId(2))),
        kill_switch: None,
        exit_rules: Vec::new(),
        routed: Default::default(),
        host: None,
        notes: String::new(),
        origin: Origin::Manual,
        created: DateTime::UNIX_EPOCH,
    }
}

fn access(role: Role, number: usize) -> Access {
    match number % 4 {
        _ if role != Role::Remote => Access::Full,
        0 => Access::Full,
        1 => Access::VpnOnly,
        2 => Access::LanOnly,
        _ => Access::Custom,
    }
}

/// The server's LAN has number 1; routers have number 4, 104, 204 and so on.
fn lan(number: usize) -> Lan {
    let number = u8::try_from(number / 100 + usize::from(number > 1)).expect("at most 100 routers");
    let cidr: Cidr = format!("192.168.{number}.0/24").parse().expect("a prefix");
    Lan { cidr, description: String::new() }
}

fn grant() -> Grant {
    format!("{} tcp 22,443,8000-8999", lan(1).cidr).parse().expect("a grant")
}

fn interface(id: i64, name: &str, kind: InterfaceKind, listen_port: Option<Port>) -> Interface {
    let name: InterfaceName = parsed(name);
    Interface {
        id: InterfaceId(id),
        name,
        kind,
        listen_port,
        public_key: PublicKey::from_bytes(filled(id)),
        staged_key: None,
        overlap: None,
        kept: None,
    }
}

fn filled(number: i64) -> [u8; 32] {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a name")
}

/// The name of a node by its number, for lookups.
pub(crate) fn name(number: usize) -> Name {
    parsed(&format!("{}-{number}", role(number)))
}
