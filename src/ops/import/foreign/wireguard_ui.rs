//! wireguard-ui: the folder `db` with `server/interfaces.json`, `server/keypair.json`, `server/global_settings.json` and a
//! file per client in `clients/` (`model/*.go`, `store/jsondb`); what it makes of them is in its `templates/wg.conf`.

use std::path::{Path, PathBuf};

use crate::model::{Cidr, InterfaceAddr, Port, Role};
use crate::wg::adopt::View;
use crate::wg::{Phase, Tunnel};

use super::panel::{self, AtServer, Client};
use super::record::{Record, Wiped, object};
use super::view::{hooks, source};
use super::{Around, Foreign, ForeignError};

const NAME: &str = "wireguard-ui's data";

/// The file by which the folder is known.
pub(super) fn keys(folder: &Path) -> PathBuf {
    folder.join("server/keypair.json")
}

/// Returns the folder `db` to which a file belongs.
pub(super) fn folder_of(file: &Path) -> Option<&Path> {
    let known = matches!(file.file_name()?.to_str()?, "interfaces.json" | "keypair.json" | "global_settings.json")
        && file.parent()?.ends_with("server");
    if known { file.parent()?.parent() } else { None }
}

fn load(path: &Path, around: &dyn Around) -> Result<Option<Wiped>, ForeignError> {
    around.read(path)?.map(|bytes| object(path, NAME, &bytes)).transpose()
}

/// Reads the folder `db`.
pub(super) fn read(folder: &Path, around: &dyn Around) -> Result<Foreign, ForeignError> {
    let mut foreign = Foreign::default();
    let need = |path: &Path| load(path, around)?.ok_or_else(|| ForeignError::missing(path, "there is no such file"));
    let (keys, interfaces) = (keys(folder), folder.join("server/interfaces.json"));
    let (keys_json, interfaces_json) = (need(&keys)?, need(&interfaces)?);
    let settings_file = folder.join("server/global_settings.json");
    let settings_json = load(&settings_file, around)?.unwrap_or_default();
    let interface = Record::document(&interfaces, &interfaces_json);
    let settings = Record::document(&settings_file, &settings_json);

    let private_key = Record::document(&keys, &keys_json).private_key("private_key")?;
    let private_key = private_key.ok_or_else(|| ForeignError::missing(&keys, "there is no `private_key` in it"))?;
    let key = private_key.public();
    let common = Common::read(&settings, &interface)?;
    let phases = [
        (Phase::PreUp, "pre_up"),
        (Phase::PostUp, "post_up"),
        (Phase::PreDown, "pre_down"),
        (Phase::PostDown, "post_down"),
    ];
    let mut texts = Vec::new();
    for (phase, field) in phases {
        texts.extend(interface.text(field)?.map(|text| (phase, text)));
    }
    let mark = match settings.text("firewall_mark")? {
        Some(text) => Some(text),
        None => settings.text("forward_mark")?,
    };
    let mark = mark.map(|mark| {
        let number = mark.strip_prefix("0x").map_or_else(|| mark.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
        number.ok_or_else(|| settings.error("firewall_mark", super::error::describe(mark), "a number such as 0xca6c"))
    });
    let tunnel = Tunnel {
        private_key: Some(private_key),
        addresses: interface.addresses("addresses")?.unwrap_or_default(),
        listen_port: common.listen_port,
        mtu: common.mtu,
        fwmark: mark.transpose()?,
        table: settings.parse("table", "auto, off, a number or a name")?.unwrap_or_default(),
        hooks: hooks(texts),
        ..Tunnel::default()
    };
    let mut view = View::new(source(&interfaces, ""), tunnel);
    view.role = Some(Role::Server);
    let file = PathBuf::from(settings.text("config_file_path")?.unwrap_or("/etc/wireguard/wg0.conf"));
    view.interface = file.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
    // A copy beside the folder counts before the place on the server.
    for file in [folder.join(file.file_name().unwrap_or_default()), file] {
        if panel::take_file(&mut foreign, &mut view, key, &file, around)? {
            break;
        }
    }
    let mut clients = Vec::new();
    for path in around.list(&folder.join("clients"))? {
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(json) = load(&path, around)?
        {
            clients.push(common.client(&path, &Record::document(&path, &json), &mut foreign)?);
        }
    }
    panel::assemble(&mut foreign, view, key, clients);
    for (what, names) in [("users", "users"), ("wake_on_lan_hosts", "hosts to wake")] {
        if !around.list(&folder.join(what))?.is_empty() {
            foreign.note(what, format!("the panel's {names} don't come over"));
        }
    }
    Ok(foreign.finish())
}

/// What all clients have in common.
struct Common {
    listen_port: Option<Port>,
    host: Option<String>,
    port: Port,
    dns: Vec<String>,
    mtu: Option<u16>,
    keepalive: Option<u16>,
}

impl Common {
    fn read(settings: &Record<'_>, interface: &Record<'_>) -> Result<Self, ForeignError> {
        let listen_port = interface.number::<u16>("listen_port", "a port, 1 to 65535")?.and_then(Port::new);
        let common = Self {
            listen_port,
            host: settings.text("endpoint_address")?.map(str::to_owned),
            port: listen_port.unwrap_or(Port::WIREGUARD),
            dns: settings.list("dns_servers")?.unwrap_or_default(),
            mtu: settings.number::<u16>("mtu", "a number of bytes")?.filter(|mtu| *mtu > 0),
            keepalive: settings
                .number::<u16>("persistent_keepalive", "a number of seconds, up to 65535")?
                .filter(|seconds| *seconds > 0),
        };
        match &common.host {
            Some(host) if panel::endpoint(host, common.port).is_none() => {
                let found = super::error::describe(host);
                Err(settings.error("endpoint_address", found, "a host name or an address"))
            }
            _ => Ok(common),
        }
    }

    fn client(&self, path: &Path, record: &Record<'_>, foreign: &mut Foreign) -> Result<Client, ForeignError> {
        let name = record.required("name")?.to_owned();
        let public_key = record.required_key("public_key")?;
        let addresses: Vec<InterfaceAddr> = record.addresses("allocated_ips")?.unwrap_or_default();
        let mut at_server: Vec<Cidr> = record.prefixes("allocated_ips")?.unwrap_or_default();
        at_server.extend(record.prefixes("extra_allowed_ips")?.unwrap_or_default());
        for (field, what) in
            [("email", "e-mail address"), ("telegram_userid", "Telegram account"), ("additional_notes", "note")]
        {
            if let Some(text) = record.text(field)? {
                foreign.note(name.clone(), format!("has this {what} in wireguard-ui: {text}"));
            }
        }
        Ok(Client {
            source: source(path, ""),
            enabled: record.flag("enabled", true)?,
            public_key,
            private_key: foreign.private_key(record, "private_key", public_key, &name)?,
            preshared: record.preshared_key("preshared_key")?,
            addresses,
            dns: if record.flag("use_server_dns", true)? { self.dns.clone() } else { Vec::new() },
            mtu: self.mtu,
            hooks: Vec::new(),
            vendor: Vec::new(),
            allowed: record.prefixes("allowed_ips")?.unwrap_or_default(),
            endpoint: self.host.as_deref().and_then(|host| panel::endpoint(host, self.port)),
            keepalive: self.keepalive,
            at_server: AtServer {
                allowed: at_server,
                endpoint: record.parse("endpoint", "host:port, such as 203.0.113.7:51820")?,
                keepalive: self.keepalive,
            },
            name: Some(name),
        })
    }
}
