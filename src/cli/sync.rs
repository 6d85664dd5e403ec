//! `sync`, and what follows each change of the model: taking what is pending to hosts that want it by themselves.

use std::time::Duration;

use super::output::{paint, paint_code, style};
use super::progress::Line;
use super::{Context, Exit, outcomes, timer};
use crate::model::{Actor, AutoSync, Name, Source};
use crate::ops::Error;
use crate::ops::deploy::{HostOutcome, Options};
use crate::ops::network::find;
use crate::ops::sync::{self, Mark, Report, Synced};
use crate::render::timer::Job;

/// Take pending changes to the hosts that are synced by schedule
///
/// Meant for a timer: asks nothing. A host that somebody changed by hand is left as it is, unless the change is
/// acknowledged; so is one that gives no answer. `wg-friend host set HOST auto-sync=scheduled` says which hosts.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend sync\n  wg-friend sync hub --dry-run\n  wg-friend sync --print-timer\n  wg-friend sync --install\n\nExit codes: 0 all of them are as the model says · 4 some were left as they are, or taken back"
)]
pub(super) struct Args {
    /// Only these of them [default: all]
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Print a systemd timer and a crontab line that run this, and do nothing else
    #[arg(long, conflicts_with_all = ["hosts", "install", "uninstall"])]
    print_timer: bool,
    #[command(flatten)]
    deed: timer::Deed,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    if args.print_timer || args.deed.is_something() {
        if !args.hosts.is_empty() {
            return Err(Error::value("HOST", "the timer is for all hosts that are synced by schedule: name none"));
        }
        return timer::run(&job(context)?, args.deed, context);
    }
    let mut store = context.store()?;
    let topology = store.topology()?;
    let scheduled = sync::hosts(&topology, AutoSync::Scheduled);
    let mut hosts = scheduled.clone();
    if !args.hosts.is_empty() {
        let named: Vec<&Name> =
            args.hosts.iter().map(|name| find::host(&topology, name).map(|h| &h.name)).collect::<Result<_, _>>()?;
        if let Some(other) = named.iter().find(|name| !scheduled.contains(name)) {
            return Err(Error::RefusedWithRemedy {
                message: format!("the host `{other}` isn't synced by schedule"),
                hint: format!(
                    "`wg-friend host set {other} auto-sync=scheduled` says so; `wg-friend deploy {other}` does it now"
                ),
            });
        }
        hosts.retain(|host| named.contains(&host));
    }
    if context.dry_run {
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let looked = super::plan::look(context, &names, None);
        drop(store);
        return match hosts.is_empty() {
            true => nobody(context),
            false => {
                let report = crate::ops::deploy::report::PlanReport::from(&looked?.plan);
                context.out.show(&report, |report| super::plan::render(report, context.out.verbosity() > 0))?;
                Ok(if report.failed > 0 { Exit::SomeHosts } else { Exit::Done })
            }
        };
    }
    if hosts.is_empty() {
        return nobody(context);
    }
    let fleet = context.fleet(None)?;
    let actor = Actor { source: Source::Job, ..context.actor() };
    let line = Line::new(context);
    let report = sync::sync(&mut store, &fleet, &context.clock, &actor, &hosts, &options(context), &line)?;
    drop(line);
    context.out.done(&report, |report| text(report, context.out.verbosity() > 0))?;
    Ok(exit(&report))
}

fn nobody(context: &Context) -> Result<Exit, Error> {
    context.out.done(&Report { hosts: Vec::new() }, |_| {
        format!("{}\n", paint_code("no host is synced by schedule: `wg-friend host set HOST auto-sync=scheduled`"))
    })?;
    Ok(Exit::Done)
}

fn options(context: &Context) -> Options {
    let settings = &context.settings;
    Options {
        confirm_within: settings.confirm_timeout,
        parallel: settings.parallel,
        host_timeout: Duration::from_secs(settings.host_timeout),
        keep_versions: settings.keep_versions,
        ..Options::new(format!("{} (wg-friend process {})", context.actor().operator, std::process::id()))
    }
}

fn exit(report: &Report) -> Exit {
    if report.is_good() { Exit::Done } else { Exit::SomeHosts }
}

fn text(report: &Report, steps: bool) -> String {
    let done = |synced: &Synced| {
        Some(HostOutcome {
            host: synced.host.clone(),
            outcome: synced.outcome.clone()?,
            changes: synced.changes,
            steps: Vec::new(),
            notes: synced.notes.clone(),
            seconds: 0.0,
        })
    };
    let all: Vec<HostOutcome> = report.hosts.iter().filter_map(done).collect();
    let mut text = if all.is_empty() { String::new() } else { outcomes::table(&all, steps) };
    for synced in &report.hosts {
        let Some(left) = &synced.left else { continue };
        text.push_str(&format!(
            "{}  {}\n  {}\n",
            paint(style::STRONG, &synced.host),
            paint(style::WARN, "left as it is"),
            left.reason
        ));
        if let Some(hint) = &left.hint {
            text.push_str(&format!("  {} {}\n", paint(style::CODE.bold(), "hint:"), paint_code(hint)));
        }
    }
    text
}

/// What the timer runs.
fn job(context: &Context) -> Result<Job, Error> {
    Ok(Job {
        name: "sync",
        made_by: "sync",
        does: "Take changes of the WireGuard model to the hosts that are synced by schedule",
        when: "Sync WireGuard hosts every ten minutes",
        calendar: "*:0/10",
        delay: "60",
        makes_up: false,
        cron: "*/10 * * * *",
        network: context.network.clone(),
        words: vec!["sync".into()],
        passphrase: timer::passphrase(context)?,
    })
}

/// Takes note, before a command, of what hosts that follow each change are to have. A database that can't be read is for
/// the command itself to tell of.
pub(super) fn before(context: &Context) -> Option<Mark> {
    if context.dry_run || !context.database.exists() {
        return None;
    }
    context.open().ok().and_then(|database| sync::mark(&database).ok().flatten())
}

/// Takes to those hosts what a command has changed. What became of it is said beside the command's own result.
pub(super) fn after(mark: &Mark, context: &Context) -> Result<Exit, Error> {
    let database = context.open()?;
    // The command may have renamed the network, or taken it away, or made another one beside it.
    let is_there = database.choose_again(mark.network())?;
    let hosts = if is_there { sync::touched(&database, mark)? } else { Vec::new() };
    drop(database);
    if hosts.is_empty() {
        return Ok(Exit::Done);
    }
    let names: Vec<&str> = hosts.iter().map(Name::as_str).collect();
    context.out.note(paint(style::DIM, format_args!("taking the change to {}", names.join(", "))));
    let mut store = context.store()?;
    store.choose_again(mark.network())?;
    let fleet = context.fleet(None)?;
    let line = Line::new(context);
    let report = sync::sync(&mut store, &fleet, &context.clock, &context.actor(), &hosts, &options(context), &line)?;
    drop(line);
    if report.is_good() {
        context.out.note(text(&report, false).trim_end());
    } else {
        super::output::say(text(&report, false).trim_end());
    }
    Ok(exit(&report))
}
