//! `link` and `unlink`: direct ways between nodes.

use super::{Context, Exit, change};
use crate::model::{Weight, WhenDown};
use crate::ops::Error;
use crate::ops::network::link::{self, Wish};

/// Link nodes directly, beside the links that follow from their roles
///
/// Two routers that are linked exchange the packets of their LANs without their server. With more than two names, each
/// is linked to each. Packets go the cheapest way: every link that follows from roles costs 1, so a direct link of
/// weight 1 is preferred to the way over a server, which costs 2 or more. A node that is linked to a further server
/// reaches what belongs to that one directly.
///
/// While a link is down, what goes over it stays down with it, unless `--when-down move` says that it goes by the servers then.
/// The hosts at both ends watch such a link. Said again of a link that is there, an option changes it; what isn't said of
/// it stays.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend link office-a office-b       # site to site, without the server\n  wg-friend link berlin paris rome       # each with each\n  wg-friend link hub-eu hub-us --weight 5\n  wg-friend link office-a office-b --when-down move\n\nWith a higher weight between servers, a detour over a third one may be cheaper.\nWith --when-down move, packets go by the servers while the link is down."
)]
pub(super) struct LinkArgs {
    /// The nodes: names or beginnings of guids
    #[arg(required = true, num_args = 2.., value_name = "NAME")]
    nodes: Vec<String>,
    /// What a step over it costs, 1 to 1000 [default: 1]
    #[arg(long, value_name = "NUMBER")]
    weight: Option<Weight>,
    /// What becomes of its traffic while it is down: `stay` or `move` [default: stay]
    #[arg(long, value_name = "WHAT")]
    when_down: Option<WhenDown>,
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
    let wish = Wish { weight: args.weight, when_down: args.when_down };
    let outcome = link::link(&mut store, &context.clock, &context.actor(), &args.nodes, wish, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

pub(super) fn unlink(args: &UnlinkArgs, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let outcome = link::unlink(&mut store, &context.clock, &context.actor(), &args.nodes, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
