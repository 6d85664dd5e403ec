//! The values of a wg-quick file: what wg(8), wg-quick(8) and ip-address(8) take, and where we are stricter.
//!
//! Values of wg's own keys come without blanks here: wg takes them all out before it reads. No message repeats a value
//! that may be a secret.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::fault::FaultKind;
use super::mask::{HIDDEN, line, looks_like_key};
use crate::model::{
    Cidr, Endpoint, EndpointHost, InterfaceAddr, Mtu, Port, PresharedKey, PrivateKey, PublicKey, Table,
};

/// What is wrong, or odd, about a value.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) kind: FaultKind,
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) remedy: String,
}

impl Wrong {
    pub(super) fn new(kind: FaultKind, found: impl Into<String>, expected: &str, remedy: impl Into<String>) -> Self {
        Self { kind, found: found.into(), expected: expected.to_owned(), remedy: remedy.into() }
    }
}

/// A value, and what is odd about it although it can be read; or why it can't.
pub(super) type Reading<T> = Result<(T, Option<Wrong>), Wrong>;

fn plain<T>(value: T) -> Reading<T> {
    Ok((value, None))
}

/// Returns a value as a message may show it: short, and with invisible characters named.
pub(super) fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    if line(text).hidden_from.is_some() {
        return format!("`{HIDDEN}`");
    }
    let mut shown: String = text.chars().take(LIMIT).flat_map(|c| escaped(c).collect::<Vec<_>>()).collect();
    if text.chars().count() > LIMIT {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

fn escaped(c: char) -> Box<dyn Iterator<Item = char>> {
    let invisible = c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if invisible { Box::new(c.escape_unicode()) } else { Box::new(std::iter::once(c)) }
}

/// Why a text is no key, without repeating it.
fn not_a_key(what: &str, text: &str, remedy: &str) -> Wrong {
    let length = text.chars().count();
    let found = if !looks_like_key(text) {
        format!("the {what} is no base64 of 32 bytes")
    } else if length != 44 {
        format!("the {what} has {length} characters")
    } else if !text.ends_with('=') || text[..43].contains('=') {
        format!("the {what} isn't padded with one `=`")
    } else {
        format!("the {what} is 44 characters long, but its last one carries bits that must be zero")
    };
    let expected = "44 characters of base64, as `wg genkey`, `wg pubkey` and `wg genpsk` print them";
    Wrong::new(FaultKind::Key, found, expected, remedy)
}

const COPY_AGAIN: &str = "copy it again: a character is missing or mistyped";

/// Reads a private key; `None` for one that isn't filled in.
pub(super) fn private_key(text: &str) -> Reading<Option<PrivateKey>> {
    let placeholder = |found: &str| {
        let remedy =
            "put in the key of `wg genkey`, or leave the line out if a hook loads it: wg refuses the file as it is";
        Ok((None, Some(Wrong::new(FaultKind::Placeholder, found, "a private key", remedy))))
    };
    if text.is_empty() {
        return placeholder("the private key is empty");
    }
    match text.parse::<PrivateKey>() {
        Ok(_) if is_zero(text) => placeholder("the private key is all zeros, which wg takes for none"),
        Ok(key) => plain(Some(key)),
        Err(_) if !could_be_a_key(text) => placeholder("the private key isn't filled in"),
        Err(_) => Err(not_a_key("private key", text, COPY_AGAIN)),
    }
}

/// Whether somebody may have meant this to be a key.
fn could_be_a_key(text: &str) -> bool {
    let letters = text.bytes().filter(u8::is_ascii_alphanumeric).count();
    let varied = text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().any(|b| b.is_ascii_alphabetic());
    looks_like_key(text) || (letters >= 30 && varied)
}

fn is_zero(key: &str) -> bool {
    key[..43].bytes().all(|b| b == b'A')
}

/// Reads a public key.
pub(super) fn public_key(text: &str) -> Reading<PublicKey> {
    text.parse().map(|key| (key, None)).map_err(|_| not_a_key("public key", text, COPY_AGAIN))
}

/// Reads a preshared key; `None` for one of zeros, which WireGuard takes for none.
pub(super) fn preshared_key(text: &str) -> Reading<Option<PresharedKey>> {
    match text.parse() {
        Ok(_) if is_zero(text) => plain(None),
        Ok(key) => plain(Some(key)),
        Err(_) => Err(not_a_key("preshared key", text, COPY_AGAIN)),
    }
}

/// Reads digits; `None` for anything else, and for numbers beyond 2^64.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// Reads a port; `None` for 0, with which the kernel chooses.
pub(super) fn port(text: &str) -> Reading<Option<Port>> {
    let wrong = |remedy: String| {
        Wrong::new(FaultKind::Port, format!("{} is no port", shown(text)), "a number from 0 to 65535", remedy)
    };
    match digits(text) {
        Some(number) => match u16::try_from(number) {
            Ok(number) => plain(Port::new(number)),
            Err(_) => Err(wrong(format!("wg would take port {} without a word", number & 0xffff))),
        },
        None => Err(wrong(String::new())),
    }
}

/// Reads a firewall mark: `off` is 0.
pub(super) fn fwmark(text: &str) -> Reading<u32> {
    let number = match text.strip_prefix("0x") {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if text.eq_ignore_ascii_case("off") => Some(0),
        None => digits(text).and_then(|number| u32::try_from(number).ok()),
    };
    number.map(|number| (number, None)).ok_or_else(|| {
        let expected = "off, a number up to 4294967295, or 0x and up to 8 hexadecimal digits";
        Wrong::new(FaultKind::FwMark, format!("{} is no firewall mark", shown(text)), expected, "")
    })
}

/// Reads seconds between keepalives; `None` for 0 and `off`.
pub(super) fn keepalive(text: &str) -> Reading<Option<u16>> {
    let seconds = match text {
        _ if text.eq_ignore_ascii_case("off") => Some(0),
        _ => digits(text).and_then(|seconds| u16::try_from(seconds).ok()),
    };
    seconds.map(|seconds| ((seconds != 0).then_some(seconds), None)).ok_or_else(|| {
        let found = format!("{} is no interval between keepalives", shown(text));
        Wrong::new(FaultKind::Keepalive, found, "off, or a number of seconds up to 65535", "25 suits most")
    })
}

/// Reads a number of bytes.
pub(super) fn mtu(text: &str) -> Reading<u16> {
    // ip-link(8) takes a leading zero for octal.
    let number = digits(text).filter(|_| !text.starts_with('0')).and_then(|number| u16::try_from(number).ok());
    match number.and_then(|number| Mtu::try_from(number).ok()) {
        Some(mtu) => plain(mtu.get()),
        None => {
            let expected = "576 to 65535, or no line: wg-quick then chooses";
            Err(Wrong::new(FaultKind::Mtu, format!("{} is no MTU that works", shown(text)), expected, ""))
        }
    }
}

/// Reads a routing table.
pub(super) fn table(text: &str) -> Reading<Table> {
    match text.parse::<Table>() {
        Ok(Table::Named(name)) if name.eq_ignore_ascii_case("off") || name.eq_ignore_ascii_case("auto") => {
            let found = format!("wg-quick takes {} for the name of a table", shown(text));
            let remedy = format!("write `{}` in small letters", name.to_ascii_lowercase());
            Ok((Table::Named(name), Some(Wrong::new(FaultKind::Table, found, "", remedy))))
        }
        Ok(table) => plain(table),
        Err(_) => {
            let expected = "auto, off, a number, or a name of /etc/iproute2/rt_tables";
            Err(Wrong::new(FaultKind::Table, format!("{} is no routing table", shown(text)), expected, ""))
        }
    }
}

/// Reads whether wg-quick saves the running state over the file.
pub(super) fn save_config(text: &str) -> Reading<bool> {
    if text.eq_ignore_ascii_case("true") {
        let found = "wg-quick overwrites this file when the interface goes down";
        let remedy = "comments and names of hosts are lost then, and so is what was changed here meanwhile: `SaveConfig = false`";
        Ok((true, Some(Wrong::new(FaultKind::SaveConfigOn, found, "", remedy))))
    } else if text.eq_ignore_ascii_case("false") {
        plain(false)
    } else {
        Err(Wrong::new(
            FaultKind::SaveConfig,
            format!("{} is neither true nor false", shown(text)),
            "true or false",
            "",
        ))
    }
}

/// Reads an address of the interface.
pub(super) fn address(text: &str) -> Reading<InterfaceAddr> {
    text.parse().map(|address| (address, None)).map_err(|_| {
        let found = format!("{} is no address", shown(text));
        Wrong::new(FaultKind::Address, found, "something like 10.66.0.1/24 or fd00:66::1/64", "")
    })
}

/// Looks at an entry of DNS: an address is a server, anything else a search domain.
pub(super) fn dns(text: &str) -> Option<Wrong> {
    let domain =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let like_address = text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let name = text.trim_matches('.');
    let good = text.parse::<IpAddr>().is_ok()
        || (!like_address && (name.is_empty() || name.trim_start_matches('~').split('.').all(domain)));
    (!good).then(|| {
        let taken = if like_address { "a DNS server" } else { "a search domain" };
        let found = format!("wg-quick takes {} for {taken}, which it can't be", shown(text));
        Wrong::new(FaultKind::Dns, found, "addresses of DNS servers, and search domains", "")
    })
}

/// Whether wg-quick(8) takes an entry of DNS for a server rather than a search domain.
pub(super) fn is_dns_server(text: &str) -> bool {
    text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// How an item of AllowedIPs changes the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Add,
    Remove,
}

/// Reads an item of AllowedIPs.
pub(super) fn allowed_ip(text: &str) -> Reading<(Step, Cidr)> {
    if let Some(rest) = text.strip_prefix(['+', '-']) {
        let step = if text.starts_with('-') { Step::Remove } else { Step::Add };
        let ((_, cidr), _) = allowed_ip(rest)?;
        let found = format!("{} changes what the peer had before", shown(text));
        let remedy = "wg knows `+` and `-` from 2025 on only, and refuses them before: list what the peer is to have";
        return Ok(((step, cidr), Some(Wrong::new(FaultKind::Incremental, found, "a prefix", remedy))));
    }
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let net = address.parse::<IpAddr>().ok().and_then(|address| match length {
        None => Some(IpNet::from(address)),
        Some(length) => IpNet::new(address, digits(length).and_then(|length| u8::try_from(length).ok())?).ok(),
    });
    let Some(net) = net else {
        let found = if text.is_empty() { "an empty item".to_owned() } else { format!("{} is no prefix", shown(text)) };
        let remedy = if text.is_empty() { "wg refuses a comma with nothing behind it" } else { "" };
        let expected = "something like 10.66.0.2/32 or fd00:66::/64";
        return Err(Wrong::new(FaultKind::AllowedIp, found, expected, remedy));
    };
    let cidr = Cidr::containing(net);
    let odd = (net != cidr.net()).then(|| {
        let remedy = format!("wg takes {cidr}: write that");
        Wrong::new(FaultKind::HostBits, format!("{} has bits behind its length", shown(text)), "", remedy)
    });
    Ok(((Step::Add, cidr), odd))
}

/// Reads an endpoint.
///
/// wg also takes an IPv6 address without brackets, anything in brackets, and a zone. A port by name, port 0 and
/// addresses of fewer than four numbers, which it takes too, are refused.
pub(super) fn endpoint(text: &str) -> Reading<Endpoint> {
    let wrong = |remedy: &str| {
        let expected = "host:port, such as vpn.example.com:51820, 203.0.113.7:51820 or [2001:db8::7]:51820";
        Wrong::new(FaultKind::Endpoint, format!("{} is no endpoint", shown(text)), expected, remedy)
    };
    if let Ok(endpoint) = text.parse() {
        return plain(endpoint);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
    let port: Port = port.parse().map_err(|_| wrong("the port has to be a number from 1 to 65535"))?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bare = inner.unwrap_or(host);
    let spelling = |host: EndpointHost| {
        let endpoint = Endpoint { host, port };
        let remedy = format!("write {endpoint}");
        let found = format!("{} is spelled as only wg takes it", shown(text));
        Ok((endpoint, Some(Wrong::new(FaultKind::EndpointSpelling, found, "", remedy))))
    };
    if let Some((address, zone)) = bare.split_once('%') {
        let address: Ipv6Addr = address.parse().map_err(|_| wrong(""))?;
        if zone.is_empty() {
            return Err(wrong("the zone behind the % is missing"));
        }
        let found = format!("{} has a zone, which means something on its own host only", shown(text));
        let remedy = "it stays in the file; elsewhere the address stands without it";
        let host = EndpointHost::Address(address.into());
        return Ok((Endpoint { host, port }, Some(Wrong::new(FaultKind::EndpointZone, found, "", remedy))));
    }
    match (bare.parse::<IpAddr>(), inner) {
        (Ok(address), _) => spelling(EndpointHost::Address(address)),
        (Err(_), Some(name)) => match format!("{name}:{port}").parse::<Endpoint>() {
            Ok(endpoint) => spelling(endpoint.host),
            Err(_) => Err(wrong("")),
        },
        (Err(_), None) => Err(wrong("")),
    }
}
