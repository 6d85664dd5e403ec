//! The address plan and what nodes inherit: reading and changing it.

use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};

use super::change::{Done, Mode, Outcome, carry_out, with_changes};
use super::difference::{Difference, compare};
use super::readdress;
use super::setting::{Change, Leave, dns, egress_in_words, split, yes_or_no};
use crate::db::Store;
use crate::model::{
    Action, Actor, Cidr, Event, InterfaceName, Mtu, Name, Network, Port, PskPolicy, STABLE_CLIENTS, Topology,
};
use crate::ops::clock::Clock;
use crate::ops::error::which_key;
use crate::ops::{Error, exit};

/// The keys of the network, with what they take.
pub const KEYS: &[(&str, &str)] = &[
    ("name", "what the network is called"),
    ("cidr", "IPv4 prefix; `none`. Nodes move along, with the same last part"),
    ("cidr6", "IPv6 prefix; `none`; in the same way"),
    ("interface", "name of the interface; nodes that have the old one follow"),
    ("port", "UDP port of the server; a server that has the old one follows"),
    ("dns", "DNS servers and search domains of clients, with commas; `none`"),
    ("mtu", "bytes per packet"),
    ("keepalive", "seconds, for nodes that nobody can dial; 0 for none"),
    ("psk", "preshared keys of links: unique, required, optional or none; `psk policy` says more"),
    ("stable-clients", "yes, no or prefixes: remotes carry them whatever their rights, so that files stay as they are"),
    ("exit", "exit or exit group of remotes that have none of their own; `none`"),
    ("kill-switch", "yes: nothing of them leaves while it can't be used; no: a split tunnel then"),
];

/// One thing to set on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What it is called.
    Name(Name),
    /// Its IPv4 prefix.
    Cidr4(Option<Ipv4Net>),
    /// Its IPv6 prefix.
    Cidr6(Option<Ipv6Net>),
    /// The name of the main interface.
    Interface(InterfaceName),
    /// The port of servers.
    Port(Port),
    /// What clients ask for names.
    Dns(Vec<String>),
    /// Bytes per packet.
    Mtu(Mtu),
    /// Seconds between keepalives.
    Keepalive(u16),
    /// Which new links get a preshared key.
    Psk(PskPolicy),
    /// What remotes' files carry whatever their rights; empty: what their rights say.
    StableClients(Vec<Cidr>),
    /// By which way the internet traffic of remotes leaves that aren't told; never [`Leave::AsNetwork`].
    Exit(Leave),
    /// Whether nothing of them leaves while their exit can't be used.
    KillSwitch(bool),
}

/// Reads an IPv4 prefix.
pub fn cidr4(label: &str, text: &str) -> Result<Ipv4Net, Error> {
    let cidr: Cidr = text.parse().map_err(|e| Error::value(label, e))?;
    match cidr.net() {
        ipnet::IpNet::V4(net) => Ok(net),
        ipnet::IpNet::V6(_) => Err(Error::value(label, format!("`{text}` is an IPv6 prefix; that is for cidr6"))),
    }
}

/// Reads an IPv6 prefix.
pub fn cidr6(label: &str, text: &str) -> Result<Ipv6Net, Error> {
    let cidr: Cidr = text.parse().map_err(|e| Error::value(label, e))?;
    match cidr.net() {
        ipnet::IpNet::V6(net) => Ok(net),
        ipnet::IpNet::V4(_) => Err(Error::value(label, format!("`{text}` is an IPv4 prefix; that is for cidr"))),
    }
}

/// Reads assignments `key=value`.
pub fn parse_all<'a>(assignments: impl IntoIterator<Item = &'a str>) -> Result<Vec<Setting>, Error> {
    assignments.into_iter().map(parse).collect()
}

fn parse(assignment: &str) -> Result<Setting, Error> {
    let (key, change, value) = split(assignment)?;
    if change != Change::Set {
        return Err(Error::value(key, "has one value: use `=`, not `+=` or `-=`"));
    }
    let wrong = |error: &dyn std::fmt::Display| Error::value(key, error.to_string());
    Ok(match key.to_ascii_lowercase().as_str() {
        "name" => Setting::Name(value.parse().map_err(|e| wrong(&e))?),
        "cidr" | "cidr4" if value == "none" => Setting::Cidr4(None),
        "cidr" | "cidr4" => Setting::Cidr4(Some(cidr4(key, value)?)),
        "cidr6" if value == "none" => Setting::Cidr6(None),
        "cidr6" => Setting::Cidr6(Some(cidr6(key, value)?)),
        "interface" => Setting::Interface(value.parse().map_err(|e| wrong(&e))?),
        "port" => Setting::Port(value.parse().map_err(|e| wrong(&e))?),
        "dns" if value == "none" || value.is_empty() => Setting::Dns(Vec::new()),
        "dns" => Setting::Dns(dns(key, value)?),
        "mtu" => Setting::Mtu(value.parse().map_err(|e| wrong(&e))?),
        "keepalive" => Setting::Keepalive(
            value.parse().map_err(|_| wrong(&format!("`{value}` is not a number of seconds up to 65535")))?,
        ),
        "psk" => Setting::Psk(value.parse().map_err(|e| wrong(&e))?),
        "stable-clients" | "stable_clients" => Setting::StableClients(stable_clients(key, value)?),
        "exit" if value.is_empty() => return Err(wrong(&"is empty; `none` is by none")),
        "exit" => match Leave::read(value) {
            Leave::AsNetwork => {
                return Err(wrong(&"`network` is what nodes may follow; here it is an exit, a group or `none`"));
            }
            leave => Setting::Exit(leave),
        },
        "kill-switch" | "kill_switch" => Setting::KillSwitch(yes_or_no(key, value)?),
        _ => {
            let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
            return Err(Error::Value {
                what: format!("`{key}`"),
                reason: "the network has no such key".into(),
                hint: Some(which_key(key, &keys)),
            });
        }
    })
}

/// Sets values on the network. Nodes that followed an old default follow the new one.
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    settings: &[Setting],
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let before = &scope.before.network;
        let mut after = before.clone();
        for setting in settings {
            setting.apply(&mut after, scope.before)?;
        }
        let moved = readdress::plan(scope.before, after)?;
        let after = moved.topology.network.clone();
        let changes = differences(scope.before, &moved.topology);
        if changes.is_empty() {
            return Err(Error::Refused("the network is like that already; nothing was changed".into()));
        }
        scope.tx.update_network(&after)?;
        readdress::save(scope, &moved)?;
        let event = with_changes(Event::network(Action::NetworkUpdated, &after), &changes);
        let mut remarks = moved.remarks;
        remarks.extend(stable_remarks(before, &moved.topology));
        Ok(Done { events: vec![event], remarks, ..Done::default() })
    })
}

impl Setting {
    fn apply(&self, network: &mut Network, topology: &Topology) -> Result<(), Error> {
        match self {
            Self::Name(name) => network.name = name.clone(),
            Self::Cidr4(cidr) => network.cidr4 = *cidr,
            Self::Cidr6(cidr) => network.cidr6 = *cidr,
            Self::Interface(name) => network.interface = name.clone(),
            Self::Port(port) => network.port = *port,
            Self::Dns(dns) => network.dns.clone_from(dns),
            Self::Mtu(mtu) => network.mtu = *mtu,
            Self::Keepalive(seconds) => network.keepalive = *seconds,
            Self::Psk(policy) => network.psk = *policy,
            Self::StableClients(prefixes) => network.stable_clients.clone_from(prefixes),
            Self::Exit(leave) => network.exit = leave.resolve(topology)?.unwrap_or_default(),
            Self::KillSwitch(wanted) => network.kill_switch = *wanted,
        }
        Ok(())
    }
}

/// Says what may surprise when clients become stable.
fn stable_remarks(before: &Network, after: &Topology) -> Vec<String> {
    let mut remarks = Vec::new();
    let stable = &after.network.stable_clients;
    if stable.is_empty() || *stable == before.stable_clients {
        return remarks;
    }
    if let Some(server) = super::view::with_own_rules(after) {
        remarks.push(format!(
            "what devices may reach is then for the server alone to say, and the rules that `{server}` was adopted with \
             decide there, not access levels"
        ));
    }
    let lans = after.enabled().flat_map(|node| &node.lans).map(|lan| lan.cidr);
    let outside: Vec<String> =
        lans.filter(|lan| !stable.iter().any(|wide| wide.covers(lan))).map(|lan| lan.to_string()).collect();
    if !outside.is_empty() {
        remarks.push(format!("these LANs lie outside and are named in each file: {}", outside.join(", ")));
    }
    remarks
}

/// Says which new LANs lie outside of what stable clients carry, so that each of them needs a new file after all.
pub(super) fn beyond_stable(before: &Topology, after: &Topology) -> Option<String> {
    let stable = &after.network.stable_clients;
    if stable.is_empty() || *stable != before.network.stable_clients {
        return None;
    }
    let lans = |topology: &Topology| -> BTreeSet<Cidr> {
        topology.enabled().flat_map(|node| &node.lans).map(|lan| lan.cidr).collect()
    };
    let old = lans(before);
    let new = lans(after).into_iter().filter(|lan| !old.contains(lan) && !stable.iter().any(|wide| wide.covers(lan)));
    let new: Vec<String> = new.map(|lan| lan.to_string()).collect();
    (!new.is_empty()).then(|| {
        format!(
            "{} lies outside of what clients carry whatever their rights ({}), so their files name it",
            new.join(", "),
            stable.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", ")
        )
    })
}

/// Reads `yes` (the private prefixes), `no`, or the prefixes that clients are to carry.
fn stable_clients(key: &str, value: &str) -> Result<Vec<Cidr>, Error> {
    match value.to_ascii_lowercase().as_str() {
        "no" | "none" | "off" | "false" => return Ok(Vec::new()),
        "yes" | "on" | "true" => {
            let known = STABLE_CLIENTS.iter().map(|prefix| prefix.parse().expect("it is a prefix"));
            return Ok(known.collect());
        }
        _ => {}
    }
    let read = |text: &str| -> Result<Cidr, Error> {
        let prefix: Cidr = text.trim().parse().map_err(|e| Error::value(key, e))?;
        if prefix.is_default() {
            return Err(Error::Value {
                what: key.into(),
                reason: format!("`{prefix}` is the whole internet"),
                hint: Some("to carry internet traffic give remotes an exit: `wg-friend set NAME exit=EXIT`".into()),
            });
        }
        Ok(prefix)
    };
    let mut prefixes = value.split(',').map(read).collect::<Result<Vec<Cidr>, Error>>()?;
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(prefixes)
}

/// Returns what is set on the network, as text by key.
pub fn values(topology: &Topology) -> Vec<(&'static str, String)> {
    let network = &topology.network;
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".into());
    vec![
        ("name", network.name.to_string()),
        ("cidr", or_none(network.cidr4.map(|n| n.to_string()))),
        ("cidr6", or_none(network.cidr6.map(|n| n.to_string()))),
        ("interface", network.interface.to_string()),
        ("port", network.port.to_string()),
        ("dns", or_none((!network.dns.is_empty()).then(|| network.dns.join(", ")))),
        ("mtu", network.mtu.to_string()),
        ("keepalive", network.keepalive.to_string()),
        ("psk", network.psk.to_string()),
        ("stable-clients", stable_in_words(&network.stable_clients)),
        ("exit", egress_in_words(network.exit, topology)),
        ("kill-switch", if network.kill_switch { "yes" } else { "no" }.into()),
        ("exit-rules", exit::rules::in_words(topology, &network.exit_rules)),
    ]
}

fn stable_in_words(prefixes: &[Cidr]) -> String {
    let texts: Vec<String> = prefixes.iter().map(Cidr::to_string).collect();
    match texts.as_slice() {
        [] => "no".into(),
        known if known == STABLE_CLIENTS => "yes".into(),
        texts => texts.join(", "),
    }
}

/// Returns what differs between two states of the network.
pub fn differences(before: &Topology, after: &Topology) -> Vec<Difference> {
    let state = |topology: &Topology| Some((values(topology), Vec::new()));
    let mut found = compare("", state(before), state(after));
    found.retain(|difference| !is_renamed(difference.field, &before.network, &after.network));
    found
}

/// Whether a value of the network reads otherwise only because something that it refers to has another name.
pub(super) fn is_renamed(field: &str, before: &Network, after: &Network) -> bool {
    match field {
        "exit" => before.exit == after.exit,
        "exit-rules" => before.exit_rules == after.exit_rules,
        _ => false,
    }
}
