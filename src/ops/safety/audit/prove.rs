//! Proofs that somebody else can check, without the database and without wg-friend.

use chrono::{DateTime, Utc};

use crate::db::{Consistency, Database, Filter, Inclusion, SignedHead, Store};
use crate::ops::Error;

/// Returns what a proof of the log as it is now is made for.
pub fn head_now(store: &Store, now: DateTime<Utc>) -> Result<SignedHead, Error> {
    Ok(store.signed_head(now)?)
}

/// Returns what a proof of the log as it was is made for: the checkpoint of so many entries. Needs no passphrase.
pub fn head_at(database: &Database, size: u64) -> Result<SignedHead, Error> {
    let found = database.checkpoints()?.into_iter().map(|kept| kept.head).find(|head| head.size() == size);
    found.ok_or_else(|| Error::Value {
        what: "checkpoint".into(),
        reason: format!("none was kept after entry {size}"),
        hint: Some("`wg-friend audit checkpoint --list` shows those that there are".into()),
    })
}

/// Proves that an entry is in the log of a head.
pub fn inclusion(database: &Database, entry: i64, head: SignedHead) -> Result<Inclusion, Error> {
    let newest = newest(database)?;
    if u64::try_from(entry).is_ok_and(|entry| entry > head.size() && entry <= newest) {
        return Err(later(format!("entry {entry}"), &head));
    }
    Ok(database.prove_entry(entry, head)?)
}

/// Proves that the log of a head goes on from its own first entries.
pub fn consistency(database: &Database, from: u64, head: SignedHead) -> Result<Consistency, Error> {
    if from > head.size() && from <= newest(database)? {
        return Err(later(format!("entry {from}"), &head));
    }
    if from == 0 {
        return Err(Error::value("--from", "a log of no entries goes on as any other"));
    }
    Ok(database.prove_growth(from, head)?)
}

/// Returns the number of the newest entry.
fn newest(database: &Database) -> Result<u64, Error> {
    let newest = database.audit_log(&Filter { limit: 1, ..Filter::default() })?;
    Ok(newest.first().map_or(0, |entry| entry.id.unsigned_abs()))
}

/// What is asked for is there, but wasn't yet when the head was signed.
fn later(what: String, head: &SignedHead) -> Error {
    Error::Value {
        what,
        reason: format!("it is later than the checkpoint, whose log ends with entry {}", head.size()),
        hint: Some(
            "`wg-friend audit checkpoint` makes a later one; without one it is proven for the log as it is now".into(),
        ),
    }
}
