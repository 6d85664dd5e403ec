//! What differs between the rules of two states of a network.

use std::collections::BTreeSet;

use crate::db::Model;
use crate::model::{PskRules, PskScope, Topology};
use crate::ops::network::history::{Changed, Field, How, What};

/// Returns what rules say, by the words of `psk policy`; nothing of what they don't say.
pub(super) fn values(rules: &PskRules) -> Vec<(&'static str, String)> {
    let days = |days: u16| format!("{days} d");
    let words = |on: &BTreeSet<_>| {
        if on.is_empty() {
            "none".to_owned()
        } else {
            on.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    };
    let all = [
        ("mode", rules.mode.map(|mode| mode.to_string())),
        ("every", rules.every_days.map(days)),
        ("notice", rules.notice_days.map(days)),
        ("on", rules.on.as_ref().map(words)),
    ];
    all.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

/// Returns what a scope is called: `network office`, `group staff`, `node fritzbox`.
pub(in crate::ops) fn name(topology: &Topology, scope: PskScope) -> String {
    match scope {
        PskScope::Network => format!("network {}", topology.network.name),
        PskScope::Group(id) => {
            topology.group(id).map_or_else(|| format!("group number {}", id.0), |group| format!("group {}", group.name))
        }
        PskScope::Node(id) => {
            topology.node(id).map_or_else(|| format!("node number {}", id.0), |node| format!("node {}", node.name))
        }
    }
}

/// Lists what differs between the rules of two states.
pub(in crate::ops) fn differences(before: &Model, after: &Model) -> Vec<Changed> {
    let scopes: BTreeSet<PskScope> = before.psk_rules.keys().chain(after.psk_rules.keys()).copied().collect();
    let nothing = PskRules::default();
    let mut changes = Vec::new();
    for scope in scopes {
        let (was, is) = (before.psk_rules.get(&scope), after.psk_rules.get(&scope));
        if was == is {
            continue;
        }
        let how = match (was, is) {
            (None, _) => How::Added,
            (_, None) => How::Removed,
            _ => How::Changed,
        };
        let (was, is) = (values(was.unwrap_or(&nothing)), values(is.unwrap_or(&nothing)));
        let of = |side: &[(&str, String)], field: &str| {
            side.iter().find(|(own, _)| *own == field).map(|(_, value)| value.clone())
        };
        let fields: BTreeSet<&str> = was.iter().chain(&is).map(|(field, _)| *field).collect();
        let fields = fields
            .into_iter()
            .map(|field| Field { field: field.to_owned(), before: of(&was, field), after: of(&is, field) })
            .filter(|field| field.before != field.after);
        let there = |topology: &Topology| match scope {
            PskScope::Network => true,
            PskScope::Group(id) => topology.group(id).is_some(),
            PskScope::Node(id) => topology.node(id).is_some(),
        };
        let named = if there(&after.topology) { &after.topology } else { &before.topology };
        changes.push(Changed {
            what: What::PskRules,
            name: name(named, scope),
            how,
            fields: fields.collect(),
            along: !(there(&before.topology) && there(&after.topology)),
        });
    }
    changes
}
