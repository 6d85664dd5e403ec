//! Device revisions: what each device's file says, and which of them the device has shown to use.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::Result;
use super::networks::INTERFACES;
use super::row::{Cells, list};
use super::tx::Tx;
use super::vault::REVISION;
use super::{Database, Store, micros};
use crate::model::{InterfaceId, LinkId, NodeId};

/// What a device was given once. Handing the same out again, by whatever way, adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Whose.
    #[serde(skip)]
    pub node: NodeId,
    /// Counts up per node, from 1.
    pub number: i64,
    /// What the file says, as JSON; nothing secret.
    #[serde(skip)]
    pub meaning: String,
    /// By which ways it was handed out: `file`, `qr`, `png`, `svg`, `export`, `guide`, `shown_once`, `found`.
    pub methods: Vec<String>,
    /// When it was handed out first.
    pub handed_out: DateTime<Utc>,
    /// When it was handed out last.
    pub last_handed_out: DateTime<Utc>,
    /// The first handshake that only this revision, or a later one like it, explains.
    pub first_used: Option<DateTime<Utc>>,
    /// The newest such handshake.
    pub last_used: Option<DateTime<Utc>>,
}

impl Revision {
    /// The method of what a device had before wg-friend came.
    pub const FOUND: &str = FOUND;

    /// Whether it is only known that the device had it, and never handed out from here.
    pub fn is_found(&self) -> bool {
        self.methods == [FOUND]
    }
}

const FOUND: &str = "found";

/// A handshake that proves a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Whose.
    pub node: NodeId,
    /// Which revision.
    pub number: i64,
    /// When the handshake was.
    pub time: DateTime<Utc>,
}

const COLUMNS: &str =
    "node_id, number, meaning, methods, handed_out, last_handed_out, first_used, last_used FROM revisions";

fn row_name(node: NodeId, number: i64) -> String {
    format!("{}/{number}", node.0)
}

impl Database {
    /// Lists what a node was given, the newest first.
    pub fn revisions(&self, node: NodeId) -> Result<Vec<Revision>> {
        self.read_revisions(&format!("SELECT {COLUMNS} WHERE node_id = ?1 ORDER BY number DESC"), [node.0])
    }

    /// Lists what every node was given, by node, the newest first.
    pub fn all_revisions(&self) -> Result<BTreeMap<NodeId, Vec<Revision>>> {
        let mut all: BTreeMap<NodeId, Vec<Revision>> = BTreeMap::new();
        for revision in self.read_revisions(&format!("SELECT {COLUMNS} ORDER BY node_id, number DESC"), [])? {
            all.entry(revision.node).or_default().push(revision);
        }
        Ok(all)
    }

    fn read_revisions(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Revision>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut revisions = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "revisions", row };
            revisions.push(Revision {
                node: NodeId(cells.get(0)?),
                number: cells.get(1)?,
                meaning: cells.get(2)?,
                methods: cells.list_some(3)?.unwrap_or_default(),
                handed_out: cells.time(4)?,
                last_handed_out: cells.time(5)?,
                first_used: cells.time_some(6)?,
                last_used: cells.time_some(7)?,
            });
        }
        Ok(revisions)
    }

    /// Returns since when each link of the network has had the preshared key that it has: it tells one key from another without opening
    /// either.
    pub fn preshared_since(&self) -> Result<BTreeMap<LinkId, DateTime<Utc>>> {
        let sql = format!("SELECT low_id, high_id, created FROM preshared_keys WHERE low_id IN {INTERFACES}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut times = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "preshared_keys", row };
            times.insert(LinkId::between(InterfaceId(cells.get(0)?), InterfaceId(cells.get(1)?)), cells.time(2)?);
        }
        Ok(times)
    }
}

impl Store {
    /// Opens the file that was handed out as a revision; `None` when it isn't kept.
    pub fn revision_content(&self, node: NodeId, number: i64) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let sql = "SELECT sealed_content FROM revisions WHERE node_id = ?1 AND number = ?2";
        let found: Option<Option<String>> =
            self.conn.prepare_cached(sql)?.query_row(params![node.0, number], |row| row.get(0)).optional()?;
        found.flatten().map(|sealed| REVISION.open(&self.key, &row_name(node, number), &sealed)).transpose()
    }

    /// Notes which revisions have been seen in use. No change of the model, so it needs no entry in the audit log.
    pub fn record_uses(&mut self, uses: &[Use]) -> Result<()> {
        if uses.is_empty() {
            return Ok(());
        }
        self.quietly(|tx| {
            let sql = "UPDATE revisions SET first_used = min(coalesce(first_used, ?3), ?3),
                         last_used = max(coalesce(last_used, ?3), ?3)
                       WHERE node_id = ?1 AND number = ?2";
            for seen in uses {
                tx.transaction.prepare_cached(sql)?.execute(params![seen.node.0, seen.number, micros(seen.time)])?;
            }
            Ok(())
        })
    }
}

impl Tx<'_> {
    /// Notes that a node was given a file that says this: as a new revision when the last one said something else.
    /// Returns its number. Of what was there before and was never handed out from here, the latest knowledge replaces the
    /// earlier.
    pub fn record_revision(
        &self,
        node: NodeId,
        meaning: &str,
        content: Option<&[u8]>,
        method: &str,
        now: DateTime<Utc>,
    ) -> Result<i64> {
        let last = self.revisions(node)?.into_iter().next();
        if let Some(mut same) = last.as_ref().filter(|last| last.meaning == meaning).cloned() {
            if !same.methods.iter().any(|known| known == method) {
                same.methods.push(method.to_owned());
            }
            let sql =
                "UPDATE revisions SET methods = ?3, last_handed_out = ?4, sealed_content = coalesce(?5, sealed_content)
                       WHERE node_id = ?1 AND number = ?2";
            let sealed = self.seal_revision(node, same.number, content)?;
            let values = params![node.0, same.number, list(&same.methods), micros(now), sealed];
            self.transaction.prepare_cached(sql)?.execute(values)?;
            return Ok(same.number);
        }
        if let Some(guess) = last.as_ref().filter(|last| last.methods == [FOUND] && method == FOUND) {
            let sql = "UPDATE revisions SET meaning = ?3, sealed_content = ?4 WHERE node_id = ?1 AND number = ?2";
            let sealed = self.seal_revision(node, guess.number, content)?;
            self.transaction.prepare_cached(sql)?.execute(params![node.0, guess.number, meaning, sealed])?;
            return Ok(guess.number);
        }
        let number = last.map_or(0, |last| last.number) + 1;
        let sealed = self.seal_revision(node, number, content)?;
        let sql =
            "INSERT INTO revisions (node_id, number, meaning, methods, handed_out, last_handed_out, sealed_content)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)";
        let values = params![node.0, number, meaning, list(&[method.to_owned()]), micros(now), sealed];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(number)
    }

    fn seal_revision(&self, node: NodeId, number: i64, content: Option<&[u8]>) -> Result<Option<String>> {
        content.map(|text| REVISION.seal(self.data_key(), &row_name(node, number), text)).transpose()
    }

    /// Wipes the files that were handed out for an interface's node: they hold its private key.
    pub(super) fn forget_revisions(&self, interface: InterfaceId) -> Result<()> {
        let sql = "UPDATE revisions SET sealed_content = NULL
                   WHERE node_id = (SELECT node_id FROM interfaces WHERE id = ?1)";
        self.transaction.execute(sql, [interface.0])?;
        Ok(())
    }
}
