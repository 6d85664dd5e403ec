//! `rollback`: back to an earlier version of a host, or to an earlier state of the model.

use super::deploy::{Carried, How, carry_out};
use super::history::differences;
use super::outcomes::{exit, table};
use super::output::{paint, paint_code, style};
use super::plan::Looked;
use super::progress::Line;
use super::{Context, Exit};
use crate::model::Name;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::rollback::{Target, choose, plan_back, record, refuse_retired};
use crate::ops::deploy::{HostOutcome, Outcome};
use crate::ops::network::change::Mode;
use crate::ops::network::rollback::{self, Rolled};
use crate::ops::{Error, drift};

/// Bring a host back to an earlier version, or the model back to an earlier state
///
/// A host gets the files and the running state of that version, by the same plan and under the same watchdog as with
/// `wg-friend deploy`; without a number, of the last version that differs from what it runs. The model isn't changed by that.
///
/// With --model, the model becomes what it was, as a new state; hosts follow by `wg-friend deploy`. Both show what differs
/// and ask. Keys that were replaced since stay replaced, and a removed node comes back with the key it had when it was removed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend rollback hub               to the version before\n  wg-friend rollback hub 12 --dry-run\n  wg-friend rollback --model 12\n  wg-friend rollback --model 12 --dry-run"
)]
pub(super) struct Args {
    /// The host
    #[arg(value_name = "HOST", required_unless_present = "model")]
    host: Option<String>,
    /// The version, as `wg-friend history HOST` numbers them [default: the last that differs]
    #[arg(value_name = "VERSION")]
    version: Option<i64>,
    /// Bring the model back to this state, as `wg-friend history` numbers them
    #[arg(long, value_name = "N", conflicts_with_all = ["host", "version", "with_retired_keys"])]
    model: Option<i64>,
    /// Bring a version back although it has keys that were retired since
    #[arg(long)]
    with_retired_keys: bool,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match (&args.host, args.model) {
        (Some(host), _) => host_back(host, args, context),
        (None, Some(state)) => model_back(state, context),
        (None, None) => unreachable!("clap wants one of the two"),
    }
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Report<'a> {
    /// The version, and what is worth knowing of it.
    #[serde(flatten)]
    target: &'a Target,
    /// How it went; one entry.
    hosts: &'a [HostOutcome],
}

fn host_back(host: &str, args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let (target, deployment) = choose(&store, host, args.version)?;
    if !args.with_retired_keys {
        refuse_retired(&target)?;
    }
    let fleet = args.how.fleet(context)?;
    let line = Line::new(context);
    let mut plan = plan_back(&mut store, &fleet, &context.clock, &context.actor(), &deployment, &line)?;
    drop(line);
    drift::mark(&store, &mut plan, context.clock.now())?;
    let question = |_| format!("Bring {} back to version {}?", target.host, target.version);
    let (outcomes, mut store) =
        match carry_out(Looked { store, fleet, plan }, args.how.options(context), context, question)? {
            Carried::Shown(exit) => return Ok(exit),
            Carried::Out { outcomes, store } => (outcomes, store),
        };
    let confirmed = outcomes.iter().any(|outcome| outcome.outcome == Outcome::Confirmed);
    if confirmed {
        record(&mut store, &context.clock, &context.actor(), &target)?;
    }
    let report = Report { target: &target, hosts: &outcomes };
    context.out.done(&report, |report| table(report.hosts, context.out.verbosity() > 0))?;
    if confirmed && !context.out.is_json() {
        let state = target.model_state.map_or(String::new(), |state| format!(", which was at state {state} then"));
        context.out.note(paint_code(&format!(
            "this is version {} again; the model stays as it is{state}, and `wg-friend plan` shows how they differ",
            target.version
        )));
    }
    Ok(exit(&outcomes))
}

fn model_back(state: i64, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let mut roll = |mode| rollback::to_state(&mut store, &context.clock, &context.actor(), state, mode);
    let ask = !context.dry_run && !context.yes;
    if ask {
        let preview = roll(Mode::Preview)?;
        context.out.note(text(&preview).trim_end());
        context.confirm(&format!("Bring the model back to state {state}?"))?;
    }
    let rolled = roll(context.mode())?;
    match rolled.state {
        _ if context.out.is_json() => context.out.show(&rolled, |_| String::new())?,
        Some(number) if ask => context.out.note(done(&rolled, number)), // what differs was shown before the question
        Some(number) => context.out.note(format!("{}{}", text(&rolled), done(&rolled, number))),
        None => {
            context.out.text(&differences(&rolled.changes))?;
            context.out.note(follows(&rolled.remarks, &rolled.deploy, &rolled.new_files).trim_end());
            context.out.note(paint(style::WARN, "dry run: nothing was changed"));
        }
    }
    Ok(Exit::Done)
}

fn text(rolled: &Rolled) -> String {
    differences(&rolled.changes) + &follows(&rolled.remarks, &rolled.deploy, &rolled.new_files)
}

fn done(rolled: &Rolled, number: i64) -> String {
    let next = if rolled.deploy.is_empty() { "" } else { "\n  next: `wg-friend plan`" };
    paint_code(&format!("the model is as at state {} again; that is state {number}{next}", rolled.to))
}

/// Says what isn't as it was, and who has to be told.
pub(super) fn follows(remarks: &[String], deploy: &[Name], new_files: &[Name]) -> String {
    let mut text = String::new();
    for remark in remarks {
        text.push_str(&format!("  {} {}\n", paint(style::WARN, "note:"), paint_code(remark)));
    }
    for (label, names) in [("to deploy:", deploy), ("needs a new file:", new_files)] {
        if !names.is_empty() {
            text.push_str(&format!("  {} {}\n", paint(style::DIM, label), super::change::names(names)));
        }
    }
    text
}
