//! Tests of the store as its users see it, and of the file as an intruder sees it.

mod audit;
mod audit_heads;
mod audit_trial;
mod drift;
mod files;
mod history;
mod model;
mod networks;
mod passphrases;
mod plain;
mod psk;
mod rotation;
mod states;
mod vault;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use tempfile::TempDir;

use super::{Database, Error, KdfParams, Passphrase, RecoveryKey, Store, Tx};
use crate::model::{
    Access, Action, Actor, Custody, Event, Host, HostAddress, Interface, InterfaceId, InterfaceKind, Mtu, Name,
    Network, Node, NodeId, Origin, Port, PrivateKey, PskPolicy, PublicKey, Role, Source,
};

const PASSPHRASE: &str = "correct horse battery";

/// A database in a directory of its own.
struct Lab {
    _dir: TempDir,
    path: PathBuf,
    store: Store,
    recovery: RecoveryKey,
}

fn lab() -> Lab {
    let dir = directory();
    let path = dir.path().join("wg-friend.db");
    let (store, recovery) = create(&path).unwrap();
    Lab { _dir: dir, path, store, recovery }
}

/// A directory for its owner only.
fn directory() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

fn create(path: &std::path::Path) -> Result<(Store, RecoveryKey), Error> {
    Database::create(path, &passphrase(PASSPHRASE), fast(), &network(), &actor(), at(0))
}

impl Lab {
    fn reopen(&self) -> Database {
        Database::open(&self.path).unwrap()
    }

    /// Changes something without caring about the event.
    fn write<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.store.write(at(1), &actor(), |tx| Ok((work(tx)?, Event::database(Action::PeerUpdated))))
    }

    /// Does to the file what wg-friend never would.
    fn tamper(&self, sql: &str) {
        self.store.conn.execute_batch(sql).unwrap();
    }

    /// Adds a remote with a key of its own.
    fn add(&mut self, name: &str, last: u8) -> Node {
        let (node, private) = node(name, last);
        self.write(|tx| tx.insert_node(node, Some(&private))).unwrap()
    }
}

fn fast() -> KdfParams {
    KdfParams::new(4, 8, 1).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

fn actor() -> Actor {
    Actor { operator: "kim".into(), address: Some("203.0.113.9".into()), source: Source::Cli }
}

/// A time, in seconds after an arbitrary one.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn network() -> Network {
    Network {
        name: name("office"),
        interface: "wg0".parse().unwrap(),
        cidr4: Some("10.66.0.0/24".parse().unwrap()),
        cidr6: Some("fd12:3456:789a::/64".parse().unwrap()),
        port: Port::WIREGUARD,
        dns: vec!["10.66.0.1".into(), "office.example".into()],
        mtu: Mtu::DEFAULT,
        keepalive: 25,
        psk: PskPolicy::Unique,
        stable_clients: Vec::new(),
        exit: crate::model::Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    }
}

fn host(text: &str) -> Host {
    let address = "root@203.0.113.7:2222".parse().unwrap();
    Host::new(name(text), address, crate::model::Become::Auto)
}

fn local() -> Host {
    Host::new(name("here"), HostAddress::Local, crate::model::Become::Root)
}

fn random_key() -> PrivateKey {
    PrivateKey::from_random(*wg_friend_crypt::random().unwrap())
}

/// A plain remote, and its private key.
fn node(text: &str, last: u8) -> (Node, PrivateKey) {
    let private = random_key();
    (node_with(text, last, private.public()), private)
}

fn node_with(text: &str, last: u8, public_key: PublicKey) -> Node {
    let id = InterfaceId(0);
    let name: Name = text.parse().unwrap();
    Node {
        id: NodeId(0),
        guid: public_key,
        name,
        role: Role::Remote,
        device: None,
        enabled: true,
        custody: Custody::Held,
        provisional: false,
        interfaces: vec![Interface {
            id,
            name: "wg0".parse().unwrap(),
            kind: InterfaceKind::Main,
            listen_port: None,
            public_key,
            staged_key: None,
            overlap: None,
            kept: None,
        }],
        address4: Some([10, 66, 0, last].into()),
        address6: Some([0xfd12, 0x3456, 0x789a, 0, 0, 0, 0, last.into()].into()),
        endpoint: None,
        keepalive: None,
        mtu: None,
        dns: None,
        lans: Vec::new(),
        outer_interface: None,
        nat: false,
        access: Access::Full,
        lan_selection: Default::default(),
        grants: Vec::new(),
        server: None,
        exit: None,
        kill_switch: None,
        exit_rules: Vec::new(),
        routed: Default::default(),
        host: None,
        notes: String::new(),
        origin: Origin::Manual,
        created: at(0),
    }
}
