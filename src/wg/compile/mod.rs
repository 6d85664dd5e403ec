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

use crate::model::Topology;

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
    let layout = Layout::of(&members);
    let mut nodes = Vec::with_capacity(topology.nodes.len());
    nodes.extend(members.servers.iter().map(|node| server::compile(&layout, node)));
    nodes.extend(members.routers.iter().map(|node| router::compile(&layout, node)));
    nodes.extend(members.exits.iter().map(|node| exit::compile(&layout, node)));
    nodes.extend(members.remotes.iter().map(|node| remote::compile(&layout, node)));
    nodes.sort_by_key(|node| node.node);
    kept::add_links(&layout, &mut nodes);
    kept::keep(topology, &mut nodes);
    succession::add(topology, &mut nodes);
    names::follow(topology, &mut nodes);
    let mut refusals = fallback::add(&layout, &mut nodes);
    refusals.extend(check::endpoints_in_tunnels(topology, &nodes));
    refusals.extend(hops::mtus(topology, &nodes));
    if refusals.is_empty() { Ok(nodes) } else { Err(refusals) }
}

fn sorted(topology: &Topology) -> Topology {
    let mut sorted = topology.clone();
    sorted.nodes.sort_by_key(|node| node.id);
    sorted
}
