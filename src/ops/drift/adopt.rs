//! Taking what somebody changed on a host into the model, as far as the model has a place for it.
//!
//! Pure deciding first: each difference becomes an edit of a node, or a reason why not. Then, in one transaction, the edits
//! are made and the host is compared anew: only what no longer differs counts as adopted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{DriftItem, Store, Tx};
use crate::fleet::Fleet;
use crate::model::{
    Access, Action, Actor, Cidr, Custody, Event, Interface, InterfaceId, InterfaceKind, Kept, KeptEndpoint, KeptPeer,
    LinkId, Mtu, Name, Node, NodeId, Origin, Role, Run, Topology,
};
use crate::ops::clock::Clock;
use crate::ops::deploy::desired::Desired;
use crate::ops::deploy::{self, Change, HostPlan, Kind, Options, Outcome, Progress, diff};
use crate::ops::error::Error;
use crate::ops::network::change::Mode;
use crate::ops::network::find;
use crate::wg::compile::compile;
use crate::wg::dump::LivePeer;
use crate::wg::{InterfaceConfig, PeerConfig};

use super::item::{Found, items};
use super::known;

/// What was taken over from a host.
#[derive(Clone, Debug, Serialize)]
pub struct Adopted {
    /// Which host.
    pub host: Name,
    /// Whether it was saved; false for a preview.
    pub saved: bool,
    /// What the model has now as the host does.
    pub adopted: Vec<DriftItem>,
    /// What has no place in the model, and why.
    pub left: Vec<Left>,
    /// Nodes that are new: strangers' peers, known by their keys only.
    pub added: Vec<Name>,
    /// What on the host itself has to follow, such as its files.
    pub follows: Vec<Change>,
    /// How that went; `None` when nothing was to follow, or it was left to a deploy.
    pub deployed: Option<Outcome>,
}

/// What wasn't taken over.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    /// What it is.
    #[serde(flatten)]
    pub item: DriftItem,
    /// Why not.
    pub reason: String,
}

/// Takes a host's drift into the model. If all of it could be, and the model had nothing undeployed for this host, what
/// has to follow on the host is deployed to it: nothing there changes but what now follows from what it runs.
///
/// # Errors
/// When the host gives no answer, nothing drifted, or the model would contradict itself. Nothing is saved then.
#[expect(clippy::too_many_arguments, reason = "what a deploy takes, the host, and whether to save")]
pub fn adopt(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    host: &str,
    options: &Options,
    mode: Mode,
    progress: &dyn Progress,
) -> Result<Adopted, Error> {
    let name = known(store, host)?;
    let only = [name.clone()];
    let plan = deploy::plan(store, fleet, clock, actor, &only, 1, progress)?;
    let Some(host) = plan.hosts.first() else {
        return Err(Error::Refused(format!("nothing is deployed to `{name}` yet; nothing was changed")));
    };
    if let Err(why) = &host.seen {
        return Err(Error::Refused(format!("nobody knows what is on `{name}` now: {why}; nothing was changed")));
    }
    let found = items(host);
    if found.is_empty() {
        return Err(Error::Refused(format!("nothing drifted on `{name}`; nothing was changed")));
    }
    let now = clock.now();
    let mut adopted = match mode {
        Mode::Save => store.write_all(now, actor, |tx| {
            let (adopted, events) = Taking::new(tx, host, now)?.run(&found)?;
            if adopted.adopted.is_empty() {
                return Err(nothing(&adopted));
            }
            Ok::<_, Error>((Adopted { saved: true, ..adopted }, events))
        })?,
        Mode::Preview => store.try_out(|tx| Taking::new(tx, host, now)?.run(&found).map(|(adopted, _)| adopted))?,
    };
    let waiting = host.changes().iter().enumerate().any(|(at, _)| !found.iter().any(|f| f.changes.contains(&at)));
    if adopted.saved && adopted.left.is_empty() && !adopted.follows.is_empty() && !waiting {
        let plan = deploy::plan(store, fleet, clock, actor, &only, 1, progress)?;
        let outcomes = deploy::deploy(store, fleet, clock, actor, plan, options, progress)?;
        adopted.deployed = outcomes.into_iter().next().map(|outcome| outcome.outcome);
    }
    Ok(adopted)
}

fn nothing(adopted: &Adopted) -> Error {
    let reasons: Vec<String> = adopted.left.iter().map(|l| format!("{}: {}", l.item.kind, l.reason)).collect();
    Error::RefusedWithRemedy {
        message: format!("nothing of this can be taken into the model ({})", reasons.join("; ")),
        hint: format!(
            "`wg-friend deploy {0}` puts it back, `wg-friend drift baseline {0} --reason TEXT` lets it be",
            adopted.host
        ),
    }
}

/// Why something can't be adopted.
type Reason = String;

struct Taking<'a> {
    tx: &'a Tx<'a>,
    host: &'a HostPlan,
    topology: Topology,
    now: DateTime<Utc>,
    touched: BTreeSet<NodeId>,
    added: Vec<Name>,
    events: Vec<Event>,
}

impl<'a> Taking<'a> {
    fn new(tx: &'a Tx<'a>, host: &'a HostPlan, now: DateTime<Utc>) -> Result<Self, Error> {
        let topology = tx.topology()?;
        Ok(Self { tx, host, topology, now, touched: BTreeSet::new(), added: Vec::new(), events: Vec::new() })
    }

    fn run(mut self, found: &[Found]) -> Result<(Adopted, Vec<Event>), Error> {
        let before = self.topology.clone();
        let changes = self.host.changes();
        let mut reasons: BTreeMap<usize, Reason> = BTreeMap::new();
        for at in found.iter().flat_map(|found| &found.changes) {
            if let Err(reason) = self.take(&changes[*at])? {
                reasons.insert(*at, reason);
            }
        }
        for id in &self.touched {
            let (Some(was), Some(is)) = (before.node(*id), self.topology.node(*id)) else { continue };
            self.tx.update_node(is, self.now)?;
            self.events.push(Event::node(Action::PeerUpdated, is).change(was, is));
        }
        let after = self.tx.topology()?;
        let compiled = compile(&after).map_err(Error::Model)?;
        let secrets = self.tx.secrets()?;
        let desired = Desired::of(&self.host.host.name, &after, &compiled, &secrets);
        let remaining = match &self.host.seen {
            Ok(seen) => diff(&desired, &secrets, self.host.deployed.as_ref(), &seen.observed),
            Err(_) => Vec::new(),
        };
        let same = |a: &Change, b: &Change| {
            (&a.interface, a.kind, &a.subject, &a.before) == (&b.interface, b.kind, &b.subject, &b.before)
        };
        let (mut adopted, mut left) = (Vec::new(), Vec::new());
        for found in found {
            let reason = found.changes.iter().find_map(|at| reasons.get(at)).cloned();
            let still = found.changes.iter().any(|at| remaining.iter().any(|change| same(change, &changes[*at])));
            match reason.or_else(|| still.then(|| "the model has no place for it".to_owned())) {
                Some(reason) => left.push(Left { item: found.item.clone(), reason }),
                None => adopted.push(found.item.clone()),
            }
        }
        let follows = remaining.into_iter().filter(|change| !changes.iter().any(|known| same(change, known))).collect();
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

    /// Edits the model for one difference, or says why that can't be.
    fn take(&mut self, change: &Change) -> Result<Result<(), Reason>, Error> {
        let because = |text: &str| Ok(Err(text.to_owned()));
        let Ok(seen) = &self.host.seen else { return because("the host gave no answer") };
        let Some(config) = change.interface.as_ref().and_then(|name| self.host.desired.interface(name)) else {
            return because("it belongs to the host, not to an interface of the model");
        };
        let Some(live) = seen.observed.interfaces.get(&config.name) else {
            return because("the interface doesn't run");
        };
        let peer = config.peers.iter().find(|peer| peer.name.as_str() == change.subject);
        let live_peer = peer.and_then(|peer| live.live.peers.get(&peer.public_key));
        let Some(node) = self.topology.nodes.iter_mut().find(|n| n.interfaces.iter().any(|i| i.id == config.id)) else {
            return because("its interface is no longer in the model");
        };
        let id = node.id;
        let is_main = node.main().id == config.id;
        match (change.kind, peer, live_peer) {
            (Kind::ListenPort, ..) => {
                let Some(port) = live.live.listen_port else { return because("it has no port") };
                if let Some(endpoint) = node.endpoint.as_mut().filter(|e| is_main && Some(e.port) == config.listen_port)
                {
                    endpoint.port = port; // no translation in between: what others dial moves along
                }
                let Some(interface) = interface(node, config.id) else { return because("it isn't in the model") };
                interface.listen_port = Some(port);
                interface.kept.iter_mut().for_each(|kept| kept.port_auto = false);
            }
            (Kind::Mtu, ..) if node.interfaces.len() > 1 => {
                return because("the node has several interfaces, and the model one MTU for all of them");
            }
            (Kind::Mtu, ..) => match Mtu::try_from(live.mtu) {
                Ok(mtu) => node.mtu = Some(mtu),
                Err(why) => return Ok(Err(why.to_string())),
            },
            (Kind::AllowedIps, Some(peer), Some(live)) => allowed_ips(kept_peer(node, config, peer), peer, live),
            (Kind::Keepalive, Some(peer), Some(live)) => {
                kept_peer(node, config, peer).keepalive = Some(live.keepalive.unwrap_or(0));
            }
            (Kind::Endpoint, Some(peer), Some(live)) => {
                let Some(at) = live.endpoint else { return because("the host has no endpoint for it") };
                let Ok(endpoint) = at.to_string().parse() else { return because("its endpoint has no port") };
                kept_peer(node, config, peer).endpoint = Some(KeptEndpoint::At(endpoint));
            }
            (Kind::PresharedKey, Some(peer), Some(live)) => {
                match &live.preshared {
                    Some(key) => self.tx.set_psk(peer.link, key, self.now)?,
                    None => drop(self.tx.remove_psk(peer.link)?),
                }
                self.events.push(
                    Event::host(Action::PresharedKeyChanged, &self.host.host.name).with("peer", peer.name.to_string()),
                );
                return Ok(Ok(()));
            }
            (Kind::PeerMissing, Some(peer), None) => kept_peer(node, config, peer).absent = true,
            (Kind::PeerExtra, None, None) if node.role == Role::Server && is_main => {
                return self.stranger(config, change);
            }
            (Kind::PeerExtra, ..) => return because("only a server's main interface takes new nodes in"),
            (Kind::Boot, ..) => {
                kept(node, config).run = Run::Now;
            }
            (Kind::PrivateKey, ..) => return because("its private key is known to the host alone"),
            _ => return because("the model says this by itself"),
        }
        self.touched.insert(id);
        Ok(Ok(()))
    }

    /// Adds the node behind a peer that nobody planned. It may reach nothing until somebody says otherwise.
    fn stranger(&mut self, config: &InterfaceConfig, change: &Change) -> Result<Result<(), Reason>, Error> {
        let live = self.host.seen.as_ref().ok().and_then(|seen| seen.observed.interfaces.get(&config.name));
        let peer = live.into_iter().flat_map(|l| &l.live.peers).find(|(key, _)| key.short() == change.subject);
        let Some((key, live)) = peer else { return Ok(Err("its key is another by now".to_owned())) };
        if self.tx.interface_with_key(*key)?.is_some() {
            return Ok(Err("its key is or was that of a node of the model: enable or change that node".to_owned()));
        }
        let letters: String = key.to_string().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let Ok(name) = format!("peer-{letters}").parse::<Name>() else {
            return Ok(Err("its key makes no name".to_owned()));
        };
        if find::check_name(&self.topology, &name, None).is_err() {
            return Ok(Err(format!("a node is called `{name}` already")));
        }
        let inside = |prefix: &&Cidr| {
            let address = prefix.net().addr();
            prefix.is_host() && self.topology.network.prefixes().any(|p| p.contains(address)) && self.is_free(address)
        };
        let own: Vec<IpAddr> = live.allowed_ips.iter().filter(inside).map(|prefix| prefix.net().addr()).collect();
        let node = Node {
            id: NodeId(0),
            guid: *key,
            name: name.clone(),
            role: Role::Remote,
            device: None,
            enabled: true,
            custody: Custody::NeverSeen,
            provisional: true,
            interfaces: vec![Interface {
                id: InterfaceId(0),
                name: self.topology.network.interface.clone(),
                kind: InterfaceKind::Main,
                listen_port: None,
                public_key: *key,
                kept: None,
            }],
            address4: own.iter().find_map(|a| if let IpAddr::V4(four) = a { Some(*four) } else { None }),
            address6: own.iter().find_map(|a| if let IpAddr::V6(six) = a { Some(*six) } else { None }),
            endpoint: None,
            keepalive: None,
            mtu: None,
            dns: None,
            lans: Vec::new(),
            outer_interface: None,
            nat: false,
            access: Access::Custom,
            lan_selection: BTreeSet::new(),
            grants: Vec::new(),
            exit: None,
            host: None,
            notes: format!("found on host {}", self.host.host.name),
            origin: Origin::Import,
            created: self.now,
        };
        let node = self.tx.insert_node(node, None)?;
        let far = node.main().id;
        if let Some(key) = &live.preshared {
            self.tx.set_psk(LinkId::between(config.id, far), key, self.now)?;
        }
        let has: Vec<Cidr> = node.addresses().collect();
        let difference = KeptPeer {
            added: live.allowed_ips.iter().filter(|prefix| !has.contains(prefix)).copied().collect(),
            left_out: has.iter().filter(|prefix| !live.allowed_ips.contains(prefix)).copied().collect(),
            keepalive: live.keepalive,
            ..KeptPeer::default()
        };
        if difference != KeptPeer::default()
            && let Some(server) =
                self.topology.nodes.iter_mut().find(|n| n.interfaces.iter().any(|i| i.id == config.id))
        {
            kept(server, config).peers.insert(far, difference);
            self.touched.insert(server.id);
        }
        self.events.push(
            Event::node(Action::PeerAdded, &node)
                .with("role", node.role.as_str())
                .with("origin", node.origin.as_str())
                .with("provisional", true)
                .with("public_key", key.to_string()),
        );
        self.added.push(name);
        self.topology.nodes.push(node);
        Ok(Ok(()))
    }

    fn is_free(&self, address: IpAddr) -> bool {
        !self.topology.nodes.iter().any(|node| node.addresses().any(|own| own.net().addr() == address))
    }
}

fn interface(node: &mut Node, id: InterfaceId) -> Option<&mut Interface> {
    node.interfaces.iter_mut().find(|interface| interface.id == id)
}

/// Returns what an interface keeps.
fn kept<'a>(node: &'a mut Node, config: &InterfaceConfig) -> &'a mut Kept {
    let at = node.interfaces.iter().position(|interface| interface.id == config.id).unwrap_or(0);
    node.interfaces[at].kept.get_or_insert_with(Kept::made)
}

fn kept_peer<'a>(node: &'a mut Node, config: &InterfaceConfig, peer: &PeerConfig) -> &'a mut KeptPeer {
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
