//! `report`: what auditors ask for, from what the database knows.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use clap::ValueEnum;

use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::report::{self, Format, Kind, Reading, Request};

/// Write a report for auditors: access, keys, changes, inventory, a summary, or all of it
///
/// Everything comes from the database; no host is asked. It says what needs attention, since when, and which command mends
/// it, and names the controls of SOC 2 and ISO/IEC 27001 that the evidence supports. It holds no secret. With the passphrase
/// at hand, or after `wg-friend unlock`, the audit log is verified with its key and its head is signed; without, its chain
/// alone is verified, and the report says so. Nobody is asked for a passphrase.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend report executive-summary\n  wg-friend report access-control -o access.html --organisation 'Example Ltd'\n  wg-friend report key-rotation --period 365d --key-age 180d -o keys.csv\n  wg-friend report full-compliance -o audit.pdf\n  wg-friend report network-inventory --json"
)]
pub(super) struct Args {
    /// Which one
    #[arg(value_name = "TYPE")]
    kind: KindWord,
    /// How far it looks back: 30d, 12weeks, 1year
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration)]
    period: TimeDelta,
    /// For whom it is made: a line above its title
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    organisation: String,
    /// From which age on a key is too old
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration)]
    key_age: TimeDelta,
    /// How it is written [default: what FILE ends with, else md]
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<FormatWord>,
    /// Write it into a file that only you can read, instead of standard output (-)
    #[arg(long = "output", short = 'o', value_name = "FILE")]
    file: Option<PathBuf>,
    /// End with 3 when something needs attention
    #[arg(long)]
    exit_code: bool,
}

/// The reports, as they are typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindWord {
    /// Who may reach what, and where that is enforced
    AccessControl,
    /// How old keys are, who has them, which were replaced
    KeyRotation,
    /// What was changed, deployed, and found changed
    ConfigurationChanges,
    /// Members, machines, networks behind them
    NetworkInventory,
    /// Totals and what needs attention
    ExecutiveSummary,
    /// All of it
    FullCompliance,
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::AccessControl => Self::AccessControl,
            KindWord::KeyRotation => Self::KeyRotation,
            KindWord::ConfigurationChanges => Self::ConfigurationChanges,
            KindWord::NetworkInventory => Self::NetworkInventory,
            KindWord::ExecutiveSummary => Self::ExecutiveSummary,
            KindWord::FullCompliance => Self::FullCompliance,
        }
    }
}

/// The formats, as they are typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatWord {
    /// Markdown
    Md,
    /// For programs: what was gathered
    Json,
    /// For spreadsheets: every table, one below the other
    Csv,
    /// One page for screens and paper
    Html,
    /// Pages for paper and archives, with contents, bookmarks and numbers; not to a terminal
    Pdf,
}

impl From<FormatWord> for Format {
    fn from(word: FormatWord) -> Self {
        match word {
            FormatWord::Md => Self::Md,
            FormatWord::Json => Self::Json,
            FormatWord::Csv => Self::Csv,
            FormatWord::Html => Self::Html,
            FormatWord::Pdf => Self::Pdf,
        }
    }
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 30d or 12weeks"))?;
    TimeDelta::from_std(duration).map_err(|_| "that is too long".to_owned())
}

/// What is printed for programs when a report went into a file.
#[derive(serde::Serialize)]
struct Written<'a> {
    /// Which report.
    report: Kind,
    /// Where it is.
    path: &'a Path,
    /// How it is written.
    format: Format,
    /// Its length.
    bytes: usize,
    /// How many warnings it has.
    warnings: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let file = args.file.as_deref().filter(|path| *path != Path::new("-"));
    let format = format(args, file, context)?;
    let request = Request {
        kind: args.kind.into(),
        period: args.period,
        organisation: args.organisation.clone(),
        key_age: args.key_age,
    };
    // The database is opened first, so that what is wrong with it is told; a missing passphrase is no error.
    let database = context.open()?;
    let made = match context.store_unasked() {
        Ok(store) => report::report(&Reading::Unlocked(&store), &context.clock, &request)?,
        Err(Error::Locked) => report::report(&Reading::Locked(&database), &context.clock, &request)?,
        Err(error) => return Err(error),
    };
    let content = made.write(format)?;
    match file {
        None => context.out.raw(&content)?,
        Some(path) => {
            if !context.dry_run {
                report::save(path, &content)?;
            }
            let (warnings, bytes) = (made.warnings.len(), content.len());
            let written = Written { report: made.report, path, format, bytes, warnings };
            context.out.done(&written, |written| {
                let attention =
                    if written.warnings == 1 { "1 warning" } else { &format!("{} warnings", written.warnings) };
                let done = if context.dry_run { "dry run: nothing was written" } else { "readable by you alone" };
                format!("{}: {attention} in it; {done}", written.path.display())
            })?;
        }
    }
    if !made.safeguards.as_ref().is_none_or(|safeguards| safeguards.audit.intact) {
        return Ok(Exit::Tampered);
    }
    Ok(if args.exit_code && !made.warnings.is_empty() { Exit::Differences } else { Exit::Done })
}

/// Returns how the report is to be written. `--json` asks for JSON where nothing else was asked for.
///
/// # Errors
/// When another format than JSON was asked for too; for a PDF that would go to a terminal.
fn format(args: &Args, file: Option<&Path>, context: &Context) -> Result<Format, Error> {
    match (args.format.map(Format::from), file) {
        (Some(format), None) if context.out.is_json() && format != Format::Json => Err(Error::Value {
            what: "--json".into(),
            reason: "another format was asked for".into(),
            hint: Some("leave one of the two away, or write the report into a file with --output FILE".into()),
        }),
        (Some(Format::Pdf), None) if std::io::stdout().is_terminal() => Err(Error::Value {
            what: "--format pdf".into(),
            reason: "a terminal can't show one".into(),
            hint: Some("write it into a file with --output FILE, or into a pipe".into()),
        }),
        (Some(format), _) => Ok(format),
        (None, Some(path)) => Ok(Format::of_path(path).unwrap_or(Format::Md)),
        (None, None) => Ok(if context.out.is_json() { Format::Json } else { Format::Md }),
    }
}
