//! Groups of exits, and the columns that say by which way internet traffic leaves.

use rusqlite::{Connection, params};

use super::error::{Error, Result};
use super::networks::NETWORK;
use super::row::{Cells, merge};
use super::states::{Kind, Which};
use super::tx::Tx;
use super::{Database, micros};
use crate::model::{ActiveExit, Egress, ExitGroup, ExitGroupId, ExitMember, ExitRule, NodeId, Via};

/// Reads groups, ordered by id.
pub(super) fn load(conn: &Connection, which: Which) -> Result<Vec<ExitGroup>> {
    let mut groups: Vec<ExitGroup> = Vec::new();
    let sql = format!(
        "SELECT id, name, active_id, active_since, active_reason FROM exit_groups {} ORDER BY id",
        which.condition(Kind::ExitGroup, "id")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "exit_groups", row };
        let active = match cells.get::<Option<i64>>(2)? {
            Some(exit) => Some(ActiveExit { exit: NodeId(exit), since: cells.time(3)?, reason: cells.parse(4)? }),
            None => None,
        };
        groups.push(ExitGroup { id: ExitGroupId(cells.get(0)?), name: cells.parse(1)?, members: Vec::new(), active });
    }
    let sql = format!(
        "SELECT group_id, exit_id, priority, enabled FROM exit_members {} ORDER BY group_id, priority, exit_id",
        which.condition(Kind::ExitGroup, "group_id")
    );
    merge(conn, (&mut groups, |group: &ExitGroup| group.id.0), "exit_members", &sql, |group, cells| {
        let (exit, priority, enabled) = (NodeId(cells.get(1)?), cells.get(2)?, cells.get(3)?);
        group.members.push(ExitMember { exit, priority, enabled });
        Ok(())
    })?;
    Ok(groups)
}

/// A way to the internet as its columns hold it.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) exit: Option<i64>,
    pub(super) group: Option<i64>,
    /// The numbers of a chain's exits, a JSON list.
    pub(super) via: Option<String>,
    /// Whether it is told to be none.
    pub(super) none: bool,
}

impl From<Option<Egress>> for Columns {
    fn from(way: Option<Egress>) -> Self {
        let list = |via: Via| serde_json::to_string(&via).expect("a list of numbers is JSON");
        way.map_or_else(Self::default, |way| Self {
            exit: way.node().map(|id| id.0),
            group: way.group().map(|id| id.0),
            via: way.via().map(list),
            none: way == Egress::None,
        })
    }
}

impl Columns {
    /// Returns the way, if one is told.
    pub(super) fn way(self, table: &'static str) -> Result<Option<Egress>> {
        let wrong = |_| Error::Value { table, column: "exit_via".into() };
        let via: Option<Via> = self.via.map(|list| serde_json::from_str(&list)).transpose().map_err(wrong)?;
        let exit = self.exit.map(|id| Egress::Node(NodeId(id)));
        let group = self.group.map(|id| Egress::Group(ExitGroupId(id)));
        Ok(via.map(Egress::Via).or(exit).or(group).or(self.none.then_some(Egress::None)))
    }
}

/// Reads a list of rules, or none.
pub(super) fn rules(cells: &Cells<'_>, at: usize) -> Result<Vec<ExitRule>> {
    let wrong = |_| Error::Value { table: cells.table, column: "exit_rules".into() };
    let text: Option<String> = cells.get(at)?;
    text.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text).map_err(wrong))
}

/// Writes rules as [`rules`] reads them.
pub(super) fn rules_text(rules: &[ExitRule]) -> Option<String> {
    let text = || serde_json::to_string(rules).expect("rules are numbers, words and lists");
    (!rules.is_empty()).then(text)
}

fn unknown(id: ExitGroupId) -> Error {
    Error::NotFound { what: "exit group", name: format!("number {}", id.0) }
}

impl Database {
    /// Reads all groups of exits, ordered by id.
    pub fn exit_groups(&self) -> Result<Vec<ExitGroup>> {
        load(&self.conn, Which::All)
    }
}

impl Tx<'_> {
    /// Adds a group with its members. Returns its number: the one in `group` doesn't matter.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name that is taken.
    pub fn insert_exit_group(&self, group: &ExitGroup) -> Result<ExitGroupId> {
        let sql = format!("INSERT INTO exit_groups (network_id, name) VALUES ({NETWORK}, ?1)");
        self.transaction.execute(&sql, [group.name.as_str()])?;
        let id = ExitGroupId(self.transaction.last_insert_rowid());
        self.update_exit_group(&ExitGroup { id, ..group.clone() })?;
        Ok(id)
    }

    /// Replaces every field of a group, its members included.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Duplicate`] for a name that is taken.
    pub fn update_exit_group(&self, group: &ExitGroup) -> Result<()> {
        let sql =
            "UPDATE exit_groups SET name = ?2, active_id = ?3, active_since = ?4, active_reason = ?5 WHERE id = ?1";
        let (exit, since) = (group.active.map(|a| a.exit.0), group.active.map(|a| micros(a.since)));
        let reason = group.active.map(|active| active.reason.as_str());
        let values = params![group.id.0, group.name.as_str(), exit, since, reason];
        if self.transaction.prepare_cached(sql)?.execute(values)? != 1 {
            return Err(unknown(group.id));
        }
        self.transaction.prepare_cached("DELETE FROM exit_members WHERE group_id = ?1")?.execute([group.id.0])?;
        for ExitMember { exit, priority, enabled } in &group.members {
            let sql = "INSERT INTO exit_members (group_id, exit_id, priority, enabled) VALUES (?1, ?2, ?3, ?4)";
            self.transaction.prepare_cached(sql)?.execute(params![group.id.0, exit.0, priority, enabled])?;
        }
        Ok(())
    }

    /// Removes a group.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InUse`] while somebody leaves by it.
    pub fn delete_exit_group(&self, id: ExitGroupId) -> Result<()> {
        match self.transaction.execute("DELETE FROM exit_groups WHERE id = ?1", [id.0])? {
            1 => Ok(()),
            _ => Err(unknown(id)),
        }
    }

    /// Lets go of every exit, so that nodes can be removed and come back in any order: groups are empty then, and the
    /// network has none.
    pub(super) fn clear_exits(&self) -> Result<()> {
        Ok(self.transaction.execute_batch(&format!(
            "UPDATE networks SET exit_id = NULL, exit_group_id = NULL, exit_via = NULL WHERE id = {NETWORK};
             UPDATE exit_groups SET name = ' ' || id, active_id = NULL, active_since = NULL, active_reason = NULL
               WHERE network_id = {NETWORK};
             DELETE FROM exit_members WHERE group_id IN (SELECT id FROM exit_groups WHERE network_id = {NETWORK});"
        ))?)
    }

    /// Makes the groups what they were, once every node is there. Nobody leaves by those that weren't there.
    pub(super) fn return_exit_groups(&self, wanted: &[ExitGroup]) -> Result<()> {
        for group in self.exit_groups_by_number()?.into_iter().filter(|id| wanted.iter().all(|group| group.id != *id)) {
            self.delete_exit_group(group)?;
        }
        for group in wanted {
            let sql =
                format!("INSERT OR IGNORE INTO exit_groups (id, network_id, name) VALUES (?1, {NETWORK}, ' ' || ?1)");
            self.transaction.prepare_cached(&sql)?.execute([group.id.0])?;
            self.update_exit_group(group)?;
        }
        Ok(())
    }

    fn exit_groups_by_number(&self) -> Result<Vec<ExitGroupId>> {
        let ids = self.numbers(&format!("SELECT id FROM exit_groups WHERE network_id = {NETWORK}"))?;
        Ok(ids.into_iter().map(ExitGroupId).collect())
    }
}
