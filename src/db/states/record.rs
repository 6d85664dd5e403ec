//! How entities stand in the history: as JSON without what is the same in a blank one, so that a record is small and a
//! field that did not exist yet reads as its blank.
//!
//! The blanks are part of the format: a value in them is never changed, or old records would change their meaning.

use chrono::DateTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::db::error::{Error, Result};
use crate::db::networks::FIRST;
use crate::model::{
    Access, Become, Custody, Egress, ExitGroup, Group, GroupId, Host, HostAddress, Interface, InterfaceId,
    InterfaceKind, InterfaceName, Link, LinkId, Mtu, Name, Network, Node, NodeId, Origin, Port, PskPolicy, PskRules,
    PskScope, PublicKey, Role, Weight, WhenDown,
};

fn name() -> Name {
    "x".parse().expect("a letter is a name")
}

fn interface_name() -> InterfaceName {
    "wg0".parse().expect("it is the name of an interface")
}

fn network() -> Network {
    Network {
        name: name(),
        interface: interface_name(),
        cidr4: None,
        cidr6: None,
        port: Port::WIREGUARD,
        dns: Vec::new(),
        mtu: Mtu::try_from(1420).expect("IPv6 needs less"),
        keepalive: 25,
        psk: PskPolicy::Unique,
        stable_clients: Vec::new(),
        exit: Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    }
}

fn interface() -> Interface {
    Interface {
        id: InterfaceId(0),
        name: interface_name(),
        kind: InterfaceKind::Main,
        listen_port: None,
        public_key: PublicKey::from_bytes([0; 32]),
        staged_key: None,
        overlap: None,
        kept: None,
    }
}

fn node() -> Node {
    Node {
        id: NodeId(0),
        guid: PublicKey::from_bytes([0; 32]),
        name: name(),
        role: Role::Remote,
        device: None,
        enabled: true,
        custody: Custody::Held,
        provisional: false,
        interfaces: Vec::new(),
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
        created: DateTime::UNIX_EPOCH,
    }
}

fn host() -> Host {
    Host::new(name(), HostAddress::Local, Become::Auto)
}

/// A preshared key, without the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Preshared {
    /// Microseconds since 1970: another time is another key.
    pub(super) created: i64,
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        other => unreachable!("entities are objects with string keys, not {other:?}"),
    }
}

/// Takes out what is the same in a blank one.
fn strip(mut record: Map<String, Value>, blank: &Map<String, Value>) -> Map<String, Value> {
    record.retain(|member, value| blank.get(member) != Some(value));
    record
}

/// Puts in what is missing.
fn complete(record: &mut Map<String, Value>, blank: &impl Serialize) {
    for (member, value) in object(blank) {
        record.entry(member).or_insert(value);
    }
}

pub(super) fn of_network(of: &Network) -> Value {
    Value::Object(strip(object(of), &object(&network())))
}

pub(super) fn of_host(of: &Host) -> Value {
    Value::Object(object(of))
}

pub(super) fn of_group(of: &Group) -> Value {
    Value::Object(object(of))
}

pub(super) fn of_exit_group(of: &ExitGroup) -> Value {
    Value::Object(object(of))
}

/// Makes records of nodes: the blanks are written out once.
pub(super) struct Nodes {
    node: Map<String, Value>,
    interface: Map<String, Value>,
}

impl Nodes {
    pub(super) fn new() -> Self {
        Self { node: object(&node()), interface: object(&interface()) }
    }

    pub(super) fn of(&self, of: &Node) -> Value {
        let mut record = strip(object(of), &self.node);
        let interfaces = of.interfaces.iter().map(|one| Value::Object(strip(object(one), &self.interface)));
        record.insert("interfaces".into(), interfaces.collect());
        Value::Object(record)
    }
}

/// The member of a record that says to which network its entity belongs; without it, it is the first.
const NETWORK: &str = "network";

/// Says in a record to which network its entity belongs.
pub(super) fn put_into(record: &mut Value, network: i64) {
    if let Value::Object(members) = record {
        members.insert(NETWORK.to_owned(), network.into());
    }
}

/// Returns to which network the entity of a record belongs.
pub(super) fn network_of(record: &Value) -> i64 {
    record.get(NETWORK).and_then(Value::as_i64).unwrap_or(FIRST)
}

pub(super) fn of_preshared(created: i64) -> Value {
    json!(Preshared { created })
}

/// What is recorded of a document: that it is there.
pub(super) fn present() -> Value {
    json!({})
}

/// What is recorded of a link beside its ends.
#[derive(Serialize, Deserialize)]
struct Linked {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<Weight>,
    #[serde(default, skip_serializing_if = "stays")]
    when_down: WhenDown,
}

/// What needs no word: so it was before there was a choice.
fn stays(when_down: &WhenDown) -> bool {
    *when_down == WhenDown::Stay
}

pub(super) fn of_link(link: Link) -> Value {
    json!(Linked { weight: link.weight, when_down: link.when_down })
}

pub(super) fn to_link(id: LinkId, value: Value) -> Result<Link> {
    let Linked { weight, when_down } = read(value)?;
    Ok(Link { id, weight, when_down })
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|_| unreadable())
}

fn unreadable() -> Error {
    Error::Value { table: "state_values", column: "value".into() }
}

fn members(value: Value) -> Result<Map<String, Value>> {
    if let Value::Object(members) = value { Ok(members) } else { Err(unreadable()) }
}

pub(super) fn to_network(value: Value) -> Result<Network> {
    let mut record = members(value)?;
    complete(&mut record, &network());
    read(Value::Object(record))
}

pub(super) fn to_host(value: Value) -> Result<Host> {
    let mut record = members(value)?;
    complete(&mut record, &host());
    read(Value::Object(record))
}

pub(super) fn to_group(value: Value) -> Result<Group> {
    read(value)
}

pub(super) fn to_exit_group(value: Value) -> Result<ExitGroup> {
    read(value)
}

pub(super) fn to_node(value: Value) -> Result<Node> {
    let mut record = members(value)?;
    complete(&mut record, &node());
    if let Some(Value::Array(interfaces)) = record.get_mut("interfaces") {
        for one in interfaces.iter_mut().filter_map(Value::as_object_mut) {
            complete(one, &interface());
        }
    }
    let node: Node = read(Value::Object(record))?;
    if node.interfaces.first().is_some_and(|main| main.kind == InterfaceKind::Main) {
        Ok(node)
    } else {
        Err(unreadable())
    }
}

/// Returns the row of whatever rules of preshared keys are about, and what kind of row it is; `network` is the one that they
/// belong to.
pub(super) fn scope_rows(network: i64, scope: PskScope) -> (i64, i64) {
    match scope {
        PskScope::Network => (network, 0),
        PskScope::Node(id) => (id.0, 1),
        PskScope::Group(id) => (id.0, 2),
    }
}

/// Reads what [`scope_rows`] gave.
pub(super) fn scope(entity: i64, other: i64) -> Result<PskScope> {
    match other {
        0 => Ok(PskScope::Network),
        1 => Ok(PskScope::Node(NodeId(entity))),
        2 => Ok(PskScope::Group(GroupId(entity))),
        _ => Err(Error::Value { table: "state_values", column: "other".into() }),
    }
}

pub(super) fn of_psk_rules(of: &PskRules) -> Value {
    Value::Object(object(of))
}

pub(super) fn to_psk_rules(value: Value) -> Result<PskRules> {
    read(value)
}

pub(super) fn to_preshared(value: Value) -> Result<Preshared> {
    read(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as the first version that had a history wrote them. Never edited: files out there hold them.
    const FIRST: [(&str, &str); 3] = [
        ("network", r#"{"cidr4":"10.66.0.0/24","dns":["10.66.0.1"],"name":"office","port":51821}"#),
        (
            "host",
            r#"{"name":"hub","transport":"ssh","destination":"203.0.113.7","user":"root","port":null,"jump":null,"identity":null,"become":"auto"}"#,
        ),
        (
            "node",
            r#"{"id":3,"guid":"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=","name":"hub","role":"server","address4":"10.66.0.1","created":"2026-03-01T12:00:00Z","host":"hub","interfaces":[{"id":4,"listen_port":51820,"public_key":"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=","kept":{"run":"boot","length4":24,"length6":null,"addresses":["192.0.2.1/24"],"port_auto":false,"mtu_auto":true,"fwmark":null,"table":"auto","save_config":false,"by_hooks":{"routes":[{"to":"10.9.0.0/24","table":null}],"addresses":[]},"key_by_hook":false,"firewall":false,"peers":{"7":{"added":["10.8.0.0/24"],"left_out":[],"keepalive":null,"endpoint":"none"}}}},{"id":5,"name":"wgx1","kind":"uplink","exit":9,"public_key":"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="}]}"#,
        ),
    ];

    #[test]
    fn records_of_the_first_version_are_read_with_the_same_meaning() {
        let value = |at: usize| serde_json::from_str::<Value>(FIRST[at].1).unwrap();
        let net = to_network(value(0)).unwrap();
        assert_eq!((net.port.get(), net.mtu.get(), net.keepalive, net.psk), (51821, 1420, 25, PskPolicy::Unique));
        assert_eq!(to_host(value(1)).unwrap().address.to_string(), "root@203.0.113.7");
        let hub = to_node(value(2)).unwrap();
        assert!(hub.enabled && !hub.nat && hub.access == Access::Full && hub.custody == Custody::Held);
        assert_eq!(hub.interfaces[1].kind, InterfaceKind::Uplink(NodeId(9)));
        let adopted = hub.main().kept.as_ref().unwrap();
        assert!(adopted.length4 == Some(24) && adopted.mtu_auto && !adopted.firewall);
        // What this version writes is the same text or more of it, never less.
        assert_eq!(of_network(&net), value(0));
        assert_eq!(to_node(Nodes::new().of(&hub)).unwrap(), hub);
    }

    #[test]
    fn a_record_holds_only_what_is_not_blank() {
        let plain = Node { interfaces: vec![interface()], ..node() };
        assert_eq!(Nodes::new().of(&plain).to_string(), r#"{"interfaces":[{}]}"#);
        assert_eq!(to_node(json!({"interfaces": [{}]})).unwrap(), plain);
        assert!(to_node(json!({})).is_err(), "a node has a main interface");
        assert!(to_node(json!([])).is_err());
    }
}
