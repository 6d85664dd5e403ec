//! `rotate`: a new key for a node.

use chrono::{DateTime, Utc};

use super::output::{paint, paint_code, style};
use super::progress::Line;
use super::status::duration;
use super::{Context, Exit, change, drift};
use crate::model::{Name, Port, PublicKey};
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::interface::key;
use crate::ops::network::change::Mode;
use crate::ops::network::find;
use crate::ops::network::rotate::{self, Rotation};
use crate::ops::revision;
use crate::ops::rotation::overlap::finish;
use crate::ops::rotation::status::{AtPeer, InOverlap, Knows, Rotating, Status, Waiting, status};
use crate::ops::rotation::withdraw::withdraw;

/// Give nodes a new key; the old one is kept in its history, with the reason
///
/// Nobody loses a packet where hosts are at the other end: they learn the next key first and go by the present one until the
/// next is used. A host gets its own in the same `deploy`, after those; a device keeps working on its present key until it
/// has its new file, whenever that is. `--status` says who is on which key. A lost device is shut out with --now.
///
/// A server that devices dial is dialled by both keys for a while, the next one at another UDP port: each device moves when it
/// has its new file, and the present key ends when the last one has moved, at --until, or with --finish.
///
/// A node known only by its public key gets a private key of its own and from then on a config. A host that keeps its key
/// makes the new one itself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend rotate office --reason 'yearly'\n  wg-friend rotate alice-phone bob-laptop\n  wg-friend rotate --status\n  wg-friend rotate alice-phone --abort\n  wg-friend rotate alice-phone --now --reason 'phone lost'\n  wg-friend rotate hub --until 60d\n  wg-friend rotate nas --public-key Y5a...= --reason 'reinstalled'"
)]
pub(super) struct Args {
    /// The nodes: names or the beginnings of their guids
    #[arg(value_name = "NAME", required_unless_present = "status")]
    nodes: Vec<String>,
    /// Why; is kept with the old key
    #[arg(long, value_name = "TEXT", default_value = "rotated by hand", hide_default_value = true)]
    reason: String,
    /// The new public key, for a device that makes its keys itself
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// Shut the present key out with the next deploy, used or not: the device is lost or in other hands
    #[arg(long)]
    now: bool,
    /// Say who is on which key, and what rotations wait for
    #[arg(long, conflicts_with_all = ["now", "reason", "public_key", "abort"])]
    status: bool,
    /// Withdraw next keys that nobody has used yet: the present ones stay. Asks first when a file with one was handed out
    #[arg(long, conflicts_with_all = ["now", "reason", "public_key"])]
    abort: bool,
    /// UDP port of the next key of a server that devices dial: open it, or forward it to the host [default: the next free one]
    #[arg(long, value_name = "PORT", conflicts_with_all = ["now", "status", "abort"])]
    port: Option<Port>,
    /// When the present key of such a server ends, whoever still goes by it: 2026-12-31, '2026-12-31 18:00', or 60d
    #[arg(long, value_name = "TIME", conflicts_with_all = ["now", "status", "abort"])]
    until: Option<String>,
    /// End the present key of such a server with the next deploy: who still goes by it is cut off until he has his new file
    #[arg(long, conflicts_with_all = ["now", "reason", "public_key", "status", "abort", "port", "until"])]
    finish: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if args.status {
        return show_status(&args, context);
    }
    if args.abort {
        return abort(&args, context);
    }
    if args.finish {
        return end_overlap(&args, context);
    }
    let until = args.until.as_deref().map(|text| drift::moment(text, context.clock.now())).transpose()?;
    let public_key: Option<PublicKey> = args
        .public_key
        .as_deref()
        .map(|text| text.trim().parse().map_err(|e| Error::value("--public-key", e)))
        .transpose()?;
    if public_key.is_some() && args.nodes.len() > 1 {
        return Err(Error::value("--public-key", "one key is for one node: name one"));
    }
    let mut store = context.store()?;
    let (actor, mode) = (context.actor(), context.mode());
    let topology = store.topology()?;
    let nodes = args.nodes.iter().map(|name| find::node(&topology, name)).collect::<Result<Vec<_>, _>>()?;
    for node in nodes {
        let request = Rotation {
            node: node.name.to_string(),
            reason: args.reason.clone(),
            public_key,
            now: args.now,
            preshared: false,
            port: args.port,
            until,
        };
        let outcome = match public_key.is_none() && key::has_key_on_host(node) {
            true => key::rotate(&mut store, &context.fleet(None)?, &context.clock, &actor, &request, mode)?,
            false => rotate::rotate(&mut store, &context.clock, &actor, &request, mode)?,
        };
        change::show(context, &outcome)?;
    }
    Ok(Exit::Done)
}

fn abort(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (mut store, fleet, parallel) = (context.store()?, context.fleet(None)?, context.settings.parallel);
    let topology = store.topology()?;
    for name in &args.nodes {
        let handed_out = revision::with_next_key(&store, find::node(&topology, name)?)?.is_some();
        let mut withdraw = |mode| {
            let line = Line::new(context);
            withdraw(&mut store, &fleet, &context.clock, &context.actor(), name, mode, parallel, &line)
        };
        if handed_out {
            let question = format!("Withdraw the next key of {name} all the same?");
            change::preview_and_confirm(context, &question, || withdraw(Mode::Preview))?;
        }
        change::show(context, &withdraw(context.mode())?)?;
    }
    Ok(Exit::Done)
}

fn end_overlap(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (mut store, fleet, parallel) = (context.store()?, context.fleet(None)?, context.settings.parallel);
    for name in &args.nodes {
        let line = Line::new(context);
        let outcome =
            finish(&mut store, &fleet, &context.clock, &context.actor(), name, context.mode(), parallel, &line)?;
        drop(line);
        change::show(context, &outcome)?;
    }
    Ok(Exit::Done)
}

fn show_status(args: &Args, context: &Context) -> Result<Exit, Error> {
    let (mut store, fleet) = (context.store()?, context.fleet(None)?);
    let topology = store.topology()?;
    let only = args.nodes.iter().map(|name| find::node(&topology, name).map(|node| node.name.clone()));
    let only: Vec<Name> = only.collect::<Result<_, _>>()?;
    let line = Line::new(context);
    let parallel = context.settings.parallel;
    let found = status(&mut store, &fleet, &context.clock, &context.actor(), &only, parallel, &line)?;
    drop(line);
    let now = context.clock.now();
    context.out.show(&found, |found| render(found, now))?;
    let silent = found.rotations.iter().flat_map(|rotation| &rotation.peers).any(|peer| peer.knows.is_none());
    Ok(if silent { Exit::SomeHosts } else { Exit::Done })
}

fn render(found: &Status, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    for settled in &found.settled {
        let (mark, node) = (paint(style::GOOD, "✓"), paint(style::STRONG, &settled.node));
        text.push_str(&format!("{mark} {node} uses its next key: seen by {}\n", settled.seen_by));
    }
    if !found.settled.is_empty() {
        text.push_str(&format!(
            "  {} {}\n",
            paint(style::DIM, "next:"),
            paint_code("`wg-friend deploy` removes the keys before")
        ));
    }
    if found.rotations.is_empty() && found.settled.is_empty() {
        return "every node is on its present key: no rotation is under way\n".to_owned();
    }
    let width = found.rotations.iter().map(|rotation| rotation.node.as_str().len()).max().unwrap_or(0);
    for rotation in &found.rotations {
        let age = duration((now - rotation.since).num_seconds());
        let keys = format!("{} → {}", rotation.present.short(), rotation.next.short());
        let name = format!("{:width$}", rotation.node.as_str());
        text.push_str(&format!(
            "{}  {keys}  {}\n",
            paint(style::STRONG, name),
            paint(style::DIM, format!("staged {age} ago"))
        ));
        for peer in &rotation.peers {
            text.push_str(&format!("{:width$}  {}\n", "", at_peer(peer)));
        }
        for line in rotation.overlap.iter().flat_map(in_overlap) {
            text.push_str(&format!("{:width$}  {line}\n", ""));
        }
        text.push_str(&format!("{:width$}  {} {}\n", "", paint(style::DIM, "waits for"), waits_for(rotation)));
    }
    text
}

/// How many names stand in a line.
const NAMED: usize = 8;

fn in_overlap(overlap: &InOverlap) -> Vec<String> {
    let from = overlap.from_port.map_or_else(|| "?".to_owned(), |port| port.to_string());
    let ends = match (overlap.over, overlap.until) {
        (true, _) => "the present key ends with the next deploy".to_owned(),
        (false, None) => "the present key ends when all have moved".to_owned(),
        (false, Some(until)) => {
            format!("the present key ends when all have moved, or on {}", until.format("%Y-%m-%d %H:%M UTC"))
        }
    };
    let mut lines = vec![paint(style::DIM, format!("UDP port {from} → {}; {ends}", overlap.to_port))];
    for (moved, mark, look, words) in
        [(true, "●", style::GOOD, "dialled by the next key"), (false, "○", style::WARN, "dialled by the present key")]
    {
        let names: Vec<&str> =
            overlap.peers.iter().flatten().filter(|peer| peer.moved == moved).map(|peer| peer.node.as_str()).collect();
        if !names.is_empty() {
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let shown = names[..names.len().min(NAMED)].join(", ");
            lines.push(format!("{} {words} by {}: {shown}{more}", paint(look, mark), names.len()));
        }
    }
    lines
}

fn at_peer(peer: &AtPeer) -> String {
    match peer.knows {
        None => format!("{} {} gave no answer", paint(style::BAD, "!"), peer.host),
        Some(Knows::Present) => format!("{} {} knows the present key only", paint(style::WARN, "○"), peer.host),
        Some(Knows::Both) => format!("{} {} knows both; the present one is in use", paint(style::WARN, "◐"), peer.host),
        Some(Knows::Next) => format!("{} {} goes by the next key", paint(style::GOOD, "●"), peer.host),
    }
}

fn waits_for(rotation: &Rotating) -> String {
    let name = &rotation.node;
    match rotation.waits_for {
        Waiting::Deploy => paint_code("`wg-friend deploy`"),
        Waiting::NewFile => paint_code(&format!("its new file on the device: `wg-friend qr {name}`")),
        Waiting::Device => "the device, which has its new file".to_owned(),
        Waiting::Devices => {
            "devices that take their new files, or ".to_owned()
                + &paint_code(&format!("`wg-friend rotate {name} --finish`"))
        }
    }
}
