//! `status`: who is connected, and how the last deploys ended.

use std::collections::BTreeSet;
use std::time::Duration;

use super::output::{Cell, Table, paint, paint_code, style};
use super::{Context, Exit, watch};
use crate::fleet::RealFleet;
use crate::model::{DeploymentState, Name};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::status::{HostStatus, LinkState, LinkStatus, Status, live, recorded};

/// Show the hosts, and with --live who is connected right now
///
/// With --watch it goes on until Ctrl-C: hosts are asked again and again over connections that stay open, and what
/// changes is told. A host that has not answered for three intervals (90 seconds, unless --interval says otherwise) is
/// disconnected. Where no terminal reads along, it prints a line for each change of state.
///
/// Needs no passphrase. Where the key is at hand, as after `unlock`, it also says which hosts lack what was changed in the model
/// since they were deployed to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend status\n  wg-friend status --live\n  wg-friend status --live --json\n  wg-friend status --watch\n  wg-friend status --watch --interval 5 --json"
)]
pub(super) struct Args {
    /// Ask the hosts
    #[arg(long)]
    live: bool,
    /// Go on asking them, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// How often to ask a host that answers
    #[arg(long, value_name = "SECONDS", requires = "watch", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Hosts to talk to at once
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let parallel = args.parallel.unwrap_or(context.settings.parallel);
    if args.watch {
        return watch::run(Duration::from_secs(args.interval), parallel, context).map(|()| Exit::Done);
    }
    let database = context.open()?;
    let (mut status, live) = if args.live {
        let live = live(&database, &RealFleet::new()?, &context.clock, parallel)?;
        (live.status.clone(), Some(live))
    } else {
        (recorded(&database)?, None)
    };
    // While it is locked, or the model contradicts itself, nobody can tell what hosts lack.
    let _ = context.store_at_hand().and_then(|store| status.tell_pending(&store));
    let now = context.clock.now();
    context.out.show(&status, |status| render(status, now))?;
    super::vault::mark_unencrypted(&database, context)?;
    // What isn't noted now the next look at the hosts notes: nobody is asked for a passphrase for that.
    if let (Some(live), Ok(mut store)) = (&live, context.store_unasked()) {
        let _ = live.note_uses(&mut store);
    }
    let silent = status.hosts.iter().any(|h| h.reachable == Some(false));
    Ok(if silent { Exit::SomeHosts } else { Exit::Done })
}

fn render(status: &Status, now: chrono::DateTime<chrono::Utc>) -> String {
    if status.hosts.is_empty() {
        return "no hosts yet: `wg-friend host add NAME user@address`\n".to_owned();
    }
    let mut text = hosts(&status.hosts, now);
    for host in &status.hosts {
        if let (Some(error), Some(hint)) = (&host.error, &host.hint) {
            text.push_str(&format!("\n{error}\n {} {}\n", paint(style::CODE.bold(), "hint:"), paint_code(hint)));
        }
    }
    if !status.open.is_empty() {
        text.push_str(&format!("\n{}", super::outcomes::open(&status.open, now)));
    }
    if !status.links.is_empty() {
        text.push('\n');
        text.push_str(&links(&status.links));
        status.links.iter().for_each(|link| text.push_str(&moved(link, now)));
        let connected = status.links.iter().filter(|l| l.state == LinkState::Connected).count();
        text.push_str(&format!("\n{connected} of {} connected\n", status.links.len()));
    }
    text
}

fn hosts(hosts: &[HostStatus], now: chrono::DateTime<chrono::Utc>) -> String {
    let mut table = Table::new(&["HOST", "STATE", "UP", "LAST DEPLOY", "VERSION"]);
    for host in hosts {
        let state = match host.reachable {
            Some(true) => Cell::new("reachable", style::GOOD),
            Some(false) => Cell::new("unreachable", style::BAD),
            None => Cell::new("not asked", style::DIM),
        };
        let deployed = match (host.deployment, host.deployed) {
            (Some(state), Some(when)) => {
                let lacks = host.pending == Some(true);
                let colour = match state {
                    DeploymentState::Confirmed if lacks => style::WARN,
                    DeploymentState::Confirmed => style::PLAIN,
                    _ => style::BAD,
                };
                let lacks = if lacks { ", lacks later changes" } else { "" };
                Cell::new(format!("{state} {} ago{lacks}", duration((now - when).num_seconds())), colour)
            }
            _ => Cell::new("never", style::DIM),
        };
        table.row([
            Cell::new(&host.host, style::STRONG),
            state,
            Cell::new(
                host.uptime.map_or("-".to_owned(), |s| duration(i64::try_from(s).unwrap_or(i64::MAX))),
                style::PLAIN,
            ),
            deployed,
            Cell::new(host.version.map_or("-".to_owned(), |v| v.to_string()), style::PLAIN),
        ]);
    }
    table.render()
}

fn links(links: &[LinkStatus]) -> String {
    let several = to_several(links.iter());
    let mut table = Table::new(&["NODE", "ROLE", "ADDRESS", "STATE", "HANDSHAKE", "RECEIVED", "SENT", "ENDPOINT"]);
    for link in links {
        let dash = || "-".to_owned();
        table.row([
            ends(link, several),
            Cell::new(link.role, style::DIM),
            Cell::new(link.address.map_or_else(dash, |address| address.to_string()), style::PLAIN),
            link_state(link.state),
            Cell::new(link.handshake_age.map_or_else(dash, |s| format!("{} ago", duration(s))), style::PLAIN),
            Cell::new(bytes(link.rx), style::PLAIN),
            Cell::new(bytes(link.tx), style::PLAIN),
            Cell::new(link.endpoint.map_or_else(dash, |endpoint| endpoint.to_string()), style::DIM),
        ]);
    }
    table.render()
}

/// Says where the traffic of a link goes that is down; nothing where it goes over the link.
pub(super) fn moved(link: &LinkStatus, now: chrono::DateTime<chrono::Utc>) -> String {
    let (Some(moved), Some(near)) = (&link.moved, &link.near) else { return String::new() };
    let since = moved.since.map(|since| format!(" for {}", duration((now - since).num_seconds().max(0))));
    let since = since.unwrap_or_default();
    let text = format!("{} → {near} is down: moved to the way over {}{since}", link.node, moved.over);
    format!("{}\n", paint(style::WARN, text))
}

/// Whether links lead to more than one node: to one, it goes without saying.
pub(super) fn to_several<'a>(links: impl Iterator<Item = &'a LinkStatus>) -> bool {
    let near: BTreeSet<&Name> = links.filter_map(|link| link.near.as_ref()).collect();
    near.len() > 1
}

/// A link by its far end and, where links lead to several nodes, its near one.
pub(super) fn ends(link: &LinkStatus, several: bool) -> Cell {
    let near = link.near.as_ref().filter(|_| several);
    Cell::new(near.map_or_else(|| link.node.to_string(), |near| format!("{} → {near}", link.node)), style::STRONG)
}

pub(super) fn link_state(state: LinkState) -> Cell {
    match state {
        LinkState::Connected => Cell::new("connected", style::GOOD),
        LinkState::Disconnected => Cell::new("disconnected", style::WARN),
        LinkState::Never => Cell::new("never seen", style::DIM),
        LinkState::NotDeployed => Cell::new("not deployed", style::WARN),
        LinkState::Unknown => Cell::new("unknown", style::DIM),
    }
}

/// A duration in its largest sensible unit.
pub(super) fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} min", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// A number of bytes with a decimal unit and up to three digits.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value >= 99.95 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let shown: Vec<String> = [0, 999, 1_000, 99_940, 999_499, 1_500_000_000].map(bytes).to_vec();
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "99.9 kB", "999 kB", "1.5 GB"]);
        assert_eq!([0, 119, 120, 7_200, 172_800].map(duration).to_vec(), ["0 s", "119 s", "2 min", "2 h", "2 d"]);
    }
}
