//! `log`: what was run on a host.

use super::output::{paint, style};
use super::status::duration;
use super::{Context, Exit};
use crate::db::Command;
use crate::model::{CommandState, Name};
use crate::ops::Error;
use crate::ops::clock::Clock as _;

/// Show what was run on a host, the newest last
///
/// Every script is written down before it is sent; one whose answer was never seen is pending, or unknown once a later
/// run has found out how the deploy ended. Needs no passphrase.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend log hub\n  wg-friend log hub --limit 5 --json")]
pub(super) struct Args {
    /// The host
    #[arg(value_name = "HOST")]
    host: Name,
    /// How many entries at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let database = context.open()?;
    let mut commands = database.commands(&args.host, args.limit)?;
    if commands.is_empty() {
        let topology = database.topology()?;
        if topology.host(&args.host).is_none() {
            let similar = crate::ops::error::similar(args.host.as_str(), topology.hosts.iter().map(|h| &h.name));
            return Err(Error::UnknownHost { name: args.host.to_string(), similar });
        }
    }
    commands.reverse();
    let now = context.clock.now();
    context.out.show(&Report { host: &args.host, commands: &commands }, |Report { commands, .. }| {
        if commands.is_empty() {
            return format!("nothing was run on {} yet\n", args.host);
        }
        commands.iter().map(|command| entry(command, now)).collect()
    })?;
    Ok(Exit::Done)
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Report<'a> {
    /// Whose log it is.
    host: &'a Name,
    /// The entries, the newest last.
    commands: &'a [Command],
}

fn entry(command: &Command, now: chrono::DateTime<chrono::Utc>) -> String {
    let colour = match command.state {
        CommandState::Succeeded => style::GOOD,
        CommandState::Failed => style::BAD,
        CommandState::Pending | CommandState::Unknown => style::WARN,
    };
    let age = duration((now - command.started).num_seconds());
    let took = command.duration_ms.map_or(String::new(), |ms| format!("  {:.1} s", ms as f64 / 1000.0));
    let mut text = format!(
        "{}  {}  {}{}  {}\n",
        paint(style::DIM, format_args!("{:>8} ago", age)),
        paint(style::STRONG, format_args!("{:8}", command.kind)),
        paint(colour, format_args!("{:9}", command.state)),
        paint(style::DIM, took),
        command.output.lines().next().unwrap_or_default(),
    );
    for step in command.parameters.split("; ").filter(|step| !step.is_empty()) {
        text.push_str(&format!("{:14}{} {step}\n", "", paint(style::DIM, "·")));
    }
    text
}
