//! The audit log: every way to falsify it is found, and by the right name.

use proptest::prelude::*;

use super::*;
use crate::db::{Alteration, Filter, Finding, Problem};
use crate::model::{Category, Severity};

/// A log of twelve entries.
fn log() -> Lab {
    let mut lab = lab();
    for n in 2..=12_u8 {
        let (node, key) = node(&format!("n{n}"), n);
        let written = lab.store.write(at(n.into()), &actor(), |tx| {
            let node = tx.insert_node(node, Some(&key))?;
            Ok::<_, Error>(((), Event::node(Action::PeerAdded, &node)))
        });
        written.unwrap();
    }
    lab
}

/// The triggers that guard the log against accidents: name and statement.
pub(super) fn guards(conn: &rusqlite::Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN ('audit', 'checkpoints')";
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Does to the file what somebody would who leaves no other trace: the guards are there again when he goes.
pub(super) fn intrude(lab: &Lab, sql: &str) {
    let guards = guards(&lab.store.conn);
    guards.iter().for_each(|(name, _)| lab.tamper(&format!("DROP TRIGGER {name}")));
    lab.tamper(sql);
    guards.iter().for_each(|(_, sql)| lab.tamper(sql));
}

fn finding(lab: &Lab) -> Option<Finding> {
    lab.store.verify_audit(Some(lab.store.data_key())).unwrap().bad
}

fn bad(entry: i64, problem: Problem) -> Option<Finding> {
    Some(Finding { entry, problem })
}

#[test]
fn an_untouched_log_verifies_with_and_without_the_key() {
    let lab = log();
    let full = lab.store.verify_audit(Some(lab.store.data_key())).unwrap();
    assert_eq!((full.good, full.authenticated, full.bad), (12, true, None));
    let chain = lab.reopen().verify_audit(None).unwrap();
    assert_eq!((chain.good, chain.authenticated, chain.bad), (12, false, None));
}

#[test]
fn an_edit_of_any_column_is_found() {
    for (column, value) in [
        ("time", "time + 1"),
        ("action", "'peer_removed'"),
        ("category", "'system'"),
        ("severity", "'warning'"),
        ("entity_type", "'host'"),
        ("entity_guid", "'someone else'"),
        ("entity_guid", "NULL"),
        ("operator", "'nobody'"),
        ("address", "NULL"),
        ("source", "'job'"),
        ("details", "'{}'"),
        ("version", "'9.9.9'"),
        ("entry_hash", "zeroblob(32)"),
        ("entry_hash", "zeroblob(3)"),
    ] {
        let lab = log();
        intrude(&lab, &format!("UPDATE audit SET {column} = {value} WHERE id = 5"));
        assert_eq!(finding(&lab), bad(5, Problem::Edited), "{column}");
        assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, bad(5, Problem::Edited), "{column}");
    }
    let lab = log();
    intrude(&lab, "UPDATE audit SET mac = zeroblob(32) WHERE id = 5");
    assert_eq!(finding(&lab), bad(5, Problem::Forged));
    intrude(&lab, "UPDATE audit SET previous_hash = zeroblob(32) WHERE id = 5");
    assert_eq!(finding(&lab), bad(5, Problem::Edited));
}

#[test]
fn text_can_not_be_shifted_from_one_column_to_the_next() {
    let lab = log();
    intrude(
        &lab,
        "UPDATE audit SET operator = operator || substr(address, 1, 1), address = substr(address, 2) WHERE id = 5",
    );
    assert_eq!(finding(&lab), bad(5, Problem::Edited));
}

#[test]
fn a_deleted_entry_is_named() {
    for gone in [1, 5, 11] {
        let lab = log();
        intrude(&lab, &format!("DELETE FROM audit WHERE id = {gone}"));
        assert_eq!(finding(&lab), bad(gone, Problem::Deleted));
        assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, bad(gone, Problem::Deleted));
    }
}

#[test]
fn closing_the_gap_does_not_help() {
    let lab = log();
    intrude(
        &lab,
        "DELETE FROM audit WHERE id = 5; UPDATE audit SET id = -id WHERE id > 5; UPDATE audit SET id = -id - 1 WHERE id < 0",
    );
    assert_eq!(finding(&lab), bad(5, Problem::Reordered { written_as: 6 }));
}

#[test]
fn swapped_entries_are_named() {
    let lab = log();
    intrude(
        &lab,
        "UPDATE audit SET id = 99 WHERE id = 5; UPDATE audit SET id = 5 WHERE id = 7; UPDATE audit SET id = 7 WHERE id = 99",
    );
    assert_eq!(finding(&lab), bad(5, Problem::Reordered { written_as: 7 }));
}

#[test]
fn cutting_off_the_tail_is_found_and_stays_found() {
    let mut lab = log();
    intrude(&lab, "DELETE FROM audit WHERE id > 9");
    assert_eq!(finding(&lab), bad(10, Problem::Truncated { end: 12 }));
    let chain = lab.reopen().verify_audit(None).unwrap();
    assert_eq!((chain.bad, chain.authenticated), (None, false), "the chain alone can't tell, and doesn't claim to");
    lab.write(|_| Ok(())).unwrap();
    assert_eq!(finding(&lab), bad(10, Problem::Deleted), "later entries don't close the gap");
    intrude(&lab, "DELETE FROM audit");
    assert_eq!(finding(&lab), bad(1, Problem::Truncated { end: 13 }));
}

#[test]
fn a_chain_rebuilt_without_the_key_is_found() {
    use sha2::{Digest as _, Sha256};
    let lab = log();
    // The intruder knows the format: takes away one entry, and computes all hashes after it.
    intrude(&lab, "DELETE FROM audit WHERE id = 12; UPDATE audit SET operator = 'nobody' WHERE id = 11");
    let read = |id: i64| {
        let sql =
            "SELECT time, action, category, severity, entity_type, entity_guid, operator, address, source, details,
                   version, previous_hash FROM audit WHERE id = ?1";
        lab.store
            .conn
            .query_row(sql, [id], |row| {
                let texts: Vec<Option<String>> = (1..11).map(|at| row.get(at).unwrap()).collect();
                Ok((row.get::<_, i64>(0)?, texts, row.get::<_, Vec<u8>>(11)?))
            })
            .unwrap()
    };
    let (time, texts, previous) = read(11);
    let mut bytes = b"wg-friend audit 1\0".to_vec();
    bytes.extend(32_u64.to_be_bytes());
    bytes.extend(&previous);
    bytes.extend(11_i64.to_be_bytes());
    bytes.extend(time.to_be_bytes());
    for text in texts {
        bytes.push(text.is_some().into());
        let text = text.unwrap_or_default();
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    intrude(&lab, &format!("UPDATE audit SET entry_hash = x'{hash}' WHERE id = 11"));
    assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, None, "the chain alone is fine");
    assert_eq!(finding(&lab), bad(11, Problem::Forged));
    // The code of the original entry doesn't fit either, and neither does the end of the log.
    let error = lab.store.verify_audit(Some(lab.store.data_key())).unwrap().into_result().unwrap_err();
    insta::assert_snapshot!(
        error,
        @"the audit log has been tampered with: entry 11 was not written by wg-friend: its authentication code is wrong"
    );
}

#[test]
fn an_entry_that_was_added_from_outside_is_found() {
    let mut lab = log();
    let columns =
        "time, action, category, severity, entity_type, entity_guid, operator, address, source, details, version,
                   previous_hash, entry_hash, mac";
    intrude(&lab, &format!("INSERT INTO audit (id, {columns}) SELECT 13, {columns} FROM audit WHERE id = 12"));
    assert_eq!(finding(&lab), bad(13, Problem::Appended { end: 12 }));
    let error = lab.write(|_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Tampered { entry: 13, .. }), "{error}");
    let lab = log();
    intrude(&lab, &format!("INSERT INTO audit (id, {columns}) SELECT 0, {columns} FROM audit WHERE id = 12"));
    assert_eq!(finding(&lab), bad(0, Problem::Reordered { written_as: 12 }));
}

#[test]
fn a_tail_that_was_put_back_is_found() {
    let lab = log();
    let old: String = lab.store.conn.query_row("SELECT sealed_audit_tail FROM vault", [], |row| row.get(0)).unwrap();
    let mut lab = lab;
    lab.write(|_| Ok(())).unwrap();
    lab.store.conn.execute("UPDATE vault SET sealed_audit_tail = ?1", [old]).unwrap();
    assert_eq!(finding(&lab), bad(13, Problem::Appended { end: 12 }));
}

#[test]
fn what_could_keep_an_entry_out_stops_every_change_and_is_named() {
    for (sql, object) in [
        (
            "CREATE TRIGGER z1 BEFORE INSERT ON audit BEGIN SELECT RAISE (IGNORE); END;
             CREATE TRIGGER z2 BEFORE UPDATE OF sealed_audit_tail ON vault BEGIN SELECT RAISE (IGNORE); END",
            "trigger `z1`",
        ),
        (
            "CREATE TABLE zz (x);
             CREATE TRIGGER z1 AFTER INSERT ON audit BEGIN DELETE FROM audit WHERE id = new.id; END;
             CREATE TRIGGER z2 BEFORE UPDATE OF sealed_audit_tail ON vault
             BEGIN INSERT INTO zz VALUES (old.sealed_audit_tail); END;
             CREATE TRIGGER z3 AFTER UPDATE OF sealed_audit_tail ON vault
             BEGIN UPDATE vault SET sealed_audit_tail = (SELECT x FROM zz ORDER BY rowid LIMIT 1); END",
            "table `zz`",
        ),
        ("CREATE TRIGGER z1 AFTER INSERT ON nodes BEGIN SELECT 1; END", "trigger `z1`"),
    ] {
        let mut lab = log();
        intrude(&lab, sql);
        let problem = Problem::Schema { object: object.into(), alteration: Alteration::Added };
        assert_eq!(finding(&lab), bad(13, problem.clone()));
        assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, bad(13, problem.clone()));
        let error = lab.write(|_| Ok(())).unwrap_err();
        assert!(
            matches!(&error, Error::Tampered { entry: 13, problem: told } if *told == problem.to_string()),
            "{error}"
        );
        let error = lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(99)).unwrap_err();
        assert_eq!(error.kind(), crate::db::Kind::Corrupt, "{error}");
    }
    // A guard that is gone keeps nothing out; it is told.
    let mut lab = log();
    lab.tamper("DROP TRIGGER audit_no_delete");
    lab.write(|_| Ok(())).unwrap();
    let object = "trigger `audit_no_delete`".to_owned();
    assert_eq!(finding(&lab), bad(14, Problem::Schema { object, alteration: Alteration::Removed }));
}

#[test]
fn an_entry_that_is_not_taken_ends_the_change() {
    let mut lab = log();
    lab.tamper("CREATE TEMP TRIGGER z BEFORE INSERT ON main.audit BEGIN SELECT RAISE (IGNORE); END");
    assert!(matches!(lab.write(|_| Ok(())).unwrap_err(), Error::Damaged { .. }));
    lab.tamper(
        "DROP TRIGGER temp.z; CREATE TEMP TRIGGER z BEFORE UPDATE ON main.vault BEGIN SELECT RAISE (IGNORE); END",
    );
    assert!(matches!(lab.write(|_| Ok(())).unwrap_err(), Error::Damaged { .. }));
    lab.tamper("DROP TRIGGER temp.z");
    assert_eq!(finding(&lab), None);
}

#[test]
fn a_number_beyond_all_bounds_does_not_hold_up_verifying() {
    let columns =
        "time, action, category, severity, entity_type, entity_guid, operator, address, source, details, version,
                   previous_hash, entry_hash, mac";
    for number in [i64::MAX, 1_000_000_000_000_000, 14] {
        let lab = log();
        intrude(&lab, &format!("INSERT INTO audit (id, {columns}) SELECT {number}, {columns} FROM audit WHERE id = 4"));
        assert_eq!(finding(&lab), bad(number, Problem::Appended { end: 12 }));
        assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, bad(13, Problem::Deleted));
        intrude(&lab, "UPDATE audit SET details = '{}' WHERE id = 5");
        assert_eq!(finding(&lab), bad(5, Problem::Edited));
    }
}

#[test]
fn a_cell_that_can_not_be_read_is_an_edit_of_its_entry() {
    for damage in
        ["details = CAST(x'ff' AS TEXT)", "operator = CAST(x'ff' AS TEXT)", "entry_hash = x'00'", "previous_hash = x''"]
    {
        let lab = log();
        let head = lab.store.signed_head(at(99)).unwrap();
        intrude(&lab, &format!("UPDATE audit SET {damage} WHERE id = 5"));
        assert_eq!(finding(&lab), bad(5, Problem::Edited), "{damage}");
        assert!(lab.store.compare_heads(vec![head]).is_ok(), "{damage}");
    }
}

#[test]
fn an_index_that_leaves_entries_out_hides_none() {
    let lab = log();
    let guid: String =
        lab.store.conn.query_row("SELECT entity_guid FROM audit WHERE id = 5", [], |row| row.get(0)).unwrap();
    lab.tamper(
        "DROP INDEX audit_entity; DROP INDEX audit_time;
         CREATE INDEX audit_entity ON audit (entity_guid) WHERE entity_guid IS NOT NULL AND id <> 5;
         CREATE INDEX audit_time ON audit (time) WHERE id <> 5; PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX audit_entity ON audit (entity_guid) WHERE entity_guid IS NOT NULL'
         WHERE name = 'audit_entity';
         UPDATE sqlite_schema SET sql = 'CREATE INDEX audit_time ON audit (time)' WHERE name = 'audit_time'",
    );
    let database = lab.reopen();
    let ids = |filter| database.audit_log(&filter).unwrap().iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(Filter { about: vec![guid], ..Filter::default() }), [5]);
    assert_eq!(ids(Filter { from: Some(at(5)), to: Some(at(6)), ..Filter::default() }), [5]);
}

#[test]
fn the_log_can_not_be_changed_by_accident() {
    let lab = lab();
    for sql in ["DELETE FROM audit", "UPDATE audit SET operator = 'x'", "UPDATE audit SET id = 7"] {
        let error = lab.store.conn.execute(sql, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[test]
fn entries_are_found_by_every_filter() {
    let mut lab = lab();
    let (node, key) = node("phone", 9);
    let other = Actor { operator: "ada".into(), address: None, source: Source::Job };
    let guid = node.guid.to_string();
    let written = lab.store.write(at(5), &other, |tx| {
        let node = tx.insert_node(node, Some(&key))?;
        Ok::<_, Error>(((), Event::node(Action::PeerAdded, &node).severity(Severity::Critical)))
    });
    written.unwrap();
    lab.store.write(at(9), &actor(), |_| Ok::<_, Error>(((), Event::database(Action::Rekeyed)))).unwrap();

    let ids = |filter: Filter| lab.store.audit_log(&filter).unwrap().iter().map(|e| e.id).collect::<Vec<_>>();
    let all = Filter::default;
    assert_eq!(ids(all()), [3, 2, 1]);
    assert_eq!(ids(Filter { action: Some(Action::PeerAdded), ..all() }), [2]);
    assert_eq!(ids(Filter { category: Some(Category::Security), ..all() }), [3]);
    assert_eq!(ids(Filter { severity: Some(Severity::Critical), ..all() }), [2]);
    assert_eq!(ids(Filter { about: vec![guid], ..all() }), [2]);
    assert_eq!(ids(Filter { about: vec!["x".into(), "PHONE".into()], ..all() }), [2]);
    assert_eq!(ids(Filter { about: vec!["phon".into()], ..all() }), [0_i64; 0]);
    assert_eq!(ids(Filter { operator: Some("kim".into()), ..all() }), [3, 1]);
    assert_eq!(ids(Filter { from: Some(at(5)), ..all() }), [3, 2]);
    assert_eq!(ids(Filter { to: Some(at(5)), ..all() }), [1]);
    assert_eq!(ids(Filter { limit: 1, offset: 1, ..all() }), [2]);
    assert_eq!(ids(Filter { operator: Some("kim".into()), from: Some(at(1)), ..all() }), [3]);

    let entry = &lab.store.audit_log(&Filter { limit: 1, offset: 1, ..all() }).unwrap()[0];
    assert_eq!((entry.operator.as_str(), entry.source.as_str(), entry.address.as_deref()), ("ada", "job", None));
    assert_eq!((entry.time, entry.details["name"].as_str()), (at(5), Some("phone")));
}

#[test]
fn ten_thousand_entries_verify() {
    let lab = lab();
    intrude(&lab, "PRAGMA synchronous = OFF");
    let tx = lab.store.conn.unchecked_transaction().unwrap();
    for n in 0..9_999 {
        let event = Event::database(Action::PeerUpdated).with("n", n);
        crate::db::audit::append(&tx, lab.store.data_key(), at(n), &actor(), &event).unwrap();
    }
    tx.commit().unwrap();
    let started = std::time::Instant::now();
    let verified = lab.store.verify_audit(Some(lab.store.data_key())).unwrap();
    println!("verified in {:?}", started.elapsed());
    assert_eq!((verified.good, verified.bad), (10_000, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_change_of_any_text_is_found(
        id in 1..=12_i64,
        column in prop::sample::select(&["action", "category", "severity", "entity_type", "entity_guid", "operator",
            "address", "source", "details", "version"][..]),
        text in prop::option::weighted(0.9, ".{0,12}"),
    ) {
        let nullable = ["entity_guid", "address"].contains(&column);
        let text = if nullable { text } else { Some(text.unwrap_or_default()) };
        let lab = log();
        let sql = format!("UPDATE audit SET {column} = ?1 WHERE id = ?2 AND {column} IS NOT ?1");
        let guards = guards(&lab.store.conn);
        guards.iter().for_each(|(name, _)| lab.tamper(&format!("DROP TRIGGER {name}")));
        let changed = lab.store.conn.execute(&sql, rusqlite::params![text, id]).unwrap();
        guards.iter().for_each(|(_, sql)| lab.tamper(sql));
        let expected = if changed == 1 { bad(id, Problem::Edited) } else { None };
        prop_assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, expected);
    }
}
