//! Files that wouldn't work yet: their peers' hosts don't know the keys in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::db::Store;
use crate::model::{Interface, InterfaceId, Name, Node, Secrets, Topology};
use crate::ops::Error;
use crate::ops::deploy::desired::Deployed;
use crate::ops::deploy::journal::deployed;
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig};

/// A device whose file has keys that hosts don't know yet, so that nothing gets through until they are deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Untold {
    /// Whose file.
    pub node: Name,
    /// The hosts that have to be deployed.
    pub hosts: Vec<Name>,
    /// Whether a next key is in it: then the file before stays good meanwhile.
    pub next_key: bool,
}

/// Returns those of `nodes` whose files, as they are handed out now, wouldn't work yet with a peer that is on a host. What a
/// host knows is what its last confirmed deploy says.
///
/// # Errors
/// When the store can't be read.
pub(in crate::ops) fn untold<'a>(
    store: &Store,
    topology: &Topology,
    configs: &[NodeConfig],
    secrets: &Secrets,
    nodes: impl IntoIterator<Item = &'a Node>,
) -> Result<Vec<Untold>, Error> {
    let owners: BTreeMap<InterfaceId, (&Node, &Interface)> =
        topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(move |own| (own.id, (node, own)))).collect();
    let up: BTreeSet<InterfaceId> =
        configs.iter().flat_map(|config| &config.interfaces).filter(|own| own.run.is_up()).map(|own| own.id).collect();
    let mut left: BTreeMap<&Name, Option<Deployed>> = BTreeMap::new();
    let mut found = Vec::new();
    for node in nodes.into_iter().filter(|node| node.host.is_none()) {
        let mut untold = Untold { node: node.name.clone(), hosts: Vec::new(), next_key: true };
        let config = configs.iter().find(|config| config.node == node.id);
        for own in config.into_iter().flat_map(|config| &config.interfaces) {
            for peer in &own.peers {
                let (low, high) = peer.link.ends();
                let far = if low == own.id { high } else { low };
                let Some((far_node, far)) = owners.get(&far).filter(|(_, far)| up.contains(&far.id)) else { continue };
                let Some(host) = &far_node.host else { continue };
                if !left.contains_key(host) {
                    left.insert(host, deployed(store, host)?);
                }
                let left = left[host].as_ref();
                if knows(left, (own, peer), far.staged_key == Some(peer.public_key), secrets) {
                    continue;
                }
                untold.next_key &= knows_before(left, own);
                if !untold.hosts.contains(host) {
                    untold.hosts.push(host.clone());
                }
            }
        }
        if !untold.hosts.is_empty() {
            found.push(untold);
        }
    }
    Ok(found)
}

/// Whether a host knows all keys that a device's file has for it, given what the last deploy left there: its own one, the
/// device's, and the preshared one.
fn knows(
    left: Option<&Deployed>,
    (own, peer): (&InterfaceConfig, &PeerConfig),
    next_of_host: bool,
    secrets: &Secrets,
) -> bool {
    // What is on a host that wasn't deployed to yet nobody knows: it may well have the present keys. A next one was made here.
    let Some(left) = left else { return own.replaces.is_none() && !next_of_host };
    let dialled = left.version.interfaces.iter().filter(|near| near.public_key == peer.public_key);
    let is_peer = |near: &InterfaceConfig| near.peers.iter().any(|known| known.public_key == own.public_key);
    let preshared = secrets.preshared_of(peer.link, peer.next_preshared);
    dialled.into_iter().any(is_peer) && preshared.is_none_or(|key| left.carries(peer.link, key) != Some(false))
}

/// Whether a host knows a device by a key that an earlier file of it has.
fn knows_before(left: Option<&Deployed>, own: &InterfaceConfig) -> bool {
    let Some(left) = left else { return own.replaces.is_some() };
    let before = own.replaces.unwrap_or(own.public_key);
    left.version.interfaces.iter().any(|near| near.peers.iter().any(|known| known.public_key == before))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::model::{PresharedKey, PublicKey};
    use crate::ops::deploy::desired::Version;
    use crate::wg::compile::compile;
    use crate::wg::compile::fixture::Fixture;

    /// The interfaces of a server and of a device that dials it.
    fn ends() -> (InterfaceConfig, InterfaceConfig) {
        let compiled = compile(&Fixture::everything().topology).unwrap();
        let main =
            |name: &str| compiled.iter().find(|config| config.name.as_str() == name).unwrap().interfaces[0].clone();
        (main("hub"), main("alice"))
    }

    fn deployed_with(near: &InterfaceConfig, file: &str) -> Deployed {
        let files = BTreeMap::from([(format!("{}.conf", near.name), Zeroizing::new(file.to_owned()))]);
        let version = Version { interfaces: vec![near.clone()], files, only: None };
        Deployed { version, ..Deployed::default() }
    }

    #[test]
    fn a_host_knows_a_device_when_the_last_deploy_brought_both_their_keys() {
        let (hub, alice) = ends();
        let (secrets, peer) = (Secrets::default(), &alice.peers[0]);
        let knows = |near: &InterfaceConfig| knows(Some(&deployed_with(near, "")), (&alice, peer), false, &secrets);
        assert!(knows(&hub));
        assert!(!knows(&InterfaceConfig { peers: Vec::new(), ..hub.clone() }));
        assert!(!knows(&InterfaceConfig { public_key: PublicKey::from_bytes([9; 32]), ..hub.clone() }));
    }

    #[test]
    fn of_a_host_that_was_never_deployed_to_only_next_keys_are_known_to_be_missing() {
        let (_, alice) = ends();
        let (secrets, peer) = (Secrets::default(), &alice.peers[0]);
        assert!(knows(None, (&alice, peer), false, &secrets));
        assert!(!knows(None, (&alice, peer), true, &secrets), "the host's own next key");
        let next = InterfaceConfig { replaces: Some(alice.public_key), ..alice.clone() };
        assert!(!knows(None, (&next, peer), false, &secrets));
        assert!(knows_before(None, &next) && !knows_before(None, &alice));
    }

    #[test]
    fn a_host_with_another_preshared_key_does_not_know_all() {
        let (hub, alice) = ends();
        let peer = &alice.peers[0];
        let key = PresharedKey::from_random([7; 32]);
        let file = format!("PresharedKey = {}\n", key.expose_base64().as_str());
        let mut secrets = Secrets::default();
        secrets.preshared.insert(peer.link, key);
        assert!(knows(Some(&deployed_with(&hub, &file)), (&alice, peer), false, &secrets));
        assert!(!knows(Some(&deployed_with(&hub, "")), (&alice, peer), false, &secrets));
    }

    #[test]
    fn the_file_before_stays_good_only_where_the_host_knows_what_is_in_it() {
        let (hub, alice) = ends();
        let next = InterfaceConfig {
            public_key: PublicKey::from_bytes([9; 32]),
            replaces: Some(alice.public_key),
            ..alice.clone()
        };
        assert!(knows_before(Some(&deployed_with(&hub, "")), &next));
        let empty = InterfaceConfig { peers: Vec::new(), ..hub };
        assert!(!knows_before(Some(&deployed_with(&empty, "")), &next));
    }
}
