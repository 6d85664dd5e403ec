//! What goes with a removed node or interface: kept apart, keys sealed, so that it can come back as it was.

use rusqlite::{Connection, params};

use crate::db::error::Result;
use crate::db::row::Cells;
use crate::db::tx::Tx;
use crate::db::vault::{PRESHARED_KEY, PRIVATE_KEY, REMOVED_KEY, REMOVED_PRESHARED_KEY, Sealed};
use crate::model::{InterfaceId, LinkId, NodeId};

/// A row of `keys` or `removed_keys`: public half, state, since when known, since when retired and why, private half.
pub(super) type Key = (String, String, i64, Option<i64>, Option<String>, Option<String>);

fn keys_of(conn: &Connection, table: &'static str, interface: InterfaceId) -> Result<Vec<Key>> {
    let sql = format!(
        "SELECT public_key, state, created, retired, reason, sealed_private FROM {table} WHERE interface_id = ?1
         ORDER BY created, rowid"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([interface.0])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let c = Cells { table, row };
        keys.push((c.get(0)?, c.get(1)?, c.get(2)?, c.get(3)?, c.get(4)?, c.get(5)?));
    }
    Ok(keys)
}

impl Tx<'_> {
    /// Seals a cell anew for another place.
    fn move_sealed(&self, from: &Sealed, to: &Sealed, row: &str, sealed: &str) -> Result<String> {
        to.seal(self.data_key(), row, &from.open(self.data_key(), row, sealed)?)
    }

    /// Keeps what would be lost with an interface: whose it was, its keys and its links' preshared keys.
    pub(in crate::db) fn keep_of_interface(&self, interface: InterfaceId) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO removed_interfaces (interface_id, network_id)
                   SELECT i.id, n.network_id FROM interfaces i JOIN nodes n ON n.id = i.node_id WHERE i.id = ?1";
        self.transaction.prepare_cached(sql)?.execute([interface.0])?;
        for (public, state, created, retired, reason, sealed) in keys_of(&self.transaction, "keys", interface)? {
            let sealed =
                sealed.map(|sealed| self.move_sealed(&PRIVATE_KEY, &REMOVED_KEY, &public, &sealed)).transpose()?;
            self.keep_key(interface, (public, state, created, retired, reason, sealed))?;
        }
        let sql = "SELECT low_id, high_id, created, sealed_key FROM preshared_keys WHERE low_id = ?1 OR high_id = ?1";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([interface.0])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "preshared_keys", row };
            let (low, high): (i64, i64) = (cells.get(0)?, cells.get(1)?);
            let (created, sealed): (i64, String) = (cells.get(2)?, cells.get(3)?);
            let sealed = self.move_sealed(&PRESHARED_KEY, &REMOVED_PRESHARED_KEY, &format!("{low}-{high}"), &sealed)?;
            let sql = "INSERT OR REPLACE INTO removed_preshared_keys (low_id, high_id, created, sealed_key)
                       VALUES (?1, ?2, ?3, ?4)";
            self.transaction.prepare_cached(sql)?.execute(params![low, high, created, sealed])?;
        }
        Ok(())
    }

    /// Keeps a key of an interface that isn't there, sealed for this place. One that was retired elsewhere stays retired,
    /// whoever has it since.
    pub(super) fn keep_key(&self, interface: InterfaceId, key: Key) -> Result<()> {
        let (public, state, created, retired, reason, sealed) = key;
        let sql = "INSERT INTO removed_keys (public_key, interface_id, state, created, retired, reason, sealed_private)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT DO UPDATE SET interface_id = excluded.interface_id, state = excluded.state,
                     created = excluded.created, retired = excluded.retired, reason = excluded.reason,
                     sealed_private = excluded.sealed_private
                   WHERE removed_keys.state != 'retired'";
        let values = params![public, interface.0, state, created, retired, reason, sealed];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Keeps what would be lost with a node: where it is known from, what was handed out, and what goes with its interfaces.
    pub(in crate::db) fn keep_of_node(&self, node: NodeId) -> Result<()> {
        let mut statement = self.transaction.prepare_cached("SELECT id FROM interfaces WHERE node_id = ?1")?;
        let interfaces = statement.query_map([node.0], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        interfaces.into_iter().try_for_each(|id| self.keep_of_interface(InterfaceId(id)))?;
        self.move_notes("", "removed_", node)
    }

    /// Puts back what was kept of a node itself.
    pub(super) fn put_back_notes(&self, node: NodeId) -> Result<()> {
        self.move_notes("removed_", "", node)?;
        for table in ["removed_provenance", "removed_handouts"] {
            self.transaction.execute(&format!("DELETE FROM {table} WHERE node_id = ?1"), [node.0])?;
        }
        Ok(())
    }

    fn move_notes(&self, from: &str, to: &str, node: NodeId) -> Result<()> {
        for (table, columns) in [
            ("provenance", "node_id, source, host, format, size, sha256, first_line, last_line, time"),
            ("handouts", "node_id, method, sha256, time"),
        ] {
            let sql = format!(
                "INSERT OR IGNORE INTO {to}{table} ({columns}) SELECT {columns} FROM {from}{table} WHERE node_id = ?1"
            );
            self.transaction.prepare_cached(&sql)?.execute([node.0])?;
        }
        Ok(())
    }

    /// Puts back the keys of an interface that is there again, save those that others have taken since. Whether it has one
    /// to use.
    pub(super) fn put_back_keys(&self, interface: InterfaceId) -> Result<bool> {
        let mut usable = false;
        for (public, state, created, retired, reason, sealed) in keys_of(&self.transaction, "removed_keys", interface)?
        {
            let sealed =
                sealed.map(|sealed| self.move_sealed(&REMOVED_KEY, &PRIVATE_KEY, &public, &sealed)).transpose()?;
            let sql =
                "INSERT OR IGNORE INTO keys (public_key, interface_id, state, created, retired, reason, sealed_private)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let values = params![public, interface.0, state, created, retired, reason, sealed];
            let put = self.transaction.prepare_cached(sql)?.execute(values)? > 0;
            usable |= put && state == "active";
            if put {
                self.transaction.execute("DELETE FROM removed_keys WHERE public_key = ?1", [public])?;
            }
        }
        Ok(usable)
    }

    /// Puts back the preshared key that a link had when one of its ends was removed. Whether there was one.
    pub(super) fn put_back_psk(&self, link: LinkId) -> Result<bool> {
        let (low, high) = link.ends();
        let select = "SELECT created, sealed_key FROM removed_preshared_keys WHERE low_id = ?1 AND high_id = ?2";
        let mut statement = self.transaction.prepare_cached(select)?;
        let mut rows = statement.query([low.0, high.0])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        let cells = Cells { table: "removed_preshared_keys", row };
        let (created, sealed): (i64, String) = (cells.get(0)?, cells.get(1)?);
        let name = format!("{}-{}", low.0, high.0);
        let sealed = self.move_sealed(&REMOVED_PRESHARED_KEY, &PRESHARED_KEY, &name, &sealed)?;
        let insert = "INSERT INTO preshared_keys (low_id, high_id, created, sealed_key) VALUES (?1, ?2, ?3, ?4)";
        self.transaction.prepare_cached(insert)?.execute(params![low.0, high.0, created, sealed])?;
        let delete = "DELETE FROM removed_preshared_keys WHERE low_id = ?1 AND high_id = ?2";
        self.transaction.prepare_cached(delete)?.execute(params![low.0, high.0])?;
        Ok(true)
    }
}
