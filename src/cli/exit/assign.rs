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
    override_usage = "wg-friend exit assign [OPTIONS] <NAME>... <EXIT>\n       wg-friend exit assign [OPTIONS] <NAME>... --via <EXIT,EXIT>",
    after_help = "Examples:\n  wg-friend exit assign alice-phone exit-de\n  wg-friend exit assign alice-phone bob-laptop europe\n  wg-friend exit assign network europe      those who have none of their own\n  wg-friend exit assign alice-phone none    by none, whatever the network says\n  wg-friend exit assign alice-phone network as the network says\n  wg-friend exit assign alice-phone --via exit-de,exit-nl   one after another"
)]
pub(super) struct Args {
    /// The remotes, or `network` for those who have no exit of their own; then an exit, a group, the server, `none`, or
    /// `network` for as the network says
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Exits one after another: traffic goes on from each to the next, and leaves at the last. Then no EXIT
    #[arg(long, value_name = "EXIT,EXIT", value_delimiter = ',')]
    via: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (names, leave) = if args.via.is_empty() {
        let missing = || Error::value("EXIT", "is missing: name an exit after the devices, or several with --via");
        let (exit, names) = args.names.split_last().filter(|(_, names)| !names.is_empty()).ok_or_else(missing)?;
        (names, Leave::read(exit))
    } else {
        (args.names.as_slice(), Leave::Via(args.via.clone()))
    };
    let mut store = context.store()?;
    let outcome = assign::assign(&mut store, &context.clock, &context.actor(), names, &leave, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
