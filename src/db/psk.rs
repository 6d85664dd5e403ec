//! What is said of preshared keys: rules of networks, groups and nodes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::error::{Error, Result};
use super::keys::link_row;
use super::networks::{INTERFACES, NETWORK};
use super::row::{Cells, list};
use super::tx::Tx;
use super::vault::{NEXT_PRESHARED_KEY, PRESHARED_KEY};
use super::{Database, Store, micros};
use crate::model::{AllPskRules, GroupId, InterfaceId, LinkId, NodeId, PresharedKey, PskRules, PskScope, PskTrigger};

/// Reads rules with the network that each belongs to. `condition`: which ones.
fn load(conn: &Connection, condition: &str) -> Result<Vec<(i64, PskScope, PskRules)>> {
    let sql = format!(
        "SELECT network_id, group_id, node_id, mode, every_days, notice_days, triggers FROM psk_rules {condition}
         ORDER BY id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "psk_rules", row };
        let (group, node): (Option<i64>, Option<i64>) = (cells.get(1)?, cells.get(2)?);
        let scope = match (group, node) {
            (_, Some(node)) => PskScope::Node(NodeId(node)),
            (Some(group), None) => PskScope::Group(GroupId(group)),
            (None, None) => PskScope::Network,
        };
        let on = cells.list_some(6)?.map(|words| words.iter().map(|word| word.parse()).collect());
        let wrong = |_| Error::Value { table: "psk_rules", column: "triggers".into() };
        let on: Option<BTreeSet<PskTrigger>> = on.transpose().map_err(wrong)?;
        let (every_days, notice_days) = (cells.get(4)?, cells.get(5)?);
        found.push((cells.get(0)?, scope, PskRules { mode: cells.parse_some(3)?, every_days, notice_days, on }));
    }
    Ok(found)
}

/// Reads the rules of all networks, each with its network.
pub(super) fn load_all(conn: &Connection) -> Result<Vec<(i64, PskScope, PskRules)>> {
    load(conn, "")
}

impl Database {
    /// Returns what is said of preshared keys in the network.
    pub fn psk_rules(&self) -> Result<AllPskRules> {
        let found = load(&self.conn, &format!("WHERE network_id = {NETWORK}"))?;
        Ok(found.into_iter().map(|(_, scope, rules)| (scope, rules)).collect())
    }
}

impl Database {
    /// Returns since when each link of the network has had the preshared key that a device's file has today: the one that
    /// comes with a staged key of an end where there is one.
    pub fn preshared_in_files(&self) -> Result<BTreeMap<LinkId, DateTime<Utc>>> {
        let mut times = self.preshared_since()?;
        let sql = format!("SELECT low_id, high_id, created FROM next_preshared_keys WHERE low_id IN {INTERFACES}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "next_preshared_keys", row };
            times.insert(LinkId::between(InterfaceId(cells.get(0)?), InterfaceId(cells.get(1)?)), cells.time(2)?);
        }
        Ok(times)
    }
}

impl Store {
    /// Opens the preshared keys of the network that come with a staged key.
    pub(super) fn next_psks(&self) -> Result<BTreeMap<LinkId, PresharedKey>> {
        let sql = format!("SELECT low_id, high_id, sealed_key FROM next_preshared_keys WHERE low_id IN {INTERFACES}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut keys = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "next_preshared_keys", row };
            let link = LinkId::between(InterfaceId(cells.get(0)?), InterfaceId(cells.get(1)?));
            let sealed: String = cells.get(2)?;
            keys.insert(link, NEXT_PRESHARED_KEY.open_as(&self.key, &link_row(link), &sealed)?);
        }
        Ok(keys)
    }
}

impl Tx<'_> {
    /// Keeps a preshared key for a link that comes into force together with the staged key of one of its ends.
    /// One that came with a staged key of the other end stays: it is in files that were handed out since.
    ///
    /// # Errors
    /// [`Error::Refused`] for an interface and itself.
    pub fn stage_psk(&self, link: LinkId, key: &PresharedKey, now: DateTime<Utc>) -> Result<()> {
        let (low, high) = link.ends();
        if low == high {
            return Err(Error::Refused("a link has two ends"));
        }
        let sealed = NEXT_PRESHARED_KEY.seal(self.data_key(), &link_row(link), key.expose_base64().as_bytes())?;
        let sql = "INSERT INTO next_preshared_keys (low_id, high_id, created, sealed_key) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO NOTHING";
        self.transaction.prepare_cached(sql)?.execute(params![low.0, high.0, micros(now), sealed])?;
        Ok(())
    }

    /// Puts the preshared keys that came with the staged key of an interface into the place of those in force.
    pub(super) fn activate_next_psks(&self, interface: InterfaceId) -> Result<()> {
        let sql = "SELECT low_id, high_id, created, sealed_key FROM next_preshared_keys WHERE ?1 IN (low_id, high_id)";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut rows = statement.query([interface.0])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "next_preshared_keys", row };
            let link = LinkId::between(InterfaceId(cells.get(0)?), InterfaceId(cells.get(1)?));
            let (created, sealed): (i64, String) = (cells.get(2)?, cells.get(3)?);
            let name = link_row(link);
            let plain = NEXT_PRESHARED_KEY.open(self.data_key(), &name, &sealed)?;
            let sealed = PRESHARED_KEY.seal(self.data_key(), &name, &plain)?;
            let sql = "INSERT INTO preshared_keys (low_id, high_id, created, sealed_key) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT DO UPDATE SET created = excluded.created, sealed_key = excluded.sealed_key";
            let (low, high) = link.ends();
            self.transaction.prepare_cached(sql)?.execute(params![low.0, high.0, created, sealed])?;
        }
        drop(rows);
        self.withdraw_next_psks(interface)
    }

    /// Forgets the preshared keys that came with the staged key of an interface, but for those that go with one of the other end.
    pub(super) fn withdraw_next_psks(&self, interface: InterfaceId) -> Result<()> {
        let sql = "DELETE FROM next_preshared_keys WHERE ?1 IN (low_id, high_id) AND NOT EXISTS (
                     SELECT 1 FROM keys WHERE state = 'staged' AND interface_id IN (low_id, high_id) AND interface_id <> ?1)";
        self.transaction.prepare_cached(sql)?.execute([interface.0])?;
        Ok(())
    }

    /// Says something else of preshared keys for a scope of the network; rules that say nothing are none.
    ///
    /// # Errors
    /// [`Error::Refused`] for a mode of the network, which it has among its own values.
    pub fn put_psk_rules(&self, scope: PskScope, rules: &PskRules) -> Result<()> {
        let (group, node) = match scope {
            PskScope::Network => (None, None),
            PskScope::Group(id) => (Some(id.0), None),
            PskScope::Node(id) => (None, Some(id.0)),
        };
        if scope == PskScope::Network && rules.mode.is_some() {
            return Err(Error::Refused("a network's mode is among its own values"));
        }
        let sql = format!("DELETE FROM psk_rules WHERE network_id = {NETWORK} AND group_id IS ?1 AND node_id IS ?2");
        self.transaction.prepare_cached(&sql)?.execute([group, node])?;
        if rules.is_nothing() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO psk_rules (network_id, group_id, node_id, mode, every_days, notice_days, triggers)
             VALUES ({NETWORK}, ?1, ?2, ?3, ?4, ?5, ?6)"
        );
        let words = |on: &BTreeSet<PskTrigger>| list(&on.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mode = rules.mode.map(crate::model::PskPolicy::as_str);
        let values = params![group, node, mode, rules.every_days, rules.notice_days, rules.on.as_ref().map(words)];
        self.transaction.prepare_cached(&sql)?.execute(values)?;
        Ok(())
    }

    /// Makes the rules what they were, once every node and group is there.
    pub(super) fn return_psk_rules(&self, wanted: &AllPskRules) -> Result<()> {
        let present = self.psk_rules()?;
        for scope in present.keys().filter(|scope| !wanted.contains_key(scope)) {
            self.put_psk_rules(*scope, &PskRules::default())?;
        }
        let differing = wanted.iter().filter(|(scope, rules)| present.get(scope) != Some(rules));
        differing.into_iter().try_for_each(|(scope, rules)| self.put_psk_rules(*scope, rules))
    }
}
