//! `host join`: a script for a machine that nobody can reach yet.

use std::path::PathBuf;

use chrono::TimeDelta;

use crate::cli::output::{paint, paint_code, style};
use crate::cli::{Context, Exit, width};
use crate::fleet::own_address_towards;
use crate::model::Name;
use crate::ops::Error;
use crate::ops::host::{self as ops, JoinRequest, Joined, Way};

/// Make a script that joins a machine nobody can reach yet, such as one behind NAT
///
/// The script is run there once, as root. It installs what is missing, brings the node's files, starts its interfaces now
/// and at boot, and lets your SSH key in: just what a deploy would have done. From then on wg-friend reaches the machine
/// through the tunnel, and the first plan is empty.
///
/// It holds the node's private key: bring it there by a way that nobody else can read. Running it again does no harm.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wg-friend host join office -o join-office.sh\n  wg-friend host join office --paste\n  wg-friend host join exit-de --jump root@hub --ssh-key ~/.ssh/id_ed25519.pub -o join.sh\n\nThere: sudo sh join-office.sh"
)]
pub(super) struct Args {
    /// The node that lives on the machine
    node: String,
    /// Where to write the script, with mode 0600 [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to call the machine [default: as the node]
    #[arg(long, value_name = "NAME")]
    host: Option<Name>,
    /// Whom to log in as there
    #[arg(long, value_name = "USER", default_value = "root")]
    user: String,
    /// Reach it through these jump hosts, as `ssh -J` takes them [default: through the server, unless this machine is in the network]
    #[arg(long, value_name = "HOSTS", conflicts_with = "direct")]
    jump: Option<String>,
    /// Reach it by its address in the network
    #[arg(long)]
    direct: bool,
    /// The public key that may log in there [default: ~/.ssh/id_ed25519.pub]
    #[arg(long, value_name = "FILE", conflicts_with = "no_ssh_key")]
    ssh_key: Option<PathBuf>,
    /// Bring no SSH key: yours is there already
    #[arg(long)]
    no_ssh_key: bool,
    /// How long the script can be used
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires: humantime::Duration,
    /// Print it as lines to paste into a shell there
    #[arg(long, visible_alias = "one-line")]
    paste: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    if context.out.is_json() && args.output.is_none() && !context.dry_run {
        let reason = "the script holds keys and is no part of the document: say where to write it with -o FILE";
        return Err(Error::value("--json", reason));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let ssh_key = match args.no_ssh_key {
        true => None,
        false => Some(ops::operators_key(args.ssh_key.as_deref(), home.as_deref())?),
    };
    let way = match (args.direct, args.jump) {
        (true, _) => Way::Direct,
        (false, Some(hops)) => Way::Jump(ops::jump("--jump", &hops)?),
        (false, None) => Way::Find,
    };
    let lasts = TimeDelta::from_std(*args.expires).ok().filter(|long| *long <= TimeDelta::days(365));
    let request = JoinRequest {
        node: args.node,
        host: args.host,
        user: args.user,
        way,
        ssh_key,
        lasts: lasts.ok_or_else(|| Error::value("--expires", "a year at most"))?,
        output: args.output,
        paste: args.paste,
    };
    let mut store = context.store()?;
    let joined =
        ops::join(&mut store, &context.clock, &context.actor(), &request, &own_address_towards, context.mode())?;
    if joined.saved && joined.path.is_none() && !context.out.is_json() {
        context.out.text(&joined.script)?;
        told(&joined, context);
        return Ok(Exit::Done);
    }
    context.out.show(&joined, |joined| lines(joined).join("\n"))?;
    Ok(Exit::Done)
}

/// Says on standard error what goes with a script on standard output.
fn told(joined: &Joined, context: &Context) {
    for line in lines(joined) {
        context.out.note(line);
    }
}

fn lines(joined: &Joined) -> Vec<String> {
    let host = &joined.host.host;
    let mut lines = vec![format!(
        "{} {} joins as host {}  {}",
        paint(style::GOOD, "+"),
        paint(style::STRONG, &joined.node),
        paint(style::STRONG, &host.name),
        host.address
    )];
    if let Some(path) = &joined.path {
        lines.push(paint_code(&format!("  run there, as root: `sh {}`", path.display())));
    }
    lines.push(format!("  it can be used until {} UTC", joined.expires.format("%Y-%m-%d %H:%M")));
    for remark in &joined.remarks {
        lines.push(width::hang(&format!("  {} {}", paint(style::WARN, "note:"), paint_code(remark)), "    "));
    }
    lines.push("  then, here:".to_owned());
    lines.extend(joined.next.iter().map(|command| format!("    {}", paint(style::CODE, command))));
    if !joined.saved {
        lines.push(paint(style::WARN, "dry run: nothing was changed"));
    }
    lines
}
