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
    /// The staged keys of interfaces that have one, each with its private half when that is held.
    pub next_private: BTreeMap<InterfaceId, (PublicKey, Option<PrivateKey>)>,
    /// Preshared keys; a link without one is absent.
    pub preshared: BTreeMap<LinkId, PresharedKey>,
    /// The preshared keys that come with a staged key of one of a link's ends.
    pub next_preshared: BTreeMap<LinkId, PresharedKey>,
    /// Adopted interfaces' own configurations, in the language of wg-quick(8): what their files are made from. They hold
    /// keys, and comments and hooks that may hold anything.
    pub documents: BTreeMap<InterfaceId, Zeroizing<String>>,
    /// Which interface has or had each key, so that a peer in a document is found again after its key was rotated.
    pub owners: BTreeMap<PublicKey, InterfaceId>,
}

impl Secrets {
    /// Returns the private half of an interface's key, the present or the staged one, if it is held.
    pub fn private_of(&self, interface: InterfaceId, public: PublicKey) -> Option<&PrivateKey> {
        match self.next_private.get(&interface) {
            Some((staged, private)) if *staged == public => private.as_ref(),
            _ => self.private.get(&interface),
        }
    }

    /// Returns a link's preshared key; if `next`, the one that comes with a staged key, unless that comes with none of its
    /// own.
    pub fn preshared_of(&self, link: LinkId, next: bool) -> Option<&PresharedKey> {
        let staged = if next { self.next_preshared.get(&link) } else { None };
        staged.or_else(|| self.preshared.get(&link))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents: Vec<&InterfaceId> = self.documents.keys().collect();
        f.debug_struct("Secrets")
            .field("private", &self.private)
            .field("next_private", &self.next_private)
            .field("preshared", &self.preshared)
            .field("next_preshared", &self.next_preshared)
            .field("documents", &documents)
            .finish_non_exhaustive()
    }
}
