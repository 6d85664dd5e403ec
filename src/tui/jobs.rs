//! Workers: whatever reads, runs or asks hosts does it here, beside the screen, and answers with a message.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use super::line::{Cancel, Line, Runner};
use super::msg::{Head, Msg, Planned, Purpose, Secrets, Step};
use super::screens::{self, Screen};
use super::source::Source;
use crate::fleet::RealFleet;
use crate::model::{Name, Role};
use crate::ops::clock::{Clock as _, System};
use crate::ops::deploy::{self, report::PlanReport};
use crate::ops::deploy::{HostOutcome, Options, Phase, Progress, Stop};
use crate::ops::watch::schedule::Schedule;
use crate::ops::{self, Error, revision, watch};
use crate::settings::Settings;
use crate::{db, model};

/// How often hosts are asked while the dashboard is seen.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a host that is watched may leave a question without an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Starts workers.
pub struct Jobs {
    /// Where answers go.
    answers: Sender<Msg>,
    runner: Runner,
    running: BTreeMap<&'static str, Cancel>,
    watching: Option<Stop>,
    /// Whose turn it is to compile the whole network: of a large one, two at a time would take twice the memory.
    turn: Arc<Mutex<()>>,
    /// The latest request for the header.
    asked: Arc<AtomicU64>,
}

impl Drop for Jobs {
    /// What only reads ends at once; what changes something is asked to end in order, as by Ctrl-C.
    fn drop(&mut self) {
        self.unwatch();
        self.running.iter().for_each(|(slot, cancel)| cancel.cancel(*slot != CHANGE));
    }
}

/// What lines are called that change something.
const CHANGE: &str = "change";

impl Jobs {
    /// Workers that answer there.
    pub fn new(answers: Sender<Msg>, runner: Runner) -> Self {
        Self { answers, runner, running: BTreeMap::new(), watching: None, turn: Arc::default(), asked: Arc::default() }
    }

    /// Says whether colours are shown.
    pub fn colour(&mut self, coloured: bool) {
        self.runner.coloured = coloured;
    }

    fn work(&self, work: impl FnOnce(&Sender<Msg>) + Send + 'static) {
        let answers = self.answers.clone();
        // Whoever has gone doesn't need the answer.
        std::thread::spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&answers))) {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let _gone = answers.send(Msg::Broken(text.unwrap_or_default()));
            }
        });
    }

    /// Reads the rows of a screen.
    pub fn rows(&self, source: Source, screen: &'static Screen, number: u64) {
        let turn = (*screen == screens::hosts::SCREEN).then(|| Arc::clone(&self.turn));
        self.work(move |answers| {
            let _mine = turn.as_deref().map(mine);
            let _gone = answers.send(Msg::Rows(screen, number, (screen.load)(&source)));
        });
    }

    /// Reads what the header says. A request that still waits for its turn when there is a later one is answered by that.
    pub fn head(&self, source: Source, number: u64) {
        let (turn, asked) = (Arc::clone(&self.turn), Arc::clone(&self.asked));
        asked.fetch_max(number, Ordering::Relaxed);
        self.work(move |answers| {
            let _mine = mine(&turn);
            if asked.load(Ordering::Relaxed) == number {
                let _gone = answers.send(Msg::Head(number, Box::new(head(&source))));
            }
        });
    }

    /// Tries a passphrase.
    pub fn unlock(&self, source: Source, passphrase: Zeroizing<String>) {
        self.work(move |answers| {
            let _gone = answers.send(Msg::Unlocked(source.unlock(passphrase)));
        });
    }

    /// Runs a line. One that is run for the same purpose and only reads ends.
    pub fn run(&mut self, source: &Source, purpose: Purpose, line: Line, columns: u16, secrets: Secrets) {
        self.cancel(&purpose);
        let cancel = Cancel::default();
        self.running.insert(slot(&purpose), cancel.clone());
        let mut runner = self.runner.clone();
        if let Some(network) = &source.network {
            runner.options.extend(["--network".into(), network.as_str().into()]);
        }
        let mut handover = source.handover();
        (handover.passphrase, handover.new_passphrase) = (secrets.passphrase, secrets.new_passphrase);
        self.work(move |answers| {
            let ran = runner.run(&line, columns, &handover, &cancel);
            let _gone = answers.send(Msg::Ran(purpose, Box::new(ran)));
        });
    }

    /// Ends the line that is run for this purpose: at once, or in order if it changes something.
    pub fn cancel(&self, purpose: &Purpose) {
        if let Some(cancel) = self.running.get(slot(purpose)) {
            cancel.cancel(!matches!(purpose, Purpose::Change(_)));
        }
    }

    /// Watches the network until [`Jobs::unwatch`], or until another watch begins.
    pub fn watch(&mut self, source: Source, number: u64) {
        self.unwatch();
        let stop = Stop::default();
        self.watching = Some(stop.clone());
        let turn = Arc::clone(&self.turn);
        self.work(move |answers| {
            let told = answers.clone();
            let mut until_seen = Some(mine(&turn));
            let marks = source.open().ok();
            let mut known = None;
            let watched = watched(&source, stop, &mut |picture, events| {
                until_seen = None;
                if let Some(mark) = marks.as_ref().and_then(|database| database.mark().ok())
                    && known.replace(mark) != Some(mark)
                {
                    let _gone = told.send(Msg::Changed(number, mark));
                }
                let _gone = told.send(Msg::Picture(number, Box::new(picture), events));
                Ok(())
            });
            let _gone = answers.send(Msg::Unwatched(number, watched.err()));
        });
    }

    /// Ends the watch.
    pub fn unwatch(&mut self) {
        if let Some(stop) = self.watching.take() {
            stop.ask();
        }
    }

    /// Finds out what would change on hosts, and has it done when somebody says so.
    pub fn plan(&self, source: Source, number: u64, hosts: Vec<String>) {
        self.work(move |answers| {
            let line = Told { answers: answers.clone(), number };
            let (go, gone) = channel::<Stop>();
            let planned = plan(&source, &hosts, &line);
            let (mut store, fleet, settings, plan) = match planned {
                Ok(planned) => planned,
                Err(error) => {
                    let _gone = answers.send(Msg::Planned(number, Box::new(Err(error))));
                    return;
                }
            };
            let planned = Planned { report: PlanReport::from(&plan), go };
            let _gone = answers.send(Msg::Planned(number, Box::new(Ok(planned))));
            let Ok(stop) = gone.recv() else { return };
            let options = Options {
                confirm_within: settings.confirm_timeout,
                parallel: settings.parallel,
                host_timeout: Duration::from_secs(settings.host_timeout),
                keep_versions: settings.keep_versions,
                stop,
                ..Options::new(format!("{} (wg-friend process {})", source.actor.operator, std::process::id()))
            };
            let done = deploy::deploy(&mut store, &fleet, &System, &source.actor, plan, &options, &line);
            let _gone = answers.send(Msg::Deployed(number, Box::new(done)));
        });
    }
}

/// Waits until it is one's turn. What another one died of is no reason not to take it.
fn mine(turn: &Mutex<()>) -> MutexGuard<'_, ()> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a purpose is called among those that run: there is one of each.
fn slot(purpose: &Purpose) -> &'static str {
    match purpose {
        Purpose::Tab(_) => "tab",
        Purpose::Preview(_) => "preview",
        Purpose::Read(_) => "read",
        Purpose::Change(_) => CHANGE,
    }
}

/// What a plan is made with, and the plan.
type Made = (db::Store, RealFleet, Settings, deploy::Plan);

fn plan(source: &Source, hosts: &[String], line: &Told) -> Result<Made, Error> {
    let mut store = source.store()?;
    let settings = source.settings()?;
    let fleet = RealFleet::new()?.answering_within(Duration::from_secs(settings.host_timeout));
    let topology = store.topology()?;
    let find = |host: &String| ops::network::find::host(&topology, host).map(|host| host.name.clone());
    let names: Vec<Name> = hosts.iter().map(find).collect::<Result<_, _>>()?;
    let plan = deploy::plan(&mut store, &fleet, &System, &source.actor, &names, settings.parallel, line)?;
    Ok((store, fleet, settings, plan))
}

fn watched(source: &Source, stop: Stop, show: &mut watch::Show<'_>) -> Result<(), Error> {
    let database = source.open()?;
    let schedule = Schedule::every(INTERVAL);
    let fleet = RealFleet::new()?.answering_within(PATIENCE).staying_connected(watch::idle(schedule));
    let options = watch::Options { schedule, parallel: source.settings()?.parallel, stop };
    let mut store = source.store().ok(); // only so that counters can be taken down
    watch::watch(&database, Arc::new(fleet), &System, &options, store.as_mut(), show)
}

fn head(source: &Source) -> Result<Head, Error> {
    let database = ops::safety::unlock::open(source.path())?;
    let mark = database.mark()?; // of what is written meanwhile, the watch tells
    let networks = database.networks()?;
    let encrypted = database.is_encrypted()?;
    let remembered = db::keyring::recall(database.id()).is_some();
    let names = networks.iter().map(|(_, network)| network.name.to_string()).collect();
    let mut head = Head { mark, networks: networks.len(), encrypted, remembered, ..Head::default() };
    head.names.insert("NETWORK", names);
    let database = match source.open().and_then(|database| Ok((database.topology()?, database))) {
        Ok((topology, database)) => {
            tell(&mut head, &topology);
            head.undeployed = deploy::pending::undeployed(&database, &topology)?.len();
            database
        }
        Err(Error::Store(db::Error::NoNetworkChosen { .. })) => return Ok(head),
        Err(error) => return Err(error),
    };
    head.before = ops::network::history::before_last(&database)?;
    head.open = deploy::resume::open(&database)?.len();
    // A model that contradicts itself compiles no files; what is wrong with it is said where it is edited.
    let pending = source.store().and_then(|store| deploy::pending::pending(&store));
    head.pending = pending.ok().map(|hosts| hosts.into_values().filter(|lacks| *lacks).count());
    let since = System.now() - chrono::Days::new(screens::drift::DAYS.into());
    head.drifted = ops::drift::history::drifted(&database, since)?.len();
    head.devices = revision::needed(&database).map_or(0, |devices| devices.len());
    Ok(head)
}

fn tell(head: &mut Head, topology: &model::Topology) {
    head.network = topology.network.name.to_string();
    head.hosts = topology.hosts.len();
    let count = |role: &Role| {
        let count = topology.with_role(*role).count();
        (count > 0).then(|| (format!("{role}{}", if count == 1 { "" } else { "s" }), count))
    };
    head.roles = Role::ALL.iter().filter_map(count).collect();
    let nodes = |role: Option<Role>| -> Vec<String> {
        let of = |node: &&model::Node| role.is_none_or(|role| node.role == role);
        topology.nodes.iter().filter(of).map(|node| node.name.to_string()).collect()
    };
    head.names.insert("NODE", nodes(None));
    head.names.insert("EXIT", nodes(Some(Role::Exit)));
    head.names.insert("SERVER", nodes(Some(Role::Server)));
    head.names.insert("HOST", topology.hosts.iter().map(|host| host.name.to_string()).collect());
    head.names.insert("GROUP", topology.groups.iter().map(|group| group.name.to_string()).collect());
    let lans = topology.nodes.iter().flat_map(|node| &node.lans).map(|lan| lan.cidr.to_string());
    head.names.insert("LAN", lans.collect());
}

/// Tells how far hosts are.
struct Told {
    answers: Sender<Msg>,
    number: u64,
}

impl Told {
    fn tell(&self, step: Step) {
        let _gone = self.answers.send(Msg::Deploying(self.number, step));
    }
}

impl Progress for Told {
    fn expects(&self, hosts: &[Name]) {
        self.tell(Step::Expects(hosts.to_vec()));
    }

    fn reached(&self, host: &Name, phase: Phase) {
        self.tell(Step::Reached(host.clone(), phase));
    }

    fn armed(&self, host: &Name, within: Duration) {
        self.tell(Step::Armed(host.clone(), within));
    }

    fn ended(&self, outcome: &HostOutcome) {
        self.tell(Step::Ended(Box::new(outcome.clone())));
    }

    fn warns(&self, text: &str) {
        self.tell(Step::Warns(text.to_owned()));
    }
}
