//! What can go wrong between us and a host.

use crate::model::Name;

use super::AnswerError;

/// A host that can't be reached or doesn't answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers there.
    #[error("host `{host}` can't be reached: {reason}")]
    Unreachable {
        /// Which host.
        host: Name,
        /// What ssh said.
        reason: String,
    },
    /// The host's key isn't in known_hosts.
    #[error("host `{host}` is unknown to ssh: its key is not in known_hosts")]
    UnknownHostKey {
        /// Which host.
        host: Name,
        /// The command line that gets there.
        line: String,
    },
    /// The host's key is another than the known one.
    #[error(
        "host `{host}` has another key than the one in known_hosts: somebody may be in between, or it was set up anew"
    )]
    ChangedHostKey {
        /// Which host.
        host: Name,
    },
    /// The login was refused.
    #[error("host `{host}` refuses the login: {reason}")]
    Login {
        /// Which host.
        host: Name,
        /// What ssh said.
        reason: String,
    },
    /// The login works but can't become root.
    #[error("on host `{host}` the login can't become root: {reason}")]
    NotRoot {
        /// Which host.
        host: Name,
        /// What sudo said.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the connection to host `{host}` broke: {reason}")]
    Broken {
        /// Which host.
        host: Name,
        /// What is known about it.
        reason: String,
    },
    /// No answer in time.
    #[error("host `{host}` did not answer within {seconds} s")]
    Deadline {
        /// Which host.
        host: Name,
        /// How long we waited.
        seconds: u64,
    },
    /// An answer that can't be read.
    #[error("host `{host}` gave an answer that can't be read: {source}")]
    Answer {
        /// Which host.
        host: Name,
        /// What is wrong with it.
        source: AnswerError,
    },
    /// This machine can't run ssh.
    #[error("ssh can't be used here: {0}")]
    Ssh(String),
}

impl Error {
    /// Returns what the operator can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { host, .. } => Some(format!(
                "check that it is up and that `ssh` gets there; address, port and jump hosts can be changed with `wg-friend host set {host} ...`"
            )),
            Self::UnknownHostKey { line, .. } => Some(format!(
                "connect once with `{line}`, compare the fingerprint it shows with the host's own, and accept it"
            )),
            Self::ChangedHostKey { .. } => Some(
                "find out why before anything else; if the host was set up anew, remove the old key with `ssh-keygen -R HOST`".to_owned(),
            ),
            Self::Login { host, .. } => Some(format!(
                "passwords are never asked for: install your public key there with `ssh-copy-id`, or name another key or user with `wg-friend host set {host} ...`"
            )),
            Self::NotRoot { .. } => Some(
                "log in as root, or allow it without a password: `echo 'USER ALL=(root) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/wg-friend`"
                    .to_owned(),
            ),
            Self::Broken { .. } | Self::Deadline { .. } => {
                Some("a deploy that was under way undoes itself there; look again with `wg-friend plan`".to_owned())
            }
            Self::Answer { .. } => Some("a login script that prints something may be the cause; run with -v to see more".to_owned()),
            Self::Ssh(_) => Some("install OpenSSH's client (Debian: `apt install openssh-client`)".to_owned()),
        }
    }
}
