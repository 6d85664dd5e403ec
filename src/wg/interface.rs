//! What one WireGuard interface is to be: the result of compiling, the input of every writer and of every plan.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{
    ByHooks, Cidr, Endpoint, ExitGroupId, Hook, InterfaceAddr, InterfaceId, InterfaceName, LinkId, Mtu, Name, NodeId,
    Port, PublicKey, Route, Run, Table,
};

use super::firewall::Firewall;

/// Everything that a node's host runs for a network, one entry per interface, the main one first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Whose.
    pub node: NodeId,
    /// Its name, for messages.
    pub name: Name,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceConfig>,
}

/// One WireGuard interface with its peers, and what the kernel needs around it.
///
/// Secrets are not in here: the private key and the preshared keys are looked up by `id` and by each peer's `link` when
/// a file is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceConfig {
    /// Its identity in the model.
    pub id: InterfaceId,
    /// Its name on the host.
    pub name: InterfaceName,
    /// The public half of its key.
    pub public_key: PublicKey,
    /// The key by which its peers know it until they have seen this one; see [`super::handover`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<PublicKey>,
    /// Its own addresses.
    pub addresses: Vec<InterfaceAddr>,
    /// UDP port; `None` lets the kernel choose.
    pub listen_port: Option<Port>,
    /// Mark of the packets that the tunnel itself sends; `None` leaves it to wg-quick(8).
    pub fwmark: Option<u32>,
    /// Bytes per packet; `None` leaves it to wg-quick(8), which takes what the way to the peers allows.
    pub mtu: Option<Mtu>,
    /// DNS servers and search domains that wg-quick sets while the interface is up.
    pub dns: Vec<String>,
    /// Whether wg-quick adds routes for the peers' AllowedIPs.
    pub table: Table,
    /// Its peers, ordered by name.
    pub peers: Vec<PeerConfig>,
    /// Kernel settings it needs, in order.
    pub sysctls: Vec<Sysctl>,
    /// Routes beyond those that follow from the peers' AllowedIPs.
    pub routes: Vec<Route>,
    /// Policy routing rules.
    pub rules: Vec<Rule>,
    /// The nftables table that comes and goes with it.
    pub firewall: Option<Firewall>,
    /// Whether it runs, and from when on.
    #[serde(default)]
    pub run: Run,
    /// Whether wg-quick(8) would overwrite its file when it goes down; only an adopted interface's file says so.
    #[serde(default)]
    pub save_config: bool,
    /// What its own hooks make beyond wg-quick(8).
    #[serde(default)]
    pub by_hooks: ByHooks,
    /// Hooks beside those that follow from the rest, in order; an adopted interface has its own in its file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Whether its host looks up again, while it runs, where the peers are that are dialled by a name; see
    /// [`super::resolve`].
    #[serde(default)]
    pub follows_names: bool,
    /// The links whose traffic its host moves elsewhere while they are down, in order; see [`super::fallback`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Fallback>,
    /// The file in `/etc/wireguard` with its private key, which its host made and keeps; then its own file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The interface beside which it runs, with that one's next key, for as long as there are peers that don't go by it yet;
    /// see [`super::overlap`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    /// The interface that runs beside it in this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed_by: Option<InterfaceName>,
}

/// The interface whose peers another one takes over, one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Its name on the host.
    pub name: InterfaceName,
    /// The networks of its addresses: what lies in there has no route of its own to it.
    pub networks: Vec<Cidr>,
    /// The keys of the peers that know both, and go by the next one as long as it answers; sorted.
    pub knowing: BTreeSet<PublicKey>,
}

/// A peer of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerConfig {
    /// The name of the node at the other end; written as a comment.
    pub name: Name,
    /// The node's permanent name, if its key is another by now; written as a comment, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<PublicKey>,
    /// Its key.
    pub public_key: PublicKey,
    /// The key whose place this one takes, AllowedIPs and all, once its host has seen it in use; see [`super::handover`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeds: Option<PublicKey>,
    /// Whether it goes by the key before, too, until further notice; only of one that succeeds another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_both: bool,
    /// The link whose preshared key, if it has one, both ends carry.
    pub link: LinkId,
    /// Whether it is the link's next preshared key, where there is one, and not the present one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub next_preshared: bool,
    /// What is sent to it and accepted from it; sorted, no prefix twice.
    pub allowed_ips: Vec<Cidr>,
    /// Where to dial it; `None` waits for it to dial us.
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives sent to it; `None` sends none.
    pub keepalive: Option<u16>,
}

impl InterfaceConfig {
    /// Returns the keys by which its peers may know it: its own, and the one before it that some may still await the end of.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        std::iter::once(self.public_key).chain(self.replaces)
    }

    /// Returns the peer as which another interface knows this one. Of two with a key each it is the one in use.
    pub fn as_peer_of<'a>(&self, other: &'a InterfaceConfig) -> Option<&'a PeerConfig> {
        let known = |key| other.peers.iter().find(|peer| peer.public_key == key && peer.succeeds.is_none());
        self.keys().find_map(known)
    }
}

impl PeerConfig {
    /// What it is called where several peers are told apart: its name, or `office (next key)`.
    pub fn title(&self) -> Cow<'_, str> {
        match self.succeeds {
            None => Cow::Borrowed(self.name.as_str()),
            Some(_) => Cow::Owned(format!("{} (next key)", self.name)),
        }
    }
}

/// What becomes of the traffic of a direct link while the link is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The link.
    pub link: LinkId,
    /// The link to the peer that carries what its peer carries otherwise.
    pub over: LinkId,
    /// Seconds without a handshake after which it counts as down.
    pub stale: u32,
}

/// A kernel setting, by its name for sysctl(8).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sysctl {
    /// Dotted name, such as `net.ipv4.ip_forward`.
    pub key: String,
    /// Value.
    pub value: String,
}

/// A policy routing rule for both or one family: packets with `mark` look into `table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// IPv4 or IPv6.
    pub ipv4: bool,
    /// Position among the rules, lower first (main is 32766).
    pub priority: u32,
    /// Firewall mark, compared in full.
    pub mark: u32,
    /// Routing table.
    pub table: u32,
}

/// The numbers that tie a server's uplink to its traffic: one mark, one table, one priority per exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UplinkRoute {
    /// Firewall mark of packets that leave by this exit.
    pub mark: u32,
    /// Routing table whose default route is the uplink.
    pub table: u32,
    /// Priority of the rule.
    pub priority: u32,
}

impl UplinkRoute {
    /// The numbers for the uplink with this id: all derive from it, so they never change while the interface exists.
    ///
    /// Marks lie above 0x7766_0000 and tables above 7_766_000, away from wg-quick's 51820 and from common use;
    /// priorities count up from 7766, before the main table (32766).
    pub fn of(uplink: InterfaceId) -> Self {
        let n = u32::try_from(uplink.0.rem_euclid(20_000)).expect("less than 20000");
        Self { mark: 0x7766_0000 + n, table: 7_766_000 + n, priority: 7_766 + n }
    }

    /// Whether a routing table is one of these, which only marked packets look into.
    pub fn has_table(table: u32) -> bool {
        (7_766_000..7_794_000).contains(&table)
    }

    /// The mark of packets that a rule lets out at the server itself: no rule leads it anywhere, so that the main table does.
    pub const SERVER_MARK: u32 = 0x7766_f000;

    /// The numbers of a group of exits, whichever of them it goes by: above all those of uplinks, and before the main table.
    pub fn of_group(group: ExitGroupId) -> Self {
        let n = u32::try_from(group.0.rem_euclid(4_000)).expect("less than 4000");
        Self { mark: 0x7766_8000 + n, table: 7_790_000 + n, priority: 27_766 + n }
    }
}

impl fmt::Display for Rule {
    /// The words tell one rule from every other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.ipv4 { "IPv4" } else { "IPv6" };
        write!(f, "{family} mark {:#x} table {} priority {}", self.mark, self.table, self.priority)
    }
}
