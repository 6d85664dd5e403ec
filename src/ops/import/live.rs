//! Hosts that run WireGuard already: their files and what runs, in one round trip.

use std::collections::BTreeSet;

use crate::fleet::{self, Fleet, Observed, ObservedInterface, Question, read_observation};
use crate::model::{ByHooks, Cidr, Host, InterfaceAddr, InterfaceName, Run};
use crate::ops::Error;
use crate::wg::adopt::View;
use crate::wg::config::Mode;
use crate::wg::hooks;
use crate::wg::{Route, Table, Tunnel};

use super::read::{Origin, Read, Refused, Remark, as_text, origin, view_of_file};

/// A host that was asked.
#[derive(Debug)]
pub struct Surveyed {
    /// The host.
    pub host: Host,
    /// What it has.
    pub observed: Observed,
}

/// Asks a host for its files and for what runs.
///
/// # Errors
/// When it can't be reached, or lacks the programs that are needed.
pub fn survey(fleet: &dyn Fleet, host: Host) -> Result<Surveyed, Error> {
    let mut connection = fleet.connect(&host)?;
    let answer = connection.run(&fleet::survey())?;
    let observed = read_observation(&answer, &Question::default())
        .map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })?;
    let missing = observed.system.missing();
    if missing.is_empty() {
        return Ok(Surveyed { host, observed });
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let packages: BTreeSet<&str> = missing.iter().map(|(_, package)| *package).collect();
    let packages = packages.into_iter().collect::<Vec<_>>().join(" ");
    Err(Error::RefusedWithRemedy {
        message: format!("the host `{}` has no {}", host.name, programs.join(", ")),
        hint: format!("on Debian: apt-get install {packages}"),
    })
}

/// Reads what a host has into views: one for each file in /etc/wireguard that is an interface's; `only` these unless it is
/// empty.
pub fn views(surveyed: &Surveyed, only: &[InterfaceName], mode: Mode, read: &mut Read) {
    let Surveyed { host, observed } = surveyed;
    let mut with_file = BTreeSet::new();
    for (path, file) in &observed.files {
        let source = format!("{}:/etc/wireguard/{path}", host.name);
        let Some(name) = path.strip_suffix(".conf").and_then(|stem| stem.parse::<InterfaceName>().ok()) else {
            read.refused.push(Refused { source, reason: "its name is no name of an interface".to_owned() });
            continue;
        };
        if !only.is_empty() && !only.contains(&name) {
            continue;
        }
        with_file.insert(name.clone());
        let view = as_text(&file.content).and_then(|text| view_of_file(&source, text, mode, &mut read.remarks));
        match view {
            Ok(view) => {
                let origin: Origin = origin(&source, super::read::WG_QUICK, &file.content);
                read.views.push(of_host(view, name, surveyed, &mut read.remarks));
                read.origins.push(origin);
            }
            Err(reason) => read.refused.push(Refused { source, reason }),
        }
    }
    let wanted = |name: &&InterfaceName| only.is_empty() || only.contains(name);
    for name in observed.interfaces.keys().filter(wanted).filter(|name| !with_file.contains(*name)) {
        let text = "it runs, and has no file in /etc/wireguard: something else keeps it (NetworkManager, networkd, a \
                    script); it is left alone";
        read.remarks.push(Remark { about: format!("{}:{name}", host.name), text: text.to_owned() });
    }
}

/// Adds to what a file says what the host says about its interface.
fn of_host(mut view: View, name: InterfaceName, surveyed: &Surveyed, remarks: &mut Vec<Remark>) -> View {
    let Surveyed { host, observed } = surveyed;
    let at_boot = observed.boot.contains(&name);
    view.name = Some(observed.system.hostname.clone()).filter(|name| !name.is_empty());
    view.host = Some(host.name.clone());
    if let Some(running) = observed.interfaces.get(&name) {
        view.run = if at_boot { Run::Boot } else { Run::Now };
        view.public_key = running.live.public_key;
        view.by_hooks = by_hooks(&view.tunnel, &name, running);
    } else {
        view.run = Run::Off;
        let text = if at_boot { "it isn't running, although it starts at boot" } else { "it isn't running" };
        remarks.push(Remark { about: view.source.clone(), text: text.to_owned() });
    }
    view.interface = Some(name);
    view
}

/// Returns the routes and addresses that an interface has beyond its file, when hooks of its own can have made them.
/// Without such hooks somebody added them by hand, and the plan says so.
fn by_hooks(tunnel: &Tunnel, name: &InterfaceName, running: &ObservedInterface) -> ByHooks {
    let understood = hooks::understand(&tunnel.hooks, name);
    let (routes, addresses) = (understood.makes_routes(), understood.makes_addresses());
    if !(routes || addresses || understood.is_opaque()) {
        return ByHooks::default();
    }
    let by_file = routes_of(tunnel);
    let own: BTreeSet<InterfaceAddr> = tunnel.addresses.iter().copied().collect();
    let to_default = tunnel.peers.iter().any(|peer| peer.allowed_ips.iter().any(Cidr::is_default));
    let defaults = tunnel.table == Table::Auto && to_default;
    // The tables of a default route are wg-quick's own.
    let by_wg_quick = |route: &Route| by_file.contains(route) || defaults && route.table.is_some();
    ByHooks {
        routes: running.routes.iter().filter(|route| !by_wg_quick(route)).copied().collect(),
        addresses: running.addresses.difference(&own).copied().collect(),
    }
}

fn routes_of(tunnel: &Tunnel) -> BTreeSet<Route> {
    let allowed = tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips);
    crate::wg::runtime::routes_by_wg_quick(&tunnel.table, &tunnel.addresses, allowed)
}
