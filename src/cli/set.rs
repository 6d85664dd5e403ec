//! `set`: changes what a node, or the network, is told to be.

use super::{Context, Exit, change};
use crate::ops::Error;
use crate::ops::network::{defaults, edit, setting};

/// Change anything about a node: address, endpoint, LANs, access, exit, ...
#[derive(Debug, clap::Args)]
#[command(after_help = keys())]
pub(super) struct Args {
    /// The node: its name or the beginning of its guid; `network` for the network's defaults
    #[arg(value_name = "NAME")]
    node: String,
    /// What to change: key=value; lists also take key+=value and key-=value
    #[arg(required = true, value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

fn keys() -> String {
    let mut text = String::from(
        "Examples:\n  wg-friend set alice-phone access=vpn-only exit=exit-de\n  wg-friend set office lan+=192.168.20.0/24='guest wifi'\n  wg-friend set network dns=10.66.0.1,corp.example\n\nKeys of a node:\n",
    );
    for (key, _, what) in setting::KEYS {
        text.push_str(&format!("  {key:<16}  {what}\n"));
    }
    text.push_str("\nKeys of the network:\n");
    for (key, what) in defaults::KEYS {
        text.push_str(&format!("  {key:<16}  {what}\n"));
    }
    text
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    if args.node == "network" {
        return super::network::set(&args.assignments, context);
    }
    let settings = setting::parse_all(args.assignments.iter().map(String::as_str))?;
    let mut store = context.store()?;
    let outcome = edit::set(&mut store, &context.clock, &context.actor(), &args.node, &settings, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
