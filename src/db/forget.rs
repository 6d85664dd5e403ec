//! Forgetting a private key: nothing of it stays in the database, wherever it stood.

use rusqlite::params;
use zeroize::Zeroizing;

use super::error::Result;
use super::tx::Tx;
use super::vault::{DOCUMENT, ORIGINAL};
use crate::model::{InterfaceId, PrivateKey};

impl Tx<'_> {
    /// Wipes the private keys of an interface, old ones included, the files that were made with them, and `key` out of the
    /// configuration that the interface was adopted with. What was deployed to a host before stays, sealed, as long as its
    /// version does. Whether there was a key.
    pub fn forget_everywhere(&self, interface: InterfaceId, key: Option<&PrivateKey>) -> Result<bool> {
        let had = self.forget_private_key(interface)?;
        self.transaction.execute("DELETE FROM generated WHERE interface_id = ?1", [interface.0])?;
        if let Some(key) = key {
            self.take_out_of_document(interface, key)?;
        }
        Ok(had)
    }

    fn take_out_of_document(&self, interface: InterfaceId, key: &PrivateKey) -> Result<()> {
        let secret = key.expose_base64();
        let row = interface.0.to_string();
        let texts = [(&ORIGINAL, self.originals()?), (&DOCUMENT, self.documents()?)];
        for (column, texts) in texts {
            let Some(text) = texts.get(&interface).filter(|text| text.contains(secret.as_str())) else { continue };
            let without = Zeroizing::new(text.replace(secret.as_str(), ""));
            let sealed = column.seal(self.data_key(), &row, without.as_bytes())?;
            let sql = format!("UPDATE documents SET {} = ?2 WHERE interface_id = ?1", column.column);
            self.transaction.execute(&sql, params![interface.0, sealed])?;
        }
        Ok(())
    }
}
