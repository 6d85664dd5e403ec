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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    const PEER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

    #[test]
    fn interfaces_and_peers_are_read_as_wg_prints_them() {
        let text = format!(
            "wg0\tsecret\t{PUBLIC}\t51820\t0xca6c\n\
             wg0\t{PEER}\t{PUBLIC}\t[fe80::1%eth0]:51820\t192.168.1.0/24,10.0.0.2/32\t1700000000\t18446744073709551615\t7\t25\n\
             wg0\t{PUBLIC}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n\
             wgx1\t(none)\t(none)\t0\toff\n"
        );
        let interfaces = parse(&text).unwrap();
        let wg0 = &interfaces[&"wg0".parse().unwrap()];
        assert_eq!((wg0.public_key.unwrap().to_string().as_str(), wg0.listen_port.unwrap().get()), (PUBLIC, 51820));
        assert_eq!(wg0.fwmark, 51820);
        let peer = &wg0.peers[&PEER.parse().unwrap()];
        assert_eq!(peer.endpoint.unwrap().to_string(), "[fe80::1]:51820");
        assert_eq!(peer.allowed_ips.iter().map(Cidr::to_string).collect::<Vec<_>>(), ["10.0.0.2/32", "192.168.1.0/24"]);
        assert_eq!((peer.latest_handshake, peer.rx, peer.tx), (Some(1_700_000_000), u64::MAX, 7));
        assert_eq!((peer.keepalive, peer.preshared.is_some()), (Some(25), true));
        assert_eq!(wg0.peers[&PUBLIC.parse().unwrap()], LivePeer::default());
        assert_eq!(interfaces[&"wgx1".parse().unwrap()], LiveInterface::default());
        assert!(!format!("{interfaces:?}").contains("secret"));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_not_echoed() {
        let interface = format!("wg0\tprivate\t{PUBLIC}\t51820\toff");
        let peer = |key: &str| format!("{interface}\nwg0\t{key}\t(none)\t(none)\t(none)\t0\t0\t0\toff");
        let errors = [
            parse("wg0\tprivate\tx\t51820\toff"),
            parse("wg0\tprivate"),
            parse(&peer("hush")),
            parse(&peer(PEER).lines().rev().collect::<Vec<_>>().join("\n")),
        ];
        insta::assert_snapshot!(errors.map(|error| error.unwrap_err().to_string()).join("\n"), @"
        line 1 of `wg show all dump`: the public key can't be read
        line 1 of `wg show all dump` has 2 fields: an interface has 5 and a peer 9
        line 2 of `wg show all dump`: the public key can't be read
        line 1 of `wg show all dump`: a peer of an interface that hasn't been listed
        ");
    }

    #[test]
    fn an_interface_whose_name_cannot_be_a_file_of_ours_is_passed_over() {
        let text =
            format!("odd@name\tprivate\t{PUBLIC}\t1\toff\nodd@name\t{PEER}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n");
        assert_eq!(parse(&text), Ok(BTreeMap::new()));
    }

    /// Prints an interface as wg(8) does (src/show.c, dump_print).
    fn print(name: &InterfaceName, interface: &LiveInterface) -> String {
        fn or<T: ToString>(value: Option<T>, nothing: &str) -> String {
            value.map_or(nothing.to_owned(), |value| value.to_string())
        }
        let mark = if interface.fwmark == 0 { "off".to_owned() } else { format!("{:#x}", interface.fwmark) };
        let port = interface.listen_port.map_or(0, Port::get);
        let mut text = format!("{name}\t(none)\t{}\t{port}\t{mark}\n", or(interface.public_key, "(none)"));
        for (key, peer) in &interface.peers {
            let preshared = or(peer.preshared.as_ref().map(|key| key.expose_base64().to_string()), "(none)");
            let allowed = peer.allowed_ips.iter().map(Cidr::to_string).collect::<Vec<_>>().join(",");
            let allowed = if allowed.is_empty() { "(none)".to_owned() } else { allowed };
            let (handshake, keepalive) = (peer.latest_handshake.unwrap_or(0), or(peer.keepalive, "off"));
            let endpoint = or(peer.endpoint, "(none)");
            let fields =
                format!("{preshared}\t{endpoint}\t{allowed}\t{handshake}\t{}\t{}\t{keepalive}", peer.rx, peer.tx);
            text += &format!("{name}\t{key}\t{fields}\n");
        }
        text
    }

    fn cidr() -> impl Strategy<Value = Cidr> {
        let net = (any::<std::net::IpAddr>(), 0..=128u8).prop_map(|(address, length)| {
            let length = if address.is_ipv4() { length % 33 } else { length };
            Cidr::containing(ipnet::IpNet::new(address, length).unwrap())
        });
        net.boxed()
    }

    prop_compose! {
        fn peer()(
            preshared: Option<[u8; 32]>, endpoint: Option<SocketAddr>,
            mut allowed_ips in proptest::collection::vec(cidr(), 0..4),
            handshake: u32, rx: u64, tx: u64, keepalive: u16,
        ) -> LivePeer {
            allowed_ips.sort_unstable();
            // A dump has no place for the zone and the flow of an IPv6 endpoint.
            let endpoint = endpoint.map(|address| SocketAddr::new(address.ip(), address.port()));
            LivePeer {
                preshared: preshared.map(PresharedKey::from_random), endpoint, allowed_ips, rx, tx,
                latest_handshake: Some(handshake.into()).filter(|&at| at != 0),
                keepalive: Some(keepalive).filter(|&seconds| seconds != 0),
            }
        }
    }

    prop_compose! {
        fn interface()(
            key: Option<[u8; 32]>, port: u16, fwmark: u32,
            peers in proptest::collection::btree_map(any::<[u8; 32]>().prop_map(PublicKey::from_bytes), peer(), 0..5),
        ) -> LiveInterface {
            LiveInterface { public_key: key.map(PublicKey::from_bytes), listen_port: Port::new(port), fwmark, peers }
        }
    }

    proptest! {
        #[test]
        fn what_wg_prints_is_read_back(interface in interface()) {
            let name: InterfaceName = "wg0".parse().unwrap();
            let read = parse(&print(&name, &interface)).unwrap();
            prop_assert_eq!(&read[&name], &interface);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(wg[0-9]|[a-z(=]{0,4})?([\t\n]|\\PC{0,6}){0,40}") {
            let _ = parse(&text);
        }
    }
}
