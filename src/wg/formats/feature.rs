//! What some systems have no word for, by the names under which it can be left out.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::model::{PresharedKey, PrivateKey, Table};
use crate::wg::{Tunnel, TunnelPeer};

/// Something that not every system can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// PreUp, PostUp, PreDown, PostDown.
    Hooks,
    /// Routes in another table than the main one, or none.
    Table,
    /// A route to everything through the tunnel.
    DefaultRoute,
    /// Routes for the peers' AllowedIPs.
    Routes,
    /// A mark on the tunnel's own packets.
    FwMark,
    /// wg-quick's overwriting of its file.
    SaveConfig,
    /// DNS servers and search domains.
    Dns,
    /// Search domains alone.
    SearchDomains,
    /// The largest packet.
    Mtu,
    /// Keys of vendors, such as AmneziaWG's.
    VendorKeys,
    /// The private key, when it isn't kept here.
    PrivateKey,
}

impl Feature {
    /// Every feature.
    pub const ALL: &'static [Self] = &[
        Self::Hooks,
        Self::Table,
        Self::DefaultRoute,
        Self::Routes,
        Self::FwMark,
        Self::SaveConfig,
        Self::Dns,
        Self::SearchDomains,
        Self::Mtu,
        Self::VendorKeys,
        Self::PrivateKey,
    ];

    /// Returns the word for `--without`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hooks => "hooks",
            Self::Table => "table",
            Self::DefaultRoute => "default-route",
            Self::Routes => "routes",
            Self::FwMark => "fwmark",
            Self::SaveConfig => "save-config",
            Self::Dns => "dns",
            Self::SearchDomains => "search-domains",
            Self::Mtu => "mtu",
            Self::VendorKeys => "vendor-keys",
            Self::PrivateKey => "private-key",
        }
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase().replace('_', "-");
        let found = Self::ALL.iter().find(|feature| feature.as_str() == word);
        found.copied().ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|feature| feature.as_str()).collect();
            format!("`{text}` can't be left out: expected one of {}", known.join(", "))
        })
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Feature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that was left out because the operator said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// By what word.
    pub feature: Feature,
    /// What it is.
    pub what: String,
}

/// Returns a tunnel without what is named, and what that was. Routes, default routes and a missing private key are no part
/// of a tunnel: the writers leave them out.
pub fn leave_out(tunnel: &Tunnel, without: &BTreeSet<Feature>) -> (Tunnel, Vec<LeftOut>) {
    let mut copy = copy(tunnel);
    let mut left_out = Vec::new();
    for feature in without {
        if let Some(what) = take(&mut copy, *feature) {
            left_out.push(LeftOut { feature: *feature, what });
        }
    }
    (copy, left_out)
}

/// Takes a feature out of a tunnel and says what it was.
fn take(tunnel: &mut Tunnel, feature: Feature) -> Option<String> {
    match feature {
        Feature::Hooks => {
            let hooks = std::mem::take(&mut tunnel.hooks);
            (!hooks.is_empty()).then(|| describe::hooks(&hooks))
        }
        Feature::Table => {
            let table = std::mem::take(&mut tunnel.table);
            (table != Table::Auto).then(|| describe::table(&table))
        }
        Feature::FwMark => tunnel.fwmark.take().map(describe::fwmark),
        Feature::SaveConfig => std::mem::take(&mut tunnel.save_config).then(|| "SaveConfig".to_owned()),
        Feature::Dns => {
            let dns = std::mem::take(&mut tunnel.dns);
            (!dns.is_empty()).then(|| format!("DNS {}", dns.join(", ")))
        }
        Feature::SearchDomains => {
            let (servers, domains): (Vec<_>, Vec<_>) =
                tunnel.dns.drain(..).partition(|entry| describe::is_address(entry));
            tunnel.dns = servers;
            (!domains.is_empty()).then(|| format!("the search domains {}", domains.join(", ")))
        }
        Feature::Mtu => tunnel.mtu.take().map(|mtu| format!("MTU {mtu}")),
        Feature::VendorKeys => {
            let names = describe::vendor_keys(tunnel);
            tunnel.unknown.clear();
            tunnel.peers.iter_mut().for_each(|peer| peer.unknown.clear());
            (!names.is_empty()).then(|| format!("the vendor's keys {}", names.join(", ")))
        }
        Feature::DefaultRoute | Feature::Routes | Feature::PrivateKey => None,
    }
}

/// How things are called in messages.
pub(super) mod describe {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use crate::model::Table;
    use crate::wg::{Hook, Tunnel};

    /// `2 hooks (PostUp, PostDown)`; not the commands, which may hold anything.
    pub(in crate::wg::formats) fn hooks(hooks: &[Hook]) -> String {
        let phases: BTreeSet<_> = hooks.iter().map(|hook| hook.phase).collect();
        let names: Vec<&str> = phases.into_iter().map(|phase| phase.as_str()).collect();
        let word = if hooks.len() == 1 { "hook" } else { "hooks" };
        format!("{} {word} ({})", hooks.len(), names.join(", "))
    }

    pub(in crate::wg::formats) fn table(table: &Table) -> String {
        format!("Table = {table}")
    }

    pub(in crate::wg::formats) fn fwmark(mark: u32) -> String {
        format!("FwMark = {mark:#x}")
    }

    pub(in crate::wg::formats) fn is_address(entry: &str) -> bool {
        entry.parse::<IpAddr>().is_ok()
    }

    /// The names of vendors' keys, each once.
    pub(in crate::wg::formats) fn vendor_keys(tunnel: &Tunnel) -> Vec<String> {
        let peers = tunnel.peers.iter().flat_map(|peer| &peer.unknown);
        let mut names: Vec<String> = Vec::new();
        for (name, _) in tunnel.unknown.iter().chain(peers) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// A second tunnel of the same meaning.
pub(super) fn copy(tunnel: &Tunnel) -> Tunnel {
    let private = |key: &PrivateKey| key.expose_base64().parse().expect("it was printed by a key");
    let preshared = |key: &PresharedKey| key.expose_base64().parse().expect("it was printed by a key");
    let peer = |peer: &TunnelPeer| TunnelPeer {
        name: peer.name.clone(),
        public_key: peer.public_key,
        preshared: peer.preshared.as_ref().map(preshared),
        allowed_ips: peer.allowed_ips.clone(),
        endpoint: peer.endpoint.clone(),
        keepalive: peer.keepalive,
        unknown: peer.unknown.clone(),
    };
    Tunnel {
        private_key: tunnel.private_key.as_ref().map(private),
        addresses: tunnel.addresses.clone(),
        listen_port: tunnel.listen_port,
        fwmark: tunnel.fwmark,
        mtu: tunnel.mtu,
        dns: tunnel.dns.clone(),
        table: tunnel.table.clone(),
        save_config: tunnel.save_config,
        hooks: tunnel.hooks.clone(),
        unknown: tunnel.unknown.clone(),
        peers: tunnel.peers.iter().map(peer).collect(),
    }
}
