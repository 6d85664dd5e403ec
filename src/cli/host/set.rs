//! `host set`: changing a machine.

use super::show;
use crate::cli::Context;
use crate::ops::Error;
use crate::ops::host as ops;

/// Change a machine: where it is, how root is had there, what may be written there
#[derive(Debug, clap::Args)]
#[command(after_help = keys())]
pub(super) struct Args {
    /// The machine
    name: String,
    /// What to change
    #[arg(required = true, value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// Why unsafe hooks are needed there; goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

fn keys() -> String {
    let mut text = String::from(
        "Examples:\n  wg-friend host set office port=2222 jump=bastion\n  wg-friend host set office auto-sync=on_change\n  wg-friend host set office allow-unsafe=on --reason \"starts the meter's own daemon\"\n\nKeys:\n",
    );
    for (key, what) in ops::KEYS {
        text.push_str(&format!("  {key:<12}  {what}\n"));
    }
    text
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Error> {
    let mut store = context.store()?;
    let reason = args.reason.as_deref();
    let actor = context.actor();
    let outcome = ops::set(&mut store, &context.clock, &actor, &args.name, &args.assignments, reason, context.mode())?;
    show(&outcome, &context.out)
}
