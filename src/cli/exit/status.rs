//! `exit status` and `exit list`: who leaves by which exit now.

use serde::Serialize;

use super::{group, rule};
use crate::cli::list::way;
use crate::cli::output::{Cell, Table, paint, style};
use crate::cli::{Context, Exit};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::exit::view::{self, ExitView, Leaving, RemoteView, Status};

/// What is printed for programs.
#[derive(Serialize)]
struct Exits {
    /// The exits, in order of their names.
    exits: Vec<ExitView>,
}

pub(super) fn run(context: &Context) -> Result<Exit, Error> {
    let status = view::status(&context.open()?.topology()?);
    context.out.show(&status, render)?;
    Ok(Exit::Done)
}

pub(super) fn list(context: &Context) -> Result<Exit, Error> {
    let report = Exits { exits: view::exits(&context.open()?.topology()?) };
    context.out.show(&report, |report| exits(&report.exits))?;
    Ok(Exit::Done)
}

fn exits(exits: &[ExitView]) -> String {
    if exits.is_empty() {
        return "no exits; `wg-friend add exit NAME` makes one\n".into();
    }
    let joined = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let mut table = Table::new(&["EXIT", "STATE", "ENDPOINT", "HOST", "GROUPS", "CARRIES", "REMOTES"]);
    for exit in exits {
        let state = if exit.enabled { Cell::new("enabled", style::GOOD) } else { Cell::new("disabled", style::WARN) };
        table.row([
            Cell::new(&exit.name, style::STRONG),
            state,
            exit.endpoint.clone().unwrap_or_default().into(),
            exit.host.as_ref().map_or_else(String::new, ToString::to_string).into(),
            joined(&exit.groups).into(),
            joined(&exit.carries).into(),
            match exit.passing {
                0 => exit.remotes.to_string(),
                passing => format!("{}, {passing} on the way", exit.remotes),
            }
            .into(),
        ]);
    }
    table.render()
}

fn render(status: &Status) -> String {
    let network = way(status.network.as_ref(), &status.network_via).unwrap_or_else(|| "none".to_owned());
    let kill_switch = if status.kill_switch { ", with the kill switch" } else { "" };
    let mut sections = vec![format!("{}  {network}{kill_switch}\n", paint(style::DIM, "the network's exit"))];
    if !status.groups.is_empty() {
        sections.push(group::list(&status.groups));
    }
    sections.push(exits(&status.exits));
    if !status.remotes.is_empty() {
        sections.push(remotes(&status.remotes));
    }
    if !status.rules.is_empty() {
        sections.push(rule::table(&status.rules));
    }
    sections.join("\n")
}

fn remotes(remotes: &[RemoteView]) -> String {
    let mut table = Table::new(&["REMOTE", "ASSIGNED", "LEAVES BY", "KILL SWITCH"]);
    for remote in remotes {
        let assigned = way(remote.assigned.as_ref(), &remote.via).unwrap_or_default();
        let by = remote.by.as_ref().map_or_else(String::new, ToString::to_string);
        let leaves = match remote.leaves {
            Leaving::Exit => Cell::new(by, style::GOOD),
            Leaving::Server => Cell::new(format!("{by}, the server"), style::GOOD),
            Leaving::Split => Cell::new("its own connection: the exit can't be used", style::WARN),
            Leaving::Blocked => Cell::new("nothing: the exit can't be used", style::BAD),
        };
        let inherited = if remote.inherited { " (the network's)" } else { "" };
        table.row([
            Cell::new(&remote.name, style::STRONG),
            format!("{assigned}{inherited}").into(),
            leaves,
            if remote.kill_switch { "yes" } else { "" }.into(),
        ]);
    }
    table.render()
}
