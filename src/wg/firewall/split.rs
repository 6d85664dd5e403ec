//! Entries of very many sources, split into parts by the end of the source's address, which is looked up by hash.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::model::Cidr;

use super::ruleset::{ADDRESS, Set, pair};

/// How many parts there are: a power of two.
#[derive(Clone, Copy)]
pub(super) struct Split(u32);

/// A part's chain as the template writes it.
#[derive(Serialize)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

impl Split {
    /// In so many parts or a few more, but never more than an address's last 16 bits tell apart.
    pub(super) fn in_parts(parts: usize) -> Self {
        Self(u32::try_from(parts.next_power_of_two()).unwrap_or(1 << 16).min(1 << 16))
    }

    /// Returns the number of the part that a source is in.
    pub(super) fn part_of(self, source: &Cidr) -> u32 {
        let end = match source.net().addr() {
            IpAddr::V4(address) => u32::from(address),
            IpAddr::V6(address) => (u32::from(address.segments()[6]) << 16) | u32::from(address.segments()[7]),
        };
        end & (self.0 - 1)
    }

    /// Returns the bits of a source's address that say which part it is in, for IPv4 and IPv6.
    pub(super) fn masks(self) -> [String; 2] {
        [end(true, self.0 - 1), end(false, self.0 - 1)]
    }
}

/// Returns the maps that lead from the end of a source's address to the chain of its part, which is called `chain` and its
/// number. `sources` are all there are, with the number of the part that each is in.
pub(super) fn ways<'c>(map: &str, chain: &str, sources: impl Iterator<Item = (&'c Cidr, u32)>) -> [Set; 2] {
    let verdicts = ADDRESS.map(|of| if of == ADDRESS[0] { "ipv4_addr : verdict" } else { "ipv6_addr : verdict" });
    let ways: BTreeSet<(bool, u32)> = sources.map(|(source, part)| (!source.is_ipv4(), part)).collect();
    pair("map", map, verdicts, false, ways, |(six, part)| {
        let family = if six { Cidr::ALL6 } else { Cidr::ALL4 };
        (family, format!("{} : jump {}", end(!six, part), name(chain, part)))
    })
}

/// Returns the name of a part's chain.
pub(super) fn name(chain: &str, part: u32) -> String {
    format!("{chain}_{part}")
}

/// Writes a number as the end of an address.
fn end(ipv4: bool, number: u32) -> String {
    if ipv4 { Ipv4Addr::from(number).to_string() } else { Ipv6Addr::from(u128::from(number)).to_string() }
}
