//! The program on a real pseudo-terminal, and what its screen shows.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pty};
use rustix::process::{Pid, Signal, kill_process};

use crate::env::TestEnv;

/// How long the program may take to come up with what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a drawing begins with, and what it ends with: a terminal shows all of it at once.
const DRAWING: [&[u8]; 2] = [b"\x1b[?2026h", b"\x1b[?2026l"];

/// A lone Esc is told from the beginning of another key by the time after it. This one needs none (the kitty keyboard protocol).
pub(crate) const ESC: &str = "\u{1b}[27u";

/// The program on a terminal.
pub(crate) struct Terminal {
    /// The program.
    pub(crate) child: Child,
    pub(crate) keyboard: Arc<Pty>,
    output: mpsc::Receiver<Vec<u8>>,
    /// What has come of a drawing that hasn't ended.
    unfinished: Vec<u8>,
    /// How many drawings there were.
    drawings: usize,
    /// What the terminal shows.
    pub(crate) screen: vt100::Parser,
}

/// Where one begins in the other.
fn find(part: &[u8], whole: &[u8]) -> Option<usize> {
    whole.windows(part.len()).position(|at| at == part)
}

fn lines(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has lines")
}

impl Terminal {
    /// Starts the program on a terminal of 100 columns and 40 rows.
    pub(crate) fn start(env: &TestEnv, arguments: &[&str]) -> Self {
        Self::sized(env, arguments, (100, 40))
    }

    /// Starts the program on a terminal of so many columns and rows. No passphrase is given along.
    pub(crate) fn sized(env: &TestEnv, arguments: &[&str], size: (u16, u16)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wg-friend")).args(arguments).env_clear();
        for (name, value) in env.variables() {
            if name != "WG_FRIEND_PASSPHRASE" {
                command = command.env(name, value);
            }
        }
        Self::spawn(command.env("TERM", "xterm-256color"), size)
    }

    /// Starts any command on a terminal of so many columns and rows.
    pub(crate) fn spawn(command: Command, (columns, rows): (u16, u16)) -> Self {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(rows, columns)).expect("a size that fits");
        let child = command.spawn(pts).expect("the program was built");
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
        let screen = vt100::Parser::new(lines(rows), lines(columns), 0);
        Self { child, keyboard, output, unfinished: Vec::new(), drawings: 0, screen }
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.screen.screen_mut().set_size(lines(rows), lines(columns));
        self.keyboard.resize(pty_process::Size::new(rows, columns)).expect("a size that fits");
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Returns what the screen shows.
    pub(crate) fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> &mut Self {
        self.wait(text, |screen| screen.contents().contains(text))
    }

    /// Waits until the screen shows a text no more.
    #[track_caller]
    pub(crate) fn gone(&mut self, text: &str) -> &mut Self {
        self.wait(&format!("end of `{text}`"), |screen| !screen.contents().contains(text))
    }

    /// Closes the box that says how it is closed.
    #[track_caller]
    pub(crate) fn close(&mut self) -> &mut Self {
        self.expect("Esc close").type_in("\u{1b}").gone("Esc close")
    }

    /// Waits until the cursor stands behind a question. Only then is the echo off where it asks for a passphrase.
    #[track_caller]
    pub(crate) fn asked(&mut self, question: &str) -> &mut Self {
        self.wait(question, |screen| {
            let row = usize::from(screen.cursor_position().0);
            let columns = screen.size().1.into();
            screen.rows(0, columns).nth(row).is_some_and(|line| line.starts_with(question))
        })
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    pub(crate) fn wait(&mut self, text: &str, until: impl Fn(&vt100::Screen) -> bool) -> &mut Self {
        let end = Instant::now() + PATIENCE;
        while !until(self.screen.screen()) {
            self.more(end, text);
        }
        self
    }

    /// Waits until the program writes something more.
    #[track_caller]
    fn more(&mut self, end: Instant, wanted: &str) {
        match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => self.take(&bytes),
            Err(_) => panic!("no `{wanted}` on the screen:\n{}", self.contents()),
        }
    }

    /// Takes in what the program wrote, all but a drawing that hasn't ended.
    fn take(&mut self, bytes: &[u8]) {
        let [begin, end] = DRAWING;
        self.unfinished.extend_from_slice(bytes);
        loop {
            let whole = match find(begin, &self.unfinished) {
                // What comes before it may end in a part of where one begins.
                None => self
                    .unfinished
                    .iter()
                    .rposition(|byte| *byte == 0x1b)
                    .filter(|at| begin.starts_with(&self.unfinished[*at..]))
                    .unwrap_or(self.unfinished.len()),
                Some(from) => match find(end, &self.unfinished[from..]) {
                    None => from,
                    Some(length) => {
                        self.drawings += 1;
                        from + length + end.len()
                    }
                },
            };
            if whole == 0 {
                return;
            }
            let rest = self.unfinished.split_off(whole);
            self.screen.process(&std::mem::replace(&mut self.unfinished, rest));
        }
    }

    /// Types, and waits until the program has drawn since.
    #[track_caller]
    pub(crate) fn drawn(&mut self, text: &str) -> &mut Self {
        let before = self.drawings;
        self.type_in(text);
        let end = Instant::now() + PATIENCE;
        while self.drawings == before {
            self.more(end, "another drawing");
        }
        self
    }

    /// Types.
    pub(crate) fn type_in(&mut self, text: &str) -> &mut Self {
        (&*self.keyboard).write_all(text.as_bytes()).expect("the program reads");
        self
    }

    /// Waits for the end and returns the exit code and what is left on the screen.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let end = Instant::now() + PATIENCE;
        while let Ok(bytes) = self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.take(&bytes);
        }
        self.screen.process(&self.unfinished);
        if Instant::now() >= end {
            self.signal(Signal::KILL);
            self.child.wait().expect("it can be waited for");
            panic!("it goes on:\n{}", self.contents());
        }
        let status = self.child.wait().expect("it can be waited for");
        (status.code(), self.contents())
    }
}
