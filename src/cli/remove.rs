//! `remove`: nodes that are to be forgotten.

use super::{Context, Exit, change};
use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::remove;

/// Remove nodes from the network
///
/// Shows what follows from it and asks. The addresses are not given to others for 30 days. To switch a node off for a
/// while, use `wg-friend disable`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The nodes: names or beginnings of guids
    #[arg(required = true, value_name = "NAME")]
    nodes: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    change::preview_and_confirm(context, &format!("Remove {}?", args.nodes.join(", ")), || {
        remove::remove(&mut store, &context.clock, &context.actor(), &args.nodes, Mode::Preview)
    })?;
    let outcome = remove::remove(&mut store, &context.clock, &context.actor(), &args.nodes, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
