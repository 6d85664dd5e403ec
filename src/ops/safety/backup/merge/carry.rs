//! Carrying a merge out, within a transaction: hosts first, then one network after the other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::bring::Theirs;
use super::decide::{Fate, Hosts, Left, Prefer, Terms, merge, merge_hosts};
use super::numbers::{Here, Numbers, same};
use super::{Brought, decide};
use crate::db::{Last, Model, Returned, Store, Thing, Tx};
use crate::model::{Egress, InterfaceId, Name, Network, NetworkId, Node, NodeId, PublicKey, Role, Topology};
use crate::ops::network::change::{concerned, settled};
use crate::ops::network::history::{What, difference};
use crate::ops::network::uplinks;
use crate::ops::safety::backup::snapshot::choose_as_before;
use crate::ops::{Error, psk};

/// What was carried out.
#[derive(Default)]
pub(super) struct Carried {
    /// Whether anything was written.
    pub(super) is_something: bool,
    pub(super) changes: Vec<Brought>,
    pub(super) left: Vec<Left>,
    pub(super) deploy: Vec<Name>,
    pub(super) new_files: Vec<Name>,
    pub(super) remarks: Vec<String>,
}

/// What both copies say of themselves.
struct Sides {
    fork: i64,
    prefer: Prefer,
    shared: BTreeSet<Thing>,
    ours: BTreeMap<Thing, Last>,
    theirs: BTreeMap<Thing, Last>,
    retired_here: BTreeSet<PublicKey>,
    retired_there: BTreeSet<PublicKey>,
}

impl Sides {
    fn terms<'a>(
        &'a self,
        (network, whole): (NetworkId, bool),
        theirs: &'a BTreeMap<Thing, Last>,
        documents: &'a BTreeSet<InterfaceId>,
    ) -> Terms<'a> {
        let retired = [&self.retired_here, &self.retired_there];
        Terms { network, whole, fork: self.fork, prefer: self.prefer, ours: &self.ours, theirs, retired, documents }
    }
}

/// Merges the other copy into this one, as far as a transaction does: what is the same isn't written.
pub(super) fn carry_out(tx: &Tx<'_>, theirs: &Store, prefer: Prefer, now: DateTime<Utc>) -> Result<Carried, Error> {
    let chosen = tx.chosen().ok();
    let networks = Theirs::all(theirs)?;
    let models: Vec<(NetworkId, Model)> = networks.iter().map(|network| (network.id, network.model.clone())).collect();
    let mut present = Vec::new();
    for (id, _) in tx.networks()? {
        tx.choose_again(id)?;
        present.push((id, tx.model_now()?));
    }
    let fork = tx.shared_states(theirs)?;
    let shared = tx.things_until(fork)?;
    let mut ever: BTreeMap<PublicKey, Node> = tx.nodes_ever()?.into_iter().map(|node| (node.guid, node)).collect();
    for node in present.iter().flat_map(|(_, model)| &model.topology.nodes) {
        ever.insert(node.guid, node.clone());
    }
    let here = Here { models: &present, ever: &ever, shared: &shared };
    let numbers = Numbers::of(&models, &here, tx.last_numbers()?);
    tx.reserve_interfaces(numbers.last_interface())?;
    let keys = |store: &Store| -> Result<BTreeSet<PublicKey>, Error> {
        Ok(store.retired_keys()?.into_iter().map(|key| key.public_key).collect())
    };
    let mut sides = Sides {
        fork,
        prefer,
        ours: tx.last_changes()?,
        theirs: theirs.last_changes()?,
        retired_here: keys(tx)?,
        retired_there: keys(theirs)?,
        shared,
    };
    present.iter().for_each(|(_, model)| with_documents(&mut sides.ours, model));
    models.iter().for_each(|(_, model)| with_documents(&mut sides.theirs, model));
    let mut carried = Carried::default();
    let hosts = hosts(&present, &models, &sides, &numbers);
    carried.left.extend(hosts.left.iter().cloned());
    for network in &networks {
        one_network(tx, (network, numbers.clone()), &sides, &hosts, now, &mut carried)?;
    }
    choose_as_before(tx, chosen)?;
    Ok(carried)
}

/// What the configuration of an adopted interface says belongs to its node.
fn with_documents(last: &mut BTreeMap<Thing, Last>, model: &Model) {
    for node in &model.topology.nodes {
        let of = |thing: Thing| last.get(&thing).copied();
        let documents = node.interfaces.iter().filter_map(|interface| of(Thing::Document(interface.id)));
        let newest = documents.chain(of(Thing::Node(node.id))).max_by_key(|last| last.state);
        last.extend(newest.map(|newest| (Thing::Node(node.id), Last { there: true, ..newest })));
    }
}

/// Merges the hosts. One on which nodes live counts as changed when they were: what comes back needs its machine.
fn hosts(present: &[(NetworkId, Model)], models: &[(NetworkId, Model)], sides: &Sides, numbers: &Numbers) -> Hosts {
    let empty = BTreeMap::new();
    let of = |models: &[(NetworkId, Model)]| models.first().map_or(empty.clone(), |(_, model)| model.hosts.clone());
    let mut theirs = sides.theirs.clone();
    let there = of(models);
    for (row, host) in &there {
        let nodes = models.iter().flat_map(|(_, model)| &model.topology.nodes);
        let nodes = nodes.filter(|node| node.host.as_ref() == Some(&host.name));
        let nodes = nodes.filter_map(|node| sides.theirs.get(&Thing::Node(node.id)));
        let own = sides.theirs.get(&Thing::Host(*row));
        let is_gone = numbers.host(*row).is_none_or(|row| !of(present).contains_key(&row));
        if let Some(newest) = nodes.chain(own).max_by_key(|last| last.state).filter(|_| is_gone) {
            theirs.insert(Thing::Host(*row), *newest);
        }
    }
    let theirs = numbers.last_changes(&theirs, &sides.shared);
    let there = there.into_iter().filter_map(|(row, host)| Some((numbers.host(row)?, host))).collect();
    let nothing = BTreeSet::new();
    let terms = sides.terms((NetworkId(0), false), &theirs, &nothing);
    merge_hosts(&of(present), &there, &terms)
}

/// Merges a network of the other copy into the same one here.
fn one_network(
    tx: &Tx<'_>,
    (network, mut numbers): (&Theirs, Numbers),
    sides: &Sides,
    hosts: &Hosts,
    now: DateTime<Utc>,
    carried: &mut Carried,
) -> Result<(), Error> {
    let whole = match numbers.network(network.id) {
        Some(id) => {
            tx.choose_again(id)?;
            false
        }
        None => {
            if let Some(left) = stays_away(tx, network, sides)? {
                carried.left.push(left);
                return Ok(());
            }
            let bare = Network { exit: Egress::None, exit_rules: Vec::new(), ..network.model.topology.network.clone() };
            let id = tx.insert_network(&bare)?;
            numbers.put_network(network.id, id);
            tx.choose_again(id)?;
            true
        }
    };
    let ours = tx.model_now()?;
    let theirs = numbers.model(&network.model);
    let last = numbers.last_changes(&sides.theirs, &sides.shared);
    let documents = network.differing(tx, &numbers)?;
    let terms = sides.terms((tx.chosen()?, whole), &last, &documents);
    let merged = merge(&ours, &theirs, hosts, &terms).map_err(Error::Model)?;
    let held = tx.secrets()?.private.into_keys().collect();
    let brought = network.brought((&ours, &held), &merged, &numbers, &documents);
    let name = &ours.topology.network.name;
    let of_it = |left: &Left| Left { network: Some(name.clone()), ..left.clone() };
    carried.left.extend(merged.left.iter().map(of_it));
    if merged.model == ours && brought.is_nothing() && !whole {
        return Ok(());
    }
    let rules = tx.psk_rules()?;
    let returned = tx.merge_in(&merged.model, &brought, now)?;
    let mut topology = tx.topology()?;
    for id in &merged.back {
        uplinks::to_exits(tx, &mut topology, *id, now)?;
    }
    let after = settled(tx, &ours.topology, now)?;
    psk::links::after_change(tx, (&ours.topology, &rules), &after, now)?;
    carried.is_something = true;
    let changes = difference((!whole).then_some(&ours), &tx.model_now()?);
    carried.changes.extend(changes.into_iter().map(|change| {
        let network = (change.what != What::Host).then(|| after.network.name.clone());
        Brought { network, change }
    }));
    let (deploy, new_files) = concerned(&ours.topology, &after);
    carried.deploy.extend(deploy);
    carried.new_files.extend(new_files);
    carried.remarks.extend(remarks(&returned, &merged, &after, &sides.ours));
    Ok(())
}

/// Says why a network that isn't here doesn't come back, if it doesn't: it was removed here later than anything in it was
/// changed there, or another one has its name.
fn stays_away(tx: &Tx<'_>, network: &Theirs, sides: &Sides) -> Result<Option<Left>, Error> {
    let own = &network.model.topology.network;
    let thing = Thing::Network(network.id);
    let of = |thing: Thing| sides.theirs.get(&thing);
    let nodes = network.model.topology.nodes.iter().filter_map(|node| of(Thing::Node(node.id)));
    let newest = nodes.chain(of(thing)).max_by_key(|last| last.state).copied();
    let ours = sides.ours.get(&thing).filter(|_| sides.shared.contains(&thing));
    let newest: BTreeMap<Thing, Last> = newest.map(|last| (thing, last)).into_iter().collect();
    let gone: BTreeMap<Thing, Last> = ours.map(|last| (thing, *last)).into_iter().collect();
    let nothing = BTreeSet::new();
    let terms = Terms { ours: &gone, ..sides.terms((network.id, false), &newest, &nothing) };
    let label: decide::Label = (What::Network, own.name.to_string(), None);
    let taken = tx.networks()?.into_iter().find(|(_, other)| same(&other.name, &own.name));
    if let Some((_, other)) = taken {
        let why = format!(
            "the network `{0}` here has the name of another one in the backup: \
             `wg-friend --network {0} network set name=OTHER`, and merge again",
            other.name
        );
        return Ok(Some(terms.left(thing, label, Fate::Conflict, Some(why))));
    }
    Ok(terms.judge(thing, false).map(|fate| terms.left(thing, label, fate, None)))
}

/// Says what isn't as it was in the backup, and what to look at.
fn remarks(
    returned: &Returned,
    merged: &decide::Merged,
    after: &Topology,
    before: &BTreeMap<Thing, Last>,
) -> Vec<String> {
    let names = |ids: &mut dyn Iterator<Item = NodeId>| -> String {
        let names: BTreeSet<String> =
            ids.filter_map(|id| after.node(id)).map(|node| format!("`{}`", node.name)).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut remarks = Vec::new();
    let mut say = |names: String, what: &str| {
        if !names.is_empty() {
            remarks.push(format!("{what}: {names}"));
        }
    };
    say(
        names(&mut merged.keys.values().copied()),
        "has the key of the backup from now on, and the present one is retired",
    );
    say(
        names(&mut returned.new_keys.iter().copied()),
        "its key was retired or is used by another node, so it got a new one, which is kept here",
    );
    let were_here = |id: &NodeId| before.contains_key(&Thing::Node(*id)) && !returned.new_keys.contains(id);
    let devices = merged.back.iter().copied().filter(were_here);
    let devices = devices.filter(|id| after.node(*id).is_some_and(|node| node.role == Role::Remote));
    say(
        names(&mut devices.collect::<Vec<_>>().into_iter()),
        "back with the key it had in the backup; if the device was lost, give it another (`wg-friend rotate NAME --now`)",
    );
    remarks
}
