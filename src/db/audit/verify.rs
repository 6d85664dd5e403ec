//! Verifying: what is in order about the log, and what is the first thing that isn't.

use rusqlite::Connection;
use serde::Serialize;
use wg_friend_crypt::DataKey;
use wg_friend_crypt::merkle::Frontier;

use super::tail::{FIRST, Signed, Tail, chained};
use super::walk::walk;
use super::{Alteration, Checkpoint, VerifierKey, checkpoints, schema};
use crate::db::Database;
use crate::db::error::{Error, Result};

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Problem {
    /// Its fields don't give its hash.
    #[error("has been edited")]
    Edited,
    /// It stands where another one was.
    #[error("has been reordered: it was written as entry {written_as}")]
    Reordered {
        /// The number it was written with.
        written_as: i64,
    },
    /// There is a gap.
    #[error("has been deleted")]
    Deleted,
    /// Its own hash is right, but it doesn't follow on the entry before.
    #[error("does not follow on the entry before it, which has been replaced")]
    Unlinked,
    /// Its hash is right, but whoever wrote it didn't have the key.
    #[error("was not written by wg-friend: its authentication code is wrong")]
    Forged,
    /// The log ends before it.
    #[error("and all after it have been cut off: the log once ended with entry {end}")]
    Truncated {
        /// The number of the last entry that was written.
        end: i64,
    },
    /// The log goes on after its end.
    #[error("was added after the end of the log, entry {end}")]
    Appended {
        /// The number of the last entry that was written.
        end: i64,
    },
    /// The last entry isn't the one that was written last.
    #[error("is not the entry that was written last")]
    Replaced,
    /// A checkpoint was signed over other entries.
    #[error("or one before it is not what was signed: the log has been written anew since checkpoint {checkpoint}")]
    Diverged {
        /// Number of the checkpoint.
        checkpoint: i64,
    },
    /// A checkpoint has been edited, or signed with another key.
    #[error("ends checkpoint {checkpoint}, whose signature is wrong")]
    CheckpointForged {
        /// Number of the checkpoint.
        checkpoint: i64,
    },
    /// A checkpoint is gone.
    #[error("was under checkpoint {checkpoint}, which has been deleted")]
    CheckpointDeleted {
        /// Number of the checkpoint.
        checkpoint: i64,
    },
    /// A checkpoint that isn't the vault's.
    #[error("ends checkpoint {checkpoint}, which is not one that was made")]
    CheckpointReplaced {
        /// Number of the checkpoint.
        checkpoint: i64,
    },
    /// The file holds something that wg-friend never made and that can keep entries out, or lacks what it made.
    #[error("may have been kept out: {object} has been {alteration} the database file")]
    Schema {
        /// Which table, index, trigger or view.
        object: String,
        /// What was done to it.
        alteration: Alteration,
    },
}

/// The first bad entry, and why it is bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its number.
    pub entry: i64,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

/// What verifying the log found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How many entries are in order, from the first on.
    pub good: i64,
    /// Whether authentication codes and the end of the log were checked too, which takes the data key. Without it, only
    /// the hash chain is: it shows accidents, but someone who edits the log can rebuild it.
    pub authenticated: bool,
    /// How many checkpoints there are. Their signatures and roots are checked in any case, against the public key in the
    /// database; whether it is the right one, and none of them is missing, takes the data key.
    pub checkpoints: usize,
    /// The first entry that isn't in order.
    pub bad: Option<Finding>,
}

impl Verification {
    /// Makes a finding an error.
    pub fn into_result(self) -> Result<Self> {
        match self.bad {
            None => Ok(self),
            Some(Finding { entry, problem }) => Err(Error::Tampered { entry, problem: problem.to_string() }),
        }
    }
}

/// The checkpoints that a database keeps, and the first of them that isn't in order by itself.
pub(super) struct Checkpoints {
    pub(super) list: Vec<Checkpoint>,
    pub(super) bad: Option<Finding>,
}

impl Checkpoints {
    /// Reads them and checks their signatures and, with the tail, that they are all there.
    fn load(conn: &Connection, signed: Option<&Signed>) -> Result<Self> {
        let database: String = conn.query_row("SELECT database_id FROM vault", [], |row| row.get(0))?;
        let key = match signed {
            Some(signed) => Some(VerifierKey::new(&database, signed.public)),
            None => checkpoints::public(conn, &database)?,
        };
        let Some(key) = key else { return Ok(Self { list: Vec::new(), bad: None }) };
        let (list, unreadable) = checkpoints::load_readable(conn, &key)?;
        let next = list.last().map_or(0, |last| entry_at(last.head.size())).saturating_add(1);
        let forged = |checkpoint| Finding { entry: next, problem: Problem::CheckpointForged { checkpoint } };
        // Those after one that can't be read aren't in the list, so they aren't missed there.
        let bad = match unreadable {
            Some(number) => first_bad(&list, &key, None).or_else(|| Some(forged(number))),
            None => first_bad(&list, &key, signed),
        };
        Ok(Self { list, bad })
    }

    /// Compares the tree so far with a checkpoint of that size.
    pub(super) fn problem(&self, tree: &Frontier) -> Option<Problem> {
        let at = self.list.binary_search_by_key(&tree.size(), |checkpoint| checkpoint.head.size()).ok()?;
        let Checkpoint { number, head } = &self.list[at];
        (*head.root() != tree.root()).then_some(Problem::Diverged { checkpoint: *number })
    }

    /// Returns of how many entries the last one speaks.
    pub(super) fn covered(&self) -> i64 {
        self.list.last().map_or(0, |last| entry_at(last.head.size()))
    }
}

fn entry_at(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Returns the first checkpoint that isn't in order by itself, by the entry that it ends with.
fn first_bad(list: &[Checkpoint], key: &VerifierKey, signed: Option<&Signed>) -> Option<Finding> {
    let (mut number, mut size, mut digest) = (0, 0, FIRST);
    for checkpoint in list {
        let entry = entry_at(checkpoint.head.size());
        number += 1;
        if checkpoint.number != number {
            return Some(Finding {
                entry: entry_at(size) + 1,
                problem: Problem::CheckpointDeleted { checkpoint: number },
            });
        }
        if !checkpoint.head.is_signed_by(key) {
            return Some(Finding { entry, problem: Problem::CheckpointForged { checkpoint: number } });
        }
        let added = signed.is_some_and(|signed| number > signed.checkpoints);
        if added || checkpoint.head.size() <= size {
            return Some(Finding { entry, problem: Problem::CheckpointReplaced { checkpoint: number } });
        }
        size = checkpoint.head.size();
        digest = chained(&digest, &checkpoint.head);
    }
    let signed = signed?;
    if number < signed.checkpoints {
        let problem = Problem::CheckpointDeleted { checkpoint: number + 1 };
        return Some(Finding { entry: entry_at(size) + 1, problem });
    }
    let problem = Problem::CheckpointReplaced { checkpoint: number };
    (digest != signed.digest).then_some(Finding { entry: entry_at(size), problem })
}

/// Walks the log once, first entry to last, and looks at the file's schema.
pub(in crate::db) fn verify(conn: &Connection, key: Option<&DataKey>) -> Result<Verification> {
    let found = entries(conn, key)?;
    if found.bad.is_some() {
        return Ok(found);
    }
    let bad = schema::problem(conn)?.map(|problem| Finding { entry: found.good + 1, problem });
    Ok(Verification { bad, ..found })
}

/// Walks the log once.
pub(super) fn entries(conn: &Connection, key: Option<&DataKey>) -> Result<Verification> {
    let tail = key.map(|key| Tail::load(conn, key)).transpose()?.map(|(tail, _)| tail);
    let signed = tail.as_ref().and_then(|tail| tail.signed.as_ref());
    if let (Some(key), Some(signed)) = (key, signed) {
        checkpoints::signer(conn, key, &signed.public)?;
    }
    let checkpoints = Checkpoints::load(conn, signed)?;
    let found = walk(conn, key, tail.as_ref(), &checkpoints)?;
    Ok(Verification { bad: found.bad.or(checkpoints.bad), ..found })
}

impl Database {
    /// Verifies the audit log and names the first bad entry. With the data key, everything; without, the chain and the
    /// checkpoints' signatures alone.
    pub fn verify_audit(&self, key: Option<&DataKey>) -> Result<Verification> {
        let _snapshot = self.snapshot()?;
        verify(&self.conn, key)
    }
}
