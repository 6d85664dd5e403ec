//! Links by the names of their ends. Pure.

use std::collections::BTreeMap;

use crate::model::{InterfaceId, LinkId, Node};

/// Whose interfaces are whose.
pub(super) struct Ends(BTreeMap<InterfaceId, String>);

impl Ends {
    pub(super) fn of(nodes: &[Node]) -> Self {
        let own = |node: &Node| -> Vec<_> {
            node.interfaces.iter().map(|interface| (interface.id, node.name.to_string())).collect()
        };
        Self(nodes.iter().flat_map(own).collect())
    }

    pub(super) fn has(&self, link: LinkId) -> bool {
        let (low, high) = link.ends();
        self.0.contains_key(&low) && self.0.contains_key(&high)
    }

    pub(super) fn name(&self, link: LinkId) -> String {
        let (low, high) = link.ends();
        let name = |id| self.0.get(&id).map_or("?", String::as_str);
        format!("{} – {}", name(low), name(high))
    }
}
