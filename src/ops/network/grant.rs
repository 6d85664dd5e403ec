//! What nodes and groups may reach beyond their level: giving and taking it, for good or for a while.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;

use super::change::{Done, Mode, Outcome, Scope, carry_out, with_changes};
use super::group;
use super::{difference, setting};
use crate::db::{Database, Store};
use crate::model::{
    Access, Action, Actor, Destination, Event, Grant, Group, Name, Node, NodeId, PortRange, Protocol, Role, Topology,
};
use crate::ops::Error;
use crate::ops::clock::Clock;

/// What is to be granted, to whom, for how long and why.
#[derive(Clone, Debug)]
pub struct Wanted<'w> {
    /// The node or group that gets it.
    pub holder: &'w str,
    /// A node, a group, an address or a prefix.
    pub destination: &'w str,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; empty means all.
    pub ports: Vec<PortRange>,
    /// When it ends; `None` is never.
    pub until: Option<DateTime<Utc>>,
    /// What it is for; may be empty.
    pub note: String,
}

/// Which grants to take away.
#[derive(Clone, Debug)]
pub enum Which<'w> {
    /// All of a node's or group's own.
    AllOf(&'w str),
    /// Those of a holder that lead to a destination; with a protocol and ports, only those that open just these.
    To {
        /// The node or group that has them.
        holder: &'w str,
        /// The node, group, address or prefix that they lead to.
        destination: &'w str,
        /// What they open; `None` is whatever it is.
        flow: Option<(Protocol, Option<Vec<PortRange>>)>,
    },
    /// Those that are over, whoever had them.
    Over,
}

/// Whoever holds grants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holder<'a> {
    Node(&'a Node),
    Group(&'a Group),
}

impl Holder<'_> {
    fn name(&self) -> &Name {
        match self {
            Self::Node(node) => &node.name,
            Self::Group(group) => &group.name,
        }
    }

    fn grants(&self) -> &[Grant] {
        match self {
            Self::Node(node) => &node.grants,
            Self::Group(group) => &group.grants,
        }
    }
}

/// Grants something. Who has it already gets its new end and note.
///
/// # Errors
/// For a node that the server doesn't judge, for a time that is over, and when nothing would change.
pub fn grant(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    wanted: &Wanted<'_>,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "granted", mode, |scope| {
        let topology = scope.before;
        let holder = group::holder(topology, wanted.holder)?;
        let destination = destination(topology, wanted.destination)?;
        check(holder, destination)?;
        let until = wanted.until.map(|until| until.trunc_subsecs(0));
        refuse_end(until, scope.now)?;
        let note = setting::note("--note", &wanted.note)?;
        let ports = PortRange::merged(wanted.ports.clone());
        let new = Grant { destination, protocol: wanted.protocol, ports, until, note };
        if holder.grants().contains(&new) {
            return Err(Error::Refused(format!(
                "`{}` is granted just that already; nothing was changed",
                holder.name()
            )));
        }
        let mut grants = holder.grants().to_vec();
        match grants.iter_mut().find(|grant| grant.opens_same(&new)) {
            Some(same) => *same = new.clone(),
            None => grants.push(new.clone()),
        }
        let mut done = Done { remarks: remarks(topology, holder, &new), ..Done::default() };
        let own = Owner::of(holder);
        save(scope, &mut done, Some(own), |owner, kept| {
            if owner == own {
                *kept = grants.clone();
            }
            kept.retain(|grant| !grant.is_over(scope.now));
        })?;
        Ok(done)
    })
}

/// Refuses an end that is over, and one that no firewall can tell from one that is.
fn refuse_end(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), Error> {
    let Some(until) = until else { return Ok(()) };
    if until <= now {
        return Err(Error::value("the end of the grant", "that time is over"));
    }
    let latest = Grant::latest_end();
    if until > latest {
        return Err(Error::Value {
            what: "the end of the grant".into(),
            reason: format!("the clocks of firewalls end on {}", latest.format("%Y-%m-%d")),
            hint: Some("leave --until and --for away for a grant for good".into()),
        });
    }
    Ok(())
}

/// Takes grants away.
///
/// # Errors
/// When there is none like that.
pub fn revoke(
    store: &mut Store,
    clock: &dyn Clock,
    actor: &Actor,
    which: &Which<'_>,
    mode: Mode,
) -> Result<Outcome, Error> {
    carry_out(store, clock, actor, "revoked", mode, |scope| {
        let topology = scope.before;
        let own = match which {
            Which::Over => None,
            Which::AllOf(name) | Which::To { holder: name, .. } => Some(Owner::of(group::holder(topology, name)?)),
        };
        let goes: Box<dyn Fn(&Grant) -> bool> = match which {
            Which::Over => Box::new(|_| false),
            Which::AllOf(_) => Box::new(|_| true),
            Which::To { destination: text, flow, .. } => {
                let (to, flow) = (destination(topology, text)?, flow.clone());
                let fits = move |grant: &Grant| {
                    let same = |(protocol, ports): &(Protocol, Option<Vec<PortRange>>)| match ports {
                        Some(ports) => grant.flows_same(*protocol, ports),
                        None => grant.protocol == *protocol,
                    };
                    grant.destination == to && flow.as_ref().is_none_or(same)
                };
                Box::new(fits)
            }
        };
        let mut found = 0;
        let mut done = Done::default();
        save(scope, &mut done, own, |owner, kept| {
            let (before, now) = (kept.len(), scope.now);
            if own == Some(owner) {
                kept.retain(|grant| !goes(grant));
                found += before - kept.len();
            }
            let before = kept.len();
            kept.retain(|grant| !grant.is_over(now));
            if own.is_none() {
                found += before - kept.len();
            }
        })?;
        match (found, which) {
            (1.., _) => Ok(done),
            (_, Which::Over) => Err(Error::Refused("no grant is over; nothing was changed".into())),
            (_, Which::AllOf(holder) | Which::To { holder, .. }) => {
                let holder = group::holder(topology, holder)?;
                let name = holder.name();
                Err(Error::RefusedWithRemedy {
                    message: format!("`{name}` has no such grant; nothing was changed"),
                    hint: format!("`wg-friend grants {name}` lists what it has"),
                })
            }
        }
    })
}

/// Whose grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Node(NodeId),
    Group(crate::model::GroupId),
}

impl Owner {
    fn of(holder: Holder<'_>) -> Self {
        match holder {
            Holder::Node(node) => Self::Node(node.id),
            Holder::Group(group) => Self::Group(group.id),
        }
    }
}

/// Lets `edit` change the grants of each holder, and saves those that it did change. The change is about `own`; what it takes
/// from others along the way, because it is over, is only remarked. Without `own` it is about all.
fn save(
    scope: &Scope<'_>,
    done: &mut Done,
    own: Option<Owner>,
    mut edit: impl FnMut(Owner, &mut Vec<Grant>),
) -> Result<(), Error> {
    let mut over = Vec::new();
    let mut note_over = |name: &Name, was: &[Grant], is: &[Grant]| {
        let gone = was.iter().filter(|grant| !is.contains(grant));
        over.extend(gone.map(|grant| format!("{name} {}", in_words(scope.before, grant))));
    };
    let is_about = |owner: Owner| own.is_none_or(|own| own == owner);
    for before in &scope.before.nodes {
        let mut node = before.clone();
        edit(Owner::Node(node.id), &mut node.grants);
        if node != *before {
            scope.tx.update_node(&node, scope.now)?;
            let changes = difference::differences((before, scope.before), (&node, scope.before));
            done.events.push(with_changes(Event::node(Action::AccessChanged, &node), &changes));
            match is_about(Owner::Node(node.id)) {
                true => done.nodes.push(node.id),
                false => note_over(&node.name, &before.grants, &node.grants),
            }
        }
    }
    for before in &scope.before.groups {
        let mut group = before.clone();
        edit(Owner::Group(group.id), &mut group.grants);
        if group != *before {
            scope.tx.update_group(&group)?;
            let changes = group::difference(Some((before, scope.before)), Some((&group, scope.before)));
            done.events.push(with_changes(Event::group(Action::AccessChanged, &group), &changes));
            match is_about(Owner::Group(group.id)) {
                true => done.subjects.push(format!("group {}", group.name)),
                false => note_over(&group.name, &before.grants, &group.grants),
            }
        }
    }
    if !over.is_empty() {
        done.remarks.push(format!("grants that were over are gone: {}", over.join("; ")));
    }
    Ok(())
}

/// Finds where a grant is to lead: an address or a prefix, a group or a node.
pub(super) fn destination(topology: &Topology, text: &str) -> Result<Destination, Error> {
    if text.contains(['.', ':', '/'])
        && let Ok(prefix) = text.parse()
    {
        return Ok(Destination::Prefix(prefix));
    }
    match group::holder(topology, text) {
        Ok(Holder::Node(node)) => Ok(Destination::Node(node.id)),
        Ok(Holder::Group(group)) => Ok(Destination::Group(group.id)),
        Err(Error::UnknownName { .. }) if is_meant_as_prefix(text) => {
            setting::refuse_ports(DESTINATION, text)?;
            // It was meant as a prefix: say what is wrong with it.
            text.parse()
                .map(Destination::Prefix)
                .map_err(|error: crate::model::InvalidNet| Error::value(DESTINATION, error))
        }
        Err(error) => Err(error),
    }
}

/// What messages call where a grant leads.
const DESTINATION: &str = "the destination of a grant";

/// Whether a text that names nothing was meant as an address or a prefix.
fn is_meant_as_prefix(text: &str) -> bool {
    text.contains(['/', ':']) || (text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// Refuses grants that could have no effect.
fn check(holder: Holder<'_>, destination: Destination) -> Result<(), Error> {
    setting::refuse_internet(DESTINATION, destination)?;
    let Holder::Node(node) = holder else { return Ok(()) };
    if !matches!(node.role, Role::Remote | Role::Router) {
        return Err(Error::Refused(format!(
            "nothing can be granted to the {} `{}`: servers judge remotes and routers by grants, and nobody else",
            node.role, node.name
        )));
    }
    if node.access == Access::ExitOnly {
        return Err(Error::RefusedWithRemedy {
            message: format!(
                "`{}` has access exit-only: the exit is its only peer, and no server lets it in",
                node.name
            ),
            hint: format!("give it another level first: `wg-friend set {} access=custom`", node.name),
        });
    }
    if destination == Destination::Node(node.id) {
        return Err(Error::Refused(format!("`{}` reaches itself without a grant", node.name)));
    }
    Ok(())
}

/// Says what may surprise about a grant.
fn remarks(topology: &Topology, holder: Holder<'_>, grant: &Grant) -> Vec<String> {
    let mut remarks = Vec::new();
    match holder {
        Holder::Node(node) if node.access == Access::Full => remarks.push(format!(
            "`{}` has access full, which includes it already: the grant counts once the level is another",
            node.name
        )),
        Holder::Group(group) if group.members.is_empty() => {
            remarks.push(format!("`{0}` has no members yet: `wg-friend group add {0} NODE`", group.name))
        }
        _ => {}
    }
    let owners: Vec<&Node> = match grant.destination {
        Destination::Prefix(_) => Vec::new(),
        Destination::Node(id) => topology.node(id).into_iter().collect(),
        Destination::Group(id) => topology
            .group(id)
            .into_iter()
            .flat_map(|group| &group.members)
            .filter_map(|id| topology.node(*id))
            .collect(),
    };
    let lans = owners.iter().flat_map(|node| node.lans.iter().map(|lan| lan.cidr.to_string()));
    let lans: Vec<String> = lans.collect();
    if !lans.is_empty() {
        remarks.push(format!(
            "a node is granted with its own addresses alone; LANs behind it are granted by their prefix: {}",
            lans.join(", ")
        ));
    }
    if let Some(server) = super::view::with_own_rules(topology) {
        remarks.push(format!("the rules that `{server}` was adopted with decide there, and not grants"));
    }
    remarks
}

/// Returns where a grant leads, as it is typed.
fn destination_in_words(topology: &Topology, destination: Destination) -> String {
    let gone = || destination.to_string();
    match destination {
        Destination::Prefix(prefix) => prefix.to_string(),
        Destination::Node(id) => topology.node(id).map_or_else(gone, |node| node.name.to_string()),
        Destination::Group(id) => topology.group(id).map_or_else(gone, |group| group.name.to_string()),
    }
}

/// Returns a grant on one line: `printers tcp 631 until 2026-12-01 18:00:00 UTC (new driver)`.
pub fn in_words(topology: &Topology, grant: &Grant) -> String {
    GrantView::of(grant, topology).to_string()
}

/// A grant as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantView {
    /// Where it leads: a prefix, or the name of a node or a group.
    pub destination: String,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which ports; empty means all.
    pub ports: Vec<PortRange>,
    /// When it ends; `None` is never.
    pub until: Option<DateTime<Utc>>,
    /// What it is for.
    pub note: String,
}

impl GrantView {
    /// The view of a grant in its network.
    pub fn of(grant: &Grant, topology: &Topology) -> Self {
        Self {
            destination: destination_in_words(topology, grant.destination),
            protocol: grant.protocol,
            ports: grant.ports.clone(),
            until: grant.until,
            note: grant.note.clone(),
        }
    }

    /// Returns what it opens there: `tcp 22,443`.
    pub fn flow(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(PortRange::to_string).collect();
        format!("{} {}", self.protocol, ports.join(",")).trim_end().to_owned()
    }

    /// Returns when it ends: `2026-12-01 18:00:00 UTC`.
    pub fn end(&self) -> Option<String> {
        self.until.map(|until| until.format("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

impl std::fmt::Display for GrantView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.destination, self.flow())?;
        self.end().map_or(Ok(()), |end| write!(f, " until {end}"))?;
        if self.note.is_empty() { Ok(()) } else { write!(f, " ({})", self.note) }
    }
}

/// A grant with who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The node or group that has it.
    pub holder: Name,
    /// Whether that is a group.
    pub is_group: bool,
    /// What it opens.
    #[serde(flatten)]
    pub grant: GrantView,
    /// Whether it has ended: the servers let nobody through by it any more.
    pub over: bool,
}

/// The grants there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// By holder, nodes before groups.
    pub grants: Vec<Held>,
}

/// Lists grants; with a name, those of a node, as a member of groups too, or of a group.
///
/// # Errors
/// For a name that nobody has.
pub fn list(database: &Database, wanted: Option<&str>, now: DateTime<Utc>) -> Result<List, Error> {
    let topology = database.topology()?;
    let holder = wanted.map(|name| group::holder(&topology, name)).transpose()?;
    let mut nodes: Vec<&Node> = topology.nodes.iter().collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut groups: Vec<&Group> = topology.groups.iter().collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    nodes.retain(|node| matches!(holder, None | Some(Holder::Node(_))) && is_or_all(holder, node.id));
    groups.retain(|group| match holder {
        None => true,
        Some(Holder::Node(node)) => group.members.contains(&node.id),
        Some(Holder::Group(wanted)) => wanted.id == group.id,
    });
    let held = |name: &Name, is_group: bool, grants: &[Grant]| -> Vec<Held> {
        let view = |grant: &Grant| Held {
            holder: name.clone(),
            is_group,
            grant: GrantView::of(grant, &topology),
            over: grant.is_over(now),
        };
        grants.iter().map(view).collect()
    };
    let own = nodes.iter().flat_map(|node| held(&node.name, false, &node.grants));
    let grants = own.chain(groups.iter().flat_map(|group| held(&group.name, true, &group.grants))).collect();
    Ok(List { grants })
}

fn is_or_all(holder: Option<Holder<'_>>, id: NodeId) -> bool {
    match holder {
        Some(Holder::Node(node)) => node.id == id,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{KdfParams, Passphrase};
    use crate::model::{Egress, Mtu, Network, Origin, Port, PskPolicy, Source};
    use crate::ops::clock::Fixed;
    use crate::ops::network::add::{NewNodes, add};
    use crate::ops::network::edit::set;
    use crate::ops::network::setting::parse_all;
    use crate::ops::network::view::show;

    /// A server and three devices without rights.
    fn office(dir: &tempfile::TempDir, clock: &Fixed, actor: &Actor) -> Store {
        let network = Network {
            name: "office".parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            cidr4: Some("10.66.0.0/24".parse().unwrap()),
            cidr6: None,
            port: Port::WIREGUARD,
            dns: Vec::new(),
            mtu: Mtu::DEFAULT,
            keepalive: 25,
            psk: PskPolicy::Unique,
            stable_clients: Vec::new(),
            exit: Egress::None,
            kill_switch: false,
            exit_rules: Vec::new(),
        };
        let passphrase = Passphrase::new("correct-horse".to_owned());
        let path = dir.path().join("store/x.db");
        let (mut store, _) =
            Database::create(&path, &passphrase, KdfParams::FULL_ENTROPY, &network, actor, clock.0).unwrap();
        for (role, name, setting) in [
            (Role::Server, "hub", "endpoint=vpn.example.com"),
            (Role::Remote, "guest", "access=custom"),
            (Role::Remote, "bob", "access=custom"),
            (Role::Remote, "nas", "access=custom"),
        ] {
            let mut node = NewNodes::one(role, name.parse().unwrap(), Origin::Manual);
            node.settings = parse_all([setting]).unwrap();
            add(&mut store, clock, actor, node, Mode::Save).unwrap();
        }
        store
    }

    #[test]
    fn a_grant_that_is_over_is_not_shown_goes_with_the_next_change_and_can_be_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let actor = Actor { operator: "tester".into(), address: None, source: Source::Cli };
        let morning = Fixed("2026-03-01T08:00:00Z".parse().unwrap());
        let evening = Fixed("2026-03-01T18:00:00Z".parse().unwrap());
        let mut store = office(&dir, &morning, &actor);
        let wanted = |holder: &'static str, until: Option<DateTime<Utc>>| Wanted {
            holder,
            destination: "10.66.0.0/30",
            protocol: Protocol::Icmp,
            ports: Vec::new(),
            until,
            note: "for a day".into(),
        };
        let noon = Some("2026-03-01T12:00:00Z".parse().unwrap());
        for holder in ["guest", "nas"] {
            grant(&mut store, &morning, &actor, &wanted(holder, noon), Mode::Save).unwrap();
        }
        let reaches = |store: &Store, clock: &Fixed| show(store, "guest", clock.0).unwrap().reaches.len();
        assert_eq!((reaches(&store, &morning), reaches(&store, &evening)), (1, 0));

        // Renewed by its short form, although it stands there and is over.
        let settings = parse_all(["grant+=10.66.0.0/30 icmp"]).unwrap();
        let renewed = set(&mut store, &evening, &actor, "nas", &settings, Mode::Save).unwrap();
        assert_eq!(renewed.changes[0].added, ["10.66.0.0/30 icmp"]);
        let again = set(&mut store, &evening, &actor, "nas", &settings, Mode::Save).unwrap_err();
        assert!(again.to_string().contains("like that already"), "{again}");

        // What others lose along the way is remarked, and is not what was granted.
        let outcome = grant(&mut store, &evening, &actor, &wanted("bob", None), Mode::Save).unwrap();
        let names: Vec<&str> = outcome.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["bob"]);
        insta::assert_snapshot!(outcome.remarks.join("\n"), @"grants that were over are gone: guest 10.66.0.0/30 icmp until 2026-03-01 12:00:00 UTC (for a day)");
        assert!(store.topology().unwrap().nodes.iter().all(|node| node.grants.iter().all(|g| g.until.is_none())));
    }
}
