//! Adopting what other tools keep (`tests/fixtures/import`): what they wrote comes back byte for byte, who was switched off
//! stays so, and nothing of theirs is touched.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use crate::env::TestEnv;

/// Puts a tool's files beside the program; those of SQL are made into databases.
fn put(env: &TestEnv, tool: &str) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy(&path, &target);
            } else if path.extension().is_some_and(|end| end == "sql") {
                let connection = Connection::open(target.with_extension("db")).unwrap();
                connection.execute_batch(&fs::read_to_string(&path).unwrap()).unwrap();
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let folder = env.path().join(tool);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import").join(tool), &folder);
    folder
}

fn import(env: &TestEnv, path: &Path) -> Value {
    env.json(&["import", path.to_str().unwrap(), "--yes"])
}

fn generated(env: &TestEnv, node: &str) -> String {
    String::from_utf8(env.ok(&["generate", node]).stdout).unwrap()
}

/// Whether a node is switched on; `None` when there is no such node.
fn enabled(env: &TestEnv, node: &str) -> Option<bool> {
    let list = env.json(&["list"]);
    let nodes = list["nodes"].as_array().unwrap();
    nodes.iter().find(|entry| entry["name"] == node)?["enabled"].as_bool()
}

#[test]
fn the_files_that_panels_wrote_come_back_byte_for_byte() {
    for (tool, import_from, server) in [
        ("pivpn", "", "wg0.conf"),
        ("wgdashboard", "wgdashboard.db", "wg0.conf"),
        ("wg-easy-json", "with-file/wg0.json", "with-file/wg0.conf"),
    ] {
        let env = TestEnv::new();
        let folder = put(&env, tool);
        import(&env, &folder.join(import_from));
        assert_eq!(generated(&env, "server"), fs::read_to_string(folder.join(server)).unwrap(), "{tool}");
    }
}

#[test]
fn whoever_a_panel_shut_out_stays_shut_out_until_switched_on() {
    let env = TestEnv::new();
    let folder = put(&env, "pivpn");
    import(&env, &folder);
    assert_eq!((enabled(&env, "alice"), enabled(&env, "bob")), (Some(true), Some(false)));
    let before = fs::read_to_string(folder.join("wg0.conf")).unwrap();
    env.ok(&["enable", "bob"]);
    let after = generated(&env, "server");
    let added = after.strip_prefix(before.as_str()).expect("what was there stays as it is");
    for line in ["AllowedIPs = 10.6.0.3/32, fd11:5ee:bad:c0de::3/128", "PresharedKey = ", "[Peer]"] {
        assert!(added.contains(line), "{added}");
    }
}

#[test]
fn databases_become_networks() {
    for (tool, database, nodes) in [
        ("wg-easy", "wg-easy.db", &[("server", "server"), ("office", "router"), ("alice", "remote")][..]),
        ("wg-friend-1", "wireguard.db", &[("coordination-server", "server"), ("home", "router"), ("exit-eu", "exit")]),
        ("wireguard-ui", "", &[("server", "server"), ("cabin", "router"), ("Alice", "remote")]),
    ] {
        let env = TestEnv::new();
        import(&env, &put(&env, tool).join(database));
        let list = env.json(&["list"]);
        for (name, role) in nodes {
            let found = list["nodes"].as_array().unwrap().iter().find(|node| node["name"] == *name);
            assert_eq!(found.map(|node| node["role"].as_str()), Some(Some(*role)), "{name} of {tool}: {list}");
        }
    }
}

#[test]
fn a_database_in_use_is_read_with_its_log_and_left_as_it_is() {
    let env = TestEnv::new();
    let folder = put(&env, "wg-easy");
    let path = folder.join("wg-easy.db");
    let running = Connection::open(&path).unwrap();
    let mode = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; UPDATE clients_table SET name = 'anna' WHERE id = 1;";
    running.execute_batch(mode).unwrap();
    let all = || -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
            .into_iter()
            .filter(|file| !file.ends_with("wg-easy.db-shm"))
            .map(|file| (file.clone(), fs::read(&file).unwrap()))
            .collect()
    };
    let before = all();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    import(&env, &path);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(enabled(&env, "anna"), Some(true), "it was renamed in the log only");
    assert!(all() == before, "a file was made or changed");
}
