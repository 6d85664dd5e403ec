//! Rekeying that is cut short anywhere leaves the database as it was, or rekeyed.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::env::TestEnv;

/// Copies the files of a database.
fn copy(from: &Path, to: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for file in crate::secrets::files_below(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn killed_at_any_moment_of_rekeying_everything_opens_with_the_old_key_or_everything_with_the_new_one() {
    let env = TestEnv::with_nodes();
    let names: Vec<String> = (0..40).map(|n| format!("phone-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.ok(&[&["add", "remote"][..], &names].concat());
    let file = env.run(&["generate", "phone-7"]);
    let old = env.json(&["vault", "recovery", "--yes"])["recovery_key"].as_str().unwrap().to_owned();
    let directory = env.database().parent().unwrap().to_owned();
    let saved = env.path().join("saved");
    copy(&directory, &saved);

    // Moments spread over the time that it takes; when some runs outlast theirs, all of it has been covered.
    let (mut after, mut ends) = (Duration::ZERO, [0, 0, 0]);
    while ends[2] < 2 {
        std::fs::remove_dir_all(&directory).unwrap();
        copy(&saved, &directory);
        let mut command = env.command(&["vault", "rekey", "--yes"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let mut ended = false;
        while begun.elapsed() < after && !ended {
            ended = child.try_wait().unwrap().is_some();
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        after += Duration::from_millis(1) + after / 8;

        // The recovery key says which of them it is; the passphrase opens both.
        let given = env.command(&["generate", "phone-7"]).env("WG_FRIEND_PASSPHRASE", &old).output().unwrap();
        let rekeyed = given.status.code() == Some(5);
        assert!(rekeyed || given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
        assert_eq!(env.run(&["generate", "phone-7"]), file, "after {after:?}");
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
        let log = env.json(&["audit", "log", "--action", "rekeyed"]);
        assert_eq!(log["entries"].as_array().unwrap().len(), usize::from(rekeyed), "after {after:?}");
        ends[usize::from(rekeyed) + usize::from(rekeyed && ended)] += 1;
    }
    assert!(ends[0] >= 3, "{ends:?}: some were killed before it was done");
}
