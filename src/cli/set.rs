//! `set`: changes what a node, or the network, is told to be.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Context, Exit, change};
use crate::model::{Custody, PrivateKey};
use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::setting::Setting;
use crate::ops::network::{defaults, edit, setting};
use crate::ops::safety::unlock;

/// Change anything about a node: address, endpoint, LANs, access, exit, ...
#[derive(Debug, clap::Args)]
#[command(after_help = keys())]
pub(super) struct Args {
    /// The node: its name or the beginning of its guid; `network` for the network's defaults
    #[arg(value_name = "NAME")]
    node: String,
    /// What to change: key=value; lists also take key+=value and key-=value
    #[arg(required = true, value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// With custody=held: a file whose first line is the node's private key; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
}

fn keys() -> String {
    let mut text = String::from(
        "Examples:\n  wg-friend set alice-phone access=vpn-only exit=exit-de\n  wg-friend set office lan+=192.168.20.0/24='guest wifi'\n  wg-friend set alice-phone custody=never-seen\n  wg-friend set nas custody=held --private-key-file - <nas.key\n  wg-friend set network dns=10.66.0.1,corp.example\n\nKeys of a node:\n",
    );
    for (key, _, what) in setting::KEYS {
        text.push_str(&format!("  {key:<16}  {what}\n"));
    }
    text.push_str("\nKeys of the network:\n");
    for (key, what) in defaults::KEYS {
        text.push_str(&format!("  {key:<16}  {what}\n"));
    }
    text
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    if args.node == "network" {
        return super::network::set(&args.assignments, context);
    }
    let settings = setting::parse_all(args.assignments.iter().map(String::as_str))?;
    let custody = |wanted: fn(Custody) -> bool| {
        settings.iter().any(|setting| matches!(setting, Setting::Custody(custody) if wanted(*custody)))
    };
    let key = match &args.private_key_file {
        Some(_) if !custody(|custody| custody == Custody::Held) => {
            return Err(Error::value("--private-key-file", "goes with custody=held"));
        }
        Some(path) => Some(private_key(path)?),
        None => None,
    };
    let mut store = context.store()?;
    let mut set = |mode| {
        edit::set_with_key(&mut store, &context.clock, &context.actor(), &args.node, &settings, key.as_ref(), mode)
    };
    if custody(|custody| custody != Custody::Held) && !context.dry_run && !context.yes {
        let preview = set(Mode::Preview)?;
        if preview.changes.iter().any(|change| change.field == "custody" && change.before == "held") {
            context.out.note(change::body(&preview).trim_end());
            context.confirm(&format!("Forget the private key of {}?", args.node))?;
        }
    }
    let outcome = set(context.mode())?;
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

/// Reads a private key from the first line of a file, or of standard input.
fn private_key(path: &Path) -> Result<PrivateKey, Error> {
    let mut line = Zeroizing::new(String::new());
    if path.as_os_str() == "-" {
        let unreadable = |source| Error::Unreadable { path: "standard input".into(), source };
        std::io::stdin().lock().take(LONGEST_LINE).read_line(&mut line).map_err(unreadable)?;
    } else {
        line = unlock::first_line(path)?;
    }
    // What stands there instead may be secret, too: so it isn't repeated.
    line.trim().parse().map_err(|_| Error::Value {
        what: "--private-key-file".into(),
        reason: "its first line is not a private key".into(),
        hint: Some("a key is 44 characters long and ends with `=`, as `wg genkey` prints it".into()),
    })
}

/// More than a key has, and little enough to be read without harm.
const LONGEST_LINE: u64 = 1024;
