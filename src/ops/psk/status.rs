//! What each link has: whether a preshared key, how old, when the next is due, and whether both ends have the present one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::history;
use super::links::{self, LinkOf};
use crate::db::{Database, Deployment, Revision, Store};
use crate::model::{
    AllPskRules, DeploymentState, HostAddress, LinkId, Name, Node, NodeId, PresharedKey, PskPolicy, PskTrigger,
    Secrets, Topology,
};
use crate::ops::Error;
use crate::ops::deploy::SESSION_SECONDS;
use crate::ops::deploy::desired::Deployed;
use crate::ops::deploy::journal::deployed;
use crate::ops::network::find;
use crate::ops::revision;

/// Why a link needs another preshared key, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// One is demanded, and it has none because an end can't be given one: of that only the public key is known.
    CannotCarry,
    /// One is demanded, and it has none.
    Missing,
    /// Another link has the same, and each is to have its own.
    Shared,
    /// It is older than the rules permit.
    Overdue,
    /// It will be before long.
    Soon,
}

/// What an end of a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Has {
    /// The link's present key.
    Present,
    /// Another key than the link's present one, or none.
    Another,
    /// Nothing of the link: its host was never deployed to, or the device was never given a file.
    Nothing,
    /// Nobody here knows: somebody else has its file.
    Unknown,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// The node.
    pub node: Name,
    /// What it has; `None` when the link has no preshared key and there is nothing to have.
    pub has: Option<Has>,
    /// By which way it got what it has: `ssh`, `local` (a deploy to the machine that wg-friend runs on), `qr`, `manual` (a file,
    /// carried there), `found` (it had it before).
    pub by: Option<&'static str>,
    /// When it was given that last.
    pub since: Option<DateTime<Utc>>,
    /// Whether a handshake has proved that a device uses it.
    pub proven: bool,
}

impl End {
    /// Whether it got what it has by a deploy.
    pub(super) fn by_deploy(&self) -> bool {
        self.by.is_some_and(|way| [BY_SSH, BY_LOCAL].contains(&way))
    }
}

/// The ways of deploys.
const BY_SSH: &str = "ssh";
const BY_LOCAL: &str = "local";

/// A link and its preshared key. Never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// What is wanted of it.
    pub policy: PskPolicy,
    /// Where that was said: `network office`.
    pub policy_of: Vec<String>,
    /// Since when it has the preshared key that it has; `None` when it has none.
    pub created: Option<DateTime<Utc>>,
    /// The age of that in whole days.
    pub days: Option<i64>,
    /// When it is due for another; `None` when age alone doesn't make it so, or it has none.
    pub next: Option<DateTime<Utc>>,
    /// Why it needs another, or will before long.
    pub due: Option<Due>,
    /// The links that have the same key.
    pub shared_with: Vec<String>,
    /// Whether both ends have the present key, as far as anybody knows; also when there is none to have.
    pub distributed: bool,
    /// Until when the link holds at the most, when one of two hosts has the present key and the other another: then they
    /// can't shake hands.
    pub holds_until: Option<DateTime<Utc>>,
    /// Its ends, by name.
    pub ends: [End; 2],
    /// Which link.
    #[serde(skip)]
    pub(super) id: LinkId,
    /// Whether one of two hosts was given the present key and the other still has one of before: then it is the newest that
    /// there is.
    #[serde(skip)]
    pub(super) halfway: bool,
}

impl LinkStatus {
    /// Says between whom it is: `hub – phone`.
    pub fn name(&self) -> String {
        format!("{} – {}", self.ends[0].node, self.ends[1].node)
    }

    /// Whether it needs another key now.
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due != Due::Soon)
    }
}

/// What links have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How many links there are.
    pub total: usize,
    /// Those that were asked for: first those whose ends don't both have the present key, then those that are due.
    pub links: Vec<LinkStatus>,
}

/// Why a link needs another key, by what is wanted of it. Pure.
pub(super) fn due(link: &LinkOf<'_>, created: Option<DateTime<Utc>>, shared: bool, now: DateTime<Utc>) -> Option<Due> {
    let Some(created) = created else {
        return match link.wanted.mode.demands() {
            true if link.dumb_end().is_some() => Some(Due::CannotCarry),
            true => Some(Due::Missing),
            false => None,
        };
    };
    if shared && link.wanted.mode == PskPolicy::Unique {
        return Some(Due::Shared);
    }
    let next = link.wanted.due(created)?;
    if next <= now {
        return Some(Due::Overdue);
    }
    (next - TimeDelta::days(link.wanted.notice_days.into()) <= now).then_some(Due::Soon)
}

/// A link that doesn't have what is wanted of it, for reports: they have no secret to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The nodes at its ends, by name.
    pub nodes: [Name; 2],
    /// What is wanted of it.
    pub policy: PskPolicy,
    /// What is wrong.
    pub due: Due,
    /// Since when it has the preshared key that it has; `None` when it has none.
    pub created: Option<DateTime<Utc>>,
}

/// Returns the links that don't have what is wanted of them, by name. Needs no passphrase; whether links share a key, only
/// [`status`] tells.
///
/// # Errors
/// When the store can't be read.
pub fn breaches(database: &Database, topology: &Topology, now: DateTime<Utc>) -> Result<Vec<Breach>, Error> {
    let since = database.preshared_since()?;
    let breach = |link: LinkOf<'_>| {
        let created = since.get(&link.id).copied();
        let due = due(&link, created, false, now).filter(|due| *due != Due::Soon)?;
        Some(Breach { nodes: link.ends.map(|node| node.name.clone()), policy: link.wanted.mode, due, created })
    };
    Ok(links::all(topology, &database.psk_rules()?).into_iter().filter_map(breach).collect())
}

/// Says what each link has, of all nodes or of those that are named; `only_due`: only what needs another key or will before
/// long.
///
/// # Errors
/// For a node that there isn't, and when the store can't be read.
pub fn status(store: &Store, now: DateTime<Utc>, nodes: &[String], only_due: bool) -> Result<Status, Error> {
    let topology = store.topology()?;
    let wanted: Vec<&Name> =
        nodes.iter().map(|name| find::node(&topology, name).map(|node| &node.name)).collect::<Result<_, _>>()?;
    let mut links = all(store, &topology, now)?;
    let total = links.len();
    links.retain(|link| wanted.is_empty() || link.ends.iter().any(|end| wanted.contains(&&end.node)));
    links.retain(|link| !only_due || link.due.is_some());
    links.sort_by_key(|link| (link.distributed, link.due.is_none(), link.due)); // stable: then by name
    Ok(Status { total, links })
}

/// Says what every link has, by name.
pub(super) fn all(store: &Store, topology: &Topology, now: DateTime<Utc>) -> Result<Vec<LinkStatus>, Error> {
    let rules: AllPskRules = store.psk_rules()?;
    let secrets = store.secrets()?;
    let known = Known::gather(store, topology)?;
    let since = store.preshared_since()?;
    let in_files = store.preshared_in_files()?;
    let links = links::all(topology, &rules);
    let names: BTreeMap<LinkId, String> = links.iter().map(|link| (link.id, link.name())).collect();
    let twins = twins(&secrets);
    let of = |link: LinkOf<'_>| {
        let created = since.get(&link.id).copied();
        let same = twins.get(&link.id).into_iter().flatten().filter(|other| **other != link.id);
        let shared_with: Vec<String> = same.filter_map(|other| names.get(other).cloned()).collect();
        let next = secrets.next_preshared.get(&link.id).zip(in_files.get(&link.id).copied());
        let next = next.filter(|next| link.ends.iter().all(|node| known.has(node, link.id, *next)));
        let wanted = next.or(secrets.preshared.get(&link.id).zip(created));
        let ends = link.ends.map(|node| known.end(node, link.id, wanted));
        let torn = wanted.and_then(|(_, since)| known.torn(link.ends, &ends, since));
        let distributed = ends.iter().all(|end| !matches!(end.has, Some(Has::Another | Has::Nothing)));
        LinkStatus {
            policy: link.wanted.mode,
            policy_of: link.wanted.mode_of.iter().map(|of| history::name(topology, *of)).collect(),
            days: created.map(|created| (now - created).num_days()),
            next: created.and_then(|created| link.wanted.due(created)),
            due: due(&link, created, !shared_with.is_empty(), now),
            holds_until: torn.map(|torn| torn.holds_until),
            halfway: torn.is_some_and(|torn| torn.halfway),
            created,
            shared_with,
            distributed,
            ends,
            id: link.id,
        }
    };
    Ok(links.into_iter().map(of).collect())
}

/// Two hosts of which just one has the present key.
#[derive(Clone, Copy)]
struct Torn {
    /// Until when they get through to each other at the most: the session that was there when one of them got another key
    /// outlives it by so much.
    holds_until: DateTime<Utc>,
    /// Whether the other one has a key of before, and not one that was taken back.
    halfway: bool,
}

/// Says of two hosts, of which one was given a key that there is since a time and the other another, what that comes to. Pure.
fn torn(with: &Host, without: &Host, since: DateTime<Utc>) -> Option<Torn> {
    // A deploy since then that left another key brought one that was taken back, and changed that end last.
    let halfway = without.confirmed.first().is_some_and(|last| last.started < since);
    let changed = if halfway { with.given(since) } else { without.last() }?;
    Some(Torn { holds_until: changed + TimeDelta::seconds(SESSION_SECONDS), halfway })
}

/// Returns for each link all those that have the same key.
fn twins(secrets: &Secrets) -> BTreeMap<LinkId, BTreeSet<LinkId>> {
    let mut by_key: BTreeMap<[u8; 32], BTreeSet<LinkId>> = BTreeMap::new();
    for (link, key) in &secrets.preshared {
        by_key.entry(Sha256::digest(key.expose_base64().as_bytes()).into()).or_default().insert(*link);
    }
    let several = by_key.into_values().filter(|links| links.len() > 1);
    several.flat_map(|links| links.clone().into_iter().map(move |link| (link, links.clone()))).collect()
}

/// What hosts were left with and devices were given.
struct Known {
    hosts: BTreeMap<Name, Host>,
    revisions: BTreeMap<NodeId, Vec<Revision>>,
    /// What devices have in use, by name.
    devices: BTreeMap<Name, bool>,
}

struct Host {
    by: &'static str,
    deployed: Option<Deployed>,
    /// The newest first.
    confirmed: Vec<Deployment>,
}

/// So many deploys are looked at for the one that brought a key.
const LOOKED_BACK: u32 = 200;

impl Host {
    /// Returns when it was given a key that there is since a time: by the first deploy that knew it.
    fn given(&self, created: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let knew = self.confirmed.iter().take_while(|one| one.started >= created).last();
        knew.or(self.confirmed.first()).map(|one| one.finished.unwrap_or(one.started))
    }

    /// Returns when it was deployed to last.
    fn last(&self) -> Option<DateTime<Utc>> {
        self.confirmed.first().map(|one| one.finished.unwrap_or(one.started))
    }
}

impl Known {
    fn gather(store: &Store, topology: &Topology) -> Result<Self, Error> {
        let mut hosts = BTreeMap::new();
        let used: BTreeSet<&Name> = topology.enabled().filter_map(|node| node.host.as_ref()).collect();
        for host in topology.hosts.iter().filter(|host| used.contains(&host.name)) {
            let by = if host.address == HostAddress::Local { BY_LOCAL } else { BY_SSH };
            let deployed = deployed(store, &host.name)?;
            let mut confirmed = store.deployments(&host.name, LOOKED_BACK)?;
            confirmed.retain(|one| one.state == DeploymentState::Confirmed);
            hosts.insert(host.name.clone(), Host { by, deployed, confirmed });
        }
        let reports = match revision::list(store) {
            Ok(reports) => reports,
            Err(Error::Model(_)) => Vec::new(), // what can't be compiled tells nothing of devices
            Err(error) => return Err(error),
        };
        let in_use = |device: revision::DeviceReport| {
            let given = device.given?;
            let used = given.in_use?;
            Some((device.node, used.number == given.revision.number || used.or_last))
        };
        Ok(Self { hosts, revisions: store.all_revisions()?, devices: reports.into_iter().filter_map(in_use).collect() })
    }

    /// Whether an end has a key that its link has had since then.
    fn has(&self, node: &Node, link: LinkId, (key, since): (&PresharedKey, DateTime<Utc>)) -> bool {
        match &node.host {
            Some(name) => {
                let left = self.hosts.get(name).and_then(|host| host.deployed.as_ref());
                left.and_then(|left| left.carries(link, key)) == Some(true)
            }
            None => {
                let last = self.revisions.get(&node.id).and_then(|all| all.first());
                last.is_some_and(|last| revision::preshared_in(&last.meaning, link) == Some(since))
            }
        }
    }

    /// Says what an end has of a key that its link has had since then.
    fn end(&self, node: &Node, link: LinkId, wanted: Option<(&PresharedKey, DateTime<Utc>)>) -> End {
        let end = |has, by, since, proven| End { node: node.name.clone(), has, by, since, proven };
        let Some((key, created)) = wanted else {
            return end(None, None, None, false);
        };
        if let Some(name) = &node.host {
            let host = self.hosts.get(name);
            let Some((host, left)) = host.and_then(|host| Some((host, host.deployed.as_ref()?))) else {
                return end(Some(Has::Nothing), None, None, false);
            };
            return match left.carries(link, key) {
                Some(true) => end(Some(Has::Present), Some(host.by), host.given(created), false),
                Some(false) => end(Some(Has::Another), Some(host.by), host.last(), false),
                None => end(Some(Has::Nothing), None, None, false),
            };
        }
        let last = self.revisions.get(&node.id).and_then(|all| all.first());
        let Some(last) = last else {
            let has = if node.provisional { Has::Unknown } else { Has::Nothing };
            return end(Some(has), None, None, false);
        };
        let by = way(&last.methods);
        let has = if self.has(node, link, (key, created)) { Has::Present } else { Has::Another };
        let proven = has == Has::Present && self.devices.get(&node.name).copied().unwrap_or(false);
        end(Some(has), Some(by), Some(last.last_handed_out), proven)
    }

    /// Says whether just one of two hosts has the key that their link has had since then.
    fn torn(&self, nodes: [&Node; 2], ends: &[End; 2], since: DateTime<Utc>) -> Option<Torn> {
        let host = |node: &Node| self.hosts.get(node.host.as_ref()?);
        let (one, other) = (host(nodes[0])?, host(nodes[1])?);
        let (with, without) = match (ends[0].has?, ends[1].has?) {
            (Has::Present, Has::Another) => (one, other),
            (Has::Another, Has::Present) => (other, one),
            _ => return None,
        };
        torn(with, without, since)
    }
}

/// Says by which way a file went to its device.
fn way(methods: &[String]) -> &'static str {
    let is = |way: &str| methods.iter().any(|method| method == way);
    match () {
        () if is("qr") || is("png") || is("svg") => "qr",
        () if methods.iter().all(|method| method == Revision::FOUND) => "found",
        () => "manual",
    }
}

/// Whether one of the triggers is among those of a link.
pub(super) fn answers_to(link: &LinkOf<'_>, trigger: PskTrigger) -> bool {
    link.wanted.on.contains(&trigger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::DeploymentId;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    /// A host with deploys that began at these times, the newest first, and took two seconds.
    fn host(began: &[i64]) -> Host {
        let deployment = |began: &i64| Deployment {
            id: DeploymentId(*began),
            host: "hub".parse().unwrap(),
            version: *began,
            token: "token".to_owned(),
            state: DeploymentState::Confirmed,
            operator: "admin".to_owned(),
            started: at(*began),
            finished: Some(at(began + 2)),
            note: None,
            sha256: String::new(),
        };
        Host { by: BY_SSH, deployed: None, confirmed: began.iter().map(deployment).collect() }
    }

    #[test]
    fn a_key_is_halfway_when_the_other_end_was_not_deployed_to_since_it_was_made() {
        let torn = torn(&host(&[900, 510, 100]), &host(&[100]), at(500)).unwrap();
        assert_eq!((torn.halfway, torn.holds_until), (true, at(512 + SESSION_SECONDS)));
    }

    #[test]
    fn a_key_that_was_taken_back_at_one_end_only_is_not_halfway_and_counts_from_the_failed_change() {
        let torn = torn(&host(&[100]), &host(&[510, 100]), at(50)).unwrap();
        assert_eq!((torn.halfway, torn.holds_until), (false, at(512 + SESSION_SECONDS)));
    }
}
