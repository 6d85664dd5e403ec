//! `exit assign`: who leaves by which exit.

use crate::cli::{Context, Exit, change};
use crate::ops::Error;
use crate::ops::exit::assign;
use crate::ops::network::setting::Leave;

/// Say by which exit, or group of exits, internet traffic leaves
///
/// A device that gets its first exit needs a new file; later another exit or group needs none, only a deploy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend exit assign alice-phone exit-de\n  wg-friend exit assign alice-phone bob-laptop europe\n  wg-friend exit assign network europe      those who have none of their own\n  wg-friend exit assign alice-phone none    by none, whatever the network says\n  wg-friend exit assign alice-phone network as the network says"
)]
pub(super) struct Args {
    /// The remotes; or `network`, for those who have no exit of their own
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// An exit, a group, the server, `none`, or `network` for as the network says
    exit: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let leave = Leave::read(&args.exit);
    let outcome = assign::assign(&mut store, &context.clock, &context.actor(), &args.names, &leave, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
