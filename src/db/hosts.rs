//! Machines.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};

use super::error::{Error, Result};
use super::row::Cells;
use super::tx::Tx;
use super::{Database, micros};
use crate::model::{AllowUnsafe, Host, HostAddress, Name};

const COLUMNS: &str =
    "name, destination, user, port, jump, identity, become, unsafe_reason, unsafe_operator, unsafe_time,
                       auto_sync";

/// Every column but the row's own.
const ASSIGNED: &str = "name = ?1, destination = ?2, user = ?3, port = ?4, jump = ?5, identity = ?6, become = ?7,
                        unsafe_reason = ?8, unsafe_operator = ?9, unsafe_time = ?10, auto_sync = ?11";

fn read(row: &Row<'_>) -> Result<Host> {
    let cells = Cells { table: "hosts", row };
    let address = match cells.get(1)? {
        None => HostAddress::Local,
        Some(destination) => HostAddress::Ssh {
            destination,
            user: cells.get(2)?,
            port: cells.convert_some(3)?,
            jump: cells.get(4)?,
            identity: cells.get(5)?,
        },
    };
    let allow_unsafe = match cells.get::<Option<String>>(7)? {
        None => None,
        Some(reason) => Some(AllowUnsafe { reason, operator: cells.get(8)?, time: cells.time(9)? }),
    };
    Ok(Host { name: cells.parse(0)?, address, becoming: cells.parse(6)?, allow_unsafe, auto_sync: cells.parse(10)? })
}

/// Reads all hosts, ordered by name.
pub(super) fn load(conn: &Connection) -> Result<Vec<Host>> {
    Ok(load_with_rows(conn)?.into_iter().map(|(_, host)| host).collect())
}

/// Reads all hosts with their rows, ordered by name.
pub(super) fn load_with_rows(conn: &Connection) -> Result<Vec<(i64, Host)>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS}, id FROM hosts ORDER BY name"))?;
    let mut rows = statement.query([])?;
    let mut hosts = Vec::new();
    while let Some(row) = rows.next()? {
        hosts.push((Cells { table: "hosts", row }.get(11)?, read(row)?));
    }
    Ok(hosts)
}

/// Reads the rows of all hosts.
pub(super) fn load_rows(conn: &Connection) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached("SELECT id FROM hosts ORDER BY id")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Returns the row of a host, or `None` when there is none of that name (any more).
pub(super) fn row_id(conn: &Connection, name: &Name) -> Result<Option<i64>> {
    let sql = "SELECT id FROM hosts WHERE name = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([name.as_str()], |row| row.get(0)).optional()?)
}

/// Returns the row of a host that has to be there.
pub(super) fn known_row_id(conn: &Connection, name: &Name) -> Result<i64> {
    row_id(conn, name)?.ok_or_else(|| unknown(name))
}

fn unknown(name: &Name) -> Error {
    Error::NotFound { what: "host", name: name.to_string() }
}

impl Database {
    /// Reads all hosts, ordered by name.
    pub fn hosts(&self) -> Result<Vec<Host>> {
        load(&self.conn)
    }
}

impl Tx<'_> {
    /// Adds a host.
    pub fn insert_host(&self, host: &Host) -> Result<()> {
        let places = "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11";
        self.save(&format!("INSERT INTO hosts ({COLUMNS}) VALUES ({places})"), host, None).map(|_| ())
    }

    /// Replaces every field of a host, its name included; nodes and history go with it.
    pub fn update_host(&self, name: &Name, host: &Host) -> Result<()> {
        let sql = format!("UPDATE hosts SET {ASSIGNED} WHERE name = ?12");
        if self.save(&sql, host, Some(name.as_str()))? != 1 {
            return Err(unknown(name));
        }
        if host.name == *name { Ok(()) } else { self.rename_host_of_copies(name.as_str(), host.name.as_str()) }
    }

    /// Replaces every field of the host in a row.
    pub(super) fn overwrite_host(&self, row: i64, host: &Host) -> Result<()> {
        let sql = format!("UPDATE hosts SET {ASSIGNED} WHERE id = CAST(?12 AS INTEGER)");
        self.save(&sql, host, Some(&row.to_string())).map(|_| ())
    }

    /// Removes a host. Its history stays under its name.
    ///
    /// # Errors
    /// [`Error::InUse`] while nodes live on it.
    pub fn delete_host(&self, name: &Name) -> Result<()> {
        let deleted = self.transaction.execute("DELETE FROM hosts WHERE name = ?1", [name.as_str()])?;
        if deleted == 1 { Ok(()) } else { Err(unknown(name)) }
    }

    fn save(&self, sql: &str, host: &Host, replaced: Option<&str>) -> Result<usize> {
        let none = (None, None, None, None, None);
        let (destination, user, port, jump, identity) = match &host.address {
            HostAddress::Local => none,
            HostAddress::Ssh { destination, user, port, jump, identity } => {
                (Some(destination), user.as_ref(), port.map(|p| p.get()), jump.as_ref(), identity.as_ref())
            }
        };
        let unsafe_hooks = host.allow_unsafe.as_ref();
        let (name, becoming, sync) = (host.name.as_str(), host.becoming.as_str(), host.auto_sync.as_str());
        let (reason, operator) = (unsafe_hooks.map(|by| &by.reason), unsafe_hooks.map(|by| &by.operator));
        let time = unsafe_hooks.map(|by| micros(by.time));
        let columns: [&dyn ToSql; 11] =
            [&name, &destination, &user, &port, &jump, &identity, &becoming, &reason, &operator, &time, &sync];
        let replaced = replaced.as_ref().map(|old| old as &dyn ToSql);
        let values: Vec<&dyn ToSql> = columns.into_iter().chain(replaced).collect();
        Ok(self.transaction.execute(sql, values.as_slice())?)
    }
}
