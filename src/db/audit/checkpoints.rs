//! Checkpoints: the signed heads that the database itself keeps, and the key that signs them.
//!
//! The key is made with the first entry that finds none: at `init`, or when an older database is written to again. The
//! public half lies open, the private one is sealed; the tail says which key it is, so that it can't be exchanged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use wg_friend_crypt::merkle::{self, Frontier, Hash};
use wg_friend_crypt::{DataKey, SigningKey};
use zeroize::Zeroizing;

use super::tail::{FIRST, Signed, Tail, chained};
use super::{SignedHead, VerifierKey, taken, verify};
use crate::db::error::{Error, Result};
use crate::db::row::Cells;
use crate::db::tx::Tx;
use crate::db::vault::SIGNING_KEY;
use crate::db::{Database, Store, micros};

/// After how many entries a checkpoint is kept.
pub(super) const EACH: i64 = 1000;

/// A signed head that the database keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// Its number, from 1, without gaps.
    pub number: i64,
    /// What was signed.
    pub head: SignedHead,
}

/// Makes the key of a log that has none, and builds the tree over the entries that are there. Nothing unless they are in
/// order, one and all: a signed root must be over the log that was written.
pub(super) fn begin(conn: &Connection, key: &DataKey) -> Result<Option<Signed>> {
    if verify::entries(conn, Some(key))?.bad.is_some() {
        return Ok(None);
    }
    let mut tree = Frontier::default();
    let mut statement = conn.prepare("SELECT entry_hash FROM audit NOT INDEXED ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let hash: Hash = Cells { table: "audit", row }.get(0)?;
        tree.push(merkle::leaf(&hash));
    }
    let signer = SigningKey::random()?;
    let public = STANDARD.encode(signer.public());
    let sealed = SIGNING_KEY.seal(key, &public, signer.expose().as_slice())?;
    let sql = "INSERT INTO signing_key (id, public_key, sealed_private) VALUES (1, ?1, ?2)";
    match conn.execute(sql, params![public, sealed]).map_err(Error::from) {
        Ok(_) => Ok(Some(Signed { public: signer.public(), checkpoints: 0, digest: FIRST, tree })),
        Err(Error::Duplicate { .. }) => Err(replaced()),
        Err(other) => Err(other),
    }
}

fn replaced() -> Error {
    Error::Damaged { what: "the key that signs the audit log is not the one that was made for it".into() }
}

/// Opens the key that the tail names.
pub(super) fn signer(conn: &Connection, key: &DataKey, public: &[u8; 32]) -> Result<SigningKey> {
    let sql = "SELECT public_key, sealed_private FROM signing_key";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<(String, String)> = conn.prepare_cached(sql)?.query_row([], read).optional()?;
    let (name, sealed) = found.ok_or_else(replaced)?;
    let seed: Zeroizing<Vec<u8>> = SIGNING_KEY.open(key, &name, &sealed)?;
    let signer = SigningKey::from_seed(seed.as_slice().try_into().map_err(|_| replaced())?);
    if signer.public() == *public { Ok(signer) } else { Err(replaced()) }
}

/// Signs the log as its tail says that it is.
fn sign(conn: &Connection, key: &DataKey, now: DateTime<Utc>, database: &str, signed: &Signed) -> Result<SignedHead> {
    let signer = signer(conn, key, &signed.public)?;
    Ok(SignedHead::sign(database, signed.tree.size(), signed.tree.root(), now, &signer))
}

/// Keeps a checkpoint of the log as its tail says that it is, and puts it into the tail. Nothing if there is no key.
pub(super) fn keep(
    conn: &Connection,
    key: &DataKey,
    now: DateTime<Utc>,
    database: &str,
    tail: &mut Tail,
) -> Result<Option<SignedHead>> {
    let Some(signed) = &mut tail.signed else { return Ok(None) };
    let head = sign(conn, key, now, database, signed)?;
    let sql = "INSERT INTO checkpoints (id, size, time, root, signature) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![signed.checkpoints + 1, tail.id, micros(now), head.root(), head.signature()];
    let written = conn.prepare_cached(sql)?.execute(values).map_err(|e| match Error::from(e) {
        Error::Duplicate { .. } => {
            Error::Damaged { what: "it holds a checkpoint of the audit log that was never made".into() }
        }
        other => other,
    })?;
    taken(written)?;
    signed.checkpoints += 1;
    signed.digest = chained(&signed.digest, &head);
    Ok(Some(head))
}

/// Reads the public key, as it lies open.
pub(super) fn public(conn: &Connection, database: &str) -> Result<Option<VerifierKey>> {
    let sql = "SELECT public_key FROM signing_key";
    let text: Option<String> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?;
    let wrong = || Error::Value { table: "signing_key", column: "public_key".into() };
    let read = |text: String| STANDARD.decode(text).ok()?.try_into().ok();
    let key = text.map(|text| read(text).ok_or_else(wrong)).transpose()?;
    Ok(key.map(|key| VerifierKey::new(database, key)))
}

fn wrong_size() -> Error {
    Error::Value { table: "checkpoints", column: "size".into() }
}

const SELECT: &str = "SELECT id, size, time, root, signature FROM checkpoints ORDER BY id";

/// Reads the checkpoints, in order.
pub(super) fn load(conn: &Connection, key: &VerifierKey) -> Result<Vec<Checkpoint>> {
    let mut statement = conn.prepare(SELECT)?;
    let mut rows = statement.query([])?;
    let mut checkpoints = Vec::new();
    while let Some(row) = rows.next()? {
        let (number, head) = one(key, row)?;
        checkpoints.push(Checkpoint { number, head: head? });
    }
    Ok(checkpoints)
}

/// Reads those that are before the first that can't be read, and its number.
pub(super) fn load_readable(conn: &Connection, key: &VerifierKey) -> Result<(Vec<Checkpoint>, Option<i64>)> {
    let mut statement = conn.prepare(SELECT)?;
    let mut rows = statement.query([])?;
    let mut checkpoints = Vec::new();
    while let Some(row) = rows.next()? {
        match one(key, row)? {
            (number, Ok(head)) => checkpoints.push(Checkpoint { number, head }),
            (number, Err(_)) => return Ok((checkpoints, Some(number))),
        }
    }
    Ok((checkpoints, None))
}

/// Reads one: its number, and what was signed unless a cell of that can't be read.
fn one(key: &VerifierKey, row: &Row<'_>) -> Result<(i64, Result<SignedHead>)> {
    let cells = Cells { table: "checkpoints", row };
    let head = || {
        let size = u64::try_from(cells.get::<i64>(1)?).map_err(|_| wrong_size())?;
        Ok(SignedHead::from_parts(key, size, cells.get(3)?, cells.time(2)?, cells.get(4)?))
    };
    Ok((cells.get(0)?, head()))
}

impl Database {
    /// Returns the public key that the log's heads are signed with; none before the first entry of a version that signs.
    pub fn verifier_key(&self) -> Result<Option<VerifierKey>> {
        public(&self.conn, &self.id)
    }

    /// Lists the checkpoints that the database keeps, oldest first.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let _snapshot = self.snapshot()?;
        let key = self.verifier_key()?;
        key.map_or_else(|| Ok(Vec::new()), |key| load(&self.conn, &key))
    }
}

impl Store {
    /// Signs the log as it is now: for whoever keeps it outside of the database, so that an older copy of the database, or
    /// another one in its place, shows. Keeps nothing, unless there was no key to sign with: then it makes one.
    ///
    /// # Errors
    /// [`Error::Tampered`] when there was no key yet, and the log isn't whole.
    pub fn signed_head(&self, now: DateTime<Utc>) -> Result<SignedHead> {
        let (tail, database) = Tail::load(&self.conn, &self.key)?;
        match &tail.signed {
            Some(signed) => sign(&self.conn, &self.key, now, &database, signed),
            None if self.conn.is_autocommit() => {
                let tx = Tx::begin(self)?;
                let signed = ensure(&tx.transaction, &self.key)?;
                tx.transaction.commit()?;
                sign(&self.conn, &self.key, now, &database, &signed)
            }
            None => sign(&self.conn, &self.key, now, &database, &ensure(&self.conn, &self.key)?),
        }
    }

    /// Keeps a signed head of the log as it is now as a checkpoint. The one that is there already, if nothing has been
    /// written since.
    ///
    /// # Errors
    /// As [`Store::signed_head`].
    pub fn checkpoint(&mut self, now: DateTime<Utc>) -> Result<Checkpoint> {
        self.quietly(|tx| {
            ensure(&tx.transaction, &tx.key)?;
            let (mut tail, database) = Tail::load(&tx.transaction, &tx.key)?;
            if let Some(last) = tx.checkpoints()?.pop()
                && i64::try_from(last.head.size()) == Ok(tail.id)
            {
                return Ok(last);
            }
            let head = keep(&tx.transaction, &tx.key, now, &database, &mut tail)?.ok_or_else(replaced)?;
            tail.save(&tx.transaction, &tx.key, &database)?;
            let number = tail.signed.map_or(0, |signed| signed.checkpoints);
            Ok(Checkpoint { number, head })
        })
    }
}

/// Sees that there is a key to sign with.
fn ensure(conn: &Connection, key: &DataKey) -> Result<Signed> {
    let (mut tail, database) = Tail::load(conn, key)?;
    if tail.signed.is_none() {
        tail.signed = begin(conn, key)?;
        tail.unwhole = tail.signed.is_none();
        tail.save(conn, key, &database)?;
    }
    match tail.signed {
        Some(signed) => Ok(signed),
        None => Err(verify::entries(conn, Some(key))?.into_result().err().unwrap_or_else(replaced)),
    }
}
