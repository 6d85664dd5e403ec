//! Loading a network from the database.

use chrono::DateTime;
use divan::{Bencher, black_box};
use tempfile::TempDir;
use wg_friend::db::{Database, Error, KdfParams, Passphrase, Store};
use wg_friend::model::{Action, Event, PrivateKey};
use wg_friend::ops::network::view;

use crate::SIZES;
use crate::network::{actor, topology};

/// Everything but secrets.
#[divan::bench(args = SIZES)]
fn load(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(size);
    bencher.bench_local(|| store.topology());
}

/// What `list` does.
#[divan::bench(args = SIZES)]
fn list(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(size);
    let list = || store.topology().map(|topology| view::list(&topology, None).len());
    bencher.bench_local(list);
}

/// Every private key, unsealed.
#[divan::bench(args = SIZES)]
fn unseal(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(size);
    bencher.bench_local(|| black_box(&store).secrets());
}

/// One change of one node, with its state and its audit entry.
#[divan::bench(args = SIZES)]
fn change(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, mut store) = filled(size);
    let node = store.topology().expect("it was filled").nodes.swap_remove(size / 2);
    let mut mtu = (1280..9000).cycle();
    bencher.bench_local(|| {
        let mut node = node.clone();
        node.mtu = mtu.next().and_then(|mtu| mtu.try_into().ok());
        let event = Event::node(Action::PeerUpdated, &node);
        let change = |tx: &wg_friend::db::Tx<'_>| tx.update_node(&node, DateTime::UNIX_EPOCH).map(|()| ((), event));
        store.write::<_, Error>(DateTime::UNIX_EPOCH, &actor(), change)
    });
}

/// The model as it was at a state.
#[divan::bench(args = SIZES)]
fn rebuild(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, store) = filled(size);
    let newest = store.newest_state().ok().flatten().expect("filling it is a state");
    bencher.bench_local(|| store.model_at(newest));
}

/// A database with a network in it. The directory goes when it is dropped.
pub(crate) fn filled(size: usize) -> (TempDir, Store) {
    let (directory, mut store) = empty();
    let topology = topology(size);
    let write = |tx: &wg_friend::db::Tx<'_>| -> Result<_, Error> {
        for mut node in topology.nodes {
            let mut random = [0; 32];
            random[8..16].copy_from_slice(&node.id.0.to_le_bytes()); // past the bits that clamping clears
            let private = PrivateKey::from_random(random);
            node.interfaces.truncate(1); // uplinks are added on their own, and two of them change nothing here
            node.interfaces[0].public_key = private.public();
            node.exit = None;
            node.guid = private.public();
            tx.insert_node(node, Some(&private))?;
        }
        Ok(((), Event::database(Action::NetworkUpdated)))
    };
    store.write(DateTime::UNIX_EPOCH, &actor(), write).expect("the network is in order");
    (directory, store)
}

/// A database without nodes, cheap to unlock.
pub(crate) fn empty() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let cost = KdfParams::new(4, 8, 1).expect("small, but permitted");
    let made = Database::create(
        &directory.path().join("private").join("bench.db"),
        &Passphrase::new("correct horse".to_owned()),
        cost,
        &topology(0).network,
        &actor(),
        DateTime::UNIX_EPOCH,
    );
    let (store, _) = made.expect("a database can be made in a temporary directory");
    (directory, store)
}
