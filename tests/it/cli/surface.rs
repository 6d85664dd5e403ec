//! What all commands have in common: help, colour, silence, pipes, speed.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Instant;

use crate::env::TestEnv;
use insta::assert_snapshot;

#[test]
fn the_version_is_one_line() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["--version"]), format!("wg-friend {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_goes_to_stdout_and_its_lack_to_stderr() {
    let env = TestEnv::new();
    assert!(env.run(&["--help"]).starts_with("Runs WireGuard networks"));
    assert!(env.run(&[]).ends_with("[exit 2]\n"));
    assert!(env.run(&["help-me"]).ends_with("[exit 2]\n"));
}

#[test]
fn every_command_explains_itself() {
    let env = TestEnv::new();
    let root = wg_friend::cli::definition();
    for command in root.get_subcommands() {
        let help = env.run(&[command.get_name(), "--help"]);
        assert!(help.contains("Usage: wg-friend"), "{}", command.get_name());
        assert!(!help.contains("  -c, "), "no option by accident: {}", command.get_name());
        for sub in command.get_subcommands() {
            assert!(env.run(&[command.get_name(), sub.get_name(), "--help"]).contains("Usage: wg-friend"));
            assert!(sub.get_about().is_some(), "{} {}", command.get_name(), sub.get_name());
        }
    }
}

#[test]
fn what_cannot_be_tried_out_is_not_done() {
    let env = TestEnv::with_nodes();
    for arguments in [
        &["unlock"][..],
        &["lock"],
        &["vault", "passphrase"],
        &["vault", "recovery", "--yes"],
        &["vault", "rekey", "--yes"],
        &["man", "--dir", "/proc/nowhere"],
    ] {
        let text = env.refused(&[arguments, &["--dry-run"]].concat());
        assert!(text.contains("can't be tried out") && text.ends_with("[exit 2]\n"), "{arguments:?}: {text}");
    }
    let env = TestEnv::new();
    env.ok(&["init", "--name", "office", "--dry-run"]);
    assert!(!env.database().exists());
}

#[test]
fn old_words_for_roles_still_work() {
    let env = TestEnv::with_network();
    env.ok(&["add", "peer", "alice"]);
    env.ok(&["add", "subnet-router", "branch"]);
    env.ok(&["add", "exit-node", "out"]);
    assert_eq!(env.json(&["list", "--role", "peer"])["nodes"][0]["name"], "alice");
}

#[test]
fn colour_is_for_terminals_and_whoever_asks_for_it() {
    let env = TestEnv::with_nodes();
    let has = |arguments: &[&str], no_color: bool| {
        let mut command = env.command(arguments);
        no_color.then(|| command.env("NO_COLOR", "1"));
        command.output().unwrap().stdout.contains(&0x1b)
    };
    assert!(!has(&["list"], false));
    assert!(has(&["list", "--color", "always"], false));
    assert!(!has(&["list", "--color", "never"], false));
    assert!(!has(&["list", "--color", "auto"], true));
    assert!(!has(&["list", "--json", "--color", "always"], false), "JSON has no colour");
}

#[test]
fn quiet_commands_say_nothing_when_all_is_well() {
    let env = TestEnv::with_nodes();
    for arguments in
        [&["add", "remote", "x", "-q"][..], &["set", "x", "notes=y", "-q"], &["remove", "x", "-qy"], &["lock", "-q"]]
    {
        assert_eq!(env.run(arguments), "", "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let env = TestEnv::with_network();
    let names: Vec<String> =
        (1..=200).map(|n| format!("remote-with-a-long-name-so-that-the-pipe-is-full-{n}")).collect();
    let mut arguments = vec!["add", "remote"];
    arguments.extend(names.iter().map(String::as_str));
    env.ok(&arguments);
    let mut child = env.command(&["list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut first).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn completions_exist_for_every_shell() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = env.run(&["completions", shell]);
        assert!(script.contains("wg-friend") && script.contains("topology"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let env = TestEnv::new();
    assert!(env.run(&["man"]).contains(".TH wg-friend 1"));
    let dir = env.path().join("man");
    env.ok(&["man", "--dir", &dir.display().to_string()]);
    for page in ["wg-friend.1", "wg-friend-add.1", "wg-friend-add-remote.1", "wg-friend-audit-log.1"] {
        assert!(dir.join(page).exists(), "{page}");
    }
    assert_snapshot!(env.run(&["man", "--dir", "/proc/nowhere"]), @"
    --- stderr ---
    error: can't write /proc/nowhere: No such file or directory (os error 2)
    [exit 1]
    ");
}

#[test]
fn the_version_and_a_list_of_100_nodes_come_at_once() {
    let env = TestEnv::with_network();
    let names: Vec<String> = (1..100).map(|n| format!("r{n}")).collect();
    let mut arguments = vec!["add", "remote"];
    arguments.extend(names.iter().map(String::as_str));
    env.ok(&arguments);
    for arguments in [&["--version"][..], &["list"]] {
        let run = |_| {
            let start = Instant::now();
            env.ok(arguments);
            start.elapsed().as_millis()
        };
        let best = (0..10).map(run).min().unwrap();
        let limit = if cfg!(debug_assertions) { 100 } else { 20 };
        assert!(best < limit, "{arguments:?} took {best} ms");
    }
}

#[test]
fn a_network_of_ten_remotes_is_added_in_one_transaction_or_not_at_all() {
    let env = TestEnv::with_nodes();
    let text = env.refused(&["add", "remote", "a", "b", "alice-phone"]);
    assert!(text.contains("the name `alice-phone` is taken"), "{text}");
}
