//! A router: one peer, through which it reaches everything but its own LANs.

use crate::model::{Cidr, Node};
use crate::wg::NodeConfig;
use crate::wg::firewall::Duty;

use super::links::Link;
use super::plan::{Plan, config};

pub(super) fn compile(plan: &Plan<'_>, server: &Node, router: &Node) -> NodeConfig {
    let link = Link::to_server(server, router);
    // Whatever the router itself may reach: others reach its LANs, and the answers have to go back.
    let allowed = plan.network.iter().copied().chain(plan.lans_except(router)).collect();
    let peer = plan.peer(&link, router, link.inner, allowed);
    let mut interface = plan.interface(router, router.main(), vec![peer]);
    interface.sysctls = plan.forwarding();
    let mut own: Vec<Cidr> = router.lans.iter().map(|lan| lan.cidr).collect();
    own.sort_unstable();
    interface.firewall = plan.firewall(router, Duty::Router { own, nat: router.nat });
    config(router, vec![interface])
}
