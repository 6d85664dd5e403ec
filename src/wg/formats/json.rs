//! wg-friend's own JSON: everything that a tunnel is, one field each.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::model::{Cidr, Endpoint, InterfaceAddr, InterfaceName, Port, PublicKey, Table};
use crate::wg::{Hook, Phase, Tunnel, TunnelPeer};

use super::ini::Place;
use super::text::Text;
use super::{Found, OutFile, Subject, Unreadable};

/// What the number of the document's first field says. A field that is added doesn't raise it.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    wg_friend_tunnel: u32,
    name: String,
    node: String,
    private_key: Option<Zeroizing<String>>,
    public_key: Option<PublicKey>,
    addresses: Vec<InterfaceAddr>,
    listen_port: Option<Port>,
    fwmark: Option<u32>,
    mtu: Option<u16>,
    dns: Vec<String>,
    table: Table,
    save_config: bool,
    hooks: Vec<Command>,
    vendor_keys: Vec<(String, String)>,
    peers: Vec<Peer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    phase: Phase,
    command: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    name: Option<String>,
    public_key: PublicKey,
    preshared_key: Option<Zeroizing<String>>,
    allowed_ips: Vec<Cidr>,
    endpoint: Option<Endpoint>,
    keepalive: Option<u16>,
    vendor_keys: Vec<(String, String)>,
}

pub(super) fn write(subject: &Subject, tunnel: &Tunnel) -> (Vec<OutFile>, Vec<String>) {
    let hook = |hook: &Hook| Command { phase: hook.phase, command: Zeroizing::new(hook.command.clone()) };
    let peer = |peer: &TunnelPeer| Peer {
        name: peer.name.clone(),
        public_key: peer.public_key,
        preshared_key: peer.preshared.as_ref().map(|key| key.expose_base64()),
        allowed_ips: peer.allowed_ips.clone(),
        endpoint: peer.endpoint.clone(),
        keepalive: peer.keepalive,
        vendor_keys: peer.unknown.clone(),
    };
    let document = Document {
        wg_friend_tunnel: VERSION,
        name: subject.name.clone(),
        node: subject.node.clone(),
        private_key: tunnel.private_key.as_ref().map(|key| key.expose_base64()),
        public_key: tunnel.private_key.as_ref().map(|key| key.public()),
        addresses: tunnel.addresses.clone(),
        listen_port: tunnel.listen_port,
        fwmark: tunnel.fwmark,
        mtu: tunnel.mtu,
        dns: tunnel.dns.clone(),
        table: tunnel.table.clone(),
        save_config: tunnel.save_config,
        hooks: tunnel.hooks.iter().map(hook).collect(),
        vendor_keys: tunnel.unknown.clone(),
        peers: tunnel.peers.iter().map(peer).collect(),
    };
    let mut text = Text::new();
    serde_json::to_writer_pretty(&mut text, &document).expect("strings, numbers and lists serialise into memory");
    text.line("");
    let name = format!("{}.json", subject.name.replace(['/', '\0'], "-"));
    let file = OutFile { name, content: text.finish(), secret: true, place: String::new(), mode: 0o600, owner: "" };
    (vec![file], Vec::new())
}

pub(super) fn read(files: &[(&str, &str)]) -> Result<Vec<Found>, Unreadable> {
    files.iter().map(|(name, text)| document(Place(name), text)).collect()
}

fn document(place: Place<'_>, text: &str) -> Result<Found, Unreadable> {
    // serde's own message may repeat a value, and a value may be a key.
    let document: Document = serde_json::from_str(text).map_err(|error| {
        let found = match error.classify() {
            serde_json::error::Category::Data => "a field that is missing, unknown or of another kind",
            _ => "something that is no JSON",
        };
        place.wrong(error.line(), found, "a document of `wg-friend export --format json`")
    })?;
    if document.wg_friend_tunnel != VERSION {
        let found = format!("version {}", document.wg_friend_tunnel);
        return Err(place.wrong_file(found, format!("version {VERSION}, which this program writes")));
    }
    let mut tunnel = Tunnel {
        private_key: None,
        addresses: document.addresses,
        listen_port: document.listen_port,
        fwmark: document.fwmark,
        mtu: document.mtu,
        dns: document.dns,
        table: document.table,
        save_config: document.save_config,
        hooks: document
            .hooks
            .iter()
            .map(|hook| Hook { phase: hook.phase, command: hook.command.to_string() })
            .collect(),
        unknown: document.vendor_keys,
        peers: Vec::new(),
    };
    if let Some(text) = &document.private_key {
        tunnel.private_key = Some(place.key(1, "a private key", text)?);
    }
    for peer in document.peers {
        let preshared = peer.preshared_key.as_ref().map(|text| place.key(1, "a preshared key", text)).transpose()?;
        tunnel.peers.push(TunnelPeer {
            name: peer.name,
            public_key: peer.public_key,
            preshared,
            allowed_ips: peer.allowed_ips,
            endpoint: peer.endpoint,
            keepalive: peer.keepalive,
            unknown: peer.vendor_keys,
        });
    }
    let interface: Option<InterfaceName> = document.name.parse().ok();
    Ok(Found { interface, tunnel, remarks: Vec::new() })
}
