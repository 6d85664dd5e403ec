//! What the nodes beside the server are.

use crate::model::{Cidr, Role};

use super::graph::Graph;
use super::meaning;
use super::prefixes::{self, Plan};
use super::server;

/// A role, and why.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) role: Role,
    /// Why, in words; `None` when the operator said so.
    pub(super) reason: Option<String>,
}

/// Returns the role of every node but the server's.
pub(super) fn of(graph: &Graph<'_>, server: usize, node: usize, plan: &Plan) -> Given {
    if let Some(role) = server::said(graph, node) {
        return Given { role, reason: None };
    }
    let (role, reason) = guess(graph, server, node, plan);
    Given { role, reason: Some(reason) }
}

fn guess(graph: &Graph<'_>, server: usize, node: usize, plan: &Plan) -> (Role, String) {
    let main = graph.main(node);
    let sends_internet = graph.said_of(main).any(|(_, entry)| meaning::internet(&entry.allowed));
    // The internet without private networks is a long list of prefixes, none of which is a LAN.
    let is_lan = |prefix: &&Cidr| {
        let wide = !prefix.is_host() && !meaning::is_internet(prefix);
        let inner = !sends_internet || prefixes::is_private(prefix.net().addr());
        wide && inner && !plan.prefixes().any(|own| prefix.covers(&own))
    };
    let lans: Vec<String> = prefixes::behind(graph, server, node).filter(is_lan).map(Cidr::to_string).collect();
    if !lans.is_empty() {
        return (Role::Router, format!("{} is behind it", lans.join(", ")));
    }
    if sends_internet {
        return (Role::Exit, "the internet is sent to it".to_owned());
    }
    let Some(seen) = graph.view(node) else {
        return (Role::Remote, "known by its key, and nothing is behind it".to_owned());
    };
    let entries = graph.entries(main);
    if seen.duties.nat && !entries.is_empty() && entries.iter().all(|entry| meaning::only_hosts(&entry.allowed)) {
        return (Role::Exit, "it has NAT, and its peers have nothing but addresses of their own".to_owned());
    }
    if seen.duties.forwards {
        return (Role::Router, "it forwards".to_owned());
    }
    let only_by_it = |other: usize| graph.neighbours[other].len() == 1 && graph.dials(graph.main(other), main);
    if graph.neighbours[node].iter().any(|&other| other != server && only_by_it(other)) {
        return (Role::Router, "others are linked to it alone".to_owned());
    }
    match entries {
        [only] if only.peer.endpoint.is_some() => (Role::Remote, "it dials its only peer".to_owned()),
        _ => (Role::Remote, "it forwards nothing, and nothing is behind it".to_owned()),
    }
}
