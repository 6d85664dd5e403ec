//! The files that a reader may look at.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::ForeignError;

/// What stands in a file; wiped when dropped.
pub type Bytes = Zeroizing<Vec<u8>>;

/// No file is larger than this, in bytes; a database of 10,000 clients takes 5 MiB.
const LIMIT: u64 = 64 << 20;
/// No folder has more entries.
const ENTRIES: usize = 20_000;

/// The files around the one that is imported.
pub trait Around {
    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// It can't be read, or is larger than 64 MiB.
    fn read(&self, path: &Path) -> Result<Option<Bytes>, ForeignError>;

    /// Lists the files in a folder, sorted, without those in folders below it; none when there is no such folder.
    ///
    /// # Errors
    /// It can't be listed, or has more than 20,000 entries.
    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, ForeignError>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Around for Disk {
    fn read(&self, path: &Path) -> Result<Option<Bytes>, ForeignError> {
        let failed = |source| ForeignError::Io { file: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Ok(None); // a device or a pipe could go on for ever
        }
        let size = metadata.len();
        let too_large = |found| ForeignError::TooLarge { file: path.to_owned(), what: "bytes", found, limit: LIMIT };
        if size > LIMIT {
            return Err(too_large(size));
        }
        // Enough room at once: a buffer that grows leaves copies of keys behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
        let read = file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
        if read as u64 > LIMIT { Err(too_large(read as u64)) } else { Ok(Some(bytes)) }
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, ForeignError> {
        let failed = |source| ForeignError::Io { file: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            listed => listed.map_err(failed)?,
        };
        let mut files = Vec::new();
        for (entry, count) in entries.zip(1_usize..) {
            let path = entry.map_err(failed)?.path();
            if count > ENTRIES {
                return Err(too_many(folder, count));
            }
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

fn too_many(folder: &Path, found: usize) -> ForeignError {
    ForeignError::TooLarge { file: folder.to_owned(), what: "entries", found: found as u64, limit: ENTRIES as u64 }
}

/// Files that were read already, by path: from an archive, from a host, in a test.
#[derive(Default)]
pub struct Memory(BTreeMap<PathBuf, Bytes>);

impl Memory {
    /// Adds a file; one of the same path is replaced.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.into(), Zeroizing::new(bytes.into()));
        self
    }
}

impl Around for Memory {
    fn read(&self, path: &Path) -> Result<Option<Bytes>, ForeignError> {
        match self.0.get(path) {
            Some(bytes) if bytes.len() as u64 > LIMIT => {
                let (file, found) = (path.to_owned(), bytes.len() as u64);
                Err(ForeignError::TooLarge { file, what: "bytes", found, limit: LIMIT })
            }
            found => Ok(found.cloned()),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, ForeignError> {
        let files: Vec<_> = self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect();
        if files.len() > ENTRIES { Err(too_many(folder, files.len())) } else { Ok(files) }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_read_and_none_that_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("b.json"), b"{}").unwrap();
        fs::create_dir(at("a")).unwrap();
        File::create(at("huge")).unwrap().set_len(LIMIT + 1).unwrap();
        assert_eq!(Disk.read(&at("b.json")).unwrap().unwrap().as_slice(), b"{}");
        assert!(Disk.read(&at("a")).unwrap().is_none());
        assert!(Disk.read(&at("none")).unwrap().is_none());
        assert!(Disk.read(&at("b.json/x")).unwrap().is_none());
        let error = Disk.read(&at("huge")).unwrap_err().to_string();
        assert!(error.ends_with("is too large: it has 67108865 bytes, and at most 67108864 are read"), "{error}");
        assert_eq!(Disk.list(folder.path()).unwrap(), [at("b.json"), at("huge")]);
        assert!(Disk.list(&at("none")).unwrap().is_empty());
    }
}
