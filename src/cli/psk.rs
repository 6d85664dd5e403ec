//! `psk`: preshared keys of links.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::deploy::How;
use super::output::{Cell, Table, paint, paint_code, style};
use super::progress::Line;
use super::{Context, Exit, change, interrupt, outcomes};
use crate::model::{PskPolicy, PskTrigger, Role};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::Silent;
use crate::ops::psk::carry::{self, Brought, Torn, With};
use crate::ops::psk::policy::{self, List, Whose, Wish};
use crate::ops::psk::rotate::{self, Request, Which};
use crate::ops::psk::status::{self, Due, End, Has, LinkStatus, Status};

/// Preshared keys of links: what is wanted, what each link has, and new ones
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend psk status\n  wg-friend psk policy required --every 90d\n  wg-friend psk rotate hub office --deploy"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Policy(Policy),
    Status(Show),
    Rotate(Box<Rotate>),
}

/// Say which links carry a preshared key, and when they are due for another; alone, list what was said
///
/// `none`: no new link gets one. `optional`: a new link gets one where both ends can carry it. `required`: every link has one;
/// a link of which an end can't carry one is refused. `unique`: the same, and no two links have the same key. What is said of
/// a node counts before what is said of its groups, and that before what is said of the network; of equals the strictest. No
/// key is made or replaced by it: `psk rotate --due` does that.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend psk policy\n  wg-friend psk policy required\n  wg-friend psk policy --every 30d --notice 5d --group staff\n  wg-friend psk policy optional --node fritzbox\n  wg-friend psk policy --on key_rotation,security_event\n  wg-friend psk policy --node fritzbox --inherit"
)]
struct Policy {
    /// Which links carry one: none, optional, required or unique
    mode: Option<PskPolicy>,
    /// For the links of this group's members
    #[arg(long, value_name = "GROUP", conflicts_with = "node")]
    group: Option<String>,
    /// For the links of this node: its name or the beginning of its guid
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// At which age a key is due for another, in whole days, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = days)]
    every: Option<u16>,
    /// How long before that it is told of
    #[arg(long, value_name = "DURATION", value_parser = days_or_none)]
    notice: Option<u16>,
    /// What replaces it or makes it due, with commas: manual (always), time_based, key_rotation, security_event
    #[arg(long, value_name = "TRIGGER", value_delimiter = ',')]
    on: Option<Vec<PskTrigger>>,
    /// Forget first what was said, so that it is inherited again
    #[arg(long)]
    inherit: bool,
}

/// List links and their preshared keys: age, next date, and whether both ends have the present one
///
/// First those whose ends don't both have the present key, then those that are due. Of hosts, what the last confirmed deploy
/// left there counts; of devices, the file that they were given last, and by which way. No key is shown.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend psk status\n  wg-friend psk status hub --json\n  wg-friend psk status --due"
)]
struct Show {
    /// Only the links of these nodes: names or beginnings of guids
    #[arg(value_name = "NAME")]
    nodes: Vec<String>,
    /// Only those that need another key, now or before long; ends with 3 when there are any that need one now
    #[arg(long)]
    due: bool,
}

/// Give links another preshared key
///
/// Both hosts of a link have to get it within a minute, so that the session that runs outlives the change: `--deploy` looks
/// at both first, leaves out links of which one gives no answer, and takes the key back when just one end takes it. Without
/// `--deploy`, `wg-friend deploy` of both hosts in one go brings it. A device gets a new key of its own along with it, so that
/// the file that it has stays good until the next one is used, and `--deploy` tells its hosts of both; where devices are only
/// among many, their links keep theirs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend psk rotate hub office --deploy\n  wg-friend psk rotate hub --reason 'yearly' --deploy\n  wg-friend psk rotate --due --deploy --yes\n  wg-friend psk rotate --all --dry-run\n  wg-friend psk rotate alice-phone --deploy"
)]
struct Rotate {
    /// A node, for all its links, or two nodes, for the link between them
    #[arg(value_name = "NAME", num_args = 0..=2, conflicts_with_all = ["all", "due"], required_unless_present_any = ["all", "due"])]
    nodes: Vec<String>,
    /// All links
    #[arg(long, conflicts_with = "due")]
    all: bool,
    /// Those that are due: without one that is demanded, with one that another link has too, or with one too old
    #[arg(long)]
    due: bool,
    /// Why; stands in the audit log
    #[arg(long, value_name = "TEXT", default_value = "rotated by hand", hide_default_value = true)]
    reason: String,
    /// Bring it to the hosts at once
    #[arg(long)]
    deploy: bool,
    /// Links to devices, too, and at once: from the next deploy on a device is cut off until its new file is used
    #[arg(long)]
    cut_off: bool,
    #[command(flatten)]
    how: How,
}

fn whole_days(text: &str) -> Result<u16, String> {
    const DAY: u64 = 24 * 3600;
    let duration: Duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 90d or 12weeks"))?;
    match (duration.as_secs() % DAY, u16::try_from(duration.as_secs() / DAY)) {
        (0, Ok(days)) if days <= 3650 => Ok(days),
        (0, _) => Err("is more than ten years".to_owned()),
        _ => Err("is not a number of whole days; write it like 90d".to_owned()),
    }
}

fn days(text: &str) -> Result<u16, String> {
    whole_days(text).and_then(|days| if days == 0 { Err("has to be a day at least".to_owned()) } else { Ok(days) })
}

fn days_or_none(text: &str) -> Result<u16, String> {
    if text == "0" { Ok(0) } else { whole_days(text) }
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Policy(args) => of_policy(args, context),
        Command::Status(args) => of_status(&args, context),
        Command::Rotate(args) => of_rotate(*args, context),
    }
}

fn of_policy(args: Policy, context: &Context) -> Result<Exit, Error> {
    let wish = Wish {
        mode: args.mode,
        every_days: args.every,
        notice_days: args.notice,
        on: args.on.map(|on| on.into_iter().collect::<BTreeSet<_>>()),
        inherit: args.inherit,
    };
    let whose = match (args.group, args.node) {
        (Some(group), _) => Whose::Group(group),
        (_, Some(node)) => Whose::Node(node),
        _ => Whose::Network,
    };
    if wish.is_nothing() {
        if whose != Whose::Network {
            return Err(Error::value("MODE", "say what is wanted: a mode, --every, --notice, --on or --inherit"));
        }
        let list = policy::list(&context.open()?)?;
        context.out.show(&list, render_list)?;
        return Ok(Exit::Done);
    }
    let mut store = context.store()?;
    let outcome = policy::set(&mut store, &context.clock, &context.actor(), &whose, &wish, context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

fn render_list(list: &List) -> String {
    let mut table = Table::new(&["FOR", "MODE", "EVERY", "NOTICE", "ON", "LINKS"]);
    let inherited = || Cell::new("inherited", style::DIM);
    let days = |days: Option<u16>| days.map_or_else(inherited, |days| format!("{days} d").into());
    for policy in &list.policies {
        let on = policy.on.as_ref().map(|on| on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        table.row([
            Cell::new(format!("{} {}", policy.scope, policy.name), style::STRONG),
            policy.mode.map_or_else(inherited, Cell::from),
            days(policy.every_days),
            days(policy.notice_days),
            on.map_or_else(inherited, Cell::from),
            policy.links.into(),
        ]);
    }
    table.render()
}

fn of_status(args: &Show, context: &Context) -> Result<Exit, Error> {
    let store = context.store()?;
    let status = status::status(&store, context.clock.now(), &args.nodes, args.due)?;
    let now = context.clock.now();
    context.out.show(&status, |status| render_status(status, args.due, now))?;
    let due = args.due && status.links.iter().any(LinkStatus::is_due);
    Ok(if due { Exit::Differences } else { Exit::Done })
}

fn render_status(status: &Status, only_due: bool, now: DateTime<Utc>) -> String {
    if status.links.is_empty() {
        return match only_due {
            true => paint(style::GOOD, "no preshared key is due") + "\n",
            false => "there are no links\n".to_owned(),
        };
    }
    let mut table = Table::new(&["LINK", "KEY", "NEXT", "POLICY", "HAVE IT"]);
    for link in &status.links {
        let key = match (link.days, link.due) {
            (None, Some(_)) => Cell::new("none", style::BAD),
            (None, None) => Cell::new("none", style::DIM),
            (Some(days), Some(Due::Overdue)) => Cell::new(format!("{days} d"), style::BAD),
            (Some(days), Some(Due::Shared)) => Cell::new(format!("{days} d, shared"), style::BAD),
            (Some(days), Some(_)) => Cell::new(format!("{days} d"), style::WARN),
            (Some(days), None) => format!("{days} d").into(),
        };
        let next = match (link.next, link.due) {
            (_, Some(Due::CannotCarry)) => "can't carry one".to_owned(),
            (_, Some(Due::Missing | Due::Shared)) => "now".to_owned(),
            (Some(next), _) => day(next),
            (None, _) => "by hand".to_owned(),
        };
        let ends: Vec<String> = link.ends.iter().filter_map(end).collect();
        let colour = if link.distributed { style::PLAIN } else { style::WARN };
        table.row([
            Cell::new(link.name(), style::STRONG),
            key,
            next.into(),
            link.policy.into(),
            Cell::new(ends.join(", "), colour),
        ]);
    }
    let mut text = table.render();
    for link in &status.links {
        if let Some(until) = link.holds_until {
            text.push_str(&torn(&link.name(), until, now));
        }
        if !link.shared_with.is_empty() && link.policy == PskPolicy::Unique {
            text.push_str(&format!("{} has the same key as {}\n", link.name(), link.shared_with.join(", ")));
        }
    }
    let open = status.links.iter().filter(|link| !link.distributed).count();
    if open > 0 {
        let links = if open == 1 { "link" } else { "links" };
        let line = format!(
            "\n{open} {links} of which an end doesn't have the present key: `wg-friend deploy`, `wg-friend handouts`\n"
        );
        text.push_str(&paint_code(&line));
    }
    text
}

fn torn(link: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let until = moment(until, now);
    let line = format!(
        "{link}: its ends have different keys, so it holds until {until} at the most: `wg-friend deploy` of both hosts mends it\n"
    );
    paint(style::BAD, paint_code(&line).trim_end()) + "\n"
}

/// Says of a link what is known of it when its keys couldn't all be brought or taken back.
fn in_doubt(one: &Torn, now: DateTime<Utc>) -> String {
    let until = one
        .holds_until
        .map_or_else(String::new, |until| format!(", and then it holds until {} at the most", moment(until, now)));
    let hosts: Vec<&str> = one.hosts.iter().map(|host| host.as_str()).collect();
    let line = format!(
        "{}: its ends may have different keys{until}: `wg-friend deploy {}` gives both the same\n",
        one.link,
        hosts.join(" ")
    );
    paint(style::BAD, paint_code(&line).trim_end()) + "\n"
}

/// Writes a time of day, with its date unless that is today's.
fn moment(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let format = if time.date_naive() == now.date_naive() { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" };
    time.format(format).to_string()
}

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d").to_string()
}

/// Says what an end has and since when; nothing when there is nothing to have.
fn end(end: &End) -> Option<String> {
    let by = || match (end.by, end.since) {
        (Some(by), Some(since)) => format!("{by} {}", day(since)),
        (Some(by), None) => by.to_owned(),
        _ => String::new(),
    };
    let has = match end.has? {
        Has::Present if end.proven => format!("{}, in use", by()),
        Has::Present => by(),
        Has::Another => "another".to_owned(),
        Has::Nothing => "not yet".to_owned(),
        Has::Unknown => "unknown".to_owned(),
    };
    Some(format!("{} ({has})", end.node))
}

fn of_rotate(args: Rotate, context: &Context) -> Result<Exit, Error> {
    let which = match (args.nodes.as_slice(), args.all) {
        (_, true) => Which::All,
        ([one], _) => Which::Of(one.clone()),
        ([one, other], _) => Which::Between(one.clone(), other.clone()),
        _ => Which::Due,
    };
    let request = Request { which, reason: args.reason.clone(), cut_off_devices: args.cut_off };
    let mut store = context.store()?;
    let brings = args.deploy && !context.dry_run;
    if let Some(outcome) = rotate::nothing_due(&store, context.clock.now(), &request.which, context.mode())? {
        let text = || paint(style::GOOD, "no preshared key is due");
        match brings {
            true => context.out.done(&Brought::nothing(outcome), |_| text())?,
            false => context.out.done(&outcome, |_| text())?,
        }
        return Ok(Exit::Done);
    }
    let device = rotate::device(&store, &request.which)?.filter(|_| !args.cut_off);
    if !brings {
        let (clock, actor, mode) = (&context.clock, context.actor(), context.mode());
        let outcome = match &device {
            Some(device) => rotate::rotate_device(&mut store, clock, &actor, device, &args.reason, mode)?,
            None => rotate::rotate(&mut store, clock, &actor, &request, mode)?,
        };
        change::show(context, &outcome)?;
        return Ok(Exit::Done);
    }
    let options = args.how.options(context);
    let fleet = args.how.fleet(context)?;
    let actor = context.actor();
    let with = With { fleet: &fleet, clock: &context.clock, actor: &actor, options: &options, progress: &Silent };
    let line = Line::new(context);
    let looking = With { progress: &line, ..with };
    let ready = match &device {
        Some(device) => carry::prepare_device(&mut store, looking, device, &request.reason)?,
        None => carry::prepare(&mut store, looking, &request)?,
    };
    drop(line);
    ask(&ready, context)?;
    let line = Line::new(context);
    interrupt::watch(options.stop.clone(), line.voice());
    let brought = carry::bring(&mut store, With { progress: &line, ..with }, ready, &request.reason)?;
    drop(line);
    if context.out.is_json() {
        context.out.show(&brought, |_| String::new())?;
    } else {
        change::show_once(context, &brought.rotation)?;
        let text = render_brought(&brought, context.out.verbosity() > 0, context.clock.now());
        context.out.note(text.trim_end());
    }
    Ok(if brought.is_good() { Exit::Done } else { Exit::SomeHosts })
}

/// Says what is going to be done, and asks.
fn ask(ready: &carry::Ready, context: &Context) -> Result<(), Error> {
    for remark in &ready.remarks {
        context.out.note(paint_code(&format!("note: {remark}")));
    }
    if ready.pending > 0 {
        let (changes, are) = if ready.pending == 1 { ("change", "is") } else { ("changes", "are") };
        let hosts: Vec<&str> = ready.hosts.iter().map(|host| host.as_str()).collect();
        context.out.note(paint_code(&format!(
            "note: {} {changes} that {are} open on {} already go along: `wg-friend plan` shows them",
            ready.pending,
            hosts.join(", ")
        )));
    }
    let hosts = if ready.hosts.len() == 1 { "host" } else { "hosts" };
    let links = match ready.links.as_slice() {
        [one] => format!("the link {one}"),
        several => format!("{} links", several.len()),
    };
    context.confirm(&format!("Give {links} another preshared key, on {} {hosts}?", ready.hosts.len()))
}

fn render_brought(brought: &Brought, steps: bool, now: DateTime<Utc>) -> String {
    let mut text = outcomes::table(&brought.hosts, steps);
    let mut say = |colour, links: &[String], what: &str| {
        if !links.is_empty() {
            text.push_str(&format!("{} {}\n", paint(colour, paint_code(what)), links.join(", ")));
        }
    };
    say(style::GOOD, &brought.done, "new preshared key at both ends:");
    say(style::WARN, &brought.left, "keeps its key, a host gave no answer:");
    say(style::WARN, &brought.taken_back, "taken back, both ends have the key of before:");
    say(style::GOOD, &brought.next, "next preshared key known to the host, in use with the next file:");
    say(style::WARN, &brought.untold, "keeps its key until `wg-friend deploy` has told the host of the next one:");
    for one in &brought.torn {
        text.push_str(&in_doubt(one, now));
    }
    let files = &brought.rotation.new_files;
    if !files.is_empty() {
        text.push_str(&format!("needs a new file: {}\n", change::names(files)));
    }
    if let (Some(device), false, true) =
        (brought.rotation.nodes.first(), brought.next.is_empty(), brought.untold.is_empty())
        && brought.rotation.shown_once.is_empty()
    {
        let command = if device.role == Role::Remote { "qr" } else { "generate" };
        let command = paint_code(&format!("`wg-friend {command} {}`", device.name));
        text.push_str(&format!("  {} {command}\n", paint(style::DIM, "next:")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_of_whole_days() {
        assert_eq!((days("90d"), days("2weeks"), days_or_none("0")), (Ok(90), Ok(14), Ok(0)));
        for bad in ["0d", "36h", "11years", "soon", ""] {
            assert!(days(bad).is_err(), "{bad:?}");
        }
    }
    #[test]
    fn a_moment_has_its_date_unless_that_is_today() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        assert_eq!(moment(now, now), "22:13:20 UTC");
        assert_eq!(moment(now - chrono::TimeDelta::days(1), now), "2023-11-13 22:13:20 UTC");
    }
}
