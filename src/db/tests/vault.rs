//! The vault: who gets in, what stays shut, and what can be read without it.

use std::collections::BTreeSet;
use std::fs;

use rusqlite::params;

use super::*;
use crate::db::vault::SEALED;
use crate::db::{Kind, keyring};
use crate::model::{DeploymentState, LinkId, PresharedKey};

#[test]
fn the_passphrase_and_the_recovery_key_unlock() {
    let lab = lab();
    lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(1)).unwrap();
    let printed = lab.recovery.expose();
    assert_eq!(printed.split('-').map(str::len).collect::<Vec<_>>(), [4; 13]);
    let copied = format!(" {} ", printed.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
    lab.reopen().unlock(&passphrase(&copied), &actor(), at(1)).unwrap();
    let shortened = &printed[..printed.len() - 1];
    let wrong = lab.reopen().unlock(&passphrase(shortened), &actor(), at(1)).unwrap_err();
    assert_eq!(wrong.kind(), Kind::WrongPassphrase);
}

#[test]
fn every_recovery_key_reads_back() {
    for _ in 0..100 {
        let key = RecoveryKey::random().unwrap();
        let read: RecoveryKey = key.expose().parse().unwrap();
        assert_eq!(*read.expose(), *key.expose());
    }
    for bad in ["", "0000", &"0".repeat(53), &"U".repeat(52), &format!("{}1", "0".repeat(51))] {
        assert!(bad.parse::<RecoveryKey>().is_err(), "{bad}");
    }
}

#[test]
fn failed_attempts_reach_the_audit_log_at_the_next_unlock() {
    let lab = lab();
    let intruder = Actor { operator: "mallory".into(), address: None, source: Source::Api };
    for second in 5..7 {
        let error = lab.reopen().unlock(&passphrase("guess guess"), &intruder, at(second)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), ("wrong passphrase", Kind::WrongPassphrase));
    }
    let store = lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(9)).unwrap();
    let log = store.audit_log(&Default::default()).unwrap();
    let lines: Vec<_> = log.iter().map(|e| format!("{} {} {} {}", e.id, e.action, e.operator, e.details)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    4 unlocked kim {"passphrase":"main"}
    3 unlock_failed mallory {"attempted":"2023-11-14T22:13:26+00:00"}
    2 unlock_failed mallory {"attempted":"2023-11-14T22:13:25+00:00"}
    1 database_created kim {"log_n":4,"name":"office","prefixes":["10.66.0.0/24","fd12:3456:789a::/64"]}
    "#);
    assert!(store.verify_audit(Some(store.data_key())).unwrap().bad.is_none());
    // Once is enough.
    let store = lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(10)).unwrap();
    assert_eq!(store.audit_log(&Default::default()).unwrap().len(), 4);
}

#[test]
fn somebody_who_unlocks_again_and_again_is_named_once_an_hour() {
    let mut lab = lab();
    let entries = |given: &Passphrase, who: &Actor, second: i64| {
        let count = |lab: &Lab| lab.store.audit_log(&Default::default()).unwrap().len();
        let before = count(&lab);
        let good = lab.reopen().unlock(given, who, at(second)).is_ok();
        (good, count(&lab) - before)
    };
    let (kim, hour) = (actor(), 3600);
    let known = passphrase(PASSPHRASE);
    assert_eq!(entries(&known, &kim, 10), (true, 1));
    assert_eq!(entries(&known, &kim, 20), (true, 0));
    assert_eq!(entries(&known, &kim, hour + 9), (true, 0));
    assert_eq!(entries(&known, &kim, hour + 11), (true, 1), "an hour later it is said again");
    assert_eq!(entries(&known, &kim, 5), (true, 1), "with a clock that went back, too");

    let begun = 3 * hour;
    let elsewhere = Actor { address: Some("203.0.113.7".into()), ..actor() };
    let another = Actor { operator: "alex".into(), ..actor() };
    let served = Actor { source: Source::Api, ..actor() };
    for who in [&kim, &elsewhere, &another, &served] {
        assert_eq!(entries(&known, who, begun), (true, 1), "{who:?}");
        assert_eq!(entries(&known, who, begun + 1), (true, 0), "{who:?}");
    }
    assert_eq!(entries(&passphrase("mistyped it"), &another, begun + 2), (false, 0), "nobody has the key");
    assert_eq!(entries(&known, &kim, begun + 3), (true, 2), "the failure, and who got in after it");
    assert_eq!(entries(&known, &kim, begun + 4), (true, 0));

    let recovery = passphrase(&lab.recovery.expose());
    lab.reopen().unlock(&recovery, &kim, at(begun + 5)).unwrap();
    lab.reopen().unlock(&recovery, &kim, at(begun + 6)).unwrap();
    let log = lab.store.audit_log(&Default::default()).unwrap();
    let newest: Vec<_> = log.iter().take(2).map(|e| format!("{} {}", e.action, e.details)).collect();
    assert_eq!(newest, [r#"unlocked {"with":"recovery"}"#; 2], "the recovery key is always worth a line");
    let new = passphrase("another one entirely");
    lab.store.change_passphrase(None, &new, fast(), &kim, at(begun + 7)).unwrap();
    let before = lab.store.audit_log(&Default::default()).unwrap().len();
    lab.reopen().unlock(&new, &kim, at(begun + 8)).unwrap();
    assert_eq!(lab.store.audit_log(&Default::default()).unwrap().len(), before + 1, "it is a new passphrase");
}

#[test]
fn a_damaged_vault_is_not_called_a_wrong_passphrase() {
    for damage in [
        "UPDATE slots SET wrapped = zeroblob(60)",
        "UPDATE slots SET salt = zeroblob(32)",
        "UPDATE slots SET log_n = 5",
        "UPDATE slots SET log_n = 40",
        "UPDATE slots SET p = 99",
        "DELETE FROM slots",
        "UPDATE vault SET sealed_canary = 'enc:v1:AAAA'",
        "UPDATE slots SET salt = zeroblob(16)",
    ] {
        let lab = lab();
        lab.tamper(damage);
        let error = lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(1)).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{damage}: {error}");
    }
}

#[test]
fn the_key_of_another_database_leaves_this_one_locked() {
    let (one, two) = (lab(), lab());
    one.reopen().unlock_with(one.store.data_key().duplicate()).unwrap();
    let error = one.reopen().unlock_with(two.store.data_key().duplicate()).unwrap_err();
    assert_eq!(error.kind(), Kind::Locked);
    assert!(error.hint().unwrap().contains("wg-friend unlock"));
}

#[test]
fn a_new_passphrase_replaces_the_old_one() {
    let mut lab = lab();
    let new = passphrase("another one entirely");
    assert!(lab.store.change_passphrase(None, &passphrase("short"), fast(), &actor(), at(1)).is_err());
    lab.store.change_passphrase(None, &new, KdfParams::new(5, 8, 1).unwrap(), &actor(), at(1)).unwrap();
    assert!(lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(2)).is_err());
    lab.reopen().unlock(&new, &actor(), at(2)).unwrap();
    lab.reopen().unlock(&passphrase(&lab.recovery.expose()), &actor(), at(2)).unwrap();
    let slots = lab.store.slots().unwrap();
    assert_eq!(
        slots.iter().map(|s| (s.kind.as_str(), s.name.as_str(), s.log_n)).collect::<Vec<_>>(),
        [("passphrase", "main", 5), ("recovery", "recovery", 10)]
    );
}

#[test]
fn a_new_recovery_key_replaces_the_old_one() {
    let mut lab = lab();
    let new = lab.store.new_recovery_key(&actor(), at(1)).unwrap();
    assert!(lab.reopen().unlock(&passphrase(&lab.recovery.expose()), &actor(), at(2)).is_err());
    lab.reopen().unlock(&passphrase(&new.expose()), &actor(), at(2)).unwrap();
}

/// A database with something in every sealed column. Returns the secrets that must be found nowhere.
fn filled() -> (Lab, Vec<String>) {
    fill(lab())
}

/// Puts something into every sealed column of a new database.
pub(super) fn fill(mut lab: Lab) -> (Lab, Vec<String>) {
    let private = [random_key(), random_key(), random_key(), random_key()];
    let (shared, next) = (PresharedKey::from_random([42; 32]), PresharedKey::from_random([43; 32]));
    let secrets = private.iter().map(|k| k.expose_base64().to_string()).collect::<Vec<_>>();
    let mut secrets = [secrets, vec![shared.expose_base64().to_string(), PASSPHRASE.to_owned()]].concat();
    lab.write(|tx| {
        tx.insert_host(&host("hub"))?;
        let one = tx.insert_node(node_with("one", 7, private[0].public()), Some(&private[0]))?;
        let two = tx.insert_node(node_with("two", 8, private[1].public()), Some(&private[1]))?;
        let node = one.clone();
        let (one, two) = (one.main().id, two.main().id);
        tx.replace_key(one, private[2].public(), Some(&private[2]), "routine_rotation", at(2))?;
        tx.set_psk(LinkId::between(one, two), &shared, at(2))?;
        tx.stage_psk(LinkId::between(one, two), &next, at(2))?;
        tx.save_document(one, &format!("[Interface]\nPrivateKey = {}\n", secrets[1]))?;
        tx.save_generated(one, "wg0.conf", format!("PrivateKey = {}\n", secrets[2]).as_bytes(), at(2))?;
        tx.record_revision(node.id, "{}", Some(secrets[2].as_bytes()), "file", at(2))?;
        let id = tx.begin_deployment(&name("hub"), "t0k3n", "kim", at(2), secrets[0].as_bytes())?;
        tx.finish_deployment(id, DeploymentState::Confirmed, at(3), None, None)?;
        tx.save_observed(id, &format!("seen {}", secrets[1]))?;
        let gone = tx.insert_node(node_with("gone", 9, private[3].public()), Some(&private[3]))?;
        tx.set_psk(LinkId::between(one, gone.main().id), &shared, at(2))?;
        tx.delete_node(gone.id, at(3)) // its keys stay, sealed
    })
    .unwrap();
    secrets.extend([next.expose_base64().to_string(), lab.recovery.expose().to_string()]);
    (lab, secrets)
}

pub(super) fn sealed_cells(store: &Store) -> Vec<(String, String)> {
    let cells = SEALED.iter().flat_map(|column| {
        let sql = format!("SELECT {} FROM {}", column.column, column.table);
        let mut statement = store.conn.prepare(&sql).unwrap();
        let cells: Vec<Option<String>> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        cells
            .into_iter()
            .flatten()
            .map(|cell| (format!("{}.{}", column.table, column.column), cell))
            .collect::<Vec<_>>()
    });
    cells.collect()
}

#[test]
fn every_sealed_column_of_the_schema_is_known_to_rekeying() {
    let (lab, _) = filled();
    let sql = "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
               WHERE t.type = 'table' AND c.name LIKE 'sealed\\_%' ESCAPE '\\'";
    let mut statement = lab.store.conn.prepare(sql).unwrap();
    let schema: BTreeSet<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let known: BTreeSet<String> = SEALED.iter().map(|s| format!("{}.{}", s.table, s.column)).collect();
    assert_eq!(schema, known);
    let filled: BTreeSet<String> = sealed_cells(&lab.store).into_iter().map(|(place, _)| place).collect();
    assert_eq!(filled, known, "the tests put something into each of them");
}

#[test]
fn rekeying_seals_everything_anew_and_locks_the_old_keys_out() {
    let (mut lab, _) = filled();
    let before = sealed_cells(&lab.store);
    let old = lab.store.data_key().duplicate();
    let secrets = format!("{:?}", lab.store.secrets().unwrap().private.keys());
    let content = lab.store.deployed(&name("hub")).unwrap().unwrap();

    let wrong = lab.store.rekey(&passphrase("not the passphrase"), &actor(), at(4)).unwrap_err();
    assert_eq!(wrong.kind(), Kind::WrongPassphrase);
    let printed = lab.recovery.expose();
    assert_eq!(sealed_cells(&lab.store), before);

    let mut bystander = lab.store.another().unwrap();
    let rekeyed = lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(4)).unwrap();
    assert_eq!(rekeyed.cells, before.len());
    let after = sealed_cells(&lab.store);
    assert!(before.iter().all(|cell| !after.contains(cell)));
    assert_eq!(format!("{:?}", lab.store.secrets().unwrap().private.keys()), secrets);
    assert_eq!(lab.store.deployed(&name("hub")).unwrap().unwrap(), content);
    let verified = lab.store.verify_audit(Some(lab.store.data_key())).unwrap();
    assert!(verified.authenticated && verified.bad.is_none());

    assert!(lab.reopen().unlock_with(old).is_err());
    let late = bystander.write(at(5), &actor(), |_| Ok::<_, Error>(((), Event::database(Action::PeerUpdated))));
    assert_eq!(late.unwrap_err().kind(), Kind::Locked);
    assert!(lab.reopen().unlock(&passphrase(&printed), &actor(), at(5)).is_err());
    lab.reopen().unlock(&passphrase(&rekeyed.recovery.expose()), &actor(), at(5)).unwrap();
    let store = lab.reopen().unlock(&passphrase(PASSPHRASE), &actor(), at(5)).unwrap();
    assert_eq!(store.secrets().unwrap().private.len(), 2);
}

#[test]
fn rekeying_does_not_cover_tampering_up() {
    let (mut lab, _) = filled();
    lab.tamper("DROP TRIGGER audit_no_update; UPDATE audit SET operator = 'nobody' WHERE id = 1");
    let before = sealed_cells(&lab.store);
    let error = lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(4)).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert_eq!(sealed_cells(&lab.store), before);
}

#[test]
fn a_sealed_value_moved_to_another_row_does_not_open() {
    let (lab, _) = filled();
    lab.tamper(
        "UPDATE keys SET sealed_private = (SELECT o.sealed_private FROM keys o
           WHERE o.interface_id <> keys.interface_id AND o.state = 'active') WHERE state = 'active'",
    );
    let error = lab.store.secrets().unwrap_err();
    assert!(matches!(&error, Error::Sealed { table: "keys", column: "sealed_private", .. }), "{error}");
    assert_eq!(error.kind(), Kind::Corrupt);
    // What isn't secret is still there.
    assert_eq!(lab.store.topology().unwrap().nodes.len(), 2);
}

#[test]
fn a_sealed_value_moved_to_another_column_does_not_open() {
    let (lab, _) = filled();
    lab.tamper("UPDATE deployments SET sealed_content = sealed_observed");
    let error = lab.store.deployed(&name("hub")).unwrap_err();
    insta::assert_snapshot!(error, @"a sealed value does not open: deployments.sealed_content, row t0k3n");
}

#[test]
fn no_secret_is_found_in_the_file_or_its_write_ahead_log() {
    let (mut lab, secrets) = filled();
    lab.store.change_passphrase(None, &passphrase("the next passphrase"), fast(), &actor(), at(3)).unwrap();
    lab.reopen().unlock(&passphrase("wrong and mistyped"), &actor(), at(3)).unwrap_err();
    lab.add("later", 77);
    let mut bytes = Vec::new();
    let mut sizes = Vec::new();
    for suffix in ["", "-wal"] {
        let part = fs::read(format!("{}{suffix}", lab.path.display())).unwrap();
        sizes.push(part.len());
        bytes.extend(part);
    }
    assert!(sizes.iter().all(|size| *size > 4096), "both hold pages: {sizes:?}");
    let found = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(found(b"later"), "what isn't secret is found, so the search works");
    use base64::Engine as _;
    for secret in secrets.iter().map(String::as_str).chain(["the next passphrase", "wrong and mistyped"]) {
        assert!(!found(secret.as_bytes()));
        if let Ok(raw) = base64::engine::general_purpose::STANDARD.decode(secret) {
            assert!(!found(&raw));
        }
    }
    assert!(!found(lab.store.data_key().expose()));
}

#[test]
fn a_forgotten_private_key_is_gone_from_the_file() {
    let (mut lab, _) = filled();
    let one = lab.store.topology().unwrap().nodes[0].clone();
    let sealed: Vec<String> = lab
        .store
        .conn
        .prepare("SELECT sealed_private FROM keys WHERE interface_id = ?1")
        .unwrap()
        .query_map(params![one.main().id.0], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(sealed.len(), 2, "the active one and the retired one");
    assert!(lab.write(|tx| tx.forget_private_key(one.main().id)).unwrap());
    assert!(!lab.write(|tx| tx.forget_private_key(one.main().id)).unwrap());
    assert!(!lab.store.secrets().unwrap().private.contains_key(&one.main().id));
    lab.store.drop_old_pages().unwrap();
    let bytes = fs::read(&lab.path).unwrap();
    for cell in sealed {
        assert!(!bytes.windows(cell.len()).any(|window| window == cell.as_bytes()), "secure_delete overwrites");
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let (lab, secrets) = filled();
    let shown = format!("{:?} {:?} {:?} {:?}", lab.store, lab.recovery, passphrase(PASSPHRASE), lab.store.secrets());
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    assert!(shown.contains("Passphrase(..)") && shown.contains("RecoveryKey(..)") && shown.contains("DataKey(..)"));
}

#[test]
fn the_kernel_remembers_a_key_until_it_is_told_to_forget() {
    let lab = lab();
    if let Err(error) = lab.store.remember(std::time::Duration::from_secs(60)) {
        // Containers may forbid keyrings altogether; then everything stays locked, which is what is promised.
        assert!(matches!(error, Error::Keyring(_)));
        assert!(keyring::recall(lab.store.id()).is_none());
        assert_eq!(lab.reopen().unlock_from_keyring().unwrap_err().kind(), Kind::Locked);
        return;
    }
    lab.reopen().unlock_from_keyring().unwrap();
    assert!(keyring::recall("another database").is_none());
    assert!(lab.reopen().forget());
    assert_eq!(lab.reopen().unlock_from_keyring().unwrap_err().kind(), Kind::Locked);
    assert!(!lab.reopen().forget());
}
