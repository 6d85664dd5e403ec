//! Rules for internet traffic by destination: adding, ordering, removing and listing them.

use serde::Serialize;

use crate::db::{Database, Store};
use crate::model::{
    Action, Actor, Cidr, Event, ExitRule, Group, Name, Network, Node, PortRange, Protocol, Role, RuleAction,
    RuleHolder, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::error::similar;
use crate::ops::network::change::{Done, Mode, Outcome, Scope, carry_out, with_changes};
use crate::ops::network::{defaults, difference, find, group, view};
use crate::wg::compile::{Way, ways};

use super::assign::NETWORK;

/// What a rule is to say.
#[derive(Clone, Debug)]
pub struct Wanted<'w> {
    /// Where to: prefixes and addresses with commas, or `internet`.
    pub destination: &'w str,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; empty means all.
    pub ports: Vec<PortRange>,
    /// An exit, a group of exits, `direct` or `block`.
    pub action: &'w str,
}

/// Which rules to remove.
#[derive(Clone, Debug)]
pub enum Which {
    /// Those at these places, counted from 1.
    At(Vec<usize>),
    /// All.
    All,
}

/// Adds a rule, at a place counted from 1, or behind all others.
///
/// # Errors
/// For a destination, an exit or a place that can't be, and when there is such a rule already.
pub fn add(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    (subject, wanted): (&str, &Wanted<'_>),
    place: Option<usize>,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let holder = holder(scope.before, subject)?;
        let rule = read(wanted, scope.before)?;
        let mut rules = holder.rules(scope.before).to_vec();
        let last = rules.len() + 1;
        let place = place.unwrap_or(last);
        if !(1..=last).contains(&place) {
            return Err(Error::value("--position", format!("{place} is no place: {holder} has places 1 to {last}")));
        }
        if let Some(at) = rules.iter().position(|other| other.fits_same(&rule)) {
            return Err(Error::RefusedWithRemedy {
                message: format!("rule {} of {holder} fits just that already: {rule}", at + 1),
                hint: format!("remove that one first: `wg-friend exit rule remove {} {}`", holder.name(), at + 1),
            });
        }
        rules.insert(place - 1, rule);
        let mut done = save(scope, holder, &rules)?;
        done.remarks.extend(remarks(scope.before, holder, &rules, place));
        Ok(done)
    })
}

/// Removes rules.
///
/// # Errors
/// For a place that has none, and when there are none.
pub fn remove(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    (subject, which): (&str, &Which),
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let holder = holder(scope.before, subject)?;
        let rules = holder.rules(scope.before);
        let goes = |place: usize| match which {
            Which::All => true,
            Which::At(places) => places.contains(&place),
        };
        match which {
            Which::All if rules.is_empty() => {
                return Err(Error::Refused(format!("{holder} has no rules of its own; nothing was changed")));
            }
            Which::All => {}
            Which::At(places) => places.iter().try_for_each(|place| known(holder, rules, *place))?,
        }
        let kept = (1..).zip(rules).filter(|(place, _)| !goes(*place)).map(|(_, rule)| rule.clone());
        save(scope, holder, &kept.collect::<Vec<_>>())
    })
}

/// Gives a rule another place among those of its holder.
///
/// # Errors
/// For a place that has none, and when it stands there already.
pub fn reorder(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    (subject, from, to): (&str, usize, usize),
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let holder = holder(scope.before, subject)?;
        let mut rules = holder.rules(scope.before).to_vec();
        known(holder, &rules, from)?;
        known(holder, &rules, to)?;
        if from == to {
            return Err(Error::Refused(format!("rule {from} of {holder} stands there already; nothing was changed")));
        }
        let rule = rules.remove(from - 1);
        rules.insert(to - 1, rule);
        let mut done = save(scope, holder, &rules)?;
        done.remarks.extend(remarks(scope.before, holder, &rules, to));
        Ok(done)
    })
}

/// Refuses a place that has no rule.
fn known(holder: RuleHolder<'_>, rules: &[ExitRule], place: usize) -> Result<(), Error> {
    if (1..=rules.len()).contains(&place) {
        return Ok(());
    }
    Err(Error::RefusedWithRemedy {
        message: format!("{holder} has no rule {place}"),
        hint: format!("`wg-friend exit rule list {}` shows their places", holder.name()),
    })
}

/// Finds whose rules are meant: the network's, a group's or a remote's.
fn holder<'a>(topology: &'a Topology, subject: &str) -> Result<RuleHolder<'a>, Error> {
    if subject.eq_ignore_ascii_case(NETWORK) {
        return Ok(RuleHolder::Network);
    }
    let group = topology.groups.iter().find(|group| group.name.as_str().eq_ignore_ascii_case(subject));
    if let Some(group) = group {
        return Ok(RuleHolder::Group(group));
    }
    let node = find::node(topology, subject).map_err(|error| match error {
        Error::UnknownNode { name, .. } => {
            let names = topology.nodes.iter().map(|node| &node.name).chain(topology.groups.iter().map(|g| &g.name));
            Error::UnknownNode { similar: similar(&name, names), name }
        }
        other => other,
    })?;
    match node.role {
        Role::Remote => Ok(RuleHolder::Node(node)),
        role => Err(Error::WrongRole {
            name: node.name.clone(),
            role: role.as_str(),
            wanted: "a remote, a group of nodes or `network`",
        }),
    }
}

/// Reads a rule.
fn read(wanted: &Wanted<'_>, topology: &Topology) -> Result<ExitRule, Error> {
    let destinations = destinations(wanted.destination)?;
    let Wanted { protocol, ports, .. } = wanted;
    if !ports.is_empty() && !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
        return Err(Error::value("--port", format!("needs `--protocol tcp` or `udp`, not {protocol}")));
    }
    let ports = PortRange::merged(ports.clone());
    Ok(ExitRule { destinations, protocol: *protocol, ports, action: action(wanted.action, topology)? })
}

/// Reads prefixes and addresses with commas, or `internet` for everything.
fn destinations(text: &str) -> Result<Vec<Cidr>, Error> {
    if text.eq_ignore_ascii_case("internet") {
        return Ok(vec![Cidr::ALL4, Cidr::ALL6]);
    }
    let read = |text: &str| text.trim().parse().map_err(|error| Error::value("DESTINATION", error));
    let mut all = text.split(',').map(read).collect::<Result<Vec<Cidr>, Error>>()?;
    all.sort_unstable(); // a prefix comes before all that it holds
    let mut kept: Vec<Cidr> = Vec::with_capacity(all.len());
    for prefix in all {
        if !kept.last().is_some_and(|last| last.covers(&prefix)) {
            kept.push(prefix);
        }
    }
    Ok(kept)
}

/// Reads `direct`, `block`, or the name of an exit or a group of exits.
fn action(word: &str, topology: &Topology) -> Result<RuleAction, Error> {
    match word.to_ascii_lowercase().as_str() {
        "direct" => return Ok(RuleAction::Direct),
        "block" => return Ok(RuleAction::Block),
        _ => {}
    }
    let group = topology.exit_groups.iter().find(|group| group.name.as_str().eq_ignore_ascii_case(word));
    if let Some(group) = group {
        return Ok(RuleAction::Group(group.id));
    }
    let node = find::node(topology, word)?;
    match node.role {
        Role::Exit => Ok(RuleAction::Exit(node.id)),
        role => Err(Error::WrongRole {
            name: node.name.clone(),
            role: role.as_str(),
            wanted: "an exit, an exit group, `direct` (out at the server) or `block`",
        }),
    }
}

/// Saves the rules of a holder, with the entry in the audit log.
fn save(scope: &Scope<'_>, holder: RuleHolder<'_>, rules: &[ExitRule]) -> Result<Done, Error> {
    let before = scope.before;
    let (event, changes, done) = match holder {
        RuleHolder::Node(was) => {
            let node = Node { exit_rules: rules.to_vec(), ..was.clone() };
            scope.tx.update_node(&node, scope.now)?;
            let changes = difference::differences((was, before), (&node, before));
            (Event::node(Action::ExitRulesChanged, &node), changes, Done { nodes: vec![node.id], ..Done::default() })
        }
        RuleHolder::Group(was) => {
            let group = Group { exit_rules: rules.to_vec(), ..was.clone() };
            scope.tx.update_group(&group)?;
            let changes = group::difference(Some((was, before)), Some((&group, before)));
            let subjects = vec![format!("group {}", group.name)];
            (Event::group(Action::ExitRulesChanged, &group), changes, Done { subjects, ..Done::default() })
        }
        RuleHolder::Network => {
            let network = Network { exit_rules: rules.to_vec(), ..before.network.clone() };
            scope.tx.update_network(&network)?;
            let after = Topology { network: network.clone(), ..before.clone() };
            let changes = defaults::differences(before, &after);
            (Event::network(Action::ExitRulesChanged, &network), changes, Done::default())
        }
    };
    Ok(Done { events: vec![with_changes(event, &changes)], ..done })
}

/// Says what may surprise about the rule at a place.
fn remarks(topology: &Topology, holder: RuleHolder<'_>, rules: &[ExitRule], place: usize) -> Vec<String> {
    let mut remarks = Vec::new();
    let (before, [rule, after @ ..]) = rules.split_at(place - 1) else { return remarks };
    if let Some(first) = before.iter().position(|other| other.covers(rule)) {
        remarks.push(format!("rule {} comes first and fits all of it, so this one never decides", first + 1));
    }
    for (at, hidden) in (place + 1..).zip(after) {
        if rule.covers(hidden) {
            remarks.push(format!("it comes before rule {at} and fits all of that, which never decides now"));
        }
    }
    let whole = ExitRule { protocol: Protocol::Any, ports: Vec::new(), ..rule.clone() };
    let rest_is_ruled = rules.iter().any(|other| other.covers(&whole));
    let split = with_split_tunnel(topology, holder).filter(|_| !rest_is_ruled);
    if let Some(name) = split.filter(|_| !rule.is_carried()) {
        remarks.push(format!(
            "the tunnel of {name} carries the network alone: what the device sends by its own connection isn't blocked"
        ));
    } else if let Some(name) = split {
        let destinations = whole.to_string();
        remarks.push(format!(
            "the tunnel of {name} carries everything to {destinations} now, and what no rule fits ends at the server: \
             `wg-friend exit rule add {} {destinations} direct` lets the rest out there",
            holder.name()
        ));
    }
    if let Some(server) = view::with_own_rules(topology) {
        remarks.push(format!("the rules that `{server}` was adopted with decide there, and not these"));
    }
    remarks
}

/// Returns a remote to which the rules apply and whose tunnel carries the network alone.
fn with_split_tunnel<'a>(topology: &'a Topology, holder: RuleHolder<'_>) -> Option<&'a Name> {
    let applies = |node: &Node| match holder {
        RuleHolder::Node(own) => own.id == node.id,
        RuleHolder::Group(group) => group.members.contains(&node.id),
        RuleHolder::Network => true,
    };
    let mut ways = ways(topology).into_iter();
    ways.find(|(node, way)| matches!(way, Way::Split) && applies(node)).map(|(node, _)| &node.name)
}

/// Returns rules on one line, in their order.
pub fn in_words(topology: &Topology, rules: &[ExitRule]) -> String {
    let words = rules.iter().map(|rule| format!("{rule} {}", action_in_words(topology, rule.action)));
    words.collect::<Vec<_>>().join("; ")
}

fn action_in_words(topology: &Topology, action: RuleAction) -> String {
    match action {
        RuleAction::Exit(id) => {
            topology.node(id).map_or_else(|| format!("by exit number {}", id.0), |exit| format!("by {}", exit.name))
        }
        RuleAction::Group(id) => topology
            .exit_group(id)
            .map_or_else(|| format!("by exit group number {}", id.0), |group| format!("by {}", group.name)),
        RuleAction::Direct => "direct".into(),
        RuleAction::Block => "block".into(),
    }
}

/// What becomes of the packets that a rule fits, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// They leave by an exit.
    Exit,
    /// They leave by a group of exits.
    Group,
    /// They leave at the server.
    Direct,
    /// They end at the server.
    Block,
}

/// A rule as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleView {
    /// Whose it is: a remote, a group of nodes, or `network`.
    pub holder: String,
    /// Its place among the rules of its holder, counted from 1.
    pub place: usize,
    /// Where to.
    pub destinations: Vec<Cidr>,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; empty means all.
    pub ports: Vec<PortRange>,
    /// What becomes of it.
    pub action: Does,
    /// The exit or group that it names.
    pub by: Option<Name>,
    /// The exit by which it leaves now; `None` when it leaves by none, or none can be used and it ends at the server.
    pub now: Option<Name>,
}

impl RuleView {
    fn of(topology: &Topology, holder: RuleHolder<'_>, place: usize, rule: &ExitRule) -> Self {
        let (action, by, now) = match rule.action {
            RuleAction::Exit(id) => {
                let exit = topology.node(id);
                (Does::Exit, exit.map(|exit| &exit.name), exit.filter(|exit| exit.enabled).map(|exit| &exit.name))
            }
            RuleAction::Group(id) => {
                let group = topology.exit_group(id);
                let carrier = group.and_then(|group| group.carrier(topology));
                (Does::Group, group.map(|group| &group.name), carrier.map(|exit| &exit.name))
            }
            RuleAction::Direct => (Does::Direct, None, None),
            RuleAction::Block => (Does::Block, None, None),
        };
        Self {
            holder: holder.name().to_owned(),
            place,
            destinations: rule.destinations.clone(),
            protocol: rule.protocol,
            ports: rule.ports.clone(),
            action,
            by: by.cloned(),
            now: now.cloned(),
        }
    }
}

/// Rules as they are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// In the order in which they are asked, by holder.
    pub rules: Vec<RuleView>,
}

/// Lists rules: all, those of a group or the network, or all that hold for a remote.
///
/// # Errors
/// For a subject that there isn't, or that can't have rules.
pub fn list(database: &Database, subject: Option<&str>) -> Result<List, Error> {
    let topology = database.topology()?;
    let rules = match subject.map(|subject| holder(&topology, subject)).transpose()? {
        None => all(&topology),
        Some(RuleHolder::Node(node)) => {
            let view = |(holder, place, rule)| RuleView::of(&topology, holder, place, rule);
            topology.exit_rules_of(node).map(view).collect()
        }
        Some(holder) => of(&topology, holder),
    };
    Ok(List { rules })
}

fn of(topology: &Topology, holder: RuleHolder<'_>) -> Vec<RuleView> {
    let rules = (1..).zip(holder.rules(topology));
    rules.map(|(place, rule)| RuleView::of(topology, holder, place, rule)).collect()
}

/// Returns all rules: those of remotes and of groups by name, then the network's.
pub(super) fn all(topology: &Topology) -> Vec<RuleView> {
    let mut holders: Vec<RuleHolder<'_>> = topology.rule_holders().collect();
    let kind = |holder: &RuleHolder<'_>| match holder {
        RuleHolder::Node(_) => 0,
        RuleHolder::Group(_) => 1,
        RuleHolder::Network => 2,
    };
    holders.sort_by(|a, b| (kind(a), a.name()).cmp(&(kind(b), b.name())));
    holders.into_iter().flat_map(|holder| of(topology, holder)).collect()
}

/// Refuses to let go of exits or a group of exits by which rules of others go.
pub(in crate::ops) fn refuse_if_used(
    topology: &Topology,
    gone: &[&Node],
    is_gone: impl Fn(RuleAction) -> bool,
) -> Result<(), Error> {
    let stays = |holder: &RuleHolder<'_>| match holder {
        RuleHolder::Node(node) => gone.iter().all(|other| other.id != node.id),
        _ => true,
    };
    for holder in topology.rule_holders().filter(stays) {
        let Some(at) = holder.rules(topology).iter().position(|rule| is_gone(rule.action)) else { continue };
        let rule = &holder.rules(topology)[at];
        return Err(Error::RefusedWithRemedy {
            message: format!("rule {} of {holder} goes {}: {rule}", at + 1, action_in_words(topology, rule.action)),
            hint: format!("remove the rule first: `wg-friend exit rule remove {} {}`", holder.name(), at + 1),
        });
    }
    Ok(())
}
