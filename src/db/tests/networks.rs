//! Several networks in one database, as the store keeps them apart.

use super::{Lab, at, host, lab, name, network, node};
use crate::db::{Acknowledgement, DriftItem, Error, Kind, Scan};
use crate::model::{
    DriftKind, ExitGroup, Group, Link, LinkId, Network, Node, NodeId, PresharedKey, ScanOutcome, Severity, WhenDown,
};

/// Another network with the same prefixes as the first one.
fn second() -> Network {
    Network { name: name("lab"), interface: "wg1".parse().unwrap(), ..network() }
}

/// A database with two networks, of which the first is chosen.
fn two() -> Lab {
    let mut lab = lab();
    lab.write(|tx| tx.insert_network(&second())).unwrap();
    lab.store.choose(Some("office")).unwrap();
    lab
}

fn choose(lab: &Lab, network: &str) {
    lab.store.choose(Some(network)).unwrap();
}

fn names(lab: &Lab) -> Vec<String> {
    lab.store.topology().unwrap().nodes.iter().map(|node| node.name.to_string()).collect()
}

#[test]
fn the_only_network_is_chosen_and_one_of_several_has_to_be_named() {
    let mut lab = lab();
    assert_eq!(lab.store.network().unwrap().name, name("office"));
    lab.write(|tx| tx.insert_network(&second())).unwrap();
    assert_eq!(lab.store.network().unwrap().name, name("office"), "what is chosen stays so");
    let fresh = lab.reopen();
    let error = fresh.topology().unwrap_err();
    assert_eq!(error.to_string(), "the database has several networks, and none is named: `office`, `lab`");
    assert_eq!(error.kind(), Kind::Usage);
    fresh.choose(Some("LAB")).unwrap();
    assert_eq!(fresh.network().unwrap(), second());
    fresh.choose(Some("shop")).unwrap(); // what needs no network isn't held up
    let error = fresh.topology().unwrap_err();
    assert_eq!(error.to_string(), "there is no network `shop`: the database has `office`, `lab`");
    assert_eq!(fresh.networks().unwrap().len(), 2);
    let other = lab.store.another().unwrap();
    assert_eq!(other.network().unwrap().name, name("office"), "another connection is about the same one");
}

#[test]
fn what_is_written_and_read_is_the_chosen_networks_alone() {
    let mut lab = two();
    let (one, two) = (lab.add("hub", 1), lab.add("phone", 9));
    let link = LinkId::between(one.main().id, two.main().id);
    lab.write(|tx| {
        tx.put_link(Link { id: link, weight: None, when_down: WhenDown::Stay })?;
        tx.set_psk(link, &PresharedKey::from_random([1; 32]), at(1))?;
        tx.insert_exit_group(&ExitGroup::new(name("europe")))?;
        tx.insert_group(&Group { name: name("staff"), ..group(&two) })
    })
    .unwrap();
    let office = lab.store.topology().unwrap();
    assert_eq!((office.nodes.len(), office.links.len(), office.groups.len(), office.exit_groups.len()), (2, 1, 1, 1));

    choose(&lab, "lab");
    let empty = lab.store.topology().unwrap();
    assert_eq!((empty.nodes.len(), empty.links.len(), empty.groups.len(), empty.exit_groups.len()), (0, 0, 0, 0));
    assert!(lab.store.secrets().unwrap().private.is_empty() && lab.store.preshared_links().unwrap().is_empty());
    // The same names and addresses are free there.
    lab.add("hub", 1);
    assert_eq!(names(&lab), ["hub"]);
    assert_eq!(lab.store.secrets().unwrap().private.len(), 1);
    let id = lab.store.networks().unwrap()[0].0;
    assert_eq!(lab.store.topology_of(id).unwrap(), office);
    assert_eq!(names(&lab), ["hub"], "the chosen one stays chosen");
    choose(&lab, "office");
    assert_eq!(lab.store.topology().unwrap(), office);
}

fn group(member: &Node) -> Group {
    Group {
        id: crate::model::GroupId(0),
        name: name("x"),
        note: String::new(),
        members: [member.id].into(),
        grants: Vec::new(),
        exit_rules: Vec::new(),
    }
}

#[test]
fn an_address_that_was_given_up_rests_in_its_own_network() {
    let mut lab = two();
    let phone = lab.add("phone", 9);
    lab.write(|tx| tx.delete_node(phone.id, at(5))).unwrap();
    assert_eq!(lab.store.released_since(at(0)).unwrap().len(), 2);
    choose(&lab, "lab");
    assert!(lab.store.released_since(at(0)).unwrap().is_empty());
    lab.add("phone", 9);
    choose(&lab, "office");
    assert_eq!(lab.store.released_since(at(0)).unwrap().len(), 2, "nobody took it there");
}

#[test]
fn each_network_goes_back_to_a_state_by_itself() {
    let mut lab = two();
    lab.add("hub", 1);
    choose(&lab, "lab");
    lab.add("hub", 1);
    let then = lab.store.newest_state().unwrap().unwrap();
    lab.add("later", 2);
    choose(&lab, "office");
    lab.add("phone", 9);
    let office = lab.store.topology().unwrap();

    choose(&lab, "lab");
    let known = |lab: &Lab| lab.store.model_at(then).unwrap().topology.nodes.len();
    assert_eq!(known(&lab), 1);
    lab.write(|tx| tx.return_to(then, at(9))).unwrap();
    assert_eq!(names(&lab), ["hub"]);
    choose(&lab, "office");
    assert_eq!(lab.store.topology().unwrap(), office, "the other one is as it was");
    assert_eq!(known(&lab), 1);
    // A state from before a network has nothing of it.
    choose(&lab, "lab");
    let error = lab.store.model_at(1).unwrap_err();
    assert_eq!(error.to_string(), "the network `lab` wasn't there at state 1");
    assert!(lab.store.verify_audit(Some(lab.store.data_key())).unwrap().bad.is_none());
    let ever = lab.store.ever_named("hub").unwrap();
    assert_eq!(ever.nodes.len(), 1, "of the other network's hub nothing is told");
}

/// Adds a remote that lives on a host.
fn add_on(lab: &mut Lab, text: &str, last: u8, on: &str) -> Node {
    let (mut new, private) = node(text, last);
    new.host = Some(name(on));
    lab.write(|tx| tx.insert_node(new, Some(&private))).unwrap()
}

#[test]
fn going_back_leaves_hosts_of_other_networks_as_they_are() {
    let mut lab = two();
    let before = lab.store.newest_state().unwrap().unwrap();
    lab.write(|tx| {
        tx.insert_host(&host("shared"))?;
        tx.insert_host(&host("own"))
    })
    .unwrap();
    add_on(&mut lab, "hub", 1, "shared");
    let then = lab.store.newest_state().unwrap().unwrap();
    choose(&lab, "lab");
    add_on(&mut lab, "hub", 1, "shared");
    lab.write(|tx| tx.update_host(&name("shared"), &host("renamed"))).unwrap();

    choose(&lab, "office");
    let hosts =
        |lab: &Lab| -> Vec<String> { lab.store.hosts().unwrap().iter().map(|host| host.name.to_string()).collect() };
    lab.write(|tx| tx.return_to(then, at(9))).unwrap();
    assert_eq!(hosts(&lab), ["own", "renamed"], "its name is not this network's to take back");
    assert_eq!(lab.store.topology().unwrap().nodes[0].host, Some(name("renamed")));
    lab.write(|tx| tx.return_to(before, at(10))).unwrap();
    assert_eq!(hosts(&lab), ["renamed"], "the other network's node lives there");
    assert_eq!(names(&lab), Vec::<String>::new());
    choose(&lab, "lab");
    assert_eq!(lab.store.topology().unwrap().nodes[0].host, Some(name("renamed")));
}

#[test]
fn whose_an_interface_is_stays_known_when_it_is_gone() {
    let mut lab = two();
    let office = lab.add("phone", 9);
    choose(&lab, "lab");
    let own = lab.add("phone", 9);
    let ids = [office.main().id, own.main().id];
    assert_eq!(lab.store.of_others(&ids).unwrap(), [ids[0]].into());
    lab.write(|tx| tx.delete_node(own.id, at(5))).unwrap();
    assert_eq!(lab.store.of_others(&ids).unwrap(), [ids[0]].into());
    choose(&lab, "office");
    assert_eq!(lab.store.of_others(&ids).unwrap(), [ids[1]].into());
}

#[test]
fn neighbours_are_the_networks_on_the_same_hosts() {
    let mut lab = two();
    lab.write(|tx| tx.insert_host(&host("shared"))).unwrap();
    add_on(&mut lab, "hub", 1, "shared");
    choose(&lab, "lab");
    lab.add("phone", 9);
    assert!(lab.store.neighbours().unwrap().is_empty());
    add_on(&mut lab, "hub", 1, "shared");
    let neighbours = lab.store.neighbours().unwrap();
    assert_eq!(neighbours.iter().map(|one| one.network.name.clone()).collect::<Vec<_>>(), [name("office")]);
    let residents = lab.store.residents_of_others().unwrap();
    assert_eq!(residents, [(name("shared"), name("office"), name("hub"))]);
}

#[test]
fn a_network_goes_with_all_that_is_in_it() {
    let mut lab = two();
    lab.add("hub", 1);
    let office = lab.store.topology().unwrap();
    choose(&lab, "lab");
    let (one, exit) = (lab.add("hub", 1), lab.add("exit", 2));
    let key = super::random_key();
    lab.write(|tx| {
        let uplink = "wgx1".parse().unwrap();
        tx.insert_uplink(one.id, exit.id, &uplink, None, key.public(), Some(&key), at(2))?;
        tx.insert_group(&Group { name: name("staff"), ..group(&one) })?;
        tx.update_node(&Node { exit: Some(exit.id.into()), server: Some(exit.id), ..one.clone() }, at(2)).err();
        tx.update_network(&Network { exit: exit.id.into(), ..second() })
    })
    .unwrap();
    lab.write(|tx| tx.delete_network()).unwrap();
    assert!(matches!(lab.store.topology().unwrap_err(), Error::NoNetworkChosen { .. }));
    lab.store.choose(None).unwrap();
    assert_eq!(lab.store.topology().unwrap(), office);
    assert_eq!(lab.store.model_at(lab.store.newest_state().unwrap().unwrap()).unwrap().topology, office);
    assert_eq!(lab.store.last_known(NodeId(one.id.0)).unwrap().unwrap().name, name("hub"));
}

#[test]
fn drift_is_told_of_the_network_that_looked() {
    let mut lab = two();
    lab.write(|tx| tx.insert_host(&host("shared"))).unwrap();
    let item = |interface: &str| DriftItem {
        id: format!("{interface}-mtu"),
        interface: Some(interface.parse().unwrap()),
        kind: DriftKind::MtuChanged,
        subject: String::new(),
        found: Some("1400".into()),
        wanted: Some("1420".into()),
        severity: Severity::Warning,
    };
    let scan = |lab: &mut Lab, time: i64, found: Vec<DriftItem>| {
        let scan = Scan {
            host: name("shared"),
            time: at(time),
            duration: std::time::Duration::from_millis(1),
            outcome: if found.is_empty() { ScanOutcome::Clean } else { ScanOutcome::Drift },
            items: found.len(),
            acknowledged: 0,
            note: None,
        };
        lab.store.record_drift(&[(scan, found)], at(0)).unwrap();
    };
    scan(&mut lab, 1, vec![item("wg0")]);
    let ack = Acknowledgement {
        host: name("shared"),
        item: item("wg0"),
        reason: "for now".into(),
        operator: "kim".into(),
        time: at(2),
        until: None,
    };
    lab.write(|tx| tx.acknowledge_drift(&ack)).unwrap();
    choose(&lab, "lab");
    assert_eq!(lab.store.latest_drift(&name("shared")).unwrap(), None);
    scan(&mut lab, 3, Vec::new());
    assert!(lab.store.drift_acks(None).unwrap().is_empty());
    choose(&lab, "office");
    let present = lab.store.latest_drift(&name("shared")).unwrap().unwrap();
    assert_eq!(present.len(), 1, "what another network's look didn't find is still there");
    assert_eq!(lab.store.drift_acks(None).unwrap(), [ack]);
    scan(&mut lab, 4, vec![item("wg0")]);
    assert_eq!(lab.store.drift_items(None, at(0)).unwrap()[0].scans, 2);
}
