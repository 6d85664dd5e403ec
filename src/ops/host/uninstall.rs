//! Taking everything of wg-friend's off a machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::db::{self, Store};
use crate::fleet::{self, Fleet, Leaving, Remains};
use crate::model::{Action, Actor, DeploymentState, Event, Host, HostAddress, InterfaceName, Name, Node, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::desired::{Deployed, Desired, question};
use crate::ops::deploy::journal::{self, Journal};
use crate::ops::deploy::logged::{LoggedStep, step};
use crate::ops::deploy::{run, shared};
use crate::ops::network::find;
use crate::wg::InterfaceConfig;
use crate::wg::compile::compile;

/// What becomes of interfaces that were there before wg-friend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adopted {
    /// They get back the file that they had.
    #[default]
    Restore,
    /// They stay as they are.
    Keep,
    /// They go like all others.
    Remove,
}

/// What is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What becomes of adopted interfaces.
    pub adopted: Adopted,
    /// Whether the packages go that were installed for wg-friend.
    pub packages: bool,
    /// Whether SSH keys stay that wg-friend let in.
    pub keep_key: bool,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// In words.
    pub what: String,
    /// Whether it was done; `None` before, and when nobody can know.
    pub done: Option<bool>,
    /// What the host said, if it failed.
    pub said: Option<String>,
    #[serde(skip)]
    command: String,
}

/// What will be done on a machine.
pub struct Departure {
    host: Host,
    nodes: Vec<Node>,
    /// What other networks have there, which stays; `None` when there is nothing of the kind.
    rest: Option<Deployed>,
    question: fleet::Question,
    take: Vec<InterfaceName>,
    give: Vec<(InterfaceName, Zeroizing<String>)>,
    /// What will be done, in order.
    pub removals: Vec<Removal>,
    /// Whether the way to the machine goes through what is taken down: then it is done once the connection is gone.
    pub alone: bool,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

impl Departure {
    /// Returns what there is to say before it is done.
    pub fn preview(&self) -> Uninstalled {
        Uninstalled {
            saved: false,
            host: self.host.name.clone(),
            complete: None,
            removals: self.removals.clone(),
            nodes: self.nodes.iter().map(|node| node.name.clone()).collect(),
            remarks: self.remarks.clone(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Uninstalled {
    /// Whether it was done; false for a preview.
    pub saved: bool,
    /// The machine.
    pub host: Name,
    /// Whether all of it was; `None` before, and when the machine does it alone and nobody can know.
    pub complete: Option<bool>,
    /// What was done, in order.
    pub removals: Vec<Removal>,
    /// The nodes that lived there and have no machine now.
    pub nodes: Vec<Name>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

/// Looks at a machine and says what would be taken off it.
///
/// # Errors
/// When it isn't known or can't be reached.
pub fn look(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    wanted: &str,
    request: &Request,
) -> Result<Departure, Error> {
    let topology = store.topology()?;
    let host = find::host(&topology, wanted)?.clone();
    let nodes: Vec<Node> = topology.nodes.iter().filter(|n| n.host.as_ref() == Some(&host.name)).cloned().collect();
    let secrets = store.secrets()?;
    let compiled = compile(&topology).unwrap_or_default(); // what is there goes, whatever the model says by now
    let desired = Desired::of(&host.name, &topology, &compiled, &secrets);
    let deployed = journal::deployed(store, &host.name)?;
    let others = match &deployed {
        Some(deployed) => shared::of_others(store, &deployed.version)?,
        None => BTreeSet::new(),
    };
    let before = deployed.as_ref().map_or(&[][..], |d| &d.version.interfaces);
    let before: Vec<&InterfaceConfig> = before.iter().filter(|i| !others.contains(&i.name)).collect();
    let mut interfaces = before.clone();
    interfaces
        .extend(desired.interfaces.iter().filter(|i| deployed.as_ref().is_none_or(|d| d.interface(&i.name).is_none())));
    let mut originals = store.originals()?;
    let was_there = |interface: &InterfaceConfig| secrets.documents.contains_key(&interface.id);
    let (adopted, own): (Vec<_>, Vec<_>) = interfaces.into_iter().partition(|interface| was_there(interface));
    let name = |interface: &&InterfaceConfig| interface.name.clone();
    let mut take: Vec<InterfaceName> = own.iter().map(name).collect();
    let mut give = Vec::new();
    let mut stays: Vec<InterfaceName> = others.iter().cloned().collect();
    for interface in adopted {
        match request.adopted {
            Adopted::Remove => take.push(interface.name.clone()),
            Adopted::Keep => stays.push(interface.name.clone()),
            Adopted::Restore => {
                give.push((interface.name.clone(), originals.remove(&interface.id).unwrap_or_default()));
            }
        }
    }
    let question = question(&desired, deployed.as_ref());
    let given: Vec<InterfaceName> = give.iter().map(|(name, _)| name.clone()).collect();
    let script = fleet::look_before_leaving(&question, &take, &given);
    let journal = Journal::new(store, clock, actor);
    let mut connection = fleet.connect(&host)?;
    let answer = journal.run(&host.name, None, connection.as_mut(), &script)?;
    let remains = fleet::read_remains(&answer);
    let touched: Vec<&InterfaceConfig> = before
        .iter()
        .copied()
        .chain(&desired.interfaces)
        .filter(|i| take.contains(&i.name) || given.contains(&i.name))
        .collect();
    let keys: BTreeSet<String> = touched.iter().filter_map(|i| i.key_file.clone()).collect();
    let removals = removals(&question, &take, &given, (&stays, !others.is_empty()), &keys, &remains, request);
    let alone = goes_through(&host, &topology, &touched, &remains);
    let mut remarks = remarks(&host, &nodes, &remains, request, alone, &stays);
    let rest = deployed.filter(|_| !others.is_empty()).map(|deployed| shared::only_of(deployed, &others));
    if rest.is_some() {
        let names = others.iter().map(InterfaceName::as_str).collect::<Vec<_>>().join(", ");
        remarks.push(format!("of other networks, {names} stays, and with it what all networks need there"));
    }
    Ok(Departure { host, nodes, rest, question, take, give, removals, alone, remarks })
}

/// Lists what is done on a machine, in an order in which each thing still finds what it needs.
fn removals(
    question: &fleet::Question,
    take: &[InterfaceName],
    give: &[InterfaceName],
    (stays, for_others): (&[InterfaceName], bool),
    keys: &BTreeSet<String>,
    remains: &Remains,
    request: &Request,
) -> Vec<Removal> {
    let mut list = Vec::new();
    let mut add = |what: String, command: String| list.push(Removal { what, done: None, said: None, command });
    let quote = |words: &[String]| {
        words
            .iter()
            .map(|w| shlex::try_quote(w).expect("no name holds a NUL").into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    for name in give {
        let restarts = if remains.up.contains(name) { ", restarting it if that differs" } else { "" };
        add(
            format!("give {name} back the file it had{restarts}"),
            format!("w_give_back {}", quote(&[name.to_string()])),
        );
    }
    for name in take {
        let what = if remains.up.contains(name) { "take down" } else { "no longer start" };
        add(format!("{what} {name}"), format!("w_take_down {}", quote(&[name.to_string()])));
    }
    let of_stays = |file: &String| stays.iter().any(|name| file_of(file, name));
    let stay_tables: Vec<String> = stays.iter().map(crate::wg::firewall::table_name).collect();
    let tables: Vec<String> = question.tables.iter().filter(|table| !stay_tables.contains(table)).cloned().collect();
    if !tables.is_empty() {
        add(format!("remove the firewall tables {}", tables.join(", ")), format!("w_take_tables {}", quote(&tables)));
    }
    let files: Vec<String> = question
        .files
        .iter()
        .filter(|file| !of_stays(file) && !give.iter().any(|name| **file == format!("{name}.conf")))
        .cloned()
        .collect();
    if stays.is_empty() {
        add("remove policy rules".into(), "w_take_rules".into());
    }
    if !files.is_empty() {
        add(format!("remove from /etc/wireguard: {}", files.join(", ")), format!("w_take_files {}", quote(&files)));
    }
    if !keys.is_empty() {
        let keys: Vec<String> = keys.iter().cloned().collect();
        let what = format!("remove private keys that this host made and nobody else has: {}", keys.join(", "));
        add(what, format!("w_take_files {}", quote(&keys)));
    }
    if stays.is_empty() {
        add("return kernel settings to what they were".into(), "w_return_settings".into());
        add("return /etc/wireguard and /etc/rc.local to what they were".into(), "w_return_places".into());
    }
    if for_others {
        return list; // what is left is theirs, too
    }
    if request.packages && !remains.packages.is_empty() {
        let names = remains.packages.join(", ");
        add(format!("remove the packages that were installed: {names}"), "w_take_packages".into());
    }
    add("remove /var/lib/wg-friend and /run/wg-friend".into(), "w_take_traces".into());
    if !request.keep_key && !remains.key_files.is_empty() {
        let files = remains.key_files.join(", ");
        add(format!("take the SSH key out of {files}"), "w_take_keys \"$w_keys\"".into());
    }
    list
}

/// Whether a file in /etc/wireguard belongs to an interface.
fn file_of(file: &str, interface: &InterfaceName) -> bool {
    crate::ops::deploy::is_file_of(file, interface)
}

/// Whether the connection to a machine ends with its interfaces.
fn goes_through(host: &Host, topology: &Topology, touched: &[&InterfaceConfig], remains: &Remains) -> bool {
    let own =
        |address: &IpAddr| touched.iter().any(|interface| interface.addresses.iter().any(|a| a.address() == *address));
    if let Some(way) = remains.way {
        return own(&way);
    }
    match &host.address {
        HostAddress::Local => false,
        HostAddress::Ssh { destination, .. } => {
            let inside = |address: IpAddr| topology.network.prefixes().any(|p| p.net().contains(&address));
            destination.parse::<IpAddr>().is_ok_and(|address| own(&address) || inside(address))
        }
    }
}

fn remarks(
    host: &Host,
    nodes: &[Node],
    remains: &Remains,
    request: &Request,
    alone: bool,
    stays: &[InterfaceName],
) -> Vec<String> {
    let mut remarks = Vec::new();
    if alone {
        remarks.push(format!(
            "the way to {} goes through what is taken down: it finishes by itself, can't be reached afterwards, and nobody can see how it went",
            host.name
        ));
    }
    if !remains.knows_before {
        remarks
            .push("what the kernel's settings were before isn't known there: they stay until it is restarted".into());
    }
    if !remains.packages.is_empty() && !request.packages {
        remarks.push(format!("packages that were installed stay: {} (--packages)", remains.packages.join(", ")));
    }
    if !stays.is_empty() {
        let names: Vec<&str> = stays.iter().map(InterfaceName::as_str).collect();
        remarks.push(format!("{} stays as it is, with its firewall and the kernel's settings", names.join(", ")));
    }
    for node in nodes {
        remarks.push(format!(
            "`{0}` stays in the network and lives nowhere then: `wg-friend remove {0}` if it is to go",
            node.name
        ));
    }
    remarks
}

/// Takes everything off a machine, and records that nothing is there any more and no node lives on it.
///
/// # Errors
/// When the machine can't be reached or refuses to begin, or the store can't be written.
pub fn uninstall(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    departure: Departure,
) -> Result<Uninstalled, Error> {
    let Departure { host, nodes, rest, question, take, give, mut removals, alone, remarks } = departure;
    let commands: Vec<String> = removals.iter().map(|removal| removal.command.clone()).collect();
    let script = fleet::leave(Leaving { question: &question, take: &take, give, steps: &commands, alone });
    let steps: Vec<LoggedStep> = removals
        .iter()
        .enumerate()
        .map(|(at, removal)| step(&(at + 1).to_string(), "remove", &removal.what, &removal.command))
        .collect();
    let mut connection = fleet.connect(&host)?;
    let parameters = if alone { "finishes alone" } else { "" };
    let journal = Journal::new(store, clock, actor);
    let answer = journal.run_steps(&host.name, None, connection.as_mut(), &script, parameters, &steps)?;
    drop(connection);
    if let Some((_, said)) = answer.all("failed").next() {
        let said = String::from_utf8_lossy(said).trim().to_owned();
        return Err(Error::Refused(format!("host `{}` was left as it was: {said}", host.name)));
    }
    let complete = if alone { None } else { Some(answer.all("bad").next().is_none()) };
    if !alone {
        let bad: Vec<usize> = answer.all("bad").filter_map(|(words, _)| words.first()?.parse().ok()).collect();
        for (at, removal) in removals.iter_mut().enumerate() {
            removal.done = Some(!bad.contains(&(at + 1)));
            let report = answer.all("did").find(|(words, _)| words.first() == Some(&(at + 1).to_string()));
            let said = report.map(|(_, body)| String::from_utf8_lossy(body).trim().to_owned());
            removal.said = said.filter(|said| removal.done == Some(false) && !said.is_empty());
        }
    }
    if complete != Some(false) {
        record(store, clock, actor, &host, &nodes, rest)?;
    }
    let nodes = nodes.into_iter().map(|node| node.name).collect();
    Ok(Uninstalled { saved: true, host: host.name, complete, removals, nodes, remarks })
}

/// Notes that a machine has nothing of ours any more but the rest that other networks have there.
fn record(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    host: &Host,
    nodes: &[Node],
    rest: Option<Deployed>,
) -> Result<(), Error> {
    let (now, token) = (clock.now(), run::token()?);
    let shared = rest.is_some();
    let rest = rest.unwrap_or_default();
    let stays = Zeroizing::new(serde_json::to_vec(&rest.version).expect("names and texts are representable"));
    store.write_all(now, actor, |tx| -> Result<_, Error> {
        let mut events = Vec::new();
        for node in nodes {
            let after = Node { host: None, ..node.clone() };
            tx.update_node(&after, now)?;
            events.push(Event::node(Action::PeerUpdated, &after).with("host", "none"));
        }
        let id = tx.begin_deployment(&host.name, &token, &actor.operator, now, &stays)?;
        tx.finish_deployment(id, DeploymentState::Confirmed, now, Some(UNINSTALLED), None)?;
        if shared {
            tx.save_observed(id, &journal::noting(&rest.tables))?;
        }
        let event = Event::host(Action::ConfigDeployed, &host.name).with("state", "confirmed");
        events.push(event.with("note", UNINSTALLED));
        Ok(((), events))
    })?;
    if shared {
        return Ok(()); // one that is open may be another network's
    }
    for open in store.open_deployments()?.into_iter().filter(|open| open.host == host.name) {
        let event = Event::host(Action::DeployFailed, &host.name).with("note", UNINSTALLED);
        store.write(now, actor, |tx| -> db::Result<_> {
            tx.finish_deployment(open.id, DeploymentState::Reverted, now, Some(UNINSTALLED), None)?;
            Ok(((), event))
        })?;
    }
    Ok(())
}

/// What the history of a host says of the version after which nothing is there.
const UNINSTALLED: &str = "uninstalled";
