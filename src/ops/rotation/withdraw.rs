//! Taking a staged key back before anybody has used it.

use crate::db::Store;
use crate::fleet::Fleet;
use crate::model::{Action, Actor, Custody, Event, KeyState, Name, Node, PublicKey};
use crate::ops::clock::Clock;
use crate::ops::deploy::journal::deployed;
use crate::ops::deploy::{self, Progress};
use crate::ops::error::Error;
use crate::ops::network::change::{Done, Mode, Outcome, carry_out};
use crate::ops::network::find;
use crate::ops::revision;
use crate::wg::InterfaceConfig;
use crate::wg::compile::Neighbours;

use super::overlap::movers;

/// Withdraws the next keys of a node: the present ones stay. Hosts that were told of one are asked first whether it is in use
/// already.
///
/// # Errors
/// When there is no such node, it has no next key, that is in use, or a host that would know gives no answer.
#[expect(clippy::too_many_arguments, reason = "what it touches, whose keys, and how")]
pub fn withdraw(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    name: &str,
    mode: Mode,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let node = find::node(&topology, name)?.clone();
    if node.interfaces.iter().all(|own| own.staged_key.is_none()) {
        return Err(Error::Refused(format!("`{}` has no next key: nothing to withdraw", node.name)));
    }
    let near = super::status::near(&Neighbours::of(&topology), &node);
    let told: Vec<Name> = near.iter().filter(|host| knows(store, host, &node).unwrap_or(true)).cloned().collect();
    let mut moved = Vec::new();
    if !told.is_empty() {
        let plan = deploy::plan(store, fleet, clock, actor, &told, parallel, progress)?;
        if plan.rotated.iter().any(|settled| settled.node == node.name) {
            return Err(in_use(&node.name));
        }
        if let Some(silent) = plan.hosts.iter().find(|host| host.seen.is_err()) {
            return Err(Error::RefusedWithRemedy {
                message: format!(
                    "`{}` was told the next key of `{}` and gives no answer now: nobody knows whether it is in use",
                    silent.host.name, node.name
                ),
                hint: format!(
                    "try again when it answers; `wg-friend rotate {} --now` replaces both keys by a third one",
                    node.name
                ),
            });
        }
        let own = plan.hosts.iter().find(|host| Some(&host.host.name) == node.host.as_ref());
        let movers = |host| node.interfaces.iter().filter_map(move |interface| movers(interface, host)).flatten();
        let on_hosts = |name: &Name| topology.nodes.iter().any(|other| other.name == *name && other.host.is_some());
        let by_hand = own.into_iter().flat_map(movers).filter(|mover| mover.moved && !on_hosts(&mover.node));
        moved.extend(by_hand.map(|mover| format!("`{}`", mover.node)));
    }
    let moved = (!moved.is_empty()).then(|| {
        format!("these go by the next key already, and need the files that they had before: {}", moved.join(", "))
    });
    let given = revision::with_next_key(store, &node)?;
    let given = given.map(|file| format!("{file}: it will never work, take it back; the file before stays good"));
    carry_out(store, clock, actor, "withdrawn", mode, |scope| {
        let before = find::node(scope.before, name)?;
        let mut node = before.clone();
        let mut event = Event::node(Action::KeyRotation, &node);
        for interface in &before.interfaces {
            let Some(staged) = interface.staged_key else { continue };
            scope.tx.withdraw_staged_key(interface.id, "withdrawn before it was used", scope.now)?;
            event = event.with(interface.name.as_str(), format!("{} stays, not {staged}", interface.public_key));
        }
        // A device that was to make its next key itself may have had its present one from here.
        let history = scope.tx.key_history(node.id)?;
        let active = history.iter().find(|key| key.interface == node.main().id && key.state == KeyState::Active);
        if active.is_some_and(|key| key.held) {
            node.custody = Custody::Held;
        }
        if node != *before {
            scope.tx.update_node(&node, scope.now)?;
        }
        Ok(Done {
            nodes: vec![node.id],
            events: vec![event],
            remarks: given.into_iter().chain(moved).collect(),
            ..Done::default()
        })
    })
}

fn in_use(name: &Name) -> Error {
    Error::RefusedWithRemedy {
        message: format!("`{name}` uses its next key already"),
        hint: format!("`wg-friend deploy` removes the one before; `wg-friend rotate {name}` makes another"),
    }
}

/// Whether a host was told any of a node's next keys, or has one of its own in use.
fn knows(store: &Store, host: &Name, node: &Node) -> Result<bool, Error> {
    let Some(deployed) = deployed(store, host)? else { return Ok(false) };
    let next = |key: PublicKey| node.interfaces.iter().any(|own| own.staged_key == Some(key));
    let has = |interface: &InterfaceConfig| {
        next(interface.public_key) || interface.peers.iter().any(|peer| next(peer.public_key))
    };
    Ok(deployed.version.interfaces.iter().any(has))
}
