//! Reading what RouterOS's `/export` prints, and what wg-friend writes for `/import`.

use crate::model::{Cidr, Endpoint, InterfaceAddr, InterfaceName, Port, PublicKey, Table};
use crate::wg::formats::ini::Place;
use crate::wg::formats::{Found, Unreadable, routes};
use crate::wg::{Tunnel, TunnelPeer};

/// An `add` in a menu, with its parameters.
struct Command {
    menu: String,
    line: usize,
    parameters: Vec<(String, String)>,
}

impl Command {
    fn get(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .rev()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    fn says_yes(&self, key: &str) -> bool {
        matches!(self.get(key), Some("yes" | "true"))
    }
}

/// Reads every WireGuard interface.
pub(in crate::wg::formats) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    let mut all = Vec::new();
    for (name, text) in files {
        let place = Place(name);
        let commands = commands(place, text)?;
        for command in commands.iter().filter(|command| command.menu == "interface/wireguard") {
            all.push(interface(place, command, &commands)?);
        }
    }
    if all.is_empty() {
        let file = files.first().map_or("no file", |(name, _)| name);
        return Err(Place(file).wrong_file("no WireGuard interface", "/interface/wireguard add name=..."));
    }
    Ok(all)
}

/// Takes a script apart. A backslash at a line's end joins the next; other commands than `add` are nothing of a tunnel's.
fn commands(place: Place<'_>, text: &str) -> Result<Vec<Command>, Unreadable> {
    let mut found = Vec::new();
    let mut menu = String::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    while let Some((raw, line)) = lines.next() {
        let mut joined = raw.trim().to_owned();
        while joined.ends_with('\\') {
            joined.pop();
            match lines.next() {
                Some((more, _)) => joined.push_str(more.trim_start()),
                None => break,
            }
        }
        if joined.is_empty() || joined.starts_with(['#', ':']) {
            continue;
        }
        let words = words(place, &joined, line)?;
        let mut rest = words.as_slice();
        if let Some(first) = rest.first().and_then(|word| word.strip_prefix('/')) {
            let verb = rest.iter().position(|word| matches!(word.as_str(), "add" | "set" | "remove" | "print"));
            let path = &rest[1..verb.unwrap_or(rest.len()).max(1)];
            menu = std::iter::once(first.to_owned()).chain(path.iter().cloned()).collect::<Vec<_>>().join("/");
            rest = verb.map_or(&[], |at| &rest[at..]);
        }
        if rest.first().is_some_and(|word| word == "add") {
            let split = |word: &String| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
            let parameters = rest[1..].iter().filter_map(split).collect();
            found.push(Command { menu: menu.clone(), line, parameters });
        }
    }
    Ok(found)
}

fn words(place: Place<'_>, text: &str, line: usize) -> Result<Vec<String>, Unreadable> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => word.extend(chars.next()),
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if quoted {
        return Err(place.wrong(line, "a quote that isn't closed", "the value within quotes"));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

fn interface(place: Place<'_>, command: &Command, all: &[Command]) -> Result<Found, Unreadable> {
    let line = command.line;
    let name = command
        .get("name")
        .ok_or_else(|| place.wrong(line, "an interface without name=", "name= and the interface's name"))?;
    let mut tunnel = Tunnel::default();
    let mut remarks = Vec::new();
    match command.get("private-key") {
        Some(key) => tunnel.private_key = Some(place.key(line, "a private key", key)?),
        None => remarks
            .push(format!("{}, line {line}: there is no private key; `/export show-sensitive` prints it", place.0)),
    }
    tunnel.listen_port =
        command.get("listen-port").map(|port| place.value(line, port, "a port, 1 to 65535")).transpose()?;
    tunnel.mtu = command.get("mtu").map(|mtu| place.value(line, mtu, "bytes, such as 1420")).transpose()?;
    if command.says_yes("disabled") {
        remarks.push(format!("{}, line {line}: it is disabled", place.0));
    }
    let mut found_routes = Vec::new();
    for other in all {
        let line = other.line;
        let ours = other.get("interface") == Some(name);
        match other.menu.as_str() {
            "interface/wireguard/peers" if ours => {
                let Some(peer) = peer(place, other, &mut remarks)? else { continue };
                if tunnel.peers.iter().any(|known| known.public_key == peer.public_key) {
                    let found = format!("the key {} of an earlier peer", peer.public_key);
                    return Err(place.wrong(line, found, "a key that stands once"));
                }
                tunnel.peers.push(peer);
            }
            "ip/address" | "ipv6/address" if ours => {
                let address = other.get("address").unwrap_or_default();
                tunnel.addresses.push(place.value(line, address, "an address with its length, such as 10.0.0.1/24")?);
            }
            "ip/route" | "ipv6/route" if other.get("gateway") == Some(name) => {
                let to = other.get("dst-address").unwrap_or_default();
                let to: Cidr = place.value::<InterfaceAddr>(line, to, "a network, such as 192.168.10.0/24")?.network();
                match other.get("routing-table").filter(|table| *table != "main") {
                    None => found_routes.push((to, None)),
                    Some(table) => {
                        remarks.push(format!("{}, line {line}: a route to {to} in the table {table}", place.0))
                    }
                }
            }
            _ => {}
        }
    }
    remarks.extend(routes::table_for(&mut tunnel, &found_routes, false));
    // Without routes of its own, what the addresses reach is all that there is.
    if found_routes.is_empty() && tunnel.table != Table::Auto {
        tunnel.table = Table::Off;
    }
    let interface: Option<InterfaceName> = name.parse().ok();
    if interface.is_none() {
        remarks.push(format!(
            "{}, line {}: `{}` is no name for an interface on Linux",
            place.0,
            command.line,
            name.escape_debug()
        ));
    }
    Ok(Found { interface, tunnel, remarks })
}

/// Seconds of a duration: `25s`, `1m30s`, `00:00:25`, `25`.
fn seconds(text: &str) -> Option<u16> {
    if let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>()[..] {
        let number = |text: &str| text.parse::<u32>().ok();
        let all = number(hours)?.checked_mul(3600)?.checked_add(number(minutes)?.checked_mul(60)?)?;
        return u16::try_from(all.checked_add(number(seconds)?)?).ok();
    }
    let (mut total, mut digits) = (0_u32, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        total = total.checked_add(std::mem::take(&mut digits).parse::<u32>().ok()?.checked_mul(unit)?)?;
    }
    if !digits.is_empty() {
        total = total.checked_add(digits.parse().ok()?)?;
    }
    u16::try_from(total).ok()
}

fn peer(place: Place<'_>, command: &Command, remarks: &mut Vec<String>) -> Result<Option<TunnelPeer>, Unreadable> {
    let line = command.line;
    if command.says_yes("disabled") {
        remarks.push(format!("{}, line {line}: a disabled peer was left out", place.0));
        return Ok(None);
    }
    let key = command
        .get("public-key")
        .ok_or_else(|| place.wrong(line, "a peer without public-key", "public-key= with a key"))?;
    let key: PublicKey = place.key(line, "a public key", key)?;
    let mut peer = TunnelPeer::new(key);
    peer.name = command.get("comment").or_else(|| command.get("name")).map(str::to_owned);
    peer.preshared = command.get("preshared-key").map(|key| place.key(line, "a preshared key", key)).transpose()?;
    for item in command.get("allowed-address").unwrap_or_default().split(',').filter(|item| !item.is_empty()) {
        let net = place.value::<InterfaceAddr>(line, item.trim(), "a network, such as 192.168.10.0/24")?.network();
        if !peer.allowed_ips.contains(&net) {
            peer.allowed_ips.push(net);
        }
    }
    if let Some(host) = command.get("endpoint-address") {
        let port = command.get("endpoint-port").filter(|port| *port != "0");
        let port = port.map_or(Ok(Port::WIREGUARD), |port| place.value(line, port, "a port, 1 to 65535"))?;
        let endpoint = Endpoint::parse_with_default(host, port).map(|found| found.with_port(port));
        peer.endpoint = Some(
            endpoint
                .map_err(|_| place.wrong(line, format!("`{}`", host.escape_debug()), "a host's name or address"))?,
        );
    }
    if let Some(text) = command.get("persistent-keepalive") {
        let wrong = || place.wrong(line, format!("`{}`", text.escape_debug()), "a duration, such as 25s");
        peer.keepalive = Some(seconds(text).ok_or_else(wrong)?).filter(|seconds| *seconds > 0);
    }
    if command.says_yes("responder") && peer.endpoint.is_some() {
        remarks.push(format!("{}, line {line}: it has an endpoint but only answers", place.0));
    }
    Ok(Some(peer))
}
