//! What a database comes to at one moment: how much is in it, and every configuration.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::db::archive::{NetworkCounts, What};
use crate::db::{Database, Store};
use crate::model::{Name, NetworkId, PublicKey, Secrets, Topology};
use crate::ops::Error;
use crate::wg::compile::compile;
use crate::wg::config;

/// A network's own.
pub(super) struct Picture {
    pub(super) counts: NetworkCounts,
    /// Its configurations, in the order of its nodes.
    pub(super) configs: Vec<(What, Zeroizing<String>)>,
    keys: Keys,
}

/// The keys of all networks, as a backup of kind `keys-only` holds them.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Keys {
    /// Private keys, by network, node and interface.
    pub(super) private: Vec<PrivateEntry>,
    /// Preshared keys, by the pair of interfaces.
    pub(super) preshared: Vec<PresharedEntry>,
}

/// A private key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PrivateEntry {
    pub(super) network: Name,
    pub(super) node: Name,
    /// The node's permanent name.
    pub(super) guid: PublicKey,
    pub(super) interface: String,
    pub(super) public_key: PublicKey,
    pub(super) private_key: Zeroizing<String>,
}

/// A preshared key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PresharedEntry {
    pub(super) network: Name,
    /// The public keys of the interfaces on both ends.
    pub(super) between: [PublicKey; 2],
    pub(super) preshared_key: Zeroizing<String>,
}

/// Reads every network. The one that is chosen stays so.
pub(super) fn pictures(store: &Store) -> Result<Vec<Picture>, Error> {
    let before = store.chosen().ok();
    let mut pictures = Vec::new();
    for (id, _) in store.networks()? {
        store.choose_again(id)?;
        pictures.push(picture(store)?);
    }
    choose_as_before(store, before)?;
    Ok(pictures)
}

pub(super) fn choose_as_before(database: &Database, before: Option<NetworkId>) -> Result<(), Error> {
    match before {
        Some(id) => database.choose_again(id).map(drop)?,
        None => database.choose(None)?,
    }
    Ok(())
}

fn picture(store: &Store) -> Result<Picture, Error> {
    let (topology, secrets) = (store.topology()?, store.secrets()?);
    let network = &topology.network.name;
    let (mut configs, mut refused) = (Vec::new(), None);
    match compile(&topology) {
        Ok(nodes) => {
            for node in &nodes {
                for file in config::files(node, &secrets) {
                    let file_name = format!("{}/{}", node.name, file.path);
                    let what = What::Config { network: network.clone(), node: node.name.clone(), file: file_name };
                    configs.push((what, file.content));
                }
            }
        }
        Err(refusals) => refused = Some(Error::Model(refusals).to_string()),
    }
    let hosts: BTreeSet<&Name> = topology.nodes.iter().filter_map(|node| node.host.as_ref()).collect();
    let counts = NetworkCounts {
        name: network.clone(),
        nodes: topology.nodes.len(),
        links: topology.links.len(),
        hosts: hosts.len(),
        private_keys: secrets.private.len(),
        preshared_keys: secrets.preshared.len(),
        configs: configs.len(),
        refused,
    };
    Ok(Picture { keys: keys(&topology, &secrets), counts, configs })
}

fn keys(topology: &Topology, secrets: &Secrets) -> Keys {
    let network = &topology.network.name;
    let mut keys = Keys::default();
    let mut public = std::collections::BTreeMap::new();
    for node in &topology.nodes {
        for interface in &node.interfaces {
            public.insert(interface.id, interface.public_key);
            let next = secrets.next_private.get(&interface.id).and_then(|(_, key)| key.as_ref());
            keys.private.extend(secrets.private.get(&interface.id).into_iter().chain(next).map(|key| PrivateEntry {
                network: network.clone(),
                node: node.name.clone(),
                guid: node.guid,
                interface: interface.name.to_string(),
                public_key: key.public(),
                private_key: key.expose_base64(),
            }));
        }
    }
    for (link, key) in &secrets.preshared {
        let (low, high) = link.ends();
        let (Some(low), Some(high)) = (public.get(&low), public.get(&high)) else { continue };
        let preshared_key = key.expose_base64();
        keys.preshared.push(PresharedEntry { network: network.clone(), between: [*low, *high], preshared_key });
    }
    keys
}

/// Returns the keys of all networks as one document.
pub(super) fn keys_document(pictures: &[Picture]) -> Result<Zeroizing<String>, Error> {
    let mut all = Keys::default();
    for picture in pictures {
        all.private.extend(picture.keys.private.iter().cloned());
        all.preshared.extend(picture.keys.preshared.iter().cloned());
    }
    serde_json::to_string(&all)
        .map(Zeroizing::new)
        .map_err(|e| Error::Refused(format!("the keys can't be written: {e}")))
}
