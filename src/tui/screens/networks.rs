//! The networks of the database.

use super::{Act, Deed, Screen, Tab, When};
use crate::ops::Error;
use crate::ops::network::networks;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// The networks of the database.
pub static SCREEN: Screen = Screen {
    title: "Networks",
    about: "The networks of this database: address plans and defaults.",
    empty: "No network yet.",
    columns: &["NETWORK", "NODES", "IPV4", "IPV6", "HOSTS"],
    load,
    tabs: &[
        Tab {
            title: "Defaults",
            line: |row| Some(Line::new(["network", "show", "--network", &row.id])),
            when: When::Chosen,
        },
        Tab { title: "Topology", line: |row| Some(Line::new(["topology", "--network", &row.id])), when: When::Chosen },
    ],
    deeds: &[
        Deed { key: 'g', label: "show this one", about: "Show this network, and act on it from now on", act: choose },
        Deed {
            key: 'e',
            label: "edit",
            about: "Change the defaults of the network that is shown",
            act: |_| Act::Fill(&["network", "set"], vec![]),
        },
        Deed { key: 'a', label: "add", about: "Add another network", act: |_| Act::Fill(&["network", "add"], vec![]) },
        Deed {
            key: 'x',
            label: "remove",
            about: "Remove a network",
            act: |rows| super::fill(&["network", "remove"], "name", rows),
        },
    ],
};

fn choose(rows: &[&Row]) -> Act {
    match rows {
        [row] => Act::Network(row.id.clone()),
        _ => Act::Not("choose one network"),
    }
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let row = |listed: networks::Listed| {
        let hosts: Vec<String> = listed.hosts.iter().map(ToString::to_string).collect();
        let prefix = |cidr: Option<String>| cidr.unwrap_or_default();
        Row::new(
            listed.network.name.to_string(),
            [
                Cell::new(listed.network.name.to_string(), if listed.chosen { Tone::Strong } else { Tone::Plain }),
                listed.nodes.to_string().into(),
                prefix(listed.network.cidr4.map(|cidr| cidr.to_string())).into(),
                prefix(listed.network.cidr6.map(|cidr| cidr.to_string())).into(),
                hosts.join(" ").into(),
            ],
        )
    };
    let database = crate::ops::safety::unlock::open(source.path())?;
    Ok(networks::list(&database)?.into_iter().map(row).collect())
}
