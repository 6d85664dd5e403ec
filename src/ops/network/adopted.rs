//! What adopted nodes keep of their own configurations, and how they let go of it.
//!
//! What is kept adds to what the model says. Where the operator sets the very thing that is kept, his word counts.

use super::change::Scope;
use super::setting::Setting;
use crate::model::{Interface, Kept, KeptPeer, Node};
use crate::ops::Error;

/// Lets go of what a node keeps of a thing that is being set.
pub(super) fn lapse(setting: &Setting, node: &mut Node) {
    let Some(kept) = kept_mut(node) else { return };
    match setting {
        Setting::Port(_) => kept.port_auto = false,
        Setting::Mtu(None) => kept.mtu_auto = false,
        Setting::Keepalive(_) => kept.peers.values_mut().for_each(|peer| peer.keepalive = None),
        Setting::Access(_)
        | Setting::Exit(_)
        | Setting::KillSwitch(_)
        | Setting::ClearRouted
        | Setting::AddRouted(_)
        | Setting::RemoveRouted(_)
        | Setting::Allow(_)
        | Setting::Disallow(_)
        | Setting::ClearAllowed
        | Setting::AddGrant(_)
        | Setting::RemoveGrant(_)
        | Setting::ClearGrants => kept.peers.values_mut().for_each(|peer| {
            peer.added.clear();
            peer.left_out.clear();
        }),
        _ => return,
    }
    kept.peers.retain(|_, peer| *peer != KeptPeer::default());
}

fn kept_mut(node: &mut Node) -> Option<&mut Kept> {
    node.interfaces.first_mut().and_then(|main| main.kept.as_mut())
}

/// Says whether wg-quick(8) may overwrite the file of an adopted interface.
pub(super) fn save_config(node: &mut Node, wanted: bool) -> Result<(), Error> {
    if wanted {
        return Err(Error::value(
            "save-config",
            "wg-quick would overwrite the file, and what was deployed with it: only `off` can be set",
        ));
    }
    if let Some(kept) = kept_mut(node) {
        kept.save_config = false;
    }
    Ok(())
}

/// Lets a node follow the model in all that is about its links: AllowedIPs, endpoints, keepalives, port and MTU, on its own
/// interface and at its peers. Comments, hooks and unknown keys stay.
pub(super) fn follow_model(scope: &Scope<'_>, node: &mut Node) -> Result<(), Error> {
    if let Some(kept) = kept_mut(node) {
        kept.peers.clear();
        (kept.port_auto, kept.mtu_auto) = (false, false);
    }
    let own = node.main().id;
    for other in scope.before.nodes.iter().filter(|other| other.id != node.id) {
        let speaks = |interface: &Interface| interface.kept.as_ref().is_some_and(|kept| kept.peers.contains_key(&own));
        if other.interfaces.iter().any(speaks) {
            let mut other = other.clone();
            for kept in other.interfaces.iter_mut().filter_map(|interface| interface.kept.as_mut()) {
                kept.peers.remove(&own);
            }
            scope.tx.update_node(&other, scope.now)?;
        }
    }
    Ok(())
}

/// Notes that a node's key has become known.
pub(super) fn key_is_known(node: &mut Node) {
    if let Some(kept) = kept_mut(node) {
        kept.key_unknown = false;
    }
}

/// Returns how much a node keeps of its own configuration, in words: what `set` shows and compares.
pub(super) fn in_words(node: &Node) -> String {
    let Some(kept) = node.main().kept.as_ref() else { return "nothing".to_owned() };
    let mut parts = Vec::new();
    let links = kept.peers.values().filter(|peer| **peer != KeptPeer::default()).count();
    if links > 0 {
        parts.push(format!("{links} {} as found", if links == 1 { "link" } else { "links" }));
    }
    if kept.port_auto {
        parts.push("no port".to_owned());
    }
    if kept.mtu_auto {
        parts.push("no MTU".to_owned());
    }
    if kept.key_unknown {
        parts.push(format!("a stand-in for its key (`wg-friend rotate {} --public-key KEY` tells it)", node.name));
    }
    if !kept.made {
        parts.push("comments and hooks".to_owned());
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}
