//! The questions of `init`, asked on a real pseudo-terminal.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::env::{TestEnv, filters};

/// How long the program may take to come up with what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

const ROWS: NonZeroU16 = NonZeroU16::new(40).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(100).unwrap();

/// The program on a terminal.
struct Terminal {
    child: std::process::Child,
    keyboard: Arc<pty_process::blocking::Pty>,
    output: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    fn start(env: &TestEnv, arguments: &[&str]) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(ROWS.get(), COLUMNS.get())).expect("a size that fits");
        let mut command =
            pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_wg-friend")).args(arguments).env_clear();
        for (name, value) in env.variables() {
            if name != "WG_FRIEND_PASSPHRASE" {
                command = command.env(name, value);
            }
        }
        let child = command.env("TERM", "xterm-256color").spawn(pts).expect("the program was built");
        let keyboard = Arc::new(pty);
        let screen = Arc::clone(&keyboard);
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = (&*screen).read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, output, screen: vt100::Parser::new(ROWS, COLUMNS, 0) }
    }

    /// Waits until the screen shows a text.
    fn expect(&mut self, text: &str) -> &mut Self {
        self.wait(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the cursor stands behind a question. Only then is the echo off where it asks for a passphrase.
    fn asked(&mut self, question: &str) -> &mut Self {
        self.wait(question, |screen| {
            let row = usize::from(screen.cursor_position().0);
            screen.rows(0, COLUMNS.get()).nth(row).is_some_and(|line| line.starts_with(question))
        })
    }

    fn wait(&mut self, text: &str, until: impl Fn(&vt100::Screen) -> bool) -> &mut Self {
        let end = Instant::now() + PATIENCE;
        while !until(self.screen.screen()) {
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => panic!("no `{text}` on the screen:\n{}", self.screen.screen().contents()),
            }
        }
        self
    }

    fn type_in(&mut self, text: &str) -> &mut Self {
        (&*self.keyboard).write_all(text.as_bytes()).expect("the program reads");
        self
    }

    /// Waits for the end and returns the exit code and what is left on the screen.
    fn end(mut self) -> (Option<i32>, String) {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.screen.process(&bytes);
        }
        let status = self.child.wait().expect("it can be waited for");
        (status.code(), self.screen.screen().contents())
    }
}

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
    let keyboard = Arc::clone(&terminal.keyboard);
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
