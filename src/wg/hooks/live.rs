//! Hooks changed while their interface runs: what has to be run so that the host is as if it had come up with the new ones.
//!
//! What hooks deal with is compared, not how they are written: a line that moved, or is spelled or commented otherwise,
//! needs no command. Each thing that is new is set up by its own commands, each that is gone is taken down by the commands
//! that belonged to it; both can be taken back. What can't be told, such as a script, needs a restart of the interface.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ByHooks, Cidr, Hook, InterfaceAddr, InterfaceName, Phase, Route};

use super::normalise::{self, Act, Family, Thing, discards};
use super::pairs::{self, Item};
use super::rule::{Verb, family, program};
use super::split::{Command, Part, Separator};
use super::{Place, line};

/// A program with its arguments.
pub type Words = Vec<String>;

/// A command with whether it may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments.
    pub words: Words,
    /// Whether it doesn't matter that it fails.
    pub may_fail: bool,
}

/// What is done about one thing that hooks deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The command that stands for it, as it is written.
    pub text: String,
    /// Whether it is set up; else it is taken down.
    pub sets_up: bool,
    /// What is run.
    pub work: Work,
}

/// What is run for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Commands, and those that take them back.
    Commands {
        /// Succeeds when the thing is there; `None` when that can't be asked.
        there: Option<Words>,
        /// What is run.
        run: Vec<Run>,
        /// What takes that back.
        undo: Vec<Run>,
    },
    /// A kernel setting, by its dotted name; what it was is for the host to remember.
    Sysctl {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
}

/// Something that can't be changed while the interface runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The command, as it is written.
    pub text: String,
    /// Why not.
    pub why: &'static str,
}

/// A difference between hooks, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// The hook.
    pub hook: Hook,
    /// Whether it is new; else it is gone.
    pub new: bool,
    /// Whether somebody changed it on the host; else it follows from the model.
    pub drifted: bool,
    /// Whether the interface has to be restarted for it.
    pub needs_restart: bool,
}

/// How hooks that are in force become others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// The lines that do something else, those that go first.
    pub differing: Vec<Differing>,
    /// What is run, in order; nothing when the interface has to be restarted.
    pub steps: Vec<Step>,
    /// What needs a restart of the interface.
    pub stuck: Option<Stuck>,
    /// Routes and addresses that the steps make.
    pub made: ByHooks,
}

/// Compares hooks: those of the last deploy, which came up with the interface, those that are in its file now, if there is
/// one, and those that are wanted.
///
/// What somebody changed in the file didn't run by that alone, so only what can be asked for is mended: rules of iptables.
pub fn live(deployed: &[Hook], found: Option<&[Hook]>, wanted: &[Hook], interface: &InterfaceName) -> Live {
    let was = Set::of(deployed, interface);
    let is = Set::of(wanted, interface);
    let there = Set::of(found.unwrap_or(deployed), interface);
    let mut live = Live { differing: differing(&was, &there, &is, interface), ..Live::default() };
    live.stuck = stuck(&was, &is);
    if let Some(stuck) = &live.stuck {
        for line in live.differing.iter_mut().filter(|line| !line.drifted) {
            line.needs_restart = line.hook.phase.is_up() && line.hook.command.contains(&stuck.text);
        }
        return live;
    }
    for unit in &is.units {
        let mended = unit.is_rule() && was.has(unit) && !there.has(unit);
        if was.has(unit) && !mended {
            continue;
        }
        // The same thing set up otherwise: as it can't be told from the new one, it goes first.
        let replaced = was.units.iter().find(|old| old.thing == unit.thing && !is.has(old));
        live.steps.extend(replaced.and_then(|old| old.taken_down(false)));
        if unit.comes_with_routes(interface) {
            continue;
        }
        if let Some(step) = unit.set_up(replaced.is_none()) {
            live.made.routes.extend(unit.route(interface));
            live.made.addresses.extend(unit.address(interface));
            live.steps.push(step);
        }
    }
    let still = |unit: &Unit| is.units.iter().any(|other| other.thing == unit.thing);
    for unit in was.units.iter().filter(|unit| !still(unit) && !unit.goes_with_routes(interface)) {
        live.steps.extend(unit.taken_down(true));
    }
    let known = |unit: &Unit| was.units.iter().any(|other| other.thing == unit.thing);
    for unit in there.units.iter().filter(|unit| unit.is_rule() && !still(unit) && !known(unit)) {
        live.steps.extend(unit.taken_down(true));
    }
    live
}

/// Returns the routes through an interface and the addresses on it that hooks make.
pub fn makes(hooks: &[Hook], interface: &InterfaceName) -> ByHooks {
    let set = Set::of(hooks, interface);
    let mut made = ByHooks::default();
    for unit in &set.units {
        made.routes.extend(unit.route(interface));
        made.addresses.extend(unit.address(interface));
    }
    made
}

/// Returns the command that takes back what a command sets up, as it could be written in a hook; `None` when it isn't
/// known.
pub fn inverse(command: &str, interface: &InterfaceName) -> Option<String> {
    let read = line::read(command, interface);
    let [step] = read.steps().collect::<Vec<_>>()[..] else { return None };
    let act = normalise::read(&step.command)?;
    let undone = undone(&words(&step.command), &act.thing)?;
    shlex::try_join(undone.iter().map(String::as_str)).ok()
}

/// What a hook does, whatever blanks and comments are in it, and however its words are quoted.
pub fn essence(hook: &Hook, interface: &InterfaceName) -> String {
    let mut text = String::new();
    for part in line::script(&hook.command, interface).parts {
        match part {
            Part::Blank(_) | Part::Comment(_) => {}
            Part::Separator(separator, _) => text.push_str(match separator {
                Separator::Semicolon | Separator::Newline => "\n",
                Separator::And => "\n&&\n",
                Separator::Or => "\n||\n",
                Separator::Background => "\n&\n",
            }),
            Part::Command(command) => text.push_str(&spelled(&hook.command, &command)),
        }
    }
    text.trim_matches('\n').to_owned()
}

/// A command's words with what stands between them forgotten; of what isn't a plain command all is kept.
fn spelled(line: &str, command: &Command) -> String {
    if command.beyond.is_some() {
        return line[command.span.clone()].to_owned();
    }
    let redirects = command.redirects.iter().map(|r| {
        let descriptor = r.descriptor.map(|number| number.to_string()).unwrap_or_default();
        format!("{descriptor}{}{}", r.operator, r.target.text)
    });
    words(command).into_iter().chain(redirects).collect::<Vec<_>>().join("\0")
}

fn words(command: &Command) -> Words {
    command.words.iter().map(|word| word.text.clone()).collect()
}

/// A command of a hook.
#[derive(Clone, Debug)]
struct Known {
    words: Words,
    text: String,
    verb: Option<Verb>,
    may_fail: bool,
}

/// A thing with the commands about it.
#[derive(Clone, Debug)]
struct Unit {
    thing: Thing,
    /// What tells it from the same thing set up otherwise.
    manner: Vec<String>,
    up: Vec<Known>,
    down: Vec<Known>,
}

/// The hooks of an interface, by what they deal with.
struct Set<'a> {
    hooks: &'a [Hook],
    /// What can be changed, in the order in which it comes up.
    units: Vec<Unit>,
    /// Commands that run when the interface comes up and that can't be changed while it is, by what they do.
    stuck: Vec<(String, Stuck)>,
}

impl<'a> Set<'a> {
    fn of(hooks: &'a [Hook], interface: &InterfaceName) -> Self {
        let mut set = Self { hooks, units: Vec::new(), stuck: Vec::new() };
        let mut known: BTreeMap<Place, Known> = BTreeMap::new();
        let mut acts: Vec<(Place, bool, Act)> = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let read = line::read(&hook.command, interface);
            let mut command = 0;
            for chain in &read.chains {
                let dependent = chain.is_conditional(|step| act_of(&step.command).is_some());
                for step in &chain.steps {
                    let text = hook.command[step.span.clone()].to_owned();
                    let place = Place { hook: index, command };
                    command += 1;
                    if does_nothing(&step.command) {
                        continue;
                    }
                    match act_of(&step.command).filter(|_| !dependent) {
                        Some(act) => {
                            let (words, verb) = (words(&step.command), act.verb);
                            let gone = hook.phase.is_up() && verb == Some(Verb::Remove);
                            let may_fail = gone || chain.forgiven;
                            known.insert(place, Known { words, text, verb, may_fail });
                            acts.push((place, hook.phase.is_up(), act));
                        }
                        None if hook.phase.is_up() => {
                            let why = if dependent { DEPENDENT } else { OPAQUE };
                            set.stuck.push((spelled(&hook.command, &step.command), Stuck { text, why }));
                        }
                        None => {}
                    }
                }
            }
        }
        for item in pairs::collect(acts).into_iter().filter(|item| !item.up.is_empty()) {
            set.take(item, &known);
        }
        set
    }

    /// Takes a thing in, as one that can be changed or as one that can't.
    fn take(&mut self, Item { thing, up, down }: Item, known: &BTreeMap<Place, Known>) {
        let commands = |places: &[Place]| places.iter().filter_map(|place| known.get(place)).cloned().collect();
        let (up, down): (Vec<Known>, Vec<Known>) = (commands(&up), commands(&down));
        let manner = match &thing {
            Thing::Rule(_) => up.iter().map(position).collect(),
            Thing::Forwarding { .. } => Vec::new(),
            _ => up.iter().map(|command| command.words.join(" ")).collect(),
        };
        let unit = Unit { thing, manner, up, down };
        let sets_up = unit.up.iter().any(|command| command.verb != Some(Verb::Remove));
        if sets_up && (unit.sysctl().is_some() || !unit.undo().is_empty()) {
            self.units.push(unit);
        } else if let Some(first) = unit.up.first() {
            let stuck = Stuck { text: first.text.clone(), why: ALONE };
            self.stuck.push((unit.up.iter().map(|command| command.words.join("\0")).collect(), stuck));
        }
    }

    fn has(&self, unit: &Unit) -> bool {
        self.units.iter().any(|other| other.thing == unit.thing && other.manner == unit.manner)
    }
}

const OPAQUE: &str = "nobody can tell what it does";
const DEPENDENT: &str = "whether it runs depends on another command";
const ALONE: &str = "nothing takes back what it sets up";

/// What a plain command does; `None` also for what is a program of somebody's own, or loads a key.
fn act_of(command: &Command) -> Option<Act> {
    if command.beyond.is_some() {
        return None;
    }
    if let Some((key, value)) = sysctl(command) {
        return Some(Act {
            verb: Some(Verb::Add),
            thing: Thing::Forwarding { ipv6: false, key: format!("{key}={value}") },
        });
    }
    let act = normalise::read(command)?;
    let plain = command.redirects.iter().all(|redirect| discards(redirect.operator, &redirect.target.text));
    (plain && !matches!(act.thing, Thing::Script { .. } | Thing::Key { .. })).then_some(act)
}

/// Reads `sysctl -w KEY=VALUE`.
fn sysctl(command: &Command) -> Option<(String, String)> {
    let (first, rest) = command.words.split_first()?;
    let options = ["-w", "-q", "-qw", "-wq", "--write", "--quiet"];
    let mut rest = rest.iter().map(|word| word.text.as_str()).filter(|word| !options.contains(word));
    let (key, value) = rest.next()?.split_once('=')?;
    let is_key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b'*');
    let one = program(&first.text) == "sysctl" && rest.next().is_none() && !key.contains('*');
    (one && !key.is_empty() && key.bytes().all(is_key)).then(|| (key.to_owned(), value.to_owned()))
}

/// Whether a command leaves nothing behind.
fn does_nothing(command: &Command) -> bool {
    let Some(first) = command.words.first() else { return false };
    let plain = command.redirects.iter().all(|redirect| discards(redirect.operator, &redirect.target.text));
    command.beyond.is_none() && plain && matches!(program(&first.text), "true" | ":" | "logger" | "echo")
}

/// Where a rule is put: at the end, or before others.
fn position(command: &Known) -> String {
    let at = command.words.iter().position(|word| matches!(word.as_str(), "-I" | "--insert"));
    let number = at.and_then(|at| command.words.get(at + 2)).filter(|word| word.parse::<u32>().is_ok());
    match (at, number) {
        (None, _) if command.verb == Some(Verb::Remove) => "away".to_owned(),
        (None, _) => "last".to_owned(),
        (Some(_), number) => number.map_or("1", String::as_str).to_owned(),
    }
}

impl Unit {
    fn is_rule(&self) -> bool {
        matches!(self.thing, Thing::Rule(_))
    }

    fn text(&self) -> String {
        let first = self.up.iter().find(|command| command.verb != Some(Verb::Remove));
        first.or(self.up.first()).map_or_else(String::new, |command| command.text.clone())
    }

    fn sysctl(&self) -> Option<(&str, &str)> {
        match &self.thing {
            Thing::Forwarding { key, .. } => key.split_once('='),
            _ => None,
        }
    }

    /// Returns the commands that take it down: its own, or what is the opposite of setting it up.
    fn undo(&self) -> Vec<Run> {
        if !self.down.is_empty() {
            let own = |command: &Known| Run { words: command.words.clone(), may_fail: command.may_fail };
            return self.down.iter().map(own).collect();
        }
        let last = self.up.iter().rev().filter(|command| command.verb != Some(Verb::Remove));
        let words: Option<Vec<Words>> = last.map(|command| undone(&command.words, &self.thing)).collect();
        words.unwrap_or_default().into_iter().map(|words| Run { words, may_fail: false }).collect()
    }

    fn there(&self) -> Option<Words> {
        let first = self.up.iter().find(|command| command.verb == Some(Verb::Add)).filter(|_| self.is_rule())?;
        asking(&first.words)
    }

    /// `asks`: whether nothing is done when it is there already.
    fn set_up(&self, asks: bool) -> Option<Step> {
        let work = match self.sysctl() {
            Some((key, value)) => Work::Sysctl { key: key.to_owned(), value: value.to_owned() },
            None => {
                let own = |command: &Known| Run { words: command.words.clone(), may_fail: command.may_fail };
                let run = self.up.iter().map(own).collect();
                Work::Commands { there: self.there().filter(|_| asks), run, undo: self.undo() }
            }
        };
        Some(Step { text: self.text(), sets_up: true, work })
    }

    /// `asks`: whether nothing is done when it is gone already. A kernel setting stays: others may count on it.
    fn taken_down(&self, asks: bool) -> Option<Step> {
        if self.sysctl().is_some() {
            return None;
        }
        let there = self.there().filter(|_| asks);
        // What can't be asked for may be gone already.
        let may_fail = |run: Run| Run { may_fail: run.may_fail || there.is_none(), ..run };
        let run = self.undo().into_iter().map(may_fail).collect();
        let set_up = self.up.iter().map(|command| Run { words: command.words.clone(), may_fail: command.may_fail });
        Some(Step { text: self.text(), sets_up: false, work: Work::Commands { there, run, undo: set_up.collect() } })
    }

    /// The route through the interface that it is.
    fn route(&self, interface: &InterfaceName) -> Option<Route> {
        let Thing::Route { family, to, dev, table, .. } = &self.thing else { return None };
        let to = match (to.as_str(), family) {
            ("default", Family::V6) => Cidr::ALL6,
            ("default", _) => Cidr::ALL4,
            (to, _) => to.parse().ok()?,
        };
        let table = match table.as_deref() {
            None | Some("main" | "254") => None,
            Some(number) => Some(number.parse().ok()?),
        };
        (dev.as_deref() == Some(interface.as_str())).then_some(Route { to, table })
    }

    /// The address of the interface that it is.
    fn address(&self, interface: &InterfaceName) -> Option<InterfaceAddr> {
        let Thing::Address { address, dev, .. } = &self.thing else { return None };
        if dev == interface.as_str() { address.parse().ok() } else { None }
    }

    /// Whether it comes about with the routes and addresses of the interface: it says no more than these.
    fn comes_with_routes(&self, interface: &InterfaceName) -> bool {
        let [command] = self.up.as_slice() else { return false };
        let extra = match &self.thing {
            Thing::Route { table, .. } => 2 * usize::from(table.is_some()),
            Thing::Address { peer: None, .. } => 0,
            _ => return false,
        };
        let words = command.words.iter().filter(|word| !matches!(word.as_str(), "-4" | "-6")).count();
        self.goes_with_routes(interface) && words == 6 + extra // ip route add TO dev IF [table N]
    }

    /// Whether it goes with the routes and addresses of the interface.
    fn goes_with_routes(&self, interface: &InterfaceName) -> bool {
        self.route(interface).is_some() || self.address(interface).is_some()
    }
}

/// Returns the command that takes back what one sets up.
fn undone(words: &Words, thing: &Thing) -> Option<Words> {
    let mut undone = words.clone();
    match thing {
        Thing::Rule(_) => {
            let at = action(words)?;
            if words[at].contains('I') || words[at] == "--insert" {
                drop_position(&mut undone, at);
            }
            undone[at] = "-D".to_owned();
        }
        Thing::PolicyRule { .. } | Thing::Route { .. } | Thing::Address { .. } => {
            let verbs = ["add", "a", "append", "replace", "change", "prepend"];
            let at = words.iter().skip(2).position(|word| verbs.contains(&word.as_str()))? + 2;
            undone[at] = "del".to_owned();
        }
        _ => return None,
    }
    Some(undone)
}

/// Returns the command that succeeds when a rule is there.
fn asking(words: &Words) -> Option<Words> {
    let mut asking = words.clone();
    let at = action(words)?;
    if words[at] == "-I" || words[at] == "--insert" {
        drop_position(&mut asking, at);
    }
    asking[at] = "-C".to_owned();
    Some(asking)
}

/// Where the word that adds a rule stands, if it is one of its own.
fn action(words: &Words) -> Option<usize> {
    family(program(words.first()?))?;
    words.iter().position(|word| matches!(word.as_str(), "-A" | "-I" | "--append" | "--insert"))
}

/// `-I CHAIN 1`: only inserting takes the number.
fn drop_position(words: &mut Words, at: usize) {
    if words.get(at + 2).is_some_and(|word| word.parse::<u32>().is_ok()) {
        words.remove(at + 2);
    }
}

/// Returns the first command whose coming or going needs a restart.
fn stuck(was: &Set<'_>, is: &Set<'_>) -> Option<Stuck> {
    let mut left: Vec<&(String, Stuck)> = was.stuck.iter().collect();
    for (does, stuck) in &is.stuck {
        match left.iter().position(|(other, _)| other == does) {
            Some(at) => drop(left.remove(at)),
            None => return Some(stuck.clone()),
        }
    }
    left.first().map(|(_, stuck)| stuck.clone())
}

/// Compares hooks line by line, wherever they stand: those that go, then those that come.
fn differing(was: &Set<'_>, there: &Set<'_>, is: &Set<'_>, interface: &InterfaceName) -> Vec<Differing> {
    let lines = |set: &Set<'_>| -> Vec<((Phase, String), Hook)> {
        let filled = set.hooks.iter().map(|hook| ((hook.phase, essence(hook, interface)), hook.clone()));
        filled.filter(|((_, essence), _)| !essence.is_empty()).collect()
    };
    let (was, there, is) = (lines(was), lines(there), lines(is));
    let has = |lines: &[((Phase, String), Hook)], line: &(Phase, String)| lines.iter().any(|(other, _)| other == line);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut add = |(line, hook): &((Phase, String), Hook), new: bool, drifted: bool| {
        if seen.insert(line.clone()) {
            found.push(Differing { hook: hook.clone(), new, drifted, needs_restart: false });
        }
    };
    was.iter().filter(|(line, _)| !has(&is, line)).for_each(|line| add(line, false, false));
    there.iter().filter(|(line, _)| !has(&is, line) && !has(&was, line)).for_each(|line| add(line, false, true));
    for line in is.iter() {
        match (has(&was, &line.0), has(&there, &line.0)) {
            (false, _) => add(line, true, false),
            (true, false) => add(line, true, true),
            (true, true) => {}
        }
    }
    found
}
