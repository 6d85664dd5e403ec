//! Two copies of one database that went on by themselves, and become one again.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;

use super::backup::{actions, create, files, names, text};
use super::import::write_files;
use crate::env::{TestEnv, filters};
use crate::moments::Moments;

/// Makes a copy of a database on another machine.
pub(super) fn twin(env: &TestEnv) -> TestEnv {
    let (twin, file) = (TestEnv::new(), create(env, &["--to", text(&env.path().join("twin.wgfb"))]));
    twin.ok(&["backup", "restore", text(&file), "--yes"]);
    twin
}

/// Makes a backup of the other copy.
pub(super) fn backup(twin: &TestEnv) -> PathBuf {
    let file = twin.path().join("merge.wgfb");
    let _ = std::fs::remove_file(&file);
    create(twin, &["--to", text(&file)])
}

pub(super) fn arguments(file: &Path) -> [&str; 6] {
    ["backup", "restore", text(file), "--mode", "merge", "--yes"]
}

pub(super) fn merge(env: &TestEnv, file: &Path) -> String {
    env.run(&arguments(file))
}

/// Merges a backup of which nothing is taken over, and returns what is said of what stays as it is.
fn all_that_stays(env: &TestEnv, file: &Path) -> String {
    let before = env.model();
    let said = merge(env, file);
    assert_eq!(env.model(), before);
    assert!(said.starts_with("--- stderr ---\nnothing to take over from the backup\n"), "{said}");
    said.rsplit_once("\n\n").unwrap().1.to_owned()
}

/// Hides what differs each time, also names of backups and of copies.
pub(super) fn hidden() -> (impl Drop, impl Drop) {
    let times = filters();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[0-9a-f]{32}\b", "[ID]");
    settings.add_filter(r"before-merge-\d{8}T\d{9}Z", "before-merge-[TIME]");
    settings.add_filter(r"guid [A-Za-z0-9+/]{8}…", "guid [GUID]…");
    (times, settings.bind_to_scope())
}

/// What a node's file says.
fn file_of(env: &TestEnv, node: &str) -> String {
    String::from_utf8(env.ok(&["generate", node]).stdout).unwrap()
}

fn node(env: &TestEnv, name: &str) -> Value {
    env.json(&["show", name])
}

pub(super) fn fates(report: &Value) -> Vec<(String, String)> {
    let word = |left: &Value, member: &str| left[member].as_str().unwrap().to_owned();
    report["left"].as_array().unwrap().iter().map(|left| (word(left, "name"), word(left, "fate"))).collect()
}

#[test]
fn what_the_other_machine_did_comes_over_and_of_both_the_newer_counts() {
    let env = TestEnv::with_nodes();
    env.ok(&["set", "branch", "endpoint=branch.example.com"]);
    let twin = twin(&env);
    let before = env.json(&["topology"]);
    twin.ok(&["add", "remote", "bob-phone", "bob-laptop"]);
    twin.ok(&["group", "add", "staff", "bob-phone", "alice-phone"]);
    twin.ok(&["grant", "staff", "hub", "icmp"]);
    twin.ok(&["link", "branch", "bob-laptop", "--weight", "3"]);
    twin.ok(&["host", "add", "web", "root@192.0.2.9"]);
    twin.ok(&["network", "set", "mtu=1380"]);
    twin.ok(&["set", "alice-laptop", "keepalive=15"]);
    env.ok(&["set", "alice-laptop", "keepalive=30"]);
    env.ok(&["set", "branch", "keepalive=30"]);
    let ours = env.json(&["topology"]);
    twin.ok(&["set", "branch", "keepalive=15"]);
    let file = backup(&twin);

    let _filters = hidden();
    let planned = env.run(&["backup", "restore", text(&file), "--mode", "merge", "--dry-run"]);
    assert_snapshot!(planned, @"
    would be merged

    backup     [ID]
    made       [TIME]
    database   [DIR]/data/wg-friend/default.db
    copied to  [DIR]/data/wg-friend/default.db.before-merge-[TIME].bak

    ~ network
        mtu  1420 → 1380
    ~ branch
        keepalive  30 → 15
    + bob-phone
        role       remote
        address    10.66.0.32, fd00:66::20
        interface  wg0
        key        [KEY]
    + bob-laptop
        role       remote
        address    10.66.0.33, fd00:66::21
        interface  wg0
        key        [KEY]
    + group staff
        members  alice-phone, bob-phone
        grant    hub icmp
    + host web
        address    root@192.0.2.9
        become     auto
        auto-sync  manual

    STAYS         WHY         CHANGED HERE         IN THE BACKUP
    alice-laptop  newer here  [TIME]  [TIME]

      to deploy: branch
      needs a new file: hub, exit-de, alice-phone, alice-laptop, bob-phone, bob-laptop
    --- stderr ---
      next: `--prefer backup` takes the backup's wherever both differ, and brings back what was removed here
    ");
    assert_eq!((env.json(&["topology"]), names(env.database().parent().unwrap()).len()), (ours.clone(), 1));

    let report = env.json(&arguments(&file));
    assert_eq!(report["saved"], true);
    assert_eq!(fates(&report), [("alice-laptop".into(), "newer_here".into())]);
    assert_eq!(
        (&node(&env, "branch")["keepalive"], &node(&env, "alice-laptop")["keepalive"]),
        (&15.into(), &30.into())
    );
    // With their keys and preshared keys, and all that follows: only what stayed as it is here is otherwise.
    for name in ["bob-phone", "bob-laptop", "alice-phone", "branch"] {
        assert_eq!(file_of(&env, name), file_of(&twin, name), "{name}");
    }
    assert_eq!(node(&env, "bob-phone")["guid"], node(&twin, "bob-phone")["guid"]);
    assert_eq!(env.json(&["grants"]), twin.json(&["grants"]));
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
    assert_eq!(actions(&env).iter().filter(|action| *action == "backup_restored").count(), 1);

    // The copy is what was there; going back does the same, and a second merge nothing.
    assert_eq!(env.json(&["topology", "--db", report["copy"].as_str().unwrap()]), ours);
    let state = report["state"].as_i64().unwrap();
    let log = env.json(&["history"]);
    assert_eq!(log["states"][0]["number"], state);
    assert!(log["states"][0]["description"].as_str().unwrap().starts_with("merged the backup "));
    assert_snapshot!(all_that_stays(&env, &file), @"
    STAYS         WHY         CHANGED HERE         IN THE BACKUP
    alice-laptop  newer here  [TIME]  [TIME]
      next: `--prefer backup` takes the backup's wherever both differ, and brings back what was removed here
    ");
    env.ok(&["rollback", "--model", &(state - 1).to_string(), "--yes"]);
    assert_eq!(env.json(&["topology"]), ours);
    assert_ne!(ours, before);
}

#[test]
fn what_was_removed_here_since_stays_away_and_what_was_changed_there_later_comes_back() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    let (file, wanted) = (backup(&twin), file_of(&env, "alice-phone"));
    env.ok(&["remove", "alice-phone", "--yes"]);
    let _filters = hidden();
    assert_snapshot!(all_that_stays(&env, &file), @"
    STAYS        WHY                 CHANGED HERE         IN THE BACKUP
    alice-phone  removed here since  [TIME]  [TIME]
      next: `--prefer backup` takes the backup's wherever both differ, and brings back what was removed here
    ");

    let (saved, arguments) = (env.saved(), [&arguments(&file)[..], &["--prefer", "backup"]].concat());
    env.ok(&arguments);
    assert_eq!(file_of(&env, "alice-phone"), wanted, "with the keys that it had");
    env.put_back(&saved);

    twin.ok(&["set", "alice-phone", "keepalive=15"]);
    let report = env.json(&self::arguments(&backup(&twin)));
    assert_eq!(fates(&report), []);
    assert_eq!(file_of(&env, "alice-phone"), file_of(&twin, "alice-phone"));
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
}

#[test]
fn names_and_addresses_that_are_taken_are_listed_and_the_present_ones_stay() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    env.ok(&["add", "remote", "dora"]);
    env.ok(&["add", "remote", "erin"]);
    env.ok(&["add", "router", "barn", "--lan", "192.168.20.0/24", "--endpoint", "198.51.100.7"]);
    twin.ok(&["add", "remote", "dora", "--address", "10.66.0.40"]);
    twin.ok(&["add", "remote", "frank", "--address", node(&env, "erin")["address4"].as_str().unwrap()]);
    let depot = ["--lan", "192.168.20.0/25", "--endpoint", "198.51.100.8", "--address", "10.66.0.41"];
    twin.ok(&[&["add", "router", "depot"][..], &depot].concat());
    twin.ok(&["add", "remote", "gina", "--address", "10.66.0.42"]);
    let (file, guid) = (backup(&twin), node(&env, "dora")["guid"].clone());

    let _filters = hidden();
    assert_snapshot!(merge(&env, &file), @"
    --- stderr ---
    merged

    backup     [ID]
    made       [TIME]
    database   [DIR]/data/wg-friend/default.db
    copied to  [DIR]/data/wg-friend/default.db.before-merge-[TIME].bak
    state      9

    + gina
        role       remote
        address    10.66.0.42, fd00:66::2a
        interface  wg0
        key        [KEY]

    CONFLICT  WHY, AND WHAT TO DO
    dora      the remote `dora` (guid [GUID]…) of the backup is called the same as the remote `dora` (guid [GUID]…) here: `wg-friend rename dora OTHER`, and merge again
    frank     `erin` and `frank` both have the address 10.66.0.33: change one of them; then merge again
    depot     the LAN 192.168.20.0/24 of `barn` overlaps the LAN 192.168.20.0/25 of `depot`: packets could go to one of them only, so renumber one or advertise a smaller part of it; then merge again

      needs a new file: hub, gina
    [exit 1]
    ");
    assert_eq!(node(&env, "dora")["guid"], guid);
    assert_eq!(file_of(&env, "gina").lines().next(), file_of(&twin, "gina").lines().next());
    let report = env.run(&[&arguments(&file)[..], &["--json"]].concat());
    assert!(report.ends_with("[exit 1]\n") && report.contains(r#""saved": false"#), "{report}");

    // Done as it was said, the rest comes too.
    env.ok(&["rename", "dora", "dora-1"]);
    env.ok(&["set", "erin", "address=10.66.0.50"]);
    env.ok(&["remove", "barn", "--yes"]);
    let report = env.json(&arguments(&file));
    assert_eq!(fates(&report), []);
    for name in ["dora", "frank", "depot"] {
        assert_eq!(node(&env, name)["guid"], node(&twin, name)["guid"]);
    }
}

#[test]
fn exits_of_both_sides_get_interfaces_on_the_server_and_groups_have_their_members() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    env.ok(&["add", "exit", "exit-fr", "--endpoint", "203.0.113.10"]);
    twin.ok(&["add", "exit", "exit-nl", "--endpoint", "203.0.113.11", "--address", "10.66.0.60"]);
    twin.ok(&["add", "server", "hub-2", "--endpoint", "198.51.100.9", "--address", "10.66.0.61"]);
    twin.ok(&["exit", "group", "add", "eu", "exit-de", "exit-nl"]);
    twin.ok(&["exit", "assign", "alice-phone", "eu"]);
    let report = env.json(&arguments(&backup(&twin)));
    assert_eq!((fates(&report), &report["saved"]), (vec![], &Value::from(true)));
    let uplinks = |server: &str| node(&env, server)["interfaces"].as_array().unwrap().len() - 1;
    assert_eq!((uplinks("hub"), uplinks("hub-2")), (3, 3));
    files(&env);
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
}

#[test]
fn keys_are_opened_in_one_vault_and_sealed_in_the_other() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    twin.ok(&["vault", "rekey", "--yes"]);
    env.ok(&["vault", "rekey", "--yes"]);
    twin.ok(&["add", "remote", "bob-phone"]);
    twin.ok(&["rotate", "alice-phone", "--now", "--yes"]);
    twin.ok(&["psk", "rotate", "alice-laptop", "--yes"]);
    env.ok(&arguments(&backup(&twin)));
    for name in ["bob-phone", "alice-phone", "alice-laptop"] {
        assert_eq!(file_of(&env, name), file_of(&twin, name), "{name}");
    }
    env.ok(&["vault", "rekey", "--yes"]); // opens everything that is sealed
    assert_eq!(file_of(&env, "bob-phone"), file_of(&twin, "bob-phone"));

    // A key that was retired here doesn't come back with an older backup.
    let (old, key) = (backup(&twin), node(&env, "bob-phone")["public_key"].clone());
    env.ok(&["rotate", "bob-phone", "--now", "--yes"]);
    let rotated = file_of(&env, "bob-phone");
    env.ok(&[&arguments(&old)[..], &["--prefer", "backup"]].concat());
    assert_eq!(file_of(&env, "bob-phone"), rotated);
    let keys = node(&env, "bob-phone")["keys"].clone();
    let retired = keys.as_array().unwrap().iter().filter(|key| key["state"] == "retired");
    assert!(retired.map(|key| &key["public_key"]).any(|retired| *retired == key), "{keys:#}");
}

#[test]
fn databases_without_encryption_are_merged_too() {
    let env = TestEnv::new();
    let init = ["init", "--name", "office", "--no-encryption", "--server", "hub", "--endpoint", "vpn.example.com"];
    assert!(env.command(&init).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap().status.success());
    let own = env.path().join("own");
    std::fs::write(&own, "another battery\n").unwrap();
    let with = ["--own-passphrase-file", text(&own)];
    let twin = TestEnv::new();
    let file = create(&env, &with);
    twin.ok(&[&["backup", "restore", text(&file), "--yes"], &with[..]].concat());
    twin.ok(&["add", "remote", "bob-phone"]);
    let file = create(&twin, &with);
    env.ok(&[&arguments(&file)[..], &with].concat());
    assert_eq!(file_of(&env, "bob-phone"), file_of(&twin, "bob-phone"));
}

#[test]
fn what_was_adopted_comes_with_its_file() {
    let env = TestEnv::new();
    let [server, router, phone] = write_files(env.path());
    env.ok(&["import", "--name", "farm", "--yes", &server]);
    let twin = twin(&env);
    twin.ok(&["import", "--yes", &router, &phone]);
    let list = twin.json(&["list"]);
    let names: Vec<&str> =
        list["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    twin.ok(&["set", names[0], "mtu=1360"]);
    let file = backup(&twin);
    let report = env.json(&arguments(&file));
    assert_eq!((fates(&report), &report["saved"]), (vec![], &Value::from(true)));
    let with_key = |name: &&&str| node(&twin, name)["provisional"] == false;
    let known: Vec<&&str> = names.iter().filter(with_key).collect();
    assert_eq!(known.len(), 3);
    for name in known {
        assert_eq!(file_of(&env, name), file_of(&twin, name), "{name}");
    }
    assert_eq!(env.json(&arguments(&file))["saved"], false);
}

#[test]
fn a_backup_of_another_database_or_without_one_is_refused() {
    let (env, other) = (TestEnv::with_network(), TestEnv::with_network());
    let (foreign, keys) = (create(&other, &[]), create(&env, &["--kind", "keys-only"]));
    assert_snapshot!(env.refused(&arguments(&foreign)), @"
    --- stderr ---
    error: that is a backup of another database: its networks, keys and history have nothing in common with this one
     hint: `wg-friend backup restore FILE --mode config-only --to DIR` lays out its configurations, and `wg-friend import DIR` takes them over
    [exit 1]
    ");
    assert_snapshot!(env.refused(&arguments(&keys)), @"
    --- stderr ---
    error: a backup of kind keys-only has no database
     hint: merge a full one
    [exit 1]
    ");
    assert_snapshot!(TestEnv::new().run(&arguments(&foreign)), @"
    --- stderr ---
    error: there is no database [DIR]/data/wg-friend/default.db to merge into
     hint: without --mode the backup becomes the database
    [exit 1]
    ");
    let own = create(&env, &[]);
    assert_snapshot!(env.refused(&["backup", "restore", text(&own), "--prefer", "backup", "--yes"]), @"
    --- stderr ---
    error: --prefer: goes with --mode merge alone
    [exit 2]
    ");
}

#[test]
fn after_a_merge_with_itself_every_file_is_as_before() {
    let env = TestEnv::with_nodes();
    env.ok(&["group", "add", "staff", "alice-phone"]);
    env.ok(&["grant", "staff", "branch", "tcp", "22"]);
    env.ok(&["set", "branch", "endpoint=branch.example.com"]);
    env.ok(&["link", "branch", "alice-laptop", "--weight", "3"]);
    env.ok(&["exit", "group", "add", "eu", "exit-de"]);
    env.ok(&["exit", "assign", "alice-phone", "eu"]);
    env.ok(&["psk", "policy", "--node", "branch", "required"]);
    let (before, file) = ((env.model(), files(&env), env.json(&["history"])), backup(&env));
    for prefer in ["newer", "backup"] {
        let report = env.json(&[&arguments(&file)[..], &["--prefer", prefer]].concat());
        assert_eq!((&report["saved"], &report["copy"], fates(&report)), (&Value::from(false), &Value::Null, vec![]));
        assert_eq!(files(&env), before.1);
    }
    assert_eq!(env.json(&["history"]), before.2);
    assert_eq!(env.json(&["topology"]), before.0.0);
}

#[test]
fn killed_at_any_moment_of_merging_it_is_as_before_or_merged() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    let names: Vec<String> = (0..30).map(|n| format!("phone-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    twin.ok(&[&["add", "remote"][..], &names].concat());
    let (file, saved, before) = (backup(&twin), env.saved(), env.json(&["topology"]));
    let (mut moments, mut ends) = (Moments::later_by_one_in(8), [0, 0, 0]);
    while ends[2] < 2 {
        env.put_back(&saved);
        let ended = moments.kill(&mut env.command(&arguments(&file)));
        let seen = env.json(&["topology"]);
        let is_merged = seen != before;
        assert_eq!(seen["nodes"].as_array().unwrap().len(), if is_merged { 35 } else { 5 });
        if is_merged {
            assert_eq!(files(&env), files(&twin));
        }
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
        ends[usize::from(is_merged) + usize::from(is_merged && ended)] += 1;
    }
    assert!(ends[0] >= 3, "{ends:?}: some were killed before it was done");
}

/// Makes the newest change of a copy one that was made on a machine whose clock is a day behind.
fn turn_clock_back(env: &TestEnv) {
    let conn = rusqlite::Connection::open(env.database()).unwrap();
    let guards = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'states'";
    let mut guards = conn.prepare(guards).unwrap();
    let guards = guards.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let guards: Vec<(String, String)> = guards.map(Result::unwrap).collect();
    guards.iter().for_each(|(name, _)| conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    let sql = "UPDATE states SET time = time - 86400000000 WHERE id = (SELECT max(id) FROM states)";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    guards.iter().for_each(|(_, sql)| conn.execute_batch(sql).unwrap());
}

#[test]
fn what_was_changed_on_one_side_alone_is_newer_there_whatever_its_clock_says() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    twin.ok(&["set", "alice-laptop", "keepalive=15"]);
    turn_clock_back(&twin);
    env.ok(&["set", "branch", "keepalive=30"]);
    turn_clock_back(&env);
    let report = env.json(&arguments(&backup(&twin)));
    assert_eq!(fates(&report), [("branch".into(), "changed_here".into())]);
    let keepalive = |name: &str| node(&env, name)["keepalive"].clone();
    assert_eq!((keepalive("alice-laptop"), keepalive("branch")), (15.into(), 30.into()));
}

#[test]
fn what_came_by_a_merge_is_as_old_as_the_backup_that_was_merged() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    env.ok(&["set", "alice-laptop", "keepalive=15"]);
    env.ok(&["set", "alice-phone", "keepalive=15"]);
    let file = backup(&env);
    env.ok(&["set", "alice-laptop", "keepalive=20"]);
    env.ok(&["remove", "alice-phone", "--yes"]);
    twin.ok(&arguments(&file));
    assert_eq!(node(&twin, "alice-laptop")["keepalive"], 15);
    let report = env.json(&arguments(&backup(&twin)));
    let mut fates = fates(&report);
    fates.sort();
    assert_eq!(
        fates,
        [("alice-laptop".into(), "newer_here".into()), ("alice-phone".into(), "removed_here".into())],
        "{report:#}"
    );
    assert_eq!(node(&env, "alice-laptop")["keepalive"], 20);
    // The other way round it comes.
    twin.ok(&arguments(&backup(&env)));
    assert_eq!(node(&twin, "alice-laptop")["keepalive"], 20);
}

#[test]
fn a_private_key_that_was_forgotten_there_is_forgotten_here_and_no_other() {
    let env = TestEnv::new();
    let [server, router, phone] = write_files(env.path());
    env.ok(&["import", "--name", "farm", "--yes", &server, &router, &phone]);
    env.ok(&["add", "remote", "bob-phone"]);
    let (key_of, held) = (
        |file: &str| file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).map(str::to_owned),
        |env: &TestEnv, name: &str| node(env, name)["custody"] == "held",
    );
    let with_key = |file: &str| std::fs::read_to_string(file).unwrap();
    let key = key_of(&with_key(&phone)).unwrap();
    let list = env.json(&["list"]);
    let names = list["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned());
    let adopted = names.into_iter().find(|name| file_of(&env, name).contains(&key)).unwrap();
    let twin = twin(&env);
    let sealed = |env: &TestEnv| {
        let conn = rusqlite::Connection::open(env.database()).unwrap();
        let count = |sql: &str| conn.query_row(sql, [&adopted], |row| row.get::<_, i64>(0)).unwrap();
        let generated = count(
            "SELECT count(*) FROM generated g JOIN interfaces i ON i.id = g.interface_id JOIN nodes n ON n.id = i.node_id
             WHERE n.name = ?1",
        );
        let sql = "SELECT count(r.sealed_content) FROM revisions r JOIN nodes n ON n.id = r.node_id WHERE n.name = ?1";
        (generated, count(sql))
    };
    assert!(sealed(&env).0 > 0);
    twin.ok(&["set", &adopted, "custody=never-seen", "--yes"]);
    twin.ok(&["set", "bob-phone", "keepalive=15"]);
    env.ok(&["set", &adopted, "notes=here"]);
    twin.ok(&["set", &adopted, "notes=there"]);
    let state = env.json(&["history"])["states"][0]["number"].to_string();
    let report = env.json(&arguments(&backup(&twin)));
    assert_eq!(fates(&report), [], "{report:#}");
    assert!(!held(&env, &adopted) && held(&env, "bob-phone"));
    assert_eq!(sealed(&env), (0, 0));
    assert!(!file_of(&env, &adopted).contains(&key));
    env.ok(&["rollback", "--model", &state, "--yes"]);
    assert!(!file_of(&env, &adopted).contains(&key), "nor does an earlier state have it");
}

#[test]
fn the_only_copy_of_a_private_key_stays() {
    let env = TestEnv::with_nodes();
    let file = env.path().join("key");
    let key = file_of(&env, "alice-phone");
    let key = key.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).unwrap();
    std::fs::write(&file, format!("{key}\n")).unwrap();
    env.ok(&["set", "alice-phone", "custody=never-seen", "--yes"]);
    let twin = twin(&env);
    env.ok(&["set", "alice-phone", "custody=held", "--private-key-file", text(&file)]);
    twin.ok(&["set", "alice-phone", "keepalive=15"]);
    for prefer in ["newer", "backup"] {
        let said = env.run(&[&arguments(&backup(&twin))[..], &["--prefer", prefer]].concat());
        assert!(file_of(&env, "alice-phone").contains(key), "{said}");
        assert!(said.contains("alice-phone"), "{said}");
    }
    assert_eq!(node(&env, "alice-phone")["keepalive"], 15);
}

#[test]
fn what_was_revoked_before_a_removal_stays_revoked() {
    let env = TestEnv::with_nodes();
    env.ok(&["grant", "alice-laptop", "alice-phone", "tcp", "22"]);
    env.ok(&["grant", "branch", "alice-phone", "tcp", "22"]);
    env.ok(&["group", "add", "staff", "alice-phone", "alice-laptop"]);
    let twin = twin(&env);
    env.ok(&["revoke", "alice-laptop", "alice-phone", "tcp", "22"]);
    env.ok(&["group", "remove", "staff", "alice-phone"]);
    env.ok(&["remove", "alice-phone", "--yes"]);
    twin.ok(&["set", "alice-phone", "keepalive=15"]);
    let report = env.json(&arguments(&backup(&twin)));
    assert!(fates(&report).contains(&("alice-laptop".into(), "changed_here".into())), "{report:#}");
    assert_eq!(node(&env, "alice-phone")["keepalive"], 15);
    let grants = |name: &str| node(&env, name)["grants"].as_array().map_or(0, Vec::len);
    assert_eq!((grants("alice-laptop"), grants("branch")), (0, 1));
    let groups = env.json(&["group", "list"]).to_string();
    assert!(groups.contains("alice-laptop") && !groups.contains("alice-phone"), "{groups}");
}

#[test]
fn a_chain_of_exits_gets_the_uplink_that_its_exit_has_not_here() {
    let env = TestEnv::with_nodes();
    env.ok(&["add", "exit", "exit-nl", "--endpoint", "203.0.113.11"]);
    let twin = twin(&env);
    twin.ok(&["exit", "assign", "alice-phone", "--via", "exit-de,exit-nl"]);
    env.ok(&["set", "exit-de", "notes=here"]);
    let report = env.json(&arguments(&backup(&twin)));
    assert_eq!(fates(&report), [("exit-de".into(), "newer_here".into())]);
    assert_eq!(node(&env, "alice-phone")["exit"], node(&twin, "alice-phone")["exit"]);
    assert_eq!(node(&env, "exit-de")["interfaces"].as_array().unwrap().len(), 2);
    files(&env);
}

#[test]
fn who_is_only_named_beside_what_clashes_comes() {
    let env = TestEnv::with_nodes();
    let twin = twin(&env);
    env.ok(&["set", "hub", "endpoint=198.51.100.1"]);
    twin.ok(&["set", "branch", "lan+=198.51.100.0/24"]);
    twin.ok(&["add", "remote", "gina"]);
    let report = env.run(&[&arguments(&backup(&twin))[..], &["--json"]].concat());
    assert!(report.ends_with("[exit 1]\n"), "{report}");
    assert_eq!(node(&env, "gina")["guid"], node(&twin, "gina")["guid"]);
    assert_eq!(node(&env, "branch")["lans"].as_array().unwrap().len(), 1);
}
