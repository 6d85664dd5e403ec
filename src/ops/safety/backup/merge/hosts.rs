//! The hosts of both copies, which are those of all networks. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{Barred, Fate, Left, Terms};
use super::numbers::same;
use crate::db::Thing;
use crate::model::{Host, Name};
use crate::ops::network::history::What;

/// The hosts of both copies.
#[derive(Debug)]
pub(super) struct Hosts {
    /// By their numbers.
    pub(super) all: BTreeMap<i64, Host>,
    /// What each host of the other copy is called here; `None` if it isn't here.
    pub(super) names: BTreeMap<Name, Option<Name>>,
    /// Those that were taken over.
    pub(super) taken: BTreeSet<i64>,
    /// What stays as it is.
    pub(super) left: Vec<Left>,
}

/// Merges the hosts.
pub(super) fn merge_hosts(ours: &BTreeMap<i64, Host>, theirs: &BTreeMap<i64, Host>, terms: &Terms<'_>) -> Hosts {
    let mut barred = Barred::new();
    loop {
        let hosts = try_hosts(ours, theirs, terms, &barred);
        let clashing = hosts.taken.iter().filter_map(|row| {
            let host = &hosts.all[row];
            let mut others = hosts.all.iter().filter(|(other, _)| *other != row);
            let (_, other) = others.find(|(_, other)| same(&other.name, &host.name))?;
            let why = format!(
                "the host `{0}` ({1}) here has the same name as the one of the backup ({2}): \
                 `wg-friend host set {0} name=OTHER`, and merge again",
                other.name, other.address, host.address
            );
            Some((Thing::Host(*row), why))
        });
        let clashing: Barred = clashing.collect();
        if clashing.is_empty() {
            return hosts;
        }
        barred.extend(clashing);
    }
}

fn try_hosts(ours: &BTreeMap<i64, Host>, theirs: &BTreeMap<i64, Host>, terms: &Terms<'_>, barred: &Barred) -> Hosts {
    let mut hosts = Hosts { all: ours.clone(), names: BTreeMap::new(), taken: BTreeSet::new(), left: Vec::new() };
    for (row, host) in theirs {
        let (thing, own) = (Thing::Host(*row), ours.get(row));
        let label = || (What::Host, host.name.to_string(), None);
        let fate = match barred.get(&thing) {
            _ if own == Some(host) => None,
            Some(_) => Some(Fate::Conflict),
            None => terms.judge(thing, own.is_some()),
        };
        match fate {
            Some(fate) => hosts.left.push(terms.left(thing, label(), fate, barred.get(&thing).cloned())),
            None if own == Some(host) => {}
            None => {
                hosts.all.insert(*row, host.clone());
                hosts.taken.insert(*row);
            }
        }
        hosts.names.insert(host.name.clone(), hosts.all.get(row).map(|host| host.name.clone()));
    }
    for (row, host) in ours.iter().filter(|(row, _)| !theirs.contains_key(row)) {
        let thing = Thing::Host(*row);
        if terms.was_removed_there(thing) {
            let label = (What::Host, host.name.to_string(), None);
            hosts.left.push(terms.left(thing, label, Fate::RemovedThere, None));
        }
    }
    hosts
}
