//! When keys are to be replaced: rotation policies.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::node::{InvalidWord, words};
use super::{GroupId, Name, NodeId, Role};

words! {
    /// What can happen to a node that calls for another key.
    RotationEvent, "event" {
        /// Its device was lost or stolen: whoever has it has the key.
        DeviceLost = "device_lost",
        /// What it may reach was changed.
        GrantChanged = "grant_changed",
        /// Somebody who could have had its key is no longer an operator.
        OperatorRemoved = "operator_removed",
        /// Its key is known to somebody else.
        Compromise = "compromise" | "device_compromise",
    }
}

impl RotationEvent {
    /// Whether the old key may not stay in force a moment longer: whoever has it isn't meant to.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::DeviceLost | Self::Compromise)
    }

    /// Whether somebody has to say that it happened; else the history of the model does.
    pub fn is_told(self) -> bool {
        self != Self::GrantChanged
    }
}

/// Names a policy within one database; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyId(pub i64);

/// What makes a key due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its age, in days.
    Days(u32),
    /// Bytes that went under it, in both directions together.
    Bytes(u64),
    /// Something that happened to its node since it was made.
    Events(BTreeSet<RotationEvent>),
}

impl Trigger {
    /// Returns its kind: `time`, `usage`, `event`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Days(_) => "time",
            Self::Bytes(_) => "usage",
            Self::Events(_) => "event",
        }
    }
}

/// Some nodes, now and later: nodes that come to a role or a group join by themselves. Written `all`, `role:ROLE`,
/// `group:NUMBER` or `node:NUMBER`, so that another name changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// Every node.
    All,
    /// Those of a role.
    Role(Role),
    /// The members of a group.
    Group(GroupId),
    /// One.
    Node(NodeId),
}

impl FromStr for Selector {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let wrong = || InvalidWord {
            what: "selector",
            found: text.to_owned(),
            expected: "all, role:ROLE, group:NUMBER, node:NUMBER".to_owned(),
        };
        let number = |rest: &str| rest.parse::<i64>().map_err(|_| wrong());
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            Some(("role", role)) => role.parse().map(Self::Role),
            Some(("group", rest)) => Ok(Self::Group(GroupId(number(rest)?))),
            Some(("node", rest)) => Ok(Self::Node(NodeId(number(rest)?))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Group(id) => write!(f, "group:{}", id.0),
            Self::Node(id) => write!(f, "node:{}", id.0),
        }
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidWord;

    fn try_from(text: String) -> Result<Self, InvalidWord> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

/// When the keys of some nodes are to be replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// Its identity in this database.
    pub id: PolicyId,
    /// What the operator calls it.
    pub name: Name,
    /// What makes a key due.
    pub trigger: Trigger,
    /// Whose keys; at least one.
    pub scope: BTreeSet<Selector>,
    /// Whether it counts.
    pub enabled: bool,
    /// Whether the hosts concerned are deployed once keys are replaced.
    pub auto_deploy: bool,
    /// How many days before a key is due that is told.
    pub notice_days: u32,
    /// Since when there is this policy.
    pub created: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_read_back_as_they_print() {
        for text in ["all", "role:remote", "role:server", "group:3", "node:12"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for bad in ["", "node:", "role:king", "group:x", "remotes"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_gives_a_key_away_is_urgent_and_a_changed_grant_tells_of_itself() {
        let urgent = RotationEvent::ALL.iter().filter(|event| event.is_urgent()).map(|event| event.as_str());
        assert_eq!(urgent.collect::<Vec<_>>(), ["device_lost", "compromise"]);
        assert!(!RotationEvent::GrantChanged.is_told() && RotationEvent::OperatorRemoved.is_told());
    }
}
