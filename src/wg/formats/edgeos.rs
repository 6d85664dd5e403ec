//! EdgeOS with the WireGuard package (wireguard-vyatta-ubnt): `set` commands, a peer named by its key.

use crate::model::Table;
use crate::wg::Tunnel;

use super::check::Check;
use super::text::{Text, one_line};
use super::vyos::{file, set};
use super::{Feature, Found, OutFile, Subject, Unreadable, vyos};

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    vyos::check(subject, tunnel, check);
    let known = |table: &Table| *table == Table::Off;
    check.no_table(tunnel, known, "routes go into the main table or nowhere: add them to a table of your own by hand");
    let notes = vec![
        format!(
            "`configure`, `source {}.edgeos`, `commit`, `save`; there is no commit that takes itself back, so don't do it through what it changes",
            subject.name
        ),
        "an upgrade of EdgeOS wipes the WireGuard package: install it again, then the interface is back".to_owned(),
    ];
    (vec![file(subject, "edgeos", commands(subject, tunnel))], notes)
}

pub(super) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    vyos::edge(files)
}

fn commands(subject: &Subject, tunnel: &Tunnel) -> Text {
    let mut text = Text::new();
    text.line(format!("# {}, made by wg-friend", one_line(&subject.node)));
    set(&mut text, subject, "description", &one_line(&subject.node).replace('\'', " "));
    for address in &tunnel.addresses {
        set(&mut text, subject, "address", &address.to_string());
    }
    match &tunnel.private_key {
        Some(key) => set(&mut text, subject, "private-key", &key.expose_base64()),
        None => text.line(format!(
            "# Set the private key, which only this device has: set interfaces wireguard {} private-key",
            subject.name
        )),
    }
    if let Some(port) = tunnel.listen_port {
        set(&mut text, subject, "listen-port", &port.to_string());
    }
    if let Some(mtu) = tunnel.mtu {
        set(&mut text, subject, "mtu", &mtu.to_string());
    }
    if let Some(mark) = tunnel.fwmark.filter(|mark| *mark != 0) {
        set(&mut text, subject, "fwmark", &mark.to_string());
    }
    // It would make a default route, too, if a peer had one; then none are made.
    let default = super::routes::has_default(tunnel) && subject.without.contains(&Feature::DefaultRoute);
    let routes = tunnel.table != Table::Off && !default && !subject.without.contains(&Feature::Routes);
    set(&mut text, subject, "route-allowed-ips", if routes { "true" } else { "false" });
    for peer in &tunnel.peers {
        text.line(format!("set interfaces wireguard {} peer {}", subject.name, peer.public_key));
        let mut tell =
            |key: &str, value: &str| set(&mut text, subject, &format!("peer {} {key}", peer.public_key), value);
        if let Some(name) = &peer.name {
            tell("description", &one_line(name).replace('\'', " "));
        }
        if let Some(key) = &peer.preshared {
            tell("preshared-key", &key.expose_base64());
        }
        for to in &peer.allowed_ips {
            tell("allowed-ips", &to.to_string());
        }
        if let Some(endpoint) = &peer.endpoint {
            tell("endpoint", &endpoint.to_string());
        }
        if let Some(seconds) = peer.keepalive.filter(|seconds| *seconds > 0) {
            tell("persistent-keepalive", &seconds.to_string());
        }
    }
    if tunnel.table == Table::Auto && default && !subject.without.contains(&Feature::Routes) {
        for to in super::routes::of(tunnel).plain {
            let word = if to.is_ipv4() { "interface-route" } else { "interface-route6" };
            text.line(format!("set protocols static {word} '{to}' next-hop-interface '{}'", subject.name));
        }
    }
    text
}
