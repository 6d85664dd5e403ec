//! Opening the file and making a new one: what the file system has to promise before a secret goes into it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, MAIN_DB, OpenFlags, Transaction};
use wg_friend_crypt::{DataKey, KdfParams};

use super::error::{Error, Result};
use super::slots::{self, Way};
use super::vault::{self, Passphrase, RecoveryKey};
use super::{Database, Store, audit, migrate, networks, plain, states};
use crate::model::{Action, Actor, Event, Network};

/// Marks a SQLite file as ours ("wgfr").
const APPLICATION_ID: i64 = 0x7767_6672;

/// How long a writer waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// What only the owner may do with a directory, and with a file.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Returns the directory that a file is in.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn look_at(path: &Path) -> Result<fs::Metadata> {
    fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
        _ => Error::Io { action: "look at", path: path.to_owned(), source },
    })
}

/// Refuses what anyone but the owner can get at.
fn only_ours(path: &Path, wanted: u32) -> Result<()> {
    let mode = look_at(path)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Error::Permissions { path: path.to_owned(), mode, wanted }) }
}

/// Makes the directory of a new file, and sees that nothing is in its place.
pub(super) fn prepare_place(path: &Path) -> Result<()> {
    let directory = directory_of(path);
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(&directory)
        .map_err(io_error(path, "make the directory of"))?;
    only_ours(&directory, DIRECTORY_MODE)?;
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: path.to_owned() });
    }
    put_logs_aside(path)
}

/// What SQLite keeps beside a database, and would take for the log of any other that comes to lie there.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Moves the logs of a database that is gone out of the way of a new one. They may hold what was written last, so they are
/// kept under another name.
fn put_logs_aside(path: &Path) -> Result<()> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let left: Vec<&str> = LOGS.into_iter().filter(|suffix| is_there(&with_suffix(path, suffix))).collect();
    if left.is_empty() {
        return Ok(());
    }
    let free = |name: &PathBuf| !LOGS.iter().any(|suffix| is_there(&with_suffix(name, suffix)));
    let mut names = (1..u32::MAX).map(|number| with_suffix(path, &format!(".left-{number}.bak")));
    let aside = names.find(free).ok_or_else(|| Error::Exists { path: with_suffix(path, left[0]) })?;
    for suffix in left {
        let log = with_suffix(path, suffix);
        fs::rename(&log, with_suffix(&aside, suffix)).map_err(io_error(&log, "move"))?;
    }
    Ok(())
}

/// Moves a database file out of the way as it is, with what belongs to it: its log first, which must not be taken for that
/// of whatever comes in its place.
pub(super) fn move_aside(path: &Path, to: &Path) -> Result<()> {
    for suffix in LOGS.into_iter().chain([""]) {
        match fs::rename(with_suffix(path, suffix), with_suffix(to, suffix)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => {}
            moved => moved.map_err(io_error(path, "move"))?,
        }
    }
    Ok(())
}

/// The event that a new database begins with.
fn created(network: &Network) -> Event {
    let prefixes: Vec<String> = network.prefixes().map(|p| p.to_string()).collect();
    Event::network(Action::DatabaseCreated, network).with("prefixes", prefixes)
}

/// Says of what the system refuses to do that it was about this file.
fn io_error(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// Sets what every connection needs.
fn configure(conn: &Connection) -> Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON;   -- what is deleted is overwritten
         PRAGMA temp_store = MEMORY;  -- nothing of ours in temporary files
         PRAGMA trusted_schema = OFF; -- a forged schema runs no functions
         PRAGMA cell_size_check = ON;",
    )?;
    Ok(())
}

impl Database {
    /// Opens an existing database. Needs no passphrase.
    ///
    /// Refuses a missing file, one that others can get at, one of a newer version, one that isn't ours or is damaged, and
    /// one that can't be written. An older schema is brought up to date, after a copy of the file.
    pub fn open(path: &Path) -> Result<Self> {
        let is_file = look_at(path)?.is_file();
        only_ours(&directory_of(path), DIRECTORY_MODE)?;
        if !is_file {
            return Err(Error::NotADatabase { path: path.to_owned() });
        }
        only_ours(path, FILE_MODE)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags)?;
        if conn.is_readonly(MAIN_DB)? {
            return Err(Error::ReadOnly);
        }
        configure(&conn)?;
        match conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(Error::from) {
            Ok(APPLICATION_ID) => {}
            Ok(_) | Err(Error::Damaged { .. }) => return Err(Error::NotADatabase { path: path.to_owned() }),
            Err(other) => return Err(other),
        }
        // Readers and the writer don't wait for each other. The mode is stored in the file, so this is a look only, save
        // for the first time.
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        migrate::upgrade(&mut conn, path, &migrate::MIGRATIONS, migrate::latest())?;
        match plain::drop_old_pages(&conn) {
            // Encrypted a while ago, and not written anew since: another process may be at it, and the next one tries again.
            Ok(()) | Err(Error::Busy | Error::DiskFull) => {}
            Err(other) => return Err(other),
        }
        let id = conn
            .query_row("SELECT database_id FROM vault", [], |row| row.get(0))
            .map_err(|e| vault::no_row(e, "the vault is gone"))?;
        networks::prepare(&conn)?;
        Ok(Self { conn, path: path.to_owned(), id })
    }

    /// Takes from everyone but the owner the right to read or write the database file. Its directory is left as it is.
    pub fn mend_permissions(path: &Path) -> Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            let file = PathBuf::from(name);
            match fs::set_permissions(&file, fs::Permissions::from_mode(FILE_MODE)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::Missing { path: file }),
                Err(source) => return Err(Error::Io { action: "change the mode of", path: file, source }),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Makes a new, encrypted database with one network, and unlocks it. Returns the recovery key, to be printed once.
    ///
    /// Missing directories are made with mode 0700. The file is built under another name and put in place complete, never
    /// over an existing one: after a crash half-way there is no database.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Permissions`] of the directory; [`Error::PassphraseTooShort`].
    pub fn create(
        path: &Path,
        passphrase: &Passphrase,
        params: KdfParams,
        network: &Network,
        actor: &Actor,
        now: DateTime<Utc>,
    ) -> Result<(Store, RecoveryKey)> {
        passphrase.check_new()?;
        prepare_place(path)?;
        let key = DataKey::random()?;
        let recovery = RecoveryKey::random()?;
        let ways = Way::first(&key, passphrase, params, &recovery, &actor.operator, now)?; // seconds, before any file is there
        let created = created(network).with("log_n", params.log_n());
        let keep_key = |tx: &Transaction<'_>| ways.iter().try_for_each(|way| way.save(tx));
        let mut store = Self::build(path, key, keep_key, network, actor, now, &[created])?;
        store.opened = Some(ways[0].name.clone());
        Ok((store, recovery))
    }

    /// Makes a new database without encryption with one network: its key lies in the file. Otherwise as
    /// [`Database::create`]; that it isn't encrypted is in the audit log.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Permissions`] of the directory.
    pub fn create_unencrypted(path: &Path, network: &Network, actor: &Actor, now: DateTime<Utc>) -> Result<Store> {
        prepare_place(path)?;
        let key = DataKey::random()?;
        let copy = key.duplicate();
        let events = [created(network), Event::database(Action::EncryptionDisabled)];
        Self::build(path, key, |tx| plain::save_key(tx, &copy, now), network, actor, now, &events)
    }

    /// Builds the file. `keep_key` leaves in it what leads to its key; the first event is the one it is made with.
    fn build(
        path: &Path,
        key: DataKey,
        keep_key: impl FnOnce(&Transaction<'_>) -> Result<()>,
        network: &Network,
        actor: &Actor,
        now: DateTime<Utc>,
        events: &[Event],
    ) -> Result<Store> {
        let directory = directory_of(path);
        let io = |action| io_error(path, action);
        let file = tempfile::Builder::new().prefix(".wg-friend-").suffix(".new").tempfile_in(&directory); // 0600
        let file = file.map_err(io("make"))?;
        {
            let mut conn = Connection::open(file.path())?;
            configure(&conn)?;
            conn.pragma_update(None, "application_id", APPLICATION_ID)?;
            migrate::create(&mut conn)?;
            states::touched::watch(&conn)?;
            let tx = conn.transaction()?;
            vault::initialise(&tx, &key, now)?;
            keep_key(&tx)?;
            networks::insert(&tx, network)?;
            events.iter().try_for_each(|event| audit::append(&tx, &key, now, actor, event))?;
            if let Some(first) = events.first() {
                states::begin(&tx, &key, now, actor, first)?;
            }
            if !plain::is_plain(&tx)? {
                slots::seal(&tx, &key)?;
            }
            tx.commit()?;
            conn.close().map_err(|(_, e)| e)?;
        }
        file.as_file().sync_all().map_err(io("write"))?;
        file.persist_noclobber(path).map_err(|e| match e.error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
            _ => io("put in place")(e.error),
        })?;
        // The name is on the disk only once its directory is.
        File::open(&directory).and_then(|d| d.sync_all()).map_err(io("write the directory of"))?;
        Ok(Store { database: Self::open(path)?, key, opened: None })
    }

    /// Reads the whole file and names the first damage, if there is any. Costs time in proportion to its size.
    pub fn check_structure(&self) -> Result<()> {
        let answer: String = self.conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if answer == "ok" { Ok(()) } else { Err(Error::Damaged { what: answer }) }
    }
}
