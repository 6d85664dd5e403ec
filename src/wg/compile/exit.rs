//! An exit: the server's uplink and the exit-only remotes are its peers, and it carries their packets to the internet.

use crate::model::{Cidr, Node};
use crate::wg::NodeConfig;
use crate::wg::firewall::Duty;

use super::layout::{Layout, config};
use super::links::Link;

pub(super) fn compile(layout: &Layout<'_>, server: &Node, exit: &Node) -> NodeConfig {
    let mut peers = Vec::new();
    if let Some(link) = Link::to_uplink(server, exit) {
        peers.push(layout.peer(&link, exit, link.inner, layout.inside().collect()));
    }
    let direct = layout.direct.get(&exit.id).map_or(&[][..], Vec::as_slice);
    for remote in direct {
        let link = Link::to_exit(exit, remote);
        peers.push(layout.peer(&link, exit, link.outer, remote.addresses().collect()));
    }
    let mut sources: Vec<Cidr> = direct.iter().flat_map(|remote| remote.addresses()).collect();
    sources.sort_unstable();
    let mut interface = layout.interface(exit, exit.main(), peers);
    interface.sysctls = layout.forwarding();
    interface.firewall = layout.firewall(exit, Duty::Exit { direct: sources });
    config(exit, vec![interface])
}
