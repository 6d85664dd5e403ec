//! Hosts whose configuration was there before: what their files say counts as deployed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::db::Store;
use crate::fleet::Observed;
use crate::model::{Action, Actor, DeploymentState, Event, Name};
use crate::ops::error::Error;
use crate::wg::compile::compile;

use super::change::Change;
use super::desired::{Deployed, Desired, Version};
use super::diff::diff;
use super::{journal, shared};

/// Notes that a host has what its files say, as the first version that is known of it. Returns where what runs there
/// differs from them.
///
/// # Errors
/// When the model contradicts itself or the store can't be written.
pub fn record(
    store: &mut Store,
    now: DateTime<Utc>,
    actor: &Actor,
    host: &Name,
    observed: &Observed,
) -> Result<Vec<Change>, Error> {
    let topology = store.topology()?;
    let compiled = compile(&topology).map_err(Error::Model)?;
    let secrets = store.secrets()?;
    let mut desired = Desired::of(host, &topology, &compiled, &secrets);
    if desired.interfaces.is_empty() {
        return Ok(Vec::new());
    }
    let before = journal::deployed(store, host)?;
    if let Some(own) = shared::own(store, &desired, before.as_ref())? {
        desired = desired.restricted_to(own, before.as_ref());
    }
    let only = desired.only.clone();
    let version = Version { interfaces: desired.interfaces.clone(), files: desired.files.clone(), only };
    // What other networks have there was noted when it was deployed.
    let tables = before.filter(|_| desired.only.is_some()).map(|before| before.tables).unwrap_or_default();
    let deployed = Deployed { version, tables };
    let changes = diff(&desired, &secrets, Some(&deployed), observed);
    note(store, now, actor, host, &desired, &deployed.tables)?;
    Ok(changes)
}

/// Notes that a host has what is desired, as a version of its own that nobody had to bring there. `tables`: how it lists its
/// nftables tables, as far as that is known.
///
/// # Errors
/// When the store can't be written.
pub(super) fn note(
    store: &mut Store,
    now: DateTime<Utc>,
    actor: &Actor,
    host: &Name,
    desired: &Desired,
    tables: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let token = super::run::token()?;
    let event = Event::host(Action::ConfigDeployed, host).with("state", "confirmed").with("note", AS_FOUND);
    store.write(now, actor, |tx| {
        let id = tx.begin_deployment(host, &token, &actor.operator, now, &desired.version_json())?;
        tx.finish_deployment(id, DeploymentState::Confirmed, now, Some(AS_FOUND), None)?;
        if !tables.is_empty() {
            tx.save_observed(id, &journal::noting(tables))?;
        }
        Ok::<_, Error>(((), event))
    })
}

/// What the history of a host says of a version that nobody brought there.
pub const AS_FOUND: &str = "as it was found";
