//! What the kernel has once an interface runs as written: the other half of the truth beside the file.

use std::collections::BTreeSet;

use crate::model::{Cidr, InterfaceAddr};

use super::{InterfaceConfig, Route, Table};

/// Returns the routes through the interface that wg-quick(8) makes, those of the config and those of the interface's own
/// hooks, without the kernel's own.
pub fn routes(config: &InterfaceConfig) -> BTreeSet<Route> {
    let allowed = config.peers.iter().flat_map(|peer| &peer.allowed_ips);
    let mut wanted = routes_by_wg_quick(&config.table, &config.addresses, allowed);
    wanted.extend(config.routes.iter().chain(&config.by_hooks.routes));
    wanted
}

/// Returns the routes that wg-quick(8) makes for AllowedIPs.
///
/// It adds a route for every AllowedIP that no route through the interface covers yet, longest prefix first; when it
/// comes up, what is there are the networks of its addresses.
pub fn routes_by_wg_quick<'a>(
    table: &Table,
    addresses: &[InterfaceAddr],
    allowed: impl Iterator<Item = &'a Cidr>,
) -> BTreeSet<Route> {
    let table = match table {
        Table::Auto => None,
        Table::Number(number) => Some(*number),
        Table::Off | Table::Named(_) => return BTreeSet::new(), // which number a name has is for the host to say
    };
    // A table of its own knows none of the networks that the main one has.
    let connected: Vec<_> =
        addresses.iter().map(InterfaceAddr::network).filter(|net| table.is_none() && !net.is_host()).collect();
    let automatic = table.is_none();
    let covered = |to: &Cidr| automatic && to.is_default() || connected.iter().any(|net| net.covers(to));
    let uncovered = allowed.filter(|to| !covered(to));
    uncovered.map(|to| Route { to: *to, table }).collect()
}

/// The kernel setting by which a host forwards IPv6, and stops to be configured like a mere host.
pub const FORWARDING6: &str = "net.ipv6.conf.all.forwarding";

/// The kernel setting that wg-quick makes for a default route, and leaves behind.
pub const SRC_VALID_MARK: &str = "net.ipv4.conf.all.src_valid_mark";

/// Whether wg-quick gives the interface a default route by a firewall mark and a table of its own, which only its own
/// `up` and `down` can put there and take away.
pub fn takes_default_route(config: &InterfaceConfig) -> bool {
    config.table == Table::Auto && config.peers.iter().any(|peer| peer.allowed_ips.iter().any(|to| to.is_default()))
}
