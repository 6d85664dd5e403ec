//! The screens, on a real pseudo-terminal.

mod begin;
mod forms;
mod manners;
mod nodes;
mod parity;
mod pictures;
mod plans;
mod screens;

use crate::env::TestEnv;
use crate::terminal::Terminal;

/// The program as somebody starts it at a terminal: no passphrase is given along.
fn command(env: &TestEnv) -> pty_process::blocking::Command {
    let mut command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_wg-friend")).env_clear();
    for (name, value) in env.variables() {
        if name != "WG_FRIEND_PASSPHRASE" {
            command = command.env(name, value);
        }
    }
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8")
}

/// The field of a form that keys act on: its sign is the rightmost, a list behind the form has one further to the left.
fn field(screen: &vt100::Screen) -> Option<String> {
    let contents = screen.contents();
    let column = |line: &str| line.chars().collect::<Vec<_>>().iter().rposition(|c| *c == '▸');
    let rightmost = contents.lines().filter_map(column).max()?;
    let mut marked = contents.lines().filter(|line| column(line) == Some(rightmost));
    let (one, None) = (marked.next()?, marked.next()) else { return None };
    one.rsplit_once('▸')?.1.split_whitespace().next().map(str::to_owned)
}

/// Goes down a form to a field.
pub(crate) fn go_to(terminal: &mut Terminal, wanted: &str) {
    for _ in 0..60 {
        terminal.wait("a field", |screen| field(screen).is_some());
        let here = field(terminal.screen.screen());
        if here.as_deref() == Some(wanted) {
            return;
        }
        terminal
            .type_in("\t")
            .wait("another field", |screen| field(screen).is_some_and(|field| Some(&field) != here.as_ref()));
    }
    panic!("no field {wanted}:\n{}", terminal.contents());
}

/// Unlocks by the passphrase of test databases.
fn unlock(terminal: &mut Terminal) {
    terminal.type_in("L").expect("Passphrase:").type_in(crate::env::PASSPHRASE).type_in("\r").gone("Passphrase:");
    terminal.expect("unlocked");
}
