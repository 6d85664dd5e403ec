//! `host list`: the machines that are known.

use crate::cli::output::{Cell, Table, style};
use crate::cli::{Context, Exit};
use crate::model::HostAddress;
use crate::ops::Error;
use crate::ops::host::{self as ops, HostView};

/// List the machines
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(Args {}: &Args, context: &Context) -> Result<Exit, Error> {
    let hosts = ops::list(&context.open()?)?;
    context.out.show(&serde_json::json!({ "hosts": hosts }), |_| {
        let mut table = Table::new(&["NAME", "ADDRESS", "BECOME", "JUMP", "IDENTITY", "NODES"]);
        for view in &hosts {
            let (jump, identity) = ways(&view.host.address);
            table.row([
                Cell::new(&view.host.name, style::STRONG),
                (&view.host.address).into(),
                view.host.becoming.into(),
                jump.into(),
                identity.into(),
                nodes(view).into(),
            ]);
        }
        if table.is_empty() { String::new() } else { table.render() }
    })?;
    if hosts.is_empty() && !context.out.is_json() {
        context.out.note("no hosts yet; add one with `wg-friend host add NAME [USER@]HOST[:PORT]`");
    }
    Ok(Exit::Done)
}

fn ways(address: &HostAddress) -> (String, String) {
    match address {
        HostAddress::Local => Default::default(),
        HostAddress::Ssh { jump, identity, .. } => {
            (jump.clone().unwrap_or_default(), identity.clone().unwrap_or_default())
        }
    }
}

fn nodes(view: &HostView) -> String {
    let own = view.nodes.iter().map(ToString::to_string);
    let others = view.others.iter().map(|other| format!("{}/{}", other.network, other.node));
    own.chain(others).collect::<Vec<_>>().join(", ")
}
