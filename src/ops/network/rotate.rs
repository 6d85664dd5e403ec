//! Giving a node a new key.

use super::change::{Done, Mode, Outcome, carry_out, new_private_key};
use super::find;
use crate::db::Store;
use crate::model::{Action, Actor, Custody, Event, InterfaceKind, Node, PublicKey};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What to rotate.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The node.
    pub node: String,
    /// Why; kept with the old key.
    pub reason: String,
    /// The new public key, when the device makes its keys itself.
    pub public_key: Option<PublicKey>,
}

/// Replaces the key of every interface of a node; the old ones are retired, with the reason.
///
/// A node that was known only by its public key gets a private key of its own, and with it a config.
pub fn rotate(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Rotation,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "rotated", mode, |scope| {
        let before = find::node(scope.before, &request.node)?;
        let node = Node { custody: custody(before, request)?, provisional: false, ..before.clone() };
        if (node.custody, node.provisional) != (before.custody, before.provisional) {
            scope.tx.update_node(&node, scope.now)?;
        }
        let mut done = Done { nodes: vec![node.id], ..Done::default() };
        let mut event = Event::node(Action::KeyRotation, &node).with("reason", request.reason.as_str());
        for interface in &node.interfaces {
            let is_main = interface.kind == InterfaceKind::Main;
            let (public, private) = match request.public_key.filter(|_| is_main) {
                Some(public) => (public, None),
                None => {
                    let private = new_private_key()?;
                    (private.public(), Some(private))
                }
            };
            if scope.tx.interface_with_key(public)?.is_some() {
                return Err(Error::Refused(format!("the key {public} is or was in use already; make a new one")));
            }
            // The keys of uplinks are ours whoever keeps that of the main interface.
            let kept = private.as_ref().filter(|_| !is_main || node.custody == Custody::Held);
            scope.tx.replace_key(interface.id, public, kept, &request.reason, scope.now)?;
            event = event.with(interface.name.as_str(), format!("{} → {}", interface.public_key, public));
            if let Some(private) = private.filter(|_| is_main && node.custody == Custody::ShownOnce) {
                done.shown_once.insert(interface.id, private);
            }
        }
        if before.provisional {
            done.remarks.push(format!("`{}` has a private key now, and a config of its own", node.name));
        }
        done.events.push(event);
        Ok(done)
    })
}

/// Says who keeps the new private key.
fn custody(node: &Node, request: &Rotation) -> Result<Custody, Error> {
    match (request.public_key, node.custody) {
        (Some(_), _) => Ok(Custody::NeverSeen),
        (None, _) if node.provisional => Ok(Custody::Held),
        (None, Custody::NeverSeen) => Err(Error::RefusedWithRemedy {
            message: format!("the device of `{}` keeps its private key, so only it can make a new one", node.name),
            hint: "make it there with `wg genkey` and `wg pubkey`, and give its public key with --public-key KEY"
                .into(),
        }),
        (None, custody) => Ok(custody),
    }
}
