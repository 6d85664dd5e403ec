//! `host install`: bringing machines what they lack.

use crate::cli::output::{paint, paint_code, style};
use crate::cli::{Context, Exit, width};
use crate::fleet::RealFleet;
use crate::ops::Error;
use crate::ops::host::{self as ops, Installed};

/// Bring machines what they lack: WireGuard's tools, nftables, what starts interfaces at boot
///
/// Debian, Ubuntu, Alpine, Fedora, RHEL, Arch and their kin, by their own package managers and without questions. What
/// was installed is written down there, so that `host uninstall --packages` can take it away again. Where nothing is
/// missing, nothing is run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend host install hub --dry-run\n  wg-friend host install hub office exit-de"
)]
pub(super) struct Args {
    /// The machines
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// How many at once [default: of the settings]
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
}

pub(super) fn run(Args { names, parallel }: &Args, context: &Context) -> Result<Exit, Error> {
    let mut store = context.store()?;
    let fleet = RealFleet::new()?;
    let (parallel, mode) = (parallel.unwrap_or(context.settings.parallel), context.mode());
    let many = names.len() > 1;
    let done = |installed: &Installed| {
        if many && !context.out.is_json() {
            let word = if installed.ready { "done" } else { "failed" };
            context.out.note(paint(style::DIM, format_args!("{}: {word}", installed.host)));
        }
    };
    if !context.dry_run && !context.out.is_json() {
        context.out.note(paint(style::DIM, "looking; installing packages may take minutes"));
    }
    let (clock, actor) = (&context.clock, context.actor());
    let outcomes = ops::install(&mut store, &fleet, clock, &actor, names, parallel, mode, &done)?;
    let report = serde_json::json!({ "saved": !context.dry_run, "hosts": outcomes });
    context.out.show(&report, |_| {
        let mut text: String = outcomes.iter().map(|outcome| verdict(outcome, context.dry_run)).collect();
        if context.dry_run {
            text.push_str(&format!("{}\n", paint(style::WARN, "dry run: nothing was changed")));
        }
        text
    })?;
    Ok(if outcomes.iter().all(|outcome| outcome.ready) { Exit::Done } else { Exit::SomeHosts })
}

/// Writes what came of one host for a person.
fn verdict(installed: &Installed, preview: bool) -> String {
    let (mark, colour) = match (installed.ready, installed.missing.is_empty()) {
        (false, _) => ("✗", style::BAD),
        (true, true) => ("✓", style::GOOD),
        (true, false) => (if preview { "+" } else { "✓" }, style::GOOD),
    };
    let os = installed.os.as_ref().map_or(String::new(), |os| paint(style::DIM, format_args!("  {os}")));
    let mut text = format!("{} {}{os}\n", paint(colour, mark), paint(style::STRONG, &installed.host));
    if installed.ready && installed.missing.is_empty() {
        text.push_str("    has everything; nothing was changed\n");
    }
    if preview || !installed.ready {
        for command in &installed.commands {
            text.push_str(&format!("    {}\n", paint(style::CODE, &command.line)));
        }
    }
    if !installed.packages.is_empty() {
        text.push_str(&width::hang(&format!("    installed {}", installed.packages.join(", ")), "      "));
        text.push('\n');
    }
    if installed.ready && installed.changed && installed.packages.is_empty() {
        text.push_str("    set up\n");
    }
    if let Some(problem) = &installed.problem {
        text.push_str(&width::hang(&format!("    {problem}"), "      "));
        text.push('\n');
    }
    if let Some(hint) = &installed.hint {
        let line = format!("    {} {}", paint(style::CODE.bold(), "hint:"), paint_code(hint));
        text.push_str(&width::hang(&line, "      "));
        text.push('\n');
    }
    text
}
