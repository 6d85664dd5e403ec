//! Loops that a host runs beside an interface, for what WireGuard doesn't do by itself.
//!
//! Each is a file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook, so that it comes and goes with
//! the interface whatever brings that up. Pure; the loops themselves are `templates/host/{resolve,fallback}.sh`, behind what
//! both have in common, `templates/host/beside.sh`.

use sha2::{Digest as _, Sha256};

use crate::model::InterfaceName;

use super::config::DIRECTORY;
use super::interface::InterfaceConfig;
use super::{fallback, resolve};

const COMMON: &str = include_str!("../../templates/host/beside.sh");

/// A loop beside an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loop {
    /// Looks up the names again by which peers are dialled: [`resolve`].
    Resolve,
    /// Moves what direct links carry while they are down: [`fallback`].
    Fallback,
}

impl Loop {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Resolve, Self::Fallback];

    /// Returns its name, as hosts know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Fallback => "fallback",
        }
    }

    /// Returns what its script says after the variables.
    pub(super) fn code(self) -> String {
        let own = match self {
            Self::Resolve => include_str!("../../templates/host/resolve.sh"),
            Self::Fallback => include_str!("../../templates/host/fallback.sh"),
        };
        format!("{COMMON}{own}")
    }

    /// The variable of the script that holds what it looks after, and the value; `None` when it has nothing to do.
    fn list(self, interface: &InterfaceConfig) -> Option<(&'static str, String)> {
        match self {
            Self::Resolve => Some(("PEERS", resolve::peers(interface)?)),
            Self::Fallback => Some(("LINKS", fallback::lines(interface)?)),
        }
    }

    /// Returns what it looks after, for people: `follows hub.example.com`, `watches office-b (else over hub)`.
    pub fn in_words(self, interface: &InterfaceConfig) -> String {
        match self {
            Self::Resolve => format!("follows {}", resolve::names(interface)),
            Self::Fallback => format!("watches {}", fallback::names(interface)),
        }
    }

    /// Returns the name of the file that holds it for an interface, beside its wg-quick file.
    pub fn file_name(self, interface: &InterfaceName) -> String {
        format!("wgf-{}-{interface}.sh", self.as_str())
    }

    /// Returns it for an interface, a script for any POSIX shell; `None` when it has nothing to do there.
    ///
    /// It holds no secret: names, ports, prefixes and public keys.
    pub fn script(self, interface: &InterfaceConfig) -> Option<String> {
        let (variable, list) = self.list(interface)?;
        let version = self.version_of(&interface.name, &list);
        Some(format!(
            "#!/bin/sh\n# Made by wg-friend. Don't edit it: what is changed here is gone when wg-friend makes it again.\n\
             KIND={}\nIFACE={}\nVERSION={version}\n{variable}='\n{list}'\n\n{}",
            self.as_str(),
            interface.name,
            self.code(),
        ))
    }

    /// Returns what a host tells of the loop that should run there: sixteen hexadecimal digits that differ whenever the
    /// script does. `None` when there should be none.
    pub fn version(self, interface: &InterfaceConfig) -> Option<String> {
        self.list(interface).map(|(_, list)| self.version_of(&interface.name, &list))
    }

    /// Reads the version out of a script.
    pub fn version_in(script: &str) -> Option<&str> {
        script.lines().find_map(|line| line.strip_prefix("VERSION="))
    }

    fn version_of(self, interface: &InterfaceName, list: &str) -> String {
        let digest = Sha256::new().chain_update(interface.as_str()).chain_update([0]).chain_update(list);
        let digest = digest.chain_update([0]).chain_update(self.code()).finalize();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the hook that begins it when the interface is up. Where the file isn't beside the interface's own, it does
    /// nothing; and it never fails, since wg-quick(8) would take the interface down again.
    pub fn start_hook(self, interface: &InterfaceName) -> String {
        self.hook(interface, "start")
    }

    /// Returns the hook that ends it before the interface goes down.
    pub fn stop_hook(self, interface: &InterfaceName) -> String {
        self.hook(interface, "stop")
    }

    fn hook(self, interface: &InterfaceName, verb: &str) -> String {
        let path = format!("{DIRECTORY}/{}", self.file_name(interface));
        format!("test ! -r {path} || sh {path} {verb} || true")
    }
}

/// Whether a hook begins or ends one of the loops.
pub fn is_hook(hook: &str, interface: &InterfaceName) -> bool {
    Loop::ALL.iter().any(|one| hook == one.start_hook(interface) || hook == one.stop_hook(interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_hooks_are_ours() {
        let name: InterfaceName = "wg0".parse().unwrap();
        insta::assert_snapshot!(Loop::Resolve.start_hook(&name), @"test ! -r /etc/wireguard/wgf-resolve-wg0.sh || sh /etc/wireguard/wgf-resolve-wg0.sh start || true");
        for one in Loop::ALL {
            assert!(is_hook(&one.start_hook(&name), &name) && is_hook(&one.stop_hook(&name), &name));
            assert!(!is_hook(&one.start_hook(&name), &"wg1".parse().unwrap()));
            assert!(!is_hook(&format!("{}; id", one.start_hook(&name)), &name));
        }
    }
}
