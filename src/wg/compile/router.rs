//! A router: one peer, through which it reaches everything but its own LANs.

use crate::model::{Cidr, Node};
use crate::wg::NodeConfig;
use crate::wg::firewall::Duty;

use super::layout::{Layout, config};
use super::links::Link;

pub(super) fn compile(layout: &Layout<'_>, server: &Node, router: &Node) -> NodeConfig {
    let link = Link::to_server(server, router);
    // Whatever the router itself may reach: others reach its LANs, and the answers have to go back.
    let allowed = layout.network.iter().copied().chain(layout.lans_except(router)).collect();
    let peer = layout.peer(&link, router, link.inner, allowed);
    let mut interface = layout.interface(router, router.main(), vec![peer]);
    interface.sysctls = layout.forwarding();
    let mut own: Vec<Cidr> = router.lans.iter().map(|lan| lan.cidr).collect();
    own.sort_unstable();
    interface.firewall = layout.firewall(router, Duty::Router { own, nat: router.nat });
    config(router, vec![interface])
}
