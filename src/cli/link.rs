//! `link` and `unlink`: direct ways between nodes.

use super::{Context, Exit, change};
use crate::model::Weight;
use crate::ops::Error;
use crate::ops::network::link;

/// Link nodes directly, beside the links that follow from their roles
///
/// Two routers that are linked exchange the packets of their LANs without their server. With more than two names, each
/// is linked to each. Packets go the cheapest way: every link that follows from roles costs 1, so a direct link of
/// weight 1 is preferred to the way over a server, which costs 2 or more. A node that is linked to a further server
/// reaches what belongs to that one directly.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend link office-a office-b              # site to site, without the server\n  wg-friend link berlin paris rome              # each with each\n  wg-friend link hub-eu hub-us --weight 5       # between servers: a detour over a third one may be cheaper"
)]
pub(super) struct LinkArgs {
    /// The nodes: names or beginnings of guids
    #[arg(required = true, num_args = 2.., value_name = "NAME")]
    nodes: Vec<String>,
    /// What a step over it costs, 1 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = Weight::ONE)]
    weight: Weight,
}

/// Take direct links between nodes away; packets go by their servers again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  wg-friend unlink office-a office-b")]
pub(super) struct UnlinkArgs {
    /// The nodes: names or beginnings of guids
    #[arg(required = true, num_args = 2.., value_name = "NAME")]
    nodes: Vec<String>,
}

pub(super) fn link(args: &LinkArgs, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let outcome = link::link(&mut store, &context.clock, &context.actor(), &args.nodes, args.weight, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

pub(super) fn unlink(args: &UnlinkArgs, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let outcome = link::unlink(&mut store, &context.clock, &context.actor(), &args.nodes, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
