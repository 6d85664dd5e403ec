//! Where nodes are dialled, and what most of them have in common.

use std::collections::BTreeMap;

use crate::model::{Access, Endpoint, EndpointHost, Mtu, Network, Node, Port, PskPolicy, Role};
use crate::wg::compile::is_dns_entry;

use super::finding::Finding;
use super::graph::{Entry, Graph};
use super::names::Named;

/// Returns where each node is dialled: where most of its peers do.
pub(super) fn endpoints(graph: &Graph<'_>, server: usize, roles: &[Role]) -> Vec<Option<Endpoint>> {
    (0..graph.nodes.len()).map(|node| endpoint(graph, server, node, roles[node])).collect()
}

fn endpoint(graph: &Graph<'_>, server: usize, node: usize, role: Role) -> Option<Endpoint> {
    let main = graph.main(node);
    let listens = graph.view(node).and_then(|seen| seen.view.tunnel.listen_port);
    let mut votes: BTreeMap<&Endpoint, usize> = BTreeMap::new();
    for (near, entry) in graph.said_of(main) {
        let Some(endpoint) = &entry.peer.endpoint else { continue };
        // What a server saved of a client's last whereabouts is no place where it can be dialled.
        let fixed = matches!(endpoint.host, EndpointHost::Name(_)) || listens == Some(endpoint.port);
        if node == server || fixed || (role != Role::Remote && graph.dials(near, main)) {
            *votes.entry(endpoint).or_default() += 1;
        }
    }
    usual(votes).cloned()
}

/// Returns what has the most votes; of several, a name before an address.
fn usual(votes: BTreeMap<&Endpoint, usize>) -> Option<&Endpoint> {
    let named = |endpoint: &Endpoint| matches!(endpoint.host, EndpointHost::Name(_));
    votes
        .into_iter()
        .max_by_key(|(endpoint, count)| (*count, named(endpoint), std::cmp::Reverse(*endpoint)))
        .map(|(e, _)| e)
}

/// Tells who dials a node elsewhere than most, or at a port where it doesn't listen.
pub(super) fn compare_endpoints(
    graph: &Graph<'_>,
    endpoints: &[Option<Endpoint>],
    named: &[Named],
    findings: &mut Vec<Finding>,
) {
    for (at, usual) in endpoints.iter().enumerate() {
        let Some(usual) = usual else { continue };
        let mut dialled: BTreeMap<&Endpoint, Vec<String>> = BTreeMap::new();
        for (near, entry) in graph.said_of(graph.main(at)) {
            if let (Some(endpoint), Some(seen)) = (&entry.peer.endpoint, &graph.seen[near]) {
                dialled.entry(endpoint).or_default().push(seen.view.source.clone());
            }
        }
        let listens = graph.view(at).and_then(|seen| seen.view.tunnel.listen_port);
        for (endpoint, mut views) in dialled {
            views.sort_unstable();
            let (node, endpoint) = (named[at].name.clone(), endpoint.clone());
            if let Some(port) = listens.filter(|port| *port != endpoint.port) {
                findings.push(Finding::OtherPort { node, port, endpoint, views });
            } else if endpoint != *usual {
                findings.push(Finding::OtherEndpoint { node, usual: usual.clone(), endpoint, views });
            }
        }
    }
}

/// Returns the value that most have; of several, the lowest.
fn common<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut votes: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *votes.entry(value).or_default() += 1;
    }
    let most = votes.values().copied().max()?;
    votes.into_iter().find(|(_, count)| *count == most).map(|(value, _)| value)
}

/// Fills in what a network's members have in common; what no view says stays as it is.
pub(super) fn of_network(
    graph: &Graph<'_>,
    server: usize,
    roles: &[Role],
    endpoints: &[Option<Endpoint>],
    network: &mut Network,
) {
    let views = || (0..graph.nodes.len()).filter_map(|node| Some((node, graph.view(node)?.view)));
    let of_server = graph.view(server).map(|seen| seen.view);
    if let Some(interface) = of_server.and_then(|view| view.interface.clone()) {
        network.interface = interface;
    }
    let dialled = endpoints[server].as_ref().map(|endpoint| endpoint.port);
    let port: Option<Port> = of_server.and_then(|view| view.tunnel.listen_port).or(dialled);
    network.port = port.unwrap_or(network.port);
    // One that few have is their own affair; the others leave it to wg-quick.
    let all = views().count();
    let mtus = || views().filter_map(|(_, view)| view.tunnel.mtu).filter_map(|mtu| Mtu::try_from(mtu).ok());
    let usual = common(mtus()).filter(|usual| 2 * mtus().filter(|mtu| mtu == usual).count() >= all);
    network.mtu = usual.unwrap_or(network.mtu);
    let remotes = views().filter(|(node, _)| roles[*node] == Role::Remote);
    let dns = remotes
        .map(|(_, view)| view.tunnel.dns.clone())
        .filter(|dns| !dns.is_empty() && dns.iter().all(|entry| is_dns_entry(entry)));
    if let Some(dns) = common(dns) {
        network.dns = dns;
    }
    let undialled = views().filter(|(node, _)| endpoints[*node].is_none());
    let entries = undialled.flat_map(|(node, _)| graph.entries(graph.main(node)));
    let keepalives = entries.filter(|entry| entry.peer.endpoint.is_some()).filter_map(|entry| entry.peer.keepalive);
    network.keepalive = common(keepalives.filter(|seconds| *seconds > 0)).unwrap_or(network.keepalive);
    if views().any(|(_, view)| view.tunnel.peers.iter().any(|peer| peer.preshared.is_some())) {
        network.psk = PskPolicy::Unique;
    }
}

/// Returns the keepalive that a node sends to most of its peers, when it isn't what the network makes of it.
pub(super) fn keepalive(
    graph: &Graph<'_>,
    node: usize,
    endpoints: &[Option<Endpoint>],
    network: &Network,
) -> Option<u16> {
    let by_model = |entry: &Entry<'_>| {
        let needed = endpoints[node].is_none() && endpoints[graph.node_of[entry.far]].is_some();
        if needed { network.keepalive } else { 0 }
    };
    let own = |entry: &Entry<'_>| entry.peer.keepalive.unwrap_or(0);
    let as_model = graph.said_by(node).filter(|entry| own(entry) == by_model(entry)).count();
    let usual = common(graph.said_by(node).map(own))?;
    let as_usual = graph.said_by(node).filter(|entry| own(entry) == usual).count();
    (as_usual > as_model).then_some(usual)
}

/// Sets what a node's own view says of it.
pub(super) fn of_node(graph: &Graph<'_>, at: usize, node: &mut Node, network: &Network) {
    let Some(seen) = graph.view(at) else { return };
    let tunnel = &seen.view.tunnel;
    node.mtu = tunnel.mtu.and_then(|mtu| Mtu::try_from(mtu).ok()).filter(|mtu| *mtu != network.mtu);
    let by_model: &[String] = if node.role == Role::Remote { &network.dns } else { &[] };
    // An exit-only remote isn't told of servers that it can't reach, unless its own list says so.
    let follows = tunnel.dns == by_model && node.access != Access::ExitOnly;
    node.dns = (!follows).then(|| tunnel.dns.clone());
    node.outer_interface = match node.role {
        Role::Remote => None,
        _ => seen.duties.outer.clone(),
    };
    node.nat = node.role == Role::Router && seen.duties.nat;
    node.host = seen.view.host.clone();
}
