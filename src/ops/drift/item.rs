//! What a difference is called when somebody made it on the host, and by what it is known again. Pure.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::db::DriftItem;
use crate::fleet::Observed;
use crate::model::{DriftKind, Name, Severity};
use crate::ops::deploy::desired::Desired;
use crate::ops::deploy::{Cause, Change, HostPlan, Kind};

/// A piece of drift, with the places of the plan's differences that make it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub item: DriftItem,
    /// Where it stands among the differences.
    pub changes: Vec<usize>,
}

/// Returns what drifted on a host that answered; nothing for one that didn't.
pub fn items(plan: &HostPlan) -> Vec<Found> {
    let Ok(seen) = &plan.seen else { return Vec::new() };
    let host = &plan.host.name;
    named(host, &seen.changes, &|change| substance(change, &plan.desired, &seen.observed), &|change| {
        in_file(&change.subject, &plan.desired, &seen.observed)
    })
}

/// Names the drift among differences. `substance` is what was found behind the words of a difference, where they are the
/// same for whatever was found; `in_file` tells what of a file differs.
pub(super) fn named(
    host: &Name,
    changes: &[Change],
    substance: &dyn Fn(&Change) -> Option<Vec<u8>>,
    in_file: &dyn Fn(&Change) -> InFile,
) -> Vec<Found> {
    let drift = |change: &Change| change.cause == Cause::Drift;
    let mut found = Vec::new();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    for (at, change) in changes.iter().enumerate().filter(|(_, change)| drift(change)) {
        if taken.contains(&at) {
            continue;
        }
        let (mut kind, mut severity, mut places) = (kind_of(change), change.severity, vec![at]);
        let (mut before, mut subject) = (change.before.clone(), change.subject.clone());
        match change.kind {
            // The kernel takes the routes of a link that goes down away, and its IPv6 addresses.
            Kind::LinkDown => places.extend(changes.iter().enumerate().filter_map(|(other, gone)| {
                let went_along = matches!(gone.kind, Kind::RouteMissing | Kind::AddressMissing)
                    && drift(gone)
                    && gone.interface == change.interface;
                went_along.then_some(other)
            })),
            // Another key has exactly what a missing peer had: somebody replaced the key, or himself.
            Kind::PeerExtra | Kind::PeerMissing => {
                let twin = changes.iter().enumerate().find(|(other, twin)| {
                    *other != at && !taken.contains(other) && drift(twin) && is_twin(change, twin)
                });
                if let Some((other, twin)) = twin {
                    let (extra, missing) = if change.kind == Kind::PeerExtra { (change, twin) } else { (twin, change) };
                    (kind, severity) = (DriftKind::PeerModified, Severity::Critical);
                    subject = missing.subject.clone();
                    before =
                        Some(format!("key {} with {}", extra.subject, extra.before.as_deref().unwrap_or_default()));
                    places.push(other);
                }
            }
            Kind::File if in_file(change) != InFile::Other => kind = DriftKind::HooksChanged,
            // The file that they stand in, and that differs in nothing else.
            Kind::Hook => {
                let path = change.interface.as_ref().map(|interface| format!("{interface}.conf"));
                let file = changes.iter().enumerate().find(|(other, file)| {
                    let same = file.kind == Kind::File && Some(&file.subject) == path.as_ref() && drift(file);
                    same && !taken.contains(other) && in_file(file) == InFile::Hooks
                });
                places.extend(file.map(|(other, _)| other));
            }
            _ => {}
        }
        taken.extend(&places);
        let mut item = DriftItem {
            id: String::new(),
            interface: change.interface.clone(),
            kind,
            subject,
            found: before,
            wanted: if kind == DriftKind::PeerModified { None } else { change.after.clone() },
            severity,
        };
        item.id = id(host, &item, substance(change).as_deref());
        found.push(Found { item, changes: places });
    }
    found
}

fn is_twin(change: &Change, other: &Change) -> bool {
    let (extra, missing) = match (change.kind, other.kind) {
        (Kind::PeerExtra, Kind::PeerMissing) => (change, other),
        (Kind::PeerMissing, Kind::PeerExtra) => (other, change),
        _ => return false,
    };
    extra.interface == missing.interface && extra.before.is_some() && extra.before == missing.after
}

fn kind_of(change: &Change) -> DriftKind {
    use DriftKind as D;
    let gone = change.before.as_deref().is_none_or(|before| before == "missing");
    match change.kind {
        Kind::InterfaceMissing => D::InterfaceRemoved,
        Kind::InterfaceExtra => D::InterfaceAdded,
        Kind::LinkDown => D::LinkDown,
        Kind::Restart | Kind::FwMark => D::DefaultRouteChanged,
        Kind::Hook => D::HooksChanged,
        Kind::PrivateKey => D::ServerKeyChanged,
        Kind::KeyFile | Kind::KeyLost if gone => D::KeyFileRemoved,
        Kind::KeyFile | Kind::KeyLost => D::KeyFileChanged,
        Kind::ListenPort => D::PortChanged,
        Kind::Mtu => D::MtuChanged,
        Kind::AddressMissing => D::AddressRemoved,
        Kind::AddressExtra => D::AddressAdded,
        Kind::RouteMissing => D::RouteRemoved,
        Kind::RouteExtra => D::RouteAdded,
        Kind::RuleMissing => D::RuleRemoved,
        Kind::RuleExtra => D::RuleAdded,
        Kind::Sysctl => D::SysctlChanged,
        Kind::PeerMissing => D::PeerRemoved,
        Kind::PeerExtra => D::PeerAdded,
        Kind::PeerKey => D::PeerModified,
        Kind::AllowedIps => D::AllowedIpsChanged,
        Kind::PresharedKey => D::PskChanged,
        Kind::Keepalive => D::KeepaliveChanged,
        Kind::Endpoint => D::EndpointChanged,
        Kind::Firewall if gone => D::FirewallRemoved,
        Kind::Firewall => D::FirewallChanged,
        Kind::File if gone => D::FileRemoved,
        Kind::File | Kind::Dns => D::FileChanged,
        Kind::FileExtra => D::FileAdded,
        Kind::Resolver if change.before.is_none() => D::ResolverStopped,
        Kind::Resolver => D::ResolverChanged,
        Kind::Fallback if change.before.is_none() => D::FallbackStopped,
        Kind::Fallback => D::FallbackChanged,
        Kind::Handover | Kind::Moving if change.before.is_none() => D::HandoverStopped,
        Kind::Handover | Kind::Moving => D::HandoverChanged,
        Kind::Boot => D::BootChanged,
    }
}

/// Digests what it is, where, and what was found, each with its length before it.
fn id(host: &Name, item: &DriftItem, substance: Option<&[u8]>) -> String {
    let mut digest = Sha256::new();
    let interface = item.interface.as_ref().map_or("", |interface| interface.as_str());
    let found = item.found.as_deref().unwrap_or_default();
    let words = [host.as_str(), interface, item.kind.as_str(), &item.subject, found];
    for part in words.map(str::as_bytes).into_iter().chain(substance) {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns what was found where a difference only says that it is something else.
fn substance(change: &Change, desired: &Desired, observed: &Observed) -> Option<Vec<u8>> {
    match change.kind {
        Kind::File => observed.files.get(&change.subject).map(|file| file.content.to_vec()),
        Kind::KeyFile | Kind::KeyLost => Some(observed.keys.get(&change.subject)?.public?.as_bytes().to_vec()),
        Kind::Firewall => {
            let table = change.subject.strip_prefix("table ")?;
            observed.tables.get(table).map(|rules| rules.as_bytes().to_vec())
        }
        Kind::PresharedKey => {
            let interface = change.interface.as_ref()?;
            let peers = &desired.interface(interface)?.peers;
            let peer = peers.iter().find(|peer| peer.title() == change.subject)?;
            let live = observed.interfaces.get(interface)?.live.peers.get(&peer.public_key)?;
            Some(live.preshared.as_ref()?.expose_base64().as_bytes().to_vec())
        }
        Kind::Hook => change.after.as_ref().map(|wanted| wanted.as_bytes().to_vec()),
        Kind::Restart => {
            let live = &observed.interfaces.get(change.interface.as_ref()?)?.live;
            Some(live.fwmark.to_le_bytes().to_vec())
        }
        _ => None,
    }
}

/// What of a file differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFile {
    /// Its hooks, and nothing else.
    Hooks,
    /// Its hooks, and more.
    HooksAndOther,
    /// Anything but its hooks.
    Other,
}

/// Compares a file of a host, by its name, with what it should be.
pub(super) fn in_file(path: &str, desired: &Desired, observed: &Observed) -> InFile {
    let (Some(wanted), Some(seen)) = (desired.files.get(path), observed.files.get(path)) else {
        return InFile::Other;
    };
    let seen = String::from_utf8_lossy(&seen.content);
    let rest = |text: &str| -> Vec<String> {
        let hooks = hooks(text);
        text.lines().map(str::trim).filter(|line| !hooks.contains(line)).map(str::to_owned).collect()
    };
    match (hooks(wanted) == hooks(&seen), rest(wanted) == rest(&seen)) {
        (true, _) => InFile::Other,
        (false, true) => InFile::Hooks,
        (false, false) => InFile::HooksAndOther,
    }
}

fn hooks(text: &str) -> Vec<&str> {
    let is_hook = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        ["PreUp", "PostUp", "PreDown", "PostDown"].iter().any(|hook| key.eq_ignore_ascii_case(hook))
    };
    text.lines().map(str::trim).filter(is_hook).collect()
}
