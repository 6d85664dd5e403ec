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
    config.peers.iter().find(|peer| peer.link == link && peer.succeeds.is_none())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::model::{Cidr, Kept, PublicKey, Role};
    use crate::wg::compile::fixture::{Fixture, lans};
    use crate::wg::compile::{compile, properties};
    use crate::wg::fallback::while_down;

    /// Two servers with a router each, on hosts, and a remote that is on none.
    fn fixture() -> Fixture {
        let mut fixture = Fixture::new();
        for name in ["hub", "spare"] {
            fixture.add(name, Role::Server);
        }
        fixture.add("office", Role::Router).lans = lans(&["192.168.10.0/24"]);
        let spare = fixture.node("spare").id;
        let depot = fixture.add("depot", Role::Router);
        (depot.lans, depot.server) = (lans(&["192.168.20.0/24"]), Some(spare));
        fixture.add("alice", Role::Remote);
        for name in ["hub", "spare", "office", "depot"] {
            fixture.node(name).host = Some(name.parse().unwrap());
        }
        fixture
    }

    fn refusals(fixture: &Fixture) -> String {
        let found = compile(&fixture.topology).unwrap_err();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_end_of_a_link_moves_its_traffic_to_its_own_server_once_the_link_is_older_than_a_living_one() {
        let mut fixture = fixture();
        fixture.link_that(WhenDown::Move, "office", "depot", 1);
        let told = |fixture: &Fixture| {
            let nodes = compile(&fixture.topology).unwrap();
            let main = |name: &str| nodes.iter().find(|node| node.name.as_str() == name).unwrap().interfaces[0].clone();
            ["office", "depot"].map(main).map(|config| {
                let [fallback] = config.fallbacks[..] else { panic!("one link is watched") };
                let keepalive = peer(&config, fallback.link).unwrap().keepalive;
                (peer(&config, fallback.over).unwrap().name.to_string(), fallback.stale, keepalive)
            })
        };
        assert_eq!(told(&fixture), [("hub".into(), 220, Some(25)), ("spare".into(), 220, Some(25))]);
        fixture.node("office").keepalive = Some(10);
        assert_eq!(told(&fixture), [("hub".into(), 205, Some(10)), ("spare".into(), 205, Some(25))]);
        fixture.node("depot").keepalive = Some(0);
        assert_eq!(told(&fixture), [("hub".into(), 205, Some(10)), ("spare".into(), 205, None)]);
        fixture.node("depot").keepalive = None;
        fixture.node("depot").endpoint = None;
        assert_eq!(told(&fixture), [("hub".into(), 205, Some(10)), ("spare".into(), 205, Some(25))], "dialled by one");
    }

    #[test]
    fn a_link_that_cannot_give_way_is_refused() {
        let mut fixture = fixture();
        fixture.link_that(WhenDown::Move, "hub", "spare", 1);
        fixture.link_that(WhenDown::Move, "office", "spare", 1);
        fixture.link_that(WhenDown::Move, "alice", "office", 1);
        fixture.node("depot").interfaces[0].kept = Some(Kept { made: false, firewall: false, ..Kept::made() });
        fixture.link_that(WhenDown::Move, "office", "depot", 1);
        insta::assert_snapshot!(refusals(&fixture), @"
        the link between `hub` and `spare` is to give way when it is down, but it carries others' traffic too, since a server is one of its ends: `wg-friend link hub spare --when-down stay`
        the link between `spare` and `office` is to give way when it is down, but it carries others' traffic too, since a server is one of its ends: `wg-friend link spare office --when-down stay`
        the link between `depot` and `office` is to give way when it is down, but the interface of `depot` has its own hooks alone, as it was adopted: `wg-friend hooks adopt depot`, or `wg-friend link depot office --when-down stay`
        the link between `alice` and `office` is to give way when it is down, but `alice` is on no host that could watch it: `wg-friend set alice host=HOST`, or `wg-friend link alice office --when-down stay`
        ");
        let mut fixture = self::fixture();
        fixture.link_that(WhenDown::Move, "office", "depot", 1);
        fixture.topology.network.keepalive = 0;
        insta::assert_snapshot!(refusals(&fixture), @"the link between `office` and `depot` is to give way when it is down, but neither end keeps it alive: give one that dials the other a keepalive, such as `wg-friend set office keepalive=25`");
    }

    /// The link by which an interface sends to an address.
    fn sends_by(config: &InterfaceConfig, to: IpAddr) -> Option<LinkId> {
        let holds = |peer: &PeerConfig| {
            peer.allowed_ips.iter().filter(|prefix| prefix.contains(to)).map(|p| p.net().prefix_len()).max()
        };
        config.peers.iter().filter_map(|peer| Some((holds(peer)?, peer.link))).max().map(|(_, link)| link)
    }

    proptest! {
        #[test]
        fn whichever_links_are_down_packets_go_as_if_there_were_no_such_links(
            mut fixture in properties::graph(), fate in prop::collection::vec(any::<bool>(), 8), at in any::<Index>(),
        ) {
            for node in &mut fixture.topology.nodes {
                node.host = Some(node.name.as_str().parse().unwrap());
            }
            let servers: BTreeSet<InterfaceId> = fixture.topology.with_role(Role::Server).map(|node| node.main().id).collect();
            let mut without = fixture.topology.clone();
            without.links.clear();
            let mut down = BTreeSet::new();
            let begin = at.index(fate.len());
            for (link, is_down) in fixture.topology.links.iter_mut().zip(fate.iter().cycle().skip(begin)) {
                let (low, high) = link.id.ends();
                if !servers.contains(&low) && !servers.contains(&high) {
                    link.when_down = WhenDown::Move;
                }
                if link.when_down == WhenDown::Move && *is_down { down.insert(link.id); } else { without.links.push(*link); }
            }
            let (nodes, others) = (compile(&fixture.topology).unwrap(), compile(&without).unwrap());
            let places: Vec<IpAddr> = fixture.topology.enabled()
                .flat_map(|node| node.addresses().chain(node.lans.iter().map(|lan| lan.cidr)))
                .map(|cidr: Cidr| cidr.net().addr()).collect();
            for (node, other) in nodes.iter().zip(&others) {
                for (config, other) in node.interfaces.iter().zip(&other.interfaces) {
                    let silent: BTreeSet<PublicKey> =
                        config.peers.iter().filter(|peer| down.contains(&peer.link)).map(|peer| peer.public_key).collect();
                    let moved = while_down(config, &silent);
                    for to in &places {
                        prop_assert_eq!(sends_by(&moved, *to), sends_by(other, *to), "{} to {}", node.name, to);
                    }
                    let all = |config: &InterfaceConfig| -> BTreeSet<Cidr> { config.peers.iter().flat_map(|p| p.allowed_ips.clone()).collect() };
                    prop_assert_eq!(all(&moved), all(config), "the routes stay");
                }
            }
        }
    }
}
