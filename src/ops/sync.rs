//! Taking changes of the model to hosts without somebody who looks at the plan: after each change, or by a job.
//!
//! Only what is pending is carried out. Where somebody changed something on a host by hand and nobody has acknowledged it,
//! the host is left as it is until a person has looked. Everything else is a deploy as any: checked there first, under
//! the watchdog, taken back when it isn't confirmed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Database, Store};
use crate::fleet::Fleet;
use crate::model::{Actor, AutoSync, LinkId, Name, NetworkId, Secrets, Topology};
use crate::ops::clock::Clock;
use crate::ops::deploy::desired::Desired;
use crate::ops::deploy::{self, Cause, Change, HostOutcome, HostPlan, Options, Outcome, Progress};
use crate::ops::drift;
use crate::ops::error::Error;
use crate::wg::compile::compile;
use crate::wg::{InterfaceConfig, PeerConfig};

/// What became of hosts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One entry a host, ordered by name.
    pub hosts: Vec<Synced>,
}

/// What became of a host.
#[derive(Clone, Debug, Serialize)]
pub struct Synced {
    /// Which host.
    pub host: Name,
    /// How the deploy ended; `None` when it was left as it is.
    pub outcome: Option<Outcome>,
    /// How many differences there were.
    pub changes: usize,
    /// Why it was left as it is.
    pub left: Option<Left>,
    /// What is to be known beside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Why a host was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Report {
    /// Whether every host is as the model says now.
    pub fn is_good(&self) -> bool {
        self.hosts.iter().all(|host| host.outcome.as_ref().is_some_and(Outcome::is_good))
    }
}

/// Lists the hosts that are synced in a way.
pub fn hosts(topology: &Topology, how: AutoSync) -> Vec<Name> {
    topology.hosts.iter().filter(|host| host.auto_sync == how).map(|host| host.name.clone()).collect()
}

/// What the hosts that follow each change are to have, to compare with later.
#[derive(Debug)]
pub struct Mark {
    network: NetworkId,
    state: Option<i64>,
    hosts: BTreeMap<Name, Wanted>,
}

impl Mark {
    /// Returns which network it is about.
    pub fn network(&self) -> NetworkId {
        self.network
    }
}

/// What a host is to have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    interfaces: Vec<InterfaceConfig>,
    /// Since when each of their links has its preshared key: another one is the only thing that interfaces don't tell, and
    /// the key itself isn't needed to see that.
    preshared: BTreeMap<LinkId, DateTime<Utc>>,
}

/// Takes note of what the hosts that follow each change are to have now; `None` when there are none.
///
/// # Errors
/// When the database can't be read.
pub fn mark(database: &Database) -> Result<Option<Mark>, Error> {
    let topology = database.topology()?;
    if hosts(&topology, AutoSync::OnChange).is_empty() {
        return Ok(None);
    }
    let hosts = followed(&topology, &database.preshared_since()?);
    Ok(Some(Mark { network: database.chosen()?, state: database.newest_state()?, hosts }))
}

/// Returns what each host that follows each change is to have.
fn followed(topology: &Topology, preshared: &BTreeMap<LinkId, DateTime<Utc>>) -> BTreeMap<Name, Wanted> {
    let mut wanted = wanted(topology, preshared);
    let following = hosts(topology, AutoSync::OnChange).into_iter();
    following.map(|host| (host.clone(), wanted.remove(&host).unwrap_or_default())).collect()
}

/// Returns what each host is to have; nothing while the model can't be compiled. Names of peers make no difference.
fn wanted(topology: &Topology, preshared: &BTreeMap<LinkId, DateTime<Utc>>) -> BTreeMap<Name, Wanted> {
    let mut hosts: BTreeMap<Name, Wanted> = BTreeMap::new();
    for config in compile(topology).unwrap_or_default() {
        if let Some(host) = topology.node(config.node).and_then(|node| node.host.clone()) {
            let wanted = hosts.entry(host).or_default();
            let links = config.interfaces.iter().flat_map(|interface| &interface.peers).map(|peer| peer.link);
            wanted.preshared.extend(links.filter_map(|link| Some((link, *preshared.get(&link)?))));
            wanted.interfaces.extend(config.interfaces.into_iter().map(in_order));
        }
    }
    hosts
}

fn in_order(mut interface: InterfaceConfig) -> InterfaceConfig {
    let nobody: Name = "x".parse().expect("a letter is a name");
    let nameless = |peer: PeerConfig| PeerConfig { name: nobody.clone(), ..peer };
    interface.peers = interface.peers.into_iter().map(nameless).collect();
    interface.peers.sort_by_key(|peer| peer.public_key);
    interface
}

/// Lists the hosts that follow each change and are to have something else than at a mark.
///
/// # Errors
/// When the database can't be read.
pub fn touched(database: &Database, mark: &Mark) -> Result<Vec<Name>, Error> {
    if database.newest_state()? == mark.state {
        return Ok(Vec::new());
    }
    let now = followed(&database.topology()?, &database.preshared_since()?);
    Ok(now.into_iter().filter(|(host, wanted)| mark.hosts.get(host) != Some(wanted)).map(|(host, _)| host).collect())
}

/// Takes what is pending to hosts.
///
/// # Errors
/// When the model contradicts itself or the store can't be written. What goes wrong with one host is told of it, and holds
/// up no other.
pub fn sync(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    if only.is_empty() {
        return Ok(Report { hosts: Vec::new() });
    }
    let mut plan = deploy::plan(store, fleet, clock, actor, only, options.parallel, progress)?;
    drift::mark(store, &mut plan, clock.now())?;
    let mut synced = Vec::new();
    let secrets = store.secrets()?;
    let why_not = |host: &HostPlan| why_not(host, &secrets);
    let (left, going): (Vec<HostPlan>, Vec<HostPlan>) =
        std::mem::take(&mut plan.hosts).into_iter().partition(|host| why_not(host).is_some());
    for host in &left {
        let changes = host.changes().len();
        let (left, notes) = (why_not(host), Vec::new());
        synced.push(Synced { host: host.host.name.clone(), outcome: None, changes, left, notes });
    }
    plan.hosts = going;
    for HostOutcome { host, outcome, changes, notes, .. } in
        deploy::deploy(store, fleet, clock, actor, plan, options, progress)?
    {
        synced.push(Synced { host, outcome: Some(outcome), changes, left: None, notes });
    }
    synced.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(Report { hosts: synced })
}

/// Tells which hosts [`sync`] would leave as they are, and why: before something is done that only makes sense with them.
///
/// # Errors
/// As [`sync`].
pub fn left(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    only: &[Name],
    options: &Options,
    progress: &dyn Progress,
) -> Result<BTreeMap<Name, Left>, Error> {
    if only.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut plan = deploy::plan(store, fleet, clock, actor, only, options.parallel, progress)?;
    drift::mark(store, &mut plan, clock.now())?;
    let secrets = store.secrets()?;
    let left = plan.hosts.iter().filter_map(|host| Some((host.host.name.clone(), why_not(host, &secrets)?)));
    Ok(left.collect())
}

/// Says why a host is left as it is.
fn why_not(host: &HostPlan, secrets: &Secrets) -> Option<Left> {
    let name = &host.host.name;
    if let Err(error) = &host.seen {
        return Some(Left { reason: error.to_string(), hint: error.hint() });
    }
    let by_hand = |change: &&Change| change.cause == Cause::Drift && change.acknowledged.is_none();
    let mut changes: Vec<String> = host.changes().iter().filter(by_hand).map(ToString::to_string).collect();
    changes.extend(overtaken(host, secrets).iter().map(ToString::to_string));
    (!changes.is_empty()).then(|| Left {
        reason: format!("somebody changed it by hand: {}", changes.join("; ")),
        hint: Some(format!(
            "`wg-friend deploy {name}` puts it back, `wg-friend drift adopt {name}` takes it over, `wg-friend drift baseline \
             {name} --reason TEXT` lets it be"
        )),
    })
}

/// Returns what somebody changed on a host where the model wants yet something else by now: the plan only says that the
/// host is to change.
fn overtaken(host: &HostPlan, secrets: &Secrets) -> Vec<Change> {
    let (Ok(seen), Some(deployed)) = (&host.seen, &host.deployed) else { return Vec::new() };
    let before = Desired {
        host: host.host.name.clone(),
        interfaces: deployed.version.interfaces.clone(),
        files: deployed.version.files.clone(),
        keys_elsewhere: BTreeSet::new(),
        only: host.desired.only.clone(),
    };
    let place = |change: &Change| (change.interface.clone(), change.kind, change.subject.clone());
    let told: BTreeSet<_> = host.changes().iter().filter(|change| change.cause == Cause::Drift).map(place).collect();
    let mut changes = deploy::diff(&before, secrets, Some(deployed), &seen.observed);
    changes.retain(|change| change.cause == Cause::Drift && !told.contains(&place(change)));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Become, Host, Mtu};
    use crate::wg::compile::{fixture::Fixture, links};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    /// A network whose server and one router live on hosts that follow each change, and since when each link has its
    /// preshared key.
    fn world() -> (Fixture, BTreeMap<LinkId, DateTime<Utc>>) {
        let mut fixture = Fixture::everything();
        for name in ["hub", "office"] {
            let (host, address): (Name, _) =
                (name.parse().unwrap(), format!("root@{name}.example.net").parse().unwrap());
            fixture.node(name).host = Some(host.clone());
            let host = Host::new(host, address, Become::Root);
            fixture.topology.hosts.push(Host { auto_sync: AutoSync::OnChange, ..host });
        }
        let preshared = links(&fixture.topology).into_iter().map(|link| (link, at(0))).collect();
        (fixture, preshared)
    }

    /// Names the hosts to which a change is taken.
    fn touched_by(change: impl FnOnce(&mut Fixture, &mut BTreeMap<LinkId, DateTime<Utc>>)) -> Vec<String> {
        let (mut fixture, mut preshared) = world();
        let before = followed(&fixture.topology, &preshared);
        change(&mut fixture, &mut preshared);
        let now = followed(&fixture.topology, &preshared).into_iter();
        now.filter(|(host, wanted)| before.get(host) != Some(wanted)).map(|(host, _)| host.to_string()).collect()
    }

    #[test]
    fn another_preshared_key_alone_goes_to_the_hosts_at_both_ends_of_its_link() {
        let replace = |far: &'static str| {
            move |fixture: &mut Fixture, preshared: &mut BTreeMap<LinkId, DateTime<Utc>>| {
                let link = LinkId::between(fixture.node("hub").main().id, fixture.node(far).main().id);
                *preshared.get_mut(&link).unwrap() = at(1);
            }
        };
        assert_eq!(touched_by(replace("alice")), ["hub"]);
        assert_eq!(touched_by(replace("office")), ["hub", "office"]);
    }

    #[test]
    fn what_concerns_no_host_goes_to_none() {
        assert!(touched_by(|_, _| {}).is_empty());
        assert!(touched_by(|fixture, _| fixture.node("alice").notes = "hers".to_owned()).is_empty());
        assert!(touched_by(|fixture, _| fixture.node("alice").mtu = Some(Mtu::try_from(1300).unwrap())).is_empty());
    }
}
