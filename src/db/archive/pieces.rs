//! The pieces of a backup as a stream of bytes that is written and read.

use std::fmt;
use std::io::{self, Read, Write};

use wg_friend_crypt::DataKey;
use wg_friend_crypt::stream::{PIECE, Pieces, TAG};
use zeroize::{Zeroize as _, Zeroizing};

/// Seals what is written and passes it on.
pub(super) struct SealingWriter<W> {
    to: W,
    pieces: Pieces,
    /// What isn't sealed yet: up to a piece, which may still turn out to be the last.
    waiting: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealingWriter<W> {
    pub(super) fn new(to: W, key: &DataKey) -> Self {
        Self { to, pieces: Pieces::new(key), waiting: Zeroizing::new(Vec::with_capacity(PIECE)) }
    }

    /// Seals the last piece and returns what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let sealed = self.pieces.seal(&self.waiting, true);
        self.to.write_all(&sealed)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() == PIECE {
            let sealed = self.pieces.seal(&self.waiting, false);
            self.to.write_all(&sealed)?;
            self.waiting.zeroize();
        }
        let taken = bytes.len().min(PIECE - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A piece that doesn't open, as an error of reading.
#[derive(Debug)]
pub(super) struct BadPiece {
    /// Its number, from 0.
    pub(super) number: u64,
    /// Where it begins in the file, in bytes.
    pub(super) offset: u64,
}

impl fmt::Display for BadPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, offset } = self;
        write!(
            f,
            "piece {} at byte {offset} does not open: it was changed, cut off or put there from elsewhere",
            number + 1
        )
    }
}

impl std::error::Error for BadPiece {}

/// Opens pieces and gives out what they hold.
pub(super) struct OpeningReader<R> {
    from: R,
    pieces: Pieces,
    /// Where the next piece begins in the file.
    offset: u64,
    /// The first byte of the next piece, which was read to see whether there is one.
    ahead: Option<u8>,
    open: Zeroizing<Vec<u8>>,
    given: usize,
    ended: bool,
}

impl<R: Read> OpeningReader<R> {
    /// `offset`: how many bytes of the file are before the first piece.
    pub(super) fn new(from: R, key: &DataKey, offset: u64) -> Self {
        let open = Zeroizing::new(Vec::new());
        Self { from, pieces: Pieces::new(key), offset, ahead: None, open, given: 0, ended: false }
    }

    /// Opens the next piece.
    fn next(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(PIECE + TAG + 1);
        sealed.extend(self.ahead.take());
        let missing = PIECE + TAG + 1 - sealed.len();
        self.from.by_ref().take(missing as u64).read_to_end(&mut sealed)?;
        let last = sealed.len() <= PIECE + TAG;
        if !last {
            self.ahead = sealed.pop();
        }
        let bad = BadPiece { number: self.pieces.number(), offset: self.offset };
        self.offset += sealed.len() as u64;
        self.open = self.pieces.open(&sealed, last).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        (self.given, self.ended) = (0, last);
        Ok(())
    }
}

impl<R: Read> Read for OpeningReader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.open.len() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let rest = &self.open[self.given..];
        let taken = rest.len().min(to.len());
        to[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}
