//! The LANs that sources with the level lan-only may reach: each list of them has a chain, which all its sources share.
//!
//! A source's level leads straight to its list, so a packet meets the LANs that its own source may reach and no others, however
//! many sources and lists there are. A chain's name follows from what is in its list: a further list renames none.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::model::{Access, Cidr};

use super::Rights;
use super::ruleset::{ADDRESS, Chain, Set, plain};

/// As many LANs of a list as have rules of their own; a longer list is a set. Few lists are: the kernel looks for a set by its
/// name among all, so that a table with twenty thousand of them takes a minute to load, and with as many chains seconds.
const FEW: usize = 8;

/// Which list of LANs each source may reach.
pub(super) struct Lists {
    /// The chain of each source that may reach a LAN.
    of: BTreeMap<Cidr, String>,
    /// The name of each list's chain.
    names: BTreeMap<Vec<Cidr>, String>,
}

impl Lists {
    /// Gathers what each source may reach.
    pub(super) fn of(rights: Rights<'_>) -> Self {
        let (mut of, mut names) = (BTreeMap::new(), BTreeMap::new());
        for selected in rights.selected.chunk_by(|(source, _), (other, _)| source == other) {
            let list: Vec<Cidr> = selected.iter().map(|(_, lan)| *lan).collect();
            let name = names.entry(list).or_insert_with_key(|list| name(list));
            of.insert(selected[0].0, name.clone());
        }
        Self { of, names }
    }

    /// Returns the chain that judges what a source sends.
    pub(super) fn chain_of(&self, source: &Cidr, access: Access) -> &str {
        let own = self.of.get(source).filter(|_| access == Access::LanOnly);
        let without = if access == Access::LanOnly { Access::VpnOnly } else { access };
        own.map_or(without.as_str(), String::as_str)
    }

    /// Returns the sets of the lists that are long.
    pub(super) fn sets(&self) -> impl Iterator<Item = Set> {
        self.names.iter().filter(|(list, _)| list.len() > FEW).map(|(list, name)| Set {
            keyword: "set",
            name: name.clone(),
            of: ADDRESS[usize::from(!list[0].is_ipv4())],
            interval: true,
            elements: list.iter().map(plain).collect(),
        })
    }

    /// Returns a chain for each list.
    pub(super) fn chains(&self) -> Vec<Chain> {
        self.names.iter().map(|(list, name)| Chain { name: name.clone(), lines: lines(list, name) }).collect()
    }
}

/// Returns the name of a list's chain, and of its set.
fn name(list: &[Cidr]) -> String {
    let text = list.iter().map(plain).collect::<Vec<_>>().join(" ");
    let hex = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("lans_{hex}")
}

/// Returns the rules of a list, for both directions of a flow. Its LANs are of one family: that of its sources.
fn lines(list: &[Cidr], name: &str) -> Vec<String> {
    let ip = if list[0].is_ipv4() { "ip" } else { "ip6" };
    let lans = if list.len() > FEW { vec![format!("@{name}")] } else { list.iter().map(plain).collect() };
    let ends = [("original", "daddr"), ("reply", "saddr")];
    let rules = ends
        .iter()
        .flat_map(|(way, end)| lans.iter().map(move |lan| format!("ct direction {way} {ip} {end} {lan} accept")));
    rules.chain(["goto vpn_only".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(pairs: &[(&str, &str)]) -> Vec<(Cidr, Cidr)> {
        let mut pairs: Vec<_> = pairs.iter().map(|(of, lan)| (of.parse().unwrap(), lan.parse().unwrap())).collect();
        pairs.sort_unstable();
        pairs
    }

    fn lists(selected: &[(Cidr, Cidr)]) -> Lists {
        Lists::of(Rights { sources: &BTreeMap::new(), selected, granted: &[] })
    }

    /// Three share a list, one of them a LAN; two have others.
    const PAIRS: [(&str, &str); 9] = [
        ("10.66.0.8/32", "192.168.10.0/24"),
        ("10.66.0.8/32", "192.168.20.7/32"),
        ("10.66.0.9/32", "192.168.20.0/24"),
        ("10.66.0.10/32", "192.168.10.0/24"),
        ("10.66.0.10/32", "192.168.20.7/32"),
        ("192.168.9.0/24", "192.168.10.0/24"),
        ("192.168.9.0/24", "192.168.20.7/32"),
        ("fd00:66::8/128", "fd00:10::/64"),
        ("fd00:66::9/128", "fd00:10::/64"),
    ];

    #[test]
    fn whoever_has_the_same_list_shares_its_chain() {
        let lists = lists(&selected(&PAIRS));
        let chain = |source: &str| lists.chain_of(&source.parse().unwrap(), Access::LanOnly);
        assert_eq!([chain("10.66.0.10/32"), chain("192.168.9.0/24")], [chain("10.66.0.8/32"); 2]);
        assert_eq!(chain("fd00:66::8/128"), chain("fd00:66::9/128"));
        let chains: Vec<String> =
            lists.chains().iter().map(|chain| format!("{}\n  {}", chain.name, chain.lines.join("\n  "))).collect();
        insta::assert_snapshot!(chains.join("\n"), @"
        lans_66bf3b2844d761cf
          ct direction original ip daddr 192.168.10.0/24 accept
          ct direction original ip daddr 192.168.20.7 accept
          ct direction reply ip saddr 192.168.10.0/24 accept
          ct direction reply ip saddr 192.168.20.7 accept
          goto vpn_only
        lans_55f591069d292118
          ct direction original ip daddr 192.168.20.0/24 accept
          ct direction reply ip saddr 192.168.20.0/24 accept
          goto vpn_only
        lans_5b88c0868ef72e53
          ct direction original ip6 daddr fd00:10::/64 accept
          ct direction reply ip6 saddr fd00:10::/64 accept
          goto vpn_only
        ");
        assert_eq!(lists.sets().count(), 0);
    }

    #[test]
    fn without_a_list_the_level_says_it() {
        let lists = lists(&selected(&PAIRS));
        let chain = |source: &str, access| lists.chain_of(&source.parse().unwrap(), access).to_owned();
        assert_eq!(chain("10.66.0.7/32", Access::LanOnly), "vpn_only");
        for access in [Access::Full, Access::VpnOnly, Access::Custom] {
            assert_eq!(chain("10.66.0.8/32", access), access.as_str());
        }
    }

    #[test]
    fn another_list_renames_none() {
        let names = |pairs| lists(&selected(pairs)).of;
        let (all, but_the_first) = (names(&PAIRS), names(&PAIRS[2..]));
        assert!(but_the_first.iter().all(|(source, name)| all[source] == *name));
        assert_eq!((all.len(), but_the_first.len()), (6, 5));
    }

    #[test]
    fn a_long_list_is_a_set() {
        let lans: Vec<String> = (0..=FEW).map(|lan| format!("192.168.{lan}.0/24")).collect();
        let pairs = |lans: &[String]| {
            let pairs: Vec<_> = lans.iter().map(|lan| ("10.66.0.8/32", lan.as_str())).collect();
            lists(&selected(&pairs))
        };
        let (few, many) = (pairs(&lans[..FEW]), pairs(&lans));
        assert_eq!((few.sets().count(), few.chains()[0].lines.len()), (0, 2 * FEW + 1));
        let sets: Vec<Set> = many.sets().collect();
        assert_eq!((sets.len(), sets[0].of, &sets[0].elements), (1, "ipv4_addr", &lans));
        assert_eq!(sets[0].name, many.chains()[0].name);
        insta::assert_snapshot!(many.chains()[0].lines.join("\n"), @"
        ct direction original ip daddr @lans_6c69f7caf137ec10 accept
        ct direction reply ip saddr @lans_6c69f7caf137ec10 accept
        goto vpn_only
        ");
    }
}
