//! `exit failover`: all of a group's traffic by another exit.

use serde::Serialize;

use crate::cli::deploy::{How, execute};
use crate::cli::outcomes::{exit, table};
use crate::cli::output::{paint, paint_code, style};
use crate::cli::plan::{Looked, render};
use crate::cli::progress::Line;
use crate::cli::{Context, Exit, change};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::HostOutcome;
use crate::ops::deploy::report::PlanReport;
use crate::ops::drift;
use crate::ops::exit::switch::{Switched, plan, switch, switched};
use crate::ops::network::change::{Mode, Outcome};

/// Send all of a group's traffic by another of its exits
///
/// Without TO, by the preferred one among the others that can be used. Devices keep their files: on each server the default
/// routes of the group's table are replaced, and nobody else's packets are touched. What else the model wants of the servers
/// waits for its own deploy. Connections through the exit end, for the internet sees another address from then on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend exit failover europe\n  wg-friend exit failover europe exit-nl --yes\n  wg-friend exit failover europe --dry-run\n  wg-friend exit failover europe --no-deploy\n\nWith --no-deploy the next `wg-friend deploy` takes it to the servers."
)]
pub(super) struct Args {
    /// The group
    group: String,
    /// The exit to go by [default: the preferred one of the others]
    to: Option<String>,
    /// Only change the model
    #[arg(long)]
    no_deploy: bool,
    #[command(flatten)]
    how: How,
}

/// What is printed for programs.
#[derive(Serialize)]
struct Report<'a> {
    /// The switch.
    #[serde(flatten)]
    switched: &'a Switched,
    /// What it changed in the model, and who has to be told.
    change: &'a Outcome,
    /// What is to change on the servers; `null` with `--no-deploy`, and when no server has a host.
    plan: Option<&'a PlanReport>,
    /// How it went on each server.
    hosts: &'a [HostOutcome],
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (mut store, actor, to) = (context.store()?, context.actor(), args.to.as_deref());
    let (wanted, preview) = switch(&mut store, &context.clock, &actor, &args.group, to, Mode::Preview)?;
    let fleet = args.how.fleet(context)?;
    let mut plan = match args.no_deploy {
        true => None,
        false => {
            let topology = switched(&store.topology()?, &wanted)?;
            let line = Line::new(context);
            plan(&mut store, &fleet, &context.clock, &actor, &topology, &wanted.group, &line)?
        }
    };
    if let Some(plan) = &mut plan {
        drift::mark(&store, plan, context.clock.now())?;
    }
    let report = plan.as_ref().map(PlanReport::from);
    if context.dry_run {
        let report = Report { switched: &wanted, change: &preview, plan: report.as_ref(), hosts: &[] };
        context.out.show(&report, |report| shown(report, context))?;
        context.out.note(paint(style::WARN, "dry run: nothing was changed"));
        let failed = report.plan.is_some_and(|plan| plan.failed > 0);
        return Ok(if failed { Exit::SomeHosts } else { Exit::Done });
    }
    if let Some(report) = report.as_ref().filter(|report| report.changes + report.failed > 0) {
        // Of a host that doesn't answer, the outcome says no less: it is shown before only where somebody has to decide.
        if !context.out.is_json() && (report.changes > 0 || !context.yes) {
            context.out.note(render(report, context.out.verbosity() > 0).trim_end());
        }
        context.confirm(&format!("Send the traffic of {} by {}?", wanted.group, wanted.to))?;
    }
    let (wanted, change) =
        switch(&mut store, &context.clock, &actor, &args.group, Some(wanted.to.as_str()), Mode::Save)?;
    let hosts = match plan {
        Some(plan) => execute(Looked { store, fleet, plan }, &args.how.options(context), context)?.0,
        None => Vec::new(),
    };
    let report = Report { switched: &wanted, change: &change, plan: report.as_ref(), hosts: &hosts };
    context.out.done(&report, |report| done(report, context))?;
    Ok(exit(&hosts))
}

fn title(report: &Report<'_>) -> String {
    let Switched { group, from, to, remotes, .. } = report.switched;
    let from = from.as_ref().map_or_else(String::new, |from| format!(" instead of {from}"));
    let who = match remotes.as_slice() {
        [] => "nobody leaves by it".to_owned(),
        [one] => format!("the traffic of {one}"),
        many => format!("the traffic of {} remotes", many.len()),
    };
    format!("{} exit group {}  by {to}{from}: {who}", paint(style::WARN, "~"), paint(style::STRONG, group))
}

fn shown(report: &Report<'_>, context: &Context) -> String {
    let plan = report.plan.map(|plan| render(plan, context.out.verbosity() > 0)).unwrap_or_default();
    format!("{}\n{plan}", title(report))
}

fn done(report: &Report<'_>, context: &Context) -> String {
    let mut text = format!("{}\n", title(report));
    let waiting = |names: &[crate::model::Name]| names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ");
    if report.plan.is_none() && !report.change.deploy.is_empty() {
        text.push_str(&format!("  {} {}\n", paint(style::DIM, "to deploy:"), waiting(&report.change.deploy)));
        text.push_str(&change::next_line(report.change));
    }
    if !report.change.new_files.is_empty() {
        let names = waiting(&report.change.new_files);
        text.push_str(&format!("  {} {names}\n", paint(style::DIM, "needs a new file:")));
    }
    text.push_str(&table(report.hosts, context.out.verbosity() > 0));
    let left: Vec<_> =
        report.hosts.iter().filter(|done| !done.outcome.is_good()).map(|done| done.host.clone()).collect();
    if !left.is_empty() {
        let again =
            format!("`wg-friend deploy {}`", left.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "));
        text.push_str(&paint_code(&format!("the model has the switch; {again} takes it there\n")));
    }
    text
}
