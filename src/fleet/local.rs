//! The machine wg-friend runs on: the same scripts, without SSH.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::model::{Host, Name};

use super::{Answer, Connection, Error, Script, scripts};

/// This machine.
pub(super) struct Local {
    host: Name,
    becoming: crate::model::Become,
}

impl Local {
    pub(super) fn new(host: &Host) -> Self {
        Self { host: host.name.clone(), becoming: host.becoming }
    }
}

impl Connection for Local {
    fn run(&mut self, script: &Script) -> Result<Answer, Error> {
        let broken = |e: std::io::Error| Error::Broken { host: self.host.clone(), reason: e.to_string() };
        let mut child = Command::new("sh")
            .args(["-c", scripts::entry(self.becoming)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(broken)?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let (answer, said) = std::thread::scope(|scope| {
            // The script is sent while the answer is read: neither pipe may fill up. A script that can't be sent whole
            // is not run (its last line calls it), so the error shows as an answer without its end.
            scope.spawn(move || stdin.write_all(script.text().as_bytes()).is_ok());
            let said = scope.spawn(move || {
                let mut text = String::new();
                stderr.read_to_string(&mut text).map(|_| text)
            });
            let output = child.wait_with_output();
            (output, said.join().expect("reading stderr does not panic").unwrap_or_default())
        });
        let output = answer.map_err(broken)?;
        script.read_answer(&self.host, &output.stdout, &said)
    }
}
