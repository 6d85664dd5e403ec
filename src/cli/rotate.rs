//! `rotate`: a new key for a node.

use super::{Context, Exit, change};
use crate::model::PublicKey;
use crate::ops::Error;
use crate::ops::interface::key;
use crate::ops::network::find;
use crate::ops::network::rotate::{self, Rotation};

/// Give a node a new key; the old one is kept in its history, with the reason
///
/// A node known only by its public key gets a private key of its own and from then on a config. A host that keeps its key
/// makes the new one itself. The new key is used as
/// soon as the hosts are deployed and devices have their new file.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend rotate alice-phone --reason 'phone lost'\n  wg-friend rotate hub --reason 'yearly'\n  wg-friend rotate nas --public-key Y5a...= --reason 'reinstalled'"
)]
pub(super) struct Args {
    /// The node: its name or the beginning of its guid
    #[arg(value_name = "NAME")]
    node: String,
    /// Why; is kept with the old key
    #[arg(long, value_name = "TEXT", default_value = "rotated by hand", hide_default_value = true)]
    reason: String,
    /// The new public key, for a device that makes its keys itself
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let public_key: Option<PublicKey> = args
        .public_key
        .as_deref()
        .map(|text| text.trim().parse().map_err(|e| Error::value("--public-key", e)))
        .transpose()?;
    let mut store = context.store()?;
    let request = Rotation { node: args.node, reason: args.reason, public_key };
    let (actor, mode) = (context.actor(), context.mode());
    let topology = store.topology()?;
    let by_host = public_key.is_none() && key::has_key_on_host(find::node(&topology, &request.node)?);
    let outcome = match by_host {
        true => key::rotate(&mut store, &context.fleet(None)?, &context.clock, &actor, &request, mode)?,
        false => rotate::rotate(&mut store, &context.clock, &actor, &request, mode)?,
    };
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
