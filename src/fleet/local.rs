//! The machine wg-friend runs on: the same scripts, without SSH.

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::model::{Become, Host, Name};

use super::{Answer, Connection, Error, Script, scripts};

/// This machine.
pub(super) struct Local {
    host: Name,
    becoming: Become,
    patience: Duration,
}

impl Local {
    pub(super) fn new(host: &Host, patience: Duration) -> Self {
        Self { host: host.name.clone(), becoming: host.becoming, patience }
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
        let text = Zeroizing::new(script.text().to_owned());
        // The script is sent while the answer is read: neither pipe may fill up. A script that can't be sent whole is not
        // run (its last line calls it), so the error shows as an answer without its end.
        std::thread::spawn(move || stdin.write_all(text.as_bytes()).is_ok());
        let said = read(child.stderr.take().expect("stderr is piped"));
        let answer = read(child.stdout.take().expect("stdout is piped"));
        let deadline = script.deadline(self.patience);
        let Ok(answer) = answer.recv_timeout(deadline) else {
            // What it started may hold the pipes open for longer; nobody waits for that.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Deadline { host: self.host.clone(), seconds: deadline.as_secs() });
        };
        let said = said.recv_timeout(Duration::from_secs(1)).ok().and_then(Result::ok).unwrap_or_default();
        let _ = child.wait(); // the answer's own end tells whether the script ran to its end
        script.read_answer(&self.host, &answer.map_err(broken)?, &String::from_utf8_lossy(&said))
    }
}

type Bytes = std::io::Result<Zeroizing<Vec<u8>>>;

/// Reads a pipe to its end, beside whoever waits for that.
fn read(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Bytes> {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = pipe.read_to_end(&mut bytes).map(|_| bytes);
        done.send(read).is_ok() // nobody listens any more when the deadline is over
    });
    end
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::HostAddress;

    #[test]
    fn a_machine_that_leaves_a_question_without_an_answer_is_given_up() {
        let host = Host::new("here".parse().unwrap(), HostAddress::Local, Become::Root);
        let begun = Instant::now();
        let script = Script::new("test", "x", scripts::ANSWER, "w_main() { sleep 60; }\n");
        let error = Local::new(&host, Duration::from_millis(100)).run(&script).err().unwrap();
        assert!(matches!(error, Error::Deadline { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
