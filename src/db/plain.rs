//! Databases without encryption, and encrypting them in place.
//!
//! An unencrypted database is like any other, but for one row: its data key lies in the file as it is. So nothing else has
//! to know of it, and encrypting is rekeying: everything is sealed anew under a key that only the slots hold, and the old
//! key goes, in one transaction. What it opened may still lie in pages that the file no longer uses; a mark that is set in
//! the same transaction stays until the file has been written anew, whoever does it in the end.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::Serialize;
use wg_friend_crypt::{DataKey, KdfParams};
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::slots::{self, Way};
use super::vault::{self, Passphrase, RecoveryKey};
use super::{Database, Store, audit, micros, migrate, rekey};
use crate::model::{Action, Actor, Event};

/// How many values of one kind were encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// What they are, in words: `private keys`.
    pub kind: &'static str,
    /// How many.
    pub count: usize,
}

/// What encrypting did.
#[derive(Debug)]
pub struct Encrypted {
    /// The recovery key, to be shown once.
    pub recovery: RecoveryKey,
    /// How many values of each kind there were, without the kinds of which there was none.
    pub counts: Vec<Count>,
    /// Why pages from before still lie in the file, if they do. The next to open it tries again.
    pub old_pages: Option<Error>,
}

/// Keeps the data key where everybody who has the file finds it.
pub(super) fn save_key(conn: &Connection, key: &DataKey, now: DateTime<Utc>) -> Result<()> {
    let sql = "INSERT INTO plain_key (id, data_key, created) VALUES (1, ?1, ?2)";
    conn.execute(sql, params![&key.expose()[..], micros(now)])?;
    Ok(())
}

/// Whether the data key lies in the file.
pub(super) fn is_plain(conn: &Connection) -> Result<bool> {
    Ok(conn.query_row("SELECT EXISTS (SELECT 1 FROM plain_key)", [], |row| row.get(0))?)
}

/// Whether pages from before the encryption may still lie in the file.
fn has_old_pages(conn: &Connection) -> Result<bool> {
    Ok(conn.query_row("SELECT EXISTS (SELECT 1 FROM old_pages)", [], |row| row.get(0))?)
}

/// Writes the file anew if pages from before the encryption may still lie in it.
///
/// # Errors
/// [`Error::Busy`] while another process reads or writes; [`Error::DiskFull`]: a copy of the file needs room for a while.
pub(super) fn drop_old_pages(conn: &Connection) -> Result<()> {
    if !has_old_pages(conn)? {
        return Ok(());
    }
    conn.execute_batch("VACUUM")?;
    // Until the write-ahead log is in the file, and gone, the file still holds what was there before.
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(Error::Busy);
    }
    conn.execute("DELETE FROM old_pages", [])?;
    Ok(())
}

impl Database {
    /// Whether what is secret in it is encrypted under something that isn't in the file.
    pub fn is_encrypted(&self) -> Result<bool> {
        Ok(!is_plain(&self.conn)?)
    }

    /// Whether it was encrypted later, and what was there before may still lie in unused pages of the file.
    pub fn has_old_pages(&self) -> Result<bool> {
        has_old_pages(&self.conn)
    }

    /// Returns the data key of a database without encryption; `None` for any other.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a key lies there that isn't this database's.
    pub fn plain_key(&self) -> Result<Option<DataKey>> {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0).map(Zeroizing::new);
        let Some(bytes) = self.conn.query_row("SELECT data_key FROM plain_key", [], read).optional()? else {
            return Ok(None);
        };
        let damaged = || Error::Damaged { what: "the key that lies in it is not its own".into() };
        let key = DataKey::from_bytes(bytes.as_slice().try_into().map_err(|_| damaged())?);
        if self.fits(&key)? { Ok(Some(key)) } else { Err(damaged()) }
    }

    /// Returns the copies that migrations left beside the file: they hold what it held then, in the way it held it then.
    pub fn copies(&self) -> Result<Vec<PathBuf>> {
        migrate::copies(&self.path)
    }

    /// Overwrites and removes copies that [`Database::copies`] named.
    pub fn remove_copies(&self, copies: &[PathBuf]) -> Result<()> {
        migrate::remove_copies(&self.path, copies)
    }
}

impl Store {
    /// Encrypts a database that was made without encryption: everything sealed is sealed anew under a new data key, which
    /// only the passphrase and the recovery key open. One transaction: a crash leaves the database as it was, or encrypted.
    ///
    /// # Errors
    /// [`Error::Encrypted`] when it is; [`Error::PassphraseTooShort`]; [`Error::Tampered`] when the audit log doesn't
    /// verify, which a new key would cover up.
    pub fn encrypt(
        &mut self,
        passphrase: &Passphrase,
        params: KdfParams,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Encrypted> {
        passphrase.check_new()?;
        if self.is_encrypted()? {
            return Err(Error::Encrypted);
        }
        let new = DataKey::random()?;
        let recovery = RecoveryKey::random()?;
        let ways = Way::first(&new, passphrase, params, &recovery, &actor.operator, now)?; // seconds, before anything is locked

        let tx = Transaction::new_unchecked(&self.database.conn, TransactionBehavior::Immediate)?;
        if !is_plain(&tx)? {
            return Err(Error::Encrypted); // by another process, a moment ago
        }
        audit::verify(&tx, Some(&self.key))?.into_result()?;
        let counts = counts(rekey::reseal_all(&tx, &self.key, &new)?);
        ways.iter().try_for_each(|way| way.save(&tx))?;
        tx.execute("DELETE FROM plain_key", [])?;
        tx.execute("INSERT OR REPLACE INTO old_pages (id) VALUES (1)", [])?;
        let event = Event::database(Action::EncryptionEnabled).with("log_n", params.log_n());
        audit::append(&tx, &new, now, actor, &event.with("values", counts.iter().map(|c| c.count).sum::<usize>()))?;
        slots::seal(&tx, &new)?;
        tx.commit()?;
        self.key = new;
        self.opened = Some(ways[0].name.clone());
        let old_pages = drop_old_pages(&self.database.conn).err();
        Ok(Encrypted { recovery, counts, old_pages })
    }
}

/// Adds up what was sealed anew in several columns, in the order of the columns, without what the vault keeps for itself.
fn counts(sealed: Vec<(&'static vault::Sealed, usize)>) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    for (column, count) in sealed {
        let Some(kind) = column.kind().filter(|_| count > 0) else { continue };
        match counts.iter_mut().find(|known| known.kind == kind) {
            Some(known) => known.count += count,
            None => counts.push(Count { kind, count }),
        }
    }
    counts
}
