//! Who is connected: the links of the model, as the hosts see them right now or as the last deploys left them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, Store};
use crate::fleet::{self, Connection, Fleet, Observed, Question, read_observation};
use crate::model::{DeploymentState, Host, InterfaceName, Name, Node, NodeId, PublicKey, Role, Topology};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::parallel::each;
use crate::ops::{revision, traffic};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, compile, overlap};

use super::diff::SESSION_SECONDS;
use super::pending::pending;
use super::resume::{self, OpenDeploy};

/// Whether a link carries traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// A handshake within the last three minutes.
    Connected,
    /// There was one, longer ago.
    Disconnected,
    /// There never was one since the interface came up.
    Never,
    /// The peer isn't configured on the host that should have it.
    NotDeployed,
    /// No host that could tell has answered.
    Unknown,
}

impl LinkState {
    /// Returns its name, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Never => "never",
            Self::NotDeployed => "not_deployed",
            Self::Unknown => "unknown",
        }
    }
}

/// Where the traffic of a link goes that is down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The node over which it goes.
    pub over: Name,
    /// Since when, by the clock of the host that moved it.
    pub since: Option<DateTime<Utc>>,
}

/// One link as one of its ends sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// The node at the far end.
    pub node: Name,
    /// Its role.
    pub role: Role,
    /// Its address in the network.
    pub address: Option<IpAddr>,
    /// The node at the near end; `None` when nobody was asked.
    pub near: Option<Name>,
    /// The host that tells.
    pub seen_by: Option<Name>,
    /// The interface there.
    pub interface: Option<InterfaceName>,
    /// Whether it carries traffic.
    pub state: LinkState,
    /// Seconds since the latest handshake.
    pub handshake_age: Option<i64>,
    /// Where the far end is.
    pub endpoint: Option<SocketAddr>,
    /// Bytes received from it since the interface came up.
    pub rx: u64,
    /// Bytes sent to it.
    pub tx: u64,
    /// Where its traffic goes instead, if one of its ends has moved it because the link is down.
    pub moved: Option<Moved>,
}

impl LinkStatus {
    /// What its place among others goes by.
    pub(in crate::ops) fn place(&self) -> (Role, &Name, &Option<Name>) {
        (self.role, &self.node, &self.near)
    }
}

/// One host.
#[derive(Clone, Debug, Serialize)]
pub struct HostStatus {
    /// Which host.
    pub host: Name,
    /// Whether it answered; `None` when it wasn't asked.
    pub reachable: Option<bool>,
    /// Why not.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Seconds since it booted.
    pub uptime: Option<u64>,
    /// How its last deployment ended.
    pub deployment: Option<DeploymentState>,
    /// When that was.
    pub deployed: Option<DateTime<Utc>>,
    /// Its version, counted up per host.
    pub version: Option<i64>,
    /// Whether the model wants something else there by now; `None` while the vault is locked, or nothing was deployed.
    pub pending: Option<bool>,
}

/// The whole network.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The hosts, ordered by name.
    pub hosts: Vec<HostStatus>,
    /// The links; empty when hosts were not asked.
    pub links: Vec<LinkStatus>,
    /// Deploys that have begun and not ended: under way, or interrupted.
    pub open: Vec<OpenDeploy>,
}

/// Tells what is known without asking any host.
///
/// # Errors
/// When the store can't be read.
pub fn recorded(database: &Database) -> Result<Status, Error> {
    let topology = database.topology()?;
    let others = database.residents_of_others()?;
    let is_theirs = |host: &Host| {
        let own = topology.nodes.iter().any(|node| node.host.as_ref() == Some(&host.name));
        !own && others.iter().any(|(on, ..)| *on == host.name)
    };
    let hosts = topology.hosts.iter().filter(|host| !is_theirs(host));
    let hosts = hosts.map(|host| host_status(database, host)).collect::<Result<_, _>>()?;
    Ok(Status { hosts, links: Vec::new(), open: resume::open(database)? })
}

impl Status {
    /// Says of hosts whether they lack later changes. What files hold is secret, so this needs an unlocked vault.
    ///
    /// # Errors
    /// When the model contradicts itself or the store can't be read.
    pub fn tell_pending(&mut self, store: &Store) -> Result<(), Error> {
        let pending = pending(store)?;
        for host in &mut self.hosts {
            host.pending = pending.get(&host.host).copied();
        }
        Ok(())
    }
}

/// Asks every host, at most `parallel` at once. Needs no secret, so the vault may stay locked.
///
/// # Errors
/// When the model contradicts itself or the store can't be read. A host that doesn't answer is an entry.
pub fn live(
    database: &Database,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    parallel: usize,
) -> Result<Live, Error> {
    let network = Network::of(database)?;
    let jobs = network.hosts();
    let answers = each(jobs.iter().collect(), parallel, |(host, question)| {
        let answer = ask(fleet, host, question);
        (answer, clock.now())
    });
    let mut hosts = Vec::new();
    let mut seen: BTreeMap<Name, (Observed, DateTime<Utc>)> = BTreeMap::new();
    for ((host, _), (answer, now)) in jobs.iter().zip(answers) {
        let mut status = host_status(database, host)?;
        match answer {
            Ok(observed) => {
                status.reachable = Some(true);
                status.uptime = Some(observed.system.uptime);
                seen.insert(host.name.clone(), (observed, now));
            }
            Err(error) => {
                status.reachable = Some(false);
                status.error = Some(error.to_string());
                status.hint = error.hint();
            }
        }
        hosts.push(status);
    }
    let mut open = resume::open(database)?;
    for deploy in &mut open {
        seen.get(&deploy.host).into_iter().for_each(|(observed, _)| deploy.on(observed));
    }
    let links = network.links(&seen.iter().map(|(host, (observed, _))| (host.clone(), observed)).collect());
    Ok(Live { status: Status { hosts, links, open }, seen: seen.into_values().collect() })
}

/// The whole network as its hosts have just told of it.
pub struct Live {
    /// What they told.
    pub status: Status,
    /// What they answered, and when.
    seen: Vec<(Observed, DateTime<Utc>)>,
}

impl Live {
    /// Notes which revisions devices have proved to use, and what counters show. The first needs preshared keys, so it needs
    /// an unlocked vault.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub fn note_uses(&self, store: &mut Store) -> Result<(), Error> {
        let secrets = store.secrets()?;
        let seen = || self.seen.iter().map(|(observed, time)| (observed, *time));
        revision::seen::note(store, &secrets, seen())?;
        Ok(traffic::note(store, seen())?)
    }
}

/// What the hosts are compared with: the model, and what it compiles to.
pub(in crate::ops) struct Network {
    topology: Topology,
    /// The nodes that live on hosts.
    compiled: Vec<NodeConfig>,
}

impl Network {
    /// Reads the model.
    ///
    /// # Errors
    /// When it contradicts itself or can't be read.
    pub(in crate::ops) fn of(database: &Database) -> Result<Self, Error> {
        Self::over(database.topology()?)
    }

    /// Compiles a model.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub(in crate::ops) fn over(topology: Topology) -> Result<Self, Error> {
        let compiled = compile::compile_for_hosts(&topology).map_err(Error::Model)?;
        Ok(Self { topology, compiled })
    }

    /// Returns the hosts that something of the network lives on, each with what to ask it.
    pub(in crate::ops) fn hosts(&self) -> Vec<(Host, Question)> {
        let asked = |host: &Host| {
            let interfaces = self.on(&host.name).flat_map(|n| &n.interfaces).map(|i| i.name.clone()).collect();
            (host.clone(), Question { interfaces, ..Question::default() })
        };
        let hosts = self.topology.hosts.iter().filter(|host| self.on(&host.name).next().is_some());
        hosts.map(asked).collect()
    }

    /// Returns a line for every node but servers, as those hosts see it that have answered.
    pub(in crate::ops) fn links(&self, seen: &BTreeMap<Name, &Observed>) -> Vec<LinkStatus> {
        let mut links = Vec::new();
        for host in &self.topology.hosts {
            let observed = seen.get(&host.name).copied();
            links.extend(self.on(&host.name).flat_map(|node| links_of(&self.topology, host, node, observed)));
        }
        one_end_each(&self.topology, links)
    }

    fn on<'a>(&'a self, host: &'a Name) -> impl Iterator<Item = &'a NodeConfig> {
        let lives = |id: NodeId| self.topology.node(id).and_then(|n| n.host.as_ref()) == Some(host);
        self.compiled.iter().filter(move |config| lives(config.node))
    }
}

/// Returns what is recorded of a host.
pub(in crate::ops) fn host_status(database: &Database, host: &Host) -> Result<HostStatus, Error> {
    let last = database.deployments(&host.name, 1)?.into_iter().next();
    Ok(HostStatus {
        host: host.name.clone(),
        reachable: None,
        error: None,
        hint: None,
        uptime: None,
        deployment: last.as_ref().map(|d| d.state),
        deployed: last.as_ref().map(|d| d.finished.unwrap_or(d.started)),
        version: last.as_ref().map(|d| d.version),
        pending: None,
    })
}

fn ask(fleet: &dyn Fleet, host: &Host, question: &Question) -> Result<Observed, fleet::Error> {
    look(fleet.connect(host)?.as_mut(), host, question)
}

/// Asks over a connection.
pub(in crate::ops) fn look(
    connection: &mut dyn Connection,
    host: &Host,
    question: &Question,
) -> Result<Observed, fleet::Error> {
    let answer = connection.run(&fleet::observe(question, &[]))?;
    read_observation(&answer, question).map_err(|source| fleet::Error::Answer { host: host.name.clone(), source })
}

fn links_of(topology: &Topology, host: &Host, node: &NodeConfig, observed: Option<&Observed>) -> Vec<LinkStatus> {
    let owners: BTreeMap<PublicKey, NodeId> =
        topology.nodes.iter().flat_map(|n| n.interfaces.iter().map(move |i| (i.public_key, n.id))).collect();
    let mut found = Vec::new();
    for interface in &node.interfaces {
        for peer in interface.peers.iter().filter(|peer| peer.succeeds.is_none()) {
            let Some(far) = owners.get(&peer.public_key).and_then(|id| topology.node(*id)) else { continue };
            // Of a peer that is about to use another key, whichever of the two it uses.
            let next = interface.peers.iter().find(|next| next.succeeds == Some(peer.public_key));
            let keys = || std::iter::once(peer.public_key).chain(next.map(|next| next.public_key));
            // And of one that is dialled by two keys, whichever of its interfaces the peer is on.
            let names = [&interface.name, &overlap::name(&interface.name)];
            let seen = observed.map(|observed| {
                let live = names.into_iter().filter_map(|name| observed.interfaces.get(name));
                let peers = live.flat_map(|seen| keys().filter_map(|key| seen.live.peers.get(&key)));
                peers.max_by_key(|live| live.latest_handshake)
            });
            let clock = observed.map_or(0, |o| o.system.clock);
            let live = seen.flatten();
            let age = live.and_then(|l| l.latest_handshake).map(|time| (clock - time).max(0));
            found.push(LinkStatus {
                node: far.name.clone(),
                role: far.role,
                address: address(far),
                near: Some(node.name.clone()),
                seen_by: Some(host.name.clone()),
                interface: Some(interface.name.clone()),
                state: match (seen, age) {
                    (None, _) => LinkState::Unknown,
                    (Some(None), _) => LinkState::NotDeployed,
                    (Some(Some(_)), None) => LinkState::Never,
                    (Some(Some(_)), Some(age)) if age <= SESSION_SECONDS => LinkState::Connected,
                    (Some(Some(_)), Some(_)) => LinkState::Disconnected,
                },
                handshake_age: age,
                endpoint: live.and_then(|l| l.endpoint),
                rx: live.map_or(0, |l| l.rx),
                tx: live.map_or(0, |l| l.tx),
                moved: observed.and_then(|observed| moved(interface, peer, observed)),
            });
        }
    }
    found
}

/// The address by which a node is called.
fn address(node: &Node) -> Option<IpAddr> {
    node.address4.map(IpAddr::from).or_else(|| node.address6.map(IpAddr::from))
}

/// Says where a peer's traffic goes instead, if the host has moved it.
fn moved(interface: &InterfaceConfig, peer: &PeerConfig, observed: &Observed) -> Option<Moved> {
    let since = *observed.moved.get(&interface.name)?.get(&peer.public_key)?;
    let fallback = interface.fallbacks.iter().find(|fallback| fallback.link == peer.link)?;
    let over = interface.peers.iter().find(|peer| peer.link == fallback.over)?;
    Some(Moved { over: over.name.clone(), since: DateTime::from_timestamp(since, 0) })
}

/// Keeps one line a link: the server's, which sees all that belong to it; the better one of two servers' or two others'.
fn one_end_each(topology: &Topology, links: Vec<LinkStatus>) -> Vec<LinkStatus> {
    let servers: BTreeSet<&Name> = topology.with_role(Role::Server).map(|node| &node.name).collect();
    let seen_from_server = |link: &LinkStatus| link.near.as_ref().is_some_and(|near| servers.contains(near));
    let mut lines: Vec<LinkStatus> = Vec::with_capacity(links.len());
    let mut best: BTreeMap<(Name, Name), usize> = BTreeMap::new();
    for mut link in links.into_iter().filter(|link| link.role != Role::Server || seen_from_server(link)) {
        let Some(near) = link.near.clone() else { continue };
        let ends = if near <= link.node { (near, link.node.clone()) } else { (link.node.clone(), near) };
        match best.get(&ends) {
            Some(at) => {
                let known = &mut lines[*at];
                let moved = known.moved.take();
                if known.state <= link.state {
                    known.moved = moved.or(link.moved);
                } else {
                    link.moved = link.moved.or(moved);
                    *known = link;
                }
            }
            None => {
                best.insert(ends, lines.len());
                lines.push(link);
            }
        }
    }
    drop(best);
    let told: BTreeSet<Name> = lines.iter().map(|link| link.node.clone()).collect();
    let untold = topology.enabled().filter(|node| node.role != Role::Server && !told.contains(&node.name));
    lines.extend(untold.map(|node| LinkStatus {
        node: node.name.clone(),
        role: node.role,
        address: address(node),
        near: None,
        seen_by: None,
        interface: None,
        state: LinkState::Unknown,
        handshake_age: None,
        endpoint: None,
        rx: 0,
        tx: 0,
        moved: None,
    }));
    lines.sort_by(|a, b| a.place().cmp(&b.place()));
    lines
}
