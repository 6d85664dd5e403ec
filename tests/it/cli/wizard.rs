//! The questions of `init`, asked on a real pseudo-terminal.

use crate::env::{TestEnv, filters};
use crate::terminal::Terminal;

#[test]
fn the_wizard_asks_checks_and_makes_a_network() {
    let _filters = filters();
    let env = TestEnv::new();
    let mut terminal = Terminal::start(&env, &["init", "--cidr6", "fd00:66::/64"]);
    terminal.expect("Name of the network").type_in("office\r");
    terminal.expect("IPv4 prefix").type_in("10.66.0.1/24\r").expect("did you mean the network 10.66.0.0/24");
    terminal.type_in(&"\u{7f}".repeat(12)).type_in("\r");
    terminal.expect("IPv6 prefix").type_in("\r");
    terminal.expect("DNS servers").type_in("10.66.0.1\r");
    terminal.expect("Name of the server").type_in("\r");
    terminal.expect("public address").type_in("vpn.example.com\r");
    terminal.asked("Passphrase for its secrets").type_in("short\r").expect("at least 8 characters\n");
    terminal.asked("Passphrase for its secrets").type_in("correct-horse\r");
    terminal.asked("Again").type_in("correct-house\r").expect("not the same");
    // Both at once, as from a password manager: the second line is the answer to the second question.
    terminal.asked("Passphrase for its secrets").type_in("correct-horse\rcorrect-horse\r");
    terminal.expect("Make this network?").type_in("y\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("correct-ho"), "a passphrase is not shown: {screen}");
    let text = screen.replace(&env.path().display().to_string(), "[DIR]");
    insta::assert_snapshot!(text, @"
    A new network, in [DIR]/data/wg-friend/default.db

    ✓ Name of the network office
    ✓ IPv4 prefix 10.66.0.0/24
    ✓ IPv6 prefix fd00:66::/64
    ✓ DNS servers for clients 10.66.0.1
    ✓ Name of the server hub
    ✓ Its public address or name vpn.example.com
    Passphrase for its secrets, at least 8 characters: 
    a passphrase needs at least 8 characters
    Passphrase for its secrets, at least 8 characters: 
    Again, to be sure: 
    the two are not the same
    Passphrase for its secrets, at least 8 characters: 
    Again, to be sure: 

    network   office
    prefixes  10.66.0.0/24
              fd00:66::/64
    port      51820
    DNS       10.66.0.1
    server    hub
    ✓ Make this network? Yes
    + made network office  10.66.0.0/24  fd00:66::/64
    + added server hub  10.66.0.1  fd00:66::1
      database: [DIR]/data/wg-friend/default.db

    Recovery key, shown this once. Write it down and keep it away from this machine;
    it unlocks when the passphrase is lost:

      [RECOVERY KEY]
    next: `wg-friend add remote NAME` for a device, `wg-friend set hub host=HOST` to deploy over SSH
    ");
    let hub = env.json(&["show", "hub"]);
    assert_eq!((&hub["origin"], &hub["endpoint"]), (&"wizard".into(), &"vpn.example.com:51820".into()));
}

#[test]
fn ctrl_c_ends_the_wizard_and_leaves_nothing() {
    let env = TestEnv::new();
    let mut terminal = Terminal::start(&env, &["init"]);
    terminal.expect("Name of the network").type_in("\u{3}");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("cancelled; nothing was changed"), "{screen}");
    assert!(!env.path().join("data").exists());
}

#[test]
fn ctrl_c_at_a_passphrase_gives_the_terminal_back_and_changes_nothing() {
    let env = TestEnv::with_nodes();
    let before = env.model();
    let mut terminal = Terminal::start(&env, &["set", "alice-phone", "notes=x"]);
    terminal.expect("Passphrase of").type_in("half\u{3}");
    let echoes = |pty: &pty_process::blocking::Pty| {
        let modes = rustix::termios::tcgetattr(pty).expect("a terminal has modes").local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    };
    let keyboard = std::sync::Arc::clone(&terminal.keyboard);
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("cancelled; nothing was changed") && !screen.contains("half"), "{screen}");
    assert!(echoes(&keyboard), "what is typed shows again");
    assert_eq!(env.model(), before);
}

#[test]
fn a_wrong_passphrase_can_be_typed_again_and_removing_is_asked_for() {
    let env = TestEnv::with_nodes();
    let mut terminal = Terminal::start(&env, &["remove", "alice-phone"]);
    terminal.asked("Passphrase of").type_in("wrong-horse\r").expect("wrong passphrase; try again");
    terminal.asked("Passphrase of").type_in("correct-horse\r").expect("Remove alice-phone?").type_in("n\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("cancelled; nothing was changed"), "{screen}");
    assert!(env.json(&["show", "alice-phone"]).is_object());

    let mut terminal = Terminal::start(&env, &["remove", "alice-phone"]);
    terminal.expect("Passphrase of").type_in("correct-horse\r").expect("Remove alice-phone?").type_in("y\r");
    assert_eq!(terminal.end().0, Some(0));
    assert!(env.run(&["show", "alice-phone"]).contains("there is no node named"));
}
