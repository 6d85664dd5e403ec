//! `enable` and `disable`: a node that stays in the model and disappears from every config.

use super::{Context, Exit, change};
use crate::ops::Error;
use crate::ops::network::edit;

/// Put disabled nodes back into every config
#[derive(Debug, clap::Args)]
pub(super) struct EnableArgs {
    /// The nodes: names or beginnings of guids
    #[arg(required = true, value_name = "NAME")]
    nodes: Vec<String>,
}

/// Take nodes out of every config without forgetting them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  wg-friend disable alice-phone    # lost? also: wg-friend rotate alice-phone --now --reason lost"
)]
pub(super) struct DisableArgs {
    /// The nodes: names or beginnings of guids
    #[arg(required = true, value_name = "NAME")]
    nodes: Vec<String>,
}

pub(super) fn enable(args: &EnableArgs, context: &Context) -> Result<Exit, Error> {
    switch(&args.nodes, true, context)
}

pub(super) fn disable(args: &DisableArgs, context: &Context) -> Result<Exit, Error> {
    switch(&args.nodes, false, context)
}

fn switch(nodes: &[String], enabled: bool, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let outcome = edit::switch(&mut store, &context.clock, &context.actor(), nodes, enabled, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
