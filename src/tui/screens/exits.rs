//! Exits and groups of them: by which the internet traffic of remotes leaves.

use super::{Act, Deed, Screen, Tab, When, about, fill};
use crate::ops::Error;
use crate::ops::exit::view;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// Exits and groups of them.
pub static SCREEN: Screen = Screen {
    title: "Exits",
    about: "By which exit the internet traffic of remotes leaves, and which stand in for each other.",
    empty: "No exits yet. `E` on the list of nodes adds one.",
    columns: &["NAME", "WHAT", "GOES BY", "REMOTES", "ENDPOINT OR MEMBERS"],
    load,
    tabs: &[
        Tab {
            title: "Group",
            line: |row| if row.is("group") { about(&["exit", "group", "show"], row) } else { about(&["show"], row) },
            when: When::Chosen,
        },
        Tab { title: "Everything", line: |_| Some(Line::new(["exit", "status"])), when: When::Chosen },
        Tab { title: "Rules", line: |_| Some(Line::new(["exit", "rule", "list"])), when: When::Chosen },
        Tab { title: "Switches", line: |_| Some(Line::new(["exit", "history"])), when: When::Chosen },
    ],
    deeds: &[
        Deed {
            key: 'f',
            label: "switch",
            about: "Send all of the group's traffic by another of its exits",
            act: switch,
        },
        Deed {
            key: 'i',
            label: "assign",
            about: "Say by which exit or group traffic leaves",
            act: |_| Act::Fill(&["exit", "assign"], vec![]),
        },
        Deed {
            key: 'a',
            label: "add group",
            about: "Make a group of exits that stand in for each other",
            act: |_| Act::Fill(&["exit", "group", "add"], vec![]),
        },
        Deed {
            key: 'e',
            label: "edit",
            about: "Change a group: its name, its exits",
            act: |rows| group(rows, |rows| fill(&["exit", "group", "set"], "group", rows)),
        },
        Deed {
            key: 'x',
            label: "remove",
            about: "Remove a group by which nobody leaves",
            act: |rows| group(rows, |rows| super::change(&["exit", "group", "remove"], rows)),
        },
        Deed {
            key: 'r',
            label: "rule",
            about: "Send traffic by another way, according to where it leads",
            act: |_| Act::Fill(&["exit", "rule", "add"], vec![]),
        },
    ],
};

fn group(rows: &[&Row], act: fn(&[&Row]) -> Act) -> Act {
    if rows.iter().all(|row| row.is("group")) {
        act(rows)
    } else {
        Act::Not("that is an exit; choose a group of exits")
    }
}

fn switch(rows: &[&Row]) -> Act {
    group(rows, |rows| fill(&["exit", "failover"], "group", rows))
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let topology = source.open()?.topology()?;
    let status = view::status(&topology);
    let group = |group: &view::GroupView| {
        let members: Vec<String> = group.members.iter().map(|member| member.exit.to_string()).collect();
        let mut row = Row::new(
            group.name.to_string(),
            [
                Cell::new(group.name.to_string(), Tone::Strong),
                "group".into(),
                match &group.active {
                    Some(active) => Cell::new(active.to_string(), Tone::Good),
                    None => Cell::new("none", Tone::Bad),
                },
                group.remotes.len().to_string().into(),
                members.join(" ").into(),
            ],
        );
        row.tags.push("group");
        row
    };
    let exit = |exit: &view::ExitView| {
        Row::new(
            exit.name.to_string(),
            [
                Cell::new(exit.name.to_string(), if exit.enabled { Tone::Strong } else { Tone::Dim }),
                Cell::new(if exit.enabled { "exit" } else { "disabled" }, Tone::Plain),
                "".into(),
                exit.remotes.to_string().into(),
                exit.endpoint.clone().unwrap_or_default().into(),
            ],
        )
    };
    Ok(status.groups.iter().map(group).chain(status.exits.iter().map(exit)).collect())
}
