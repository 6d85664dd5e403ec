//! Puts together the topology and its secrets.

use std::collections::BTreeSet;

use crate::model::{
    Access, Cidr, Custody, Egress, Endpoint, Interface, InterfaceId, InterfaceKind, InterfaceName, Lan, Link, LinkId,
    Network, Node, NodeId, Origin, PresharedKey, PrivateKey, PublicKey, Role, Secrets, Topology,
};
use crate::wg::compile::links;

use super::access::{self, Frame, Rights};
use super::finding::{Conflict, Finding};
use super::graph::Graph;
use super::names::{self, Named};
use super::prefixes::{self, Addresses, Chosen, Plan};
use super::roles::{self, Given};
use super::server::Choice;
use super::{About, Defaults, Guess, kept, settings};

/// The number of a node in the topology, by its place in the graph.
pub(super) fn node_id(node: usize) -> NodeId {
    NodeId(i64::try_from(node).expect("there are fewer nodes than bytes of memory") + 1)
}

/// The number of an interface in the topology, by its place in the graph.
pub(super) fn interface_id(at: usize) -> InterfaceId {
    InterfaceId(i64::try_from(at).expect("there are fewer interfaces than bytes of memory") + 1)
}

/// A network, with what was guessed and found on the way.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) topology: Topology,
    pub(super) secrets: Secrets,
    pub(super) guesses: Vec<Guess>,
    pub(super) findings: Vec<Finding>,
}

/// What was made out about every node.
struct Facts<'b, 'a> {
    graph: &'b Graph<'a>,
    server: usize,
    plan: Plan,
    named: Vec<Named>,
    given: Vec<Given>,
    roles: Vec<Role>,
    addresses: Vec<Addresses>,
    lans: Vec<Vec<Cidr>>,
    endpoints: Vec<Option<Endpoint>>,
}

/// Builds the network of a graph around its server.
pub(super) fn build(graph: &Graph<'_>, choice: Choice, base: &Defaults) -> Result<Built, Vec<Conflict>> {
    let (mut guesses, mut findings) = (Vec::new(), Vec::new());
    let mut network = base.network.clone();
    let facts = facts(graph, choice, &mut network, &mut guesses, &mut findings);
    settings::of_network(graph, facts.server, &facts.roles, &facts.endpoints, &mut network);
    settings::compare_endpoints(graph, &facts.endpoints, &facts.named, &mut findings);
    let rights = rights(&facts);
    let nodes = (0..graph.nodes.len()).map(|at| node(&facts, at, &rights[at], &network, base)).collect();
    let mut topology =
        Topology { network, nodes, hosts: Vec::new(), links: Vec::new(), groups: Vec::new(), exit_groups: Vec::new() };
    topology.links = own_links(&facts, &topology).into_iter().map(Link::adopted).collect();
    let secrets = secrets(graph)?;
    kept::fill(graph, &mut topology, &secrets)?;
    for (at, node) in topology.nodes.iter_mut().enumerate() {
        node.enabled = graph.view(at).is_none_or(|seen| seen.view.enabled);
    }
    guess(&facts, &rights, &mut guesses);
    find(&facts, &topology, &rights, &mut findings);
    Ok(Built { topology, secrets, guesses, findings })
}

fn facts<'b, 'a>(
    graph: &'b Graph<'a>,
    choice: Choice,
    network: &mut Network,
    guesses: &mut Vec<Guess>,
    findings: &mut Vec<Finding>,
) -> Facts<'b, 'a> {
    let server = choice.node;
    let chosen = [true, false].map(|ipv4| prefixes::choose(graph, server, ipv4));
    for Chosen { prefix, reason } in chosen.iter().flatten() {
        let (value, reason) = (prefix.to_string(), reason.clone());
        guesses.push(Guess { node: None, about: About::Prefixes, value, reason });
    }
    if chosen.iter().any(Option::is_some) {
        (network.cidr4, network.cidr6) = (None, None);
        for Chosen { prefix, .. } in chosen.iter().flatten() {
            match prefix.net() {
                ipnet::IpNet::V4(net) => network.cidr4 = Some(net),
                ipnet::IpNet::V6(net) => network.cidr6 = Some(net),
            }
        }
    }
    let plan = Plan { four: network.cidr4, six: network.cidr6 };
    let named = names::choose(graph, server, findings);
    let exits: BTreeSet<usize> = uplinks(graph, server).into_iter().collect();
    let given = |node: usize| match node {
        node if node == server => Given { role: Role::Server, reason: choice.reason.clone() },
        node if exits.contains(&node) => {
            let reason = Some("the server has an interface of its own for it".to_owned());
            Given { role: Role::Exit, reason }
        }
        node => roles::of(graph, server, node, &plan),
    };
    let given: Vec<Given> = (0..graph.nodes.len()).map(given).collect();
    let roles: Vec<Role> = given.iter().map(|given| given.role).collect();
    let addresses = prefixes::addresses(graph, server, &plan, &named, findings);
    let lans = prefixes::lans(graph, server, &roles, &plan, &named, findings);
    let endpoints = settings::endpoints(graph, server, &roles);
    Facts { graph, server, plan, named, given, roles, addresses, lans, endpoints }
}

/// Returns the exits for which the server has an uplink.
fn uplinks(graph: &Graph<'_>, server: usize) -> Vec<usize> {
    let mut exits: Vec<usize> = graph.nodes[server][1..].iter().filter_map(|&at| graph.exit_behind(at)).collect();
    exits.sort_unstable();
    exits.dedup();
    exits
}

fn rights(facts: &Facts<'_, '_>) -> Vec<Option<Rights>> {
    let lans: Vec<Cidr> = facts.lans.iter().flatten().copied().collect();
    let exits = (0..facts.roles.len()).filter(|&node| facts.roles[node] == Role::Exit);
    let dialable = exits.filter(|&node| facts.endpoints[node].is_some()).collect();
    let uplinks = uplinks(facts.graph, facts.server);
    let (server, roles, plan) = (facts.server, facts.roles.as_slice(), &facts.plan);
    let frame = Frame { server, roles, plan, lans: &lans, dialable: &dialable, uplinks: &uplinks };
    let of = |node: usize| access::of(facts.graph, &frame, node, &facts.addresses[node]);
    (0..roles.len()).map(|node| (roles[node] == Role::Remote).then(|| of(node))).collect()
}

fn node(facts: &Facts<'_, '_>, at: usize, rights: &Option<Rights>, network: &Network, base: &Defaults) -> Node {
    let graph = facts.graph;
    let view = graph.view(at);
    let held = view.is_some_and(|seen| seen.view.tunnel.private_key.is_some());
    let lan = |cidr: &Cidr| Lan { cidr: *cidr, description: String::new() };
    let mut node = Node {
        id: node_id(at),
        guid: graph.keys[graph.main(at)],
        name: facts.named[at].name.clone(),
        role: facts.roles[at],
        device: None,
        enabled: true,
        custody: if held { Custody::Held } else { Custody::NeverSeen },
        provisional: view.is_none(),
        interfaces: interfaces(graph, at, network),
        address4: facts.addresses[at].four,
        address6: facts.addresses[at].six,
        endpoint: facts.endpoints[at].clone(),
        keepalive: settings::keepalive(graph, at, &facts.endpoints, network),
        mtu: None,
        dns: None,
        lans: facts.lans[at].iter().map(lan).collect(),
        outer_interface: None,
        nat: false,
        access: rights.as_ref().map_or(Access::Full, |rights| rights.access),
        lan_selection: rights.as_ref().map(|rights| rights.selection.clone()).unwrap_or_default(),
        grants: rights.as_ref().map(|rights| rights.grants.clone()).unwrap_or_default(),
        server: None,
        exit: rights.as_ref().and_then(|rights| rights.exit).map(|exit| Egress::Node(node_id(exit))),
        kill_switch: None,
        exit_rules: Vec::new(),
        routed: Default::default(),
        host: None,
        notes: String::new(),
        origin: Origin::Import,
        created: base.created,
    };
    settings::of_node(graph, at, &mut node, network);
    node
}

/// Returns a node's interfaces, the main one first. Those whose name no source tells are called as the network's are.
fn interfaces(graph: &Graph<'_>, node: usize, network: &Network) -> Vec<Interface> {
    let seen = |at: usize| graph.seen[at].as_ref().map(|seen| seen.view);
    let mut taken: BTreeSet<InterfaceName> =
        graph.nodes[node].iter().filter_map(|&at| seen(at)?.interface.clone()).collect();
    let mut interfaces = Vec::new();
    for &at in &graph.nodes[node] {
        let is_main = at == graph.main(node);
        let told = seen(at).and_then(|view| view.interface.clone());
        let name = told.unwrap_or_else(|| {
            let usual = is_main.then(|| network.interface.clone());
            let numbered =
                (1..).map(|number: u32| format!("wgx{number}").parse().expect("it is the name of an interface"));
            let mut names = usual.into_iter().chain(numbered);
            names.find(|name| !taken.contains(name)).expect("there are more numbers than interfaces")
        });
        taken.insert(name.clone());
        interfaces.push(Interface {
            id: interface_id(at),
            name,
            kind: match graph.exit_behind(at).filter(|_| !is_main) {
                Some(exit) => InterfaceKind::Uplink(node_id(exit)),
                None => InterfaceKind::Main,
            },
            listen_port: seen(at).and_then(|view| view.tunnel.listen_port),
            public_key: graph.keys[at],
            staged_key: None,
            overlap: None,
            kept: None,
        });
    }
    interfaces
}

/// Returns the links that don't follow from the nodes' roles.
fn own_links(facts: &Facts<'_, '_>, topology: &Topology) -> Vec<LinkId> {
    let by_role: BTreeSet<LinkId> = links(topology).into_iter().collect();
    let graph = facts.graph;
    let between = |a: usize, b: usize| LinkId::between(interface_id(a), interface_id(b));
    let seen = graph.pairs().into_iter().map(|(a, b)| between(a, b));
    // An exit is the server's peer in any case: by an uplink or, without one, by a link of its own.
    let uplinks = uplinks(graph, facts.server);
    let exits = (0..facts.roles.len()).filter(|node| facts.roles[*node] == Role::Exit && !uplinks.contains(node));
    let exits = exits.map(|node| between(graph.main(facts.server), graph.main(node)));
    let all: BTreeSet<LinkId> = seen.chain(exits).filter(|link| !by_role.contains(link)).collect();
    all.into_iter().collect()
}

/// Copies the keys. The two ends of a link have to agree.
fn secrets(graph: &Graph<'_>) -> Result<Secrets, Vec<Conflict>> {
    let mut secrets = Secrets::default();
    let mut conflicts = Vec::new();
    for (at, seen) in graph.seen.iter().enumerate() {
        if let Some(key) = seen.as_ref().and_then(|seen| seen.view.tunnel.private_key.as_ref()) {
            secrets.private.insert(interface_id(at), copy_of(key));
        }
    }
    for (a, b) in graph.pairs() {
        let (there, back) = (graph.entry(a, b), graph.entry(b, a));
        if let (Some(there), Some(back), Some(first), Some(second)) = (there, back, &graph.seen[a], &graph.seen[b])
            && there.peer.preshared != back.peer.preshared
        {
            let mut sources = [first.view.source.clone(), second.view.source.clone()];
            sources.sort_unstable();
            let [first, second] = sources;
            conflicts.push(Conflict::Preshared { first, second });
        }
        if let Some(key) = [there, back].into_iter().flatten().find_map(|entry| entry.peer.preshared.as_ref()) {
            secrets.preshared.insert(LinkId::between(interface_id(a), interface_id(b)), copy_of_shared(key));
        }
    }
    if conflicts.is_empty() { Ok(secrets) } else { Err(conflicts) }
}

fn copy_of(key: &PrivateKey) -> PrivateKey {
    key.expose_base64().parse().expect("a key prints as a key")
}

fn copy_of_shared(key: &PresharedKey) -> PresharedKey {
    key.expose_base64().parse().expect("a key prints as a key")
}

/// Says what was guessed, and why.
fn guess(facts: &Facts<'_, '_>, rights: &[Option<Rights>], guesses: &mut Vec<Guess>) {
    for (at, given) in facts.given.iter().enumerate() {
        let mut guess = |about: About, value: String, reason: String| {
            guesses.push(Guess { node: Some(node_id(at)), about, value, reason });
        };
        if let Some(reason) = &given.reason {
            guess(About::Role, given.role.to_string(), reason.clone());
        }
        let named = &facts.named[at];
        if let Some(reason) = named.reason {
            guess(About::Name, named.name.to_string(), reason.to_owned());
        }
        if let Some(rights) = &rights[at] {
            guess(About::Access, rights.access.to_string(), rights.reason.clone());
            if let Some(exit) = rights.exit {
                guess(About::Exit, facts.named[exit].name.to_string(), rights.reason.clone());
            }
        }
        if let Some(endpoint) = &facts.endpoints[at] {
            guess(About::Endpoint, endpoint.to_string(), "its peers dial it there".to_owned());
        }
        if at == facts.server && !facts.lans[at].is_empty() {
            let lans: Vec<String> = facts.lans[at].iter().map(Cidr::to_string).collect();
            guess(About::Lans, lans.join(", "), "its peers send that to it, and no router has it".to_owned());
        }
    }
}

/// Says what is odd about the nodes and their links.
fn find(facts: &Facts<'_, '_>, topology: &Topology, rights: &[Option<Rights>], findings: &mut Vec<Finding>) {
    let (graph, server) = (facts.graph, facts.server);
    let name = |node: usize| facts.named[node].name.clone();
    let hub = graph.main(server);
    if topology.nodes[server].endpoint.is_none() {
        findings.push(Finding::NoEndpoint { server: name(server) });
    }
    for node in (0..graph.nodes.len()).filter(|&node| node != server) {
        let exit_only = rights[node].as_ref().is_some_and(|rights| rights.access == Access::ExitOnly);
        if !graph.neighbours[node].contains(&server) && !exit_only {
            findings.push(Finding::NotAtServer { node: name(node), server: name(server) });
        }
        if let Some(rights) = rights[node].as_ref().filter(|rights| rights.exit_unsure)
            && let Some(exit) = rights.exit
        {
            findings.push(Finding::ExitUnknown { node: name(node), exit: name(exit) });
        }
        if let (Some(seen), Some(of_hub), Some(entry)) =
            (graph.view(node), &graph.seen[hub], graph.entry(hub, graph.main(node)))
        {
            let accepted = |own: &Cidr| entry.allowed.iter().any(|prefix| prefix.covers(own));
            for own in facts.addresses[node].prefixes().filter(|own| !accepted(own)) {
                findings.push(Finding::AddressNotAccepted {
                    node: name(node),
                    address: own.net().addr(),
                    view: seen.view.source.clone(),
                    peer_view: of_hub.view.source.clone(),
                });
            }
        }
    }
    for (a, b) in graph.pairs() {
        let (Some(first), Some(second)) = (&graph.seen[a], &graph.seen[b]) else { continue };
        let one_sided = match (graph.entry(a, b), graph.entry(b, a)) {
            (Some(_), None) => (a, first, b, second),
            (None, Some(_)) => (b, second, a, first),
            _ => continue,
        };
        let (a, first, b, second) = one_sided;
        let (view, other_view) = (first.view.source.clone(), second.view.source.clone());
        findings.push(match stands_in(graph, b) {
            Some(key) => Finding::OtherKey { node: name(graph.node_of[a]), key, view: other_view, own_view: view },
            None => {
                let (node, other) = (name(graph.node_of[a]), name(graph.node_of[b]));
                Finding::OneSided { node, other, view, other_view }
            }
        });
    }
}

/// Returns the key of an interface's only peer, if nobody else knows anything of that.
fn stands_in(graph: &Graph<'_>, at: usize) -> Option<PublicKey> {
    let [only] = graph.entries(at) else { return None };
    let unknown = graph.seen[only.far].is_none() && graph.said_of(only.far).count() == 1;
    unknown.then_some(only.peer.public_key)
}
