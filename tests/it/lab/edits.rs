//! Edits of a network at random, as a person would type them.

use wg_friend::db::Store;
use wg_friend::model::{Actor, Name, Origin, Role, Topology};
use wg_friend::ops::Error;
use wg_friend::ops::clock::Clock;
use wg_friend::ops::network::add::{NewNodes, add};
use wg_friend::ops::network::change::Mode;
use wg_friend::ops::network::rotate::{Rotation, rotate};
use wg_friend::ops::network::setting::parse_all;
use wg_friend::ops::network::{defaults, edit, remove};

use super::family::addressed;

/// A small generator that gives the same numbers for the same seed (Steele, Lea and Flood: SplitMix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn one_of<'a>(&mut self, from: &'a [String]) -> Option<&'a String> {
        (!from.is_empty()).then(|| &from[usize::try_from(self.below(from.len() as u64)).unwrap()])
    }
}

/// One edit.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Add { role: Role, name: String, settings: Vec<String> },
    Set { node: String, settings: Vec<String> },
    Network { settings: Vec<String> },
    Switch { node: String, on: bool },
    Rename { node: String, to: String },
    Rotate { node: String },
    Remove { node: String },
}

impl std::fmt::Display for Edit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add { role, name, settings } => write!(f, "add {} {name} {}", role.as_str(), settings.join(" ")),
            Self::Set { node, settings } => write!(f, "set {node} {}", settings.join(" ")),
            Self::Network { settings } => write!(f, "set network {}", settings.join(" ")),
            Self::Switch { node, on } => write!(f, "{} {node}", if *on { "enable" } else { "disable" }),
            Self::Rename { node, to } => write!(f, "rename {node} {to}"),
            Self::Rotate { node } => write!(f, "rotate {node}"),
            Self::Remove { node } => write!(f, "remove {node}"),
        }
    }
}

impl Edit {
    /// Returns it with the addresses of the run.
    fn in_the_run(mut self) -> Self {
        match &mut self {
            Self::Add { settings, .. } | Self::Set { settings, .. } | Self::Network { settings } => {
                settings.iter_mut().for_each(|setting| *setting = addressed(setting));
            }
            _ => {}
        }
        self
    }

    /// Returns it as arguments of the program.
    pub(super) fn words(&self) -> Vec<String> {
        let words: Vec<&str> = match self {
            Self::Add { role, name, .. } => vec!["add", role.as_str(), name],
            Self::Set { node, .. } => vec!["set", node],
            Self::Network { .. } => vec!["set", "network"],
            Self::Switch { node, on } => vec![if *on { "enable" } else { "disable" }, node],
            Self::Rename { node, to } => vec!["rename", node, to],
            Self::Rotate { node } => vec!["rotate", node, "--reason", "trial"],
            Self::Remove { node } => vec!["remove", node],
        };
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        match self {
            Self::Set { settings, .. } | Self::Network { settings } => words.extend(settings.iter().cloned()),
            Self::Add { settings, .. } => {
                for (key, value) in settings.iter().filter_map(|text| text.split_once('=')) {
                    match (key, value) {
                        ("nat", "yes") => words.push("--nat".to_owned()),
                        ("nat", _) => {}
                        (key, value) => words.extend([format!("--{}", key.trim_end_matches('+')), value.to_owned()]),
                    }
                }
            }
            _ => {}
        }
        words.push("--yes".to_owned());
        words
    }

    /// Makes the edit. One that the model refuses changes nothing.
    pub(super) fn make(&self, store: &mut Store, clock: &dyn Clock, actor: &Actor) -> Result<(), Error> {
        let words = |settings: &[String]| parse_all(settings.iter().map(String::as_str));
        let save = Mode::Save;
        match self {
            Self::Add { role, name, settings } => {
                let name: Name = name.parse().expect("a name of this kind");
                let new = NewNodes { settings: words(settings)?, ..NewNodes::one(*role, name, Origin::Manual) };
                add(store, clock, actor, new, save).map(drop)
            }
            Self::Set { node, settings } => edit::set(store, clock, actor, node, &words(settings)?, save).map(drop),
            Self::Network { settings } => {
                let settings = defaults::parse_all(settings.iter().map(String::as_str))?;
                defaults::set(store, clock, actor, &settings, save).map(drop)
            }
            Self::Switch { node, on } => {
                edit::switch(store, clock, actor, std::slice::from_ref(node), *on, save).map(drop)
            }
            Self::Rename { node, to } => {
                let name: Name = to.parse().expect("a name of this kind");
                edit::rename(store, clock, actor, node, name, save).map(drop)
            }
            Self::Rotate { node } => {
                let request = Rotation { node: node.clone(), reason: "trial".to_owned(), ..Rotation::default() };
                rotate(store, clock, actor, &request, save).map(drop)
            }
            Self::Remove { node } => remove::remove(store, clock, actor, std::slice::from_ref(node), save).map(drop),
        }
    }
}

/// Who can be edited: nodes that aren't among the `steady` ones, which stay as they are but for what the network and
/// the server do to them.
struct Nodes {
    remotes: Vec<String>,
    routers: Vec<String>,
    exits: Vec<String>,
    lans: Vec<String>,
}

impl Nodes {
    fn of(topology: &Topology, steady: &[&str]) -> Self {
        let names = |role: Role| -> Vec<String> {
            let of_role = topology.nodes.iter().filter(|node| node.role == role);
            of_role.map(|node| node.name.to_string()).filter(|name| !steady.contains(&name.as_str())).collect()
        };
        let lans = topology.nodes.iter().flat_map(|node| &node.lans).map(|lan| lan.cidr.to_string()).collect();
        Self { remotes: names(Role::Remote), routers: names(Role::Router), exits: names(Role::Exit), lans }
    }
}

/// Thinks of an edit, in a network of at most so many remotes; `number` makes new names new.
pub(super) fn think(topology: &Topology, steady: &[&str], most: usize, number: u64, dice: &mut Dice) -> Edit {
    let nodes = Nodes::of(topology, steady);
    let hub = topology.nodes.iter().find(|node| node.role == Role::Server).expect("a server").name.to_string();
    loop {
        let thought = match dice.below(100) {
            0..12 if nodes.remotes.len() < most => Some(Edit::Add {
                role: Role::Remote,
                name: format!("remote-{number}"),
                settings: remote(&nodes, &hub, dice),
            }),
            12..15 if nodes.routers.len() < 4 => Some(Edit::Add {
                role: Role::Router,
                name: format!("router-{number}"),
                settings: vec![format!("lan={}", lan(dice)), format!("nat={}", dice.pick(&["yes", "no"]))],
            }),
            15..18 if nodes.exits.len() < 3 => Some(Edit::Add {
                role: Role::Exit,
                name: format!("exit-{number}"),
                settings: vec![format!("endpoint=198.51.100.{}", 100 + dice.below(100))],
            }),
            18..44 => dice.one_of(&nodes.remotes).map(|node| set(node, remote(&nodes, &hub, dice))),
            44..56 => dice.one_of(&nodes.routers).map(|node| set(node, vec![router(dice)])),
            56..60 => dice.one_of(&nodes.exits).map(|node| {
                let port = 51820 + dice.below(4);
                let endpoint = format!("endpoint=198.51.100.{}:{port}", 100 + dice.below(100));
                set(node, vec![endpoint, format!("port={port}")])
            }),
            60..68 => Some(set(&hub, vec![server(dice)])),
            68..73 => Some(Edit::Network { settings: vec![network(dice)] }),
            73..81 => {
                let name = dice.one_of(&[&nodes.remotes[..], &nodes.routers, &nodes.exits].concat()).cloned();
                name.map(|node| Edit::Switch { node, on: dice.below(3) > 0 })
            }
            81..85 => {
                let name = dice.one_of(&[&nodes.remotes[..], &nodes.routers, &nodes.exits].concat()).cloned();
                name.map(|node| Edit::Rotate { node })
            }
            85 => Some(Edit::Rotate { node: hub.clone() }),
            86..88 => dice
                .one_of(&nodes.remotes)
                .map(|node| Edit::Rename { node: node.clone(), to: format!("renamed-{number}") }),
            88..96 if nodes.remotes.len() > 4 => {
                dice.one_of(&nodes.remotes).map(|node| Edit::Remove { node: node.clone() })
            }
            96..98 => dice.one_of(&nodes.routers).map(|node| Edit::Remove { node: node.clone() }),
            98..100 => dice.one_of(&nodes.exits).map(|node| Edit::Remove { node: node.clone() }),
            _ => None,
        };
        if let Some(edit) = thought {
            return edit.in_the_run();
        }
    }
}

fn set(node: &str, settings: Vec<String>) -> Edit {
    Edit::Set { node: node.to_owned(), settings }
}

fn lan(dice: &mut Dice) -> String {
    if dice.below(3) == 0 {
        format!("fd0a:{:x}::/64", dice.below(40) + 1)
    } else {
        format!("192.168.{}.0/{}", dice.below(20) * 4, dice.pick(&["24", "24", "23", "25"]))
    }
}

fn remote(nodes: &Nodes, hub: &str, dice: &mut Dice) -> Vec<String> {
    let mut exits: Vec<&str> = nodes.exits.iter().map(String::as_str).collect();
    exits.push(hub);
    exits.push("none");
    let mut lans: Vec<&str> = nodes.lans.iter().map(String::as_str).collect();
    lans.push("none");
    match dice.below(8) {
        0 => vec![format!("access={}", dice.pick(&["full", "vpn-only", "lan-only"]))],
        1 => vec!["access=custom".to_owned(), grant("=", dice)],
        2 => vec![grant("+=", dice), grant("+=", dice)],
        3 => vec![format!("exit={}", dice.pick(&exits))],
        4 => vec!["access=exit-only".to_owned(), format!("exit={}", dice.pick(&exits))],
        5 => vec![format!("access=lan-only"), format!("allow-lan={}", dice.pick(&lans))],
        6 => vec![format!("keepalive={}", dice.pick(&["0", "15", "25", "network"]))],
        _ => vec![format!("address=10.66.{}.{}", dice.below(2), 20 + dice.below(200))],
    }
}

fn grant(how: &str, dice: &mut Dice) -> String {
    let to = dice.pick(&["192.168.4.50", "10.66.0.0/24", "fd66::/64", "10.66.0.1", "192.168.8.0/24"]);
    format!("grant{how}{to} {}", dice.pick(&["tcp 8080", "tcp 8000-9000", "icmp", "any", "udp 53"]))
}

fn router(dice: &mut Dice) -> String {
    match dice.below(7) {
        0 | 1 => format!("lan+={}", lan(dice)),
        2 => format!("lan={}", lan(dice)),
        3 => format!("nat={}", dice.pick(&["yes", "no"])),
        4 => format!("access={}", dice.pick(&["full", "vpn-only"])),
        5 => format!("endpoint={}", dice.pick(&["none", "198.51.100.77:51820", "198.51.100.78:51820"])),
        _ => format!("address=10.66.1.{}", 20 + dice.below(200)),
    }
}

fn server(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => format!("mtu={}", dice.pick(&["1280", "1380", "1400", "network"])),
        1 => format!("port={}", 51_820 + dice.below(8)),
        2 => format!("endpoint=198.51.100.{}:51820", 11 + dice.below(2)),
        3 => format!("lan={}", dice.pick(&["none", "172.16.5.0/24", "172.16.6.0/24"])),
        4 => format!("nat={}", dice.pick(&["yes", "no"])),
        5 => format!("address=10.66.0.{}", 1 + dice.below(4)),
        6 => format!("keepalive={}", dice.pick(&["0", "20", "network"])),
        _ => format!("notes=note {}", dice.below(1000)),
    }
}

fn network(dice: &mut Dice) -> String {
    match dice.below(5) {
        0 => format!("mtu={}", dice.pick(&["1420", "1400", "1360"])),
        1 => format!("keepalive={}", dice.pick(&["25", "20"])),
        2 => format!("psk={}", dice.pick(&["unique", "none"])),
        3 => format!("port={}", 51_820 + dice.below(3)),
        _ => format!("dns={}", dice.pick(&["none", "9.9.9.9", "1.1.1.1,2606:4700::1111"])),
    }
}
