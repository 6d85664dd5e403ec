mod conflicts;
mod order;
mod properties;
mod roles;
mod wild;

use std::fmt::Write as _;

use chrono::DateTime;
use zeroize::Zeroizing;

use super::{Conflict, Defaults, Joined, View, join};
use crate::model::*;
use crate::wg::compile::compile;
use crate::wg::config::{Document, Keys, Mode, bring};

/// Returns the private key that stands for a word.
fn private(word: &str) -> PrivateKey {
    let mut bytes = [7; 32];
    // Bits of the first byte don't count.
    bytes[1..].iter_mut().zip(word.bytes()).for_each(|(byte, letter)| *byte = letter);
    PrivateKey::from_random(bytes)
}

fn public(word: &str) -> PublicKey {
    private(word).public()
}

fn defaults() -> Defaults {
    let network = Network {
        name: "home".parse().unwrap(),
        interface: "wg0".parse().unwrap(),
        cidr4: Some("10.66.0.0/24".parse().unwrap()),
        cidr6: None,
        port: Port::WIREGUARD,
        dns: Vec::new(),
        mtu: Mtu::DEFAULT,
        keepalive: 25,
        psk: PskPolicy::Unique,
        stable_clients: Vec::new(),
        exit: crate::model::Egress::None,
        kill_switch: false,
        exit_rules: Vec::new(),
    };
    Defaults { network, created: DateTime::UNIX_EPOCH }
}

/// Reads a file in which `private:X`, `public:X` and `shared:X` stand for keys. Its name is its interface's and node's.
fn conf(source: &str, text: &str) -> View {
    let word = |word: &str| match word.split_once(':') {
        Some(("private", name)) => private(name).expose_base64().to_string(),
        Some(("public", name)) => public(name).to_string(),
        Some(("shared", name)) => private(name).expose_base64().to_string(),
        _ => word.to_owned(),
    };
    let line = |line: &str| line.trim().split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n";
    let text: String = text.trim_start().lines().map(line).collect();
    let document = Document::parse(&text);
    let mut view = View::new(source, document.read(Mode::Keep).unwrap().tunnel);
    let stem = source.rsplit('/').next().unwrap().trim_end_matches(".conf");
    view.name = Some(stem.to_owned());
    view.interface = stem.parse().ok();
    view.text = Some(Zeroizing::new(text));
    view
}

/// Joins what can be joined. Whatever it is, each file then stays as it is.
fn joined(views: &[View]) -> Joined {
    let joined = join(views, &defaults()).unwrap_or_else(|conflicts| panic!("{conflicts:#?}"));
    let nodes = compile(&joined.topology).unwrap();
    let interfaces = joined.topology.nodes.iter().flat_map(|node| &node.interfaces);
    let copied = |key: &PrivateKey| key.expose_base64().parse().unwrap();
    let shared = |key: &PresharedKey| key.expose_base64().parse().unwrap();
    let secrets = Secrets {
        private: joined.secrets.private.iter().map(|(id, key)| (*id, copied(key))).collect(),
        preshared: joined.secrets.preshared.iter().map(|(id, key)| (*id, shared(key))).collect(),
        owners: interfaces.map(|interface| (interface.public_key, interface.id)).collect(),
        ..Secrets::default()
    };
    // What is switched off disappears from the files of others.
    for node in nodes.iter().filter(|_| joined.topology.nodes.iter().all(|node| node.enabled)) {
        for interface in &node.interfaces {
            let Some(view) = joined.documents.get(&interface.id).map(|place| &views[*place]) else { continue };
            if let Some(text) = &view.text {
                assert_eq!(*bring(text, node, interface, Keys::Shown(&secrets)), **text, "{}", view.source);
            }
        }
    }
    joined
}

fn refused(views: &[View]) -> String {
    let conflicts: Vec<Conflict> = join(views, &defaults()).unwrap_err();
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// The model in a few lines: the network, then each node by name, then what is found.
fn shown(joined: &Joined) -> String {
    let topology = &joined.topology;
    let network = &topology.network;
    let mut text = format!("network {} port {} mtu {}", listed(network.prefixes()), network.port, network.mtu);
    if !network.dns.is_empty() {
        write!(text, " dns {}", network.dns.join(" ")).unwrap();
    }
    let mut nodes: Vec<&Node> = topology.nodes.iter().collect();
    nodes.sort_by_key(|node| (node.role, &node.name));
    for node in nodes {
        write!(text, "\n{} {} [{}]", node.role, node.name, listed(node.addresses())).unwrap();
        if !node.lans.is_empty() {
            write!(text, " lans {}", listed(node.lans.iter().map(|lan| lan.cidr))).unwrap();
        }
        if let Some(endpoint) = &node.endpoint {
            write!(text, " at {endpoint}").unwrap();
        }
        if node.role == Role::Remote {
            write!(text, " {}", node.access).unwrap();
        }
        if !node.lan_selection.is_empty() {
            write!(text, " of {}", listed(&node.lan_selection)).unwrap();
        }
        if !node.grants.is_empty() {
            write!(text, " granted {}", listed(&node.grants)).unwrap();
        }
        if let Some(exit) = node.exit {
            write!(text, " by {}", topology.egress_name(exit).unwrap()).unwrap();
        }
        if node.provisional {
            write!(text, " provisional").unwrap();
        }
    }
    let name_of =
        |id: InterfaceId| &topology.nodes.iter().find(|node| node.interfaces.iter().any(|i| i.id == id)).unwrap().name;
    for link in &topology.links {
        write!(text, "\nlink {} {}", name_of(link.id.ends().0), name_of(link.id.ends().1)).unwrap();
    }
    for finding in &joined.findings {
        write!(text, "\n{}: {finding}", finding.severity()).unwrap();
    }
    text
}

fn reason<'a>(joined: &'a Joined, name: &str) -> &'a str {
    let node = joined.topology.nodes.iter().find(|node| node.name.as_str() == name).unwrap();
    let of_role = |guess: &&super::Guess| guess.node == Some(node.id) && guess.about == super::About::Role;
    &joined.guesses.iter().find(of_role).unwrap().reason
}
