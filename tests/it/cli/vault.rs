//! Passphrases: where they come from, what they open.

use crate::env::{PASSPHRASE, TestEnv, filters};
use insta::assert_snapshot;

#[test]
fn the_passphrase_comes_from_a_file_the_environment_or_a_credential() {
    let env = TestEnv::with_network();
    let right = env.path().join("right");
    let wrong = env.path().join("wrong");
    std::fs::write(&right, format!("{PASSPHRASE}\nsecond line\n")).unwrap();
    std::fs::write(&wrong, "wrong-horse\n").unwrap();
    let credentials = env.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("wg-friend-passphrase"), PASSPHRASE).unwrap();
    let code = |file: Option<&std::path::Path>, variable: Option<&str>, credential: bool| {
        let mut command = env.command(&["audit", "verify"]);
        command.env_remove("WG_FRIEND_PASSPHRASE");
        command.args(file.map(|f| format!("--passphrase-file={}", f.display())));
        variable.map(|v| command.env("WG_FRIEND_PASSPHRASE", v));
        credential.then(|| command.env("CREDENTIALS_DIRECTORY", &credentials));
        command.output().unwrap().status.code()
    };
    assert_eq!(code(Some(&right), None, false), Some(0));
    assert_eq!(code(None, Some(PASSPHRASE), false), Some(0));
    assert_eq!(code(None, None, true), Some(0));
    assert_eq!(code(None, None, false), Some(5));
    assert_eq!(code(Some(&wrong), None, false), Some(5));
    assert_eq!(code(Some(&right), Some("wrong-horse"), false), Some(0), "an option is nearer than the environment");
    assert_eq!(code(None, Some("wrong-horse"), true), Some(5), "the environment is nearer than a credential");
}

#[test]
fn what_is_not_secret_needs_no_passphrase() {
    let env = TestEnv::with_nodes();
    for arguments in [
        &["list"][..],
        &["show", "hub"],
        &["topology"],
        &["network", "show"],
        &["host", "list"],
        &["vault", "status"],
        &["audit", "log"],
        &["audit", "verify", "--chain-only"],
        &["completions", "bash"],
        &["man"],
        &["lock"],
    ] {
        let output = env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn unlocked_once_nobody_is_asked_until_it_is_locked() {
    let env = TestEnv::with_network();
    let without = |arguments: &[&str]| env.command(arguments).env_remove("WG_FRIEND_PASSPHRASE").output().unwrap();
    let unlocked = env.command(&["unlock", "--for", "60s", "--json"]).output().unwrap();
    let error = String::from_utf8_lossy(&unlocked.stderr).into_owned();
    if error.contains("keyring") {
        assert_eq!(unlocked.status.code(), Some(1), "a machine without a keyring says so: {error}");
        return;
    }
    assert!(unlocked.status.success(), "{error}");
    assert!(without(&["add", "remote", "alice"]).status.success());
    assert_eq!(env.json(&["vault", "status"])["unlocked"], true);
    // From the keyring: no entry but the change's own.
    let actions: Vec<String> = env.json(&["audit", "log", "--limit", "2"])["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, ["peer_added", "unlocked"]);
    assert!(without(&["lock"]).status.success());
    assert_eq!(without(&["add", "remote", "bob"]).status.code(), Some(5));
    assert_eq!(env.json(&["lock"])["was_unlocked"], false);
}

#[test]
fn a_locked_vault_says_how_to_unlock_it() {
    let env = TestEnv::with_network();
    let before = env.model();
    assert_snapshot!(env.transcript(env.command(&["add", "remote", "alice"]).env_remove("WG_FRIEND_PASSPHRASE")), @"
    --- stderr ---
    error: the vault is locked
     hint: run `wg-friend unlock --for 8h` once, or set WG_FRIEND_PASSPHRASE, or give --passphrase-file FILE
    [exit 5]
    ");
    assert_eq!(env.model(), before);
}

#[test]
fn a_wrong_passphrase_ends_with_5_and_is_in_the_log_after_the_next_unlocking() {
    let env = TestEnv::with_network();
    let wrong = || env.transcript(env.command(&["add", "remote", "alice"]).env("WG_FRIEND_PASSPHRASE", "wrong-horse"));
    assert_snapshot!(wrong(), @"
    --- stderr ---
    error: wrong passphrase
     hint: try again; the printed recovery key works as well
    [exit 5]
    ");
    env.ok(&["audit", "verify"]);
    let log = env.json(&["audit", "log", "--action", "unlock_failed"]);
    assert_eq!(log["entries"].as_array().unwrap().len(), 1);
    assert_eq!(log["entries"][0]["severity"], "warning");
}

#[test]
fn the_passphrase_and_the_recovery_key_can_be_replaced() {
    let _filters = filters();
    let env = TestEnv::new();
    let first = env.json(&["init", "--name", "office"])["recovery_key"].as_str().unwrap().to_owned();
    let opens = |with: &str| {
        env.command(&["audit", "verify"]).env("WG_FRIEND_PASSPHRASE", with).output().unwrap().status.code() == Some(0)
    };
    assert!(opens(PASSPHRASE) && opens(&first) && opens(&first.to_lowercase().replace('-', " ")));

    let new = env.path().join("new");
    std::fs::write(&new, "battery-staple\n").unwrap();
    assert_snapshot!(env.run(&["vault", "passphrase", "--new-passphrase-file", &new.display().to_string()]), @"
    --- stderr ---
    the passphrase has been replaced
    ");
    assert!(!opens(PASSPHRASE) && opens("battery-staple") && opens(&first));

    let run = |arguments: &[&str]| {
        let output = env.command(arguments).env("WG_FRIEND_PASSPHRASE", "battery-staple").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let second = run(&["vault", "recovery", "--yes", "--json"])["recovery_key"].as_str().unwrap().to_owned();
    assert!(!opens(&first) && opens(&second));
    let third = run(&["vault", "rekey", "--yes", "--json"])["recovery_key"].as_str().unwrap().to_owned();
    assert!(!opens(&second) && opens(&third) && opens("battery-staple"));
    assert_eq!(run(&["audit", "verify", "--json"])["intact"], true);
}

#[test]
fn the_vault_says_how_it_stands() {
    let _filters = filters();
    let env = TestEnv::with_network();
    assert_snapshot!(env.run(&["vault", "status"]), @"
    database       [DIR]/data/wg-friend/default.db
    state          locked
    one try takes  1 MiB of memory

    OPENS WITH  SCRYPT          SINCE
    passphrase  n=2^10 r=8 p=1  [TIME]
    recovery    n=2^10 r=8 p=1  [TIME]
    ");
}

#[test]
fn passphrases_that_are_too_short_are_refused() {
    let env = TestEnv::new();
    assert_snapshot!(env.transcript(env.command(&["init", "--name", "a"]).env("WG_FRIEND_PASSPHRASE", "short")), @"
    --- stderr ---
    error: a passphrase needs at least 8 characters
    [exit 2]
    ");
    assert!(!env.database().exists());
    let env = TestEnv::with_network();
    let short = env.path().join("short");
    std::fs::write(&short, "short").unwrap();
    let text = env.refused(&["vault", "passphrase", "--new-passphrase-file", &short.display().to_string()]);
    assert!(text.ends_with("[exit 2]\n"), "{text}");
}
