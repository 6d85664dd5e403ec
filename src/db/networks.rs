//! Networks, which of them is chosen, and the topology as a whole.
//!
//! A database has one network or several. Each connection has chosen one of them, or none while there are several and nobody
//! has said which: a table of the connection's own holds its row, [`NETWORK`] reads it, and what is read and written of the
//! model is that network's part. Hosts belong to no network: nodes of several may live on one.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::error::{Error, Result};
use super::row::{Cells, list};
use super::states::Which;
use super::tx::Tx;
use super::{Database, exit_groups, groups, hosts, links, nodes};
use crate::model::{
    Cidr, Destination, GroupId, InterfaceId, InterfaceName, Name, Network, NetworkId, NodeId, Port, Topology,
};

/// A network's columns, in the order of [`cells`].
const COLUMNS: &str =
    "name, interface, cidr4, cidr6, port, dns, mtu, keepalive, psk, exit_id, exit_group_id, kill_switch,
                       stable_clients, exit_rules, exit_via";
/// As many places for their values.
const PLACES: &str = "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15";

/// A network as it is kept: the values of [`COLUMNS`].
fn cells(network: &Network) -> impl rusqlite::Params {
    let way = exit_groups::Columns::from(Some(network.exit));
    (
        network.name.as_str().to_owned(),
        network.interface.as_str().to_owned(),
        network.cidr4.map(|n| n.to_string()),
        network.cidr6.map(|n| n.to_string()),
        network.port.get(),
        list(&network.dns),
        network.mtu.get(),
        network.keepalive,
        network.psk.as_str(),
        way.exit,
        way.group,
        network.kill_switch,
        list(&network.stable_clients.iter().map(ToString::to_string).collect::<Vec<_>>()),
        exit_groups::rules_text(&network.exit_rules),
        way.via,
    )
}

pub(super) fn insert(conn: &Connection, network: &Network) -> Result<()> {
    conn.execute(&format!("INSERT INTO networks ({COLUMNS}) VALUES ({PLACES})"), cells(network))?;
    Ok(())
}

/// The row of the network that was chosen, as SQL; NULL while none is.
pub(super) const NETWORK: &str = "(SELECT id FROM temp.chosen)";

/// The rows of its interfaces, as SQL.
pub(super) const INTERFACES: &str = "(SELECT i.id FROM interfaces i JOIN nodes n ON n.id = i.node_id
                                      WHERE n.network_id = (SELECT id FROM temp.chosen))";

/// The network that a database was made with: what is from before there could be others is its.
pub(super) const FIRST: i64 = 1;

/// Lets a connection choose a network: the only one is chosen.
pub(super) fn prepare(conn: &Connection) -> Result<()> {
    Ok(conn.execute_batch(
        "CREATE TEMP TABLE chosen (id INTEGER, wanted TEXT);
         INSERT INTO temp.chosen (id) SELECT CASE count(*) WHEN 1 THEN min(id) END FROM main.networks;",
    )?)
}

fn choose_row(conn: &Connection, row: Option<i64>) -> Result<()> {
    conn.prepare_cached("UPDATE temp.chosen SET id = ?1, wanted = NULL")?.execute([row])?;
    Ok(())
}

fn chosen_row(conn: &Connection) -> Result<Option<i64>> {
    Ok(conn.prepare_cached(&format!("SELECT {NETWORK}"))?.query_row([], |row| row.get(0))?)
}

/// Returns the name of the chosen network where there are others.
pub(super) fn chosen_among_several(conn: &Connection) -> Result<Option<Name>> {
    let several: bool = conn.prepare_cached("SELECT count(*) > 1 FROM networks")?.query_row([], |row| row.get(0))?;
    Ok(if several { load(conn)?.map(|network| network.name) } else { None })
}

/// Reads all networks with their rows, in the order in which they were made.
pub(super) fn load_all(conn: &Connection) -> Result<Vec<(i64, Network)>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS}, id FROM networks ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut networks = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = Cells { table: "networks", row };
        networks.push((cells.get(15)?, read(&cells)?));
    }
    Ok(networks)
}

/// Reads the chosen network.
fn load(conn: &Connection) -> Result<Option<Network>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM networks WHERE id = {NETWORK}"))?;
    let mut rows = statement.query([])?;
    let row = rows.next()?;
    row.map(|row| read(&Cells { table: "networks", row })).transpose()
}

fn read(cells: &Cells<'_>) -> Result<Network> {
    let way = exit_groups::Columns { exit: cells.get(9)?, group: cells.get(10)?, via: cells.get(14)?, none: false };
    Ok(Network {
        name: cells.parse(0)?,
        interface: cells.parse(1)?,
        cidr4: cells.parse_some(2)?,
        cidr6: cells.parse_some(3)?,
        port: cells.convert(4)?,
        dns: cells.list_some(5)?.unwrap_or_default(),
        mtu: cells.convert(6)?,
        keepalive: cells.get(7)?,
        psk: cells.parse(8)?,
        exit: way.way(cells.table)?.unwrap_or_default(),
        kill_switch: cells.get(11)?,
        stable_clients: stable_clients(cells)?,
        exit_rules: exit_groups::rules(cells, 13)?,
    })
}

fn stable_clients(cells: &Cells<'_>) -> Result<Vec<Cidr>> {
    let wrong = |_| Error::Value { table: "networks", column: "stable_clients".into() };
    let prefixes = cells.list_some(12)?.unwrap_or_default();
    prefixes.iter().map(|prefix| prefix.parse().map_err(wrong)).collect()
}

impl Database {
    /// Chooses a network by its name, upper and lower case being the same; without a name, the only one. That there is none
    /// of the name, or several and none is named, is an error only once one is needed: [`Database::chosen`].
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn choose(&self, name: Option<&str>) -> Result<()> {
        let networks = load_all(&self.conn)?;
        let Some(name) = name else {
            return choose_row(&self.conn, if let [(only, _)] = networks[..] { Some(only) } else { None });
        };
        let row = networks.iter().find(|(_, network)| same(network.name.as_str(), name)).map(|(row, _)| *row);
        choose_row(&self.conn, row)?;
        if row.is_none() {
            self.conn.prepare_cached("UPDATE temp.chosen SET wanted = ?1")?.execute([name])?;
        }
        Ok(())
    }

    /// Chooses a network, whatever it is called by now. Returns whether it is still there.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn choose_again(&self, network: NetworkId) -> Result<bool> {
        let is_there = load_all(&self.conn)?.iter().any(|(row, _)| *row == network.0);
        choose_row(&self.conn, is_there.then_some(network.0))?;
        Ok(is_there)
    }

    /// Chooses the network that another connection has chosen.
    pub(super) fn choose_as(&self, other: &Self) -> Result<()> {
        choose_row(&self.conn, chosen_row(&other.conn)?)
    }

    /// Returns which network is chosen.
    ///
    /// # Errors
    /// [`Error::UnknownNetwork`] when one was named that isn't there, [`Error::NoNetworkChosen`] while there are several and
    /// none of them is.
    pub fn chosen(&self) -> Result<NetworkId> {
        if let Some(row) = chosen_row(&self.conn)? {
            return Ok(NetworkId(row));
        }
        let known = names(load_all(&self.conn)?);
        let wanted: Option<String> =
            self.conn.prepare_cached("SELECT wanted FROM temp.chosen")?.query_row([], |row| row.get(0))?;
        Err(match wanted {
            Some(name) => Error::UnknownNetwork { name, known },
            None => Error::NoNetworkChosen { known },
        })
    }

    /// Returns whether another network than the chosen one has a name, upper and lower case being the same.
    pub(super) fn is_name_of_another(&self, name: &Name) -> Result<bool> {
        let chosen = chosen_row(&self.conn)?;
        let mut others = load_all(&self.conn)?.into_iter().filter(|(row, _)| Some(*row) != chosen);
        Ok(others.any(|(_, network)| same(network.name.as_str(), name.as_str())))
    }

    /// Lists all networks, in the order in which they were made.
    pub fn networks(&self) -> Result<Vec<(NetworkId, Network)>> {
        Ok(load_all(&self.conn)?.into_iter().map(|(row, network)| (NetworkId(row), network)).collect())
    }

    /// Reads the chosen network.
    pub fn network(&self) -> Result<Network> {
        self.chosen()?;
        load(&self.conn)?.ok_or_else(|| Error::Damaged { what: "there is no network in it".into() })
    }

    /// Reads the whole of the chosen network as of one moment: one query per table. Hosts are those of all networks.
    pub fn topology(&self) -> Result<Topology> {
        let _snapshot = self.snapshot()?;
        Ok(Topology {
            network: self.network()?,
            nodes: nodes::load(&self.conn)?,
            hosts: hosts::load(&self.conn)?,
            links: links::load(&self.conn)?,
            groups: groups::load(&self.conn, Which::All)?,
            exit_groups: self.exit_groups()?,
        })
    }

    /// Reads the whole of another network than the chosen one, which stays chosen.
    pub fn topology_of(&self, network: NetworkId) -> Result<Topology> {
        let before = chosen_row(&self.conn)?;
        choose_row(&self.conn, Some(network.0))?;
        let topology = self.topology();
        choose_row(&self.conn, before)?;
        topology
    }

    /// Reads the other networks that share a host with the chosen one.
    pub fn neighbours(&self) -> Result<Vec<Topology>> {
        let sql = format!(
            "SELECT DISTINCT network_id FROM nodes WHERE network_id <> {NETWORK} AND host_id IN
               (SELECT host_id FROM nodes WHERE network_id = {NETWORK} AND host_id IS NOT NULL) ORDER BY network_id"
        );
        let rows = self.numbers(&sql)?;
        rows.into_iter().map(|row| self.topology_of(NetworkId(row))).collect()
    }

    /// Returns which of some interfaces, present or gone, are those of other networks.
    pub fn of_others(&self, interfaces: &[InterfaceId]) -> Result<BTreeSet<InterfaceId>> {
        let chosen = self.chosen()?.0;
        let sql = format!(
            "SELECT coalesce((SELECT n.network_id FROM interfaces i JOIN nodes n ON n.id = i.node_id WHERE i.id = ?1),
                             (SELECT network_id FROM removed_interfaces WHERE interface_id = ?1), {FIRST})"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut others = BTreeSet::new();
        for id in interfaces {
            if statement.query_row([id.0], |row| row.get::<_, i64>(0))? != chosen {
                others.insert(*id);
            }
        }
        Ok(others)
    }

    /// Lists the nodes of other networks that live on hosts: host, network and node, in this order.
    pub fn residents_of_others(&self) -> Result<Vec<(Name, Name, Name)>> {
        let sql = format!(
            "SELECT h.name, w.name, n.name FROM nodes n JOIN hosts h ON h.id = n.host_id JOIN networks w ON w.id = n.network_id
             WHERE n.network_id IS NOT {NETWORK} ORDER BY 1, 2, 3"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut residents = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "nodes", row };
            residents.push((cells.parse(0)?, cells.parse(1)?, cells.parse(2)?));
        }
        Ok(residents)
    }

    /// Lists the names and ports that interfaces of other networks have, each network's own for its servers among them, and the
    /// ports at which next keys are dialled.
    pub fn interfaces_of_others(&self) -> Result<Vec<(InterfaceName, Option<Port>)>> {
        let sql = format!(
            "SELECT DISTINCT i.name, i.listen_port FROM interfaces i JOIN nodes n ON n.id = i.node_id
             WHERE n.network_id IS NOT {NETWORK}
             UNION SELECT i.name, o.port FROM key_overlaps o JOIN interfaces i ON i.id = o.interface_id
             JOIN nodes n ON n.id = i.node_id WHERE n.network_id IS NOT {NETWORK}
             UNION SELECT interface, port FROM networks WHERE id IS NOT {NETWORK}"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = Cells { table: "interfaces", row };
            found.push((cells.parse(0)?, cells.convert_some(1)?));
        }
        Ok(found)
    }

    /// Reads a column of numbers.
    pub(super) fn numbers(&self, sql: &str) -> Result<Vec<i64>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}

/// Whether two names are the same to people.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn names(networks: Vec<(i64, Network)>) -> Vec<Name> {
    networks.into_iter().map(|(_, network)| network.name).collect()
}

impl Tx<'_> {
    /// Adds a network. The chosen one stays chosen.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name that is taken.
    pub fn insert_network(&self, network: &Network) -> Result<NetworkId> {
        insert(&self.transaction, network)?;
        Ok(NetworkId(self.transaction.last_insert_rowid()))
    }

    /// Replaces every field of the network.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name that another network has, upper and lower case being the same.
    pub fn update_network(&self, network: &Network) -> Result<()> {
        if self.is_name_of_another(&network.name)? {
            return Err(Error::Duplicate { what: format!("another network called `{}`", network.name) });
        }
        let sql = format!("UPDATE networks SET ({COLUMNS}) = ({PLACES}) WHERE id = {NETWORK}");
        self.transaction.execute(&sql, cells(network))?;
        Ok(())
    }

    /// Removes the chosen network with all that is in it; then none is chosen. The keys of its nodes are kept apart, sealed.
    pub fn delete_network(&self) -> Result<()> {
        let id = self.chosen()?.0;
        let nodes = self.numbers(&format!("SELECT id FROM nodes WHERE network_id = {NETWORK} ORDER BY id"))?;
        for node in &nodes {
            self.keep_of_node(NodeId(*node))?;
        }
        self.clear_exits()?;
        self.clear_groups()?;
        let groups = self.numbers(&format!("SELECT id FROM node_groups WHERE network_id = {NETWORK}"))?;
        for group in groups {
            self.forget_destination(Destination::Group(GroupId(group)))?;
        }
        for sql in [
            "UPDATE nodes SET exit_id = NULL, exit_group_id = NULL, exit_via = NULL, server_id = NULL WHERE network_id = ?1",
            "DELETE FROM interfaces WHERE exit_id IS NOT NULL AND node_id IN (SELECT id FROM nodes WHERE network_id = ?1)",
            "DELETE FROM exit_groups WHERE network_id = ?1",
            "DELETE FROM node_groups WHERE network_id = ?1",
            "DELETE FROM nodes WHERE network_id = ?1",
            "DELETE FROM networks WHERE id = ?1",
        ] {
            self.transaction.execute(sql, [id])?;
        }
        choose_row(&self.transaction, None)
    }
}
