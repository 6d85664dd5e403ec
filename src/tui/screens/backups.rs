//! The backups that were made.

use super::{Act, Deed, Screen, Tab, When, ago, fill};
use crate::ops::Error;
use crate::ops::clock::{Clock as _, System};
use crate::ops::safety::backup;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// The backups that were made.
pub static SCREEN: Screen = Screen {
    title: "Backups",
    about: "Backups, each proven by restoring it: where every copy is, and when it was last found whole.",
    empty: "No backup yet. Press `a` to make one.",
    columns: &["ID", "MADE", "KIND", "SIZE", "COPIES", "LAST FOUND WHOLE"],
    load,
    tabs: &[
        Tab { title: "All", line: |_| Some(Line::new(["backup", "list"])), when: When::Chosen },
        Tab {
            title: "Verify",
            line: |row| super::about(&["backup", "verify"], row),
            when: When::Asked("reads all of it"),
        },
    ],
    deeds: &[
        Deed {
            key: 'a',
            label: "make",
            about: "Make a backup, and prove that it can be restored",
            act: |_| Act::Fill(&["backup", "create"], vec![]),
        },
        Deed { key: 'v', label: "verify", about: "Check it in full, and say where it is damaged", act: verify },
        Deed {
            key: 'b',
            label: "restore",
            about: "Become what it holds; what is there now is copied first",
            act: |rows| fill(&["backup", "restore"], "backup", rows),
        },
        Deed {
            key: 'p',
            label: "push",
            about: "Put a further copy into a directory or on a host",
            act: |rows| fill(&["backup", "push"], "id", rows),
        },
        Deed {
            key: 'x',
            label: "prune",
            about: "Remove old backups, wherever their copies are",
            act: |_| Act::Fill(&["backup", "prune"], vec![]),
        },
        Deed {
            key: 's',
            label: "schedule",
            about: "Have a backup made every day",
            act: |_| Act::Fill(&["backup", "schedule"], vec![]),
        },
    ],
};

fn verify(rows: &[&Row]) -> Act {
    match rows {
        [row] => Act::Read(Line::new(["backup", "verify", &row.id])),
        _ => Act::Not("choose one backup"),
    }
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let now = System.now();
    let row = |listed: backup::Listed| {
        let record = &listed.record;
        let faulty = record.copies.iter().any(|copy| copy.fault.is_some()) || !listed.missing.is_empty();
        let whole = record.copies.iter().filter_map(|copy| copy.verified).max();
        let (found, tone) = match whole {
            _ if faulty => ("a copy is damaged or gone".to_owned(), Tone::Bad),
            _ if listed.lacks_base => ("what it builds on is gone".to_owned(), Tone::Bad),
            None => ("never".to_owned(), Tone::Warn),
            Some(time) => (format!("{} ago", ago((now - time).num_seconds())), Tone::Good),
        };
        Row::new(
            record.id.clone(),
            [
                Cell::new(record.id.clone(), Tone::Strong),
                record.created.format("%Y-%m-%d %H:%M").to_string().into(),
                record.kind.to_string().into(),
                format!("{} kB", record.size.div_euclid(1000)).into(),
                record.copies.len().to_string().into(),
                Cell::new(found, tone),
            ],
        )
    };
    Ok(backup::list(&source.open()?)?.into_iter().map(row).collect())
}
