//! Traffic, events and changes of rights, as the store keeps them.

use std::collections::BTreeMap;

use super::*;
use crate::db::{Counter, Grown, RightsChange};
use crate::model::{Group, GroupId, InterfaceId, InterfaceName, NodeId};

/// What a look at the hub's peer shows, without asking what was there before.
fn grown(near: &Node, far: &Node, far_key: PublicKey, rx: u64) -> Grown {
    let (near, far) = (near.main(), far.main());
    let now = Counter { born: Some(1), rx, tx: 0, boot: 0, uptime: 100 };
    let name = near.name.clone();
    Grown { near: near.id, name, near_key: near.public_key, far: far.id, far_key, now, rx, tx: 0 }
}

/// All peers of a node's interface were seen.
fn whole(node: &Node) -> Vec<(InterfaceId, InterfaceName)> {
    vec![(node.main().id, node.main().name.clone())]
}

#[test]
fn totals_only_grow_and_outlive_keys() {
    let mut lab = lab();
    let (hub, phone) = (lab.add("hub", 1), lab.add("phone", 2));
    let old = phone.main().public_key;
    lab.store.note_traffic(at(2), |_| Ok((vec![grown(&hub, &phone, old, 700)], whole(&hub)))).unwrap();
    let new = PrivateKey::from_random([9; 32]);
    lab.write(|tx| tx.replace_key(phone.main().id, new.public(), Some(&new), "yearly", at(3))).unwrap();
    lab.store.note_traffic(at(4), |_| Ok((vec![grown(&hub, &phone, new.public(), 20)], whole(&hub)))).unwrap();
    let rows = lab.store.traffic().unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.far_key, row.rx)).collect();
    assert_eq!(told, [(None, 700), (Some(new.public()), 20)]);

    // The old key's peer is gone from the hub: should it come back, it begins at nought.
    let counters = lab.store.traffic_counters(hub.main().id, &hub.main().name).unwrap();
    assert_eq!(counters.keys().copied().collect::<Vec<_>>(), [new.public()]);

    // More and more rotations make no more rows.
    let mut key = new.public();
    for round in 10..15_u8 {
        let next = PrivateKey::from_random([round; 32]);
        let time = at(i64::from(round));
        lab.write(|tx| tx.replace_key(phone.main().id, next.public(), Some(&next), "again", time)).unwrap();
        let seen = vec![grown(&hub, &phone, key, 5), grown(&hub, &phone, next.public(), 1)];
        lab.store.note_traffic(time, |_| Ok((seen, whole(&hub)))).unwrap();
        key = next.public();
    }
    let rows = lab.store.traffic().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows.iter().map(|row| row.rx).sum::<u64>(), 720 + 5 * 6);
}

#[test]
fn of_two_interfaces_with_two_keys_of_one_each_counts_for_itself() {
    let mut lab = lab();
    let (hub, phone) = (lab.add("hub", 1), lab.add("phone", 2));
    let (id, far_key) = (hub.main().id, phone.main().public_key);
    let second: InterfaceName = "wg0-next".parse().unwrap();
    let next = PrivateKey::from_random([9; 32]);
    lab.write(|tx| tx.stage_key(id, next.public(), Some(&next), "yearly", at(2))).unwrap();
    let by_next = Grown { name: second.clone(), near_key: next.public(), ..grown(&hub, &phone, far_key, 30) };
    let both = [whole(&hub), vec![(id, second.clone())]].concat();
    lab.store.note_traffic(at(3), |_| Ok((vec![grown(&hub, &phone, far_key, 700), by_next], both))).unwrap();
    let told =
        |lab: &Lab| lab.store.traffic().unwrap().iter().map(|row| (row.near_key, row.rx)).collect::<BTreeMap<_, _>>();
    let under = BTreeMap::from([(Some(hub.main().public_key), 700), (Some(next.public()), 30)]);
    assert_eq!(told(&lab), under);
    let shown = |name: &InterfaceName| lab.store.traffic_counters(id, name).unwrap()[&far_key].counter.rx;
    assert_eq!((shown(&hub.main().name), shown(&second)), (700, 30));
}

#[test]
fn counters_are_no_entry_of_the_audit_log() {
    let mut lab = lab();
    let (hub, phone) = (lab.add("hub", 1), lab.add("phone", 2));
    let count = |lab: &Lab| lab.store.audit_log(&crate::db::Filter::whole()).unwrap().len();
    let before = count(&lab);
    let seen = grown(&hub, &phone, phone.main().public_key, 1);
    lab.store.note_traffic(at(2), |_| Ok((vec![seen], Vec::new()))).unwrap();
    assert_eq!(count(&lab), before);
}

#[test]
fn the_history_tells_whose_rights_were_changed_by_their_own_grants_and_by_their_groups() {
    let mut lab = lab();
    let (alice, bob, carol) = (lab.add("alice", 1), lab.add("bob", 2), lab.add("carol", 3));
    assert_eq!(lab.store.rights_changes().unwrap(), [], "what somebody begins with is no change");
    let mut at_second = 10;
    let mut write = |lab: &mut Lab, work: &dyn Fn(&Tx<'_>) -> Result<(), Error>| {
        at_second += 1;
        let event = Event::database(Action::PeerUpdated);
        lab.store.write(at(at_second), &actor(), |tx| work(tx).map(|()| ((), event.clone()))).unwrap();
        at(at_second)
    };
    let changes = |lab: &Lab, known: usize| -> Vec<RightsChange> {
        let mut all = lab.store.rights_changes().unwrap();
        all.sort_by_key(|change| change.time);
        all.split_off(known)
    };
    let change = |node: &Node, time| RightsChange { node: node.id, time };

    write(&mut lab, &|tx| tx.update_node(&Node { notes: "hers".into(), ..alice.clone() }, at(10)));
    assert_eq!(changes(&lab, 0), [], "notes open nothing");
    let narrower = Node { access: Access::VpnOnly, ..alice.clone() };
    let time = write(&mut lab, &|tx| tx.update_node(&narrower, at(10)));
    assert_eq!(changes(&lab, 0), [change(&alice, time)]);

    // A group that gives nothing changes nothing; what it gives then, its members get.
    let group = |members: &[&Node], notes: &str, grants: usize| Group {
        id: GroupId(1),
        name: name("contractors"),
        note: String::new(),
        members: members.iter().map(|node| node.id).collect::<std::collections::BTreeSet<NodeId>>(),
        grants: (0..grants)
            .map(|at| {
                let to = format!("192.168.{at}.0/24").parse().unwrap();
                let grant = crate::model::Grant::lasting(to, crate::model::Protocol::Any, Vec::new());
                crate::model::Grant { note: notes.to_owned(), ..grant }
            })
            .collect(),
        exit_rules: Vec::new(),
    };
    write(&mut lab, &|tx| tx.insert_group(&group(&[&bob], "", 0)).map(|_| ()));
    assert_eq!(changes(&lab, 1), []);
    let first = write(&mut lab, &|tx| tx.update_group(&group(&[&bob], "", 1)));
    write(&mut lab, &|tx| tx.update_group(&group(&[&bob], "why", 1)));
    let second = write(&mut lab, &|tx| tx.update_group(&group(&[&bob, &carol], "why", 1)));
    let third = write(&mut lab, &|tx| tx.delete_group(GroupId(1)));
    let mut found = changes(&lab, 1);
    found.sort();
    let mut expected = vec![change(&bob, first), change(&carol, second), change(&bob, third), change(&carol, third)];
    expected.sort();
    assert_eq!(found, expected);
}
