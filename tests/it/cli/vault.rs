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
    the passphrase `main` has been replaced
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

    OPENS WITH  NAME  SCRYPT          SINCE                 MADE BY
    passphrase  main  n=2^10 r=8 p=1  [TIME]  tester
    recovery          n=2^10 r=8 p=1  [TIME]  tester
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

/// A team: a database that `main`, `kim` and `timer` unlock, and what runs the program with one of their passphrases.
fn team() -> TestEnv {
    let env = TestEnv::with_network();
    for name in ["kim", "timer"] {
        let file = env.path().join(name);
        std::fs::write(&file, format!("{name}-has-one\n")).unwrap();
        env.ok(&["vault", "passphrase", "add", name, "--new-passphrase-file", &file.display().to_string()]);
    }
    env
}

fn with(env: &TestEnv, passphrase: &str, arguments: &[&str]) -> std::process::Output {
    env.command(arguments).env("WG_FRIEND_PASSPHRASE", passphrase).output().unwrap()
}

fn code(env: &TestEnv, passphrase: &str) -> Option<i32> {
    with(env, passphrase, &["audit", "verify"]).status.code()
}

#[test]
fn a_team_has_a_passphrase_each_and_who_leaves_is_locked_out() {
    let _filters = filters();
    let env = team();
    assert_eq!(["kim-has-one", "timer-has-one", PASSPHRASE].map(|given| code(&env, given)), [Some(0); 3]);
    let entries = env.json(&["audit", "log", "--action", "unlocked"]);
    let mut named: Vec<_> =
        entries["entries"].as_array().unwrap().iter().map(|e| &e["details"]["passphrase"]).collect();
    named.dedup();
    assert_eq!(named, ["main", "timer", "kim", "main"]);

    // Equal to somebody's: refused, and nothing says to whose.
    let kim = env.path().join("kim").display().to_string();
    assert_snapshot!(env.run(&["vault", "passphrase", "add", "alex", "--new-passphrase-file", &kim]), @"
    --- stderr ---
    error: this passphrase unlocks already
     hint: choose another one
    [exit 2]
    ");
    assert_snapshot!(env.run(&["vault", "passphrase", "remove", "kim", "--yes"]), @"
    --- stderr ---
    the passphrase `kim` no longer unlocks
      next: `wg-friend vault rekey`, if who had it may have kept the key or a copy
    ");
    assert_eq!(
        ["kim-has-one", "timer-has-one", PASSPHRASE].map(|given| code(&env, given)),
        [Some(5), Some(0), Some(0)]
    );
    // The timer rekeys, and nobody else is needed for it.
    let rekeyed = with(&env, "timer-has-one", &["vault", "rekey", "--yes", "--json"]);
    let rekeyed: serde_json::Value = serde_json::from_slice(&rekeyed.stdout).unwrap();
    assert_eq!(rekeyed["passphrases"], serde_json::json!(["main", "timer"]));
    let recovery = rekeyed["recovery_key"].as_str().unwrap();
    let outcomes = ["kim-has-one", "timer-has-one", PASSPHRASE, recovery].map(|given| code(&env, given));
    assert_eq!(outcomes, [Some(5), Some(0), Some(0), Some(0)]);

    // With the recovery key, which of them is to be replaced has to be said.
    let unclear = with(&env, recovery, &["vault", "passphrase", "--new-passphrase-file", &kim]);
    assert_eq!(unclear.status.code(), Some(2));
    let said = String::from_utf8_lossy(&unclear.stderr).into_owned();
    assert!(said.contains("none is named: `main`, `timer`"), "{said}");
    let named = with(&env, recovery, &["vault", "passphrase", "change", "timer", "--new-passphrase-file", &kim]);
    assert!(named.status.success());
    assert_eq!(["kim-has-one", "timer-has-one"].map(|given| code(&env, given)), [Some(0), Some(5)]);
    env.ok(&["vault", "passphrase", "remove", "timer", "--yes"]);
    assert_snapshot!(env.run(&["vault", "passphrase", "remove", "main", "--yes"]), @"
    --- stderr ---
    error: `main` is the only passphrase
     hint: add another one first: `wg-friend vault passphrase add NAME`
    [exit 1]
    ");
}

#[test]
fn a_passphrase_that_was_put_back_into_the_file_is_found() {
    let env = team();
    let copy = env.path().join("copy.db").display().to_string();
    let sql = |sql: &str| {
        let conn = rusqlite::Connection::open(env.database()).unwrap();
        conn.execute("ATTACH ?1 AS copy", [&copy]).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    sql("CREATE TABLE copy.kept AS SELECT * FROM slots");
    env.ok(&["vault", "passphrase", "remove", "kim", "--yes"]);
    sql("INSERT OR REPLACE INTO slots SELECT * FROM copy.kept");
    for given in ["kim-has-one", "timer-has-one", PASSPHRASE] {
        assert_eq!(code(&env, given), Some(6), "{given}");
    }
    assert_eq!(code(&env, "nobody-has-it"), Some(5));
}

#[test]
fn a_backup_opens_with_each_passphrase_that_the_database_had_then() {
    let env = team();
    let file = env.path().join("b.wgfb").display().to_string();
    env.ok(&["backup", "create", "--to", &file]);
    env.ok(&["vault", "passphrase", "remove", "kim", "--yes"]);
    env.ok(&["vault", "rekey", "--yes"]);
    let restore = |given: &str, to: &str| {
        let to = env.path().join(to).join("a.db").display().to_string();
        with(&env, given, &["--db", &to, "backup", "restore", &file, "--yes"]).status.code()
    };
    assert_eq!(restore("kim-has-one", "one"), Some(0), "who left after it was made can open it");
    assert_eq!((restore("timer-has-one", "two"), restore(PASSPHRASE, "three")), (Some(0), Some(0)));
    assert_eq!(restore("nobody-has-it", "four"), Some(5));
    let restored = env.path().join("two/a.db").display().to_string();
    assert!(with(&env, "timer-has-one", &["--db", &restored, "audit", "verify"]).status.success());
}

#[test]
fn what_cannot_be_done_is_said_before_a_passphrase_is_asked_for() {
    let env = team();
    let without = |arguments: &[&str]| {
        let mut command = env.command(arguments);
        env.transcript(command.env_remove("WG_FRIEND_PASSPHRASE"))
    };
    for (arguments, said) in [
        (&["vault", "passphrase", "remove", "nosuch", "--yes"][..], "there is no passphrase `nosuch`"),
        (&["vault", "passphrase", "change", "nosuch"], "there is no passphrase `nosuch`"),
        (&["vault", "passphrase", "add", "Kim"], "there is already a passphrase named `kim`"),
    ] {
        let told = without(arguments);
        assert!(told.contains(said) && !told.contains("locked"), "{arguments:?}: {told}");
    }
    env.ok(&["vault", "passphrase", "remove", "kim", "--yes"]);
    env.ok(&["vault", "passphrase", "--yes", "remove", "timer"]);
    let last = without(&["vault", "passphrase", "remove", "main", "--yes"]);
    assert!(last.contains("`main` is the only passphrase"), "{last}");
}

#[test]
fn options_may_stand_before_what_is_done_with_a_passphrase() {
    let env = TestEnv::with_network();
    let new = env.path().join("new");
    std::fs::write(&new, "alex is new here").unwrap();
    let file = new.display().to_string();
    let added = env.ok(&["vault", "passphrase", "--json", "--new-passphrase-file", &file, "add", "alex"]).stdout;
    let added: serde_json::Value = serde_json::from_slice(&added).unwrap();
    assert_eq!(added["added"], "alex");
    let said = env.run(&["vault", "passphrase", "--new-passphrase-file", &file, "remove", "alex"]);
    assert!(said.contains("gives no new one") && said.ends_with("[exit 2]\n"), "{said}");
    env.ok(&["--yes", "vault", "passphrase", "remove", "alex"]);
}

#[test]
fn the_recovery_key_rekeys() {
    let env = team();
    let key = env.json(&["vault", "recovery", "--yes"])["recovery_key"].as_str().unwrap().to_owned();
    let output = with(&env, &key, &["vault", "rekey", "--yes", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(code(&env, &key), Some(5), "it was replaced");
    for given in ["kim-has-one", "timer-has-one", PASSPHRASE] {
        assert_eq!(code(&env, given), Some(0), "{given}");
    }
}
