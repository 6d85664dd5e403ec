//! Files that only their owner can read, put in place whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::ops::Error;

/// Writes a file with mode 0600, over one that may be there. Missing directories are made with mode 0700.
pub(in crate::ops) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    write_with(path, |file| file.write_all(content).map_err(|source| unwritable(path, source)))
}

/// Does the same with what is written piece by piece: it is in place once all of it is there.
pub(in crate::ops) fn write_with<T>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    let io = |source| unwritable(path, source);
    let (directory, mut file) = begin(path).map_err(io)?;
    let value = fill(&mut file)?;
    let finish = || -> io::Result<()> {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The name is on the disk only once its directory is.
        File::open(directory)?.sync_all()
    };
    finish().map_err(io)?;
    Ok(value)
}

fn unwritable(path: &Path, source: io::Error) -> Error {
    Error::Unwritable { path: path.to_owned(), source }
}

fn begin(path: &Path) -> io::Result<(&Path, BufWriter<NamedTempFile>)> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let file = tempfile::Builder::new().prefix(".wg-friend-").tempfile_in(directory)?; // mode 0600
    Ok((directory, BufWriter::new(file)))
}
