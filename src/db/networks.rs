//! Networks, and the topology as a whole.

use rusqlite::Connection;

use super::error::{Error, Result};
use super::row::{Cells, list};
use super::states::Which;
use super::tx::Tx;
use super::{Database, exit_groups, groups, hosts, links, nodes};
use crate::model::{Cidr, Network, Topology};

/// A network's columns, in the order of [`cells`].
const COLUMNS: &str =
    "name, interface, cidr4, cidr6, port, dns, mtu, keepalive, psk, exit_id, exit_group_id, kill_switch,
                       stable_clients";
/// As many places for their values.
const PLACES: &str = "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13";

/// A network as it is kept: the values of [`COLUMNS`].
fn cells(network: &Network) -> impl rusqlite::Params {
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
        network.exit.node().map(|id| id.0),
        network.exit.group().map(|id| id.0),
        network.kill_switch,
        list(&network.stable_clients.iter().map(ToString::to_string).collect::<Vec<_>>()),
    )
}

pub(super) fn insert(conn: &Connection, network: &Network) -> Result<()> {
    conn.execute(&format!("INSERT INTO networks ({COLUMNS}) VALUES ({PLACES})"), cells(network))?;
    Ok(())
}

/// The network that everything belongs to: a database has one so far.
pub(super) const NETWORK: &str = "(SELECT min(id) FROM networks)";

/// Reads the network and its row.
pub(super) fn load(conn: &Connection) -> Result<Option<(i64, Network)>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS}, id FROM networks ORDER BY id LIMIT 1"))?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let cells = Cells { table: "networks", row };
    let network = Network {
        name: cells.parse(0)?,
        interface: cells.parse(1)?,
        cidr4: cells.parse_some(2)?,
        cidr6: cells.parse_some(3)?,
        port: cells.convert(4)?,
        dns: cells.list_some(5)?.unwrap_or_default(),
        mtu: cells.convert(6)?,
        keepalive: cells.get(7)?,
        psk: cells.parse(8)?,
        exit: exit_groups::from_columns(cells.get(9)?, cells.get(10)?, false).unwrap_or_default(),
        kill_switch: cells.get(11)?,
        stable_clients: stable_clients(&cells)?,
    };
    Ok(Some((cells.get(13)?, network)))
}

fn stable_clients(cells: &Cells<'_>) -> Result<Vec<Cidr>> {
    let wrong = |_| Error::Value { table: "networks", column: "stable_clients".into() };
    let prefixes = cells.list_some(12)?.unwrap_or_default();
    prefixes.iter().map(|prefix| prefix.parse().map_err(wrong)).collect()
}

impl Database {
    /// Reads the network.
    pub fn network(&self) -> Result<Network> {
        let found = load(&self.conn)?;
        let (_, network) = found.ok_or_else(|| Error::Damaged { what: "there is no network in it".into() })?;
        Ok(network)
    }

    /// Reads the whole network as of one moment: one query per table.
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
}

impl Tx<'_> {
    /// Replaces every field of the network.
    pub fn update_network(&self, network: &Network) -> Result<()> {
        let sql = format!("UPDATE networks SET ({COLUMNS}) = ({PLACES}) WHERE id = {NETWORK}");
        self.transaction.execute(&sql, cells(network))?;
        Ok(())
    }
}
