//! Groups of exits: adding, changing and removing them.

use chrono::{DateTime, Utc};

use super::{rules, stranded};
use crate::db::Store;
use crate::model::{
    Action, ActiveExit, Actor, Egress, Event, ExitGroup, ExitMember, Name, Node, NodeId, Role, RuleAction,
    SwitchReason, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::error::which_key;
use crate::ops::network::change::{Done, Mode, Outcome, Scope, carry_out, with_changes};
use crate::ops::network::difference::{Difference, compare};
use crate::ops::network::find;
use crate::ops::network::setting::{Change, split};

/// The keys of a group, with what they take. Aliases follow the name.
pub const KEYS: &[(&str, &[&str], &str)] = &[
    ("name", &[], "what it is called"),
    ("exits", &["exit", "members", "member"], "its exits, with commas: EXIT[=PRIORITY]; also +=, -=; `none`"),
    ("enable", &[], "an exit of it that it may go by again"),
    ("disable", &[], "an exit of it that it may not go by"),
];

/// An exit of a group as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The exit's name.
    pub exit: String,
    /// Its rank, the lowest first; `None` is the usual one, or the one it has.
    pub priority: Option<u16>,
}

impl Wanted {
    /// Reads `EXIT[=PRIORITY]`.
    ///
    /// # Errors
    /// For a priority that is no number from 0 to 65535.
    pub fn read(label: &str, text: &str) -> Result<Self, Error> {
        let (exit, priority) = match text.split_once('=') {
            None => (text, None),
            Some((exit, priority)) => {
                let wrong = |_| Error::value(label, format!("`{priority}` is no priority: a number up to 65535"));
                (exit, Some(priority.trim().parse().map_err(wrong)?))
            }
        };
        if exit.trim().is_empty() {
            return Err(Error::value(label, "is empty; an exit is given as EXIT or EXIT=PRIORITY"));
        }
        Ok(Self { exit: exit.trim().to_owned(), priority })
    }
}

/// One thing to set on a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What it is called.
    Name(Name),
    /// Forget all its exits.
    Clear,
    /// A further exit, or another priority for one it has.
    Put(Wanted),
    /// One exit less.
    Take(String),
    /// Whether it may go by one of its exits.
    Enable(String, bool),
}

/// Reads assignments in order.
///
/// # Errors
/// For a key or value that isn't one.
pub fn parse_all<'a>(assignments: impl IntoIterator<Item = &'a str>) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    for assignment in assignments {
        let (key, change, value) = split(assignment)?;
        settings.extend(parse(key, change, value)?);
    }
    Ok(settings)
}

fn parse(label: &str, change: Change, value: &str) -> Result<Vec<Setting>, Error> {
    let key = label.to_ascii_lowercase();
    let Some((name, ..)) = KEYS.iter().find(|(name, aliases, _)| *name == key || aliases.contains(&key.as_str()))
    else {
        let known: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
        return Err(Error::Value {
            what: format!("`{label}`"),
            reason: "a group of exits has no such key".into(),
            hint: Some(which_key(&key, &known)),
        });
    };
    if change != Change::Set && *name != "exits" {
        return Err(Error::value(label, "has one value: use `=`, not `+=` or `-=`"));
    }
    if value.is_empty() {
        return Err(Error::value(label, "is empty; see `wg-friend exit group set --help` for what it takes"));
    }
    let items = || value.split(',').map(|item| Wanted::read(label, item));
    Ok(match (*name, change) {
        ("name", _) => vec![Setting::Name(value.parse().map_err(|e| Error::value(label, e))?)],
        ("enable", _) => vec![Setting::Enable(value.to_owned(), true)],
        ("disable", _) => vec![Setting::Enable(value.to_owned(), false)],
        (_, Change::Set) if value == "none" => vec![Setting::Clear],
        (_, Change::Set) => {
            let put = items().map(|item| item.map(Setting::Put)).collect::<Result<Vec<_>, _>>()?;
            [Setting::Clear].into_iter().chain(put).collect()
        }
        (_, Change::Add) => items().map(|item| item.map(Setting::Put)).collect::<Result<_, _>>()?,
        (_, Change::Remove) => {
            items().map(|item| item.map(|item| Setting::Take(item.exit))).collect::<Result<_, _>>()?
        }
    })
}

/// Adds a group of exits. It goes by the preferred one.
///
/// # Errors
/// For a name that is taken, and for members that are no exits.
pub fn add(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    name: &Name,
    members: &[Wanted],
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "added", mode, |scope| {
        find::check_name(scope.before, name, None)?;
        let mut group = ExitGroup::new(name.clone());
        for wanted in members {
            put(&mut group, wanted, scope.before)?;
        }
        settle(&mut group, scope.before, scope.now);
        scope.tx.insert_exit_group(&group)?;
        let changes = compared(None, Some(&group), scope.before);
        let event = Event::exit_group(Action::ExitGroupAdded, name)
            .with("exits", members_in_words(&group, scope.before).join(", "));
        Ok(Done { events: vec![event], differences: changes, ..Done::default() })
    })
}

/// Changes a group of exits.
///
/// # Errors
/// When nothing would change, for a name that is taken, and for members that are no exits.
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &str,
    settings: &[Setting],
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let before = find::exit_group(scope.before, wanted)?;
        let mut group = before.clone();
        for setting in settings {
            apply(setting, &mut group, before, scope.before)?;
        }
        settle(&mut group, scope.before, scope.now);
        save(scope, before, &group)
    })
}

/// Saves a group that was changed, with its entry in the audit log.
fn save(scope: &Scope<'_>, before: &ExitGroup, after: &ExitGroup) -> Result<Done, Error> {
    let changes = compared(Some(before), Some(after), scope.before);
    if changes.is_empty() {
        return Err(Error::Refused(format!(
            "the exit group `{}` is like that already; nothing was changed",
            after.name
        )));
    }
    scope.tx.update_exit_group(after)?;
    let event = with_changes(Event::exit_group(Action::ExitGroupUpdated, &after.name), &changes);
    Ok(Done { events: vec![event], differences: changes, ..Done::default() })
}

fn apply(setting: &Setting, group: &mut ExitGroup, before: &ExitGroup, topology: &Topology) -> Result<(), Error> {
    match setting {
        Setting::Name(name) => {
            if !name.as_str().eq_ignore_ascii_case(before.name.as_str()) {
                find::check_name(topology, name, None)?;
            }
            group.name = name.clone();
        }
        Setting::Clear => group.members.clear(),
        Setting::Put(wanted) => {
            let known = before.members.iter().find(|m| is_called(topology, m.exit, &wanted.exit)).copied();
            if let Some(known) = known
                && group.member(known.exit).is_none()
            {
                group.put(known); // it was cleared together with the others: what was said of it stays
            }
            put(group, wanted, topology)?;
        }
        Setting::Take(name) => {
            let member = member(group, name, topology)?;
            group.members.retain(|other| other.exit != member.exit);
        }
        Setting::Enable(name, enabled) => {
            let member = member(group, name, topology)?;
            group.put(ExitMember { enabled: *enabled, ..member });
        }
    }
    Ok(())
}

fn is_called(topology: &Topology, exit: NodeId, name: &str) -> bool {
    find::node(topology, name).is_ok_and(|node| node.id == exit)
}

fn put(group: &mut ExitGroup, wanted: &Wanted, topology: &Topology) -> Result<(), Error> {
    let node = find::node(topology, &wanted.exit)?;
    if node.role != Role::Exit {
        return Err(Error::WrongRole { name: node.name.clone(), role: node.role.as_str(), wanted: "an exit" });
    }
    let known = group.member(node.id).copied();
    let known = known.unwrap_or(ExitMember { exit: node.id, priority: ExitMember::PRIORITY, enabled: true });
    group.put(ExitMember { priority: wanted.priority.unwrap_or(known.priority), ..known });
    Ok(())
}

/// Returns the member of a name.
pub(super) fn member(group: &ExitGroup, name: &str, topology: &Topology) -> Result<ExitMember, Error> {
    let node = find::node(topology, name)?;
    group.member(node.id).copied().ok_or_else(|| Error::RefusedWithRemedy {
        message: format!("`{}` is not in the exit group `{}`", node.name, group.name),
        hint: match node.role {
            Role::Exit => format!("`wg-friend exit group set {} exits+={}` adds it", group.name, node.name),
            _ => format!("`wg-friend exit group show {}` lists what is", group.name),
        },
    })
}

/// Sees to it that a group was told to go by one of its exits, if it has any.
pub(in crate::ops) fn settle(group: &mut ExitGroup, topology: &Topology, now: DateTime<Utc>) {
    if group.active.is_some_and(|active| group.member(active.exit).is_some()) {
        return;
    }
    let reason = if group.active.is_some() { SwitchReason::MemberRemoved } else { SwitchReason::InitialAssignment };
    let preferred = group.usable(topology).next().map(|node| node.id);
    let exit = preferred.or_else(|| group.members.first().map(|member| member.exit));
    group.active = exit.map(|exit| ActiveExit { exit, since: now, reason });
}

/// Removes groups of exits.
///
/// # Errors
/// While somebody leaves by one of them.
pub fn remove(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &[String],
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "removed", mode, |scope| {
        let mut done = Done::default();
        let mut gone = Vec::new();
        for name in wanted {
            let group = find::exit_group(scope.before, name)?;
            if gone.contains(&group.id) {
                continue;
            }
            refuse_if_used(group, scope.before)?;
            scope.tx.delete_exit_group(group.id)?;
            done.events.push(Event::exit_group(Action::ExitGroupRemoved, &group.name));
            done.differences.extend(compared(Some(group), None, scope.before));
            gone.push(group.id);
        }
        Ok(done)
    })
}

fn refuse_if_used(group: &ExitGroup, topology: &Topology) -> Result<(), Error> {
    let way = Egress::Group(group.id);
    let mut users: Vec<&str> = topology.nodes.iter().filter(|n| n.exit == Some(way)).map(|n| n.name.as_str()).collect();
    if topology.network.exit == way {
        users.insert(0, "network");
    }
    rules::refuse_if_used(topology, &[], |action| action == RuleAction::Group(group.id))?;
    let Some(first) = users.first() else { return Ok(()) };
    Err(Error::RefusedWithRemedy {
        message: format!("by the exit group `{}` leaves the internet traffic of {}", group.name, users.join(", ")),
        hint: format!("give them another way first: `wg-friend exit assign {first} EXIT`, or `none`"),
    })
}

/// Takes nodes that are to be removed out of every group.
///
/// # Errors
/// When a group would have none left that can be used, and somebody leaves by it or not at all.
pub(in crate::ops) fn detach(scope: &Scope<'_>, gone: &[&Node], done: &mut Done) -> Result<(), Error> {
    for before in &scope.before.exit_groups {
        let mut group = before.clone();
        group.members.retain(|member| gone.iter().all(|node| node.id != member.exit));
        if group.members.len() == before.members.len() {
            continue;
        }
        stranded::refuse(before, &group, scope.before, gone)?;
        settle(&mut group, scope.before, scope.now);
        let saved = save(scope, before, &group)?;
        done.events.extend(saved.events);
        done.differences.extend(saved.differences);
    }
    Ok(())
}

/// Returns what is set on a group, as text by key.
pub fn values(group: &ExitGroup, topology: &Topology) -> Vec<(&'static str, String)> {
    let active = group.active.and_then(|active| topology.node(active.exit));
    vec![
        ("name", group.name.to_string()),
        ("exits", members_in_words(group, topology).join(", ")),
        ("active", active.map_or_else(|| "none".into(), |node| node.name.to_string())),
    ]
}

fn members_in_words(group: &ExitGroup, topology: &Topology) -> Vec<String> {
    let words = group.members.iter().map(|member| {
        let name =
            topology.node(member.exit).map_or_else(|| format!("number {}", member.exit.0), |n| n.name.to_string());
        let state = if member.enabled { "" } else { " (disabled)" };
        if member.priority == ExitMember::PRIORITY {
            format!("{name}{state}")
        } else {
            format!("{name}={}{state}", member.priority)
        }
    });
    words.collect()
}

/// Returns what differs between two states of a group; of one that is new or gone, all but its name.
pub(super) fn compared(before: Option<&ExitGroup>, after: Option<&ExitGroup>, topology: &Topology) -> Vec<Difference> {
    let Some(newest) = after.or(before) else { return Vec::new() };
    let state = |group: &ExitGroup| (values(group, topology), vec![("exits", members_in_words(group, topology))]);
    compare(newest.name.as_str(), before.map(state), after.map(state))
}
