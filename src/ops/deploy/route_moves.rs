//! Routes of one table that leave an interface and appear at another one, such as the default routes of a group of exits
//! that goes by another exit. The kernel has one route to a place in a table: such a route is replaced, not taken away and
//! added again, so that there is always one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::Observed;
use crate::model::{InterfaceName, Route};
use crate::wg::{InterfaceConfig, UplinkRoute, runtime};

use super::change::{Change, Kind};
use super::desired::Desired;

/// What becomes of the interface that a route leads into from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    /// It runs, and the route is led into it.
    Runs,
    /// It comes up, and leads the route into itself.
    ComesUp,
}

/// Routes that move, with the interface that each leaves.
#[derive(Debug, Default)]
pub(super) struct Moves {
    routes: BTreeMap<Route, (InterfaceName, Successor)>,
}

impl Moves {
    /// Returns the interface that a route leaves, when it is led from there into one that runs.
    pub(super) fn from(&self, route: &Route) -> Option<&InterfaceName> {
        self.routes.get(route).filter(|(_, successor)| *successor == Successor::Runs).map(|(from, _)| from)
    }

    /// Returns the routes of tables that only marked packets look into, without those that move: they can be there before
    /// anybody is marked.
    pub(super) fn new_ways<'a>(&self, desired: &'a Desired) -> BTreeSet<(&'a InterfaceName, String)> {
        let is_new =
            |route: &&Route| route.table.is_some_and(UplinkRoute::has_table) && !self.routes.contains_key(route);
        let of = |interface: &'a InterfaceConfig| {
            interface.routes.iter().filter(is_new).map(move |route| (&interface.name, route.to_string()))
        };
        desired.interfaces.iter().flat_map(of).collect()
    }

    /// Returns what takes a route over.
    pub(super) fn to(&self, route: &Route) -> Option<Successor> {
        self.routes.get(route).map(|(_, successor)| *successor)
    }
}

/// Finds the routes that move. Those of the main table don't: each interface has its own there, with wg-quick(8)'s.
pub(super) fn of(changes: &[Change], desired: &Desired, observed: &Observed) -> Moves {
    let mut moves = Moves::default();
    for (from, route) in leaving(changes, desired, observed) {
        let others = desired.interfaces.iter().filter(|other| other.name != *from);
        let takers = others.filter(|other| runtime::routes(other).contains(&route));
        if let Some(successor) = takers.filter_map(|other| successor(changes, other, &route)).next() {
            moves.routes.insert(route, (from.clone(), successor));
        }
    }
    moves
}

/// Returns the routes with a table of their own that an interface has and is to have no more, also by a restart.
fn leaving<'a>(
    changes: &'a [Change],
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a InterfaceName, Route)> {
    let with_table = |name: &InterfaceName| {
        let seen = observed.interfaces.get(name).into_iter().flat_map(|interface| &interface.routes);
        seen.filter(|route| route.table.is_some()).copied()
    };
    let leaves = move |change: &Change, name: &InterfaceName, route: &Route| match change.kind {
        Kind::RouteExtra => change.before.as_ref() == Some(&route.to_string()),
        Kind::Restart => desired.interface(name).is_some_and(|config| !runtime::routes(config).contains(route)),
        _ => false,
    };
    let of = changes.iter().filter_map(|change| Some((change, change.interface.as_ref()?)));
    of.flat_map(move |(change, name)| {
        with_table(name).filter(move |route| leaves(change, name, route)).map(move |route| (name, route))
    })
}

/// Returns how an interface takes a route over.
fn successor(changes: &[Change], taker: &InterfaceConfig, route: &Route) -> Option<Successor> {
    let has = |change: &Change, kind: Kind| change.kind == kind && change.interface.as_ref() == Some(&taker.name);
    if changes.iter().any(|change| has(change, Kind::InterfaceMissing) || has(change, Kind::Restart)) {
        // Only its own hooks replace a route; wg-quick(8) adds those of AllowedIPs, and fails where one is there already.
        return taker.routes.contains(route).then_some(Successor::ComesUp);
    }
    let text = route.to_string();
    let added = |change: &Change| has(change, Kind::RouteMissing) && change.after.as_ref() == Some(&text);
    changes.iter().any(added).then_some(Successor::Runs)
}
