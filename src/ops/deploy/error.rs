//! What keeps one host from being planned or deployed. Other hosts are not held up by it.

use crate::fleet;
use crate::model::{InterfaceName, Name};

use super::change::Change;

/// What is wrong with one host, or with what the model wants of it.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file that wg-quick(8) would overwrite when its interface goes down.
    #[error("`{interface}` on host `{host}` has SaveConfig = true: wg-quick would overwrite what is deployed")]
    SaveConfig {
        /// Which host.
        host: Name,
        /// Its interface.
        interface: InterfaceName,
    },
    /// The host alone had a key, and has it no more.
    #[error(
        "the private key of `{interface}` is not in /etc/wireguard/{file} on host `{host}` any more, which alone had it"
    )]
    KeyLost {
        /// Which host.
        host: Name,
        /// Its interface.
        interface: InterfaceName,
        /// The file that it was in.
        file: String,
    },
    /// It can't be reached or doesn't answer.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    /// Programs that are needed there are missing.
    #[error("host `{host}` lacks {}", .missing.iter().map(|(tool, _)| format!("`{tool}`")).collect::<Vec<_>>().join(", "))]
    Tools {
        /// Which host.
        host: Name,
        /// Programs, each with the Debian package that has it.
        missing: Vec<(&'static str, &'static str)>,
    },
    /// Its config sets DNS servers, and nothing there can.
    #[error("host `{host}` lacks `resolvconf`, which wg-quick needs to set the DNS servers of its node")]
    NoResolver {
        /// Which host.
        host: Name,
    },
    /// There is an interface of that name already, and it isn't ours.
    #[error("host `{host}` has an interface `{interface}` already, with another key: somebody else's network")]
    Taken {
        /// Which host.
        host: Name,
        /// Which interface.
        interface: InterfaceName,
    },
    /// A config can't be written without its key.
    #[error("the private key of `{node}` is not held here, so its host can't be deployed to")]
    KeyElsewhere {
        /// Whose key.
        node: Name,
    },
    /// Another deploy is under way there.
    #[error("host `{host}` is in the middle of a deploy by {owner}")]
    Busy {
        /// Which host.
        host: Name,
        /// Who.
        owner: String,
        /// Seconds until it is over at the latest.
        seconds: i64,
    },
    /// It isn't as it was when the plan was made.
    #[error("host `{host}` changed since the plan was made{}", listed(changes))]
    Changed {
        /// Which host.
        host: Name,
        /// What is there now that the plan didn't know.
        changes: Vec<Change>,
    },
    /// It refused the new files before anything was changed.
    #[error("host `{host}` was left as it was: {reason}")]
    Rejected {
        /// Which host.
        host: Name,
        /// What it said.
        reason: String,
    },
}

fn listed(changes: &[Change]) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    format!(": {}", lines.join("; "))
}

impl HostError {
    /// Returns what the operator can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fleet(error) => error.hint(),
            Self::Tools { host, missing } => {
                let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
                packages.sort_unstable();
                packages.dedup();
                let names = packages.join(" ");
                Some(format!("`wg-friend host install {host}` brings them; or install there: {names} (Debian's names)"))
            }
            Self::SaveConfig { .. } => {
                Some("`wg-friend set NODE save-config=off` takes that line's meaning out of the file".to_owned())
            }
            Self::KeyLost { host, interface, .. } => Some(format!(
                "`wg-friend interface key {host} {interface} --make-on-host` has it make another one, which everybody else learns with the next deploy"
            )),
            Self::NoResolver { .. } => Some(
                "install openresolv or systemd-resolved there, or leave its DNS alone with `wg-friend set NODE dns=none`".to_owned(),
            ),
            Self::Taken { interface, .. } => Some(format!(
                "adopt it with `wg-friend import --host HOST`, or call ours differently with `wg-friend set NODE interface=NAME`, or, if it is not needed any more, take it down there and remove /etc/wireguard/{interface}.conf"
            )),
            Self::KeyElsewhere { node } => Some(format!("give it a key that is held with `wg-friend rotate {node}`")),
            Self::Busy { seconds, .. } => {
                Some(format!("it is over in {} s at the latest; try again then", seconds.max(&1)))
            }
            Self::Changed { .. } => Some("look at the new plan and deploy again".to_owned()),
            Self::Rejected { host, .. } => {
                Some(format!("see to it there, then deploy again; `wg-friend log {host}` has what was done"))
            }
        }
    }
}
