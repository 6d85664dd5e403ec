//! Reading rows: every cell is parsed by its own type, and one that doesn't parse is named by table and column.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row};

use super::error::{Error, Result};

/// A row of one table.
pub(super) struct Cells<'r> {
    pub(super) table: &'static str,
    pub(super) row: &'r Row<'r>,
}

impl Cells<'_> {
    fn wrong(&self, at: usize) -> Error {
        let column = self.row.as_ref().column_name(at).unwrap_or("?").to_owned();
        Error::Value { table: self.table, column }
    }

    /// Reads what SQLite stores as it is: integers, text, bytes.
    pub(super) fn get<T: FromSql>(&self, at: usize) -> Result<T> {
        self.row.get(at).map_err(|_| self.wrong(at))
    }

    /// Reads text of a type of its own.
    pub(super) fn parse<T: FromStr>(&self, at: usize) -> Result<T> {
        let text = self.row.get_ref(at).ok().and_then(|v| v.as_str().ok());
        text.and_then(|t| t.parse().ok()).ok_or_else(|| self.wrong(at))
    }

    /// Reads text of a type of its own, or nothing.
    pub(super) fn parse_some<T: FromStr>(&self, at: usize) -> Result<Option<T>> {
        let text =
            self.row.get_ref(at).and_then(|v| v.as_str_or_null().map_err(Into::into)).map_err(|_| self.wrong(at))?;
        text.map(|t| t.parse().map_err(|_| self.wrong(at))).transpose()
    }

    /// Reads a number of a type of its own, or nothing.
    pub(super) fn convert_some<T: TryFrom<u16>>(&self, at: usize) -> Result<Option<T>> {
        let number: Option<u16> = self.get(at)?;
        number.map(|n| T::try_from(n).map_err(|_| self.wrong(at))).transpose()
    }

    /// Reads a number of a type of its own.
    pub(super) fn convert<T: TryFrom<u16>>(&self, at: usize) -> Result<T> {
        self.convert_some(at)?.ok_or_else(|| self.wrong(at))
    }

    /// Reads a JSON list of strings, or nothing.
    pub(super) fn list_some(&self, at: usize) -> Result<Option<Vec<String>>> {
        let text: Option<String> = self.get(at)?;
        text.map(|t| serde_json::from_str(&t).map_err(|_| self.wrong(at))).transpose()
    }

    /// Reads a time.
    pub(super) fn time(&self, at: usize) -> Result<DateTime<Utc>> {
        self.time_some(at)?.ok_or_else(|| self.wrong(at))
    }

    /// Reads a time, or nothing.
    pub(super) fn time_some(&self, at: usize) -> Result<Option<DateTime<Utc>>> {
        let micros: Option<i64> = self.get(at)?;
        micros.map(|m| DateTime::from_timestamp_micros(m).ok_or_else(|| self.wrong(at))).transpose()
    }
}

/// Writes a list of strings as the JSON that [`Cells::list_some`] reads.
pub(super) fn list(strings: &[String]) -> String {
    serde_json::Value::from(strings).to_string()
}

/// Hands each row of a query that is ordered by its first column to the item with that number. The items are ordered by
/// their numbers, which `number` tells, so time grows with rows and items alone.
pub(super) fn merge<T>(
    conn: &Connection,
    (items, number): (&mut [T], impl Fn(&T) -> i64),
    table: &'static str,
    sql: &str,
    mut take: impl FnMut(&mut T, &Cells<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut at = 0;
    while let Some(row) = rows.next()? {
        let cells = Cells { table, row };
        let owner: i64 = cells.get(0)?;
        while items.get(at).is_some_and(|item| number(item) < owner) {
            at += 1;
        }
        match items.get_mut(at) {
            Some(item) if number(item) == owner => take(item, &cells)?,
            _ => return Err(Error::Damaged { what: format!("{table}: a row of something that doesn't exist") }),
        }
    }
    Ok(())
}
