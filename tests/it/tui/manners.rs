//! How the screens behave towards the terminal: whatever they end by, it is given back as it was.

use std::io::Read as _;
use std::time::Duration;

use rustix::process::Signal;
use rustix::termios::{LocalModes, tcgetattr};
use wg_friend::tui::terminal::Screen;
use wg_friend::tui::theme::Theme;

use crate::env::TestEnv;
use crate::terminal::{ESC, Terminal};

fn echoes(terminal: &Terminal) -> bool {
    tcgetattr(&*terminal.keyboard).expect("a terminal has modes").local_modes.contains(LocalModes::ECHO)
}

fn started(env: &TestEnv) -> Terminal {
    let mut terminal = Terminal::spawn(super::command(env), (100, 40));
    terminal.expect("Topology");
    assert!(!echoes(&terminal) && terminal.screen.screen().alternate_screen());
    terminal
}

#[test]
fn ended_by_a_signal_they_give_the_terminal_back() {
    let env = TestEnv::with_nodes();
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut terminal = started(&env);
        terminal.signal(signal);
        assert_eq!(terminal.end().0, Some(0), "{signal:?}");
        assert!(echoes(&terminal) && !terminal.screen.screen().alternate_screen(), "{signal:?}");
    }
}

/// The variable that has the test binary be a program with a fault.
const FAULTY: &str = "WG_FRIEND_TEST_FAULT";

#[test]
fn ended_by_a_fault_they_give_the_terminal_back_and_say_what_it_was() {
    let program = std::env::current_exe().unwrap();
    let command = pty_process::blocking::Command::new(program)
        .args(["--exact", "tui::manners::with_a_fault", "--nocapture"])
        .env(FAULTY, "1")
        .env("RUST_BACKTRACE", "0") // it would scroll the fault away
        .env("TERM", "xterm-256color");
    let mut terminal = Terminal::spawn(command, (100, 40));
    terminal.wait("the screens", |screen| screen.alternate_screen() && screen.hide_cursor());
    assert!(!echoes(&terminal));
    terminal.type_in(" ");
    let (code, text) = terminal.end();
    assert_ne!(code, Some(0), "{text}");
    let screen = terminal.screen.screen();
    assert!(echoes(&terminal) && !screen.alternate_screen() && !screen.hide_cursor(), "{text}");
    assert!(!screen.bracketed_paste() && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None, "{text}");
    assert!(text.contains("the fault that this is about"), "{text}");
}

/// Not a test of its own: the program that has a fault. Elsewhere there is nothing to do.
#[test]
fn with_a_fault() {
    if std::env::var_os(FAULTY).is_none() {
        return;
    }
    let (app, _dir) = super::screens::app(Theme::default(), (100, 40));
    let mut screen = Screen::open().unwrap();
    screen.mouse(true).unwrap();
    screen.draw(&app).unwrap();
    std::io::stdin().read_exact(&mut [0]).unwrap();
    panic!("the fault that this is about");
}

#[test]
fn in_the_background_and_back_everything_is_as_it_was() {
    let env = TestEnv::with_nodes();
    let before = env.model();
    // The shell notices that it was stopped, and brings it back.
    let shell = r#"set -m; "$0"; echo "stopped with $?"; read -r; fg >/dev/null; echo "ended with $?""#;
    let mut command = pty_process::blocking::Command::new("/bin/bash").arg("-c").arg(shell);
    command =
        command.arg(env!("CARGO_BIN_EXE_wg-friend")).env_clear().env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    for (name, value) in env.variables() {
        if name != "WG_FRIEND_PASSPHRASE" {
            command = command.env(name, value);
        }
    }
    let mut terminal = Terminal::spawn(command, (100, 40));
    terminal
        .expect("Topology")
        .type_in("2")
        .expect("alice-phone")
        .type_in("x")
        .expect("Unlock the database")
        .type_in("half");
    terminal.type_in("\u{1a}").expect("stopped with 148").type_in("\r");
    terminal.expect("Unlock the database").expect("Passphrase: ****");
    terminal.type_in("\u{1b}").gone("Unlock the database").type_in("q");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("ended with 0"), "{screen}");
    assert_eq!(env.model(), before);
}

#[test]
fn in_a_window_of_any_size_they_stay_usable() {
    let env = TestEnv::with_nodes();
    let mut terminal = started(&env);
    terminal.type_in("2").expect("alice-phone");
    for size in [(20, 5), (1, 1), (200, 60), (5, 2), (100, 40)] {
        terminal.resize(size);
        for key in ["\u{1b}[B", "?", ESC, ":", ESC, "a", ESC, "4", ESC, "2"] {
            terminal.drawn(key);
        }
    }
    terminal.expect("alice-phone").expect("9 Operations").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_terminal_that_is_gone_ends_them() {
    let env = TestEnv::with_nodes();
    let (mut pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(pty_process::Size::new(40, 100)).unwrap();
    let mut child = super::command(&env).spawn(pts).unwrap();
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("Topology") {
        let mut bytes = [0; 4096];
        let count = pty.read(&mut bytes).unwrap();
        shown.extend_from_slice(&bytes[..count]);
    }
    drop(pty);
    let ended = wg_friend_lab::process::wait_until(Duration::from_secs(20), || child.try_wait().unwrap().is_some());
    assert!(ended);
}

#[test]
fn without_a_terminal_a_command_is_asked_for() {
    let env = TestEnv::new();
    let said = env.run(&[]);
    assert!(said.contains("Usage: wg-friend") && said.ends_with("[exit 2]\n"), "{said}");
    let said = env.run(&["--json"]);
    assert!(said.contains("\"exit_code\": 2"), "{said}");
}

#[test]
fn the_word_of_old_opens_them_too() {
    let env = TestEnv::with_nodes();
    let mut terminal = Terminal::sized(&env, &["maintain"], (100, 40));
    terminal.expect("Topology").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
    let said = env.run(&["maintain"]);
    assert!(said.contains("need a terminal") && said.ends_with("[exit 1]\n"), "{said}");
}

#[test]
fn colours_follow_the_terminal() {
    let env = TestEnv::with_nodes();
    for (name, value, colours) in [("NO_COLOR", "1", false), ("COLORTERM", "truecolor", true)] {
        let mut terminal = Terminal::spawn(super::command(&env).env(name, value), (100, 30));
        terminal.expect("Topology").type_in("2").expect("alice-phone");
        let screen = terminal.screen.screen();
        let coloured = (0..30).any(|row| {
            (0..100).any(|column| screen.cell(row, column).is_some_and(|cell| cell.fgcolor() != vt100::Color::Default))
        });
        assert_eq!(coloured, colours, "{name}");
        terminal.type_in("q");
        assert_eq!(terminal.end().0, Some(0));
    }
    let mut terminal = Terminal::spawn(super::command(&env).env("LANG", "C"), (100, 30));
    terminal.expect("Topology").type_in("2").expect("alice-phone");
    assert!(terminal.contents().is_ascii(), "{}", terminal.contents());
    terminal.type_in("q");
    assert_eq!(terminal.end().0, Some(0));
}
