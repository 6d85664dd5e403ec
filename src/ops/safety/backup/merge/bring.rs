//! What is secret in the other copy and comes along: opened there, to be sealed here.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::decide::Merged;
use super::numbers::Numbers;
use crate::db::{Brought, KeyRecord, Model, Store, Thing};
use crate::model::{Custody, InterfaceId, InterfaceKind, KeyState, NetworkId, NodeId, PrivateKey, Secrets};
use crate::ops::Error;

/// A network of the other copy, with its secrets.
pub(super) struct Theirs {
    pub(super) id: NetworkId,
    pub(super) model: Model,
    pub(super) secrets: Secrets,
    originals: BTreeMap<InterfaceId, Zeroizing<String>>,
    keys: BTreeMap<NodeId, Vec<KeyRecord>>,
}

impl Theirs {
    /// Reads every network of a database that nobody else uses; the last one stays chosen.
    pub(super) fn all(store: &Store) -> Result<Vec<Self>, Error> {
        let mut networks = Vec::new();
        for (id, _) in store.networks()? {
            store.choose_again(id)?;
            let model = store.model_now()?;
            let mut keys = BTreeMap::new();
            for node in &model.topology.nodes {
                keys.insert(node.id, store.key_history(node.id)?);
            }
            networks.push(Self { id, secrets: store.secrets()?, originals: store.originals()?, keys, model });
        }
        Ok(networks)
    }

    /// Returns the adopted interfaces, by their numbers here, whose configuration says something else here.
    pub(super) fn differing(&self, here: &Store, numbers: &Numbers) -> Result<BTreeSet<InterfaceId>, Error> {
        if self.secrets.documents.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (texts, originals) = (here.documents()?, here.originals()?);
        let differs = |id: &InterfaceId, own: &InterfaceId| {
            self.secrets.documents.get(id) != texts.get(own) || self.originals.get(id) != originals.get(own)
        };
        let known = self.secrets.documents.keys().filter_map(|id| Some((id, numbers.interface(*id)?)));
        Ok(known.filter(|(id, own)| differs(id, own)).map(|(_, own)| own).collect())
    }

    /// Returns the private half of a key, if it is known.
    fn private(&self, of: &KeyRecord) -> Option<&PrivateKey> {
        match of.state {
            KeyState::Active => self.secrets.private.get(&of.interface),
            KeyState::Staged => {
                let (public, private) = self.secrets.next_private.get(&of.interface)?;
                private.as_ref().filter(|_| *public == of.public_key)
            }
            KeyState::Retired => None,
        }
    }

    /// Returns what comes along with a merged network. `ours` is the network before, `held` are the interfaces whose
    /// private half is here.
    pub(super) fn brought(
        &self,
        (ours, held): (&Model, &BTreeSet<InterfaceId>),
        merged: &Merged,
        numbers: &Numbers,
        documents: &BTreeSet<InterfaceId>,
    ) -> Brought<'_> {
        let mut brought = Brought::default();
        let mut new = BTreeSet::new();
        for node in &self.model.topology.nodes {
            let own = numbers.node(node.id);
            let Some(is) = merged.model.topology.node(own) else { continue };
            let was = ours.topology.node(own);
            let is_taken = merged.taken.contains(&Thing::Node(own));
            for interface in &node.interfaces {
                let Some(id) = numbers.interface(interface.id) else { continue };
                let Some(present) = is.interfaces.iter().find(|own| own.id == id) else { continue };
                let before = was.and_then(|was| was.interfaces.iter().find(|own| own.id == id));
                let private = self.secrets.private.get(&interface.id);
                match before {
                    None => {
                        new.insert(id);
                        let known = self.keys.get(&node.id).into_iter().flatten();
                        let known = known.filter(|record| record.interface == interface.id);
                        brought.keys.extend(known.map(|record| (id, record.clone(), self.private(record))));
                        brought.overlaps.extend(interface.overlap.map(|overlap| (id, overlap)));
                    }
                    Some(_) if merged.keys.contains_key(&id) => {
                        brought.replaced.push((id, interface.public_key, private));
                    }
                    Some(before) if present.public_key == interface.public_key => {
                        let was_held = was.is_some_and(|was| was.custody == Custody::Held);
                        if is.custody != Custody::Held && was_held && interface.kind == InterfaceKind::Main {
                            brought.forgotten.push(id);
                        } else if let Some(private) = private
                            && is.custody == Custody::Held
                            && !held.contains(&before.id)
                        {
                            brought.held.push((id, private));
                        }
                    }
                    Some(_) => {}
                }
                let is_other = before.is_none() || documents.contains(&id);
                if let (true, Some(text)) = (is_taken && is_other, self.secrets.documents.get(&interface.id)) {
                    let original = self.originals.get(&interface.id).unwrap_or(text);
                    brought.documents.push((id, original, text));
                }
            }
        }
        self.preshared(&mut brought, merged, numbers, &new);
        brought
    }

    fn preshared<'a>(
        &'a self,
        brought: &mut Brought<'a>,
        merged: &Merged,
        numbers: &Numbers,
        new: &BTreeSet<InterfaceId>,
    ) {
        for (link, key) in &self.secrets.preshared {
            let (Some(own), Some(since)) = (numbers.link(*link), self.model.preshared.get(link)) else { continue };
            if merged.taken.contains(&Thing::PresharedKey(own)) {
                brought.preshared.push((own, key, *since));
            }
        }
        for (link, key) in &self.secrets.next_preshared {
            let Some(own) = numbers.link(*link) else { continue };
            let (low, high) = own.ends();
            let are_there = [low, high].iter().all(|end| {
                merged.model.topology.nodes.iter().any(|node| node.interfaces.iter().any(|own| own.id == *end))
            });
            if are_there && (new.contains(&low) || new.contains(&high)) {
                brought.next_preshared.push((own, key));
            }
        }
    }
}
