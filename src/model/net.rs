//! Addresses, prefixes, endpoints, ports and MTUs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// What is wrong with an address, prefix, endpoint, port or MTU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNet {
    /// Not a prefix in CIDR notation (RFC 4632).
    #[error("`{0}` is not a network: expected something like 192.168.10.0/24 or fd00:10::/64")]
    Cidr(String),
    /// A prefix with bits behind its length.
    #[error("`{given}` has host bits set: did you mean the network {network}?")]
    HostBits {
        /// As given.
        given: String,
        /// The network it lies in.
        network: String,
    },
    /// Not an address with a prefix length.
    #[error("`{0}` is not an address with its prefix length: expected something like 10.66.0.1/24")]
    InterfaceAddr(String),
    /// Not `host:port`.
    #[error(
        "`{0}` is not an endpoint: expected host:port, such as vpn.example.com:51820, 203.0.113.7:51820 or [2001:db8::7]:51820"
    )]
    Endpoint(String),
    /// Port 0, above 65535, or no number.
    #[error("`{0}` is not a port: expected 1 to 65535")]
    Port(String),
    /// A range whose first port is above its last.
    #[error("`{0}` is no range of ports: its first port is above its last")]
    PortRange(String),
    /// Outside what WireGuard can carry.
    #[error(
        "`{0}` is not an MTU that works here: expected 576 to 65535 (IPv6 needs at least 1280, RFC 8200 section 5)"
    )]
    Mtu(String),
}

/// A network: an address prefix without host bits. What AllowedIPs, LANs and grants are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

impl Cidr {
    /// Every IPv4 address: `0.0.0.0/0`.
    pub const ALL4: Self = Self(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)));
    /// Every IPv6 address: `::/0`.
    pub const ALL6: Self = Self(IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)));

    /// The network of a prefix; host bits are cleared.
    pub fn containing(net: IpNet) -> Self {
        Self(net.trunc())
    }

    /// The prefix of one address: /32 or /128.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// Returns the prefix.
    pub fn net(&self) -> IpNet {
        self.0
    }

    /// Whether it is IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether all of `other` lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether it is a single address.
    pub fn is_host(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether it is one of the two default routes.
    pub fn is_default(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl FromStr for Cidr {
    type Err = InvalidNet;

    /// Reads a prefix; an address alone is its /32 or /128, as in wg(8).
    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::host(address));
        }
        let net: IpNet = text.parse().map_err(|_| InvalidNet::Cidr(text.to_owned()))?;
        if net != net.trunc() {
            return Err(InvalidNet::HostBits { given: text.to_owned(), network: net.trunc().to_string() });
        }
        Ok(Self(net))
    }
}

/// An interface's own address with the length of its prefix: `10.66.0.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceAddr(IpNet);

impl InterfaceAddr {
    /// An address with a prefix length; `None` when the length is too large for the family.
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        IpNet::new(address, prefix_len).ok().map(Self)
    }

    /// The address alone.
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// The network on the link.
    pub fn network(&self) -> Cidr {
        Cidr(self.0.trunc())
    }

    /// The length of the prefix in bits.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }
}

impl FromStr for InterfaceAddr {
    type Err = InvalidNet;

    /// Reads `address/length`; without a length it is the full one, as in ip-address(8).
    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address)));
        }
        text.parse().map(Self).map_err(|_| InvalidNet::InterfaceAddr(text.to_owned()))
    }
}

/// A UDP or TCP port, 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Port(std::num::NonZeroU16);

impl Port {
    /// WireGuard's customary port.
    pub const WIREGUARD: Self = Self(std::num::NonZeroU16::new(51820).unwrap());

    /// A port; `None` for 0.
    pub fn new(number: u16) -> Option<Self> {
        std::num::NonZeroU16::new(number).map(Self)
    }

    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<u16> for Port {
    type Error = InvalidNet;
    fn try_from(number: u16) -> Result<Self, InvalidNet> {
        Self::new(number).ok_or_else(|| InvalidNet::Port(number.to_string()))
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.get()
    }
}

impl FromStr for Port {
    type Err = InvalidNet;
    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        let number = text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        number.and_then(Self::new).ok_or_else(|| InvalidNet::Port(text.to_owned()))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The largest packet an interface carries, in bytes: 576 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Mtu(u16);

impl Mtu {
    /// What fits into 1500 bytes of Ethernet over IPv6: 1500 - 80.
    pub const DEFAULT: Self = Self(1420);

    /// Returns the number of bytes.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Mtu {
    type Error = InvalidNet;
    fn try_from(bytes: u16) -> Result<Self, InvalidNet> {
        if bytes >= 576 { Ok(Self(bytes)) } else { Err(InvalidNet::Mtu(bytes.to_string())) }
    }
}

impl From<Mtu> for u16 {
    fn from(mtu: Mtu) -> Self {
        mtu.0
    }
}

impl FromStr for Mtu {
    type Err = InvalidNet;
    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        text.parse::<u16>()
            .ok()
            .and_then(|bytes| Self::try_from(bytes).ok())
            .ok_or_else(|| InvalidNet::Mtu(text.to_owned()))
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of an endpoint before the port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointHost {
    /// An address.
    Address(IpAddr),
    /// A DNS name (RFC 1123 letters, digits, hyphens, dots; also `_`).
    Name(String),
}

/// Where a peer can be dialled: `host:port`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    /// Address or name.
    pub host: EndpointHost,
    /// UDP port.
    pub port: Port,
}

impl Endpoint {
    /// The same host at another port.
    pub fn with_port(&self, port: Port) -> Self {
        Self { host: self.host.clone(), port }
    }

    /// Reads an endpoint whose port may be missing; `port` then stands in.
    pub fn parse_with_default(text: &str, port: Port) -> Result<Self, InvalidNet> {
        if let Ok(endpoint) = text.parse() {
            return Ok(endpoint);
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Ok(Self { host: EndpointHost::Address(address), port }),
            Err(_) => format!("{text}:{port}").parse().map_err(|_| InvalidNet::Endpoint(text.to_owned())),
        }
    }
}

fn is_dns_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let all_numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.'); // 300.1.1.1 is a mistyped address
    name.len() <= 253 && !all_numeric && name.split('.').all(label)
}

impl FromStr for Endpoint {
    type Err = InvalidNet;

    fn from_str(text: &str) -> Result<Self, InvalidNet> {
        let wrong = || InvalidNet::Endpoint(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: Port = port.parse()?;
        let host = if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(wrong)?;
            EndpointHost::Address(IpAddr::V6(inner.parse().map_err(|_| wrong())?))
        } else if let Ok(address) = host.parse::<Ipv4Addr>() {
            EndpointHost::Address(IpAddr::V4(address))
        } else if is_dns_name(host) {
            EndpointHost::Name(host.to_owned())
        } else {
            return Err(wrong());
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for EndpointHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.host, self.port))
    }
}

macro_rules! text_form {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = InvalidNet;
            fn try_from(text: String) -> Result<Self, InvalidNet> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
text_form!(Cidr);
text_form!(InterfaceAddr);
text_form!(Endpoint);

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl fmt::Display for InterfaceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_host_bits() {
        assert_eq!("192.168.10.0/24".parse::<Cidr>().unwrap().to_string(), "192.168.10.0/24");
        assert_eq!("10.0.0.7".parse::<Cidr>().unwrap().to_string(), "10.0.0.7/32");
        assert_eq!(
            "10.0.44.1/24".parse::<Cidr>().unwrap_err().to_string(),
            "`10.0.44.1/24` has host bits set: did you mean the network 10.0.44.0/24?"
        );
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
    }

    #[test]
    fn endpoints_read_back_as_they_print() {
        for text in ["vpn.example.com:51820", "203.0.113.7:1", "[2001:db8::7]:65535"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for bad in [
            "vpn.example.com",
            "a:0",
            "a:65536",
            "2001:db8::7:51820",
            "[::1]",
            "300.1.1.1:5",
            "-a:5",
            ":5",
            "a b:5",
            "a:+5",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_endpoint_without_a_port_takes_the_default() {
        let port = Port::WIREGUARD;
        for (text, full) in
            [("h.example", "h.example:51820"), ("::1", "[::1]:51820"), ("[::1]", "[::1]:51820"), ("a:5", "a:5")]
        {
            assert_eq!(Endpoint::parse_with_default(text, port).unwrap().to_string(), full);
        }
    }

    #[test]
    fn mtus_below_what_every_host_takes_are_refused() {
        assert!("575".parse::<Mtu>().is_err());
        assert_eq!("576".parse::<Mtu>().unwrap().get(), 576);
        assert!("65536".parse::<Mtu>().is_err());
    }
}
