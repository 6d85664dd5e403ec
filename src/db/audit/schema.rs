//! The file's schema: what the migrations make, and nothing besides.
//!
//! A trigger in the file runs within what wg-friend itself does. One that somebody put there could take an entry out of the
//! log as it is written and put the old tail back, and the log would still be in order. So nothing is written into a file
//! that holds anything else than the migrations made; and what they made and is gone, `audit verify` tells.

use std::fmt;
use std::sync::OnceLock;

use rusqlite::{Connection, Row};
use serde::Serialize;

use super::Problem;
use crate::db::error::{Error, Result};
use crate::db::migrate;

/// What was done to an object of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alteration {
    /// wg-friend never made it.
    Added,
    /// It isn't as wg-friend made it.
    Changed,
    /// wg-friend made it, and it is gone.
    Removed,
}

impl fmt::Display for Alteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "added to",
            Self::Changed => "changed in",
            Self::Removed => "removed from",
        })
    }
}

/// A table, index, trigger or view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

impl Object {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |at| {
            let bytes = row.get_ref(at)?.as_bytes_or_null()?.unwrap_or_default();
            Ok::<_, rusqlite::Error>(String::from_utf8_lossy(bytes).into_owned())
        };
        Ok(Self { kind: text(0)?, name: text(1)?, table: text(2)?, sql: plain(&text(3)?) })
    }

    fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.name) == (&other.kind, &other.name)
    }

    fn problem(&self, alteration: Alteration) -> Problem {
        Problem::Schema { object: format!("{} `{}`", self.kind.escape_debug(), self.name.escape_debug()), alteration }
    }
}

/// Takes comments and line breaks out of a statement: a step of the migrations may come to say the same in other words.
fn plain(sql: &str) -> String {
    let mut plain = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (length, kept) = if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), " ")
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |at| at + 2), " ")
        } else if first.is_ascii_whitespace() {
            (1, " ")
        } else {
            let quoted = match first {
                '\'' | '"' | '`' => rest[1..].find(first),
                '[' => rest.find(']').map(|at| at - 1),
                _ => None,
            };
            let length = quoted.map_or(first.len_utf8(), |at| at + 2);
            (length, &rest[..length])
        };
        if kept != " " || !plain.ends_with(' ') {
            plain.push_str(kept);
        }
        rest = &rest[length..];
    }
    plain
}

/// Reads the schema of the file, in order. Temporary objects are the connection's own and aren't among them.
fn objects(conn: &Connection) -> Result<Vec<Object>> {
    let mut statement = conn.prepare("SELECT type, name, tbl_name, sql FROM main.sqlite_schema")?;
    let mut objects = statement.query_map([], Object::read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    objects.sort();
    Ok(objects)
}

/// Returns what the migrations make.
fn made() -> Result<&'static [Object]> {
    static MADE: OnceLock<Vec<Object>> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made);
    }
    let mut conn = Connection::open_in_memory()?;
    migrate::create(&mut conn)?;
    let made = objects(&conn)?;
    Ok(MADE.get_or_init(|| made))
}

/// Returns the first object that is there and shouldn't be.
fn foreign(found: &[Object], made: &[Object]) -> Option<Problem> {
    let twice = found.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].problem(Alteration::Added));
    let other = found.iter().find(|object| made.binary_search(object).is_err()).map(|object| {
        let known = made.iter().any(|made| made.is(object));
        object.problem(if known { Alteration::Changed } else { Alteration::Added })
    });
    other.or(twice)
}

/// Compares the schema of the file with what the migrations make.
pub(super) fn problem(conn: &Connection) -> Result<Option<Problem>> {
    let (found, made) = (objects(conn)?, made()?);
    let gone = || made.iter().find(|made| !found.iter().any(|object| object.is(made)));
    Ok(foreign(&found, made).or_else(|| gone().map(|object| object.problem(Alteration::Removed))))
}

/// Refuses to go on in a file whose schema could keep an entry out of the log. What is merely gone doesn't: a guard against
/// accidents, or an index.
///
/// # Errors
/// [`Error::Tampered`], with the object's name.
pub(in crate::db) fn demand_own(conn: &Connection) -> Result<()> {
    let Some(problem) = foreign(&objects(conn)?, made()?) else { return Ok(()) };
    let newest: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))?;
    Err(Error::Tampered { entry: newest.saturating_add(1), problem: problem.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_line_breaks_are_not_of_the_statement() {
        let told = "CREATE TABLE t (\n  x TEXT, -- what's this\n  y /* \"z */ TEXT DEFAULT '--  a', [ b] TEXT\n)";
        assert_eq!(plain(told), "CREATE TABLE t ( x TEXT, y TEXT DEFAULT '--  a', [ b] TEXT )");
        assert_ne!(plain("SELECT 'a  b'"), plain("SELECT 'a b'"));
        assert_eq!(plain("SELECT 'it''s' -- x"), "SELECT 'it''s' ");
    }

    #[test]
    fn a_database_that_came_all_the_way_from_the_first_schema_is_as_one_that_is_new() {
        let mut conn = Connection::open_in_memory().unwrap();
        for version in 1..=migrate::latest() {
            migrate::MIGRATIONS.to_version(&mut conn, version).unwrap();
        }
        assert_eq!(problem(&conn).unwrap(), None);
        conn.execute_batch("VACUUM").unwrap();
        assert_eq!(problem(&conn).unwrap(), None);
        demand_own(&conn).unwrap();
    }

    #[test]
    fn whatever_is_put_into_the_schema_is_named() {
        for (sql, object, alteration) in [
            ("CREATE TABLE zz (x)", "table `zz`", Alteration::Added),
            ("CREATE VIEW zz AS SELECT 1", "view `zz`", Alteration::Added),
            ("CREATE INDEX zz ON audit (id) WHERE id <> 5", "index `zz`", Alteration::Added),
            ("CREATE TRIGGER zz BEFORE INSERT ON audit BEGIN SELECT 1; END", "trigger `zz`", Alteration::Added),
            ("ALTER TABLE audit ADD COLUMN zz TEXT", "table `audit`", Alteration::Changed),
            (
                "DROP TRIGGER audit_no_delete; CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT 1; END",
                "trigger `audit_no_delete`",
                Alteration::Changed,
            ),
            ("DROP TRIGGER audit_no_delete", "trigger `audit_no_delete`", Alteration::Removed),
            ("DROP INDEX audit_time", "index `audit_time`", Alteration::Removed),
        ] {
            let mut conn = Connection::open_in_memory().unwrap();
            migrate::create(&mut conn).unwrap();
            conn.execute_batch(sql).unwrap();
            assert_eq!(problem(&conn).unwrap(), Some(Problem::Schema { object: object.into(), alteration }), "{sql}");
            assert_eq!(demand_own(&conn).is_ok(), alteration == Alteration::Removed, "{sql}");
        }
    }
}
