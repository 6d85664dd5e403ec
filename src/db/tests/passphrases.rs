//! Several passphrases: each opens by itself, none knows of the others, and the set of them can't be tampered with.

use super::*;
use crate::db::slots::{self, Derived, StoredSlot, Way};
use crate::db::{Kind, MOST_PASSPHRASES};

const KIM: &str = "kim's own passphrase";
const TIMER: &str = "a timer has one too";

/// A database that `main`, `kim` and, at a cost of its own, `timer` unlock.
fn shared() -> Lab {
    let mut lab = lab();
    lab.store.add_passphrase(&name("kim"), &passphrase(KIM), fast(), &actor(), at(1)).unwrap();
    lab.store.add_passphrase(&name("timer"), &passphrase(TIMER), lighter(), &actor(), at(2)).unwrap();
    lab
}

fn lighter() -> KdfParams {
    KdfParams::new(3, 8, 1).unwrap()
}

fn open(lab: &Lab, given: &str) -> Result<Option<String>, Error> {
    let store = lab.reopen().unlock(&passphrase(given), &actor(), at(50))?;
    Ok(store.opened_with().map(ToString::to_string))
}

/// Names what unlocks.
fn opens(lab: &Lab, given: &str) -> Option<String> {
    open(lab, given).unwrap()
}

fn is_shut(lab: &Lab, given: &str) -> bool {
    matches!(open(lab, given), Err(Error::WrongPassphrase))
}

#[test]
fn each_passphrase_unlocks_and_the_log_and_the_list_say_which() {
    let lab = shared();
    for (given, which) in [(PASSPHRASE, "main"), (KIM, "kim"), (TIMER, "timer")] {
        assert_eq!(opens(&lab, given).as_deref(), Some(which));
    }
    assert_eq!(opens(&lab, &lab.recovery.expose()), None);
    assert!(is_shut(&lab, "nobody's passphrase"));
    let log = lab.store.audit_log(&Default::default()).unwrap();
    let lines: Vec<_> = log.iter().rev().map(|e| format!("{} {}", e.action, e.details)).collect();
    insta::assert_snapshot!(lines[1..].join("\n"), @r#"
    passphrase_added {"log_n":4,"passphrase":"kim"}
    passphrase_added {"log_n":3,"passphrase":"timer"}
    unlocked {"passphrase":"main"}
    unlocked {"passphrase":"kim"}
    unlocked {"passphrase":"timer"}
    unlocked {"with":"recovery"}
    "#);
    let shown = |slot: &crate::db::Slot| {
        let used = slot.used.map(|used| (used - at(0)).num_seconds());
        format!("{} {} {} {:?} {used:?}", slot.kind, slot.name, slot.log_n, slot.operator.as_deref())
    };
    let slots: Vec<_> = lab.store.slots().unwrap().iter().map(shown).collect();
    insta::assert_snapshot!(slots.join("\n"), @r#"
    passphrase kim 4 Some("kim") Some(50)
    passphrase main 4 Some("kim") Some(50)
    passphrase timer 3 Some("kim") Some(50)
    recovery recovery 10 Some("kim") Some(50)
    "#);
}

#[test]
fn one_derivation_serves_all_passphrases_of_a_cost() {
    let lab = shared();
    let ways = slots::load(&lab.store.conn).unwrap();
    let costs: Vec<u8> = slots::costs(&slots::slots_of(&ways)).iter().map(|(params, _)| params.log_n()).collect();
    assert_eq!(costs, [3, 4], "the cheapest first");
    let locked: Vec<_> = ways.iter().filter_map(|way| way.slot.pair.clone()).collect();
    assert_eq!(locked.len(), 3);
    assert!(locked.windows(2).all(|two| two[0].public != two[1].public && two[0].locked != two[1].locked));
}

#[test]
fn a_passphrase_that_is_there_is_refused_without_saying_whose() {
    let mut lab = shared();
    let add = |lab: &mut Lab, which: &str, text: &str| {
        lab.store.add_passphrase(&name(which), &passphrase(text), fast(), &actor(), at(3)).unwrap_err()
    };
    for text in [PASSPHRASE, KIM, TIMER] {
        let error = add(&mut lab, "alex", text);
        assert_eq!(error.to_string(), "this passphrase unlocks already");
        let (kim, new) = (name("kim"), passphrase(text));
        let changed = lab.store.change_passphrase(Some(&kim), &new, lighter(), &actor(), at(3));
        assert_eq!(changed.is_ok(), text == KIM, "one's own may stay, at another cost: {changed:?}");
        let back = lab.store.change_passphrase(Some(&kim), &passphrase(KIM), fast(), &actor(), at(3));
        assert!(back.is_ok());
    }
    insta::assert_snapshot!(add(&mut lab, "Kim", "something else"), @"there is already a passphrase named `kim`");
    insta::assert_snapshot!(add(&mut lab, "recovery", "something else"), @"there is already the recovery key named `recovery`");
    insta::assert_snapshot!(add(&mut lab, "alex", "short"), @"a passphrase needs at least 8 characters");
    for number in 3..MOST_PASSPHRASES {
        let (which, text) = (name(&format!("timer-{number}")), passphrase(&format!("passphrase {number}")));
        lab.store.add_passphrase(&which, &text, fast(), &actor(), at(3)).unwrap();
    }
    insta::assert_snapshot!(add(&mut lab, "alex", "something else"), @"a database has at most 16 passphrases");
    let backup = lab.store.backup_header(crate::db::archive::Kind::Full, None, at(3)).unwrap().0;
    assert!(backup.key(&passphrase("passphrase 9")).unwrap().is_some(), "all of them fit into a header");
}

#[test]
fn who_is_taken_out_no_longer_unlocks_and_the_last_one_stays() {
    let mut lab = shared();
    let old = lab.store.data_key().duplicate();
    assert_eq!(lab.store.remove_passphrase(&name("KIM"), &actor(), at(3)).unwrap(), name("kim"));
    assert!(is_shut(&lab, KIM));
    assert_eq!(opens(&lab, TIMER).as_deref(), Some("timer"));
    lab.reopen().unlock_with(old.duplicate()).expect("a data key that was kept opens until rekeying");
    let gone = lab.store.remove_passphrase(&name("kim"), &actor(), at(4)).unwrap_err();
    assert_eq!((gone.to_string().as_str(), gone.kind()), ("there is no passphrase `kim`", Kind::Missing));
    assert!(lab.store.remove_passphrase(&name("recovery"), &actor(), at(4)).is_err());
    lab.store.remove_passphrase(&name("main"), &actor(), at(5)).unwrap();
    let last = lab.store.remove_passphrase(&name("timer"), &actor(), at(6)).unwrap_err();
    assert_eq!((last.to_string().as_str(), last.kind()), ("`timer` is the only passphrase", Kind::Conflict));
    assert!(last.hint().unwrap().contains("vault passphrase add"));

    let rekeyed = lab.store.rekey(&passphrase(TIMER), &actor(), at(7)).unwrap();
    assert_eq!(rekeyed.passphrases, [name("timer")]);
    assert_eq!(lab.reopen().unlock_with(old).unwrap_err().kind(), Kind::Locked);
    assert!(is_shut(&lab, KIM) && is_shut(&lab, PASSPHRASE) && is_shut(&lab, &lab.recovery.expose()));
    assert_eq!(opens(&lab, TIMER).as_deref(), Some("timer"));
}

#[test]
fn rekeying_keeps_everybodys_passphrase_and_needs_one_of_them() {
    let mut lab = shared();
    let before = slots::load(&lab.store.conn).unwrap();
    let rekeyed = lab.store.rekey(&passphrase(KIM), &actor(), at(3)).unwrap();
    assert_eq!(rekeyed.passphrases, [name("kim"), name("main"), name("timer")]);
    for (given, which) in [(PASSPHRASE, "main"), (KIM, "kim"), (TIMER, "timer")] {
        assert_eq!(opens(&lab, given).as_deref(), Some(which));
    }
    assert_eq!(opens(&lab, &rekeyed.recovery.expose()), None);
    assert!(is_shut(&lab, &lab.recovery.expose()));
    let after = slots::load(&lab.store.conn).unwrap();
    assert!(before.iter().zip(&after).all(|(old, new)| old.slot.wrapped != new.slot.wrapped));
    let since = |ways: &[Way]| ways.iter().filter(|w| w.is_passphrase()).map(|w| w.slot.created).collect::<Vec<_>>();
    assert_eq!(since(&before), since(&after), "they are as old as they were");
    lab.store.add_passphrase(&name("alex"), &passphrase("alex is new here"), fast(), &actor(), at(4)).unwrap();
    assert_eq!(opens(&lab, "alex is new here").as_deref(), Some("alex"));
}

#[test]
fn an_old_passphrase_with_an_old_copy_does_not_lead_to_a_new_key() {
    let mut lab = shared();
    let old = slots::load(&lab.store.conn).unwrap().into_iter().find(|way| way.name == name("kim")).unwrap();
    lab.store.change_passphrase(Some(&name("kim")), &passphrase("kim has another"), fast(), &actor(), at(3)).unwrap();
    lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(4)).unwrap();
    // The private half of the old copy, with what the data key is wrapped in now.
    let new = slots::load(&lab.store.conn).unwrap().into_iter().find(|way| way.name == name("kim")).unwrap();
    assert_ne!(old.slot.pair, new.slot.pair);
    let mixed = StoredSlot { wrapped: new.slot.wrapped.clone(), ..old.slot };
    assert!(mixed.unwrap(KIM.as_bytes()).is_err());
}

#[test]
fn changing_means_the_one_that_was_given() {
    let mut lab = shared();
    let mut kim = lab.reopen().unlock(&passphrase(KIM), &actor(), at(3)).unwrap();
    let new = passphrase("kim has another");
    assert_eq!(kim.change_passphrase(None, &new, fast(), &actor(), at(4)).unwrap(), name("kim"));
    assert!(is_shut(&lab, KIM));
    assert_eq!(opens(&lab, PASSPHRASE).as_deref(), Some("main"));

    let recovery = passphrase(&lab.recovery.expose());
    let mut lost = lab.reopen().unlock(&recovery, &actor(), at(5)).unwrap();
    let unclear = lost.change_passphrase(None, &passphrase("which one is it"), fast(), &actor(), at(6)).unwrap_err();
    insta::assert_snapshot!(unclear, @"there are several passphrases, and none is named: `kim`, `main`, `timer`");
    let timer = name("timer");
    lost.change_passphrase(Some(&timer), &passphrase("a new one for it"), fast(), &actor(), at(6)).unwrap();
    assert_eq!(opens(&lab, "a new one for it").as_deref(), Some("timer"));
    lab.store.remove_passphrase(&name("kim"), &actor(), at(7)).unwrap();
    lab.store.remove_passphrase(&timer, &actor(), at(7)).unwrap();
    let only = lost.change_passphrase(None, &passphrase("there is only one"), fast(), &actor(), at(8)).unwrap();
    assert_eq!(only, name("main"));
}

/// All rows of the slots and what is sealed of them, to be brought back later.
const KEEP: &str =
    "CREATE TEMP TABLE kept AS SELECT * FROM slots; CREATE TEMP TABLE kept_seal AS SELECT sealed_slots FROM vault";
const BRING_BACK: &str = "DELETE FROM slots; INSERT INTO slots SELECT * FROM kept;";

#[test]
fn slots_that_were_put_in_taken_away_or_brought_back_are_found_by_whoever_unlocks() {
    for damage in [
        "DELETE FROM slots WHERE name = 'timer'",
        "UPDATE slots SET name = 'alex' WHERE name = 'timer'",
        "UPDATE slots SET operator = 'alex' WHERE name = 'timer'",
        "UPDATE slots SET created = created + 1 WHERE name = 'timer'",
        "INSERT INTO slots SELECT 'alex', kind, log_n, r, p, salt, public_key, locked_key, sealed_token, tag, wrapped, checksum,
           created, operator, used FROM slots WHERE name = 'timer'",
        "UPDATE slots SET (public_key, locked_key, sealed_token, tag, wrapped, checksum) =
           (SELECT public_key, locked_key, sealed_token, tag, wrapped, checksum FROM slots WHERE name = 'kim')
           WHERE name = 'main'",
        "UPDATE slots SET tag = zeroblob(32) WHERE name = 'timer'",
        "UPDATE slots SET public_key = zeroblob(32) WHERE name = 'timer'",
        "UPDATE slots SET public_key = NULL, locked_key = NULL, sealed_token = NULL, tag = NULL WHERE name = 'timer'",
        "UPDATE slots SET wrapped = zeroblob(92) WHERE name = 'timer'",
        "UPDATE vault SET sealed_slots = NULL",
        "UPDATE vault SET sealed_slots = sealed_canary",
        "DELETE FROM slots WHERE kind = 'recovery'",
    ] {
        let lab = shared();
        lab.tamper(damage);
        for given in [KIM, &lab.recovery.expose()] {
            let error = open(&lab, given).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt, "{damage}: {error}");
        }
    }
}

#[test]
fn an_earlier_set_of_slots_does_not_come_back() {
    for with_its_seal in [false, true] {
        let mut lab = shared();
        lab.tamper(KEEP);
        lab.store.remove_passphrase(&name("kim"), &actor(), at(3)).unwrap();
        assert!(is_shut(&lab, KIM));
        lab.tamper(BRING_BACK);
        if with_its_seal {
            lab.tamper("UPDATE vault SET sealed_slots = (SELECT sealed_slots FROM kept_seal)");
        }
        for given in [KIM, PASSPHRASE, TIMER] {
            let error = open(&lab, given).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt, "{error}");
        }
        let error = lab.store.add_passphrase(&name("alex"), &passphrase("alex is new"), fast(), &actor(), at(4));
        assert_eq!(error.unwrap_err().kind(), Kind::Corrupt, "nothing is built upon it");
        assert_eq!(lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(4)).unwrap_err().kind(), Kind::Corrupt);
    }
}

#[test]
fn somebody_elses_public_key_gets_nothing_from_rekeying() {
    let mut lab = shared();
    let intruder = passphrase("the intruder's own");
    let ways = slots::load(&lab.store.conn).unwrap();
    let derived = Derived::new(&intruder, fast(), ways[0].slot.salt).unwrap();
    let foreign = wg_friend_crypt::DataKey::random().unwrap(); // he doesn't have the right one
    let forged = Way::of_passphrase(&name("alex"), &foreign, &derived, "alex", at(3)).unwrap();
    forged.save(&lab.store.conn).unwrap();
    assert_eq!(lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(4)).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(lab.reopen().unlock(&intruder, &actor(), at(4)).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_key_that_somebody_else_wraps_for_a_passphrase_does_not_open() {
    let mut lab = shared();
    for round in 0..3 {
        let ways = slots::load(&lab.store.conn).unwrap();
        for way in ways.into_iter().filter(Way::is_passphrase) {
            let given = [("main", PASSPHRASE), ("kim", KIM), ("timer", TIMER)];
            let (_, given) = given.into_iter().find(|(known, _)| *known == way.name.as_str()).unwrap();
            assert!(way.slot.unwrap(given.as_bytes()).unwrap().is_some());
            // All that can be read of a slot, in the file or in the header of a backup, and a key of one's own.
            let public = way.slot.pair.as_ref().unwrap().public;
            let own = wg_friend_crypt::DataKey::random().unwrap();
            let place = [&b"slots.wrapped:"[..], &public].concat();
            let wrapped = wg_friend_crypt::seal_to(&public, &place, own.expose()).unwrap();
            let forged = StoredSlot { wrapped, ..way.slot.clone() };
            assert_eq!(forged.unwrap(given.as_bytes()).unwrap_err().kind(), Kind::Corrupt);
        }
        lab.store.rekey(&passphrase(PASSPHRASE), &actor(), at(4 + round)).unwrap();
    }
}

#[test]
fn a_recovery_key_does_not_become_a_passphrase() {
    let mut lab = shared();
    let key = Passphrase::new(lab.recovery.expose());
    let error = lab.store.add_passphrase(&name("paper"), &key, fast(), &actor(), at(3)).unwrap_err();
    assert!(matches!(error, crate::db::Error::PassphraseIsKey), "{error}");
}

/// Makes the file one that the version before this table wrote, and that has been brought up to date since.
fn of_earlier_version(lab: &Lab) {
    let conn = &lab.store.conn;
    let [main, recovery] = ["passphrase", "recovery"].map(|kind| {
        let recovery = lab.recovery.expose().parse::<RecoveryKey>().unwrap();
        let secret = if kind == "recovery" { &recovery.secret()[..] } else { PASSPHRASE.as_bytes() };
        StoredSlot::direct(kind, lab.store.data_key(), secret, fast(), at(0)).unwrap()
    });
    lab.tamper("DELETE FROM slots");
    for (which, slot) in [("main", main), ("recovery", recovery)] {
        Way { name: name(which), slot, operator: None, used: None, sealed_token: None }.save(conn).unwrap();
    }
    lab.tamper(
        "CREATE TABLE old (
           kind TEXT PRIMARY KEY CHECK (kind IN ('passphrase', 'recovery')), log_n INTEGER NOT NULL, r INTEGER NOT NULL,
           p INTEGER NOT NULL, salt BLOB NOT NULL, wrapped BLOB NOT NULL, checksum BLOB NOT NULL, created INTEGER NOT NULL
         ) STRICT;
         INSERT INTO old SELECT kind, log_n, r, p, salt, wrapped, checksum, created FROM slots;
         DROP TABLE slots; ALTER TABLE old RENAME TO slots;
         ALTER TABLE vault DROP COLUMN sealed_slots;",
    );
    lab.tamper(include_str!("../migrations/0018_passphrases.sql"));
}

#[test]
fn a_database_of_an_earlier_version_opens_and_its_passphrase_is_called_main() {
    let lab = lab();
    of_earlier_version(&lab);
    let names = |lab: &Lab| lab.store.slots().unwrap().iter().map(|slot| slot.name.to_string()).collect::<Vec<_>>();
    assert!(is_shut(&lab, KIM));
    assert_eq!(names(&lab), ["main", "recovery"]);
    let before = slots::load(&lab.store.conn).unwrap();
    assert!(before.iter().all(|way| way.slot.pair.is_none() && way.operator.is_none()));
    assert_eq!(opens(&lab, PASSPHRASE).as_deref(), Some("main"));
    let log = lab.store.audit_log(&Default::default()).unwrap();
    let lines: Vec<_> = log.iter().rev().map(|e| format!("{} {}", e.action, e.details)).collect();
    insta::assert_snapshot!(lines[1..].join("\n"), @r#"
    vault_upgraded {"passphrase":"main"}
    unlock_failed {"attempted":"2023-11-14T22:14:10+00:00"}
    unlocked {"passphrase":"main"}
    "#);
    assert_eq!(opens(&lab, PASSPHRASE).as_deref(), Some("main"));
    assert_eq!(lab.store.audit_log(&Default::default()).unwrap().len(), 4, "it is upgraded once");
    let mut store = lab.reopen().unlock(&passphrase(&lab.recovery.expose()), &actor(), at(51)).unwrap();
    store.add_passphrase(&name("kim"), &passphrase(KIM), fast(), &actor(), at(52)).unwrap();
    store.rekey(&passphrase(KIM), &actor(), at(53)).unwrap();
    assert_eq!((opens(&lab, PASSPHRASE).as_deref(), opens(&lab, KIM).as_deref()), (Some("main"), Some("kim")));
}

#[test]
fn rekeying_waits_for_passphrases_that_have_not_unlocked_since_the_upgrade() {
    let lab = lab();
    of_earlier_version(&lab);
    let recovery = passphrase(&lab.recovery.expose());
    let mut store = lab.reopen().unlock(&recovery, &actor(), at(1)).unwrap();
    store.add_passphrase(&name("kim"), &passphrase(KIM), fast(), &actor(), at(2)).unwrap();
    let error = store.rekey(&passphrase(KIM), &actor(), at(3)).unwrap_err();
    insta::assert_snapshot!(error, @"these passphrases have not unlocked since the upgrade, and rekeying needs that: `main`");
    assert_eq!(opens(&lab, PASSPHRASE).as_deref(), Some("main"));
    store.rekey(&passphrase(KIM), &actor(), at(4)).unwrap();
    assert_eq!((opens(&lab, PASSPHRASE).as_deref(), opens(&lab, KIM).as_deref()), (Some("main"), Some("kim")));
}

#[test]
fn the_slots_of_before_the_upgrade_do_not_come_back_after_it() {
    let mut lab = lab();
    of_earlier_version(&lab);
    lab.tamper(KEEP);
    assert_eq!(opens(&lab, PASSPHRASE).as_deref(), Some("main"));
    lab.store.change_passphrase(None, &passphrase(KIM), fast(), &actor(), at(60)).unwrap();
    lab.tamper(BRING_BACK);
    lab.tamper("UPDATE vault SET sealed_slots = NULL");
    assert_eq!(open(&lab, PASSPHRASE).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_backup_opens_with_each_passphrase_of_its_time() {
    let mut lab = shared();
    let (header, key) = lab.store.backup_header(crate::db::archive::Kind::Full, None, at(3)).unwrap();
    lab.store.remove_passphrase(&name("kim"), &actor(), at(4)).unwrap();
    lab.store.rekey(&passphrase(TIMER), &actor(), at(5)).unwrap();
    for given in [PASSPHRASE, KIM, TIMER, &lab.recovery.expose()] {
        assert_eq!(header.key(&passphrase(given)).unwrap().unwrap().expose(), key.expose());
    }
    assert!(header.key(&passphrase("nobody's passphrase")).unwrap().is_none());
    let text = serde_json::to_string(&header).unwrap();
    assert!(!text.contains("kim") && !text.contains("timer"), "whose they are isn't in it: {text}");
}

#[test]
fn a_backup_of_an_earlier_version_opens() {
    let lab = lab();
    of_earlier_version(&lab);
    let store = lab.reopen().unlock(&passphrase(&lab.recovery.expose()), &actor(), at(1)).unwrap();
    let (header, key) = store.backup_header(crate::db::archive::Kind::Full, None, at(3)).unwrap();
    let text = serde_json::to_string(&header).unwrap();
    assert!(!text.contains("public_key") && !text.contains("locked_key"), "as they were written then: {text}");
    let read: crate::db::archive::Header = serde_json::from_str(&text).unwrap();
    for given in [PASSPHRASE, &lab.recovery.expose()] {
        assert_eq!(read.key(&passphrase(given)).unwrap().unwrap().expose(), key.expose());
    }
}

#[test]
fn a_change_that_cannot_be_written_leaves_the_slots_as_they_were() {
    let mut lab = shared();
    let before = slots::load(&lab.store.conn).unwrap();
    // No entry, no change: the same as when the disk is full or the program ends within.
    lab.tamper("CREATE TEMP TRIGGER no_entry BEFORE INSERT ON main.audit BEGIN SELECT RAISE (ABORT, 'no'); END");
    let alex = passphrase("alex is new here");
    assert!(lab.store.add_passphrase(&name("alex"), &alex, fast(), &actor(), at(3)).is_err());
    assert!(lab.store.change_passphrase(None, &alex, fast(), &actor(), at(3)).is_err());
    assert!(lab.store.remove_passphrase(&name("kim"), &actor(), at(3)).is_err());
    assert!(lab.store.new_recovery_key(&actor(), at(3)).is_err());
    assert!(lab.store.rekey(&passphrase(KIM), &actor(), at(3)).is_err());
    assert_eq!(slots::load(&lab.store.conn).unwrap(), before);
    lab.tamper("DROP TRIGGER temp.no_entry");
    for (given, which) in [(PASSPHRASE, "main"), (KIM, "kim"), (TIMER, "timer")] {
        assert_eq!(opens(&lab, given).as_deref(), Some(which));
    }
}

#[test]
fn two_who_change_at_the_same_time_do_not_overlook_each_other() {
    let lab = shared();
    let mut one = lab.store.another().unwrap();
    let mut other = lab.store.another().unwrap();
    one.remove_passphrase(&name("main"), &actor(), at(3)).unwrap();
    other.remove_passphrase(&name("kim"), &actor(), at(3)).unwrap();
    let last = other.remove_passphrase(&name("timer"), &actor(), at(3)).unwrap_err();
    assert!(matches!(last, Error::LastPassphrase { .. }));
}

/// The same file, without asking it anything but what the kernel's keyring would have.
fn unlock_by_key(lab: &Lab) -> Result<crate::db::Store, Error> {
    lab.reopen().unlock_with(lab.store.data_key().duplicate())
}

#[test]
fn the_key_from_the_keyring_does_not_open_past_slots_that_were_changed() {
    let mut lab = shared();
    unlock_by_key(&lab).unwrap();
    lab.tamper(KEEP);
    lab.store.remove_passphrase(&name("kim"), &actor(), at(3)).unwrap();
    unlock_by_key(&lab).unwrap();
    lab.tamper(BRING_BACK);
    assert_eq!(unlock_by_key(&lab).unwrap_err().kind(), Kind::Corrupt);
    lab.tamper("UPDATE vault SET sealed_slots = (SELECT sealed_slots FROM kept_seal)");
    assert_eq!(unlock_by_key(&lab).unwrap_err().kind(), Kind::Corrupt);

    let lab = shared();
    lab.tamper("UPDATE slots SET name = 'alex' WHERE name = 'timer'");
    assert_eq!(unlock_by_key(&lab).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn slots_that_come_back_together_with_the_end_of_the_log_are_found_by_what_stands_behind_it() {
    let mut lab = shared();
    lab.tamper(KEEP);
    lab.tamper("CREATE TEMP TABLE kept_tail AS SELECT sealed_audit_tail FROM vault");
    lab.store.remove_passphrase(&name("kim"), &actor(), at(3)).unwrap();
    lab.tamper(BRING_BACK);
    lab.tamper(
        "UPDATE vault SET sealed_slots = (SELECT sealed_slots FROM kept_seal),
                          sealed_audit_tail = (SELECT sealed_audit_tail FROM kept_tail)",
    );
    assert_eq!(open(&lab, KIM).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(unlock_by_key(&lab).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn an_edited_entry_does_not_bring_earlier_slots_back() {
    let mut lab = shared();
    lab.tamper(KEEP);
    lab.store.remove_passphrase(&name("kim"), &actor(), at(3)).unwrap();
    lab.tamper(BRING_BACK);
    lab.tamper(
        "UPDATE vault SET sealed_slots = (SELECT sealed_slots FROM kept_seal); DROP TRIGGER audit_no_update;
         UPDATE audit SET action = 'host_added' WHERE action = 'passphrase_removed'",
    );
    assert_eq!(open(&lab, KIM).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn unlocking_does_not_read_the_log() {
    let lab = shared();
    // Were it read, what can't be would stop it.
    lab.tamper("DROP TRIGGER audit_no_update; UPDATE audit SET time = 0, action = '', details = '' WHERE id < 3");
    unlock_by_key(&lab).unwrap();
    assert_eq!(opens(&lab, KIM).as_deref(), Some("kim"));
}

#[test]
fn the_recovery_key_rekeys_too_and_is_replaced() {
    let mut lab = shared();
    let rekeyed = lab.store.rekey(&passphrase(&lab.recovery.expose()), &actor(), at(3)).unwrap();
    assert_eq!(rekeyed.passphrases, [name("kim"), name("main"), name("timer")]);
    for (given, which) in [(PASSPHRASE, "main"), (KIM, "kim"), (TIMER, "timer")] {
        assert_eq!(opens(&lab, given).as_deref(), Some(which));
    }
    assert!(is_shut(&lab, &lab.recovery.expose()));
    let mut shares = rekeyed.recovery.split(3, 2).unwrap();
    shares.truncate(2);
    let joined: Vec<String> = shares.iter().map(|share| share.expose().to_string()).collect();
    lab.store.rekey(&passphrase(&joined.join(" ")), &actor(), at(4)).unwrap();
    assert!(is_shut(&lab, &rekeyed.recovery.expose()));
}

#[test]
fn rekeying_with_the_recovery_key_names_the_passphrases_that_it_would_lock_out() {
    let lab = lab();
    of_earlier_version(&lab);
    let recovery = passphrase(&lab.recovery.expose());
    let mut store = lab.reopen().unlock(&recovery, &actor(), at(1)).unwrap();
    let error = store.rekey(&recovery, &actor(), at(3)).unwrap_err();
    insta::assert_snapshot!(error, @"these passphrases have not unlocked since the upgrade, and rekeying needs that: `main`");
    assert_eq!(opens(&lab, PASSPHRASE).as_deref(), Some("main"));
}

/// Takes what a slot says about its cost, and gives it another, with a checksum that is right.
fn at_cost(lab: &Lab, which: &str, params: KdfParams, salt: [u8; 32]) {
    let ways = slots::load(&lab.store.conn).unwrap();
    let way = ways.into_iter().find(|way| way.name == name(which)).unwrap();
    Way { slot: StoredSlot { params, salt, ..way.slot.clone() }, ..way }.save(&lab.store.conn).unwrap();
}

#[test]
fn a_forged_file_does_not_make_a_wrong_passphrase_dearer() {
    // Equal costs have one salt; there are three at most; and no cost is far beyond what is ever chosen.
    let wide = KdfParams::new(22, 8, 1).unwrap();
    let long = KdfParams::new(20, 8, 16).unwrap();
    for (which, params, salt) in [
        ("kim", fast(), [7; 32]),
        ("kim", lighter(), [7; 32]),
        ("timer", long, [7; 32]),
        ("recovery", long, [7; 32]),
        ("recovery", KdfParams::new(22, 8, 2).unwrap(), [7; 32]),
        ("timer", KdfParams::new(21, 16, 2).unwrap(), [7; 32]),
        ("timer", wide, [7; 32]),
    ] {
        let lab = shared();
        at_cost(&lab, which, params, salt);
        for given in ["nobody's passphrase", PASSPHRASE, &lab.recovery.expose()] {
            let error = open(&lab, given).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt, "{which} {params:?}: {error}");
        }
    }
}

#[test]
fn a_fourth_cost_is_refused_and_those_that_are_there_are_not() {
    let mut lab = shared();
    let cost = |log_n| KdfParams::new(log_n, 8, 1).unwrap();
    let add = |lab: &mut Lab, which: &str, log_n| {
        let new = passphrase(&format!("the passphrase of {which}"));
        lab.store.add_passphrase(&name(which), &new, cost(log_n), &actor(), at(3))
    };
    add(&mut lab, "alex", 5).unwrap();
    let error = add(&mut lab, "robin", 6).unwrap_err();
    insta::assert_snapshot!(error, @"the passphrases of a database have at most 3 different costs");
    assert!(error.hint().unwrap().contains("vault status"));
    for (which, log_n) in [("robin", 5), ("sam", 4), ("toni", 3)] {
        add(&mut lab, which, log_n).unwrap();
        assert_eq!(opens(&lab, &format!("the passphrase of {which}")).as_deref(), Some(which));
    }
    let toni = name("toni");
    let error = lab.store.change_passphrase(Some(&toni), &passphrase("another one"), cost(6), &actor(), at(4));
    assert_eq!(error.unwrap_err().kind(), Kind::Conflict);
}

/// What is done to the slots of a header.
type Change<'c> = &'c dyn Fn(&mut Vec<serde_json::Value>);

#[test]
fn a_forged_header_of_a_backup_does_not_make_a_wrong_passphrase_dearer() {
    let lab = shared();
    let (header, _) = lab.store.backup_header(crate::db::archive::Kind::Full, None, at(3)).unwrap();
    let (own, _) =
        lab.store.backup_header(crate::db::archive::Kind::Full, Some((&passphrase(KIM), fast())), at(3)).unwrap();
    let forged = |header: &crate::db::archive::Header, change: Change<'_>| {
        let mut value = serde_json::to_value(header).unwrap();
        change(value["slots"].as_array_mut().unwrap());
        let header: crate::db::archive::Header = serde_json::from_value(value).unwrap();
        header.key(&passphrase("nobody's passphrase"))
    };
    assert!(forged(&header, &|_| {}).unwrap().is_none() && forged(&own, &|_| {}).unwrap().is_none());
    let salt = || serde_json::Value::from("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    let of = |slots: &[serde_json::Value], kind: &str| slots.iter().position(|s| s["kind"] == kind).unwrap();
    let more = |slots: &mut Vec<serde_json::Value>, costs: &[u8]| {
        let one = slots[of(slots, "passphrase")].clone();
        for log_n in costs {
            let mut slot = one.clone();
            (slot["log_n"], slot["salt"]) = ((*log_n).into(), salt());
            slots.push(slot);
        }
    };
    let cases: [Change<'_>; 5] = [
        &|slots| more(slots, &[4]),
        &|slots| more(slots, &[5, 6]),
        &|slots| more(slots, &[22]),
        &|slots| {
            let at = of(slots, "passphrase");
            (slots[at]["log_n"], slots[at]["p"], slots[at]["salt"]) = (20.into(), 16.into(), salt());
        },
        &|slots| {
            let at = of(slots, "recovery");
            slots.push(slots[at].clone());
        },
    ];
    for (case, change) in cases.into_iter().enumerate() {
        let error = forged(&header, change).unwrap_err();
        assert!(error.to_string().contains("asks for more work"), "{case}: {error}");
        assert_eq!(error.kind(), Kind::Corrupt, "{case}");
    }
    let dear = |slots: &mut Vec<serde_json::Value>| slots[0]["p"] = 16.into();
    let error = forged(&own, &|slots| {
        dear(slots);
        slots[0]["log_n"] = 20.into();
    })
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
}
