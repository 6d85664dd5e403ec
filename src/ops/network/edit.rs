//! Changing nodes: what is set on them, their names, whether they are switched on.

use std::net::IpAddr;

use super::change::{Done, Mode, Outcome, Scope, carry_out, with_changes};
use super::difference::{Difference, differences};
use super::place::{Places, resting};
use super::readdress::refuse_cut_ways;
use super::setting::Setting;
use super::{adopted, custody, find};
use crate::db::Store;
use crate::model::{Action, Actor, Event, Name, Node, PrivateKey, Role};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// Sets values on a node.
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    settings: &[Setting],
    mode: Mode,
) -> Result<Outcome, Error> {
    set_with_key(store, clock, actor, wanted, settings, None, mode)
}

/// Sets values on a node. `key` is its private key, to be held from now on.
pub fn set_with_key(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    settings: &[Setting],
    key: Option<&PrivateKey>,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let before = find::node(scope.before, wanted)?;
        let mut node = before.clone();
        let mut done = Done::default();
        for setting in settings {
            setting.apply(&mut node, scope.before)?;
            match setting {
                Setting::Address(asked) => readdress(scope, &mut node, asked)?,
                Setting::FollowModel => adopted::follow_model(scope, &mut node)?,
                Setting::Custody(wanted) => custody::change(scope, &mut node, *wanted, key, &mut done)?,
                _ => {}
            }
        }
        let changes = differences((before, scope.before), (&node, scope.before));
        if changes.is_empty() {
            return Err(Error::Refused(format!("`{}` is like that already; nothing was changed", node.name)));
        }
        scope.tx.update_node(&node, scope.now)?;
        done.events.push(with_changes(Event::node(action_of(&changes), &node), &changes));
        Ok(Done { nodes: vec![node.id], ..done })
    })
}

/// Moves a node to addresses that were asked for, or to free ones.
fn readdress(scope: &Scope<'_>, node: &mut Node, asked: &[IpAddr]) -> Result<(), Error> {
    let mut places = Places::of(scope.before, node.role, resting(scope)?);
    let pair = places.place(scope.before, asked, Some(node.id))?;
    (node.address4, node.address6) = (pair.four, pair.six);
    let mut after = scope.before.clone();
    after.nodes.iter_mut().filter(|other| other.id == node.id).for_each(|other| *other = node.clone());
    refuse_cut_ways(scope.before, &after)
}

/// Returns the word of the audit log for what changed.
fn action_of(changes: &[Difference]) -> Action {
    let all_in = |fields: &[&str]| changes.iter().all(|change| fields.contains(&change.field));
    if all_in(&["access", "allow-lan", "grant"]) {
        Action::AccessChanged
    } else if all_in(&["exit"]) {
        Action::NodeAssigned
    } else {
        Action::PeerUpdated
    }
}

/// Gives a node another name.
pub fn rename(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    name: Name,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "renamed", mode, |scope| {
        let before = find::node(scope.before, wanted)?;
        find::check_name(scope.before, &name, Some(before))?;
        if before.name == name {
            return Err(Error::Refused(format!("it is called `{name}` already; nothing was changed")));
        }
        let node = Node { name: name.clone(), ..before.clone() };
        scope.tx.update_node(&node, scope.now)?;
        let changes = differences((before, scope.before), (&node, scope.before));
        let event = with_changes(Event::node(Action::PeerUpdated, &node), &changes);
        Ok(Done { events: vec![event], nodes: vec![node.id], ..Done::default() })
    })
}

/// Switches nodes on or off. One that is so already is passed over.
pub fn switch(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &[String],
    enabled: bool,
    mode: Mode,
) -> Result<Outcome, Error> {
    let word = if enabled { "enabled" } else { "disabled" };
    carry_out(store, clock, actor, word, mode, |scope| {
        let mut done = Done::default();
        for name in wanted {
            let before = find::node(scope.before, name)?;
            if before.enabled == enabled || done.nodes.contains(&before.id) {
                continue;
            }
            let node = Node { enabled, ..before.clone() };
            scope.tx.update_node(&node, scope.now)?;
            let changes = differences((before, scope.before), (&node, scope.before));
            done.events.push(with_changes(Event::node(Action::PeerUpdated, &node), &changes));
            done.nodes.push(node.id);
            done.remarks.extend(consequence(scope, &node));
        }
        if done.nodes.is_empty() {
            return Err(Error::Refused(format!("already {word}: {}; nothing was changed", wanted.join(", "))));
        }
        Ok(done)
    })
}

/// Says what follows for others when a node is switched off.
fn consequence(scope: &Scope<'_>, node: &Node) -> Option<String> {
    if node.enabled {
        return None;
    }
    let others = || scope.before.enabled().filter(|other| other.id != node.id);
    match node.role {
        Role::Server if others().all(|other| other.role != Role::Server) => {
            Some(format!("without `{}` the network has no server: no config can be made", node.name))
        }
        Role::Exit => {
            let users: Vec<&str> = others()
                .filter(|o| scope.before.egress(o).nodes().contains(&node.id))
                .map(|o| o.name.as_str())
                .collect();
            (!users.is_empty()).then(|| format!("the internet of {} leaves by none of our exits now", users.join(", ")))
        }
        Role::Server | Role::Router | Role::Remote => None,
    }
}
