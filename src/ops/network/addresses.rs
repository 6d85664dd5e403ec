//! Which address a new node gets.
//!
//! An address is its prefix plus a *host number*. IPv4 and IPv6 of a node share the number, so that `10.66.0.30` and
//! `fd00::1e` are seen to belong together. In a /24 the first address goes to the server, routers take .20-.29, exits
//! .100-.119, remotes .30-.99 and then .120-.254; whoever finds his range full takes any free address. Larger networks
//! keep these ranges and give the rest to remotes; smaller ones shrink them in proportion.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::model::Role;

/// Host numbers beyond this are never given out by choice: nobody can tell them apart, and searching them takes long.
const HIGHEST: u128 = (1 << 24) - 1;

/// The prefixes of a network; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// The IPv4 prefix.
    pub four: Option<Ipv4Net>,
    /// The IPv6 prefix.
    pub six: Option<Ipv6Net>,
}

/// The addresses of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// In the IPv4 prefix.
    pub four: Option<Ipv4Addr>,
    /// In the IPv6 prefix.
    pub six: Option<Ipv6Addr>,
}

impl Prefixes {
    /// Returns the addresses with a host number; a family without a prefix, or too small for the number, has none.
    pub fn pair(&self, number: u128) -> Pair {
        Pair {
            four: self.four.filter(|net| usable4(net).contains(&number)).map(|net| at4(&net, number)),
            six: self.six.filter(|net| usable6(net).contains(&number)).map(|net| at6(&net, number)),
        }
    }

    /// Returns the IPv6 address that belongs to an IPv4 address, and the other way round; the given family is kept.
    pub fn partner(&self, address: IpAddr) -> Pair {
        match address {
            IpAddr::V4(four) => {
                let number = self.four.map(|net| number4(&net, four));
                Pair { four: Some(four), six: number.and_then(|n| self.pair(n).six) }
            }
            IpAddr::V6(six) => {
                let number = self.six.map(|net| number6(&net, six));
                Pair { four: number.and_then(|n| self.pair(n).four), six: Some(six) }
            }
        }
    }

    /// Returns the host number of a node's addresses: that of its IPv4 address, if it has one.
    pub fn number(&self, pair: Pair) -> Option<u128> {
        let four = self.four.zip(pair.four).map(|(net, address)| number4(&net, address));
        four.or_else(|| self.six.zip(pair.six).map(|(net, address)| number6(&net, address)))
    }

    /// Returns the host numbers that every family of the network has room for.
    fn usable(&self) -> RangeInclusive<u128> {
        let four = self.four.as_ref().map_or(0..=HIGHEST, usable4);
        let six = self.six.as_ref().map_or(0..=HIGHEST, usable6);
        *four.start().max(six.start())..=*four.end().min(six.end()).min(&HIGHEST)
    }

    /// Returns how many nodes the network has room for.
    pub fn size(&self) -> u128 {
        let usable = self.usable();
        (usable.end() + 1).saturating_sub(*usable.start())
    }
}

/// Returns all addresses of a network in the order in which a role prefers them; some twice.
pub fn candidates(prefixes: Prefixes, role: Role) -> impl Iterator<Item = Pair> {
    let usable = prefixes.usable();
    let (first, last) = (*usable.start(), *usable.end());
    let inside = move |range: RangeInclusive<u128>| first.max(*range.start())..=last.min(*range.end());
    let preferred = preferred(role, prefixes.bits()).into_iter().flat_map(inside);
    preferred.chain(usable).map(move |number| prefixes.pair(number))
}

/// Returns the addresses of a new node: the first free ones in the order that its role prefers. `None` when the network
/// is full.
///
/// `taken` tells the addresses that can't be had: those of other nodes, and those released a short while ago.
pub fn choose(prefixes: Prefixes, role: Role, taken: impl Fn(IpAddr) -> bool) -> Option<Pair> {
    candidates(prefixes, role).find(|pair| !pair.addresses().any(&taken))
}

impl Pair {
    /// Returns the addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.four.map(IpAddr::V4).into_iter().chain(self.six.map(IpAddr::V6))
    }
}

impl Prefixes {
    /// Returns the number of bits for hosts, in the smaller family.
    fn bits(&self) -> u32 {
        let four = self.four.map_or(32, |net| 32 - u32::from(net.prefix_len()));
        let six = self.six.map_or(128, |net| 128 - u32::from(net.prefix_len()));
        four.min(six)
    }
}

/// Returns the ranges of host numbers a role prefers, in order, for a network with this many bits for hosts.
fn preferred(role: Role, bits: u32) -> Vec<RangeInclusive<u128>> {
    // Ranges of a /24, half open so that they scale without overlapping.
    let of_256: &[(u128, u128)] = match role {
        Role::Server => &[(1, 20)],
        Role::Router => &[(20, 30)],
        Role::Exit => &[(100, 120)],
        Role::Remote => &[(30, 100), (120, 255)],
    };
    let scaled = |&(first, end): &(u128, u128)| {
        if bits >= 8 {
            let last = if end == 255 { u128::MAX } else { end - 1 };
            first..=last
        } else {
            let size = 1 << bits;
            (first * size).div_ceil(256)..=((end * size).div_ceil(256)).saturating_sub(1)
        }
    };
    of_256.iter().map(scaled).filter(|range| !range.is_empty()).collect()
}

/// Returns the host numbers of an IPv4 prefix: without network and broadcast address, but all of a /31 (RFC 3021) and
/// a /32.
fn usable4(net: &Ipv4Net) -> RangeInclusive<u128> {
    match net.prefix_len() {
        32 => 0..=0,
        31 => 0..=1,
        length => 1..=(1 << (32 - u32::from(length))) - 2,
    }
}

/// Returns the host numbers of an IPv6 prefix: without the subnet-router anycast address (RFC 4291 section 2.6.1), but
/// all of a /127 (RFC 6164) and a /128.
fn usable6(net: &Ipv6Net) -> RangeInclusive<u128> {
    match net.prefix_len() {
        128 => 0..=0,
        127 => 0..=1,
        0 => 1..=u128::MAX,
        length => 1..=(1 << (128 - u32::from(length))) - 1,
    }
}

fn at4(net: &Ipv4Net, number: u128) -> Ipv4Addr {
    let number = u32::try_from(number).expect("usable numbers of an IPv4 prefix have 32 bits");
    Ipv4Addr::from_bits(net.network().to_bits() | number)
}

fn at6(net: &Ipv6Net, number: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(net.network().to_bits() | number)
}

fn number4(net: &Ipv4Net, address: Ipv4Addr) -> u128 {
    u128::from(address.to_bits() & net.hostmask().to_bits())
}

fn number6(net: &Ipv6Net, address: Ipv6Addr) -> u128 {
    address.to_bits() & net.hostmask().to_bits()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn prefixes(four: Option<&str>, six: Option<&str>) -> Prefixes {
        Prefixes { four: four.map(|n| n.parse().unwrap()), six: six.map(|n| n.parse().unwrap()) }
    }

    fn take(prefixes: &Prefixes, role: Role, taken: &mut BTreeSet<IpAddr>) -> Option<Pair> {
        let pair = choose(*prefixes, role, |address| taken.contains(&address))?;
        taken.extend(pair.addresses());
        Some(pair)
    }

    fn text(pair: Option<Pair>) -> String {
        let show = |a: Option<String>| a.unwrap_or_else(|| "-".into());
        pair.map_or("full".into(), |p| {
            format!("{} {}", show(p.four.map(|a| a.to_string())), show(p.six.map(|a| a.to_string())))
        })
    }

    #[test]
    fn roles_get_addresses_that_tell_them_apart() {
        let net = prefixes(Some("10.66.0.0/24"), Some("fd00:66::/64"));
        let mut taken = BTreeSet::new();
        let mut lines = Vec::new();
        for role in [Role::Server, Role::Router, Role::Router, Role::Exit, Role::Remote, Role::Remote, Role::Server] {
            lines.push(format!("{role} {}", text(take(&net, role, &mut taken))));
        }
        insta::assert_snapshot!(lines.join("\n"), @r"
        server 10.66.0.1 fd00:66::1
        router 10.66.0.20 fd00:66::14
        router 10.66.0.21 fd00:66::15
        exit 10.66.0.100 fd00:66::64
        remote 10.66.0.30 fd00:66::1e
        remote 10.66.0.31 fd00:66::1f
        server 10.66.0.2 fd00:66::2
        ");
    }

    #[test]
    fn remotes_skip_the_range_of_exits_until_nothing_else_is_left() {
        let net = prefixes(Some("10.66.0.0/24"), None);
        let mut taken = BTreeSet::new();
        let order: Vec<u8> =
            std::iter::from_fn(|| take(&net, Role::Remote, &mut taken)).map(|p| p.four.unwrap().octets()[3]).collect();
        let expected: Vec<u8> = (30..=99).chain(120..=254).chain(1..=29).chain(100..=119).collect();
        assert_eq!(order, expected);
        assert_eq!(order.len(), 254);
    }

    #[test]
    fn three_hundred_remotes_in_a_22_are_distinct_and_leave_room_for_exits() {
        let net = prefixes(Some("10.66.0.0/22"), Some("fd00:66::/64"));
        let mut taken = BTreeSet::new();
        for _ in 0..300 {
            take(&net, Role::Remote, &mut taken).unwrap();
        }
        assert_eq!(taken.len(), 600);
        assert_eq!(text(choose(net, Role::Exit, |address| taken.contains(&address))), "10.66.0.100 fd00:66::64");
        assert_eq!(text(choose(net, Role::Remote, |address| taken.contains(&address))), "10.66.1.94 fd00:66::15e");
    }

    #[test]
    fn small_networks_shrink_the_ranges_and_give_every_address_away() {
        for (four, size) in
            [("10.0.0.0/26", 62), ("10.0.0.0/29", 6), ("10.0.0.0/30", 2), ("10.0.0.0/31", 2), ("10.0.0.0/32", 1)]
        {
            for role in Role::ALL {
                let net = prefixes(Some(four), None);
                let mut taken = BTreeSet::new();
                let count = std::iter::from_fn(|| take(&net, *role, &mut taken)).count();
                assert_eq!((count, net.size()), (size, size as u128), "{four} {role}");
            }
        }
        let net = prefixes(Some("10.0.0.0/26"), None);
        assert_eq!(text(choose(net, Role::Router, |_| false)), "10.0.0.5 -");
        assert_eq!(text(choose(net, Role::Remote, |_| false)), "10.0.0.8 -");
    }

    #[test]
    fn ipv6_alone_works() {
        let net = prefixes(None, Some("fd00:66::/64"));
        assert_eq!(text(choose(net, Role::Server, |_| false)), "- fd00:66::1");
        assert_eq!(text(choose(net, Role::Remote, |_| false)), "- fd00:66::1e");
    }

    #[test]
    fn the_partner_of_an_address_has_the_same_number() {
        let net = prefixes(Some("10.66.0.0/16"), Some("fd00:66::/64"));
        assert_eq!(text(Some(net.partner("10.66.1.5".parse().unwrap()))), "10.66.1.5 fd00:66::105");
        assert_eq!(text(Some(net.partner("fd00:66::105".parse().unwrap()))), "10.66.1.5 fd00:66::105");
        assert_eq!(text(Some(net.partner("fd00:66::dead:beef".parse().unwrap()))), "- fd00:66::dead:beef");
    }

    proptest! {
        #[test]
        fn whatever_is_chosen_is_free_and_inside(
            length4 in 20u8..=32, length6 in 100u8..=128, has in 1u8..4, role in 0usize..4,
            taken in prop::collection::btree_set(0u32..4096, 0..200),
        ) {
            let net = Prefixes {
                four: (has & 1 != 0).then(|| Ipv4Net::new("10.66.0.0".parse().unwrap(), length4).unwrap()),
                six: (has & 2 != 0).then(|| Ipv6Net::new("fd00::".parse().unwrap(), length6).unwrap()),
            };
            let taken: BTreeSet<IpAddr> = taken.into_iter().flat_map(|n| {
                net.pair(n.into()).addresses()
            }).collect();
            match choose(net, Role::ALL[role], |address| taken.contains(&address)) {
                Some(pair) => {
                    prop_assert_eq!((pair.four.is_some(), pair.six.is_some()), (net.four.is_some(), net.six.is_some()));
                    for (address, inside) in [
                        (pair.four.map(IpAddr::V4), pair.four.is_none_or(|a| net.four.unwrap().contains(&a))),
                        (pair.six.map(IpAddr::V6), pair.six.is_none_or(|a| net.six.unwrap().contains(&a))),
                    ] {
                        prop_assert!(inside);
                        prop_assert!(address.is_none_or(|a| !taken.contains(&a)));
                    }
                }
                None => prop_assert!(net.size() <= taken.len() as u128),
            }
        }
    }
}
