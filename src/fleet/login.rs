//! Letting the operator's SSH key in where only a password works yet. The system's own `ssh` asks for the password and for the
//! host's key, on the terminal; neither passes through here.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::join::authorize;
use super::prepare::packages;
use super::scripts::{ANSWER, boundary, quote};
use super::sshkey::SshKey;
use super::{Error, Script, openssh};
use crate::model::{Host, HostAddress};

const LET_IN: &str = include_str!("../../templates/host/letin.sh");
const REMEMBER: &str = include_str!("../../templates/host/remember.sh");

/// Where a key was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetIn {
    /// Whether it was added; false when it was there already.
    pub added: bool,
    /// Whether the file was made for it.
    pub made: bool,
    /// The file of authorized keys.
    pub file: String,
}

/// Lets a key in on a host, by whatever way of logging in works now. With `ask`, ssh may ask on the terminal: for a
/// password, and whether an unknown host's key is the right one, which it shows. Without, both have to be settled.
///
/// # Errors
/// When the login fails, or the file of authorized keys can't be written.
pub fn let_in(host: &Host, key: &SshKey, ask: bool) -> Result<LetIn, Error> {
    let HostAddress::Ssh { destination, user, port, jump, identity } = &host.address else {
        return Err(Error::Ssh(format!("host `{}` has no SSH address", host.name)));
    };
    let mut command = Command::new("ssh");
    command.args(["-T", "-o", "ControlPath=none", "-o", "ConnectTimeout=10"]);
    command.args(if ask {
        ["-o", "StrictHostKeyChecking=ask"].as_slice()
    } else {
        ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"].as_slice()
    });
    for (option, value) in [("-l", user), ("-J", jump), ("-i", identity)] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", destination, "sh -s"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(if ask { Stdio::inherit() } else { Stdio::piped() });
    let failed = |e: std::io::Error| Error::Ssh(format!("`ssh`: {e}"));
    let mut child = command.spawn().map_err(failed)?;
    let script = format!("{}W_SSH_KEY={}\n{LET_IN}", authorize(), quote(&key.to_string()));
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(script.as_bytes()); // a login that fails is told by how ssh ends
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let answer = said.lines().rev().find_map(|line| line.strip_prefix("wg-friend: "));
    let mut words = answer.unwrap_or_default().splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(added @ ("yes" | "no")), Some(made), Some(file)) => {
            Ok(LetIn { added: added == "yes", made: made == "yes", file: file.to_owned() })
        }
        (Some("failed"), _, Some(file)) => {
            Err(Error::Broken { host: host.name.clone(), reason: format!("{file} there can't be written") })
        }
        _ if ask => Err(Error::Login { host: host.name.clone(), reason: "see what ssh says above".to_owned() }),
        _ => Err(openssh::meaning(host, &String::from_utf8_lossy(&output.stderr))),
    }
}

/// Keeps in mind on a host that a key was let in there, so that it can be taken out again.
pub fn remember_key(key: &SshKey, place: &LetIn) -> Script {
    let made = if place.made { format!("\nmade {}", place.file) } else { String::new() };
    let lines = quote(&format!("key {} {} {}{made}", place.file, key.kind, key.key));
    Script::new("remember", &boundary(), ANSWER, &format!("W_LINES={lines}\n{}{REMEMBER}", packages()))
}
