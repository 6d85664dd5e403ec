//! The secrets of a topology, kept apart from it: a topology can be listed, compared and printed without them.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use super::{InterfaceId, LinkId, PresharedKey, PrivateKey, PublicKey};

/// Private keys by interface and preshared keys by link, as unsealed from the vault.
#[derive(Default)]
pub struct Secrets {
    /// Held private keys; an interface whose key is elsewhere is absent.
    pub private: BTreeMap<InterfaceId, PrivateKey>,
    /// Preshared keys; a link without one is absent.
    pub preshared: BTreeMap<LinkId, PresharedKey>,
    /// Adopted interfaces' own configurations, in the language of wg-quick(8): what their files are made from. They hold
    /// keys, and comments and hooks that may hold anything.
    pub documents: BTreeMap<InterfaceId, Zeroizing<String>>,
    /// Which interface has or had each key, so that a peer in a document is found again after its key was rotated.
    pub owners: BTreeMap<PublicKey, InterfaceId>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents: Vec<&InterfaceId> = self.documents.keys().collect();
        f.debug_struct("Secrets")
            .field("private", &self.private)
            .field("preshared", &self.preshared)
            .field("documents", &documents)
            .finish_non_exhaustive()
    }
}
