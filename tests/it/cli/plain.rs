//! Databases without encryption: made on purpose, said, and encrypted in the end, whatever happens meanwhile.

use insta::assert_snapshot;

use crate::env::{TestEnv, filters};
use crate::moments::Moments;

/// Runs the program without a passphrase anywhere.
fn without(env: &TestEnv, arguments: &[&str]) -> String {
    env.transcript(env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE"))
}

const INIT: [&str; 9] =
    ["init", "--name", "office", "--no-ipv6", "--no-encryption", "--server", "hub", "--endpoint", "192.0.2.1"];

fn plain() -> TestEnv {
    let env = TestEnv::new();
    without(&env, &INIT);
    assert!(env.database().exists());
    env
}

#[test]
fn whoever_goes_without_encryption_is_warned_once() {
    let env = TestEnv::new();
    assert_snapshot!(without(&env, &INIT), @"
    --- stderr ---
    + made network office  10.66.0.0/24
    + added server hub  10.66.0.1
      database: [DIR]/data/wg-friend/default.db
    next: `wg-friend add remote NAME` for a device, `wg-friend set hub host=HOST` to deploy over SSH
    warning: the database is not encrypted: whoever can read [DIR]/data/wg-friend/default.db, or a copy of it, has every private key; `wg-friend vault encrypt` makes up for it
    ");
}

#[test]
fn without_encryption_nobody_is_asked_for_a_passphrase() {
    let _filters = filters();
    let env = plain();
    for arguments in [&["add", "remote", "alice"][..], &["generate", "alice"], &["audit", "verify"]] {
        let said = without(&env, arguments);
        assert!(!said.contains("[exit") && !said.contains("not encrypted"), "{said}");
    }
    assert!(without(&env, &["show", "alice"]).ends_with("the database is not encrypted\n"));
    assert!(without(&env, &["status"]).ends_with("the database is not encrypted\n"));
    assert_snapshot!(without(&env, &["vault", "status"]), @"
    database  [DIR]/data/wg-friend/default.db
    state     not encrypted: nothing to unlock
    ");
    assert_snapshot!(without(&env, &["unlock"]), @"
    --- stderr ---
    nothing to unlock: the database is not encrypted
    ");
    assert_snapshot!(without(&env, &["lock"]), @"
    --- stderr ---
    nothing to lock: the database is not encrypted
    ");
    let status = env.json(&["vault", "status"]);
    assert_eq!((&status["encrypted"], &status["unlocked"]), (&false.into(), &true.into()));
    assert_eq!(env.json(&["unlock"])["until"], serde_json::Value::Null);
    let log = env.json(&["audit", "log", "--action", "encryption_disabled"]);
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_passphrase_and_no_encryption_contradict_each_other() {
    let env = TestEnv::new();
    let init = ["init", "--name", "office", "--no-encryption"];
    assert_snapshot!(env.run(&init), @"
    --- stderr ---
    error: --no-encryption: a passphrase is given, and without encryption there is none
     hint: leave out --no-encryption to encrypt; else --passphrase-file, WG_FRIEND_PASSPHRASE and the credential
    [exit 2]
    ");
    assert!(without(&env, &[&init[..], &["--kdf", "light"]].concat()).ends_with("[exit 2]\n"));
    assert!(!env.database().exists());
    let env = plain();
    assert_snapshot!(env.refused(&["vault", "passphrase"]), @"
    --- stderr ---
    error: the database is not encrypted: it has no passphrase and no recovery key
     hint: run `wg-friend vault encrypt` to give it both
    [exit 1]
    ");
    for change in ["recovery", "rekey"] {
        assert!(env.refused(&["vault", change, "--yes"]).contains("error: the database is not encrypted"), "{change}");
    }
    assert_snapshot!(without(&env, &["vault", "encrypt"]), @"
    --- stderr ---
    error: a passphrase is needed, and there is no terminal to ask on
     hint: give it with --passphrase-file FILE, or in WG_FRIEND_PASSPHRASE
    [exit 2]
    ");
    assert_snapshot!(TestEnv::with_network().refused(&["vault", "encrypt"]), @"
    --- stderr ---
    error: the database is encrypted already
     hint: `wg-friend vault passphrase` replaces its passphrase, `wg-friend vault rekey` its key
    [exit 1]
    ");
}

#[test]
fn it_can_be_encrypted_later_and_copies_from_before_are_pointed_out() {
    let _filters = filters();
    let env = plain();
    without(&env, &["add", "remote", "alice", "bob"]);
    let before = without(&env, &["generate", "alice"]);
    let copy = env.database().with_extension("db.schema-8.bak");
    std::fs::copy(env.database(), &copy).unwrap();
    assert_snapshot!(env.run(&["vault", "encrypt"]), @"
    encrypted

    private keys      3
    preshared keys    2
    generated files   1
    handed-out files  1

    Recovery key, shown this once. Write it down and keep it away from this machine;
    it unlocks when the passphrase is lost:

      [RECOVERY KEY]
    --- stderr ---
    warning: copies of the file from before still hold everything unencrypted:
      [DIR]/data/wg-friend/default.db.schema-8.bak
      next: `rm` them once they aren't needed any more
    ");
    assert!(copy.exists());
    assert!(without(&env, &["generate", "alice"]).ends_with("[exit 5]\n"));
    assert_eq!(env.run(&["generate", "alice"]), before);
    assert!(!without(&env, &["status"]).contains("not encrypted"));
    assert_eq!(env.json(&["vault", "status"])["encrypted"], true);
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
}

#[test]
fn copies_from_before_go_on_demand() {
    let env = plain();
    let copy = env.database().with_extension("db.schema-8.bak");
    std::fs::copy(env.database(), &copy).unwrap();
    let done = env.json(&["vault", "encrypt", "--remove-copies"]);
    assert_eq!((&done["copies_removed"], &done["old_pages"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(done["copies"][0], copy.display().to_string());
    assert_eq!(done["counts"][0], serde_json::json!({ "kind": "private keys", "count": 1 }));
    assert!(!copy.exists());
    let recovery = done["recovery_key"].as_str().unwrap();
    let verify = env.command(&["audit", "verify"]).env("WG_FRIEND_PASSPHRASE", recovery).output().unwrap();
    assert!(verify.status.success());
}

#[test]
fn an_import_can_go_without_encryption_too() {
    let env = TestEnv::new();
    let file = env.path().join("hub.conf");
    let text = "[Interface]\nPrivateKey = 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=\nAddress = 10.20.0.1/24\nListenPort = 51820\n\n[Peer]\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 10.20.0.2/32\n";
    std::fs::write(&file, text).unwrap();
    let import = ["import", file.to_str().unwrap(), "--as", "hub.conf=server", "--no-encryption", "--yes"];
    assert!(env.run(&import).ends_with("[exit 2]\n"), "a passphrase is given");
    let said = without(&env, &import);
    assert!(said.contains("warning: the database is not encrypted") && !said.contains("Recovery"), "{said}");
    assert_eq!(without(&env, &["generate", "hub"]), text);
    assert!(without(&env, &import).contains("the database is there already"), "it is for new ones only");
}

/// Whether these bytes are in any file of the database.
fn is_in_a_file(env: &TestEnv, bytes: &[u8]) -> bool {
    let files = crate::secrets::files_below(env.database().parent().unwrap());
    files.iter().any(|file| std::fs::read(file).unwrap().windows(bytes.len()).any(|window| window == bytes))
}

#[test]
fn killed_at_any_moment_it_is_as_before_or_encrypted_without_a_trace() {
    let env = plain();
    let names: Vec<String> = (0..40).map(|n| format!("phone-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    without(&env, &[&["add", "remote"][..], &names].concat());
    let file = without(&env, &["generate", "phone-7"]);
    let key = {
        let connection = rusqlite::Connection::open(env.database()).unwrap();
        connection.query_row("SELECT data_key FROM plain_key", [], |row| row.get::<_, Vec<u8>>(0)).unwrap()
    };
    let saved = env.saved();

    let (mut moments, mut ends) = (Moments::later_by_one_in(12), [0, 0, 0]);
    while ends[2] < 3 {
        env.put_back(&saved);
        let ended = moments.kill(&mut env.command(&["vault", "encrypt"]));

        let open = without(&env, &["generate", "phone-7"]);
        let encrypted = open.ends_with("[exit 5]\n");
        assert_eq!(if encrypted { env.run(&["generate", "phone-7"]) } else { open }, file);
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
        assert_eq!(is_in_a_file(&env, &key), !encrypted);
        ends[usize::from(encrypted) + usize::from(encrypted && ended)] += 1;
    }
    assert!(ends[0] >= 3, "{ends:?}: some were killed before it was done");
}
