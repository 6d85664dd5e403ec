//! The history of the model: its states, what concerned a node or host, and what differs between two of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{adopted, defaults, difference, find, group, interface};
use crate::db::{self, Database, Deployment, Model, State, StateFilter};
use crate::model::{
    Destination, Egress, ExitGroup, Group, Host, Interface, InterfaceId, InterfaceKind, Kept, LinkId, Name, Node,
    RuleAction, Topology,
};
use crate::ops::Error;
use crate::ops::error::similar;
use crate::ops::{exit, host, psk};

/// What kind of thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The network's own values.
    Network,
    /// A machine.
    Host,
    /// A member of the network.
    Node,
    /// A group of nodes.
    Group,
    /// A group of exits.
    ExitGroup,
    /// A link beside those that follow from roles.
    Link,
    /// A link's preshared key.
    PresharedKey,
    /// The file that an adopted interface came with.
    Configuration,
    /// What is said of preshared keys beside the network's own word.
    PskRules,
}

impl What {
    /// Returns it in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Host => "host",
            Self::Node => "node",
            Self::Group => "group",
            Self::ExitGroup => "exit group",
            Self::Link => "link",
            Self::PresharedKey => "preshared key of",
            Self::Configuration => "configuration of",
            Self::PskRules => "preshared-key policy of",
        }
    }
}

/// How it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It wasn't there.
    Added,
    /// It is another.
    Changed,
    /// It isn't there any more.
    Removed,
}

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// As `set` names it.
    pub field: String,
    /// What it was; `None` when there was none.
    pub before: Option<String>,
    /// What it is; `None` when there is none.
    pub after: Option<String>,
}

/// One thing that differs between two states. Nothing secret: of keys, the public halves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// What kind of thing.
    pub what: What,
    /// What it is called, or was before it was removed.
    pub name: String,
    /// How it differs.
    pub how: How,
    /// Its values that differ.
    pub fields: Vec<Field>,
    /// Whether it came or went along with a node that is told of as well.
    pub along: bool,
}

/// A state, and what it changed of the thing that was asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The state.
    #[serde(flatten)]
    pub state: State,
    /// What it changed of it; empty when the change was about a link or the like.
    pub changes: Vec<Changed>,
}

/// What concerned a node or host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// As it was asked for.
    pub name: String,
    /// The states that changed it, the newest first.
    pub states: Vec<Entry>,
    /// What was deployed to the host of that name, the newest first.
    pub versions: Vec<Deployment>,
}

/// One state in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The state.
    #[serde(flatten)]
    pub state: State,
    /// What it changed.
    pub changes: Vec<Changed>,
}

/// What differs between two states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The one.
    pub from: i64,
    /// The other.
    pub to: i64,
    /// What has to change for the one to become the other.
    pub changes: Vec<Changed>,
}

/// Lists the newest states, the newest first.
pub fn log(database: &Database, since: Option<DateTime<Utc>>, limit: u32) -> Result<Vec<State>, Error> {
    Ok(database.states(&StateFilter { since, limit: Some(limit), about: None })?)
}

/// Returns the state that takes the last change back: the one before it. Of a model that was brought back already it is the
/// one before the state that it was brought back to, so that taking back again goes further back; but states are those of all
/// networks, and one network that was brought back says nothing about another.
pub fn before_last(database: &Database) -> Result<Option<i64>, Error> {
    let Some(mut at) = database.newest_state()? else { return Ok(None) };
    if database.networks()?.len() == 1 {
        while let Some(earlier) = database.returned_to(at)?.filter(|earlier| *earlier < at) {
            at = earlier;
        }
    }
    Ok((at > 1).then(|| at - 1))
}

/// Lists what concerned the nodes and hosts that have or had a name, or the node whose guid begins so.
pub fn about(database: &Database, name: &str, since: Option<DateTime<Utc>>, limit: u32) -> Result<About, Error> {
    let topology = database.topology()?;
    let mut ever = database.ever_named(name)?;
    let known_host = topology.hosts.iter().find(|host| host.name.as_str().eq_ignore_ascii_case(name));
    let versions = match name.parse::<Name>() {
        Ok(exact) => database.deployments(known_host.map_or(&exact, |host| &host.name), limit)?,
        Err(_) => Vec::new(),
    };
    if ever.nodes.is_empty() && ever.hosts.is_empty() && known_host.is_none() && versions.is_empty() {
        let node = find::node(&topology, name).map_err(|error| unknown(error, name, &topology))?;
        ever.nodes.insert(node.id);
    }
    let states = database.states(&StateFilter { since, limit: Some(limit), about: Some(ever.clone()) })?;
    let mut changes: BTreeMap<i64, Vec<Changed>> = BTreeMap::new();
    for id in &ever.nodes {
        let steps = database.node_steps(*id)?;
        let around = with_gone(database, &topology, steps.iter().filter_map(|(_, node)| node.as_ref()))?;
        let mut before: Option<&Node> = None;
        for (state, after) in &steps {
            let after = after.as_ref();
            changes.entry(*state).or_default().extend(of_node(before, after, &around, &around));
            before = after;
        }
    }
    for row in &ever.hosts {
        let mut before: Option<Host> = None;
        for (state, after) in database.host_steps(*row)? {
            changes.entry(state).or_default().extend(of_host(before.as_ref(), after.as_ref()));
            before = after;
        }
    }
    let entry = |state: State| Entry { changes: changes.remove(&state.number).unwrap_or_default(), state };
    Ok(About { name: name.to_owned(), states: states.into_iter().map(entry).collect(), versions })
}

fn unknown(error: Error, name: &str, topology: &Topology) -> Error {
    let names = topology.nodes.iter().map(|node| &node.name).chain(topology.hosts.iter().map(|host| &host.name));
    match error {
        Error::UnknownNode { .. } => Error::UnknownNode { name: name.to_owned(), similar: similar(name, names) },
        other => other,
    }
}

/// Adds what nodes referred to and what is gone, so that it can be named: exits, servers, and what grants lead to.
fn with_gone<'a>(
    database: &Database,
    topology: &Topology,
    nodes: impl Iterator<Item = &'a Node>,
) -> Result<Topology, Error> {
    let (mut gone, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for node in nodes {
        gone.extend(node.exit.map(Egress::nodes).unwrap_or_default().into_iter().chain(node.server));
        for rule in &node.exit_rules {
            if let RuleAction::Exit(exit) = rule.action {
                gone.insert(exit);
            }
        }
        for grant in &node.grants {
            match grant.destination {
                Destination::Prefix(_) => {}
                Destination::Node(id) => _ = gone.insert(id),
                Destination::Group(id) => _ = groups.insert(id),
            }
        }
    }
    let mut around = topology.clone();
    for id in gone.into_iter().filter(|id| topology.node(*id).is_none()) {
        around.nodes.extend(database.last_known(id)?);
    }
    around.nodes.sort_by_key(|node| node.id);
    for id in groups.into_iter().filter(|id| topology.group(*id).is_none()) {
        around.groups.extend(database.last_known_group(id)?);
    }
    around.groups.sort_by_key(|group| group.id);
    for group in database.exit_groups_ever()?.into_iter().filter(|id| topology.exit_group(*id).is_none()) {
        let last = database.exit_group_steps(group)?.into_iter().filter_map(|(_, group)| group).next_back();
        around.exit_groups.extend(last);
    }
    Ok(around)
}

/// Says what a state changed.
pub fn show(database: &Database, number: i64) -> Result<Shown, Error> {
    let state = find(database, number)?;
    let after = database.model_at(number)?;
    let before = match number {
        1 => None,
        _ => match database.model_at(number - 1) {
            Err(db::Error::NotThen { .. }) => None, // the state made the network
            before => Some(before?),
        },
    };
    let changes = difference(before.as_ref(), &after);
    Ok(Shown { state, changes })
}

/// Compares two states.
pub fn diff(database: &Database, from: i64, to: Option<i64>) -> Result<Diff, Error> {
    find(database, from)?;
    let to = find(database, to.or(database.newest_state()?).unwrap_or(from))?.number;
    let changes = difference(Some(&database.model_at(from)?), &database.model_at(to)?);
    Ok(Diff { from, to, changes })
}

/// Reads a state that has to be there.
pub(super) fn find(database: &Database, number: i64) -> Result<State, Error> {
    match database.newest_state()? {
        Some(newest) if (1..=newest).contains(&number) => Ok(database.state(number)?),
        Some(newest) => Err(Error::RefusedWithRemedy {
            message: format!("there is no state {number}: the newest is {newest}"),
            hint: "`wg-friend history` lists them".into(),
        }),
        None => Err(Error::Refused(format!(
            "there is no state {number}: the history of this database begins with its next change"
        ))),
    }
}

/// Lists what differs between two states; without the first, all there is.
pub(in crate::ops) fn difference(before: Option<&Model>, after: &Model) -> Vec<Changed> {
    let mut changes = Vec::new();
    let network = before.map(|before| &before.topology.network);
    let was = before.map(|before| defaults::values(&before.topology).into_iter());
    let mut fields = compare(was.map(named), Some(named(defaults::values(&after.topology).into_iter())));
    if let Some(before) = network {
        fields.retain(|field| !defaults::is_renamed(&field.field, before, &after.topology.network));
    }
    if !fields.is_empty() {
        let how = if network.is_some() { How::Changed } else { How::Added };
        let name = after.topology.network.name.to_string();
        changes.push(Changed { what: What::Network, name, how, fields, along: false });
    }
    let empty = Model {
        hosts: BTreeMap::new(),
        preshared: BTreeMap::new(),
        adopted: BTreeMap::new(),
        psk_rules: BTreeMap::new(),
        ..after.clone()
    };
    let empty = Model {
        topology: Topology {
            nodes: vec![],
            hosts: vec![],
            links: vec![],
            groups: vec![],
            exit_groups: Vec::new(),
            ..empty.topology
        },
        ..empty
    };
    let before = before.unwrap_or(&empty);

    for row in keys(&before.hosts, &after.hosts) {
        changes.extend(of_host(before.hosts.get(&row), after.hosts.get(&row)));
    }
    let ids = |model: &Model| model.topology.nodes.iter().map(|node| node.id).collect::<BTreeSet<_>>();
    for id in ids(before).union(&ids(after)) {
        let pair = (before.topology.node(*id), after.topology.node(*id));
        changes.extend(of_node(pair.0, pair.1, &before.topology, &after.topology));
    }

    let groups = |model: &Model| model.topology.groups.iter().map(|group| (group.id, ())).collect::<BTreeMap<_, _>>();
    for id in keys(&groups(before), &groups(after)) {
        let (was, is) = (before.topology.group(id), after.topology.group(id));
        changes.extend(of_group(was, is, &before.topology, &after.topology));
    }
    let groups =
        |model: &Model| model.topology.exit_groups.iter().map(|group| (group.id, ())).collect::<BTreeMap<_, _>>();
    for id in keys(&groups(before), &groups(after)) {
        let pair = (before.topology.exit_group(id), after.topology.exit_group(id));
        changes.extend(of_exit_group(pair.0, pair.1, &before.topology, &after.topology));
    }

    let owners = Owners::of(before, after);
    let links = |model: &Model| {
        model.topology.links.iter().map(|link| (link.id, (link.weight, link.when_down))).collect::<BTreeMap<_, _>>()
    };
    owners.compare(What::Link, &links(before), &links(after), &mut changes);
    owners.compare(What::PresharedKey, &before.preshared, &after.preshared, &mut changes);
    let documents = |model: &Model| {
        let own = |id: InterfaceId| LinkId::between(id, id);
        model.adopted.iter().map(|(id, since)| (own(*id), *since)).collect::<BTreeMap<_, _>>()
    };
    owners.compare(What::Configuration, &documents(before), &documents(after), &mut changes);
    changes.extend(psk::history::differences(before, after));
    changes
}

fn keys<K: Ord + Copy, V>(a: &BTreeMap<K, V>, b: &BTreeMap<K, V>) -> BTreeSet<K> {
    a.keys().chain(b.keys()).copied().collect()
}

/// Whose interfaces are whose, in either of two states.
struct Owners {
    /// Node, its name, the interface's name, whether the node is in both states.
    interfaces: BTreeMap<InterfaceId, (String, String, bool)>,
}

impl Owners {
    fn of(before: &Model, after: &Model) -> Self {
        let mut interfaces = BTreeMap::new();
        for (one, other) in [(before, after), (after, before)] {
            for node in &one.topology.nodes {
                for interface in &node.interfaces {
                    let in_both = other
                        .topology
                        .node(node.id)
                        .is_some_and(|node| node.interfaces.iter().any(|i| i.id == interface.id));
                    interfaces.insert(interface.id, (node.name.to_string(), interface.name.to_string(), in_both));
                }
            }
        }
        Self { interfaces }
    }

    fn name(&self, id: InterfaceId) -> String {
        self.interfaces.get(&id).map_or_else(|| format!("number {}", id.0), |(node, ..)| node.clone())
    }

    /// Compares what stands at links; what stands at one interface has it at both ends.
    fn compare<V: PartialEq>(
        &self,
        what: What,
        before: &BTreeMap<LinkId, V>,
        after: &BTreeMap<LinkId, V>,
        changes: &mut Vec<Changed>,
    ) {
        for link in keys(before, after) {
            let how = match (before.get(&link), after.get(&link)) {
                (Some(was), Some(is)) if was == is => continue,
                (Some(_), Some(_)) => How::Changed,
                (None, _) => How::Added,
                (_, None) => How::Removed,
            };
            let (low, high) = link.ends();
            let stays = |id| self.interfaces.get(&id).is_some_and(|(.., in_both)| *in_both);
            let name = match self.interfaces.get(&low) {
                Some((node, interface, _)) if low == high => format!("{node} {interface}"),
                _ => format!("{} – {}", self.name(low), self.name(high)),
            };
            let along = how != How::Changed && !(stays(low) && stays(high));
            changes.push(Changed { what, name, how, fields: Vec::new(), along });
        }
    }
}

fn of_host(before: Option<&Host>, after: Option<&Host>) -> Option<Changed> {
    let values = |host: &Host| named(host::values(host).into_iter());
    let fields = compare(before.map(values), after.map(values));
    changed(What::Host, before.map(|h| h.name.to_string()), after.map(|h| h.name.to_string()), fields)
}

fn of_group(before: Option<&Group>, after: Option<&Group>, was: &Topology, is: &Topology) -> Option<Changed> {
    let values = |group: &Group, topology: &Topology| named(group::values(group, topology).into_iter());
    let mut fields = compare(before.map(|group| values(group, was)), after.map(|group| values(group, is)));
    if let (Some(before), Some(after)) = (before, after) {
        fields.retain(|field| !group::is_renamed(&field.field, before, after));
    }
    let name = |group: &Group| group.name.to_string();
    changed(What::Group, before.map(name), after.map(name), fields)
}

fn of_exit_group(
    before: Option<&ExitGroup>,
    after: Option<&ExitGroup>,
    was: &Topology,
    is: &Topology,
) -> Option<Changed> {
    let values = |group: &ExitGroup, topology: &Topology| named(exit::groups::values(group, topology).into_iter());
    let fields = compare(before.map(|group| values(group, was)), after.map(|group| values(group, is)));
    let name = |group: &ExitGroup| group.name.to_string();
    changed(What::ExitGroup, before.map(name), after.map(name), fields)
}

fn of_node(before: Option<&Node>, after: Option<&Node>, was: &Topology, is: &Topology) -> Option<Changed> {
    let mut fields = compare(before.map(|node| values(node, was)), after.map(|node| values(node, is)));
    if let (Some(before), Some(after)) = (before, after) {
        fields.retain(|field| !difference::is_renamed(&field.field, before, after));
        let kept = |node: &Node| -> BTreeMap<InterfaceId, Kept> {
            let untold = |interface: &Interface| Some((interface.id, untold(interface.kept.as_ref()?)));
            node.interfaces.iter().filter_map(untold).filter(|(_, kept)| !kept.is_nothing()).collect()
        };
        if kept(before) != kept(after) && fields.iter().all(|field| field.field != "kept") {
            let words = adopted::in_words(after);
            fields.push(Field {
                field: "kept".into(),
                after: Some(format!("{words}, in other details")),
                before: Some(words),
            });
        }
    }
    changed(What::Node, before.map(|n| n.name.to_string()), after.map(|n| n.name.to_string()), fields)
}

/// What an interface keeps, without what is told by name.
fn untold(kept: &Kept) -> Kept {
    let nothing = Kept::made();
    Kept {
        run: nothing.run,
        addresses: nothing.addresses,
        table: nothing.table,
        mtu: nothing.mtu,
        fwmark: nothing.fwmark,
        hooks: nothing.hooks,
        by_hooks: nothing.by_hooks,
        ..kept.clone()
    }
}

fn changed(what: What, before: Option<String>, after: Option<String>, fields: Vec<Field>) -> Option<Changed> {
    let (name, how) = match (before, after) {
        (None, None) => return None,
        (Some(_), Some(_)) if fields.is_empty() => return None,
        (Some(_), Some(after)) => (after, How::Changed),
        (None, Some(after)) => (after, How::Added),
        (Some(before), None) => (before, How::Removed),
    };
    Some(Changed { what, name, how, fields, along: false })
}

/// Values by name.
type Values = Vec<(String, String)>;

fn named(values: impl Iterator<Item = (&'static str, String)>) -> Values {
    values.map(|(field, value)| (field.to_owned(), value)).collect()
}

/// Returns all that is said of a node: what `set` can change, its role, and its uplinks.
fn values(node: &Node, topology: &Topology) -> Values {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut values: Values = vec![("role".into(), node.role.to_string())];
    values.extend(named(difference::values(node, topology).into_iter()));
    values.push(("provisional".into(), yes_or_no(node.provisional)));
    values.extend(interface::kept_values(node));
    for uplink in &node.interfaces {
        let InterfaceKind::Uplink(exit) = uplink.kind else { continue };
        let exit = topology.node(exit).map_or_else(|| format!("number {}", exit.0), |exit| exit.name.to_string());
        let port = uplink.listen_port.map_or_else(|| "none".to_owned(), |port| port.to_string());
        values.push((format!("uplink to {exit}"), format!("{} port {port} key {}", uplink.name, uplink.public_key)));
    }
    values
}

/// Values that go without saying of something that is new or gone.
const PLAIN: [&str; 7] = ["", "none", "nothing", "network", "no", "off", "default"];
/// Further ones, by name.
const USUAL: [(&str, &str); 3] = [("enabled", "yes"), ("access", "full"), ("custody", "held")];

/// Compares values by name. Of something that is new or gone, what goes without saying is left out.
fn compare(before: Option<Values>, after: Option<Values>) -> Vec<Field> {
    let is_pair = before.is_some() && after.is_some();
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let value = |values: &Values, field: &str| {
        let found = values.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone());
        found.filter(|value| is_pair || !(PLAIN.contains(&value.as_str()) || USUAL.contains(&(field, value))))
    };
    let gone = before.iter().filter(|(field, _)| after.iter().all(|(other, _)| other != field));
    let fields = after.iter().chain(gone).map(|(field, _)| field);
    fields
        .filter_map(|field| {
            let (was, is) = (value(&before, field), value(&after, field));
            (was != is).then(|| Field { field: field.clone(), before: was, after: is })
        })
        .collect()
}
