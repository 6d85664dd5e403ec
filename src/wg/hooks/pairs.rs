//! What comes up with what goes down: each thing that hooks deal with, and where it is set up and taken down.

use super::Place;
use super::normalise::{Act, Thing};
use super::rule::Verb;

/// A thing, and the commands about it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) thing: Thing,
    /// Commands that run when the interface comes up.
    pub(super) up: Vec<Place>,
    /// Commands that run when it goes down.
    pub(super) down: Vec<Place>,
}

/// Collects the things that commands deal with, in the order in which they first come up.
///
/// A command that takes something away while the interface comes up makes room for one that sets it up. One that sets
/// something up while it goes down is no half of a pair: it isn't collected.
pub(super) fn collect(acts: impl IntoIterator<Item = (Place, bool, Act)>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut downs: Vec<(Place, Act)> = Vec::new();
    for (place, is_up, act) in acts {
        if !is_up {
            if act.verb != Some(Verb::Add) {
                downs.push((place, act));
            }
            continue;
        }
        match items.iter_mut().find(|item| item.thing == act.thing) {
            Some(item) => item.up.push(place),
            None => items.push(Item { thing: act.thing, up: vec![place], down: Vec::new() }),
        }
    }
    // Taken away before, and never set up: no part of coming up, unless it is.
    for (place, act) in downs {
        let exact = items.iter().position(|item| item.thing == act.thing);
        let near = || items.iter().position(|item| undoes(&act.thing, &item.thing));
        match exact.or_else(near) {
            Some(at) => items[at].down.push(place),
            None => items.push(Item { thing: act.thing, up: Vec::new(), down: vec![place] }),
        }
    }
    items
}

/// Whether taking away `gone` takes away `there`, although it is said in fewer words.
fn undoes(gone: &Thing, there: &Thing) -> bool {
    match (gone, there) {
        (Thing::PolicyRule { family, selectors }, Thing::PolicyRule { family: other, selectors: all }) => {
            family == other && !selectors.is_empty() && selectors.iter().all(|selector| all.contains(selector))
        }
        (
            Thing::Route { family, to, table, via, dev },
            Thing::Route { family: other_family, to: other_to, table: other_table, via: other_via, dev: other_dev },
        ) => {
            let fits = |gone: &Option<String>, there: &Option<String>| gone.is_none() || gone == there;
            family == other_family
                && to == other_to
                && table == other_table
                && fits(via, other_via)
                && fits(dev, other_dev)
        }
        (Thing::Address { address, dev, .. }, Thing::Address { address: other, dev: other_dev, .. }) => {
            address == other && dev == other_dev
        }
        (Thing::Table { .. }, Thing::TableFile { .. }) => true,
        (Thing::FrontEnd { program, words }, Thing::FrontEnd { program: other, words: all }) => {
            // A timeout or a comment is said once.
            program == other && program == "ufw" && all.starts_with(words)
        }
        _ => false,
    }
}

/// Whether a thing goes away by itself with the interface, or is meant to stay.
pub(super) fn stands_alone(thing: &Thing, interface: &str) -> bool {
    match thing {
        Thing::Forwarding { .. } | Thing::Key { .. } | Thing::Script { .. } => true,
        Thing::Route { dev, .. } => dev.as_deref() == Some(interface),
        Thing::Address { dev, .. } | Thing::Shaping { dev } | Thing::Names { dev } => dev == interface,
        Thing::Rule(_)
        | Thing::PolicyRule { .. }
        | Thing::FrontEnd { .. }
        | Thing::Table { .. }
        | Thing::TableFile { .. } => false,
    }
}
