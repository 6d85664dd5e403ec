//! What is wanted of preshared keys: saying it, and listing what was said.

use std::collections::BTreeSet;

use serde::Serialize;

use super::history;
use super::links::{self, LinkOf};
use crate::db::{Database, Store};
use crate::model::{
    Action, Actor, AllPskRules, Event, PSK_EVERY_DAYS, PSK_NOTICE_DAYS, PskPolicy, PskRules, PskScope, PskTrigger,
    Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::error::similar;
use crate::ops::network::change::{Done, Mode, Outcome, carry_out, with_changes};
use crate::ops::network::difference::Difference;
use crate::ops::network::find;

/// Whose rules are meant, as they were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The network's.
    Network,
    /// Those of a group of nodes.
    Group(String),
    /// Those of a node.
    Node(String),
}

/// What is to be said; what isn't given stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Which links carry a preshared key.
    pub mode: Option<PskPolicy>,
    /// After how many days one is due for another.
    pub every_days: Option<u16>,
    /// So many days before that it is told of.
    pub notice_days: Option<u16>,
    /// What makes it due or replaces it.
    pub on: Option<BTreeSet<PskTrigger>>,
    /// Whether what was said before is forgotten first, so that it is inherited again.
    pub inherit: bool,
}

impl Wish {
    /// Whether nothing is asked for.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Says something else of preshared keys for the network, a group or a node. No key is made or replaced by it.
///
/// # Errors
/// For a group or node that there isn't, when nothing would change, and when a key is demanded of a link of which an end
/// can't be given one.
pub fn set(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    whose: &Whose,
    wish: &Wish,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "changed", mode, |scope| {
        let topology = scope.before;
        let (of, event) = find_scope(topology, whose)?;
        let known = scope.tx.psk_rules()?;
        let before = known.get(&of).cloned().unwrap_or_default();
        let mut done = Done {
            subjects: vec![format!("preshared-key policy of {}", history::name(topology, of))],
            ..Done::default()
        };
        let mut after = if wish.inherit { PskRules::default() } else { before.clone() };
        after.every_days = wish.every_days.or(after.every_days);
        after.notice_days = wish.notice_days.or(after.notice_days);
        after.on = wish.on.clone().or(after.on);
        if wish.every_days.is_some() && wish.on.is_none() {
            by_time(&mut after, &known, &mut done);
        }
        let mut network = topology.network.clone();
        match (of, wish.mode) {
            (PskScope::Network, Some(mode)) => network.psk = mode,
            (_, mode) => after.mode = mode.or(after.mode),
        }
        if after == before && network == topology.network {
            return Err(Error::Refused("the policy is like that already; nothing was changed".into()));
        }
        scope.tx.put_psk_rules(of, &after)?;
        let mut changes = differences(topology, of, &before, &after);
        done.differences.extend(changes.iter().cloned());
        if network.psk != topology.network.psk {
            scope.tx.update_network(&network)?;
            changes.push(Difference::of(
                String::new(),
                "psk",
                topology.network.psk.to_string(),
                network.psk.to_string(),
            ));
        }
        let after = Topology { network, ..topology.clone() };
        done.remarks.extend(remarks(topology, &known, &after, &scope.tx.psk_rules()?, &scope.tx.preshared_links()?));
        done.events.push(with_changes(event, &changes));
        Ok(done)
    })
}

/// Whoever says how often means that time alone makes keys due.
fn by_time(rules: &mut PskRules, known: &AllPskRules, done: &mut Done) {
    let inherited = || known.get(&PskScope::Network).and_then(|network| network.on.clone()).unwrap_or_default();
    let on = rules.on.get_or_insert_with(inherited);
    if on.insert(PskTrigger::TimeBased) {
        done.remarks.push("age makes keys due from now on: `time_based` is among the triggers".to_owned());
    }
}

fn find_scope(topology: &Topology, whose: &Whose) -> Result<(PskScope, Event), Error> {
    const ACTION: Action = Action::PskPolicyChanged;
    match whose {
        Whose::Network => Ok((PskScope::Network, Event::network(ACTION, &topology.network))),
        Whose::Node(wanted) => {
            let node = find::node(topology, wanted)?;
            Ok((PskScope::Node(node.id), Event::node(ACTION, node)))
        }
        Whose::Group(wanted) => {
            let found = topology.groups.iter().find(|group| group.name.as_str().eq_ignore_ascii_case(wanted));
            let group = found.ok_or_else(|| Error::UnknownGroup {
                name: wanted.clone(),
                similar: similar(wanted, topology.groups.iter().map(|group| &group.name)),
            })?;
            Ok((PskScope::Group(group.id), Event::group(ACTION, group)))
        }
    }
}

fn differences(topology: &Topology, of: PskScope, before: &PskRules, after: &PskRules) -> Vec<Difference> {
    let (was, is) = (history::values(before), history::values(after));
    let value = |side: &[(&'static str, String)], field: &str| {
        side.iter().find(|(own, _)| *own == field).map_or_else(|| "inherited".to_owned(), |(_, value)| value.clone())
    };
    let fields: BTreeSet<&'static str> = was.iter().chain(&is).map(|(field, _)| *field).collect();
    let name = history::name(topology, of);
    let all =
        fields.into_iter().map(|field| Difference::of(name.clone(), field, value(&was, field), value(&is, field)));
    all.filter(|difference| difference.before != difference.after).collect()
}

/// Says what follows for links: which lack the key that is demanded now, and which keep one that nobody asks for.
fn remarks(
    before: &Topology,
    rules_before: &AllPskRules,
    after: &Topology,
    rules: &AllPskRules,
    have: &[crate::model::LinkId],
) -> Vec<String> {
    let have: BTreeSet<_> = have.iter().copied().collect();
    let count = |topology: &Topology, rules: &AllPskRules, fits: &dyn Fn(&LinkOf<'_>) -> bool| {
        links::all(topology, rules).iter().filter(|link| fits(link)).count()
    };
    let lacks = |link: &LinkOf<'_>| link.wanted.mode.demands() && !have.contains(&link.id);
    let more = |link: &LinkOf<'_>| link.wanted.mode == PskPolicy::None && have.contains(&link.id);
    let mut remarks = Vec::new();
    let (was, is) = (count(before, rules_before, &lacks), count(after, rules, &lacks));
    if is > was {
        let (links, have, give) = if is == 1 { ("link", "has", "it") } else { ("links", "have", "them") };
        remarks.push(format!(
            "{is} {links} {have} no preshared key yet: `wg-friend psk status --due` names them, `wg-friend psk rotate --due` \
             gives {give} one"
        ));
    }
    let (was, is) = (count(before, rules_before, &more), count(after, rules, &more));
    if is > was {
        remarks.push(match is {
            1 => "1 link keeps the preshared key that it has: `none` is for new links".to_owned(),
            _ => format!("{is} links keep the preshared keys that they have: `none` is for new links"),
        });
    }
    remarks
}

/// What was said for one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// For what: `network`, `group` or `node`.
    pub scope: &'static str,
    /// What that is called.
    pub name: String,
    /// Which links carry a preshared key; `None` when that is inherited.
    pub mode: Option<PskPolicy>,
    /// After how many days one is due for another.
    pub every_days: Option<u16>,
    /// So many days before that it is told of.
    pub notice_days: Option<u16>,
    /// What makes it due or replaces it.
    pub on: Option<BTreeSet<PskTrigger>>,
    /// For how many links its mode decides.
    pub links: usize,
}

/// What was said, the network first, then groups and nodes by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// One entry a scope. The network's has a value for everything.
    pub policies: Vec<PolicyView>,
}

/// Lists what was said of preshared keys. Needs no passphrase.
///
/// # Errors
/// When the store can't be read.
pub fn list(database: &Database) -> Result<List, Error> {
    let (topology, mut rules) = (database.topology()?, database.psk_rules()?);
    let decided = links::all(&topology, &rules);
    let network = rules.entry(PskScope::Network).or_default();
    network.mode = Some(topology.network.psk);
    network.every_days.get_or_insert(PSK_EVERY_DAYS);
    network.notice_days.get_or_insert(PSK_NOTICE_DAYS);
    network.on.get_or_insert_default().insert(PskTrigger::Manual);
    let view = |(of, rules): (PskScope, PskRules)| {
        let name = history::name(&topology, of);
        let (scope, name) = match of {
            PskScope::Network => ("network", name.trim_start_matches("network ")),
            PskScope::Group(_) => ("group", name.trim_start_matches("group ")),
            PskScope::Node(_) => ("node", name.trim_start_matches("node ")),
        };
        PolicyView {
            scope,
            name: name.to_owned(),
            mode: rules.mode,
            every_days: rules.every_days,
            notice_days: rules.notice_days,
            on: rules.on,
            links: decided.iter().filter(|link| link.wanted.mode_of.contains(&of)).count(),
        }
    };
    let mut policies: Vec<PolicyView> = rules.into_iter().map(view).collect();
    let rank = |policy: &PolicyView| ["network", "group", "node"].iter().position(|scope| *scope == policy.scope);
    policies.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    Ok(List { policies })
}
