//! Rotation policies, and the keys that they are about.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::params;

use crate::db::error::{Error, Result};
use crate::db::networks::{INTERFACES, NETWORK};
use crate::db::row::{Cells, list};
use crate::db::tx::Tx;
use crate::db::{Database, micros};
use crate::model::{
    InterfaceId, KeyState, Name, PolicyId, PublicKey, RotationEvent, RotationPolicy, Selector, Trigger,
};

/// A key that an interface has or is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOf {
    /// Whose.
    pub interface: InterfaceId,
    /// The public half.
    pub public_key: PublicKey,
    /// Whether it is in use, or waits for its peers.
    pub state: KeyState,
    /// Since when it is known.
    pub created: DateTime<Utc>,
}

impl Database {
    /// Lists the rotation policies of the network, by name.
    pub fn rotation_policies(&self) -> Result<Vec<RotationPolicy>> {
        let sql = format!(
            "SELECT id, name, days, bytes, events, scope, enabled, auto_deploy, notice_days, created
             FROM rotation_policies WHERE network_id = {NETWORK} ORDER BY name"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut policies = Vec::new();
        while let Some(row) = rows.next()? {
            policies.push(read(&Cells { table: "rotation_policies", row })?);
        }
        Ok(policies)
    }

    /// Lists the keys of the network's interfaces that are in use or wait for it, by interface.
    pub fn present_keys(&self) -> Result<Vec<KeyOf>> {
        let sql = format!(
            "SELECT interface_id, public_key, state, created FROM keys
             WHERE state <> 'retired' AND interface_id IN {INTERFACES} ORDER BY interface_id, created"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "keys", row };
            keys.push(KeyOf {
                interface: InterfaceId(cells.get(0)?),
                public_key: cells.parse(1)?,
                state: cells.parse(2)?,
                created: cells.time(3)?,
            });
        }
        Ok(keys)
    }

    /// Returns the newest key of an interface, and whether it waits for its peers.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn newest_key(&self, interface: InterfaceId) -> Result<(PublicKey, bool)> {
        let sql = "SELECT public_key, state = 'staged' AS waits FROM keys
                   WHERE interface_id = ?1 AND state <> 'retired' ORDER BY waits DESC LIMIT 1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([interface.0])?;
        let unknown = || Error::NotFound { what: "interface", name: format!("number {}", interface.0) };
        let row = rows.next()?.ok_or_else(unknown)?;
        let cells = Cells { table: "keys", row };
        Ok((cells.parse(0)?, cells.get(1)?))
    }
}

fn read(cells: &Cells<'_>) -> Result<RotationPolicy> {
    let wrong = |column: &str| Error::Value { table: cells.table, column: column.to_owned() };
    let (days, bytes): (Option<u32>, Option<i64>) = (cells.get(2)?, cells.get(3)?);
    let events = cells.list_some(4)?;
    let trigger = match (days, bytes, events) {
        (Some(days), None, None) => Trigger::Days(days),
        (None, Some(bytes), None) => Trigger::Bytes(u64::try_from(bytes).map_err(|_| wrong("bytes"))?),
        (None, None, Some(events)) => {
            let events = events.iter().map(|word| word.parse()).collect::<Result<BTreeSet<RotationEvent>, _>>();
            Trigger::Events(events.map_err(|_| wrong("events"))?)
        }
        _ => return Err(wrong("days")),
    };
    let scope = cells.list_some(5)?.unwrap_or_default();
    let scope = scope.iter().map(|text| text.parse()).collect::<Result<BTreeSet<Selector>, _>>();
    Ok(RotationPolicy {
        id: PolicyId(cells.get(0)?),
        name: cells.parse(1)?,
        trigger,
        scope: scope.map_err(|_| wrong("scope"))?,
        enabled: cells.get(6)?,
        auto_deploy: cells.get(7)?,
        notice_days: cells.get(8)?,
        created: cells.time(9)?,
    })
}

impl Tx<'_> {
    /// Adds a policy. Returns its number: the one in `policy` doesn't matter.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name that is taken.
    pub fn insert_rotation_policy(&self, policy: &RotationPolicy) -> Result<PolicyId> {
        let sql = format!(
            "INSERT INTO rotation_policies (network_id, name, scope, days, enabled, auto_deploy, notice_days, created)
             VALUES ({NETWORK}, ?1, '[]', 1, 0, 0, 0, ?2)"
        );
        self.free(&policy.name, None)?;
        self.transaction.execute(&sql, params![policy.name.as_str(), micros(policy.created)])?;
        let id = PolicyId(self.transaction.last_insert_rowid());
        self.update_rotation_policy(&RotationPolicy { id, ..policy.clone() })?;
        Ok(id)
    }

    /// Replaces every field of a policy but its beginning.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Duplicate`] for a name that is taken.
    pub fn update_rotation_policy(&self, policy: &RotationPolicy) -> Result<()> {
        let (mut days, mut bytes, mut events) = (None, None, None);
        match &policy.trigger {
            Trigger::Days(count) => days = Some(*count),
            Trigger::Bytes(count) => bytes = Some(i64::try_from(*count).unwrap_or(i64::MAX)),
            Trigger::Events(words) => {
                events = Some(list(&words.iter().map(ToString::to_string).collect::<Vec<_>>()));
            }
        }
        self.free(&policy.name, Some(policy.id))?;
        let scope = list(&policy.scope.iter().map(ToString::to_string).collect::<Vec<_>>());
        let sql = format!(
            "UPDATE rotation_policies SET name = ?2, days = ?3, bytes = ?4, events = ?5, scope = ?6, enabled = ?7,
               auto_deploy = ?8, notice_days = ?9 WHERE id = ?1 AND network_id = {NETWORK}"
        );
        let (name, notice) = (policy.name.as_str(), policy.notice_days);
        let values = params![policy.id.0, name, days, bytes, events, scope, policy.enabled, policy.auto_deploy, notice];
        match self.transaction.execute(&sql, values)? {
            1 => Ok(()),
            _ => Err(unknown(policy.id)),
        }
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn delete_rotation_policy(&self, id: PolicyId) -> Result<()> {
        let sql = format!("DELETE FROM rotation_policies WHERE id = ?1 AND network_id = {NETWORK}");
        match self.transaction.execute(&sql, [id.0])? {
            1 => Ok(()),
            _ => Err(unknown(id)),
        }
    }

    /// Refuses a name that another policy of the network has.
    fn free(&self, name: &Name, but: Option<PolicyId>) -> Result<()> {
        let sql = format!(
            "SELECT count(*) FROM rotation_policies WHERE network_id = {NETWORK} AND name = ?1 AND id IS NOT ?2"
        );
        let taken: i64 =
            self.transaction.query_row(&sql, params![name.as_str(), but.map(|id| id.0)], |row| row.get(0))?;
        if taken == 0 { Ok(()) } else { Err(Error::Duplicate { what: format!("another policy called `{name}`") }) }
    }
}

fn unknown(id: PolicyId) -> Error {
    Error::NotFound { what: "rotation policy", name: format!("number {}", id.0) }
}
