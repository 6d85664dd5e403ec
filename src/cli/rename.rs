//! `rename`: another name for a node.

use super::{Context, Exit, change};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::network::edit;

/// Give a node another name; its guid, keys and history stay
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  wg-friend rename alice-phone alice-pixel")]
pub(super) struct Args {
    /// The node: its name or the beginning of its guid
    #[arg(value_name = "NAME")]
    node: String,
    /// The new name
    #[arg(value_name = "NEW_NAME")]
    name: Name,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let outcome = edit::rename(&mut store, &context.clock, &context.actor(), &args.node, args.name, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
