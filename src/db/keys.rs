//! Key pairs of interfaces, past and present, and preshared keys of links.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::error::{Error, Result};
use super::networks::INTERFACES;
use super::row::Cells;
use super::tx::Tx;
use super::vault::{PRESHARED_KEY, PRIVATE_KEY};
use super::{Database, Store, micros};
use crate::model::{
    InterfaceId, InterfaceName, KeyState, LinkId, Name, NodeId, Overlap, PresharedKey, PrivateKey, PublicKey, Secrets,
};

/// A key that an interface has or had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyRecord {
    /// Whose it is.
    pub interface: InterfaceId,
    /// That interface's name.
    pub interface_name: InterfaceName,
    /// The public half.
    pub public_key: PublicKey,
    /// Where it stands.
    pub state: KeyState,
    /// Since when it is known.
    pub created: DateTime<Utc>,
    /// Since when it is no longer used.
    pub retired_at: Option<DateTime<Utc>>,
    /// Why it is no longer used.
    pub reason: Option<String>,
    /// Whether the private half is in the vault.
    pub held: bool,
}

/// A key that must not come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// The public half.
    pub public_key: PublicKey,
    /// Whose it was; `None` when that node is gone.
    pub node: Option<Name>,
    /// Why it is no longer used.
    pub reason: Option<String>,
}

impl Database {
    /// Lists every key that was retired, also of nodes that are gone.
    pub fn retired_keys(&self) -> Result<Vec<Retired>> {
        let sql = "SELECT k.public_key, n.name, k.reason FROM keys k JOIN interfaces i ON i.id = k.interface_id
                     JOIN nodes n ON n.id = i.node_id WHERE k.state = 'retired'
                   UNION ALL SELECT public_key, NULL, reason FROM removed_keys WHERE state = 'retired'";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "keys", row };
            keys.push(Retired { public_key: cells.parse(0)?, node: cells.parse_some(1)?, reason: cells.get(2)? });
        }
        Ok(keys)
    }

    /// Lists the keys of a node's interfaces, the newest first.
    pub fn key_history(&self, node: NodeId) -> Result<Vec<KeyRecord>> {
        let sql = "SELECT k.interface_id, i.name, k.public_key, k.state, k.created, k.retired, k.reason,
                          k.sealed_private IS NOT NULL
                   FROM keys k JOIN interfaces i ON i.id = k.interface_id WHERE i.node_id = ?1
                   ORDER BY k.created DESC, k.rowid DESC";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([node.0])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "keys", row };
            keys.push(KeyRecord {
                interface: InterfaceId(cells.get(0)?),
                interface_name: cells.parse(1)?,
                public_key: cells.parse(2)?,
                state: cells.parse(3)?,
                created: cells.time(4)?,
                retired_at: cells.time_some(5)?,
                reason: cells.get(6)?,
                held: cells.get(7)?,
            });
        }
        Ok(keys)
    }

    /// Lists the links of the network that have a preshared key, without the keys.
    pub fn preshared_links(&self) -> Result<Vec<LinkId>> {
        let sql = format!("SELECT low_id, high_id FROM preshared_keys WHERE low_id IN {INTERFACES} ORDER BY 1, 2");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let links =
            statement.query_map([], |row| Ok(LinkId::between(InterfaceId(row.get(0)?), InterfaceId(row.get(1)?))))?;
        Ok(links.collect::<Result<_, _>>()?)
    }
}

impl Store {
    /// Opens every private key that the network uses or is about to, every preshared key, and what adopted interfaces' files are made from.
    pub fn secrets(&self) -> Result<Secrets> {
        let _snapshot = self.snapshot()?;
        let mut secrets = Secrets::default();
        let sql = format!(
            "SELECT interface_id, public_key, sealed_private, state = 'staged' FROM keys
             WHERE state IN ('active', 'staged') AND interface_id IN {INTERFACES}"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "keys", row };
            let (interface, public): (i64, String) = (cells.get(0)?, cells.get(1)?);
            let sealed: Option<String> = cells.get(2)?;
            let private = sealed.map(|sealed| PRIVATE_KEY.open_as(&self.key, &public, &sealed)).transpose()?;
            if cells.get(3)? {
                secrets.next_private.insert(InterfaceId(interface), (cells.parse(1)?, private));
            } else if let Some(private) = private {
                secrets.private.insert(InterfaceId(interface), private);
            }
        }
        let sql = format!("SELECT low_id, high_id, sealed_key FROM preshared_keys WHERE low_id IN {INTERFACES}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "preshared_keys", row };
            let link = LinkId::between(InterfaceId(cells.get(0)?), InterfaceId(cells.get(1)?));
            let sealed: String = cells.get(2)?;
            secrets.preshared.insert(link, PRESHARED_KEY.open_as(&self.key, &link_row(link), &sealed)?);
        }
        secrets.next_preshared = self.next_psks()?;
        secrets.documents = self.documents()?;
        if !secrets.documents.is_empty() {
            secrets.owners = self.key_owners()?;
        }
        Ok(secrets)
    }
}

fn staged_key_missing(interface: InterfaceId) -> Error {
    Error::NotFound { what: "next key of interface", name: format!("number {}", interface.0) }
}

/// Reads the time in which an interface is dialled by two keys, if there is one, out of three columns.
pub(super) fn read_overlap(cells: &Cells<'_>, at: usize) -> Result<Option<Overlap>> {
    let Some(port) = cells.convert_some(at)? else { return Ok(None) };
    Ok(Some(Overlap { port, until: cells.time_some(at + 1)?, over: cells.get(at + 2)? }))
}

/// Names a link's row.
pub(super) fn link_row(link: LinkId) -> String {
    let (low, high) = link.ends();
    format!("{}-{}", low.0, high.0)
}

impl Tx<'_> {
    /// Adds the first or next key of an interface, in use at once.
    pub(super) fn insert_key(
        &self,
        interface: InterfaceId,
        public: PublicKey,
        private: Option<&PrivateKey>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let sql = "INSERT INTO keys (public_key, interface_id, state, created, sealed_private)
                   VALUES (?1, ?2, 'active', ?3, ?4)";
        let sealed = self.seal_private(public, private)?;
        let values = params![public.to_string(), interface.0, micros(now), sealed];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn seal_private(&self, public: PublicKey, private: Option<&PrivateKey>) -> Result<Option<String>> {
        let Some(private) = private else { return Ok(None) };
        if private.public() != public {
            return Err(Error::KeyMismatch { public: public.to_string() });
        }
        let plain = private.expose_base64();
        PRIVATE_KEY.seal(self.data_key(), &public.to_string(), plain.as_bytes()).map(Some)
    }

    /// Puts another key in the place of the one that an interface uses. The old one is retired, with the reason.
    ///
    /// A key that was staged for the interface before becomes the active one.
    pub fn replace_key(
        &self,
        interface: InterfaceId,
        public: PublicKey,
        private: Option<&PrivateKey>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let sql =
            "UPDATE keys SET state = 'retired', retired = ?1, reason = ?2 WHERE interface_id = ?3 AND state = 'active'";
        if self.transaction.execute(sql, params![micros(now), reason, interface.0])? != 1 {
            return Err(Error::NotFound { what: "interface", name: format!("number {}", interface.0) });
        }
        let sealed = self.seal_private(public, private)?;
        let sql = "UPDATE keys SET state = 'active', sealed_private = coalesce(?1, sealed_private), reason = NULL
                   WHERE public_key = ?2 AND interface_id = ?3 AND state = 'staged'";
        match self.transaction.execute(sql, params![sealed, public.to_string(), interface.0])? {
            0 => self.insert_key(interface, public, private, now),
            _ => Ok(()),
        }
    }

    /// Keeps a key for an interface beside the one in use, which it will replace, with the reason for that.
    ///
    /// # Errors
    /// When another one is staged already.
    pub fn stage_key(
        &self,
        interface: InterfaceId,
        public: PublicKey,
        private: Option<&PrivateKey>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let sealed = self.seal_private(public, private)?;
        let sql = "INSERT INTO keys (public_key, interface_id, state, created, reason, sealed_private)
                   VALUES (?1, ?2, 'staged', ?3, ?4, ?5)";
        let values = params![public.to_string(), interface.0, micros(now), reason, sealed];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Puts the staged key of an interface into the place of the one in use, which is retired with the reason that was
    /// given for the staged one. A time in which both are good ends with that.
    ///
    /// # Errors
    /// When none is staged.
    pub fn activate_staged_key(&self, interface: InterfaceId, now: DateTime<Utc>) -> Result<PublicKey> {
        let sql = "SELECT public_key, reason FROM keys WHERE interface_id = ?1 AND state = 'staged'";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(String, Option<String>)> =
            self.transaction.query_row(sql, [interface.0], read).optional()?;
        let (public, reason) = found.ok_or_else(|| staged_key_missing(interface))?;
        let public: PublicKey = public.parse().map_err(|_| Error::Damaged { what: "a staged key".into() })?;
        self.replace_key(interface, public, None, reason.as_deref().unwrap_or_default(), now)?;
        self.activate_next_psks(interface)?;
        self.end_overlap(interface)?;
        Ok(public)
    }

    /// Has an interface dialled by its staged key, too, at a port of its own, or says otherwise when that ends.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn set_overlap(&self, interface: InterfaceId, overlap: &Overlap) -> Result<()> {
        let sql = "INSERT INTO key_overlaps (interface_id, port, until, over) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET port = excluded.port, until = excluded.until, over = excluded.over";
        let until = overlap.until.map(micros);
        let values = params![interface.0, overlap.port.get(), until, overlap.over];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn end_overlap(&self, interface: InterfaceId) -> Result<()> {
        self.transaction.prepare_cached("DELETE FROM key_overlaps WHERE interface_id = ?1")?.execute([interface.0])?;
        Ok(())
    }

    /// Retires the staged key of an interface, which was never used, with a reason. Returns it.
    ///
    /// # Errors
    /// When none is staged.
    pub fn withdraw_staged_key(&self, interface: InterfaceId, reason: &str, now: DateTime<Utc>) -> Result<()> {
        let sql = "UPDATE keys SET state = 'retired', retired = ?1, reason = ?2, sealed_private = NULL
                   WHERE interface_id = ?3 AND state = 'staged'";
        match self.transaction.execute(sql, params![micros(now), reason, interface.0])? {
            1 => {
                self.end_overlap(interface)?;
                self.withdraw_next_psks(interface)
            }
            _ => Err(staged_key_missing(interface)),
        }
    }

    /// Keeps the private half of the key that an interface uses, which was known by its public half only.
    ///
    /// # Errors
    /// [`Error::KeyMismatch`] when the interface uses another key.
    pub fn hold_private_key(&self, interface: InterfaceId, private: &PrivateKey) -> Result<()> {
        let public = private.public();
        let sealed = self.seal_private(public, Some(private))?;
        let sql = "UPDATE keys SET sealed_private = ?1 WHERE public_key = ?2 AND interface_id = ?3";
        match self.transaction.execute(sql, params![sealed, public.to_string(), interface.0])? {
            1 => Ok(()),
            _ => Err(Error::KeyMismatch { public: public.to_string() }),
        }
    }

    /// Wipes the private halves of an interface's keys, old ones included. Whether there were any.
    pub fn forget_private_key(&self, interface: InterfaceId) -> Result<bool> {
        let sql = "UPDATE removed_keys SET sealed_private = NULL
                   WHERE public_key IN (SELECT public_key FROM keys WHERE interface_id = ?1)";
        self.transaction.execute(sql, [interface.0])?;
        let sql = "UPDATE keys SET sealed_private = NULL WHERE interface_id = ?1 AND sealed_private IS NOT NULL";
        Ok(self.transaction.execute(sql, [interface.0])? > 0)
    }

    /// Gives a link a preshared key, or another one.
    pub fn set_psk(&self, link: LinkId, key: &PresharedKey, now: DateTime<Utc>) -> Result<()> {
        let (low, high) = link.ends();
        if low == high {
            return Err(Error::Refused("a link has two ends"));
        }
        let sealed = PRESHARED_KEY.seal(self.data_key(), &link_row(link), key.expose_base64().as_bytes())?;
        let sql = "INSERT INTO preshared_keys (low_id, high_id, created, sealed_key) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET created = excluded.created, sealed_key = excluded.sealed_key";
        self.transaction.prepare_cached(sql)?.execute(params![low.0, high.0, micros(now), sealed])?;
        Ok(())
    }

    /// Takes a link's preshared key away. Whether it had one.
    pub fn remove_psk(&self, link: LinkId) -> Result<bool> {
        let (low, high) = link.ends();
        let sql = "DELETE FROM preshared_keys WHERE low_id = ?1 AND high_id = ?2";
        Ok(self.transaction.execute(sql, [low.0, high.0])? > 0)
    }

    /// Returns the interface that has or had a key.
    pub fn interface_with_key(&self, public: PublicKey) -> Result<Option<InterfaceId>> {
        let sql = "SELECT interface_id FROM keys WHERE public_key = ?1";
        let found = self.transaction.query_row(sql, [public.to_string()], |row| row.get(0).map(InterfaceId));
        Ok(found.optional()?)
    }
}
