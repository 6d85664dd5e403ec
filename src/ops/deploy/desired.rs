//! What a host should have, and what it had when a deploy was last confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::fleet::Question;
use crate::model::{Cidr, InterfaceName, LinkId, Name, PresharedKey, PublicKey, Run, Secrets, Topology};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig, config, runtime};

/// Everything that wg-friend wants on one host.
pub struct Desired {
    /// Which host.
    pub host: Name,
    /// The interfaces of all nodes that live there.
    pub interfaces: Vec<InterfaceConfig>,
    /// The files in /etc/wireguard, by name.
    pub files: BTreeMap<String, Zeroizing<String>>,
    /// The interfaces whose private key the host itself has, and no file of ours.
    pub keys_elsewhere: BTreeSet<InterfaceName>,
    /// The only interfaces that it is about; of the others it has what was deployed. `None` is about all.
    pub only: Option<BTreeSet<InterfaceName>>,
}

impl Desired {
    /// Gathers what the nodes on a host compile to. An interface that is gone from its host has no part in it.
    pub fn of(host: &Name, topology: &Topology, compiled: &[NodeConfig], secrets: &Secrets) -> Self {
        let (interfaces, files, keys_elsewhere) = Default::default();
        let mut desired = Self { host: host.clone(), interfaces, files, keys_elsewhere, only: None };
        for node in compiled {
            if topology.node(node.node).and_then(|n| n.host.as_ref()) == Some(host) {
                let there = node.interfaces.iter().filter(|i| i.run != Run::Gone).cloned().collect();
                let node = NodeConfig { node: node.node, name: node.name.clone(), interfaces: there };
                let keyless = node.interfaces.iter().filter(|i| secrets.private_of(i.id, i.public_key).is_none());
                desired.keys_elsewhere.extend(keyless.map(|i| i.name.clone()));
                desired.files.extend(config::files(&node, secrets).into_iter().map(|file| (file.path, file.content)));
                desired.interfaces.extend(node.interfaces);
            }
        }
        desired
    }

    /// Returns it as the store keeps it, as JSON.
    pub fn version_json(&self) -> Zeroizing<Vec<u8>> {
        let (interfaces, files, only) = (self.interfaces.clone(), self.files.clone(), self.only.clone());
        let version = Version { interfaces, files, only };
        Zeroizing::new(serde_json::to_vec(&version).expect("names and texts are representable"))
    }

    /// Returns an interface by name.
    pub fn interface(&self, name: &InterfaceName) -> Option<&InterfaceConfig> {
        self.interfaces.iter().find(|i| i.name == *name)
    }
}

/// What a deploy brought to a host, as the store keeps it. Sealed there: the files hold keys.
#[derive(Default, Serialize, Deserialize)]
pub struct Version {
    /// The interfaces.
    pub interfaces: Vec<InterfaceConfig>,
    /// The files, by name.
    pub files: BTreeMap<String, Zeroizing<String>>,
    /// The only interfaces that the deploy was about; `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<BTreeSet<InterfaceName>>,
}

/// What the last confirmed deploy left on a host.
#[derive(Default)]
pub struct Deployed {
    /// What it brought.
    pub version: Version,
    /// How the host itself listed each nftables table right after the deploy. Comparing later listings with this one
    /// finds hand-made changes whatever nft's formatting.
    pub tables: BTreeMap<String, String>,
}

impl Deployed {
    /// Returns an interface by name.
    pub fn interface(&self, name: &InterfaceName) -> Option<&InterfaceConfig> {
        self.version.interfaces.iter().find(|i| i.name == *name)
    }

    /// Whether a link carried this preshared key then; `None` when it wasn't there.
    pub(in crate::ops) fn carries(&self, link: LinkId, key: &PresharedKey) -> Option<bool> {
        let has_link = |interface: &&InterfaceConfig| interface.peers.iter().any(|peer| peer.link == link);
        let interface = self.version.interfaces.iter().find(has_link)?;
        let file = self.version.files.get(&format!("{}.conf", interface.name)).map_or("", |file| file.as_str());
        Some(file.contains(key.expose_base64().as_str()))
    }

    /// Whether the link to this peer carried this preshared key then.
    pub(super) fn had_preshared(&self, peer: &PeerConfig, key: Option<&PresharedKey>) -> bool {
        let link = |i: &InterfaceConfig| i.peers.iter().any(|p| p.link == peer.link);
        let Some(interface) = self.version.interfaces.iter().find(|i| link(i)) else { return false };
        let file = self.version.files.get(&format!("{}.conf", interface.name)).map_or("", |file| file.as_str());
        key.is_none_or(|key| file.contains(key.expose_base64().as_str()))
    }
}

/// Lists what is ours on a host, now or since the last deploy.
pub fn question(desired: &Desired, deployed: Option<&Deployed>) -> Question {
    let mut question = Question::default();
    question.sysctls.insert(runtime::SRC_VALID_MARK.to_owned());
    let before = deployed.map_or(&[][..], |d| &d.version.interfaces);
    for interface in desired.interfaces.iter().chain(before) {
        question.interfaces.insert(interface.name.clone());
        question.sysctls.extend(interface.sysctls.iter().map(|s| s.key.clone()));
        if let Some(firewall) = &interface.firewall {
            question.tables.insert(firewall.table());
        }
    }
    question.keys.extend(desired.interfaces.iter().filter_map(|interface| interface.key_file.clone()));
    question.files.extend(desired.files.keys().cloned());
    question.files.extend(deployed.into_iter().flat_map(|d| d.version.files.keys().cloned()));
    question
}

/// Returns the preshared key of a peer's link.
pub(super) fn preshared<'a>(secrets: &'a Secrets, peer: &PeerConfig) -> Option<&'a PresharedKey> {
    secrets.preshared_of(peer.link, peer.next_preshared)
}

/// Where nobody is (RFC 5737), for a peer behind which is the whole internet.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Returns addresses to ping through an interface to see whether these peers of it live: each one's own, else any behind
/// it. It needn't answer: the ping itself makes both shake hands.
pub(super) fn addresses_of_peers(interface: &InterfaceConfig, of: &BTreeSet<PublicKey>) -> Vec<IpAddr> {
    let own = |peer: &PeerConfig| peer.allowed_ips.iter().find(|a| a.is_host()).map(|a| a.net().addr());
    let ours = |address: &IpAddr| interface.addresses.iter().any(|a| a.address() == *address);
    let behind = |peer: &PeerConfig| {
        let prefixes = peer.allowed_ips.iter().filter(|a| !a.is_default());
        let inside = prefixes.flat_map(|a| a.net().hosts().take(2)).find(|address| !ours(address));
        inside.or_else(|| peer.allowed_ips.contains(&Cidr::ALL4).then_some(NOBODY))
    };
    let peers = interface.peers.iter().filter(|p| of.contains(&p.public_key));
    peers.filter_map(|p| own(p).or_else(|| behind(p))).collect()
}
