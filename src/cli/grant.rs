//! `grant`, `revoke` and `grants`: what nodes and groups may reach beyond their level.

use chrono::{DateTime, TimeDelta, Utc};

use super::output::{Cell, Table, style};
use super::{Context, Exit, change, drift};
use crate::model::{Grant, PortRange, Protocol};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::network::change::Mode;
use crate::ops::network::grant::{self, Held, List, Wanted, Which};

/// Let a node or group reach something beyond its level, for good or for a while
///
/// It adds to whatever access level the node has; with access custom, grants are all it has. A grant that ends is taken
/// away by the servers themselves, at that moment, with the connections that stand on it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend grant guest 192.168.11.50 tcp 22\n  wg-friend grant contractors printers tcp 631 --note 'new driver'\n  wg-friend grant bob 192.168.11.0/24 --for 8h\n  wg-friend grant bob nas tcp 22,445 --until '2026-12-01 18:00'"
)]
pub(super) struct GrantArgs {
    /// Who gets it: a node or a group
    #[arg(value_name = "NODE|GROUP")]
    holder: String,
    /// Where to: an address, a prefix, a node or a group
    destination: String,
    /// By which protocol: tcp, udp, icmp or any
    #[arg(default_value = "any")]
    protocol: Protocol,
    /// To which ports: 22,443,8000-8999 [default: all]
    ports: Option<String>,
    /// For how long: 90m, 8h, 30d
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until", value_parser = duration)]
    lasting: Option<TimeDelta>,
    /// Until when: 2026-12-01 (the end of that day), '2026-12-01 18:00', 2026-12-01T18:00:00Z, or 30d from now; UTC
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
}

/// Take grants away
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend revoke guest 192.168.11.50\n  wg-friend revoke contractors printers tcp 631\n  wg-friend revoke guest --all\n  wg-friend revoke --over          those whose time is over"
)]
pub(super) struct RevokeArgs {
    /// Who has it: a node or a group
    #[arg(value_name = "NODE|GROUP", required_unless_present = "over")]
    holder: Option<String>,
    /// Where it leads: an address, a prefix, a node or a group
    destination: Option<String>,
    /// Only what opens this protocol [default: whatever it opens]
    protocol: Option<Protocol>,
    /// Only what opens just these ports
    ports: Option<String>,
    /// All that the node or group has of its own
    #[arg(long, conflicts_with_all = ["destination", "over"])]
    all: bool,
    /// All grants whose time is over, whoever had them
    #[arg(long, conflicts_with_all = ["holder", "destination"])]
    over: bool,
}

/// List who is granted what, until when and what for
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend grants\n  wg-friend grants bob          his own and those of his groups\n  wg-friend grants --json"
)]
pub(super) struct GrantsArgs {
    /// Only those of a node or a group
    #[arg(value_name = "NODE|GROUP")]
    holder: Option<String>,
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let duration = humantime::parse_duration(text).map_err(|e| format!("{e}; write it like 30m, 8h or 2days"))?;
    TimeDelta::from_std(duration).map_err(|_| "that is too long".to_owned())
}

pub(super) fn grant(args: &GrantArgs, context: &Context) -> Result<Exit, Error> {
    let now = context.clock.now();
    let until = match (args.lasting, &args.until) {
        (Some(lasting), _) => Some(after(now, lasting)?),
        (None, until) => until.as_ref().map(|text| drift::moment(text, now)).transpose()?,
    };
    let wanted = Wanted {
        holder: &args.holder,
        destination: &args.destination,
        protocol: args.protocol,
        ports: ports(args.protocol, args.ports.as_deref())?,
        until,
        note: args.note.clone(),
    };
    let mut store = context.store()?;
    let outcome = grant::grant(&mut store, &context.clock, &context.actor(), &wanted, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

fn after(now: DateTime<Utc>, lasting: TimeDelta) -> Result<DateTime<Utc>, Error> {
    now.checked_add_signed(lasting).ok_or_else(|| Error::value("--for", "that is too long"))
}

fn ports(protocol: Protocol, ports: Option<&str>) -> Result<Vec<PortRange>, Error> {
    let words = [protocol.as_str()].into_iter().chain(ports);
    Grant::read_flow(words).map(|(_, ports)| ports).map_err(|reason| Error::value("PORTS", reason))
}

pub(super) fn revoke(args: &RevokeArgs, context: &Context) -> Result<Exit, Error> {
    let flow = match args.protocol {
        Some(protocol) => {
            let ports = args.ports.as_deref().map(|text| ports(protocol, Some(text))).transpose()?;
            Some((protocol, ports))
        }
        None => None,
    };
    let which = match (&args.holder, &args.destination) {
        (Some(holder), Some(destination)) => Which::To { holder, destination, flow },
        (Some(holder), None) if args.all => Which::AllOf(holder),
        (Some(_), None) => return Err(Error::value("DESTINATION", "say where the grant leads, or --all")),
        (None, _) => Which::Over,
    };
    let mut store = context.store()?;
    if args.all {
        change::preview_and_confirm(context, "Revoke all of this?", || {
            grant::revoke(&mut store, &context.clock, &context.actor(), &which, Mode::Preview)
        })?;
    }
    let outcome = grant::revoke(&mut store, &context.clock, &context.actor(), &which, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

pub(super) fn grants(args: &GrantsArgs, context: &Context) -> Result<Exit, Error> {
    let list = grant::list(&context.open()?, args.holder.as_deref(), context.clock.now())?;
    context.out.show(&list, render)?;
    if list.grants.is_empty() && !context.out.is_json() {
        context.out.note("no grants; give one with `wg-friend grant NODE|GROUP DESTINATION`");
    }
    Ok(Exit::Done)
}

fn render(list: &List) -> String {
    if list.grants.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["WHO", "MAY REACH", "BY", "UNTIL", "NOTE"]);
    for held in &list.grants {
        let look = if held.over { style::DIM } else { style::PLAIN };
        let who = if held.is_group { format!("group {}", held.holder) } else { held.holder.to_string() };
        let text = |text: String| Cell::new(text, look);
        table.row([
            text(who),
            text(held.grant.destination.clone()),
            text(held.grant.flow()),
            Cell::new(until(held), if held.over { style::WARN } else { look }),
            text(held.grant.note.clone()),
        ]);
    }
    table.render()
}

fn until(held: &Held) -> String {
    let end = held.grant.end().unwrap_or_default();
    if held.over { format!("{end}, over") } else { end }
}
