//! A group of exits goes by another exit.

use std::collections::BTreeSet;

use super::{Kind, Scene, changes, work};
use crate::model::{ActiveExit, Egress, ExitGroup, ExitGroupId, ExitMember, SwitchReason};
use crate::ops::deploy::change::Disruption;
use crate::ops::deploy::diff;

/// A network whose alice leaves by a group that goes by this exit.
fn by(exit: &str) -> Scene {
    let mut scene = Scene::new();
    let id = |scene: &Scene, name: &str| scene.topology.nodes.iter().find(|n| n.name.as_str() == name).unwrap().id;
    let mut group = ExitGroup { id: ExitGroupId(1), ..ExitGroup::new("europe".parse().unwrap()) };
    for member in ["berlin", "tokyo"] {
        let exit = id(&scene, member);
        group.put(ExitMember { exit, priority: ExitMember::PRIORITY, enabled: true });
    }
    let (exit, since) = (id(&scene, exit), chrono::DateTime::UNIX_EPOCH);
    group.active = Some(ActiveExit { exit, since, reason: SwitchReason::Manual });
    scene.topology.exit_groups.push(group);
    scene.node("alice").exit = Some(Egress::Group(ExitGroupId(1)));
    scene
}

#[test]
fn a_group_that_goes_by_another_exit_has_its_routes_replaced_in_one_go() {
    let (before, after) = (by("berlin"), by("tokyo"));
    let (deployed, seen) = (before.deployed(), before.observed(&before.answer()));
    let found = changes(&after, Some(&deployed), &seen);
    insta::assert_snapshot!(found.join("\n"), @"
    pending wgx1 - route 0.0.0.0/0 table 7790001
    pending wgx1 - route ::/0 table 7790001
    pending wgx2 + route 0.0.0.0/0 table 7790001
    pending wgx2 + route ::/0 table 7790001
    pending - ~ file wgx1.conf other text -> the model's
    pending - ~ file wgx2.conf other text -> the model's
    ");
    let all = diff(&after.desired(), &after.secrets, Some(&deployed), &seen);
    assert!(all.iter().all(|change| change.disruption == Disruption::Live), "{all:?}");
    let steps = work(&after, Some(&deployed), &seen).steps;
    let lines: Vec<String> = steps.iter().map(|step| format!("{} | {}", step.run, step.undo)).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    ip -4 route replace 0.0.0.0/0 dev wgx2 table 7790001 | ip -4 route replace 0.0.0.0/0 dev wgx1 table 7790001
    ip -6 route replace ::/0 dev wgx2 table 7790001 | ip -6 route replace ::/0 dev wgx1 table 7790001
    ");
}

#[test]
fn an_uplink_that_comes_up_takes_the_routes_over_by_itself() {
    let (before, after) = (by("berlin"), by("tokyo"));
    let deployed = before.deployed();
    let mut seen = before.observed(&before.answer());
    seen.interfaces.remove(&"wgx2".parse().unwrap());
    let steps = work(&after, Some(&deployed), &seen).steps;
    assert!(steps.iter().all(|step| !step.run.contains("route del")), "no moment without a route: {steps:?}");
    let left: Vec<&str> = steps.iter().filter(|s| s.kind == Kind::RouteExtra).map(|s| s.undo.as_str()).collect();
    assert_eq!(
        left,
        ["ip -4 route replace 0.0.0.0/0 dev wgx1 table 7790001", "ip -6 route replace ::/0 dev wgx1 table 7790001"]
    );
    assert!(steps.last().is_some_and(|step| step.run.contains("w_up_from wgx2")), "{steps:?}");
}

#[test]
fn the_way_of_a_group_is_there_before_anybody_is_marked_for_it() {
    let (before, after) = (Scene::new(), by("berlin"));
    let steps = work(&after, Some(&before.deployed()), &before.observed(&before.answer())).steps;
    let first = |kind: Kind| steps.iter().position(|step| step.kind == kind).unwrap();
    let last = |kind: Kind| steps.iter().rposition(|step| step.kind == kind).unwrap();
    assert!(last(Kind::RouteMissing) < first(Kind::RuleMissing), "{steps:?}");
    assert!(last(Kind::RuleMissing) < first(Kind::Firewall), "{steps:?}");
}

#[test]
fn no_route_is_led_into_an_uplink_before_it_is_up() {
    let scene = by("berlin");
    let mut seen = scene.observed(&scene.answer());
    let uplink = seen.interfaces.get_mut(&"wgx1".parse().unwrap()).unwrap();
    (uplink.up, uplink.routes) = (false, BTreeSet::new()); // as `ip link set wgx1 down` leaves it
    let steps = work(&scene, Some(&scene.deployed()), &seen).steps;
    let at = |kind: Kind| steps.iter().position(|step| step.kind == kind).unwrap();
    assert!(at(Kind::LinkDown) < at(Kind::RouteMissing), "{steps:?}");
}
