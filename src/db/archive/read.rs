//! Reading a backup: header, manifest, part by part. Nothing is believed before it has been checked.

use std::io::{self, BufRead, BufReader, Read, Write};

use sha2::{Digest as _, Sha256};
use wg_friend_crypt::DataKey;
use zeroize::Zeroizing;

use super::delta::BadPage;
use super::pieces::{BadPiece, OpeningReader};
use super::{Header, Manifest, Part, armour, damaged, header, hex};
use crate::db::error::{Error, Result};

/// The longest manifest in bytes: of some hundred thousand configurations.
const LONGEST_MANIFEST: u32 = 64 << 20;

/// How much Zstandard may look back, as base-2 logarithm of bytes. What is written looks back 2 MiB.
const WINDOW: u32 = 23;

/// A backup of which the header has been read.
pub struct Opened {
    header: Header,
    bytes: Vec<u8>,
    rest: Box<dyn Read>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Reads the header of a backup, as it is written or as text.
///
/// # Errors
/// [`Error::NotABackup`] for whatever doesn't begin like one; [`Error::BackupDamaged`].
pub fn open(from: impl BufRead + 'static) -> Result<Opened> {
    let (said, mut from) = armour::without(from).map_err(|e| failed(e, "its header"))?;
    let (header, bytes) = Header::read(&mut from)?;
    if said.is_some_and(|id| id != header.id) {
        return Err(damaged("its first line is another backup's"));
    }
    Ok(Opened { header, bytes, rest: from })
}

/// The contents of a backup, of which the manifest has been read.
pub struct Content {
    manifest: Manifest,
    stream: zstd::stream::read::Decoder<'static, BufReader<OpeningReader<Box<dyn Read>>>>,
    /// How many parts have been read.
    read: usize,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("id", &self.manifest.id).field("read", &self.read).finish_non_exhaustive()
    }
}

/// Says what an error of reading means.
fn failed(error: io::Error, what: &str) -> Error {
    if let Some(bad) = error.get_ref().and_then(|inner| inner.downcast_ref::<BadPiece>()) {
        return damaged(bad.to_string());
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(format!("it ends within {what}")),
        // What opened was sealed with the key: that it doesn't unpack is no accident of the disk.
        io::ErrorKind::InvalidData | io::ErrorKind::Other => damaged(format!("{what} can't be unpacked: {error}")),
        _ => Error::Failing { what: format!("the backup: {error}") },
    }
}

/// Says what an error of writing a part means.
fn unwritten(error: &io::Error, name: &str) -> Error {
    if let Some(page) = error.get_ref().and_then(|inner| inner.downcast_ref::<BadPage>()) {
        return damaged(page.to_string());
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Failing { what: format!("{name}, where it is unpacked: {error}") },
    }
}

impl Opened {
    /// Returns the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Opens the contents and reads the manifest.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`], which a wrong key looks like too.
    pub fn content(self, key: &DataKey) -> Result<Content> {
        let Self { header, bytes, rest } = self;
        let pieces = OpeningReader::new(rest, &header::key_of_pieces(key, &bytes), bytes.len() as u64);
        let mut stream = zstd::stream::read::Decoder::new(pieces).map_err(|e| failed(e, "its manifest"))?;
        stream.window_log_max(WINDOW).map_err(|e| failed(e, "its manifest"))?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(|e| failed(e, "its manifest"))?;
        let length = u32::from_be_bytes(length);
        if length > LONGEST_MANIFEST {
            return Err(damaged("its manifest is too long"));
        }
        let mut text = Zeroizing::new(Vec::new());
        stream.by_ref().take(length.into()).read_to_end(&mut text).map_err(|e| failed(e, "its manifest"))?;
        if text.len() != length as usize {
            return Err(damaged("it ends within its manifest"));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged("its manifest can't be read"))?;
        let base = |manifest: &Manifest| manifest.base.as_ref().map(|base| base.id.clone());
        if (&manifest.id, manifest.kind, &manifest.database) != (&header.id, header.kind, &header.database)
            || base(&manifest) != header.base.map(|base| base.id)
        {
            return Err(damaged("its manifest is another backup's"));
        }
        if !manifest.is_of_its_kind() {
            return Err(damaged("its manifest lists what a backup of its kind has not"));
        }
        Ok(Content { manifest, stream, read: 0 })
    }
}

impl Content {
    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads the next part and writes what it holds to wherever `place` says. Returns the part; `None` after the last one,
    /// when nothing follows any more.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`] names the part; what was written by then is to be thrown away. Those of `place` and of
    /// writing are the caller's own.
    pub fn next<W: Write>(&mut self, place: impl FnOnce(&Part) -> Result<W>) -> Result<Option<(Part, W)>> {
        let Some(part) = self.manifest.parts.get(self.read).cloned() else {
            let more = self.stream.read(&mut [0]).map_err(|e| failed(e, "what follows on its parts"))?;
            return if more == 0 { Ok(None) } else { Err(damaged("something follows on its last part")) };
        };
        let mut to = place(&part)?;
        let name = part.what.to_string();
        let mut hash = Sha256::new();
        let mut buffer = Zeroizing::new(vec![0; 1 << 16]);
        let mut left = part.length;
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read = match self.stream.read(&mut buffer[..most]) {
                Ok(0) => return Err(damaged(format!("it ends within {name}"))),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(e, &name)),
            };
            hash.update(&buffer[..read]);
            to.write_all(&buffer[..read]).map_err(|e| unwritten(&e, &name))?;
            left -= read as u64;
        }
        if hex(&hash.finalize()) != part.sha256 {
            return Err(damaged(format!("{name} is not what it was")));
        }
        self.read += 1;
        Ok(Some((part, to)))
    }
}
