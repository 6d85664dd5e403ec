//! `interface sync`, `enable`, `disable` and `delete`: one interface of a host, planned and deployed by itself.

use crate::cli::deploy::{How, agree, execute};
use crate::cli::outcomes::{exit, table};
use crate::cli::output::{paint_code, style};
use crate::cli::plan::Looked;
use crate::cli::progress::Line;
use crate::cli::{Context, Exit, output};
use crate::model::Run;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::HostOutcome;
use crate::ops::interface::switch::{Prepared, Stored, Switched, Task, Turn, prepare, settle, store_copy};
use crate::ops::{Error, drift};

/// An interface, and how its host is changed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The host, or a node that lives on one
    #[arg(value_name = "HOST")]
    host: String,
    /// The interface [default: the only one there]
    #[arg(value_name = "IFACE")]
    interface: Option<String>,
    #[command(flatten)]
    how: How,
}

pub(super) fn run(args: &Args, turn: Turn, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let fleet = args.how.fleet(context)?;
    let (name, actor) = (args.interface.as_deref(), context.actor());
    let line = Line::new(context);
    let prepared = prepare(&mut store, &fleet, &context.clock, &actor, &args.host, name, turn, &line)?;
    drop(line);
    if !(context.yes || context.dry_run) {
        prepared.refuse_the_way()?;
    }
    let Prepared { task, mut plan, copy } = prepared;
    drift::mark(&store, &mut plan, context.clock.now())?;
    let in_place = plan.is_empty();
    if context.dry_run || !in_place {
        let question = |_| question(turn, &task);
        if let Some(exit) = agree(&plan, context, question)? {
            return Ok(exit);
        }
    }
    // The copy comes first: without it nothing is taken away.
    let stored = copy.map(|copy| store_copy(&mut store, &context.clock, &actor, &task.host, &copy)).transpose()?;
    let (outcomes, mut store) = match in_place {
        true => (Vec::new(), store),
        false => execute(Looked { store, fleet, plan }, &args.how.options(context), context)?,
    };
    let outcome = outcomes.first().map(|done| done.outcome.clone());
    let switched = settle(&mut store, &context.clock, &actor, &task, stored, outcome)?;
    context.out.done(&switched, |switched| text(switched, &outcomes, context))?;
    Ok(exit(&outcomes))
}

fn question(turn: Turn, task: &Task) -> String {
    let Task { host, interface, .. } = task;
    match turn {
        Turn::Sync => format!("Bring {interface} of {host} to what the model says?"),
        Turn::Enable => format!("Let {interface} of {host} run, now and at boot?"),
        Turn::Disable => format!("Take {interface} of {host} down, also at boot?"),
        Turn::Delete => format!("Take {interface} away from {host}?"),
    }
}

fn text(switched: &Switched, outcomes: &[HostOutcome], context: &Context) -> String {
    let Switched { host, interface, before, run, saved, copy, outcome, .. } = switched;
    let mut text = table(outcomes, context.out.verbosity() > 0);
    let up = |up: Option<bool>| match up {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    };
    let port = before.listen_port.map_or(String::new(), |port| format!(", port {port}"));
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let peers = before.peers.map_or(String::new(), |peers| format!(", {peers} peer{}", plural(peers)));
    let mut line = |label: &str, value: String| {
        text.push_str(&format!("{} {}\n", output::paint(style::DIM, label), paint_code(&value)));
    };
    line("before:", format!("{}{port}{peers}; run={}", up(before.up), before.run));
    match (saved, outcome) {
        (true, _) => line("now:   ", format!("run={run}")),
        (false, Some(outcome)) if !outcome.is_good() => {
            line("now:   ", format!("run={run}; the model is as it was"));
        }
        _ => {}
    }
    if let Some(Stored { version, lacks }) = copy {
        line("copy:  ", format!("version {version}; `wg-friend rollback {host} {version}` brings it back as it was"));
        for lack in lacks {
            line("       ", format!("without {lack}"));
        }
    }
    if *saved && *run == Run::Gone {
        line("next:  ", format!("`wg-friend interface enable {host} {interface}` brings it back as the model says"));
    }
    text
}
