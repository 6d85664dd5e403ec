//! Named sets of nodes, and what a grant leads to.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Cidr, ExitRule, Grant, Name, NodeId};

/// Names a group within one database; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub i64);

/// A named set of nodes: what is granted to it, each of its members has; what is granted towards it leads to the addresses
/// of its members in the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its identity in this database.
    pub id: GroupId,
    /// What the operator calls it; no node has the same name.
    pub name: Name,
    /// What it is for, in the operator's words; may be empty.
    pub note: String,
    /// Its members, of any role.
    pub members: BTreeSet<NodeId>,
    /// What its members may reach, beside what is their own.
    pub grants: Vec<Grant>,
    /// By which other ways its members' internet traffic leaves, according to where it leads, where no rule of their own fits.
    #[serde(default)]
    pub exit_rules: Vec<ExitRule>,
}

/// Where a grant leads. Written as a prefix, or as `node:NUMBER` or `group:NUMBER`, so that a new name or address of what
/// is meant changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Destination {
    /// What of a prefix lies in the network and its LANs.
    Prefix(Cidr),
    /// A node's addresses in the network.
    Node(NodeId),
    /// The addresses of a group's members in the network.
    Group(GroupId),
}

impl Destination {
    /// Returns the prefix, if it is one.
    pub fn prefix(&self) -> Option<Cidr> {
        if let Self::Prefix(cidr) = self { Some(*cidr) } else { None }
    }
}

impl FromStr for Destination {
    type Err = super::InvalidNet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
        if let Some(id) = number("node:") {
            return Ok(Self::Node(NodeId(id)));
        }
        if let Some(id) = number("group:") {
            return Ok(Self::Group(GroupId(id)));
        }
        text.parse().map(Self::Prefix)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(cidr) => cidr.fmt(f),
            Self::Node(id) => write!(f, "node:{}", id.0),
            Self::Group(id) => write!(f, "group:{}", id.0),
        }
    }
}

impl TryFrom<String> for Destination {
    type Error = super::InvalidNet;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_read_back_as_they_print() {
        for text in ["10.0.0.0/8", "fd00::1/128", "node:7", "group:12"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for bad in ["node:", "group:x", "printers", ""] {
            assert!(bad.parse::<Destination>().is_err(), "{bad:?}");
        }
    }
}
