//! systemd-networkd: a `.netdev` and a `.network` file, the keys in files of their own.
//!
//! Sources: systemd.netdev(5), systemd.network(5). Routes are always spelled out and `RouteTable=off`: version 250 added
//! routes for AllowedIPs by itself, later versions don't.

mod read;

use std::collections::BTreeSet;

use crate::model::{InterfaceName, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::feature::describe::is_address;
use super::text::{Text, joined, one_line, slugs};
use super::{OutFile, Subject, routes};

pub(super) use read::read;

/// Where networkd looks for what an administrator made.
const DIRECTORY: &str = "/etc/systemd/network";

/// Priorities of the rules for a default route, right before that of the main table, as wg-quick's are.
const SUPPRESS: u32 = 32764;
const UNMARKED: u32 = 32765;

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(
        tunnel,
        "put them into a unit that starts with sys-subsystem-net-devices-NAME.device, or keep wg-quick",
    );
    check.no_save_config(tunnel);
    check.no_vendor_keys(tunnel, &[]);
    let numbered = |table: &Table| match table {
        Table::Named(name) => name == "main",
        _ => true,
    };
    check.no_table(tunnel, numbered, "give the table by its number");
    if subject.name.parse::<InterfaceName>().is_err() {
        check.refuses(
            format!("the name `{}`", subject.name),
            "an interface's name has at most 15 letters, digits and `_=+.-`: give another with `--name`",
        );
    }

    let words = slugs(&tunnel.peers);
    let name = &subject.name;
    let mut files = vec![
        file(format!("{name}.netdev"), netdev(subject, tunnel, &words), false),
        file(format!("{name}.network"), network(subject, tunnel), false),
    ];
    files.extend(tunnel.private_key.as_ref().map(|key| {
        let mut text = Text::new();
        text.line(&*key.expose_base64());
        file(format!("{name}.key"), text, true)
    }));
    for (peer, word) in tunnel.peers.iter().zip(&words) {
        files.extend(peer.preshared.as_ref().map(|key| {
            let mut text = Text::new();
            text.line(&*key.expose_base64());
            file(format!("{name}-{word}.psk"), text, true)
        }));
    }
    (files, notes(subject, tunnel))
}

fn file(name: String, text: Text, secret: bool) -> OutFile {
    let (mode, owner) = if secret { (0o640, "root:systemd-network") } else { (0o644, "root:root") };
    OutFile { place: format!("{DIRECTORY}/{name}"), name, content: text.finish(), secret, mode, owner }
}

fn notes(subject: &Subject, tunnel: &Tunnel) -> Vec<String> {
    let name = &subject.name;
    let mut notes = vec![
        format!(
            "copy the files to {DIRECTORY}; the key files belong to root:systemd-network with mode 0640, or networkd can't read them and others can"
        ),
        format!(
            "`networkctl reload`, then `networkctl reconfigure {name}`; older versions take up a changed peer only after `networkctl delete {name}`"
        ),
    ];
    if tunnel.private_key.is_none() {
        notes.push(format!("put the private key, which isn't kept here, into {DIRECTORY}/{name}.key"));
    }
    if tunnel
        .peers
        .iter()
        .any(|peer| peer.endpoint.as_ref().is_some_and(|e| matches!(e.host, crate::model::EndpointHost::Name(_))))
    {
        notes.push("networkd looks an endpoint's name up only when the interface is made: after an address changed, run `networkctl delete` and `reload`".to_owned());
    }
    if !routes::of(tunnel).defaults.is_empty() {
        notes.push(
            "with net.ipv4.conf.all.rp_filter=1 a default route needs the sysctl net.ipv4.conf.all.src_valid_mark=1"
                .to_owned(),
        );
    }
    notes
}

fn netdev(subject: &Subject, tunnel: &Tunnel, words: &[String]) -> Text {
    let name = &subject.name;
    let mut text = Text::new();
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    text.line("[NetDev]");
    text.pair("Name", "=", name);
    text.line("Kind=wireguard");
    if let Some(mtu) = tunnel.mtu {
        text.pair("MTUBytes", "=", mtu.to_string());
    }
    text.line("");
    text.line("[WireGuard]");
    text.line(format!("PrivateKeyFile={DIRECTORY}/{name}.key"));
    text.pair("ListenPort", "=", tunnel.listen_port.map_or_else(|| "auto".to_owned(), |port| port.to_string()));
    let routes = routes::of(tunnel);
    let mark = tunnel.fwmark.filter(|mark| *mark != 0).or((!routes.defaults.is_empty()).then_some(routes.mark));
    if let Some(mark) = mark {
        text.pair("FirewallMark", "=", format!("{mark:#x}"));
    }
    text.line("RouteTable=off");
    for (peer, word) in tunnel.peers.iter().zip(words) {
        text.line("");
        if let Some(name) = &peer.name {
            text.line(format!("# {}", one_line(name)));
        }
        text.line("[WireGuardPeer]");
        text.pair("PublicKey", "=", peer.public_key.to_string());
        if peer.preshared.is_some() {
            text.line(format!("PresharedKeyFile={DIRECTORY}/{name}-{word}.psk"));
        }
        if !peer.allowed_ips.is_empty() {
            text.pair("AllowedIPs", "=", joined(&peer.allowed_ips, ","));
        }
        if let Some(endpoint) = &peer.endpoint {
            text.pair("Endpoint", "=", endpoint.to_string());
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            text.pair("PersistentKeepalive", "=", seconds.to_string());
        }
    }
    text
}

fn network(subject: &Subject, tunnel: &Tunnel) -> Text {
    let mut text = Text::new();
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    text.line("[Match]");
    text.pair("Name", "=", &subject.name);
    text.line("");
    text.line("[Network]");
    for address in &tunnel.addresses {
        text.pair("Address", "=", address.to_string());
    }
    let (servers, mut domains): (Vec<&str>, Vec<&str>) =
        tunnel.dns.iter().map(String::as_str).partition(|entry| is_address(entry));
    for server in &servers {
        text.pair("DNS", "=", server);
    }
    let routes = routes::of(tunnel);
    // Without a domain of its own it is asked about everything, as with wg-quick.
    if !servers.is_empty() && (domains.is_empty() || !routes.defaults.is_empty()) {
        domains.push("~.");
    }
    if !domains.is_empty() {
        text.pair("Domains", "=", domains.join(" "));
    }
    let table = match &routes.table {
        Some(Table::Number(number)) => Some(number.to_string()),
        Some(Table::Named(name)) => Some(name.clone()),
        _ => None,
    };
    for to in &routes.plain {
        route(&mut text, &to.to_string(), table.as_deref());
    }
    for to in &routes.defaults {
        route(&mut text, &to.to_string(), Some(&routes.mark.to_string()));
    }
    let families: BTreeSet<bool> = routes.defaults.iter().map(crate::model::Cidr::is_ipv4).collect();
    for ipv4 in families.into_iter().rev() {
        let family = if ipv4 { "ipv4" } else { "ipv6" };
        text.line("\n# What the tunnel itself sends carries the mark; everything else without a better route goes in.");
        text.line(format!(
            "[RoutingPolicyRule]\nFamily={family}\nTable=main\nSuppressPrefixLength=0\nPriority={SUPPRESS}"
        ));
        text.line(format!(
            "\n[RoutingPolicyRule]\nFamily={family}\nFirewallMark={mark:#x}\nInvertRule=yes\nTable={mark}\nPriority={UNMARKED}",
            mark = routes.mark
        ));
    }
    text
}

fn route(text: &mut Text, to: &str, table: Option<&str>) {
    text.line("");
    text.line("[Route]");
    text.pair("Destination", "=", to);
    if let Some(table) = table {
        text.pair("Table", "=", table);
    }
}
