//! Files that only their owner can read, put in place whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::ops::Error;

/// Writes a file with mode 0600, over one that may be there. Missing directories are made with mode 0700.
pub(in crate::ops) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    put(path, content).map_err(|source| Error::Unwritable { path: path.to_owned(), source })
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut file = tempfile::Builder::new().prefix(".wg-friend-").tempfile_in(directory)?; // mode 0600
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is on the disk only once its directory is.
    File::open(directory)?.sync_all()
}
