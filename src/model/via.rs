//! Exits one after another.

use serde::{Deserialize, Serialize};

use super::NodeId;

/// Exits one after another: internet traffic comes to the first by the server, goes on from each to the next, and leaves at
/// the last.
///
/// In JSON it is the list of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Via {
    hops: [NodeId; Self::MOST],
    count: usize,
}

/// Why exits are no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVia {
    /// Too few, or too many.
    #[error("has {0} exits: a chain has 2 to {most}", most = Via::MOST)]
    Count(usize),
    /// The same one twice.
    #[error("leads in a circle: it comes to exit number {exit} twice", exit = .0.0)]
    Loop(NodeId),
}

impl Via {
    /// The most exits that a chain has: each costs its length of the way, and what it carries at its own line.
    pub const MOST: usize = 4;

    /// Makes a chain of exits in the order in which packets come to them.
    ///
    /// # Errors
    /// For fewer than two or more than [`Self::MOST`], and for one that comes twice.
    pub fn new(exits: &[NodeId]) -> Result<Self, InvalidVia> {
        if !(2..=Self::MOST).contains(&exits.len()) {
            return Err(InvalidVia::Count(exits.len()));
        }
        if let Some(at) = (1..exits.len()).find(|at| exits[..*at].contains(&exits[*at])) {
            return Err(InvalidVia::Loop(exits[at]));
        }
        let mut hops = [NodeId(0); Self::MOST];
        hops[..exits.len()].copy_from_slice(exits);
        Ok(Self { hops, count: exits.len() })
    }

    /// Returns the exits in the order in which packets come to them.
    pub fn exits(&self) -> &[NodeId] {
        &self.hops[..self.count]
    }

    /// Returns the exit that packets come to first.
    pub fn first(&self) -> NodeId {
        self.hops[0]
    }

    /// Returns the exit at which they leave.
    pub fn last(&self) -> NodeId {
        self.hops[self.count - 1]
    }

    /// Returns each exit with the one that packets go on to from there.
    pub fn steps(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.exits().windows(2).map(|pair| (pair[0], pair[1]))
    }
}

impl TryFrom<Vec<NodeId>> for Via {
    type Error = InvalidVia;

    fn try_from(exits: Vec<NodeId>) -> Result<Self, InvalidVia> {
        Self::new(&exits)
    }
}

impl From<Via> for Vec<NodeId> {
    fn from(via: Via) -> Self {
        via.exits().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(exits: &[i64]) -> Result<Via, InvalidVia> {
        Via::new(&exits.iter().copied().map(NodeId).collect::<Vec<_>>())
    }

    #[test]
    fn a_chain_has_two_to_four_exits_each_once() {
        assert_eq!(via(&[3]), Err(InvalidVia::Count(1)));
        assert_eq!(via(&[1, 2, 3, 4, 5]), Err(InvalidVia::Count(5)));
        assert_eq!(via(&[3, 5, 3]), Err(InvalidVia::Loop(NodeId(3))));
        let chain = via(&[3, 5, 4]).unwrap();
        assert_eq!((chain.first(), chain.last()), (NodeId(3), NodeId(4)));
        assert_eq!(chain.steps().collect::<Vec<_>>(), [(NodeId(3), NodeId(5)), (NodeId(5), NodeId(4))]);
        assert_eq!(serde_json::to_string(&chain).unwrap(), "[3,5,4]");
        assert!(serde_json::from_str::<Via>("[3,3]").is_err());
    }
}
