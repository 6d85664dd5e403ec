//! Which entities a transaction touches: noted by triggers, so that no way of writing can forget to.
//!
//! The triggers belong to the connection, not to the file, and so does the table that they fill: both are always those of
//! this program. A node's LANs, grants, interfaces and keys in use count as the node.

use rusqlite::Connection;

use super::Kind;
use crate::db::error::Result;
use crate::db::networks::NETWORK;

/// Which entities of a kind to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::db) enum Which {
    /// All of the chosen network.
    All,
    /// Those that the transaction under way has touched, of whatever network.
    Touched,
}

impl Which {
    /// Returns the condition in SQL, for the column with an entity's number.
    pub(in crate::db) fn condition(self, kind: Kind, column: &str) -> String {
        match self {
            Self::All => match kind.table() {
                Some(table) => {
                    format!("WHERE {column} IN (SELECT id FROM {table} WHERE network_id = {NETWORK})")
                }
                None => String::new(),
            },
            Self::Touched => {
                format!("WHERE {column} IN (SELECT entity FROM temp.touched WHERE kind = '{}')", kind.as_str())
            }
        }
    }
}

/// A table of the model: the entity that a row belongs to, as SQL over the row `$`.
struct Watched {
    table: &'static str,
    kind: Kind,
    entity: &'static str,
    other: &'static str,
    /// The columns whose change counts; empty for all.
    columns: &'static str,
}

impl Watched {
    const fn row(table: &'static str, kind: Kind, entity: &'static str) -> Self {
        Self { table, kind, entity, other: "0", columns: "" }
    }

    const fn pair(table: &'static str, kind: Kind) -> Self {
        Self { table, kind, entity: "$.low_id", other: "$.high_id", columns: "" }
    }
}

const WATCHED: &[Watched] = &[
    Watched::row("networks", Kind::Network, "$.id"),
    Watched::row("hosts", Kind::Host, "$.id"),
    Watched::row("nodes", Kind::Node, "$.id"),
    Watched::row("exit_groups", Kind::ExitGroup, "$.id"),
    Watched::row("exit_members", Kind::ExitGroup, "$.group_id"),
    Watched::row("node_groups", Kind::Group, "$.id"),
    Watched::row("node_group_members", Kind::Group, "$.group_id"),
    Watched::row("node_group_grants", Kind::Group, "$.group_id"),
    Watched::row("lans", Kind::Node, "$.node_id"),
    Watched::row("lan_selection", Kind::Node, "$.node_id"),
    Watched::row("grants", Kind::Node, "$.node_id"),
    Watched::row("interfaces", Kind::Node, "$.node_id"),
    Watched {
        table: "keys",
        kind: Kind::Node,
        entity: "(SELECT node_id FROM interfaces WHERE id = $.interface_id)", // gone: then the node is noted anyway
        other: "0",
        columns: " OF public_key, interface_id, state",
    },
    Watched::pair("links", Kind::Link),
    Watched::pair("preshared_keys", Kind::PresharedKey),
    Watched::row("documents", Kind::Document, "$.interface_id"),
    Watched {
        table: "psk_rules",
        kind: Kind::PskRules,
        entity: "coalesce($.node_id, $.group_id, $.network_id)",
        other: "CASE WHEN $.node_id IS NOT NULL THEN 1 WHEN $.group_id IS NOT NULL THEN 2 ELSE 0 END",
        columns: "",
    },
];

/// Begins to note what is touched on this connection, outside of transactions.
pub(in crate::db) fn watch(conn: &Connection) -> Result<()> {
    let sql = "SELECT count(*) FROM temp.sqlite_schema WHERE type = 'table' AND name = 'touched'";
    if conn.query_row(sql, [], |row| row.get::<_, i64>(0))? > 0 {
        return Ok(());
    }
    // What is noted already is asked for: within an upsert, SQLite aborts at a conflict whatever the table or the trigger says.
    let mut batch = String::from(
        "BEGIN;
         CREATE TEMP TABLE touched (kind TEXT NOT NULL, entity INTEGER, other INTEGER NOT NULL,
           UNIQUE (kind, entity, other) ON CONFLICT IGNORE);
         CREATE TEMP TRIGGER touch_nodes_of_host AFTER UPDATE OF name ON main.hosts
         BEGIN
           INSERT INTO touched SELECT 'node', id, 0 FROM nodes WHERE host_id = NEW.id;
         END;\n",
    );
    for Watched { table, kind, entity, other, columns } in WATCHED {
        for (action, columns, row) in [("INSERT", "", "NEW"), ("UPDATE", *columns, "NEW"), ("DELETE", "", "OLD")] {
            let (entity, other, kind) = (entity.replace('$', row), other.replace('$', row), kind.as_str());
            batch.push_str(&format!(
                "CREATE TEMP TRIGGER touch_{table}_{action} AFTER {action}{columns} ON main.{table}
                 BEGIN
                   INSERT INTO touched SELECT '{kind}', {entity}, {other} WHERE NOT EXISTS
                     (SELECT 1 FROM touched WHERE kind = '{kind}' AND entity IS {entity} AND other = {other});
                 END;\n"
            ));
        }
    }
    batch.push_str("COMMIT;");
    Ok(conn.execute_batch(&batch)?)
}

/// Forgets what was noted.
pub(super) fn clear(conn: &Connection) -> Result<()> {
    conn.prepare_cached("DELETE FROM temp.touched")?.execute([])?;
    Ok(())
}

/// Notes everything that there is.
pub(super) fn everything(conn: &Connection) -> Result<()> {
    conn.execute_batch(
        "INSERT INTO temp.touched SELECT 'network', id, 0 FROM networks;
         INSERT INTO temp.touched SELECT 'host', id, 0 FROM hosts;
         INSERT INTO temp.touched SELECT 'node', id, 0 FROM nodes;
         INSERT INTO temp.touched SELECT 'exit_group', id, 0 FROM exit_groups;
         INSERT INTO temp.touched SELECT 'group', id, 0 FROM node_groups;
         INSERT INTO temp.touched SELECT 'link', low_id, high_id FROM links;
         INSERT INTO temp.touched SELECT 'preshared_key', low_id, high_id FROM preshared_keys;
         INSERT INTO temp.touched SELECT 'document', interface_id, 0 FROM documents;
         INSERT INTO temp.touched SELECT 'psk_rules', coalesce(node_id, group_id, network_id),
           CASE WHEN node_id IS NOT NULL THEN 1 WHEN group_id IS NOT NULL THEN 2 ELSE 0 END FROM psk_rules;",
    )?;
    Ok(())
}
