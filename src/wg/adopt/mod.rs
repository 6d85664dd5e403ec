//! From what several sources say about interfaces to one network: the inverse of [`compile`](super::compile).
//!
//! A source is a file, or an interface of a running host. Each says something about its own node and about that node's
//! peers; [`join`] puts together what they say, so that the order in which they are given makes no difference. A node is
//! known by its public key. What the model alone would make differently is kept as a difference
//! ([`Kept`](crate::model::Kept)), so that compiling the result gives back what every source says.

mod access;
mod build;
mod duties;
mod finding;
mod graph;
mod kept;
mod lines;
mod meaning;
mod names;
mod prefixes;
mod roles;
mod seen;
mod server;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::{
    ByHooks, InterfaceId, InterfaceName, Name, Network, NodeId, PublicKey, Role, Run, Secrets, Topology,
};

use super::Tunnel;

pub use finding::{Conflict, Finding};

use graph::Graph;
use seen::Seen;

/// What one source says about one interface.
#[derive(Debug)]
pub struct View {
    /// The name of the file, or the interface of a host, for messages.
    pub source: String,
    /// What it says.
    pub tunnel: Tunnel,
    /// Its text byte for byte, when it is a wg-quick file.
    pub text: Option<Zeroizing<String>>,
    /// The public key, when it is known otherwise than by the private one: from a running host, or from the operator.
    pub public_key: Option<PublicKey>,
    /// What the source calls the node: the stem of a file's name, a host's name, an entry of a database.
    pub name: Option<String>,
    /// What the interface is called, when the source says so.
    pub interface: Option<InterfaceName>,
    /// The role, by the operator's word.
    pub role: Option<Role>,
    /// The host it was read from.
    pub host: Option<Name>,
    /// Whether it is meant to run. Files say nothing of that: they are meant to run from boot.
    pub run: Run,
    /// The routes and addresses that its hooks make, as found on a host.
    pub by_hooks: ByHooks,
    /// Whether its node may connect; `false` makes it a node that is switched off. The views of others may hold it as a
    /// peer all the same: that is what it gets back when it is switched on.
    pub enabled: bool,
}

impl View {
    /// A view of which nothing but the tunnel is known.
    pub fn new(source: impl Into<String>, tunnel: Tunnel) -> Self {
        Self {
            source: source.into(),
            tunnel,
            text: None,
            public_key: None,
            name: None,
            interface: None,
            role: None,
            host: None,
            run: Run::Boot,
            by_hooks: ByHooks::default(),
            enabled: true,
        }
    }
}

/// What holds where no view says anything.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Name, prefixes and settings of the network. Its prefixes count only when the views have no address at all.
    pub network: Network,
    /// When the nodes come into the model.
    pub created: DateTime<Utc>,
}

/// The network that some views describe.
#[derive(Debug)]
pub struct Joined {
    /// The network. Its ids count up in the order of the public keys. Hosts are none: their names are in the nodes.
    pub topology: Topology,
    /// Private and preshared keys, and nothing else.
    pub secrets: Secrets,
    /// The view that says what an interface is, by its place among those given. Interfaces without one are known from
    /// their peers only.
    pub documents: BTreeMap<InterfaceId, usize>,
    /// What was guessed, and why; ordered by node.
    pub guesses: Vec<Guess>,
    /// What the operator should know, the most severe first.
    pub findings: Vec<Finding>,
    /// Which views speak of each node, by their places, with the lines of its peer section; no lines stand for all of the
    /// view.
    pub known_from: BTreeMap<NodeId, Vec<Mention>>,
}

/// A place where a node is spoken of: a view by its place among those given, and the first and last line of the peer
/// section, counted from 1.
pub type Mention = (usize, Option<(u32, u32)>);

/// Something that no view says outright.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guess {
    /// About whom; `None` is the network itself.
    pub node: Option<NodeId>,
    /// What was guessed.
    pub about: About,
    /// The value, as it is printed elsewhere.
    pub value: String,
    /// Why, in words.
    pub reason: String,
}

/// What a guess is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A node's role.
    Role,
    /// A node's name.
    Name,
    /// What a node may reach.
    Access,
    /// The exit that carries a node's internet traffic.
    Exit,
    /// Where a node is dialled.
    Endpoint,
    /// The networks behind a node.
    Lans,
    /// The network's prefixes.
    Prefixes,
}

/// Joins views of one network.
///
/// The result depends on the set of views only, not on their order, but for the places in [`Joined::documents`] and
/// [`Joined::known_from`]. Compiling its topology gives every view's interface with the meaning that the view has.
///
/// # Errors
///
/// What keeps the views from being one network, at least one.
pub fn join(views: &[View], base: &Defaults) -> Result<Joined, Vec<Conflict>> {
    let mut findings = Vec::new();
    let graph = Graph::of(seen::settle(views, &mut findings)?);
    let choice = graph.check_connected().and_then(|()| server::choose(&graph)).map_err(|conflict| vec![conflict])?;
    let mut built = build::build(&graph, choice, base)?;
    findings.append(&mut built.findings);
    findings.sort_by(|a, b| b.severity().cmp(&a.severity()).then_with(|| a.cmp(b)));
    let of_views = graph.seen.iter().enumerate().filter_map(|(at, seen)| Some((at, seen.as_ref()?)));
    Ok(Joined {
        topology: built.topology,
        secrets: built.secrets,
        documents: of_views.map(|(at, seen)| (build::interface_id(at), seen.place)).collect(),
        guesses: built.guesses,
        findings,
        known_from: known_from(&graph),
    })
}

/// Returns where each node is spoken of.
fn known_from(graph: &Graph<'_>) -> BTreeMap<NodeId, Vec<Mention>> {
    let lines = |seen: &Seen<'_>| seen.view.text.as_ref().map(|text| lines::of_peers(text)).unwrap_or_default();
    let lines: Vec<_> = graph.seen.iter().map(|seen| seen.as_ref().map(lines).unwrap_or_default()).collect();
    let mut known: BTreeMap<NodeId, Vec<Mention>> = BTreeMap::new();
    for (at, key) in graph.keys.iter().enumerate() {
        let mentions = known.entry(build::node_id(graph.node_of[at])).or_default();
        if let Some(seen) = &graph.seen[at] {
            mentions.extend(std::iter::once(&seen.place).chain(&seen.also).map(|place| (*place, None)));
        }
        for (near, _) in graph.said_of(at) {
            if let Some(seen) = &graph.seen[near] {
                mentions.push((seen.place, lines[near].get(key).copied()));
            }
        }
    }
    known
}
