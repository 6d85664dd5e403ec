//! What a counter of the kernel has grown by since it was seen last. Pure.
//!
//! It begins at nought when its interface or its peer is made anew, and when the host boots. Of the first there is proof, the
//! number of the interface; of the last too, the time since boot; the second shows by a counter that is lower than it was.
//! A peer that was made anew and has carried more since than before can't be told from one that wasn't: then what it carried
//! between the last look and that moment, and no more than the counter showed at the last look, isn't counted.

use chrono::{DateTime, Utc};

use crate::db::{Counter, CounterSeen};

/// Clocks and uptimes are read in whole seconds, and not in the same instant.
const INEXACT: i64 = 5;

/// What a look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: a later look was taken down before it.
    Stale,
    /// So much has come.
    Grown {
        /// Bytes received.
        rx: u64,
        /// Bytes sent.
        tx: u64,
    },
}

/// Compares a counter with what it showed last. `time`: of the look, by our clock.
pub fn step(before: Option<&CounterSeen>, now: &Counter, time: DateTime<Utc>) -> Step {
    let all = Step::Grown { rx: now.rx, tx: now.tx };
    let Some(CounterSeen { counter: last, seen }) = before else { return all };
    if was_booted(last, now, (time - *seen).num_seconds()) {
        return all;
    }
    if now.uptime < last.uptime {
        return Step::Stale;
    }
    if now.born.is_some() && last.born.is_some() && now.born != last.born {
        return all;
    }
    match (now.rx.checked_sub(last.rx), now.tx.checked_sub(last.tx)) {
        (Some(rx), Some(tx)) => Step::Grown { rx, tx },
        _ if now.uptime == last.uptime => Step::Stale,
        _ => all,
    }
}

/// Whether the host was booted between two looks: it was if it says so and has been up for no longer than the time between
/// them. A clock that was merely set moves the time of the boot as well.
fn was_booted(last: &Counter, now: &Counter, elapsed: i64) -> bool {
    let says_so = now.boot.saturating_add(INEXACT) >= last.boot.saturating_add(last.uptime);
    says_so && (now.uptime < last.uptime || now.uptime <= elapsed.saturating_add(INEXACT))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_000_000 + seconds)
    }

    /// A counter that showed this after so many seconds of a host that was booted at 0.
    fn counter(born: u32, rx: u64, uptime: i64) -> Counter {
        Counter { born: Some(born), rx, tx: 0, boot: 0, uptime }
    }

    fn after(before: Counter, now: Counter) -> Step {
        step(Some(&CounterSeen { counter: before, seen: at(before.uptime) }), &now, at(now.uptime))
    }

    #[test]
    fn what_is_seen_first_counts_in_full_and_then_what_has_come_since() {
        assert_eq!(step(None, &counter(3, 10, 100), at(100)), Step::Grown { rx: 10, tx: 0 });
        assert_eq!(after(counter(3, 10, 100), counter(3, 15, 130)), Step::Grown { rx: 5, tx: 0 });
        assert_eq!(after(counter(3, 10, 100), counter(3, 10, 100)), Step::Grown { rx: 0, tx: 0 });
    }

    #[test]
    fn a_new_interface_counts_in_full_even_when_it_has_carried_more_than_the_one_before() {
        assert_eq!(after(counter(3, 10, 100), counter(4, 5, 130)), Step::Grown { rx: 5, tx: 0 });
        assert_eq!(after(counter(3, 10, 100), counter(4, 25, 130)), Step::Grown { rx: 25, tx: 0 });
    }

    #[test]
    fn a_peer_made_anew_shows_by_a_lower_counter_in_either_direction() {
        assert_eq!(after(counter(3, 10, 100), counter(3, 4, 130)), Step::Grown { rx: 4, tx: 0 });
        let (before, now) = (Counter { tx: 9, ..counter(3, 1, 100) }, Counter { tx: 2, ..counter(3, 7, 130) });
        assert_eq!(after(before, now), Step::Grown { rx: 7, tx: 2 });
    }

    #[test]
    fn after_a_boot_everything_counts_whatever_the_numbers_are() {
        let booted = Counter { boot: 500, ..counter(3, 25, 60) };
        assert_eq!(after(counter(3, 10, 400), booted), Step::Grown { rx: 25, tx: 0 });
        // It has been up for longer by now than it was at the last look before the boot.
        let seen = CounterSeen { counter: counter(3, 10, 60), seen: at(60) };
        let booted = Counter { boot: 900, ..counter(3, 25, 300) };
        assert_eq!(step(Some(&seen), &booted, at(1200)), Step::Grown { rx: 25, tx: 0 });
    }

    #[test]
    fn an_older_answer_that_comes_late_counts_nothing() {
        assert_eq!(after(counter(3, 110, 110), counter(3, 100, 100)), Step::Stale);
        assert_eq!(after(counter(3, 110, 110), counter(3, 100, 110)), Step::Stale, "in the same second");
    }

    #[test]
    fn a_clock_that_is_set_makes_no_boot() {
        let stepped = Counter { boot: 7200, ..counter(3, 15, 130) };
        assert_eq!(after(counter(3, 10, 100), stepped), Step::Grown { rx: 5, tx: 0 });
    }

    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Traffic(u64),
        Look,
        Restart,
        Boot,
        PeerAnew,
        LateAnswer,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            4 => (0..1_000_000_u64).prop_map(Happens::Traffic),
            3 => Just(Happens::Look),
            1 => Just(Happens::Restart),
            1 => Just(Happens::Boot),
            1 => Just(Happens::PeerAnew),
            1 => Just(Happens::LateAnswer),
        ]
    }

    proptest! {
        /// The total is the sum of what was seen: of each life of the counter, what it showed at the last look.
        #[test]
        fn whatever_happens_between_looks_all_that_was_seen_counts_once(
            course in proptest::collection::vec((happens(), 10..5_000_i64), 1..200)
        ) {
            let (mut clock, mut boot, mut born, mut rx) = (0_i64, 0_i64, 1_u32, 0_u64);
            let (mut seen, mut older): (Option<CounterSeen>, Option<Counter>) = (None, None);
            let (mut total, mut expected, mut seen_of_this_life) = (0_u64, 0_u64, 0_u64);
            let mut look = |counter: Counter, time: i64, seen: &mut Option<CounterSeen>| {
                if let Step::Grown { rx, .. } = step(seen.as_ref(), &counter, at(time)) {
                    total += rx;
                    *seen = Some(CounterSeen { counter, seen: at(time) });
                }
            };
            for (what, seconds) in course {
                clock += seconds;
                let mut now = Counter { born: Some(born), rx, tx: 0, boot, uptime: clock - boot };
                match what {
                    Happens::Traffic(bytes) => rx += bytes,
                    Happens::Restart => (born, rx, seen_of_this_life) = (born + 1, 0, 0),
                    Happens::Boot => (boot, born, rx, seen_of_this_life) = (clock, 1, 0, 0),
                    Happens::LateAnswer => {
                        if let Some(older) = older {
                            look(older, clock, &mut seen);
                        }
                    }
                    Happens::PeerAnew if rx > 0 => {
                        // Without a look before it has carried as much again, nobody could tell.
                        look(now, clock, &mut seen);
                        expected += rx - seen_of_this_life;
                        older = None;
                        clock += 1;
                        (rx, seen_of_this_life) = (0, 0);
                        now = Counter { rx, uptime: clock - boot, ..now };
                        look(now, clock, &mut seen);
                    }
                    Happens::PeerAnew => {}
                    Happens::Look => {
                        look(now, clock, &mut seen);
                        expected += rx - seen_of_this_life;
                        seen_of_this_life = rx;
                        // What a slow look would have found a moment before. After a boot it isn't told from one of before.
                        older = (now.uptime > 10).then(|| Counter { uptime: now.uptime - 5, rx: rx.saturating_sub(7), ..now });
                    }
                }
                if matches!(what, Happens::Boot | Happens::Restart) {
                    older = None;
                }
            }
            prop_assert_eq!(total, expected);
        }
    }
}
