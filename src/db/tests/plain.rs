//! Databases without encryption: as good as any other, and encrypted afterwards without a trace of what was there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::vault::{fill, sealed_cells};
use super::*;
use crate::db::{Count, Kind};

fn plain() -> Lab {
    let dir = directory();
    let path = dir.path().join("wg-friend.db");
    let store = Database::create_unencrypted(&path, &network(), &actor(), at(0)).unwrap();
    Lab { _dir: dir, path, store, recovery: RecoveryKey::random().unwrap() }
}

/// Opens it as every command does.
fn open(path: &Path) -> Store {
    let database = Database::open(path).unwrap();
    let key = database.plain_key().unwrap().expect("it isn't encrypted");
    database.unlock_with(key).unwrap()
}

/// Whether these bytes are in any file of the database.
fn is_in_a_file(lab: &Lab, bytes: &[u8]) -> bool {
    let files = fs::read_dir(lab.path.parent().unwrap()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[test]
fn without_encryption_nothing_needs_a_passphrase_and_the_log_says_so() {
    let mut lab = plain();
    lab.add("alice", 7);
    assert!(!lab.reopen().is_encrypted().unwrap());
    let mut store = open(&lab.path);
    assert_eq!(store.secrets().unwrap().private.len(), 1);
    assert!(is_in_a_file(&lab, store.data_key().expose()), "the key lies open");
    assert_eq!(store.slots().unwrap(), []);
    let log = store.audit_log(&Default::default()).unwrap();
    let lines: Vec<_> = log.iter().map(|e| format!("{} {} {}", e.id, e.action, e.severity)).collect();
    assert_eq!(lines, ["3 peer_updated info", "2 encryption_disabled warning", "1 database_created info"]);
    assert!(store.verify_audit(Some(store.data_key())).unwrap().bad.is_none());

    let word = passphrase(PASSPHRASE);
    let refused = [
        lab.reopen().unlock(&word, &actor(), at(1)).unwrap_err(),
        lab.reopen().unlock_for(&word, Duration::from_secs(9), &actor(), at(1)).unwrap_err(),
        store.change_passphrase(None, &word, fast(), &actor(), at(1)).unwrap_err(),
        store.new_recovery_key(&actor(), at(1)).unwrap_err(),
        store.rekey(&word, &actor(), at(1)).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.to_string(), "the database is not encrypted: it has no passphrase and no recovery key");
        assert!(error.hint().unwrap().contains("wg-friend vault encrypt"));
    }
}

#[test]
fn encrypting_leaves_nothing_readable_and_nobody_inside() {
    let (mut lab, secrets) = fill(plain());
    let mut bystander = lab.store.another().unwrap();
    let (before, old) = (sealed_cells(&lab.store), lab.store.data_key().duplicate());
    let keys = format!("{:?}", lab.store.secrets().unwrap().private.keys());
    assert!(is_in_a_file(&lab, old.expose()));

    let short = lab.store.encrypt(&passphrase("short"), fast(), &actor(), at(4)).unwrap_err();
    assert_eq!(short.kind(), Kind::Usage);
    let done = lab.store.encrypt(&passphrase(PASSPHRASE), fast(), &actor(), at(4)).unwrap();
    assert!(done.old_pages.is_none());
    let count = |kind| done.counts.iter().find(|c| c.kind == kind).map(|c| c.count);
    assert_eq!((count("private keys"), count("preshared keys"), count("generated files")), (Some(3), Some(1), Some(1)));
    assert_eq!((count("adopted files"), count("private keys of removed nodes")), (Some(2), Some(1)));
    let all: usize = done.counts.iter().map(|Count { count, .. }| count).sum();
    assert_eq!(all, before.len() - 3, "everything but the canary, the end of the log and the key that signs it");

    let after = sealed_cells(&lab.store);
    assert!(before.iter().all(|(_, cell)| !after.iter().any(|(_, new)| new == cell)));
    assert!(lab.reopen().is_encrypted().unwrap() && lab.reopen().plain_key().unwrap().is_none());
    assert!(!lab.reopen().has_old_pages().unwrap());
    assert_eq!(format!("{:?}", lab.store.secrets().unwrap().private.keys()), keys);
    for with in [PASSPHRASE, &done.recovery.expose()] {
        let store = lab.reopen().unlock(&passphrase(with), &actor(), at(5)).unwrap();
        assert!(store.verify_audit(Some(store.data_key())).unwrap().bad.is_none());
    }
    assert!(!is_in_a_file(&lab, old.expose()), "nor is the old key in an unused page");
    for (_, cell) in &before {
        assert!(!is_in_a_file(&lab, cell.as_bytes()), "nor what it opened");
    }
    assert!(!secrets.iter().any(|secret| is_in_a_file(&lab, secret.as_bytes())));

    assert_eq!(lab.reopen().unlock_with(old).unwrap_err().kind(), Kind::Locked);
    let late = bystander.write(at(6), &actor(), |_| Ok::<_, Error>(((), Event::database(Action::PeerUpdated))));
    assert_eq!(late.unwrap_err().kind(), Kind::Locked);
    let again = lab.store.encrypt(&passphrase(PASSPHRASE), fast(), &actor(), at(7)).unwrap_err();
    assert_eq!(again.to_string(), "the database is encrypted already");
    let log = lab.store.audit_log(&Default::default()).unwrap();
    let entry = log.iter().find(|entry| entry.action == "encryption_enabled").unwrap();
    assert_eq!((entry.severity.as_str(), &entry.details["values"]), ("info", &all.into()));
}

#[test]
fn what_a_reader_holds_on_to_is_overwritten_when_it_has_gone() {
    let (mut lab, _) = fill(plain());
    let old = lab.store.data_key().duplicate();
    lab.store.conn.busy_timeout(Duration::ZERO).unwrap();
    let reader = lab.reopen();
    let view = reader.snapshot().unwrap().unwrap();
    view.query_row("SELECT count(*) FROM keys", [], |_| Ok(())).unwrap(); // from here on it sees this moment
    let done = lab.store.encrypt(&passphrase(PASSPHRASE), fast(), &actor(), at(4)).unwrap();
    assert!(matches!(done.old_pages, Some(Error::Busy)));
    assert!(lab.store.has_old_pages().unwrap() && is_in_a_file(&lab, old.expose()));
    drop(view);
    let store = lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(5)).unwrap();
    assert!(!store.has_old_pages().unwrap() && !is_in_a_file(&lab, old.expose()));
}

#[test]
fn encrypting_does_not_cover_tampering_up() {
    let (mut lab, _) = fill(plain());
    lab.tamper("DROP TRIGGER audit_no_update; UPDATE audit SET operator = 'nobody' WHERE id = 1");
    let before = sealed_cells(&lab.store);
    let error = lab.store.encrypt(&passphrase(PASSPHRASE), fast(), &actor(), at(4)).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert_eq!(sealed_cells(&lab.store), before);
    assert!(!lab.store.is_encrypted().unwrap());
}

#[test]
fn a_key_that_lies_in_a_file_to_which_it_does_not_belong_opens_nothing() {
    for forged in ["zeroblob(32)", "zeroblob(31)"] {
        let lab = lab();
        lab.tamper(&format!("INSERT INTO plain_key (id, data_key, created) VALUES (1, {forged}, 0)"));
        assert_eq!(lab.reopen().plain_key().unwrap_err().kind(), Kind::Corrupt);
    }
}

#[test]
fn copies_from_before_are_named_and_can_be_removed() {
    let lab = plain();
    let at = |name: &str| lab.path.with_file_name(name);
    let (mine, left) = (at("wg-friend.db.schema-7.bak"), at(".wg-friend-x1y2z3.bak"));
    for name in [&mine, &left, &at("wg-friend.db.bak"), &at("other.db.schema-7.bak"), &at("wg-friend.db.schema-7.txt")]
    {
        fs::write(name, "something").unwrap();
    }
    let copies = lab.store.copies().unwrap();
    assert_eq!(copies, [left.clone(), mine.clone()]);
    let second_name = at("kept");
    fs::hard_link(&mine, &second_name).unwrap();
    lab.store.remove_copies(&copies).unwrap();
    assert!(!mine.exists() && !left.exists() && at("wg-friend.db.bak").exists());
    assert_eq!(fs::read(second_name).unwrap(), [0; 9], "not only its name is gone");
    assert_eq!(lab.store.copies().unwrap(), Vec::<PathBuf>::new());
    assert_eq!(lab.store.remove_copies(&copies).unwrap_err().kind(), Kind::Io);
}
