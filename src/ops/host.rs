//! Machines: adding, changing, removing and trying them.

mod check;
mod install;
mod join;
mod key;
mod set;
mod uninstall;

pub use check::{Checked, Requirement, Verdict, check};
pub use install::{Installed, install};
pub use join::{Joined, Request as JoinRequest, Way, join, operators_key};
pub use key::{AddedWithKey, KeyReport, KeyRequest, Step as KeyStep, add_with_key};
pub use set::{KEYS, set};
pub use uninstall::{Adopted, Departure, Removal, Request as UninstallRequest, Uninstalled, look, uninstall};

use serde::Serialize;

use crate::db::{self, Database, Store};
use crate::model::{Action, Actor, Event, Host, HostAddress, Name, Node, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::change::Mode;
use crate::ops::network::difference::Difference;
use crate::ops::network::find;

/// A machine with the nodes that live on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// The machine.
    #[serde(flatten)]
    pub host: Host,
    /// The nodes of the network on it.
    pub nodes: Vec<Name>,
    /// The nodes of other networks on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Resident>,
}

/// A node of another network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resident {
    /// Its network.
    pub network: Name,
    /// The node.
    pub node: Name,
}

impl HostView {
    /// A machine as one network sees it: `others` are the nodes of other networks, each with its host.
    fn of(host: &Host, topology: &Topology, others: &[(Name, Name, Name)]) -> Self {
        let on_it = |node: &&Node| node.host.as_ref() == Some(&host.name);
        let nodes = topology.nodes.iter().filter(on_it).map(|node| node.name.clone()).collect();
        Self { host: host.clone(), nodes, others: others_on(&host.name, others) }
    }
}

fn others_on(host: &Name, others: &[(Name, Name, Name)]) -> Vec<Resident> {
    let on_it = others.iter().filter(|(on, ..)| on == host);
    on_it.map(|(_, network, node)| Resident { network: network.clone(), node: node.clone() }).collect()
}

/// What a change of a machine came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `added`, `changed` or `removed`.
    pub action: &'static str,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// The machine as it is now, or was before it was removed.
    pub host: HostView,
    /// Every value that differs.
    pub changes: Vec<Difference>,
}

/// Returns what is set on a machine, as text by key.
pub(super) fn values(host: &Host) -> Vec<(&'static str, String)> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
    let (jump, identity) = match &host.address {
        HostAddress::Local => (None, None),
        HostAddress::Ssh { jump, identity, .. } => (jump.clone(), identity.clone()),
    };
    vec![
        ("name", host.name.to_string()),
        ("address", host.address.to_string()),
        ("jump", or_none(&jump)),
        ("identity", or_none(&identity)),
        ("become", host.becoming.to_string()),
        ("allow-unsafe", host.allow_unsafe.as_ref().map_or("off".into(), |by| format!("on ({})", by.reason))),
        ("auto-sync", host.auto_sync.to_string()),
    ]
}

fn differences(before: &Host, after: &Host) -> Vec<Difference> {
    let differing = values(before).into_iter().zip(values(after)).filter(|((_, was), (_, is))| was != is);
    let difference = |((field, before), (_, after))| Difference::of("", field, before, after);
    differing.map(difference).collect()
}

/// Lists the machines, ordered by name. While no network is chosen, the nodes of all count as those of others.
///
/// # Errors
/// When the database can't be read.
pub fn list(database: &Database) -> Result<Vec<HostView>, Error> {
    let others = database.residents_of_others()?;
    match database.topology() {
        Ok(topology) => Ok(topology.hosts.iter().map(|host| HostView::of(host, &topology, &others)).collect()),
        Err(db::Error::NoNetworkChosen { .. }) => {
            let view = |host: Host| HostView { nodes: Vec::new(), others: others_on(&host.name, &others), host };
            Ok(database.hosts()?.into_iter().map(view).collect())
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads jump hosts as `ssh -J` takes them: destinations separated by commas.
pub fn jump(label: &str, text: &str) -> Result<String, Error> {
    for part in text.split(',') {
        match part.parse::<HostAddress>().map_err(|e| Error::value(label, e))? {
            HostAddress::Ssh { .. } => {}
            HostAddress::Local => return Err(Error::value(label, "`local` can't be jumped over")),
        }
    }
    Ok(text.to_owned())
}

/// Reads the path of a private key file.
pub fn identity(label: &str, text: &str) -> Result<String, Error> {
    if text.starts_with('-') || text.chars().any(char::is_control) {
        return Err(Error::value(label, format!("`{}` is no path of a key file", text.escape_debug())));
    }
    Ok(text.to_owned())
}

/// Adds a machine.
pub fn add(store: &mut Store, clock: &dyn Clock, actor: &Actor, host: Host, mode: Mode) -> Result<Outcome, Error> {
    refuse_taken(&store.hosts()?, &host.name, None)?;
    save(store, clock, actor, mode, |tx| {
        tx.insert_host(&host)?;
        let event = Event::host(Action::HostAdded, &host.name).with("address", host.address.to_string());
        let view = HostView { host: host.clone(), nodes: Vec::new(), others: Vec::new() };
        Ok((Outcome { action: "added", saved: false, host: view, changes: Vec::new() }, event))
    })
}

/// Removes a machine that no node lives on. What it runs goes on running there.
pub fn remove(store: &mut Store, clock: &dyn Clock, actor: &Actor, wanted: &str, mode: Mode) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let host = HostView::of(find::host(&topology, wanted)?, &topology, &store.residents_of_others()?);
    if let Some(Resident { network, .. }) = host.others.first() {
        let names: Vec<String> =
            host.others.iter().map(|other| format!("`{}` of `{}`", other.node, other.network)).collect();
        return Err(Error::RefusedWithRemedy {
            message: format!("the host `{}` is still used by other networks: {}", host.host.name, names.join(", ")),
            hint: format!("`wg-friend list --network={network}` shows the nodes of one"),
        });
    }
    if let Some(first) = host.nodes.first() {
        let names: Vec<&str> = host.nodes.iter().map(Name::as_str).collect();
        return Err(Error::RefusedWithRemedy {
            message: format!("the host `{}` is still used by {}", host.host.name, names.join(", ")),
            hint: format!("first `wg-friend set {first} host=none`, or `wg-friend remove {first}`"),
        });
    }
    save(store, clock, actor, mode, |tx| {
        tx.delete_host(&host.host.name)?;
        let event = Event::host(Action::HostRemoved, &host.host.name).with("address", host.host.address.to_string());
        Ok((Outcome { action: "removed", saved: false, host: host.clone(), changes: Vec::new() }, event))
    })
}

fn save(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    mode: Mode,
    work: impl FnOnce(&crate::db::Tx<'_>) -> Result<(Outcome, Event), Error>,
) -> Result<Outcome, Error> {
    let mut outcome = match mode {
        Mode::Save => store.write(clock.now(), actor, work)?,
        Mode::Preview => store.try_out(|tx| work(tx).map(|(outcome, _)| outcome))?,
    };
    outcome.saved = mode == Mode::Save;
    Ok(outcome)
}

fn refuse_taken(hosts: &[Host], name: &Name, except: Option<&Host>) -> Result<(), Error> {
    let same = |host: &&Host| host.name.as_str().eq_ignore_ascii_case(name.as_str());
    match hosts.iter().find(|host| same(host) && except.is_none_or(|e| e.name != host.name)) {
        Some(host) => Err(Error::NameTaken { name: name.clone(), by: format!("the host at {}", host.address) }),
        None => Ok(()),
    }
}
