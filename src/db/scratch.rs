//! Room for what isn't there yet: a private directory, and files that get their name only when they are whole.
//!
//! Both are locked while they are in use (flock(2)), so that what a killed program left behind is told from what another one
//! is working on, and swept away by the next.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use super::error::{Error, Result};
use super::open::directory_of;

const PREFIX: &str = ".wg-friend-";
const DIRECTORY: &str = ".scratch";
const PART: &str = ".part";

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Io { action, path, source },
    }
}

/// Removes what programs left in a directory that ended before they could. What can't be removed stays: it is in nobody's way.
fn sweep(directory: &Path, suffix: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with(PREFIX) && name.ends_with(suffix)) {
            continue;
        }
        let path = entry.path();
        let Some(lock) = open_left(&path, suffix == PART).filter(|file| file.try_lock().is_ok()) else { continue };
        let _ = if suffix == PART { fs::remove_file(&path) } else { fs::remove_dir_all(&path) };
        drop(lock); // only now: nobody took it for theirs meanwhile
    }
}

/// Opens what may have been left behind, if it is what this program makes, and this user's. Opening anything else could wait
/// for ever, or follow a link to somewhere else.
fn open_left(path: &Path, is_file: bool) -> Option<File> {
    let fits = |found: &fs::Metadata| {
        let kind = if is_file { found.is_file() } else { found.is_dir() };
        kind && found.uid() == rustix::process::geteuid().as_raw()
    };
    path.symlink_metadata().ok().filter(fits)?;
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(i32::try_from(flags).ok()?).open(path).ok()?;
    file.metadata().is_ok_and(|found| fits(&found)).then_some(file)
}

/// Locks what was just made. False if somebody swept it away in the moment before. On a file system without locks nobody
/// sweeps.
fn is_ours(file: &File, path: &Path) -> bool {
    let _ = file.lock();
    path.symlink_metadata().is_ok()
}

/// A directory that only its owner can look into; removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one beside a database, on the same file system.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn beside(database: &Path) -> Result<Self> {
        let parent = directory_of(database);
        sweep(&parent, DIRECTORY);
        loop {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .suffix(DIRECTORY)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&parent)
                .map_err(failed("make a directory in", &parent))?;
            if let Some(lock) = File::open(directory.path()).ok().filter(|file| is_ours(file, directory.path())) {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }

    /// Makes one beside a database if its directory is there, else among the temporary files: for a mere look on a machine
    /// that has no database.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn anywhere(database: &Path) -> Result<Self> {
        if directory_of(database).is_dir() {
            return Self::beside(database);
        }
        Self::beside(&std::env::temp_dir().join("wg-friend.db"))
    }

    /// Returns where a file in it is, which need not be there.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a file in it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn create(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        let make = || {
            let file = File::options().write(true).create_new(true).open(&path)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        };
        make().map_err(failed("make", &path))
    }

    /// Opens a file in it, for reading and writing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn edit(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        File::options().read(true).write(true).open(&path).map_err(failed("open", &path))
    }

    /// Removes a file in it, if it is there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed("remove", &path)),
        }
    }
}

/// A file that is being written, beside the place where it will be.
#[derive(Debug)]
pub struct PartFile {
    file: NamedTempFile,
    target: PathBuf,
}

impl PartFile {
    /// Begins one that will be at `target`, which its owner alone can read.
    ///
    /// # Errors
    /// [`Error::Exists`] when something is there; [`Error::Io`], [`Error::DiskFull`].
    pub fn begin(target: &Path) -> Result<Self> {
        if target.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: target.to_owned() });
        }
        let directory = directory_of(target);
        sweep(&directory, PART);
        loop {
            let file = tempfile::Builder::new().prefix(PREFIX).suffix(PART).tempfile_in(&directory); // 0600
            let file = file.map_err(failed("make a file in", &directory))?;
            if is_ours(file.as_file(), file.path()) {
                return Ok(Self { file, target: target.to_owned() });
            }
        }
    }

    /// Returns the file, for writing.
    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Returns where it is meanwhile.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Sees that all of it is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn sync(&self) -> Result<()> {
        self.file.as_file().sync_all().map_err(failed("write", &self.target))
    }

    /// Gives it its name, never over something that has the name.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Io`].
    pub fn put_in_place(self) -> Result<()> {
        let Self { file, target } = self;
        file.persist_noclobber(&target).map_err(|e| in_place(e.error, &target))?;
        sync_directory(&target)
    }
}

fn in_place(error: io::Error, target: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: target.to_owned() },
        _ => failed("put in place", target)(error),
    }
}

/// Moves a whole file to where nothing is yet.
pub(super) fn move_to(file: PathBuf, target: &Path) -> Result<()> {
    File::open(&file).and_then(|file| file.sync_all()).map_err(failed("write", target))?;
    let file = tempfile::TempPath::try_from_path(file).map_err(failed("put in place", target))?;
    file.persist_noclobber(target).map_err(|e| in_place(e.error, target))?;
    sync_directory(target)
}

/// The name is on the disk only once its directory is.
fn sync_directory(target: &Path) -> Result<()> {
    let directory = directory_of(target);
    File::open(&directory).and_then(|d| d.sync_all()).map_err(failed("write", &directory))
}
