//! Reading `set` commands of VyOS and EdgeOS.

use std::collections::BTreeMap;

use crate::model::{Cidr, Endpoint, InterfaceAddr, Port, Table};
use crate::wg::formats::ini::Place;
use crate::wg::formats::{Found, Unreadable, routes};
use crate::wg::{Tunnel, TunnelPeer};

/// A `set` command: its words after `set`.
struct Set {
    words: Vec<String>,
    line: usize,
}

/// Reads what `show configuration commands` prints on VyOS.
pub(in crate::wg::formats) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    read_as(files, false)
}

/// The same of EdgeOS, where a peer is named by its key.
pub(in crate::wg::formats) fn edge(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    read_as(files, true)
}

fn read_as(files: &[(&str, &str)], edge: bool) -> Result<Vec<Found>, Unreadable> {
    let mut all = Vec::new();
    for (name, text) in files {
        let place = Place(name);
        let sets = sets(place, text)?;
        let mut names: Vec<&str> = Vec::new();
        for set in &sets {
            if let [interfaces, wireguard, name, _, ..] = set.words.as_slice()
                && (interfaces.as_str(), wireguard.as_str()) == ("interfaces", "wireguard")
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        for name in names {
            all.push(interface(place, name, &sets, edge)?);
        }
    }
    if all.is_empty() {
        let file = files.first().map_or("no file", |(name, _)| name);
        return Err(
            Place(file).wrong_file("no WireGuard interface", "commands such as `set interfaces wireguard wg0 ...`")
        );
    }
    Ok(all)
}

fn sets(place: Place<'_>, text: &str) -> Result<Vec<Set>, Unreadable> {
    let mut found = Vec::new();
    for (raw, line) in text.lines().zip(1..) {
        let Some(rest) = raw.trim().strip_prefix("set ") else { continue };
        let words = shell_words(rest)
            .ok_or_else(|| place.wrong(line, "a quote that isn't closed", "the value within quotes"))?;
        found.push(Set { words, line });
    }
    Ok(found)
}

fn shell_words(text: &str) -> Option<Vec<String>> {
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
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Whether EdgeOS would look for the key in a file: a key in base64 may begin with a slash, too.
fn is_path(value: &str) -> bool {
    value.starts_with('/') && value.parse::<crate::model::PresharedKey>().is_err()
}

/// A peer while its commands are gone through.
struct Half {
    /// What it is called in the commands: on EdgeOS its key.
    word: String,
    description: Option<String>,
    peer: Option<TunnelPeer>,
    rest: TunnelPeer,
    host: Option<(String, usize)>,
    port: Option<Port>,
    disabled: bool,
    line: usize,
}

fn interface(place: Place<'_>, name: &str, sets: &[Set], edge: bool) -> Result<Found, Unreadable> {
    let mut tunnel = Tunnel::default();
    let mut remarks = Vec::new();
    let mut peers: Vec<Half> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    let mut routed = !edge; // EdgeOS makes routes unless told otherwise
    let mut found_routes = Vec::new();
    let mut routes_option = None;
    for Set { words, line } in sets {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["interfaces", "wireguard", ours, "peer", word, rest @ ..] if *ours == name => {
                let index = *at.entry((*word).to_owned()).or_insert_with(|| {
                    peers.push(Half::new(word, *line));
                    peers.len() - 1
                });
                peers[index].tell(place, *line, rest, edge, &mut remarks)?;
            }
            ["interfaces", "wireguard", ours, key, value] if *ours == name => match *key {
                "address" => tunnel.addresses.push(place.value(
                    *line,
                    value,
                    "an address with its length, such as 10.0.0.1/24",
                )?),
                "private-key" if is_path(value) => {
                    remarks.push(format!("{}, line {line}: the private key is in {value}", place.0));
                }
                "private-key" => tunnel.private_key = Some(place.key(*line, "a private key", value)?),
                "port" | "listen-port" => tunnel.listen_port = Some(place.value(*line, value, "a port, 1 to 65535")?),
                "mtu" => tunnel.mtu = Some(place.value(*line, value, "bytes, such as 1420")?),
                "fwmark" if *value == "0" => {}
                "fwmark" => tunnel.fwmark = Some(place.value(*line, value, "a mark, such as 51820")?),
                "route-allowed-ips" => routes_option = Some(*value == "true"),
                "description" => {}
                key => remarks.push(format!("{}, line {line}: {key} has no counterpart", place.0)),
            },
            ["interfaces", "wireguard", ours, rest @ ..] if *ours == name => {
                remarks.push(format!("{}, line {line}: {} has no counterpart", place.0, rest.join(" ")));
            }
            ["protocols", "static", "table", table, "route" | "route6", to, "interface", ours, ..] if *ours == name => {
                let number = place.value(*line, table, "a table's number")?;
                found_routes.push((network(place, *line, to)?, Some(number)));
            }
            ["protocols", "static", "route" | "route6", to, "interface", ours, ..]
            | ["protocols", "static", "interface-route" | "interface-route6", to, "next-hop-interface", ours, ..]
                if *ours == name =>
            {
                found_routes.push((network(place, *line, to)?, None));
            }
            _ => {}
        }
    }
    for half in peers {
        let Some(peer) = half.finish(place, edge, &mut remarks)? else { continue };
        if tunnel.peers.iter().any(|known| known.public_key == peer.public_key) {
            return Err(place.wrong_file(format!("the key {} at two peers", peer.public_key), "a key that stands once"));
        }
        tunnel.peers.push(peer);
    }
    if edge {
        routed = routes_option.unwrap_or(true);
    }
    if edge && routed {
        tunnel.table = Table::Auto;
    } else {
        remarks.extend(routes::table_for(&mut tunnel, &found_routes, false));
    }
    Ok(Found { interface: name.parse().ok(), tunnel, remarks })
}

fn network(place: Place<'_>, line: usize, text: &str) -> Result<Cidr, Unreadable> {
    Ok(place.value::<InterfaceAddr>(line, text, "a network, such as 192.168.10.0/24")?.network())
}

impl Half {
    fn new(word: &str, line: usize) -> Self {
        let rest = TunnelPeer::new(crate::model::PublicKey::from_bytes([0; 32]));
        let (word, description) = (word.to_owned(), None);
        Self { word, description, peer: None, rest, host: None, port: None, disabled: false, line }
    }

    fn tell(
        &mut self,
        place: Place<'_>,
        line: usize,
        rest: &[&str],
        edge: bool,
        remarks: &mut Vec<String>,
    ) -> Result<(), Unreadable> {
        match rest {
            [] => {}
            ["disable"] => self.disabled = true,
            ["public-key" | "pubkey", value] if !edge => {
                self.peer = Some(TunnelPeer::new(place.key(line, "a public key", value)?))
            }
            ["preshared-key", value] if is_path(value) => {
                remarks.push(format!("{}, line {line}: the preshared key is in {value}", place.0));
            }
            ["preshared-key", value] => self.rest.preshared = Some(place.key(line, "a preshared key", value)?),
            ["allowed-ips", value] => {
                for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                    let net = network(place, line, item)?;
                    if !self.rest.allowed_ips.contains(&net) {
                        self.rest.allowed_ips.push(net);
                    }
                }
            }
            ["endpoint", value] => {
                self.rest.endpoint = Some(place.value(line, value, "an endpoint, such as vpn.example.com:51820")?)
            }
            ["address" | "host-name", value] => self.host = Some(((*value).to_owned(), line)),
            ["port", value] => self.port = Some(place.value(line, value, "a port, 1 to 65535")?),
            ["persistent-keepalive", "0"] => {}
            ["persistent-keepalive", value] => {
                self.rest.keepalive = Some(place.value(line, value, "seconds, 0 to 65535")?)
            }
            ["description", value] => self.description = Some((*value).to_owned()),
            [key, ..] => remarks.push(format!("{}, line {line}: {key} of a peer has no counterpart", place.0)),
        }
        Ok(())
    }

    fn finish(self, place: Place<'_>, edge: bool, remarks: &mut Vec<String>) -> Result<Option<TunnelPeer>, Unreadable> {
        if self.disabled {
            remarks.push(format!("{}, line {}: a disabled peer was left out", place.0, self.line));
            return Ok(None);
        }
        let public_key = match (edge, self.peer) {
            (true, _) => place.key(self.line, "a public key", &self.word)?,
            (false, Some(peer)) => peer.public_key,
            (false, None) => {
                let found = format!("the peer {} without public-key", self.word.escape_debug());
                return Err(place.wrong(self.line, found, "a peer with its key"));
            }
        };
        let mut peer = TunnelPeer { public_key, ..self.rest };
        peer.name = self.description.or_else(|| (!edge).then_some(self.word));
        if let Some((host, line)) = self.host {
            let port = self.port.unwrap_or(Port::WIREGUARD);
            let endpoint = Endpoint::parse_with_default(&host, port).map(|found| found.with_port(port));
            peer.endpoint =
                Some(endpoint.map_err(|_| {
                    place.wrong(line, format!("`{}`", host.escape_debug()), "a host's name or address")
                })?);
        }
        Ok(Some(peer))
    }
}
