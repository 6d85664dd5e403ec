//! `host remove`: forgetting a machine.

use super::show;
use crate::cli::{Context, Exit};
use crate::ops::Error;
use crate::ops::host as ops;

/// Remove machines that no node lives on; what they run goes on running there
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The machine
    name: String,
}

pub(super) fn run(Args { name }: &Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    if !context.dry_run {
        context.confirm(&format!("Forget the host {name}?"))?;
    }
    show(&ops::remove(&mut store, &context.clock, &context.actor(), name, context.mode())?, &context.out)?;
    Ok(Exit::Done)
}
