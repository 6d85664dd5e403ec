//! Tests of who is due when: each rule by itself, and all of them against a count made in another way.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::due::{Amount, Facts, Standing, State, Why, standings};
use super::view::{SOON_DAYS, list_of, summary};
use crate::db::{KeyOf, RecordedEvent, RightsChange, Traffic};
use crate::model::{
    Group, GroupId, InterfaceId, KeyState, Node, NodeId, PolicyId, PublicKey, Role, RotationEvent, RotationPolicy,
    Selector, Trigger,
};
use crate::wg::compile::fixture::Fixture;

fn now() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn days_ago(days: i64) -> DateTime<Utc> {
    now() - TimeDelta::days(days)
}

fn policy(name: &str, trigger: Trigger, scope: &[Selector]) -> RotationPolicy {
    RotationPolicy {
        id: PolicyId(1),
        name: name.parse().unwrap(),
        trigger,
        scope: scope.iter().copied().collect(),
        enabled: true,
        auto_deploy: false,
        notice_days: 7,
        created: days_ago(1000),
    }
}

/// A network in which every key was made so many days ago, and nothing has happened.
fn facts(days: i64) -> Facts {
    let topology = Fixture::everything().topology;
    let interfaces = topology.nodes.iter().flat_map(|node| &node.interfaces);
    let keys = interfaces.map(|own| KeyOf {
        interface: own.id,
        public_key: own.public_key,
        state: KeyState::Active,
        created: days_ago(days),
    });
    let keys = keys.collect();
    Facts { topology, policies: Vec::new(), keys, events: Vec::new(), rights: Vec::new(), traffic: Vec::new() }
}

fn node<'f>(facts: &'f Facts, name: &str) -> &'f Node {
    facts.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap()
}

fn of<'s>(standings: &'s [Standing], name: &str) -> &'s Standing {
    standings.iter().find(|node| node.node.as_str() == name).unwrap()
}

/// What went between a remote and the hub, as the hub counts it, under both present keys.
fn traffic(facts: &Facts, name: &str, bytes: u64) -> Traffic {
    let (hub, far) = (node(facts, "hub").main(), node(facts, name).main());
    Traffic {
        near: hub.id,
        near_key: Some(hub.public_key),
        far: far.id,
        far_key: Some(far.public_key),
        rx: bytes,
        tx: 0,
        first: days_ago(1),
        last: days_ago(1),
    }
}

fn event(facts: &Facts, name: &str, kind: RotationEvent, days: i64) -> RecordedEvent {
    let (node, time) = (node(facts, name).id, days_ago(days));
    RecordedEvent { node, kind, time, operator: "kim".into(), note: String::new() }
}

fn due(facts: &Facts) -> BTreeSet<String> {
    let all = standings(facts, now(), None);
    all.into_iter().filter(|node| node.state == State::Due).map(|node| node.node.to_string()).collect()
}

#[test]
fn a_key_is_due_on_the_day_that_its_policy_says_and_told_of_a_week_before() {
    let state = |days| {
        let mut facts = facts(days);
        facts.policies = vec![policy("quarterly", Trigger::Days(90), &[Selector::All])];
        of(&standings(&facts, now(), None), "alice").state
    };
    assert_eq!([82, 83, 89, 90].map(state), [State::InOrder, State::Soon, State::Soon, State::Due]);
}

#[test]
fn fifty_gigabytes_make_a_key_due_and_a_byte_less_does_not() {
    let mut facts = facts(30);
    facts.policies = vec![policy("heavy", Trigger::Bytes(50_000_000_000), &[Selector::Role(Role::Remote)])];
    facts.traffic = vec![traffic(&facts, "alice", 50_000_000_000), traffic(&facts, "bob", 49_999_999_999)];
    assert_eq!(due(&facts), ["alice".to_owned()].into());
    let all = standings(&facts, now(), None);
    assert_eq!(of(&all, "alice").why.to_string(), "50 GB used, 50 GB allowed");
    assert_eq!(of(&all, "bob").why.to_string(), "49.99 GB used, 50 GB allowed", "rounded up it would lie");
    assert_eq!(of(&all, "bob").state, State::Soon, "at that rate it is a matter of moments");
    assert_eq!(of(&all, "carol").next, None, "nobody can tell");
    let strict = standings(&facts, now(), Some(TimeDelta::zero()));
    assert_eq!(of(&strict, "bob").state, State::InOrder);
}

#[test]
fn what_went_under_the_key_before_does_not_count() {
    let mut facts = facts(30);
    facts.policies = vec![policy("heavy", Trigger::Bytes(1000), &[Selector::All])];
    facts.traffic = vec![Traffic { far_key: None, ..traffic(&facts, "alice", 5000) }];
    assert_eq!(due(&facts), ["hub".to_owned()].into(), "the hub has had its key all along");
    assert_eq!(of(&standings(&facts, now(), None), "alice").traffic.total, 5000);
}

#[test]
fn an_event_counts_until_there_is_another_key_and_a_lost_one_until_the_old_key_is_gone() {
    let mut facts = facts(30);
    let kinds = [RotationEvent::DeviceLost, RotationEvent::OperatorRemoved, RotationEvent::GrantChanged];
    facts.policies = vec![policy("incidents", Trigger::Events(kinds.into()), &[Selector::All])];
    facts.events = vec![
        event(&facts, "alice", RotationEvent::DeviceLost, 3),
        event(&facts, "bob", RotationEvent::OperatorRemoved, 3),
        event(&facts, "carol", RotationEvent::OperatorRemoved, 31),
        event(&facts, "office", RotationEvent::Compromise, 3),
    ];
    facts.rights = vec![RightsChange { node: node(&facts, "depot").id, time: days_ago(2) }];
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(due(&facts), named(&["alice", "bob", "depot"]), "carol's came before her key, office's isn't asked for");
    let all = standings(&facts, now(), None);
    assert!(of(&all, "alice").urgent && !of(&all, "bob").urgent);
    assert_eq!(of(&all, "depot").why.to_string(), "grant changed on 2026-05-30");

    for name in ["alice", "bob"] {
        let (interface, public_key) = (node(&facts, name).main().id, PublicKey::from_bytes([name.as_bytes()[0]; 32]));
        facts.keys.push(KeyOf { interface, public_key, state: KeyState::Staged, created: days_ago(1) });
    }
    assert_eq!(due(&facts), named(&["alice", "depot"]), "whoever found alice's phone still gets in");
}

#[test]
fn the_policy_that_is_due_first_counts_and_counts_once() {
    let mut facts = facts(100);
    facts.policies = vec![
        policy("quarterly", Trigger::Days(90), &[Selector::All]),
        policy("monthly", Trigger::Days(30), &[Selector::Role(Role::Remote)]),
        RotationPolicy { enabled: false, ..policy("weekly", Trigger::Days(7), &[Selector::All]) },
    ];
    let all = standings(&facts, now(), None);
    assert_eq!(of(&all, "alice").policy.as_str(), "monthly");
    assert_eq!(of(&all, "office").policy.as_str(), "quarterly");
    let enabled = facts.topology.nodes.iter().filter(|node| node.enabled).count();
    assert_eq!(all.len(), enabled);
    // What can't wait comes before what has been due for longer.
    facts.policies.push(policy("incidents", Trigger::Events([RotationEvent::Compromise].into()), &[Selector::All]));
    facts.events = vec![event(&facts, "alice", RotationEvent::Compromise, 1)];
    assert_eq!(of(&standings(&facts, now(), None), "alice").policy.as_str(), "incidents");
}

#[test]
fn hosts_are_deployed_where_any_policy_by_which_a_key_is_due_says_so() {
    let mut facts = facts(100);
    let deploying = RotationPolicy { auto_deploy: true, ..policy("deploys", Trigger::Days(95), &[Selector::All]) };
    facts.policies = vec![policy("monthly", Trigger::Days(30), &[Selector::Role(Role::Remote)]), deploying];
    let all = standings(&facts, now(), None);
    assert_eq!((of(&all, "alice").policy.as_str(), of(&all, "alice").auto_deploy), ("monthly", true));
    facts.policies[1].trigger = Trigger::Days(110);
    let all = standings(&facts, now(), None);
    assert!(!of(&all, "alice").auto_deploy, "it isn't due by that one yet");
    assert!(of(&all, "office").auto_deploy, "which is the only one here");
}

#[test]
fn nodes_that_come_later_are_covered_by_their_role_and_their_groups() {
    let mut facts = facts(100);
    let group = GroupId(4);
    facts.policies = vec![policy("theirs", Trigger::Days(90), &[Selector::Group(group), Selector::Role(Role::Exit)])];
    assert_eq!(due(&facts), ["berlin".to_owned(), "tokyo".to_owned()].into());
    let members = [node(&facts, "bob").id].into();
    let name = "contractors".parse().unwrap();
    let contractors =
        Group { id: group, name, note: String::new(), members, grants: Vec::new(), exit_rules: Vec::new() };
    facts.topology.groups.push(contractors);
    assert_eq!(due(&facts), ["berlin".to_owned(), "bob".to_owned(), "tokyo".to_owned()].into());
    facts.topology.nodes.iter_mut().find(|node| node.name.as_str() == "bob").unwrap().enabled = false;
    assert_eq!(
        due(&facts),
        ["berlin".to_owned(), "tokyo".to_owned()].into(),
        "who is switched off has no key in force"
    );
}

#[test]
fn what_only_a_person_can_replace_says_how() {
    let mut facts = facts(100);
    facts.policies = vec![policy("quarterly", Trigger::Days(90), &[Selector::All])];
    for node in &mut facts.topology.nodes {
        match node.name.as_str() {
            "alice" => node.custody = crate::model::Custody::NeverSeen,
            "bob" => node.custody = crate::model::Custody::ShownOnce,
            "carol" => node.provisional = true,
            _ => {}
        }
    }
    let all = standings(&facts, now(), None);
    insta::assert_snapshot!(
        all.iter().filter_map(|node| Some(format!("{}: {}", node.node, node.by_hand.as_ref()?))).collect::<Vec<_>>().join("\n"),
        @"
    alice: its device makes its keys: make one there, then `wg-friend rotate alice --public-key KEY`
    bob: its new private key is shown once and kept nowhere: run `wg-friend rotate bob` where you can take it down
    carol: only its public key is known; `wg-friend rotate carol` gives it a key from here, and with it a file
    "
    );
}

#[test]
fn amounts_are_never_told_as_more_than_they_are() {
    let shown = [0, 999, 1000, 1999, 1_500_000, 49_999_999_999, 50_000_000_000, 3_250_000_000_000];
    assert_eq!(
        shown.map(|bytes| Amount(bytes).to_string()),
        ["0 B", "999 B", "1 kB", "1.99 kB", "1.50 MB", "49.99 GB", "50 GB", "3.25 TB"]
    );
}

/// How one key of many stands, with what has happened to its node.
#[derive(Clone, Debug)]
struct Life {
    key: i64,
    staged: Option<i64>,
    used: u64,
    lost: Option<i64>,
    left: Option<i64>,
}

fn life() -> impl Strategy<Value = Life> {
    let when = || proptest::option::of(0..200_i64);
    (0..200_i64, proptest::option::weighted(0.2, 0..200_i64), 0..100_u64, when(), when()).prop_map(
        |(key, staged, used, lost, left)| Life { key, staged: staged.filter(|days| *days < key), used, lost, left },
    )
}

fn trigger() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        (1..200_u32).prop_map(Trigger::Days),
        (1..100_u64).prop_map(Trigger::Bytes),
        Just(Trigger::Events([RotationEvent::DeviceLost].into())),
        Just(Trigger::Events([RotationEvent::DeviceLost, RotationEvent::OperatorRemoved].into())),
    ]
}

proptest! {
    /// Who is due is counted again, node by node and policy by policy; the sums of the list are those of the nodes.
    #[test]
    fn who_is_due_is_who_is_due_by_any_policy_and_is_counted_once(
        lives in proptest::collection::vec(life(), 8),
        triggers in proptest::collection::vec((trigger(), any::<bool>(), 0..3_usize), 0..6),
    ) {
        let mut facts = facts(0);
        let scopes = [Selector::All, Selector::Role(Role::Remote), Selector::Role(Role::Router)];
        for (at, (trigger, enabled, scope)) in triggers.iter().enumerate() {
            let new = policy(&format!("p{at}"), trigger.clone(), &[scopes[*scope]]);
            facts.policies.push(RotationPolicy { enabled: *enabled, ..new });
        }
        facts.keys.clear();
        let mut lived: BTreeMap<NodeId, &Life> = BTreeMap::new();
        for (node, life) in facts.topology.nodes.iter().zip(&lives) {
            lived.insert(node.id, life);
            for own in &node.interfaces {
                let key = |state, days: i64| {
                    let mut bytes = [u8::from(state == KeyState::Staged); 32];
                    bytes[..8].copy_from_slice(&own.id.0.to_le_bytes());
                    KeyOf { interface: own.id, public_key: PublicKey::from_bytes(bytes), state, created: days_ago(days) }
                };
                facts.keys.push(key(KeyState::Active, life.key));
                facts.keys.extend(life.staged.map(|days| key(KeyState::Staged, days)));
            }
            let newest = facts.keys.iter().rev().find(|key| key.interface == node.main().id).unwrap().public_key;
            facts.traffic.push(Traffic {
                near: InterfaceId(9999),
                near_key: None,
                far: node.main().id,
                far_key: Some(newest),
                rx: life.used / 2,
                tx: life.used - life.used / 2,
                first: now(),
                last: now(),
            });
            for (kind, when) in [(RotationEvent::DeviceLost, life.lost), (RotationEvent::OperatorRemoved, life.left)] {
                facts.events.extend(when.map(|days| RecordedEvent {
                    node: node.id, kind, time: days_ago(days) + TimeDelta::seconds(1), operator: String::new(), note: String::new(),
                }));
            }
        }
        let is_due = |life: &Life, trigger: &Trigger| {
            let newest = life.staged.unwrap_or(life.key);
            match trigger {
                Trigger::Days(days) => newest >= i64::from(*days),
                Trigger::Bytes(bytes) => life.used >= *bytes,
                Trigger::Events(kinds) => {
                    // A day counts backwards: what happened so many days ago came after a key of as many or more.
                    life.lost.is_some_and(|lost| lost <= life.key)
                        || kinds.len() == 2 && life.left.is_some_and(|left| left <= newest)
                }
            }
        };
        let mut expected = BTreeSet::new();
        let mut covered = BTreeSet::new();
        for node in facts.topology.nodes.iter().filter(|node| node.enabled) {
            let Some(life) = lived.get(&node.id) else { continue };
            for (trigger, enabled, scope) in &triggers {
                if *enabled && [true, node.role == Role::Remote, node.role == Role::Router][*scope] {
                    covered.insert(node.name.to_string());
                    if is_due(life, trigger) {
                        expected.insert(node.name.to_string());
                    }
                }
            }
        }
        prop_assert_eq!(due(&facts), expected.clone());
        let all = standings(&facts, now(), None);
        let names: Vec<String> = all.iter().map(|node| node.node.to_string()).collect();
        prop_assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), covered);
        prop_assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "once each");

        let sums = summary(&facts, &all, now());
        let list = list_of(&facts, &all, now());
        prop_assert_eq!(sums.overdue, expected.len());
        prop_assert_eq!(list.policies.iter().map(|policy| policy.overdue).sum::<usize>(), sums.overdue);
        prop_assert_eq!(list.policies.iter().map(|policy| policy.due_soon).sum::<usize>(), sums.due_soon);
        let week = standings(&facts, now(), Some(TimeDelta::days(SOON_DAYS)));
        let pressing = week.iter().filter(|node| node.state != State::InOrder).count();
        prop_assert_eq!(pressing, sums.overdue + sums.due_soon);

        for node in all.iter().filter(|node| node.state == State::Due) {
            prop_assert!(node.next.is_none_or(|next| next <= now() + TimeDelta::seconds(1)));
            prop_assert!(node.why != Why::Nothing);
        }
    }
}

#[test]
fn ten_thousand_nodes_are_judged_in_a_moment() {
    let mut facts = facts(100);
    let blank = node(&facts, "alice").clone();
    for at in 0..10_000_i64 {
        let mut new = blank.clone();
        new.id = NodeId(10_000 + at);
        new.name = format!("r{at}").parse().unwrap();
        new.interfaces[0].id = InterfaceId(10_000 + at);
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&at.to_le_bytes());
        new.interfaces[0].public_key = PublicKey::from_bytes(bytes);
        let (interface, public_key) = (new.interfaces[0].id, new.interfaces[0].public_key);
        facts.keys.push(KeyOf { interface, public_key, state: KeyState::Active, created: days_ago(at % 180) });
        facts.topology.nodes.push(new);
        facts.traffic.push(Traffic { far: interface, far_key: Some(public_key), ..traffic(&facts, "alice", 10) });
    }
    facts.policies = vec![
        policy("quarterly", Trigger::Days(90), &[Selector::All]),
        policy("heavy", Trigger::Bytes(1_000_000), &[Selector::Role(Role::Remote)]),
    ];
    let began = std::time::Instant::now();
    let count = due(&facts).iter().filter(|name| name.starts_with('r')).count();
    assert_eq!(count, (0..10_000).filter(|at| at % 180 >= 90).count());
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}, unoptimised", began.elapsed());
}
