//! Backups when something is wrong around them: what a killed program left, a disk that is away, damage, somebody else's database.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::env::TestEnv;

fn create(env: &TestEnv, arguments: &[&str]) -> PathBuf {
    let made = env.json(&[&["backup", "create"], arguments].concat());
    made["file"].as_str().unwrap().into()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The file of the database, with what a program that was killed leaves beside it.
fn beside(env: &TestEnv, suffix: &str) -> PathBuf {
    format!("{}{suffix}", env.database().display()).into()
}

fn own_passphrase(env: &TestEnv) -> PathBuf {
    let own = env.path().join("own");
    std::fs::write(&own, "another battery\n").unwrap();
    own
}

#[test]
fn a_log_that_a_killed_program_left_is_not_replayed_over_what_comes_in_its_place() {
    let env = TestEnv::with_nodes();
    let before = env.json(&["topology"]);
    let file = create(&env, &["--to", text(&env.path().join("kept.wgfb"))]);
    // A connection that is open while others write: the log stays, as after a kill.
    let open = rusqlite::Connection::open(env.database()).unwrap();
    open.query_row("SELECT count(*) FROM nodes", [], |_| Ok(())).unwrap();
    env.ok(&["add", "remote", "phone-1", "phone-2", "phone-3"]);
    let log = std::fs::read(beside(&env, "-wal")).unwrap();
    assert!(!log.is_empty());
    drop(open);
    for again in ["restore", "init"] {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(&env, suffix));
        }
        std::fs::write(beside(&env, "-wal"), &log).unwrap();
        if again == "restore" {
            env.ok(&["backup", "restore", text(&file), "--yes"]);
            assert_eq!(env.json(&["topology"]), before);
        } else {
            env.ok(&["init", "--name", "anew"]);
            assert_eq!(env.json(&["topology"])["nodes"], Value::Array(Vec::new()));
        }
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
    }
    for number in [1, 2] {
        assert_eq!(std::fs::read(beside(&env, &format!(".left-{number}.bak-wal"))).unwrap(), log, "it is kept");
    }
}

#[test]
fn a_passphrase_of_its_own_does_not_show_the_keys_of_an_encrypted_database() {
    let env = TestEnv::with_nodes();
    let own = own_passphrase(&env);
    let file = create(&env, &["--own-passphrase-file", text(&own)]);
    let to = env.path().join("laid");
    let arguments = [
        "backup",
        "restore",
        text(&file),
        "--own-passphrase-file",
        text(&own),
        "--mode",
        "config-only",
        "--to",
        text(&to),
    ];
    let new = TestEnv::new();
    let locked = new.command(&arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
    assert_eq!(locked.status.code(), Some(5), "{}", String::from_utf8_lossy(&locked.stderr));
    assert!(!to.exists());
    // With both of them the files come out of the database in it.
    new.ok(&arguments);
    let wanted = String::from_utf8(env.ok(&["generate", "alice-phone"]).stdout).unwrap();
    assert_eq!(std::fs::read_to_string(to.join("office/alice-phone/wg0.conf")).unwrap(), wanted);
    let verdict = env.json(&["backup", "verify", text(&file), "--own-passphrase-file", text(&own)]);
    assert_eq!(verdict["whole"], true);

    let said = |more: &[&str]| {
        let said = env.run(&[&["backup", "create", "--own-passphrase-file", text(&own)], more].concat());
        said.lines().find_map(|line| line.strip_prefix("opens with  ")).unwrap().to_owned()
    };
    assert_eq!(said(&[]), "its own passphrase; the vault in it still needs the database's");
    for kind in ["keys-only", "config-only"] {
        assert_eq!(said(&["--kind", kind]), "its own passphrase alone, which shows the private keys in it");
    }
}

#[test]
fn the_last_backup_that_can_be_used_is_never_pruned() {
    let env = TestEnv::with_network();
    let full = create(&env, &[]);
    let newer = create(&env, &["--kind", "config-only"]);
    let pruned = env.json(&["backup", "prune", "--keep-days", "0", "--keep-last", "0", "--yes"]);
    assert_eq!(pruned["kept"], 2, "each is the newest of its kind");

    // An empty file where the newest was: `verify` says so and remembers it, and the one before stays.
    let second = create(&env, &[]);
    std::fs::write(&second, "").unwrap();
    let said = env.run(&["backup", "verify", text(&second)]);
    assert!(said.contains("damaged: that is not a backup") && said.ends_with("[exit 6]\n"), "{said}");
    let listed = env.json(&["backup", "list"]);
    assert_eq!(listed[0]["copies"][0]["fault"], "that is not a backup of wg-friend");
    std::fs::remove_file(&second).unwrap();
    let said = env.run(&["backup", "prune", "--keep-days", "0", "--keep-last", "0", "--yes", "--json"]);
    assert!(full.exists() && newer.exists(), "{said}");

    // Its disk may be away: that is told, and the copy isn't forgotten.
    assert!(said.contains("its disk may be away") && said.ends_with("[exit 4]\n"), "{said}");
    let removed = |env: &TestEnv| {
        let log = env.json(&["audit", "log", "--limit", "1000"]);
        let entries = log["entries"].as_array().unwrap().clone();
        entries.iter().filter(|entry| entry["action"] == "backup_removed").count()
    };
    assert_eq!((env.json(&["backup", "list"]).as_array().unwrap().len(), removed(&env)), (3, 0));
    let arguments = ["backup", "prune", "--keep-days", "0", "--keep-last", "0", "--forget-missing", "--yes"];
    let forgotten = env.json(&arguments);
    assert_eq!(
        (&forgotten["removed"][0]["forgotten"], &forgotten["kept"]),
        (&Value::from("it is not there"), &Value::from(2))
    );
}

#[test]
fn nothing_is_removed_when_a_further_copy_failed_or_nobody_agreed() {
    let env = TestEnv::with_network();
    let first = create(&env, &[]);
    let said = env.run(&["backup", "create", "--copy-to", "hut:/b", "--keep-days", "0", "--keep-last", "1"]);
    assert!(said.contains("nothing was removed: older backups may be needed"), "{said}");
    assert!(first.exists());
    let refused = env.refused(&["backup", "prune", "--keep-days", "0"]);
    assert!(refused.contains("a confirmation is needed"), "{refused}");
    assert!(first.exists());
}

#[test]
fn a_place_has_one_backup_and_what_is_known_of_it_now_counts() {
    let env = TestEnv::with_network();
    let kept = env.path().join("kept.wgfb");
    let first = env.json(&["backup", "create", "--to", text(&kept)]);
    std::fs::remove_file(&kept).unwrap();
    let second = env.json(&["backup", "create", "--to", text(&kept)]);
    let listed = env.json(&["backup", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    assert_ne!(first["id"], second["id"]);
    assert_eq!(listed[0]["id"], second["id"]);

    // The backup has it as it was; the present database knows more, and keeps that.
    std::fs::write(&kept, &std::fs::read(&kept).unwrap()[..100]).unwrap();
    let whole = create(&env, &[]);
    env.run(&["backup", "verify", text(&kept)]);
    env.ok(&["backup", "restore", text(&whole), "--yes"]);
    let listed = env.json(&["backup", "list"]);
    assert!(listed[1]["copies"][0]["fault"].is_string(), "{listed:#}");
}

#[test]
fn a_backup_is_verified_and_restored_whatever_has_become_of_the_database() {
    let env = TestEnv::with_network();
    let file = create(&env, &["--to", text(&env.path().join("kept.wgfb"))]);
    let before = env.json(&["topology"]);
    std::fs::write(env.database(), "no database").unwrap();
    let verdict = env.json(&["backup", "verify", text(&file)]);
    assert_eq!(verdict["whole"], true);
    assert!(verdict["live_fault"].is_string(), "{verdict:#}");
    env.ok(&["backup", "restore", text(&file), "--yes"]);

    rusqlite::Connection::open(env.database()).unwrap().pragma_update(None, "user_version", 9999).unwrap();
    let verdict = env.json(&["backup", "verify", text(&file)]);
    assert_eq!(verdict["whole"], true);
    assert!(verdict["live_fault"].as_str().unwrap().contains("newer wg-friend"), "{verdict:#}");
    env.ok(&["backup", "restore", text(&file), "--yes"]);
    assert_eq!(env.json(&["topology"]), before);
}

#[test]
fn restoring_what_is_not_encrypted_or_another_database_says_so() {
    let env = TestEnv::with_network();
    create(&env, &[]);
    let other = TestEnv::new();
    let mut init = other.command(&["init", "--name", "open", "--no-encryption"]);
    assert!(init.env_remove("WG_FRIEND_PASSPHRASE").output().unwrap().status.success());
    let own = own_passphrase(&other);
    let file = create(&other, &["--own-passphrase-file", text(&own)]);
    let arguments = ["backup", "restore", text(&file), "--own-passphrase-file", text(&own), "--yes"];
    let planned = env.json(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!((&planned["encrypted"], &planned["replaced"]["encrypted"]), (&Value::from(false), &Value::from(true)));
    assert_eq!(planned["replaced"]["other_database"], true);
    let said = env.run(&arguments);
    assert!(said.contains("no passphrase: it is not encrypted, and what it replaces was"), "{said}");
    assert!(said.contains("what it replaces is another database"), "{said}");
    assert_eq!(env.json(&["backup", "list"]), Value::Array(Vec::new()), "what the other one had stays in its copy");
}

#[test]
fn a_restore_that_finds_somebody_writing_leaves_nothing() {
    let env = TestEnv::with_network();
    let file = create(&env, &["--to", text(&env.path().join("kept.wgfb"))]);
    let directory = env.database().parent().unwrap().to_owned();
    let copies = || {
        let names =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("before-restore")).count()
    };
    let writer = rusqlite::Connection::open(env.database()).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = env.run(&["backup", "restore", text(&file), "--yes"]);
    assert!(said.contains("[exit "), "{said}");
    assert_eq!(copies(), 0);
    writer.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    env.ok(&["backup", "restore", text(&file), "--yes"]);
    assert_eq!(copies(), 1);
}

#[test]
fn configurations_go_over_nothing_and_through_no_link() {
    let env = TestEnv::with_nodes();
    let file = create(&env, &["--kind", "config-only"]);
    let (to, elsewhere) = (env.path().join("laid"), env.path().join("elsewhere"));
    let restore = || env.run(&["backup", "restore", text(&file), "--mode", "config-only", "--to", text(&to)]);
    std::fs::create_dir_all(&to).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, to.join("office")).unwrap();
    assert!(restore().contains("[exit "));
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    std::fs::remove_file(to.join("office")).unwrap();
    let first = restore();
    assert!(!first.contains("[exit "), "{first}");
    let again = restore();
    assert!(again.contains("[exit "), "{again}");
}

#[test]
fn a_timer_takes_names_with_signs_that_mean_something_to_systemd_and_cron() {
    let env = TestEnv::with_network();
    let timer = env.run(&["backup", "schedule", "--copy-to", "/mnt/100%/$HOME"]);
    assert!(timer.lines().any(|line| line.starts_with("ExecStart=") && line.contains("/mnt/100%%/$$HOME")), "{timer}");
    assert!(
        timer.lines().any(|line| line.starts_with("# 0 3 * * *") && line.contains("'/mnt/100\\%/$HOME'")),
        "{timer}"
    );
}

#[test]
fn every_copy_of_a_backup_is_looked_at_and_the_bad_one_is_named() {
    let env = TestEnv::with_network();
    let usb = env.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    create(&env, &["--copy-to", text(&usb)]);
    let listed = env.json(&["backup", "list"]);
    let id = &listed[0]["id"].as_str().unwrap()[..8];
    let seen = env.json(&["backup", "verify", id]);
    let copies = seen["copies"].as_array().unwrap();
    assert!(copies.len() == 2 && copies.iter().all(|copy| copy["whole"] == true), "{seen:#}");

    // One in which a bit has changed, one that was cut off, and one that is gone.
    let copy = std::fs::read_dir(&usb).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&copy).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (bytes, fault) in [
        (Some(&flipped[..]), "it is not what was written"),
        (Some(&whole[..whole.len() / 2]), "it is not what was written: it has "),
        (None, "it is not there"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&copy, bytes).unwrap(),
            None => std::fs::remove_file(&copy).unwrap(),
        }
        let said = env.run(&["backup", "verify", id]);
        assert!(said.ends_with("[exit 6]\n") && said.starts_with("whole\n"), "{said}");
        let line = said.lines().find(|line| line.starts_with("[DIR]/usb/")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(&format!("damaged: {fault}")), "{said}");
        let listed = env.json(&["backup", "list"]);
        let copies = listed[0]["copies"].as_array().unwrap();
        assert!(
            copies.iter().any(|copy| copy["fault"].as_str().is_some_and(|noted| noted.starts_with(fault))),
            "{listed:#}"
        );
    }
    std::fs::write(&copy, &whole).unwrap();
    env.ok(&["backup", "verify", id]);
    // Named by its file it is that file which counts.
    std::fs::write(&copy, &flipped).unwrap();
    let here = listed[0]["copies"][0]["path"].as_str().unwrap();
    assert_eq!(env.json(&["backup", "verify", here])["copies"], serde_json::json!([]));
}

#[test]
fn a_restore_explains_heads_from_before_it_and_no_others() {
    let env = TestEnv::with_network();
    let head = |name: &str| {
        let path = env.path().join(name);
        std::fs::write(&path, env.ok(&["audit", "checkpoint"]).stdout).unwrap();
        path
    };
    let before = head("before");
    let file = create(&env, &[]);
    env.ok(&["add", "remote", "alice", "bob"]);
    let lost = head("lost");
    env.ok(&["backup", "restore", text(&file), "--yes"]);
    let restored = head("restored");
    env.ok(&["add", "remote", "carol"]);

    let verify = |head: &Path| env.run(&["audit", "verify", "--anchors", text(head)]);
    for fine in [&before, &restored] {
        assert!(!verify(fine).contains("[exit"), "{}", verify(fine));
    }
    let said = verify(&lost);
    assert!(said.contains("restored: the head of ") && said.contains("tester restored the backup "), "{said}");
    assert!(said.contains("wg-friend deploy") && said.ends_with("[exit 6]\n"), "it stays a finding: {said}");

    // A newer head in the same file says that somebody went on from there.
    let mut both = std::fs::read(&lost).unwrap();
    both.extend(std::fs::read(head("later")).unwrap());
    let followed = env.path().join("followed");
    std::fs::write(&followed, both).unwrap();
    let said = verify(&followed);
    assert!(said.contains("Newer heads are there by now") && !said.contains("[exit"), "{said}");
    let report = env.json(&["audit", "verify", "--anchors", text(&followed)]);
    assert_eq!((&report["anchors"][0]["intact"], &report["anchors"][0]["settled"]), (&false.into(), &true.into()));

    // An older copy that somebody puts back isn't a restore, whatever was restored earlier.
    let copy = std::fs::read(env.database()).unwrap();
    env.ok(&["add", "remote", "dave"]);
    let newer = head("newer");
    let wal = env.database().with_extension("db-wal");
    for left in [wal.clone(), env.database().with_extension("db-shm")] {
        let _ = std::fs::remove_file(left);
    }
    std::fs::write(env.database(), copy).unwrap();
    let said = verify(&newer);
    assert!(said.contains("tampered: ") && !said.contains("restored: "), "{said}");
}

#[test]
fn a_timer_for_a_database_without_encryption_brings_the_passphrase_of_its_backups() {
    let env = TestEnv::new();
    let plain = |arguments: &[&str]| {
        let output = env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    plain(&["init", "--name", "home", "--no-encryption", "--server", "hub", "--endpoint", "vpn.example.com"]);
    let timer = plain(&["backup", "schedule", "--keep-days", "30"]);
    let line = |begins: &str| timer.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("{timer}"));
    let service = line("ExecStart=");
    assert!(
        service.contains(" backup create --own-passphrase-file %d/wg-friend-passphrase --keep-days 30"),
        "{service}"
    );
    let cron = line("# 0 3 * * * ");
    assert!(
        cron.contains("--own-passphrase-file /etc/wg-friend/passphrase") && !cron.contains(" --passphrase-file"),
        "{cron}"
    );
    assert!(timer.contains("a passphrase for the backups, which nothing else opens"), "{timer}");

    // What the line for crontab does, with the file where it can be read.
    let file = own_passphrase(&env);
    plain(&["--yes", "--quiet", "backup", "create", "--own-passphrase-file", text(&file), "--keep-days", "30"]);
    assert!(!TestEnv::with_network().run(&["backup", "schedule"]).contains("--own-passphrase-file"));
}
