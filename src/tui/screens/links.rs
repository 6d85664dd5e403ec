//! Who is linked to whom, and their preshared keys.

use super::{Act, Deed, Screen, Tab, When};
use crate::ops::Error;
use crate::ops::clock::{Clock as _, System};
use crate::ops::psk::status;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// Links and their preshared keys.
pub static SCREEN: Screen = Screen {
    title: "Links",
    about: "Who is linked to whom, and whether both ends have the same preshared key.",
    empty: "No links yet.",
    columns: &["ONE END", "OTHER END", "PRESHARED KEY", "AGE", "AT BOTH ENDS"],
    load,
    tabs: &[
        Tab {
            title: "Link",
            line: |row| Some(Line::new(["psk", "status"].into_iter().chain(row.id.split(' ')))),
            when: When::Chosen,
        },
        Tab {
            title: "Way",
            line: |row| Some(Line::new(["can"].into_iter().chain(row.id.split(' ')))),
            when: When::Chosen,
        },
        Tab { title: "Topology", line: |_| Some(Line::new(["topology"])), when: When::Chosen },
    ],
    deeds: &[
        Deed { key: 'a', label: "link", about: "Link nodes directly", act: |_| Act::Fill(&["link"], vec![]) },
        Deed { key: 'x', label: "unlink", about: "Take a direct link away", act: |rows| ends(&["unlink"], rows) },
        Deed {
            key: 'p',
            label: "new psk",
            about: "Give the link another preshared key",
            act: |rows| ends(&["psk", "rotate"], rows),
        },
    ],
};

fn ends(words: &[&str], rows: &[&Row]) -> Act {
    match rows {
        [row] => Act::Change(Line::new(words.iter().copied().chain(row.id.split(' ')))),
        _ => Act::Not("choose one link"),
    }
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let status = status::status(&source.store()?, System.now(), &[], false)?;
    let row = |link: &status::LinkStatus| {
        let [one, other] = &link.ends;
        let (key, tone) = match link.created {
            None => ("none", Tone::Dim),
            Some(_) if link.is_due() => ("due", Tone::Warn),
            Some(_) => ("set", Tone::Good),
        };
        let (both, both_tone) = match (link.created, link.distributed) {
            (None, _) => ("", Tone::Plain),
            (_, true) => ("yes", Tone::Good),
            (_, false) => ("not yet", Tone::Warn),
        };
        Row::new(
            format!("{} {}", one.node, other.node),
            [
                Cell::new(one.node.to_string(), Tone::Strong),
                Cell::new(other.node.to_string(), Tone::Strong),
                Cell::new(key, tone),
                link.days.map(|days| format!("{days} days")).unwrap_or_default().into(),
                Cell::new(both, both_tone),
            ],
        )
    };
    Ok(status.links.iter().map(row).collect())
}
