//! `host`: the machines that nodes live on.

mod add;
mod check;
mod install;
mod join;
mod list;
mod remove;
mod set;
mod uninstall;

use clap::Subcommand;

use super::output::{Output, paint, paint_code, style};
use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::host::Outcome;

/// Add, prepare, list, change, try and remove the machines that nodes live on
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(add::Args),
    List(list::Args),
    Set(set::Args),
    Remove(remove::Args),
    Check(check::Args),
    Install(install::Args),
    Join(Box<join::Args>),
    Uninstall(uninstall::Args),
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Add(args) => add::run(args, context),
        Command::List(args) => list::run(&args, context),
        Command::Set(args) => set::run(args, context).map(|()| Exit::Done),
        Command::Remove(args) => remove::run(&args, context),
        Command::Check(args) => check::run(&args, context),
        Command::Install(args) => install::run(&args, context),
        Command::Join(args) => join::run(*args, context),
        Command::Uninstall(args) => uninstall::run(&args, context),
    }
}

fn show(outcome: &Outcome, out: &Output) -> Result<(), Error> {
    out.done(outcome, |outcome| {
        let (sign, colour) = match outcome.action {
            "added" => ("+", style::GOOD),
            "removed" => ("-", style::BAD),
            _ => ("~", style::WARN),
        };
        let host = &outcome.host.host;
        let mut text = format!(
            "{} {} host {}  {}\n",
            paint(colour, sign),
            outcome.action,
            paint(style::STRONG, &host.name),
            host.address
        );
        text.push_str(&super::change::aligned(outcome.changes.iter().map(|change| ("", change)).collect()));
        if !outcome.saved {
            text.push_str(&paint(style::WARN, "dry run: nothing was changed"));
        } else if outcome.action == "added" {
            let next = format!("`wg-friend host check {0}`, `wg-friend set NODE host={0}`", host.name);
            text.push_str(&format!("  {} {}", paint(style::DIM, "next:"), paint_code(&next)));
        }
        text
    })
}
