//! `interface key`: who keeps the key of an interface, and having the host make its own.

use crate::cli::output::{paint, style};
use crate::cli::{Context, Exit, change, prompt};
use crate::ops::Error;
use crate::ops::interface::key::{self as ops, View};

/// Show who keeps the key of an interface, show it, or have the host make its own
///
/// With --make-on-host the host makes a key that never leaves it: the interface's file gets a hook that loads it instead of
/// the key itself, and wg-friend knows only the public half. `wg-friend deploy` then tells the peers first, and switches
/// while the interface runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend interface key hub wg0\n  wg-friend interface key hub wg0 --make-on-host\n  wg-friend interface key hub wg0 --reveal"
)]
pub(super) struct Args {
    /// The host, or a node that lives on one
    #[arg(value_name = "HOST")]
    host: String,
    /// The interface [default: the only one there]
    #[arg(value_name = "IFACE")]
    interface: Option<String>,
    /// Print the private key; the audit log says so
    #[arg(long, conflicts_with_all = ["make_on_host", "make_here"])]
    reveal: bool,
    /// Have the host make a key of its own and keep it
    #[arg(long, conflicts_with = "make_here")]
    make_on_host: bool,
    /// Give an interface whose host keeps its key one that is kept here again
    #[arg(long)]
    make_here: bool,
    /// Why; is kept with the old key
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Seconds that the host may leave a question without an answer
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    host_timeout: Option<u64>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    let name = args.interface.as_deref();
    if !(args.reveal || args.make_on_host || args.make_here) {
        let view = ops::view(&context.open()?, &args.host, name)?;
        context.out.show(&view, text)?;
        return Ok(Exit::Done);
    }
    if args.reveal {
        return reveal(args, context);
    }
    let mut store = context.store()?;
    let (actor, mode) = (context.actor(), context.mode());
    let outcome = if args.make_on_host {
        let fleet = context.fleet(args.host_timeout)?;
        let reason = args.reason.as_deref().unwrap_or("made on the host from now on");
        ops::make_on_host(&mut store, &fleet, &context.clock, &actor, &args.host, name, reason, mode)?
    } else {
        let reason = args.reason.as_deref().unwrap_or("kept here from now on");
        ops::make_here(&mut store, &context.clock, &actor, &args.host, name, reason, mode)?
    };
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

/// Prints the private key. To something else than a terminal only if that is meant.
fn reveal(args: &Args, context: &Context) -> Result<Exit, Error> {
    context.no_dry_run("interface key --reveal")?;
    if !context.yes && !prompt::is_possible() {
        return Err(Error::MissingAnswer {
            what: "the word that a private key may go where this isn't a terminal",
            flag: "--yes",
        });
    }
    context.confirm("Show the private key on the screen?")?;
    let mut store = context.store()?;
    let key = ops::reveal(&mut store, &context.clock, &context.actor(), &args.host, args.interface.as_deref())?;
    if context.out.is_json() {
        let view = ops::view(&store, &args.host, args.interface.as_deref())?;
        let mut document = serde_json::to_value(&view).expect("names and keys are representable");
        document["private_key"] = key.as_str().into();
        context.out.show(&document, |_| String::new())?;
    } else {
        context.out.text(&format!("{}\n", key.as_str()))?;
    }
    Ok(Exit::Done)
}

fn text(view: &View) -> String {
    let mut text = format!(
        "{} {}\n",
        paint(style::STRONG, format_args!("{} {}", view.host, view.interface)),
        paint(style::DIM, format_args!("of {}", view.node))
    );
    let mut line = |label: &str, value: String| {
        text.push_str(&format!("  {}  {value}\n", paint(style::DIM, format_args!("{label:<11}"))));
    };
    line("public key", view.public_key.to_string());
    let place =
        view.file_on_host.as_ref().map_or(String::new(), |file| format!(", in /etc/wireguard/{file} on the host"));
    line("private key", format!("{}{place}", view.custody));
    if let Some(since) = view.since {
        line("since", since.format("%Y-%m-%d %H:%M:%S").to_string());
    }
    for key in &view.retired {
        let until = key.retired_at.map_or_else(String::new, |time| time.format("%Y-%m-%d").to_string());
        let why = key.reason.as_ref().map_or(String::new(), |reason| format!(", {reason}"));
        line("until", format!("{until}  {}{why}", key.public_key));
    }
    text
}
