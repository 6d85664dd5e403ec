//! A deploy to some interfaces of a host that leaves its others alone, whatever the model says about them.
//!
//! What is desired of the others is what was deployed: so they count as they are in the version that is recorded, and
//! what differs of them is nobody's concern this time. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::InterfaceName;
use crate::wg::beside::Loop;
use crate::wg::firewall;

use super::change::{Change, Kind};
use super::desired::{Deployed, Desired};

/// Whether a file in /etc/wireguard belongs to an interface.
pub fn is_file_of(path: &str, interface: &InterfaceName) -> bool {
    path == format!("{interface}.conf")
        || path == firewall::file_name(interface)
        || Loop::ALL.iter().any(|one| path == one.file_name(interface))
}

impl Desired {
    /// Restricts it to some interfaces; of all others, what was deployed stays.
    pub(in crate::ops) fn restricted_to(self, only: BTreeSet<InterfaceName>, deployed: Option<&Deployed>) -> Self {
        let own = |path: &String| only.iter().any(|name| is_file_of(path, name));
        let deployed = deployed.map(|deployed| &deployed.version);
        let mut before: BTreeMap<&InterfaceName, _> = deployed
            .into_iter()
            .flat_map(|version| &version.interfaces)
            .filter(|interface| !only.contains(&interface.name))
            .map(|interface| (&interface.name, interface))
            .collect();
        let mut interfaces = Vec::new();
        for interface in self.interfaces {
            match only.contains(&interface.name) {
                true => interfaces.push(interface),
                false => interfaces.extend(before.remove(&interface.name).cloned()),
            }
        }
        interfaces.extend(before.into_values().cloned()); // those that are no longer in the model
        let mut files: BTreeMap<_, _> = self.files.into_iter().filter(|(path, _)| own(path)).collect();
        let kept = deployed.into_iter().flat_map(|version| &version.files).filter(|(path, _)| !own(path));
        files.extend(kept.map(|(path, content)| (path.clone(), content.clone())));
        Self { interfaces, files, only: Some(only), ..self }
    }

    /// Whether an interface may be touched this time.
    pub(super) fn is_about(&self, interface: &InterfaceName) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(interface))
    }

    /// Whether a difference is to be mended this time.
    pub(super) fn concerns(&self, change: &Change) -> bool {
        let Some(only) = &self.only else { return true };
        match (&change.interface, change.kind) {
            (Some(interface), _) => only.contains(interface),
            (None, Kind::File | Kind::FileExtra) => only.iter().any(|name| is_file_of(&change.subject, name)),
            (None, _) => false,
        }
    }
}

/// Returns how a host lists its tables after a deploy to some interfaces: of the others, what was noted before stands, or
/// what somebody did to them by hand would go unnoticed.
pub(super) fn tables(
    only: Option<&BTreeSet<InterfaceName>>,
    listed: &BTreeMap<String, String>,
    before: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let Some(only) = only else { return listed.clone() };
    let own = |table: &String| only.iter().any(|name| *table == firewall::table_name(name));
    let mut tables: BTreeMap<_, _> = before.into_iter().filter(|(table, _)| !own(table)).collect();
    tables.extend(listed.iter().filter(|(table, _)| own(table)).map(|(table, text)| (table.clone(), text.clone())));
    tables
}
