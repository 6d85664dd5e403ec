//! Hosts: how a script gets to a machine, and what the machine's answer says.
//!
//! A host needs a POSIX shell, `wg` and SSH; nothing of ours stays there but the files it was asked to keep. Scripts
//! travel on standard input as one function that is called on its last line, so a connection that breaks while a
//! script is on its way runs none of it. Answers are one document (see `answer.rs`).

mod answer;
mod backup;
mod error;
mod inspect;
mod join;
mod keys;
mod leave;
mod local;
mod login;
mod observe;
mod openssh;
mod prepare;
mod question;
mod scripts;
pub mod sshkey;
mod trial;

pub use answer::{Answer, AnswerError};
pub use backup::{drop_backup, keep_backup, look_at_backup, read_kept_backup, read_seen_backup};
pub use error::Error;
pub use inspect::{Forwarding, Nft, Setup, Tunnel, inspect, read_setup};
pub use join::{Joining, join, own_address_towards};
pub use keys::{make_key, read_made_key};
pub use leave::{Leaving, Remains, leave, look_before_leaving, read_remains};
pub use login::{LetIn, let_in, remember_key};
pub(crate) use observe::in_order;
pub use observe::{
    Init, LastDeploy, Observed, ObservedFile, ObservedInterface, ObservedKey, PendingDeploy, System, Way,
    read_observation, tables_of,
};
pub use prepare::{Lack, PackageCommand, PackageTrouble, Packages, Wanted, install, read_packages};
pub(crate) use question::sysctl_path;
pub use question::{Fingerprint, InvalidFingerprint, Question};
pub use scripts::{
    Head, Script, StagedFile, Staging, apply, commit, discard, heads, observe, observe_again, read_heads,
    read_other_logs, survey,
};
pub use trial::{Attempt, Counted, Tried, Watch, attempt, read_counted, read_tried, watch};

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::model::{Host, HostAddress};

/// A way to reach hosts.
pub trait Fleet: Sync {
    /// Opens a new connection to a host, never one that existed before: a connection from before a change proves
    /// nothing, since rules for established flows let it through.
    ///
    /// # Errors
    /// Says whether the host is unreachable, unknown or refuses the login, and what to do about it.
    fn connect(&self, host: &Host) -> Result<Box<dyn Connection>, Error>;
}

/// An open connection to one host.
pub trait Connection: Send {
    /// Runs a script as root there and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks, root can't be had, or the answer isn't complete.
    fn run(&mut self, script: &Script) -> Result<Answer, Error>;
}

/// The fleet of the real world: OpenSSH, and this machine itself.
pub struct RealFleet {
    ssh: openssh::Ssh,
    patience: Duration,
}

impl RealFleet {
    /// Prepares to reach hosts; connects to none yet.
    ///
    /// # Errors
    /// When no directory for control sockets can be made.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { ssh: openssh::Ssh::new()?, patience: scripts::ANSWER })
    }

    /// The same with another patience: how long a host may leave a question without an answer. What it is asked to do
    /// there has its own time on top.
    #[must_use]
    pub fn answering_within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same with connections that stay open while nothing is asked over them: for who asks again and again. Without
    /// this they end after 20 seconds.
    #[must_use]
    pub fn staying_connected(mut self, idle: Duration) -> Self {
        let seconds = usize::try_from(idle.as_secs()).unwrap_or(usize::MAX);
        self.ssh.keep_idle(NonZeroUsize::new(seconds).unwrap_or(NonZeroUsize::MIN));
        self
    }
}

impl Fleet for RealFleet {
    fn connect(&self, host: &Host) -> Result<Box<dyn Connection>, Error> {
        match &host.address {
            HostAddress::Local => Ok(Box::new(local::Local::new(host, self.patience))),
            HostAddress::Ssh { .. } => {
                self.ssh.connect(host, self.patience).map(|c| Box::new(c) as Box<dyn Connection>)
            }
        }
    }
}
