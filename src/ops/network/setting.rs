//! What can be set on a node: read from `key=value` or from an option, applied to the node as it is.

use std::net::IpAddr;
use std::str::FromStr;

use super::adopted;

use crate::model::{
    Access, Cidr, Custody, Destination, Device, Egress, Endpoint, Grant, InterfaceName, InvalidVia, Lan, Mtu, Name,
    Node, Port, Role, Topology, Via,
};
use crate::ops::Error;
use crate::ops::error::which_key;

/// The keys that `set` knows, with what they take. Aliases follow the name.
pub const KEYS: &[(&str, &[&str], &str)] = &[
    ("address", &[], "addresses in the network, with commas; `auto` chooses anew"),
    ("endpoint", &[], "host[:port] where others dial it; `none`"),
    ("port", &["listen-port"], "UDP port it listens on; `none` lets the kernel choose"),
    ("interface", &[], "name of its WireGuard interface"),
    ("dns", &[], "DNS servers, search domains, with commas; `none`; `network`"),
    ("mtu", &[], "bytes per packet; `network`"),
    ("keepalive", &[], "seconds; 0 for none; `network`"),
    ("access", &[], "full, vpn-only, lan-only, custom or exit-only"),
    ("lan", &["lans"], "network behind it: CIDR[=text]; also +=, -=; `none`"),
    ("allow-lan", &[], "LAN that access lan-only permits; also +=, -=; `none`"),
    ("grant", &["grants"], "what it may reach beyond its level: 'CIDR [PROTOCOL [PORTS]]'; also +=, -=; `none`"),
    ("server", &[], "server that it belongs to, where there are several; `none`: the first one"),
    ("exit", &[], "exit or exit group for its internet traffic, or the server itself; `none`; `network`"),
    ("kill-switch", &[], "yes: nothing leaves while its exit can't be used; no: a split tunnel then; `network`"),
    ("routed", &[], "prefix that the internet routes to this exit, so that it isn't masqueraded; also +=, -=; `none`"),
    ("nat", &[], "yes or no: masquerade traffic into its LANs"),
    (
        "outer-interface",
        &["lan-interface", "wan-interface"],
        "its interface towards LANs or internet; `default` (eth0)",
    ),
    ("device", &[], "mobile, laptop or server; `none`"),
    ("host", &[], "machine it runs on; `none`"),
    ("custody", &[], "who keeps its private key: held, shown-once or never-seen"),
    ("kept", &[], "`none`: an adopted node's links follow the model, not what was found"),
    ("save-config", &[], "`off`: wg-quick doesn't overwrite an adopted node's file"),
    ("notes", &[], "free text"),
];

/// One thing to set on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Its addresses; none given means: choose free ones.
    Address(Vec<IpAddr>),
    /// Where others dial it; the port may be missing.
    Endpoint(Option<String>),
    /// The UDP port of its main interface.
    Port(Option<Port>),
    /// The name of its main interface.
    Interface(InterfaceName),
    /// Its DNS servers and search domains; `None` follows the network.
    Dns(Option<Vec<String>>),
    /// Its MTU; `None` follows the network.
    Mtu(Option<Mtu>),
    /// Seconds between keepalives; `None` follows the network.
    Keepalive(Option<u16>),
    /// What it may reach.
    Access(Access),
    /// Forget all LANs behind it.
    ClearLans,
    /// A further LAN behind it.
    AddLan(Lan),
    /// One LAN less.
    RemoveLan(Cidr),
    /// Forget all LANs of access `lan-only`.
    ClearAllowed,
    /// Permit a LAN.
    Allow(Cidr),
    /// Permit a LAN no longer.
    Disallow(Cidr),
    /// Forget all its grants.
    ClearGrants,
    /// A further grant.
    AddGrant(Grant),
    /// One grant less.
    RemoveGrant(Grant),
    /// By which way its internet traffic leaves.
    Exit(Leave),
    /// The server that it belongs to; `None` is the first one.
    Server(Option<String>),
    /// Whether nothing of it leaves while its exit can't be used; `None` follows the network.
    KillSwitch(Option<bool>),
    /// Forget all prefixes that the internet routes to an exit.
    ClearRouted,
    /// A further prefix that the internet routes to it.
    AddRouted(Cidr),
    /// One such prefix less.
    RemoveRouted(Cidr),
    /// Whether traffic into its LANs is masqueraded.
    Nat(bool),
    /// Its interface towards LANs or the internet.
    Outer(Option<InterfaceName>),
    /// What kind of device it is.
    Device(Option<Device>),
    /// The machine it runs on.
    Host(Option<Name>),
    /// Who keeps its private key.
    Custody(Custody),
    /// The operator's notes.
    Notes(String),
    /// Let its links follow the model, whatever an adopted configuration says.
    FollowModel,
    /// Whether wg-quick(8) overwrites its file when it goes down.
    SaveConfig(bool),
}

/// Whether a value replaces, is added or is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `key=value`
    Set,
    /// `key+=value`
    Add,
    /// `key-=value`
    Remove,
}

/// Splits `key=value`, `key+=value` or `key-=value`.
pub fn split(assignment: &str) -> Result<(&str, Change, &str), Error> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(Error::Value {
            what: format!("`{assignment}`"),
            reason: "expected key=value".into(),
            hint: Some(match is_word(assignment) {
                true => format!("for example `{assignment}=VALUE`; `--help` lists the keys and what they take"),
                false => "put the key and `=` before it; `--help` lists the keys and what they take".into(),
            }),
        });
    };
    let (key, change) = match (key.strip_suffix('+'), key.strip_suffix('-')) {
        (Some(key), _) => (key, Change::Add),
        (_, Some(key)) => (key, Change::Remove),
        _ => (key, Change::Set),
    };
    Ok((key.trim(), change, value.trim()))
}

/// Whether a text could be a key.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Reads assignments in order. The first `=` of a list empties it, so that `lan=A lan=B` leaves just these two.
pub fn parse_all<'a>(assignments: impl IntoIterator<Item = &'a str>) -> Result<Vec<Setting>, Error> {
    let mut settings: Vec<Setting> = Vec::new();
    for assignment in assignments {
        let (key, change, value) = split(assignment)?;
        for setting in parse(key, key, change, value)? {
            let clears = matches!(
                setting,
                Setting::ClearLans | Setting::ClearAllowed | Setting::ClearGrants | Setting::ClearRouted
            );
            if !(clears && settings.contains(&setting)) {
                settings.push(setting);
            }
        }
    }
    Ok(settings)
}

/// Reads one value. `label` is how the user knows it, for messages: `lan` or `--lan`.
pub fn parse(label: &str, key: &str, change: Change, value: &str) -> Result<Vec<Setting>, Error> {
    let key = key.replace('_', "-").to_ascii_lowercase();
    let Some((name, ..)) = KEYS.iter().find(|(name, aliases, _)| *name == key || aliases.contains(&key.as_str()))
    else {
        let known: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
        return Err(Error::Value {
            what: format!("`{label}`"),
            reason: "no such key".into(),
            hint: Some(which_key(&key, &known)),
        });
    };
    let is_list = matches!(*name, "lan" | "allow-lan" | "grant" | "routed");
    if change != Change::Set && !is_list {
        return Err(Error::value(label, "has one value: use `=`, not `+=` or `-=`"));
    }
    if value.is_empty() && *name != "notes" {
        return Err(Error::value(label, "is empty; see `wg-friend set --help` for what it takes"));
    }
    let one = match *name {
        "address" => Setting::Address(match value {
            "auto" => Vec::new(),
            list => list.split(',').map(|a| read_as(label, a, "an address")).collect::<Result<_, _>>()?,
        }),
        "endpoint" => Setting::Endpoint(unless(value, "none", |v| {
            Endpoint::parse_with_default(v, Port::WIREGUARD).map_err(|e| Error::value(label, e))?;
            Ok(v.to_owned())
        })?),
        "port" => Setting::Port(unless(value, "none", |v| read(label, v))?),
        "interface" => Setting::Interface(read(label, value)?),
        "dns" if value == "none" => Setting::Dns(Some(Vec::new())),
        "dns" => Setting::Dns(unless(value, "network", |v| dns(label, v))?),
        "mtu" => Setting::Mtu(unless(value, "network", |v| read(label, v))?),
        "keepalive" => {
            Setting::Keepalive(unless(value, "network", |v| read_as(label, v, "a number of seconds up to 65535"))?)
        }
        "access" => Setting::Access(read(label, value)?),
        "exit" => Setting::Exit(Leave::read(value)),
        "server" => Setting::Server((value != "none").then(|| value.to_owned())),
        "kill-switch" => Setting::KillSwitch(unless(value, "network", |v| yes_or_no(label, v))?),
        "nat" => Setting::Nat(yes_or_no(label, value)?),
        "outer-interface" => Setting::Outer(unless(value, "default", |v| read(label, v))?),
        "device" => Setting::Device(unless(value, "none", |v| read(label, v))?),
        "host" => Setting::Host(unless(value, "none", |v| read(label, v))?),
        "custody" => Setting::Custody(read(label, value)?),
        "kept" if value == "none" => Setting::FollowModel,
        "kept" => return Err(Error::value(label, "only `none` can be set: what is kept comes from an import")),
        "save-config" => Setting::SaveConfig(yes_or_no(label, value)?),
        "notes" => Setting::Notes(free_text(label, value, |c| c.is_control() && c != '\n')?),
        "lan" => {
            return list(change, value, Setting::ClearLans, |v| match change {
                Change::Remove => Ok(Setting::RemoveLan(read(label, v.split('=').next().unwrap_or(v))?)),
                _ => Ok(Setting::AddLan(lan(label, v)?)),
            });
        }
        "allow-lan" => {
            return list(change, value, Setting::ClearAllowed, |v| match change {
                Change::Remove => Ok(Setting::Disallow(read(label, v)?)),
                _ => Ok(Setting::Allow(read(label, v)?)),
            });
        }
        "routed" => {
            return list(change, value, Setting::ClearRouted, |v| match change {
                Change::Remove => Ok(Setting::RemoveRouted(read(label, v)?)),
                _ => Ok(Setting::AddRouted(read(label, v)?)),
            });
        }
        "grant" => {
            return list(change, value, Setting::ClearGrants, |v| match change {
                Change::Remove => Ok(Setting::RemoveGrant(grant(label, v)?)),
                _ => Ok(Setting::AddGrant(grant(label, v)?)),
            });
        }
        other => unreachable!("{other} is in KEYS and has no reader"),
    };
    Ok(vec![one])
}

fn read<T: FromStr<Err: ToString>>(label: &str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|e| Error::value(label, ToString::to_string(&e)))
}

fn read_as<T: FromStr>(label: &str, value: &str, what: &str) -> Result<T, Error> {
    let value = value.trim();
    value.parse().map_err(|_| Error::value(label, format!("`{value}` is not {what}")))
}

fn unless<T>(value: &str, word: &str, read: impl FnOnce(&str) -> Result<T, Error>) -> Result<Option<T>, Error> {
    if value.eq_ignore_ascii_case(word) { Ok(None) } else { read(value).map(Some) }
}

fn list(
    change: Change,
    value: &str,
    clear: Setting,
    read: impl Fn(&str) -> Result<Setting, Error>,
) -> Result<Vec<Setting>, Error> {
    match change {
        Change::Set if value == "none" => Ok(vec![clear]),
        Change::Set => Ok(vec![clear, read(value)?]),
        _ => Ok(vec![read(value)?]),
    }
}

pub(super) fn yes_or_no(label: &str, value: &str) -> Result<bool, Error> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(Error::value(label, format!("`{value}` is neither yes nor no"))),
    }
}

/// Reads `CIDR[=description]`.
pub fn lan(label: &str, value: &str) -> Result<Lan, Error> {
    let (cidr, description) = value.split_once('=').unwrap_or((value, ""));
    let cidr: Cidr = read(label, cidr.trim())?;
    if cidr.is_default() {
        return Err(Error::Value {
            what: label.into(),
            reason: format!("`{cidr}` is the whole internet, not a LAN"),
            hint: Some("to carry internet traffic add an exit: `wg-friend add exit NAME`".into()),
        });
    }
    Ok(Lan { cidr, description: note(label, description)? })
}

/// Reads what something is for, in the operator's words, on one line.
///
/// # Errors
/// For control characters: it is shown in tables.
pub(super) fn note(label: &str, text: &str) -> Result<String, Error> {
    free_text(label, text, char::is_control)
}

fn free_text(label: &str, text: &str, is_wrong: impl Fn(char) -> bool) -> Result<String, Error> {
    match text.trim().chars().find(|c| is_wrong(*c)) {
        None => Ok(text.trim().to_owned()),
        Some('\n' | '\r') => Err(Error::value(label, "has more than one line: say it on one")),
        Some(found) => Err(Error::value(label, format!("holds the control character `{}`", found.escape_debug()))),
    }
}

/// Reads `PREFIX [PROTOCOL [PORTS]]`.
fn grant(label: &str, value: &str) -> Result<Grant, Error> {
    let (destination, flow) = value.trim().split_once(char::is_whitespace).unwrap_or((value.trim(), ""));
    let names = |text: &str| is_word(text) && !text.starts_with(|c: char| c.is_ascii_digit());
    let is_number = destination.starts_with("node:") || destination.starts_with("group:");
    if is_number || names(destination) {
        let towards = if is_number { "NODE|GROUP" } else { destination };
        return Err(Error::Value {
            what: label.into(),
            reason: format!("`{destination}` is no prefix"),
            hint: Some(format!(
                "towards a node or a group: `wg-friend {}`",
                format!("grant NAME {towards} {}", flow.trim()).trim_end()
            )),
        });
    }
    refuse_ports(label, destination)?;
    let grant: Grant = read(label, value)?;
    refuse_internet(label, grant.destination)?;
    Ok(grant)
}

/// Refuses an address with a port: a grant has them apart.
///
/// # Errors
/// For `ADDRESS:PORTS`.
pub(super) fn refuse_ports(label: &str, text: &str) -> Result<(), Error> {
    let Some((address, ports)) = text.rsplit_once(':') else { return Ok(()) };
    let address = address.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(address);
    let is_address = address.parse::<IpAddr>().is_ok() && text.parse::<IpAddr>().is_err();
    let ports = ports.split_once('/').map_or(ports, |(ports, _)| ports);
    if !is_address || !ports.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    Err(Error::Value {
        what: label.into(),
        reason: format!("`{text}` is an address with a port"),
        hint: Some(format!("a protocol and its ports follow the address: `{address} tcp {ports}`")),
    })
}

/// Refuses the whole internet as a destination: a grant opens the network and LANs alone.
///
/// # Errors
/// For `0.0.0.0/0` and `::/0`.
pub(super) fn refuse_internet(label: &str, destination: Destination) -> Result<(), Error> {
    let Some(prefix) = destination.prefix().filter(Cidr::is_default) else { return Ok(()) };
    Err(Error::Value {
        what: label.into(),
        reason: format!("`{prefix}` is the whole internet, and grants open the network and its LANs alone"),
        hint: Some(
            "for internet traffic: `wg-friend exit assign NAME EXIT`; for the whole network: `wg-friend set NAME access=full`"
                .into(),
        ),
    })
}

/// Reads DNS servers and search domains, separated by commas.
pub fn dns(label: &str, value: &str) -> Result<Vec<String>, Error> {
    let entry = |text: &str| {
        let text = text.trim();
        let is_domain = || format!("{text}:53").parse::<Endpoint>().is_ok() && !text.contains('[');
        if text.parse::<IpAddr>().is_ok() || is_domain() {
            Ok(text.to_owned())
        } else {
            Err(Error::value(label, format!("`{text}` is neither an address nor a search domain")))
        }
    };
    value.split(',').map(entry).collect()
}

impl Setting {
    /// Applies it to a node. `topology` is the network around it. Choosing addresses and handling keys are the caller's:
    /// see [`Setting::Address`], [`Setting::Custody`] and [`Setting::FollowModel`].
    pub fn apply(&self, node: &mut Node, topology: &Topology) -> Result<(), Error> {
        adopted::lapse(self, node);
        match self {
            Self::Address(_) | Self::Custody(_) | Self::FollowModel => {}
            Self::SaveConfig(wanted) => adopted::save_config(node, *wanted)?,
            Self::Endpoint(None) => node.endpoint = None,
            Self::Endpoint(Some(text)) => {
                let port = node.main().listen_port.unwrap_or(topology.network.port);
                node.endpoint =
                    Some(Endpoint::parse_with_default(text, port).map_err(|e| Error::value("endpoint", e))?);
            }
            Self::Port(port) => {
                let before = node.main().listen_port;
                if let (Some(endpoint), Some(before), Some(port)) = (&mut node.endpoint, before, port)
                    && endpoint.port == before
                {
                    endpoint.port = *port; // no translation in between: what others dial moves along
                }
                node.interfaces[0].listen_port = *port;
            }
            Self::Interface(name) => node.interfaces[0].name = name.clone(),
            Self::Dns(dns) => node.dns = dns.clone(),
            Self::Mtu(mtu) => node.mtu = *mtu,
            Self::Keepalive(seconds) => node.keepalive = *seconds,
            Self::Access(access) => {
                only(node, &[Role::Remote, Role::Router], "access", "remotes and routers")?;
                node.access = *access;
            }
            Self::ClearLans => node.lans.clear(),
            Self::AddLan(lan) => {
                only(node, &[Role::Router, Role::Server], "lan", "routers and servers")?;
                match node.lans.iter_mut().find(|l| l.cidr == lan.cidr) {
                    Some(same) => same.description.clone_from(&lan.description),
                    None => node.lans.push(lan.clone()),
                }
            }
            Self::RemoveLan(cidr) => {
                let count = node.lans.len();
                node.lans.retain(|lan| lan.cidr != *cidr);
                missing_if(count == node.lans.len(), node, "lan", cidr)?;
            }
            Self::ClearAllowed => node.lan_selection.clear(),
            Self::Allow(cidr) => {
                node.lan_selection.insert(*cidr);
            }
            Self::Disallow(cidr) => {
                let had = node.lan_selection.remove(cidr);
                missing_if(!had, node, "allow-lan", cidr)?;
            }
            Self::ClearGrants => node.grants.clear(),
            Self::AddGrant(grant) => {
                // Said without an end, it has none from now on; what has none keeps its note.
                match node.grants.iter_mut().find(|own| own.opens_same(grant)) {
                    Some(own) if own.until.is_none() => {}
                    Some(own) => *own = grant.clone(),
                    None => node.grants.push(grant.clone()),
                }
            }
            Self::RemoveGrant(grant) => {
                let count = node.grants.len();
                node.grants.retain(|own| !own.opens_same(grant));
                missing_if(count == node.grants.len(), node, "grant", grant)?;
            }
            Self::Exit(leave) => {
                if *leave != Leave::ByNone {
                    only(node, &[Role::Remote], "exit", "remotes")?;
                }
                node.exit = leave.resolve(topology)?.filter(|way| node.role == Role::Remote || *way != Egress::None);
            }
            Self::Server(wanted) => {
                only(node, &[Role::Router, Role::Exit, Role::Remote], "server", "routers, exits and remotes")?;
                let server = wanted.as_ref().map(|name| super::find::node(topology, name)).transpose()?;
                if let Some(other) = server.filter(|other| other.role != Role::Server) {
                    let (name, role) = (other.name.clone(), other.role.as_str());
                    return Err(Error::WrongRole { name, role, wanted: "a server" });
                }
                node.server = server.map(|server| server.id);
            }
            Self::KillSwitch(wanted) => {
                only(node, &[Role::Remote], "kill-switch", "remotes")?;
                node.kill_switch = *wanted;
            }
            Self::ClearRouted => node.routed.clear(),
            Self::AddRouted(cidr) => {
                only(node, &[Role::Exit], "routed", "exits")?;
                node.routed.insert(*cidr);
            }
            Self::RemoveRouted(cidr) => {
                let had = node.routed.remove(cidr);
                missing_if(!had, node, "routed", cidr)?;
            }
            Self::Nat(nat) => node.nat = *nat,
            Self::Outer(name) => {
                only(node, &[Role::Server, Role::Router, Role::Exit], "outer-interface", "servers, routers and exits")?;
                node.outer_interface.clone_from(name);
            }
            Self::Device(device) => {
                only(node, &[Role::Remote], "device", "remotes")?;
                node.device = *device;
            }
            Self::Host(None) => node.host = None,
            Self::Host(Some(name)) => node.host = Some(super::find::host(topology, name.as_str())?.name.clone()),
            Self::Notes(notes) => node.notes.clone_from(notes),
        }
        Ok(())
    }
}

fn only(node: &Node, roles: &[Role], what: &str, whose: &str) -> Result<(), Error> {
    if roles.contains(&node.role) {
        return Ok(());
    }
    Err(Error::value(what, format!("is for {whose}, and `{}` is of role {}", node.name, node.role)))
}

fn missing_if(missing: bool, node: &Node, key: &str, value: impl std::fmt::Display) -> Result<(), Error> {
    if missing {
        return Err(Error::Refused(format!("`{}` has no {key} {value} to take away", node.name)));
    }
    Ok(())
}

/// By which way internet traffic is to leave, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As the network says.
    AsNetwork,
    /// By none of our exits.
    ByNone,
    /// By the exit, the group of exits or the server of this name.
    By(String),
    /// By the exits of these names one after another.
    Via(Vec<String>),
}

impl Leave {
    /// Reads `none`, `network`, a name, or the names of a chain with commas between them.
    pub fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "none" => Self::ByNone,
            "network" => Self::AsNetwork,
            _ if word.contains(',') => Self::Via(word.split(',').map(|name| name.trim().to_owned()).collect()),
            _ => Self::By(word.to_owned()),
        }
    }

    /// Returns what it means in a network; `None` is as the network says.
    ///
    /// # Errors
    /// For a name that is neither an exit's nor a server's nor a group's.
    pub fn resolve(&self, topology: &Topology) -> Result<Option<Egress>, Error> {
        match self {
            Self::AsNetwork => Ok(None),
            Self::ByNone => Ok(Some(Egress::None)),
            Self::By(name) => egress(name, topology).map(Some),
            Self::Via(names) => chain(names, topology).map(Some),
        }
    }
}

/// Returns the way of a name.
fn egress(name: &str, topology: &Topology) -> Result<Egress, Error> {
    if let Some(group) = topology.exit_groups.iter().find(|group| group.name.as_str().eq_ignore_ascii_case(name)) {
        return Ok(Egress::Group(group.id));
    }
    let node = super::find::node(topology, name).map_err(|error| {
        let ways = topology.nodes.iter().filter(|node| matches!(node.role, Role::Exit | Role::Server));
        let names = ways.map(|node| &node.name).chain(topology.exit_groups.iter().map(|group| &group.name));
        super::find::unknown(
            error,
            "exit, exit group or server",
            "`wg-friend exit status` shows all exits and groups",
            names,
        )
    })?;
    if matches!(node.role, Role::Exit | Role::Server) {
        return Ok(Egress::Node(node.id));
    }
    let wanted = "an exit, an exit group or the server";
    Err(Error::WrongRole { name: node.name.clone(), role: node.role.as_str(), wanted })
}

/// Returns the chain of exits of these names.
fn chain(names: &[String], topology: &Topology) -> Result<Egress, Error> {
    let exit = |name: &String| {
        let node = super::find::node(topology, name)?;
        match node.role {
            Role::Exit => Ok(node.id),
            role => Err(Error::WrongRole { name: node.name.clone(), role: role.as_str(), wanted: "an exit" }),
        }
    };
    let exits = names.iter().map(exit).collect::<Result<Vec<_>, _>>()?;
    let called = |id| topology.node(id).map_or_else(String::new, |node| node.name.to_string());
    Via::new(&exits).map(Egress::Via).map_err(|broken| match broken {
        InvalidVia::Loop(id) => Error::Refused(format!(
            "{} leads in a circle: it comes to `{}` twice; name each exit once, in the order in which packets go",
            names.join(","),
            called(id)
        )),
        InvalidVia::Count(_) => Error::Refused(format!("a chain has 2 to {} exits, not {}", Via::MOST, exits.len())),
    })
}

/// Returns a way to the internet as it is set: the name of an exit or of a group, those of a chain, or `none`.
pub(super) fn egress_in_words(way: Egress, topology: &Topology) -> String {
    let via: Vec<String> = topology.via_names(way).iter().map(Name::to_string).collect();
    if !via.is_empty() {
        return via.join(",");
    }
    topology.egress_name(way).map_or_else(|| "none".into(), Name::to_string)
}

#[cfg(test)]
mod tests;
