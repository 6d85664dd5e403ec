//! Backups as a person makes and needs them: while others write, on a new machine, after damage, and cut short anywhere.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;

use crate::env::{PASSPHRASE, TestEnv, filters};
use crate::moments::Moments;

/// Makes a backup and returns its file.
pub(super) fn create(env: &TestEnv, arguments: &[&str]) -> PathBuf {
    let made = env.json(&[&["backup", "create"], arguments].concat());
    assert_eq!(made["saved"], true);
    made["file"].as_str().unwrap().into()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Everything that the files of all nodes say.
pub(super) fn files(env: &TestEnv) -> Vec<u8> {
    let dir = env.path().join("files");
    let _ = std::fs::remove_dir_all(&dir);
    env.ok(&["generate", "--dir", text(&dir)]);
    let mut files = crate::secrets::files_below(&dir);
    files.sort();
    files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
    names.sort();
    names
}

pub(super) fn actions(env: &TestEnv) -> Vec<String> {
    let log = env.json(&["audit", "log", "--limit", "1000"]);
    log["entries"].as_array().unwrap().iter().rev().map(|e| e["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_backup_brings_back_what_was_there_and_keeps_what_it_replaces() {
    let env = TestEnv::with_nodes();
    let before = (env.json(&["topology"]), files(&env));
    let file = create(&env, &[]);
    assert_eq!(file.parent(), Some(env.database().with_file_name("backups").as_path()));
    env.ok(&["remove", "alice-phone", "--yes"]);
    env.ok(&["add", "remote", "bob-phone"]);
    let changed = env.json(&["topology"]);

    let _filters = filters();
    let refused = env.refused(&["backup", "restore", text(&file)]);
    assert_snapshot!(refused, @"
    --- stderr ---
    error: a confirmation is needed, and there is no terminal to ask on
     hint: give it with --yes
    [exit 2]
    ");
    let planned = env.json(&["backup", "restore", text(&file), "--dry-run"]);
    assert_eq!((&planned["saved"], &planned["replaced"]["nodes"]), (&Value::from(false), &Value::from(5)));
    assert_eq!(env.json(&["topology"]), changed);

    let restored = env.json(&["backup", "restore", text(&file), "--yes"]);
    assert_eq!(env.json(&["topology"]), before.0);
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
    let actions = actions(&env);
    assert_eq!(actions.iter().filter(|action| *action == "backup_restored").count(), 1);
    assert!(!actions.contains(&"peer_removed".to_owned()), "what came after the backup is in the copy");
    assert_eq!(files(&env), before.1);
    // The history of backups goes on, though the backup itself couldn't know of itself.
    assert_eq!(env.json(&["backup", "list"])[0]["id"], restored["id"]);

    // The copy is the database as it was a moment ago.
    let copy = restored["replaced"]["copy"].as_str().unwrap();
    let seen = env.json(&["topology", "--db", copy]);
    assert_eq!(seen, changed);
    assert_eq!(names(env.database().parent().unwrap()).len(), 3, "the database, its copy, the backups");
}

#[test]
fn on_a_new_machine_the_file_and_the_passphrase_or_the_recovery_key_are_all_it_takes() {
    let env = TestEnv::with_nodes();
    let shares = env.json(&["vault", "recovery", "--shares", "3", "--needed", "2", "--yes"]);
    let share = |at: usize| shares["shares"][at].as_str().unwrap();
    let before = (env.json(&["topology"]), files(&env));
    let file = create(&env, &["--to", text(&env.path().join("kept.wgfb"))]);
    for given in [PASSPHRASE.to_owned(), format!("{} {}", share(2), share(0))] {
        let new = TestEnv::new();
        let mut command = new.command(&["backup", "restore", text(&file), "--yes", "--json"]);
        let output = command.env("WG_FRIEND_PASSPHRASE", &given).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(new.json(&["topology"]), before.0);
        assert_eq!(files(&new), before.1);
        assert_eq!(names(new.database().parent().unwrap()), ["default.db"]);
    }
    let new = TestEnv::new();
    let mut command = new.command(&["backup", "restore", text(&file), "--yes"]);
    let said = new.transcript(command.env("WG_FRIEND_PASSPHRASE", format!("{} {}", share(1), share(1))));
    assert_snapshot!(said, @"
    --- stderr ---
    error: wrong passphrase
     hint: try again; the printed recovery key works as well
    [exit 5]
    ");
    assert!(!new.database().exists());
}

#[test]
fn a_damaged_backup_is_told_with_its_place_and_never_restored() {
    let env = TestEnv::with_nodes();
    let file = create(&env, &[]);
    let whole = std::fs::read(&file).unwrap();
    let before = env.model();
    for at in (0..40).map(|n| n * (whole.len() - 1) / 39) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&file, &damaged).unwrap();
        let said = env.run(&["backup", "verify", text(&file)]);
        let place =
            ["damaged: the backup is damaged: piece ", "damaged: the backup is damaged: its header", "not a backup"];
        assert!(place.iter().any(|place| said.contains(place)), "byte {at}: {said}");
        assert!(said.ends_with("[exit 6]\n") || said.contains("not a backup"), "byte {at}: {said}");
        let restored = env.run(&["backup", "restore", text(&file), "--yes"]);
        assert!(restored.contains("[exit "), "byte {at}: {restored}");
    }
    std::fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let said = env.run(&["backup", "verify", text(&file)]);
    assert!(said.contains("cut off") && said.ends_with("[exit 6]\n"), "{said}");
    assert_eq!(env.model(), before);
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(env.json(&["backup", "verify", text(&file)])["whole"], true);
}

#[test]
fn it_shows_one_moment_while_others_write() {
    let env = TestEnv::with_network();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..12 {
                env.ok(&["add", "remote", &format!("phone-{n}")]);
            }
        });
        let mut made = 0;
        while !writer.is_finished() || made < 2 {
            let report = env.json(&["backup", "create"]); // proven, or it fails
            let nodes = report["networks"][0]["nodes"].as_u64().unwrap();
            assert!((1..=13).contains(&nodes));
            made += 1;
        }
    });
    for listed in env.json(&["backup", "list"]).as_array().unwrap() {
        let id = listed["id"].as_str().unwrap();
        assert_eq!(env.json(&["backup", "verify", &id[..12]])["whole"], true);
    }
}

#[test]
fn a_passphrase_of_its_own_opens_a_backup_and_the_vault_stays_shut() {
    let env = TestEnv::with_network();
    let own = env.path().join("own");
    std::fs::write(&own, "another battery\n").unwrap();
    let file = create(&env, &["--own-passphrase-file", text(&own)]);
    let verify = |more: &[&str]| env.run(&[&["backup", "verify", text(&file)], more].concat());
    let said = verify(&[]);
    assert!(said.contains("has a passphrase of its own") && said.contains("--own-passphrase-file"), "{said}");
    assert!(said.ends_with("[exit 5]\n"), "{said}");
    let verdict = env.json(&["backup", "verify", text(&file), "--own-passphrase-file", text(&own)]);
    assert_eq!((&verdict["whole"], &verdict["authenticated"]), (&Value::from(true), &Value::from(false)));

    let new = TestEnv::new();
    let arguments = ["backup", "restore", text(&file), "--own-passphrase-file", text(&own), "--yes"];
    let locked = new.command(&arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
    assert_eq!(locked.status.code(), Some(5));
    assert!(!new.database().exists());
    new.ok(&arguments);
    assert_eq!(new.json(&["topology"]), env.json(&["topology"]));
    assert_eq!(new.json(&["audit", "verify"])["intact"], true);
}

#[test]
fn a_database_without_encryption_needs_a_passphrase_for_its_backups() {
    let env = TestEnv::new();
    let without = |arguments: &[&str]| env.transcript(env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE"));
    without(&["init", "--name", "office", "--no-encryption"]);
    assert_snapshot!(without(&["backup", "create"]), @"
    --- stderr ---
    error: the database is not encrypted, and a backup always is
     hint: give it a passphrase of its own with --own-passphrase-file FILE, or run `wg-friend vault encrypt`
    [exit 1]
    ");
    let own = env.path().join("own");
    std::fs::write(&own, "another battery\n").unwrap();
    let file = create(&env, &["--own-passphrase-file", text(&own)]);
    let key: Vec<u8> = rusqlite::Connection::open(env.database())
        .unwrap()
        .query_row("SELECT data_key FROM plain_key", [], |row| row.get(0))
        .unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(32).any(|window| window == key), "its key is in the backup for everybody to read");
    let new = TestEnv::new();
    new.ok(&["backup", "restore", text(&file), "--own-passphrase-file", text(&own), "--yes"]);
    assert_eq!(new.json(&["topology"]), env.json(&["topology"]));
}

#[test]
fn configurations_and_keys_are_kept_by_themselves_too() {
    let env = TestEnv::with_nodes();
    let configs = create(&env, &["--kind", "config-only"]);
    let keys = create(&env, &["--kind", "keys-only"]);
    let full = create(&env, &[]);
    for (file, kind) in [(&configs, "config-only"), (&keys, "keys-only"), (&full, "full")] {
        let verdict = env.json(&["backup", "verify", text(file)]);
        assert_eq!((&verdict["whole"], verdict["kind"].as_str()), (&Value::from(true), Some(kind)));
    }
    let wanted = String::from_utf8(env.ok(&["generate", "alice-phone"]).stdout).unwrap();
    for (at, file) in [&configs, &full].iter().enumerate() {
        let to = env.path().join(format!("laid-{at}"));
        env.ok(&["backup", "restore", text(file), "--mode", "config-only", "--to", text(&to)]);
        let written = std::fs::read_to_string(to.join("office/alice-phone/wg0.conf")).unwrap();
        assert_eq!(written, wanted);
    }
    let refused = env.refused(&["backup", "restore", text(&keys), "--yes"]);
    assert_snapshot!(refused, @"
    --- stderr ---
    error: a backup of kind keys-only has no database
     hint: restore a full one, or its configurations with --mode config-only
    [exit 1]
    ");
}

#[test]
fn further_copies_are_read_back_and_old_ones_removed() {
    let env = TestEnv::with_network();
    let first = env.json(&["backup", "create"]);
    let id = first["id"].as_str().unwrap();
    let usb = env.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let kept = env.json(&["backup", "push", &id[..8], "--directory", text(&usb)]);
    let (copy, file) = (kept["path"].as_str().unwrap(), first["file"].as_str().unwrap());
    assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(file).unwrap());
    env.json(&["backup", "create"]);

    let planned = env.json(&["backup", "prune", "--keep-days", "0", "--dry-run"]);
    assert_eq!(planned["removed"].as_array().unwrap().len(), 2);
    assert!(Path::new(copy).exists());
    // What somebody put in its place isn't ours to remove.
    std::fs::write(copy, "a shopping list").unwrap();
    let pruned = env.run(&["backup", "prune", "--keep-days", "0", "--json", "--yes"]);
    assert!(pruned.contains("not a backup of wg-friend") && pruned.ends_with("[exit 4]\n"), "{pruned}");
    assert!(Path::new(copy).exists() && !Path::new(file).exists());
    let listed = env.json(&["backup", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[1]["copies"].as_array().unwrap().len(), 1);
    assert_eq!(actions(&env).iter().filter(|action| *action == "backup_removed").count(), 1);
}

#[test]
fn any_three_of_five_shares_unlock_and_two_do_not() {
    let env = TestEnv::with_network();
    let made = env.json(&["vault", "recovery", "--shares", "5", "--needed", "3", "--yes"]);
    let shares: Vec<&str> = made["shares"].as_array().unwrap().iter().map(|share| share.as_str().unwrap()).collect();
    assert_eq!((shares.len(), &made["needed"]), (5, &Value::from(3)));
    let with = |given: String| {
        let output = env.command(&["audit", "verify"]).env("WG_FRIEND_PASSPHRASE", given).output().unwrap();
        output.status.code()
    };
    for a in 0..5 {
        for b in a + 1..5 {
            assert_eq!(with(format!("{} {}", shares[a], shares[b])), Some(5), "{a} {b}");
            for c in b + 1..5 {
                assert_eq!(with(format!("{} {} {}", shares[c], shares[a], shares[b])), Some(0), "{a} {b} {c}");
            }
        }
    }

    let (given, new) = (env.path().join("shares"), env.path().join("new"));
    std::fs::write(&new, "a new passphrase\n").unwrap();
    let recover = |lines: &[&str]| {
        std::fs::write(&given, lines.join("\n")).unwrap();
        env.run(&["vault", "recover", "--shares-file", text(&given), "--new-passphrase-file", text(&new)])
    };
    assert_snapshot!(recover(&shares[..2]), @"
    --- stderr ---
    error: 2 different shares were given, and 3 are needed
    [exit 2]
    ");
    let mistyped = shares[1].replace(shares[1].chars().next().unwrap(), "Z");
    let mistyped = if mistyped == shares[1] { shares[1].replace('Z', "Y") } else { mistyped };
    assert_snapshot!(recover(&[shares[0], &mistyped, shares[2]]), @"
    --- stderr ---
    error: share 2 is not as it was printed: expected 64 letters and digits
    [exit 2]
    ");
    assert_eq!(with("a new passphrase".into()), Some(5));
    let done = recover(&shares[2..]);
    assert!(!done.contains("[exit"), "{done}");
    assert_eq!((with("a new passphrase".into()), with(PASSPHRASE.into())), (Some(0), Some(5)));
}

/// A database with nodes, a backup of it from before they were changed, and the database copied away.
fn to_be_restored(kind: &str) -> (TestEnv, PathBuf, PathBuf, [Value; 2]) {
    let env = TestEnv::with_network();
    create(&env, &["--to", text(&env.path().join("full.wgfb"))]);
    env.ok(&["add", "remote", "alice-phone", "alice-laptop"]);
    let old = env.json(&["topology"]);
    let file = create(&env, &["--kind", kind, "--to", text(&env.path().join("kept.wgfb"))]);
    let names: Vec<String> = (0..30).map(|n| format!("phone-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.ok(&[&["add", "remote"][..], &names].concat());
    let new = env.json(&["topology"]);
    let saved = env.saved();
    (env, file, saved, [new, old])
}

#[test]
fn killed_at_any_moment_of_restoring_it_is_as_before_or_as_the_backup() {
    killed_while_restoring("full");
}

#[test]
fn killed_at_any_moment_of_restoring_an_incremental_one_it_is_as_before_or_as_the_backup() {
    killed_while_restoring("incremental");
}

fn killed_while_restoring(kind: &str) {
    let (env, file, saved, states) = to_be_restored(kind);
    let directory = env.database().parent().unwrap().to_owned();
    let (mut moments, mut ends) = (Moments::later_by_one_in(8), [0, 0, 0]);
    while ends[2] < 2 {
        env.put_back(&saved);
        let ended = moments.kill(&mut env.command(&["backup", "restore", text(&file), "--yes"]));

        let seen = env.json(&["topology"]);
        let at = states.iter().position(|state| *state == seen);
        let at = at.unwrap_or_else(|| panic!("neither as before nor as the backup"));
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
        ends[at + usize::from(at == 1 && ended)] += 1;
    }
    assert!(ends[0] >= 3, "{ends:?}: some were killed before it was done");
    // What the killed ones left behind is swept away by the next.
    env.ok(&["backup", "restore", text(&file), "--yes"]);
    assert!(names(&directory).iter().all(|name| !name.starts_with(".wg-friend-")), "{:?}", names(&directory));
}

#[test]
fn killed_at_any_moment_of_making_one_there_is_a_whole_one_or_none() {
    killed_while_making("full");
}

#[test]
fn killed_at_any_moment_of_making_an_incremental_one_there_is_a_whole_one_or_none() {
    killed_while_making("incremental");
}

fn killed_while_making(kind: &str) {
    let env = TestEnv::with_nodes();
    let (to, base) = (env.path().join("kept"), env.path().join("base"));
    std::fs::create_dir(&to).unwrap();
    let full = create(&env, &["--to", text(&to.join("full.wgfb"))]); // to build on
    std::fs::copy(&full, &base).unwrap();
    env.ok(&["add", "remote", "bob-phone"]);
    let (mut moments, mut ends) = (Moments::later_by_one_in(6), [0, 0]);
    while ends[1] < 2 {
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).unwrap();
        std::fs::copy(&base, &full).unwrap();
        let ended = moments.kill(&mut env.command(&["backup", "create", "--kind", kind, "--to", text(&to)]));
        let is_made = |name: &String| !name.starts_with('.') && name != "full.wgfb";
        let made: Vec<String> = names(&to).into_iter().filter(is_made).collect();
        for name in &made {
            let verdict = env.json(&["backup", "verify", text(&to.join(name))]);
            assert_eq!((&verdict["whole"], verdict["kind"].as_str()), (&Value::from(true), Some(kind)));
        }
        ends[usize::from(ended)] += 1;
        assert!(!ended || made.len() == 1);
    }
    assert!(ends[0] >= 3, "{ends:?}: some were killed before it was done");
    create(&env, &["--to", text(&to)]);
    assert!(names(&to).iter().all(|name| name.ends_with(".wgfb")), "{:?}", names(&to));
}

#[test]
fn keys_come_back_into_the_present_database_and_rotated_ones_stay() {
    let env = TestEnv::with_nodes();
    let keys = create(&env, &["--kind", "keys-only"]);
    env.ok(&["rotate", "alice-phone", "--reason", "lost"]);
    let before = files(&env);
    // What wg-friend itself never does: the private half of a key that is held is gone.
    let hub = env.json(&["show", "hub"])["public_key"].as_str().unwrap().to_owned();
    let changed = rusqlite::Connection::open(env.database())
        .unwrap()
        .execute("UPDATE keys SET sealed_private = NULL WHERE public_key = ?1", [&hub])
        .unwrap();
    assert_eq!(changed, 1);
    assert_ne!(files(&env), before);

    let arguments = ["backup", "restore", text(&keys), "--mode", "keys-only"];
    let planned = env.json(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!((&planned["saved"], &planned["keys"]["private"][0]), (&Value::from(false), &Value::from("hub")));
    assert_ne!(files(&env), before);
    let restored = env.json(&[&arguments[..], &["--yes"]].concat());
    let found = &restored["keys"];
    assert_eq!(found["private"].as_array().unwrap().len(), 1);
    assert!(found["elsewhere"].as_u64().unwrap() >= 1, "the key that was rotated: {restored:#}");
    assert!(found["same"].as_u64().unwrap() >= 3, "{restored:#}");
    assert_eq!(files(&env), before);
    assert_eq!(env.json(&["audit", "verify"])["intact"], true);
    let full = create(&env, &[]);
    let refused = env.refused(&["backup", "restore", text(&full), "--mode", "keys-only", "--yes"]);
    assert!(refused.contains("a backup of kind full has more than keys"), "{refused}");
}

#[test]
fn a_timer_makes_copies_and_removes_old_ones() {
    let env = TestEnv::with_network();
    let usb = env.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let made = env.json(&["backup", "create", "--copy-to", text(&usb), "--keep-days", "0", "--keep-last", "2"]);
    assert_eq!((&made["copied"][0]["fault"], &made["pruned"]["kept"]), (&Value::Null, &Value::from(1)));
    assert!(Path::new(made["copied"][0]["path"].as_str().unwrap()).exists());
    // One place that can't be reached keeps the backup from none of the others, and is told.
    let nowhere = env.path().join("nowhere/at/all");
    let said =
        env.run(&["backup", "create", "--copy-to", text(&nowhere), "--copy-to", text(&usb), "--copy-to", "hut:/b"]);
    assert!(said.contains("not at ") && said.contains("there is no host named `hut`"), "{said}");
    assert!(said.ends_with("[exit 4]\n"), "{said}");
    assert_eq!(names(&usb).len(), 2);

    let timer =
        env.run(&["backup", "schedule", "--copy-to", "hub:/var/backups", "--keep-days", "30", "--keep-last", "5"]);
    let line = timer.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(line.ends_with("--yes backup create --copy-to hub:/var/backups --keep-days 30 --keep-last 5"), "{line}");
}

#[test]
fn a_database_that_is_damaged_or_no_longer_one_is_put_aside() {
    let env = TestEnv::with_nodes();
    let before = env.json(&["topology"]);
    let file = create(&env, &["--to", text(&env.path().join("kept.wgfb"))]);
    let whole = std::fs::read(env.database()).unwrap();
    let zeroed = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0);
        bytes
    };
    let damages =
        [zeroed(0, 100), zeroed(4096, whole.len()), whole[..whole.len() / 3].to_vec(), b"no database".to_vec()];
    for (at, damaged) in damages.into_iter().enumerate() {
        std::fs::write(env.database(), &damaged).unwrap();
        assert!(env.run(&["list"]).ends_with("[exit 6]\n"), "{at}");
        let restored = env.json(&["backup", "restore", text(&file), "--yes"]);
        let copy = restored["replaced"]["copy"].as_str().unwrap_or_else(|| panic!("{restored:#}"));
        assert_eq!(std::fs::read(copy).unwrap(), damaged, "{at}: what was there is kept as it was");
        assert_eq!(env.json(&["topology"]), before, "{at}");
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
    }
}

#[test]
fn an_older_copy_in_the_place_of_the_database_shows_against_a_backup() {
    let env = TestEnv::with_network();
    let older = std::fs::read(env.database()).unwrap();
    env.ok(&["add", "remote", "alice"]);
    let file = create(&env, &[]);
    env.ok(&["add", "remote", "bob"]);
    assert_eq!(env.json(&["backup", "verify", text(&file)])["live_log"], Value::Null);
    assert_ne!(env.json(&["backup", "list"])[0]["copies"][0]["verified"], Value::Null);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", env.database().display()));
    }
    std::fs::write(env.database(), older).unwrap();
    let verdict = env.json(&["backup", "verify", text(&file)]);
    assert_eq!(verdict["whole"], true);
    assert!(verdict["live_log"]["problem"].is_string(), "{verdict:#}");
}
