//! The file: who may read it, what it may be, and what a full disk, a crash or a second writer leave of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::db::Kind;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_missing_database_is_named_and_so_is_the_remedy() {
    let error = Database::open(Path::new("/nonexistent/wg-friend.db")).unwrap_err();
    assert_eq!(Database::open(&directory().path().join("a")).unwrap_err().kind(), Kind::Missing);
    insta::assert_snapshot!(error, @"there is no database at /nonexistent/wg-friend.db");
    insta::assert_snapshot!(error.hint().unwrap(), @"make one with `wg-friend init`, or name another file with `--db`");
    assert_eq!(error.kind(), Kind::Missing);
}

#[test]
fn a_new_database_is_for_its_owner_only() {
    let dir = directory();
    let path = dir.path().join("a/b/wg-friend.db");
    let (mut store, _) = create(&path).unwrap();
    store.write(at(1), &actor(), |_| Ok::<_, Error>(((), Event::database(Action::Rekeyed)))).unwrap();
    assert_eq!([mode(&dir.path().join("a")), mode(&dir.path().join("a/b"))], [0o700, 0o700]);
    let parent = path.parent().unwrap();
    assert_eq!(names(parent), ["wg-friend.db", "wg-friend.db-shm", "wg-friend.db-wal"]);
    for name in names(parent) {
        assert_eq!(mode(&parent.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn creating_never_overwrites_and_leaves_nothing_half_done() {
    let dir = directory();
    let path = dir.path().join("wg-friend.db");
    fs::write(&path, "something dear").unwrap();
    assert!(matches!(create(&path).unwrap_err(), Error::Exists { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"something dear");
    fs::remove_file(&path).unwrap();

    let short = Database::create(&path, &passphrase("seven.."), fast(), &network(), &actor(), at(0)).unwrap_err();
    assert_eq!(short.to_string(), "a passphrase needs at least 8 characters");
    assert_eq!(names(dir.path()), [""; 0]);

    chmod(dir.path(), 0o755);
    assert_eq!(create(&path).unwrap_err().kind(), Kind::Permissions);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_database_that_others_can_read_is_refused_until_it_is_mended() {
    let lab = lab();
    for wrong in [0o644, 0o640, 0o602] {
        chmod(&lab.path, wrong);
        let error = Database::open(&lab.path).unwrap_err();
        assert!(matches!(&error, Error::Permissions { mode, .. } if *mode == wrong));
        assert!(error.hint().unwrap().contains("chmod 600"), "{:?}", error.hint());
    }
    Database::mend_permissions(&lab.path).unwrap();
    assert_eq!(mode(&lab.path), 0o600);
    lab.reopen();

    let dir = lab.path.parent().unwrap();
    chmod(dir, 0o750);
    let error = Database::open(&lab.path).unwrap_err();
    assert!(matches!(&error, Error::Permissions { path, .. } if path == dir));
    assert!(error.hint().unwrap().contains("chmod 700"), "{:?}", error.hint());
}

#[test]
fn what_is_no_database_of_ours_is_not_touched() {
    let dir = directory();
    let text = dir.path().join("text");
    fs::write(
        &text,
        "just a text, long enough to be taken for the header of a page, which takes a hundred bytes or so\n".repeat(9),
    )
    .unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    let other = dir.path().join("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for path in [text, empty, other, inner] {
        if path.is_file() {
            chmod(&path, 0o600);
        }
        let before = path.is_file().then(|| fs::read(&path).unwrap());
        let error = Database::open(&path).unwrap_err();
        assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
        assert_eq!(path.is_file().then(|| fs::read(&path).unwrap()), before);
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let lab = lab();
    lab.tamper("PRAGMA user_version = 99");
    let error = Database::open(&lab.path).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 99, known, .. } if known == crate::db::migrate::latest()), "{error}");
    assert_eq!(error.kind(), Kind::Newer);
}

#[test]
fn damage_is_told_from_other_failures() {
    let Lab { _dir, path, store, .. } = lab();
    drop(store);
    let whole = fs::read(&path).unwrap();
    // Page 2 on: whatever lies there, it is no longer what SQLite put there.
    let mut damaged = whole.clone();
    damaged[4096..].fill(0x5a);
    fs::write(&path, &damaged).unwrap();
    let opened = Database::open(&path).and_then(|db| db.check_structure());
    assert_eq!(opened.unwrap_err().kind(), Kind::Corrupt);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let opened = Database::open(&path).and_then(|db| db.check_structure());
    assert_eq!(opened.unwrap_err().kind(), Kind::Corrupt);
    fs::write(&path, &whole).unwrap();
    Database::open(&path).unwrap().check_structure().unwrap();
}

#[test]
fn a_cell_with_nonsense_is_named() {
    let mut lab = lab();
    lab.add("phone", 9);
    lab.tamper("UPDATE nodes SET address4 = '10.66.0.300'");
    let error = lab.store.topology().unwrap_err();
    insta::assert_snapshot!(error, @"the database is damaged: nodes.address4 holds a value that can't be read");
    assert_eq!(error.kind(), Kind::Corrupt);
}

#[test]
fn work_that_fails_half_way_leaves_the_old_state_and_no_entry() {
    let mut lab = lab();
    let before = lab.store.topology().unwrap();
    let (first, key) = node("first", 7);
    let failed = lab.write(|tx| {
        tx.insert_node(first, Some(&key))?;
        assert_eq!(tx.topology()?.nodes.len(), 1, "a transaction sees its own changes");
        Err::<(), _>(Error::Refused("changed my mind"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "changed my mind");
    assert_eq!(lab.store.topology().unwrap(), before);
    assert_eq!(lab.store.verify_audit(Some(lab.store.data_key())).unwrap().good, 1);
}

#[test]
fn trying_out_shows_the_changed_model_and_changes_nothing() {
    let mut lab = lab();
    let (first, key) = node("first", 7);
    let seen = lab.store.try_out(|tx| {
        let node = tx.insert_node(first, Some(&key))?;
        Ok::<_, Error>((tx.topology()?.nodes.len(), tx.secrets()?.private.contains_key(&node.main().id)))
    });
    assert_eq!(seen.unwrap(), (1, true));
    assert_eq!(lab.store.topology().unwrap().nodes.len(), 0);
    assert_eq!(lab.store.audit_log(&Default::default()).unwrap().len(), 1);
}

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let mut lab = lab();
    let pages: i64 = lab.store.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    lab.tamper(&format!("PRAGMA max_page_count = {pages}"));
    let (mut big, key) = node("big", 7);
    big.notes = "x".repeat(1 << 16);
    let error = lab.write(|tx| tx.insert_node(big, Some(&key))).unwrap_err();
    assert!(matches!(error, Error::DiskFull), "{error}");
    assert_eq!(lab.store.topology().unwrap().nodes.len(), 0);
    lab.tamper("PRAGMA max_page_count = 100000");
    lab.add("small", 7);
}

#[test]
fn a_file_that_cannot_be_written_says_so() {
    let mut lab = lab();
    lab.tamper("PRAGMA query_only = ON");
    let error = lab.write(|_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::ReadOnly), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn a_second_writer_waits_and_then_gives_up() {
    let mut lab = lab();
    let mut other = lab.store.another().unwrap();
    other.conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    let busy =
        lab.write(|_| Ok(other.write(at(1), &actor(), |_| Ok::<_, Error>(((), Event::database(Action::Rekeyed))))));
    assert!(matches!(busy.unwrap().unwrap_err(), Error::Busy));
    other.write(at(1), &actor(), |_| Ok::<_, Error>(((), Event::database(Action::Rekeyed)))).unwrap();
}

#[test]
fn writers_at_the_same_time_make_one_unbroken_log() {
    let lab = lab();
    let stores: Vec<Store> = (0..4).map(|_| lab.store.another().unwrap()).collect();
    std::thread::scope(|scope| {
        for (n, mut store) in (0_u8..).zip(stores) {
            scope.spawn(move || {
                for i in 0..10 {
                    let last = 20 + n * 10 + i;
                    let (node, key) = node(&format!("n{last}"), last);
                    let written = store.write(at(1), &actor(), |tx| {
                        let node = tx.insert_node(node, Some(&key))?;
                        Ok::<_, Error>(((), Event::node(Action::PeerAdded, &node)))
                    });
                    written.unwrap();
                }
            });
        }
    });
    assert_eq!(lab.store.topology().unwrap().nodes.len(), 40);
    let verified = lab.store.verify_audit(Some(lab.store.data_key())).unwrap();
    assert_eq!((verified.good, verified.bad), (41, None));
}
