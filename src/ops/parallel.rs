//! Working on many things at once, a bounded number at a time.

use std::sync::Mutex;

/// Does `work` on each job, at most `limit` at once, and returns the results in the order of the jobs. A job that takes
/// long delays none that is worked on beside it.
pub fn each<T: Send, R: Send>(jobs: Vec<T>, limit: usize, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let workers = limit.clamp(1, jobs.len().max(1));
    let mut results: Vec<Option<R>> = jobs.iter().map(|_| None).collect();
    let queue = Mutex::new(jobs.into_iter().zip(results.iter_mut()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("taking the next job does not panic").next();
                    let Some((job, result)) = next else { break };
                    *result = Some(work(job));
                }
            });
        }
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_whoever_finishes_first() {
        let (first, second) = std::sync::mpsc::channel();
        let second = Mutex::new(second);
        let results = each(vec![0, 1, 2], 2, |job| {
            match job {
                0 => second.lock().unwrap().recv().unwrap(), // until the next is done
                1 => first.send(()).unwrap(),
                _ => {}
            }
            job * 10
        });
        assert_eq!(results, [0, 10, 20]);
    }

    #[test]
    fn no_more_than_the_limit_are_worked_on_at_once() {
        let busy = Mutex::new((0, 0));
        each((0..40).collect(), 3, |_: i32| {
            {
                let mut busy = busy.lock().unwrap();
                busy.0 += 1;
                busy.1 = busy.1.max(busy.0);
            }
            std::thread::yield_now();
            busy.lock().unwrap().0 -= 1;
        });
        assert!(busy.lock().unwrap().1 <= 3);
        assert_eq!(each(Vec::<u8>::new(), 0, |job| job), Vec::<u8>::new());
    }
}
