//! The audit log: every way to falsify it is found, and by the right name.

use proptest::prelude::*;

use super::*;
use crate::db::{Filter, Finding, Problem};
use crate::model::{Category, Severity};

/// A log of twelve entries whose triggers are gone, as an intruder would remove them.
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
    lab.tamper("DROP TRIGGER audit_no_delete; DROP TRIGGER audit_no_update;");
    lab
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
        lab.tamper(&format!("UPDATE audit SET {column} = {value} WHERE id = 5"));
        assert_eq!(finding(&lab), bad(5, Problem::Edited), "{column}");
        assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, bad(5, Problem::Edited), "{column}");
    }
    let lab = log();
    lab.tamper("UPDATE audit SET mac = zeroblob(32) WHERE id = 5");
    assert_eq!(finding(&lab), bad(5, Problem::Forged));
    lab.tamper("UPDATE audit SET previous_hash = zeroblob(32) WHERE id = 5");
    assert_eq!(finding(&lab), bad(5, Problem::Edited));
}

#[test]
fn text_can_not_be_shifted_from_one_column_to_the_next() {
    let lab = log();
    lab.tamper(
        "UPDATE audit SET operator = operator || substr(address, 1, 1), address = substr(address, 2) WHERE id = 5",
    );
    assert_eq!(finding(&lab), bad(5, Problem::Edited));
}

#[test]
fn a_deleted_entry_is_named() {
    for gone in [1, 5, 11] {
        let lab = log();
        lab.tamper(&format!("DELETE FROM audit WHERE id = {gone}"));
        assert_eq!(finding(&lab), bad(gone, Problem::Deleted));
        assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, bad(gone, Problem::Deleted));
    }
}

#[test]
fn closing_the_gap_does_not_help() {
    let lab = log();
    lab.tamper("DELETE FROM audit WHERE id = 5; UPDATE audit SET id = -id WHERE id > 5; UPDATE audit SET id = -id - 1 WHERE id < 0");
    assert_eq!(finding(&lab), bad(5, Problem::Reordered { written_as: 6 }));
}

#[test]
fn swapped_entries_are_named() {
    let lab = log();
    lab.tamper("UPDATE audit SET id = 99 WHERE id = 5; UPDATE audit SET id = 5 WHERE id = 7; UPDATE audit SET id = 7 WHERE id = 99");
    assert_eq!(finding(&lab), bad(5, Problem::Reordered { written_as: 7 }));
}

#[test]
fn cutting_off_the_tail_is_found_and_stays_found() {
    let mut lab = log();
    lab.tamper("DELETE FROM audit WHERE id > 9");
    assert_eq!(finding(&lab), bad(10, Problem::Truncated { end: 12 }));
    let chain = lab.reopen().verify_audit(None).unwrap();
    assert_eq!((chain.bad, chain.authenticated), (None, false), "the chain alone can't tell, and doesn't claim to");
    lab.write(|_| Ok(())).unwrap();
    assert_eq!(finding(&lab), bad(10, Problem::Deleted), "later entries don't close the gap");
    lab.tamper("DELETE FROM audit");
    assert_eq!(finding(&lab), bad(1, Problem::Truncated { end: 13 }));
}

#[test]
fn a_chain_rebuilt_without_the_key_is_found() {
    use sha2::{Digest as _, Sha256};
    let lab = log();
    // The intruder knows the format: takes away one entry, and computes all hashes after it.
    lab.tamper("DELETE FROM audit WHERE id = 12; UPDATE audit SET operator = 'nobody' WHERE id = 11");
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
    lab.store.conn.execute("UPDATE audit SET entry_hash = ?1 WHERE id = 11", [hash]).unwrap();
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
    lab.tamper(&format!("INSERT INTO audit (id, {columns}) SELECT 13, {columns} FROM audit WHERE id = 12"));
    assert_eq!(finding(&lab), bad(13, Problem::Appended { end: 12 }));
    let error = lab.write(|_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Tampered { entry: 13, .. }), "{error}");
    let lab = log();
    lab.tamper(&format!("INSERT INTO audit (id, {columns}) SELECT 0, {columns} FROM audit WHERE id = 12"));
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
    assert_eq!(ids(Filter { entity: Some(guid), ..all() }), [2]);
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
    lab.tamper("PRAGMA synchronous = OFF");
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
        let changed = lab.store.conn.execute(&sql, rusqlite::params![text, id]).unwrap();
        let expected = if changed == 1 { bad(id, Problem::Edited) } else { None };
        prop_assert_eq!(lab.reopen().verify_audit(None).unwrap().bad, expected);
    }
}
