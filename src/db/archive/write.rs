//! Writing a backup, from the manifest to the last part.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};
use wg_friend_crypt::DataKey;
use zeroize::Zeroizing;

use super::pieces::SealingWriter;
use super::{Header, Manifest, damaged, header, hex};
use crate::db::error::{Error, Result};

/// How hard Zstandard tries: its own middle.
const LEVEL: i32 = 3;

/// A backup that is being written.
pub struct Writer<W: Write> {
    stream: zstd::stream::write::Encoder<'static, SealingWriter<W>>,
    manifest: Manifest,
    /// How many parts have been written.
    written: usize,
}

impl<W: Write> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("id", &self.manifest.id).field("written", &self.written).finish_non_exhaustive()
    }
}

fn failed(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Failing { what: format!("the backup: {source}") },
    }
}

impl<W: Write> Writer<W> {
    /// Begins: the header, and the manifest of all that is going to follow.
    ///
    /// # Errors
    /// [`Error::DiskFull`] and what else writing says.
    pub fn begin(mut to: W, header: &Header, key: &DataKey, manifest: Manifest) -> Result<Self> {
        let bytes = header.bytes()?;
        to.write_all(&bytes).map_err(failed)?;
        let pieces = SealingWriter::new(to, &header::key_of_pieces(key, &bytes));
        let mut stream = zstd::stream::write::Encoder::new(pieces, LEVEL).map_err(failed)?;
        let text = Zeroizing::new(serde_json::to_vec(&manifest).map_err(|e| damaged(e.to_string()))?);
        let length = u32::try_from(text.len()).map_err(|_| damaged("its manifest would be too long"))?;
        stream.write_all(&length.to_be_bytes()).and_then(|()| stream.write_all(&text)).map_err(failed)?;
        Ok(Self { stream, manifest, written: 0 })
    }

    /// Writes the next part.
    ///
    /// # Errors
    /// When it isn't what the manifest says; [`Error::DiskFull`] and what else reading and writing say.
    pub fn part(&mut self, content: &mut dyn Read) -> Result<()> {
        let part =
            self.manifest.parts.get(self.written).ok_or(Error::Refused("a part that the manifest doesn't list"))?;
        let mut hash = Sha256::new();
        let mut buffer = Zeroizing::new(vec![0; 1 << 16]);
        let mut length = 0;
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::Failing { what: format!("{}: {e}", part.what) }),
            };
            hash.update(&buffer[..read]);
            length += read as u64;
            self.stream.write_all(&buffer[..read]).map_err(failed)?;
        }
        if length != part.length || hex(&hash.finalize()) != part.sha256 {
            return Err(damaged(format!("{} changed while it was written", part.what)));
        }
        self.written += 1;
        Ok(())
    }

    /// Ends it, and returns what was written to.
    ///
    /// # Errors
    /// When parts are missing; [`Error::DiskFull`] and what else writing says.
    pub fn finish(self) -> Result<W> {
        if self.written != self.manifest.parts.len() {
            return Err(Error::Refused("a backup without all its parts"));
        }
        self.stream.finish().and_then(SealingWriter::finish).map_err(failed)
    }
}
