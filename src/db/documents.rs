//! What was adopted: the configurations that were there before, and where each node is known from.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::networks::INTERFACES;
use super::row::Cells;
use super::tx::Tx;
use super::vault::{DOCUMENT, ORIGINAL, Sealed};
use super::{Database, Store, micros};
use crate::model::{InterfaceId, Kept, NodeId, Provenance, PublicKey};

/// Writes what an interface keeps, as [`read_kept`] reads it.
pub(super) fn kept(kept: Option<&Kept>) -> Option<String> {
    kept.map(|kept| serde_json::to_string(kept).expect("names and numbers are representable"))
}

/// Reads what an interface keeps.
pub(super) fn read_kept(text: Option<String>) -> Result<Option<Kept>> {
    let wrong = |_| Error::Value { table: "interfaces", column: "kept".into() };
    text.map(|text| serde_json::from_str(&text).map_err(wrong)).transpose()
}

impl Database {
    /// Lists the sources that speak of a node, the newest first.
    pub fn provenance(&self, node: NodeId) -> Result<Vec<Provenance>> {
        let sql = "SELECT source, host, format, size, sha256, first_line, last_line, time FROM provenance
                   WHERE node_id = ?1 ORDER BY time DESC, source";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([node.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "provenance", row };
            found.push(Provenance {
                source: cells.get(0)?,
                host: cells.parse_some(1)?,
                format: cells.get(2)?,
                size: cells.get(3)?,
                sha256: cells.get(4)?,
                lines: cells.get::<Option<u32>>(5)?.zip(cells.get::<Option<u32>>(6)?),
                time: cells.time(7)?,
            });
        }
        Ok(found)
    }

    /// Returns which interfaces were adopted, of whatever network.
    pub fn adopted(&self) -> Result<BTreeSet<InterfaceId>> {
        Ok(self.numbers("SELECT interface_id FROM documents")?.into_iter().map(InterfaceId).collect())
    }

    /// Returns which interface has or had each key.
    pub fn key_owners(&self) -> Result<BTreeMap<PublicKey, InterfaceId>> {
        let mut statement = self.conn.prepare_cached("SELECT public_key, interface_id FROM keys")?;
        let mut rows = statement.query([])?;
        let mut owners = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "keys", row };
            owners.insert(cells.parse(0)?, InterfaceId(cells.get(1)?));
        }
        Ok(owners)
    }

    /// Returns which interface has or had a key.
    pub fn key_owner(&self, key: PublicKey) -> Result<Option<InterfaceId>> {
        let mut statement = self.conn.prepare_cached("SELECT interface_id FROM keys WHERE public_key = ?1")?;
        let mut rows = statement.query([key.to_string()])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?.map(InterfaceId))
    }
}

impl Store {
    /// Opens the configurations that files are made from, by interface.
    pub fn documents(&self) -> Result<BTreeMap<InterfaceId, Zeroizing<String>>> {
        self.open_documents(&DOCUMENT)
    }

    /// Opens the configurations as they were read when their interfaces were adopted.
    pub fn originals(&self) -> Result<BTreeMap<InterfaceId, Zeroizing<String>>> {
        self.open_documents(&ORIGINAL)
    }

    fn open_documents(&self, column: &Sealed) -> Result<BTreeMap<InterfaceId, Zeroizing<String>>> {
        let sql = format!("SELECT interface_id, {} FROM documents WHERE interface_id IN {INTERFACES}", column.column);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut documents = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "documents", row };
            let (id, sealed): (i64, String) = (cells.get(0)?, cells.get(1)?);
            let bytes = column.open(&self.key, &id.to_string(), &sealed)?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Error::Value { table: "documents", column: column.column.into() })?;
            documents.insert(InterfaceId(id), Zeroizing::new(text.to_owned()));
        }
        Ok(documents)
    }
}

impl Tx<'_> {
    /// Keeps the configuration that an interface had when it was adopted; one that was kept before is replaced.
    pub fn save_document(&self, interface: InterfaceId, text: &str) -> Result<()> {
        let row = interface.0.to_string();
        let original = ORIGINAL.seal(self.data_key(), &row, text.as_bytes())?;
        let base = DOCUMENT.seal(self.data_key(), &row, text.as_bytes())?;
        let sql = "INSERT OR REPLACE INTO documents (interface_id, sealed_original, sealed_text) VALUES (?1, ?2, ?3)";
        self.transaction.prepare_cached(sql)?.execute(params![interface.0, original, base])?;
        Ok(())
    }

    /// Replaces what an adopted interface's file is made from; the original stays.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an interface that was not adopted.
    pub fn edit_document(&self, interface: InterfaceId, text: &str) -> Result<()> {
        let sealed = DOCUMENT.seal(self.data_key(), &interface.0.to_string(), text.as_bytes())?;
        let sql = "UPDATE documents SET sealed_text = ?2 WHERE interface_id = ?1";
        match self.transaction.execute(sql, params![interface.0, sealed])? {
            1 => Ok(()),
            _ => Err(Error::NotFound { what: "adopted interface", name: format!("number {}", interface.0) }),
        }
    }

    /// Notes that a source speaks of a node.
    pub fn record_provenance(&self, node: NodeId, from: &Provenance) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO provenance
                     (node_id, source, host, format, size, sha256, first_line, last_line, time)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        self.transaction.prepare_cached(sql)?.execute(params![
            node.0,
            from.source,
            from.host.as_ref().map(|host| host.as_str()),
            from.format,
            from.size,
            from.sha256,
            from.lines.map(|(first, _)| first),
            from.lines.map(|(_, last)| last),
            micros(from.time),
        ])?;
        Ok(())
    }
}
