//! The history of the model: every state can be rebuilt, costs what it changed, and can be returned to.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::db::{About, Last, Model, Returned, State, StateFilter, Thing};
use crate::model::{
    ActiveExit, Destination, Egress, ExitGroup, ExitMember, Grant, Group, GroupId, KeyState, Lan, Link, LinkId, Node,
    PresharedKey, Protocol, Provenance, SwitchReason, Topology, Weight, WhenDown,
};

/// The model as the tables hold it.
#[derive(Clone, Debug, PartialEq)]
struct Live {
    topology: Topology,
    hosts: BTreeMap<i64, Host>,
    preshared: BTreeMap<LinkId, DateTime<Utc>>,
    documents: BTreeMap<InterfaceId, String>,
}

fn live(store: &Store) -> Live {
    let mut statement = store.conn.prepare("SELECT low_id, high_id, created FROM preshared_keys").unwrap();
    let preshared = statement.query_map([], |row| {
        let link = LinkId::between(InterfaceId(row.get(0)?), InterfaceId(row.get(1)?));
        Ok((link, DateTime::from_timestamp_micros(row.get(2)?).unwrap()))
    });
    let text = |(id, text): (InterfaceId, Zeroizing<String>)| (id, text.to_string());
    Live {
        topology: store.topology().unwrap(),
        hosts: crate::db::hosts::load_with_rows(&store.conn).unwrap().into_iter().collect(),
        preshared: preshared.unwrap().map(Result::unwrap).collect(),
        documents: store.documents().unwrap().into_iter().map(text).collect(),
    }
}

fn assert_same(model: &Model, live: &Live) {
    assert_eq!(model.topology, live.topology);
    assert_eq!(model.hosts, live.hosts);
    assert_eq!(model.preshared, live.preshared);
    assert!(model.adopted.keys().eq(live.documents.keys()));
}

fn states(lab: &Lab) -> Vec<State> {
    lab.store.states(&StateFilter::default()).unwrap()
}

fn newest(lab: &Lab) -> i64 {
    lab.store.newest_state().unwrap().unwrap()
}

fn rows(lab: &Lab) -> i64 {
    lab.store.conn.query_row("SELECT count(*) FROM state_values", [], |row| row.get(0)).unwrap()
}

fn back(lab: &mut Lab, number: i64) -> Returned {
    {
        let (returned, model) = lab.write(|tx| tx.return_to(number, at(900))).unwrap();
        let is = live(&lab.store);
        assert_eq!((model.topology, model.hosts, model.preshared), (is.topology, is.hosts, is.preshared));
        returned
    }
}

#[test]
fn groups_and_what_they_are_granted_are_part_of_every_state() {
    let mut lab = lab();
    let (phone, nas) = (lab.add("phone", 9), lab.add("nas", 10));
    let mut to_nas = Grant::lasting(Destination::Node(nas.id), Protocol::Tcp, vec!["22".parse().unwrap()]);
    to_nas.until = Some(at(500));
    to_nas.note = "while the move lasts".into();
    let group = Group {
        id: GroupId(0),
        name: name("contractors"),
        note: "they come and go".into(),
        members: [phone.id].into(),
        grants: vec![to_nas.clone(), "10.66.0.0/24 icmp".parse().unwrap()],
        exit_rules: Vec::new(),
    };
    let id = lab.write(|tx| tx.insert_group(&group)).unwrap();
    let group = Group { id, ..group };
    let with = Node { grants: vec![Grant::lasting(Destination::Group(id), Protocol::Any, Vec::new())], ..nas.clone() };
    lab.write(|tx| tx.update_node(&with, at(3))).unwrap();
    let (whole, topology) = (newest(&lab), lab.store.topology().unwrap());
    assert_eq!(topology.groups, std::slice::from_ref(&group));
    assert_same(&lab.store.model_at(whole).unwrap(), &live(&lab.store));

    // What goes takes with it what leads to it.
    lab.write(|tx| tx.delete_node(phone.id, at(4))).unwrap();
    assert!(lab.store.topology().unwrap().groups[0].members.is_empty());
    lab.write(|tx| tx.delete_node(nas.id, at(5))).unwrap();
    assert_eq!(lab.store.topology().unwrap().groups[0].grants, group.grants[1..]);
    lab.write(|tx| tx.delete_group(id)).unwrap();
    assert!(lab.store.topology().unwrap().groups.is_empty());
    assert_same(&lab.store.model_at(newest(&lab)).unwrap(), &live(&lab.store));

    back(&mut lab, whole);
    assert_eq!(lab.store.topology().unwrap(), topology);
    assert_same(&lab.store.model_at(newest(&lab)).unwrap(), &live(&lab.store));
    // To another name, and a group of the old name, in one step each way.
    lab.write(|tx| tx.update_group(&Group { name: name("movers"), ..group.clone() })).unwrap();
    lab.write(|tx| tx.insert_group(&group)).unwrap();
    let renamed = newest(&lab);
    back(&mut lab, whole);
    assert_eq!(lab.store.topology().unwrap(), topology);
    back(&mut lab, renamed);
    let names: Vec<String> = lab.store.topology().unwrap().groups.iter().map(|group| group.name.to_string()).collect();
    assert_eq!(names, ["movers", "contractors"]);
}

#[test]
fn a_grant_that_permitted_nothing_in_an_old_state_does_not_come_back_with_it() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let grants: Vec<Grant> = vec!["10.66.0.0/24 icmp".parse().unwrap()];
    let plain = Node { grants: grants.clone(), access: Access::VpnOnly, ..phone.clone() };
    lab.write(|tx| tx.update_node(&plain, at(2))).unwrap();
    let old = newest(&lab);
    assert_eq!(lab.store.model_at(old).unwrap().topology.node(phone.id).unwrap().grants, grants);
    // As if that had been before grants added to levels.
    lab.store.conn.execute("UPDATE grants_add SET after_state = ?1", [old]).unwrap();
    assert!(lab.store.model_at(old).unwrap().topology.node(phone.id).unwrap().grants.is_empty());
    lab.write(|tx| tx.update_node(&Node { access: Access::Custom, ..plain.clone() }, at(3))).unwrap();
    back(&mut lab, old);
    assert!(lab.store.topology().unwrap().node(phone.id).unwrap().grants.is_empty());
}

#[test]
fn a_grant_made_again_that_permitted_nothing_before_is_in_the_history() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let granted = Node { grants: vec!["10.66.0.0/24 icmp".parse().unwrap()], access: Access::VpnOnly, ..phone.clone() };
    lab.write(|tx| tx.update_node(&granted, at(2))).unwrap();
    // As if that had been before grants added to levels: the grant was taken out of the model then, not out of its records.
    lab.store.conn.execute("UPDATE grants_add SET after_state = ?1", [newest(&lab)]).unwrap();
    lab.store.conn.execute("DELETE FROM grants", []).unwrap();
    lab.write(|tx| tx.update_node(&granted, at(3))).unwrap();
    let model = lab.store.model_at(newest(&lab)).unwrap();
    assert_eq!(model.topology, lab.store.topology().unwrap());
    assert_eq!(model.topology.node(phone.id).unwrap().grants, granted.grants);
}

#[test]
fn every_change_of_the_model_is_a_state_and_nothing_else_is() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    lab.write(|tx| tx.save_generated(phone.main().id, "wg0.conf", b"text", at(2))).unwrap();
    lab.write(|tx| tx.update_node(&phone, at(2))).unwrap(); // to what it is already
    lab.store.try_out(|tx| tx.delete_node(phone.id, at(3))).unwrap();
    let renamed = Node { name: name("alice"), ..phone.clone() };
    let event = Event::node(Action::PeerUpdated, &renamed);
    lab.store.write(at(5), &actor(), |tx| tx.update_node(&renamed, at(5)).map(|()| ((), event))).unwrap();
    let told = |s: &State| {
        let who = s.operator.as_deref().unwrap_or("nobody");
        format!("{} {} {who} {:?} {}", s.number, s.time.timestamp() - at(0).timestamp(), s.audit_entry, s.description)
    };
    let lines: Vec<String> = states(&lab).iter().map(told).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    3 5 kim Some(5) alice: peer updated
    2 1 kim Some(2) : peer updated
    1 0 kim Some(1) made the network office
    ");
    assert_eq!(lab.store.model_at(1).unwrap().topology.nodes, []);
    assert_eq!(lab.store.model_at(2).unwrap().topology.nodes, [phone]);
    assert_eq!(lab.store.model_at(3).unwrap().topology, lab.store.topology().unwrap());
    assert_eq!(lab.store.model_at(4).unwrap_err().to_string(), "there is no state `4`");
    assert!(lab.store.verify_audit(Some(lab.store.data_key())).unwrap().bad.is_none());
}

#[test]
fn a_state_costs_rows_for_what_it_changed_alone() {
    let mut lab = lab();
    let server = lab.add("hub", 1);
    lab.write(|tx| {
        for number in 0..500_u16 {
            let (mut node, private) = node(&format!("n{number}"), 0);
            let [high, low] = (number + 256).to_be_bytes();
            (node.address4, node.address6) = (Some([10, 66, high, low].into()), None);
            let node = tx.insert_node(node, Some(&private))?;
            let link = LinkId::between(server.main().id, node.main().id);
            tx.set_psk(link, &PresharedKey::from_random([1; 32]), at(1))?;
        }
        Ok(())
    })
    .unwrap();
    let before = rows(&lab);
    assert_eq!(before, 1 + 1 + 2 * 500, "the network, the server, and each node with its preshared key");
    let nodes = lab.store.topology().unwrap().nodes;
    for (count, mtu) in [(1, 1300), (2, 1310), (3, 1320)] {
        let node = Node { mtu: Some(mtu.try_into().unwrap()), ..nodes[7].clone() };
        lab.write(|tx| tx.update_node(&node, at(2))).unwrap();
        assert_eq!(rows(&lab), before + count);
    }
    lab.write(|tx| tx.delete_node(nodes[8].id, at(3))).unwrap();
    assert_eq!(rows(&lab), before + 5, "the node and its preshared key");
    lab.write(|tx| tx.update_network(&Network { keepalive: 30, ..network() })).unwrap();
    assert_eq!(rows(&lab), before + 6);
    let bytes: i64 = lab
        .store
        .conn
        .query_row("SELECT avg(length(value)) FROM state_values WHERE kind = 'node'", [], |row| {
            row.get::<_, f64>(0).map(|mean| mean as i64)
        })
        .unwrap();
    assert!(bytes < 400, "{bytes} bytes for a plain node");
}

#[test]
fn an_old_database_begins_its_history_with_what_is_there() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let (kim, key) = (actor(), lab.store.data_key().duplicate());
    lab.write(|tx| {
        tx.insert_host(&host("hub"))?;
        tx.save_document(phone.main().id, "[Interface]\n")
    })
    .unwrap();
    let was = live(&lab.store);
    // As it is after the migration from a time without history.
    lab.tamper(
        "DROP TRIGGER states_no_delete; DROP TRIGGER state_values_no_delete;
         DELETE FROM state_values; DELETE FROM state_documents; DELETE FROM states",
    );
    let mut store = lab.reopen().unlock_with(key).unwrap();
    assert_eq!(store.newest_state().unwrap(), None);
    assert_eq!(store.states(&StateFilter::default()).unwrap(), []);
    assert!(store.model_at(1).is_err());
    let event = Event::node(Action::PeerRemoved, &phone);
    store.write(at(7), &kim, |tx| tx.delete_node(phone.id, at(7)).map(|()| ((), event))).unwrap();
    let found = store.states(&StateFilter::default()).unwrap();
    let told: Vec<_> = found.iter().map(|s| (s.number, s.operator.as_deref(), s.description.as_str())).collect();
    assert_eq!(told, [(2, Some("kim"), "removed phone"), (1, None, "what was there when the history began")]);
    assert_same(&store.model_at(1).unwrap(), &was);
    store
        .write(at(8), &kim, |tx| tx.return_to(1, at(8)).map(|_| ((), Event::database(Action::ModelRolledBack))))
        .unwrap();
    assert_eq!(live(&store), was);
}

#[test]
fn the_history_is_added_to_and_never_changed() {
    let mut lab = lab();
    lab.add("phone", 9);
    for sql in [
        "UPDATE states SET operator = 'nobody'",
        "DELETE FROM states",
        "UPDATE state_values SET value = NULL",
        "DELETE FROM state_values",
    ] {
        let error = lab.store.conn.execute_batch(sql).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}

#[test]
fn states_are_found_by_time_and_by_what_they_concern() {
    let mut lab = lab();
    let (hub, phone) = (lab.add("hub", 1), lab.add("phone", 9));
    lab.write(|tx| tx.insert_host(&host("hub"))).unwrap();
    let link = LinkId::between(hub.main().id, phone.main().id);
    lab.write(|tx| tx.set_psk(link, &PresharedKey::from_random([2; 32]), at(2))).unwrap();
    let renamed = Node { name: name("alice"), ..phone.clone() };
    lab.write(|tx| tx.update_node(&renamed, at(3))).unwrap();
    lab.write(|tx| tx.delete_node(phone.id, at(4))).unwrap();
    let numbers = |filter: StateFilter| lab.store.states(&filter).unwrap().iter().map(|s| s.number).collect::<Vec<_>>();
    let about = |name: &str| {
        let about = Some(lab.store.ever_named(name).unwrap());
        numbers(StateFilter { about, ..StateFilter::default() })
    };
    assert_eq!(about("PHONE"), [7, 6, 5, 3]);
    assert_eq!(about("alice"), about("phone"), "whatever it was called when");
    assert_eq!(about("hub"), [7, 5, 4, 2], "the node and the host of that name");
    assert_eq!(lab.store.ever_named("bob").unwrap(), About::default());
    assert_eq!(numbers(StateFilter { limit: Some(2), ..StateFilter::default() }), [7, 6]);
    assert_eq!(numbers(StateFilter { since: Some(at(1)), ..StateFilter::default() }), [7, 6, 5, 4, 3, 2]);
    assert_eq!(numbers(StateFilter { since: Some(at(2)), ..StateFilter::default() }), [0; 0]);
    assert_eq!(lab.store.last_known(phone.id).unwrap().unwrap(), renamed);
}

#[test]
fn a_removed_node_comes_back_with_its_keys_and_what_was_known_of_it() {
    let mut lab = lab();
    let (hub, phone) = (lab.add("hub", 1), lab.add("phone", 9));
    let link = LinkId::between(hub.main().id, phone.main().id);
    let (lost, present, shared) = (phone.main().public_key, random_key(), PresharedKey::from_random([3; 32]));
    let from = Provenance {
        source: "wg0.conf".into(),
        host: None,
        format: "wg-quick".into(),
        size: 5,
        sha256: "ab".into(),
        lines: Some((1, 2)),
        time: at(1),
    };
    lab.write(|tx| {
        tx.set_psk(link, &shared, at(1))?;
        tx.record_provenance(phone.id, &from)?;
        tx.record_handout(phone.id, "qr", "cd", at(1))
    })
    .unwrap();
    let number = newest(&lab);
    lab.write(|tx| tx.replace_key(phone.main().id, present.public(), Some(&present), "lost", at(2))).unwrap();
    lab.write(|tx| tx.delete_node(phone.id, at(3))).unwrap();
    let returned = back(&mut lab, number);
    assert_eq!((returned.back.as_slice(), returned.new_keys.as_slice()), ([phone.id].as_slice(), [].as_slice()));
    let keys = lab.store.key_history(phone.id).unwrap();
    let told: Vec<_> = keys.iter().map(|k| (k.public_key, k.state, k.reason.as_deref(), k.held)).collect();
    assert_eq!(
        told,
        [(present.public(), KeyState::Active, None, true), (lost, KeyState::Retired, Some("lost"), true)],
        "the key that was lost stays retired"
    );
    let secrets = lab.store.secrets().unwrap();
    assert_eq!(*secrets.private[&phone.main().id].expose_base64(), *present.expose_base64());
    assert_eq!(*secrets.preshared[&link].expose_base64(), *shared.expose_base64());
    assert_eq!(lab.store.provenance(phone.id).unwrap(), [from]);
    assert_eq!(lab.store.handouts(phone.id).unwrap().len(), 1);
    for table in ["removed_keys", "removed_preshared_keys", "removed_provenance", "removed_handouts"] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(lab.store.conn.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{table}");
    }
}

#[test]
fn a_node_whose_key_somebody_else_has_taken_comes_back_with_a_new_one() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let other = lab.add("other", 10);
    let number = newest(&lab);
    lab.write(|tx| tx.delete_node(phone.id, at(2))).unwrap();
    let key = phone.main().public_key;
    lab.write(|tx| tx.replace_key(other.main().id, key, None, "moved", at(3))).unwrap();
    let returned = back(&mut lab, number);
    assert_eq!(
        (returned.new_keys.as_slice(), returned.kept_keys.as_slice()),
        ([phone.id].as_slice(), [other.id].as_slice())
    );
    let topology = lab.store.topology().unwrap();
    let node = topology.node(phone.id).unwrap();
    assert!(node.main().public_key != key && node.custody == Custody::Held && node.guid == phone.guid);
    assert_eq!(lab.store.secrets().unwrap().private[&node.main().id].public(), node.main().public_key);
    assert_eq!(topology.node(other.id).unwrap().main().public_key, key);
}

#[test]
fn a_preshared_key_may_be_replaced_twice_in_one_change() {
    let mut lab = lab();
    let (one, other) = (lab.add("one", 9), lab.add("other", 10));
    let link = LinkId::between(one.main().id, other.main().id);
    let key = || PresharedKey::from_random(*wg_friend_crypt::random().unwrap());
    lab.write(|tx| [1, 2, 3].into_iter().try_for_each(|second| tx.set_psk(link, &key(), at(second)))).unwrap();
    assert_eq!(lab.store.model_at(newest(&lab)).unwrap().preshared[&link], at(3));
}

#[test]
fn two_copies_share_the_states_up_to_the_one_at_which_they_parted() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let copy = lab.path.with_file_name("copy.db");
    lab.store.copy_to(&copy).unwrap();
    let shared = newest(&lab);
    let mut twin = Database::open(&copy).unwrap().unlock_with(lab.store.data_key().duplicate()).unwrap();
    assert_eq!(lab.store.shared_states(&twin).unwrap(), shared);
    // From here on both go on by themselves, at the same time.
    let (there, private) = node("tablet", 10);
    let event = || Event::database(Action::PeerUpdated).with("name", "tablet");
    twin.write(at(1), &actor(), |tx| tx.insert_node(there, Some(&private)).map(|node| (node.id, event()))).unwrap();
    lab.write(|tx| tx.delete_node(phone.id, at(1))).unwrap();
    assert_eq!(lab.store.shared_states(&twin).unwrap(), shared);
    assert_eq!(lab.store.shared_states(&lab.store).unwrap(), shared + 1);

    let (ours, theirs) = (lab.store.last_changes().unwrap(), twin.last_changes().unwrap());
    let last = |state, there| Last { state, time: Some(at(1)), there };
    assert_eq!(ours[&Thing::Node(phone.id)], last(shared + 1, false));
    assert_eq!(theirs[&Thing::Node(phone.id)], last(shared, true));
    assert!(lab.store.things_until(shared).unwrap().contains(&Thing::Node(phone.id)));
    let ever: Vec<_> = lab.store.nodes_ever().unwrap().into_iter().map(|node| node.guid).collect();
    assert_eq!(ever, [phone.guid], "the node that is gone is known");
    let model = twin.model_at(shared + 1).unwrap();
    assert_eq!(twin.model_now().unwrap(), model, "what is read of the tables is what the history says");
}

#[test]
fn a_forgotten_key_is_in_no_state_of_the_history() {
    let mut lab = lab();
    let phone = lab.add("phone", 9);
    let (id, old) = (phone.main().id, lab.store.secrets().unwrap().private.remove(&phone.main().id).unwrap());
    let text = format!("[Interface]\nPrivateKey = {}\n", *old.expose_base64());
    lab.write(|tx| tx.save_document(id, &text)).unwrap();
    let number = newest(&lab);
    lab.write(|tx| tx.edit_document(id, &format!("{text}# more\n"))).unwrap();
    let next = random_key();
    lab.write(|tx| tx.replace_key(id, next.public(), Some(&next), "yearly", at(2))).unwrap();
    lab.write(|tx| tx.forget_everywhere(id)).unwrap();
    back(&mut lab, number);
    let document = lab.store.documents().unwrap().remove(&id).unwrap();
    assert_eq!(*document, "[Interface]\nPrivateKey = \n");
    assert!(!lab.store.originals().unwrap()[&id].contains(old.expose_base64().as_str()));
    assert!(lab.store.key_history(phone.id).unwrap().iter().all(|key| !key.held));
}

/// One change, made of small numbers that are read as what there is to choose from.
type Step = (u8, u8, u8, u8);

fn pick<T>(from: &[T], number: u8) -> Option<&T> {
    if from.is_empty() { None } else { from.get(usize::from(number) % from.len()) }
}

/// Carries a step out, if it can be; most can.
fn step(tx: &Tx<'_>, (what, a, b, c): Step, time: i64) -> Result<(), Error> {
    let topology = tx.topology()?;
    let is = pick(&topology.nodes, a);
    let interfaces: Vec<InterfaceId> = topology.nodes.iter().flat_map(|n| &n.interfaces).map(|i| i.id).collect();
    let one = pick(&interfaces, a).copied();
    let link = one.zip(pick(&interfaces, b).copied()).map(|(one, two)| LinkId::between(one, two));
    let group = pick(&topology.exit_groups, a);
    match (what % 20, is, one, link) {
        (0 | 1, ..) => {
            let (node, private) = node(&format!("n{}", b % 6), 10 + c % 20);
            tx.insert_node(node, Some(&private)).map(|_| ())
        }
        (2, Some(is), ..) => tx.delete_node(is.id, at(time)),
        (3, Some(is), ..) => {
            let mut node = is.clone();
            node.name = name(&format!("n{}", b % 6));
            node.address4 = Some([10, 66, 0, 10 + c % 20].into());
            node.address6 = None;
            tx.update_node(&node, at(time))
        }
        (4, Some(is), ..) => {
            let mut node = is.clone();
            let cidr = |n: u8| format!("192.168.{n}.0/24").parse::<crate::model::Cidr>().unwrap();
            node.lans = (0..b % 3).map(|n| Lan { cidr: cidr(n), description: format!("lan {c}") }).collect();
            node.lan_selection = (0..c % 3).map(cidr).collect();
            node.grants =
                (0..b % 2).map(|n| Grant::from_str(&format!("10.{n}.0.0/16 tcp {}", c.max(1))).unwrap()).collect();
            node.notes = "x".repeat((b % 4).into());
            node.exit = pick(&topology.nodes, c).map(|exit| exit.id.into());
            tx.update_node(&node, at(time))
        }
        (5, Some(is), ..) => {
            let mut node = is.clone();
            node.host = pick(&topology.hosts, b).map(|host| host.name.clone());
            node.enabled = c % 2 == 0;
            node.interfaces[0].name = format!("wg{}", c % 5).parse().unwrap();
            tx.update_node(&node, at(time))
        }
        (6, Some(is), ..) => {
            let exit = pick(&topology.nodes, b).map_or(is.id, |node| node.id);
            let key = random_key();
            let name = format!("wgx{}", c % 4).parse().unwrap();
            tx.insert_uplink(is.id, exit, &name, Port::new(5000), key.public(), Some(&key), at(time)).map(|_| ())
        }
        (7, _, Some(one), _) => tx.delete_interface(one),
        (8, _, Some(one), _) => {
            let key = random_key();
            tx.replace_key(one, key.public(), Some(&key), "routine", at(time))
        }
        (9, _, _, Some(id)) => {
            let when_down = if b % 2 == 0 { WhenDown::Stay } else { WhenDown::Move };
            tx.put_link(Link { id, weight: Weight::try_from(u16::from(c % 4)).ok(), when_down }).map(|_| ())
        }
        (10, _, _, Some(link)) => tx.delete_link(link).map(|_| ()),
        (11, _, _, Some(link)) => tx.set_psk(link, &PresharedKey::from_random([c; 32]), at(time)),
        (12, _, Some(one), _) => tx.save_document(one, &format!("# {}\n", b % 3)),
        (13, ..) if c % 3 == 0 => tx.insert_host(&host(&format!("h{}", a % 4))),
        (13, ..) => match pick(&topology.hosts, a) {
            Some(is) if c % 3 == 1 => tx.delete_host(&is.name),
            Some(is) => tx.update_host(&is.name, &host(&format!("h{}", b % 4))),
            None => Ok(()),
        },
        (14, _, _, Some(link)) => tx.remove_psk(link).map(|_| ()),
        (15, ..) => tx.insert_exit_group(&exit_group(&topology, &format!("g{}", a % 3), b, c, time)).map(|_| ()),
        (16, ..) => match group {
            Some(is) if c % 3 == 0 => tx.delete_exit_group(is.id),
            Some(is) => {
                let changed = exit_group(&topology, &format!("g{}", b % 3), b, c, time);
                tx.update_exit_group(&ExitGroup { id: is.id, ..changed })
            }
            None => Ok(()),
        },
        (17, Some(is), ..) => {
            let by_group = pick(&topology.exit_groups, b).map(|group| Egress::Group(group.id));
            let exit = if c.is_multiple_of(3) { Some(Egress::None) } else { by_group };
            let kill_switch = [None, Some(true), Some(false)][usize::from(b % 3)];
            tx.update_node(&Node { exit, kill_switch, ..is.clone() }, at(time))
        }
        (18, ..) => {
            let by_group = pick(&topology.exit_groups, b).map(|group| Egress::Group(group.id));
            let exit = if c.is_multiple_of(2) { by_group } else { is.map(|node| Egress::Node(node.id)) };
            tx.update_network(&Network {
                exit: exit.unwrap_or_default(),
                kill_switch: b.is_multiple_of(2),
                ..network()
            })
        }
        _ => tx.update_network(&Network { keepalive: u16::from(c % 4), ..network() }),
    }
}

/// A group of whatever nodes there are: that they are exits is for others to see to.
fn exit_group(topology: &Topology, text: &str, b: u8, c: u8, time: i64) -> ExitGroup {
    let mut group = ExitGroup::new(name(text));
    for number in 0..c % 3 {
        if let Some(node) = pick(&topology.nodes, b.wrapping_add(number)) {
            group.put(ExitMember { exit: node.id, priority: u16::from(c), enabled: b.is_multiple_of(2) });
        }
    }
    let first = group.members.first().map(|member| member.exit);
    group.active = first.map(|exit| ActiveExit { exit, since: at(time), reason: SwitchReason::Manual });
    group
}

use std::str::FromStr as _;

/// Takes out of a topology what a return leaves as it is.
fn without_keys(mut topology: Topology) -> Topology {
    let none = PublicKey::from_bytes([0; 32]);
    for node in &mut topology.nodes {
        node.custody = Custody::Held;
        node.interfaces.iter_mut().for_each(|interface| interface.public_key = none);
    }
    topology
}

/// Returns the key that each interface uses.
fn keys(topology: &Topology) -> BTreeMap<InterfaceId, PublicKey> {
    topology.nodes.iter().flat_map(|node| &node.interfaces).map(|i| (i.id, i.public_key)).collect()
}

/// Retired keys of the database.
fn retired(store: &Store) -> Vec<String> {
    let sql = "SELECT public_key FROM keys WHERE state = 'retired'
               UNION SELECT public_key FROM removed_keys WHERE state = 'retired'";
    let mut statement = store.conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_every_state_can_be_rebuilt_and_returned_to(
        steps in prop::collection::vec(any::<Step>(), 10..60),
        target in any::<prop::sample::Index>(),
    ) {
        let mut lab = lab();
        lab.add("hub", 1);
        let mut seen = BTreeMap::from([(newest(&lab), live(&lab.store))]);
        for (time, one) in (10..).zip(steps) {
            let before = newest(&lab);
            let done = lab.write(|tx| step(tx, one, time)).is_ok();
            let now = live(&lab.store);
            let differs = seen.values().next_back() != Some(&now);
            prop_assert_eq!(newest(&lab) > before, differs, "a state for every change, and for nothing else: {:?}", one);
            prop_assert!(done || !differs);
            seen.insert(newest(&lab), now);
        }
        for (number, was) in &seen {
            assert_same(&lab.store.model_at(*number).unwrap(), was);
        }

        let (number, was) = seen.iter().nth(target.index(seen.len())).unwrap();
        let before = live(&lab.store);
        let retired_before = retired(&lab.store);
        let returned = back(&mut lab, *number);
        let now = live(&lab.store);
        prop_assert_eq!(without_keys(now.topology.clone()), without_keys(was.topology.clone()));
        prop_assert_eq!(&now.hosts, &was.hosts);
        prop_assert_eq!(&now.documents, &was.documents);
        let lacking = &returned.lacking;
        prop_assert!(was.preshared.keys().all(|link| now.preshared.contains_key(link) != lacking.contains(link)));
        prop_assert!(now.preshared.keys().all(|link| was.preshared.contains_key(link)));
        let (keys_before, keys_now) = (keys(&before.topology), keys(&now.topology));
        prop_assert!(keys_now.iter().all(|(id, key)| keys_before.get(id).is_none_or(|before| before == key)));
        prop_assert!(keys_now.values().all(|key| !retired_before.contains(&key.to_string())), "no retired key is back");
        // Nobody's private key is lost or swapped.
        let secrets = lab.store.secrets().unwrap();
        prop_assert!(keys_now.iter().all(|(id, key)| secrets.private[id].public() == *key));
        assert_same(&lab.store.model_at(newest(&lab)).unwrap(), &now);
        for (number, was) in &seen {
            assert_same(&lab.store.model_at(*number).unwrap(), was);
        }
        // And forth again: the keys were never touched, so all of it is as it was.
        let forth = *seen.keys().next_back().unwrap();
        let returned = back(&mut lab, forth);
        let again = live(&lab.store);
        prop_assert_eq!(&again.topology, &before.topology);
        prop_assert_eq!((&again.hosts, &again.documents), (&before.hosts, &before.documents));
        prop_assert!(again.preshared.len() + returned.lacking.len() == before.preshared.len());
        prop_assert!(lab.store.conn.query_row("PRAGMA foreign_key_check", [], |_| Ok(())).is_err(), "no row to report");
    }
}
