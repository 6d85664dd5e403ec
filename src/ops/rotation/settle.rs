//! Finding staged keys in use, and going by them from then on.

use serde::Serialize;

use crate::db::{self, Store};
use crate::model::{
    Action, Actor, Event, Interface, InterfaceId, InterfaceName, KeptEndpoint, Name, Node, NodeId, Overlap, PublicKey,
    Topology,
};
use crate::ops::clock::Clock;
use crate::ops::deploy::{HostPlan, Progress};

/// A node that was seen with its next key, which is its present one since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Whose key.
    pub node: Name,
    /// Of which interface.
    pub interface: InterfaceName,
    /// The key before.
    pub from: PublicKey,
    /// The key that it uses.
    pub to: PublicKey,
    /// The host that has seen it.
    pub seen_by: Name,
}

/// Makes the staged keys that hosts show to be in use the present ones. Returns those.
///
/// What the disk keeps from being noted now is said, and the next look notes it: nobody is kept from looking.
///
/// # Errors
/// When the store can't be read, or isn't what it was left as.
pub(in crate::ops) fn settle(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    hosts: &[HostPlan],
    progress: &dyn Progress,
) -> Result<Vec<Settled>, db::Error> {
    let topology = store.topology()?;
    let mut found: Vec<(InterfaceId, &Node, Settled)> = Vec::new();
    for node in &topology.nodes {
        for interface in &node.interfaces {
            let Some(staged) = interface.staged_key else { continue };
            if let Some(seen_by) = seen_by(node, interface, staged, hosts) {
                let (name, seen_by) = (interface.name.clone(), seen_by.clone());
                let settled = Settled {
                    node: node.name.clone(),
                    interface: name,
                    from: interface.public_key,
                    to: staged,
                    seen_by,
                };
                found.push((interface.id, node, settled));
            }
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let now = clock.now();
    let noted = store.write_all(now, actor, |tx| {
        let mut events = Vec::new();
        for (id, node, settled) in &found {
            let moved = dialled_at_next_port(&tx.topology()?, node.id, *id);
            tx.activate_staged_key(*id, now)?;
            for after in moved {
                tx.update_node(&after, now)?;
            }
            let event = Event::node(Action::KeyRotation, node)
                .with(settled.interface.as_str(), format!("{} → {}", settled.from, settled.to))
                .with("in_use", true)
                .with("seen_by", settled.seen_by.as_str());
            events.push(event);
        }
        Ok::<_, db::Error>(((), events))
    });
    let settled = found.into_iter().map(|(_, _, settled)| settled).collect();
    as_noted(noted, settled, progress)
}

/// Returns a node whose staged key had a port of its own as it is from now on, and those that keep an endpoint of theirs for it.
fn dialled_at_next_port(topology: &Topology, node: NodeId, interface: InterfaceId) -> Vec<Node> {
    let overlap = |node: &Node| node.interfaces.iter().find(|own| own.id == interface)?.overlap;
    let Some(Overlap { port, .. }) = topology.node(node).and_then(overlap) else { return Vec::new() };
    let moved = |was: &Node| {
        let mut after = was.clone();
        for own in &mut after.interfaces {
            if own.id == interface {
                (own.overlap, own.listen_port) = (None, Some(port));
            }
            let kept = own.kept.as_mut().and_then(|kept| kept.peers.get_mut(&interface));
            if let Some(KeptEndpoint::At(endpoint)) = kept.and_then(|kept| kept.endpoint.as_mut()) {
                endpoint.port = port;
            }
        }
        if let (true, Some(endpoint)) = (was.id == node, &mut after.endpoint) {
            endpoint.port = port;
        }
        (after != *was).then_some(after)
    };
    topology.nodes.iter().filter_map(moved).collect()
}

/// Returns what was noted of what was found, and says what couldn't be.
fn as_noted(
    noted: Result<(), db::Error>,
    found: Vec<Settled>,
    progress: &dyn Progress,
) -> Result<Vec<Settled>, db::Error> {
    match noted {
        Ok(()) => Ok(found),
        // Somebody else who looked at the same time was first.
        Err(db::Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) if error.kind() == db::Kind::Io => {
            let nodes: Vec<String> = found.iter().map(|settled| format!("`{}`", settled.node)).collect();
            progress.warns(&format!(
                "the next key of {} is in use, and that can't be noted: {error}; the key before stays good until a later look notes it",
                nodes.join(", ")
            ));
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Returns the host that shows a staged key in use: its own one, once it has confirmed that; of a device, or where a hook loads the
/// key, any whose last handshake with it was by that key.
fn seen_by<'a>(node: &Node, interface: &Interface, staged: PublicKey, hosts: &'a [HostPlan]) -> Option<&'a Name> {
    let answered = |plan: &&HostPlan| plan.seen.is_ok();
    let by_hook = interface.kept.as_ref().is_some_and(|kept| kept.key_by_hook);
    if let Some(own) = node.host.as_ref().filter(|_| !by_hook) {
        let plan = hosts.iter().filter(answered).find(|plan| plan.host.name == *own)?;
        let observed = &plan.seen.as_ref().ok()?.observed;
        let brought = plan.deployed.as_ref().and_then(|deployed| deployed.interface(&interface.name));
        let runs = observed.interfaces.get(&interface.name)?;
        let confirmed = observed.pending.is_none() && brought.is_some_and(|brought| brought.public_key == staged);
        return (confirmed && runs.live.public_key == Some(staged)).then_some(&plan.host.name);
    }
    let shook = |plan: &&HostPlan| {
        let Ok(seen) = &plan.seen else { return false };
        seen.observed.interfaces.values().any(|near| {
            let last = |key: PublicKey| near.live.peers.get(&key).and_then(|peer| peer.latest_handshake);
            last(staged).is_some_and(|next| last(interface.public_key).is_none_or(|present| next >= present))
        })
    };
    hosts.iter().find(shook).map(|plan| &plan.host.name)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::model::{Endpoint, Kept, KeptPeer, Port, PrivateKey, Role};
    use crate::ops::deploy::Phase;
    use crate::wg::compile::fixture::Fixture;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn reached(&self, _: &Name, _: Phase) {}

        fn warns(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    fn found() -> Vec<Settled> {
        let public = |number| PrivateKey::from_random([number; 32]).public();
        vec![Settled {
            node: "alice-phone".parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            from: public(1),
            to: public(2),
            seen_by: "hub".parse().unwrap(),
        }]
    }

    #[test]
    fn what_a_full_disk_keeps_from_being_noted_is_said_and_nobody_is_kept_from_looking() {
        let heard = Heard::default();
        assert_eq!(as_noted(Err(db::Error::DiskFull), found(), &heard).unwrap(), []);
        let heard = heard.0.into_inner().unwrap();
        assert_eq!(heard.len(), 1);
        assert!(
            heard[0].starts_with("the next key of `alice-phone` is in use, and that can't be noted: the disk is full")
        );
    }

    #[test]
    fn a_store_that_is_not_what_it_was_left_as_ends_the_look() {
        let heard = Heard::default();
        let tampered = || db::Error::Tampered { entry: 7, problem: "is missing".to_owned() };
        assert!(matches!(as_noted(Err(tampered()), found(), &heard), Err(db::Error::Tampered { entry: 7, .. })));
        assert!(as_noted(Err(db::Error::Damaged { what: "a page".to_owned() }), found(), &heard).is_err());
        assert!(heard.0.into_inner().unwrap().is_empty());
    }

    #[test]
    fn what_somebody_else_noted_meanwhile_is_noted() {
        let heard = Heard::default();
        let gone = db::Error::NotFound { what: "next key of interface", name: "number 3".to_owned() };
        assert_eq!(as_noted(Err(gone), found(), &heard).unwrap(), []);
        assert_eq!(as_noted(Ok(()), found(), &heard).unwrap(), found());
        assert!(heard.0.into_inner().unwrap().is_empty());
    }

    #[test]
    fn who_keeps_an_endpoint_of_his_own_for_it_dials_the_next_port_from_then_on() {
        let mut fixture = Fixture::new();
        fixture.add("hub", Role::Server);
        fixture.add("office", Role::Router);
        fixture.add("phone", Role::Remote);
        let hub = fixture.node("hub").main().id;
        let (port, first) = (Port::new(51821).unwrap(), fixture.node("hub").endpoint.clone());
        fixture.node("hub").interfaces[0].overlap = Some(Overlap { port, until: None, over: true });
        let inside: Endpoint = "192.168.1.10:51820".parse().unwrap();
        let peer = KeptPeer { endpoint: Some(KeptEndpoint::At(inside.clone())), ..KeptPeer::default() };
        fixture.node("office").interfaces[0].kept = Some(Kept { peers: [(hub, peer)].into(), ..Kept::made() });
        let node = fixture.node("hub").id;

        let after = dialled_at_next_port(&fixture.topology, node, hub);
        let [hub_after, office_after] = &after[..] else { panic!("{after:#?}") };
        assert_eq!((hub_after.main().overlap, hub_after.main().listen_port), (None, Some(port)));
        assert_eq!(hub_after.endpoint, first.map(|endpoint| Endpoint { port, ..endpoint }));
        let kept = office_after.main().kept.as_ref().unwrap().peers[&hub].endpoint.clone();
        assert_eq!(kept, Some(KeptEndpoint::At(Endpoint { port, ..inside })));
        fixture.node("hub").interfaces[0].overlap = None;
        assert_eq!(dialled_at_next_port(&fixture.topology, node, hub), []);
    }
}
