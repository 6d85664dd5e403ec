//! `generate`: the files of nodes, for people who bring them to their machines by hand.

use std::path::PathBuf;

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit, handouts};
use crate::ops::Error;
use crate::ops::network::generate::{self, Made, Report, Request, State};
use crate::ops::network::guide;
use crate::render::guide::Platform;

/// Make the config files of nodes, to be put on their machines by hand
///
/// A node with one file gets NAME.conf, a node with several a folder of its own, to be copied to /etc/wireguard there.
/// Files hold private keys: they are readable by you alone. Nodes whose private key isn't kept here are left out, unless
/// they are named; their files then say where the key goes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend generate --dir configs         every node\n  wg-friend generate alice-laptop          to the terminal\n  wg-friend generate hub --diff            what changed since it was last generated\n  wg-friend generate alice-phone --guide android --dir handout"
)]
pub(super) struct Args {
    /// The nodes: names or beginnings of guids; none means all
    #[arg(value_name = "NAME")]
    nodes: Vec<String>,
    /// The directory to write to
    #[arg(long, short, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Show what differs from the files generated last, keys hidden; without --dir nothing is generated
    #[arg(long)]
    diff: bool,
    /// A step-by-step guide for the owner of a remote, with its config and code: windows, macos, linux, android or ios
    /// [default: those that such a device may have]
    #[arg(long, value_name = "PLATFORM", num_args = 0..=1, conflicts_with = "diff")]
    guide: Option<Option<Platform>>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if let Some(platform) = args.guide {
        return write_guide(args.nodes, args.dir, platform, context);
    }
    let looks = args.diff || context.dry_run;
    if args.nodes.is_empty() && args.dir.is_none() && !looks {
        return Err(Error::Value {
            what: "generate".into(),
            reason: "the files of all nodes have to go somewhere".into(),
            hint: Some("give --dir DIR, or name the nodes whose files are to be printed".into()),
        });
    }
    if context.out.is_json() && args.dir.is_none() && !looks {
        return Err(Error::Value {
            what: "--json".into(),
            reason: "a report holds no keys, so the files have to go somewhere".into(),
            hint: Some("give --dir DIR, or leave --json away to print the files".into()),
        });
    }
    let mut store = context.store()?;
    let to_stdout = args.dir.is_none() && !looks;
    let request = Request { nodes: args.nodes, directory: args.dir, compare: args.diff, preview: context.dry_run };
    let report = generate::generate(&mut store, &context.clock, &context.actor(), &request)?;
    if to_stdout {
        print(context, &report)?;
    } else {
        context.out.show(&report, |report| render(report, request.compare))?;
    }
    if !context.out.is_json() {
        remarks(context, &report, request.directory.as_ref());
    }
    Ok(Exit::Done)
}

/// Writes the guide for one remote; without a directory its Markdown is printed.
fn write_guide(
    nodes: Vec<String>,
    directory: Option<PathBuf>,
    platform: Option<Platform>,
    context: &Context,
) -> Result<Exit, Error> {
    let [node] = <[String; 1]>::try_from(nodes).map_err(|_| Error::Value {
        what: "--guide".into(),
        reason: "a guide is for one remote".into(),
        hint: Some("name it: `wg-friend generate alice-phone --guide --dir handout`".into()),
    })?;
    let to_stdout = directory.is_none() && !context.dry_run;
    if context.out.is_json() && to_stdout {
        return Err(Error::Value {
            what: "--json".into(),
            reason: "a report holds no keys, so the guide has to go somewhere".into(),
            hint: Some("give --dir DIR, or leave --json away to print it".into()),
        });
    }
    let mut store = context.store()?;
    let request = guide::Request { node, platform, directory, preview: context.dry_run };
    let report = guide::write(&mut store, &context.clock, &context.actor(), &request)?;
    if to_stdout {
        context.out.raw(report.files[0].content.as_bytes())?;
        handouts::untold(&report.untold, context);
        return Ok(Exit::Done);
    }
    context.out.show(&report, |report| {
        let place = |file: &guide::Made| {
            file.path.as_ref().map_or_else(|| file.file.clone(), |path| path.display().to_string())
        };
        report.files.iter().map(|file| format!("{}\n", place(file))).collect()
    })?;
    if !context.out.is_json() {
        context.out.note(match report.saved {
            true => "for the owner of the device, and nobody else: the key is in each of them".to_owned(),
            false => paint(style::WARN, "dry run: nothing was written"),
        });
        handouts::untold(&report.untold, context);
    }
    Ok(Exit::Done)
}

/// Prints the files themselves; several are told apart by a line before each.
fn print(context: &Context, report: &Report) -> Result<(), Error> {
    for (at, file) in report.files.iter().enumerate() {
        if report.files.len() > 1 {
            let blank = if at > 0 { "\n" } else { "" };
            context.out.raw(format!("{blank}# ==> {} <==\n", file.file).as_bytes())?;
        }
        context.out.raw(file.content.as_bytes())?;
    }
    Ok(())
}

fn render(report: &Report, with_diffs: bool) -> String {
    let mut table = Table::new(&["FILE", "", "NODE"]);
    for file in &report.files {
        let (word, colour) = match file.state {
            State::New => ("new", style::GOOD),
            State::Changed => ("changed", style::WARN),
            State::Unchanged => ("unchanged", style::DIM),
        };
        let place = file.path.as_ref().map_or_else(|| file.file.clone(), |path| path.display().to_string());
        table.row([place.into(), Cell::new(word, colour), (&file.node).into()]);
    }
    let mut text = if table.is_empty() { String::new() } else { table.render() };
    if with_diffs {
        text.extend(report.files.iter().filter(|file| file.state != State::Unchanged).map(difference));
    }
    text
}

fn difference(file: &Made) -> String {
    let diff = file.diff.as_deref().unwrap_or_default();
    if diff.is_empty() {
        return format!("\n{} only keys differ\n", paint(style::STRONG, format!("{}:", file.file)));
    }
    let line = |line: &str| {
        let colour = match line.as_bytes().first() {
            _ if line.starts_with("---") || line.starts_with("+++") => style::STRONG,
            Some(b'+') => style::GOOD,
            Some(b'-') => style::BAD,
            Some(b'@') => style::DIM,
            _ => style::PLAIN,
        };
        format!("{}\n", paint(colour, line))
    };
    std::iter::once("\n".to_owned()).chain(diff.lines().map(line)).collect()
}

fn remarks(context: &Context, report: &Report, directory: Option<&PathBuf>) {
    for skipped in &report.skipped {
        context.out.note(paint(style::DIM, format!("skipped {}: it {}", skipped.node, skipped.reason)));
    }
    for file in report.files.iter().filter(|file| file.without_key) {
        context.out.warn(format!("`{}` has no private key: its owner has to put it in", file.file));
    }
    match directory {
        Some(_) if !report.saved => context.out.note(paint(style::WARN, "dry run: nothing was written")),
        Some(directory) => {
            let count = report.files.len();
            let files = if count == 1 { "file" } else { "files" };
            context.out.note(format!("{count} {files} in {}, readable by you alone", directory.display()));
        }
        None => {}
    }
    handouts::untold(&report.untold, context);
}
