//! The systems, by the words for `--format`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Feature;

/// A system's way to write down an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// wg-quick(8).
    WgQuick,
    /// systemd-networkd(8).
    Networkd,
    /// A NetworkManager keyfile.
    NetworkManager,
    /// OpenWrt's `/etc/config/network`.
    OpenWrt,
    /// MikroTik RouterOS 7.
    RouterOs,
    /// VyOS.
    Vyos,
    /// EdgeOS with the WireGuard package.
    EdgeOs,
    /// A NixOS module.
    NixOs,
    /// Calls of OPNsense's API.
    OpnSense,
    /// Calls of pfSense's REST API package.
    PfSense,
    /// The official app on Windows.
    Windows,
    /// The official app on iOS and macOS.
    Apple,
    /// The official app on Android.
    Android,
    /// wg-friend's own JSON.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::WgQuick,
        Self::Networkd,
        Self::NetworkManager,
        Self::OpenWrt,
        Self::RouterOs,
        Self::Vyos,
        Self::EdgeOs,
        Self::NixOs,
        Self::OpnSense,
        Self::PfSense,
        Self::Windows,
        Self::Apple,
        Self::Android,
        Self::Json,
    ];

    /// Returns the word for `--format`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WgQuick => "wg-quick",
            Self::Networkd => "networkd",
            Self::NetworkManager => "networkmanager",
            Self::OpenWrt => "openwrt",
            Self::RouterOs => "routeros",
            Self::Vyos => "vyos",
            Self::EdgeOs => "edgeos",
            Self::NixOs => "nixos",
            Self::OpnSense => "opnsense",
            Self::PfSense => "pfsense",
            Self::Windows => "windows",
            Self::Apple => "apple",
            Self::Android => "android",
            Self::Json => "json",
        }
    }

    /// Returns what people call the system.
    pub fn system(self) -> &'static str {
        match self {
            Self::WgQuick => "wg-quick",
            Self::Networkd => "systemd-networkd",
            Self::NetworkManager => "NetworkManager",
            Self::OpenWrt => "OpenWrt",
            Self::RouterOs => "MikroTik RouterOS 7",
            Self::Vyos => "VyOS",
            Self::EdgeOs => "EdgeOS",
            Self::NixOs => "NixOS",
            Self::OpnSense => "OPNsense",
            Self::PfSense => "pfSense",
            Self::Windows => "the WireGuard app on Windows",
            Self::Apple => "the WireGuard app on iOS and macOS",
            Self::Android => "the WireGuard app on Android",
            Self::Json => "JSON",
        }
    }

    /// Returns what can't be said in it, or only in part; a test holds the writers to it.
    pub fn lacks(self) -> &'static [Feature] {
        use Feature as F;
        match self {
            Self::WgQuick => &[F::VendorKeys],
            Self::Networkd => &[F::Hooks, F::Table, F::SaveConfig, F::VendorKeys],
            Self::NetworkManager => &[F::Hooks, F::Table, F::SaveConfig, F::Dns, F::VendorKeys, F::PrivateKey],
            Self::OpenWrt => &[F::Hooks, F::SaveConfig, F::VendorKeys, F::PrivateKey],
            Self::RouterOs => {
                &[F::Hooks, F::Table, F::DefaultRoute, F::FwMark, F::SaveConfig, F::Dns, F::VendorKeys, F::PrivateKey]
            }
            Self::Vyos => &[F::Hooks, F::Table, F::DefaultRoute, F::SaveConfig, F::Dns, F::VendorKeys, F::PrivateKey],
            Self::EdgeOs => &[F::Hooks, F::Table, F::DefaultRoute, F::SaveConfig, F::Dns, F::VendorKeys, F::PrivateKey],
            Self::NixOs => &[F::FwMark, F::SaveConfig, F::VendorKeys],
            Self::OpnSense => &[
                F::Hooks,
                F::Table,
                F::DefaultRoute,
                F::FwMark,
                F::SaveConfig,
                F::SearchDomains,
                F::VendorKeys,
                F::PrivateKey,
            ],
            Self::PfSense => {
                &[F::Hooks, F::Table, F::Routes, F::FwMark, F::SaveConfig, F::Dns, F::VendorKeys, F::PrivateKey]
            }
            Self::Windows => &[F::Hooks, F::Table, F::FwMark, F::SaveConfig, F::Mtu, F::VendorKeys, F::PrivateKey],
            Self::Apple | Self::Android => {
                &[F::Hooks, F::Table, F::FwMark, F::SaveConfig, F::VendorKeys, F::PrivateKey]
            }
            Self::Json => &[],
        }
    }

    /// Whether [`read`](super::read) reads it.
    pub fn is_read(self) -> bool {
        !matches!(self, Self::NixOs | Self::OpnSense | Self::PfSense)
    }

    /// Whether it is for an app in which a tunnel has a name of its own, whatever the interface is called.
    pub fn is_app(self) -> bool {
        matches!(self, Self::Windows | Self::Apple | Self::Android)
    }

    /// Returns the words of the formats that pass a test.
    pub(super) fn words(test: impl Fn(Self) -> bool) -> String {
        let words: Vec<&str> = Self::ALL.iter().filter(|format| test(**format)).map(|format| format.as_str()).collect();
        words.join(", ")
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        let found = match word.as_str() {
            "wg_quick" | "wgquick" => Some(Self::WgQuick),
            "systemd-networkd" => Some(Self::Networkd),
            "nm" | "network-manager" => Some(Self::NetworkManager),
            "uci" => Some(Self::OpenWrt),
            "mikrotik" => Some(Self::RouterOs),
            "ios" | "macos" => Some(Self::Apple),
            _ => Self::ALL.iter().copied().find(|format| format.as_str() == word),
        };
        found.ok_or_else(|| format!("`{text}` is not a format: expected one of {}", Self::words(|_| true)))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Says what a file is by its name and what stands in it; `None` when it is none of the formats that are read. A
/// `.network` or key file alone is nothing: it belongs to a `.netdev`.
pub fn recognise(name: &str, text: &str) -> Option<Format> {
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().map(str::trim).collect();
    let has = |test: &dyn Fn(&str) -> bool| lines.iter().any(|line| test(line));
    let headed = |header: &str| has(&|line| line.eq_ignore_ascii_case(header));
    if name.ends_with(".netdev") || (headed("[NetDev]") && headed("[WireGuard]")) {
        return headed("[WireGuard]").then_some(Format::Networkd);
    }
    if headed("[connection]") && has(&|line| line.replace(' ', "") == "type=wireguard") {
        return Some(Format::NetworkManager);
    }
    let quoted = |line: &str| line.replace(['\'', '"'], "");
    if has(&|line| quoted(line).split_whitespace().collect::<Vec<_>>() == ["option", "proto", "wireguard"])
        || has(&|line| line.starts_with("network.") && quoted(line).ends_with(".proto=wireguard"))
    {
        return Some(Format::OpenWrt);
    }
    if has(&|line| line.replace(' ', "/").replace("//", "/").starts_with("/interface/wireguard")) {
        return Some(Format::RouterOs);
    }
    let sets: Vec<String> =
        lines.iter().map(|line| quoted(line)).filter(|line| line.starts_with("set interfaces wireguard ")).collect();
    if !sets.is_empty() {
        // EdgeOS names a peer by its key, VyOS by a name.
        let keyed =
            |line: &String| line.split_whitespace().nth(5).is_some_and(|word| word.len() == 44 && word.ends_with('='));
        let edge = sets.iter().any(|line| line.contains(" peer ") && keyed(line))
            || sets.iter().any(|l| l.contains(" route-allowed-ips "));
        return Some(if edge { Format::EdgeOs } else { Format::Vyos });
    }
    if text.trim_start().starts_with('{') && text.contains("\"wg_friend_tunnel\"") {
        return Some(Format::Json);
    }
    (headed("[Interface]") || headed("[Peer]")).then_some(Format::WgQuick)
}
