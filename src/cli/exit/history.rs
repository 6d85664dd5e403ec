//! `exit history`: by which exit each group went.

use serde::Serialize;

use crate::cli::output::{Cell, Table, style};
use crate::cli::{Context, Exit};
use crate::ops::Error;
use crate::ops::exit::history::{Switch, history};

/// List by which exit each group went, since when and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend exit history\n  wg-friend exit history europe --limit 3")]
pub(super) struct Args {
    /// Only this group, also one that is gone
    group: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// What is printed for programs.
#[derive(Serialize)]
struct Switches {
    /// The switches, the newest first.
    switches: Vec<Switch>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let switches = history(&context.open()?, args.group.as_deref(), args.limit)?;
    context.out.show(&Switches { switches }, |report| list(&report.switches))?;
    Ok(Exit::Done)
}

fn list(switches: &[Switch]) -> String {
    if switches.is_empty() {
        return "no group of exits ever had an exit\n".into();
    }
    let mut table = Table::new(&["TIME", "GROUP", "FROM", "TO", "REASON", "OPERATOR", "STATE"]);
    let or_none = |name: Option<&crate::model::Name>| name.map_or_else(|| "–".to_owned(), ToString::to_string);
    for switch in switches {
        table.row([
            Cell::new(switch.time.format("%Y-%m-%d %H:%M:%S UTC"), style::DIM),
            Cell::new(&switch.group, style::STRONG),
            or_none(switch.from.as_ref()).into(),
            or_none(switch.to.as_ref()).into(),
            switch.reason.map_or("", |reason| reason.in_words()).into(),
            switch.operator.clone().unwrap_or_default().into(),
            switch.state.to_string().into(),
        ]);
    }
    table.render()
}
