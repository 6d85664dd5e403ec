//! What carrying a plan out does to others: who loses packets, whose way to a host it touches, and who needs a new file.
//! Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::fleet::{Observed, Way};
use crate::model::{Cidr, InterfaceName, Name, PublicKey};
use crate::ops::revision::DeviceReport;
use crate::wg::{InterfaceConfig, PeerConfig, Table, UplinkRoute};

use super::change::{Change, Kind};
use super::desired::{Deployed, Desired};
use super::diff::{NOTHING, SESSION_SECONDS};
use super::plan::HostPlan;

/// Who may lose packets while a change is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Nobody.
    Nobody,
    /// The peer that the change is about.
    Peer,
    /// Every peer of the interface.
    Interface,
}

impl Whom {
    /// Returns who is concerned when a difference of this kind is mended.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::InterfaceExtra | Kind::Restart | Kind::LinkDown | Kind::PrivateKey | Kind::ListenPort => {
                Self::Interface
            }
            Kind::PeerExtra | Kind::PeerKey | Kind::PresharedKey | Kind::AllowedIps => Self::Peer,
            _ => Self::Nobody,
        }
    }
}

/// Why a peer loses packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Its interface goes down and up.
    Restart,
    /// Its interface goes.
    InterfaceGone,
    /// Its interface gets another key: both shake hands anew, once the peer knows that key.
    Rekey,
    /// It is dropped, or known by another key from now on.
    PeerGone,
    /// It needs another preshared key from its next handshake on.
    PresharedKey,
    /// It dials a port where nobody listens any more.
    Port,
}

impl Because {
    /// Returns it as the rest of a sentence that begins with the interface.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Restart => "goes down and up",
            Self::InterfaceGone => "goes away",
            Self::Rekey => "gets another key",
            Self::PeerGone => "drops a peer or its old key",
            Self::PresharedKey => "gets another preshared key",
            Self::Port => "listens on another port",
        }
    }
}

/// A peer that carries traffic and loses some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Loss {
    /// On which host.
    pub host: Name,
    /// By which interface.
    pub interface: InterfaceName,
    /// Why.
    pub because: Because,
    /// Its name; of one that nobody knows, the beginning of its key.
    pub peer: String,
}

/// That a plan touches the way by which wg-friend reaches a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WayTouched {
    /// Which host.
    pub host: Name,
    /// Where wg-friend comes from, as the host sees it.
    pub from: IpAddr,
    /// The host's interface towards it.
    pub through: Option<InterfaceName>,
    /// The changes that touch it, one line each.
    pub changes: Vec<String>,
}

/// What a plan does to others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blast {
    /// The peers that carry traffic now and lose some, ordered by host and interface.
    pub loses: Vec<Loss>,
    /// Hosts to which the way is touched. A deploy that cuts it takes itself back.
    pub ways: Vec<WayTouched>,
    /// Devices that need a new file, those that must get it first.
    pub devices: Vec<DeviceReport>,
}

impl Blast {
    /// Whether it concerns nobody.
    pub fn is_empty(&self) -> bool {
        self.loses.is_empty() && self.ways.is_empty() && self.devices.is_empty()
    }
}

/// Predicts what the changes of a plan do. `devices`: those that need a new file, whatever has become of the hosts.
pub fn predict(hosts: &[HostPlan], devices: &[DeviceReport]) -> Blast {
    let mut blast = Blast { devices: devices.to_vec(), ..Blast::default() };
    for host in hosts {
        let Ok(seen) = &host.seen else { continue };
        let place = Place { desired: &host.desired, deployed: host.deployed.as_ref(), observed: &seen.observed };
        for change in &seen.changes {
            blast.loses.extend(place.losses(change));
        }
        blast.ways.extend(place.way(&seen.changes));
    }
    blast.loses.sort();
    blast.loses.dedup();
    blast
}

/// Says of each change of a host whether it touches the way there.
pub(super) fn touching(host: &HostPlan) -> Vec<bool> {
    let Ok(seen) = &host.seen else { return Vec::new() };
    let place = Place { desired: &host.desired, deployed: host.deployed.as_ref(), observed: &seen.observed };
    seen.changes.iter().map(|change| place.touches(change)).collect()
}

/// A host with all that is known of it.
pub(super) struct Place<'a> {
    pub(super) desired: &'a Desired,
    pub(super) deployed: Option<&'a Deployed>,
    pub(super) observed: &'a Observed,
}

impl Place<'_> {
    /// Returns an interface as it is to be and as it was deployed.
    fn states(&self, name: &InterfaceName) -> impl Iterator<Item = &InterfaceConfig> {
        self.desired.interface(name).into_iter().chain(self.deployed.and_then(|d| d.interface(name)))
    }

    /// Lists the peers of an interface that carry traffic, by name, each with how it is reached.
    fn alive(&self, name: &InterfaceName) -> Vec<(String, Option<&PeerConfig>)> {
        let Some(seen) = self.observed.interfaces.get(name) else { return Vec::new() };
        let known: BTreeMap<PublicKey, &PeerConfig> =
            self.states(name).flat_map(|i| &i.peers).map(|peer| (peer.public_key, peer)).collect();
        let fresh = |time: i64| self.observed.system.clock - time <= SESSION_SECONDS;
        let alive = seen.live.peers.iter().filter(|(_, peer)| peer.latest_handshake.is_some_and(fresh));
        alive
            .map(|(key, _)| {
                let peer = known.get(key).copied();
                (peer.map_or_else(|| key.short(), |peer| peer.name.to_string()), peer)
            })
            .collect()
    }

    /// Returns who loses packets by a change.
    fn losses(&self, change: &Change) -> Vec<Loss> {
        let Some(interface) = &change.interface else { return Vec::new() };
        let because = match change.kind {
            Kind::Restart => Because::Restart,
            // What ran beside another one leaves its peers to that.
            Kind::InterfaceExtra if self.states(interface).any(|own| own.beside.is_some()) => return Vec::new(),
            Kind::InterfaceExtra => Because::InterfaceGone,
            // Those that await the key follow at once, and a peer without AllowedIPs carries nothing.
            Kind::PrivateKey if self.desired.interface(interface).is_some_and(|own| own.replaces.is_some()) => {
                return Vec::new();
            }
            Kind::ListenPort if self.desired.interface(interface).is_some_and(|own| own.replaces.is_some()) => {
                return Vec::new();
            }
            Kind::PeerExtra if change.before.as_deref() == Some(NOTHING) => return Vec::new(),
            Kind::PrivateKey => Because::Rekey,
            Kind::ListenPort => Because::Port,
            Kind::PeerExtra | Kind::PeerKey => Because::PeerGone,
            Kind::PresharedKey => Because::PresharedKey,
            _ => return Vec::new(),
        };
        let concerned = |(name, peer): &(String, Option<&PeerConfig>)| match because {
            // The live key is known by the name that its peer had when it was deployed.
            Because::PeerGone if change.kind == Kind::PeerKey => {
                peer.is_some_and(|peer| Some(peer.public_key.short()) == change.before)
            }
            Because::PeerGone | Because::PresharedKey => *name == change.subject,
            // Whom the host dials itself hears from it, and follows.
            Because::Port => peer.is_none_or(|peer| peer.endpoint.is_none()),
            _ => true,
        };
        let (host, interface) = (&self.desired.host, interface.clone());
        let lost = self.alive(&interface).into_iter().filter(concerned);
        lost.map(|(peer, _)| Loss { host: host.clone(), interface: interface.clone(), because, peer }).collect()
    }

    /// Whether some prefixes written in a change cover an address.
    fn written(change: &Change, address: IpAddr) -> bool {
        let texts = change.before.iter().chain(&change.after);
        let mut words = texts.flat_map(|text| text.split([',', ' ']));
        words.any(|word| word.parse::<Cidr>().is_ok_and(|prefix| prefix.contains(address)))
    }

    /// Whether packets to an address go to the peer that a change is about.
    fn behind(&self, change: &Change, interface: &InterfaceName, address: IpAddr) -> bool {
        let peers = self.states(interface).flat_map(|i| &i.peers);
        let mut named = peers.filter(|peer| peer.title() == change.subject);
        Self::written(change, address) || named.any(|peer| covers(&peer.allowed_ips, address))
    }

    /// Whether a change touches the way by which we are on the host.
    pub(super) fn touches(&self, change: &Change) -> bool {
        let Some(Way { from, to, interface: through }) = &self.observed.way else { return false };
        let Some(interface) = &change.interface else { return false };
        if through.as_ref() == Some(interface) {
            return match change.kind {
                Kind::InterfaceMissing
                | Kind::InterfaceExtra
                | Kind::Restart
                | Kind::LinkDown
                | Kind::PrivateKey
                | Kind::ListenPort
                | Kind::Mtu
                | Kind::Firewall => true,
                Kind::AddressMissing | Kind::AddressExtra => {
                    let mut texts = change.before.iter().chain(&change.after);
                    texts.any(|text| text.split('/').next().is_some_and(|text| text.parse() == Ok(*to)))
                }
                Kind::RouteMissing | Kind::RouteExtra => Self::written(change, *from) && !by_mark(change),
                Kind::PeerMissing
                | Kind::PeerExtra
                | Kind::PeerKey
                | Kind::AllowedIps
                | Kind::PresharedKey
                | Kind::Endpoint => self.behind(change, interface, *from),
                _ => false,
            };
        }
        // By another interface: only what draws the packets towards us into the tunnel.
        match change.kind {
            Kind::RouteMissing => Self::written(change, *from) && !by_mark(change),
            Kind::InterfaceMissing | Kind::Restart => {
                let desired = self.desired.interface(interface).filter(|i| i.table == Table::Auto);
                desired.is_some_and(|i| i.peers.iter().any(|peer| covers(&peer.allowed_ips, *from)))
            }
            _ => false,
        }
    }

    fn way(&self, changes: &[Change]) -> Option<WayTouched> {
        let Way { from, interface, .. } = self.observed.way.as_ref()?;
        let touching: Vec<String> =
            changes.iter().filter(|change| self.touches(change)).map(Change::with_place).collect();
        (!touching.is_empty()).then(|| WayTouched {
            host: self.desired.host.clone(),
            from: *from,
            through: interface.clone(),
            changes: touching,
        })
    }
}

/// Whether a route is one that only marked packets take, such as those of remotes to their exit.
fn by_mark(change: &Change) -> bool {
    let mut texts = change.before.iter().chain(&change.after);
    let table = texts.find_map(|text| text.split_once(" table ")?.1.parse().ok());
    table.is_some_and(UplinkRoute::has_table)
}

fn covers(prefixes: &[Cidr], address: IpAddr) -> bool {
    prefixes.iter().any(|prefix| prefix.contains(address))
}
