//! Direct links whose traffic goes another way while they are down, and the script on a host that moves it.
//!
//! A peer's AllowedIPs are fixed, and WireGuard knows nothing of other ways. So the host at each end of such a link runs a
//! small loop beside the interface. When the link has shaken hands for longer than any living one takes ([`stale_after`]),
//! what its peer carries goes to the peer that would carry it without the link; when it shakes hands again, it comes back.
//! The loop is a file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook, so that it comes and goes
//! with the interface whatever brings that up: an interface that came up has its unmoved state first. Pure; the loop itself
//! is `templates/host/fallback.sh`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::model::{InterfaceName, LinkId, PublicKey};

use super::config::DIRECTORY;
use super::interface::{Fallback, InterfaceConfig, PeerConfig};

/// The loop, after its head.
const BODY: &str = include_str!("../../templates/host/fallback.sh");

/// At this age a session carries nothing any more, in seconds (REJECT_AFTER_TIME in the WireGuard paper, section 6.1).
const REJECT_AFTER_TIME: u32 = 180;

/// After so many seconds without an answer a handshake is begun again (REKEY_TIMEOUT, in the same place).
const REKEY_TIMEOUT: u32 = 5;

/// So many handshakes in a row may be lost on a link that counts as up.
const LOST_HANDSHAKES: u32 = 3;

/// Returns for how many seconds a link may be without a handshake before it counts as down, if one of its ends sends
/// something at least every `keepalive` seconds.
///
/// Usually a handshake follows 120 seconds after the last one. But the end that began the last one is the only one to do
/// that, and only when it sends; if just the other end sends, the session may grow as old as sessions get, and the next
/// keepalive after that begins a new one. Handshakes are mutual, so both ends find the same silence: one end has at most
/// one handshake more than the other, the one whose last packet was lost.
pub fn stale_after(keepalive: u16) -> u32 {
    REJECT_AFTER_TIME + u32::from(keepalive) + LOST_HANDSHAKES * REKEY_TIMEOUT
}

/// Returns the name of the file that holds the loop for an interface, beside its wg-quick file.
pub fn file_name(interface: &InterfaceName) -> String {
    format!("wgf-fallback-{interface}.sh")
}

/// Returns the loop for an interface, a script for any POSIX shell; `None` when it watches no link.
///
/// It holds no secret: names, prefixes and public keys.
pub fn script(interface: &InterfaceConfig) -> Option<String> {
    let links = lines(interface)?;
    let version = version_of(&interface.name, &links);
    Some(format!(
        "#!/bin/sh\n# Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.\n\
         IFACE={}\nVERSION={version}\nLINKS='\n{links}'\n\n{BODY}",
        interface.name
    ))
}

/// Returns what a host tells of the loop that should run there: sixteen hexadecimal digits that differ whenever the
/// script does. `None` when there should be none.
pub fn version(interface: &InterfaceConfig) -> Option<String> {
    lines(interface).map(|links| version_of(&interface.name, &links))
}

/// Returns the links that are watched, for people: `office-b (else over hub), office-c (else over hub)`.
pub fn names(interface: &InterfaceConfig) -> String {
    let words =
        |(_, peer, over): (&Fallback, &PeerConfig, &PeerConfig)| format!("{} (else over {})", peer.name, over.name);
    watched(interface).map(words).collect::<Vec<_>>().join(", ")
}

fn peer(interface: &InterfaceConfig, link: LinkId) -> Option<&PeerConfig> {
    interface.peers.iter().find(|peer| peer.link == link)
}

/// The links that are watched, each with its peer and the one that carries what it carries while it is down.
fn watched(interface: &InterfaceConfig) -> impl Iterator<Item = (&Fallback, &PeerConfig, &PeerConfig)> {
    let ends = |fallback: &Fallback| (peer(interface, fallback.link), peer(interface, fallback.over));
    interface.fallbacks.iter().filter_map(move |fallback| match ends(fallback) {
        (Some(peer), Some(over)) if !peer.allowed_ips.is_empty() => Some((fallback, peer, over)),
        _ => None,
    })
}

/// A line `key,other key,seconds,peer,other peer,prefixes` for each link. None of them has a blank or a quote, and but the
/// last none has a comma.
fn lines(interface: &InterfaceConfig) -> Option<String> {
    let line = |(fallback, peer, over): (&Fallback, &PeerConfig, &PeerConfig)| {
        let prefixes: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        let (key, by, stale) = (peer.public_key, over.public_key, fallback.stale);
        format!("{key},{by},{stale},{},{},{}\n", peer.name, over.name, prefixes.join(","))
    };
    let text: String = watched(interface).map(line).collect();
    (!text.is_empty()).then_some(text)
}

fn version_of(interface: &InterfaceName, links: &str) -> String {
    let digest = Sha256::new().chain_update(interface.as_str()).chain_update([0]).chain_update(links);
    let digest = digest.chain_update([0]).chain_update(BODY).finalize();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an interface as it should run while the links to these peers are down: what those carried goes to the peers that
/// stand in for them.
pub fn while_down<'a>(interface: &'a InterfaceConfig, down: &BTreeSet<PublicKey>) -> Cow<'a, InterfaceConfig> {
    let moved: Vec<(LinkId, LinkId)> = watched(interface)
        .filter(|(_, peer, _)| down.contains(&peer.public_key))
        .map(|(_, peer, over)| (peer.link, over.link))
        .collect();
    let mut interface = Cow::Borrowed(interface);
    for (link, over) in moved {
        let peers = &mut interface.to_mut().peers;
        let prefixes =
            peers.iter_mut().find(|peer| peer.link == link).map(|peer| std::mem::take(&mut peer.allowed_ips));
        if let (Some(prefixes), Some(over)) = (prefixes, peers.iter_mut().find(|peer| peer.link == over)) {
            over.allowed_ips.extend(prefixes);
            over.allowed_ips.sort_unstable();
            over.allowed_ips.dedup();
        }
    }
    interface
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
