//! Routes of one table that leave an interface and appear at another one, such as the default routes of a group of exits
//! that goes by another exit. The kernel has one route to a place in a table: such a route is replaced, not taken away and
//! added again, so that there is always one. Pure.

use std::collections::BTreeMap;

use crate::fleet::Observed;
use crate::model::{InterfaceName, Route};
use crate::wg::runtime;

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

    /// Returns what takes a route over.
    pub(super) fn to(&self, route: &Route) -> Option<Successor> {
        self.routes.get(route).map(|(_, successor)| *successor)
    }
}

/// Finds the routes that move. Those of the main table don't: each interface has its own there, with wg-quick(8)'s.
pub(super) fn of(changes: &[Change], desired: &Desired, observed: &Observed) -> Moves {
    let mut moves = Moves::default();
    let of_kind = |kind: Kind| changes.iter().filter(move |change| change.kind == kind);
    for change in of_kind(Kind::RouteExtra) {
        let (Some(from), Some(text)) = (&change.interface, &change.before) else { continue };
        let seen = observed.interfaces.get(from).into_iter().flat_map(|interface| &interface.routes);
        let Some(route) = seen.filter(|route| route.table.is_some()).find(|route| route.to_string() == *text) else {
            continue;
        };
        let taken_over = |kind: Kind, interface: &InterfaceName| {
            of_kind(kind).any(|change| {
                let same = change.after.as_ref().is_none_or(|after| kind != Kind::RouteMissing || after == text);
                change.interface.as_ref() == Some(interface) && same
            })
        };
        let successors = desired.interfaces.iter().filter(|other| other.name != *from);
        let successor = successors.filter(|other| runtime::routes(other).contains(route)).find_map(|other| {
            let comes_up = [Kind::InterfaceMissing, Kind::Restart].iter().any(|kind| taken_over(*kind, &other.name));
            match () {
                () if comes_up => Some(Successor::ComesUp),
                () if taken_over(Kind::RouteMissing, &other.name) => Some(Successor::Runs),
                () => None,
            }
        });
        if let Some(successor) = successor {
            moves.routes.insert(*route, (from.clone(), successor));
        }
    }
    moves
}
