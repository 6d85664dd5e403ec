//! Rekeying: everything sealed is sealed anew under another data key, in one transaction.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use wg_friend_crypt::DataKey;

use super::error::{Error, Result};
use super::vault::{self, PASSPHRASE, Passphrase, RecoveryKey, Rekeyed, SEALED, Sealed, StoredSlot};
use super::{Store, audit};
use crate::model::{Action, Actor, Event};

impl Store {
    /// Seals everything anew under a new data key: for when the old one may have become known.
    ///
    /// The passphrase stays, at its cost; the recovery key is replaced; keyrings that hold the old key no longer unlock.
    /// The audit log is verified first and authenticated anew, for its key derives from the data key.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`]; [`Error::Unencrypted`]; [`Error::Tampered`] when the audit log doesn't verify, which rekeying would cover up.
    pub fn rekey(&mut self, passphrase: &Passphrase, actor: &Actor, now: DateTime<Utc>) -> Result<Rekeyed> {
        self.has_slots()?;
        let old_slot = StoredSlot::load(&self.conn, PASSPHRASE)?;
        if !old_slot.opens_with(passphrase)? {
            return Err(Error::WrongPassphrase); // the recovery key isn't taken: it would become the passphrase
        }
        let new = DataKey::random()?;
        let recovery = RecoveryKey::random()?;
        let slots = vault::make_slots(&new, passphrase, old_slot.params(), &recovery, now)?;

        let tx = Transaction::new_unchecked(&self.database.conn, TransactionBehavior::Immediate)?;
        audit::verify(&tx, Some(&self.key))?.into_result()?;
        let cells = reseal_all(&tx, &self.key, &new)?.iter().map(|(_, cells)| cells).sum();
        slots.iter().try_for_each(|slot| slot.save(&tx))?;
        audit::append(&tx, &new, now, actor, &Event::database(Action::Rekeyed).with("cells", cells))?;
        tx.commit()?;
        self.key = new;
        self.drop_old_pages()?;
        Ok(Rekeyed { recovery, cells })
    }
}

/// Seals everything anew, and authenticates the audit log anew; returns how many cells each column had.
pub(super) fn reseal_all(conn: &Connection, old: &DataKey, new: &DataKey) -> Result<Vec<(&'static Sealed, usize)>> {
    let cells = SEALED.iter().map(|column| Ok((*column, reseal(conn, column, old, new)?))).collect::<Result<_>>()?;
    audit::authenticate_anew(conn, new)?;
    Ok(cells)
}

/// Seals every cell of a column anew; returns how many there were.
fn reseal(conn: &Connection, column: &Sealed, old: &DataKey, new: &DataKey) -> Result<usize> {
    let Sealed { table, column: name, row } = column;
    let select = format!(
        "SELECT rowid, CAST({row} AS TEXT), {name} FROM {table} WHERE {name} IS NOT NULL AND rowid > ?1 ORDER BY rowid"
    );
    let mut select = conn.prepare(&format!("{select} LIMIT 1"))?;
    let mut update = conn.prepare(&format!("UPDATE {table} SET {name} = ?1 WHERE rowid = ?2"))?;
    let (mut last, mut cells) = (i64::MIN, 0);
    // One row at a time, in order: a statement that reads must not run while the table under it changes.
    while let Some((rowid, guid, sealed)) = next(&mut select, last)? {
        let plain = column.open(old, &guid, &sealed)?;
        update.execute(params![column.seal(new, &guid, &plain)?, rowid])?;
        (last, cells) = (rowid, cells + 1);
    }
    Ok(cells)
}

fn next(select: &mut rusqlite::Statement<'_>, after: i64) -> Result<Option<(i64, String, String)>> {
    let mut rows = select.query([after])?;
    Ok(rows.next()?.map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, row.get(1)?, row.get(2)?))).transpose()?)
}
