//! What of the other copy can be together with what is here. Pure.
//!
//! That is found by trying. What is named in a reason against the merged network is barred, and all is decided anew without it,
//! until nothing is against it. Where nothing is named that was taken over, what is behind it is looked for. What was barred
//! and isn't needed for that comes back at the end: it was only named beside the cause.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::clash::{called_as, clashes, remaining, with_uplinks};
use super::decide::{Attempt, Barred, Merged, Terms};
use super::hosts::Hosts;
use super::tries::{causes, readmitted};
use crate::db::{Model, Thing};
use crate::model::{Name, NodeId, PublicKey, Topology};
use crate::ops::network::change::unless_known;
use crate::wg::compile::{Refusal, check};

/// A network of both copies.
pub(super) struct Pair<'a> {
    pub(super) ours: &'a Model,
    /// The other copy's, in the numbers of ours. Its nodes live on hosts as those are called here.
    theirs: Model,
    /// Those of its nodes whose host isn't here, and which it is.
    unplaced: BTreeMap<NodeId, Name>,
    hosts: &'a Hosts,
    terms: &'a Terms<'a>,
    /// Whether the network here can be compiled.
    is_sound: OnceCell<bool>,
}

impl<'a> Pair<'a> {
    /// `theirs` has the numbers of `ours`.
    pub(super) fn new((ours, theirs): (&'a Model, &Model), hosts: &'a Hosts, terms: &'a Terms<'a>) -> Self {
        let (theirs, unplaced) = placed(theirs, hosts);
        Self { ours, theirs, unplaced, hosts, terms, is_sound: OnceCell::new() }
    }

    /// Merges without what is barred from the start, and without what can't be together.
    ///
    /// # Errors
    /// Why it couldn't be compiled, if that has to do with nothing that could be left out.
    pub(super) fn merge(&self, barred: &Barred) -> Result<Merged, Vec<Refusal>> {
        let merged = self.settle(barred)?;
        let mut more: Vec<Thing> = merged.barred.keys().filter(|thing| !barred.contains_key(thing)).copied().collect();
        more.sort_by_key(|thing| self.place(*thing));
        let back = readmitted(&more, |things| self.fits(&self.attempt(&without(&merged.barred, things))));
        Ok(if back.is_empty() { merged } else { self.attempt(&without(&merged.barred, &back)) })
    }

    /// Does the same, but also leaves out what was only named beside the cause.
    ///
    /// # Errors
    /// The same.
    pub(super) fn settle(&self, barred: &Barred) -> Result<Merged, Vec<Refusal>> {
        let mut barred = barred.clone();
        loop {
            let merged = self.attempt(&barred);
            let found = match self.clashes(&merged) {
                Ok(found) => found,
                Err(refusals) => self.hidden(&merged, &refusals).ok_or(refusals)?,
            };
            if found.is_empty() {
                return Ok(merged);
            }
            barred.extend(found);
        }
    }

    /// Merges without what is barred, whatever clashes then.
    pub(super) fn attempt(&self, barred: &Barred) -> Merged {
        Attempt::new(self.ours, &self.theirs, self.terms, barred).merge(self.hosts)
    }

    /// Whether nothing clashes; else what is named.
    pub(super) fn fits(&self, merged: &Merged) -> Result<(), BTreeSet<Thing>> {
        match self.clashes(merged) {
            Ok(found) if found.is_empty() => Ok(()),
            Ok(found) => Err(found.into_keys().collect()),
            Err(_) => Err(BTreeSet::new()),
        }
    }

    fn clashes(&self, merged: &Merged) -> Result<Barred, Vec<Refusal>> {
        clashes(merged, &self.unplaced, || {
            let topology = &merged.model.topology;
            unless_known(check(&with_uplinks(merged)), || self.known(topology))
        })
    }

    /// Returns why the network here can't be compiled, in the names of another one.
    fn known(&self, names: &Topology) -> Vec<Refusal> {
        let ours = &self.ours.topology;
        if *self.is_sound.get_or_init(|| check(ours).is_empty()) {
            Vec::new()
        } else {
            check(&called_as(ours.clone(), names))
        }
    }

    /// Finds what stands behind reasons that don't name it: something is said of a node that stays as it is here because of how
    /// another one, a link or the network's own values were changed there. `None` if it has to do with none of them.
    fn hidden(&self, merged: &Merged, refusals: &[Refusal]) -> Option<Barred> {
        let names = &merged.model.topology;
        let known = self.known(names);
        let mut all: Vec<Thing> = taken(merged).into_iter().collect();
        all.sort_by_key(|thing| self.place(*thing));
        let found = causes(&all, refusals, |things| {
            let more = things.iter().map(|thing| (*thing, String::new()));
            let tried = self.attempt(&merged.barred.clone().into_iter().chain(more).collect());
            let topology = called_as(with_uplinks(&tried).into_owned(), names);
            remaining(refusals, &unless_known(check(&topology), || known.clone()))
        });
        let why = |refusal: Refusal| format!("with it as the backup has it, {refusal}; then merge again");
        Some(found?.into_iter().map(|(thing, refusal)| (thing, why(refusal))).collect())
    }

    /// Puts the network's own values, groups and links first, and nodes in an order that depends on no number.
    pub(super) fn place(&self, thing: Thing) -> (Option<PublicKey>, Thing) {
        let Thing::Node(id) = thing else { return (None, thing) };
        let node = self.ours.topology.node(id).or_else(|| self.theirs.topology.node(id));
        (node.map(|node| node.guid), thing)
    }
}

/// Returns what was taken over and can be a reason against a network; a node that gave only its key, too.
pub(super) fn taken(merged: &Merged) -> BTreeSet<Thing> {
    let counts = |thing: &Thing| match thing {
        Thing::Network(_)
        | Thing::Host(_)
        | Thing::Node(_)
        | Thing::Group(_)
        | Thing::ExitGroup(_)
        | Thing::Link(_) => true,
        Thing::PresharedKey(_) | Thing::Document(_) => false,
        Thing::NetworkPskRules(_) | Thing::NodePskRules(_) | Thing::GroupPskRules(_) => false,
    };
    let keys = merged.keys.values().map(|id| Thing::Node(*id));
    merged.taken.iter().copied().filter(counts).chain(keys).collect()
}

/// Returns what is barred but for some things.
pub(super) fn without(barred: &Barred, things: &BTreeSet<Thing>) -> Barred {
    let stays = barred.iter().filter(|(thing, _)| !things.contains(thing));
    stays.map(|(thing, why)| (*thing, why.clone())).collect()
}

/// Has the nodes name the hosts on which they live as they are called here. Returns also those whose host isn't here, and
/// which it is.
fn placed(theirs: &Model, hosts: &Hosts) -> (Model, BTreeMap<NodeId, Name>) {
    let (mut theirs, mut unplaced) = (theirs.clone(), BTreeMap::new());
    for node in &mut theirs.topology.nodes {
        let Some(name) = node.host.take() else { continue };
        node.host = hosts.names.get(&name).cloned().flatten();
        if node.host.is_none() {
            unplaced.insert(node.id, name);
        }
    }
    (theirs, unplaced)
}
