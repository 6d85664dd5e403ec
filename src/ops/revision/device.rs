//! Who has what, and who needs something else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, Revision};
use crate::model::{InterfaceId, LinkId, Name, Node, NodeId, Role, Topology};
use crate::ops::Error;
use crate::wg::NodeConfig;
use crate::wg::compile::{compile, compile_in_parts};

use super::meaning::{Meaning, OWN_KEY, Reason, Weight, compare};

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It has an older file.
    Outdated,
    /// It was never given a file.
    NeverHandedOut,
    /// What it was given last is what it would get now.
    UpToDate,
}

/// What a device was given, and what is known of its use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The revision itself.
    #[serde(flatten)]
    pub revision: Revision,
    /// The newest revision that a handshake has proved in use: this one, or an earlier one that the device still uses.
    pub in_use: Option<InUse>,
}

/// That a device uses a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InUse {
    /// Which.
    pub number: i64,
    /// Whether it may as well be the one handed out last: keys and port are the same, and more a handshake doesn't tell.
    pub or_last: bool,
    /// Since when it is known.
    pub since: DateTime<Utc>,
    /// The newest handshake that proves it.
    pub last: DateTime<Utc>,
}

/// A node without a host: somebody carries its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// Its name.
    pub node: Name,
    /// Its role.
    pub role: Role,
    /// Where it stands.
    pub state: DeviceState,
    /// What it was given last; `None` when that was nothing.
    pub given: Option<Given>,
    /// Why it must get a new file: it is cut off without, or will be once the hosts are deployed.
    pub must: Vec<String>,
    /// What it lacks without a new file, and works all the same.
    pub may: Vec<String>,
}

impl DeviceReport {
    /// Says in a line why it needs a new file: `must: endpoint port 51820 -> 51821; may: MTU 1420 -> 1412`. Empty when it
    /// needs none.
    pub fn why(&self) -> String {
        let part =
            |word: &str, reasons: &[String]| (!reasons.is_empty()).then(|| format!("{word}: {}", reasons.join(", ")));
        [part("must", &self.must), part("may", &self.may)].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// Says in a line what it was given and whether that is in use: `revision 3, by qr on 2026-11-20, in use since
    /// 2026-11-20 14:02 UTC`. Empty when it was given nothing.
    pub fn history(&self) -> String {
        let Some(Given { revision, in_use }) = &self.given else { return String::new() };
        let by = if revision.is_found() {
            format!("found {}", revision.handed_out.format("%Y-%m-%d"))
        } else {
            format!("handed out {} by {}", revision.last_handed_out.format("%Y-%m-%d"), revision.methods.join(", "))
        };
        let since = |time: &DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
        let used = match in_use {
            None => "not seen in use yet".to_owned(),
            Some(used) if used.number == revision.number => format!("in use since {}", since(&used.since)),
            Some(used) if used.or_last => {
                format!("this or revision {} in use since {}", used.number, since(&used.since))
            }
            Some(used) => format!("revision {} was in use {}", used.number, since(&used.last)),
        };
        format!("revision {} {by}, {used}", revision.number)
    }
}

/// Compares what every device has with what it would be given now. Pure. Ordered by name; disabled nodes need no file,
/// and of a node that is known by its public key alone there is none to give.
pub fn devices(
    topology: &Topology,
    compiled: &[NodeConfig],
    preshared: &BTreeMap<LinkId, DateTime<Utc>>,
    revisions: &BTreeMap<NodeId, Vec<Revision>>,
) -> Vec<DeviceReport> {
    let names = names(topology);
    let configs: BTreeMap<NodeId, &NodeConfig> = compiled.iter().map(|config| (config.node, config)).collect();
    let carried = topology.nodes.iter().filter(|node| node.enabled && node.host.is_none());
    let mut devices: Vec<DeviceReport> = carried
        .filter_map(|node| {
            let given = revisions.get(&node.id).map_or(&[][..], Vec::as_slice);
            if node.provisional && given.is_empty() {
                return None;
            }
            Some(device(node, &Meaning::of(configs.get(&node.id)?, preshared), given, &names))
        })
        .collect();
    devices.sort_by(|a, b| a.node.cmp(&b.node));
    devices
}

fn names(topology: &Topology) -> BTreeMap<InterfaceId, Name> {
    let all = topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(move |i| (i.id, node.name.clone())));
    all.collect()
}

/// What is to be said of one device. `revisions`: the newest first.
fn device(node: &Node, now: &Meaning, revisions: &[Revision], names: &BTreeMap<InterfaceId, Name>) -> DeviceReport {
    let (name, role) = (node.name.clone(), node.role);
    let Some(last) = revisions.first() else {
        let state = DeviceState::NeverHandedOut;
        return DeviceReport { node: name, role, state, given: None, must: Vec::new(), may: Vec::new() };
    };
    let had = Meaning::from_json(&last.meaning);
    let reasons = match &had {
        Some(had) => compare(had, now, names).into_iter().map(|reason| of_next_key(node, had, reason)).collect(),
        // Only a later wg-friend writes what this one can't read.
        None => vec![Reason { weight: Weight::May, what: "what it has can't be told any more".to_owned() }],
    };
    let of = |weight| reasons.iter().filter(|r| r.weight == weight).map(ToString::to_string).collect();
    DeviceReport {
        node: name,
        role,
        state: if reasons.is_empty() { DeviceState::UpToDate } else { DeviceState::Outdated },
        given: Some(Given { revision: last.clone(), in_use: in_use(last, had.as_ref(), revisions) }),
        must: of(Weight::Must),
        may: of(Weight::May),
    }
}

/// A key that is followed by another stays good until that is used: then its device isn't cut off without a new file.
fn of_next_key(node: &Node, had: &Meaning, reason: Reason) -> Reason {
    let present = |key| node.interfaces.iter().any(|own| own.staged_key.is_some() && own.public_key == key);
    if reason.what.ends_with(OWN_KEY) && had.shown().iter().any(|shown| present(shown.own)) {
        return Reason { weight: Weight::May, what: "its next key".to_owned() };
    }
    reason
}

/// Returns the revision that the newest proof is of.
fn in_use(last: &Revision, meaning: Option<&Meaning>, revisions: &[Revision]) -> Option<InUse> {
    let proven = revisions.iter().filter_map(|r| Some((r, r.first_used.zip(r.last_used)?)));
    let (revision, (since, newest)) = proven.max_by_key(|(r, (_, newest))| (*newest, r.number))?;
    let alike = || {
        let shown = Meaning::from_json(&revision.meaning).map(|was| was.shown());
        shown.is_some() && shown == meaning.map(Meaning::shown)
    };
    let or_last = revision.number != last.number && alike();
    Some(InUse { number: revision.number, or_last, since, last: newest })
}

/// Says of every device what it has and what it needs. Needs no passphrase.
///
/// # Errors
/// When the model contradicts itself or the store can't be read.
pub fn list(database: &Database) -> Result<Vec<DeviceReport>, Error> {
    list_those(database, |_| true)
}

/// Says of some devices what they have and what they need, ordered by name. Of a large network there is never all of what it
/// compiles to at once.
fn list_those(database: &Database, which: impl Fn(&DeviceReport) -> bool) -> Result<Vec<DeviceReport>, Error> {
    let topology = database.topology()?;
    let (preshared, revisions) = (database.preshared_in_files()?, database.all_revisions()?);
    let mut found = Vec::new();
    let mut take = |configs: Vec<NodeConfig>| {
        found.extend(devices(&topology, &configs, &preshared, &revisions).into_iter().filter(&which));
    };
    compile_in_parts(&topology, &mut take).map_err(Error::Model)?;
    found.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(found)
}

/// Returns the devices that were given a file and need a new one, those that must get it first. Needs no passphrase.
///
/// # Errors
/// When the model contradicts itself or the store can't be read.
pub fn needed(database: &Database) -> Result<Vec<DeviceReport>, Error> {
    let mut devices = list_those(database, |device| device.state == DeviceState::Outdated)?;
    devices.sort_by_key(|device| device.must.is_empty()); // stable
    Ok(devices)
}

/// Says of one node what it has and what it needs; `None` when nobody carries its file, or none can be made of the model as
/// it is.
///
/// # Errors
/// When the store can't be read.
pub fn of(database: &Database, topology: &Topology, node: &Node) -> Result<Option<DeviceReport>, Error> {
    if node.host.is_some() || !node.enabled {
        return Ok(None);
    }
    let revisions = database.revisions(node.id)?;
    let Ok(compiled) = compile(topology) else { return Ok(None) };
    let Some(config) = compiled.iter().find(|config| config.node == node.id) else { return Ok(None) };
    if node.provisional && revisions.is_empty() {
        return Ok(None);
    }
    let now = Meaning::of(config, &database.preshared_in_files()?);
    Ok(Some(device(node, &now, &revisions, &names(topology))))
}
