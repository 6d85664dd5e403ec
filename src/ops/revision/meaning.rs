//! What a device's file says, and what differs between two of them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{
    Cidr, Endpoint, InterfaceAddr, InterfaceId, InterfaceName, LinkId, Mtu, Name, Port, PublicKey, Table,
};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, firewall};

/// What a file says, or all files of a node that has several. Nothing secret, and nothing that is only a comment: two
/// meanings are equal when a device that has the one needs nothing of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// Its interfaces, the main one first.
    interfaces: Vec<Face>,
}

/// What it says of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Face {
    id: InterfaceId,
    name: InterfaceName,
    public_key: PublicKey,
    addresses: BTreeSet<InterfaceAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listen_port: Option<Port>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fwmark: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<Mtu>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dns: Vec<String>,
    table: Table,
    /// Digest of the kernel settings, routes, rules and hooks around it; `None` when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    around: Option<String>,
    /// Digest of its firewall's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    firewall: Option<String>,
    peers: Vec<Far>,
}

/// What it says of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Far {
    link: LinkId,
    public_key: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<Endpoint>,
    allowed_ips: BTreeSet<Cidr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keepalive: Option<u16>,
    /// Since when the link has the preshared key that is in the file, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preshared: Option<i64>,
}

impl Meaning {
    /// What the files of a node say.
    pub fn of(config: &NodeConfig, preshared: &BTreeMap<LinkId, DateTime<Utc>>) -> Self {
        Self { interfaces: config.interfaces.iter().map(|interface| Face::of(interface, preshared)).collect() }
    }

    /// Reads what [`Meaning::to_json`] wrote.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Writes it as the store keeps it; equal meanings are equal texts.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are representable")
    }

    /// What a handshake tells of a file: the key that the device has, and with each peer that peer's key, the preshared
    /// key and the port that is dialled.
    pub(super) fn shown(&self) -> Vec<Shown> {
        let peers = self.interfaces.iter().flat_map(|face| face.peers.iter().map(move |far| (face, far)));
        peers
            .map(|(face, far)| Shown {
                link: far.link,
                own: face.public_key,
                far: far.public_key,
                preshared: far.preshared.and_then(DateTime::from_timestamp_micros),
                port: far.endpoint.as_ref().map(|endpoint| endpoint.port),
            })
            .collect()
    }
}

/// Returns since when a link has had the preshared key that a file has for it, given what the file says as the store keeps
/// it; `None` when the file has none, or nothing of the link.
pub(in crate::ops) fn preshared_in(meaning: &str, link: LinkId) -> Option<DateTime<Utc>> {
    Meaning::from_json(meaning)?.shown().into_iter().find(|shown| shown.link == link)?.preshared
}

/// Returns the device's own keys of which a file has the private halves, given what it says as the store keeps it.
pub(super) fn own_keys_in(meaning: &str) -> Vec<PublicKey> {
    let faces = Meaning::from_json(meaning).into_iter().flat_map(|meaning| meaning.interfaces);
    faces.map(|face| face.public_key).collect()
}

/// What a handshake over one link tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) link: LinkId,
    /// The device's key.
    pub(super) own: PublicKey,
    /// The key of the other end.
    pub(super) far: PublicKey,
    /// Since when the link has the preshared key that the file has.
    pub(super) preshared: Option<DateTime<Utc>>,
    /// The port that the device dials.
    pub(super) port: Option<Port>,
}

impl Face {
    fn of(interface: &InterfaceConfig, preshared: &BTreeMap<LinkId, DateTime<Utc>>) -> Self {
        let far = |peer: &PeerConfig| Far {
            link: peer.link,
            public_key: peer.public_key,
            endpoint: peer.endpoint.clone(),
            allowed_ips: peer.allowed_ips.iter().copied().collect(),
            keepalive: peer.keepalive,
            preshared: preshared.get(&peer.link).map(DateTime::timestamp_micros),
        };
        let mut peers: Vec<Far> = interface.peers.iter().map(far).collect();
        peers.sort_by_key(|peer| peer.link);
        let rules: BTreeSet<_> = interface.rules.iter().collect();
        let routes: BTreeSet<_> = interface.routes.iter().collect();
        let sysctls: BTreeSet<_> = interface.sysctls.iter().collect();
        let nothing = rules.is_empty() && routes.is_empty() && sysctls.is_empty() && interface.hooks.is_empty();
        let around = serde_json::to_string(&(rules, routes, sysctls, &interface.hooks, interface.follows_names));
        Self {
            id: interface.id,
            name: interface.name.clone(),
            public_key: interface.public_key,
            addresses: interface.addresses.iter().copied().collect(),
            listen_port: interface.listen_port,
            fwmark: interface.fwmark,
            mtu: interface.mtu,
            dns: interface.dns.clone(),
            table: interface.table.clone(),
            around: (!nothing || interface.follows_names)
                .then(|| digest(&around.expect("names and numbers are representable"))),
            firewall: interface.firewall.as_ref().map(|rules| digest(&firewall::ruleset(rules))),
            peers,
        }
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// How much a device needs its new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Without it the device is cut off, or will be once the hosts are deployed.
    Must,
    /// Without it the device goes on working, and lacks something.
    May,
}

/// One thing in which the file that a device has differs from what it would be now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// How much it matters.
    pub weight: Weight,
    /// What differs: `endpoint port 51820 -> 51821`.
    pub what: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Says what differs between the file that a device has and the one that it would get: nothing exactly when the two mean
/// the same. `names` are the nodes at the other ends of links, by their interfaces. The order is always the same: what
/// matters more first, then as files have it.
pub fn compare(had: &Meaning, gets: &Meaning, names: &BTreeMap<InterfaceId, Name>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let several = had.interfaces.len().max(gets.interfaces.len()) > 1;
    for now in &gets.interfaces {
        match had.interfaces.iter().find(|was| was.id == now.id) {
            Some(was) => Comparison { was, now, names, several, reasons: &mut reasons }.all(),
            None => reasons.push(may(format!("interface {} is new", now.name))),
        }
    }
    for was in had.interfaces.iter().filter(|was| !gets.interfaces.iter().any(|now| now.id == was.id)) {
        reasons.push(may(format!("interface {} is no longer needed", was.name)));
    }
    if reasons.is_empty() && had != gets {
        reasons.push(may("the order of its interfaces".to_owned()));
    }
    reasons.sort_by_key(|reason| reason.weight); // stable
    reasons
}

fn must(what: String) -> Reason {
    Reason { weight: Weight::Must, what }
}

fn may(what: String) -> Reason {
    Reason { weight: Weight::May, what }
}

/// What is said of a device that has an earlier key of its own.
pub(super) const OWN_KEY: &str = "its own key is another";

/// Two states of one interface.
struct Comparison<'a> {
    was: &'a Face,
    now: &'a Face,
    names: &'a BTreeMap<InterfaceId, Name>,
    several: bool,
    reasons: &'a mut Vec<Reason>,
}

impl Comparison<'_> {
    fn all(mut self) {
        let (was, now) = (self.was, self.now);
        if was.public_key != now.public_key {
            self.add(must, OWN_KEY.to_owned());
        }
        if was.addresses != now.addresses {
            self.add(must, arrow("address", &list(&was.addresses), &list(&now.addresses)));
        }
        if was.listen_port != now.listen_port {
            // Without a port of its own the kernel chooses one: then nobody dials it there.
            let weight = if now.listen_port.is_some() { must } else { may };
            self.add(weight, arrow("listen port", &some(was.listen_port), &some(now.listen_port)));
        }
        self.peers();
        if was.dns != now.dns {
            self.add(may, arrow("DNS", &listed(&was.dns), &listed(&now.dns)));
        }
        if was.mtu != now.mtu {
            self.add(may, arrow("MTU", &some(was.mtu), &some(now.mtu)));
        }
        if was.name != now.name {
            self.add(may, arrow("interface name", &was.name.to_string(), &now.name.to_string()));
        }
        if was.table != now.table || was.fwmark != now.fwmark {
            self.add(may, "how it is routed".to_owned());
        }
        if was.around != now.around {
            self.add(may, "routes, kernel settings or hooks around it".to_owned());
        }
        if was.firewall != now.firewall {
            self.add(may, "firewall rules".to_owned());
        }
    }

    fn add(&mut self, weight: fn(String) -> Reason, what: String) {
        let what = if self.several { format!("{}: {what}", self.now.name) } else { what };
        self.reasons.push(weight(what));
    }

    fn peers(&mut self) {
        let (was, now) = (self.was, self.now);
        let only = was.peers.len() == 1 && now.peers.len() == 1;
        for far in &was.peers {
            match now.peers.iter().find(|other| other.link == far.link) {
                Some(other) => self.peer(far, other, only),
                // A peer that it dials is the way to everything behind it; one that dials it is only missed by itself.
                None if far.endpoint.is_some() => self.add(must, format!("{} is no longer its peer", self.name(far))),
                None => self.add(may, format!("{} is no longer its peer", self.name(far))),
            }
        }
        for far in now.peers.iter().filter(|far| !was.peers.iter().any(|other| other.link == far.link)) {
            self.add(may, format!("{} is its peer now", self.name(far)));
        }
    }

    fn peer(&mut self, was: &Far, now: &Far, only: bool) {
        let of = if only { String::new() } else { format!(" of {}", self.name(now)) };
        if was.public_key != now.public_key {
            self.add(must, format!("the key of {} is another", self.name(now)));
        }
        if was.preshared != now.preshared {
            let how = match (was.preshared, now.preshared) {
                (None, _) => "there is one now",
                (_, None) => "there is none any more",
                _ => "it is another",
            };
            self.add(must, format!("preshared key{of}: {how}"));
        }
        match (&was.endpoint, &now.endpoint) {
            (was, now) if was == now => {}
            (Some(was), Some(now)) if was.host == now.host => {
                self.add(must, arrow(&format!("endpoint port{of}"), &was.port.to_string(), &now.port.to_string()));
            }
            (Some(was), Some(now)) => {
                self.add(must, arrow(&format!("endpoint{of}"), &was.to_string(), &now.to_string()));
            }
            (None, Some(now)) => self.add(may, format!("endpoint{of} {now} can be dialled now")),
            (_, None) => self.add(may, format!("endpoint{of} is no longer dialled")),
        }
        if was.allowed_ips != now.allowed_ips {
            let parts = |sign: char, from: &BTreeSet<Cidr>, to: &BTreeSet<Cidr>| -> Vec<String> {
                from.difference(to).map(|prefix| format!("{sign}{prefix}")).collect()
            };
            let mut parts =
                [parts('+', &now.allowed_ips, &was.allowed_ips), parts('-', &was.allowed_ips, &now.allowed_ips)]
                    .concat();
            let more = parts.len().saturating_sub(NAMED);
            parts.truncate(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.add(may, format!("AllowedIPs{of} {}{more}", parts.join(" ")));
        }
        if was.keepalive != now.keepalive {
            self.add(may, arrow(&format!("keepalive{of}"), &seconds(was.keepalive), &seconds(now.keepalive)));
        }
    }

    /// Returns what a peer is called, also one that is gone.
    fn name(&self, far: &Far) -> String {
        let (low, high) = far.link.ends();
        let end = if low == self.now.id { high } else { low };
        self.names.get(&end).map_or_else(|| format!("the peer {}", far.public_key.short()), Name::to_string)
    }
}

/// So many prefixes are named before the rest is counted.
const NAMED: usize = 4;

fn arrow(what: &str, was: &str, now: &str) -> String {
    format!("{what} {was} -> {now}")
}

fn some<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn seconds(value: Option<u16>) -> String {
    value.map_or_else(|| "off".to_owned(), |seconds| format!("{seconds} s"))
}

fn list<T: fmt::Display>(values: &BTreeSet<T>) -> String {
    listed(&values.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn listed(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}
