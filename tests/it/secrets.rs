//! No private key, preshared key, passphrase, recovery key or data key where nobody asked for it: not in the files, not in
//! what commands say, not in the memory of a locked program. What happens on hosts is looked at in `lab::secrets`.

mod memory;
mod output;
pub(crate) mod scanner;
mod stolen;

use std::path::{Path, PathBuf};

use wg_friend::db::{Database, Passphrase};
use wg_friend::model::{Actor, Source};
use wg_friend::ops::clock::{Clock as _, System};

use crate::env::{PASSPHRASE, TestEnv};
use scanner::Scanner;

/// The passphrase that a database was made with, before [`PASSPHRASE`].
const FIRST_PASSPHRASE: &str = "the-first-passphrase";

/// A network with all that can be secret about one, and what that is.
struct Known {
    env: TestEnv,
    scanner: Scanner,
    /// Keeps the write-ahead log from being cleared away, as a second wg-friend would.
    _open: Database,
}

/// Makes a network whose secrets are known: every role, a rotated key, a key that was shown once, an old passphrase, old
/// recovery keys and an old data key.
fn network() -> Known {
    let env = TestEnv::new();
    let mut scanner = Scanner::default();
    let first = env.path().join("first");
    std::fs::write(&first, format!("{FIRST_PASSPHRASE}\n")).unwrap();
    let second = env.path().join("second");
    std::fs::write(&second, PASSPHRASE).unwrap();
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let init =
        ["init", "--name", "office", "--passphrase-file", first, "--server", "hub", "--endpoint", "vpn.example.com"];
    scanner.recovery_key(env.json(&init)["recovery_key"].as_str().unwrap());
    env.ok(&["vault", "passphrase", "--passphrase-file", first, "--new-passphrase-file", second]);
    std::fs::remove_file(first).unwrap();
    std::fs::remove_file(second).unwrap();
    scanner.text("the first passphrase", FIRST_PASSPHRASE);
    scanner.text("the passphrase", PASSPHRASE);
    let open = Database::open(&env.database()).unwrap();

    env.ok(&["add", "router", "branch", "--lan", "192.168.10.0/24", "--ssh", "root@127.0.0.1:1"]);
    env.ok(&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"]);
    env.ok(&["add", "remote", "alice-phone", "alice-laptop", "--exit", "exit-de"]);
    let shown = env.ok(&["add", "remote", "nas", "--custody", "shown-once"]).stdout;
    learn_file(&mut scanner, "nas", &String::from_utf8(shown).unwrap());
    learn_files(&env, &mut scanner);
    scanner.bytes("the first data key", &data_key(&env));
    env.ok(&["rotate", "alice-phone", "--reason", "phone lost"]);
    for document in [env.json(&["vault", "rekey", "--yes"]), env.json(&["vault", "recovery", "--yes"])] {
        scanner.recovery_key(document["recovery_key"].as_str().unwrap());
    }
    learn_files(&env, &mut scanner);
    scanner.bytes("the data key", &data_key(&env));
    Known { env, scanner, _open: open }
}

/// Adds the keys in the files of all nodes.
fn learn_files(env: &TestEnv, scanner: &mut Scanner) {
    let nodes = env.json(&["list"])["nodes"].clone();
    for node in nodes.as_array().unwrap() {
        let name = node["name"].as_str().unwrap();
        learn_file(scanner, name, &String::from_utf8(env.ok(&["generate", name]).stdout).unwrap());
    }
}

/// Adds the keys in a wg-quick file.
pub(crate) fn learn_file(scanner: &mut Scanner, name: &str, file: &str) {
    let mut keys = 0;
    for line in file.lines() {
        let Some((field, value)) = line.split_once(" = ").filter(|(_, value)| value.len() == 44) else { continue };
        match field {
            "PrivateKey" => scanner.key(&format!("the private key of {name}"), value),
            "PresharedKey" => scanner.key(&format!("a preshared key of {name}"), value),
            _ => continue,
        }
        keys += 1;
    }
    assert!(keys >= 1, "{name} has no key in its file");
}

/// Returns the key that everything is sealed with.
fn data_key(env: &TestEnv) -> [u8; 32] {
    let actor = Actor { operator: "tester".to_owned(), address: None, source: Source::Cli };
    let database = Database::open(&env.database()).unwrap();
    *database.unlock(&Passphrase::new(PASSPHRASE.to_owned()), &actor, System.now()).unwrap().data_key().expose()
}

/// Returns every file below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()))
        } else {
            files.push(entry.path())
        }
    }
    files
}

#[test]
fn no_secret_is_in_any_file_that_a_database_consists_of() {
    let Known { env, scanner, _open } = network();
    // A write that was begun and not finished, and failed attempts, leave their traces too.
    env.run(&["host", "check", "branch"]);
    env.run(&["plan"]);
    let files = files_below(env.path());
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    for expected in ["default.db", "default.db-wal", "default.db-shm"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert!(env.database().with_extension("db-wal").metadata().unwrap().len() > 10_000);
    for file in files {
        scanner.assert_clean(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}

#[test]
fn no_secret_is_in_any_file_of_a_database_that_was_encrypted_later() {
    let env = TestEnv::new();
    let without = |arguments: &[&str]| {
        let output = env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    without(&["init", "--name", "office", "--no-encryption", "--server", "hub", "--endpoint", "vpn.example.com"]);
    without(&["add", "router", "branch", "--lan", "192.168.10.0/24"]);
    without(&["add", "remote", "alice-phone", "alice-laptop"]);
    let mut scanner = Scanner::default();
    learn_files(&env, &mut scanner);
    without(&["rotate", "alice-phone", "--reason", "phone lost"]);
    without(&["remove", "alice-laptop", "--yes"]);
    learn_files(&env, &mut scanner);
    let key = Database::open(&env.database()).unwrap().plain_key().unwrap().expect("it isn't encrypted");
    scanner.bytes("the key that lay in the file", key.expose());
    let database = || std::fs::read(env.database()).unwrap();
    assert!(!scanner.find(&database()).is_empty(), "before, there is one");

    let open = Database::open(&env.database()).unwrap(); // as a second wg-friend has it, which keeps the log file there
    scanner.recovery_key(env.json(&["vault", "encrypt"])["recovery_key"].as_str().unwrap());
    scanner.text("the passphrase", PASSPHRASE);
    scanner.bytes("the data key", &data_key(&env));
    let files = files_below(env.database().parent().unwrap());
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        scanner.assert_clean(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    drop(open);
    assert!(env.database().metadata().unwrap().len() > 50_000);
}

#[test]
fn no_secret_is_in_the_copy_that_a_migration_leaves() {
    let Known { env, scanner, _open } = network();
    drop(_open);
    // Of a database that says it is older, the program makes a copy before it finds that the tables are there already.
    let connection = rusqlite::Connection::open(env.database()).unwrap();
    connection.pragma_update(None, "user_version", 0).unwrap();
    connection.close().unwrap();
    env.run(&["list"]);
    let copy = env.database().with_extension("db.schema-0.bak");
    let bytes = std::fs::read(&copy).unwrap();
    assert!(bytes.len() > 50_000, "{} is no copy", copy.display());
    scanner.assert_clean("the copy", &bytes);
}

#[test]
fn the_scanner_would_find_a_secret_in_the_database() {
    let Known { env, scanner, _open } = network();
    let file = String::from_utf8(env.ok(&["generate", "alice-laptop"]).stdout).unwrap();
    let key = file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).unwrap();
    env.ok(&["set", "alice-laptop", &format!("notes=my key is {key}")]);
    let found: Vec<_> =
        files_below(env.path()).iter().flat_map(|file| scanner.find(&std::fs::read(file).unwrap())).collect();
    assert!(found.iter().any(|f| f.what == "first half of the private key of alice-laptop, as base64"), "{found:?}");
}
