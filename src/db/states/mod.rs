//! The history of the model: every change of it makes a numbered state.
//!
//! A state holds, for each entity that it changed, the value from then on; what an entity was at a state is its newest value
//! up to it. So a change costs rows in proportion to what it changes, whatever the size of the network. Which entities a
//! transaction touches is noted by triggers ([`touched`]); at its end their values are compared with the history and the
//! differing ones recorded, in the same transaction.
//!
//! The states are those of the whole database, whatever networks it has; what is read of one is the chosen network's part. A
//! record says to which network its entity belongs, unless it is the first.
//!
//! Secrets aren't part of it: of a preshared key only the time at which it was made is recorded, of a private key the public
//! half. What the configurations of adopted interfaces say is recorded sealed; so are the keys of what is removed
//! ([`removed`]), that it may come back.

mod document;
mod line;
mod merge;
mod record;
mod removed;
mod restore;
mod save;
mod since;
pub(super) mod touched;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde_json::Value;

pub use merge::Brought;
pub use restore::Returned;
pub(super) use save::{append, begin, begin_if_none};
pub use since::{Last, LastNumbers, MADE, Thing};
pub(super) use touched::Which;

use super::error::{Error, Result};
use super::networks::{FIRST, NETWORK};
use super::row::Cells;
use super::{Database, groups, micros};
use crate::model::{
    Access, Action, AllPskRules, ExitGroup, ExitGroupId, Group, GroupId, Host, InterfaceId, LinkId, Node, NodeId,
    PskScope, Source, Topology,
};

/// What kind of entity a value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Network,
    Node,
    Host,
    ExitGroup,
    Group,
    Link,
    PresharedKey,
    Document,
    PskRules,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Network,
        Self::Node,
        Self::Host,
        Self::ExitGroup,
        Self::Group,
        Self::Link,
        Self::PresharedKey,
        Self::Document,
        Self::PskRules,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Node => "node",
            Self::Host => "host",
            Self::ExitGroup => "exit_group",
            Self::Group => "group",
            Self::Link => "link",
            Self::PresharedKey => "preshared_key",
            Self::Document => "document",
            Self::PskRules => "psk_rules",
        }
    }

    /// Returns the table whose rows of this kind belong to a network each.
    const fn table(self) -> Option<&'static str> {
        match self {
            Self::Node => Some("nodes"),
            Self::ExitGroup => Some("exit_groups"),
            Self::Group => Some("node_groups"),
            Self::Network | Self::Host | Self::Link | Self::PresharedKey | Self::Document | Self::PskRules => None,
        }
    }

    fn read(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| Error::Value { table: "state_values", column: "kind".into() })
    }
}

/// An entity of the model by its rows: a pair of interfaces has two. Of rules of preshared keys the other number says whose
/// they are: 0 a network's, 1 a node's, 2 a group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entity {
    kind: Kind,
    id: i64,
    other: i64,
}

impl Entity {
    fn link(self) -> LinkId {
        LinkId::between(InterfaceId(self.id), InterfaceId(self.other))
    }
}

/// One state of the model: when, by whom, what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Counts up from 1.
    pub number: i64,
    /// Since when the model was like that.
    pub time: DateTime<Utc>,
    /// Who made it so; `None` for what was there when the history began.
    pub operator: Option<String>,
    /// Where that person sat, when that was another machine.
    pub address: Option<String>,
    /// Through which face.
    pub source: Option<Source>,
    /// The first entry of the audit log about it.
    pub audit_entry: Option<i64>,
    /// What was changed, in a line.
    pub description: String,
}

/// Which states to list.
#[derive(Clone, Debug, Default)]
pub struct StateFilter {
    /// Only those made at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Only the newest so many.
    pub limit: Option<u32>,
    /// Only those that changed one of these.
    pub about: Option<About>,
}

/// What the history is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Nodes.
    pub nodes: BTreeSet<NodeId>,
    /// Hosts, by their rows.
    pub hosts: BTreeSet<i64>,
}

/// A network at one state, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The network.
    pub topology: Topology,
    /// The hosts again, by their rows: a renamed host is still the same. They are those of all networks.
    pub hosts: BTreeMap<i64, Host>,
    /// The links that have a preshared key, and when it was made.
    pub preshared: BTreeMap<LinkId, DateTime<Utc>>,
    /// The adopted interfaces, and the state at which their configuration got the content it has.
    pub adopted: BTreeMap<InterfaceId, i64>,
    /// What is said of preshared keys, beside the network's own word.
    pub psk_rules: AllPskRules,
}

impl Database {
    /// Lists states, the newest first.
    pub fn states(&self, filter: &StateFilter) -> Result<Vec<State>> {
        let about = match &filter.about {
            None => "1",
            Some(_) => {
                "id IN (SELECT state FROM state_values v JOIN json_each(?3) e ON v.entity = e.value WHERE v.kind = 'node'
                        UNION SELECT state FROM state_values v JOIN json_each(?4) e ON v.entity = e.value
                              WHERE v.kind = 'host'
                        UNION SELECT state FROM state_values v JOIN json_each(?5) e ON v.entity = e.value
                              WHERE v.kind IN ('link', 'preshared_key', 'document')
                        UNION SELECT state FROM state_values v JOIN json_each(?3) e ON v.entity = e.value
                              WHERE v.kind = 'psk_rules' AND v.other = 1
                        UNION SELECT state FROM state_values v JOIN json_each(?5) e ON v.other = e.value
                              WHERE v.kind IN ('link', 'preshared_key'))"
            }
        };
        let sql = format!(
            "SELECT id, time, operator, address, source, audit_id, description FROM states
             WHERE time >= ?1 AND {about} ORDER BY id DESC LIMIT ?2"
        );
        let since = filter.since.map_or(i64::MIN, micros);
        let limit = filter.limit.map_or(-1, i64::from);
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = match &filter.about {
            None => statement.query(params![since, limit])?,
            Some(About { nodes, hosts }) => {
                let interfaces = self.interfaces_ever(nodes)?;
                let list = |ids: &mut dyn Iterator<Item = i64>| Value::from(ids.collect::<Vec<_>>()).to_string();
                let (nodes, hosts) = (list(&mut nodes.iter().map(|id| id.0)), list(&mut hosts.iter().copied()));
                statement.query(params![since, limit, nodes, hosts, list(&mut interfaces.into_iter())])?
            }
        };
        let mut states = Vec::new();
        while let Some(row) = rows.next()? {
            states.push(read_state(&Cells { table: "states", row })?);
        }
        Ok(states)
    }

    /// Reads one state.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn state(&self, number: i64) -> Result<State> {
        let sql = "SELECT id, time, operator, address, source, audit_id, description FROM states WHERE id = ?1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([number])?;
        let row = rows.next()?.ok_or_else(|| Error::NotFound { what: "state", name: number.to_string() })?;
        read_state(&Cells { table: "states", row })
    }

    /// Returns the number of the newest state; `None` before the first change.
    pub fn newest_state(&self) -> Result<Option<i64>> {
        newest(&self.conn)
    }

    /// Returns the earlier state to which the model was brought back by one; `None` for a state that changed something else.
    pub fn returned_to(&self, number: i64) -> Result<Option<i64>> {
        let sql = "SELECT a.details ->> 'state' FROM states s JOIN audit a ON a.id = s.audit_id
                   WHERE s.id = ?1 AND a.action = ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement
            .query_row(params![number, Action::ModelRolledBack.as_str()], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// Returns the number of the state that the model was at at a time; `None` before its history.
    pub fn state_at(&self, time: DateTime<Utc>) -> Result<Option<i64>> {
        let sql = "SELECT max(id) FROM states WHERE time <= ?1";
        Ok(self.conn.prepare_cached(sql)?.query_row([micros(time)], |row| row.get(0))?)
    }

    /// Rebuilds the network as it was at a state.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a state that there isn't, [`Error::NotThen`] for one that is older than the network.
    pub fn model_at(&self, number: i64) -> Result<Model> {
        let _snapshot = self.snapshot()?;
        self.state(number)?;
        let network = self.chosen()?.0;
        let found = Model::read(values_at(&self.conn, number)?, network, groups::inert_grants_until(&self.conn)?)?;
        match found {
            Some(model) => Ok(model),
            None => Err(Error::NotThen { network: self.network()?.name, state: number }),
        }
    }

    /// Returns the nodes of the network and the hosts that have or ever had a name, upper and lower case being the same.
    pub fn ever_named(&self, name: &str) -> Result<About> {
        let mut about = About::default();
        let sql = format!(
            "SELECT DISTINCT kind, entity FROM state_values
             WHERE kind IN ('node', 'host') AND lower(coalesce(value ->> 'name', 'x')) = lower(?1)
               AND (kind = 'host' OR coalesce(value ->> 'network', {FIRST}) = {NETWORK})"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([name])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "state_values", row };
            let (kind, id): (String, i64) = (cells.get(0)?, cells.get(1)?);
            match Kind::read(&kind)? {
                Kind::Host => about.hosts.insert(id),
                _ => about.nodes.insert(NodeId(id)),
            };
        }
        Ok(about)
    }

    /// Returns what a node was last, also when it is gone.
    pub fn last_known(&self, node: NodeId) -> Result<Option<Node>> {
        let sql = "SELECT value FROM state_values WHERE kind = 'node' AND entity = ?1 AND value IS NOT NULL
                   ORDER BY state DESC LIMIT 1";
        let found = self.conn.prepare_cached(sql)?.query_row([node.0], |row| row.get::<_, String>(0)).optional()?;
        found.map(|text| record::to_node(parse(&text)?)).transpose()
    }

    /// Returns what a group of nodes was last, also when it is gone.
    pub fn last_known_group(&self, group: GroupId) -> Result<Option<Group>> {
        let steps = self.entity_steps(Kind::Group, group.0, record::to_group)?;
        Ok(steps.into_iter().filter_map(|(_, group)| group).next_back())
    }

    /// Returns what a node was from each state on that changed it; `None` once it is gone.
    pub fn node_steps(&self, node: NodeId) -> Result<Vec<(i64, Option<Node>)>> {
        self.entity_steps(Kind::Node, node.0, record::to_node)
    }

    /// Returns what the host of a row was from each state on that changed it; `None` once it is gone.
    pub fn host_steps(&self, row: i64) -> Result<Vec<(i64, Option<Host>)>> {
        self.entity_steps(Kind::Host, row, record::to_host)
    }

    /// Returns what a group of exits was from each state on that changed it; `None` once it is gone.
    pub fn exit_group_steps(&self, group: ExitGroupId) -> Result<Vec<(i64, Option<ExitGroup>)>> {
        self.entity_steps(Kind::ExitGroup, group.0, record::to_exit_group)
    }

    /// Returns the numbers of all groups of exits that there are or ever were in the network.
    pub fn exit_groups_ever(&self) -> Result<Vec<ExitGroupId>> {
        let sql = format!(
            "SELECT DISTINCT entity FROM state_values
             WHERE kind = 'exit_group' AND value IS NOT NULL AND coalesce(value ->> 'network', {FIRST}) = {NETWORK}
             ORDER BY entity"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let ids = statement.query_map([], |row| Ok(ExitGroupId(row.get(0)?)))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn entity_steps<T>(&self, kind: Kind, id: i64, read: fn(Value) -> Result<T>) -> Result<Vec<(i64, Option<T>)>> {
        let sql = "SELECT state, value FROM state_values WHERE kind = ?1 AND entity = ?2 ORDER BY state";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![kind.as_str(), id])?;
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "state_values", row };
            let text: Option<String> = cells.get(1)?;
            steps.push((cells.get(0)?, text.map(|text| read(parse(&text)?)).transpose()?));
        }
        Ok(steps)
    }

    /// Returns the rows of every interface that the nodes ever had.
    fn interfaces_ever(&self, nodes: &BTreeSet<NodeId>) -> Result<BTreeSet<i64>> {
        let sql = "SELECT DISTINCT i.value ->> 'id' FROM state_values v, json_each(v.value, '$.interfaces') i
                   WHERE v.kind = 'node' AND v.entity = ?1 AND v.value IS NOT NULL";
        let mut found = BTreeSet::new();
        for node in nodes {
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut rows = statement.query([node.0])?;
            while let Some(row) = rows.next()? {
                found.insert(Cells { table: "state_values", row }.get(0)?);
            }
        }
        Ok(found)
    }
}

fn read_state(cells: &Cells<'_>) -> Result<State> {
    Ok(State {
        number: cells.get(0)?,
        time: cells.time(1)?,
        operator: cells.get(2)?,
        address: cells.get(3)?,
        source: cells.parse_some(4)?,
        audit_entry: cells.get(5)?,
        description: cells.get(6)?,
    })
}

fn newest(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached("SELECT max(id) FROM states")?.query_row([], |row| row.get(0))?)
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| Error::Value { table: "state_values", column: "value".into() })
}

/// Values by entity, and the state at which each became so.
type Values = BTreeMap<Entity, (i64, Value)>;

/// Reads the value that each entity had at a state.
fn values_at(conn: &Connection, number: i64) -> Result<Values> {
    // With max(), SQLite takes the other columns from the row that has it: https://sqlite.org/lang_select.html#bareagg
    let sql = "SELECT kind, entity, other, max(state), value FROM state_values WHERE state <= ?1
               GROUP BY kind, entity, other";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([number])?;
    let mut values = Values::new();
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "state_values", row };
        let Some(text) = cells.get::<Option<String>>(4)? else { continue };
        let kind: String = cells.get(0)?;
        let entity = Entity { kind: Kind::read(&kind)?, id: cells.get(1)?, other: cells.get(2)? };
        values.insert(entity, (cells.get(3)?, parse(&text)?));
    }
    Ok(values)
}

impl Model {
    /// Reads one network; `None` when it wasn't there. `inert_grants_until`: up to this state a grant beside another level
    /// than `custom` permitted nothing.
    fn read(values: Values, of: i64, inert_grants_until: i64) -> Result<Option<Self>> {
        let mut network = None;
        let mut interfaces = BTreeSet::new();
        let (mut nodes, mut links, mut exit_groups) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Vec::new();
        let (mut hosts, mut preshared, mut adopted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut psk_rules = AllPskRules::new();
        for (entity, (since, value)) in values {
            // What stands at interfaces comes after the nodes, which know whose these are.
            let is_own = match entity.kind {
                Kind::Network => entity.id == of,
                Kind::Host => true,
                Kind::Link | Kind::PresharedKey | Kind::Document => interfaces.contains(&entity.id),
                Kind::PskRules => match record::scope(entity.id, entity.other)? {
                    PskScope::Network => entity.id == of,
                    PskScope::Node(id) => nodes.iter().any(|node: &Node| node.id == id),
                    PskScope::Group(id) => groups.iter().any(|group: &Group| group.id == id),
                },
                Kind::Node | Kind::ExitGroup | Kind::Group => record::network_of(&value) == of,
            };
            if !is_own {
                continue;
            }
            match entity.kind {
                Kind::Network => network = Some(record::to_network(value)?),
                // Ordered by id, as the entities are.
                Kind::Node => {
                    let mut node = record::to_node(value)?;
                    interfaces.extend(node.interfaces.iter().map(|interface| interface.id.0));
                    if since <= inert_grants_until && has_inert_grants(&node) {
                        node.grants.clear();
                    }
                    nodes.push(node);
                }
                Kind::Group => groups.push(record::to_group(value)?),
                Kind::Link => links.push(record::to_link(entity.link(), value)?),
                Kind::ExitGroup => exit_groups.push(record::to_exit_group(value)?),
                Kind::Host => {
                    hosts.insert(entity.id, record::to_host(value)?);
                }
                Kind::PresharedKey => {
                    let created = DateTime::from_timestamp_micros(record::to_preshared(value)?.created);
                    preshared.insert(entity.link(), created.unwrap_or_default());
                }
                Kind::Document => {
                    adopted.insert(InterfaceId(entity.id), since);
                }
                Kind::PskRules => {
                    psk_rules.insert(record::scope(entity.id, entity.other)?, record::to_psk_rules(value)?);
                }
            }
        }
        let Some(network) = network else { return Ok(None) };
        let mut by_name: Vec<Host> = hosts.values().cloned().collect();
        by_name.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(Self {
            topology: Topology { network, nodes, hosts: by_name, links, groups, exit_groups },
            hosts,
            preshared,
            adopted,
            psk_rules,
        }))
    }
}

/// Whether a node has grants that permitted nothing while they didn't add to levels.
fn has_inert_grants(node: &Node) -> bool {
    node.access != Access::Custom && !node.grants.is_empty()
}
