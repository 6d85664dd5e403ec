//! `host uninstall`: taking everything of wg-friend's off a machine.

use clap::ValueEnum;

use crate::cli::output::{paint, paint_code, style};
use crate::cli::{Context, Exit, width};
use crate::fleet::RealFleet;
use crate::ops::Error;
use crate::ops::host::{self as ops, Adopted, UninstallRequest, Uninstalled};

/// Take everything of wg-friend's off a machine: interfaces, firewall, files, boot set-up, kernel settings, SSH key
///
/// Shows what it will do, and asks. Afterwards the machine is as it was before the first deploy, and its nodes live nowhere.
/// Interfaces that were there before wg-friend get back the file that they had. If your way to the machine goes through what
/// is taken down, it finishes alone, and needs --yes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend host uninstall office --dry-run\n  wg-friend host uninstall office --packages\n  wg-friend host uninstall hub --adopted keep --yes\n\nThen: wg-friend host remove office"
)]
pub(super) struct Args {
    /// The machine
    name: String,
    /// What becomes of interfaces that were there before wg-friend
    #[arg(long, value_name = "HOW", default_value = "restore")]
    adopted: Choice,
    /// Remove the packages too that `host install` or a joining script brought, as far as nothing else needs them
    #[arg(long)]
    packages: bool,
    /// Leave the SSH key there that wg-friend let in
    #[arg(long)]
    keep_key: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// They get back the file that they had
    Restore,
    /// They stay as they are now
    Keep,
    /// They go like all others
    Remove,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let adopted = match args.adopted {
        Choice::Restore => Adopted::Restore,
        Choice::Keep => Adopted::Keep,
        Choice::Remove => Adopted::Remove,
    };
    let request = UninstallRequest { adopted, packages: args.packages, keep_key: args.keep_key };
    let mut store = context.store()?;
    let (fleet, clock, actor) = (RealFleet::new()?, &context.clock, context.actor());
    let departure = ops::look(&mut store, &fleet, clock, &actor, &args.name, &request)?;
    if context.dry_run {
        context.out.show(&departure.preview(), |report| render(report) + "\n")?;
        return Ok(Exit::Done);
    }
    if departure.alone && !context.yes {
        return Err(Error::RefusedWithRemedy {
            message: format!(
                "the way to `{}` goes through what is taken down: afterwards it can't be reached",
                args.name
            ),
            hint: "look with --dry-run; if that is meant, say --yes".to_owned(),
        });
    }
    if !context.yes {
        context.out.note(render(&departure.preview()));
        context.confirm(&format!("Take all of that off {}?", args.name))?;
    }
    let report = ops::uninstall(&mut store, &fleet, clock, &actor, departure)?;
    context.out.show(&report, |report| render(report) + "\n")?;
    Ok(if report.complete == Some(false) { Exit::SomeHosts } else { Exit::Done })
}

fn render(report: &Uninstalled) -> String {
    let mut lines = Vec::new();
    for removal in &report.removals {
        let mark = match (report.saved, removal.done) {
            (false, _) => paint(style::BAD, "-"),
            (true, Some(false)) => paint(style::BAD, "✗"),
            (true, Some(true)) => paint(style::GOOD, "✓"),
            (true, None) => paint(style::DIM, "·"),
        };
        lines.push(width::hang(&format!("{mark} {}", removal.what), "    "));
        if let Some(said) = &removal.said {
            lines.extend(said.lines().map(|line| paint(style::BAD, format_args!("    {line}"))));
        }
    }
    for remark in &report.remarks {
        lines.push(width::hang(&format!("  {} {}", paint(style::WARN, "note:"), paint_code(remark)), "    "));
    }
    let host = &report.host;
    lines.push(match (report.saved, report.complete) {
        (false, _) => paint(style::WARN, "nothing was changed yet"),
        (true, Some(true)) => paint(style::GOOD, format_args!("nothing of wg-friend is left on {host}")),
        (true, Some(false)) => paint_code(&format!(
            "not all of it went; `wg-friend log {host}` has what was said, and it can be run again"
        )),
        (true, None) => format!("{host} does this by itself now, and can't be reached any more"),
    });
    lines.join("\n")
}
