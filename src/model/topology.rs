//! A whole network at one moment.

use serde::{Deserialize, Serialize};

use super::{Host, LinkId, Name, Network, Node, NodeId, Role};

/// Everything the compiler needs to know, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Address plan and defaults.
    pub network: Network,
    /// Its nodes, ordered by id.
    pub nodes: Vec<Node>,
    /// The machines, ordered by name.
    pub hosts: Vec<Host>,
    /// Links beside those that follow from the nodes' roles, in order.
    #[serde(default)]
    pub links: Vec<LinkId>,
}

impl Topology {
    /// Returns a node by id. Nodes are ordered by id, so this costs a binary search.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.binary_search_by_key(&id, |n| n.id).ok().map(|at| &self.nodes[at])
    }

    /// Returns the enabled nodes.
    pub fn enabled(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.enabled)
    }

    /// Returns the enabled nodes of a role.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.enabled().filter(move |n| n.role == role)
    }

    /// Returns a host by name.
    pub fn host(&self, name: &Name) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == *name)
    }
}
