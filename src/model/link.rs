//! Which interfaces are peers of each other, and what a step from one to the other costs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InterfaceId;
use super::node::{InvalidWord, words};

/// An undirected pair of interfaces that are peers of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId {
    low: InterfaceId,
    high: InterfaceId,
}

impl LinkId {
    /// The link between two interfaces, whichever is named first.
    pub fn between(a: InterfaceId, b: InterfaceId) -> Self {
        Self { low: a.min(b), high: a.max(b) }
    }

    /// Returns the two ends, the lower number first.
    pub fn ends(self) -> (InterfaceId, InterfaceId) {
        (self.low, self.high)
    }
}

/// What a step over a link costs, 1 to 1000: packets go the cheapest way. The links that follow from roles cost 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

/// A number that is no weight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no weight of a link: expected 1 (preferred) to 1000")]
pub struct InvalidWeight(String);

impl Weight {
    /// The weight of the links that follow from roles.
    pub const ONE: Self = Self(1);

    /// Returns the number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Weight {
    type Error = InvalidWeight;
    fn try_from(number: u16) -> Result<Self, InvalidWeight> {
        if (1..=1000).contains(&number) { Ok(Self(number)) } else { Err(InvalidWeight(number.to_string())) }
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl FromStr for Weight {
    type Err = InvalidWeight;
    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        let wrong = || InvalidWeight(text.to_owned());
        text.parse::<u16>().map_err(|_| wrong())?.try_into().map_err(|_| wrong())
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

words! {
    /// What becomes of a direct link's traffic while the link is down.
    #[derive(Default)]
    WhenDown, "choice for a link that is down" {
        /// It stays with the link: nothing gets through until the link is up again.
        #[default]
        Stay = "stay",
        /// It moves to the way that it would take without the link, and back when the link is up again.
        Move = "move",
    }
}

/// A link beside those that follow from the nodes' roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// The interfaces.
    #[serde(flatten)]
    pub id: LinkId,
    /// What a step over it costs. `None`: no way is looked for over it, and it carries just what its ends keep, as in the
    /// network that it was adopted from.
    #[serde(default)]
    pub weight: Option<Weight>,
    /// What becomes of its traffic while it is down.
    #[serde(default)]
    pub when_down: WhenDown,
}

impl Link {
    /// A link as it was found in a network that was there before.
    pub fn adopted(id: LinkId) -> Self {
        Self { id, weight: None, when_down: WhenDown::Stay }
    }
}
