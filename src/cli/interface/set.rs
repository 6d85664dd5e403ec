//! `interface set`: settings of one interface, its hooks among them.

use crate::cli::{Context, Exit, change};
use crate::ops::Error;
use crate::ops::network::interface::{self as ops, Leave};

/// Change settings of an interface: port, addresses, DNS, MTU, table, mark, hooks, whether it runs
///
/// Whatever wg-friend or somebody else made it. Hooks are checked: what isn't a plain command of a known program is refused
/// unless the host has leave for such (`wg-friend host set HOST allow-unsafe=on --reason TEXT`). Hooks that were added
/// or taken away take effect at the next deploy, without a restart of the interface wherever that can be done.
#[derive(Debug, clap::Args)]
#[command(after_help = keys())]
pub(super) struct Args {
    /// A host, or a node
    host: String,
    /// The interface, where there are several; then what to change: key=value, lists also key+=value and key-=value
    #[arg(required = true, value_name = "[IFACE] KEY=VALUE")]
    assignments: Vec<String>,
    /// For a node without a host: let hooks through that aren't on the list; why goes into the audit log
    #[arg(long, value_name = "REASON")]
    allow_unsafe: Option<String>,
}

fn keys() -> String {
    let mut text = String::from(
        "Examples:\n  wg-friend interface set hub wg0 listen-port=51821\n  wg-friend interface set hub wg0 post-up+='iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE' post-down+='iptables -t nat -D POSTROUTING -o eth1 -j MASQUERADE'\n  wg-friend interface set office address+=192.168.77.1/24 mtu=1380\n\nThen: wg-friend plan, wg-friend deploy.\n\nKeys:\n",
    );
    for (key, _, what) in ops::KEYS {
        text.push_str(&format!("  {key:<12}  {what}\n"));
    }
    text
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (name, assignments) = match args.assignments.split_first() {
        Some((first, rest)) if !first.contains('=') => (Some(first.as_str()), rest),
        _ => (None, args.assignments.as_slice()),
    };
    if assignments.is_empty() {
        return Err(Error::value("`interface set`", "expected key=value behind the interface"));
    }
    let settings = ops::read_all(assignments.iter().map(String::as_str))?;
    let leave = Leave { reason: args.allow_unsafe.as_deref() };
    let (mut store, actor) = (context.store()?, context.actor());
    let outcome = ops::set(&mut store, &context.clock, &actor, &args.host, name, &settings, leave, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}
