//! Who is a peer of whom.
//!
//! Each router and each remote links to the server's main interface; each exit links to a server's uplink of its own,
//! since `0.0.0.0/0` can belong to one peer of an interface only; an exit-only remote links to its exit and to nobody
//! else. Links that the operator or an adopted network has beside these are in the topology itself.

use std::collections::BTreeSet;

use crate::model::{Access, Endpoint, Interface, InterfaceId, LinkId, Node, NodeId, Role, Topology};

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub(super) node: &'a Node,
    pub(super) interface: &'a Interface,
}

impl<'a> End<'a> {
    pub(super) fn main(node: &'a Node) -> Self {
        Self { node, interface: node.main() }
    }

    /// Where the other end dials this one: an uplink shares the node's host name and has a port of its own.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        let endpoint = self.node.endpoint.as_ref()?;
        if self.interface.id == self.node.main().id {
            return Some(endpoint.clone());
        }
        self.interface.listen_port.map(|port| endpoint.with_port(port))
    }

    /// Whether the other end can dial this one.
    pub(super) fn can_be_dialled(&self) -> bool {
        let is_main = self.interface.id == self.node.main().id;
        self.node.endpoint.is_some() && (is_main || self.interface.listen_port.is_some())
    }
}

/// Two interfaces that are peers of each other; the first end is the one nearer to the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    pub(super) inner: End<'a>,
    pub(super) outer: End<'a>,
}

impl<'a> Link<'a> {
    /// A router's or remote's link to the server.
    pub(super) fn to_server(server: &'a Node, node: &'a Node) -> Self {
        Self { inner: End::main(server), outer: End::main(node) }
    }

    /// An exit's link to the server's uplink for it; `None` when the server has none.
    pub(super) fn to_uplink(server: &'a Node, exit: &'a Node) -> Option<Self> {
        let interface = server.uplink_to(exit.id)?;
        Some(Self { inner: End { node: server, interface }, outer: End::main(exit) })
    }

    /// An exit-only remote's link to its exit.
    pub(super) fn to_exit(exit: &'a Node, remote: &'a Node) -> Self {
        Self { inner: End::main(exit), outer: End::main(remote) }
    }

    pub(super) fn id(&self) -> LinkId {
        LinkId::between(self.inner.interface.id, self.outer.interface.id)
    }
}

/// The enabled nodes sorted out by role, each list ordered by id.
pub(super) struct Members<'a> {
    pub(super) topology: &'a Topology,
    pub(super) servers: Vec<&'a Node>,
    pub(super) routers: Vec<&'a Node>,
    pub(super) exits: Vec<&'a Node>,
    pub(super) remotes: Vec<&'a Node>,
}

impl<'a> Members<'a> {
    pub(super) fn of(topology: &'a Topology) -> Self {
        let with = |role| {
            let mut nodes: Vec<&Node> = topology.with_role(role).collect();
            nodes.sort_by_key(|node| node.id);
            nodes
        };
        let (servers, routers) = (with(Role::Server), with(Role::Router));
        Self { topology, servers, routers, exits: with(Role::Exit), remotes: with(Role::Remote) }
    }

    /// Returns the enabled exit with this id.
    pub(super) fn exit(&self, id: NodeId) -> Option<&'a Node> {
        self.exits.binary_search_by_key(&id, |node| node.id).ok().map(|at| self.exits[at])
    }

    /// Returns the exit by which a node's internet traffic leaves. A disabled exit carries nothing: without it the
    /// node has a split tunnel, and nothing leaves by the server instead.
    pub(super) fn exit_of(&self, node: &Node) -> Option<&'a Node> {
        node.exit.and_then(|id| self.exit(id))
    }

    /// Whether a node's internet traffic leaves at the server itself.
    pub(super) fn leaves_at_server(&self, node: &Node) -> bool {
        let at = |server: &&Node| node.exit == Some(server.id);
        node.access != Access::ExitOnly && self.servers.first().is_some_and(at)
    }

    /// Whether two nodes' main interfaces are linked beside what follows from their roles.
    pub(super) fn has_own_link(&self, a: &Node, b: &Node) -> bool {
        let id = LinkId::between(a.main().id, b.main().id);
        self.topology.links.iter().any(|link| link.id == id)
    }

    /// Returns every link that can be made; what is missing for the others is for the checks to say.
    pub(super) fn links(&self) -> Vec<Link<'a>> {
        let Some(server) = self.servers.first() else { return Vec::new() };
        let routers = self.routers.iter().map(|node| Link::to_server(server, node));
        let exits = self.exits.iter().filter_map(|node| Link::to_uplink(server, node));
        let remotes = self.remotes.iter().filter_map(|node| match node.access {
            Access::ExitOnly => Some(Link::to_exit(self.exit_of(node)?, node)),
            _ => Some(Link::to_server(server, node)),
        });
        routers.chain(exits).chain(remotes).collect()
    }
}

/// Returns the links between the enabled nodes: each may carry a preshared key.
///
/// A link for which something is missing (an exit-only remote without an exit) is left out; [`check`](super::check) says
/// what.
pub fn links(topology: &Topology) -> Vec<LinkId> {
    let mut links: Vec<LinkId> = Members::of(topology).links().iter().map(Link::id).collect();
    let present: BTreeSet<InterfaceId> = topology.enabled().flat_map(|n| n.interfaces.iter().map(|i| i.id)).collect();
    let both = |link: &LinkId| present.contains(&link.ends().0) && present.contains(&link.ends().1);
    links.extend(topology.links.iter().map(|link| link.id).filter(both));
    links
}
