//! Timers: printed, installed for a user, and removed, with a systemd that only writes down what it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::env::TestEnv;

/// The commands that have a timer, each with the name of its units.
const TIMERS: [(&[&str], &str); 3] = [
    (&["backup", "schedule", "--keep-days", "30"], "wg-friend-backup"),
    (&["rotation", "schedule", "--limit", "5"], "wg-friend-rotation"),
    (&["sync"], "wg-friend-sync"),
];

/// Puts a `systemctl` on the PATH that writes down what it is told, and then ends as it is told.
fn systemctl(env: &TestEnv, ends: &str) {
    let bin = env.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let told = env.path().join("told");
    fs::write(bin.join("systemctl"), format!("#!/bin/sh\necho \"$*\" >> '{}'\n{ends}\n", told.display())).unwrap();
    fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a command where `systemctl` is the one of the test, or none.
fn run(env: &TestEnv, arguments: &[&str]) -> String {
    let bin = env.path().join("bin");
    env.transcript(env.command(arguments).env("PATH", bin))
}

fn told(env: &TestEnv) -> String {
    let text = fs::read_to_string(env.path().join("told")).unwrap_or_default();
    let _ = fs::remove_file(env.path().join("told"));
    text
}

#[test]
fn every_timer_is_installed_for_its_user_begun_and_removed_without_a_trace() {
    let env = TestEnv::with_network();
    systemctl(&env, "exit 0");
    let units = env.path().join("config/systemd/user");
    for (command, name) in TIMERS {
        let preview = run(&env, &[command, &["--install=user", "--dry-run"]].concat());
        assert!(preview.contains("[Timer]") && preview.contains("dry run") && !units.exists(), "{preview}");
        let asked = run(&env, &[command, &["--install=user"]].concat());
        assert!(asked.contains("a confirmation is needed") && !units.exists(), "{asked}");
        assert_eq!(told(&env), "");

        let said = run(&env, &[command, &["--install=user", "--yes"]].concat());
        assert!(said.contains("there is no [DIR]/config/wg-friend/passphrase yet"), "{said}");
        assert!(said.contains("loginctl enable-linger") && !said.contains("[exit"), "{said}");
        let expected = format!("--user daemon-reload\n--user enable {name}.timer\n--user restart {name}.timer\n");
        assert_eq!(told(&env), expected);
        let service = fs::read_to_string(units.join(format!("{name}.service"))).unwrap();
        let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        assert!(!service.contains("User=") && line.contains(&env.database().display().to_string()), "{service}");

        // What the service runs is a command that works as it stands there.
        fs::create_dir_all(env.path().join("config/wg-friend")).unwrap();
        fs::write(env.path().join("config/wg-friend/passphrase"), "correct-horse\n").unwrap();
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let ran = env.transcript(env.command(&words).env_remove("WG_FRIEND_PASSPHRASE"));
        assert!(!ran.contains("[exit"), "{line}: {ran}");
        fs::remove_file(env.path().join("config/wg-friend/passphrase")).unwrap();

        let again: serde_json::Value =
            serde_json::from_str(&run(&env, &[command, &["--install=user", "--dry-run", "--json"]].concat())).unwrap();
        assert_eq!(again["units"][0]["state"], "unchanged", "{again:#}");
        let removed = run(&env, &[command, &["--uninstall=user", "--yes"]].concat());
        assert!(!removed.contains("[exit"), "{removed}");
        assert_eq!(told(&env), format!("--user disable --now {name}.timer\n--user daemon-reload\n"));
        assert_eq!(fs::read_dir(&units).unwrap().count(), 0);
        let gone = run(&env, &[command, &["--uninstall=user", "--yes"]].concat());
        assert!(gone.contains("no such timer is installed") && gone.contains("[exit 1]"), "{gone}");
        fs::remove_dir(&units).unwrap();
    }
}

#[test]
fn where_there_is_no_systemd_it_is_said_what_is_left_to_do() {
    let env = TestEnv::with_network();
    fs::create_dir_all(env.path().join("bin")).unwrap();
    let said = run(&env, &["sync", "--install=user", "--yes"]);
    let expected = "systemd couldn't be told: there is no systemctl on this machine; by hand: `systemctl --user daemon-reload`, \
                    `systemctl --user enable wg-friend-sync.timer`, `systemctl --user restart wg-friend-sync.timer`";
    assert!(said.contains(expected) && said.ends_with("[exit 1]\n"), "{said}");
    systemctl(&env, "echo 'Failed to connect to bus: No medium found' >&2; exit 1");
    let said = run(&env, &["sync", "--install=user", "--yes"]);
    assert!(said.contains("systemd couldn't be told: Failed to connect to bus: No medium found"), "{said}");
}

#[test]
fn a_unit_of_somebody_else_is_left_as_it_is() {
    let env = TestEnv::with_network();
    systemctl(&env, "exit 0");
    let units = env.path().join("config/systemd/user");
    fs::create_dir_all(&units).unwrap();
    fs::write(units.join("wg-friend-backup.timer"), "[Timer]\nOnCalendar=daily\n").unwrap();
    for deed in ["--install=user", "--uninstall=user"] {
        let said = run(&env, &["backup", "schedule", deed, "--yes"]);
        assert!(said.contains("isn't from wg-friend, so it stays as it is") && said.contains("[exit 1]"), "{said}");
    }
    assert_eq!(told(&env), "");
    assert!(!units.join("wg-friend-backup.service").exists());
}

#[test]
fn each_network_has_timers_of_its_own_and_backups_are_of_all() {
    let env = TestEnv::with_network();
    env.ok(&["network", "add", "lab", "--cidr", "10.77.0.0/24", "--yes"]);
    for (command, name, network) in [
        (&["sync", "--print-timer"][..], "wg-friend-sync-lab.timer", true),
        (&["rotation", "schedule"], "wg-friend-rotation-lab.timer", true),
        (&["backup", "schedule"], "wg-friend-backup.timer", false),
    ] {
        let document = env.json(&[&["--network", "lab"], command].concat());
        assert_eq!(document["timer"]["name"], name, "{document:#}");
        assert_eq!(document["service"]["text"].as_str().unwrap().contains("--network lab"), network, "{document:#}");
        assert_eq!(document["crontab"].as_str().unwrap().contains("--network lab"), network);
    }
}

#[test]
fn every_timer_takes_a_database_whose_name_means_something_to_cron_and_systemd() {
    let env = TestEnv::new();
    let path = env.path().join("50% off; it's \"$HOME\"").join("x.db").display().to_string();
    env.ok(&["--db", &path, "init", "--name", "office", "--server", "hub", "--endpoint", "vpn.example.com"]);
    for command in [&["backup", "schedule"][..], &["rotation", "schedule"], &["sync", "--print-timer"]] {
        let text = String::from_utf8(env.ok(&[&["--db", &path], command].concat()).stdout).unwrap();
        let cron = text.lines().last().unwrap().strip_prefix("# ").unwrap();
        let command_line = cron.splitn(6, ' ').last().unwrap().replace("\\%", "%");
        let words = shlex::split(&command_line).unwrap_or_else(|| panic!("{cron}"));
        assert_eq!(words[1..3], ["--db", path.as_str()], "{cron}");
        let service = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        assert!(service.contains("50%% off; it's \\\"$$HOME\\\"/x.db\""), "{service}");
    }
    let path = env.path().join("two\nlines.db").display().to_string();
    assert!(env.run(&["--db", &path, "sync", "--print-timer"]).contains("can't stand in a unit or a crontab"));
}
