//! Which of many things are the cause of something, found with few of the tries that there could be. Pure.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// At most so many tries for one answer: each costs what merging costs.
pub(super) const TRIES: usize = 128;

/// Finds things without which nothing remains of some reasons, none of which could be had back, each with a reason that it
/// brings; `None` if something remains without all of them. `left` says what remains without some.
///
/// It goes by halves (Felfernig, Schubert and Zehentner: An efficient diagnosis algorithm for inconsistent constraint sets,
/// 2012): a few causes among many things cost each about twice the logarithm of their number. Of things of which one is
/// enough it is the first. What is in doubt after [`TRIES`] counts as a cause.
pub(super) fn causes<T: Copy + Ord, R: Clone>(
    all: &[T],
    reasons: &[R],
    left: impl Fn(&BTreeSet<T>) -> Vec<R>,
) -> Option<BTreeMap<T, R>> {
    let tries = Cell::new(TRIES);
    let goes = |without: &BTreeSet<T>| {
        tries.set(tries.get().saturating_sub(1));
        left(without).is_empty()
    };
    if all.is_empty() || !goes(&all.iter().copied().collect()) {
        return None;
    }
    let found = halve(&BTreeSet::new(), false, all, &|| tries.get() == 0, &goes);
    let first = reasons.first()?;
    let reason = |thing: &T| {
        if found.len() == 1 || tries.replace(tries.get().saturating_sub(1)) == 0 {
            return first.clone();
        }
        let others = found.iter().filter(|other| *other != thing).copied().collect();
        left(&others).into_iter().next().unwrap_or_else(|| first.clone())
    };
    Some(found.iter().map(|thing| (*thing, reason(thing))).collect())
}

/// Finds which of some things have to be left out beside others. `is_new` says that these are more than when it was last tried.
fn halve<T: Copy + Ord>(
    without: &BTreeSet<T>,
    is_new: bool,
    among: &[T],
    ends: &dyn Fn() -> bool,
    goes: &dyn Fn(&BTreeSet<T>) -> bool,
) -> BTreeSet<T> {
    if is_new && !ends() && goes(without) {
        return BTreeSet::new();
    }
    if among.len() < 2 || ends() {
        return among.iter().copied().collect();
    }
    let (first, second) = among.split_at(among.len() / 2);
    let beside = without.iter().chain(first).copied().collect();
    let mut found = halve(&beside, true, second, ends, goes);
    let beside = without.union(&found).copied().collect();
    found.append(&mut halve(&beside, !found.is_empty(), first, ends, goes));
    found
}

/// A part of more things than this isn't divided if each of them is named when it is tried: they are causes by all appearances.
const CLEAR: usize = 16;

/// Finds what needn't be left out. `fits` says whether some things can be had back; if not, which are named in the reasons. All of
/// them can't, or they wouldn't have been left out. Larger parts are tried first, and each thing by itself at last, as far as
/// [`TRIES`] go.
pub(super) fn readmitted<T: Copy + Ord>(
    all: &[T],
    fits: impl Fn(&BTreeSet<T>) -> Result<(), BTreeSet<T>>,
) -> BTreeSet<T> {
    let mut back = BTreeSet::new();
    let halves = |part: &[T]| {
        let (first, second) = part.split_at(part.len() / 2);
        [first.to_vec(), second.to_vec()]
    };
    let mut parts: VecDeque<Vec<T>> = if all.len() < 2 { VecDeque::new() } else { halves(all).into() };
    for _ in 0..TRIES {
        let Some(part) = parts.pop_front() else { break };
        let with = back.iter().chain(&part).copied().collect();
        match fits(&with) {
            Ok(()) => back = with,
            Err(named) if part.len() > CLEAR && part.iter().all(|thing| named.contains(thing)) => {}
            Err(_) if part.len() > 1 => parts.extend(halves(&part)),
            Err(_) => {}
        }
    }
    back
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Set = BTreeSet<usize>;

    /// Returns those of the reasons that remain: each is there as long as all of its things are.
    fn remaining(reasons: &[Set], without: &Set) -> Vec<Set> {
        reasons.iter().filter(|reason| reason.is_disjoint(without)).cloned().collect()
    }

    #[test]
    fn of_many_things_the_few_causes_are_found_with_few_tries() {
        let all: Vec<usize> = (0..10_000).collect();
        let reasons = [Set::from([17]), Set::from([4711, 9000]), Set::from([8999])];
        let tries = Cell::new(0);
        let found = causes(&all, &reasons, |without| {
            tries.set(tries.get() + 1);
            remaining(&reasons, without)
        });
        let told: Vec<(usize, Set)> = found.unwrap().into_iter().collect();
        let [alone, two, other] = reasons;
        assert_eq!(told, [(17, alone), (4711, two), (8999, other)]);
        assert!(tries.get() <= 100, "{}", tries.get());
    }

    #[test]
    fn what_remains_without_all_of_them_has_no_cause() {
        let reasons = [Set::from([1]), Set::new()];
        assert_eq!(causes(&[1, 2], &reasons, |without| remaining(&reasons, without)), None);
        assert_eq!(causes(&[], &reasons, |without| remaining(&reasons, without)), None);
    }

    #[test]
    fn tries_end() {
        let all: Vec<usize> = (0..1000).collect();
        let reasons: Vec<Set> = all.iter().map(|thing| Set::from([*thing])).collect();
        let tries = Cell::new(0);
        let counted = |without: &Set| {
            tries.set(tries.get() + 1);
            remaining(&reasons, without)
        };
        assert_eq!(causes(&all, &reasons, counted).unwrap().len(), all.len());
        assert!(tries.replace(0) <= TRIES);
        let none = |named: Set| {
            let tried = readmitted(&all, |_| {
                tries.set(tries.get() + 1);
                Err(named.clone())
            });
            (tried, tries.replace(0))
        };
        assert_eq!(none(Set::new()), (Set::new(), TRIES));
        assert_eq!(none(all.iter().copied().collect()), (Set::new(), 2));
    }

    proptest! {
        #[test]
        fn causes_are_enough_and_none_is_too_many(
            reasons in proptest::collection::vec(proptest::collection::btree_set(0..12_usize, 1..4), 1..6),
        ) {
            let all: Vec<usize> = (0..12).collect();
            let found = causes(&all, &reasons, |without| remaining(&reasons, without)).unwrap();
            let set: Set = found.keys().copied().collect();
            prop_assert_eq!(remaining(&reasons, &set), Vec::<Set>::new());
            for (thing, reason) in &found {
                let others = set.iter().filter(|other| *other != thing).copied().collect();
                prop_assert!(remaining(&reasons, &others).contains(reason));
            }
        }

        #[test]
        fn what_could_be_had_back_is_had_back(
            reasons in proptest::collection::vec(proptest::collection::btree_set(0..12_usize, 1..4), 1..6),
        ) {
            let all: Vec<usize> = (0..12).collect();
            let fits = |back: &Set| {
                let without = all.iter().filter(|thing| !back.contains(thing)).copied().collect();
                remaining(&reasons, &without).is_empty()
            };
            let back = readmitted(&all, |back| if fits(back) { Ok(()) } else { Err(Set::new()) });
            prop_assert!(fits(&back));
            for thing in all.iter().filter(|thing| !back.contains(thing)) {
                prop_assert!(!fits(&back.iter().chain([thing]).copied().collect()), "{thing}");
            }
        }
    }
}
