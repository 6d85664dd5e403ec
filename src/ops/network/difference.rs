//! What is set on a node, as text: for showing it, and for telling two states of it apart.

use super::adopted;
use super::grant::in_words;
use super::setting::egress_in_words;
use crate::model::{Cidr, Endpoint, InterfaceName, Lan, Name, Node, Role, Topology};
use crate::ops::exit;

/// Returns what is set on a node, as text by key, for showing it and for comparing it before and after.
pub fn values(node: &Node, topology: &Topology) -> Vec<(&'static str, String)> {
    let joined = |items: Vec<String>| items.join(", ");
    let lists = lists(node, topology);
    let list =
        |field: &str| lists.iter().find(|(key, _)| *key == field).map_or_else(String::new, |(_, l)| l.join(", "));
    let network = || "network".to_owned();
    let none = || "none".to_owned();
    let addresses = node.address4.map(|a| a.to_string()).into_iter().chain(node.address6.map(|a| a.to_string()));
    let is_remote = node.role == Role::Remote;
    let inherited = || if is_remote { network() } else { none() };
    let kill_switch = match node.kill_switch {
        None if is_remote => network(),
        wanted => if wanted == Some(true) { "yes" } else { "no" }.into(),
    };
    vec![
        ("name", node.name.to_string()),
        ("enabled", if node.enabled { "yes" } else { "no" }.into()),
        ("address", joined(addresses.collect())),
        ("endpoint", node.endpoint.as_ref().map_or_else(none, Endpoint::to_string)),
        ("port", node.main().listen_port.map_or_else(none, |p| p.to_string())),
        ("interface", node.main().name.to_string()),
        ("key", node.main().public_key.to_string()),
        ("next-key", node.main().staged_key.map_or_else(none, |key| key.to_string())),
        (
            "dns",
            node.dns.as_ref().map_or_else(network, |list| if list.is_empty() { none() } else { joined(list.clone()) }),
        ),
        ("mtu", node.mtu.map_or_else(network, |m| m.to_string())),
        ("keepalive", node.keepalive.map_or_else(network, |k| k.to_string())),
        ("access", node.access.as_str().replace('_', "-")),
        ("lan", list("lan")),
        ("allow-lan", list("allow-lan")),
        ("grant", list("grant")),
        ("server", node.server.and_then(|id| topology.node(id)).map_or_else(none, |server| server.name.to_string())),
        ("exit", node.exit.map_or_else(inherited, |way| egress_in_words(way, topology))),
        ("kill-switch", kill_switch),
        ("exit-rules", exit::rules::in_words(topology, &node.exit_rules)),
        ("routed", list("routed")),
        ("nat", if node.nat { "yes" } else { "no" }.into()),
        ("outer-interface", node.outer_interface.as_ref().map_or("default".into(), InterfaceName::to_string)),
        ("device", node.device.map_or_else(none, |d| d.to_string())),
        ("host", node.host.as_ref().map_or_else(none, Name::to_string)),
        ("custody", node.custody.as_str().replace('_', "-")),
        ("kept", adopted::in_words(node)),
        ("save-config", if node.main().kept.as_ref().is_some_and(|k| k.save_config) { "on" } else { "off" }.into()),
        ("notes", node.notes.clone()),
    ]
}

/// Returns the items of what is set on a node and is a list, by key.
fn lists(node: &Node, topology: &Topology) -> Lists {
    let lan = |lan: &Lan| match lan.description.as_str() {
        "" => lan.cidr.to_string(),
        text => format!("{}={text}", lan.cidr),
    };
    vec![
        ("lan", node.lans.iter().map(lan).collect()),
        ("allow-lan", node.lan_selection.iter().map(Cidr::to_string).collect()),
        ("grant", node.grants.iter().map(|grant| in_words(topology, grant)).collect()),
        ("routed", node.routed.iter().map(Cidr::to_string).collect()),
    ]
}

/// One value that differs between two states.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Which node; empty for the network itself.
    pub node: String,
    /// Which key of `set`.
    pub field: &'static str,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
    /// Of a list: the items that it has and didn't have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Of a list: the items that it had and has no more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

impl Difference {
    /// One value that differs.
    pub(in crate::ops) fn of(node: impl Into<String>, field: &'static str, before: String, after: String) -> Self {
        Self { node: node.into(), field, before, after, added: Vec::new(), removed: Vec::new() }
    }

    /// Says which items of a list differ.
    fn with_items(self, before: &[String], after: &[String]) -> Self {
        let without = |all: &[String], those: &[String]| -> Vec<String> {
            all.iter().filter(|item| !those.contains(item)).cloned().collect()
        };
        Self { added: without(after, before), removed: without(before, after), ..self }
    }
}

/// Values by key, as text.
pub(in crate::ops) type Values = Vec<(&'static str, String)>;
/// The items of those values that are lists, by key.
pub(in crate::ops) type Lists = Vec<(&'static str, Vec<String>)>;

/// Returns what differs between two states of something whose values have the same keys in the same order in both. Of
/// something that is new or gone, what it has or had, but for its name, which stands in every line anyway.
pub(in crate::ops) fn compare(
    whose: &str,
    before: Option<(Values, Lists)>,
    after: Option<(Values, Lists)>,
) -> Vec<Difference> {
    let is_pair = before.is_some() && after.is_some();
    let fields: Vec<&'static str> =
        after.iter().chain(&before).take(1).flat_map(|(values, _)| values.iter().map(|(field, _)| *field)).collect();
    let (was, was_lists) = before.unwrap_or_default();
    let (is, is_lists) = after.unwrap_or_default();
    let items = |lists: &Lists, field: &str| {
        lists.iter().find(|(key, _)| *key == field).map_or_else(Vec::new, |(_, items)| items.clone())
    };
    let difference = |(at, field): (usize, &'static str)| {
        let text = |values: &Values| {
            let text = values.get(at).map_or("", |(_, text)| text.as_str());
            if !is_pair && text == "none" { String::new() } else { text.to_owned() }
        };
        let (before, after) = (text(&was), text(&is));
        let differs = before != after && (is_pair || field != "name");
        differs.then(|| {
            Difference::of(whose, field, before, after).with_items(&items(&was_lists, field), &items(&is_lists, field))
        })
    };
    fields.into_iter().enumerate().filter_map(difference).collect()
}

/// Returns what differs between two states of a node, each with the network around it.
pub fn differences(before: (&Node, &Topology), after: (&Node, &Topology)) -> Vec<Difference> {
    let state = |(node, topology): (&Node, &Topology)| Some((values(node, topology), lists(node, topology)));
    let mut found = compare(after.0.name.as_str(), state(before), state(after));
    found.retain(|difference| !is_renamed(difference.field, before.0, after.0));
    found
}

/// Whether a value of a node reads otherwise only because something that it refers to has another name.
pub(super) fn is_renamed(field: &str, before: &Node, after: &Node) -> bool {
    match field {
        "grant" => before.grants == after.grants,
        "server" => before.server == after.server,
        "exit" => before.exit == after.exit,
        "exit-rules" => before.exit_rules == after.exit_rules,
        _ => false,
    }
}
