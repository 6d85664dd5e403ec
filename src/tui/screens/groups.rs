//! Groups of nodes, and what each is granted.

use super::{Act, Deed, Screen, Tab, When, about, change, fill};
use crate::ops::Error;
use crate::ops::network::group;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// Groups of nodes.
pub static SCREEN: Screen = Screen {
    title: "Groups",
    about: "Sets of nodes: what is granted to a group, each member has.",
    empty: "No groups yet. Press `a` to make one.",
    columns: &["GROUP", "MEMBERS", "GRANTS", "NOTE"],
    load,
    tabs: &[
        Tab { title: "Group", line: |row| about(&["group", "show"], row), when: When::Chosen },
        Tab { title: "All grants", line: |_| Some(Line::new(["grants"])), when: When::Chosen },
    ],
    deeds: &[
        Deed {
            key: 'a',
            label: "add",
            about: "Put nodes into a group, which is made if there is none",
            act: |rows| {
                rows.first().map_or(Act::Fill(&["group", "add"], vec![]), |row| {
                    Act::Fill(&["group", "add"], vec![("group", row.id.clone())])
                })
            },
        },
        Deed {
            key: 'v',
            label: "take out",
            about: "Take nodes out of a group",
            act: |rows| fill(&["group", "remove"], "group", rows),
        },
        Deed {
            key: 'n',
            label: "rename",
            about: "Give it another name",
            act: |rows| fill(&["group", "rename"], "group", rows),
        },
        Deed {
            key: 'x',
            label: "remove",
            about: "Remove it, and all that is granted to it or towards it",
            act: |rows| change(&["group", "remove"], rows),
        },
        Deed {
            key: 'g',
            label: "grant",
            about: "Let its members reach something",
            act: |rows| fill(&["grant"], "holder", rows),
        },
    ],
};

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let row = |group: &group::GroupView| {
        let members: Vec<String> = group.members.iter().map(ToString::to_string).collect();
        Row::new(
            group.name.to_string(),
            [
                Cell::new(group.name.to_string(), Tone::Strong),
                members.join(" ").into(),
                group.grants.len().to_string().into(),
                Cell::new(group.note.clone(), Tone::Dim),
            ],
        )
    };
    Ok(group::list(&source.open()?)?.groups.iter().map(row).collect())
}
