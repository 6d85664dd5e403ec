//! WGDashboard: the database `wgdashboard.db`, its settings `wg-dashboard.ini`, and the configurations themselves.
//!
//! Per configuration `wg0` there are tables `wg0` (peers), `wg0_restrict_access` (peers that were shut out and are in no
//! file), `wg0_deleted`, `wg0_transfer` and `wg0_history_endpoint` (`src/modules/WireguardConfiguration.py`); jobs, such as
//! quotas and expiry dates, are in `wgdashboard_job.db`. The server's own keys stand in `wg0.conf` only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::{Cidr, Endpoint, InterfaceName, Port, PrivateKey, PublicKey, Role};
use crate::wg::adopt::View;

use super::error::describe;
use super::ini::Ini;
use super::panel::{self, AtServer, Client};
use super::record::{Record, Wiped};
use super::sqlite::Database;
use super::view::source;
use super::{Around, Foreign, ForeignError, quick};

/// Endings of the tables that belong to a configuration.
const ENDINGS: &[&str] = &["_restrict_access", "_deleted", "_transfer", "_history_endpoint"];
/// Columns by which a table of peers is known.
const COLUMNS: &[&str] = &["id", "private_key", "DNS", "endpoint_allowed_ip", "allowed_ip", "name"];
/// Tables that say nothing about a network.
const OTHERS: &[&str] = &["ConfigurationsInfo", "PeerJobs", "alembic_version"];

/// The configurations in a database: its tables of peers.
fn configurations(database: &Database) -> Result<Vec<String>, ForeignError> {
    let mut found = Vec::new();
    for table in database.tables().filter(|table| !ENDINGS.iter().any(|ending| table.ends_with(ending))) {
        let columns = database.columns(table)?;
        if COLUMNS.iter().all(|column| columns.contains(*column)) {
            found.push(table.to_owned());
        }
    }
    Ok(found)
}

/// Whether it is WGDashboard's.
pub(super) fn is(database: &Database) -> bool {
    configurations(database).is_ok_and(|found| !found.is_empty())
}

/// Reads the database with the files around it.
pub(super) fn read(path: &Path, database: &Database, around: &dyn Around) -> Result<Foreign, ForeignError> {
    let mut foreign = Foreign::default();
    let settings = settings(path, around)?;
    let jobs = jobs(path, around)?;
    let names = configurations(database)?;
    let mut known: Vec<String> = OTHERS.iter().map(|name| (*name).to_owned()).collect();
    for name in &names {
        configuration(path, database, around, name, settings.as_ref(), &jobs, &mut foreign)?;
        known.push(name.clone());
        known.extend(ENDINGS.iter().map(|ending| format!("{name}{ending}")));
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for table in database.others(&known)? {
        foreign.note(source(path, &format!("table {table}")), "doesn't come over: it says nothing about the network");
    }
    Ok(foreign.finish())
}

/// Reads `wg-dashboard.ini`, which lies beside the database or one folder above it.
fn settings(path: &Path, around: &dyn Around) -> Result<Option<Ini>, ForeignError> {
    for folder in [path.parent(), path.parent().and_then(Path::parent)].into_iter().flatten() {
        if let Some(bytes) = around.read(&folder.join("wg-dashboard.ini"))? {
            return Ok(Some(Ini::read(&String::from_utf8_lossy(&bytes))));
        }
    }
    Ok(None)
}

/// What is planned for peers: by configuration and key, in words.
type Jobs = BTreeMap<(String, String), Vec<String>>;

fn jobs(path: &Path, around: &dyn Around) -> Result<Jobs, ForeignError> {
    let mut jobs = Jobs::new();
    let file = path.with_file_name("wgdashboard_job.db");
    if around.read(&file)?.is_none() {
        return Ok(jobs);
    }
    let database = Database::read(&file, "WGDashboard's jobs", around)?;
    for job in database.rows("PeerJobs")?.records() {
        if job.text("ExpireDate")?.is_some() {
            continue; // done, or taken back
        }
        let word = |name: &str| Ok::<_, ForeignError>(job.word(name)?.unwrap_or_default());
        let operator = match job.text("Operator")? {
            Some("lgt") => "is more than",
            Some("lst") => "is less than",
            Some("eq") => "is",
            _ => "isn't",
        };
        let text = format!("{} when {} {operator} {}", word("Action")?, word("Field")?, word("Value")?);
        jobs.entry((word("Configuration")?, word("Peer")?)).or_default().push(text);
    }
    Ok(jobs)
}

/// Finds a configuration's file: beside the database, in the folder above it, or where the settings say.
fn file_of(
    path: &Path,
    around: &dyn Around,
    name: &str,
    settings: Option<&Ini>,
) -> Result<Option<PathBuf>, ForeignError> {
    let given = settings.and_then(|ini| ini.get("Server", "wg_conf_path")).unwrap_or("/etc/wireguard");
    let folders = [path.parent(), path.parent().and_then(Path::parent), Some(Path::new(given))];
    for folder in folders.into_iter().flatten() {
        let file = folder.join(format!("{name}.conf"));
        if around.read(&file)?.is_some() {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn configuration(
    path: &Path,
    database: &Database,
    around: &dyn Around,
    name: &str,
    settings: Option<&Ini>,
    jobs: &Jobs,
    foreign: &mut Foreign,
) -> Result<(), ForeignError> {
    // The name becomes part of a path.
    let interface: InterfaceName = name.parse().map_err(|_| ForeignError::Value {
        file: path.to_owned(),
        place: "the tables' names".to_owned(),
        found: describe(name),
        expected: "the name of an interface".to_owned(),
    })?;
    let Some(file) = file_of(path, around, name, settings)? else {
        let what = format!(
            "{name}.conf isn't beside it, and without it nobody knows the server's key: put a copy of \
             /etc/wireguard/{name}.conf there"
        );
        return Err(ForeignError::missing(path, what));
    };
    let bytes = around.read(&file)?.unwrap_or_default();
    let text = quick::text(&file, &bytes)?;
    let tunnel = quick::read(&file, &text, foreign)?;
    let key = tunnel.private_key.as_ref().map(PrivateKey::public);
    let key = key.ok_or_else(|| ForeignError::missing(&file, "it has no private key"))?;
    let mut common = Common::new(database, name, tunnel.listen_port, settings)?;
    if common.host.is_none() {
        foreign.note(
            source(path, name),
            "where clients dial the server isn't known: it stands in wg-dashboard.ini, which isn't beside the database",
        );
    }
    let mut view = View::new(source(&file, ""), tunnel);
    view.text = Some(text);
    view.interface = Some(interface);
    view.role = Some(Role::Server);

    let mut clients = Vec::new();
    for (table, enabled) in [(name.to_owned(), true), (format!("{name}_restrict_access"), false)] {
        for record in database.rows(&table)?.records() {
            let client = common.client(path, &record, enabled, foreign)?;
            for job in jobs.get(&(name.to_owned(), client.public_key.to_string())).into_iter().flatten() {
                foreign.note(client.label(), format!("WGDashboard would {job}: that doesn't come over"));
            }
            clients.push(client);
        }
    }
    let deleted = database.rows(&format!("{name}_deleted"))?.len();
    if deleted > 0 {
        foreign.note(source(path, name), format!("{deleted} deleted peers are left out"));
    }
    if let Some(text) = common.description.take() {
        foreign.note(source(path, name), format!("has a description in WGDashboard: {text}"));
    }
    panel::assemble(foreign, view, key, clients);
    Ok(())
}

/// What the clients of a configuration have in common.
struct Common {
    host: Option<String>,
    port: Port,
    description: Option<String>,
}

impl Common {
    /// Where clients dial: set for the configuration (`ConfigurationsInfo`), else for all (`wg-dashboard.ini`).
    fn new(database: &Database, name: &str, port: Option<Port>, settings: Option<&Ini>) -> Result<Self, ForeignError> {
        let mut common = Self {
            host: settings.and_then(|ini| ini.get("Peers", "remote_endpoint")).map(str::to_owned),
            port: port.unwrap_or(Port::WIREGUARD),
            description: None,
        };
        for record in database.rows("ConfigurationsInfo")?.records() {
            if record.text("ID")? != Some(name) {
                continue;
            }
            let Some(info) = record.text("Info")? else { continue };
            let info = Wiped(
                serde_json::from_str::<Value>(info)
                    .map_err(|_| record.error("Info", "text that is no JSON".to_owned(), "a JSON object"))?,
            );
            let text = |pointer: &str| info.0.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
            common.description = text("/Description").map(str::to_owned);
            if let Some(host) = text("/OverridePeerSettings/PeerRemoteEndpoint") {
                common.host = Some(host.to_owned());
            }
            let port = info.0.pointer("/OverridePeerSettings/ListenPort");
            let port = port.and_then(|port| {
                port.as_u64().map(|port| port.to_string()).or_else(|| port.as_str().map(str::to_owned))
            });
            if let Some(port) = port.and_then(|port| port.parse().ok()) {
                common.port = port;
            }
        }
        Ok(common)
    }

    fn client(
        &self,
        path: &Path,
        record: &Record<'_>,
        enabled: bool,
        foreign: &mut Foreign,
    ) -> Result<Client, ForeignError> {
        let public_key: PublicKey = record.required_key("id")?;
        let name = record.text("name")?.map(str::to_owned);
        let label = panel::label(name.as_deref(), public_key);
        let addresses = record.addresses("allowed_ip")?.unwrap_or_default();
        let host = record.text("remote_endpoint")?.or(self.host.as_deref());
        let endpoint: Option<Endpoint> = host.and_then(|host| panel::endpoint(host, self.port));
        if let Some(host) = host
            && endpoint.is_none()
        {
            return Err(record.error("remote_endpoint", describe(host), "a host name or an address"));
        }
        Ok(Client {
            source: source(path, record.place()),
            enabled,
            public_key,
            private_key: foreign.private_key(record, "private_key", public_key, &label)?,
            preshared: record.preshared_key("preshared_key")?,
            dns: record.list("DNS")?.unwrap_or_default(),
            mtu: record.number::<u16>("mtu", "a number of bytes")?.filter(|mtu| *mtu > 0),
            hooks: Vec::new(),
            vendor: Vec::new(),
            allowed: record.prefixes("endpoint_allowed_ip")?.unwrap_or_default(),
            endpoint,
            keepalive: record.number::<u16>("keepalive", "a number of seconds")?.filter(|seconds| *seconds > 0),
            at_server: AtServer {
                allowed: addresses.iter().map(|address| Cidr::containing(network(address))).collect(),
                ..AtServer::default()
            },
            addresses,
            name,
        })
    }
}

fn network(address: &crate::model::InterfaceAddr) -> ipnet::IpNet {
    address.network().net()
}
