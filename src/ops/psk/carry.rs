//! New preshared keys for links between hosts, made and brought to both ends in one go.
//!
//! Nothing is made for a link of which a host gives no answer. A link of which one host takes the new key and the other
//! doesn't gets its earlier key back on the first: until the session of before is over, nothing is lost by that.
//!
//! A device gets next keys, beside which the present ones stay good: its hosts are told of those, and it waits for its file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::links;
use super::rotate::{self, Before, Choice, Chosen, Request};
use super::status::{self, Has};
use crate::db::Store;
use crate::fleet::Fleet;
use crate::model::{Actor, LinkId, Name, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::{self, HostOutcome, Options, Outcome as Ended, Plan, Progress, SESSION_SECONDS, Stop};
use crate::ops::network::change::{Mode, Outcome};
use crate::ops::network::find;

/// Seconds until a host takes back a preshared key that nobody confirmed, at the most: then there is time left to take it
/// back at the other end, before the session of before is over.
pub const CONFIRM_WITHIN: u64 = 25;

/// Links that can get another key now.
pub struct Ready {
    what: What,
    /// The hosts at their ends.
    pub hosts: Vec<Name>,
    /// The links, by name.
    pub links: Vec<String>,
    /// What differs on those hosts already, and will be mended along with it.
    pub pending: usize,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
    /// The links of which a host gives no answer.
    pub left: Vec<String>,
}

/// Whose links get another key.
enum What {
    /// Links between hosts.
    Links(Choice),
    /// Those of a device, which gets a next key of its own along with it.
    Device(String),
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Brought {
    /// What was changed in the model.
    pub rotation: Outcome,
    /// How it ended on each host, in the order in which that was done: a host may be there twice, when something was taken
    /// back on it.
    pub hosts: Vec<HostOutcome>,
    /// The links that have a new key at both ends.
    pub done: Vec<String>,
    /// The links that have the key again that they had.
    pub taken_back: Vec<String>,
    /// The links that keep their key, since a host of theirs gave no answer.
    pub left: Vec<String>,
    /// The links of which one end has another key than the other, or may have.
    pub torn: Vec<Torn>,
    /// The links to a device whose next key its hosts know beside the present one: it is in use once the device has its next
    /// file.
    pub next: Vec<String>,
    /// The links to a device whose host doesn't know the next key yet: the present one stays good.
    pub untold: Vec<String>,
}

/// A link of which one end has another key than the other, or may have: nobody saw that it was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Torn {
    /// Between whom.
    pub link: String,
    /// Until when it holds at the most.
    pub holds_until: Option<DateTime<Utc>>,
    /// The hosts that have to be deployed.
    pub hosts: Vec<Name>,
}

impl Brought {
    /// What comes of a rotation of nothing.
    pub fn nothing(rotation: Outcome) -> Self {
        let (hosts, done, taken_back, left, torn, next, untold) = Default::default();
        Self { rotation, hosts, done, taken_back, left, torn, next, untold }
    }

    /// Whether every link has its new key at both ends, or of a device at the host's.
    pub fn is_good(&self) -> bool {
        self.left.is_empty() && self.taken_back.is_empty() && self.torn.is_empty() && self.untold.is_empty()
    }
}

/// What keys are brought to hosts with.
#[derive(Clone, Copy)]
pub struct With<'a> {
    /// The way to the hosts.
    pub fleet: &'a dyn Fleet,
    /// The time.
    pub clock: &'a (dyn Clock + Sync),
    /// Who does it.
    pub actor: &'a Actor,
    /// How hosts are changed.
    pub options: &'a Options,
    /// Who is told how far it is.
    pub progress: &'a dyn Progress,
}

/// Looks at the hosts of the links that are meant. Nothing is changed.
///
/// # Errors
/// When no link can get another key: says why.
pub fn prepare(store: &mut Store, with: With<'_>, request: &Request) -> Result<Ready, Error> {
    let mut choice = rotate::choose(store, with.clock.now(), request)?;
    let hosts = hosts_of(&choice.links);
    let plan = deploy::plan(store, with.fleet, with.clock, with.actor, &hosts, with.options.parallel, with.progress)?;
    let (silent, pending) = found(&plan);
    let (mut remarks, mut left) = (Vec::new(), Vec::new());
    choice.links.retain(|link| {
        let why = link.hosts.iter().flatten().find_map(|host| silent.get(host));
        if let Some(why) = why {
            remarks.push(format!("{} keeps its preshared key: {why}", link.name()));
            left.push(link.name());
        }
        why.is_none()
    });
    if choice.links.is_empty() {
        return Err(Error::RefusedWithRemedy {
            message: format!("no link gets another preshared key: {}", remarks.join("; ")),
            hint: "a key is made when both ends can be given it: try again when the host answers".to_owned(),
        });
    }
    choice.remarks.extend(remarks.iter().cloned());
    let links = choice.links.iter().map(Chosen::name).collect();
    let (hosts, remarks) = (hosts_of(&choice.links), choice.remarks.clone());
    Ok(Ready { hosts, links, pending, remarks, left, what: What::Links(choice) })
}

/// Returns which hosts can't be deployed to now, with the reason, and how much differs on the others.
fn found(plan: &Plan) -> (BTreeMap<Name, String>, usize) {
    let (mut silent, mut pending) = (BTreeMap::new(), 0);
    for host in &plan.hosts {
        let obstacle = host.obstacle();
        match host.seen.as_ref().err().or(obstacle.as_ref()) {
            Some(error) => _ = silent.insert(host.host.name.clone(), error.to_string()),
            None => pending += host.changes().len(),
        }
    }
    (silent, pending)
}

/// Looks at the hosts of a device that is to get a next key, and next preshared keys along with it. Nothing is changed.
///
/// # Errors
/// When it can't be given a key, and when none of its hosts could be told of it now.
pub fn prepare_device(store: &mut Store, with: With<'_>, device: &str, reason: &str) -> Result<Ready, Error> {
    let preview = rotate::rotate_device(store, with.clock, with.actor, device, reason, Mode::Preview)?;
    let topology = store.topology()?;
    let host_of = |name: &Name| topology.nodes.iter().find(|node| node.name == *name)?.host.clone();
    let hosts: BTreeSet<Name> = preview.deploy.iter().filter_map(host_of).collect();
    let hosts: Vec<Name> = hosts.into_iter().collect();
    let links: Vec<String> = links_of(store, &topology, device)?.into_iter().map(|(link, _)| link).collect();
    if links.is_empty() {
        return Err(Error::Refused(format!("`{device}` has no link, and so no preshared key")));
    }
    let mut ready = Ready {
        links,
        pending: 0,
        remarks: preview.remarks,
        left: Vec::new(),
        what: What::Device(device.to_owned()),
        hosts,
    };
    if ready.hosts.is_empty() {
        return Ok(ready); // no hosts would be all of them
    }
    let plan =
        deploy::plan(store, with.fleet, with.clock, with.actor, &ready.hosts, with.options.parallel, with.progress)?;
    let (silent, pending) = found(&plan);
    if silent.len() == ready.hosts.len() {
        let why: Vec<String> = silent.into_values().collect();
        return Err(Error::RefusedWithRemedy {
            message: format!("`{device}` gets no next key now: {}", why.join("; ")),
            hint: format!(
                "try again when the host answers; without `--deploy`, `wg-friend psk rotate {device}` makes the key for a later \
                 `wg-friend deploy`"
            ),
        });
    }
    ready.remarks.extend(silent.iter().map(|(host, why)| format!("`{host}` isn't told of it now: {why}")));
    ready.pending = pending;
    Ok(ready)
}

/// Returns the links of a device, by name, each with the hosts at its ends.
fn links_of(store: &Store, topology: &Topology, device: &str) -> Result<Vec<(String, Vec<Name>)>, Error> {
    let node = find::node(topology, device)?;
    let links = links::all(topology, &store.psk_rules()?);
    let own = links.into_iter().filter(|link| link.ends.iter().any(|end| end.id == node.id));
    Ok(own.map(|link| (link.name(), link.ends.iter().filter_map(|end| end.host.clone()).collect())).collect())
}

/// Makes the keys and brings them to both ends.
///
/// # Errors
/// When the store can't be read or written: says which hosts to deploy to where the model has a key then that an end lacks.
/// What goes wrong with a host is told in what comes of it.
pub fn bring(store: &mut Store, with: With<'_>, ready: Ready, reason: &str) -> Result<Brought, Error> {
    let Ready { what, hosts, left, .. } = ready;
    let choice = match what {
        What::Links(choice) => choice,
        What::Device(device) => return bring_device(store, with, &device, &hosts, reason),
    };
    let options = Options { confirm_within: with.options.confirm_within.min(CONFIRM_WITHIN), ..with.options.clone() };
    let with = With { options: &options, ..with };
    let fresh = choice.links.iter().filter(|link| !link.torn).map(|link| link.id).collect::<BTreeSet<LinkId>>();
    let mut before = rotate::keys_of(store, &choice.links)?;
    before.retain(|(id, _)| fresh.contains(id));
    let rotation = rotate::make(store, with.clock, with.actor, &choice, reason, Mode::Save)?;
    let mut outcomes = match deploy_to(store, with, &hosts) {
        Ok(outcomes) => outcomes,
        Err(error) => return Err(given_up(store, with, &choice, before, error)),
    };
    let good = good(&outcomes);
    let unseen = unseen(&outcomes);
    let whole = |link: &&Chosen| link.hosts.iter().flatten().all(|host| good.contains(host));
    let (done, failed): (Vec<&Chosen>, Vec<&Chosen>) = choice.links.iter().partition(whole);
    let back: Vec<&Chosen> = failed.iter().copied().filter(|link| fresh.contains(&link.id)).collect();
    before.retain(|(id, _)| back.iter().any(|link| link.id == *id));
    let session_ends = with.clock.now() + TimeDelta::seconds(SESSION_SECONDS);
    let of: BTreeSet<Name> = hosts_of(back.iter().copied()).into_iter().collect();
    // What isn't seen to have the key of before.
    let mut doubtful: BTreeSet<Name> = of.intersection(&unseen).cloned().collect();
    if !before.is_empty() {
        let again: Vec<Name> = of.intersection(&good).cloned().collect();
        let taken = take_back_on(store, with, &before, &again);
        let taken = taken.map_err(|error| in_one_go(&error, back.iter().copied()))?;
        let restored = self::good(&taken);
        doubtful.extend(again.into_iter().filter(|host| !restored.contains(host)));
        outcomes.extend(taken);
    }
    let topology = store.topology()?;
    let states = status::all(store, &topology, with.clock.now())?;
    let torn = failed.iter().filter_map(|link| {
        let holds_until = states.iter().find(|state| state.id == link.id).and_then(|state| state.holds_until);
        let in_doubt = link.hosts.iter().flatten().any(|host| doubtful.contains(host));
        let is_torn = holds_until.is_some() || in_doubt || !fresh.contains(&link.id);
        let hosts = || link.hosts.iter().flatten().cloned().collect();
        is_torn.then(|| Torn { link: link.name(), holds_until: holds_until.or(Some(session_ends)), hosts: hosts() })
    });
    let torn: Vec<Torn> = torn.collect();
    let names = |links: &[&Chosen]| links.iter().map(|link| link.name()).collect::<Vec<_>>();
    let mut taken_back = names(&failed);
    taken_back.retain(|link| torn.iter().all(|torn| torn.link != *link));
    let (next, untold) = Default::default();
    Ok(Brought { rotation, hosts: outcomes, done: names(&done), taken_back, left, torn, next, untold })
}

/// Gives a device its next key, and tells its hosts. What one of them couldn't be told, a later deploy tells it: until the
/// next file is in use, all of them go by the present key.
fn bring_device(
    store: &mut Store,
    with: With<'_>,
    device: &str,
    hosts: &[Name],
    reason: &str,
) -> Result<Brought, Error> {
    let rotation = rotate::rotate_device(store, with.clock, with.actor, device, reason, Mode::Save)?;
    // The key is made and may be shown this once: what goes wrong from here on is told beside it.
    let outcomes = match hosts {
        [] => Vec::new(),
        hosts => deploy_to(store, with, hosts).unwrap_or_else(|error| {
            with.progress.warns(&format!("the hosts couldn't be told of the next key: {error}"));
            Vec::new()
        }),
    };
    let good = good(&outcomes);
    let links = links_of(store, &store.topology()?, device)?;
    let (next, untold): (Vec<_>, Vec<_>) =
        links.into_iter().partition(|(_, hosts)| hosts.iter().all(|host| good.contains(host)));
    let names = |links: Vec<(String, Vec<Name>)>| links.into_iter().map(|(link, _)| link).collect();
    let (done, taken_back, left, torn) = Default::default();
    Ok(Brought { rotation, hosts: outcomes, done, taken_back, left, torn, next: names(next), untold: names(untold) })
}

/// The hosts that are as the model says.
fn good(outcomes: &[HostOutcome]) -> BTreeSet<Name> {
    outcomes.iter().filter(|host| host.outcome.is_good()).map(|host| host.host.clone()).collect()
}

/// The hosts of which nobody saw that they are as they were before.
fn unseen(outcomes: &[HostOutcome]) -> BTreeSet<Name> {
    let is = |end: &Ended| matches!(end, Ended::OutOfSight { .. } | Ended::Reverted { clean: false, .. });
    outcomes.iter().filter(|host| is(&host.outcome)).map(|host| host.host.clone()).collect()
}

/// Gives links the key of before in the model and on the hosts that had taken the new one. Whoever asked the deploy to end
/// didn't ask for torn links: this isn't ended by it, and no host of it waits for how it goes with another.
fn take_back_on(store: &mut Store, with: With<'_>, before: &Before, on: &[Name]) -> Result<Vec<HostOutcome>, Error> {
    rotate::take_back(store, with.clock, with.actor, before, "an end couldn't be given it")?;
    if on.is_empty() {
        return Ok(Vec::new());
    }
    let options = Options { stop: Stop::default(), canary: 0, stop_on_failure: false, ..with.options.clone() };
    deploy_to(store, With { options: &options, ..with }, on)
}

/// Takes back the keys that no host was given when a deploy couldn't be carried on with, and says what to do about the others.
fn given_up(store: &mut Store, with: With<'_>, choice: &Choice, mut before: Before, error: Error) -> Error {
    let has = |key: Option<Has>| key == Some(Has::Present);
    let given = store.topology().map_err(Error::from).and_then(|topology| {
        let states = status::all(store, &topology, with.clock.now())?;
        let given = states.iter().filter(|state| state.ends.iter().any(|end| end.by_deploy() && has(end.has)));
        Ok(given.map(|state| state.id).collect::<BTreeSet<LinkId>>())
    });
    let Ok(given) = given else { return in_one_go(&error, &choice.links) };
    before.retain(|(id, _)| !given.contains(id));
    let why = "the deploy couldn't be carried on with";
    if !before.is_empty() && rotate::take_back(store, with.clock, with.actor, &before, why).is_err() {
        return in_one_go(&error, &choice.links);
    }
    let mut open = choice.links.iter().filter(|link| given.contains(&link.id) || link.torn).peekable();
    if open.peek().is_none() { error } else { in_one_go(&error, open) }
}

/// Says of links, of which an end may have another key than the model, how both come to have the same.
fn in_one_go<'a>(error: &Error, links: impl IntoIterator<Item = &'a Chosen>) -> Error {
    let links: Vec<&Chosen> = links.into_iter().collect();
    let names: Vec<String> = links.iter().map(|link| link.name()).collect();
    let hosts: Vec<String> = hosts_of(links).iter().map(ToString::to_string).collect();
    Error::RefusedWithRemedy {
        message: format!("{error}; new preshared keys were made, and not all ends have them: {}", names.join(", ")),
        hint: format!("`wg-friend deploy {}`, in one go, gives both ends of a link the same key", hosts.join(" ")),
    }
}

fn hosts_of<'a>(links: impl IntoIterator<Item = &'a Chosen>) -> Vec<Name> {
    let hosts: BTreeSet<Name> = links.into_iter().flat_map(|link| link.hosts.iter().flatten().cloned()).collect();
    hosts.into_iter().collect()
}

fn deploy_to(store: &mut Store, with: With<'_>, hosts: &[Name]) -> Result<Vec<HostOutcome>, Error> {
    let With { fleet, clock, actor, options, progress } = with;
    let plan = deploy::plan(store, fleet, clock, actor, hosts, options.parallel, progress)?;
    deploy::deploy(store, fleet, clock, actor, plan, options, progress)
}
