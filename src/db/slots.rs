//! Slots: the ways to the data key.
//!
//! Every passphrase has a pair of X25519 keys. The data key is sealed to the public half, and the private half under what
//! scrypt derives from the passphrase. So who has the data key can wrap another one for everybody, which is what rekeying
//! does, and learns nothing that opens with a passphrase. Passphrases of the same cost share their salt: one derivation
//! tries them all. The recovery key is random and needs neither: the data key is sealed under what is derived from it.
//!
//! Anybody can seal something to a public key. So the private half lies together with a token, which only the passphrase and the
//! data key open, and what is wrapped carries a code that was made with it: a key that somebody else wrapped doesn't open, in a
//! database as in the header of a backup.
//!
//! A slot carries a checksum, so that damage is told from a wrong passphrase.
//!
//! In the database the whole set is sealed under the data key, with the number of the audit entry that made it so: a slot
//! that was added, taken away, renamed or brought back from an older copy is found by whoever unlocks next.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::{self as crypt, DataKey, KdfParams, KeyPair};
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::row::Cells;
use super::vault::{Passphrase, RecoveryKey, SLOT_TOKEN, SLOTS};
use super::{Database, audit, micros};
use crate::model::{Action, Name};

pub(super) const PASSPHRASE: &str = "passphrase";
pub(super) const RECOVERY: &str = "recovery";
/// The way to the key of a backup that has a passphrase of its own; stands in its header, never in a database.
pub(super) const OWN: &str = "backup";

/// What the first passphrase of a database is called.
pub(super) const MAIN: &str = "main";

/// The most passphrases that a database has: each is one more that a guess may hit.
pub const MOST_PASSPHRASES: usize = 16;

/// A way to the data key, without what is secret about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// `passphrase` or `recovery`.
    pub kind: String,
    /// What the passphrase is called; the recovery key is `recovery`.
    pub name: Name,
    /// Base-2 logarithm of scrypt's cost.
    pub log_n: u8,
    /// scrypt's block size.
    pub r: u32,
    /// scrypt's parallelism.
    pub p: u32,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Who made it; not known of those that came from a database of an earlier version.
    pub operator: Option<String>,
    /// When it last unlocked the database, to the hour. Nothing protects it: the audit log has the proof.
    pub used: Option<DateTime<Utc>>,
}

/// The pair of keys of a passphrase, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) public: [u8; 32],
    /// The private half and the token, sealed.
    pub(super) locked: Vec<u8>,
    /// Authenticates what is wrapped, by the token.
    pub(super) tag: [u8; 32],
}

/// What a pair opens to.
struct Opened {
    keys: KeyPair,
    token: DataKey,
}

impl Pair {
    /// Names the place of what is sealed under the derived key, and of the data key.
    fn place(&self, column: &str) -> Vec<u8> {
        place(column, &self.public)
    }

    /// Opens the private half and the token; `None` with another passphrase's key.
    fn open(&self, derived: &DataKey) -> Result<Option<Opened>> {
        let Ok(bytes) = crypt::open_bytes(&lock(derived), &self.place("locked_key"), &self.locked) else {
            return Ok(None);
        };
        let (private, token) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
        let token = DataKey::from_bytes(token.try_into().map_err(|_| damaged())?);
        let keys = KeyPair::from_bytes(private);
        if keys.public() == self.public { Ok(Some(Opened { keys, token })) } else { Err(damaged()) }
    }
}

/// Returns the code of what is wrapped for a pair.
fn tag(token: &DataKey, public: &[u8; 32], wrapped: &[u8]) -> [u8; 32] {
    crypt::mac(token, &[&place("tag", public), wrapped].concat())
}

fn place(column: &str, public: &[u8; 32]) -> Vec<u8> {
    [b"slots.", column.as_bytes(), b":", public].concat()
}

/// The key that locks private halves: of the derived key, for this purpose alone.
fn lock(derived: &DataKey) -> DataKey {
    crypt::subkey(derived, "wg-friend slot")
}

/// A way to a key, wherever it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredSlot {
    pub(super) kind: String,
    pub(super) params: KdfParams,
    pub(super) salt: [u8; 32],
    /// None for the recovery key, a backup's own passphrase, and passphrases of earlier versions.
    pub(super) pair: Option<Pair>,
    pub(super) wrapped: Vec<u8>,
    pub(super) created: DateTime<Utc>,
}

impl StoredSlot {
    /// Wraps a key under a secret, directly.
    pub(super) fn direct(
        kind: &str,
        key: &DataKey,
        secret: &[u8],
        params: KdfParams,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let salt = *crypt::random()?;
        let derived = crypt::derive(secret, &salt, params)?;
        let wrapped = crypt::seal_bytes(&derived, direct_place(kind).as_bytes(), key.expose())?;
        Ok(Self { kind: kind.to_owned(), params, salt, pair: None, wrapped, created: now })
    }

    /// Makes the slot of a passphrase, with a new pair of keys and a new token, which is returned too.
    fn of_passphrase(key: &DataKey, derived: &Derived, now: DateTime<Utc>) -> Result<(Self, DataKey)> {
        let (fresh, token) = (KeyPair::random()?, DataKey::random()?);
        let public = fresh.public();
        let inside = Zeroizing::new([&fresh.expose()[..], &token.expose()[..]].concat());
        let locked = crypt::seal_bytes(&lock(&derived.key), &place("locked_key", &public), &inside)?;
        let wrapped = wrap(key, &public)?;
        let slot = Self {
            kind: PASSPHRASE.to_owned(),
            params: derived.params,
            salt: derived.salt,
            pair: Some(Pair { public, locked, tag: tag(&token, &public, &wrapped) }),
            wrapped,
            created: now,
        };
        Ok((slot, token))
    }

    /// Unwraps the key with a secret; `None` for a wrong one.
    pub(super) fn unwrap(&self, secret: &[u8]) -> Result<Option<DataKey>> {
        self.open(&crypt::derive(secret, &self.salt, self.params)?)
    }

    /// Unwraps the key with what was derived; `None` if that was of a wrong secret.
    fn open(&self, derived: &DataKey) -> Result<Option<DataKey>> {
        let opened = match &self.pair {
            None => crypt::open_bytes(derived, direct_place(&self.kind).as_bytes(), &self.wrapped).ok(),
            Some(pair) => match pair.open(derived)? {
                None => None,
                Some(Opened { keys, token }) => {
                    if tag(&token, &pair.public, &self.wrapped) != pair.tag {
                        return Err(damaged()); // wrapped by somebody who didn't have the key before
                    }
                    Some(keys.open(&pair.place("wrapped"), &self.wrapped).map_err(|_| damaged())?)
                }
            },
        };
        let Some(bytes) = opened else { return Ok(None) };
        Ok(Some(DataKey::from_bytes(bytes.as_slice().try_into().map_err(|_| damaged())?)))
    }

    fn checksum(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.kind.as_bytes());
        hash.update([0, self.params.log_n()]);
        hash.update(self.params.r().to_be_bytes());
        hash.update(self.params.p().to_be_bytes());
        hash.update(self.salt);
        if let Some(pair) = &self.pair {
            hash.update(pair.public);
            hash.update(&pair.locked);
            hash.update(pair.tag);
        }
        hash.update(&self.wrapped);
        hash.finalize().to_vec()
    }
}

fn direct_place(kind: &str) -> String {
    format!("slots.wrapped:{kind}")
}

fn wrap(key: &DataKey, public: &[u8; 32]) -> Result<Vec<u8>> {
    Ok(crypt::seal_to(public, &place("wrapped", public), key.expose())?)
}

pub(super) fn damaged() -> Error {
    Error::Damaged { what: "the vault's slots have been changed; this is not a wrong passphrase".into() }
}

/// What scrypt makes of a passphrase, with the salt and at the cost of some slots.
pub(super) struct Derived {
    pub(super) params: KdfParams,
    pub(super) salt: [u8; 32],
    key: DataKey,
}

impl Derived {
    pub(super) fn new(passphrase: &Passphrase, params: KdfParams, salt: [u8; 32]) -> Result<Self> {
        Ok(Self { params, salt, key: crypt::derive(passphrase.bytes(), &salt, params)? })
    }

    /// Whether it opens one of these slots, of those that were made with this salt and at this cost.
    pub(super) fn opens_one_of(&self, slots: &[&StoredSlot]) -> Result<bool> {
        for slot in slots.iter().filter(|slot| (slot.params, slot.salt) == (self.params, self.salt)) {
            if slot.open(&self.key)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same with a salt of its own.
    pub(super) fn salted(passphrase: &Passphrase, params: KdfParams) -> Result<Self> {
        Self::new(passphrase, params, *crypt::random()?)
    }
}

/// A way that opened.
pub(super) struct Found {
    /// The key it led to.
    pub(super) key: DataKey,
    /// Which of the slots it was.
    pub(super) slot: usize,
    /// What was derived, if it is a passphrase's.
    pub(super) derived: Option<Derived>,
}

/// Finds the way that opens with what somebody gave: with the recovery key or shares of it if it looks like that, else with a
/// passphrase. A wrong one costs what the dearest right one does.
pub(super) fn find(slots: &[&StoredSlot], given: &Passphrase) -> Result<Option<Found>> {
    if let Some(recovery) = RecoveryKey::given(given.text()) {
        for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.kind == RECOVERY) {
            if let Some(key) = slot.unwrap(recovery.secret())? {
                return Ok(Some(Found { key, slot: index, derived: None }));
            }
        }
    }
    for (params, salt) in costs(slots) {
        let derived = Derived::new(given, params, salt)?;
        let alike = |slot: &StoredSlot| slot.kind == PASSPHRASE && (slot.params, slot.salt) == (params, salt);
        for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| alike(slot)) {
            if let Some(key) = slot.open(&derived.key)? {
                return Ok(Some(Found { key, slot: index, derived: Some(derived) }));
            }
        }
    }
    Ok(None)
}

/// Returns what has to be derived to try a passphrase on all slots, the cheapest first.
pub(super) fn costs(slots: &[&StoredSlot]) -> Vec<(KdfParams, [u8; 32])> {
    let mut costs: Vec<(KdfParams, [u8; 32])> = Vec::new();
    for slot in slots.iter().filter(|slot| slot.kind == PASSPHRASE) {
        if !costs.contains(&(slot.params, slot.salt)) {
            costs.push((slot.params, slot.salt));
        }
    }
    costs.sort_by_key(|(params, _)| params.memory() * u64::from(params.p()));
    costs
}

/// The most costs that the passphrases of a database have, each with one salt: so many derivations takes a wrong one.
pub(super) const MOST_COSTS: usize = 3;

/// The most work that trying something on all slots may take, in bytes of memory times parallelism: four times what one
/// derivation of the standard profile does.
const MOST_WORK: u64 = 4 << 30;

/// Whether trying a secret costs no more than slots do that were made for a database. A forged file must not make it take minutes:
/// so this is asked before anything is derived.
pub(super) fn are_affordable(slots: &[&StoredSlot]) -> bool {
    let costs = costs(slots);
    let salted_once = (1..costs.len()).all(|at| costs[..at].iter().all(|(other, _)| *other != costs[at].0));
    let direct: Vec<KdfParams> = slots.iter().filter(|slot| slot.kind != PASSPHRASE).map(|slot| slot.params).collect();
    let all = costs.iter().map(|(params, _)| params).chain(&direct);
    let work = all.map(|params| params.memory() * u64::from(params.p())).fold(0, u64::saturating_add);
    salted_once && costs.len() <= MOST_COSTS && direct.len() <= 1 && work <= MOST_WORK
}

/// A slot of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) name: Name,
    pub(super) slot: StoredSlot,
    pub(super) operator: Option<String>,
    pub(super) used: Option<DateTime<Utc>>,
    /// The token of its pair, sealed under the data key.
    pub(super) sealed_token: Option<String>,
}

impl Way {
    pub(super) fn is_passphrase(&self) -> bool {
        self.slot.kind == PASSPHRASE
    }

    /// Makes the first passphrase of a database, and its recovery key.
    pub(super) fn first(
        key: &DataKey,
        passphrase: &Passphrase,
        params: KdfParams,
        recovery: &RecoveryKey,
        operator: &str,
        now: DateTime<Utc>,
    ) -> Result<[Self; 2]> {
        let main = Self::of_passphrase(&fixed_name(MAIN), key, &Derived::salted(passphrase, params)?, operator, now)?;
        Ok([main, Self::recovery(key, recovery, operator, now)?])
    }

    /// Makes the way of a passphrase.
    pub(super) fn of_passphrase(
        name: &Name,
        key: &DataKey,
        derived: &Derived,
        operator: &str,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let (slot, token) = StoredSlot::of_passphrase(key, derived, now)?;
        let mut way = Self::made(name, slot, operator);
        way.put_token(key, &token)?;
        Ok(way)
    }

    /// Gives it a pair of keys, which passphrases of earlier versions had not.
    pub(super) fn with_pair(&self, key: &DataKey, derived: &Derived) -> Result<Self> {
        let (slot, token) = StoredSlot::of_passphrase(key, derived, self.slot.created)?;
        let mut way = Self { slot, ..self.clone() };
        way.put_token(key, &token)?;
        Ok(way)
    }

    fn put_token(&mut self, key: &DataKey, token: &DataKey) -> Result<()> {
        let Some(pair) = &self.slot.pair else { return Ok(()) };
        self.sealed_token = Some(SLOT_TOKEN.seal(key, &token_row(&pair.public), token.expose())?);
        Ok(())
    }

    /// Wraps a new key for the same passphrase, without it. `None` where there is no pair of keys.
    pub(super) fn rewrapped(&self, old: &DataKey, new: &DataKey) -> Result<Option<Self>> {
        let (Some(pair), Some(sealed)) = (&self.slot.pair, &self.sealed_token) else { return Ok(None) };
        let token = SLOT_TOKEN.open(old, &token_row(&pair.public), sealed)?;
        let token = DataKey::from_bytes(token.as_slice().try_into().map_err(|_| damaged())?);
        let wrapped = wrap(new, &pair.public)?;
        let pair = Pair { tag: tag(&token, &pair.public, &wrapped), ..pair.clone() };
        let mut way = Self { slot: StoredSlot { wrapped, pair: Some(pair), ..self.slot.clone() }, ..self.clone() };
        way.put_token(new, &token)?;
        Ok(Some(way))
    }

    /// Makes the way of a recovery key.
    pub(super) fn recovery(key: &DataKey, recovery: &RecoveryKey, operator: &str, now: DateTime<Utc>) -> Result<Self> {
        let slot = StoredSlot::direct(RECOVERY, key, recovery.secret(), KdfParams::FULL_ENTROPY, now)?;
        Ok(Self::made(&fixed_name(RECOVERY), slot, operator))
    }

    pub(super) fn made(name: &Name, slot: StoredSlot, operator: &str) -> Self {
        Self { name: name.clone(), slot, operator: Some(operator.to_owned()), used: None, sealed_token: None }
    }

    /// Stores it, in the place of the one that has its name.
    pub(super) fn save(&self, conn: &Connection) -> Result<()> {
        let Self { name, slot, operator, used, sealed_token } = self;
        let pair = slot.pair.as_ref();
        conn.execute(
            "INSERT OR REPLACE INTO slots
               (name, kind, log_n, r, p, salt, public_key, locked_key, wrapped, checksum, created, operator, used,
                tag, sealed_token)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                name.as_str(),
                slot.kind,
                slot.params.log_n(),
                slot.params.r(),
                slot.params.p(),
                slot.salt,
                pair.map(|pair| pair.public),
                pair.map(|pair| &pair.locked),
                slot.wrapped,
                slot.checksum(),
                micros(slot.created),
                operator,
                used.map(micros),
                pair.map(|pair| pair.tag),
                sealed_token,
            ],
        )?;
        Ok(())
    }

    fn read(cells: &Cells<'_>) -> Result<Self> {
        let params = KdfParams::new(cells.get(2)?, cells.get(3)?, cells.get(4)?).map_err(|_| damaged())?;
        let pair = match (cells.get(6)?, cells.get(7)?, cells.get(13)?) {
            (Some(public), Some(locked), Some(tag)) => Some(Pair { public, locked, tag }),
            _ => None,
        };
        let (kind, salt, wrapped) = (cells.get(1)?, cells.get(5)?, cells.get(8)?);
        let slot = StoredSlot { kind, params, salt, pair, wrapped, created: cells.time(10)? };
        if slot.checksum() != cells.get::<Vec<u8>>(9)? {
            return Err(damaged());
        }
        let (operator, used) = (cells.get(11)?, cells.time_some(12)?);
        Ok(Self { name: cells.parse(0)?, slot, operator, used, sealed_token: cells.get(14)? })
    }
}

/// Names the row of a token.
fn token_row(public: &[u8; 32]) -> String {
    public.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn fixed_name(text: &str) -> Name {
    text.parse().expect("letters make a name")
}

/// Reads all slots, in the order of their names.
///
/// # Errors
/// [`Error::Damaged`] when one has been changed, or there is no passphrase, or no recovery key, or trying them would cost more
/// than any that were made.
pub(super) fn load(conn: &Connection) -> Result<Vec<Way>> {
    let sql =
        "SELECT name, kind, log_n, r, p, salt, public_key, locked_key, wrapped, checksum, created, operator, used,
                      tag, sealed_token
               FROM slots ORDER BY name";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut ways = Vec::new();
    while let Some(row) = rows.next()? {
        ways.push(Way::read(&Cells { table: "slots", row })?);
    }
    let recovery = ways.iter().filter(|way| way.slot.kind == RECOVERY).count();
    let passphrases = ways.len() - recovery;
    let counts = recovery == 1 && (1..=MOST_PASSPHRASES).contains(&passphrases);
    let whole = counts && are_affordable(&slots_of(&ways));
    if whole { Ok(ways) } else { Err(damaged()) }
}

/// Returns the slots alone.
pub(super) fn slots_of(ways: &[Way]) -> Vec<&StoredSlot> {
    ways.iter().map(|way| &way.slot).collect()
}

/// What is sealed of all slots: everything but when they were used.
fn digest(ways: &[Way]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for way in ways {
        let operator = way.operator.as_deref().unwrap_or_default();
        for text in [way.name.as_str(), operator] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.update(micros(way.slot.created).to_be_bytes());
        hash.update(way.slot.checksum());
    }
    hash.finalize().into()
}

/// What changes slots, or makes them. None of them is recorded for anything else.
pub(super) const CHANGES: [Action; 8] = [
    Action::DatabaseCreated,
    Action::EncryptionEnabled,
    Action::PassphraseAdded,
    Action::PassphraseChanged,
    Action::PassphraseRemoved,
    Action::RecoveryKeyChanged,
    Action::Rekeyed,
    Action::VaultUpgraded,
];

/// Searches the audit log for the newest entry that tells of a change of slots; 0 if none does. That costs time in proportion to
/// the length of the log: [`audit::newest_change_of_slots`] knows it without.
pub(super) fn newest_change(conn: &Connection) -> Result<i64> {
    newest(conn, &CHANGES, 0)
}

/// The same of the entries that go on behind this one; 0 too if the next one isn't there.
pub(super) fn newest_change_after(conn: &Connection, entry: i64) -> Result<i64> {
    let sql = "SELECT EXISTS (SELECT 1 FROM audit NOT INDEXED WHERE id = ?1)";
    let goes_on: bool = conn.prepare_cached(sql)?.query_row([entry.saturating_add(1)], |row| row.get(0))?;
    if goes_on { newest(conn, &CHANGES, entry) } else { Ok(0) }
}

/// Returns the number of the newest entry behind this one that tells of one of `actions`; 0 if none does.
fn newest(conn: &Connection, actions: &[Action], after: i64) -> Result<i64> {
    let listed = actions.iter().map(|action| format!("'{}'", action.as_str())).collect::<Vec<_>>().join(", ");
    let sql =
        format!("SELECT id FROM audit NOT INDEXED WHERE id > ?1 AND action IN ({listed}) ORDER BY id DESC LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([after], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Seals the set of slots as it is now. Comes after the audit entry that tells of the change.
pub(super) fn seal(conn: &Connection, key: &DataKey) -> Result<()> {
    let content = [&digest(&load(conn)?)[..], &audit::newest_change_of_slots(conn, key)?.to_be_bytes()].concat();
    let id: String = conn.query_row("SELECT database_id FROM vault", [], |row| row.get(0))?;
    conn.execute("UPDATE vault SET sealed_slots = ?1", [SLOTS.seal(key, &id, &content)?])?;
    Ok(())
}

/// Reads all slots and compares them with what was sealed. Whether it was: it wasn't when an earlier version wrote last.
///
/// # Errors
/// [`Error::Damaged`] when they aren't those that were sealed, or not those of the newest change.
pub(super) fn checked(conn: &Connection, key: &DataKey) -> Result<(Vec<Way>, bool)> {
    let ways = load(conn)?;
    let sql = "SELECT database_id, sealed_slots FROM vault";
    let (id, sealed): (String, Option<String>) = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(sealed) = sealed else {
        // Only slots that an earlier version made may be without: and only until this one has seen them.
        let since = [Action::VaultUpgraded, Action::PassphraseAdded, Action::PassphraseRemoved];
        let earlier = ways.len() == 2 && ways.iter().all(|way| way.slot.pair.is_none());
        return if earlier && newest(conn, &since, 0)? == 0 { Ok((ways, false)) } else { Err(changed()) };
    };
    let (slots, entry) = (digest(&ways), audit::newest_change_of_slots(conn, key)?.to_be_bytes());
    match SLOTS.open(key, &id, &sealed)?.split_first_chunk::<32>() {
        Some((was, entry_then)) if *was == slots && entry_then == entry => Ok((ways, true)),
        Some((was, _)) if *was == slots => Err(log_changed()),
        _ => Err(changed()),
    }
}

fn changed() -> Error {
    let what = "the passphrases that unlock it are not those that were set: one was put in, taken away or brought back";
    Error::Damaged { what: what.into() }
}

fn log_changed() -> Error {
    let what = "the audit log doesn't tell of the passphrases as they were set: it was changed, or they were brought back. \
                `wg-friend audit verify --chain-only` says where the log is wrong";
    Error::Damaged { what: what.into() }
}

impl Database {
    /// Returns the ways to the data key, passphrases first.
    pub fn slots(&self) -> Result<Vec<Slot>> {
        let sql = "SELECT kind, name, log_n, r, p, created, operator, used FROM slots ORDER BY kind, name";
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut slots = Vec::new();
        while let Some(row) = rows.next()? {
            let c = Cells { table: "slots", row };
            slots.push(Slot {
                kind: c.get(0)?,
                name: c.parse(1)?,
                log_n: c.get(2)?,
                r: c.get(3)?,
                p: c.get(4)?,
                created: c.time(5)?,
                operator: c.get(6)?,
                used: c.time_some(7)?,
            });
        }
        Ok(slots)
    }
}
