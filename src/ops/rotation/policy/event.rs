//! Saying that something happened to nodes that calls for other keys.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::scope::{self, Members};
use crate::db::{RecordedEvent, Store};
use crate::model::{
    Action, Actor, Event, InterfaceId, Name, Node, NodeId, RotationEvent, RotationPolicy, Severity, Trigger,
};
use crate::ops::clock::Clock;
use crate::ops::network::change::Mode;
use crate::ops::psk::{self, rotate::Answered};
use crate::ops::{Error, Kind};

/// What was taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// What happened.
    pub event: RotationEvent,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// To which nodes.
    pub nodes: Vec<Name>,
    /// Whether whoever has their keys isn't meant to: then it is no matter of policy.
    pub urgent: bool,
    /// Those of them whose key no enabled policy has replaced because of that.
    pub uncovered: Vec<Name>,
    /// What became of their links' preshared keys, where their policy names security events.
    #[serde(skip_serializing_if = "Answered::is_nothing")]
    pub preshared: Answered,
}

/// Takes down that something happened to nodes: those that are named, and the members of groups and roles as they are now.
///
/// # Errors
/// When a word names nobody; for what the history of the model tells by itself.
pub fn tell(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    kind: RotationEvent,
    whom: &[String],
    note: &str,
    mode: Mode,
) -> Result<Told, Error> {
    let now = clock.now();
    if !kind.is_told() {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{kind}` needs nobody to tell of it: the history of the model does"),
            hint: "a policy with `--on grant-changed` has keys replaced after each change of what a node may reach"
                .into(),
        });
    }
    let topology = store.topology()?;
    let scope = scope::read(&topology, whom)?;
    let members = Members::of(&scope, &topology);
    let nodes: Vec<_> = topology.nodes.iter().filter(|node| members.has(node)).collect();
    if nodes.is_empty() {
        return Err(Error::value("NODE", "names nobody: there is no such node in the network yet"));
    }
    let policies = store.rotation_policies()?;
    let answers = |policy: &&RotationPolicy| {
        policy.enabled && matches!(&policy.trigger, Trigger::Events(events) if events.contains(&kind))
    };
    let answering: Vec<Members<'_>> =
        policies.iter().filter(answers).map(|policy| Members::of(&policy.scope, &topology)).collect();
    let uncovered = nodes.iter().filter(|node| answering.iter().all(|members| !members.has(node)));
    let ids: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let mut told = Told {
        event: kind,
        saved: mode == Mode::Save,
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        urgent: kind.is_urgent(),
        uncovered: uncovered.map(|node| node.name.clone()).collect(),
        preshared: Answered::default(),
    };
    if mode == Mode::Save {
        store.write_all(now, actor, |tx| {
            let mut events = Vec::new();
            for node in &nodes {
                tx.record_rotation_event(&RecordedEvent {
                    node: node.id,
                    kind,
                    time: now,
                    operator: actor.operator.clone(),
                    note: note.trim().to_owned(),
                })?;
                let event = Event::node(Action::RotationCalledFor, node).with("event", kind.as_str());
                let event = if note.trim().is_empty() { event } else { event.with("note", note.trim()) };
                events.push(if kind.is_urgent() { event.severity(Severity::Critical) } else { event });
            }
            Ok::<_, Error>(((), events))
        })?;
        let what = kind.as_str().replace('_', " ");
        told.preshared =
            psk::rotate::on_event(store, clock, actor, &ids, &what).map_err(|error| half_done(&what, error))?;
    }
    Ok(told)
}

/// Says what is saved although the rest failed.
fn half_done(what: &str, error: Error) -> Error {
    if error.kind() == Kind::Tampered {
        return error;
    }
    Error::RefusedWithRemedy {
        message: format!("`{what}` is taken down, but preshared keys that it calls for are as they were: {error}"),
        hint: match error.hint() {
            Some(hint) => format!("{hint}; then say it again, with the same event and nodes"),
            None => "say it again, with the same event and nodes".to_owned(),
        },
    }
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withdrawn {
    /// What didn't happen.
    pub event: RotationEvent,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// Of which nodes that had been said.
    pub nodes: Vec<Name>,
}

/// Takes back what was said by mistake of nodes, all that was said of that kind since they have their keys. Preshared keys
/// that were replaced because of it stay as they are.
///
/// # Errors
/// When a word names nobody, when it was never said of a node, and when the node has got another key since.
pub fn withdraw(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    kind: RotationEvent,
    whom: &[String],
    mode: Mode,
) -> Result<Withdrawn, Error> {
    let topology = store.topology()?;
    let scope = scope::read(&topology, whom)?;
    let members = Members::of(&scope, &topology);
    let mut newest: BTreeMap<InterfaceId, DateTime<Utc>> = BTreeMap::new();
    for key in store.present_keys()? {
        let time = newest.entry(key.interface).or_insert(key.created);
        *time = key.created.max(*time);
    }
    let mut said: BTreeMap<NodeId, Vec<DateTime<Utc>>> = BTreeMap::new();
    for event in store.rotation_events()?.into_iter().filter(|event| event.kind == kind) {
        said.entry(event.node).or_default().push(event.time);
    }
    // Of a group or a role those are meant of whom it was said.
    let named = |node: &Node| whom.iter().any(|word| node.name.as_str().eq_ignore_ascii_case(word.trim()));
    let mut taken_back: Vec<(&Node, DateTime<Utc>)> = Vec::new();
    for node in topology.nodes.iter().filter(|node| members.has(node)) {
        let since = node.interfaces.iter().filter_map(|own| newest.get(&own.id)).max().copied();
        let times = said.get(&node.id).map_or(&[][..], Vec::as_slice);
        if times.iter().any(|time| since.is_none_or(|since| *time > since)) {
            taken_back.push((node, since.unwrap_or(DateTime::UNIX_EPOCH)));
        } else if named(node) {
            let what = kind.as_str().replace('_', " ");
            return Err(Error::Refused(match times.is_empty() {
                true => format!("nobody has said `{what}` of `{}`", node.name),
                false => format!(
                    "`{}` has another key since `{what}` was said of it: there is nothing to take back",
                    node.name
                ),
            }));
        }
    }
    if taken_back.is_empty() {
        return Err(Error::Refused("nobody has said that of any of them, or they have other keys since".into()));
    }
    let nodes = taken_back.iter().map(|(node, _)| node.name.clone()).collect();
    if mode == Mode::Save {
        store.write_all(clock.now(), actor, |tx| {
            let mut events = Vec::new();
            for (node, since) in &taken_back {
                tx.withdraw_rotation_events(node.id, kind, *since)?;
                let event = Event::node(Action::RotationCalledFor, node).with("event", kind.as_str());
                events.push(event.with("withdrawn", true));
            }
            Ok::<_, Error>(((), events))
        })?;
    }
    Ok(Withdrawn { event: kind, saved: mode == Mode::Save, nodes })
}
