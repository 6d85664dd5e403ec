//! What the web panels have in common: one interface, and clients whose files the panel keeps as well.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{Cidr, Endpoint, InterfaceAddr, Port, PresharedKey, PrivateKey, PublicKey, Role};
use crate::wg::adopt::View;
use crate::wg::{Hook, Tunnel, TunnelPeer};

use super::{Around, Foreign, ForeignError, quick};

/// A client as a panel keeps it: one end of a link, and the file that the other end was given.
pub(super) struct Client {
    /// Where it stands, for messages.
    pub(super) source: String,
    /// What the panel calls it, if it has a name.
    pub(super) name: Option<String>,
    /// Whether the panel lets it in.
    pub(super) enabled: bool,
    pub(super) public_key: PublicKey,
    /// `None` when the panel was given the public key only.
    pub(super) private_key: Option<PrivateKey>,
    pub(super) preshared: Option<PresharedKey>,
    pub(super) addresses: Vec<InterfaceAddr>,
    pub(super) dns: Vec<String>,
    pub(super) mtu: Option<u16>,
    pub(super) hooks: Vec<Hook>,
    /// Keys of vendors in its file.
    pub(super) vendor: Vec<(String, String)>,
    /// Its peer section for the server.
    pub(super) allowed: Vec<Cidr>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) keepalive: Option<u16>,
    /// The server's peer section for it.
    pub(super) at_server: AtServer,
}

impl Client {
    /// What messages call it.
    pub(super) fn label(&self) -> String {
        label(self.name.as_deref(), self.public_key)
    }
}

/// What messages call a client: its name, or the beginning of its key.
pub(super) fn label(name: Option<&str>, key: PublicKey) -> String {
    name.map_or_else(|| key.short(), str::to_owned)
}

/// A server's peer section for a client.
#[derive(Default)]
pub(super) struct AtServer {
    pub(super) allowed: Vec<Cidr>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) keepalive: Option<u16>,
}

/// Makes views of a server and its clients.
///
/// A server whose own file was read has its peers from there; one without gets them from the clients. Clients that are
/// switched off become its peers in either case.
pub(super) fn assemble(foreign: &mut Foreign, mut server: View, key: PublicKey, clients: Vec<Client>) {
    let has_file = server.text.is_some();
    let mut places: BTreeMap<PublicKey, usize> =
        server.tunnel.peers.iter().enumerate().map(|(at, peer)| (peer.public_key, at)).collect();
    let mut seen: BTreeMap<PublicKey, String> = BTreeMap::new();
    let mut views = Vec::with_capacity(clients.len());
    for client in clients {
        if let Some(other) = seen.insert(client.public_key, client.label()) {
            foreign.note(client.label(), format!("has the same key as {other}: it is left out"));
            continue;
        }
        match places.get(&client.public_key) {
            Some(&at) => name(&mut server.tunnel.peers[at], &client),
            None if has_file && client.enabled => foreign.note(
                client.label(),
                format!("is switched on, but {} has no such peer: the file counts", server.source),
            ),
            None => {
                places.insert(client.public_key, server.tunnel.peers.len());
                server.tunnel.peers.push(peer_of(&client));
            }
        }
        views.push(view_of(client, key));
    }
    foreign.views.push(server);
    foreign.views.append(&mut views);
}

/// Calls a peer of the server's own file as the panel does.
fn name(peer: &mut TunnelPeer, client: &Client) {
    if client.name.is_some() {
        peer.name.clone_from(&client.name);
    }
}

fn peer_of(client: &Client) -> TunnelPeer {
    TunnelPeer {
        name: client.name.clone(),
        preshared: client.preshared.as_ref().map(twin),
        allowed_ips: client.at_server.allowed.clone(),
        endpoint: client.at_server.endpoint.clone(),
        keepalive: client.at_server.keepalive,
        ..TunnelPeer::new(client.public_key)
    }
}

fn view_of(client: Client, server: PublicKey) -> View {
    let leaf = client.at_server.allowed.iter().all(Cidr::is_host) && !client.at_server.allowed.is_empty();
    let tunnel = Tunnel {
        private_key: client.private_key,
        addresses: client.addresses,
        dns: client.dns,
        mtu: client.mtu,
        hooks: client.hooks,
        unknown: client.vendor,
        peers: vec![TunnelPeer {
            preshared: client.preshared,
            allowed_ips: client.allowed,
            endpoint: client.endpoint,
            keepalive: client.keepalive,
            ..TunnelPeer::new(server)
        }],
        ..Tunnel::default()
    };
    let mut view = View::new(client.source, tunnel);
    view.public_key = Some(client.public_key);
    view.name = client.name;
    view.role = leaf.then_some(Role::Remote);
    view.enabled = client.enabled;
    view
}

/// The same key once more, for the link's other end.
pub(super) fn twin(key: &PresharedKey) -> PresharedKey {
    key.expose_base64().parse().expect("what was written by a key is a key")
}

/// Puts a host and a port together. A host may bring its own port, and an IPv6 address may lack its brackets.
pub(super) fn endpoint(host: &str, port: Port) -> Option<Endpoint> {
    Endpoint::parse_with_default(host.trim(), port).ok()
}

/// Takes over the file of wg-quick(8) that a panel writes, when it lies there and has the server's key: then the server is
/// imported as that file has it, byte for byte.
pub(super) fn take_file(
    foreign: &mut Foreign,
    server: &mut View,
    key: PublicKey,
    path: &Path,
    around: &dyn Around,
) -> Result<bool, ForeignError> {
    let Some(bytes) = around.read(path)? else { return Ok(false) };
    let text = quick::text(path, &bytes)?;
    let tunnel = quick::read(path, &text, foreign)?;
    let source = super::view::source(path, "");
    if tunnel.private_key.as_ref().map(PrivateKey::public) != Some(key) {
        foreign.note(source, "has another private key than the panel: the file is left out");
        return Ok(false);
    }
    server.source = source;
    server.tunnel = tunnel;
    server.text = Some(text);
    Ok(true)
}
