//! What commands and errors say, and what Debug shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use wg_friend::db::{Database, Passphrase};
use wg_friend::model::{Actor, PrivateKey, Source};
use wg_friend::ops::clock::{Clock as _, System};
use wg_friend::ops::network::generate::{self, Request};
use wg_friend::wg::compile;

use super::scanner::Scanner;
use super::{Known, network};
use crate::env::{PASSPHRASE, TestEnv};

/// Commands that are there to reveal something: a file, a code, or a recovery key, once.
const REVEALING: [&str; 6] = ["init", "generate", "qr", "vault recovery", "vault rekey", "vault encrypt"];

/// Every other command, in an order in which each succeeds, or fails as it does on any machine.
const SILENT: &[&[&str]] = &[
    &["maintain"],
    &["rotation", "policy", "add", "heavy", "--usage", "50GB", "--scope", "remotes"],
    &["rotation", "policy", "set", "heavy", "--every", "90d"],
    &["rotation", "policy", "disable", "heavy"],
    &["rotation", "policy", "enable", "heavy"],
    &["rotation", "policy", "list"],
    &["rotation", "policy", "show", "heavy"],
    &["rotation", "event", "operator-removed", "alice-phone"],
    &["rotation", "policy", "add", "left", "--on", "operator-removed"],
    &["rotation", "due"],
    &["rotation", "apply", "--yes"],
    &["rotation", "log"],
    &["rotation", "schedule"],
    &["rotation", "policy", "remove", "heavy", "--yes"],
    &["rotation", "policy", "remove", "left", "--yes"],
    &["group", "add", "contractors", "alice-phone", "--note", "theirs"],
    &["group", "rename", "contractors", "movers"],
    &["grant", "movers", "hub", "icmp", "--for", "8h"],
    &["grants"],
    &["group", "list"],
    &["group", "show", "movers"],
    &["revoke", "movers", "hub"],
    &["group", "remove", "movers", "--yes"],
    &["link", "branch", "alice-phone", "--weight", "3"],
    &["unlink", "branch", "alice-phone"],
    &["list"],
    &["list", "--role", "remote"],
    &["show", "hub"],
    &["show", "alice-phone"],
    &["show", "nas"],
    &["topology"],
    &["network", "show"],
    &["network", "add", "annex"],
    &["network", "list"],
    &["network", "remove", "annex", "--yes"],
    &["network", "set", "mtu=1380"],
    &["set", "alice-phone", "access=vpn-only"],
    &["add", "server", "hub-2", "--endpoint", "198.51.100.7", "--dry-run"],
    &["add", "router", "barn", "--lan", "192.168.20.0/24"],
    &["add", "exit", "exit-fr", "--endpoint", "203.0.113.10"],
    &["add", "remote", "bob-phone", "bob-laptop"],
    &["add", "remote", "carol-phone", "--custody", "shown-once", "--dry-run"],
    &["rename", "bob-phone", "bob-mobile"],
    &["disable", "bob-mobile"],
    &["enable", "bob-mobile"],
    &["rotate", "bob-mobile", "--reason", "yearly"],
    &["rotate", "hub", "--reason", "yearly", "--dry-run"],
    &["remove", "bob-mobile", "--yes"],
    &["psk", "policy"],
    &["psk", "policy", "required", "--every", "30d", "--on", "key_rotation,time_based"],
    &["psk", "policy", "--node", "branch", "optional"],
    &["psk", "policy", "--node", "branch", "--inherit"],
    &["psk", "status"],
    &["psk", "rotate", "alice-phone", "--cut-off"],
    &["psk", "rotate", "hub", "--dry-run"],
    &["psk", "rotate", "--all", "--deploy", "--yes"],
    &["host", "add", "shed", "root@127.0.0.1:1"],
    &["host", "set", "shed", "port=2"],
    &["host", "set", "shed", "auto-sync=scheduled"],
    &["host", "list"],
    &["host", "check", "branch"],
    &["host", "install", "branch"],
    &["host", "join", "bob-laptop", "--no-ssh-key", "--direct", "--dry-run"],
    &["host", "uninstall", "branch", "--yes"],
    &["host", "remove", "shed", "--yes"],
    &["exit", "group", "add", "europe", "exit-de"],
    &["exit", "group", "set", "europe", "exits+=exit-fr"],
    &["exit", "group", "list"],
    &["exit", "group", "show", "europe"],
    &["exit", "assign", "alice-laptop", "europe"],
    &["exit", "failover", "europe", "--no-deploy"],
    &["exit", "status"],
    &["exit", "list"],
    &["exit", "history"],
    &["exit", "rule", "add", "alice-laptop", "198.51.100.0/24", "europe"],
    &["exit", "rule", "add", "alice-laptop", "192.0.2.7", "direct"],
    &["exit", "rule", "move", "alice-laptop", "2", "1"],
    &["exit", "rule", "list"],
    &["exit", "rule", "remove", "alice-laptop", "--all"],
    &["exit", "assign", "alice-laptop", "none"],
    &["exit", "group", "remove", "europe", "--yes"],
    &["handouts"],
    &["handouts", "alice-phone"],
    &["plan"],
    &["plan", "--out", "x.plan"],
    &["deploy", "--yes"],
    &["deploy", "--dry-run"],
    &["settings"],
    &["settings", "set", "host_timeout=9"],
    &["status"],
    &["status", "--live"],
    &["log", "branch"],
    &["log", "branch", "-v"],
    &["can", "alice-phone", "hub"],
    &["can", "--matrix"],
    &["drift", "check"],
    &["drift", "ack", "branch", "all", "--reason", "known"],
    &["drift", "baseline", "branch", "--reason", "known"],
    &["drift", "adopt", "branch", "--dry-run"],
    &["drift", "history"],
    &["drift", "report"],
    &["history"],
    &["history", "bob-laptop"],
    &["history", "show", "2"],
    &["history", "diff", "1", "3"],
    &["rollback", "--model", "2", "--dry-run"],
    &["import", "theirs.conf", "--yes"],
    &["import", "--format", "list"],
    &["show", "theirs"],
    &["show", "theirs", "--hooks"],
    &["interface", "set", "alice-laptop", "post-up+=logger up"],
    &["interface", "show"],
    &["interface", "show", "branch"],
    &["interface", "show", "branch", "--no-live"],
    &["interface", "sync", "branch", "--yes"],
    &["interface", "disable", "branch", "--yes"],
    &["interface", "enable", "branch", "--yes"],
    &["interface", "delete", "branch", "--yes"],
    &["interface", "key", "branch"],
    &["history", "branch", "wg0"],
    &["sync"],
    &["hooks", "list", "theirs"],
    &["hooks", "adopt", "theirs", "--dry-run"],
    &["hooks", "keep", "theirs"],
    &["hooks", "check", "curl x | sh"],
    &["set", "theirs", "keepalive=20", "--dry-run"],
    &["export", "alice-laptop", "--format", "windows", "--out", "exported"],
    &["export", "--format", "list"],
    &["generate", "--dry-run"],
    &["generate", "--diff"],
    &["generate", "--dir", "files"],
    &["qr", "--all", "--dir", "codes"],
    &["vault", "status"],
    &["vault", "passphrase", "--new-passphrase-file", "new"],
    &["vault", "passphrase", "change", "main", "--new-passphrase-file", "new"],
    &["vault", "passphrase", "add", "kim", "--new-passphrase-file", "theirs.conf"],
    &["vault", "passphrase", "remove", "kim", "--yes"],
    &["unlock", "--for", "1s"],
    &["lock"],
    &["audit", "log", "--limit", "1000"],
    &["audit", "verify"],
    &["audit", "verify", "--anchors"],
    &["audit", "checkpoint"],
    &["audit", "checkpoint", "--key"],
    &["audit", "prove", "3"],
    &["audit", "prove", "--from", "2"],
    &["audit", "export"],
    &["audit", "export", "--format", "csv", "--out", "audit.csv"],
    &["backup", "create", "--to", "x.wgfb"],
    &["backup", "list"],
    &["report", "full-compliance"],
    &["report", "executive-summary", "--format", "html"],
    &["backup", "schedule", "--copy-to", "copies"],
    &["backup", "verify", "x.wgfb"],
    &["backup", "restore", "x.wgfb", "--dry-run"],
    &["backup", "restore", "x.wgfb", "--mode", "merge", "--dry-run"],
    &["backup", "restore", "x.wgfb", "--mode", "merge", "--prefer", "backup", "--yes"],
    &["backup", "push", "0000", "--directory", "copies"],
    &["backup", "prune", "--keep-days", "30"],
    &["vault", "recover", "--shares-file", "new", "--new-passphrase-file", "new"],
    &["completions", "bash"],
    &["man"],
];

/// Returns the words of every command, without their arguments.
fn all_commands(command: &clap::Command, words: &str, all: &mut BTreeSet<String>) {
    let mut leaf = true;
    for sub in command.get_subcommands() {
        leaf = false;
        all_commands(sub, format!("{words} {}", sub.get_name()).trim_start(), all);
    }
    if leaf {
        all.insert(words.to_owned());
    }
}

/// Runs every command that isn't there to reveal something, in each way of saying things, and returns all that was said.
fn everything_said(env: &TestEnv) -> String {
    let mut said = String::new();
    let hub = env.json(&["show", "hub"])["public_key"].as_str().unwrap().to_owned();
    let key = PrivateKey::from_random([77; 32]).expose_base64();
    let theirs = format!(
        "[Interface]\n# PrivateKey = {}\nPrivateKey = {}\nAddress = 10.66.0.250/32\nPostUp = iptables -A FORWARD -i %i -j ACCEPT\n\n[Peer]\nPublicKey = {hub}\nAllowedIPs = 10.66.0.0/24\nEndpoint = vpn.example.com:51820\n",
        key.as_str(),
        key.as_str()
    );
    std::fs::write(env.path().join("theirs.conf"), theirs).unwrap();
    for way in [&[][..], &["--json"], &["-vv", "--color", "always"]] {
        for arguments in SILENT {
            std::fs::write(env.path().join("new"), PASSPHRASE).unwrap();
            let mut command = env.command(&[arguments, way].concat());
            // Undoing what a former round did is not what this is about: a node that is there already is an error, too.
            let text = env.transcript(command.current_dir(env.path()));
            let _ = writeln!(said, "$ wg-friend {} {}\n{text}", arguments.join(" "), way.join(" "));
        }
    }
    said
}

#[test]
fn no_command_says_a_secret_that_it_was_not_asked_to_reveal() {
    let Known { env, mut scanner, _open } = network();
    let mut all = BTreeSet::new();
    all_commands(&wg_friend::cli::definition(), "", &mut all);
    let exercised = |name: &&String| SILENT.iter().any(|a| a.join(" ").starts_with(name.as_str()));
    let forgotten: Vec<_> = all.iter().filter(|n| !exercised(n) && !REVEALING.contains(&n.as_str())).collect();
    assert!(forgotten.is_empty(), "say whether these reveal secrets: {forgotten:?}");

    let said = everything_said(&env);
    for (line, arguments) in SILENT.iter().enumerate() {
        assert!(said.contains(&format!("$ wg-friend {}", arguments.join(" "))), "line {line}");
    }
    super::learn_files(&env, &mut scanner);
    scanner.assert_clean("what the commands said", said.as_bytes());
    assert_eq!(private_halves(&said), 0);
    let generated = std::fs::read_to_string(env.path().join("files/alice-laptop.conf")).unwrap();
    assert!(!scanner.find(generated.as_bytes()).is_empty(), "the file was asked for, so it has its key");
    assert_eq!(private_halves(&(said + &generated)), 1);
}

/// Counts the keys in a text whose public half is there as well: private keys, also of nodes that are gone by now.
fn private_halves(text: &str) -> usize {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let keys: BTreeSet<&str> = text.split(|c| !is_digit(c)).filter(|word| word.len() == 44).collect();
    let private = |key: &&&str| key.parse::<PrivateKey>().is_ok_and(|k| keys.contains(k.public().to_string().as_str()));
    assert!(keys.len() > 10, "{keys:?}");
    keys.iter().filter(private).count()
}

#[test]
fn an_error_never_repeats_what_may_be_a_secret() {
    let Known { env, mut scanner, _open } = network();
    let file = String::from_utf8(env.ok(&["generate", "alice-laptop"]).stdout).unwrap();
    let key = file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).unwrap();
    scanner.text("a wrong passphrase", "wrong-battery-staple");
    scanner.text("a short passphrase", "shortpp");
    std::fs::write(env.path().join("wrong"), "wrong-battery-staple\n").unwrap();
    std::fs::write(env.path().join("short"), "shortpp\n").unwrap();
    let mut said = String::new();
    for way in [&[][..], &["--json"], &["-vv"]] {
        for arguments in [
            &["generate", "alice-laptop", "--dir", "files"][..],
            &["plan"],
            &["deploy", "--yes"],
            &["set", "alice-laptop", "mtu=1400"],
            &["vault", "rekey", "--yes"],
            &["unlock"],
        ] {
            let mut command = env.command(&[arguments, way].concat());
            said += &env.transcript(command.env("WG_FRIEND_PASSPHRASE", "wrong-battery-staple"));
            let mut command = env.command(&[arguments, way, &["--passphrase-file", "wrong"]].concat());
            said += &env.transcript(command.current_dir(env.path()));
        }
        // A private key in the place of a public one, with a letter lost in copying, or with the name of its line.
        for wrong in [&key[..43], &key[1..], &format!("PrivateKey = {key}")] {
            said += &env.run(&[&["add", "remote", "dave", "--public-key", wrong], way].concat());
            said += &env.run(&[&["rotate", "alice-laptop", "--reason", "x", "--public-key", wrong], way].concat());
        }
        let mut command = env.command(&[&["vault", "passphrase", "--new-passphrase-file", "short"], way].concat());
        said += &env.transcript(command.current_dir(env.path()));
    }
    assert_eq!(said.matches("[exit 5]").count(), 3 * 12, "{said}");
    assert!(said.contains("not a WireGuard key") && said.contains("at least 8 characters"), "{said}");
    scanner.assert_clean("the errors", said.as_bytes());
    for file in super::files_below(env.database().parent().unwrap()) {
        scanner.assert_clean(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let Known { env, scanner, _open } = network();
    let actor = Actor { operator: "tester".to_owned(), address: None, source: Source::Cli };
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    let mut store = Database::open(&env.database()).unwrap().unlock(&passphrase, &actor, System.now()).unwrap();
    let secrets = store.secrets().unwrap();
    let topology = store.topology().unwrap();
    let compiled = compile::compile(&topology).unwrap();
    let made = generate::generate(&mut store, &System, &actor, &Request::default()).unwrap();
    let content = &made.files[0].content;
    assert!(!scanner.find(content.as_bytes()).is_empty());
    let dump = format!("wg0\t{}\t{}\t51820\toff\n", key_line(content), compiled[0].interfaces[0].public_key);
    let live = wg_friend::wg::dump::parse(&dump).unwrap();
    let shown = format!(
        "{passphrase:?} {store:?} {:?} {secrets:?} {:#?} {:#?} {:#?} {:#?} {live:#?} {:?}",
        store.data_key(),
        topology,
        compiled,
        made,
        store.audit_log(&wg_friend::db::Filter::default()).unwrap(),
        store.last_generated(topology.nodes[0].interfaces[0].id, "wg0.conf"),
    );
    assert!(shown.len() > 10_000);
    scanner.assert_clean("Debug output", shown.as_bytes());
    let mut other = Scanner::default();
    other.text("what is shown", "alice-laptop");
    assert!(!other.find(shown.as_bytes()).is_empty());
}

fn key_line(file: &str) -> &str {
    file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("a file has a key")
}
