//! `history`: every change of the model, the newest first.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::audit::moment;
use super::output::{Cell, Table, paint, style};
use super::{Context, Exit, width};
use crate::db::{Deployment, State};
use crate::model::DeploymentState;
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::interface::history::{self as versions, Between, FileDiff, OfInterface};
use crate::ops::network::history::{self, About, Changed, Diff, Entry, Field, How, Shown, What};

/// Show what was changed in the model, when and by whom; newest first
///
/// Every change makes a numbered state. With a name, only what concerned that node or host, under whatever name it had,
/// and for a host what was deployed to it. `wg-friend rollback --model 12` brings state 12 back. Needs no passphrase
/// but for an interface, whose versions are sealed.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  wg-friend history\n  wg-friend history alice-phone\n  wg-friend history hub wg0 -v\n  wg-friend history --since 7days --limit 100\n  wg-friend history show 12\n  wg-friend history diff 12 15"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A node or host: a name that it has or had, or the beginning of a guid
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// An interface of that host: the versions that made something else of it; -v shows what
    #[arg(value_name = "IFACE")]
    interface: Option<String>,
    /// From this time on: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, such as 7days
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say in full what a state changed
    #[command(after_help = "Example:\n  wg-friend history show 12")]
    Show {
        /// Its number
        #[arg(value_name = "N")]
        number: i64,
    },
    /// Compare two states
    ///
    /// Secrets are not compared by their values: a preshared key that is another one is said to have changed. With --host,
    /// versions of a host: what its files had, keys hidden.
    #[command(
        after_help = "Examples:\n  wg-friend history diff 12 15\n  wg-friend history diff 12        with the model as it is now\n  wg-friend history diff 3 5 --host hub --interface wg0"
    )]
    Diff {
        /// The one
        #[arg(value_name = "A")]
        from: i64,
        /// The other; without it, the newest
        #[arg(value_name = "B")]
        to: Option<i64>,
        /// Compare versions of this host instead; without B, with what it confirmed last
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
        /// Only this interface of it
        #[arg(long, value_name = "IFACE", requires = "host")]
        interface: Option<String>,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let database = context.open()?;
    match &args.command {
        Some(Command::Show { number }) => context.out.show(&history::show(&database, *number)?, shown)?,
        Some(Command::Diff { from, to, host: Some(host), interface }) => {
            let store = context.store()?;
            context.out.show(&versions::between(&store, host, *from, *to, interface.as_deref())?, between)?;
        }
        Some(Command::Diff { from, to, .. }) => context.out.show(&history::diff(&database, *from, *to)?, diff)?,
        None => {
            let since = args.since.as_ref().map(|text| moment("--since", text, context.clock.now())).transpose()?;
            match &args.name {
                Some(host) if args.interface.is_some() => {
                    let interface = args.interface.as_deref().unwrap_or_default();
                    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
                    let mut found = versions::of_interface(&context.store()?, host, interface, limit)?;
                    found.versions.retain(|step| since.is_none_or(|since| step.time >= since));
                    context.out.show(&found, |found| of_interface(found, context.out.verbosity() > 0))?;
                }
                Some(name) => context.out.show(&history::about(&database, name, since, args.limit)?, about)?,
                None => {
                    let states = history::log(&database, since, args.limit)?;
                    context.out.show(&Log { states: &states }, |log| list(log, since))?;
                }
            }
        }
    }
    Ok(Exit::Done)
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Log<'a> {
    /// The states, the newest first.
    states: &'a [State],
}

fn list(log: &Log<'_>, since: Option<DateTime<Utc>>) -> String {
    match (log.states, since) {
        ([], None) => return "nothing yet: the history of this database begins with its next change\n".into(),
        ([], Some(_)) => return "nothing was changed since then\n".into(),
        _ => {}
    }
    let mut table = Table::new(&["STATE", "TIME", "OPERATOR", "CHANGE"]);
    for state in log.states {
        row(&mut table, state, state.description.clone());
    }
    table.render()
}

fn row(table: &mut Table, state: &State, change: String) {
    table.row([
        Cell::new(state.number, style::STRONG),
        Cell::new(time(state.time), style::DIM),
        state.operator.as_deref().unwrap_or("–").into(),
        change.into(),
    ]);
}

fn time(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M:%S")
}

fn about(about: &About) -> String {
    let mut table = Table::new(&["STATE", "TIME", "OPERATOR", "CHANGE"]);
    for entry in &about.states {
        row(&mut table, &entry.state, in_a_line(entry));
    }
    let mut text = if table.is_empty() { String::new() } else { table.render() };
    if !about.versions.is_empty() {
        let blank = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!(
            "{blank}{}\n{}",
            paint(style::STRONG, "deployed to the host"),
            versions(&about.versions)
        ));
    }
    if text.is_empty() {
        return format!("nothing about {} in this time\n", about.name);
    }
    text
}

/// Says what a state changed of the thing that was asked about, or the change as a whole if that was about a link.
fn in_a_line(entry: &Entry) -> String {
    let values = |change: &Changed| -> Option<String> {
        (change.how == How::Changed).then(|| {
            let told = change.fields.iter().map(|f| format!("{} {} → {}", f.field, value(&f.before), value(&f.after)));
            told.collect::<Vec<_>>().join(", ")
        })
    };
    let parts: Option<Vec<String>> = entry.changes.iter().map(values).collect();
    parts.filter(|parts| !parts.is_empty()).map_or_else(|| entry.state.description.clone(), |parts| parts.join("; "))
}

fn colour_of(state: DeploymentState) -> anstyle::Style {
    match state {
        DeploymentState::Confirmed => style::GOOD,
        DeploymentState::Started | DeploymentState::Unknown => style::WARN,
        DeploymentState::Found => style::PLAIN,
        DeploymentState::Reverted | DeploymentState::Failed => style::BAD,
    }
}

fn of_interface(found: &OfInterface, diffs: bool) -> String {
    let mut table = Table::new(&["VERSION", "TIME", "OPERATOR", "OUTCOME", "FILES", "NOTE"]);
    let mut below = String::new();
    for step in &found.versions {
        let files: Vec<String> = step.files.iter().map(count).collect();
        table.row([
            Cell::new(step.version, style::STRONG),
            Cell::new(time(step.time), style::DIM),
            (&step.operator).into(),
            Cell::new(step.state, colour_of(step.state)),
            files.join(", ").into(),
            step.note.as_deref().unwrap_or_default().into(),
        ]);
        if diffs {
            below.push_str(&format!(
                "\n{}\n{}",
                paint(style::STRONG, format_args!("version {}", step.version)),
                texts(&step.files)
            ));
        }
    }
    if table.is_empty() { "nothing in this time\n".to_owned() } else { table.render() + &below }
}

/// Says in a word how much of a file differs.
fn count(file: &FileDiff) -> String {
    match file.only_keys {
        true => format!("{} keys", file.file),
        false => format!("{} +{} -{}", file.file, file.added, file.removed),
    }
}

fn between(between: &Between) -> String {
    if between.files.is_empty() {
        return format!("version {} is like version {}\n", between.to, between.from);
    }
    texts(&between.files)
}

/// Writes out how files differ; keys are hidden in it already.
fn texts(files: &[FileDiff]) -> String {
    let mut text = String::new();
    for file in files {
        text.push_str(&format!("{}\n", paint(style::STRONG, &file.file)));
        if file.only_keys {
            text.push_str("  keys in it are others\n");
        }
        for line in file.diff.lines() {
            let colour = match line.as_bytes().first() {
                Some(b'+') => style::GOOD,
                Some(b'-') => style::BAD,
                Some(b'@') => style::DIM,
                _ => style::PLAIN,
            };
            text.push_str(&format!("  {}\n", paint(colour, line)));
        }
    }
    text
}

fn versions(versions: &[Deployment]) -> String {
    let mut table = Table::new(&["VERSION", "TIME", "OPERATOR", "OUTCOME", "CONTENT", "NOTE"]);
    for version in versions {
        table.row([
            Cell::new(version.version, style::STRONG),
            Cell::new(time(version.started), style::DIM),
            (&version.operator).into(),
            Cell::new(version.state, colour_of(version.state)),
            Cell::new(version.sha256.get(..HASH).unwrap_or(&version.sha256), style::DIM),
            version.note.as_deref().unwrap_or_default().into(),
        ]);
    }
    table.render()
}

/// So many digits of a hash tell versions apart.
const HASH: usize = 12;

fn shown(shown: &Shown) -> String {
    let Shown { state, changes } = shown;
    let from = state.address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
    let operator = state.operator.as_deref().unwrap_or("–");
    let mut text = format!("{}\n", paint(style::STRONG, format_args!("state {}", state.number)));
    let mut line = |label: &str, value: String| text.push_str(&format!("  {} {value}\n", paint(style::DIM, label)));
    line("when:", time(state.time).to_string());
    line("who: ", format!("{operator}{from}"));
    line("what:", state.description.clone());
    if let Some(entry) = state.audit_entry {
        line("log: ", format!("audit entry {entry}"));
    }
    format!("{text}\n{}", differences(changes))
}

fn diff(diff: &Diff) -> String {
    if diff.changes.is_empty() {
        return format!("state {} is like state {}\n", diff.to, diff.from);
    }
    differences(&diff.changes)
}

/// Lists what differs: a line for each thing, and one for each of its values. What came or went along with a node isn't
/// told of again.
pub(super) fn differences(changes: &[Changed]) -> String {
    let mut text = String::new();
    for change in changes.iter().filter(|change| !change.along) {
        let (sign, colour) = match change.how {
            How::Added => ("+", style::GOOD),
            How::Changed => ("~", style::WARN),
            How::Removed => ("-", style::BAD),
        };
        let named = match change.what {
            What::Network => "network".to_owned(),
            What::Node => change.name.clone(),
            other => format!("{} {}", other.in_words(), change.name),
        };
        text.push_str(&format!("{} {}\n", paint(colour, sign), paint(style::STRONG, named)));
        // Of what is new or gone, the name stands above.
        let told = |field: &&Field| change.how == How::Changed || field.field != "name";
        let fields: Vec<&Field> = change.fields.iter().filter(told).collect();
        let wide = fields.iter().map(|field| width::of(&field.field)).max().unwrap_or(0);
        for Field { field, before, after } in fields {
            let values = match change.how {
                How::Changed => format!(
                    "{} {} {}",
                    paint(style::BAD, value(before)),
                    paint(style::DIM, "→"),
                    paint(style::GOOD, value(after))
                ),
                How::Added => value(after),
                How::Removed => value(before),
            };
            text.push_str(&width::hang(&format!("    {field:wide$}  {values}"), &" ".repeat(wide + 6)));
            text.push('\n');
        }
    }
    text
}

/// Returns a value as it is shown on a line.
fn value(value: &Option<String>) -> String {
    match value.as_deref() {
        None | Some("") => "none".to_owned(),
        Some(text) => text.replace('\n', " "),
    }
}
