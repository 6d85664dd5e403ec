//! The audit log: append-only, chained by hashes, authenticated under a key that derives from the data key.
//!
//! `entry_hash = SHA-256(previous_hash ‖ canonical entry)`, where the canonical entry is every field, each behind its
//! length, so that no two entries encode alike. `mac = HMAC-SHA-256(audit key, entry_hash)`: without the passphrase nobody
//! can rebuild the chain after editing it. Number and hash of the newest entry are sealed in the vault, and the next entry
//! continues from there rather than from the table, so a tail that was cut off stays missing for ever.
//!
//! Over the hashes stands a Merkle tree, of which the tail carries as much as it takes to go on growing. A signed root, a
//! [`SignedHead`], says what the log was at one moment, to anyone who has the public key: one is kept every thousand entries
//! as a checkpoint, and more are left elsewhere. See [`head`] for their form.

mod anchors;
mod checkpoints;
mod head;
mod proofs;
mod schema;
mod tail;
mod verify;
mod walk;

use chrono::{DateTime, Utc};
use rusqlite::types::ToSql;
use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::{self as crypt, DataKey};

use super::error::{Error, Result};
use super::row::Cells;
use super::{Database, micros, slots};
use crate::model::{Action, Actor, Category, Event, Severity};
use tail::Tail;
use wg_friend_crypt::merkle::Hash;

pub use anchors::{AnchorProblem, Anchored, Restoration};
pub use checkpoints::Checkpoint;
pub use head::{InvalidHead, SignedHead, VerifierKey};
pub use proofs::{Consistency, Exported, Inclusion, Leaf};
pub use schema::Alteration;
pub(super) use schema::demand_own as demand_own_schema;
pub(super) use tail::seal_empty as seal_empty_tail;
pub(super) use verify::verify;
pub use verify::{Finding, Problem, Verification};

/// What entry 1 follows on.
const GENESIS: Hash = [0; 32];

const COLUMNS: &str = "id, time, action, category, severity, entity_type, entity_guid, operator, address, source, details, \
                       version, previous_hash, entry_hash, mac";

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub id: i64,
    /// When it was written.
    pub time: DateTime<Utc>,
    /// What was done; a word of [`Action`], or of a later version.
    pub action: String,
    /// Of what category.
    pub category: String,
    /// How serious.
    pub severity: String,
    /// To what kind of thing.
    pub entity_type: String,
    /// To which one.
    pub entity_guid: Option<String>,
    /// By whom.
    pub operator: String,
    /// From where.
    pub address: Option<String>,
    /// Through which face.
    pub source: String,
    /// The rest, a JSON object.
    pub details: Value,
    /// The version of wg-friend that wrote it.
    pub version: String,
}

/// Which entries to list. The default is the newest hundred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Only this action.
    pub action: Option<Action>,
    /// Only this category.
    pub category: Option<Category>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only about one of these: guids as they stand in entries, or names that a thing had then, upper and lower case being
    /// the same. None: about anything.
    pub about: Vec<String>,
    /// Only by this operator.
    pub operator: Option<String>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
    /// At most so many.
    pub limit: u32,
    /// After leaving out so many of the newest.
    pub offset: u32,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            action: None,
            category: None,
            severity: None,
            about: Vec::new(),
            operator: None,
            from: None,
            to: None,
            limit: 100,
            offset: 0,
        }
    }
}

impl Filter {
    /// Everything.
    pub fn whole() -> Self {
        Self { limit: u32::MAX, ..Self::default() }
    }

    /// Whether it lets through every entry of a log that has so many.
    fn is_whole(&self, entries: u64) -> bool {
        *self == Self { limit: self.limit, ..Self::default() } && entries <= self.limit.into()
    }

    /// Returns the query for the entries that it lets through, in an order (`ASC`, `DESC`), and its values.
    fn sql(&self, order: &str) -> (String, Vec<Box<dyn ToSql>>) {
        // Not by an index: one that somebody made anew could leave entries out.
        let mut sql = format!("SELECT {COLUMNS} FROM audit NOT INDEXED WHERE 1");
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut require = |condition: &str, value: Option<Box<dyn ToSql>>| {
            if let Some(value) = value {
                values.push(value);
                sql.push_str(&format!(" AND {condition} ?{}", values.len()));
            }
        };
        require("action =", self.action.map(|w| Box::new(w.as_str()) as _));
        require("category =", self.category.map(|w| Box::new(w.as_str()) as _));
        require("severity =", self.severity.map(|w| Box::new(w.as_str()) as _));
        require("operator =", self.operator.clone().map(|w| Box::new(w) as _));
        require("time >=", self.from.map(|t| Box::new(micros(t)) as _));
        require("time <", self.to.map(|t| Box::new(micros(t)) as _));
        if !self.about.is_empty() {
            values.push(Box::new(serde_json::Value::from(self.about.clone()).to_string()));
            let wanted = format!("IN (SELECT value FROM json_each(?{}))", values.len());
            let name = "CASE WHEN json_valid(details) THEN json_extract(details, '$.name') END COLLATE NOCASE";
            sql.push_str(&format!(" AND (entity_guid {wanted} OR {name} {wanted})"));
        }
        sql.push_str(&format!(" ORDER BY id {order} LIMIT {} OFFSET {}", self.limit, self.offset));
        (sql, values)
    }
}

/// The fields of an entry as they are hashed.
struct Canonical<'a> {
    id: i64,
    time: i64,
    /// Action, category, severity, entity type, entity guid, operator, address, source, details, version.
    texts: [Option<&'a str>; 10],
}

impl Canonical<'_> {
    /// Returns how many bytes its texts have, and a few.
    fn length(&self) -> i64 {
        let texts: usize = self.texts.iter().flatten().map(|text| text.len()).sum();
        i64::try_from(texts).unwrap_or(i64::MAX).saturating_add(100)
    }

    /// Returns the hash. Every text is behind a byte that says whether it is there and eight that say how long it is.
    fn hash(&self, previous: &[u8], id: i64) -> Hash {
        self.hash_in(&mut Vec::with_capacity(512), previous, id)
    }

    /// The same in a buffer that serves for many.
    fn hash_in(&self, bytes: &mut Vec<u8>, previous: &[u8], id: i64) -> Hash {
        bytes.clear();
        bytes.extend_from_slice(b"wg-friend audit 1\0");
        bytes.extend_from_slice(&(previous.len() as u64).to_be_bytes());
        bytes.extend_from_slice(previous);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(&self.time.to_be_bytes());
        for text in self.texts {
            bytes.push(u8::from(text.is_some()));
            let text = text.unwrap_or_default();
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Sha256::digest(bytes.as_slice()).into()
    }
}

fn audit_key(key: &DataKey) -> DataKey {
    crypt::subkey(key, "wg-friend audit log")
}

/// Writes an entry behind the newest one and seals the new tail; after each thousand entries, a checkpoint too.
pub(super) fn append(conn: &Connection, key: &DataKey, now: DateTime<Utc>, actor: &Actor, event: &Event) -> Result<()> {
    let (mut tail, database) = Tail::load(conn, key)?;
    if tail.signed.is_none() && !tail.unwhole {
        tail.signed = checkpoints::begin(conn, key)?;
        tail.unwhole = tail.signed.is_none();
    }
    if tail.signed.is_some() && tail.slots.is_none() {
        tail.slots = Some(slots::newest_change(conn)?);
    }
    let (id, time) = (tail.id + 1, micros(now));
    let details = event.details.to_string();
    let texts = [
        Some(event.action.as_str()),
        Some(event.category.as_str()),
        Some(event.severity.as_str()),
        Some(event.entity_type.as_str()),
        event.entity_guid.as_deref(),
        Some(actor.operator.as_str()),
        actor.address.as_deref(),
        Some(actor.source.as_str()),
        Some(details.as_str()),
        Some(env!("CARGO_PKG_VERSION")),
    ];
    let hash = Canonical { id, time, texts }.hash(&tail.hash, id);
    let mac = crypt::mac(&audit_key(key), &hash);
    let [action, category, severity, entity_type, entity_guid, operator, address, source, details, version] = texts;
    let columns = params![
        id,
        time,
        action,
        category,
        severity,
        entity_type,
        entity_guid,
        operator,
        address,
        source,
        details,
        version,
        tail.hash,
        hash,
        mac,
    ];
    let sql = format!("INSERT INTO audit ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)");
    let written = conn.prepare_cached(&sql)?.execute(columns).map_err(|e| match Error::from(e) {
        // Something stands where the log has never been.
        Error::Duplicate { .. } => {
            Error::Tampered { entry: id, problem: Problem::Appended { end: tail.id }.to_string() }
        }
        other => other,
    })?;
    taken(written)?;
    tail.advance(hash);
    if tail.slots.is_some() && slots::CHANGES.contains(&event.action) {
        tail.slots = Some(id);
    }
    if id % checkpoints::EACH == 0 {
        checkpoints::keep(conn, key, now, &database, &mut tail)?;
    }
    tail.save(conn, key, &database)
}

/// Returns the number of the newest entry that tells of a change of the vault's slots; 0 if none does.
///
/// The tail knows it, so this costs the same whatever the length of the log, and no edited entry changes it.
pub(super) fn newest_change_of_slots(conn: &Connection, key: &DataKey) -> Result<i64> {
    let (tail, _) = Tail::load(conn, key)?;
    match tail.slots {
        // A log that goes on behind its end had another one: the tail may have been brought back together with the slots.
        Some(entry) => Ok(entry.max(slots::newest_change_after(conn, tail.id)?)),
        None => slots::newest_change(conn),
    }
}

/// Sees that what was to be written as one row has been.
fn taken(rows: usize) -> Result<()> {
    let refused = || Error::Damaged { what: "it did not take what belongs to an entry of the audit log".into() };
    if rows == 1 { Ok(()) } else { Err(refused()) }
}

/// Replaces the authentication code of every entry, for a new data key. The caller has verified the log.
pub(super) fn authenticate_anew(conn: &Connection, key: &DataKey) -> Result<()> {
    let key = audit_key(key);
    let mut read = conn.prepare("SELECT entry_hash FROM audit WHERE id = ?1")?;
    let mut write = conn.prepare("UPDATE audit SET mac = ?1 WHERE id = ?2")?;
    let newest: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    for id in 1..=newest {
        let hash: Hash = read.query_row([id], |row| row.get(0))?;
        write.execute(params![crypt::mac(&key, &hash), id])?;
    }
    Ok(())
}

impl Database {
    /// Lists entries, newest first.
    pub fn audit_log(&self, filter: &Filter) -> Result<Vec<Entry>> {
        let (sql, values) = filter.sql("DESC");
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(entry(&Cells { table: "audit", row })?);
        }
        Ok(entries)
    }
}

fn entry(cells: &Cells<'_>) -> Result<Entry> {
    Ok(Entry {
        id: cells.get(0)?,
        time: cells.time(1)?,
        action: cells.get(2)?,
        category: cells.get(3)?,
        severity: cells.get(4)?,
        entity_type: cells.get(5)?,
        entity_guid: cells.get(6)?,
        operator: cells.get(7)?,
        address: cells.get(8)?,
        source: cells.get(9)?,
        details: cells.parse(10)?,
        version: cells.get(11)?,
    })
}

/// Builds the chain anew from an entry on, as somebody would who knows the format and lacks the key.
#[cfg(test)]
pub(super) fn chain_anew(conn: &Connection, from: i64) {
    let count: i64 = conn.query_row("SELECT max(id) FROM audit", [], |row| row.get(0)).unwrap();
    let mut previous: Option<Hash> = None;
    for id in from..=count {
        let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM audit WHERE id = ?1")).unwrap();
        let mut rows = statement.query([id]).unwrap();
        let row = rows.next().unwrap().unwrap();
        let stored = walk::Stored::read(row).unwrap();
        let before = previous.map_or_else(|| stored.previous.to_vec(), |hash| hash.to_vec());
        let hash = stored.canonical.hash(&before, id);
        let sql = "UPDATE audit SET previous_hash = ?1, entry_hash = ?2 WHERE id = ?3";
        conn.execute(sql, params![before, hash, id]).unwrap();
        previous = Some(hash);
    }
}
