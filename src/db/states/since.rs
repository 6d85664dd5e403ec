//! When each thing of the model was last changed, and how far two databases have the same history: what two copies of one
//! database that went on by themselves are merged by.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::{Entity, Kind, Model, parse, record};
use crate::db::error::Result;
use crate::db::row::Cells;
use crate::db::{Database, hosts};
use crate::model::{
    Action, Custody, ExitGroupId, GroupId, InterfaceId, LinkId, NetworkId, Node, NodeId, PskScope, PublicKey,
};

/// A thing that the history tells of, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A network's own values.
    Network(NetworkId),
    /// A machine, by its row.
    Host(i64),
    /// A member of a network.
    Node(NodeId),
    /// A group of nodes.
    Group(GroupId),
    /// A group of exits.
    ExitGroup(ExitGroupId),
    /// A link beside those that follow from roles.
    Link(LinkId),
    /// A link's preshared key.
    PresharedKey(LinkId),
    /// The file that an adopted interface came with.
    Document(InterfaceId),
    /// What a network says of preshared keys beside its mode.
    NetworkPskRules(NetworkId),
    /// What a node says of preshared keys.
    NodePskRules(NodeId),
    /// What a group says of preshared keys.
    GroupPskRules(GroupId),
}

impl Thing {
    /// Returns the rules of preshared keys of a scope; `network` is the one that it belongs to.
    pub fn psk_rules(network: NetworkId, scope: PskScope) -> Self {
        match scope {
            PskScope::Network => Self::NetworkPskRules(network),
            PskScope::Node(id) => Self::NodePskRules(id),
            PskScope::Group(id) => Self::GroupPskRules(id),
        }
    }

    fn of(entity: Entity) -> Result<Self> {
        Ok(match entity.kind {
            Kind::Network => Self::Network(NetworkId(entity.id)),
            Kind::Node => Self::Node(NodeId(entity.id)),
            Kind::Host => Self::Host(entity.id),
            Kind::ExitGroup => Self::ExitGroup(ExitGroupId(entity.id)),
            Kind::Group => Self::Group(GroupId(entity.id)),
            Kind::Link => Self::Link(entity.link()),
            Kind::PresharedKey => Self::PresharedKey(entity.link()),
            Kind::Document => Self::Document(InterfaceId(entity.id)),
            Kind::PskRules => Self::psk_rules(NetworkId(entity.id), record::scope(entity.id, entity.other)?),
        })
    }
}

/// The last that the history says of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The state that changed it.
    pub state: i64,
    /// When; `None` for what was there when the history began.
    pub time: Option<DateTime<Utc>>,
    /// Whether it was there from then on: false once it was removed.
    pub there: bool,
}

/// The highest numbers that were ever given, also to what is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastNumbers {
    /// To a node.
    pub node: i64,
    /// To an interface.
    pub interface: i64,
    /// To a host.
    pub host: i64,
    /// To a group of nodes.
    pub group: i64,
    /// To a group of exits.
    pub exit_group: i64,
}

/// Of the audit entry about a merge, when the backup was made that was merged.
pub const MADE: &str = "made";

/// What tells a state from others: its time, the entry of the audit log about it, its line, and that entry's hash.
type Mark = (i64, Option<i64>, String, Option<Vec<u8>>);

fn thing(cells: &Cells<'_>) -> Result<Thing> {
    let kind: String = cells.get(0)?;
    Thing::of(Entity { kind: Kind::read(&kind)?, id: cells.get(1)?, other: cells.get(2)? })
}

impl Database {
    /// Returns the last change of every thing that is there or ever was, in all networks. What came by a merge is as old as
    /// the backup that was merged: nobody did it when that was done.
    pub fn last_changes(&self) -> Result<BTreeMap<Thing, Last>> {
        let merged = self.merges()?;
        let sql = "SELECT v.kind, v.entity, v.other, max(v.state), v.value IS NOT NULL, s.time, s.operator IS NOT NULL
                   FROM state_values v JOIN states s ON s.id = v.state GROUP BY v.kind, v.entity, v.other";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut found = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "state_values", row };
            let (state, is_told) = (cells.get(3)?, cells.get(6)?);
            let time = match merged.get(&state) {
                Some(made) => Some(*made),
                None if is_told => Some(cells.time(5)?),
                None => None,
            };
            found.insert(thing(&cells)?, Last { state, time, there: cells.get(4)? });
        }
        Ok(found)
    }

    /// Returns the states that a merge made, and when the backup was made that was merged.
    fn merges(&self) -> Result<BTreeMap<i64, DateTime<Utc>>> {
        let sql = "SELECT s.id, a.details FROM states s JOIN audit a ON a.id = s.audit_id WHERE a.action = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([Action::BackupRestored.as_str()])?;
        let mut found = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "audit", row };
            let details: String = cells.get(1)?;
            let details: serde_json::Value = serde_json::from_str(&details).unwrap_or_default();
            let made = details[MADE].as_str().and_then(|made| made.parse().ok());
            if let Some(made) = made {
                found.insert(cells.get(0)?, made);
            }
        }
        Ok(found)
    }

    /// Returns everything that was there at some state up to this one.
    pub fn things_until(&self, state: i64) -> Result<BTreeSet<Thing>> {
        let sql = "SELECT DISTINCT kind, entity, other FROM state_values WHERE state <= ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![state])?;
        let mut found = BTreeSet::new();
        while let Some(row) = rows.next()? {
            found.insert(thing(&Cells { table: "state_values", row })?);
        }
        Ok(found)
    }

    /// Returns the newest state that this database has in common with another one, 0 if there is none: up to it both are
    /// the same, audit log included.
    pub fn shared_states(&self, other: &Self) -> Result<i64> {
        let (ours, theirs) = (self.marks()?, other.marks()?);
        let same = ours.iter().zip(&theirs).take_while(|(own, other)| own == other).count();
        Ok(i64::try_from(same).unwrap_or(i64::MAX))
    }

    /// Returns what tells each state from others, in order. The hash of an entry covers all entries before.
    fn marks(&self) -> Result<Vec<Mark>> {
        let sql = "SELECT s.time, s.audit_id, s.description, a.entry_hash
                   FROM states s LEFT JOIN audit a ON a.id = s.audit_id ORDER BY s.id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns what every node that is or was in any network was last.
    pub fn nodes_ever(&self) -> Result<Vec<Node>> {
        // With max(), SQLite takes the other columns from the row that has it: https://sqlite.org/lang_select.html#bareagg
        let sql =
            "SELECT max(state), value FROM state_values WHERE kind = 'node' AND value IS NOT NULL GROUP BY entity";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next()? {
            let text: String = Cells { table: "state_values", row }.get(1)?;
            nodes.push(record::to_node(parse(&text)?)?);
        }
        Ok(nodes)
    }

    /// Returns every node of any network as it was at a state.
    pub fn nodes_at(&self, state: i64) -> Result<Vec<Node>> {
        let sql = "SELECT max(state), value FROM state_values WHERE kind = 'node' AND state <= ?1 GROUP BY entity";
        self.nodes_in(sql, state)
    }

    /// Returns the keys of nodes whose private half was kept here at a state or at a later one.
    pub fn keys_held_since(&self, state: i64) -> Result<BTreeSet<PublicKey>> {
        let sql = "SELECT state, value FROM state_values WHERE kind = 'node' AND state > ?1";
        let nodes = self.nodes_at(state)?.into_iter().chain(self.nodes_in(sql, state)?);
        Ok(nodes.filter(|node| node.custody == Custody::Held).map(|node| node.main().public_key).collect())
    }

    fn nodes_in(&self, sql: &str, state: i64) -> Result<Vec<Node>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([state])?;
        let mut nodes = Vec::new();
        while let Some(row) = rows.next()? {
            let text: Option<String> = Cells { table: "state_values", row }.get(1)?;
            if let Some(text) = text {
                nodes.push(record::to_node(parse(&text)?)?);
            }
        }
        Ok(nodes)
    }

    /// Reads the network as it is, in the form in which states are read.
    pub fn model_now(&self) -> Result<Model> {
        let _snapshot = self.snapshot()?;
        let mut adopted = BTreeMap::new();
        let sql = format!(
            "SELECT d.interface_id, coalesce((SELECT max(state) FROM state_values
                      WHERE kind = 'document' AND entity = d.interface_id), 0)
             FROM documents d WHERE d.interface_id IN {}",
            crate::db::networks::INTERFACES
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "documents", row };
            adopted.insert(InterfaceId(cells.get(0)?), cells.get(1)?);
        }
        Ok(Model {
            topology: self.topology()?,
            hosts: hosts::load_with_rows(&self.conn)?.into_iter().collect(),
            preshared: self.preshared_since()?,
            adopted,
            psk_rules: self.psk_rules()?,
        })
    }

    /// Returns the highest numbers that were given.
    pub fn last_numbers(&self) -> Result<LastNumbers> {
        let of = |table: &str| -> Result<i64> {
            let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
            Ok(self.conn.prepare_cached(sql)?.query_row([table], |row| row.get(0))?)
        };
        Ok(LastNumbers {
            node: of("nodes")?,
            interface: of("interfaces")?,
            host: of("hosts")?,
            group: of("node_groups")?,
            exit_group: of("exit_groups")?,
        })
    }
}
