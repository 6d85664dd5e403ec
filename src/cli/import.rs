//! `import`: networks that run already.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit, init, list, vault};
use crate::db::Store;
use crate::fleet::RealFleet;
use crate::model::{Become, Host, HostAddress, InterfaceName, Name, PublicKey, Role, Severity};
use crate::ops::Error;
use crate::ops::import::foreign::{self, Format};
use crate::ops::import::prepare::{Prepared, Request, prepare};
use crate::ops::import::read::{Refused, Words};
use crate::ops::import::review::{Review, State};
use crate::ops::import::save::{Saved, save};
use crate::ops::import::{live, sources};
use crate::ops::network::{find, init as ops_init};
use crate::ops::safety::unlock;
use crate::settings::KdfProfile;
use crate::wg::config::Mode;

/// Adopt a network that runs already, from files or from running hosts
///
/// Reads wg-quick files, folders of them, what other tools keep, and hosts over SSH. Shows who is taken for what and why,
/// and asks before anything is saved. What comes in goes out: comments, order, hooks and unknown keys stay as they are,
/// and a file in which nothing was changed comes back byte for byte. Files and hosts are only read. More can be imported
/// later, in any order.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend import /etc/wireguard\n  wg-friend import server.conf alice.conf bob.conf --dry-run\n  wg-friend import --host root@vpn.example.com --host root@office\n  wg-friend import wg0.json\n  wg-friend import hub.conf --as hub.conf=server --yes\n  wg-friend import --format list"
)]
pub(super) struct Args {
    /// Files or folders; `-` reads a wg-quick file from standard input
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Read a running host: the name of one, or [user@]host[:port], an alias of ssh_config, or `local`
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Of running hosts, only interfaces with this name [default: all that have a file]
    #[arg(long = "interface", value_name = "NAME", requires = "hosts")]
    interfaces: Vec<InterfaceName>,
    /// How commands become root on hosts that are new: auto, root or sudo
    #[arg(long = "become", value_name = "HOW", default_value = "auto")]
    becoming: Become,
    /// What the files are, when it isn't recognised; `list` shows what can be read
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// What a file's own node is: server, router, exit or remote
    #[arg(long = "as", value_name = "FILE=ROLE")]
    roles: Vec<String>,
    /// The public key of a file that has no private key
    #[arg(long = "public-key", value_name = "FILE=KEY")]
    public_keys: Vec<String>,
    /// The passphrase of another tool's database whose keys are encrypted; the file's first line counts
    #[arg(long, value_name = "FILE")]
    their_passphrase_file: Option<PathBuf>,
    /// What to call the network, when it is new
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// Refuse keys that wg and wg-quick don't know
    #[arg(long, conflicts_with = "lenient")]
    strict: bool,
    /// Take what wg would refuse where its meaning is plain, and leave out keys that it doesn't know, with a remark on each
    #[arg(long)]
    lenient: bool,
    /// How costly trying the passphrase of a new database is: standard (1 GiB of memory) or light (64 MiB)
    #[arg(long, value_name = "PROFILE")]
    kdf: Option<KdfProfile>,
    /// Don't encrypt a new database: whoever has the file has every private key
    #[arg(long, conflicts_with = "kdf")]
    no_encryption: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    review: &'a Review,
    /// Whether it was saved.
    saved: Option<&'a Saved>,
    /// The recovery key of a database that was made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_key: Option<&'a str>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if args.format.as_deref() == Some("list") {
        return formats(context);
    }
    let store = if context.database.exists() { Some(context.store()?) } else { None };
    if args.no_encryption && store.is_some() {
        return Err(Error::value("--no-encryption", "the database is there already; this is for a new one"));
    }
    init::refuse_passphrase(args.no_encryption, context)?;
    let request = request(&args, store.as_ref(), context)?;
    let prepared = prepare(store.as_ref(), request, crate::ops::clock::Clock::now(&context.clock))?;
    let review = prepared.review();
    let all = context.out.verbosity() > 0;
    if context.dry_run {
        context.out.show(&Report { review: &review, saved: None, recovery_key: None }, |r| render(r.review, all))?;
        context.out.note(paint(style::WARN, "dry run: nothing was changed"));
        return Ok(Exit::Done);
    }
    if !context.out.is_json() {
        context.out.text(&render(&review, all))?;
    }
    if review.is_empty() {
        let saved = Saved::default();
        let report = Report { review: &review, saved: Some(&saved), recovery_key: None };
        if context.out.is_json() {
            context.out.show(&report, |_| String::new())?;
        }
        return Ok(ending(&review));
    }
    let question = if store.is_some() { "Import this?" } else { "Make this network?" };
    context.confirm(question)?;
    carry_out(&args, store, &prepared, &review, context)
}

fn carry_out(
    args: &Args,
    store: Option<Store>,
    prepared: &Prepared,
    review: &Review,
    context: &Context,
) -> Result<Exit, Error> {
    let actor = context.actor();
    let made = store.is_none();
    let (saved, recovery) = match store {
        Some(mut store) => (save(&mut store, &context.clock, &actor, prepared)?, None),
        None => {
            let protection = init::protection(args.no_encryption, args.kdf, context)?;
            let network = prepared.joined.topology.network.clone();
            let request = ops_init::Request { network, server: None, protection };
            let (saved, recovery) = ops_init::fill(&context.database, request, &actor, &context.clock, |store| {
                save(store, &context.clock, &actor, prepared)
            })?;
            (saved, recovery)
        }
    };
    let recovery = recovery.map(|key| key.expose());
    if context.out.is_json() {
        let report = Report { review, saved: Some(&saved), recovery_key: recovery.as_deref().map(String::as_str) };
        context.out.show(&report, |_| String::new())?;
    } else {
        if made {
            context.out.note(format!("  {} {}", paint(style::DIM, "database:"), context.database.display()));
        }
        if let Some(recovery) = &recovery {
            context.out.text(&vault::recovery(recovery))?;
        }
        context.out.note(outcome(&saved).trim_end());
    }
    if made && args.no_encryption {
        vault::warn_unencrypted(context);
    }
    Ok(ending(review))
}

/// What could be read is imported; that some of it couldn't shows in the exit code.
fn ending(review: &Review) -> Exit {
    if review.refused.is_empty() { Exit::Done } else { Exit::Incomplete }
}

fn request(args: &Args, store: Option<&Store>, context: &Context) -> Result<Request, Error> {
    let format = args.format.as_deref().map(|name| name.parse::<Format>().map_err(|e| Error::value("--format", e)));
    let mode = match (args.strict, args.lenient) {
        (true, _) => Mode::Strict,
        (_, true) => Mode::Lenient,
        _ => Mode::Keep,
    };
    let passphrase = args.their_passphrase_file.as_deref().map(unlock::first_line).transpose()?;
    let options = foreign::Options { passphrase };
    let words = Words {
        format: format.transpose()?,
        options,
        mode,
        roles: pairs::<Role>("--as", &args.roles)?,
        public_keys: pairs::<PublicKey>("--public-key", &args.public_keys)?,
    };
    let hosts = args.hosts.iter().map(|text| host(text, args.becoming, store)).collect::<Result<Vec<_>, _>>()?;
    let mut surveyed = Vec::new();
    if !hosts.is_empty() {
        let fleet = RealFleet::new()?;
        let found = crate::ops::parallel::each(hosts, context.settings.parallel, |host| live::survey(&fleet, host));
        surveyed = found.into_iter().collect::<Result<_, _>>()?;
    }
    let (sources, interfaces, network) = (sources::collect(&args.paths)?, args.interfaces.clone(), args.name.clone());
    Ok(Request { sources, hosts: surveyed, interfaces, words, network })
}

/// Reads `FILE=VALUE` words.
fn pairs<T: std::str::FromStr<Err: ToString>>(
    flag: &'static str,
    words: &[String],
) -> Result<BTreeMap<String, T>, Error> {
    // A key ends with `=` itself: the file is what stands before the first one.
    let pair = |word: &String| {
        let (file, value) = word.split_once('=').ok_or_else(|| Error::value(flag, "expected FILE=VALUE"))?;
        let value = value.parse::<T>().map_err(|e| Error::value(flag, e.to_string()))?;
        Ok((file.to_owned(), value))
    };
    words.iter().map(pair).collect()
}

/// Returns the host with a name, or one that is to be added.
fn host(text: &str, becoming: Become, store: Option<&Store>) -> Result<Host, Error> {
    if let Some(store) = store
        && let Ok(known) = find::host(&store.topology()?, text)
    {
        return Ok(known.clone());
    }
    let address: HostAddress = text.parse().map_err(|e| Error::value("--host", e))?;
    let called = match &address {
        HostAddress::Local => "local".to_owned(),
        HostAddress::Ssh { destination, .. } => destination.clone(),
    };
    let first = if called.parse::<std::net::IpAddr>().is_ok() {
        called.as_str()
    } else {
        called.split('.').next().unwrap_or(&called)
    };
    let plain: String = first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = plain.trim_matches('-').parse().map_err(|e| Error::value("--host", e))?;
    Ok(Host::new(name, address, becoming))
}

fn formats(context: &Context) -> Result<Exit, Error> {
    context.out.show(&foreign::formats(), |formats| {
        let mut table = Table::new(&["FORMAT", "WHAT", "EXAMPLE"]);
        let wg_quick = ("wg-quick", "files of wg-quick(8), the default", "wg-friend import /etc/wireguard");
        let all = formats.iter().map(|f| (f.name, f.what, f.example));
        for (name, what, example) in std::iter::once(wg_quick).chain(all) {
            table.row([Cell::new(name, style::STRONG), Cell::new(what, style::PLAIN), Cell::new(example, style::CODE)]);
        }
        table.render()
    })?;
    Ok(Exit::Done)
}

fn render(review: &Review, all: bool) -> String {
    let prefixes: Vec<String> = review.prefixes.iter().map(ToString::to_string).collect();
    let kind = if review.new { "a new network" } else { "the network" };
    let mut text = format!("{kind} {}  {}\n\n", paint(style::STRONG, &review.network), prefixes.join("  "));
    if review.is_empty() {
        text.push_str("nothing about it is new\n");
    } else {
        text.push_str(&nodes(review));
        text.push_str(&legend(review));
    }
    section(&mut text, "taken for it because", &reasons(review, all));
    let told: Vec<String> =
        review.findings.iter().map(|told| format!("{} {}", mark(told.severity), told.text)).collect();
    section(&mut text, "what to know about it", &told);
    let remarks: Vec<String> = review.remarks.iter().map(|r| with_source(&r.about, &r.text)).collect();
    section(&mut text, "remarks", &remarks);
    let refused: Vec<String> = review.refused.iter().map(Refused::in_words).collect();
    section(&mut text, &paint(style::BAD, "not imported"), &refused);
    text.push('\n');
    text
}

fn nodes(review: &Review) -> String {
    let mut table = Table::new(&["", "NAME", "ROLE", "ADDRESS", "ENDPOINT", "LANS", "ACCESS", "EXIT", "", "FROM"]);
    for node in review.nodes.iter().filter(|node| node.state != State::Known) {
        let (mark, look) = match node.state {
            State::New => ("+", style::GOOD),
            State::Provisional => ("?", style::WARN),
            State::Updated | State::Known => ("~", style::WARN),
        };
        let addresses: Vec<String> = node.addresses.iter().map(|cidr| cidr.net().addr().to_string()).collect();
        let lans: Vec<String> = node.lans.iter().map(ToString::to_string).collect();
        let access = if node.role == Role::Remote { list::hyphenated(node.access) } else { String::new() };
        let text = |text: String| Cell::new(text, style::PLAIN);
        table.row([
            Cell::new(mark, look),
            Cell::new(&node.name, style::STRONG),
            text(node.role.to_string()),
            text(addresses.join(" ")),
            text(node.endpoint.as_ref().map(ToString::to_string).unwrap_or_default()),
            text(lans.join(" ")),
            text(access),
            text(node.exit.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::new(if node.disabled { "off" } else { "" }, style::WARN),
            Cell::new(node.source.as_deref().map_or("its peers only", last_part), style::DIM),
        ]);
    }
    table.render()
}

/// Why nodes are taken for what they are: of those that weren't told what they are, and of remotes only when asked for.
fn reasons(review: &Review, all: bool) -> Vec<String> {
    let new = review.nodes.iter().filter(|node| node.state != State::Known && !node.because.is_empty());
    let shown: Vec<_> = new.filter(|node| all || node.role != Role::Remote).collect();
    let width = shown.iter().map(|node| node.name.as_str().len()).max().unwrap_or(0);
    shown.iter().map(|node| format!("{:width$}  {}: {}", node.name, node.role, node.because)).collect()
}

/// Returns the file's name of a path; the path itself is in `--json` and in what is said about the file.
fn last_part(source: &str) -> &str {
    source.rsplit('/').next().unwrap_or(source)
}

/// A text that names its source anyway isn't told it twice.
fn with_source(source: &str, text: &str) -> String {
    if text.starts_with(source) { text.to_owned() } else { format!("{source}: {text}") }
}

fn mark(severity: Severity) -> String {
    match severity {
        Severity::Info => paint(style::DIM, "·"),
        Severity::Warning => paint(style::WARN, "!"),
        Severity::Critical => paint(style::BAD, "!"),
    }
}

fn legend(review: &Review) -> String {
    let count = |state| review.nodes.iter().filter(|node| node.state == state).count();
    let states = [State::New, State::Provisional, State::Updated, State::Known];
    let counts: Vec<String> =
        states.into_iter().filter(|s| count(*s) > 0).map(|s| format!("{} {}", count(s), s.as_str())).collect();
    format!("{}\n", paint(style::DIM, counts.join(" · ")))
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    for line in lines {
        text.push_str(&format!("  {}\n", line.trim_end().replace('\n', "\n  ")));
    }
}

fn outcome(saved: &Saved) -> String {
    let plural = |n: usize| if n == 1 { "node" } else { "nodes" };
    let mut text = format!(
        "{} imported: {} {} added, {} updated\n",
        paint(style::GOOD, "+"),
        saved.added.len(),
        plural(saved.added.len()),
        saved.updated.len()
    );
    for remark in saved.kept.iter().chain(&saved.differing) {
        text.push_str(&format!("{} {}: {}\n", paint(style::WARN, "!"), remark.about, remark.text));
    }
    text
}
