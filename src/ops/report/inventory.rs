//! What there is: nodes, machines, networks behind them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Source;
use crate::db::Database;
use crate::model::{Access, Custody, DeploymentState, HostAddress, Name, Role};
use crate::ops::Error;

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// The network's prefixes.
    pub prefixes: Vec<String>,
    /// How many nodes have each role.
    pub roles: BTreeMap<&'static str, usize>,
    /// The nodes, by role and name.
    pub nodes: Vec<Item>,
    /// The machines on which nodes of the network live, by name.
    pub hosts: Vec<Machine>,
    /// The networks behind nodes.
    pub lans: Vec<Behind>,
    /// How many links there are between enabled nodes.
    pub links: usize,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name.
    pub name: Name,
    /// The first public key it ever had: its permanent name.
    pub guid: String,
    /// What it does.
    pub role: Role,
    /// What kind of device a remote is.
    pub device: Option<String>,
    /// Whether it is in any configuration.
    pub enabled: bool,
    /// Its addresses in the network.
    pub addresses: Vec<String>,
    /// Where others dial it.
    pub endpoint: Option<String>,
    /// The machine it runs on, when wg-friend can reach it.
    pub host: Option<Name>,
    /// Its level of access.
    pub access: Access,
    /// Who has its private key.
    pub custody: Custody,
    /// How it came into the model.
    pub origin: String,
    /// Since when it is there.
    pub created: DateTime<Utc>,
    /// The operator's notes.
    pub notes: String,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Its name.
    pub name: Name,
    /// How it is reached: `local` or where SSH goes.
    pub reached: String,
    /// The nodes of the network that live on it.
    pub nodes: Vec<Name>,
    /// The version that it confirmed last, and when.
    pub deployed: Option<(i64, DateTime<Utc>)>,
}

/// A network behind a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// Its prefix.
    pub prefix: String,
    /// What it is.
    pub description: String,
    /// Behind which node.
    pub node: Name,
}

/// Gathers it.
pub(super) fn gather(source: &Source<'_>) -> Result<Inventory, Error> {
    let topology = &source.topology;
    let mut roles: BTreeMap<&'static str, usize> = Role::ALL.iter().map(|role| (role.as_str(), 0)).collect();
    for node in &topology.nodes {
        *roles.entry(node.role.as_str()).or_default() += 1;
    }
    let mut nodes: Vec<Item> = topology
        .nodes
        .iter()
        .map(|node| Item {
            name: node.name.clone(),
            guid: node.guid.to_string(),
            role: node.role,
            device: node.device.map(|device| device.to_string()),
            enabled: node.enabled,
            addresses: node.addresses().map(|address| address.to_string()).collect(),
            endpoint: node.endpoint.as_ref().map(ToString::to_string),
            host: node.host.clone(),
            access: node.access,
            custody: node.custody,
            origin: node.origin.to_string(),
            created: node.created,
            notes: node.notes.clone(),
        })
        .collect();
    nodes.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    let mut lans: Vec<Behind> = topology
        .nodes
        .iter()
        .flat_map(|node| node.lans.iter().map(move |lan| (lan, node)))
        .map(|(lan, node)| Behind {
            prefix: lan.cidr.to_string(),
            description: lan.description.clone(),
            node: node.name.clone(),
        })
        .collect();
    lans.sort_by(|a, b| (&a.node, &a.prefix).cmp(&(&b.node, &b.prefix)));
    Ok(Inventory {
        prefixes: topology.network.prefixes().map(|prefix| prefix.to_string()).collect(),
        roles,
        nodes,
        hosts: machines(source)?,
        lans,
        links: super::keys::distinct_links(topology).len(),
    })
}

/// Returns the version that a host confirmed last, and when.
pub(super) fn confirmed(database: &Database, host: &Name) -> Result<Option<(i64, DateTime<Utc>)>, Error> {
    let versions = database.deployments(host, u32::MAX)?;
    let found = versions.iter().find(|version| version.state == DeploymentState::Confirmed);
    Ok(found.map(|version| (version.version, version.finished.unwrap_or(version.started))))
}

fn machines(source: &Source<'_>) -> Result<Vec<Machine>, Error> {
    let mut machines = Vec::new();
    for host in &source.topology.hosts {
        let living = source.topology.nodes.iter().filter(|node| node.host.as_ref() == Some(&host.name));
        let nodes: Vec<Name> = living.map(|node| node.name.clone()).collect();
        if nodes.is_empty() {
            continue; // of another network
        }
        machines.push(Machine {
            name: host.name.clone(),
            reached: match &host.address {
                HostAddress::Local => "local".to_owned(),
                address @ HostAddress::Ssh { .. } => address.to_string(),
            },
            nodes,
            deployed: confirmed(source.database, &host.name)?,
        });
    }
    Ok(machines)
}
