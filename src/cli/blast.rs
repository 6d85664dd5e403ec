//! What a plan does to others, under the plan: nothing where it concerns nobody.

use std::collections::BTreeMap;

use super::output::{paint, style};
use super::width;
use crate::model::{InterfaceName, Name};
use crate::ops::deploy::blast::{Because, Blast, WayTouched};
use crate::ops::revision::DeviceReport;

/// So many peers are named before the rest is counted.
const PEERS: usize = 5;

/// So many devices are listed before the rest is counted, unless all are wanted.
const DEVICES: usize = 10;

/// Writes what concerns others, a line each.
pub(super) fn render(blast: &Blast, all: bool) -> String {
    let mut text = losses(blast);
    for way in &blast.ways {
        text.push_str(&hung(&way_line(way)));
    }
    text + &devices(&blast.devices, all)
}

fn hung(line: &str) -> String {
    width::hang(line, "    ") + "\n"
}

/// Says by interface and cause who loses packets.
fn losses(blast: &Blast) -> String {
    let mut groups: BTreeMap<(&Name, &InterfaceName, Because), Vec<&str>> = BTreeMap::new();
    for loss in &blast.loses {
        groups.entry((&loss.host, &loss.interface, loss.because)).or_default().push(&loss.peer);
    }
    let line = |((host, interface, because), peers): (&(&Name, &InterfaceName, Because), &Vec<&str>)| {
        let colour = if *because == Because::Restart { style::BAD } else { style::WARN };
        let who = some(peers);
        let then = match because {
            Because::Restart => format!("packets of {who} are lost meanwhile"),
            Because::InterfaceGone | Because::PeerGone => format!("{who} {} cut off", are(peers)),
            Because::Rekey => format!("{who} {} packets until {} it", verb(peers, "lose"), they(peers, "know")),
            Because::Port => format!("{who} {} packets until {} it", verb(peers, "lose"), they(peers, "dial")),
            Because::PresharedKey => {
                format!("{who} {} it for the next handshake, within two minutes", verb(peers, "need"))
            }
        };
        let what = paint(colour, format_args!("{interface} on {host} {}:", because.in_words()));
        hung(&format!("{what} {then}"))
    };
    groups.iter().map(line).collect()
}

fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(PEERS);
    let told = names.iter().take(PEERS).copied().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{told} and {more} more") } else { told }
}

/// A verb in the present, for one or several.
fn verb(names: &[&str], verb: &str) -> String {
    if names.len() == 1 { format!("{verb}s") } else { verb.to_owned() }
}

fn they(names: &[&str], what: &str) -> String {
    format!("{} {}", if names.len() == 1 { "it" } else { "they" }, verb(names, what))
}

fn are(names: &[&str]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

fn way_line(way: &WayTouched) -> String {
    let WayTouched { host, through, .. } = way;
    let through = through.as_ref().map(|interface| format!(" goes through {interface}, and")).unwrap_or_default();
    let warning = paint(style::WARN, format_args!("the way to {host}{through} is touched:"));
    format!("{warning} {}; if that cuts it, the host takes it back by itself", way.changes.join(", "))
}

/// Lists devices with why they need a new file; nothing when there are none.
pub(super) fn devices(devices: &[DeviceReport], all: bool) -> String {
    if devices.is_empty() {
        return String::new();
    }
    let shown = if all { devices.len() } else { DEVICES };
    let musts = devices.iter().filter(|device| !device.must.is_empty()).count();
    let plural = |n: usize| if n == 1 { "device" } else { "devices" };
    let head = match (musts, devices.len() - musts) {
        (0, may) => format!("{may} {} may get a new file:", plural(may)),
        (must, 0) => format!("{must} {} must get a new file:", plural(must)),
        (must, may) => format!("{must} {} must get a new file, {may} may:", plural(must)),
    };
    let colour = if musts > 0 { style::WARN } else { style::PLAIN };
    let mut text = format!("{}\n", paint(colour, head));
    let names = devices.iter().take(shown).map(|d| d.node.as_str().len()).max().unwrap_or(0);
    for device in devices.iter().take(shown) {
        let line = format!("  {}  {}", paint(style::STRONG, format_args!("{:names$}", device.node)), device.why());
        text.push_str(&width::hang(&line, &format!("{:names$}      ", "")));
        text.push('\n');
    }
    if devices.len() > shown {
        text.push_str(&format!("  … and {} more: `wg-friend handouts` lists them\n", devices.len() - shown));
    }
    text
}
