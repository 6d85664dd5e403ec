//! Peers of an interface.
//!
//! They are changed with `wg addconf` of just the peers that differ, not with `wg syncconf` of all: sessions, counters and
//! AllowedIPs of the others are never touched, and an empty or broken file can't clear a key or a peer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::fleet::StagedFile;
use crate::model::{InterfaceName, PresharedKey, PublicKey, Secrets};
use crate::wg::dump::LivePeer;
use crate::wg::{InterfaceConfig, PeerConfig};

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
    /// has that, and with the wrong preshared key the next try comes five seconds later. Returns whose they are.
    pub(super) fn preshared_first(
        &mut self,
        interface: &InterfaceConfig,
        secrets: &Secrets,
        changes: &[&Change],
    ) -> BTreeSet<PublicKey> {
        let mut done = BTreeSet::new();
        let Some(seen) = self.observed.interfaces.get(&interface.name) else { return done };
        if changes.iter().all(|change| change.kind != Kind::PrivateKey) {
            return done;
        }
        let interface = &*as_it_should_run(interface, self.observed);
        let mut texts = Texts::default();
        for peer in &interface.peers {
            let title = peer.title();
            let differs = changes.iter().any(|change| change.kind == Kind::PresharedKey && change.subject == title);
            if let Some(live) = seen.live.peers.get(&peer.public_key).filter(|_| differs) {
                write_new(&mut texts.new, secrets, peer, moves(changes, peer));
                write_live(&mut texts.old, peer.public_key, live);
                done.insert(peer.public_key);
            }
        }
        if done.is_empty() {
            return done;
        }
        let what = format!("change {} preshared keys of {}", done.len(), interface.name);
        let (run, undo) = (load(&interface.name, FIRST_NEW), load(&interface.name, FIRST_OLD));
        self.peer_files(&interface.name, texts, [FIRST_NEW, FIRST_OLD]);
        self.step(Kind::PresharedKey, what, run, undo);
        done
    }

    /// Peers that differ, all of one interface at once; then those nobody planned. Those of `done` have changed already.
    pub(super) fn peers(
        &mut self,
        interface: &InterfaceConfig,
        secrets: &Secrets,
        changes: &[&Change],
        done: &BTreeSet<PublicKey>,
    ) {
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
        let (mut changed, mut added) = (0, Vec::new());
        for peer in interface.peers.iter().filter(|p| differing.contains(&*p.title()) && !done.contains(&p.public_key))
        {
            changed += 1;
            let live = seen.live.peers.get(&peer.public_key);
            write_new(&mut texts.new, secrets, peer, live.is_none() || moves(changes, peer));
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
        if !done.is_empty() {
            // The key before, which comes back next, goes by these.
            undo.push(load(&interface.name, FIRST_OLD));
        }
        if run.is_empty() && undo.is_empty() {
            return;
        }
        self.peer_files(&interface.name, texts, ["new", "old"]);
        let what = match run.is_empty() {
            true => format!("go on with the peers of {name}"),
            false => format!("change {changed} and remove {} peers of {name}", extra.len()),
        };
        let all = |commands: Vec<String>, with: &str| match commands.is_empty() {
            true => ":".to_owned(),
            false => commands.join(with),
        };
        self.step(Kind::PeerMissing, what, all(run, " && "), all(undo, "; "));
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

/// The files of what comes before a key.
const FIRST_NEW: &str = "first.new";
const FIRST_OLD: &str = "first.old";

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

/// Whether a peer's endpoint has to change. Otherwise it isn't written: a peer that roamed stays where it is.
fn moves(changes: &[&Change], peer: &PeerConfig) -> bool {
    changes.iter().any(|change| change.kind == Kind::Endpoint && change.subject == peer.title())
}

/// Writes a peer as it is to be, its endpoint only if it `moves`.
fn write_new(text: &mut String, secrets: &Secrets, peer: &PeerConfig, moves: bool) {
    let endpoint = peer.endpoint.as_ref().filter(|_| moves).map(ToString::to_string);
    let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    write_peer(text, peer.public_key, preshared(secrets, peer), &allowed, endpoint, peer.keepalive);
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
