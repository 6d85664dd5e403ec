//! pfSense with the WireGuard package: calls of the REST API package (version 2), as a script that reads what to set from
//! a file beside it.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{Cidr, EndpointHost, Port, Table};
use crate::wg::Tunnel;

use super::check::Check;
use super::opnsense::script;
use super::text::{Text, joined};
use super::{Feature, OutFile, Subject, routes};

const SCRIPT: &str = include_str!("../../../templates/export/pfsense.sh");

#[derive(Serialize)]
struct Data {
    tunnel: Interface,
    peers: Vec<Peer>,
}

/// The fields of `/vpn/wireguard/tunnel`.
#[derive(Serialize)]
struct Interface {
    name: String,
    enabled: bool,
    descr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    listenport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    privatekey: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    addresses: Vec<Prefix>,
}

/// The fields of `/vpn/wireguard/peer`.
#[derive(Serialize)]
struct Peer {
    enabled: bool,
    tun: String,
    descr: String,
    publickey: String,
    presharedkey: Zeroizing<String>,
    endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    persistentkeepalive: u16,
    allowedips: Vec<Prefix>,
}

#[derive(Serialize)]
struct Prefix {
    address: String,
    mask: u8,
}

pub(super) fn write(subject: &Subject, tunnel: &Tunnel, check: &mut Check<'_>) -> (Vec<OutFile>, Vec<String>) {
    check.no_hooks(tunnel, "put them into a shellcmd, or into rules of its firewall");
    check.no_table(
        tunnel,
        |table| *table == Table::Off,
        "it makes no routes from AllowedIPs: set up a gateway and static routes",
    );
    check.no_fwmark(tunnel, "the firewall can't mark its own packets so");
    check.no_save_config(tunnel);
    check.no_dns(tunnel, "the firewall has one DNS for everything: set it under System, General Setup");
    check.no_vendor_keys(tunnel, &[]);
    check.needs_private_key(tunnel);
    let routes = routes::of(tunnel);
    let wanted: Vec<&Cidr> = routes.plain.iter().chain(&routes.defaults).collect();
    if !wanted.is_empty() {
        let instead =
            "it makes none from AllowedIPs: assign the interface, make a gateway on it and a static route for each";
        check.lacks(Feature::Routes, format!("routes to {}", joined(wanted, ", ")), instead);
    }
    let number = subject.name.strip_prefix("tun_wg").or_else(|| subject.name.strip_prefix("wg"));
    let number =
        number.filter(|number| !number.is_empty() && number.len() <= 4 && number.bytes().all(|b| b.is_ascii_digit()));
    if number.is_none() {
        check.refuses(
            format!("the name `{}`", subject.name),
            "its tunnels are called tun_wg and a number: give one with `--name wg0`",
        );
    }
    let name = format!("tun_wg{}", number.unwrap_or_default());
    let mut text = Text::new();
    serde_json::to_writer_pretty(&mut text, &data(&name, subject, tunnel))
        .expect("strings and lists serialise into memory");
    text.line("");
    let files = vec![
        script(format!("{}-pfsense.sh", subject.name), SCRIPT),
        OutFile {
            name: format!("{}-pfsense.json", subject.name),
            content: text.finish(),
            secret: true,
            place: "beside the script".to_owned(),
            mode: 0o600,
            owner: "",
        },
    ];
    let notes = vec![
        format!("`PFSENSE_URL=https://firewall.example PFSENSE_KEY_FILE=apikey.txt sh {}-pfsense.sh`, with curl and jq; it needs the packages WireGuard and RESTAPI (version 2) there, and the file holds an API key", subject.name),
        "it makes what isn't there and changes what is; then assign the interface to have rules and gateways on it, and let its port in on WAN".to_owned(),
        "the field for an endpoint's port wasn't tried on a device: look at the peers once".to_owned(),
    ];
    (files, notes)
}

fn data(name: &str, subject: &Subject, tunnel: &Tunnel) -> Data {
    let prefix = |net: ipnet::IpNet| Prefix { address: net.addr().to_string(), mask: net.prefix_len() };
    let address = |address: &crate::model::InterfaceAddr| Prefix {
        address: address.address().to_string(),
        mask: address.prefix_len(),
    };
    let interface = Interface {
        name: name.to_owned(),
        enabled: true,
        descr: subject.node.clone(),
        listenport: tunnel.listen_port.map(|port: Port| port.to_string()),
        privatekey: tunnel.private_key.as_ref().map(|key| key.expose_base64()),
        mtu: tunnel.mtu,
        addresses: tunnel.addresses.iter().map(address).collect(),
    };
    let peers = tunnel.peers.iter().map(|peer| {
        let host = peer.endpoint.as_ref().map(|endpoint| match &endpoint.host {
            EndpointHost::Address(address) => address.to_string(),
            EndpointHost::Name(name) => name.clone(),
        });
        Peer {
            enabled: true,
            tun: name.to_owned(),
            descr: peer.name.clone().unwrap_or_default(),
            publickey: peer.public_key.to_string(),
            presharedkey: peer.preshared.as_ref().map_or_else(Default::default, |key| key.expose_base64()),
            endpoint: host.unwrap_or_default(),
            port: peer.endpoint.as_ref().map(|endpoint| endpoint.port.to_string()),
            persistentkeepalive: peer.keepalive.unwrap_or(0),
            allowedips: peer.allowed_ips.iter().map(|to| prefix(to.net())).collect(),
        }
    });
    Data { tunnel: interface, peers: peers.collect() }
}
