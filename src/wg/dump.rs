//! Reads `wg show all dump` (wg(8)): what the kernel has, as opposed to what the files say.
//!
//! One line per interface and one per peer, fields separated by tabs, every line led by the interface's name. An
//! interface's line holds its private key; that field is passed over and never kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::model::{Cidr, InterfaceName, Port, PresharedKey, PublicKey};

/// A WireGuard interface as the kernel has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LiveInterface {
    /// The public half of its key; `None` when it has no key.
    pub public_key: Option<PublicKey>,
    /// Its UDP port; `None` while it has none.
    pub listen_port: Option<Port>,
    /// Mark on the packets it sends; 0 is none.
    pub fwmark: u32,
    /// Its peers.
    pub peers: BTreeMap<PublicKey, LivePeer>,
}

/// A peer as the kernel has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LivePeer {
    /// The preshared key.
    pub preshared: Option<PresharedKey>,
    /// Where its last authentic packet came from, or where it is to be dialled.
    pub endpoint: Option<SocketAddr>,
    /// What is sent to it and accepted from it, sorted.
    pub allowed_ips: Vec<Cidr>,
    /// The latest handshake, in seconds since 1970; `None` when there was none.
    pub latest_handshake: Option<i64>,
    /// Bytes received from it.
    pub rx: u64,
    /// Bytes sent to it.
    pub tx: u64,
    /// Seconds between keepalives; `None` sends none.
    pub keepalive: Option<u16>,
}

/// A line that isn't what `wg show all dump` prints. Names the line and the field and never echoes it: it may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// Neither an interface's nor a peer's number of fields.
    #[error("line {line} of `wg show all dump` has {found} fields: an interface has 5 and a peer 9")]
    Fields {
        /// Counted from 1.
        line: usize,
        /// How many there were.
        found: usize,
    },
    /// A field that can't be read.
    #[error("line {line} of `wg show all dump`: the {field} can't be read")]
    Field {
        /// Counted from 1.
        line: usize,
        /// Which.
        field: &'static str,
    },
    /// A peer without its interface before it.
    #[error("line {line} of `wg show all dump`: a peer of an interface that hasn't been listed")]
    Orphan {
        /// Counted from 1.
        line: usize,
    },
}

/// Parses the output of `wg show all dump`.
///
/// Interfaces whose names wg-quick(8) couldn't take are left out with their peers: no file of ours can be theirs.
pub fn parse(text: &str) -> Result<BTreeMap<InterfaceName, LiveInterface>, DumpError> {
    let mut interfaces = BTreeMap::new();
    for (line, content) in (1..).zip(text.lines()).filter(|(_, content)| !content.is_empty()) {
        let fields: Vec<&str> = content.split('\t').collect();
        let Ok(name) = fields[0].parse::<InterfaceName>() else { continue };
        match fields[..] {
            [_, _private, public, port, fwmark] => {
                interfaces.insert(name, interface(public, port, fwmark).map_err(|field| at(line, field))?);
            }
            [_, public, ref rest @ ..] if rest.len() == 7 => {
                let owner = interfaces.get_mut(&name).ok_or(DumpError::Orphan { line })?;
                let key = public.parse().map_err(|_| at(line, "public key"))?;
                owner.peers.insert(key, peer(rest).map_err(|field| at(line, field))?);
            }
            _ => return Err(DumpError::Fields { line, found: fields.len() }),
        }
    }
    Ok(interfaces)
}

fn at(line: usize, field: &'static str) -> DumpError {
    DumpError::Field { line, field }
}

/// Reads a field for which wg(8) has a word that means nothing is there.
fn unless<T>(
    nothing: &str,
    text: &str,
    name: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    if text == nothing { Ok(None) } else { read(text).map(Some).ok_or(name) }
}

fn interface(public: &str, port: &str, fwmark: &str) -> Result<LiveInterface, &'static str> {
    Ok(LiveInterface {
        public_key: unless("(none)", public, "public key", |t| t.parse().ok())?,
        listen_port: Port::new(port.parse().map_err(|_| "listen port")?),
        fwmark: unless("off", fwmark, "firewall mark", read_mark)?.unwrap_or(0),
        peers: BTreeMap::new(),
    })
}

fn read_mark(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn peer(fields: &[&str]) -> Result<LivePeer, &'static str> {
    let [preshared, endpoint, allowed, handshake, rx, tx, keepalive] = fields else { return Err("number of fields") };
    let handshake: i64 = handshake.parse().map_err(|_| "latest handshake")?;
    Ok(LivePeer {
        preshared: unless("(none)", preshared, "preshared key", |t| t.parse().ok())?,
        endpoint: unless("(none)", endpoint, "endpoint", read_endpoint)?,
        allowed_ips: unless("(none)", allowed, "allowed IPs", read_allowed)?.unwrap_or_default(),
        latest_handshake: (handshake != 0).then_some(handshake),
        rx: rx.parse().map_err(|_| "number of bytes received")?,
        tx: tx.parse().map_err(|_| "number of bytes sent")?,
        keepalive: unless("off", keepalive, "keepalive", |t| t.parse().ok())?.filter(|&seconds| seconds != 0),
    })
}

/// Reads an endpoint. A link-local one carries its zone (`[fe80::1%eth0]:51820`), which has no meaning elsewhere.
fn read_endpoint(text: &str) -> Option<SocketAddr> {
    match (text.find('%'), text.find(']')) {
        (Some(zone), Some(end)) if zone < end => format!("{}{}", &text[..zone], &text[end..]).parse().ok(),
        _ => text.parse().ok(),
    }
}

fn read_allowed(text: &str) -> Option<Vec<Cidr>> {
    let mut prefixes = text.split(',').map(|t| t.parse().ok()).collect::<Option<Vec<Cidr>>>()?;
    prefixes.sort_unstable();
    Some(prefixes)
}
