//! A router: its server is the peer through which it reaches everything but its own LANs and what it has a link of its
//! own to.

use crate::model::{Cidr, Node};
use crate::wg::NodeConfig;
use crate::wg::firewall::Duty;

use super::access;
use super::layout::{Layout, config};

pub(super) fn compile(layout: &Layout<'_>, router: &Node) -> NodeConfig {
    // Whatever the router itself may reach: others reach its LANs, and the answers have to go back.
    let allowed = layout.network.iter().copied().chain(layout.lans_except(router)).collect();
    let mut interface = layout.interface(router, router.main(), layout.peers_of_leaf(router, allowed));
    interface.sysctls = layout.forwarding();
    let mut own: Vec<Cidr> = router.lans.iter().map(|lan| lan.cidr).collect();
    own.sort_unstable();
    interface.firewall =
        layout.firewall(router, Duty::Router { own, nat: router.nat, judged: access::rules_of_router(layout, router) });
    config(router, vec![interface])
}
