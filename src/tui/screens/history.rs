//! What was changed in the model, when and by whom.

use super::{Act, Deed, Screen, Tab, When};
use crate::ops::Error;
use crate::ops::network::history;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// What was changed in the model.
pub static SCREEN: Screen = Screen {
    title: "History",
    about: "What was changed in the model, when and by whom; any earlier state can be had again.",
    empty: "Nothing was changed yet.",
    columns: &["STATE", "WHEN", "WHO", "WHAT"],
    load,
    tabs: &[
        Tab { title: "What changed", line: |row| Some(Line::new(["history", "show", &row.id])), when: When::Chosen },
        Tab { title: "Since then", line: |row| Some(Line::new(["history", "diff", &row.id])), when: When::Chosen },
        Tab {
            title: "Going back",
            line: |row| Some(Line::new(["rollback", "--model", &row.id, "--dry-run"])),
            when: When::Asked("shows what going back to this state would change"),
        },
    ],
    deeds: &[Deed { key: 'b', label: "go back", about: "Bring the model back to this state, as a new one", act: back }],
};

fn back(rows: &[&Row]) -> Act {
    match rows {
        [row] => Act::Change(Line::new(["rollback", "--model", &row.id])),
        _ => Act::Not("choose one state"),
    }
}

/// So many states are listed.
const LIMIT: u32 = 1000;

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let states = history::log(&source.open()?, None, LIMIT)?;
    let row = |state: &crate::db::State| {
        Row::new(
            state.number.to_string(),
            [
                Cell::new(state.number.to_string(), Tone::Strong),
                state.time.format("%Y-%m-%d %H:%M").to_string().into(),
                Cell::new(state.operator.clone().unwrap_or_default(), Tone::Dim),
                state.description.clone().into(),
            ],
        )
    };
    Ok(states.iter().map(row).collect())
}
