//! Finding addresses for nodes, among those that others have or had a short while ago.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::TimeDelta;

use super::addresses::{Pair, Prefixes, candidates, choose};
use super::change::Scope;
use crate::model::{Node, NodeId, Role, Topology};
use crate::ops::Error;

/// How long an address that somebody gave up is kept back.
const REST: TimeDelta = TimeDelta::days(30);

/// Returns the addresses that are kept back because somebody gave them up a short while ago.
pub(super) fn resting(scope: &Scope<'_>) -> Result<BTreeSet<IpAddr>, Error> {
    Ok(scope.tx.released_since(scope.now - REST)?.into_iter().collect())
}

/// The free addresses of a network, for nodes of one role. What is handed out is taken from then on.
pub(super) struct Places {
    prefixes: Prefixes,
    role: Role,
    taken: BTreeSet<IpAddr>,
    /// Given up a short while ago: only who asks for one gets it.
    resting: BTreeSet<IpAddr>,
    /// What is left to try: addresses that were passed over once are taken for good, so a thousand nodes cost no more
    /// than a thousand steps.
    left: Box<dyn Iterator<Item = Pair>>,
}

impl Places {
    /// The addresses of a network that its nodes don't have.
    pub(super) fn of(topology: &Topology, role: Role, resting: BTreeSet<IpAddr>) -> Self {
        let prefixes = Prefixes { four: topology.network.cidr4, six: topology.network.cidr6 };
        let taken = topology.nodes.iter().flat_map(Node::addresses).map(|cidr| cidr.net().addr()).collect();
        Self { prefixes, role, taken, resting, left: Box::new(candidates(prefixes, role)) }
    }

    /// Goes on with nodes of another role.
    pub(super) fn for_role(&mut self, role: Role) {
        if role != self.role {
            self.role = role;
            self.left = Box::new(candidates(self.prefixes, role));
        }
    }

    /// Whether somebody has an address.
    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        self.taken.contains(&address)
    }

    /// Finds addresses for a node: those asked for, completed by their partners in the other family, or free ones.
    ///
    /// `except` is the node itself, if it has addresses already: it may ask for those it has.
    pub(super) fn place(
        &mut self,
        topology: &Topology,
        asked: &[IpAddr],
        except: Option<NodeId>,
    ) -> Result<Pair, Error> {
        let found = if asked.is_empty() {
            let (taken, resting) = (&self.taken, &self.resting);
            let is_kept = |address| taken.contains(&address) || resting.contains(&address);
            self.left.find(|pair| !pair.addresses().any(is_kept)).ok_or_else(|| self.full(topology, self.prefixes))?
        } else {
            if let Some(node) = except.and_then(|id| topology.node(id)) {
                for own in node.addresses() {
                    self.taken.remove(&own.net().addr());
                }
            }
            let asked = distinct(topology, asked, except)?;
            self.complete(topology, asked)?
        };
        self.taken.extend(found.addresses());
        Ok(found)
    }

    /// Adds the address of the family that wasn't asked for: with the same number if that is free, else the next one.
    fn complete(&self, topology: &Topology, mut pair: Pair) -> Result<Pair, Error> {
        let is_kept = |address| self.taken.contains(&address) || self.resting.contains(&address);
        let partner = pair.addresses().next().map_or_else(Pair::default, |address| self.prefixes.partner(address));
        if pair.four.is_none() && self.prefixes.four.is_some() {
            let only = Prefixes { four: self.prefixes.four, six: None };
            // Asked for together with its partner, so it needn't have rested.
            let same = partner.four.filter(|address| !self.taken.contains(&IpAddr::V4(*address)));
            pair.four = same.or_else(|| choose(only, self.role, is_kept).and_then(|found| found.four));
            pair.four.ok_or_else(|| self.full(topology, only))?;
        }
        if pair.six.is_none() && self.prefixes.six.is_some() {
            let only = Prefixes { four: None, six: self.prefixes.six };
            let same = partner.six.filter(|address| !self.taken.contains(&IpAddr::V6(*address)));
            pair.six = same.or_else(|| choose(only, self.role, is_kept).and_then(|found| found.six));
            pair.six.ok_or_else(|| self.full(topology, only))?;
        }
        Ok(pair)
    }

    fn full(&self, topology: &Topology, prefixes: Prefixes) -> Error {
        let cidrs = [prefixes.four.map(|n| n.to_string()), prefixes.six.map(|n| n.to_string())];
        Error::NetworkFull {
            network: topology.network.name.clone(),
            cidr: cidrs.into_iter().flatten().collect::<Vec<_>>().join(", "),
            size: prefixes.size(),
            resting: self.resting.difference(&self.taken).count(),
        }
    }
}

/// Reads at most one address of each family; refuses those that the network doesn't have or somebody else has.
fn distinct(topology: &Topology, asked: &[IpAddr], except: Option<NodeId>) -> Result<Pair, Error> {
    let mut pair = Pair::default();
    for address in asked {
        check_address(topology, *address, except)?;
        match address {
            IpAddr::V4(four) if pair.four.is_none() => pair.four = Some(*four),
            IpAddr::V6(six) if pair.six.is_none() => pair.six = Some(*six),
            _ => {
                let reason = format!("`{address}` is a second one of its family; a node has one each");
                return Err(Error::value("address", reason));
            }
        }
    }
    Ok(pair)
}

/// Refuses an address that the network doesn't have or somebody else has.
fn check_address(topology: &Topology, address: IpAddr, except: Option<NodeId>) -> Result<(), Error> {
    let prefixes: Vec<String> = topology.network.prefixes().map(|p| p.to_string()).collect();
    if !topology.network.prefixes().any(|prefix| prefix.contains(address)) {
        return Err(Error::RefusedWithRemedy {
            message: format!("the address {address} is not in the network `{}`", topology.network.name),
            hint: format!("the network is {}", prefixes.join(" and ")),
        });
    }
    let has = |node: &&Node| Some(node.id) != except && node.addresses().any(|own| own.net().addr() == address);
    match topology.nodes.iter().find(has) {
        Some(owner) => Err(Error::RefusedWithRemedy {
            message: format!("the address {address} is taken by the {} `{}`", owner.role, owner.name),
            hint: "leave the address away to get a free one".into(),
        }),
        None => Ok(()),
    }
}
