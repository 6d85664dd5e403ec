//! Files made from the model, and which of them were handed out.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::error::Result;
use super::row::Cells;
use super::tx::Tx;
use super::vault::GENERATED;
use super::{Database, Store, micros};
use crate::model::{InterfaceId, NodeId};

/// The newest file made for an interface.
#[derive(Debug)]
pub struct Generated {
    /// When it was made.
    pub time: DateTime<Utc>,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// What it says, secrets included.
    pub content: Zeroizing<Vec<u8>>,
}

/// That a node's owner was given a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handout {
    /// Whose config it is.
    pub node: NodeId,
    /// How: `qr`, `png`, `svg`, `file`.
    pub method: String,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
    /// When.
    pub time: DateTime<Utc>,
}

/// Returns the SHA-256 of a content, in hexadecimal.
pub(super) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn row_name(interface: InterfaceId, file: &str) -> String {
    format!("{}/{file}", interface.0)
}

impl Store {
    /// Opens the newest file of a name that was made for an interface.
    pub fn last_generated(&self, interface: InterfaceId, file: &str) -> Result<Option<Generated>> {
        let sql = "SELECT time, sha256, sealed_content FROM generated WHERE interface_id = ?1 AND file = ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![interface.0, file])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let cells = Cells { table: "generated", row };
        let sealed: String = cells.get(2)?;
        let content = GENERATED.open(&self.key, &row_name(interface, file), &sealed)?;
        Ok(Some(Generated { time: cells.time(0)?, sha256: cells.get(1)?, content }))
    }
}

impl Database {
    /// Lists what was handed out for a node, the newest first.
    pub fn handouts(&self, node: NodeId) -> Result<Vec<Handout>> {
        self.read_handouts(
            "SELECT node_id, method, sha256, time FROM handouts WHERE node_id = ?1 ORDER BY id DESC",
            [node.0],
        )
    }

    /// Lists the newest handout of every node that had one, ordered by node.
    pub fn last_handouts(&self) -> Result<Vec<Handout>> {
        let sql = "SELECT node_id, method, sha256, time FROM handouts
                   WHERE id IN (SELECT max(id) FROM handouts GROUP BY node_id) ORDER BY node_id";
        self.read_handouts(sql, [])
    }

    fn read_handouts(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Handout>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut handouts = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "handouts", row };
            let (method, sha256) = (cells.get(1)?, cells.get(2)?);
            handouts.push(Handout { node: NodeId(cells.get(0)?), method, sha256, time: cells.time(3)? });
        }
        Ok(handouts)
    }
}

impl Tx<'_> {
    /// Keeps a file that was made for an interface, in the place of the one made before. Whether its content differs.
    pub fn save_generated(
        &self,
        interface: InterfaceId,
        file: &str,
        content: &[u8],
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let sha256 = sha256(content);
        let sql = "SELECT sha256 FROM generated WHERE interface_id = ?1 AND file = ?2";
        let before: Option<String> =
            self.transaction.prepare_cached(sql)?.query_row(params![interface.0, file], |row| row.get(0)).optional()?;
        let sealed = GENERATED.seal(self.data_key(), &row_name(interface, file), content)?;
        let sql = "INSERT INTO generated (interface_id, file, time, sha256, sealed_content) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET time = excluded.time, sha256 = excluded.sha256,
                     sealed_content = excluded.sealed_content";
        self.transaction.prepare_cached(sql)?.execute(params![interface.0, file, micros(now), sha256, sealed])?;
        Ok(before.is_none_or(|before| before != sha256))
    }

    /// Notes that a node's owner was given a file, by its SHA-256 in hexadecimal.
    pub fn record_handout(&self, node: NodeId, method: &str, sha256: &str, now: DateTime<Utc>) -> Result<()> {
        let sql = "INSERT INTO handouts (node_id, method, sha256, time) VALUES (?1, ?2, ?3, ?4)";
        self.transaction.prepare_cached(sql)?.execute(params![node.0, method, sha256, micros(now)])?;
        Ok(())
    }
}
