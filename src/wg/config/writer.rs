//! Writing a wg-quick file anew.

use std::fmt::Write as _;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::{Keys, hooks};
use crate::model::{Cidr, PublicKey, Secrets, Table};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig};

/// Returns one interface's wg-quick file.
///
/// Without a private key the file has no `PrivateKey` line but says where to put it.
pub fn write(node: &NodeConfig, interface: &InterfaceConfig, keys: Keys<'_>) -> Zeroizing<String> {
    let mut text = Text::with_room_for(interface);
    text.line("# Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.");
    text.line(&format!("# {}, public key {}", node.name, interface.public_key));
    text.line("[Interface]");
    match keys.private(interface) {
        Some(key) => text.pair("PrivateKey", &key),
        None if interface.key_file.is_some() => {
            text.line("# Its private key is on this host alone; a hook below loads it.")
        }
        None => text.line(
            "# Put the private key here, which only this device has:\n\
             # PrivateKey = the key whose public half is above",
        ),
    }
    text.list("Address", &interface.addresses);
    if let Some(port) = interface.listen_port {
        text.pair("ListenPort", &port.to_string());
    }
    if let Some(mtu) = interface.mtu {
        text.pair("MTU", &mtu.to_string());
    }
    if !interface.dns.is_empty() {
        text.list("DNS", &interface.dns);
    }
    if let Some(mark) = interface.fwmark {
        text.pair("FwMark", &format!("{mark:#x}"));
    }
    if interface.table != Table::Auto {
        text.pair("Table", &interface.table.to_string());
    }
    for hook in hooks::of(interface) {
        text.pair(hook.key, &hook.command);
    }
    for peer in &interface.peers {
        text.line("");
        write_section(&mut text, peer, keys);
    }
    text.finish()
}

/// Returns a peer's section, with its name above it.
pub(super) fn peer_section(peer: &PeerConfig, keys: Keys<'_>) -> Zeroizing<String> {
    let mut text = Text::with_room(peer_room(peer));
    write_section(&mut text, peer, keys);
    text.finish()
}

fn write_section(text: &mut Text, peer: &PeerConfig, keys: Keys<'_>) {
    text.line(&format!("# {}", peer.name));
    if let Some(guid) = &peer.guid {
        text.line(&format!("# {}", permanent_guid(guid)));
    }
    text.line("[Peer]");
    write_peer(text, peer, keys, &peer.allowed_ips);
}

/// Says the permanent name of a node whose key is another by now.
pub(super) fn permanent_guid(guid: &PublicKey) -> String {
    format!("permanent_guid: {guid}")
}

/// Returns one interface's wg-quick file in as few characters as a phone understands, for a QR code.
///
/// No comments, no hooks and no spaces; neighbouring prefixes are joined where that covers exactly the same addresses.
pub fn minimal(interface: &InterfaceConfig, secrets: &Secrets) -> Zeroizing<String> {
    let keys = Keys::Shown(secrets);
    let mut text = Text::with_room_for(interface);
    text.tight = true;
    text.line("[Interface]");
    if let Some(key) = keys.private(interface) {
        text.pair("PrivateKey", &key);
    }
    text.list("Address", &interface.addresses);
    if let Some(port) = interface.listen_port {
        text.pair("ListenPort", &port.to_string());
    }
    if let Some(mtu) = interface.mtu {
        text.pair("MTU", &mtu.to_string());
    }
    if !interface.dns.is_empty() {
        text.list("DNS", &interface.dns);
    }
    for peer in &interface.peers {
        text.line("[Peer]");
        let nets: Vec<IpNet> = peer.allowed_ips.iter().map(Cidr::net).collect();
        let fewest: Vec<Cidr> = IpNet::aggregate(&nets).into_iter().map(Cidr::containing).collect();
        write_peer(&mut text, peer, keys, &fewest);
    }
    text.finish()
}

fn write_peer(text: &mut Text, peer: &PeerConfig, keys: Keys<'_>, allowed_ips: &[Cidr]) {
    text.pair("PublicKey", &peer.public_key.to_string());
    if let Some(key) = keys.preshared(peer) {
        text.pair("PresharedKey", &key);
    }
    if !allowed_ips.is_empty() {
        text.list("AllowedIPs", allowed_ips);
    }
    if let Some(endpoint) = &peer.endpoint {
        text.pair("Endpoint", &endpoint.to_string());
    }
    if let Some(seconds) = peer.keepalive {
        text.pair("PersistentKeepalive", &seconds.to_string());
    }
}

fn peer_room(peer: &PeerConfig) -> usize {
    512 + 48 * peer.allowed_ips.len()
}

/// Text that is wiped when dropped. It is made large enough at once, for a string that grows leaves copies behind.
pub(super) struct Text {
    pub(super) text: Zeroizing<String>,
    tight: bool,
}

impl Text {
    fn with_room(bytes: usize) -> Self {
        Self { text: Zeroizing::new(String::with_capacity(bytes)), tight: false }
    }

    pub(super) fn with_room_for(interface: &InterfaceConfig) -> Self {
        let dns: usize = interface.dns.iter().map(|entry| entry.len() + 2).sum();
        let hooks = 512 * (4 + interface.sysctls.len() + interface.routes.len() + interface.rules.len());
        let peers: usize = interface.peers.iter().map(peer_room).sum();
        Self::with_room(1024 + dns + hooks + 64 * interface.addresses.len() + peers)
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn pair(&mut self, key: &str, value: &str) {
        let equals = if self.tight { "=" } else { " = " };
        writeln!(self.text, "{key}{equals}{value}").expect("writing to a string can't fail");
    }

    fn list<T: ToString>(&mut self, key: &str, items: &[T]) {
        let separator = if self.tight { "," } else { ", " };
        self.pair(key, &items.iter().map(T::to_string).collect::<Vec<_>>().join(separator));
    }

    fn finish(self) -> Zeroizing<String> {
        self.text
    }
}
