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

use crate::db::Store;
use crate::model::{Action, Actor, Event, Host, HostAddress, Name, Node, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::change::Mode;
use crate::ops::network::find;
use crate::ops::network::setting::Difference;

/// A machine with the nodes that live on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// The machine.
    #[serde(flatten)]
    pub host: Host,
    /// The nodes on it.
    pub nodes: Vec<Name>,
}

impl HostView {
    fn of(host: &Host, topology: &Topology) -> Self {
        let on_it = |node: &&Node| node.host.as_ref() == Some(&host.name);
        let nodes = topology.nodes.iter().filter(on_it).map(|node| node.name.clone()).collect();
        Self { host: host.clone(), nodes }
    }
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
    let difference = |((field, before), (_, after))| Difference { node: String::new(), field, before, after };
    differing.map(difference).collect()
}

/// Lists the machines, ordered by name.
pub fn list(topology: &Topology) -> Vec<HostView> {
    topology.hosts.iter().map(|host| HostView::of(host, topology)).collect()
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
    let topology = store.topology()?;
    refuse_taken(&topology, &host.name, None)?;
    save(store, clock, actor, mode, |tx| {
        tx.insert_host(&host)?;
        let event = Event::host(Action::HostAdded, &host.name).with("address", host.address.to_string());
        let outcome =
            Outcome { action: "added", saved: false, host: HostView::of(&host, &topology), changes: Vec::new() };
        Ok((outcome, event))
    })
}

/// Removes a machine that no node lives on. What it runs goes on running there.
pub fn remove(store: &mut Store, clock: &dyn Clock, actor: &Actor, wanted: &str, mode: Mode) -> Result<Outcome, Error> {
    let topology = store.topology()?;
    let host = HostView::of(find::host(&topology, wanted)?, &topology);
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

fn refuse_taken(topology: &Topology, name: &Name, except: Option<&Host>) -> Result<(), Error> {
    let same = |host: &&Host| host.name.as_str().eq_ignore_ascii_case(name.as_str());
    match topology.hosts.iter().find(|host| same(host) && except.is_none_or(|e| e.name != host.name)) {
        Some(host) => Err(Error::NameTaken { name: name.clone(), by: format!("the host at {}", host.address) }),
        None => Ok(()),
    }
}
