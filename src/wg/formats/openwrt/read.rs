//! Reading UCI: `/etc/config/network`, `uci export network`, `uci show network`.

use std::collections::BTreeMap;

use crate::model::{Endpoint, InterfaceAddr, Port, Table};
use crate::wg::formats::ini::Place;
use crate::wg::formats::{Found, Unreadable};
use crate::wg::{Tunnel, TunnelPeer};

/// A section: `config TYPE 'NAME'` with its options and lists.
struct Section {
    kind: String,
    name: Option<String>,
    line: usize,
    entries: Vec<Entry>,
}

struct Entry {
    key: String,
    value: String,
    line: usize,
}

/// Reads every interface with `proto wireguard`.
pub(in crate::wg::formats) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    let mut found = Vec::new();
    for (name, text) in files {
        let place = Place(name);
        let sections = if text.lines().any(|line| line.trim_start().starts_with("config ")) {
            sections(place, text)?
        } else {
            shown(place, text)?
        };
        for section in sections.iter().filter(|section| section.kind == "interface") {
            if section.entries.iter().any(|entry| entry.key == "proto" && entry.value == "wireguard") {
                found.push(interface(place, section, &sections)?);
            }
        }
    }
    if found.is_empty() {
        let file = files.first().map_or("no file", |(name, _)| name);
        return Err(
            Place(file).wrong_file("no interface of WireGuard", "a section `config interface` with proto 'wireguard'")
        );
    }
    Ok(found)
}

/// Splits a line into words as UCI does: quotes of both kinds, backslashes, comments.
fn words(place: Place<'_>, text: &str, line: usize) -> Result<Vec<String>, Unreadable> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(place.wrong(line, "a quote that isn't closed", "the value within quotes on one line"));
    }
    words.extend(word);
    Ok(words)
}

fn sections(place: Place<'_>, text: &str) -> Result<Vec<Section>, Unreadable> {
    let mut found: Vec<Section> = Vec::new();
    for (raw, line) in text.lines().zip(1..) {
        let words = words(place, raw, line)?;
        let mut words = words.into_iter();
        let Some(first) = words.next() else { continue };
        match (first.as_str(), words.next(), words.next(), found.last_mut()) {
            ("package", Some(_), None, _) => {}
            ("config", Some(kind), name, _) => found.push(Section { kind, name, line, entries: Vec::new() }),
            ("option" | "list", Some(key), Some(value), Some(section)) => {
                section.entries.push(Entry { key, value, line })
            }
            ("option" | "list", Some(_), Some(_), None) => {
                return Err(place.wrong(line, format!("`{first}` before any section"), "`config TYPE 'NAME'` first"));
            }
            _ => {
                let found = format!("a line that begins with `{}`", first.escape_debug());
                return Err(place.wrong(line, found, "config TYPE NAME, option KEY VALUE or list KEY VALUE"));
            }
        }
    }
    Ok(found)
}

/// Reads the form of `uci show`: `network.wg0.proto='wireguard'`, lists as several quoted words.
fn shown(place: Place<'_>, text: &str) -> Result<Vec<Section>, Unreadable> {
    let mut found: Vec<Section> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for (raw, line) in text.lines().zip(1..).filter(|(raw, _)| !raw.trim().is_empty()) {
        let wrong = || place.wrong(line, "a line that `uci show` doesn't print", "network.SECTION.KEY='VALUE'");
        let (path, value) = raw.trim().split_once('=').ok_or_else(wrong)?;
        let mut parts = path.splitn(3, '.');
        let (Some(_), Some(section), key) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong()) };
        let values = words(place, value, line)?;
        match (key, at.get(section)) {
            (None, _) => {
                let kind = values.into_iter().next().unwrap_or_default();
                let name = (!section.starts_with('@')).then(|| section.to_owned());
                at.insert(section.to_owned(), found.len());
                found.push(Section { kind, name, line, entries: Vec::new() });
            }
            (Some(key), Some(index)) => {
                let entries = values.into_iter().map(|value| Entry { key: key.to_owned(), value, line });
                found[*index].entries.extend(entries);
            }
            (Some(_), None) => return Err(wrong()),
        }
    }
    Ok(found)
}

fn interface(place: Place<'_>, section: &Section, all: &[Section]) -> Result<Found, Unreadable> {
    let mut tunnel = Tunnel::default();
    let mut remarks = Vec::new();
    let name = section
        .name
        .clone()
        .ok_or_else(|| place.wrong(section.line, "an interface without a name", "config interface 'NAME'"))?;
    let mut table = None;
    for entry in &section.entries {
        let (value, line) = (entry.value.as_str(), entry.line);
        match entry.key.as_str() {
            "private_key" if value == "generate" || value.is_empty() => {
                remarks.push(format!("{}, line {line}: there is no private key", place.0));
            }
            "private_key" => tunnel.private_key = Some(place.key(line, "a private key", value)?),
            "listen_port" if value == "0" => {}
            "listen_port" => tunnel.listen_port = Some(place.value(line, value, "a port, 1 to 65535")?),
            "addresses" => {
                for item in value.split_whitespace() {
                    tunnel.addresses.push(place.value(
                        line,
                        item,
                        "an address with its length, such as 10.0.0.1/24",
                    )?);
                }
            }
            "mtu" => tunnel.mtu = Some(place.value(line, value, "bytes, such as 1420")?),
            "fwmark" => tunnel.fwmark = Some(mark(place, line, value)?),
            "dns" | "dns_search" => tunnel.dns.extend(value.split_whitespace().map(str::to_owned)),
            "ip4table" | "ip6table" => {
                table = Some(place.value::<Table>(line, value, "a routing table: a number or a name")?)
            }
            "proto" | "device" => {}
            "disabled" | "auto" if matches!((entry.key.as_str(), value), ("disabled", "0") | ("auto", "1")) => {}
            "disabled" | "auto" => remarks.push(format!("{}, line {line}: it doesn't come up by itself", place.0)),
            key => remarks.push(format!("{}, line {line}: {key} has no counterpart", place.0)),
        }
    }
    let kind = format!("wireguard_{name}");
    let mut routed = Vec::new();
    for section in all.iter().filter(|section| section.kind == kind) {
        let Some((peer, routes)) = peer(place, section, &mut remarks)? else { continue };
        if tunnel.peers.iter().any(|known| known.public_key == peer.public_key) {
            let found = format!("the key {} of an earlier peer", peer.public_key);
            return Err(place.wrong(section.line, found, "a key that stands once"));
        }
        tunnel.peers.push(peer);
        routed.push(routes);
    }
    tunnel.table = match (routed.iter().any(|routes| *routes), table) {
        (false, _) if !nothing_to_route(&tunnel) => Table::Off,
        (_, Some(Table::Number(254))) => Table::Auto,
        (_, Some(table)) => table,
        (_, None) => Table::Auto,
    };
    if tunnel.table != Table::Off && routed.iter().any(|routes| !routes) && !nothing_to_route(&tunnel) {
        let unrouted =
            tunnel.peers.iter().zip(&routed).filter(|(peer, routes)| !**routes && !peer.allowed_ips.is_empty());
        let keys: Vec<String> =
            unrouted.map(|(peer, _)| peer.name.clone().unwrap_or_else(|| peer.public_key.short())).collect();
        if !keys.is_empty() {
            remarks.push(format!(
                "{}: there are no routes to {}; wg-quick makes them for all peers or for none",
                place.0,
                keys.join(", ")
            ));
        }
    }
    Ok(Found { interface: name.parse().ok(), tunnel, remarks })
}

fn nothing_to_route(tunnel: &Tunnel) -> bool {
    let routes = super::super::routes::of(tunnel);
    routes.plain.is_empty() && routes.defaults.is_empty()
}

fn mark(place: Place<'_>, line: usize, value: &str) -> Result<u32, Unreadable> {
    let number = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    };
    number.ok_or_else(|| place.wrong(line, format!("`{}`", value.escape_debug()), "a mark, such as 51820 or 0xca6c"))
}

/// Reads a peer, and whether there are routes to it; `None` when it is disabled.
fn peer(
    place: Place<'_>,
    section: &Section,
    remarks: &mut Vec<String>,
) -> Result<Option<(TunnelPeer, bool)>, Unreadable> {
    let value = |key: &str| section.entries.iter().rev().find(|entry| entry.key == key);
    let on = |key: &str| {
        value(key).is_some_and(|entry| matches!(entry.value.as_str(), "1" | "true" | "yes" | "on" | "enabled"))
    };
    if on("disabled") {
        remarks.push(format!("{}, line {}: a disabled peer was left out", place.0, section.line));
        return Ok(None);
    }
    let key = value("public_key")
        .ok_or_else(|| place.wrong(section.line, "a peer without public_key", "option public_key with a key"))?;
    let mut peer = TunnelPeer::new(place.key(key.line, "a public key", &key.value)?);
    let (mut host, mut port) = (None, Port::WIREGUARD);
    for entry in &section.entries {
        let (value, line) = (entry.value.as_str(), entry.line);
        match entry.key.as_str() {
            "description" => peer.name = Some(value.to_owned()),
            "preshared_key" | "peer_psk" if value.is_empty() => {}
            "preshared_key" | "peer_psk" => peer.preshared = Some(place.key(line, "a preshared key", value)?),
            "allowed_ips" => {
                for item in value.split_whitespace() {
                    let net = place.value::<InterfaceAddr>(line, item, "a network, such as 192.168.10.0/24")?.network();
                    if !peer.allowed_ips.contains(&net) {
                        peer.allowed_ips.push(net);
                    }
                }
            }
            "endpoint_host" if !value.is_empty() => host = Some(entry),
            "endpoint_port" => port = place.value(line, value, "a port, 1 to 65535")?,
            "persistent_keepalive" if matches!(value, "0" | "off") => {}
            "persistent_keepalive" => peer.keepalive = Some(place.value(line, value, "seconds, 0 to 65535")?),
            "public_key" | "route_allowed_ips" | "disabled" | "endpoint_host" => {}
            // What LuCI keeps to draw the peer's own code isn't the peer's.
            "private_key" => remarks.push(format!("{}, line {line}: a peer's private key was left aside", place.0)),
            key => remarks.push(format!("{}, line {line}: {key} of a peer has no counterpart", place.0)),
        }
    }
    if let Some(entry) = host {
        let endpoint = Endpoint::parse_with_default(&entry.value, port).map(|found| found.with_port(port));
        peer.endpoint = Some(endpoint.map_err(|_| {
            place.wrong(entry.line, format!("`{}`", entry.value.escape_debug()), "a host's name or address")
        })?);
    }
    Ok(Some((peer, on("route_allowed_ips"))))
}
