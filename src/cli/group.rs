//! `group`: named sets of nodes, to be granted something or to be reached by grants.

use clap::Subcommand;

use super::output::{Cell, Fields, Table, style};
use super::{Context, Exit, change};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::group::{self, GroupView, List};

/// Name sets of nodes: what is granted to a group, each member has
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  wg-friend group add contractors bob carol\n  wg-friend group show contractors"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put nodes into a group; it is made if there is none of this name
    #[command(
        after_help = "Examples:\n  wg-friend group add contractors bob carol --note 'until the move is done'\n  wg-friend group add printers\n  wg-friend grant contractors printers tcp 631"
    )]
    Add {
        /// The group
        group: Name,
        /// The nodes: names or beginnings of guids
        #[arg(value_name = "NODE")]
        nodes: Vec<String>,
        /// What the group is for
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Take nodes out of a group; without nodes, remove the group and all that is granted to it or towards it
    #[command(
        alias = "rm",
        after_help = "Examples:\n  wg-friend group remove contractors bob\n  wg-friend group remove contractors"
    )]
    Remove {
        /// The group
        group: String,
        /// The nodes: names or beginnings of guids
        #[arg(value_name = "NODE")]
        nodes: Vec<String>,
    },
    /// Give a group another name; its members and grants stay
    #[command(after_help = "Example:\n  wg-friend group rename contractors builders")]
    Rename {
        /// The group
        group: String,
        /// The new name
        #[arg(value_name = "NEW_NAME")]
        name: Name,
    },
    /// List the groups
    #[command(alias = "ls", after_help = "Example:\n  wg-friend group list")]
    List,
    /// Show a group: its members, what they are granted, who reaches them by it
    #[command(after_help = "Example:\n  wg-friend group show contractors")]
    Show {
        /// The group
        group: String,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<Exit, Error> {
    let outcome = match args.command {
        Command::List => {
            let list = group::list(&context.open()?)?;
            context.out.show(&list, render_list)?;
            if list.groups.is_empty() && !context.out.is_json() {
                context.out.note("no groups yet; make one with `wg-friend group add NAME NODE`");
            }
            return Ok(Exit::Done);
        }
        Command::Show { group } => {
            context.out.show(&group::show(&context.open()?, &group)?, render)?;
            return Ok(Exit::Done);
        }
        Command::Add { group, nodes, note } => {
            let (mut store, actor) = (context.store()?, context.actor());
            group::add(&mut store, &context.clock, &actor, &group, &nodes, note.as_deref(), context.mode())?
        }
        Command::Remove { group, nodes } => {
            let (mut store, actor) = (context.store()?, context.actor());
            if nodes.is_empty() {
                change::preview_and_confirm(context, &format!("Remove the group {group}?"), || {
                    group::remove(&mut store, &context.clock, &actor, &group, &nodes, Mode::Preview)
                })?;
            }
            group::remove(&mut store, &context.clock, &actor, &group, &nodes, context.mode())?
        }
        Command::Rename { group, name } => {
            let (mut store, actor) = (context.store()?, context.actor());
            group::rename(&mut store, &context.clock, &actor, &group, &name, context.mode())?
        }
    };
    change::show(context, &outcome)?;
    Ok(Exit::Done)
}

fn listed(names: &[Name]) -> String {
    names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn render_list(list: &List) -> String {
    if list.groups.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["GROUP", "MEMBERS", "GRANTS", "NOTE"]);
    for group in &list.groups {
        table.row([
            Cell::new(&group.name, style::STRONG),
            Cell::new(listed(&group.members), style::PLAIN),
            Cell::new(group.grants.len(), style::PLAIN),
            Cell::new(&group.note, style::PLAIN),
        ]);
    }
    table.render()
}

fn render(group: &GroupView) -> String {
    let mut fields = Fields::new();
    fields.add("group", Cell::new(&group.name, style::STRONG));
    if !group.note.is_empty() {
        fields.add("note", group.note.clone());
    }
    fields.add("members", if group.members.is_empty() { "none".to_owned() } else { listed(&group.members) });
    for (at, grant) in group.grants.iter().enumerate() {
        fields.add(if at == 0 { "may reach" } else { "" }, grant.to_string());
    }
    if !group.reached_by.is_empty() {
        fields.add("reached by", listed(&group.reached_by));
    }
    fields.render()
}
