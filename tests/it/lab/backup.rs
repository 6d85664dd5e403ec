//! Backups and hosts: recovery on a new machine, a copy on a host, a disk that is full.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use wg_friend_lab::{Lab, Output, Result, Spec};

use super::family::lab_or_skip;
use super::office::Admin;
use crate::env::TestEnv;

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host a internet:11\n"
        .parse()
        .unwrap()
}

/// A network on one host, deployed.
fn deployed(lab: &Lab) -> Admin<'_> {
    let admin = Admin::new(lab);
    admin.init("small");
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11", "--ssh", "a"]);
    admin.ok(&["add", "remote", "alice", "bob"]);
    admin.deploy();
    admin
}

#[test]
fn restored_on_a_new_machine_there_is_nothing_to_deploy() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = deployed(&lab);
    let dump = lab.host("a").sh("wg show wg0 dump | cut -f 1,2,4 | sort")?;
    let made = admin.json(&["backup", "create"]);
    let file = made["file"].as_str().unwrap();
    admin.ok(&["remove", "bob", "--yes"]);

    // Another machine: another home, with nothing in it but how to reach hosts.
    let new = Admin::new(&lab);
    new.ok(&["backup", "restore", file, "--yes"]);
    let plan = new.run(&["plan", "--exit-code"]);
    assert_eq!(plan.status, 0, "{}{}", plan.stdout, plan.stderr);
    let deployed = new.json(&["deploy", "--yes"]);
    assert_eq!(deployed["changes"].as_u64().unwrap_or(0), 0, "{deployed:#}");
    assert_eq!(lab.host("a").sh("wg show wg0 dump | cut -f 1,2,4 | sort")?, dump);
    // And it goes on from there.
    new.ok(&["add", "remote", "carol"]);
    new.deploy();
    assert_eq!(new.run(&["plan", "--exit-code"]).status, 0);
    Ok(())
}

#[test]
fn a_copy_on_a_host_is_checked_there_fetched_by_hand_and_removed_in_time() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = deployed(&lab);
    let made = admin.json(&["backup", "create"]);
    let id = made["id"].as_str().unwrap();
    let push = ["backup", "push", &id[..8], "--host", "a", "--directory", "/var/backups/wg friend's"];
    let kept = admin.json(&push);
    let path = kept["path"].as_str().unwrap();
    let host = lab.host("a");
    let quoted = format!("'{}'", path.replace('\'', r"'\''"));
    assert_eq!(host.sh(&format!("stat -c %a {quoted}"))?.trim(), "600");
    let again = admin.run(&push);
    assert!(again.status == 1 && again.stderr.contains("exists already"), "{}", again.stderr);

    // It is text, and as good as the file it was made from.
    let fetched = admin.database().with_file_name("fetched");
    std::fs::write(&fetched, host.sh(&format!("cat {quoted}"))?).unwrap();
    assert_eq!(admin.json(&["backup", "verify", fetched.to_str().unwrap()])["whole"], true);
    let new = Admin::new(&lab);
    new.ok(&["backup", "restore", fetched.to_str().unwrap(), "--yes"]);
    assert_eq!(new.json(&["topology"]), admin.json(&["topology"]));

    let listed = admin.json(&["backup", "list"]);
    assert_eq!(listed[0]["copies"].as_array().unwrap().len(), 2, "{listed:#}");

    // Verifying it by its id asks the host too, and says what is wrong there.
    let verify = || admin.run(&["backup", "verify", &id[..8]]);
    assert_eq!(verify().status, 0, "{}{}", verify().stdout, verify().stderr);
    host.sh(&format!("cp -p {quoted} /tmp/kept"))?;
    for (change, fault) in [
        (format!("sed -i '5s/./#/' {quoted}"), "it is not what was written"),
        (format!("sed -i '$d' {quoted}"), "its end is missing"),
        (format!("echo other > {quoted}"), "it is another file by now"),
        (format!("rm {quoted}"), "it is not there"),
    ] {
        host.sh(&change)?;
        let seen = verify();
        assert!(seen.status == 6 && seen.stdout.contains(&format!("damaged: {fault}")), "{change}: {}", seen.stdout);
        assert!(seen.stdout.starts_with("whole"), "the copy here is: {}", seen.stdout);
        host.sh(&format!("cp -p /tmp/kept {quoted}"))?;
    }
    assert_eq!(verify().status, 0);
    admin.json(&["backup", "create"]);
    let pruned = admin.json(&["backup", "prune", "--keep-days", "0", "--yes"]);
    assert_eq!(pruned["removed"].as_array().unwrap().len(), 2, "{pruned:#}");
    assert_eq!(host.sh("ls -A \"/var/backups/wg friend's\"")?.trim(), "");

    // A host that can't take it says so, and nothing is left there.
    host.sh("mkdir /tmp/little && mount -t tmpfs -o size=8k tmpfs /tmp/little")?;
    let newest = admin.json(&["backup", "list"])[0]["id"].as_str().unwrap().to_owned();
    let full = admin.run(&["backup", "push", &newest[..8], "--host", "a", "--directory", "/tmp/little"]);
    assert!(full.status == 1 && full.stderr.contains("can't be written, or is full"), "{}", full.stderr);
    assert_eq!(host.sh("ls -A /tmp/little")?.trim(), "");
    Ok(())
}

#[test]
fn what_a_backup_builds_on_comes_along_to_a_host_once_and_both_are_read_from_there() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = deployed(&lab);
    let full = admin.json(&["backup", "create"]);
    let host = lab.host("a");
    let mut newest = String::new();
    for (name, comes_along) in [("carol", true), ("dave", false), ("erin", true)] {
        admin.ok(&["add", "remote", name]);
        if name == "erin" {
            // Somebody has cleared it away there.
            host.sh(&format!("rm /var/backups/inc/*-{}.wgfb", &full["id"].as_str().unwrap()[..8]))?;
        }
        let made = admin.json(&["backup", "create", "--kind", "incremental", "--copy-to", "a:/var/backups/inc/"]);
        let copied = &made["copied"][0];
        assert_eq!((&made["base"], &copied["fault"]), (&full["id"], &Value::Null), "{made:#}");
        assert_eq!(copied["base"]["id"] == full["id"], comes_along, "{copied:#}");
        assert_eq!(admin.run(&["backup", "verify", &made["id"].as_str().unwrap()[..8]]).status, 0);
        newest = Path::new(copied["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
    }
    let listed = host.sh("ls /var/backups/inc")?;
    assert_eq!(listed.lines().count(), 4, "{listed}");

    // Fetched as they are, beside each other, on another machine.
    let new = Admin::new(&lab);
    let fetched = tempfile::tempdir().unwrap();
    for name in listed.lines() {
        std::fs::write(fetched.path().join(name), host.sh(&format!("cat /var/backups/inc/{name}"))?).unwrap();
    }
    new.ok(&["backup", "restore", fetched.path().join(&newest).to_str().unwrap(), "--yes"]);
    assert_eq!(new.json(&["topology"]), admin.json(&["topology"]));

    // Once everything is old, all go from there, too.
    admin.json(&["backup", "create"]);
    admin.json(&["backup", "create", "--kind", "incremental"]);
    let pruned = admin.json(&["backup", "prune", "--keep-days", "0", "--yes"]);
    assert_eq!((&pruned["needed"], &pruned["kept"]), (&Value::Array(Vec::new()), &2.into()), "{pruned:#}");
    assert_eq!(host.sh("ls -A /var/backups/inc")?.trim(), "");
    Ok(())
}

/// Runs a shell command with a directory on a disk of its own, of so many KiB, onto which `saved` is copied first.
fn on_a_disk(saved: &Path, directory: &Path, size: u64, wg_friend: &Command, script: &str) -> Output {
    let mut command = Command::new("unshare");
    let words = format!("mount -t tmpfs -o size={size}k,mode=700 tmpfs \"$1\" && cp -p \"$2\"/* \"$1\"/ && {script}");
    command.args(["-m", "sh", "-c", &words, "sh"]).arg(directory).arg(saved).env_clear();
    command.env("W", env!("CARGO_BIN_EXE_wg-friend")).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let variables = wg_friend.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables.filter(|(name, _)| *name != "PATH"));
    Output::of(&mut command).unwrap()
}

#[test]
fn a_full_disk_leaves_the_old_state_whole_and_no_half_backup() -> Result {
    full_disk("full")
}

#[test]
fn a_full_disk_leaves_the_old_state_whole_and_no_half_incremental_backup() -> Result {
    full_disk("incremental")
}

fn full_disk(kind: &str) -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init("small");
    let outside = tempfile::tempdir().unwrap();
    let base = admin.json(&["backup", "create"])["file"].as_str().unwrap().to_owned();
    let base_outside = outside.path().join("base.wgfb");
    std::fs::copy(&base, &base_outside).unwrap();
    admin.ok(&["add", "server", "a", "--endpoint", "198.51.100.11"]);
    let file = admin.json(&["backup", "create", "--kind", kind]);
    assert_eq!(file["kind"].as_str(), Some(kind));
    let file = file["file"].as_str().unwrap().to_owned();
    admin.ok(&["add", "remote", "alice", "bob"]);
    let now: Value = admin.json(&["topology"]);
    let directory = admin.database().parent().unwrap().to_owned();
    let (saved, kept) = (outside.path().join("saved"), outside.path().join("kept.wgfb"));
    std::fs::create_dir(&saved).unwrap();
    std::fs::copy(&file, &kept).unwrap();
    std::fs::copy(admin.database(), saved.join("office.db")).unwrap();
    let database = std::fs::metadata(admin.database()).unwrap().len() / 1024;

    let (mut refused, mut done) = (0, 0);
    for step in 0..14 {
        let size = database + 64 + step * database / 2;
        let script = format!(
            "\"$W\" backup restore '{}' --yes >&2; echo $?; \"$W\" topology --json; \"$W\" audit verify --json >/dev/null && echo intact; ls -A \"$1\" >&2",
            kept.display()
        );
        let output = on_a_disk(&saved, &directory, size, &admin.command(&[]), &script);
        let (status, rest) = output.stdout.split_once('\n').unwrap_or_default();
        assert!(rest.ends_with("intact\n"), "{size} KiB: {}{}", output.stdout, output.stderr);
        let seen: Value = serde_json::from_str(rest.trim_end_matches("intact\n")).unwrap();
        if status == "0" {
            assert_eq!(seen["nodes"].as_array().unwrap().len(), 1);
            done += 1;
        } else {
            assert_eq!(seen, now, "{size} KiB");
            assert!(output.stderr.contains("the disk is full"), "{size} KiB: {}", output.stderr);
            assert!(!output.stderr.contains(".wg-friend-"), "{size} KiB: {}", output.stderr);
            refused += 1;
        }
    }
    assert!(refused >= 2 && done >= 1, "{refused} refused, {done} done");

    let (mut refused, mut done) = (0, 0);
    for step in 0..10 {
        let size = database + 64 + step * database / 2;
        let script = format!(
            "mkdir -m 700 \"$1/backups\" && cp -p '{}' '{base}' &&
             \"$W\" backup create --kind {kind} --json >\"$2/made\"; echo $?; rm '{base}'; ls -A \"$1\" \"$1/backups\"",
            base_outside.display()
        );
        let output = on_a_disk(&saved, &directory, size, &admin.command(&[]), &script);
        let (status, left) = output.stdout.split_once('\n').unwrap_or_default();
        assert!(!left.contains(".wg-friend-"), "{size} KiB: {left}");
        assert_eq!(status == "0", left.contains(".wgfb"), "{size} KiB: {left}{}", output.stderr);
        if status == "0" {
            let made = std::fs::read_to_string(saved.join("made"))?;
            assert!(made.contains(&format!("\"kind\": \"{kind}\"")), "{made}");
            done += 1;
        } else {
            refused += 1;
        }
        std::fs::remove_file(saved.join("made"))?;
    }
    assert!(refused >= 1 && done >= 1, "{refused} refused, {done} done");
    Ok(())
}

#[test]
fn a_full_disk_leaves_an_unencrypted_database_or_an_encrypted_one_and_an_old_key_or_a_new_one() -> Result {
    let _lab = lab_or_skip!(spec());
    for (options, command, action) in
        [(&["--no-encryption"][..], "encrypt", "encryption_enabled"), (&[], "rekey --yes", "rekeyed")]
    {
        let env = TestEnv::new();
        let ok = |arguments: &[&str]| {
            let mut command = env.command(arguments);
            if !options.is_empty() {
                command.env_remove("WG_FRIEND_PASSPHRASE");
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let init = ["init", "--name", "office", "--server", "hub", "--endpoint", "vpn.example.com"];
        ok(&[&init[..], options].concat());
        let names: Vec<String> = (0..60).map(|n| format!("phone-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        ok(&[&["add", "remote"][..], &names].concat());
        let file = ok(&["generate", "phone-7"]);
        let (directory, saved) = (env.database().parent().unwrap().to_owned(), env.path().join("saved"));
        let left = env.path().join("left");
        std::fs::create_dir(&saved)?;
        std::fs::copy(env.database(), saved.join("default.db"))?;
        let database = std::fs::metadata(env.database())?.len() / 1024;

        let (mut refused, mut done) = (0, 0);
        for step in 0..12 {
            let size = database + 48 + step * database / 3;
            let script = format!("\"$W\" vault {command} >&2; echo $?; cp -p \"$1\"/* '{}'", left.display());
            let _ = std::fs::remove_dir_all(&left);
            std::fs::create_dir(&left)?;
            let output = on_a_disk(&saved, &directory, size, &env.command::<&str>(&[]), &script);
            let status = output.stdout.trim();
            // What is left there, on a disk that has room again: reading it writes an entry or two.
            for old in std::fs::read_dir(&directory)? {
                std::fs::remove_file(old?.path())?;
            }
            for file in std::fs::read_dir(&left)? {
                let file = file?;
                std::fs::copy(file.path(), directory.join(file.file_name()))?;
            }
            assert_eq!(env.run(&["generate", "phone-7"]), file, "{command}, {size} KiB: {}", output.stderr);
            assert_eq!(env.json(&["audit", "verify"])["intact"], true);
            let told = env.json(&["audit", "log", "--action", action]);
            assert_eq!(told["entries"].as_array().unwrap().len(), usize::from(status == "0"), "{command}, {size} KiB");
            if status == "0" {
                done += 1;
            } else {
                assert!(output.stderr.contains("the disk is full"), "{command}, {size} KiB: {}", output.stderr);
                refused += 1;
            }
        }
        assert!(refused >= 1 && done >= 1, "{command}: {refused} refused, {done} done");
    }
    Ok(())
}
