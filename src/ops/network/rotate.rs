//! Giving a node a new key.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::change::{Done, Mode, Outcome, carry_out, new_private_key};
use super::{adopted, find};
use crate::db::{Store, Tx};
use crate::model::{
    Action, Actor, Custody, Event, Interface, InterfaceId, InterfaceKind, InterfaceName, Kept, Name, Node, Overlap,
    Port, PublicKey, Topology,
};
use crate::ops::clock::Clock;
use crate::ops::{Error, psk};
use crate::wg::compile::{self, Neighbours, cut_off_by_rotation};
use crate::wg::config::Document;
use crate::wg::overlap;

/// What to rotate.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// The node.
    pub node: String,
    /// Why; kept with the old key.
    pub reason: String,
    /// The new public key, when the device makes its keys itself.
    pub public_key: Option<PublicKey>,
    /// Whether the present key is no longer good as soon as hosts are deployed: the device is lost.
    pub now: bool,
    /// Whether its links get other preshared keys, too, whatever is said of them.
    pub preshared: bool,
    /// UDP port of the next key, where devices move to it one by one; `None` picks one.
    pub port: Option<Port>,
    /// When the present key ends in that case, whoever still goes by it.
    pub until: Option<DateTime<Utc>>,
}

/// Which interfaces get a key, and who makes it.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The only interface that gets one; `None` is all of the node.
    pub only: Option<InterfaceId>,
    /// The public halves of keys that their host made and keeps.
    pub on_host: BTreeMap<InterfaceId, PublicKey>,
}

/// Gives every interface of a node another key.
///
/// Where the hosts at the other ends can await it, the new key is staged: the present one stays good until the new one is
/// seen in use ([`crate::ops::rotation`]). Otherwise it replaces the present one at once, which is retired, with the reason.
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
        let neighbours = Neighbours::of(scope.before);
        let (mut staged, mut cut_off, mut in_overlap) = (BTreeSet::new(), BTreeSet::new(), false);
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
            match way(scope.tx, scope.before, &neighbours, before, interface, request)? {
                Way::Staged => {
                    scope.tx.stage_key(interface.id, public, kept, &request.reason, scope.now)?;
                    staged.insert(interface.id);
                }
                Way::Overlap { port } => {
                    scope.tx.stage_key(interface.id, public, kept, &request.reason, scope.now)?;
                    in_overlap = true;
                    let overlap = Overlap { port, until: request.until, over: false };
                    scope.tx.set_overlap(interface.id, &overlap)?;
                    staged.insert(interface.id);
                    event = event.with("port", port.get());
                    // wg-friend's own firewall is for both; hooks are repeated.
                    let by_hand = interface.kept.as_ref().is_some_and(|kept| !kept.made);
                    let beside = overlap::name(&interface.name);
                    done.remarks.extend(by_hand.then(|| {
                        format!(
                            "its next key has an interface of its own, {beside}: what the host's firewall says of {} outside of its hooks \
                             has to be said of {beside}, too, before you deploy",
                            interface.name
                        )
                    }));
                    done.remarks.extend([
                        format!(
                            "`{}` is dialled by its next key at UDP port {port}: open it, or forward it to the host",
                            node.name
                        ),
                        format!(
                            "its present key stays good until all have moved: see `wg-friend rotate {} --status`",
                            node.name
                        ),
                    ]);
                }
                Way::AtOnce { cut_off: names, why } => {
                    if interface.staged_key.is_some() {
                        scope.tx.withdraw_staged_key(interface.id, "another one came first", scope.now)?;
                    }
                    scope.tx.replace_key(interface.id, public, kept, &request.reason, scope.now)?;
                    cut_off.extend(names);
                    done.remarks.extend(why.map(|why| format!("`{}` can't be dialled by two keys: {why}", node.name)));
                }
            }
            event = event.with(interface.name.as_str(), format!("{} → {}", interface.public_key, public));
            if let Some(private) = private.filter(|_| is_main && node.custody == Custody::ShownOnce) {
                done.shown_once.insert(interface.id, private);
            }
        }
        if !staged.is_empty() {
            event = event.with("staged", true);
        }
        if !staged.is_empty() && !in_overlap {
            done.remarks.push(format!(
                "the present key of `{0}` stays good until the next one is seen in use: see `wg-friend rotate {0} --status`",
                node.name
            ));
        }
        if !cut_off.is_empty() {
            let names = in_words(&cut_off);
            done.remarks
                .push(format!("`{}` and {names} don't reach each other until both have their new files", node.name));
        }
        if before.provisional {
            done.remarks.push(format!("`{}` has a private key now, and a config of its own", node.name));
        }
        done.events.push(event);
        let renewed =
            psk::rotate::Renewed { node: before, staged: &staged, only: keys.only, always: request.preshared };
        psk::rotate::with_new_key(scope, renewed, &mut done)?;
        Ok(done)
    })
}

/// How an interface gets another key.
enum Way {
    /// Beside the present one, which it follows when it is seen in use.
    Staged,
    /// Beside the present one, too, at a port of its own: each device moves when it has its new file.
    Overlap { port: Port },
    /// In the place of the present one, which cuts these nodes off until they have a new file; why no other way is open to
    /// one that could be dialled by both keys.
    AtOnce { cut_off: Vec<Name>, why: Option<String> },
}

fn way(
    tx: &Tx<'_>,
    topology: &Topology,
    neighbours: &Neighbours<'_>,
    node: &Node,
    new: &Interface,
    request: &Rotation,
) -> Result<Way, Error> {
    let Some(own) = node.interfaces.iter().find(|own| own.id == new.id) else {
        return Ok(Way::AtOnce { cut_off: Vec::new(), why: None });
    };
    let cut_off = if node.enabled { cut_off_by_rotation(neighbours, own.id) } else { Vec::new() };
    let on_host = |own: &Interface| own.kept.as_ref().is_some_and(|kept| kept.key_on_host);
    // Of a node that was never one of ours nobody knows whether it still is there.
    let is_ours = node.enabled && !node.provisional && own.kept.as_ref().is_none_or(|kept| !kept.key_unknown);
    let alone = neighbours.beyond(own.id).is_empty();
    if request.now || !is_ours || on_host(own) != on_host(new) || alone {
        return Ok(Way::AtOnce { cut_off: if request.now { Vec::new() } else { cut_off }, why: None });
    }
    if !cut_off.is_empty()
        && let Some(why) = hindrance(tx, topology, node, own)?
    {
        // Of a device, and of an uplink, everybody knows that nobody dials it.
        let could_be = node.host.is_some() && node.endpoint.is_some() && own.id == node.main().id;
        let why = could_be.then_some(why);
        return Ok(Way::AtOnce { cut_off, why });
    }
    match own.staged_key {
        None if cut_off.is_empty() => Ok(Way::Staged),
        None => Ok(Way::Overlap {
            port: other_port(topology, &tx.interfaces_of_others()?, neighbours, node, own, request)?,
        }),
        Some(_) if own.overlap.is_some() => Err(Error::RefusedWithRemedy {
            message: format!("`{}` is dialled by two keys already", node.name),
            hint: format!(
                "`wg-friend rotate {0} --status` says who has moved; --finish ends the present key, --abort withdraws the next one, and \
                 --now replaces both at once",
                node.name
            ),
        }),
        Some(_) => Err(Error::RefusedWithRemedy {
            message: format!("`{}` has a next key already, which nobody has seen in use yet", node.name),
            hint: format!(
                "take it to the device, or withdraw it with `wg-friend rotate {} --abort`; --now replaces both at once",
                node.name
            ),
        }),
    }
}

/// Why an interface that devices dial can't be dialled by two keys at once.
fn hindrance(tx: &Tx<'_>, topology: &Topology, node: &Node, own: &Interface) -> Result<Option<String>, Error> {
    let compiled = compile::compile(topology).map_err(Error::Model)?;
    let config = compiled.iter().flat_map(|node| &node.interfaces).find(|config| config.id == own.id);
    let Some(config) = config else { return Ok(None) };
    let document = match own.kept.as_ref().is_some_and(|kept| !kept.made) {
        true => tx.documents()?.remove(&own.id),
        false => None,
    };
    let hooks = document.map_or_else(|| config.hooks.clone(), |text| Document::parse(&text).hooks());
    Ok(compile::hinders_overlap(node, own, config, &hooks))
}

/// Returns the port at which an interface is dialled by its next key: the one that is asked for, or that of the network, or the
/// next one that nothing else on the host listens on, nor anything of another network (`elsewhere`). So a node goes back and
/// forth between two ports. That of the network may be another network's on this host; then it is refused with both sides.
fn other_port(
    topology: &Topology,
    elsewhere: &[(InterfaceName, Option<Port>)],
    neighbours: &Neighbours<'_>,
    node: &Node,
    own: &Interface,
    request: &Rotation,
) -> Result<Port, Error> {
    let beyond = || neighbours.beyond(own.id).iter();
    let in_overlap =
        |(far, id): &&(&Node, InterfaceId)| far.interfaces.iter().any(|i| i.id == *id && i.overlap.is_some());
    if let Some((far, _)) = beyond().find(in_overlap) {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{}` is dialled by two keys already: of two linked nodes one goes first", far.name),
            hint: format!("see `wg-friend rotate {} --status`, then rotate `{}`", far.name, node.name),
        });
    }
    let dialled = node.endpoint.as_ref().map(|endpoint| endpoint.port);
    let here = topology.nodes.iter().filter(|other| other.id == node.id || other.host == node.host);
    let interfaces = here.flat_map(|other| other.interfaces.iter().map(move |own| (other, own)));
    let ports = interfaces.flat_map(|(other, own)| compile::taken_by(other, own)).filter_map(|(_, port)| port);
    let mut taken: BTreeSet<Port> = ports.chain(dialled).collect();
    if let Some(port) = request.port {
        return match taken.contains(&port) {
            true => Err(Error::value("--port", format!("{port} is in use on `{}` already: choose another", node.name))),
            false => Ok(port),
        };
    }
    let first = topology.network.port;
    if !taken.contains(&first) {
        return Ok(first);
    }
    // What another network has on another host may come to this one some day.
    taken.extend(elsewhere.iter().filter_map(|(_, port)| *port));
    let free = std::iter::successors(Some(first), |port| {
        port.get().checked_add(1).and_then(Port::new).or(Some(Port::WIREGUARD))
    });
    Ok(free.take(1 << 16).find(|port| !taken.contains(port)).unwrap_or(first))
}

/// Names at most so many nodes.
const NAMED: usize = 5;

fn in_words(names: &BTreeSet<Name>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut words: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
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
        let request = Rotation { node: "stray".into(), reason: "ours now".into(), ..Rotation::default() };
        let outcome = rotate(&mut store, &clock(), &actor(), &request, Mode::Save).unwrap();
        assert_eq!(
            outcome.remarks,
            [
                "`stray` and `hub` don't reach each other until both have their new files",
                "`stray` has a private key now, and a config of its own"
            ]
        );
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
        let request = Rotation { node: "hub".into(), reason: "yearly".into(), ..Rotation::default() };
        let outcome = rotate(&mut store, &clock(), &actor(), &request, Mode::Preview).unwrap();
        assert!(!outcome.saved && outcome.files.iter().any(|file| file.text.contains("(new key)")));
        assert_eq!(store.topology().unwrap(), before);
    }
}
