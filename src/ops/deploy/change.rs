//! One typed difference between what a host should have and what it has.

use std::fmt;

use serde::Serialize;

use crate::model::{InterfaceName, Severity};
use crate::wg::beside::Loop;

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The interface doesn't run.
    InterfaceMissing,
    /// The interface runs and should not.
    InterfaceExtra,
    /// The link is down.
    LinkDown,
    /// It has to be taken down and up: what changes is wg-quick's own (default route, Table).
    Restart,
    /// The interface's key.
    PrivateKey,
    /// The file with the key that the host made for it: the host can mend it by itself.
    KeyFile,
    /// The key that the host made for it is nowhere any more.
    KeyLost,
    /// Its port.
    ListenPort,
    /// Its MTU.
    Mtu,
    /// An address it lacks.
    AddressMissing,
    /// An address too many.
    AddressExtra,
    /// A route it lacks.
    RouteMissing,
    /// A route too many.
    RouteExtra,
    /// A policy rule the host lacks.
    RuleMissing,
    /// A policy rule too many.
    RuleExtra,
    /// A kernel setting.
    Sysctl,
    /// A peer it lacks.
    PeerMissing,
    /// A peer nobody planned.
    PeerExtra,
    /// The key by which a peer is known: the same peer has another one.
    PeerKey,
    /// A peer's AllowedIPs.
    AllowedIps,
    /// A peer's preshared key.
    PresharedKey,
    /// A peer's keepalive.
    Keepalive,
    /// Where a peer is dialled.
    Endpoint,
    /// The nftables table.
    Firewall,
    /// A command that runs when the interface goes up or down.
    Hook,
    /// The DNS servers and search domains that it gives the host. Compared with the last deploy, not with the host.
    Dns,
    /// The mark of the packets that the tunnel itself sends.
    FwMark,
    /// The loop beside the interface that follows the names by which peers are dialled.
    Resolver,
    /// The loop beside the interface that moves the traffic of links which are down.
    Fallback,
    /// The loop beside the interface that follows peers to their next keys.
    Handover,
    /// The loop beside an interface with a next key that leads peers there.
    Moving,
    /// A file in /etc/wireguard.
    File,
    /// A file in /etc/wireguard too many.
    FileExtra,
    /// Whether the interface starts at boot.
    Boot,
}

/// What carrying a change out does to traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disruption {
    /// No packet of anyone else is lost.
    Live,
    /// Peers have to shake hands anew.
    Rekey,
    /// The interface goes down and up.
    Restart,
}

/// Where a difference comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The model changed since the last deploy.
    Pending,
    /// The host changed since the last deploy.
    Drift,
}

/// One difference, with what carrying it out means. Holds no secret: keys that are secret show as words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which interface it is about.
    pub interface: Option<InterfaceName>,
    /// What differs.
    pub kind: Kind,
    /// Which one: a peer's name, an address, a file.
    pub subject: String,
    /// What the host has; `None` when it has nothing.
    pub before: Option<String>,
    /// What it should have; `None` when it should have nothing.
    pub after: Option<String>,
    /// How much it matters that it differs.
    pub severity: Severity,
    /// What carrying it out does to traffic.
    pub disruption: Disruption,
    /// Whether the model or the host moved.
    pub cause: Cause,
    /// Why it may stay although somebody made it on the host; `None` when nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<String>,
}

impl Kind {
    /// Returns the kind of differences in one of the loops beside an interface.
    pub fn of_loop(one: Loop) -> Self {
        match one {
            Loop::Resolve => Self::Resolver,
            Loop::Fallback => Self::Fallback,
            Loop::Handover => Self::Handover,
            Loop::Moving => Self::Moving,
        }
    }

    /// Returns what it does to traffic to mend this.
    pub fn disruption(self) -> Disruption {
        match self {
            Self::InterfaceMissing | Self::InterfaceExtra | Self::Restart => Disruption::Restart,
            Self::PrivateKey => Disruption::Rekey,
            _ => Disruption::Live,
        }
    }

    /// Returns how much it matters when a host is found so.
    pub fn severity(self) -> Severity {
        match self {
            Self::PeerExtra
            | Self::PresharedKey
            | Self::PrivateKey
            | Self::KeyFile
            | Self::KeyLost
            | Self::Firewall
            | Self::InterfaceMissing => Severity::Critical,
            Self::Endpoint
            | Self::Keepalive
            | Self::Resolver
            | Self::Fallback
            | Self::Handover
            | Self::Moving
            | Self::Boot
            | Self::FileExtra => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// Returns what it is called in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::InterfaceMissing | Self::InterfaceExtra => "interface",
            Self::LinkDown => "link",
            Self::Restart => "restart",
            Self::PrivateKey => "key",
            Self::KeyFile | Self::KeyLost => "key-file",
            Self::ListenPort => "port",
            Self::Mtu => "mtu",
            Self::AddressMissing | Self::AddressExtra => "address",
            Self::RouteMissing | Self::RouteExtra => "route",
            Self::RuleMissing | Self::RuleExtra => "rule",
            Self::Sysctl => "sysctl",
            Self::PeerMissing | Self::PeerExtra => "peer",
            Self::PeerKey => "peer-key",
            Self::AllowedIps => "allowed-ips",
            Self::PresharedKey => "preshared-key",
            Self::Keepalive => "keepalive",
            Self::Endpoint => "endpoint",
            Self::Firewall => "firewall",
            Self::Hook => "hook",
            Self::Dns => "dns",
            Self::FwMark => "fwmark",
            Self::Resolver => "resolver",
            Self::Fallback => "fallback",
            Self::Handover => "handover",
            Self::Moving => "moving",
            Self::File | Self::FileExtra => "file",
            Self::Boot => "start",
        }
    }
}

impl Change {
    /// Returns the line with the interface before it: `wg0 ~ mtu 1420 -> 1412`.
    pub(super) fn with_place(&self) -> String {
        self.interface.as_ref().map_or_else(|| self.to_string(), |interface| format!("{interface} {self}"))
    }
}

impl fmt::Display for Change {
    /// One line: `+ peer alice 10.66.0.30/32`, `- route 10.9.0.0/24`, `~ mtu 1420 -> 1412`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, value) = match (&self.before, &self.after) {
            (None, Some(after)) => ('+', after.clone()),
            (Some(before), None) => ('-', before.clone()),
            (Some(before), Some(after)) => ('~', format!("{before} -> {after}")),
            (None, None) => ('~', String::new()),
        };
        write!(f, "{sign} {}", self.kind.words())?;
        if !self.subject.is_empty() {
            write!(f, " {}", self.subject)?;
        }
        if !value.is_empty() { write!(f, " {value}") } else { Ok(()) }
    }
}
