//! The address plan and the defaults of a network.

use std::fmt;
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{Cidr, InterfaceName, Mtu, Name, Port};

words! {
    /// Which links carry a preshared key.
    PskPolicy, "preshared-key policy" {
        /// Every link has one of its own.
        Unique = "unique" | "required",
        /// No new link gets one.
        None = "none",
    }
}

/// A network: its prefixes and what its nodes inherit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// What the operator calls it.
    pub name: Name,
    /// Name of the main interface on its nodes.
    pub interface: InterfaceName,
    /// IPv4 prefix.
    pub cidr4: Option<Ipv4Net>,
    /// IPv6 prefix; by default a /64 of a random ULA /48 (RFC 4193).
    pub cidr6: Option<Ipv6Net>,
    /// Port on which servers listen.
    pub port: Port,
    /// DNS servers and search domains for clients; may be empty.
    pub dns: Vec<String>,
    /// MTU of every interface that sets none of its own.
    pub mtu: Mtu,
    /// Seconds between keepalives of nodes that nobody can dial.
    pub keepalive: u16,
    /// Which links carry a preshared key.
    pub psk: PskPolicy,
}

impl Network {
    /// Returns the prefixes, IPv4 first.
    pub fn prefixes(&self) -> impl Iterator<Item = Cidr> + '_ {
        let four = self.cidr4.map(|n| Cidr::containing(n.into()));
        let six = self.cidr6.map(|n| Cidr::containing(n.into()));
        four.into_iter().chain(six)
    }
}
