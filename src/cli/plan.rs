//! `plan`: what would change on each host.

use std::path::{Path, PathBuf};

use super::output::{paint, paint_code, style};
use super::progress::Line;
use super::{Context, Exit, blast, width};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::model::{Name, Severity};
use crate::ops::clock::Clock as _;
use crate::ops::deploy::report::{HostReport, PlanReport};
use crate::ops::deploy::{self, Cause, Change, Disruption, Kind, Plan, saved};
use crate::ops::{Error, drift};

/// Show what would change on each host
///
/// Asks every host for its state in one round trip and compares it with the model: what is running and what is in the
/// files. Differences that somebody made on the host are marked as such. Under the plan stands whom it concerns: who loses
/// packets, whether it touches the way by which wg-friend reaches a host, and which devices need a new file. Changes
/// nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend plan\n  wg-friend plan hub office --json\n  wg-friend plan --exit-code && echo everything is as it should be\n  wg-friend plan -o monday.plan         then, once it was looked at: wg-friend deploy monday.plan"
)]
pub(super) struct Args {
    /// Only these hosts [default: all]
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// End with 3 when there are differences
    #[arg(long)]
    exit_code: bool,
    /// Also write the plan to a file, for `wg-friend deploy FILE` to carry out exactly this or nothing
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Hosts to talk to at once
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Looked { store, plan, .. } = look(context, &args.hosts, args.parallel)?;
    let report = PlanReport::from(&plan);
    context.out.show(&report, |report| render(report, context.out.verbosity() > 0))?;
    let saved = args.out.as_ref().filter(|_| !context.dry_run);
    if let Some(path) = saved {
        saved::save(&store, &plan, &context.actor(), context.clock.now(), path)?;
        if report.failed > 0 {
            context.out.warn("hosts that could not be looked at are not in the file");
        }
    }
    if report.changes > 0 {
        let command = saved.map_or("wg-friend deploy".to_owned(), |path| format!("wg-friend deploy {}", as_file(path)));
        context.out.note(format_args!("carry it out with {}", paint(style::CODE, command)));
    }
    Ok(match &report {
        report if report.failed > 0 => Exit::SomeHosts,
        report if args.exit_code && report.changes > 0 => Exit::Differences,
        _ => Exit::Done,
    })
}

/// Writes a path so that `wg-friend deploy` takes it for one.
fn as_file(path: &Path) -> String {
    let text = path.display().to_string();
    if is_file(&text) { text } else { format!("./{text}") }
}

/// Whether a word that may be a host's name is a saved plan's path: no name has a slash, and `.plan` is what plans are
/// called.
pub(super) fn is_file(word: &str) -> bool {
    word.contains('/') || word.ends_with(".plan")
}

/// What looking at hosts leaves open for whoever goes on: the store, the way to the hosts, and the plan.
pub(super) struct Looked {
    pub(super) store: Store,
    pub(super) fleet: RealFleet,
    pub(super) plan: Plan,
}

/// Looks at hosts, and shows meanwhile how far they are.
pub(super) fn look(context: &Context, hosts: &[String], parallel: Option<usize>) -> Result<Looked, Error> {
    look_over(context.fleet(None)?, context, hosts, parallel.unwrap_or(context.settings.parallel))
}

/// The same over a way to the hosts that is there already.
pub(super) fn look_over(
    fleet: RealFleet,
    context: &Context,
    hosts: &[String],
    parallel: usize,
) -> Result<Looked, Error> {
    let mut store = context.store()?;
    let hosts = names(hosts)?;
    let line = Line::new(context);
    let mut plan = deploy::plan(&mut store, &fleet, &context.clock, &context.actor(), &hosts, parallel, &line)?;
    drift::mark(&store, &mut plan, context.clock.now())?;
    Ok(Looked { store, fleet, plan })
}

/// Looks again at the hosts of a saved plan; refuses when anything has moved since.
pub(super) fn look_again(fleet: RealFleet, context: &Context, path: &Path, parallel: usize) -> Result<Looked, Error> {
    let mut store = context.store()?;
    let saved = saved::open(&store, path)?;
    let line = Line::new(context);
    let mut plan = saved::look_again(&mut store, &fleet, &context.clock, &context.actor(), &saved, parallel, &line)?;
    drift::mark(&store, &mut plan, context.clock.now())?;
    Ok(Looked { store, fleet, plan })
}

pub(super) fn names(given: &[String]) -> Result<Vec<Name>, Error> {
    given.iter().map(|name| name.parse().map_err(|e| Error::value("HOST", e))).collect()
}

/// How many changes of one host are shown unless `-v` asks for all.
const SHOWN: usize = 30;

/// Writes a plan for a person.
pub(super) fn render(report: &PlanReport, all: bool) -> String {
    if report.hosts.is_empty() {
        return "no interface is meant to be on a host: `wg-friend host add` and `wg-friend set NODE host=HOST` put a node on \
                one, `wg-friend interface enable HOST` brings a deleted interface back\n"
            .into();
    }
    let names = report.hosts.iter().map(|h| h.host.as_str().len()).max().unwrap_or(0);
    let addresses = report.hosts.iter().map(|h| h.address.len()).max().unwrap_or(0);
    let mut text = String::new();
    for host in &report.hosts {
        host_lines(host, (names, addresses), all, &mut text);
    }
    text.push_str(&format!("\n{}\n", summary(report)));
    for settled in &report.rotated {
        text.push_str(&format!(
            "{} uses its next key, which {} has seen: what is left of the one before goes\n",
            settled.node, settled.seen_by
        ));
    }
    if !report.follow.is_empty() {
        let names: Vec<&str> = report.follow.iter().map(Name::as_str).collect();
        text.push_str(&format!("then, in the same deploy: next keys come into use on {}\n", names.join(", ")));
    }
    text + &blast::render(&report.blast, all)
}

fn host_lines(host: &HostReport, (width, addresses): (usize, usize), all: bool, text: &mut String) {
    let name = paint(style::STRONG, format_args!("{:width$}", host.host));
    let address = paint(style::DIM, format_args!("{:addresses$}", host.address));
    let state = match (&host.error, host.changes.len()) {
        (Some(error), _) => paint(style::BAD, error),
        (None, 0) => paint(style::GOOD, "as it should be"),
        (None, 1) => paint(style::WARN, "1 change"),
        (None, n) => paint(style::WARN, format_args!("{n} changes")),
    };
    text.push_str(&width::hang(&format!("{name}  {address}  {state}"), &format!("{:width$}    ", "")));
    text.push('\n');
    if let Some(hint) = &host.hint {
        let line = format!("{:width$}  {} {}", "", paint(style::CODE.bold(), "hint:"), paint_code(hint));
        text.push_str(&width::hang(&line, &format!("{:width$}    ", "")));
        text.push('\n');
    }
    for interrupted in &host.interrupted {
        text.push_str(&format!("{:width$}  {}\n", "", paint(style::WARN, interrupted)));
    }
    let shown = if all { host.changes.len() } else { SHOWN };
    for change in host.changes.iter().take(shown) {
        let line = format!("{:width$}  {}", "", change_line(&change.change));
        text.push_str(&width::hang(&line, &format!("{:width$}           ", "")));
        text.push('\n');
    }
    if host.changes.len() > shown {
        text.push_str(&format!("{:width$}  … and {} more (-v shows them)\n", "", host.changes.len() - shown));
    }
}

/// One change: where, what, and in colour whether something comes, goes or differs; what was done by hand is marked.
fn change_line(change: &Change) -> String {
    let colour = match (&change.before, &change.after) {
        (None, Some(_)) => style::GOOD,
        (Some(_), None) => style::BAD,
        _ => style::WARN,
    };
    let interface = change.interface.as_ref().map_or("host", |i| i.as_str());
    let mut line = format!("{} {}", paint(style::DIM, format_args!("{interface:6}")), paint(colour, change));
    if change.cause == Cause::Drift {
        let note = change.acknowledged.as_ref();
        let note = note.map_or(String::new(), |reason| paint(style::DIM, format_args!(", acknowledged: {reason}")));
        let by_hand = if change.severity == Severity::Critical { style::BAD.bold() } else { style::WARN };
        line.push_str(&format!("  {}{note}", paint(by_hand, "changed on the host")));
    }
    match change.disruption {
        Disruption::Live => {}
        Disruption::Rekey => line.push_str(&format!("  {}", paint(style::WARN, "peers shake hands anew"))),
        Disruption::Restart if change.kind == Kind::Restart => {
            line.push_str(&format!("  {}", paint(style::BAD, "goes down and up")));
        }
        Disruption::Restart => {} // comes or goes, which the line says
    }
    line
}

fn summary(report: &PlanReport) -> String {
    let plural = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    if report.changes == 0 && report.failed == 0 {
        let all = plural(report.hosts.len(), "host is", "hosts are");
        return paint(style::GOOD, format_args!("{all} as it should be: nothing to do."));
    }
    let differing = report.hosts.iter().filter(|h| !h.changes.is_empty()).count();
    let mut parts = Vec::new();
    if report.changes > 0 {
        parts.push(format!(
            "{} on {}",
            plural(report.changes, "change", "changes"),
            plural(differing, "host", "hosts")
        ));
    }
    if report.drift > 0 {
        parts.push(paint(style::WARN, format_args!("{} made on the hosts", report.drift)));
    }
    if report.rekeys > 0 {
        parts.push(paint(
            style::WARN,
            plural(report.rekeys, "interface gets another key", "interfaces get another key"),
        ));
    }
    if report.restarts == 0 && report.blast.loses.is_empty() && report.rekeys == 0 && report.changes > 0 {
        parts.push("all live: nobody else loses a packet".to_owned());
    }
    if report.failed > 0 {
        parts.push(paint(
            style::BAD,
            plural(report.failed, "host could not be looked at", "hosts could not be looked at"),
        ));
    }
    format!("{}.", parts.join(", "))
}
