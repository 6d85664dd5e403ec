//! Reading networkd's files.

use std::collections::BTreeMap;

use crate::model::{Cidr, InterfaceAddr, Table};
use crate::wg::formats::ini::{Entry, Place, Section, name_in, sections};
use crate::wg::formats::{Found, Unreadable, routes};
use crate::wg::{Tunnel, TunnelPeer};

/// The files, by the last part of their names.
struct Files<'a>(BTreeMap<&'a str, &'a str>);

impl Files<'_> {
    /// Returns what stands in a key file; `None` when it isn't among the files.
    fn key(&self, path: &str) -> Option<&str> {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.0.get(name).map(|text| text.trim())
    }
}

/// Reads every `.netdev` for WireGuard, with the `.network` that matches its name.
pub(in crate::wg::formats) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    let base = |name: &'_ str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let names: Vec<String> = files.iter().map(|(name, _)| base(name)).collect();
    let known = Files(names.iter().map(String::as_str).zip(files.iter().map(|(_, text)| *text)).collect());
    let mut found = Vec::new();
    let mut used = vec![false; files.len()];
    for (name, text) in files.iter().filter(|(name, _)| !name.ends_with(".network")) {
        let sections = match sections(name, text, true) {
            Ok(sections) => sections,
            Err(error) if name.ends_with(".netdev") => return Err(error),
            Err(_) => continue, // a key file
        };
        if sections.iter().any(|section| section.name == "WireGuard") {
            found.push(netdev(Place(name), &sections, &known)?);
        }
    }
    if found.is_empty() {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let file = names.first().copied().unwrap_or("no file");
        return Err(Place(file).wrong_file("no [WireGuard] section", "a .netdev file with Kind=wireguard"));
    }
    for (at, (name, text)) in files.iter().enumerate().filter(|(_, (name, _))| name.ends_with(".network")) {
        let sections = sections(name, text, true)?;
        let matched: Vec<&str> =
            all(&sections, "Match", "Name").flat_map(|entry| entry.value.split_whitespace()).collect();
        for one in &mut found {
            let interface = one.interface.as_ref().map(ToString::to_string).unwrap_or_default();
            if matched.iter().any(|pattern| glob(pattern, &interface)) {
                used[at] = true;
                network(Place(name), &sections, one)?;
            }
        }
    }
    for one in &mut found {
        finish(one);
    }
    for (at, (name, _)) in files.iter().enumerate() {
        if name.ends_with(".network") && !used[at] {
            found[0].found.remarks.push(format!("{name} is for none of the tunnels"));
        }
    }
    Ok(found.into_iter().map(|one| one.found).collect())
}

/// A tunnel while its files are gone through.
struct Half {
    found: Found,
    interface: Option<crate::model::InterfaceName>,
    /// The table of routes that networkd makes for AllowedIPs.
    table: Option<Table>,
    routes: Vec<(Cidr, Option<u32>)>,
    by_mark: bool,
}

fn all<'a>(sections: &'a [Section<'a>], section: &'a str, key: &'a str) -> impl Iterator<Item = &'a Entry<'a>> {
    sections.iter().filter(move |s| s.name == section).flat_map(|s| &s.entries).filter(move |entry| entry.key == key)
}

/// Matches as [Match] does: `*` stands for anything.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && glob(tail, &rest[at..]))),
    }
}

fn netdev(place: Place<'_>, sections: &[Section<'_>], files: &Files<'_>) -> Result<Half, Unreadable> {
    let mut tunnel = Tunnel::default();
    let mut remarks = Vec::new();
    let mut interface = None;
    let mut table = None;
    for section in sections {
        match section.name {
            "NetDev" => {
                for entry in &section.entries {
                    match entry.key {
                        "Name" => {
                            interface = Some(place.value(
                                entry.line,
                                &entry.value,
                                "an interface's name: up to 15 letters, digits and _=+.-",
                            )?)
                        }
                        "Kind" if entry.value != "wireguard" => {
                            return Err(place.wrong(
                                entry.line,
                                format!("Kind={}", entry.value.escape_debug()),
                                "Kind=wireguard",
                            ));
                        }
                        "MTUBytes" if !entry.value.is_empty() => tunnel.mtu = Some(bytes(place, entry)?),
                        "Kind" | "Description" | "MTUBytes" => {}
                        _ => remarks.push(unknown(place, section, entry)),
                    }
                }
            }
            "WireGuard" => {
                for entry in &section.entries {
                    wireguard(place, section, entry, files, &mut tunnel, &mut table, &mut remarks)?;
                }
            }
            "WireGuardPeer" => peer(place, section, files, &mut tunnel, &mut table, &mut remarks)?,
            "Match" => remarks.push(format!("{}: [Match] limits where the tunnel is made", place.0)),
            _ => remarks.push(format!(
                "{}, line {}: the section [{}] isn't one of a tunnel",
                place.0, section.line, section.name
            )),
        }
    }
    if interface.is_none() {
        return Err(place.wrong_file("no Name= in [NetDev]", "the interface's name"));
    }
    let found = Found { interface: interface.clone(), tunnel, remarks };
    Ok(Half { found, interface, table, routes: Vec::new(), by_mark: false })
}

fn bytes(place: Place<'_>, entry: &Entry<'_>) -> Result<u16, Unreadable> {
    let expected = "bytes, such as 1420";
    let (digits, times) = match entry.value.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1024),
        None => (entry.value.as_str(), 1),
    };
    let number: u32 = place.value(entry.line, digits, expected)?;
    number
        .checked_mul(times)
        .and_then(|bytes| u16::try_from(bytes).ok())
        .ok_or_else(|| place.wrong(entry.line, format!("`{}`", entry.value), "at most 65535 bytes"))
}

fn unknown(place: Place<'_>, section: &Section<'_>, entry: &Entry<'_>) -> String {
    format!("{}, line {}: {} in [{}] has no counterpart", place.0, entry.line, entry.key, section.name)
}

fn wireguard(
    place: Place<'_>,
    section: &Section<'_>,
    entry: &Entry<'_>,
    files: &Files<'_>,
    tunnel: &mut Tunnel,
    table: &mut Option<Table>,
    remarks: &mut Vec<String>,
) -> Result<(), Unreadable> {
    match entry.key {
        "PrivateKey" if entry.value.starts_with('@') => remarks.push(not_there(place, entry)),
        "PrivateKey" if !entry.value.is_empty() => {
            tunnel.private_key = Some(place.key(entry.line, "a private key", &entry.value)?);
        }
        "PrivateKeyFile" => match files.key(&entry.value) {
            Some(key) => tunnel.private_key = Some(Place(&entry.value).key(1, "a private key", key)?),
            None => remarks.push(not_there(place, entry)),
        },
        "ListenPort" if entry.value == "auto" || entry.value.is_empty() => tunnel.listen_port = None,
        "ListenPort" => {
            tunnel.listen_port = Some(place.value(entry.line, &entry.value, "a port, 1 to 65535, or auto")?)
        }
        "FirewallMark" => {
            tunnel.fwmark = number(&entry.value).map(Some).ok_or_else(|| {
                place.wrong(entry.line, format!("`{}`", entry.value.escape_debug()), "a mark, such as 51820 or 0xca6c")
            })?
        }
        "RouteTable" => *table = route_table(place, entry)?,
        "PrivateKey" => {}
        _ => remarks.push(unknown(place, section, entry)),
    }
    Ok(())
}

fn not_there(place: Place<'_>, entry: &Entry<'_>) -> String {
    format!("{}, line {}: the key is in {}, which isn't among the files", place.0, entry.line, entry.value)
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn route_table(place: Place<'_>, entry: &Entry<'_>) -> Result<Option<Table>, Unreadable> {
    match entry.value.as_str() {
        "off" | "false" | "no" | "0" | "" => Ok(None),
        name => {
            let table = place.value(entry.line, name, "off, main, or a table's number")?;
            Ok(Some(table))
        }
    }
}

fn peer(
    place: Place<'_>,
    section: &Section<'_>,
    files: &Files<'_>,
    tunnel: &mut Tunnel,
    table: &mut Option<Table>,
    remarks: &mut Vec<String>,
) -> Result<(), Unreadable> {
    let key = section
        .last("PublicKey")
        .ok_or_else(|| place.wrong(section.line, "a peer without PublicKey", "PublicKey= with a key"))?;
    let mut peer = TunnelPeer::new(place.key(key.line, "a public key", &key.value)?);
    peer.name = name_in(section.comment);
    if tunnel.peers.iter().any(|known| known.public_key == peer.public_key) {
        return Err(place.wrong(
            key.line,
            format!("the key {} of an earlier peer", peer.public_key),
            "a key that stands once",
        ));
    }
    for entry in &section.entries {
        match entry.key {
            "PublicKey" => {}
            "PresharedKey" if entry.value.starts_with('@') => remarks.push(not_there(place, entry)),
            "PresharedKey" if entry.value.is_empty() => peer.preshared = None,
            "PresharedKey" => peer.preshared = Some(place.key(entry.line, "a preshared key", &entry.value)?),
            "PresharedKeyFile" => match files.key(&entry.value) {
                Some(key) => peer.preshared = Some(Place(&entry.value).key(1, "a preshared key", key)?),
                None => remarks.push(not_there(place, entry)),
            },
            "AllowedIPs" if entry.value.is_empty() => peer.allowed_ips.clear(),
            "AllowedIPs" => {
                for item in entry.value.split([',', ' ']).filter(|item| !item.is_empty()) {
                    let net: InterfaceAddr = place.value(entry.line, item, "a network, such as 192.168.10.0/24")?;
                    push_once(&mut peer.allowed_ips, net.network());
                }
            }
            "Endpoint" if entry.value.is_empty() => peer.endpoint = None,
            "Endpoint" => {
                peer.endpoint =
                    Some(place.value(entry.line, &entry.value, "an endpoint, such as vpn.example.com:51820")?)
            }
            "PersistentKeepalive" if matches!(entry.value.as_str(), "off" | "0" | "") => peer.keepalive = None,
            "PersistentKeepalive" => {
                peer.keepalive = Some(place.value(entry.line, &entry.value, "seconds, 0 to 65535, or off")?)
            }
            "RouteTable" => {
                let own = route_table(place, entry)?;
                if own != *table {
                    remarks.push(format!("{}, line {}: a peer with a routing table of its own", place.0, entry.line));
                    *table = table.take().or(own);
                }
            }
            _ => remarks.push(unknown(place, section, entry)),
        }
    }
    tunnel.peers.push(peer);
    Ok(())
}

fn push_once(list: &mut Vec<Cidr>, net: Cidr) {
    if !list.contains(&net) {
        list.push(net);
    }
}

fn network(place: Place<'_>, sections: &[Section<'_>], half: &mut Half) -> Result<(), Unreadable> {
    let Found { tunnel, remarks, .. } = &mut half.found;
    for section in sections {
        match section.name {
            "Match" => {}
            "Network" | "Address" => {
                for entry in &section.entries {
                    match entry.key {
                        "Address" if entry.value.is_empty() => tunnel.addresses.clear(),
                        "Address" => tunnel.addresses.push(place.value(
                            entry.line,
                            &entry.value,
                            "an address with its length, such as 10.0.0.1/24",
                        )?),
                        "DNS" if entry.value.is_empty() => tunnel.dns.clear(),
                        "DNS" | "Domains" => {
                            for item in entry.value.split_whitespace() {
                                match item.strip_prefix('~') {
                                    Some(".") => {} // asked about everything, as with wg-quick
                                    Some(domain) => {
                                        remarks.push(format!("{}, line {}: only questions about {domain} go to this DNS; wg-quick sends all of them", place.0, entry.line));
                                        tunnel.dns.push(domain.to_owned());
                                    }
                                    None => tunnel.dns.push(item.to_owned()),
                                }
                            }
                        }
                        "Description" => {}
                        _ => remarks.push(unknown(place, section, entry)),
                    }
                }
            }
            "Route" => route(place, section, &mut half.routes, remarks)?,
            "RoutingPolicyRule" => {
                let value = |key: &str| section.last(key).map(|entry| entry.value.as_str());
                let inverted = matches!(value("InvertRule"), Some("yes" | "true" | "1" | "on"));
                let suppresses = value("SuppressPrefixLength") == Some("0");
                if inverted && value("FirewallMark").is_some() {
                    half.by_mark = true;
                } else if !suppresses {
                    remarks.push(format!(
                        "{}, line {}: a policy routing rule, which wg-quick doesn't make",
                        place.0, section.line
                    ));
                }
            }
            "Link" => {
                for entry in &section.entries {
                    match entry.key {
                        "MTUBytes" => tunnel.mtu = Some(bytes(place, entry)?),
                        _ => remarks.push(unknown(place, section, entry)),
                    }
                }
            }
            _ => remarks.push(format!(
                "{}, line {}: the section [{}] isn't one of a tunnel",
                place.0, section.line, section.name
            )),
        }
    }
    Ok(())
}

fn route(
    place: Place<'_>,
    section: &Section<'_>,
    routes: &mut Vec<(Cidr, Option<u32>)>,
    remarks: &mut Vec<String>,
) -> Result<(), Unreadable> {
    let to = match section.last("Destination") {
        Some(entry) => {
            place.value::<InterfaceAddr>(entry.line, &entry.value, "a network, such as 192.168.10.0/24")?.network()
        }
        None => {
            remarks.push(format!("{}, line {}: a route without Destination", place.0, section.line));
            return Ok(());
        }
    };
    let table = match section.last("Table").map(|entry| (entry, entry.value.as_str())) {
        None | Some((_, "main" | "default" | "254")) => None,
        Some((entry, text)) => Some(
            number(text)
                .ok_or_else(|| place.wrong(entry.line, format!("Table={}", text.escape_debug()), "main or a number"))?,
        ),
    };
    for entry in section.entries.iter().filter(|entry| !matches!(entry.key, "Destination" | "Table" | "Scope")) {
        remarks.push(unknown(place, section, entry));
    }
    routes.push((to, table));
    Ok(())
}

/// Finds the table out once everything was seen.
fn finish(half: &mut Half) {
    let Found { tunnel, remarks, .. } = &mut half.found;
    match half.table.take() {
        Some(Table::Named(name)) if name == "main" && !routes::has_default(tunnel) => tunnel.table = Table::Auto,
        Some(table) => tunnel.table = table,
        None => remarks.extend(routes::table_for(tunnel, &half.routes, half.by_mark)),
    }
    // The mark by which a default route is told from the tunnel's own packets is wg-quick's own affair.
    if half.by_mark && tunnel.fwmark == Some(routes::WG_QUICK) {
        tunnel.fwmark = None;
    }
}
