//! The language of wg-quick(8): read without loss, understood, changed line by line, written anew.
//!
//! An interface that was adopted keeps its file: [`bring`] changes in it only what has to mean something else. For any
//! other a file is written. A host's files work when a person copies them to `/etc/wireguard` and runs `wg-quick up`: what the kernel needs
//! beyond WireGuard is in hooks. The hooks can be run again and again; none of them fails because an earlier run ended
//! half-way.

#[cfg(test)]
mod adopted;
#[cfg(test)]
mod agreement;
#[cfg(test)]
mod changing;
mod comments;
#[cfg(test)]
mod corpus;
mod drafts;
mod edit;
mod fault;
mod fields;
#[cfg(test)]
mod generated;
mod hook_lines;
mod hooks;
mod layout;
mod mask;
mod merge;
mod names;
mod read;
#[cfg(test)]
mod real;
mod syntax;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use zeroize::Zeroizing;

use crate::model::{InterfaceName, Secrets};

pub use comments::{Category, Comment, Owner};
pub use drafts::effective_allowed_ips;
pub use fault::{Fault, FaultKind};
pub(in crate::wg) use hooks::KEEP_ROUTER_ADVERTISEMENTS;
pub use hooks::generated as generated_hooks;
pub use mask::{mask, masked_line};
pub use merge::bring;
pub use read::{Mode, Reading};
pub use syntax::{Document, TokenKind};
pub use writer::{minimal, write};

use super::beside::Loop;
use super::firewall;
use super::hooks::second;
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

impl<'a> Keys<'a> {
    fn secrets(self) -> &'a Secrets {
        match self {
            Self::Shown(secrets) | Self::Masked(secrets) => secrets,
        }
    }

    fn private(self, interface: &InterfaceConfig) -> Option<Zeroizing<String>> {
        match self {
            Self::Shown(secrets) => {
                secrets.private_of(interface.id, interface.public_key).map(|key| key.expose_base64())
            }
            Self::Masked(secrets) => secrets.private_of(interface.id, interface.public_key).map(|_| hidden()),
        }
    }

    fn preshared(self, peer: &PeerConfig) -> Option<Zeroizing<String>> {
        match self {
            Self::Shown(secrets) => secrets.preshared_of(peer.link, peer.next_preshared).map(|key| key.expose_base64()),
            Self::Masked(secrets) => secrets.preshared_of(peer.link, peer.next_preshared).map(|_| hidden()),
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

/// An interface that runs beside the one of a file, with what that one's hooks are for it.
fn with_hooks_of(document: &str, first: &InterfaceName, interface: &InterfaceConfig) -> InterfaceConfig {
    let hooks = Document::parse(document).hooks();
    InterfaceConfig { hooks: second::repeated(&hooks, first, &interface.name).hooks, ..interface.clone() }
}

fn files_with(node: &NodeConfig, keys: Keys<'_>) -> Vec<File> {
    let mut files = Vec::new();
    for interface in &node.interfaces {
        let content = match (keys.secrets().documents.get(&interface.id), &interface.beside) {
            (Some(document), None) => bring(document, node, interface, keys),
            (Some(document), Some(first)) => {
                let text = write(node, &with_hooks_of(document, &first.name, interface), keys);
                // Whatever somebody wrote into his hooks is there, too.
                if matches!(keys, Keys::Masked(_)) { Zeroizing::new(mask(&text)) } else { text }
            }
            (None, _) => write(node, interface, keys),
        };
        files.push(File { path: format!("{}.conf", interface.name), content, secret: true });
        if let Some(firewall) = &interface.firewall {
            let content = Zeroizing::new(firewall::ruleset(firewall));
            files.push(File { path: firewall::file_name(&interface.name), content, secret: false });
        }
        for one in Loop::ALL {
            if let Some(script) = one.script(interface) {
                let content = Zeroizing::new(script);
                files.push(File { path: one.file_name(&interface.name), content, secret: false });
            }
        }
    }
    files
}
