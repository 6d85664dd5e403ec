//! Plans as files: what somebody has looked at and approved, to be carried out later exactly as it was, or not at all.
//!
//! The file holds no secret. It names the state of the model, and of each host a digest of what it should have and the
//! fingerprint of what it had. It is authenticated under a key of the database, so one that somebody has edited is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::db::{StateFilter, Store};
use crate::fleet::Fleet;
use crate::model::{Actor, Name};
use crate::ops::clock::Clock;
use crate::ops::error::Error;
use crate::ops::network::private_file;
use crate::ops::revision;
use crate::ops::rotation::ready;

use super::change::{Change, Kind};
use super::desired::Desired;
use super::look::{self, Job, look};
use super::plan::{HostPlan, Plan};
use super::progress::Progress;

/// The version of the file's layout.
const VERSION: u32 = 1;

/// What such a file says it is.
const FORMAT: &str = "wg-friend plan";

/// What the keys are for that authenticate it, and what it should have.
const FILE: &str = "wg-friend saved plan";
const DESIRED: &str = "wg-friend desired state in a saved plan";

/// A plan as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// What the file is.
    format: String,
    /// Its layout.
    version: u32,
    /// The database it was made with.
    database: String,
    /// The state of the model.
    pub state: Option<i64>,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// By whom.
    pub operator: String,
    /// The hosts that differed, ordered by name.
    pub hosts: Vec<SavedHost>,
}

/// A host in a saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedHost {
    /// Which.
    pub host: Name,
    /// What names its state.
    fingerprint: String,
    /// Digest of what it should have, under a key of the database.
    desired: String,
    /// What would change, as it was shown.
    pub changes: Vec<SavedChange>,
}

/// A change in a saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedChange {
    /// The line that was shown, the interface before it.
    pub shown: String,
    /// What it does to traffic.
    pub disruption: String,
    /// Whether the model or the host had moved.
    pub cause: String,
    /// Whether it comes and goes with time: that a peer isn't where it can be dialled counts only while it is silent.
    passing: bool,
}

/// The file: a plan, and what authenticates it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    plan: SavedPlan,
    /// HMAC-SHA-256 of the plan as JSON without blanks, in hexadecimal.
    mac: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a word as JSON has it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl From<&Change> for SavedChange {
    fn from(change: &Change) -> Self {
        Self {
            shown: change.with_place(),
            disruption: word(&change.disruption),
            cause: word(&change.cause),
            passing: change.kind == Kind::Endpoint,
        }
    }
}

fn digest(store: &Store, desired: &Desired) -> String {
    hex(&store.authenticate(DESIRED, &desired.version_json()))
}

fn mac(store: &Store, plan: &SavedPlan) -> String {
    hex(&store.authenticate(FILE, &serde_json::to_vec(plan).expect("names and texts are representable")))
}

/// Writes a plan into a file that only its owner can read; of the hosts, those that differ. Returns what it says.
///
/// # Errors
/// When the file can't be written or the store can't be read.
pub fn save(store: &Store, plan: &Plan, actor: &Actor, now: DateTime<Utc>, path: &Path) -> Result<SavedPlan, Error> {
    let host = |host: &HostPlan| {
        let seen = host.seen.as_ref().ok().filter(|seen| !seen.changes.is_empty())?;
        Some(SavedHost {
            host: host.host.name.clone(),
            fingerprint: seen.observed.fingerprint.to_string(),
            desired: digest(store, &host.desired),
            changes: seen.changes.iter().map(SavedChange::from).collect(),
        })
    };
    let saved = SavedPlan {
        format: FORMAT.to_owned(),
        version: VERSION,
        database: store.id().to_owned(),
        state: store.newest_state()?,
        made: now,
        operator: actor.operator.clone(),
        hosts: plan.hosts.iter().filter_map(host).collect(),
    };
    let sealed = Sealed { mac: mac(store, &saved), plan: saved };
    let mut text = serde_json::to_string_pretty(&sealed).expect("names and texts are representable");
    text.push('\n');
    private_file::write(path, text.as_bytes())?;
    Ok(sealed.plan)
}

fn refused(message: String, hint: &str) -> Error {
    Error::RefusedWithRemedy { message, hint: hint.to_owned() }
}

/// What to do when a plan can't be used.
const ANEW: &str = "make a new one with `wg-friend plan -o FILE`, and look at it";

/// Reads a plan that was saved, and sees to it that nobody has changed it.
///
/// # Errors
/// When the file can't be read, is none of this database, or isn't as it was written.
pub fn open(store: &Store, path: &Path) -> Result<SavedPlan, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    let about: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let shown = path.display();
    if about["plan"]["format"] != FORMAT {
        return Err(refused(format!("{shown} is no plan of wg-friend"), ANEW));
    }
    if about["plan"]["version"] != VERSION {
        return Err(refused(format!("{shown} was written by another version of wg-friend"), ANEW));
    }
    if about["plan"]["database"] != store.id() {
        let message = format!("{shown} was made with another database than {}", store.path().display());
        return Err(refused(message, "name its own with --db"));
    }
    let sealed: Option<Sealed> = serde_json::from_slice(&bytes).ok();
    match sealed.filter(|sealed| sealed.mac == mac(store, &sealed.plan)) {
        Some(sealed) => Ok(sealed.plan),
        None => Err(refused(format!("{shown} isn't as wg-friend wrote it, or was made before a rekeying"), ANEW)),
    }
}

/// Looks again at the hosts of a saved plan. The plan that comes back is the one that was saved: it has its hosts and its
/// changes and no others.
///
/// # Errors
/// When the model or a host isn't as it was when the plan was made, or a host can't be looked at: then nothing of it can be
/// carried out. The error names what has moved.
pub fn look_again(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    saved: &SavedPlan,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Plan, Error> {
    let topology = store.topology()?;
    let compiled = ready::compile(store, &topology)?;
    let secrets = store.secrets()?;
    let mut moved = model_moved(store, saved)?;
    let mut jobs: Vec<Job> = Vec::new();
    for wanted in &saved.hosts {
        let Some(host) = topology.host(&wanted.host) else {
            moved.push(format!("the host `{}` is gone", wanted.host));
            continue;
        };
        let job = look::job(store, (&topology, &compiled, &secrets), host, None)?;
        match job.filter(|job| digest(store, &job.desired) == wanted.desired) {
            Some(job) => jobs.push(Job { before: wanted.fingerprint.parse().ok(), ..job }),
            None => moved.push(format!("what `{}` should have is another", wanted.host)),
        }
    }
    if !moved.is_empty() {
        return Err(stale(&moved));
    }
    let mut plan = look(store, fleet, clock, actor, jobs, secrets, parallel, progress)?;
    let by_name: BTreeMap<&Name, &SavedHost> = saved.hosts.iter().map(|host| (&host.host, host)).collect();
    for host in &mut plan.hosts {
        if let Some(wanted) = by_name.get(&host.host.name) {
            moved.extend(host_moved(host, wanted));
        }
    }
    if !moved.is_empty() {
        return Err(stale(&moved));
    }
    Ok(Plan { devices: revision::needed(store)?, ..plan })
}

fn stale(moved: &[String]) -> Error {
    refused(format!("not carried out, since this is not what the plan was made for:\n{}", moved.join("\n")), ANEW)
}

/// So many states are named before the rest is counted.
const NAMED: usize = 5;

/// Says what has changed in the model since.
fn model_moved(store: &Store, saved: &SavedPlan) -> Result<Vec<String>, Error> {
    let (then, now) = (saved.state.unwrap_or(0), store.newest_state()?.unwrap_or(0));
    if then == now {
        return Ok(Vec::new());
    }
    let newest = store.states(&StateFilter { since: None, limit: Some(1000), about: None })?;
    let since: Vec<_> = newest.iter().filter(|state| state.number > then).collect();
    if since.is_empty() {
        return Ok(vec![format!("the model: it is at state {now}, which is older than the plan's, {then}")]);
    }
    let by = |operator: Option<&String>| operator.map_or(String::new(), |operator| format!(", by {operator}"));
    let line = |state: &&crate::db::State| {
        format!("the model: state {}{}: {}", state.number, by(state.operator.as_ref()), state.description)
    };
    let mut lines: Vec<String> = since.iter().rev().take(NAMED).map(line).collect();
    if since.len() > NAMED {
        lines.push(format!("the model: and {} more states", since.len() - NAMED));
    }
    Ok(lines)
}

/// Says what is otherwise on a host than it was; where nothing is, leaves the changes that were saved.
fn host_moved(host: &mut HostPlan, saved: &SavedHost) -> Vec<String> {
    let name = host.host.name.clone();
    let seen = match &mut host.seen {
        Ok(seen) => seen,
        Err(error) => return vec![format!("host `{name}`: {error}")],
    };
    let known: BTreeSet<&str> = saved.changes.iter().map(|change| change.shown.as_str()).collect();
    let now: BTreeSet<String> = seen.changes.iter().map(Change::with_place).collect();
    let lasting = |change: &&Change| change.kind != Kind::Endpoint;
    let new = seen.changes.iter().filter(lasting).map(Change::with_place).filter(|line| !known.contains(line.as_str()));
    let mut moved: Vec<String> = new.map(|line| format!("host `{name}`: new: {line}")).collect();
    let gone = saved.changes.iter().filter(|change| !change.passing && !now.contains(&change.shown));
    moved.extend(gone.map(|change| format!("host `{name}`: not needed any more: {}", change.shown)));
    if moved.is_empty() && seen.observed.fingerprint.to_string() != saved.fingerprint {
        moved.push(format!("host `{name}` changed, in something that the plan doesn't touch"));
    }
    seen.changes.retain(|change| known.contains(change.with_place().as_str()));
    moved
}
