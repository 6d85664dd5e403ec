//! The LANs that very many sources may reach, split into parts.
//!
//! A set of pairs in which one half is a prefix is searched entry by entry (the kernel's `nft_set_pipapo`), just as one of
//! grants is; see [`shares`](super::shares). What a whole LAN may reach stays in the common set.

use std::collections::BTreeMap;

use crate::model::Cidr;

use super::Rights;
use super::ruleset::{Set, is_single, selected};
use super::split::{Chain, Split, name, ways};

/// As many selections of single sources as are in the common set.
const COMMON: usize = 256;
/// About as many as are in one part beyond that.
const EACH: usize = 32;
/// What the chains of the parts are called.
const CHAIN: &str = "selected";

/// A source, and a LAN that it may reach.
type Selection = (Cidr, Cidr);

/// Who may reach which LANs: the common ones, and those in parts, by the end of the source's address.
pub(super) struct Selections<'r> {
    split: Split,
    common: Vec<&'r Selection>,
    parts: BTreeMap<u32, Vec<&'r Selection>>,
}

impl<'r> Selections<'r> {
    /// Splits what is selected, where it is very much.
    pub(super) fn of(rights: Rights<'r>) -> Self {
        let (single, mut common): (Vec<&Selection>, Vec<_>) =
            rights.selected.iter().partition(|(source, _)| is_single(source));
        let split = Split::in_parts(single.len() / EACH);
        let mut parts: BTreeMap<u32, Vec<&Selection>> = BTreeMap::new();
        if single.len() > COMMON {
            single.into_iter().for_each(|pair| parts.entry(split.part_of(&pair.0)).or_default().push(pair));
        } else {
            common = rights.selected.iter().collect();
        }
        Self { split, common, parts }
    }

    /// Returns the part of a source's address that says where its selections are, for IPv4 and IPv6; none while they are few.
    pub(super) fn masks(&self) -> Option<[String; 2]> {
        (!self.parts.is_empty()).then(|| self.split.masks())
    }

    /// Returns the set of the common ones; then the maps that lead to the parts, and the sets of each.
    pub(super) fn sets(&self) -> Vec<Set> {
        let mut sets: Vec<Set> = selected("selected", &self.common).into();
        if !self.parts.is_empty() {
            let sources = self.parts.iter().flat_map(|(part, pairs)| pairs.iter().map(move |pair| (&pair.0, *part)));
            sets.extend(ways("selections", CHAIN, sources));
            sets.extend(self.parts.iter().flat_map(|(part, pairs)| sets_of(*part, pairs)));
        }
        sets
    }

    /// Returns a chain for each part.
    pub(super) fn chains(&self) -> Vec<Chain> {
        let chain = |(part, pairs): (&u32, &Vec<&Selection>)| Chain {
            name: name(CHAIN, *part),
            lines: sets_of(*part, pairs).flat_map(|set| lines(&set.name)).collect(),
        };
        self.parts.iter().map(chain).collect()
    }
}

/// Returns the sets of a part that aren't empty.
fn sets_of(part: u32, pairs: &[&Selection]) -> impl Iterator<Item = Set> {
    let sets = selected(&format!("{}_lans", name(CHAIN, part)), pairs);
    sets.into_iter().filter(|set| !set.elements.is_empty())
}

/// Returns the rules that look into a set, for both directions of a flow.
fn lines(set: &str) -> [String; 2] {
    let ip = if set.ends_with('4') { "ip" } else { "ip6" };
    [("original", "saddr", "daddr"), ("reply", "daddr", "saddr")]
        .map(|(way, source, to)| format!("ct direction {way} {ip} {source} . {ip} {to} @{set} accept"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selections(devices: u16) -> Vec<Selection> {
        let pairs = |number: u16| {
            let [high, low] = number.to_be_bytes();
            [(format!("10.66.{high}.{low}/32"), "192.168.20.0/24"), (format!("fd66::{number:x}/128"), "fd0a::/64")]
        };
        let parsed = |(source, lan): (String, &str)| (source.parse().unwrap(), lan.parse().unwrap());
        (1..=devices).flat_map(|number| pairs(number).map(parsed)).collect()
    }

    fn rights<'r>(sources: &'r BTreeMap<Cidr, crate::model::Access>, selected: &'r [Selection]) -> Rights<'r> {
        Rights { sources, selected, granted: &[] }
    }

    #[test]
    fn few_are_in_one_set_and_of_many_each_is_in_the_part_its_source_leads_to() {
        let sources = BTreeMap::new();
        let few = selections(128);
        let all = Selections::of(rights(&sources, &few));
        assert_eq!((all.masks(), all.chains().len(), all.sets().len()), (None, 0, 2));
        assert_eq!(all.sets()[0].elements.len(), 128);

        let mut many = selections(400);
        many.push(("192.168.9.0/24".parse().unwrap(), many[0].1));
        let all = Selections::of(rights(&sources, &many));
        assert_eq!(all.masks(), Some(["0.0.0.31".to_owned(), "::1f".to_owned()]));
        let sets = all.sets();
        assert_eq!(sets[0].elements, ["192.168.9.0/24 . 192.168.20.0/24"], "a LAN's stay in the common set");
        assert_eq!((sets[2].elements.len(), sets[3].elements[31].as_str()), (32, "::1f : jump selected_31"));
        for pair in &many[..800] {
            let part = name(CHAIN, all.split.part_of(&pair.0));
            let begin = format!("{} . ", pair.0.net().addr());
            let holding: Vec<&str> = sets[4..]
                .iter()
                .filter(|set| set.elements.iter().any(|element| element.starts_with(&begin)))
                .map(|set| set.name.trim_end_matches(['4', '6']))
                .collect();
            assert_eq!(holding, [format!("{part}_lans")], "{pair:?}");
        }
        let chain = &all.chains()[3];
        assert_eq!(chain.name, "selected_3");
        insta::assert_snapshot!(chain.lines.join("\n"), @"
        ct direction original ip saddr . ip daddr @selected_3_lans4 accept
        ct direction reply ip daddr . ip saddr @selected_3_lans4 accept
        ct direction original ip6 saddr . ip6 daddr @selected_3_lans6 accept
        ct direction reply ip6 daddr . ip6 saddr @selected_3_lans6 accept
        ");
    }
}
