//! Which hosts may use their next keys: those whose peers all await them.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::Store;
use crate::model::{Interface, InterfaceId, Name, Node, PublicKey, Topology};
use crate::ops::deploy::HostPlan;
use crate::ops::deploy::desired::Deployed;
use crate::ops::deploy::journal::deployed;
use crate::ops::error::Error;
use crate::wg::NodeConfig;
use crate::wg::compile::{self, Neighbours};

/// Compiles a topology into what hosts are to run now: those whose next key isn't awaited by all their peers yet go on with
/// the present one.
///
/// # Errors
/// When the topology contradicts itself, or the store can't be read.
pub(in crate::ops) fn compile(store: &Store, topology: &Topology) -> Result<Vec<NodeConfig>, Error> {
    let mut compiled = compile::compile_for_hosts(topology).map_err(Error::Model)?;
    compile::hold_back(topology, &mut compiled, &not_yet(store, topology)?);
    Ok(compiled)
}

/// Returns the interfaces of hosts that have to go on with their present key for now.
///
/// Whoever goes by both keys goes by both until that is over.
///
/// Whoever used its next key while one of its peers doesn't know it would be cut off from that one, for good when the key
/// before is forgotten. So all of them have to have been told, by deploys that were confirmed, whether they are part of this
/// one or give an answer. Of two peers with a next key each, one goes first, and the other when that is over: neither then
/// looks for the other under a key that it no longer has.
pub(in crate::ops) fn not_yet(store: &Store, topology: &Topology) -> Result<BTreeSet<InterfaceId>, Error> {
    let staged = topology.enabled().filter(|node| node.host.is_some());
    let staged = staged.flat_map(|node| node.interfaces.iter().filter_map(|own| Some((own, own.staged_key?))));
    let staged: Vec<(&Interface, PublicKey)> = staged.collect();
    if staged.is_empty() {
        return Ok(BTreeSet::new());
    }
    let neighbours = Neighbours::of(topology);
    let mut told = Told { store, hosts: BTreeMap::new() };
    let mut held = BTreeSet::new();
    for (own, key) in staged {
        // A key that a hook loads is for who wrote the hook to bring.
        let by_hook = own.kept.as_ref().is_some_and(|kept| kept.key_by_hook);
        if by_hook || own.overlap.is_some_and(|overlap| !overlap.over) {
            held.insert(own.id);
        }
        for (far, interface) in neighbours.beyond(own.id) {
            let other = far.interfaces.iter().find(|other| other.id == *interface);
            let goes_first = other.is_some_and(|other| other.staged_key.is_some() && comes_first(other, own));
            let is_told = compile::is_absent(far, *interface, own.id) || told.of(far, *interface, key)?;
            if (goes_first && far.host.is_some()) || !is_told {
                held.insert(own.id);
            }
        }
    }
    Ok(held)
}

/// Which of two linked interfaces with a next key each goes first: who goes by both at once can wait for months.
fn comes_first(one: &Interface, other: &Interface) -> bool {
    (one.overlap.is_some(), one.id) < (other.overlap.is_some(), other.id)
}

/// Returns the nodes whose hosts go on with their present key only until the peers' hosts have been told, all of which a plan is
/// about and has seen.
///
/// # Errors
/// When the store can't be read.
pub(in crate::ops) fn soon(store: &Store, hosts: &[HostPlan]) -> Result<Vec<Name>, Error> {
    let topology = store.topology()?;
    let held = not_yet(store, &topology)?;
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let neighbours = Neighbours::of(&topology);
    let seen: BTreeSet<&Name> = hosts.iter().filter(|host| host.seen.is_ok()).map(|host| &host.host.name).collect();
    let waits = |node: &&Node| {
        let is_over = |own: &Interface| own.overlap.is_none_or(|overlap| overlap.over);
        node.interfaces.iter().any(|own| held.contains(&own.id) && is_over(own))
            && super::status::near(&neighbours, node).iter().all(|host| seen.contains(host))
    };
    Ok(topology.enabled().filter(waits).map(|node| node.name.clone()).collect())
}

/// What hosts were told, as the last confirmed deploys say.
struct Told<'a> {
    store: &'a Store,
    hosts: BTreeMap<Name, Option<Deployed>>,
}

impl Told<'_> {
    /// Whether the host of a node awaits a key on an interface, or has nothing to lose there: nothing was deployed yet.
    fn of(&mut self, node: &Node, interface: InterfaceId, key: PublicKey) -> Result<bool, Error> {
        let Some(host) = &node.host else { return Ok(true) };
        if !self.hosts.contains_key(host) {
            let found = deployed(self.store, host)?;
            self.hosts.insert(host.clone(), found);
        }
        let there = self.hosts[host].as_ref().and_then(|d| d.version.interfaces.iter().find(|i| i.id == interface));
        Ok(there.is_none_or(|there| there.peers.iter().any(|peer| peer.public_key == key)))
    }
}
