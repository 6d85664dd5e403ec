//! OpenWrt: sections for `/etc/config/network` (UCI), and for the firewall's file.

mod read;

use crate::model::{EndpointHost, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::feature::describe::is_address;
use super::text::{Text, one_line};
use super::{OutFile, Subject};

pub(super) use read::read;

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "put them into a script in /etc/hotplug.d/iface");
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    let name = &subject.name;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > 15 || !name.chars().all(word) {
        let instead = "a section's name has at most 15 letters, digits and `_`: give another with `--name`";
        check.refuses(format!("the name `{name}`"), instead);
    }
    let files = vec![
        file(format!("{name}.network"), network(subject, tunnel), "/etc/config/network", true),
        file(format!("{name}.firewall"), firewall(subject, tunnel), "/etc/config/firewall", false),
    ];
    let notes = vec![
        format!("append {name}.network to /etc/config/network and {name}.firewall to /etc/config/firewall, taking out what an earlier export left there; keep the mode 0600"),
        "apply it in LuCI, which goes back after 90 seconds unless you confirm, or with `service network reload` and `service firewall reload`".to_owned(),
        format!("then look whether `wg show {name}` has the preshared keys: some snapshots call the option peer_psk"),
        "endpoints by name are looked up again only by the package's wireguard_watchdog, from cron, for peers with a keepalive".to_owned(),
    ];
    (files, notes)
}

fn file(name: String, text: Text, goes_into: &str, secret: bool) -> OutFile {
    let place = format!("append to {goes_into}");
    OutFile { name, content: text.finish(), secret, place, mode: 0o600, owner: "root:root" }
}

/// Quotes as UCI reads it: within single quotes nothing has a meaning.
fn quoted(value: &str) -> String {
    format!("'{}'", one_line(value).replace('\'', r"'\''"))
}

fn option(text: &mut Text, key: &str, value: impl AsRef<str>) {
    text.push("\toption ");
    text.pair(key, " ", quoted(value.as_ref()));
}

fn item(text: &mut Text, key: &str, value: impl AsRef<str>) {
    text.push("\tlist ");
    text.pair(key, " ", quoted(value.as_ref()));
}

fn network(subject: &Subject, tunnel: &Tunnel) -> Text {
    let name = &subject.name;
    let mut text = Text::new();
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    text.line(format!("config interface '{name}'"));
    option(&mut text, "proto", "wireguard");
    match &tunnel.private_key {
        Some(key) => {
            text.push("\toption private_key '");
            text.push(&key.expose_base64());
            text.line("'");
        }
        None => text.line("\t# Put the private key here, which only this device has:\n\t# option private_key ''"),
    }
    if let Some(port) = tunnel.listen_port {
        option(&mut text, "listen_port", port.to_string());
    }
    for address in &tunnel.addresses {
        item(&mut text, "addresses", address.to_string());
    }
    if let Some(mtu) = tunnel.mtu {
        option(&mut text, "mtu", mtu.to_string());
    }
    if let Some(mark) = tunnel.fwmark.filter(|mark| *mark != 0) {
        option(&mut text, "fwmark", format!("{mark:#x}"));
    }
    for entry in &tunnel.dns {
        item(&mut text, if is_address(entry) { "dns" } else { "dns_search" }, entry);
    }
    if let Table::Number(_) | Table::Named(_) = tunnel.table {
        option(&mut text, "ip4table", tunnel.table.to_string());
        option(&mut text, "ip6table", tunnel.table.to_string());
    }
    for peer in &tunnel.peers {
        text.line(format!("\nconfig wireguard_{name}"));
        if let Some(description) = &peer.name {
            option(&mut text, "description", description);
        }
        option(&mut text, "public_key", peer.public_key.to_string());
        if let Some(key) = &peer.preshared {
            text.push("\toption preshared_key '");
            text.push(&key.expose_base64());
            text.line("'");
        }
        for to in &peer.allowed_ips {
            item(&mut text, "allowed_ips", to.to_string());
        }
        option(&mut text, "route_allowed_ips", if tunnel.table == Table::Off { "0" } else { "1" });
        if let Some(endpoint) = &peer.endpoint {
            let host = match &endpoint.host {
                EndpointHost::Address(address) => address.to_string(), // IPv6 without brackets
                EndpointHost::Name(name) => name.clone(),
            };
            option(&mut text, "endpoint_host", host);
            option(&mut text, "endpoint_port", endpoint.port.to_string());
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            option(&mut text, "persistent_keepalive", seconds.to_string());
        }
    }
    text
}

/// A zone of its own, in which the router answers and from which nothing is forwarded until somebody says so; and the port
/// for peers that dial in.
fn firewall(subject: &Subject, tunnel: &Tunnel) -> Text {
    let name = &subject.name;
    let mut text = Text::new();
    text.line(format!(
        "# {}, made by wg-friend: add `config forwarding` sections for the zones that it may reach",
        one_line(&subject.node)
    ));
    text.line("config zone");
    // A zone's name has at most 11 characters.
    option(&mut text, "name", name.chars().take(11).collect::<String>());
    item(&mut text, "network", name);
    option(&mut text, "input", "ACCEPT");
    option(&mut text, "output", "ACCEPT");
    option(&mut text, "forward", "REJECT");
    option(&mut text, "mtu_fix", "1");
    if let Some(port) = tunnel.listen_port {
        text.line("\nconfig rule");
        option(&mut text, "name", format!("Allow-WireGuard-{name}"));
        option(&mut text, "src", "wan");
        option(&mut text, "proto", "udp");
        option(&mut text, "dest_port", port.to_string());
        option(&mut text, "target", "ACCEPT");
    }
    text
}
