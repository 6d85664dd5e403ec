//! Who leaves by which exit.

use crate::db::Store;
use crate::model::{Action, Actor, Event};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::change::{Done, Mode, Outcome, carry_out, with_changes};
use crate::ops::network::difference::differences;
use crate::ops::network::setting::{Leave, Setting};
use crate::ops::network::{defaults, find};

/// The word for what holds for all remotes that have nothing of their own.
pub const NETWORK: &str = "network";

/// Says by which way the internet traffic of nodes leaves, or of the network. Who has it so already is passed over.
///
/// # Errors
/// When nobody's way would change, and for ways that can't be.
pub fn assign(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &[String],
    leave: &Leave,
    mode: Mode,
) -> Result<Outcome, Error> {
    if wanted.iter().any(|name| name == NETWORK) {
        if wanted.len() > 1 {
            return Err(Error::value("NAME", "`network` stands for itself; name nodes in a command of their own"));
        }
        if *leave == Leave::AsNetwork {
            return Err(Error::value("EXIT", "the network has nobody to follow: give it an exit, a group or `none`"));
        }
        return defaults::set(store, clock, actor, &[defaults::Setting::Exit(leave.clone())], mode);
    }
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let mut done = Done::default();
        for name in wanted {
            let before = find::node(scope.before, name)?;
            let mut node = before.clone();
            Setting::Exit(leave.clone()).apply(&mut node, scope.before)?;
            let changes = differences((before, scope.before), (&node, scope.before));
            if changes.is_empty() || done.nodes.contains(&node.id) {
                continue;
            }
            scope.tx.update_node(&node, scope.now)?;
            done.events.push(with_changes(Event::node(Action::NodeAssigned, &node), &changes));
            done.nodes.push(node.id);
        }
        if done.nodes.is_empty() {
            return Err(Error::Refused(format!("already so: {}; nothing was changed", wanted.join(", "))));
        }
        Ok(done)
    })
}
