//! Walking the log, first entry to last: one thread reads what another one checks.
//!
//! A log of a million entries is some hundred megabytes: reading and hashing them take about as long as each other.

use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use rusqlite::{Connection, Row, Rows};
use wg_friend_crypt::merkle::{self, Frontier};
use wg_friend_crypt::{DataKey, MacKey};

use super::tail::Tail;
use super::verify::{Checkpoints, Finding, Problem, Verification};
use super::{COLUMNS, Canonical, GENESIS, Hash, audit_key};
use crate::db::error::{Error, Result};
use crate::db::row::Cells;

/// How many bytes are hashed at most to find out with what number an entry was written.
const SEARCH: i64 = 512 << 20;

/// How many rows are handed over at once, and how many such batches may wait: as much as some megabytes.
const ROWS: usize = 1024;
const WAITING: usize = 4;

/// A batch ends with the row that brings it over so many bytes: an entry may be of any length.
const BYTES: usize = 1 << 20;

/// What verifying reads of a row, borrowed from it.
pub(super) struct Stored<'r> {
    pub(super) canonical: Canonical<'r>,
    pub(super) previous: &'r [u8],
    hash: &'r [u8],
    mac: &'r [u8],
}

impl<'r> Stored<'r> {
    pub(super) fn read(row: &'r Row<'_>) -> Result<Self> {
        let cells = Cells { table: "audit", row };
        let wrong = |at| move |_| Error::Value { table: "audit", column: format!("{at}") };
        let mut texts = [None; 10];
        for (at, text) in (2..).zip(&mut texts) {
            *text = row.get_ref(at)?.as_str_or_null().map_err(wrong(at))?;
        }
        let blob = |at| row.get_ref(at)?.as_blob().map_err(wrong(at));
        let canonical = Canonical { id: cells.get(0)?, time: cells.get(1)?, texts };
        Ok(Self { canonical, previous: blob(12)?, hash: blob(13)?, mac: blob(14)? })
    }

    /// Whether its fields give its hash.
    pub(super) fn is_hashed(&self) -> bool {
        self.is_hashed_as(self.canonical.id, &mut Vec::new())
    }

    /// Whether its fields, with this number, give its hash.
    fn is_hashed_as(&self, id: i64, buffer: &mut Vec<u8>) -> bool {
        self.canonical.hash_in(buffer, self.previous, id)[..] == *self.hash
    }
}

/// Rows that have been read, in one piece of memory.
#[derive(Default)]
struct Batch {
    rows: Vec<Kept>,
    texts: String,
    hashes: Vec<u8>,
}

/// A row of a batch: where its texts and hashes are.
struct Kept {
    id: i64,
    /// `None` if a cell can't be read.
    cells: Option<Places>,
}

struct Places {
    time: i64,
    texts: [Option<Range<usize>>; 10],
    previous: Range<usize>,
    hash: Range<usize>,
    mac: Range<usize>,
}

impl Batch {
    fn clear(&mut self) {
        self.rows.clear();
        self.texts.clear();
        self.hashes.clear();
    }

    /// Reads rows until it is full; whether there may be more.
    fn fill(&mut self, rows: &mut Rows<'_>) -> Result<bool> {
        while self.rows.len() < ROWS && self.texts.len() + self.hashes.len() < BYTES {
            let Some(row) = rows.next()? else { return Ok(false) };
            let id = Cells { table: "audit", row }.get(0)?;
            let cells = Stored::read(row).ok().map(|stored| self.keep(&stored));
            self.rows.push(Kept { id, cells });
        }
        Ok(true)
    }

    fn keep(&mut self, stored: &Stored<'_>) -> Places {
        let texts = stored.canonical.texts.map(|text| {
            text.map(|text| {
                let start = self.texts.len();
                self.texts.push_str(text);
                start..self.texts.len()
            })
        });
        let mut keep = |bytes: &[u8]| {
            let start = self.hashes.len();
            self.hashes.extend_from_slice(bytes);
            start..self.hashes.len()
        };
        let (previous, hash, mac) = (keep(stored.previous), keep(stored.hash), keep(stored.mac));
        Places { time: stored.canonical.time, texts, previous, hash, mac }
    }

    /// Returns a row as it was read; `None` if a cell couldn't be.
    fn stored(&self, at: usize) -> Option<Stored<'_>> {
        let Kept { id, cells } = &self.rows[at];
        let Places { time, texts, previous, hash, mac } = cells.as_ref()?;
        let texts = texts.each_ref().map(|text| text.clone().map(|text| &self.texts[text]));
        let bytes = |range: &Range<usize>| &self.hashes[range.clone()];
        let canonical = Canonical { id: *id, time: *time, texts };
        Some(Stored { canonical, previous: bytes(previous), hash: bytes(hash), mac: bytes(mac) })
    }
}

/// Why a walk ends before the log does.
enum Stop {
    /// This is wrong.
    Found(Finding),
    /// The fields of this row of the batch don't give its hash: it was edited, or written with another number.
    Unhashed(usize),
}

/// A walk over the log, and how far it has come.
struct Walk<'w> {
    key: Option<MacKey>,
    end: Option<i64>,
    checkpoints: &'w Checkpoints,
    good: i64,
    previous: Hash,
    tree: Frontier,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    /// Checks the rows of a batch, in their order.
    fn take(&mut self, batch: &Batch) -> Option<Stop> {
        (0..batch.rows.len()).find_map(|at| self.step(batch, at))
    }

    fn step(&mut self, batch: &Batch, at: usize) -> Option<Stop> {
        let (good, id) = (self.good, batch.rows[at].id);
        let found = |entry, problem| Some(Stop::Found(Finding { entry, problem }));
        if let Some(end) = self.end.filter(|end| good == *end && id > good) {
            return found(id, Problem::Appended { end });
        }
        if id > good + 1 {
            return found(good + 1, Problem::Deleted);
        }
        let Some(stored) = batch.stored(at) else { return found(id, Problem::Edited) };
        if !stored.is_hashed_as(id, &mut self.buffer) {
            return Some(Stop::Unhashed(at));
        }
        if self.key.as_ref().is_some_and(|key| key.mac(stored.hash)[..] != *stored.mac) {
            return found(id, Problem::Forged);
        }
        if *stored.previous != self.previous {
            return found(id, Problem::Unlinked);
        }
        self.previous.copy_from_slice(stored.hash); // 32 bytes: it equals a hash that was just computed
        self.tree.push(merkle::leaf(&self.previous));
        if self.checkpoints.bad.is_none()
            && let Some(problem) = self.checkpoints.problem(&self.tree)
        {
            return found(id, problem);
        }
        self.good = id;
        None
    }

    /// Takes batches until there are no more, or something is wrong: then also that batch. Gives them back to be filled again.
    fn take_all(mut self, read: &Receiver<Batch>, emptied: &Sender<Batch>) -> (Self, Option<(Stop, Batch)>) {
        while let Ok(mut batch) = read.recv() {
            if let Some(stop) = self.take(&batch) {
                return (self, Some((stop, batch)));
            }
            batch.clear();
            let _ = emptied.send(batch); // nobody takes it any more: all has been read
        }
        (self, None)
    }
}

/// Reads rows as long as there are any and somebody takes them.
fn read_all(rows: &mut Rows<'_>, first: Batch, read: &SyncSender<Batch>, emptied: &Receiver<Batch>) -> Result<()> {
    let (mut batch, mut more) = (first, true);
    while read.send(batch).is_ok() && more {
        batch = emptied.try_recv().unwrap_or_default();
        more = batch.fill(rows)?;
    }
    Ok(())
}

/// Walks the log once, and compares its end with the tail, or with what the checkpoints say.
pub(super) fn walk(
    conn: &Connection,
    key: Option<&DataKey>,
    tail: Option<&Tail>,
    checkpoints: &Checkpoints,
) -> Result<Verification> {
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM audit NOT INDEXED ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut walk = Walk {
        key: key.map(|key| MacKey::new(&audit_key(key))),
        end: tail.map(|tail| tail.id),
        checkpoints,
        good: 0,
        previous: GENESIS,
        tree: Frontier::default(),
        buffer: Vec::with_capacity(512),
    };
    let mut first = Batch::default();
    let more = first.fill(&mut rows)?;
    let (stop, walk) = if more {
        let (stop, ended, was_read) = std::thread::scope(|scope| {
            let (read, to_check) = mpsc::sync_channel(WAITING);
            let (empty, emptied) = mpsc::channel();
            let checking = scope.spawn(move || walk.take_all(&to_check, &empty));
            let was_read = read_all(&mut rows, first, &read, &emptied);
            drop(read);
            let (walk, stop) = checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (stop, walk, was_read)
        });
        if stop.is_none() {
            was_read?; // what is wrong before comes first
        }
        (stop, ended)
    } else {
        let stop = walk.take(&first);
        (stop.map(|stop| (stop, first)), walk)
    };
    let Walk { good, previous, .. } = walk;
    let whole = Verification { good, authenticated: key.is_some(), checkpoints: checkpoints.list.len(), bad: None };
    let bad = |good, entry, problem| Verification { good, bad: Some(Finding { entry, problem }), ..whole.clone() };
    match stop {
        None => {}
        Some((Stop::Found(found), _)) => return Ok(bad(good, found.entry, found.problem)),
        Some((Stop::Unhashed(at), batch)) => {
            let (id, problem) = (batch.rows[at].id, written_as(conn, tail, &batch, at)?);
            return Ok(bad(good, id, problem));
        }
    }
    // Without the tail, the last checkpoint tells of how many entries there were at least.
    let end = tail.map_or(if checkpoints.bad.is_none() { checkpoints.covered() } else { 0 }, |tail| tail.id);
    if good < end {
        return Ok(bad(good, good + 1, Problem::Truncated { end }));
    }
    match tail {
        Some(tail) if previous != tail.hash => Ok(bad(good - 1, good, Problem::Replaced)),
        _ => Ok(whole),
    }
}

/// Finds out whether a row whose fields don't give its hash was written with another number.
fn written_as(conn: &Connection, tail: Option<&Tail>, batch: &Batch, at: usize) -> Result<Problem> {
    let Some(stored) = batch.stored(at) else { return Ok(Problem::Edited) };
    // Not the greatest number, which somebody may have chosen so that no search ends.
    let count: i64 = conn.query_row("SELECT count(*) FROM audit NOT INDEXED", [], |row| row.get(0))?;
    // A removed entry may have left its content under another number, so look a little beyond the newest.
    let last = count.max(tail.map_or(0, |tail| tail.id)).saturating_add(1);
    let tries = SEARCH / stored.canonical.length().max(1);
    let mut buffer = Vec::new();
    Ok(match (1..=last.min(tries)).find(|other| stored.is_hashed_as(*other, &mut buffer)) {
        Some(written_as) => Problem::Reordered { written_as },
        None => Problem::Edited,
    })
}
