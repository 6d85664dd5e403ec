//! What holds of any two copies.

use proptest::prelude::*;

use super::*;
use crate::ops::network::change::new_contradictions;

/// What somebody does to a copy.
#[derive(Clone, Debug)]
enum Deed {
    Note(usize),
    Remove(usize),
    Add(usize),
    Rename(usize, usize),
    Move(usize, u8),
    Lan(usize, u8),
    Keepalive(u16),
    Rotate(usize),
}

const NAMES: [&str; 4] = ["phone", "tablet", "watch", "kettle"];

fn deed() -> impl Strategy<Value = (Deed, i64)> {
    let deed = prop_oneof![
        (0..16usize).prop_map(Deed::Note),
        (0..16usize).prop_map(Deed::Remove),
        (0..NAMES.len()).prop_map(Deed::Add),
        (0..16usize, 0..NAMES.len()).prop_map(|(at, name)| Deed::Rename(at, name)),
        (0..16usize, 50..54u8).prop_map(|(at, address)| Deed::Move(at, address)),
        (0..16usize, 60..63u8).prop_map(|(at, lan)| Deed::Lan(at, lan)),
        (10..14u16).prop_map(Deed::Keepalive),
        (0..16usize).prop_map(Deed::Rotate),
    ];
    (deed, 0..6i64)
}

/// Does it, unless it would contradict what is there. `side` keeps numbers and keys of two copies apart.
fn done(copy: &mut Copy, (deed, time): &(Deed, i64), side: u8) {
    let mut after = copy.model.clone();
    let number = side + u8::try_from(copy.state).unwrap();
    let mut retired = None;
    let at = |model: &Model, at: usize| model.topology.nodes[at % model.topology.nodes.len()].name.to_string();
    match *deed {
        Deed::Note(place) => named(&mut after, &at(&copy.model, place)).notes = format!("{number}"),
        Deed::Remove(place) => {
            let name = at(&copy.model, place);
            if copy.node(&name).unwrap().role == Role::Remote {
                remove(&mut after, &name);
            }
        }
        Deed::Add(name) => add(&mut after, NAMES[name], number),
        Deed::Rename(place, name) => {
            named(&mut after, &at(&copy.model, place)).name = NAMES[name].parse().unwrap();
        }
        Deed::Move(place, address) => {
            named(&mut after, &at(&copy.model, place)).address4 = Some([10, 66, 0, address].into());
        }
        Deed::Lan(place, lan) => {
            let node = named(&mut after, &at(&copy.model, place));
            if let Some(own) = node.lans.last_mut().filter(|_| node.role == Role::Router) {
                own.cidr = format!("192.168.{lan}.0/24").parse().unwrap();
            }
        }
        Deed::Keepalive(seconds) => after.topology.network.keepalive = seconds,
        Deed::Rotate(place) => {
            let name = at(&copy.model, place);
            retired = copy.node(&name).map(|node| node.main().public_key);
            named(&mut after, &name).interfaces[0].public_key = PublicKey::from_bytes([number; 32]);
        }
    }
    let unique = after.topology.nodes.iter().map(|node| node.name.as_str().to_lowercase()).collect::<BTreeSet<_>>();
    // Only these can contradict what is there otherwise, and to compile the network for each deed would be most of the work.
    let may_contradict = matches!(deed, Deed::Move(..) | Deed::Lan(..));
    let contradicts = || may_contradict && !new_contradictions(&copy.model.topology, &after.topology).is_empty();
    if unique.len() == after.topology.nodes.len() && !contradicts() {
        copy.retired.extend(retired);
        copy.at(*time, |model| *model = after);
    }
}

/// Two copies that went on by themselves.
fn copies() -> impl Strategy<Value = (Copy, Copy)> {
    let deeds = || proptest::collection::vec(deed(), 0..8);
    (deeds(), deeds()).prop_map(|(ours, theirs)| {
        let mut copies = (Copy::shared(), Copy::shared());
        ours.iter().for_each(|deed| done(&mut copies.0, deed, 100));
        theirs.iter().for_each(|deed| done(&mut copies.1, deed, 150));
        copies
    })
}

/// Nodes by their guid, without numbers.
fn by_guid(model: &Model) -> BTreeMap<PublicKey, Node> {
    let blank = |node: &Node| {
        let mut node = Node { id: NodeId(0), ..node.clone() };
        node.interfaces.iter_mut().for_each(|interface| interface.id = InterfaceId(0));
        (node.guid, node)
    };
    model.topology.nodes.iter().map(blank).collect()
}

/// Gives what came since other numbers, in the opposite order.
fn renumbered(copy: &Copy) -> Copy {
    let other = |id: NodeId| if id.0 >= 100 { NodeId(10_000 - id.0) } else { id };
    let mut copy = copy.clone();
    for node in &mut copy.model.topology.nodes {
        node.id = other(node.id);
        if node.id.0 >= 100 {
            node.interfaces[0].id = InterfaceId(20_000 + node.id.0);
        }
    }
    copy.model.topology.nodes.sort_by_key(|node| node.id);
    let renumber = |thing: Thing| if let Thing::Node(id) = thing { Thing::Node(other(id)) } else { thing };
    copy.last = copy.last.into_iter().map(|(thing, last)| (renumber(thing), last)).collect();
    copy
}

/// Merges as it is done with a database: the other copy's numbers are found first.
fn found_and_merged(ours: &Copy, theirs: &Copy) -> Merged {
    let base = Copy::shared();
    let shared: BTreeSet<Thing> = things(&base.model).into_keys().collect();
    let (here, there) = ([(NETWORK, ours.model.clone())], [(NETWORK, theirs.model.clone())]);
    let nodes = base.model.topology.nodes.iter().chain(&ours.model.topology.nodes);
    let ever = nodes.map(|node| (node.guid, node.clone())).collect();
    let last = LastNumbers { node: 100_000, interface: 100_000, ..LastNumbers::default() };
    let numbers = Numbers::of(&there, &Here { models: &here, ever: &ever, shared: &shared }, last);
    let theirs = Copy {
        model: numbers.model(&theirs.model),
        last: numbers.last_changes(&theirs.last, &shared),
        ..theirs.clone()
    };
    merged(ours, &theirs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn merging_with_oneself_changes_nothing((ours, _) in copies()) {
        let merged = merged(&ours, &ours);
        prop_assert_eq!(&merged.model, &ours.model);
        prop_assert!(merged.taken.is_empty() && merged.left.is_empty() && merged.keys.is_empty());
        let mut later = ours.clone();
        later.at(2000, |model| model.topology.network.keepalive = 99);
        prop_assert_eq!(&super::merged(&ours, &later).model, &later.model);
        prop_assert_eq!(&super::merged(&later, &ours).model, &later.model);
    }

    #[test]
    fn nothing_that_is_here_goes_and_what_comes_out_can_be_compiled((ours, theirs) in copies()) {
        let merged = merged(&ours, &theirs);
        let is = |id: NodeId| merged.model.topology.node(id);
        prop_assert!(ours.model.topology.nodes.iter().all(|node| is(node.id).is_some_and(|is| is.guid == node.guid)));
        prop_assert_eq!(new_contradictions(&ours.model.topology, &merged.model.topology), []);
        // Of two sides that are unlike each other nothing is passed over in silence.
        let keyless = |node: &Node| {
            let mut node = node.clone();
            node.interfaces.iter_mut().for_each(|interface| interface.public_key = PublicKey::from_bytes([0; 32]));
            node
        };
        let differs = |node: &&Node| is(node.id).map(keyless) != Some(keyless(node));
        for node in theirs.model.topology.nodes.iter().filter(differs) {
            let told = merged.left.iter().any(|left| left.guid == Some(node.guid))
                || merged.taken.contains(&Thing::Node(node.id));
            prop_assert!(told, "{}", node.name);
        }
    }

    #[test]
    fn merging_twice_is_merging_once((ours, theirs) in copies()) {
        let mut once = ours.clone();
        let first = merged(&ours, &theirs);
        let retired = first.keys.keys().filter_map(|id| {
            ours.model.topology.nodes.iter().map(Node::main).find(|main| main.id == *id).map(|main| main.public_key)
        });
        once.retired.extend(retired);
        once.at(1000, |model| *model = first.model.clone());
        let second = merged(&once, &theirs);
        prop_assert_eq!(&second.model, &once.model);
        prop_assert!(second.taken.is_empty() && second.keys.is_empty(), "{:?}", second.taken);
        // Of a later backup comes what was done since, and nothing else.
        let mut later = theirs.clone();
        later.at(2000, |model| model.topology.network.keepalive = 99);
        let third = merged(&once, &later);
        prop_assert_eq!(third.taken, BTreeSet::from([Thing::Network(NETWORK)]));
        prop_assert_eq!(third.model.topology.nodes, once.model.topology.nodes.clone());
    }

    #[test]
    fn what_stays_as_a_conflict_would_clash_with_the_rest((ours, theirs) in copies()) {
        let conflicts = conflicts(&merged(&ours, &theirs), &theirs);
        for (thing, why) in &conflicts {
            let others = conflicts.iter().filter(|(other, _)| *other != thing);
            let others: Barred = others.map(|(other, why)| (*other, why.clone())).collect();
            let again = merged_by(&ours, &theirs, Prefer::Newer, &others);
            prop_assert!(super::conflicts(&again, &theirs).contains_key(thing), "{thing:?}: {why}");
        }
    }

    #[test]
    fn the_numbers_and_the_order_of_what_came_since_do_not_matter((ours, theirs) in copies()) {
        let (one, other) = (found_and_merged(&ours, &theirs), found_and_merged(&ours, &renumbered(&theirs)));
        prop_assert_eq!(by_guid(&one.model), by_guid(&other.model));
        let told = |merged: &Merged| -> BTreeSet<(String, Fate)> {
            merged.left.iter().map(|left| (left.name.clone(), left.fate)).collect()
        };
        prop_assert_eq!(told(&one), told(&other));
    }
}
