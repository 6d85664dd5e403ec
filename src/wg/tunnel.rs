//! One WireGuard interface with its peers as some configuration says it, keys included: what every reader of a foreign
//! format returns and what every writer for another platform takes.
//!
//! A [`Tunnel`] is a meaning. The text it was read from, with its comments and its order, is a
//! [`Document`](super::config::Document).

use crate::model::{Cidr, Endpoint, Hook, InterfaceAddr, Port, PresharedKey, PrivateKey, PublicKey};

use super::Table;

/// An interface as a configuration says it. Secret: it holds keys, and is wiped when dropped.
#[derive(Debug, Default)]
pub struct Tunnel {
    /// The private key; `None` when the configuration has none, or none that is a key (empty, a placeholder).
    pub private_key: Option<PrivateKey>,
    /// Its addresses, in order.
    pub addresses: Vec<InterfaceAddr>,
    /// UDP port; `None` lets the kernel choose.
    pub listen_port: Option<Port>,
    /// Mark of the packets that the tunnel itself sends; `None` when it isn't given, `Some(0)` when it is turned off.
    pub fwmark: Option<u32>,
    /// Bytes per packet; `None` lets wg-quick(8) choose.
    pub mtu: Option<u16>,
    /// DNS servers and search domains, in order.
    pub dns: Vec<String>,
    /// Which table gets a route for each AllowedIP.
    pub table: Table,
    /// Whether wg-quick(8) overwrites the file with the running state when the interface goes down.
    pub save_config: bool,
    /// Commands that run when it goes up and down, in order.
    pub hooks: Vec<Hook>,
    /// Keys of vendors, such as AmneziaWG's `Jc`, in order. A key of wg(8) is never among them.
    pub unknown: Vec<(String, String)>,
    /// Its peers, in order. The same public key never stands twice.
    pub peers: Vec<TunnelPeer>,
}

/// A peer of an interface as a configuration says it.
#[derive(Debug)]
pub struct TunnelPeer {
    /// What the configuration calls it: a description, or a comment that is a name.
    pub name: Option<String>,
    /// Its key.
    pub public_key: PublicKey,
    /// The key that both ends share besides.
    pub preshared: Option<PresharedKey>,
    /// What is sent to it and accepted from it, in order, without host bits.
    pub allowed_ips: Vec<Cidr>,
    /// Where to dial it.
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives sent to it; `None` sends none.
    pub keepalive: Option<u16>,
    /// Keys of vendors, in order.
    pub unknown: Vec<(String, String)>,
}

impl TunnelPeer {
    /// A peer of which only the key is known.
    pub fn new(public_key: PublicKey) -> Self {
        let (allowed_ips, unknown) = (Vec::new(), Vec::new());
        Self { name: None, public_key, preshared: None, allowed_ips, endpoint: None, keepalive: None, unknown }
    }
}
