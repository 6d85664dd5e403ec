//! Who keeps a node's private key, and changing that.

use super::change::{Done, Scope};
use crate::model::{Action, Custody, Event, Node, PrivateKey};
use crate::ops::Error;

/// Refuses what can't be, before anybody is asked.
fn check(node: &Node, wanted: Custody, key: Option<&PrivateKey>) -> Result<(), Error> {
    let refused = |message: String, hint: String| Err(Error::RefusedWithRemedy { message, hint });
    let name = &node.name;
    match (node.custody, wanted) {
        (_, Custody::Held) if key.is_some_and(|key| key.public() != node.main().public_key) => refused(
            format!("the private key is not the one of `{name}`, whose public key is {}", node.main().public_key),
            format!("to give it another key: `wg-friend rotate {name} --reason TEXT`"),
        ),
        (Custody::Held, Custody::Held) => Ok(()),
        (_, Custody::Held) if key.is_none() => refused(
            format!("the private key of `{name}` is not here"),
            format!(
                "take it from where it is kept and give it with `wg-friend set {name} custody=held --private-key-file FILE`; `-` reads it from standard input"
            ),
        ),
        (_, Custody::Held) => Ok(()),
        (_, _) if key.is_some() => {
            refused("a private key was given, and is not to be kept".into(), "say custody=held with it".into())
        }
        (Custody::Held, _) => match &node.host {
            Some(host) => refused(
                format!("`{name}` runs on the host `{host}`, and its files there need its private key"),
                format!(
                    "let the host make its own with `wg-friend interface key {host} {} --make-on-host`, or manage it by hand \
                     from now on: `wg-friend set {name} host=none`, then this again",
                    node.main().name
                ),
            ),
            None => Ok(()),
        },
        (Custody::NeverSeen, Custody::ShownOnce) => refused(
            format!("the private key of `{name}` was never here, so it can't be shown"),
            "its device has it; there is nothing to change".into(),
        ),
        _ => Ok(()),
    }
}

/// Changes who keeps the private key of a node's main interface. A key that is to be shown once is shown now; one that is
/// given is sealed; one that is no longer held is wiped.
pub(super) fn change(
    scope: &Scope<'_>,
    node: &mut Node,
    wanted: Custody,
    key: Option<&PrivateKey>,
    done: &mut Done,
) -> Result<(), Error> {
    check(node, wanted, key)?;
    let interface = node.main().id;
    match (node.custody, wanted, key) {
        (_, Custody::Held, Some(key)) => {
            scope.tx.hold_private_key(interface, key)?;
            node.provisional = false;
        }
        (Custody::Held, Custody::ShownOnce | Custody::NeverSeen, _) => {
            let key = scope.tx.secrets()?.private.remove(&interface);
            scope.tx.forget_everywhere(interface)?;
            done.events.push(Event::node(Action::PrivateKeyForgotten, node));
            done.remarks.push(format!(
                "the private key of `{0}` is wiped: no code and no whole file can be made for it any more; a lost device means `wg-friend rotate {0} --now`",
                node.name
            ));
            if let Some(key) = key.filter(|_| wanted == Custody::ShownOnce) {
                done.shown_once.insert(interface, key);
            }
        }
        _ => {}
    }
    node.custody = wanted;
    Ok(())
}
