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

/// The program on a terminal.
pub(crate) struct Terminal {
    /// The program.
    pub(crate) child: Child,
    pub(crate) keyboard: Arc<Pty>,
    output: mpsc::Receiver<Vec<u8>>,
    /// What the terminal shows.
    pub(crate) screen: vt100::Parser,
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
        Self { child, keyboard, output, screen: vt100::Parser::new(lines(rows), lines(columns), 0) }
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
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => panic!("no `{text}` on the screen:\n{}", self.contents()),
            }
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
            self.screen.process(&bytes);
        }
        if Instant::now() >= end {
            self.signal(Signal::KILL);
            self.child.wait().expect("it can be waited for");
            panic!("it goes on:\n{}", self.contents());
        }
        let status = self.child.wait().expect("it can be waited for");
        (status.code(), self.contents())
    }
}
