//! What waits to be brought to hosts, without asking any: what the model wants of each now, against what was last confirmed
//! there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::db::{Database, Deployment, Store};
use crate::model::{Actor, DeploymentState, Host, InterfaceId, InterfaceName, Name, Node, PublicKey, Run, Topology};
use crate::ops::error::Error;
use crate::ops::rotation::ready;
use crate::wg::InterfaceConfig;

use super::change::Cause;
use super::desired::{Desired, Version};
use super::plan::{HostPlan, Seen};
use super::{adopted, journal, only, running};

/// Returns the hosts of a model on which nothing of the network was ever confirmed, though some of it is to be there that
/// wasn't found there; ordered by name.
///
/// # Errors
/// When the store can't be read.
pub fn undeployed(database: &Database, topology: &Topology) -> Result<Vec<Name>, Error> {
    if database.newest_state()?.is_none() {
        return Ok(Vec::new());
    }
    let adopted = database.adopted()?;
    let is_made_here = |node: &Node| node.interfaces.iter().any(|own| !adopted.contains(&own.id));
    let mut waiting = Vec::new();
    for host in &topology.hosts {
        let mut nodes = topology.enabled().filter(|node| node.host.as_ref() == Some(&host.name));
        let is_confirmed = |deployment: &Deployment| deployment.state == DeploymentState::Confirmed;
        if nodes.any(is_made_here) && !database.deployments(&host.name, u32::MAX)?.iter().any(is_confirmed) {
            waiting.push(host.name.clone());
        }
    }
    waiting.sort();
    Ok(waiting)
}

/// Returns the hosts to which something of the chosen network was deployed, each with whether the model wants something else
/// of it by now than what was last confirmed there. What somebody changed there by hand doesn't count: that is drift.
///
/// It is a deploy's own comparison, with what was deployed in the place of what the host has: the files in which all is that
/// an interface is made from, which interfaces run, and their keys.
///
/// # Errors
/// When the model contradicts itself or the store can't be read.
pub fn pending(store: &Store) -> Result<BTreeMap<Name, bool>, Error> {
    let mut pending = BTreeMap::new();
    // Of a large network, what is wanted and what was left would each fill the memory: there is but one of them at a time.
    for (host, wanted) in wanted(store)? {
        let Some(left) = left(store, &host)? else { continue };
        if left != Brief::default() || wanted != Brief::default() {
            pending.insert(host, wanted != left);
        }
    }
    Ok(pending)
}

/// What hosts have or are to have, as far as that takes to compare it.
#[derive(Default, PartialEq, Eq)]
struct Brief {
    /// SHA-256 of each file.
    files: BTreeMap<String, [u8; 32]>,
    /// The interfaces that are there, with what no file of theirs says.
    interfaces: BTreeMap<InterfaceName, (Run, PublicKey)>,
}

impl Brief {
    fn of(interfaces: &[InterfaceConfig], files: &BTreeMap<String, Zeroizing<String>>) -> Self {
        let there = interfaces.iter().filter(|interface| interface.run != Run::Gone);
        let interfaces =
            there.map(|interface| (interface.name.clone(), (interface.run, interface.public_key))).collect();
        let files = files.iter().map(|(path, text)| (path.clone(), Sha256::digest(text.as_bytes()).into())).collect();
        Self { files, interfaces }
    }

    fn of_version(version: &Version) -> Self {
        Self::of(&version.interfaces, &version.files)
    }
}

/// What the model wants of each host.
fn wanted(store: &Store) -> Result<BTreeMap<Name, Brief>, Error> {
    let topology = store.topology()?;
    let compiled = ready::compile(store, &topology)?;
    let secrets = store.secrets()?;
    let of = |host: &Host| {
        let Desired { interfaces, files, .. } = Desired::of(&host.name, &topology, &compiled, &secrets);
        (host.name.clone(), Brief::of(&interfaces, &files))
    };
    Ok(topology.hosts.iter().map(of).collect())
}

/// What the last confirmed deploy left of the chosen network on a host; `None` where there was none.
fn left(store: &Store, host: &Name) -> Result<Option<Brief>, Error> {
    let Some((_, content)) = store.deployed(host)? else { return Ok(None) };
    let Left { interfaces, mut files } = journal::read_version(&content)?;
    let ids: Vec<InterfaceId> = interfaces.iter().map(|interface| interface.id).collect();
    let others = store.of_others(&ids)?;
    let (theirs, own): (Vec<_>, Vec<_>) = interfaces.into_iter().partition(|one| others.contains(&one.id));
    files.retain(|path, _| !theirs.iter().any(|one| only::is_file_of(path, &one.name)));
    let there = own.into_iter().filter(|interface| interface.run != Run::Gone);
    let interfaces = there.map(|interface| (interface.name, (interface.run, interface.public_key))).collect();
    Ok(Some(Brief { files: files.into_iter().map(|(path, Digest(sum))| (path, sum)).collect(), interfaces }))
}

/// A [`Version`](super::desired::Version), read without its peers, and of its files only their sums.
#[derive(Deserialize)]
struct Left {
    interfaces: Vec<LeftInterface>,
    files: BTreeMap<String, Digest>,
}

#[derive(Deserialize)]
struct LeftInterface {
    id: InterfaceId,
    name: InterfaceName,
    public_key: PublicKey,
    #[serde(default)]
    run: Run,
}

/// SHA-256 of a text.
struct Digest([u8; 32]);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Digest;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the text of a file")
            }

            fn visit_str<E>(self, text: &str) -> Result<Digest, E> {
                Ok(Digest(Sha256::digest(text.as_bytes()).into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Writes down of hosts that gave an answer and lack nothing of the model that this is what they have, where what was last confirmed
/// is something else: the model has come to say what is there, as when somebody's change was adopted. What somebody changed by hand
/// stays what it is.
///
/// # Errors
/// When the store can't be read or written.
pub(super) fn note_agreement(
    store: &mut Store,
    now: DateTime<Utc>,
    actor: &Actor,
    hosts: &[HostPlan],
) -> Result<(), Error> {
    let by_hand = |seen: &Seen| seen.changes.iter().all(|change| change.cause == Cause::Drift);
    let agrees = |plan: &&HostPlan| {
        let agrees = plan.seen.as_ref().is_ok_and(|seen| seen.observed.pending.is_none() && by_hand(seen));
        agrees && plan.deployed.as_ref().is_some_and(|deployed| !is_left_by(&plan.desired, &deployed.version))
    };
    let mut agreeing = hosts.iter().filter(agrees).peekable();
    if agreeing.peek().is_none() {
        return Ok(());
    }
    // Somebody else may be about to bring them something else, or have done so since they were looked at.
    let Some(_nobody_deploys) = running::nobody(store.path()) else { return Ok(()) };
    let open: BTreeSet<Name> = store.open_deployments()?.into_iter().map(|deployment| deployment.host).collect();
    for HostPlan { host, desired, deployed, seen, .. } in agreeing.filter(|plan| !open.contains(&plan.host.name)) {
        let now_there = journal::deployed(store, &host.name)?;
        let (Ok(seen), Some(before), Some(now_there)) = (seen, deployed, now_there) else { continue };
        if Brief::of_version(&before.version) == Brief::of_version(&now_there.version) {
            // A table that somebody changed isn't what later listings are to be compared with.
            let tables = match seen.changes.is_empty() {
                true => only::tables(desired.only.as_ref(), &seen.observed.tables, now_there.tables),
                false => now_there.tables,
            };
            adopted::note(store, now, actor, &host.name, desired, &tables)?;
        }
    }
    Ok(())
}

/// Whether a host that is as this version left it is as it should be.
fn is_left_by(desired: &Desired, version: &Version) -> bool {
    Brief::of(&desired.interfaces, &desired.files) == Brief::of_version(version)
}

#[cfg(test)]
mod tests {
    use super::super::look::{Job, job};
    use super::*;
    use crate::db::{KdfParams, Passphrase};
    use crate::model::{Become, HostAddress, Origin, Role, Source};
    use crate::ops::clock::Fixed;
    use crate::ops::host;
    use crate::ops::network::add::{NewNodes, add};
    use crate::ops::network::change::Mode;
    use crate::ops::network::edit::{rename, set};
    use crate::ops::network::remove::remove;
    use crate::ops::network::setting::parse_all;
    use crate::wg::compile::fixture::Fixture;

    struct Office {
        store: Store,
        actor: Actor,
        clock: Fixed,
        _dir: tempfile::TempDir,
    }

    /// A server on the host `hub`, a router on `branch`, and a device.
    fn office() -> Office {
        let dir = tempfile::tempdir().unwrap();
        let clock = Fixed("2026-03-01T08:00:00Z".parse().unwrap());
        let actor = Actor { operator: "tester".into(), address: None, source: Source::Cli };
        let network = Fixture::new().topology.network;
        let passphrase = Passphrase::new("correct-horse".to_owned());
        let path = dir.path().join("store/x.db");
        let (store, _) =
            Database::create(&path, &passphrase, KdfParams::FULL_ENTROPY, &network, &actor, clock.0).unwrap();
        let mut office = Office { store, actor, clock, _dir: dir };
        for name in ["hub", "branch"] {
            let host = Host::new(name.parse().unwrap(), HostAddress::Local, Become::Root);
            host::add(&mut office.store, &office.clock, &office.actor, host, Mode::Save).unwrap();
        }
        office.add(Role::Server, "server", &["endpoint=vpn.example.com", "host=hub"]);
        office.add(Role::Router, "office", &["lan=192.168.1.0/24", "host=branch"]);
        office.add(Role::Remote, "phone", &[]);
        office
    }

    impl Office {
        fn add(&mut self, role: Role, name: &str, settings: &[&str]) {
            let mut node = NewNodes::one(role, name.parse().unwrap(), Origin::Manual);
            node.settings = parse_all(settings.iter().copied()).unwrap();
            add(&mut self.store, &self.clock, &self.actor, node, Mode::Save).unwrap();
        }

        fn set(&mut self, node: &str, setting: &str) {
            let settings = parse_all([setting]).unwrap();
            set(&mut self.store, &self.clock, &self.actor, node, &settings, Mode::Save).unwrap();
        }

        fn desired(&self, host: &str) -> Job {
            let topology: Topology = self.store.topology().unwrap();
            let compiled = ready::compile(&self.store, &topology).unwrap();
            let secrets = self.store.secrets().unwrap();
            let host = topology.host(&host.parse().unwrap()).unwrap();
            job(&self.store, (&topology, &compiled, &secrets), host, None).unwrap().unwrap()
        }

        /// Has a host be what the model says.
        fn deploy(&mut self, host: &str) {
            let desired = self.desired(host).desired;
            self.note(&desired);
        }

        fn note(&mut self, desired: &Desired) {
            let (now, host) = (self.clock.0, desired.host.clone());
            adopted::note(&mut self.store, now, &self.actor, &host, desired, &BTreeMap::new()).unwrap();
        }

        fn undeployed(&self) -> Vec<Name> {
            undeployed(&self.store, &self.store.topology().unwrap()).unwrap()
        }

        /// The hosts that something was deployed to; those that lack later changes with a `!`.
        fn pending(&self) -> String {
            let word = |(host, lacks): (Name, bool)| format!("{host}{}", if lacks { "!" } else { "" });
            pending(&self.store).unwrap().into_iter().map(word).collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn a_host_lacks_what_was_changed_for_it_since_it_was_deployed_to_and_nothing_else() {
        let mut office = office();
        assert_eq!(office.pending(), "", "nothing was deployed");
        assert_eq!(office.undeployed().len(), 2);
        office.deploy("hub");
        assert_eq!(office.pending(), "hub");
        assert_eq!(office.undeployed(), ["branch".parse().unwrap()]);
        office.deploy("branch");
        assert_eq!(office.pending(), "branch hub");

        office.add(Role::Remote, "tablet", &[]);
        assert_eq!(office.pending(), "branch hub!", "the router is linked to the server alone");
        remove(&mut office.store, &office.clock, &office.actor, &["tablet".into()], Mode::Save).unwrap();
        assert_eq!(office.pending(), "branch hub", "what was taken back is nothing to deploy");

        office.set("office", "lan=192.168.2.0/24");
        assert_eq!(office.pending(), "branch! hub!");
        office.deploy("branch");
        assert_eq!(office.pending(), "branch hub!");
        office.deploy("hub");

        let name = "mobile".parse().unwrap();
        rename(&mut office.store, &office.clock, &office.actor, "phone", name, Mode::Save).unwrap();
        assert_eq!(office.pending(), "branch hub!", "its file has the name");
        office.set("mobile", "notes=kept in the drawer");
        office.deploy("hub");
        office.set("mobile", "notes=lost");
        assert_eq!(office.pending(), "branch hub", "no file has notes");
    }

    #[test]
    fn what_a_deploy_leaves_out_a_host_still_lacks() {
        let mut office = office();
        office.deploy("hub");
        let before = office.desired("hub").desired;
        office.add(Role::Remote, "tablet", &[]);
        let Job { desired, deployed, .. } = office.desired("hub");
        office.note(&desired.restricted_to([].into(), deployed.as_ref()));
        assert_eq!(office.pending(), "hub!", "the deploy was about no interface");
        office.deploy("hub");
        assert_eq!(office.pending(), "hub");
        office.note(&before);
        assert_eq!(office.pending(), "hub!", "it went back to an earlier version");
    }

    #[test]
    fn an_interface_that_is_to_run_or_not_is_a_change_though_its_file_is_the_same() {
        let office = office();
        let Job { mut desired, .. } = office.desired("hub");
        let version = Version { interfaces: desired.interfaces.clone(), files: desired.files.clone(), only: None };
        assert!(is_left_by(&desired, &version));
        desired.interfaces[0].run = Run::Off;
        assert!(!is_left_by(&desired, &version));
        desired.interfaces[0].run = Run::Gone;
        assert!(!is_left_by(&desired, &version), "it is to be taken away");
        let left = Version { interfaces: Vec::new(), files: desired.files.clone(), only: None };
        assert!(is_left_by(&desired, &left), "it has been");
    }
}
