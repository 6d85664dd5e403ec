//! What is decided by what each side did since both parted, not by who changed a node last.

use super::*;
use crate::model::Port;

fn node<'m>(merged: &'m Merged, name: &str) -> &'m Node {
    merged.model.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap()
}

pub(super) fn two(work: impl FnOnce(&mut Model)) -> (Copy, Copy) {
    let mut model = Copy::shared().model;
    work(&mut model);
    (Copy::of(model.clone()), Copy::of(model))
}

#[test]
fn a_private_key_is_forgotten_only_if_somebody_forgot_it() {
    let (mut ours, mut theirs) = two(|model| {
        named(model, "alice").custody = Custody::NeverSeen;
        named(model, "carol").custody = Custody::NeverSeen;
    });
    // Its only copy came here, and there somebody changed something else.
    ours.at(10, |model| named(model, "alice").custody = Custody::Held);
    theirs.at(20, |model| named(model, "alice").notes = "there".into());
    // There it was forgotten.
    theirs.at(20, |model| named(model, "bob").custody = Custody::NeverSeen);
    // There it came.
    theirs.at(20, |model| named(model, "carol").custody = Custody::Held);
    // Here it was forgotten.
    ours.at(10, |model| named(model, "dave").custody = Custody::NeverSeen);
    theirs.at(20, |model| named(model, "dave").notes = "there".into());
    // Nobody did anything but here.
    ours.at(10, |model| named(model, "erin").custody = Custody::ShownOnce);
    let merged = merged(&ours, &theirs);
    let is = |name: &str| (node(&merged, name).custody, node(&merged, name).notes.as_str());
    assert_eq!(is("alice"), (Custody::Held, "there"));
    assert_eq!(is("bob"), (Custody::NeverSeen, ""));
    assert_eq!(is("carol"), (Custody::Held, ""));
    assert_eq!(is("dave"), (Custody::NeverSeen, "there"));
    assert_eq!(is("erin"), (Custody::ShownOnce, ""));
    insta::assert_snapshot!(said(&ours, &merged), @"
    ~ alice
    ~ bob
    ~ carol
    ~ dave
    = alice Conflict: the private key of `alice` stays here, since nobody forgot it there: `wg-friend set alice custody=never-seen` forgets it
    = dave Conflict: the private key of `dave` was forgotten here, and doesn't come back from the backup: `wg-friend set dave custody=held --private-key-file FILE` takes it from where it is kept
    = erin ChangedHere
    ");
    let again = merged_with(&ours, &theirs, Prefer::Backup);
    assert_eq!(node(&again, "alice").custody, Custody::Held);
    assert_eq!(node(&again, "dave").custody, Custody::NeverSeen);
}

#[test]
fn a_preshared_key_stays_while_the_key_at_its_end_does() {
    let (mut ours, mut theirs) = two(|model| {
        let main = |name: &str| model.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap().main().id;
        let links = ["alice", "bob", "carol"].map(|name| LinkId::between(main("berlin"), main(name)));
        model.preshared = links.into_iter().map(|link| (link, minute(0))).collect();
    });
    let renew = |copy: &mut Copy, time: i64, name: &str| {
        let end = copy.node(name).unwrap().main().id;
        copy.at(time, |model| {
            let ends = |link: &LinkId| link.ends().0 == end || link.ends().1 == end;
            model.preshared.iter_mut().filter(|(link, _)| ends(link)).for_each(|(_, since)| *since = minute(time));
        });
    };
    ours.at(10, |model| named(model, "alice").interfaces[0].staged_key = Some(PublicKey::from_bytes([77; 32])));
    ["alice", "bob", "carol"].into_iter().for_each(|name| renew(&mut theirs, 20, name));
    ours.at(10, |model| add(model, "phone", 100));
    theirs.at(20, |model| named(model, "bob").name = "phone".parse().unwrap());
    let merged = merged(&ours, &theirs);
    let since = |name: &str| {
        let end = ours.node(name).unwrap().main().id;
        let found = merged.model.preshared.iter().find(|(link, _)| link.ends().0 == end || link.ends().1 == end);
        *found.unwrap().1
    };
    assert_eq!(["alice", "bob", "carol"].map(since), [minute(0), minute(0), minute(20)]);
    let told = merged.left.iter().filter(|left| left.what == What::PresharedKey);
    let told: Vec<_> = told.map(|left| (left.name.as_str(), left.fate)).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|(_, fate)| *fate == Fate::Conflict));
}

#[test]
fn what_was_revoked_before_a_node_was_removed_does_not_come_back_with_it() {
    let (mut ours, mut theirs) = two(|model| {
        let alice = Destination::Node(named(model, "alice").id);
        for name in ["bob", "dave"] {
            named(model, name).grants.push(Grant::lasting(alice, Protocol::Any, Vec::new()));
        }
    });
    let alice = ours.node("alice").unwrap().id;
    let leads = |grant: &Grant| grant.destination == Destination::Node(alice);
    ours.at(10, |model| {
        named(model, "dave").grants.retain(|grant| !leads(grant));
        model.topology.groups[0].members.remove(&alice);
    });
    ours.at(11, |model| remove(model, "alice"));
    theirs.at(20, |model| named(model, "alice").notes = "needed".into());
    let merged = merged(&ours, &theirs);
    assert_eq!(node(&merged, "alice").notes, "needed");
    assert!(node(&merged, "bob").grants.iter().any(leads), "this was still granted");
    assert!(!node(&merged, "dave").grants.iter().any(leads));
    assert!(!merged.model.topology.groups[0].members.contains(&alice));
    let told: BTreeSet<&str> = merged.left.iter().map(|left| left.name.as_str()).collect();
    assert!(told.contains("dave") && told.contains("staff"), "{told:?}");
}

#[test]
fn grants_towards_a_group_come_back_with_it() {
    let staff = Destination::Group(GroupId(1));
    let (mut ours, mut theirs) = two(|model| {
        for name in ["bob", "dave"] {
            named(model, name).grants.push(Grant::lasting(staff, Protocol::Any, Vec::new()));
        }
    });
    let leads = |grant: &Grant| grant.destination == staff;
    ours.at(10, |model| named(model, "dave").grants.retain(|grant| !leads(grant)));
    ours.at(11, |model| {
        model.topology.groups.clear();
        named(model, "bob").grants.retain(|grant| !leads(grant));
    });
    theirs.at(20, |model| model.topology.groups[0].note = "needed".into());
    let merged = merged(&ours, &theirs);
    assert_eq!(merged.model.topology.groups[0].note, "needed");
    assert!(node(&merged, "bob").grants.iter().any(leads) && !node(&merged, "dave").grants.iter().any(leads));
}

#[test]
fn a_port_that_only_one_side_changed_is_the_one_and_else_it_is_told() {
    let key = |number: u8| PublicKey::from_bytes([number; 32]);
    let at = |model: &mut Model, name: &str, port: u16| {
        let node = named(model, name);
        node.interfaces[0].listen_port = Some(Port::new(port).unwrap());
        node.endpoint.as_mut().unwrap().port = Port::new(port).unwrap();
    };
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    rotate(&mut ours, 10, "berlin", 71);
    theirs.at(20, |model| at(model, "berlin", 7777));
    rotate(&mut ours, 10, "tokyo", 72);
    ours.at(11, |model| at(model, "tokyo", 7001));
    theirs.at(20, |model| named(model, "tokyo").notes = "there".into());
    rotate(&mut ours, 10, "office", 73);
    ours.at(11, |model| at(model, "office", 7002));
    theirs.at(20, |model| at(model, "office", 7003));
    let merged = merged(&ours, &theirs);
    let is = |name: &str| {
        let node = node(&merged, name);
        (node.main().public_key, node.main().listen_port.unwrap().get(), node.endpoint.as_ref().unwrap().port.get())
    };
    assert_eq!(is("berlin"), (key(71), 7777, 7777));
    assert_eq!((is("tokyo"), node(&merged, "tokyo").notes.as_str()), ((key(72), 7001, 7001), "there"));
    assert_eq!(is("office"), (key(73), 7002, 7002));
    let told: Vec<_> = merged.left.iter().map(|left| (left.name.as_str(), left.fate)).collect();
    assert_eq!(told, [("office", Fate::Conflict)]);
}

#[test]
fn a_node_that_gives_only_its_key_needs_no_host_of_the_other_side() {
    let (mut ours, mut theirs) = two(|_| {});
    let old = theirs.node("berlin").unwrap().main().public_key;
    theirs.retired.insert(old);
    theirs.at(10, |model| {
        let node = named(model, "berlin");
        (node.interfaces[0].public_key, node.host) = (PublicKey::from_bytes([71; 32]), Some("gone".parse().unwrap()));
    });
    ours.at(20, |model| named(model, "berlin").notes = "here".into());
    let merged = merged(&ours, &theirs);
    let berlin = node(&merged, "berlin");
    assert_eq!((berlin.main().public_key, berlin.notes.as_str()), (PublicKey::from_bytes([71; 32]), "here"));
}

#[test]
fn a_preshared_key_that_was_taken_away_there_is_listed() {
    let (ours, mut theirs) = two(|model| {
        let main = |name: &str| model.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap().main().id;
        model.preshared = BTreeMap::from([(LinkId::between(main("berlin"), main("alice")), minute(0))]);
    });
    theirs.at(10, |model| model.preshared.clear());
    let merged = merged(&ours, &theirs);
    assert_eq!(merged.model, ours.model);
    let told: Vec<_> = merged.left.iter().map(|left| (left.what, left.fate)).collect();
    assert_eq!(told, [(What::PresharedKey, Fate::RemovedThere)]);
}
