//! `audit`: who did what, and whether the log is as it was written.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use clap::Subcommand;

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit};
use crate::db::{Entry, Filter};
use crate::model::{Action, Category, Severity};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::safety::audit::{self, Log, Report};

/// Read and verify the audit log
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
    /// Exit code 6 if something was, and which entry is the first bad one.
    Verify {
        /// Check only the hash chain, which needs no passphrase but doesn't show a skilful forgery
        #[arg(long)]
        chain_only: bool,
    },
}

#[derive(Debug, clap::Args)]
struct LogArgs {
    /// Only this action, such as peer_added
    #[arg(long, value_name = "ACTION")]
    action: Option<Action>,
    /// Only this category: security, configuration, access or system
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// Only this severity: info, warning or critical
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// Only about this node (name, interface:name or guid), host or network
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
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Leave out so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u32,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Log(args) => {
            let filter = filter(args, context.clock.now())?;
            let log = audit::log(&context.open()?, filter)?;
            context.out.show(&log, render)?;
            if log.more && !context.out.is_json() {
                context.out.note(paint(style::DIM, "there are older entries: --offset or --limit shows them"));
            }
            Ok(Exit::Done)
        }
        Command::Verify { chain_only } => {
            let report =
                if chain_only { audit::verify_locked(&context.open()?)? } else { audit::verify(&context.store()?)? };
            context.out.show(&report, verdict)?;
            Ok(if report.intact { Exit::Done } else { Exit::Tampered })
        }
    }
}

fn filter(args: LogArgs, now: DateTime<Utc>) -> Result<Filter, Error> {
    let time = |flag: &str, text: Option<String>| text.map(|text| moment(flag, &text, now)).transpose();
    Ok(Filter {
        action: args.action,
        category: args.category,
        severity: args.severity,
        entity: args.entity,
        operator: args.operator,
        from: time("--from", args.from)?,
        to: time("--to", args.to)?,
        limit: args.limit,
        offset: args.offset,
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
    match &report.bad {
        Some(finding) => format!(
            "{} entry {} {}\n{} entries before it are in order",
            paint(style::BAD, "tampered:"),
            finding.entry,
            finding.problem,
            report.entries
        ),
        None if report.authenticated => format!(
            "{}: {} entries, chain, authentication codes and end of the log",
            paint(style::GOOD, "in order"),
            report.entries
        ),
        None => format!("{}: {} entries, hash chain only", paint(style::GOOD, "in order"), report.entries),
    }
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
