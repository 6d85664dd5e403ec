//! What an import would do: everything that is known, with what the new sources add to it. Nothing is saved here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::live::{self, Surveyed};
use super::read::{self, Origin, Read, Refused, Remark, Words};
use super::sources::Source;
use super::stand_in;
use crate::db::Store;
use crate::model::{Interface, InterfaceName, Name, Network, Node, NodeId, PskPolicy, PublicKey, Role, Run, Topology};
use crate::ops::Error;
use crate::ops::network::init::DEFAULT_CIDR;
use crate::wg::adopt::{Conflict, Defaults, Joined, View, join};
use crate::wg::compile::compile;
use crate::wg::config::{self, Document, Mode};

/// What to import.
#[derive(Debug, Default)]
pub struct Request {
    /// Files.
    pub sources: Vec<Source>,
    /// Hosts that were asked.
    pub hosts: Vec<Surveyed>,
    /// Which interfaces of the hosts are imported; none means all.
    pub interfaces: Vec<InterfaceName>,
    /// What the operator says about the sources.
    pub words: Words,
    /// What a new network is to be called; for one that exists it has a name already.
    pub network: Option<Name>,
}

/// An import that could be saved.
#[derive(Debug)]
pub struct Prepared {
    /// The whole network as all sources together describe it, those of earlier imports too.
    pub joined: Joined,
    /// The same without the new sources; `None` when there was no network.
    pub(super) before: Option<Joined>,
    /// The views that were joined; those before `first_new` are what the database knows.
    pub(super) views: Vec<View>,
    /// The nodes of the views that the database knows, in their order.
    pub(super) nodes: Vec<NodeId>,
    /// The places of the views that go by a stand-in, since nobody knows their keys.
    pub(super) stand_ins: Vec<usize>,
    /// Nodes that their sources keep switched off.
    pub(super) disabled: BTreeSet<PublicKey>,
    /// The place of the first view that is new.
    pub(super) first_new: usize,
    /// Where each new view is from.
    pub(super) origins: Vec<Origin>,
    /// The hosts that were asked.
    pub(super) hosts: Vec<Surveyed>,
    /// Sources that couldn't be read.
    pub refused: Vec<Refused>,
    /// What else the operator should know.
    pub remarks: Vec<Remark>,
}

/// Reads what is to be imported and joins it with what is known.
///
/// # Errors
/// When nothing can be read at all, or the sources contradict each other or the network.
pub fn prepare(store: Option<&Store>, request: Request, now: DateTime<Utc>) -> Result<Prepared, Error> {
    let mut read = read::read(request.sources, &request.words);
    for host in &request.hosts {
        live::views(host, &request.interfaces, request.words.mode, &mut read);
    }
    let Read { views: new, mut origins, refused, mut remarks } = read;
    if new.is_empty() {
        return Err(nothing(&refused));
    }
    let known = store.map(Known::of).transpose()?;
    // Always the same defaults: with those of the database, what came first would count for more.
    let network = bare(match &known {
        Some(known) => known.topology.network.name.clone(),
        None => request.network.unwrap_or_else(|| name_of(&new)),
    });
    let defaults = Defaults { network, created: now };
    let (mut views, mut nodes, before) = match known {
        Some(known) => known.views(&defaults)?,
        None => (Vec::new(), Vec::new(), None),
    };
    let mut fresh: Vec<View> = Vec::new();
    let mut kept_origins = Vec::new();
    for (view, origin) in new.into_iter().zip(origins.drain(..)) {
        let known = |key| nodes.iter().position(|(_, known)| *known == key);
        if let Some(at) = key_of(&view).and_then(known) {
            if views[at].text.as_deref() == view.text.as_deref() && view.text.is_some() {
                let text = "it is in the network already, exactly so".to_owned();
                remarks.push(Remark { about: view.source, text });
                continue;
            }
            views.remove(at);
            nodes.remove(at);
        }
        fresh.push(view);
        kept_origins.push(origin);
    }
    let first_new = views.len();
    views.append(&mut fresh);
    let known: Vec<PublicKey> = nodes.iter().map(|(_, key)| *key).collect();
    let (joined, stand_ins) = stand_in::join_all(&mut views, &known, &defaults)?;
    let nodes = nodes.into_iter().map(|(id, _)| id).collect();
    remarks.extend(stand_ins.iter().filter(|at| **at >= first_new).map(|at| stand_in::remark(&views[*at])));
    remarks.sort();
    remarks.dedup();
    let (origins, hosts) = (kept_origins, request.hosts);
    let disabled = views[first_new..].iter().filter(|view| !view.enabled).filter_map(key_of).collect();
    Ok(Prepared { joined, disabled, before, views, nodes, stand_ins, first_new, origins, hosts, refused, remarks })
}

/// Returns the key by which a view's own interface is known.
pub(super) fn key_of(view: &View) -> Option<PublicKey> {
    view.public_key.or_else(|| view.tunnel.private_key.as_ref().map(|key| key.public()))
}

fn nothing(refused: &[Refused]) -> Error {
    let reasons: Vec<String> = refused.iter().map(Refused::in_words).collect();
    if reasons.is_empty() {
        return Error::Value {
            what: "import".to_owned(),
            reason: "there is nothing to import".to_owned(),
            hint: Some("give files or folders, or a host with --host".to_owned()),
        };
    }
    Error::RefusedWithRemedy {
        message: reasons.join("\n"),
        hint: "mend the file, or try --lenient; `wg-friend import --format list` shows what can be read".to_owned(),
    }
}

pub(super) fn conflicts(conflicts: Vec<Conflict>) -> Error {
    let told: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    Error::RefusedWithRemedy {
        message: told.join("\n"),
        hint: "nothing was imported; --as FILE=ROLE and --public-key FILE=KEY say what a file can't, --interface NAME \
               takes only some interfaces of a host"
            .to_owned(),
    }
}

/// Names a new network after its interface where that has a name of the usual kind: files of devices are often called
/// after the devices.
fn name_of(views: &[View]) -> Name {
    let usual = |name: &&str| name.starts_with("wg");
    let mut names: Vec<&str> =
        views.iter().filter_map(|v| v.interface.as_ref()).map(|i| i.as_str()).filter(usual).collect();
    names.sort_unstable();
    names.into_iter().find_map(|name| name.parse().ok()).unwrap_or_else(|| "home".parse().expect("it is a name"))
}

fn bare(name: Name) -> Network {
    Network {
        name,
        interface: "wg0".parse().expect("it is the name of an interface"),
        cidr4: Some(DEFAULT_CIDR),
        cidr6: None,
        port: crate::model::Port::new(51820).expect("it is a port"),
        dns: Vec::new(),
        mtu: crate::model::Mtu::DEFAULT,
        keepalive: 25,
        psk: PskPolicy::Unique,
        stable_clients: Vec::new(),
        exit: crate::model::Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    }
}

/// What the database knows: views, each with its node and the key that it goes by, and what they join to.
type KnownViews = (Vec<View>, Vec<(NodeId, PublicKey)>, Option<Joined>);

/// The network in the database.
struct Known {
    topology: Topology,
    /// What each node's main interface is now, with the file that it was adopted from.
    nodes: Vec<(NodeId, View)>,
}

impl Known {
    fn of(store: &Store) -> Result<Self, Error> {
        let topology = store.topology()?;
        let secrets = store.secrets()?;
        let mut nodes = Vec::new();
        if topology.nodes.is_empty() {
            return Ok(Self { topology, nodes });
        }
        let compiled = compile(&topology).map_err(Error::Model)?;
        // A server's tunnel to an exit has a key of its own; for who belongs together it is the server's.
        let uplinks: BTreeMap<PublicKey, PublicKey> = topology
            .nodes
            .iter()
            .flat_map(|node| node.interfaces[1..].iter().map(|uplink| (uplink.public_key, node.main().public_key)))
            .collect();
        for config in &compiled {
            let Some(node) = topology.node(config.node).filter(|node| !node.provisional) else { continue };
            let main = &config.interfaces[0];
            let files = config::files(config, &secrets);
            let Some(text) = files.into_iter().next().map(|file| file.content) else { continue };
            let reading = Document::parse(&text)
                .read(Mode::Keep)
                .map_err(|_| Error::Refused(format!("the configuration of `{}` can't be read back", node.name)))?;
            let mut tunnel = reading.tunnel;
            for peer in &mut tunnel.peers {
                peer.public_key = uplinks.get(&peer.public_key).copied().unwrap_or(peer.public_key);
            }
            let source = store.provenance(node.id)?.into_iter().find(|from| from.lines.is_none());
            let mut view = View::new(source.as_ref().map_or(node.name.as_str(), |from| &from.source), tunnel);
            // One that goes by a stand-in may be recognised now.
            let unknown = node.main().kept.as_ref().is_some_and(|kept| kept.key_unknown);
            view.public_key = Some(main.public_key).filter(|_| !unknown);
            view.name = match &source {
                Some(from) if from.host.is_none() => stem(&from.source),
                _ => Some(node.name.to_string()),
            };
            of_interface(&mut view, node, node.main(), text);
            nodes.push((node.id, view));
        }
        Ok(Self { topology, nodes })
    }

    /// Returns the views and what they join to. A node that the operator has given another role than its sources suggest
    /// keeps it.
    fn views(self, defaults: &Defaults) -> Result<KnownViews, Error> {
        let Self { topology, nodes } = self;
        if nodes.is_empty() {
            return Ok((Vec::new(), Vec::new(), None));
        }
        let (ids, mut views): (Vec<NodeId>, Vec<View>) = nodes.into_iter().unzip();
        let mut stand_ins = Vec::new();
        let roles: BTreeMap<PublicKey, Role> = topology.nodes.iter().map(|n| (n.main().public_key, n.role)).collect();
        let key = |id: &NodeId| topology.node(*id).map(|node| (*id, node.main().public_key));
        let nodes: Vec<(NodeId, PublicKey)> = ids.iter().filter_map(key).collect();
        let keys: Vec<PublicKey> = nodes.iter().map(|(_, key)| *key).collect();
        let joined = stand_in::join_all(&mut views, &keys, defaults);
        let differs = |joined: &Joined| {
            joined.topology.nodes.iter().any(|n| roles.get(&n.main().public_key).is_some_and(|role| *role != n.role))
        };
        let joined = match joined {
            Ok((joined, placed)) if !differs(&joined) => {
                stand_ins = placed;
                joined
            }
            _ => {
                for view in &mut views {
                    view.role = view.public_key.and_then(|key| roles.get(&key)).copied();
                }
                join(&views, defaults).map_err(conflicts)?
            }
        };
        for at in stand_ins {
            views[at].public_key = None; // with the new sources it may be recognised
        }
        Ok((views, nodes, Some(joined)))
    }
}

fn of_interface(view: &mut View, node: &Node, interface: &Interface, text: Zeroizing<String>) {
    view.interface = Some(interface.name.clone());
    view.host.clone_from(&node.host);
    match &interface.kept {
        Some(kept) => {
            view.text = Some(text);
            view.run = kept.run;
            view.by_hooks = kept.by_hooks.clone();
        }
        None => {
            // wg-friend made it, so its role is known and it keeps nothing.
            view.role = Some(node.role);
            view.run = Run::Boot;
        }
    }
}

/// Returns a file's name without folder and ending.
pub(super) fn stem(source: &str) -> Option<String> {
    Path::new(source).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned)
}
