//! Which hosts wait for a deploy, told from what is recorded: no host is asked, and nothing is unlocked.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::db::{self, Database, Model};
use crate::model::{DeploymentState, Name, NodeId};
use crate::ops::Error;
use crate::ops::revision::Meaning;
use crate::wg::compile;

/// A host that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which.
    pub host: Name,
    /// Whether nothing was ever deployed there.
    pub never: bool,
}

/// What each node's files mean, for those that live on hosts.
type Meanings = BTreeMap<NodeId, Meaning>;

/// Returns the hosts for which the model means something else now than when they were deployed; ordered by name. What only a
/// host could tell isn't known here: a change by hand is drift, see [`drift`](crate::ops::drift).
///
/// # Errors
/// When the model contradicts itself or the store can't be read.
pub fn pending(database: &Database) -> Result<Vec<Pending>, Error> {
    let Some(newest) = database.newest_state()? else { return Ok(Vec::new()) };
    let now = database.model_at(newest)?;
    if now.hosts.is_empty() {
        return Ok(Vec::new());
    }
    let means = meanings(&now)?;
    let mut earlier: BTreeMap<i64, Option<(Model, Meanings)>> = BTreeMap::new();
    let mut pending = Vec::new();
    for (row, host) in &now.hosts {
        let here = on(&now, &means, &host.name);
        match deployed_as_of(database, &host.name)? {
            None if here.keys().all(|node| is_adopted(&now, *node)) => {}
            None => pending.push(Pending { host: host.name.clone(), never: true }),
            Some(state) if state == newest => {}
            Some(state) => {
                let known = match earlier.entry(state) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(known(database, state)?),
                };
                let Some((then, meant)) = known else { continue };
                let there = then.hosts.get(row).map(|host| on(then, meant, &host.name)).unwrap_or_default();
                if there != here {
                    pending.push(Pending { host: host.name.clone(), never: false });
                }
            }
        }
    }
    pending.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(pending)
}

/// Returns the state of the model that a host has; `None` when nothing was deployed there.
fn deployed_as_of(database: &Database, host: &Name) -> Result<Option<i64>, Error> {
    let deployments = database.deployments(host, u32::MAX)?;
    let has = |state| matches!(state, DeploymentState::Confirmed | DeploymentState::Found);
    let Some(last) = deployments.iter().find(|deployment| has(deployment.state)) else { return Ok(None) };
    // Going back to an earlier version deploys the same once more: it means what it meant then.
    let first = deployments.iter().rfind(|earlier| has(earlier.state) && earlier.sha256 == last.sha256);
    Ok(database.state_at(first.unwrap_or(last).started)?)
}

/// Returns the network as it was; `None` when it was none yet, or one that contradicted itself.
fn known(database: &Database, state: i64) -> Result<Option<(Model, Meanings)>, Error> {
    let model = match database.model_at(state) {
        Err(db::Error::NotThen { .. }) => return Ok(None),
        found => found?,
    };
    Ok(meanings(&model).ok().map(|meanings| (model, meanings)))
}

fn meanings(model: &Model) -> Result<Meanings, Error> {
    let compiled = compile::compile(&model.topology).map_err(Error::Model)?;
    let lives = |id: NodeId| model.topology.node(id).is_some_and(|node| node.host.is_some());
    let living = compiled.iter().filter(|config| lives(config.node));
    Ok(living.map(|config| (config.node, Meaning::of(config, &model.preshared))).collect())
}

fn on<'m>(model: &Model, meanings: &'m Meanings, host: &Name) -> BTreeMap<NodeId, &'m Meaning> {
    let here = model.topology.nodes.iter().filter(|node| node.host.as_ref() == Some(host));
    here.filter_map(|node| Some((node.id, meanings.get(&node.id)?))).collect()
}

/// Whether a node is on its host as it was found there.
fn is_adopted(model: &Model, node: NodeId) -> bool {
    let node = model.topology.node(node);
    node.is_some_and(|node| node.interfaces.iter().all(|interface| model.adopted.contains_key(&interface.id)))
}
