//! Making a backup, which proves it, and restoring one on a new machine.

use divan::Bencher;
use wg_friend::db::archive::Kind;
use wg_friend::ops::clock::Fixed;
use wg_friend::ops::safety::backup::{CreateRequest, Keys, Mode, RestoreRequest, create, restore};
use wg_friend::ops::safety::unlock::Sources;

use crate::network::actor;
use crate::store::filled;

const SIZES: [usize; 3] = [10, 100, 1_000];

const CLOCK: Fixed = Fixed(chrono::DateTime::UNIX_EPOCH);

/// Makes one beside the database and proves it.
#[divan::bench(args = SIZES)]
fn make(bencher: Bencher<'_, '_>, size: usize) {
    let (directory, mut store) = filled(size);
    let request = CreateRequest {
        kind: Kind::Full,
        to: Some(directory.path().to_owned()),
        own: None,
        full_every: None,
        preview: true,
    };
    bencher.bench_local(|| create(&mut store, &CLOCK, &actor(), &request).map(|made| made.size));
}

/// Restores one where nothing is, cheap key derivation included.
#[divan::bench(args = SIZES)]
fn bring_back(bencher: Bencher<'_, '_>, size: usize) {
    let (directory, mut store) = filled(size);
    let file = directory.path().join("bench.wgfb");
    let request =
        CreateRequest { kind: Kind::Full, to: Some(file.clone()), own: None, full_every: None, preview: false };
    create(&mut store, &CLOCK, &actor(), &request).expect("it proves to be whole");
    let sources = || Sources { environment: Some("correct horse".to_owned().into()), ..Sources::default() };
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        let (sources, own) = (sources(), Sources::default());
        let request = RestoreRequest {
            file: &file,
            base: None,
            database: &directory.path().join(format!("new-{number}/bench.db")),
            keys: Keys { sources: &sources, own: &own },
            mode: Mode::Replace,
            to: None,
            preview: false,
        };
        restore(&request, &CLOCK, &actor(), &|_| Ok(())).map(|restored| restored.saved)
    });
}
