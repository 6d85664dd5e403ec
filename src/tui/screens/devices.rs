//! Devices, and whether they have the file that they should have.

use super::{Act, Deed, Screen, Tab, When, about, change};
use crate::ops::Error;
use crate::ops::revision::{self, DeviceState};
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// Devices and their files.
pub static SCREEN: Screen = Screen {
    title: "Devices",
    about: "Which devices need a new file, and why; which file was handed out, and which is in use.",
    empty: "No device carries a file that somebody hands out.",
    columns: &["DEVICE", "FILE", "WHY", "HANDED OUT"],
    load,
    tabs: &[
        Tab { title: "Overview", line: |row| about(&["show"], row), when: When::Chosen },
        Tab {
            title: "QR",
            line: |row| about(&["qr"], row),
            when: When::Asked("the code has its private key in it, and counts as handed out"),
        },
        Tab { title: "All", line: |_| Some(Line::new(["handouts"])), when: When::Chosen },
    ],
    deeds: &[
        Deed {
            key: 'w',
            label: "write file",
            about: "Write its file into a directory",
            act: |rows| super::fill_all(&["generate"], "nodes", rows),
        },
        Deed { key: 'x', label: "remove", about: "Remove it from the network", act: |rows| change(&["remove"], rows) },
        Deed {
            key: 'h',
            label: "who needs one",
            about: "List devices that need a new file, and why",
            act: |_| Act::Read(Line::new(["handouts"])),
        },
    ],
};

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let row = |device: revision::DeviceReport| {
        let (word, tone) = match device.state {
            DeviceState::Outdated => ("needs a new one", Tone::Warn),
            DeviceState::NeverHandedOut => ("never handed out", Tone::Warn),
            DeviceState::UpToDate => ("up to date", Tone::Good),
        };
        Row::new(
            device.node.to_string(),
            [
                Cell::new(device.node.to_string(), Tone::Strong),
                Cell::new(word, tone),
                device.why().into(),
                Cell::new(device.history(), Tone::Dim),
            ],
        )
    };
    Ok(revision::list(&source.open()?)?.into_iter().map(row).collect())
}
