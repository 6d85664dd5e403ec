//! Noting what is handed out: in the transaction that notes the handing out itself.

use chrono::{DateTime, Utc};

use crate::db::Tx;
use crate::model::{Custody, Node, Secrets};
use crate::ops::Error;
use crate::wg::{NodeConfig, config};

use super::meaning::Meaning;

/// Notes that a node's owner was given its file, by `method`; `sha256` names it in hexadecimal. Of a node whose file
/// people carry, what it says becomes a revision.
pub(crate) fn record(
    tx: &Tx<'_>,
    node: &Node,
    configs: &[NodeConfig],
    secrets: &Secrets,
    (method, sha256): (&str, &str),
    now: DateTime<Utc>,
) -> Result<(), Error> {
    tx.record_handout(node.id, method, sha256, now)?;
    revision(tx, node, configs, secrets, method, now)
}

/// Notes what a node's file says that is or was given to its owner by `method`, unless a host has it.
pub(crate) fn revision(
    tx: &Tx<'_>,
    node: &Node,
    configs: &[NodeConfig],
    secrets: &Secrets,
    method: &str,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let Some(config) = configs.iter().find(|config| config.node == node.id).filter(|_| node.host.is_none()) else {
        return Ok(());
    };
    let meaning = Meaning::of(config, &tx.preshared_in_files()?).to_json();
    // Whose key is shown once and forgotten keeps no copy of it here either.
    let file =
        (node.custody != Custody::ShownOnce).then(|| config::files(config, secrets).into_iter().next()).flatten();
    tx.record_revision(node.id, &meaning, file.as_ref().map(|file| file.content.as_bytes()), method, now)?;
    Ok(())
}
