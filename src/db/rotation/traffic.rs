//! How many bytes went between interfaces, and under which keys.
//!
//! The kernel counts per peer and begins at nought whenever an interface or a peer is made anew. What it showed last is kept
//! ([`Counter`]); what it shows beyond that is added to totals that only grow ([`Traffic`]).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::db::error::Result;
use crate::db::networks::INTERFACES;
use crate::db::row::Cells;
use crate::db::tx::Tx;
use crate::db::{Database, Store, micros};
use crate::model::{InterfaceId, InterfaceName, PublicKey};

/// What the kernel showed of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Number of the interface in its kernel, where that is known.
    pub born: Option<u32>,
    /// Bytes received from the peer.
    pub rx: u64,
    /// Bytes sent to it.
    pub tx: u64,
    /// When the host was booted, by its own clock, in seconds since 1970.
    pub boot: i64,
    /// Seconds since then.
    pub uptime: i64,
}

/// A counter as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterSeen {
    /// What it showed.
    pub counter: Counter,
    /// When, by the clock of this machine.
    pub seen: DateTime<Utc>,
}

/// What has come since a counter was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// The interface that counts.
    pub near: InterfaceId,
    /// Its name in its kernel: while it goes by two keys there are two of them.
    pub name: InterfaceName,
    /// The key that it has.
    pub near_key: PublicKey,
    /// The interface of the peer.
    pub far: InterfaceId,
    /// The key of the peer.
    pub far_key: PublicKey,
    /// What the counter shows now.
    pub now: Counter,
    /// Bytes received since.
    pub rx: u64,
    /// Bytes sent since.
    pub tx: u64,
}

/// Bytes between two interfaces as the near one counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The interface that counts.
    pub near: InterfaceId,
    /// The key that it had meanwhile; `None` for keys that are no longer in use.
    pub near_key: Option<PublicKey>,
    /// The interface of the peer.
    pub far: InterfaceId,
    /// The key that it had meanwhile; `None` for keys that are no longer in use.
    pub far_key: Option<PublicKey>,
    /// Bytes received.
    pub rx: u64,
    /// Bytes sent.
    pub tx: u64,
    /// When it was looked at first.
    pub first: DateTime<Utc>,
    /// When it was last seen to have grown.
    pub last: DateTime<Utc>,
}

/// SQLite's integers have a sign; nobody sends so much.
fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn read_bytes(cells: &Cells<'_>, at: usize) -> Result<u64> {
    cells.get::<i64>(at).map(|bytes| u64::try_from(bytes).unwrap_or(0))
}

fn read_key(cells: &Cells<'_>, at: usize) -> Result<Option<PublicKey>> {
    let text: String = cells.get(at)?;
    if text.is_empty() { Ok(None) } else { cells.parse(at).map(Some) }
}

fn written(key: Option<PublicKey>) -> String {
    key.map_or_else(String::new, |key| key.to_string())
}

const COLUMNS: &str = "near_id, near_key, far_id, far_key, rx, tx, first, last FROM traffic";

fn read(cells: &Cells<'_>) -> Result<Traffic> {
    Ok(Traffic {
        near: InterfaceId(cells.get(0)?),
        near_key: read_key(cells, 1)?,
        far: InterfaceId(cells.get(2)?),
        far_key: read_key(cells, 3)?,
        rx: read_bytes(cells, 4)?,
        tx: read_bytes(cells, 5)?,
        first: cells.time(6)?,
        last: cells.time(7)?,
    })
}

impl Database {
    /// Lists the traffic of the network's interfaces, as each of them counts it.
    pub fn traffic(&self) -> Result<Vec<Traffic>> {
        let sql = format!("SELECT {COLUMNS} WHERE near_id IN {INTERFACES} ORDER BY near_id, far_id");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut traffic = Vec::new();
        while let Some(row) = rows.next()? {
            traffic.push(read(&Cells { table: "traffic", row })?);
        }
        Ok(traffic)
    }

    /// Returns what the counters of an interface, under a name in its kernel, showed last, by the keys of its peers.
    pub fn traffic_counters(
        &self,
        near: InterfaceId,
        name: &InterfaceName,
    ) -> Result<BTreeMap<PublicKey, CounterSeen>> {
        let sql =
            "SELECT far_key, born, rx, tx, seen, boot, uptime FROM traffic_counters WHERE near_id = ?1 AND name = ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![near.0, name.as_str()])?;
        let mut counters = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "traffic_counters", row };
            let counter = Counter {
                born: cells.get(1)?,
                rx: read_bytes(&cells, 2)?,
                tx: read_bytes(&cells, 3)?,
                boot: cells.get(5)?,
                uptime: cells.get(6)?,
            };
            counters.insert(cells.parse(0)?, CounterSeen { counter, seen: cells.time(4)? });
        }
        Ok(counters)
    }
}

impl Store {
    /// Looks at counters and adds what they have grown by, in one transaction: two looks at the same time count nothing
    /// twice. It is no change of the model, so it needs no entry in the audit log.
    ///
    /// `work` reads the counters as they are and returns what has grown, and of which interfaces all peers were seen: the
    /// counters of other peers there are gone.
    pub fn note_traffic(
        &mut self,
        now: DateTime<Utc>,
        work: impl FnOnce(&Database) -> Result<(Vec<Grown>, Vec<(InterfaceId, InterfaceName)>)>,
    ) -> Result<()> {
        self.quietly(|tx| {
            let (grown, whole) = work(tx)?;
            tx.forget_counters(&grown, &whole)?;
            tx.fold_retired()?;
            grown.iter().try_for_each(|one| tx.count(one, now))
        })
    }
}

impl Tx<'_> {
    fn count(&self, grown: &Grown, now: DateTime<Utc>) -> Result<()> {
        let sql = "INSERT INTO traffic_counters (near_id, name, far_key, born, rx, tx, boot, uptime, seen)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT DO UPDATE SET (born, rx, tx, boot, uptime, seen) =
                     (excluded.born, excluded.rx, excluded.tx, excluded.boot, excluded.uptime, excluded.seen)";
        let Counter { born, rx, tx, boot, uptime } = grown.now;
        let (name, far_key) = (grown.name.as_str(), grown.far_key.to_string());
        let values = params![grown.near.0, name, far_key, born, stored(rx), stored(tx), boot, uptime, micros(now)];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        if grown.rx == 0 && grown.tx == 0 {
            return Ok(());
        }
        self.add(&Traffic {
            near: grown.near,
            near_key: self.in_use(Some(grown.near_key))?,
            far: grown.far,
            far_key: self.in_use(Some(grown.far_key))?,
            rx: grown.rx,
            tx: grown.tx,
            first: now,
            last: now,
        })
    }

    fn add(&self, more: &Traffic) -> Result<()> {
        let sql = "INSERT INTO traffic (near_id, near_key, far_id, far_key, rx, tx, first, last)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                   ON CONFLICT DO UPDATE SET rx = min(rx, 9223372036854775807 - excluded.rx) + excluded.rx,
                     tx = min(tx, 9223372036854775807 - excluded.tx) + excluded.tx,
                     first = min(first, excluded.first), last = max(last, excluded.last)";
        let (near_key, far_key) = (written(more.near_key), written(more.far_key));
        let (rx, tx, first, last) = (stored(more.rx), stored(more.tx), micros(more.first), micros(more.last));
        let values = params![more.near.0, near_key, more.far.0, far_key, rx, tx, first, last];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Forgets the counters of peers that are no longer on an interface: they would begin at nought again.
    fn forget_counters(&self, grown: &[Grown], whole: &[(InterfaceId, InterfaceName)]) -> Result<()> {
        let mut present: BTreeMap<(InterfaceId, &InterfaceName), BTreeSet<&PublicKey>> = BTreeMap::new();
        for one in grown {
            present.entry((one.near, &one.name)).or_default().insert(&one.far_key);
        }
        // There may be several looks at one.
        for (near, name) in whole.iter().collect::<BTreeSet<_>>() {
            let present = present.remove(&(*near, name)).unwrap_or_default();
            // Few go: a list of those that stay would be as long as a large network.
            let sql = "SELECT far_key FROM traffic_counters WHERE near_id = ?1 AND name = ?2";
            let mut statement = self.transaction.prepare_cached(sql)?;
            let mut rows = statement.query(params![near.0, name.as_str()])?;
            let mut gone: Vec<PublicKey> = Vec::new();
            while let Some(row) = rows.next()? {
                let key: PublicKey = Cells { table: "traffic_counters", row }.parse(0)?;
                gone.extend((!present.contains(&key)).then_some(key));
            }
            let sql = "DELETE FROM traffic_counters WHERE near_id = ?1 AND name = ?2 AND far_key = ?3";
            for key in gone {
                self.transaction.prepare_cached(sql)?.execute(params![near.0, name.as_str(), key.to_string()])?;
            }
        }
        Ok(())
    }

    /// Puts what went under keys that are no longer in use into one row for each pair. That takes a walk through the whole
    /// table, so it is only done when a key went out of use since.
    fn fold_retired(&self) -> Result<()> {
        if self.transaction.prepare_cached("DELETE FROM traffic_retired")?.execute([])? == 0 {
            return Ok(());
        }
        let retired = |column: &str| {
            format!(
                "({column} <> '' AND NOT EXISTS
                   (SELECT 1 FROM keys k WHERE k.public_key = traffic.{column} AND k.state <> 'retired'))"
            )
        };
        let (near, far) = (retired("near_key"), retired("far_key"));
        let sql = format!("SELECT {COLUMNS} WHERE {near} OR {far}");
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(&Cells { table: "traffic", row })?);
        }
        drop(rows);
        for row in found {
            let sql = "DELETE FROM traffic WHERE near_id = ?1 AND near_key = ?2 AND far_id = ?3 AND far_key = ?4";
            let (near_key, far_key) = (written(row.near_key), written(row.far_key));
            self.transaction.prepare_cached(sql)?.execute(params![row.near.0, near_key, row.far.0, far_key])?;
            let near_key = self.in_use(row.near_key)?;
            let far_key = self.in_use(row.far_key)?;
            self.add(&Traffic { near_key, far_key, ..row })?;
        }
        Ok(())
    }

    fn in_use(&self, key: Option<PublicKey>) -> Result<Option<PublicKey>> {
        let Some(key) = key else { return Ok(None) };
        let sql = "SELECT count(*) FROM keys WHERE public_key = ?1 AND state <> 'retired'";
        let count: i64 = self.transaction.prepare_cached(sql)?.query_row([key.to_string()], |row| row.get(0))?;
        Ok((count > 0).then_some(key))
    }
}
