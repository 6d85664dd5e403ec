//! Signed heads and checkpoints: when they are made, what they promise, and what becomes of the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wg_friend_crypt::merkle::{self, Frontier};

use super::audit::intrude;
use super::*;
use crate::db::{AnchorProblem, Filter, Finding, Problem, SignedHead};

/// Adds entries, many in a transaction.
pub(super) fn add(store: &mut Store, count: usize) {
    add_from(store, 0, count);
}

/// Adds entries that are others for another first number.
pub(super) fn add_from(store: &mut Store, first: usize, count: usize) {
    let events = (first..first + count).map(|n| Event::database(Action::PeerUpdated).with("n", n)).collect();
    store.write_all(at(1), &actor(), |_| Ok::<_, Error>(((), events))).unwrap();
}

fn verified(store: &Store) -> Option<Finding> {
    store.verify_audit(Some(store.data_key())).unwrap().bad
}

fn sizes(store: &Store) -> Vec<u64> {
    store.checkpoints().unwrap().iter().map(|checkpoint| checkpoint.head.size()).collect()
}

#[test]
fn a_checkpoint_is_kept_after_each_thousand_entries() {
    let mut lab = lab();
    add(&mut lab.store, 998);
    assert!(sizes(&lab.store).is_empty());
    add(&mut lab.store, 1);
    assert_eq!(sizes(&lab.store), [1000]);
    add(&mut lab.store, 1001);
    assert_eq!(sizes(&lab.store), [1000, 2000]);
    let full = lab.store.verify_audit(Some(lab.store.data_key())).unwrap();
    assert_eq!((full.good, full.checkpoints, full.bad), (2001, 2, None));
    let chain = lab.reopen().verify_audit(None).unwrap();
    assert_eq!((chain.good, chain.checkpoints, chain.bad), (2001, 2, None));
}

#[test]
fn a_head_is_over_the_hashes_of_all_entries() {
    let mut lab = lab();
    add(&mut lab.store, 12);
    let head = lab.store.signed_head(at(7)).unwrap();
    let mut tree = Frontier::default();
    let mut statement = lab.store.conn.prepare("SELECT entry_hash FROM audit ORDER BY id").unwrap();
    for hash in statement.query_map([], |row| row.get::<_, [u8; 32]>(0)).unwrap() {
        tree.push(merkle::leaf(&hash.unwrap()));
    }
    assert_eq!((head.size(), *head.root(), head.time()), (13, tree.root(), at(7)));
    assert_eq!(head.database(), lab.store.id());
    // Anyone can check it who has the file, or was told the key.
    assert!(head.is_signed_by(&lab.reopen().verifier_key().unwrap().unwrap()));
    assert_eq!(lab.store.checkpoints().unwrap(), [], "signing keeps nothing");
}

#[test]
fn a_checkpoint_is_made_once_for_the_same_log() {
    let mut lab = lab();
    let first = lab.store.checkpoint(at(1)).unwrap();
    assert_eq!(lab.store.checkpoint(at(2)).unwrap(), first);
    add(&mut lab.store, 1);
    let second = lab.store.checkpoint(at(3)).unwrap();
    assert_eq!((first.number, first.head.size(), second.number, second.head.size()), (1, 1, 2, 2));
    assert_eq!(verified(&lab.store), None);
    assert_eq!(lab.reopen().checkpoints().unwrap(), [first, second]);
}

#[test]
fn an_older_database_signs_from_its_next_entry_on() {
    let mut lab = lab();
    add(&mut lab.store, 41);
    age(&lab);
    assert_eq!((verified(&lab.store), lab.store.verifier_key().unwrap()), (None, None));
    add(&mut lab.store, 1);
    let key = lab.store.verifier_key().unwrap().unwrap();
    let head = lab.store.signed_head(at(2)).unwrap();
    assert!(head.is_signed_by(&key) && head.size() == 43);
    assert_eq!(verified(&lab.store), None);

    // One that is only asked for a head makes its key for that.
    age(&lab);
    let head = lab.store.signed_head(at(3)).unwrap();
    let anchored = lab.store.compare_heads(vec![head.clone()]).unwrap();
    assert_eq!((head.size(), &anchored[0].problem), (43, &None));
    age(&lab);
    assert_eq!(lab.store.checkpoint(at(3)).unwrap().head.size(), 43);
    assert_eq!(verified(&lab.store), None);
}

/// Makes of a database one that was written before there were heads.
fn age(lab: &Lab) {
    let (id, hash): (i64, [u8; 32]) = lab
        .store
        .conn
        .query_row("SELECT id, entry_hash FROM audit ORDER BY id DESC LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let tail = [&id.to_be_bytes()[..], &hash].concat();
    let sealed = crate::db::vault::AUDIT_TAIL.seal(lab.store.data_key(), lab.store.id(), &tail).unwrap();
    lab.store.conn.execute("UPDATE vault SET sealed_audit_tail = ?1", [sealed]).unwrap();
    intrude(lab, "DELETE FROM checkpoints; DELETE FROM signing_key;");
}

#[test]
fn an_older_database_whose_log_is_not_whole_signs_nothing() {
    let mut lab = lab();
    add(&mut lab.store, 5);
    age(&lab);
    intrude(&lab, "DELETE FROM audit WHERE id = 3");
    add(&mut lab.store, 2);
    assert_eq!(lab.store.verifier_key().unwrap(), None);
    for error in [lab.store.signed_head(at(1)).unwrap_err(), lab.store.checkpoint(at(1)).unwrap_err()] {
        assert!(matches!(error, Error::Tampered { entry: 3, .. }), "{error}");
    }
    // Nor does one of which somebody edited an entry and left the hashes alone.
    let mut lab = self::lab();
    add(&mut lab.store, 5);
    age(&lab);
    intrude(&lab, "UPDATE audit SET operator = 'nobody' WHERE id = 4");
    add(&mut lab.store, 2);
    assert_eq!(lab.store.verifier_key().unwrap(), None);
    assert!(matches!(lab.store.signed_head(at(1)).unwrap_err(), Error::Tampered { entry: 4, .. }));
}

#[test]
fn rekeying_and_encrypting_keep_the_signing_key() {
    let mut lab = lab();
    let key = lab.store.verifier_key().unwrap();
    let before = lab.store.checkpoint(at(1)).unwrap();
    lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(2)).unwrap();
    assert_eq!(lab.store.verifier_key().unwrap(), key);
    assert!(lab.store.signed_head(at(3)).unwrap().is_signed_by(key.as_ref().unwrap()));
    assert_eq!(verified(&lab.store), None);
    let anchored = lab.store.compare_heads(vec![before.head]).unwrap();
    assert_eq!(anchored[0].problem, None, "heads from before still tell");
}

#[test]
fn checkpoints_can_not_be_changed_by_accident() {
    let mut lab = lab();
    lab.store.checkpoint(at(1)).unwrap();
    for sql in ["DELETE FROM checkpoints", "UPDATE checkpoints SET size = 7"] {
        let error = lab.store.conn.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

/// A log of 12 entries with checkpoints of 4, 8 and 12.
fn checkpointed() -> Lab {
    let mut lab = lab();
    for more in [3, 4, 4] {
        add(&mut lab.store, more);
        lab.store.checkpoint(at(2)).unwrap();
    }
    lab
}

#[test]
fn every_change_of_a_checkpoint_is_found() {
    for (sql, entry, problem) in [
        ("UPDATE checkpoints SET time = time + 1 WHERE id = 2", 8, Problem::CheckpointForged { checkpoint: 2 }),
        ("UPDATE checkpoints SET root = zeroblob(32) WHERE id = 2", 8, Problem::CheckpointForged { checkpoint: 2 }),
        (
            "UPDATE checkpoints SET signature = zeroblob(64) WHERE id = 1",
            4,
            Problem::CheckpointForged { checkpoint: 1 },
        ),
        ("UPDATE checkpoints SET size = 9 WHERE id = 2", 9, Problem::CheckpointForged { checkpoint: 2 }),
        ("UPDATE checkpoints SET root = x'00' WHERE id = 2", 5, Problem::CheckpointForged { checkpoint: 2 }),
        (
            "UPDATE checkpoints SET time = 9223372036854775807 WHERE id = 1",
            1,
            Problem::CheckpointForged { checkpoint: 1 },
        ),
        ("UPDATE checkpoints SET size = -1 WHERE id = 3", 9, Problem::CheckpointForged { checkpoint: 3 }),
        ("DELETE FROM checkpoints WHERE id = 2", 5, Problem::CheckpointDeleted { checkpoint: 2 }),
        ("DELETE FROM checkpoints WHERE id = 3", 9, Problem::CheckpointDeleted { checkpoint: 3 }),
        ("DELETE FROM checkpoints", 1, Problem::CheckpointDeleted { checkpoint: 1 }),
        (
            "DELETE FROM checkpoints WHERE id = 2; UPDATE checkpoints SET id = 2 WHERE id = 3",
            13,
            Problem::CheckpointDeleted { checkpoint: 3 },
        ),
        ("UPDATE checkpoints SET id = 4 WHERE id = 2", 5, Problem::CheckpointDeleted { checkpoint: 2 }),
        (
            "UPDATE checkpoints SET id = 9 WHERE id = 1; UPDATE checkpoints SET id = 1 WHERE id = 2; UPDATE checkpoints SET id = 2 WHERE id = 9",
            4,
            Problem::CheckpointReplaced { checkpoint: 2 },
        ),
    ] {
        let lab = checkpointed();
        intrude(&lab, sql);
        assert_eq!(verified(&lab.store), Some(Finding { entry, problem }), "{sql}");
    }
}

#[test]
fn a_checkpoint_that_was_never_made_is_found_though_its_signature_is_right() {
    let mut lab = checkpointed();
    add(&mut lab.store, 1);
    let insert = |id: i64, head: &SignedHead| {
        let sql = "INSERT INTO checkpoints (id, size, time, root, signature) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values =
            rusqlite::params![id, head.size() as i64, head.time().timestamp_micros(), head.root(), head.signature()];
        lab.store.conn.execute(sql, values).unwrap();
    };
    insert(4, &lab.store.signed_head(at(9)).unwrap());
    let added = Problem::CheckpointReplaced { checkpoint: 4 };
    assert_eq!(verified(&lab.store), Some(Finding { entry: 13, problem: added }));
    // One in the place of another.
    intrude(&lab, "DELETE FROM checkpoints WHERE id >= 3");
    insert(3, &lab.store.signed_head(at(9)).unwrap());
    let exchanged = Problem::CheckpointReplaced { checkpoint: 3 };
    assert_eq!(verified(&lab.store), Some(Finding { entry: 13, problem: exchanged }));
}

#[test]
fn the_signing_key_can_not_be_exchanged() {
    let other = lab();
    let row = |lab: &Lab| -> (String, String) {
        let sql = "SELECT public_key, sealed_private FROM signing_key";
        lab.store.conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let (public, sealed) = row(&other);
    let own = STANDARD.encode([7_u8; 32]);
    for sql in [
        "DELETE FROM signing_key".to_owned(),
        format!("UPDATE signing_key SET public_key = '{own}'"),
        format!("UPDATE signing_key SET public_key = '{public}', sealed_private = '{sealed}'"),
    ] {
        let mut lab = checkpointed();
        intrude(&lab, &sql);
        let error = lab.store.verify_audit(Some(lab.store.data_key())).unwrap_err();
        assert_eq!(error.kind(), crate::db::Kind::Corrupt, "{error}");
        assert!(lab.store.signed_head(at(1)).is_err());
        add(&mut lab.store, 1);
        assert!(lab.store.checkpoint(at(1)).is_err());
    }
    // A key of one's own, in a log that has none yet.
    let mut lab = checkpointed();
    age(&lab);
    intrude(
        &lab,
        &format!("INSERT INTO signing_key (id, public_key, sealed_private) VALUES (1, '{public}', '{sealed}')"),
    );
    let error = lab.write(|_| Ok(())).unwrap_err();
    insta::assert_snapshot!(error, @"the database is damaged: the key that signs the audit log is not the one that was made for it");
}

#[test]
fn without_the_key_checkpoints_show_a_chain_that_was_built_anew_and_a_tail_that_is_gone() {
    let lab = checkpointed();
    intrude(&lab, "DELETE FROM audit WHERE id > 10");
    let found = lab.reopen().verify_audit(None).unwrap().bad;
    assert_eq!(found, Some(Finding { entry: 11, problem: Problem::Truncated { end: 12 } }));

    let rebuilt = checkpointed();
    rebuilt.tamper("DROP TRIGGER audit_no_update; UPDATE audit SET operator = 'nobody' WHERE id = 6");
    crate::db::audit::chain_anew(&rebuilt.store.conn, 6);
    let found = rebuilt.reopen().verify_audit(None).unwrap().bad;
    assert_eq!(found, Some(Finding { entry: 8, problem: Problem::Diverged { checkpoint: 2 } }));
}

#[test]
fn heads_from_elsewhere_tell_an_older_copy_a_fork_and_another_log() {
    let mut lab = checkpointed();
    let old = lab.path.with_file_name("old.db");
    lab.store.conn.execute("VACUUM INTO ?1", [old.to_str().unwrap()]).unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    add(&mut lab.store, 2);
    let head = lab.store.signed_head(at(9)).unwrap();
    let problem = |store: &Store, head: &SignedHead| store.compare_heads(vec![head.clone()]).unwrap().remove(0).problem;
    assert_eq!(problem(&lab.store, &head), None);

    let key = lab.store.data_key().duplicate();
    let mut older = Database::open(&old).unwrap().unlock_with(key).unwrap();
    assert_eq!(problem(&older, &head), Some(AnchorProblem::Shorter { end: 12 }));
    add_from(&mut older, 500, 5);
    assert_eq!(problem(&older, &head), Some(AnchorProblem::Forked));
    assert_eq!(verified(&older), None, "by itself it is in order");

    let other = checkpointed();
    assert_eq!(problem(&other.store, &head), Some(AnchorProblem::Foreign));
    let forged: SignedHead = head.to_string().replace("\n14\n", "\n13\n").parse().unwrap();
    assert_eq!(problem(&lab.store, &forged), Some(AnchorProblem::Unsigned));
}

#[test]
fn proofs_hold_for_every_entry_and_every_earlier_log() {
    let mut lab = checkpointed();
    add(&mut lab.store, 9);
    let head = lab.store.signed_head(at(9)).unwrap();
    for id in 1..=21 {
        let proven = lab.store.prove_entry(id, head.clone()).unwrap();
        let hash: [u8; 32] =
            lab.store.conn.query_row("SELECT entry_hash FROM audit WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        assert!(merkle::includes(&merkle::leaf(&hash), id as u64 - 1, 21, &proven.proof, head.root()), "{id}");
        let grown = lab.store.prove_growth(id as u64, head.clone()).unwrap();
        assert!(merkle::extends((grown.from, &grown.root), (21, head.root()), &grown.proof), "{id}");
    }
    for outside in [0, -1, 22] {
        assert!(matches!(lab.store.prove_entry(outside, head.clone()), Err(Error::NotFound { .. })));
    }
    assert!(matches!(lab.store.prove_growth(22, head.clone()), Err(Error::NotFound { .. })));

    let mut exported = Vec::new();
    let keep = |entry| {
        exported.push(entry);
        Ok::<_, Error>(())
    };
    lab.store.export_audit(&Filter::whole(), &head, keep).unwrap();
    assert!(exported.len() == 21 && exported.iter().all(|entry| entry.proof.is_empty()));

    // Nothing is proven of a log that was tampered with.
    intrude(&lab, "UPDATE audit SET operator = 'x' WHERE id = 5");
    assert!(matches!(lab.store.prove_entry(5, head.clone()), Err(Error::Tampered { entry: 5, .. })));
    intrude(&lab, "DELETE FROM audit WHERE id = 7");
    assert!(matches!(lab.store.prove_entry(2, head), Err(Error::Tampered { entry: 5, .. })));
}
