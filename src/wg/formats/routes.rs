//! Which routes a tunnel means, and which table made the routes that were found.

use crate::model::{Cidr, Table};
use crate::wg::Tunnel;

/// wg-quick's mark and table for a default route, when the tunnel has no mark of its own.
pub(super) const WG_QUICK: u32 = 51820;

/// The routes that wg-quick(8) makes for a tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Routes {
    /// Into the main table, or all into `table`.
    pub(super) plain: Vec<Cidr>,
    /// The table of the plain ones; `None` is the main one.
    pub(super) table: Option<Table>,
    /// Default routes that get a table of their own, which packets without the mark look into.
    pub(super) defaults: Vec<Cidr>,
    /// That table and mark.
    pub(super) mark: u32,
}

/// Returns the routes that wg-quick(8) makes for a tunnel, each once, in the order of the peers.
pub(super) fn of(tunnel: &Tunnel) -> Routes {
    let mark = tunnel.fwmark.filter(|mark| *mark != 0).unwrap_or(WG_QUICK);
    let mut routes = Routes { plain: Vec::new(), table: None, defaults: Vec::new(), mark };
    let mut wanted: Vec<Cidr> = Vec::new();
    for to in tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips) {
        if !wanted.contains(to) {
            wanted.push(*to);
        }
    }
    match &tunnel.table {
        Table::Off => {}
        Table::Auto => {
            let (defaults, others): (Vec<Cidr>, Vec<Cidr>) = wanted.into_iter().partition(Cidr::is_default);
            routes.defaults = defaults;
            routes.plain = others.into_iter().filter(|to| !connected(tunnel, to)).collect();
        }
        table => {
            routes.plain = wanted;
            routes.table = Some(table.clone());
        }
    }
    routes
}

/// Whether the kernel's own route for one of the tunnel's addresses leads there already.
fn connected(tunnel: &Tunnel, to: &Cidr) -> bool {
    tunnel.addresses.iter().map(|address| address.network()).any(|net| !net.is_host() && net.covers(to))
}

/// Finds the table with which wg-quick(8) makes the routes that a configuration spells out; `default_by_mark` says that it
/// leads everything without a mark into the tunnel. Also returns what it doesn't make of them.
pub(super) fn table_for(tunnel: &mut Tunnel, found: &[(Cidr, Option<u32>)], default_by_mark: bool) -> Vec<String> {
    let makes = |tunnel: &Tunnel| -> Vec<(Cidr, Option<u32>)> {
        let routes = of(tunnel);
        let number = match routes.table {
            Some(Table::Number(number)) => Some(number),
            _ => None,
        };
        let plain = routes.plain.into_iter().map(|to| (to, number));
        let by_mark = routes.defaults.into_iter().map(|to| (to, Some(routes.mark)));
        plain.chain(by_mark.filter(|_| default_by_mark)).collect()
    };
    let mut candidates = vec![Table::Auto];
    candidates.extend(found.iter().filter_map(|(_, table)| *table).take(1).map(Table::Number));
    candidates.push(Table::Named("main".to_owned()));
    for table in candidates {
        tunnel.table = table;
        let made = makes(tunnel);
        let everything = made.iter().all(|route| found.contains(route));
        let auto_default = tunnel.table == Table::Auto && !default_by_mark && has_default(tunnel);
        if everything && !auto_default {
            return found.iter().filter(|route| !made.contains(route)).map(|route| extra(tunnel, route)).collect();
        }
    }
    tunnel.table = Table::Off;
    found.iter().map(|route| extra(tunnel, route)).collect()
}

pub(super) fn has_default(tunnel: &Tunnel) -> bool {
    tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips).any(Cidr::is_default)
}

fn extra(tunnel: &Tunnel, (to, table): &(Cidr, Option<u32>)) -> String {
    let table = table.map_or_else(String::new, |table| format!(" in table {table}"));
    let off = if tunnel.table == Table::Off { ", and those it makes aren't all there: Table is off" } else { "" };
    format!("the route to {to}{table} isn't one that wg-quick makes from AllowedIPs{off}")
}
