//! Saving an import: what the new sources say beyond what was known, in one transaction. What the operator has changed
//! since an earlier import stays as he changed it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::prepare::Prepared;
use super::read::Remark;
use crate::db::{Revision, Store, Tx};
use crate::model::{
    Action, Actor, Custody, Egress, Event, InterfaceId, InterfaceKind, Link, LinkId, Name, Network, Node, NodeId,
    Origin, Provenance, PublicKey, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy;
use crate::ops::network::{find, shared_host};
use crate::ops::revision::{self, handed};
use crate::wg::compile::compile;
use crate::wg::formats;

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Nodes that are new.
    pub added: Vec<Name>,
    /// Nodes of which more is known now.
    pub updated: Vec<Name>,
    /// What the operator has set otherwise since an earlier import: it stays.
    pub kept: Vec<Remark>,
    /// Where what runs on a host differs from its files: the plan shows the same as drift.
    pub differing: Vec<Remark>,
}

/// Saves an import, and notes for each host that was asked that it has what its files say.
///
/// # Errors
/// When the network would contradict itself, or the database can't be written. Nothing is saved then.
pub fn save(store: &mut Store, clock: &(dyn Clock + Sync), actor: &Actor, prepared: &Prepared) -> Result<Saved, Error> {
    let now = clock.now();
    let mut saved = store.write_all(now, actor, |tx| Save::new(tx, prepared, now)?.run())?;
    for surveyed in &prepared.hosts {
        let changes = deploy::adopted::record(store, now, actor, &surveyed.host.name, &surveyed.observed)?;
        let about = surveyed.host.name.to_string();
        saved.differing.extend(changes.iter().map(|c| Remark { about: about.clone(), text: c.to_string() }));
    }
    Ok(saved)
}

/// The ids that nodes and interfaces have in the database, by their keys.
type Ids = BTreeMap<PublicKey, (NodeId, InterfaceId)>;

struct Save<'a> {
    tx: &'a Tx<'a>,
    prepared: &'a Prepared,
    now: DateTime<Utc>,
    topology: Topology,
    ids: Ids,
    saved: Saved,
    events: Vec<Event>,
}

impl<'a> Save<'a> {
    fn new(tx: &'a Tx<'a>, prepared: &'a Prepared, now: DateTime<Utc>) -> Result<Self, Error> {
        let topology = tx.topology()?;
        let owners = tx.key_owners()?;
        let nodes: BTreeMap<InterfaceId, NodeId> =
            topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(|i| (i.id, node.id))).collect();
        let mut ids: Ids = owners.into_iter().filter_map(|(key, i)| Some((key, (*nodes.get(&i)?, i)))).collect();
        // Who went by a stand-in is known by his view.
        for node in &prepared.joined.topology.nodes {
            let key = node.main().public_key;
            let view = prepared.joined.documents.get(&node.main().id);
            let known = view.and_then(|at| prepared.nodes.get(*at)).and_then(|id| topology.node(*id));
            if let Some(known) = known.filter(|_| !ids.contains_key(&key)) {
                ids.insert(key, (known.id, known.main().id));
            }
        }
        let (saved, events) = Default::default();
        Ok(Self { tx, prepared, now, topology, ids, saved, events })
    }

    fn run(mut self) -> Result<(Saved, Vec<Event>), Error> {
        let fitting = self.fitting()?;
        self.hosts()?;
        self.network()?;
        self.insert()?;
        let (before, after) = (self.prepared.before.as_ref().map(|j| &j.topology), &self.prepared.joined.topology);
        let before = before.map(|topology| translate(topology, &self.ids));
        let after = translate(after, &self.ids);
        self.keys_known_now()?;
        self.update(before.as_ref(), &after)?;
        self.links(before.as_ref(), &after)?;
        self.keys()?;
        self.sources()?;
        self.found(&fitting)?;
        let names = |names: &[Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut sources: Vec<String> = self.prepared.origins.iter().map(|origin| origin.source.clone()).collect();
        sources.dedup();
        shared_host::refuse_new(self.tx, &self.topology, &self.tx.topology()?)?;
        let event = Event::network(Action::Imported, &self.tx.network()?)
            .with("sources", sources)
            .with("added", names(&self.saved.added))
            .with("updated", names(&self.saved.updated));
        self.events.push(event);
        Ok((self.saved, self.events))
    }

    /// Notes what devices have whose files people carry: they had it before, whoever gave it to them. Of one that is known
    /// only from the other end of its link, it is what fits that end.
    fn found(&self, fitting: &BTreeSet<NodeId>) -> Result<(), Error> {
        let (topology, secrets) = (self.tx.topology()?, self.tx.secrets()?);
        let configs = compile(&topology).map_err(Error::Model)?;
        let viewed = self.viewed();
        let new = |node: &&Node| {
            self.saved.added.contains(&node.name) || viewed.contains(&node.id) || fitting.contains(&node.id)
        };
        topology
            .nodes
            .iter()
            .filter(new)
            .try_for_each(|node| handed::revision(self.tx, node, &configs, &secrets, Revision::FOUND, self.now))
    }

    /// Returns the devices that were found before and have what they would be given: whatever more is known of them now,
    /// they have had it all along.
    fn fitting(&self) -> Result<BTreeSet<NodeId>, Error> {
        let all = self.tx.all_revisions()?.into_iter();
        let found: BTreeSet<NodeId> =
            all.filter(|(_, revisions)| revisions.iter().all(Revision::is_found)).map(|(node, _)| node).collect();
        if found.is_empty() {
            return Ok(found);
        }
        let current = match revision::needed(self.tx) {
            Err(Error::Model(_)) => return Ok(found), // half of the network is still missing, so nothing was compared yet
            current => current?,
        };
        let outdated = current.iter().filter_map(|device| self.topology.nodes.iter().find(|n| n.name == device.node));
        let outdated: BTreeSet<NodeId> = outdated.map(|node| node.id).collect();
        Ok(found.difference(&outdated).copied().collect())
    }

    fn hosts(&mut self) -> Result<(), Error> {
        for surveyed in &self.prepared.hosts {
            if self.topology.host(&surveyed.host.name).is_none() {
                self.tx.insert_host(&surveyed.host)?;
                self.events.push(Event::host(Action::HostAdded, &surveyed.host.name));
            }
        }
        Ok(())
    }

    /// Whether nothing has been in the network before.
    fn is_first(&self) -> bool {
        self.prepared.before.is_none()
    }

    fn network(&mut self) -> Result<(), Error> {
        let was = self.topology.network.clone();
        let mut network = was.clone();
        let after = &self.prepared.joined.topology.network;
        match &self.prepared.before {
            None => network = Network { name: was.name.clone(), ..after.clone() },
            Some(before) => {
                let before = &before.topology.network;
                let mut kept = Vec::new();
                take(&mut network.interface, Some(&before.interface), &after.interface, "interface", &mut kept);
                take(&mut network.cidr4, Some(&before.cidr4), &after.cidr4, "cidr", &mut kept);
                take(&mut network.cidr6, Some(&before.cidr6), &after.cidr6, "cidr6", &mut kept);
                take(&mut network.port, Some(&before.port), &after.port, "port", &mut kept);
                take(&mut network.dns, Some(&before.dns), &after.dns, "dns", &mut kept);
                take(&mut network.mtu, Some(&before.mtu), &after.mtu, "mtu", &mut kept);
                take(&mut network.keepalive, Some(&before.keepalive), &after.keepalive, "keepalive", &mut kept);
                take(&mut network.psk, Some(&before.psk), &after.psk, "psk", &mut kept);
                self.stays("network", &kept);
            }
        }
        if network != was {
            self.tx.update_network(&network)?;
            self.events.push(Event::network(Action::NetworkUpdated, &network).change(&was, &network));
        }
        Ok(())
    }

    /// Adds the nodes that are new, each with what nobody else's id is needed for.
    fn insert(&mut self) -> Result<(), Error> {
        let joined = &self.prepared.joined;
        for node in &joined.topology.nodes {
            let key = node.main().public_key;
            if self.ids.contains_key(&key) {
                continue;
            }
            let mut new = Node { server: None, exit: None, origin: Origin::Import, created: self.now, ..node.clone() };
            new.name = self.free_name(&node.name);
            new.interfaces.truncate(1);
            new.interfaces[0].kept = None;
            let private = joined.secrets.private.get(&node.main().id).filter(|_| node.custody == Custody::Held);
            let new = self.tx.insert_node(new, private)?;
            self.ids.insert(key, (new.id, new.main().id));
            self.events.push(
                Event::node(Action::PeerAdded, &new)
                    .with("role", new.role.as_str())
                    .with("origin", new.origin.as_str())
                    .with("provisional", new.provisional)
                    .with("public_key", key.to_string()),
            );
            self.saved.added.push(new.name.clone());
            self.topology.nodes.push(new);
        }
        self.insert_uplinks()
    }

    /// Adds the servers' tunnels to exits that are new.
    fn insert_uplinks(&mut self) -> Result<(), Error> {
        let joined = &self.prepared.joined;
        for node in &joined.topology.nodes {
            for uplink in &node.interfaces[1..] {
                let InterfaceKind::Uplink(exit) = uplink.kind else { continue };
                let exit = joined.topology.node(exit).and_then(|exit| self.ids.get(&exit.main().public_key));
                let (Some((exit, _)), Some((server, _))) = (exit, self.ids.get(&node.main().public_key)) else {
                    continue;
                };
                if self.ids.contains_key(&uplink.public_key) {
                    continue;
                }
                let private = joined.secrets.private.get(&uplink.id);
                let (name, port, key, server) = (&uplink.name, uplink.listen_port, uplink.public_key, *server);
                let id = self.tx.insert_uplink(server, *exit, name, port, key, private, self.now)?;
                self.ids.insert(key, (server, id));
            }
        }
        Ok(())
    }

    /// A name that another node has been given since is taken with a number.
    fn free_name(&self, name: &Name) -> Name {
        let taken = |name: &Name| find::check_name(&self.topology, name, None).is_err();
        let numbered = (2..).map(|number| format!("{name}-{number}").parse());
        let candidates = std::iter::once(Ok(name.clone())).chain(numbered).flatten();
        candidates.into_iter().find(|name| !taken(name)).expect("numbers don't end")
    }

    /// Puts the real key in the place of each stand-in that isn't needed any more.
    fn keys_known_now(&mut self) -> Result<(), Error> {
        for node in &self.prepared.joined.topology.nodes {
            let key = node.main().public_key;
            let Some((id, interface)) = self.ids.get(&key).copied() else { continue };
            let Some(known) = self.topology.node(id).filter(|known| known.main().public_key != key) else { continue };
            if known.main().kept.as_ref().is_some_and(|kept| kept.key_unknown) {
                self.tx.replace_key(interface, key, None, "a stand-in, until the key was known", self.now)?;
                let mut known = known.clone();
                known.interfaces[0].kept.iter_mut().for_each(|kept| kept.key_unknown = false);
                self.tx.update_node(&known, self.now)?;
            }
        }
        Ok(())
    }

    /// Whether a node goes by a stand-in.
    fn is_stand_in(&self, key: PublicKey) -> bool {
        let view = |at: &usize| super::prepare::key_of(&self.prepared.views[*at]) == Some(key);
        self.prepared.stand_ins.iter().any(view)
    }

    /// Brings every node to what is known of it now.
    fn update(&mut self, before: Option<&Topology>, after: &Topology) -> Result<(), Error> {
        let old: BTreeMap<NodeId, &Node> = before.into_iter().flat_map(|t| &t.nodes).map(|n| (n.id, n)).collect();
        let mut current: BTreeMap<NodeId, Node> = self.tx.topology()?.nodes.into_iter().map(|n| (n.id, n)).collect();
        let viewed = self.viewed();
        for new in &after.nodes {
            let Some(was) = current.remove(&new.id) else { continue };
            let mut node = was.clone();
            let is_new = self.saved.added.contains(&node.name);
            let seen = viewed.contains(&new.id);
            if is_new {
                node.exit = new.exit;
                for interface in &mut node.interfaces {
                    let theirs = new.interfaces.iter().find(|theirs| theirs.id == interface.id);
                    interface.kept = theirs.and_then(|theirs| theirs.kept.clone());
                    let unknown = self.is_stand_in(interface.public_key);
                    interface.kept.iter_mut().for_each(|kept| kept.key_unknown = unknown);
                }
            } else if seen || node.provisional || node.main().kept.is_some() {
                let kept = merge(&mut node, old.get(&new.id).copied(), new, seen);
                self.stays(node.name.as_str(), &kept);
            }
            if seen && self.prepared.is_disabled(new.main().public_key) {
                node.enabled = false;
            }
            if !new.provisional && seen {
                node.provisional = false;
            }
            if node != was {
                self.tx.update_node(&node, self.now)?;
                if !is_new {
                    self.events.push(Event::node(Action::PeerUpdated, &node).change(&was, &node));
                    self.saved.updated.push(node.name.clone());
                }
            }
        }
        Ok(())
    }

    /// Returns the nodes whose own configuration is among the new sources.
    fn viewed(&self) -> BTreeSet<NodeId> {
        self.new_views().map(|(node, ..)| node).collect()
    }

    /// Returns the interfaces whose configuration is among the new sources, with their nodes and the places of the views.
    fn new_views(&self) -> impl Iterator<Item = (NodeId, InterfaceId, usize)> + '_ {
        let joined = &self.prepared.joined;
        let interfaces = joined.topology.nodes.iter().flat_map(|node| &node.interfaces);
        interfaces.filter_map(|interface| {
            let at = joined.documents.get(&interface.id).copied().filter(|at| *at >= self.prepared.first_new)?;
            let (node, interface) = self.ids.get(&interface.public_key).copied()?;
            Some((node, interface, at))
        })
    }

    fn links(&mut self, before: Option<&Topology>, after: &Topology) -> Result<(), Error> {
        let before: &[Link] = before.map_or(&[], |t| &t.links);
        for link in after.links.iter().filter(|link| !before.contains(link)) {
            self.tx.put_link(*link)?;
        }
        for link in before.iter().filter(|link| after.links.iter().all(|other| other.id != link.id)) {
            self.tx.delete_link(link.id)?;
        }
        Ok(())
    }

    /// Keeps the private keys of nodes that were known by their public ones, and preshared keys.
    fn keys(&mut self) -> Result<(), Error> {
        let joined = &self.prepared.joined;
        for key in joined.secrets.private.values() {
            if let Some((_, interface)) = self.ids.get(&key.public()) {
                self.tx.hold_private_key(*interface, key)?;
            }
        }
        let interfaces = joined.topology.nodes.iter().flat_map(|node| &node.interfaces);
        let keys: BTreeMap<InterfaceId, PublicKey> = interfaces.map(|i| (i.id, i.public_key)).collect();
        let known = self.tx.preshared_links()?;
        for (link, preshared) in &joined.secrets.preshared {
            let id = |end: InterfaceId| keys.get(&end).and_then(|key| self.ids.get(key)).map(|(_, id)| *id);
            let (low, high) = link.ends();
            let (Some(low), Some(high)) = (id(low), id(high)) else { continue };
            let link = LinkId::between(low, high);
            if !known.contains(&link) || self.is_first() {
                self.tx.set_psk(link, preshared, self.now)?;
            }
        }
        Ok(())
    }

    /// Keeps the configurations themselves, and where each node is known from.
    fn sources(&mut self) -> Result<(), Error> {
        let Prepared { joined, views, first_new, origins, .. } = self.prepared;
        for (_, interface, at) in self.new_views() {
            let view = &views[at];
            match &view.text {
                Some(text) => self.tx.save_document(interface, text)?,
                None => {
                    let text = formats::as_wg_quick(view.name.as_deref().unwrap_or(&view.source), &view.tunnel);
                    self.tx.save_document(interface, &text)?;
                }
            }
        }
        for node in &joined.topology.nodes {
            let Some((id, _)) = self.ids.get(&node.main().public_key) else { continue };
            for (at, lines) in joined.known_from.get(&node.id).into_iter().flatten() {
                let Some(origin) = at.checked_sub(*first_new).and_then(|at| origins.get(at)) else { continue };
                let from = Provenance {
                    source: origin.source.clone(),
                    host: views[*at].host.clone(),
                    format: origin.format.to_owned(),
                    size: origin.size,
                    sha256: origin.sha256.clone(),
                    lines: *lines,
                    time: self.now,
                };
                self.tx.record_provenance(*id, &from)?;
            }
        }
        Ok(())
    }

    fn stays(&mut self, about: &str, fields: &[&'static str]) {
        let remark = |field: &&str| Remark {
            about: about.to_owned(),
            text: format!("{field} was changed since an earlier import: it stays as it is"),
        };
        self.saved.kept.extend(fields.iter().map(remark));
    }
}

/// Takes a new value where the sources say something else than before; one that the operator has changed since stays.
fn take<T: PartialEq + Clone>(
    value: &mut T,
    before: Option<&T>,
    after: &T,
    field: &'static str,
    stays: &mut Vec<&'static str>,
) {
    if before == Some(after) || value == after {
        return;
    }
    if before.is_none_or(|before| before == value) {
        value.clone_from(after);
    } else {
        stays.push(field);
    }
}

/// Brings a node that was known to what is known now. Returns the fields that the operator's own changes keep.
fn merge(node: &mut Node, old: Option<&Node>, new: &Node, seen: bool) -> Vec<&'static str> {
    let mut stays = Vec::new();
    macro_rules! fields {
        ($($field:ident),+ $(,)?) => {
            $(take(&mut node.$field, old.map(|o| &o.$field), &new.$field, stringify!($field), &mut stays);)+
        };
    }
    fields!(
        name,
        role,
        device,
        address4,
        address6,
        endpoint,
        keepalive,
        mtu,
        dns,
        lans,
        outer_interface,
        nat,
        access,
        lan_selection,
        grants,
        exit,
        host,
        custody,
    );
    let (was, is) = (old.map(Node::main), new.main());
    let main = &mut node.interfaces[0];
    take(&mut main.name, was.map(|i| &i.name), &is.name, "interface", &mut stays);
    take(&mut main.listen_port, was.map(|i| &i.listen_port), &is.listen_port, "port", &mut stays);
    if seen || main.kept.is_some() {
        let firewall = main.kept.as_ref().is_some_and(|kept| kept.firewall);
        let before = was.map(|i| &i.kept);
        if before != Some(&is.kept) || main.kept.is_none() {
            let unknown = main.kept.as_ref().is_some_and(|kept| kept.key_unknown);
            main.kept.clone_from(&is.kept);
            if let Some(kept) = &mut main.kept {
                (kept.firewall, kept.key_unknown) = (firewall, unknown);
            }
        }
    }
    stays
}

/// Returns a joined network with the ids of the database. What has none there is left out.
fn translate(topology: &Topology, ids: &Ids) -> Topology {
    let nodes: BTreeMap<NodeId, NodeId> =
        topology.nodes.iter().filter_map(|n| Some((n.id, ids.get(&n.main().public_key)?.0))).collect();
    let interfaces: BTreeMap<InterfaceId, InterfaceId> = topology
        .nodes
        .iter()
        .flat_map(|node| &node.interfaces)
        .filter_map(|interface| Some((interface.id, ids.get(&interface.public_key)?.1)))
        .collect();
    let mut translated = topology.clone();
    translated.nodes.retain(|node| nodes.contains_key(&node.id));
    for node in &mut translated.nodes {
        node.id = nodes[&node.id];
        node.server = node.server.and_then(|server| nodes.get(&server)).copied();
        node.exit = node.exit.and_then(Egress::node).and_then(|exit| nodes.get(&exit)).copied().map(Egress::Node);
        node.interfaces.retain(|interface| interfaces.contains_key(&interface.id));
        for interface in &mut node.interfaces {
            interface.id = interfaces[&interface.id];
            if let Some(kept) = &mut interface.kept {
                let peers = std::mem::take(&mut kept.peers);
                kept.peers = peers.into_iter().filter_map(|(id, peer)| Some((*interfaces.get(&id)?, peer))).collect();
            }
        }
    }
    translated.nodes.sort_by_key(|node| node.id);
    let link = |link: &Link| {
        let (low, high) = link.id.ends();
        let id = LinkId::between(*interfaces.get(&low)?, *interfaces.get(&high)?);
        Some(Link { id, ..*link })
    };
    translated.links = topology.links.iter().filter_map(link).collect();
    translated.links.sort_unstable();
    translated
}
