//! `hooks`: what runs when interfaces go up and down, and who does its work.

use clap::Subcommand;

use super::output::{Cell, Table, paint, style};
use super::{Context, Exit, change};
use crate::model::InterfaceName;
use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::hooks::{self as ops, CommandView, HooksView, InterfaceHooks};
use crate::wg::hooks::allow::{self, Offence};

/// Show what runs when interfaces go up and down; hand it to wg-friend's firewall, and back
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a node's hooks: what each command is for, whether it is undone, whether it is on the list of safe ones
    #[command(after_help = "Examples:\n  wg-friend hooks list hub\n  wg-friend hooks list hub --json")]
    List {
        /// The node: its name or the beginning of its guid
        name: String,
    },
    /// Hand what an imported node's hooks do for everybody (forwarding, NAT, segment sizes) to wg-friend's own firewall
    ///
    /// Exactly those commands are taken out of its file; all else stays. Access levels are enforced from then on. Refuses
    /// when traffic would not be the same afterwards.
    #[command(
        after_help = "Examples:\n  wg-friend hooks adopt hub --dry-run\n  wg-friend hooks adopt hub\n\nThen: wg-friend plan, wg-friend deploy. Back again: wg-friend hooks keep hub"
    )]
    Adopt {
        /// The node
        name: String,
        /// Also take out rules that only open the host's own FORWARD chain: for hosts where nothing closes it (no Docker,
        /// no ufw, policy ACCEPT)
        #[arg(long)]
        all: bool,
    },
    /// Say whether lines are on the list of safe ones, and what in them isn't
    ///
    /// Hooks run as root. The list has programs and actions that set up networks: no substitution, pipe, redirect,
    /// download or script.
    #[command(
        after_help = "Examples:\n  wg-friend hooks check 'iptables -A FORWARD -i %i -j ACCEPT'\n  wg-friend hooks check 'curl x | sh'"
    )]
    Check {
        /// The lines, as they would stand behind PostUp
        #[arg(required = true, value_name = "LINE")]
        lines: Vec<String>,
        /// The interface that `%i` stands for
        #[arg(long, value_name = "NAME", default_value = "wg0")]
        interface: InterfaceName,
    },
    /// Give an imported node its own hooks back, as they were, and put wg-friend's firewall out of force there
    #[command(after_help = "Examples:\n  wg-friend hooks keep hub")]
    Keep {
        /// The node
        name: String,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, Error> {
    match &args.command {
        Command::List { name } => list(name, context),
        Command::Adopt { name, all } => {
            let mut store = context.store()?;
            let mut work = |mode| ops::adopt(&mut store, &context.clock, &context.actor(), name, *all, mode);
            let question = format!("Hand the hooks of {name} to wg-friend's firewall?");
            asked(context, &question, &mut work)
        }
        Command::Check { lines, interface } => check(lines, interface, context),
        Command::Keep { name } => {
            let mut store = context.store()?;
            let mut work = |mode| ops::keep(&mut store, &context.clock, &context.actor(), name, mode);
            asked(context, &format!("Give {name} its own hooks back?"), &mut work)
        }
    }
}

/// What is said of one line.
#[derive(serde::Serialize)]
struct Checked<'a> {
    line: &'a str,
    allowed: bool,
    offence: Option<Offence>,
}

fn check(lines: &[String], interface: &InterfaceName, context: &Context) -> Result<Exit, Error> {
    let judged = |line| {
        let offence = allow::judge(line, interface).err();
        Checked { line, allowed: offence.is_none(), offence }
    };
    let checked: Vec<Checked<'_>> = lines.iter().map(|line| judged(line.as_str())).collect();
    context.out.show(&checked, |checked| {
        let mut text = String::new();
        for Checked { line, offence, .. } in checked {
            match offence {
                None => text.push_str(&format!("{} {line}\n", paint(style::GOOD, "safe  "))),
                Some(offence) => {
                    text.push_str(&format!("{} {line}\n       {offence}\n", paint(style::BAD, "unsafe")));
                    text.push_str(&format!("       {} {}\n", paint(style::DIM, "hint:"), offence.remedy()));
                }
            }
        }
        text
    })?;
    Ok(if checked.iter().all(|line| line.allowed) { Exit::Done } else { Exit::Incomplete })
}

/// Shows what would happen, asks, and does it.
fn asked(
    context: &Context,
    question: &str,
    work: &mut dyn FnMut(Mode) -> Result<crate::ops::network::change::Outcome, Error>,
) -> Result<Exit, Error> {
    if !context.dry_run && !context.yes {
        let preview = work(Mode::Preview)?;
        preview.remarks.iter().for_each(|remark| context.out.note(format!("  {remark}")));
        context.confirm(question)?;
    }
    change::show(context, &work(context.mode())?)?;
    Ok(Exit::Done)
}

/// Lists the hooks of a node.
pub(super) fn list(name: &str, context: &Context) -> Result<Exit, Error> {
    let view = ops::list(&context.store()?, name)?;
    context.out.show(&view, render)?;
    Ok(Exit::Done)
}

fn render(view: &HooksView) -> String {
    let sections: Vec<String> = view.interfaces.iter().map(of_interface).collect();
    if sections.is_empty() {
        return paint(style::DIM, "no hooks\n");
    }
    let leave = view.allow_unsafe.as_ref().map(|by| {
        let day = by.time.format("%Y-%m-%d");
        format!(
            "{} unsafe hooks are let through: {} ({}, {day})\n",
            paint(style::WARN, "note:"),
            by.reason,
            by.operator
        )
    });
    sections.join("\n") + &leave.unwrap_or_default()
}

fn of_interface(hooks: &InterfaceHooks) -> String {
    let whose = match (hooks.adopted, hooks.firewall) {
        (false, _) if hooks.commands.iter().any(|command| !command.ours) => "wg-friend's own, and others beside them",
        (false, _) => "wg-friend's own",
        (true, true) => "imported; wg-friend's firewall is in force",
        (true, false) => "imported; its own hooks do the work of a firewall",
    };
    let heading = format!("{}  {}\n", paint(style::STRONG, &hooks.interface), paint(style::DIM, whose));
    if hooks.commands.is_empty() {
        return heading + &paint(style::DIM, "no hooks\n");
    }
    let mut table = Table::new(&["WHEN", "COMMAND", "MEANING", "PATTERN", "DOWN", ""]);
    for command in &hooks.commands {
        table.row([
            command.phase.into(),
            (&command.command).into(),
            command.meaning.as_deref().map_or_else(|| Cell::new("not recognised", style::DIM), Into::into),
            Cell::new(command.pattern.unwrap_or_default(), style::DIM),
            undone(command),
            safe(command),
        ]);
    }
    let mut text = heading + &table.render();
    let mut told: Vec<usize> = Vec::new();
    for command in &hooks.commands {
        if let Some(offence) = command.unsafe_because.as_ref().filter(|_| !told.contains(&command.hook)) {
            told.push(command.hook);
            let word = paint(style::WARN, "unsafe");
            text.push_str(&format!("{word} {} {}: {offence}\n", command.phase, command.hook + 1));
        }
    }
    text
}

fn undone(command: &CommandView) -> Cell {
    if command.unpaired {
        Cell::new("stays behind", style::WARN)
    } else if command.paired {
        Cell::new("pair", style::GOOD)
    } else if command.pattern.is_some() {
        Cell::new("single", style::DIM)
    } else {
        "".into()
    }
}

fn safe(command: &CommandView) -> Cell {
    match (&command.unsafe_because, command.ours) {
        (Some(_), _) => Cell::new("unsafe", style::WARN),
        (None, true) => Cell::new("ours", style::DIM),
        (None, false) => Cell::new("safe", style::GOOD),
    }
}
