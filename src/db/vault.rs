//! The vault: the data key, wrapped in slots, and every cell that it seals.
//!
//! A random data key seals the cells listed in [`SEALED`]. What leads to it are the [slots](super::slots): one for each
//! passphrase, one for the recovery key. A canary is sealed under the data key, so that a key that isn't this database's is
//! noticed at once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};
use wg_friend_crypt::{self as crypt, DataKey};
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::row::Cells;
use super::slots::{self, Found, RECOVERY, Way};
use super::tx::Tx;
use super::{Database, Store, audit, digits, keyring, micros, plain};
use crate::model::{Action, Actor, Event, Name};

/// What the operator types in. Wiped from memory on drop.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The least number of characters of a new passphrase.
    pub const MINIMUM: usize = 8;

    /// Wraps what was typed in, as it is.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Self {
        Self(text.into())
    }

    /// Returns what was typed in, for deriving a key of it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns what was typed in, for reading a recovery key in it.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Refuses a new passphrase that is too short. One that unlocks may have any length: the slot decides.
    pub fn check_new(&self) -> Result<()> {
        if RecoveryKey::given(&self.0).is_some() {
            return Err(Error::PassphraseIsKey);
        }
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

impl RecoveryKey {
    pub(super) fn random() -> Result<Self> {
        Ok(Self(crypt::random()?))
    }

    pub(super) fn of_secret(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reveals the key in groups of four, for printing. The name is greppable: each call is a place where a secret gets
    /// out.
    pub fn expose(&self) -> Zeroizing<String> {
        digits::write(&self.0[..])
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
        let digits = digits::only(text).ok_or(InvalidRecoveryKey)?;
        digits::bytes(&digits).map(Self).ok_or(InvalidRecoveryKey)
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
pub(super) const SLOTS: Sealed = Sealed { table: "vault", column: "sealed_slots", row: "database_id" };
pub(super) const SLOT_TOKEN: Sealed = Sealed { table: "slots", column: "sealed_token", row: "hex(public_key)" };
pub(super) const SIGNING_KEY: Sealed = Sealed { table: "signing_key", column: "sealed_private", row: "public_key" };
pub(super) const PRIVATE_KEY: Sealed = Sealed { table: "keys", column: "sealed_private", row: "public_key" };
pub(super) const PRESHARED_KEY: Sealed =
    Sealed { table: "preshared_keys", column: "sealed_key", row: "low_id || '-' || high_id" };
pub(super) const NEXT_PRESHARED_KEY: Sealed =
    Sealed { table: "next_preshared_keys", column: "sealed_key", row: "low_id || '-' || high_id" };
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
    &SLOTS,
    &SLOT_TOKEN,
    &SIGNING_KEY,
    &PRIVATE_KEY,
    &PRESHARED_KEY,
    &NEXT_PRESHARED_KEY,
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
            "vault" | "signing_key" | "slots" => return None,
            "keys" => "private keys",
            "preshared_keys" => "preshared keys",
            "next_preshared_keys" => "preshared keys that come with next keys",
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

/// After which an entry that somebody unlocked no longer speaks for him.
const SAID_OF_PASSPHRASES: [Action; 6] = [
    Action::UnlockFailed,
    Action::PassphraseChanged,
    Action::PassphraseAdded,
    Action::PassphraseRemoved,
    Action::RecoveryKeyChanged,
    Action::Rekeyed,
];

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
        let (mut store, found, way) = self.unlock_unsaid(given, actor, now)?;
        store.opened = store.quietly(|tx| {
            let name = tx.admit(&found, &way, actor, now)?;
            tx.record_failed_unlocks(now)?;
            if !tx.is_spoken_for(name.as_ref(), actor, now)? {
                tx.note_used(&way, now)?;
                tx.record(now, actor, &unlocked_with(name.as_ref()))?;
            }
            Ok(name)
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
        let (mut store, found, way) = self.unlock_unsaid(given, actor, now)?;
        let (opened, kept) = store.quietly(|tx| {
            let name = tx.admit(&found, &way, actor, now)?;
            let kept = tx.remember(duration);
            let mut event = unlocked_with(name.as_ref());
            if kept.is_ok() {
                event = event.with("seconds", duration.as_secs());
            }
            tx.note_used(&way, now)?;
            tx.record_failed_unlocks(now)?;
            tx.record(now, actor, &event)?;
            Ok((name, kept))
        })?;
        store.opened = opened;
        kept.map(|()| store)
    }

    fn unlock_unsaid(self, given: &Passphrase, actor: &Actor, now: DateTime<Utc>) -> Result<(Store, Found, Way)> {
        if plain::is_plain(&self.conn)? {
            return Err(Error::Unencrypted);
        }
        let mut ways = slots::load(&self.conn)?;
        let Some(found) = slots::find(&slots::slots_of(&ways), given)? else {
            self.conn.execute(
                "INSERT INTO failed_unlocks (time, operator, address, source) VALUES (?1, ?2, ?3, ?4)",
                params![micros(now), actor.operator, actor.address, actor.source.as_str()],
            )?;
            return Err(Error::WrongPassphrase);
        };
        let store = self.checked(found.key.duplicate())?.ok_or_else(slots::damaged)?;
        let way = ways.swap_remove(found.slot);
        Ok((store, found, way))
    }

    /// Unlocks with the data key itself, as the keyring held it. Leaves no entry: unlocking did.
    ///
    /// # Errors
    /// [`Error::Locked`] when it isn't the key of this database, for instance because it has been rekeyed since;
    /// [`Error::Damaged`] when the passphrases aren't those that were set.
    pub fn unlock_with(self, key: DataKey) -> Result<Store> {
        let store = self.checked(key)?.ok_or(Error::Locked)?;
        {
            let _moment = store.snapshot()?;
            if !plain::is_plain(&store.conn)? {
                slots::checked(&store.conn, &store.key)?;
            }
        }
        Ok(store)
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

    /// Whether the kernel's keyring holds the key of this database, and not one from before it was rekeyed.
    pub fn remembered(&self) -> Result<bool> {
        keyring::recall(self.id()).map_or(Ok(false), |key| self.fits(&key))
    }

    /// Tells the right key by the canary.
    pub(super) fn fits(&self, key: &DataKey) -> Result<bool> {
        let sql = "SELECT sealed_canary FROM vault";
        let canary: Result<String, _> = self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0));
        let canary = canary.map_err(|e| no_row(e, "the vault is gone"))?;
        Ok(CANARY.open(key, &self.id, &canary).is_ok())
    }

    fn checked(self, key: DataKey) -> Result<Option<Store>> {
        Ok(self.fits(&key)?.then(|| Store { database: self, key, opened: None }))
    }
}

/// The entry that somebody unlocked: with which passphrase, or that it was with the recovery key.
fn unlocked_with(passphrase: Option<&Name>) -> Event {
    let event = Event::database(Action::Unlocked);
    match passphrase {
        Some(name) => event.with("passphrase", name.as_str()),
        None => event.with("with", RECOVERY),
    }
}

impl Tx<'_> {
    /// Whether the audit log says already that this operator unlocks, from there, with that passphrase, and nothing has been
    /// said about passphrases since. That somebody used the recovery key always is worth an entry.
    fn is_spoken_for(&self, passphrase: Option<&Name>, actor: &Actor, now: DateTime<Utc>) -> Result<bool> {
        let Some(passphrase) = passphrase else { return Ok(false) };
        // Newest first, and no further back than that hour: what unlocking costs must not grow with the log.
        let sql = "SELECT time, action, operator = ?1 AND address IS ?2 AND source = ?3
                     AND CASE WHEN json_valid(details) THEN json_extract(details, '$.passphrase') END = ?4
                   FROM audit NOT INDEXED ORDER BY id DESC";
        let values = params![actor.operator, actor.address, actor.source.as_str(), passphrase.as_str()];
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "audit", row };
            let (time, action): (_, String) = (cells.time(0)?, cells.get(1)?);
            if time <= now - SPOKEN_FOR {
                return Ok(false);
            }
            if SAID_OF_PASSPHRASES.iter().any(|said| action == said.as_str()) {
                return Ok(false);
            }
            if time <= now && action == Action::Unlocked.as_str() && cells.get::<Option<bool>>(2)? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
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

impl Store {
    /// Refuses to add a slot to a database of which the key lies open.
    pub(super) fn has_slots(&self) -> Result<()> {
        if self.is_encrypted()? { Ok(()) } else { Err(Error::Unencrypted) }
    }

    /// The same after a change that is made for good: that a full disk or another process stands in the way must not hide
    /// what it has led to, such as a new recovery key. The log is emptied by a later command then.
    pub(super) fn drop_old_pages_if_possible(&self) {
        let _ = self.drop_old_pages();
    }

    /// Empties the write-ahead log, in which pages from before a change would otherwise stay readable for a while.
    pub(super) fn drop_old_pages(&self) -> Result<()> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}
