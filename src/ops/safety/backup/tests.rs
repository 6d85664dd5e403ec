//! Incremental backups: what comes of one and its base, whatever was changed in between, and whatever became of both.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::KdfParams;

use super::base::{Bases, Source};
use super::unpack::Unlocked;
use super::*;
use crate::db::archive::damage::{Numbers, damage, tries};
use crate::db::archive::{Base, BaseName, Comparison, Kind, Manifest, Part, What, Writer};
use crate::db::{Scratch, Store};
use crate::model::{Action, Actor, Event, Network, Origin, PskPolicy, Role, Source as From};
use crate::ops::clock::Fixed;
use crate::ops::network::add::{NewNodes, add};
use crate::ops::network::change::Mode as Change;
use crate::ops::network::edit;
use crate::ops::network::remove::remove;
use crate::ops::network::setting::parse_all;
use crate::wg::compile::fixture::Fixture;

fn actor() -> Actor {
    Actor { operator: "tester".into(), address: None, source: From::Cli }
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct-horse".to_owned())
}

/// A database, and the directory that it is in.
struct Lab {
    _dir: tempfile::TempDir,
    store: Store,
    now: Fixed,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let network = Network { psk: PskPolicy::None, ..Fixture::new().topology.network };
        let now = Fixed("2026-01-05T08:00:00Z".parse().unwrap());
        let path = dir.path().join("store/x.db");
        let (store, _) =
            Database::create(&path, &passphrase(), KdfParams::FULL_ENTROPY, &network, &actor(), now.0).unwrap();
        let mut lab = Self { _dir: dir, store, now };
        lab.add(Role::Server, "hub");
        lab
    }

    fn add(&mut self, role: Role, name: &str) {
        let mut new = NewNodes::one(role, name.parse().unwrap(), Origin::Manual);
        if role == Role::Server {
            new.settings = parse_all(["endpoint=vpn.example.com"]).unwrap();
        }
        add(&mut self.store, &self.now, &actor(), new, Change::Save).unwrap();
    }

    fn later(&mut self, hours: i64) {
        self.now = Fixed(self.now.0 + TimeDelta::hours(hours));
    }

    fn make(&mut self, kind: Kind) -> Made {
        let request = CreateRequest { kind, to: None, own: None, full_every: None, preview: false };
        self.later(1);
        create(&mut self.store, &self.now, &actor(), &request).unwrap()
    }

    /// A second database that is the same to the byte, in a directory of its own.
    fn twin(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (self.store.path().parent().unwrap(), dir.path().join("store"));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&to).unwrap();
        for name in ["x.db", "x.db-wal"] {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
        let key = self.store.data_key().duplicate();
        let store = Database::open(&to.join("x.db")).unwrap().unlock_with(key).unwrap();
        Self { _dir: dir, store, now: Fixed(self.now.0) }
    }

    /// Unpacks a backup and returns the database in it.
    fn database_in(&self, file: &Path) -> Result<Vec<u8>, Error> {
        let (database, key) = (self.store.path(), || self.store.data_key().duplicate());
        let opened = open(file)?;
        let source = Source { file, base: None, database };
        let wanted = opened.header().base.clone();
        let files = wanted.map(|wanted| source.bases(&wanted)).transpose()?;
        let bases = files.map(|files| Bases { files, key: key(), own: None });
        let scratch = Scratch::beside(database)?;
        Unlocked::new(opened, key(), bases)?.unpack(&scratch, &mut |_, _| Ok(()))?;
        std::fs::read(scratch.file(DATABASE)).map_err(unreadable(file))
    }
}

/// What happens to a database.
#[derive(Clone, Debug)]
enum Deed {
    Add,
    Note(usize),
    Remove(usize),
    Entries(usize),
    Vacuum,
    Restored,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => Just(Deed::Add),
        4 => (0..9usize).prop_map(Deed::Note),
        2 => (0..9usize).prop_map(Deed::Remove),
        2 => (1..300usize).prop_map(Deed::Entries),
        1 => Just(Deed::Vacuum),
        1 => Just(Deed::Restored),
    ];
    prop::collection::vec(deed, 0..6)
}

impl Lab {
    fn name(&self, at: usize) -> Option<String> {
        let nodes = self.store.topology().unwrap().nodes;
        nodes.get(1 + at % nodes.len()).map(|node| node.name.to_string())
    }

    fn done(&mut self, deed: &Deed) {
        match deed {
            Deed::Add => {
                self.later(1); // no two have one name
                self.add(Role::Remote, &format!("phone-{}", self.now.0.timestamp()));
            }
            Deed::Note(at) => {
                self.later(1); // no two notes are the same
                let Some(name) = self.name(*at) else { return };
                let notes = parse_all([format!("notes=at {}", self.now.0).as_str()]).unwrap();
                edit::set(&mut self.store, &self.now, &actor(), &name, &notes, Change::Save).unwrap();
            }
            Deed::Remove(at) => {
                let Some(name) = self.name(*at) else { return };
                remove(&mut self.store, &self.now, &actor(), &[name], Change::Save).unwrap();
            }
            Deed::Entries(count) => {
                let events =
                    || (0..*count).map(|at| Event::database(Action::BackupCreated).with("to", format!("/{at}")));
                let now = self.now.0;
                self.store.write_all(now, &actor(), |_| Ok::<_, Error>(((), events().collect()))).unwrap();
            }
            Deed::Vacuum => {
                let other = rusqlite::Connection::open(self.store.path()).unwrap();
                other.execute_batch("VACUUM").unwrap();
            }
            Deed::Restored => {
                // Back to an earlier moment: what builds on a later one has to work as well.
                let Some(full) = self.store.backups().unwrap().pop() else { return };
                self.later(1); // what is replaced is kept under its time
                self.restore(&full.copies[0].path);
            }
        }
    }

    fn restore(&mut self, file: &Path) {
        let path = self.store.path().to_owned();
        restored(file, &path, &self.now);
        let key = self.store.data_key().duplicate();
        self.store = Database::open(&path).unwrap().unlock_with(key).unwrap();
    }
}

/// Restores a backup with the passphrase.
fn restored(file: &Path, database: &Path, clock: &Fixed) -> Restored {
    let sources = || Sources { environment: Some("correct-horse".to_owned().into()), ..Sources::default() };
    let request = RestoreRequest {
        file,
        base: None,
        database,
        keys: Keys { sources: &sources(), own: &sources() },
        mode: Mode::Replace,
        to: None,
        preview: false,
    };
    restore(&request, clock, &actor(), &|_| Ok(())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("WGF_LONG").is_some() { 100 } else { 12 }))]

    /// Whatever was done before and after the base was made, and between two that build on it.
    #[test]
    fn an_incremental_backup_is_what_a_full_one_of_the_same_moment_is(
        before in deeds(),
        since in deeds(),
        later in deeds(),
    ) {
        let mut lab = Lab::new();
        before.iter().for_each(|deed| lab.done(deed));
        let base = lab.make(Kind::Full);
        for deeds in [since, later] {
            deeds.iter().for_each(|deed| lab.done(deed));
            let mut twin = lab.twin();
            let (incremental, full) = (lab.make(Kind::Incremental), twin.make(Kind::Full));
            prop_assert_eq!(incremental.about.kind, Kind::Incremental, "{:?}", incremental.full_because);
            prop_assert_eq!(incremental.about.base.as_ref(), Some(&base.about.id));
            let same = lab.database_in(&incremental.file).unwrap() == lab.database_in(&full.file).unwrap();
            prop_assert!(same, "the databases in both differ");
            prop_assert_eq!(incremental.configs, full.configs);

            // And on a machine that has nothing but the two files.
            let new = tempfile::tempdir().unwrap();
            let database = new.path().join("store/x.db");
            let came = restored(&incremental.file, &database, &lab.now);
            prop_assert_eq!(came.audit_entries, full.audit_entries);
            let there = Database::open(&database).unwrap().unlock_with(lab.store.data_key().duplicate()).unwrap();
            prop_assert_eq!(there.topology().unwrap(), twin.store.topology().unwrap());
        }
    }
}

#[test]
fn it_has_the_pages_that_differ_and_no_more() {
    let mut lab = Lab::new();
    lab.done(&Deed::Entries(3000));
    let full = lab.make(Kind::Full);
    lab.add(Role::Remote, "phone");
    let incremental = lab.make(Kind::Incremental);
    let pages = incremental.pages.unwrap();
    assert!(pages.differing * 3 < pages.all as usize, "{pages:?}");
    assert!(incremental.size * 3 < full.size, "{} bytes instead of {}", incremental.size, full.size);
    // A second one builds on the full one, too: what one has lost is in no other's way.
    let second = lab.make(Kind::Incremental);
    assert_eq!(second.about.base, Some(full.about.id));
    std::fs::remove_file(&incremental.file).unwrap();
    lab.database_in(&second.file).unwrap();
}

#[test]
fn where_there_is_nothing_to_build_on_it_is_a_full_one_and_says_why() {
    let mut lab = Lab::new();
    let because = |made: &Made| (made.about.kind, made.full_because.clone().unwrap_or_default());
    let first = lab.make(Kind::Incremental);
    assert_eq!(because(&first), (Kind::Full, "there is no full one yet".into()));
    assert_eq!(because(&lab.make(Kind::Incremental)), (Kind::Incremental, String::new()));

    let whole = std::fs::read(&first.file).unwrap();
    std::fs::write(&first.file, &whole[..whole.len() - 1]).unwrap();
    let second = lab.make(Kind::Incremental);
    let why = because(&second).1;
    assert!(why.ends_with("has no whole copy on this machine") && why.contains(&first.about.id[..8]), "{why}");
    std::fs::write(&first.file, &whole).unwrap();

    // The newest that can be used, not the newest.
    let kept = std::fs::read(&second.file).unwrap();
    std::fs::remove_file(&second.file).unwrap();
    let third = lab.make(Kind::Incremental);
    assert_eq!(third.about.base, Some(first.about.id.clone()));
    std::fs::write(&second.file, kept).unwrap();

    // So old that a new one is due.
    let request =
        |days| CreateRequest { kind: Kind::Incremental, to: None, own: None, full_every: Some(days), preview: true };
    lab.now = Fixed(second.about.created + TimeDelta::days(7));
    let made = |lab: &mut Lab, days| create(&mut lab.store, &lab.now, &actor(), &request(days)).unwrap();
    assert_eq!(because(&made(&mut lab, 8)).0, Kind::Incremental);
    let (kind, why) = because(&made(&mut lab, 7));
    assert!(kind == Kind::Full && why.starts_with("a full one is due every 7 days, and the newest is "), "{why}");
    // The timer's delay is another one each day.
    lab.now = Fixed(second.about.created + TimeDelta::days(7) - TimeDelta::minutes(29));
    assert_eq!(because(&made(&mut lab, 7)).0, Kind::Full);

    // One that opens with something else.
    let own = Passphrase::new("another battery".to_owned());
    let own = Some((&own, KdfParams::FULL_ENTROPY));
    let with_own = |kind| CreateRequest { kind, to: None, own, full_every: None, preview: false };
    lab.later(1);
    let made = create(&mut lab.store, &lab.now, &actor(), &with_own(Kind::Incremental)).unwrap();
    assert!(because(&made).1.ends_with("has no passphrase of its own, and this one has"), "{:?}", because(&made));
    lab.later(1);
    let made = create(&mut lab.store, &lab.now, &actor(), &with_own(Kind::Incremental)).unwrap();
    assert_eq!(because(&made), (Kind::Incremental, String::new()));
}

#[test]
fn nothing_builds_on_one_that_a_wrong_clock_has_dated_in_the_future() {
    let mut lab = Lab::new();
    lab.later(24 * 3650);
    lab.make(Kind::Full);
    lab.later(-24 * 3650);
    let full = lab.make(Kind::Incremental);
    assert_eq!((full.about.kind, full.full_because.as_deref()), (Kind::Full, Some("there is no full one yet")));
    lab.later(1);
    assert_eq!(lab.make(Kind::Incremental).about.base, Some(full.about.id));
}

/// Two backups of noise, of which one builds on the other, as somebody would make them who has the key; and the key.
struct Pair {
    dir: tempfile::TempDir,
    key: DataKey,
    base: PathBuf,
    incremental: PathBuf,
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).unwrap();
    bytes[16..18].copy_from_slice(&4096u16.to_be_bytes());
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn manifest(header: &Header, parts: &[(What, &[u8])], base: Option<Base>) -> Manifest {
    let part = |(what, content): &(What, &[u8])| Part {
        what: what.clone(),
        length: content.len() as u64,
        sha256: sha256(content),
    };
    Manifest {
        id: header.id.clone(),
        kind: header.kind,
        created: header.created,
        version: header.version.clone(),
        database: header.database.clone(),
        schema: 1,
        networks: Vec::new(),
        audit_entries: 7,
        audit_head: None,
        base,
        parts: parts.iter().map(part).collect(),
        sums: Vec::new(),
    }
}

fn written(header: &Header, key: &DataKey, parts: &[(What, &[u8])], base: Option<Base>) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), header, key, manifest(header, parts, base)).unwrap();
    parts.iter().for_each(|(_, content)| writer.part(&mut &content[..]).unwrap());
    writer.finish().unwrap()
}

/// Returns the bytes of a full backup of `old`, and of one of `new` that builds on it; `base` may be forged first.
fn pair(store: &Store, old: &[u8], new: &[u8], forge: impl FnOnce(&mut Base)) -> (DataKey, Vec<u8>, Vec<u8>) {
    let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
    let (header, key) = store.backup_header(Kind::Full, None, now).unwrap();
    // What follows on its database counts, too: a file that is damaged there isn't what it was.
    let (network, node, file) = ("office".parse().unwrap(), "hub".parse().unwrap(), "hub/wg0.conf".to_owned());
    let (config, follows) = (What::Config { network, node, file }, noise(100_000));
    let full = written(&header, &key, &[(What::Database, old), (config, &follows)], None);
    let name = BaseName { id: header.id, created: header.created };
    let header = store.backup_header(Kind::Full, None, now).unwrap().0.building_on(name.clone());
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, new).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut comparison = Comparison::of(file.try_clone().unwrap()).unwrap();
    std::io::Write::write_all(&mut comparison, old).unwrap();
    let delta = comparison.finish();
    let mut pages = Vec::new();
    delta.read(file).read_to_end(&mut pages).unwrap();
    let (page_size, count) = (delta.page_size(), delta.pages());
    let mut base = Base { id: name.id, sha256: sha256(old), page_size, pages: count, result: sha256(new) };
    forge(&mut base);
    let incremental = written(&header, &key, &[(What::Pages, &pages)], Some(base));
    (key, full, incremental)
}

impl Pair {
    fn of(key: DataKey, base: &[u8], incremental: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pair = Self { key, base: dir.path().join("base"), incremental: dir.path().join("incremental"), dir };
        std::fs::write(&pair.base, base).unwrap();
        std::fs::write(&pair.incremental, incremental).unwrap();
        pair
    }

    /// Reads the second with the first in its place, whatever its header says.
    fn read(&self) -> Result<Vec<u8>, Error> {
        let bases = Bases { files: vec![self.base.clone()], key: self.key.duplicate(), own: None };
        let scratch = Scratch::beside(&self.dir.path().join("x.db"))?;
        let unlocked = Unlocked::new(open(&self.incremental)?, self.key.duplicate(), Some(bases))?;
        unlocked.unpack(&scratch, &mut |_, _| Ok(()))?;
        std::fs::read(scratch.file(DATABASE)).map_err(unreadable(&self.incremental))
    }
}

/// Five hundred of each here; ten thousand of each with `WGF_LONG=1`.
#[test]
fn every_corruption_of_an_incremental_one_or_of_its_base_is_refused() {
    let store = Lab::new();
    let old = noise(70 * 4096);
    let mut new = noise(75 * 4096);
    for kept in [3..11, 20..29, 50..60] {
        new[kept.start * 4096..kept.end * 4096].copy_from_slice(&old[kept.start * 4096..kept.end * 4096]);
    }
    let (key, base, incremental) = pair(&store.store, &old, &new, |_| {});
    // Others of the same database under the same key: their pieces are as well sealed.
    let (_, mut other_base, mut other) = pair(&store.store, &old, &new, |_| {});
    other_base.resize(base.len(), 0);
    other.resize(incremental.len(), 0);
    let pair = Pair::of(key, &base, &incremental);
    assert!(pair.read().unwrap() == new, "undamaged it is what it was");

    for (file, whole, other) in [(&pair.base, &base, &other_base), (&pair.incremental, &incremental, &other)] {
        let mut numbers = Numbers(0x5eed);
        let (mut refused, mut same) = (0, 0);
        while refused < tries() {
            let damaged = damage(whole, other, &mut numbers);
            if damaged == *whole {
                same += 1;
                assert!(same < tries(), "nothing is damaged any more");
                continue;
            }
            std::fs::write(file, &damaged).unwrap();
            let error = pair.read().map(drop).expect_err("a damaged backup was taken for a whole one");
            let Error::Store(cause @ (db::Error::BackupDamaged { .. } | db::Error::NotABackup)) = &error else {
                panic!("{error}")
            };
            let names_base = cause.to_string().contains(pair.base.to_str().unwrap());
            assert_eq!(names_base, file == &pair.base, "{cause}: the file that is damaged is named");
            refused += 1;
        }
        std::fs::write(file, whole).unwrap();
    }
    assert!(pair.read().unwrap() == new);
}

#[test]
fn another_backup_in_the_place_of_the_base_is_refused_and_so_is_a_forged_manifest() {
    let lab = Lab::new();
    let (old, new) = (noise(20 * 4096), noise(24 * 4096));
    let (key, base, incremental) = pair(&lab.store, &old, &new, |_| {});
    let (_, other, its) = pair(&lab.store, &old, &new, |_| {});
    let said = |base: &[u8], incremental: &[u8]| {
        let pair = Pair::of(key.duplicate(), base, incremental);
        pair.read().map(drop).unwrap_err().to_string().replace(pair.base.to_str().unwrap(), "BASE")
    };
    let of_base = "the backup is damaged: what it builds on, BASE: ";
    assert_eq!(said(&other, &incremental), format!("{of_base}it is another backup"));
    assert_eq!(said(&incremental, &incremental), format!("{of_base}it is another backup"));
    assert_eq!(said(b"a shopping list", &its), format!("{of_base}that is not a backup of wg-friend"));
    assert!(said(&base[..base.len() - 1], &incremental).starts_with(of_base));
    // Nobody without the key can make these.
    let forged = |forge: fn(&mut Base)| {
        let (key, base, incremental) = pair(&lab.store, &old, &new, forge);
        let pair = Pair::of(key, &base, &incremental);
        pair.read().map(drop).unwrap_err().to_string().replace(pair.base.to_str().unwrap(), "BASE")
    };
    assert_eq!(forged(|base| base.sha256 = "0".repeat(64)), format!("{of_base}the database in it is another one"));
    let not = "the backup is damaged: the database that comes of it and what it builds on is not what it was";
    assert_eq!(forged(|base| base.result = "0".repeat(64)), not);
    assert!(forged(|base| base.pages = u32::MAX).contains("is missing"));
    assert!(forged(|base| base.pages = 3).contains("behind the last one"));
    assert!(forged(|base| base.page_size = 100).contains("a length that none has"));
    assert!(forged(|base| base.id = "0".repeat(32)).contains("its manifest is another backup's"));
}
