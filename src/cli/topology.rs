//! `topology`: the network as a tree.

use super::list::{hyphenated, lans, state, way};
use super::output::{paint, style};
use super::{Context, Exit, width};
use crate::model::{Access, Role, WhenDown};
use crate::ops::Error;
use crate::ops::network::view::{NodeView, TopologyView};

/// Show the network as a tree: who links to whom, with addresses and LANs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend topology\n  wg-friend topology --json")]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<Exit, Error> {
    let topology = context.open()?.topology()?;
    context.out.show(&TopologyView::of(&topology), render)?;
    Ok(Exit::Done)
}

fn render(view: &TopologyView) -> String {
    let network = &view.network;
    let prefixes: Vec<String> = network.prefixes().map(|p| p.to_string()).collect();
    let mut text = format!(
        "{}  {}\n",
        paint(style::STRONG, &network.name),
        paint(style::DIM, format!("{} · {}", prefixes.join(" · "), network.interface))
    );
    branch(&children(view, None), view, "", &mut text);
    for link in &view.links {
        let [a, b] = &link.nodes;
        let weight = link.weight.map_or_else(|| "as it was found".to_owned(), |weight| format!("weight {weight}"));
        let when_down = if link.when_down == WhenDown::Move { ", moves to the servers when down" } else { "" };
        text.push_str(&format!("{a} ⇄ {b}  {}\n", paint(style::DIM, format!("direct link, {weight}{when_down}"))));
    }
    text
}

/// Returns the nodes that link to `parent`: servers hang from the network, exit-only remotes from their exit, everything
/// else from its server. Without a server all hang from the network.
fn children<'a>(view: &'a TopologyView, parent: Option<&NodeView>) -> Vec<&'a NodeView> {
    let place = |node: &'a NodeView| match node.role {
        Role::Server => None,
        Role::Remote if node.access == Access::ExitOnly && node.exit.is_some() => {
            node.via.first().or(node.exit.as_ref())
        }
        _ => node.server.as_ref(),
    };
    view.nodes.iter().filter(|node| place(node) == parent.map(|p| &p.name)).collect()
}

fn branch(nodes: &[&NodeView], view: &TopologyView, indent: &str, text: &mut String) {
    for (at, node) in nodes.iter().enumerate() {
        let last = at + 1 == nodes.len();
        let (fork, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let own = format!("{}{}", paint(style::DIM, format!("{indent}{fork}")), line(node));
        let children = match node.role {
            Role::Server | Role::Exit => children(view, Some(node)),
            Role::Router | Role::Remote => Vec::new(),
        };
        // What doesn't fit goes on below the name, beside the line that leads to the next node.
        let stem = if children.is_empty() { "    " } else { "│   " };
        text.push_str(&width::hang(&own, &paint(style::DIM, format!("{indent}{below}{stem}"))));
        text.push('\n');
        branch(&children, view, &format!("{indent}{below}"), text);
    }
}

fn line(node: &NodeView) -> String {
    let (word, colour) = state(node);
    let dot = if node.enabled { "●" } else { "○" };
    let mut facts = vec![node.role.to_string(), node.addresses().join(", ")];
    facts.extend(node.endpoint.as_ref().map(|endpoint| format!("at {endpoint}")));
    facts.extend(node.host.as_ref().map(|host| format!("host {host}")));
    if !node.lans.is_empty() {
        facts.push(format!("LAN {}", lans(node)));
    }
    if node.role == Role::Remote {
        facts.push(hyphenated(node.access));
    }
    if node.access != Access::ExitOnly || !node.via.is_empty() {
        facts.extend(way(node.exit.as_ref(), &node.via).map(|exit| format!("internet by {exit}")));
    }
    if word != "enabled" {
        facts.push(paint(colour, word));
    }
    let name = if node.enabled { style::STRONG } else { style::DIM };
    format!("{} {}  {}", paint(colour, dot), paint(name, &node.name), facts.join(" · "))
}
