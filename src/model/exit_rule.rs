//! Rules that send internet traffic by other ways, according to where it leads.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Cidr, ExitGroupId, Grant, Group, Node, NodeId, Port, PortRange, Protocol, Role, Topology};

/// What becomes of the packets that a rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// They leave by this exit.
    Exit(NodeId),
    /// They leave by whichever exit this group goes by.
    Group(ExitGroupId),
    /// They leave at the server.
    Direct,
    /// They end at the server.
    Block,
}

/// One rule for internet traffic: where it leads, how, and by which way it goes. Rules stand in an order, and the first one
/// that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRule {
    /// Where to; sorted, no prefix inside of another. What of them lies in the network or a LAN isn't meant.
    pub destinations: Vec<Cidr>,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; empty means all. Only with TCP and UDP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRange>,
    /// What becomes of it.
    pub action: RuleAction,
}

impl ExitRule {
    /// Whether it fits packets to an address. `protocol`: [`Protocol::Any`] is one that is none of the others; `port` is the
    /// one at the far end.
    pub fn fits(&self, to: IpAddr, protocol: Protocol, port: Option<Port>) -> bool {
        let port_fits = || match (self.ports.as_slice(), port) {
            ([], _) => true,
            (ranges, Some(port)) => ranges.iter().any(|range| (range.first()..=range.last()).contains(&port)),
            (_, None) => false,
        };
        self.destinations.iter().any(|prefix| prefix.contains(to))
            && (self.protocol == Protocol::Any || (self.protocol == protocol && port_fits()))
    }

    /// Whether a tunnel that carries the network alone carries its destinations too: not those of which it blocks a part and
    /// says nothing of the rest.
    pub fn is_carried(&self) -> bool {
        self.action != RuleAction::Block || self.protocol == Protocol::Any
    }

    /// Whether it fits just what another one fits.
    pub fn fits_same(&self, other: &Self) -> bool {
        (&self.destinations, self.protocol, &self.ports) == (&other.destinations, other.protocol, &other.ports)
    }

    /// Whether it fits everything that another one fits, so that this one never counts behind it.
    pub fn covers(&self, other: &Self) -> bool {
        let destinations = other.destinations.iter().all(|to| self.destinations.iter().any(|own| own.covers(to)));
        let within =
            |range: &PortRange| self.ports.iter().any(|own| own.first() <= range.first() && range.last() <= own.last());
        let ports = self.ports.is_empty() || (!other.ports.is_empty() && other.ports.iter().all(within));
        destinations && (self.protocol == Protocol::Any || (self.protocol == other.protocol && ports))
    }

    /// Writes protocol and ports as a grant does: `tcp 443,8000-8999`.
    pub fn flow(&self) -> String {
        let Self { protocol, ports, .. } = self;
        Grant::lasting(super::Destination::Prefix(Cidr::ALL4), *protocol, ports.clone()).flow()
    }
}

/// Writes what it fits: `203.0.113.0/24 tcp 443`.
impl fmt::Display for ExitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destinations: Vec<String> = self.destinations.iter().map(Cidr::to_string).collect();
        let whole = [Cidr::ALL4, Cidr::ALL6];
        match self.destinations == whole {
            true => f.write_str("internet")?,
            false => f.write_str(&destinations.join(","))?,
        }
        match self.protocol {
            Protocol::Any => Ok(()),
            _ => write!(f, " {}", self.flow()),
        }
    }
}

/// Whose rules.
#[derive(Clone, Copy, Debug)]
pub enum RuleHolder<'a> {
    /// A remote's own.
    Node(&'a Node),
    /// Those of a group of nodes, for its members.
    Group(&'a Group),
    /// The network's, for every remote.
    Network,
}

impl<'a> RuleHolder<'a> {
    /// Returns its rules, in order.
    pub fn rules(self, topology: &'a Topology) -> &'a [ExitRule] {
        match self {
            Self::Node(node) => &node.exit_rules,
            Self::Group(group) => &group.exit_rules,
            Self::Network => &topology.network.exit_rules,
        }
    }

    /// Returns what it is called; `network` for the network.
    pub fn name(self) -> &'a str {
        match self {
            Self::Node(node) => node.name.as_str(),
            Self::Group(group) => group.name.as_str(),
            Self::Network => "network",
        }
    }
}

/// Writes it to stand in a sentence.
impl fmt::Display for RuleHolder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "`{}`", node.name),
            Self::Group(group) => write!(f, "the group `{}`", group.name),
            Self::Network => f.write_str("the network"),
        }
    }
}

impl Topology {
    /// Returns everything that may have rules: remotes, then groups, then the network.
    pub fn rule_holders(&self) -> impl Iterator<Item = RuleHolder<'_>> {
        let remotes = self.nodes.iter().filter(|node| node.role == Role::Remote).map(RuleHolder::Node);
        remotes.chain(self.groups.iter().map(RuleHolder::Group)).chain([RuleHolder::Network])
    }

    /// Returns the rules that hold for a remote, in the order in which they are asked, each with its holder and its place
    /// there, counted from 1: its own, those of its groups, the oldest group's first, and the network's.
    pub fn exit_rules_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (RuleHolder<'a>, usize, &'a ExitRule)> {
        let id = node.id;
        let groups = self.groups.iter().filter(move |group| group.members.contains(&id)).map(RuleHolder::Group);
        let holders = [RuleHolder::Node(node)].into_iter().chain(groups).chain([RuleHolder::Network]);
        let holders = holders.filter(move |_| node.role == Role::Remote);
        holders.flat_map(|holder| (1..).zip(holder.rules(self)).map(move |(place, rule)| (holder, place, rule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(destinations: &[&str], protocol: Protocol, ports: &[&str]) -> ExitRule {
        ExitRule {
            destinations: destinations.iter().map(|text| text.parse().unwrap()).collect(),
            protocol,
            ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
            action: RuleAction::Block,
        }
    }

    #[test]
    fn a_rule_fits_by_destination_protocol_and_port() {
        let web = rule(&["203.0.113.0/24", "2001:db8::/32"], Protocol::Tcp, &["80", "8000-8999"]);
        let to = |address: &str, protocol, port| web.fits(address.parse().unwrap(), protocol, Port::new(port));
        assert!(to("203.0.113.7", Protocol::Tcp, 80) && to("2001:db8::7", Protocol::Tcp, 8080));
        assert!(!to("203.0.113.7", Protocol::Udp, 80) && !to("203.0.113.7", Protocol::Tcp, 81));
        assert!(!to("203.0.114.7", Protocol::Tcp, 80) && !to("203.0.113.7", Protocol::Icmp, 0));
        let all = rule(&["0.0.0.0/0", "::/0"], Protocol::Any, &[]);
        assert!(all.fits("192.0.2.1".parse().unwrap(), Protocol::Icmp, None));
        assert_eq!(
            (web.to_string(), all.to_string()),
            ("203.0.113.0/24,2001:db8::/32 tcp 80,8000-8999".into(), "internet".into())
        );
    }

    #[test]
    fn a_rule_covers_what_lies_within_it_in_every_respect() {
        let wide = rule(&["203.0.113.0/24"], Protocol::Tcp, &["1-1000"]);
        assert!(wide.covers(&rule(&["203.0.113.7"], Protocol::Tcp, &["80", "443"])));
        assert!(!wide.covers(&rule(&["203.0.113.7"], Protocol::Tcp, &[])));
        assert!(!wide.covers(&rule(&["203.0.113.7"], Protocol::Any, &[])));
        assert!(!wide.covers(&rule(&["203.0.113.7", "192.0.2.0/24"], Protocol::Tcp, &["80"])));
        assert!(rule(&["0.0.0.0/0"], Protocol::Any, &[]).covers(&wide));
    }

    #[test]
    fn an_action_is_written_in_words() {
        let actions =
            [RuleAction::Exit(NodeId(3)), RuleAction::Group(ExitGroupId(1)), RuleAction::Direct, RuleAction::Block];
        assert_eq!(serde_json::to_string(&actions).unwrap(), r#"[{"exit":3},{"group":1},"direct","block"]"#);
    }
}
