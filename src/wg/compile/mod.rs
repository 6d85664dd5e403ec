//! From a topology to what each node's host runs: a pure function, the same for the same input, linear in the number of
//! nodes and of the prefixes that are written out.
//!
//! A node's part is in the file of its role; [`links`] says who is a peer of whom, `ways` which peer carries what,
//! `access` turns rights into prefixes, and `check` finds what no configuration could make right.

mod access;
mod chains;
mod check;
mod egress;
mod exit;
mod fallback;
mod hops;
mod kept;
mod layout;
mod links;
mod names;
mod neighbours;
mod refusal;
mod remote;
mod router;
mod rules;
mod server;
mod succession;
mod ways;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod tests;

use crate::model::{Node, NodeId, Topology};

use super::NodeConfig;

pub use chains::{Broken, uplinks};
pub use check::check;
pub(in crate::wg) use check::is_dns_entry;
pub use egress::{Way, ways};
pub use layout::taken_by;
pub use links::links;
pub use neighbours::Neighbours;
pub use refusal::Refusal;
pub use succession::{cut_off_by_rotation, hinders_overlap, hold_back, is_absent};

use layout::Layout;
use links::Members;

/// Compiles a topology into the configuration of each enabled node, ordered by the nodes' ids.
///
/// Disabled nodes appear nowhere. Devices whose private key is elsewhere are compiled like all others.
///
/// # Errors
///
/// Everything that [`check`] finds, at least one.
pub fn compile(topology: &Topology) -> Result<Vec<NodeConfig>, Vec<Refusal>> {
    laid_out(topology, |layout| part(layout, &Part::Whole))
}

/// Compiles a topology as [`compile`] does, and hands its configurations over in parts: of a large network, all at once take
/// more memory than anything else that is known of it. The nodes that live on hosts come first, in one part, and then the others,
/// each in the order of the ids.
///
/// # Errors
///
/// As [`compile`]; some parts may have been handed over by then.
pub fn compile_in_parts(topology: &Topology, take: &mut dyn FnMut(Vec<NodeConfig>)) -> Result<(), Vec<Refusal>> {
    in_parts(topology, SMALLEST, take)
}

/// The same, in parts of at least so many nodes.
fn in_parts(topology: &Topology, smallest: usize, take: &mut dyn FnMut(Vec<NodeConfig>)) -> Result<(), Vec<Refusal>> {
    let told = laid_out(topology, |layout| {
        take(part(layout, &Part::OnHosts)?);
        let mut others: Vec<NodeId> =
            layout.members.topology.enabled().filter(|node| node.host.is_none()).map(|node| node.id).collect();
        others.sort_unstable();
        for ids in others.chunks(others.len().div_ceil(PARTS).max(smallest)) {
            take(part(layout, &Part::Others(ids))?);
        }
        Ok(())
    });
    // All that is wrong is told together, and in the same order however it was found.
    told.map_err(|found| compile(topology).err().unwrap_or(found))
}

/// Compiles a topology as [`compile`] does, and returns what the nodes have that live on hosts.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_for_hosts(topology: &Topology) -> Result<Vec<NodeConfig>, Vec<Refusal>> {
    let on_host = |config: &NodeConfig| topology.nodes.iter().any(|node| node.id == config.node && node.host.is_some());
    let mut on_hosts = Vec::new();
    compile_in_parts(topology, &mut |mut configs| {
        // Either all of a part live on hosts, or none.
        if configs.first().is_some_and(on_host) {
            on_hosts.append(&mut configs);
        }
    })?;
    Ok(on_hosts)
}

/// So many parts are made of the nodes that live on no host. What is looked up for a part takes as long as for the whole.
const PARTS: usize = 8;
/// A part has at least so many nodes, unless there are fewer.
const SMALLEST: usize = 256;

/// Works out what the configs of all nodes need, unless no configuration could be right.
fn laid_out<T>(
    topology: &Topology,
    work: impl FnOnce(&Layout<'_>) -> Result<T, Vec<Refusal>>,
) -> Result<T, Vec<Refusal>> {
    // What is looked up by number is found in an order.
    let in_order;
    let topology = if topology.nodes.is_sorted_by_key(|node| node.id) {
        topology
    } else {
        in_order = sorted(topology);
        &in_order
    };
    let members = Members::of(topology);
    let refusals = check::check_members(&members);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    work(&Layout::of(&members))
}

/// Which nodes are compiled.
enum Part<'a> {
    Whole,
    OnHosts,
    /// Some of those that live on no host, in order.
    Others(&'a [NodeId]),
}

impl Part<'_> {
    fn has(&self, node: &Node) -> bool {
        match self {
            Self::Whole => true,
            Self::OnHosts => node.host.is_some(),
            Self::Others(ids) => ids.binary_search(&node.id).is_ok(),
        }
    }
}

/// Compiles some nodes. But for links that give way, no node's config needs those of others; both ends of such a link live
/// on hosts.
fn part(layout: &Layout<'_>, which: &Part<'_>) -> Result<Vec<NodeConfig>, Vec<Refusal>> {
    let Members { topology, servers, routers, exits, remotes, .. } = layout.members;
    let has = |node: &&&Node| which.has(node);
    let all = [servers, routers, exits, remotes];
    let mut nodes = Vec::with_capacity(all.into_iter().map(|nodes| nodes.iter().filter(has).count()).sum());
    nodes.extend(servers.iter().filter(has).map(|node| server::compile(layout, node)));
    nodes.extend(routers.iter().filter(has).map(|node| router::compile(layout, node)));
    nodes.extend(exits.iter().filter(has).map(|node| exit::compile(layout, node)));
    nodes.extend(remotes.iter().filter(has).map(|node| remote::compile(layout, node)));
    nodes.sort_by_key(|node| node.node);
    kept::add_links(layout, &mut nodes);
    kept::keep(topology, &mut nodes);
    succession::add(topology, &mut nodes);
    names::follow(topology, &mut nodes);
    let mut refusals = match which {
        Part::Whole | Part::OnHosts => fallback::add(layout, &mut nodes),
        Part::Others(_) => Vec::new(),
    };
    refusals.extend(check::endpoints_in_tunnels(topology, &nodes));
    refusals.extend(hops::mtus(topology, &nodes));
    if refusals.is_empty() { Ok(nodes) } else { Err(refusals) }
}

fn sorted(topology: &Topology) -> Topology {
    let mut sorted = topology.clone();
    sorted.nodes.sort_by_key(|node| node.id);
    sorted
}
