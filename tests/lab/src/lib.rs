//! Real WireGuard hosts on one machine: Linux namespaces joined by bridges, each with its own sshd, `/etc/wireguard`,
//! disk and kernel network state, and a userspace WireGuard. Tests, `./demo` and people (`./lab`) use the same lab.
//!
//! ```no_run
//! use wg_friend_lab::{Lab, Spec};
//! # fn main() -> wg_friend_lab::Result {
//! let lab = Lab::up(&Spec::pair())?;
//! lab.host("a").sh("ping -c1 -W1 b")?;
//! let before = lab.host("a").snapshot()?;
//! lab.host("a").reboot()?;
//! assert_eq!(lab.host("a").snapshot()?.diff(&before), "");
//! # Ok(())
//! # }
//! ```
//!
//! A lab ends with its [`Lab`] value, and at the latest with the process that made it, however that ends: process 1 of
//! the lab's pid namespace reads from a pipe the owner holds, and the kernel ends the rest. Nothing is mounted outside
//! the lab's own mount namespaces, and the machine's own network is never touched.

mod fault;
mod host;
mod lab;
mod ping;
pub mod process;
mod snapshot;
pub mod spec;
mod vm;

pub use fault::Mishap;
pub use host::{Host, Output, Spawned};
pub use lab::Lab;
pub use ping::{PingReport, PingStream, Probe, Protocol};
pub use snapshot::Snapshot;
pub use spec::{HostSpec, Init, Network, Spec, Sudo};
pub use vm::{Image, Vm};

/// Why something didn't work in the lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec can't be built.
    #[error("lab spec: {0}")]
    Spec(String),
    /// This machine can't have a lab.
    #[error("no lab on this machine: {0}")]
    Unavailable(Reason),
    /// Reading, writing or starting something failed.
    #[error("lab: {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A command, or the lab itself, failed.
    #[error("lab: {0}")]
    Failed(String),
}

impl From<std::io::Error> for Error {
    /// For tests that do something of their own beside the lab.
    fn from(source: std::io::Error) -> Self {
        Self::Io { what: "a test's own input or output".to_owned(), source }
    }
}

/// What a machine lacks for a lab, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub String);

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The result of using the lab; a test may return it.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Names what was tried when the system refuses.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl Into<String>) -> Result<T>;
}

impl<T> Tried<T> for std::io::Result<T> {
    fn tried(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Io { what: what.into(), source })
    }
}

/// Starts a lab for a test, or leaves the test, saying why, on a machine that can't have one.
///
/// The test must return a `Result` into which [`Error`] converts. With `CI=true` a missing lab is a failure.
#[macro_export]
macro_rules! lab_or_skip {
    ($spec:expr) => {
        match $crate::Lab::up_or_skip(&$spec)? {
            Some(lab) => lab,
            None => return Ok(()),
        }
    };
}
