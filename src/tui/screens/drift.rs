//! What somebody changed on the hosts, as the last checks found it.

use super::{Act, Deed, Goal, Screen, Tab, When, about, fill};
use crate::model::ScanOutcome;
use crate::ops::Error;
use crate::ops::clock::{Clock as _, System};
use crate::ops::drift::history::{OfHost, report};
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// What somebody changed on the hosts.
pub static SCREEN: Screen = Screen {
    title: "Drift",
    about: "What somebody changed on the hosts since the last deploy, and what of it may stay.",
    empty: "No host was checked yet. Press `c` to look at all of them.",
    columns: &["HOST", "LAST CHECK", "FINDINGS", "CHECKS", "UNKNOWN"],
    load,
    tabs: &[
        Tab { title: "Earlier checks", line: |row| about(&["drift", "history"], row), when: When::Chosen },
        Tab {
            title: "Check now",
            line: |row| about(&["drift", "check"], row),
            when: When::Asked("the host is asked what it has"),
        },
        Tab { title: "Allowed", line: |row| about(&["drift", "ack", "--list"], row), when: When::Chosen },
        Tab { title: "Report", line: |_| Some(Line::new(["drift", "report"])), when: When::Chosen },
    ],
    deeds: &[
        Deed {
            key: 'c',
            label: "check all",
            about: "Look at all hosts now",
            act: |_| Act::Read(Line::new(["drift", "check"])),
        },
        Deed {
            key: 'a',
            label: "allow",
            about: "Say that something may stay as it was found",
            act: |rows| fill(&["drift", "ack"], "host", rows),
        },
        Deed {
            key: 'b',
            label: "allow all",
            about: "Acknowledge everything that is found there now",
            act: |rows| fill(&["drift", "baseline"], "host", rows),
        },
        Deed {
            key: 'A',
            label: "adopt",
            about: "Take what was changed there into the model",
            act: |rows| fill(&["drift", "adopt"], "host", rows),
        },
        Deed { key: 'm', label: "mend", about: "Plan and deploy: the host becomes what the model says", act: mend },
    ],
};

fn mend(rows: &[&Row]) -> Act {
    Act::Go(Goal::Plan(rows.iter().map(|row| row.id.clone()).collect()))
}

/// So many days are looked back.
pub const DAYS: u32 = 30;

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let summary = report(&source.open()?, DAYS, System.now())?;
    let row = |host: &OfHost| {
        let (word, tone) = match host.latest {
            None => ("never", Tone::Dim),
            Some(ScanOutcome::Clean) => ("clean", Tone::Good),
            Some(ScanOutcome::Unknown) => ("no answer", Tone::Warn),
            Some(other) => (other.as_str(), Tone::Bad),
        };
        let count = |n: usize| if n == 0 { String::new() } else { n.to_string() };
        Row::new(
            host.host.to_string(),
            [
                Cell::new(host.host.to_string(), Tone::Strong),
                Cell::new(word, tone),
                Cell::new(count(host.present), if host.present > 0 { Tone::Bad } else { Tone::Plain }),
                count(host.scans).into(),
                count(host.unknown).into(),
            ],
        )
    };
    Ok(summary.hosts.iter().map(row).collect())
}
