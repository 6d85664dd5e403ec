//! Topologies for tests.

use chrono::DateTime;

use crate::model::*;

/// Builds a topology node by node. Addresses, ids and keys count up; every interface has a private key and every link a
/// preshared key.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) topology: Topology,
    next: u8,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let network = Network {
            name: "home".parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            cidr4: Some("10.66.0.0/24".parse().unwrap()),
            cidr6: Some("fd00:66::/64".parse().unwrap()),
            port: Port::WIREGUARD,
            dns: vec!["10.66.0.1".to_owned()],
            mtu: Mtu::DEFAULT,
            keepalive: 25,
            psk: PskPolicy::Unique,
            stable_clients: Vec::new(),
            exit: crate::model::Egress::None,
            kill_switch: false,
            exit_rules: Vec::new(),
        };
        Self {
            topology: Topology {
                network,
                nodes: Vec::new(),
                hosts: Vec::new(),
                links: Vec::new(),
                groups: Vec::new(),
                exit_groups: Vec::new(),
            },
            next: 0,
        }
    }

    /// A server with a LAN, two routers, two exits and a remote of every kind.
    pub(crate) fn everything() -> Self {
        let mut all = Self::new();
        all.add("hub", Role::Server).lans = lans(&["192.168.1.0/24"]);
        let office = all.add("office", Role::Router);
        office.lans = lans(&["192.168.10.0/24", "fd00:10::/64"]);
        let depot = all.add("depot", Role::Router);
        depot.lans = lans(&["192.168.20.0/24"]);
        depot.nat = true;
        let berlin = all.add_exit("berlin");
        let tokyo = all.add_exit("tokyo");
        all.add("alice", Role::Remote);
        all.add("bob", Role::Remote).access = Access::VpnOnly;
        let carol = all.add("carol", Role::Remote);
        carol.access = Access::LanOnly;
        carol.lan_selection = ["192.168.10.0/24".parse().unwrap()].into();
        let dave = all.add("dave", Role::Remote);
        dave.access = Access::Custom;
        dave.grants = ["192.168.20.7 tcp 22,443,8000-8999", "192.168.20.0/24 udp 53", "fd00:10::/64", "10.66.0.2 icmp"]
            .map(|grant| grant.parse().unwrap())
            .into();
        let erin = all.add("erin", Role::Remote);
        (erin.access, erin.exit) = (Access::ExitOnly, Some(berlin.into()));
        all.add("frank", Role::Remote).exit = Some(tokyo.into());
        all
    }

    /// Adds a node that is like most of its role and returns it for changes.
    pub(crate) fn add(&mut self, name: &str, role: Role) -> &mut Node {
        self.next += 1;
        let number = self.next;
        let id = InterfaceId(100 * i64::from(number));
        let public = role != Role::Remote;
        let port = public.then_some(Port::WIREGUARD);
        let main = Interface {
            id,
            name: "wg0".parse().unwrap(),
            kind: InterfaceKind::Main,
            listen_port: port,
            public_key: private_key(id).public(),
            staged_key: None,
            overlap: None,
            kept: None,
        };
        self.topology.nodes.push(Node {
            id: NodeId(number.into()),
            guid: main.public_key,
            name: name.parse().unwrap(),
            role,
            device: None,
            enabled: true,
            custody: Custody::Held,
            provisional: false,
            interfaces: vec![main],
            address4: Some([10, 66, 0, number].into()),
            address6: Some([0xfd00, 0x66, 0, 0, 0, 0, 0, number.into()].into()),
            endpoint: public.then(|| format!("{name}.example.com:51820").parse().unwrap()),
            keepalive: None,
            mtu: None,
            dns: None,
            lans: Vec::new(),
            outer_interface: None,
            nat: false,
            access: Access::Full,
            lan_selection: Default::default(),
            grants: Vec::new(),
            server: None,
            exit: None,
            kill_switch: None,
            exit_rules: Vec::new(),
            routed: Default::default(),
            host: None,
            notes: String::new(),
            origin: Origin::Manual,
            created: DateTime::UNIX_EPOCH,
        });
        self.topology.nodes.last_mut().unwrap()
    }

    /// Adds an exit, and the servers' uplinks towards it.
    pub(crate) fn add_exit(&mut self, name: &str) -> NodeId {
        let exit = self.add(name, Role::Exit).id;
        self.add_missing_uplinks();
        exit
    }

    /// Gives every server an uplink to every exit.
    pub(crate) fn add_missing_uplinks(&mut self) {
        let exits: Vec<NodeId> = self.topology.with_role(Role::Exit).map(|node| node.id).collect();
        for server in self.topology.nodes.iter_mut().filter(|node| node.role == Role::Server) {
            exits.iter().for_each(|exit| add_uplink(server, *exit));
        }
    }

    /// Returns the way by these exits one after another, and gives each an uplink to the next.
    pub(crate) fn chain(&mut self, exits: &[NodeId]) -> Egress {
        let via = Via::new(exits).unwrap();
        for (from, to) in via.steps() {
            add_uplink(self.topology.nodes.iter_mut().find(|node| node.id == from).unwrap(), to);
        }
        Egress::Via(via)
    }

    /// Lets everything that goes by several exits leave at the first, so that no exit has an uplink.
    pub(crate) fn without_chains(mut self) -> Self {
        for node in &mut self.topology.nodes {
            node.exit = node.exit.map(|way| way.via().map_or(way, |via| via.first().into()));
            if node.role == Role::Exit {
                node.interfaces.truncate(1);
            }
        }
        self
    }

    /// Links two nodes beside what follows from their roles.
    pub(crate) fn link(&mut self, a: &str, b: &str, weight: u16) {
        self.link_that(WhenDown::Stay, a, b, weight);
    }

    /// Links two nodes, and says what becomes of the link's traffic when it is down.
    pub(crate) fn link_that(&mut self, when_down: WhenDown, a: &str, b: &str, weight: u16) {
        let main = |name: &str| self.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap().main().id;
        let link = Link { id: LinkId::between(main(a), main(b)), weight: Some(weight.try_into().unwrap()), when_down };
        self.topology.links.retain(|other| other.id != link.id);
        self.topology.links.push(link);
        self.topology.links.sort_unstable();
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        self.topology.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap()
    }

    pub(crate) fn secrets(&self) -> Secrets {
        let ids = self.topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(|interface| interface.id));
        let links = super::links(&self.topology).into_iter();
        Secrets {
            private: ids.map(|id| (id, private_key(id))).collect(),
            preshared: links.map(|link| (link, PresharedKey::from_random(filled(link.ends().1.0)))).collect(),
            ..Secrets::default()
        }
    }
}

pub(crate) fn lans(prefixes: &[&str]) -> Vec<Lan> {
    prefixes.iter().map(|text| Lan { cidr: text.parse().unwrap(), description: String::new() }).collect()
}

fn add_uplink(node: &mut Node, exit: NodeId) {
    if node.uplink_to(exit).is_some() {
        return;
    }
    let number = node.interfaces.len();
    let id = InterfaceId(node.interfaces[0].id.0 + number as i64);
    node.interfaces.push(Interface {
        id,
        name: format!("wgx{number}").parse().unwrap(),
        kind: InterfaceKind::Uplink(exit),
        listen_port: Port::new(51900 + number as u16),
        public_key: private_key(id).public(),
        staged_key: None,
        overlap: None,
        kept: None,
    });
}

fn filled(number: i64) -> [u8; 32] {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn private_key(id: InterfaceId) -> PrivateKey {
    PrivateKey::from_random(filled(id.0 << 8))
}
