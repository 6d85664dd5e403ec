//! wg-easy up to version 14: `wg0.json`, and `wg0.conf` beside it.
//!
//! `{"server": {privateKey, publicKey, address}, "clients": {id: {name, address, privateKey, publicKey, preSharedKey,
//! enabled, expiredAt, ...}}}`. Everything else came to wg-easy from outside as `WG_...` settings (its `src/config.js`).

use std::path::Path;

use crate::model::{InterfaceAddr, Port, Role};
use crate::wg::adopt::View;
use crate::wg::{Phase, Tunnel};

use super::environment::Environment;
use super::panel::{self, AtServer, Client};
use super::record::{Record, Wiped, object, prefix};
use super::view::{hooks, source};
use super::{Around, Foreign, ForeignError};

const NAME: &str = "wg-easy's wg0.json";

/// Whether it is wg-easy's document.
pub(super) fn is(document: &Wiped) -> bool {
    let server = document.0.get("server");
    server.is_some_and(|server| server.get("privateKey").is_some() && server.get("address").is_some())
        && document.0.get("clients").is_some_and(serde_json::Value::is_object)
}

/// Settings that wg-easy got from outside.
struct Settings {
    host: Option<String>,
    port: Port,
    dial_port: Port,
    dns: Vec<String>,
    mtu: Option<u16>,
    keepalive: Option<u16>,
    allowed: Vec<crate::model::Cidr>,
    hooks: Vec<(Phase, String)>,
}

/// Reads the document, with the configuration and the settings around it.
pub(super) fn read(path: &Path, bytes: &[u8], around: &dyn Around) -> Result<Foreign, ForeignError> {
    let document = object(path, NAME, bytes)?;
    let root = Record::document(path, &document);
    let missing = |what: &str| ForeignError::missing(path, format!("there is no `{what}` in it"));
    let server = root.object("server")?.ok_or_else(|| missing("server"))?;
    let clients = root.object("clients")?.ok_or_else(|| missing("clients"))?;
    let mut foreign = Foreign::default();

    let private_key = server.private_key("privateKey")?.ok_or_else(|| missing("server.privateKey"))?;
    let key = private_key.public();
    let address =
        server.addresses("address")?.and_then(|list| list.first().copied()).ok_or_else(|| missing("server.address"))?;
    let settings = settings(path, address, around, &mut foreign)?;
    let tunnel = Tunnel {
        private_key: Some(private_key),
        addresses: vec![in_network(address)],
        listen_port: Some(settings.port),
        hooks: hooks(settings.hooks.iter().map(|(phase, text)| (*phase, text.as_str()))),
        ..Tunnel::default()
    };
    let mut view = View::new(source(path, "server"), tunnel);
    view.interface = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
    view.role = Some(Role::Server);
    let file = path.with_extension("conf");
    if !panel::take_file(&mut foreign, &mut view, key, &file, around)? {
        foreign.note(
            view.source.clone(),
            format!("{} isn't there: port and hooks are as wg-easy makes them from its settings", source(&file, "")),
        );
    }
    let mut read = Vec::new();
    for (_, client) in clients.objects()? {
        read.push(self::client(path, &client, &settings, &mut foreign)?);
    }
    panel::assemble(&mut foreign, view, key, read);
    Ok(foreign.finish())
}

/// wg-easy stores bare addresses and writes each with the length of its network: 24, for IPv6 64.
fn in_network(address: InterfaceAddr) -> InterfaceAddr {
    let (full, length) = if address.address().is_ipv4() { (32, 24) } else { (128, 64) };
    let network = (address.prefix_len() == full).then(|| InterfaceAddr::new(address.address(), length)).flatten();
    network.unwrap_or(address)
}

fn client(
    path: &Path,
    record: &Record<'_>,
    settings: &Settings,
    foreign: &mut Foreign,
) -> Result<Client, ForeignError> {
    let public_key = record.required_key("publicKey")?;
    let name = record.text("name")?.map(str::to_owned);
    let label = panel::label(name.as_deref(), public_key);
    let addresses = record.addresses("address")?.unwrap_or_default();
    for field in ["expiredAt", "expireAt"] {
        if let Some(date) = record.text(field)? {
            foreign.note(label.clone(), format!("expires on {date} in wg-easy: it isn't limited here"));
        }
    }
    Ok(Client {
        source: source(path, record.place()),
        enabled: record.flag("enabled", true)?,
        public_key,
        private_key: foreign.private_key(record, "privateKey", public_key, &label)?,
        preshared: record.preshared_key("preSharedKey")?,
        dns: settings.dns.clone(),
        mtu: settings.mtu,
        hooks: Vec::new(),
        vendor: Vec::new(),
        allowed: record.prefixes("allowedIPs")?.unwrap_or_else(|| settings.allowed.clone()),
        endpoint: settings.host.as_deref().and_then(|host| panel::endpoint(host, settings.dial_port)),
        keepalive: settings.keepalive,
        at_server: AtServer {
            allowed: addresses.iter().map(|address| crate::model::Cidr::host(address.address())).collect(),
            ..AtServer::default()
        },
        addresses: addresses.into_iter().map(in_network).collect(),
        name,
    })
}

/// Finds wg-easy's settings; what isn't given is as wg-easy has it, and said.
fn settings(
    path: &Path,
    server: InterfaceAddr,
    around: &dyn Around,
    foreign: &mut Foreign,
) -> Result<Settings, ForeignError> {
    let environment = Environment::find(path, "WG_", around)?;
    let about = environment.file.as_deref().map_or_else(|| source(path, ""), |file| source(file, ""));
    let wrong = |name: &str, found: &str, expected: &str| ForeignError::Value {
        file: environment.file.clone().unwrap_or_else(|| path.to_owned()),
        place: name.to_owned(),
        found: super::error::describe(found),
        expected: expected.to_owned(),
    };
    let number = |name: &str| match environment.get(name).filter(|text| !text.is_empty()) {
        Some(text) => text.parse::<u16>().map(Some).map_err(|_| wrong(name, text, "a number up to 65535")),
        None => Ok(None),
    };
    let list = |name: &str, default: &str| {
        let text = environment.get(name).unwrap_or(default);
        text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect::<Vec<_>>()
    };
    let port = number("WG_PORT")?.and_then(Port::new).unwrap_or(Port::WIREGUARD);
    let dial_port = number("WG_CONFIG_PORT")?.and_then(Port::new).unwrap_or(port);
    let allowed = list("WG_ALLOWED_IPS", "0.0.0.0/0, ::/0");
    let allowed = allowed.iter().map(|text| prefix(text).ok_or_else(|| wrong("WG_ALLOWED_IPS", text, "prefixes")));
    let host = environment.get("WG_HOST").filter(|host| !host.is_empty()).map(str::to_owned);
    match &host {
        None => foreign.note(
            about.clone(),
            "WG_HOST isn't known here, for it stands in the container's settings: put docker-compose.yml beside the \
             file, or set the server's endpoint afterwards",
        ),
        Some(host) if panel::endpoint(host, dial_port).is_none() => {
            return Err(wrong("WG_HOST", host, "a host name or an address"));
        }
        Some(_) => {}
    }
    const ASSUMED: &[&str] = &["WG_PORT", "WG_DEFAULT_DNS", "WG_MTU", "WG_ALLOWED_IPS", "WG_PERSISTENT_KEEPALIVE"];
    let assumed: Vec<&str> = ASSUMED.iter().copied().filter(|name| environment.get(name).is_none()).collect();
    if !assumed.is_empty() {
        foreign.note(
            about,
            format!("{} not given: clients' files are taken to have wg-easy's defaults", assumed.join(", ")),
        );
    }
    Ok(Settings {
        hooks: default_hooks(&environment, server, port),
        host,
        port,
        dial_port,
        dns: list("WG_DEFAULT_DNS", "1.1.1.1"),
        mtu: number("WG_MTU")?,
        keepalive: number("WG_PERSISTENT_KEEPALIVE")?.filter(|seconds| *seconds > 0),
        allowed: allowed.collect::<Result<_, _>>()?,
    })
}

/// The hooks as wg-easy makes them: given from outside, or its own for NAT and forwarding.
fn default_hooks(environment: &Environment, server: InterfaceAddr, port: Port) -> Vec<(Phase, String)> {
    let device = environment.get("WG_DEVICE").unwrap_or("eth0");
    let network = in_network(server).network();
    let own = |action: char| {
        format!(
            "iptables -t nat -{action} POSTROUTING -s {network} -o {device} -j MASQUERADE; \
             iptables -{action} INPUT -p udp -m udp --dport {port} -j ACCEPT; \
             iptables -{action} FORWARD -i wg0 -j ACCEPT; iptables -{action} FORWARD -o wg0 -j ACCEPT;"
        )
    };
    let given = |name: &str, default: String| environment.get(name).map_or(default, str::to_owned);
    vec![
        (Phase::PreUp, given("WG_PRE_UP", String::new())),
        (Phase::PostUp, given("WG_POST_UP", own('A'))),
        (Phase::PreDown, given("WG_PRE_DOWN", String::new())),
        (Phase::PostDown, given("WG_POST_DOWN", own('D'))),
    ]
}
