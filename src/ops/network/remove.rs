//! Removing nodes, and what follows for others.

use super::change::{Done, Mode, Outcome, Scope, carry_out};
use super::find;
use crate::db::Store;
use crate::model::{Access, Action, Actor, Cidr, Destination, Event, Node, Role, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;

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
            for server in scope.before.nodes.iter().filter(|other| !gone.contains(other)) {
                if let Some(uplink) = server.uplink_to(node.id) {
                    scope.tx.delete_interface(uplink.id)?;
                }
            }
        }
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
    for other in scope.before.nodes.iter().filter(|node| !gone.contains(node)) {
        let mut node = other.clone();
        node.lan_selection.retain(|cidr| !leaves(cidr));
        node.grants.retain(|grant| match grant.destination {
            Destination::Prefix(prefix) => !leaves(&prefix),
            Destination::Node(id) => gone.iter().all(|node| node.id != id),
            Destination::Group(_) => true,
        });
        if let Some(exit) = gone.iter().find(|exit| node.exit == Some(exit.id.into())) {
            if node.access == Access::ExitOnly {
                return Err(Error::RefusedWithRemedy {
                    message: format!("`{}` has nothing but its exit `{}`, with access exit-only", node.name, exit.name),
                    hint: format!(
                        "give it another exit first: `wg-friend set {} exit=NAME`, or another access level",
                        node.name
                    ),
                });
            }
            done.remarks.push(format!("the internet of `{}` no longer leaves by `{}`", node.name, exit.name));
            node.exit = None;
        }
        if node != *other {
            scope.tx.update_node(&node, scope.now)?;
        }
    }
    Ok(())
}

/// Says what follows for the network.
fn consequence(topology: &Topology, node: &Node) -> Option<String> {
    let others = topology.nodes.iter().filter(|other| other.id != node.id).count();
    match node.role {
        Role::Server if others > 0 => {
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
