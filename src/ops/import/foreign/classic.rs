//! wg-friend 1, which was written in Python: its database `wireguard.db`.
//!
//! Tables `coordination_server`, `subnet_router`, `exit_node`, `remote`, `advertised_network`, `command_pair`,
//! `command_singleton`, `cs_peer_order` and `comment` (its `schema_semantic.py`). The views are the configurations that its
//! `generate` would write, with the preshared keys of routers, which it stored but never wrote. Keys may be encrypted, with
//! a passphrase (its `encryption.py`).

mod keys;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{Cidr, Endpoint, PrivateKey, Role};
use crate::wg::adopt::View;
use crate::wg::{Hook, Phase, Tunnel, TunnelPeer};

use super::sqlite::Database;
use super::view::source;
use super::{Foreign, ForeignError, Options};

use keys::Keys;
use tables::{Entity, Server};

/// Seconds between keepalives in every file that it made.
const KEEPALIVE: u16 = 25;
/// The MTU in remotes' files.
const MTU: u16 = 1280;
/// Tables that are read, and such as mean nothing elsewhere.
const KNOWN: &[&str] = &[
    "coordination_server",
    "subnet_router",
    "exit_node",
    "remote",
    "advertised_network",
    "command_pair",
    "command_singleton",
    "cs_peer_order",
    "comment",
    "encryption_metadata",
    "import_session",
    "entity_provenance",
];

/// Whether it is wg-friend 1's.
pub(super) fn is(database: &Database) -> bool {
    ["coordination_server", "remote"].iter().all(|table| database.has(table))
}

/// Reads the database.
pub(super) fn read(path: &Path, database: &Database, options: &Options) -> Result<Foreign, ForeignError> {
    let mut foreign = Foreign::default();
    let keys = Keys::of(path, database, options)?;
    let servers = database.rows("coordination_server")?;
    for record in servers.records() {
        let server = Server::read(&record, &keys)?;
        let routers = tables::entities(database, "subnet_router", &server, &keys)?;
        let exits = tables::entities(database, "exit_node", &server, &keys)?;
        let remotes = tables::entities(database, "remote", &server, &keys)?;
        let network = Network { path, database, server, routers, exits, remotes };
        network.views(&mut foreign)?;
    }
    if foreign.views.is_empty() {
        return Err(ForeignError::missing(path, "there is no coordination server in it"));
    }
    tables::notes(path, database, KNOWN, &mut foreign)?;
    Ok(foreign.finish())
}

/// A coordination server and what belongs to it.
struct Network<'a> {
    path: &'a Path,
    database: &'a Database,
    server: Server,
    routers: Vec<Entity>,
    exits: Vec<Entity>,
    remotes: Vec<Entity>,
}

impl Network<'_> {
    fn views(self, foreign: &mut Foreign) -> Result<(), ForeignError> {
        let server = &self.server;
        if server.endpoint.is_none() {
            foreign.note(server.own.label(), "its endpoint isn't known: set it afterwards");
        }
        let lans: Vec<Cidr> = self.routers.iter().flat_map(|router| router.lans.iter().copied()).collect();
        let mut view = self.view(&server.own, Role::Server, self.server_tunnel()?);
        view.interface = "wg0".parse().ok();
        foreign.views.push(view);
        for router in &self.routers {
            let hooks = tables::hooks(self.database, "subnet_router", router.id, false)?;
            let to_server = self.peer_to_server(router, server.networks.clone());
            let tunnel = Tunnel { hooks, peers: vec![to_server], ..router.tunnel() };
            foreign.views.push(self.view(router, Role::Router, tunnel));
        }
        for exit in &self.exits {
            let users = self.remotes.iter().filter(|remote| remote.exit == Some(exit.id));
            let peers = users.map(|remote| remote.as_peer(remote.hosts())).collect();
            let tunnel = Tunnel {
                listen_port: exit.listen_port,
                hooks: exit_hooks(exit.wan.as_deref().unwrap_or("eth0")),
                peers,
                ..exit.tunnel()
            };
            foreign.views.push(self.view(exit, Role::Exit, tunnel));
        }
        for remote in &self.remotes {
            let tunnel = self.remote_tunnel(remote, &lans);
            foreign.views.push(self.view(remote, Role::Remote, tunnel));
        }
        let all = [&self.routers, &self.exits, &self.remotes].into_iter().flatten().chain([&server.own]);
        all.for_each(|entity| entity.notes(foreign));
        Ok(())
    }

    fn view(&self, entity: &Entity, role: Role, tunnel: Tunnel) -> View {
        let mut view = View::new(source(self.path, &entity.place), tunnel);
        view.public_key = Some(entity.public_key);
        view.name = entity.name.clone();
        view.role = Some(role);
        view
    }

    fn server_tunnel(&self) -> Result<Tunnel, ForeignError> {
        let order = tables::order(self.database, self.server.own.id)?;
        let mut peers: Vec<(usize, TunnelPeer)> = Vec::new();
        for (kind, entities) in
            [("subnet_router", &self.routers), ("remote", &self.remotes), ("exit_node", &self.exits)]
        {
            for entity in entities {
                let mut peer = entity.as_peer(entity.hosts().into_iter().chain(entity.lans.iter().copied()).collect());
                peer.endpoint =
                    entity.endpoint.clone().filter(|endpoint| Some(endpoint) != self.server.endpoint.as_ref());
                peer.keepalive = if kind == "exit_node" { Some(KEEPALIVE) } else { entity.keepalive };
                let place = order.get(&(kind.to_owned(), entity.id)).copied().unwrap_or(usize::MAX);
                peers.push((place, peer));
            }
        }
        peers.sort_by_key(|(place, _)| *place);
        Ok(Tunnel {
            listen_port: self.server.own.listen_port,
            hooks: tables::hooks(self.database, "coordination_server", self.server.own.id, true)?,
            peers: unique(peers.into_iter().map(|(_, peer)| peer)),
            ..self.server.own.tunnel()
        })
    }

    fn peer_to_server(&self, entity: &Entity, allowed_ips: Vec<Cidr>) -> TunnelPeer {
        TunnelPeer {
            name: self.server.own.name.clone(),
            preshared: entity.preshared.as_ref().map(super::panel::twin),
            allowed_ips,
            endpoint: self.server.endpoint.clone(),
            keepalive: Some(KEEPALIVE),
            ..TunnelPeer::new(self.server.own.public_key)
        }
    }

    fn remote_tunnel(&self, remote: &Entity, lans: &[Cidr]) -> Tunnel {
        let exit = self.exits.iter().find(|exit| Some(exit.id) == remote.exit);
        let mut peers = Vec::new();
        if remote.access.as_deref() != Some("exit_only") {
            let computed = || match remote.access.as_deref() {
                Some("full_access") => self.server.networks.iter().chain(lans).copied().collect(),
                Some("lan_only") if !lans.is_empty() => lans.to_vec(),
                _ => self.server.networks.clone(),
            };
            let allowed = remote.allowed.clone().filter(|_| exit.is_none()).unwrap_or_else(computed);
            peers.push(self.peer_to_server(remote, allowed));
        }
        if let Some(exit) = exit {
            let endpoint: Option<Endpoint> = exit.endpoint.clone();
            peers.push(TunnelPeer {
                preshared: remote.preshared.as_ref().map(super::panel::twin),
                allowed_ips: vec![Cidr::ALL4, Cidr::ALL6],
                endpoint,
                keepalive: Some(KEEPALIVE),
                name: exit.name.clone(),
                ..TunnelPeer::new(exit.public_key)
            });
        }
        let mut dns = remote.dns.clone();
        if dns.is_empty() && exit.is_some() {
            dns = vec!["1.1.1.1".to_owned(), "8.8.8.8".to_owned()];
        }
        Tunnel { mtu: Some(MTU), dns, peers, ..remote.tunnel() }
    }
}

/// Leaves out peers whose key stood there before.
fn unique(peers: impl Iterator<Item = TunnelPeer>) -> Vec<TunnelPeer> {
    let mut seen = std::collections::BTreeSet::new();
    peers.filter(|peer| seen.insert(peer.public_key)).collect()
}

/// The hooks that it wrote into every exit's file.
fn exit_hooks(wan: &str) -> Vec<Hook> {
    let up = ["sysctl -w net.ipv4.ip_forward=1".to_owned(), "sysctl -w net.ipv6.conf.all.forwarding=1".to_owned()];
    let rules = |action: char| {
        ["iptables", "ip6tables"].into_iter().flat_map(move |program| {
            [
                format!("{program} -{action} FORWARD -i %i -j ACCEPT"),
                format!("{program} -t nat -{action} POSTROUTING -o {wan} -j MASQUERADE"),
            ]
        })
    };
    let hook = |phase| move |command| Hook { phase, command };
    let up = up.into_iter().chain(rules('A')).map(hook(Phase::PostUp));
    up.chain(rules('D').map(hook(Phase::PostDown))).collect()
}

/// A private key once more, for [`Tunnel`] takes it away.
fn copy(key: &PrivateKey) -> PrivateKey {
    key.expose_base64().parse().expect("what was written by a key is a key")
}

/// Places of peers in the server's file, by table and id.
type Order = BTreeMap<(String, i64), usize>;
