//! What becomes of each kind of thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};

use super::decide::{Barred, Fate, Left, Merged, Prefer, Terms};
use super::hosts::{Hosts, merge_hosts};
use super::numbers::{Here, Numbers};
use super::settle::Pair;
use crate::db::{Last, LastNumbers, Model, Thing};
use crate::model::{
    Custody, Destination, Grant, Group, GroupId, InterfaceId, Lan, Link, LinkId, Network, NetworkId, Node, NodeId,
    Protocol, PublicKey, Role, Topology, WhenDown,
};
use crate::ops::network::history::What;
use crate::wg::compile::fixture::Fixture;

mod clashes;
mod properties;
mod sides;

const NETWORK: NetworkId = NetworkId(1);

/// The state at which both parted.
const FORK: i64 = 1;

/// A copy that goes on by itself.
#[derive(Clone, Debug)]
struct Copy {
    model: Model,
    last: BTreeMap<Thing, Last>,
    state: i64,
    retired: BTreeSet<PublicKey>,
    held: BTreeSet<PublicKey>,
    gone: BTreeMap<Thing, Topology>,
    forked: BTreeMap<NodeId, Node>,
}

fn minute(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

impl Copy {
    /// What both were when they parted.
    fn shared() -> Self {
        static SHARED: LazyLock<Copy> = LazyLock::new(Copy::everything); // its keys are dear
        SHARED.clone()
    }

    fn everything() -> Self {
        let mut topology = Fixture::everything().topology;
        topology.groups.push(Group {
            id: GroupId(1),
            name: "staff".parse().unwrap(),
            note: String::new(),
            members: topology.nodes.iter().filter(|node| node.role == Role::Remote).map(|node| node.id).collect(),
            grants: Vec::new(),
            exit_rules: Vec::new(),
        });
        let model = Model {
            topology,
            hosts: BTreeMap::new(),
            preshared: BTreeMap::new(),
            adopted: BTreeMap::new(),
            psk_rules: BTreeMap::new(),
        };
        Self::of(model)
    }

    /// A copy that has only just been made.
    fn of(model: Model) -> Self {
        let last = things(&model).into_keys();
        let last = last.map(|thing| (thing, Last { state: FORK, time: Some(minute(0)), there: true })).collect();
        let forked = model.topology.nodes.iter().map(|node| (node.id, node.clone())).collect();
        let (retired, held, gone) = (BTreeSet::new(), held(&model).collect(), BTreeMap::new());
        Self { model, last, state: FORK, retired, held, gone, forked }
    }

    /// Does something, and notes what it changed.
    fn at(&mut self, time: i64, work: impl FnOnce(&mut Model)) -> &mut Self {
        let earlier = self.model.clone();
        work(&mut self.model);
        self.model.topology.nodes.sort_by_key(|node| node.id);
        let (before, after) = (things(&earlier), things(&self.model));
        self.state += 1;
        for thing in before.keys().chain(after.keys()) {
            if before.get(thing) != after.get(thing) {
                let last = Last { state: self.state, time: Some(minute(time)), there: after.contains_key(thing) };
                self.last.insert(*thing, last);
                if !last.there {
                    self.gone.insert(*thing, earlier.topology.clone());
                }
            }
        }
        self.held.extend(held(&self.model));
        self
    }

    fn node(&self, name: &str) -> Option<&Node> {
        self.model.topology.nodes.iter().find(|node| node.name.as_str() == name)
    }
}

/// Returns the keys whose private half is kept.
fn held(model: &Model) -> impl Iterator<Item = PublicKey> {
    let nodes = model.topology.nodes.iter().filter(|node| node.custody == Custody::Held);
    nodes.map(|node| node.main().public_key)
}

/// What a thing is.
#[derive(PartialEq)]
enum Is<'m> {
    Network(&'m Network),
    Node(&'m Node),
    Group(&'m Group),
    Link(&'m Link),
    PresharedKey(&'m DateTime<Utc>),
}

/// Returns each thing that there is.
fn things(model: &Model) -> BTreeMap<Thing, Is<'_>> {
    let topology = &model.topology;
    let nodes = topology.nodes.iter().map(|node| (Thing::Node(node.id), Is::Node(node)));
    let groups = topology.groups.iter().map(|group| (Thing::Group(group.id), Is::Group(group)));
    let links = topology.links.iter().map(|link| (Thing::Link(link.id), Is::Link(link)));
    let keys = model.preshared.iter().map(|(link, since)| (Thing::PresharedKey(*link), Is::PresharedKey(since)));
    let network = (Thing::Network(NETWORK), Is::Network(&topology.network));
    nodes.chain(groups).chain(links).chain(keys).chain([network]).collect()
}

fn named<'m>(model: &'m mut Model, name: &str) -> &'m mut Node {
    model.topology.nodes.iter_mut().find(|node| node.name.as_str() == name).unwrap()
}

fn remove(model: &mut Model, name: &str) {
    let id = named(model, name).id;
    model.topology.nodes.retain(|node| node.id != id);
    model.topology.groups.iter_mut().for_each(|group| _ = group.members.remove(&id));
    let leads = |grant: &Grant| grant.destination == Destination::Node(id);
    model.topology.nodes.iter_mut().for_each(|node| node.grants.retain(|grant| !leads(grant)));
}

/// Adds a remote.
fn add(model: &mut Model, name: &str, number: u8) {
    let mut node = model.topology.with_role(Role::Server).next().unwrap().clone();
    node.id = NodeId(number.into());
    node.guid = PublicKey::from_bytes([number; 32]);
    (node.role, node.name, node.endpoint) = (Role::Remote, name.parse().unwrap(), None);
    (node.address4, node.address6) = (Some([10, 66, 0, number].into()), None);
    node.lans = Vec::new();
    node.interfaces.truncate(1);
    let main = &mut node.interfaces[0];
    (main.id, main.listen_port) = (InterfaceId(1000 + i64::from(number)), None);
    main.public_key = node.guid;
    model.topology.nodes.push(node);
}

/// Gives a node another key, and retires the one that it had.
fn rotate(copy: &mut Copy, time: i64, name: &str, number: u8) {
    let old = copy.node(name).unwrap().main().public_key;
    copy.retired.insert(old);
    copy.at(time, |model| named(model, name).interfaces[0].public_key = PublicKey::from_bytes([number; 32]));
}

fn terms<'a>((ours, theirs): (&'a Copy, &'a Copy), prefer: Prefer, documents: &'a BTreeSet<InterfaceId>) -> Terms<'a> {
    Terms {
        network: NETWORK,
        fork: FORK,
        prefer,
        whole: false,
        ours: &ours.last,
        theirs: &theirs.last,
        retired: [&ours.retired, &theirs.retired],
        documents,
        forked: &ours.forked,
        held: [&ours.held, &theirs.held],
        gone: &ours.gone,
    }
}

fn merged_by(ours: &Copy, theirs: &Copy, prefer: Prefer, barred: &Barred) -> Merged {
    let (hosts, documents) = (no_hosts(), BTreeSet::new());
    let terms = terms((ours, theirs), prefer, &documents);
    Pair::new((&ours.model, &theirs.model), &hosts, &terms).merge(barred).unwrap()
}

fn no_hosts() -> Hosts {
    Hosts { all: BTreeMap::new(), names: BTreeMap::new(), taken: BTreeSet::new(), left: Vec::new() }
}

fn merged_with(ours: &Copy, theirs: &Copy, prefer: Prefer) -> Merged {
    merged_by(ours, theirs, prefer, &Barred::new())
}

fn merged(ours: &Copy, theirs: &Copy) -> Merged {
    merged_with(ours, theirs, Prefer::Newer)
}

/// Returns the nodes, and the network, that stay as they are because they can't be together with the rest.
fn conflicts(merged: &Merged, theirs: &Copy) -> Barred {
    let thing = |left: &Left| match left.guid {
        Some(guid) => {
            theirs.model.topology.nodes.iter().find(|node| node.guid == guid).map(|node| Thing::Node(node.id))
        }
        None => (left.what == What::Network).then_some(Thing::Network(NETWORK)),
    };
    let conflicts = merged.left.iter().filter(|left| left.fate == Fate::Conflict);
    conflicts.filter_map(|left| Some((thing(left)?, left.why.clone()?))).collect()
}

/// Says what came of a merge: a line for each thing that was taken or left.
fn said(ours: &Copy, merged: &Merged) -> String {
    let name = |id: NodeId| merged.model.topology.node(id).map_or("?".into(), |node| node.name.to_string());
    let mut lines: Vec<String> = Vec::new();
    for thing in &merged.taken {
        lines.push(match thing {
            Thing::Node(id) if ours.model.topology.node(*id).is_none() => format!("+ {}", name(*id)),
            Thing::Node(id) => format!("~ {}", name(*id)),
            other => format!("~ {other:?}"),
        });
    }
    for left in &merged.left {
        let why = left.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("= {} {:?}{why}", left.name, left.fate));
    }
    lines.join("\n")
}

#[test]
fn of_what_both_have_the_one_counts_that_was_changed_last() {
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    ours.at(10, |model| named(model, "alice").notes = "here".into());
    ours.at(11, |model| named(model, "bob").notes = "here".into());
    ours.at(30, |model| named(model, "carol").notes = "same time".into());
    theirs.at(20, |model| named(model, "alice").notes = "there".into());
    theirs.at(5, |model| named(model, "bob").notes = "there".into());
    theirs.at(30, |model| named(model, "carol").notes = "at that time".into());
    // On one side alone it is newer there, whatever its clock says.
    theirs.at(-100, |model| named(model, "dave").notes = "there".into());
    ours.at(-100, |model| named(model, "erin").notes = "here".into());
    let merged = merged(&ours, &theirs);
    insta::assert_snapshot!(said(&ours, &merged), @"
    ~ alice
    ~ dave
    = bob NewerHere
    = carol Untold
    = erin ChangedHere
    ");
    insta::assert_snapshot!(said(&ours, &merged_with(&ours, &theirs, Prefer::Backup)), @"
    ~ alice
    ~ bob
    ~ carol
    ~ dave
    ~ erin
    ");
}

#[test]
fn what_was_removed_comes_back_only_if_it_was_changed_there_later() {
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    ours.at(1, |model| {
        named(model, "bob").grants.push(Grant::lasting(Destination::Node(NodeId(6)), Protocol::Any, Vec::new()));
    });
    theirs.model.clone_from(&ours.model);
    theirs.last.clone_from(&ours.last);
    let alice = ours.node("alice").unwrap().id;
    assert_eq!(alice, NodeId(6));
    ours.at(10, |model| remove(model, "alice")).at(11, |model| remove(model, "carol"));
    let untouched = merged(&ours, &theirs);
    insta::assert_snapshot!(said(&ours, &untouched), @"
    = alice RemovedHere
    = carol RemovedHere
    ");
    assert_eq!(untouched.model, ours.model);

    theirs.at(20, |model| named(model, "alice").notes = "needed".into());
    theirs.at(5, |model| named(model, "carol").notes = "not any more".into());
    ours.at(12, |model| {
        add(model, "phone", 100);
        model.topology.groups[0].members.insert(NodeId(100));
    });
    theirs.at(21, |model| remove(model, "frank"));
    theirs.at(22, |model| model.topology.groups[0].note = "newer".into());
    let back = merged(&ours, &theirs);
    insta::assert_snapshot!(said(&ours, &back), @"
    + alice
    ~ Group(GroupId(1))
    = carol RemovedHere
    = frank RemovedThere
    ");
    let topology = &back.model.topology;
    let group = &topology.groups[0];
    assert!(group.members.contains(&alice) && group.note == "newer");
    let frank = ours.node("frank").unwrap().id;
    assert!(
        [frank, NodeId(100)].iter().all(|id| group.members.contains(id)),
        "it says nothing of those it doesn't know"
    );
    let bob = topology.nodes.iter().find(|node| node.name.as_str() == "bob").unwrap();
    assert_eq!(bob.grants.len(), 1, "what was granted towards it is back, too");
}

#[test]
fn what_cannot_be_together_stays_as_it_is_here_with_both_sides_named() {
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    ours.at(10, |model| add(model, "phone", 100)).at(11, |model| add(model, "tablet", 101));
    ours.at(12, |model| named(model, "office").lans[0].cidr = "192.168.77.0/24".parse().unwrap());
    theirs.at(20, |model| add(model, "Phone", 200)).at(21, |model| add(model, "watch", 201));
    theirs.at(22, |model| {
        let lan = Lan { cidr: "192.168.77.0/25".parse().unwrap(), description: String::new() };
        named(model, "depot").lans = vec![lan];
        named(model, "watch").address4 = Some([10, 66, 0, 101].into());
        named(model, "dave").grants.clear();
        named(model, "carol").lan_selection.clear();
    });
    theirs.at(23, |model| add(model, "kettle", 202));
    ours.at(24, |model| {
        named(model, "dave").grants.clear();
        named(model, "carol").lan_selection.clear();
    });
    let merged = merged(&ours, &theirs);
    insta::assert_snapshot!(said(&ours, &merged), @"
    + kettle
    = Phone Conflict: the remote `Phone` (guid yMjIyMjI…) of the backup is called the same as the remote `phone` (guid ZGRkZGRk…) here: `wg-friend rename phone OTHER`, and merge again
    = watch Conflict: `tablet` and `watch` both have the address 10.66.0.101: change one of them; then merge again
    = office ChangedHere
    = depot Conflict: the LAN 192.168.77.0/24 of `office` overlaps the LAN 192.168.77.0/25 of `depot`: packets could go to one of them only, so renumber one or advertise a smaller part of it; then merge again
    ");
    assert_eq!(merged.model.topology.nodes.len(), ours.model.topology.nodes.len() + 1);
    let mut found: Vec<Fate> = merged.left.iter().map(|left| left.fate).collect();
    found.sort();
    assert_eq!(found, [Fate::ChangedHere, Fate::Conflict, Fate::Conflict, Fate::Conflict]);
}

#[test]
fn a_key_that_was_retired_on_either_side_stays_retired() {
    let key = |number: u8| PublicKey::from_bytes([number; 32]);
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    rotate(&mut ours, 10, "alice", 71);
    theirs.at(20, |model| named(model, "alice").notes = "there".into());
    rotate(&mut theirs, 10, "bob", 72);
    ours.at(20, |model| named(model, "bob").notes = "here".into());
    rotate(&mut ours, 10, "carol", 73);
    rotate(&mut theirs, 20, "carol", 74);
    rotate(&mut theirs, 20, "erin", 75);
    ours.at(30, |model| named(model, "erin").interfaces[0].staged_key = Some(key(76)));
    let merged = merged(&ours, &theirs);
    let is = |name: &str| {
        let node = merged.model.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
        (node.main().public_key, node.notes.as_str())
    };
    assert_eq!(is("alice"), (key(71), "there"), "the key of here, the rest of there");
    assert_eq!(is("bob"), (key(72), "here"), "the key of there, the rest of here");
    assert_eq!(is("carol"), (key(74), ""), "of two new ones the later");
    assert_eq!(is("erin").0, ours.node("erin").unwrap().main().public_key);
    assert_eq!(merged.keys.len(), 2);
    let conflicts: Vec<&str> =
        merged.left.iter().filter(|left| left.fate == Fate::Conflict).map(|left| left.name.as_str()).collect();
    assert_eq!(conflicts, ["erin"], "a key that is under way is finished first");
}

#[test]
fn what_needs_something_that_is_not_here_is_told() {
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    ours.at(10, |model| {
        named(model, "frank").exit = None;
        remove(model, "tokyo");
        for node in &mut model.topology.nodes {
            node.interfaces.retain(|interface| interface.kind == crate::model::InterfaceKind::Main);
            node.exit = None;
        }
        named(model, "erin").access = crate::model::Access::Full;
        remove(model, "berlin");
    });
    theirs.at(20, |model| named(model, "frank").notes = "needs tokyo".into());
    let merged = merged(&ours, &theirs);
    let frank = merged.left.iter().find(|left| left.name == "frank").unwrap();
    assert_eq!(frank.fate, Fate::Conflict);
    insta::assert_snapshot!(frank.why.as_deref().unwrap(), @"`frank` of the backup needs an exit that it leaves by, which isn't here: add it, or take what was removed with `--prefer backup`, and merge again");
}

#[test]
fn hosts_of_one_name_that_came_on_both_sides_are_one_and_those_of_before_go_by_their_number() {
    use crate::model::{Become, Host};
    let host = |name: &str, at: &str| Host::new(name.parse().unwrap(), at.parse().unwrap(), Become::Auto);
    let last = |state: i64, time: i64| Last { state, time: Some(minute(time)), there: true };
    let shared: BTreeSet<Thing> = [Thing::Host(1)].into();
    let mut base = Copy::shared().model;
    base.hosts = BTreeMap::from([(1, host("hub", "192.0.2.1"))]);
    let mut ours = base.clone();
    ours.hosts.insert(2, host("web", "192.0.2.2"));
    ours.hosts.insert(3, host("db", "192.0.2.3"));
    let mut theirs = base.clone();
    theirs.hosts.insert(1, host("db", "192.0.2.1")); // renamed there, to what is another one here
    theirs.hosts.insert(2, host("mail", "192.0.2.4"));
    theirs.hosts.insert(3, host("web", "192.0.2.5"));
    let (models, there) = ([(NETWORK, ours.clone())], [(NETWORK, theirs.clone())]);
    let here = Here { models: &models, ever: &BTreeMap::new(), shared: &shared };
    let numbers = Numbers::of(&there, &here, LastNumbers { host: 3, ..LastNumbers::default() });
    assert_eq!([1, 2, 3].map(|row| numbers.host(row)), [Some(1), Some(4), Some(2)]);
    let (ours_last, theirs_last) = (
        BTreeMap::from([(Thing::Host(2), last(2, 5)), (Thing::Host(3), last(3, 6))]),
        BTreeMap::from([(Thing::Host(1), last(2, 9)), (Thing::Host(2), last(3, 9)), (Thing::Host(3), last(4, 9))]),
    );
    let theirs_last = numbers.last_changes(&theirs_last, &shared);
    let (retired, documents, held) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let terms = Terms {
        network: NETWORK,
        fork: FORK,
        prefer: Prefer::Newer,
        whole: false,
        ours: &ours_last,
        theirs: &theirs_last,
        retired: [&retired, &retired],
        documents: &documents,
        forked: &BTreeMap::new(),
        held: [&held, &held],
        gone: &BTreeMap::new(),
    };
    let rows = theirs.hosts.into_iter().map(|(row, host)| (numbers.host(row).unwrap(), host)).collect();
    let hosts = merge_hosts(&ours.hosts, &rows, &terms);
    let all: Vec<String> =
        hosts.all.iter().map(|(row, host)| format!("{row} {} {}", host.name, host.address)).collect();
    assert_eq!(all, ["1 hub 192.0.2.1", "2 web 192.0.2.5", "3 db 192.0.2.3", "4 mail 192.0.2.4"]);
    assert_eq!(hosts.left.len(), 1);
    assert_eq!(hosts.names[&"db".parse().unwrap()], Some("hub".parse().unwrap()), "nodes there live on this one");
}

#[test]
fn what_is_not_why_something_clashes_comes_although_what_is_why_is_not_named() {
    let moved = |copy: &mut Copy| {
        copy.at(20, |model| named(model, "office").lans[1].cidr = "192.168.60.0/24".parse().unwrap());
        copy.at(21, |model| model.topology.network.keepalive = 99);
    };
    // There nobody is granted anything in the LAN any more, and here somebody is.
    let (ours, mut theirs) = (Copy::shared(), Copy::shared());
    theirs.at(10, |model| remove(model, "dave"));
    moved(&mut theirs);
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    ~ Network(NetworkId(1))
    = office Conflict: with it as the backup has it, `dave` is granted `fd00:10::/64 any`, which lies neither in the network nor in an advertised LAN: correct the destination; then merge again
    = dave RemovedThere
    ");

    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    ours.at(30, |model| named(model, "dave").notes = "here".into());
    theirs.at(10, |model| named(model, "dave").grants.clear());
    theirs.at(11, |model| {
        let link = LinkId::between(named(model, "hub").main().id, named(model, "dave").main().id);
        let weight = Some(3.try_into().unwrap());
        model.topology.links.push(Link { id: link, weight, when_down: WhenDown::Stay });
    });
    rotate(&mut theirs, 12, "dave", 71);
    moved(&mut theirs);
    let merged = merged(&ours, &theirs);
    insta::assert_snapshot!(said(&ours, &merged), @"
    ~ Network(NetworkId(1))
    ~ Link(LinkId { low: InterfaceId(100), high: InterfaceId(900) })
    = office Conflict: with it as the backup has it, `dave` is granted `fd00:10::/64 any`, which lies neither in the network nor in an advertised LAN: correct the destination; then merge again
    = dave NewerHere
    ");
    assert_eq!(merged.keys.len(), 1, "and `dave` has the key of there");
}
