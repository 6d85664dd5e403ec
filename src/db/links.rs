//! Links beside those that follow from the nodes' roles.

use rusqlite::{Connection, params};

use super::error::{Error, Result};
use super::networks::INTERFACES;
use super::row::Cells;
use super::tx::Tx;
use crate::model::{InterfaceId, Link, LinkId, Weight};

/// Reads those of the chosen network, in order.
pub(super) fn load(conn: &Connection) -> Result<Vec<Link>> {
    load_some(conn, &format!("WHERE low_id IN {INTERFACES}"))
}

/// Reads those of all networks, in order.
pub(super) fn load_all(conn: &Connection) -> Result<Vec<Link>> {
    load_some(conn, "")
}

fn load_some(conn: &Connection, condition: &str) -> Result<Vec<Link>> {
    let sql = format!("SELECT low_id, high_id, weight, when_down FROM links {condition} ORDER BY 1, 2");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut links = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "links", row };
        let id = LinkId::between(InterfaceId(cells.get(0)?), InterfaceId(cells.get(1)?));
        links.push(Link { id, weight: cells.convert_some(2)?, when_down: cells.parse(3)? });
    }
    Ok(links)
}

impl Tx<'_> {
    /// Links two interfaces, or gives their link other properties. Whether they weren't linked so before.
    pub fn put_link(&self, link: Link) -> Result<bool> {
        let (low, high) = link.id.ends();
        if low == high {
            return Err(Error::Refused("a link has two ends"));
        }
        let new = self.transaction.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM links WHERE low_id = ?1 AND high_id = ?2)",
            params![low.0, high.0],
            |row| row.get(0),
        )?;
        let sql = "INSERT INTO links (low_id, high_id, weight, when_down) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET weight = excluded.weight, when_down = excluded.when_down
                   WHERE weight IS NOT excluded.weight OR when_down <> excluded.when_down";
        let values = params![low.0, high.0, link.weight.map(Weight::get), link.when_down.as_str()];
        self.transaction.execute(sql, values)?;
        Ok(new)
    }

    /// Takes away a link that doesn't follow from roles. Whether there was one.
    pub fn delete_link(&self, link: LinkId) -> Result<bool> {
        let (low, high) = link.ends();
        let sql = "DELETE FROM links WHERE low_id = ?1 AND high_id = ?2";
        Ok(self.transaction.execute(sql, params![low.0, high.0])? > 0)
    }
}
