//! Forgetting a private key: nothing of it stays in the database, wherever it stood.

use rusqlite::params;
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::row::Cells;
use super::tx::Tx;
use super::vault::{DOCUMENT, ORIGINAL, PRIVATE_KEY, STATE_DOCUMENT, STATE_ORIGINAL, Sealed};
use crate::model::InterfaceId;

impl Tx<'_> {
    /// Wipes the private keys of an interface, old ones included, the files that were made with them, and takes them out of
    /// the configuration that the interface was adopted with, also out of its earlier states. What was deployed to a host
    /// before stays, sealed, as long as its version does. Whether there was a key.
    pub fn forget_everywhere(&self, interface: InterfaceId) -> Result<bool> {
        let keys = self.private_keys_ever(interface)?;
        let had = self.forget_private_key(interface)?;
        self.transaction.execute("DELETE FROM generated WHERE interface_id = ?1", [interface.0])?;
        self.forget_revisions(interface)?;
        for column in [&ORIGINAL, &DOCUMENT, &STATE_ORIGINAL, &STATE_DOCUMENT] {
            self.take_out_of(column, interface, &keys)?;
        }
        Ok(had)
    }

    /// Opens the private keys that an interface has or had, as they stand in files.
    fn private_keys_ever(&self, interface: InterfaceId) -> Result<Vec<Zeroizing<String>>> {
        let sql = "SELECT public_key, sealed_private FROM keys WHERE interface_id = ?1 AND sealed_private IS NOT NULL";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([interface.0])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "keys", row };
            let (public, sealed): (String, String) = (cells.get(0)?, cells.get(1)?);
            let key: crate::model::PrivateKey = PRIVATE_KEY.open_as(self.data_key(), &public, &sealed)?;
            keys.push(key.expose_base64());
        }
        Ok(keys)
    }

    /// Takes keys out of a column of sealed texts.
    fn take_out_of(&self, column: &Sealed, interface: InterfaceId, keys: &[Zeroizing<String>]) -> Result<()> {
        let Sealed { table, column: name, row } = column;
        let sql = format!("SELECT rowid, CAST({row} AS TEXT), {name} FROM {table} WHERE interface_id = ?1");
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let cells = statement.query_map([interface.0], read)?.collect::<Result<Vec<(i64, String, String)>, _>>()?;
        for (rowid, row, sealed) in cells {
            let plain = column.open(self.data_key(), &row, &sealed)?;
            let wrong = |_| Error::Value { table, column: (*name).into() };
            let mut text = Zeroizing::new(std::str::from_utf8(&plain).map_err(wrong)?.to_owned());
            let found = keys.iter().filter(|key| text.contains(key.as_str())).count();
            if found == 0 {
                continue;
            }
            for key in keys {
                text = Zeroizing::new(text.replace(key.as_str(), ""));
            }
            let sealed = column.seal(self.data_key(), &row, text.as_bytes())?;
            self.transaction
                .execute(&format!("UPDATE {table} SET {name} = ?2 WHERE rowid = ?1"), params![rowid, sealed])?;
        }
        Ok(())
    }
}
