//! `handouts`: who has which file, and who needs a new one.

use chrono::{DateTime, Utc};

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit, blast};
use crate::db::Revision;
use crate::model::Name;
use crate::ops::Error;
use crate::ops::network::find;
use crate::ops::revision::{self, DeviceReport, DeviceState, Untold};

/// List devices that need a new file, and why
///
/// For every device whose file somebody carries there: whether what it was given last still is what it would get now. What
/// it *must* get a new file for cuts it off, now or once the hosts are deployed; for the rest it *may* wait. With a name,
/// everything that this device was ever given, and what it has shown to use.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend handouts\n  wg-friend handouts --all\n  wg-friend handouts alice-phone --json"
)]
pub(super) struct Args {
    /// Only this device: its name or the beginning of its guid
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// Also those that need nothing
    #[arg(long, conflicts_with = "node")]
    all: bool,
    /// End with 3 when a device needs a new file
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let database = context.open()?;
    let needs = |device: &DeviceReport| device.state == DeviceState::Outdated;
    let needed = match &args.node {
        Some(wanted) => {
            let topology = database.topology()?;
            let node = find::node(&topology, wanted)?;
            let report = One {
                node: &node.name,
                device: revision::of(&database, &topology, node)?,
                revisions: database.revisions(node.id)?,
            };
            context.out.show(&report, one)?;
            report.device.as_ref().is_some_and(needs)
        }
        None => {
            let mut devices = revision::list(&database)?;
            let (total, outdated) = (devices.len(), devices.iter().any(needs));
            devices.retain(|device| args.all || device.state != DeviceState::UpToDate);
            devices.sort_by_key(|device| (device.state, device.must.is_empty())); // stable: then by name
            context.out.show(&All { total, devices }, all)?;
            outdated
        }
    };
    Ok(if args.exit_code && needed { Exit::Differences } else { Exit::Done })
}

/// What is printed for programs of all devices.
#[derive(serde::Serialize)]
struct All {
    /// How many devices there are.
    total: usize,
    /// Those that are shown.
    devices: Vec<DeviceReport>,
}

/// What is printed for programs of one device.
#[derive(serde::Serialize)]
struct One<'a> {
    /// Its name.
    node: &'a Name,
    /// Where it stands; `None` when nobody carries its file.
    device: Option<DeviceReport>,
    /// What it was ever given, the newest first.
    revisions: Vec<Revision>,
}

fn all(report: &All) -> String {
    if report.total == 0 {
        return "no device whose file somebody carries there: every node runs on a host\n".to_owned();
    }
    let fine = report.total - report.devices.iter().filter(|d| d.state != DeviceState::UpToDate).count();
    let mut text = String::new();
    if !report.devices.is_empty() {
        let mut table = Table::new(&["DEVICE", "STATE", "HAS", "WHY"]);
        for device in &report.devices {
            let (state, colour) = words(device);
            let has = device.given.as_ref().map(|given| format!("revision {}", given.revision.number));
            table.row([
                Cell::new(&device.node, style::STRONG),
                Cell::new(state, colour),
                Cell::new(has.unwrap_or_else(|| "–".to_owned()), style::DIM),
                device.why().into(),
            ]);
        }
        text = table.render();
    }
    let blank = if text.is_empty() { "" } else { "\n" };
    let tail = match (fine, report.total) {
        (0, _) => String::new(),
        (fine, total) if fine == total && text.is_empty() => {
            paint(style::GOOD, "every device has what it would get now") + "\n"
        }
        (1, _) => format!("{blank}1 device has what it would get now\n"),
        (fine, _) => format!("{blank}{fine} devices have what they would get now\n"),
    };
    text + &tail
}

/// Says in a word or two where a device stands.
fn words(device: &DeviceReport) -> (&'static str, anstyle::Style) {
    match device.state {
        DeviceState::Outdated if device.must.is_empty() => ("may get a new file", style::WARN),
        DeviceState::Outdated => ("must get a new file", style::BAD),
        DeviceState::NeverHandedOut => ("never handed out", style::WARN),
        DeviceState::UpToDate => ("up to date", style::GOOD),
    }
}

fn one(report: &One<'_>) -> String {
    let Some(device) = &report.device else {
        return format!("{} gets its files by `wg-friend deploy`, or none at all\n", report.node);
    };
    let (state, colour) = words(device);
    let mut text = format!("{}  {}\n", paint(style::STRONG, report.node), paint(colour, state));
    for (word, reasons) in [("must", &device.must), ("may", &device.may)] {
        for reason in reasons {
            text.push_str(&format!("  {word:4}  {reason}\n"));
        }
    }
    if !report.revisions.is_empty() {
        let mut table = Table::new(&["REVISION", "FIRST", "LAST", "BY", "SEEN IN USE"]);
        for revision in &report.revisions {
            let seen = revision.first_used.zip(revision.last_used);
            let seen = seen.map_or(String::new(), |(first, last)| format!("{} to {}", minute(first), minute(last)));
            table.row([
                Cell::new(revision.number, style::STRONG),
                Cell::new(minute(revision.handed_out), style::DIM),
                Cell::new(minute(revision.last_handed_out), style::DIM),
                revision.methods.join(", ").into(),
                seen.into(),
            ]);
        }
        text = text + "\n" + &table.render();
    }
    text
}

fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M").to_string()
}

/// Lists devices that need a new file, for the end of a command that changed something.
pub(super) fn needed(devices: &[DeviceReport], context: &Context) {
    if !devices.is_empty() && !context.out.is_json() {
        context.out.note("");
        context.out.note(blast::devices(devices, false).trim_end());
    }
}

/// So many names are listed before the rest is counted.
const NAMED: usize = 5;

/// Warns of files that don't work yet, since hosts don't know the keys in them.
pub(super) fn untold(all: &[Untold], context: &Context) {
    let mut left: Vec<&Untold> = all.iter().collect();
    while let Some(first) = left.first().copied() {
        let (alike, others): (Vec<&Untold>, Vec<&Untold>) =
            left.into_iter().partition(|one| (&one.hosts, one.next_key) == (&first.hosts, first.next_key));
        context.out.warn(warning(&alike));
        left = others;
    }
}

/// Says of files, all of them for the same hosts, why they don't work yet and what to do.
fn warning(files: &[&Untold]) -> String {
    let Some(first) = files.first() else { return String::new() };
    let (file, do_not, it, before) = match files.len() {
        1 => ("the file", "doesn't", "it", "the one before stays"),
        _ => ("the files", "don't", "them", "those before stay"),
    };
    let (host, know) = if first.hosts.len() == 1 { ("host", "doesn't") } else { ("hosts", "don't") };
    let (nodes, hosts) = (in_words(files.iter().map(|one| &one.node)), in_words(first.hosts.iter()));
    let command = match first.hosts.as_slice() {
        several if several.len() > NAMED => "wg-friend deploy".to_owned(),
        few => format!("wg-friend deploy {}", few.iter().map(Name::as_str).collect::<Vec<_>>().join(" ")),
    };
    let meanwhile = if first.next_key { format!("; until then {before} good") } else { String::new() };
    format!(
        "{file} of {nodes} {do_not} work yet: the {host} {hosts} {know} know the keys in {it}. `{command}` brings them{meanwhile}"
    )
}

fn in_words<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    let mut words: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let more = words.len().saturating_sub(NAMED);
    words.truncate(NAMED);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(node: &str, hosts: &[&str], next_key: bool) -> Untold {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Untold { node: node.parse().unwrap(), hosts, next_key }
    }

    #[test]
    fn a_file_that_does_not_work_yet_is_told_with_the_command_that_mends_it() {
        let (one, other) = (file("alice-phone", &["hub"], true), file("bob", &["hub"], true));
        insta::assert_snapshot!(warning(&[&one]), @"the file of `alice-phone` doesn't work yet: the host `hub` doesn't know the keys in it. `wg-friend deploy hub` brings them; until then the one before stays good");
        insta::assert_snapshot!(warning(&[&one, &other]), @"the files of `alice-phone`, `bob` don't work yet: the host `hub` doesn't know the keys in them. `wg-friend deploy hub` brings them; until then those before stay good");
        let fresh = file("carol", &["a", "b", "c", "d", "e", "f"], false);
        insta::assert_snapshot!(warning(&[&fresh]), @"the file of `carol` doesn't work yet: the hosts `a`, `b`, `c`, `d`, `e`, 1 more don't know the keys in it. `wg-friend deploy` brings them");
    }
}
