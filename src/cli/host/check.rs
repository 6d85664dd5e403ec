//! `host check`: trying machines.

use crate::cli::output::{paint, paint_code, style};
use crate::cli::{Context, Exit, width};
use crate::fleet::{RealFleet, System};
use crate::ops::Error;
use crate::ops::host::{self as ops, Checked, Requirement, Verdict};

/// Try whether machines answer, whether root can be had there, and what they lack
///
/// Each requirement passes, passes with a remark, or fails, with a remedy where there is something to do. All machines: only
/// what is worth a look; a named one, or -v: all requirements. Changes nothing. Exit code 4 when a machine isn't ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wg-friend host check\n  wg-friend host check hub\n  wg-friend host check --json")]
pub(super) struct Args {
    /// Only these [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How many at once [default: of the settings]
    #[arg(long, value_name = "N")]
    parallel: Option<usize>,
}

pub(super) fn run(Args { names, parallel }: &Args, context: &Context) -> Result<Exit, Error> {
    let fleet = RealFleet::new()?;
    let parallel = parallel.unwrap_or(context.settings.parallel);
    let checked = ops::check(&context.open()?, &fleet, &context.clock, names, parallel)?;
    let all = context.out.verbosity() > 0 || !names.is_empty();
    context.out.show(&serde_json::json!({ "hosts": checked }), |_| {
        let width = checked.iter().map(|host| host.host.as_str().len()).max().unwrap_or(0);
        checked.iter().map(|host| verdict(host, width, all)).collect()
    })?;
    Ok(if checked.iter().all(|host| host.ready) { Exit::Done } else { Exit::SomeHosts })
}

/// Writes what a machine's trial showed: all of it, or only what isn't as it should be.
pub(super) fn verdict(checked: &Checked, width: usize, all: bool) -> String {
    let (mark, colour) = if checked.ready { ("✓", style::GOOD) } else { ("✗", style::BAD) };
    let blanks = width - checked.host.as_str().len() + 2;
    let describe = |s: &System| paint(style::DIM, format_args!("{:blanks$}{}, Linux {}", "", s.os, s.kernel));
    let system = checked.system.as_ref().map(describe);
    let (mark, name) = (paint(colour, mark), paint(style::STRONG, &checked.host));
    let mut text = format!("{mark} {name}{}\n", system.unwrap_or_default());
    let shown = checked.requirements.iter().filter(|r| all || r.verdict != Verdict::Pass);
    text.extend(shown.map(line));
    text
}

fn line(requirement: &Requirement) -> String {
    let (mark, colour) = match requirement.verdict {
        Verdict::Pass => ("✓", style::GOOD),
        Verdict::Warn => ("!", style::WARN),
        Verdict::Fail => ("✗", style::BAD),
    };
    let line = format!("    {} {:<10}  {}", paint(colour, mark), requirement.name, requirement.found);
    let mut text = width::hang(&line, "                  ") + "\n";
    if let Some(remedy) = &requirement.remedy {
        let line = format!("                  {} {}", paint(style::CODE, "hint:"), paint_code(remedy));
        text.push_str(&(width::hang(&line, "                  ") + "\n"));
    }
    text
}
