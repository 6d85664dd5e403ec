//! What the views have that the model alone would make differently.

use std::collections::BTreeMap;

use crate::model::{Cidr, InterfaceAddr, InterfaceId, Kept, KeptEndpoint, KeptPeer, Node, Secrets, Topology};
use crate::wg::compile::compile;
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig};

use super::build::interface_id as id;
use super::finding::Conflict;
use super::graph::{Entry, Graph};
use super::meaning;
use super::seen::Seen;

/// Gives each interface that has a view its differences, so that compiling gives what the view says.
///
/// # Errors
/// What can't be compiled, and what the model has no place for.
pub(super) fn fill(graph: &Graph<'_>, topology: &mut Topology, secrets: &Secrets) -> Result<(), Vec<Conflict>> {
    for (at, seen) in views(graph) {
        let node = node_mut(graph, topology, at);
        let kept = by_itself(seen, node, graph.main(graph.node_of[at]) == at);
        interface_mut(graph, topology, at).kept = Some(kept);
    }
    let nodes = compiled(topology)?;
    let by_id = by_id(&nodes);
    let mut differences = Vec::new();
    for (at, seen) in views(graph) {
        let Some(config) = by_id.get(&id(at)) else {
            return Err(vec![no_place(seen, "an interface that no role makes")]);
        };
        let port_auto = seen.view.tunnel.listen_port.is_none() && config.listen_port.is_some();
        differences.push((at, port_auto, of_peers(graph, at, config)));
    }
    for (at, port_auto, peers) in differences {
        if let Some(kept) = &mut interface_mut(graph, topology, at).kept {
            (kept.port_auto, kept.peers) = (port_auto, peers);
        }
    }
    verify(graph, topology, secrets)
}

fn views<'b, 'a>(graph: &'b Graph<'a>) -> impl Iterator<Item = (usize, &'b Seen<'a>)> {
    graph.seen.iter().enumerate().filter_map(|(at, seen)| Some((at, seen.as_ref()?)))
}

fn node_mut<'t>(graph: &Graph<'_>, topology: &'t mut Topology, at: usize) -> &'t mut Node {
    &mut topology.nodes[graph.node_of[at]]
}

fn interface_mut<'t>(graph: &Graph<'_>, topology: &'t mut Topology, at: usize) -> &'t mut crate::model::Interface {
    let interfaces = &mut node_mut(graph, topology, at).interfaces;
    interfaces.iter_mut().find(|interface| interface.id == id(at)).expect("a node has the interfaces that it was given")
}

fn compiled(topology: &Topology) -> Result<Vec<NodeConfig>, Vec<Conflict>> {
    compile(topology).map_err(|refusals| refusals.into_iter().map(Conflict::from).collect())
}

fn by_id(nodes: &[NodeConfig]) -> BTreeMap<InterfaceId, &InterfaceConfig> {
    nodes.iter().flat_map(|node| &node.interfaces).map(|interface| (interface.id, interface)).collect()
}

/// What an interface keeps whatever the model makes of it.
fn by_itself(seen: &Seen<'_>, node: &Node, is_main: bool) -> Kept {
    let tunnel = &seen.view.tunnel;
    let mut rest = if is_main { tunnel.addresses.clone() } else { Vec::new() };
    let mut length = |address: Option<std::net::IpAddr>| {
        let at = rest.iter().position(|written| Some(written.address()) == address)?;
        Some(rest.remove(at).prefix_len())
    };
    let length4 = length(node.address4.map(Into::into)).filter(|length| *length != 32);
    let length6 = length(node.address6.map(Into::into)).filter(|length| *length != 128);
    Kept {
        made: false,
        run: seen.view.run,
        length4,
        length6,
        addresses: rest,
        port_auto: false,
        mtu_auto: tunnel.mtu.is_none(),
        fwmark: tunnel.fwmark,
        table: Some(tunnel.table.clone()),
        mtu: None,
        hooks: Vec::new(),
        save_config: tunnel.save_config,
        by_hooks: seen.view.by_hooks.clone(),
        key_by_hook: tunnel.private_key.is_none() && seen.duties.loads_key,
        key_on_host: false,
        key_unknown: false,
        firewall: false,
        peers: BTreeMap::new(),
    }
}

/// Returns what differs between the peers that are compiled and those that a view has.
fn of_peers(graph: &Graph<'_>, at: usize, config: &InterfaceConfig) -> BTreeMap<InterfaceId, KeptPeer> {
    let mut kept = BTreeMap::new();
    for peer in &config.peers {
        let (low, high) = peer.link.ends();
        let far = if low == config.id { high } else { low };
        let entry = usize::try_from(far.0 - 1).ok().and_then(|far| graph.entry(at, far));
        let differs = match entry {
            Some(entry) => of_peer(entry, peer),
            None => KeptPeer { absent: true, ..KeptPeer::default() },
        };
        if differs != KeptPeer::default() {
            kept.insert(far, differs);
        }
    }
    kept
}

fn of_peer(entry: &Entry<'_>, compiled: &PeerConfig) -> KeptPeer {
    let written = entry.peer;
    let endpoint = || match &written.endpoint {
        Some(endpoint) => KeptEndpoint::At(endpoint.clone()),
        None => KeptEndpoint::None,
    };
    KeptPeer {
        added: without(&entry.allowed, &compiled.allowed_ips),
        left_out: without(&compiled.allowed_ips, &entry.allowed),
        keepalive: (sent(written.keepalive) != sent(compiled.keepalive)).then(|| written.keepalive.unwrap_or(0)),
        endpoint: (written.endpoint != compiled.endpoint).then(endpoint),
        absent: false,
    }
}

/// A keepalive of 0 is none.
fn sent(keepalive: Option<u16>) -> Option<u16> {
    keepalive.filter(|seconds| *seconds != 0)
}

/// Returns the prefixes that the others don't have. Both are sorted.
fn without(prefixes: &[Cidr], others: &[Cidr]) -> Vec<Cidr> {
    prefixes.iter().copied().filter(|prefix| others.binary_search(prefix).is_err()).collect()
}

/// Compiles again and compares: nothing of what a view says is lost on the way.
fn verify(graph: &Graph<'_>, topology: &Topology, secrets: &Secrets) -> Result<(), Vec<Conflict>> {
    let nodes = compiled(topology)?;
    let by_id = by_id(&nodes);
    let mut conflicts = Vec::new();
    for (at, seen) in views(graph) {
        let missing = match by_id.get(&id(at)) {
            Some(config) => differing(graph, at, seen, config, secrets),
            None => Some("an interface that no role makes".to_owned()),
        };
        conflicts.extend(missing.map(|what| no_place(seen, &what)));
    }
    if conflicts.is_empty() { Ok(()) } else { Err(conflicts) }
}

fn no_place(seen: &Seen<'_>, what: &str) -> Conflict {
    Conflict::NoPlace { view: seen.view.source.clone(), what: what.to_owned() }
}

/// Returns the first thing in which a compiled interface doesn't mean what the view does, in words.
fn differing(
    graph: &Graph<'_>,
    at: usize,
    seen: &Seen<'_>,
    config: &InterfaceConfig,
    secrets: &Secrets,
) -> Option<String> {
    let tunnel = &seen.view.tunnel;
    let own: Vec<InterfaceAddr> = tunnel.addresses.clone();
    if meaning::addresses(&own) != meaning::addresses(&config.addresses) {
        return Some(format!("Address = {}", listed(&own)));
    }
    if config.listen_port != tunnel.listen_port {
        return Some("a ListenPort of its own".to_owned());
    }
    if config.mtu.map(|mtu| mtu.get()) != tunnel.mtu {
        return Some(format!("MTU = {}", tunnel.mtu.map_or("none".to_owned(), |mtu| mtu.to_string())));
    }
    if config.dns != tunnel.dns {
        return Some(format!("DNS = {}", tunnel.dns.join(", ")));
    }
    if (&config.table, config.fwmark, config.save_config) != (&tunnel.table, tunnel.fwmark, tunnel.save_config) {
        return Some("Table, FwMark or SaveConfig of its own".to_owned());
    }
    let entries = graph.entries(at);
    if entries.len() != config.peers.len() {
        return Some(format!("{} peers", entries.len()));
    }
    let compiled: BTreeMap<_, _> = config.peers.iter().map(|peer| (peer.public_key, peer)).collect();
    let kept_so = |entry: &&Entry<'_>| {
        compiled.get(&entry.peer.public_key).is_some_and(|peer| {
            peer.allowed_ips == entry.allowed
                && peer.endpoint == entry.peer.endpoint
                && peer.keepalive == sent(entry.peer.keepalive)
                && secrets.preshared.get(&peer.link) == entry.peer.preshared.as_ref()
        })
    };
    entries.iter().find(|entry| !kept_so(entry)).map(|entry| format!("the peer {}", entry.peer.public_key))
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
