//! Edits at random, one after the other, taken to one host: what runs there is what the model says after each, and whom
//! an edit isn't about never appears in a command.
//!
//! The test binary runs itself once more inside the host and uses the library there, so that nothing is between the two:
//! what is measured is the deploy, not ssh.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use wg_friend::db::{Database, Passphrase, Store};
use wg_friend::fleet::{self, Answer, Connection, Fleet, Observed, RealFleet, Script};
use wg_friend::model::{Actor, Host, InterfaceName, PublicKey, Role, Source};
use wg_friend::ops::clock::{Clock as _, System};
use wg_friend::ops::deploy::desired::Deployed;
use wg_friend::ops::deploy::pending::pending;
use wg_friend::ops::deploy::steps::steps;
use wg_friend::ops::deploy::{HostPlan, Kind, Options, Outcome, Plan, Silent, deploy, plan};
use wg_friend::ops::network::change::Mode;
use wg_friend::ops::network::rotate::{Rotation, rotate};
use wg_friend_lab::{Output, Result, Spec};

use super::edits::{Dice, Edit, think};
use super::family::{Family, addressed, lab_or_skip, variables};
use super::office::Admin;
use super::tampered::options;

const EDITS: &str = "WG_FRIEND_TEST_EDITS";
const STEADY: [&str; 2] = ["hub", "anna"];

#[test]
fn edits_at_random_are_each_taken_to_the_host_and_touch_nobody_else() -> Result {
    let spec = "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
                host ctl internet:2 controller\n\
                host a internet:11 disk=600\n\
                host b internet:12\n";
    let lab = lab_or_skip!(spec.parse::<Spec>().unwrap());
    let admin = Admin::new(&lab);
    admin.init_as("long", "10.66.0.0/23", Family::Dual);
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--ssh", "local"]);
    admin.ok(&["add", "remote", "anna", "--access", "full"]);
    // The program and its database go to the host itself.
    let a = lab.host("a");
    a.sh("mkdir -m 700 /root/data")?;
    a.write("/root/it", std::fs::read(std::env::current_exe()?)?)?;
    a.write("/root/data/office.db", std::fs::read(admin.database())?)?;
    a.sh("chmod 700 /root/it; chmod 600 /root/data/office.db; cp /bin/true /usr/local/bin/resolvconf")?;
    let edit = |from: u64, number: u64| {
        let mut command: Command = a.command("env");
        command.arg(format!("{EDITS}={from} {number}")).args(variables()).arg("/root/it");
        command.args(["--exact", "lab::sequence::inside_the_host", "--nocapture"]);
        let Output { status, stdout, stderr } = Output::of(&mut command).unwrap();
        // What it came to stands at the end.
        let end = |text: &str| {
            text.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        assert_eq!(status, 0, "{}\n{}", end(&stdout), end(&stderr));
        eprintln!("{}", end(&stdout));
    };
    edit(0, 0);
    // Somebody has a session, so that there are counters to keep.
    let file: String =
        admin.ok(&["generate", "anna"]).lines().filter(|l| !l.starts_with("DNS")).map(|l| format!("{l}\n")).collect();
    lab.host("b").write("/etc/wireguard/wg0.conf", file)?;
    lab.host("b").sh(&addressed("wg-quick up wg0 && ping -n -c 3 -w 30 10.66.0.1"))?;
    let long = std::env::var_os("WGF_LONG").is_some_and(|value| value == "1");
    let (runs, each) = if long { (40, 250) } else { (1, 25) };
    (0..runs).for_each(|run| edit(run * each, each));
    Ok(())
}

/// How many scripts that could change something went to a host.
static CHANGING: AtomicUsize = AtomicUsize::new(0);

/// Counts them.
struct Counting(RealFleet);

struct Counted(Box<dyn Connection>);

impl Fleet for Counting {
    fn connect(&self, host: &Host) -> std::result::Result<Box<dyn Connection>, fleet::Error> {
        self.0.connect(host).map(|connection| Box::new(Counted(connection)) as Box<dyn Connection>)
    }
}

impl Connection for Counted {
    fn run(&mut self, script: &Script) -> std::result::Result<Answer, fleet::Error> {
        if script.kind() != "observe" {
            CHANGING.fetch_add(1, Ordering::Relaxed);
        }
        self.0.run(script)
    }
}

/// Not a test of its own: the part that runs inside the host. Elsewhere there is nothing to do.
#[test]
fn inside_the_host() {
    let Ok(wanted) = std::env::var(EDITS) else { return };
    let (from, wanted) = wanted.split_once(' ').unwrap();
    let (from, wanted): (u64, u64) = (from.parse().unwrap(), wanted.parse().unwrap());
    let database = Database::open("/root/data/office.db".as_ref()).unwrap();
    let passphrase = Passphrase::new("correct horse battery staple".to_owned());
    let actor = Actor { operator: "test".to_owned(), address: None, source: Source::Cli };
    let store = database.unlock(&passphrase, &actor, System.now()).unwrap();
    let mut trial = Trial { store, actor, fleet: Counting(RealFleet::new().unwrap()), wrong: Vec::new() };
    trial.deploy_first();
    if wanted == 0 {
        trial.what_went_wrong_once();
    }
    let mut dice = Dice(from);
    let (mut refused, mut without_effect, mut live, mut restarts) = (0, 0, 0, 0);
    let begun = std::time::Instant::now();
    for number in from + 1..=from + wanted {
        let topology = trial.store.topology().unwrap();
        let edit = think(&topology, &STEADY, 12, number, &mut dice);
        if edit.make(&mut trial.store, &System, &trial.actor).is_err() {
            refused += 1;
            continue;
        }
        match trial.take_to_the_host(&format!("edit {number}, {edit}")) {
            Effect::None => without_effect += 1,
            Effect::Live => live += 1,
            Effect::Restart => restarts += 1,
        }
        assert!(trial.wrong.len() < 20, "{}", trial.wrong.join("\n"));
    }
    println!(
        "edits {from} to {}, in {} s: {refused} refused, {without_effect} not about this host, {live} live, {restarts} with a restart",
        from + wanted,
        begun.elapsed().as_secs()
    );
    assert!(trial.wrong.is_empty(), "{}", trial.wrong.join("\n"));
    assert!(wanted < 20 || live > 0 && without_effect > 0, "both kinds are tried");
}

/// What an edit came to on the host.
enum Effect {
    None,
    Live,
    Restart,
}

struct Trial {
    store: Store,
    actor: Actor,
    fleet: Counting,
    wrong: Vec<String>,
}

impl Trial {
    fn plan(&mut self) -> Plan {
        plan(&mut self.store, &self.fleet, &System, &self.actor, &[], 1, &Silent).unwrap()
    }

    /// Whether the host is said to lack later changes, without being asked.
    fn waits(&self) -> bool {
        pending(&self.store).unwrap().into_values().any(|lacks| lacks)
    }

    fn deploy(&mut self, plan: Plan) -> Outcome {
        // Nobody is there to show that a new key or port works: the devices keep their files.
        let options = Options { check_handshakes: false, ..options(60) };
        let done = deploy(&mut self.store, &self.fleet, &System, &self.actor, plan, &options, &Silent).unwrap();
        done.into_iter().next().expect("there is one host").outcome
    }

    fn deploy_first(&mut self) {
        let plan = self.plan();
        let outcome = self.deploy(plan);
        assert!(matches!(outcome, Outcome::Confirmed | Outcome::Unchanged), "{outcome:?}");
    }

    fn what_went_wrong_once(&mut self) {
        let set = |setting: &str| Edit::Set { node: "hub".to_owned(), settings: vec![addressed(setting)] };
        // The kernel takes the new address away with the old one, the first of its subnet.
        for edit in [set("address=10.66.0.3"), set("address=10.66.0.1")] {
            edit.make(&mut self.store, &System, &self.actor).unwrap();
            self.take_to_the_host(&edit.to_string());
        }
        // A next key is a peer of its own, which stands before or after that of the present key.
        for (name, byte) in [("before", 0), ("after", 0xff)] {
            let mut next = [7; 32];
            next[..8].fill(byte);
            let name = name.to_owned();
            let add = Edit::Add { role: Role::Remote, name: name.clone(), settings: Vec::new() };
            add.make(&mut self.store, &System, &self.actor).unwrap();
            self.take_to_the_host(&add.to_string());
            let request = Rotation {
                node: name.clone(),
                reason: "trial".to_owned(),
                public_key: Some(PublicKey::from_bytes(next)),
                ..Rotation::default()
            };
            rotate(&mut self.store, &System, &self.actor, &request, Mode::Save).unwrap();
            self.take_to_the_host(&format!("a next key {name} the present one"));
            let remove = Edit::Remove { node: name };
            remove.make(&mut self.store, &System, &self.actor).unwrap();
            self.take_to_the_host(&remove.to_string());
        }
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }

    /// Deploys what the last edit made different, and checks what is there afterwards.
    fn take_to_the_host(&mut self, edit: &str) -> Effect {
        let waits = self.waits();
        let plan = self.plan();
        let secrets = self.store.secrets().unwrap();
        let host = &plan.hosts[0];
        let seen = host.seen.as_ref().unwrap_or_else(|why| panic!("{edit}: {why}"));
        let changes = seen.changes.clone();
        if waits == changes.is_empty() {
            self.wrong.push(format!("{edit}: without asking, that the host lacks something is {waits}: {changes:?}"));
        }
        let before = counters(&seen.observed);
        let Named { run, undo } = named(host, &secrets);
        let (differing, restarts) = (differing(host), restarting(host));
        let followed = followed(host, &differing);
        let strangers: Vec<&PublicKey> = run.difference(&differing).collect();
        if !strangers.is_empty() {
            self.wrong.push(format!("{edit}: commands about {strangers:?}, with whom nothing changes"));
        }
        let strangers: Vec<&PublicKey> = undo.difference(&differing).filter(|key| !followed.contains(key)).collect();
        if !strangers.is_empty() {
            self.wrong.push(format!("{edit}: taking it back is about {strangers:?}, with whom nothing changes"));
        }
        CHANGING.store(0, Ordering::Relaxed);
        let outcome = self.deploy(plan);
        if changes.is_empty() {
            let scripts = CHANGING.load(Ordering::Relaxed);
            if outcome != Outcome::Unchanged || scripts != 0 {
                self.wrong.push(format!("{edit}: nothing differs, and {scripts} scripts were run: {outcome:?}"));
            }
            return Effect::None;
        }
        if outcome != Outcome::Confirmed {
            self.wrong.push(format!("{edit}: {outcome:?}"));
        }
        if self.waits() {
            self.wrong.push(format!("{edit}: it is said to lack something when it was just deployed"));
        }
        let after = self.plan();
        let host = &after.hosts[0];
        for change in host.changes() {
            self.wrong.push(format!("{edit}: still {change}"));
        }
        let Ok(seen) = &host.seen else { panic!("{edit}: the host is gone") };
        let now = counters(&seen.observed);
        for ((interface, key), was) in before {
            let kept = !restarts.contains(&interface) && !differing.contains(&key);
            if kept && now.get(&(interface.clone(), key)).is_none_or(|now| now.0 < was.0 || now.1 < was.1) {
                self.wrong.push(format!("{edit}: the counters of {key} on {interface} went back"));
            }
        }
        if restarts.is_empty() { Effect::Live } else { Effect::Restart }
    }
}

type Counters = BTreeMap<(InterfaceName, PublicKey), (u64, u64)>;

/// What each peer received and sent.
fn counters(observed: &Observed) -> Counters {
    let all = observed.interfaces.iter().flat_map(|(name, interface)| {
        interface.live.peers.iter().map(|(key, peer)| ((name.clone(), *key), (peer.rx, peer.tx)))
    });
    all.collect()
}

/// Interfaces that the plan says go down.
fn restarting(host: &HostPlan) -> BTreeSet<InterfaceName> {
    let kinds = [Kind::Restart, Kind::InterfaceExtra, Kind::InterfaceMissing];
    let down = host.changes().iter().filter(|change| kinds.contains(&change.kind));
    down.filter_map(|change| change.interface.clone()).collect()
}

/// Peers that appear in the commands of a deploy.
struct Named {
    /// In those that carry it out.
    run: BTreeSet<PublicKey>,
    /// In those that take it back.
    undo: BTreeSet<PublicKey>,
}

fn named(host: &HostPlan, secrets: &wg_friend::model::Secrets) -> Named {
    let mut named = Named { run: BTreeSet::new(), undo: BTreeSet::new() };
    let Ok(seen) = &host.seen else { return named };
    let steps = steps(&seen.changes, &host.desired, secrets, host.deployed.as_ref(), &seen.observed);
    let keys =
        |text: &str| -> Vec<PublicKey> { text.split([' ', '\'', '\n']).filter_map(|word| word.parse().ok()).collect() };
    for step in &steps.steps {
        named.run.extend(keys(&step.run));
        named.undo.extend(keys(&step.undo));
    }
    for file in steps.files.iter().filter(|file| file.path.starts_with("peers/")) {
        let to = if file.path.ends_with(".new") { &mut named.run } else { &mut named.undo };
        let written = file.content.lines().filter_map(|line| line.strip_prefix("PublicKey = "));
        to.extend(written.filter_map(|key| key.parse::<PublicKey>().ok()));
    }
    named
}

/// Peers of which a next key appears. What that carries by the time it is taken back, they carry again.
fn followed(host: &HostPlan, differing: &BTreeSet<PublicKey>) -> BTreeSet<PublicKey> {
    let peers = host.desired.interfaces.iter().flat_map(|interface| &interface.peers);
    peers.filter(|peer| differing.contains(&peer.public_key)).filter_map(|peer| peer.succeeds).collect()
}

/// Peers of which the model wants something else than when it was last deployed, or that come or go.
fn differing(host: &HostPlan) -> BTreeSet<PublicKey> {
    let nothing = Deployed::default();
    let deployed = host.deployed.as_ref().unwrap_or(&nothing);
    let was = peers(&deployed.version.interfaces, &deployed.version.files);
    let is = peers(&host.desired.interfaces, &host.desired.files);
    let keys = was.keys().chain(is.keys());
    keys.filter(|key| was.get(*key) != is.get(*key)).copied().collect()
}

/// Each peer with all that is written about it, in every interface's file. Of the comments, which stand above a peer, the next
/// one's would be taken for its own.
fn peers(
    interfaces: &[wg_friend::wg::InterfaceConfig],
    files: &BTreeMap<String, zeroize::Zeroizing<String>>,
) -> BTreeMap<PublicKey, String> {
    let mut found: BTreeMap<PublicKey, String> = BTreeMap::new();
    for interface in interfaces {
        let Some(file) = files.get(&format!("{}.conf", interface.name)) else { continue };
        for section in file.split("[Peer]").skip(1) {
            let lines = || section.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let key = lines().find_map(|line| line.strip_prefix("PublicKey = "));
            if let Some(key) = key.and_then(|key| key.trim().parse().ok()) {
                let text = found.entry(key).or_default();
                lines().for_each(|line| text.extend([line, "\n"]));
            }
        }
    }
    found
}
