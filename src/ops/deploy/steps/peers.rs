//! Peers of an interface.
//!
//! They are changed with `wg addconf` of just the peers that differ, not with `wg syncconf` of all: sessions, counters and
//! AllowedIPs of the others are never touched, and an empty or broken file can't clear a key or a peer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::fleet::StagedFile;
use crate::model::{PresharedKey, PublicKey, Secrets};
use crate::wg::InterfaceConfig;
use crate::wg::dump::LivePeer;

use super::super::change::{Change, Kind};
use super::super::desired::preshared;
use super::super::diff::as_it_should_run;
use super::{Builder, quote};

/// Keys on one command line: far below what any kernel allows.
const KEYS_AT_ONCE: usize = 400;

impl Builder<'_> {
    /// Peers that differ, all of one interface at once; then those nobody planned.
    pub(super) fn peers(&mut self, interface: &InterfaceConfig, secrets: &Secrets, changes: &[&Change]) {
        let Some(seen) = self.observed.interfaces.get(&interface.name) else { return };
        let interface = &*as_it_should_run(interface, self.observed);
        let name = quote(&interface.name);
        let differing: BTreeSet<&str> = changes
            .iter()
            .filter(|c| {
                matches!(
                    c.kind,
                    Kind::PeerMissing
                        | Kind::PeerKey
                        | Kind::AllowedIps
                        | Kind::PresharedKey
                        | Kind::Keepalive
                        | Kind::Endpoint
                )
            })
            .map(|c| c.subject.as_str())
            .collect();
        let wanted: BTreeSet<PublicKey> = interface.peers.iter().map(|p| p.public_key).collect();
        let extra: Vec<PublicKey> = seen.live.peers.keys().filter(|key| !wanted.contains(key)).copied().collect();
        let mut new = Zeroizing::new(String::new());
        let mut old = Zeroizing::new(String::new());
        let mut added = Vec::new();
        for peer in interface.peers.iter().filter(|p| differing.contains(&*p.title())) {
            let live = seen.live.peers.get(&peer.public_key);
            // An endpoint is only written when it has to change: a peer that roamed stays where it is.
            let moves = live.is_none() || changes.iter().any(|c| c.kind == Kind::Endpoint && c.subject == peer.title());
            let endpoint = peer.endpoint.as_ref().filter(|_| moves).map(ToString::to_string);
            let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
            write_peer(&mut new, peer.public_key, preshared(secrets, peer), &allowed, endpoint, peer.keepalive);
            match live {
                Some(live) => write_live(&mut old, peer.public_key, live),
                None => {
                    added.push(peer.public_key);
                    // What it takes over from another before it is removed again, that one has back.
                    if let Some(before) = peer.succeeds
                        && let Some(live) = seen.live.peers.get(&before)
                    {
                        write_live(&mut old, before, live);
                    }
                }
            }
        }
        for key in &extra {
            write_live(&mut old, *key, &seen.live.peers[key]);
        }
        if new.is_empty() && extra.is_empty() {
            return;
        }
        let remove = |keys: &[PublicKey]| -> Vec<String> {
            let one = |keys: &[PublicKey]| {
                let peers: Vec<String> = keys.iter().map(|key| format!("peer {} remove", quote(key))).collect();
                format!("wg set {name} {}", peers.join(" "))
            };
            keys.chunks(KEYS_AT_ONCE).map(one).collect()
        };
        let load = |which: &str| format!("wg addconf {name} \"$D\"/peers/{name}.{which}");
        let mut run = remove(&extra);
        let mut undo = remove(&added);
        for (which, text, commands) in [("new", new, &mut run), ("old", old, &mut undo)] {
            if !text.is_empty() {
                self.files.push(StagedFile { path: format!("peers/{}.{which}", interface.name), content: text });
                commands.push(load(which));
            }
        }
        let what = format!("change {} and remove {} peers of {name}", differing.len(), extra.len());
        let undo = if undo.is_empty() { ":".to_owned() } else { undo.join("; ") };
        self.step(Kind::PeerMissing, what, run.join(" && "), undo);
    }
}

/// Writes a peer as `wg addconf` reads it, every field given, so that nothing of what was there before is left over.
fn write_peer(
    text: &mut String,
    key: PublicKey,
    preshared: Option<&PresharedKey>,
    allowed: &[String],
    endpoint: Option<String>,
    keepalive: Option<u16>,
) {
    let none = PresharedKey::from_random([0; 32]); // 32 zero bytes stand for no preshared key (wg(8))
    let preshared = preshared.unwrap_or(&none).expose_base64();
    let keepalive = keepalive.map_or("off".to_owned(), |seconds| seconds.to_string());
    let _ = writeln!(text, "[Peer]\nPublicKey = {key}\nPresharedKey = {}", preshared.as_str());
    if !allowed.is_empty() {
        let _ = writeln!(text, "AllowedIPs = {}", allowed.join(", "));
    }
    if let Some(endpoint) = endpoint {
        let _ = writeln!(text, "Endpoint = {endpoint}");
    }
    let _ = writeln!(text, "PersistentKeepalive = {keepalive}");
}

fn write_live(text: &mut String, key: PublicKey, live: &LivePeer) {
    let allowed: Vec<String> = live.allowed_ips.iter().map(ToString::to_string).collect();
    let endpoint = live.endpoint.map(|e| e.to_string());
    write_peer(text, key, live.preshared.as_ref(), &allowed, endpoint, live.keepalive);
}
