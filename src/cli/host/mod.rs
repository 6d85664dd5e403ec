//! `host`: the machines that nodes live on.

mod set;

use clap::Subcommand;

use super::output::{Cell, Output, Table, paint, paint_code, style};
use super::{Context, Exit};
use crate::fleet::{RealFleet, System};
use crate::model::{Become, Host, HostAddress, Name};
use crate::ops::Error;
use crate::ops::host::{self as ops, Checked, HostView, Outcome};

/// Add, list, change, remove and try the machines that nodes live on
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a machine that is reached over SSH, or this one as `local`
    ///
    /// Your ssh_config, agent, keys and known_hosts apply.
    #[command(
        after_help = "Examples:\n  wg-friend host add hub root@vpn.example.com\n  wg-friend host add office me@192.0.2.4:2222 --jump bastion --become sudo\n  wg-friend host add here local\n\nThen: wg-friend set NODE host=hub"
    )]
    Add {
        /// What to call it
        name: Name,
        /// [user@]host[:port], an alias of ssh_config, or `local`
        address: HostAddress,
        /// Jump hosts, as `ssh -J` takes them
        #[arg(long, value_name = "HOSTS")]
        jump: Option<String>,
        /// Private key file
        #[arg(long, value_name = "FILE")]
        identity: Option<String>,
        /// How commands become root there: auto, root or sudo
        #[arg(long = "become", value_name = "HOW", default_value = "auto")]
        becoming: Become,
    },
    /// List the machines
    List,
    Set(set::Args),
    /// Remove machines that no node lives on; what they run goes on running there
    Remove {
        /// The machine
        name: String,
    },
    /// Try whether machines answer, whether root can be had there, and what they lack
    Check {
        /// Only these [default: all]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// How many at once [default: of the settings]
        #[arg(long, value_name = "N")]
        parallel: Option<usize>,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    match args.command {
        Command::Add { name, mut address, jump, identity, becoming } => {
            options(&mut address, jump, identity)?;
            let mut store = context.store()?;
            let host = Host::new(name, address, becoming);
            show(&ops::add(&mut store, &context.clock, &context.actor(), host, context.mode())?, &context.out)?;
        }
        Command::List => list(context)?,
        Command::Set(args) => set::run(args, context)?,
        Command::Remove { name } => {
            let mut store = context.store()?;
            if !context.dry_run {
                context.confirm(&format!("Forget the host {name}?"))?;
            }
            show(&ops::remove(&mut store, &context.clock, &context.actor(), &name, context.mode())?, &context.out)?;
        }
        Command::Check { names, parallel } => return check(&names, parallel, context),
    }
    Ok(Exit::Done)
}

fn options(address: &mut HostAddress, jump: Option<String>, identity: Option<String>) -> Result<(), Error> {
    match address {
        HostAddress::Ssh { jump: hops, identity: file, .. } => {
            *hops = jump.map(|text| ops::jump("--jump", &text)).transpose()?;
            *file = identity.map(|text| ops::identity("--identity", &text)).transpose()?;
        }
        HostAddress::Local if jump.is_some() => return Err(Error::value("--jump", "is for hosts over SSH")),
        HostAddress::Local if identity.is_some() => return Err(Error::value("--identity", "is for hosts over SSH")),
        HostAddress::Local => {}
    }
    Ok(())
}

fn list(context: &Context) -> Result<(), Error> {
    let hosts = ops::list(&context.open()?.topology()?);
    context.out.show(&serde_json::json!({ "hosts": hosts }), |_| {
        let mut table = Table::new(&["NAME", "ADDRESS", "BECOME", "JUMP", "IDENTITY", "NODES"]);
        for view in &hosts {
            let (jump, identity) = ways(&view.host.address);
            table.row([
                Cell::new(&view.host.name, style::STRONG),
                (&view.host.address).into(),
                view.host.becoming.into(),
                jump.into(),
                identity.into(),
                nodes(view).into(),
            ]);
        }
        if table.is_empty() { String::new() } else { table.render() }
    })?;
    if hosts.is_empty() && !context.out.is_json() {
        context.out.note("no hosts yet; add one with `wg-friend host add NAME [USER@]HOST[:PORT]`");
    }
    Ok(())
}

fn ways(address: &HostAddress) -> (String, String) {
    match address {
        HostAddress::Local => Default::default(),
        HostAddress::Ssh { jump, identity, .. } => {
            (jump.clone().unwrap_or_default(), identity.clone().unwrap_or_default())
        }
    }
}

fn nodes(view: &HostView) -> String {
    view.nodes.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn show(outcome: &Outcome, out: &Output) -> Result<(), Error> {
    out.done(outcome, |outcome| {
        let (sign, colour) = match outcome.action {
            "added" => ("+", style::GOOD),
            "removed" => ("-", style::BAD),
            _ => ("~", style::WARN),
        };
        let host = &outcome.host.host;
        let mut text = format!(
            "{} {} host {}  {}\n",
            paint(colour, sign),
            outcome.action,
            paint(style::STRONG, &host.name),
            host.address
        );
        text.push_str(&super::change::aligned(outcome.changes.iter().map(|change| ("", change)).collect()));
        if !outcome.saved {
            text.push_str(&paint(style::WARN, "dry run: nothing was changed"));
        } else if outcome.action == "added" {
            let next = format!("`wg-friend host check {0}`, `wg-friend set NODE host={0}`", host.name);
            text.push_str(&format!("  {} {}", paint(style::DIM, "next:"), paint_code(&next)));
        }
        text
    })
}

fn check(names: &[String], parallel: Option<usize>, context: &Context) -> Result<Exit, Error> {
    let topology = context.open()?.topology()?;
    let fleet = RealFleet::new()?;
    let parallel = parallel.unwrap_or(context.settings.parallel);
    let checked = ops::check(&topology, &fleet, &context.clock, names, parallel)?;
    context.out.show(&serde_json::json!({ "hosts": checked }), |_| {
        let width = checked.iter().map(|host| host.host.as_str().len()).max().unwrap_or(0);
        checked.iter().map(|host| verdict(host, width)).collect()
    })?;
    Ok(if checked.iter().all(|host| host.ready) { Exit::Done } else { Exit::SomeHosts })
}

fn verdict(checked: &Checked, width: usize) -> String {
    let (mark, colour) = if checked.ready { ("✓", style::GOOD) } else { ("✗", style::BAD) };
    let blanks = width - checked.host.as_str().len() + 2;
    let describe = |s: &System| paint(style::DIM, format_args!("{:blanks$}{}, Linux {}", "", s.os, s.kernel));
    let system = checked.system.as_ref().map(describe);
    let (mark, name) = (paint(colour, mark), paint(style::STRONG, &checked.host));
    let mut text = format!("{mark} {name}{}\n", system.unwrap_or_default());
    if let Some(problem) = &checked.problem {
        text.push_str(&format!("    {problem}\n"));
    }
    if let Some(hint) = &checked.hint {
        text.push_str(&format!("    {} {}\n", paint(style::CODE, "hint:"), paint_code(hint)));
    }
    for remark in &checked.remarks {
        text.push_str(&format!("    {} {remark}\n", paint(style::WARN, "note:")));
    }
    text
}
