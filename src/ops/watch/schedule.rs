//! When a host is asked again. Pure: randomness is an argument.

use std::time::Duration;

/// How often hosts are asked, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    interval: Duration,
}

/// A host that didn't answer is first asked again after this.
const FIRST: Duration = Duration::from_secs(1);

impl Schedule {
    /// What nobody has said otherwise about: every 30 seconds.
    pub const DEFAULT: Self = Self { interval: Duration::from_secs(30) };

    /// A schedule that asks a host which answers every so often; at least every second.
    pub fn every(interval: Duration) -> Self {
        Self { interval: interval.max(FIRST) }
    }

    /// Returns how often a host that answers is asked.
    pub fn interval(self) -> Duration {
        self.interval
    }

    /// Returns how long a host may be silent until it counts as disconnected: three intervals, so 90 seconds by default.
    pub fn silence(self) -> Duration {
        self.interval * 3
    }

    /// Returns how long to wait before a host is asked again that has failed to answer so many times in a row.
    ///
    /// After the first failure that is a second, then twice as long each time, up to two intervals; always a quarter
    /// more or less, as `random` says, so that many hosts behind one broken line don't come back all at once.
    pub fn next(self, failures: u32, random: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return self.interval };
        let longest = self.interval * 2;
        let base = FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(longest);
        base.mul_f64(0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_second_doubles_up_to_a_minute() {
        let middle = u32::MAX / 2;
        let waits: Vec<u64> = (0..10).map(|n| Schedule::DEFAULT.next(n, middle).as_secs_f64().round() as u64).collect();
        assert_eq!(waits, [30, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(Schedule::DEFAULT.silence(), Duration::from_secs(90));
    }

    proptest! {
        #[test]
        fn a_wait_is_within_a_quarter_of_what_it_should_be(failures in any::<u32>(), random in any::<u32>(), seconds in 1..600u64) {
            let schedule = Schedule::every(Duration::from_secs(seconds));
            let wait = schedule.next(failures, random).as_secs_f64();
            let exact = match failures {
                0 => seconds as f64,
                n => 2_f64.powf(f64::from(n - 1)).min(2.0 * seconds as f64),
            };
            let spread = if failures == 0 { 0.0 } else { 0.25 * exact };
            prop_assert!((wait - exact).abs() <= spread + 1e-6, "{wait} instead of {exact}");
        }

        #[test]
        fn a_host_is_never_waited_for_longer_than_its_silence_may_last(failures in any::<u32>(), random in any::<u32>()) {
            prop_assert!(Schedule::DEFAULT.next(failures, random) <= Schedule::DEFAULT.silence());
        }

        #[test]
        fn waits_never_get_shorter_while_a_host_stays_silent(failures in 1..200u32, random in any::<u32>()) {
            let schedule = Schedule::DEFAULT;
            prop_assert!(schedule.next(failures, random) <= schedule.next(failures + 1, random));
        }
    }
}
