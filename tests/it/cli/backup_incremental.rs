//! Backups that build on another one: made, found again, restored, kept and removed together with what they build on.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use serde_json::Value;

use super::backup::{create, files, names, text};
use crate::env::{PASSPHRASE, TestEnv, filters};

/// A full backup, and one that builds on it, in a directory; with their ids.
struct Two {
    env: TestEnv,
    full: PathBuf,
    incremental: PathBuf,
    ids: [String; 2],
}

fn id(env: &TestEnv, file: &Path) -> String {
    env.json(&["backup", "verify", text(file)])["id"].as_str().unwrap().to_owned()
}

fn two() -> Two {
    let env = TestEnv::with_nodes();
    let kept = env.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let full = create(&env, &["--to", text(&kept.join("full.wgfb"))]);
    env.ok(&["add", "remote", "bob-phone"]);
    let incremental = create(&env, &["--kind", "incremental", "--to", text(&kept.join("incremental.wgfb"))]);
    let ids = [id(&env, &full), id(&env, &incremental)];
    Two { env, full, incremental, ids }
}

/// Says what a command said, with the ids named.
fn said(two: &Two, said: &str) -> String {
    let [full, incremental] = &two.ids;
    let named = said.replace(full, "[FULL]").replace(incremental, "[INCREMENTAL]");
    named.replace(&full[..8], "[FULL8]").replace(&incremental[..8], "[INC8]")
}

#[test]
fn it_says_what_it_builds_on_and_is_a_full_one_where_there_is_nothing() {
    let env = TestEnv::with_nodes();
    let first = env.json(&["backup", "create", "--kind", "incremental"]);
    assert_eq!((&first["kind"], &first["base"], &first["pages"]), (&"full".into(), &Value::Null, &Value::Null));
    assert_eq!(first["full_because"], "there is no full one yet");
    let second = env.json(&["backup", "create", "--kind", "incremental"]);
    assert_eq!((&second["kind"], &second["base"]), (&"incremental".into(), &first["id"]));
    assert_eq!((&second["full_because"], &second["configs"]), (&Value::Null, &first["configs"]));
    let (differing, all) = (second["pages"]["differing"].as_u64().unwrap(), second["pages"]["all"].as_u64().unwrap());
    assert!(differing > 0 && differing < all / 2, "{differing} of {all}");
    assert!(second["size"].as_u64() < first["size"].as_u64());

    let listed = env.json(&["backup", "list"]);
    assert_eq!((&listed[0]["base"], &listed[0]["lacks_base"]), (&first["id"], &false.into()));
    assert_eq!((&listed[1]["base"], &listed[1]["lacks_base"]), (&Value::Null, &false.into()));
    let on = format!("incremental on {}", &first["id"].as_str().unwrap()[..8]);
    let table = env.run(&["backup", "list"]);
    assert!(table.contains(&format!("{on}  ")), "{table}");

    // The text says both, too.
    let file = first["file"].as_str().unwrap();
    let text = env.run(&["backup", "create", "--kind", "incremental"]);
    assert!(
        text.contains(&format!("\nkind        incremental\nbuilds on   {}\n", first["id"].as_str().unwrap())),
        "{text}"
    );
    assert!(text.contains(" pages differ\n"), "{text}");
    std::fs::remove_file(file).unwrap();
    let text = env.run(&["backup", "create", "--kind", "incremental", "--dry-run"]);
    assert!(text.contains("kind        full\n            not incremental: the newest full one, "), "{text}");
    assert!(text.contains("has no whole copy on this machine"), "{text}");
    let table = env.run(&["backup", "list"]);
    assert!(table.contains(&format!("{on}, gone")), "{table}");

    // After a rekey the old ones open with the old key.
    create(&env, &[]);
    env.ok(&["vault", "rekey", "--yes"]);
    let because = env.json(&["backup", "create", "--kind", "incremental"])["full_because"].clone();
    assert!(because.as_str().unwrap().ends_with("is from before the database was rekeyed"), "{because}");
}

#[test]
fn both_files_and_the_passphrase_are_all_that_a_new_machine_needs() {
    let two = two();
    let wanted = (two.env.json(&["topology"]), files(&two.env));
    let restore = ["backup", "restore", text(&two.incremental), "--yes"];
    let new = TestEnv::new();
    new.ok(&restore);
    assert_eq!((new.json(&["topology"]), files(&new)), wanted);
    assert_eq!(new.json(&["audit", "verify"])["intact"], true);
    assert_eq!(names(new.database().parent().unwrap()), ["default.db"]);

    // The base is wherever somebody says.
    let elsewhere = two.env.path().join("elsewhere");
    std::fs::rename(&two.full, &elsewhere).unwrap();
    let new = TestEnv::new();
    let _filters = filters();
    let refused = said(&two, &two.env.transcript(&mut new.command(&restore)));
    assert_snapshot!(refused, @"
    --- stderr ---
    error: the full backup that [DIR]/kept/incremental.wgfb builds on is not here
     hint: that is [FULL8] of [TIME]: put its file beside, or name it with --base FILE; `wg-friend backup list` says where there are copies
    [exit 1]
    ");
    assert!(!new.database().exists());
    let verdict = new.run(&["backup", "verify", text(&two.incremental)]);
    assert!(verdict.contains("builds on is not here") && verdict.ends_with("[exit 1]\n"), "{verdict}");
    new.ok(&[&restore[..], &["--base", text(&elsewhere)]].concat());
    assert_eq!((new.json(&["topology"]), files(&new)), wanted);

    // Or where the database knows that it was put.
    let usb = two.env.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    std::fs::rename(&elsewhere, &two.full).unwrap();
    two.env.ok(&["backup", "push", &two.ids[0][..8], "--directory", text(&usb)]);
    std::fs::remove_file(&two.full).unwrap();
    assert_eq!(two.env.json(&["backup", "verify", text(&two.incremental)])["whole"], true);
    // Who asks for all copies is told that one is gone.
    let verdict = two.env.run(&["backup", "verify", &two.ids[1][..8]]);
    assert!(
        verdict.contains("kept/full.wgfb  damaged: it is not there") && verdict.ends_with("[exit 6]\n"),
        "{verdict}"
    );
}

#[test]
fn a_passphrase_that_was_changed_in_between_is_asked_for_once() {
    let env = TestEnv::with_network();
    let full = create(&env, &[]);
    let new_passphrase = env.path().join("new");
    std::fs::write(&new_passphrase, "another battery\n").unwrap();
    env.ok(&["vault", "passphrase", "--new-passphrase-file", text(&new_passphrase)]);
    let with = |env: &TestEnv, passphrase: &str, arguments: &[&str]| {
        env.command(arguments).env("WG_FRIEND_PASSPHRASE", passphrase).output().unwrap()
    };
    let made = with(&env, "another battery", &["backup", "create", "--kind", "incremental", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["kind"], "incremental");
    let file = made["file"].as_str().unwrap();
    let new = TestEnv::new();
    // That of the time when the full one was made opens only that.
    assert_eq!(with(&new, PASSPHRASE, &["backup", "restore", file, "--yes"]).status.code(), Some(5));
    assert!(with(&new, "another battery", &["backup", "restore", file, "--yes"]).status.success());
    assert!(with(&TestEnv::new(), PASSPHRASE, &["backup", "restore", text(&full), "--yes"]).status.success());
}

#[test]
fn another_base_or_a_damaged_one_is_refused_by_name() {
    let two = two();
    let whole = std::fs::read(&two.full).unwrap();
    let other = create(&two.env, &["--to", text(&two.env.path().join("other.wgfb"))]);
    let restore = |more: &[&str]| {
        let new = TestEnv::new();
        let told = new.run(&[&["backup", "restore", text(&two.incremental), "--yes"], more].concat());
        assert!(!new.database().exists());
        said(&two, &told.replace(text(two.env.path()), "[DIR]"))
    };
    let told = restore(&["--base", text(&other)]);
    assert!(told.contains("error: [DIR]/other.wgfb is the backup "), "{told}");
    assert!(told.contains(", and not what the other one builds on\n hint: that is [FULL8] of "), "{told}");
    let told = restore(&["--base", text(&two.incremental)]);
    assert!(told.contains("is the backup [INC8] of "), "{told}");
    let told = two.env.run(&["backup", "verify", text(&two.full), "--base", text(&other)]);
    assert!(told.contains("is no incremental one, and builds on no other") && told.ends_with("[exit 2]\n"), "{told}");

    for at in (0..40).map(|n| n * (whole.len() - 1) / 39) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&two.full, &damaged).unwrap();
        let told = restore(&["--base", text(&two.full)]);
        assert!(told.contains("[exit "), "byte {at}: {told}");
    }
    // In the middle, where its header tells still which one it is.
    let mut damaged = whole.clone();
    damaged[whole.len() - 5000] ^= 1;
    std::fs::write(&two.full, &damaged).unwrap();
    let told = restore(&[]);
    assert!(
        told.contains("the backup is damaged: what it builds on, [DIR]/kept/full.wgfb: piece 1 at byte "),
        "{told}"
    );
    assert!(told.ends_with("[exit 6]\n"), "{told}");
    let verdict = two.env.run(&["backup", "verify", &two.ids[1][..8]]);
    assert!(verdict.contains("damaged: the backup is damaged: what it builds on, ") && verdict.ends_with("[exit 6]\n"));
    // It is noted where it is.
    let noted = |at: usize| two.env.json(&["backup", "list"])[at]["copies"][0]["fault"].clone();
    let listed = two.env.json(&["backup", "list"]);
    let at = |id: &str| listed.as_array().unwrap().iter().position(|one| one["id"] == id).unwrap();
    assert_eq!(noted(at(&two.ids[0])), "it is not what was written");
    assert_eq!(noted(at(&two.ids[1])), Value::Null);
    // A whole copy beside the damaged one is found, too, and the damaged one is told all the same.
    std::fs::write(two.env.path().join("kept/again.wgfb"), &whole).unwrap();
    let verdict = two.env.run(&["backup", "verify", &two.ids[1][..8]]);
    assert!(verdict.contains("proven") || verdict.contains("audit log"), "{verdict}");
    assert!(verdict.contains("kept/full.wgfb  damaged: it is not what was written") && verdict.ends_with("[exit 6]\n"));
    std::fs::remove_file(two.env.path().join("kept/again.wgfb")).unwrap();

    // What only has its name is no backup at all.
    std::fs::remove_file(&two.full).unwrap();
    let checksum = format!("kept/office-{}.wgfb.sha256", &two.ids[0][..8]);
    std::fs::write(two.env.path().join(checksum), "of something").unwrap();
    let told = restore(&[]);
    assert!(told.contains("the full backup that ") && told.contains(" builds on is not here"), "{told}");

    // What was put in its place is another one, under its name.
    std::fs::copy(&other, &two.full).unwrap();
    let told = two.env.run(&["backup", "verify", text(&two.incremental)]);
    assert!(told.contains("full.wgfb: it is another backup") && told.ends_with("[exit 6]\n"), "{told}");

    let mut flipped = std::fs::read(&two.incremental).unwrap();
    let at = flipped.len() - 100;
    flipped[at] ^= 1;
    std::fs::write(&two.full, &whole).unwrap();
    std::fs::write(&two.incremental, flipped).unwrap();
    let told = restore(&[]);
    assert!(told.contains("the backup is damaged: piece 1 at byte ") && told.ends_with("[exit 6]\n"), "{told}");
}

#[test]
fn every_mode_of_restoring_takes_it() {
    let two = two();
    let file = text(&two.incremental);
    let to = two.env.path().join("laid");
    two.env.ok(&["backup", "restore", file, "--mode", "config-only", "--to", text(&to)]);
    let wanted = String::from_utf8(two.env.ok(&["generate", "bob-phone"]).stdout).unwrap();
    assert_eq!(std::fs::read_to_string(to.join("office/bob-phone/wg0.conf")).unwrap(), wanted);

    two.env.ok(&["remove", "bob-phone", "--yes"]);
    let merged = two.env.json(&["backup", "restore", file, "--mode", "merge", "--prefer", "backup", "--yes"]);
    assert_eq!((&merged["saved"], &merged["base"]), (&true.into(), &two.ids[0].as_str().into()));
    assert!(two.env.json(&["topology"]).to_string().contains("bob-phone"));

    let refused = two.env.refused(&["backup", "restore", file, "--mode", "keys-only", "--yes"]);
    assert!(refused.contains("a backup of kind incremental has more than keys"), "{refused}");
    let restored = two.env.json(&["backup", "restore", &two.ids[1][..8], "--yes"]);
    assert_eq!(restored["base"], two.ids[0].as_str());
    let head = two.env.run(&["audit", "verify", "--anchors", file]);
    assert!(!head.contains("[exit"), "its signed head is taken, too: {head}");
}

#[test]
fn a_passphrase_of_its_own_opens_both() {
    let env = TestEnv::new();
    let plain = |env: &TestEnv, arguments: &[&str]| {
        let output = env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    plain(&env, &["init", "--name", "office", "--no-encryption", "--server", "hub", "--endpoint", "vpn.example.com"]);
    let own = env.path().join("own");
    std::fs::write(&own, "another battery\n").unwrap();
    let make = |kind: &str| {
        let said = plain(&env, &["backup", "create", "--kind", kind, "--own-passphrase-file", text(&own), "--json"]);
        let made: Value = serde_json::from_str(&said).unwrap();
        (made["kind"].as_str().unwrap().to_owned(), PathBuf::from(made["file"].as_str().unwrap()))
    };
    make("full");
    plain(&env, &["add", "remote", "alice"]);
    let (kind, file) = make("incremental");
    assert_eq!(kind, "incremental");
    let new = TestEnv::new();
    plain(&new, &["backup", "restore", text(&file), "--own-passphrase-file", text(&own), "--yes"]);
    assert_eq!(plain(&new, &["topology", "--json"]), plain(&env, &["topology", "--json"]));
    std::fs::write(&own, "a third battery\n").unwrap();
    assert_eq!(make("incremental").0, "full", "with another passphrase nothing is there to build on");

    // Of an encrypted database: the configurations come out of what both make.
    let env = TestEnv::with_nodes();
    create(&env, &["--own-passphrase-file", text(&own)]);
    env.ok(&["add", "remote", "bob"]);
    let file = create(&env, &["--kind", "incremental", "--own-passphrase-file", text(&own)]);
    let (new, to) = (TestEnv::new(), env.path().join("laid"));
    let arguments = ["backup", "restore", text(&file), "--own-passphrase-file", text(&own)];
    new.ok(&[&arguments[..], &["--mode", "config-only", "--to", text(&to)]].concat());
    assert!(to.join("office/bob/wg0.conf").exists());
    new.ok(&[&arguments[..], &["--yes"]].concat());
    assert_eq!(new.json(&["topology"]), env.json(&["topology"]));
}

#[test]
fn what_one_builds_on_is_brought_along_and_never_pruned_before_it() {
    let two = two();
    let usb = two.env.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let push = ["backup", "push", &two.ids[1][..8], "--directory", text(&usb)];
    let planned = two.env.json(&[&push[..], &["--dry-run"]].concat());
    assert_eq!((&planned["saved"], &planned["base"]["id"]), (&false.into(), &two.ids[0].as_str().into()));
    assert_eq!(names(&usb).len(), 0);
    let pushed = two.env.run(&push);
    let wanted = "the backup [INC8] is also at [DIR]/usb/incremental.wgfb, with [FULL8], on which it builds\n";
    assert!(said(&two, &pushed).ends_with(wanted), "{pushed}");
    assert_eq!(names(&usb), ["full.wgfb", "incremental.wgfb"]);
    // What is there already stays as it is.
    let kept = text(two.full.parent().unwrap()).to_owned();
    let made = two.env.json(&["backup", "create", "--kind", "incremental", "--to", &kept, "--copy-to", text(&usb)]);
    assert_eq!((&made["copied"][0]["fault"], &made["copied"][0]["base"]), (&Value::Null, &Value::Null), "{made:#}");
    assert_eq!(names(&usb).len(), 3);

    // A newer full one, and everything else is old.
    create(&two.env, &[]);
    let prune = ["backup", "prune", "--keep-days", "0", "--keep-last", "1", "--yes"];
    let planned = two.env.json(&[&prune[..], &["--dry-run"]].concat());
    assert_eq!(planned["needed"][0]["id"], two.ids[0].as_str());
    let told = two.env.run(&prune);
    let third = made["id"].as_str().unwrap();
    assert!(told.contains(&format!("{}  stays: {} builds on it\n", &two.ids[0][..8], &third[..8])), "{told}");
    assert!(told.ends_with("3 backups stay\n"), "{told}");
    assert!(two.full.exists() && !two.incremental.exists());
    assert_eq!(two.env.json(&["backup", "verify", &third[..8]])["whole"], true);

    // One that can't be removed keeps what it builds on, too.
    create(&two.env, &["--kind", "incremental"]);
    let file = PathBuf::from(made["file"].as_str().unwrap());
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).unwrap();
    let told = two.env.run(&prune);
    assert!(told.contains("its disk may be away") && told.contains("stays: "), "{told}");
    assert!(two.full.exists());
    std::fs::rename(&away, &file).unwrap();
    let pruned = two.env.json(&prune);
    assert_eq!((&pruned["needed"], &pruned["kept"]), (&Value::Array(Vec::new()), &2.into()), "{pruned:#}");
    assert!(!two.full.exists() && !file.exists());
}

#[test]
fn it_lies_beside_what_it_builds_on() {
    let two = two();
    let usb = two.env.path().join("usb");
    std::fs::create_dir(&usb).unwrap();
    let create = ["backup", "create", "--kind", "incremental", "--to", text(&usb)];
    let first = two.env.json(&create);
    assert_eq!(first["kind"], "full");
    assert!(first["full_because"].as_str().unwrap().ends_with(" lies elsewhere"), "{first:#}");
    assert_eq!(two.env.json(&create)["base"], first["id"]);
}

#[test]
fn a_full_one_stays_while_one_lies_beside_it_that_builds_on_it_and_of_which_nothing_is_known() {
    let env = TestEnv::with_nodes();
    let kept = env.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let full = create(&env, &["--to", text(&kept.join("full.wgfb"))]);
    let before = env.saved();
    create(&env, &["--kind", "incremental", "--to", text(&kept.join("incremental.wgfb"))]);
    env.put_back(&before);
    create(&env, &["--to", text(&kept.join("newer.wgfb"))]);
    let prune = ["backup", "prune", "--keep-days", "0", "--keep-last", "1", "--yes"];
    let told = env.run(&prune);
    assert!(told.contains("incremental.wgfb builds on it") && full.exists(), "{told}");
    std::fs::remove_file(kept.join("incremental.wgfb")).unwrap();
    env.run(&prune);
    assert!(!full.exists());
}

#[test]
fn a_timer_makes_full_ones_now_and_then() {
    let env = TestEnv::with_network();
    let line = |arguments: &[&str]| {
        let timer = env.run(&[&["backup", "schedule"], arguments].concat());
        timer.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap_or_else(|| panic!("{timer}")).to_owned()
    };
    let made = line(&["--kind", "incremental", "--keep-days", "30"]);
    assert!(made.ends_with(" backup create --kind incremental --full-every 7d --keep-days 30 --keep-last 1"), "{made}");
    let made = line(&["--kind", "incremental", "--full-every", "4weeks"]);
    assert!(made.ends_with(" backup create --kind incremental --full-every 28d"), "{made}");
    assert!(line(&[]).ends_with(" backup create"));
    for command in ["create", "schedule"] {
        let refused = env.run(&["backup", command, "--full-every", "7d"]);
        assert!(refused.contains("goes with --kind incremental alone") && refused.ends_with("[exit 2]\n"), "{refused}");
        let refused = env.run(&["backup", command, "--kind", "incremental", "--full-every", "36h"]);
        assert!(refused.contains("must be whole days"), "{refused}");
    }
    // What the timer runs, on the first day and on the next ones.
    let run = || env.json(&["backup", "create", "--kind", "incremental", "--full-every", "7d"])["kind"].clone();
    assert_eq!([run(), run(), run()], ["full", "incremental", "incremental"]);
    assert_eq!(env.json(&["backup", "create", "--kind", "incremental", "--full-every", "0d"])["kind"], "full");
}
