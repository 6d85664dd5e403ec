//! The audit log: append-only, chained by hashes, authenticated under a key that derives from the data key.
//!
//! `entry_hash = SHA-256(previous_hash ‖ canonical entry)`, where the canonical entry is every field, each behind its
//! length, so that no two entries encode alike. `mac = HMAC-SHA-256(audit key, entry_hash)`: without the passphrase nobody
//! can rebuild the chain after editing it. Number and hash of the newest entry are sealed in the vault, and the next entry
//! continues from there rather than from the table, so a tail that was cut off stays missing for ever.

use chrono::{DateTime, Utc};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wg_friend_crypt::{self as crypt, DataKey};

use super::error::{Error, Result};
use super::row::Cells;
use super::vault::{AUDIT_TAIL, no_row};
use super::{Database, micros};
use crate::model::{Action, Actor, Category, Event, Severity};

type Hash = [u8; 32];

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
    /// Only about this guid or name.
    pub entity: Option<String>,
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
            entity: None,
            operator: None,
            from: None,
            to: None,
            limit: 100,
            offset: 0,
        }
    }
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Problem {
    /// Its fields don't give its hash.
    #[error("has been edited")]
    Edited,
    /// It stands where another one was.
    #[error("has been reordered: it was written as entry {written_as}")]
    Reordered {
        /// The number it was written with.
        written_as: i64,
    },
    /// There is a gap.
    #[error("has been deleted")]
    Deleted,
    /// Its own hash is right, but it doesn't follow on the entry before.
    #[error("does not follow on the entry before it, which has been replaced")]
    Unlinked,
    /// Its hash is right, but whoever wrote it didn't have the key.
    #[error("was not written by wg-friend: its authentication code is wrong")]
    Forged,
    /// The log ends before it.
    #[error("and all after it have been cut off: the log once ended with entry {end}")]
    Truncated {
        /// The number of the last entry that was written.
        end: i64,
    },
    /// The log goes on after its end.
    #[error("was added after the end of the log, entry {end}")]
    Appended {
        /// The number of the last entry that was written.
        end: i64,
    },
    /// The last entry isn't the one that was written last.
    #[error("is not the entry that was written last")]
    Replaced,
}

/// The first bad entry, and why it is bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its number.
    pub entry: i64,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

/// What verifying the log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many entries are in order, from the first on.
    pub good: i64,
    /// Whether authentication codes and the end of the log were checked too, which takes the data key. Without it, only
    /// the hash chain is: it shows accidents, but someone who edits the log can rebuild it.
    pub authenticated: bool,
    /// The first entry that isn't in order.
    pub bad: Option<Finding>,
}

impl Verification {
    /// Makes a finding an error.
    pub fn into_result(self) -> Result<Self> {
        match self.bad {
            None => Ok(self),
            Some(Finding { entry, problem }) => Err(Error::Tampered { entry, problem: problem.to_string() }),
        }
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
    /// Returns the hash. Every text is behind a byte that says whether it is there and eight that say how long it is.
    fn hash(&self, previous: &[u8], id: i64) -> Hash {
        let mut bytes = Vec::with_capacity(512);
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
        Sha256::digest(&bytes).into()
    }
}

fn audit_key(key: &DataKey) -> DataKey {
    crypt::subkey(key, "wg-friend audit log")
}

/// Number and hash of the newest entry, as sealed in the vault.
struct Tail {
    id: i64,
    hash: Hash,
}

impl Tail {
    fn seal(&self, key: &DataKey, database: &str) -> Result<String> {
        let bytes = [&self.id.to_be_bytes()[..], &self.hash].concat();
        AUDIT_TAIL.seal(key, database, &bytes)
    }

    fn load(conn: &Connection, key: &DataKey) -> Result<(Self, String)> {
        let (database, sealed): (String, String) = conn
            .query_row("SELECT database_id, sealed_audit_tail FROM vault", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|e| no_row(e, "the vault is gone"))?;
        let bytes = AUDIT_TAIL.open(key, &database, &sealed)?;
        let wrong = || Error::Value { table: "vault", column: "sealed_audit_tail".into() };
        let (id, hash) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let hash = hash.try_into().map_err(|_| wrong())?;
        Ok((Self { id: i64::from_be_bytes(*id), hash }, database))
    }
}

/// Seals the tail of a log without entries.
pub(super) fn seal_empty_tail(key: &DataKey, database: &str) -> Result<String> {
    Tail { id: 0, hash: GENESIS }.seal(key, database)
}

/// Writes an entry behind the newest one and seals the new tail.
pub(super) fn append(conn: &Connection, key: &DataKey, now: DateTime<Utc>, actor: &Actor, event: &Event) -> Result<()> {
    let (tail, database) = Tail::load(conn, key)?;
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
    conn.prepare_cached(&sql)?.execute(columns).map_err(|e| match Error::from(e) {
        // Something stands where the log has never been.
        Error::Duplicate { .. } => {
            Error::Tampered { entry: id, problem: Problem::Appended { end: tail.id }.to_string() }
        }
        other => other,
    })?;
    let sealed = Tail { id, hash }.seal(key, &database)?;
    conn.prepare_cached("UPDATE vault SET sealed_audit_tail = ?1")?.execute([sealed])?;
    Ok(())
}

/// What verifying reads of a row, borrowed from it.
struct Stored<'r> {
    canonical: Canonical<'r>,
    previous: &'r [u8],
    hash: &'r [u8],
    mac: &'r [u8],
}

impl<'r> Stored<'r> {
    fn read(row: &'r Row<'_>) -> Result<Self> {
        let cells = Cells { table: "audit", row };
        let wrong = |at| move |_| Error::Value { table: "audit", column: format!("{at}") };
        let mut texts = [None; 10];
        for (at, text) in (2..).zip(&mut texts) {
            *text = row.get_ref(at)?.as_str_or_null().map_err(wrong(at))?;
        }
        let blob = |at| row.get_ref(at)?.as_blob().map_err(wrong(at));
        let canonical = Canonical { id: cells.get(0)?, time: cells.get(1)?, texts };
        Ok(Self { canonical, previous: blob(12)?, hash: blob(13)?, mac: blob(14)? })
    }

    /// Compares an entry with what has to be in its place.
    fn problem(&self, last: i64, previous: &Hash, key: Option<&DataKey>) -> Option<Problem> {
        let id = self.canonical.id;
        let matches = |id| self.canonical.hash(self.previous, id)[..] == *self.hash;
        if !matches(id) {
            return Some(match (1..=last).find(|other| matches(*other)) {
                Some(written_as) => Problem::Reordered { written_as },
                None => Problem::Edited,
            });
        }
        if key.is_some_and(|key| crypt::mac(key, self.hash)[..] != *self.mac) {
            return Some(Problem::Forged);
        }
        (self.previous != previous).then_some(Problem::Unlinked)
    }
}

/// Walks the log once, first entry to last.
pub(super) fn verify(conn: &Connection, key: Option<&DataKey>) -> Result<Verification> {
    let tail = key.map(|key| Tail::load(conn, key)).transpose()?.map(|(tail, _)| tail);
    let audit_key = key.map(audit_key);
    let newest: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    // A removed entry may have left its content under another number, so look a little beyond the newest.
    let last = newest.max(tail.as_ref().map_or(0, |t| t.id)) + 1;
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let (mut good, mut previous) = (0, GENESIS);
    let authenticated = key.is_some();
    let stop = |good, entry, problem| Verification { good, authenticated, bad: Some(Finding { entry, problem }) };
    while let Some(row) = rows.next()? {
        let stored = Stored::read(row)?;
        let id = stored.canonical.id;
        if id > good + 1 {
            return Ok(stop(good, good + 1, Problem::Deleted));
        }
        if let Some(tail) = tail.as_ref().filter(|tail| id > tail.id) {
            return Ok(stop(good, id, Problem::Appended { end: tail.id }));
        }
        if let Some(problem) = stored.problem(last, &previous, audit_key.as_ref()) {
            return Ok(stop(good, id, problem));
        }
        previous.copy_from_slice(stored.hash); // 32 bytes: it equals a hash that was just computed
        good = id;
    }
    match tail {
        Some(tail) if good < tail.id => Ok(stop(good, good + 1, Problem::Truncated { end: tail.id })),
        Some(tail) if previous != tail.hash => Ok(stop(good - 1, good, Problem::Replaced)),
        _ => Ok(Verification { good, authenticated, bad: None }),
    }
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
    /// Verifies the audit log and names the first bad entry. With the data key, everything; without, the chain alone.
    pub fn verify_audit(&self, key: Option<&DataKey>) -> Result<Verification> {
        let _snapshot = self.snapshot()?;
        verify(&self.conn, key)
    }

    /// Lists entries, newest first.
    pub fn audit_log(&self, filter: &Filter) -> Result<Vec<Entry>> {
        let mut sql = format!("SELECT {COLUMNS} FROM audit WHERE 1");
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let mut require = |condition: &str, value: Option<Box<dyn ToSql>>| {
            if let Some(value) = value {
                values.push(value);
                sql.push_str(&format!(" AND {condition} ?{}", values.len()));
            }
        };
        require("action =", filter.action.map(|w| Box::new(w.as_str()) as _));
        require("category =", filter.category.map(|w| Box::new(w.as_str()) as _));
        require("severity =", filter.severity.map(|w| Box::new(w.as_str()) as _));
        require("entity_guid =", filter.entity.clone().map(|w| Box::new(w) as _));
        require("operator =", filter.operator.clone().map(|w| Box::new(w) as _));
        require("time >=", filter.from.map(|t| Box::new(micros(t)) as _));
        require("time <", filter.to.map(|t| Box::new(micros(t)) as _));
        sql.push_str(&format!(" ORDER BY id DESC LIMIT {} OFFSET {}", filter.limit, filter.offset));

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
