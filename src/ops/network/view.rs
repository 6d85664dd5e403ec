//! How nodes look from outside: with names instead of numbers, and nothing secret. These are the documents of `--json`;
//! fields are added to them and never taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::grant::GrantView;
use super::{adopted, find};
use crate::db::Database;
use crate::model::{
    Access, Cidr, Custody, Device, Egress, Endpoint, Host, Interface, InterfaceId, InterfaceKind, InterfaceName,
    KeyState, Lan, Link, LinkId, Mtu, Name, Network, Node, Origin, Port, Provenance, PublicKey, Role, Topology, Weight,
    WhenDown,
};
use crate::ops::Error;
use crate::ops::revision::{self, DeviceReport};
use crate::wg::compile::links;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeView {
    /// Its name.
    pub name: Name,
    /// The first public key it ever had; never changes.
    pub guid: PublicKey,
    /// What it does.
    pub role: Role,
    /// What kind of device a remote is.
    pub device: Option<Device>,
    /// Whether it appears in configs.
    pub enabled: bool,
    /// Whether it is known only by its public key from somebody else's config.
    pub provisional: bool,
    /// Who has its private key.
    pub custody: Custody,
    /// The key of its main interface.
    pub public_key: PublicKey,
    /// The name of its main interface.
    pub interface: InterfaceName,
    /// The UDP port of its main interface.
    pub listen_port: Option<Port>,
    /// Its IPv4 address in the network.
    pub address4: Option<Ipv4Addr>,
    /// Its IPv6 address in the network.
    pub address6: Option<Ipv6Addr>,
    /// Where others dial it.
    pub endpoint: Option<Endpoint>,
    /// Networks behind it.
    pub lans: Vec<Lan>,
    /// Its interface towards LANs or the internet, when one is set.
    pub outer_interface: Option<InterfaceName>,
    /// Whether traffic into its LANs is masqueraded.
    pub nat: bool,
    /// What it may reach.
    pub access: Access,
    /// The LANs of access `lan_only`.
    pub allowed_lans: Vec<Cidr>,
    /// What it may reach beyond its level; what its groups are granted is not among it.
    pub grants: Vec<GrantView>,
    /// The exit, the group of exits or the server by which its internet traffic leaves; of a chain the last exit.
    pub exit: Option<Name>,
    /// The exits of the chain by which it leaves, in order; empty for other ways.
    pub via: Vec<Name>,
    /// The server that it belongs to; `None` for servers, and while that one is disabled.
    pub server: Option<Name>,
    /// Whether that is what the network says, and nothing of its own.
    pub exit_inherited: bool,
    /// Whether nothing of it leaves while its exit can't be used.
    pub kill_switch: bool,
    /// Prefixes of the network that the internet routes to this exit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routed: Vec<Cidr>,
    /// The machine it runs on.
    pub host: Option<Name>,
    /// Its MTU, when it has one of its own.
    pub mtu: Option<Mtu>,
    /// Its keepalive in seconds, when it has one of its own.
    pub keepalive: Option<u16>,
    /// Its DNS entries, when it has some of its own.
    pub dns: Option<Vec<String>>,
    /// The operator's notes.
    pub notes: String,
    /// How it came into the model.
    pub origin: Origin,
    /// When it was added.
    pub created: DateTime<Utc>,
}

impl NodeView {
    /// The view of a node in its network.
    pub fn of(node: &Node, topology: &Topology) -> Self {
        let main = node.main();
        Self {
            name: node.name.clone(),
            guid: node.guid,
            role: node.role,
            device: node.device,
            enabled: node.enabled,
            provisional: node.provisional,
            custody: node.custody,
            public_key: main.public_key,
            interface: main.name.clone(),
            listen_port: main.listen_port,
            address4: node.address4,
            address6: node.address6,
            endpoint: node.endpoint.clone(),
            lans: node.lans.clone(),
            outer_interface: node.outer_interface.clone(),
            nat: node.nat,
            access: node.access,
            allowed_lans: node.lan_selection.iter().copied().collect(),
            grants: node.grants.iter().map(|grant| GrantView::of(grant, topology)).collect(),
            server: topology.home(node).filter(|home| home.id != node.id).map(|home| home.name.clone()),
            exit: topology.egress_name(topology.egress(node)).cloned(),
            via: topology.via_names(topology.egress(node)),
            exit_inherited: node.exit.is_none() && topology.egress(node) != Egress::None,
            kill_switch: node.role == Role::Remote && topology.kill_switch(node),
            routed: node.routed.iter().copied().collect(),
            host: node.host.clone(),
            mtu: node.mtu,
            keepalive: node.keepalive,
            dns: node.dns.clone(),
            notes: node.notes.clone(),
            origin: node.origin,
            created: node.created,
        }
    }

    /// Returns its addresses as text, IPv4 first.
    pub fn addresses(&self) -> Vec<String> {
        let four = self.address4.map(|a| a.to_string());
        four.into_iter().chain(self.address6.map(|a| a.to_string())).collect()
    }
}

/// An address plan with its nodes and hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopologyView {
    /// Address plan and defaults.
    pub network: NetworkView,
    /// Its nodes, ordered by role and name.
    pub nodes: Vec<NodeView>,
    /// Links that somebody made beside those that follow from roles.
    pub links: Vec<OwnLinkView>,
    /// The machines.
    pub hosts: Vec<Host>,
}

impl TopologyView {
    /// The view of a network.
    pub fn of(topology: &Topology) -> Self {
        Self {
            network: network(topology),
            nodes: list(topology, None),
            links: own_links(topology),
            hosts: topology.hosts.clone(),
        }
    }
}

/// The network's address plan and defaults. What it refers to has its name in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkView {
    network: Network,
    exit: Option<Name>,
    via: Vec<Name>,
}

impl std::ops::Deref for NetworkView {
    type Target = Network;
    fn deref(&self) -> &Network {
        &self.network
    }
}

impl Serialize for NetworkView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.network).map_err(serde::ser::Error::custom)?;
        value["exit"] = self.exit.as_ref().map(Name::as_str).into();
        value["via"] = self.via.iter().map(Name::as_str).collect();
        value.serialize(serializer)
    }
}

/// The view of a network's address plan and defaults.
pub fn network(topology: &Topology) -> NetworkView {
    NetworkView {
        network: topology.network.clone(),
        exit: topology.egress_name(topology.network.exit).cloned(),
        via: topology.via_names(topology.network.exit),
    }
}

/// Returns the nodes, of one role or of all, ordered by role and then by name.
pub fn list(topology: &Topology, role: Option<Role>) -> Vec<NodeView> {
    let mut nodes: Vec<NodeView> = topology
        .nodes
        .iter()
        .filter(|node| role.is_none_or(|role| node.role == role))
        .map(|node| NodeView::of(node, topology))
        .collect();
    nodes.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    nodes
}

/// Something a node may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Where: a prefix, a grant, or `internet`.
    pub destination: String,
    /// What that is, in words.
    pub what: String,
}

/// Returns what a node may reach at a time, as its access level and its grants say; what the server enforces is compiled from
/// the same values.
pub fn reach(node: &Node, topology: &Topology, now: DateTime<Utc>) -> Vec<Reach> {
    let entry = |destination: String, what: String| Reach { destination, what };
    let network =
        || topology.network.prefixes().map(|p| entry(p.to_string(), format!("network {}", topology.network.name)));
    let lans = || {
        let others = topology.enabled().filter(|other| other.id != node.id);
        others.flat_map(|other| other.lans.iter().map(move |lan| (lan, other)))
    };
    let lan = |(lan, owner): (&Lan, &Node)| {
        let description = if lan.description.is_empty() { String::new() } else { format!("{}, ", lan.description) };
        entry(lan.cidr.to_string(), format!("{description}behind {}", owner.name))
    };
    let mut list: Vec<Reach> = match node.access {
        Access::Full => network().chain(lans().map(lan)).collect(),
        Access::VpnOnly => network().collect(),
        Access::LanOnly => {
            let selected = lans().filter(|(lan, _)| node.lan_selection.contains(&lan.cidr));
            network().chain(selected.map(lan)).collect()
        }
        Access::Custom | Access::ExitOnly => Vec::new(),
    };
    if !matches!(node.access, Access::Full | Access::ExitOnly) {
        let own = node.grants.iter().map(|grant| (grant, String::from("granted")));
        let groups = topology.groups.iter().filter(|group| group.members.contains(&node.id));
        let by_groups =
            groups.flat_map(|group| group.grants.iter().map(|grant| (grant, format!("granted to {}", group.name))));
        for (grant, mut what) in own.chain(by_groups).filter(|(grant, _)| !grant.is_over(now)) {
            let grant = GrantView::of(grant, topology);
            if let Some(end) = grant.end() {
                what.push_str(&format!(" until {end}"));
            }
            if !grant.note.is_empty() {
                what.push_str(&format!(": {}", grant.note));
            }
            list.push(entry(format!("{} {}", grant.destination, grant.flow()), what));
        }
    }
    match topology.egress(node) {
        Egress::None => {}
        Egress::Node(id) => {
            list.extend(topology.node(id).map(|exit| entry("internet".into(), format!("through {}", exit.name))));
        }
        Egress::Via(_) => {
            let names: Vec<String> = topology.via_names(topology.egress(node)).iter().map(Name::to_string).collect();
            list.push(entry("internet".into(), format!("through {}", names.join(", then "))));
        }
        Egress::Group(id) => list.extend(topology.exit_group(id).map(|group| {
            let now = group.carrier(topology).map_or_else(|| "no exit".to_owned(), |exit| exit.name.to_string());
            entry("internet".into(), format!("through the group {}, now {now}", group.name))
        })),
    }
    list
}

/// Returns how an interface is named in listings: with the exit it leads to.
fn interface_purpose(kind: InterfaceKind, topology: &Topology) -> String {
    match kind {
        InterfaceKind::Main => "main".into(),
        InterfaceKind::Uplink(exit) => {
            topology.node(exit).map_or("uplink".into(), |exit| format!("uplink to {}", exit.name))
        }
    }
}

/// A key that an interface has or had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyView {
    /// Of which interface.
    pub interface: InterfaceName,
    /// The public half.
    pub public_key: PublicKey,
    /// `active`, `staged` or `retired`.
    pub state: KeyState,
    /// Since when it is known.
    pub created: DateTime<Utc>,
    /// Since when it is no longer used.
    pub retired: Option<DateTime<Utc>>,
    /// Why it is no longer used.
    pub reason: Option<String>,
}

/// A WireGuard interface of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterfaceView {
    /// Its name on the host.
    pub name: InterfaceName,
    /// `main`, or which exit it leads to.
    pub purpose: String,
    /// UDP port.
    pub listen_port: Option<Port>,
    /// The key in use.
    pub public_key: PublicKey,
}

/// A peer of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkView {
    /// The node at the other end.
    pub peer: Name,
    /// By which of the node's own interfaces.
    pub interface: InterfaceName,
    /// Whether the link has a preshared key.
    pub preshared_key: bool,
    /// What a step over it costs, if somebody made it beside those that follow from roles.
    pub weight: Option<Weight>,
    /// What becomes of its traffic while it is down.
    pub when_down: WhenDown,
}

/// A link that somebody made beside those that follow from roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnLinkView {
    /// The nodes at its ends, by name.
    pub nodes: [Name; 2],
    /// What a step over it costs; `None` in an adopted network, where it carries what its ends keep.
    pub weight: Option<Weight>,
    /// What becomes of its traffic while it is down.
    pub when_down: WhenDown,
}

/// Returns the links that somebody made beside those that follow from roles, ordered by name.
fn own_links(topology: &Topology) -> Vec<OwnLinkView> {
    let owners: BTreeMap<InterfaceId, &Name> =
        topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(move |own| (own.id, &node.name))).collect();
    let view = |link: &Link| {
        let (low, high) = link.id.ends();
        let mut nodes = [(*owners.get(&low)?).clone(), (*owners.get(&high)?).clone()];
        nodes.sort();
        Some(OwnLinkView { nodes, weight: link.weight, when_down: link.when_down })
    };
    let mut links: Vec<OwnLinkView> = topology.links.iter().filter_map(view).collect();
    links.sort_by(|a, b| a.nodes.cmp(&b.nodes));
    links
}

/// Everything about one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeDetails {
    /// What `list` shows too.
    #[serde(flatten)]
    pub node: NodeView,
    /// Its WireGuard interfaces, the main one first.
    pub interfaces: Vec<InterfaceView>,
    /// Its keys, past and present, the newest first.
    pub keys: Vec<KeyView>,
    /// Its peers.
    pub links: Vec<LinkView>,
    /// What it may reach now: a grant that is over isn't among it.
    pub reaches: Vec<Reach>,
    /// The server whose own rules decide what it really reaches, since wg-friend's aren't in force there.
    pub not_enforced_by: Option<Name>,
    /// What an adopted node keeps of its own configuration, in words.
    pub kept: Option<String>,
    /// What it was given, and whether that still fits; `None` when nobody carries its file.
    pub file: Option<DeviceReport>,
    /// Where it is known from, the newest source first; none for a node that was added by command.
    pub sources: Vec<Provenance>,
}

/// Tells everything about one node, as it is at a time. Needs no passphrase.
pub fn show(database: &Database, wanted: &str, now: DateTime<Utc>) -> Result<NodeDetails, Error> {
    let topology = database.topology()?;
    let node = find::node(&topology, wanted)?;
    let interface = |interface: &Interface| InterfaceView {
        name: interface.name.clone(),
        purpose: interface_purpose(interface.kind, &topology),
        listen_port: interface.listen_port,
        public_key: interface.public_key,
    };
    let keys = database.key_history(node.id)?.into_iter().map(|key| KeyView {
        interface: key.interface_name,
        public_key: key.public_key,
        state: key.state,
        created: key.created,
        retired: key.retired_at,
        reason: key.reason,
    });
    Ok(NodeDetails {
        node: NodeView::of(node, &topology),
        interfaces: node.interfaces.iter().map(interface).collect(),
        keys: keys.collect(),
        links: peers(node, &topology, &database.preshared_links()?.into_iter().collect()),
        reaches: reach(node, &topology, now),
        not_enforced_by: not_enforced_by(node, &topology),
        kept: node.main().kept.as_ref().map(|_| adopted::in_words(node)),
        file: revision::of(database, &topology, node)?,
        sources: database.provenance(node.id)?,
    })
}

/// Returns the server that lets a node reach what that server's own hooks say, whatever access the node has.
fn not_enforced_by(node: &Node, topology: &Topology) -> Option<Name> {
    let judged = matches!(node.role, Role::Remote | Role::Router) && node.access != Access::ExitOnly;
    with_own_rules(topology).filter(|_| judged)
}

/// Returns the server that has rules of its own, with which it was adopted, and none of ours.
pub(in crate::ops) fn with_own_rules(topology: &Topology) -> Option<Name> {
    topology.with_role(Role::Server).find(|server| server.has_own_rules()).map(|server| server.name.clone())
}

/// Returns the links of a node, by the names of its peers. `preshared` are the links that have a preshared key.
fn peers(node: &Node, topology: &Topology, preshared: &BTreeSet<LinkId>) -> Vec<LinkView> {
    let owners: BTreeMap<InterfaceId, &Node> =
        topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(move |i| (i.id, node))).collect();
    let end = |id| node.interfaces.iter().find(|interface| interface.id == id);
    let mut links: Vec<LinkView> = links(topology)
        .into_iter()
        .filter_map(|link| {
            let (low, high) = link.ends();
            let (own, far) = end(low).map(|own| (own, high)).or_else(|| end(high).map(|own| (own, low)))?;
            let made = topology.links.iter().find(|own| own.id == link);
            Some(LinkView {
                peer: owners.get(&far)?.name.clone(),
                interface: own.name.clone(),
                preshared_key: preshared.contains(&link),
                weight: made.and_then(|own| own.weight),
                when_down: made.map(|own| own.when_down).unwrap_or_default(),
            })
        })
        .collect();
    links.sort_by(|a, b| (&a.interface, &a.peer).cmp(&(&b.interface, &b.peer)));
    links
}
