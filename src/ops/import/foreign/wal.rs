//! SQLite's write-ahead log: what a program that still runs, or that was killed, has written and not yet put into the
//! database's own file.
//!
//! The log is `<database>-wal`; its format is fixed (sqlite.org/fileformat2.html, section 4). Reading it here leaves both
//! files untouched, which SQLite itself can't.

/// Bytes before the first frame, and before each page.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// Puts the transactions that a log has finished into a copy of the database.
///
/// As SQLite does, it stops at the first frame that belongs to an earlier use of the log or whose checksum is wrong; a log
/// that isn't one changes nothing. `limit` is how large the database may become, in bytes: what would be larger is
/// `None`.
pub(super) fn merge(mut database: Vec<u8>, log: &[u8], limit: usize) -> Option<Vec<u8>> {
    let Some(frames) = Frames::of(log) else { return Some(database) };
    let size = frames.page;
    let committed = frames.clone().filter(|frame| frame.pages_after > 0).last();
    let Some(last) = committed else { return Some(database) };
    let total = (last.pages_after as usize).checked_mul(size).filter(|total| *total <= limit)?;
    database.resize(total.max(database.len()), 0);
    for frame in frames.take(last.index + 1) {
        let Some(start) = (frame.number as usize).checked_sub(1).and_then(|page| page.checked_mul(size)) else {
            continue;
        };
        if let Some(place) = start.checked_add(size).and_then(|end| database.get_mut(start..end)) {
            place.copy_from_slice(frame.data);
        }
    }
    database.truncate(total);
    Some(database)
}

/// A page in the log.
struct Frame<'a> {
    index: usize,
    /// Which page, counted from 1.
    number: u32,
    /// How many pages the database has after the transaction that ends here; 0 when none ends here.
    pages_after: u32,
    data: &'a [u8],
}

/// The frames of a log up to the first that doesn't count.
#[derive(Clone)]
struct Frames<'a> {
    rest: &'a [u8],
    page: usize,
    salt: &'a [u8],
    big_endian: bool,
    sums: (u32, u32),
    index: usize,
}

impl<'a> Frames<'a> {
    fn of(log: &'a [u8]) -> Option<Self> {
        let (header, rest) = log.split_at_checked(HEADER)?;
        let big_endian = match number(header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = number(header, 8) as usize;
        let known = number(header, 4) == 3_007_000 && page.is_power_of_two() && (512..=65_536).contains(&page);
        let sums = checksum((0, 0), &header[..24], big_endian);
        let right = known && sums == (number(header, 24), number(header, 28));
        right.then_some(Self { rest, page, salt: &header[16..24], big_endian, sums, index: 0 })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (header, rest) = self.rest.split_at_checked(FRAME)?;
        let (data, rest) = rest.split_at_checked(self.page)?;
        let sums = checksum(checksum(self.sums, &header[..8], self.big_endian), data, self.big_endian);
        if &header[8..16] != self.salt || sums != (number(header, 16), number(header, 20)) {
            return None;
        }
        let frame = Frame { index: self.index, number: number(header, 0), pages_after: number(header, 4), data };
        (self.rest, self.sums, self.index) = (rest, sums, self.index + 1);
        Some(frame)
    }
}

/// Reads four bytes, the highest first; 0 beyond the end.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Adds bytes, a multiple of eight, to the log's running checksum.
fn checksum((mut a, mut b): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |four: &[u8]| {
        let value = number(four, 0);
        if big_endian { value } else { value.swap_bytes() }
    };
    for eight in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&eight[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&eight[4..])).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with a log, as a program leaves them that is still running: the files' bytes.
    fn running() -> (Vec<u8>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x TEXT);
                     PRAGMA wal_checkpoint(TRUNCATE);";
        connection.execute_batch(setup).unwrap();
        for row in 0..200 {
            connection.execute("INSERT INTO t VALUES (?1)", [format!("row {row} {}", "x".repeat(100))]).unwrap();
        }
        (std::fs::read(&path).unwrap(), std::fs::read(path.with_file_name("a.db-wal")).unwrap())
    }

    fn rows(bytes: &[u8]) -> i64 {
        let mut bytes = bytes.to_vec();
        (bytes[18], bytes[19]) = (1, 1); // no longer with a log
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.deserialize_read_exact(c"main", bytes.as_slice(), bytes.len(), true).unwrap();
        connection.query_one("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_a_running_program_has_written_is_seen() {
        let (database, log) = running();
        assert_eq!(rows(&database), 0);
        assert_eq!(rows(&merge(database.clone(), &log, 1 << 20).unwrap()), 200);
        assert!(merge(database, &log, 4096).is_none(), "larger than allowed");
    }

    #[test]
    fn a_log_that_was_cut_off_or_changed_counts_up_to_the_last_whole_transaction() {
        let (database, log) = running();
        let cut = merge(database.clone(), &log[..log.len() - 1], 1 << 20).unwrap();
        assert_eq!(rows(&cut), 199);
        let mut changed = log.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        let read = rows(&merge(database.clone(), &changed, 1 << 20).unwrap());
        assert!((50..150).contains(&read), "{read}");
        for nonsense in [&b""[..], b"7", &[0; 64], &log[1..]] {
            assert_eq!(merge(database.clone(), nonsense, 1 << 20).unwrap(), database);
        }
    }
}
