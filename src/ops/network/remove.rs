//! Removing nodes, and what follows for others.

use super::change::{Done, Mode, Outcome, Scope, carry_out, with_changes};
use super::{defaults, find};
use crate::db::Store;
use crate::model::{
    Access, Action, Actor, Cidr, Destination, Egress, Event, Network, Node, Role, RuleAction, Topology,
};
use crate::ops::clock::Clock;
use crate::ops::{Error, exit};

/// Removes nodes with their keys. Who used one as exit, or was permitted a LAN behind it, no longer does or is.
pub fn remove(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &[String],
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "removed", mode, |scope| {
        let mut gone: Vec<&Node> = Vec::new();
        for name in wanted {
            let node = find::node(scope.before, name)?;
            if !gone.iter().any(|other| other.id == node.id) {
                gone.push(node);
            }
        }
        let mut done = Done::default();
        detach(scope, &gone, &mut done)?;
        for node in &gone {
            for other in scope.before.nodes.iter().filter(|other| other.role == Role::Exit || !gone.contains(other)) {
                if let Some(uplink) = other.uplink_to(node.id) {
                    scope.tx.delete_interface(uplink.id)?;
                }
            }
        }
        gone.iter().try_for_each(|node| scope.tx.release_ties(node.id))?;
        // Servers before exits: their uplinks refer to the exits.
        gone.sort_by_key(|node| node.role);
        for node in &gone {
            scope.tx.delete_node(node.id, scope.now)?;
            let addresses: Vec<String> = node.addresses().map(|a| a.net().addr().to_string()).collect();
            let event = Event::node(Action::PeerRemoved, node).with("role", node.role.as_str());
            done.events.push(event.with("addresses", addresses));
            done.nodes.push(node.id);
            done.remarks.extend(consequence(scope.before, node));
        }
        Ok(done)
    })
}

/// Takes the nodes out of what others are told: their exit, the LANs and grants they are permitted.
fn detach(scope: &Scope<'_>, gone: &[&Node], done: &mut Done) -> Result<(), Error> {
    let leaves = |cidr: &Cidr| {
        let covers = |node: &Node| node.lans.iter().any(|lan| lan.cidr.covers(cidr));
        let own = |node: &&Node| node.addresses().any(|address| address == *cidr);
        let stays = scope.before.nodes.iter().filter(|node| !gone.contains(node)).any(covers);
        gone.iter().any(|node| covers(node) || own(node)) && !stays
    };
    detach_network(scope, gone, done)?;
    let goes = |action| gone.iter().any(|node| action == RuleAction::Exit(node.id));
    exit::rules::refuse_if_used(scope.before, gone, goes)?;
    exit::groups::detach(scope, gone, done)?;
    for other in scope.before.nodes.iter().filter(|node| !gone.contains(node)) {
        let mut node = other.clone();
        node.lan_selection.retain(|cidr| !leaves(cidr));
        node.grants.retain(|grant| match grant.destination {
            Destination::Prefix(prefix) => !leaves(&prefix),
            Destination::Node(id) => gone.iter().all(|node| node.id != id),
            Destination::Group(_) => true,
        });
        if let Some(server) = gone.iter().find(|server| node.server == Some(server.id)) {
            return Err(Error::RefusedWithRemedy {
                message: format!("`{}` belongs to the server `{}`", node.name, server.name),
                hint: format!(
                    "give it another one first: `wg-friend set {} server=NAME`, or `none` for the first",
                    node.name
                ),
            });
        }
        if let Some(exit) = gone.iter().find(|exit| leads_by(node.exit, exit)) {
            if node.access == Access::ExitOnly {
                return Err(Error::RefusedWithRemedy {
                    message: format!("`{}` has nothing but its exit `{}`, with access exit-only", node.name, exit.name),
                    hint: format!(
                        "give it another exit first: `wg-friend set {} exit=NAME`, or another access level",
                        node.name
                    ),
                });
            }
            if scope.before.kill_switch(&node) {
                return Err(Error::RefusedWithRemedy {
                    message: format!(
                        "the internet traffic of `{}` leaves by `{}` or, with its kill switch, not at all",
                        node.name, exit.name
                    ),
                    hint: format!("give it another way first: `wg-friend exit assign {} EXIT`, or `none`", node.name),
                });
            }
            let instead = match scope.before.network.exit {
                way if gone.iter().any(|node| leads_by(Some(way), node)) => None,
                way => scope.before.egress_name(way),
            };
            let instead = instead.map_or_else(String::new, |name| format!(" but, as the network's, by `{name}`"));
            done.remarks.push(format!("the internet of `{}` no longer leaves by `{}`{instead}", node.name, exit.name));
            node.exit = None;
        }
        if node != *other {
            scope.tx.update_node(&node, scope.now)?;
        }
    }
    Ok(())
}

/// Whether a way leads by a node, alone or in a chain.
fn leads_by(way: Option<Egress>, node: &Node) -> bool {
    way.is_some_and(|way| way.nodes().contains(&node.id))
}

/// Takes the nodes out of what remotes inherit.
fn detach_network(scope: &Scope<'_>, gone: &[&Node], done: &mut Done) -> Result<(), Error> {
    let network = &scope.before.network;
    let Some(exit) = gone.iter().find(|exit| leads_by(Some(network.exit), exit)) else { return Ok(()) };
    let mut followers = scope.before.with_role(Role::Remote).filter(|node| node.exit.is_none() && !gone.contains(node));
    if let Some(node) = followers.find(|node| scope.before.kill_switch(node) || node.access == Access::ExitOnly) {
        return Err(Error::RefusedWithRemedy {
            message: format!(
                "the internet traffic of `{}` leaves by the network's exit `{}` or not at all",
                node.name, exit.name
            ),
            hint: "give the network another way first: `wg-friend exit assign network EXIT`, or `none`".into(),
        });
    }
    let after = Network { exit: Egress::None, ..network.clone() };
    scope.tx.update_network(&after)?;
    let topology = Topology { network: after.clone(), ..scope.before.clone() };
    let changes = defaults::differences(scope.before, &topology);
    done.events.push(with_changes(Event::network(Action::NetworkUpdated, &after), &changes));
    done.remarks.push(format!("remotes that have no exit of their own no longer leave by `{}`", exit.name));
    Ok(())
}

/// Says what follows for the network.
fn consequence(topology: &Topology, node: &Node) -> Option<String> {
    let others = || topology.nodes.iter().filter(|other| other.id != node.id);
    match node.role {
        Role::Server if others().next().is_some() && others().all(|other| other.role != Role::Server) => {
            Some(format!("without `{}` the network has no server: no config can be made until there is one", node.name))
        }
        Role::Router if !node.lans.is_empty() => {
            let lans: Vec<String> = node.lans.iter().map(|lan| lan.cidr.to_string()).collect();
            Some(format!("nobody reaches {} any more", lans.join(", ")))
        }
        _ => None,
    }
    .or_else(|| {
        node.host.as_ref().map(|host| format!("what runs on the host `{host}` stays there until it is taken down"))
    })
}
