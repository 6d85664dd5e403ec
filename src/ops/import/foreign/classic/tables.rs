//! The tables, row by row.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{Cidr, Endpoint, InterfaceAddr, Port, PresharedKey, PrivateKey, PublicKey};
use crate::wg::{Hook, Phase, Tunnel, TunnelPeer};

use super::super::panel;
use super::super::record::Record;
use super::super::sqlite::Database;
use super::super::view::source;
use super::super::{Foreign, ForeignError};
use super::{Keys, Order, copy};

/// What the endpoint is called when nobody gave one.
const UNKNOWN: &str = "UNKNOWN";

/// A node of any kind; what its table doesn't have is empty.
pub(super) struct Entity {
    pub(super) place: String,
    pub(super) id: i64,
    pub(super) name: Option<String>,
    pub(super) public_key: PublicKey,
    first_key: Option<String>,
    private_key: Option<PrivateKey>,
    pub(super) preshared: Option<PresharedKey>,
    addresses: Vec<InterfaceAddr>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) listen_port: Option<Port>,
    mtu: Option<u16>,
    pub(super) keepalive: Option<u16>,
    pub(super) lans: Vec<Cidr>,
    pub(super) dns: Vec<String>,
    pub(super) access: Option<String>,
    pub(super) allowed: Option<Vec<Cidr>>,
    pub(super) exit: Option<i64>,
    pub(super) wan: Option<String>,
    ssh: Option<String>,
    comments: Vec<String>,
}

/// The coordination server.
pub(super) struct Server {
    pub(super) own: Entity,
    /// Where it is dialled.
    pub(super) endpoint: Option<Endpoint>,
    /// The network's prefixes.
    pub(super) networks: Vec<Cidr>,
}

impl Server {
    pub(super) fn read(record: &Record<'_>, keys: &Keys) -> Result<Self, ForeignError> {
        let mut own = Entity::read(record, keys)?;
        let mut networks = Vec::new();
        for column in ["network_ipv4", "network_ipv6"] {
            networks.extend(record.prefixes(column)?.into_iter().flatten());
        }
        Ok(Self { endpoint: own.endpoint.take(), own, networks })
    }
}

impl Entity {
    fn read(record: &Record<'_>, keys: &Keys) -> Result<Self, ForeignError> {
        let number = |column: &str| record.number::<i64>(column, "a whole number");
        let id = number("id")?.ok_or_else(|| record.error("id", "nothing".to_owned(), "a number"))?;
        let public_key = record.required_key("current_public_key")?;
        let guid = record.text("permanent_guid")?;
        let name = record.text("hostname")?.filter(|name| Some(*name) != guid);
        let listen_port = record.number::<u16>("listen_port", "a port, 1 to 65535")?.and_then(Port::new);
        let mut addresses = Vec::new();
        for column in ["ipv4_address", "ipv6_address"] {
            addresses.extend(record.addresses(column)?.into_iter().flatten());
        }
        let private_key = keys.text(record, "private_key")?;
        let private_key = private_key.map(|text| {
            text.parse()
                .map_err(|_| record.error("private_key", "text that is no key (not shown)".to_owned(), "a private key"))
        });
        let preshared = keys.text(record, "preshared_key")?;
        let preshared = preshared.map(|text| {
            text.parse().map_err(|_| {
                record.error("preshared_key", "text that is no key (not shown)".to_owned(), "a preshared key")
            })
        });
        Ok(Self {
            place: record.place().to_owned(),
            id,
            name: name.map(str::to_owned),
            public_key,
            first_key: guid.filter(|guid| *guid != public_key.to_string()).map(str::to_owned),
            private_key: private_key.transpose()?,
            preshared: preshared.transpose()?,
            addresses,
            endpoint: endpoint(record, listen_port)?,
            listen_port,
            mtu: record.number::<u16>("mtu", "a number of bytes")?.filter(|mtu| *mtu > 0),
            keepalive: record
                .number::<u16>("persistent_keepalive", "a number of seconds")?
                .filter(|seconds| *seconds > 0),
            lans: Vec::new(),
            dns: record.list("dns_servers")?.unwrap_or_default(),
            access: record.text("access_level")?.map(str::to_owned),
            allowed: record.prefixes("allowed_ips")?.filter(|list| !list.is_empty()),
            exit: number("exit_node_id")?,
            wan: record.text("wan_interface")?.map(str::to_owned),
            ssh: ssh(record)?,
            comments: Vec::new(),
        })
    }

    /// What messages call it.
    pub(super) fn label(&self) -> String {
        panel::label(self.name.as_deref(), self.public_key)
    }

    /// Its own side, without peers.
    pub(super) fn tunnel(&self) -> Tunnel {
        Tunnel {
            private_key: self.private_key.as_ref().map(copy),
            addresses: self.addresses.clone(),
            mtu: self.mtu,
            ..Tunnel::default()
        }
    }

    /// Its addresses, each alone.
    pub(super) fn hosts(&self) -> Vec<Cidr> {
        self.addresses.iter().map(|address| Cidr::host(address.address())).collect()
    }

    /// A peer section for it.
    pub(super) fn as_peer(&self, allowed_ips: Vec<Cidr>) -> TunnelPeer {
        TunnelPeer {
            name: self.name.clone(),
            preshared: self.preshared.as_ref().map(panel::twin),
            allowed_ips,
            ..TunnelPeer::new(self.public_key)
        }
    }

    /// What it keeps besides.
    pub(super) fn notes(&self, foreign: &mut Foreign) {
        if let Some(key) = &self.first_key {
            foreign.note(self.label(), format!("its first key was {key}: from now on it goes by its present one"));
        }
        if let Some(ssh) = &self.ssh {
            foreign.note(self.label(), format!("was deployed to {ssh}: add the host with `host add`"));
        }
        if self.private_key.is_none() {
            foreign.note(self.label(), "its private key was never known: only the public one comes over");
        }
        for comment in &self.comments {
            foreign.note(self.label(), format!("has a comment: {comment}"));
        }
    }
}

fn endpoint(record: &Record<'_>, port: Option<Port>) -> Result<Option<Endpoint>, ForeignError> {
    let Some(text) = record.text("endpoint")?.filter(|text| *text != UNKNOWN) else { return Ok(None) };
    let endpoint = panel::endpoint(text, port.unwrap_or(Port::WIREGUARD));
    endpoint.map(Some).ok_or_else(|| {
        record.error(
            "endpoint",
            super::super::error::describe(text),
            "a host name or an address, with or without a port",
        )
    })
}

fn ssh(record: &Record<'_>) -> Result<Option<String>, ForeignError> {
    let Some(host) = record.text("ssh_host")? else { return Ok(None) };
    let user = record.text("ssh_user")?.map(|user| format!("{user}@")).unwrap_or_default();
    let port = record.number::<u16>("ssh_port", "a port, 1 to 65535")?.filter(|port| *port != 22);
    Ok(Some(format!("{user}{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default())))
}

/// Reads a table of nodes that belong to a server.
pub(super) fn entities(
    database: &Database,
    table: &str,
    server: &Server,
    keys: &Keys,
) -> Result<Vec<Entity>, ForeignError> {
    let (mut lans, mut comments) = (lans(database)?, comments(database)?);
    let mut entities = Vec::new();
    for record in database.rows(table)?.records() {
        if record.number::<i64>("cs_id", "a whole number")?.is_some_and(|of| of != server.own.id) {
            continue;
        }
        let mut entity = Entity::read(&record, keys)?;
        if table == "subnet_router" {
            entity.lans = lans.remove(&entity.id).unwrap_or_default();
        }
        if let Some(guid) = record.text("permanent_guid")? {
            entity.comments = comments.remove(guid).unwrap_or_default();
        }
        entities.push(entity);
    }
    Ok(entities)
}

/// Reads the networks behind routers, by the routers' ids.
fn lans(database: &Database) -> Result<BTreeMap<i64, Vec<Cidr>>, ForeignError> {
    let mut lans: BTreeMap<i64, Vec<Cidr>> = BTreeMap::new();
    for record in database.rows("advertised_network")?.records() {
        if let Some(router) = record.number("subnet_router_id", "a whole number")? {
            lans.entry(router).or_default().extend(record.prefixes("network_cidr")?.into_iter().flatten());
        }
    }
    Ok(lans)
}

/// Reads comments in people's own words, by the first keys of those whom they are about.
fn comments(database: &Database) -> Result<BTreeMap<String, Vec<String>>, ForeignError> {
    let mut comments: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in database.rows("comment")?.records() {
        let own_words = matches!(record.text("category")?, Some("custom" | "unclassified" | "rationale"));
        if let (true, Some(guid), Some(text)) = (own_words, record.text("entity_permanent_guid")?, record.text("text")?)
        {
            comments.entry(guid.to_owned()).or_default().push(text.to_owned());
        }
    }
    Ok(comments)
}

/// Reads the hooks of a node, in the order in which they were written: what has no counterpart first, then what comes up,
/// then what goes down.
pub(super) fn hooks(database: &Database, kind: &str, id: i64, singletons: bool) -> Result<Vec<Hook>, ForeignError> {
    let mut hooks = Vec::new();
    let tables = [
        ("command_singleton", "up_commands", Phase::PostUp),
        ("command_pair", "up_commands", Phase::PostUp),
        ("command_pair", "down_commands", Phase::PostDown),
    ];
    for (table, column, phase) in tables.into_iter().filter(|(table, ..)| singletons || *table == "command_pair") {
        let rows = database.rows(table)?;
        let mut found = Vec::new();
        for record in rows.records() {
            if record.text("entity_type")? == Some(kind)
                && record.number::<i64>("entity_id", "a whole number")? == Some(id)
            {
                let place = record.number::<i64>("execution_order", "a whole number")?.unwrap_or(i64::MAX);
                found.push((place, record.list(column)?.unwrap_or_default()));
            }
        }
        found.sort_by_key(|(place, _)| *place);
        let commands = found.into_iter().flat_map(|(_, commands)| commands);
        hooks.extend(commands.map(|command| Hook { phase, command }));
    }
    Ok(hooks)
}

/// Reads the order of the peers in the server's file.
pub(super) fn order(database: &Database, server: i64) -> Result<Order, ForeignError> {
    let mut order = Order::new();
    for record in database.rows("cs_peer_order")?.records() {
        if record.number::<i64>("cs_id", "a whole number")? == Some(server)
            && let (Some(kind), Some(id)) = (record.text("entity_type")?, record.number("entity_id", "a whole number")?)
        {
            let place = record.number::<usize>("display_order", "a whole number")?.unwrap_or(usize::MAX);
            order.insert((kind.to_owned(), id), place);
        }
    }
    Ok(order)
}

/// Says which tables with rows in them don't come over.
pub(super) fn notes(
    path: &Path,
    database: &Database,
    known: &[&str],
    foreign: &mut Foreign,
) -> Result<(), ForeignError> {
    for record in database.rows("extramural_config")?.records() {
        let interface = record.text("interface_name")?.unwrap_or("without a name").to_owned();
        let what = "is a tunnel to a provider: it doesn't come over; import its own configuration";
        foreign.note(source(path, &format!("provider's tunnel {interface}")), what);
    }
    for table in database.others(known)?.iter().filter(|table| *table != "extramural_config") {
        let what = match table.as_str() {
            "key_rotation_history" => "earlier keys don't come over",
            table if table.starts_with("extramural") || matches!(table, "sponsor" | "local_peer" | "ssh_host") => {
                continue;
            }
            _ => "doesn't come over",
        };
        foreign.note(source(path, &format!("table {table}")), what);
    }
    Ok(())
}
