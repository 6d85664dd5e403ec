//! Command lines: what screens act by. Each runs as a process of its own, so that whatever it does, prints or dies of leaves
//! the screen as it is; its secrets go over its standard input.

use std::ffi::OsString;
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::ops::safety::handover::Handover;

/// A command line, without the program's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line(Vec<String>);

impl Line {
    /// A line of these words.
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// Returns its words.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Returns it with a further word at its end; before what stands after `--`.
    pub fn with(&self, word: &str) -> Self {
        let mut words = self.0.clone();
        let at = words.iter().position(|word| word == "--").unwrap_or(words.len());
        words.insert(at, word.to_owned());
        Self(words)
    }

    /// Returns it as somebody types it in a shell.
    pub fn shown(&self) -> String {
        let words =
            self.0.iter().map(|word| shlex::try_quote(word).map_or_else(|_| "?".into(), |word| word.into_owned()));
        std::iter::once("wg-friend".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// What came of a line.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Which line.
    pub line: Line,
    /// Its exit code; `None` when it was killed.
    pub exit: Option<i32>,
    /// What it printed as its result, in colour.
    pub result: String,
    /// What it said beside.
    pub said: String,
}

impl Ran {
    /// Whether it did what it was asked.
    pub fn is_good(&self) -> bool {
        self.exit == Some(0)
    }

    /// Returns all that it said, its remarks last.
    pub fn text(&self) -> String {
        match (self.result.trim().is_empty(), self.said.trim().is_empty()) {
            (_, true) => self.result.clone(),
            (true, false) => self.said.clone(),
            (false, false) => format!("{}\n\n{}", self.result.trim_end(), self.said),
        }
    }

    /// Returns the first line that it said, without colour: what it comes to.
    pub fn summary(&self) -> String {
        let text = if self.said.trim().is_empty() { &self.result } else { &self.said };
        let plain = anstream::adapter::strip_str(text).to_string();
        plain.lines().find(|line| !line.trim().is_empty()).unwrap_or("done").trim().to_owned()
    }
}

/// Ends a line that isn't waited for any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
enum Running {
    #[default]
    NotYet,
    Runs(Child),
    /// It was asked to end.
    Asked(Child),
    Over,
}

impl Cancel {
    /// Ends it: at once what only reads, in order what changes something, and that at once when it is asked again.
    pub fn cancel(&self, reads: bool) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // While a process is here it hasn't been waited for, so that its number isn't another's. It leads its group.
        let tell = |child: &Child, signal: Signal| {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _gone_already = kill_process_group(group, signal);
            }
        };
        *running = match std::mem::take(&mut *running) {
            Running::NotYet => Running::Over,
            Running::Runs(child) => {
                tell(&child, if reads { Signal::KILL } else { Signal::INT });
                Running::Asked(child)
            }
            Running::Asked(child) => {
                tell(&child, Signal::KILL);
                Running::Asked(child)
            }
            Running::Over => Running::Over,
        };
    }
}

/// More of an output than this isn't shown.
const LIMIT: u64 = 4 << 20;
/// How often is looked whether a process that has closed its output has ended.
const LOOK: Duration = Duration::from_millis(2);

/// How lines are run.
#[derive(Clone, Debug)]
pub struct Runner {
    /// This program.
    pub program: PathBuf,
    /// The options that say which database and settings are meant.
    pub options: Vec<OsString>,
    /// Whether colours are shown.
    pub coloured: bool,
}

impl Runner {
    /// Runs a line to its end. What it shows is laid out for so many columns.
    pub fn run(&self, line: &Line, columns: u16, secrets: &Handover, cancel: &Cancel) -> Ran {
        let ran = |exit, result: String, said: String| Ran { line: line.clone(), exit, result, said };
        let mut command = Command::new(&self.program);
        command
            .args(&self.options)
            .args(["--color", if self.coloured { "always" } else { "never" }])
            .args(line.words());
        command.env("WG_FRIEND_TUI", columns.to_string()).env_remove("WG_FRIEND_NETWORK");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0); // Ctrl-Z and Ctrl-C at the terminal are the screen's own
        let mut child = {
            let mut running = cancel.0.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*running, Running::Over) {
                return ran(None, String::new(), String::new());
            }
            match command.spawn() {
                Ok(child) => {
                    *running = Running::Runs(child);
                    running
                }
                Err(error) => return ran(Some(1), String::new(), format!("{}: {error}", self.program.display())),
            }
        };
        let Running::Runs(process) = &mut *child else { unreachable!("it was just put there") };
        let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        drop(child);
        if let Some(mut stdin) = stdin {
            // One that ended early doesn't read; its message says why.
            let _closed = stdin.write_all(secrets.text().as_bytes());
        }
        let said = std::thread::spawn(move || stderr.map(|stderr: ChildStderr| read(stderr)).unwrap_or_default());
        let result = stdout.map(read).unwrap_or_default();
        let said = said.join().unwrap_or_default();
        loop {
            let mut running = cancel.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (Running::Runs(process) | Running::Asked(process)) = &mut *running else {
                return ran(None, result, said);
            };
            match process.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    *running = Running::Over;
                    return ran(status.code(), result, said);
                }
                Err(_) => {
                    *running = Running::Over;
                    return ran(None, result, said);
                }
            }
            drop(running);
            std::thread::sleep(LOOK);
        }
    }
}

fn read(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    let _broken = from.by_ref().take(LIMIT).read_to_end(&mut bytes);
    let _rest = std::io::copy(&mut from, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh() -> Runner {
        Runner { program: "/bin/sh".into(), options: Vec::new(), coloured: false }
    }

    /// `sh --color never ...` isn't understood, so the words come by another way.
    fn runner(script: &str) -> (Runner, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        std::fs::write(&path, format!("shift 2\n{script}\n")).unwrap();
        (Runner { options: vec![path.into()], ..sh() }, dir)
    }

    #[test]
    fn a_line_gets_its_words_columns_and_secrets_and_says_how_it_ended() {
        let (runner, _dir) =
            runner(r#"read -r secret; echo "$* in $WG_FRIEND_TUI with $secret"; echo beside >&2; exit 3"#);
        let secrets = Handover { passphrase: Some("it's".to_owned().into()), ..Handover::default() };
        let ran = runner.run(&Line::new(["show", "a b"]), 77, &secrets, &Cancel::default());
        assert_eq!((ran.exit, ran.result.as_str()), (Some(3), "show a b in 77 with passphrase it's\n"));
        assert_eq!((ran.said.as_str(), ran.summary().as_str()), ("beside\n", "beside"));
        assert_eq!(ran.line.shown(), "wg-friend show 'a b'");
        assert!(!ran.is_good());
    }

    #[test]
    fn a_line_that_is_not_waited_for_ends() {
        let (runner, _dir) = runner("echo begun; exec sleep 1000");
        let cancel = Cancel::default();
        let other = cancel.clone();
        let begun = std::time::Instant::now();
        let ends = std::thread::spawn(move || {
            while !matches!(*other.0.lock().unwrap(), Running::Runs(_)) {
                std::thread::yield_now();
            }
            other.cancel(true);
        });
        let ran = runner.run(&Line::new(["plan"]), 80, &Handover::default(), &cancel);
        ends.join().unwrap();
        assert_eq!(ran.exit, None);
        assert!(begun.elapsed() < Duration::from_secs(100));
        // One that was cancelled before it began never does.
        let cancel = Cancel::default();
        cancel.cancel(true);
        let ran = runner.run(&Line::new(["plan"]), 80, &Handover::default(), &cancel);
        assert_eq!((ran.exit, ran.result.as_str()), (None, ""));
    }

    #[test]
    fn a_further_word_comes_before_what_is_no_option() {
        let line = Line::new(["set", "--", "-x"]);
        assert_eq!(line.with("--yes").words(), ["set", "--yes", "--", "-x"]);
        assert_eq!(Line::new(["list"]).with("--dry-run").words(), ["list", "--dry-run"]);
    }
}
