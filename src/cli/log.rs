//! `log`: what was run on a host.

use super::output::{paint, style};
use super::status::duration;
use super::{Context, Exit, width};
use crate::db::{Command, CommandStep};
use crate::model::{CommandState, Name};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::TAKEN_BACK;

/// Show what was run on a host, the newest last
///
/// Every script is written down before it is sent, with each of its steps; one whose answer was never seen is pending, or
/// unknown once a later run has found out how the deploy ended. With -v, each step's command line and what it printed.
/// Needs no passphrase.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend log hub\n  wg-friend log hub -v\n  wg-friend log hub --limit 5 --json")]
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
    let verbose = context.out.verbosity() > 0;
    context.out.show(&Report { host: &args.host, commands: &commands }, |Report { commands, .. }| {
        if commands.is_empty() {
            return format!("nothing was run on {} yet\n", args.host);
        }
        commands.iter().map(|command| entry(command, now, verbose)).collect()
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

/// Room before the first step: as wide as a command's age.
const INDENT: usize = 14;

fn entry(command: &Command, now: chrono::DateTime<chrono::Utc>, verbose: bool) -> String {
    let age = duration((now - command.started).num_seconds());
    let mut text = format!(
        "{}  {}  {}{}  {}\n",
        paint(style::DIM, format_args!("{age:>8} ago")),
        paint(style::STRONG, format_args!("{:8}", command.kind)),
        paint(colour(command.state), format_args!("{:9}", command.state)),
        took(command.duration_ms),
        command.output.lines().next().unwrap_or_default(),
    );
    if verbose && !command.parameters.is_empty() {
        text.push_str(&format!("{:INDENT$}{}\n", "", paint(style::DIM, &command.parameters)));
    }
    for step in &command.steps {
        text.push_str(&line(step));
        if verbose {
            let command = step.command.iter().map(|command| format!("$ {command}"));
            for more in command.chain(step.output.lines().map(str::to_owned)) {
                let line = format!("{:INDENT$}  {}", "", paint(style::DIM, more));
                text.push_str(&width::hang(&line, &format!("{:INDENT$}    ", "")));
                text.push('\n');
            }
        }
    }
    text
}

fn line(step: &CommandStep) -> String {
    let mut text = format!("{:INDENT$}{} {}", "", paint(colour(step.state), mark(step.state)), step.parameters);
    text.push_str(&took(step.duration_ms.filter(|ms| *ms >= SLOW_MS)));
    let said = match step.state {
        CommandState::Succeeded => step.output.lines().last().filter(|line| *line == TAKEN_BACK),
        CommandState::Failed => step.output.lines().last(),
        _ => None,
    };
    if step.state != CommandState::Succeeded {
        text.push_str(&format!("  {}", paint(colour(step.state), step.state)));
    }
    if let Some(said) = said {
        text.push_str(&format!("  {said}"));
    }
    width::hang(&text, &format!("{:INDENT$}  ", "")) + "\n"
}

/// Steps that took less time than this are shown without it, in milliseconds.
const SLOW_MS: i64 = 100;

fn took(milliseconds: Option<i64>) -> String {
    let seconds = milliseconds.map(|ms| format!("  {:.1} s", ms as f64 / 1000.0));
    paint(style::DIM, seconds.unwrap_or_default())
}

fn mark(state: CommandState) -> &'static str {
    match state {
        CommandState::Succeeded => "✓",
        CommandState::Failed => "✗",
        CommandState::Skipped => "–",
        CommandState::Pending | CommandState::Unknown => "?",
    }
}

fn colour(state: CommandState) -> anstyle::Style {
    match state {
        CommandState::Succeeded => style::GOOD,
        CommandState::Failed => style::BAD,
        CommandState::Pending | CommandState::Unknown => style::WARN,
        CommandState::Skipped => style::DIM,
    }
}
