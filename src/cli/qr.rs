//! `qr`: configs as QR codes, for phones.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};

use super::output::{paint, style};
use super::{Context, Exit, handouts};
use crate::ops::Error;
use crate::ops::network::qr::{self, Drawn, Form, Report, Request};

/// Show a remote's config as a QR code, for the WireGuard app on a phone
///
/// A code holds the private key: whoever photographs it has it. Pictures are readable by you alone; delete them when
/// they are scanned.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend qr alice-phone\n  wg-friend qr alice-phone --png alice.png\n  wg-friend qr --all --dir codes"
)]
pub(super) struct Args {
    /// The remote: its name or the beginning of its guid
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    node: Option<String>,
    /// Write a PNG image instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["svg", "all"])]
    png: Option<PathBuf>,
    /// Write an SVG image instead
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    svg: Option<PathBuf>,
    /// A PNG image for every remote
    #[arg(long, requires = "dir")]
    all: bool,
    /// The directory for the images of --all
    #[arg(long, short, value_name = "DIR", requires = "all")]
    dir: Option<PathBuf>,
    /// Draw also a code so dense that not every phone reads it
    #[arg(long)]
    large: bool,
    /// Draw dark on light, for a terminal without colours that has a light ground
    #[arg(long)]
    inverted: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let on_terminal = args.png.is_none() && args.svg.is_none() && !args.all;
    if context.out.is_json() && on_terminal {
        return Err(Error::Value {
            what: "--json".into(),
            reason: "a report holds no keys, so the code has to go somewhere".into(),
            hint: Some("give --png FILE or --svg FILE".into()),
        });
    }
    let form = match (&args.svg, on_terminal) {
        (Some(_), _) => Form::Svg,
        (None, true) => Form::Terminal { inverted: args.inverted },
        (None, false) => Form::Png,
    };
    let request = match (args.node, args.dir) {
        (None, Some(directory)) => Request::All { directory },
        (node, _) => Request::One { node: node.unwrap_or_default(), file: args.png.or(args.svg) },
    };
    let mut store = context.store()?;
    let actor = context.actor();
    let mut draw = |preview| qr::draw(&mut store, &context.clock, &actor, &request, form, args.large, preview);
    if on_terminal {
        // Measured before it counts as handed out.
        draw(true)?.codes.iter().try_for_each(fits)?;
    }
    let report = draw(context.dry_run)?;
    if on_terminal && !context.dry_run {
        for code in &report.codes {
            show(context, code, args.inverted)?;
        }
        handouts::untold(&report.untold, context);
        return Ok(Exit::Done);
    }
    context.out.done(&report, render)?;
    if !context.out.is_json() {
        handouts::untold(&report.untold, context);
    }
    Ok(Exit::Done)
}

/// Refuses a window that is too narrow: a code whose lines are wrapped can't be read.
fn fits(code: &Drawn) -> Result<(), Error> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    match terminal_size::terminal_size() {
        Some((width, _)) if usize::from(width.0) < code.columns => Err(Error::RefusedWithRemedy {
            message: format!("the code needs {} columns and this window has {}", code.columns, width.0),
            hint: "widen it or make the letters smaller, or write a picture with --png FILE".into(),
        }),
        _ => Ok(()),
    }
}

/// Draws a code white on black, whatever colours the terminal has.
fn show(context: &Context, code: &Drawn, inverted: bool) -> Result<(), Error> {
    let colours = Style::new().fg_color(Some(AnsiColor::BrightWhite.into())).bg_color(Some(AnsiColor::Black.into()));
    let colours = if inverted { style::PLAIN } else { colours };
    let drawing = String::from_utf8_lossy(&code.picture);
    let text: String = drawing.lines().map(|line| paint(colours, line) + "\n").collect();
    context.out.text(&text)?;
    context.out.note(format!("{}: scan it with the WireGuard app, then clear the screen", code.node));
    Ok(())
}

fn render(report: &Report) -> String {
    let mut text = String::new();
    for code in &report.codes {
        let to = code.path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default();
        text.push_str(&format!("{} {}: {} bytes{to}\n", paint(style::GOOD, "+"), code.node, code.bytes));
    }
    for skipped in &report.skipped {
        let line = format!("skipped {}: it {}", skipped.node, skipped.reason);
        text.push_str(&format!("{}\n", paint(style::DIM, line)));
    }
    if !report.saved {
        text.push_str(&format!("{}\n", paint(style::WARN, "dry run: nothing was drawn")));
    }
    text
}
