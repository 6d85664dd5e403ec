//! A host that runs interfaces of several networks: what is done there for one of them leaves the others' as they are.
//!
//! What was deployed to a host is one version with the interfaces of all networks. A plan for the chosen network is about
//! its own; of the others, what was deployed is desired, so that a version goes on to hold all of them.

use std::collections::BTreeSet;

use crate::db::{self, Database, Store};
use crate::model::{InterfaceId, InterfaceName, Name};
use crate::wg::firewall;

use super::desired::{Deployed, Desired, Version};
use super::journal;

/// Returns the interfaces of other networks in a version.
pub(in crate::ops) fn of_others(database: &Database, version: &Version) -> db::Result<BTreeSet<InterfaceName>> {
    let ids: Vec<InterfaceId> = version.interfaces.iter().map(|interface| interface.id).collect();
    let others = database.of_others(&ids)?;
    let theirs = version.interfaces.iter().filter(|interface| others.contains(&interface.id));
    Ok(theirs.map(|interface| interface.name.clone()).collect())
}

/// Returns the interfaces that something for the chosen network is about: what it has on the host or is to have there.
/// `None` when nothing of another network was deployed, so that the whole host is its own.
pub(in crate::ops) fn own(
    database: &Database,
    desired: &Desired,
    deployed: Option<&Deployed>,
) -> db::Result<Option<BTreeSet<InterfaceName>>> {
    let Some(Deployed { version, .. }) = deployed else { return Ok(None) };
    let others = of_others(database, version)?;
    if others.is_empty() {
        return Ok(None);
    }
    let deployed = version.interfaces.iter().map(|interface| &interface.name).filter(|name| !others.contains(*name));
    Ok(Some(desired.interfaces.iter().map(|interface| &interface.name).chain(deployed).cloned().collect()))
}

/// Returns what the chosen network has on a host according to the last confirmed deploy.
pub(in crate::ops) fn running(store: &Store, host: &Name) -> db::Result<Vec<InterfaceName>> {
    let Some(Deployed { version, .. }) = journal::deployed(store, host)? else { return Ok(Vec::new()) };
    let others = of_others(store, &version)?;
    let names = version.interfaces.into_iter().map(|interface| interface.name);
    Ok(names.filter(|name| !others.contains(name)).collect())
}

/// Returns what other networks have on a host, as it was deployed.
pub(in crate::ops) fn only_of(deployed: Deployed, others: &BTreeSet<InterfaceName>) -> Deployed {
    let Deployed { version, tables } = deployed;
    let own: BTreeSet<InterfaceName> = version
        .interfaces
        .iter()
        .map(|interface| interface.name.clone())
        .filter(|name| !others.contains(name))
        .collect();
    let theirs = |table: &String| others.iter().any(|name| *table == firewall::table_name(name));
    let tables = tables.into_iter().filter(|(table, _)| theirs(table)).collect();
    Deployed { version: Version { only: None, ..version.without(&own) }, tables }
}

impl Version {
    /// Leaves out some interfaces, with their files.
    pub(in crate::ops) fn without(mut self, others: &BTreeSet<InterfaceName>) -> Self {
        self.interfaces.retain(|interface| !others.contains(&interface.name));
        self.files.retain(|path, _| !others.iter().any(|name| super::is_file_of(path, name)));
        self
    }
}
