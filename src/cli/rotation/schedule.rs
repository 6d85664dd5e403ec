//! `rotation schedule`: a timer that replaces what is due.

use chrono::TimeDelta;

use crate::cli::{Context, Exit, timer};
use crate::ops::Error;
use crate::render::timer::{Job, Word};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also replace what will be due within so long
    #[arg(long, value_name = "DURATION", value_parser = super::duration)]
    within: Option<TimeDelta>,
    /// Replace at most so many keys a day
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    deed: timer::Deed,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    timer::run(&job(args, context)?, args.deed, context)
}

fn job(args: &Args, context: &Context) -> Result<Job, Error> {
    let mut words: Vec<Word> = vec!["rotation".into(), "apply".into()];
    if let Some(within) = args.within {
        words.extend(["--within".into(), Word::Text(format!("{}s", within.num_seconds()))]);
    }
    if let Some(limit) = args.limit {
        words.extend(["--limit".into(), Word::Text(limit.to_string())]);
    }
    Ok(Job {
        name: "rotation",
        made_by: "rotation schedule",
        does: "Replace WireGuard keys that are due by the policies of wg-friend",
        when: "Replace WireGuard keys that are due, every day",
        calendar: "*-*-* 04:00",
        delay: "30min",
        makes_up: true,
        cron: "0 4 * * *",
        network: context.network.clone(),
        words,
        passphrase: timer::passphrase(context)?,
    })
}
