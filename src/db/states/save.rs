//! Recording: what a transaction has touched becomes the next state, where it differs from the last.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;
use wg_friend_crypt::DataKey;

use super::{Entity, Kind, Which, document, has_inert_grants, line, newest, parse, record, touched};
use crate::db::error::Result;
use crate::db::networks::FIRST;
use crate::db::row::Cells;
use crate::db::{exit_groups, groups, hosts, links, micros, networks, nodes, psk};
use crate::model::{Actor, Event, InterfaceId, LinkId};

/// Begins the history of a new database.
pub(in crate::db) fn begin(
    conn: &Connection,
    key: &DataKey,
    now: DateTime<Utc>,
    actor: &Actor,
    event: &Event,
) -> Result<()> {
    touched::everything(conn)?;
    save(conn, key, now, Some(actor), &line::of(std::slice::from_ref(event)), Some(1))
}

/// Records what is there as the first state, if the database has no history yet.
pub(in crate::db) fn begin_if_none(conn: &Connection, key: &DataKey, now: DateTime<Utc>) -> Result<()> {
    touched::clear(conn)?;
    if newest(conn)?.is_some() {
        return Ok(());
    }
    touched::everything(conn)?;
    save(conn, key, now, None, "what was there when the history began", None)
}

/// Records what a transaction has changed as the next state; nothing if it changed nothing of the model.
pub(in crate::db) fn append(
    conn: &Connection,
    key: &DataKey,
    now: DateTime<Utc>,
    actor: &Actor,
    events: &[Event],
) -> Result<()> {
    let any: bool =
        conn.prepare_cached("SELECT EXISTS (SELECT * FROM temp.touched)")?.query_row([], |row| row.get(0))?;
    if !any {
        return Ok(());
    }
    let audit = conn.prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM audit")?.query_row([], |row| row.get(0))?;
    let line = match networks::chosen_among_several(conn)? {
        Some(network) if line::is_of_a_network(events) => format!("{network}: {}", line::of(events)),
        _ => line::of(events),
    };
    save(conn, key, now, Some(actor), &line, Some(audit))
}

/// Compares what was touched with the history and records what differs.
fn save(
    conn: &Connection,
    key: &DataKey,
    now: DateTime<Utc>,
    actor: Option<&Actor>,
    description: &str,
    audit: Option<i64>,
) -> Result<()> {
    let number = newest(conn)?.unwrap_or(0) + 1;
    let mut changed = Vec::new();
    for (entity, value) in touched_values(conn)? {
        if differs(conn, key, entity, value.as_deref())? {
            changed.push((entity, value));
        }
    }
    touched::clear(conn)?;
    if changed.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO states (id, time, operator, address, source, audit_id, description)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let address = actor.and_then(|actor| actor.address.as_deref());
    let (operator, source) = (actor.map(|actor| &actor.operator), actor.map(|actor| actor.source.as_str()));
    let values = params![number, micros(now), operator, address, source, audit, description];
    conn.prepare_cached(sql)?.execute(values)?;
    let sql = "INSERT INTO state_values (kind, entity, other, state, value) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut insert = conn.prepare_cached(sql)?;
    for (Entity { kind, id, other }, value) in changed {
        insert.execute(params![kind.as_str(), id, other, number, value])?;
        if kind == Kind::Document && value.is_some() {
            document::keep(conn, key, number, InterfaceId(id))?;
        }
    }
    Ok(())
}

/// Reads the present value of everything that was touched, as it is recorded; `None` for what is gone.
fn touched_values(conn: &Connection) -> Result<BTreeMap<Entity, Option<String>>> {
    let mut values = BTreeMap::new();
    let mut statement = conn.prepare_cached("SELECT kind, entity, other FROM temp.touched WHERE entity IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "touched", row };
        let kind: String = cells.get(0)?;
        values.insert(Entity { kind: Kind::read(&kind)?, id: cells.get(1)?, other: cells.get(2)? }, None);
    }
    let touches = |wanted: Kind| values.keys().any(|entity| entity.kind == wanted);
    let mut found: Vec<(Entity, Value)> = Vec::new();
    let row = |kind: Kind, id: i64| Entity { kind, id, other: 0 };
    let pair = |kind: Kind, link: LinkId| Entity { kind, id: link.ends().0.0, other: link.ends().1.0 };
    if touches(Kind::Network) {
        let networks = networks::load_all(conn)?;
        found.extend(networks.iter().map(|(id, network)| (row(Kind::Network, *id), record::of_network(network))));
    }
    if touches(Kind::Host) {
        let hosts = hosts::load_with_rows(conn)?;
        found.extend(hosts.iter().map(|(id, host)| (row(Kind::Host, *id), record::of_host(host))));
    }
    if touches(Kind::Node) {
        let records = record::Nodes::new();
        let nodes = nodes::load_some(conn, Which::Touched)?;
        found.extend(nodes.iter().map(|node| (row(Kind::Node, node.id.0), records.of(node))));
    }
    if touches(Kind::ExitGroup) {
        let groups = exit_groups::load(conn, Which::Touched)?;
        found.extend(groups.iter().map(|group| (row(Kind::ExitGroup, group.id.0), record::of_exit_group(group))));
    }
    if touches(Kind::Group) {
        let groups = groups::load(conn, Which::Touched)?;
        found.extend(groups.iter().map(|group| (row(Kind::Group, group.id.0), record::of_group(group))));
    }
    if touches(Kind::Link) {
        found.extend(links::load_all(conn)?.into_iter().map(|link| (pair(Kind::Link, link.id), record::of_link(link))));
    }
    if touches(Kind::PresharedKey) {
        let sql = "SELECT p.low_id, p.high_id, p.created FROM preshared_keys p JOIN temp.touched t
                   ON t.kind = 'preshared_key' AND t.entity = p.low_id AND t.other = p.high_id";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "preshared_keys", row };
            let entity = Entity { kind: Kind::PresharedKey, id: cells.get(0)?, other: cells.get(1)? };
            found.push((entity, record::of_preshared(cells.get(2)?)));
        }
    }
    if touches(Kind::Document) {
        let mut statement = conn.prepare_cached("SELECT interface_id FROM documents")?;
        let ids = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        found.extend(ids.into_iter().map(|id| (row(Kind::Document, id), record::present())));
    }
    if touches(Kind::PskRules) {
        for (network, scope, rules) in psk::load_all(conn)? {
            let (id, other) = record::scope_rows(network, scope);
            found.push((Entity { kind: Kind::PskRules, id, other }, record::of_psk_rules(&rules)));
        }
    }
    let homes = networks_of_touched(conn)?;
    for (entity, mut value) in found {
        if let Some(place) = values.get_mut(&entity) {
            homes.get(&entity).into_iter().for_each(|network| record::put_into(&mut value, *network));
            *place = Some(value.to_string());
        }
    }
    Ok(values)
}

/// Returns to which network belongs what was touched, where it isn't the first.
fn networks_of_touched(conn: &Connection) -> Result<BTreeMap<Entity, i64>> {
    let mut homes = BTreeMap::new();
    for kind in Kind::ALL {
        let Some(table) = kind.table() else { continue };
        let sql = format!(
            "SELECT id, network_id FROM {table} WHERE network_id <> {FIRST}
               AND id IN (SELECT entity FROM temp.touched WHERE kind = '{}')",
            kind.as_str()
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = Cells { table, row };
            homes.insert(Entity { kind, id: cells.get(0)?, other: 0 }, cells.get(1)?);
        }
    }
    Ok(homes)
}

/// Whether an entity isn't what the history says last.
fn differs(conn: &Connection, key: &DataKey, entity: Entity, value: Option<&str>) -> Result<bool> {
    let Entity { kind, id, other } = entity;
    let sql = "SELECT value, state FROM state_values WHERE kind = ?1 AND entity = ?2 AND other = ?3
               ORDER BY state DESC LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?));
    let last = conn.prepare_cached(sql)?.query_row(params![kind.as_str(), id, other], read).optional()?;
    let (last, since) = last.unwrap_or((None, 0));
    // The same words said less then.
    if let (Kind::Node, Some(last)) = (kind, &last)
        && since <= groups::inert_grants_until(conn)?
        && has_inert_grants(&record::to_node(parse(last)?)?)
    {
        return Ok(true);
    }
    if kind == Kind::Document && value.is_some() && last.is_some() {
        return document::differs(conn, key, InterfaceId(id));
    }
    Ok(last.as_deref() != value)
}
