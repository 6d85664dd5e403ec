//! `settings`: what the settings file says, and changing it.

use clap::Subcommand;

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::preferences::{self, Assignment, Changed, From, Listing, Outcome};

/// Show the settings and where each comes from; change some
///
/// Settings are of the person at this machine, not of a network. An option on the command line comes before the
/// environment, the environment before the file, the file before the default.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend settings\n  wg-friend settings set parallel=8 kdf=light\n  wg-friend settings set parallel="
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Change settings; what else stands in the file stays
    ///
    /// The settings are db, parallel, confirm_timeout, host_timeout, keep_versions and kdf; `wg-friend settings` says what each
    /// is about. Without a value a setting gets its default.
    #[command(
        after_help = "Examples:\n  wg-friend settings set parallel=8 kdf=light\n  wg-friend settings set confirm_timeout=120 --dry-run\n  wg-friend settings set parallel="
    )]
    Set {
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<Assignment>,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let file = context.settings_file.as_deref();
    match args.command {
        None => context.out.show(&preferences::list(file)?, |listing| render(listing, context))?,
        Some(Command::Set { settings }) => {
            context.out.done(&preferences::set(file, &settings, context.mode())?, told)?;
        }
    }
    Ok(Exit::Done)
}

fn render(listing: &Listing, context: &Context) -> String {
    let mut table = Table::new(&["SETTING", "VALUE", "FROM", "ABOUT"]);
    for setting in &listing.settings {
        let from = match setting.from {
            From::Default => Cell::new("default", style::DIM),
            From::File => Cell::new("file", style::GOOD),
        };
        table.row([
            Cell::new(setting.key, style::STRONG),
            Cell::new(&setting.value, style::PLAIN),
            from,
            Cell::new(setting.about, style::DIM),
        ]);
    }
    let there = if listing.exists { "" } else { " (not there yet)" };
    let mut text = format!("{}\n{}\n", table.render(), paint(style::DIM, format!("{}{there}", listing.file.display())));
    let database = listing.settings.iter().find(|setting| setting.key == "db").map(|setting| setting.value.as_str());
    if database != context.database.to_str() {
        text.push_str(&format!("an option or the environment says another database: {}\n", context.database.display()));
    }
    text
}

fn told(outcome: &Outcome) -> String {
    if outcome.changes.is_empty() {
        return "nothing to change: it is so already\n".to_owned();
    }
    let mut text = String::new();
    for Changed { key, before, after, from } in &outcome.changes {
        let value = match (before == after, from) {
            (false, _) => format!("{before} → {after}"),
            (true, From::File) => format!("{after}, in the file now"),
            (true, From::Default) => format!("{after}, by default now"),
        };
        text.push_str(&format!("{}  {value}\n", paint(style::STRONG, key)));
    }
    let done = if outcome.saved { "saved in" } else { "would be saved in" };
    text + &format!("{done} {}\n", outcome.file.display())
}
