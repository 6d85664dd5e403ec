//! Who is a peer of whom.
//!
//! Each router and each remote links to its server's main interface, and servers to each other; each exit links to an
//! uplink of its own on every server, since `0.0.0.0/0` can belong to one peer of an interface only, and on every exit from
//! which something goes on to it; an exit-only remote
//! links to its exit and to nobody else. Links that the operator or an adopted network has beside these are in the
//! topology itself: those with a weight are ways like the others, those without carry what their ends keep.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Access, Endpoint, Interface, InterfaceId, LinkId, Node, NodeId, Role, Topology, Via, Weight, WhenDown,
};

use super::chains;

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
    pub(super) weight: Weight,
    pub(super) when_down: WhenDown,
}

impl<'a> Link<'a> {
    fn between(inner: End<'a>, outer: End<'a>) -> Self {
        Self { inner, outer, weight: Weight::ONE, when_down: WhenDown::Stay }
    }

    /// An exit-only remote's link to its exit.
    pub(super) fn to_exit(exit: &'a Node, remote: &'a Node) -> Self {
        Self::between(End::main(exit), End::main(remote))
    }

    pub(super) fn id(&self) -> LinkId {
        LinkId::between(self.inner.interface.id, self.outer.interface.id)
    }

    /// Whether ways between nodes may lead over it: exits only carry packets to the internet.
    pub(super) fn is_way(&self) -> bool {
        [self.inner, self.outer].iter().all(|end| end.node.role != Role::Exit && end.interface.id == end.node.main().id)
    }
}

/// The enabled nodes sorted out by role, each list ordered by id.
pub(super) struct Members<'a> {
    pub(super) topology: &'a Topology,
    pub(super) servers: Vec<&'a Node>,
    pub(super) routers: Vec<&'a Node>,
    pub(super) exits: Vec<&'a Node>,
    pub(super) remotes: Vec<&'a Node>,
    /// The chains of exits that remotes are told to leave by, each with those.
    pub(super) chains: BTreeMap<Via, Vec<&'a Node>>,
}

impl<'a> Members<'a> {
    pub(super) fn of(topology: &'a Topology) -> Self {
        let with = |role| {
            let mut nodes: Vec<&Node> = topology.with_role(role).collect();
            nodes.sort_by_key(|node| node.id);
            nodes
        };
        let (servers, routers, remotes) = (with(Role::Server), with(Role::Router), with(Role::Remote));
        let chains = chains::told(topology, &remotes);
        Self { topology, servers, routers, exits: with(Role::Exit), remotes, chains }
    }

    /// Returns the enabled exit with this id.
    pub(super) fn exit(&self, id: NodeId) -> Option<&'a Node> {
        self.exits.binary_search_by_key(&id, |node| node.id).ok().map(|at| self.exits[at])
    }

    /// Whether two nodes' main interfaces are linked beside what follows from their roles.
    pub(super) fn has_own_link(&self, a: &Node, b: &Node) -> bool {
        let id = LinkId::between(a.main().id, b.main().id);
        self.topology.links.iter().any(|link| link.id == id)
    }

    /// Returns the server that a node belongs to.
    pub(super) fn home(&self, node: &Node) -> Option<&'a Node> {
        // The first server may stand behind thousands of other nodes.
        if node.role != Role::Server && node.server.is_none() {
            return self.servers.first().copied();
        }
        self.topology.home(node)
    }

    /// Returns every link that can be made; what is missing for the others is for the checks to say.
    pub(super) fn links(&self) -> Vec<Link<'a>> {
        let mut links: Vec<Link<'a>> = Vec::with_capacity(self.topology.nodes.len());
        let to_server = |node: &&'a Node| Some(Link::between(End::main(self.home(node)?), End::main(node)));
        links.extend(self.routers.iter().filter_map(to_server));
        for (at, server) in self.servers.iter().enumerate() {
            links.extend(self.servers[..at].iter().map(|first| Link::between(End::main(first), End::main(server))));
            let uplinks = self.exits.iter().filter_map(|exit| {
                let interface = server.uplink_to(exit.id)?;
                Some(Link::between(End { node: server, interface }, End::main(exit)))
            });
            links.extend(uplinks);
        }
        links.extend(chains::steps(self).into_iter().filter_map(|(from, to)| {
            let (node, next) = (self.exit(from)?, self.exit(to)?);
            Some(Link::between(End { node, interface: node.uplink_to(to)? }, End::main(next)))
        }));
        links.extend(self.remotes.iter().filter_map(|node| match node.access {
            Access::ExitOnly => Some(Link::to_exit(self.exit_of(node)?, node)),
            _ => to_server(node),
        }));
        self.add_own(&mut links);
        links
    }

    /// Adds the links that the operator made, and gives those between servers the weight that he gave them.
    fn add_own(&self, links: &mut Vec<Link<'a>>) {
        let own = || self.topology.links.iter().filter_map(|link| Some((link.id, link.weight?, link.when_down)));
        if own().next().is_none() {
            return;
        }
        let known: BTreeMap<LinkId, usize> = links.iter().enumerate().map(|(at, link)| (link.id(), at)).collect();
        let mains: BTreeMap<InterfaceId, &'a Node> =
            self.topology.enabled().map(|node| (node.main().id, node)).collect();
        for (id, weight, when_down) in own() {
            let (low, high) = id.ends();
            match (known.get(&id), mains.get(&low), mains.get(&high)) {
                (Some(&at), Some(low), Some(high)) if low.role == Role::Server && high.role == Role::Server => {
                    links[at].weight = weight;
                }
                (None, Some(low), Some(high)) => {
                    links.push(Link { inner: End::main(low), outer: End::main(high), weight, when_down });
                }
                _ => {}
            }
        }
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
    let unrouted = topology.links.iter().filter(|link| link.weight.is_none()).map(|link| link.id);
    links.extend(unrouted.filter(both));
    links
}
