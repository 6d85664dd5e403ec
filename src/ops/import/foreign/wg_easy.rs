//! wg-easy from version 15 on: the database `wg-easy.db`, and `wg0.conf` beside it.
//!
//! Tables `interfaces_table`, `hooks_table`, `user_configs_table` and `clients_table`, as its migrations make them
//! (`src/server/database/migrations`); what it writes of them into files, `src/server/utils/wgHelper.ts` says. Columns that
//! came with later releases may be missing.

use std::net::IpAddr;
use std::path::Path;

use crate::model::{Cidr, InterfaceAddr, Port, PublicKey, Role};
use crate::wg::adopt::View;
use crate::wg::{Phase, Tunnel};

use super::panel::{self, AtServer, Client};
use super::record::Record;
use super::sqlite::{Database, Rows};
use super::view::{hooks, source};
use super::{Around, Foreign, ForeignError};

/// What the keys are until wg-easy is set up.
const UNSET: &str = "---default---";
/// It has one interface; more than one may come with a later release.
const INTERFACES: usize = 100;
/// Tables that are read, and such as mean nothing elsewhere.
const KNOWN: &[&str] = &[
    "interfaces_table",
    "hooks_table",
    "user_configs_table",
    "clients_table",
    "general_table",
    "__drizzle_migrations",
    "sessions_table",
];

/// Whether it is wg-easy's.
pub(super) fn is(database: &Database) -> bool {
    ["interfaces_table", "clients_table", "user_configs_table"].iter().all(|table| database.has(table))
}

/// Reads the database, with the configuration beside it.
pub(super) fn read(path: &Path, database: &Database, around: &dyn Around) -> Result<Foreign, ForeignError> {
    let mut foreign = Foreign::default();
    let (hooks_table, defaults) = (database.rows("hooks_table")?, database.rows("user_configs_table")?);
    let (interfaces, clients) = (database.rows("interfaces_table")?, database.rows("clients_table")?);
    if interfaces.len() > INTERFACES {
        let (file, found) = (path.to_owned(), interfaces.len() as u64);
        return Err(ForeignError::TooLarge { file, what: "interfaces", found, limit: INTERFACES as u64 });
    }
    for record in interfaces.records() {
        let interface = Interface::read(&record, find(&defaults, &record)?)?;
        let mut view = interface.view(path, &record, find(&hooks_table, &record)?.as_ref())?;
        if interface.awg {
            foreign.note(
                view.source.clone(),
                "AmneziaWG's settings are stored, but only a wg-easy that runs with AmneziaWG uses them: they come over \
                 with its wg0.conf",
            );
        }
        let Some(key) = interface.key else {
            return Err(ForeignError::missing(path, "wg-easy was never set up: its interface has no keys yet"));
        };
        let file = path.with_file_name(format!("{}.conf", interface.name));
        panel::take_file(&mut foreign, &mut view, key, &file, around)?;
        let mut read = Vec::new();
        for client in clients.records() {
            let of = client.text("interface_id")?;
            if of.is_none_or(|of| of == interface.name) {
                read.push(interface.client(path, &client, &view.tunnel.unknown, &mut foreign)?);
            }
        }
        panel::assemble(&mut foreign, view, key, read);
    }
    if foreign.views.is_empty() {
        return Err(ForeignError::missing(path, "there is no interface in it"));
    }
    for table in database.others(KNOWN)? {
        let what = match table.as_str() {
            "users_table" => "the panel's users and their passwords don't come over",
            "one_time_links_table" => "one-time links don't come over",
            _ => "a table that isn't known here: it doesn't come over",
        };
        foreign.note(source(path, &format!("table {table}")), what);
    }
    Ok(foreign.finish())
}

/// Finds the row of a table that belongs to an interface.
fn find<'a>(rows: &'a Rows<'_>, interface: &Record<'_>) -> Result<Option<Record<'a>>, ForeignError> {
    let name = interface.required("name")?;
    for record in rows.records() {
        if record.text("id")? == Some(name) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// An interface, and what its clients have where they have nothing of their own.
struct Interface {
    name: String,
    key: Option<PublicKey>,
    ipv4: Cidr,
    ipv6: Option<Cidr>,
    port: Option<Port>,
    dial_port: Port,
    host: Option<String>,
    dns: Vec<String>,
    allowed: Vec<Cidr>,
    awg: bool,
}

impl Interface {
    fn read(record: &Record<'_>, defaults: Option<Record<'_>>) -> Result<Self, ForeignError> {
        let cidr = |name: &str| Ok(record.prefixes(name)?.and_then(|list| list.first().copied()));
        let ipv4 = cidr("ipv4_cidr")?;
        let ipv4 =
            ipv4.ok_or_else(|| record.error("ipv4_cidr", "nothing".to_owned(), "a prefix such as 10.8.0.0/24"))?;
        let key = record.required("public_key")? != UNSET;
        let port = record.number::<u16>("port", "a port, 1 to 65535")?.and_then(Port::new);
        let mut interface = Self {
            name: record.required("name")?.to_owned(),
            key: if key { record.private_key("private_key")?.map(|key| key.public()) } else { None },
            ipv4,
            ipv6: cidr("ipv6_cidr")?,
            port,
            dial_port: port.unwrap_or(Port::WIREGUARD),
            host: None,
            dns: Vec::new(),
            allowed: vec![Cidr::ALL4, Cidr::ALL6],
            awg: ["jc", "j_c"].iter().any(|name| record.has(name)),
        };
        let Some(defaults) = defaults else { return Ok(interface) };
        if let Some(port) = defaults.number::<u16>("port", "a port, 1 to 65535")?.and_then(Port::new) {
            interface.dial_port = port;
        }
        interface.host = defaults.text("host")?.map(str::to_owned);
        if let Some(host) = &interface.host
            && panel::endpoint(host, interface.dial_port).is_none()
        {
            return Err(defaults.error("host", super::error::describe(host), "a host name or an address"));
        }
        interface.dns = defaults.list("default_dns")?.unwrap_or_default();
        if let Some(allowed) = defaults.prefixes("default_allowed_ips")? {
            interface.allowed = allowed;
        }
        Ok(interface)
    }

    /// The address that wg-easy takes for itself: the first of the prefix.
    fn own(prefix: Cidr) -> Option<InterfaceAddr> {
        let first = match prefix.net().network() {
            IpAddr::V4(address) => IpAddr::V4(u32::from(address).checked_add(1)?.into()),
            IpAddr::V6(address) => IpAddr::V6(u128::from(address).checked_add(1)?.into()),
        };
        InterfaceAddr::new(first, prefix.net().prefix_len())
    }

    fn view(&self, path: &Path, record: &Record<'_>, hooks_record: Option<&Record<'_>>) -> Result<View, ForeignError> {
        let device = record.text("device")?.unwrap_or("eth0");
        let fill = |text: &str| {
            let port = self.port.map(|port| port.to_string()).unwrap_or_default();
            let ipv6 = self.ipv6.map(|prefix| prefix.to_string()).unwrap_or_default();
            let words = [
                ("ipv4Cidr", self.ipv4.to_string()),
                ("ipv6Cidr", ipv6),
                ("device", device.to_owned()),
                ("port", port),
            ];
            words
                .into_iter()
                .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), &value))
        };
        let mut texts = Vec::new();
        for (phase, column) in PHASES {
            if let Some(text) = hooks_record.map(|hooks| hooks.text(column)).transpose()?.flatten() {
                texts.push((phase, fill(text)));
            }
        }
        let tunnel = Tunnel {
            private_key: if self.key.is_some() { record.private_key("private_key")? } else { None },
            addresses: [Some(self.ipv4), self.ipv6].into_iter().flatten().filter_map(Self::own).collect(),
            listen_port: self.port,
            mtu: record.number("mtu", "a number of bytes")?,
            hooks: hooks(texts.iter().map(|(phase, text)| (*phase, text.as_str()))),
            ..Tunnel::default()
        };
        let mut view = View::new(source(path, record.place()), tunnel);
        view.interface = self.name.parse().ok();
        view.role = Some(Role::Server);
        Ok(view)
    }

    fn client(
        &self,
        path: &Path,
        record: &Record<'_>,
        vendor: &[(String, String)],
        foreign: &mut Foreign,
    ) -> Result<Client, ForeignError> {
        let name = record.required("name")?.to_owned();
        let public_key = record.required_key("public_key")?;
        let mut hosts = Vec::new();
        let mut addresses = Vec::new();
        for (column, network) in [("ipv4_address", Some(self.ipv4)), ("ipv6_address", self.ipv6)] {
            let Some(address) = record.parse::<IpAddr>(column, "an address")? else { continue };
            let length = network.map_or(if address.is_ipv4() { 32 } else { 128 }, |network| network.net().prefix_len());
            hosts.push(Cidr::host(address));
            addresses.extend(InterfaceAddr::new(address, length));
        }
        let mut at_server = hosts;
        at_server.extend(record.prefixes("server_allowed_ips")?.unwrap_or_default());
        let mut texts = Vec::new();
        for (phase, column) in PHASES {
            texts.extend(record.text(column)?.map(|text| (phase, text)));
        }
        self.notes(record, &name, foreign)?;
        let endpoint = record.text("server_endpoint")?;
        Ok(Client {
            source: source(path, record.place()),
            enabled: record.flag("enabled", true)?,
            public_key,
            private_key: foreign.private_key(record, "private_key", public_key, &name)?,
            preshared: record.preshared_key("pre_shared_key")?,
            addresses,
            dns: record.list("dns")?.unwrap_or_else(|| self.dns.clone()),
            mtu: record.number::<u16>("mtu", "a number of bytes")?.filter(|mtu| *mtu > 0),
            hooks: hooks(texts),
            vendor: own_vendor(record, vendor)?,
            allowed: record.prefixes("allowed_ips")?.unwrap_or_else(|| self.allowed.clone()),
            endpoint: self.host.as_deref().and_then(|host| panel::endpoint(host, self.dial_port)),
            keepalive: record
                .number::<u16>("persistent_keepalive", "a number of seconds, up to 65535")?
                .filter(|seconds| *seconds > 0),
            at_server: AtServer {
                allowed: at_server,
                endpoint: endpoint.and_then(|text| text.parse().ok()),
                keepalive: None,
            },
            name: Some(name),
        })
    }

    /// What wg-easy keeps about a client, and a view can't hold.
    fn notes(&self, record: &Record<'_>, name: &str, foreign: &mut Foreign) -> Result<(), ForeignError> {
        if let Some(date) = record.text("expires_at")? {
            foreign.note(name, format!("expires at {date} in wg-easy: it isn't limited here"));
        }
        if let Some(text) = record.text("description")? {
            foreign.note(name, format!("has a description in wg-easy: {text}"));
        }
        if let Some(list) = record.list("firewall_ips")? {
            let text = if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
            foreign.note(name, format!("wg-easy's firewall lets it reach {text}: set its access accordingly"));
        }
        if let Some(endpoint) = record.text("server_endpoint")?
            && endpoint.parse::<crate::model::Endpoint>().is_err()
        {
            let found = super::error::describe(endpoint);
            return Err(record.error("server_endpoint", found, "host:port, such as 203.0.113.7:51820"));
        }
        Ok(())
    }
}

/// Returns AmneziaWG's settings for a client: the server's, which both ends share, with those of its own.
fn own_vendor(record: &Record<'_>, server: &[(String, String)]) -> Result<Vec<(String, String)>, ForeignError> {
    let mut vendor = server.to_vec();
    if vendor.is_empty() {
        return Ok(vendor);
    }
    for (column, name) in [
        ("j_c", "Jc"),
        ("j_min", "Jmin"),
        ("j_max", "Jmax"),
        ("i1", "I1"),
        ("i2", "I2"),
        ("i3", "I3"),
        ("i4", "I4"),
        ("i5", "I5"),
    ] {
        let Some(value) = record.word(column)? else { continue };
        match vendor.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => vendor.push((name.to_owned(), value)),
        }
    }
    Ok(vendor)
}

/// The columns of hooks.
const PHASES: [(Phase, &str); 4] = [
    (Phase::PreUp, "pre_up"),
    (Phase::PostUp, "post_up"),
    (Phase::PreDown, "pre_down"),
    (Phase::PostDown, "post_down"),
];
