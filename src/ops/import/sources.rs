//! What is to be imported, taken from where it lies.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::foreign::{self, Disk};
use crate::ops::Error;

/// No configuration of a network is larger: what is, was given by mistake.
const LARGEST: u64 = 256 << 20;

/// Something that says what interfaces are, as it lies there. It may hold secrets.
pub struct Source {
    /// What messages call it: its path as given.
    pub name: String,
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// What it is when its folder tells; else its content does.
    pub format: Option<foreign::Format>,
    /// Its content.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("size", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Reads files, and of folders the files in them that can be configurations. `-` is standard input.
///
/// # Errors
/// When a file can't be read, is too large, or a folder holds nothing to import.
pub fn collect(paths: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            sources.push(standard_input()?);
        } else if path.is_dir() {
            folder(path, &mut sources)?;
        } else {
            sources.push(file(path, None)?);
        }
    }
    Ok(sources)
}

fn folder(folder: &Path, sources: &mut Vec<Source>) -> Result<(), Error> {
    let recognised =
        foreign::recognise_folder(folder, &Disk).map_err(|e| Error::value(folder.display().to_string(), e))?;
    if let Some((format, path)) = recognised {
        if path.is_dir() {
            let (name, bytes) = (path.display().to_string(), Zeroizing::default());
            sources.push(Source { name, path: Some(path), format: Some(format), bytes });
        } else {
            sources.push(file(&path, Some(format))?);
        }
        return Ok(());
    }
    let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("conf")) && path.is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(Error::Value {
            what: folder.display().to_string(),
            reason: "there is no `.conf` file in this folder".to_owned(),
            hint: Some(
                "give the files themselves; `wg-friend import --format list` shows what else can be read".into(),
            ),
        });
    }
    found.sort();
    for path in found {
        sources.push(file(&path, None)?);
    }
    Ok(())
}

fn file(path: &Path, format: Option<foreign::Format>) -> Result<Source, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let name = path.display().to_string();
    Ok(Source { bytes: read(file, size, &name)?, path: Some(path.to_owned()), name, format })
}

fn standard_input() -> Result<Source, Error> {
    let name = "standard input".to_owned();
    Ok(Source { bytes: read(std::io::stdin().lock(), 0, &name)?, path: None, name, format: None })
}

/// Reads everything into memory that is wiped; made large enough at once where the size is known, for a buffer that
/// grows leaves copies behind.
fn read(from: impl std::io::Read, size: u64, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let too_large = || Error::value(name, format!("it has more than {} MiB: this is no configuration", LARGEST >> 20));
    if size > LARGEST {
        return Err(too_large());
    }
    let unreadable = |source| Error::Unreadable { path: PathBuf::from(name), source };
    let room = usize::try_from(size).unwrap_or(0).max(64 << 10) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    from.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST { Err(too_large()) } else { Ok(bytes) }
}
