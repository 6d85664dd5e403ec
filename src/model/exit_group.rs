//! Exits that stand in for each other, and by which way a node's internet traffic leaves.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{Name, Node, NodeId, Role, Topology, Via};

/// Names a group of exits within one database; never reused, for the numbers of its routing tables derive from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExitGroupId(pub i64);

words! {
    /// Why a group's traffic goes by the exit that it goes by.
    SwitchReason, "reason of a switch" {
        /// It was the first exit of its group.
        InitialAssignment = "initial_assignment",
        /// Somebody chose it.
        Manual = "manual",
        /// The exit before it was taken out of the group, or removed.
        MemberRemoved = "member_removed",
        /// The model was brought back to an earlier state.
        RolledBack = "rolled_back",
    }
}

impl SwitchReason {
    /// Returns it in words, for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::InitialAssignment => "initial assignment",
            Self::Manual => "manual",
            Self::MemberRemoved => "member removed",
            Self::RolledBack => "rolled back",
        }
    }
}

/// By which way a node's internet traffic is to leave, where it is told. A node that isn't told follows the network.
///
/// In JSON an exit is its number, as it was before there were groups; a group is `{"group": 3}`, a
/// chain `{"via": [5, 7]}`, and no exit is `"none"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Egress {
    /// By none of our exits: the tunnel carries the network alone.
    #[default]
    None,
    /// By this exit, or out at this server.
    Node(NodeId),
    /// By whichever exit this group goes by.
    Group(ExitGroupId),
    /// By these exits one after another, out at the last.
    Via(Via),
}

/// How an [`Egress`] is written down.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Node(NodeId),
    Group { group: ExitGroupId },
    Via { via: Via },
    Word(String),
}

impl TryFrom<Written> for Egress {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Node(id) => Ok(Self::Node(id)),
            Written::Group { group } => Ok(Self::Group(group)),
            Written::Via { via } => Ok(Self::Via(via)),
            Written::Word(word) if word == "none" => Ok(Self::None),
            Written::Word(word) => Err(format!("`{word}` is no way to the internet: expected `none`")),
        }
    }
}

impl From<Egress> for Written {
    fn from(egress: Egress) -> Self {
        match egress {
            Egress::None => Self::Word("none".to_owned()),
            Egress::Node(id) => Self::Node(id),
            Egress::Group(group) => Self::Group { group },
            Egress::Via(via) => Self::Via { via },
        }
    }
}

impl From<NodeId> for Egress {
    fn from(id: NodeId) -> Self {
        Self::Node(id)
    }
}

impl Egress {
    /// Returns the one node that it names: an exit, or the server.
    pub fn node(self) -> Option<NodeId> {
        if let Self::Node(id) = self { Some(id) } else { None }
    }

    /// Returns the group that it names.
    pub fn group(self) -> Option<ExitGroupId> {
        if let Self::Group(id) = self { Some(id) } else { None }
    }

    /// Returns the chain of exits that it is.
    pub fn via(self) -> Option<Via> {
        if let Self::Via(via) = self { Some(via) } else { None }
    }

    /// Returns every node that it names, in order.
    pub fn nodes(self) -> Vec<NodeId> {
        match self {
            Self::None | Self::Group(_) => Vec::new(),
            Self::Node(id) => vec![id],
            Self::Via(via) => via.exits().to_vec(),
        }
    }
}

/// An exit of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitMember {
    /// Which.
    pub exit: NodeId,
    /// Its rank: the lowest number is preferred.
    pub priority: u16,
    /// Whether the group may go by it.
    pub enabled: bool,
}

impl ExitMember {
    /// The priority of a member that was given none.
    pub const PRIORITY: u16 = 100;
}

/// The exit that a group was told to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveExit {
    /// Which.
    pub exit: NodeId,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: SwitchReason,
}

/// Exits that stand in for each other: what goes by the group goes by one of them, and all of it is moved to another at
/// once, without a change for those who use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitGroup {
    /// Its identity.
    pub id: ExitGroupId,
    /// What the operator calls it.
    pub name: Name,
    /// Its exits, in the order in which they are preferred: by priority, then by number.
    pub members: Vec<ExitMember>,
    /// The one that it was told to go by; `None` while it is empty.
    pub active: Option<ActiveExit>,
}

impl ExitGroup {
    /// A group without exits.
    pub fn new(name: Name) -> Self {
        Self { id: ExitGroupId(0), name, members: Vec::new(), active: None }
    }

    /// Returns a member.
    pub fn member(&self, exit: NodeId) -> Option<&ExitMember> {
        self.members.iter().find(|member| member.exit == exit)
    }

    /// Adds a member, or replaces what is said of it, and keeps the order of preference.
    pub fn put(&mut self, member: ExitMember) {
        self.members.retain(|other| other.exit != member.exit);
        self.members.push(member);
        self.members.sort_by_key(|member| (member.priority, member.exit));
    }

    /// Returns the exits that can carry its traffic, the preferred one first: enabled here and as nodes.
    pub fn usable<'a>(&self, topology: &'a Topology) -> impl Iterator<Item = &'a Node> {
        self.usable_among(|id| topology.node(id))
    }

    fn usable_among<'a>(&self, node: impl Fn(NodeId) -> Option<&'a Node>) -> impl Iterator<Item = &'a Node> {
        let enabled = self.members.iter().filter(|member| member.enabled);
        let nodes = enabled.filter_map(move |member| node(member.exit));
        nodes.filter(|node| node.enabled && node.role == Role::Exit)
    }

    /// Returns the exit by which its traffic goes: the one that it was told to go by or, while that one can't be used, the
    /// preferred one of those that can. `None`: there is none, and nothing leaves.
    pub fn carrier<'a>(&self, topology: &'a Topology) -> Option<&'a Node> {
        self.carrier_among(|id| topology.node(id))
    }

    /// Returns the exit by which its traffic goes, among the nodes that `node` knows.
    pub fn carrier_among<'a>(&self, node: impl Fn(NodeId) -> Option<&'a Node>) -> Option<&'a Node> {
        let usable = || self.usable_among(&node);
        let told = self.active.and_then(|active| usable().find(|node| node.id == active.exit));
        told.or_else(|| usable().next())
    }

    /// Returns the exit to which a switch leads that names none: the preferred one of those that can be used, other than
    /// the one that carries its traffic now.
    pub fn next<'a>(&self, topology: &'a Topology) -> Option<&'a Node> {
        let now = self.carrier(topology).map(|node| node.id);
        self.usable(topology).find(|node| Some(node.id) != now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_written_so_that_what_was_written_before_groups_is_still_read() {
        let via = Via::new(&[NodeId(5), NodeId(7)]).unwrap();
        let ways = [Egress::None, Egress::Node(NodeId(5)), Egress::Group(ExitGroupId(3)), Egress::Via(via)];
        let written: Vec<String> = ways.iter().map(|way| serde_json::to_string(way).unwrap()).collect();
        assert_eq!(written, [r#""none""#, "5", r#"{"group":3}"#, r#"{"via":[5,7]}"#]);
        for (way, text) in ways.iter().zip(&written) {
            assert_eq!(serde_json::from_str::<Egress>(text).unwrap(), *way);
        }
        assert_eq!(serde_json::from_str::<Option<Egress>>("null").unwrap(), None);
        for wrong in [r#""some""#, r#"{"via":[5]}"#, r#"{"via":[5,5]}"#] {
            assert!(serde_json::from_str::<Egress>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn members_stand_in_the_order_in_which_they_are_preferred() {
        let mut group = ExitGroup::new("eu".parse().unwrap());
        for (exit, priority) in [(7, 100), (3, 100), (9, 10), (7, 200)] {
            group.put(ExitMember { exit: NodeId(exit), priority, enabled: true });
        }
        let order: Vec<i64> = group.members.iter().map(|member| member.exit.0).collect();
        assert_eq!(order, [9, 3, 7]);
    }
}
