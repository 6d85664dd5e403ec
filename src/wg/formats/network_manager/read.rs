//! Reading NetworkManager's keyfiles.

use crate::model::{Cidr, InterfaceAddr, InterfaceName, Table};
use crate::wg::formats::ini::{Entry, Place, Section, name_in, sections};
use crate::wg::formats::{Found, Unreadable};
use crate::wg::{Tunnel, TunnelPeer};

/// Reads keyfiles, one tunnel each.
pub(in crate::wg::formats) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    files.iter().map(|(name, text)| keyfile(Place(name), &sections(name, text, false)?)).collect()
}

fn keyfile(place: Place<'_>, sections: &[Section<'_>]) -> Result<Found, Unreadable> {
    let mut reading = Reading::default();
    let connection = sections.iter().find(|section| section.name == "connection");
    match connection.and_then(|section| section.last("type")) {
        Some(entry) if entry.value == "wireguard" => {}
        Some(entry) => {
            return Err(place.wrong(entry.line, format!("type={}", entry.value.escape_debug()), "type=wireguard"));
        }
        None => return Err(place.wrong_file("no type in [connection]", "a keyfile with type=wireguard")),
    }
    for section in sections {
        match section.name {
            "connection" => reading.connection(place, section)?,
            "wireguard" => reading.wireguard(place, section)?,
            "ipv4" | "ipv6" => reading.family(place, section)?,
            "proxy" => {}
            name => match name.strip_prefix("wireguard-peer.") {
                Some(key) => reading.peer(place, section, key)?,
                None => reading
                    .remarks
                    .push(format!("{}, line {}: the section [{name}] isn't one of a tunnel", place.0, section.line)),
            },
        }
    }
    Ok(reading.finish())
}

#[derive(Default)]
struct Reading {
    interface: Option<InterfaceName>,
    tunnel: Tunnel,
    tables: Vec<u32>,
    no_peer_routes: bool,
    /// Whether default routes were told to be without a rule and a table of their own.
    plain_default: bool,
    remarks: Vec<String>,
}

fn truth(place: Place<'_>, entry: &Entry<'_>) -> Result<bool, Unreadable> {
    match entry.value.as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(place.wrong(entry.line, format!("`{}`", other.escape_debug()), "true or false")),
    }
}

/// The parts of a list, which GLib separates by semicolons.
fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split([';', ',']).map(str::trim).filter(|item| !item.is_empty())
}

impl Reading {
    fn unknown(&mut self, place: Place<'_>, section: &Section<'_>, entry: &Entry<'_>) {
        self.remarks
            .push(format!("{}, line {}: {} in [{}] has no counterpart", place.0, entry.line, entry.key, section.name));
    }

    fn connection(&mut self, place: Place<'_>, section: &Section<'_>) -> Result<(), Unreadable> {
        for entry in &section.entries {
            match entry.key {
                "interface-name" => {
                    let expected = "an interface's name: up to 15 letters, digits and _=+.-";
                    self.interface = Some(place.value(entry.line, &entry.value, expected)?);
                }
                "autoconnect" if !truth(place, entry)? => {
                    self.remarks.push(format!("{}, line {}: it doesn't come up by itself", place.0, entry.line));
                }
                "id" | "uuid" | "type" | "autoconnect" | "timestamp" => {}
                _ => self.unknown(place, section, entry),
            }
        }
        Ok(())
    }

    fn wireguard(&mut self, place: Place<'_>, section: &Section<'_>) -> Result<(), Unreadable> {
        for entry in &section.entries {
            let value = entry.value.as_str();
            match entry.key {
                "private-key" => self.tunnel.private_key = Some(place.key(entry.line, "a private key", value)?),
                "private-key-flags" if value != "0" => {
                    self.remarks.push(format!("{}, line {}: the private key isn't in the file", place.0, entry.line));
                }
                "listen-port" if value == "0" => {}
                "listen-port" => {
                    self.tunnel.listen_port = Some(place.value(entry.line, value, "a port, 1 to 65535, or 0")?)
                }
                "fwmark" if value == "0" => {}
                "fwmark" => {
                    let mark = match value.strip_prefix("0x") {
                        Some(digits) => u32::from_str_radix(digits, 16).ok(),
                        None => value.parse().ok(),
                    };
                    self.tunnel.fwmark = Some(mark.ok_or_else(|| {
                        place.wrong(
                            entry.line,
                            format!("`{}`", value.escape_debug()),
                            "a mark, such as 51820 or 0xca6c",
                        )
                    })?);
                }
                "mtu" if value == "0" => {}
                "mtu" => self.tunnel.mtu = Some(place.value(entry.line, value, "bytes, such as 1420, or 0")?),
                "peer-routes" => self.no_peer_routes = !truth(place, entry)?,
                "ip4-auto-default-route" | "ip6-auto-default-route" if value != "-1" && value != "default" => {
                    self.plain_default |= !truth(place, entry)?;
                }
                "private-key-flags" | "ip4-auto-default-route" | "ip6-auto-default-route" => {}
                _ => self.unknown(place, section, entry),
            }
        }
        Ok(())
    }

    fn peer(&mut self, place: Place<'_>, section: &Section<'_>, key: &str) -> Result<(), Unreadable> {
        let mut peer = TunnelPeer::new(place.key(section.line, "a public key", key)?);
        if self.tunnel.peers.iter().any(|known| known.public_key == peer.public_key) {
            let found = format!("the key {} of an earlier peer", peer.public_key);
            return Err(place.wrong(section.line, found, "a key that stands once"));
        }
        peer.name = name_in(section.comment);
        for entry in &section.entries {
            let value = entry.value.as_str();
            match entry.key {
                "endpoint" if value.is_empty() => {}
                "endpoint" => {
                    peer.endpoint =
                        Some(place.value(entry.line, value, "an endpoint, such as vpn.example.com:51820")?)
                }
                "preshared-key" => peer.preshared = Some(place.key(entry.line, "a preshared key", value)?),
                "preshared-key-flags" if matches!(value, "0" | "4") => {}
                "preshared-key-flags" => {
                    self.remarks.push(format!("{}, line {}: the preshared key isn't in the file", place.0, entry.line));
                }
                "persistent-keepalive" if matches!(value, "0" | "off") => {}
                "persistent-keepalive" => {
                    peer.keepalive = Some(place.value(entry.line, value, "seconds, 0 to 65535")?)
                }
                "allowed-ips" => {
                    for item in list(value) {
                        let net: InterfaceAddr = place.value(entry.line, item, "a network, such as 192.168.10.0/24")?;
                        let net: Cidr = net.network();
                        if !peer.allowed_ips.contains(&net) {
                            peer.allowed_ips.push(net);
                        }
                    }
                }
                _ => self.unknown(place, section, entry),
            }
        }
        self.tunnel.peers.push(peer);
        Ok(())
    }

    fn family(&mut self, place: Place<'_>, section: &Section<'_>) -> Result<(), Unreadable> {
        for entry in &section.entries {
            let value = entry.value.as_str();
            let numbered = |prefix: &str| {
                entry.key.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
            };
            match entry.key {
                "method" if matches!(value, "manual" | "disabled" | "ignore" | "link-local") => {}
                "dns" => self.tunnel.dns.extend(list(value).map(str::to_owned)),
                "dns-search" => self.domains(place, entry),
                "route-table" if value == "0" => {}
                "route-table" => self.tables.push(place.value(entry.line, value, "a table's number")?),
                "addresses" => {
                    for item in list(value) {
                        self.tunnel.addresses.push(place.value(
                            entry.line,
                            item,
                            "an address with its length, such as 10.0.0.1/24",
                        )?);
                    }
                }
                "may-fail" | "addr-gen-mode" | "ip6-privacy" => {}
                _ if numbered("address") => {
                    let mut parts = value.split(',');
                    let address = parts.next().unwrap_or_default().trim();
                    self.tunnel.addresses.push(place.value(
                        entry.line,
                        address,
                        "an address with its length, such as 10.0.0.1/24",
                    )?);
                    if parts.next().is_some() {
                        self.remarks
                            .push(format!("{}, line {}: a gateway, which a tunnel doesn't have", place.0, entry.line));
                    }
                }
                _ => self.unknown(place, section, entry),
            }
        }
        Ok(())
    }

    fn domains(&mut self, place: Place<'_>, entry: &Entry<'_>) {
        for item in list(&entry.value) {
            let (domain, only) = item.strip_prefix('~').map_or((item, false), |domain| (domain, true));
            if only && !domain.is_empty() {
                self.remarks.push(format!(
                    "{}, line {}: only questions about {domain} go to this DNS; wg-quick sends all of them",
                    place.0, entry.line
                ));
            }
            if !domain.is_empty() && !self.tunnel.dns.iter().any(|known| known == domain) {
                self.tunnel.dns.push(domain.to_owned());
            }
        }
    }

    fn finish(mut self) -> Found {
        self.tunnel.table = match (self.no_peer_routes, self.tables.first()) {
            (true, _) => Table::Off,
            (false, Some(254)) if !self.plain_default => Table::Auto,
            (false, Some(number)) => Table::Number(*number),
            (false, None) if self.plain_default => Table::Named("main".to_owned()),
            (false, None) => Table::Auto,
        };
        Found { interface: self.interface, tunnel: self.tunnel, remarks: self.remarks }
    }
}
