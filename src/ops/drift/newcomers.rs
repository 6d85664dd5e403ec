//! Peers of which the model knows nothing yet: strangers, and nodes with a new key.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::fleet::ObservedInterface;
use crate::model::{
    Access, Action, Cidr, Custody, Event, Interface, InterfaceId, InterfaceKind, KeptPeer, LinkId, Name, Node, NodeId,
    Origin, Role,
};
use crate::ops::deploy::{Change, Kind};
use crate::ops::error::Error;
use crate::ops::network::find;
use crate::wg::InterfaceConfig;

use super::item::Found;
use super::taking::{Reason, Taking, kept, kept_peer};

impl Taking<'_> {
    /// Gives a node the key by which somebody replaced its own on the host. Its device keeps the private one.
    pub(super) fn rekeyed(&mut self, found: &Found) -> Result<Result<(), Reason>, Error> {
        let host = self.host;
        let changes = || found.changes.iter().map(|at| &host.changes()[*at]);
        let of = |kind: Kind| changes().find(|change| change.kind == kind);
        let parts = of(Kind::PeerExtra).zip(of(Kind::PeerMissing)).and_then(|(extra, missing)| {
            let config = host.desired.interface(missing.interface.as_ref()?)?;
            let live = host.seen.as_ref().ok()?.observed.interfaces.get(&config.name)?;
            let peer = config.peers.iter().find(|peer| peer.title() == missing.subject)?;
            let (key, live) = live.live.peers.iter().find(|(key, _)| key.short() == extra.subject)?;
            Some((config, peer, *key, live))
        });
        let Some((config, peer, key, live)) = parts else { return Ok(Err("its key is another by now".to_owned())) };
        if self.tx.interface_with_key(key)?.is_some() {
            return Ok(Err("its new key is or was that of a node of the model".to_owned()));
        }
        let (low, high) = peer.link.ends();
        let far = if low == config.id { high } else { low };
        let Some(node) = self.topology.nodes.iter_mut().find(|n| n.interfaces.iter().any(|i| i.id == far)) else {
            return Ok(Err("the peer is no longer in the model".to_owned()));
        };
        if let Some(other) = &node.host {
            let name = &node.name;
            return Ok(Err(format!(
                "the key of `{name}` is that of host `{other}`: `wg-friend rotate {name}` changes both"
            )));
        }
        let why = format!("found on host {}", self.host.host.name);
        self.tx.replace_key(far, key, None, &why, self.now)?;
        node.custody = Custody::NeverSeen;
        node.interfaces.iter_mut().filter(|own| own.id == far).for_each(|own| own.public_key = key);
        self.touched.insert(node.id);
        self.events.push(
            Event::node(Action::KeyRotation, node)
                .with("reason", why)
                .with("interface", format!("{} → {key}", peer.public_key)),
        );
        self.set_preshared(peer, live)?;
        let owner = self.topology.nodes.iter_mut().find(|n| n.interfaces.iter().any(|i| i.id == config.id));
        if let Some(owner) = owner.filter(|_| live.keepalive != peer.keepalive) {
            kept_peer(owner, config, peer).keepalive = Some(live.keepalive.unwrap_or(0));
            self.touched.insert(owner.id);
        }
        Ok(Ok(()))
    }

    /// Adds the node behind a peer that nobody planned. It may reach nothing until somebody says otherwise.
    pub(super) fn stranger(
        &mut self,
        config: &InterfaceConfig,
        live: &ObservedInterface,
        change: &Change,
    ) -> Result<Result<(), Reason>, Error> {
        let peer = live.live.peers.iter().find(|(key, _)| key.short() == change.subject);
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
                staged_key: None,
                overlap: None,
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
            server: None,
            exit: None,
            kill_switch: None,
            exit_rules: Vec::new(),
            routed: Default::default(),
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
