//! Several networks that are merged together: what of them can't be on a host that they share. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::clash::called_as;
use super::decide::{Barred, Merged};
use super::settle::{Pair, taken, without};
use super::tries::{causes, readmitted};
use crate::db::Thing;
use crate::model::Topology;
use crate::ops::network::shared_host::{Conflict, conflicts};
use crate::wg::compile::Refusal;

/// Something in a network.
type Own = (usize, Thing);

/// Merges all networks, each without what is barred in it from the start, and without what would clash between two of them on
/// a host. `untouched` are those that aren't merged.
///
/// # Errors
/// Why one couldn't be compiled.
pub(super) fn together(
    pairs: &[Pair<'_>],
    start: &[Barred],
    untouched: &[Topology],
) -> Result<Vec<Merged>, Vec<Refusal>> {
    let mut barred = start.to_vec();
    loop {
        let merged: Vec<Merged> =
            pairs.iter().zip(&barred).map(|(pair, barred)| pair.merge(barred)).collect::<Result<_, _>>()?;
        let all: Vec<Topology> = merged.iter().map(|one| one.model.topology.clone()).collect();
        let found = new_clashes(pairs, &all, untouched);
        if found.is_empty() {
            return Ok(let_in(pairs, merged, &own(start, &barred), untouched));
        }
        let left = |things: &BTreeSet<Own>| {
            let mut tried = all.clone();
            for (at, things) in by_network(things) {
                let more = things.into_iter().map(|thing| (thing, String::new()));
                let barred = merged[at].barred.clone().into_iter().chain(more).collect();
                let Ok(other) = pairs[at].settle(&barred) else { return found.clone() };
                tried[at] = called_as(other.model.topology, &all[at]);
            }
            let left = clashes(&tried, untouched);
            found.iter().filter(|clash| left.contains(clash)).cloned().collect()
        };
        // What is named comes first, and then all else: a node's host leads to the LANs of others, too.
        let mut candidates: Vec<Own> = Vec::new();
        for (at, one) in merged.iter().enumerate() {
            candidates.extend(taken(one).into_iter().map(|thing| (at, thing)));
        }
        candidates.sort_by_key(|(at, thing)| (!is_named(&found, &all[*at], *thing), *at, pairs[*at].place(*thing)));
        let Some(causes) = causes(&candidates, &found, left) else {
            return Ok(merged); // what is left has to do with nothing that was taken over, and refuses the whole
        };
        for ((at, thing), clash) in causes {
            barred[at].insert(thing, format!("{clash}; then merge again"));
        }
    }
}

/// Takes in again what needn't stay away: something else was the cause, too.
fn let_in(pairs: &[Pair<'_>], mut merged: Vec<Merged>, own: &[Own], untouched: &[Topology]) -> Vec<Merged> {
    let with = |at: usize, things: &BTreeSet<Thing>| pairs[at].attempt(&without(&merged[at].barred, things));
    let back = readmitted(own, |things| {
        let mut all: Vec<Topology> = merged.iter().map(|one| one.model.topology.clone()).collect();
        for (at, things) in by_network(things) {
            let tried = with(at, &things);
            if let Err(named) = pairs[at].fits(&tried) {
                return Err(named.into_iter().map(|thing| (at, thing)).collect());
            }
            all[at] = tried.model.topology;
        }
        let found = new_clashes(pairs, &all, untouched);
        let named = things.iter().copied().filter(|(at, thing)| is_named(&found, &all[*at], *thing));
        if found.is_empty() { Ok(()) } else { Err(named.collect()) }
    });
    let again: Vec<(usize, Merged)> =
        by_network(&back).into_iter().map(|(at, things)| (at, with(at, &things))).collect();
    for (at, one) in again {
        merged[at] = one;
    }
    merged
}

/// Returns what was barred since the start.
fn own(start: &[Barred], barred: &[Barred]) -> Vec<Own> {
    let of = |(at, (start, barred)): (usize, (&Barred, &Barred))| -> Vec<Own> {
        barred.keys().filter(|thing| !start.contains_key(thing)).map(|thing| (at, *thing)).collect()
    };
    start.iter().zip(barred).enumerate().flat_map(of).collect()
}

fn by_network(things: &BTreeSet<Own>) -> BTreeMap<usize, BTreeSet<Thing>> {
    let mut networks: BTreeMap<usize, BTreeSet<Thing>> = BTreeMap::new();
    for (at, thing) in things {
        networks.entry(*at).or_default().insert(*thing);
    }
    networks
}

/// Finds what clashes on a host.
fn clashes(own: &[Topology], untouched: &[Topology]) -> Vec<Conflict> {
    let all: Vec<Topology> = own.iter().chain(untouched).cloned().collect();
    let each = all.iter().enumerate().take(own.len());
    each.flat_map(|(at, one)| conflicts(one, &all[at + 1..])).collect()
}

/// Finds what clashes on a host and didn't before, whatever it was called then.
fn new_clashes(pairs: &[Pair<'_>], own: &[Topology], untouched: &[Topology]) -> Vec<Conflict> {
    let mut found = clashes(own, untouched);
    if !found.is_empty() {
        let before = pairs.iter().zip(own).map(|(pair, own)| called_as(pair.ours.topology.clone(), own));
        let known = clashes(&before.collect::<Vec<_>>(), untouched);
        found.retain(|clash| !known.contains(clash));
    }
    found
}

/// Whether a node is named in what clashes on a host.
fn is_named(found: &[Conflict], topology: &Topology, thing: Thing) -> bool {
    let Thing::Node(id) = thing else { return false };
    let sides = || found.iter().flat_map(Conflict::sides);
    let network = &topology.network.name;
    topology.node(id).is_some_and(|node| sides().any(|side| side.network == *network && side.node == node.name))
}
