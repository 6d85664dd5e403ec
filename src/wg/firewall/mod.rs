//! What one node's nftables table says: data. `ruleset` writes it out through `templates/firewall/`.
//!
//! The table judges only packets that come in or go out by the node's WireGuard interfaces, and leaves all others
//! alone. It holds sets and maps keyed by address, so the number of rules that a packet meets, and with it its cost,
//! doesn't grow with the number of peers.

mod by_destination;
mod lists;
mod ruleset;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::{Access, Cidr, InterfaceName, Port, PortRange, Protocol};

pub use ruleset::ruleset;
pub(in crate::wg) use ruleset::{PRIVATE4, PRIVATE6};

/// A node's nftables table. It comes and goes with the main interface and covers the uplinks too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// The main interface.
    pub interface: InterfaceName,
    /// The interface that runs beside the main one with its next key, if there is one: the same is true of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<InterfaceName>,
    /// The interface towards LANs or the internet.
    pub outer: InterfaceName,
    /// The network's prefixes.
    pub network: Vec<Cidr>,
    /// Every LAN that is advertised, by whomever; sorted.
    pub lans: Vec<Cidr>,
    /// What the node does with packets.
    pub duty: Duty,
}

/// What a node does with packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Duty {
    /// Decides who may reach what.
    Server(ServerRules),
    /// Carries packets between the tunnel and its own LANs.
    Router {
        /// The LANs it advertises; sorted.
        own: Vec<Cidr>,
        /// Whether packets into its LANs get its own address as their source.
        nat: bool,
        /// The rights of those with whom it has links of its own, whom no server judges; `None` without such links.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judged: Option<RouterRules>,
    },
    /// Carries packets from the tunnel to the internet.
    Exit {
        /// The addresses of remotes that are its direct peers, whom no server has judged; sorted.
        direct: Vec<Cidr>,
        /// Prefixes that the internet routes here: what comes out of them keeps its source; sorted.
        #[serde(default)]
        routed: Vec<Cidr>,
        /// What doesn't leave here but goes on to another exit, by its source.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        onward: BTreeMap<Cidr, ExitPath>,
        /// What is told to leave by an exit after this one, whether that can be used or not: none of it leaves here; sorted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        held: Vec<Cidr>,
    },
}

/// The rights that a router enforces, between its LANs and those with whom it has links of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterRules {
    /// The addresses and LANs at the other ends of those links; sorted.
    pub direct: Vec<Cidr>,
    /// What each source may reach: those, and the router's own LANs.
    pub sources: BTreeMap<Cidr, Access>,
    /// The LANs that each source with [`Access::LanOnly`] may reach; sorted by source, then LAN, and none of a source in
    /// another one.
    pub selected: Vec<(Cidr, Cidr)>,
    /// What sources may reach beyond their level, as in [`ServerRules`].
    pub granted: Vec<Granted>,
}

/// Who may reach what, whoever enforces it.
#[derive(Clone, Copy)]
pub(in crate::wg) struct Rights<'a> {
    pub(in crate::wg) sources: &'a BTreeMap<Cidr, Access>,
    pub(in crate::wg) selected: &'a [(Cidr, Cidr)],
    pub(in crate::wg) granted: &'a [Granted],
}

impl RouterRules {
    /// Whether an address is at the other end of one of the router's own links.
    pub(in crate::wg) fn concerns(&self, address: IpAddr) -> bool {
        self.direct.iter().any(|prefix| prefix.contains(address))
    }

    pub(in crate::wg) fn rights(&self) -> Rights<'_> {
        Rights { sources: &self.sources, selected: &self.selected, granted: &self.granted }
    }
}

impl ServerRules {
    pub(in crate::wg) fn rights(&self) -> Rights<'_> {
        Rights { sources: &self.sources, selected: &self.selected, granted: &self.granted }
    }
}

/// The rights that a server enforces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRules {
    /// The interfaces towards exits; sorted.
    pub uplinks: Vec<InterfaceName>,
    /// The LANs that the server itself is in; sorted.
    pub own: Vec<Cidr>,
    /// Whether packets into its own LANs get its own address as their source.
    pub nat: bool,
    /// What each source may reach: addresses of nodes and LANs. Whoever is missing may only answer.
    pub sources: BTreeMap<Cidr, Access>,
    /// The LANs that each source with [`Access::LanOnly`] may reach; sorted by source, then LAN, and none of a source in
    /// another one.
    pub selected: Vec<(Cidr, Cidr)>,
    /// What sources may reach beyond their level; sorted, and no two of one source, protocol and end
    /// overlap.
    pub granted: Vec<Granted>,
    /// The uplink by which each source's internet traffic leaves, with its mark. Whoever is missing has no internet.
    pub exits: BTreeMap<Cidr, ExitPath>,
    /// The addresses whose internet traffic leaves at the server itself, by its outer interface; sorted.
    #[serde(default)]
    pub leaving: Vec<Cidr>,
    /// Rules by which internet traffic takes other ways, according to where it leads; no source is in two lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_destination: Vec<RuleList>,
    /// The network's DNS servers that lie inside of it: anyone may ask them.
    pub dns: Vec<Cidr>,
}

/// One thing that a source may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Granted {
    /// Who.
    pub source: Cidr,
    /// What.
    pub destination: Cidr,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; `None` means all. Only with TCP and UDP.
    pub ports: Option<PortRange>,
    /// When it ends: the host takes it away by itself then. `None` for what lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// How packets of a source leave for the internet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExitPath {
    /// The uplink interfaces by which they may leave; sorted. A group of exits has several.
    #[serde(alias = "uplink", deserialize_with = "one_or_several")]
    pub uplinks: Vec<InterfaceName>,
    /// The firewall mark whose routing table leads to one of them.
    pub mark: u32,
}

/// Rules by destination, in order, and those to whose internet traffic they apply. What none of them fits goes as it is
/// assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleList {
    /// Whose; sorted.
    pub sources: Vec<Cidr>,
    /// The first one that fits decides.
    pub rules: Vec<PathRule>,
}

impl RuleList {
    /// Returns the rule that decides on packets to an address. `protocol`: [`Protocol::Any`] is one that is none of the
    /// others; `port` is the one at the far end.
    pub fn rule_for(&self, to: IpAddr, protocol: Protocol, port: Option<Port>) -> Option<&PathRule> {
        self.rules.iter().find(|rule| {
            let in_range = |port: Port| rule.ports.iter().any(|r| (r.first()..=r.last()).contains(&port));
            rule.destinations.iter().any(|prefix| prefix.contains(to))
                && (rule.protocol == Protocol::Any
                    || (rule.protocol == protocol && (rule.ports.is_empty() || port.is_some_and(in_range))))
        })
    }
}

/// One rule by destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PathRule {
    /// Where to; sorted, no prefix inside of another.
    pub destinations: Vec<Cidr>,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; sorted, none overlap; empty means all. Only with TCP and UDP.
    pub ports: Vec<PortRange>,
    /// By which way it goes.
    pub path: RulePath,
}

/// By which way packets go that a rule fits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePath {
    /// By an exit, or a group of them.
    Exit(ExitPath),
    /// Out at the server itself.
    Server,
    /// By none: they end here.
    Block,
}

/// Reads a list, or the single item that was written before there were groups of exits.
fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<InterfaceName>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(InterfaceName),
        Several(Vec<InterfaceName>),
    }
    Ok(match Written::deserialize(from)? {
        Written::One(name) => vec![name],
        Written::Several(names) => names,
    })
}

/// Returns the name of the table for an interface: `wgf_` and the interface's name, with the characters that nft(8)
/// takes in no identifier written as `_` and a letter. Different interfaces have different tables.
pub fn table_name(interface: &InterfaceName) -> String {
    let mut name = String::from("wgf_");
    for character in interface.as_str().chars() {
        match character {
            '_' => name.push_str("__"),
            '-' => name.push_str("_h"),
            '.' => name.push_str("_d"),
            '=' => name.push_str("_e"),
            '+' => name.push_str("_p"),
            other => name.push(other),
        }
    }
    name
}

/// Returns the name of the file that holds the table for an interface, beside its wg-quick file.
pub fn file_name(interface: &InterfaceName) -> String {
    format!("wgf-{interface}.nft")
}

impl Duty {
    /// Returns the interfaces towards exits; sorted.
    pub(in crate::wg) fn uplinks(&self) -> Vec<&InterfaceName> {
        match self {
            Self::Server(rules) => rules.uplinks.iter().collect(),
            Self::Router { .. } => Vec::new(),
            Self::Exit { onward, .. } => {
                let uplinks: BTreeSet<&InterfaceName> = onward.values().flat_map(|path| &path.uplinks).collect();
                uplinks.into_iter().collect()
            }
        }
    }
}

impl Firewall {
    /// Returns the name of the table, in the family `inet`.
    pub fn table(&self) -> String {
        table_name(&self.interface)
    }
}
