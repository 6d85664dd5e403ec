//! `exit group`: exits that stand in for each other.

use clap::Subcommand;

use crate::cli::output::{Cell, Fields, Table, paint, style};
use crate::cli::{Context, Exit, change};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::exit::groups;
use crate::ops::exit::view::{self, GroupView};
use crate::ops::network::change::{Mode, Outcome};

/// Groups of exits that stand in for each other
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend exit group add europe exit-de exit-nl\n  wg-friend exit group set europe disable=exit-de"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a group; it goes by its preferred exit
    #[command(
        after_help = "Examples:\n  wg-friend exit group add europe exit-de exit-nl\n  wg-friend exit group add europe exit-de=10 exit-nl=20\n\nThe lowest number is preferred; it is 100 unless given."
    )]
    Add {
        /// What it is called
        name: Name,
        /// Its exits: EXIT or EXIT=PRIORITY
        #[arg(value_name = "EXIT[=PRIORITY]")]
        exits: Vec<String>,
    },
    /// Change a group: its name, its exits, which of them it may go by
    #[command(after_help = keys())]
    Set {
        /// The group
        group: String,
        /// What to change: key=value; exits also take += and -=
        #[arg(required = true, value_name = "KEY=VALUE")]
        assignments: Vec<String>,
    },
    /// Remove groups by which nobody leaves
    #[command(alias = "rm", after_help = "Example:\n  wg-friend exit group remove europe")]
    Remove {
        /// The groups
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// List the groups
    #[command(alias = "ls", after_help = "Example:\n  wg-friend exit group list")]
    List,
    /// Show one group
    #[command(after_help = "Example:\n  wg-friend exit group show europe")]
    Show {
        /// The group
        group: String,
    },
}

fn keys() -> String {
    let mut text = String::from(
        "Examples:\n  wg-friend exit group set europe exits+=exit-fr=30\n  wg-friend exit group set europe disable=exit-de\n\nKeys:\n",
    );
    for (key, _, what) in groups::KEYS {
        text.push_str(&format!("  {key:<8}  {what}\n"));
    }
    text
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Groups {
    /// The groups, in order of their names.
    groups: Vec<GroupView>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let actor = context.actor();
    match args.command {
        Command::Add { name, exits } => {
            let members = exits.iter().map(|text| groups::Wanted::read("EXIT", text)).collect::<Result<Vec<_>, _>>()?;
            let mut store = context.store()?;
            let outcome = groups::add(&mut store, &context.clock, &actor, &name, &members, context.mode())?;
            changed(&outcome, name.as_str(), context)?;
        }
        Command::Set { group, assignments } => {
            let settings = groups::parse_all(assignments.iter().map(String::as_str))?;
            let mut store = context.store()?;
            let outcome = groups::set(&mut store, &context.clock, &actor, &group, &settings, context.mode())?;
            changed(&outcome, &group, context)?;
        }
        Command::Remove { groups: names } => {
            let mut store = context.store()?;
            change::preview_and_confirm(context, &format!("Remove the exit group {}?", names.join(", ")), || {
                groups::remove(&mut store, &context.clock, &actor, &names, Mode::Preview)
            })?;
            let outcome = groups::remove(&mut store, &context.clock, &actor, &names, context.mode())?;
            changed(&outcome, &names.join(", "), context)?;
        }
        Command::List => {
            let report = Groups { groups: view::groups(&context.open()?.topology()?) };
            context.out.show(&report, |report| list(&report.groups))?;
        }
        Command::Show { group } => {
            let view = view::group_named(&group, &context.open()?.topology()?)?;
            context.out.show(&view, show)?;
        }
    }
    Ok(Exit::Done)
}

/// Shows what became of a group.
pub(super) fn changed(outcome: &Outcome, name: &str, context: &Context) -> Result<(), Error> {
    if context.out.is_json() {
        return context.out.show(outcome, |_| String::new());
    }
    let (sign, colour) = match outcome.action {
        "added" => ("+", style::GOOD),
        "removed" => ("-", style::BAD),
        _ => ("~", style::WARN),
    };
    let title = format!("{} {} exit group {}", paint(colour, sign), outcome.action, paint(style::STRONG, name));
    context.out.note(format!("{title}\n{}{}", change::body(outcome), change::next_line(outcome)).trim_end());
    if !outcome.saved {
        context.out.note(paint(style::WARN, "dry run: nothing was changed"));
    }
    Ok(())
}

/// Lists groups, a row each.
pub(super) fn list(groups: &[GroupView]) -> String {
    if groups.is_empty() {
        return "no groups of exits; `wg-friend exit group add NAME EXIT...` makes one\n".into();
    }
    let mut table = Table::new(&["GROUP", "GOES BY", "SINCE", "WHY", "EXITS", "REMOTES"]);
    for group in groups {
        table.row([
            Cell::new(&group.name, style::STRONG),
            carrier(group),
            Cell::new(
                group.since.map_or_else(String::new, |t| t.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
                style::DIM,
            ),
            group.reason.map_or("", |reason| reason.in_words()).into(),
            members(group).join(", ").into(),
            group.remotes.len().to_string().into(),
        ]);
    }
    table.render()
}

/// By which exit a group goes, and whether that is the one it was told.
fn carrier(group: &GroupView) -> Cell {
    match (&group.active, &group.told) {
        (None, _) => Cell::new("none", style::BAD),
        (Some(active), Some(told)) if active != told => {
            Cell::new(format!("{active}, while {told} can't be used"), style::WARN)
        }
        (Some(active), _) => Cell::new(active, style::GOOD),
    }
}

fn members(group: &GroupView) -> Vec<String> {
    let member = |member: &view::MemberView| {
        let state = match (member.enabled, member.usable) {
            (false, _) => " (disabled in the group)",
            (_, false) => " (disabled)",
            _ => "",
        };
        format!("{}={}{state}", member.exit, member.priority)
    };
    group.members.iter().map(member).collect()
}

fn show(group: &GroupView) -> String {
    let mut remotes: Vec<String> = group.remotes.iter().map(ToString::to_string).collect();
    if group.network {
        remotes.insert(0, "(the network's)".into());
    }
    let since = |time: chrono::DateTime<chrono::Utc>| {
        let why = group.reason.map_or_else(String::new, |reason| format!(" ({})", reason.in_words()));
        format!("{} UTC{why}", time.format("%Y-%m-%d %H:%M:%S"))
    };
    let mut fields = Fields::new();
    fields
        .add("group", Cell::new(&group.name, style::STRONG))
        .add("goes by", carrier(group))
        .add("told", group.since.map(since).unwrap_or_default())
        .add("exits", members(group).join("\n"))
        .add("remotes", remotes.join(", "));
    fields.render()
}
