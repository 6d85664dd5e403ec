//! Whether it matters that what is repeated for another interface stands behind or before what is there, and not among it.

use super::super::normalise::{Act, Thing};
use super::super::rule::{Rule, Verb};
use super::{Duty, Known, SIDES};

/// Targets that change nothing for the rules that follow.
const PASSING: [&str; 5] = ["LOG", "NFLOG", "TCPMSS", "CHECKSUM", "TRACE"];

/// Returns a rule that decides otherwise than a repeated one about the same packets: the repeated ones stand behind or before
/// those that are there, and not among them.
pub(super) fn in_the_way(acts: &[Known], first: &str) -> Option<String> {
    let rules = |wanted: Duty| {
        acts.iter().filter_map(move |(act, duty, up, text)| match &act.thing {
            Thing::Rule(rule) if *duty == wanted && *up && act.verb == Some(Verb::Add) => Some((rule, text)),
            _ => None,
        })
    };
    let of_all = rules(Duty::Leave).find(|(left, _)| {
        let apart = |own: &Rule| SIDES.iter().any(|side| are_apart(left.is(side), own.is(side)));
        rules(Duty::Repeat).any(|(own, _)| decide_otherwise(left, own) && !apart(own))
    });
    // Of packets between the two each rule may be met on one side.
    let between = |rule: &Rule| SIDES.iter().all(|side| rule.is(side).is_none_or(|name| covers(name, first)));
    let named = |rule: &Rule| SIDES.map(|side| rule.is(side) == Some(first));
    let of_both = || {
        rules(Duty::Repeat).find(|(one, _)| {
            let other = |other: &Rule| decide_otherwise(one, other) && between(other) && named(one) != named(other);
            between(one) && rules(Duty::Repeat).any(|(rule, _)| other(rule))
        })
    };
    of_all.or_else(of_both).map(|(_, text)| text.clone())
}

/// Whether it matters which of two rules a packet meets first that both could be about.
fn decide_otherwise(one: &Rule, other: &Rule) -> bool {
    let place = |rule: &Rule| (rule.ipv6, rule.table.clone(), rule.chain.clone());
    let passes = [one, other].iter().any(|rule| PASSING.contains(&rule.target.as_str()));
    place(one) == place(other) && !passes && (&one.target, &one.how) != (&other.target, &other.how)
}

/// Whether two rules are about different interfaces on a side.
fn are_apart(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other && !one.ends_with('+') && !other.ends_with('+'))
}

/// Whether a rule's name is that of an interface, or the beginning of it (`wg+`).
fn covers(name: &str, interface: &str) -> bool {
    name == interface || name.strip_suffix('+').is_some_and(|begin| interface.starts_with(begin))
}

/// Returns what a front end of the firewall is told that can't be told again for the other interface: since its order would be
/// another, or since it would be kept after the interface is gone.
pub(super) fn of_front_ends(acts: &[Known]) -> Option<String> {
    let told = || acts.iter().filter(|(act, _, up, _)| *up && act.verb == Some(Verb::Add));
    let ufw = |act: &Act| match &act.thing {
        Thing::FrontEnd { program, words } if program == "ufw" => {
            Some(words.iter().any(|word| matches!(word.as_str(), "deny" | "reject")))
        }
        _ => None,
    };
    let is_repeated = |known: &&Known| known.1 == Duty::Repeat;
    let in_order = |refuses: bool| told().all(|(act, ..)| ufw(act).is_none_or(|other| other == refuses));
    let disorder = told().filter(is_repeated).find(|(act, ..)| ufw(act).is_some_and(|refuses| !in_order(refuses)));
    let is_kept = |act: &Act| match &act.thing {
        Thing::FrontEnd { program, words } => program == "ufw" || words.iter().any(|word| word == "--permanent"),
        _ => false,
    };
    let undone = |act: &Act| {
        acts.iter().any(|(other, _, up, _)| !*up && other.verb == Some(Verb::Remove) && other.thing == act.thing)
    };
    let left = || told().filter(is_repeated).find(|(act, ..)| is_kept(act) && !undone(act));
    disorder.or_else(left).map(|(.., text)| text.clone())
}
