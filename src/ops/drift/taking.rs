//! How each piece of drift becomes an edit of the model, or a reason why not.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::db::{DriftItem, Tx};
use crate::fleet::ObservedInterface;
use crate::model::{
    Action, DriftKind, Event, Interface, InterfaceAddr, InterfaceId, Kept, KeptEndpoint, KeptPeer, Mtu, Name, Node,
    NodeId, Role, Run, Topology,
};
use crate::ops::deploy::desired::Desired;
use crate::ops::deploy::{Change, HostPlan, Kind, as_it_should_run, diff, shared};
use crate::ops::error::Error;
use crate::wg::compile::{compile, hold_back};
use crate::wg::dump::LivePeer;
use crate::wg::{InterfaceConfig, PeerConfig, runtime};

use super::adopt::{Adopted, Left};
use super::item::Found;
use super::refusal::refusal;

/// Why something can't be adopted.
pub(super) type Reason = String;

/// Drift of one host on its way into the model.
pub(super) struct Taking<'a> {
    pub(super) tx: &'a Tx<'a>,
    pub(super) host: &'a HostPlan,
    pub(super) topology: Topology,
    pub(super) now: DateTime<Utc>,
    /// Interfaces that go on with their present key for now.
    held: &'a BTreeSet<InterfaceId>,
    /// Nodes that have to be written.
    pub(super) touched: BTreeSet<NodeId>,
    pub(super) added: Vec<Name>,
    pub(super) events: Vec<Event>,
    /// Interfaces whose file was taken over, with what came of it: hooks may be several differences.
    pub(super) files: BTreeMap<InterfaceId, Result<(), Reason>>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(
        tx: &'a Tx<'a>,
        host: &'a HostPlan,
        now: DateTime<Utc>,
        held: &'a BTreeSet<InterfaceId>,
    ) -> Result<Self, Error> {
        let (touched, added, events, files) = Default::default();
        Ok(Self { tx, host, topology: tx.topology()?, now, held, touched, added, events, files })
    }

    /// Makes the edits and compares the host anew: only what no longer differs counts as adopted.
    pub(super) fn run(mut self, found: &[Found]) -> Result<(Adopted, Vec<Event>), Error> {
        let before = self.topology.clone();
        let changes = self.host.changes();
        let mut reasons: BTreeMap<usize, Reason> = BTreeMap::new();
        for found in found {
            if found.item.kind == DriftKind::PeerModified {
                if let Err(reason) = self.rekeyed(found)? {
                    reasons.extend(found.changes.iter().map(|at| (*at, reason.clone())));
                }
                continue;
            }
            for at in &found.changes {
                if let Err(reason) = self.take(&changes[*at])? {
                    reasons.insert(*at, reason);
                }
            }
        }
        for id in &self.touched {
            let (Some(was), Some(is)) = (before.node(*id), self.topology.node(*id)) else { continue };
            self.tx.update_node(is, self.now)?;
            self.events.push(Event::node(Action::PeerUpdated, is).change(was, is));
        }
        let after = self.tx.topology()?;
        let mut compiled = compile(&after).map_err(Error::Model)?;
        hold_back(&after, &mut compiled, self.held);
        let secrets = self.tx.secrets()?;
        let deployed = self.host.deployed.as_ref();
        let mut desired = Desired::of(&self.host.host.name, &after, &compiled, &secrets);
        if let Some(own) = shared::own(self.tx, &desired, deployed)? {
            desired = desired.restricted_to(own, deployed);
        }
        let remaining = match &self.host.seen {
            Ok(seen) => diff(&desired, &secrets, deployed, &seen.observed),
            Err(_) => Vec::new(),
        };
        let same = |a: &Change, b: &Change| {
            (&a.interface, a.kind, &a.subject, &a.before) == (&b.interface, b.kind, &b.subject, &b.before)
        };
        let (mut adopted, mut left) = (Vec::new(), Vec::new());
        for found in found {
            let reason = found.changes.iter().find_map(|at| reasons.get(at)).cloned();
            let still = found.changes.iter().find(|at| {
                let was = &changes[**at];
                !self.follows(was) && remaining.iter().any(|change| same(change, was))
            });
            match reason.or_else(|| still.map(|at| self.refusal(&changes[*at]))) {
                Some(reason) => left.push(Left { item: found.item.clone(), reason }),
                None => adopted.push(found.item.clone()),
            }
        }
        let known = |change: &Change| changes.iter().any(|known| same(change, known));
        let follows = remaining.into_iter().filter(|change| !known(change) || self.follows(change)).collect();
        let name = self.host.host.name.clone();
        let ids = |items: &[DriftItem]| items.iter().map(|i| format!("{} {}", i.kind, i.subject)).collect::<Vec<_>>();
        self.events.push(
            Event::host(Action::DriftAdopted, &name)
                .with("adopted", ids(&adopted))
                .with("left", left.iter().map(|l| l.item.kind.to_string()).collect::<Vec<_>>()),
        );
        let report = Adopted { host: name, saved: false, adopted, left, added: self.added, follows, deployed: None };
        Ok((report, self.events))
    }

    /// Whether a difference is a file whose hooks were taken over: where they stand in it is wg-friend's choice.
    fn follows(&self, change: &Change) -> bool {
        let Some(name) = change.subject.strip_suffix(".conf").filter(|_| change.kind == Kind::File) else {
            return false;
        };
        let config = self.host.desired.interfaces.iter().find(|config| config.name.as_str() == name);
        config.is_some_and(|config| self.files.get(&config.id).is_some_and(Result::is_ok))
    }

    fn refusal(&self, change: &Change) -> Reason {
        refusal(change, &self.host.desired, self.host.seen.as_ref().ok().map(|seen| &seen.observed))
    }

    /// Edits the model for one difference, or says why that can't be.
    fn take(&mut self, change: &Change) -> Result<Result<(), Reason>, Error> {
        let host: &'a HostPlan = self.host;
        let Ok(seen) = &host.seen else { return Ok(Err("the host gave no answer".to_owned())) };
        let of_file = change.subject.strip_suffix(".conf").filter(|_| change.kind == Kind::File);
        let name = change.interface.as_ref().map(|name| name.as_str()).or(of_file);
        let Some(config) = host.desired.interfaces.iter().find(|config| Some(config.name.as_str()) == name) else {
            return Ok(Err(self.refusal(change)));
        };
        if let Some(first) = &config.beside {
            return Ok(Err(format!(
                "{} is there until all go by the next key of {}: nothing is kept of it",
                config.name, first.name
            )));
        }
        if let Kind::File | Kind::Hook = change.kind {
            return self.file(config, change, &seen.observed);
        }
        let live = seen.observed.interfaces.get(&config.name);
        match (change.kind, live) {
            (Kind::PeerExtra, Some(live)) if self.takes_newcomers(config) => {
                return self.stranger(config, live, change);
            }
            (Kind::PresharedKey, Some(live)) => return self.preshared(config, live, change),
            _ => {}
        }
        let refusal = self.refusal(change);
        let Some(node) = self.topology.nodes.iter_mut().find(|n| n.interfaces.iter().any(|i| i.id == config.id)) else {
            return Ok(Err("its interface is no longer in the model".to_owned()));
        };
        let id = node.id;
        let taken = match live {
            // What has moved because a link is down isn't the model's business.
            Some(live) => of_running(node, &as_it_should_run(config, &seen.observed), live, change),
            None => of_absent(node, config, change),
        };
        match taken {
            Some(Ok(())) => {
                self.touched.insert(id);
                Ok(Ok(()))
            }
            Some(Err(reason)) => Ok(Err(reason)),
            None => Ok(Err(refusal)),
        }
    }

    fn takes_newcomers(&self, config: &InterfaceConfig) -> bool {
        let owner = self.topology.nodes.iter().find(|n| n.interfaces.iter().any(|i| i.id == config.id));
        owner.is_some_and(|node| node.role == Role::Server && node.main().id == config.id)
    }

    /// Gives a link the preshared key that the host has for it.
    fn preshared(
        &mut self,
        config: &InterfaceConfig,
        live: &ObservedInterface,
        change: &Change,
    ) -> Result<Result<(), Reason>, Error> {
        let Some((peer, live)) = both(config, live, change) else { return Ok(Err(self.refusal(change))) };
        self.set_preshared(peer, live)?;
        Ok(Ok(()))
    }

    pub(super) fn set_preshared(&mut self, peer: &PeerConfig, live: &LivePeer) -> Result<(), Error> {
        match &live.preshared {
            Some(key) => self.tx.set_psk(peer.link, key, self.now)?,
            None => drop(self.tx.remove_psk(peer.link)?),
        }
        let event = Event::host(Action::PresharedKeyChanged, &self.host.host.name);
        self.events.push(event.with("peer", peer.name.to_string()));
        Ok(())
    }
}

/// The peer that a difference is about, as it should be and as it is.
fn both<'c>(
    config: &'c InterfaceConfig,
    live: &'c ObservedInterface,
    change: &Change,
) -> Option<(&'c PeerConfig, &'c LivePeer)> {
    let peer = present_peer(config, change)?;
    Some((peer, live.live.peers.get(&peer.public_key)?))
}

type Taken = Option<Result<(), Reason>>;

/// Takes a difference of an interface that runs; `None` when the model has no place for it.
fn of_running(node: &mut Node, config: &InterfaceConfig, live: &ObservedInterface, change: &Change) -> Taken {
    let is_main = node.main().id == config.id;
    match change.kind {
        Kind::ListenPort => {
            let port = live.live.listen_port?;
            if let Some(endpoint) = node.endpoint.as_mut().filter(|e| is_main && Some(e.port) == config.listen_port) {
                endpoint.port = port; // no translation in between: what others dial moves along
            }
            let interface = interface(node, config.id)?;
            interface.listen_port = Some(port);
            interface.kept.iter_mut().for_each(|kept| kept.port_auto = false);
        }
        Kind::Mtu => {
            let mtu = match Mtu::try_from(live.mtu) {
                Ok(mtu) => mtu,
                Err(why) => return Some(Err(why.to_string())),
            };
            if node.interfaces.len() == 1 {
                node.interfaces[0].kept.iter_mut().for_each(|kept| kept.mtu = None);
                node.mtu = Some(mtu);
            } else {
                kept(node, config).mtu = Some(mtu);
            }
        }
        Kind::AllowedIps => {
            let (peer, live) = both(config, live, change)?;
            allowed_ips(kept_peer(node, config, peer), peer, live);
        }
        Kind::Keepalive => {
            let (peer, live) = both(config, live, change)?;
            kept_peer(node, config, peer).keepalive = Some(live.keepalive.unwrap_or(0));
        }
        Kind::Endpoint => {
            let (peer, live) = both(config, live, change)?;
            let endpoint = live.endpoint?.to_string().parse().ok()?;
            kept_peer(node, config, peer).endpoint = Some(KeptEndpoint::At(endpoint));
        }
        Kind::PeerMissing => {
            let peer = present_peer(config, change)?;
            kept_peer(node, config, peer).absent = true;
        }
        Kind::AddressExtra => {
            let address: InterfaceAddr = change.before.as_ref()?.parse().ok()?;
            kept(node, config).addresses.push(address);
        }
        Kind::AddressMissing => {
            let address: InterfaceAddr = change.after.as_ref()?.parse().ok()?;
            let kept = interface(node, config.id)?.kept.as_mut()?;
            let before = kept.addresses.len();
            kept.addresses.retain(|other| *other != address);
            (kept.addresses.len() < before).then_some(())?;
        }
        Kind::RouteExtra => return super::hooks::route(node, config, live, change),
        Kind::Restart if !runtime::takes_default_route(config) && live.live.fwmark != config.fwmark.unwrap_or(0) => {
            kept(node, config).fwmark = Some(live.live.fwmark).filter(|mark| *mark != 0);
        }
        Kind::Boot if config.run == Run::Boot => kept(node, config).run = Run::Now,
        // Brought up by hand.
        Kind::InterfaceExtra if config.run == Run::Off => kept(node, config).run = Run::Now,
        _ => return None,
    }
    Some(Ok(()))
}

/// Returns the peer that a change is about. That a next key is awaited is not for the host to change: a deploy puts it back,
/// and `rotate --abort` withdraws it.
fn present_peer<'a>(config: &'a InterfaceConfig, change: &Change) -> Option<&'a PeerConfig> {
    config.peers.iter().find(|peer| peer.title() == change.subject).filter(|peer| peer.succeeds.is_none())
}

/// Takes a difference of an interface that doesn't run.
fn of_absent(node: &mut Node, config: &InterfaceConfig, change: &Change) -> Taken {
    match change.kind {
        Kind::InterfaceMissing => kept(node, config).run = Run::Off,
        Kind::Boot if config.run == Run::Boot => {} // said by the other difference: it doesn't run at all
        _ => return None,
    }
    Some(Ok(()))
}

/// Whether a peer's route follows from what it is allowed, so that nothing else has to make it.
pub(super) fn follows_from_peers(live: &ObservedInterface, route: &crate::model::Route) -> bool {
    route.table.is_none() && live.live.peers.values().any(|peer| peer.allowed_ips.contains(&route.to))
}

pub(super) fn interface(node: &mut Node, id: InterfaceId) -> Option<&mut Interface> {
    node.interfaces.iter_mut().find(|interface| interface.id == id)
}

/// Returns what an interface keeps.
pub(super) fn kept<'a>(node: &'a mut Node, config: &InterfaceConfig) -> &'a mut Kept {
    let at = node.interfaces.iter().position(|interface| interface.id == config.id).unwrap_or(0);
    node.interfaces[at].kept.get_or_insert_with(Kept::made)
}

pub(super) fn kept_peer<'a>(node: &'a mut Node, config: &InterfaceConfig, peer: &PeerConfig) -> &'a mut KeptPeer {
    let (low, high) = peer.link.ends();
    let far = if low == config.id { high } else { low };
    kept(node, config).peers.entry(far).or_default()
}

/// Keeps the AllowedIPs that a peer has, as a difference from what the model gives it.
fn allowed_ips(kept: &mut KeptPeer, peer: &PeerConfig, live: &LivePeer) {
    for prefix in live.allowed_ips.iter().filter(|prefix| !peer.allowed_ips.contains(prefix)) {
        kept.left_out.retain(|left| left != prefix);
        kept.added.push(*prefix);
    }
    for prefix in peer.allowed_ips.iter().filter(|prefix| !live.allowed_ips.contains(prefix)) {
        kept.added.retain(|added| added != prefix);
        kept.left_out.push(*prefix);
    }
}
