//! An interface takes the place of the one that ran beside it with its next key.

use std::collections::BTreeMap;

use crate::model::InterfaceName;
use crate::wg::beside::Loop;
use crate::wg::{InterfaceConfig, config};

use super::super::change::Kind;
use super::super::desired::{Deployed, Desired};
use super::interface::take_down;
use super::{Builder, quote};

/// Interfaces that go when another one has their key, their port and their peers.
pub(super) struct TakeOvers<'a> {
    /// By the name of the one that stays, the one that goes.
    goers: BTreeMap<&'a InterfaceName, &'a InterfaceConfig>,
}

impl<'a> TakeOvers<'a> {
    /// Returns those among the interfaces that are to go. `takes` tells whether an interface gets another key while it runs.
    pub(super) fn among(
        goers: &[&InterfaceName],
        desired: &'a Desired,
        deployed: Option<&'a Deployed>,
        takes: impl Fn(&InterfaceConfig) -> bool,
    ) -> Self {
        let with_heir = |name: &&InterfaceName| {
            let goer = deployed?.interface(name)?;
            let heir = desired.interface(&goer.beside.as_ref()?.name)?;
            (heir.public_key == goer.public_key && takes(heir)).then_some((&heir.name, goer))
        };
        Self { goers: goers.iter().filter_map(with_heir).collect() }
    }

    /// Returns the one whose place an interface takes.
    pub(super) fn by(&self, heir: &InterfaceName) -> Option<&'a InterfaceConfig> {
        self.goers.get(heir).copied()
    }

    /// Whether another interface takes the place of this one.
    pub(super) fn of(&self, goer: &InterfaceName) -> bool {
        self.goers.values().any(|one| one.name == *goer)
    }
}

impl Builder<'_> {
    /// The step by which an interface gets its next key and port from the one that ran beside it, and with them what was led there.
    /// `key` and `undo` are the arguments of that key and what takes it back.
    pub(super) fn in_place_of(&mut self, goer: &InterfaceConfig, key: &str, undo: &str) -> (String, String) {
        let name = quote(&goer.name);
        self.checks.push(format!("w_save_live {name}"));
        let port = goer.listen_port.map_or("0".to_owned(), |port| port.to_string());
        let script = quote(format!("{}/{}", config::DIRECTORY, Loop::Moving.file_name(&goer.name)));
        let moving = |word: &str| format!("{{ test ! -r {script} || sh {script} {word}; }}");
        // Nobody waits once the peers have nowhere to go.
        let heir = goer.beside.as_ref().map_or_else(String::new, |beside| quote(&beside.name));
        // The script may be one of an older version of this program, which has no `pass`.
        let pass = format!("{{ {} || {}; }}", moving("pass"), moving("stop"));
        let run = format!("w_note_shakes {heir}; {pass} && w_take_key {key} {name} {script}");
        let (start, greet) = (moving("start"), format!("w_greet {name}"));
        let undo = format!("{{ {undo}; }}; w_come_back {name} {port} && {start} && {greet}");
        (run, undo)
    }

    /// What has made way goes; it comes back by the step in which it did.
    pub(super) fn down_after_all(&mut self, interface: &InterfaceName) {
        self.step(Kind::InterfaceExtra, format!("take {interface} down"), take_down(interface), ":".to_owned());
    }
}
