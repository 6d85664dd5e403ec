//! Carrying a merge out, within a transaction: hosts first, then one network after the other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::bring::Theirs;
use super::clash::called_as;
use super::decide::{Barred, Fate, Left, Merged, Prefer, Terms};
use super::hosts::{Hosts, merge_hosts};
use super::numbers::{Here, Numbers, same};
use super::settle::Pair;
use super::together::together;
use super::{Brought, decide};
use crate::db::{self, Last, Model, Returned, Store, Thing, Tx};
use crate::model::{Egress, InterfaceId, Name, Network, NetworkId, Node, NodeId, PublicKey, Role, Topology};
use crate::ops::network::change::{concerned, settled_alone};
use crate::ops::network::history::{What, difference};
use crate::ops::network::{shared_host, uplinks};
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
    held_here: BTreeSet<PublicKey>,
    held_there: BTreeSet<PublicKey>,
    forked: BTreeMap<NodeId, Node>,
}

impl Sides {
    fn terms<'a>(
        &'a self,
        (network, whole): (NetworkId, bool),
        theirs: &'a BTreeMap<Thing, Last>,
        documents: &'a BTreeSet<InterfaceId>,
        gone: &'a BTreeMap<Thing, Topology>,
    ) -> Terms<'a> {
        Terms {
            network,
            whole,
            fork: self.fork,
            prefer: self.prefer,
            ours: &self.ours,
            theirs,
            retired: [&self.retired_here, &self.retired_there],
            documents,
            forked: &self.forked,
            held: [&self.held_here, &self.held_there],
            gone,
        }
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
        held_here: tx.keys_held_since(fork)?,
        held_there: theirs.keys_held_since(fork)?,
        forked: tx.nodes_at(fork)?.into_iter().map(|node| (node.id, node)).collect(),
        shared,
    };
    present.iter().for_each(|(_, model)| with_documents(&mut sides.ours, model));
    models.iter().for_each(|(_, model)| with_documents(&mut sides.theirs, model));
    let mut carried = Carried::default();
    let hosts = hosts(&present, &models, &sides, &numbers);
    carried.left.extend(hosts.left.iter().cloned());
    carried.left.extend(networks_gone(&present, &sides));
    let mut prepared = Vec::new();
    for network in &networks {
        match prepare(tx, (network, numbers.clone()), &sides, (&hosts, &present))? {
            Ok(one) => prepared.push(one),
            Err(left) => carried.left.push(left),
        }
    }
    let merged = merge_all(&prepared, &sides, &hosts, &present)?;
    let mut settled = Vec::new();
    for (one, merged) in prepared.iter().zip(&merged) {
        settled.extend(one_network(tx, (one, merged), &sides, now, &mut carried)?);
    }
    for (id, before, after) in &settled {
        tx.choose_again(*id)?;
        shared_host::refuse_new(tx, before, after)?;
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
    let (nothing, none) = (BTreeSet::new(), BTreeMap::new());
    let terms = sides.terms((NetworkId(0), false), &theirs, &nothing, &none);
    merge_hosts(&of(present), &there, &terms)
}

/// Lists the networks that are here and were removed there.
fn networks_gone(present: &[(NetworkId, Model)], sides: &Sides) -> Vec<Left> {
    let (nothing, none) = (BTreeSet::new(), BTreeMap::new());
    let mut left = Vec::new();
    for (id, model) in present {
        let thing = Thing::Network(*id);
        let terms = sides.terms((*id, false), &sides.theirs, &nothing, &none);
        if sides.shared.contains(&thing) && terms.was_removed_there(thing) {
            let label = (What::Network, model.topology.network.name.to_string(), None);
            left.push(terms.left(thing, label, Fate::RemovedThere, None));
        }
    }
    left
}

/// A network of the other copy, and the same one here.
struct Prepared<'a> {
    network: &'a Theirs,
    numbers: Numbers,
    id: NetworkId,
    /// Whether it comes back as a whole.
    whole: bool,
    /// The network here; hosts are called in it what they are called once they are merged.
    ours: Model,
    /// The other copy's in the numbers of here.
    theirs: Model,
    last: BTreeMap<Thing, Last>,
    documents: BTreeSet<InterfaceId>,
    gone: BTreeMap<Thing, Topology>,
    /// What is left out from the start.
    barred: Barred,
}

/// Finds the network here that is the same as one of the other copy, or adds it, bare; or else says why it stays away.
fn prepare<'a>(
    tx: &Tx<'_>,
    (network, mut numbers): (&'a Theirs, Numbers),
    sides: &Sides,
    (hosts, present): (&Hosts, &[(NetworkId, Model)]),
) -> Result<Result<Prepared<'a>, Left>, Error> {
    let found = numbers.network(network.id);
    let whole = found.is_none();
    let id = match found {
        Some(id) => id,
        None => {
            if let Some(left) = stays_away(tx, network, sides)? {
                return Ok(Err(left));
            }
            let bare = Network { exit: Egress::None, exit_rules: Vec::new(), ..network.model.topology.network.clone() };
            let id = tx.insert_network(&bare)?;
            numbers.put_network(network.id, id);
            id
        }
    };
    tx.choose_again(id)?;
    let ours = on_hosts(tx.model_now()?, hosts);
    let theirs = numbers.model(&network.model);
    let last = numbers.last_changes(&sides.theirs, &sides.shared);
    let documents = network.differing(tx, &numbers)?;
    let gone = just_before(tx, &ours, &theirs, sides)?;
    let barred = taken_elsewhere(id, (&ours, &theirs), present);
    Ok(Ok(Prepared { network, numbers, id, whole, ours, theirs, last, documents, gone, barred }))
}

/// Finds what another network here has: a node or its key, and the network's name.
fn taken_elsewhere(id: NetworkId, (ours, theirs): (&Model, &Model), present: &[(NetworkId, Model)]) -> Barred {
    let mut barred = Barred::new();
    let keys_of = |node: &Node| -> BTreeSet<PublicKey> {
        node.interfaces.iter().flat_map(|own| [Some(own.public_key), own.staged_key]).flatten().collect()
    };
    for other in present.iter().filter(|(other, _)| *other != id).map(|(_, model)| &model.topology) {
        let network = &other.network.name;
        for node in &theirs.topology.nodes {
            let keys = keys_of(node);
            let is_it = |own: &&Node| own.id == node.id || !keys.is_disjoint(&keys_of(own));
            let Some(own) = other.nodes.iter().find(is_it) else { continue };
            let what = if own.id == node.id { "is" } else { "has the key of" };
            let why = format!(
                "`{}` of the backup {what} `{1}` of the network `{network}` here: `wg-friend --network {network} remove {1}` \
                 if it is to be in this one, and merge again",
                node.name, own.name
            );
            barred.insert(Thing::Node(node.id), why);
        }
        let name = &theirs.topology.network.name;
        if same(name, network) && !same(name, &ours.topology.network.name) {
            let why = format!(
                "it is called `{name}` in the backup, as another network is here: \
                 `wg-friend --network {network} network set name=OTHER`, and merge again"
            );
            barred.insert(Thing::Network(id), why);
        }
    }
    barred
}

/// Merges all networks, without what would clash between two of them on a host.
fn merge_all(
    prepared: &[Prepared<'_>],
    sides: &Sides,
    hosts: &Hosts,
    present: &[(NetworkId, Model)],
) -> Result<Vec<Merged>, Error> {
    let terms = prepared.iter().map(|one| sides.terms((one.id, one.whole), &one.last, &one.documents, &one.gone));
    let terms: Vec<Terms<'_>> = terms.collect();
    let both = prepared.iter().zip(&terms);
    let pairs: Vec<Pair<'_>> = both.map(|(one, terms)| Pair::new((&one.ours, &one.theirs), hosts, terms)).collect();
    let start: Vec<Barred> = prepared.iter().map(|one| one.barred.clone()).collect();
    let untouched = present.iter().filter(|(id, _)| prepared.iter().all(|one| one.id != *id));
    let untouched: Vec<Topology> = untouched.map(|(_, model)| on_hosts(model.clone(), hosts).topology).collect();
    together(&pairs, &start, &untouched).map_err(Error::Model)
}

/// Calls the hosts of a network's nodes what they are called once they are merged.
fn on_hosts(mut model: Model, hosts: &Hosts) -> Model {
    for host in model.topology.nodes.iter_mut().filter_map(|node| node.host.as_mut()) {
        let row = model.hosts.iter().find(|(_, own)| own.name == *host).map(|(row, _)| row);
        if let Some(merged) = row.and_then(|row| hosts.all.get(row)) {
            host.clone_from(&merged.name);
        }
    }
    model
}

/// What a network was, in the names that it has now, and is.
type Settled = (NetworkId, Topology, Topology);

/// Carries out what was decided of a network; `None` if nothing was to do.
fn one_network(
    tx: &Tx<'_>,
    (one, merged): (&Prepared<'_>, &Merged),
    sides: &Sides,
    now: DateTime<Utc>,
    carried: &mut Carried,
) -> Result<Option<Settled>, Error> {
    tx.choose_again(one.id)?;
    let ours = tx.model_now()?;
    let held = tx.secrets()?.private.into_keys().collect();
    let brought = one.network.brought((&ours, &held), merged, &one.numbers, &one.documents);
    let name = &ours.topology.network.name;
    let of_it = |left: &Left| Left { network: Some(name.clone()), ..left.clone() };
    carried.left.extend(merged.left.iter().map(of_it));
    if merged.model == ours && brought.is_nothing() && !one.whole {
        return Ok(None);
    }
    let rules = tx.psk_rules()?;
    let returned = tx.merge_in(&merged.model, &brought, now)?;
    let mut topology = tx.topology()?;
    for id in &merged.back {
        uplinks::to_exits(tx, &mut topology, *id, now)?;
    }
    let before = called_as(one.ours.topology.clone(), &topology);
    let after = settled_alone(tx, &before, now)?;
    psk::links::after_change(tx, (&ours.topology, &rules), &after, now)?;
    carried.is_something = true;
    let is = tx.model_now()?;
    let mut changes = difference(Some(&ours), &is);
    if one.whole {
        changes.retain(|change| change.what == What::Host); // they were there before it
        changes.extend(difference(None, &is).into_iter().filter(|change| change.what != What::Host));
    }
    carried.changes.extend(changes.into_iter().map(|change| {
        let network = (change.what != What::Host).then(|| after.network.name.clone());
        Brought { network, change }
    }));
    let (deploy, new_files) = concerned(&ours.topology, &after);
    carried.deploy.extend(deploy);
    carried.new_files.extend(new_files);
    carried.remarks.extend(remarks(&returned, merged, &after, &sides.ours));
    Ok(Some((one.id, before, after)))
}

/// Returns the network just before each node and group was removed here that the other copy has.
fn just_before(tx: &Tx<'_>, ours: &Model, theirs: &Model, sides: &Sides) -> Result<BTreeMap<Thing, Topology>, Error> {
    let (own, there) = (&ours.topology, &theirs.topology);
    let nodes = there.nodes.iter().filter(|node| own.node(node.id).is_none()).map(|node| Thing::Node(node.id));
    let groups = there.groups.iter().filter(|group| own.group(group.id).is_none()).map(|group| Thing::Group(group.id));
    let mut found = BTreeMap::new();
    for thing in nodes.chain(groups) {
        let Some(removed) = sides.ours.get(&thing).filter(|last| !last.there && last.state > 1) else { continue };
        match tx.model_at(removed.state - 1) {
            Ok(model) => _ = found.insert(thing, model.topology),
            Err(db::Error::NotThen { .. }) => {} // it was removed together with an earlier network
            Err(other) => return Err(other.into()),
        }
    }
    Ok(found)
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
    let (nothing, none) = (BTreeSet::new(), BTreeMap::new());
    let terms = Terms { ours: &gone, ..sides.terms((network.id, false), &newest, &nothing, &none) };
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
