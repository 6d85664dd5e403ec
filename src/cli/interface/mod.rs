//! `interface`: one WireGuard interface of a host.

mod key;
mod set;
mod show;
mod switch;

use clap::Subcommand;

use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::interface::switch::Turn;

/// Look at and change one interface of a host
///
/// HOST is a host, or a node that lives on one; the interface needs no name where there is only one.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Set(set::Args),
    Show(show::Args),
    /// Bring one interface to what the model says, and leave the others of its host alone
    ///
    /// What `wg-friend deploy` does for a whole host, for one interface of it: with its plan, its question and its watchdog.
    #[command(
        after_help = "Examples:\n  wg-friend interface sync hub wg0\n  wg-friend interface sync hub wg0 --dry-run"
    )]
    Sync(switch::Args),
    /// Let an interface run, now and at boot
    ///
    /// At once, under the same watchdog as a deploy. What was deleted comes back as the model says.
    #[command(after_help = "Example:\n  wg-friend interface enable hub wg0")]
    Enable(switch::Args),
    /// Take an interface down, also at boot; its file stays
    ///
    /// At once, under the same watchdog as a deploy: what goes wrong brings it up again.
    #[command(after_help = "Example:\n  wg-friend interface disable hub wg0 --yes")]
    Disable(switch::Args),
    /// Take an interface away from its host; the model keeps it
    ///
    /// Stores a copy of what the host has first, changed by hand or not, as a version that `wg-friend rollback` brings back.
    /// Then it goes down, and with it its files, its firewall table and its start at boot.
    #[command(
        after_help = "Examples:\n  wg-friend interface delete hub wg0\n  wg-friend interface enable hub wg0    brings it back"
    )]
    Delete(switch::Args),
    Key(key::Args),
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Set(args) => set::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Sync(args) => switch::run(&args, Turn::Sync, context),
        Command::Enable(args) => switch::run(&args, Turn::Enable, context),
        Command::Disable(args) => switch::run(&args, Turn::Disable, context),
        Command::Key(args) => key::run(&args, context),
        Command::Delete(args) => switch::run(&args, Turn::Delete, context),
    }
}
