//! The store: one SQLite file that holds the model of networks, its vault, its audit log and what was done to its hosts.
//!
//! [`Database`] is the file opened: it answers everything that isn't secret. [`Database::unlock`] turns it into a
//! [`Store`], which also opens sealed values and is the only one that can write: [`Store::write`] takes an audit event along
//! with the work, so a change without its entry can't be made. Inside, a [`Tx`] reads everything a store reads.

pub mod archive;
mod audit;
mod backup;
mod commands;
mod deployments;
mod digits;
mod documents;
mod drift;
mod error;
mod exit_groups;
mod forget;
mod generated;
mod groups;
mod hosts;
pub mod keyring;
mod keys;
mod links;
mod mark;
mod migrate;
mod networks;
mod nodes;
mod open;
mod passphrases;
mod plain;
mod psk;
mod rekey;
mod revisions;
mod rotation;
mod row;
mod scratch;
mod shares;
mod slots;
mod states;
#[cfg(test)]
mod tests;
mod tx;
mod vault;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::model::Name;
use chrono::{DateTime, Utc};
use rusqlite::Connection;

pub use audit::{
    Alteration, AnchorProblem, Anchored, Checkpoint, Consistency, Entry, Exported, Filter, Finding, Inclusion,
    InvalidHead, Leaf, Problem, Restoration, SignedHead, Verification, VerifierKey,
};
pub use backup::{BackupCopy, BackupRecord};
pub use commands::{Command, CommandId, CommandStep, NewStep, StepEnd};
pub use deployments::{Deployment, DeploymentId};
pub use drift::{Acknowledgement, DriftItem, Scan, SeenItem};
pub use error::{Error, Kind, Result};
pub use generated::{Generated, Handout};
pub use keys::{KeyRecord, Retired};
pub use mark::Mark;
pub use plain::{Count, Encrypted};
pub use rekey::Rekeyed;
pub use revisions::{Revision, Use};
pub use rotation::{
    Counter, CounterSeen, Execution, ExecutionEnd, ExecutionId, Grown, KeyOf, NewExecution, RecordedEvent,
    RightsChange, Traffic, Undeployed,
};
pub use scratch::{PartFile, Scratch};
pub use shares::{InvalidShares, MOST_SHARES, Share, check_counts, repeated};
pub use slots::{MOST_PASSPHRASES, Slot};
pub use states::{About, Brought, Last, LastNumbers, MADE, Model, Returned, State, StateFilter, Thing};
pub use tx::Tx;
pub use vault::{Passphrase, RecoveryKey};
pub use wg_friend_crypt::{DataKey, KdfParams};

/// An open database, locked: answers everything that isn't secret.
#[derive(Debug)]
pub struct Database {
    conn: Connection,
    path: PathBuf,
    id: String,
}

impl Database {
    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the random name of the database, under which the kernel's keyring holds its key.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// An unlocked database: opens what is sealed, and writes.
#[derive(Debug)]
pub struct Store {
    database: Database,
    key: DataKey,
    /// The name of the passphrase that unlocked it, if one did.
    opened: Option<Name>,
}

impl Deref for Store {
    type Target = Database;
    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Store {
    /// Opens a second connection to the same database, for another thread. The same network is chosen in it.
    pub fn another(&self) -> Result<Self> {
        let database = Database::open(&self.path)?;
        database.choose_as(&self.database)?;
        Ok(Self { database, key: self.key.duplicate(), opened: self.opened.clone() })
    }

    /// Returns the key that opens everything sealed.
    pub fn data_key(&self) -> &DataKey {
        &self.key
    }

    /// Returns the HMAC-SHA-256 of a message, under a key of this database for one purpose: nobody without the passphrase
    /// can make it.
    pub fn authenticate(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        wg_friend_crypt::mac(&wg_friend_crypt::subkey(&self.key, purpose), message)
    }

    /// Puts the data key into the kernel's keyring, so that the next commands need no passphrase for a while.
    pub fn remember(&self, duration: std::time::Duration) -> Result<()> {
        keyring::remember(&self.key, &self.id, duration)
    }

    /// Gives up the key: nothing of it stays in memory.
    pub fn lock(self) -> Database {
        let Self { database, key, .. } = self;
        drop(key);
        wg_friend_crypt::wipe_stack();
        database
    }
}

/// A time as the store keeps it: whole microseconds.
fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}
