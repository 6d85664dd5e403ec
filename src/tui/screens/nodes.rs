//! The nodes of the network.

use super::{Act, Deed, Screen, Tab, When, about, change, fill, fill_all};
use crate::model::{Access, Role};
use crate::ops::Error;
use crate::ops::network::view::{self, NodeView};
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// The nodes of the network.
pub static SCREEN: Screen = Screen {
    title: "Nodes",
    about: "Servers, routers, exits and remotes: what they are, what their files say, what they may reach.",
    empty: "No nodes yet. Press `a` to add a server, router, exit or remote.",
    columns: &["NAME", "ROLE", "ADDRESS", "STATE", "ACCESS", "EXIT", "HOST", "LANS", "IPV6"],
    load,
    tabs: &[
        Tab { title: "Overview", line: |row| about(&["show"], row), when: When::Chosen },
        Tab { title: "Internet", line: |row| Some(Line::new(["can", &row.id, "internet"])), when: When::Chosen },
        Tab { title: "Grants", line: |row| about(&["grants"], row), when: When::Chosen },
        Tab { title: "History", line: |row| about(&["history"], row), when: When::Chosen },
        Tab { title: "Versions", line: versions, when: When::Chosen },
        Tab { title: "Hooks", line: |row| about(&["hooks", "list"], row), when: When::Chosen },
        Tab {
            title: "File",
            line: |row| about(&["generate"], row),
            when: When::Asked("the file has its private key in it"),
        },
        Tab {
            title: "QR",
            line: |row| row.is("remote").then(|| about(&["qr"], row)).flatten(),
            when: When::Asked("the code has its private key in it, and counts as handed out"),
        },
    ],
    deeds: &[
        Deed {
            key: 'a',
            label: "add",
            about: "Add a remote; `A` adds other roles",
            act: |_| Act::Fill(&["add", "remote"], vec![]),
        },
        Deed {
            key: 'A',
            label: "add router",
            about: "Add a subnet router",
            act: |_| Act::Fill(&["add", "router"], vec![]),
        },
        Deed { key: 'E', label: "add exit", about: "Add an exit node", act: |_| Act::Fill(&["add", "exit"], vec![]) },
        Deed {
            key: 'V',
            label: "add server",
            about: "Add a coordination server",
            act: |_| Act::Fill(&["add", "server"], vec![]),
        },
        Deed { key: 'e', label: "edit", about: "Change anything about it: address, LANs, access, exit", act: edit },
        Deed {
            key: 'n',
            label: "rename",
            about: "Give it another name; keys and history stay",
            act: |rows| fill(&["rename"], "node", rows),
        },
        Deed {
            key: 't',
            label: "on/off",
            about: "Take it out of every config without forgetting it, or put it back",
            act: toggle,
        },
        Deed { key: 'x', label: "remove", about: "Remove it from the network", act: |rows| change(&["remove"], rows) },
        Deed {
            key: 'r',
            label: "new key",
            about: "Give it a new key",
            act: |rows| fill_all(&["rotate"], "nodes", rows),
        },
        Deed {
            key: 'g',
            label: "grant",
            about: "Let it reach something beyond its level",
            act: |rows| fill(&["grant"], "holder", rows),
        },
        Deed { key: 'v', label: "revoke", about: "Take grants away", act: |rows| fill(&["revoke"], "holder", rows) },
        Deed {
            key: 'i',
            label: "exit",
            about: "Say by which exit its internet traffic leaves",
            act: |rows| fill_all(&["exit", "assign"], "names", rows),
        },
        Deed {
            key: 'l',
            label: "link",
            about: "Link it directly with others",
            act: |rows| fill_all(&["link"], "nodes", rows),
        },
        Deed { key: 'N', label: "notes", about: "Write down about it what you want to know", act: notes },
        Deed {
            key: 'w',
            label: "write file",
            about: "Write its file into a directory",
            act: |rows| fill_all(&["generate"], "nodes", rows),
        },
        Deed {
            key: 'f',
            label: "export",
            about: "Write it for another system: networkd, routers, apps",
            act: |rows| fill_all(&["export"], "nodes", rows),
        },
        Deed { key: 'm', label: "map", about: "The network as a tree", act: |_| Act::Read(Line::new(["topology"])) },
    ],
};

/// The column with the host.
const HOST: usize = 6;

/// What was brought to its host, or given to whoever carries its file.
fn versions(row: &Row) -> Option<Line> {
    match row.cells.get(HOST).map_or("", |cell| cell.text.as_str()) {
        "" => about(&["handouts"], row),
        host => Some(Line::new(["history", host])),
    }
}

fn notes(rows: &[&Row]) -> Act {
    match fill(&["set"], "node", rows) {
        Act::Fill(words, mut given) => {
            given.extend(rows.iter().map(|row| ("assignments", format!("notes={}", row.text))));
            Act::Fill(words, given)
        }
        not => not,
    }
}

fn edit(rows: &[&Row]) -> Act {
    fill(&["set"], "node", rows)
}

fn toggle(rows: &[&Row]) -> Act {
    let off = rows.iter().filter(|row| row.is("disabled")).count();
    match off {
        0 => change(&["disable"], rows),
        all if all == rows.len() => change(&["enable"], rows),
        _ => Act::Not("some of them are off and some are not"),
    }
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let topology = source.open()?.topology()?;
    Ok(view::list(&topology, None).iter().map(row).collect())
}

fn row(node: &NodeView) -> Row {
    let (state, tone) = match (node.enabled, node.provisional) {
        (false, _) => ("disabled", Tone::Warn),
        (true, true) => ("provisional", Tone::Warn),
        (true, false) => ("", Tone::Plain),
    };
    let text = if node.enabled { Tone::Plain } else { Tone::Dim };
    let tells = node.role == Role::Remote || node.access != Access::Full;
    let access = if tells { node.access.as_str().replace('_', "-") } else { String::new() };
    let exit = match &node.via[..] {
        [] => node.exit.as_ref().map(ToString::to_string).unwrap_or_default(),
        via => via.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let lans: Vec<String> = node.lans.iter().map(|lan| lan.cidr.to_string()).collect();
    let mut addresses = node.addresses().into_iter();
    let mut row = Row::new(
        node.name.to_string(),
        [
            Cell::new(node.name.to_string(), if node.enabled { Tone::Strong } else { Tone::Dim }),
            Cell::new(node.role.to_string(), text),
            Cell::new(addresses.next().unwrap_or_default(), text),
            Cell::new(state, tone),
            Cell::new(access, text),
            Cell::new(exit, text),
            Cell::new(node.host.as_ref().map(ToString::to_string).unwrap_or_default(), text),
            Cell::new(lans.join(" "), text),
            Cell::new(addresses.next().unwrap_or_default(), text),
        ],
    );
    if node.role == Role::Remote {
        row.tags.push("remote");
    }
    row.text.clone_from(&node.notes);
    if !node.enabled {
        row.tags.push("disabled");
    }
    row
}
