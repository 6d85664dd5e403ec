//! The peers of a wg-quick file, put together: each key once, and which of them has what.

use std::collections::{HashMap, HashSet};

use super::comments;
use super::fault::{Fault, FaultKind};
use super::read::{Pass, Reading};
use super::syntax::Line;
use super::values::Wrong;
use crate::model::{Cidr, Endpoint, PresharedKey, PublicKey};
use crate::wg::TunnelPeer;

/// Returns what each peer gets of the AllowedIPs, in order: of two peers that name the same prefix, the last has it.
pub fn effective_allowed_ips(peers: &[TunnelPeer]) -> Vec<Vec<Cidr>> {
    let lists: Vec<&[Cidr]> = peers.iter().map(|peer| peer.allowed_ips.as_slice()).collect();
    effective(&lists)
}

/// The same for the lists alone. A prefix that one peer names twice counts once.
pub(super) fn effective(lists: &[&[Cidr]]) -> Vec<Vec<Cidr>> {
    let mut owners: HashMap<Cidr, usize> = HashMap::new();
    for (index, list) in lists.iter().enumerate() {
        owners.extend(list.iter().map(|cidr| (*cidr, index)));
    }
    let own = |(index, list): (usize, &&[Cidr])| {
        dedup(list.iter().filter(|cidr| owners.get(cidr) == Some(&index)).copied().collect())
    };
    lists.iter().enumerate().map(own).collect()
}

fn dedup(list: Vec<Cidr>) -> Vec<Cidr> {
    let mut seen = HashSet::new();
    list.into_iter().filter(|cidr| seen.insert(*cidr)).collect()
}

/// A peer as far as it is read.
pub(super) struct Draft {
    pub(super) section: usize,
    pub(super) header: usize,
    pub(super) key: Option<(PublicKey, usize)>,
    pub(super) preshared: Option<Option<PresharedKey>>,
    /// With the line of each.
    pub(super) allowed: Vec<(Cidr, usize)>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) keepalive: Option<Option<u16>>,
    pub(super) unknown: Vec<(String, String)>,
    /// Whether there is a line for its key, which was told about if it can't be read.
    pub(super) told: bool,
}

impl Pass<'_> {
    /// Returns what was read, once every line was.
    pub(super) fn finish(mut self) -> Result<Reading, Vec<Fault>> {
        if self.peers.is_empty() && self.interface_line.is_none() && self.errors.is_empty() {
            let remedy = "`wg setconf` takes it, and so takes everything away from the interface";
            let wrong = Wrong::new(FaultKind::Empty, "there is no configuration in this file", "[Interface]", remedy);
            self.error(0, 0..0, wrong);
        } else if self.interface_line.is_none() {
            let header = self.peers.first().map_or(0, |peer| peer.header);
            let range = self.document.lines().get(header).map_or(0..0, Line::name);
            let remedy = "wg takes it; the interface then has no key";
            self.warn(header, range, Wrong::new(FaultKind::NoInterface, "peers without an [Interface]", "", remedy));
        }
        let names = comments::names(self.document);
        let drafts = std::mem::take(&mut self.peers);
        let drafts = self.keyed(drafts);
        self.shared(&drafts, &names);
        for draft in drafts {
            let name = names.get(&draft.section).cloned();
            let (key, _) = draft.key.expect("those without one are left out");
            self.tunnel.peers.push(TunnelPeer {
                name,
                public_key: key,
                preshared: draft.preshared.flatten(),
                allowed_ips: dedup(draft.allowed.into_iter().map(|(cidr, _)| cidr).collect()),
                endpoint: draft.endpoint,
                keepalive: draft.keepalive.flatten(),
                unknown: draft.unknown,
            });
        }
        self.errors.sort_by_key(|fault| (fault.line, fault.column));
        self.warnings.sort_by_key(|fault| (fault.line, fault.column));
        if self.errors.is_empty() {
            Ok(Reading { tunnel: self.tunnel, warnings: self.warnings })
        } else {
            Err(self.errors)
        }
    }

    /// Returns the peers that have keys, each key once.
    fn keyed(&mut self, drafts: Vec<Draft>) -> Vec<Draft> {
        let own = self.tunnel.private_key.as_ref().map(|key| key.public());
        let mut kept: Vec<Draft> = Vec::with_capacity(drafts.len());
        let mut by_key: HashMap<PublicKey, usize> = HashMap::new();
        for draft in drafts {
            let Some((key, line)) = draft.key else {
                if !draft.told {
                    let range = self.document.lines()[draft.header].name();
                    let wrong =
                        Wrong::new(FaultKind::NoPublicKey, "this peer has no public key", "PublicKey = ...", "");
                    self.error(draft.header, range, wrong);
                }
                continue;
            };
            let range = self.document.lines()[line].value();
            if own == Some(key) {
                let remedy = "WireGuard passes over such a peer: this may be the file of the other end";
                let wrong = Wrong::new(FaultKind::OwnKey, "a peer with the interface's own key", "another key", remedy);
                self.if_lenient(line, range, wrong);
                continue;
            }
            match by_key.get(&key) {
                None => {
                    by_key.insert(key, kept.len());
                    kept.push(draft);
                }
                Some(&first) => {
                    let at = kept[first].key.map_or(0, |(_, line)| line + 1);
                    let found = format!("the peer {}... a second time; the first is in line {at}", key.short());
                    let remedy = "wg takes both for one, and the AllowedIPs of the last only: join the two";
                    self.if_lenient(line, range, Wrong::new(FaultKind::SamePeer, found, "", remedy));
                    merge(&mut kept[first], draft);
                }
            }
        }
        kept
    }

    /// Warns of prefixes that two peers have.
    fn shared(&mut self, drafts: &[Draft], names: &HashMap<usize, String>) {
        let called = |draft: &Draft| match (names.get(&draft.section), draft.key) {
            (Some(name), _) => name.clone(),
            (None, Some((key, _))) => format!("{}...", key.short()),
            (None, None) => "a peer".to_owned(),
        };
        let mut owners: HashMap<Cidr, (usize, usize)> = HashMap::new();
        for (index, draft) in drafts.iter().enumerate() {
            for (cidr, line) in &draft.allowed {
                let Some((other, before)) = owners.insert(*cidr, (index, *line)) else { continue };
                if other == index {
                    continue;
                }
                let (one, two) = (called(&drafts[other]), called(draft));
                let found =
                    format!("{cidr} is at two peers: {one} (line {}) and {two} (line {})", before + 1, line + 1);
                let remedy = format!("wg gives it to the last, {two}, without a word");
                let range = self.document.lines()[*line].value();
                self.warn(*line, range, Wrong::new(FaultKind::SharedAllowedIp, found, "", remedy));
            }
        }
    }
}

/// What WireGuard makes of a peer that is given twice.
fn merge(first: &mut Draft, second: Draft) {
    first.allowed = second.allowed;
    first.preshared = second.preshared.or(first.preshared.take());
    first.endpoint = second.endpoint.or(first.endpoint.take());
    first.keepalive = second.keepalive.or(first.keepalive);
    first.unknown.extend(second.unknown);
}
