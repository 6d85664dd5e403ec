//! Anchors: signed heads that were kept elsewhere, compared with the log that is here.
//!
//! A database can't tell by itself that it is an older copy, or another one that somebody made with the key. A head that
//! left it earlier can.

use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;
use wg_friend_crypt::merkle::{self, Hash, Tree};

use super::SignedHead;
use crate::db::Database;
use crate::db::error::Result;
use crate::db::row::Cells;
use crate::model::Action;

/// What is wrong between a head and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum AnchorProblem {
    /// It is of another database.
    #[error("is of another database")]
    Foreign,
    /// It wasn't signed with the key of this one.
    #[error("was not signed with this database's key: the head is forged, or the database has been made anew")]
    Unsigned,
    /// It is of a longer log.
    #[error(
        "is of a longer log, and this one ends with entry {end}: the database is an older copy, or the end of its log \
         has been cut off"
    )]
    Shorter {
        /// The number of the last entry that is there.
        end: u64,
    },
    /// It is of the same number of other entries.
    #[error("is of other entries: the log has been written anew since, or goes on from an older copy of the database")]
    Forked,
}

/// A head, and whether the log is what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anchored {
    /// The head.
    pub head: SignedHead,
    /// What is wrong, if anything is.
    #[serde(flatten)]
    pub problem: Option<AnchorProblem>,
    /// The restore that says why, if the log tells of one: the head is of what was replaced then.
    pub restored: Option<Restoration>,
}

/// A restore of which the log tells: the database became what a backup held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restoration {
    /// The entry that tells of it.
    pub entry: i64,
    /// When.
    pub time: DateTime<Utc>,
    /// By whom.
    pub operator: String,
    /// The random name of the backup.
    pub backup: String,
    /// The moment that the backup shows.
    pub created: DateTime<Utc>,
    /// How many entries the log in the backup has.
    pub entries: u64,
    /// How many the log had that was replaced, if that could be told.
    pub replaced_entries: Option<u64>,
    /// Where what was replaced was copied to.
    pub copy: Option<String>,
}

impl fmt::Display for Restoration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, operator, backup, created, entries, copy, .. } = self;
        let (time, created) = (time.format("%Y-%m-%d %H:%M:%S"), created.format("%Y-%m-%d %H:%M:%S"));
        let backup = backup.get(..8).unwrap_or(backup);
        write!(f, "on {time} {operator} restored the backup {backup} of {created}, which ends with entry {entries}")?;
        copy.as_ref().map_or(Ok(()), |copy| write!(f, "; what was replaced was copied to {copy}"))
    }
}

impl Restoration {
    /// Reads what an entry says; `None` if it doesn't say enough.
    fn read(entry: i64, time: DateTime<Utc>, operator: String, details: &Value) -> Option<Self> {
        Some(Self {
            entry,
            time,
            operator,
            backup: details["backup"].as_str()?.to_owned(),
            created: details["created"].as_str()?.parse().ok()?,
            entries: details["entries"].as_u64()?,
            replaced_entries: details["replaced_entries"].as_u64(),
            copy: details["copy"].as_str().map(str::to_owned),
        })
    }

    /// Whether a head may be of the log that was replaced: signed before, over entries that the backup hasn't, and over no more
    /// than there were. One that the backup should have, or that is newer, has another reason to be otherwise.
    fn explains(&self, head: &SignedHead) -> bool {
        let there_were = self.replaced_entries.is_none_or(|entries| head.size() <= entries);
        head.size() > self.entries && there_were && head.time() <= self.time
    }
}

/// Returns the restores of which the log tells, oldest first.
fn restorations(conn: &Connection) -> Result<Vec<Restoration>> {
    let sql = "SELECT id, time, operator, details FROM audit NOT INDEXED WHERE action = ?1 ORDER BY id";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([Action::BackupRestored.as_str()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "audit", row };
        found.extend(Restoration::read(cells.get(0)?, cells.time(1)?, cells.get(2)?, &cells.parse(3)?));
    }
    Ok(found)
}

/// Builds the tree over the hashes that stand in the log. In the place of one that can't be read stand zeros: it isn't what
/// was signed.
pub(super) fn tree(conn: &Connection) -> Result<Tree> {
    let mut leaves = Vec::new();
    let mut statement = conn.prepare("SELECT entry_hash FROM audit NOT INDEXED ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let hash: Hash = row.get(0).unwrap_or_default();
        leaves.push(merkle::leaf(&hash));
    }
    Ok(Tree::new(leaves))
}

impl Database {
    /// Compares heads that were kept elsewhere with the log. Needs no key: a log in which somebody without the key made the
    /// two agree again doesn't verify.
    pub fn compare_heads(&self, heads: Vec<SignedHead>) -> Result<Vec<Anchored>> {
        let _snapshot = self.snapshot()?;
        let (key, tree) = (self.verifier_key()?, tree(&self.conn)?);
        let problem = |head: &SignedHead| {
            if head.database() != self.id {
                return Some(AnchorProblem::Foreign);
            }
            if !key.as_ref().is_some_and(|key| head.is_signed_by(key)) {
                return Some(AnchorProblem::Unsigned);
            }
            match usize::try_from(head.size()).ok().and_then(|size| tree.root(size)) {
                None => Some(AnchorProblem::Shorter { end: tree.size() as u64 }),
                Some(root) => (root != *head.root()).then_some(AnchorProblem::Forked),
            }
        };
        let mut anchored: Vec<Anchored> =
            heads.into_iter().map(|head| Anchored { problem: problem(&head), restored: None, head }).collect();
        let is_otherwise = |anchored: &&mut Anchored| {
            matches!(anchored.problem, Some(AnchorProblem::Shorter { .. } | AnchorProblem::Forked))
        };
        let mut unexplained = anchored.iter_mut().filter(is_otherwise).peekable();
        if unexplained.peek().is_some() {
            let restorations = restorations(&self.conn)?;
            for one in unexplained {
                one.restored = restorations.iter().find(|restored| restored.explains(&one.head)).cloned();
            }
        }
        Ok(anchored)
    }
}
