//! The networks of a database: which there are, adding one beside the others, removing one.

use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;

use super::change::Mode;
use super::init::{DEFAULT_CIDR, random_prefix6};
use crate::db::{Database, Store, Tx};
use crate::model::{Action, Actor, Cidr, Egress, Event, InterfaceName, Mtu, Name, Network, Port, PskPolicy, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::shared;

/// A network, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Address plan and defaults.
    #[serde(flatten)]
    pub network: Network,
    /// How many nodes it has.
    pub nodes: usize,
    /// The hosts that they live on, ordered by name.
    pub hosts: BTreeSet<Name>,
    /// Whether commands are about this one, as they are called now.
    pub chosen: bool,
}

/// Lists the networks, in the order in which they were made.
///
/// # Errors
/// When the database can't be read.
pub fn list(database: &Database) -> Result<Vec<Listed>, Error> {
    let chosen = database.chosen().ok();
    let listed = |(id, network)| {
        let topology = database.topology_of(id)?;
        let hosts = hosts_of(&topology);
        Ok(Listed { network, nodes: topology.nodes.len(), hosts, chosen: chosen == Some(id) })
    };
    database.networks()?.into_iter().map(listed).collect()
}

fn hosts_of(topology: &Topology) -> BTreeSet<Name> {
    topology.nodes.iter().filter_map(|node| node.host.clone()).collect()
}

/// A network to be added; what isn't said gets a value that no other network has.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What to call it.
    pub name: Name,
    /// Its IPv4 prefix.
    pub cidr4: Choice<Ipv4Net>,
    /// Its IPv6 prefix.
    pub cidr6: Choice<Ipv6Net>,
    /// Name of the main interface on its nodes.
    pub interface: Option<InterfaceName>,
    /// Port on which its servers listen.
    pub port: Option<Port>,
    /// DNS servers and search domains for clients.
    pub dns: Vec<String>,
    /// MTU of its interfaces.
    pub mtu: Mtu,
    /// Seconds between keepalives of nodes that nobody can dial.
    pub keepalive: u16,
    /// Which links carry a preshared key.
    pub psk: PskPolicy,
}

/// A prefix as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<T> {
    /// One that is free.
    Free,
    /// This one.
    This(T),
    /// None.
    None,
}

/// What adding or removing a network came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `added` or `removed`.
    pub action: &'static str,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// The network.
    pub network: Network,
    /// The nodes that went with it.
    pub nodes: Vec<Name>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

/// Adds a network, with no node yet.
///
/// # Errors
/// When the name is taken or it would have no prefix.
pub fn add(store: &mut Store, clock: &dyn Clock, actor: &Actor, wanted: Wanted, mode: Mode) -> Result<Outcome, Error> {
    let work = |tx: &Tx<'_>| -> Result<(Outcome, Event), Error> {
        let others = tx.networks()?.into_iter().map(|(id, _)| tx.topology_of(id)).collect::<Result<Vec<_>, _>>()?;
        let network = complete(wanted, &others)?;
        tx.insert_network(&network)?;
        let prefixes: Vec<String> = network.prefixes().map(|prefix| prefix.to_string()).collect();
        let event = Event::network(Action::NetworkAdded, &network).with("prefixes", prefixes);
        let remarks = same_as_others(&network, &others);
        Ok((Outcome { action: "added", saved: mode == Mode::Save, network, nodes: Vec::new(), remarks }, event))
    };
    match mode {
        Mode::Save => store.write(clock.now(), actor, work),
        Mode::Preview => store.try_out(|tx| work(tx).map(|(outcome, _)| outcome)),
    }
}

/// Fills in what wasn't said.
fn complete(wanted: Wanted, others: &[Topology]) -> Result<Network, Error> {
    let same = |other: &&Topology| other.network.name.as_str().eq_ignore_ascii_case(wanted.name.as_str());
    if let Some(other) = others.iter().find(same) {
        let by = format!("the network `{}` of this database", other.network.name);
        return Err(Error::NameTaken { name: wanted.name, by });
    }
    let cidr4 = match wanted.cidr4 {
        Choice::This(prefix) => Some(prefix),
        Choice::None => None,
        Choice::Free => Some(free_prefix(others)?),
    };
    let cidr6 = match wanted.cidr6 {
        Choice::This(prefix) => Some(prefix),
        Choice::None => None,
        Choice::Free => Some(random_prefix6()?),
    };
    if cidr4.is_none() && cidr6.is_none() {
        return Err(Error::value("--cidr", "a network needs an IPv4 or an IPv6 prefix"));
    }
    Ok(Network {
        name: wanted.name,
        interface: wanted.interface.map_or_else(|| free_interface(others), Ok)?,
        cidr4,
        cidr6,
        port: wanted.port.map_or_else(|| free_port(others), Ok)?,
        dns: wanted.dns,
        mtu: wanted.mtu,
        keepalive: wanted.keepalive,
        psk: wanted.psk,
        stable_clients: Vec::new(),
        exit_rules: Vec::new(),
        exit: Egress::None,
        kill_switch: false,
    })
}

/// Returns the first of 10.66.0.0/24, 10.67.0.0/24 and so on that touches neither a network nor a LAN of one.
fn free_prefix(others: &[Topology]) -> Result<Ipv4Net, Error> {
    let lans = |topology: &Topology| topology.nodes.iter().flat_map(|node| &node.lans).map(|lan| lan.cidr).collect();
    let taken: Vec<Cidr> =
        others.iter().flat_map(|topology| topology.network.prefixes().chain::<Vec<Cidr>>(lans(topology))).collect();
    let first = DEFAULT_CIDR.addr().octets();
    let candidates = (first[1]..=u8::MAX).chain(0..first[1]).map(|second| {
        let address = [first[0], second, first[2], first[3]].into();
        Ipv4Net::new(address, DEFAULT_CIDR.prefix_len()).expect("the length is one of IPv4")
    });
    let free = |prefix: &Ipv4Net| !taken.iter().any(|taken| taken.overlaps(&Cidr::containing((*prefix).into())));
    let found = candidates.into_iter().find(free);
    found.ok_or_else(|| nothing_free("a prefix", "--cidr CIDR"))
}

/// Returns the first of wg0, wg1 and so on that no network and no node has.
fn free_interface(others: &[Topology]) -> Result<InterfaceName, Error> {
    let interfaces = others.iter().flat_map(|topology| &topology.nodes).flat_map(|node| &node.interfaces);
    let taken: BTreeSet<&str> = others
        .iter()
        .map(|topology| topology.network.interface.as_str())
        .chain(interfaces.map(|interface| interface.name.as_str()))
        .collect();
    let found = (0..1000).map(|n| format!("wg{n}")).find(|name| !taken.contains(name.as_str()));
    let found = found.ok_or_else(|| nothing_free("an interface", "--interface NAME"))?;
    Ok(found.parse().expect("wg and a number is the name of an interface"))
}

/// Returns the first port from 51820 on that no network and no node has.
fn free_port(others: &[Topology]) -> Result<Port, Error> {
    let interfaces = others.iter().flat_map(|topology| &topology.nodes).flat_map(|node| &node.interfaces);
    let taken: BTreeSet<Port> = others
        .iter()
        .map(|topology| topology.network.port)
        .chain(interfaces.flat_map(|own| own.listen_port.into_iter().chain(own.overlap.map(|next| next.port))))
        .collect();
    let mut candidates = (Port::WIREGUARD.get()..=u16::MAX).filter_map(Port::new);
    candidates.find(|port| !taken.contains(port)).ok_or_else(|| nothing_free("a port", "--port PORT"))
}

fn nothing_free(what: &'static str, flag: &'static str) -> Error {
    Error::RefusedWithRemedy {
        message: format!("{what} that no network has can't be found"),
        hint: format!("choose one yourself with {flag}"),
    }
}

/// Says what two networks have alike, so that no host can carry both.
fn same_as_others(network: &Network, others: &[Topology]) -> Vec<String> {
    let mut remarks = Vec::new();
    for other in others.iter().map(|topology| &topology.network) {
        let mut alike: Vec<String> = network
            .prefixes()
            .filter_map(|prefix| {
                other.prefixes().find(|theirs| theirs.overlaps(&prefix)).map(|theirs| (prefix, theirs))
            })
            .map(|(prefix, theirs)| format!("{prefix} overlaps {theirs}"))
            .collect();
        if network.interface == other.interface {
            alike.push(format!("both have the interface {}", network.interface));
        }
        if network.port == other.port {
            alike.push(format!("both have the port {}", network.port));
        }
        if !alike.is_empty() {
            remarks.push(format!(
                "no host can carry nodes of this network and of `{}`: {}",
                other.name,
                alike.join(", ")
            ));
        }
    }
    remarks
}

/// Removes a network. One that has nodes goes only with `force`, and while no host runs any of it.
///
/// # Errors
/// When there is no such network, it is the only one, it has nodes and isn't forced, or a host runs interfaces of it.
pub fn remove(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    name: &Name,
    force: bool,
    mode: Mode,
) -> Result<Outcome, Error> {
    let before = store.chosen().ok();
    store.choose(Some(name.as_str()))?;
    if store.networks()?.len() < 2 {
        return Err(Error::RefusedWithRemedy {
            message: format!("`{name}` is the only network of this database"),
            hint: "remove the database file if nothing of it is needed any more".into(),
        });
    }
    let topology = store.topology()?;
    refuse_running(store, &topology)?;
    let nodes: Vec<Name> = topology.nodes.iter().map(|node| node.name.clone()).collect();
    if !nodes.is_empty() && !force {
        let names: Vec<&str> = nodes.iter().take(NAMED).map(Name::as_str).collect();
        let more = if nodes.len() > NAMED { format!(" and {} more", nodes.len() - NAMED) } else { String::new() };
        return Err(Error::RefusedWithRemedy {
            message: format!("the network `{name}` has nodes: {}{more}", names.join(", ")),
            hint: format!("`wg-friend network remove {name} --force` removes them with it; nothing brings them back"),
        });
    }
    let work = |tx: &Tx<'_>| -> Result<((), Event), Error> {
        let gone: Vec<&str> = nodes.iter().map(Name::as_str).collect();
        let event = Event::network(Action::NetworkRemoved, &topology.network).with("nodes", gone);
        tx.delete_network()?;
        Ok(((), event))
    };
    match mode {
        Mode::Save => store.write(clock.now(), actor, work)?,
        Mode::Preview => store.try_out(|tx| work(tx).map(|_| ()))?,
    }
    let stays = store.networks()?.into_iter().find(|(id, _)| Some(*id) == before).map(|(_, network)| network.name);
    store.choose(stays.as_ref().map(Name::as_str))?;
    let saved = mode == Mode::Save;
    Ok(Outcome { action: "removed", saved, network: topology.network, nodes, remarks: Vec::new() })
}

/// So many nodes are named before the rest is counted.
const NAMED: usize = 8;

/// Refuses to forget what still runs on hosts.
fn refuse_running(store: &Store, topology: &Topology) -> Result<(), Error> {
    for host in &topology.hosts {
        let runs = shared::running(store, &host.name)?;
        if !runs.is_empty() {
            let names: Vec<&str> = runs.iter().map(InterfaceName::as_str).collect();
            return Err(Error::RefusedWithRemedy {
                message: format!(
                    "the host `{}` still runs {} of the network `{}`",
                    host.name,
                    names.join(", "),
                    topology.network.name
                ),
                hint: format!("first `wg-friend host uninstall {} --network={}`", host.name, topology.network.name),
            });
        }
    }
    Ok(())
}
