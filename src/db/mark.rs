//! How far a database has come, to see whether anything has changed.

use super::Database;
use super::error::Result;

/// The newest of what is written down as it happens. What is only counted, such as traffic, moves no mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// In the audit log: changes of the model, deploys, keys, backups.
    audit: i64,
    /// Looks for drift.
    scans: i64,
    /// Files that devices have shown to use.
    used: i64,
}

impl Database {
    /// Returns how far it has come.
    pub fn mark(&self) -> Result<Mark> {
        let sql = "SELECT (SELECT coalesce(max(id), 0) FROM audit), (SELECT coalesce(max(id), 0) FROM drift_scans),
                     (SELECT count(*) FROM revisions WHERE first_used IS NOT NULL)";
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| Ok(Mark { audit: row.get(0)?, scans: row.get(1)?, used: row.get(2)? }))?)
    }
}
