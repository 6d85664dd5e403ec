//! How old keys are, who has them, and which were replaced.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Source;
use super::access::subject;
use crate::model::{Custody, InterfaceId, InterfaceName, KeyState, LinkId, Name, PskPolicy, PublicKey, Role, Topology};
use crate::ops::Error;
use crate::ops::psk::{self, status::Breach};
use crate::ops::revision::{self, DeviceState};
use crate::ops::rotation::policy::due::{Standing, State, standings};
use crate::ops::rotation::policy::view::{self, PolicyView, Summary};
use crate::wg::compile::links;

/// Keys, and who has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Keys {
    /// Every key in use, the oldest first.
    pub active: Vec<Key>,
    /// Whether every new link of the network gets a preshared key.
    pub preshared_policy: PskPolicy,
    /// Every link between enabled nodes, with the age of its preshared key, the oldest first and those without before.
    pub links: Vec<LinkKey>,
    /// Links that don't have the preshared key that is wanted of them, by name.
    pub breaches: Vec<Breach>,
    /// How many nodes' private keys are with whom.
    pub custody: BTreeMap<&'static str, usize>,
    /// The rotation policies, and how many keys are due by each.
    pub policies: Vec<PolicyView>,
    /// The sums of that, every node counted once.
    pub policy_summary: Summary,
    /// Whose keys are due by policy, the most pressing first: as `rotation due --within 0d` lists them.
    pub due: Vec<Standing>,
    /// Replacements of keys in the period, the newest first.
    pub rotations: Vec<Rotation>,
    /// The devices whose file somebody carries there, by name.
    pub devices: Vec<Device>,
    /// Why nothing can be said about devices: the model can't be compiled, for instance for want of a server.
    pub devices_unknown: Option<String>,
}

/// A key in use. Nothing secret: only its public half, shortened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Whose.
    pub node: Name,
    /// What that node does.
    pub role: Role,
    /// Whether the node is in any configuration.
    pub enabled: bool,
    /// Of which of its interfaces.
    pub interface: InterfaceName,
    /// The public half.
    pub public_key: PublicKey,
    /// Since when it is known.
    pub created: DateTime<Utc>,
    /// Its age in whole days.
    pub days: i64,
    /// Who has the private half.
    pub custody: Custody,
    /// Whether the private half is in this database.
    pub held: bool,
}

/// A link and its preshared key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkKey {
    /// The nodes at its ends, by name.
    pub nodes: [Name; 2],
    /// Since when it has the preshared key that it has; `None` when it has none.
    pub created: Option<DateTime<Utc>>,
    /// The age of that key in whole days.
    pub days: Option<i64>,
}

/// A replacement of a node's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rotation {
    /// The number of its entry in the audit log.
    pub entry: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// The node, by its name then.
    pub node: String,
    /// Why.
    pub reason: String,
    /// By whom.
    pub operator: String,
}

/// A device whose file somebody carries there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name.
    pub node: Name,
    /// Whether what it was given last is what it would get now.
    pub state: DeviceState,
    /// When it was given its last file.
    pub handed_out: Option<DateTime<Utc>>,
    /// Whether it was seen to use that file, or one with the same keys.
    pub seen_in_use: bool,
}

/// Gathers it.
pub(super) fn gather(source: &Source<'_>) -> Result<Keys, Error> {
    let (topology, now) = (&source.topology, source.period.to);
    let mut active = Vec::new();
    for node in &topology.nodes {
        let records = source.database.key_history(node.id)?;
        active.extend(records.into_iter().filter(|key| key.state == KeyState::Active).map(|key| Key {
            node: node.name.clone(),
            role: node.role,
            enabled: node.enabled,
            interface: key.interface_name,
            public_key: key.public_key,
            created: key.created,
            days: (now - key.created).num_days(),
            custody: node.custody,
            held: key.held,
        }));
    }
    active.sort_by(|a, b| (a.created, &a.node, &a.interface).cmp(&(b.created, &b.node, &b.interface)));
    let mut custody: BTreeMap<&'static str, usize> = Custody::ALL.iter().map(|word| (word.as_str(), 0)).collect();
    for node in &topology.nodes {
        *custody.entry(node.custody.as_str()).or_default() += 1;
    }
    let rotations = source.entries.iter().filter(|entry| entry.action == "key_rotation").map(|entry| Rotation {
        entry: entry.id,
        time: entry.time,
        node: subject(entry),
        reason: entry.details.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default().to_owned(),
        operator: entry.operator.clone(),
    });
    let (reports, devices_unknown) = match revision::list(source.database) {
        Ok(reports) => (reports, None),
        Err(Error::Model(refusals)) => (Vec::new(), Some(Error::Model(refusals).to_string())),
        Err(error) => return Err(error),
    };
    let devices = reports.into_iter().map(|device| Device {
        handed_out: device.given.as_ref().map(|given| given.revision.last_handed_out),
        seen_in_use: device
            .given
            .as_ref()
            .is_some_and(|given| given.in_use.is_some_and(|used| used.number == given.revision.number || used.or_last)),
        node: device.node,
        state: device.state,
    });
    let facts = view::facts(source.database)?;
    let mut due = standings(&facts, now, Some(TimeDelta::zero()));
    let view::List { policies, summary } = view::list_of(&facts, &due, now);
    due.retain(|node| node.state == State::Due);
    view::press(&mut due);
    Ok(Keys {
        active,
        policies,
        policy_summary: summary,
        due,
        preshared_policy: topology.network.psk,
        links: of_links(source, now)?,
        breaches: psk::status::breaches(source.database, topology, now)?,
        custody,
        rotations: rotations.collect(),
        devices: devices.collect(),
        devices_unknown,
    })
}

/// Returns the links between enabled nodes, each once.
pub(super) fn distinct_links(topology: &Topology) -> BTreeSet<LinkId> {
    links(topology).into_iter().collect()
}

fn of_links(source: &Source<'_>, now: DateTime<Utc>) -> Result<Vec<LinkKey>, Error> {
    let nodes = source.topology.nodes.iter();
    let owners: BTreeMap<InterfaceId, &Name> =
        nodes.flat_map(|node| node.interfaces.iter().map(move |own| (own.id, &node.name))).collect();
    let since = source.database.preshared_since()?;
    let mut found: Vec<LinkKey> = distinct_links(&source.topology)
        .into_iter()
        .filter_map(|link| {
            let (low, high) = link.ends();
            let mut nodes = [(*owners.get(&low)?).clone(), (*owners.get(&high)?).clone()];
            nodes.sort();
            let created = since.get(&link).copied();
            Some(LinkKey { nodes, created, days: created.map(|created| (now - created).num_days()) })
        })
        .collect();
    found.sort_by(|a, b| (a.created, &a.nodes).cmp(&(b.created, &b.nodes)));
    Ok(found)
}
