//! Who reaches whom, said from the model, and who gets an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::find;
use crate::model::{Cidr, Name, Node, NodeId, Port, Protocol, Topology};
use crate::ops::Error;
use crate::wg::compile::compile;
use crate::wg::reach::{Answer, Flow, Party, Who, World};

/// What stands for the internet: addresses of nobody (RFC 5737, RFC 3849), which the firewalls treat as public.
const INTERNET: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// A question as it is typed.
#[derive(Clone, Debug, Default)]
pub struct Question<'q> {
    /// Who asks: a node, or an address of a node or of a host in a LAN.
    pub from: &'q str,
    /// Of which address, when `from` is a node: one of its own, or of a host in one of its LANs.
    pub from_address: Option<IpAddr>,
    /// Who is asked: a node, an address or `internet`, with or without a port.
    pub to: &'q str,
    /// By what; `None` is TCP when there is a port and a ping otherwise.
    pub protocol: Option<Protocol>,
    /// Whether remotes ask for everything, whatever their files say.
    pub edited: bool,
    /// When; `None` is before any grant has ended.
    pub at: Option<DateTime<Utc>>,
}

/// The answers to a question: one for each address of whoever is asked.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who asks.
    pub from: String,
    /// Who is asked, as it was typed.
    pub to: String,
    /// By what.
    #[serde(flatten)]
    pub flow: Flow,
    /// Whether remotes were taken to ask for everything.
    pub edited: bool,
    /// Whether one of the addresses is reached.
    pub reaches: bool,
    /// Per address.
    pub answers: Vec<Answer>,
}

/// A question that has been understood.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub party: Party,
    /// In words.
    pub from: String,
    /// The addresses that are asked for, IPv4 first.
    pub to: Vec<IpAddr>,
    /// Whether they only stand for the internet.
    pub internet: bool,
    /// By what.
    pub flow: Flow,
}

/// Understands a question.
///
/// # Errors
/// When there is no such node, no node is before such an address, or protocol and port don't go together.
pub fn understand(topology: &Topology, question: &Question<'_>) -> Result<Asked, Error> {
    let (from, party) = party(topology, question)?;
    let (target, port) = split(question.to)?;
    let protocol = question.protocol.unwrap_or(if port.is_some() { Protocol::Tcp } else { Protocol::Icmp });
    let wants_port = matches!(protocol, Protocol::Tcp | Protocol::Udp);
    if protocol == Protocol::Any {
        return Err(Error::value("--protocol", "one packet has one protocol: tcp, udp or icmp"));
    }
    if wants_port && port.is_none() {
        return Err(Error::Value {
            what: format!("`{}`", question.to),
            reason: format!("{protocol} needs a port"),
            hint: Some(format!("for example: wg-friend can {from} {}:443 --protocol {protocol}", question.to)),
        });
    }
    if !wants_port && port.is_some() {
        return Err(Error::value(format!("`{}`", question.to), "a ping has no port"));
    }
    let (mut to, internet) = match target {
        Target::Address(address) => (vec![address], false),
        Target::Internet => (INTERNET.to_vec(), true),
        Target::Node(name) => {
            let node = find::node(topology, &name)?;
            (node.addresses().map(|own| own.net().addr()).collect(), false)
        }
    };
    if let Some(own) = party.address
        && to.iter().any(|address| address.is_ipv4() == own.is_ipv4())
    {
        to.retain(|address| address.is_ipv4() == own.is_ipv4());
    }
    if to.is_empty() {
        return Err(Error::value(format!("`{}`", question.to), "it has no address in the network"));
    }
    Ok(Asked { party, from, to, internet, flow: Flow { protocol, port } })
}

/// Answers a question from the model.
///
/// # Errors
/// When the question makes no sense or the model contradicts itself.
pub fn can(topology: &Topology, question: &Question<'_>) -> Result<Report, Error> {
    let asked = understand(topology, question)?;
    let compiled = compile(topology).map_err(Error::Model)?;
    let world = World::of(topology, &compiled).with_edited_remotes(question.edited).at(question.at);
    let answers: Vec<Answer> = asked.to.iter().map(|to| world.reach(&asked.party, *to, asked.flow)).collect();
    let reaches = answers.iter().any(|answer| answer.reaches);
    let (from, to) = (asked.from, question.to.to_owned());
    Ok(Report { from, to, flow: asked.flow, edited: question.edited, reaches, answers })
}

/// Says who gets an address: the longest AllowedIP that holds it, on every node.
///
/// # Errors
/// When the model contradicts itself.
pub fn who(topology: &Topology, address: IpAddr) -> Result<Who, Error> {
    let compiled = compile(topology).map_err(Error::Model)?;
    Ok(World::of(topology, &compiled).who(address))
}

fn party(topology: &Topology, question: &Question<'_>) -> Result<(String, Party), Error> {
    if let Ok(address) = question.from.parse::<IpAddr>() {
        if question.from_address.is_some() {
            return Err(Error::value("--from-address", "FROM is an address already"));
        }
        let node = before(topology, address).ok_or_else(|| Error::Value {
            what: format!("`{address}`"),
            reason: "no node has this address, and no LAN holds it".to_owned(),
            hint: Some("`wg-friend topology` shows the nodes with their LANs".to_owned()),
        })?;
        return Ok((address.to_string(), Party { node: node.id, address: Some(address) }));
    }
    let node = find::node(topology, question.from)?;
    if let Some(address) = question.from_address
        && !belongs(node, address)
    {
        let lans: Vec<String> = node.lans.iter().map(|lan| lan.cidr.to_string()).collect();
        let lans =
            if lans.is_empty() { "it has no LAN".to_owned() } else { format!("its LANs are {}", lans.join(", ")) };
        let reason = format!("{address} is no address of {} or of a host behind it: {lans}", node.name);
        return Err(Error::value("--from-address", reason));
    }
    Ok((node.name.to_string(), Party { node: node.id, address: question.from_address }))
}

/// Whether an address is a node's own or lies in one of its LANs.
fn belongs(node: &Node, address: IpAddr) -> bool {
    let kept = node.interfaces.iter().filter_map(|interface| interface.kept.as_ref());
    let further = kept.flat_map(|kept| kept.addresses.iter().map(|own| own.address())).any(|own| own == address);
    further
        || node.addresses().any(|own| own == Cidr::host(address))
        || node.lans.iter().any(|lan| lan.cidr.contains(address))
}

/// Returns the node that has an address, else the one that advertises the LAN around it; enabled ones first.
fn before(topology: &Topology, address: IpAddr) -> Option<&Node> {
    let own = topology.nodes.iter().find(|node| node.addresses().any(|own| own == Cidr::host(address)));
    let fits = || topology.nodes.iter().filter(|node| belongs(node, address));
    own.or_else(|| fits().find(|node| node.enabled)).or_else(|| fits().next())
}

/// Who is asked.
enum Target {
    Node(String),
    Address(IpAddr),
    Internet,
}

/// Takes `NAME`, `ADDRESS`, `[IPV6]` or `internet` apart from a `:PORT`.
fn split(text: &str) -> Result<(Target, Option<Port>), Error> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((Target::Address(address), None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let wrong = || Error::value(format!("`{text}`"), "expected an IPv6 address in brackets: [fd00::5]:443");
        let (address, rest) = rest.split_once(']').ok_or_else(wrong)?;
        let address = IpAddr::V6(address.parse().map_err(|_| wrong())?);
        let port = match rest {
            "" => None,
            _ => Some(port(text, rest.strip_prefix(':').ok_or_else(wrong)?)?),
        };
        return Ok((Target::Address(address), port));
    }
    let (place, port) = match text.rsplit_once(':') {
        Some((place, number)) => (place, Some(port(text, number)?)),
        None => (text, None),
    };
    let target = match place.parse::<IpAddr>() {
        Ok(address) => Target::Address(address),
        Err(_) if place.eq_ignore_ascii_case("internet") => Target::Internet,
        Err(_) => Target::Node(place.to_owned()),
    };
    Ok((target, port))
}

/// Reads the port of `text`.
fn port(text: &str, number: &str) -> Result<Port, Error> {
    let wrong = |error: crate::model::InvalidNet| {
        let protocol = number.split_once('/').map(|(_, protocol)| protocol);
        let hint = match protocol {
            Some(protocol) => format!("the protocol is an option: `--protocol {protocol}`"),
            None => "a port follows the last colon, as in `nas:445` or `[fd00::5]:445`".to_owned(),
        };
        Error::Value { what: format!("`{text}`"), reason: error.to_string(), hint: Some(hint) }
    };
    number.parse().map_err(wrong)
}

/// How far one gets to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// By every protocol and in every family that both have.
    Yes,
    /// By some protocols or ports, or in one family only.
    Part,
    /// Not at all.
    No,
    /// By a connection of its own, past the network.
    Past,
    /// It is the same, or both are in one LAN.
    Same,
}

/// Somebody who asks or is asked in a matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The node, or the node before the LAN; `None` is the internet.
    pub node: Option<Name>,
    /// The LAN.
    pub lan: Option<Cidr>,
    /// Further nodes that have just the same rights.
    pub alike: Vec<Name>,
}

/// Who reaches whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The rows, and after the last LAN the internet, which only is asked.
    pub places: Vec<Place>,
    /// For each row, how far it gets to each place.
    pub cells: Vec<Vec<Cell>>,
}

/// So many nodes have a row each; of more, remotes with the same rights share one.
const MOST_ROWS: usize = 24;

/// Says who reaches whom, which LAN, and the internet.
///
/// # Errors
/// When the model contradicts itself.
pub fn matrix(topology: &Topology, edited: bool, at: Option<DateTime<Utc>>) -> Result<Matrix, Error> {
    let compiled = compile(topology).map_err(Error::Model)?;
    let world = World::of(topology, &compiled).with_edited_remotes(edited).at(at);
    let rows = rows(topology);
    let internet = Row { node: None, alike: Vec::new(), lan: None, addresses: INTERNET.to_vec() };
    let cells =
        rows.iter().map(|from| rows.iter().chain([&internet]).map(|to| cell(&world, from, to)).collect()).collect();
    let place = |row: &Row<'_>| Place {
        node: row.node.map(|node| node.name.clone()),
        lan: row.lan,
        alike: row.alike.iter().map(|node| node.name.clone()).collect(),
    };
    Ok(Matrix { places: rows.iter().chain([&internet]).map(place).collect(), cells })
}

struct Row<'a> {
    node: Option<&'a Node>,
    alike: Vec<&'a Node>,
    lan: Option<Cidr>,
    addresses: Vec<IpAddr>,
}

fn rows(topology: &Topology) -> Vec<Row<'_>> {
    let many = topology.enabled().count() > MOST_ROWS;
    let mut rows: Vec<Row<'_>> = Vec::new();
    let own = |node: &Node| node.addresses().map(|own| own.net().addr()).collect();
    for node in topology.enabled() {
        let same = |row: &&mut Row<'_>| row.node.is_some_and(|first| alike(topology, first, node));
        match rows.iter_mut().find(same).filter(|_| many) {
            Some(row) => row.alike.push(node),
            None => rows.push(Row { node: Some(node), alike: Vec::new(), lan: None, addresses: own(node) }),
        }
    }
    for node in topology.enabled() {
        for lan in &node.lans {
            let hosts = || lan.cidr.net().hosts();
            let address = hosts().nth(4).or_else(|| hosts().last());
            let addresses = address.into_iter().collect();
            rows.push(Row { node: Some(node), alike: Vec::new(), lan: Some(lan.cidr), addresses });
        }
    }
    rows
}

/// Whether two remotes have just the same rights.
fn alike(topology: &Topology, a: &Node, b: &Node) -> bool {
    let rights = |node: &Node| {
        let families = (node.address4.is_some(), node.address6.is_some());
        (node.role, node.access, node.exit, node.kill_switch, families, node.provisional)
    };
    let kept = |node: &Node| node.interfaces.iter().any(|interface| interface.kept.is_some());
    a.role == crate::model::Role::Remote
        && rights(a) == rights(b)
        && a.lan_selection == b.lan_selection
        && topology.grants_of(a).eq(topology.grants_of(b))
        && a.dns == b.dns
        && !kept(a)
        && !kept(b)
}

fn cell(world: &World<'_>, from: &Row<'_>, to: &Row<'_>) -> Cell {
    let Some(node) = from.node else { return Cell::No };
    let id = |row: &Row<'_>| row.node.map(|node| node.id);
    // Among nodes that are alike one speaks to another.
    let other = to.alike.first().filter(|_| id(from) == id(to) && from.lan == to.lan);
    let targets: Vec<IpAddr> = match other {
        Some(other) => other.addresses().map(|own| own.net().addr()).collect(),
        None if id(from) == id(to) => return Cell::Same,
        None => to.addresses.clone(),
    };
    let (mut yes, mut no, mut past) = (0, 0, 0);
    for target in targets {
        let Some(party) = party_of(from, node.id, target) else { continue };
        for flow in flows(world.topology(), node, to.lan.unwrap_or(Cidr::host(target))) {
            let answer = world.reach(&party, flow.1.unwrap_or(target), flow.0);
            match (answer.reaches, answer.through_tunnel) {
                (true, false) => past += 1,
                (true, true) => yes += 1,
                (false, _) => no += 1,
            }
        }
    }
    match (yes, no, past) {
        (0, _, 0) => Cell::No,
        (_, 0, 0) => Cell::Yes,
        (0, 0, _) => Cell::Past,
        _ => Cell::Part,
    }
}

/// Returns who asks in the family of a target; `None` when the row has no address in it.
fn party_of(from: &Row<'_>, node: NodeId, target: IpAddr) -> Option<Party> {
    let address = from.addresses.iter().find(|own| own.is_ipv4() == target.is_ipv4())?;
    Some(Party { node, address: from.lan.map(|_| *address) })
}

/// A port that is in no list of grants, to see what holds for all of them.
const ANY_PORT: u16 = 61_003;

/// Returns what to try: a ping, a TCP connection to any port, and what the node's grants name in the place.
fn flows(topology: &Topology, node: &Node, place: Cidr) -> Vec<(Flow, Option<IpAddr>)> {
    let mut flows = vec![(Flow::PING, None)];
    flows.extend(Port::new(ANY_PORT).map(|port| (Flow::tcp(port), None)));
    let granted = topology
        .grants_of(node)
        .flat_map(|grant| topology.prefixes_of(grant.destination).into_iter().map(move |prefix| (grant, prefix)));
    for (grant, prefix) in granted.filter(|(_, prefix)| prefix.overlaps(&place)) {
        let narrow = if place.covers(&prefix) { prefix } else { place };
        let address = narrow.net().hosts().nth(4).or_else(|| narrow.net().hosts().next());
        let port = grant.ports.first().map(|range| range.first()).or_else(|| Port::new(ANY_PORT));
        let flow = match grant.protocol {
            Protocol::Tcp | Protocol::Udp => Flow { protocol: grant.protocol, port },
            Protocol::Icmp | Protocol::Any => Flow::PING,
        };
        flows.push((flow, address));
    }
    flows
}
