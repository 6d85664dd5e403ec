//! A copy of what a host really has of an interface, stored as a version before it is taken away there: whatever somebody
//! changed by hand, `rollback` brings it back.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use crate::db::Store;
use crate::fleet::{Observed, ObservedInterface};
use crate::model::{
    Action, Actor, DeploymentState, Event, InterfaceId, InterfaceName, LinkId, Mtu, Name, NodeId, Run, Secrets,
};
use crate::ops::error::Error;
use crate::wg::config::{self, Document, Keys, Mode};
use crate::wg::{InterfaceConfig, NodeConfig, PeerConfig};

use super::desired::{Deployed, Desired, Version};
use super::diff::as_it_should_run;

/// An interface as a host has it.
pub struct Copy {
    version: Version,
    name: InterfaceName,
    /// What of it couldn't be kept, in words.
    pub not_kept: Vec<String>,
}

/// Puts together what a host has of an interface: its files as they lie there, and in its wg-quick file whatever runs
/// otherwise. `known` is what it was meant to be; `None` when there is nothing to keep.
pub fn copy(
    node: &Name,
    known: &InterfaceConfig,
    deployed: Option<&Deployed>,
    observed: &Observed,
    held: &Secrets,
) -> Option<Copy> {
    let name = known.name.clone();
    let only = BTreeSet::from([name.clone()]);
    let lies = observed.files.get(&format!("{name}.conf"));
    let runs = observed.interfaces.get(&name);
    if lies.is_none() && runs.is_none() {
        return None;
    }
    let mut not_kept = Vec::new();
    let text = lies.map(|file| Zeroizing::new(String::from_utf8_lossy(&file.content).into_owned()));
    let mut secrets = Secrets::default();
    let in_file = text.as_ref().and_then(|text| Document::parse(text).read(Mode::Lenient).ok());
    let in_file = in_file.and_then(|reading| reading.tunnel.private_key);
    let key = in_file.as_ref().or_else(|| held.private_of(known.id, known.public_key)).map(|key| key.expose_base64());
    secrets.private.extend(key.and_then(|key| Some((known.id, key.parse().ok()?))));
    let mut interface = match runs {
        Some(seen) => as_it_runs(known, seen, observed, &mut secrets),
        None => InterfaceConfig { run: Run::Off, ..known.clone() },
    };
    if let Some(key) = secrets.private.get(&known.id).filter(|key| key.public() != interface.public_key) {
        interface.public_key = key.public();
        if runs.is_some() {
            not_kept.push("the key that it runs with, which is in no file".to_owned());
        }
    }
    interface.run = match (runs.is_some(), observed.boot.contains(&name)) {
        (true, true) => Run::Boot,
        (true, false) => Run::Now,
        (false, _) => Run::Off,
    };
    let before = deployed.and_then(|deployed| Some((&deployed.tables, known.firewall.as_ref()?.table())));
    if let Some((tables, table)) = before
        && observed.tables.get(&table) != tables.get(&table)
    {
        not_kept.push(format!("what somebody changed in the table {table}, which is in no file"));
    }
    // What is asked of a host are its own files and the interface's.
    let empty = Desired {
        host: node.clone(),
        interfaces: vec![],
        files: BTreeMap::new(),
        keys_elsewhere: BTreeSet::new(),
        only: None,
    };
    let mut rest = empty.restricted_to(only.clone(), deployed);
    for (path, file) in observed.files.iter().filter(|(path, _)| super::only::is_file_of(path, &name)) {
        rest.files.insert(path.clone(), Zeroizing::new(String::from_utf8_lossy(&file.content).into_owned()));
    }
    let whole = NodeConfig { node: NodeId(0), name: node.clone(), interfaces: Vec::new() };
    let file = match (&text, runs) {
        (Some(text), Some(_)) => config::bring(text, &whole, &interface, Keys::Shown(&secrets)),
        (Some(text), None) => text.clone(),
        (None, _) => config::write(&whole, &interface, Keys::Shown(&secrets)),
    };
    rest.files.insert(format!("{name}.conf"), file);
    rest.interfaces.push(interface);
    let version = Version { interfaces: rest.interfaces, files: rest.files, only: Some(only) };
    Some(Copy { version, name, not_kept })
}

/// Returns an interface with all that a host shows of it, as far as a file can say it. What has moved because a link is
/// down stands where it is while the link is up.
pub(super) fn as_it_runs(
    known: &InterfaceConfig,
    seen: &ObservedInterface,
    observed: &Observed,
    secrets: &mut Secrets,
) -> InterfaceConfig {
    let should = as_it_should_run(known, observed);
    let of = |interface: &InterfaceConfig, key| {
        interface.peers.iter().find(|peer| peer.public_key == key).map(|peer| peer.allowed_ips.clone())
    };
    let mut peers = Vec::new();
    for ((key, live), stranger) in seen.live.peers.iter().zip(1..) {
        let link = LinkId::between(known.id, InterfaceId(-stranger));
        let peer = known.peers.iter().find(|peer| peer.public_key == *key).cloned().unwrap_or_else(|| PeerConfig {
            name: format!("stranger-{stranger}").parse().expect("letters, a hyphen and digits are a name"),
            guid: None,
            public_key: *key,
            succeeds: None,
            by_both: false,
            next_preshared: false,
            link,
            allowed_ips: Vec::new(),
            endpoint: live.endpoint.and_then(|endpoint| endpoint.to_string().parse().ok()),
            keepalive: None,
        });
        if let Some(preshared) = live.preshared.as_ref().and_then(|key| key.expose_base64().parse().ok()) {
            secrets.preshared.insert(peer.link, preshared);
        }
        let as_planned = of(&should, *key).filter(|planned| *planned == live.allowed_ips).and_then(|_| of(known, *key));
        let allowed_ips = as_planned.unwrap_or_else(|| live.allowed_ips.clone());
        peers.push(PeerConfig { allowed_ips, keepalive: live.keepalive, ..peer });
    }
    peers.sort_by(|a, b| (&a.name, a.public_key).cmp(&(&b.name, b.public_key)));
    let written = known.addresses.iter().filter(|address| seen.addresses.contains(address) || is_unseen(address));
    let mut addresses: Vec<_> = written.copied().collect();
    let by_hand =
        seen.addresses.iter().filter(|a| !known.addresses.contains(a) && !known.by_hooks.addresses.contains(a));
    addresses.extend(by_hand);
    InterfaceConfig {
        public_key: seen.live.public_key.unwrap_or(known.public_key),
        addresses,
        listen_port: known.listen_port.and(seen.live.listen_port),
        fwmark: known.fwmark.map(|_| seen.live.fwmark),
        mtu: known.mtu.map(|mtu| Mtu::try_from(seen.mtu).unwrap_or(mtu)),
        peers,
        ..known.clone()
    }
}

/// Link-local addresses aren't observed.
fn is_unseen(address: &crate::model::InterfaceAddr) -> bool {
    matches!(address.address(), std::net::IpAddr::V6(six) if six.is_unicast_link_local())
}

/// Stores a copy as a version of its host. It never counts as deployed. Returns its number.
///
/// # Errors
/// When the store can't be written.
pub fn store_copy(
    store: &mut Store,
    now: DateTime<Utc>,
    actor: &Actor,
    host: &Name,
    copy: &Copy,
) -> Result<i64, Error> {
    let content = Zeroizing::new(serde_json::to_vec(&copy.version).expect("names and texts are representable"));
    let note = format!("{} as it was found", copy.name);
    let token = super::run::token()?;
    let event = Event::host(Action::HostCopied, host).with("interface", copy.name.as_str());
    store.write(now, actor, |tx| -> Result<_, Error> {
        let id = tx.begin_deployment(host, &token, &actor.operator, now, &content)?;
        tx.finish_deployment(id, DeploymentState::Found, now, Some(&note), None)?;
        Ok((id, event))
    })?;
    let versions = store.deployments(host, 1)?;
    Ok(versions.first().map_or(0, |newest| newest.version))
}
