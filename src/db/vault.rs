//! The vault: the data key, wrapped in slots, and every cell that it seals.
//!
//! A random data key seals the cells listed in [`SEALED`]. Each slot wraps that key under another one, which scrypt derives
//! from the passphrase or from the recovery key. A slot carries a checksum, so that damage is told from a wrong passphrase
//! before a person is told to try again; and a canary is sealed under the data key, so that a key that isn't this
//! database's is noticed at once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::{self as crypt, DataKey, KdfParams};
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::row::Cells;
use super::tx::Tx;
use super::{Database, Store, audit, keyring, micros, plain};
use crate::model::{Action, Actor, Event};

/// What the operator types in. Wiped from memory on drop.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The least number of characters of a new passphrase.
    pub const MINIMUM: usize = 8;

    /// Wraps what was typed in, as it is.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Self {
        Self(text.into())
    }

    /// Refuses a new passphrase that is too short. One that unlocks may have any length: the slot decides.
    pub fn check_new(&self) -> Result<()> {
        let long_enough = self.0.chars().count() >= Self::MINIMUM;
        if long_enough { Ok(()) } else { Err(Error::PassphraseTooShort { minimum: Self::MINIMUM }) }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// 256 random bits that unlock a database whose passphrase is lost. Printed once, kept on paper.
pub struct RecoveryKey(Zeroizing<[u8; 32]>);

/// Digits of Crockford's base 32: no I, L, O or U, which are taken for others.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl RecoveryKey {
    /// Digits that hold 256 bits: 51 full ones, and one of which the last four bits are zero.
    const LENGTH: usize = 52;

    pub(super) fn random() -> Result<Self> {
        Ok(Self(crypt::random()?))
    }

    /// Reveals the key in groups of four, for printing. The name is greppable: each call is a place where a secret gets
    /// out.
    pub fn expose(&self) -> Zeroizing<String> {
        let bit = |n: usize| self.0.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
        let mut text = Zeroizing::new(String::with_capacity(Self::LENGTH + Self::LENGTH / 4));
        for digit in 0..Self::LENGTH {
            if digit > 0 && digit % 4 == 0 {
                text.push('-');
            }
            let value = (0..5).fold(0, |value, n| value << 1 | usize::from(bit(digit * 5 + n)));
            text.push(char::from(DIGITS[value]));
        }
        text
    }
}

/// Not a recovery key. What was given isn't echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a recovery key: expected 52 letters and digits, as they were printed")]
pub struct InvalidRecoveryKey;

impl FromStr for RecoveryKey {
    type Err = InvalidRecoveryKey;

    /// Reads the key as a person copies it from paper: case, blanks and hyphens don't matter, O is 0, I and L are 1.
    fn from_str(text: &str) -> Result<Self, InvalidRecoveryKey> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let mut digits = 0;
        for letter in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let letter = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let value = DIGITS.iter().position(|d| char::from(*d) == letter).ok_or(InvalidRecoveryKey)?;
            for n in (0..5).filter(|n| value >> (4 - n) & 1 == 1) {
                let bit: usize = digits * 5 + n;
                *bytes.get_mut(bit / 8).ok_or(InvalidRecoveryKey)? |= 1 << (7 - bit % 8);
            }
            digits += 1;
        }
        if digits == Self::LENGTH { Ok(Self(bytes)) } else { Err(InvalidRecoveryKey) }
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

/// A column of sealed cells, and how a row of its table is named for good.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// SQL for the row's permanent name.
    pub(super) row: &'static str,
}

pub(super) const CANARY: Sealed = Sealed { table: "vault", column: "sealed_canary", row: "database_id" };
pub(super) const AUDIT_TAIL: Sealed = Sealed { table: "vault", column: "sealed_audit_tail", row: "database_id" };
pub(super) const PRIVATE_KEY: Sealed = Sealed { table: "keys", column: "sealed_private", row: "public_key" };
pub(super) const PRESHARED_KEY: Sealed =
    Sealed { table: "preshared_keys", column: "sealed_key", row: "low_id || '-' || high_id" };
pub(super) const GENERATED: Sealed =
    Sealed { table: "generated", column: "sealed_content", row: "interface_id || '/' || file" };
pub(super) const ORIGINAL: Sealed = Sealed { table: "documents", column: "sealed_original", row: "interface_id" };
pub(super) const DOCUMENT: Sealed = Sealed { table: "documents", column: "sealed_text", row: "interface_id" };
pub(super) const REVISION: Sealed =
    Sealed { table: "revisions", column: "sealed_content", row: "node_id || '/' || number" };
pub(super) const DEPLOYED: Sealed = Sealed { table: "deployments", column: "sealed_content", row: "token" };
pub(super) const STATE_ORIGINAL: Sealed =
    Sealed { table: "state_documents", column: "sealed_original", row: "interface_id || '/' || state" };
pub(super) const STATE_DOCUMENT: Sealed =
    Sealed { table: "state_documents", column: "sealed_text", row: "interface_id || '/' || state" };
pub(super) const REMOVED_KEY: Sealed = Sealed { table: "removed_keys", column: "sealed_private", row: "public_key" };
pub(super) const REMOVED_PRESHARED_KEY: Sealed =
    Sealed { table: "removed_preshared_keys", column: "sealed_key", row: "low_id || '-' || high_id" };
pub(super) const OBSERVED: Sealed = Sealed { table: "deployments", column: "sealed_observed", row: "token" };

/// Every column that rekeying has to seal anew. A test compares it with the schema.
pub(super) const SEALED: &[&Sealed] = &[
    &CANARY,
    &AUDIT_TAIL,
    &PRIVATE_KEY,
    &PRESHARED_KEY,
    &GENERATED,
    &ORIGINAL,
    &DOCUMENT,
    &STATE_ORIGINAL,
    &STATE_DOCUMENT,
    &REMOVED_KEY,
    &REMOVED_PRESHARED_KEY,
    &REVISION,
    &DEPLOYED,
    &OBSERVED,
];

impl Sealed {
    fn associated(&self, row: &str) -> Vec<u8> {
        format!("{}.{}:{row}", self.table, self.column).into_bytes()
    }

    /// Seals the value of one cell.
    pub(super) fn seal(&self, key: &DataKey, row: &str, plaintext: &[u8]) -> Result<String> {
        Ok(crypt::seal(key, &self.associated(row), plaintext)?)
    }

    /// Opens one cell.
    pub(super) fn open(&self, key: &DataKey, row: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
        crypt::open(key, &self.associated(row), sealed).map_err(|_| self.shut(row))
    }

    /// Opens one cell of text and parses it.
    pub(super) fn open_as<T: FromStr>(&self, key: &DataKey, row: &str, sealed: &str) -> Result<T> {
        let plain = self.open(key, row, sealed)?;
        std::str::from_utf8(&plain).ok().and_then(|text| text.parse().ok()).ok_or_else(|| self.shut(row))
    }

    /// Says in words what the values are, for counting them; `None` for what the vault keeps for itself.
    pub(super) fn kind(&self) -> Option<&'static str> {
        Some(match self.table {
            "vault" => return None,
            "keys" => "private keys",
            "preshared_keys" => "preshared keys",
            "generated" => "generated files",
            "documents" => "adopted files",
            "state_documents" => "adopted files of earlier states",
            "removed_keys" => "private keys of removed nodes",
            "removed_preshared_keys" => "preshared keys of removed links",
            "revisions" => "handed-out files",
            "deployments" => "files of deployments",
            other => other,
        })
    }

    fn shut(&self, row: &str) -> Error {
        Error::Sealed { table: self.table, column: self.column, row: row.to_owned() }
    }
}

/// Says what the lack of a row means that every database has.
pub(super) fn no_row(error: rusqlite::Error, what: &str) -> Error {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Error::Damaged { what: what.into() },
        other => other.into(),
    }
}

/// A way to the data key, without what is secret about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// `passphrase` or `recovery`.
    pub kind: String,
    /// Base-2 logarithm of scrypt's cost.
    pub log_n: u8,
    /// scrypt's block size.
    pub r: u32,
    /// scrypt's parallelism.
    pub p: u32,
    /// When it was made.
    pub created: DateTime<Utc>,
}

pub(super) const PASSPHRASE: &str = "passphrase";
const RECOVERY: &str = "recovery";

/// A slot as it is stored.
pub(super) struct StoredSlot {
    kind: String,
    params: KdfParams,
    salt: [u8; 32],
    wrapped: Vec<u8>,
    created: DateTime<Utc>,
}

impl StoredSlot {
    /// Wraps the data key under a secret.
    pub(super) fn make(
        kind: &str,
        key: &DataKey,
        secret: &[u8],
        params: KdfParams,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let salt = *crypt::random()?;
        let wrapping = crypt::derive(secret, &salt, params)?;
        let wrapped = crypt::seal_bytes(&wrapping, format!("slots.wrapped:{kind}").as_bytes(), key.expose())?;
        Ok(Self { kind: kind.to_owned(), params, salt, wrapped, created: now })
    }

    pub(super) fn params(&self) -> KdfParams {
        self.params
    }

    /// Whether a passphrase opens it.
    pub(super) fn opens_with(&self, passphrase: &Passphrase) -> Result<bool> {
        Ok(self.unwrap(passphrase.0.as_bytes())?.is_some())
    }

    /// Unwraps the data key; `None` for a wrong secret.
    fn unwrap(&self, secret: &[u8]) -> Result<Option<DataKey>> {
        let wrapping = crypt::derive(secret, &self.salt, self.params)?;
        let place = format!("slots.wrapped:{}", self.kind);
        let Ok(bytes) = crypt::open_bytes(&wrapping, place.as_bytes(), &self.wrapped) else { return Ok(None) };
        let key = bytes.as_slice().try_into().map_err(|_| damaged_slot())?;
        Ok(Some(DataKey::from_bytes(key)))
    }

    fn checksum(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.kind.as_bytes());
        hash.update([0, self.params.log_n()]);
        hash.update(self.params.r().to_be_bytes());
        hash.update(self.params.p().to_be_bytes());
        hash.update(self.salt);
        hash.update(&self.wrapped);
        hash.finalize().to_vec()
    }

    pub(super) fn save(&self, conn: &Connection) -> Result<()> {
        conn.execute(
            "INSERT OR REPLACE INTO slots (kind, log_n, r, p, salt, wrapped, checksum, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                self.kind,
                self.params.log_n(),
                self.params.r(),
                self.params.p(),
                self.salt,
                self.wrapped,
                self.checksum(),
                micros(self.created),
            ],
        )?;
        Ok(())
    }

    pub(super) fn load(conn: &Connection, kind: &str) -> Result<Self> {
        let sql = "SELECT kind, log_n, r, p, salt, wrapped, checksum, created FROM slots WHERE kind = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let cells = Cells { table: "slots", row };
            let read = || -> Result<(Self, Vec<u8>)> {
                let (log_n, r, p) = (cells.get(1)?, cells.get(2)?, cells.get(3)?);
                let params = KdfParams::new(log_n, r, p).map_err(|_| damaged_slot())?;
                let (kind, salt, wrapped) = (cells.get(0)?, cells.get(4)?, cells.get(5)?);
                Ok((Self { kind, params, salt, wrapped, created: cells.time(7)? }, cells.get(6)?))
            };
            Ok(read())
        };
        let (slot, checksum) = conn.query_row(sql, [kind], read).optional()?.ok_or_else(damaged_slot)??;
        if slot.checksum() == checksum { Ok(slot) } else { Err(damaged_slot()) }
    }
}

fn damaged_slot() -> Error {
    Error::Damaged { what: "the vault's slots have been changed; this is not a wrong passphrase".into() }
}

/// Makes both slots of a data key.
pub(super) fn make_slots(
    key: &DataKey,
    passphrase: &Passphrase,
    params: KdfParams,
    recovery: &RecoveryKey,
    now: DateTime<Utc>,
) -> Result<[StoredSlot; 2]> {
    Ok([
        StoredSlot::make(PASSPHRASE, key, passphrase.0.as_bytes(), params, now)?,
        StoredSlot::make(RECOVERY, key, recovery.0.as_slice(), KdfParams::FULL_ENTROPY, now)?,
    ])
}

/// Fills the vault of a new database, save for the ways to its key.
pub(super) fn initialise(conn: &Connection, key: &DataKey, now: DateTime<Utc>) -> Result<()> {
    let random = crypt::random()?;
    let id: String = random[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    conn.execute(
        "INSERT INTO vault (id, database_id, created, sealed_canary, sealed_audit_tail) VALUES (1, ?1, ?2, ?3, ?4)",
        params![id, micros(now), CANARY.seal(key, &id, b"wg-friend")?, audit::seal_empty_tail(key, &id)?],
    )?;
    Ok(())
}

/// Finds the data key with what the operator gave: the recovery key if it looks like one, else the passphrase. Says which
/// of the two it was.
fn find_key(conn: &Connection, given: &Passphrase) -> Result<Option<(DataKey, &'static str)>> {
    if plain::is_plain(conn)? {
        return Err(Error::Unencrypted);
    }
    if let Ok(recovery) = given.0.parse::<RecoveryKey>()
        && let Some(key) = StoredSlot::load(conn, RECOVERY)?.unwrap(recovery.0.as_slice())?
    {
        return Ok(Some((key, RECOVERY)));
    }
    Ok(StoredSlot::load(conn, PASSPHRASE)?.unwrap(given.0.as_bytes())?.map(|key| (key, PASSPHRASE)))
}

/// For how long an entry that somebody unlocked speaks for whatever else he unlocks from the same place.
const SPOKEN_FOR: TimeDelta = TimeDelta::hours(1);

impl Database {
    /// Unlocks with the passphrase or the recovery key, and says so in the audit log, together with the attempts that
    /// failed before. A script whose every command brings the passphrase along is named once an hour.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], which is remembered for the audit log; [`Error::Unencrypted`] when there is nothing to
    /// unlock; [`Error::Damaged`] when the vault itself has been changed.
    pub fn unlock(self, given: &Passphrase, actor: &Actor, now: DateTime<Utc>) -> Result<Store> {
        let (mut store, slot) = self.unlock_unsaid(given, actor, now)?;
        store.quietly(|tx| {
            tx.record_failed_unlocks(now)?;
            if slot == PASSPHRASE && tx.is_spoken_for(actor, now)? {
                return Ok(());
            }
            tx.record(now, actor, &unlocked_with(slot))
        })?;
        Ok(store)
    }

    /// Unlocks, and leaves the data key in the kernel's keyring for a while, which is always said in the audit log.
    ///
    /// # Errors
    /// As [`Database::unlock`]; [`Error::Keyring`] when the keyring doesn't take the key.
    pub fn unlock_for(
        self,
        given: &Passphrase,
        duration: Duration,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Store> {
        let (mut store, slot) = self.unlock_unsaid(given, actor, now)?;
        let kept = store.remember(duration);
        let mut event = unlocked_with(slot);
        if kept.is_ok() {
            event = event.with("seconds", duration.as_secs());
        }
        store.quietly(|tx| {
            tx.record_failed_unlocks(now)?;
            tx.record(now, actor, &event)
        })?;
        kept.map(|()| store)
    }

    fn unlock_unsaid(self, given: &Passphrase, actor: &Actor, now: DateTime<Utc>) -> Result<(Store, &'static str)> {
        let Some((key, slot)) = find_key(&self.conn, given)? else {
            self.conn.execute(
                "INSERT INTO failed_unlocks (time, operator, address, source) VALUES (?1, ?2, ?3, ?4)",
                params![micros(now), actor.operator, actor.address, actor.source.as_str()],
            )?;
            return Err(Error::WrongPassphrase);
        };
        Ok((self.checked(key)?.ok_or_else(damaged_slot)?, slot))
    }

    /// Unlocks with the data key itself, as the keyring held it. Leaves no entry: unlocking did.
    ///
    /// # Errors
    /// [`Error::Locked`] when it isn't the key of this database, for instance because it has been rekeyed since.
    pub fn unlock_with(self, key: DataKey) -> Result<Store> {
        self.checked(key)?.ok_or(Error::Locked)
    }

    /// Unlocks with the key that the kernel's keyring holds.
    ///
    /// # Errors
    /// [`Error::Locked`] when it holds none, no longer holds it, or can't be asked.
    pub fn unlock_from_keyring(self) -> Result<Store> {
        let key = keyring::recall(&self.id).ok_or(Error::Locked)?;
        self.unlock_with(key)
    }

    /// Removes the data key from the kernel's keyring. Whether there was one.
    pub fn forget(&self) -> bool {
        keyring::forget(&self.id)
    }

    /// Tells the right key by the canary.
    pub(super) fn fits(&self, key: &DataKey) -> Result<bool> {
        let sql = "SELECT sealed_canary FROM vault";
        let canary: Result<String, _> = self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0));
        let canary = canary.map_err(|e| no_row(e, "the vault is gone"))?;
        Ok(CANARY.open(key, &self.id, &canary).is_ok())
    }

    fn checked(self, key: DataKey) -> Result<Option<Store>> {
        Ok(self.fits(&key)?.then(|| Store { database: self, key }))
    }

    /// Returns the ways to the data key.
    pub fn slots(&self) -> Result<Vec<Slot>> {
        let mut statement = self.conn.prepare("SELECT kind, log_n, r, p, created FROM slots ORDER BY kind")?;
        let mut rows = statement.query([])?;
        let mut slots = Vec::new();
        while let Some(row) = rows.next()? {
            let c = Cells { table: "slots", row };
            slots.push(Slot { kind: c.get(0)?, log_n: c.get(1)?, r: c.get(2)?, p: c.get(3)?, created: c.time(4)? });
        }
        Ok(slots)
    }
}

/// The entry that somebody unlocked; that it was not with the passphrase is worth saying.
fn unlocked_with(slot: &str) -> Event {
    let event = Event::database(Action::Unlocked);
    if slot == PASSPHRASE { event } else { event.with("with", slot) }
}

impl Tx<'_> {
    /// Whether the audit log says already that this operator unlocks, from there, and nothing has been said about
    /// passphrases since.
    fn is_spoken_for(&self, actor: &Actor, now: DateTime<Utc>) -> Result<bool> {
        let sql = "SELECT action FROM audit
                   WHERE time > ?1 AND time <= ?2 AND (
                     action = ?3 AND operator = ?4 AND address IS ?5 AND source = ?6
                     OR action IN (?7, ?8, ?9, ?10))
                   ORDER BY id DESC LIMIT 1";
        let [failed, passphrase, recovery, rekeyed] =
            [Action::UnlockFailed, Action::PassphraseChanged, Action::RecoveryKeyChanged, Action::Rekeyed];
        let values = params![
            micros(now - SPOKEN_FOR),
            micros(now),
            Action::Unlocked.as_str(),
            actor.operator,
            actor.address,
            actor.source.as_str(),
            failed.as_str(),
            passphrase.as_str(),
            recovery.as_str(),
            rekeyed.as_str(),
        ];
        let newest: Option<String> = self.transaction.query_row(sql, values, |row| row.get(0)).optional()?;
        Ok(newest.as_deref() == Some(Action::Unlocked.as_str()))
    }

    fn record_failed_unlocks(&self, now: DateTime<Utc>) -> Result<()> {
        let mut statement =
            self.transaction.prepare("SELECT time, operator, address, source FROM failed_unlocks ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "failed_unlocks", row };
            let actor = Actor { operator: cells.get(1)?, address: cells.get(2)?, source: cells.parse(3)? };
            let attempted = cells.time(0)?.to_rfc3339();
            self.record(now, &actor, &Event::database(Action::UnlockFailed).with("attempted", attempted))?;
        }
        self.transaction.execute("DELETE FROM failed_unlocks", [])?;
        Ok(())
    }
}

/// What rekeying did.
#[derive(Debug)]
pub struct Rekeyed {
    /// The new recovery key; the old one no longer unlocks.
    pub recovery: RecoveryKey,
    /// How many cells were sealed anew.
    pub cells: usize,
}

impl Store {
    /// Replaces the passphrase. The data key stays, so this costs one derivation whatever the size of the database.
    pub fn change_passphrase(
        &mut self,
        new: &Passphrase,
        params: KdfParams,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<()> {
        new.check_new()?;
        self.has_slots()?;
        let slot = StoredSlot::make(PASSPHRASE, &self.key, new.0.as_bytes(), params, now)?;
        self.write(now, actor, |tx| {
            slot.save(&tx.transaction)?;
            Ok::<_, Error>(((), Event::database(Action::PassphraseChanged).with("log_n", params.log_n())))
        })?;
        self.drop_old_pages()
    }

    /// Replaces the recovery key.
    pub fn new_recovery_key(&mut self, actor: &Actor, now: DateTime<Utc>) -> Result<RecoveryKey> {
        self.has_slots()?;
        let recovery = RecoveryKey::random()?;
        let slot = StoredSlot::make(RECOVERY, &self.key, recovery.0.as_slice(), KdfParams::FULL_ENTROPY, now)?;
        self.write(now, actor, |tx| {
            slot.save(&tx.transaction)?;
            Ok::<_, Error>(((), Event::database(Action::RecoveryKeyChanged)))
        })?;
        self.drop_old_pages()?;
        Ok(recovery)
    }

    /// Refuses to add a slot to a database of which the key lies open.
    pub(super) fn has_slots(&self) -> Result<()> {
        if self.is_encrypted()? { Ok(()) } else { Err(Error::Unencrypted) }
    }

    /// Empties the write-ahead log, in which pages from before a change would otherwise stay readable for a while.
    pub(super) fn drop_old_pages(&self) -> Result<()> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}
