//! `interface`: one WireGuard interface of a host.

mod set;
mod show;

use clap::Subcommand;

use super::{Context, Exit};
use crate::ops::Error;

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
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Set(args) => set::run(&args, context),
        Command::Show(args) => show::run(&args, context),
    }
}
