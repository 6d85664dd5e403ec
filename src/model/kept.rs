//! What an interface keeps beside the model: where that alone would make something else.
//!
//! A network that somebody built by hand never looks quite like one that wg-friend compiles. Whatever differs is kept as
//! a difference, so that later changes of the model add to it instead of undoing it. An interface that wg-friend made
//! keeps what somebody set on it that the model has no place for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{Cidr, Endpoint, Hook, InterfaceAddr, InterfaceId, Mtu};

/// Which routing table wg-quick(8) fills with the peers' AllowedIPs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Table {
    /// The main one; a default route gets a table of its own and a firewall mark.
    #[default]
    Auto,
    /// None.
    Off,
    /// The one with this number.
    Number(u32),
    /// The one with this name in `/etc/iproute2/rt_tables`.
    Named(String),
}

impl FromStr for Table {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            _ => match parse_number(text) {
                Some(number) => Ok(Self::Number(number)),
                None if !text.is_empty()
                    && text.bytes().all(named)
                    && !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) =>
                {
                    Ok(Self::Named(text.to_owned()))
                }
                None => Err(InvalidWord {
                    what: "routing table",
                    found: text.to_owned(),
                    expected: "auto, off, a number, or a name of /etc/iproute2/rt_tables".to_owned(),
                }),
            },
        }
    }
}

/// Reads a number as iproute2 does: decimal, or hexadecimal after `0x`.
fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')),
        None => text.parse().ok().filter(|_| !text.starts_with('+')),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Off => f.pad("off"),
            Self::Number(number) => f.pad(&number.to_string()),
            Self::Named(name) => f.pad(name),
        }
    }
}

impl TryFrom<String> for Table {
    type Error = InvalidWord;
    fn try_from(text: String) -> Result<Self, InvalidWord> {
        text.parse()
    }
}

impl From<Table> for String {
    fn from(table: Table) -> Self {
        table.to_string()
    }
}

/// A route through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub to: Cidr,
    /// Routing table; `None` is the main one.
    pub table: Option<u32>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.table {
            Some(table) => write!(f, "{} table {table}", self.to),
            None => self.to.fmt(f),
        }
    }
}

words! {
    /// Whether an interface is meant to run.
    Run, "way to run" {
        /// Now, and after every boot.
        Boot = "boot",
        /// Now; who starts it after a boot is none of our business.
        Now = "now",
        /// Not: its file lies there.
        Off = "off",
        /// Not, and nothing of it is on its host: only the model knows it, and can bring it back.
        Gone = "gone",
    }
}

impl Run {
    /// Whether it is meant to be up.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Boot | Self::Now)
    }
}

impl Default for Run {
    /// What wg-friend makes of an interface that nobody said otherwise about.
    fn default() -> Self {
        Self::Boot
    }
}

/// What an interface keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whether wg-friend made the interface, so that it is as compiled but for what is set here; one that was adopted has
    /// everything from here, and its hooks in its own file.
    #[serde(default)]
    pub made: bool,
    /// Whether it runs, and from when on.
    pub run: Run,
    /// Length of the prefix written with its IPv4 address in the network; `None` is 32.
    /// Only of one that was adopted.
    pub length4: Option<u8>,
    /// Length of the prefix written with its IPv6 address in the network; `None` is 128.
    /// Only of one that was adopted.
    pub length6: Option<u8>,
    /// Its further addresses.
    pub addresses: Vec<InterfaceAddr>,
    /// Whether the kernel chooses the port, although others have an endpoint to dial.
    pub port_auto: bool,
    /// Whether wg-quick(8) chooses the MTU.
    pub mtu_auto: bool,
    /// Mark of the packets that the tunnel itself sends.
    pub fwmark: Option<u32>,
    /// Which table gets the routes; `None` is as compiled.
    #[serde(default)]
    pub table: Option<Table>,
    /// Bytes per packet, for this interface alone; `None` follows its node.
    #[serde(default)]
    pub mtu: Option<Mtu>,
    /// Hooks beside those that wg-friend writes, in order, of an interface that it made. Readable without the passphrase.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// Whether wg-quick(8) would overwrite the file when the interface goes down.
    pub save_config: bool,
    /// Routes and addresses that its own hooks make; of one that was adopted, as found on the host.
    pub by_hooks: ByHooks,
    /// Whether its private key is loaded by a hook and not written in its file.
    pub key_by_hook: bool,
    /// Whether its host made its private key and keeps it, in a file of its own that never leaves it.
    #[serde(default)]
    pub key_on_host: bool,
    /// Whether its key isn't known, and the one it goes by is a stand-in: no other node has it as a peer then.
    #[serde(default)]
    pub key_unknown: bool,
    /// Whether wg-friend's own firewall and forwarding are in force. Until then its hooks do that, and access levels are
    /// not enforced here.
    pub firewall: bool,
    /// Per peer, by its interface, what differs.
    pub peers: BTreeMap<InterfaceId, KeptPeer>,
}

impl Kept {
    /// What an interface that wg-friend made keeps before anything is set on it.
    pub fn made() -> Self {
        Self {
            made: true,
            run: Run::default(),
            length4: None,
            length6: None,
            addresses: Vec::new(),
            port_auto: false,
            mtu_auto: false,
            fwmark: None,
            table: None,
            mtu: None,
            hooks: Vec::new(),
            save_config: false,
            by_hooks: ByHooks::default(),
            key_by_hook: false,
            key_on_host: false,
            key_unknown: false,
            firewall: true,
            peers: BTreeMap::new(),
        }
    }

    /// Whether it makes no difference.
    pub fn is_nothing(&self) -> bool {
        *self == Self::made()
    }
}

/// What the hooks of an interface make beyond wg-quick(8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHooks {
    /// Routes through the interface.
    pub routes: Vec<Route>,
    /// Addresses on it.
    pub addresses: Vec<InterfaceAddr>,
}

/// What an adopted interface keeps about one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPeer {
    /// AllowedIPs beyond what the model gives.
    pub added: Vec<Cidr>,
    /// AllowedIPs that the model gives and this interface doesn't have.
    pub left_out: Vec<Cidr>,
    /// Seconds between keepalives; 0 sends none; `None` follows the model.
    pub keepalive: Option<u16>,
    /// Where it dials the peer; `None` follows the model.
    pub endpoint: Option<KeptEndpoint>,
    /// Whether the interface doesn't have this peer at all, although the model links the two.
    #[serde(default)]
    pub absent: bool,
}

/// Where an adopted interface dials a peer, when not where the model says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptEndpoint {
    /// Nowhere: it waits to be dialled.
    None,
    /// Here.
    At(Endpoint),
}
