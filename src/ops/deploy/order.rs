//! Which host goes before which. Pure.
//!
//! A host that gets another key, another preshared key or a new interface waits for the hosts that have to learn of it:
//! whoever switched first would be a stranger to its peers, and couldn't show that it still reaches them. Where hosts
//! wait for each other, as in a network's first deploy, the one that more peers depend on goes first: a server before
//! its routers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Name, PublicKey};
use crate::wg::{InterfaceConfig, PeerConfig};

use super::change::{Change, Kind};
use super::passing::{self, Party};
use super::plan::HostPlan;

/// What is to be known of a host to find its place.
pub(super) struct Member<'a> {
    /// Which host.
    pub(super) name: &'a Name,
    /// What it should run.
    pub(super) desired: &'a [InterfaceConfig],
    /// What it ran when a deploy was last confirmed.
    pub(super) deployed: &'a [InterfaceConfig],
    /// What differs; `None` when it gave no answer.
    pub(super) changes: Option<&'a [Change]>,
}

impl<'a> From<&'a HostPlan> for Member<'a> {
    fn from(plan: &'a HostPlan) -> Self {
        Self {
            name: &plan.host.name,
            desired: &plan.desired.interfaces,
            deployed: plan.deployed.as_ref().map_or(&[], |d| &d.version.interfaces),
            changes: plan.seen.as_ref().ok().map(|seen| seen.changes.as_slice()),
        }
    }
}

/// A host's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Its place in what was given.
    pub(super) member: usize,
    /// The turns that it waits for, all of them earlier ones.
    pub(super) after: BTreeSet<usize>,
    /// How many peers it has.
    peers: usize,
    /// Whether it has something to lose with those that it waits for: an interface that only comes up hasn't.
    loses: bool,
    /// The turns without which it may not be changed at all, see [`passing`]: earlier ones.
    pub(super) only_after: BTreeSet<usize>,
    /// Which of the hosts that have no turn would have to be changed before it.
    pub(super) waits_for_absent: Option<usize>,
}

#[cfg(test)]
impl Turn {
    pub(super) fn new(member: usize, after: &[usize], peers: usize) -> Self {
        let after = after.iter().copied().collect();
        Self { member, after, peers, loses: true, only_after: BTreeSet::new(), waits_for_absent: None }
    }
}

/// Puts hosts in an order in which each comes after those that it waits for.
///
/// `absent` are the hosts that have no turn: they stay as they are.
pub(super) fn order(members: &[Member<'_>], absent: &[Party<'_>]) -> Vec<Turn> {
    let ranks: Vec<Rank<'_>> = members.iter().map(rank).collect();
    let (mut waits, loses) = learners(members);
    let parties = members.iter().map(|member| Party { desired: member.desired, deployed: member.deployed });
    let passing = passing::waits(&parties.chain(absent.iter().copied()).collect::<Vec<_>>());
    let among = |at: usize| passing[at].iter().copied().filter(|other| *other < members.len());
    for (at, after) in waits.iter_mut().enumerate() {
        after.extend(among(at));
    }
    let cycles = components(&waits);
    for (member, after) in waits.iter_mut().enumerate() {
        after.retain(|other| cycles[member] != cycles[*other] || ranks[*other] < ranks[member]);
    }
    let mut turns = in_order(&waits, &ranks, &loses);
    let places: BTreeMap<usize, usize> = turns.iter().enumerate().map(|(place, turn)| (turn.member, place)).collect();
    for turn in &mut turns {
        turn.only_after =
            among(turn.member).map(|other| places[&other]).filter(|other| turn.after.contains(other)).collect();
        turn.waits_for_absent = passing[turn.member].iter().find_map(|other| other.checked_sub(members.len()));
    }
    turns
}

/// Returns the turn because of which this one is held back, when some of those that it waited for are not `good`.
///
/// A host whose hub doesn't know it any more is cut off, so it keeps what it has. Otherwise the majority decides: those
/// that have learned have also forgotten, and only reach it once it follows. One that has nothing to lose goes on.
pub(super) fn holds_back(turns: &[Turn], at: usize, good: impl Fn(usize) -> bool) -> Option<usize> {
    let (learned, failed): (Vec<usize>, Vec<usize>) = turns[at].after.iter().partition(|other| good(**other));
    let hub = failed.iter().copied().max_by_key(|other| (turns[*other].peers, Reverse(*other)))?;
    let outvoted = turns[at].loses && failed.len() >= learned.len();
    (turns[hub].peers > turns[at].peers || outvoted).then_some(hub)
}

/// The hosts with more peers first; among equals those that more peers dial, then by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a>(Reverse<usize>, Reverse<usize>, &'a Name);

fn rank<'a>(member: &Member<'a>) -> Rank<'a> {
    let peers = || member.desired.iter().flat_map(|interface| &interface.peers);
    Rank(Reverse(peers().count()), Reverse(peers().filter(|peer| peer.endpoint.is_none()).count()), member.name)
}

/// Returns for each host those that have to learn of what it switches, and whether it can lose them by that.
fn learners(members: &[Member<'_>]) -> (Vec<BTreeSet<usize>>, Vec<bool>) {
    let mut owners: BTreeMap<PublicKey, (usize, &InterfaceConfig)> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        owners.extend(member.desired.iter().map(|interface| (interface.public_key, (at, interface))));
    }
    let mut waits = vec![BTreeSet::new(); members.len()];
    let mut loses = vec![false; members.len()];
    for (at, member) in members.iter().enumerate() {
        for interface in member.desired {
            for peer in &interface.peers {
                let Some(&(owner, far)) = owners.get(&peer.public_key).filter(|(owner, _)| *owner != at) else {
                    continue;
                };
                let Some(switch) = switches(&members[owner], far, interface) else { continue };
                if learns(member, interface, peer, switch) {
                    waits[owner].insert(at);
                    loses[owner] |= switch != Switch::Up;
                }
            }
        }
    }
    (waits, loses)
}

/// What makes a host a stranger to a peer that hasn't learned of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    /// Its interface comes up.
    Up,
    /// It gets another key.
    Key,
    /// It gets another preshared key for that peer.
    Preshared,
}

/// Returns what a host switches on its interface that the peer `at` the other end has to know of.
fn switches(owner: &Member<'_>, own: &InterfaceConfig, at: &InterfaceConfig) -> Option<Switch> {
    let changes = || owner.changes.unwrap_or_default().iter().filter(|c| c.interface.as_ref() == Some(&own.name));
    if changes().any(|c| matches!(c.kind, Kind::Restart | Kind::PrivateKey)) {
        return Some(Switch::Key);
    }
    if changes().any(|c| c.kind == Kind::InterfaceMissing) {
        return Some(Switch::Up);
    }
    let peer = at.as_peer_of(own)?;
    let rekeyed = changes().any(|c| c.kind == Kind::PresharedKey && c.subject == peer.title());
    rekeyed.then_some(Switch::Preshared)
}

/// Whether a host has to be told of what a peer of its interface switches.
fn learns(member: &Member<'_>, interface: &InterfaceConfig, peer: &PeerConfig, switch: Switch) -> bool {
    let Some(changes) = member.changes else {
        // Whoever gives no answer is as it was left. Which preshared keys it has isn't looked up for that; and where
        // nothing was left there is nobody to be lost.
        let known = member.deployed.iter().flat_map(|i| &i.peers).any(|known| known.public_key == peer.public_key);
        return !member.deployed.is_empty() && (!known || switch == Switch::Preshared);
    };
    changes.iter().filter(|change| change.interface.as_ref() == Some(&interface.name)).any(|change| match change.kind {
        Kind::InterfaceMissing | Kind::Restart => true,
        Kind::PeerMissing | Kind::PeerKey | Kind::AllowedIps | Kind::PresharedKey => change.subject == peer.title(),
        _ => false,
    })
}

/// Numbers the strongly connected components of a graph (Kosaraju): two hosts have the same number when each waits for
/// the other, be it by way of others.
fn components(waits: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut reversed = vec![BTreeSet::new(); waits.len()];
    for (from, to) in waits.iter().enumerate().flat_map(|(from, to)| to.iter().map(move |to| (from, *to))) {
        reversed[to].insert(from);
    }
    let mut seen = vec![false; waits.len()];
    let mut finished = Vec::with_capacity(waits.len());
    for start in 0..waits.len() {
        walk(start, waits, &mut seen, &mut finished);
    }
    let mut seen = vec![false; waits.len()];
    let mut numbers = vec![0; waits.len()];
    for (number, start) in finished.into_iter().rev().enumerate() {
        let mut members = Vec::new();
        walk(start, &reversed, &mut seen, &mut members);
        members.into_iter().for_each(|member| numbers[member] = number);
    }
    numbers
}

/// Appends what can be reached from `start` and wasn't seen, each after all that is reached from it.
fn walk(start: usize, edges: &[BTreeSet<usize>], seen: &mut [bool], finished: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, edges[start].iter())];
    while let Some((at, left)) = path.last_mut() {
        match left.next() {
            Some(&next) if !std::mem::replace(&mut seen[next], true) => path.push((next, edges[next].iter())),
            Some(_) => {}
            None => {
                finished.push(*at);
                path.pop();
            }
        }
    }
}

/// Sorts by rank, each after those that it waits for. There are no cycles left.
fn in_order(waits: &[BTreeSet<usize>], ranks: &[Rank<'_>], loses: &[bool]) -> Vec<Turn> {
    let mut left: Vec<usize> = waits.iter().map(BTreeSet::len).collect();
    let mut held = vec![Vec::new(); waits.len()];
    for (member, after) in waits.iter().enumerate() {
        after.iter().for_each(|other| held[*other].push(member));
    }
    let mut ready: BTreeSet<(&Rank<'_>, usize)> =
        (0..waits.len()).filter(|at| left[*at] == 0).map(|at| (&ranks[at], at)).collect();
    let mut places = vec![0; waits.len()];
    let mut turns = Vec::with_capacity(waits.len());
    while let Some((rank, member)) = ready.pop_first() {
        places[member] = turns.len();
        let after = waits[member].iter().map(|other| places[*other]).collect();
        let (only_after, waits_for_absent) = (BTreeSet::new(), None);
        turns.push(Turn { member, after, peers: rank.0.0, loses: loses[member], only_after, waits_for_absent });
        for next in &held[member] {
            left[*next] -= 1;
            if left[*next] == 0 {
                ready.insert((&ranks[*next], *next));
            }
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::change::Cause;
    use super::*;
    use crate::wg::NodeConfig;
    use crate::wg::compile::{compile, fixture::Fixture};

    fn compiled() -> Vec<NodeConfig> {
        compile(&Fixture::everything().topology).unwrap()
    }

    fn change(kind: Kind, subject: &str) -> Change {
        Change {
            interface: Some("wg0".parse().unwrap()),
            kind,
            subject: subject.to_owned(),
            before: None,
            after: None,
            severity: kind.severity(),
            disruption: kind.disruption(),
            cause: Cause::Pending,
            acknowledged: None,
        }
    }

    /// Each node a host of its own, those with `changes` differing and the others as they should be.
    fn members<'a>(nodes: &'a [NodeConfig], changes: &'a BTreeMap<&str, Option<Vec<Change>>>) -> Vec<Member<'a>> {
        let member = |node: &'a NodeConfig| Member {
            name: &node.name,
            desired: &node.interfaces,
            deployed: &[],
            changes: changes.get(node.name.as_str()).map_or(Some(&[][..]), |changes| changes.as_deref()),
        };
        nodes.iter().map(member).collect()
    }

    /// The order in words: `office after hub`.
    fn words(members: &[Member<'_>]) -> Vec<String> {
        let turns = order(members, &[]);
        let name = |turn: usize| members[turns[turn].member].name.to_string();
        let turn = |at: usize| match turns[at].after.iter().map(|other| name(*other)).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => name(at),
            others => format!("{} after {others}", name(at)),
        };
        (0..turns.len()).map(turn).collect()
    }

    /// Those that wait, or are waited for.
    fn waits(changes: &[(&'static str, &[(Kind, &str)])]) -> Vec<String> {
        let list = |all: &[(Kind, &str)]| Some(all.iter().map(|(kind, subject)| change(*kind, subject)).collect());
        let changes = changes.iter().map(|(host, all)| (*host, list(all))).collect();
        let nodes = compiled();
        words(&members(&nodes, &changes)).into_iter().filter(|line| line.contains(" after ")).collect()
    }

    #[test]
    fn a_server_learns_of_a_new_key_before_the_router_gets_it() {
        let hub: &[(Kind, &str)] = &[(Kind::PeerMissing, "office"), (Kind::PeerExtra, "office")];
        assert_eq!(waits(&[("hub", hub), ("office", &[(Kind::PrivateKey, "")])]), ["office after hub"]);
    }

    #[test]
    fn routers_learn_of_a_servers_new_key_before_the_server_gets_it() {
        let learns: &[(Kind, &str)] = &[(Kind::PeerMissing, "hub")];
        let found = waits(&[("hub", &[(Kind::PrivateKey, "")]), ("office", learns), ("depot", learns)]);
        assert_eq!(found, ["hub after depot, office"]);
    }

    #[test]
    fn of_two_that_wait_for_each_other_the_one_with_more_peers_goes_first() {
        let psk = |peer| [(Kind::PresharedKey, peer)];
        assert_eq!(waits(&[("hub", &psk("office")), ("office", &psk("hub"))]), ["office after hub"]);
        let new: &[(Kind, &str)] = &[(Kind::InterfaceMissing, "")];
        assert_eq!(waits(&[("hub", new), ("office", new), ("alice", new)]), ["alice after hub", "office after hub"]);
    }

    #[test]
    fn who_learns_nothing_and_who_switches_nothing_waits_for_nobody() {
        let other: &[(Kind, &str)] = &[(Kind::Mtu, ""), (Kind::AllowedIps, "depot"), (Kind::Firewall, "")];
        assert_eq!(waits(&[("hub", other), ("office", &[(Kind::PrivateKey, "")])]), Vec::<String>::new());
        assert_eq!(waits(&[("hub", &[(Kind::AllowedIps, "office")]), ("office", other)]), Vec::<String>::new());
    }

    #[test]
    fn a_host_that_gives_no_answer_counts_as_it_was_left() {
        let nodes = compiled();
        let changes = BTreeMap::from([("hub", None), ("office", Some(vec![change(Kind::PrivateKey, "")]))]);
        let mut members = members(&nodes, &changes);
        let after = |members: &[Member<'_>]| {
            let lines = words(members);
            lines.into_iter().filter(|line| line.contains(" after ")).collect::<Vec<_>>()
        };
        assert_eq!(after(&members), Vec::<String>::new(), "nothing was ever deployed to it");
        let hub = nodes.iter().position(|node| node.name.as_str() == "hub").unwrap();
        let mut old = nodes[hub].interfaces.clone();
        old[0].peers.retain(|peer| peer.name.as_str() != "office");
        members[hub].deployed = &old;
        assert_eq!(after(&members), ["office after hub"], "it knows another key or none");
        members[hub].deployed = &nodes[hub].interfaces;
        assert_eq!(after(&members), Vec::<String>::new(), "it has that key already");
        let preshared = [change(Kind::PresharedKey, "hub")];
        let office = nodes.iter().position(|node| node.name.as_str() == "office").unwrap();
        members[office].changes = Some(&preshared);
        assert_eq!(after(&members), ["office after hub"], "which preshared key it has, nobody knows");
    }

    fn turn(peers: usize, after: &[usize]) -> Turn {
        Turn::new(0, after, peers)
    }

    #[test]
    fn a_router_stays_when_its_server_has_not_learned_and_a_server_goes_with_the_majority() {
        let router = [turn(9, &[]), turn(2, &[]), turn(1, &[]), turn(2, &[0, 1, 2])];
        assert_eq!(holds_back(&router, 3, |other| other != 0), Some(0), "the server failed");
        assert_eq!(holds_back(&router, 3, |other| other != 2), None, "two of three learned, the server among them");
        assert_eq!(holds_back(&router, 3, |_| true), None);
        let server = [turn(1, &[]), turn(1, &[]), turn(1, &[]), turn(9, &[0, 1, 2])];
        assert_eq!(holds_back(&server, 3, |other| other == 0), Some(1), "most of its routers don't know it");
        assert_eq!(holds_back(&server, 3, |other| other != 0), None, "one of its routers doesn't");
        let new = [turn(1, &[]), Turn { loses: false, ..turn(9, &[0]) }, Turn { loses: false, ..turn(1, &[1]) }];
        assert_eq!(holds_back(&new, 1, |_| false), None, "it only comes up");
        assert_eq!(holds_back(&new, 2, |_| false), Some(1), "without its server there is nobody to talk to");
    }

    proptest! {
        #[test]
        fn everybody_has_one_turn_and_waits_only_for_earlier_ones(
            picked in prop::collection::vec((0_usize..11, 0_usize..6, 0_usize..11), 0..40),
        ) {
            let nodes = compiled();
            let kinds = [Kind::PrivateKey, Kind::InterfaceMissing, Kind::PeerKey, Kind::AllowedIps, Kind::PresharedKey, Kind::Restart];
            let mut changes: BTreeMap<&str, Option<Vec<Change>>> = BTreeMap::new();
            for (host, kind, subject) in picked {
                let (host, subject) = (nodes[host % nodes.len()].name.as_str(), nodes[subject % nodes.len()].name.as_str());
                let list = changes.entry(host).or_insert_with(|| Some(Vec::new()));
                list.as_mut().unwrap().push(change(kinds[kind], subject));
            }
            let members = members(&nodes, &changes);
            let turns = order(&members, &[]);
            let mut places: Vec<usize> = turns.iter().map(|turn| turn.member).collect();
            places.sort_unstable();
            prop_assert_eq!(places, (0..nodes.len()).collect::<Vec<_>>());
            for (at, turn) in turns.iter().enumerate() {
                prop_assert!(turn.after.iter().all(|other| *other < at));
            }
            // Whoever waits and isn't waited for in return, be it by way of others, keeps its place.
            let (waits, _) = learners(&members);
            let cycles = components(&waits);
            let place = |member: usize| turns.iter().position(|turn| turn.member == member).unwrap();
            for (member, after) in waits.iter().enumerate() {
                for other in after.iter().filter(|other| cycles[**other] != cycles[member]) {
                    prop_assert!(turns[place(member)].after.contains(&place(*other)));
                }
            }
        }

        #[test]
        fn two_are_in_a_cycle_exactly_when_each_reaches_the_other(
            edges in prop::collection::vec((0_usize..9, 0_usize..9), 0..30),
        ) {
            let mut graph = vec![BTreeSet::new(); 9];
            edges.iter().for_each(|(from, to)| { graph[*from].insert(*to); });
            let reach = |from: usize| {
                let (mut seen, mut found) = (vec![false; 9], Vec::new());
                walk(from, &graph, &mut seen, &mut found);
                seen
            };
            let numbers = components(&graph);
            for a in 0..9 {
                for b in 0..9 {
                    prop_assert_eq!(numbers[a] == numbers[b], reach(a)[b] && reach(b)[a]);
                }
            }
        }
    }
}
