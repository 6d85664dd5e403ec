//! Whose keys are due, and why. Pure, and linear in nodes, keys, events and policies.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::scope::Members;
use crate::db::{KeyOf, RecordedEvent, RightsChange, Traffic};
use crate::model::{
    Custody, InterfaceId, KeyState, Name, Node, NodeId, Role, RotationEvent, RotationPolicy, Topology, Trigger,
};
use crate::ops::interface::key::has_key_on_host;
use crate::ops::traffic::usage::{Usage, of_interfaces};

/// All that says whose keys are due.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The network.
    pub topology: Topology,
    /// Its policies; those that are disabled count for nothing.
    pub policies: Vec<RotationPolicy>,
    /// The keys that are in use or wait for it.
    pub keys: Vec<KeyOf>,
    /// What somebody said has happened.
    pub events: Vec<RecordedEvent>,
    /// When what nodes may reach was changed.
    pub rights: Vec<RightsChange>,
    /// What went between interfaces.
    pub traffic: Vec<Traffic>,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its key is to be replaced now.
    Due,
    /// It will be within the notice.
    Soon,
    /// It won't be for longer than that, as far as anybody can tell.
    InOrder,
}

/// Why a key is due, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Why {
    /// Its age.
    Age {
        /// In whole days.
        days: i64,
        /// How old it may get, in days.
        limit_days: u32,
    },
    /// What went under it.
    Usage {
        /// Bytes, in both directions.
        bytes: u64,
        /// How many may.
        limit_bytes: u64,
    },
    /// Something that happened to its node.
    Event {
        /// What.
        event: RotationEvent,
        /// When.
        time: DateTime<Utc>,
        /// Who said so; `None` for what the history of the model tells.
        operator: Option<String>,
        /// What else he said; may be empty.
        note: String,
    },
    /// Nothing yet: its policies wait for something to happen.
    Nothing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { days: 1, limit_days } => write!(f, "1 day old, {limit_days} allowed"),
            Self::Age { days, limit_days } => write!(f, "{days} days old, {limit_days} allowed"),
            Self::Usage { bytes, limit_bytes } => {
                write!(f, "{} used, {} allowed", Amount(*bytes), Amount(*limit_bytes))
            }
            Self::Event { event, time, note, .. } => {
                write!(f, "{} on {}", event.as_str().replace('_', " "), time.format("%Y-%m-%d"))?;
                if note.is_empty() { Ok(()) } else { write!(f, ": {note}") }
            }
            Self::Nothing => f.write_str("nothing has happened"),
        }
    }
}

/// Bytes with a decimal unit. Whole amounts have no fraction, others two digits of it, and never more than there is.
#[derive(Clone, Copy, Debug)]
pub struct Amount(pub u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] =
            [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
        let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| self.0 >= *size) else {
            return write!(f, "{} B", self.0);
        };
        let hundredths = self.0 / (size / 100);
        match (hundredths / 100, hundredths % 100) {
            (whole, 0) => write!(f, "{whole} {unit}"),
            (whole, rest) => write!(f, "{whole}.{rest:02} {unit}"),
        }
    }
}

/// A node that at least one enabled policy covers, under the one of them that is due first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name.
    pub node: Name,
    /// Which.
    #[serde(skip)]
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// How it stands.
    pub state: State,
    /// The policy.
    pub policy: Name,
    /// Why, as far as that policy goes.
    #[serde(flatten)]
    pub why: Why,
    /// Since when its key is in use, or waits for its peers; of several interfaces the oldest one.
    pub last: DateTime<Utc>,
    /// When it is due, or became so; `None` when nobody can tell. What goes by traffic is an estimate.
    pub next: Option<DateTime<Utc>>,
    /// Whether whoever has the old key isn't meant to: then it has to go at once, and not only once the new one is in use.
    pub urgent: bool,
    /// Whether the hosts concerned are to be deployed afterwards: by this policy, or by any other by which it is due.
    pub auto_deploy: bool,
    /// Why nobody but a person can replace the key, and how he does.
    pub by_hand: Option<String>,
    /// Bytes under its present key and in all.
    pub traffic: Usage,
}

impl Standing {
    /// Whether it is due within a time from now.
    pub fn is_due_within(&self, now: DateTime<Utc>, within: TimeDelta) -> bool {
        self.state == State::Due || (within > TimeDelta::zero() && self.next.is_some_and(|next| next - now <= within))
    }
}

/// What is known of a node beside the model.
struct Known {
    /// Since when its newest keys are known; one that waits for its peers counts.
    newest: DateTime<Utc>,
    /// Since when the keys are known that are in use.
    active: DateTime<Utc>,
    usage: Usage,
}

/// Tells how every enabled node stands that an enabled policy covers, by name. `within` takes the place of each policy's own
/// notice.
pub fn standings(facts: &Facts, now: DateTime<Utc>, within: Option<TimeDelta>) -> Vec<Standing> {
    let keys = by_interface(&facts.keys);
    let newest = keys.iter().filter_map(|(id, keys)| Some((*id, keys.last()?.public_key))).collect();
    let usage = of_interfaces(&facts.traffic, &newest);
    let mut happened: BTreeMap<NodeId, Vec<Happened<'_>>> = BTreeMap::new();
    for event in &facts.events {
        happened.entry(event.node).or_default().push(Happened::Told(event));
    }
    for change in &facts.rights {
        happened.entry(change.node).or_default().push(Happened::Changed(change.time));
    }
    let policies: Vec<(&RotationPolicy, Members<'_>)> = facts
        .policies
        .iter()
        .filter(|policy| policy.enabled)
        .map(|policy| (policy, Members::of(&policy.scope, &facts.topology)))
        .collect();
    let mut standings: Vec<Standing> = Vec::new();
    for node in facts.topology.nodes.iter().filter(|node| node.enabled) {
        let Some(known) = known(node, &keys, &usage) else { continue };
        let happened = happened.get(&node.id).map_or(&[][..], Vec::as_slice);
        let covering = policies.iter().filter(|(_, members)| members.has(node)).map(|(policy, _)| *policy);
        let candidates: Vec<_> = covering.map(|policy| candidate(policy, &known, happened, now)).collect();
        // Whichever of them comes first: the one that has hosts deployed asked for it, too.
        let deploys = candidates.iter().any(|one| one.due && one.policy.auto_deploy);
        let first = candidates.into_iter().min_by(|a, b| a.order().cmp(&b.order()));
        standings.extend(first.map(|first| {
            let own = standing(node, &known, first, now, within);
            Standing { auto_deploy: own.auto_deploy || deploys, ..own }
        }));
    }
    standings.sort_by(|a, b| a.node.cmp(&b.node));
    standings
}

/// Returns since when the newest key of each enabled node is known; of several interfaces the oldest one counts.
pub fn key_ages(facts: &Facts) -> BTreeMap<NodeId, DateTime<Utc>> {
    let keys = by_interface(&facts.keys);
    let of = |node: &Node| Some((node.id, known(node, &keys, &BTreeMap::new())?.newest));
    facts.topology.nodes.iter().filter(|node| node.enabled).filter_map(of).collect()
}

/// Gathers the keys of each interface, the newest last.
fn by_interface(keys: &[KeyOf]) -> BTreeMap<InterfaceId, Vec<&KeyOf>> {
    let mut found: BTreeMap<InterfaceId, Vec<&KeyOf>> = BTreeMap::new();
    for key in keys {
        found.entry(key.interface).or_default().push(key);
    }
    for keys in found.values_mut() {
        keys.sort_by_key(|key| (key.state == KeyState::Staged, key.created));
    }
    found
}

fn known(
    node: &Node,
    keys: &BTreeMap<InterfaceId, Vec<&KeyOf>>,
    usage: &BTreeMap<InterfaceId, Usage>,
) -> Option<Known> {
    let of = |id: &InterfaceId| keys.get(id).map_or(&[][..], Vec::as_slice);
    let interfaces = || node.interfaces.iter().map(|own| own.id);
    let newest = interfaces().filter_map(|id| of(&id).last().map(|key| key.created)).min()?;
    let active = interfaces().flat_map(|id| of(&id).first().map(|key| key.created)).min()?;
    let usage = interfaces().filter_map(|id| usage.get(&id).copied()).fold(Usage::default(), Usage::and);
    Some(Known { newest, active, usage })
}

/// Something that happened to a node.
#[derive(Clone, Copy)]
enum Happened<'a> {
    Told(&'a RecordedEvent),
    Changed(DateTime<Utc>),
}

impl Happened<'_> {
    fn kind(&self) -> RotationEvent {
        match self {
            Self::Told(event) => event.kind,
            Self::Changed(_) => RotationEvent::GrantChanged,
        }
    }

    fn time(&self) -> DateTime<Utc> {
        match self {
            Self::Told(event) => event.time,
            Self::Changed(time) => *time,
        }
    }

    /// Whether the key of a node is still the one that it was about. What gives the old key away is only over once that key
    /// is no longer in use.
    fn calls(&self, known: &Known) -> bool {
        self.time() > if self.kind().is_urgent() { known.active } else { known.newest }
    }

    fn why(&self) -> Why {
        let (operator, note) = match self {
            Self::Told(event) => (Some(event.operator.clone()), event.note.clone()),
            Self::Changed(_) => (None, String::new()),
        };
        Why::Event { event: self.kind(), time: self.time(), operator, note }
    }
}

/// A policy as it goes for one node.
struct Candidate<'p> {
    policy: &'p RotationPolicy,
    due: bool,
    urgent: bool,
    next: Option<DateTime<Utc>>,
    why: Why,
}

impl Candidate<'_> {
    /// Those that are due first, of them the urgent ones, of them the earliest.
    fn order(&self) -> (bool, bool, DateTime<Utc>, &Name) {
        (!self.due, !self.urgent, self.next.unwrap_or(DateTime::<Utc>::MAX_UTC), &self.policy.name)
    }
}

fn candidate<'p>(
    policy: &'p RotationPolicy,
    known: &Known,
    happened: &[Happened<'_>],
    now: DateTime<Utc>,
) -> Candidate<'p> {
    match &policy.trigger {
        Trigger::Days(limit) => {
            let next = known.newest.checked_add_signed(TimeDelta::days(i64::from(*limit)));
            let why = Why::Age { days: (now - known.newest).num_days(), limit_days: *limit };
            Candidate { policy, due: next.is_some_and(|next| next <= now), urgent: false, next, why }
        }
        Trigger::Bytes(limit) => {
            let used = known.usage.under_key;
            let due = used >= *limit;
            let next = crossing(known, *limit).map(|next| if due { next.min(now) } else { next.max(now) });
            let why = Why::Usage { bytes: used, limit_bytes: *limit };
            Candidate { policy, due, urgent: false, next, why }
        }
        Trigger::Events(kinds) => {
            let calling = happened.iter().filter(|what| kinds.contains(&what.kind()) && what.calls(known));
            let first = calling.min_by_key(|what| (!what.kind().is_urgent(), what.time()));
            Candidate {
                policy,
                due: first.is_some(),
                urgent: first.is_some_and(|what| what.kind().is_urgent()),
                next: first.map(Happened::time),
                why: first.map_or(Why::Nothing, Happened::why),
            }
        }
    }
}

/// Returns when so many bytes had gone under a key, or will have, if they went evenly since the key is in use.
fn crossing(known: &Known, limit: u64) -> Option<DateTime<Utc>> {
    let (used, seen) = (known.usage.under_key, known.usage.seen?);
    let passed = (seen - known.newest).num_seconds();
    if used == 0 || passed <= 0 {
        return (used >= limit).then_some(seen);
    }
    let seconds = i128::from(passed) * i128::from(limit) / i128::from(used);
    let lasts = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds)?;
    known.newest.checked_add_signed(lasts)
}

fn standing(
    node: &Node,
    known: &Known,
    first: Candidate<'_>,
    now: DateTime<Utc>,
    within: Option<TimeDelta>,
) -> Standing {
    let notice = within.unwrap_or_else(|| TimeDelta::days(i64::from(first.policy.notice_days)));
    let mut standing = Standing {
        node: node.name.clone(),
        id: node.id,
        role: node.role,
        state: if first.due { State::Due } else { State::InOrder },
        policy: first.policy.name.clone(),
        why: first.why,
        last: known.newest,
        next: first.next,
        urgent: first.urgent,
        auto_deploy: first.policy.auto_deploy,
        by_hand: by_hand(node),
        traffic: known.usage,
    };
    if standing.state != State::Due && standing.is_due_within(now, notice) {
        standing.state = State::Soon;
    }
    standing
}

/// Says why nobody but a person can replace a node's key, and how he does.
pub fn by_hand(node: &Node) -> Option<String> {
    let name = &node.name;
    if node.provisional {
        return Some(format!(
            "only its public key is known; `wg-friend rotate {name}` gives it a key from here, and with it a file"
        ));
    }
    match node.custody {
        Custody::ShownOnce => Some(format!(
            "its new private key is shown once and kept nowhere: run `wg-friend rotate {name}` where you can take it down"
        )),
        Custody::NeverSeen if !has_key_on_host(node) && !was_made_on_host(node) => {
            Some(format!("its device makes its keys: make one there, then `wg-friend rotate {name} --public-key KEY`"))
        }
        _ => None,
    }
}

/// Whether a node without a host has a key that its host once made: it gets one from here.
fn was_made_on_host(node: &Node) -> bool {
    node.main().kept.as_ref().is_some_and(|kept| kept.key_on_host)
}
