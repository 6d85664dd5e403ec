//! The audit log.

use super::{Act, Deed, Screen, Tab, When};
use crate::db::Filter;
use crate::ops::Error;
use crate::ops::safety::audit;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// The audit log.
pub static SCREEN: Screen = Screen {
    title: "Audit",
    about: "Who did what, when and from where; nothing in it can be quietly rewritten.",
    empty: "The log is empty.",
    columns: &["ENTRY", "WHEN", "WHO", "WHAT", "ABOUT", "SEVERITY", "FROM"],
    load,
    tabs: &[
        Tab {
            title: "Proof",
            line: |row| Some(Line::new(["audit", "prove", &row.id])),
            when: When::Asked("makes a proof that others can check"),
        },
        Tab {
            title: "Verify",
            line: |_| Some(Line::new(["audit", "verify"])),
            when: When::Asked("reads the whole log"),
        },
    ],
    deeds: &[
        Deed {
            key: 'v',
            label: "verify",
            about: "Check that nothing was edited, added, reordered or cut off",
            act: |_| Act::Read(Line::new(["audit", "verify"])),
        },
        Deed {
            key: 'c',
            label: "checkpoint",
            about: "Sign the log as it is now",
            act: |_| Act::Change(Line::new(["audit", "checkpoint"])),
        },
        Deed {
            key: 'e',
            label: "export",
            about: "Write entries in a form that can be verified elsewhere",
            act: |_| Act::Fill(&["audit", "export"], vec![]),
        },
        Deed {
            key: 'p',
            label: "proof",
            about: "Print a proof that others can check without the database",
            act: prove,
        },
    ],
};

fn prove(rows: &[&Row]) -> Act {
    match rows {
        [row] => Act::Read(Line::new(["audit", "prove", &row.id])),
        _ => Act::Not("choose one entry"),
    }
}

/// So many entries are listed, the newest.
const LIMIT: u32 = 2000;

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let log = audit::log(&source.open()?, Filter { limit: LIMIT, ..Filter::default() })?;
    let row = |entry: &crate::db::Entry| {
        let name = |field: &str| entry.details[field].as_str().map(str::to_owned);
        let about = ["name", "host", "node", "network", "group"].into_iter().find_map(name).unwrap_or_default();
        let (severity, tone) = match entry.severity.as_str() {
            "info" => ("", Tone::Plain),
            "critical" => ("critical", Tone::Bad),
            _ => ("warning", Tone::Warn),
        };
        Row::new(
            entry.id.to_string(),
            [
                Cell::new(entry.id.to_string(), Tone::Strong),
                entry.time.format("%Y-%m-%d %H:%M:%S").to_string().into(),
                Cell::new(entry.operator.clone(), Tone::Dim),
                entry.action.replace('_', " ").into(),
                about.into(),
                Cell::new(severity, tone),
                entry.source.clone().into(),
            ],
        )
    };
    Ok(log.entries.iter().map(row).collect())
}
