//! Who may begin, and who is held back by whom. Pure.

use std::collections::BTreeSet;

use crate::model::Name;
use crate::wg::InterfaceConfig;

use super::order::{Member, Turn, holds_back, order};
use super::outcome::{HeldBack, Options, Outcome};
use super::passing::Party;
use super::plan::HostPlan;

/// The hosts of a deploy in the order of their turns.
pub(super) struct Turns {
    turns: Vec<Turn>,
    hosts: Vec<Host>,
    /// The turns of those that go first to try the change out.
    canaries: BTreeSet<usize>,
    /// The hosts that the plan isn't about.
    absent: Vec<Name>,
}

/// A host that a plan isn't about, for it stays as it is.
pub(super) struct Absent {
    pub(super) name: Name,
    pub(super) desired: Vec<InterfaceConfig>,
    pub(super) deployed: Vec<InterfaceConfig>,
}

/// What is known of a host before anything is done.
struct Host {
    name: Name,
    /// Whether there is something to do.
    differs: bool,
    /// Whether it can be worked on at all.
    answered: bool,
}

impl Turns {
    /// Orders hosts, and picks the first of those that differ as canaries.
    ///
    /// `absent` are the hosts that the plan isn't about.
    pub(super) fn of(plans: &[HostPlan], absent: Vec<Absent>, canaries: usize) -> Self {
        let members: Vec<Member<'_>> = plans.iter().map(Member::from).collect();
        let parties: Vec<Party<'_>> =
            absent.iter().map(|host| Party { desired: &host.desired, deployed: &host.deployed }).collect();
        let turns = order(&members, &parties);
        let host = |turn: &Turn| {
            let plan = &plans[turn.member];
            Host { name: plan.host.name.clone(), differs: !plan.changes().is_empty(), answered: plan.seen.is_ok() }
        };
        let hosts = turns.iter().map(host).collect();
        let absent = absent.into_iter().map(|host| host.name).collect();
        Self { absent, ..Self::new(hosts, turns, canaries) }
    }

    fn new(hosts: Vec<Host>, turns: Vec<Turn>, canaries: usize) -> Self {
        let differing = hosts.iter().enumerate().filter(|(_, host)| host.differs).map(|(at, _)| at);
        Self { canaries: differing.take(canaries).collect(), turns, hosts, absent: Vec::new() }
    }

    /// Gives each its turn: the work, and the turns that have to be over before it.
    pub(super) fn jobs<T>(&self, work: Vec<T>) -> Vec<(T, BTreeSet<usize>)> {
        let mut work: Vec<Option<T>> = work.into_iter().map(Some).collect();
        let job = |(at, turn): (usize, &Turn)| Some((work[turn.member].take()?, self.after(at)));
        self.turns.iter().enumerate().filter_map(job).collect()
    }

    fn after(&self, at: usize) -> BTreeSet<usize> {
        let mut after = self.turns[at].after.clone();
        if self.hosts[at].differs && !self.canaries.contains(&at) {
            after.extend(&self.canaries);
        }
        after
    }

    /// Returns what becomes of a host instead of being changed. `good`: whether a turn ended well, once it has ended.
    pub(super) fn instead(
        &self,
        at: usize,
        options: &Options,
        good: impl Fn(usize) -> Option<bool>,
    ) -> Option<Outcome> {
        if !self.hosts[at].differs {
            return None; // it costs nothing to say so
        }
        if options.stop.is_asked() {
            return Some(Outcome::NotBegun);
        }
        let failed = |other: &usize| good(*other) == Some(false) || !self.hosts[*other].answered;
        let turn = &self.turns[at];
        if let Some(absent) = turn.waits_for_absent {
            return Some(Outcome::HeldBack { because_of: self.absent[absent].clone(), why: HeldBack::LetsOut });
        }
        let lets_out = || turn.only_after.iter().copied().find(failed);
        let canary = || self.canaries.iter().copied().find(failed).filter(|_| !self.canaries.contains(&at));
        let stops = || options.stop_on_failure.then(|| (0..self.turns.len()).find(failed)).flatten();
        let learner =
            || holds_back(&self.turns, at, |other| !failed(&other)).map(|other| (other, HeldBack::HasToLearn));
        let (other, why) = canary()
            .map(|other| (other, HeldBack::Canary))
            .or_else(|| lets_out().map(|other| (other, HeldBack::LetsOut)))
            .or_else(learner)
            .or_else(|| stops().map(|other| (other, HeldBack::StopOnFailure)))?;
        Some(Outcome::HeldBack { because_of: self.hosts[other].name.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts in the order of their turns: name, whether it differs, whether it answered, and whom it waits for.
    fn turns(hosts: &[(&str, bool, bool, &[usize])], canaries: usize) -> Turns {
        let host = |(name, differs, answered, _): &(&str, bool, bool, &[usize])| Host {
            name: name.parse().unwrap(),
            differs: *differs,
            answered: *answered,
        };
        let turn = |(at, (.., after)): (usize, &(&str, bool, bool, &[usize]))| Turn::new(at, after, 1);
        let turns = hosts.iter().enumerate().map(turn).collect();
        Turns::new(hosts.iter().map(host).collect(), turns, canaries)
    }

    fn options() -> Options {
        Options::new("a test".to_owned())
    }

    fn held(by: &str, why: HeldBack) -> Option<Outcome> {
        Some(Outcome::HeldBack { because_of: by.parse().unwrap(), why })
    }

    #[test]
    fn canaries_are_the_first_that_differ_and_all_others_wait_for_them() {
        let turns = turns(&[("a", false, true, &[]), ("b", true, true, &[]), ("c", true, true, &[])], 1);
        let jobs = turns.jobs(vec!["a", "b", "c"]);
        assert_eq!(jobs, [("a", [].into()), ("b", [].into()), ("c", [1].into())]);
        assert_eq!(turns.instead(1, &options(), |_| None), None);
        assert_eq!(turns.instead(2, &options(), |_| Some(true)), None);
        assert_eq!(turns.instead(2, &options(), |at| Some(at != 1)), held("b", HeldBack::Canary));
        assert_eq!(turns.instead(0, &options(), |at| Some(at != 1)), None, "nothing is to be done there");
    }

    #[test]
    fn whoever_depends_on_a_host_that_failed_is_held_back_and_nobody_else() {
        let turns = turns(&[("hub", true, true, &[]), ("office", true, true, &[0]), ("lab", true, true, &[])], 0);
        let failed = |at: usize| Some(at != 0);
        assert_eq!(turns.instead(1, &options(), failed), held("hub", HeldBack::HasToLearn));
        assert_eq!(turns.instead(2, &options(), failed), None);
    }

    #[test]
    fn whoever_would_let_traffic_out_too_early_waits_for_each_host_that_keeps_it_in() {
        let mut turns = turns(&[("de", true, true, &[]), ("nl", true, true, &[]), ("hub", true, true, &[0, 1])], 0);
        let one_failed = |at: usize| Some(at != 1);
        turns.turns[2].only_after = [0].into();
        assert_eq!(turns.instead(2, &options(), one_failed), held("nl", HeldBack::HasToLearn));
        turns.turns[2].only_after = [1].into();
        assert_eq!(turns.instead(2, &options(), one_failed), held("nl", HeldBack::LetsOut));
        assert_eq!(turns.instead(2, &options(), |_| Some(true)), None);
        turns.absent = vec!["far".parse().unwrap()];
        turns.turns[2].waits_for_absent = Some(0);
        assert_eq!(turns.instead(2, &options(), |_| Some(true)), held("far", HeldBack::LetsOut));
        assert_eq!(turns.instead(0, &options(), |_| None), None);
    }

    #[test]
    fn after_a_failure_nobody_is_begun_when_that_is_wanted() {
        let turns = turns(&[("a", true, true, &[]), ("b", true, true, &[]), ("dead", false, false, &[])], 0);
        let options = Options { stop_on_failure: true, ..options() };
        assert_eq!(turns.instead(0, &options, |_| None), held("dead", HeldBack::StopOnFailure));
        assert_eq!(turns.instead(1, &options, |at| (at == 0).then_some(false)), held("a", HeldBack::StopOnFailure));
    }

    #[test]
    fn nobody_is_begun_once_somebody_has_asked_for_an_end() {
        let turns = turns(&[("a", true, true, &[]), ("b", false, true, &[])], 0);
        let options = options();
        options.stop.ask();
        assert_eq!(turns.instead(0, &options, |_| None), Some(Outcome::NotBegun));
        assert_eq!(turns.instead(1, &options, |_| None), None);
    }
}
