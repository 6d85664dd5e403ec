//! New preshared keys for links.
//!
//! A session outlives the preshared key that it was agreed with: `wg set` of another doesn't end it, it lasts 180 s from its
//! handshake, and the next handshake is tried from 120 s on. So a link between two hosts loses nothing when both get the new
//! key within less than the minute between. A device is another matter: its key comes with a file that somebody carries there,
//! and until that is in use it would be cut off.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::links::{self, LinkOf};
use super::status::{self, LinkStatus, answers_to};
use crate::db::Store;
use crate::model::{
    Action, Actor, Event, InterfaceId, LinkId, Name, Node, NodeId, PresharedKey, PskPolicy, PskTrigger,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::change::{Done, Mode, Outcome, Scope, carry_out, new_preshared_key};
use crate::ops::network::find;
use crate::ops::network::rotate::Rotation;
use crate::wg::compile::{Neighbours, cut_off_by_rotation};

/// Whose links get another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those of a node.
    Of(String),
    /// The one between two nodes.
    Between(String, String),
    /// All that have one or are to have one.
    All,
    /// Those that are due.
    Due,
    /// Those of nodes of which rules say that this replaces them.
    On(PskTrigger, BTreeSet<NodeId>),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose links.
    pub which: Which,
    /// Why; stands in the audit log.
    pub reason: String,
    /// Whether links to devices get it, too: each of them is cut off from the deploy on until its new file is used.
    pub cut_off_devices: bool,
}

/// A link between two hosts that gets another key.
pub(super) struct Chosen {
    pub(super) id: LinkId,
    /// The nodes at its ends, by name.
    pub(super) nodes: [Name; 2],
    /// Their hosts.
    pub(super) hosts: [Option<Name>; 2],
    /// Whether it has its new key already, which is the newest that there is, and only one end was given it.
    pub(super) torn: bool,
}

impl Chosen {
    pub(super) fn name(&self) -> String {
        format!("{} – {}", self.nodes[0], self.nodes[1])
    }
}

/// What was chosen, and what wasn't and why.
#[derive(Default)]
pub(super) struct Choice {
    pub(super) links: Vec<Chosen>,
    pub(super) remarks: Vec<String>,
}

/// Gives links another preshared key, in the model: hosts have it once they are deployed.
///
/// # Errors
/// When no link gets one: [`Error::RefusedWithRemedy`] says why.
pub fn rotate(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Request,
    mode: Mode,
) -> Result<Outcome, Error> {
    let choice = choose(store, clock.now(), request)?;
    make(store, clock, actor, &choice, &request.reason, mode)
}

/// Returns the outcome of rotating what is due when that is nothing; `None` when something is.
///
/// # Errors
/// When the store can't be read.
pub fn nothing_due(store: &Store, now: DateTime<Utc>, which: &Which, mode: Mode) -> Result<Option<Outcome>, Error> {
    let topology = store.topology()?;
    if *which != Which::Due || status::all(store, &topology, now)?.iter().any(LinkStatus::is_due) {
        return Ok(None);
    }
    Ok(Some(about(&Choice { remarks: vec!["no preshared key is due".to_owned()], ..Choice::default() }, mode)))
}

/// What an event brought for preshared keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The links that have another one, in the model: `hub – office`.
    pub links: Vec<String>,
    /// What else is to be known, such as links that would have needed a file carried somewhere.
    pub remarks: Vec<String>,
}

impl Answered {
    /// Whether there is nothing to say.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Gives the links of nodes to which something happened another preshared key, where rules name `security_event`.
///
/// # Errors
/// When the store can't be read or written.
pub fn on_event(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    nodes: &BTreeSet<NodeId>,
    reason: &str,
) -> Result<Answered, Error> {
    let which = Which::On(PskTrigger::SecurityEvent, nodes.clone());
    let request = Request { which, reason: reason.to_owned(), cut_off_devices: false };
    let choice = choose(store, clock.now(), &request)?;
    if !choice.links.is_empty() {
        make(store, clock, actor, &choice, reason, Mode::Save)?;
    }
    Ok(Answered { links: choice.links.iter().map(Chosen::name).collect(), remarks: choice.remarks })
}

/// A node that gets a new key.
pub(in crate::ops) struct Renewed<'a> {
    /// Which, as it was before.
    pub(in crate::ops) node: &'a Node,
    /// Its interfaces whose new key is staged.
    pub(in crate::ops) staged: &'a BTreeSet<InterfaceId>,
    /// The only interface that gets one; `None` is all of them.
    pub(in crate::ops) only: Option<InterfaceId>,
    /// Whether its links get another preshared key whatever rules say.
    pub(in crate::ops) always: bool,
}

/// Gives the links of a node that gets a new key another preshared key, where rules say so. Part of the change that brings
/// the node's key: its file is a new one anyway. With a staged key it is staged, too, so that the present file stays good.
pub(in crate::ops) fn with_new_key(scope: &Scope<'_>, renewed: Renewed<'_>, done: &mut Done) -> Result<(), Error> {
    let have: BTreeSet<LinkId> = scope.tx.preshared_links()?.into_iter().collect();
    let links = links::all(scope.before, &scope.tx.psk_rules()?);
    for link in &links {
        let (low, high) = link.id.ends();
        let own = renewed.node.interfaces.iter().map(|own| own.id).find(|own| [low, high].contains(own));
        let Some(own) = own.filter(|own| renewed.only.is_none_or(|only| only == *own)) else { continue };
        let wanted = match renewed.always {
            true => have.contains(&link.id) || link.wanted.mode.demands(),
            false => have.contains(&link.id) && answers_to(link, PskTrigger::KeyRotation),
        };
        // Who was known by the public key alone has a file of ours from now on, and can carry one.
        let first = renewed.node.provisional && !have.contains(&link.id) && link.wanted.mode.demands();
        let dumb = link.ends.iter().any(|end| end.id != renewed.node.id && !links::carries(end));
        if !(wanted || first) || dumb {
            continue;
        }
        // One end at a time: files with the other end's next key have the preshared key that goes with that.
        let other = scope.before.nodes.iter().flat_map(|node| &node.interfaces);
        let mut other = other.filter(|other| other.id != own && [low, high].contains(&other.id));
        if other.any(|other| other.staged_key.is_some()) {
            done.remarks.push(format!(
                "the link {} keeps its preshared key until its other end goes by its next key",
                link.name()
            ));
            continue;
        }
        if renewed.staged.contains(&own) {
            scope.tx.stage_psk(link.id, &new_preshared_key()?, scope.now)?;
        } else {
            scope.tx.set_psk(link.id, &new_preshared_key()?, scope.now)?;
        }
        done.events.push(event(link.ends, "the key of an end was rotated"));
        done.remarks.push(format!("the link {} gets a new preshared key, too", link.name()));
    }
    Ok(())
}

/// Returns the device whose key has to be rotated for the links that are meant, since they are in the file that it has;
/// `None` where there is none, or several.
///
/// # Errors
/// For a node that there isn't, and when the store can't be read.
pub fn device(store: &Store, which: &Which) -> Result<Option<String>, Error> {
    let topology = store.topology()?;
    let given = store.all_revisions()?;
    let is_device = |node: &&Node| node.host.is_none() && !node.provisional && given.contains_key(&node.id);
    let found = match which {
        Which::Of(one) => Some(find::node(&topology, one)?).filter(is_device),
        Which::Between(one, other) => {
            let ends = [find::node(&topology, one)?, find::node(&topology, other)?];
            ends.into_iter().filter(is_device).max_by_key(|end| end.role)
        }
        _ => None,
    };
    Ok(found.map(|node| node.name.to_string()))
}

/// Gives a device a new key and its links new preshared keys, beside the ones that its present file has: those stay good until
/// the new file is used.
///
/// # Errors
/// When it can't be given a key, as when it makes its own.
pub fn rotate_device(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    device: &str,
    reason: &str,
    mode: Mode,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let node = find::node(&topology, device)?;
    let cut_off = cut_off_by_rotation(&Neighbours::of(&topology), node.main().id);
    if let Some(near) = cut_off.first() {
        return Err(Error::RefusedWithRemedy {
            message: format!(
                "`{device}` would be cut off from `{near}` until both have new files: `{near}` can't know a device by two keys"
            ),
            hint: format!("`wg-friend psk rotate {device} --cut-off` replaces the preshared key all the same"),
        });
    }
    let request =
        Rotation { node: device.to_owned(), reason: reason.to_owned(), preshared: true, ..Rotation::default() };
    crate::ops::network::rotate::rotate(store, clock, actor, &request, mode)
}

fn event([one, other]: [&Node; 2], reason: &str) -> Event {
    Event::node(Action::PresharedKeyChanged, one).with("peer", other.name.as_str()).with("reason", reason)
}

/// Picks the links that get another key.
pub(super) fn choose(store: &Store, now: DateTime<Utc>, request: &Request) -> Result<Choice, Error> {
    let topology = store.topology()?;
    let rules = store.psk_rules()?;
    let node = |wanted: &String| find::node(&topology, wanted).map(|node| node.id);
    let ids: BTreeSet<NodeId> = match &request.which {
        Which::Of(one) => BTreeSet::from([node(one)?]),
        Which::Between(one, other) => BTreeSet::from([node(one)?, node(other)?]),
        Which::On(_, nodes) => nodes.clone(),
        Which::All | Which::Due => BTreeSet::new(),
    };
    let states = status::all(store, &topology, now)?;
    let state = |id: LinkId| states.iter().find(|state| state.id == id);
    let named = |link: &LinkOf<'_>| {
        let ends = link.ends.iter().filter(|end| ids.contains(&end.id)).count();
        match &request.which {
            Which::Of(_) => ends > 0,
            Which::Between(..) => ends == 2,
            Which::All => true,
            Which::Due => state(link.id).is_some_and(LinkStatus::is_due),
            Which::On(trigger, _) => ends > 0 && answers_to(link, *trigger),
        }
    };
    let links: Vec<LinkOf<'_>> = links::all(&topology, &rules).into_iter().filter(named).collect();
    if links.is_empty() {
        return none_of(&request.which);
    }
    let given = store.all_revisions()?;
    let mut choice = Choice::default();
    let (mut devices, mut dumb, mut without) = (BTreeSet::new(), Vec::new(), Vec::new());
    for link in &links {
        let Some(state) = state(link.id) else { continue };
        let device = link.ends.into_iter().filter(|end| end.host.is_none() && given.contains_key(&end.id));
        let device = device.max_by_key(|end| end.role); // of two the one that is carried about
        if let Some(end) = link.dumb_end() {
            dumb.push((link.name(), end.name.clone()));
        } else if link.wanted.mode == PskPolicy::None && state.created.is_none() {
            without.push(link.name());
        } else if let Some(device) = device.filter(|_| !request.cut_off_devices) {
            devices.insert(device.name.clone());
        } else {
            let torn = state.halfway;
            if torn {
                choice.remarks.push(format!(
                    "{} has a new preshared key already that only one of its hosts was given: that is brought to the other",
                    link.name()
                ));
            }
            choice.links.push(Chosen {
                id: link.id,
                nodes: link.ends.map(|end| end.name.clone()),
                hosts: link.ends.map(|end| end.host.clone()),
                torn,
            });
        }
    }
    let quiet = matches!(request.which, Which::On(..));
    if !choice.links.is_empty() || quiet {
        choice.remarks.extend(devices_remark(&devices));
        choice.remarks.extend(dumb.iter().map(|(link, end)| why_dumb(link, end)));
        return Ok(choice);
    }
    Err(nothing(&devices, &dumb, &without))
}

fn none_of(which: &Which) -> Result<Choice, Error> {
    let (message, hint) = match which {
        Which::On(..) => return Ok(Choice::default()),
        Which::Due => {
            return Err(Error::Refused("no preshared key is due; nothing was changed".to_owned()));
        }
        Which::All => ("there is no link yet", "`wg-friend add` adds nodes"),
        Which::Of(_) => ("it has no link", "`wg-friend psk status` lists all links"),
        Which::Between(..) => ("there is no link between them", "`wg-friend psk status` lists all links"),
    };
    Err(Error::RefusedWithRemedy { message: message.to_owned(), hint: hint.to_owned() })
}

/// Says which devices keep the key that they have.
fn devices_remark(devices: &BTreeSet<Name>) -> Option<String> {
    let names: Vec<String> = devices.iter().map(|name| format!("`{name}`")).collect();
    let files = if names.len() == 1 { "its file carries it, and" } else { "their files carry them, and" };
    (!names.is_empty()).then(|| {
        format!(
            "links to devices keep their preshared keys, since {files} until a new one is used nothing would get through: {}",
            names.join(", ")
        )
    })
}

fn why_dumb(link: &str, end: &Name) -> String {
    format!(
        "{link} can't have a preshared key from here: of `{end}` only the public key is known, and somebody else has the file"
    )
}

/// Says why no link gets another key.
fn nothing(devices: &BTreeSet<Name>, dumb: &[(String, Name)], without: &[String]) -> Error {
    let refused = |message: String, hint: String| Error::RefusedWithRemedy { message, hint };
    match (devices.first(), dumb.first(), without.first()) {
        (Some(device), ..) => refused(
            devices_remark(devices).unwrap_or_default(),
            format!(
                "`wg-friend psk rotate {device}` gives it a next file, beside which the one that it has stays good"
            ),
        ),
        (None, Some((link, end)), _) => {
            refused(why_dumb(link, end), format!("`wg-friend rotate {end}` gives it a key and a file of yours"))
        }
        (None, None, Some(link)) => refused(
            format!("the policy for {link} is `none`, and it has no preshared key"),
            "`wg-friend psk policy optional`, with `--node NAME` for one node's links, lets it have one".to_owned(),
        ),
        (None, None, None) => Error::Refused("no link gets another preshared key; nothing was changed".to_owned()),
    }
}

/// Gives the chosen links another key, in one transaction; those that are torn keep theirs.
pub(super) fn make(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    choice: &Choice,
    reason: &str,
    mode: Mode,
) -> Result<Outcome, Error> {
    let fresh: Vec<&Chosen> = choice.links.iter().filter(|link| !link.torn).collect();
    if fresh.is_empty() {
        return Ok(about(choice, mode));
    }
    let mut outcome = carry_out(store, clock, actor, "rotated", mode, |scope| {
        let mut done = Done { remarks: choice.remarks.clone(), ..Done::default() };
        let links = links::all(scope.before, &scope.tx.psk_rules()?);
        for chosen in &fresh {
            let Some(link) = links.iter().find(|link| link.id == chosen.id) else { continue };
            scope.tx.set_psk(link.id, &new_preshared_key()?, scope.now)?;
            done.events.push(event(link.ends, reason));
            done.subjects.push(format!("preshared key of {}", chosen.name()));
        }
        Ok(done)
    })?;
    concerns(&mut outcome, choice);
    Ok(outcome)
}

/// What there is to say when no link gets another key because all chosen ones have theirs already.
fn about(choice: &Choice, mode: Mode) -> Outcome {
    let mut outcome = Outcome {
        action: "kept",
        saved: mode == Mode::Save,
        nodes: Vec::new(),
        subjects: choice.links.iter().map(|link| format!("preshared key of {}", link.name())).collect(),
        changes: Vec::new(),
        deploy: Vec::new(),
        new_files: Vec::new(),
        remarks: choice.remarks.clone(),
        shown_once: Vec::new(),
        files: Vec::new(),
    };
    concerns(&mut outcome, choice);
    outcome
}

/// Says who has to learn of the keys: what is compiled doesn't differ.
fn concerns(outcome: &mut Outcome, choice: &Choice) {
    let ends = choice.links.iter().flat_map(|link| link.nodes.iter().zip(&link.hosts));
    let (deploy, files): (Vec<_>, Vec<_>) = ends.partition(|(_, host)| host.is_some());
    let names = |ends: Vec<(&Name, &Option<Name>)>| -> BTreeSet<Name> {
        ends.into_iter().map(|(node, _)| node.clone()).collect()
    };
    outcome.deploy = names(deploy).into_iter().collect();
    outcome.new_files = names(files).into_iter().collect();
}

/// The keys that links had, to take a rotation back with.
pub(super) type Before = Vec<(LinkId, Option<(PresharedKey, DateTime<Utc>)>)>;

/// Returns the keys that links have now.
pub(super) fn keys_of(store: &Store, links: &[Chosen]) -> Result<Before, Error> {
    let (mut secrets, since) = (store.secrets()?, store.preshared_since()?);
    let key = |link: &Chosen| (link.id, secrets.preshared.remove(&link.id).zip(since.get(&link.id).copied()));
    Ok(links.iter().map(key).collect())
}

/// Gives links the key again that they had.
pub(super) fn take_back(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    before: &Before,
    reason: &str,
) -> Result<(), Error> {
    carry_out(store, clock, actor, "taken back", Mode::Save, |scope| {
        let links = links::all(scope.before, &scope.tx.psk_rules()?);
        let mut done = Done::default();
        for (id, key) in before {
            let Some(link) = links.iter().find(|link| link.id == *id) else { continue };
            match key {
                Some((key, since)) => scope.tx.set_psk(*id, key, *since)?,
                None => _ = scope.tx.remove_psk(*id)?,
            }
            done.events.push(event(link.ends, reason));
        }
        Ok(done)
    })?;
    Ok(())
}
