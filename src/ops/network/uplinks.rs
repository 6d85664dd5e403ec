//! The interfaces that lead to exits: one on each server to each exit, and one from exit to exit in a chain.

use chrono::{DateTime, Utc};

use super::change::new_private_key;
use crate::db::Tx;
use crate::model::{Interface, InterfaceKind, InterfaceName, Kept, Node, NodeId, Port, Role, Topology};
use crate::ops::Error;
use crate::wg::compile;

/// Gives each server an uplink to each exit, as far as the new node is one of them.
pub(in crate::ops) fn to_exits(
    tx: &Tx<'_>,
    topology: &mut Topology,
    new: NodeId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let of = |topology: &Topology, role| -> Vec<NodeId> {
        topology.nodes.iter().filter(|node| node.role == role).map(|node| node.id).collect()
    };
    for server in of(topology, Role::Server) {
        for exit in of(topology, Role::Exit) {
            if server == new || exit == new {
                add(tx, topology, server, exit, now)?;
            }
        }
    }
    Ok(())
}

/// Gives exits the uplinks that somebody's chain needs, and takes away those that nobody's needs any more.
pub(super) fn of_chains(tx: &Tx<'_>, topology: &mut Topology, now: DateTime<Utc>) -> Result<(), Error> {
    let wanted = compile::uplinks(topology);
    for exit in topology.nodes.iter_mut().filter(|node| node.role == Role::Exit) {
        let id = exit.id;
        let goes = |interface: &Interface| match interface.kind {
            InterfaceKind::Main => false,
            InterfaceKind::Uplink(to) => {
                interface.kept.as_ref().is_none_or(|kept: &Kept| kept.made) && !wanted.contains(&(id, to))
            }
        };
        for interface in exit.interfaces.extract_if(.., |interface| goes(interface)) {
            tx.delete_interface(interface.id)?;
        }
    }
    for (from, to) in wanted {
        let is_exit = |id| topology.node(id).is_some_and(|node| node.role == Role::Exit);
        let is_known = topology.node(from).is_some_and(|node| !node.provisional);
        if is_exit(from) && is_exit(to) && is_known {
            add(tx, topology, from, to, now)?;
        }
    }
    Ok(())
}

/// Gives a node an uplink to an exit, unless it has one.
fn add(tx: &Tx<'_>, topology: &mut Topology, from: NodeId, exit: NodeId, now: DateTime<Utc>) -> Result<(), Error> {
    let network_port = topology.network.port;
    let mut elsewhere = tx.interfaces_of_others()?;
    let host = topology.node(from).and_then(|node| node.host.clone());
    let beside = topology.nodes.iter().filter(|node| node.id != from && host.is_some() && node.host == host);
    let own = topology.node(from).into_iter();
    let interfaces = own.chain(beside).flat_map(|node| node.interfaces.iter().map(move |own| (node, own)));
    elsewhere.extend(interfaces.flat_map(|(node, own)| compile::taken_by(node, own)));
    let node = topology.nodes.iter_mut().find(|node| node.id == from).expect("it was just found");
    if node.uplink_to(exit).is_some() {
        return Ok(());
    }
    let (name, port) = free_uplink(node, network_port, &elsewhere)?;
    let key = new_private_key()?;
    let id = tx.insert_uplink(from, exit, &name, Some(port), key.public(), Some(&key), now)?;
    node.interfaces.push(Interface {
        id,
        name,
        kind: InterfaceKind::Uplink(exit),
        listen_port: Some(port),
        public_key: key.public(),
        staged_key: None,
        overlap: None,
        kept: None,
    });
    Ok(())
}

/// Returns a name and a port that nothing uses: `wgx1` and the network's port + 1, and so on. `used` is what the node, another
/// node of the host or another network uses, so that they can live on it together.
fn free_uplink(
    node: &Node,
    network_port: Port,
    used: &[(InterfaceName, Option<Port>)],
) -> Result<(InterfaceName, Port), Error> {
    let used =
        |name: &str, port: Port| used.iter().any(|(other, theirs)| other.as_str() == name || *theirs == Some(port));
    let candidate = |n: u16| {
        let port = Port::new(network_port.get().checked_add(n)?)?;
        Some((format!("wgx{n}"), port))
    };
    let found = (1..=u16::MAX).map_while(candidate).find(|(name, port)| !used(name, *port));
    let (name, port) = found.ok_or_else(|| Error::RefusedWithRemedy {
        message: format!("`{}` has no free port above {network_port} for a further exit", node.name),
        hint: "give the network a lower port: `wg-friend network set port=51820`".into(),
    })?;
    Ok((name.parse().expect("wgx and a number is the name of an interface"), port))
}
