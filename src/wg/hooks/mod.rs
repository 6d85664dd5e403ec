//! What the hooks of an interface do: commands, the patterns they make together, and which of them have an inverse.
//!
//! wg-quick(8) gives each line to bash's `eval` with the interface's name in place of `%i`. [`split`](split::split) reads
//! it as bash does; `normalise` says what a command does, whatever its spelling; `pairs` puts coming up and going down
//! together; [`patterns`] tells what that is for. What isn't recognised stays where and as it is.

pub mod allow;
mod line;
pub mod live;
mod normalise;
mod pairs;
pub mod patterns;
mod rule;
pub mod second;
pub mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::InterfaceName;

use super::{Hook, Phase};
use normalise::Thing;
use patterns::{Found, Pattern};

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Place {
    /// Which hook, counted from 0.
    pub hook: usize,
    /// Which of its commands, counted from 0.
    pub command: usize,
}

/// A hook, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which hook, counted from 0.
    pub hook: usize,
    /// When it runs.
    pub phase: Phase,
    /// Its commands, in order.
    pub commands: Vec<Understood>,
}

/// A command of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// Which bytes of the line it is, with a `|| true` that belongs to it alone.
    pub span: Range<usize>,
    /// Its text, verbatim.
    pub text: String,
    /// The pattern that it is a part of, as an index into [`Understanding::patterns`]; `None` when it isn't recognised.
    pub pattern: Option<usize>,
    /// Whether it only lets packets pass the host's own `FORWARD` chain, or takes that back.
    pub opens: bool,
}

/// What the hooks of an interface do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Understanding {
    /// The hooks, in order.
    pub lines: Vec<Line>,
    /// What they are for, in the order in which it begins.
    pub patterns: Vec<Found>,
    roles: Roles,
}

/// What the hooks tell about the part that a host plays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Roles {
    forwards: bool,
    translates: bool,
    routes: bool,
    addresses: bool,
}

/// Reads the hooks of an interface.
pub fn understand(hooks: &[Hook], interface: &InterfaceName) -> Understanding {
    let mut lines = Vec::new();
    let mut acts = Vec::new();
    for (index, hook) in hooks.iter().enumerate() {
        let read = line::read(&hook.command, interface);
        let mut commands = Vec::new();
        for (command, step) in read.steps().enumerate() {
            let act = normalise::read(&step.command);
            let opens = act.as_ref().is_some_and(|act| opens(&act.thing));
            if let Some(act) = act {
                acts.push((Place { hook: index, command }, hook.phase.is_up(), act));
            }
            let text = hook.command[step.span.clone()].to_owned();
            commands.push(Understood { span: step.span.clone(), text, pattern: None, opens });
        }
        lines.push(Line { hook: index, phase: hook.phase, commands });
    }
    let items = pairs::collect(acts);
    let patterns = patterns::find(&items, interface.as_str());
    for (index, found) in patterns.iter().enumerate() {
        for place in found.up.iter().chain(&found.down) {
            lines[place.hook].commands[place.command].pattern = Some(index);
        }
    }
    let has = |wanted: fn(&Thing) -> bool| items.iter().any(|item| !item.up.is_empty() && wanted(&item.thing));
    let roles = Roles {
        forwards: has(opens),
        translates: items.iter().any(|item| match &item.thing {
            Thing::Rule(rule) => {
                let inwards = rule.is("out-interface") == Some(interface.as_str());
                !item.up.is_empty() && rule.stands_in("nat", "POSTROUTING") && rule.target != "ACCEPT" && !inwards
            }
            _ => false,
        }),
        routes: has(|thing| matches!(thing, Thing::Route { .. })),
        addresses: has(|thing| matches!(thing, Thing::Address { .. })),
    };
    Understanding { lines, patterns, roles }
}

/// Whether it is a rule that lets packets pass through the host.
fn opens(thing: &Thing) -> bool {
    matches!(thing, Thing::Rule(rule) if rule.target == "ACCEPT" && rule.stands_in("filter", "FORWARD"))
}

/// A command couldn't be cut out of its line: what runs before or after it depends on whether it fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{command}` is joined to others by `||` in `{line}`")]
pub struct Joined {
    /// The line.
    pub line: String,
    /// One of the commands that were to be cut out.
    pub command: String,
}

/// Returns a hook without some of its commands, all else as it was; `None` when no command is left in it.
///
/// # Errors
/// When another command of the line runs only if one of these fails.
pub fn without(command: &str, interface: &InterfaceName, cut: &[usize]) -> Result<Option<String>, Joined> {
    let read = line::read(command, interface);
    read.without(command, cut).map_err(|line::Tied| {
        let first = cut.first().and_then(|index| read.steps().nth(*index));
        let text = first.map_or("", |step| &command[step.span.clone()]);
        Joined { line: command.to_owned(), command: text.to_owned() }
    })
}

impl Understanding {
    /// Returns the patterns of some kinds.
    pub fn of<'a>(&'a self, wanted: &'a [Pattern]) -> impl Iterator<Item = &'a Found> {
        self.patterns.iter().filter(|found| wanted.contains(&found.pattern) && !found.up.is_empty())
    }

    /// Returns the text of a command.
    pub fn text(&self, place: Place) -> &str {
        &self.lines[place.hook].commands[place.command].text
    }

    /// Returns the commands that aren't recognised, in order.
    pub fn unrecognised(&self) -> impl Iterator<Item = Place> + '_ {
        self.lines.iter().flat_map(|line| {
            let unknown = line.commands.iter().enumerate().filter(|(_, command)| command.pattern.is_none());
            unknown.map(|(command, _)| Place { hook: line.hook, command })
        })
    }

    /// Whether a rule lets packets pass through the host.
    pub fn forwards(&self) -> bool {
        self.roles.forwards
    }

    /// Whether packets get another source address where they leave by another interface than the tunnel.
    pub fn translates(&self) -> bool {
        self.roles.translates
    }

    /// Returns the interfaces towards the internet by which packets leave with the host's address.
    pub fn wans(&self) -> BTreeSet<&str> {
        const WANS: &[Pattern] = &[Pattern::NatMasqueradeIpv4, Pattern::NatMasqueradeIpv6];
        self.of(WANS).filter_map(|found| found.variable("WAN")).collect()
    }

    /// Returns the interfaces towards LANs that reach the tunnel and are reached from it.
    pub fn lans(&self) -> BTreeSet<&str> {
        const LANS: &[Pattern] = &[Pattern::BidirectionalForwardingIpv4, Pattern::BidirectionalForwardingIpv6];
        self.of(LANS).filter_map(|found| found.variable("LAN")).collect()
    }

    /// Whether a hook makes routes.
    pub fn makes_routes(&self) -> bool {
        self.roles.routes
    }

    /// Whether a hook gives the interface addresses.
    pub fn makes_addresses(&self) -> bool {
        self.roles.addresses
    }

    /// Returns the files from which keys are read.
    pub fn key_files(&self) -> impl Iterator<Item = &str> {
        self.of(&[Pattern::KeyFromFile]).filter_map(|found| found.variable("FILE"))
    }

    /// Whether a hook does something that can't be told: a program of somebody's own, or a command that isn't recognised.
    pub fn is_opaque(&self) -> bool {
        self.unrecognised().next().is_some() || self.of(&[Pattern::Script]).next().is_some()
    }
}
