//! Members of a network: servers, routers, exits and remotes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Cidr, Destination, Egress, Endpoint, ExitRule, InterfaceName, Kept, Mtu, Name, Port, PublicKey};

/// A word that isn't one of a closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no {what}: expected one of {expected}")]
pub struct InvalidWord {
    /// What kind of word was wanted, such as `access level`.
    pub what: &'static str,
    /// What was given.
    pub found: String,
    /// The words that exist.
    pub expected: String,
}

/// An enumeration written as words: printed in lower snake case, `-` and `_` both read, old spellings taken as aliases.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word in lower snake case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = InvalidWord;
            fn from_str(text: &str) -> Result<Self, InvalidWord> {
                match text.replace('-', "_").to_ascii_lowercase().as_str() {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(InvalidWord {
                        what: $what,
                        found: text.to_owned(),
                        expected: Self::ALL.iter().map(|w| w.as_str().replace('_', "-")).collect::<Vec<_>>().join(", "),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidWord;
            fn try_from(text: String) -> Result<Self, InvalidWord> { text.parse() }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self { word.as_str().to_owned() }
        }
    };
}
pub(super) use words;

words! {
    /// What a node does in its network.
    Role, "role" {
        /// Coordination server: the others dial it, and it enforces who may reach what.
        Server = "server" | "coordination_server" | "cs",
        /// Subnet router: advertises the LANs behind it.
        Router = "router" | "subnet_router",
        /// Exit node: carries internet traffic out of its WAN interface.
        Exit = "exit" | "exit_node",
        /// A client device.
        Remote = "remote" | "peer" | "client",
    }
}

words! {
    /// What kind of device a remote is.
    Device, "device type" {
        /// A phone or tablet: takes its config as a QR code.
        Mobile = "mobile" | "phone" | "tablet",
        /// A laptop or desktop.
        Laptop = "laptop" | "desktop",
        /// A machine without a person in front of it.
        Server = "server",
    }
}

words! {
    /// What a node may reach. Enforced by the server's firewall, not just suggested to the client.
    Access, "access level" {
        /// The VPN network and all LANs.
        Full = "full" | "full_access",
        /// The VPN network.
        VpnOnly = "vpn_only",
        /// The VPN network and the LANs selected for the node.
        LanOnly = "lan_only",
        /// The listed grants and nothing else.
        Custom = "custom",
        /// Only the internet, through an exit that is its only peer.
        ExitOnly = "exit_only",
    }
}

words! {
    /// Who has a node's private key.
    Custody, "key custody" {
        /// Sealed in the database, so that its config can be made again.
        Held = "held",
        /// Was shown once when the node was added, then forgotten.
        ShownOnce = "shown_once",
        /// The device made it and keeps it; only the public key is known.
        NeverSeen = "never_seen",
    }
}

words! {
    /// The protocol of a grant.
    Protocol, "protocol" {
        /// Any protocol.
        Any = "any",
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// ICMP for IPv4 destinations, ICMPv6 for IPv6 ones.
        Icmp = "icmp",
    }
}

words! {
    /// How a node came into the model.
    Origin, "origin" {
        /// Added by command.
        Manual = "manual",
        /// Added by the first-run wizard.
        Wizard = "wizard",
        /// Read from a configuration that was there before.
        Import = "import",
    }
}

/// Names a node within one database; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i64);

/// Names an interface within one database; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InterfaceId(pub i64);

/// What an interface of a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "exit")]
pub enum InterfaceKind {
    /// The node's place in the network; every node has exactly one.
    Main,
    /// A server's tunnel to one exit, kept apart from the main interface because `0.0.0.0/0` needs a peer of its own
    /// and a routing table of its own.
    Uplink(NodeId),
}

/// A WireGuard interface of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its identity.
    pub id: InterfaceId,
    /// Its name on the host: `wg0`, `wgx1`.
    pub name: InterfaceName,
    /// What it is for.
    #[serde(flatten)]
    pub kind: InterfaceKind,
    /// UDP port; `None` lets the kernel choose.
    pub listen_port: Option<Port>,
    /// The key in use.
    pub public_key: PublicKey,
    /// The key that takes its place as soon as it is seen in use; until then both are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_key: Option<PublicKey>,
    /// How it goes by both keys at once, if those who dial it can't be told of the staged one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// What it keeps of a configuration that was there before; `None` when wg-friend made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// The time in which an interface is dialled by its present key at one port, and by its staged key at another: each peer moves
/// when it has its new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// UDP port at which it is dialled by the staged key, and on which it listens with it.
    pub port: Port,
    /// When the present key ends, whoever still goes by it; `None` waits for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Whether it is over: the staged key takes the place of the present one with the next deploy.
    #[serde(default)]
    pub over: bool,
}

/// A network behind a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lan {
    /// Its prefix.
    pub cidr: Cidr,
    /// What it is, in the operator's words; may be empty.
    pub description: String,
}

/// Ports from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// The ports from `first` to `last`; `None` when they are the wrong way round.
    pub fn new(first: Port, last: Port) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> Port {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> Port {
        self.last
    }

    /// The same ports in order, each once: what overlaps or touches is one range.
    pub fn merged(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.sort_unstable();
        let mut merged: Vec<Self> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(range.first.get()) <= u32::from(last.last.get()) + 1 => {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        merged
    }
}

impl FromStr for PortRange {
    type Err = super::InvalidNet;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.trim().parse::<Port>()?, last.trim().parse::<Port>()?);
        Self::new(first, last).ok_or_else(|| super::InvalidNet::PortRange(text.to_owned()))
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl TryFrom<String> for PortRange {
    type Error = super::InvalidNet;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

/// One thing that a node may reach beyond its level; with [`Access::Custom`], all it may reach is such.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// Where to.
    pub destination: Destination,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; empty means all. Only with TCP and UDP.
    pub ports: Vec<PortRange>,
    /// When it ends, in whole seconds; `None` for a grant that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// What it is for, in the operator's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Grant {
    /// A grant that lasts, without a note.
    pub fn lasting(destination: Destination, protocol: Protocol, ports: Vec<PortRange>) -> Self {
        Self { destination, protocol, ports, until: None, note: String::new() }
    }

    /// Whether another grant opens the same, for however long and whatever reason.
    pub fn opens_same(&self, other: &Self) -> bool {
        self.destination == other.destination && self.flows_same(other.protocol, &other.ports)
    }

    /// Whether it opens a protocol and just these ports, however they are written.
    pub fn flows_same(&self, protocol: Protocol, ports: &[PortRange]) -> bool {
        let merged = |ports: &[PortRange]| PortRange::merged(ports.to_vec());
        self.protocol == protocol && merged(&self.ports) == merged(ports)
    }

    /// The latest end that a grant can have: 2262-04-11. Firewalls count nanoseconds in 64 bits (nft(8), `meta time`), so a
    /// later one would be over at once.
    pub fn latest_end() -> DateTime<Utc> {
        DateTime::from_timestamp(i64::MAX / 1_000_000_000, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Whether it has ended by a time.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Reads `[PROTOCOL [PORTS]]`, what a grant says after its destination. Ports come out in order, each once.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read_flow<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<(Protocol, Vec<PortRange>), String> {
        let mut words = words.into_iter();
        let protocol = words.next().map_or(Ok(Protocol::Any), str::parse).map_err(|e: InvalidWord| e.to_string())?;
        let ports = match words.next() {
            None => Vec::new(),
            Some(list) => {
                list.split(',').map(str::parse).collect::<Result<Vec<PortRange>, _>>().map_err(|e| e.to_string())?
            }
        };
        if !ports.is_empty() && !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
            return Err(format!("ports need tcp or udp, not {protocol}"));
        }
        match words.next() {
            Some(rest) => Err(format!("`{rest}` is one word too many: a grant is DESTINATION [PROTOCOL [PORTS]]")),
            None => Ok((protocol, PortRange::merged(ports))),
        }
    }

    /// Writes what [`Grant::read_flow`] reads.
    pub fn flow(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(PortRange::to_string).collect();
        if ports.is_empty() { self.protocol.to_string() } else { format!("{} {}", self.protocol, ports.join(",")) }
    }
}

impl FromStr for Grant {
    type Err = String;

    /// Reads `DESTINATION [PROTOCOL [PORTS]]` separated by blanks: `192.168.1.50 tcp 22,443,8000-8999`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let destination = words.next().unwrap_or_default().parse::<Destination>().map_err(|e| e.to_string())?;
        let (protocol, ports) = Self::read_flow(words)?;
        Ok(Self::lasting(destination, protocol, ports))
    }
}

/// Writes what it opens; until when and what for are left out.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.destination, self.flow())
    }
}

/// A member of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its identity in this database.
    pub id: NodeId,
    /// Its permanent name: the first public key it ever had.
    pub guid: PublicKey,
    /// What the operator calls it.
    pub name: Name,
    /// What it does.
    pub role: Role,
    /// What kind of device a remote is.
    pub device: Option<Device>,
    /// A disabled node stays in the model and disappears from every config.
    pub enabled: bool,
    /// Who has its private key.
    pub custody: Custody,
    /// Known only by its public key, from somebody else's config: deployed to servers, has no config of its own.
    pub provisional: bool,
    /// Its WireGuard interfaces; the first is the main one.
    pub interfaces: Vec<Interface>,
    /// Its address in the network's IPv4 prefix.
    pub address4: Option<Ipv4Addr>,
    /// Its address in the network's IPv6 prefix.
    pub address6: Option<Ipv6Addr>,
    /// Where others dial its main interface; `None` when nobody can.
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives that the node sends; `None` follows the network and the node's place.
    pub keepalive: Option<u16>,
    /// `None` follows the network.
    pub mtu: Option<Mtu>,
    /// DNS servers and search domains written into its config; `None` follows the network.
    pub dns: Option<Vec<String>>,
    /// Networks behind it (servers and routers).
    pub lans: Vec<Lan>,
    /// Interface towards the LANs (servers, routers) or the internet (exits); `None` means `eth0`.
    pub outer_interface: Option<InterfaceName>,
    /// Whether traffic into its LANs is masqueraded, for LANs whose own router has no route back.
    pub nat: bool,
    /// What it may reach.
    pub access: Access,
    /// The LANs of [`Access::LanOnly`].
    pub lan_selection: BTreeSet<Cidr>,
    /// What it may reach beyond its level.
    pub grants: Vec<Grant>,
    /// The server that it belongs to, where there are several; `None` is the first one.
    #[serde(default)]
    pub server: Option<NodeId>,
    /// By which way its internet traffic leaves; `None` follows the network.
    pub exit: Option<Egress>,
    /// Whether nothing of it leaves while its exit can't be used; `None` follows the network.
    #[serde(default)]
    pub kill_switch: Option<bool>,
    /// By which other ways its internet traffic leaves, according to where it leads; the first rule that fits decides.
    #[serde(default)]
    pub exit_rules: Vec<ExitRule>,
    /// Prefixes of the network that the internet routes to this exit: what comes out of them leaves with its own address.
    #[serde(default)]
    pub routed: BTreeSet<Cidr>,
    /// The machine it runs on, when wg-friend can reach it.
    pub host: Option<Name>,
    /// The operator's notes; may be empty.
    pub notes: String,
    /// How it came into the model.
    pub origin: Origin,
    /// When it was added.
    pub created: DateTime<Utc>,
}

impl Node {
    /// Returns the main interface.
    pub fn main(&self) -> &Interface {
        &self.interfaces[0]
    }

    /// Whether the rules decide with which it was adopted, and none of ours.
    pub fn has_own_rules(&self) -> bool {
        self.main().kept.as_ref().is_some_and(|kept| !kept.firewall)
    }

    /// Returns the server's interface towards an exit.
    pub fn uplink_to(&self, exit: NodeId) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.kind == InterfaceKind::Uplink(exit))
    }

    /// Returns the interface towards LANs or the internet.
    pub fn outer_interface(&self) -> &str {
        self.outer_interface.as_ref().map_or("eth0", InterfaceName::as_str)
    }

    /// Returns its addresses in the network as /32 and /128.
    pub fn addresses(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.address4.map(|a| Cidr::host(a.into())).into_iter().chain(self.address6.map(|a| Cidr::host(a.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_take_hyphens_and_old_spellings() {
        assert_eq!("vpn-only".parse::<Access>().unwrap(), Access::VpnOnly);
        assert_eq!("full_access".parse::<Access>().unwrap(), Access::Full);
        assert_eq!("peer".parse::<Role>().unwrap(), Role::Remote);
        assert_eq!(
            "all".parse::<Access>().unwrap_err().to_string(),
            "`all` is no access level: expected one of full, vpn-only, lan-only, custom, exit-only"
        );
    }

    #[test]
    fn grants_read_back_as_they_print() {
        for text in ["192.168.1.50/32 tcp 22,443,8000-8999", "fd00::/64 any", "10.0.0.0/8 icmp"] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        let ordered = |text: &str| format!("10.0.0.1 tcp {text}").parse::<Grant>().unwrap().flow();
        assert_eq!(ordered("443,22"), ordered("22,443"));
        assert_eq!(ordered("25,22,22,20-23,24,65535,65000-65535"), "tcp 20-25,65000-65535");
        for bad in ["", "x", "10.0.0.1 icmp 22", "10.0.0.1 tcp 9-2", "10.0.0.1 tcp 22 more", "10.0.0.1 sctp"] {
            assert!(bad.parse::<Grant>().is_err(), "{bad:?}");
        }
    }
}
