//! Giving a node a new key.

use std::collections::BTreeMap;

use super::change::{Done, Mode, Outcome, carry_out, new_private_key};
use super::{adopted, find};
use crate::db::Store;
use crate::model::{Action, Actor, Custody, Event, InterfaceId, InterfaceKind, Kept, Node, PublicKey};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What to rotate.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The node.
    pub node: String,
    /// Why; kept with the old key.
    pub reason: String,
    /// The new public key, when the device makes its keys itself.
    pub public_key: Option<PublicKey>,
}

/// Which interfaces get a key, and who makes it.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The only interface that gets one; `None` is all of the node.
    pub only: Option<InterfaceId>,
    /// The public halves of keys that their host made and keeps.
    pub on_host: BTreeMap<InterfaceId, PublicKey>,
}

/// Replaces the key of every interface of a node; the old ones are retired, with the reason.
///
/// A node that was known only by its public key gets a private key of its own, and with it a config.
pub fn rotate(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Rotation,
    mode: Mode,
) -> Result<Outcome, Error> {
    rotate_keys(store, clock, actor, request, &Keys::default(), mode)
}

/// Replaces keys of a node, some of them by keys that its host made.
pub fn rotate_keys(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: &Rotation,
    keys: &Keys,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "rotated", mode, |scope| {
        let before = find::node(scope.before, &request.node)?;
        let mut node = Node { custody: custody(before, request, keys)?, provisional: false, ..before.clone() };
        adopted::key_is_known(&mut node);
        for interface in node.interfaces.iter_mut().filter(|own| keys.only.is_none_or(|only| only == own.id)) {
            let on_host = keys.on_host.contains_key(&interface.id);
            if on_host || interface.kept.is_some() {
                interface.kept.get_or_insert_with(Kept::made).key_on_host = on_host;
            }
            if interface.kept.as_ref().is_some_and(Kept::is_nothing) {
                interface.kept = None;
            }
        }
        if node != *before {
            scope.tx.update_node(&node, scope.now)?;
        }
        let mut done = Done { nodes: vec![node.id], ..Done::default() };
        let mut event = Event::node(Action::KeyRotation, &node).with("reason", request.reason.as_str());
        for interface in node.interfaces.iter().filter(|own| keys.only.is_none_or(|only| only == own.id)) {
            let is_main = interface.kind == InterfaceKind::Main;
            let given = request.public_key.filter(|_| is_main).or_else(|| keys.on_host.get(&interface.id).copied());
            let (public, private) = match given {
                Some(public) => (public, None),
                None => {
                    let private = new_private_key()?;
                    (private.public(), Some(private))
                }
            };
            if scope.tx.interface_with_key(public)?.is_some() {
                return Err(Error::Refused(format!("the key {public} is or was in use already; make a new one")));
            }
            // The keys of uplinks are ours whoever keeps that of the main interface.
            let kept = private.as_ref().filter(|_| !is_main || node.custody == Custody::Held);
            scope.tx.replace_key(interface.id, public, kept, &request.reason, scope.now)?;
            event = event.with(interface.name.as_str(), format!("{} → {}", interface.public_key, public));
            if let Some(private) = private.filter(|_| is_main && node.custody == Custody::ShownOnce) {
                done.shown_once.insert(interface.id, private);
            }
        }
        if before.provisional {
            done.remarks.push(format!("`{}` has a private key now, and a config of its own", node.name));
        }
        done.events.push(event);
        Ok(done)
    })
}

/// Says who keeps the new private key.
fn custody(node: &Node, request: &Rotation, keys: &Keys) -> Result<Custody, Error> {
    let main = node.main();
    if keys.only.is_some_and(|only| only != main.id) {
        return Ok(node.custody);
    }
    let was_on_host = main.kept.as_ref().is_some_and(|kept| kept.key_on_host);
    match (request.public_key, node.custody) {
        (Some(_), _) => Ok(Custody::NeverSeen),
        (None, _) if keys.on_host.contains_key(&main.id) => Ok(Custody::NeverSeen),
        (None, Custody::NeverSeen) if was_on_host => Ok(Custody::Held), // it is made here again
        (None, _) if node.provisional => Ok(Custody::Held),
        (None, Custody::NeverSeen) => Err(Error::RefusedWithRemedy {
            message: format!("the device of `{}` keeps its private key, so only it can make a new one", node.name),
            hint: "make it there with `wg genkey` and `wg pubkey`, and give its public key with --public-key KEY"
                .into(),
        }),
        (None, custody) => Ok(custody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Database, KdfParams, Passphrase};
    use crate::model::{Network, Origin, Role, Source};
    use crate::ops::clock::Fixed;
    use crate::ops::network::add::{NewNodes, add};

    fn actor() -> Actor {
        Actor { operator: "tester".into(), address: None, source: Source::Cli }
    }

    fn clock() -> Fixed {
        Fixed("2026-03-01T12:00:00Z".parse().unwrap())
    }

    /// A network with a server and a remote of which only the public key is known.
    fn store(dir: &std::path::Path) -> Store {
        let network = Network {
            name: "office".parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            cidr4: Some("10.66.0.0/24".parse().unwrap()),
            cidr6: None,
            port: crate::model::Port::WIREGUARD,
            dns: Vec::new(),
            mtu: crate::model::Mtu::DEFAULT,
            keepalive: 25,
            psk: crate::model::PskPolicy::Unique,
            stable_clients: Vec::new(),
            exit: crate::model::Egress::None,
            kill_switch: false,
            exit_rules: Vec::new(),
        };
        let passphrase = Passphrase::new("correct-horse".to_owned());
        let path = dir.join("store/x.db");
        let cost = KdfParams::FULL_ENTROPY;
        let (mut store, _) = Database::create(&path, &passphrase, cost, &network, &actor(), clock().0).unwrap();
        let mut server = NewNodes::one(Role::Server, "hub".parse().unwrap(), Origin::Manual);
        server.settings = crate::ops::network::setting::parse_all(["endpoint=vpn.example.com"]).unwrap();
        add(&mut store, &clock(), &actor(), server, Mode::Save).unwrap();
        let mut remote = NewNodes::one(Role::Remote, "stray".parse().unwrap(), Origin::Manual);
        remote.public_key = Some("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=".parse().unwrap());
        add(&mut store, &clock(), &actor(), remote, Mode::Save).unwrap();
        let stray = find::node(&store.topology().unwrap(), "stray").unwrap().clone();
        store
            .write(clock().0, &actor(), |tx| {
                tx.update_node(&Node { provisional: true, ..stray.clone() }, clock().0)?;
                Ok::<_, Error>(((), Event::node(Action::PeerUpdated, &stray)))
            })
            .unwrap();
        store
    }

    #[test]
    fn a_provisional_node_gets_a_private_key_and_a_config() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let request = Rotation { node: "stray".into(), reason: "ours now".into(), public_key: None };
        let outcome = rotate(&mut store, &clock(), &actor(), &request, Mode::Save).unwrap();
        assert_eq!(outcome.remarks, ["`stray` has a private key now, and a config of its own"]);
        assert_eq!(outcome.new_files.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["hub", "stray"]);
        let topology = store.topology().unwrap();
        let node = find::node(&topology, "stray").unwrap();
        assert!(!node.provisional && node.custody == Custody::Held);
        assert_eq!(node.guid.to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
        assert_eq!(store.secrets().unwrap().private[&node.main().id].public(), node.main().public_key);
    }

    #[test]
    fn a_preview_of_a_rotation_leaves_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        let before = store.topology().unwrap();
        let request = Rotation { node: "hub".into(), reason: "yearly".into(), public_key: None };
        let outcome = rotate(&mut store, &clock(), &actor(), &request, Mode::Preview).unwrap();
        assert!(!outcome.saved && outcome.files.iter().any(|file| file.text.contains("(new key)")));
        assert_eq!(store.topology().unwrap(), before);
    }
}
