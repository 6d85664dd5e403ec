//! What all changes of the model have in common: one transaction, with its audit entries; preshared keys for new links;
//! no contradiction that wasn't there before; and an account of who has to be told.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use similar::TextDiff;

use super::difference::{Difference, differences};
use super::generate::fingerprint;
use super::view::NodeView;
use super::{shared_host, uplinks};
use crate::db::{Store, Tx};
use crate::model::{
    Actor, Custody, Event, InterfaceId, Name, Node, NodeId, PresharedKey, PrivateKey, Secrets, Topology,
};
use crate::ops::clock::Clock;
use crate::ops::revision::handed;
use crate::ops::{Error, exit, psk};
use crate::wg::compile::{Refusal, check, compile};
use crate::wg::{NodeConfig, config};

/// At most so many other nodes' files are compared in a preview.
const PREVIEWED: usize = 20;

/// Whether a change is saved, or only tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is saved.
    Save,
    /// Nothing is saved; the outcome says what would have happened.
    Preview,
}

/// What a change came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// What was done, in a word: `added`, `changed`, `renamed`, `removed`, `enabled`, `disabled`, `rotated`, `granted`, `revoked`,
    /// `linked`, `unlinked`.
    pub action: &'static str,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// The nodes it was about, as they are now, or were before they were removed.
    pub nodes: Vec<NodeView>,
    /// What it was about that is no node: `group contractors`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Every value that differs.
    pub changes: Vec<Difference>,
    /// Nodes whose host has to be deployed.
    pub deploy: Vec<Name>,
    /// Nodes without a host, whose file changes: somebody has to take it there.
    pub new_files: Vec<Name>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// Files with a private key that is shown this once and kept nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown_once: Vec<ShownFile>,
    /// In a preview: the files that would be new or different, keys hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
}

/// A file that is shown once.
#[derive(Serialize)]
pub struct ShownFile {
    /// Whose.
    pub node: Name,
    /// Its name.
    pub file: String,
    /// Its text, with the private key.
    pub content: String,
}

impl std::fmt::Debug for ShownFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownFile").field("node", &self.node).field("file", &self.file).finish_non_exhaustive()
    }
}

/// How a file would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Whose.
    pub node: Name,
    /// Its name.
    pub file: String,
    /// Whether there was none before.
    pub new: bool,
    /// The whole text of a new file, or a unified diff. Keys are hidden.
    pub text: String,
}

/// What the work inside a change reports.
#[derive(Debug, Default)]
pub(in crate::ops) struct Done {
    /// The audit entries; at least one.
    pub(in crate::ops) events: Vec<Event>,
    /// The nodes it was about.
    pub(in crate::ops) nodes: Vec<NodeId>,
    /// What it was about that is no node, in words.
    pub(in crate::ops) subjects: Vec<String>,
    /// What else is worth knowing.
    pub(in crate::ops) remarks: Vec<String>,
    /// What differs beside the values that are compared for every node.
    pub(in crate::ops) differences: Vec<Difference>,
    /// New private keys that are kept nowhere, by interface.
    pub(in crate::ops) shown_once: BTreeMap<InterfaceId, PrivateKey>,
    /// Whether it has seen to the preshared keys itself, so that a new link without one is meant to be without.
    pub(in crate::ops) preshared_done: bool,
}

/// A change under way.
pub(in crate::ops) struct Scope<'a> {
    /// The transaction.
    pub(in crate::ops) tx: &'a Tx<'a>,
    /// The network before it.
    pub(in crate::ops) before: &'a Topology,
    /// The time.
    pub(in crate::ops) now: DateTime<Utc>,
}

/// Carries out a change: does the work, gives new links their preshared key, refuses contradictions, and saves all of it
/// together with its audit entries, or nothing.
pub(in crate::ops) fn carry_out(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    action: &'static str,
    mode: Mode,
    work: impl FnOnce(&Scope<'_>) -> Result<Done, Error>,
) -> Result<Outcome, Error> {
    let now = clock.now();
    let body = |tx: &Tx<'_>| -> Result<(Outcome, Vec<Event>), Error> {
        let before = tx.topology()?;
        let rules = tx.psk_rules()?;
        // What goes with a node, such as its preshared keys, stands in the files as they are.
        let known = if mode == Mode::Preview { Some(tx.secrets()?) } else { None };
        let done = work(&Scope { tx, before: &before, now })?;
        let after = settled(tx, &before, now)?;
        if !done.preshared_done {
            psk::links::after_change(tx, (&before, &rules), &after, now)?;
        }
        let mut outcome = account(action, &before, &after, &done);
        outcome.new_files.retain(|name| !is_shown(name, &after, &done)); // it is new already, and on the screen
        if mode == Mode::Save && !done.shown_once.is_empty() {
            outcome.shown_once = show_once(tx, &after, done.shown_once, now)?;
        }
        if let Some(known) = &known {
            outcome.files = preview(tx, (&before, known), &after, &outcome)?;
        }
        outcome.saved = mode == Mode::Save;
        Ok((outcome, done.events))
    };
    match mode {
        Mode::Save => store.write_all(now, actor, body),
        Mode::Preview => store.try_out(|tx| body(tx).map(|(outcome, _)| outcome)),
    }
}

/// Returns the network after a change, with the uplinks that its chains of exits need.
///
/// # Errors
/// [`Error::Model`] and [`Error::SharedHost`] for contradictions that weren't there before.
pub(in crate::ops) fn settled(tx: &Tx<'_>, before: &Topology, now: DateTime<Utc>) -> Result<Topology, Error> {
    let after = settled_alone(tx, before, now)?;
    shared_host::refuse_new(tx, before, &after)?;
    Ok(after)
}

/// Does the same for one of several networks that change together: what would clash on hosts that they share is seen once
/// all are there.
pub(in crate::ops) fn settled_alone(tx: &Tx<'_>, before: &Topology, now: DateTime<Utc>) -> Result<Topology, Error> {
    let mut after = tx.topology()?;
    uplinks::of_chains(tx, &mut after, now)?;
    refuse_new_contradictions(before, &after)?;
    Ok(after)
}

/// Refuses what can't be compiled, unless it couldn't before: an old problem doesn't stand in the way of other work. A
/// network without a server is under construction, not wrong.
fn refuse_new_contradictions(before: &Topology, after: &Topology) -> Result<(), Error> {
    let new = new_contradictions(before, after);
    if new.is_empty() { Ok(()) } else { Err(Error::Model(new)) }
}

/// Returns why a network can't be compiled, as far as that isn't so already.
pub(in crate::ops) fn new_contradictions(before: &Topology, after: &Topology) -> Vec<Refusal> {
    unless_known(check(after), || check(before))
}

/// Returns reasons against a network as far as they are new. What is known is asked for only if there are any.
pub(in crate::ops) fn unless_known(mut found: Vec<Refusal>, known: impl FnOnce() -> Vec<Refusal>) -> Vec<Refusal> {
    if !found.is_empty() {
        let known = known();
        found.retain(|refusal| !known.contains(refusal) && !matches!(refusal, Refusal::NoServer));
    }
    found
}

/// Makes a preshared key.
pub(in crate::ops) fn new_preshared_key() -> Result<PresharedKey, Error> {
    random().map(PresharedKey::from_random)
}

/// Makes a private key.
pub(super) fn new_private_key() -> Result<PrivateKey, Error> {
    random().map(PrivateKey::from_random)
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}

/// Whether a node's file is shown with this very change.
fn is_shown(name: &Name, after: &Topology, done: &Done) -> bool {
    let node = after.nodes.iter().find(|node| node.name == *name);
    node.is_some_and(|node| node.interfaces.iter().any(|interface| done.shown_once.contains_key(&interface.id)))
}

/// Says what differs and who has to be told.
fn account(action: &'static str, before: &Topology, after: &Topology, done: &Done) -> Outcome {
    let nodes = done.nodes.iter().filter_map(|id| {
        let (node, topology) = after.node(*id).map(|n| (n, after)).or(before.node(*id).map(|n| (n, before)))?;
        Some(NodeView::of(node, topology))
    });
    let changed = after.nodes.iter().filter_map(|is| Some((before.node(is.id)?, is)));
    let mut changes = super::defaults::differences(before, after);
    changes.extend(changed.flat_map(|(was, is)| differences((was, before), (is, after))));
    changes.extend(super::group::differences(before, after));
    changes.extend(done.differences.iter().filter(|own| !changes.contains(own)).cloned().collect::<Vec<_>>());
    let mut outcome = Outcome {
        action,
        saved: false,
        nodes: nodes.collect(),
        subjects: done.subjects.clone(),
        changes,
        deploy: Vec::new(),
        new_files: Vec::new(),
        remarks: done.remarks.clone(),
        shown_once: Vec::new(),
        files: Vec::new(),
    };
    outcome.remarks.extend(super::defaults::beyond_stable(before, after));
    outcome.remarks.extend(exit::stranded::remarks(before, after));
    outcome.remarks.extend(after.nodes.iter().filter_map(|node| left_behind(before, after, node)));
    (outcome.deploy, outcome.new_files) = concerned(before, after);
    outcome
}

/// Returns the nodes whose host has to be deployed, and those without a host whose file changes.
pub(in crate::ops) fn concerned(before: &Topology, after: &Topology) -> (Vec<Name>, Vec<Name>) {
    let (on_hosts, others): (Vec<&Node>, Vec<&Node>) =
        affected(before, after).into_iter().partition(|node| node.host.is_some());
    let names = |nodes: Vec<&Node>| nodes.into_iter().map(|node| node.name.clone()).collect();
    (names(on_hosts), names(others.into_iter().filter(|node| !node.provisional).collect()))
}

/// Says that a node's configuration stays on the machine that it left.
fn left_behind(before: &Topology, after: &Topology, node: &Node) -> Option<String> {
    let old = moved_from(before, after, node)?;
    Some(format!("what runs of `{}` on the host `{old}` stays there until it is taken down", node.name))
}

/// Returns the machine that a node ran on, if it is on another one now or on none. A machine that was renamed is the same.
fn moved_from<'a>(before: &'a Topology, after: &Topology, node: &Node) -> Option<&'a Name> {
    let old = before.node(node.id)?.host.as_ref()?;
    (node.host.as_ref() != Some(old) && after.host(old).is_some()).then_some(old)
}

/// Returns the nodes that are to run something else than before, names aside, or on another machine.
fn affected<'a>(before: &Topology, after: &'a Topology) -> Vec<&'a Node> {
    let essence = |topology: &Topology| -> BTreeMap<NodeId, NodeConfig> {
        let configs = compile(topology).unwrap_or_default();
        configs.into_iter().map(|config| (config.node, nameless(config))).collect()
    };
    let (was, is) = (essence(before), essence(after));
    let new_host = |node: &Node| {
        let had_none = before.node(node.id).is_some_and(|node| node.host.is_none());
        node.host.is_some() && (had_none || moved_from(before, after, node).is_some())
    };
    let differs = |node: &&Node| is.contains_key(&node.id) && (was.get(&node.id) != is.get(&node.id) || new_host(node));
    after.nodes.iter().filter(differs).collect()
}

/// Names are comments in a file: one that differs in them only need not be taken anywhere.
fn nameless(mut node: NodeConfig) -> NodeConfig {
    let nobody: Name = "x".parse().expect("a letter is a name");
    node.name = nobody.clone();
    for peer in node.interfaces.iter_mut().flat_map(|interface| &mut interface.peers) {
        peer.name = nobody.clone();
    }
    for interface in &mut node.interfaces {
        interface.peers.sort_by_key(|peer| peer.public_key);
    }
    node
}

/// Writes out the files of nodes whose new private key is kept nowhere.
fn show_once(
    tx: &Tx<'_>,
    after: &Topology,
    keys: BTreeMap<InterfaceId, PrivateKey>,
    now: DateTime<Utc>,
) -> Result<Vec<ShownFile>, Error> {
    let configs = compile(after).map_err(Error::Model)?; // the key is shown in a file, so there has to be one
    let mut secrets = Secrets { private: keys, next_private: BTreeMap::new(), ..tx.secrets()? };
    let wanted: BTreeSet<InterfaceId> = secrets.private.keys().copied().collect();
    let mut shown = Vec::new();
    for node in configs.iter().filter(|node| node.interfaces.iter().any(|i| wanted.contains(&i.id))) {
        for file in config::files(node, &secrets) {
            let content = file.content.to_string();
            shown.push(ShownFile { node: node.name.clone(), file: file.path, content });
        }
        if let Some(owner) = after.node(node.node) {
            let sha256 = fingerprint(&configs, owner.id, &secrets).unwrap_or_default();
            handed::record(tx, owner, &configs, &secrets, ("shown_once", &sha256), now)?;
        }
    }
    secrets.private.clear();
    Ok(shown)
}

/// Compares the files of the nodes concerned, keys hidden.
fn preview(
    tx: &Tx<'_>,
    (before, known): (&Topology, &Secrets),
    after: &Topology,
    outcome: &Outcome,
) -> Result<Vec<FileChange>, Error> {
    let secrets = tx.secrets()?;
    let (was, is) = (compile(before).unwrap_or_default(), compile(after).unwrap_or_default());
    let concerned = outcome.nodes.iter().map(|node| &node.name).chain(&outcome.deploy).chain(&outcome.new_files);
    let keys = |topology: &Topology| -> BTreeSet<String> {
        let interfaces = topology.nodes.iter().filter(|n| n.custody != Custody::NeverSeen).flat_map(|n| &n.interfaces);
        interfaces.map(|interface| interface.public_key.to_string()).collect()
    };
    // Keys that were made for the preview are thrown away with it: the real ones will be others.
    let made_now: Vec<String> = keys(after).difference(&keys(before)).cloned().collect();
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for name in concerned.filter(|name| seen.insert(name.as_str().to_owned())).take(PREVIEWED) {
        let Some(node) = is.iter().find(|node| node.name == *name) else { continue };
        let old: BTreeMap<String, String> = was
            .iter()
            .filter(|old| old.node == node.node)
            .flat_map(|old| config::masked_files(old, known))
            .map(|file| (file.path, file.content.to_string()))
            .collect();
        for mut file in config::masked_files(node, &secrets) {
            for key in &made_now {
                file.content = file.content.replace(key, "(new key)").into();
            }
            let text = match old.get(&file.path) {
                Some(old) if *old == *file.content => continue,
                Some(old) => TextDiff::from_lines(old.as_str(), file.content.as_str())
                    .unified_diff()
                    .context_radius(3)
                    .to_string(),
                None => file.content.to_string(),
            };
            changes.push(FileChange { node: name.clone(), new: !old.contains_key(&file.path), file: file.path, text });
        }
    }
    Ok(changes)
}

/// Adds what changed to an event: before and after, by key.
pub(in crate::ops) fn with_changes(event: Event, changes: &[Difference]) -> Event {
    let side = |pick: fn(&Difference) -> &String| -> serde_json::Value {
        changes
            .iter()
            .map(|change| (change.field.to_owned(), pick(change).clone().into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    event.with("before", side(|c| &c.before)).with("after", side(|c| &c.after))
}
