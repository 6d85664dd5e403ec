//! `deploy`: bringing hosts to what the model says.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::{Looked, is_file, look_again, look_over, names, render};
use super::progress::Line;
use super::{Context, Exit, handouts, interrupt, outcomes};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::report::PlanReport;
use crate::ops::deploy::resume::{OpenDeploy, Resumed};
use crate::ops::deploy::{HostOutcome, Options, Outcome, Plan, deploy};
use crate::ops::network::find;
use crate::ops::revision;
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
    after_help = "Examples:\n  wg-friend deploy\n  wg-friend deploy hub --yes\n  wg-friend deploy --canary 1 --stop-on-failure\n  wg-friend deploy --dry-run\n  wg-friend deploy monday.plan          what `wg-friend plan -o monday.plan` has shown\n  wg-friend deploy --resume            after a crash or a power cut"
)]
pub(super) struct Args {
    /// Only these hosts [default: all]; or the file of a plan that `wg-friend plan -o FILE` made
    #[arg(value_name = "HOST|FILE")]
    hosts: Vec<String>,
    /// Carry out the plan in this file, or nothing when the model or a host has changed since
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hosts", "resume"])]
    plan: Option<PathBuf>,
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

impl Args {
    /// Returns the file of the plan that is to be carried out; `None` when there is to be a new one.
    fn file(&self) -> Result<Option<PathBuf>, Error> {
        match (&self.plan, self.hosts.as_slice()) {
            (Some(path), _) => Ok(Some(path.clone())),
            (None, [word]) if is_file(word) => Ok(Some(PathBuf::from(word))),
            (None, words) if words.iter().any(|word| word.contains('/')) => {
                Err(Error::value("HOST|FILE", "a plan has its own hosts: name its file and nothing else"))
            }
            _ => Ok(None),
        }
    }
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
    let fleet = args.how.fleet(context)?;
    let looked = match args.file()? {
        Some(path) => look_again(fleet, context, &path, options.parallel)?,
        None => look_over(fleet, context, &args.hosts, options.parallel)?,
    };
    let question = |hosts: usize| format!("Deploy to {hosts} host{}?", if hosts == 1 { "" } else { "s" });
    match carry_out(looked, options, context, question)? {
        Carried::Shown(exit) => Ok(exit),
        Carried::Out { outcomes, store } => {
            let devices = revision::needed(&store)?;
            outcomes::show(&outcomes, &devices, context)?;
            if outcomes.iter().any(|outcome| outcome.outcome == Outcome::Confirmed) {
                handouts::needed(&devices, context);
            }
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

/// What is printed for programs that only ask.
#[derive(serde::Serialize)]
struct Opened<'a> {
    /// One entry a deploy that is open.
    open: &'a [OpenDeploy],
}

/// What is said when there is none.
const NOTHING: &str = "no deploy was interrupted: nothing to finish";

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
        let now = context.clock.now();
        context.out.show(&Opened { open: &open }, |report| match report.open {
            [] => NOTHING.to_owned(),
            open => outcomes::open(open, now),
        })?;
        return Ok(Exit::Done);
    }
    let line = Line::new(context);
    interrupt::watch(options.stop.clone(), line.voice());
    let resumed =
        ops::deploy::resume::resume(&mut store, &fleet, &context.clock, &context.actor(), &hosts, &options, &line)?;
    drop(line);
    context.out.done(&Resumption { resumed: &resumed }, |report| match report.resumed {
        [] => NOTHING.to_owned(),
        all => outcomes::resumed(all),
    })?;
    let undecided = |resumed: &Resumed| matches!(resumed.outcome, Outcome::OutOfSight { .. });
    Ok(if resumed.iter().any(undecided) { Exit::SomeHosts } else { Exit::Done })
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
        None => execute(looked, &options, context)
            .map(|(outcomes, store)| Carried::Out { outcomes, store: Box::new(store) }),
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
