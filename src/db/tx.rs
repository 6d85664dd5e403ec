//! Transactions: every change goes through here, together with its audit entry.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, TransactionBehavior};

use super::error::{Error, Result};
use super::{Database, Store, audit, states};
use crate::model::{Actor, Event};

/// A change under way. Reads what a [`Store`] reads, its own changes included; dropped, it leaves no trace.
///
/// What it can do stands beside the tables concerned: networks, nodes, keys, hosts, files, deployments.
#[derive(Debug)]
pub struct Tx<'s> {
    store: &'s Store,
    pub(super) transaction: Transaction<'s>,
}

impl Deref for Tx<'_> {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store
    }
}

impl<'s> Tx<'s> {
    pub(super) fn begin(store: &'s Store) -> Result<Self> {
        states::touched::watch(&store.database.conn)?;
        let transaction = Transaction::new_unchecked(&store.database.conn, TransactionBehavior::Immediate)?;
        // Nothing in the file may keep an entry out of the log. While this transaction writes, nobody else does.
        audit::demand_own_schema(&transaction)?;
        // Somebody may have rekeyed the database since this store was unlocked.
        if store.fits(&store.key)? { Ok(Self { store, transaction }) } else { Err(Error::Locked) }
    }

    pub(super) fn record(&self, now: DateTime<Utc>, actor: &Actor, event: &Event) -> Result<()> {
        audit::append(&self.transaction, &self.store.key, now, actor, event)
    }
}

impl Store {
    /// Changes the database: does the work, writes the event it returns into the audit log, and commits both or neither.
    ///
    /// # Errors
    /// [`Error::Busy`] after waiting 5 s for another writer; [`Error::Locked`] when the database has been rekeyed since it
    /// was unlocked; whatever the work returns.
    pub fn write<T, E: From<Error>>(
        &mut self,
        now: DateTime<Utc>,
        actor: &Actor,
        work: impl FnOnce(&Tx<'_>) -> Result<(T, Event), E>,
    ) -> Result<T, E> {
        self.write_all(now, actor, |tx| work(tx).map(|(value, event)| (value, vec![event])))
    }

    /// Changes the database like [`Store::write`], with several events in order: for work on several nodes that is done as
    /// a whole or not at all. What it changes of the model becomes one state of the history.
    ///
    /// # Errors
    /// [`Error::Refused`] when the work returns no event.
    pub fn write_all<T, E: From<Error>>(
        &mut self,
        now: DateTime<Utc>,
        actor: &Actor,
        work: impl FnOnce(&Tx<'_>) -> Result<(T, Vec<Event>), E>,
    ) -> Result<T, E> {
        let tx = Tx::begin(self)?;
        states::begin_if_none(&tx.transaction, &self.key, now)?;
        let (value, events) = work(&tx)?;
        if events.is_empty() {
            return Err(Error::Refused("a change without an audit entry").into());
        }
        states::append(&tx.transaction, &self.key, now, actor, &events)?;
        events.iter().try_for_each(|event| tx.record(now, actor, event))?;
        tx.transaction.commit().map_err(Error::from)?;
        Ok(value)
    }

    /// Does the work and takes it back: for previews, which then read the changed model inside.
    pub fn try_out<T, E: From<Error>>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let tx = Tx::begin(self)?;
        let value = work(&tx)?;
        tx.transaction.rollback().map_err(Error::from)?;
        Ok(value)
    }

    /// Changes what needs no event of its own, or several.
    pub(super) fn quietly<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let tx = Tx::begin(self)?;
        let value = work(&tx)?;
        tx.transaction.commit()?;
        Ok(value)
    }
}

impl Database {
    /// Begins a view of one moment for several queries; inside a transaction there is one already.
    pub(super) fn snapshot(&self) -> Result<Option<Transaction<'_>>> {
        let free = self.conn.is_autocommit();
        Ok(free.then(|| Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred)).transpose()?)
    }
}
