//! Counters, store and sums together, over the lives of keys.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::counter::{Step, step};
use super::usage::of_interfaces;
use crate::db::{Counter, Database, Grown, KdfParams, Passphrase, Store};
use crate::model::{Action, Actor, Event, Node, Origin, PrivateKey, Role, Source};
use crate::ops::Error;
use crate::ops::clock::Fixed;
use crate::ops::network::add::{NewNodes, add};
use crate::ops::network::change::Mode;
use crate::ops::network::find;
use crate::wg::compile::fixture::Fixture;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + seconds)
}

fn actor() -> Actor {
    Actor { operator: "tester".into(), address: None, source: Source::Job }
}

/// A network with a server and a remote.
fn store(dir: &std::path::Path) -> Store {
    let network = Fixture::new().topology.network;
    let passphrase = Passphrase::new("correct-horse".to_owned());
    let (path, cost) = (dir.join("store/x.db"), KdfParams::FULL_ENTROPY);
    let (mut store, _) = Database::create(&path, &passphrase, cost, &network, &actor(), at(0)).unwrap();
    let mut server = NewNodes::one(Role::Server, "hub".parse().unwrap(), Origin::Manual);
    server.settings = crate::ops::network::setting::parse_all(["endpoint=vpn.example.com"]).unwrap();
    add(&mut store, &Fixed(at(0)), &actor(), server, Mode::Save).unwrap();
    let phone = NewNodes::one(Role::Remote, "phone".parse().unwrap(), Origin::Manual);
    add(&mut store, &Fixed(at(0)), &actor(), phone, Mode::Save).unwrap();
    store
}

fn node(store: &Store, name: &str) -> Node {
    find::node(&store.topology().unwrap(), name).unwrap().clone()
}

/// Takes down what the hub shows of the phone.
fn look(store: &mut Store, counter: Counter, time: DateTime<Utc>) {
    let (near, far) = (node(store, "hub"), node(store, "phone"));
    let (near, far) = (near.main(), far.main());
    let (near_key, far_key, name) = (near.public_key, far.public_key, near.name.clone());
    let (near, far) = (near.id, far.id);
    let work = |database: &Database| {
        let known = database.traffic_counters(near, &name)?;
        Ok(match step(known.get(&far_key), &counter, time) {
            Step::Stale => (Vec::new(), Vec::new()),
            Step::Grown { rx, tx } => {
                let whole = vec![(near, name.clone())];
                (vec![Grown { near, name, near_key, far, far_key, now: counter, rx, tx }], whole)
            }
        })
    };
    store.note_traffic(time, work).unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Traffic(u64),
    Look,
    Restart,
    Rotation,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Looks come when they come: the total is all that was seen, and what counts for a key is what was seen since it is used.
    #[test]
    fn totals_outlive_restarts_and_keys_and_each_key_has_its_own(
        course in proptest::collection::vec(prop_oneof![
            4 => (1..1_000_000_u64).prop_map(Happens::Traffic),
            3 => Just(Happens::Look),
            1 => Just(Happens::Restart),
            1 => Just(Happens::Rotation),
        ], 1..40)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = store(directory.path());
        let (mut clock, mut born, mut rx) = (0_i64, 1_u32, 0_u64);
        let (mut seen_of_this_life, mut total, mut under_key) = (0_u64, 0_u64, 0_u64);
        for (at_step, what) in (1_u8..).zip(course) {
            clock += 30;
            match what {
                Happens::Traffic(bytes) => rx += bytes,
                Happens::Restart => (born, rx, seen_of_this_life) = (born + 1, 0, 0),
                Happens::Rotation => {
                    // The hub takes the old peer away and adds the new one: it begins at nought.
                    let (phone, key) = (node(&store, "phone"), PrivateKey::from_random([at_step; 32]));
                    let event = Event::node(Action::KeyRotation, &phone);
                    let rotated = store.write(at(clock), &actor(), |tx| {
                        tx.replace_key(phone.main().id, key.public(), Some(&key), "test", at(clock))?;
                        Ok::<_, Error>(((), event))
                    });
                    prop_assert!(rotated.is_ok());
                    (rx, seen_of_this_life, under_key) = (0, 0, 0);
                }
                Happens::Look => {
                    let counter = Counter { born: Some(born), rx, tx: 0, boot: 0, uptime: clock };
                    look(&mut store, counter, at(clock));
                    total += rx - seen_of_this_life;
                    under_key += rx - seen_of_this_life;
                    seen_of_this_life = rx;
                }
            }
        }
        let phone = node(&store, "phone");
        let keys = store.topology().unwrap().nodes.iter().map(|node| (node.main().id, node.main().public_key)).collect::<BTreeMap<_, _>>();
        let usage = of_interfaces(&store.traffic().unwrap(), &keys).get(&phone.main().id).copied().unwrap_or_default();
        prop_assert_eq!((usage.total, usage.under_key), (total, under_key));
    }
}
