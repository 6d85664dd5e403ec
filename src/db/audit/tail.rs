//! The tail: what the vault keeps of the log's end, sealed, so that nobody without the key can give the log another end.
//!
//! It is 40 bytes as long as the log has no signing key: number of the newest entry, and its hash; and a zero byte if it was
//! not whole when it was to get one. With a key, there follow the public key, the number of checkpoints and the digest over
//! them, the peaks of the Merkle tree, as many as [`Frontier::peaks`] has of that size, and the number of the entry that changed
//! the vault's slots last, which earlier versions did not keep.

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::DataKey;
use wg_friend_crypt::merkle::{self, Frontier, Hash};

use super::{GENESIS, SignedHead, taken};
use crate::db::error::{Error, Result};
use crate::db::vault::{AUDIT_TAIL, no_row};

/// The end of the log.
pub(super) struct Tail {
    /// The number of the newest entry.
    pub(super) id: i64,
    /// Its hash.
    pub(super) hash: Hash,
    /// What belongs to signed heads; none before there is a key for them.
    pub(super) signed: Option<Signed>,
    /// Whether the log wasn't whole when it was to get its key, so that it got none: the next entry doesn't try again.
    pub(super) unwhole: bool,
    /// The number of the newest entry that tells of a change of the vault's slots. It is kept with the key for signed heads;
    /// `None` if an earlier version wrote last.
    pub(super) slots: Option<i64>,
}

/// What the tail knows for the sake of signed heads.
pub(super) struct Signed {
    /// The public key.
    pub(super) public: [u8; 32],
    /// How many checkpoints there are.
    pub(super) checkpoints: i64,
    /// What [`chained`] makes of them all.
    pub(super) digest: Hash,
    /// The tree over the entries' hashes.
    pub(super) tree: Frontier,
}

/// What the digest over checkpoints begins with.
pub(super) const FIRST: Hash = [0; 32];

/// Returns the digest over a checkpoint and those before it.
pub(super) fn chained(digest: &Hash, head: &SignedHead) -> Hash {
    Sha256::new_with_prefix(digest).chain_update(head.to_string()).finalize().into()
}

impl Tail {
    /// Adds an entry.
    pub(super) fn advance(&mut self, hash: Hash) {
        self.id += 1;
        self.hash = hash;
        if let Some(signed) = &mut self.signed {
            signed.tree.push(merkle::leaf(&hash));
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.id.to_be_bytes()[..], &self.hash].concat();
        if self.signed.is_none() && self.unwhole {
            bytes.push(0);
        }
        if let Some(Signed { public, checkpoints, digest, tree }) = &self.signed {
            bytes.extend_from_slice(public);
            bytes.extend_from_slice(&checkpoints.to_be_bytes());
            bytes.extend_from_slice(digest);
            tree.peaks().iter().for_each(|peak| bytes.extend_from_slice(peak));
            self.slots.iter().for_each(|entry| bytes.extend_from_slice(&entry.to_be_bytes()));
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let id = i64::from_be_bytes(*id);
        let (signed, slots, unwhole) = match rest {
            [] => (None, None, false),
            [0] => (None, None, true),
            _ => {
                let (signed, rest) = Signed::from_bytes(id, rest)?;
                let slots = if rest.is_empty() { None } else { Some(i64::from_be_bytes(rest.try_into().ok()?)) };
                (Some(signed), slots, false)
            }
        };
        Some(Self { id, hash: *hash, signed, unwhole, slots })
    }

    fn seal(&self, key: &DataKey, database: &str) -> Result<String> {
        AUDIT_TAIL.seal(key, database, &self.to_bytes())
    }

    /// Reads the tail, and the name of the database that it belongs to.
    pub(super) fn load(conn: &Connection, key: &DataKey) -> Result<(Self, String)> {
        let mut statement = conn.prepare_cached("SELECT database_id, sealed_audit_tail FROM vault")?;
        let (database, sealed): (String, String) = statement
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|e| no_row(e, "the vault is gone"))?;
        let bytes = AUDIT_TAIL.open(key, &database, &sealed)?;
        let wrong = || Error::Value { table: "vault", column: "sealed_audit_tail".into() };
        Ok((Self::from_bytes(&bytes).ok_or_else(wrong)?, database))
    }

    /// Seals the tail and stores it.
    pub(super) fn save(&self, conn: &Connection, key: &DataKey, database: &str) -> Result<()> {
        let sealed = self.seal(key, database)?;
        taken(conn.prepare_cached("UPDATE vault SET sealed_audit_tail = ?1")?.execute([sealed])?)
    }
}

impl Signed {
    /// Reads it; returns what stands behind it too.
    fn from_bytes(id: i64, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (public, rest) = bytes.split_first_chunk()?;
        let (checkpoints, rest) = rest.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (peaks, rest) = rest.as_chunks();
        let tree = Frontier::from_parts(u64::try_from(id).ok()?, peaks.to_vec())?;
        Some((Self { public: *public, checkpoints: i64::from_be_bytes(*checkpoints), digest: *digest, tree }, rest))
    }
}

/// Seals the tail of a log without entries.
pub(in crate::db) fn seal_empty(key: &DataKey, database: &str) -> Result<String> {
    Tail { id: 0, hash: GENESIS, signed: None, unwhole: false, slots: None }.seal(key, database)
}
