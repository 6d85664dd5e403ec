//! Groups of nodes, and what they and nodes are granted.

use rusqlite::{Connection, params};

use super::error::{Error, Result};
use super::networks::NETWORK;
use super::row::{Cells, merge};
use super::states::{Kind, Which};
use super::tx::Tx;
use super::{exit_groups, micros};
use crate::model::{Destination, Grant, Group, GroupId, NodeId};

/// The columns of a grant, in the order in which [`read_grant`] takes them.
pub(super) const GRANT: &str = "destination, protocol, ports, until, note";

/// Reads a grant from the columns of [`GRANT`], of which the first is at `at`.
pub(super) fn read_grant(cells: &Cells<'_>, at: usize) -> Result<Grant> {
    let wrong = |_| Error::Value { table: cells.table, column: "ports".into() };
    let ports: String = cells.get(at + 2)?;
    let ports = ports.split(',').filter(|p| !p.is_empty()).map(str::parse).collect::<Result<_, _>>().map_err(wrong)?;
    Ok(Grant {
        destination: cells.parse(at)?,
        protocol: cells.parse(at + 1)?,
        ports,
        until: cells.time_some(at + 3)?,
        note: cells.get(at + 4)?,
    })
}

/// Reads groups, ordered by id.
pub(super) fn load(conn: &Connection, which: Which) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let sql = format!(
        "SELECT id, name, note, exit_rules FROM node_groups {} ORDER BY id",
        which.condition(Kind::Group, "id")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "node_groups", row };
        groups.push(Group {
            id: GroupId(cells.get(0)?),
            name: cells.parse(1)?,
            note: cells.get(2)?,
            members: Default::default(),
            grants: Vec::new(),
            exit_rules: exit_groups::rules(&cells, 3)?,
        });
    }
    let of = |group: &Group| group.id.0;
    let condition = which.condition(Kind::Group, "group_id");
    let sql = format!("SELECT group_id, node_id FROM node_group_members {condition} ORDER BY group_id, node_id");
    merge(conn, (&mut groups, of), "node_group_members", &sql, |group, cells| {
        group.members.insert(NodeId(cells.get(1)?));
        Ok(())
    })?;
    let sql = format!("SELECT group_id, {GRANT} FROM node_group_grants {condition} ORDER BY group_id, position");
    merge(conn, (&mut groups, of), "node_group_grants", &sql, |group, cells| {
        group.grants.push(read_grant(cells, 1)?);
        Ok(())
    })?;
    Ok(groups)
}

fn unknown(id: GroupId) -> Error {
    Error::NotFound { what: "group", name: format!("number {}", id.0) }
}

/// Returns the newest state in whose records a grant beside another level than `custom` permits nothing: the model was
/// read so until then.
pub(super) fn inert_grants_until(conn: &Connection) -> Result<i64> {
    let sql = "SELECT after_state FROM grants_add";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

impl Tx<'_> {
    /// Adds a group with its members and grants. Returns its number: the one in `group` doesn't matter.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name that is taken.
    pub fn insert_group(&self, group: &Group) -> Result<GroupId> {
        let sql = format!("INSERT INTO node_groups (network_id, name, note) VALUES ({NETWORK}, ?1, '')");
        self.transaction.execute(&sql, [group.name.as_str()])?;
        let id = GroupId(self.transaction.last_insert_rowid());
        self.update_group(&Group { id, ..group.clone() })?;
        Ok(id)
    }

    /// Replaces every field of a group, its members and grants included.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Duplicate`] for a name that is taken.
    pub fn update_group(&self, group: &Group) -> Result<()> {
        let tx = &self.transaction;
        let id = group.id.0;
        let sql = "UPDATE node_groups SET name = ?2, note = ?3, exit_rules = ?4 WHERE id = ?1";
        let rules = exit_groups::rules_text(&group.exit_rules);
        if tx.prepare_cached(sql)?.execute(params![id, group.name.as_str(), group.note, rules])? != 1 {
            return Err(unknown(group.id));
        }
        for table in ["node_group_members", "node_group_grants"] {
            tx.prepare_cached(&format!("DELETE FROM {table} WHERE group_id = ?1"))?.execute([id])?;
        }
        for member in &group.members {
            let sql = "INSERT INTO node_group_members (group_id, node_id) VALUES (?1, ?2)";
            tx.prepare_cached(sql)?.execute([id, member.0])?;
        }
        self.save_grants(("node_group_grants", "group_id"), id, &group.grants)
    }

    /// Removes a group. What was granted to it or towards it goes with it.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn delete_group(&self, id: GroupId) -> Result<()> {
        self.forget_destination(Destination::Group(id))?;
        match self.transaction.execute("DELETE FROM node_groups WHERE id = ?1", [id.0])? {
            1 => Ok(()),
            _ => Err(unknown(id)),
        }
    }

    /// Takes away what leads to something that goes.
    pub(super) fn forget_destination(&self, destination: Destination) -> Result<()> {
        for table in ["grants", "node_group_grants"] {
            let sql = format!("DELETE FROM {table} WHERE destination = ?1");
            self.transaction.prepare_cached(&sql)?.execute([destination.to_string()])?;
        }
        Ok(())
    }

    /// Writes grants, in order, into a table that has none of their holder.
    pub(super) fn save_grants(&self, (table, holder): (&str, &str), id: i64, grants: &[Grant]) -> Result<()> {
        let sql = format!("INSERT INTO {table} ({holder}, position, {GRANT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
        for (at, grant) in (0_i64..).zip(grants) {
            let ports = grant.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let (destination, until) = (grant.destination.to_string(), grant.until.map(micros));
            let values = params![id, at, destination, grant.protocol.as_str(), ports, until, grant.note];
            self.transaction.prepare_cached(&sql)?.execute(values)?;
        }
        Ok(())
    }

    /// Takes the groups' names away, so that they can be given out anew in any order, and their members and grants.
    pub(super) fn clear_groups(&self) -> Result<()> {
        let own = format!("(SELECT id FROM node_groups WHERE network_id = {NETWORK})");
        Ok(self.transaction.execute_batch(&format!(
            "UPDATE node_groups SET name = ' ' || id WHERE network_id = {NETWORK};
             DELETE FROM node_group_members WHERE group_id IN {own};
             DELETE FROM node_group_grants WHERE group_id IN {own};"
        ))?)
    }

    /// Makes the groups what they were, once every node is there.
    pub(super) fn return_groups(&self, wanted: &[Group]) -> Result<()> {
        let present = self.numbers(&format!("SELECT id FROM node_groups WHERE network_id = {NETWORK}"))?;
        for id in present.into_iter().map(GroupId).filter(|id| wanted.iter().all(|group| group.id != *id)) {
            self.transaction.prepare_cached("DELETE FROM node_groups WHERE id = ?1")?.execute([id.0])?;
        }
        for group in wanted {
            let sql = format!(
                "INSERT OR IGNORE INTO node_groups (id, network_id, name, note) VALUES (?1, {NETWORK}, ' ' || ?1, '')"
            );
            self.transaction.prepare_cached(&sql)?.execute([group.id.0])?;
            self.update_group(group)?;
        }
        Ok(())
    }
}
