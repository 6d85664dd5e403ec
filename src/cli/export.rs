//! `export`: nodes' configurations in the words of other systems.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit, handouts};
use crate::model::InterfaceName;
use crate::ops::Error;
use crate::ops::network::export::{self, Report, Request, To};
use crate::wg::formats::{Ability, Feature, Format, abilities};

/// Write the configuration of nodes for another system: networkd, NetworkManager, routers, firewalls, apps
///
/// What the other system can't express is an error that names the ways out; --without leaves it out knowingly. Files hold
/// private keys: they are readable by you alone. `--format list` shows the formats and what each lacks.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend export --format list\n  wg-friend export alice-laptop --format networkmanager --out laptop\n  wg-friend export branch --format routeros --without hooks --out -\n  wg-friend export alice-phone bob-phone --format android --zip --out phones.zip"
)]
pub(super) struct Args {
    /// The nodes: names or beginnings of guids
    #[arg(value_name = "NAME")]
    nodes: Vec<String>,
    /// The system: a word of `--format list`
    #[arg(long, short, value_name = "FORMAT")]
    format: String,
    /// Where to: a file, a directory for several, or - for standard output
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Put everything into one zip archive, named by --out
    #[arg(long, requires = "out")]
    zip: bool,
    /// Leave out what the system can't express
    #[arg(long, value_name = "THINGS", value_delimiter = ',')]
    without: Vec<Feature>,
    /// Only this interface of the node
    #[arg(long, value_name = "INTERFACE")]
    interface: Option<InterfaceName>,
    /// What the tunnel is called there [default: the interface's name; in apps the node's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// For Windows: split default routes, so that the app doesn't block everything outside the tunnel
    #[arg(long)]
    no_kill_switch: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if args.format == "list" {
        context.out.show(&abilities(), |list| table(list))?;
        return Ok(Exit::Done);
    }
    let format: Format = args.format.parse().map_err(|reason| Error::Value {
        what: "--format".into(),
        reason,
        hint: Some("`wg-friend export --format list` shows what each is for".into()),
    })?;
    if args.nodes.is_empty() {
        return Err(Error::Value {
            what: "export".into(),
            reason: "it takes the names of nodes".into(),
            hint: Some("`wg-friend list` shows them".into()),
        });
    }
    if args.no_kill_switch && format != Format::Windows {
        return Err(Error::Value {
            what: "--no-kill-switch".into(),
            reason: "only the app on Windows has one".into(),
            hint: None,
        });
    }
    let to_stdout = args.out.as_ref().is_none_or(|path| path.as_os_str() == "-");
    if context.out.is_json() && to_stdout && !context.dry_run {
        return Err(Error::Value {
            what: "--json".into(),
            reason: "a report holds no keys, so the files have to go somewhere".into(),
            hint: Some("give --out PATH, or leave --json away to print the files".into()),
        });
    }
    let to = match args.out {
        Some(path) if !to_stdout && args.zip => To::Zip(path),
        Some(path) if !to_stdout => To::Path(path),
        _ => To::Memory,
    };
    let request = Request {
        nodes: args.nodes,
        format,
        interface: args.interface,
        name: args.name,
        without: args.without.into_iter().collect::<BTreeSet<_>>(),
        halve_default: args.no_kill_switch,
        to,
        archive: args.zip,
        preview: context.dry_run,
    };
    let mut store = context.store()?;
    let report = export::export(&mut store, &context.clock, &context.actor(), &request)?;
    if to_stdout && !context.dry_run {
        print(context, &report)?;
    } else {
        context.out.show(&report, render)?;
    }
    if !context.out.is_json() {
        remarks(context, &report);
    }
    Ok(Exit::Done)
}

/// Prints the files themselves; several are told apart by a line before each.
fn print(context: &Context, report: &Report) -> Result<(), Error> {
    if let Some(bytes) = &report.zipped {
        return context.out.raw(bytes);
    }
    for (at, file) in report.files.iter().enumerate() {
        if report.files.len() > 1 {
            let blank = if at > 0 { "\n" } else { "" };
            context.out.raw(format!("{blank}# ==> {} <==\n", file.file).as_bytes())?;
        }
        context.out.raw(file.content.as_bytes())?;
    }
    Ok(())
}

fn render(report: &Report) -> String {
    let mut table = Table::new(&["FILE", "NODE", "GOES TO", "MODE", "OWNER"]);
    for file in &report.files {
        let path = file.path.as_ref().map_or_else(|| file.file.clone(), |path| path.display().to_string());
        let place = if file.place.is_empty() { "is imported" } else { &file.place };
        let owner = if file.owner.is_empty() { "-" } else { file.owner };
        table.row([path.into(), (&file.node).into(), place.into(), (&file.mode).into(), owner.into()]);
    }
    table.render()
}

fn remarks(context: &Context, report: &Report) {
    for gone in &report.left_out {
        context.out.warn(format!("left out of {} on `{}`: {}", gone.interface, gone.node, gone.what.what));
    }
    for note in &report.notes {
        context.out.note(paint(style::DIM, format!("- {note}")));
    }
    match &report.archive {
        Some(path) => {
            let count = report.files.len();
            let files = if count == 1 { "file" } else { "files" };
            context.out.note(format!("{count} {files} in {}, readable by you alone", path.display()));
        }
        None if !report.saved => context.out.note(paint(style::WARN, "dry run: nothing was written")),
        None => {}
    }
    handouts::untold(&report.untold, context);
}

fn table(list: &[Ability]) -> String {
    let mut table = Table::new(&["FORMAT", "FOR", "READ TOO", "CAN'T EXPRESS"]);
    for ability in list {
        let lacks: Vec<&str> = ability.lacks.iter().map(|feature| feature.as_str()).collect();
        let lacks = if lacks.is_empty() { "-".to_owned() } else { lacks.join(", ") };
        let read = if ability.read { "yes" } else { "-" };
        table.row([
            Cell::new(ability.format, style::CODE),
            ability.system.into(),
            read.into(),
            Cell::new(lacks, style::PLAIN),
        ]);
    }
    table.render()
}
