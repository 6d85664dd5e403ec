//! Loops that a host runs beside an interface, for what WireGuard doesn't do by itself.
//!
//! Each is a file in `/etc/wireguard`, begun by a `PostUp` hook and ended by a `PreDown` hook, so that it comes and goes with
//! the interface whatever brings that up. Pure; the loops themselves are `templates/host/{resolve,fallback,handover,moving}.sh`,
//! behind what they have in common, `templates/host/beside.sh`, and what those have in common that handshakes wake,
//! `templates/host/wake.sh`.

use sha2::{Digest as _, Sha256};

use crate::model::InterfaceName;

use super::config::DIRECTORY;
use super::interface::InterfaceConfig;
use super::{fallback, handover, overlap, resolve};

const COMMON: &str = include_str!("../../templates/host/beside.sh");
const WAKE: &str = include_str!("../../templates/host/wake.sh");

/// A loop beside an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loop {
    /// Looks up the names again by which peers are dialled: [`resolve`].
    Resolve,
    /// Moves what direct links carry while they are down: [`fallback`].
    Fallback,
    /// Gives peers' next keys what their present ones carry, once they are seen in use: [`handover`].
    Handover,
    /// Leads peers to the interface by which they shook hands last: [`overlap`].
    Moving,
}

impl Loop {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Resolve, Self::Fallback, Self::Handover, Self::Moving];

    /// Returns its name, as hosts know it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Fallback => "fallback",
            Self::Handover => "handover",
            Self::Moving => "moving",
        }
    }

    /// Returns what the section of an answer is called in which a host tells of it.
    pub const fn section(self) -> &'static str {
        match self {
            Self::Resolve => "resolver",
            Self::Fallback => "watcher",
            Self::Handover => "successor",
            Self::Moving => "mover",
        }
    }

    /// Returns what its script says after the variables.
    pub(super) fn code(self) -> String {
        let (wake, own) = match self {
            Self::Resolve => ("", include_str!("../../templates/host/resolve.sh")),
            Self::Fallback => ("", include_str!("../../templates/host/fallback.sh")),
            Self::Handover => (WAKE, include_str!("../../templates/host/handover.sh")),
            Self::Moving => (WAKE, include_str!("../../templates/host/moving.sh")),
        };
        format!("{COMMON}{wake}{own}")
    }

    /// The variable of the script that holds what it looks after, and the value; `None` when it has nothing to do.
    fn list(self, interface: &InterfaceConfig) -> Option<(&'static str, String)> {
        match self {
            Self::Resolve => Some(("PEERS", resolve::peers(interface)?)),
            Self::Fallback => Some(("LINKS", fallback::lines(interface)?)),
            Self::Handover => Some(("KEYS", handover::lines(interface)?)),
            Self::Moving => Some(("PEERS", overlap::lines(interface)?)),
        }
    }

    /// Returns what it looks after, for people: `follows hub.example.com`, `watches office-b (else over hub)`.
    pub fn in_words(self, interface: &InterfaceConfig) -> String {
        match self {
            Self::Resolve => format!("follows {}", resolve::names(interface)),
            Self::Fallback => format!("watches {}", fallback::names(interface)),
            Self::Handover => format!("awaits the next key of {}", handover::names(interface)),
            Self::Moving => format!("leads peers of {} here", overlap::whose(interface)),
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

    /// Returns the hook that has [`Loop::Moving`] lead nothing while the first interface comes up.
    pub fn hold_hook(interface: &InterfaceName) -> String {
        Self::Moving.hook(interface, "hold")
    }

    /// Returns the hook that lets it go on.
    pub fn release_hook(interface: &InterfaceName) -> String {
        Self::Moving.hook(interface, "release")
    }

    fn hook(self, interface: &InterfaceName, verb: &str) -> String {
        let path = format!("{DIRECTORY}/{}", self.file_name(interface));
        format!("test ! -r {path} || sh {path} {verb} || true")
    }
}

/// Whether a hook begins or ends one of the loops, also one beside the interface with its next key.
pub fn is_hook(hook: &str, interface: &InterfaceName) -> bool {
    let next = overlap::name(interface);
    Loop::ALL.iter().any(|one| hook == one.start_hook(interface) || hook == one.stop_hook(interface))
        || [Loop::hold_hook(&next), Loop::release_hook(&next)].iter().any(|own| hook == own)
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
