//! A whole network at one moment.

use serde::{Deserialize, Serialize};

use super::{
    Cidr, Destination, Egress, ExitGroup, ExitGroupId, Grant, Group, GroupId, Host, Link, Name, Network, Node, NodeId,
    Role,
};

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
    pub links: Vec<Link>,
    /// Groups of nodes, ordered by id.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Groups of exits, ordered by id.
    #[serde(default)]
    pub exit_groups: Vec<ExitGroup>,
}

impl Topology {
    /// Returns a node by id. Nodes are ordered by id, so this costs a binary search.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.binary_search_by_key(&id, |n| n.id).ok().map(|at| &self.nodes[at])
    }

    /// Returns a group of nodes by id.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.binary_search_by_key(&id, |group| group.id).ok().map(|at| &self.groups[at])
    }

    /// Returns what a node is granted: by itself, then as a member of groups.
    pub fn grants_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Grant> {
        let id = node.id;
        let groups = self.groups.iter().filter(move |group| group.members.contains(&id));
        node.grants.iter().chain(groups.flat_map(|group| &group.grants))
    }

    /// Returns where a grant leads: its prefix, or addresses of enabled nodes. A node stands for its addresses in the network
    /// alone: a LAN behind it is granted by its prefix.
    pub fn prefixes_of(&self, destination: Destination) -> Vec<Cidr> {
        let addresses = |id: NodeId| self.node(id).filter(|node| node.enabled).into_iter().flat_map(Node::addresses);
        match destination {
            Destination::Prefix(prefix) => vec![prefix],
            Destination::Node(id) => addresses(id).collect(),
            Destination::Group(id) => {
                self.group(id).into_iter().flat_map(|group| &group.members).flat_map(|id| addresses(*id)).collect()
            }
        }
    }

    /// Returns the enabled nodes.
    pub fn enabled(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.enabled)
    }

    /// Returns the enabled nodes of a role.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.enabled().filter(move |n| n.role == role)
    }

    /// Returns the server that a node belongs to: the one it is told, else the first. A server belongs to itself. `None`
    /// when that server isn't there or disabled.
    pub fn home(&self, node: &Node) -> Option<&Node> {
        let own = if node.role == Role::Server { Some(node.id) } else { node.server };
        match own {
            Some(id) => self.node(id).filter(|server| server.enabled && server.role == Role::Server),
            None => self.with_role(Role::Server).next(),
        }
    }

    /// Returns a group of exits by id.
    pub fn exit_group(&self, id: ExitGroupId) -> Option<&ExitGroup> {
        self.exit_groups.iter().find(|group| group.id == id)
    }

    /// Returns by which way a node's internet traffic is to leave: as it is told or, a remote that isn't, as the network is.
    pub fn egress(&self, node: &Node) -> Egress {
        let inherited = if node.role == Role::Remote { self.network.exit } else { Egress::None };
        node.exit.unwrap_or(inherited)
    }

    /// Whether nothing of a node leaves while its exit can't be used.
    pub fn kill_switch(&self, node: &Node) -> bool {
        node.kill_switch.unwrap_or(self.network.kill_switch)
    }

    /// Returns what a way to the internet is called: the name of an exit, a server, a group, or of a chain's last exit; `None`
    /// for no way, and for one that isn't there.
    pub fn egress_name(&self, way: Egress) -> Option<&Name> {
        match way {
            Egress::None => None,
            Egress::Node(id) => self.node(id).map(|node| &node.name),
            Egress::Group(id) => self.exit_group(id).map(|group| &group.name),
            Egress::Via(via) => self.node(via.last()).map(|node| &node.name),
        }
    }

    /// Returns the names of a chain's exits in order; none for what is no chain.
    pub fn via_names(&self, way: Egress) -> Vec<Name> {
        let exits = way.via().into_iter().flat_map(|via| via.exits().to_vec());
        exits.filter_map(|id| self.node(id)).map(|node| node.name.clone()).collect()
    }

    /// Returns a host by name.
    pub fn host(&self, name: &Name) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == *name)
    }
}
