//! What can't work over the hops of a way, told from what is compiled.

use crate::model::{Cidr, InterfaceId, Topology};
use crate::wg::{InterfaceConfig, NodeConfig};

use super::Refusal;
use super::check::SMALLEST6;

/// Finds interfaces that are to carry IPv6 with packets too small for it: the kernel takes IPv6 off them, addresses and
/// routes. Whether the node itself has an IPv6 address is no matter, since others' packets pass by it. An MTU that was found
/// on an adopted interface is left as it is. Where packets get smaller on the way but not as small as that, their senders are
/// told (RFC 8201), and TCP is told before it sends any.
pub(super) fn mtus(topology: &Topology, nodes: &[NodeConfig]) -> Vec<Refusal> {
    let mut found = Vec::new();
    for node in nodes {
        for interface in node.interfaces.iter().filter(|interface| !was_found_so(topology, node, interface.id)) {
            let Some(mtu) = interface.mtu.filter(|mtu| mtu.get() < SMALLEST6) else { continue };
            let six = |prefix: &Cidr| !prefix.is_ipv4();
            if let Some(peer) = interface.peers.iter().find(|peer| peer.allowed_ips.iter().any(six)) {
                let (node, interface, peer) = (node.name.clone(), interface.name.clone(), peer.name.clone());
                found.push(Refusal::MtuTooSmallOnTheWay { node, interface, peer, mtu });
            } else if has_ipv6(interface) {
                found.push(Refusal::MtuTooSmall { node: node.name.clone(), mtu });
            }
        }
    }
    found
}

fn has_ipv6(interface: &InterfaceConfig) -> bool {
    interface.addresses.iter().any(|own| own.address().is_ipv6())
}

/// Whether an interface's MTU is as it was when it was adopted, or nobody's to say.
fn was_found_so(topology: &Topology, node: &NodeConfig, id: InterfaceId) -> bool {
    let Some(owner) = topology.node(node.node) else { return true };
    let kept = owner.interfaces.iter().find(|interface| interface.id == id).and_then(|known| known.kept.as_ref());
    owner.provisional || kept.is_some_and(|kept| !kept.made && kept.mtu.is_none())
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::super::fixture::Fixture;
    use crate::model::{Kept, Mtu};

    fn told(fixture: &Fixture) -> String {
        check(&fixture.topology).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    fn mtu(bytes: u16) -> Option<Mtu> {
        Some(Mtu::try_from(bytes).unwrap())
    }

    #[test]
    fn an_interface_on_a_way_of_ipv6_has_an_mtu_that_ipv6_fits_into() {
        // An uplink has an MTU of its own; a router without an IPv6 address passes on that of its LAN.
        let mut fixture = Fixture::everything();
        fixture.node("hub").interfaces[1].kept = Some(Kept { mtu: mtu(1279), ..Kept::made() });
        let office = fixture.node("office");
        (office.address6, office.mtu) = (None, mtu(1000));
        insta::assert_snapshot!(told(&fixture), @"
        `hub` carries IPv6 to `berlin` over wgx1 with an MTU of 1279: IPv6 needs at least 1280 on every hop (RFC 8200), so give that interface more
        `office` carries IPv6 to `hub` over wg0 with an MTU of 1000: IPv6 needs at least 1280 on every hop (RFC 8200), so give that interface more
        ");
        fixture.node("hub").interfaces[1].kept = Some(Kept { mtu: mtu(1280), ..Kept::made() });
        fixture.node("office").mtu = mtu(1280);
        assert_eq!(told(&fixture), "");
    }

    #[test]
    fn what_carries_ipv4_alone_may_have_small_packets() {
        let mut fixture = Fixture::everything();
        fixture.topology.network.cidr6 = None;
        for node in &mut fixture.topology.nodes {
            (node.address6, node.mtu) = (None, mtu(576));
            node.lans.retain(|lan| lan.cidr.is_ipv4());
            node.grants.retain(|grant| grant.destination.prefix().is_none_or(|prefix| prefix.is_ipv4()));
        }
        assert_eq!(told(&fixture), "");
    }

    #[test]
    fn a_smaller_mtu_in_the_middle_of_a_way_is_no_contradiction() {
        let mut fixture = Fixture::everything();
        fixture.node("hub").interfaces[1].kept = Some(Kept { mtu: mtu(1280), ..Kept::made() });
        fixture.node("alice").mtu = mtu(1500);
        assert_eq!(told(&fixture), "");
    }
}
