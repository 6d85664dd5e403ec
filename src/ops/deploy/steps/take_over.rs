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
    /// Returns those among the interfaces that are to go. `stays_up` tells whether an interface goes on running meanwhile.
    pub(super) fn among(
        goers: &[&InterfaceName],
        desired: &'a Desired,
        deployed: Option<&'a Deployed>,
        stays_up: impl Fn(&InterfaceConfig) -> bool,
    ) -> Self {
        let with_heir = |name: &&InterfaceName| {
            let goer = deployed?.interface(name)?;
            let heir = desired.interface(&goer.beside.as_ref()?.name)?;
            (heir.public_key == goer.public_key && stays_up(heir)).then_some((&heir.name, goer))
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
    /// An interface whose key and port another one takes in the next steps: that one knows where the peers are from now on, and
    /// all of them are led there. Undoing it is the last that is undone, when the port is free again.
    pub(super) fn make_way(&mut self, interface: &InterfaceConfig) {
        let name = quote(&interface.name);
        let undo = self.up_as_it_ran(&interface.name);
        let port = interface.listen_port.map_or("0".to_owned(), |port| port.to_string());
        let script = quote(format!("{}/{}", config::DIRECTORY, Loop::Moving.file_name(&interface.name)));
        // Nobody waits once the peers have nowhere to go.
        let heir = interface.beside.as_ref().map_or_else(String::new, |beside| quote(&beside.name));
        let run = format!(
            "w_note_shakes {heir}; {{ test ! -r {script} || sh {script} stop; }} && wg set {name} listen-port 0"
        );
        let undo = format!(
            "{{ {undo}; }} && wg set {name} listen-port {port} && {{ test ! -r {script} || sh {script} start; }} && w_greet {name}"
        );
        self.step(Kind::InterfaceExtra, format!("have {name} make way"), run, undo);
    }

    /// What has made way goes; it comes back by the step with which it did.
    pub(super) fn down_after_all(&mut self, interface: &InterfaceName) {
        self.step(Kind::InterfaceExtra, format!("take {interface} down"), take_down(interface), ":".to_owned());
    }
}
