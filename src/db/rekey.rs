//! Rekeying: everything sealed is sealed anew under another data key, in one transaction.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use wg_friend_crypt::DataKey;

use super::error::{Error, Result};
use super::slots::{self, Derived, Way};
use super::vault::{Passphrase, RecoveryKey, SEALED, Sealed};
use super::{Store, audit};
use crate::model::{Action, Actor, Event, Name};

/// What rekeying did.
#[derive(Debug)]
pub struct Rekeyed {
    /// The new recovery key; the old one no longer unlocks.
    pub recovery: RecoveryKey,
    /// How many cells were sealed anew.
    pub cells: usize,
    /// The passphrases that unlock: all that did before.
    pub passphrases: Vec<Name>,
}

impl Store {
    /// Seals everything anew under a new data key: for when the old one may have become known.
    ///
    /// Takes any passphrase, or the recovery key. All passphrases stay, and nobody but who rekeys has to give one: the new key is
    /// sealed to the public key of each. The recovery key is replaced; keyrings that hold the old key no longer unlock. The audit log is verified first and
    /// authenticated anew, for its key derives from the data key.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`]; [`Error::Unencrypted`]; [`Error::EarlierPassphrases`];
    /// [`Error::Damaged`] when the passphrases aren't those that were set, and [`Error::Tampered`] when the audit log doesn't
    /// verify: rekeying would cover it up.
    pub fn rekey(&mut self, passphrase: &Passphrase, actor: &Actor, now: DateTime<Utc>) -> Result<Rekeyed> {
        self.has_slots()?;
        let ways = slots::load(&self.conn)?;
        let found = slots::find(&slots::slots_of(&ways), passphrase)?.ok_or(Error::WrongPassphrase)?;
        let opened = &ways[found.slot];
        let new = DataKey::random()?;
        let recovery = RecoveryKey::random()?;

        let tx = Transaction::new_unchecked(&self.database.conn, TransactionBehavior::Immediate)?;
        if !self.fits(&self.key)? {
            return Err(Error::Locked); // rekeyed by another process, a moment ago
        }
        let (ways, _) = slots::checked(&tx, &self.key)?;
        audit::verify(&tx, Some(&self.key))?.into_result()?;
        let mut kept =
            rewrapped(&ways, (&self.key, &new), |way| found.derived.as_ref().filter(|_| way.slot == opened.slot))?;
        let passphrases = kept.iter().map(|way| way.name.clone()).collect();
        kept.push(Way::recovery(&new, &recovery, &actor.operator, now)?);
        let cells = reseal_all(&tx, &self.key, &new)?.iter().map(|(_, cells)| cells).sum();
        kept.iter().try_for_each(|way| way.save(&tx))?;
        audit::append(&tx, &new, now, actor, &Event::database(Action::Rekeyed).with("cells", cells))?;
        slots::seal(&tx, &new)?;
        tx.commit()?;
        self.key = new;
        self.drop_old_pages_if_possible();
        Ok(Rekeyed { recovery, cells, passphrases })
    }
}

/// Wraps a new data key for every passphrase. One without a pair of keys gets one if it was given just now.
fn rewrapped<'d>(
    ways: &[Way],
    (old, new): (&DataKey, &DataKey),
    given: impl Fn(&Way) -> Option<&'d Derived>,
) -> Result<Vec<Way>> {
    let (mut kept, mut names) = (Vec::new(), Vec::new());
    for way in ways.iter().filter(|way| way.is_passphrase()) {
        match (way.rewrapped(old, new)?, given(way)) {
            (Some(way), _) => kept.push(way),
            (None, Some(derived)) => kept.push(way.with_pair(new, derived)?),
            (None, None) => names.push(way.name.clone()),
        }
    }
    if names.is_empty() { Ok(kept) } else { Err(Error::EarlierPassphrases { names }) }
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
