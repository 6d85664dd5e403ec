//! `deploy`: bringing hosts to what the model says.

use std::time::Duration;

use super::plan::{Looked, look_over, names, render};
use super::progress::Line;
use super::{Context, Exit, interrupt, outcomes};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::ops::deploy::report::PlanReport;
use crate::ops::deploy::resume::{OpenDeploy, Resumed};
use crate::ops::deploy::{HostOutcome, Options, Outcome, Plan, deploy};
use crate::ops::network::find;
use crate::ops::{self, Error};

/// Bring hosts to what the model says, without locking anyone out
///
/// Shows the plan and asks. Every host then checks the new files, arms a watchdog, and changes what differs while it
/// runs; nobody else's packets are lost. wg-friend looks at the result over a new connection and confirms. What is not
/// confirmed in time, the host takes back by itself: files and running state are then as they were before.
///
/// Many hosts go at once, but each after those that have to learn of its new key. Ctrl-C begins no further host and brings
/// those that work to an end.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend deploy\n  wg-friend deploy hub --yes\n  wg-friend deploy --canary 1 --stop-on-failure\n  wg-friend deploy --dry-run\n  wg-friend deploy --resume            after a crash or a power cut"
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
    if args.resume {
        return resume(args, context);
    }
    let mut options = args.how.options(context);
    options.canary = args.canary;
    options.stop_on_failure = args.stop_on_failure;
    options.parallel = args.parallel.unwrap_or(options.parallel);
    let looked = look_over(args.how.fleet(context)?, context, &args.hosts, options.parallel)?;
    let question = |hosts: usize| format!("Deploy to {hosts} host{}?", if hosts == 1 { "" } else { "s" });
    match carry_out(looked, options, context, question)? {
        Carried::Shown(exit) => Ok(exit),
        Carried::Out { outcomes, .. } => {
            outcomes::show(&outcomes, context)?;
            Ok(outcomes::exit(&outcomes))
        }
    }
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Resumption<'a> {
    /// One entry a deploy that was open.
    resumed: &'a [Resumed],
}

fn resume(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut options = args.how.options(context);
    options.parallel = args.parallel.unwrap_or(options.parallel);
    let (mut store, fleet) = (context.store()?, args.how.fleet(context)?);
    let hosts = names(&args.hosts)?;
    let known = store.topology()?;
    for host in &hosts {
        find::host(&known, host.as_str())?;
    }
    if context.dry_run {
        let open = ops::deploy::resume::open(&store)?;
        let open: Vec<_> = open.into_iter().filter(|open| hosts.is_empty() || hosts.contains(&open.host)).collect();
        context.out.show(&open, |open| open_deploys(open))?;
        return Ok(Exit::Done);
    }
    let line = Line::new(context);
    interrupt::watch(options.stop.clone(), line.voice());
    let resumed =
        ops::deploy::resume::resume(&mut store, &fleet, &context.clock, &context.actor(), &hosts, &options, &line)?;
    drop(line);
    context.out.done(&Resumption { resumed: &resumed }, |report| match report.resumed {
        [] => "no deploy was interrupted: nothing to finish".to_owned(),
        all => outcomes::resumed(all),
    })?;
    let undecided = |resumed: &Resumed| matches!(resumed.outcome, Outcome::OutOfSight { .. });
    Ok(if resumed.iter().any(undecided) { Exit::SomeHosts } else { Exit::Done })
}

/// Says of each open deploy what there is to know without asking its host.
fn open_deploys(open: &[OpenDeploy]) -> String {
    if open.is_empty() {
        return "no deploy was interrupted: nothing to finish\n".to_owned();
    }
    open.iter()
        .map(|open| format!("host `{}`: version {}, begun by {}\n", open.host, open.version, open.operator))
        .collect()
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
    match agree(&looked.plan, context, question)? {
        Some(exit) => Ok(Carried::Shown(exit)),
        None => execute(looked, &options, context).map(|(outcomes, store)| Carried::Out { outcomes, store: Box::new(store) }),
    }
}

/// Shows a plan and asks. Returns how the command ends when that was all there was to do.
pub(super) fn agree(
    plan: &Plan,
    context: &Context,
    question: impl FnOnce(usize) -> String,
) -> Result<Option<Exit>, Error> {
    let report = PlanReport::from(plan);
    if context.dry_run || (report.changes == 0 && !context.out.is_json()) {
        context.out.show(&report, |report| render(report, context.out.verbosity() > 0))?;
        return Ok(Some(if report.failed > 0 { Exit::SomeHosts } else { Exit::Done }));
    }
    if !context.out.is_json() {
        context.out.note(render(&report, context.out.verbosity() > 0).trim_end());
        context.out.note("");
    }
    let differing = report.hosts.iter().filter(|h| !h.changes.is_empty()).count();
    if differing > 0 {
        context.confirm(&question(differing))?;
    }
    Ok(None)
}

/// Carries a plan out that was agreed on, and gives the store back.
pub(super) fn execute(
    looked: Looked,
    options: &Options,
    context: &Context,
) -> Result<(Vec<HostOutcome>, Store), Error> {
    let Looked { mut store, fleet, plan } = looked;
    let actor = context.actor();
    let line = Line::new(context);
    interrupt::watch(options.stop.clone(), line.voice());
    let outcomes = deploy(&mut store, &fleet, &context.clock, &actor, plan, options, &line)?;
    drop(line);
    Ok((outcomes, store))
}
