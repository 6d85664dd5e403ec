//! Peers of an interface.
//!
//! They are changed with `wg addconf` of just the peers that differ, not with `wg syncconf` of all: sessions, counters and
//! AllowedIPs of the others are never touched, and an empty or broken file can't clear a key or a peer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::fleet::StagedFile;
use crate::model::{InterfaceName, PresharedKey, PublicKey, Secrets};
use crate::wg::InterfaceConfig;
use crate::wg::dump::LivePeer;

use super::super::change::{Change, Kind};
use super::super::desired::preshared;
use super::super::diff::as_it_should_run;
use super::{Builder, quote};

/// Keys on one command line: far below what any kernel allows.
const KEYS_AT_ONCE: usize = 400;

/// What `wg addconf` reads to bring peers into their new state, and into the one before.
#[derive(Default)]
struct Texts {
    new: Zeroizing<String>,
    old: Zeroizing<String>,
}

impl Builder<'_> {
    /// Preshared keys of peers that are there, when the interface is about to get another key, too: it shakes hands as soon as it
    /// has that, and with the wrong preshared key the next try comes five seconds later. Nothing else of the peers changes yet.
    /// Returns the command that takes it back, which has to come before the key does.
    pub(super) fn preshared_first(
        &mut self,
        interface: &InterfaceConfig,
        secrets: &Secrets,
        changes: &[&Change],
    ) -> Option<String> {
        let seen = self.observed.interfaces.get(&interface.name)?;
        changes.iter().find(|change| change.kind == Kind::PrivateKey)?;
        let interface = &*as_it_should_run(interface, self.observed);
        let (mut texts, mut count) = (Texts::default(), 0);
        for peer in &interface.peers {
            let title = peer.title();
            let differs = changes.iter().any(|change| change.kind == Kind::PresharedKey && change.subject == title);
            if let Some(live) = seen.live.peers.get(&peer.public_key).filter(|_| differs) {
                let with = |text: &mut String, preshared| {
                    write_peer(text, peer.public_key, preshared, &words(&live.allowed_ips), None, live.keepalive);
                };
                with(&mut texts.new, preshared(secrets, peer));
                with(&mut texts.old, live.preshared.as_ref());
                count += 1;
            }
        }
        if count == 0 {
            return None;
        }
        let [new, old] = ["first-new", "first-old"];
        self.peer_files(&interface.name, texts, [new, old]);
        let (run, undo) = (load(&interface.name, new), load(&interface.name, old));
        self.step(
            Kind::PresharedKey,
            format!("change {count} preshared keys of {}", interface.name),
            run,
            undo.clone(),
        );
        Some(undo)
    }

    /// Peers that differ, all of one interface at once; then those nobody planned.
    pub(super) fn peers(&mut self, interface: &InterfaceConfig, secrets: &Secrets, changes: &[&Change]) {
        let Some(seen) = self.observed.interfaces.get(&interface.name) else { return };
        let interface = &*as_it_should_run(interface, self.observed);
        let name = quote(&interface.name);
        let of_peers = changes.iter().filter(|change| {
            matches!(
                change.kind,
                Kind::PeerMissing
                    | Kind::PeerKey
                    | Kind::AllowedIps
                    | Kind::PresharedKey
                    | Kind::Keepalive
                    | Kind::Endpoint
            )
        });
        let differing: BTreeSet<&str> = of_peers.map(|change| change.subject.as_str()).collect();
        let wanted: BTreeSet<PublicKey> = interface.peers.iter().map(|p| p.public_key).collect();
        let extra: Vec<PublicKey> = seen.live.peers.keys().filter(|key| !wanted.contains(key)).copied().collect();
        let mut texts = Texts::default();
        let mut added = Vec::new();
        for peer in interface.peers.iter().filter(|p| differing.contains(&*p.title())) {
            let live = seen.live.peers.get(&peer.public_key);
            // An endpoint is only written when it has to change: a peer that roamed stays where it is.
            let moves = live.is_none() || changes.iter().any(|c| c.kind == Kind::Endpoint && c.subject == peer.title());
            let endpoint = peer.endpoint.as_ref().filter(|_| moves).map(ToString::to_string);
            let preshared = preshared(secrets, peer);
            write_peer(&mut texts.new, peer.public_key, preshared, &words(&peer.allowed_ips), endpoint, peer.keepalive);
            match live {
                Some(live) => write_live(&mut texts.old, peer.public_key, live),
                None => {
                    added.push(peer.public_key);
                    // What it takes over from another before it is removed again, that one has back.
                    if let Some(before) = peer.succeeds
                        && let Some(live) = seen.live.peers.get(&before)
                    {
                        write_live(&mut texts.old, before, live);
                    }
                }
            }
        }
        for key in &extra {
            write_live(&mut texts.old, *key, &seen.live.peers[key]);
        }
        let (mut run, mut undo) = (remove(&name, &extra), remove(&name, &added));
        for (text, which, commands) in [(&texts.new, "new", &mut run), (&texts.old, "old", &mut undo)] {
            if !text.is_empty() {
                commands.push(load(&interface.name, which));
            }
        }
        if run.is_empty() {
            return;
        }
        self.peer_files(&interface.name, texts, ["new", "old"]);
        let what = format!("change {} and remove {} peers of {name}", differing.len(), extra.len());
        let undo = if undo.is_empty() { ":".to_owned() } else { undo.join("; ") };
        self.step(Kind::PeerMissing, what, run.join(" && "), undo);
    }

    /// Stages what there is to read.
    fn peer_files(&mut self, interface: &InterfaceName, texts: Texts, names: [&str; 2]) {
        for (which, content) in names.into_iter().zip([texts.new, texts.old]) {
            if !content.is_empty() {
                self.files.push(StagedFile { path: format!("peers/{interface}.{which}"), content });
            }
        }
    }
}

fn load(interface: &InterfaceName, which: &str) -> String {
    let name = quote(interface);
    format!("wg addconf {name} \"$D\"/peers/{name}.{which}")
}

fn remove(name: &str, keys: &[PublicKey]) -> Vec<String> {
    let one = |keys: &[PublicKey]| {
        let peers: Vec<String> = keys.iter().map(|key| format!("peer {} remove", quote(key))).collect();
        format!("wg set {name} {}", peers.join(" "))
    };
    keys.chunks(KEYS_AT_ONCE).map(one).collect()
}

fn words<T: ToString>(list: impl IntoIterator<Item = T>) -> Vec<String> {
    list.into_iter().map(|one| one.to_string()).collect()
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
    let endpoint = live.endpoint.map(|e| e.to_string());
    write_peer(text, key, live.preshared.as_ref(), &words(&live.allowed_ips), endpoint, live.keepalive);
}
