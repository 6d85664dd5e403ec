//! The network as machines: what each would do with a packet, looked up in what is compiled for it.

use std::collections::HashMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::model::{Cidr, InterfaceName, Node, NodeId, PublicKey, Role, Table, Topology};
use crate::wg::firewall::{Firewall, PRIVATE4, PRIVATE6};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, Sysctl, runtime};

/// A node with what its host runs.
#[derive(Clone, Copy)]
pub(super) struct Machine<'a> {
    pub(super) node: &'a Node,
    pub(super) config: &'a NodeConfig,
}

/// Where a machine sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// To itself.
    Here,
    /// Into the interface with this index.
    Tunnel(usize),
    /// Into one of its own LANs.
    Lan(Cidr),
    /// By its default route.
    Outside,
}

/// A compiled topology, ready for questions.
#[derive(Clone)]
pub struct World<'a> {
    pub(super) topology: &'a Topology,
    pub(super) machines: Vec<Machine<'a>>,
    ends: HashMap<PublicKey, (usize, usize)>,
    by_id: HashMap<NodeId, usize>,
    /// Every enabled node's LANs, sorted, with the node that advertises them.
    lans: Vec<(Cidr, NodeId)>,
    /// Whether every remote's own file asks for everything.
    pub(super) edited: bool,
    /// Then what their files ask of each peer, by the remote and the peer's key.
    asked: HashMap<(NodeId, PublicKey), Vec<Cidr>>,
    /// When packets are sent; `None` is before any grant has ended.
    pub(super) at: Option<DateTime<Utc>>,
}

impl<'a> World<'a> {
    /// Prepares questions about a topology and what it compiles to.
    pub fn of(topology: &'a Topology, compiled: &'a [NodeConfig]) -> Self {
        let known = |config: &'a NodeConfig| topology.node(config.node).map(|node| Machine { node, config });
        let machines: Vec<Machine<'a>> = compiled.iter().filter_map(known).collect();
        let mut ends = HashMap::new();
        for (at, machine) in machines.iter().enumerate() {
            for (number, interface) in machine.config.interfaces.iter().enumerate() {
                ends.extend(interface.keys().map(|key| (key, (at, number))));
            }
        }
        let by_id = machines.iter().enumerate().map(|(at, machine)| (machine.node.id, at)).collect();
        let lans = machines.iter().flat_map(|m| m.node.lans.iter().map(|lan| (lan.cidr, m.node.id)));
        let mut lans: Vec<_> = lans.collect();
        lans.sort_unstable();
        Self { topology, machines, ends, by_id, lans, edited: false, asked: HashMap::new(), at: None }
    }

    /// The same network after the owner of every remote has asked for everything in his own file, of the peer that carries
    /// what no other one does (`AllowedIPs = 0.0.0.0/0, ::/0`), and of those beside it whatever is theirs: what is reached
    /// then is what is enforced.
    #[must_use]
    pub fn with_edited_remotes(mut self, edited: bool) -> Self {
        self.edited = edited;
        self.asked = if edited { self.asked_by_remotes() } else { HashMap::new() };
        self
    }

    fn asked_by_remotes(&self) -> HashMap<(NodeId, PublicKey), Vec<Cidr>> {
        let mut asked = HashMap::new();
        for machine in self.machines.iter().filter(|machine| machine.node.role == Role::Remote) {
            let home = self.topology.home(machine.node).map(|server| server.id);
            for peer in machine.config.interfaces.iter().flat_map(|interface| &interface.peers) {
                let far = self.end(&peer.public_key).map(|(at, _)| self.machines[at].node);
                let all = match far.filter(|far| far.role != Role::Exit && Some(far.id) != home) {
                    None => vec![Cidr::ALL4, Cidr::ALL6],
                    Some(far) => {
                        let theirs = far.addresses().chain(far.lans.iter().map(|lan| lan.cidr));
                        peer.allowed_ips.iter().copied().chain(theirs).collect()
                    }
                };
                asked.insert((machine.node.id, peer.public_key), all);
            }
        }
        asked
    }

    /// The same network at a time: what was granted until then has ended.
    #[must_use]
    pub fn at(mut self, time: Option<DateTime<Utc>>) -> Self {
        self.at = time;
        self
    }

    /// Returns the network that it is made of.
    pub fn topology(&self) -> &'a Topology {
        self.topology
    }

    pub(super) fn machine_of(&self, node: NodeId) -> Option<usize> {
        self.by_id.get(&node).copied()
    }

    /// Returns the machine and interface that have a key.
    pub(super) fn end(&self, key: &PublicKey) -> Option<(usize, usize)> {
        self.ends.get(key).copied()
    }

    /// Returns the enabled node that has an address as its own in the network.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&'a Node> {
        let has = |machine: &&Machine<'_>| machine.has(address);
        self.machines.iter().find(has).map(|machine| machine.node)
    }

    /// Returns the LAN that holds an address, with the node that advertises it.
    pub(super) fn lan(&self, address: IpAddr) -> Option<(Cidr, &'a Node)> {
        let holding = self.lans.iter().filter(|(lan, _)| lan.contains(address));
        let (lan, id) = holding.max_by_key(|(lan, _)| lan.net().prefix_len())?;
        Some((*lan, self.topology.node(*id)?))
    }

    /// Whether an address lies in the network or in a LAN.
    pub(super) fn is_inside(&self, address: IpAddr) -> bool {
        self.topology.network.prefixes().any(|prefix| prefix.contains(address)) || self.lan(address).is_some()
    }

    /// Returns an address in words, with whose it is: `alice (10.66.0.6)`, `192.168.10.5 behind office`.
    pub(super) fn named(&self, address: IpAddr) -> String {
        match (self.owner(address), self.lan(address)) {
            (Some(node), _) => format!("{} ({address})", node.name),
            (None, Some((_, node))) => format!("{address} behind {}", node.name),
            (None, None) => address.to_string(),
        }
    }

    /// Returns the AllowedIPs of a machine's peer, as its file says, which on a remote its owner may have edited.
    pub(super) fn allowed<'p>(&'p self, machine: &Machine<'_>, peer: &'p PeerConfig) -> &'p [Cidr] {
        self.asked.get(&(machine.node.id, peer.public_key)).unwrap_or(&peer.allowed_ips)
    }

    /// Returns which peer of an interface gets an address, with the AllowedIP: the longest wins.
    pub(super) fn winner<'p>(
        &self,
        machine: &Machine<'_>,
        interface: &'p InterfaceConfig,
        address: IpAddr,
    ) -> Option<(&'p PeerConfig, Cidr)> {
        let mut best: Option<(&PeerConfig, Cidr)> = None;
        for peer in &interface.peers {
            for prefix in self.allowed(machine, peer).iter().filter(|prefix| prefix.contains(address)) {
                if best.is_none_or(|(_, known)| prefix.net().prefix_len() > known.net().prefix_len()) {
                    best = Some((peer, *prefix));
                }
            }
        }
        best
    }

    /// Returns where a machine sends a packet, and what that takes for granted.
    pub(super) fn route(&self, machine: &Machine<'_>, to: IpAddr, mark: Option<u32>) -> (Exit, Option<String>) {
        if machine.has(to) {
            return (Exit::Here, None);
        }
        if let Some(number) = mark.and_then(|mark| by_mark(machine, to, mark)) {
            return (Exit::Tunnel(number), None);
        }
        let lan = machine.node.lans.iter().map(|lan| lan.cidr).filter(|lan| lan.contains(to));
        let lan = lan.max_by_key(|lan| lan.net().prefix_len());
        let tunnel = self.main_table(machine, to);
        match (lan, tunnel) {
            (Some(lan), Some((_, routed))) if routed.net().prefix_len() > lan.net().prefix_len() => {}
            (Some(lan), _) => return (Exit::Lan(lan), None),
            _ => {}
        }
        if let Some((number, _)) = tunnel {
            return (Exit::Tunnel(number), None);
        }
        match self.elsewhere(machine, to) {
            Some((number, text)) => (Exit::Tunnel(number), Some(text)),
            None => (Exit::Outside, None),
        }
    }

    /// Returns the interface to which the main routing table leads, and the default route that wg-quick(8) makes in a
    /// table of its own, with the prefix of the route.
    fn main_table(&self, machine: &Machine<'_>, to: IpAddr) -> Option<(usize, Cidr)> {
        let mut best: Option<(usize, Cidr)> = None;
        let mut consider = |number: usize, prefix: Cidr| {
            if prefix.contains(to) && best.is_none_or(|(_, known)| prefix.net().prefix_len() > known.net().prefix_len())
            {
                best = Some((number, prefix));
            }
        };
        for (number, interface) in machine.config.interfaces.iter().enumerate().filter(|(_, i)| i.run.is_up()) {
            let connected = interface.addresses.iter().chain(&interface.by_hooks.addresses);
            connected.for_each(|address| consider(number, address.network()));
            if interface.table == Table::Auto {
                let allowed = interface.peers.iter().flat_map(|peer| self.allowed(machine, peer));
                allowed.for_each(|prefix| consider(number, *prefix));
            }
            let more = interface.routes.iter().chain(&interface.by_hooks.routes).filter(|route| route.table.is_none());
            more.for_each(|route| consider(number, route.to));
        }
        best
    }

    /// Returns the interface into which hooks or a person may lead packets: one whose AllowedIPs hold the address while
    /// its routes are in no table that the model knows the rules of.
    fn elsewhere(&self, machine: &Machine<'_>, to: IpAddr) -> Option<(usize, String)> {
        let has_own_table = |interface: &&crate::model::Interface| {
            let table = interface.kept.as_ref().and_then(|kept| kept.table.as_ref());
            table.is_some_and(|table| *table != Table::Auto)
        };
        let own = machine.node.interfaces.iter().filter(has_own_table);
        for kept in own {
            let configs = machine.config.interfaces.iter().enumerate();
            let found = configs.into_iter().find(|(_, config)| config.id == kept.id && config.run.is_up());
            let Some((number, config)) = found else { continue };
            if self.winner(machine, config, to).is_some() {
                let (name, table) = (&machine.node.name, &config.table);
                let text = format!(
                    "{name} sends {to} into {}: its file says `Table = {table}`, so its own routes and rules decide that",
                    config.name
                );
                return Some((number, text));
            }
        }
        None
    }
}

/// Returns the interface to which a mark leads.
fn by_mark(machine: &Machine<'_>, to: IpAddr, mark: u32) -> Option<usize> {
    let interfaces = || machine.config.interfaces.iter();
    let rules = interfaces().flat_map(|interface| &interface.rules);
    let mut rules: Vec<_> = rules.filter(|rule| rule.mark == mark && rule.ipv4 == to.is_ipv4()).collect();
    rules.sort_by_key(|rule| rule.priority);
    rules.iter().find_map(|rule| {
        let leads = |interface: &InterfaceConfig| {
            interface.routes.iter().any(|route| route.table == Some(rule.table) && route.to.contains(to))
        };
        interfaces().position(leads)
    })
}

impl<'a> Machine<'a> {
    /// Whether an address is the machine's own in the network.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let addresses = self.config.interfaces.iter().flat_map(|i| i.addresses.iter().chain(&i.by_hooks.addresses));
        addresses.into_iter().any(|own| own.address() == address)
    }

    /// Returns the firewall that wg-friend puts there.
    pub(super) fn firewall(&self) -> Option<&'a Firewall> {
        self.config.interfaces.iter().find_map(|interface| interface.firewall.as_ref())
    }

    /// Whether the machine's own rules decide, and not ours: it was adopted with them.
    pub(super) fn has_own_rules(&self) -> bool {
        self.node.has_own_rules()
    }

    /// Whether it forwards packets of a family.
    pub(super) fn forwards(&self, ipv4: bool) -> bool {
        let key = if ipv4 { "net.ipv4.ip_forward" } else { runtime::FORWARDING6 };
        let on = |sysctl: &Sysctl| sysctl.key == key && sysctl.value == "1";
        self.config.interfaces.iter().any(|interface| interface.sysctls.iter().any(on))
    }

    /// Returns the interface towards its LANs or the internet.
    pub(super) fn outer(&self) -> InterfaceName {
        self.node.outer_interface().parse().expect("it is the name of an interface, or eth0")
    }

    /// Returns the address from which its kernel sends through an interface: one in the destination's own network, else
    /// the first of the family.
    pub(super) fn source(&self, interface: Option<usize>, to: IpAddr) -> Option<IpAddr> {
        let of = |interface: &InterfaceConfig| -> Option<IpAddr> {
            let family = || interface.addresses.iter().filter(|own| own.address().is_ipv4() == to.is_ipv4());
            let near = family().find(|own| own.network().contains(to)).or_else(|| family().next());
            near.map(|own| own.address())
        };
        let through = interface.and_then(|number| of(&self.config.interfaces[number]));
        through.or_else(|| self.config.interfaces.iter().find_map(of))
    }
}

/// Whether a firewall judges packets that pass an interface.
pub(super) fn judges(firewall: &Firewall, interface: &InterfaceName) -> bool {
    firewall.interface == *interface || firewall.duty.uplinks().contains(&interface)
}

/// Whether an address is one of the internet's, as the firewall's sets have it.
pub(super) fn is_public(address: IpAddr) -> bool {
    let private = if address.is_ipv4() { &PRIVATE4[..] } else { &PRIVATE6[..] };
    !private.iter().any(|prefix| prefix.parse::<Cidr>().is_ok_and(|prefix| prefix.contains(address)))
}
