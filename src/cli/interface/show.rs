//! `interface show`: what an interface is to be, what was deployed, and what the host has.

use crate::cli::output::{Cell, Table, style};
use crate::cli::{Context, Exit};
use crate::ops::Error;
use crate::ops::interface::find;

/// Show interfaces: what the model says, what was deployed, what the host has
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend interface show")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, context: &Context) -> Result<Exit, Error> {
    let topology = context.open()?.topology()?;
    let all: Vec<_> = topology.hosts.iter().flat_map(|host| find::on(&topology, host)).collect();
    let rows: Vec<_> = all
        .iter()
        .map(|target| {
            serde_json::json!({
                "host": target.host.name, "interface": target.interface.name, "node": target.node.name,
                "listen_port": target.interface.listen_port,
            })
        })
        .collect();
    context.out.show(&serde_json::json!({ "interfaces": rows }), |_| {
        let mut table = Table::new(&["HOST", "INTERFACE", "NODE", "PORT"]);
        for target in &all {
            let port = target.interface.listen_port.map_or_else(|| "–".to_owned(), |port| port.to_string());
            table.row([
                Cell::new(&target.host.name, style::STRONG),
                (&target.interface.name).into(),
                (&target.node.name).into(),
                port.into(),
            ]);
        }
        table.render()
    })?;
    Ok(Exit::Done)
}
