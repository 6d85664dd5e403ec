//! Peers that are dialled by a name, and the script on a host that looks the names up again.
//!
//! WireGuard knows addresses only: wg(8) looks a name up once, and when the name gets another address the tunnel stays
//! dead until somebody restarts it. So a host that dials a peer by a name runs a small loop beside the interface. It is a
//! file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook, so that it comes and goes with the
//! interface whatever brings that up. Pure; the loop itself is `templates/host/resolve.sh`.

use sha2::{Digest as _, Sha256};

use crate::model::{EndpointHost, InterfaceName};

use super::config::DIRECTORY;
use super::interface::{InterfaceConfig, PeerConfig};

/// The loop, after its head.
const BODY: &str = include_str!("../../templates/host/resolve.sh");

/// Whether any peer of the interface is dialled by a name.
pub fn dials_names(interface: &InterfaceConfig) -> bool {
    named(interface).next().is_some()
}

/// The peers that are dialled by a name, each with that name.
fn named(interface: &InterfaceConfig) -> impl Iterator<Item = (&PeerConfig, &str, u16)> {
    interface.peers.iter().filter_map(|peer| match peer.endpoint.as_ref() {
        Some(endpoint) => match &endpoint.host {
            EndpointHost::Name(name) => Some((peer, name.as_str(), endpoint.port.get())),
            EndpointHost::Address(_) => None,
        },
        None => None,
    })
}

/// Returns the name of the file that holds the loop for an interface, beside its wg-quick file.
pub fn file_name(interface: &InterfaceName) -> String {
    format!("wgf-resolve-{interface}.sh")
}

/// Returns the loop for an interface, a script for any POSIX shell; `None` when it follows no name.
///
/// It holds no secret: names, ports and public keys.
pub fn script(interface: &InterfaceConfig) -> Option<String> {
    let peers = peers(interface)?;
    let version = version_of(&interface.name, &peers);
    Some(format!(
        "#!/bin/sh\n# Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.\n\
         IFACE={}\nVERSION={version}\nPEERS='\n{peers}'\n\n{BODY}",
        interface.name
    ))
}

/// Returns what a host tells of the loop that should run there: sixteen hexadecimal digits that differ whenever the
/// script does. `None` when there should be none.
pub fn version(interface: &InterfaceConfig) -> Option<String> {
    peers(interface).map(|peers| version_of(&interface.name, &peers))
}

/// Returns the names that are followed, for people: `hub.example.com, office.example.com`.
pub fn names(interface: &InterfaceConfig) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (_, name, _) in named(interface).filter(|_| interface.follows_names) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// A line `key,name,port,peer` for each peer. None of the four has a comma, a blank or a quote.
fn peers(interface: &InterfaceConfig) -> Option<String> {
    let lines = named(interface).filter(|_| interface.follows_names);
    let text: String =
        lines.map(|(peer, name, port)| format!("{},{name},{port},{}\n", peer.public_key, peer.name)).collect();
    (!text.is_empty()).then_some(text)
}

fn version_of(interface: &InterfaceName, peers: &str) -> String {
    let digest = Sha256::new().chain_update(interface.as_str()).chain_update([0]).chain_update(peers);
    let digest = digest.chain_update([0]).chain_update(BODY).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the hook that begins the loop when the interface is up. Where the file isn't beside the interface's own, it
/// does nothing; and it never fails, since wg-quick(8) would take the interface down again.
pub fn start_hook(interface: &InterfaceName) -> String {
    hook(interface, "start")
}

/// Returns the hook that ends the loop before the interface goes down.
pub fn stop_hook(interface: &InterfaceName) -> String {
    hook(interface, "stop")
}

fn hook(interface: &InterfaceName, verb: &str) -> String {
    let path = format!("{DIRECTORY}/{}", file_name(interface));
    format!("test ! -r {path} || sh {path} {verb} || true")
}

/// Whether a hook is one of those two.
pub fn is_hook(hook: &str, interface: &InterfaceName) -> bool {
    hook == start_hook(interface) || hook == stop_hook(interface)
}
