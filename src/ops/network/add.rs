//! Adding nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::change::{Done, Mode, Outcome, Scope, carry_out, new_private_key};
use super::find;
use super::place::{Places, resting};
use super::setting::Setting;
use super::uplinks;
use crate::db::{Store, Tx};
use crate::model::{
    Access, Action, Actor, Become, Custody, Event, Host, HostAddress, Interface, InterfaceId, InterfaceKind, Name,
    Network, Node, NodeId, Origin, PublicKey, Role, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What to add: nodes that are alike but for their names.
#[derive(Debug)]
pub struct NewNodes {
    /// Their role.
    pub role: Role,
    /// Their names; at least one.
    pub names: Vec<Name>,
    /// What is set on each.
    pub settings: Vec<Setting>,
    /// The public key of the only one, when its device made it and keeps the private one.
    pub public_key: Option<PublicKey>,
    /// Who keeps the private key when it is made here.
    pub custody: Custody,
    /// A machine to be added as a host of the same name, for the only one to run on.
    pub ssh: Option<HostAddress>,
    /// Whether they appear in configs at once.
    pub enabled: bool,
    /// How they come into the model.
    pub origin: Origin,
}

impl NewNodes {
    /// A request for one node with nothing set.
    pub fn one(role: Role, name: Name, origin: Origin) -> Self {
        Self {
            role,
            names: vec![name],
            settings: Vec::new(),
            public_key: None,
            custody: Custody::Held,
            ssh: None,
            enabled: true,
            origin,
        }
    }

    /// Refuses for several nodes what only one can have.
    fn check(&self) -> Result<(), Error> {
        if self.names.len() < 2 {
            return Ok(());
        }
        let own = |setting: &Setting| match setting {
            Setting::Address(_) => Some("--address"),
            Setting::Endpoint(_) => Some("--endpoint"),
            Setting::Host(_) => Some("--host"),
            Setting::AddLan(_) => Some("--lan"),
            _ => None,
        };
        let flag = self.settings.iter().find_map(own);
        let flag = flag.or(self.public_key.map(|_| "--public-key")).or(self.ssh.as_ref().map(|_| "--ssh"));
        match flag {
            Some(flag) => Err(Error::value(flag, "is for one node; add these one by one")),
            None => Ok(()),
        }
    }
}

/// Adds nodes: chooses addresses, makes keys, links them, and gives exits their uplink on the server.
pub fn add(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    request: NewNodes,
    mode: Mode,
) -> Result<Outcome, Error> {
    request.check()?;
    carry_out(store, clock, actor, "added", mode, |scope| {
        let mut topology = scope.before.clone();
        let mut done = Done::default();
        let mut places = Places::of(&topology, request.role, resting(scope)?);
        for name in &request.names {
            let node = add_one(scope, &mut topology, &request, name, &mut places, &mut done)?;
            done.nodes.push(node);
        }
        Ok(done)
    })
}

fn add_one(
    scope: &Scope<'_>,
    topology: &mut Topology,
    request: &NewNodes,
    name: &Name,
    places: &mut Places,
    done: &mut Done,
) -> Result<NodeId, Error> {
    let Scope { tx, now, .. } = scope;
    find::check_name(topology, name, None)?;
    let (public, private) = match request.public_key {
        Some(public) => {
            check_key(tx, topology, public)?;
            (public, None)
        }
        None => {
            let private = new_private_key()?;
            (private.public(), Some(private))
        }
    };
    let mut node = bare(request, name, public, &topology.network, *now);
    if let Some(address) = &request.ssh {
        let host = Host::new(name.clone(), address.clone(), Become::Auto);
        if topology.host(name).is_some() {
            return Err(Error::RefusedWithRemedy {
                message: format!("there is a host named `{name}` already"),
                hint: format!("run it there with --host {name}, or change that host with `wg-friend host set {name}`"),
            });
        }
        tx.insert_host(&host)?;
        topology.hosts.push(host);
        node.host = Some(name.clone());
    }
    for setting in &request.settings {
        setting.apply(&mut node, topology)?;
    }
    listen_where_dialled(&mut node, &topology.network);
    let asked: Vec<IpAddr> = request
        .settings
        .iter()
        .filter_map(|s| if let Setting::Address(list) = s { Some(list) } else { None })
        .flatten()
        .copied()
        .collect();
    let pair = places.place(topology, &asked, None)?;
    (node.address4, node.address6) = (pair.four, pair.six);

    let kept = private.as_ref().filter(|_| node.custody == Custody::Held);
    let node = tx.insert_node(node, kept)?;
    done.events.push(
        Event::node(Action::PeerAdded, &node)
            .with("role", node.role.as_str())
            .with("addresses", node.addresses().map(|a| a.net().addr().to_string()).collect::<Vec<_>>())
            .with("custody", node.custody.as_str())
            .with("public_key", public.to_string()),
    );
    if let Some(private) = private.filter(|_| node.custody == Custody::ShownOnce) {
        done.shown_once.insert(node.main().id, private);
    }
    let id = node.id;
    topology.nodes.push(node);
    uplinks::to_exits(tx, topology, id, *now)?;
    Ok(id)
}

/// The node before anything is set on it.
fn bare(request: &NewNodes, name: &Name, public: PublicKey, network: &Network, now: DateTime<Utc>) -> Node {
    let main = Interface {
        id: InterfaceId(0), // assigned by the store
        name: network.interface.clone(),
        kind: InterfaceKind::Main,
        listen_port: None,
        public_key: public,
        staged_key: None,
        overlap: None,
        kept: None,
    };
    Node {
        id: NodeId(0), // assigned by the store
        guid: public,
        name: name.clone(),
        role: request.role,
        device: None,
        enabled: request.enabled,
        custody: if request.public_key.is_some() { Custody::NeverSeen } else { request.custody },
        provisional: false,
        interfaces: vec![main],
        address4: None,
        address6: None,
        endpoint: None,
        keepalive: None,
        mtu: None,
        dns: None,
        lans: Vec::new(),
        outer_interface: None,
        nat: false,
        access: Access::Full,
        lan_selection: BTreeSet::new(),
        grants: Vec::new(),
        server: None,
        exit: None,
        kill_switch: None,
        exit_rules: Vec::new(),
        routed: Default::default(),
        host: None,
        notes: String::new(),
        origin: request.origin,
        created: now,
    }
}

/// A node that others dial listens where they do; a server always listens.
fn listen_where_dialled(node: &mut Node, network: &Network) {
    if node.main().listen_port.is_some() {
        return;
    }
    let dialled = node.endpoint.as_ref().map(|endpoint| endpoint.port);
    node.interfaces[0].listen_port = dialled.or((node.role == Role::Server).then_some(network.port));
}

fn check_key(tx: &Tx<'_>, topology: &Topology, key: PublicKey) -> Result<(), Error> {
    let Some(interface) = tx.interface_with_key(key)? else { return Ok(()) };
    let owner = topology.nodes.iter().find(|node| node.interfaces.iter().any(|i| i.id == interface));
    Err(Error::RefusedWithRemedy {
        message: format!(
            "the key {key} is or was the key of `{}`",
            owner.map_or("another node".into(), |node| node.name.to_string())
        ),
        hint: "make a new key on the device: two nodes with one key would cut each other off".into(),
    })
}
