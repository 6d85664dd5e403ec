//! `plan`: what would change on each host.

use super::output::{paint, paint_code, style};
use super::progress::Line;
use super::{Context, Exit, width};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::model::{Name, Severity};
use crate::ops::clock::Clock as _;
use crate::ops::deploy::report::{HostReport, PlanReport};
use crate::ops::deploy::{self, Cause, Change, Disruption, Kind, Plan};
use crate::ops::{Error, drift};

/// Show what would change on each host
///
/// Asks every host for its state in one round trip and compares it with the model: what is running and what is in the
/// files. Differences that somebody made on the host are marked as such. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend plan\n  wg-friend plan hub office --json\n  wg-friend plan --exit-code && echo everything is as it should be"
)]
pub(super) struct Args {
    /// Only these hosts [default: all]
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// End with 3 when there are differences
    #[arg(long)]
    exit_code: bool,
    /// Hosts to talk to at once
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let Looked { plan, .. } = look(context, &args.hosts, args.parallel)?;
    let report = PlanReport::from(&plan);
    context.out.show(&report, |report| render(report, context.out.verbosity() > 0))?;
    if report.changes > 0 {
        context.out.note(format_args!("carry it out with {}", paint(style::CODE, "wg-friend deploy")));
    }
    Ok(match &report {
        report if report.failed > 0 => Exit::SomeHosts,
        report if args.exit_code && report.changes > 0 => Exit::Differences,
        _ => Exit::Done,
    })
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

pub(super) fn names(given: &[String]) -> Result<Vec<Name>, Error> {
    given.iter().map(|name| name.parse().map_err(|e| Error::value("HOST", e))).collect()
}

/// How many changes of one host are shown unless `-v` asks for all.
const SHOWN: usize = 30;

/// Writes a plan for a person.
pub(super) fn render(report: &PlanReport, all: bool) -> String {
    if report.hosts.is_empty() {
        return "no node lives on a host yet: add one with `wg-friend host add`, then `wg-friend set NODE host=HOST`\n"
            .into();
    }
    let names = report.hosts.iter().map(|h| h.host.as_str().len()).max().unwrap_or(0);
    let addresses = report.hosts.iter().map(|h| h.address.len()).max().unwrap_or(0);
    let mut text = String::new();
    for host in &report.hosts {
        host_lines(host, (names, addresses), all, &mut text);
    }
    text.push_str(&format!("\n{}\n", summary(report)));
    text
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
        let line = format!("{:width$}  {}", "", change_line(change));
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
    if report.restarts == 0 && report.rekeys == 0 && report.changes > 0 {
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
