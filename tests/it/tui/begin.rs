//! Before there is a database: a new network by the form, or one that is found in files.

use crate::env::{PASSPHRASE, TestEnv};
use crate::terminal::Terminal;

/// Fills in what the form of `init` asks for, and the new passphrase.
fn make(terminal: &mut Terminal) {
    terminal.expect("a new network").type_in("n").expect("--endpoint");
    for (field, value) in [("--name", "office"), ("--server", "hub"), ("--endpoint", "192.0.2.1")] {
        super::go_to(terminal, field);
        terminal.type_in(value).expect(value);
    }
    terminal.type_in("\u{13}").expect("A new passphrase");
    terminal.type_in("short\tshort\r").expect("at least 8 characters");
    terminal.type_in("\t\u{15}").type_in(PASSPHRASE).type_in("\t\u{15}").type_in("another-one\r").expect("they differ");
    terminal.type_in("\u{15}").type_in(PASSPHRASE).type_in("\r");
}

#[test]
fn a_first_network_is_made_after_it_was_shown_and_its_recovery_key_is_read() {
    let env = TestEnv::new();
    let mut terminal = Terminal::sized(&env, &[], (100, 40));
    make(&mut terminal);
    terminal.expect("Nothing is changed yet");
    assert!(!env.database().exists(), "nothing is written before somebody agrees");
    terminal.type_in("\r").expect("shown this once");
    let said = terminal.contents();
    assert!(!said.contains(PASSPHRASE), "{said}");
    terminal.close().expect("Topology").expect("office").expect("1 server");
    terminal.type_in("q");
    let (code, left) = terminal.end();
    assert_eq!((code, left.trim()), (Some(0), ""), "the terminal is as it was");
    assert!(!terminal.screen.screen().alternate_screen());
    assert_eq!(env.json(&["network", "show"])["name"], "office");
    let log = env.json(&["audit", "log"]);
    assert_eq!(log["entries"][0]["source"], "tui", "{log:#}");
}

#[test]
fn leaving_before_agreeing_leaves_nothing_behind() {
    let env = TestEnv::new();
    let mut terminal = Terminal::sized(&env, &[], (80, 24));
    make(&mut terminal);
    terminal.expect("Nothing is changed yet").type_in("\u{1b}").gone("Nothing is changed yet");
    terminal.expect("--server").type_in("\u{1b}").gone("--server").expect("a new network").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
    assert!(!env.path().join("data").exists());
}

#[test]
fn a_network_in_files_is_shown_and_adopted() {
    let env = TestEnv::new();
    let hub = "[Interface]\nPrivateKey = 6Jm4Ew4UjVCY9VqSY7ktQ0RkK1nHt4qCR+Hsvhp3yXw=\nAddress = 10.20.0.1/24\nListenPort = 51820\n\n[Peer]\nPublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nAllowedIPs = 10.20.0.2/32\n";
    std::fs::write(env.path().join("hub.conf"), hub).unwrap();
    let mut command = super::command(&env);
    command = command.current_dir(env.path());
    let mut terminal = Terminal::spawn(command, (130, 40));
    terminal.expect("hub.conf").type_in("\u{1b}[B").expect("10.20.0.1");
    terminal.type_in("i").expect("--as");
    super::go_to(&mut terminal, "--as");
    terminal.type_in("hub.conf=server\u{13}").expect("A new passphrase");
    terminal.type_in(&format!("{PASSPHRASE}\r{PASSPHRASE}\r")).expect("Nothing is changed yet");
    terminal.type_in("\r").expect("shown this once").close().expect("Topology").type_in("2").expect("hub");
    terminal.type_in("qq");
    assert_eq!(terminal.end().0, Some(0));
    assert_eq!(env.run(&["generate", "hub"]), hub);
}
