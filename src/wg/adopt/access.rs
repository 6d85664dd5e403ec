//! What a remote may reach, as far as its own file tells.

use std::collections::BTreeSet;

use crate::model::{Access, Cidr, Destination, Grant, Protocol, Role};

use super::graph::Graph;
use super::meaning;
use super::prefixes::{Addresses, Plan};

/// A remote's rights.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) access: Access,
    pub(super) selection: BTreeSet<Cidr>,
    pub(super) grants: Vec<Grant>,
    /// The exit, as a node.
    pub(super) exit: Option<usize>,
    /// Whether there are other exits that it might be.
    pub(super) exit_unsure: bool,
    pub(super) reason: String,
}

impl Rights {
    fn new(access: Access, reason: &str) -> Self {
        let (selection, grants) = (BTreeSet::new(), Vec::new());
        Self { access, selection, grants, exit: None, exit_unsure: false, reason: reason.to_owned() }
    }
}

/// What is the same for all remotes.
#[derive(Debug)]
pub(super) struct Frame<'b> {
    pub(super) server: usize,
    pub(super) roles: &'b [Role],
    pub(super) plan: &'b Plan,
    /// Every LAN.
    pub(super) lans: &'b [Cidr],
    /// The exits with an endpoint, to which a remote can link directly.
    pub(super) dialable: &'b BTreeSet<usize>,
    /// The exits for which the server has an uplink, in order.
    pub(super) uplinks: &'b [usize],
}

/// Returns a remote's rights.
pub(super) fn of(graph: &Graph<'_>, frame: &Frame<'_>, node: usize, addresses: &Addresses) -> Rights {
    let only = graph.neighbours[node].iter().next().filter(|_| graph.neighbours[node].len() == 1);
    if let Some(&exit) = only.filter(|&&exit| frame.roles[exit] == Role::Exit && frame.dialable.contains(&exit)) {
        return Rights { exit: Some(exit), ..Rights::new(Access::ExitOnly, "its only peer is an exit") };
    }
    let (main, hub) = (graph.main(node), graph.main(frame.server));
    if graph.view(node).is_none() {
        let mut rights = Rights::new(Access::Full, "its own file isn't there");
        // What the server lets out today stays let out.
        if graph.view(frame.server).is_some_and(|seen| seen.duties.nat) {
            give_exit(frame, &mut rights);
            rights.reason += ", and the server has NAT";
        }
        return rights;
    }
    let Some(entry) = graph.entry(main, hub) else {
        return Rights::new(Access::Full, "it has no peer whose rights could be told");
    };
    if meaning::internet(&entry.allowed) {
        let mut rights = Rights::new(Access::Full, "it sends everything to the server");
        give_exit(frame, &mut rights);
        return rights;
    }
    inside(frame, &entry.allowed, addresses)
}

fn give_exit(frame: &Frame<'_>, rights: &mut Rights) {
    rights.exit = Some(frame.uplinks.first().copied().unwrap_or(frame.server));
    rights.exit_unsure = frame.uplinks.len() > 1;
}

/// Returns the rights of a remote that sends a part of the inside to the server.
fn inside(frame: &Frame<'_>, allowed: &[Cidr], addresses: &Addresses) -> Rights {
    let families: BTreeSet<bool> = addresses.prefixes().map(|address| address.is_ipv4()).collect();
    let own = |prefix: &Cidr| families.is_empty() || families.contains(&prefix.is_ipv4());
    let asked = |prefix: &Cidr| allowed.iter().any(|wanted| wanted.covers(prefix));
    let network: Vec<Cidr> = frame.plan.prefixes().filter(own).collect();
    if !network.is_empty() && network.iter().all(asked) {
        let lans: Vec<Cidr> = frame.lans.iter().copied().filter(own).collect();
        let selection: BTreeSet<Cidr> = lans.iter().copied().filter(asked).collect();
        return match selection.len() {
            0 => Rights::new(Access::VpnOnly, "it sends the network's prefixes to the server, and no LAN"),
            count if count == lans.len() => {
                Rights::new(Access::Full, "it sends the network's prefixes and every LAN to the server")
            }
            _ => {
                let reason = "it sends the network's prefixes and some of the LANs to the server";
                Rights { selection, ..Rights::new(Access::LanOnly, reason) }
            }
        };
    }
    let leads_inside =
        |prefix: &&Cidr| frame.plan.prefixes().chain(frame.lans.iter().copied()).any(|i| i.overlaps(prefix));
    let grant = |prefix: &Cidr| Grant::lasting(Destination::Prefix(*prefix), Protocol::Any, Vec::new());
    let grants = allowed.iter().filter(leads_inside).map(grant).collect();
    Rights { grants, ..Rights::new(Access::Custom, "it sends a part of the network to the server") }
}
