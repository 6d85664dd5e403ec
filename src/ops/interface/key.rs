//! The key of an interface: who keeps it, showing it, and having the host make one that never leaves it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::db::{Database, KeyRecord, Store};
use crate::fleet::{self, Fleet};
use crate::model::{
    Action, Actor, Custody, Event, InterfaceId, InterfaceName, KeyState, Name, Node, PublicKey, Severity, Topology,
};
use crate::ops::clock::Clock;
use crate::ops::deploy::journal::{Journal, deployed};
use crate::ops::error::Error;
use crate::ops::network::change::{Mode, Outcome};
use crate::ops::network::rotate::{Keys, Rotation, rotate_keys};
use crate::wg::key_file;

use super::find::{self, Target};

/// The key of an interface. The private half isn't in here.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Where it lives.
    pub host: Name,
    /// Which one.
    pub interface: InterfaceName,
    /// Whose.
    pub node: Name,
    /// The public half.
    pub public_key: PublicKey,
    /// Who keeps the private half.
    pub custody: Custody,
    /// The file on the host that holds it, when the host made it.
    pub file_on_host: Option<String>,
    /// Since when it is used.
    pub since: Option<DateTime<Utc>>,
    /// Those before it, the newest first.
    pub retired: Vec<KeyRecord>,
}

/// Says who keeps the key of an interface, and which it had.
///
/// # Errors
/// When there is no such interface.
pub fn view(database: &Database, wanted: &str, name: Option<&str>) -> Result<View, Error> {
    let topology = database.topology()?;
    let target = find::one(&topology, wanted, name)?;
    let own = target.interface;
    let mut history = database.key_history(target.node.id)?;
    history.retain(|key| key.interface == own.id);
    let active = history.iter().find(|key| key.state == KeyState::Active);
    Ok(View {
        host: target.host.name.clone(),
        interface: own.name.clone(),
        node: target.node.name.clone(),
        public_key: own.public_key,
        custody: match (is_on_host(&target), active.is_some_and(|key| key.held)) {
            (true, _) => Custody::NeverSeen,
            (false, true) => Custody::Held,
            (false, false) => target.node.custody,
        },
        file_on_host: is_on_host(&target).then(|| key_file::name(own.public_key)),
        since: active.map(|key| key.created),
        retired: history.into_iter().filter(|key| key.state == KeyState::Retired).collect(),
    })
}

fn is_on_host(target: &Target<'_>) -> bool {
    target.interface.kept.as_ref().is_some_and(|kept| kept.key_on_host)
}

/// Opens the private key of an interface, to be shown. That it was is in the audit log before anybody sees it.
///
/// # Errors
/// When it isn't here, or the log can't be written.
pub fn reveal(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    name: Option<&str>,
) -> Result<Zeroizing<String>, Error> {
    let topology = store.topology()?;
    let target = find::one(&topology, wanted, name)?;
    let (host, own, node) = (target.host, target.interface, target.node);
    let Some(key) = store.secrets()?.private.remove(&own.id) else {
        return Err(Error::RefusedWithRemedy {
            message: format!("the private key of {} of `{}` is not here", own.name, host.name),
            hint: match is_on_host(&target) {
                true => format!("the host made it and keeps it; `wg-friend rotate {}` has it make another", node.name),
                false => format!("`wg-friend rotate {}` gives it one that is kept here", node.name),
            },
        });
    };
    let event = Event::node(Action::SecretRevealed, node)
        .with("interface", own.name.as_str())
        .with("what", "private key")
        .severity(Severity::Warning);
    store.write(clock.now(), actor, |_| Ok::<_, Error>(((), event)))?;
    Ok(key.expose_base64())
}

/// Whether the host of a node made a key of it and keeps it, so that only the host can make another.
pub fn has_key_on_host(node: &Node) -> bool {
    node.host.is_some() && node.interfaces.iter().any(|own| own.kept.as_ref().is_some_and(|kept| kept.key_on_host))
}

/// Has a host make a key for an interface, and the model go by it. Hosts follow with the next deploy: first those that have
/// to learn of it. With [`Mode::Preview`] the host isn't asked, and nothing is made.
///
/// # Errors
/// When there is no such interface, or the host can't make a key.
#[expect(clippy::too_many_arguments, reason = "what it touches, which interface, and why")]
pub fn make_on_host(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    wanted: &str,
    name: Option<&str>,
    reason: &str,
    mode: Mode,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let target = find::one(&topology, wanted, name)?;
    let id = target.interface.id;
    let on_host = made(store, fleet, clock, actor, &topology, target.node, &[id], mode)?;
    let request = at_once(target.node, reason);
    rotate_keys(store, clock, actor, &request, &Keys { only: Some(id), on_host }, mode)
}

/// Gives an interface whose host keeps its key one that is made and kept here again.
///
/// # Errors
/// When there is no such interface, or its key is here already.
pub fn make_here(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    name: Option<&str>,
    reason: &str,
    mode: Mode,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let target = find::one(&topology, wanted, name)?;
    if !is_on_host(&target) {
        return Err(Error::RefusedWithRemedy {
            message: format!("the key of {} of `{}` isn't kept by the host", target.interface.name, target.host.name),
            hint: format!("`wg-friend rotate {}` gives it another one", target.node.name),
        });
    }
    let keys = Keys { only: Some(target.interface.id), on_host: BTreeMap::new() };
    let request = at_once(target.node, reason);
    rotate_keys(store, clock, actor, &request, &keys, mode)
}

/// Who changes where a key is kept may have lost the present one: nothing is waited for.
fn at_once(node: &Node, reason: &str) -> Rotation {
    Rotation { node: node.name.to_string(), reason: reason.to_owned(), now: true, ..Rotation::default() }
}

/// Gives all interfaces of a node new keys: its host makes those that it keeps.
///
/// # Errors
/// As [`make_on_host`].
pub fn rotate(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    request: &Rotation,
    mode: Mode,
) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let node = crate::ops::network::find::node(&topology, &request.node)?;
    let kept_there = |own: &&crate::model::Interface| own.kept.as_ref().is_some_and(|kept| kept.key_on_host);
    let ids: Vec<InterfaceId> = node.interfaces.iter().filter(kept_there).map(|own| own.id).collect();
    let on_host = made(store, fleet, clock, actor, &topology, node, &ids, mode)?;
    rotate_keys(store, clock, actor, request, &Keys { only: None, on_host }, mode)
}

/// Has the host of a node make a key for each interface. A preview goes by keys that nobody has.
#[expect(clippy::too_many_arguments, reason = "what it touches, and for which interfaces")]
fn made(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    topology: &Topology,
    node: &Node,
    interfaces: &[InterfaceId],
    mode: Mode,
) -> Result<BTreeMap<InterfaceId, PublicKey>, Error> {
    let mut keys = BTreeMap::new();
    if mode == Mode::Preview {
        for id in interfaces {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(Error::Random)?;
            keys.insert(*id, PublicKey::from_bytes(bytes));
        }
        return Ok(keys);
    }
    let Some(host) = node.host.as_ref().and_then(|name| topology.host(name)) else { return Ok(keys) };
    let mut keep = in_use(store, topology, &host.name)?;
    let mut connection = fleet.connect(host)?;
    let journal = Journal::new(store, clock, actor);
    for id in interfaces {
        let answer = journal.run(&host.name, None, connection.as_mut(), &fleet::make_key(&keep))?;
        let read = fleet::read_made_key(&answer);
        let read = read.map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })?;
        let key = read.map_err(|why| Error::RefusedWithRemedy {
            message: format!("the host `{}` made no key: {why}", host.name),
            hint: format!("see to it there, then try again; `wg-friend host check {}` says what it lacks", host.name),
        })?;
        keep.push(key_file::name(key));
        keys.insert(*id, key);
    }
    Ok(keys)
}

/// Returns the names of the key files that a host uses, or is about to.
fn in_use(store: &Store, topology: &Topology, host: &Name) -> Result<Vec<String>, Error> {
    let here = topology.nodes.iter().filter(|node| node.host.as_ref() == Some(host)).flat_map(|node| &node.interfaces);
    let keys = here.flat_map(|own| std::iter::once(own.public_key).chain(own.staged_key));
    let mut files: Vec<String> = keys.map(key_file::name).collect();
    let before = deployed(store, host)?;
    files.extend(before.iter().flat_map(|d| &d.version.interfaces).filter_map(|own| own.key_file.clone()));
    Ok(files)
}
