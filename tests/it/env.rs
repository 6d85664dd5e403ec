//! The program with surroundings of its own: another HOME, an empty environment, a light passphrase.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The passphrase of every test database.
pub(crate) const PASSPHRASE: &str = "correct-horse";

/// A directory in which the program finds nothing but what the test put there.
pub(crate) struct TestEnv {
    dir: tempfile::TempDir,
}

impl TestEnv {
    /// Without a database.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// With a network `office` and its server `hub`.
    pub(crate) fn with_network() -> Self {
        let env = Self::new();
        env.ok(&[
            "init",
            "--name",
            "office",
            "--cidr6",
            "fd00:66::/64",
            "--server",
            "hub",
            "--endpoint",
            "vpn.example.com",
        ]);
        env
    }

    /// With a server, a router with a LAN, an exit and two remotes.
    pub(crate) fn with_nodes() -> Self {
        let env = Self::with_network();
        env.ok(&["add", "router", "branch", "--lan", "192.168.10.0/24=branch LAN", "--ssh", "root@192.0.2.4"]);
        env.ok(&["add", "exit", "exit-de", "--endpoint", "203.0.113.9"]);
        env.ok(&["add", "remote", "alice-phone", "alice-laptop"]);
        env
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("data/wg-friend/default.db")
    }

    /// Copies the files of its database away, for [`Self::put_back`].
    pub(crate) fn saved(&self) -> PathBuf {
        let to = self.path().join("saved");
        copy(self.database().parent().unwrap(), &to);
        to
    }

    /// Puts saved files in the place of its database's.
    pub(crate) fn put_back(&self, saved: &Path) {
        let directory = self.database().parent().unwrap().to_owned();
        std::fs::remove_dir_all(&directory).unwrap();
        copy(saved, &directory);
    }

    /// Returns the program with its surroundings, the passphrase at hand.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wg-friend"));
        command.env_clear().stdin(Stdio::null()).args(arguments);
        command.envs(self.variables());
        command
    }

    /// Returns the environment of the program.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let dir = |name: &str| self.path().join(name).display().to_string();
        vec![
            ("HOME", dir("home")),
            ("XDG_DATA_HOME", dir("data")),
            ("XDG_CONFIG_HOME", dir("config")),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("USER", "tester".into()),
            ("WG_FRIEND_PASSPHRASE", PASSPHRASE.into()),
            ("WG_FRIEND_KDF_LOG_N", "10".into()),
        ]
    }

    /// Runs the program and returns all that it said, with its exit code.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.transcript(&mut self.command(arguments))
    }

    /// Runs a prepared command and returns all that it said, with its exit code.
    pub(crate) fn transcript(&self, command: &mut Command) -> String {
        let output = command.output().expect("the program was built");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.stderr.is_empty() {
            let _ = write!(text, "--- stderr ---\n{}", String::from_utf8_lossy(&output.stderr));
        }
        if output.status.code() != Some(0) {
            let _ = writeln!(text, "[exit {}]", output.status.code().map_or("by signal".into(), |c| c.to_string()));
        }
        text.replace(&self.path().display().to_string(), "[DIR]")
    }

    /// Runs the program and panics unless it succeeds.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the program was built");
        assert!(
            output.status.success(),
            "wg-friend {}: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Runs the program with `--json` and returns its document.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).expect("one JSON document")
    }

    /// Runs the program, which is to fail, and proves that the model and the audit log are as before.
    ///
    /// A refused change unlocks all the same, and that is all the log may say about it.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let before = self.model();
        let text = self.run(arguments);
        assert!(text.contains("[exit "), "was to be refused: {text}");
        assert_eq!(self.model(), before, "changed in spite of its error: {arguments:?}");
        text
    }

    /// Returns everything in the model and every entry of the audit log but those of unlocking.
    pub(crate) fn model(&self) -> (serde_json::Value, Vec<serde_json::Value>) {
        let topology = self.json(&["topology"]);
        let mut log = self.json(&["audit", "log", "--limit", "100000"]);
        let entries = log["entries"].as_array_mut().expect("a list of entries");
        entries.retain(|entry| !matches!(entry["action"].as_str(), Some("unlocked" | "unlock_failed")));
        entries.iter_mut().for_each(|entry| entry["id"] = serde_json::Value::Null); // unlocking counts too
        (topology, std::mem::take(entries))
    }
}

/// Copies the files of a directory into a new one that nobody else may read.
fn copy(from: &Path, to: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Hides from snapshots what differs each time: keys and times. Keep the guard while asserting.
pub(crate) fn filters() -> impl Drop {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b(?:[0-9A-Z]{4}-){12}[0-9A-Z]{4}\b", "[RECOVERY KEY]");
    settings.add_filter(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", "[KEY]");
    settings.add_filter(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?( UTC|Z)?", "[TIME]");
    settings.add_filter(r"\d{4}-\d\d-\d\d", "[DAY]");
    settings.add_filter(r"(?m)^[A-Za-z0-9+/]{8}  (wg)", "[SHORT]  $1");
    settings.bind_to_scope()
}
