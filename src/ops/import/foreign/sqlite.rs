//! Databases of SQLite, read from a copy in memory.
//!
//! Nothing is opened for writing, no file is made, and a program that uses the database at the same time notices nothing.
//! The database may be anybody's: only plain tables are read, never views or virtual tables, whose definitions could do
//! anything; no query runs for long, and no value is large.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Map, Value};

use super::error::part;
use super::record::{Record, Wiped};
use super::{Around, ForeignError, wal};

/// What each file of SQLite begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// What a rollback journal begins with that is still needed.
const JOURNAL: &[u8] = &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// No database is larger, its log put in, in bytes.
const SIZE: usize = 64 << 20;
/// No table that matters has more rows.
const ROWS: usize = 100_000;
/// No table has more text, in bytes: rows of a forged database may share theirs.
const TEXT: usize = 128 << 20;
/// No value is larger, in bytes.
const VALUE: i32 = 1 << 20;
/// Steps of SQLite's machine after which a query is given up: some seconds.
const STEPS: usize = 300_000_000;
const STRIDE: i32 = 10_000;

/// Whether the file is a database of SQLite.
pub(super) fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A database as it was when it was read.
pub(super) struct Database {
    path: PathBuf,
    format: &'static str,
    connection: Connection,
    tables: BTreeSet<String>,
}

/// The rows of a table.
pub(super) struct Rows<'a> {
    path: &'a Path,
    table: String,
    rows: Vec<Wiped>,
}

impl Rows<'_> {
    /// The rows, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.rows.iter().zip(1..).map(|(row, number)| {
            let place = format!("table {}, row {number}", part(&self.table));
            Record::row(self.path, place, row.0.as_object().unwrap_or(&EMPTY))
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Database {
    /// Reads a database with its log, if it has one.
    ///
    /// # Errors
    /// It is none, it is damaged, or the program that uses it was killed in the middle of a change.
    pub(super) fn read(path: &Path, format: &'static str, around: &dyn Around) -> Result<Self, ForeignError> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            around.read(Path::new(&name))
        };
        let bytes = around.read(path)?.ok_or_else(|| ForeignError::missing(path, "there is no such file"))?;
        if beside("-journal")?.is_some_and(|journal| journal.starts_with(JOURNAL)) {
            let what = "a change of this database was never finished (its -journal is still there): start the program \
                        that it belongs to, stop it, and import then";
            return Err(ForeignError::missing(path, what));
        }
        let mut bytes = match beside("-wal")? {
            Some(log) => {
                let (limit, found) = (SIZE as u64, log.len() as u64);
                let too_large = || ForeignError::TooLarge { file: path.to_owned(), what: "bytes", found, limit };
                wal::merge(bytes.to_vec(), &log, SIZE).map(zeroize::Zeroizing::new).ok_or_else(too_large)?
            }
            None => bytes,
        };
        if !is_database(&bytes) || bytes.len() < 100 {
            return Err(ForeignError::format(path, format, "not a database of SQLite"));
        }
        (bytes[18], bytes[19]) = (1, 1); // its log is in it now, and in memory there can be none
        let mut database = Self {
            path: path.to_owned(),
            format,
            connection: Connection::open_in_memory().map_err(|error| ForeignError::format(path, format, error))?,
            tables: BTreeSet::new(),
        };
        database.open(&bytes).map_err(|error| database.damaged(&error))?;
        Ok(database)
    }

    fn open(&mut self, bytes: &[u8]) -> rusqlite::Result<()> {
        let connection = &mut self.connection;
        connection.deserialize_read_exact(c"main", bytes, bytes.len(), true)?;
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;")?;
        connection.set_limit(rusqlite::limits::Limit::SQLITE_LIMIT_LENGTH, VALUE)?;
        let mut steps = 0;
        connection.progress_handler(
            STRIDE,
            Some(move || {
                steps += STRIDE as usize;
                steps > STEPS
            }),
        )?;
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                     AND sql NOT LIKE '%CREATE VIRTUAL%' LIMIT 10000";
        let mut statement = connection.prepare(sql)?;
        self.tables = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn damaged(&self, error: &rusqlite::Error) -> ForeignError {
        // SQLite's words name tables and columns, never a value.
        let reason = match error {
            rusqlite::Error::SqliteFailure(failure, _) => failure.to_string(),
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
                "a name that is no text".to_owned()
            }
            _ => "the database is damaged".to_owned(),
        };
        ForeignError::format(&self.path, self.format, reason)
    }

    /// Its tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(String::as_str)
    }

    /// Whether it has this table.
    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// The columns of a table; none when there is no such table.
    pub(super) fn columns(&self, table: &str) -> Result<BTreeSet<String>, ForeignError> {
        if !self.has(table) {
            return Ok(BTreeSet::new());
        }
        self.names(table).map_err(|error| self.damaged(&error))
    }

    /// The names of a table's columns. A statement's own names won't do: rusqlite panics at one that is no UTF-8.
    fn names(&self, table: &str) -> rusqlite::Result<BTreeSet<String>> {
        let mut statement = self.connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect()
    }

    /// All rows of a table; none when there is no such table.
    ///
    /// # Errors
    /// There are more than 100,000, or more text than 128 MiB, or the table is damaged.
    pub(super) fn rows(&self, table: &str) -> Result<Rows<'_>, ForeignError> {
        let (mut rows, mut text) = (Vec::new(), 0);
        if self.has(table) {
            text = self.each(table, |row| rows.push(row)).map_err(|error| self.damaged(&error))?;
        }
        let too_large = |what, found: usize, limit: usize| {
            let (file, found, limit) = (self.path.clone(), found as u64, limit as u64);
            Err(ForeignError::TooLarge { file, what, found, limit })
        };
        if text > TEXT {
            return too_large("bytes in a table", text, TEXT);
        }
        if rows.len() > ROWS {
            return too_large("rows in a table", rows.len(), ROWS);
        }
        Ok(Rows { path: &self.path, table: table.to_owned(), rows })
    }

    /// Hands over each row and returns how many bytes of text were in them; stops where that is too many.
    fn each(&self, table: &str, mut take: impl FnMut(Wiped)) -> rusqlite::Result<usize> {
        let mut text = 0;
        let names = self.names(table)?;
        let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let sql = format!("SELECT {} FROM {} LIMIT {}", columns.join(", "), quoted(table), ROWS + 1);
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut fields = Map::new();
            for (at, name) in names.iter().enumerate() {
                let value = json(row.get_ref(at)?);
                text += value.as_str().map_or(0, str::len);
                fields.insert(name.clone(), value);
            }
            take(Wiped(Value::Object(fields)));
            if text > TEXT {
                break;
            }
        }
        Ok(text)
    }

    /// One value as bytes: the first row's.
    pub(super) fn blob(&self, table: &str, column: &str) -> Result<Option<Vec<u8>>, ForeignError> {
        if !self.columns(table)?.contains(column) {
            return Ok(None);
        }
        let sql = format!("SELECT {} FROM {} LIMIT 1", quoted(column), quoted(table));
        let read = self
            .connection
            .query_row(&sql, [], |row| row.get_ref(0)?.as_bytes().map(<[u8]>::to_vec).map_err(Into::into));
        read.optional().map_err(|error| self.damaged(&error))
    }

    /// Which of its tables, beside those that are known, have rows.
    pub(super) fn others(&self, known: &[&str]) -> Result<Vec<String>, ForeignError> {
        let mut others = Vec::new();
        for table in self.tables().filter(|table| !known.contains(table)) {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(table));
            let some: bool =
                self.connection.query_row(&sql, [], |row| row.get(0)).map_err(|error| self.damaged(&error))?;
            if some {
                others.push(table.to_owned());
            }
        }
        Ok(others)
    }
}

/// A name in a statement, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value of SQLite as one of JSON. Bytes become a list, which no field that is read may be.
fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        // Python stores some whole numbers as floating point ones.
        ValueRef::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => (number as i64).into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => Value::Array(Vec::new()),
        },
        ValueRef::Blob(_) => Value::Array(Vec::new()),
    }
}
