//! `unlock` and `lock`: the passphrase once, then not again for a while.

use std::time::Duration;

use super::output::{paint, style};
use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::safety::unlock::{self, Forgotten};

/// Unlock the database for a while: the kernel's keyring keeps its key
///
/// The key stays in the memory of the kernel, for your user only, until the time is over or `wg-friend lock` takes it out.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend unlock --for 8h\n  wg-friend unlock --for 30m --passphrase-file /run/secrets/wg-friend"
)]
pub(super) struct UnlockArgs {
    /// For how long, such as 30m, 8h or 2days
    #[arg(long = "for", value_name = "TIME", default_value = "8h", value_parser = duration)]
    duration: Duration,
}

/// Take the key out of the kernel's keyring
#[derive(Debug, clap::Args)]
pub(super) struct LockArgs {}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|e| format!("{e}; write it like 30m, 8h or 2days"))?;
    if duration.as_secs() == 0 { Err("a key that is kept for no time is of no use".into()) } else { Ok(duration) }
}

pub(super) fn unlock(args: &UnlockArgs, context: &Context) -> Result<Exit, Error> {
    context.no_dry_run("unlock")?;
    let remembered = context.with_sources(|sources| {
        unlock::remember(&context.database, sources, args.duration, &context.actor(), &context.clock)
    })?;
    context.out.done(&remembered, |remembered| match remembered.until {
        Some(until) => {
            let until = until.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M");
            format!("{} until {until}", paint(style::GOOD, "unlocked"))
        }
        None => "nothing to unlock: the database is not encrypted".to_owned(),
    })?;
    Ok(Exit::Done)
}

pub(super) fn lock(_: &LockArgs, context: &Context) -> Result<Exit, Error> {
    context.no_dry_run("lock")?;
    let forgotten = unlock::forget(&context.database)?;
    context.out.done(&forgotten, |forgotten| {
        match forgotten {
            Forgotten { encrypted: false, .. } => "nothing to lock: the database is not encrypted",
            Forgotten { was_unlocked: true, .. } => "locked",
            Forgotten { was_unlocked: false, .. } => "it was locked already",
        }
        .to_owned()
    })?;
    Ok(Exit::Done)
}
