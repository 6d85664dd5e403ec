//! Working on jobs that wait for each other, a bounded number at a time.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Does `work` on each job, at most `limit` at once, the first ones first; none before those in its set have ended. The
/// sets make no cycle. Returns the results in the order of the jobs.
///
/// When a job's turn has come, `gate` may give a result in the place of its work; it sees what has ended so far.
pub(super) fn in_turns<T: Send, R: Send>(
    jobs: Vec<(T, BTreeSet<usize>)>,
    limit: usize,
    gate: impl Fn(usize, &T, &[Option<R>]) -> Option<R> + Sync,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let workers = limit.clamp(1, jobs.len().max(1));
    let results = jobs.iter().map(|_| None).collect();
    let shared = Mutex::new(State { waiting: jobs.into_iter().map(Some).collect(), results });
    let ended = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let _alarm = Alarm { shared: &shared, ended: &ended };
                while let Some((at, turn)) = next(&shared, &ended, &gate) {
                    let result = match turn {
                        Turn::Work(job) => work(job),
                        Turn::Over(result) => result,
                    };
                    lock(&shared).results[at] = Some(result);
                    ended.notify_all();
                }
            });
        }
    });
    let state = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.results.into_iter().flatten().collect()
}

struct State<T, R> {
    waiting: Vec<Option<(T, BTreeSet<usize>)>>,
    results: Vec<Option<R>>,
}

/// A job that panics never ends; nobody is to wait for it then.
struct Alarm<'a, T, R> {
    shared: &'a Mutex<State<T, R>>,
    ended: &'a Condvar,
}

impl<T, R> Drop for Alarm<'_, T, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(self.shared).waiting.clear();
            self.ended.notify_all();
        }
    }
}

enum Turn<T, R> {
    Work(T),
    Over(R),
}

fn lock<T, R>(shared: &Mutex<State<T, R>>) -> MutexGuard<'_, State<T, R>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the first job whose turn has come, and waits for it if need be; `None` when all are taken.
fn next<T, R>(
    shared: &Mutex<State<T, R>>,
    ended: &Condvar,
    gate: &impl Fn(usize, &T, &[Option<R>]) -> Option<R>,
) -> Option<(usize, Turn<T, R>)> {
    let mut state = lock(shared);
    loop {
        if state.waiting.iter().all(Option::is_none) {
            return None;
        }
        let ready = |after: &BTreeSet<usize>| after.iter().all(|other| state.results[*other].is_some());
        let at = state.waiting.iter().position(|job| job.as_ref().is_some_and(|(_, after)| ready(after)));
        if let Some(at) = at
            && let Some((job, _)) = state.waiting[at].take()
        {
            let over = gate(at, &job, &state.results);
            return Some((at, over.map_or(Turn::Work(job), Turn::Over)));
        }
        state = ended.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_job_ends_after_those_it_waits_for(
            waits in prop::collection::vec(prop::collection::btree_set(0_usize..20, 0..4), 0..20),
            limit in 0_usize..6,
        ) {
            // Only earlier jobs are waited for, so that there is no cycle.
            let jobs: Vec<_> = waits.into_iter().enumerate()
                .map(|(at, after)| (at, after.into_iter().filter(|other| *other < at).collect::<BTreeSet<_>>()))
                .collect();
            let wanted = jobs.clone();
            let ended = Mutex::new(Vec::new());
            let results = in_turns(jobs, limit, |_, _, _| None, |at| {
                ended.lock().unwrap().push(at);
                at
            });
            prop_assert_eq!(results, (0..wanted.len()).collect::<Vec<_>>());
            let ended = ended.into_inner().unwrap();
            let place = |at: usize| ended.iter().position(|other| *other == at).unwrap();
            for (at, after) in wanted {
                prop_assert!(after.into_iter().all(|other| place(other) < place(at)));
            }
        }
    }

    #[test]
    fn a_gate_sees_what_has_ended_and_its_result_stands_in_the_place_of_the_work() {
        let jobs = vec![(1, BTreeSet::new()), (2, BTreeSet::from([0])), (3, BTreeSet::from([1]))];
        let gate = |at: usize, _: &i32, ended: &[Option<i32>]| (at == 1).then(|| -ended[0].unwrap());
        assert_eq!(in_turns(jobs, 8, gate, |job| job * 10), [10, -10, 30]);
    }

    #[test]
    fn a_job_that_waits_for_nobody_overtakes_those_that_wait() {
        let (done, wait) = std::sync::mpsc::channel();
        let wait = Mutex::new(wait);
        let jobs = vec![(0, BTreeSet::new()), (1, BTreeSet::from([0])), (2, BTreeSet::new())];
        let results = in_turns(
            jobs,
            2,
            |_, _, _| None,
            |job| {
                match job {
                    0 => wait.lock().unwrap().recv().unwrap(), // until the last is done
                    2 => done.send(()).unwrap(),
                    _ => {}
                }
                job
            },
        );
        assert_eq!(results, [0, 1, 2]);
    }
}
