//! Taking over what another copy of the database has: the model becomes the merged one, and what is secret in it is sealed
//! here.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::{Model, Returned};
use crate::db::error::Result;
use crate::db::keys::KeyRecord;
use crate::db::micros;
use crate::db::tx::Tx;
use crate::db::vault::REMOVED_KEY;
use crate::model::{InterfaceId, KeyState, LinkId, Overlap, PresharedKey, PrivateKey, PublicKey};

/// Why a key is retired for which another one came from a backup.
const MERGED: &str = "the backup that was merged had a newer one";

/// What comes along with a merged model: its secrets, opened where they come from.
#[derive(Default)]
pub struct Brought<'a> {
    /// The keys of interfaces that aren't there, past ones too, and the private halves that are known.
    pub keys: Vec<(InterfaceId, KeyRecord, Option<&'a PrivateKey>)>,
    /// Interfaces that are there and go by another key from now on.
    pub replaced: Vec<(InterfaceId, PublicKey, Option<&'a PrivateKey>)>,
    /// Private halves that were lacking.
    pub held: Vec<(InterfaceId, &'a PrivateKey)>,
    /// Interfaces whose private half isn't to be kept here any more.
    pub forgotten: Vec<InterfaceId>,
    /// New interfaces that are dialled by two keys.
    pub overlaps: Vec<(InterfaceId, Overlap)>,
    /// Preshared keys, and since when their links have them.
    pub preshared: Vec<(LinkId, &'a PresharedKey, DateTime<Utc>)>,
    /// Preshared keys that come with a staged key.
    pub next_preshared: Vec<(LinkId, &'a PresharedKey)>,
    /// Configurations of adopted interfaces: as they were read, and what files are made from.
    pub documents: Vec<(InterfaceId, &'a str, &'a str)>,
}

impl Brought<'_> {
    /// Whether nothing comes along.
    pub fn is_nothing(&self) -> bool {
        let Self { keys, replaced, held, forgotten, overlaps, preshared, next_preshared, documents } = self;
        keys.is_empty()
            && replaced.is_empty()
            && held.is_empty()
            && forgotten.is_empty()
            && overlaps.is_empty()
            && preshared.is_empty()
            && next_preshared.is_empty()
            && documents.is_empty()
    }
}

impl Tx<'_> {
    /// Sees that no new interface gets a number up to this one: those are spoken for.
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn reserve_interfaces(&self, last: i64) -> Result<()> {
        let sql = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'interfaces'";
        self.transaction.prepare_cached(sql)?.execute([last])?;
        Ok(())
    }

    /// Makes the network a merged one. What is the same already isn't written.
    ///
    /// # Errors
    /// [`Error::Duplicate`](crate::db::Error::Duplicate) for what is taken, [`Error::KeyMismatch`](crate::db::Error::KeyMismatch).
    pub fn merge_in(&self, merged: &Model, brought: &Brought<'_>, now: DateTime<Utc>) -> Result<Returned> {
        for (interface, key, private) in &brought.keys {
            self.keep_brought_key(*interface, key, *private, now)?;
        }
        for (interface, public, private) in &brought.replaced {
            self.replace_key(*interface, *public, *private, MERGED, now)?;
        }
        let goal = merged.topology.nodes.iter().map(|node| (node.id, node.clone())).collect();
        let mut returned = Returned::default();
        self.become_model(merged, &goal, now, &mut returned)?;
        for (interface, overlap) in &brought.overlaps {
            self.set_overlap(*interface, overlap)?;
        }
        brought.held.iter().try_for_each(|(interface, key)| self.hold_private_key(*interface, key))?;
        brought.preshared.iter().try_for_each(|(link, key, since)| self.set_psk(*link, key, *since))?;
        brought.next_preshared.iter().try_for_each(|(link, key)| self.stage_psk(*link, key, now))?;
        for (interface, original, text) in &brought.documents {
            self.save_document(*interface, original)?;
            self.edit_document(*interface, text)?;
        }
        for interface in &brought.forgotten {
            self.forget_everywhere(*interface)?; // also from what was saved just now
        }
        Ok(returned)
    }

    /// Keeps a key as one of those that are put back with their interface. In the place of another one that it had here it
    /// comes only if it wasn't retired here.
    fn keep_brought_key(
        &self,
        interface: InterfaceId,
        key: &KeyRecord,
        private: Option<&PrivateKey>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let public = key.public_key.to_string();
        if key.state != KeyState::Retired {
            let sql = "UPDATE removed_keys SET state = 'retired', retired = ?4, reason = ?5
                       WHERE interface_id = ?1 AND state = ?2 AND public_key <> ?3
                         AND NOT EXISTS (SELECT 1 FROM removed_keys WHERE public_key = ?3 AND state = 'retired')
                         AND NOT EXISTS (SELECT 1 FROM keys WHERE public_key = ?3)";
            let values = params![interface.0, key.state.as_str(), public, micros(now), MERGED];
            self.transaction.prepare_cached(sql)?.execute(values)?;
        }
        let seal =
            |private: &PrivateKey| REMOVED_KEY.seal(self.data_key(), &public, private.expose_base64().as_bytes());
        let sealed = private.map(seal).transpose()?;
        let (state, reason) = (key.state.as_str().to_owned(), key.reason.clone());
        let (created, retired) = (micros(key.created), key.retired_at.map(micros));
        self.keep_key(interface, (public, state, created, retired, reason, sealed))
    }
}
