//! Restoring: the database becomes what a backup holds, or its files are laid out. What was there before is copied first.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::base::Source;
use super::prove::{check_part, examine, made_again};
use super::restore_keys::{self, KeysRestored};
use super::unpack::{Unlocked, Unpacked};
use super::{About, DATABASE, Keys, open};
use crate::db::archive::{Kind, Manifest, NetworkCounts, What};
use crate::db::{self, Database, Scratch, Store};
use crate::model::{Action, Actor, Event};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::network::private_file;
use crate::ops::safety::unlock;

/// What is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The database becomes what the backup holds.
    Replace,
    /// The configurations are written into a directory; no database is touched.
    ConfigOnly,
    /// The keys come back into the present database, which decides for everything else.
    KeysOnly,
}

/// What to restore, and where.
#[derive(Debug)]
pub struct Request<'a> {
    /// The file of the backup.
    pub file: &'a Path,
    /// The full backup that it builds on, if somebody named it.
    pub base: Option<&'a Path>,
    /// The database; need not be there.
    pub database: &'a Path,
    /// What may open the backup, and the vault in it.
    pub keys: Keys<'a>,
    /// What is restored.
    pub mode: Mode,
    /// The directory for configurations.
    pub to: Option<&'a Path>,
    /// Whether only to say what would be done.
    pub preview: bool,
}

impl Request<'_> {
    /// Opens the contents of the backup.
    pub(super) fn unlock(&self, opened: db::archive::Opened) -> Result<Unlocked, Error> {
        let source = Source { file: self.file, base: self.base, database: self.database };
        self.keys.unlock(opened, &source)
    }
}

/// The database that is or was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// Its random name; `None` if it is so damaged that it can't be told.
    pub database: Option<String>,
    /// How many entries its audit log has, without gaps.
    pub audit_entries: Option<i64>,
    /// How many nodes it has in all networks.
    pub nodes: Option<usize>,
    /// Whether it is encrypted; `None` if that can't be told.
    pub encrypted: Option<bool>,
    /// Whether it is another database than the one in the backup; `None` if that can't be told.
    pub other_database: Option<bool>,
    /// Where it is copied to first.
    pub copy: PathBuf,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Restored {
    /// What the backup's header says.
    #[serde(flatten)]
    pub about: About,
    /// What was restored.
    pub mode: Mode,
    /// Whether it was done; false for a preview.
    pub saved: bool,
    /// The database, or the directory of the configurations.
    pub path: PathBuf,
    /// The networks in the backup.
    pub networks: Vec<NetworkCounts>,
    /// How many entries its audit log has.
    pub audit_entries: i64,
    /// Whether the database that is restored is encrypted; `None` if none is.
    pub encrypted: Option<bool>,
    /// What was there before.
    pub replaced: Option<Replaced>,
    /// The files that were written, below the directory.
    pub files: Vec<String>,
    /// What became of the keys, if they alone were restored.
    pub keys: Option<KeysRestored>,
}

/// Restores a backup, which is checked in full before anything is touched. `agree` is asked once it is known what is going
/// to be done.
///
/// A crash at any moment leaves what was there, or what the backup holds: never something between.
///
/// # Errors
/// A damaged backup, one that nothing opens, one without what is to be restored; a disk without room. Nothing is changed
/// then.
pub fn restore(
    request: &Request<'_>,
    clock: &dyn Clock,
    actor: &Actor,
    agree: &dyn Fn(&Restored) -> Result<(), Error>,
) -> Result<Restored, Error> {
    let opened = open(request.file)?;
    let about = About::from(opened.header());
    let lacks = |part: &str, hint: &str| Error::RefusedWithRemedy {
        message: format!("a backup of kind {} has no {part}", about.kind),
        hint: hint.into(),
    };
    match (request.mode, about.kind) {
        (Mode::Replace, Kind::ConfigOnly | Kind::KeysOnly) => {
            return Err(lacks("database", "restore a full one, or its configurations with --mode config-only"));
        }
        (Mode::ConfigOnly, Kind::KeysOnly) => {
            return Err(lacks("configurations", "take a full one or a config-only one"));
        }
        _ => {}
    }
    match request.mode {
        Mode::Replace => replace(request, opened, about, clock, actor, agree),
        Mode::ConfigOnly => lay_out(request, opened, about, clock, actor, agree),
        Mode::KeysOnly => restore_keys::restore(request, opened, about, clock, actor, agree),
    }
}

fn replace(
    request: &Request<'_>,
    opened: db::archive::Opened,
    about: About,
    clock: &dyn Clock,
    actor: &Actor,
    agree: &dyn Fn(&Restored) -> Result<(), Error>,
) -> Result<Restored, Error> {
    let unlocked = request.unlock(opened)?;
    if !request.preview {
        let directory = request.database.parent().unwrap_or(Path::new("."));
        let unwritable = |source| Error::Unwritable { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unwritable)?;
    }
    let scratch = Scratch::anywhere(request.database)?;
    let unpacked = unlocked.unpack(&scratch, &mut check_part)?;
    let mut store = match unpacked.database(&scratch, None)? {
        Ok(store) => {
            examine(&store, &unpacked.manifest)?;
            store
        }
        Err(_) => unlock_inside(&scratch, &request.keys, &unpacked.manifest, actor, clock)?,
    };
    let Unpacked { header, manifest, .. } = unpacked;
    let now = clock.now();
    let (present, replaced) = present(request.database, &header.database, now)?;
    let mut restored = Restored {
        about,
        mode: Mode::Replace,
        saved: false,
        path: request.database.to_owned(),
        networks: manifest.networks,
        audit_entries: manifest.audit_entries,
        encrypted: Some(store.is_encrypted()?),
        replaced,
        files: Vec::new(),
        keys: None,
    };
    agree(&restored)?;
    if request.preview {
        return Ok(restored);
    }
    // The entry, and what the present database knows of backups, go into the new one before it takes its place: both come
    // at once. Those of another database stay in its copy: they are of no use to this one.
    let same = present.as_ref().filter(|present| present.id() == header.database);
    let known = same.and_then(|present| present.backups().ok()).unwrap_or_default();
    store.write(now, actor, |tx| -> Result<_, Error> {
        known.iter().rev().try_for_each(|record| tx.save_backup(record))?; // the newest one in a place is the one there
        Ok(((), event(&restored)))
    })?;
    let copy = restored.replaced.as_ref().map(|replaced| &replaced.copy);
    match (present, copy) {
        (Some(present), Some(copy)) => {
            present.become_copy_of(&store, copy)?;
        }
        (None, Some(copy)) => {
            Database::move_aside(request.database, copy)?;
            if let Err(error) = store.move_to(request.database) {
                let _ = Database::move_aside(copy, request.database); // as it was
                return Err(error.into());
            }
        }
        (_, None) => store.move_to(request.database)?,
    }
    restored.saved = true;
    Ok(restored)
}

/// Unlocks the database of a backup that has a passphrase of its own: its vault has another one.
pub(super) fn unlock_inside(
    scratch: &Scratch,
    keys: &Keys<'_>,
    manifest: &Manifest,
    actor: &Actor,
    clock: &dyn Clock,
) -> Result<Store, Error> {
    let path = scratch.file(DATABASE);
    // Unlocking leaves an entry in the log, so what is checked against the manifest is checked before.
    super::prove::examine_locked(&Database::open(&path)?, None, manifest)?;
    let store = unlock::unlock(&path, keys.sources, actor, clock)?;
    store.verify_audit(Some(store.data_key()))?.into_result()?;
    Ok(store)
}

fn event(restored: &Restored) -> Event {
    let about = &restored.about;
    let mut event = Event::database(Action::BackupRestored)
        .with("backup", about.id.as_str())
        .with("created", about.created.to_rfc3339())
        .with("entries", restored.audit_entries);
    if let Some(replaced) = &restored.replaced {
        event =
            event.with("replaced_entries", replaced.audit_entries).with("copy", replaced.copy.display().to_string());
    }
    event
}

/// Returns where a database is copied to before something is done to it.
pub(super) fn copy_before(what: &str, path: &Path, now: chrono::DateTime<chrono::Utc>) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-{what}-{}.bak", now.format("%Y%m%dT%H%M%S%3fZ")));
    path.with_file_name(name)
}

/// Looks at what is there now, and says where it would be copied to.
fn present(
    path: &Path,
    restored: &str,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(Option<Database>, Option<Replaced>), Error> {
    let copy = copy_before("restore", path, now);
    match Database::open(path) {
        Ok(database) => {
            let audit_entries = database.verify_audit(None).ok().map(|verified| verified.good);
            let nodes = count_nodes(&database).ok();
            let replaced = Replaced {
                database: Some(database.id().to_owned()),
                audit_entries,
                nodes,
                encrypted: database.is_encrypted().ok(),
                other_database: Some(database.id() != restored),
                copy,
            };
            Ok((Some(database), Some(replaced)))
        }
        Err(db::Error::Missing { .. }) => Ok((None, None)),
        // Also one that a newer version left: it is put aside as it is.
        Err(error) if matches!(error.kind(), db::Kind::Corrupt | db::Kind::Newer) => {
            let unknown = (None, None, None, None, None);
            let (database, audit_entries, nodes, encrypted, other_database) = unknown;
            Ok((None, Some(Replaced { database, audit_entries, nodes, encrypted, other_database, copy })))
        }
        Err(other) => Err(other.into()),
    }
}

fn count_nodes(database: &Database) -> Result<usize, Error> {
    let networks = database.networks()?;
    let counts = networks.into_iter().map(|(id, _)| Ok(database.topology_of(id)?.nodes.len()));
    counts.sum()
}

fn lay_out(
    request: &Request<'_>,
    opened: db::archive::Opened,
    about: About,
    clock: &dyn Clock,
    actor: &Actor,
    agree: &dyn Fn(&Restored) -> Result<(), Error>,
) -> Result<Restored, Error> {
    let Some(directory) = request.to else {
        return Err(Error::MissingAnswer { what: "a directory for the configurations", flag: "--to DIR" });
    };
    let unlocked = request.unlock(opened)?;
    let scratch = Scratch::anywhere(request.database)?;
    let mut files = Vec::new();
    let unpacked = unlocked.unpack(&scratch, &mut |part, bytes| {
        if matches!(part.what, What::Config { .. }) {
            files.push((name_of(&part.what)?, zeroize::Zeroizing::new(bytes.to_vec())));
        }
        Ok(())
    })?;
    if !unpacked.manifest.sums.is_empty() {
        // They come out of the database in it, which its vault opens.
        let store = match unpacked.database(&scratch, None)? {
            Ok(store) => store,
            Err(_) => unlock_inside(&scratch, &request.keys, &unpacked.manifest, actor, clock)?,
        };
        let pictures = super::snapshot::pictures(&store)?;
        made_again(&unpacked.manifest, &pictures)?;
        for (what, content) in pictures.iter().flat_map(|picture| &picture.configs) {
            files.push((name_of(what)?, zeroize::Zeroizing::new(content.as_bytes().to_vec())));
        }
    }
    let manifest = unpacked.manifest;
    let mut restored = Restored {
        about,
        mode: Mode::ConfigOnly,
        saved: false,
        path: directory.to_owned(),
        networks: manifest.networks,
        audit_entries: manifest.audit_entries,
        encrypted: None,
        replaced: None,
        files: files.iter().map(|(name, _)| name.clone()).collect(),
        keys: None,
    };
    files.iter().try_for_each(|(name, _)| is_free(directory, name))?;
    agree(&restored)?;
    if !request.preview {
        for (name, content) in &files {
            private_file::write(&directory.join(name), content)?;
        }
        restored.saved = true;
    }
    Ok(restored)
}

/// Returns where a configuration goes, below the directory for all of them.
fn name_of(what: &What) -> Result<String, Error> {
    let name = match what {
        What::Config { network, file, .. } => format!("{network}/{file}"),
        What::Database | What::Pages | What::Keys => what.to_string(),
    };
    if is_below(&name) {
        return Ok(name);
    }
    let what = format!("it names a file that lies elsewhere: {name}");
    Err(db::Error::BackupDamaged { what }.into())
}

/// Sees that nothing is where a file goes, and that no link on the way leads elsewhere.
fn is_free(directory: &Path, name: &str) -> Result<(), Error> {
    let mut path = directory.to_owned();
    for component in Path::new(name).components() {
        path.push(component);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() && path != directory.join(name) => {}
            Ok(_) => return Err(db::Error::Exists { path }.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::Unwritable { path, source }),
        }
    }
    Ok(())
}

/// Whether a path stays below where it begins.
fn is_below(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}
