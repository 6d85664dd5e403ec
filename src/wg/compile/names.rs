//! Which interfaces follow the names by which they dial their peers.

use std::collections::BTreeSet;

use crate::model::{NodeId, Topology};
use crate::wg::{NodeConfig, resolve};

/// Has the interfaces on hosts that wg-friend deploys to follow the names of their peers. A phone has no such host, and an
/// app of its own. An adopted interface keeps to what its file says until its hooks are wg-friend's (see [`super::kept`]).
pub(super) fn follow(topology: &Topology, nodes: &mut [NodeConfig]) {
    let mut as_adopted = BTreeSet::new();
    let mut hosted: BTreeSet<NodeId> = BTreeSet::new();
    for node in topology.enabled().filter(|node| node.host.is_some()) {
        hosted.insert(node.id);
        let kept = node.interfaces.iter().filter(|i| i.kept.as_ref().is_some_and(|kept| !kept.made && !kept.firewall));
        as_adopted.extend(kept.map(|interface| interface.id));
    }
    for node in nodes.iter_mut().filter(|node| hosted.contains(&node.node)) {
        for interface in node.interfaces.iter_mut().filter(|interface| !as_adopted.contains(&interface.id)) {
            interface.follows_names = resolve::dials_names(interface);
        }
    }
}
