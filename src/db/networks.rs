//! Networks, and the topology as a whole.

use rusqlite::{Connection, params};

use super::error::{Error, Result};
use super::row::{Cells, list};
use super::tx::Tx;
use super::{Database, documents, hosts, nodes};
use crate::model::{Network, Topology};

pub(super) fn insert(conn: &Connection, network: &Network) -> Result<()> {
    conn.execute(
        "INSERT INTO networks (name, interface, cidr4, cidr6, port, dns, mtu, keepalive, psk)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            network.name.as_str(),
            network.interface.as_str(),
            network.cidr4.map(|n| n.to_string()),
            network.cidr6.map(|n| n.to_string()),
            network.port.get(),
            list(&network.dns),
            network.mtu.get(),
            network.keepalive,
            network.psk.as_str(),
        ],
    )?;
    Ok(())
}

/// The network that everything belongs to: a database has one so far.
pub(super) const NETWORK: &str = "(SELECT min(id) FROM networks)";

impl Database {
    /// Reads the network.
    pub fn network(&self) -> Result<Network> {
        let sql =
            "SELECT name, interface, cidr4, cidr6, port, dns, mtu, keepalive, psk FROM networks ORDER BY id LIMIT 1";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let row = rows.next()?.ok_or_else(|| Error::Damaged { what: "there is no network in it".into() })?;
        let cells = Cells { table: "networks", row };
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
        })
    }

    /// Reads the whole network as of one moment: one query per table.
    pub fn topology(&self) -> Result<Topology> {
        let _snapshot = self.snapshot()?;
        Ok(Topology {
            network: self.network()?,
            nodes: nodes::load(&self.conn)?,
            hosts: hosts::load(&self.conn)?,
            links: documents::links(&self.conn)?,
        })
    }
}

impl Tx<'_> {
    /// Replaces every field of the network.
    pub fn update_network(&self, network: &Network) -> Result<()> {
        let sql = format!(
            "UPDATE networks SET name = ?1, interface = ?2, cidr4 = ?3, cidr6 = ?4, port = ?5, dns = ?6, mtu = ?7,
             keepalive = ?8, psk = ?9 WHERE id = {NETWORK}"
        );
        self.transaction.execute(
            &sql,
            params![
                network.name.as_str(),
                network.interface.as_str(),
                network.cidr4.map(|n| n.to_string()),
                network.cidr6.map(|n| n.to_string()),
                network.port.get(),
                list(&network.dns),
                network.mtu.get(),
                network.keepalive,
                network.psk.as_str(),
            ],
        )?;
        Ok(())
    }
}
