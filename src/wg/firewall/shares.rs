//! Grants of very many sources, in shares.
//!
//! A set of addresses, ports and ranges is searched entry by entry, if quickly (the kernel's `nft_set_pipapo`): with the
//! grants of thousands of devices in it, each packet that it decides costs half as much again. So beyond some hundreds they
//! are split into shares of a few dozen by the end of the source's address, which is looked up by hash. So are grants that end
//! at many different times, each of which is a look of its own. What is granted to a whole LAN stays in the common sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};

use crate::model::Cidr;

use super::ruleset::{Chain, Set, VERDICTS, granted_until, is_single, pair};
use super::{Granted, Rights};

/// As many grants of single sources as are in common sets.
const COMMON: usize = 256;
/// About as many as are in one share beyond that.
const EACH: usize = 32;
/// As many different ends as grants in common sets have.
const COMMON_ENDS: usize = 8;
/// About as many as those in one share have beyond that.
const ENDS_EACH: usize = 4;

/// The grants of single sources by the end of their address; none while they are few.
pub(super) struct Shares<'r> {
    /// How many there may be: a power of two.
    count: u32,
    parts: BTreeMap<u32, Vec<&'r Granted>>,
}

impl<'r> Shares<'r> {
    /// Splits what is granted.
    pub(super) fn of(rights: Rights<'r>) -> Self {
        let single = || rights.granted.iter().filter(|grant| is_single(&grant.source));
        let grants = single().count();
        let ends = single().filter_map(|grant| grant.until).collect::<BTreeSet<_>>().len();
        // Never more than an address's last 16 bits tell apart.
        let count = (grants / EACH).max(ends / ENDS_EACH).next_power_of_two();
        let count = u32::try_from(count).unwrap_or(1 << 16).min(1 << 16);
        let mut parts: BTreeMap<u32, Vec<&Granted>> = BTreeMap::new();
        if grants > COMMON || ends > COMMON_ENDS {
            single().for_each(|grant| parts.entry(share_of(&grant.source, count)).or_default().push(grant));
        }
        Self { count, parts }
    }

    /// Returns whether the grants of a source are in a share.
    pub(super) fn have(&self, source: &Cidr) -> bool {
        !self.parts.is_empty() && is_single(source)
    }

    /// Returns the part of a source's address that says which share it is in, for IPv4 and IPv6; none without shares.
    pub(super) fn masks(&self) -> Option<[String; 2]> {
        (!self.parts.is_empty()).then(|| [true, false].map(|ipv4| end(ipv4, self.count - 1)))
    }

    /// Returns the maps that lead to the shares, and the sets of each.
    pub(super) fn sets(&self) -> Vec<Set> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let sources =
            self.parts.iter().flat_map(|(number, grants)| grants.iter().map(move |grant| (&grant.source, *number)));
        let ways: BTreeSet<(bool, u32)> = sources.map(|(source, number)| (source.is_ipv4(), number)).collect();
        let mut sets: Vec<Set> = pair("map", "shares", VERDICTS, false, ways, |(ipv4, number)| {
            let family = if ipv4 { Cidr::ALL4 } else { Cidr::ALL6 };
            (family, format!("{} : jump {}", end(ipv4, number), name(number)))
        })
        .into();
        for (number, grants) in &self.parts {
            sets.extend(sets_of(*number, grants).into_iter().flat_map(|(_, of)| of));
        }
        sets
    }

    /// Returns a chain for each share.
    pub(super) fn chains(&self) -> Vec<Chain> {
        let chain = |(number, grants): (&u32, &Vec<&Granted>)| {
            let sets = sets_of(*number, grants).into_iter();
            let lines = sets.flat_map(|(until, sets)| sets.into_iter().flat_map(move |set| lines(until, &set.name)));
            Chain { name: name(*number), lines: lines.collect() }
        };
        self.parts.iter().map(chain).collect()
    }
}

/// Returns the number of the share that a source is in, out of so many.
fn share_of(source: &Cidr, count: u32) -> u32 {
    let end = match source.net().addr() {
        IpAddr::V4(address) => u32::from(address),
        IpAddr::V6(address) => (u32::from(address.segments()[6]) << 16) | u32::from(address.segments()[7]),
    };
    end & (count - 1)
}

/// Returns the name of a share's chain.
fn name(number: u32) -> String {
    format!("share_{number}")
}

/// Writes a number as the end of an address.
fn end(ipv4: bool, number: u32) -> String {
    if ipv4 { Ipv4Addr::from(number).to_string() } else { Ipv6Addr::from(u128::from(number)).to_string() }
}

/// Returns the sets of a share that aren't empty, by when their grants end.
fn sets_of(number: u32, grants: &[&Granted]) -> Vec<(Option<DateTime<Utc>>, Vec<Set>)> {
    let ends: BTreeSet<Option<DateTime<Utc>>> = grants.iter().map(|grant| grant.until).collect();
    let of = |until: Option<DateTime<Utc>>| {
        let own = name(number);
        let name = until.map_or_else(|| own.clone(), |end| format!("{own}_until_{}", end.timestamp()));
        let sets = granted_until(&name, grants.iter().copied(), until);
        (until, sets.into_iter().filter(|set| !set.elements.is_empty()).collect())
    };
    ends.into_iter().map(of).collect()
}

/// Returns the rules that look into a set, for both directions of a flow; the end of its name says what it holds.
fn lines(until: Option<DateTime<Utc>>, set: &str) -> [String; 2] {
    let when = until.map_or_else(String::new, |end| format!("meta time < {} ", end.timestamp()));
    let (ip, icmp) = if set.ends_with('4') { ("ip", "icmp") } else { ("ip6", "ipv6-icmp") };
    let kind = set.trim_end_matches(['4', '6']);
    [("original", "saddr", "daddr", "dport"), ("reply", "daddr", "saddr", "sport")].map(|(way, source, to, port)| {
        let (before, after) = if kind.ends_with("_ports") {
            (String::new(), format!(" . meta l4proto . th {port}"))
        } else if kind.ends_with("_icmp") {
            (format!("meta l4proto {icmp} "), String::new())
        } else {
            (String::new(), String::new())
        };
        format!("{when}ct direction {way} {before}{ip} {source} . {ip} {to}{after} @{set} accept")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many devices with two grants each, one of which ends.
    fn granted(devices: u8) -> Vec<Granted> {
        let of = |number: u8| {
            let grant = |source: String, destination: &str, protocol, ends| Granted {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                protocol,
                ports: None,
                until: DateTime::from_timestamp(ends, 0).filter(|_| ends > 0),
            };
            [
                grant(format!("10.66.1.{number}/32"), "192.168.20.0/24", crate::model::Protocol::Tcp, 0),
                grant(format!("fd66::{number:x}/128"), "fd0a::/64", crate::model::Protocol::Icmp, 4_000_000_000),
            ]
        };
        (0..devices).flat_map(of).collect()
    }

    #[test]
    fn few_grants_have_no_shares_and_of_many_each_is_in_the_one_its_source_leads_to() {
        let sources = BTreeMap::new();
        let rights = |granted| Rights { sources: &sources, selected: &[], granted };
        let few = granted(128);
        assert!(Shares::of(rights(&few)).masks().is_none() && Shares::of(rights(&few)).sets().is_empty());

        let mut many = granted(200);
        many.push(Granted { source: "192.168.9.0/24".parse().unwrap(), ..many[0] });
        let shares = Shares::of(rights(&many));
        assert_eq!(shares.masks(), Some(["0.0.0.15".to_owned(), "::f".to_owned()]));
        assert!(!shares.have(&many[400].source), "a LAN's grants stay in the common sets");
        let sets = shares.sets();
        assert_eq!((sets[0].elements.len(), sets[1].elements[15].as_str()), (16, "::f : jump share_15"));
        for grant in &many[..400] {
            let end = format!("{}", plain_end(&grant.source) % 16);
            let holding: Vec<&str> = sets[2..]
                .iter()
                .filter(|set| set.elements.iter().any(|e| e.starts_with(&format!("{} . ", grant.source.net().addr()))))
                .map(|set| set.name.as_str())
                .collect();
            assert!(holding.len() == 1 && holding[0].starts_with(&format!("share_{end}_")), "{grant:?}: {holding:?}");
        }
        let chain = &shares.chains()[3];
        assert_eq!(chain.name, "share_3");
        insta::assert_snapshot!(chain.lines.join("\n"), @"
        ct direction original ip saddr . ip daddr . meta l4proto . th dport @share_3_ports4 accept
        ct direction reply ip daddr . ip saddr . meta l4proto . th sport @share_3_ports4 accept
        meta time < 4000000000 ct direction original meta l4proto ipv6-icmp ip6 saddr . ip6 daddr @share_3_until_4000000000_icmp6 accept
        meta time < 4000000000 ct direction reply meta l4proto ipv6-icmp ip6 daddr . ip6 saddr @share_3_until_4000000000_icmp6 accept
        ");
    }

    #[test]
    fn grants_that_end_at_many_times_are_in_shares_with_few_ends_each() {
        let sources = BTreeMap::new();
        let mut granted = granted(40);
        for (at, grant) in (0..).zip(&mut granted) {
            grant.until = DateTime::from_timestamp(4_000_000_000 + at, 0);
        }
        let rights = |granted| Rights { sources: &sources, selected: &[], granted };
        assert!(Shares::of(rights(&granted[..COMMON_ENDS])).masks().is_none());
        let shares = Shares::of(rights(&granted));
        assert!(granted.iter().all(|grant| shares.have(&grant.source)));
        for chain in shares.chains() {
            let ends: BTreeSet<&str> = chain.lines.iter().filter_map(|line| line.split(' ').nth(3)).collect();
            assert!(ends.len() <= 2 * ENDS_EACH, "{:?}", chain.lines);
        }
    }

    fn plain_end(source: &Cidr) -> u8 {
        match source.net().addr() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        }
    }
}
