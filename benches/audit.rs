//! Checking that nobody has rewritten the audit log.

use chrono::DateTime;
use divan::Bencher;
use wg_friend::db::Error;
use wg_friend::model::{Action, Event};

use crate::SIZES;
use crate::network::actor;
use crate::store::empty;

/// A log with as many entries: its chain, its authentication codes and its end.
#[divan::bench(args = SIZES)]
fn verify(bencher: Bencher<'_, '_>, size: usize) {
    let (_directory, mut store) = empty();
    let entry = |number: usize| Event::database(Action::SecretRevealed).with("number", number);
    let write = |_: &wg_friend::db::Tx<'_>| -> Result<_, Error> { Ok(((), (0..size).map(entry).collect())) };
    store.write_all(DateTime::UNIX_EPOCH, &actor(), write).expect("there is room");
    bencher.bench_local(|| {
        let found = store.verify_audit(Some(store.data_key())).expect("it can be read");
        assert!(found.bad.is_none());
    });
}
