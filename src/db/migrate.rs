//! Schema versions: numbered, forward only, each step in a transaction after a copy of the file.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, backup};
use rusqlite_migration::{M, Migrations};

use super::error::{Error, Result};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_initial.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0002_adopted.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0003_command_steps.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0004_states.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0005_drift.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0006_revisions.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0007_interfaces.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0008_plain.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0009_links.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0010_exit_groups.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0011_access.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0012_exit_rules.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0013_networks.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0014_fallback.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0015_checkpoints.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0016_backups.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0017_exit_chains.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0018_passphrases.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0019_rotation.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0020_psk_rules.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0021_overlaps.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0022_incremental.sql")).foreign_key_check(),
    M::up(include_str!("migrations/0023_revisions_used.sql")),
];

/// Every schema there ever was, oldest first. A released step is never edited.
pub(super) const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Returns the schema version in a file.
fn version(conn: &Connection) -> Result<i64> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings a new, empty file to the present schema.
pub(super) fn create(conn: &mut Connection) -> Result<()> {
    MIGRATIONS.to_latest(conn).map_err(from_migration)
}

/// Brings a file to the newest schema of `migrations`, which has `known` steps. Refuses a file that is newer.
pub(super) fn upgrade(conn: &mut Connection, path: &Path, migrations: &Migrations<'_>, known: usize) -> Result<()> {
    let refuse = |found| Error::Newer { path: path.to_owned(), found, known };
    let steps = |found: i64| usize::try_from(found).map_err(|_| Error::NotADatabase { path: path.to_owned() });
    let found = version(conn)?;
    if steps(found)? > known {
        return Err(refuse(found));
    }
    if steps(found)? == known {
        return Ok(());
    }
    let _lock = lock(path)?;
    let mut at = steps(version(conn)?)?;
    while at < known {
        copy(conn, &copy_name(path, at))?;
        at += 1;
        migrations.to_version(conn, at).map_err(from_migration)?;
    }
    Ok(())
}

/// Returns the schema version that this program writes.
pub(super) fn latest() -> usize {
    STEPS.len()
}

fn copy_name(path: &Path, version: usize) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".schema-{version}.bak"));
    path.with_file_name(name)
}

/// What a temporary file of a copy is called, around what is random about it.
const COPY_UNDER_WAY: (&str, &str) = (".wg-friend-", ".bak");

/// Returns the copies that steps and restores left beside a database, and those that a crash left half-way, in order.
pub(super) fn copies(path: &Path) -> Result<Vec<PathBuf>> {
    let directory = super::open::directory_of(path);
    let io = |source| Error::Io { action: "look into", path: directory.clone(), source };
    let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".schema-";
    let restored = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".before-restore-";
    let is_copy = |name: &str| {
        let (before, after) = COPY_UNDER_WAY;
        name.ends_with(after) && (name.starts_with(&own) || name.starts_with(&restored) || name.starts_with(before))
    };
    let mut copies = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if is_copy(&name.to_string_lossy()) {
            copies.push(path.with_file_name(name));
        }
    }
    copies.sort();
    Ok(copies)
}

/// Overwrites copies and removes them. Waits for a migration that is under way, and so never takes a copy away from one.
pub(super) fn remove_copies(path: &Path, copies: &[PathBuf]) -> Result<()> {
    let _lock = lock(path)?;
    for copy in copies {
        overwrite(copy).and_then(|()| std::fs::remove_file(copy)).map_err(|source| Error::Io {
            action: "remove",
            path: copy.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Fills a file with zeros, in place.
fn overwrite(path: &Path) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut file = File::options().write(true).open(path)?;
    let length = file.metadata()?.len();
    std::io::copy(&mut std::io::repeat(0).take(length), &mut file)?;
    file.flush()?;
    file.sync_all()
}

/// Lets one process at a time migrate. The directory serves as the lock: it needs no file of its own, and opening the
/// database itself a second time would, on closing, drop the locks that SQLite holds on it.
fn lock(path: &Path) -> Result<File> {
    let directory = super::open::directory_of(path);
    let io = |action, source| Error::Io { action, path: directory.to_owned(), source };
    let lock = File::open(&directory).map_err(|e| io("open", e))?;
    lock.lock().map_err(|e| io("lock", e))?;
    Ok(lock)
}

/// Copies a database into a file that only its owner can read.
fn copy(conn: &Connection, to: &Path) -> Result<()> {
    let io = |action| move |source| Error::Io { action, path: to.to_owned(), source };
    let file = tempfile::Builder::new()
        .prefix(COPY_UNDER_WAY.0)
        .suffix(COPY_UNDER_WAY.1)
        .tempfile_in(super::open::directory_of(to)) // 0600
        .map_err(io("make a copy beside"))?;
    {
        let mut target = Connection::open(file.path())?;
        backup::Backup::new(conn, &mut target)?.run_to_completion(1000, std::time::Duration::ZERO, None)?;
    }
    file.as_file().sync_all().map_err(io("write"))?;
    file.persist(to).map_err(|e| io("write")(e.error))?;
    Ok(())
}

fn from_migration(error: rusqlite_migration::Error) -> Error {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        other => Error::Damaged { what: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn each_step_leaves_a_copy_of_what_was_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        let migrations = Migrations::new(vec![
            M::up("CREATE TABLE t (x INTEGER) STRICT; INSERT INTO t VALUES (7);"),
            M::up("UPDATE t SET x = 8;"),
            M::up("UPDATE t SET x = 9;"),
        ]);
        migrations.to_version(&mut conn, 1).unwrap();
        upgrade(&mut conn, &path, &migrations, 3).unwrap();
        let x = |conn: &Connection| conn.query_row("SELECT x FROM t", [], |r| r.get::<_, i64>(0)).unwrap();
        assert_eq!(x(&conn), 9);
        for (version, value) in [(1, 7), (2, 8)] {
            let copy = dir.path().join(format!("a.db.schema-{version}.bak"));
            assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(x(&Connection::open(copy).unwrap()), value);
        }
    }

    #[test]
    fn backups_and_their_copies_stay_when_their_tables_are_made_anew() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        MIGRATIONS.to_version(&mut conn, 21).unwrap();
        conn.execute_batch(
            "INSERT INTO backups VALUES (printf('%032d', 1), 7, 'full', 100, printf('%064d', 2), 3);
             INSERT INTO backup_copies VALUES (printf('%032d', 1), 'hub', '/b', 8, 9, 'a bit flipped');",
        )
        .unwrap();
        MIGRATIONS.to_version(&mut conn, 22).unwrap();
        let sql = "SELECT b.id || b.created || b.kind || b.size || b.sha256 || b.audit_entry || c.host || c.path || c.made
                   || c.verified || c.fault || (b.base IS NULL) FROM backups b JOIN backup_copies c ON c.backup_id = b.id";
        let kept: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, format!("{:032}7full100{:064}3hub/b89a bit flipped1", 1, 2));
        // The copies still go with their backup.
        conn.execute("DELETE FROM backups", []).unwrap();
        assert_eq!(conn.query_row("SELECT count(*) FROM backup_copies", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        let made = |kind: &str, base: &str| {
            let values = format!("(printf('%032d', 1), 7, '{kind}', 100, printf('%064d', 2), 3, {base})");
            conn.execute(&format!("INSERT OR REPLACE INTO backups VALUES {values}"), []).is_ok()
        };
        assert!(made("incremental", "printf('%032d', 5)") && made("keys-only", "NULL"));
        assert!(!made("incremental", "NULL") && !made("full", "printf('%032d', 5)") && !made("other", "NULL"));
    }

    #[test]
    fn a_failing_step_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut conn = Connection::open(&path).unwrap();
        let migrations = Migrations::new(vec![
            M::up("CREATE TABLE t (x INTEGER) STRICT; INSERT INTO t VALUES (7);"),
            M::up("UPDATE t SET x = 8; UPDATE missing SET x = 9;"),
        ]);
        migrations.to_version(&mut conn, 1).unwrap();
        assert!(upgrade(&mut conn, &path, &migrations, 2).is_err());
        assert_eq!(version(&conn).unwrap(), 1);
        assert_eq!(conn.query_row("SELECT x FROM t", [], |r| r.get::<_, i64>(0)).unwrap(), 7);
    }
}
