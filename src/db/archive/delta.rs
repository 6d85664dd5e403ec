//! The pages in which a database differs from another one: found, carried, laid onto the other.
//!
//! Each is carried as its number (4 bytes, big-endian, from 1) and the page. Numbers ascend; every page behind the end of the
//! other database is among them. Nothing is made room for ahead of the bytes, and no number is believed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};

use zeroize::Zeroizing;

use super::{Base, damaged};
use crate::db::error::{Error, Result};

#[cfg(test)]
mod tests;

/// The length of a page's number.
const NUMBER: usize = 4;

fn failed(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Failing { what: format!("the copy of the database: {source}") },
    }
}

/// Returns how long the pages of a SQLite file are, as its header says it (section 1.3.2 of its format).
fn page_size(file: &mut File) -> Result<usize> {
    let mut begin = [0; 18];
    file.read_exact(&mut begin).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    match u16::from_be_bytes([begin[16], begin[17]]) {
        1 => Ok(65_536),
        size if is_page_size(size.into()) => Ok(size.into()),
        _ => Err(Error::Damaged { what: "its pages have no length that SQLite knows".into() }),
    }
}

fn is_page_size(size: u32) -> bool {
    (512..=65_536).contains(&size) && size.is_power_of_two()
}

/// The pages in which a database differs from another one, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// How long a page is.
    page_size: usize,
    /// How many pages the database has.
    pages: u32,
    /// Those that differ, in ascending order.
    numbers: Vec<u32>,
}

impl Delta {
    /// Returns how long a page is, in bytes.
    pub fn page_size(&self) -> u32 {
        self.page_size as u32 // at most 65536
    }

    /// Returns how many pages the database has.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Returns how many of them differ.
    pub fn differing(&self) -> usize {
        self.numbers.len()
    }

    /// Gives out the pages that differ, of the database that was compared.
    pub fn read(&self, database: File) -> Carried<'_> {
        Carried { delta: self, database, next: 0, page: Zeroizing::new(Vec::new()), given: 0 }
    }
}

/// Compares a database with another one, whose bytes are written to it from the first to the last.
pub struct Comparison {
    own: BufReader<File>,
    delta: Delta,
    /// How many pages have been compared.
    compared: u32,
    /// What has come of the other one's next page.
    other: Zeroizing<Vec<u8>>,
    page: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison")
            .field("delta", &self.delta)
            .field("compared", &self.compared)
            .finish_non_exhaustive()
    }
}

impl Comparison {
    /// Begins, with the file of a database that nobody writes to.
    ///
    /// # Errors
    /// When it can't be read, or is no SQLite file.
    pub fn of(mut database: File) -> Result<Self> {
        let page_size = page_size(&mut database)?;
        let length = database.metadata().map_err(failed)?.len();
        let pages = u32::try_from(length / page_size as u64).ok().filter(|_| length.is_multiple_of(page_size as u64));
        let pages = pages.ok_or_else(|| Error::Damaged { what: "it doesn't end with a page".into() })?;
        Ok(Self {
            own: BufReader::with_capacity(1 << 16, database),
            delta: Delta { page_size, pages, numbers: Vec::new() },
            compared: 0,
            other: Zeroizing::new(Vec::with_capacity(page_size)),
            page: Zeroizing::new(vec![0; page_size]),
        })
    }

    /// Ends it: what the other one has no page for differs.
    pub fn finish(self) -> Delta {
        let mut delta = self.delta;
        delta.numbers.extend(self.compared + 1..=delta.pages);
        delta
    }

    fn compare(&mut self) -> io::Result<()> {
        if self.compared < self.delta.pages {
            self.own.read_exact(&mut self.page)?;
            self.compared += 1;
            if self.page != self.other {
                self.delta.numbers.push(self.compared);
            }
        }
        self.other.clear();
        Ok(())
    }
}

impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.delta.page_size - self.other.len());
        self.other.extend_from_slice(&bytes[..taken]);
        if self.other.len() == self.delta.page_size {
            self.compare()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The pages that differ, with their numbers, as they are carried.
pub struct Carried<'d> {
    delta: &'d Delta,
    database: File,
    /// How many have been read.
    next: usize,
    page: Zeroizing<Vec<u8>>,
    given: usize,
}

impl fmt::Debug for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Carried<'_> {
    fn take(&mut self, number: u32) -> io::Result<()> {
        let size = self.delta.page_size;
        self.page.clear();
        self.page.extend_from_slice(&number.to_be_bytes());
        self.page.resize(NUMBER + size, 0);
        self.database.seek(SeekFrom::Start(u64::from(number - 1) * size as u64))?;
        self.database.read_exact(&mut self.page[NUMBER..])
    }
}

impl Read for Carried<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.given == self.page.len() {
            let Some(number) = self.delta.numbers.get(self.next).copied() else { return Ok(0) };
            self.take(number)?;
            (self.next, self.given) = (self.next + 1, 0);
        }
        let rest = &self.page[self.given..];
        let taken = rest.len().min(to.len());
        to[..taken].copy_from_slice(&rest[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

/// Why a page can't be laid onto a database, as an error of writing.
#[derive(Debug)]
pub(super) struct BadPage(&'static str);

impl fmt::Display for BadPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadPage {}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, BadPage(what))
}

/// Lays pages onto the file of a database, as they come.
pub struct Laying {
    file: File,
    page_size: usize,
    /// How many pages there are going to be.
    pages: u32,
    /// The length of the file so far, in bytes.
    length: u64,
    /// The number of the last page that was laid.
    last: u32,
    waiting: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Laying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Laying").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Laying {
    /// Begins, with a file that has the base's database in it.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`] when the manifest says what can't be; when the file can't be read.
    pub fn onto(file: File, base: &Base) -> Result<Self> {
        if !is_page_size(base.page_size) || base.pages == 0 {
            return Err(damaged("its manifest says that its pages have a length that none has"));
        }
        let (page_size, length) = (base.page_size as usize, file.metadata().map_err(failed)?.len());
        let waiting = Zeroizing::new(Vec::with_capacity(NUMBER + page_size));
        Ok(Self { file, page_size, pages: base.pages, length, last: 0, waiting })
    }

    /// Ends it: what the base had behind the last page goes.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`] when something is missing; [`Error::DiskFull`] and what else writing says.
    pub fn finish(self) -> Result<()> {
        let length = u64::from(self.pages) * self.page_size as u64;
        if !self.waiting.is_empty() {
            return Err(damaged("its last page is cut off"));
        }
        if self.length < length {
            return Err(damaged("a page behind the end of its base is missing"));
        }
        self.file.set_len(length).map_err(failed)
    }

    fn lay(&mut self) -> io::Result<()> {
        let (number, page) = self.waiting.split_at(NUMBER);
        let number = u32::from_be_bytes(number.try_into().map_err(|_| bad("a page has no number"))?);
        if number <= self.last {
            return Err(bad("its pages aren't in order"));
        }
        if number > self.pages {
            return Err(bad("it has a page behind the last one"));
        }
        let at = u64::from(number - 1) * self.page_size as u64;
        if at > self.length {
            return Err(bad("a page behind the end of its base is missing"));
        }
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(page)?;
        self.length = self.length.max(at + self.page_size as u64);
        self.last = number;
        self.waiting.clear();
        Ok(())
    }
}

impl Write for Laying {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(NUMBER + self.page_size - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        if self.waiting.len() == NUMBER + self.page_size {
            self.lay()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
