//! Writes interfaces for wg-quick(8).
//!
//! A host's files work when a person copies them to `/etc/wireguard` and runs `wg-quick up`: what the kernel needs
//! beyond WireGuard is in hooks. The hooks can be run again and again; none of them fails because an earlier run ended
//! half-way.

mod comments;
mod fault;
mod fields;
mod hooks;
mod mask;
mod merge;
mod read;
mod syntax;
mod values;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::model::{Cidr, Secrets, Table};

pub use fault::{Fault, FaultKind};
pub use mask::mask;
pub use merge::bring;
pub use read::{Mode, Reading, effective_allowed_ips};
pub use syntax::{Document, TokenKind};

use super::firewall;
use super::interface::{InterfaceConfig, NodeConfig, PeerConfig};

/// Where wg-quick(8) looks for its files.
pub const DIRECTORY: &str = "/etc/wireguard";

/// A file of a node, to be put into [`DIRECTORY`].
#[derive(PartialEq, Eq)]
pub struct File {
    /// Its name there: `wg0.conf`, `wgf-wg0.nft`.
    pub path: String,
    /// Its text.
    pub content: Zeroizing<String>,
    /// Whether keys are in it.
    pub secret: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).field("secret", &self.secret).finish_non_exhaustive()
    }
}

/// Whether keys are written out.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'a> {
    /// As they are.
    Shown(&'a Secrets),
    /// As `(hidden)`, for previews and comparisons.
    Masked(&'a Secrets),
}

impl Keys<'_> {
    fn private(self, interface: &InterfaceConfig) -> Option<Zeroizing<String>> {
        match self {
            Self::Shown(secrets) => secrets.private.get(&interface.id).map(|key| key.expose_base64()),
            Self::Masked(secrets) => secrets.private.get(&interface.id).map(|_| hidden()),
        }
    }

    fn preshared(self, peer: &PeerConfig) -> Option<Zeroizing<String>> {
        match self {
            Self::Shown(secrets) => secrets.preshared.get(&peer.link).map(|key| key.expose_base64()),
            Self::Masked(secrets) => secrets.preshared.get(&peer.link).map(|_| hidden()),
        }
    }
}

fn hidden() -> Zeroizing<String> {
    Zeroizing::new("(hidden)".to_owned())
}

/// Returns a node's files: one for each interface, each followed by its firewall when it has one.
pub fn files(node: &NodeConfig, secrets: &Secrets) -> Vec<File> {
    files_with(node, Keys::Shown(secrets))
}

/// Returns a node's files with `(hidden)` in the place of each key.
pub fn masked_files(node: &NodeConfig, secrets: &Secrets) -> Vec<File> {
    files_with(node, Keys::Masked(secrets))
}

fn files_with(node: &NodeConfig, keys: Keys<'_>) -> Vec<File> {
    let mut files = Vec::new();
    for interface in &node.interfaces {
        let content = write(node, interface, keys);
        files.push(File { path: format!("{}.conf", interface.name), content, secret: true });
        if let Some(firewall) = &interface.firewall {
            let content = Zeroizing::new(firewall::ruleset(firewall));
            files.push(File { path: firewall::file_name(&interface.name), content, secret: false });
        }
    }
    files
}

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
        text.line(&format!("# {}", peer.name));
        text.line("[Peer]");
        write_peer(&mut text, peer, keys, &peer.allowed_ips);
    }
    text.finish()
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

/// Text that is wiped when dropped. It is made large enough at once, for a string that grows leaves copies behind.
struct Text {
    text: Zeroizing<String>,
    tight: bool,
}

impl Text {
    fn with_room_for(interface: &InterfaceConfig) -> Self {
        let peer = |peer: &PeerConfig| 512 + 48 * peer.allowed_ips.len();
        let dns: usize = interface.dns.iter().map(|entry| entry.len() + 2).sum();
        let hooks = 512 * (4 + interface.sysctls.len() + interface.routes.len() + interface.rules.len());
        let room =
            1024 + dns + hooks + 64 * interface.addresses.len() + interface.peers.iter().map(peer).sum::<usize>();
        Self { text: Zeroizing::new(String::with_capacity(room)), tight: false }
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
