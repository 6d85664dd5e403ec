//! Which interfaces watch links whose traffic moves when they are down, and where it goes then.

use std::collections::BTreeMap;

use crate::model::{InterfaceId, LinkId, Node, NodeId, WhenDown};
use crate::wg::fallback::stale_after;
use crate::wg::{Fallback, InterfaceConfig, NodeConfig, PeerConfig};

use super::Refusal;
use super::layout::Layout;

/// Has the main interfaces at both ends of each such link watch it. What is compared are their configs as they are written,
/// for an interface may keep another keepalive than the model's, or do without a peer. A link that carries nothing, since
/// another way is cheaper, is watched by nobody.
///
/// Returns the links that nobody keeps alive.
pub(super) fn add(layout: &Layout<'_>, nodes: &mut [NodeConfig]) -> Vec<Refusal> {
    let topology = layout.members.topology;
    let mut links =
        topology.links.iter().filter(|link| link.weight.is_some() && link.when_down == WhenDown::Move).peekable();
    if links.peek().is_none() {
        return Vec::new();
    }
    let mut refusals = Vec::new();
    let mains: BTreeMap<InterfaceId, &Node> = topology.enabled().map(|node| (node.main().id, node)).collect();
    for link in links {
        let (low, high) = link.id.ends();
        let (Some(a), Some(b)) = (mains.get(&low), mains.get(&high)) else { continue };
        let ends = [(*a, *b), (*b, *a)];
        let keepalive = |(node, _): &(&Node, &Node)| peer(main_of(nodes, node.id)?, link.id)?.keepalive;
        let Some(keepalive) = ends.iter().filter_map(keepalive).min() else {
            refusals.push(Refusal::MoveNeedsKeepalive { first: a.name.clone(), second: b.name.clone() });
            continue;
        };
        for (near, far) in ends {
            let Some(server) = layout.ways.first_without_link(near.id, far.id).and_then(|id| topology.node(id)) else {
                continue;
            };
            let over = LinkId::between(near.main().id, server.main().id);
            if let Some(config) = main_mut(nodes, near.id)
                && peer(config, over).is_some()
                && peer(config, link.id).is_some_and(|peer| !peer.allowed_ips.is_empty())
            {
                config.fallbacks.push(Fallback { link: link.id, over, stale: stale_after(keepalive) });
                config.fallbacks.sort_by_key(|fallback| fallback.link);
            }
        }
    }
    refusals
}

fn peer(config: &InterfaceConfig, link: LinkId) -> Option<&PeerConfig> {
    config.peers.iter().find(|peer| peer.link == link)
}

/// Returns a node's main interface, which is its first one.
fn main_of(nodes: &[NodeConfig], node: NodeId) -> Option<&InterfaceConfig> {
    let at = nodes.binary_search_by_key(&node, |config| config.node).ok()?;
    nodes[at].interfaces.first()
}

fn main_mut(nodes: &mut [NodeConfig], node: NodeId) -> Option<&mut InterfaceConfig> {
    let at = nodes.binary_search_by_key(&node, |config| config.node).ok()?;
    nodes[at].interfaces.first_mut()
}
