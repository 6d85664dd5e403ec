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
    let wide = wide(nodes);
    let table = if wide.fits() { wide } else { narrow(nodes) };
    let mut text = table.render();
    if role.is_none() {
        text.push_str(&paint(style::DIM, summary(nodes)));
        text.push('\n');
    }
    text
}

/// A column for everything.
fn wide(nodes: &[NodeView]) -> Table {
    let mut table = Table::new(&["NAME", "ROLE", "STATE", "ADDRESS", "ENDPOINT", "HOST", "ACCESS", "EXIT", "LANS"]);
    for node in nodes {
        let (state, look) = state(node);
        let text = |text: String| Cell::new(text, look_of(node));
        table.row([
            name(node),
            text(node.role.to_string()),
            Cell::new(state, look),
            text(node.addresses().join(" ")),
            text(node.endpoint.as_ref().map(ToString::to_string).unwrap_or_default()),
            text(node.host.as_ref().map(ToString::to_string).unwrap_or_default()),
            text(access(node)),
            text(way(node.exit.as_ref(), &node.via).unwrap_or_default()),
            text(lans(node)),
        ]);
    }
    table
}

/// For a narrow terminal: what not every node has shares a column.
fn narrow(nodes: &[NodeView]) -> Table {
    let mut table = Table::new(&["NAME", "ROLE", "ADDRESS", "ACCESS", "MORE"]);
    for node in nodes {
        let (state, _) = state(node);
        let mut more = Vec::new();
        more.extend((state != "enabled").then(|| state.to_owned()));
        more.extend(node.endpoint.as_ref().map(|endpoint| format!("at {endpoint}")));
        more.extend(node.host.as_ref().map(|host| format!("host {host}")));
        more.extend(way(node.exit.as_ref(), &node.via).map(|exit| format!("exit {exit}")));
        if !node.lans.is_empty() {
            more.push(format!("LAN {}", lans(node)));
        }
        let text = |text: String| Cell::new(text, look_of(node));
        table.row([
            name(node),
            text(node.role.to_string()),
            text(node.addresses().join(" ")),
            text(access(node)),
            text(more.join(" · ")),
        ]);
    }
    table
}

fn name(node: &NodeView) -> Cell {
    Cell::new(&node.name, if node.enabled { style::STRONG } else { style::DIM })
}

fn look_of(node: &NodeView) -> anstyle::Style {
    if node.enabled { style::PLAIN } else { style::DIM }
}

/// The access of whoever it makes a difference to.
fn access(node: &NodeView) -> String {
    let tells = node.role == Role::Remote || node.access != Access::Full;
    if tells { hyphenated(node.access) } else { String::new() }
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

/// Returns by which way internet traffic leaves, in words: the exits of a chain in order, or the one thing it leaves by.
pub(super) fn way(exit: Option<&Name>, via: &[Name]) -> Option<String> {
    if via.is_empty() {
        return exit.map(Name::to_string);
    }
    Some(via.iter().map(Name::as_str).collect::<Vec<_>>().join(" → "))
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
