//! What keeps a network safe and in order: vault, backups, audit, reports, defaults.

use super::{Act, Deed, Goal, Screen, Tab, When};
use crate::ops::Error;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// What keeps a network safe and in order.
pub static SCREEN: Screen = Screen {
    title: "Operations",
    about: "Security, backup and recovery, compliance, monitoring, settings.",
    empty: "",
    columns: &["WHAT", "ABOUT"],
    load,
    tabs: &[Tab { title: "Now", line: now, when: When::Chosen }],
    deeds: &[
        Deed { key: 'g', label: "go there", about: "Open the screen of it, or the form of what it does", act: go },
        Deed {
            key: 'p',
            label: "passphrase",
            about: "Replace the passphrase",
            act: |_| Act::Fill(&["vault", "passphrase"], vec![]),
        },
        Deed {
            key: 'r',
            label: "recovery key",
            about: "Print a new recovery key; the old one no longer unlocks",
            act: |_| Act::Fill(&["vault", "recovery"], vec![]),
        },
        Deed {
            key: 'n',
            label: "rekey",
            about: "Seal everything anew under a new key",
            act: |_| Act::Change(Line::new(["vault", "rekey"])),
        },
        Deed {
            key: 'b',
            label: "back up",
            about: "Make a backup, and prove that it can be restored",
            act: |_| Act::Fill(&["backup", "create"], vec![]),
        },
        Deed {
            key: 'w',
            label: "report",
            about: "Write a report for auditors",
            act: |_| Act::Fill(&["report"], vec![]),
        },
        Deed {
            key: 'e',
            label: "encrypt",
            about: "Encrypt a database that was made without encryption",
            act: |_| Act::Change(Line::new(["vault", "encrypt"])),
        },
    ],
};

/// An area: its name, what it is about, the line that says how it stands, and where it is worked on.
struct Area {
    name: &'static str,
    about: &'static str,
    line: &'static [&'static str],
    work: Work,
}

/// Where an area is worked on.
enum Work {
    /// On a screen.
    There(Goal),
    /// By the form of a command.
    By(&'static [&'static str]),
}

const AREAS: &[Area] = &[
    Area {
        name: "Vault",
        about: "how secrets are kept, who can unlock",
        line: &["vault", "status"],
        work: Work::By(&["vault", "passphrase"]),
    },
    Area {
        name: "Backups",
        about: "what was made, where the copies are",
        line: &["backup", "list"],
        work: Work::There(Goal::Screen(&super::backups::SCREEN)),
    },
    Area {
        name: "Audit log",
        about: "who did what",
        line: &["audit", "log"],
        work: Work::There(Goal::Screen(&super::audit::SCREEN)),
    },
    Area {
        name: "Report",
        about: "a summary for auditors, with warnings",
        line: &["report", "summary"],
        work: Work::By(&["report"]),
    },
    Area {
        name: "Devices",
        about: "who needs a new file",
        line: &["handouts"],
        work: Work::There(Goal::Screen(&super::devices::SCREEN)),
    },
    Area {
        name: "Groups and grants",
        about: "who may reach more than his level",
        line: &["grants"],
        work: Work::There(Goal::Screen(&super::groups::SCREEN)),
    },
    Area {
        name: "Links",
        about: "who is linked to whom, preshared keys",
        line: &["psk", "policy"],
        work: Work::There(Goal::Screen(&super::links::SCREEN)),
    },
    Area {
        name: "Networks",
        about: "address plans and defaults",
        line: &["network", "show"],
        work: Work::There(Goal::Screen(&super::networks::SCREEN)),
    },
    Area { name: "Status", about: "what was deployed where", line: &["status"], work: Work::There(Goal::Dashboard) },
    Area {
        name: "Policies",
        about: "when keys are replaced",
        line: &["rotation", "policy", "list"],
        work: Work::There(Goal::Screen(&super::rotation::SCREEN)),
    },
    Area {
        name: "Settings",
        about: "what goes for you on this machine",
        line: &["settings"],
        work: Work::By(&["settings", "set"]),
    },
];

fn area(row: &Row) -> Option<&'static Area> {
    AREAS.iter().find(|area| area.name == row.id)
}

fn now(row: &Row) -> Option<Line> {
    area(row).map(|area| Line::new(area.line.iter().copied()))
}

fn go(rows: &[&Row]) -> Act {
    match rows.first().and_then(|row| area(row)).map(|area| &area.work) {
        Some(Work::There(goal)) => Act::Go(goal.clone()),
        Some(Work::By(words)) => Act::Fill(words, vec![]),
        None => Act::Not("nothing is chosen"),
    }
}

fn load(_: &Source) -> Result<Vec<Row>, Error> {
    let row = |area: &Area| Row::new(area.name, [Cell::new(area.name, Tone::Strong), Cell::new(area.about, Tone::Dim)]);
    Ok(AREAS.iter().map(row).collect())
}
