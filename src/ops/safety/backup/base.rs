//! The full backup that an incremental one builds on: found beside it or where it is known to be, checked, and its database
//! laid out, onto which the pages go.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use wg_friend_crypt::DataKey;

use super::prove::fault_of;
use super::unpack::damaged;
use super::{DATABASE, EXTENSION, known, open};
use crate::db::archive::{Base, BaseName, Lock, Part, What};
use crate::db::{self, Database, Passphrase, Scratch};
use crate::ops::Error;

/// A backup's file, and where the one that it builds on may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The file.
    pub(super) file: &'a Path,
    /// The one that it builds on, if somebody named it.
    pub(super) base: Option<&'a Path>,
    /// The database that may know where copies of that are; need not be there.
    pub(super) database: &'a Path,
}

/// Returns how a backup is called in messages.
pub(super) fn called(base: &BaseName) -> String {
    format!("{} of {}", &base.id[..8], base.created.format("%Y-%m-%d %H:%M:%S UTC"))
}

impl Source<'_> {
    /// Lists the files that may be what this one builds on, the likeliest first.
    ///
    /// # Errors
    /// When there is none, or the one that was named is another backup.
    pub(super) fn bases(&self, wanted: &BaseName) -> Result<Vec<PathBuf>, Error> {
        if let Some(given) = self.base {
            return self.given(given, wanted);
        }
        let mut found = self.beside(wanted);
        for path in self.known(wanted) {
            if !found.contains(&path) {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(Error::RefusedWithRemedy {
                message: format!("the full backup that {} builds on is not here", self.file.display()),
                hint: format!(
                    "that is {}: put its file beside, or name it with --base FILE; `wg-friend backup list` says where there are copies",
                    called(wanted)
                ),
            });
        }
        Ok(found)
    }

    fn given(&self, given: &Path, wanted: &BaseName) -> Result<Vec<PathBuf>, Error> {
        let header = open(given)?.header().clone();
        if header.id == wanted.id {
            return Ok(vec![given.to_owned()]);
        }
        let is = BaseName { id: header.id, created: header.created };
        Err(Error::RefusedWithRemedy {
            message: format!("{} is the backup {}, and not what the other one builds on", given.display(), called(&is)),
            hint: format!("that is {}: name its file with --base FILE", called(wanted)),
        })
    }

    /// Looks into the files in the same directory, and in that of the file that a link leads to. One whose header is damaged is known
    /// by its name.
    fn beside(&self, wanted: &BaseName) -> Vec<PathBuf> {
        let file = self.file.canonicalize().unwrap_or_else(|_| self.file.to_owned());
        let own = std::path::absolute(self.file).unwrap_or_else(|_| file.clone());
        let mut directories: Vec<&Path> = [&own, &file].into_iter().filter_map(|file| file.parent()).collect();
        directories.dedup();
        let is_called_so = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(&wanted.id[..8]) && path.extension().is_some_and(|extension| extension == EXTENSION)
        };
        let is_it = |path: &PathBuf| match open(path) {
            Ok(opened) => opened.header().id == wanted.id,
            Err(_) => is_called_so(path),
        };
        let entries = directories.into_iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten();
        // Opening what is no file could wait for ever.
        let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file() && *path != file);
        let mut found: Vec<PathBuf> = files.filter(is_it).collect();
        found.sort();
        found
    }

    /// Asks the database where copies are.
    fn known(&self, wanted: &BaseName) -> Vec<PathBuf> {
        let known = Database::open(self.database).ok().and_then(|database| known(Some(&database)).ok());
        let records = known.unwrap_or_default().into_iter().filter(|record| record.id == wanted.id);
        let here = records.flat_map(|record| record.copies).filter(|copy| copy.host.is_none());
        here.map(|copy| copy.path).filter(|path| path.is_file()).collect()
    }
}

/// The files that may be what a backup builds on, and what opens them.
#[derive(Debug)]
pub(super) struct Bases {
    /// The files.
    pub(super) files: Vec<PathBuf>,
    /// The base key of the backup that builds on it, which is that of both unless each has a random one.
    pub(super) key: DataKey,
    /// The passphrase that leads to both random keys.
    pub(super) own: Option<Passphrase>,
}

impl Bases {
    /// Lays the database of the first file that is whole, and what is wanted, into a scratch directory.
    ///
    /// # Errors
    /// What is wrong with the first of them, if none is.
    pub(super) fn lay(&self, wanted: &Base, scratch: &Scratch) -> Result<(), Error> {
        let mut first = None;
        for file in &self.files {
            let Err(error) = self.lay_one(file, wanted, scratch) else { return Ok(()) };
            let fault = match error {
                Error::Store(db::Error::BackupDamaged { what }) => what,
                // Whoever wrote its header may want more memory than there is.
                Error::Store(cause @ db::Error::Crypt(_)) => cause.to_string(),
                error => fault_of(&error).ok_or(error)?,
            };
            first.get_or_insert_with(|| damaged(format!("what it builds on, {}: {fault}", file.display())));
            scratch.remove(DATABASE)?;
        }
        Err(first.unwrap_or_else(|| damaged("what it builds on isn't there")))
    }

    fn lay_one(&self, file: &Path, wanted: &Base, scratch: &Scratch) -> Result<(), Error> {
        let opened = open(file)?;
        let header = opened.header();
        if header.id != wanted.id {
            return Err(damaged("it is another backup"));
        }
        let key = match (&self.own, header.lock) {
            (Some(own), Lock::Own) => header.key(own)?.ok_or_else(|| damaged("it has another passphrase"))?,
            _ => self.key.duplicate(),
        };
        let mut content = opened.content(&key)?;
        let is_wanted = |part: &Part| part.what == What::Database && part.sha256 == wanted.sha256;
        if !content.manifest().parts.iter().any(is_wanted) {
            return Err(damaged("the database in it is another one"));
        }
        let place = |part: &Part| -> Result<Box<dyn Write>, db::Error> {
            match part.what {
                What::Database => Ok(Box::new(scratch.create(DATABASE)?)),
                _ => Ok(Box::new(io::sink())),
            }
        };
        while content.next(place)?.is_some() {} // to its end: what isn't whole there may be elsewhere
        Ok(())
    }
}
