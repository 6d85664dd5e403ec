//! `list`: the nodes in one table.

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit};
use crate::model::{Access, Custody, Name, Role};
use crate::ops::Error;
use crate::ops::network::view::{self, NodeView};

/// List the nodes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend list\n  wg-friend list --role remote --json")]
pub(super) struct Args {
    /// Only nodes of this role: server, router, exit or remote
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report<'a> {
    network: &'a Name,
    nodes: &'a [NodeView],
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let topology = context.open()?.topology()?;
    let nodes = view::list(&topology, args.role);
    let report = Report { network: &topology.network.name, nodes: &nodes };
    context.out.show(&report, |_| render(&nodes, args.role))?;
    if nodes.is_empty() && !context.out.is_json() {
        context.out.note(match args.role {
            Some(role) => format!("no {role} yet; add one with `wg-friend add {role} NAME`"),
            None => "no nodes yet; begin with `wg-friend add server NAME --endpoint HOST`".into(),
        });
    }
    Ok(Exit::Done)
}

fn render(nodes: &[NodeView], role: Option<Role>) -> String {
    if nodes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["NAME", "ROLE", "STATE", "ADDRESS", "ENDPOINT", "HOST", "ACCESS", "EXIT", "LANS"]);
    for node in nodes {
        let (state, look) = state(node);
        let name = if node.enabled { style::STRONG } else { style::DIM };
        let text = |text: String| Cell::new(text, if node.enabled { style::PLAIN } else { style::DIM });
        table.row([
            Cell::new(&node.name, name),
            text(node.role.to_string()),
            Cell::new(state, look),
            text(node.addresses().join(" ")),
            text(node.endpoint.as_ref().map(ToString::to_string).unwrap_or_default()),
            text(node.host.as_ref().map(ToString::to_string).unwrap_or_default()),
            text(if node.role == Role::Remote || node.access != Access::Full {
                hyphenated(node.access)
            } else {
                String::new()
            }),
            text(node.exit.as_ref().map(ToString::to_string).unwrap_or_default()),
            text(lans(node)),
        ]);
    }
    let mut text = table.render();
    if role.is_none() {
        text.push_str(&paint(style::DIM, summary(nodes)));
        text.push('\n');
    }
    text
}

/// Returns the state of a node in a word, and its colour.
pub(super) fn state(node: &NodeView) -> (&'static str, anstyle::Style) {
    match (node.enabled, node.provisional) {
        (false, _) => ("disabled", style::WARN),
        (true, true) => ("provisional", style::WARN),
        (true, false) => ("enabled", style::GOOD),
    }
}

/// Returns an access level as it is typed.
pub(super) fn hyphenated(access: Access) -> String {
    access.as_str().replace('_', "-")
}

/// Returns who has a private key, in words.
pub(super) fn custody(custody: Custody) -> &'static str {
    match custody {
        Custody::Held => "held, sealed in the database",
        Custody::ShownOnce => "shown once, then forgotten",
        Custody::NeverSeen => "never seen: the device keeps it",
    }
}

/// Returns the LANs of a node with their descriptions.
pub(super) fn lans(node: &NodeView) -> String {
    let lan = |lan: &crate::model::Lan| match lan.description.as_str() {
        "" => lan.cidr.to_string(),
        text => format!("{} ({text})", lan.cidr),
    };
    node.lans.iter().map(lan).collect::<Vec<_>>().join(", ")
}

fn summary(nodes: &[NodeView]) -> String {
    let counts = Role::ALL.iter().filter_map(|role| {
        let count = nodes.iter().filter(|node| node.role == *role).count();
        (count > 0).then(|| format!("{count} {role}{}", if count == 1 { "" } else { "s" }))
    });
    counts.collect::<Vec<_>>().join(" · ")
}
