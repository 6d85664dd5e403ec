//! Which of two copies counts, for each thing in them. Pure: both have the numbers of the present one by now.
//!
//! Nothing that is here is taken away. What only the other copy has comes back, unless it was removed here since; of what
//! both have and differs, the one that was changed last counts. "Since" and "last" are what the histories say: up to the state
//! at which both parted they are one, so what was changed on one side alone is newer there, whatever the clocks say.
//! What can't be together stays as it is here: it is barred, and all is decided anew without it. What that is is found in
//! `settle`, and between networks in `together`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ends::Ends;
use super::hosts::Hosts;
use super::join::{Exists, Keys, fit_exit_group, fit_group, fit_node, join};
use crate::db::{Last, Model, Thing};
use crate::model::{
    Custody, Destination, ExitGroup, ExitMember, Grant, Group, GroupId, InterfaceId, LinkId, Name, NetworkId, Node,
    NodeId, PskScope, PublicKey, Topology,
};
use crate::ops::network::history::What;
use crate::ops::psk;

/// Which side counts where both have something and it differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// The one that was changed last; what was removed here since stays removed.
    #[default]
    Newer,
    /// The backup; what was removed here comes back.
    Backup,
}

/// What became of something that the backup has otherwise, and that wasn't taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was changed here alone since both parted.
    ChangedHere,
    /// It was changed on both sides, and here later.
    NewerHere,
    /// Which is newer can't be told, so it stays as it is here.
    Untold,
    /// It was removed here later than it was changed there.
    RemovedHere,
    /// It was removed there, and nothing is removed by merging.
    RemovedThere,
    /// It can't be together with what is here.
    Conflict,
}

/// Something that stays as it is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The network that it belongs to; `None` for a host.
    pub network: Option<Name>,
    /// What kind of thing.
    pub what: What,
    /// What it is called in the backup, or here if it isn't there.
    pub name: String,
    /// Of a node, its permanent name.
    pub guid: Option<PublicKey>,
    /// Why it stays.
    pub fate: Fate,
    /// When it was last changed or removed here, if that is known.
    pub here: Option<DateTime<Utc>>,
    /// When it was last changed or removed there, if that is known.
    pub there: Option<DateTime<Utc>>,
    /// Of a conflict: what clashes with what, and what to do.
    pub why: Option<String>,
}

/// What is known beside both models.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    /// The network.
    pub(super) network: NetworkId,
    /// The last state that both copies have in common.
    pub(super) fork: i64,
    /// Which side counts.
    pub(super) prefer: Prefer,
    /// Whether the whole network comes back, so that nothing in it counts as removed here.
    pub(super) whole: bool,
    /// The last changes here.
    pub(super) ours: &'a BTreeMap<Thing, Last>,
    /// The last changes there.
    pub(super) theirs: &'a BTreeMap<Thing, Last>,
    /// Keys that were retired here, and there.
    pub(super) retired: [&'a BTreeSet<PublicKey>; 2],
    /// Adopted interfaces whose configuration says something else in both.
    pub(super) documents: &'a BTreeSet<InterfaceId>,
    /// Nodes as they were when both parted.
    pub(super) forked: &'a BTreeMap<NodeId, Node>,
    /// Keys whose private half was kept when both parted or at some time since, here and there.
    pub(super) held: [&'a BTreeSet<PublicKey>; 2],
    /// Of nodes and groups that were removed here, the network just before.
    pub(super) gone: &'a BTreeMap<Thing, Topology>,
}

/// Where something was changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newer {
    HereAlone,
    Here,
    There,
    Unknown,
}

impl Terms<'_> {
    fn newer(&self, thing: Thing) -> Newer {
        let (ours, theirs) = (self.ours.get(&thing), self.theirs.get(&thing));
        let since = |last: Option<&Last>| last.is_some_and(|last| last.state > self.fork);
        match (since(ours), since(theirs)) {
            (true, false) => Newer::HereAlone,
            (false, true) => Newer::There,
            (false, false) => Newer::Unknown,
            (true, true) => match (ours.and_then(|last| last.time), theirs.and_then(|last| last.time)) {
                (Some(ours), Some(theirs)) if theirs > ours => Newer::There,
                (Some(ours), Some(theirs)) if theirs < ours => Newer::Here,
                _ => Newer::Unknown,
            },
        }
    }

    /// Says why something stays as it is here; `None` if what the other copy has is taken over.
    pub(super) fn judge(&self, thing: Thing, is_here: bool) -> Option<Fate> {
        let was_here = self.ours.contains_key(&thing) && !self.whole;
        if self.prefer == Prefer::Backup || !(is_here || was_here) {
            return None;
        }
        match (self.newer(thing), is_here) {
            (Newer::There, _) => None,
            (Newer::HereAlone, true) => Some(Fate::ChangedHere),
            (Newer::Here, true) => Some(Fate::NewerHere),
            (Newer::Unknown, true) if self.whole => None,
            (Newer::Unknown, true) => Some(Fate::Untold),
            (_, false) => Some(Fate::RemovedHere),
        }
    }

    pub(super) fn left(&self, thing: Thing, (what, name, guid): Label, fate: Fate, why: Option<String>) -> Left {
        let time = |last: &BTreeMap<Thing, Last>| last.get(&thing).and_then(|last| last.time);
        let (here, there) = (time(self.ours), time(self.theirs));
        Left { network: None, what, name, guid, fate, here, there, why }
    }

    /// Whether what leads to something that comes back was still here when that was removed here; what never was here
    /// was never taken away.
    fn was_there(&self, thing: Thing, has: impl Fn(&Topology) -> bool) -> bool {
        self.gone.get(&thing).is_none_or(has)
    }

    /// Whether something that is here was there when both parted, and was removed there.
    pub(super) fn was_removed_there(&self, thing: Thing) -> bool {
        self.theirs.get(&thing).is_some_and(|last| !last.there)
    }
}

/// What kind of thing something is, what it is called, and of a node the guid.
pub(super) type Label = (What, String, Option<PublicKey>);

/// Why things of the other copy can't be taken over.
pub(super) type Barred = BTreeMap<Thing, String>;

/// A merged network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Merged {
    /// The network.
    pub(super) model: Model,
    /// What was taken over from the other copy.
    pub(super) taken: BTreeSet<Thing>,
    /// Nodes that weren't here.
    pub(super) back: BTreeSet<NodeId>,
    /// Interfaces that are here and go by the other copy's key, with the nodes that they belong to.
    pub(super) keys: BTreeMap<InterfaceId, NodeId>,
    /// What stays as it is here.
    pub(super) left: Vec<Left>,
    /// What was barred, and why.
    pub(super) barred: Barred,
}

/// A network that is being merged.
pub(super) struct Attempt<'a> {
    ours: &'a Model,
    theirs: &'a Model,
    terms: &'a Terms<'a>,
    barred: &'a Barred,
    taken: BTreeSet<Thing>,
    back: BTreeSet<NodeId>,
    groups_back: BTreeSet<GroupId>,
    keys: BTreeMap<InterfaceId, NodeId>,
    /// Interfaces that keep their keys whatever the other copy has.
    fixed: BTreeSet<InterfaceId>,
    left: Vec<Left>,
}

impl<'a> Attempt<'a> {
    /// Things that are barred stay as they are here.
    pub(super) fn new(ours: &'a Model, theirs: &'a Model, terms: &'a Terms<'a>, barred: &'a Barred) -> Self {
        Self {
            ours,
            theirs,
            terms,
            barred,
            taken: BTreeSet::new(),
            back: BTreeSet::new(),
            groups_back: BTreeSet::new(),
            keys: BTreeMap::new(),
            fixed: BTreeSet::new(),
            left: Vec::new(),
        }
    }

    /// Whether something that differs is taken over; says why if it isn't.
    fn takes(&mut self, thing: Thing, is_here: bool, label: impl FnOnce() -> Label) -> bool {
        let why = self.barred.get(&thing).cloned();
        let fate = if why.is_some() { Some(Fate::Conflict) } else { self.terms.judge(thing, is_here) };
        match fate {
            Some(fate) => self.left.push(self.terms.left(thing, label(), fate, why)),
            None => _ = self.taken.insert(thing),
        }
        fate.is_none()
    }

    /// Merges what isn't barred, whether that can be together or not.
    pub(super) fn merge(mut self, hosts: &Hosts) -> Merged {
        let exists = self.existing();
        let mut model = self.ours.clone();
        model.hosts.clone_from(&hosts.all);
        model.topology.hosts = hosts.all.values().cloned().collect();
        model.topology.hosts.sort_by(|a, b| a.name.cmp(&b.name));
        model.topology.nodes = self.nodes(&exists);
        model.topology.groups = self.groups(&exists);
        model.topology.exit_groups = self.exit_groups(&exists);
        let network = Thing::Network(self.terms.network);
        let theirs = &self.theirs.topology.network;
        if model.topology.network != *theirs
            && self.takes(network, true, || (What::Network, theirs.name.to_string(), None))
        {
            model.topology.network = theirs.clone();
        }
        self.links(&mut model);
        self.psk_rules(&mut model, &exists);
        self.removed_there();
        let barred = self.barred.clone();
        Merged { model, taken: self.taken, back: self.back, keys: self.keys, left: self.left, barred }
    }

    /// Decides which nodes and groups come back, and returns all that there are then.
    fn existing(&mut self) -> Exists {
        let (ours, theirs) = (&self.ours.topology, &self.theirs.topology);
        let mut exists = Exists::of(ours);
        for node in theirs.nodes.iter().filter(|node| ours.node(node.id).is_none()) {
            if self.takes(Thing::Node(node.id), false, || of_node(node)) {
                self.back.insert(node.id);
                exists.nodes.insert(node.id);
            }
        }
        for group in theirs.groups.iter().filter(|group| ours.group(group.id).is_none()) {
            if self.takes(Thing::Group(group.id), false, || (What::Group, group.name.to_string(), None)) {
                self.groups_back.insert(group.id);
                exists.groups.insert(group.id);
            }
        }
        for group in theirs.exit_groups.iter().filter(|group| ours.exit_group(group.id).is_none()) {
            if self.takes(Thing::ExitGroup(group.id), false, || (What::ExitGroup, group.name.to_string(), None)) {
                exists.exit_groups.insert(group.id);
            }
        }
        exists
    }

    fn nodes(&mut self, exists: &Exists) -> Vec<Node> {
        let (ours, theirs) = (&self.ours.topology, &self.theirs.topology);
        let mut nodes = Vec::new();
        for mine in &ours.nodes {
            nodes.push(match theirs.node(mine.id) {
                None => mine.clone(),
                Some(other) => self.node(mine, &fit_node(other, exists)),
            });
        }
        nodes
            .extend(theirs.nodes.iter().filter(|node| self.back.contains(&node.id)).map(|node| fit_node(node, exists)));
        nodes.sort_by_key(|node| node.id);
        nodes
    }

    /// Merges a node that both have.
    fn node(&mut self, mine: &Node, other: &Node) -> Node {
        let (mut mine, mut other, id) = (mine.clone(), other.clone(), mine.id);
        self.complete_grants(&mut mine.grants, &mut other.grants, |before| Some(&before.node(id)?.grants));
        let (mine, other) = (&mine, &other);
        let (thing, is_barred) = (Thing::Node(id), self.barred.contains_key(&Thing::Node(id)));
        let fate = if is_barred { Some(Fate::Conflict) } else { self.terms.judge(thing, true) };
        let keys = Keys {
            retired: self.terms.retired,
            held: self.terms.held,
            forked: self.terms.forked.get(&id),
            theirs_newer: fate.is_none(),
            kept: is_barred,
        };
        let other_document = other.interfaces.iter().any(|own| self.terms.documents.contains(&own.id));
        let whole = join(mine, other, true, &keys, &self.back);
        let differs = other_document || whole.node != *mine;
        let wins = differs && self.takes(thing, true, || of_node(other));
        let joined = if wins { whole.clone() } else { join(mine, other, false, &keys, &self.back) };
        self.keys.extend(joined.keys.iter().map(|interface| (*interface, id)));
        self.fixed.extend(joined.under_way.iter().copied());
        if is_barred {
            self.fixed.extend(mine.interfaces.iter().map(|own| own.id));
        }
        let name = &mine.name;
        let mut stays = Vec::new();
        if !joined.under_way.is_empty() {
            stays.push(format!(
                "a new key of `{name}` is under way here or there, so it keeps those that it has here: finish it or take it \
                 back, as `wg-friend rotate {name} --status` says, and merge again"
            ));
        }
        let is_alone = !differs && (whole.port_stays || whole.custody_stays); // nothing else of it is otherwise there
        if joined.port_stays || is_alone && fate.is_none() && whole.port_stays {
            stays.push(format!(
                "`{name}` has another key and another port here and in the backup, and stays at the port that goes with the \
                 key: if it is to be another, `wg-friend set {name} port=PORT`"
            ));
        }
        if joined.custody_stays && wins || is_alone && fate.is_none() && whole.custody_stays {
            stays.push(match mine.custody {
                Custody::Held => format!(
                    "the private key of `{name}` stays here, since nobody forgot it there: \
                     `wg-friend set {name} custody=never-seen` forgets it"
                ),
                Custody::ShownOnce | Custody::NeverSeen => format!(
                    "the private key of `{name}` was forgotten here, and doesn't come back from the backup: \
                     `wg-friend set {name} custody=held --private-key-file FILE` takes it from where it is kept"
                ),
            });
        }
        // Nothing else of it is otherwise there but a key, which would come if it weren't barred.
        let free = Keys { theirs_newer: self.terms.judge(thing, true).is_none(), kept: false, ..keys };
        let key_stays = is_barred && !differs && !join(mine, other, true, &free, &self.back).keys.is_empty();
        if let Some(fate) = fate.filter(|_| is_alone || key_stays) {
            let why = self.barred.get(&thing).cloned();
            self.left.push(self.terms.left(thing, of_node(other), fate, why));
        }
        for why in stays {
            self.left.push(self.terms.left(thing, of_node(other), Fate::Conflict, Some(why)));
        }
        joined.node
    }

    /// Gives each side what the other one can't say: this copy the grants towards what comes back, which went with it unless
    /// they had gone before, and the other one those towards what it doesn't know. `had` finds the grants in an earlier network.
    fn complete_grants(
        &self,
        mine: &mut Vec<Grant>,
        others: &mut Vec<Grant>,
        had: impl for<'t> Fn(&'t Topology) -> Option<&'t Vec<Grant>>,
    ) {
        let leads_back = |grant: &&Grant| {
            let thing = match grant.destination {
                Destination::Node(id) if self.back.contains(&id) => Thing::Node(id),
                Destination::Group(id) if self.groups_back.contains(&id) => Thing::Group(id),
                Destination::Prefix(_) | Destination::Node(_) | Destination::Group(_) => return false,
            };
            self.terms.was_there(thing, |before| had(before).is_some_and(|grants| grants.contains(grant)))
        };
        let is_strange = |grant: &&Grant| match grant.destination {
            Destination::Prefix(_) => false,
            Destination::Node(id) => self.theirs.topology.node(id).is_none(),
            Destination::Group(id) => self.theirs.topology.group(id).is_none(),
        };
        let strange: Vec<Grant> = mine.iter().filter(is_strange).cloned().collect();
        let back: Vec<Grant> =
            others.iter().filter(leads_back).filter(|grant| !mine.contains(grant)).cloned().collect();
        mine.extend(back);
        others.extend(strange);
    }

    fn groups(&mut self, exists: &Exists) -> Vec<Group> {
        let (ours, theirs) = (&self.ours.topology, &self.theirs.topology);
        let mut groups = Vec::new();
        for mine in &ours.groups {
            let mut group = mine.clone();
            if let Some(mut other) = theirs.group(mine.id).map(|group| fit_group(group, exists)) {
                let was_member = |id: &&NodeId| {
                    let has =
                        |before: &Topology| before.group(mine.id).is_some_and(|group| group.members.contains(*id));
                    self.terms.was_there(Thing::Node(**id), has)
                };
                group.members.extend(other.members.intersection(&self.back).filter(was_member));
                other.members.extend(mine.members.iter().filter(|id| theirs.node(**id).is_none()));
                self.complete_grants(&mut group.grants, &mut other.grants, |before| {
                    Some(&before.group(mine.id)?.grants)
                });
                let label = || (What::Group, other.name.to_string(), None);
                if other != group && self.takes(Thing::Group(mine.id), true, label) {
                    group = other;
                }
            }
            groups.push(group);
        }
        let back = |group: &&Group| ours.group(group.id).is_none() && exists.groups.contains(&group.id);
        groups.extend(theirs.groups.iter().filter(back).map(|group| fit_group(group, exists)));
        groups.sort_by_key(|group| group.id);
        groups
    }

    fn exit_groups(&mut self, exists: &Exists) -> Vec<ExitGroup> {
        let (ours, theirs) = (&self.ours.topology, &self.theirs.topology);
        let mut groups = Vec::new();
        for mine in &ours.exit_groups {
            let mut group = mine.clone();
            if let Some(mut other) = theirs.exit_group(mine.id).map(|group| fit_exit_group(group, exists)) {
                let was_member = |member: &ExitMember| {
                    let is_it = |other: &ExitMember| other.exit == member.exit;
                    let has = |before: &Topology| {
                        before.exit_group(mine.id).is_some_and(|group| group.members.iter().any(is_it))
                    };
                    self.terms.was_there(Thing::Node(member.exit), has)
                };
                other
                    .members
                    .iter()
                    .filter(|member| self.back.contains(&member.exit) && was_member(member))
                    .for_each(|back| group.put(*back));
                let strange = mine.members.iter().filter(|member| theirs.node(member.exit).is_none());
                strange.for_each(|member| other.put(*member));
                let label = || (What::ExitGroup, other.name.to_string(), None);
                if other != group && self.takes(Thing::ExitGroup(mine.id), true, label) {
                    group = other;
                }
            }
            groups.push(group);
        }
        let back = |group: &&ExitGroup| ours.exit_group(group.id).is_none() && exists.exit_groups.contains(&group.id);
        groups.extend(theirs.exit_groups.iter().filter(back).map(|group| fit_exit_group(group, exists)));
        groups.sort_by_key(|group| group.id);
        groups
    }

    /// Merges links, and what is known of their preshared keys.
    fn links(&mut self, model: &mut Model) {
        let names = Ends::of(&model.topology.nodes);
        let before = Ends::of(&self.ours.topology.nodes);
        let is_new = |link: LinkId| !before.has(link);
        for link in &self.theirs.topology.links {
            let mine = self.ours.topology.links.iter().find(|own| own.id == link.id);
            if !names.has(link.id) || mine == Some(link) {
                continue;
            }
            let label = || (What::Link, names.name(link.id), None);
            if is_new(link.id) || self.takes(Thing::Link(link.id), mine.is_some(), label) {
                self.taken.insert(Thing::Link(link.id));
                model.topology.links.retain(|own| own.id != link.id);
                model.topology.links.push(*link);
            }
        }
        model.topology.links.sort_by_key(|link| link.id);
        for (link, since) in &self.theirs.preshared {
            let mine = self.ours.preshared.get(link);
            if !names.has(*link) || mine == Some(since) {
                continue;
            }
            let label = || (What::PresharedKey, names.name(*link), None);
            let (low, high) = link.ends();
            if !is_new(*link) && (self.fixed.contains(&low) || self.fixed.contains(&high)) {
                let why = "the key at one of its ends stays as it is here, and so does this one: merge again when that is done";
                let left = self.terms.left(Thing::PresharedKey(*link), label(), Fate::Conflict, Some(why.to_owned()));
                self.left.push(left);
                continue;
            }
            if is_new(*link) || self.takes(Thing::PresharedKey(*link), mine.is_some(), label) {
                self.taken.insert(Thing::PresharedKey(*link));
                model.preshared.insert(*link, *since);
            }
        }
    }

    fn psk_rules(&mut self, model: &mut Model, exists: &Exists) {
        for (scope, rules) in &self.theirs.psk_rules {
            let (is_there, comes_back) = match scope {
                PskScope::Network => (true, false),
                PskScope::Node(id) => (exists.nodes.contains(id), self.back.contains(id)),
                PskScope::Group(id) => (exists.groups.contains(id), self.ours.topology.group(*id).is_none()),
            };
            let mine = self.ours.psk_rules.get(scope);
            if !is_there || mine == Some(rules) {
                continue;
            }
            let thing = Thing::psk_rules(self.terms.network, *scope);
            let label = || (What::PskRules, psk::history::name(&model.topology, *scope), None);
            if comes_back || self.takes(thing, mine.is_some(), label) {
                model.psk_rules.insert(*scope, rules.clone());
            }
        }
    }

    /// Lists what is here and was removed there.
    fn removed_there(&mut self) {
        let topology = &self.ours.topology;
        let nodes = topology.nodes.iter().map(|node| (Thing::Node(node.id), of_node(node)));
        let group = |group: &Group| (Thing::Group(group.id), (What::Group, group.name.to_string(), None));
        let exits = |group: &ExitGroup| (Thing::ExitGroup(group.id), (What::ExitGroup, group.name.to_string(), None));
        let (names, there) = (Ends::of(&topology.nodes), Ends::of(&self.theirs.topology.nodes));
        let links = topology.links.iter().map(|link| (Thing::Link(link.id), What::Link, link.id));
        let preshared = self.ours.preshared.keys().map(|id| (Thing::PresharedKey(*id), What::PresharedKey, *id));
        let links = links.chain(preshared).filter(|(.., id)| there.has(*id));
        let links = links.map(|(thing, what, id)| (thing, (what, names.name(id), None)));
        let is_there = |scope: &PskScope| match scope {
            PskScope::Network => true,
            PskScope::Node(id) => self.theirs.topology.node(*id).is_some(),
            PskScope::Group(id) => self.theirs.topology.group(*id).is_some(),
        };
        let rules = self.ours.psk_rules.keys().copied().filter(is_there).map(|scope| {
            let label = (What::PskRules, psk::history::name(topology, scope), None);
            (Thing::psk_rules(self.terms.network, scope), label)
        });
        let all = nodes.chain(topology.groups.iter().map(group)).chain(topology.exit_groups.iter().map(exits));
        for (thing, label) in all.chain(links).chain(rules).filter(|(thing, _)| self.terms.was_removed_there(*thing)) {
            self.left.push(self.terms.left(thing, label, Fate::RemovedThere, None));
        }
    }
}

fn of_node(node: &Node) -> Label {
    (What::Node, node.name.to_string(), Some(node.guid))
}
