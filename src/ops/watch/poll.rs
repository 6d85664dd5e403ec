//! Asking one host again and again, over a connection that stays open.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::fleet::{self, Connection, Fleet, Observed, Question};
use crate::model::{Host, Name};
use crate::ops::deploy::status::look;

use super::schedule::Schedule;

/// What a host is asked, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) question: Question,
}

/// How a try ended.
pub(super) struct Tried {
    pub(super) host: Name,
    pub(super) answer: Result<Box<Observed>, fleet::Error>,
}

/// Lets so many through at once.
pub(super) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Gate {
    pub(super) fn new(room: usize) -> Self {
        Self { free: Mutex::new(room.max(1)), freed: Condvar::new() }
    }

    fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        drop(free);
        let result = work();
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
        result
    }
}

/// What all pollers share. Hosts that don't answer wait for each other, and none that answers waits for them.
pub(super) struct Shared {
    pub(super) fleet: Arc<dyn Fleet + Send + Sync>,
    pub(super) schedule: Schedule,
    pub(super) answering: Gate,
    pub(super) silent: Gate,
}

/// Asks a host until `orders` has no sender any more; an order is what to ask from now on, at once.
pub(super) fn poll(shared: &Shared, mut target: Target, orders: &Receiver<Target>, tries: &Sender<Tried>) {
    let mut connection = None;
    let mut failures: u32 = 0;
    loop {
        let gate = if failures == 0 { &shared.answering } else { &shared.silent };
        let answer = gate.pass(|| ask(shared.fleet.as_ref(), &target, &mut connection));
        failures = if answer.is_ok() { 0 } else { failures.saturating_add(1) };
        if tries.send(Tried { host: target.host.name.clone(), answer: answer.map(Box::new) }).is_err() {
            return; // nobody watches any more
        }
        match orders.recv_timeout(shared.schedule.next(failures, random())) {
            Ok(new) => {
                if new.host != target.host {
                    connection = None;
                }
                target = new;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Asks over the connection that is open, and if that is of no use any more, over a new one.
fn ask(
    fleet: &dyn Fleet,
    target: &Target,
    connection: &mut Option<Box<dyn Connection>>,
) -> Result<Observed, fleet::Error> {
    if let Some(mut open) = connection.take()
        && let Ok(observed) = look(open.as_mut(), &target.host, &target.question)
    {
        *connection = Some(open);
        return Ok(observed);
    }
    let mut new = fleet.connect(&target.host)?;
    let observed = look(new.as_mut(), &target.host, &target.question)?;
    *connection = Some(new);
    Ok(observed)
}

/// A number that spreads tries out. Where the system gives none, all wait alike.
fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

/// How long an open connection may lie idle until it ends by itself: for the longest wait, and a little more.
pub fn idle(schedule: Schedule) -> Duration {
    schedule.silence() + Duration::from_secs(30)
}
