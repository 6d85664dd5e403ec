//! Who gets an address: the longest AllowedIP that holds it, on every interface.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::{Cidr, InterfaceName, Name, Role};
use crate::wg::PeerConfig;

use super::world::{Exit, World, is_public};

/// What an address is in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Owner {
    /// A node's own address.
    Node {
        /// Which node.
        node: Name,
        /// Whether it is enabled.
        enabled: bool,
    },
    /// An address in a LAN.
    Lan {
        /// The node that advertises it.
        node: Name,
        /// The LAN.
        lan: Cidr,
        /// Whether the node is enabled.
        enabled: bool,
    },
    /// An address of the network that nobody has.
    Free {
        /// The network's prefix.
        prefix: Cidr,
    },
    /// An address of the internet.
    Internet,
    /// An address that is neither in the network nor in the internet.
    Unknown,
}

/// What one node does with packets for an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The node.
    pub node: Name,
    /// Its role.
    pub role: Role,
    /// The WireGuard interface into which it sends them; `None` when it keeps them or sends them elsewhere.
    pub interface: Option<InterfaceName>,
    /// The peer whose AllowedIP is the longest; `None` without an interface, or when no peer has one.
    pub peer: Option<Name>,
    /// That AllowedIP.
    pub allowed_ip: Option<Cidr>,
    /// Peers of the interface with a shorter AllowedIP that holds the address too.
    pub passed_over: Vec<(Name, Cidr)>,
    /// Where else they go: `itself`, `lan` or `own_connection`.
    pub elsewhere: Option<&'static str>,
}

/// Who gets an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The address.
    pub address: IpAddr,
    /// What it is in the network.
    pub owner: Owner,
    /// What each enabled node does with packets that it sends there itself, ordered by the nodes' ids.
    pub nodes: Vec<Holder>,
}

impl World<'_> {
    /// Says who gets an address.
    pub fn who(&self, address: IpAddr) -> Who {
        let nodes = (0..self.machines.len()).map(|at| self.holder(at, address)).collect();
        Who { address, owner: self.owner_of(address), nodes }
    }

    fn owner_of(&self, address: IpAddr) -> Owner {
        let by_name = |node: &crate::model::Node| node.addresses().any(|own| own == Cidr::host(address));
        if let Some(node) = self.owner(address).or_else(|| self.topology.nodes.iter().find(|node| by_name(node))) {
            return Owner::Node { node: node.name.clone(), enabled: node.enabled };
        }
        let lans = self.topology.nodes.iter().flat_map(|node| node.lans.iter().map(move |lan| (lan.cidr, node)));
        let lan = lans
            .filter(|(lan, _)| lan.contains(address))
            .max_by_key(|(lan, node)| (node.enabled, lan.net().prefix_len()));
        if let Some((lan, node)) = lan {
            return Owner::Lan { node: node.name.clone(), lan, enabled: node.enabled };
        }
        match self.topology.network.prefixes().find(|prefix| prefix.contains(address)) {
            Some(prefix) => Owner::Free { prefix },
            None if is_public(address) => Owner::Internet,
            None => Owner::Unknown,
        }
    }

    fn holder(&self, at: usize, address: IpAddr) -> Holder {
        let machine = &self.machines[at];
        let mut holder = Holder {
            node: machine.node.name.clone(),
            role: machine.node.role,
            interface: None,
            peer: None,
            allowed_ip: None,
            passed_over: Vec::new(),
            elsewhere: None,
        };
        let number = match self.route(machine, address, None).0 {
            Exit::Tunnel(number) => number,
            other => {
                holder.elsewhere = Some(match other {
                    Exit::Here => "itself",
                    Exit::Lan(_) => "lan",
                    _ => "own_connection",
                });
                return holder;
            }
        };
        let interface = &machine.config.interfaces[number];
        holder.interface = Some(interface.name.clone());
        if let Some((winner, prefix)) = self.winner(machine, interface, address) {
            holder.peer = Some(winner.name.clone());
            holder.allowed_ip = Some(prefix);
            let others = interface.peers.iter().filter(|peer| peer.public_key != winner.public_key);
            let holding = |peer: &PeerConfig| {
                let own = self.allowed(machine, peer).iter().filter(|prefix| prefix.contains(address));
                own.max_by_key(|prefix| prefix.net().prefix_len()).map(|prefix| (peer.name.clone(), *prefix))
            };
            holder.passed_over = others.filter_map(holding).collect();
            holder.passed_over.sort_by_key(|(_, prefix)| std::cmp::Reverse(prefix.net().prefix_len()));
        }
        holder
    }
}
