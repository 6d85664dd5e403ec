//! Which node is the server.

use std::cmp::Reverse;

use crate::model::{PublicKey, Role};

use super::finding::Conflict;
use super::graph::Graph;
use super::meaning;

/// The server, and why.
#[derive(Debug)]
pub(super) struct Choice {
    /// The node.
    pub(super) node: usize,
    /// Why, in words; `None` when the operator said so.
    pub(super) reason: Option<String>,
}

/// Chooses the server: by the operator's word, else by its uplinks, else by what its view looks like, else the hub that
/// most others dial.
pub(super) fn choose(graph: &Graph<'_>) -> Result<Choice, Conflict> {
    let told: Vec<usize> = all(graph).filter(|&node| said(graph, node) == Some(Role::Server)).collect();
    match told[..] {
        [] => {}
        [node] => return Ok(Choice { node, reason: None }),
        [first, second, ..] => {
            return Err(Conflict::TwoServers { first: graph.label(first), second: graph.label(second) });
        }
    }
    let free = |node: &usize| said(graph, *node).is_none();
    let with_uplinks = all(graph).filter(free).filter(|&node| graph.nodes[node].len() > 1);
    if let Some(node) = with_uplinks.max_by_key(|&node| score(graph, node)) {
        return Ok(Choice { node, reason: Some("has an interface of its own for each exit".to_owned()) });
    }
    let carries = |node: usize| carries_internet_for_hubs(graph, node);
    let shaped: Vec<usize> =
        all(graph).filter(free).filter(|&node| is_server_shaped(graph, node) && !carries(node)).collect();
    let listening: Vec<usize> =
        all(graph).filter(free).filter(|&node| listens_for_hosts(graph, node) && !carries(node)).collect();
    if let Some(&first) = shaped.iter().max_by_key(|&&node| score(graph, node)) {
        let rival = shaped.iter().find(|&&other| other != first && clients_of(graph, other) >= 2);
        if let Some(&second) = rival.filter(|_| clients_of(graph, first) >= 1) {
            return Err(Conflict::TwoServers { first: graph.label(first), second: graph.label(second) });
        }
        let reason = shape(graph, first) + if shaped.len() > 1 { ", and most others link to it" } else { "" };
        return Ok(Choice { node: first, reason: Some(reason) });
    }
    let best = |nodes: &[usize]| nodes.iter().copied().max_by_key(|&node| score(graph, node));
    if let Some(node) = best(&listening) {
        let reason =
            format!("listens on a port, and its {} peers have an address each", graph.entries(graph.main(node)).len());
        return Ok(Choice { node, reason: Some(reason) });
    }
    let rest: Vec<usize> = all(graph).filter(free).collect();
    let others: Vec<usize> = all(graph).collect();
    let node = best(&rest).or_else(|| best(&others)).ok_or(Conflict::Nothing)?;
    let dialled = dialled_by(graph, node);
    let reason = match dialled {
        0 => "a network needs a server, and nothing tells which node it is".to_owned(),
        1 => "the other end dials it".to_owned(),
        _ => format!("{dialled} others dial it"),
    };
    Ok(Choice { node, reason: Some(reason) })
}

fn all(graph: &Graph<'_>) -> std::ops::Range<usize> {
    0..graph.nodes.len()
}

/// Returns a node's role by the operator's word.
pub(super) fn said(graph: &Graph<'_>, node: usize) -> Option<Role> {
    graph.view(node).and_then(|seen| seen.role)
}

/// How many peers of a node's view have a network behind them.
fn with_lans(graph: &Graph<'_>, node: usize) -> usize {
    let entries = graph.entries(graph.main(node)).iter();
    entries.filter(|e| e.allowed.iter().any(|p| !p.is_host() && !meaning::is_internet(p))).count()
}

/// Whether a view looks like a server's: three or more peers, one with LANs at least, or two and rules that forward.
fn is_server_shaped(graph: &Graph<'_>, node: usize) -> bool {
    let Some(seen) = graph.view(node) else { return false };
    let entries = graph.entries(graph.main(node));
    let exit_shaped = seen.duties.nat && entries.iter().all(|entry| meaning::only_hosts(&entry.allowed));
    (entries.len() >= 3 && with_lans(graph, node) >= 1) || (entries.len() >= 2 && seen.duties.forwards && !exit_shaped)
}

fn shape(graph: &Graph<'_>, node: usize) -> String {
    let peers = graph.entries(graph.main(node)).len();
    match with_lans(graph, node) {
        0 => format!("forwards, and has {peers} peers"),
        lans => format!("has {peers} peers, {lans} of them with networks behind them"),
    }
}

/// Whether a view waits to be dialled by peers that each have an address of their own.
fn listens_for_hosts(graph: &Graph<'_>, node: usize) -> bool {
    let entries = graph.entries(graph.main(node));
    let own = |entry: &super::graph::Entry<'_>| {
        entry.allowed.iter().any(|prefix| prefix.is_host()) && !meaning::internet(&entry.allowed)
    };
    let listens = graph.view(node).is_some_and(|seen| seen.view.tunnel.listen_port.is_some());
    listens && entries.len() >= 2 && entries.iter().all(own)
}

/// Whether a node that has other peers too sends it the internet: then it is an exit.
fn carries_internet_for_hubs(graph: &Graph<'_>, node: usize) -> bool {
    graph
        .said_of(graph.main(node))
        .any(|(near, entry)| meaning::internet(&entry.allowed) && graph.neighbours[graph.node_of[near]].len() > 1)
}

/// How many nodes are linked to this one and to nobody else.
fn clients_of(graph: &Graph<'_>, node: usize) -> usize {
    graph.neighbours[node].iter().filter(|&&other| graph.neighbours[other].len() == 1).count()
}

fn dialled_by(graph: &Graph<'_>, node: usize) -> usize {
    let dials = |other: usize| {
        graph.nodes[other].iter().any(|&near| graph.nodes[node].iter().any(|&far| graph.dials(near, far)))
    };
    graph.neighbours[node].iter().filter(|&&other| dials(other)).count()
}

/// What makes a node the likelier hub; the lowest key breaks ties.
fn score(graph: &Graph<'_>, node: usize) -> (usize, usize, bool, bool, Reverse<PublicKey>) {
    let tunnel = graph.view(node).map(|seen| &seen.view.tunnel);
    let listens = tunnel.is_some_and(|tunnel| tunnel.listen_port.is_some());
    let key = graph.keys[graph.main(node)];
    (dialled_by(graph, node), graph.neighbours[node].len(), tunnel.is_some(), listens, Reverse(key))
}
