//! Exits, groups of them and who leaves by which: what there is to see.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::rules::{self, RuleView};
use crate::model::{Egress, ExitGroup, Name, Node, Role, SwitchReason, Topology};
use crate::ops::Error;
use crate::ops::network::find;
use crate::wg::compile::{Way, ways};

/// An exit of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberView {
    /// The exit.
    pub exit: Name,
    /// Its rank: the lowest number is preferred.
    pub priority: u16,
    /// Whether the group may go by it.
    pub enabled: bool,
    /// Whether it can: it may, and the exit itself isn't disabled.
    pub usable: bool,
    /// Whether the group's traffic goes by it now.
    pub active: bool,
}

/// A group of exits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: Name,
    /// The exit that carries its traffic; `None` when none of its exits can.
    pub active: Option<Name>,
    /// The exit that it was told to go by: another one while that one can't be used.
    pub told: Option<Name>,
    /// Since when it has been told that.
    pub since: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Option<SwitchReason>,
    /// Its exits, the preferred one first.
    pub members: Vec<MemberView>,
    /// Whether remotes that have no exit of their own leave by it.
    pub network: bool,
    /// The enabled remotes that leave by it.
    pub remotes: Vec<Name>,
}

/// An exit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExitView {
    /// Its name.
    pub name: Name,
    /// Whether it is in any config.
    pub enabled: bool,
    /// Where others dial it.
    pub endpoint: Option<String>,
    /// The machine it runs on.
    pub host: Option<Name>,
    /// The groups it is in.
    pub groups: Vec<Name>,
    /// The groups whose traffic it carries now.
    pub carries: Vec<Name>,
    /// How many remotes leave by it now, through a group or not, at the end of a chain or not.
    pub remotes: usize,
    /// How many remotes' traffic comes by it and goes on to another exit.
    pub passing: usize,
}

/// What becomes of a remote's internet traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// It doesn't go through the tunnel.
    Split,
    /// It goes into the tunnel and ends there.
    Blocked,
    /// It leaves at the server.
    Server,
    /// It leaves by an exit.
    Exit,
}

/// A remote and its way to the internet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteView {
    /// Its name.
    pub name: Name,
    /// The exit, the group or the server that it is to leave by; of a chain the last exit.
    pub assigned: Option<Name>,
    /// The exits of the chain that it is to leave by, in order; empty for other ways.
    pub via: Vec<Name>,
    /// Whether that is what the network says.
    pub inherited: bool,
    /// What becomes of its internet traffic now.
    pub leaves: Leaving,
    /// The exit or the server by which it leaves now.
    pub by: Option<Name>,
    /// Whether nothing of it leaves while its exit can't be used.
    pub kill_switch: bool,
}

/// Everything about exits at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The exit or the group of remotes that have none of their own; of a chain the last exit.
    pub network: Option<Name>,
    /// The exits of the chain that those leave by, in order; empty for other ways.
    pub network_via: Vec<Name>,
    /// Whether nothing of a remote leaves that isn't told otherwise, while its exit can't be used.
    pub kill_switch: bool,
    /// The groups, in order of their names.
    pub groups: Vec<GroupView>,
    /// The exits, in order of their names.
    pub exits: Vec<ExitView>,
    /// The enabled remotes whose internet traffic is assigned a way, in order of their names.
    pub remotes: Vec<RemoteView>,
    /// The rules by destination, which come first.
    pub rules: Vec<RuleView>,
}

/// Returns the enabled remotes that leave by a group, in order of their numbers.
pub(super) fn users<'a>(group: &ExitGroup, topology: &'a Topology) -> impl Iterator<Item = &'a Node> {
    let way = Egress::Group(group.id);
    topology.with_role(Role::Remote).filter(move |node| topology.egress(node) == way)
}

/// Shows one group.
pub fn group(group: &ExitGroup, topology: &Topology) -> GroupView {
    let carrier = group.carrier(topology);
    let member = |member: &crate::model::ExitMember| {
        let node = topology.node(member.exit)?;
        let usable = group.usable(topology).any(|usable| usable.id == node.id);
        let active = carrier.is_some_and(|carrier| carrier.id == node.id);
        let (priority, enabled) = (member.priority, member.enabled);
        Some(MemberView { exit: node.name.clone(), priority, enabled, usable, active })
    };
    let mut remotes: Vec<Name> = users(group, topology).map(|node| node.name.clone()).collect();
    remotes.sort_unstable();
    GroupView {
        name: group.name.clone(),
        active: carrier.map(|node| node.name.clone()),
        told: group.active.and_then(|active| topology.node(active.exit)).map(|node| node.name.clone()),
        since: group.active.map(|active| active.since),
        reason: group.active.map(|active| active.reason),
        members: group.members.iter().filter_map(member).collect(),
        network: topology.network.exit == Egress::Group(group.id),
        remotes,
    }
}

/// Shows one group by its name.
///
/// # Errors
/// When there is none of that name.
pub fn group_named(name: &str, topology: &Topology) -> Result<GroupView, Error> {
    find::exit_group(topology, name).map(|found| group(found, topology))
}

/// Lists the groups in order of their names.
pub fn groups(topology: &Topology) -> Vec<GroupView> {
    let mut groups: Vec<GroupView> = topology.exit_groups.iter().map(|found| group(found, topology)).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

/// Lists the exits in order of their names.
pub fn exits(topology: &Topology) -> Vec<ExitView> {
    let remotes = remotes(topology);
    let groups = groups(topology);
    let view = |node: &Node| {
        let with = |wanted: fn(&MemberView) -> bool| -> Vec<Name> {
            let has = |group: &&GroupView| group.members.iter().any(|m| m.exit == node.name && wanted(m));
            groups.iter().filter(has).map(|group| group.name.clone()).collect()
        };
        let leaves = |remote: &&RemoteView| remote.leaves == Leaving::Exit && remote.by.as_ref() == Some(&node.name);
        let passes = |remote: &&RemoteView| {
            let before_last = remote.via.split_last().is_some_and(|(_, before)| before.contains(&node.name));
            remote.leaves == Leaving::Exit && before_last
        };
        ExitView {
            name: node.name.clone(),
            enabled: node.enabled,
            endpoint: node.endpoint.as_ref().map(ToString::to_string),
            host: node.host.clone(),
            groups: with(|_| true),
            carries: with(|member| member.active),
            remotes: remotes.iter().filter(leaves).count(),
            passing: remotes.iter().filter(passes).count(),
        }
    };
    let mut exits: Vec<ExitView> = topology.nodes.iter().filter(|node| node.role == Role::Exit).map(view).collect();
    exits.sort_by(|a, b| a.name.cmp(&b.name));
    exits
}

fn remotes(topology: &Topology) -> Vec<RemoteView> {
    let view = |(node, way): (&Node, Way<'_>)| {
        let (leaves, by) = match way {
            Way::Split => (Leaving::Split, None),
            Way::Blocked => (Leaving::Blocked, None),
            Way::Server => (Leaving::Server, topology.egress_name(topology.egress(node))),
            Way::Exit(exit) => (Leaving::Exit, Some(&exit.name)),
            Way::Group(group) => (Leaving::Exit, group.carrier(topology).map(|exit| &exit.name)),
            Way::Chain(_) => (Leaving::Exit, topology.egress_name(topology.egress(node))),
        };
        RemoteView {
            name: node.name.clone(),
            assigned: topology.egress_name(topology.egress(node)).cloned(),
            via: topology.via_names(topology.egress(node)),
            inherited: node.exit.is_none(),
            leaves,
            by: by.cloned(),
            kill_switch: topology.kill_switch(node),
        }
    };
    let mut remotes: Vec<RemoteView> =
        ways(topology).into_iter().map(view).filter(|remote| remote.assigned.is_some()).collect();
    remotes.sort_by(|a, b| a.name.cmp(&b.name));
    remotes
}

/// Shows everything about exits.
pub fn status(topology: &Topology) -> Status {
    Status {
        network: topology.egress_name(topology.network.exit).cloned(),
        network_via: topology.via_names(topology.network.exit),
        kill_switch: topology.network.kill_switch,
        groups: groups(topology),
        exits: exits(topology),
        remotes: remotes(topology),
        rules: rules::all(topology),
    }
}
