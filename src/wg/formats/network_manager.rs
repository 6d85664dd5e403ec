//! NetworkManager: a keyfile for `/etc/NetworkManager/system-connections`.
//!
//! Sources: nm-settings-keyfile(5), its `[wireguard]` and `[wireguard-peer.KEY]` groups.

mod read;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::{InterfaceName, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::feature::describe::is_address;
use super::text::{Text, joined, one_line};
use super::{Feature, OutFile, Subject, routes};

pub(super) use read::read;

const DIRECTORY: &str = "/etc/NetworkManager/system-connections";

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "put them into /etc/NetworkManager/dispatcher.d, or keep wg-quick");
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    check.no_table(tunnel, |table| !matches!(table, Table::Named(_)), "give the table by its number");
    let family = |ipv4: bool| tunnel.addresses.iter().any(|address| address.address().is_ipv4() == ipv4);
    for entry in tunnel.dns.iter().filter(|entry| is_address(entry)) {
        let ipv4 = !entry.contains(':');
        if !family(ipv4) {
            let version = if ipv4 { "IPv4" } else { "IPv6" };
            let instead = "NetworkManager ignores a DNS server of a family in which the tunnel has no address: give a server of the other family";
            check.lacks(Feature::Dns, format!("the DNS server {entry} without an {version} address"), instead);
        }
    }
    if !tunnel.dns.is_empty() && tunnel.addresses.is_empty() {
        check.lacks(Feature::SearchDomains, "DNS of a tunnel without addresses", "give it an address");
    }
    if subject.name.parse::<InterfaceName>().is_err() {
        check.refuses(
            format!("the name `{}`", subject.name),
            "an interface's name has at most 15 letters, digits and `_=+.-`: give another with `--name`",
        );
    }
    let name = format!("{}.nmconnection", subject.name);
    let place = format!("{DIRECTORY}/{name}");
    let mut notes = vec![
        format!(
            "copy it to {place}, owned by root with mode 0600, or NetworkManager ignores it; then `nmcli connection reload` and `nmcli connection up {}`",
            subject.name
        ),
        "an endpoint's name is looked up when the connection comes up, and not again by itself".to_owned(),
    ];
    let lost = tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips).find(|to| !family(to.is_ipv4()));
    if let (true, Some(to)) = (tunnel.table != Table::Off, lost) {
        notes.push(format!(
            "there is no route to {to}: NetworkManager makes none of a family in which the tunnel has no address"
        ));
    }
    let content = keyfile(subject, tunnel).finish();
    (vec![OutFile { name, content, secret: true, place, mode: 0o600, owner: "root:root" }], notes)
}

/// A UUID (RFC 9562, version 8) that is always the same for a tunnel, so that a newer export replaces an older one.
fn uuid(subject: &Subject, tunnel: &Tunnel) -> String {
    let mut hash = Sha256::new();
    hash.update(b"wg-friend connection ");
    hash.update(subject.name.as_bytes());
    if let Some(key) = &tunnel.private_key {
        hash.update(key.public().as_bytes());
    }
    let mut bytes = hash.finalize();
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes[..16].iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(text, "{dash}{byte:02x}").expect("writing to a string can't fail");
    }
    text
}

fn keyfile(subject: &Subject, tunnel: &Tunnel) -> Text {
    let mut text = Text::new();
    let routes = routes::of(tunnel);
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    text.line("[connection]");
    text.pair("id", "=", &subject.name);
    text.pair("uuid", "=", uuid(subject, tunnel));
    text.line("type=wireguard");
    text.pair("interface-name", "=", &subject.name);
    text.line("\n[wireguard]");
    match &tunnel.private_key {
        Some(key) => {
            text.pair("private-key", "=", &*key.expose_base64());
            text.line("private-key-flags=0");
        }
        None => text.line("# Put the private key here, which only this device has:\n# private-key="),
    }
    if let Some(port) = tunnel.listen_port {
        text.pair("listen-port", "=", port.to_string());
    }
    if let Some(mark) = tunnel.fwmark.filter(|mark| *mark != 0) {
        text.pair("fwmark", "=", mark.to_string());
    }
    if let Some(mtu) = tunnel.mtu {
        text.pair("mtu", "=", mtu.to_string());
    }
    if tunnel.table == Table::Off {
        text.line("peer-routes=false");
    }
    if routes::has_default(tunnel) {
        // A rule and a table for the default route, as wg-quick makes them; or just what the table says.
        let by_mark = if tunnel.table == Table::Auto { "1" } else { "0" };
        text.pair("ip4-auto-default-route", "=", by_mark);
        text.pair("ip6-auto-default-route", "=", by_mark);
    }
    for peer in &tunnel.peers {
        text.line("");
        if let Some(name) = &peer.name {
            text.line(format!("# {}", one_line(name)));
        }
        text.line(format!("[wireguard-peer.{}]", peer.public_key));
        if let Some(endpoint) = &peer.endpoint {
            text.pair("endpoint", "=", endpoint.to_string());
        }
        if let Some(key) = &peer.preshared {
            text.pair("preshared-key", "=", &*key.expose_base64());
            text.line("preshared-key-flags=0");
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            text.pair("persistent-keepalive", "=", seconds.to_string());
        }
        if !peer.allowed_ips.is_empty() {
            text.line(format!("allowed-ips={};", joined(&peer.allowed_ips, ";")));
        }
    }
    let number = match routes.table {
        Some(Table::Number(number)) => Some(number),
        _ => None,
    };
    for ipv4 in [true, false] {
        family(&mut text, tunnel, ipv4, number, !routes.defaults.is_empty());
    }
    text
}

fn family(text: &mut Text, tunnel: &Tunnel, ipv4: bool, table: Option<u32>, everything: bool) {
    text.line(if ipv4 { "\n[ipv4]" } else { "\n[ipv6]" });
    let addresses: Vec<_> = tunnel.addresses.iter().filter(|a| a.address().is_ipv4() == ipv4).collect();
    if addresses.is_empty() {
        text.line("method=disabled");
        if let Some(table) = table {
            text.pair("route-table", "=", table.to_string());
        }
        return;
    }
    for (address, at) in addresses.iter().zip(1..) {
        text.line(format!("address{at}={address}"));
    }
    let (servers, mut domains): (Vec<&str>, Vec<&str>) =
        tunnel.dns.iter().map(String::as_str).partition(|entry| is_address(entry));
    let own: Vec<&str> = servers.iter().copied().filter(|server| server.contains(':') != ipv4).collect();
    if !own.is_empty() {
        text.line(format!("dns={};", own.join(";")));
    }
    // Without a domain of its own it is asked about everything, as with wg-quick.
    if !own.is_empty() && (domains.is_empty() || everything) {
        domains.push("~");
    }
    let first_family = ipv4 || !tunnel.addresses.iter().any(|a| a.address().is_ipv4());
    if !domains.is_empty() && (!own.is_empty() || (servers.is_empty() && first_family)) {
        text.line(format!("dns-search={};", domains.join(";")));
    }
    text.line("method=manual");
    if let Some(table) = table {
        text.pair("route-table", "=", table.to_string());
    }
}
