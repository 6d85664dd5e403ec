//! `show`: everything about one node.

use super::list::{custody, hyphenated, lans, state, way};
use super::output::{Cell, Fields, Table, paint, style};
use super::{Context, Exit};
use crate::model::{KeyState, Name, Provenance, Role, Weight, WhenDown};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::network::view::{self, NodeDetails};
use crate::ops::revision::DeviceState;

/// So many links are shown before the rest is counted.
const SHOWN: usize = 20;

/// Show everything about a node: settings, keys, peers, what it may reach
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The node: its name or the beginning of its guid
    #[arg(value_name = "NAME")]
    node: String,
    /// Show what runs when its interfaces go up and down instead, as `hooks list` does
    #[arg(long)]
    hooks: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    if args.hooks {
        return super::hooks::list(&args.node, context);
    }
    let database = context.open()?;
    context.out.show(&view::show(&database, &args.node, context.clock.now())?, render)?;
    super::vault::mark_unencrypted(&database, context)?;
    Ok(Exit::Done)
}

fn render(details: &NodeDetails) -> String {
    let node = &details.node;
    let (word, colour) = state(node);
    let text = |value: Option<String>| value.unwrap_or_default();
    let mut fields = Fields::new();
    fields
        .add("name", Cell::new(&node.name, style::STRONG))
        .add("role", text(Some(node.role.to_string())))
        .add("device", text(node.device.map(|d| d.to_string())))
        .add("state", Cell::new(word, colour))
        .add("guid", node.guid)
        .add("address", node.addresses().join("\n"))
        .add("endpoint", text(node.endpoint.as_ref().map(ToString::to_string)))
        .add("host", text(node.host.as_ref().map(ToString::to_string)))
        .add("LANs", lans(node).replace(", ", "\n"))
        .add(
            "LAN side",
            if node.role == Role::Remote {
                String::new()
            } else {
                text(node.outer_interface.as_ref().map(ToString::to_string))
            },
        )
        .add(
            "routed",
            node.routed.iter().map(|prefix| format!("{prefix}, with its own addresses")).collect::<Vec<_>>().join("\n"),
        )
        .add("NAT", if node.nat { "masquerades traffic into its LANs" } else { "" })
        .add(
            "access",
            if matches!(node.role, Role::Remote | Role::Router) { hyphenated(node.access) } else { String::new() },
        )
        .add("enforced", Cell::new(details.not_enforced_by.as_ref().map(own_rules).unwrap_or_default(), style::WARN))
        .add("server", text(node.server.as_ref().map(ToString::to_string)))
        .add(
            "exit",
            text(
                way(node.exit.as_ref(), &node.via)
                    .map(|exit| format!("{exit}{}", if node.exit_inherited { " (the network's)" } else { "" })),
            ),
        )
        .add(
            "kill switch",
            if node.kill_switch && node.exit.is_some() { "nothing leaves while its exit can't be used" } else { "" },
        )
        .add("MTU", text(node.mtu.map(|m| m.to_string())))
        .add("keepalive", text(node.keepalive.map(|k| format!("{k} s"))))
        .add("DNS", text(node.dns.as_ref().map(|dns| dns.join(", "))))
        .add("private key", custody(node.custody))
        .add("file", Cell::new(file(details), file_colour(details)))
        .add("keeps", text(details.kept.clone()))
        .add("known from", details.sources.iter().map(source).collect::<Vec<_>>().join("\n"))
        .add("added", format!("{} ({})", node.created.format("%Y-%m-%d %H:%M UTC"), node.origin))
        .add("notes", node.notes.clone());
    let sections = [fields.render(), interfaces(details), reaches(details), links(details), keys(details)];
    let filled: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    filled.join("\n")
}

/// Says what a device was given, whether it is in use, and what is wrong with it.
fn file(details: &NodeDetails) -> String {
    match &details.file {
        None => String::new(),
        Some(device) if device.given.is_none() => "never handed out".to_owned(),
        Some(device) if device.state == DeviceState::UpToDate => device.history(),
        Some(device) => format!("{}\noutdated; {}", device.history(), device.why()),
    }
}

fn file_colour(details: &NodeDetails) -> anstyle::Style {
    match &details.file {
        Some(device) if !device.must.is_empty() => style::BAD,
        Some(device) if device.state == DeviceState::Outdated => style::WARN,
        _ => style::PLAIN,
    }
}

fn own_rules(server: &Name) -> String {
    format!("no: {server} keeps rules of its own (`wg-friend hooks adopt {server}`)")
}

fn source(from: &Provenance) -> String {
    let lines = from.lines.map(|(first, last)| format!(", lines {first}-{last}")).unwrap_or_default();
    let (digest, day) = (&from.sha256[..from.sha256.len().min(12)], from.time.format("%Y-%m-%d"));
    format!("{}{lines} ({}, {} bytes, sha256 {digest}…, {day})", from.source, from.format, from.size)
}

fn interfaces(details: &NodeDetails) -> String {
    let mut table = Table::new(&["INTERFACE", "FOR", "PORT", "PUBLIC KEY"]);
    for interface in &details.interfaces {
        table.row([
            (&interface.name).into(),
            (&interface.purpose).into(),
            interface.listen_port.map(|p| p.to_string()).unwrap_or_default().into(),
            interface.public_key.into(),
        ]);
    }
    table.render()
}

fn reaches(details: &NodeDetails) -> String {
    let mut table = Table::new(&["MAY REACH", ""]);
    for reach in &details.reaches {
        table.row([(&reach.destination).into(), Cell::new(&reach.what, style::DIM)]);
    }
    if table.is_empty() { String::new() } else { table.render() }
}

fn made(weight: Weight, when_down: WhenDown) -> String {
    let moves = if when_down == WhenDown::Move { ", moves when down" } else { "" };
    format!("made, weight {weight}{moves}")
}

fn links(details: &NodeDetails) -> String {
    let mut table = Table::new(&["PEER", "BY", "PRESHARED KEY", "LINK"]);
    for link in details.links.iter().take(SHOWN) {
        table.row([
            Cell::new(&link.peer, style::STRONG),
            (&link.interface).into(),
            if link.preshared_key { Cell::new("yes", style::GOOD) } else { Cell::new("no", style::DIM) },
            link.weight.map(|weight| made(weight, link.when_down)).unwrap_or_default().into(),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    let more = details.links.len().saturating_sub(SHOWN);
    let rest = if more > 0 { paint(style::DIM, format!("and {more} more")) + "\n" } else { String::new() };
    table.render() + &rest
}

fn keys(details: &NodeDetails) -> String {
    let mut table = Table::new(&["KEY", "OF", "STATE", "SINCE", "UNTIL", "REASON"]);
    for key in &details.keys {
        let colour = if key.state == KeyState::Retired { style::DIM } else { style::GOOD };
        let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d").to_string();
        table.row([
            key.public_key.short().into(),
            (&key.interface).into(),
            Cell::new(key.state, colour),
            day(key.created).into(),
            key.retired.map(day).unwrap_or_default().into(),
            key.reason.clone().unwrap_or_default().into(),
        ]);
    }
    table.render()
}
