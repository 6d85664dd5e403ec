//! What stays away because of what, and what comes although it is near.

use super::super::together::together;
use super::sides::two;
use super::*;
use crate::model::{Become, Egress, Host, Kept, Name, Port, Via};
use crate::wg::compile::check;

fn lan(cidr: &str) -> Lan {
    Lan { cidr: cidr.parse().unwrap(), description: String::new() }
}

/// Has nodes leave by two exits one after the other, without an interface between those.
fn chain(model: &mut Model, names: &[&str]) {
    let via = Via::new(&[named(model, "berlin").id, named(model, "tokyo").id]).unwrap();
    names.iter().for_each(|name| named(model, name).exit = Some(Egress::Via(via)));
}

#[test]
fn who_is_only_named_beside_the_cause_comes() {
    let (mut ours, mut theirs) = (Copy::shared(), Copy::shared());
    ours.at(10, |model| named(model, "hub").endpoint = Some("203.0.113.1:51820".parse().unwrap()));
    theirs.at(20, |model| named(model, "office").lans.push(lan("203.0.113.0/24")));
    theirs.at(21, |model| add(model, "gina", 200));
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    + gina
    = hub ChangedHere
    = office Conflict: with it as the backup has it, `depot` would reach 203.0.113.1:51820, where it dials `hub`, through the tunnel itself, for it routes 203.0.113.0/24 there: give `hub` an endpoint outside of it; then merge again
    ");
}

#[test]
fn of_two_of_which_one_is_enough_one_stays() {
    let (mut ours, mut theirs) = two(|model| {
        model.topology.nodes.iter_mut().for_each(|node| node.lans.clear());
        named(model, "office").lans = vec![lan("192.168.10.0/24")];
        named(model, "depot").lans = vec![lan("192.168.20.0/24")];
        named(model, "carol").lan_selection.clear();
        named(model, "dave").grants = vec!["192.168.0.0/16".parse().unwrap()];
    });
    assert_eq!(check(&ours.model.topology), []);
    ours.at(30, |model| named(model, "dave").notes = "here".into());
    theirs.at(10, |model| {
        named(model, "dave").grants.clear();
        named(model, "office").lans = vec![lan("172.16.1.0/24")];
        named(model, "depot").lans = vec![lan("172.16.2.0/24")];
    });
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    ~ depot
    = office Conflict: with it as the backup has it, `dave` is granted `192.168.0.0/16 any`, which lies neither in the network nor in an advertised LAN: correct the destination; then merge again
    = dave NewerHere
    ");
}

#[test]
fn each_of_several_causes_stays() {
    let (mut ours, mut theirs) = two(|_| {});
    ours.at(30, |model| {
        named(model, "berlin").interfaces[0].kept = Some(Kept { made: false, firewall: false, ..Kept::made() });
    });
    theirs.at(10, |model| chain(model, &["alice", "bob"]));
    theirs.at(11, |model| named(model, "carol").notes = "there".into());
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    ~ carol
    = berlin ChangedHere
    = alice Conflict: with it as the backup has it, `berlin` keeps the firewall rules that it was adopted with, so it can't be told to send anything on to `tokyo`: put it last, or let it follow the model: `wg-friend hooks adopt berlin`; then merge again
    = bob Conflict: with it as the backup has it, `berlin` keeps the firewall rules that it was adopted with, so it can't be told to send anything on to `tokyo`: put it last, or let it follow the model: `wg-friend hooks adopt berlin`; then merge again
    ");
}

#[test]
fn an_uplink_that_will_be_made_hides_nothing_else() {
    let (mut ours, mut theirs) = two(|_| {});
    ours.at(30, |model| named(model, "berlin").notes = "here".into());
    theirs.at(10, |model| chain(model, &["alice"]));
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    ~ alice
    = berlin ChangedHere
    ");
    ours.at(31, |model| named(model, "hub").endpoint = Some("203.0.113.1:51820".parse().unwrap()));
    theirs.at(20, |model| named(model, "office").lans.push(lan("203.0.113.0/24")));
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    ~ alice
    = hub ChangedHere
    = office Conflict: with it as the backup has it, `depot` would reach 203.0.113.1:51820, where it dials `hub`, through the tunnel itself, for it routes 203.0.113.0/24 there: give `hub` an endpoint outside of it; then merge again
    = berlin ChangedHere
    ");
}

#[test]
fn a_node_that_is_barred_and_has_another_key_there_is_listed() {
    let (ours, mut theirs) = two(|_| {});
    rotate(&mut theirs, 10, "alice", 71);
    let barred = Barred::from([(Thing::Node(NodeId(6)), "it is another's".to_owned())]);
    let merged = merged_by(&ours, &theirs, Prefer::Newer, &barred);
    assert_eq!((&merged.model, merged.keys.len()), (&ours.model, 0));
    insta::assert_snapshot!(said(&ours, &merged), @"= alice Conflict: it is another's");
}

#[test]
fn an_old_contradiction_is_known_by_any_name() {
    let (ours, mut theirs) = two(|model| {
        named(model, "dave").grants = vec!["172.16.0.0/16".parse().unwrap()];
        named(model, "hub").lans.push(lan("10.66.0.0/25"));
    });
    assert_eq!(check(&ours.model.topology).len(), 2);
    theirs.at(10, |model| named(model, "dave").name = "david".parse().unwrap());
    theirs.at(11, |model| model.topology.network.name = "away".parse().unwrap());
    theirs.at(12, |model| named(model, "hub").name = "core".parse().unwrap());
    insta::assert_snapshot!(said(&ours, &merged(&ours, &theirs)), @"
    ~ Network(NetworkId(1))
    ~ core
    ~ david
    ");
}

/// A network that is only a server, on a host.
fn on_host(name: &str, number: u8) -> Copy {
    let mut model = Copy::shared().model;
    let topology = &mut model.topology;
    let host: Name = "shared".parse().unwrap();
    topology.hosts = vec![Host::new(host.clone(), "root@192.0.2.1".parse().unwrap(), Become::Root)];
    topology.nodes.truncate(1);
    topology.groups.clear();
    topology.network.name = name.parse().unwrap();
    topology.network.cidr4 = Some(format!("10.{number}.0.0/16").parse().unwrap());
    topology.network.cidr6 = None;
    let hub = &mut topology.nodes[0];
    hub.interfaces.truncate(1);
    hub.interfaces[0].name = format!("wg{number}").parse().unwrap();
    hub.interfaces[0].listen_port = Port::new(51000 + u16::from(number));
    hub.lans.clear();
    (hub.host, hub.address4, hub.address6) = (Some(host), Some([10, number, 0, 1].into()), None);
    Copy::of(model)
}

/// Merges networks, and says what came of each.
fn merged_together(both: &[(&Copy, &Copy)], untouched: &[&Copy]) -> String {
    let (mut hosts, documents) = (no_hosts(), BTreeSet::new());
    hosts.names = BTreeMap::from([("shared".parse().unwrap(), Some("shared".parse().unwrap()))]);
    let terms: Vec<Terms<'_>> =
        both.iter().map(|(ours, theirs)| terms((ours, theirs), Prefer::Newer, &documents)).collect();
    let pairs = both.iter().zip(&terms);
    let pairs: Vec<Pair<'_>> =
        pairs.map(|((ours, theirs), terms)| Pair::new((&ours.model, &theirs.model), &hosts, terms)).collect();
    let untouched: Vec<Topology> = untouched.iter().map(|copy| copy.model.topology.clone()).collect();
    let merged = together(&pairs, &vec![Barred::new(); both.len()], &untouched).unwrap();
    let said = both.iter().zip(&merged).map(|((ours, _), merged)| said(ours, merged));
    said.collect::<Vec<_>>().join("\n--\n")
}

fn at_port(model: &mut Model, port: u16) {
    named(model, "hub").interfaces[0].listen_port = Port::new(port);
}

#[test]
fn what_clashes_on_a_host_by_a_key_alone_keeps_the_key_away_and_nothing_else() {
    let (mut ours, mut theirs, mut lab) = (on_host("office", 66), on_host("office", 66), on_host("lab", 67));
    rotate(&mut theirs, 10, "hub", 71);
    theirs.at(11, |model| at_port(model, 7777));
    theirs.at(12, |model| model.topology.network.keepalive = 99);
    ours.at(30, |model| named(model, "hub").notes = "here".into());
    lab.at(31, |model| at_port(model, 7777));
    insta::assert_snapshot!(merged_together(&[(&ours, &theirs)], &[&lab]), @"
    ~ Network(NetworkId(1))
    = hub Conflict: on the host `shared`, `hub` of the network `office` and `hub` of the network `lab` both listen on port 7777: give one of them another with `wg-friend set NODE port=PORT`; then merge again
    ");
}

#[test]
fn an_old_clash_on_a_host_is_known_by_any_name() {
    let (office, lab) = (on_host("office", 66), on_host("lab", 66));
    let (mut theirs, mut labs) = (office.clone(), lab.clone());
    theirs.at(10, |model| {
        named(model, "hub").name = "core".parse().unwrap();
        model.topology.network.name = "head".parse().unwrap();
    });
    labs.at(11, |model| named(model, "hub").name = "bench".parse().unwrap());
    insta::assert_snapshot!(merged_together(&[(&office, &theirs), (&lab, &labs)], &[]), @"
    ~ Network(NetworkId(1))
    ~ core
    --
    ~ bench
    ");
    insta::assert_snapshot!(merged_together(&[(&office, &theirs)], &[&lab]), @"
    ~ Network(NetworkId(1))
    ~ core
    ");
}
