//! Somebody has all of the files: he reads nothing secret in them, and whoever uses what he changed hears of it.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Known, files_below, network};
use crate::env::{PASSPHRASE, TestEnv};

/// The passphrase of backups that have one of their own, and that of somebody on the team.
const OWN: &str = "only-for-the-backup";
const KIM: &str = "kim-has-one-too";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn wal(env: &TestEnv) -> PathBuf {
    env.database().with_extension("db-wal")
}

/// Copies the database and its write-ahead log to where it can be worked with, as one copies files.
fn stolen(env: &TestEnv) -> TestEnv {
    let copy = TestEnv::new();
    let directory = copy.database().parent().unwrap().to_owned();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).unwrap();
    for (from, to) in [(env.database(), copy.database()), (wal(env), wal(&copy))] {
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
    }
    copy
}

fn tamper(env: &TestEnv, sql: &str) {
    Connection::open(env.database()).unwrap().execute_batch(sql).unwrap();
}

/// Runs the program with somebody's passphrase; returns its exit code and all that it said.
fn with(env: &TestEnv, passphrase: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = env.command(arguments).env("WG_FRIEND_PASSPHRASE", passphrase).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_thief_of_database_log_backups_and_export_finds_nothing_and_changes_nothing_unseen() {
    let Known { env, mut scanner, _open } = network();
    let passphrases = env.path().join("given");
    for (given, arguments) in [
        (KIM, &["vault", "passphrase", "add", "kim", "--new-passphrase-file"][..]),
        (OWN, &["backup", "create", "--to", text(&env.path().join("own.wgfb")), "--own-passphrase-file"][..]),
    ] {
        std::fs::write(&passphrases, given).unwrap();
        env.ok(&[arguments, &[text(&passphrases)]].concat());
        std::fs::remove_file(&passphrases).unwrap();
        scanner.text("a passphrase", given);
    }
    env.ok(&["backup", "create"]);
    for kind in ["config-only", "keys-only"] {
        env.ok(&["backup", "create", "--kind", kind, "--to", text(&env.path().join(format!("{kind}.wgfb")))]);
    }
    let [json, csv] = ["log.json", "log.csv"].map(|name| env.path().join(name));
    env.ok(&["audit", "export", "--out", text(&json)]);
    env.ok(&["audit", "export", "--format", "csv", "--out", text(&csv)]);

    let older_log = std::fs::read(wal(&env)).unwrap();
    env.ok(&["set", "alice-laptop", "access=vpn-only"]);
    env.ok(&["rotate", "alice-laptop", "--reason", "yearly"]);
    super::learn_files(&env, &mut scanner);
    let head = env.path().join("head");
    std::fs::write(&head, env.ok(&["audit", "checkpoint"]).stdout).unwrap();
    assert_ne!(std::fs::read(wal(&env)).unwrap(), older_log);

    // Everything there is, from the database to what was kept elsewhere.
    let files = files_below(env.path());
    for ending in ["default.db", "default.db-wal", "own.wgfb", "keys-only.wgfb", "log.json", "log.csv", "log.csv.head"]
    {
        assert!(files.iter().any(|file| text(file).ends_with(ending)), "{ending} is not among {files:?}");
    }
    assert!(files.iter().filter(|file| text(file).ends_with(".wgfb")).count() >= 4);
    for file in &files {
        scanner.assert_clean(text(file), &std::fs::read(file).unwrap());
    }
    let (code, said) = with(&stolen(&env), PASSPHRASE, &["audit", "verify", "--anchors", text(&head)]);
    assert_eq!(code, Some(0), "a copy by itself is in order: {said}");

    // The sealed key of one node in the place of another's.
    let copy = stolen(&env);
    tamper(
        &copy,
        "CREATE TEMP TABLE sealed AS SELECT rowid AS at, sealed_private FROM keys WHERE sealed_private IS NOT NULL;
         UPDATE keys SET sealed_private = (SELECT sealed_private FROM sealed WHERE at <> keys.rowid ORDER BY at DESC LIMIT 1)
           WHERE rowid = (SELECT min(at) FROM sealed);",
    );
    let (code, said) = with(&copy, PASSPHRASE, &["generate", "--dir", text(&copy.path().join("files"))]);
    assert!(code == Some(6) && said.contains("keys"), "{said}");

    // An older write-ahead log in the place of the present one.
    let copy = stolen(&env);
    std::fs::write(wal(&copy), &older_log).unwrap();
    let (code, said) = with(&copy, PASSPHRASE, &["audit", "verify", "--anchors", text(&head)]);
    assert!(code == Some(6) && said.contains("older copy"), "{said}");

    // The slot of a database whose passphrase the thief knows, in the place of kim's.
    let thief = TestEnv::with_network();
    let copy = stolen(&env);
    let replace = "DELETE FROM slots WHERE name = 'kim';
        INSERT INTO slots (name, kind, log_n, r, p, salt, public_key, locked_key, sealed_token, tag, wrapped, checksum, created)
          SELECT 'kim', kind, log_n, r, p, (SELECT salt FROM slots WHERE name = 'main'), public_key, locked_key, sealed_token,
                 tag, wrapped, checksum, created
          FROM other.slots WHERE name = 'main'";
    tamper(&copy, &format!("ATTACH '{}' AS other; {replace}", thief.database().display()));
    for given in [PASSPHRASE, KIM] {
        let (code, said) = with(&copy, given, &["generate", "alice-phone"]);
        assert!(code == Some(6) && !said.contains("PrivateKey"), "{given}: {said}");
    }

    // The slot of somebody whose passphrase was taken away.
    let (copy, kept) = (stolen(&env), env.path().join("kept.db"));
    let attached = |sql: &str| tamper(&copy, &format!("ATTACH '{}' AS other; {sql}", kept.display()));
    attached("CREATE TABLE other.slots AS SELECT * FROM main.slots");
    let (code, said) = with(&copy, PASSPHRASE, &["vault", "passphrase", "remove", "kim", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(with(&copy, KIM, &["generate", "alice-phone"]).0, Some(5), "it no longer opens");
    attached("INSERT OR REPLACE INTO main.slots SELECT * FROM other.slots");
    for given in [PASSPHRASE, KIM] {
        let (code, said) = with(&copy, given, &["generate", "alice-phone"]);
        assert!(code == Some(6) && said.contains("passphrases"), "{given}: {said}");
    }
}
