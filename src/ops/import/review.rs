//! An import for the operator's eyes: who would be in the network, why each is taken for what it is, and what to know.

use std::collections::BTreeMap;

use serde::Serialize;

use super::prepare::Prepared;
use super::read::{Refused, Remark};
use crate::model::{Access, Cidr, Endpoint, Name, Node, NodeId, PublicKey, Role, Severity};
use crate::wg::adopt::{About, Finding, View};

/// What an import would come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Review {
    /// The network's name.
    pub network: Name,
    /// Its prefixes.
    pub prefixes: Vec<Cidr>,
    /// Whether the network itself is new.
    pub new: bool,
    /// Its nodes: servers first, then by role and name.
    pub nodes: Vec<Reviewed>,
    /// What the sources say that doesn't fit together, and other things to know about them.
    pub findings: Vec<Told>,
    /// Remarks about single sources.
    pub remarks: Vec<Remark>,
    /// Sources that couldn't be read.
    pub refused: Vec<Refused>,
}

/// A node as it would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reviewed {
    /// What it would be called.
    pub name: Name,
    /// What it is taken for.
    pub role: Role,
    /// Why, in words; empty when the operator said so.
    pub because: String,
    /// What the import does with it.
    pub state: State,
    /// Its addresses.
    pub addresses: Vec<Cidr>,
    /// Where it is dialled.
    pub endpoint: Option<Endpoint>,
    /// The networks behind it.
    pub lans: Vec<Cidr>,
    /// What it may reach.
    pub access: Access,
    /// The node by which its internet traffic leaves.
    pub exit: Option<Name>,
    /// Its key.
    pub public_key: PublicKey,
    /// Whether its source keeps it switched off.
    pub disabled: bool,
    /// Where its own configuration is from; `None` for one that is known from its peers only.
    pub source: Option<String>,
}

/// What an import does with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is new, with a configuration of its own.
    New,
    /// It is new, and known from its peers only.
    Provisional,
    /// More is known of it.
    Updated,
    /// Nothing about it is new.
    Known,
}

impl State {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Provisional => "provisional",
            Self::Updated => "updated",
            Self::Known => "known",
        }
    }
}

/// Something to know, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// How much it matters.
    pub severity: Severity,
    /// What it is.
    pub text: String,
}

impl Review {
    /// Whether the sources say nothing that isn't known.
    pub fn is_empty(&self) -> bool {
        !self.new && self.nodes.iter().all(|node| node.state == State::Known)
    }
}

impl Prepared {
    /// Returns what the import would come to.
    pub fn review(&self) -> Review {
        let topology = &self.joined.topology;
        let reasons: BTreeMap<NodeId, &str> = self
            .joined
            .guesses
            .iter()
            .filter(|guess| guess.about == About::Role)
            .filter_map(|guess| Some((guess.node?, guess.reason.as_str())))
            .collect();
        let known = self.before.as_ref().map_or(&[][..], |joined| &joined.findings);
        let before = self.before.as_ref().map(|joined| &joined.topology);
        let before: BTreeMap<PublicKey, &Node> =
            before.into_iter().flat_map(|t| &t.nodes).map(|node| (node.main().public_key, node)).collect();
        let mut nodes: Vec<Reviewed> = topology
            .nodes
            .iter()
            .map(|node| Reviewed {
                name: node.name.clone(),
                role: node.role,
                because: reasons.get(&node.id).copied().unwrap_or_default().to_owned(),
                state: self.state(node, before.get(&node.main().public_key).copied()),
                addresses: node.addresses().collect(),
                endpoint: node.endpoint.clone(),
                lans: node.lans.iter().map(|lan| lan.cidr).collect(),
                access: node.access,
                exit: node.exit.and_then(|way| topology.egress_name(way)).cloned(),
                public_key: node.main().public_key,
                disabled: self.is_disabled(node.main().public_key),
                source: self.joined.documents.get(&node.main().id).map(|at| self.views[*at].source.clone()),
            })
            .collect();
        nodes.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
        let told = |finding: &Finding| Told { severity: finding.severity(), text: finding.to_string() };
        Review {
            network: topology.network.name.clone(),
            prefixes: topology.network.prefixes().collect(),
            new: self.before.is_none(),
            nodes,
            findings: self
                .joined
                .findings
                .iter()
                .filter(|f| !known.contains(f) && self.concerns(f))
                .map(told)
                .collect(),
            remarks: self.remarks.clone(),
            refused: self.refused.clone(),
        }
    }

    /// Whether a finding stays true: a node that wg-friend makes the file of gets the peer that it lacks.
    fn concerns(&self, finding: &Finding) -> bool {
        let Finding::OneSided { other_view, .. } = finding else { return true };
        let made = |view: &View| view.source == *other_view && view.text.is_none();
        !self.views[..self.first_new].iter().any(made)
    }

    fn state(&self, node: &Node, before: Option<&Node>) -> State {
        let seen = self.joined.documents.get(&node.main().id).is_some_and(|at| *at >= self.first_new);
        match before {
            None if node.provisional => State::Provisional,
            None => State::New,
            Some(_) if seen => State::Updated,
            Some(before) if differs(before, node) => State::Updated,
            Some(_) => State::Known,
        }
    }

    /// Whether the source of the node with this key keeps it switched off.
    pub(super) fn is_disabled(&self, key: PublicKey) -> bool {
        self.disabled.contains(&key)
    }
}

/// Whether anything but the numbers in the model differs.
fn differs(before: &Node, after: &Node) -> bool {
    let plain = |node: &Node| {
        let mut node = node.clone();
        node.id = NodeId(0);
        node.exit = None;
        node.created = chrono::DateTime::UNIX_EPOCH;
        for interface in &mut node.interfaces {
            interface.id = crate::model::InterfaceId(0);
            interface.kept = None;
        }
        node
    };
    plain(before) != plain(after)
}
