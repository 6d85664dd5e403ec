//! Back to an earlier version of a host: files and running state, through the same plan and the same careful deploy.

use std::collections::BTreeMap;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::db::{Database, Deployment, Retired, Store};
use crate::fleet::Fleet;
use crate::model::{Action, Actor, DeploymentState, Event, InterfaceName, Name, PublicKey, Secrets, Severity};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::network::find;
use crate::wg::config::{Document, Mode};

use super::desired::{Desired, Version};
use super::journal;
use super::look::{Job, look};
use super::plan::Plan;
use super::progress::Progress;
use super::shared;

/// A version to go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Which host.
    pub host: Name,
    /// Which version of it.
    pub version: i64,
    /// The state that the model was at when it was deployed; `None` when that was before there was a history.
    pub model_state: Option<i64>,
    /// Keys in it that were retired since.
    pub retired: Vec<Retired>,
}

/// Chooses the version to go back to: the one that is asked for, or the last confirmed one whose content differs from what
/// the host runs.
///
/// # Errors
/// When there is no such version, or the host never confirmed it.
pub fn choose(store: &Store, wanted: &str, version: Option<i64>) -> Result<(Target, Deployment), Error> {
    let topology = store.topology()?;
    let host = &find::host(&topology, wanted)?.name;
    let versions = store.deployments(host, u32::MAX)?;
    let confirmed = || versions.iter().filter(|d| d.state == DeploymentState::Confirmed);
    let hint = format!("`wg-friend history {host}` lists the versions");
    let refused = |message| Err(Error::RefusedWithRemedy { message, hint });
    let found = match version {
        Some(number) => versions.iter().find(|d| d.version == number),
        None => earlier(store, confirmed().collect())?,
    };
    let Some(found) = found else {
        return refused(match version {
            Some(number) => format!("the host `{host}` has no version {number}, or it is kept no longer"),
            None => format!("the host `{host}` has no earlier version to go back to"),
        });
    };
    if !matches!(found.state, DeploymentState::Confirmed | DeploymentState::Found) {
        return refused(format!("version {} of the host `{host}` was never confirmed", found.version));
    }
    let content = version_of(store, found)?;
    let others = shared::of_others(store, &content)?;
    let content = content.without(&others);
    if content.interfaces.is_empty() && !others.is_empty() {
        return refused(format!("version {} of the host `{host}` has nothing of this network", found.version));
    }
    let target = Target {
        host: host.clone(),
        version: found.version,
        model_state: store.state_at(found.started)?,
        retired: retired(store, &content)?,
    };
    Ok((target, found.clone()))
}

/// Returns the newest confirmed version that isn't like the present one, in what it brought of the chosen network.
fn earlier<'a>(store: &Store, confirmed: Vec<&'a Deployment>) -> Result<Option<&'a Deployment>, Error> {
    let Some((current, before)) = confirmed.split_first() else { return Ok(None) };
    if store.networks()?.len() == 1 {
        return Ok(before.iter().find(|version| version.sha256 != current.sha256).copied());
    }
    let present = own_part(store, current)?;
    for version in before {
        let part = own_part(store, version)?;
        if part.is_some() && part != present {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// Returns what a deployment brought of the chosen network; `None` when that was nothing.
fn own_part(store: &Store, deployment: &Deployment) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let version = version_of(store, deployment)?;
    let others = shared::of_others(store, &version)?;
    let part = Version { only: None, ..version.without(&others) };
    let text = || Zeroizing::new(serde_json::to_vec(&part).expect("names and texts are representable"));
    Ok((!part.interfaces.is_empty()).then(text))
}

/// Lists the keys in a version that were retired since, the interfaces' own and those of their peers.
fn retired(database: &Database, version: &Version) -> Result<Vec<Retired>, Error> {
    let retired: BTreeMap<PublicKey, Retired> =
        database.retired_keys()?.into_iter().map(|retired| (retired.public_key, retired)).collect();
    let own = version.interfaces.iter().map(|interface| interface.public_key);
    let peers = version.interfaces.iter().flat_map(|interface| &interface.peers).map(|peer| peer.public_key);
    Ok(own.chain(peers).filter_map(|key| retired.get(&key).cloned()).collect())
}

pub(in crate::ops) fn version_of(store: &Store, deployment: &Deployment) -> Result<Version, Error> {
    Ok(journal::read_version(&store.deployed_content(deployment.id)?)?)
}

/// Refuses keys that were retired since, unless they are wanted all the same: they may have been retired because they were
/// lost.
pub fn refuse_retired(target: &Target) -> Result<(), Error> {
    let Target { host, version, retired, .. } = target;
    let whose = |key: &Retired| {
        let node = key.node.as_ref().map_or("a removed node", Name::as_str);
        key.reason.as_ref().map_or(node.to_owned(), |reason| format!("{node} ({reason})"))
    };
    if retired.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = retired.iter().map(whose).collect();
    let model = target.model_state.map_or(String::new(), |state| {
        format!("`wg-friend rollback --model={state}` and `wg-friend deploy {host}` bring back all but the keys; ")
    });
    Err(Error::RefusedWithRemedy {
        message: format!(
            "version {version} of the host `{host}` has keys that were retired since: {}",
            names.join(", ")
        ),
        hint: format!("{model}if it has to be these keys, say --with-retired-keys"),
    })
}

/// Notes that a host went back to a version.
pub fn record(store: &mut Store, clock: &dyn Clock, actor: &Actor, target: &Target) -> Result<(), Error> {
    let mut event = Event::host(Action::ConfigRolledBack, &target.host).with("to_version", target.version);
    if !target.retired.is_empty() {
        event = event.with("retired_keys", target.retired.len()).severity(Severity::Warning);
    }
    store.write(clock.now(), actor, |_| Ok::<_, Error>(((), event)))
}

/// Looks at a host and says what would change for it to become what an earlier version was.
///
/// # Errors
/// When the version can't be read or its files can't; a host that can't be reached is an entry in the plan.
pub fn plan_back(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    deployment: &Deployment,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let topology = store.topology()?;
    let host = find::host(&topology, deployment.host.as_str())?.clone();
    let version = version_of(store, deployment)?;
    let only = version.only.clone().filter(|_| deployment.state == DeploymentState::Found);
    let others = shared::of_others(store, &version)?;
    let (mut desired, secrets) = desired_of(&host.name, Version { only: None, ..version.without(&others) })?;
    let deployed = journal::deployed(store, &host.name)?;
    // A copy of one interface says nothing of the others, and a version of this network nothing of other networks.
    let own = shared::own(store, &desired, deployed.as_ref())?;
    if let Some(only) = only.or(own) {
        desired = desired.restricted_to(only, deployed.as_ref());
    }
    let job = Job { host, desired, deployed, keyless: None, before: None };
    look(store, fleet, clock, actor, vec![job], secrets, 1, progress)
}

/// Returns what a host should have for it to be at a version, with the secrets that are in it.
pub(super) fn desired_of(host: &Name, version: Version) -> Result<(Desired, Secrets), Error> {
    let secrets = secrets_of(&version)?;
    let Version { interfaces, files, only } = version;
    let keyless =
        interfaces.iter().filter(|interface| secrets.private_of(interface.id, interface.public_key).is_none());
    let keys_elsewhere = keyless.map(|interface| interface.name.clone()).collect();
    Ok((Desired { host: host.clone(), interfaces, files, keys_elsewhere, only }, secrets))
}

/// Takes the keys of a version out of its files: those of the model may be others by now.
fn secrets_of(version: &Version) -> Result<Secrets, Error> {
    let mut secrets = Secrets::default();
    for interface in &version.interfaces {
        let Some(text) = version.files.get(&format!("{}.conf", interface.name)) else { continue };
        let reading = Document::parse(text).read(Mode::Lenient).map_err(|_| unreadable(&interface.name))?;
        let mut peers: BTreeMap<PublicKey, _> =
            reading.tunnel.peers.into_iter().map(|peer| (peer.public_key, peer.preshared)).collect();
        if let Some(private) = reading.tunnel.private_key {
            secrets.private.insert(interface.id, private);
        }
        for peer in &interface.peers {
            if let Some(preshared) = peers.remove(&peer.public_key).flatten() {
                let keys = if peer.next_preshared { &mut secrets.next_preshared } else { &mut secrets.preshared };
                keys.insert(peer.link, preshared);
            }
        }
    }
    Ok(secrets)
}

fn unreadable(interface: &InterfaceName) -> Error {
    Error::Refused(format!("the file of `{interface}` in this version can't be read; nothing was changed"))
}
