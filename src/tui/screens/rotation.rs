//! Keys: how old they are, which are due, which are on their way.

use std::collections::BTreeMap;

use super::{Act, Deed, Screen, Tab, When, about, ago, fill, fill_all};
use crate::ops::Error;
use crate::ops::clock::{Clock as _, System};
use crate::ops::rotation::policy::due::{self, Standing, State};
use crate::ops::rotation::policy::view;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// Keys and preshared keys.
pub static SCREEN: Screen = Screen {
    title: "Keys",
    about: "Keys and preshared keys: how old they are, which are due, and who is on which.",
    empty: "No nodes yet: press `2` for the list of nodes.",
    columns: &["NODE", "ROLE", "KEY", "AGE", "NEXT", "POLICY"],
    load,
    tabs: &[
        Tab { title: "Key", line: |row| about(&["show"], row), when: When::Chosen },
        Tab {
            title: "On its way",
            line: |row| about(&["rotate", "--status"], row),
            when: When::Asked("hosts are asked which key they know"),
        },
        Tab { title: "Preshared keys", line: |row| about(&["psk", "status"], row), when: When::Chosen },
        Tab { title: "What policies did", line: |row| about(&["rotation", "log"], row), when: When::Chosen },
        Tab { title: "Policies", line: |_| Some(Line::new(["rotation", "policy", "list"])), when: When::Chosen },
    ],
    deeds: &[
        Deed {
            key: 'r',
            label: "new key",
            about: "Give nodes a new key; the present one works until the new one is in use",
            act: |rows| fill_all(&["rotate"], "nodes", rows),
        },
        Deed {
            key: 'f',
            label: "finish",
            about: "End a rotation now: the old key stops working",
            act: |rows| line(&["rotate", "--finish"], rows),
        },
        Deed {
            key: 'b',
            label: "take back",
            about: "Withdraw a next key that nobody uses yet",
            act: |rows| line(&["rotate", "--abort"], rows),
        },
        Deed {
            key: 'p',
            label: "new psk",
            about: "Give links another preshared key",
            act: |rows| fill_all(&["psk", "rotate"], "nodes", rows),
        },
        Deed {
            key: 'P',
            label: "psk policy",
            about: "Say which links carry a preshared key",
            act: |_| Act::Fill(&["psk", "policy"], vec![]),
        },
        Deed {
            key: 'a',
            label: "add policy",
            about: "Say when keys are to be replaced",
            act: |_| Act::Fill(&["rotation", "policy", "add"], vec![]),
        },
        Deed {
            key: 'x',
            label: "drop policy",
            about: "Remove a policy",
            act: |_| Act::Fill(&["rotation", "policy", "remove"], vec![]),
        },
        Deed {
            key: 'e',
            label: "event",
            about: "Say that a device was lost, a key is known to others, an operator left",
            act: |rows| fill(&["rotation", "event"], "nodes", rows),
        },
        Deed {
            key: 'n',
            label: "due now",
            about: "Replace the keys that are due",
            act: |_| Act::Change(Line::new(["rotation", "apply"])),
        },
    ],
};

fn line(words: &[&str], rows: &[&Row]) -> Act {
    super::change(words, rows)
}

fn load(source: &Source) -> Result<Vec<Row>, Error> {
    let database = source.open()?;
    let now = System.now();
    let facts = view::facts(&database)?;
    let standings: BTreeMap<_, Standing> =
        due::standings(&facts, now, None).into_iter().map(|standing| (standing.id, standing)).collect();
    let ages = due::key_ages(&facts);
    let topology = &facts.topology;
    let row = |node: &crate::model::Node| {
        let standing = standings.get(&node.id);
        let staged = node.interfaces.iter().any(|interface| interface.staged_key.is_some());
        let (word, tone) = match standing.map(|standing| standing.state) {
            _ if staged => ("next one on its way", Tone::Warn),
            Some(State::Due) => ("due", Tone::Bad),
            Some(State::Soon) => ("due soon", Tone::Warn),
            Some(_) => ("in order", Tone::Good),
            None => ("", Tone::Plain),
        };
        let age = ages.get(&node.id).map(|since| ago((now - *since).num_seconds()));
        let next = standing.and_then(|standing| standing.next).map(|next| next.format("%Y-%m-%d").to_string());
        Row::new(
            node.name.to_string(),
            [
                Cell::new(node.name.to_string(), Tone::Strong),
                node.role.to_string().into(),
                Cell::new(word, tone),
                age.unwrap_or_default().into(),
                next.unwrap_or_default().into(),
                standing.map(|standing| standing.policy.to_string()).unwrap_or_default().into(),
            ],
        )
    };
    let mut nodes: Vec<_> = topology.nodes.iter().filter(|node| node.enabled).collect();
    nodes.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    Ok(nodes.into_iter().map(row).collect())
}
