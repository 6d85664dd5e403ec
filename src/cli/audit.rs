//! `audit`: who did what, and whether the log is as it was written.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use clap::{Subcommand, ValueEnum};

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit};
use crate::db::{Database, Entry, Filter, SignedHead, Store};
use crate::model::{Action, Category, Severity};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::safety::audit::{self, Anchor, Asked, Checkpoints, Export, Format, Log, Report};

/// Read, verify, prove and export the audit log
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List entries, newest first
    #[command(
        after_help = "Examples:\n  wg-friend audit log --entity alice-phone\n  wg-friend audit log --from 7days --category security\n  wg-friend audit log --action key_rotation --json"
    )]
    Log(LogArgs),
    /// Check that nothing was edited, added, reordered or cut off
    ///
    /// Exit code 6 if something was, and which entry is the first bad one. That the whole database was replaced by an older
    /// copy of itself shows only against signed heads that were kept elsewhere: --anchors compares with them.
    #[command(
        after_help = "Examples:\n  wg-friend audit verify\n  wg-friend audit verify --anchors\n  wg-friend audit verify --anchors /mnt/safe/heads.txt\n  wg-friend audit verify --chain-only"
    )]
    Verify(VerifyArgs),
    /// Sign the log as it is now, and print what to keep elsewhere
    ///
    /// A signed head says how many entries there were, and what they were, in a few lines without any secret. Kept where
    /// nobody who gets at the database can get at it, it shows when that is an older copy or another one. One is kept in the
    /// database after each thousand entries; this makes one now.
    #[command(
        after_help = "Examples:\n  wg-friend audit checkpoint >> /mnt/safe/heads.txt\n  wg-friend audit checkpoint --list\n  wg-friend audit checkpoint --key"
    )]
    Checkpoint(CheckpointArgs),
    /// Print a proof that others can check without the database
    ///
    /// That an entry is in the log of a signed head; or, with --from, that a log goes on from what it was earlier. The proof
    /// is a JSON document; the guide has the few lines of Python that check it.
    #[command(
        after_help = "Examples:\n  wg-friend audit prove 1204 > proof.json\n  wg-friend audit prove 1204 --checkpoint 2000\n  wg-friend audit prove --from 1000\n  wg-friend audit prove --from 1000 --to 2000"
    )]
    Prove(ProveArgs),
    /// Write entries in a form that can be verified elsewhere
    ///
    /// Each entry comes with all that its hash is made of, and the export with a signed head. With a filter, each entry also
    /// has the proof that it is in the log of that head; nothing proves that a filter left none out.
    #[command(
        after_help = "Examples:\n  wg-friend audit export > audit.json\n  wg-friend audit export --format csv --out audit.csv\n  wg-friend audit export --from 2026-01-01 --to 2026-04-01 --category security"
    )]
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Check only the hash chain and the checkpoints, which needs no passphrase but doesn't show a skilful forgery
    #[arg(long)]
    chain_only: bool,
    /// Compare with signed heads that were kept elsewhere: files that hold what `audit checkpoint` printed, or backups;
    /// without a file, those that deploys have left on the hosts
    #[arg(long, value_name = "FILE", num_args = 0..)]
    anchors: Option<Vec<PathBuf>>,
}

#[derive(Debug, clap::Args)]
struct CheckpointArgs {
    /// List the checkpoints that there are instead
    #[arg(long, conflicts_with = "key")]
    list: bool,
    /// Print the public key that they are signed with instead: give it, on another way, to whoever is to check
    #[arg(long)]
    key: bool,
}

#[derive(Debug, clap::Args)]
struct ProveArgs {
    /// The entry: its number in `audit log`
    #[arg(value_name = "ENTRY", required_unless_present = "from")]
    entry: Option<i64>,
    /// Prove it against the checkpoint of so many entries, which needs no passphrase [default: the log as it is now]
    #[arg(long, value_name = "SIZE", requires = "entry")]
    checkpoint: Option<u64>,
    /// Prove that the log still begins with the first SIZE entries that it had once
    #[arg(long, value_name = "SIZE", conflicts_with = "entry")]
    from: Option<u64>,
    /// Up to the checkpoint of so many entries, which needs no passphrase [default: the log as it is now]
    #[arg(long, value_name = "SIZE", requires = "from")]
    to: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// What to write
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = FormatArg::Json)]
    format: FormatArg,
    /// Where to; a table's signed head goes into a file beside it, named FILE.head [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// One document, with the signed head in it
    Json,
    /// A table for spreadsheets, with the signed head beside it
    Csv,
}

#[derive(Debug, clap::Args)]
struct LogArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Leave out so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u32,
}

#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only this action, such as peer_added
    #[arg(long, value_name = "ACTION")]
    action: Option<Action>,
    /// Only this category: security, configuration, access or system
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// Only this severity: info, warning or critical
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// Only about this node (name, interface:name or guid), host or network; also by a name that it had
    #[arg(long, value_name = "NAME")]
    entity: Option<String>,
    /// Only by this operator
    #[arg(long, value_name = "LOGIN")]
    operator: Option<String>,
    /// From this time on: 2026-01-31, 2026-01-31T12:00:00Z, or how long ago, such as 7days
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time, in the same forms
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Log(args) => log(args, context),
        Command::Verify(args) => verify(&args, context),
        Command::Checkpoint(args) => checkpoint(&args, context),
        Command::Prove(args) => prove(&args, context),
        Command::Export(args) => export(args, context),
    }
}

fn log(args: LogArgs, context: &Context) -> Result<Exit, Error> {
    let filter = Filter { limit: args.limit, offset: args.offset, ..filter(args.filter, context.clock.now())? };
    let log = audit::log(&context.open()?, filter)?;
    context.out.show(&log, render)?;
    if log.more && !context.out.is_json() {
        context.out.note(paint(style::DIM, "there are older entries: --offset or --limit shows them"));
    }
    Ok(Exit::Done)
}

fn verify(args: &VerifyArgs, context: &Context) -> Result<Exit, Error> {
    let report = if args.chain_only {
        let database = context.open()?;
        let (anchors, hosts) = elsewhere(args, &database, None, context)?;
        Report { hosts, ..audit::verify_locked(&database, anchors)? }
    } else {
        let store = context.store()?;
        let (anchors, hosts) = elsewhere(args, &store, Some(&store), context)?;
        Report { hosts, ..audit::verify(&store, anchors)? }
    };
    context.out.show(&report, verdict)?;
    // Hosts that have nothing to compare with say nothing for it.
    let in_vain = !report.hosts.is_empty() && report.anchors.is_empty();
    Ok(match in_vain || report.hosts.iter().any(|asked| asked.error.is_some()) {
        _ if !report.intact => Exit::Tampered,
        true => Exit::SomeHosts,
        false => Exit::Done,
    })
}

/// Fetches the heads that were kept elsewhere, and says which hosts were asked.
fn elsewhere(
    args: &VerifyArgs,
    database: &Database,
    store: Option<&Store>,
    context: &Context,
) -> Result<(Vec<Anchor>, Vec<Asked>), Error> {
    match &args.anchors {
        None => Ok((Vec::new(), Vec::new())),
        Some(files) if files.is_empty() => {
            let found = audit::ask_hosts(database, &context.fleet(None)?, context.settings.parallel)?;
            if found.1.is_empty() {
                context.out.note("there are no hosts to ask: --anchors FILE compares with heads that you kept");
            }
            Ok(found)
        }
        Some(files) => Ok((audit::read_anchors(files, store)?, Vec::new())),
    }
}

fn checkpoint(args: &CheckpointArgs, context: &Context) -> Result<Exit, Error> {
    if args.list || args.key {
        let checkpoints = audit::checkpoints(&context.open()?)?;
        let render = |found: &Checkpoints| if args.key { public_key(found) } else { listed(found) };
        context.out.show(&checkpoints, render)?;
        return Ok(Exit::Done);
    }
    let kept = audit::checkpoint(&mut context.store()?, context.clock.now())?;
    context.out.show(&kept, |kept| kept.head.to_string())?;
    Ok(Exit::Done)
}

fn prove(args: &ProveArgs, context: &Context) -> Result<Exit, Error> {
    let proof = match args.checkpoint.or(args.to) {
        Some(size) => {
            let database = context.open()?;
            proof(args, &database, audit::head_at(&database, size)?)?
        }
        None => {
            let store = context.store()?;
            let head = audit::head_now(&store, context.clock.now())?;
            proof(args, &store, head)?
        }
    };
    context.out.raw(proof.as_bytes())?;
    Ok(Exit::Done)
}

/// Writes the proof as a line of JSON: it is for programs in any case.
fn proof(args: &ProveArgs, database: &Database, head: SignedHead) -> Result<String, Error> {
    let line = |proof: serde_json::Result<String>| proof.expect("proofs have string keys and serialise") + "\n";
    Ok(match (args.entry, args.from) {
        (Some(entry), _) => line(serde_json::to_string(&audit::inclusion(database, entry, head)?)),
        (None, from) => line(serde_json::to_string(&audit::consistency(database, from.unwrap_or_default(), head)?)),
    })
}

fn export(args: ExportArgs, context: &Context) -> Result<Exit, Error> {
    let now = context.clock.now();
    let filter = filter(args.filter, now)?;
    let Some(file) = args.out else {
        if args.format == FormatArg::Csv {
            return Err(Error::Value {
                what: "--format csv".into(),
                reason: "a table has no place for the signed head".into(),
                hint: Some("give --out FILE: the head goes beside it, into FILE.head".into()),
            });
        }
        audit::export(&context.store()?, filter, now, &mut std::io::stdout().lock())?;
        return Ok(Exit::Done);
    };
    let format = match args.format {
        FormatArg::Json => Format::Json,
        FormatArg::Csv => Format::Csv,
    };
    let done = audit::export_to(&context.store()?, filter, format, now, &file)?;
    context.out.done(&done, exported)?;
    Ok(Exit::Done)
}

fn filter(args: FilterArgs, now: DateTime<Utc>) -> Result<Filter, Error> {
    let time = |flag: &str, text: Option<String>| text.map(|text| moment(flag, &text, now)).transpose();
    Ok(Filter {
        action: args.action,
        category: args.category,
        severity: args.severity,
        about: args.entity.into_iter().collect(),
        operator: args.operator,
        from: time("--from", args.from)?,
        to: time("--to", args.to)?,
        ..Filter::default()
    })
}

/// Reads a time (RFC 3339), a date, or how long ago.
pub(super) fn moment(flag: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M") {
        return Ok(time.and_utc());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_hms_opt(0, 0, 0).expect("every day has a midnight").and_utc());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| chrono::TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(|| {
        Error::value(flag, format!("`{text}` is no time: write 2026-01-31, 2026-01-31T12:00:00Z or 7days"))
    })
}

fn render(log: &Log) -> String {
    if log.entries.is_empty() {
        return "no entries".into();
    }
    let mut table = Table::new(&["#", "TIME", "OPERATOR", "ACTION", "ABOUT", "DETAILS"]);
    for entry in &log.entries {
        let colour = match entry.severity.as_str() {
            "critical" => style::BAD,
            "warning" => style::WARN,
            _ => style::PLAIN,
        };
        table.row([
            Cell::new(entry.id, style::DIM),
            Cell::new(entry.time.format("%Y-%m-%d %H:%M:%S"), style::DIM),
            (&entry.operator).into(),
            Cell::new(&entry.action, colour),
            Cell::new(about(entry), style::STRONG),
            Cell::new(details(entry), style::PLAIN),
        ]);
    }
    table.render()
}

fn about(entry: &Entry) -> String {
    let name = entry.details.get("name").and_then(|name| name.as_str());
    name.or(entry.entity_guid.as_deref()).unwrap_or_default().to_owned()
}

/// Returns the details in a line: what changed from what into what, and the rest as `key=value`.
fn details(entry: &Entry) -> String {
    let Some(details) = entry.details.as_object() else { return entry.details.to_string() };
    let short = |value: &serde_json::Value| match value.as_str() {
        Some("") => "none".to_owned(),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    let mut parts = Vec::new();
    if let (Some(before), Some(after)) =
        (details.get("before").and_then(|v| v.as_object()), details.get("after").and_then(|v| v.as_object()))
    {
        for (key, after) in after {
            let before = before.get(key).map_or_else(String::new, short);
            parts.push(format!("{key}: {before} → {}", short(after)));
        }
    }
    let rest = details.iter().filter(|(key, _)| !matches!(key.as_str(), "name" | "before" | "after"));
    parts.extend(rest.map(|(key, value)| format!("{key}={}", short(value))));
    parts.join(", ")
}

fn verdict(report: &Report) -> String {
    let mut lines = vec![match &report.bad {
        Some(finding) => format!(
            "{} entry {} {}\n{}",
            paint(style::BAD, "tampered:"),
            finding.entry,
            finding.problem,
            good_before(report, finding.entry)
        ),
        None => format!(
            "{}: {} entries, {}",
            paint(style::GOOD, "in order"),
            report.entries,
            match (report.authenticated, report.checkpoints) {
                (true, 0) => "chain, authentication codes and end of the log".to_owned(),
                (true, n) => format!("chain, authentication codes, {} and end of the log", checkpoints_of(n)),
                (false, 0) => "hash chain only".to_owned(),
                (false, n) => format!("hash chain and {} only", checkpoints_of(n)),
            }
        ),
    }];
    lines.extend(anchors(report));
    lines.extend(report.hosts.iter().filter_map(silent));
    lines.extend(report.hosts.iter().filter_map(others));
    lines.join("\n")
}

/// Says of each head from elsewhere what is wrong; of those in one place that are in order, only the newest, and so of those from
/// before a restore that was followed up.
fn anchors(report: &Report) -> impl Iterator<Item = String> {
    let is_told = |at: usize, anchor: &Anchor| {
        let later = &report.anchors[at + 1..];
        if anchor.settled {
            return !later.iter().any(|other| other.settled && other.from == anchor.from);
        }
        !anchor.intact
            || !later.iter().any(|other| other.intact && other.from == anchor.from && other.size >= anchor.size)
    };
    report
        .anchors
        .iter()
        .enumerate()
        .filter(move |(at, anchor)| is_told(*at, anchor))
        .map(|(_, anchor)| anchored(anchor))
}

/// Says why a host told nothing.
fn silent(Asked { host, heads, error, .. }: &Asked) -> Option<String> {
    match (error, heads) {
        (Some(error), _) => Some(format!("{} {host}: {error}", paint(style::BAD, "not asked:"))),
        (None, 0) => Some(format!("{} {host}: no deploy has left a head there", paint(style::WARN, "nothing:"))),
        (None, _) => None,
    }
}

/// Says of what other databases a host has heads: of those that it was deployed from before, or of the one that this should be.
fn others(Asked { host, others, .. }: &Asked) -> Option<String> {
    let names = others.join(", ");
    (!others.is_empty()).then(|| {
        format!("{} {host}: deploys from another database left heads there: {names}", paint(style::WARN, "others:"))
    })
}

/// Says how far the log is good. All of its entries may be, where a checkpoint is not.
fn good_before(report: &Report, entry: i64) -> String {
    let which = if report.entries < entry { " before it" } else { "" };
    format!("{} entries{which} are in order", report.entries)
}

fn checkpoints_of(count: usize) -> String {
    if count == 1 { "1 checkpoint".into() } else { format!("{count} checkpoints") }
}

fn anchored(anchor: &Anchor) -> String {
    let Anchor { from, size, time, problem, restored, settled, .. } = anchor;
    let head = format!("the head of {size} entries in {from}, signed {}", time.format("%Y-%m-%d %H:%M:%S"));
    match (problem, restored) {
        (None, _) => format!("{}: {head}", paint(style::GOOD, "in order")),
        (Some(_), Some(restored)) => format!(
            "{} {head}, is of the log from before a restore: {restored}. {}",
            paint(style::WARN, "restored:"),
            match settled {
                true => "Newer heads are there by now",
                // A finding until then: whoever didn't expect the restore has to hear of it.
                false =>
                    "If that was meant, `wg-friend deploy` leaves newer heads on hosts, and `wg-friend audit checkpoint` makes one for a file",
            }
        ),
        (Some(problem), None) => format!("{} {head}, {problem}", paint(style::BAD, "tampered:")),
    }
}

fn public_key(found: &Checkpoints) -> String {
    found.key.as_ref().map_or_else(|| "none yet: the next change makes it".into(), ToString::to_string)
}

fn listed(found: &Checkpoints) -> String {
    if found.checkpoints.is_empty() {
        return "no checkpoints".into();
    }
    let mut table = Table::new(&["#", "ENTRIES", "SIGNED"]);
    for kept in &found.checkpoints {
        table.row([
            Cell::new(kept.number, style::DIM),
            Cell::new(kept.size, style::STRONG),
            Cell::new(kept.time.format("%Y-%m-%d %H:%M:%S"), style::PLAIN),
        ]);
    }
    table.render()
}

fn exported(done: &Export) -> String {
    let what = if done.complete { "the whole log, " } else { "" };
    let head = done.head_file.as_ref().map(|head| format!("; its signed head into {}", head.display()));
    format!("{what}{} entries, into {}{}", done.entries, done.file.display(), head.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_dates_or_how_long_ago() {
        let now: DateTime<Utc> = "2026-03-10T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00+00:00"),
            ("2026-03-01", "2026-03-01T00:00:00+00:00"),
            ("2026-03-01 08:30", "2026-03-01T08:30:00+00:00"),
            ("7days", "2026-03-03T12:00:00+00:00"),
            ("2h 30m", "2026-03-10T09:30:00+00:00"),
        ] {
            assert_eq!(moment("--from", text, now).unwrap().to_rfc3339(), expected);
        }
        assert!(moment("--from", "yesterday", now).is_err());
    }
}
