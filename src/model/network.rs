//! The address plan and the defaults of a network.

use std::fmt;
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{Cidr, Egress, ExitRule, InterfaceName, Mtu, Name, Port};

words! {
    /// Which links carry a preshared key.
    PskPolicy, "preshared-key policy" {
        /// Every link has one, and no other link has the same.
        Unique = "unique",
        /// Every link has one; an end that can't carry one isn't linked.
        Required = "required",
        /// A new link gets one where both of its ends can carry it; one without is as good.
        Optional = "optional",
        /// No new link gets one.
        None = "none",
    }
}

impl PskPolicy {
    /// Returns how much it asks for: more than another's when what is asked there is kept here, too.
    pub fn strictness(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Optional => 1,
            Self::Required => 2,
            Self::Unique => 3,
        }
    }

    /// Whether a link without a preshared key goes against it.
    pub fn demands(self) -> bool {
        matches!(self, Self::Required | Self::Unique)
    }
}

/// Names a network within one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkId(pub i64);

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
    /// What remotes' files send into the tunnel whatever their rights, beside the network and its LANs: then a LAN inside of
    /// it, another access level or a grant needs no new file. Empty: files ask for what their rights say.
    #[serde(default)]
    pub stable_clients: Vec<Cidr>,
    /// By which way the internet traffic of remotes leaves that aren't told.
    #[serde(default)]
    pub exit: Egress,
    /// Whether nothing of a remote that isn't told leaves while its exit can't be used; else its tunnel is a split one then.
    #[serde(default)]
    pub kill_switch: bool,
    /// By which other ways the internet traffic of every remote leaves, according to where it leads, where no rule of its
    /// own or of its groups fits.
    #[serde(default)]
    pub exit_rules: Vec<ExitRule>,
}

/// The private networks of RFC 1918 and the unique local addresses of RFC 4193: what stable clients carry unless told
/// otherwise.
pub const STABLE_CLIENTS: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

impl Network {
    /// Returns the prefixes, IPv4 first.
    pub fn prefixes(&self) -> impl Iterator<Item = Cidr> + '_ {
        let four = self.cidr4.map(|n| Cidr::containing(n.into()));
        let six = self.cidr6.map(|n| Cidr::containing(n.into()));
        four.into_iter().chain(six)
    }
}
