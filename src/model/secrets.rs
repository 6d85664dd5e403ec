//! The secrets of a topology, kept apart from it: a topology can be listed, compared and printed without them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{InterfaceId, PresharedKey, PrivateKey};

/// An undirected pair of interfaces that are peers of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId {
    low: InterfaceId,
    high: InterfaceId,
}

impl LinkId {
    /// The link between two interfaces, whichever is named first.
    pub fn between(a: InterfaceId, b: InterfaceId) -> Self {
        Self { low: a.min(b), high: a.max(b) }
    }

    /// Returns the two ends, the lower number first.
    pub fn ends(self) -> (InterfaceId, InterfaceId) {
        (self.low, self.high)
    }
}

/// Private keys by interface and preshared keys by link, as unsealed from the vault.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Held private keys; an interface whose key is elsewhere is absent.
    pub private: BTreeMap<InterfaceId, PrivateKey>,
    /// Preshared keys; a link without one is absent.
    pub preshared: BTreeMap<LinkId, PresharedKey>,
}
