//! `network`: the address plan and what nodes inherit.

use clap::Subcommand;

use super::output::{Cell, Fields, style};
use super::{Context, Exit, change};
use crate::model::Topology;
use crate::ops::Error;
use crate::ops::network::{defaults as ops, view};

/// Show or change the network's address plan and defaults
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show them
    Show,
    /// Change them: name, cidr, cidr6, interface, port, dns, mtu, keepalive, psk
    #[command(after_help = "Example:\n  wg-friend network set dns=10.66.0.1 keepalive=25")]
    Set {
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE")]
        assignments: Vec<String>,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Show => {
            let topology = context.open()?.topology()?;
            context.out.show(&view::network(&topology), |_| render(&topology))?;
            Ok(Exit::Done)
        }
        Command::Set { assignments } => set(&assignments, context),
    }
}

pub(super) fn set(assignments: &[String], context: &Context) -> Result<Exit, Error> {
    let settings = ops::parse_all(assignments.iter().map(String::as_str))?;
    let mut store = context.store()?;
    let outcome = ops::set(&mut store, &context.clock, &context.actor(), &settings, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

fn render(topology: &Topology) -> String {
    let mut fields = Fields::new();
    fields.add("name", Cell::new(&topology.network.name, style::STRONG));
    for (key, value) in ops::values(topology).into_iter().skip(1) {
        fields.add(key, value);
    }
    fields.render()
}
