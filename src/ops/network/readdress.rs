//! Moving a network into other prefixes: nodes keep the last part of their address where it is free, and whatever is
//! written down of an address moves along.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::addresses::{Pair, Prefixes};
use super::change::Scope;
use super::place::Places;
use super::setting::Setting;
use crate::model::{Cidr, Destination, Grant, HostAddress, Name, Network, Node, Role, Topology};
use crate::ops::Error;

/// A network with everything in it where it is to be.
pub(super) struct Moved {
    /// The network as it is to be.
    pub(super) topology: Topology,
    /// What is worth knowing.
    pub(super) remarks: Vec<String>,
}

/// Takes everything along to the network as it is to be: nodes to a new interface name or port if they have the old one, and
/// to addresses in the new prefixes; name servers and grants to the new addresses of what they meant.
///
/// # Errors
/// When a prefix is too small, and when a host is reached by an address that goes.
pub(super) fn plan(before: &Topology, network: Network) -> Result<Moved, Error> {
    let mut topology = Topology { network, ..before.clone() };
    let mut places = Places::of(&topology, Role::Remote, BTreeSet::new());
    for at in 0..topology.nodes.len() {
        let mut node = topology.nodes[at].clone();
        if node.interfaces[0].name == before.network.interface {
            node.interfaces[0].name = topology.network.interface.clone();
        }
        let (was, is) = (before.network.port, topology.network.port);
        if node.interfaces[0].listen_port == Some(was) && was != is {
            Setting::Port(Some(is)).apply(&mut node, &topology)?;
        }
        places.for_role(node.role);
        renumber(&mut node, before, &topology, &mut places)?;
        topology.nodes[at] = node;
    }
    let mut remarks = Vec::new();
    if before.network.prefixes().ne(topology.network.prefixes()) {
        refuse_cut_ways(before, &topology)?;
        let way = Way::of(before, &topology);
        way.dns(before, &mut topology);
        way.grants(&mut topology, &mut remarks);
    }
    Ok(Moved { topology, remarks })
}

/// Saves what moved; the network itself is the caller's.
pub(super) fn save(scope: &Scope<'_>, moved: &Moved) -> Result<(), Error> {
    for node in moved.topology.nodes.iter().filter(|node| scope.before.node(node.id) != Some(*node)) {
        scope.tx.update_node(node, scope.now)?;
    }
    for group in moved.topology.groups.iter().filter(|group| scope.before.group(group.id) != Some(*group)) {
        scope.tx.update_group(group)?;
    }
    Ok(())
}

/// Moves a node into prefixes that are new. It keeps its host number where that is free, so that `10.66.0.30` becomes
/// `10.77.0.30`; an address that lies in the new prefix stays.
fn renumber(node: &mut Node, before: &Topology, after: &Topology, places: &mut Places) -> Result<(), Error> {
    let prefixes = |network: &Network| Prefixes { four: network.cidr4, six: network.cidr6 };
    let (old, new) = (prefixes(&before.network), prefixes(&after.network));
    if old == new {
        return Ok(());
    }
    let own = Pair { four: node.address4, six: node.address6 };
    let same_number = old.number(own).map_or_else(Pair::default, |number| new.pair(number));
    let stays4 = own.four.filter(|address| new.four.is_some_and(|net| net.contains(address)));
    let stays6 = own.six.filter(|address| new.six.is_some_and(|net| net.contains(address)));
    let kept: Vec<IpAddr> = [stays4.map(IpAddr::V4), stays6.map(IpAddr::V6)].into_iter().flatten().collect();
    let moved = [
        same_number.four.filter(|_| stays4.is_none()).map(IpAddr::V4),
        same_number.six.filter(|_| stays6.is_none()).map(IpAddr::V6),
    ];
    let free = moved.into_iter().flatten().filter(|address| !places.is_taken(*address));
    let asked: Vec<IpAddr> = kept.iter().copied().chain(free).collect();
    let pair = places.place(after, &asked, Some(node.id))?;
    (node.address4, node.address6) = (pair.four, pair.six);
    Ok(())
}

/// Refuses to take an address away by which a host is reached: the deploy that does it would cut its own way, and take
/// itself back each time.
pub(super) fn refuse_cut_ways(before: &Topology, after: &Topology) -> Result<(), Error> {
    let own = |node: &Node| node.addresses().map(|own| own.net().addr()).collect::<BTreeSet<IpAddr>>();
    for was in &before.nodes {
        let kept = after.node(was.id).map(own).unwrap_or_default();
        for gone in own(was).difference(&kept) {
            if let Some(host) = before.hosts.iter().find(|host| is_reached_by(&host.address, *gone)) {
                return Err(Error::RefusedWithRemedy {
                    message: format!(
                        "the host `{}` is reached by {gone}, the address of `{}` in the network: moving it would cut the \
                         way by which that is done",
                        host.name, was.name
                    ),
                    hint: format!(
                        "reach it past the tunnel meanwhile: `wg-friend host set {} address=USER@ADDRESS`",
                        host.name
                    ),
                });
            }
        }
    }
    Ok(())
}

/// Whether ssh(1) is told an address, as the destination or as a jump on the way.
fn is_reached_by(address: &HostAddress, wanted: IpAddr) -> bool {
    let HostAddress::Ssh { destination, jump, .. } = address else { return false };
    let is = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse() == Ok(wanted);
    let without_port = |text: &str| match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address.to_owned(),
        None if text.matches(':').count() == 1 => text.split(':').next().unwrap_or(text).to_owned(),
        None => text.to_owned(),
    };
    let jumps = jump.iter().flat_map(|jump| jump.split(','));
    let hosts = jumps.map(|jump| without_port(jump.rsplit('@').next().unwrap_or(jump).trim()));
    is(destination) || hosts.into_iter().any(|host| is(&host))
}

/// From the old prefixes to the new ones.
struct Way {
    /// The addresses of nodes that moved; `None` for those that have none of the family any more.
    addresses: BTreeMap<IpAddr, Option<IpAddr>>,
    /// The prefixes that moved.
    prefixes: Vec<(Cidr, Option<Cidr>)>,
}

impl Way {
    fn of(before: &Topology, after: &Topology) -> Self {
        let mut addresses = BTreeMap::new();
        for (was, is) in before.nodes.iter().zip(&after.nodes) {
            addresses.extend(was.address4.map(|four| (four.into(), is.address4.map(IpAddr::from))));
            addresses.extend(was.address6.map(|six| (six.into(), is.address6.map(IpAddr::from))));
        }
        let prefix = |prefixes: &Network, ipv4: bool| prefixes.prefixes().find(|prefix| prefix.is_ipv4() == ipv4);
        let pairs = [true, false]
            .into_iter()
            .filter_map(|ipv4| Some((prefix(&before.network, ipv4)?, prefix(&after.network, ipv4))));
        Self { addresses, prefixes: pairs.filter(|(was, is)| Some(*was) != *is).collect() }
    }

    /// Returns where an address in an old prefix is now; itself for any other.
    fn address(&self, address: IpAddr) -> Option<IpAddr> {
        match self.addresses.get(&address) {
            Some(new) => *new,
            None => self.prefix(Cidr::host(address)).map(|moved| moved.net().addr()),
        }
    }

    /// Returns where a prefix is now: at the same place of the new prefix, if it has room for it.
    fn prefix(&self, wanted: Cidr) -> Option<Cidr> {
        let Some((was, is)) = self.prefixes.iter().find(|(was, _)| was.covers(&wanted)) else { return Some(wanted) };
        let is = (*is)?;
        if wanted == *was || is.covers(&wanted) {
            return Some(if wanted == *was { is } else { wanted });
        }
        if let (true, Some(new)) = (wanted.is_host(), self.addresses.get(&wanted.net().addr())) {
            return new.map(Cidr::host);
        }
        moved(wanted, *was, is)
    }

    /// Moves name servers and search lists along.
    fn dns(&self, before: &Topology, topology: &mut Topology) {
        let entry = |entry: &String| match entry.parse::<IpAddr>() {
            Ok(address) => self.address(address).map(|address| address.to_string()),
            Err(_) => Some(entry.clone()),
        };
        let list = |dns: &[String]| dns.iter().filter_map(entry).collect::<Vec<_>>();
        if topology.network.dns == before.network.dns {
            topology.network.dns = list(&before.network.dns);
        }
        for node in &mut topology.nodes {
            node.dns = node.dns.as_deref().map(list);
        }
    }

    /// Moves the destinations of grants along.
    fn grants(&self, topology: &mut Topology, remarks: &mut Vec<String>) {
        let mut lost: Vec<String> = Vec::new();
        let mut change = |name: &Name, grants: &mut Vec<Grant>| {
            grants.retain_mut(|grant| {
                let Destination::Prefix(prefix) = grant.destination else { return true };
                match self.prefix(prefix) {
                    Some(new) => grant.destination = Destination::Prefix(new),
                    None => lost.push(format!("{name} → {grant}")),
                }
                self.prefix(prefix).is_some()
            });
        };
        topology.nodes.iter_mut().for_each(|node| change(&node.name, &mut node.grants));
        topology.groups.iter_mut().for_each(|group| change(&group.name, &mut group.grants));
        if !lost.is_empty() {
            remarks
                .push(format!("what was granted there has no place in the new prefix and goes: {}", lost.join(", ")));
        }
    }
}

/// Returns a prefix at the same place of another prefix; `None` when it lies beyond its end.
fn moved(wanted: Cidr, was: Cidr, is: Cidr) -> Option<Cidr> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(four) => u128::from(four.to_bits()),
        IpAddr::V6(six) => six.to_bits(),
    };
    let place = bits(wanted.net().addr()) - bits(was.net().network());
    let address = bits(is.net().network()).checked_add(place)?;
    let address: IpAddr =
        if is.is_ipv4() { IpAddr::V4(u32::try_from(address).ok()?.into()) } else { IpAddr::V6(address.into()) };
    let net = ipnet::IpNet::new(address, wanted.net().prefix_len()).ok()?;
    let moved = Cidr::containing(net);
    (is.covers(&moved) && moved.net().addr() == address).then_some(moved)
}
