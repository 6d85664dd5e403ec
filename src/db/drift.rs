//! Drift that was found on hosts, scan by scan, and what of it is acknowledged. Nothing secret.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Row, ToSql, params};
use serde::Serialize;

use super::error::{Error, Result};
use super::row::Cells;
use super::tx::Tx;
use super::{Database, Store, hosts, micros};
use crate::model::{DriftKind, InterfaceName, Name, ScanOutcome, Severity};

/// A difference between what was deployed to a host and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftItem {
    /// Names it, for as long as the same is found: eight hexadecimal digits.
    pub id: String,
    /// Which interface it is about; `None` for the host as a whole.
    pub interface: Option<InterfaceName>,
    /// What was changed.
    pub kind: DriftKind,
    /// Of what: a peer's name, a file; may be empty.
    pub subject: String,
    /// What the host has; `None` when it has nothing.
    pub found: Option<String>,
    /// What was deployed; `None` when nothing was.
    pub wanted: Option<String>,
    /// How much it matters.
    pub severity: Severity,
}

/// A look at one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// Which host.
    pub host: Name,
    /// When it began.
    pub time: DateTime<Utc>,
    /// How long the host took to answer.
    #[serde(rename = "milliseconds", serialize_with = "as_millis")]
    pub duration: Duration,
    /// How it ended.
    pub outcome: ScanOutcome,
    /// How many differences were found that nobody had acknowledged.
    pub items: usize,
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// Why nothing is known.
    pub note: Option<String>,
}

fn as_millis<S: serde::Serializer>(duration: &Duration, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_i64(millis(*duration))
}

/// A difference, with when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenItem {
    /// On which host.
    pub host: Name,
    /// What it is.
    #[serde(flatten)]
    pub item: DriftItem,
    /// When it was found first.
    pub first_seen: DateTime<Utc>,
    /// When it was found last.
    pub last_seen: DateTime<Utc>,
    /// In how many scans, one after the other.
    pub scans: usize,
    /// Whether the host's latest scan found it.
    pub present: bool,
}

/// A difference that somebody has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acknowledgement {
    /// On which host.
    pub host: Name,
    /// What it is.
    #[serde(flatten)]
    pub item: DriftItem,
    /// Why it may be so.
    pub reason: String,
    /// Who said so.
    pub operator: String,
    /// When.
    pub time: DateTime<Utc>,
    /// Until when that counts; `None` is for good.
    pub until: Option<DateTime<Utc>>,
}

impl Acknowledgement {
    /// Whether it counts at a time.
    pub fn counts_at(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The columns of an item, as [`item`] reads them.
const ITEM: &str = "item, interface, kind, subject, found, wanted, severity";

fn item(cells: &Cells<'_>, at: usize) -> Result<DriftItem> {
    Ok(DriftItem {
        id: cells.get(at)?,
        interface: cells.parse_some(at + 1)?,
        kind: cells.parse(at + 2)?,
        subject: cells.get(at + 3)?,
        found: cells.get(at + 4)?,
        wanted: cells.get(at + 5)?,
        severity: cells.parse(at + 6)?,
    })
}

fn count(cells: &Cells<'_>, at: usize) -> Result<usize> {
    cells.get::<i64>(at).map(|number| usize::try_from(number).unwrap_or(0))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Database {
    fn rows<T>(&self, sql: &str, values: &[&dyn ToSql], read: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// Lists the scans since a time, of one host or all, the newest first: of what the network has there.
    pub fn drift_scans(&self, host: Option<&Name>, since: DateTime<Utc>) -> Result<Vec<Scan>> {
        let network = self.chosen()?.0;
        let sql = "SELECT coalesce(h.name, s.host), s.time, s.duration, s.outcome, s.items, s.acknowledged, s.note
                   FROM drift_scans s LEFT JOIN hosts h ON h.id = s.host_id
                   WHERE s.time >= ?1 AND (?2 IS NULL OR coalesce(h.name, s.host) = ?2) AND s.network_id = ?3 ORDER BY s.id DESC";
        self.rows(sql, &[&micros(since), &host.map(Name::as_str), &network], |row| {
            let cells = Cells { table: "drift_scans", row };
            Ok(Scan {
                host: cells.parse(0)?,
                time: cells.time(1)?,
                duration: Duration::from_millis(cells.get::<i64>(2)?.unsigned_abs()),
                outcome: cells.parse(3)?,
                items: count(&cells, 4)?,
                acknowledged: count(&cells, 5)?,
                note: cells.get(6)?,
            })
        })
    }

    /// Lists the differences seen since a time, of one host or all, those seen last first.
    pub fn drift_items(&self, host: Option<&Name>, since: DateTime<Utc>) -> Result<Vec<SeenItem>> {
        let network = self.chosen()?.0;
        let sql = format!(
            "SELECT coalesce(h.name, i.host), i.first_seen, i.last_seen, i.scans, i.host_id IS NOT NULL AND i.last_scan =
               (SELECT max(s.id) FROM drift_scans s
                WHERE s.host_id = i.host_id AND s.network_id = i.network_id AND s.outcome != 'unknown'), {ITEM}
             FROM drift_items i LEFT JOIN hosts h ON h.id = i.host_id
             WHERE i.last_seen >= ?1 AND (?2 IS NULL OR coalesce(h.name, i.host) = ?2) AND i.network_id = ?3
             ORDER BY i.last_seen DESC, i.id"
        );
        self.rows(&sql, &[&micros(since), &host.map(Name::as_str), &network], |row| {
            let cells = Cells { table: "drift_items", row };
            Ok(SeenItem {
                host: cells.parse(0)?,
                first_seen: cells.time(1)?,
                last_seen: cells.time(2)?,
                scans: count(&cells, 3)?,
                present: cells.get(4)?,
                item: item(&cells, 5)?,
            })
        })
    }

    /// Returns what the latest scan of a host that was answered found; `None` when there was no such scan.
    pub fn latest_drift(&self, host: &Name) -> Result<Option<Vec<SeenItem>>> {
        let id = hosts::known_row_id(&self.conn, host)?;
        let network = self.chosen()?.0;
        let sql = "SELECT 1 FROM drift_scans WHERE host_id = ?1 AND network_id = ?2 AND outcome != 'unknown' LIMIT 1";
        if self.rows(sql, &[&id, &network], |_| Ok(()))?.is_empty() {
            return Ok(None);
        }
        let ever = DateTime::<Utc>::UNIX_EPOCH;
        Ok(Some(self.drift_items(Some(host), ever)?.into_iter().filter(|seen| seen.present).collect()))
    }

    /// Lists what is acknowledged, on one host or all, also what has expired.
    pub fn drift_acks(&self, host: Option<&Name>) -> Result<Vec<Acknowledgement>> {
        let network = self.chosen()?.0;
        let sql = format!(
            "SELECT h.name, reason, operator, time, until, {ITEM} FROM drift_acks a JOIN hosts h ON h.id = a.host_id
             WHERE (?1 IS NULL OR h.name = ?1) AND a.network_id = ?2 ORDER BY h.name, time, item"
        );
        self.rows(&sql, &[&host.map(Name::as_str), &network], |row| {
            let cells = Cells { table: "drift_acks", row };
            Ok(Acknowledgement {
                host: cells.parse(0)?,
                reason: cells.get(1)?,
                operator: cells.get(2)?,
                time: cells.time(3)?,
                until: cells.time_some(4)?,
                item: item(&cells, 5)?,
            })
        })
    }
}

impl Store {
    /// Writes down scans with what they found. What is older than `keep_since` is forgotten; so is each acknowledgement of
    /// what a scan that was answered no longer found.
    pub fn record_drift(&mut self, scans: &[(Scan, Vec<DriftItem>)], keep_since: DateTime<Utc>) -> Result<()> {
        self.quietly(|tx| {
            scans.iter().try_for_each(|(scan, items)| tx.record_scan(scan, items))?;
            let keep = micros(keep_since);
            tx.transaction.execute("DELETE FROM drift_scans WHERE time < ?1", [keep])?;
            tx.transaction.execute("DELETE FROM drift_items WHERE last_seen < ?1", [keep])?;
            Ok(())
        })
    }
}

impl Tx<'_> {
    fn record_scan(&self, scan: &Scan, items: &[DriftItem]) -> Result<()> {
        let (conn, time) = (&self.transaction, micros(scan.time));
        let host = hosts::known_row_id(conn, &scan.host)?;
        let network = self.chosen()?.0;
        let sql = "SELECT coalesce(max(id), 0) FROM drift_scans
                   WHERE host_id = ?1 AND network_id = ?2 AND outcome != 'unknown'";
        let before: i64 = conn.prepare_cached(sql)?.query_row([host, network], |row| row.get(0))?;
        let sql =
            "INSERT INTO drift_scans (host_id, host, time, duration, outcome, items, acknowledged, note, network_id)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        conn.prepare_cached(sql)?.execute(params![
            host,
            scan.host.as_str(),
            time,
            millis(scan.duration),
            scan.outcome.as_str(),
            number(scan.items),
            number(scan.acknowledged),
            scan.note,
            network,
        ])?;
        let id = conn.last_insert_rowid();
        if scan.outcome == ScanOutcome::Unknown {
            return Ok(());
        }
        for item in items {
            let sql = "UPDATE drift_items SET last_scan = ?1, last_seen = ?2, scans = scans + 1
                       WHERE host_id = ?3 AND item = ?4 AND last_scan = ?5";
            if conn.prepare_cached(sql)?.execute(params![id, time, host, item.id, before])? > 0 {
                continue;
            }
            let sql = "INSERT INTO drift_items (host_id, host, item, interface, kind, subject, found, wanted, severity,
                         scans, first_seen, last_seen, last_scan, network_id)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?10, ?11, ?12)";
            conn.prepare_cached(sql)?.execute(params![
                host,
                scan.host.as_str(),
                item.id,
                item.interface.as_ref().map(InterfaceName::as_str),
                item.kind.as_str(),
                item.subject,
                item.found,
                item.wanted,
                item.severity.as_str(),
                time,
                id,
                network,
            ])?;
        }
        let sql = "DELETE FROM drift_acks WHERE host_id = ?1 AND network_id = ?3
                   AND item NOT IN (SELECT item FROM drift_items WHERE host_id = ?1 AND last_scan = ?2)";
        conn.prepare_cached(sql)?.execute(params![host, id, network])?;
        Ok(())
    }

    /// Acknowledges a difference; an older acknowledgement of the same is replaced.
    pub fn acknowledge_drift(&self, ack: &Acknowledgement) -> Result<()> {
        let host = hosts::known_row_id(&self.transaction, &ack.host)?;
        let sql = "INSERT OR REPLACE INTO drift_acks (host_id, item, interface, kind, subject, found, wanted, severity,
                     reason, operator, time, until, network_id)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        self.transaction.prepare_cached(sql)?.execute(params![
            host,
            ack.item.id,
            ack.item.interface.as_ref().map(InterfaceName::as_str),
            ack.item.kind.as_str(),
            ack.item.subject,
            ack.item.found,
            ack.item.wanted,
            ack.item.severity.as_str(),
            ack.reason,
            ack.operator,
            micros(ack.time),
            ack.until.map(micros),
            self.chosen()?.0,
        ])?;
        Ok(())
    }

    /// Takes an acknowledgement back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn remove_drift_ack(&self, host: &Name, item: &str) -> Result<()> {
        let id = hosts::known_row_id(&self.transaction, host)?;
        let sql = "DELETE FROM drift_acks WHERE host_id = ?1 AND item = ?2";
        match self.transaction.execute(sql, params![id, item])? {
            0 => Err(Error::NotFound { what: "acknowledgement", name: item.to_owned() }),
            _ => Ok(()),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
