//! Backups as the database knows them: copies of one moment, which there are and where, and becoming what one holds.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::Serialize;
use wg_friend_crypt::{DataKey, KdfParams};

use super::archive::{Header, Kind, Lock};
use super::error::{Error, Result};
use super::open::directory_of;
use super::row::Cells;
use super::scratch::{Scratch, move_to};
use super::slots::{self, OWN, StoredSlot};
use super::tx::Tx;
use super::vault::Passphrase;
use super::{Database, Store, micros};

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupRecord {
    /// Its random name, 32 hexadecimal digits.
    pub id: String,
    /// The moment that it shows.
    pub created: DateTime<Utc>,
    /// What it has of the database.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: i64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The newest entry of the audit log that it holds.
    pub audit_entry: Option<i64>,
    /// The random name of the full one that it builds on, if it does.
    pub base: Option<String>,
    /// Where it is.
    pub copies: Vec<BackupCopy>,
}

/// A copy of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupCopy {
    /// On which host; `None` on this machine.
    pub host: Option<String>,
    /// Where there.
    pub path: PathBuf,
    /// When it was put there.
    pub made: DateTime<Utc>,
    /// When it was last found whole.
    pub verified: Option<DateTime<Utc>>,
    /// What was wrong with it when it was looked at last.
    pub fault: Option<String>,
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn copies(conn: &Connection, id: &str) -> Result<Vec<BackupCopy>> {
    let sql = "SELECT host, path, made, verified, fault FROM backup_copies WHERE backup_id = ?1 ORDER BY host, path";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    let mut copies = Vec::new();
    while let Some(row) = rows.next()? {
        let c = Cells { table: "backup_copies", row };
        let (host, path): (String, String) = (c.get(0)?, c.get(1)?);
        copies.push(BackupCopy {
            host: Some(host).filter(|host| !host.is_empty()),
            path: path.into(),
            made: c.time(2)?,
            verified: c.time_some(3)?,
            fault: c.get(4)?,
        });
    }
    Ok(copies)
}

impl Database {
    /// Lists the backups that were made, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn backups(&self) -> Result<Vec<BackupRecord>> {
        let _snapshot = self.snapshot()?;
        let sql = "SELECT id, created, kind, size, sha256, audit_entry, base FROM backups ORDER BY created DESC, id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            let c = Cells { table: "backups", row };
            let id: String = c.get(0)?;
            let copies = copies(&self.conn, &id)?;
            records.push(BackupRecord {
                created: c.time(1)?,
                kind: c.parse(2)?,
                size: c.get(3)?,
                sha256: c.get(4)?,
                audit_entry: c.get(5)?,
                base: c.get(6)?,
                copies,
                id,
            });
        }
        Ok(records)
    }

    /// Returns the number of the schema.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn schema(&self) -> Result<usize> {
        let number: i64 = self.conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        usize::try_from(number).map_err(|_| Error::NotADatabase { path: self.path.clone() })
    }

    /// Checks that no row refers to one that isn't there, and names the first table in which one does.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn check_references(&self) -> Result<()> {
        let mut statement = self.conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        let table = rows.next()?.map(|row| row.get::<_, String>(0)).transpose()?;
        match table {
            None => Ok(()),
            Some(table) => Err(Error::Damaged { what: format!("a row of {table} refers to one that isn't there") }),
        }
    }

    /// Remembers when a copy was looked at, on a host or on this machine, and what was wrong with it if anything was. `id` is the
    /// backup that it was found to be; `None` if even that couldn't be told. A file that isn't known is left so. Needs no passphrase: it is no
    /// secret, and no promise.
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn note_verified(
        &self,
        id: Option<&str>,
        (host, path): (Option<&str>, &Path),
        now: DateTime<Utc>,
        fault: Option<&str>,
    ) -> Result<()> {
        // What was whole once was so then, whatever is wrong now.
        let whole = fault.is_none().then(|| micros(now));
        let sql = "UPDATE backup_copies SET verified = coalesce(?3, verified), fault = ?4
                   WHERE backup_id = coalesce(?1, backup_id) AND host = ?5 AND path = ?2";
        self.conn.execute(sql, params![id, path_text(path), whole, fault, host.unwrap_or_default()])?;
        Ok(())
    }

    /// Moves a database file that can't be opened out of the way as it is, with its logs.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn move_aside(path: &Path, to: &Path) -> Result<()> {
        super::open::move_aside(path, to)
    }

    /// Copies the file as it is, whatever is in it, to where nothing is yet: for keeping what is about to be replaced.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::DiskFull`], [`Error::Damaged`].
    pub fn copy_to(&self, target: &Path) -> Result<()> {
        let scratch = Scratch::beside(target)?;
        drop(scratch.create("copy")?); // with the right mode, before anything is in it
        let copy = scratch.file("copy");
        copy_pages(&self.conn, &mut Connection::open(&copy)?)?;
        move_to(copy, target)
    }

    /// Makes the database what another file holds, in one transaction: who reads meanwhile sees all of the old or all of the
    /// new, and whatever comes in between leaves the old. What it held is copied to `kept`, where nothing is yet, once nobody
    /// else can write any more: all that was ever committed is in one of both.
    ///
    /// # Errors
    /// [`Error::Busy`] while another process writes; [`Error::Exists`], [`Error::DiskFull`]. Nothing is left at `kept` then.
    pub fn become_copy_of(mut self, other: &Store, kept: &Path) -> Result<()> {
        self.conn.flush_prepared_statement_cache();
        let old = Self::open(&self.path)?; // what is being written to can't be read through the same connection
        let backup = Backup::new(&other.conn, &mut self.conn)?;
        done(backup.step(0)?, &StepResult::More)?; // takes the right to write
        old.copy_to(kept)?;
        let replaced = backup.step(-1).map_err(Error::from).and_then(|step| done(step, &StepResult::Done));
        drop(backup);
        if let Err(error) = replaced {
            let _ = std::fs::remove_file(kept); // it is still there as it was: a copy says nothing
            return Err(error);
        }
        drop(old);
        // What was there before shouldn't stay readable in the write-ahead log; while somebody reads, it has to.
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Copies all pages at once: of the moment that the source's transaction shows, if there is one.
fn copy_pages(from: &Connection, to: &mut Connection) -> Result<()> {
    done(Backup::new(from, to)?.step(-1)?, &StepResult::Done)
}

/// Checks what a step of copying came to.
fn done(step: StepResult, wanted: &StepResult) -> Result<()> {
    match step {
        step if step == *wanted => Ok(()),
        StepResult::Busy | StepResult::Locked => Err(Error::Busy),
        _ => Err(Error::Failing { what: "the copy is not complete".into() }),
    }
}

impl Store {
    /// Makes the header of a new backup, and returns the key that opens it: the data key, to which the header has the ways
    /// that the vault has; or, under a passphrase of the backup's own, a random one.
    ///
    /// # Errors
    /// [`Error::Unencrypted`] for a database without a vault, unless there is an own passphrase.
    pub fn backup_header(
        &self,
        kind: Kind,
        own: Option<(&Passphrase, KdfParams)>,
        now: DateTime<Utc>,
    ) -> Result<(Header, DataKey)> {
        let (lock, key, slots) = match own {
            Some((passphrase, params)) => {
                passphrase.check_new()?;
                let key = DataKey::random()?;
                let slot = StoredSlot::direct(OWN, &key, passphrase.bytes(), params, now)?;
                (Lock::Own, key, vec![slot])
            }
            None => {
                self.has_slots()?;
                let (ways, _) = slots::checked(&self.conn, &self.key)?;
                (Lock::Vault, self.key.duplicate(), ways.into_iter().map(|way| way.slot).collect())
            }
        };
        Ok((Header::new(kind, lock, &self.id, &slots, now)?, key))
    }

    /// Looks at the database and copies it into a new file, both as of one moment, while others may write.
    ///
    /// # Errors
    /// Those of `look`; [`Error::DiskFull`].
    pub fn copy_of_a_moment<T, E: From<Error>>(
        &self,
        to: Option<&Path>,
        look: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let moment = Transaction::new_unchecked(&self.conn, TransactionBehavior::Deferred).map_err(Error::from)?;
        // The moment is that of the first look.
        moment.query_row("SELECT count(*) FROM vault", [], |_| Ok(())).map_err(Error::from)?;
        let seen = look(self)?;
        if let Some(to) = to {
            copy_pages(&self.conn, &mut Connection::open(to).map_err(Error::from)?)?;
        }
        Ok(seen)
    }

    /// Closes the database and moves its file to where nothing is yet.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Busy`], [`Error::Io`].
    pub fn move_to(self, target: &Path) -> Result<()> {
        let Database { conn, path, .. } = self.lock();
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        conn.close().map_err(|(_, e)| e)?;
        super::open::prepare_place(target)?;
        if directory_of(&path) == directory_of(target) {
            return Err(Error::Refused("a database is moved from a directory of its own"));
        }
        move_to(path, target)
    }
}

impl Tx<'_> {
    /// Keeps in mind that a backup was made, or that there are further copies of it. What this says of a copy goes over what
    /// was known, and another backup that was in the same place is there no more.
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn save_backup(&self, record: &BackupRecord) -> Result<()> {
        let values = params![
            record.id,
            micros(record.created),
            record.kind.as_str(),
            record.size,
            record.sha256,
            record.audit_entry,
            record.base,
        ];
        let sql = "INSERT INTO backups (id, created, kind, size, sha256, audit_entry, base)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT (id) DO UPDATE SET created = excluded.created, kind = excluded.kind, size = excluded.size,
                   sha256 = excluded.sha256, audit_entry = excluded.audit_entry, base = excluded.base";
        self.transaction.execute(sql, values)?;
        for copy in &record.copies {
            let values = params![
                record.id,
                copy.host.as_deref().unwrap_or_default(),
                path_text(&copy.path),
                micros(copy.made),
                copy.verified.map(micros),
                copy.fault,
            ];
            let sql = "INSERT INTO backup_copies (backup_id, host, path, made, verified, fault) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                       ON CONFLICT (backup_id, host, path) DO UPDATE
                       SET made = excluded.made, verified = excluded.verified, fault = excluded.fault";
            self.transaction.execute(sql, values)?;
            let sql = "DELETE FROM backup_copies WHERE host = ?2 AND path = ?3 AND backup_id <> ?1";
            let values = params![record.id, copy.host.as_deref().unwrap_or_default(), path_text(&copy.path)];
            self.transaction.execute(sql, values)?;
        }
        self.forget_without_copies()
    }

    /// Follows a host that has another name now.
    pub(super) fn rename_host_of_copies(&self, from: &str, to: &str) -> Result<()> {
        let sql = "UPDATE OR REPLACE backup_copies SET host = ?2 WHERE host = ?1";
        self.transaction.execute(sql, params![from, to])?;
        Ok(())
    }

    fn forget_without_copies(&self) -> Result<()> {
        let sql = "DELETE FROM backups WHERE NOT EXISTS (SELECT 1 FROM backup_copies WHERE backup_id = backups.id)";
        self.transaction.execute(sql, [])?;
        Ok(())
    }

    /// Forgets a copy of a backup, and with the last one the backup.
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn forget_copy(&self, id: &str, host: Option<&str>, path: &Path) -> Result<()> {
        let sql = "DELETE FROM backup_copies WHERE backup_id = ?1 AND host = ?2 AND path = ?3";
        self.transaction.execute(sql, params![id, host.unwrap_or_default(), path_text(path)])?;
        self.forget_without_copies()
    }
}
