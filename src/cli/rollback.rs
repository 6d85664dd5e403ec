//! `rollback`: back to an earlier state of the model.

use super::history::differences;
use super::output::{paint, paint_code, style};
use super::{Context, Exit};
use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::rollback::{self, Rolled};

/// Bring the model back to an earlier state, as a new state
///
/// Shows what differs and asks. Keys never go back: a key that was replaced since stays replaced, and a removed node comes
/// back with the key it had when it was removed. What the state would contradict is refused as a whole. Hosts follow by
/// `wg-friend deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend rollback --model 12\n  wg-friend rollback --model 12 --dry-run")]
pub(super) struct Args {
    /// The state, as `wg-friend history` numbers them
    #[arg(long, value_name = "N")]
    model: i64,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let mut roll = |mode| rollback::to_state(&mut store, &context.clock, &context.actor(), args.model, mode);
    let ask = !context.dry_run && !context.yes;
    if ask {
        let preview = roll(Mode::Preview)?;
        context.out.note(text(&preview).trim_end());
        context.confirm(&format!("Bring the model back to state {}?", args.model))?;
    }
    let rolled = roll(context.mode())?;
    match rolled.state {
        _ if context.out.is_json() => context.out.show(&rolled, |_| String::new())?,
        Some(number) if ask => context.out.note(done(&rolled, number)), // what differs was shown before the question
        Some(number) => context.out.note(format!("{}{}", text(&rolled), done(&rolled, number))),
        None => {
            context.out.text(&differences(&rolled.changes))?;
            context.out.note(follows(&rolled).trim_end());
            context.out.note(paint(style::WARN, "dry run: nothing was changed"));
        }
    }
    Ok(Exit::Done)
}

fn text(rolled: &Rolled) -> String {
    differences(&rolled.changes) + &follows(rolled)
}

fn done(rolled: &Rolled, number: i64) -> String {
    let next = if rolled.deploy.is_empty() { "" } else { "\n  next: `wg-friend plan`" };
    paint_code(&format!("the model is as at state {} again; that is state {number}{next}", rolled.to))
}

/// Says what isn't as it was, and who has to be told.
fn follows(rolled: &Rolled) -> String {
    let mut text = String::new();
    for remark in &rolled.remarks {
        text.push_str(&format!("  {} {}\n", paint(style::WARN, "note:"), paint_code(remark)));
    }
    for (label, names) in [("to deploy:", &rolled.deploy), ("needs a new file:", &rolled.new_files)] {
        if !names.is_empty() {
            text.push_str(&format!("  {} {}\n", paint(style::DIM, label), super::change::names(names)));
        }
    }
    text
}
