//! Which interfaces are linked with which, looked up by either end.

use std::collections::BTreeMap;

use crate::model::{InterfaceId, Node, Topology};

use super::links;

/// The links of a topology by their ends: made once, in time linear in their number, for however many questions.
pub struct Neighbours<'a>(BTreeMap<InterfaceId, Vec<(&'a Node, InterfaceId)>>);

impl<'a> Neighbours<'a> {
    /// Gathers the links between a topology's enabled nodes.
    pub fn of(topology: &'a Topology) -> Self {
        let owners: BTreeMap<InterfaceId, &'a Node> =
            topology.enabled().flat_map(|node| node.interfaces.iter().map(move |own| (own.id, node))).collect();
        let mut ends: BTreeMap<InterfaceId, Vec<_>> = BTreeMap::new();
        for link in links(topology) {
            let (low, high) = link.ends();
            for (near, far) in [(low, high), (high, low)] {
                if let Some(node) = owners.get(&far) {
                    ends.entry(near).or_default().push((*node, far));
                }
            }
        }
        Self(ends)
    }

    /// Returns the interfaces at the other ends of an interface's links, each with its node.
    pub fn beyond(&self, interface: InterfaceId) -> &[(&'a Node, InterfaceId)] {
        self.0.get(&interface).map_or(&[], Vec::as_slice)
    }
}
