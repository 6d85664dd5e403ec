//! What happened to nodes that calls for other keys: what somebody said, and changes of what nodes may reach.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::params;
use serde_json::Value;

use crate::db::error::Result;
use crate::db::networks::{FIRST, NETWORK};
use crate::db::row::Cells;
use crate::db::tx::Tx;
use crate::db::{Database, micros};
use crate::model::{NodeId, RotationEvent};

/// What somebody said has happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// To which node.
    pub node: NodeId,
    /// What.
    pub kind: RotationEvent,
    /// When that was said.
    pub time: DateTime<Utc>,
    /// By whom.
    pub operator: String,
    /// What else he said; may be empty.
    pub note: String,
}

/// A change of what a node may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RightsChange {
    /// Of which node.
    pub node: NodeId,
    /// When.
    pub time: DateTime<Utc>,
}

impl Database {
    /// Lists what was said to have happened to nodes of the network, in order.
    pub fn rotation_events(&self) -> Result<Vec<RecordedEvent>> {
        let sql = format!(
            "SELECT node_id, kind, time, operator, note FROM rotation_events
             WHERE node_id IN (SELECT id FROM nodes WHERE network_id = {NETWORK}) ORDER BY time, id"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "rotation_events", row };
            events.push(RecordedEvent {
                node: NodeId(cells.get(0)?),
                kind: cells.parse(1)?,
                time: cells.time(2)?,
                operator: cells.get(3)?,
                note: cells.get(4)?,
            });
        }
        Ok(events)
    }

    /// Lists when what nodes may reach was changed, as the history of the model has it: their own level, LANs and grants,
    /// and what they have as members of groups. What a node began with is no change.
    pub fn rights_changes(&self) -> Result<Vec<RightsChange>> {
        let mut changes = self.own_rights_changes()?;
        changes.extend(self.group_rights_changes()?);
        changes.sort_unstable();
        changes.dedup();
        Ok(changes)
    }

    fn own_rights_changes(&self) -> Result<Vec<RightsChange>> {
        let sql = format!(
            "SELECT entity, time, before, rights FROM (
               SELECT v.entity, s.time, v.rights,
                      lag(v.rights) OVER (PARTITION BY v.entity ORDER BY v.state) AS before
               FROM (SELECT entity, state, CASE WHEN value IS NOT NULL THEN
                              json_array(value -> 'access', value -> 'lan_selection', value -> 'grants') END AS rights
                     FROM state_values
                     WHERE kind = 'node' AND coalesce(value ->> 'network', {FIRST}) = {NETWORK}) v
               JOIN states s ON s.id = v.state)
             WHERE before IS NOT NULL AND rights IS NOT NULL AND rights <> before"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "state_values", row };
            let (before, now): (String, String) = (cells.get(2)?, cells.get(3)?);
            if rights(&before) != rights(&now) {
                changes.push(RightsChange { node: NodeId(cells.get(0)?), time: cells.time(1)? });
            }
        }
        Ok(changes)
    }

    /// Compares what each group gave to each of its members from state to state. A group that gives nothing is none.
    fn group_rights_changes(&self) -> Result<Vec<RightsChange>> {
        let sql = format!(
            "SELECT v.entity, s.time, v.value FROM state_values v JOIN states s ON s.id = v.state
             WHERE v.kind = 'group' AND v.entity IN
               (SELECT entity FROM state_values WHERE kind = 'group' AND value IS NOT NULL
                  AND coalesce(value ->> 'network', {FIRST}) = {NETWORK})
             ORDER BY v.entity, v.state"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut changes = Vec::new();
        let mut given: (i64, BTreeMap<i64, Value>) = (0, BTreeMap::new());
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "state_values", row };
            let (group, time, value): (i64, _, Option<String>) = (cells.get(0)?, cells.time(1)?, cells.get(2)?);
            if given.0 != group {
                given = (group, BTreeMap::new());
            }
            let now = value.as_deref().map_or_else(BTreeMap::new, gives);
            let before = std::mem::replace(&mut given.1, now);
            let now = &given.1;
            let lost = before.keys().filter(|node| !now.contains_key(node));
            let differ = now.iter().filter(|(node, grants)| before.get(node) != Some(grants)).map(|(node, _)| node);
            changes.extend(lost.chain(differ).map(|node| RightsChange { node: NodeId(*node), time }));
        }
        Ok(changes)
    }
}

/// Reads level, LANs and grants.
fn rights(text: &str) -> Vec<Value> {
    let parts: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    parts.into_iter().map(without_notes).collect()
}

/// Takes out what grants are for, in words: another note opens nothing.
fn without_notes(mut value: Value) -> Value {
    for grant in value.as_array_mut().into_iter().flatten() {
        if let Value::Object(members) = grant {
            members.remove("note");
        }
    }
    value
}

/// Returns what a group's value gives to each member.
fn gives(value: &str) -> BTreeMap<i64, Value> {
    let Ok(group) = serde_json::from_str::<Value>(value) else { return BTreeMap::new() };
    let grants = without_notes(group.get("grants").cloned().unwrap_or_default());
    if grants.as_array().is_none_or(Vec::is_empty) {
        return BTreeMap::new();
    }
    let members = group.get("members").and_then(Value::as_array).into_iter().flatten();
    members.filter_map(Value::as_i64).map(|node| (node, grants.clone())).collect()
}

impl Tx<'_> {
    /// Notes what somebody says has happened to a node.
    pub fn record_rotation_event(&self, event: &RecordedEvent) -> Result<()> {
        let sql = "INSERT INTO rotation_events (node_id, kind, time, operator, note) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![event.node.0, event.kind.as_str(), micros(event.time), event.operator, event.note];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Forgets what was said to have happened to a node after a time.
    pub fn withdraw_rotation_events(&self, node: NodeId, kind: RotationEvent, since: DateTime<Utc>) -> Result<()> {
        let sql = "DELETE FROM rotation_events WHERE node_id = ?1 AND kind = ?2 AND time > ?3";
        self.transaction.prepare_cached(sql)?.execute(params![node.0, kind.as_str(), micros(since)])?;
        Ok(())
    }
}
