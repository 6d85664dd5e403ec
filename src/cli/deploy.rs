//! `deploy`: bringing hosts to what the model says.

use std::time::Duration;

use super::output::{paint, paint_code, style};
use super::plan::{Looked, look_over, render};
use super::progress::Line;
use super::{Context, Exit, width};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::ops::Error;
use crate::ops::deploy::report::PlanReport;
use crate::ops::deploy::{HeldBack, HostOutcome, Options, Outcome, deploy};

/// Bring hosts to what the model says, without locking anyone out
///
/// Shows the plan and asks. Every host then checks the new files, arms a watchdog, and changes what differs while it
/// runs; nobody else's packets are lost. wg-friend looks at the result over a new connection and confirms. What is not
/// confirmed in time, the host takes back by itself: files and running state are then as they were before.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend deploy\n  wg-friend deploy hub --yes\n  wg-friend deploy --canary 1\n  wg-friend deploy --dry-run"
)]
pub(super) struct Args {
    /// Only these hosts [default: all]
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Hosts to work on at once
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
    /// Begin with so many hosts, and go on with the others only if those went well
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    canary: usize,
    /// Begin with no further host once one has failed
    #[arg(long)]
    stop_on_failure: bool,
    /// Finish deploys that were interrupted: confirm what is as intended, take back what isn't
    #[arg(long, conflicts_with_all = ["canary", "stop_on_failure", "confirm_timeout", "no_handshake_check"])]
    resume: bool,
    #[command(flatten)]
    how: How,
}

/// How hosts are changed.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Seconds until a host takes back what nobody confirmed
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..=3600))]
    confirm_timeout: Option<u64>,
    /// Seconds that a host may leave a question without an answer before it is given up
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    host_timeout: Option<u64>,
    /// Confirm even if none of the peers that were alive shows up after a new key, a new port or a restart
    #[arg(long)]
    no_handshake_check: bool,
}

impl How {
    /// The way to the hosts.
    pub(super) fn fleet(&self, context: &Context) -> Result<RealFleet, Error> {
        context.fleet(self.host_timeout)
    }

    /// What was asked for, and otherwise what the settings say.
    pub(super) fn options(&self, context: &Context) -> Options {
        let settings = &context.settings;
        Options {
            confirm_within: self.confirm_timeout.unwrap_or(settings.confirm_timeout),
            parallel: settings.parallel,
            check_handshakes: !self.no_handshake_check,
            host_timeout: Duration::from_secs(self.host_timeout.unwrap_or(settings.host_timeout)),
            keep_versions: settings.keep_versions,
            ..Options::new(format!("{} (wg-friend process {})", context.actor().operator, std::process::id()))
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut options = args.how.options(context);
    options.canary = args.canary;
    options.stop_on_failure = args.stop_on_failure;
    options.parallel = args.parallel.unwrap_or(options.parallel);
    let looked = look_over(args.how.fleet(context)?, context, &args.hosts, options.parallel)?;
    let question = |hosts: usize| format!("Deploy to {hosts} host{}?", if hosts == 1 { "" } else { "s" });
    match carry_out(looked, options, context, question)? {
        Carried::Shown(exit) => Ok(exit),
        Carried::Out { outcomes, .. } => {
            context
                .out
                .done(&Report { hosts: &outcomes }, |report| table(report.hosts, context.out.verbosity() > 0))?;
            Ok(exit(&outcomes))
        }
    }
}

/// What came of a plan.
pub(super) enum Carried {
    /// It was shown, and that was all there was to do.
    Shown(Exit),
    /// It was carried out.
    Out {
        /// How it went on each host.
        outcomes: Vec<HostOutcome>,
        /// The store, for what is left to note.
        store: Box<Store>,
    },
}

/// Shows a plan, asks, and carries it out. `question` is given the number of hosts that differ.
pub(super) fn carry_out(
    looked: Looked,
    options: Options,
    context: &Context,
    question: impl FnOnce(usize) -> String,
) -> Result<Carried, Error> {
    let Looked { mut store, fleet, plan } = looked;
    let report = PlanReport::from(&plan);
    if context.dry_run || (report.changes == 0 && !context.out.is_json()) {
        context.out.show(&report, |report| render(report, context.out.verbosity() > 0))?;
        return Ok(Carried::Shown(if report.failed > 0 { Exit::SomeHosts } else { Exit::Done }));
    }
    if !context.out.is_json() {
        context.out.note(render(&report, context.out.verbosity() > 0).trim_end());
        context.out.note("");
    }
    let differing = report.hosts.iter().filter(|h| !h.changes.is_empty()).count();
    if differing > 0 {
        context.confirm(&question(differing))?;
    }

    let actor = context.actor();
    let line = Line::new(context);
    let outcomes = deploy(&mut store, &fleet, &context.clock, &actor, plan, &options, &line)?;
    drop(line);
    Ok(Carried::Out { outcomes, store: Box::new(store) })
}

/// Returns how the command ends when hosts were changed like this.
pub(super) fn exit(outcomes: &[HostOutcome]) -> Exit {
    if outcomes.iter().all(|outcome| outcome.outcome.is_good()) { Exit::Done } else { Exit::SomeHosts }
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Report<'a> {
    /// One entry a host.
    hosts: &'a [HostOutcome],
}

pub(super) fn table(outcomes: &[HostOutcome], steps: bool) -> String {
    let width = outcomes.iter().map(|o| o.host.as_str().len()).max().unwrap_or(0);
    let mut text = String::new();
    let states: Vec<_> = outcomes.iter().map(|outcome| words(&outcome.outcome)).collect();
    let counts = outcomes.iter().map(|outcome| count(outcome.changes).len()).max().unwrap_or(0);
    let room = states.iter().map(|(state, ..)| width::of(state)).max().unwrap_or(0);
    for (outcome, (state, why, hint)) in outcomes.iter().zip(states) {
        let blanks = room - width::of(&state);
        let name = paint(style::STRONG, format_args!("{:width$}", outcome.host));
        let count = count(outcome.changes);
        let count = if counts == 0 { String::new() } else { format!("  {:blanks$}{count:counts$}", "") };
        let seconds = paint(style::DIM, format_args!("{:.1} s", outcome.seconds));
        text.push_str(&format!("{name}  {state}{count}  {seconds}\n"));
        for line in why.iter().flat_map(|why| why.lines()) {
            text.push_str(&width::hang(&format!("{:width$}  {line}", ""), &format!("{:width$}    ", "")));
            text.push('\n');
        }
        if let Some(hint) = hint {
            let line = format!("{:width$}  {} {}", "", paint(style::CODE.bold(), "hint:"), paint_code(&hint));
            text.push_str(&width::hang(&line, &format!("{:width$}    ", "")));
            text.push('\n');
        }
        if steps {
            for step in &outcome.steps {
                text.push_str(&format!("{:width$}  {} {step}\n", "", paint(style::DIM, "·")));
            }
        }
    }
    text
}

fn count(changes: usize) -> String {
    match changes {
        0 => String::new(),
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    }
}

fn words(outcome: &Outcome) -> (String, Option<String>, Option<String>) {
    match outcome {
        Outcome::Unchanged => (paint(style::GOOD, "as it should be"), None, None),
        Outcome::Confirmed => (paint(style::GOOD, "deployed and confirmed"), None, None),
        Outcome::Reverted { reason, clean: true } => {
            (paint(style::BAD, "taken back; the host is as it was before"), Some(reason.clone()), None)
        }
        Outcome::Reverted { reason, clean: false } => {
            let hint = "`wg-friend plan` shows what differs there now";
            (
                paint(style::BAD, "taken back, but not everything is as it was before"),
                Some(reason.clone()),
                Some(hint.into()),
            )
        }
        Outcome::Failed { reason, hint } => (paint(style::BAD, "not deployed"), Some(reason.clone()), hint.clone()),
        Outcome::HeldBack { because_of, why } => {
            let why = match why {
                HeldBack::Canary => format!("`{because_of}` went first, and not well"),
                HeldBack::HasToLearn => format!("`{because_of}` has to learn of its new key first, and did not"),
                HeldBack::StopOnFailure => format!("`{because_of}` did not go well (--stop-on-failure)"),
            };
            (paint(style::WARN, "held back"), Some(why), None)
        }
        Outcome::NotBegun => (paint(style::WARN, "not begun"), Some("stopped before its turn".to_owned()), None),
        Outcome::OutOfSight { reason } => {
            let hint = "the host takes the change back by itself; `wg-friend plan` tells once it can be reached";
            (paint(style::BAD, "out of sight"), Some(reason.clone()), Some(hint.into()))
        }
    }
}
