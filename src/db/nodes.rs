//! Nodes, with their interfaces, LANs, grants and addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::error::{Error, Result};
use super::groups::{GRANT, read_grant};
use super::networks::NETWORK;
use super::row::{Cells, list, merge};
use super::states::{Kind, Which};
use super::tx::Tx;
use super::{Database, documents, exit_groups, hosts, keys, micros};
use crate::model::{
    Cidr, Destination, Interface, InterfaceId, InterfaceKind, InterfaceName, Lan, Name, Node, NodeId, Port, PrivateKey,
    PublicKey,
};

/// Reads all nodes, ordered by id.
pub(super) fn load(conn: &Connection) -> Result<Vec<Node>> {
    load_some(conn, Which::All)
}

/// Reads nodes, ordered by id: one query per table, merged in order, so that time and memory grow with the nodes alone.
pub(super) fn load_some(conn: &Connection, which: Which) -> Result<Vec<Node>> {
    let condition = which.condition(Kind::Node, "n.id");
    let sql = format!("SELECT count(*) FROM nodes n {condition}");
    // A vector that grows is there twice for a while.
    let count: u32 = conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
    let mut nodes = Vec::with_capacity(count as usize);
    let sql = format!(
        "SELECT n.id, n.guid, n.name, n.role, n.device, n.enabled, n.custody, n.provisional, n.address4, n.address6,
                      n.endpoint, n.keepalive, n.mtu, n.dns, n.outer_interface, n.nat, n.access, n.exit_id, h.name, n.notes,
                      n.origin, n.created, n.server_id,
                      n.exit_group_id, n.exit_none, n.kill_switch, n.routed, n.exit_rules, n.exit_via
               FROM nodes n LEFT JOIN hosts h ON h.id = n.host_id {condition} ORDER BY n.id"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        nodes.push(read(row)?);
    }

    let of = |node: &Node| node.id.0;
    let sql = format!(
        "SELECT i.node_id, i.id, i.name, i.exit_id, i.listen_port, k.public_key, i.kept, s.public_key,
                o.port, o.until, o.over
         FROM interfaces i LEFT JOIN keys k ON k.interface_id = i.id AND k.state = 'active'
                           LEFT JOIN keys s ON s.interface_id = i.id AND s.state = 'staged'
                           LEFT JOIN key_overlaps o ON o.interface_id = i.id {}
         ORDER BY i.node_id, i.id",
        which.condition(Kind::Node, "i.node_id")
    );
    merge(conn, (&mut nodes, of), "interfaces", &sql, |node, cells| {
        node.interfaces.reserve_exact(1); // most nodes have a single one
        let kind = cells.get::<Option<i64>>(3)?.map_or(InterfaceKind::Main, |exit| InterfaceKind::Uplink(NodeId(exit)));
        node.interfaces.push(Interface {
            id: InterfaceId(cells.get(1)?),
            name: cells.parse(2)?,
            kind,
            listen_port: cells.convert_some(4)?,
            public_key: cells.parse(5)?,
            staged_key: cells.parse_some(7)?,
            overlap: keys::read_overlap(cells, 8)?,
            kept: documents::read_kept(cells.get(6)?)?,
        });
        Ok(())
    })?;
    let condition = which.condition(Kind::Node, "node_id");
    let sql = format!("SELECT node_id, cidr, description FROM lans {condition} ORDER BY node_id, position");
    merge(conn, (&mut nodes, of), "lans", &sql, |node, cells| {
        node.lans.push(Lan { cidr: cells.parse(1)?, description: cells.get(2)? });
        Ok(())
    })?;
    let sql = format!("SELECT node_id, cidr FROM lan_selection {condition} ORDER BY node_id");
    merge(conn, (&mut nodes, of), "lan_selection", &sql, |node, cells| {
        node.lan_selection.insert(cells.parse(1)?);
        Ok(())
    })?;
    let sql = format!("SELECT node_id, {GRANT} FROM grants {condition} ORDER BY node_id, position");
    merge(conn, (&mut nodes, of), "grants", &sql, |node, cells| {
        node.grants.push(read_grant(cells, 1)?);
        Ok(())
    })?;

    for node in &mut nodes {
        node.interfaces.sort_by_key(|i| i.kind != InterfaceKind::Main); // the main one is first, whenever it was made
        if node.interfaces.first().is_none_or(|i| i.kind != InterfaceKind::Main) {
            return Err(Error::Damaged { what: format!("node {} has no main interface", node.name) });
        }
    }
    Ok(nodes)
}

fn read(row: &Row<'_>) -> Result<Node> {
    let cells = Cells { table: "nodes", row };
    let way =
        exit_groups::Columns { exit: cells.get(17)?, group: cells.get(23)?, via: cells.get(28)?, none: cells.get(24)? };
    Ok(Node {
        id: NodeId(cells.get(0)?),
        guid: cells.parse(1)?,
        name: cells.parse(2)?,
        role: cells.parse(3)?,
        device: cells.parse_some(4)?,
        enabled: cells.get(5)?,
        custody: cells.parse(6)?,
        provisional: cells.get(7)?,
        address4: cells.parse_some(8)?,
        address6: cells.parse_some(9)?,
        endpoint: cells.parse_some(10)?,
        keepalive: cells.get(11)?,
        mtu: cells.convert_some(12)?,
        dns: cells.list_some(13)?,
        outer_interface: cells.parse_some(14)?,
        nat: cells.get(15)?,
        access: cells.parse(16)?,
        exit: way.way(cells.table)?,
        kill_switch: cells.get(25)?,
        routed: prefixes(&cells, 26)?,
        exit_rules: exit_groups::rules(&cells, 27)?,
        host: cells.parse_some(18)?,
        notes: cells.get(19)?,
        origin: cells.parse(20)?,
        created: cells.time(21)?,
        server: cells.get::<Option<i64>>(22)?.map(NodeId),
        interfaces: Vec::with_capacity(1),
        lans: Vec::new(),
        lan_selection: Default::default(),
        grants: Vec::new(),
    })
}

/// Reads a list of prefixes, or none.
fn prefixes(cells: &Cells<'_>, at: usize) -> Result<BTreeSet<Cidr>> {
    let wrong = |_| Error::Value { table: "nodes", column: "routed".into() };
    let texts = cells.list_some(at)?.unwrap_or_default();
    texts.iter().map(|text| text.parse().map_err(wrong)).collect()
}

fn unknown(id: NodeId) -> Error {
    Error::NotFound { what: "node", name: format!("number {}", id.0) }
}

impl Database {
    /// Returns the addresses of the network that have been freed since a time and aren't taken again: not to be given to
    /// another node while somebody may still use them.
    pub fn released_since(&self, since: DateTime<Utc>) -> Result<Vec<IpAddr>> {
        let sql = format!(
            "SELECT address FROM released_addresses WHERE network_id = {NETWORK} AND released >= ?1 ORDER BY address"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([micros(since)])?;
        let mut addresses = Vec::new();
        while let Some(row) = rows.next()? {
            addresses.push(Cells { table: "released_addresses", row }.parse(0)?);
        }
        Ok(addresses)
    }
}

impl Tx<'_> {
    /// Adds a node with its main interface and that interface's first key. Returns it as stored.
    ///
    /// The numbers in `node.id` and `node.interfaces[0].id` are assigned here; what they were doesn't matter. Uplinks are
    /// added afterwards, with [`Tx::insert_uplink`]. The first key counts as made at `node.created`.
    ///
    /// # Errors
    /// [`Error::Duplicate`] for a name, address, guid or key that is taken; [`Error::KeyMismatch`].
    pub fn insert_node(&self, mut node: Node, private: Option<&PrivateKey>) -> Result<Node> {
        let [Interface { kind: InterfaceKind::Main, .. }] = node.interfaces[..] else {
            return Err(Error::Refused("a new node has exactly one interface, its main one"));
        };
        let sql = format!(
            "INSERT INTO nodes (network_id, guid, created, name, role, device, enabled, custody, provisional, address4,
               address6, endpoint, keepalive, mtu, dns, outer_interface, nat, access, exit_id, host_id, notes, origin)
             VALUES ({NETWORK}, ?1, ?2, '', '', NULL, 1, '', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, '', NULL, NULL,
               '', '')"
        );
        self.transaction.execute(&sql, params![node.guid.to_string(), micros(node.created)])?;
        node.id = NodeId(self.transaction.last_insert_rowid());
        self.save_fields(&node)?;
        self.save_lists(&node)?;
        let main = &mut node.interfaces[0];
        main.id = self.add_interface(node.id, &main.name, None, main.listen_port)?;
        if main.kept.is_some() {
            self.save_interface(node.id, main)?;
        }
        self.insert_key(main.id, main.public_key, private, node.created)?;
        node.created = DateTime::from_timestamp_micros(micros(node.created)).unwrap_or(node.created);
        Ok(node)
    }

    /// Replaces every field of a node that can change, the names and ports of its interfaces included.
    ///
    /// Keys are replaced with [`Tx::replace_key`], interfaces added and removed on their own; guid and creation stay. An
    /// address that the node gives up counts as released at `now`.
    pub fn update_node(&self, node: &Node, now: DateTime<Utc>) -> Result<()> {
        let before = self.addresses(node.id)?.ok_or_else(|| unknown(node.id))?;
        let after = [node.address4.map(IpAddr::from), node.address6.map(IpAddr::from)];
        for address in before.into_iter().flatten().filter(|a| !after.contains(&Some(*a))) {
            self.release(address, now)?;
        }
        self.save_fields(node)?;
        self.save_lists(node)?;
        node.interfaces.iter().try_for_each(|interface| self.save_interface(node.id, interface))
    }

    pub(super) fn save_interface(&self, node: NodeId, interface: &Interface) -> Result<()> {
        let sql = "UPDATE interfaces SET name = ?1, listen_port = ?2, kept = ?3 WHERE id = ?4 AND node_id = ?5";
        let (name, port) = (interface.name.as_str(), interface.listen_port.map(Port::get));
        let kept = documents::kept(interface.kept.as_ref());
        match self.transaction.prepare_cached(sql)?.execute(params![name, port, kept, interface.id.0, node.0])? {
            1 => Ok(()),
            _ => Err(Error::NotFound { what: "interface", name: format!("{} of node {}", interface.name, node.0) }),
        }
    }

    /// Takes from a node what others it relies on: for nodes that go together, in whatever order.
    ///
    /// # Errors
    /// When the database can't be written.
    pub fn release_ties(&self, id: NodeId) -> Result<()> {
        let sql =
            "UPDATE nodes SET server_id = NULL, exit_id = NULL, exit_group_id = NULL, exit_via = NULL WHERE id = ?1";
        self.transaction.execute(sql, [id.0])?;
        Ok(())
    }

    /// Removes a node with its interfaces. Its keys are kept apart, sealed, for a return to an earlier state. Its
    /// addresses count as released at `now`.
    ///
    /// # Errors
    /// [`Error::InUse`] while others rely on it: as their server, exit or member of a group of exits, or by an uplink to it.
    pub fn delete_node(&self, id: NodeId, now: DateTime<Utc>) -> Result<()> {
        for address in self.addresses(id)?.ok_or_else(|| unknown(id))?.into_iter().flatten() {
            self.release(address, now)?;
        }
        self.forget_destination(Destination::Node(id))?;
        self.keep_of_node(id)?;
        self.transaction.execute("DELETE FROM nodes WHERE id = ?1", [id.0])?;
        Ok(())
    }

    /// Adds a server's interface towards an exit, with its first key.
    #[expect(clippy::too_many_arguments, reason = "one for each column; a struct would be used here only")]
    pub fn insert_uplink(
        &self,
        server: NodeId,
        exit: NodeId,
        name: &InterfaceName,
        listen_port: Option<Port>,
        public: PublicKey,
        private: Option<&PrivateKey>,
        now: DateTime<Utc>,
    ) -> Result<InterfaceId> {
        let id = self.add_interface(server, name, Some(exit), listen_port)?;
        self.insert_key(id, public, private, now)?;
        Ok(id)
    }

    /// Removes an uplink. Its keys and preshared keys are kept apart, sealed, for a return to an earlier state.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a main interface, which goes only with its node.
    pub fn delete_interface(&self, id: InterfaceId) -> Result<()> {
        self.keep_of_interface(id)?;
        let sql = "DELETE FROM interfaces WHERE id = ?1 AND exit_id IS NOT NULL";
        match self.transaction.execute(sql, [id.0])? {
            1 => Ok(()),
            _ => Err(Error::NotFound { what: "uplink", name: format!("number {}", id.0) }),
        }
    }

    fn add_interface(
        &self,
        node: NodeId,
        name: &InterfaceName,
        exit: Option<NodeId>,
        listen_port: Option<Port>,
    ) -> Result<InterfaceId> {
        let sql = "INSERT INTO interfaces (node_id, name, exit_id, listen_port) VALUES (?1, ?2, ?3, ?4)";
        let values = params![node.0, name.as_str(), exit.map(|e| e.0), listen_port.map(Port::get)];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        Ok(InterfaceId(self.transaction.last_insert_rowid()))
    }

    pub(super) fn save_fields(&self, node: &Node) -> Result<()> {
        let host = node.host.as_ref().map(|name: &Name| hosts::known_row_id(&self.transaction, name)).transpose()?;
        let way = exit_groups::Columns::from(node.exit);
        let sql = "UPDATE nodes SET name = ?2, role = ?3, device = ?4, enabled = ?5, custody = ?6, provisional = ?7,
                     address4 = ?8, address6 = ?9, endpoint = ?10, keepalive = ?11, mtu = ?12, dns = ?13,
                     outer_interface = ?14, nat = ?15, access = ?16, exit_id = ?17, host_id = ?18, notes = ?19, origin = ?20,
                     server_id = ?21, exit_group_id = ?22, exit_none = ?23, kill_switch = ?24, routed = ?25,
                     exit_rules = ?26, exit_via = ?27
                   WHERE id = ?1";
        self.transaction.prepare_cached(sql)?.execute(params![
            node.id.0,
            node.name.as_str(),
            node.role.as_str(),
            node.device.map(|d| d.as_str()),
            node.enabled,
            node.custody.as_str(),
            node.provisional,
            node.address4.map(|a| a.to_string()),
            node.address6.map(|a| a.to_string()),
            node.endpoint.as_ref().map(|e| e.to_string()),
            node.keepalive,
            node.mtu.map(|m| m.get()),
            node.dns.as_deref().map(list),
            node.outer_interface.as_ref().map(|i| i.as_str()),
            node.nat,
            node.access.as_str(),
            way.exit,
            host,
            node.notes,
            node.origin.as_str(),
            node.server.map(|s| s.0),
            way.group,
            way.none,
            node.kill_switch,
            (!node.routed.is_empty()).then(|| list(&node.routed.iter().map(Cidr::to_string).collect::<Vec<_>>())),
            exit_groups::rules_text(&node.exit_rules),
            way.via,
        ])?;
        for address in [node.address4.map(IpAddr::from), node.address6.map(IpAddr::from)].into_iter().flatten() {
            let sql = format!("DELETE FROM released_addresses WHERE network_id = {NETWORK} AND address = ?1");
            self.transaction.prepare_cached(&sql)?.execute([address.to_string()])?;
        }
        Ok(())
    }

    pub(super) fn save_lists(&self, node: &Node) -> Result<()> {
        let tx = &self.transaction;
        let id = node.id.0;
        for table in ["lans", "lan_selection", "grants"] {
            tx.prepare_cached(&format!("DELETE FROM {table} WHERE node_id = ?1"))?.execute([id])?;
        }
        for (at, lan) in (0_i64..).zip(&node.lans) {
            let sql = "INSERT INTO lans (node_id, position, cidr, description) VALUES (?1, ?2, ?3, ?4)";
            tx.prepare_cached(sql)?.execute(params![id, at, lan.cidr.to_string(), lan.description])?;
        }
        for cidr in &node.lan_selection {
            let sql = "INSERT INTO lan_selection (node_id, cidr) VALUES (?1, ?2)";
            tx.prepare_cached(sql)?.execute(params![id, cidr.to_string()])?;
        }
        self.save_grants(("grants", "node_id"), id, &node.grants)
    }

    fn addresses(&self, id: NodeId) -> Result<Option<[Option<IpAddr>; 2]>> {
        let mut statement = self.transaction.prepare_cached("SELECT address4, address6 FROM nodes WHERE id = ?1")?;
        let read = |row: &Row<'_>| {
            let cells = Cells { table: "nodes", row };
            Ok((|| Ok([cells.parse_some(0)?, cells.parse_some(1)?]))())
        };
        statement.query_row([id.0], read).optional()?.transpose()
    }

    pub(super) fn release(&self, address: IpAddr, now: DateTime<Utc>) -> Result<()> {
        let sql = format!(
            "INSERT OR REPLACE INTO released_addresses (network_id, address, released) VALUES ({NETWORK}, ?1, ?2)"
        );
        self.transaction.prepare_cached(&sql)?.execute(params![address.to_string(), micros(now)])?;
        Ok(())
    }
}
