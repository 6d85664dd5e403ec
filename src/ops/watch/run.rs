//! The watch itself: a thread for each host, and one that puts together what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::db::{Database, Store};
use crate::fleet::Fleet;
use crate::model::Name;
use crate::ops::clock::Clock;
use crate::ops::deploy::Stop;
use crate::ops::deploy::status::Network;
use crate::ops::error::Error;
use crate::ops::traffic::{self, Counters};

use super::picture::{Board, Event, Moment, Picture};
use super::poll::{Gate, Shared, Target, Tried, poll};
use super::schedule::Schedule;

/// How to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often hosts are asked.
    pub schedule: Schedule,
    /// How many at once.
    pub parallel: usize,
    /// Ends the watch.
    pub stop: Stop,
}

/// How long the watch is blind at most: to the wish to end it, and to the time that goes by.
const BLINK: Duration = Duration::from_millis(250);
/// How long threads have to close their connections in the end.
const CLOSING: Duration = Duration::from_secs(3);
/// How often counters are taken down: writing holds up what is shown.
const NOTING: Duration = Duration::from_secs(10);

/// Shows how things stand, and what has changed since it was called last.
pub type Show<'a> = dyn FnMut(Picture, Vec<Event>) -> Result<(), Error> + 'a;

/// Watches every host that something of the network lives on, until it is asked to stop. Needs no secret. What counters show
/// is taken down in `store`, where there is one.
///
/// `show` is given the present picture and what has changed since it was last called: whenever something was learnt, and
/// about once a second. Changes of the model are followed.
///
/// # Errors
/// When the model contradicts itself or can't be read at first, or `show` fails.
pub fn watch(
    database: &Database,
    fleet: Arc<dyn Fleet + Send + Sync>,
    clock: &dyn Clock,
    options: &Options,
    mut store: Option<&mut Store>,
    show: &mut Show<'_>,
) -> Result<(), Error> {
    let began = Instant::now();
    let now = || Moment { since: began.elapsed(), time: clock.now() };
    let schedule = options.schedule;
    let mut state = database.newest_state()?;
    let mut board = Board::new(Network::of(database)?, now());
    let shared =
        Shared { fleet, schedule, answering: Gate::new(options.parallel), silent: Gate::new(options.parallel) };
    let mut pollers = Pollers::new(shared);
    pollers.follow(board.network());
    let (mut read, mut shown) = (began, None);
    let (mut unnoted, mut noted) = (Vec::new(), None);
    while !options.stop.is_asked() {
        let mut events = Vec::new();
        let tried = pollers.next(BLINK);
        let learnt = tried.is_some();
        match tried {
            Some(Tried { host, answer: Ok(observed) }) => {
                if store.is_some() {
                    Counters::of(&observed, clock.now()).follow(&mut unnoted);
                }
                events.extend(board.answer(&host, *observed, now()));
            }
            Some(Tried { host, answer: Err(error) }) => board.fail(&host, error.to_string(), error.hint()),
            None => {}
        }
        if !unnoted.is_empty() && noted.is_none_or(|at: Instant| at.elapsed() >= NOTING) {
            note(store.as_deref_mut(), &mut unnoted);
            noted = Some(Instant::now());
        }
        events.extend(board.wait(schedule.silence(), now()));
        if read.elapsed() >= schedule.interval() {
            read = Instant::now();
            match database.newest_state() {
                // Of a large network it takes longer to make sense than to see that it is the same.
                Ok(newest) if newest == state && !board.is_kept() => {}
                Ok(newest) => match Network::of(database) {
                    Ok(network) => {
                        events.extend(board.renew(network, now()));
                        state = newest;
                    }
                    Err(error) => board.keep(unreadable(&error)),
                },
                Err(error) => board.keep(unreadable(&error)),
            }
            pollers.follow(board.network());
        }
        if learnt || !events.is_empty() || shown.is_none_or(|at: Instant| at.elapsed() >= Duration::from_secs(1)) {
            show(board.picture(), events)?;
            shown = Some(Instant::now());
        }
    }
    note(store, &mut unnoted);
    pollers.close();
    Ok(())
}

fn unreadable(error: &dyn std::fmt::Display) -> String {
    format!("the model can't be read again, what is shown is as it was: {error}")
}

/// Takes down what counters showed in answers. What isn't noted now, as while somebody else writes, the next answers tell
/// again.
fn note(store: Option<&mut Store>, answers: &mut Vec<Counters>) {
    if let Some(store) = store {
        let _ = traffic::note_all(store, answers);
    }
    answers.clear();
}

/// The threads that ask.
struct Pollers {
    shared: Arc<Shared>,
    threads: BTreeMap<Name, Poller>,
    /// Threads of hosts that are no longer watched.
    leaving: Vec<JoinHandle<()>>,
    tell: Sender<Tried>,
    told: Receiver<Tried>,
}

struct Poller {
    target: Target,
    orders: Sender<Target>,
    thread: JoinHandle<()>,
}

impl Pollers {
    fn new(shared: Shared) -> Self {
        let (tell, told) = mpsc::channel();
        Self { shared: Arc::new(shared), threads: BTreeMap::new(), leaving: Vec::new(), tell, told }
    }

    /// Asks the hosts of a network from now on, and no others.
    fn follow(&mut self, network: &Network) {
        let mut before = std::mem::take(&mut self.threads);
        for (host, question) in network.hosts() {
            let (name, target) = (host.name.clone(), Target { host, question });
            let poller = match before.remove(&name) {
                Some(poller) if poller.target == target => poller,
                Some(poller) if poller.orders.send(target.clone()).is_ok() => Poller { target, ..poller },
                _ => self.begin(target),
            };
            self.threads.insert(name, poller);
        }
        self.leaving.retain(|thread| !thread.is_finished());
        self.leaving.extend(before.into_values().map(|poller| poller.thread)); // their orders end here
    }

    fn begin(&self, target: Target) -> Poller {
        let (orders, taken) = mpsc::channel();
        let (shared, tell, first) = (Arc::clone(&self.shared), self.tell.clone(), target.clone());
        let thread = thread::spawn(move || poll(&shared, first, &taken, &tell));
        Poller { target, orders, thread }
    }

    /// Returns how the next try ended, unless none does within a time.
    fn next(&self, within: Duration) -> Option<Tried> {
        self.told.recv_timeout(within).ok()
    }

    /// Ends them. One that waits for a host which doesn't answer is left behind: its connection ends by itself.
    fn close(mut self) {
        self.leaving.extend(std::mem::take(&mut self.threads).into_values().map(|poller| poller.thread));
        let began = Instant::now();
        while began.elapsed() < CLOSING && self.leaving.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}
