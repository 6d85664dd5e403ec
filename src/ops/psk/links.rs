//! The links of a network with what is wanted of each, and keys for those that are new.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::db::Tx;
use crate::model::{AllPskRules, InterfaceId, LinkId, Node, PskPolicy, PskWanted, Topology};
use crate::ops::Error;
use crate::ops::network::change::new_preshared_key;
use crate::wg::compile;

/// A link between two enabled nodes, and what is wanted of it.
pub(super) struct LinkOf<'a> {
    pub(super) id: LinkId,
    /// The nodes at its ends, by name.
    pub(super) ends: [&'a Node; 2],
    pub(super) wanted: PskWanted,
}

impl LinkOf<'_> {
    /// Says between whom it is: `hub – phone`.
    pub(super) fn name(&self) -> String {
        format!("{} – {}", self.ends[0].name, self.ends[1].name)
    }

    /// Returns the end that can't be given a preshared key: of it only the public key is known.
    pub(super) fn dumb_end(&self) -> Option<&Node> {
        self.ends.into_iter().find(|node| !carries(node))
    }
}

/// Whether a node can be given a preshared key: by a deploy, or in its file. Of one that is known by its public key alone
/// somebody else has the file.
pub(super) fn carries(node: &Node) -> bool {
    node.host.is_some() || !node.provisional
}

/// Returns the links between enabled nodes, by the names of their ends.
pub(super) fn all<'a>(topology: &'a Topology, rules: &AllPskRules) -> Vec<LinkOf<'a>> {
    let owners: BTreeMap<InterfaceId, &Node> =
        topology.nodes.iter().flat_map(|node| node.interfaces.iter().map(move |own| (own.id, node))).collect();
    let ids: BTreeSet<LinkId> = compile::links(topology).into_iter().collect();
    let mut links: Vec<LinkOf<'_>> = ids
        .into_iter()
        .filter_map(|id| {
            let (low, high) = id.ends();
            let mut ends = [*owners.get(&low)?, *owners.get(&high)?];
            ends.sort_by(|a, b| a.name.cmp(&b.name));
            Some(LinkOf { id, ends, wanted: PskWanted::of(topology, rules, ends) })
        })
        .collect();
    links.sort_by(|a, b| (&a.ends[0].name, &a.ends[1].name, a.id).cmp(&(&b.ends[0].name, &b.ends[1].name, b.id)));
    links
}

/// Gives every link that is new the preshared key that is wanted of it.
///
/// # Errors
/// [`Error::RefusedWithRemedy`] when one is demanded of a link of which an end can't be given any, and it wasn't so before.
pub(in crate::ops) fn after_change(
    tx: &Tx<'_>,
    (before, rules_before): (&Topology, &AllPskRules),
    after: &Topology,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let rules = tx.psk_rules()?;
    let have: BTreeSet<LinkId> = tx.preshared_links()?.into_iter().collect();
    let old: BTreeMap<LinkId, PskPolicy> =
        all(before, rules_before).into_iter().map(|link| (link.id, link.wanted.mode)).collect();
    let lacking = all(after, &rules);
    let lacking: Vec<LinkOf<'_>> = lacking.into_iter().filter(|link| !have.contains(&link.id)).collect();
    refuse(lacking.iter().filter(|link| !old.get(&link.id).is_some_and(|mode| mode.demands())))?;
    for link in lacking.iter().filter(|link| !old.contains_key(&link.id)) {
        if link.wanted.mode != PskPolicy::None && link.dumb_end().is_none() {
            tx.set_psk(link.id, &new_preshared_key()?, now)?;
        }
    }
    Ok(())
}

/// So many links are named before the rest is counted.
const NAMED: usize = 5;

/// Refuses links of which a preshared key is demanded and an end can't be given any.
fn refuse<'a>(links: impl Iterator<Item = &'a LinkOf<'a>>) -> Result<(), Error> {
    let demanded = links.filter(|link| link.wanted.mode.demands());
    let dumb: Vec<(&LinkOf<'_>, &Node)> = demanded.filter_map(|link| Some((link, link.dumb_end()?))).collect();
    let Some((first, end)) = dumb.first() else { return Ok(()) };
    let mut names: Vec<String> = dumb.iter().take(NAMED).map(|(link, _)| format!("`{}`", link.name())).collect();
    names.extend(dumb.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more")));
    let ends: BTreeSet<String> = dumb.iter().take(NAMED).map(|(_, end)| format!("`{}`", end.name)).collect();
    let have = if dumb.len() == 1 { "the link" } else { "the links" };
    Err(Error::RefusedWithRemedy {
        message: format!(
            "the policy `{}` demands a preshared key, and {have} {} can't carry one: of {} only the public key is known, \
             and somebody else has the file",
            first.wanted.mode,
            names.join(", "),
            ends.into_iter().collect::<Vec<_>>().join(", ")
        ),
        hint: format!(
            "`wg-friend psk policy --node {0} optional` lets its links have none; `wg-friend rotate {0}` gives it a key and \
             a file of yours, in which there is one",
            end.name
        ),
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::super::status::{Due, due};
    use super::*;
    use crate::model::{PskRules, PskScope, PskTrigger};
    use crate::wg::compile::fixture::Fixture;

    fn mode(mode: PskPolicy) -> PskRules {
        PskRules { mode: Some(mode), ..PskRules::default() }
    }

    fn any_mode() -> impl Strategy<Value = Option<PskPolicy>> {
        prop::option::of(prop::sample::select(PskPolicy::ALL))
    }

    proptest! {
        #[test]
        fn the_nearest_word_counts_and_of_equals_the_strictest(
            network in prop::sample::select(PskPolicy::ALL), hub in any_mode(), alice in any_mode(), group in any_mode(),
        ) {
            let mut fixture = Fixture::everything();
            fixture.topology.network.psk = network;
            let (hub_id, alice_id) = (fixture.node("hub").id, fixture.node("alice").id);
            let id = crate::model::GroupId(7);
            fixture.topology.groups = vec![crate::model::Group {
                id, name: "staff".parse().unwrap(), note: String::new(), members: [alice_id].into(), grants: Vec::new(),
                exit_rules: Vec::new(),
            }];
            let scopes = [(PskScope::Node(hub_id), hub), (PskScope::Node(alice_id), alice), (PskScope::Group(id), group)];
            let rules: AllPskRules = scopes.into_iter().filter_map(|(of, said)| Some((of, mode(said?)))).collect();
            let links = all(&fixture.topology, &rules);
            let link = links.iter().find(|link| link.name() == "alice – hub").unwrap();
            let strictest = hub.into_iter().chain(alice).max_by_key(|mode| mode.strictness());
            prop_assert_eq!(link.wanted.mode, strictest.or(group).unwrap_or(network));
        }

        #[test]
        fn a_key_is_due_once_it_is_too_old_and_told_of_before(
            every in 1_u16..400, notice in 0_u16..400, age in 0_i64..800,
        ) {
            let mut fixture = Fixture::everything();
            fixture.topology.network.psk = PskPolicy::Required;
            let on = Some([PskTrigger::TimeBased].into());
            let said = PskRules { mode: None, every_days: Some(every), notice_days: Some(notice), on };
            let links = all(&fixture.topology, &[(PskScope::Network, said)].into_iter().collect());
            let made = DateTime::UNIX_EPOCH;
            let found = due(&links[0], Some(made), false, made + TimeDelta::days(age));
            let expected = match age {
                age if age >= i64::from(every) => Some(Due::Overdue),
                age if age >= i64::from(every) - i64::from(notice) => Some(Due::Soon),
                _ => None,
            };
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_demanded_and_missing_is_due_and_a_shared_key_only_where_each_link_is_to_have_its_own() {
        let mut fixture = Fixture::everything();
        let now = DateTime::UNIX_EPOCH;
        let mut judged = |mode: PskPolicy, dumb: bool, has: bool, shared: bool| {
            fixture.topology.network.psk = mode;
            fixture.node("alice").provisional = dumb;
            let links = all(&fixture.topology, &AllPskRules::new());
            let link = links.iter().find(|link| link.name() == "alice – hub").unwrap();
            due(link, has.then_some(now), shared, now)
        };
        assert_eq!(judged(PskPolicy::None, false, false, false), None);
        assert_eq!(judged(PskPolicy::Optional, true, false, false), None);
        assert_eq!(judged(PskPolicy::Required, false, false, false), Some(Due::Missing));
        assert_eq!(judged(PskPolicy::Required, true, false, false), Some(Due::CannotCarry));
        assert_eq!(judged(PskPolicy::Required, false, true, true), None);
        assert_eq!(judged(PskPolicy::Unique, false, true, true), Some(Due::Shared));
    }

    #[test]
    fn a_link_that_cannot_carry_a_demanded_key_is_refused_with_both_ends_named() {
        let mut fixture = Fixture::everything();
        fixture.topology.network.psk = PskPolicy::Required;
        fixture.node("alice").provisional = true;
        let links = all(&fixture.topology, &AllPskRules::new());
        let error = refuse(links.iter()).unwrap_err();
        assert!(error.to_string().contains("`alice – hub`"), "{error}");
        assert!(error.to_string().contains("of `alice` only the public key is known"), "{error}");
        assert!(error.hint().unwrap().contains("psk policy --node alice optional"));
        fixture.topology.network.psk = PskPolicy::Optional;
        refuse(all(&fixture.topology, &AllPskRules::new()).iter()).unwrap();
    }
}
