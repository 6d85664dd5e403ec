//! Writing the audit log, checking that nobody has rewritten it, and proving what is in it.

use std::sync::OnceLock;

use chrono::DateTime;
use divan::Bencher;
use wg_friend::db::{Database, Error, Store};
use wg_friend::model::{Action, Event};

use crate::SIZES;
use crate::network::actor;
use crate::store::empty;

/// Nothing here has anything to do with nodes, so a log may be as long as logs become.
const MILLION: usize = 1_000_000;

fn event(number: usize) -> Event {
    Event::database(Action::SecretRevealed).with("number", number)
}

fn append(store: &mut Store, count: usize) {
    let write = |_: &wg_friend::db::Tx<'_>| -> Result<_, Error> { Ok(((), (0..count).map(event).collect())) };
    store.write_all(DateTime::UNIX_EPOCH, &actor(), write).expect("there is room");
}

fn log(size: usize) -> (tempfile::TempDir, Store) {
    let (directory, mut store) = empty();
    append(&mut store, size);
    (directory, store)
}

/// A log with as many entries: its chain, its authentication codes, its checkpoints and its end.
#[divan::bench(args = SIZES)]
fn verify(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, store) = log(size);
    bencher.bench_local(|| {
        let found = store.verify_audit(Some(store.data_key())).expect("it can be read");
        assert!(found.bad.is_none());
    });
}

/// The same of a million entries; writing an entry behind them, one in a thousand with a checkpoint; a proof; opening and
/// unlocking the database, with what the keyring holds.
#[divan::bench(args = ["verify", "append", "prove", "unlock"], sample_count = 5, sample_size = 1)]
fn million(bencher: Bencher<'_, '_>, what: &str) {
    static LOG: OnceLock<std::sync::Mutex<(tempfile::TempDir, Store)>> = OnceLock::new();
    let log = LOG.get_or_init(|| std::sync::Mutex::new(log(MILLION)));
    let store = &mut log.lock().expect("no other bench uses it").1;
    bencher.bench_local(|| match what {
        "verify" => {
            let found = store.verify_audit(Some(store.data_key())).expect("it can be read");
            assert!(found.bad.is_none() && found.checkpoints > 999);
        }
        // A thousand in one transaction: what remains is the entry, not the disk.
        "append" => append(store, 1000),
        "unlock" => {
            let database = Database::open(store.path()).expect("it is there");
            database.unlock_with(store.data_key().duplicate()).expect("it is its key");
        }
        _ => {
            let head = store.signed_head(DateTime::UNIX_EPOCH).expect("it has a key");
            assert!(store.prove_entry(500_000, head).is_ok_and(|proven| proven.proof.len() >= 20));
        }
    });
}
