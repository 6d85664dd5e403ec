//! `drift`: what somebody changed on the hosts, what of it may stay, and how it went so far.

use std::io::IsTerminal as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use clap::Subcommand;

use super::output::{Cell, Table, paint, paint_code, style};
use super::progress::Line;
use super::{Context, Exit, width};
use crate::db::DriftItem;
use crate::fleet::RealFleet;
use crate::model::{Name, ScanOutcome, Severity};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::{self, Options};
use crate::ops::drift::ack::{self, List, Outcome, Terms, Which};
use crate::ops::drift::adopt::{Adopted, adopt as take_over};
use crate::ops::drift::history::{self, History, Summary, Trend};
use crate::ops::drift::{self, HostDrift, ItemView, Report};

/// Find what somebody changed on the hosts, say what of it may stay, look back
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for what was changed on the hosts since the last deploy
    ///
    /// Says nothing when all is well. Exit code 3 when something drifted that nobody has acknowledged, 4 when a host gave
    /// no answer. What the model has that isn't deployed yet is no drift: `wg-friend plan` shows it. Changes nothing on any
    /// host; what was found is written down for `history` and `report`.
    #[command(
        after_help = "Examples:\n  wg-friend drift check\n  wg-friend drift check hub office --json\n  wg-friend drift check --quiet || mail -s drift me@example.com"
    )]
    Check {
        /// Only these hosts [default: all]
        #[arg(value_name = "HOST")]
        hosts: Vec<String>,
        /// Hosts to talk to at once
        #[arg(long, value_name = "N")]
        parallel: Option<usize>,
    },
    /// Say that something may stay as it was found: it doesn't count until it changes again
    #[command(
        after_help = "Examples:\n  wg-friend drift ack hub 3f9a01c2 --reason 'test of the new MTU' --until 30d\n  wg-friend drift ack hub all --reason 'migration night' --until 2026-12-31\n  wg-friend drift ack --list\n  wg-friend drift ack hub 3f9a01c2 --remove"
    )]
    Ack {
        /// The host
        #[arg(required_unless_present = "list")]
        host: Option<String>,
        /// The item's id (or how it begins) as the latest check shows it, or `all`
        #[arg(required_unless_present = "list", conflicts_with = "list")]
        item: Option<String>,
        /// Why it may stay
        #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "remove"], conflicts_with_all = ["list", "remove"])]
        reason: Option<String>,
        /// Until when: 2026-12-31, 2026-12-31T12:00:00Z, or how long, such as 30d [default: for good]
        #[arg(long, value_name = "TIME", conflicts_with_all = ["list", "remove"])]
        until: Option<String>,
        /// List what is acknowledged
        #[arg(long, conflicts_with = "remove")]
        list: bool,
        /// Take it back
        #[arg(long)]
        remove: bool,
    },
    /// Look at a host and acknowledge everything that is found there now
    #[command(after_help = "Examples:\n  wg-friend drift baseline hub --reason 'as the provider left it'")]
    Baseline {
        /// The host
        host: String,
        /// Why it may stay
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Until when: 2026-12-31, 2026-12-31T12:00:00Z, or how long, such as 30d [default: for good]
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Take what was changed on a host into the model, as far as the model has a place for it
    ///
    /// AllowedIPs, endpoints, keepalives, preshared keys, port, MTU, further addresses, routes and safe hooks; a peer that was
    /// removed stays away, one whose key was replaced has that key, and one that nobody planned becomes a node that is known
    /// by its key only and may reach nothing yet. What can't be taken over is named, and why. If all of it could be, what
    /// has to follow on the host, such as its files, is deployed there at once; then its plan is empty.
    #[command(after_help = "Examples:\n  wg-friend drift adopt hub --dry-run\n  wg-friend drift adopt hub")]
    Adopt {
        /// The host
        host: String,
    },
    /// List earlier checks and what they found
    #[command(after_help = "Examples:\n  wg-friend drift history\n  wg-friend drift history hub --days 7")]
    History {
        /// Only this host [default: all]
        host: Option<String>,
        /// How far back
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
        days: u32,
    },
    /// Sum up what the checks of some days found: by kind, by host, by day
    #[command(after_help = "Examples:\n  wg-friend drift report --days 30\n  wg-friend drift report --json")]
    Report {
        /// How far back
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
        days: u32,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let now = context.clock.now();
    match args.command {
        Command::Check { hosts, parallel } => check(&hosts, parallel, context),
        Command::Ack { host, list: true, .. } => {
            context.out.show(&ack::list(&context.open()?, host.as_deref(), now)?, list)?;
            Ok(Exit::Done)
        }
        Command::Ack { host: Some(host), item: Some(item), reason, until, remove, .. } => {
            let which = if item == "all" { Which::All } else { Which::Item(item) };
            let (mut store, actor) = (context.store()?, context.actor());
            let outcome = if remove {
                ack::remove(&mut store, &context.clock, &actor, &host, &which, context.mode())?
            } else {
                let terms = terms(reason.unwrap_or_default(), until.as_deref(), now)?;
                ack::acknowledge(&mut store, &context.clock, &actor, &host, &which, &terms, context.mode())?
            };
            acknowledged(&outcome, context)
        }
        Command::Ack { .. } => Err(Error::value("drift ack", "needs a host and an item")),
        Command::Baseline { host, reason, until } => baseline(&host, &terms(reason, until.as_deref(), now)?, context),
        Command::Adopt { host } => adopt(&host, context),
        Command::History { host, days } => {
            context.out.show(&history::history(&context.open()?, host.as_deref(), days, now)?, past)?;
            Ok(Exit::Done)
        }
        Command::Report { days } => {
            context.out.show(&history::report(&context.open()?, days, now)?, sums)?;
            Ok(Exit::Done)
        }
    }
}

fn look(hosts: &[String], parallel: Option<usize>, context: &Context) -> Result<Report, Error> {
    let name = |name: &String| name.parse().map_err(|e| Error::value("HOST", e));
    let hosts: Vec<Name> = hosts.iter().map(name).collect::<Result<_, _>>()?;
    let mut store = context.store()?;
    let fleet = RealFleet::new()?;
    let parallel = parallel.unwrap_or(context.settings.parallel);
    let line = Line::new(context);
    drift::check(&mut store, &fleet, &context.clock, &context.actor(), &hosts, parallel, &line)
}

fn check(hosts: &[String], parallel: Option<usize>, context: &Context) -> Result<Exit, Error> {
    let report = look(hosts, parallel, context)?;
    let all = context.out.verbosity() > 0;
    context.out.show(&report, |report| render(report, all))?;
    let well = report.items == 0 && report.unknown == 0;
    // A job that runs every hour has nothing to say then; a person wants to know that something was done.
    if well && !all && !context.out.is_json() && std::io::stderr().is_terminal() {
        context.out.note(paint(style::GOOD, verdict(&report)));
    }
    Ok(match report {
        Report { unknown: 1.., .. } => Exit::SomeHosts,
        Report { items: 1.., .. } => Exit::Differences,
        _ => Exit::Done,
    })
}

fn baseline(host: &str, terms: &Terms, context: &Context) -> Result<Exit, Error> {
    let report = look(&[host.to_owned()], None, context)?;
    if let Some(silent) = report.hosts.iter().find(|host| host.outcome == ScanOutcome::Unknown) {
        let why = silent.error.as_deref().unwrap_or("it gave no answer");
        return Err(Error::Refused(format!("nobody knows what is on `{host}` now: {why}; nothing was acknowledged")));
    }
    let (mut store, actor) = (context.store()?, context.actor());
    let outcome = ack::acknowledge(&mut store, &context.clock, &actor, host, &Which::All, terms, context.mode())?;
    acknowledged(&outcome, context)
}

fn adopt(host: &str, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let (fleet, actor) = (RealFleet::new()?, context.actor());
    let options = Options {
        confirm_within: context.settings.confirm_timeout,
        keep_versions: context.settings.keep_versions,
        ..Options::new(format!("{} (wg-friend process {})", actor.operator, std::process::id()))
    };
    if !context.dry_run && !context.yes {
        context.confirm(&format!("Take what was changed on {host} into the model?"))?;
    }
    let line = Line::new(context);
    let adopted = take_over(&mut store, &fleet, &context.clock, &actor, host, &options, context.mode(), &line)?;
    drop(line);
    context.out.done(&adopted, taken)?;
    let good = matches!(adopted.deployed, None | Some(deploy::Outcome::Confirmed | deploy::Outcome::Unchanged));
    Ok(match (good, adopted.left.is_empty()) {
        (false, _) => Exit::SomeHosts,
        (true, false) => Exit::Incomplete,
        (true, true) => Exit::Done,
    })
}

fn taken(adopted: &Adopted) -> String {
    let mut text = String::new();
    for item in &adopted.adopted {
        text.push_str(&format!("{} {} {}\n", paint(style::GOOD, "+ adopted"), item.kind, what(item)));
    }
    for left in &adopted.left {
        let word = paint(style::WARN, "! not adopted");
        text.push_str(&format!("{word} {} {}: {}\n", left.item.kind, what(&left.item), left.reason));
    }
    for name in &adopted.added {
        let say = format!("wg-friend set {name} access=full");
        text.push_str(&format!("  {name} is new and may reach nothing yet: {}\n", paint(style::CODE, say)));
    }
    let follows = adopted.follows.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    ");
    match &adopted.deployed {
        _ if !adopted.saved => text.push_str(&format!("{}\n", paint(style::WARN, "dry run: nothing was changed"))),
        Some(deploy::Outcome::Confirmed | deploy::Outcome::Unchanged) => {
            text.push_str(&format!("  deployed and confirmed on {}:\n    {follows}\n", adopted.host));
        }
        Some(_) => text.push_str(&format!("  what follows was not deployed: `wg-friend deploy {}`\n", adopted.host)),
        None if follows.is_empty() => {}
        None => {
            text.push_str(&format!("  what follows waits for `wg-friend deploy {}`:\n    {follows}\n", adopted.host))
        }
    }
    text
}

fn terms(reason: String, until: Option<&str>, now: DateTime<Utc>) -> Result<Terms, Error> {
    Ok(Terms { reason, until: until.map(|text| moment(text, now)).transpose()? })
}

/// Reads a time (RFC 3339, or without seconds or zone in UTC), the end of a day, or how long from now.
pub(super) fn moment(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    if let Some(time) = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
        return Ok(time.and_utc());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_hms_opt(23, 59, 59).expect("every day has a last second").and_utc());
    }
    let long = humantime::parse_duration(text).ok().and_then(|long| chrono::TimeDelta::from_std(long).ok());
    long.and_then(|long| now.checked_add_signed(long)).ok_or_else(|| {
        Error::value(
            "--until",
            format!("`{text}` is no time: write 2026-12-31, '2026-12-31 12:00', 2026-12-31T12:00:00Z or 30d"),
        )
    })
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Writes a check for a person; nothing when all is well, unless `all` is asked for.
fn render(report: &Report, all: bool) -> String {
    if report.items == 0 && report.unknown == 0 && !all {
        return String::new();
    }
    let room = report.hosts.iter().map(|host| host.host.as_str().len()).max().unwrap_or(0);
    let mut text = String::new();
    for host in report.hosts.iter().filter(|host| all || host.outcome != ScanOutcome::Clean) {
        host_lines(host, room, &mut text);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text + &verdict(report) + "\n"
}

fn host_lines(host: &HostDrift, room: usize, text: &mut String) {
    let open = host.items.iter().filter(|view| view.acknowledged.is_none()).count();
    let state = match host.outcome {
        ScanOutcome::Unknown => {
            let why = host.error.as_deref().unwrap_or_default();
            format!("{}  {}", paint(style::BAD, "unknown"), paint(style::BAD, why))
        }
        ScanOutcome::Drift => paint(style::WARN, plural(open, "change", "changes")),
        ScanOutcome::Clean if !host.deployed => paint(style::DIM, "nothing was deployed there yet"),
        ScanOutcome::Clean => paint(style::GOOD, "as it was deployed"),
    };
    let name = paint(style::STRONG, format_args!("{:room$}", host.host));
    text.push_str(&width::hang(&format!("{name}  {state}"), &format!("{:room$}    ", "")));
    text.push('\n');
    if let Some(hint) = &host.hint {
        let line = format!("{:room$}  {} {}", "", paint(style::CODE.bold(), "hint:"), paint_code(hint));
        text.push_str(&width::hang(&line, &format!("{:room$}    ", "")));
        text.push('\n');
    }
    for view in &host.items {
        let line = format!("{:room$}  {}", "", item_line(view));
        text.push_str(&width::hang(&line, &format!("{:room$}           ", "")));
        text.push('\n');
    }
}

fn item_line(view: &ItemView) -> String {
    let item = &view.item;
    let interface = item.interface.as_ref().map_or("host", |interface| interface.as_str());
    let colour = of_severity(item.severity);
    let mut line = format!(
        "{}  {}  {interface:6} {} {}",
        paint(style::CODE, &item.id),
        paint(colour, format_args!("{:8}", item.severity)),
        paint(colour, item.kind),
        what(item),
    );
    if let Some(ack) = &view.acknowledged {
        let until = ack.until.map_or(String::new(), |until| format!(" until {}", until.format("%Y-%m-%d %H:%M")));
        line.push_str(&paint(style::DIM, format_args!("  acknowledged{until}: {}", ack.reason)));
    }
    line
}

fn of_severity(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Critical => style::BAD,
        Severity::Warning => style::WARN,
        Severity::Info => style::PLAIN,
    }
}

/// What it is about: `alice: 10.9.0.0/24, was 10.66.0.30/32`.
fn what(item: &DriftItem) -> String {
    let value = match (&item.found, &item.wanted) {
        (Some(found), Some(wanted)) => format!("{found}, was {wanted}"),
        (Some(found), None) => found.clone(),
        (None, Some(wanted)) => format!("was {wanted}"),
        (None, None) => String::new(),
    };
    match (item.subject.is_empty(), value.is_empty()) {
        (false, false) => format!("{}: {value}", item.subject),
        (false, true) => item.subject.clone(),
        (true, _) => value,
    }
}

fn verdict(report: &Report) -> String {
    if report.hosts.is_empty() {
        return "nothing is deployed to any host yet".to_owned();
    }
    let mut parts = Vec::new();
    if report.items > 0 {
        let critical = if report.critical > 0 { format!(", {} critical", report.critical) } else { String::new() };
        let found = plural(report.items, "change was made on the hosts", "changes were made on the hosts");
        parts.push(format!("{found}{critical}"));
    } else {
        let clean = report.hosts.len() - report.unknown;
        parts.push(plural(clean, "host is as it was deployed", "hosts are as they were deployed"));
    }
    if report.acknowledged > 0 {
        parts.push(plural(report.acknowledged, "more is acknowledged", "more are acknowledged"));
    }
    if report.unknown > 0 {
        parts.push(plural(report.unknown, "host gave no answer", "hosts gave no answer"));
    }
    format!("{}.", parts.join("; "))
}

fn acknowledged(outcome: &Outcome, context: &Context) -> Result<Exit, Error> {
    context.out.done(outcome, |outcome| {
        let mut text = String::new();
        for ack in &outcome.items {
            let until =
                ack.until.map_or("for good".to_owned(), |until| format!("until {}", until.format("%Y-%m-%d %H:%M")));
            let (sign, until) =
                if outcome.action == "removed" { ("-", String::new()) } else { ("+", format!("  {until}")) };
            text.push_str(&format!(
                "{sign} {} {}  {} {}{until}\n",
                outcome.action,
                paint(style::CODE, &ack.item.id),
                ack.item.kind,
                what(&ack.item)
            ));
        }
        if !outcome.saved {
            text.push_str(&paint(style::WARN, "dry run: nothing was changed"));
            text.push('\n');
        }
        text
    })?;
    Ok(Exit::Done)
}

fn list(list: &List) -> String {
    if list.acknowledged.is_empty() {
        return "nothing is acknowledged\n".to_owned();
    }
    let mut table = Table::new(&["HOST", "ITEM", "KIND", "WHAT", "UNTIL", "REASON", "BY"]);
    for view in &list.acknowledged {
        let ack = &view.acknowledgement;
        let until = match (ack.until, view.expired) {
            (_, true) => Cell::new("expired", style::WARN),
            (Some(until), false) => until.format("%Y-%m-%d %H:%M").into(),
            (None, false) => "for good".into(),
        };
        table.row([
            (&ack.host).into(),
            Cell::new(&ack.item.id, style::CODE),
            ack.item.kind.into(),
            what(&ack.item).into(),
            until,
            (&ack.reason).into(),
            (&ack.operator).into(),
        ]);
    }
    table.render()
}

/// So many scans are shown to a person.
const SHOWN: usize = 40;

fn past(history: &History) -> String {
    if history.scans.is_empty() {
        return "nobody has looked yet: `wg-friend drift check`\n".to_owned();
    }
    let mut scans = Table::new(&["TIME", "HOST", "OUTCOME", "CHANGES", "ACKNOWLEDGED", "NOTE"]);
    for scan in history.scans.iter().take(SHOWN) {
        let some = |n: usize| if n > 0 { n.to_string() } else { String::new() };
        scans.row([
            Cell::new(scan.time.format("%Y-%m-%d %H:%M"), style::DIM),
            (&scan.host).into(),
            outcome(scan.outcome),
            some(scan.items).into(),
            some(scan.acknowledged).into(),
            scan.note.as_deref().unwrap_or_default().into(),
        ]);
    }
    let mut text = scans.render();
    if history.scans.len() > SHOWN {
        text.push_str(&format!("… and {} earlier ones\n", history.scans.len() - SHOWN));
    }
    if history.items.is_empty() {
        return text;
    }
    let mut items = Table::new(&["HOST", "ITEM", "KIND", "WHAT", "FIRST SEEN", "LAST SEEN", ""]);
    for seen in &history.items {
        items.row([
            (&seen.host).into(),
            Cell::new(&seen.item.id, style::CODE),
            Cell::new(seen.item.kind, of_severity(seen.item.severity)),
            what(&seen.item).into(),
            Cell::new(seen.first_seen.format("%Y-%m-%d %H:%M"), style::DIM),
            Cell::new(seen.last_seen.format("%Y-%m-%d %H:%M"), style::DIM),
            if seen.present { Cell::new("still there", style::WARN) } else { "".into() },
        ]);
    }
    text + "\n" + &items.render()
}

fn outcome(outcome: ScanOutcome) -> Cell {
    match outcome {
        ScanOutcome::Clean => Cell::new(outcome, style::GOOD),
        ScanOutcome::Drift => Cell::new(outcome, style::WARN),
        ScanOutcome::Unknown => Cell::new(outcome, style::BAD),
    }
}

fn sums(summary: &Summary) -> String {
    let (from, to) = (summary.from.format("%Y-%m-%d"), summary.to.format("%Y-%m-%d"));
    if summary.scans == 0 {
        return format!("{from} to {to}: nobody has looked\n");
    }
    let items: usize = summary.kinds.iter().map(|of| of.items).sum();
    let trend = match summary.trend {
        Trend::Rising => "more than before",
        Trend::Steady => "as many as before",
        Trend::Falling => "fewer than before",
    };
    let mut text = format!(
        "{from} to {to}: {}, {} without an answer; {}, lately {trend}\n",
        plural(summary.scans, "look", "looks"),
        summary.unknown,
        plural(items, "change", "changes"),
    );
    if !summary.kinds.is_empty() {
        let mut kinds = Table::new(&["KIND", "SEVERITY", "CHANGES", "STILL THERE", "FIRST SEEN", "LAST SEEN"]);
        for of in &summary.kinds {
            kinds.row([
                Cell::new(of.kind, of_severity(of.severity)),
                of.severity.into(),
                of.items.into(),
                of.present.into(),
                Cell::new(of.first_seen.format("%Y-%m-%d %H:%M"), style::DIM),
                Cell::new(of.last_seen.format("%Y-%m-%d %H:%M"), style::DIM),
            ]);
        }
        text.push_str(&format!("\n{}", kinds.render()));
    }
    let mut hosts = Table::new(&["HOST", "LATEST", "LOOKS", "WITH DRIFT", "UNKNOWN", "CHANGES", "STILL THERE"]);
    for of in &summary.hosts {
        hosts.row([
            (&of.host).into(),
            of.latest.map_or("".into(), outcome),
            of.scans.into(),
            of.drifted.into(),
            of.unknown.into(),
            of.items.into(),
            of.present.into(),
        ]);
    }
    let mut days = Table::new(&["DAY", "LOOKS", "UNKNOWN", "NEW CHANGES", "HOSTS WITH DRIFT"]);
    for of in &summary.days {
        days.row([of.day.into(), of.scans.into(), of.unknown.into(), of.new.into(), of.hosts.into()]);
    }
    text + "\n" + &hosts.render() + "\n" + &days.render()
}
