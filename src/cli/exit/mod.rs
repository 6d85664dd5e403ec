//! `exit`: where the internet traffic of remotes leaves.

mod assign;
mod failover;
mod group;
mod history;
mod rule;
mod status;

use clap::Subcommand;

use super::{Context, Exit};
use crate::ops::Error;

/// Say where the internet traffic of remotes leaves: exits, groups of them, and switching
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend exit group add europe exit-de exit-nl\n  wg-friend exit assign alice-phone europe\n  wg-friend exit failover europe\n  wg-friend exit status"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Group(group::Args),
    Assign(assign::Args),
    #[command(alias = "rules")]
    Rule(rule::Args),
    #[command(alias = "switch")]
    Failover(failover::Args),
    /// Show groups, exits, and who leaves by which now
    #[command(after_help = "Example:\n  wg-friend exit status")]
    Status,
    /// List exits, and what goes by each
    #[command(alias = "ls", after_help = "Example:\n  wg-friend exit list")]
    List,
    History(history::Args),
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Group(args) => group::run(args, context),
        Command::Assign(args) => assign::run(&args, context),
        Command::Rule(args) => rule::run(args, context),
        Command::Failover(args) => failover::run(&args, context),
        Command::Status => status::run(context),
        Command::List => status::list(context),
        Command::History(args) => history::run(&args, context),
    }
}
