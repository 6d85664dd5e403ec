//! MikroTik RouterOS 7: a script for `/import`.

mod read;

use crate::model::{Cidr, EndpointHost, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::text::{Text, joined, one_line, slugs};
use super::{Feature, OutFile, Subject, routes};

pub(super) use read::read;

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "write them as a /system/script, in RouterOS's own language");
    check.no_table(
        tunnel,
        |table| *table == Table::Off,
        "tables have names there: make one with /routing/table and add the routes to it by hand",
    );
    check.no_fwmark(tunnel, "mark its packets in /ip/firewall/mangle, by the port");
    check.no_save_config(tunnel);
    check.no_dns(tunnel, "the router has one DNS for everything: set it with /ip/dns");
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    check.no_default_route(
        tunnel,
        "add a route to each endpoint by your provider's gateway first, then the default route by hand",
    );
    if let Some((a, b)) = overlap(tunnel) {
        check.refuses(format!("allowed addresses that overlap: {a} and {b}"), "they must not on one interface: give the smaller network its own interface, or cut it out of the larger one");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | '+' | '.' | '-');
    if !(1..=15).contains(&subject.name.len()) || !subject.name.chars().all(word) {
        let instead = "give one of 1 to 15 letters, digits and `_=+.-` with `--name`";
        check.refuses(format!("the name `{}`", subject.name), instead);
    }
    let name = format!("{}.rsc", subject.name);
    let content = script(subject, tunnel).finish();
    let notes = vec![
        format!(
            "copy it to the router and `/import file-name={name}`, in safe mode (Ctrl-X) when you are connected through what it changes; delete the file there afterwards"
        ),
        "it adds: what an earlier export made has to be removed first".to_owned(),
        "routes to the peers' networks are in it, for RouterOS doesn't make them from allowed-address".to_owned(),
    ];
    let place = "any folder under Files".to_owned();
    (vec![OutFile { name, content, secret: true, place, mode: 0o600, owner: "" }], notes)
}

/// Finds two allowed addresses of different peers of which one lies in the other.
fn overlap(tunnel: &Tunnel) -> Option<(String, String)> {
    let name = |at: usize| tunnel.peers[at].name.clone().unwrap_or_else(|| tunnel.peers[at].public_key.short());
    let mut all: Vec<(Cidr, usize)> = tunnel
        .peers
        .iter()
        .enumerate()
        .flat_map(|(at, peer)| peer.allowed_ips.iter().map(move |to| (*to, at)))
        .collect();
    // A network sorts right before everything that lies in it.
    all.sort_by_key(|(to, _)| (!to.is_ipv4(), to.net().network(), to.net().prefix_len()));
    let mut open: Vec<(Cidr, usize)> = Vec::new();
    for (to, at) in all {
        while open.last().is_some_and(|(outer, _)| !outer.covers(&to)) {
            open.pop();
        }
        if let Some((outer, other)) = open.iter().find(|(_, other)| *other != at) {
            return Some((format!("{outer} of {}", name(*other)), format!("{to} of {}", name(at))));
        }
        open.push((to, at));
    }
    None
}

/// Quotes a value: `"`, `\`, `$` have a meaning within quotes.
pub(super) fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in one_line(value).chars() {
        if matches!(c, '"' | '\\' | '$' | '?') {
            text.push('\\');
        }
        text.push(c);
    }
    text + "\""
}

fn script(subject: &Subject, tunnel: &Tunnel) -> Text {
    let name = quoted(&subject.name);
    let mut text = Text::new();
    text.line(format!("# {}, made by wg-friend for RouterOS 7", one_line(&subject.node)));
    text.push("/interface/wireguard add name=");
    text.push(&name);
    if let Some(port) = tunnel.listen_port {
        text.push(&format!(" listen-port={port}"));
    }
    if let Some(mtu) = tunnel.mtu {
        text.push(&format!(" mtu={mtu}"));
    }
    match &tunnel.private_key {
        Some(key) => {
            text.push(" private-key=\"");
            text.push(&key.expose_base64());
            text.line("\"");
        }
        None => {
            text.line("\n# The router makes a key of its own: tell its public half to the peers, or set private-key.")
        }
    }
    for (peer, word) in tunnel.peers.iter().zip(slugs(&tunnel.peers)) {
        text.push("/interface/wireguard/peers add interface=");
        text.push(&name);
        text.push(&format!(" name={}", quoted(&word)));
        if let Some(name) = peer.name.as_ref().filter(|name| **name != word) {
            text.push(&format!(" comment={}", quoted(name)));
        }
        text.push(&format!(" public-key=\"{}\"", peer.public_key));
        if let Some(key) = &peer.preshared {
            text.push(" preshared-key=\"");
            text.push(&key.expose_base64());
            text.push("\"");
        }
        if !peer.allowed_ips.is_empty() {
            text.push(&format!(" allowed-address={}", joined(&peer.allowed_ips, ",")));
        }
        match &peer.endpoint {
            Some(endpoint) => {
                let host = match &endpoint.host {
                    EndpointHost::Address(address) => address.to_string(),
                    EndpointHost::Name(name) => name.clone(),
                };
                text.push(&format!(" endpoint-address={} endpoint-port={}", quoted(&host), endpoint.port));
            }
            None => text.push(" responder=yes"),
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            text.push(&format!(" persistent-keepalive={seconds}s"));
        }
        text.line("");
    }
    for address in &tunnel.addresses {
        match address.address().is_ipv4() {
            true => text.line(format!("/ip/address add address={address} interface={name}")),
            false => text.line(format!("/ipv6/address add address={address} interface={name} advertise=no")),
        }
    }
    if !subject.without.contains(&Feature::Routes) {
        for to in routes::of(tunnel).plain {
            let menu = if to.is_ipv4() { "/ip/route" } else { "/ipv6/route" };
            text.line(format!("{menu} add dst-address={to} gateway={name}"));
        }
    }
    if let Some(port) = tunnel.listen_port {
        text.line("# Peers dial in; the rule comes before those that drop.");
        for menu in ["/ip/firewall/filter", "/ipv6/firewall/filter"] {
            let rule = format!(
                "chain=input protocol=udp dst-port={port} action=accept comment={}",
                quoted(&format!("WireGuard {}", subject.name))
            );
            text.line(format!(
                ":if ([:len [{menu}/find]] > 0) do={{ {menu}/add {rule} place-before=0 }} else={{ {menu}/add {rule} }}"
            ));
        }
    }
    text
}
