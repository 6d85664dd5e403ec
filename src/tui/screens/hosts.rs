//! The machines that nodes live on.

use std::collections::BTreeMap;

use chrono::Utc;

use super::{Act, Deed, Goal, Screen, Tab, When, about, ago, change, fill};
use crate::model::DeploymentState;
use crate::ops::clock::{Clock as _, System};
use crate::ops::deploy::{pending, status};
use crate::ops::{Error, host};
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// The machines that nodes live on.
pub static SCREEN: Screen = Screen {
    title: "Hosts",
    about: "The machines that nodes live on: how they are reached, what was deployed there and when.",
    empty: "No hosts yet. Press `a` to add a machine that is reached over SSH.",
    columns: &["HOST", "ADDRESS", "NODES", "LAST DEPLOY", "WHEN", "VERSION"],
    load,
    tabs: &[
        Tab { title: "Interfaces", line: |row| about(&["interface", "show"], row), when: When::Chosen },
        Tab { title: "Versions", line: |row| about(&["history"], row), when: When::Chosen },
        Tab { title: "Log", line: |row| about(&["log"], row), when: When::Chosen },
        Tab { title: "Plan", line: |row| about(&["plan"], row), when: When::Asked("the host is asked what it has") },
        Tab {
            title: "Check",
            line: |row| about(&["host", "check"], row),
            when: When::Asked("the host is asked over SSH"),
        },
    ],
    deeds: &[
        Deed { key: 'p', label: "plan", about: "See what would change there, and deploy it", act: plan },
        Deed { key: 'a', label: "add", about: "Add a machine", act: |_| Act::Fill(&["host", "add"], vec![]) },
        Deed {
            key: 'e',
            label: "edit",
            about: "Change where it is and how root is had there",
            act: |rows| fill(&["host", "set"], "name", rows),
        },
        Deed {
            key: 'i',
            label: "install",
            about: "Bring it what it lacks: WireGuard's tools, nftables",
            act: |rows| change(&["host", "install"], rows),
        },
        Deed { key: 'c', label: "check", about: "Try whether it answers and what it lacks", act: check },
        Deed {
            key: 'b',
            label: "roll back",
            about: "Bring it back to an earlier version",
            act: |rows| fill(&["rollback"], "host", rows),
        },
        Deed {
            key: 'n',
            label: "join",
            about: "Make a script that joins a machine nobody can reach yet",
            act: |_| Act::Fill(&["host", "join"], vec![]),
        },
        Deed {
            key: 'U',
            label: "uninstall",
            about: "Take everything of wg-friend's off it",
            act: |rows| change(&["host", "uninstall"], rows),
        },
        Deed {
            key: 'x',
            label: "remove",
            about: "Forget machines that no node lives on",
            act: |rows| change(&["host", "remove"], rows),
        },
        Deed {
            key: 's',
            label: "interface",
            about: "Change settings of one of its interfaces",
            act: |_| Act::Fill(&["interface", "set"], vec![]),
        },
        Deed {
            key: 'r',
            label: "resume",
            about: "Finish deploys that were interrupted",
            act: |_| Act::Change(Line::new(["deploy", "--resume"])),
        },
    ],
};

fn plan(rows: &[&Row]) -> Act {
    Act::Go(Goal::Plan(rows.iter().map(|row| row.id.clone()).collect()))
}

fn check(rows: &[&Row]) -> Act {
    match rows {
        [] => Act::Not("nothing is chosen"),
        rows => Act::Read(Line::new(["host", "check"].into_iter().chain(rows.iter().map(|row| row.id.as_str())))),
    }
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let database = source.open()?;
    let now = System.now();
    let known: BTreeMap<_, _> =
        status::recorded(&database)?.hosts.into_iter().map(|host| (host.host.clone(), host)).collect();
    // While it is locked, or the model contradicts itself, nobody can tell.
    let lacking = source.store().and_then(|store| pending::pending(&store)).unwrap_or_default();
    let row = |view: host::HostView| {
        let status = known.get(&view.host.name);
        let (word, tone) = match status.and_then(|status| status.deployment) {
            None => ("never", Tone::Dim),
            Some(DeploymentState::Confirmed) if lacking.get(&view.host.name) == Some(&true) => {
                ("lacks changes", Tone::Warn)
            }
            Some(DeploymentState::Confirmed) => ("confirmed", Tone::Good),
            Some(other) => (other.as_str(), Tone::Warn),
        };
        let when = status.and_then(|status| status.deployed);
        let when = when.map(|when: chrono::DateTime<Utc>| ago((now - when).num_seconds())).unwrap_or_default();
        let own = view.nodes.iter().map(ToString::to_string);
        let others = view.others.iter().map(|other| format!("{}/{}", other.network, other.node));
        Row::new(
            view.host.name.to_string(),
            [
                Cell::new(view.host.name.to_string(), Tone::Strong),
                view.host.address.to_string().into(),
                own.chain(others).collect::<Vec<_>>().join(" ").into(),
                Cell::new(word.replace('_', " "), tone),
                when.into(),
                status.and_then(|status| status.version).map(|v| v.to_string()).unwrap_or_default().into(),
            ],
        )
    };
    Ok(host::list(&database)?.into_iter().map(row).collect())
}
