//! Proofs for others: that an entry is in the log of a signed head, and that one head's log goes on from another's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::{Serialize, Serializer};
use wg_friend_crypt::merkle::{Hash, Tree};

use super::anchors::tree;
use super::walk::Stored;
use super::{COLUMNS, Filter, Problem, SignedHead, verify};
use crate::db::Database;
use crate::db::error::{Error, Result};

/// An entry with all that its hash is made of: texts as they are stored, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaf {
    /// Its number.
    pub id: i64,
    /// When it was written, to the microsecond: `2026-11-21T10:00:00.000000Z`.
    pub time: String,
    /// What was done.
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
    /// The rest: JSON, as text.
    pub details: String,
    /// The version of wg-friend that wrote it.
    pub version: String,
    /// The hash of the entry before it.
    #[serde(serialize_with = "base64_of")]
    pub previous_hash: Hash,
}

fn base64_of<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(hash))
}

fn base64_of_each<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(hashes.iter().map(|hash| STANDARD.encode(hash)))
}

/// The proof that an entry is in the log of a signed head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inclusion {
    /// The entry. Leaf `id - 1` of the tree is the hash of its hash.
    pub entry: Leaf,
    /// The hashes beside the way from the leaf to the root: RFC 6962, 2.1.1.
    #[serde(serialize_with = "base64_of_each")]
    pub proof: Vec<Hash>,
    /// What was signed.
    pub head: SignedHead,
}

/// The proof that the log of a signed head goes on from what an earlier one said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consistency {
    /// How many entries the earlier log had.
    pub from: u64,
    /// Its root.
    #[serde(serialize_with = "base64_of")]
    pub root: Hash,
    /// What joins the two: RFC 6962, 2.1.2.
    #[serde(serialize_with = "base64_of_each")]
    pub proof: Vec<Hash>,
    /// What was signed later.
    pub head: SignedHead,
}

/// An entry of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The entry.
    #[serde(flatten)]
    pub entry: Leaf,
    /// The proof that it is in the log of the export's head. None in an export of the whole log, which is its own proof.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "base64_of_each")]
    pub proof: Vec<Hash>,
}

/// A tree that is what a signed head says.
struct Proven {
    tree: Tree,
    size: usize,
}

impl Proven {
    /// Builds the tree of the log and holds it against the head: no proof is made of what was tampered with.
    fn new(database: &Database, head: &SignedHead) -> Result<Self> {
        let (tree, key) = (tree(&database.conn)?, database.verifier_key()?);
        let size = usize::try_from(head.size()).ok().filter(|size| tree.root(*size) == Some(*head.root()));
        match (size, key) {
            (Some(size), Some(key)) if head.is_signed_by(&key) => Ok(Self { tree, size }),
            _ => {
                verify(&database.conn, None)?.into_result()?;
                Err(Error::Damaged { what: "its audit log is not what was signed".into() })
            }
        }
    }

    fn inclusion(&self, id: i64) -> Option<Vec<Hash>> {
        self.tree.inclusion(usize::try_from(id).ok()?.checked_sub(1)?, self.size)
    }
}

/// Reads an entry and checks that it is what was hashed.
fn leaf(row: &Row<'_>) -> Result<Leaf> {
    let stored = Stored::read(row)?;
    if !stored.is_hashed() {
        return Err(Error::Tampered { entry: stored.canonical.id, problem: Problem::Edited.to_string() });
    }
    let wrong = |column: &str| Error::Value { table: "audit", column: column.to_owned() };
    let [action, category, severity, entity_type, entity_guid, operator, address, source, details, version] =
        stored.canonical.texts;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(stored.canonical.time).ok_or_else(|| wrong("time"))?;
    Ok(Leaf {
        id: stored.canonical.id,
        time: time.to_rfc3339_opts(SecondsFormat::Micros, true),
        action: text(action),
        category: text(category),
        severity: text(severity),
        entity_type: text(entity_type),
        entity_guid: entity_guid.map(str::to_owned),
        operator: text(operator),
        address: address.map(str::to_owned),
        source: text(source),
        details: text(details),
        version: text(version),
        previous_hash: stored.previous.try_into().map_err(|_| wrong("previous_hash"))?,
    })
}

fn not_found(what: &'static str, number: impl ToString) -> Error {
    Error::NotFound { what, name: number.to_string() }
}

fn read_leaf(conn: &Connection, id: i64) -> Result<Option<Leaf>> {
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM audit WHERE id = ?1"))?;
    statement.query_row([id], |row| Ok(leaf(row))).optional()?.transpose()
}

impl Database {
    /// Proves that an entry is in the log of a head.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the head is of fewer entries; [`Error::Tampered`] or [`Error::Damaged`] when the log isn't
    /// what was signed.
    pub fn prove_entry(&self, id: i64, head: SignedHead) -> Result<Inclusion> {
        let _snapshot = self.snapshot()?;
        let proven = Proven::new(self, &head)?;
        let proof = proven.inclusion(id);
        let entry = if proof.is_some() { read_leaf(&self.conn, id)? } else { None };
        match (entry, proof) {
            (Some(entry), Some(proof)) => Ok(Inclusion { entry, proof, head }),
            _ => Err(not_found("audit entry", id)),
        }
    }

    /// Proves that the log of a head goes on from its own first `from` entries.
    ///
    /// # Errors
    /// As [`Database::prove_entry`].
    pub fn prove_growth(&self, from: u64, head: SignedHead) -> Result<Consistency> {
        let _snapshot = self.snapshot()?;
        let proven = Proven::new(self, &head)?;
        let found = usize::try_from(from)
            .ok()
            .and_then(|from| Some((proven.tree.root(from)?, proven.tree.consistency(from, proven.size)?)));
        let (root, proof) = found.ok_or_else(|| not_found("audit entry", from))?;
        Ok(Consistency { from, root, proof, head })
    }

    /// Hands over the entries that a filter lets through, oldest first, each with the proof that it is in the log of the
    /// head; without proofs when it is the whole log. The head is of all entries that there are.
    ///
    /// # Errors
    /// As [`Database::prove_entry`]; whatever `each` returns.
    pub fn export_audit<E: From<Error>>(
        &self,
        filter: &Filter,
        head: &SignedHead,
        mut each: impl FnMut(Exported) -> Result<(), E>,
    ) -> Result<(), E> {
        let _snapshot = self.snapshot()?;
        let proven = Proven::new(self, head)?;
        let whole = filter.is_whole(head.size());
        let (sql, values) = filter.sql("ASC");
        let mut statement = self.conn.prepare(&sql).map_err(Error::from)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(Error::from)?;
        while let Some(row) = rows.next().map_err(Error::from)? {
            let entry = leaf(row)?;
            let proof = if whole { Some(Vec::new()) } else { proven.inclusion(entry.id) };
            // Written by another process since the head was signed.
            let Some(proof) = proof.filter(|_| entry.id.unsigned_abs() <= head.size()) else { break };
            each(Exported { entry, proof })?;
        }
        Ok(())
    }
}
